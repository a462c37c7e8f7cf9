//! Layers put together again.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::error::{ChangeKind, RebuildError};
use super::flat::{Changes, FlatTar};
use super::headers::Headers;
use super::moved::Moved;
use super::sink::{Out, Sink, SinkError};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::metadata::{
    BodiesReader, Body, Container, LayerDescription, MetadataError, Piece, SplitReader,
    StoreReader, StreamFault, Where, names,
};
use crate::record::{Kind, Walker};
use crate::rootfs::{LayerPath, Rootfs, RootfsError};
use crate::source::SliceReader;

/// How many times hard links to what is lost are looked for.
const LINK_ROUNDS: usize = 8;

impl From<SinkError> for RebuildError {
    fn from(error: SinkError) -> Self {
        Self::Write(error.0)
    }
}

/// A member of the metadata that is not what others say of it.
fn wrong(member: &str, why: String) -> RebuildError {
    StreamFault::Wrong(why).of(member).into()
}

/// Everything that layers are made of.
pub(super) struct Parts<'p> {
    pub(super) container: &'p Container,
    pub(super) flat: &'p FlatTar,
    pub(super) store: StoreReader<'p>,
    /// Where bodies are that are not where the metadata says, if they were looked for.
    pub(super) moved: Moved,
}

/// What a layer came to.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// An entry of a layer that is left out, since its bytes are lost.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// Which entry of the layer, from 0.
    number: u64,
    /// Where its headers begin in the layer.
    offset: u64,
    /// How many bytes it had.
    pub(super) size: u64,
}

/// A tar-split stream and the bodies beside it, read together.
pub(super) struct Together {
    split: SplitReader<SliceReader>,
    bodies: BodiesReader<SliceReader>,
    split_name: String,
    bodies_name: String,
}

/// A piece, with its body if it has one.
pub(super) enum Step<'s> {
    Raw(&'s [u8]),
    Entry(Option<Body>),
}

impl Together {
    pub(super) fn layer(container: &Container, folder: usize) -> Result<Self, MetadataError> {
        Self::open(
            container,
            names::layer_split(folder),
            names::layer_bodies(folder),
        )
    }

    pub(super) fn archive(container: &Container) -> Result<Self, MetadataError> {
        Self::open(
            container,
            names::ARCHIVE_SPLIT.into(),
            names::ARCHIVE_BODIES.into(),
        )
    }

    fn open(
        container: &Container,
        split_name: String,
        bodies_name: String,
    ) -> Result<Self, MetadataError> {
        Ok(Self {
            split: SplitReader::new(container.reader(&split_name)?),
            bodies: BodiesReader::new(container.reader(&bodies_name)?),
            split_name,
            bodies_name,
        })
    }

    /// Shows every piece in order.
    pub(super) fn each(
        mut self,
        mut see: impl FnMut(Step<'_>) -> Result<(), RebuildError>,
    ) -> Result<(), RebuildError> {
        loop {
            let piece = self.split.next_piece();
            let Some((position, piece)) = piece.map_err(|fault| fault.of(&*self.split_name))?
            else {
                break;
            };
            match piece {
                Piece::Raw(bytes) => see(Step::Raw(&bytes))?,
                Piece::File { size: 0, .. } => see(Step::Entry(None))?,
                Piece::File { size, .. } => {
                    let body = self.bodies.next_body();
                    let body = body.map_err(|fault| fault.of(&*self.bodies_name))?;
                    let body = body.filter(|b| (b.position, b.size) == (position, size));
                    let Some(body) = body else {
                        let why = format!("it does not say where the body of entry {position} is");
                        return Err(wrong(&self.bodies_name, why));
                    };
                    see(Step::Entry(Some(body)))?;
                }
            }
        }
        match self.bodies.next_body() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                let why = "it has more bodies than the tar".to_owned();
                Err(wrong(&self.bodies_name, why))
            }
            Err(fault) => Err(fault.of(self.bodies_name).into()),
        }
    }
}

impl<'p> Parts<'p> {
    pub(super) fn new(container: &'p Container, flat: &'p FlatTar) -> Self {
        Self {
            container,
            flat,
            store: StoreReader::new(container, container.description().bytes.size),
            moved: Moved::default(),
        }
    }

    /// The merged tree of layers, from their headers alone.
    pub(super) fn tree(&self, layers: &[LayerDescription]) -> Result<Rootfs, RebuildError> {
        let headers = self.headers(layers)?;
        Rootfs::of_headers(headers, &Limits::default())
            .map_err(|error: RootfsError| RebuildError::Tree(error))
    }

    /// The headers of each layer and its length in bytes. One layer is open at a time, since each takes
    /// room for its buffers.
    fn headers(
        &self,
        layers: &[LayerDescription],
    ) -> Result<impl Iterator<Item = (Headers, u64)> + use<>, RebuildError> {
        let mut streams = Vec::with_capacity(layers.len());
        for layer in layers {
            let stream = self.container.slice(&names::layer_split(layer.folder))?;
            streams.push((stream, layer.size));
        }
        Ok(streams.into_iter().map(|(stream, size)| {
            let reader = SplitReader::new(stream.reader());
            (Headers::new(reader, size), size)
        }))
    }

