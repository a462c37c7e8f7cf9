//! How far long work has come, told without knowing who listens.
//!
//! The library reports through these traits; the command line draws bars, everybody else passes
//! [`Silent`].

use std::fmt::Debug;

/// Hears of pieces of work that take a while. Shared between the threads that do them.
pub trait Progress: Sync + Debug {
    /// A piece of work begins: what it is, for people, and how many bytes it will pass, where known.
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task>;
}

/// One piece of work under way; dropping it ends it.
pub trait Task: Send + Debug {
    /// `bytes` more are done.
    fn advance(&self, bytes: u64);
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
