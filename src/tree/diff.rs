//! What makes one tree of another: the changes that a layer has to carry.
//!
//! Files are compared by everything that they have: type, permissions, owner, time, extended
//! attributes, link target, device numbers, names, and content byte by byte. Equal sizes and times
//! prove nothing.
//!
//! The changes are those that every engine applies alike (`docs/layers.md`, "The difference of two
//! trees").

use std::collections::HashSet;
use std::num::NonZeroU32;

use super::content::{Buffers, in_batches, same};
use super::engine_files::Additions;
use super::error::TreeError;
use super::inode::{Body, Inode, InodeId};
use super::nodes::{NodeId, ROOT, Tree};
use super::pair_walk::{PairStep, Union};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;

/// What happened to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The lower tree has nothing there.
    Added,
    /// The lower tree has something else there.
    Changed,
    /// The upper tree has nothing there.
    Removed,
    /// An unchanged directory. It is listed because something in it changed: engines that
    /// unpack layers one by one would make up its attributes.
    Carried,
}

/// One change. Of a directory that was removed, only its own name is one.
#[derive(Clone, Debug)]
pub struct Change {
    /// The path, without a slash at either end; empty for the root.
    pub path: Box<[u8]>,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The name in the upper tree; `None` if it was removed.
    pub node: Option<NodeId>,
}

/// The changes between two trees, in the order of a tar: a directory before what is in it, siblings,
/// removed ones among them, in the order of their names' bytes.
///
/// Paths may be long and have most in common, so of each only its last name is kept, and which change is
/// that of the directory above it.
#[derive(Clone, Debug, Default)]
pub struct TreeDelta {
    kept: Vec<KeptChange>,
    names: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct KeptChange {
    /// The change of the directory that it is in; none at the root.
    above: Option<NonZeroU32>,
    /// Where the name ends among all names; it begins where that of the change before ends.
    name_end: u32,
    kind: ChangeKind,
    node: Option<NodeId>,
}

/// All changes of a [`TreeDelta`] in order.
#[derive(Clone, Copy, Debug)]
pub struct DeltaChanges<'d>(&'d TreeDelta);

impl<'d> DeltaChanges<'d> {
    /// One after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Change> + use<'d> {
        let delta = self.0;
        (0..delta.kept.len()).map(|i| Change {
            path: delta.path(i).into(),
            kind: delta.kept[i].kind,
            node: delta.kept[i].node,
        })
    }
}

impl<'d> IntoIterator for DeltaChanges<'d> {
    type Item = Change;
    type IntoIter = Box<dyn ExactSizeIterator<Item = Change> + 'd>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl TreeDelta {
    /// All changes in order.
    pub fn changes(&self) -> DeltaChanges<'_> {
        DeltaChanges(self)
    }

    /// The names in the upper tree that were not removed, in order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.kept.iter().filter_map(|kept| kept.node)
    }

    /// Whether the trees are equal.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many names at the root are gone.
    pub(crate) fn removed_at_root(&self) -> usize {
        let at_root = |kept: &&KeptChange| kept.kind == ChangeKind::Removed && kept.above.is_none();
        self.kept.iter().filter(at_root).count()
    }

    /// How many changes of a kind there are.
    pub fn count(&self, kind: ChangeKind) -> usize {
        self.kept.iter().filter(|kept| kept.kind == kind).count()
    }

    /// The path of a change.
    fn path(&self, i: usize) -> Vec<u8> {
        let mut names = Vec::new();
        let mut next = Some(i);
        while let Some(i) = next {
            names.push(self.name(i));
            // Numbers count from 1 here.
            next = self.kept[i].above.map(|above| above.get() as usize - 1);
        }
        names.reverse();
        names.join(&b'/')
    }

    fn name(&self, i: usize) -> &[u8] {
        let begin = i.checked_sub(1).map_or(0, |i| self.kept[i].name_end);
        &self.names[begin as usize..self.kept[i].name_end as usize]
    }

    /// Adds a change in the directory of another one.
    fn push(&mut self, above: Option<usize>, name: &[u8], kind: ChangeKind, node: Option<NodeId>) {
        self.names.extend_from_slice(name);
        // Trees have fewer names, and fewer bytes of names, than fit into these numbers.
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.kept.push(KeptChange {
            above: above.and_then(|above| NonZeroU32::new(number(above + 1))),
            name_end: number(self.names.len()),
            kind,
            node,
        });
    }

    /// Takes the last change back if it is this one and only carries others.
    fn pop_if_carried(&mut self, i: usize) {
        let last = self.kept.len().checked_sub(1);
        if last == Some(i) && self.kept[i].kind == ChangeKind::Carried {
            let len = self.names.len() - self.name(i).len();
            self.names.truncate(len);
            self.kept.pop();
        }
    }
}

