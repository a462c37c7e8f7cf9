//! Archives inside an archive: bundles for machines without a network hold images as files.
//!
//! Threats: the number of members that are looked at and decoded is limited, and so are the bytes and headers
//! that are read of each; a decoder counts against the limits of the archive.

use std::fmt;
use std::io::{BufReader, Read as _};

use super::looks::is_rootfs;
use super::{Contents, Member, MemberKind};
use crate::source::{Compression, Slice, Source, Span, sniff};
use crate::tar::{BLOCK, Cursor, Positioned, Streamed, Walker, is_header};

/// How many files are looked at.
const LOOKED_AT: usize = 1000;
/// How many archives are looked into, and how many compressed ones among them.
const OPENED: usize = 100;
const DECODED: usize = 16;
/// How many headers of one are read.
const HEADERS: usize = 1000;
/// How many bytes of a compressed one are decoded.
const DECODED_BYTES: u64 = 1 << 20;
/// How many archives a message names.
const NAMED: usize = 5;

/// An archive inside another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerArchive {
    /// The name of the member as written, which is what `tar` asks for.
    pub name: Vec<u8>,
    /// How the archive inside is compressed.
    pub compression: Compression,
    /// What it holds.
    pub content: InnerContent,
}

/// What an archive inside another one holds, as far as its first headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InnerContent {
    /// Images.
    Images,
    /// A root file system.
    Tree,
}

/// The archives among the files of `archive`, those with images first.
pub(super) fn archives(archive: &Contents) -> Vec<InnerArchive> {
    let mut found = Vec::new();
    let mut opened = 0;
    let mut decoded = 0;
    let files = archive
        .members()
        .iter()
        .filter_map(|member| match member.kind {
            MemberKind::File(span) if span.len > 0 => Some((member, span)),
            _ => None,
        });
    for (member, span) in files.take(LOOKED_AT) {
        let slice = archive.source().slice(span);
        let mut head = [0; BLOCK];
        // A member that cannot be read does not count as an archive; whatever reads it itself reports why.
        let Ok(n) = slice.read_at(&mut head, 0) else {
            continue;
        };
        let compression = sniff(&head[..n]);
        let content = match compression {
            Compression::None if is_header(&head[..n]) && opened < OPENED => {
                opened += 1;
                content(Positioned::new(slice))
            }
            Compression::None => None,
            compression if decoded < DECODED => {
                decoded += 1;
                decode(&slice, compression)
            }
            _ => None,
        };
        if let Some(content) = content {
            found.push(InnerArchive {
                name: written_name(archive, member),
                compression,
                content,
            });
        }
    }
    found.sort_by_key(|inner| inner.content != InnerContent::Images);
    found
}

fn decode(slice: &Slice, compression: Compression) -> Option<InnerContent> {
    let decoder = slice.decode(compression, BufReader::new(slice.reader()));
    let bytes = decoder.ok()?.take(DECODED_BYTES);
    content(Streamed::new(bytes, slice.source().limits()))
}

/// What the first headers tell, wherever and however they end.
fn content(cursor: impl Cursor) -> Option<InnerContent> {
    let mut walker = Walker::new(cursor);
    let mut names = Vec::new();
    while names.len() < HEADERS
        && let Ok(Some(entry)) = walker.next_entry()
    {
        let name = super::MemberName::new(&entry.path);
        if is_of_image(name.as_bytes()) {
            return Some(InnerContent::Images);
        }
        names.push(name);
    }
    is_rootfs(names.iter().map(super::MemberName::as_bytes)).then_some(InnerContent::Tree)
}

/// Whether image archives have a member of this name, and hardly anything else.
fn is_of_image(name: &[u8]) -> bool {
    let id = |name: &[u8]| name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit);
    matches!(name, b"manifest.json" | b"oci-layout" | b"repositories")
        || name.starts_with(b"blobs/sha256/")
        || name.strip_suffix(b"/layer.tar").is_some_and(id)
        || name.strip_suffix(b".json").is_some_and(id)
}

/// What stands at `offset` behind the end of a tar, if it is another archive.
pub(crate) fn archive_behind(source: &Source, offset: u64) -> Option<&'static str> {
    let slice = source.slice(Span {
        offset,
        len: u64::MAX,
    });
    let mut head = [0; BLOCK];
    let n = slice.read_at(&mut head, 0).ok()?;
    let content = match sniff(&head[..n]) {
        Compression::None if !is_header(&head[..n]) => return None,
        Compression::None => content(Positioned::new(slice)),
        compression => Some(decode(&slice, compression)?),
    };
    Some(match content {
        Some(InnerContent::Images) => "image archive",
        Some(InnerContent::Tree) => "tar of a root file system",
        None => "tar archive",
    })
}

/// The name of a member as its header writes it: with `./` or `/` in front, if it has them.
fn written_name(archive: &Contents, member: &Member) -> Vec<u8> {
    let rest = archive.source().slice(Span {
        offset: member.offset,
        len: u64::MAX,
    });
    match Walker::new(Positioned::new(rest)).next_entry() {
        Ok(Some(entry)) => entry.path,
        _ => member.name.as_bytes().to_vec(),
    }
}

/// Words for what a bundle is.
pub(super) fn describe(archives: &[InnerArchive], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let content = archives.first().map(|inner| inner.content);
    f.write_str(match content {
        Some(InnerContent::Tree) => "it holds archives of root file systems: ",
        _ => "it holds image archives: ",
    })?;
    let same: Vec<&InnerArchive> = archives
        .iter()
        .filter(|inner| Some(inner.content) == content)
        .collect();
    for (i, inner) in same.iter().take(NAMED).enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}`{}`", crate::base::escape::name(&inner.name))?;
    }
    match same.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}
