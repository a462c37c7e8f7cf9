//! Where a walk over headers takes its bytes from.

use std::io::{self, Read};

use crate::base::limits::Limits;
use crate::source::Slice;

/// Reads forward and skips.
pub trait Cursor {
    /// How many bytes lie behind, from the beginning of the tar.
    fn position(&self) -> u64;

    /// Fills `buf`, or as much of it as there is before the end; returns how much.
    ///
    /// # Errors
    ///
    /// The error of the reader below.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Skips `count` bytes, or to the end; returns how many it skipped.
    ///
    /// # Errors
    ///
    /// The error of the reader below.
    fn skip(&mut self, count: u64) -> io::Result<u64>;

    /// How much the tar may use: how large a header may be, how many spans a sparse file may have. A
    /// tar is read within the limits of the file that it came from, so there is no default.
    fn limits(&self) -> &Limits;
}

impl<C: Cursor> Cursor for &mut C {
    fn position(&self) -> u64 {
        (**self).position()
    }

    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (**self).fill(buf)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        (**self).skip(count)
    }

    fn limits(&self) -> &Limits {
        (**self).limits()
    }
}

/// How much is read at once around a header. Most files are smaller than this, so one read often
/// serves several headers; much more would copy bodies for nothing.
const WINDOW: usize = 4 * 1024;

/// Walks an uncompressed stretch by position: bodies are never read, a walk costs O(entries).
#[derive(Debug)]
pub struct Positioned {
    slice: Slice,
    position: u64,
    window: Box<[u8]>,
    /// Where the window begins, and how much of it is filled.
    window_at: u64,
    window_len: usize,
}

impl Positioned {
    /// Begins at the beginning of `slice`.
    pub fn new(slice: Slice) -> Self {
        Self {
            slice,
            position: 0,
            window: vec![0; WINDOW].into_boxed_slice(),
            window_at: 0,
            window_len: 0,
        }
    }

    /// Begins `position` bytes into `slice`, where a header begins.
    pub fn at(slice: Slice, position: u64) -> Self {
        Self {
            position,
            ..Self::new(slice)
        }
    }

    /// The bytes of the window from the current position on; refilled if there are none.
    fn ahead(&mut self) -> io::Result<&[u8]> {
        let end = self.window_at + self.window_len as u64;
        if self.position < self.window_at || self.position >= end {
            self.window_at = self.position;
            self.window_len = self
                .slice
                .read_at(&mut self.window, self.position)
                .map_err(io::Error::other)?;
        }
        // The position lies in the window now, so the difference is below WINDOW.
        let from = usize::try_from(self.position - self.window_at).unwrap_or(WINDOW);
        Ok(self.window.get(from..self.window_len).unwrap_or_default())
    }
}

impl Cursor for Positioned {
    fn position(&self) -> u64 {
        self.position
    }

    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            let ahead = self.ahead()?;
            let n = ahead.len().min(buf.len() - filled);
            if n == 0 {
                break;
            }
            buf[filled..filled + n].copy_from_slice(&ahead[..n]);
            self.position += n as u64;
            filled += n;
        }
        Ok(filled)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let skipped = count.min(self.slice.len().saturating_sub(self.position));
        self.position += skipped;
        Ok(skipped)
    }

    fn limits(&self) -> &Limits {
        self.slice.source().limits()
    }
}

/// Walks a stream that can only be read, such as a compressed layer.
#[derive(Debug)]
pub struct Streamed<R> {
    inner: R,
    position: u64,
    scratch: Box<[u8]>,
    limits: Limits,
}

impl<R: Read> Streamed<R> {
    /// Begins at the position of `inner`. The tar may use what `limits` allow.
    pub fn new(inner: R, limits: &Limits) -> Self {
        Self {
            inner,
            position: 0,
            scratch: vec![0; 64 * 1024].into_boxed_slice(),
            limits: *limits,
        }
    }

    /// Reads everything that is left, so that a reader below that digests or counts has seen the
    /// whole stream; returns how many bytes the stream had in all.
    ///
    /// # Errors
    ///
    /// The error of the reader below.
    pub fn drain(&mut self) -> io::Result<u64> {
        self.skip(u64::MAX)?;
        Ok(self.position)
    }

    /// The reader below.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Cursor for Streamed<R> {
    fn position(&self) -> u64 {
        self.position
    }

    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.inner.read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.position += filled as u64;
        Ok(filled)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut skipped = 0;
        while skipped < count {
            let left = usize::try_from(count - skipped).unwrap_or(usize::MAX);
            let want = left.min(self.scratch.len());
            match self.inner.read(&mut self.scratch[..want]) {
                Ok(0) => break,
                Ok(n) => skipped += n as u64,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.position += skipped;
        Ok(skipped)
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }
}
