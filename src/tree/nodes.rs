//! Names, and the tree of them.

use std::collections::HashMap;

use super::budget::Budget;
use super::children::{self, Children, Lists};
use super::content::Opened;
use super::fates::Recorder;
use super::inode::{Body, Inode, InodeId};
use super::warning::{Warning, Warnings};
use crate::base::limits::Limits;
use crate::layer::LayerTar;
use crate::tar::Mtime;

/// A name in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(u32);

impl NodeId {
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// The number as an index: at most [`Tree::len`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The root's name.
pub(super) const ROOT: NodeId = NodeId(0);

/// How many names and how many inodes there may be.
pub(super) const LIMIT: usize = i32::MAX as usize;

/// How many bytes all names may have together: what a name takes is found by a number of 32 bits.
const NAMES_LIMIT: usize = u32::MAX as usize - (1 << 16);

/// A name and what hangs below it.
#[derive(Clone, Debug)]
pub(super) struct NamedNode {
    /// The directory that it is in; the root's is the root.
    parent: NodeId,
    /// Where the name begins among all names, and how long it is.
    name_at: u32,
    name_len: u16,
    /// Whether that layer has an entry for it, or only for something below it.
    pub(super) explicit: bool,
    /// Whether the layer that is being applied has been seen to go through it.
    pub(super) noted: bool,
    pub(super) inode: InodeId,
    /// The layer that wrote it last.
    pub(super) layer: u32,
    children: Children,
}

/// A merged tree.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<NamedNode>,
    /// All names, one behind the other.
    names: Vec<u8>,
    lists: Lists,
    /// Changes whenever a path may lead somewhere else than before.
    shape: u64,
    pub(super) inodes: Vec<Inode>,
    /// The uncompressed bytes of every layer.
    pub(super) layers: Vec<LayerTar>,
    /// Files that aufs kept for hard links to them (L15).
    pub(super) hidden: HashMap<Box<[u8]>, InodeId>,
    pub(super) warnings: Warnings,
    /// What was spent on it.
    pub(super) budget: Budget,
    /// The holes of the sparse files that were opened.
    pub(super) opened: Opened,
    /// What becomes of entries, where somebody asked for it.
    pub(super) recorder: Option<Box<Recorder>>,
}

impl Tree {
    pub(super) fn empty(limits: Limits) -> Self {
        let root = Inode::of_root(Body::Directory, 0o755, Mtime::default());
        let node = NamedNode {
            parent: ROOT,
            name_at: 0,
            name_len: 0,
            explicit: false,
            noted: false,
            inode: InodeId(0),
            layer: 0,
            children: Children::NONE,
        };
        Self {
            nodes: vec![node],
            names: Vec::new(),
            lists: Lists::default(),
            shape: 0,
            inodes: vec![root],
            layers: Vec::new(),
            hidden: HashMap::new(),
            warnings: Warnings::default(),
            budget: Budget::new(limits),
            opened: Opened::default(),
            recorder: None,
        }
    }

