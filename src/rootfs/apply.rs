//! One layer on top of a tree. Each branch cites its rule in `docs/layers.md`.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::error::RootfsFault;
use super::path::{LayerPath, NAME_LIMIT, PATH_LIMIT};
use super::tree::{Body, Inode, InodeId, NodeId, ROOT, Rootfs, Xattr};
use super::warning::WarningKind;
use super::way::{Found, Way};
use crate::layer::Whiteout;
use crate::record::{Entry, Kind, Mtime};

/// Where aufs kept its own things, directly below the root of a layer (L15).
const AUFS_PREFIX: &[u8] = b".wh..wh.";
/// Where aufs kept files with several names.
const AUFS_LINKS: &[u8] = b".wh..wh.plnk";
/// The marker that makes a directory opaque.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Attributes that act on overlay file systems.
const OVERLAY: &[u8] = b"trusted.overlay.";
/// The last second that fits into signed 64-bit nanoseconds, 2262-04-11: later times become 1970 in
/// Docker, containerd and podman.
const TIME_LIMIT: i64 = 9_223_372_036;

type Fallible<T> = Result<T, RootfsFault>;

/// One layer while it is applied.
pub(super) struct Apply<'t> {
    tree: &'t mut Rootfs,
    layer: u32,
    /// What whiteouts of this layer removed, and whether an entry stood before the whiteout.
    whited: HashMap<(NodeId, Box<[u8]>), usize>,
    /// Directories of lower layers that entries of this one lie in, and such an entry.
    implied: HashMap<NodeId, Box<[u8]>>,
}

/// An entry and its place in the layer.
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
    let path = LayerPath::new(&entry.path);
    match path.components() {
        // L15: what aufs left behind is not part of the image, but for files that links lead to.
        [first, rest @ ..] if first.starts_with(AUFS_PREFIX) && *first != OPAQUE => {
            match (*first == AUFS_LINKS, rest) {
                (true, [_]) => Role::Entry,
                _ => Role::Dropped,
            }
        }
        [.., last] if Whiteout::of_path(last).is_some() => Role::Whiteout,
        _ => Role::Entry,
    }
}

/// The entries of a layer that wait for its whiteouts.
pub(super) struct Added<'e> {
    entries: &'e [Numbered],
    /// Their paths, and whether something else than a directory is among the entries of each.
    paths: OnceCell<HashMap<Vec<&'e [u8]>, bool>>,
}

impl<'e> Added<'e> {
    pub(super) fn new(entries: &'e [Numbered]) -> Self {
        Self {
            entries,
            paths: OnceCell::new(),
        }
    }

    /// Whether the layer replaces one of these symbolic links: by an entry of its own, or by making
    /// something else of a directory above it. Asked only where a link is on the way, which is rare,
    /// so the paths are gathered only then.
    fn replaces_any(&self, links: &[Vec<Box<[u8]>>]) -> bool {
        let paths = self.paths.get_or_init(|| {
            let mut paths: HashMap<Vec<&'e [u8]>, bool> = HashMap::new();
            for Numbered { entry, .. } in self.entries {
                let path = LayerPath::new(&entry.path).components().to_vec();
                *paths.entry(path).or_default() |= entry.kind != Kind::Directory;
            }
            paths
        });
        links.iter().any(|link| {
            let link: Vec<&[u8]> = link.iter().map(|name| &**name).collect();
            let above = |len: usize| paths.get(&link[..len]).is_some_and(|&other| other);
            paths.contains_key(&link) || (1..link.len()).any(above)
        })
    }
}

impl<'t> Apply<'t> {
    pub(super) fn new(tree: &'t mut Rootfs, layer: u32) -> Self {
        Self {
            tree,
            layer,
            whited: HashMap::new(),
            implied: HashMap::new(),
        }
    }

    fn warn(&mut self, kind: WarningKind, path: &[u8]) {
        self.tree.warnings.add(kind, self.layer as usize, path);
    }

    /// Whether the tree can take no more.
    pub(super) fn is_full(&self) -> bool {
        self.tree.is_full()
    }

