//! One layer on top of a tree. Each branch cites its rule in `docs/layers.md`.
//!
//! Long: the rules of `docs/layers.md` on one entry stand together.

use std::collections::HashMap;
use std::rc::Rc;

use super::attributes::{check_xattrs, merged, mode, owner};
use super::budget::{extra_len, xattrs_len};
use super::error::TreeFault;
use super::fates::HiddenBy;
use super::inode::{Body, Inode, InodeId, Xattrs};
use super::layer_paths::Added;
use super::nodes::{NodeId, ROOT, Tree};
use super::path::{LayerPath, NAME_LIMIT};
use super::resolve::{Found, PathStep, Way};
use super::spelled::Spelled;
use super::stray::Strays;
use super::trail::Trail;
use super::warning::WarningKind;
use crate::base::constants::{AUFS, OPAQUE};
use crate::base::limits::Limit;
use crate::layer::Whiteout;
use crate::tar::{Entry, Kind, Mtime};

/// Where aufs kept files with several names.
pub(super) const AUFS_LINKS: &[u8] = b".wh..wh.plnk";
/// The last second that fits into signed 64-bit nanoseconds, 2262-04-11: later times become 1970 in
/// Docker, containerd and podman.
const TIME_LIMIT: i64 = 9_223_372_036;

pub(super) type Fallible<T> = Result<T, TreeFault>;

/// What whiteouts of a layer removed, and the number of the whiteout.
pub(super) type Whited = HashMap<(NodeId, Box<[u8]>), usize>;

/// One layer while it is applied.
pub(super) struct Apply<'t> {
    pub(super) tree: &'t mut Tree,
    pub(super) layer: u32,
    /// What whiteouts of this layer removed, and whether an entry came before the whiteout.
    whited: Whited,
    /// Whiteouts that found no directory to act in.
    strays: Strays,
    /// Directories of lower layers that entries of this one lie in, and such an entry.
    implied: HashMap<NodeId, Rc<[u8]>>,
    /// Directories that entries of this layer lie in.
    noted: Vec<NodeId>,
    /// Where the entry before lay, and where the hard link before led.
    entry_trail: Trail,
    link_trail: Trail,
    /// The attributes of the last entry that had some: of many files they are the same.
    pub(super) last_xattrs: Xattrs,
}

/// An entry and its place in the layer.
#[derive(Clone)]
pub(super) struct Numbered {
    pub(super) number: usize,
    pub(super) entry: Entry,
}

/// Whether an entry acts on lower layers, adds to the tree, or neither.
pub(super) enum Role {
    Whiteout,
    Entry,
    Dropped,
}

/// Sorts an entry by its name.
pub(super) fn role(entry: &Entry) -> Role {
    if entry.kind == Kind::Global {
        return Role::Dropped;
    }
    // Without a dot there is nothing to look for, and most paths are long enough to be looked at once.
    if !entry.path.contains(&b'.') {
        return Role::Entry;
    }
    let path = LayerPath::new(&entry.path);
    match path.components() {
        // L15: what aufs left behind is not part of the image, but for files that links lead to.
        [first, rest @ ..] if first.starts_with(AUFS) && *first != OPAQUE => {
            match (*first == AUFS_LINKS, rest) {
                (true, [_]) => Role::Entry,
                _ => Role::Dropped,
            }
        }
        [.., last] if Whiteout::of_path(last).is_some() => Role::Whiteout,
        _ => Role::Entry,
    }
}

impl<'t> Apply<'t> {
    pub(super) fn new(tree: &'t mut Tree, layer: u32) -> Self {
        Self {
            tree,
            layer,
            whited: Whited::new(),
            strays: Strays::default(),
            implied: HashMap::new(),
            noted: Vec::new(),
            entry_trail: Trail::default(),
            link_trail: Trail::default(),
            last_xattrs: Xattrs::default(),
        }
    }

    pub(super) fn warn(&mut self, kind: WarningKind, path: &[u8]) {
        self.tree.warnings.add(kind, self.layer as usize, path);
    }

