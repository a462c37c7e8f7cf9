//! Layers put together again.
//!
//! Long: what is written for a layer and how it is checked belong together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter::Peekable;

use super::error::{FlatChangeKind, RebuildError};
use super::flat::{FlatChanges, FlatTar, PathKey};
use super::headers::{Headers, Stream, of_walk};
use super::relocate::Moved;
use super::sink::{Out, Sink, SinkError};
use crate::base::digest::DiffId;
use crate::layer::digest::{Claimed, LayerName, Mismatch, Proof};
use crate::split::metadata::{
    Account, BodiesReader, BodyRecord, Container, DecodedMember, LayerDescription, MetadataError,
    SplitReader, StoreReader, StreamFault, StreamPiece, Where, names,
};
use crate::tar::{Kind, Walker};
use crate::tree::{LayerPath, Tree, TreeError};

/// How many times hard links to what is lost are looked for.
const LINK_ROUNDS: usize = 8;

impl From<SinkError> for RebuildError {
    fn from(error: SinkError) -> Self {
        Self::Write(error.0)
    }
}

/// A member of the metadata that contradicts others.
fn wrong(member: &str, why: String) -> RebuildError {
    StreamFault::Wrong(why).of(member).into()
}

/// Everything that layers are made of.
pub(super) struct Parts<'p> {
    pub(super) container: &'p Container,
    pub(super) flat: &'p FlatTar,
    /// What may still be decoded.
    pub(super) account: &'p Account,
    pub(super) store: StoreReader<'p>,
    /// Where bodies are that are not where the metadata says, if they were looked for.
    pub(super) moved: Moved,
}

/// An entry of a layer that is left out, since its bytes are lost.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// Where its headers begin in the layer.
    offset: u64,
    /// Where the next entry's headers begin: behind its body and the padding of that.
    end: u64,
    /// How many bytes it had.
    pub(super) size: u64,
}

/// A tar-split stream and the bodies beside it, read together.
pub(super) struct Together<'a> {
    split: SplitReader<DecodedMember<'a>>,
    bodies: BodiesReader<DecodedMember<'a>>,
    split_name: String,
    bodies_name: String,
}

/// A piece, with its body if it has one.
pub(super) enum LayerStep<'s> {
    Raw(&'s [u8]),
    Entry(Option<BodyRecord>),
}

