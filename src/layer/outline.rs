//! The headers of a layer, for those who do not need the bytes of files.
//!
//! A compressed layer is decoded once from its beginning, as its tar has to be; but what is between
//! its headers is not kept, but for the few bodies that somebody asks for. The temporary file has holes in
//! its place. What is not kept can be shown to somebody while it passes by ([`Bodies`]).

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::bodies::{Bodies, Unseen, body_len};
use super::decoded::{Decoded, Told};
use super::open::each_blob;
use super::{LayerError, LayerTar, UnreadLayer};
use crate::base::jobs::Jobs;
use crate::base::limits::Limits;
use crate::base::progress::{Progress, steps};
use crate::image::Image;
use crate::source::{Compression, Slice, write_at};
use crate::tar::{Cursor, Entry, Streamed, TarFault, Walker};

/// How many bytes are gathered before they are written.
const GATHERED: usize = 256 * 1024;

/// Up to which length, in bytes, a body is written as zeros rather than left out.
const SHORT: usize = 4 * 1024;

/// How many bytes of a body are shown at a time.
const SHOWN: usize = 64 * 1024;

/// The headers of a layer's tar, at their places. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct LayerOutline {
    tar: LayerTar,
    kept: KeptBodies,
}

/// The bodies that are in it, by where they begin.
#[derive(Clone, Debug)]
enum KeptBodies {
    All,
    These(Arc<BTreeSet<u64>>),
}

impl LayerOutline {
    /// That of a layer which is not compressed: the layer.
    pub(crate) fn plain(bytes: Slice) -> Self {
        Self {
            tar: LayerTar::plain(bytes),
            kept: KeptBodies::All,
        }
    }

    /// The tar, whose bodies may be zeros: only headers may be read in it, and [what is kept](Self::has_body).
    pub(crate) fn headers(&self) -> &LayerTar {
        &self.tar
    }

    /// Whether the body that begins at `offset` is there.
    pub(crate) fn has_body(&self, offset: u64) -> bool {
        match &self.kept {
            KeptBodies::All => true,
            KeptBodies::These(kept) => kept.contains(&offset),
        }
    }

    /// The tar, if all bodies are in it.
    pub(crate) fn into_whole(self) -> Option<LayerTar> {
        matches!(self.kept, KeptBodies::All).then_some(self.tar)
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
        let shown = Self::of_all_shown(image, jobs, progress, || Unseen)?;
        Ok(shown.into_iter().map(|(outline, _)| outline).collect())
    }

    /// As [`Self::of_all`]; the bodies of each compressed layer are shown to what `begin` makes for it. Those of
    /// the others need not be read for their headers, and nothing is made for them.
    ///
    /// # Errors
    ///
    /// As [`Self::of_all`].
    #[expect(
        clippy::type_complexity,
        reason = "an outline and what was noted beside it, for each layer"
    )]
    pub(crate) fn of_all_shown<B: Bodies + Send + Sync>(
        image: &Image,
        jobs: Jobs,
        progress: &dyn Progress,
        begin: impl Fn() -> B + Sync,
    ) -> Result<Vec<(Self, Option<Arc<B>>)>, UnreadLayer> {
        each_blob(image, jobs, progress, |bytes, compression, progress| {
            if compression == Compression::None {
                Ok((Self::plain(bytes.clone()), None))
            } else {
                let mut bodies = begin();
                let outline = decode(bytes, compression, &mut bodies, progress)?;
                Ok((outline, Some(Arc::new(bodies))))
            }
        })
    }
}

/// Decodes a layer to its end and keeps its headers.
fn decode(
    bytes: &Slice,
    compression: Compression,
    bodies: &mut dyn Bodies,
    progress: &dyn Progress,
) -> Result<LayerOutline, LayerError> {
    let told = Told::Own(progress.begin(steps::DECOMPRESSING, Some(bytes.len())));
    let decoded = Decoded::new(bytes, compression, None, told)?;
    let mut keeping = Outlining::new(Streamed::new(decoded, bytes.source().limits()), bodies)?;
    let mut walker = Walker::new(&mut keeping);
    let unread = loop {
        match walker.next_entry() {
            Ok(Some(entry)) => walker.cursor_mut().entry(&entry),
            Ok(None) => break None,
            Err(error) => match error.fault {
                TarFault::Read(error) => break Some(error),
                // Reading the headers later meets the same fault.
                _ => break None,
            },
        }
    };
    let (mut inner, outlined) = keeping.end();
    let outlined = outlined?;
    let end = unread.map_or_else(|| inner.drain(), Err);
    let len = end.map_err(|error| inner.into_inner().fault(error))?;
    outlined.finish(len, bytes)
}

