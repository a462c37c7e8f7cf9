//! From an image's layers to a tree: headers only, in order, bottom up.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};

use super::apply::{Added, Apply, Numbered, Role, role};
use super::error::{RootfsError, RootfsFault};
use super::path::{LayerPath, is_reserved};
use super::tree::{LIMIT, ROOT, Rootfs};
use crate::digest::{DiffId, Digest, Hasher};
use crate::image::{Image, LayerSource};
use crate::layer::LayerError;
use crate::parallel::{self, Jobs};
use crate::progress::{Progress, Watched};
use crate::record::{Cursor, Entry, Kind, Positioned, Walker};
use crate::source::{Compression, Decoder, Slice, Source, Span};

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
        let mut tree = Self::empty();
        for (layer, slice) in slices.iter().enumerate() {
            tree.apply(
                layer,
                Positioned::new(slice.clone()),
                slice.len(),
                &mut Missing::default(),
            )?;
        }
        tree.layers = slices;
        Ok((tree, digests))
    }

    /// Applies layers of which only the headers are at hand: each is a cursor that can skip bodies, and
    /// its length in bytes. The tree knows names and attributes, and no bodies.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub fn of_headers<C: Cursor>(
        layers: impl IntoIterator<Item = (C, u64)>,
    ) -> Result<Self, RootfsError> {
        let mut tree = Self::empty();
        for (layer, (cursor, len)) in layers.into_iter().enumerate() {
            tree.apply(layer, cursor, len, &mut Missing::default())?;
        }
        Ok(tree)
    }

    /// Applies layers that lack some of their entries, told by the layer's index and where the entry's
    /// headers begin, and says which hard links then lead to nothing or to a directory.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub(crate) fn dangling_links<C: Cursor>(
        layers: impl IntoIterator<Item = (C, u64)>,
        lost: impl Fn(usize, u64) -> bool,
    ) -> Result<Vec<(usize, u64)>, RootfsError> {
        let mut tree = Self::empty();
        let mut missing = Missing {
            lost: Some(&lost),
            dangling: Vec::new(),
        };
        for (layer, (cursor, len)) in layers.into_iter().enumerate() {
            tree.apply(layer, cursor, len, &mut missing)?;
        }
        Ok(missing.dangling)
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
        let mut lower = Self::empty();
        let mut upper = Self::empty();
        for (layer, slice) in slices.iter().enumerate() {
            if layer < cut {
                lower.apply(
                    layer,
                    Positioned::new(slice.clone()),
                    slice.len(),
                    &mut Missing::default(),
                )?;
            }
            upper.apply(
                layer,
                Positioned::new(slice.clone()),
                slice.len(),
                &mut Missing::default(),
            )?;
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
        let mut tree = Self::empty();
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
        let mut tree = Self::empty();
        tree.apply(
            0,
            Positioned::new(layer.clone()),
            layer.len(),
            &mut Missing::default(),
        )
        .map_err(of_flat)?;
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
            add(&mut apply, 0, Numbered { number, entry })?;
        }
        apply.finish();
        Ok(())
    }

    fn apply<C: Cursor>(
        &mut self,
        layer: usize,
        cursor: C,
        len: u64,
        missing: &mut Missing<'_>,
    ) -> Result<(), RootfsError> {
        let mut walker = Walker::new(cursor);
        let number =
            u32::try_from(layer).map_err(|_| RootfsError::TooManyEntries { limit: LIMIT })?;
        let mut apply = Apply::new(self, number);
        let mut next = || {
            walker.next_entry().map_err(|error| {
                let source = LayerError::from_walk(error, Compression::None, 0, len);
                RootfsError::Layer { layer, source }
            })
        };
        // Nothing lies below the bottom layer, so its entries need not wait for its whiteouts and
        // are never held in memory; those of the others do and are.
        let mut whiteouts = Vec::new();
        let mut waiting = Vec::new();
        let mut count = 0;
        while let Some(entry) = next()? {
            count += 1;
            let numbered = Numbered {
                number: count,
                entry,
            };
            match role(&numbered.entry) {
                Role::Dropped => {}
                Role::Whiteout => whiteouts.push(numbered),
                Role::Entry if missing.is_lost(layer, &numbered.entry) => {}
                Role::Entry if layer == 0 => missing.add(&mut apply, layer, numbered)?,
                Role::Entry => waiting.push(numbered),
            }
        }
        let added = Added::new(&waiting);
        for numbered in whiteouts {
            apply.whiteout(&numbered, &added).map_err(|fault| {
                let Entry {
                    path,
                    header_offset: offset,
                    ..
                } = numbered.entry;
                RootfsError::Entry {
                    layer,
                    path,
                    offset,
                    fault,
                }
            })?;
        }
        for numbered in waiting {
            missing.add(&mut apply, layer, numbered)?;
        }
        apply.finish();
        Ok(())
    }
}

