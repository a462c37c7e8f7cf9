//! Bytes that an image stores and never shows.
//!
//! What counts is the content of regular files, as it is stored: one file once a layer, however many names it
//! has there, and of a sparse file what is not a hole. A file is visible if one of its names is in the merged
//! tree. `docs/waste.md` has the terms for users.
//!
//! Threats: which contents are compared is decided by sizes, which an archive chooses. Every file is read at
//! most a few times (beside what it replaced and what replaced it, or to find out where else its bytes are), and
//! holes are counted by [`Tree::file_body`]. Memory is bounded by the entries.

use super::content::{Buffers, in_batches, same};
use super::duplicates::{DuplicateFile, duplicates};
use super::error::TreeError;
use super::fates::{Fate, Fates, HiddenBy};
use super::inode::{Body, Inode, InodeId};
use super::nodes::{NodeId, ROOT};
use crate::base::options::Options;
use crate::source::SourceError;

/// Why stored bytes are not visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WasteCause {
    /// Another file took the place of this one.
    Replaced,
    /// It was deleted: by a whiteout, an opaque whiteout, or something that took the place of a directory
    /// that it lay in.
    Deleted,
    /// The same bytes were stored once more under the same name, because something else about the file
    /// changed, or nothing: `chown -R` does that.
    Attributes,
}

/// A stored file that is not visible.
#[derive(Clone, Copy, Debug)]
pub struct HiddenFile {
    /// Its name; the path is that of [`Fates::path`].
    pub node: NodeId,
    /// The layer that stores it, base first.
    pub layer: u32,
    /// The layer that hides it.
    pub by_layer: u32,
    /// Its stored content, in bytes.
    pub bytes: u64,
    /// How it was hidden.
    pub cause: WasteCause,
}

/// What a layer stores and hides, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerWaste {
    /// The content of its files.
    pub stored: u64,
    /// What of it is not visible.
    pub wasted: u64,
    /// What it hides, of lower layers or of itself.
    pub hides: u64,
}

impl LayerWaste {
    /// What each of so many layers stores and hides, base first, of a tree that [`Fates`] made. No content is read.
    pub fn of_layers(fates: &Fates, layers: usize) -> Vec<Self> {
        let files = Seen::of(fates).names;
        let mut all = vec![Self::default(); layers];
        for file in files {
            if let Some((layer, bytes)) = stored(fates.tree().inode(file.inode)) {
                Self::count(&mut all, layer, bytes, file.fate);
            }
        }
        all
    }

    /// Counts a file that a layer stores.
    fn count(all: &mut [Self], layer: u32, bytes: u64, fate: Fate) {
        if let Some(of_layer) = all.get_mut(layer as usize) {
            of_layer.stored = of_layer.stored.saturating_add(bytes);
            if let Fate::Hidden { layer: by, .. } = fate {
                of_layer.wasted = of_layer.wasted.saturating_add(bytes);
                if let Some(hiding) = all.get_mut(by as usize) {
                    hiding.hides = hiding.hides.saturating_add(bytes);
                }
            }
        }
    }
}

/// What is stored, what is visible, and what is not.
#[derive(Debug)]
pub struct Waste {
    /// The content of all files that the layers store, in bytes.
    pub stored: u64,
    /// What of it is visible, in bytes.
    pub visible: u64,
    /// The files that are not, in the order of the layers and their entries; empty files are left out.
    pub hidden: Vec<HiddenFile>,
    /// Visible files whose bytes are stored more than once, in the same order; the first of each is left out.
    pub duplicates: Vec<DuplicateFile>,
    /// What each layer stores and hides, base first.
    pub layers: Vec<LayerWaste>,
    /// By the numbers of names: the layer that deleted this name, and one more; 0 for none.
    deleted_by: Vec<u32>,
}

/// The name that decides what became of a file: a live one, else the last to go.
#[derive(Clone, Copy)]
struct Deciding {
    /// The number of its record.
    record: usize,
    inode: InodeId,
    fate: Fate,
}

