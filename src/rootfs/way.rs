//! A walk along a path that stays inside the root.

use super::error::RootfsFault;
use super::tree::{NodeId, ROOT};

/// How many symbolic links are followed for one path: what the engines' libraries allow.
pub const LINK_LIMIT: usize = 255;

/// One name of a path.
type Name = Box<[u8]>;

/// A directory, and the symbolic links that led there.
pub(super) struct Found {
    pub(super) directory: NodeId,
    /// The path of every link that was followed, links on the way to it resolved.
    pub(super) links: Vec<Vec<Name>>,
    /// How long the directory's path is, in bytes with a slash behind each name.
    pub(super) path_len: usize,
}

impl Found {
    pub(super) fn is_through_link(&self) -> bool {
        !self.links.is_empty()
    }
}

/// A walk that is under way.
pub(super) struct Way {
    /// The directories it has come through below the root, and their names.
    stack: Vec<(NodeId, Name)>,
    /// What is still to go, the next one last.
    ahead: Vec<Name>,
    links: Vec<Vec<Name>>,
}

impl Way {
    pub(super) fn new(components: &[&[u8]]) -> Self {
        let mut way = Self {
            stack: Vec::new(),
            ahead: Vec::with_capacity(components.len()),
            links: Vec::new(),
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
    pub(super) fn next(&mut self) -> Option<Name> {
        loop {
            let name = self.ahead.pop()?;
            if *name != *b".." {
                return Some(name);
            }
            // L9: above the root is the root.
            self.stack.pop();
        }
    }

    pub(super) fn here(&self) -> NodeId {
        self.stack.last().map_or(ROOT, |(node, _)| *node)
    }

    pub(super) fn enter(&mut self, directory: NodeId, name: Name) {
        self.stack.push((directory, name));
    }

    /// Goes where the symbolic link `name` points (L9); absolute targets start at the root of the
    /// image.
    pub(super) fn follow(&mut self, target: &[u8], name: Name) -> Result<(), RootfsFault> {
        if self.links.len() >= LINK_LIMIT {
            return Err(RootfsFault::Loop);
        }
        let above = self.stack.iter().map(|(_, name)| name.clone());
        self.links.push(above.chain([name]).collect());
        if target.starts_with(b"/") {
            self.stack.clear();
        }
        self.put_ahead(target.rsplit(|&b| b == b'/'));
        Ok(())
    }

    pub(super) fn found(self) -> Found {
        Found {
            directory: self.here(),
            path_len: self.stack.iter().map(|(_, name)| name.len() + 1).sum(),
            links: self.links,
        }
    }
}
