//! The outer tar: members in the order of a directory walk, owners 0.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use super::blobs::NamedLayer;
use super::image::{LayerBlob, absent};
use crate::base::digest::Digest;
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::base::progress::steps::WRITING;
use crate::layer::digest::Claims;
use crate::output::WriteError;
use crate::output::copying::{Afterwards, Move, SharedFile, WriteFrom};
use crate::output::delta::DeltaLayer;
use crate::output::header::HeaderFields;
use crate::output::parallel::{Placing, Stored, copy_all, write_small};
use crate::output::tar::TarWriter;
use crate::source::{ByPlace, Compression, Slice, Span};
use crate::tar::Mtime;

/// What a member holds.
#[derive(Debug)]
enum MemberContent {
    Directory,
    Bytes(Vec<u8>),
    Blob(LayerBlob),
    Symlink(String),
}

#[derive(Debug)]
struct Member {
    path: String,
    content: MemberContent,
    /// Seconds since 1970.
    mtime: i64,
}

/// The members of an archive.
///
/// A path that was added before stays as it is: its name is the digest of its content, so both are the same.
#[derive(Debug, Default)]
pub(super) struct ArchiveMembers(BTreeMap<Vec<u8>, Member>);

impl ArchiveMembers {
    fn add(&mut self, path: &str, content: MemberContent, mtime: i64) -> bool {
        // A directory, then what is in it, then its next sibling: slashes sort before everything.
        let key = path
            .bytes()
            .map(|b| if b == b'/' { 0 } else { b })
            .collect();
        let mut added = false;
        self.0.entry(key).or_insert_with(|| {
            added = true;
            Member {
                path: path.to_owned(),
                content,
                mtime,
            }
        });
        added
    }

    pub(super) fn directory(&mut self, path: &str, mtime: i64) -> bool {
        self.add(path, MemberContent::Directory, mtime)
    }

    /// Adds the directory that a blob of this digest lies in.
    pub(super) fn directory_of(&mut self, digest: &Digest) {
        self.directory(&format!("blobs/{}", digest.algorithm().name()), 0);
    }

    pub(super) fn bytes(&mut self, path: &str, bytes: Vec<u8>, mtime: i64) -> bool {
        self.add(path, MemberContent::Bytes(bytes), mtime)
    }

    pub(super) fn blob(&mut self, path: &str, blob: &LayerBlob, mtime: i64) -> bool {
        self.add(path, MemberContent::Blob(blob.clone()), mtime)
    }

    /// Adds the blob of a layer, unless it is left out.
    pub(super) fn layer(&mut self, path: &str, layer: &NamedLayer, mtime: i64) {
        if !layer.left_out {
            self.blob(path, &layer.blob, mtime);
        }
    }

    /// How many bytes the tar has.
    pub(super) fn len(&self) -> Result<u64, WriteError> {
        let mut placing = Placing::new(0, 0);
        self.each(|fields, _| {
            placing.header(fields);
            placing.body(fields.size);
            Ok(())
        })?;
        Ok(placing.len())
    }

    pub(super) fn symlink(&mut self, path: &str, target: String, mtime: i64) -> bool {
        self.add(path, MemberContent::Symlink(target), mtime)
    }

    /// Writes the tar and returns its length in bytes. It ends with two blocks of zeros and is not
    /// padded to a record, as Docker leaves it.
    pub(super) fn write<W: Write>(
        &self,
        mut out: W,
        progress: &dyn Progress,
    ) -> Result<u64, WriteError> {
        let task = progress.begin(WRITING, Some(self.blob_bytes()));
        let mut writer = TarWriter::new(&mut out);
        self.each(|fields, content| {
            writer.header(fields)?;
            match content {
                MemberContent::Bytes(bytes) => writer.bytes_body(bytes),
                MemberContent::Blob(LayerBlob::Stored(blob)) => {
                    writer.slice_body(blob, |n| task.advance(n))
                }
                MemberContent::Blob(LayerBlob::Made(layer)) => {
                    layer.write(&mut writer, |n| task.advance(n))
                }
                MemberContent::Blob(LayerBlob::Absent(_)) => Err(absent()),
                MemberContent::Directory | MemberContent::Symlink(_) => Ok(()),
            }
        })?;
        Ok(writer.finish()?.1)
    }

