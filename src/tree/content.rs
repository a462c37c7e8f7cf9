//! The bytes of files: where they are, how far they may expand, and whether two files have the same.
//!
//! Threats: a header of 512 bytes can claim a hole of 8 EiB. Nobody gets at the bytes of a file but by
//! [`Tree::file_body`], which counts the holes of what it hands out against the limits of the image.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use super::error::TreeError;
use super::tree::{Body, Inode, Tree};
use crate::base::limits::Limit;
use crate::source::{Slice, SourceError, Span};
use crate::tar::SparseMap;

/// How much of each file is read at a time: two of these stay in a core's cache.
const BUFFER: usize = 128 * 1024;

/// The content of a regular file.
#[derive(Clone, Debug)]
pub struct FileBody<'f> {
    /// The stored bytes: all of them, unless the file is sparse.
    pub stored: Slice,
    /// How long the file is, in bytes.
    pub size: u64,
    /// How to expand it, if it is sparse.
    pub sparse: Option<&'f SparseMap>,
}

/// The sparse files that were opened, each once, and how many bytes their holes have.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<(HashSet<Stretch>, u64)>);

/// Where a file is stored: the layer and the offset in it.
type Stretch = (u32, u64);

impl Opened {
    /// Adds a file; returns what the holes of all come to.
    fn add(&self, file: Stretch, holes: u64) -> u64 {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.0.insert(file) {
            opened.1 = opened.1.saturating_add(holes);
        }
        opened.1
    }
}

impl Tree {
    /// Where the bytes of a regular file are; `None` for anything else, and in a tree that was made of
    /// headers alone.
    ///
    /// # Errors
    ///
    /// [`TreeError::Expansion`] if the file is sparse, and its holes together with those of the files
    /// that were opened before come to more than the layers may expand to.
    pub fn file_body<'f>(&self, inode: &'f Inode) -> Result<Option<FileBody<'f>>, TreeError> {
        let Body::File {
            layer,
            offset,
            size,
            sparse,
        } = &inode.body
        else {
            return Ok(None);
        };
        let Some(tar) = self.layers.get(*layer as usize) else {
            return Ok(None);
        };
        let mut len = *size;
        if let Some(sparse) = sparse {
            len = sparse.1;
            let holes = size.saturating_sub(len);
            self.check_holes(self.opened.add((*layer, *offset), holes))?;
        }
        let offset = *offset;
        Ok(Some(FileBody {
            stored: tar.slice(Span { offset, len }),
            size: *size,
            sparse: sparse.as_ref().map(|sparse| &sparse.0),
        }))
    }

    /// Refuses a tree whose sparse files, each counted once, would take more room or time than the
    /// limits allow for its layers: for whoever is going to open all of them, and wants to know before the first.
    ///
    /// # Errors
    ///
    /// [`TreeError::Expansion`].
    pub(crate) fn check_expansion(&self) -> Result<(), TreeError> {
        let hole = |inode: &Inode| match &inode.body {
            Body::File {
                size,
                sparse: Some(sparse),
                ..
            } => size.saturating_sub(sparse.1),
            _ => 0,
        };
        let holes = self.inodes.iter().map(hole);
        self.check_holes(holes.fold(0, u64::saturating_add))
    }

    fn check_holes(&self, holes: u64) -> Result<(), TreeError> {
        let limits = self.budget.limits();
        if holes > limits.expansion_of(self.layer_bytes()) {
            let exceeded = limits.exceeded(Limit::Expanded);
            return Err(TreeError::Expansion { holes, exceeded });
        }
        Ok(())
    }
}

/// Room for a piece of each file, used again for the next two.
pub(super) struct Buffers(Vec<u8>, Vec<u8>);

impl Buffers {
    pub(super) fn new() -> Self {
        Self(vec![0; BUFFER], vec![0; BUFFER])
    }
}

/// Compares two files byte by byte, holes expanded. Their sizes are equal, or they differ.
pub(super) fn same(
    one: &FileBody<'_>,
    other: &FileBody<'_>,
    Buffers(left, right): &mut Buffers,
) -> Result<bool, SourceError> {
    if one.size != other.size {
        return Ok(false);
    }
    let (mut one, mut other) = (FileReader::new(one.clone()), FileReader::new(other.clone()));
    loop {
        let n = one.fill(left)?;
        if n != other.fill(right)? || left[..n] != right[..n] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

/// The bytes of a regular file, read in order; the holes of a sparse one are zeros.
#[derive(Debug)]
pub struct FileReader<'f> {
    body: FileBody<'f>,
    position: u64,
    /// The next stretch of data of a sparse file, and where it is stored.
    next: usize,
    stored_at: u64,
}

impl<'f> FileReader<'f> {
    pub(super) fn new(body: FileBody<'f>) -> Self {
        Self {
            position: 0,
            next: 0,
            stored_at: body.sparse.map_or(0, |map| map.map_len),
            body,
        }
    }

    /// How long the file is, in bytes.
    pub fn size(&self) -> u64 {
        self.body.size
    }

    /// Fills `buf`, or what there is until the end.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, SourceError> {
        let left = self.body.size - self.position;
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = &mut buf[..want];
        let Some(map) = self.body.sparse else {
            let n = self.body.stored.read_at(buf, self.position)?;
            self.position += n as u64;
            return Ok(n);
        };
        buf.fill(0);
        let end = self.position + want as u64;
        while let Some(span) = map.spans.get(self.next).filter(|span| span.offset < end) {
            let from = self.position.max(span.offset);
            let to = end.min(span.offset + span.len);
            let at = |offset: u64| usize::try_from(offset - self.position).unwrap_or(want);
            let data = self.body.stored.slice(Span {
                offset: self.stored_at + (from - span.offset),
                len: to.saturating_sub(from),
            });
            data.read_at(&mut buf[at(from)..at(to.max(from))], 0)?;
            if span.offset + span.len > end {
                break;
            }
            self.stored_at += span.len;
            self.next += 1;
        }
        self.position = end;
        Ok(want)
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.fill(buf).map_err(io::Error::other)
    }
}
