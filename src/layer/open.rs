//! The uncompressed tar of a layer, as a value: where its bytes are and how to read them.
//!
//! A layer that is not compressed is a stretch of its archive, and stays there. One that is compressed
//! is decoded once, into an unnamed temporary file, and shared by whoever needs its bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Write};

use super::LayerError;
use super::passes::{self, Begun, Pass, Read, Work};
use crate::base::digest::{DiffId, Digest, Hasher};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, Task};
use crate::image::{Image, Layer, LayerSource};
use crate::source::{Compression, Decoder, Slice, SliceReader, SourceError, Span};

/// How much is copied at a time into the spool of a compressed layer.
const BUFFER: usize = 256 * 1024;

/// The uncompressed tar of a layer. Clones share its bytes.
///
/// Nothing is said of what the bytes are: whether they are a tar, and whether they are what a diff ID
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
}

impl Layer {
    /// Its uncompressed tar: a compressed layer is decoded into an unnamed temporary file, each time
    /// that this is called. [`OpenLayers`] opens all layers of an image, each once.
    ///
    /// # Errors
    ///
    /// [`LayerError`] if the archive does not hold it, if its compression is damaged, or if it cannot be
    /// read. What is not a tar is not an error here.
    pub fn open(&self, progress: &dyn Progress) -> Result<LayerTar, LayerError> {
        let (slice, compression) = stored(self)?;
        match compression {
            Compression::None => Ok(LayerTar(slice.clone())),
            _ => Decoding::new(slice, compression, progress)?.run(),
        }
    }
}

/// The stored bytes of a layer and their compression.
fn stored(layer: &Layer) -> Result<(&Slice, Compression), LayerError> {
    match &layer.source {
        LayerSource::Present { slice, compression } => Ok((slice, *compression)),
        LayerSource::Missing { why, .. } => Err(LayerError::Missing(why.clone())),
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

/// The tars of all layers of an image, each stored blob opened once.
#[derive(Clone, Debug)]
pub struct OpenLayers {
    tars: Vec<LayerTar>,
    diff_ids: Vec<Option<DiffId>>,
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
        let mut blobs: Vec<Blob<'_>> = Vec::new();
        let mut by_span: HashMap<Span, usize> = HashMap::new();
        let mut blob_of = Vec::with_capacity(image.layers.len());
        for layer in &image.layers {
            let index = layer.index;
            let (slice, compression) = stored(layer).map_err(|source| UnreadLayer {
                layer: index,
                source,
            })?;
            let blob = *by_span.entry(slice.span()).or_insert_with(|| {
                blobs.push(Blob {
                    layer: index,
                    slice,
                    compression,
                });
                blobs.len() - 1
            });
            blob_of.push(blob);
        }
        let opening = Opening { digests, progress };
        let opened = passes::map(jobs, &blobs, Blob::encoded, &opening);
        let opened: Vec<(LayerTar, Option<Digest>)> =
            opened.into_iter().collect::<Result<_, _>>()?;
        let tars = blob_of.iter().map(|&blob| opened[blob].0.clone());
        let diff_ids = blob_of.iter().map(|&blob| opened[blob].1.clone());
        Ok(Self {
            tars: tars.collect(),
            diff_ids: diff_ids.map(|id| id.map(DiffId::from)).collect(),
        })
    }

    /// The tars, base first.
    pub fn tars(&self) -> &[LayerTar] {
        &self.tars
    }

    /// The diff ID of a layer, if it was computed while the layer was decoded.
    pub fn diff_id(&self, layer: usize) -> Option<&DiffId> {
        self.diff_ids.get(layer)?.as_ref()
    }
}

/// The stored bytes of a layer.
struct Blob<'i> {
    /// The first layer that has them.
    layer: usize,
    slice: &'i Slice,
    compression: Compression,
}