    /// The same tree once more, to go on from here in two ways. Names and files keep their numbers.
    pub(super) fn fork(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            names: self.names.clone(),
            lists: self.lists.clone(),
            shape: self.shape,
            inodes: self.inodes.clone(),
            layers: self.layers.clone(),
            hidden: self.hidden.clone(),
            warnings: self.warnings.clone(),
            budget: self.budget.clone(),
            opened: Opened::default(),
            recorder: None,
        }
    }

    /// An empty tree that keeps what becomes of entries.
    pub(super) fn recording(limits: Limits) -> Self {
        Self {
            recorder: Some(Box::default()),
            ..Self::empty(limits)
        }
    }

    /// What the image may ask for.
    pub(crate) fn limits(&self) -> &Limits {
        self.budget.limits()
    }

    pub(super) fn node(&self, id: NodeId) -> &NamedNode {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut NamedNode {
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

    /// Adds a name that the directory does not have.
    pub(super) fn add_node(
        &mut self,
        parent: NodeId,
        name: &[u8],
        inode: InodeId,
        layer: u32,
    ) -> NodeId {
        // The caller has checked that there is room, and no name is as long as a path may be.
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let name_at = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.extend_from_slice(name);
        self.nodes.push(NamedNode {
            parent,
            name_at,
            name_len: u16::try_from(name.len()).unwrap_or(u16::MAX),
            explicit: false,
            noted: false,
            inode,
            layer,
            children: Children::NONE,
        });
        let children = self.node(parent).children;
        let (nodes, names) = (&self.nodes, &self.names);
        let compare = |id: NodeId| name_of(nodes, names, id).cmp(name);
        self.node_mut(parent).children = self.lists.insert(children, id, compare);
        id
    }

    /// Puts a name back into the directory that it was in, which does not have it any more.
    pub(super) fn hang(&mut self, directory: NodeId, child: NodeId) {
        let children = self.node(directory).children;
        let (nodes, names) = (&self.nodes, &self.names);
        let compare = |id: NodeId| name_of(nodes, names, id).cmp(name_of(nodes, names, child));
        self.node_mut(directory).children = self.lists.insert(children, child, compare);
    }

    /// Removes a name, and everything below it, from a directory.
    pub(super) fn remove_child(&mut self, directory: NodeId, name: &[u8]) {
        let children = self.node(directory).children;
        let (nodes, names) = (&self.nodes, &self.names);
        let compare = |id: NodeId| name_of(nodes, names, id).cmp(name);
        let (children, removed) = self.lists.remove(children, compare);
        self.node_mut(directory).children = children;
        if removed.is_some_and(|node| self.leads_on(node)) {
            self.shape += 1;
        }
    }

    /// Empties a directory.
    pub(super) fn clear_children(&mut self, directory: NodeId) {
        let children = self.node(directory).children;
        if children != Children::NONE {
            self.lists.clear(children);
            self.node_mut(directory).children = Children::NONE;
            self.shape += 1;
        }
    }

    /// Gives a name another file.
    pub(super) fn set_inode(&mut self, node: NodeId, inode: InodeId) {
        let was = (
            self.is_directory(node),
            matches!(self.inode_of(node).body, Body::Symlink(_)),
        );
        self.node_mut(node).inode = inode;
        // A directory that takes the place of a directory leads where that led.
        if was.1 || (was.0 && !self.is_directory(node)) {
            self.shape += 1;
        }
    }

    /// Whether a path can continue behind a name.
    fn leads_on(&self, node: NodeId) -> bool {
        matches!(self.inode_of(node).body, Body::Directory | Body::Symlink(_))
    }

    /// Equal to what it was before if every path that led somewhere leads there still.
    pub(super) fn shape(&self) -> u64 {
        self.shape
    }

    /// The directory that a name is in; that of the root is the root.
    pub(crate) fn parent(&self, node: NodeId) -> NodeId {
        self.node(node).parent
    }

    /// A name, without the path before it; that of the root is empty.
    pub(super) fn name(&self, node: NodeId) -> &[u8] {
        name_of(&self.nodes, &self.names, node)
    }

    /// The names in a directory, in the order of their bytes.
    pub(super) fn children(&self, directory: NodeId) -> children::Iter<'_> {
        self.lists.iter(self.node(directory).children)
    }

    /// How many names a directory has.
    pub(super) fn child_count(&self, directory: NodeId) -> usize {
        self.lists.len(self.node(directory).children)
    }

    /// The path of a name, without a slash at either end.
    pub(crate) fn path(&self, node: NodeId) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = node;
        while at != ROOT {
            names.push(self.name(at));
            at = self.parent(at);
        }
        names.reverse();
        names.join(&b'/')
    }

    /// Whether the path of a name consists of these names.
    pub(super) fn is_at(&self, node: NodeId, names: &[&[u8]]) -> bool {
        let mut at = node;
        for name in names.iter().rev() {
            if at == ROOT || self.name(at) != *name {
                return false;
            }
            at = self.parent(at);
        }
        at == ROOT
    }

    /// Whether one more name or inode fits.
    pub(super) fn is_full(&self) -> bool {
        self.nodes.len() >= LIMIT || self.inodes.len() >= LIMIT || self.names.len() >= NAMES_LIMIT
    }

    /// Everything that engines disagree about.
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.list()
    }

    /// The tar of every layer, base first; one more without bytes where a container's files were added.
    pub fn layers(&self) -> &[LayerTar] {
        &self.layers
    }

    /// How many bytes the uncompressed layers have.
    pub(crate) fn layer_bytes(&self) -> u64 {
        self.layers
            .iter()
            .map(LayerTar::len)
            .fold(0, u64::saturating_add)
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
        let (nodes, names) = (&self.nodes, &self.names);
        let compare = |id: NodeId| name_of(nodes, names, id).cmp(name);
        self.lists.find(self.node(directory).children, compare)
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
        self.node(ROOT).children == Children::NONE
    }
}

fn name_of<'t>(nodes: &[NamedNode], names: &'t [u8], id: NodeId) -> &'t [u8] {
    let node = &nodes[id.index()];
    &names[node.name_at as usize..][..usize::from(node.name_len)]
}
