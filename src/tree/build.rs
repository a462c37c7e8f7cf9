//! From an image's layers to a tree: headers only, in order, bottom up.

use std::collections::HashMap;

use super::apply::{Apply, Numbered, Role, role};
use super::budget::extra_len;
use super::error::{TreeError, TreeFault};
use super::layer_paths::Added;
use super::path::{LayerPath, is_reserved};
use super::tree::{LIMIT, ROOT, Tree};
use crate::base::jobs::Jobs;
use crate::base::limits::Limits;
use crate::base::progress::Progress;
use crate::image::Image;
use crate::layer::{LayerError, LayerTar, OpenLayers};
use crate::source::{Compression, Place, Slice};
use crate::tar::{Entry, Kind, Positioned, Walker};

/// How many bytes of entries of one layer wait in memory for its whiteouts.
pub(super) const WAITING: usize = 32 << 20;

/// How many bytes of entries are kept of layers that an image has more than once.
const KNOWN: usize = 16 << 20;

/// An error of a tar that is no layer of an image yet.
fn of_flat(error: TreeError) -> TreeError {
    match error {
        TreeError::Entry {
            path,
            offset,
            fault,
            ..
        } => TreeError::FlatEntry {
            path,
            offset,
            fault,
        },
        TreeError::Layer {
            source: LayerError::Tar(fault),
            ..
        } => TreeError::Flat(fault),
        other => other,
    }
}

impl Tree {
    /// Opens the layers of `image` and applies them.
    ///
    /// Uncompressed layers are read by their headers alone. Compressed ones are decoded once, into
    /// an unnamed temporary file, since their bodies are wanted later. Nothing is compared with a claim
    /// here.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if a layer is missing, damaged, or holds what no engine can apply.
    pub(crate) fn build(
        image: &Image,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, TreeError> {
        let layers = OpenLayers::of(image, false, jobs, progress)?;
        Self::of_layers(layers.tars())
    }

    /// Applies the layers of an image, base first.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if a layer is damaged, or holds what no engine can apply.
    pub fn of_layers(layers: &[LayerTar]) -> Result<Self, TreeError> {
        let mut tree = Self::empty(limits_of(layers));
        let mut known = Known::of(layers);
        for (layer, tar) in layers.iter().enumerate() {
            tree.apply(layer, tar.bytes(), known.entries(layer))?;
        }
        tree.layers = layers.to_vec();
        Ok(tree)
    }

    /// The trees of the `cut` lowest of these layers and of all of them. They share the layers, so that
    /// a comparison of both trees reads nothing that both have from one layer.
    ///
    /// # Errors
    ///
    /// As [`Self::merge`].
    pub fn merge_split(layers: &[LayerTar], cut: usize) -> Result<(Self, Self), TreeError> {
        let cut = cut.min(layers.len());
        let limits = limits_of(layers);
        let mut lower = Self::empty(limits);
        let mut upper = Self::empty(limits);
        let (mut known_below, mut known) = (Known::of(layers), Known::of(layers));
        for (layer, tar) in layers.iter().enumerate() {
            if layer < cut {
                lower.apply(layer, tar.bytes(), known_below.entries(layer))?;
            }
            upper.apply(layer, tar.bytes(), known.entries(layer))?;
        }
        lower.layers = layers[..cut].to_vec();
        upper.layers = layers.to_vec();
        Ok((lower, upper))
    }

    /// Reads a flat tar of a whole file system, as `docker export` writes it.
    ///
    /// It is read as a layer is, by rules L6 to L23, but that nothing in it is a whiteout: a name that
    /// begins with `.wh.` is refused, since no layer could hold it. An entry for the root counts for
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`TreeError::Flat`] if it is no tar or damaged, [`TreeError::FlatEntry`] if it holds what
    /// cannot be a file.
    pub fn from_tar(tar: Slice) -> Result<Self, TreeError> {
        let mut tree = Self::empty(*tar.source().limits());
        tree.apply_flat(&tar).map_err(of_flat)?;
        tree.node_mut(ROOT).explicit = false;
        tree.layers = vec![LayerTar::plain(tar)];
        Ok(tree)
    }

