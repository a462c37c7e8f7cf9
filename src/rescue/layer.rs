//! One layer out of its files: tar-split says what stood between them, byte for byte.

use std::io::BufReader;

use super::RescueError;
use super::files::{FileNode, FileStretch, NodeKind, RootFiles};
use crate::archive::MemberName;
use crate::base::constants::{OPAQUE, WHITEOUT};
use crate::base::escape;
use crate::base::limits::Limit;
use crate::source::{MAGIC_LEN, Source, is_environment, sniff};
use crate::split::metadata::{CRC64, SplitReader, StreamFault, StreamPiece};

/// How many faults of a layer are kept.
const KEPT: usize = 8;

/// Where the parts of a layer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SplitParts {
    /// The directory with its files.
    pub(crate) directory: FileNode,
    /// Its tar-split.
    pub(crate) split: FileNode,
}

/// What keeps a layer from coming back byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LostFile {
    /// A file is not there.
    #[error("`{}` is missing", escape::name(.path))]
    Missing {
        /// Its path in the layer.
        path: Vec<u8>,
    },
    /// It is another name of a file that is not there, or of a directory.
    #[error(
        "`{}` is a hard link to {}, which is not a file in the tar",
        escape::name(.path),
        escape::name(.target)
    )]
    Link {
        /// Its path in the layer.
        path: Vec<u8>,
        /// What it is a link to, as a path in the tar.
        target: Vec<u8>,
    },
    /// Something that is not a file has its name now.
    #[error("`{}` is now {found}; it was a file of {size} bytes", escape::name(.path))]
    NotAFile {
        /// Its path in the layer.
        path: Vec<u8>,
        /// What is there.
        found: &'static str,
        /// How long it was.
        size: u64,
    },
    /// It has another length.
    #[error("`{}` has {found} bytes; it had {size}", escape::name(.path))]
    Size {
        /// Its path in the layer.
        path: Vec<u8>,
        /// How long it is.
        found: u64,
        /// How long it was.
        size: u64,
    },
    /// It has other bytes.
    #[error("`{}` was changed: its CRC-64 was {claimed:016x} and is now {computed:016x}", escape::name(.path))]
    Content {
        /// Its path in the layer.
        path: Vec<u8>,
        /// The checksum that it had.
        claimed: u64,
        /// The one that it has.
        computed: u64,
    },
}

/// The faults of a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostFiles {
    /// The first ones.
    pub first: Vec<LostFile>,
    /// How many there are.
    pub count: u64,
}

impl LostFiles {
    fn add(&mut self, fault: LostFile) {
        if self.first.len() < KEPT {
            self.first.push(fault);
        }
        self.count += 1;
    }
}

/// What tar-split says of a layer whose files were looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looked {
    /// How long its tar is.
    pub(crate) tar_size: u64,
    /// How many bytes its files have.
    pub(crate) file_bytes: u64,
    /// How many files with bytes it has.
    pub(crate) files: u64,
    pub(crate) faults: LostFiles,
}

/// Why a layer's tar-split cannot be used, for people.
pub(crate) type Unusable = String;

/// What takes the pieces of a layer's tar in order.
pub(crate) trait TakePiece {
    /// Bytes as they stand.
    fn raw(&mut self, bytes: &[u8]) -> Result<(), RescueError>;
    /// The content of a file, which has the right length; what is wrong with it, if it was looked at.
    fn body(
        &mut self,
        files: &RootFiles,
        file: FileNode,
        crc: Option<u64>,
    ) -> Result<Option<(u64, u64)>, RescueError>;
    /// An entry that hides a name (`.wh.x`), or with an opaque directory all that lies below (`.wh..wh..opq`).
    fn marker(
        &mut self,
        _files: &RootFiles,
        _directory: FileNode,
        _name: &[u8],
    ) -> Result<(), RescueError> {
        Ok(())
    }
}

/// Looks whether everything is there.
#[derive(Debug)]
pub(crate) struct LookOnly {
    /// Whether the files are those of an overlay file system, which has marks of its own for what is hidden.
    pub(crate) overlay: bool,
    pub(crate) lost: LostMarkers,
}