    /// Counts an entry of the layer.
    pub(super) fn count(&mut self, entry: &Entry) -> Fallible<()> {
        Ok(self.tree.budget.entry(entry)?)
    }

    /// Counts an entry whose headers were counted when they were read.
    pub(super) fn count_known(&mut self) -> Fallible<()> {
        Ok(self.tree.budget.name()?)
    }

    /// Whether the tree is full.
    pub(super) fn is_full(&self) -> bool {
        self.tree.is_full()
    }

    /// L1, L2, L3: hides what lower layers have. All whiteouts of a layer are applied before its
    /// entries, so they cannot hide those, wherever they are in the tar.
    ///
    /// `added` are the entries of the layer, for the one question that the lower layers cannot
    /// answer: whether a symbolic link on the way is replaced by this layer.
    pub(super) fn whiteout(
        &mut self,
        number: usize,
        entry: &Entry,
        added: &Added<'_>,
    ) -> Fallible<()> {
        let spelled = Spelled::new(&entry.path, &self.entry_trail, self.tree.shape());
        let Some(last) = spelled.name() else {
            return Ok(());
        };
        if spelled.left_root() {
            self.warn(WarningKind::LeftRoot, &entry.path);
        }
        let name = match Whiteout::of_path(last) {
            // L4: `.wh.`, `.wh..` and `.wh...` would delete the directory itself or the one above.
            Some(Whiteout::Path(b"" | b"." | b"..")) => return Err(TreeFault::InvalidWhiteout),
            Some(Whiteout::Path(name)) => Some(name),
            Some(Whiteout::Opaque) | None => None,
        };
        self.tree.budget.names(entry.path.len())?;
        // Nothing lies below the bottom layer.
        if self.layer == 0 {
            return self.strays.keep(&mut self.tree.budget, &entry.path);
        }
        // A whiteout below something that is not there, or is not a directory, hides nothing.
        let Some(found) = self.reach(&spelled, Reach::Entry)? else {
            return self.strays.keep(&mut self.tree.budget, &entry.path);
        };
        let (directory, through_link) = (found.directory, found.links > 0);
        if through_link {
            let path = LayerPath::new(&entry.path);
            let parents = path.split().map_or(&[][..], |(parents, _)| parents);
            let links = self.trace(parents)?;
            // The link is gone with this layer, and nothing below its replacement comes from lower layers.
            if added.replaces_any(&links) {
                return Ok(());
            }
            self.warn(WarningKind::WhiteoutBelowSymlink, &entry.path);
        }
        self.note_implied(directory, through_link, &entry.path);
        if let Some(name) = name {
            if let Some(node) = self.tree.child(directory, name) {
                self.tree
                    .record_hidden(node, self.layer, HiddenBy::Whiteout);
            }
            self.tree.remove_child(directory, name);
            self.whited.insert((directory, name.into()), number);
        } else {
            if directory == ROOT && self.tree.child_count(ROOT) > 0 {
                self.warn(WarningKind::OpaqueRoot, &entry.path);
            }
            self.tree
                .record_emptied(directory, self.layer, HiddenBy::Opaque);
            self.tree.clear_children(directory);
        }
        Ok(())
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, Numbered { number, entry }: &Numbered) -> Fallible<()> {
        let spelled = Spelled::new(&entry.path, &self.entry_trail, self.tree.shape());
        if spelled.left_root() {
            self.warn(WarningKind::LeftRoot, &entry.path);
        }
        if !(0..=TIME_LIMIT).contains(&entry.mtime.seconds) {
            self.warn(WarningKind::TimeOutOfRange, &entry.path);
        }
        let Some(name) = spelled.name() else {
            return self.set_root(entry);
        };
        if spelled.is_aufs_link() {
            return self.hide(name, entry);
        }
        if name.len() > NAME_LIMIT {
            return Err(TreeFault::NameTooLong(name.len()));
        }
        // Missing parents are created, so there is a directory.
        let Some(found) = self.reach(&spelled, Reach::Made)? else {
            return Ok(());
        };
        let (directory, through_link) = (found.directory, found.links > 0);
        let len = found.len + name.len();
        self.tree.budget.path(len)?;
        self.tree.budget.names(len)?;
        self.tree.budget.attributes(extra_len(entry))?;
        if through_link {
            self.warn(WarningKind::BelowSymlink, &entry.path);
        }
        self.note_implied(directory, through_link, &entry.path);
        self.note_whited(directory, name, *number, entry);
        let existing = self.tree.child(directory, name);
        if let Some(node) = existing.map(|node| self.tree.node(node))
            && node.layer == self.layer
            && node.explicit
        {
            self.warn(WarningKind::DuplicatePath, &entry.path);
        }
        if entry.kind == Kind::Hardlink {
            // What the link replaces is gone before its target is looked up.
            let before = existing.and_then(|existing| {
                self.tree
                    .record_hidden(existing, self.layer, HiddenBy::Entry)
            });
            self.tree.remove_child(directory, name);
            let (inode, target) = self.linked_inode(entry)?;
            let node = self.place(directory, name, None, inode, false);
            self.tree.record_link(node, target, before);
            return Ok(());
        }
        let inode = self.inode(entry)?;
        // L5: a directory over a directory takes its place and keeps what is in it. L6: anything
        // else replaces what was there, with all that was below.
        let keeps = matches!(inode.body, Body::Directory)
            && existing.is_some_and(|node| self.tree.is_directory(node));
        let inode = self.tree.add_inode(inode);
        let node = self.place(directory, name, existing, inode, keeps);
        self.tree.record(node, true);
        Ok(())
    }

