//! The archive with other blobs than it had: recompressed, or without what is lost. Members
//! keep their order and attributes; names, documents and sizes follow the new digests.

use std::collections::HashMap;

use super::blobs::{RebuiltBlob, blobs};
use super::documents::{Renames, is_description};
use super::error::RebuildError;
use super::headers::{Headers, of_walk};
use super::layers::{LayerStep, Lost, Parts};
use super::places::Places;
use super::sink::{Out, Sink, Target};
use super::{Rebuilt, RebuiltLayer, mismatch};
use crate::base::digest::{Digest, ImageId};
use crate::base::escape;
use crate::base::jobs::Jobs;
use crate::base::limits::Limit;
use crate::base::progress::{Progress, steps};
use crate::output::{HeaderFields, encode_header};
use crate::split::metadata::{BodyRecord, MetadataError, StreamFault, Where, names};
use crate::tar::{Entry, Kind, Walker};

/// The body of a member.
enum Content<'c> {
    Layer(&'c RebuiltBlob<'c>),
    Bytes(&'c [u8]),
    Other(BodyRecord),
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

/// The documents that have changed, by their member of the metadata.
type Documents = HashMap<String, Vec<u8>>;

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
        let (old, new) = (blob.layer.diff_id.digest(), blob.diff_id.digest());
        renames.add(old.encoded(), new.encoded(), blob.size);
        let (old, new) = (blob.layer.blob.digest(), blob.digest.digest());
        renames.add(old.encoded(), new.encoded(), blob.size);
    }
    let documents = documents(parts, &mut renames)?;
    let new = New {
        parts,
        blobs: &blobs,
        documents: &documents,
        renames: &renames,
    };
    let bytes = new.write(target, jobs, progress)?;

    let rebuilt = layers.iter().zip(lost).map(|(layer, lost)| {
        let blob = blobs.get(&layer.folder);
        let diff_id = blob.map(|blob| &blob.diff_id);
        let digest = blob.map(|blob| &blob.digest);
        RebuiltLayer {
            diff_id: layer.diff_id.clone(),
            new_diff_id: diff_id.filter(|id| **id != layer.diff_id).cloned(),
            lost: lost.len(),
            lost_bytes: lost.iter().map(|lost| lost.size).sum(),
            new_blob: digest
                .filter(|digest| **digest != layer.blob)
                .map(|new| (layer.blob.clone(), new.clone())),
        }
    });
    let id = &description.image.id;
    let image_id = id.parse::<Digest>().ok().and_then(|old| {
        let new = Digest::from_sha256_hex(renames.get(old.encoded())?).ok()?;
        Some((ImageId::from(old), ImageId::from(new)))
    });
    Ok(Rebuilt {
        exact: false,
        bytes,
        layers: rebuilt.collect(),
        image_id,
    })
}

/// Reads the documents that describe images, and returns those that change.
fn documents(parts: &Parts<'_>, renames: &mut Renames) -> Result<Documents, RebuildError> {
    let limits = parts.account.limits();
    let mut sums: HashMap<String, Option<Digest>> = HashMap::new();
    let mut members: Vec<String> = Vec::new();
    let mut texts = Vec::new();
    let mut total = 0_u64;
    parts.archive_stream()?.each(|step| {
        let LayerStep::Entry(Some(body)) = step else {
            return Ok(());
        };
        let Where::Member(name) = &body.place else {
            return Ok(());
        };
        // One member can be the body of any number of others.
        if let Some(sum) = sums.get(name) {
            return is_claimed(name, sum.as_ref(), &body);
        }
        let slice = parts.container.slice(name)?;
        let mut first = [0];
        slice.read_at(&mut first, 0)?;
        let mut sum = None;
        if matches!(first, [b'{' | b'[']) {
            let limit = |exceeded| StreamFault::Limit(exceeded).of(name);
            limits.check(Limit::Json, slice.len()).map_err(limit)?;
            let text = slice.read_all()?;
            if is_description(&text) {
                // Each is held in memory, since each may have to be changed.
                total += slice.len();
                limits.check(Limit::JsonTotal, total).map_err(limit)?;
                sum = Some(Digest::sha256_of(&text));
                members.push(name.clone());
                texts.push(text);
            }
        }
        is_claimed(name, sum.as_ref(), &body)?;
        sums.insert(name.clone(), sum);
        Ok(())
    })?;
    let changed = renames.follow(&texts).map_err(|_circle| {
        let why = "documents of the archive refer to each other in a circle".to_owned();
        StreamFault::Wrong(why).of(names::ARCHIVE_BODIES)
    })?;
    let changed = members.into_iter().zip(changed);
    Ok(changed
        .filter_map(|(name, text)| Some((name, text?)))
        .collect())
}

/// Whether a document, if it is one, is what a line claims; other bodies are verified when they are written.
fn is_claimed(name: &str, sum: Option<&Digest>, body: &BodyRecord) -> Result<(), RebuildError> {
    match sum {
        Some(sum) if sum.encoded() != const_hex::encode(body.sha256) => {
            let why = mismatch("the document", &body.sha256, sum);
            Err(StreamFault::Wrong(why).of(name).into())
        }
        _ => Ok(()),
    }
}

/// What the archive is put together from.
struct New<'n> {
    parts: &'n Parts<'n>,
    blobs: &'n HashMap<usize, RebuiltBlob<'n>>,
    documents: &'n Documents,
    renames: &'n Renames,
}