/// What layers lack of their entries; nothing, unless a caller says so.
#[derive(Default)]
struct Missing<'m> {
    lost: Option<&'m dyn Fn(usize, u64) -> bool>,
    /// The hard links that lead nowhere for it.
    dangling: Vec<(usize, u64)>,
}

impl Missing<'_> {
    fn is_lost(&self, layer: usize, entry: &Entry) -> bool {
        self.lost
            .is_some_and(|lost| lost(layer, entry.header_offset))
    }

    fn add(
        &mut self,
        apply: &mut Apply<'_>,
        layer: usize,
        numbered: Numbered,
    ) -> Result<(), RootfsError> {
        match add(apply, layer, numbered) {
            Err(RootfsError::Entry {
                layer,
                offset,
                fault: RootfsFault::LinkTargetMissing(_) | RootfsFault::LinkToDirectory(_),
                ..
            }) if self.lost.is_some() => {
                self.dangling.push((layer, offset));
                Ok(())
            }
            other => other,
        }
    }
}

fn add(apply: &mut Apply<'_>, layer: usize, numbered: Numbered) -> Result<(), RootfsError> {
    if apply.is_full() {
        return Err(RootfsError::TooManyEntries { limit: LIMIT });
    }
    let (path, offset) = (numbered.entry.path.clone(), numbered.entry.header_offset);
    apply.add(numbered).map_err(|fault| RootfsError::Entry {
        layer,
        path,
        offset,
        fault,
    })
}

/// Makes every layer readable by position; layers that share a blob share what is made of it.
fn open(
    image: &Image,
    digests: bool,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Opened, RootfsError> {
    let mut blobs: Vec<(usize, &Slice, Compression)> = Vec::new();
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
                    blobs.push((layer.index, slice, *compression));
                    blobs.len() - 1
                });
            }
        }
    }
    let opened = parallel::map(
        jobs,
        &blobs,
        |(_, slice, compression)| {
            if *compression == Compression::None {
                0
            } else {
                slice.len()
            }
        },
        |(layer, slice, compression)| {
            let opened = if *compression == Compression::None {
                Ok(((*slice).clone(), None))
            } else {
                decode(slice, *compression, digests, progress)
            };
            opened.map_err(|source| RootfsError::Layer {
                layer: *layer,
                source,
            })
        },
    );
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

/// Decodes a compressed layer into an unnamed temporary file, once.
fn decode(
    slice: &Slice,
    compression: Compression,
    digest: bool,
    progress: &dyn Progress,
) -> Result<(Slice, Option<Digest>), LayerError> {
    let task = progress.begin("decompressing layers", Some(slice.len()));
    let reader = BufReader::with_capacity(BUFFER, Watched::new(slice.reader(), &*task));
    let mut decoder = Decoder::new(compression, reader).map_err(LayerError::Read)?;
    let mut file = tempfile::tempfile().map_err(LayerError::Spool)?;
    let mut hasher = digest.then(Hasher::sha256);
    let mut buf = vec![0; BUFFER];
    let mut len = 0;
    loop {
        let n = match decoder.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                let offset = decoder.get_ref().get_ref().get_ref().position();
                return Err(LayerError::from_read(e, compression, offset, slice.len()));
            }
        };
        if let Some(hasher) = &mut hasher {
            hasher.update(&buf[..n]);
        }
        file.write_all(&buf[..n]).map_err(LayerError::Spool)?;
        len += n as u64;
    }
    let label = slice.source().path().to_owned();
    Ok((
        Source::temporary(file, len, label).whole(),
        hasher.map(Hasher::finish),
    ))
}
