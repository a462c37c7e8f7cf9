//! Progress of long work, reported without knowing to whom.
//!
//! The library reports through these traits; the command line draws bars, other callers pass
//! [`Silent`].

use std::fmt::Debug;
use std::io::{self, Read};

/// Receives reports of pieces of work that take a while. Shared between the threads that do them.
pub trait Progress: Sync + Debug {
    /// A piece of work begins: what it is, for people, and how many bytes it will pass, where known.
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task>;
}

/// One piece of work under way; dropping it ends it.
pub trait Task: Send + Sync + Debug {
    /// `bytes` more are done.
    fn advance(&self, bytes: u64);
}

/// Reports every byte that is read through it to a [`Task`].
#[derive(Debug)]
pub struct Watched<'t, R> {
    inner: R,
    task: &'t dyn Task,
}

impl<'t, R> Watched<'t, R> {
    /// Reads `inner`.
    pub fn new(inner: R, task: &'t dyn Task) -> Self {
        Self { inner, task }
    }

    /// The reader below.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.task.advance(n as u64);
        Ok(n)
    }
}

/// Reports nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(Self)
    }
}

impl Task for Silent {
    fn advance(&self, _bytes: u64) {}
}
