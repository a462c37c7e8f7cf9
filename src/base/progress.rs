//! How far long work has come, told without knowing who listens.
//!
//! The library reports through these traits; the command line draws bars, everybody else passes
//! [`Silent`].

use std::fmt::Debug;
use std::io::{self, Read};

/// Hears of pieces of work that take a while. Shared between the threads that do them.
pub trait Progress: Sync + Debug {
    /// A piece of work begins: what it is, for people, and how many bytes it will pass, where known.
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task>;
}

/// One piece of work under way; dropping it ends it.
pub trait Task: Send + Sync + Debug {
    /// `bytes` more are done.
    fn advance(&self, bytes: u64);
}

/// Tells a [`Task`] of every byte that is read through it.
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

/// Tells nobody.
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
