//! A walk along a path that stays inside the root.

use super::error::RootfsFault;
use super::tree::{NodeId, ROOT};

/// How many symbolic links are followed for one path: what the engines' libraries allow.
pub const LINK_LIMIT: usize = 255;

/// One name of a path.
type Name = Box<[u8]>;

/// A directory, and how it was come by.
pub(super) struct Found {
    pub(super) directory: NodeId,
    /// How long its path is in bytes, with a slash behind each name.
    pub(super) len: usize,
    /// How many symbolic links were followed.
    pub(super) links: usize,
    /// How many names were looked up because of them.
    pub(super) steps: usize,
    /// The path of every link, links on the way to it resolved, if they were wanted.
    pub(super) trace: Vec<Vec<Name>>,
}

/// A walk that is under way.
pub(super) struct Way {
    /// The directories it has come through below the root, and their names.
    stack: Vec<(NodeId, Name)>,
    /// How many bytes these names have, with a slash behind each.
    len: usize,
    /// What is still to go, the next one last.
    ahead: Vec<Name>,
    links: usize,
    steps: usize,
    trace: Option<Vec<Vec<Name>>>,
}

impl Way {
    pub(super) fn new(components: &[&[u8]]) -> Self {
        let mut way = Self {
            stack: Vec::new(),
            len: 0,
            ahead: Vec::with_capacity(components.len()),
            links: 0,
            steps: 0,
            trace: None,
        };
        way.put_ahead(components.iter().rev().copied());
        way
    }

    /// The same, and the paths of the links are kept, which costs as much again as they are long.
    pub(super) fn traced(components: &[&[u8]]) -> Self {
        Self {
            trace: Some(Vec::new()),
            ..Self::new(components)
        }
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
            if let Some((_, name)) = self.stack.pop() {
                self.len -= name.len() + 1;
            }
        }
    }

    pub(super) fn here(&self) -> NodeId {
        self.stack.last().map_or(ROOT, |(node, _)| *node)
    }

    /// How long the path to here is in bytes, with a slash behind each name.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn enter(&mut self, directory: NodeId, name: Name) {
        self.len += name.len() + 1;
        self.stack.push((directory, name));
    }

    /// Goes where the symbolic link `name` points (L9); absolute targets start at the root of the
    /// image.
    pub(super) fn follow(&mut self, target: &[u8], name: Name) -> Result<(), RootfsFault> {
        if self.links >= LINK_LIMIT {
            return Err(RootfsFault::Loop);
        }
        self.links += 1;
        if let Some(trace) = &mut self.trace {
            let above = self.stack.iter().map(|(_, name)| name.clone());
            trace.push(above.chain([name]).collect());
            self.steps += self.stack.len();
        }
        if target.starts_with(b"/") {
            self.stack.clear();
            self.len = 0;
        }
        let before = self.ahead.len();
        self.put_ahead(target.rsplit(|&b| b == b'/'));
        self.steps += 1 + self.ahead.len() - before;
        Ok(())
    }

    pub(super) fn found(self) -> Found {
        Found {
            directory: self.here(),
            len: self.len,
            links: self.links,
            steps: self.steps,
            trace: self.trace.unwrap_or_default(),
        }
    }
}
