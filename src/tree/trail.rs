//! Where the entry before led: most entries lie in the directory of the one before, or near it.

use super::nodes::{NodeId, ROOT};
use super::resolve::Found;

/// The directory of the path that was walked last.
///
/// A path may be two thousand directories deep, and a million entries may lie there. What a path has in
/// common with the one before is not looked up again, as long as the tree has kept its shape.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The shape of the tree when it was walked; none if nothing is known.
    shape: Option<u64>,
    /// The path as the entry wrote it, up to the slash before the last name; empty if it was written in
    /// a way that is not worth comparing.
    written: Vec<u8>,
    /// The names on the way, one behind the other, and for each where it ends and the directory that it
    /// led to; none if a symbolic link was on the way.
    names: Vec<u8>,
    nodes: Vec<(usize, NodeId)>,
    found: Option<Found>,
    left_root: bool,
    /// Whether the directories on the way have been noted.
    pub(super) noted: bool,
}

impl Trail {
    /// Where the path led if it is written as it was the last time, and whether it left the root.
    pub(super) fn same(&self, shape: u64, written: &[u8]) -> Option<(&Found, bool)> {
        let found = self.found.as_ref()?;
        let same = self.shape == Some(shape) && !written.is_empty() && self.written == written;
        same.then_some((found, self.left_root))
    }

    /// How many of the names are those of the last time, where they lead, and how long the path to there
    /// is with a slash behind each name.
    pub(super) fn common(&self, shape: u64, path: &[&[u8]]) -> (usize, NodeId, usize) {
        if self.shape != Some(shape) {
            return (0, ROOT, 0);
        }
        let mut begin = 0;
        let mut common = (0, ROOT, 0);
        for (name, &(end, node)) in path.iter().zip(&self.nodes) {
            if self.names[begin..end] != **name {
                break;
            }
            common = (common.0 + 1, node, end + common.0 + 1);
            begin = end;
        }
        common
    }

    /// Keeps where a path led, or that it led nowhere. `path` are the names that were there: the first
    /// `common` are those of the last time, `nodes` are the directories behind the others, the last one
    /// first. There are none if links were on the way.
    pub(super) fn keep(
        &mut self,
        (shape, written, left_root): (u64, &[u8], bool),
        path: &[&[u8]],
        common: usize,
        nodes: &[NodeId],
        found: Option<&Found>,
    ) {
        self.shape = Some(shape);
        self.left_root = left_root;
        self.noted = false;
        self.written.clear();
        self.written.extend_from_slice(written);
        self.found = found.cloned();
        self.nodes.truncate(common);
        self.names
            .truncate(self.nodes.last().map_or(0, |(end, _)| *end));
        for (name, node) in path[common..].iter().zip(nodes.iter().rev()) {
            self.names.extend_from_slice(name);
            self.nodes.push((self.names.len(), *node));
        }
    }
}

/// A path up to the slash before its last name, and that name, where it is written so plainly that
/// nothing else has to be looked at: it is a proper name, and slashes behind it mean nothing.
pub(super) fn plainly(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let trailing = path.iter().rev().take_while(|&&b| b == b'/').count();
    let path = &path[..path.len() - trailing];
    let slash = path.iter().rposition(|&b| b == b'/')?;
    let (written, name) = path.split_at(slash + 1);
    (!matches!(name, b"." | b"..")).then_some((written, name))
}