/// Marks by which an overlay file system hides files, and which are not in the tar. tar-split has them in another form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LostMarkers {
    /// How many whiteouts, which are devices.
    pub(crate) whiteouts: u64,
    /// How many opaque directories, which have an extended attribute.
    pub(crate) opaque: u64,
    /// The path of the first whiteout, and of the first directory.
    pub(crate) first: (Option<Vec<u8>>, Option<Vec<u8>>),
}

impl LostMarkers {
    /// Adds those of another layer.
    pub(crate) fn add(&mut self, other: Self) {
        self.whiteouts += other.whiteouts;
        self.opaque += other.opaque;
        let (whiteout, opaque) = other.first;
        self.first.0 = self.first.0.take().or(whiteout);
        self.first.1 = self.first.1.take().or(opaque);
    }
}

impl TakePiece for LookOnly {
    fn marker(
        &mut self,
        files: &RootFiles,
        directory: FileNode,
        name: &[u8],
    ) -> Result<(), RescueError> {
        let name = MemberName::new(name);
        if !self.overlay {
            return Ok(());
        }
        let parent = name.parent();
        let mut steps = files.source().limits().of(Limit::LinkSteps);
        if name.base() == OPAQUE {
            let found = files.find_in(directory, parent.as_bytes(), &mut steps);
            let entry = found.map_or(Ok(None), |found| files.entry(found))?;
            let is_opaque = |(key, value): &(Vec<u8>, Vec<u8>)| {
                key.ends_with(b"overlay.opaque") && value.starts_with(b"y")
            };
            if !entry.is_some_and(|entry| entry.xattrs.iter().any(is_opaque)) {
                self.lost.opaque += 1;
                let path = parent.as_bytes().to_vec();
                self.lost.first.1.get_or_insert(path);
            }
        } else if let Some(hidden) = name.base().strip_prefix(WHITEOUT)
            && !hidden.starts_with(WHITEOUT)
        {
            let path = parent.join(hidden);
            if files
                .find_in(directory, path.as_bytes(), &mut steps)
                .is_none()
            {
                self.lost.whiteouts += 1;
                self.lost.first.0.get_or_insert(path.as_bytes().to_vec());
            }
        }
        Ok(())
    }

    fn raw(&mut self, _: &[u8]) -> Result<(), RescueError> {
        Ok(())
    }

    fn body(
        &mut self,
        _: &RootFiles,
        _: FileNode,
        _: Option<u64>,
    ) -> Result<Option<(u64, u64)>, RescueError> {
        Ok(None)
    }
}

/// Computes the checksum of every file.
#[derive(Debug)]
pub(crate) struct CheckBodies;

impl TakePiece for CheckBodies {
    fn raw(&mut self, _: &[u8]) -> Result<(), RescueError> {
        Ok(())
    }

    fn body(
        &mut self,
        files: &RootFiles,
        file: FileNode,
        crc: Option<u64>,
    ) -> Result<Option<(u64, u64)>, RescueError> {
        let Some(claimed) = crc else { return Ok(None) };
        let mut digest = CRC64.digest();
        let mut buf = vec![0; 64 << 10];
        for stretch in files.content(file)? {
            each_piece(files.source(), stretch, &mut buf, |bytes| {
                digest.update(bytes);
            })?;
        }
        let computed = digest.finalize();
        Ok((computed != claimed).then_some((claimed, computed)))
    }
}

fn each_piece(
    source: &Source,
    stretch: FileStretch,
    buf: &mut [u8],
    mut see: impl FnMut(&[u8]),
) -> Result<(), RescueError> {
    let (from, mut left) = match stretch {
        FileStretch::Stored(span) => (Some(span.offset), span.len),
        FileStretch::Zeros(len) => {
            buf.fill(0);
            (None, len)
        }
    };
    let mut done = 0;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let n = match from {
            Some(from) => source.read_at(&mut buf[..want], from + done)?,
            None => want,
        };
        if n == 0 {
            return Ok(());
        }
        see(&buf[..n]);
        done += n as u64;
        left -= n as u64;
    }
    Ok(())
}