/// What the records say about files and names.
struct Seen {
    /// The deciding names of all files, in the order of their records.
    names: Vec<Deciding>,
    /// By the numbers of records: the record that took the place of this one, or [`NONE`].
    after: Vec<u32>,
    deleted_by: Vec<u32>,
}

/// A number that stands for nothing.
const NONE: u32 = u32::MAX;

impl Seen {
    fn of(fates: &Fates) -> Self {
        let mut of_inode: Vec<Option<Deciding>> = vec![None; fates.tree().inode_count()];
        let mut after = vec![NONE; fates.len()];
        let mut deleted_by = Vec::new();
        for (number, record) in fates.iter().enumerate() {
            if let Some(before) = record.before {
                after[before] = u32::try_from(number).unwrap_or(NONE);
            }
            let deciding = &mut of_inode[record.inode.index()];
            if !deciding.is_some_and(|known| outlives(known.fate, record.fate)) {
                *deciding = Some(Deciding {
                    record: number,
                    inode: record.inode,
                    fate: record.fate,
                });
            }
            if let Fate::Hidden { layer, by } = record.fate
                && by != HiddenBy::Entry
            {
                let at = record.node.index();
                if deleted_by.len() <= at {
                    deleted_by.resize(at + 1, NONE);
                }
                deleted_by[at] = layer;
            }
        }
        let mut names: Vec<_> = of_inode.into_iter().flatten().collect();
        names.sort_unstable_by_key(|name| name.record);
        Self {
            names,
            after,
            deleted_by,
        }
    }
}

/// Whether a name that is known decides, rather than one that comes later: it is not gone sooner.
fn outlives(known: Fate, later: Fate) -> bool {
    match (known, later) {
        (Fate::Live, _) => true,
        (Fate::Hidden { .. }, Fate::Live) => false,
        (Fate::Hidden { layer, .. }, Fate::Hidden { layer: other, .. }) => layer >= other,
    }
}

impl Waste {
    /// Finds what is not visible in a tree that [`Fates::merge`] made. Contents are read where one file took
    /// the place of another of its size, and where visible files have the same size and the same beginning.
    ///
    /// # Errors
    ///
    /// [`TreeError::Compare`] if a file cannot be read, [`TreeError::Expansion`] if sparse files claim more than
    /// the limits allow.
    pub fn of(fates: &Fates, layers: usize, options: &Options<'_>) -> Result<Self, TreeError> {
        let (mut waste, rivals, live) = Self::of_names(fates, layers);
        for (number, is_same) in compare(fates, &rivals, options)? {
            if is_same {
                waste.hidden[number].cause = WasteCause::Attributes;
            }
        }
        waste.duplicates = duplicates(fates, &live, options)?;
        Ok(waste)
    }

    /// What each layer stores and hides, base first, as in [`Self::layers`]. No file is read.
    pub fn of_layers(fates: &Fates, layers: usize) -> Vec<LayerWaste> {
        Self::of_names(fates, layers).0.layers
    }

