//! A tar under construction.

use std::io::{self, Write};

use super::WriteError;
use super::header::{HeaderFields, encode_header};
use crate::base::constants::BUFFER;
use crate::source::Slice;
use crate::tree::{ContentStretch, FileBody};

/// How long a record is, in bytes: tar programs read and write 20 blocks at a time unless told
/// otherwise (POSIX, `pax -b`).
const RECORD: u64 = 20 * 512;

/// How long the end of a tar is: two blocks of zeros.
pub(super) const END: u64 = 1024;

/// How many zeros in a row are worth a hole in the file that is written.
const HOLE: u64 = 64 << 10;

/// Writes headers and bodies one after the other.
#[derive(Debug)]
pub struct TarWriter<W> {
    inner: W,
    /// What is gathered: the first `filled` bytes.
    buffer: Box<[u8]>,
    filled: usize,
    /// A header under construction.
    header: Vec<u8>,
    written: u64,
    /// How to leave out bytes that are zeros, or that somebody else writes.
    skip: Option<fn(&mut W, u64)>,
}

impl<W: Write> TarWriter<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            filled: 0,
            header: Vec::new(),
            written: 0,
            skip: None,
        }
    }

    /// Writes to `inner`, in which bytes can be left out.
    pub(super) fn with_holes(inner: W, skip: fn(&mut W, u64)) -> Self {
        Self {
            skip: Some(skip),
            ..Self::new(inner)
        }
    }

    /// How many bytes the tar has so far.
    pub fn position(&self) -> u64 {
        self.written + self.filled as u64
    }

    /// Appends a header.
    ///
    /// # Errors
    ///
    /// [`WriteError::Write`].
    pub fn header(&mut self, fields: &HeaderFields<'_>) -> Result<(), WriteError> {
        let mut header = std::mem::take(&mut self.header);
        header.clear();
        encode_header(&mut header, fields);
        let written = self.bytes(&header);
        self.header = header;
        written
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

    /// Appends a body that is in memory, and its padding.
    pub(super) fn bytes_body(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.bytes(bytes)?;
        self.pad()
    }

    /// Appends a body that is all of `slice`, and its padding; `told` is called for every piece.
    pub(super) fn slice_body(
        &mut self,
        slice: &Slice,
        told: impl Fn(u64),
    ) -> Result<(), WriteError> {
        self.copy(slice, told)?;
        self.pad()
    }

    /// Leaves out a body of `len` bytes, which somebody else writes, and appends its padding. Only for
    /// a writer [with holes](Self::with_holes).
    pub(super) fn leave_out(&mut self, len: u64) -> Result<(), WriteError> {
        self.hole(len)?;
        self.pad()
    }

    /// Appends the logical content of a file, without padding.
    pub(super) fn content(&mut self, body: &FileBody<'_>) -> Result<(), WriteError> {
        for stretch in body.stretches() {
            match stretch {
                ContentStretch::Data(bytes) => self.copy(&bytes, |_| {})?,
                ContentStretch::Hole(len) => self.zeros(len)?,
            }
        }
        Ok(())
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.room()));
            self.buffer[self.filled..][..now.len()].copy_from_slice(now);
            self.advance(now.len())?;
            bytes = later;
        }
        Ok(())
    }

    /// Appends all of `slice`, without padding; `told` hears of every piece.
    pub(super) fn copy(&mut self, slice: &Slice, told: impl Fn(u64)) -> Result<(), WriteError> {
        let mut offset = 0;
        while offset < slice.len() {
            // Never empty, since a full buffer is written at once.
            let n = slice.read_at(&mut self.buffer[self.filled..], offset)?;
            offset += n as u64;
            self.advance(n)?;
            told(n as u64);
        }
        Ok(())
    }

    fn zeros(&mut self, mut count: u64) -> Result<(), WriteError> {
        if self.skip.is_some() && count >= HOLE {
            return self.hole(count);
        }
        while count > 0 {
            let n = usize::try_from(count).unwrap_or(BUFFER).min(self.room());
            self.buffer[self.filled..][..n].fill(0);
            count -= n as u64;
            self.advance(n)?;
        }
        Ok(())
    }

    fn hole(&mut self, len: u64) -> Result<(), WriteError> {
        self.flush()?;
        if let Some(skip) = self.skip {
            skip(&mut self.inner, len);
            self.written += len;
        }
        Ok(())
    }

    fn pad(&mut self) -> Result<(), WriteError> {
        // Whole buffers are written, so only the sum says where a block ends.
        self.zeros(self.position().wrapping_neg() % 512)
    }

    fn room(&self) -> usize {
        self.buffer.len() - self.filled
    }

    /// The buffer has `n` bytes more.
    fn advance(&mut self, n: usize) -> Result<(), WriteError> {
        self.filled += n;
        if self.room() == 0 {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.inner
            .write_all(&self.buffer[..self.filled])
            .map_err(WriteError::Write)?;
        self.written += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    /// Appends the end-of-archive blocks: two, without padding to a record, as Docker ends a tar. New
    /// layers end like this: their diff IDs are digests of all their bytes.
    ///
    /// # Errors
    ///
    /// [`WriteError::Write`].
    pub fn finish(mut self) -> Result<(W, u64), WriteError> {
        self.end()?;
        self.close()
    }

    /// Appends the end-of-archive blocks of a tar that is a body in this one.
    pub(super) fn end(&mut self) -> Result<(), WriteError> {
        self.zeros(END)
    }

    /// Appends zeros up to the end of a record, two blocks at least, as tar programs end what they write.
    /// A rootfs tar ends like this: `tar --delete` and others read whole records.
    ///
    /// # Errors
    ///
    /// [`WriteError::Write`].
    pub fn finish_record(mut self) -> Result<(W, u64), WriteError> {
        let end = self.position() + END;
        self.zeros(end.next_multiple_of(RECORD) - self.position())?;
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
