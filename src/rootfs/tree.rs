//! Names and inodes.

use std::collections::{BTreeMap, HashMap};

use super::budget::Budget;
use super::content::Opened;
use super::warning::{Warning, Warnings};
use crate::limits::Limits;
use crate::record::{Mtime, SparseMap};
use crate::source::Slice;

/// A name in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The number as an index: at most [`Rootfs::len`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InodeId(u32);

impl InodeId {
    /// The number as an index: below [`Rootfs::inode_count`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The root's name.
pub(super) const ROOT: NodeId = NodeId(0);

/// How many names and how many inodes there may be.
pub(super) const LIMIT: usize = u32::MAX as usize;

/// A name and what hangs below it. The name itself is the key in the parent's map.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) inode: InodeId,
    /// The layer that wrote it last.
    pub(super) layer: u32,
    /// Whether that layer has an entry for it, or only for something below it.
    pub(super) explicit: bool,
    pub(super) children: BTreeMap<Box<[u8]>, NodeId>,
}

/// An extended attribute: name and value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

/// Everything that a file has.
#[derive(Clone, Debug)]
pub struct Inode {
    /// Permissions, setuid, setgid and sticky: 12 bits.
    pub mode: u16,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// The modification time.
    pub mtime: Mtime,
    /// Extended attributes, sorted by name.
    pub xattrs: Option<Box<[Xattr]>>,
    /// What it is, and what only such files have.
    pub body: Body,
}

/// What a file is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A regular file whose bytes lie in a layer.
    File {
        /// The layer's index.
        layer: u32,
        /// Where they begin in the uncompressed layer.
        offset: u64,
        /// How long the file is, in bytes.
        size: u64,
        /// How to expand it, if it is sparse, and how many bytes are stored.
        sparse: Option<Box<(SparseMap, u64)>>,
    },
    /// A directory.
    Directory,
    /// A symbolic link with its target as written.
    Symlink(Box<[u8]>),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// A merged tree.
#[derive(Debug)]
pub struct Rootfs {
    pub(super) nodes: Vec<Node>,
    pub(super) inodes: Vec<Inode>,
    /// The uncompressed bytes of every layer.
    pub(super) layers: Vec<Slice>,
    /// Files that aufs kept for hard links to them (L15).
    pub(super) hidden: HashMap<Box<[u8]>, InodeId>,
    pub(super) warnings: Warnings,
    /// What was spent on it.
    pub(super) budget: Budget,
    /// The holes of the sparse files that were opened.
    pub(super) opened: Opened,
}

impl Rootfs {
    pub(super) fn empty(limits: Limits) -> Self {
        let root = Inode {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            xattrs: None,
            body: Body::Directory,
        };
        let node = Node {
            inode: InodeId(0),
            layer: 0,
            explicit: false,
            children: BTreeMap::new(),
        };
        Self {
            nodes: vec![node],
            inodes: vec![root],
            layers: Vec::new(),
            hidden: HashMap::new(),
            warnings: Warnings::default(),
            budget: Budget::new(limits),
            opened: Opened::default(),
        }
    }

