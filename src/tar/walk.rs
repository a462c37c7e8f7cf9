//! The walk from header to header.
//!
//! Long: one state machine, in the order of Go's `archive/tar`.

use super::block::{self, BLOCK, Block, HeaderFormat};
use super::cursor::Cursor;
use super::pax::Pax;
use super::sparse::{self, PaxSparse, SparseMap};
use super::{TarError, TarFault};
use crate::base::limits::Limit;

/// How much of a PAX header or a GNU long name is read at a time, in bytes.
const META_PIECE: usize = 1 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file (`0`, NUL, GNU sparse `S`).
    File,
    /// Another name of a file that is elsewhere in the tar (`1`).
    Hardlink,
    /// A symbolic link (`2`).
    Symlink,
    /// A character device (`3`).
    Char,
    /// A block device (`4`).
    Block,
    /// A directory (`5`, or NUL with a name that ends in a slash).
    Directory,
    /// A named pipe (`6`).
    Fifo,
    /// A PAX global header (`g`); it does not apply to what follows.
    Global,
    /// Any other typeflag; engines refuse these in layers.
    Other(u8),
}

/// A modification time: seconds since the epoch, and nanoseconds to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mtime {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999, counted forwards from `seconds`.
    pub nanoseconds: i32,
}

/// One record of a tar: everything its headers say.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where its first header begins (a PAX or long-name header, if it has one), in bytes.
    pub header_offset: u64,
    /// How many headers stand before its own: PAX headers, long names.
    pub extra_headers: u32,
    /// Where its body begins, in bytes.
    pub data_offset: u64,
    /// How long its body is in the stream, in bytes, without padding.
    pub stored_size: u64,
    /// The size of the file, in bytes: the logical size where it is sparse.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
    /// The typeflag as written.
    pub typeflag: u8,
    /// The name as written.
    pub path: Vec<u8>,
    /// The link target as written; meaningless unless it is a link, some writers leave rubbish there.
    pub link: Vec<u8>,
    /// Permission bits, and whatever else the field holds.
    pub mode: i64,
    /// The owner.
    pub uid: i64,
    /// The group.
    pub gid: i64,
    /// The modification time.
    pub mtime: Mtime,
    /// Device numbers, major and minor; 0 unless it is a device.
    pub device: (i64, i64),
    /// Extended attributes in the order of their records.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where stored bytes belong, if the file is sparse.
    pub sparse: Option<SparseMap>,
}

/// Goes through a tar from header to header.
#[derive(Debug)]
pub struct Walker<C> {
    cursor: C,
    /// What is left of the current body and its padding.
    body: u64,
    padding: u64,
    body_offset: u64,
    ended: bool,
    /// Whether the end was marked by blocks of zeros.
    end_marked: bool,
}

/// What PAX and GNU headers said about the entry that follows them.
#[derive(Default)]
struct Meta {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    /// How many there were.
    count: u32,
}

impl<C: Cursor> Walker<C> {
    /// Begins at the cursor's position.
    pub fn new(cursor: C) -> Self {
        let body_offset = cursor.position();
        Self {
            cursor,
            body: 0,
            padding: 0,
            body_offset,
            ended: false,
            end_marked: false,
        }
    }

    /// The cursor, which is behind the last header read (or further, if a body was read).
    pub fn into_cursor(self) -> C {
        self.cursor
    }

    /// The cursor, for those who tell it what the header before it is about.
    pub(crate) fn cursor_mut(&mut self) -> &mut C {
        &mut self.cursor
    }

    /// Whether the walk ended at the end-of-archive blocks, and not merely where the stream ended.
    pub fn end_is_marked(&self) -> bool {
        self.end_marked
    }

    /// How far the walk has come, in bytes from the beginning.
    pub fn position(&self) -> u64 {
        self.cursor.position()
    }