impl Together<'_> {
    /// Shows every piece in order.
    pub(super) fn each(
        mut self,
        mut see: impl FnMut(LayerStep<'_>) -> Result<(), RebuildError>,
    ) -> Result<(), RebuildError> {
        loop {
            let piece = self.split.next_piece();
            let Some((position, piece)) = piece.map_err(|fault| fault.of(&*self.split_name))?
            else {
                break;
            };
            match piece {
                StreamPiece::Raw(bytes) => see(LayerStep::Raw(&bytes))?,
                StreamPiece::File { size: 0, .. } => see(LayerStep::Entry(None))?,
                StreamPiece::File { size, .. } => {
                    let body = self.bodies.next_body();
                    let body = body.map_err(|fault| fault.of(&*self.bodies_name))?;
                    let body = body.filter(|b| (b.position, b.size) == (position, size));
                    let Some(body) = body else {
                        let why = format!("it does not say where the body of entry {position} is");
                        return Err(wrong(&self.bodies_name, why));
                    };
                    see(LayerStep::Entry(Some(body)))?;
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
    pub(super) fn new(container: &'p Container, flat: &'p FlatTar, account: &'p Account) -> Self {
        Self {
            container,
            flat,
            account,
            store: StoreReader::new(container, account),
            moved: Moved::default(),
        }
    }

    /// The stream of a layer, with its bodies.
    pub(super) fn layer_stream(
        &self,
        layer: &LayerDescription,
    ) -> Result<Together<'p>, MetadataError> {
        self.stream(
            names::layer_split(layer.folder),
            names::layer_bodies(layer.folder),
        )
    }

    /// The stream of the archive, with its bodies.
    pub(super) fn archive_stream(&self) -> Result<Together<'p>, MetadataError> {
        self.stream(names::ARCHIVE_SPLIT.into(), names::ARCHIVE_BODIES.into())
    }

    /// Where the bodies of the archive's members are.
    pub(super) fn archive_bodies(&self) -> Result<BodiesReader<DecodedMember<'p>>, MetadataError> {
        let decoded = self
            .container
            .decoded(names::ARCHIVE_BODIES, self.account)?;
        Ok(BodiesReader::new(decoded))
    }

    fn stream(
        &self,
        split_name: String,
        bodies_name: String,
    ) -> Result<Together<'p>, MetadataError> {
        let (container, account) = (self.container, self.account);
        Ok(Together {
            split: SplitReader::new(container.decoded(&split_name, account)?),
            bodies: BodiesReader::new(container.decoded(&bodies_name, account)?),
            split_name,
            bodies_name,
        })
    }

    /// The headers of a member that is a tar of `len` bytes taken apart.
    pub(super) fn headers(&self, member: String, len: u64) -> Result<Stream<'p>, MetadataError> {
        Ok(Stream {
            slice: self.container.slice(&member)?,
            member,
            len,
            account: self.account,
        })
    }

    /// The headers of each layer.
    fn all_headers(&self, layers: &[LayerDescription]) -> Result<Vec<Stream<'p>>, MetadataError> {
        let headers =
            |layer: &LayerDescription| self.headers(names::layer_split(layer.folder), layer.size);
        layers.iter().map(headers).collect()
    }

    /// The merged tree of layers, from their headers alone.
    pub(super) fn tree(&self, layers: &[LayerDescription]) -> Result<Tree, RebuildError> {
        let headers = self.all_headers(layers)?;
        Tree::of_headers(&headers, self.account.limits()).map_err(of_tree)
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
            // What a blob lacks is lacking wherever it is used.
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
            let headers = self.all_headers(layers)?;
            let more = Tree::dangling_links(headers, self.account.limits(), is_lost);
            let mut more = more.map_err(of_tree)?;
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
        gone: &mut HashSet<PathKey>,
    ) -> Result<Vec<Lost>, RebuildError> {
        // Where the bodies of entries begin that have one, and whether it is lost.
        let mut bodies = Vec::new();
        let (mut at, mut any) = (0_u64, false);
        self.layer_stream(layer)?.each(|step| {
            match step {
                LayerStep::Raw(bytes) => at = at.saturating_add(bytes.len() as u64),
                LayerStep::Entry(None) => {}
                LayerStep::Entry(Some(body)) => {
                    let is_lost = self.is_lost(&body);
                    any |= is_lost;
                    bodies.push((at, body.size, is_lost));
                    at = at.saturating_add(body.size);
                }
            }
            Ok(())
        })?;
        if !any && gone.is_empty() && dangling.is_empty() {
            return Ok(Vec::new());
        }
        let name = names::layer_split(layer.folder);
        let headers = self.headers(name.clone(), layer.size)?;
        let mut walker = Walker::new(Headers::new(&headers)?);
        let mut bodies = bodies.into_iter().peekable();
        let mut lost = Vec::new();
        while let Some(entry) = walker.next_entry().map_err(|e| of_walk(e, &name))? {
            if entry.kind == Kind::Global {
                continue;
            }
            let is_body = entry.kind == Kind::File && entry.sparse.is_none();
            let body = bodies.next_if(|body| body.0 == entry.data_offset);
            // The lines decide what is written and the headers what is left out, so both must say
            // the same.
            let size = if is_body { entry.stored_size } else { 0 };
            if size != body.map_or(0, |body| body.1) {
                return Err(wrong(&name, disagree(entry.data_offset)));
            }
            let path = PathKey::of(&clean(&entry.path));
            let link =
                entry.kind == Kind::Hardlink && gone.contains(&PathKey::of(&clean(&entry.link)));
            let leads_nowhere = dangling.contains(&entry.header_offset);
            if body.is_some_and(|body| body.2) || link || leads_nowhere {
                gone.insert(path);
                let end = entry.data_offset.saturating_add(entry.stored_size);
                lost.push(Lost {
                    offset: entry.header_offset,
                    end: end.checked_next_multiple_of(512).unwrap_or(u64::MAX),
                    size: entry.stored_size,
                });
            } else {
                gone.remove(&path);
            }
        }
        match bodies.next() {
            Some((at, ..)) => Err(wrong(&name, disagree(at))),
            None => Ok(lost),
        }
    }

    fn is_lost(&self, body: &BodyRecord) -> bool {
        match body.place {
            Where::Nowhere => true,
            Where::Flat(_) => self.moved.is_gone(&body.sha256),
            Where::Stored(_) | Where::Member(_) | Where::Layer(_) => false,
        }
    }

    /// Puts a layer together without the entries in `lost`, which are in order.
    pub(super) fn layer(
        &self,
        layer: &LayerDescription,
        lost: &[Lost],
        out: Out<'_>,
    ) -> Result<Proof, RebuildError> {
        let name = names::layer_split(layer.folder);
        let bodies = names::layer_bodies(layer.folder);
        let mut sink = Sink::new(out);
        let mut lost = lost.iter().peekable();
        // Where in the layer as it was the next piece begins.
        let mut at = 0_u64;
        self.layer_stream(layer)?.each(|step| {
            let from = at;
            let len = match &step {
                LayerStep::Raw(bytes) => bytes.len() as u64,
                LayerStep::Entry(body) => body.as_ref().map_or(0, |body| body.size),
            };
            at = at
                .checked_add(len)
                .filter(|at| *at <= layer.size)
                .ok_or_else(|| {
                    let why = format!("the layer becomes longer than its {} bytes", layer.size);
                    wrong(&name, why)
                })?;
            match step {
                LayerStep::Raw(bytes) => without(bytes, from, &mut lost, |kept| {
                    sink.bytes(kept).map_err(RebuildError::Write)
                }),
                LayerStep::Entry(None) => Ok(()),
                LayerStep::Entry(Some(body)) => {
                    while lost.next_if(|lost| lost.end <= from).is_some() {}
                    if lost.peek().is_some_and(|lost| lost.offset <= from) {
                        return Ok(());
                    }
                    self.body(&body, &bodies, &mut sink)
                }
            }
        })?;
        if at != layer.size {
            let why = format!("the layer has {at} bytes instead of {}", layer.size);
            return Err(wrong(&name, why));
        }
        sink.finish().map_err(RebuildError::Write)
    }

    /// Appends a body that is not a layer.
    pub(super) fn body(
        &self,
        body: &BodyRecord,
        bodies_name: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), RebuildError> {
        match &body.place {
            Where::Flat(path) => {
                let moved = self.moved.found(&body.sha256);
                let slice = moved.cloned().or_else(|| self.flat.body(path));
                if let Some(slice) = slice.filter(|slice| slice.len() == body.size) {
                    return sink.slice(&slice);
                }
                let mut changes = FlatChanges::default();
                changes.add(path, FlatChangeKind::Content);
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
                    let why = format!("it has {} bytes instead of {}", slice.len(), body.size);
                    return Err(wrong(name, why));
                }
                sink.slice(&slice)
            }
            Where::Stored(offset) => {
                let why = format!(
                    "the {} bytes at {offset}, which line {} of a stream needs, are outside the store of {} bytes",
                    body.size,
                    body.position,
                    self.container.description().bytes.size
                );
                Err(wrong(names::DESCRIPTION, why))
            }
            Where::Layer(_) | Where::Nowhere => {
                let why = format!("the body of line {} is missing", body.position);
                Err(wrong(bodies_name, why))
            }
        }
    }

    /// Verifies a layer that was put together against its diff ID. If it does not match, files of the flat tar with
    /// other content are the cause, and the error names them.
    pub(super) fn verify(
        &self,
        index: usize,
        layer: &LayerDescription,
        claimed: &DiffId,
        made: &Proof,
    ) -> Result<(), RebuildError> {
        if made.diff_id() == claimed {
            return Ok(());
        }
        let mut changes = FlatChanges::default();
        self.contents(layer, &mut changes)?;
        changes.refuse(self.flat)?;
        let mismatch = Mismatch {
            name: LayerName::of(index),
            what: Claimed::DiffId,
            claimed: claimed.digest().clone(),
            computed: made.diff_id().digest().clone(),
        };
        Err(Box::new(mismatch).into())
    }

    /// Finds the files of the flat tar that a layer needs and that have other content.
    pub(super) fn contents(
        &self,
        layer: &LayerDescription,
        changes: &mut FlatChanges,
    ) -> Result<(), RebuildError> {
        self.layer_stream(layer)?.each(|step| {
            if let LayerStep::Entry(Some(body)) = step
                && let Where::Flat(path) = &body.place
                && !self.moved.knows(&body.sha256)
                && !self.flat.is(path, &body.sha256)?
            {
                changes.add(path, FlatChangeKind::Content);
            }
            Ok(())
        })
    }
}