    /// What the image may ask for.
    pub(crate) fn limits(&self) -> &Limits {
        self.budget.limits()
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// A file by its number.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// The number of the file that a name belongs to.
    pub fn inode_id(&self, node: NodeId) -> InodeId {
        self.node(node).inode
    }

    pub(super) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.0 as usize]
    }

    pub(super) fn inode_of(&self, node: NodeId) -> &Inode {
        self.inode(self.node(node).inode)
    }

    pub(super) fn is_directory(&self, node: NodeId) -> bool {
        matches!(self.inode_of(node).body, Body::Directory)
    }

    pub(super) fn add_inode(&mut self, inode: Inode) -> InodeId {
        // The caller has checked LIMIT, so the number fits.
        let id = InodeId(u32::try_from(self.inodes.len()).unwrap_or(u32::MAX));
        self.inodes.push(inode);
        id
    }

    pub(super) fn add_node(
        &mut self,
        parent: NodeId,
        name: &[u8],
        inode: InodeId,
        layer: u32,
    ) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node {
            inode,
            layer,
            explicit: false,
            children: BTreeMap::new(),
        });
        self.node_mut(parent).children.insert(name.into(), id);
        id
    }

    /// Whether one more name or inode fits.
    pub(super) fn is_full(&self) -> bool {
        self.nodes.len() >= LIMIT || self.inodes.len() >= LIMIT
    }

    /// Everything that engines disagree about.
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.list()
    }

    /// The uncompressed bytes of every layer, base first; one more without bytes where a container's
    /// files were added.
    pub fn layers(&self) -> &[Slice] {
        &self.layers
    }

    /// How many bytes the uncompressed layers have.
    pub(crate) fn layer_bytes(&self) -> u64 {
        self.layers
            .iter()
            .map(Slice::len)
            .fold(0, u64::saturating_add)
    }

    /// All names below `from` in the order of a tar: a directory before what is in it, siblings in
    /// the order of their names' bytes.
    pub fn walk(&self, from: NodeId) -> Walk<'_> {
        Walk {
            tree: self,
            open: vec![self.node(from).children.iter()],
            path: Vec::new(),
            lengths: Vec::new(),
        }
    }

    /// The first path of a file; `None` if it has none.
    pub(super) fn path_of(&self, id: InodeId) -> Option<Vec<u8>> {
        let mut walk = self.walk(ROOT);
        while let Some((entry, path)) = walk.next_entry() {
            if entry.id == id {
                return Some(path.to_vec());
            }
        }
        None
    }

    /// The name at exactly this path, without any slash that means nothing; symbolic links are not
    /// followed.
    pub fn at(&self, path: &[u8]) -> Option<NodeId> {
        let names: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
        self.at_names(&names)
    }

    /// The same for a path that was split into its names.
    pub(super) fn at_names(&self, path: &[&[u8]]) -> Option<NodeId> {
        path.iter()
            .try_fold(ROOT, |node, name| self.child(node, name))
    }

    /// What a directory has under a name.
    pub(super) fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.node(directory).children.get(name).copied()
    }

    /// The root's name.
    pub fn root(&self) -> NodeId {
        ROOT
    }

    /// Which layer supplied a name.
    pub fn layer_of(&self, node: NodeId) -> usize {
        self.node(node).layer as usize
    }

    /// How many inodes there are, removed ones counted too.
    pub fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    /// How many names there are, the root left out, removed ones counted too.
    pub fn len(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Whether the tree has nothing but its root.
    pub fn is_empty(&self) -> bool {
        self.node(ROOT).children.is_empty()
    }
}

/// Names in the order of a tar.
#[derive(Debug)]
pub struct Walk<'t> {
    tree: &'t Rootfs,
    open: Vec<std::collections::btree_map::Iter<'t, Box<[u8]>, NodeId>>,
    path: Vec<u8>,
    lengths: Vec<usize>,
}

/// One name of a walk.
#[derive(Debug)]
pub struct WalkEntry<'t> {
    /// The name's number.
    pub node: NodeId,
    /// The file's number, equal for hard links.
    pub id: InodeId,
    /// The file.
    pub inode: &'t Inode,
    /// The name itself, the last part of the path.
    pub name: &'t [u8],
    /// How deep it lies: 0 for what is directly below where the walk began.
    pub depth: usize,
    /// Whether no other name follows in the same directory.
    pub last: bool,
}

impl<'t> Walk<'t> {
    /// The next name, and its path from where the walk began, without a leading or trailing slash.
    pub fn next_entry(&mut self) -> Option<(WalkEntry<'t>, &[u8])> {
        loop {
            let siblings = self.open.last_mut()?;
            let Some((name, &node)) = siblings.next() else {
                self.open.pop();
                self.lengths.pop();
                continue;
            };
            let last = siblings.len() == 0;
            // The path of the directory that is open stands here; a sibling's name is cut off.
            let base = self.lengths.last().copied().unwrap_or(0);
            self.path.truncate(base);
            if base > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            let depth = self.open.len() - 1;
            let entry = self.tree.node(node);
            let inode = self.tree.inode(entry.inode);
            if matches!(inode.body, Body::Directory) {
                self.lengths.push(self.path.len());
                self.open.push(entry.children.iter());
            }
            return Some((
                WalkEntry {
                    node,
                    id: entry.inode,
                    inode,
                    name,
                    depth,
                    last,
                },
                &self.path,
            ));
        }
    }
}