impl<'n> New<'n> {
    fn write(
        &self,
        target: Target<'_>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<u64, RebuildError> {
        let parts = self.parts;
        let expected = parts.container.description().archive.size;
        let task = progress.begin(steps::WRITING, Some(expected));
        let put = |content: &Content<'_>, out: Out<'_>| {
            self.put(content, out)?;
            task.advance(content.len());
            Ok(())
        };
        let mut places = Places::new(target, jobs, put);
        let len = parts.container.description().archive.size;
        let headers = parts.headers(names::ARCHIVE_SPLIT.to_owned(), len)?;
        let mut walker = Walker::new(Headers::new(&headers)?);
        let mut bodies = parts.archive_bodies()?;
        let mut next_body = || -> Result<Option<BodyRecord>, MetadataError> {
            bodies
                .next_body()
                .map_err(|fault| fault.of(names::ARCHIVE_BODIES))
        };
        let mut buf = Vec::new();
        loop {
            let entry = walker.next_entry();
            let Some(entry) = entry.map_err(|error| of_walk(error, names::ARCHIVE_SPLIT))? else {
                break;
            };
            if entry.kind == Kind::Global {
                continue;
            }
            if entry.sparse.is_some() {
                return Err(kept(&entry, "is sparse").into());
            }
            let mut content = None;
            if entry.kind == Kind::File && entry.stored_size > 0 {
                let body = next_body()?.filter(|body| body.size == entry.stored_size);
                let body = body.ok_or_else(|| disagree(entry.data_offset))?;
                content = Some(self.content(body)?);
            }
            let size = content.as_ref().map_or(0, Content::len);
            buf.clear();
            if !self.header(&mut buf, &entry, size)? {
                continue;
            }
            places.bytes(&buf)?;
            let Some(content) = content else { continue };
            let is_layer = matches!(content, Content::Layer(_));
            places.body(content, size, is_layer)?;
            let padding = usize::try_from(size.wrapping_neg() % 512).expect("it is below 512");
            places.bytes(&[0; 512][..padding])?;
        }
        if next_body()?.is_some() {
            return Err(disagree(walker.position()).into());
        }
        places.bytes(&[0; 1024])?;
        places.finish()
    }

    fn content(&self, body: BodyRecord) -> Result<Content<'n>, RebuildError> {
        match &body.place {
            Where::Layer(index) => {
                let layer = self.parts.container.description().layers.get(*index);
                let blob = layer.and_then(|layer| self.blobs.get(&layer.folder));
                let Some(blob) = blob else {
                    let why = format!("there is no layer {index} to be put together");
                    return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
                };
                Ok(Content::Layer(blob))
            }
            Where::Member(name) => match self.documents.get(name) {
                Some(text) => Ok(Content::Bytes(text)),
                None => Ok(Content::Other(body)),
            },
            Where::Flat(_) | Where::Stored(_) | Where::Nowhere => Ok(Content::Other(body)),
        }
    }

    /// Appends the header of a member under its new name; false for what no archive needs.
    fn header(&self, out: &mut Vec<u8>, entry: &Entry, size: u64) -> Result<bool, MetadataError> {
        let number =
            |n: i64| u64::try_from(n).map_err(|_| kept(entry, "has an owner or a group below 0"));
        let device = |n: i64| {
            u32::try_from(n).map_err(|_| kept(entry, "has device numbers that no device has"))
        };
        let typeflag = match entry.kind {
            Kind::File => b'0',
            Kind::Hardlink => b'1',
            Kind::Symlink => b'2',
            Kind::Char => b'3',
            Kind::Block => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
            Kind::Global | Kind::Other(_) => return Ok(false),
        };
        let mut path = self.renames.apply(&entry.path);
        if entry.kind == Kind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let link = match entry.kind {
            Kind::Hardlink | Kind::Symlink => self.renames.apply(&entry.link),
            _ => Vec::new(),
        };
        encode_header(
            out,
            &HeaderFields {
                path: &path,
                typeflag,
                link: &link,
                mode: u16::try_from(entry.mode & 0o7777).expect("it is masked to 12 bits"),
                uid: number(entry.uid)?,
                gid: number(entry.gid)?,
                size,
                mtime: entry.mtime,
                device: (device(entry.device.0)?, device(entry.device.1)?),
                xattrs: &[],
            },
        );
        Ok(true)
    }

    fn put(&self, content: &Content<'_>, out: Out<'_>) -> Result<(), RebuildError> {
        match content {
            Content::Layer(blob) => blob.put(self.parts, out),
            Content::Bytes(bytes) => {
                let mut sink = Sink::sized(out, bytes.len() as u64);
                sink.bytes(bytes).map_err(RebuildError::Write)?;
                sink.finish().map_err(RebuildError::Write).map(drop)
            }
            Content::Other(body) => {
                let mut sink = Sink::sized(out, body.size);
                self.parts.body(body, names::ARCHIVE_BODIES, &mut sink)?;
                let written = sink.finish().map_err(RebuildError::Write)?;
                let digest = written.diff_id().digest();
                if digest.encoded() != const_hex::encode(body.sha256) {
                    let what = format!("the body of line {}", body.position);
                    let why = mismatch(&what, &body.sha256, digest);
                    return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
                }
                Ok(())
            }
        }
    }
}

/// A member of the archive that cannot be written as it was.
fn kept(entry: &Entry, what: &str) -> MetadataError {
    let why = format!(
        "the member `{}` of the archive (header at byte {}) {what}, which only an archive that comes back byte for byte can keep",
        escape::name(&entry.path),
        entry.header_offset
    );
    StreamFault::Wrong(why).of(names::ARCHIVE_SPLIT)
}

fn disagree(at: u64) -> MetadataError {
    let why = format!("it and the headers disagree about the body at byte {at} of the archive");
    StreamFault::Wrong(why).of(names::ARCHIVE_BODIES)
}