    /// Which entries of layers are lost: those whose bytes are, and hard links to them.
    ///
    /// Links are followed by name first. One that leads through a symbolic link is not found that way;
    /// it is when the layers are applied, as it then leads nowhere.
    pub(super) fn all_lost(
        &self,
        layers: &[LayerDescription],
    ) -> Result<Vec<Vec<Lost>>, RebuildError> {
        let mut dangling: HashMap<usize, HashSet<u64>> = HashMap::new();
        let none = HashSet::new();
        let mut round = 0;
        loop {
            let mut gone = HashSet::new();
            // What a blob lacks it lacks wherever it is used.
            let mut by_folder: HashMap<usize, BTreeMap<u64, Lost>> = HashMap::new();
            for layer in layers.iter().filter(|layer| !layer.kept) {
                let dangling = dangling.get(&layer.folder).unwrap_or(&none);
                let lost = self.lost(layer, dangling, &mut gone)?;
                let lost = lost.into_iter().map(|lost| (lost.offset, lost));
                by_folder.entry(layer.folder).or_default().extend(lost);
            }
            round += 1;
            let is_lost = |layer: usize, offset: u64| {
                let lost = by_folder.get(&layers[layer].folder);
                lost.is_some_and(|lost| lost.contains_key(&offset))
            };
            let more = Rootfs::dangling_links(self.headers(layers)?, &Limits::default(), is_lost);
            let mut more = more.map_err(RebuildError::Tree)?;
            more.retain(|(layer, _)| !layers[*layer].kept);
            // More rounds than one are for blobs that are used twice.
            if more.is_empty() || round == LINK_ROUNDS {
                let of = |layer: &LayerDescription| {
                    let lost = by_folder.get(&layer.folder);
                    lost.map_or_else(Vec::new, |lost| lost.values().cloned().collect())
                };
                return Ok(layers.iter().map(of).collect());
            }
            for (layer, offset) in more {
                let folder = layers[layer].folder;
                dangling.entry(folder).or_default().insert(offset);
            }
        }
    }

    /// Which entries of a layer are lost. `gone` has the paths that are lost at this point, and learns
    /// what this layer does to them.
    fn lost(
        &self,
        layer: &LayerDescription,
        dangling: &HashSet<u64>,
        gone: &mut HashSet<Vec<u8>>,
    ) -> Result<Vec<Lost>, RebuildError> {
        let mut without = HashSet::new();
        let mut number = 0;
        Together::layer(self.container, layer.folder)?.each(|step| {
            if let Step::Entry(body) = step {
                if body.is_some_and(|body| self.is_lost(&body)) {
                    without.insert(number);
                }
                number += 1;
            }
            Ok(())
        })?;
        let name = names::layer_split(layer.folder);
        if without.is_empty() && gone.is_empty() && dangling.is_empty() {
            return Ok(Vec::new());
        }
        let headers = Headers::new(SplitReader::new(self.container.reader(&name)?), layer.size);
        let mut walker = Walker::new(headers);
        let mut lost = Vec::new();
        let mut number = 0;
        while let Some(entry) = walker
            .next_entry()
            .map_err(|e| wrong(&name, e.to_string()))?
        {
            if entry.kind == Kind::Global {
                continue;
            }
            let clean = |path: &[u8]| LayerPath::new(path).components().join(&b'/');
            let path = clean(&entry.path);
            let link = entry.kind == Kind::Hardlink && gone.contains(&clean(&entry.link));
            let leads_nowhere = dangling.contains(&entry.header_offset);
            if without.contains(&number) || link || leads_nowhere {
                gone.insert(path);
                lost.push(Lost {
                    number,
                    offset: entry.header_offset,
                    size: entry.stored_size,
                });
            } else {
                gone.remove(&path);
            }
            number += 1;
        }
        Ok(lost)
    }

    fn is_lost(&self, body: &Body) -> bool {
        match body.place {
            Where::Nowhere => true,
            Where::Flat(_) => self.moved.is_gone(&body.sha256),
            _ => false,
        }
    }

