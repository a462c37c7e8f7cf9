//! From an image's layers to a tree: headers only, in order, bottom up.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Write};

use super::added::Added;
use super::apply::{Apply, Numbered, Role, role};
use super::budget::extra_len;
use super::error::{RootfsError, RootfsFault};
use super::path::{LayerPath, is_reserved};
use super::tree::{LIMIT, ROOT, Rootfs};
use crate::digest::{DiffId, Digest, Hasher};
use crate::image::{Image, LayerSource};
use crate::layer::LayerError;
use crate::layer::passes::{self, Begun, Pass, Read, Work};
use crate::limits::Limits;
use crate::parallel::Jobs;
use crate::progress::{Progress, Task};
use crate::record::{Entry, Kind, Positioned, Walker};
use crate::source::{Compression, Decoder, Slice, SliceReader, Span};

/// How much is copied at a time into the spool of a compressed layer.
const BUFFER: usize = 256 * 1024;

/// How many bytes of entries of one layer wait in memory for its whiteouts.
pub(super) const WAITING: usize = 32 << 20;

/// The diff IDs that were computed while compressed layers were decoded, by layer.
#[derive(Clone, Debug, Default)]
pub struct Digests(HashMap<usize, DiffId>);

impl Digests {
    /// The diff ID of a layer, if it was computed.
    pub fn of(&self, layer: usize) -> Option<&DiffId> {
        self.0.get(&layer)
    }
}

/// An error of a tar that is no layer of an image yet.
fn of_flat(error: RootfsError) -> RootfsError {
    match error {
        RootfsError::Entry {
            path,
            offset,
            fault,
            ..
        } => RootfsError::FlatEntry {
            path,
            offset,
            fault,
        },
        RootfsError::Layer {
            source: LayerError::Tar(fault),
            ..
        } => RootfsError::Flat(fault),
        other => other,
    }
}

/// Layers whose bytes can be read at any position, and diff IDs that came with it.
type Opened = (Vec<Slice>, Digests);

impl Rootfs {
    /// Applies the layers of `image`.
    ///
    /// Uncompressed layers are read by their headers alone. Compressed ones are decoded once, into
    /// an unnamed temporary file, since their bodies are wanted later; their diff IDs are computed
    /// on the way if `digests` asks for it. Nothing is compared with a claim here.
    ///
    /// # Errors
    ///
    /// [`RootfsError`] if a layer is missing, damaged, or holds what no engine can apply.
    pub fn build(
        image: &Image,
        digests: bool,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<(Self, Digests), RootfsError> {
        let (slices, digests) = open(image, digests, jobs, progress)?;
        let mut tree = Self::empty(limits_of(&slices));
        for (layer, slice) in slices.iter().enumerate() {
            tree.apply(layer, slice)?;
        }
        tree.layers = slices;
        Ok((tree, digests))
    }

    /// The trees of the `cut` lowest layers of `image` and of all of them; layers are opened once and
    /// shared, so that a comparison of both trees reads nothing that both have from one layer.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub fn build_split(
        image: &Image,
        cut: usize,
        digests: bool,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<(Self, Self, Digests), RootfsError> {
        let (slices, digests) = open(image, digests, jobs, progress)?;
        let cut = cut.min(slices.len());
        let limits = limits_of(&slices);
        let mut lower = Self::empty(limits);
        let mut upper = Self::empty(limits);
        for (layer, slice) in slices.iter().enumerate() {
            if layer < cut {
                lower.apply(layer, slice)?;
            }
            upper.apply(layer, slice)?;
        }
        lower.layers = slices[..cut].to_vec();
        upper.layers = slices;
        Ok((lower, upper, digests))
    }

    /// Reads a flat tar of a whole file system, as `docker export` writes it.
    ///
    /// It is read as a layer is, by rules L6 to L23, but that nothing in it is a whiteout: a name that
    /// begins with `.wh.` is refused, since no layer could hold it. An entry for the root counts for
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`RootfsError::Flat`] if it is no tar or damaged, [`RootfsError::FlatEntry`] if it holds what
    /// cannot be a file.
    pub fn from_tar(tar: Slice) -> Result<Self, RootfsError> {
        let mut tree = Self::empty(*tar.source().limits());
        tree.apply_flat(&tar).map_err(of_flat)?;
        tree.node_mut(ROOT).explicit = false;
        tree.layers = vec![tar];
        Ok(tree)
    }

    /// The tree of `layer`, an uncompressed tar, alone: what an image of it shows that has no other.
    ///
    /// # Errors
    ///
    /// As [`Self::from_tar`].
    pub fn from_layer(layer: Slice) -> Result<Self, RootfsError> {
        let mut tree = Self::empty(*layer.source().limits());
        tree.apply(0, &layer).map_err(of_flat)?;
        tree.layers = vec![layer];
        Ok(tree)
    }

    fn apply_flat(&mut self, tar: &Slice) -> Result<(), RootfsError> {
        let mut walker = Walker::new(Positioned::new(tar.clone()));
        let mut apply = Apply::new(self, 0);
        let mut number = 0;
        while let Some(entry) = walker.next_entry().map_err(RootfsError::Flat)? {
            if entry.kind == Kind::Global {
                continue;
            }
            let path = LayerPath::new(&entry.path);
            if path.components().iter().any(|name| is_reserved(name)) {
                return Err(RootfsError::FlatEntry {
                    offset: entry.header_offset,
                    fault: RootfsFault::WhiteoutName,
                    path: entry.path,
                });
            }
            number += 1;
            apply
                .count()
                .map_err(|fault| entry_error(0, &entry, fault))?;
            add(&mut apply, 0, Numbered { number, entry })?;
        }
        apply.finish();
        Ok(())
    }

