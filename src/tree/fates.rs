//! What became of every entry of every layer: which are live, which a later layer replaced or deleted.
//!
//! A merged tree forgets what it replaces. Here each entry leaves a record, in the order in which layers are
//! applied, and the record says in the end whether the entry is part of the merged tree. Memory is bounded by
//! the entries, which the limits count: a record takes 32 bytes.

use super::build::limits_of;
use super::error::TreeError;
use super::inode::InodeId;
use super::nodes::{NodeId, Tree};
use super::path::LayerPath;
use crate::base::options::Options;
use crate::base::progress::steps;
use crate::image::Image;
use crate::layer::{LayerOutline, LayerTar, OpenLayers};

/// Why an entry is no longer seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HiddenBy {
    /// Another entry with its path.
    Entry,
    /// A whiteout of it, or of a directory that it lay in.
    Whiteout,
    /// An opaque marker in a directory that it lay in.
    Opaque,
    /// Something that is not a directory took the place of a directory that it lay in.
    Parent,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is in the merged tree.
    Live,
    /// It is not.
    Hidden {
        /// The layer that hides it, base first.
        layer: u32,
        /// By what.
        by: HiddenBy,
    },
}

/// One entry of a layer, or a directory that no entry of the layer makes and engines make all the same.
#[derive(Clone, Copy, Debug)]
pub struct FateRecord {
    /// Its name in the tree. The path is that of [`Fates::path`].
    pub node: NodeId,
    /// The file: the same number for hard links to one file.
    pub inode: InodeId,
    /// The index of the layer that has the entry, base first.
    pub layer: u32,
    /// Whether the layer has an entry for it, and does not only imply it.
    pub is_entry: bool,
    /// Where a hard link leads, as a name in the tree.
    pub link: Option<NodeId>,
    /// The record that it took the place of, which was [`HiddenBy::Entry`] then.
    pub before: Option<usize>,
    /// What became of it.
    pub fate: Fate,
}

/// A merged tree, and what became of every entry on the way to it.
#[derive(Debug)]
pub struct Fates {
    tree: Tree,
    records: Vec<Record>,
}

/// A number that stands for nothing.
const NONE: u32 = u32::MAX;

/// A record in little room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    node: NodeId,
    inode: InodeId,
    layer: u32,
    is_entry: bool,
    /// A name's number.
    link: u32,
    /// A record's number.
    before: u32,
    fate: Fate,
}

const _: () = assert!(size_of::<Record>() <= 32);

/// What is kept while layers are applied.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    records: Vec<Record>,
    /// The record of the entry that stands at each name now, by the name's number.
    now: Vec<u32>,
}

impl Recorder {
    fn current(&self, node: NodeId) -> Option<u32> {
        self.now.get(node.index()).copied().filter(|at| *at != NONE)
    }

    /// The number of the record that is hidden.
    fn hide(&mut self, node: NodeId, layer: u32, by: HiddenBy) -> Option<u32> {
        let at = self.current(node)?;
        self.now[node.index()] = NONE;
        self.records[at as usize].fate = Fate::Hidden { layer, by };
        Some(at)
    }

    fn add(&mut self, mut record: Record) {
        let node = record.node;
        if let Some(before) = self.hide(node, record.layer, HiddenBy::Entry) {
            record.before = before;
        }
        if self.now.len() <= node.index() {
            self.now.resize(node.index() + 1, NONE);
        }
        // There are fewer records than entries, and fewer of those than the numbers go.
        self.now[node.index()] = u32::try_from(self.records.len()).unwrap_or(NONE);
        self.records.push(record);
    }
}

impl Tree {
    /// Notes that an entry, or a directory that one implies, stands at a name now.
    pub(super) fn record(&mut self, node: NodeId, is_entry: bool) {
        self.add_record(node, is_entry, None, None);
    }

    /// Notes that a hard link stands at a name now, where it leads, and the record that it took the place of.
    pub(super) fn record_link(&mut self, node: NodeId, link: Option<NodeId>, before: Option<u32>) {
        self.add_record(node, true, link, before);
    }

    fn add_record(
        &mut self,
        node: NodeId,
        is_entry: bool,
        link: Option<NodeId>,
        before: Option<u32>,
    ) {
        let (inode, layer) = (self.node(node).inode, self.node(node).layer);
        if let Some(recorder) = &mut self.recorder {
            recorder.add(Record {
                node,
                inode,
                layer,
                is_entry,
                link: link.map_or(NONE, NodeId::number),
                before: before.unwrap_or(NONE),
                fate: Fate::Live,
            });
        }
    }