    /// Puts a layer together without the entries in `lost`, which are in order.
    pub(super) fn layer(
        &self,
        layer: &LayerDescription,
        lost: &[Lost],
        out: Out<'_>,
    ) -> Result<Made, RebuildError> {
        let mut sink = Sink::new(out);
        let mut lost = lost.iter().peekable();
        let mut number = 0;
        // Where in the layer as it was the next piece begins, and up to where nothing is written.
        let (mut at, mut skip) = (0_u64, 0_u64);
        // Headers are held back until it is known whether their entry is lost.
        let mut held: Vec<u8> = Vec::new();
        let together = Together::layer(self.container, layer.folder)?;
        let too_long = || {
            let why = format!("the layer becomes longer than its {} bytes", layer.size);
            wrong(&names::layer_split(layer.folder), why)
        };
        let advance = |at: &mut u64, len: u64| {
            *at = at
                .checked_add(len)
                .filter(|at| *at <= layer.size)
                .ok_or_else(too_long)?;
            Ok::<_, RebuildError>(())
        };
        together.each(|step| match step {
            Step::Raw(bytes) => {
                let from = at;
                advance(&mut at, bytes.len() as u64)?;
                // What is skipped may end inside the stretch.
                let cut = skip.saturating_sub(from).min(bytes.len() as u64);
                let bytes = &bytes[usize::try_from(cut).unwrap_or(bytes.len())..];
                // A stretch can also have the stored bytes of sparse files, so nothing before the
                // headers of the next lost entry waits.
                let ahead = lost.peek().map_or(u64::MAX, |lost| lost.offset);
                let ahead = ahead.saturating_sub(from + cut).min(bytes.len() as u64);
                let (now, rest) = bytes.split_at(usize::try_from(ahead).unwrap_or(bytes.len()));
                sink.bytes(now).map_err(RebuildError::Write)?;
                held.extend_from_slice(rest);
                Ok(())
            }
            Step::Entry(body) => {
                let size = body.as_ref().map_or(0, |body| body.size);
                let gone = lost.next_if(|lost| lost.number == number);
                number += 1;
                let start = at;
                advance(&mut at, size)?;
                if let Some(gone) = gone {
                    let headers = start.saturating_sub(gone.offset.max(skip));
                    let keep = (held.len() as u64).saturating_sub(headers);
                    held.truncate(usize::try_from(keep).unwrap_or(0));
                    // The body's padding goes with it.
                    skip = at.next_multiple_of(512);
                }
                sink.bytes(&held).map_err(RebuildError::Write)?;
                held.clear();
                match body {
                    Some(body) if gone.is_none() => self.body(&body, &mut sink),
                    _ => Ok(()),
                }
            }
        })?;
        sink.bytes(&held).map_err(RebuildError::Write)?;
        if at != layer.size {
            let why = format!("the layer comes to {at} bytes, {} are wanted", layer.size);
            let name = names::layer_split(layer.folder);
            return Err(wrong(&name, why));
        }
        let (digest, size) = sink.finish().map_err(RebuildError::Write)?;
        Ok(Made { digest, size })
    }

    /// Appends a body that is no layer.
    pub(super) fn body(&self, body: &Body, sink: &mut Sink<'_>) -> Result<(), RebuildError> {
        match &body.place {
            Where::Flat(path) => {
                let moved = self.moved.found(&body.sha256);
                let slice = moved.cloned().or_else(|| self.flat.body(path));
                if let Some(slice) = slice.filter(|slice| slice.len() == body.size) {
                    return sink.slice(&slice);
                }
                let mut changes = Changes::default();
                changes.add(path, ChangeKind::Content);
                changes.refuse(self.flat)
            }
            Where::Stored(offset) if self.store.holds(*offset, body.size) => {
                sink.fill(body.size, |buf, at| {
                    self.store
                        .read_at(buf, offset + at)
                        .map_err(RebuildError::from)
                })
            }
            Where::Member(name) => {
                let slice = self.container.slice(name)?;
                if slice.len() != body.size {
                    let why = format!("it has {} bytes, {} are wanted", slice.len(), body.size);
                    return Err(wrong(name, why));
                }
                sink.slice(&slice)
            }
            Where::Stored(_) => {
                let why = "a body lies outside the store".to_owned();
                Err(wrong("bytes/", why))
            }
            Where::Layer(_) | Where::Nowhere => {
                let why = format!("the body of entry {} is nowhere", body.position);
                Err(wrong("layers/", why))
            }
        }
    }

    /// Says why a layer is not what it was: which files of the flat tar have other content.
    pub(super) fn blame(
        &self,
        index: usize,
        layer: &LayerDescription,
        made: &Made,
    ) -> RebuildError {
        let mut changes = Changes::default();
        match self
            .contents(layer, &mut changes)
            .and_then(|()| changes.refuse(self.flat))
        {
            Err(error) => error,
            Ok(()) => RebuildError::DiffId {
                layer: index,
                claimed: layer.diff_id.clone(),
                computed: made.digest.to_string(),
            },
        }
    }

    /// Finds the files of the flat tar that a layer needs and that have other content.
    pub(super) fn contents(
        &self,
        layer: &LayerDescription,
        changes: &mut Changes,
    ) -> Result<(), RebuildError> {
        Together::layer(self.container, layer.folder)?.each(|step| {
            if let Step::Entry(Some(body)) = step
                && let Where::Flat(path) = &body.place
                && !self.moved.knows(&body.sha256)
                && !self.flat.is(path, &body.sha256)?
            {
                changes.add(path, ChangeKind::Content);
            }
            Ok(())
        })
    }
}
