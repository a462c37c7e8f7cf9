//! Uncompressed layers in unnamed temporary files: those that were decoded, and new ones.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::LayerTar;
use super::digest::{Proof, Prover};
use crate::base::constants::BUFFER;
use crate::base::limits::Limits;
use crate::source::{Slice, Source};

/// The bytes of a layer on their way into an unnamed temporary file.
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
        let source = stored.source().derived(self.file, self.len);
        LayerTar::plain(source.whole())
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

/// A new layer under construction: its digest names it, so it must be complete before an archive can
/// begin. It is digested while it is written.
#[derive(Debug)]
pub struct NewLayer {
    spool: BufWriter<Spool>,
    prover: Prover,
    limits: Limits,
}

impl NewLayer {
    /// Begins a layer of what has these limits.
    ///
    /// # Errors
    ///
    /// An error of the temporary file.
    pub fn new(limits: &Limits) -> io::Result<Self> {
        Ok(Self {
            spool: BufWriter::with_capacity(BUFFER, Spool::new()?),
            prover: Prover::sha256(),
            limits: *limits,
        })
    }

    /// Ends it; everything written so far is the layer.
    ///
    /// # Errors
    ///
    /// An error of the temporary file.
    pub fn finish(self) -> io::Result<(LayerTar, Proof)> {
        let spool = self.spool.into_inner();
        let Spool { file, len } = spool.map_err(io::IntoInnerError::into_error)?;
        let name = "the new layer".to_owned();
        let source = Source::temporary(file, len, name, &self.limits, len);
        Ok((LayerTar::plain(source.whole()), self.prover.finish()))
    }
}

impl Write for NewLayer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.spool.write(buf)?;
        self.prover.take(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}
