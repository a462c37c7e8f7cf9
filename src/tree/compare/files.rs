//! Which files of two trees differ, and in what.

use std::collections::{HashMap, HashSet};

use super::{CompareError, Side};
use crate::base::options::Options;
use crate::tree::aspect::{Aspect, Aspects};
use crate::tree::content::{Buffers, same};
use crate::tree::diff::{ChangeKind, difference, same_contents};
use crate::tree::engine_files::Additions;
use crate::tree::error::TreeError;
use crate::tree::inode::{Body, Inode, InodeId};
use crate::tree::nodes::{NodeId, ROOT, Tree};
use crate::tree::pair_walk::{PairStep, Union};

/// Bodies of two layers that are known to have the same bytes.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<(usize, usize), Vec<(u64, u64)>>);

impl Known {
    /// Adds those of one pair of layers: where they begin in each.
    pub(super) fn add(&mut self, old: usize, new: usize, mut bodies: Vec<(u64, u64)>) {
        bodies.sort_unstable();
        self.0.insert((old, new), bodies);
    }

    /// Whether two files are known to have the same bytes.
    fn has(&self, old: &Inode, new: &Inode) -> bool {
        let (
            Body::File { layer, offset, .. },
            Body::File {
                layer: other,
                offset: there,
                ..
            },
        ) = (&old.body, &new.body)
        else {
            return false;
        };
        // A map in the body of a sparse file is not part of it here.
        let map = |body: &Body| match body {
            Body::File {
                sparse: Some(sparse),
                ..
            } => sparse.0.map_len,
            _ => 0,
        };
        let at = (offset + map(&old.body), there + map(&new.body));
        let bodies = self.0.get(&(*layer as usize, *other as usize));
        bodies.is_some_and(|bodies| bodies.binary_search(&at).is_ok())
    }
}

/// A name under which two trees have something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The name in the old tree, if it has one there.
    pub old: Option<NodeId>,
    /// The name in the new tree, if it has one there.
    pub new: Option<NodeId>,
    /// In what the two files differ. Nothing for a directory that is listed because something in it changed.
    pub what: Aspects,
    /// Whether `docker diff` would list it; true between images.
    pub is_in_docker_diff: bool,
}

/// The names under which two trees differ, in the order of a tar.
#[derive(Clone, Debug, Default)]
pub struct FileChanges(Vec<FileChange>);

/// A name that both trees have, and which pair of contents decides whether it is a change.
struct Candidate {
    change: FileChange,
    contents: Option<usize>,
    has_links: bool,
}

/// What is known of the names of files while both trees are walked.
struct Names {
    old: Vec<u32>,
    new: Vec<u32>,
    /// How many names have the same two files, where one of them has several names.
    pairs: HashMap<(InodeId, InodeId), u32>,
}

impl Names {
    fn count(old: &Tree, new: &Tree) -> Self {
        let count = |tree: &Tree| {
            let mut names = vec![0_u32; tree.inode_count()];
            let mut walk = tree.walk(ROOT);
            while let Some((entry, _)) = walk.next_entry() {
                names[entry.id.index()] += 1;
            }
            names
        };
        Self {
            old: count(old),
            new: count(new),
            pairs: HashMap::new(),
        }
    }

    /// Notes a name of two files; whether one of them has others.
    fn note(&mut self, old: InodeId, new: InodeId) -> bool {
        let has_several = self.old[old.index()] > 1 || self.new[new.index()] > 1;
        if has_several {
            *self.pairs.entry((old, new)).or_default() += 1;
        }
        has_several
    }

    /// Whether two files have the same names.
    fn are_same(&self, old: InodeId, new: InodeId) -> bool {
        let both = self.pairs.get(&(old, new)).copied();
        both == Some(self.old[old.index()]) && both == Some(self.new[new.index()])
    }
}

impl FileChanges {
    /// All of them.
    pub fn as_slice(&self) -> &[FileChange] {
        &self.0
    }

