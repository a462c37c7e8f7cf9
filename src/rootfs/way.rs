//! A walk along a path that stays inside the root.

use super::error::RootfsFault;
use super::tree::{NodeId, ROOT};

/// How many symbolic links are followed for one path: what the engines' libraries allow.
pub const LINK_LIMIT: usize = 255;

/// A directory, and whether a symbolic link led there.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) directory: NodeId,
    pub(super) through_link: bool,
}

/// A walk along a path that stays inside the root.
pub(super) struct Way {
    /// Where it has come to, the root first.
    stack: Vec<NodeId>,
    /// What is still to go, the next one last.
    ahead: Vec<Box<[u8]>>,
    links: usize,
}

impl Way {
    pub(super) fn new(components: &[&[u8]]) -> Self {
        let mut way = Self {
            stack: vec![ROOT],
            ahead: Vec::with_capacity(components.len()),
            links: 0,
        };
        way.put_ahead(components.iter().rev().copied());
        way
    }

    /// Puts names before those that are still to go; they come last one first.
    fn put_ahead<'n>(&mut self, names: impl Iterator<Item = &'n [u8]>) {
        let names = names.filter(|name| !matches!(*name, b"" | b"."));
        self.ahead.extend(names.map(Box::from));
    }

    /// Whether no name is left to look up.
    pub(super) fn is_at_end(&self) -> bool {
        self.ahead.is_empty()
    }

    /// The next name to look up; `..` is dealt with.
    pub(super) fn next(&mut self) -> Option<Box<[u8]>> {
        loop {
            let name = self.ahead.pop()?;
            if *name != *b".." {
                return Some(name);
            }
            // L9: above the root is the root.
            if self.stack.len() > 1 {
                self.stack.pop();
            }
        }
    }

    pub(super) fn here(&self) -> NodeId {
        self.stack.last().copied().unwrap_or(ROOT)
    }

    pub(super) fn enter(&mut self, directory: NodeId) {
        self.stack.push(directory);
    }

    /// Goes where a symbolic link points (L9); absolute targets start at the root of the image.
    pub(super) fn follow(&mut self, target: &[u8]) -> Result<(), RootfsFault> {
        self.links += 1;
        if self.links > LINK_LIMIT {
            return Err(RootfsFault::Loop);
        }
        if target.starts_with(b"/") {
            self.stack.truncate(1);
        }
        self.put_ahead(target.rsplit(|&b| b == b'/'));
        Ok(())
    }

    pub(super) fn found(&self) -> Found {
        Found {
            directory: self.here(),
            through_link: self.links > 0,
        }
    }
}