    /// What is known without a look at contents, which of those have to be compared, and the visible files.
    fn of_names(fates: &Fates, layers: usize) -> (Self, Vec<Rivals>, Vec<(NodeId, InodeId)>) {
        let tree = fates.tree();
        let seen = Seen::of(fates);
        let mut waste = Self {
            stored: 0,
            visible: 0,
            hidden: Vec::new(),
            duplicates: Vec::new(),
            layers: vec![LayerWaste::default(); layers],
            deleted_by: seen.deleted_by,
        };
        let (mut rivals, mut live) = (Vec::new(), Vec::new());
        for name in &seen.names {
            let Some((layer, bytes)) = stored(tree.inode(name.inode)) else {
                continue;
            };
            waste.stored = waste.stored.saturating_add(bytes);
            LayerWaste::count(&mut waste.layers, layer, bytes, name.fate);
            let Some(record) = fates.get(name.record).filter(|_| bytes > 0) else {
                continue;
            };
            let Fate::Hidden {
                layer: by_layer,
                by,
            } = name.fate
            else {
                waste.visible = waste.visible.saturating_add(bytes);
                live.push((record.node, name.inode));
                continue;
            };
            let cause = match by {
                HiddenBy::Entry => WasteCause::Replaced,
                HiddenBy::Whiteout | HiddenBy::Opaque | HiddenBy::Parent => WasteCause::Deleted,
            };
            let after = fates.get(seen.after[name.record] as usize);
            if let (WasteCause::Replaced, Some(after)) = (cause, after) {
                rivals.push(Rivals {
                    number: waste.hidden.len(),
                    node: record.node,
                    hidden: name.inode,
                    after: after.inode,
                });
            }
            waste.hidden.push(HiddenFile {
                node: record.node,
                layer,
                by_layer,
                bytes,
                cause,
            });
        }
        (waste, rivals, live)
    }

    /// The content that is stored and not visible, in bytes.
    pub fn wasted(&self) -> u64 {
        self.stored.saturating_sub(self.visible)
    }

    /// The content that is visible and stored elsewhere as well, in bytes.
    pub fn duplicated(&self) -> u64 {
        let bytes = self.duplicates.iter().map(|file| file.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// The topmost of the directories that were deleted together with a hidden file, or the file itself.
    pub fn deleted_with(&self, fates: &Fates, file: &HiddenFile) -> NodeId {
        let mut top = file.node;
        if file.cause == WasteCause::Deleted {
            loop {
                let parent = fates.tree().parent(top);
                if parent == ROOT || self.deleted_by.get(parent.index()) != Some(&file.by_layer) {
                    break;
                }
                top = parent;
            }
        }
        top
    }
}

/// The layer that stores a regular file, and how many bytes of content that takes; holes take none.
pub(super) fn stored(inode: &Inode) -> Option<(u32, u64)> {
    match inode.body {
        Body::File { layer, .. } => Some((layer, inode.stored_size())),
        _ => None,
    }
}

/// A hidden file and the one that took its place.
#[derive(Clone, Copy)]
struct Rivals {
    /// The number of the hidden file.
    number: usize,
    node: NodeId,
    hidden: InodeId,
    after: InodeId,
}

/// Which hidden files have the same bytes as what took their place, by their numbers.
fn compare(
    fates: &Fates,
    rivals: &[Rivals],
    options: &Options<'_>,
) -> Result<Vec<(usize, bool)>, TreeError> {
    let tree = fates.tree();
    let is_open = |rivals: &&Rivals| {
        let (one, other) = (tree.inode(rivals.hidden), tree.inode(rivals.after));
        let is_file = matches!(other.body, Body::File { .. });
        rivals.hidden != rivals.after && is_file && one.size() == other.size()
    };
    let rivals: Vec<Rivals> = rivals.iter().filter(is_open).copied().collect();
    let size = |rivals: &Rivals| tree.inode(rivals.hidden).size();
    in_batches(
        &rivals,
        size,
        (options.jobs, options.progress),
        |rivals, task| {
            let mut buffers = Buffers::new();
            let mut compared = Vec::with_capacity(rivals.len());
            for pair in rivals {
                let one = tree.file_body(tree.inode(pair.hidden))?;
                let other = tree.file_body(tree.inode(pair.after))?;
                let is_same = match (one, other) {
                    (Some(one), Some(other)) if one.is_same_stretch(&other) => true,
                    (Some(one), Some(other)) => same(&one, &other, &mut buffers)
                        .map_err(|error| unread(fates, pair.node, error))?,
                    _ => false,
                };
                task.advance(size(pair));
                compared.push((pair.number, is_same));
            }
            Ok(compared)
        },
    )
}

pub(super) fn unread(fates: &Fates, node: NodeId, source: SourceError) -> TreeError {
    TreeError::Compare {
        path: fates.path(node),
        source,
    }
}