/// Keeps what is read of a tar, and drops what is skipped.
pub(super) struct Outlining<'b, R> {
    inner: Streamed<R>,
    file: File,
    /// What is not written yet, and where it begins.
    gathered: Vec<u8>,
    at: u64,
    /// Why the file could not be written.
    failed: Option<io::Error>,
    bodies: &'b mut dyn Bodies,
    /// How much of a body is still to be shown, to be kept or both.
    left: u64,
    shows: bool,
    keeps: bool,
    kept: BTreeSet<u64>,
    shown: Vec<u8>,
}

/// The headers of a tar that was read.
pub(super) struct Outlined {
    file: File,
    kept: KeptBodies,
}

impl Outlined {
    /// The outline of a tar of `len` bytes, which `bytes` hold.
    pub(super) fn finish(self, len: u64, bytes: &Slice) -> Result<LayerOutline, LayerError> {
        self.file.set_len(len).map_err(LayerError::Spool)?;
        let source = bytes.source().derived(self.file, len);
        Ok(LayerOutline {
            tar: LayerTar::plain(source.whole()),
            kept: self.kept,
        })
    }
}

impl<'b, R: io::Read> Outlining<'b, R> {
    pub(super) fn new(inner: Streamed<R>, bodies: &'b mut dyn Bodies) -> Result<Self, LayerError> {
        Ok(Self {
            inner,
            file: tempfile::tempfile().map_err(LayerError::Spool)?,
            gathered: Vec::new(),
            at: 0,
            failed: None,
            bodies,
            left: 0,
            shows: false,
            keeps: false,
            kept: BTreeSet::new(),
            shown: Vec::new(),
        })
    }

    /// The header that was read last is that of this entry.
    pub(super) fn entry(&mut self, entry: &Entry) {
        let len = body_len(entry);
        if len == 0 {
            return;
        }
        let wanted = self.bodies.begin(entry);
        let keeps_all = self.bodies.keeps_all();
        (self.shows, self.keeps) = (wanted.shown, wanted.kept || keeps_all);
        if wanted.kept && !keeps_all {
            self.kept.insert(entry.data_offset);
        }
        self.left = if self.shows || self.keeps { len } else { 0 };
    }

    /// What is below, and what was kept.
    ///
    /// # Errors
    ///
    /// [`LayerError::Spool`] if it could not be written.
    pub(super) fn end(mut self) -> (Streamed<R>, Result<Outlined, LayerError>) {
        if self.left > 0 && self.shows {
            self.bodies.end();
        }
        let written = self.flush();
        let outlined = match self.failed.or(written.err()) {
            Some(error) => Err(LayerError::Spool(error)),
            None => Ok(Outlined {
                file: self.file,
                kept: if self.bodies.keeps_all() {
                    KeptBodies::All
                } else {
                    KeptBodies::These(Arc::new(self.kept))
                },
            }),
        };
        (self.inner, outlined)
    }

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

    /// Leaves out what was skipped.
    fn leave_out(&mut self, skipped: u64) -> io::Result<()> {
        match usize::try_from(skipped) {
            Ok(short) if short <= SHORT => {
                self.gathered.resize(self.gathered.len() + short, 0);
                self.gather(self.gathered.len() >= GATHERED)
            }
            _ => {
                self.gather(true)?;
                self.at += skipped;
                Ok(())
            }
        }
    }

    /// Reads at most `count` bytes of a body that somebody wants; returns how many there were.
    fn pass_body(&mut self, count: u64) -> io::Result<u64> {
        self.shown.resize(SHOWN, 0);
        let most = self.left.min(count);
        let mut passed = 0;
        while passed < most {
            let want = usize::try_from(most - passed).unwrap_or(SHOWN).min(SHOWN);
            let n = self.inner.fill(&mut self.shown[..want])?;
            if n == 0 {
                break;
            }
            passed += n as u64;
            if self.shows {
                self.bodies.take(&self.shown[..n]);
            }
            if self.keeps {
                self.gathered.extend_from_slice(&self.shown[..n]);
                self.gather(self.gathered.len() >= GATHERED)?;
            }
        }
        self.left -= passed;
        if self.left == 0 && self.shows {
            self.bodies.end();
        }
        if !self.keeps {
            self.leave_out(passed)?;
        }
        Ok(passed)
    }
}

impl<R: io::Read> Cursor for Outlining<'_, R> {
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
        let passed = if self.left > 0 {
            self.pass_body(count)?
        } else {
            0
        };
        // A body that is still wanted has come to the end of the stream.
        if self.left > 0 {
            return Ok(passed);
        }
        let skipped = self.inner.skip(count - passed)?;
        self.leave_out(skipped)?;
        Ok(passed + skipped)
    }

    fn limits(&self) -> &Limits {
        self.inner.limits()
    }
}
