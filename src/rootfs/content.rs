//! Whether two files have the same bytes.

use super::error::RootfsError;
use super::tree::{FileBody, Rootfs};
use crate::limits::Limit;
use crate::source::{SourceError, Span};

/// How much of each file is read at a time: two of these stay in a core's cache.
const BUFFER: usize = 128 * 1024;

impl Rootfs {
    /// Refuses a tree whose sparse files would take more room or time than its layers give reason to.
    ///
    /// # Errors
    ///
    /// [`RootfsError::Expansion`].
    pub(crate) fn check_expansion(&self) -> Result<(), RootfsError> {
        // A header of 512 bytes can claim a hole of 8 EiB.
        let holes = self.holes();
        let limits = self.budget.limits();
        if holes > limits.expansion_of(self.layer_bytes()) {
            let exceeded = limits.exceeded(Limit::Expanded);
            return Err(RootfsError::Expansion { holes, exceeded });
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
    let (mut one, mut other) = (Content::new(one), Content::new(other));
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

/// The logical bytes of a file, read in order.
struct Content<'f> {
    body: &'f FileBody<'f>,
    position: u64,
    /// The next stretch of data of a sparse file, and where it is stored.
    next: usize,
    stored_at: u64,
}

impl<'f> Content<'f> {
    fn new(body: &'f FileBody<'f>) -> Self {
        Self {
            body,
            position: 0,
            next: 0,
            stored_at: body.sparse.map_or(0, |map| map.map_len),
        }
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
