//! A temporary file of this process: written and read at any place, by any thread.

use std::fs::File;
use std::io;

use super::Source;
use super::file::positioned_read;
use crate::base::limits::Limits;

/// An unnamed temporary file. Nothing of it is left when it is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Scratch(File);

impl Scratch {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        tempfile::tempfile().map(Self)
    }

    /// Writes all of `bytes` from `offset` on.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        write_at(&self.0, bytes, offset)
    }

    /// Fills `buf` with bytes that were written from `offset` on.
    pub(crate) fn read_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match positioned_read(&self.0, buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Its first `len` bytes as something to read, called `path` in messages.
    pub(crate) fn into_source(
        self,
        len: u64,
        path: String,
        limits: &Limits,
        stored: u64,
    ) -> Source {
        Source::temporary(self.0, len, path, limits, stored)
    }
}

/// Writes all of `bytes` from `offset` on.
#[cfg(unix)]
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all of `bytes` from `offset` on.
#[cfg(windows)]
pub(crate) fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
