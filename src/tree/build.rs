//! From an image's layers to a tree: headers only, in order, bottom up.

use std::collections::HashMap;
use std::ops::Range;

use super::apply::{Apply, Numbered};
use super::entries::{LayerEntries, LayerHeaders, Missing, add, entry_error, weight_of};
use super::error::{TreeError, TreeFault};
use super::nodes::{ROOT, Tree};
use super::path::{LayerPath, is_reserved};
use crate::base::jobs::Jobs;
use crate::base::limits::Limits;
use crate::base::options::Options;
use crate::base::progress::{Progress, steps};
use crate::image::Image;
use crate::layer::{LayerError, LayerOutline, LayerTar, OpenLayers};
use crate::source::{Place, Slice};
use crate::tar::{Kind, Positioned, Walker};

/// How many bytes of entries are kept of layers that an image has more than once.
const KNOWN: usize = 16 << 20;

/// An error of a tar that is not yet a layer of an image.
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
    /// an unnamed temporary file, since their bodies are needed later. Nothing is compared with a claim
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
        let _merging = progress.begin(steps::MERGING, None);
        Self::of_layers(layers.tars())
    }

    /// Applies the layers of an image, base first.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if a layer is damaged, or holds what no engine can apply.
    pub fn of_layers(layers: &[LayerTar]) -> Result<Self, TreeError> {
        let mut tree = Self::of_headers(layers, &limits_of(layers))?;
        tree.layers = layers.to_vec();
        Ok(tree)
    }

    /// As [`Self::merge`], for callers that need names and attributes and no bytes of files: compressed layers
    /// are decoded, and nothing but their headers is kept. No file can be read: [`Self::file_body`] gives
    /// nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::merge`].
    pub fn merge_names(image: &Image, options: &Options<'_>) -> Result<Self, TreeError> {
        let layers = LayerOutline::of_all(image, options.jobs, options.progress)?;
        let _merging = options.progress.begin(steps::MERGING, None);
        let limits = layers
            .first()
            .map(|layer| limits_of(&[layer.headers().clone()]));
        Self::of_headers(&layers, &limits.unwrap_or_default())
    }

    /// Applies layers of which only the headers are available. The tree knows names and attributes, and no
    /// bodies.
    ///
    /// # Errors
    ///
    /// As [`Self::merge`].
    pub(crate) fn of_headers<L: LayerHeaders>(
        layers: &[L],
        limits: &Limits,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::empty(*limits);
        tree.apply_all(layers)?;
        Ok(tree)
    }

    /// Applies layers, base first, to an empty tree.
    pub(super) fn apply_all<L: LayerHeaders>(&mut self, layers: &[L]) -> Result<(), TreeError> {
        self.apply_some(layers, 0..layers.len())
    }

    /// Applies some of these layers; those below them were applied before.
    fn apply_some<L: LayerHeaders>(
        &mut self,
        layers: &[L],
        some: Range<usize>,
    ) -> Result<(), TreeError> {
        let mut known = Repeated::of(layers);
        for layer in some {
            self.apply(layer, &layers[layer], known.entries(layer))?;
        }
        Ok(())
    }

    /// The trees of the `cut` lowest of these layers and of all of them. They share the layers, so that
    /// a comparison of both trees reads nothing that both have from one layer.
    ///
    /// # Errors
    ///
    /// As [`Self::merge`].
    pub fn merge_split(layers: &[LayerTar], cut: usize) -> Result<(Self, Self), TreeError> {
        let cut = cut.min(layers.len());
        Self::merge_both(&layers[..cut], layers).map_err(|(_, error)| error)
    }

    /// The trees of two stacks of layers, base first. The layers that both begin with are applied once.
    ///
    /// # Errors
    ///
    /// As [`Self::merge`], and which of the two has the layer: `false` for the first, which has those that both
    /// begin with as well.
    pub(super) fn merge_both(
        one: &[LayerTar],
        other: &[LayerTar],
    ) -> Result<(Self, Self), (bool, TreeError)> {
        let pairs = one.iter().zip(other);
        let shared = pairs
            .take_while(|(a, b)| a.bytes().is_same(b.bytes()))
            .count();
        let limits = if one.is_empty() {
            limits_of(other)
        } else {
            limits_of(one)
        };
        let mut first = Self::empty(limits);
        let in_first = |error| (false, error);
        first.apply_some(one, 0..shared).map_err(in_first)?;
        let mut second = first.fork();
        first.apply_some(one, shared..one.len()).map_err(in_first)?;
        let rest = shared..other.len();
        second
            .apply_some(other, rest)
            .map_err(|error| (true, error))?;
        first.layers = one.to_vec();
        second.layers = other.to_vec();
        Ok((first, second))
    }

    /// Reads a flat tar of a whole file system, as `docker export` writes it.
    ///
    /// It is read as a layer is, by rules L6 to L23, except that nothing in it is a whiteout: a name that
    /// begins with `.wh.` is refused, since no layer could hold it. An entry for the root is
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`TreeError::Flat`] if it is not a tar or damaged, [`TreeError::FlatEntry`] if it holds what
    /// cannot be a file.
    pub fn from_tar(tar: Slice) -> Result<Self, TreeError> {
        let mut tree = Self::empty(*tar.source().limits());
        tree.apply_flat(&tar).map_err(of_flat)?;
        tree.node_mut(ROOT).explicit = false;
        tree.layers = vec![LayerTar::plain(tar)];
        Ok(tree)
    }

    /// The tree of `layer`, an uncompressed tar, alone: what an image with only this layer shows.
    ///
    /// # Errors
    ///
    /// As [`Self::from_tar`].
    pub fn from_layer(layer: Slice) -> Result<Self, TreeError> {
        let mut tree = Self::empty(*layer.source().limits());
        let layer = LayerTar::plain(layer);
        tree.apply(0, &layer, None).map_err(of_flat)?;
        tree.layers = vec![layer];
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
    fn apply<L: LayerHeaders>(
        &mut self,
        layer: usize,
        headers: &L,
        known: Option<&mut KeptEntries>,
    ) -> Result<(), TreeError> {
        let mut missing = Missing::default();
        let read = LayerEntries::Read(headers);
        let Some(known) = known else {
            return self.apply_layer(layer, &read, &mut missing, |_| {});
        };
        if known.is_whole {
            let known: LayerEntries<'_, L> = LayerEntries::Known(&known.list);
            return self.apply_layer(layer, &known, &mut missing, |_| {});
        }
        self.apply_layer(layer, &read, &mut missing, |entry| known.keep(entry))?;
        known.end();
        Ok(())
    }
}