    /// The next entry; `None` at the end-of-archive blocks or at the end of the stream, which Go
    /// takes for one.
    ///
    /// Precedence, as in Go's `Reader.next`: of several PAX headers the last one counts, whole; it
    /// applies to the next entry that is not a meta header, so not to a GNU long name in between; a
    /// long name wins over a PAX path; a PAX size replaces the size field before the body is
    /// skipped; links, directories, devices and fifos have no body whatever their size says.
    ///
    /// # Errors
    ///
    /// [`TarError`] for a stream that Go's reader refuses too.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        self.skip_body()?;
        let first = self.cursor.position();
        let entry = self.read_entry(first);
        if !matches!(entry, Ok(Some(_))) {
            self.ended = true;
        }
        entry
    }

    fn read_entry(&mut self, first: u64) -> Result<Option<Entry>, TarError> {
        let mut meta = Meta::default();
        loop {
            let offset = self.cursor.position();
            let at = |fault| TarError { offset, fault };
            let Some(header) = self.read_header().map_err(at)? else {
                return Ok(None);
            };
            meta.count = meta.count.saturating_add(1);
            match header.typeflag() {
                b'x' => meta.pax = Some(Pax::parse(&self.read_meta(&header, offset)?).map_err(at)?),
                b'g' => {
                    Pax::check(&self.read_meta(&header, offset)?).map_err(at)?;
                    let entry = plain_entry(&header, first, self.cursor.position()).map_err(at)?;
                    return Ok(Some(Entry {
                        kind: Kind::Global,
                        extra_headers: meta.count - 1,
                        ..entry
                    }));
                }
                b'L' => {
                    let body = self.read_meta(&header, offset)?;
                    meta.long_name = Some(block::text(&body).to_vec());
                }
                b'K' => {
                    let body = self.read_meta(&header, offset)?;
                    meta.long_link = Some(block::text(&body).to_vec());
                }
                _ => {
                    return self
                        .finish_entry(&header, meta, first)
                        .map(Some)
                        .map_err(at);
                }
            }
        }
    }

    fn finish_entry(&mut self, header: &Block, meta: Meta, first: u64) -> Result<Entry, TarFault> {
        let mut entry = plain_entry(header, first, 0)?;
        let mut size = header.number(&block::SIZE)?;
        // Go looks at the block's own size before it looks at what PAX says.
        if size < 0 && has_body(kind_of(header.typeflag(), &entry.path)) {
            return Err(TarFault::NegativeSize { size });
        }
        let Meta {
            pax,
            long_name,
            long_link,
            count,
        } = meta;
        entry.extra_headers = count - 1;
        let mut pax = pax.unwrap_or_default();
        if let Some(path) = pax.path.take() {
            entry.path = path;
        }
        if let Some(link) = pax.linkpath.take() {
            entry.link = link;
        }
        entry.uid = pax.uid.unwrap_or(entry.uid);
        entry.gid = pax.gid.unwrap_or(entry.gid);
        entry.mtime = pax.mtime.unwrap_or(entry.mtime);
        entry.xattrs = std::mem::take(&mut pax.xattrs);
        size = pax.size.unwrap_or(size);
        if let Some(name) = long_name.filter(|name| !name.is_empty()) {
            entry.path = name;
        }
        if let Some(link) = long_link.filter(|link| !link.is_empty()) {
            entry.link = link;
        }
        entry.kind = kind_of(header.typeflag(), &entry.path);

        let has_body = has_body(entry.kind);
        let stored = if has_body { size } else { 0 };
        if stored < 0 {
            return Err(TarFault::NegativeSize { size: stored });
        }
        entry.stored_size = stored.cast_unsigned();
        if has_body {
            self.read_sparse(header, &pax, &mut entry, &mut size)?;
        } else if matches!(pax.sparse.version(), PaxSparse::No) {
            size = 0;
        } else {
            // A sparse map of something that has no bytes.
            return Err(TarFault::Sparse);
        }
        entry.size = u64::try_from(size).map_err(|_| TarFault::NegativeSize { size })?;

        // A sparse map in the body was read already; the rest of the body is still ahead.
        let map_len = entry.sparse.as_ref().map_or(0, |map| map.map_len);
        entry.data_offset = self.cursor.position() - map_len;
        self.body_offset = entry.data_offset;
        self.body = entry.stored_size - map_len;
        self.padding = padding(entry.stored_size);
        Ok(entry)
    }

    fn read_sparse(
        &mut self,
        header: &Block,
        pax: &Pax,
        entry: &mut Entry,
        size: &mut i64,
    ) -> Result<(), TarFault> {
        if header.typeflag() == b'S' {
            let (map, real) = sparse::old_gnu(header, &mut self.cursor)?;
            *size = real;
            entry.sparse = Some(map);
            return Ok(());
        }
        let records = &pax.sparse;
        let version = records.version();
        if matches!(version, PaxSparse::No) {
            return Ok(());
        }
        if let Some(name) = &records.name {
            entry.path.clone_from(name);
        }
        if let Some(real) = records.logical_size()? {
            *size = real;
        }
        entry.sparse = Some(match version {
            PaxSparse::InBody => sparse::pax_1_0(&mut self.cursor, entry.stored_size, *size)?,
            _ => records.map(*size, self.cursor.limits())?,
        });
        Ok(())
    }

    /// The next header block, or `None` at the end: two zero blocks, or one and no more, or nothing.
    fn read_header(&mut self) -> Result<Option<Block>, TarFault> {
        let mut bytes = [0; BLOCK];
        match self.cursor.fill(&mut bytes).map_err(TarFault::Read)? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(TarFault::TruncatedHeader),
        }
        if !Block::is_zero(&bytes) {
            return Block::checked(&bytes).map(Some);
        }
        match self.cursor.fill(&mut bytes).map_err(TarFault::Read)? {
            0 => Ok(None),
            BLOCK if Block::is_zero(&bytes) => {
                self.end_marked = true;
                Ok(None)
            }
            BLOCK => Err(TarFault::StrayZeroBlock),
            _ => Err(TarFault::TruncatedHeader),
        }
    }

    /// The body of a meta header.
    fn read_meta(&mut self, header: &Block, offset: u64) -> Result<Vec<u8>, TarError> {
        let at = |fault| TarError { offset, fault };
        let size = header.number(&block::SIZE).map_err(at)?;
        let claimed = u64::try_from(size).map_err(|_| at(TarFault::NegativeSize { size }))?;
        let limits = self.cursor.limits();
        limits
            .check(Limit::Header, claimed)
            .map_err(|exceeded| at(TarFault::MetaTooLong(claimed, exceeded)))?;
        // Read piece by piece: where the limit was raised, memory is taken for bytes that are there.
        let mut body = Vec::new();
        let mut present = 0;
        while (present as u64) < claimed {
            let left = usize::try_from(claimed - present as u64).unwrap_or(usize::MAX);
            body.resize(present + left.min(META_PIECE), 0);
            let n = self
                .cursor
                .fill(&mut body[present..])
                .map_err(|e| at(TarFault::Read(e)))?;
            if n == 0 {
                break;
            }
            present += n;
        }
        if (present as u64) < claimed {
            return Err(at(TarFault::TruncatedBody {
                claimed,
                present: present as u64,
            }));
        }
        self.cursor
            .skip(padding(claimed))
            .map_err(|e| at(TarFault::Read(e)))?;
        Ok(body)
    }

    /// Goes to the next header. Padding may be missing at the end of the stream, bytes of the body
    /// may not.
    fn skip_body(&mut self) -> Result<(), TarError> {
        let offset = self.body_offset;
        let at = |fault| TarError { offset, fault };
        if self.body > 0 {
            let skipped = self
                .cursor
                .skip(self.body)
                .map_err(|e| at(TarFault::Read(e)))?;
            if skipped < self.body {
                self.ended = true;
                let present = self.cursor.position() - offset;
                let claimed = present + self.body - skipped;
                return Err(at(TarFault::TruncatedBody { claimed, present }));
            }
            self.body = 0;
        }
        self.cursor
            .skip(self.padding)
            .map_err(|e| at(TarFault::Read(e)))?;
        self.padding = 0;
        Ok(())
    }
}

