//! The streams of a delta while they are made: kept in temporary files, then compressed.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

use tempfile::SpooledTempFile;

use super::DeltaError;
use super::description::{StreamSize, Streams};
use crate::base::constants::BUFFER;
use crate::base::jobs::{self, Jobs};
use crate::source::Slice;

/// How much of a stream stays in memory, in bytes.
const HELD: usize = 4 << 20;

/// The largest window of a stream, as a power of two: 64 MiB, of which apply has at most three at a time.
pub(super) const WINDOW: u32 = 26;

/// Bytes that are written in order, and read again from their beginning.
#[derive(Debug)]
pub(super) struct Spooled {
    file: SpooledTempFile,
    len: u64,
}

impl Spooled {
    pub(super) fn new() -> Self {
        Self {
            file: SpooledTempFile::new(HELD),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Adds bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        self.write_all(bytes).map_err(DeltaError::Spool)
    }

    /// Adds the bytes of a slice.
    pub(super) fn put_slice(&mut self, slice: &Slice) -> Result<(), DeltaError> {
        let mut buf = vec![0; BUFFER];
        let mut at = 0;
        while at < slice.len() {
            let n = slice.read_at(&mut buf, at)?;
            self.put(&buf[..n])?;
            at += n as u64;
        }
        Ok(())
    }

    /// Passes all of it on.
    pub(super) fn copy_to(&mut self, out: &mut dyn Write) -> Result<(), DeltaError> {
        self.rewind().map_err(DeltaError::Spool)?;
        let mut buf = vec![0; BUFFER];
        loop {
            match self.file.read(&mut buf).map_err(DeltaError::Spool)? {
                0 => return Ok(()),
                n => out.write_all(&buf[..n]).map_err(DeltaError::Write)?,
            }
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    fn compressed(mut self, level: i32) -> io::Result<Self> {
        self.rewind()?;
        let mut encoder = zstd::stream::Encoder::new(Self::new(), level)?;
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some(self.len))?;
        let needed = u64::BITS - self.len.leading_zeros();
        if needed > 20 {
            // A small stream is within the window anyway.
            encoder.long_distance_matching(true)?;
            encoder.window_log(needed.min(WINDOW))?;
        }
        io::copy(&mut self.file, &mut encoder)?;
        encoder.finish()
    }
}

impl Write for Spooled {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The streams of a delta that is being made.
#[derive(Debug)]
pub(super) struct MadeStreams {
    pub(super) control: Spooled,
    pub(super) headers: Spooled,
    pub(super) differences: Spooled,
    pub(super) data: Spooled,
    pub(super) stored: Spooled,
}

impl MadeStreams {
    pub(super) fn new() -> Self {
        Self {
            control: Spooled::new(),
            headers: Spooled::new(),
            differences: Spooled::new(),
            data: Spooled::new(),
            stored: Spooled::new(),
        }
    }

    /// Compresses all but what is compressed already; the results do not depend on the number of threads.
    pub(super) fn compressed(self, level: i32, jobs: Jobs) -> Result<(Self, Streams), DeltaError> {
        let raw = [self.control, self.headers, self.differences, self.data];
        let expanded = raw.each_ref().map(Spooled::len);
        let raw = raw.map(|stream| Mutex::new(Some(stream)));
        let cost = |stream: &Mutex<Option<Spooled>>| {
            let stream = stream.lock().ok();
            stream
                .and_then(|it| it.as_ref().map(Spooled::len))
                .unwrap_or(0)
        };
        let done = jobs::map(jobs, &raw, cost, |stream| {
            let stream = stream.lock().ok().and_then(|mut stream| stream.take());
            stream.unwrap_or_else(Spooled::new).compressed(level)
        });
        let done: io::Result<Vec<Spooled>> = done.into_iter().collect();
        let done = done.map_err(DeltaError::Spool)?;
        let done: [Spooled; 4] = done
            .try_into()
            .map_err(|_| DeltaError::Spool(io::Error::other("a stream is lost")))?;
        let stream = |at: usize| StreamSize {
            expanded: expanded[at],
            size: done[at].len(),
        };
        let sizes = Streams {
            control: stream(0),
            headers: stream(1),
            differences: stream(2),
            data: stream(3),
            stored: StreamSize {
                expanded: self.stored.len(),
                size: self.stored.len(),
            },
        };
        let [control, headers, differences, data] = done;
        let made = Self {
            control,
            headers,
            differences,
            data,
            stored: self.stored,
        };
        Ok((made, sizes))
    }
}
