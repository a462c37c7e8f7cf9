//! The archive with blobs that are not the ones it had: recompressed, or without what is lost. Members
//! keep their order and attributes; names, documents and sizes follow the new digests.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write};

use super::documents::{Renames, is_description};
use super::error::RebuildError;
use super::flat::Changes;
use super::headers::Headers;
use super::layers::{Lost, Made, Parts, Step, Together};
use super::sink::{Out, Sink, Target, write_at};
use super::{Rebuilt, RebuiltLayer};
use crate::digest::{Digest, Hasher, HashingReader};
use crate::limits::{Limit, Limits};
use crate::metadata::{Body, LayerDescription, SplitReader, StreamFault, Where, names};
use crate::parallel::{self, Jobs};
use crate::progress::Progress;
use crate::record::{Entry, Kind, Walker};
use crate::source::{Slice, Source};
use crate::write::{HeaderFields, encode_header};

/// How much is read or written at a time around a temporary file.
const BUFFER: usize = 256 << 10;

/// How many bytes all documents of an archive that describe images may have together: they are held in
/// memory, since each may have to be changed.
const DOCUMENTS_LIMIT: u64 = 256 << 20;

/// A layer's blob as it will be.
struct Blob<'l> {
    index: usize,
    layer: &'l LayerDescription,
    lost: &'l [Lost],
    diff_id: Digest,
    digest: Digest,
    size: u64,
    /// The bytes, where they are no plain layer.
    bytes: Option<Slice>,
}

/// What a member has for a body.
enum Content<'c> {
    Layer(&'c Blob<'c>),
    Bytes(Vec<u8>),
    Other(Body),
}

impl Content<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Layer(blob) => blob.size,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Other(body) => body.size,
        }
    }
}

pub(super) fn write(
    parts: &Parts<'_>,
    lost: &[Vec<Lost>],
    target: Target<'_>,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Rebuilt, RebuildError> {
    let description = parts.container.description();
    let layers = &description.layers;
    let blobs = blobs(parts, lost, jobs, progress)?;
    let mut renames = Renames::default();
    for blob in blobs.values() {
        let old_diff = super::digest(&blob.layer.diff_id)?;
        let old_blob = super::digest(&blob.layer.blob)?;
        renames.add(old_diff.encoded(), blob.diff_id.encoded(), blob.size);
        renames.add(old_blob.encoded(), blob.digest.encoded(), blob.size);
    }
    let bodies = bodies(parts)?;
    let contents = contents(parts, &blobs, bodies, &mut renames)?;
    let bytes = members(parts, &renames, contents, target, jobs, progress)?;

    let rebuilt = layers.iter().zip(lost).map(|(layer, lost)| {
        let blob = blobs.get(&layer.folder);
        let changed = |old: &str, new: &Digest| {
            let new = new.to_string();
            (new != old).then_some(new)
        };
        RebuiltLayer {
            diff_id: layer.diff_id.clone(),
            new_diff_id: blob.and_then(|blob| changed(&layer.diff_id, &blob.diff_id)),
            lost: lost.len(),
            lost_bytes: lost.iter().map(|lost| lost.size).sum(),
            new_blob: blob
                .and_then(|blob| changed(&layer.blob, &blob.digest))
                .map(|new| (layer.blob.clone(), new)),
        }
    });
    let id = &description.image.id;
    let new_id = id.strip_prefix("sha256:").and_then(|id| renames.get(id));
    Ok(Rebuilt {
        exact: false,
        bytes,
        layers: rebuilt.collect(),
        image_id: new_id.map(|new| (id.clone(), format!("sha256:{new}"))),
    })
}

// --- blobs ----------------------------------------------------------------------------------------