    fn place(
        &mut self,
        directory: NodeId,
        name: &[u8],
        existing: Option<NodeId>,
        inode: InodeId,
        keeps_children: bool,
    ) -> NodeId {
        let layer = self.layer;
        let node = match existing {
            Some(node) => node,
            None => self.tree.add_node(directory, name, inode, layer),
        };
        self.tree.set_inode(node, inode);
        if !keeps_children {
            self.tree.record_emptied(node, layer, HiddenBy::Parent);
            self.tree.clear_children(node);
        }
        let placed = self.tree.node_mut(node);
        placed.layer = layer;
        placed.explicit = true;
        node
    }

    /// The root has attributes too, though no tar of it says so; its type cannot change.
    fn set_root(&mut self, entry: &Entry) -> Fallible<()> {
        // L22: the root stays a directory, whatever an entry makes of it.
        if entry.kind != Kind::Directory {
            self.warn(WarningKind::RootNotDirectory, &entry.path);
            return Ok(());
        }
        let inode = self.inode(entry)?;
        if self.tree.recorder.is_some() {
            // What the root was before is still asked for.
            let inode = self.tree.add_inode(inode);
            self.tree.set_inode(ROOT, inode);
        } else {
            let id = self.tree.node(ROOT).inode;
            *self.tree.inode_mut(id) = inode;
        }
        let root = self.tree.node_mut(ROOT);
        root.layer = self.layer;
        root.explicit = true;
        self.tree.record(ROOT, true);
        Ok(())
    }

    /// L15: keeps a file of aufs' link directory for the hard links that lead to it.
    fn hide(&mut self, name: &[u8], entry: &Entry) -> Fallible<()> {
        if matches!(entry.kind, Kind::Directory | Kind::Hardlink) {
            return Ok(());
        }
        self.tree.budget.attributes(name.len() + extra_len(entry))?;
        let inode = self.inode(entry)?;
        let inode = self.tree.add_inode(inode);
        self.tree.hidden.insert(name.into(), inode);
        Ok(())
    }