    /// L1, L2, L3: hides what lower layers have. All whiteouts of a layer are applied before its
    /// entries, so they cannot hide those, wherever they stand.
    ///
    /// `added` are the entries of the layer, for the one question that cannot be put to the lower
    /// layers: whether a symbolic link on the way is replaced by this layer.
    pub(super) fn whiteout(
        &mut self,
        Numbered { number, entry }: &Numbered,
        added: &Added<'_>,
    ) -> Fallible<()> {
        let path = LayerPath::new(&entry.path);
        let Some((parents, last)) = path.split() else {
            return Ok(());
        };
        if path.left_root() {
            self.warn(WarningKind::LeftRoot, &entry.path);
        }
        let name = match Whiteout::of_path(last) {
            // L4: `.wh.`, `.wh..` and `.wh...` would delete the directory itself or the one above.
            Some(Whiteout::Path(b"" | b"." | b"..")) => return Err(RootfsFault::InvalidWhiteout),
            Some(Whiteout::Path(name)) => Some(name),
            Some(Whiteout::Opaque) | None => None,
        };
        // Nothing lies below the bottom layer.
        if self.layer == 0 {
            return Ok(());
        }
        // A whiteout below something that is not there, or is no directory, hides nothing.
        let Some(found) = self.existing_directory(parents)? else {
            return Ok(());
        };
        let (directory, through_link) = (found.directory, found.is_through_link());
        if through_link {
            // The link is gone with this layer, and below what stands in its place nothing is old.
            if added.replaces_any(&found.links) {
                return Ok(());
            }
            self.warn(WarningKind::WhiteoutBelowSymlink, &entry.path);
        }
        self.note_implied(directory, parents, through_link, &entry.path);
        if let Some(name) = name {
            self.tree.node_mut(directory).children.remove(name);
            self.whited.insert((directory, name.into()), *number);
        } else {
            if directory == ROOT && !self.tree.node(ROOT).children.is_empty() {
                self.warn(WarningKind::OpaqueRoot, &entry.path);
            }
            self.tree.node_mut(directory).children.clear();
        }
        Ok(())
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, Numbered { number, entry }: Numbered) -> Fallible<()> {
        let path = LayerPath::new(&entry.path);
        if path.left_root() {
            self.warn(WarningKind::LeftRoot, &entry.path);
        }
        if !(0..=TIME_LIMIT).contains(&entry.mtime.seconds) {
            self.warn(WarningKind::TimeOutOfRange, &entry.path);
        }
        let Some((parents, name)) = path.split() else {
            return self.set_root(&entry);
        };
        if let [AUFS_LINKS] = parents {
            return self.hide(name, &entry);
        }
        if name.len() > NAME_LIMIT {
            return Err(RootfsFault::NameTooLong(name.len()));
        }
        let found = self.directory(parents)?;
        let len = found.path_len + name.len();
        if len > PATH_LIMIT {
            return Err(RootfsFault::PathTooLong(len));
        }
        let (directory, through_link) = (found.directory, found.is_through_link());
        if through_link {
            self.warn(WarningKind::BelowSymlink, &entry.path);
        }
        self.note_implied(directory, parents, through_link, &entry.path);
        self.note_whited(directory, name, number, &entry);
        let existing = self.tree.node(directory).children.get(name).copied();
        if let Some(node) = existing.map(|node| self.tree.node(node))
            && node.layer == self.layer
            && node.explicit
        {
            self.warn(WarningKind::DuplicatePath, &entry.path);
        }
        if entry.kind == Kind::Hardlink {
            // What the link replaces is gone before its target is looked up.
            self.tree.node_mut(directory).children.remove(name);
            let inode = self.linked_inode(&entry)?;
            self.place(directory, name, None, inode, false);
            return Ok(());
        }
        let inode = self.inode(&entry)?;
        // L5: a directory over a directory takes its place and keeps what is in it. L6: anything
        // else replaces what was there, with all that was below.
        let keeps = matches!(inode.body, Body::Directory)
            && existing.is_some_and(|node| self.tree.is_directory(node));
        let inode = self.tree.add_inode(inode);
        self.place(directory, name, existing, inode, keeps);
        Ok(())
    }

    fn place(
        &mut self,
        directory: NodeId,
        name: &[u8],
        existing: Option<NodeId>,
        inode: InodeId,
        keeps_children: bool,
    ) {
        let layer = self.layer;
        let node = match existing {
            Some(node) => node,
            None => self.tree.add_node(directory, name, inode, layer),
        };
        let node = self.tree.node_mut(node);
        node.inode = inode;
        node.layer = layer;
        node.explicit = true;
        if !keeps_children {
            node.children.clear();
        }
    }

    /// The root has attributes too, though no tar of it says so; its type cannot change.
    fn set_root(&mut self, entry: &Entry) -> Fallible<()> {
        if entry.kind != Kind::Directory {
            return Err(RootfsFault::Root);
        }
        let inode = self.inode(entry)?;
        let id = self.tree.node(ROOT).inode;
        *self.tree.inode_mut(id) = inode;
        let root = self.tree.node_mut(ROOT);
        root.layer = self.layer;
        root.explicit = true;
        Ok(())
    }