/// What has to be applied to `lower` to make `upper` of it. Names of `upper` in `ignored` are taken to
/// be as `lower` has them.
///
/// The root's own attributes are compared only if a layer of `upper` has an entry for it.
///
/// # Errors
///
/// [`TreeError::Compare`] if a file cannot be read, [`TreeError::Expansion`] if sparse files claim
/// more than can be compared in sensible time.
pub fn difference(
    lower: &Tree,
    upper: &Tree,
    ignored: &Additions,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<TreeDelta, TreeError> {
    lower.check_expansion()?;
    upper.check_expansion()?;
    let clean = clean_inodes(lower, upper, ignored, jobs, progress)?;
    let mut delta = TreeDelta::default();
    let (below, above) = (lower.inode_of(ROOT), upper.inode_of(ROOT));
    if upper.node(ROOT).explicit && !same_attributes(below, above) {
        delta.push(None, b"", ChangeKind::Changed, Some(ROOT));
    }
    let mut walk = Union::new(lower, upper, ignored);
    // Where the open directories stand among the changes.
    let mut open = Vec::new();
    while let Some(step) = walk.next() {
        let PairStep::Name {
            lower: below,
            upper: above,
        } = step
        else {
            if let Some(at) = open.pop() {
                delta.pop_if_carried(at);
            }
            continue;
        };
        let is_directory = above.is_some_and(|node| upper.is_directory(node));
        let kind = match (below, above) {
            (_, None) => ChangeKind::Removed,
            (None, Some(_)) => ChangeKind::Added,
            (Some(below), Some(above)) if is_directory => {
                if is_kept(lower, below, upper, above, ignored) {
                    ChangeKind::Carried
                } else {
                    ChangeKind::Changed
                }
            }
            (_, Some(above)) if clean[upper.inode_id(above).index()] => continue,
            _ => ChangeKind::Changed,
        };
        let directory = open.last().copied();
        if is_directory {
            open.push(delta.kept.len());
        }
        let name = walk.path().rsplit(|&b| b == b'/').next();
        delta.push(directory, name.unwrap_or_default(), kind, above);
    }
    Ok(delta)
}

/// Whether a directory of the upper tree is what the lower one has. A different time does not
/// matter where the engine itself put names into it.
fn is_kept(lower: &Tree, below: NodeId, upper: &Tree, above: NodeId, ignored: &Additions) -> bool {
    let (old, new) = (lower.inode_of(below), upper.inode_of(above));
    if ignored.is_parent(above) {
        let mut new = new.clone();
        new.set_mtime(old.mtime());
        return same_attributes(old, &new);
    }
    same_attributes(old, new)
}

/// Whether all but names and content is equal.
fn same_attributes(one: &Inode, other: &Inode) -> bool {
    one.differs_from(other).is_empty()
}

/// What the lower tree has under the names of a file of the upper one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// No name was seen yet.
    Unseen,
    /// All names seen so far belong to this one file.
    One(InodeId),
    /// Something else.
    Other,
}

/// Which files of the upper tree need not be written: all their names are names of one file of the
/// lower tree, and it is equal. Directories never are.
///
/// If the names of one lower file have become several equal files, only the first of these can stay
/// as it is.
fn clean_inodes(
    lower: &Tree,
    upper: &Tree,
    ignored: &Additions,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Vec<bool>, TreeError> {
    let mut origins = vec![Origin::Unseen; upper.inode_count()];
    let mut order = Vec::new();
    let mut walk = Union::new(lower, upper, ignored);
    while let Some(step) = walk.next() {
        let PairStep::Name {
            lower: below,
            upper: Some(above),
        } = step
        else {
            continue;
        };
        if upper.is_directory(above) {
            continue;
        }
        let id = upper.inode_id(above);
        let origin = below.map_or(Origin::Other, |node| Origin::One(lower.inode_id(node)));
        let known = &mut origins[id.index()];
        match *known {
            Origin::Unseen => {
                order.push((id, above));
                *known = origin;
            }
            known if known == origin => {}
            _ => *known = Origin::Other,
        }
    }
    let mut clean = vec![false; upper.inode_count()];
    let mut pairs = Vec::new();
    for &(id, _) in &order {
        let Origin::One(old) = origins[id.index()] else {
            continue;
        };
        let (below, above) = (lower.inode(old), upper.inode(id));
        if !same_attributes(below, above) {
            continue;
        }
        match (lower.file_body(below)?, upper.file_body(above)?) {
            (Some(one), Some(other)) if !one.is_same_stretch(&other) => pairs.push((old, id)),
            _ => clean[id.index()] = true,
        }
    }
    let equal = same_contents(lower, upper, &pairs, jobs, progress)?;
    for ((_, id), equal) in pairs.iter().zip(equal) {
        clean[id.index()] = equal;
    }
    let mut taken = HashSet::new();
    for (id, _) in order {
        if let Origin::One(old) = origins[id.index()]
            && clean[id.index()]
        {
            clean[id.index()] = taken.insert(old);
        }
    }
    Ok(clean)
}

/// Whether pairs of regular files of equal size have the same bytes. They are compared on all cores, best in
/// the order of the upper tree's names, which is mostly that of its bytes.
///
/// # Errors
///
/// As [`difference`].
pub(super) fn same_contents(
    lower: &Tree,
    upper: &Tree,
    pairs: &[(InodeId, InodeId)],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Vec<bool>, TreeError> {
    let size = |id: InodeId| match upper.inode(id).body {
        Body::File { size, .. } => size,
        _ => 0,
    };
    in_batches(
        pairs,
        |(_, id)| size(*id),
        (jobs, progress),
        |pairs, task| {
            let mut buffers = Buffers::new();
            let mut equal = Vec::with_capacity(pairs.len());
            for &(old, new) in pairs {
                let one = lower.file_body(lower.inode(old))?;
                let other = upper.file_body(upper.inode(new))?;
                let (Some(one), Some(other)) = (one, other) else {
                    unreachable!("only files with bodies are paired");
                };
                let is_same = same(&one, &other, &mut buffers);
                equal.push(is_same.map_err(|source| TreeError::Compare {
                    path: upper.path_of(new).unwrap_or_default(),
                    source,
                })?);
                task.advance(other.size);
            }
            Ok(equal)
        },
    )
}
