//! The bytes of files: where they are, how far they may expand, and whether two files have the same.
//!
//! Threats: a header of 512 bytes can claim a hole of 8 EiB. The only way to the bytes of a file is
//! [`Tree::file_body`], which counts the holes of what it hands out against the limits of the image.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use super::error::TreeError;
use super::inode::{Body, Inode};
use super::nodes::Tree;
use crate::base::jobs::{self, Jobs};
use crate::base::limits::Limit;
use crate::base::progress::{Progress, Task, steps};
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

/// A stretch of a file's content.
#[derive(Clone, Debug)]
pub(crate) enum ContentStretch {
    /// These stored bytes.
    Data(Slice),
    /// So many zeros, which are not stored.
    Hole(u64),
}

/// The stretches of a file, in order; together they are all of its content.
#[derive(Clone, Debug)]
pub(crate) struct ContentStretches<'f> {
    body: FileBody<'f>,
    /// How many bytes of content lie behind.
    position: u64,
    /// The next span of data of a sparse file, and where it is stored.
    next: usize,
    stored_at: u64,
}

impl<'f> FileBody<'f> {
    /// Whether both are the same stretch of one layer, so that there is nothing to compare.
    pub(super) fn is_same_stretch(&self, other: &FileBody<'_>) -> bool {
        self.sparse == other.sparse && self.stored.is_same(&other.stored)
    }

    /// What the content consists of.
    pub(crate) fn stretches(&self) -> ContentStretches<'f> {
        ContentStretches {
            position: 0,
            next: 0,
            stored_at: self.sparse.map_or(0, |map| map.map_len),
            body: self.clone(),
        }
    }
}

impl Iterator for ContentStretches<'_> {
    type Item = ContentStretch;

    fn next(&mut self) -> Option<ContentStretch> {
        let left = self.body.size.checked_sub(self.position);
        let left = left.filter(|left| *left > 0)?;
        let Some(map) = self.body.sparse else {
            self.position = self.body.size;
            return Some(ContentStretch::Data(self.body.stored.clone()));
        };
        let hole = match map.spans.get(self.next) {
            Some(span) if span.offset > self.position => span.offset - self.position,
            Some(span) => {
                let (offset, len) = (self.stored_at, span.len);
                self.stored_at += len;
                self.position += len;
                self.next += 1;
                let data = self.body.stored.slice(Span { offset, len });
                return Some(ContentStretch::Data(data));
            }
            None => left,
        };
        self.position += hole;
        Some(ContentStretch::Hole(hole))
    }
}

/// The sparse files that were opened, each once, and how many bytes their holes have.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<(HashSet<StoredAt>, u64)>);

/// Where a file is stored: the layer and the offset in it.
type StoredAt = (u32, u64);

impl Opened {
    /// Adds a file; returns the sum of all holes.
    fn add(&self, file: StoredAt, holes: u64) -> u64 {
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
    /// that were opened before have more bytes than the layers may expand to.
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
    /// limits allow for its layers: for callers that will open all of them and need to know before the first.
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
    let (mut one, mut other) = (FileReader::new(one), FileReader::new(other));
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
    stretches: ContentStretches<'f>,
    /// What is left of a stretch that was begun.
    begun: Option<ContentStretch>,
}

impl<'f> FileReader<'f> {
    pub(super) fn new(body: &FileBody<'f>) -> Self {
        Self {
            stretches: body.stretches(),
            begun: None,
        }
    }

    /// How long the file is, in bytes.
    pub fn size(&self) -> u64 {
        self.stretches.body.size
    }

    /// Fills `buf`, or what there is until the end.
    pub(super) fn fill(&mut self, buf: &mut [u8]) -> Result<usize, SourceError> {
        let mut filled = 0;
        while filled < buf.len() {
            let Some(stretch) = self.begun.take().or_else(|| self.stretches.next()) else {
                break;
            };
            let room = &mut buf[filled..];
            let len = match &stretch {
                ContentStretch::Data(bytes) => bytes.len(),
                ContentStretch::Hole(len) => *len,
            };
            let n = usize::try_from(len).unwrap_or(usize::MAX).min(room.len());
            let left = len - n as u64;
            let rest = match stretch {
                ContentStretch::Data(bytes) => {
                    bytes.read_at(&mut room[..n], 0)?;
                    ContentStretch::Data(bytes.slice(Span {
                        offset: n as u64,
                        len: left,
                    }))
                }
                ContentStretch::Hole(_) => {
                    room[..n].fill(0);
                    ContentStretch::Hole(left)
                }
            };
            self.begun = Some(rest).filter(|_| left > 0);
            filled += n;
        }
        Ok(filled)
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.fill(buf).map_err(io::Error::other)
    }
}

/// How many bytes one thread compares before it takes the next piece of work: many small files, or
/// one large one.
const BATCH: u64 = 8 << 20;
/// What a file costs beside its bytes, in bytes.
const FILE_COST: u64 = 4096;

/// Does work on all cores, in pieces that are worth a thread's while; the results in the order of the items.
pub(super) fn in_batches<T: Sync, R: Send>(
    items: &[T],
    size: impl Fn(&T) -> u64,
    (jobs, progress): (Jobs, &dyn Progress),
    work: impl Fn(&[T], &dyn Task) -> Result<Vec<R>, TreeError> + Sync,
) -> Result<Vec<R>, TreeError> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut batches: Vec<(&[T], u64)> = Vec::new();
    let (mut begin, mut cost, mut total) = (0, 0_u64, 0_u64);
    for (i, item) in items.iter().enumerate() {
        let bytes = size(item);
        total = total.saturating_add(bytes);
        cost = cost.saturating_add(bytes).saturating_add(FILE_COST);
        if cost >= BATCH || i + 1 == items.len() {
            batches.push((&items[begin..=i], cost));
            (begin, cost) = (i + 1, 0);
        }
    }
    let task = progress.begin(steps::COMPARING, Some(total));
    let results = jobs::map(
        jobs,
        &batches,
        |(_, cost)| *cost,
        |(items, _)| work(items, &*task),
    );
    let mut all = Vec::with_capacity(items.len());
    for result in results {
        all.extend(result?);
    }
    Ok(all)
}
