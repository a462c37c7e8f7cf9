//! The uncompressed bytes of a stored layer, read from the first to the last.

use std::io::{self, BufReader, Read};

use super::LayerError;
use crate::base::digest::{Digest, Hasher};
use crate::base::progress::Task;
use crate::source::{Compression, Decoder, Slice, SliceReader};

/// How many stored bytes are read at a time.
const BUFFER: usize = 128 * 1024;

/// Where the number of stored bytes read is reported.
#[derive(Debug)]
pub(super) enum Told<'t> {
    /// A task of this layer alone.
    Own(Box<dyn Task>),
    /// A task of several.
    Shared(&'t dyn Task),
    /// Nowhere.
    Nobody,
}

impl Told<'_> {
    pub(super) fn advance(&self, bytes: u64) {
        match self {
            Self::Own(task) => task.advance(bytes),
            Self::Shared(task) => task.advance(bytes),
            Self::Nobody => {}
        }
    }
}

/// A stored layer under its decoder. Errors of reading are those of [`io::Read`]; [`Self::fault`] says
/// what they mean.
#[derive(Debug)]
pub(super) struct Decoded<'t> {
    compression: Compression,
    /// How many bytes are stored.
    len: u64,
    decoder: Decoder<BufReader<Tee>>,
    told: Told<'t>,
    /// How many stored bytes were reported.
    told_of: u64,
}

impl<'t> Decoded<'t> {
    /// Begins to decode `slice`; `stored` digests the stored bytes on the way.
    pub(super) fn new(
        slice: &Slice,
        compression: Compression,
        stored: Option<Hasher>,
        told: Told<'t>,
    ) -> Result<Self, LayerError> {
        let tee = Tee {
            inner: slice.reader(),
            hasher: stored,
        };
        let reader = BufReader::with_capacity(BUFFER, tee);
        Ok(Self {
            compression,
            len: slice.len(),
            decoder: slice
                .decode(compression, reader)
                .map_err(LayerError::Read)?,
            told,
            told_of: 0,
        })
    }

    /// How many stored bytes were read.
    pub(super) fn position(&self) -> u64 {
        self.decoder.get_ref().get_ref().inner.position()
    }

    /// How many stored bytes are left.
    pub(super) fn left(&self) -> u64 {
        self.len.saturating_sub(self.position())
    }

    /// Whether the decoder takes so much memory that no other should run beside it.
    pub(super) fn is_alone(&self) -> bool {
        self.decoder.has_much_memory()
    }

    /// What it means that a read failed.
    pub(super) fn fault(&self, error: io::Error) -> LayerError {
        LayerError::from_read(error, self.compression, self.position(), self.len)
    }

    /// Fills `buf` with the next bytes, or a part of it; returns 0 only at the end.
    pub(super) fn next(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        loop {
            match self.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|e| self.fault(e)),
            }
        }
    }

    /// What follows the end of the compressed data, which is part of the stored bytes.
    pub(super) fn finish(self) -> Result<Rest, LayerError> {
        let (compression, len, at) = (self.compression, self.len, self.position());
        let trailing = self.decoder.has_trailing_data();
        let mut rest = self.decoder.into_inner();
        if rest.get_ref().hasher.is_some() {
            io::copy(&mut rest, &mut io::sink())
                .map_err(|e| LayerError::from_read(e, compression, at, len))?;
        }
        let stored = rest.into_inner().hasher.map(Hasher::finish);
        Ok(Rest { stored, trailing })
    }
}

impl Read for Decoded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buf);
        let position = self.position();
        self.told.advance(position - self.told_of);
        self.told_of = position;
        read
    }
}

/// What is known when the stored bytes were read to their end.
#[derive(Debug)]
pub(super) struct Rest {
    /// The digest of the stored bytes, if it was asked for.
    pub(super) stored: Option<Digest>,
    /// Whether bytes that are not part of the compressed data follow it.
    pub(super) trailing: bool,
}

/// Digests what is read through it, if a digest is asked for.
#[derive(Debug)]
struct Tee {
    inner: SliceReader,
    hasher: Option<Hasher>,
}

impl Read for Tee {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..n]);
        }
        Ok(n)
    }
}
