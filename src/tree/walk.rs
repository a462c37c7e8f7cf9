//! The names of a tree in the order of a tar.

use super::children;
use super::inode::{Body, Inode, InodeId};
use super::nodes::{NodeId, Tree};

impl Tree {
    /// All names below `from` in the order of a tar: a directory before what is in it, siblings in
    /// the order of their names' bytes.
    pub fn walk(&self, from: NodeId) -> Walk<'_> {
        Walk {
            tree: self,
            open: vec![self.children(from)],
            path: Vec::new(),
            lengths: Vec::new(),
        }
    }
}

/// Names in the order of a tar.
#[derive(Debug)]
pub struct Walk<'t> {
    tree: &'t Tree,
    open: Vec<children::Iter<'t>>,
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
            let Some(node) = siblings.next() else {
                self.open.pop();
                self.lengths.pop();
                continue;
            };
            let last = siblings.is_at_end();
            // The path of the directory that is open stands here; a sibling's name is cut off.
            let base = self.lengths.last().copied().unwrap_or(0);
            self.path.truncate(base);
            if base > 0 {
                self.path.push(b'/');
            }
            let name = self.tree.name(node);
            self.path.extend_from_slice(name);
            let depth = self.open.len() - 1;
            let entry = self.tree.node(node);
            let inode = self.tree.inode(entry.inode);
            if matches!(inode.body, Body::Directory) {
                self.lengths.push(self.path.len());
                self.open.push(self.tree.children(node));
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