    /// L13: the inode that a hard link leads to. The header's owner, mode and time are applied to it,
    /// as Docker, containerd and podman do.
    ///
    /// Also where it leads, as a name, unless that is in aufs' own directory.
    fn linked_inode(&mut self, entry: &Entry) -> Fallible<(InodeId, Option<NodeId>)> {
        let missing = || TreeFault::LinkTargetMissing(entry.link.clone());
        let spelled = Spelled::new(&entry.link, &self.link_trail, self.tree.shape());
        if spelled.left_root() {
            self.warn(WarningKind::LeftRoot, &entry.link);
        }
        self.tree.budget.names(entry.link.len())?;
        let name = spelled.name();
        let name = name.ok_or_else(|| TreeFault::LinkToDirectory(entry.link.clone()))?;
        let (id, target) = if spelled.is_aufs_link() {
            (*self.tree.hidden.get(name).ok_or_else(missing)?, None)
        } else {
            let found = self.reach(&spelled, Reach::Target)?;
            let found = found.ok_or_else(missing)?;
            let target = self.tree.child(found.directory, name);
            let target = target.ok_or_else(missing)?;
            if self.tree.is_directory(target) {
                return Err(TreeFault::LinkToDirectory(entry.link.clone()));
            }
            if self.tree.node(target).layer != self.layer {
                self.warn(WarningKind::LinkToLower, &entry.path);
            }
            (self.tree.node(target).inode, Some(target))
        };
        let (uid, gid) = (owner(entry.uid)?, owner(entry.gid)?);
        let xattrs = self.xattrs(entry)?;
        if xattrs.is_empty() && !self.tree.inode(id).xattrs.is_empty() {
            self.warn(WarningKind::LinkWithoutXattrs, &entry.path);
        }
        let inode = self.tree.inode_mut(id);
        if !matches!(inode.body, Body::Symlink(_)) {
            inode.mode = mode(entry);
        }
        inode.uid = uid;
        inode.gid = gid;
        inode.set_mtime(entry.mtime);
        if !xattrs.is_empty() {
            let old = std::mem::take(&mut inode.xattrs);
            let (old, copied) = old.into_vec();
            if copied {
                self.tree.budget.attributes(xattrs_len(&old))?;
            }
            let all = merged(old, xattrs.into_vec().0);
            check_xattrs(self.tree.budget.limits(), &all)?;
            self.tree.inode_mut(id).xattrs = Xattrs::new(all);
        }
        Ok((id, target))
    }

    /// Remembers that a lower directory is used without an entry for it.
    fn note_implied(&mut self, directory: NodeId, through_link: bool, path: &[u8]) {
        // The bottom layer has no lower directories.
        if self.layer == 0 || through_link || self.entry_trail.noted {
            return;
        }
        self.entry_trail.noted = true;
        // Every parent counts, not only the last. If one was noted, all above it were.
        let mut node = directory;
        let mut shared: Option<Rc<[u8]>> = None;
        while node != ROOT && !std::mem::replace(&mut self.tree.node_mut(node).noted, true) {
            self.noted.push(node);
            if self.tree.node(node).layer != self.layer {
                // One copy, however many directories it goes through.
                let path = Rc::clone(shared.get_or_insert_with(|| path.into()));
                self.implied.insert(node, path);
            }
            node = self.tree.parent(node);
        }
    }

    fn note_whited(&mut self, directory: NodeId, name: &[u8], number: usize, entry: &Entry) {
        if self.whited.is_empty() {
            return;
        }
        let Some(&whiteout) = self.whited.get(&(directory, name.into())) else {
            return;
        };
        if entry.kind == Kind::Directory {
            self.warn(WarningKind::WhiteoutAndDirectory, &entry.path);
        } else if number < whiteout {
            self.warn(WarningKind::WhiteoutAndAdded, &entry.path);
        }
    }