    /// L15: keeps a file of aufs' link directory for the hard links that lead to it.
    fn hide(&mut self, name: &[u8], entry: &Entry) -> Fallible<()> {
        if matches!(entry.kind, Kind::Directory | Kind::Hardlink) {
            return Ok(());
        }
        let inode = self.inode(entry)?;
        let inode = self.tree.add_inode(inode);
        self.tree.hidden.insert(name.into(), inode);
        Ok(())
    }

    /// L13: the inode that a hard link leads to. The header's owner, mode and time are applied to it,
    /// as Docker, containerd and podman do.
    fn linked_inode(&mut self, entry: &Entry) -> Fallible<InodeId> {
        let missing = || RootfsFault::LinkTargetMissing(entry.link.clone());
        let path = LayerPath::new(&entry.link);
        if path.left_root() {
            self.warn(WarningKind::LeftRoot, &entry.link);
        }
        let (parents, name) = path
            .split()
            .ok_or_else(|| RootfsFault::LinkToDirectory(entry.link.clone()))?;
        let id = if let [AUFS_LINKS] = parents {
            *self.tree.hidden.get(name).ok_or_else(missing)?
        } else {
            let found = self.existing_directory(parents)?.ok_or_else(missing)?;
            let target = self.tree.node(found.directory).children.get(name).copied();
            let target = target.ok_or_else(missing)?;
            if self.tree.is_directory(target) {
                return Err(RootfsFault::LinkToDirectory(entry.link.clone()));
            }
            if self.tree.node(target).layer != self.layer {
                self.warn(WarningKind::LinkToLower, &entry.path);
            }
            self.tree.node(target).inode
        };
        let (uid, gid) = (owner(entry.uid)?, owner(entry.gid)?);
        let xattrs = self.xattrs(entry);
        if xattrs.is_none() && self.tree.inode(id).xattrs.is_some() {
            self.warn(WarningKind::LinkWithoutXattrs, &entry.path);
        }
        let inode = self.tree.inode_mut(id);
        if !matches!(inode.body, Body::Symlink(_)) {
            inode.mode = mode(entry);
        }
        inode.uid = uid;
        inode.gid = gid;
        inode.mtime = entry.mtime;
        if let Some(new) = xattrs {
            let old = inode.xattrs.take().map(<[_]>::into_vec).unwrap_or_default();
            let old = old
                .into_iter()
                .filter(|(name, _)| new.iter().all(|(other, _)| other != name));
            let mut all: Vec<_> = old.chain(new.iter().cloned()).collect();
            all.sort();
            inode.xattrs = Some(all.into());
        }
        Ok(id)
    }

    /// A new inode for an entry that is no hard link.
    fn inode(&mut self, entry: &Entry) -> Fallible<Inode> {
        let body = match entry.kind {
            Kind::Directory => Body::Directory,
            Kind::Symlink if entry.link.is_empty() => return Err(RootfsFault::EmptySymlink),
            // L7: targets are kept as they are written, wherever they lead.
            Kind::Symlink => Body::Symlink(entry.link.as_slice().into()),
            Kind::Char => {
                let (major, minor) = device(entry)?;
                if (major, minor) == (0, 0) {
                    self.warn(WarningKind::OverlayWhiteoutDevice, &entry.path);
                }
                Body::Char(major, minor)
            }
            Kind::Block => {
                let (major, minor) = device(entry)?;
                Body::Block(major, minor)
            }
            Kind::Fifo => Body::Fifo,
            Kind::File | Kind::Other(b'7') => self.file(entry),
            Kind::Other(flag) => return Err(RootfsFault::UnknownType(flag)),
            // Handled by the caller.
            Kind::Hardlink | Kind::Global => return Err(RootfsFault::UnknownType(entry.typeflag)),
        };
        let mode = if matches!(body, Body::Symlink(_)) {
            0o777
        } else {
            mode(entry)
        };
        Ok(Inode {
            mode,
            uid: owner(entry.uid)?,
            gid: owner(entry.gid)?,
            mtime: entry.mtime,
            xattrs: self.xattrs(entry),
            body,
        })
    }

    fn file(&mut self, entry: &Entry) -> Body {
        match entry.typeflag {
            b'7' => self.warn(WarningKind::ContiguousFile, &entry.path),
            b'S' => self.warn(WarningKind::OldSparse, &entry.path),
            _ => {}
        }
        Body::File {
            layer: self.layer,
            offset: entry.data_offset,
            size: entry.size,
            sparse: entry
                .sparse
                .as_ref()
                .map(|map| Box::new((map.clone(), entry.stored_size))),
        }
    }

