//! The uncompressed tar of a layer, as a value: where its bytes are and how to read them.
//!
//! A layer that is not compressed is a stretch of its archive, and stays there. One that is compressed
//! is decoded once, into an unnamed temporary file, which everything that needs its bytes shares.

use std::io::Write;
use std::sync::Arc;

use super::LayerError;
use super::decoded::{Decoded, Told};
use super::digest::{Alongside, Nothing, Outcome, Proof, Request, Wanted, Work, run};
use super::spool::Spool;
use crate::base::constants::BUFFER;
use crate::base::jobs::{self, Jobs};
use crate::base::options::Options;
use crate::base::progress::{Progress, Stage, steps};
use crate::image::{Image, Layer, LayerSource};
use crate::source::{ByPlace, Compression, Slice, SliceReader, SourceError, Span};
use crate::tar::{Entry, Kind, Positioned, Walker};

/// The uncompressed tar of a layer. Clones share its bytes.
///
/// It does not tell what the bytes are: whether they are a tar, and whether they are what a diff ID
/// claims.
#[derive(Clone, Debug)]
pub struct LayerTar(Slice);

impl LayerTar {
    /// The tar of a layer that is not compressed.
    pub fn plain(bytes: Slice) -> Self {
        Self(bytes)
    }

    /// Its length in bytes, everything behind the end of the tar included.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether it has no bytes, which no tar has.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes, wherever they are: in the archive, or in a temporary file.
    pub fn bytes(&self) -> &Slice {
        &self.0
    }

    /// The stretch `span` of it, cut to what it holds.
    #[must_use]
    pub fn slice(&self, span: Span) -> Slice {
        self.0.slice(span)
    }

    /// Fills `buf` from `offset` bytes into the tar, up to its end; returns how much was filled.
    ///
    /// # Errors
    ///
    /// As [`Slice::read_at`].
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, SourceError> {
        self.0.read_at(buf, offset)
    }

    /// Reads it from its beginning.
    pub fn reader(&self) -> SliceReader {
        self.0.reader()
    }

    /// Its entries in their order, whiteouts and all, as they are written there: headers that are about
    /// others (PAX, long names) are applied to those. Bodies are passed over. After an error there are no more.
    ///
    /// ```
    /// use imgtar::Options;
    ///
    /// let options = Options::default();
    /// let archive = imgtar::open("testdata/engines/docker26-one.tar".as_ref(), &options)?;
    /// let images = archive.images()?;
    /// let layer = images.only(None)?.layers.last().expect("a layer").open(&options)?;
    /// let names: Vec<Vec<u8>> = layer
    ///     .entries()
    ///     .map(|entry| Ok(entry?.path))
    ///     .collect::<Result<_, imgtar::Error>>()?;
    /// assert!(!names.is_empty());
    /// # Ok::<(), imgtar::Error>(())
    /// ```
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry, LayerError>> + use<> {
        let mut walker = Walker::new(Positioned::new(self.0.clone()));
        let mut failed = false;
        std::iter::from_fn(move || {
            while !failed {
                match walker.next_entry() {
                    Ok(Some(entry)) if entry.kind == Kind::Global => {}
                    Ok(entry) => return entry.map(Ok),
                    Err(fault) => {
                        failed = true;
                        return Some(Err(LayerError::Tar(fault)));
                    }
                }
            }
            None
        })
    }
}

impl Layer {
    /// Its uncompressed tar: a compressed layer is decoded into an unnamed temporary file, each time
    /// that this is called. [`OpenLayers`] opens all layers of an image, each once.
    ///
    /// # Errors
    ///
    /// [`LayerError`] if the archive does not hold it, if its compression is damaged, or if it cannot be
    /// read. What is not a tar is not an error here.
    pub fn open(&self, options: &Options<'_>) -> Result<LayerTar, LayerError> {
        let (bytes, compression) = self.stored()?;
        match compression {
            Compression::None => Ok(LayerTar(bytes.clone())),
            _ => decode(bytes, compression, options.progress),
        }
    }

