//! The streams of an xz file, one after the other.

use std::io::{self, BufRead, Read};

use liblzma::stream::{Action, Error, Status, Stream};

use super::cost;
use super::metered::{Metered, SMALL, read_head};
use crate::source::Compression;
use crate::source::expansion::DecoderCost;

/// How long the header of a stream is, in bytes.
const HEADER: usize = 12;

/// What a byte costs that is given where a stream is checked by SHA-256, which the library computes
/// without the processor's help.
const GIVEN_SHA256: u64 = 3;

/// All streams, and the padding between them.
pub(super) struct XzStreams<R> {
    inner: Metered<R>,
    /// The stream under way.
    stream: Option<Stream>,
    /// Its header, as far as the library has not seen it.
    head: Vec<u8>,
    is_first: bool,
}

impl<R: BufRead> XzStreams<R> {
    pub(super) fn new(inner: Metered<R>) -> Self {
        Self {
            inner,
            stream: None,
            head: Vec::new(),
            is_first: true,
        }
    }

    pub(super) fn get_ref(&self) -> &Metered<R> {
        &self.inner
    }

    pub(super) fn get_mut(&mut self) -> &mut Metered<R> {
        &mut self.inner
    }

    pub(super) fn into_inner(self) -> Metered<R> {
        self.inner
    }

    /// Begins the next stream; false if there is none.
    fn begin(&mut self) -> io::Result<bool> {
        if !self.is_first {
            self.skip_padding()?;
            if self.inner.fill_buf()?.is_empty() {
                return Ok(false);
            }
        }
        self.is_first = false;
        self.inner.begin_member()?;
        self.head = read_head(&mut self.inner, |_| HEADER)?;
        // The low half of the second flag byte says how the stream is checked; 10 is SHA-256.
        let is_sha256 = self.head.get(7).is_some_and(|flags| flags & 0x0f == 10);
        self.inner.set_cost(DecoderCost {
            given: if is_sha256 { GIVEN_SHA256 } else { 0 },
            ..cost(Compression::Xz)
        });
        let memory = self.inner.most_memory().min(SMALL);
        self.stream = Some(Stream::new_stream_decoder(memory, 0)?);
        Ok(true)
    }

    /// Zeros, in groups of four, may follow a stream.
    fn skip_padding(&mut self) -> io::Result<()> {
        let mut padding: u64 = 0;
        loop {
            let ahead = self.inner.fill_buf()?;
            let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
            let is_end = zeros < ahead.len() || ahead.is_empty();
            padding += zeros as u64;
            self.inner.consume(zeros);
            if is_end {
                break;
            }
        }
        if !padding.is_multiple_of(4) {
            return Err(Error::Data.into());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for XzStreams<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(stream) = &mut self.stream else {
                if !self.begin()? {
                    return Ok(0);
                }
                continue;
            };
            let is_head = !self.head.is_empty();
            let input = if is_head {
                &self.head[..]
            } else {
                self.inner.fill_buf()?
            };
            let is_end = input.is_empty();
            let before = (stream.total_in(), stream.total_out());
            let status = stream.process(input, buf, Action::Run);
            // Both are lengths of slices.
            let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let read = size(stream.total_in() - before.0);
            let written = size(stream.total_out() - before.1);
            if is_head {
                self.head.drain(..read);
            } else {
                self.inner.consume(read);
            }
            match status {
                Ok(Status::StreamEnd) => self.stream = None,
                Ok(_) => {
                    if is_end && written == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(Error::MemLimit) => {
                    let most = self.inner.most_memory();
                    if most > SMALL && stream.memlimit() < most {
                        self.inner.take_memory(most)?;
                        match stream.set_memlimit(most) {
                            Err(Error::MemLimit) => return Err(self.inner.too_much_memory()),
                            other => other?,
                        }
                    } else {
                        return Err(self.inner.too_much_memory());
                    }
                }
                Err(error) => return Err(error.into()),
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }
}