    /// The tree of `layer`, an uncompressed tar, alone: what an image of it shows that has no other.
    ///
    /// # Errors
    ///
    /// As [`Self::from_tar`].
    pub fn from_layer(layer: Slice) -> Result<Self, TreeError> {
        let mut tree = Self::empty(*layer.source().limits());
        tree.apply(0, &layer, None).map_err(of_flat)?;
        tree.layers = vec![LayerTar::plain(layer)];
        Ok(tree)
    }

    fn apply_flat(&mut self, tar: &Slice) -> Result<(), TreeError> {
        let mut walker = Walker::new(Positioned::new(tar.clone()));
        let mut apply = Apply::new(self, 0);
        let mut number = 0;
        while let Some(entry) = walker.next_entry().map_err(TreeError::Flat)? {
            if entry.kind == Kind::Global {
                continue;
            }
            let path = LayerPath::new(&entry.path);
            if path.components().iter().any(|name| is_reserved(name)) {
                return Err(TreeError::FlatEntry {
                    offset: entry.header_offset,
                    fault: TreeFault::WhiteoutName,
                    path: entry.path,
                });
            }
            number += 1;
            apply
                .count(&entry)
                .map_err(|fault| entry_error(0, &entry, fault))?;
            add(&mut apply, 0, &Numbered { number, entry })?;
        }
        apply.finish();
        Ok(())
    }

    /// Applies a layer. Its entries are kept in `known`, if there is room, and taken from there.
    fn apply(
        &mut self,
        layer: usize,
        slice: &Slice,
        mut known: Option<&mut Entries>,
    ) -> Result<(), TreeError> {
        let number =
            u32::try_from(layer).map_err(|_| TreeError::TooManyEntries { limit: LIMIT })?;
        let mut apply = Apply::new(self, number);
        if let Some(known) = known.as_deref_mut().filter(|known| known.is_whole) {
            return apply_known(apply, layer, &known.list);
        }
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
                .count(entry)
                .map_err(|fault| entry_error(layer, entry, fault))?;
            if let Some(known) = &mut known {
                known.keep(&numbered);
            }
            match role(entry) {
                Role::Whiteout => apply
                    .whiteout(*number, entry, &added)
                    .map_err(|fault| entry_error(layer, entry, fault))?,
                Role::Entry if layer == 0 => add(&mut apply, layer, &numbered)?,
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
        for numbered in &waiting {
            add(&mut apply, layer, numbered)?;
        }
        drop(waiting);
        if let Some((offset, number)) = rest {
            let mut walk = LayerWalk::new(layer, slice, offset, number - 1);
            while let Some(numbered) = walk.next_entry()? {
                if matches!(role(&numbered.entry), Role::Entry) {
                    add(&mut apply, layer, &numbered)?;
                }
            }
        }
        apply.finish();
        if let Some(known) = known {
            known.end();
        }
        Ok(())
    }
}

/// Applies a layer whose entries are at hand.
fn apply_known(mut apply: Apply<'_>, layer: usize, entries: &[Numbered]) -> Result<(), TreeError> {
    let again = |see: &mut dyn FnMut(&Entry) -> bool| {
        for numbered in entries {
            if !see(&numbered.entry) {
                break;
            }
        }
    };
    let added = Added::again(&again, &apply.limits());
    for Numbered { number, entry } in entries {
        let counted = apply.count_known();
        let applied = match role(entry) {
            Role::Whiteout => apply.whiteout(*number, entry, &added),
            Role::Dropped | Role::Entry => Ok(()),
        };
        counted
            .and(applied)
            .map_err(|fault| entry_error(layer, entry, fault))?;
    }
    for numbered in entries {
        if matches!(role(&numbered.entry), Role::Entry) {
            add(&mut apply, layer, numbered)?;
        }
    }
    apply.finish();
    Ok(())
}

/// What an entry takes while it waits in memory, in bytes.
pub(super) fn weight_of(entry: &Entry) -> usize {
    let xattr = |(name, value): &(Vec<u8>, Vec<u8>)| name.len() + value.len() + 64;
    let xattrs: usize = entry.xattrs.iter().map(xattr).sum();
    size_of::<Numbered>() + entry.path.len() + entry.link.len() + extra_len(entry) + xattrs
}

/// The entries of one layer, kept because an image has it more than once.
struct Entries {
    list: Vec<Numbered>,
    /// How many bytes they take, and how many they may take.
    weight: usize,
    most: usize,
    /// Whether these are all; false as long as the layer was not applied to its end, and if they are
    /// more than there is room for.
    is_whole: bool,
}

impl Entries {
    fn keep(&mut self, numbered: &Numbered) {
        self.weight = self.weight.saturating_add(weight_of(&numbered.entry));
        if self.weight <= self.most {
            self.list.push(numbered.clone());
        } else {
            self.list = Vec::new();
        }
    }

