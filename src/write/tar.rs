//! A tar under construction.

use std::io::{self, Write};

use super::WriteError;
use super::header::{HeaderFields, encode_header};
use crate::record::SparseMap;
use crate::rootfs::FileBody;
use crate::source::Slice;

/// How much is gathered before it is written. Bodies are read straight into this buffer, so a small
/// file costs one copy and no system call of its own.
const BUFFER: usize = 1 << 20;

/// Writes headers and bodies one after the other.
#[derive(Debug)]
pub struct TarWriter<W> {
    inner: W,
    buffer: Vec<u8>,
    written: u64,
}

impl<W: Write> TarWriter<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            buffer: Vec::with_capacity(2 * BUFFER),
            written: 0,
        }
    }

    /// How many bytes the tar has so far.
    pub fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends a header.
    ///
    /// # Errors
    ///
    /// [`WriteError::Write`].
    pub fn header(&mut self, fields: &HeaderFields<'_>) -> Result<(), WriteError> {
        encode_header(&mut self.buffer, fields);
        self.flush_if_full()
    }

    /// Appends a body and its padding.
    ///
    /// # Errors
    ///
    /// [`WriteError::Read`] if the bytes cannot be read or are fewer than `slice` says.
    pub fn body(&mut self, body: &FileBody<'_>) -> Result<(), WriteError> {
        self.content(body)?;
        self.pad()
    }

    /// Appends the logical content of a file, without padding.
    pub(super) fn content(&mut self, body: &FileBody<'_>) -> Result<(), WriteError> {
        match body.sparse {
            None => self.copy(&body.stored),
            Some(map) => self.expand(&body.stored, map, body.size),
        }
    }

    fn expand(&mut self, stored: &Slice, map: &SparseMap, size: u64) -> Result<(), WriteError> {
        let mut from = map.map_len;
        let mut position = 0;
        for span in &map.spans {
            self.zeros(span.offset - position)?;
            self.copy(&stored.slice(crate::source::Span {
                offset: from,
                len: span.len,
            }))?;
            from += span.len;
            position = span.offset + span.len;
        }
        self.zeros(size.saturating_sub(position))
    }

    fn copy(&mut self, slice: &Slice) -> Result<(), WriteError> {
        let mut offset = 0;
        while offset < slice.len() {
            let start = self.buffer.len();
            let room = (2 * BUFFER - start) as u64;
            let want = usize::try_from(room.min(slice.len() - offset)).unwrap_or(BUFFER);
            self.buffer.resize(start + want, 0);
            let n = slice.read_at(&mut self.buffer[start..], offset)?;
            self.buffer.truncate(start + n);
            offset += n as u64;
            self.flush_if_full()?;
        }
        Ok(())
    }

    fn zeros(&mut self, mut count: u64) -> Result<(), WriteError> {
        while count > 0 {
            let n = usize::try_from(count).unwrap_or(BUFFER).min(BUFFER);
            self.buffer.resize(self.buffer.len() + n, 0);
            count -= n as u64;
            self.flush_if_full()?;
        }
        Ok(())
    }

    fn pad(&mut self) -> Result<(), WriteError> {
        // Whole buffers are written, so only the sum says where a block ends.
        self.zeros(self.position().wrapping_neg() % 512)
    }

    fn flush_if_full(&mut self) -> Result<(), WriteError> {
        if self.buffer.len() >= BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.inner
            .write_all(&self.buffer)
            .map_err(WriteError::Write)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Appends the end-of-archive blocks: two, without padding to a record, as Docker ends a tar.
    ///
    /// # Errors
    ///
    /// [`WriteError::Write`].
    pub fn finish(mut self) -> Result<(W, u64), WriteError> {
        self.zeros(1024)?;
        self.close()
    }

    /// Writes what is gathered, and no end.
    pub(super) fn close(mut self) -> Result<(W, u64), WriteError> {
        self.flush()?;
        self.inner.flush().map_err(WriteError::Write)?;
        Ok((self.inner, self.written))
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        Self::other(error)
    }
}
