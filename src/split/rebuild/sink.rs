//! Where rebuilt bytes go.

use std::fs::File;
use std::io::{self, Write};

use crate::base::constants::BUFFER;
use crate::layer::digest::{Proof, Prover};
use crate::source::Slice;
use crate::source::write_at;

/// Where the archive goes.
pub enum Target<'t> {
    /// A file that is empty: any thread writes anywhere in it.
    File(&'t File),
    /// Anything else: written from the beginning to the end, by one thread.
    Stream(&'t mut dyn Write),
}

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "Target::File",
            Self::Stream(_) => "Target::Stream",
        })
    }
}

/// Where one stretch goes.
pub(super) enum Out<'o> {
    /// Nowhere: it is only digested.
    Nothing,
    /// Into the file, from this byte on.
    At(&'o File, u64),
    /// To the end of the stream.
    Stream(&'o mut dyn Write),
}

/// Gathers, digests and writes a stretch.
pub(super) struct Sink<'o> {
    out: Out<'o>,
    buffer: Vec<u8>,
    prover: Prover,
    written: u64,
}

impl<'o> Sink<'o> {
    pub(super) fn new(out: Out<'o>) -> Self {
        Self::sized(out, BUFFER as u64)
    }

    /// For a stretch of `len` bytes, which may need less room.
    pub(super) fn sized(out: Out<'o>, len: u64) -> Self {
        let room = usize::try_from(len).unwrap_or(BUFFER).min(BUFFER);
        Self {
            out,
            buffer: Vec::with_capacity(room),
            prover: Prover::sha256(),
            written: 0,
        }
    }

    pub(super) fn bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = bytes.len().min(BUFFER - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            self.flush_if_full()?;
        }
        Ok(())
    }

    /// Takes `len` bytes from `read`, which fills what it is given and is told how far it is.
    pub(super) fn fill<E: From<SinkError>>(
        &mut self,
        len: u64,
        mut read: impl FnMut(&mut [u8], u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut at = 0;
        while at < len {
            let start = self.buffer.len();
            let room = BUFFER - start;
            let n = usize::try_from(len - at).unwrap_or(room).min(room);
            self.buffer.resize(start + n, 0);
            read(&mut self.buffer[start..], at)?;
            at += n as u64;
            self.flush_if_full().map_err(SinkError)?;
        }
        Ok(())
    }

    /// Takes all bytes of `slice`.
    pub(super) fn slice<E: From<SinkError> + From<crate::source::SourceError>>(
        &mut self,
        slice: &Slice,
    ) -> Result<(), E> {
        self.fill(slice.len(), |buf, at| {
            slice.read_at(buf, at).map(drop).map_err(E::from)
        })
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.prover.take(&self.buffer);
        match &mut self.out {
            Out::Nothing => {}
            Out::At(file, offset) => write_at(file, &self.buffer, *offset + self.written)?,
            Out::Stream(stream) => stream.write_all(&self.buffer)?,
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is gathered; returns the digest of everything.
    pub(super) fn finish(mut self) -> io::Result<Proof> {
        self.flush()?;
        Ok(self.prover.finish())
    }
}

/// The output could not be written.
#[derive(Debug)]
pub(super) struct SinkError(pub(super) io::Error);