    /// The layer was applied to its end.
    fn end(&mut self) {
        self.is_whole = self.weight <= self.most;
    }
}

/// The layers that an image has more than once, so that they need not be walked as often.
struct Known {
    /// What each layer is called here, if it is there more than once.
    names: Vec<Option<Place>>,
    layers: HashMap<Place, Entries>,
    /// How much room there is for more of them, in bytes.
    room: usize,
    /// The layer that was asked for last.
    last: Option<Place>,
}

impl Known {
    fn of(layers: &[LayerTar]) -> Self {
        let mut count: HashMap<Place, usize> = HashMap::new();
        for tar in layers {
            *count.entry(tar.bytes().place()).or_default() += 1;
        }
        let shared = |tar: &LayerTar| Some(tar.bytes().place()).filter(|place| count[place] > 1);
        Self {
            names: layers.iter().map(shared).collect(),
            layers: HashMap::new(),
            room: KNOWN,
            last: None,
        }
    }

    /// What is kept of a layer; none if it is there once.
    fn entries(&mut self, layer: usize) -> Option<&mut Entries> {
        let place = (*self.names.get(layer)?)?;
        if !self.layers.contains_key(&place) {
            // What the one before came to is known by now.
            let before = self.last.replace(place);
            let before = before.and_then(|last| self.layers.get(&last));
            if let Some(before) = before.filter(|before| before.is_whole) {
                self.room = self.room.saturating_sub(before.weight);
            }
        }
        let most = self.room / 2;
        Some(self.layers.entry(place).or_insert_with(|| Entries {
            list: Vec::new(),
            weight: 0,
            most,
            is_whole: false,
        }))
    }
}

/// How much the archive of these layers may ask for.
fn limits_of(layers: &[LayerTar]) -> Limits {
    let limits = layers.first().map(|tar| *tar.bytes().source().limits());
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

    fn next_entry(&mut self) -> Result<Option<Numbered>, TreeError> {
        let next = self.walker.next_entry().map_err(|error| {
            let source = LayerError::from_walk(error, Compression::None, 0, self.len);
            TreeError::Layer {
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
    numbered: &Numbered,
) -> Result<(), TreeError> {
    if apply.is_full() {
        return Err(TreeError::TooManyEntries { limit: LIMIT });
    }
    apply
        .add(numbered)
        .map_err(|fault| entry_error(layer, &numbered.entry, fault))
}

pub(super) fn entry_error(layer: usize, entry: &Entry, fault: TreeFault) -> TreeError {
    fault_at(layer, entry.path.clone(), entry.header_offset, fault)
}

fn fault_at(layer: usize, path: Vec<u8>, offset: u64, fault: TreeFault) -> TreeError {
    match fault {
        TreeFault::Limit(exceeded) => TreeError::Limit {
            layer,
            path,
            offset,
            exceeded,
        },
        fault => TreeError::Entry {
            layer,
            path,
            offset,
            fault,
        },
    }
}