/// An entry as its header block alone describes it, without a body.
fn plain_entry(header: &Block, header_offset: u64, data_offset: u64) -> Result<Entry, TarFault> {
    let format = header.format();
    let prefix = match format {
        HeaderFormat::Ustar => header.text(&block::PREFIX),
        HeaderFormat::Star => header.text(&block::STAR_PREFIX),
        HeaderFormat::Gnu => gnu_prefix(header),
        HeaderFormat::V7 => b"",
    };
    if format == HeaderFormat::Star {
        header.number(&block::STAR_ATIME)?;
        header.number(&block::STAR_CTIME)?;
    }
    let name = header.text(&block::NAME);
    let mut path = Vec::with_capacity(prefix.len() + 1 + name.len());
    if !prefix.is_empty() {
        path.extend_from_slice(prefix);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    let device = if format == HeaderFormat::V7 {
        (0, 0)
    } else {
        (
            header.number(&block::DEVMAJOR)?,
            header.number(&block::DEVMINOR)?,
        )
    };
    Ok(Entry {
        header_offset,
        extra_headers: 0,
        data_offset,
        stored_size: 0,
        size: 0,
        kind: Kind::File,
        typeflag: header.typeflag(),
        path,
        link: header.text(&block::LINKNAME).to_vec(),
        mode: header.number(&block::MODE)?,
        uid: header.number(&block::UID)?,
        gid: header.number(&block::GID)?,
        mtime: Mtime {
            seconds: header.number(&block::MTIME)?,
            nanoseconds: 0,
        },
        device,
        xattrs: Vec::new(),
        sparse: None,
    })
}

/// What is in the place of USTAR's prefix. GNU headers have times there, but Go before 1.8 wrote a
/// prefix all the same; where the times are none and the text is ASCII, Go reads it as one.
fn gnu_prefix(header: &Block) -> &[u8] {
    let broken = |field| !header.text(field).is_empty() && header.number(field).is_err();
    if !broken(&block::GNU_ATIME) && !broken(&block::GNU_CTIME) {
        return b"";
    }
    let prefix = header.text(&block::PREFIX);
    if prefix.is_ascii() { prefix } else { b"" }
}

/// Whether bytes follow the header: links, directories, devices and fifos have none whatever their
/// size says.
fn has_body(kind: Kind) -> bool {
    matches!(kind, Kind::File | Kind::Other(_))
}

fn kind_of(typeflag: u8, path: &[u8]) -> Kind {
    match typeflag {
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'S' => Kind::File,
        b'1' => Kind::Hardlink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char,
        b'4' => Kind::Block,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => Kind::Other(other),
    }
}

/// How many bytes stand between the end of a body and the next block.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// Reads one whole block that belongs to a header.
pub(super) fn fill_block<C: Cursor>(
    cursor: &mut C,
    block: &mut [u8; BLOCK],
) -> Result<(), TarFault> {
    match cursor.fill(block).map_err(TarFault::Read)? {
        BLOCK => Ok(()),
        _ => Err(TarFault::TruncatedHeader),
    }
}