    /// Reads it from its first byte to its last for its diff ID, by SHA-256. `task` is what progress
    /// calls that.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn prove(&self, task: &str, progress: &dyn Progress) -> Result<Proof, LayerError> {
        let (bytes, compression) = self.stored()?;
        let request = Request {
            bytes,
            compression,
            wanted: Wanted::diff_id(),
            task: Some(task.to_owned()),
            alongside: Nothing,
        };
        request.answer(progress).map(|(proof, ())| proof)
    }

    /// Its stored bytes and their compression.
    ///
    /// # Errors
    ///
    /// [`LayerError::Missing`] if the archive does not hold it, [`LayerError::LeftOut`] if that is on purpose.
    pub fn stored(&self) -> Result<(&Slice, Compression), LayerError> {
        match &self.source {
            LayerSource::Present { slice, compression } => Ok((slice, *compression)),
            LayerSource::Missing {
                left_out: Some(left_out),
                ..
            } => Err(LayerError::LeftOut(Arc::clone(left_out))),
            LayerSource::Missing { why, .. } => Err(LayerError::Missing(why.clone())),
        }
    }
}

/// Decodes a layer without computing a digest.
fn decode(
    bytes: &Slice,
    compression: Compression,
    progress: &dyn Progress,
) -> Result<LayerTar, LayerError> {
    let told = Told::Own(progress.begin(steps::DECOMPRESSING, Some(bytes.len())));
    let mut decoded = Decoded::new(bytes, compression, None, told)?;
    let mut spool = Spool::new().map_err(LayerError::Spool)?;
    let mut buf = vec![0; BUFFER];
    loop {
        match decoded.next(&mut buf)? {
            0 => return Ok(spool.into_tar(bytes)),
            n => spool.write_all(&buf[..n]).map_err(LayerError::Spool)?,
        }
    }
}

/// Keeps the uncompressed bytes of what is read for its digest in an unnamed temporary file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToSpool<'r>(pub(crate) &'r Slice);

impl Alongside for ToSpool<'_> {
    type State = Spool;
    type Made = LayerTar;
    type Error = LayerError;

    fn unread(&self, error: LayerError) -> LayerError {
        error
    }

    fn begin(&self) -> Result<Spool, LayerError> {
        Spool::new().map_err(LayerError::Spool)
    }

    fn take(&self, spool: &mut Spool, bytes: &[u8]) -> Result<(), LayerError> {
        spool.write_all(bytes).map_err(LayerError::Spool)
    }

    fn end(&self, spool: Spool, _proof: &Proof) -> Result<LayerTar, LayerError> {
        Ok(spool.into_tar(self.0))
    }
}

/// A layer of an image that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("layer {layer} cannot be read")]
pub struct UnreadLayer {
    /// The layer's index, base first.
    pub layer: usize,
    /// Why not.
    pub source: LayerError,
}

/// The stored blobs of an image, each with the index of the first layer that has it and its compression,
/// and which of them each layer has.
type BlobsOf<'i> = (ByPlace<(usize, &'i Slice, Compression)>, Vec<usize>);

fn blobs_of(image: &Image) -> Result<BlobsOf<'_>, UnreadLayer> {
    let mut blobs = ByPlace::new();
    let mut blob_of = Vec::with_capacity(image.layers.len());
    for layer in &image.layers {
        let index = layer.index;
        let stored = layer.stored();
        let (bytes, compression) = stored.map_err(|source| UnreadLayer {
            layer: index,
            source,
        })?;
        blob_of.push(blobs.add(bytes, || (index, bytes, compression)));
    }
    Ok((blobs, blob_of))
}

