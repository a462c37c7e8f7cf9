//! Making a stream again.

use std::fmt;
use std::io::{self, Write};

use super::engine::{StreamEncoder, engine};
use super::recipe::Recipe;
use crate::base::jobs::Jobs;

/// How much of the content an encoder is given at a time, in bytes, so that what it makes of that stays small.
const PIECE: usize = 1 << 20;

/// Compresses what is written to it with the encoder of a [`Recipe`] and writes the stream to another writer.
///
/// The same content gives the same bytes with any number of threads and however the writes are split. It holds a fixed
/// amount of memory, whatever the content: a few MiB for gzip, tens of MiB for zstd. It does not know what the stream
/// should be: compare it with a digest.
///
/// Nothing is complete without [`Remaker::finish`].
pub struct Remaker<W> {
    inner: W,
    encoder: &'static str,
    engine: Box<dyn StreamEncoder>,
    made: Vec<u8>,
    /// An encoder that has failed, or a writer, is not used again.
    is_broken: bool,
}

impl<W: Write> Remaker<W> {
    /// Makes the stream of `recipe`, which needs `corrections` for that. `jobs` says how many threads an encoder may use
    /// that can use several.
    ///
    /// # Errors
    ///
    /// If the encoder cannot be set up, because memory is short, or if the corrections are not what the recipe needs
    /// ([`io::ErrorKind::InvalidData`]).
    pub fn new(recipe: &Recipe, corrections: &[u8], inner: W, jobs: Jobs) -> io::Result<Self> {
        if !corrections.is_empty() {
            let why = format!("the encoder `{}` needs no corrections", recipe.encoder());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(Self {
            inner,
            encoder: recipe.encoder(),
            engine: engine(recipe, jobs)?,
            made: Vec::new(),
            is_broken: false,
        })
    }

    /// Ends the stream and gives back the writer, which is not flushed.
    ///
    /// # Errors
    ///
    /// If the encoder fails, which means that memory is short or that the content is not what the recipe is for, or if
    /// something could not be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.step(None)?;
        Ok(self.inner)
    }

    fn step(&mut self, bytes: Option<&[u8]>) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("the stream failed before"));
        }
        self.is_broken = true;
        match bytes {
            Some(bytes) => self.engine.write(bytes, &mut self.made)?,
            None => self.engine.finish(&mut self.made)?,
        }
        self.inner.write_all(&self.made)?;
        self.made.clear();
        self.is_broken = false;
        Ok(())
    }
}

impl<W: Write> Write for Remaker<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(PIECE)];
        if !bytes.is_empty() {
            self.step(Some(bytes))?;
        }
        Ok(bytes.len())
    }

    /// Flushes the writer below. What the encoder still holds stays there.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> fmt::Debug for Remaker<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remaker({})", self.encoder)
    }
}
