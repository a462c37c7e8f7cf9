//! What is written one after the other, into a stream or at the places of a file.

use std::fs::File;
use std::io::{self, Write};

use super::error::RebuildError;
use super::sink::{Out, Target};
use crate::base::constants::BUFFER;
use crate::base::jobs::{self, Jobs};
use crate::source::write_at;

/// Bodies up to this size are written with what stands around them.
const SMALL: u64 = 64 << 10;

/// How many larger ones wait until all threads write them: an archive may claim a million.
const WAITING: usize = 4096;

/// Bytes and bodies of one archive. Into a file, large bodies are written by all threads at once. `P` writes a
/// body to a given place.
pub(super) struct Places<'t, B, P> {
    inner: Inner<'t, B>,
    jobs: Jobs,
    put: P,
    position: u64,
}

enum Inner<'t, B> {
    Stream(&'t mut dyn Write),
    File {
        near: Near<'t>,
        waiting: Vec<Waiting<B>>,
    },
}

/// A body, where it goes, and how long it is.
struct Waiting<B> {
    body: B,
    offset: u64,
    len: u64,
}

impl<'t, B: Sync, P: Fn(&B, Out<'_>) -> Result<(), RebuildError> + Sync> Places<'t, B, P> {
    pub(super) fn new(target: Target<'t>, jobs: Jobs, put: P) -> Self {
        Self {
            inner: match target {
                Target::Stream(stream) => Inner::Stream(stream),
                Target::File(file) => Inner::File {
                    near: Near {
                        file,
                        gathered: Vec::new(),
                        at: 0,
                    },
                    waiting: Vec::new(),
                },
            },
            jobs,
            put,
            position: 0,
        }
    }

    /// How many bytes there are so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Appends bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), RebuildError> {
        let written = match &mut self.inner {
            Inner::Stream(stream) => stream.write_all(bytes),
            Inner::File { near, .. } => near
                .at(self.position)
                .and_then(|near| near.write_all(bytes)),
        };
        self.position += bytes.len() as u64;
        written.map_err(RebuildError::Write)
    }

    /// Appends a body of `len` bytes. One that is `dear` takes more work than its length suggests.
    pub(super) fn body(&mut self, body: B, len: u64, dear: bool) -> Result<(), RebuildError> {
        let offset = self.position;
        self.position += len;
        match &mut self.inner {
            Inner::Stream(stream) => (self.put)(&body, Out::Stream(&mut **stream)),
            Inner::File { near, .. } if len <= SMALL && !dear => {
                let near = near.at(offset).map_err(RebuildError::Write)?;
                (self.put)(&body, Out::Stream(near))
            }
            Inner::File { waiting, .. } => {
                waiting.push(Waiting { body, offset, len });
                if waiting.len() < WAITING {
                    return Ok(());
                }
                self.flush()
            }
        }
    }

    /// Writes what waits.
    fn flush(&mut self) -> Result<(), RebuildError> {
        let Inner::File { near, waiting } = &mut self.inner else {
            return Ok(());
        };
        near.flush().map_err(RebuildError::Write)?;
        let (file, put) = (near.file, &self.put);
        let write = |waiting: &Waiting<B>| put(&waiting.body, Out::At(file, waiting.offset));
        let written = jobs::map(self.jobs, waiting, |waiting| waiting.len, write);
        waiting.clear();
        written.into_iter().collect()
    }

    /// Writes everything that is not written yet; how many bytes there are.
    pub(super) fn finish(mut self) -> Result<u64, RebuildError> {
        self.flush()?;
        Ok(self.position)
    }
}

/// What is written to a file piece by piece, mostly one behind the other.
struct Near<'t> {
    file: &'t File,
    gathered: Vec<u8>,
    /// Where what is gathered begins.
    at: u64,
}

impl Near<'_> {
    /// Continues at `offset`.
    fn at(&mut self, offset: u64) -> io::Result<&mut Self> {
        if self.at + self.gathered.len() as u64 != offset {
            self.flush()?;
            self.at = offset;
        }
        Ok(self)
    }
}

impl Write for Near<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(buf);
        if self.gathered.len() >= BUFFER {
            self.flush()?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        write_at(self.file, &self.gathered, self.at)?;
        self.at += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }
}