/// The blobs that are not kept, by their folder.
fn blobs<'l>(
    parts: &'l Parts<'_>,
    lost: &'l [Vec<Lost>],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<HashMap<usize, Blob<'l>>, RebuildError> {
    let layers = &parts.container.description().layers;
    let mut first: HashMap<usize, usize> = HashMap::new();
    for (index, layer) in layers.iter().enumerate().filter(|(_, layer)| !layer.kept) {
        first.entry(layer.folder).or_insert(index);
    }
    let mut indices: Vec<usize> = first.into_values().collect();
    indices.sort_unstable();
    let task = progress.begin("rebuilding layers", None);
    let made = parallel::map(
        jobs,
        &indices,
        |&index| layers[index].size,
        |&index| {
            let blob = blob(parts, index, &layers[index], &lost[index]);
            task.advance(layers[index].size);
            blob
        },
    );
    made.into_iter()
        .map(|blob| blob.map(|blob| (blob.layer.folder, blob)))
        .collect()
}

fn blob<'l>(
    parts: &Parts<'_>,
    index: usize,
    layer: &'l LayerDescription,
    lost: &'l [Lost],
) -> Result<Blob<'l>, RebuildError> {
    let claimed = super::digest(&layer.diff_id)?;
    let mut blob = Blob {
        index,
        layer,
        lost,
        diff_id: claimed.clone(),
        digest: claimed.clone(),
        size: layer.size,
        bytes: None,
    };
    if !lost.is_empty() {
        // No diff ID vouches for what is left, so every file is held against its own sum.
        let mut changes = Changes::default();
        parts.contents(layer, &mut changes)?;
        changes.refuse(parts.flat)?;
    }
    if layer.compression == "none" {
        if !lost.is_empty() {
            let made = parts.layer(layer, lost, Out::Nothing)?;
            (blob.diff_id, blob.size) = (made.digest, made.size);
            blob.digest = blob.diff_id.clone();
        }
        return Ok(blob);
    }
    let file = tempfile::tempfile().map_err(RebuildError::Spool)?;
    let mut encoder = Encoder::new(&layer.compression, BufWriter::with_capacity(BUFFER, file))?;
    let made = parts
        .layer(layer, lost, Out::Stream(&mut encoder))
        .map_err(spooling)?;
    if lost.is_empty() && made.digest != claimed {
        return Err(parts.blame(index, layer, &made));
    }
    let mut file = encoder.finish().map_err(RebuildError::Spool)?;
    let rewound = file.rewind();
    let mut reader = HashingReader::new(BufReader::with_capacity(BUFFER, &file), Hasher::sha256());
    rewound
        .and_then(|()| io::copy(&mut reader, &mut io::sink()))
        .map_err(RebuildError::Spool)?;
    let (digest, len, _) = reader.finish();
    let Made {
        digest: diff_id, ..
    } = made;
    let source = Source::temporary(file, len, "a rebuilt layer".to_owned());
    (blob.diff_id, blob.digest, blob.size) = (diff_id, digest, len);
    blob.bytes = Some(source.whole());
    Ok(blob)
}

/// The only output of a layer under construction is a temporary file.
fn spooling(error: RebuildError) -> RebuildError {
    match error {
        RebuildError::Write(source) => RebuildError::Spool(source),
        other => other,
    }
}

