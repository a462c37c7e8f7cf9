//! New layers: their digest names them, so they must be complete before an archive can begin.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::layout::OutputLayer;
use super::{WriteError, error};
use crate::base::digest::{DiffId, Hasher};
use crate::base::limits::Limits;
use crate::source::Source;

/// How much is gathered before it is written, in bytes.
const BUFFER: usize = 256 * 1024;

/// A layer under construction: an unnamed temporary file, digested while it is written.
#[derive(Debug)]
pub struct LayerSpool {
    file: BufWriter<File>,
    hasher: Hasher,
    len: u64,
    limits: Limits,
}

impl LayerSpool {
    /// Begins a layer of what has these limits.
    ///
    /// # Errors
    ///
    /// [`WriteError::Spool`].
    pub fn new(limits: &Limits) -> Result<Self, WriteError> {
        let file = tempfile::tempfile().map_err(error::spool)?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            hasher: Hasher::sha256(),
            len: 0,
            limits: *limits,
        })
    }

    /// Ends it; everything written so far is the layer.
    ///
    /// # Errors
    ///
    /// [`WriteError::Spool`].
    pub fn finish(self) -> Result<OutputLayer, WriteError> {
        let file = self
            .file
            .into_inner()
            .map_err(|e| error::spool(e.into_error()))?;
        let source = Source::temporary(
            file,
            self.len,
            "the new layer".to_owned(),
            &self.limits,
            self.len,
        );
        let diff_id = DiffId::from(self.hasher.finish());
        Ok(OutputLayer::computed(diff_id, source.whole()))
    }
}

impl Write for LayerSpool {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