    fn apply(&mut self, layer: usize, slice: &Slice) -> Result<(), RootfsError> {
        let number =
            u32::try_from(layer).map_err(|_| RootfsError::TooManyEntries { limit: LIMIT })?;
        let mut apply = Apply::new(self, number);
        // Nothing lies below the bottom layer, so its entries need not wait for its whiteouts; those
        // of the others do. A few wait in memory, the rest is read again.
        let added = Added::new(slice);
        let mut waiting = Vec::new();
        let mut weight = 0;
        let mut rest = None;
        let mut walk = LayerWalk::new(layer, slice, 0, 0);
        while let Some(numbered) = walk.next_entry()? {
            let Numbered { number, entry } = &numbered;
            apply
                .count()
                .map_err(|fault| entry_error(layer, entry, fault))?;
            match role(entry) {
                Role::Whiteout => apply
                    .whiteout(*number, entry, &added)
                    .map_err(|fault| entry_error(layer, entry, fault))?,
                Role::Entry if layer == 0 => add(&mut apply, layer, numbered)?,
                Role::Entry if rest.is_none() => {
                    weight += weight_of(entry);
                    if weight > WAITING {
                        rest = Some((entry.header_offset, *number));
                    } else {
                        waiting.push(numbered);
                    }
                }
                Role::Dropped | Role::Entry => {}
            }
        }
        for numbered in waiting {
            add(&mut apply, layer, numbered)?;
        }
        if let Some((offset, number)) = rest {
            let mut walk = LayerWalk::new(layer, slice, offset, number - 1);
            while let Some(numbered) = walk.next_entry()? {
                if matches!(role(&numbered.entry), Role::Entry) {
                    add(&mut apply, layer, numbered)?;
                }
            }
        }
        apply.finish();
        Ok(())
    }
}

/// How many bytes an entry takes that waits in memory.
pub(super) fn weight_of(entry: &Entry) -> usize {
    size_of::<Numbered>() + entry.path.len() + entry.link.len() + extra_len(entry)
}

/// How much the archive of these layers may ask for.
fn limits_of(layers: &[Slice]) -> Limits {
    let limits = layers.first().map(|layer| *layer.source().limits());
    limits.unwrap_or_default()
}

/// The entries of a layer, numbered from 1.
struct LayerWalk {
    layer: usize,
    len: u64,
    walker: Walker<Positioned>,
    count: usize,
}

impl LayerWalk {
    /// Begins with the header at `offset`, which so many entries stand before.
    fn new(layer: usize, slice: &Slice, offset: u64, count: usize) -> Self {
        Self {
            layer,
            len: slice.len(),
            walker: Walker::new(Positioned::at(slice.clone(), offset)),
            count,
        }
    }

    fn next_entry(&mut self) -> Result<Option<Numbered>, RootfsError> {
        let next = self.walker.next_entry().map_err(|error| {
            let source = LayerError::from_walk(error, Compression::None, 0, self.len);
            RootfsError::Layer {
                layer: self.layer,
                source,
            }
        })?;
        self.count += 1;
        Ok(next.map(|entry| Numbered {
            number: self.count,
            entry,
        }))
    }
}

pub(super) fn add(
    apply: &mut Apply<'_>,
    layer: usize,
    numbered: Numbered,
) -> Result<(), RootfsError> {
    if apply.is_full() {
        return Err(RootfsError::TooManyEntries { limit: LIMIT });
    }
    let (path, offset) = (numbered.entry.path.clone(), numbered.entry.header_offset);
    apply
        .add(numbered)
        .map_err(|fault| fault_at(layer, path, offset, fault))
}

pub(super) fn entry_error(layer: usize, entry: &Entry, fault: RootfsFault) -> RootfsError {
    fault_at(layer, entry.path.clone(), entry.header_offset, fault)
}

fn fault_at(layer: usize, path: Vec<u8>, offset: u64, fault: RootfsFault) -> RootfsError {
    match fault {
        RootfsFault::Limit(exceeded) => RootfsError::Limit {
            layer,
            path,
            offset,
            exceeded,
        },
        fault => RootfsError::Entry {
            layer,
            path,
            offset,
            fault,
        },
    }
}

/// Makes every layer readable by position; layers that share a blob share what is made of it.
fn open(
    image: &Image,
    digests: bool,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Opened, RootfsError> {
    let mut blobs: Vec<Blob<'_>> = Vec::new();
    let mut by_span: HashMap<Span, usize> = HashMap::new();
    for layer in &image.layers {
        match &layer.source {
            LayerSource::Missing { why, .. } => {
                let source = LayerError::Missing(why.clone());
                return Err(RootfsError::Layer {
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

    fn error(&self, source: LayerError) -> RootfsError {
        let layer = self.layer;
        RootfsError::Layer { layer, source }
    }
}

/// How layers are made readable by position.
struct Opening<'p> {
    digests: bool,
    progress: &'p dyn Progress,
}

impl<'t, 'i: 't> Work<'t, Blob<'i>> for Opening<'_> {
    type Pass = Decoding<'t>;
    type Done = Result<(Slice, Option<Digest>), RootfsError>;

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