/// The entries of one layer, kept because an image has it more than once.
struct KeptEntries {
    list: Vec<Numbered>,
    /// How many bytes they take, and how many they may take.
    weight: usize,
    most: usize,
    /// Whether these are all; false as long as the layer was not applied to its end, and if they are
    /// more than there is room for.
    is_whole: bool,
}

impl KeptEntries {
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
struct Repeated {
    /// What each layer is called here, if it is there more than once.
    names: Vec<Option<Place>>,
    layers: HashMap<Place, KeptEntries>,
    /// How much room there is for more of them, in bytes.
    room: usize,
    /// The layer that was asked for last.
    last: Option<Place>,
}

impl Repeated {
    fn of<L: LayerHeaders>(layers: &[L]) -> Self {
        let mut count: HashMap<Place, usize> = HashMap::new();
        for place in layers.iter().filter_map(L::place) {
            *count.entry(place).or_default() += 1;
        }
        let shared = |layer: &L| layer.place().filter(|place| count[place] > 1);
        Self {
            names: layers.iter().map(shared).collect(),
            layers: HashMap::new(),
            room: KNOWN,
            last: None,
        }
    }

    /// What is kept of a layer; none if it is there once.
    fn entries(&mut self, layer: usize) -> Option<&mut KeptEntries> {
        let place = (*self.names.get(layer)?)?;
        if !self.layers.contains_key(&place) {
            // Whether the one before was kept is known by now.
            let before = self.last.replace(place);
            let before = before.and_then(|last| self.layers.get(&last));
            if let Some(before) = before.filter(|before| before.is_whole) {
                self.room = self.room.saturating_sub(before.weight);
            }
        }
        let most = self.room / 2;
        Some(self.layers.entry(place).or_insert_with(|| KeptEntries {
            list: Vec::new(),
            weight: 0,
            most,
            is_whole: false,
        }))
    }
}

/// How much the archive of these layers may ask for.
pub(super) fn limits_of(layers: &[LayerTar]) -> Limits {
    let limits = layers.first().map(|tar| *tar.bytes().source().limits());
    limits.unwrap_or_default()
}