    /// Writes the same bytes to `file`, which is empty and seekable, with all cores at work, and answers
    /// for `claims` on the way: bytes that are hashed and copied are read once.
    pub(super) fn write_to_file(
        &self,
        file: &File,
        mut claims: Claims<'_>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<u64, WriteError> {
        let task = progress.begin(WRITING, Some(self.blob_bytes()));
        let (mut stored, mut others) = (Vec::new(), Vec::new());
        let mut placing = Placing::new(0, 0);
        self.each(|fields, content| {
            let to = placing.header(fields);
            placing.body(fields.size);
            match content {
                MemberContent::Blob(LayerBlob::Stored(blob)) => {
                    let (offset, len) = (0, blob.len());
                    let from = Span { offset, len };
                    stored.push(copied_as_is(blob, vec![Move { from, to }]));
                }
                MemberContent::Blob(LayerBlob::Made(layer)) => {
                    let mut inner = Placing::new(to, layer.layers().len());
                    layer.each(|fields, content| {
                        inner.entry(fields, content);
                        Ok(())
                    })?;
                    let (moves, rest) = inner.finish();
                    let of_layers = layer.layers().iter().zip(moves);
                    let of_layers = of_layers.filter(|(_, moves)| !moves.is_empty());
                    stored.extend(of_layers.map(|(tar, moves)| copied_as_is(tar.bytes(), moves)));
                    others.push((rest, Rest::Made(layer, to)));
                }
                MemberContent::Blob(LayerBlob::Absent(_)) => return Err(absent()),
                _ => {}
            }
            Ok(())
        })?;
        let len = placing.len();
        others.push((placing.finish().1, Rest::Members));
        want(&mut stored, &claims);
        let write_rest = |rest: &Rest<'_>, output: SharedFile<'_>| match rest {
            Rest::Members => self.write_rest(output),
            Rest::Made(layer, at) => write_made(layer, *at, output),
        };
        let output = (file, &*task);
        let (proofs, _) = copy_all(stored, others, &write_rest, output, jobs, progress)?;
        claims.settle(proofs);
        claims.conclude()?;
        Ok(len)
    }

    /// Writes headers and what is in memory, and leaves room for blobs.
    fn write_rest(&self, output: SharedFile<'_>) -> Result<(), WriteError> {
        let mut writer = TarWriter::with_holes(WriteFrom::new(output, 0), WriteFrom::skip);
        self.each(|fields, content| {
            writer.header(fields)?;
            match content {
                MemberContent::Bytes(bytes) => writer.bytes_body(bytes),
                MemberContent::Blob(blob) => writer.leave_out(blob.len()),
                MemberContent::Directory | MemberContent::Symlink(_) => Ok(()),
            }
        })?;
        writer.finish().map(drop)
    }

    /// Shows every member to `see`, in order.
    fn each<'m>(
        &'m self,
        mut see: impl FnMut(&HeaderFields<'_>, &'m MemberContent) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        for member in self.0.values() {
            let mut path = member.path.clone();
            if matches!(member.content, MemberContent::Directory) {
                path.push('/');
            }
            see(&fields(member, &path), &member.content)?;
        }
        Ok(())
    }

    fn blob_bytes(&self) -> u64 {
        let blobs = self.0.values().filter_map(|member| match &member.content {
            MemberContent::Blob(blob) => Some(blob.len()),
            _ => None,
        });
        blobs.fold(0, u64::saturating_add)
    }
}

/// What is written apart from large bodies.
enum Rest<'m> {
    /// The headers of members, and those that are in memory.
    Members,
    /// A made layer, which begins at this byte: its headers and small bodies.
    Made(&'m DeltaLayer, u64),
}

/// Stored bytes of which nothing but a copy is wanted.
fn copied_as_is(bytes: &Slice, moves: Vec<Move>) -> Stored<'_> {
    Stored {
        bytes,
        compression: Compression::None,
        wanted: None,
        moves,
        afterwards: Afterwards::Kept,
    }
}

/// Asks for what is claimed to be proven: by whoever copies the bytes, if they are not compressed, else by
/// reading them separately. The number of each wish is that of the claim among those that are open.
fn want<'w>(stored: &mut Vec<Stored<'w>>, claims: &Claims<'w>) {
    // An archive can have many layers: each is looked up.
    let mut copied_at: ByPlace<usize> = ByPlace::new();
    for (at, stored) in stored.iter().enumerate() {
        copied_at.add(stored.bytes, || at);
    }
    for (number, unread) in claims.unread().enumerate() {
        let (bytes, compression) = (unread.bytes, unread.compression);
        let wanted = Some((number, unread.wanted.clone()));
        let copied = copied_at.get(bytes).and_then(|&at| stored.get_mut(at));
        match copied.filter(|copied| compression == Compression::None && copied.wanted.is_none()) {
            Some(copied) => copied.wanted = wanted,
            None => stored.push(Stored {
                compression,
                wanted,
                ..copied_as_is(bytes, Vec::new())
            }),
        }
    }
}

/// Writes the headers and small bodies of a made layer and leaves room for the large ones.
fn write_made(layer: &DeltaLayer, at: u64, output: SharedFile<'_>) -> Result<(), WriteError> {
    let mut writer = TarWriter::with_holes(WriteFrom::new(output, at), WriteFrom::skip);
    layer.each(|fields, content| write_small(&mut writer, fields, content))?;
    writer.finish().map(drop)
}

/// The header of a member.
fn fields<'m>(member: &'m Member, path: &'m str) -> HeaderFields<'m> {
    let (typeflag, mode, size, link) = match &member.content {
        MemberContent::Directory => (b'5', 0o755, 0, ""),
        MemberContent::Bytes(bytes) => (b'0', 0o644, bytes.len() as u64, ""),
        MemberContent::Blob(blob) => (b'0', 0o644, blob.len(), ""),
        MemberContent::Symlink(target) => (b'2', 0o777, 0, target.as_str()),
    };
    HeaderFields {
        path: path.as_bytes(),
        typeflag,
        link: link.as_bytes(),
        mode,
        uid: 0,
        gid: 0,
        size,
        mtime: Mtime {
            seconds: member.mtime,
            nanoseconds: 0,
        },
        device: (0, 0),
        xattrs: &[],
    }
}
