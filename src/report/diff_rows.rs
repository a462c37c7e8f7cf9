//! The rows of `diff`: one for each layer, field, build step and file.

use jiff::Timestamp;
use serde::Serialize;

use super::ls::{FileType, rfc3339, time};
use super::text::Text;
use crate::document::{ConfigField, HistoryChange, HistoryEntry, Pairing};
use crate::image::{Image, Layer};
use crate::tree::{
    Aspect, Body, FileChange, Inode, LayerDifference, LayerPair, LayerRelation, Tree,
};

/// What happened to something on the way from the old image to the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DiffAction {
    /// Only the new image has it.
    Added,
    /// Both have it, but it differs.
    Changed,
    /// Only the old image has it.
    Deleted,
}

impl DiffAction {
    fn of<T>(old: Option<&T>, new: Option<&T>) -> Self {
        match (old, new) {
            (None, _) => Self::Added,
            (_, None) => Self::Deleted,
            _ => Self::Changed,
        }
    }
}

/// How two layers are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DiffRelation {
    /// They have the same diff ID.
    Same,
    /// They have the same diff ID and are stored with different compressions.
    Recompressed,
    /// They have the same entries with the same content, except for modification times.
    Times,
    /// They have the same entries with the same content, in another order or another form of the headers.
    Order,
    /// Entries or contents differ.
    Different,
    /// Only the new image has it.
    Added,
    /// Only the old image has it.
    Removed,
}

impl From<LayerRelation> for DiffRelation {
    fn from(relation: LayerRelation) -> Self {
        match relation {
            LayerRelation::Same => Self::Same,
            LayerRelation::Recompressed => Self::Recompressed,
            LayerRelation::Times => Self::Times,
            LayerRelation::Order => Self::Order,
            LayerRelation::Different => Self::Different,
            LayerRelation::Added => Self::Added,
            LayerRelation::Removed => Self::Removed,
        }
    }
}

/// How the tars of two layers differ.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffLayerEntries {
    /// How many entries only the new one has.
    pub added: u64,
    /// How many entries with the same path differ in more than the time; their contents are not read if their sizes
    /// are equal.
    pub changed: u64,
    /// How many entries only the old one has.
    pub deleted: u64,
    /// Whether contents of equal size differ; they are compared only if no entry differs in another way.
    pub content: bool,
    /// Whether they differ only in things that are ignored.
    pub ignored: bool,
}

/// A layer of each image, or of one of them.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffLayer {
    /// The index in the old image, base first.
    pub old: Option<usize>,
    /// The index in the new image.
    pub new: Option<usize>,
    /// How they are related.
    pub relation: DiffRelation,
    /// Whether it moved: it comes after a layer in the new image that it comes before in the old one.
    pub moved: bool,
    /// The diff ID in the old image.
    pub diff_id_old: Option<String>,
    /// The diff ID in the new image.
    pub diff_id_new: Option<String>,
    /// How many bytes the old archive stores for it.
    pub stored_size_old: Option<u64>,
    /// How many bytes the new archive stores for it.
    pub stored_size_new: Option<u64>,
    /// The compression in the old archive.
    pub compression_old: Option<crate::source::Compression>,
    /// The compression in the new archive.
    pub compression_new: Option<crate::source::Compression>,
    /// The build step that made the old one.
    pub created_by_old: Option<String>,
    /// The build step that made the new one.
    pub created_by_new: Option<String>,
    /// How they differ; `null` unless the relation is `different`.
    pub entries: Option<DiffLayerEntries>,
}

impl DiffLayer {
    /// `makers` are the histories beside the layers.
    pub(super) fn of(
        pair: &LayerPair,
        (old, new): (&Image, &Image),
        makers: (&Pairing<'_>, &Pairing<'_>),
    ) -> Self {
        let one = pair.old.and_then(|at| old.layers.get(at));
        let other = pair.new.and_then(|at| new.layers.get(at));
        let diff_id = |image: &Image, layer: Option<&Layer>| {
            let computed = image.upgraded_ids().map(|ids| &ids.diff_ids);
            let computed = computed.and_then(|ids| ids.get(layer?.index));
            let id = layer?.diff_id.as_ref().or(computed);
            id.map(ToString::to_string)
        };
        let stored = |layer: Option<&Layer>| {
            let (slice, compression) = layer?.present()?;
            Some((slice.len(), compression))
        };
        let maker = |pairing: &Pairing<'_>, at: Option<usize>| {
            at.and_then(|at| Some(pairing.maker_of(at)?.created_by.clone()))
        };
        let entries = |difference: LayerDifference| DiffLayerEntries {
            added: difference.added,
            changed: difference.changed,
            deleted: difference.removed,
            content: difference.content,
            ignored: difference.is_ignored,
        };
        Self {
            old: pair.old,
            new: pair.new,
            relation: pair.relation.into(),
            moved: false,
            diff_id_old: diff_id(old, one),
            diff_id_new: diff_id(new, other),
            stored_size_old: stored(one).map(|(len, _)| len),
            stored_size_new: stored(other).map(|(len, _)| len),
            compression_old: stored(one).map(|(_, compression)| compression),
            compression_new: stored(other).map(|(_, compression)| compression),
            created_by_old: maker(makers.0, pair.old),
            created_by_new: maker(makers.1, pair.new),
            entries: pair.difference.map(entries),
        }
    }
}