/// Does `open` with each stored blob of an image, on several threads, and gives each layer what came of
/// its blob. Compressed ones are decoded, which `open` reports to the progress that it is given.
pub(super) fn each_blob<T: Clone + Send>(
    image: &Image,
    jobs: Jobs,
    progress: &dyn Progress,
    open: impl Fn(&Slice, Compression, &dyn Progress) -> Result<T, LayerError> + Sync,
) -> Result<Vec<T>, UnreadLayer> {
    let (blobs, blob_of) = blobs_of(image)?;
    // Only what has to be decoded takes time.
    let cost = |&(_, bytes, compression): &(usize, &Slice, Compression)| match compression {
        Compression::None => 0,
        _ => bytes.len(),
    };
    let decoded = blobs.all().iter().filter(|blob| cost(blob) > 0);
    let stage = progress.stage(Stage {
        what: steps::DECOMPRESSING,
        unit: "layer",
        parts: decoded.clone().count(),
        total: decoded.map(cost).fold(0, u64::saturating_add),
    });
    let opened = jobs::map(jobs, blobs.all(), cost, |&(layer, bytes, compression)| {
        open(bytes, compression, &*stage).map_err(|source| UnreadLayer { layer, source })
    });
    let opened = opened.into_iter().collect::<Result<Vec<T>, _>>()?;
    Ok(blob_of.iter().map(|&blob| opened[blob].clone()).collect())
}

/// The tars of all layers of an image, each stored blob opened once.
#[derive(Clone, Debug)]
pub struct OpenLayers {
    tars: Vec<LayerTar>,
    proofs: Vec<Option<Proof>>,
}

impl OpenLayers {
    /// Opens all layers of `image`, on several threads. Compressed ones are decoded once, into unnamed
    /// temporary files, and if `digests` asks for it their diff IDs are computed on the way. Nothing is
    /// compared with a claim here.
    ///
    /// # Errors
    ///
    /// [`UnreadLayer`], for the first layer that is missing, or is damaged, or cannot be read.
    pub fn of(
        image: &Image,
        digests: bool,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, UnreadLayer> {
        if !digests {
            let tars =
                each_blob(
                    image,
                    jobs,
                    progress,
                    |bytes, compression, progress| match compression {
                        Compression::None => Ok(LayerTar(bytes.clone())),
                        _ => decode(bytes, compression, progress),
                    },
                )?;
            let proofs = vec![None; tars.len()];
            return Ok(Self { tars, proofs });
        }
        let (blobs, blob_of) = blobs_of(image)?;
        let work = blobs.all().iter().map(|&(_, bytes, compression)| {
            if compression == Compression::None {
                return Work::Other(bytes);
            }
            Work::Read(Request {
                bytes,
                compression,
                wanted: Wanted::diff_id(),
                task: Some(steps::DECOMPRESSING.to_owned()),
                alongside: ToSpool(bytes),
            })
        });
        let work: Vec<Work<'_, ToSpool<'_>, _>> = work.collect();
        let cost = |work: &Work<'_, _, _>| match work {
            Work::Other(_) => 0,
            Work::Read(request) => request.bytes.len(),
        };
        let open = |&bytes: &&Slice| LayerTar(bytes.clone());
        let opened = run(jobs, &work, cost, 1, &open, progress);
        let opened = opened.into_iter().zip(blobs.all()).map(|(outcome, blob)| {
            let opened = match outcome {
                Outcome::Read(answer) => answer.map(|(proof, tar)| (tar, Some(proof))),
                Outcome::Other(tar) => Ok((tar, None)),
            };
            let layer = blob.0;
            opened.map_err(|source| UnreadLayer { layer, source })
        });
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        let of = blob_of.iter().map(|&blob| opened[blob].clone());
        let (tars, proofs) = of.unzip();
        Ok(Self { tars, proofs })
    }

    /// The tars, base first.
    pub fn tars(&self) -> &[LayerTar] {
        &self.tars
    }

    /// What was proven of a layer while it was decoded.
    pub fn proof(&self, layer: usize) -> Option<&Proof> {
        self.proofs.get(layer)?.as_ref()
    }
}
