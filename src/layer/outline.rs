//! The headers of a layer, for those who do not need the bytes of files.
//!
//! A compressed layer is decoded once from its beginning, as its tar has to be; but what is between
//! its headers is not kept. The temporary file has holes in its place.

use std::fs::File;
use std::io;

use super::decoded::{Decoded, Told};
use super::open::{OPENING, each_blob};
use super::{LayerError, LayerTar, UnreadLayer};
use crate::base::jobs::Jobs;
use crate::base::limits::Limits;
use crate::base::progress::Progress;
use crate::image::Image;
use crate::source::{Compression, Slice, write_at};
use crate::tar::{Cursor, Streamed, TarFault, Walker};

/// How many bytes are gathered before they are written.
const GATHERED: usize = 256 * 1024;

/// Up to which length, in bytes, a body is written as zeros rather than left out.
const SHORT: usize = 4 * 1024;

/// The headers of a layer's tar, at their places. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct LayerOutline(LayerTar);

impl LayerOutline {
    /// The tar, whose bodies may be zeros: only headers may be read in it.
    pub(crate) fn headers(&self) -> &LayerTar {
        &self.0
    }

    /// The outlines of all layers of an image, base first, each stored blob read once.
    ///
    /// # Errors
    ///
    /// As [`OpenLayers::of`](super::OpenLayers::of).
    pub(crate) fn of_all(
        image: &Image,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Vec<Self>, UnreadLayer> {
        each_blob(image, jobs, |bytes, compression| match compression {
            Compression::None => Ok(Self(LayerTar::plain(bytes.clone()))),
            _ => decode(bytes, compression, progress),
        })
    }
}

/// Decodes a layer to its end and keeps its headers.
fn decode(
    bytes: &Slice,
    compression: Compression,
    progress: &dyn Progress,
) -> Result<LayerOutline, LayerError> {
    let told = Told::Own(progress.begin(OPENING, Some(bytes.len())));
    let decoded = Decoded::new(bytes, compression, None, told)?;
    let mut keeping = Keeping {
        inner: Streamed::new(decoded, bytes.source().limits()),
        file: tempfile::tempfile().map_err(LayerError::Spool)?,
        gathered: Vec::new(),
        at: 0,
        failed: None,
    };
    let mut walker = Walker::new(&mut keeping);
    let unread = loop {
        match walker.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(error) => match error.fault {
                TarFault::Read(error) => break Some(error),
                // Reading the headers later meets the same fault.
                _ => break None,
            },
        }
    };
    let end = unread.map_or_else(|| keeping.inner.drain(), Err);
    let written = keeping.flush();
    let Keeping {
        inner,
        file,
        failed,
        ..
    } = keeping;
    if let Some(error) = failed.or(written.err()) {
        return Err(LayerError::Spool(error));
    }
    let len = end.map_err(|error| inner.into_inner().fault(error))?;
    file.set_len(len).map_err(LayerError::Spool)?;
    let source = bytes.source().derived(file, len);
    Ok(LayerOutline(LayerTar::plain(source.whole())))
}

/// Keeps what is read of a tar, and drops what is skipped.
struct Keeping<R> {
    inner: Streamed<R>,
    file: File,
    /// What is not written yet, and where it begins.
    gathered: Vec<u8>,
    at: u64,
    /// Why the file could not be written.
    failed: Option<io::Error>,
}

impl<R> Keeping<R> {
    fn flush(&mut self) -> io::Result<()> {
        write_at(&self.file, &self.gathered, self.at)?;
        self.at += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }

    /// Writes what is gathered if it is enough. The error waits here, since a reader's error is not one
    /// of the temporary file.
    fn gather(&mut self, is_enough: bool) -> io::Result<()> {
        if is_enough && let Err(error) = self.flush() {
            self.failed = Some(error);
            return Err(io::Error::other("the temporary file cannot be written"));
        }
        Ok(())
    }
}

impl<R: io::Read> Cursor for Keeping<R> {
    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.fill(buf)?;
        self.gathered.extend_from_slice(&buf[..n]);
        self.gather(self.gathered.len() >= GATHERED)?;
        Ok(n)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let skipped = self.inner.skip(count)?;
        match usize::try_from(skipped) {
            Ok(short) if short <= SHORT => {
                self.gathered.resize(self.gathered.len() + short, 0);
                self.gather(self.gathered.len() >= GATHERED)?;
            }
            _ => {
                self.gather(true)?;
                self.at += skipped;
            }
        }
        Ok(skipped)
    }

    fn limits(&self) -> &Limits {
        self.inner.limits()
    }
}