/// Compresses as the blob was compressed.
enum Encoder<W: Write> {
    Gzip(flate2::write::GzEncoder<W>),
    Bzip2(bzip2::write::BzEncoder<W>),
    Xz(liblzma::write::XzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl Encoder<BufWriter<File>> {
    fn new(compression: &str, out: BufWriter<File>) -> Result<Self, RebuildError> {
        Ok(match compression {
            "gzip" => Self::Gzip(flate2::write::GzEncoder::new(
                out,
                flate2::Compression::default(),
            )),
            "bzip2" => Self::Bzip2(bzip2::write::BzEncoder::new(
                out,
                bzip2::Compression::default(),
            )),
            "xz" => Self::Xz(liblzma::write::XzEncoder::new(out, 6)),
            "zstd" => {
                let encoder = zstd::stream::write::Encoder::new(out, 3);
                Self::Zstd(encoder.map_err(RebuildError::Spool)?)
            }
            other => {
                let why = format!("the compression `{other}` is not known");
                return Err(StreamFault::Wrong(why).of(names::DESCRIPTION).into());
            }
        })
    }

    fn finish(self) -> io::Result<File> {
        let out = match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Bzip2(encoder) => encoder.finish()?,
            Self::Xz(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(encoder) => encoder.write(buf),
            Self::Bzip2(encoder) => encoder.write(buf),
            Self::Xz(encoder) => encoder.write(buf),
            Self::Zstd(encoder) => encoder.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// --- members --------------------------------------------------------------------------------------

/// The bodies of the archive's members, by the number of the member.
fn bodies(parts: &Parts<'_>) -> Result<Vec<Option<Body>>, RebuildError> {
    let mut bodies = Vec::new();
    Together::archive(parts.container)?.each(|step| {
        if let Step::Entry(body) = step {
            bodies.push(body);
        }
        Ok(())
    })?;
    Ok(bodies)
}

/// What the members will have for bodies; documents follow the new digests.
fn contents<'b>(
    parts: &Parts<'_>,
    blobs: &'b HashMap<usize, Blob<'b>>,
    bodies: Vec<Option<Body>>,
    renames: &mut Renames,
) -> Result<Vec<Option<Content<'b>>>, RebuildError> {
    let layers = &parts.container.description().layers;
    let mut contents = Vec::with_capacity(bodies.len());
    let mut documents = Vec::new();
    let mut total = 0;
    for body in bodies {
        let Some(body) = body else {
            contents.push(None);
            continue;
        };
        contents.push(Some(match &body.place {
            Where::Layer(index) => {
                let blob = layers
                    .get(*index)
                    .and_then(|layer| blobs.get(&layer.folder));
                let Some(blob) = blob else {
                    let why = format!("there is no layer {index} to be put together");
                    return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
                };
                Content::Layer(blob)
            }
            Where::Member(name) => {
                let slice = parts.container.slice(name)?;
                let mut first = [0];
                slice.read_at(&mut first, 0)?;
                if matches!(first, [b'{' | b'[']) && slice.len() <= Limits::DEFAULT.of(Limit::Json)
                {
                    let bytes = slice.read_all()?;
                    if Digest::sha256_of(&bytes).encoded() != const_hex::encode(body.sha256) {
                        let why = "it is not what it was".to_owned();
                        return Err(StreamFault::Wrong(why).of(name).into());
                    }
                    if !is_description(&bytes) {
                        contents.push(Some(Content::Other(body)));
                        continue;
                    }
                    // Metadata can name one member as the body of any number of others.
                    total += slice.len();
                    if total > DOCUMENTS_LIMIT {
                        let why = format!("its documents have more than {DOCUMENTS_LIMIT} bytes");
                        return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
                    }
                    documents.push(bytes);
                    Content::Bytes(Vec::new())
                } else {
                    Content::Other(body)
                }
            }
            _ => Content::Other(body),
        }));
    }
    let mut changed = renames.follow(&documents).into_iter();
    for content in contents.iter_mut().flatten() {
        if let Content::Bytes(bytes) = content {
            *bytes = changed.next().unwrap_or_default();
        }
    }
    Ok(contents)
}

/// A body and where it goes.
struct Job<'c> {
    content: Content<'c>,
    offset: u64,
}

fn members(
    parts: &Parts<'_>,
    renames: &Renames,
    contents: Vec<Option<Content<'_>>>,
    mut target: Target<'_>,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<u64, RebuildError> {
    let task = progress.begin("writing", None);
    let reader = SplitReader::new(parts.container.reader(names::ARCHIVE_SPLIT)?);
    let headers = Headers::new(reader, parts.container.description().archive.size);
    let mut walker = Walker::new(headers);
    let mut contents = contents.into_iter();
    let mut waiting = Vec::new();
    let mut at = 0_u64;
    let mut buf = Vec::new();
    let plain = |target: &mut Target<'_>, bytes: &[u8], at: &mut u64| {
        let written = match target {
            Target::File(file) => write_at(file, bytes, *at),
            Target::Stream(stream) => stream.write_all(bytes),
        };
        *at += bytes.len() as u64;
        written.map_err(RebuildError::Write)
    };
    loop {
        let entry = walker.next_entry();
        let wrong = |why: String| StreamFault::Wrong(why).of(names::ARCHIVE_SPLIT);
        let Some(entry) = entry.map_err(|why| wrong(why.to_string()))? else {
            break;
        };
        if entry.kind == Kind::Global {
            continue;
        }
        let content = contents.next().flatten();
        if entry.sparse.is_some() {
            let why = "a member is sparse, which only an exact return can keep";
            return Err(wrong(why.to_owned()).into());
        }
        let size = content.as_ref().map_or(0, Content::len);
        buf.clear();
        if !header(&mut buf, &entry, renames, size) {
            continue;
        }
        plain(&mut target, &buf, &mut at)?;
        let Some(content) = content else { continue };
        let offset = at;
        at += size;
        match &mut target {
            Target::File(_) => waiting.push(Job { content, offset }),
            Target::Stream(stream) => {
                content_to(parts, &content, Out::Stream(stream))?;
                task.advance(size);
            }
        }
        let padding = usize::try_from(size.wrapping_neg() % 512).unwrap_or(0);
        plain(&mut target, &[0; 512][..padding], &mut at)?;
    }
    plain(&mut target, &[0; 1024], &mut at)?;
    if let Target::File(file) = target {
        let written = parallel::map(
            jobs,
            &waiting,
            |job| job.content.len(),
            |job| {
                content_to(parts, &job.content, Out::At(file, job.offset))?;
                task.advance(job.content.len());
                Ok(())
            },
        );
        written.into_iter().collect::<Result<(), RebuildError>>()?;
    }
    Ok(at)
}

/// Appends the header of a member under its new name; false for what no archive needs.
fn header(out: &mut Vec<u8>, entry: &Entry, renames: &Renames, size: u64) -> bool {
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let device = |n: i64| u32::try_from(n).unwrap_or(0);
    let typeflag = match entry.kind {
        Kind::File => b'0',
        Kind::Hardlink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
        Kind::Global | Kind::Other(_) => return false,
    };
    let mut path = renames.apply(&entry.path);
    if entry.kind == Kind::Directory && !path.ends_with(b"/") {
        path.push(b'/');
    }
    let link = match entry.kind {
        Kind::Hardlink | Kind::Symlink => renames.apply(&entry.link),
        _ => Vec::new(),
    };
    encode_header(
        out,
        &HeaderFields {
            path: &path,
            typeflag,
            link: &link,
            mode: u16::try_from(entry.mode & 0o7777).unwrap_or(0),
            uid: number(entry.uid),
            gid: number(entry.gid),
            size,
            mtime: entry.mtime,
            device: (device(entry.device.0), device(entry.device.1)),
            xattrs: &[],
        },
    );
    true
}

fn content_to(parts: &Parts<'_>, content: &Content<'_>, out: Out<'_>) -> Result<(), RebuildError> {
    match content {
        Content::Layer(blob) if blob.bytes.is_none() => {
            let made = parts.layer(blob.layer, blob.lost, out)?;
            if made.digest != blob.diff_id {
                return Err(parts.blame(blob.index, blob.layer, &made));
            }
        }
        Content::Layer(blob) => {
            let mut sink = Sink::new(out);
            if let Some(bytes) = &blob.bytes {
                sink.slice::<RebuildError>(bytes)?;
            }
            sink.finish().map_err(RebuildError::Write)?;
        }
        Content::Bytes(bytes) => {
            let mut sink = Sink::new(out);
            sink.bytes(bytes).map_err(RebuildError::Write)?;
            sink.finish().map_err(RebuildError::Write)?;
        }
        Content::Other(body) => {
            let mut sink = Sink::new(out);
            parts.body(body, &mut sink)?;
            let (digest, _) = sink.finish().map_err(RebuildError::Write)?;
            if digest.encoded() != const_hex::encode(body.sha256) {
                let why = format!("the body of entry {} is not what it was", body.position);
                return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
            }
        }
    }
    Ok(())
}
