//! Where the bytes go that a program makes: counted and hashed, through an encoder or not.
//!
//! A program makes many small pieces. They are gathered, so that a system call and a message between threads are paid
//! once for a quarter of a megabyte, and hashed on a thread of their own while the next ones are made.

use std::cell::Cell;
use std::io::{self, Write};

use crate::base::constants::BUFFER;
use crate::base::digest::{Digest, Hasher};
use crate::base::jobs::{Aside, Jobs};
use crate::base::progress::Task;
use crate::source::remake::Remaker;

/// What is known of an output even when an encoder has taken it along: one that fails does not give it back.
pub(super) struct OutputAccount {
    /// How many bytes may still come.
    pub(super) left: Cell<u64>,
    /// Why the output could not be written.
    pub(super) failed: Cell<Option<io::Error>>,
}

impl OutputAccount {
    pub(super) fn new(size: u64) -> Self {
        Self {
            left: Cell::new(size),
            failed: Cell::new(None),
        }
    }
}

/// Counts and hashes what is made.
pub(super) struct CountedOutput<'o> {
    out: &'o mut dyn Write,
    account: &'o OutputAccount,
    hashing: Aside<Hasher>,
    /// What is made and not yet written.
    gathered: Vec<u8>,
    task: &'o dyn Task,
}

impl<'o> CountedOutput<'o> {
    pub(super) fn new(
        out: &'o mut dyn Write,
        account: &'o OutputAccount,
        task: &'o dyn Task,
        jobs: Jobs,
    ) -> Self {
        Self {
            out,
            account,
            hashing: Aside::new(jobs, Hasher::sha256(), Hasher::update),
            gathered: Vec::with_capacity(BUFFER),
            task,
        }
    }

    /// How many bytes may still come.
    pub(super) fn left(&self) -> u64 {
        self.account.left.get()
    }

    /// Writes what is left and returns the digest of all that was made.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        self.write_gathered()?;
        Ok(self.hashing.finish().finish())
    }

    fn write_gathered(&mut self) -> io::Result<()> {
        if let Err(error) = self.out.write_all(&self.gathered) {
            let kind = error.kind();
            self.account.failed.set(Some(error));
            return Err(kind.into());
        }
        self.task.advance(self.gathered.len() as u64);
        self.hashing.put(&mut self.gathered);
        Ok(())
    }
}

impl Write for CountedOutput<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.gathered.len() >= BUFFER {
            self.write_gathered()?;
        }
        let room = BUFFER - self.gathered.len();
        let taken = &buf[..buf.len().min(room)];
        let Some(left) = self.left().checked_sub(taken.len() as u64) else {
            let why = "it makes more bytes than it says";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        self.account.left.set(left);
        self.gathered.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the bytes go that an operation makes.
pub(super) enum ReplayTarget<'o> {
    Plain(CountedOutput<'o>),
    Compressed(Box<Remaker<CountedOutput<'o>>>),
}

impl Write for ReplayTarget<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(buf),
            Self::Compressed(remaker) => remaker.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
