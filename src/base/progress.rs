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

    /// Several pieces of work of one kind are going to begin, all of them in what is returned, so that a bar
    /// knows from the start how much it stands for. By default each is reported by itself.
    fn stage(&self, stage: Stage<'_>) -> Box<dyn Progress + '_> {
        _ = stage;
        Box::new(Each(self))
    }
}

/// Several pieces of work of one kind, such as the layers of an image that are verified.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'s> {
    /// What is done, for people.
    pub what: &'s str,
    /// What one piece is, for people, such as `layer`.
    pub unit: &'s str,
    /// How many pieces there are.
    pub parts: usize,
    /// How many bytes all of them will pass.
    pub total: u64,
}

/// The pieces of a stage, each reported by itself.
#[derive(Debug)]
struct Each<'p, P: ?Sized>(&'p P);

impl<P: Progress + ?Sized> Progress for Each<'_, P> {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task> {
        self.0.begin(what, total)
    }

    fn stage(&self, _stage: Stage<'_>) -> Box<dyn Progress + '_> {
        Box::new(Each(self.0))
    }
}

/// What long work is called while it is under way. Who plans a bar for several steps knows them by these names.
pub mod steps {
    /// Standard input is kept in a temporary file.
    pub const READING_PIPE: &str = "reading the pipe";
    /// The archive was compressed as a whole.
    pub const DECOMPRESSING_ARCHIVE: &str = "decompressing the archive";
    /// Compressed layers are decoded.
    pub const DECOMPRESSING: &str = "decompressing layers";
    /// The entries of layers are applied to each other.
    pub const MERGING: &str = "merging layers";
    /// Blobs are hashed and compared with their digests.
    pub const VERIFYING_BLOBS: &str = "verifying blobs";
    /// Layers are hashed and compared with what is claimed of them.
    pub const VERIFYING: &str = "verifying layers";
    /// Layers are hashed because nothing is claimed of them.
    pub const HASHING: &str = "hashing layers";
    /// Layers are compressed.
    pub const COMPRESSING: &str = "compressing layers";
    /// A layer is made.
    pub const MAKING_LAYER: &str = "making the new layer";
    /// Files are compared byte by byte.
    pub const COMPARING: &str = "comparing files";
    /// The root file system is read.
    pub const READING_ROOTFS: &str = "reading the rootfs tar";
    /// Files are looked for by their contents.
    pub const CHECKING_FILES: &str = "checking files";
    /// Compressed layers are compared with what encoders make of them.
    pub const FINDING_RECIPES: &str = "finding encoders";
    /// Layers are put together from their files.
    pub const REBUILDING: &str = "rebuilding layers";
    /// The output is written.
    pub const WRITING: &str = "writing";
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
