//! How large the directories of a tree are.

use crate::tree::{Body, NodeId, Tree, Walk};

/// The sizes of directories, in the order in which a walk meets them, that of the start first.
pub(super) struct Sizes {
    pub(super) directories: Vec<u64>,
    /// Files with several names, by their numbers.
    pub(super) shared: Bits,
}

impl Sizes {
    pub(super) fn of(tree: &Tree, start: NodeId) -> Self {
        let itself = match tree.inode(tree.inode_id(start)).body {
            Body::File { size, .. } => size,
            _ => 0,
        };
        let mut sizes = Self {
            directories: vec![itself],
            shared: Bits::new(tree.inode_count()),
        };
        let mut seen = Bits::new(tree.inode_count());
        let mut open = vec![0];
        let mut walk: Walk<'_> = tree.walk(start);
        while let Some((entry, _)) = walk.next_entry() {
            sizes.close(&mut open, entry.depth + 1);
            let here = open.last().copied().unwrap_or(0);
            match entry.inode.body {
                Body::Directory => {
                    open.push(sizes.directories.len());
                    sizes.directories.push(0);
                }
                // Each file counts once.
                _ if !seen.add(entry.id.index()) => _ = sizes.shared.add(entry.id.index()),
                Body::File { size, .. } => sizes.add(here, size),
                _ => {}
            }
        }
        sizes.close(&mut open, 1);
        sizes
    }

    fn add(&mut self, directory: usize, size: u64) {
        let sum = &mut self.directories[directory];
        *sum = sum.saturating_add(size);
    }

    /// Adds the sizes of directories that are done to those above, until so many are open.
    fn close(&mut self, open: &mut Vec<usize>, left: usize) {
        while open.len() > left {
            let Some(done) = open.pop() else { return };
            let size = self.directories[done];
            if let Some(&above) = open.last() {
                self.add(above, size);
            }
        }
    }
}

/// A set of small numbers.
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub(super) fn has(&self, number: usize) -> bool {
        self.0[number / 64] & (1 << (number % 64)) != 0
    }

    /// Whether it is new.
    pub(super) fn add(&mut self, number: usize) -> bool {
        let new = !self.has(number);
        self.0[number / 64] |= 1 << (number % 64);
        new
    }
}