    /// Compares all names of two trees.
    ///
    /// The root is compared if both trees have an entry for it; if one has, its time is not.
    pub(super) fn between(
        old: &Tree,
        new: &Tree,
        ignored: Aspects,
        known: &Known,
        options: &Options<'_>,
    ) -> Result<Self, CompareError> {
        let on = CompareError::of;
        old.check_expansion().map_err(on(Side::Old))?;
        new.check_expansion().map_err(on(Side::New))?;
        let of_new = on(Side::New);
        let mut names = Names::count(old, new);
        let mut found = Vec::new();
        let mut contents: Vec<(InodeId, InodeId)> = Vec::new();
        let mut asked: HashMap<(InodeId, InodeId), usize> = HashMap::new();
        found.extend(root(old, new, ignored));
        let none = Additions::none();
        let mut walk = Union::of_both(old, new, &none);
        while let Some(step) = walk.next() {
            let PairStep::Name { lower, upper } = step else {
                continue;
            };
            let mut candidate = Candidate {
                change: FileChange {
                    old: lower,
                    new: upper,
                    what: Aspects::default(),
                    is_in_docker_diff: true,
                },
                contents: None,
                has_links: false,
            };
            let (Some(below), Some(above)) = (lower, upper) else {
                found.push(candidate);
                continue;
            };
            let (below, above) = (old.inode_id(below), new.inode_id(above));
            let (one, other) = (old.inode(below), new.inode(above));
            let what = one.differs_from(other).without(ignored);
            candidate.change.what = what;
            candidate.has_links = names.note(below, above);
            let needs_content = !ignored.contains(Aspect::Content)
                && !known.has(one, other)
                && differ_by_content(old, new, (one, other)).map_err(&of_new)?;
            if needs_content {
                let mut ask = || {
                    contents.push((below, above));
                    contents.len() - 1
                };
                candidate.contents = Some(if candidate.has_links {
                    *asked.entry((below, above)).or_insert_with(ask)
                } else {
                    ask()
                });
            }
            if !what.is_empty() || candidate.contents.is_some() || candidate.has_links {
                found.push(candidate);
            }
        }
        drop(asked);
        let (jobs, progress) = (options.jobs, options.progress);
        let same = same_contents(old, new, &contents, jobs, progress).map_err(&of_new)?;
        let links = [Aspect::Links].into_iter().collect::<Aspects>();
        let see_links = !links.without(ignored).is_empty();
        let decided = found.into_iter().filter_map(|candidate| {
            let mut change = candidate.change;
            let (Some(below), Some(above)) = (change.old, change.new) else {
                return Some(change);
            };
            if candidate.contents.is_some_and(|at| !same[at]) {
                change.what.insert(Aspect::Content);
            }
            let (below, above) = (old.inode_id(below), new.inode_id(above));
            if see_links && candidate.has_links && !names.are_same(below, above) {
                change.what.insert(Aspect::Links);
            }
            (!change.what.is_empty()).then_some(change)
        });
        Ok(Self(decided.collect()))
    }

    /// The changes of a container against its image, and which of them `docker diff` lists.
    ///
    /// Docker goes by what `lstat` says and by the capability (moby `pkg/archive/changes.go`, `statDifferent`): it
    /// does not see other content of the same size and time, hard links, nor times of directories.
    pub(super) fn in_container(
        image: &Tree,
        container: &Tree,
        made: &Additions,
        ignored: Aspects,
        options: &Options<'_>,
    ) -> Result<Self, CompareError> {
        let of_new = CompareError::of(Side::New);
        let (jobs, progress) = (options.jobs, options.progress);
        let delta = difference(image, container, made, jobs, progress).map_err(&of_new)?;
        let mut changes = Vec::new();
        // The directories in which something is left, and those in which Docker lists something, told by their
        // paths while the list is read backwards.
        let mut needed: HashSet<Box<[u8]>> = HashSet::new();
        let mut listed: HashSet<Box<[u8]>> = HashSet::new();
        let all: Vec<_> = delta.changes().iter().collect();
        for change in all.into_iter().rev() {
            let old = (change.kind != ChangeKind::Added)
                .then(|| image.at(&change.path))
                .flatten();
            let (mut what, mut stays, mut is_listed) = (Aspects::default(), true, true);
            if let (Some(below), Some(above)) = (old, change.node) {
                what = changed(image, container, &change.path, (below, above))
                    .map_err(&of_new)?
                    .without(ignored);
                stays = !what.is_empty() || needed.contains(&change.path);
                let (one, other) = (image.inode_of(below), container.inode_of(above));
                is_listed = docker_sees(what, one, other) || listed.contains(&change.path);
            }
            if !stays {
                continue;
            }
            let above = change.path.iter().rposition(|&b| b == b'/');
            let directory = &change.path[..above.unwrap_or(0)];
            needed.insert(directory.into());
            if is_listed {
                listed.insert(directory.into());
            }
            changes.push(FileChange {
                old,
                new: change.node,
                what,
                is_in_docker_diff: is_listed,
            });
        }
        changes.reverse();
        Ok(Self(changes))
    }
}

