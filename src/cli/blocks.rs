//! Writing in blocks that are as large as tar programs read them.

use std::io::{self, Write};

/// How much is written at a time, in bytes: a multiple of the 10,240 that tar programs read at a time.
/// A program that reads the pipe then gets whole records.
const BLOCK: usize = 32 * 10_240;

/// Gathers what is written and passes it on in whole blocks; what is left at the end goes with
/// [`flush`](Write::flush).
#[derive(Debug)]
pub(crate) struct Blocks<W> {
    inner: W,
    gathered: Vec<u8>,
    /// How many bytes were passed on.
    passed: u64,
}

impl<W: Write> Blocks<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            gathered: Vec::with_capacity(BLOCK),
            passed: 0,
        }
    }

    /// How many bytes were passed on.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }
}

impl<W: Write> Write for Blocks<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let now = &buf[..buf.len().min(BLOCK - self.gathered.len())];
        self.gathered.extend_from_slice(now);
        if self.gathered.len() == BLOCK {
            self.inner.write_all(&self.gathered)?;
            self.passed += self.gathered.len() as u64;
            self.gathered.clear();
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.gathered)?;
        self.passed += self.gathered.len() as u64;
        self.gathered.clear();
        self.inner.flush()
    }
}

/// Standard output as the system has it, without the buffer that passes every line on.
#[cfg(unix)]
pub(crate) type RawStdout = std::fs::File;

/// Standard output.
#[cfg(not(unix))]
pub(crate) type RawStdout = io::Stdout;

/// Standard output, for bytes and not for lines.
#[cfg(unix)]
pub(crate) fn stdout() -> io::Result<Blocks<RawStdout>> {
    use std::os::fd::AsFd;
    let file = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Blocks::new(file.into()))
}

/// Standard output, for bytes and not for lines.
#[cfg(not(unix))]
pub(crate) fn stdout() -> io::Result<Blocks<RawStdout>> {
    Ok(Blocks::new(io::stdout()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers how long each write was.
    struct Writes(Vec<usize>);

    impl Write for Writes {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.push(buf.len());
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whole_blocks_are_written_and_the_rest_at_the_end() {
        let mut blocks = Blocks::new(Writes(Vec::new()));
        for len in [1, 511, BLOCK, 3, 2 * BLOCK, 7] {
            blocks.write_all(&vec![b'\n'; len]).expect("no error");
        }
        assert_eq!(blocks.inner.0, [BLOCK; 3]);
        blocks.flush().expect("no error");
        assert_eq!(blocks.inner.0, [BLOCK, BLOCK, BLOCK, 522]);
    }
}
