//! Paths of names that are asked for in the order of a tree.

use std::collections::HashMap;

use crate::tree::nodes::{NodeId, ROOT, Tree};

/// Makes paths. What a path has in common with the one before it is not gone over again: directories may be
/// thousands deep, and hold a name at every depth.
#[derive(Debug)]
pub(crate) struct NodePaths<'t> {
    tree: &'t Tree,
    /// The names on the way to the last one, each with how long its path is.
    way: Vec<(NodeId, usize)>,
    /// Where each of them stands there.
    places: HashMap<NodeId, usize>,
    path: Vec<u8>,
}

impl<'t> NodePaths<'t> {
    pub(crate) fn of(tree: &'t Tree) -> Self {
        Self {
            tree,
            way: Vec::new(),
            places: HashMap::new(),
            path: Vec::new(),
        }
    }

    /// The path of a name, without a slash at either end.
    pub(crate) fn path(&mut self, node: NodeId) -> &[u8] {
        let mut names = Vec::new();
        let mut at = node;
        let mut known = 0;
        while at != ROOT {
            if let Some(place) = self.places.get(&at) {
                known = place + 1;
                break;
            }
            names.push(at);
            at = self.tree.parent(at);
        }
        for (left, _) in self.way.drain(known..) {
            self.places.remove(&left);
        }
        self.path
            .truncate(self.way.last().map_or(0, |(_, len)| *len));
        for name in names.into_iter().rev() {
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(self.tree.name(name));
            self.places.insert(name, self.way.len());
            self.way.push((name, self.path.len()));
        }
        &self.path
    }
}
