//! The headers of a tar that was taken apart, as something that a walk can go over.

use std::io;

use crate::metadata::{Piece, SplitReader};
use crate::record::Cursor;
use crate::source::SliceReader;

/// Goes over the pieces of a tar. Bodies can be skipped and not read.
pub(super) struct Headers {
    reader: SplitReader<SliceReader>,
    raw: Vec<u8>,
    /// How much of the raw stretch is behind.
    used: usize,
    /// How much of a body is ahead, once the raw stretch is used up.
    body: u64,
    position: u64,
    /// How long the tar is said to be; what goes on behind it is refused.
    len: u64,
}

impl Headers {
    pub(super) fn new(reader: SplitReader<SliceReader>, len: u64) -> Self {
        Self {
            reader,
            raw: Vec::new(),
            used: 0,
            body: 0,
            position: 0,
            len,
        }
    }

    /// Goes to the next piece that has bytes; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        if self.position > self.len {
            let why = format!("the tar is longer than its {} bytes", self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        while self.used == self.raw.len() && self.body == 0 {
            match self.reader.next_piece().map_err(io::Error::other)? {
                None => return Ok(false),
                Some((_, Piece::Raw(bytes))) => {
                    self.raw.clear();
                    self.raw.extend_from_slice(&bytes);
                    self.used = 0;
                }
                Some((_, Piece::File { size, .. })) => self.body = size,
            }
        }
        Ok(true)
    }
}

impl Cursor for Headers {
    fn position(&self) -> u64 {
        self.position
    }

    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() && self.advance()? {
            let ahead = &self.raw[self.used..];
            if ahead.is_empty() {
                // What should be a header is said to be a body.
                let why = "headers and bodies do not follow each other";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            let n = ahead.len().min(buf.len() - filled);
            buf[filled..filled + n].copy_from_slice(&ahead[..n]);
            self.used += n;
            self.position += n as u64;
            filled += n;
        }
        Ok(filled)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut skipped = 0;
        while skipped < count && self.advance()? {
            let left = count - skipped;
            let raw = (self.raw.len() - self.used) as u64;
            if raw > 0 {
                let n = raw.min(left);
                // At most the length of a raw stretch, so it fits.
                self.used += usize::try_from(n).unwrap_or(0);
                skipped += n;
                self.position += n;
            } else {
                let n = self.body.min(left);
                self.body -= n;
                skipped += n;
                self.position = self.position.saturating_add(n);
            }
        }
        Ok(skipped)
    }
}