    /// Reports what can only be known when the whole layer has been seen. The first whiteout, if there is one,
    /// that an engine which applies layers to one tree cannot apply.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        let strays = std::mem::take(&mut self.strays);
        let refused = strays.warn(self.tree, self.layer, &self.whited);
        for node in std::mem::take(&mut self.noted) {
            self.tree.node_mut(node).noted = false;
        }
        let implied = std::mem::take(&mut self.implied);
        let (mut first, mut count): (Option<Rc<[u8]>>, usize) = (None, 0);
        for (node, path) in implied {
            if self.tree.node(node).layer == self.layer {
                continue;
            }
            count += 1;
            let same = first.as_ref().is_some_and(|first| Rc::ptr_eq(first, &path));
            if !same && first.as_ref().is_none_or(|first| path < *first) {
                first = Some(path);
            }
        }
        for _ in 0..count {
            let path = first.as_deref().unwrap_or_default();
            self.tree
                .warnings
                .add(WarningKind::ImpliedParent, self.layer as usize, path);
        }
        refused
    }

    /// Goes to the directory that a path lies in (L9, L10, L11, L12); none if there is none. The path is
    /// not that of the root.
    fn reach(&mut self, spelled: &Spelled<'_>, reach: Reach) -> Fallible<Option<Found>> {
        let shape = self.tree.shape();
        let trail = self.trail(reach);
        let (written, parents) = match (spelled, spelled.parents()) {
            (Spelled::Same { written, .. }, _) => {
                let same = trail.same(shape, written);
                return Ok(same.map(|(found, _)| found.clone()));
            }
            (_, None) => return Ok(None),
            (Spelled::New { written, .. }, Some(parents)) => (*written, parents),
        };
        let (common, from, len) = trail.common(shape, parents);
        self.tree.budget.path_steps(parents.len() - common)?;
        let mut way = Way::from(from, len, &parents[common..]);
        let mut gone = 0;
        let there = loop {
            match way.step(self.tree)? {
                PathStep::Gone => gone += 1,
                PathStep::End => break true,
                PathStep::Missing(name) if reach == Reach::Made => {
                    self.imply(&mut way, &name)?;
                    gone += 1;
                }
                PathStep::NotADirectory(name) if reach == Reach::Made => {
                    return Err(TreeFault::NotADirectory(name.into_owned()));
                }
                PathStep::Missing(_) | PathStep::NotADirectory(_) => break false,
            }
        };
        let found = way.found();
        self.tree.budget.link_steps(found.steps)?;
        let found = Found { steps: 0, ..found };
        // Behind a link the names of the path are not those of the directories.
        let gone = if found.links == 0 { gone } else { 0 };
        let mut nodes = Vec::with_capacity(gone);
        let mut at = found.directory;
        for _ in 0..gone {
            nodes.push(at);
            at = self.tree.parent(at);
        }
        let common = if found.links == 0 { common } else { 0 };
        let seen = (shape, written, spelled.left_root());
        let found = there.then_some(found);
        let path = &parents[..common + gone];
        self.trail(reach)
            .keep(seen, path, common, &nodes, found.as_ref());
        Ok(found)
    }

    fn trail(&mut self, reach: Reach) -> &mut Trail {
        match reach {
            Reach::Made | Reach::Entry => &mut self.entry_trail,
            Reach::Target => &mut self.link_trail,
        }
    }

    /// Creates a directory that has no entry.
    fn imply(&mut self, way: &mut Way<'_>, name: &[u8]) -> Fallible<()> {
        if name.len() > NAME_LIMIT {
            return Err(TreeFault::NameTooLong(name.len()));
        }
        self.tree.budget.name()?;
        self.tree.budget.path(way.len() + name.len())?;
        self.tree.budget.names(way.len() + name.len())?;
        if self.is_full() {
            return Err(self.tree.budget.limits().exceeded(Limit::Entries).into());
        }
        let implied = Inode::of_root(Body::Directory, 0o755, Mtime::default());
        let inode = self.tree.add_inode(implied);
        let node = self.tree.add_node(way.here(), name, inode, self.layer);
        self.tree.record(node, false);
        way.enter(node, name.len());
        Ok(())
    }

    /// The symbolic links on the way to a directory.
    fn trace(&mut self, parents: &[&[u8]]) -> Fallible<Vec<Vec<Box<[u8]>>>> {
        let mut way = Way::traced(parents);
        let there = loop {
            match way.step(self.tree)? {
                PathStep::Gone => {}
                PathStep::End => break true,
                PathStep::Missing(_) | PathStep::NotADirectory(_) => break false,
            }
        };
        let found = way.found();
        self.tree.budget.link_steps(found.steps)?;
        Ok(if there { found.trace } else { Vec::new() })
    }
}

/// Why a directory is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// For an entry: missing parents are created.
    Made,
    /// For an entry that only acts on what is there.
    Entry,
    /// For the target of a hard link.
    Target,
}
