//! Where the bytes go that a program makes: counted and hashed, through an encoder or not.

use std::io::{self, Write};

use crate::base::digest::Hasher;
use crate::base::progress::Task;
use crate::source::remake::Remaker;

/// Counts and hashes what is made.
pub(super) struct CountedOutput<'o> {
    out: &'o mut dyn Write,
    pub(super) hasher: Hasher,
    /// How many bytes may still come.
    pub(super) left: u64,
    task: &'o dyn Task,
    /// Why the output could not be written, behind whatever encoder.
    pub(super) failed: Option<io::Error>,
}

impl<'o> CountedOutput<'o> {
    pub(super) fn new(out: &'o mut dyn Write, size: u64, task: &'o dyn Task) -> Self {
        Self {
            out,
            hasher: Hasher::sha256(),
            left: size,
            task,
            failed: None,
        }
    }
}

impl Write for CountedOutput<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = buf.len() as u64;
        if len > self.left {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it makes more bytes than it says",
            ));
        }
        match self.out.write_all(buf) {
            Ok(()) => {}
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                return Err(kind.into());
            }
        }
        self.hasher.update(buf);
        self.left -= len;
        self.task.advance(len);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