/// Whether Docker takes a file for another one.
fn docker_sees(what: Aspects, old: &Inode, new: &Inode) -> bool {
    let is_directory = matches!(new.body, Body::Directory);
    let capability = |inode: &Inode| {
        let mut xattrs = inode.xattrs.as_slice().iter();
        let found = xattrs.find(|(name, _)| **name == *b"security.capability");
        found.map(|(_, value)| value.clone())
    };
    what.iter().any(|aspect| match aspect {
        Aspect::Type | Aspect::Mode | Aspect::Owner | Aspect::Device | Aspect::Size => true,
        Aspect::Time => !is_directory,
        Aspect::Xattr => capability(old) != capability(new),
        // It is the size of the link.
        Aspect::Target => match (&old.body, &new.body) {
            (Body::Symlink(one), Body::Symlink(other)) => one.len() != other.len(),
            _ => true,
        },
        Aspect::Content | Aspect::Links => false,
    })
}

/// The root, where it has entries to compare.
fn root(old: &Tree, new: &Tree, ignored: Aspects) -> Option<Candidate> {
    let explicit = (old.node(ROOT).explicit, new.node(ROOT).explicit);
    let mut what = old.inode_of(ROOT).differs_from(new.inode_of(ROOT));
    match explicit {
        (false, false) => return None,
        (true, true) => {}
        _ => what = what.without([Aspect::Time].into_iter().collect()),
    }
    what = what.without(ignored);
    (!what.is_empty()).then_some(Candidate {
        change: FileChange {
            old: Some(ROOT),
            new: Some(ROOT),
            what,
            is_in_docker_diff: true,
        },
        contents: None,
        has_links: false,
    })
}

/// Whether two files can only differ in their bytes, and must be read to know it.
fn differ_by_content(
    old: &Tree,
    new: &Tree,
    (one, other): (&Inode, &Inode),
) -> Result<bool, TreeError> {
    if one.size() != other.size() {
        return Ok(false);
    }
    let bodies = (old.file_body(one)?, new.file_body(other)?);
    Ok(matches!(bodies, (Some(one), Some(other)) if one.size > 0 && !one.is_same_stretch(&other)))
}

/// In what a file of a container differs from that of its image.
fn changed(
    image: &Tree,
    container: &Tree,
    path: &[u8],
    (below, above): (NodeId, NodeId),
) -> Result<Aspects, TreeError> {
    let (below, above) = (image.inode_id(below), container.inode_id(above));
    let (one, other) = (image.inode(below), container.inode(above));
    let mut what = one.differs_from(other);
    if let (Some(one), Some(other)) = (image.file_body(one)?, container.file_body(other)?)
        && one.size == other.size
    {
        let same = same(&one, &other, &mut Buffers::new());
        let same = same.map_err(|source| TreeError::Compare {
            path: path.to_vec(),
            source,
        })?;
        if !same {
            what.insert(Aspect::Content);
        }
    }
    // A file that is like the other and has to be written anew is not the same file: its names differ.
    if what.is_empty() && !matches!(other.body, Body::Directory) {
        what.insert(Aspect::Links);
    }
    Ok(what)
}
