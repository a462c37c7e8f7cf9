//! The plain bytes of layers: those that are compressed are decoded into unnamed temporary files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Write};

use super::error::TreeError;
use crate::base::digest::{DiffId, Digest, Hasher};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, Task};
use crate::image::{Image, LayerSource};
use crate::layer::LayerError;
use crate::layer::passes::{self, Begun, Pass, Read, Work};
use crate::source::{Compression, Decoder, Slice, SliceReader, Span};

/// How much is copied at a time into the spool of a compressed layer.
const BUFFER: usize = 256 * 1024;

/// The diff IDs that were computed while compressed layers were decoded, by layer.
#[derive(Clone, Debug, Default)]
pub struct Digests(HashMap<usize, DiffId>);

impl Digests {
    /// The diff ID of a layer, if it was computed.
    pub fn of(&self, layer: usize) -> Option<&DiffId> {
        self.0.get(&layer)
    }
}

/// Layers whose bytes can be read at any position, and diff IDs that came with it.
type Plain = (Vec<Slice>, Digests);

/// Makes every layer readable by position; layers that share a blob share what is made of it.
pub(super) fn open(
    image: &Image,
    digests: bool,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Plain, TreeError> {
    let mut blobs: Vec<Blob<'_>> = Vec::new();
    let mut by_span: HashMap<Span, usize> = HashMap::new();
    for layer in &image.layers {
        match &layer.source {
            LayerSource::Missing { why, .. } => {
                let source = LayerError::Missing(why.clone());
                return Err(TreeError::Layer {
                    layer: layer.index,
                    source,
                });
            }
            LayerSource::Present { slice, compression } => {
                by_span.entry(slice.span()).or_insert_with(|| {
                    blobs.push(Blob {
                        layer: layer.index,
                        slice,
                        compression: *compression,
                    });
                    blobs.len() - 1
                });
            }
        }
    }
    let opening = Opening { digests, progress };
    let cost = |blob: &Blob<'_>| blob.encoded();
    let opened = passes::map(jobs, &blobs, cost, &opening);
    let opened: Vec<(Slice, Option<Digest>)> = opened.into_iter().collect::<Result<_, _>>()?;
    let mut slices = Vec::with_capacity(image.layers.len());
    let mut computed = Digests::default();
    for layer in &image.layers {
        let Some(span) = layer.span() else { continue };
        let (slice, digest) = &opened[by_span[&span]];
        slices.push(slice.clone());
        if let Some(digest) = digest {
            computed.0.insert(layer.index, DiffId::from(digest.clone()));
        }
    }
    Ok((slices, computed))
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

    fn error(&self, source: LayerError) -> TreeError {
        let layer = self.layer;
        TreeError::Layer { layer, source }
    }
}

/// How layers are made readable by position.
struct Opening<'p> {
    digests: bool,
    progress: &'p dyn Progress,
}

impl<'t, 'i: 't> Work<'t, Blob<'i>> for Opening<'_> {
    type Pass = Decoding<'t>;
    type Done = Result<(Slice, Option<Digest>), TreeError>;

    fn is_pass(&self, blob: &Blob<'i>) -> bool {
        self.digests && blob.compression != Compression::None
    }

    fn cost(&self, bytes: u64) -> u64 {
        bytes
    }

    fn begin(&self, blob: &'t Blob<'i>) -> Begun<Decoding<'t>, Self::Done> {
        if blob.compression == Compression::None {
            return Begun::Done(Ok((blob.slice.clone(), None)));
        }
        let decoding = Decoding::new(blob.slice, blob.compression, self.progress);
        match decoding {
            Ok(decoding) if self.digests => Begun::Pass(decoding, Hasher::sha256()),
            decoding => {
                let decoded = decoding.and_then(Decoding::run);
                let decoded = decoded.map(|slice| (slice, None));
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
    fn run(mut self) -> Result<Slice, LayerError> {
        let mut buf = vec![0; BUFFER];
        loop {
            match self.read(&mut buf)? {
                0 => return Ok(self.finish()),
                n => self.hashed(&buf[..n])?,
            }
        }
    }

    /// What was decoded.
    fn finish(self) -> Slice {
        self.slice.source().derived(self.file, self.len).whole()
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