/// Reads the tar-split of a layer and gives `take` every piece of its tar, as far as it is there: what is not is
/// one of the faults, and then the pieces are not the layer.
///
/// # Errors
///
/// [`RescueError`] if the system fails; the inner error if the tar-split cannot be used.
pub(crate) fn read(
    files: &RootFiles,
    parts: SplitParts,
    take: &mut dyn TakePiece,
) -> Result<Result<Looked, Unusable>, RescueError> {
    let split = files.linked(parts.split);
    let Some(slice) = split.and_then(|split| files.plain(split)) else {
        return Ok(Err(
            "its tar-split is not a regular file in the tar".to_owned()
        ));
    };
    let mut head = [0; MAGIC_LEN];
    let n = slice.read_at(&mut head, 0)?;
    let compression = sniff(&head[..n]);
    let inner = BufReader::with_capacity(64 << 10, slice.reader());
    let decoder = match slice.decode(compression, inner) {
        Ok(decoder) => decoder,
        Err(error) => return Err(RescueError::Spool(error)),
    };
    let mut reader = SplitReader::new(decoder);
    let mut looked = Looked::default();
    let mut steps = files.source().limits().of(Limit::LinkSteps);
    loop {
        let (name, size, crc) = match reader.next_piece() {
            Ok(None) => return Ok(Ok(looked)),
            Ok(Some((_, StreamPiece::Raw(bytes)))) => {
                looked.tar_size = looked.tar_size.saturating_add(bytes.len() as u64);
                take.raw(&bytes)?;
                continue;
            }
            Ok(Some((_, StreamPiece::File { name, size: 0, .. }))) => {
                let base = name.rsplit(|byte| *byte == b'/').next();
                if base.is_some_and(|base| base.starts_with(WHITEOUT)) {
                    take.marker(files, parts.directory, &name)?;
                }
                continue;
            }
            Ok(Some((_, StreamPiece::File { name, size, crc }))) => (name, size, crc),
            Err(StreamFault::Read(error)) if is_environment(&error) => {
                return Err(RescueError::Spool(error));
            }
            Err(fault) => return Ok(Err(unusable(&fault))),
        };
        looked.tar_size = looked.tar_size.saturating_add(size);
        looked.file_bytes = looked.file_bytes.saturating_add(size);
        looked.files += 1;
        match body(files, parts.directory, (&name, size), &mut steps) {
            Ok(file) => {
                if let Some((claimed, computed)) = take.body(files, file, crc)? {
                    looked.faults.add(LostFile::Content {
                        path: name.into_owned(),
                        claimed,
                        computed,
                    });
                }
            }
            Err(fault) => looked.faults.add(fault),
        }
    }
}

fn unusable(fault: &StreamFault) -> Unusable {
    let mut text = format!("its tar-split cannot be read: {fault}");
    let mut next = std::error::Error::source(fault);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The file that has the bytes of an entry.
fn body(
    files: &RootFiles,
    directory: FileNode,
    (name, size): (&[u8], u64),
    steps: &mut u64,
) -> Result<FileNode, LostFile> {
    let path = || name.to_vec();
    let Some(found) = files.find_in(directory, name, steps) else {
        return Err(LostFile::Missing { path: path() });
    };
    let Some(file) = files.linked(found) else {
        let target = files.link(found).to_vec();
        return Err(LostFile::Link {
            path: path(),
            target,
        });
    };
    let found = match files.kind(file) {
        NodeKind::File => files.size(file),
        kind => {
            return Err(LostFile::NotAFile {
                path: path(),
                found: match kind {
                    NodeKind::Implied | NodeKind::Directory => "a directory",
                    NodeKind::Symlink => "a symbolic link",
                    NodeKind::Whiteout => "a whiteout",
                    NodeKind::File | NodeKind::Hardlink | NodeKind::Special => "a special file",
                },
                size,
            });
        }
    };
    if found != size {
        return Err(LostFile::Size {
            path: path(),
            found,
            size,
        });
    }
    Ok(file)
}