/// A field of the configs that differs.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffField {
    /// Its name: for fields of the `config` object their names, with the key for parts of lists and maps (`Env.PATH`,
    /// `Labels.version`); for others their names in the document; `digest` if the configs have the same fields but
    /// other bytes, so that the image IDs differ.
    pub field: String,
    /// What the old image has: texts as they are, anything else as JSON; `null` if it has nothing.
    pub old: Option<String>,
    /// What the new image has.
    pub new: Option<String>,
    /// Whether every build changes it: times, and what builders record about themselves.
    pub of_build: bool,
}

impl DiffField {
    /// What happened to it.
    pub fn action(&self) -> DiffAction {
        DiffAction::of(self.old.as_ref(), self.new.as_ref())
    }
}

impl From<ConfigField> for DiffField {
    fn from(field: ConfigField) -> Self {
        Self {
            field: field.name,
            old: field.old,
            new: field.new,
            of_build: field.is_of_build,
        }
    }
}

/// A build step that differs.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffStep {
    /// What happened to it.
    pub change: DiffAction,
    /// The fields that differ: `created`, `created_by`, `author`, `comment`, `empty_layer`.
    pub what: Vec<&'static str>,
    /// Its place in the old history, oldest first.
    pub old: Option<usize>,
    /// Its place in the new history.
    pub new: Option<usize>,
    /// What it ran in the old history.
    pub created_by_old: Option<String>,
    /// What it ran in the new history.
    pub created_by_new: Option<String>,
}

impl DiffStep {
    pub(super) fn of(change: &HistoryChange, old: &[HistoryEntry], new: &[HistoryEntry]) -> Self {
        let step = |history: &[HistoryEntry], at: Option<usize>| {
            at.and_then(|at| Some(history.get(at)?.created_by.clone()))
        };
        Self {
            change: DiffAction::of(change.old.as_ref(), change.new.as_ref()),
            what: change.what.iter().map(|field| field.name()).collect(),
            old: change.old,
            new: change.new,
            created_by_old: step(old, change.old),
            created_by_new: step(new, change.new),
        }
    }
}

/// What a file is in one of the images.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffFileFacts {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: FileType,
    /// Permissions, setuid, setgid and sticky.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The modification time; `null` if it is too far away for a calendar date.
    #[serde(serialize_with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub mtime: Option<Timestamp>,
    /// The target of a symbolic link.
    pub target: Option<Text>,
}

impl DiffFileFacts {
    fn of(inode: &Inode) -> Self {
        let (kind, target) = match &inode.body {
            Body::File { .. } => (FileType::File, None),
            Body::Directory => (FileType::Dir, None),
            Body::Symlink(target) => (FileType::Symlink, Some(Text(target.to_vec()))),
            Body::Char(..) => (FileType::Char, None),
            Body::Block(..) => (FileType::Block, None),
            Body::Fifo => (FileType::Fifo, None),
        };
        Self {
            kind,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            mtime: time(inode.mtime()),
            target,
        }
    }
}

/// A file that differs.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffFile {
    /// The path, without a slash at either end; empty for the root.
    pub path: Text,
    /// What happened to it.
    pub change: DiffAction,
    /// How it differs. Empty for a directory that is listed because something in it changed.
    pub what: Vec<Aspect>,
    /// The size in bytes in the old image: 0 if it is not a regular file, `null` if it is not there.
    pub size_old: Option<u64>,
    /// The size in bytes in the new image.
    pub size_new: Option<u64>,
    /// What it is in the old image; `null` if it is not there.
    pub old: Option<DiffFileFacts>,
    /// What it is in the new image; `null` if it is not there.
    pub new: Option<DiffFileFacts>,
    /// Whether `docker diff` lists it; left out between images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_docker_diff: Option<bool>,
}

impl DiffFile {
    pub(super) fn of(change: &FileChange, path: &[u8], old: &Tree, new: &Tree) -> Self {
        let one = change.old.map(|node| old.inode(old.inode_id(node)));
        let other = change.new.map(|node| new.inode(new.inode_id(node)));
        Self {
            path: Text(path.to_vec()),
            change: DiffAction::of(one, other),
            what: change.what.iter().collect(),
            size_old: one.map(Inode::size),
            size_new: other.map(Inode::size),
            old: one.map(DiffFileFacts::of),
            new: other.map(DiffFileFacts::of),
            in_docker_diff: None,
        }
    }
}
