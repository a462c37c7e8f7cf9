//! What a file consists of: which stretches of it are tars, blobs or other members.
//!
//! This goes by bytes and not by what manifests say, so that a damaged archive, and one whose manifest names half of
//! what is there, has the same parts. Only members of what is laid out as an image archive are looked into: a `.gz` in
//! a root file system is a file like any other.
//!
//! Threats, and what is done about them: the walk over members has the limits of [`Contents::index`]; what is decoded
//! is counted by the limits of its file; what is not a tar, or ends early, is bytes.

use std::io::{self, BufReader, Read, Write};

use super::DeltaError;
use crate::archive::{ArchiveError, Contents, Evidence, MemberKind, MemberName};
use crate::base::constants::BUFFER;
use crate::base::digest::{Digest, Hasher};
use crate::base::limits::Exceeded;
use crate::base::progress::Task;
use crate::image::ImageSet;
use crate::source::{Compression, Input, MAGIC_LEN, Slice, SourceError, Span, sniff};
use crate::tar::is_header;

/// How many bytes a tar that is looked into has at least: a header and an end.
const SMALLEST_TAR: u64 = 1024;

/// A file taken apart.
#[derive(Debug)]
pub(super) struct Anatomy {
    pub(super) input: Input,
    pub(super) inside: Inside,
}

/// What a file is, once a compression around all of it is undone.
#[derive(Debug)]
pub(super) enum Inside {
    /// An image archive, with the members that have bytes, in their order.
    Archive(Vec<Part>),
    /// Another tar.
    Tar,
    /// Something else.
    Bytes,
}

/// A member of an image archive.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Its name for people: that of the layer, or of the member.
    pub(super) name: String,
    /// Its bytes.
    pub(super) bytes: Slice,
    pub(super) looks: PartLooks,
    /// Whether it is called after its digest, so that it is the same in every archive that has it.
    pub(super) is_named_by_digest: bool,
}

/// What the bytes of a part look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartLooks {
    Tar,
    Compressed(Compression),
    Other,
}

impl Anatomy {
    /// Takes a file apart, without decoding anything in it.
    pub(super) fn of(input: &Input) -> Result<Self, DeltaError> {
        let inside = match Contents::index(input.clone()) {
            Ok(contents) if is_image_archive(&contents) => Inside::Archive(parts(&contents)?),
            Ok(_) => Inside::Tar,
            Err(error @ (ArchiveError::Read { .. } | ArchiveError::TooManyMembers { .. })) => {
                return Err(error.into());
            }
            Err(_) => Inside::Bytes,
        };
        Ok(Self {
            input: input.clone(),
            inside,
        })
    }

    /// The plain bytes of all of it.
    pub(super) fn whole(&self) -> Slice {
        self.input.source().whole()
    }

    /// The images in it, where their descriptions can be read.
    pub(super) fn images(&self) -> Option<ImageSet> {
        match self.inside {
            Inside::Archive(_) => images(&Contents::index(self.input.clone()).ok()?),
            _ => None,
        }
    }
}

fn images(contents: &Contents) -> Option<ImageSet> {
    contents.images().ok()
}

fn is_image_archive(contents: &Contents) -> bool {
    let evidence = Evidence::gather(contents);
    evidence.manifest_json || evidence.index_json || evidence.oci_layout || !evidence.v1.is_empty()
}

fn parts(contents: &Contents) -> Result<Vec<Part>, DeltaError> {
    let mut spans: Vec<(Span, &MemberName)> = Vec::new();
    for member in contents.members() {
        if let MemberKind::File(span) = &member.kind
            && span.len > 0
        {
            spans.push((*span, &member.name));
        }
    }
    spans.sort_by_key(|(span, _)| span.offset);
    let source = contents.source();
    let layers = layer_names(contents);
    let mut parts = Vec::with_capacity(spans.len());
    for (span, name) in spans {
        let bytes = source.slice(span);
        if bytes.len() < span.len {
            // The file was cut in the middle of it.
            break;
        }
        let known = layers.binary_search_by_key(&span.offset, |(at, _)| *at);
        parts.push(Part {
            name: known.map_or_else(|_| name.to_lossy(), |at| layers[at].1.clone()),
            looks: looks(&bytes)?,
            is_named_by_digest: is_digest(name),
            bytes,
        });
    }
    Ok(parts)
}

/// What people call the layers of an archive, by where they are in it.
fn layer_names(contents: &Contents) -> Vec<(u64, String)> {
    let Some(set) = images(contents) else {
        return Vec::new();
    };
    let mut names: Vec<(u64, String)> = Vec::new();
    for image in &set.images {
        for layer in &image.layers {
            let Ok((bytes, _)) = layer.stored() else {
                continue;
            };
            let at = bytes.span().offset;
            let name = format!("layer {} of {}", layer.index, image.display_name());
            names.push((at, name));
        }
    }
    names.sort();
    names.dedup_by_key(|(at, _)| *at);
    names
}

fn is_digest(name: &MemberName) -> bool {
    let base = name.base();
    let base = base.strip_suffix(b".json").unwrap_or(base);
    let base = base.strip_suffix(b".tar").unwrap_or(base);
    base.len() == 64 && base.iter().all(u8::is_ascii_hexdigit)
}

/// What bytes look like.
pub(super) fn looks(bytes: &Slice) -> Result<PartLooks, SourceError> {
    let mut head = [0; 512];
    let n = bytes.read_at(&mut head, 0)?;
    let compression = sniff(&head[..n.min(MAGIC_LEN)]);
    Ok(match compression {
        Compression::None if bytes.len() >= SMALLEST_TAR && is_header(&head[..n]) => PartLooks::Tar,
        Compression::None => PartLooks::Other,
        compression => PartLooks::Compressed(compression),
    })
}

/// The content of compressed bytes.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Slice,
    pub(super) sha256: Digest,
}

/// Decodes what is compressed into an unnamed temporary file. `None` if it is damaged, or if anything follows the
/// compressed data.
pub(super) fn decoded(
    stored: &Slice,
    compression: Compression,
    task: &dyn Task,
) -> Result<Option<Content>, DeltaError> {
    let reader = BufReader::with_capacity(BUFFER, stored.reader());
    let mut decoder = stored
        .decode(compression, reader)
        .map_err(DeltaError::Spool)?;
    let mut file = tempfile::tempfile().map_err(DeltaError::Spool)?;
    let mut hasher = Hasher::sha256();
    let mut buf = vec![0; BUFFER];
    let (mut len, mut told) = (0, 0);
    loop {
        let n = match decoder.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return damaged(stored, e),
        };
        hasher.update(&buf[..n]);
        file.write_all(&buf[..n]).map_err(DeltaError::Spool)?;
        len += n as u64;
        let position = decoder.get_ref().get_ref().position();
        task.advance(position - told);
        told = position;
    }
    if decoder.has_trailing_data() || len == 0 {
        return Ok(None);
    }
    Ok(Some(Content {
        bytes: stored.source().derived_for_one(file, len).whole(),
        sha256: hasher.finish(),
    }))
}

/// What it means that compressed bytes cannot be decoded.
fn damaged(stored: &Slice, error: io::Error) -> Result<Option<Content>, DeltaError> {
    if let Some(exceeded) = Exceeded::behind(&error) {
        return Err(DeltaError::TooMuch {
            path: stored.source().label(),
            source: *exceeded,
        });
    }
    match error.downcast::<SourceError>() {
        Ok(error) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