/// Shows the parts of a raw stretch that begins at `from` and that belong to no lost entry.
fn without<'l>(
    bytes: &[u8],
    from: u64,
    lost: &mut Peekable<impl Iterator<Item = &'l Lost>>,
    mut see: impl FnMut(&[u8]) -> Result<(), RebuildError>,
) -> Result<(), RebuildError> {
    let within = |offset: u64| {
        let at = usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX);
        at.min(bytes.len())
    };
    let mut at = 0;
    while at < bytes.len() {
        while lost.next_if(|lost| within(lost.end) <= at).is_some() {}
        let (begin, end) = lost.peek().map_or((bytes.len(), bytes.len()), |lost| {
            (within(lost.offset), within(lost.end))
        });
        see(&bytes[at..begin.max(at)])?;
        at = end.max(begin);
    }
    Ok(())
}

/// A path as the tree has it.
fn clean(path: &[u8]) -> Vec<u8> {
    LayerPath::new(path).components().join(&b'/')
}

fn disagree(at: u64) -> String {
    format!("headers and lines disagree about the body at byte {at} of the layer")
}

/// What keeps headers from being applied: the metadata that they come from, or what they say.
fn of_tree(error: TreeError) -> RebuildError {
    match error.raised() {
        Ok(error) => RebuildError::Metadata(error),
        Err(error) => RebuildError::Tree(error),
    }
}