    /// L16: extended attributes, but those that act on overlay file systems.
    fn xattrs(&mut self, entry: &Entry) -> Option<Box<[Xattr]>> {
        if entry.xattrs.is_empty() {
            return None;
        }
        let mut kept: Vec<Xattr> = Vec::with_capacity(entry.xattrs.len());
        for (name, value) in &entry.xattrs {
            if name.starts_with(OVERLAY) {
                self.warn(WarningKind::OverlayXattr, &entry.path);
            } else {
                kept.push((name.as_slice().into(), value.as_slice().into()));
            }
        }
        kept.sort();
        (!kept.is_empty()).then(|| kept.into())
    }

    /// Remembers that a lower directory is used without an entry for it.
    fn note_implied(
        &mut self,
        directory: NodeId,
        parents: &[&[u8]],
        through_link: bool,
        path: &[u8],
    ) {
        if directory == ROOT || through_link {
            return;
        }
        // Every directory on the way is meant, not only the last.
        let mut node = ROOT;
        for name in parents {
            let Some(&next) = self.tree.node(node).children.get(*name) else {
                return;
            };
            node = next;
            if self.tree.node(node).layer != self.layer {
                self.implied.entry(node).or_insert_with(|| path.into());
            }
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

    /// Reports what can only be known when the whole layer has been seen.
    pub(super) fn finish(mut self) {
        let implied = std::mem::take(&mut self.implied);
        let mut paths: Vec<Box<[u8]>> = implied
            .into_iter()
            .filter(|(node, _)| self.tree.node(*node).layer != self.layer)
            .map(|(_, path)| path)
            .collect();
        paths.sort();
        for path in paths {
            self.warn(WarningKind::ImpliedParent, &path);
        }
    }

    /// Goes to a directory, and makes what is missing on the way (L9, L10, L11, L12).
    fn directory(&mut self, components: &[&[u8]]) -> Fallible<Found> {
        let mut way = Way::new(components);
        while let Some(name) = way.next() {
            let here = way.here();
            match self.step(&mut way, here, name)? {
                Step::Gone => {}
                Step::Missing(name) => {
                    if name.len() > NAME_LIMIT {
                        return Err(RootfsFault::NameTooLong(name.len()));
                    }
                    let implied = Inode {
                        mode: 0o755,
                        uid: 0,
                        gid: 0,
                        mtime: Mtime::default(),
                        xattrs: None,
                        body: Body::Directory,
                    };
                    let inode = self.tree.add_inode(implied);
                    let node = self.tree.add_node(here, &name, inode, self.layer);
                    way.enter(node, name);
                }
                Step::NotADirectory(name) => {
                    return Err(RootfsFault::NotADirectory(name.into_vec()));
                }
            }
        }
        Ok(way.found())
    }

    /// Goes to a directory if it is there.
    fn existing_directory(&self, components: &[&[u8]]) -> Fallible<Option<Found>> {
        let mut way = Way::new(components);
        while let Some(name) = way.next() {
            let here = way.here();
            match self.step(&mut way, here, name)? {
                Step::Gone => {}
                Step::Missing(_) | Step::NotADirectory(_) => return Ok(None),
            }
        }
        Ok(Some(way.found()))
    }

    fn step(&self, way: &mut Way, here: NodeId, name: Box<[u8]>) -> Fallible<Step> {
        let Some(&child) = self.tree.node(here).children.get(&name) else {
            return Ok(Step::Missing(name));
        };
        match &self.tree.inode_of(child).body {
            Body::Directory => way.enter(child, name),
            Body::Symlink(target) => way.follow(target, name)?,
            _ => return Ok(Step::NotADirectory(name)),
        }
        Ok(Step::Gone)
    }
}

/// Where a step along a path led; the name comes back from where it led nowhere.
enum Step {
    Gone,
    Missing(Box<[u8]>),
    NotADirectory(Box<[u8]>),
}

/// Permissions, setuid, setgid and sticky; what else the field holds is the type once more.
fn mode(entry: &Entry) -> u16 {
    u16::try_from(entry.mode & 0o7777).unwrap_or(0)
}

/// Owners are 32 bits wide; engines that took more ended with root (CVE-2024-40635).
fn owner(id: i64) -> Fallible<u64> {
    u32::try_from(id)
        .map(u64::from)
        .map_err(|_| RootfsFault::Number("owner"))
}

fn device(entry: &Entry) -> Fallible<(u32, u32)> {
    let number = |n| u32::try_from(n).map_err(|_| RootfsFault::Number("device number"));
    Ok((number(entry.device.0)?, number(entry.device.1)?))
}