impl Blob<'_> {
    /// How many bytes are to be decoded.
    fn encoded(&self) -> u64 {
        match self.compression {
            Compression::None => 0,
            _ => self.slice.len(),
        }
    }

    fn error(&self, source: LayerError) -> UnreadLayer {
        let layer = self.layer;
        UnreadLayer { layer, source }
    }
}

/// How layers are made readable by position.
struct Opening<'p> {
    digests: bool,
    progress: &'p dyn Progress,
}

impl<'t, 'i: 't> Work<'t, Blob<'i>> for Opening<'_> {
    type Pass = Decoding<'t>;
    type Done = Result<(LayerTar, Option<Digest>), UnreadLayer>;

    fn is_pass(&self, blob: &Blob<'i>) -> bool {
        self.digests && blob.compression != Compression::None
    }

    fn cost(&self, bytes: u64) -> u64 {
        bytes
    }

    fn begin(&self, blob: &'t Blob<'i>) -> Begun<Decoding<'t>, Self::Done> {
        if blob.compression == Compression::None {
            return Begun::Done(Ok((LayerTar(blob.slice.clone()), None)));
        }
        let decoding = Decoding::new(blob.slice, blob.compression, self.progress);
        match decoding {
            Ok(decoding) if self.digests => Begun::Pass(decoding, Hasher::sha256()),
            decoding => {
                let decoded = decoding.and_then(Decoding::run);
                let decoded = decoded.map(|tar| (tar, None));
                Begun::Done(decoded.map_err(|error| blob.error(error)))
            }
        }
    }

    fn end(&self, blob: &'t Blob<'i>, read: Read<Decoding<'t>>) -> Self::Done {
        let (decoding, digest) = read.map_err(|error| blob.error(error))?;
        Ok((decoding.finish(), Some(digest)))
    }
}
/// A compressed layer that is decoded into an unnamed temporary file.
struct Decoding<'i> {
    slice: &'i Slice,
    compression: Compression,
    decoder: Decoder<BufReader<SliceReader>>,
    task: Box<dyn Task>,
    /// How many stored bytes the task has heard of.
    told: u64,
    file: File,
    len: u64,
}

impl<'i> Decoding<'i> {
    fn new(
        slice: &'i Slice,
        compression: Compression,
        progress: &dyn Progress,
    ) -> Result<Self, LayerError> {
        let task = progress.begin("decompressing layers", Some(slice.len()));
        let reader = BufReader::with_capacity(BUFFER, slice.reader());
        let decoder = slice
            .decode(compression, reader)
            .map_err(LayerError::Read)?;
        Ok(Self {
            slice,
            compression,
            decoder,
            task,
            told: 0,
            file: tempfile::tempfile().map_err(LayerError::Spool)?,
            len: 0,
        })
    }

    /// How many stored bytes were read.
    fn position(&self) -> u64 {
        self.decoder.get_ref().get_ref().position()
    }

    /// Decodes all of it.
    fn run(mut self) -> Result<LayerTar, LayerError> {
        let mut buf = vec![0; BUFFER];
        loop {
            match self.read(&mut buf)? {
                0 => return Ok(self.finish()),
                n => self.hashed(&buf[..n])?,
            }
        }
    }

    /// What was decoded.
    fn finish(self) -> LayerTar {
        LayerTar(self.slice.source().derived(self.file, self.len).whole())
    }
}

impl Pass for Decoding<'_> {
    type Error = LayerError;

    /// What is left to be decoded; how much comes out of it is not known.
    fn left(&self) -> u64 {
        self.slice.len().saturating_sub(self.position())
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        let n = loop {
            match self.decoder.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let position = self.position();
        self.task.advance(position - self.told);
        self.told = position;
        n.map_err(|e| LayerError::from_read(e, self.compression, position, self.slice.len()))
    }

    fn is_alone(&self) -> bool {
        self.decoder.has_much_memory()
    }

    fn hashed(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.file.write_all(bytes).map_err(LayerError::Spool)?;
        self.len += bytes.len() as u64;
        Ok(())
    }
}