    /// Notes that a name is about to go, with everything below it. The number of its record.
    pub(super) fn record_hidden(&mut self, node: NodeId, layer: u32, by: HiddenBy) -> Option<u32> {
        let below = match by {
            // What replaces a directory hides what is in it by that.
            HiddenBy::Entry => HiddenBy::Parent,
            by => by,
        };
        self.record_emptied(node, layer, below);
        self.recorder.as_mut()?.hide(node, layer, by)
    }

    /// Notes that everything below a name is about to go.
    pub(super) fn record_emptied(&mut self, node: NodeId, layer: u32, by: HiddenBy) {
        let Some(mut recorder) = self.recorder.take() else {
            return;
        };
        // Every name goes once, so all this takes no longer than it took to add them.
        let mut open: Vec<NodeId> = self.children(node).collect();
        while let Some(node) = open.pop() {
            recorder.hide(node, layer, by);
            open.extend(self.children(node));
        }
        self.recorder = Some(recorder);
    }
}

impl Fates {
    /// Applies the layers of `image` as [`Tree::merge`] does, and keeps what became of every entry. The tree can
    /// read the bytes of files, those that are hidden included.
    ///
    /// # Errors
    ///
    /// As [`Tree::merge`].
    pub fn merge(image: &Image, options: &Options<'_>) -> Result<Self, TreeError> {
        let layers = OpenLayers::of(image, false, options.jobs, options.progress)?;
        let _merging = options.progress.begin(steps::MERGING, None);
        Self::of_layers(layers.tars())
    }

    /// As [`Self::merge`], for layers that were opened before, base first.
    ///
    /// # Errors
    ///
    /// As [`Tree::merge`].
    pub fn of_layers(layers: &[LayerTar]) -> Result<Self, TreeError> {
        let mut tree = Tree::recording(limits_of(layers));
        tree.apply_all(layers)?;
        tree.layers = layers.to_vec();
        Ok(Self::of(tree))
    }

    /// As [`Self::merge`], for callers that need names and attributes and no bytes of files, as
    /// [`Tree::merge_names`].
    ///
    /// # Errors
    ///
    /// As [`Tree::merge`].
    pub fn merge_names(image: &Image, options: &Options<'_>) -> Result<Self, TreeError> {
        let layers = LayerOutline::of_all(image, options.jobs, options.progress)?;
        let _merging = options.progress.begin(steps::MERGING, None);
        let mut fates = Self::of_outlines(&layers)?;
        fates.tree.layers = Vec::new();
        Ok(fates)
    }

    /// As [`Self::merge_names`], of outlines. Of the bytes of files the tree can read what
    /// [an outline has](LayerOutline::has_body); the rest are zeros, so callers have to ask first.
    ///
    /// # Errors
    ///
    /// As [`Tree::merge`].
    pub(crate) fn of_outlines(layers: &[LayerOutline]) -> Result<Self, TreeError> {
        let headers = layers.iter().map(|layer| layer.headers().clone());
        let headers: Vec<LayerTar> = headers.collect();
        let mut tree = Tree::recording(limits_of(&headers));
        tree.apply_all(layers)?;
        tree.layers = headers;
        Ok(Self::of(tree))
    }

    fn of(mut tree: Tree) -> Self {
        let recorder = tree.recorder.take().unwrap_or_default();
        Self {
            tree,
            records: recorder.records,
        }
    }

    /// The merged tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// A record by its number, which is below [`Self::len`].
    pub fn get(&self, number: usize) -> Option<FateRecord> {
        let record = self.records.get(number)?;
        Some(FateRecord {
            node: record.node,
            inode: record.inode,
            layer: record.layer,
            is_entry: record.is_entry,
            link: (record.link != NONE).then(|| NodeId::from_number(record.link)),
            before: (record.before != NONE).then_some(record.before as usize),
            fate: record.fate,
        })
    }

    /// All records: layer by layer, base first; in each layer in the order of its tar.
    pub fn iter(&self) -> impl Iterator<Item = FateRecord> + Clone + '_ {
        (0..self.records.len()).filter_map(|number| self.get(number))
    }

    /// The numbers of the records of one path, in the order in which layers were applied.
    pub fn of_path(&self, path: &[u8]) -> Vec<usize> {
        let path = LayerPath::new(path);
        let names = path.components();
        let records = self.records.iter().enumerate();
        let here = records.filter(|(_, record)| self.tree.is_at(record.node, names));
        here.map(|(number, _)| number).collect()
    }

    /// The path of a name, without a slash at either end, also where it is not in the merged tree any more.
    /// Symbolic links on the way were followed when the entry was applied.
    pub fn path(&self, node: NodeId) -> Vec<u8> {
        self.tree.path(node)
    }
}
