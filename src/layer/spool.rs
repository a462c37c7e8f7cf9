//! Layers in unnamed temporary files: those that were decoded or compressed.

use std::fs::File;
use std::io::{self, Write};

use super::LayerTar;
use crate::source::Slice;

/// Bytes of a layer on their way into an unnamed temporary file.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    len: u64,
}

impl Spool {
    pub(crate) fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        Ok(Self { file, len: 0 })
    }

    /// The tar that was decoded from `stored`.
    pub(crate) fn into_tar(self, stored: &Slice) -> LayerTar {
        LayerTar::plain(self.into_bytes(stored))
    }

    /// The bytes that were made of `stored`.
    pub(crate) fn into_bytes(self, stored: &Slice) -> Slice {
        let source = stored.source().derived_for_one(self.file, self.len);
        source.whole()
    }
}

impl Write for Spool {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
