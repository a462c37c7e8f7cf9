//! A walk along a path that stays inside the root.

use std::borrow::Cow;

use super::error::TreeFault;
use super::inode::Body;
use super::nodes::{NodeId, ROOT, Tree};

/// How many symbolic links are followed for one path: what the engines' libraries allow.
pub const LINK_LIMIT: usize = 255;

/// One name of a path: of the path itself, or of a link's target.
pub(super) type PathName<'p> = Cow<'p, [u8]>;

/// A directory, and how it was reached.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) directory: NodeId,
    /// How long its path is in bytes, with a slash behind each name.
    pub(super) len: usize,
    /// How many symbolic links were followed.
    pub(super) links: usize,
    /// How many names were looked up because of them.
    pub(super) steps: usize,
    /// The path of every link, links on the way to it resolved, if they were wanted.
    pub(super) trace: Vec<Vec<Box<[u8]>>>,
}

/// A walk that is under way.
pub(super) struct Way<'p> {
    /// What is still to go of the path itself.
    rest: &'p [&'p [u8]],
    /// What is still to go of the targets of links, the next one last; it comes first.
    ahead: Vec<Box<[u8]>>,
    here: NodeId,
    /// How many bytes the names on the way from the root to here have, with a slash behind each.
    len: usize,
    links: usize,
    steps: usize,
    trace: Option<Vec<Vec<Box<[u8]>>>>,
}

/// Where a step along a path led; the name comes back from where it led nowhere.
pub(super) enum PathStep<'p> {
    Gone,
    End,
    Missing(PathName<'p>),
    NotADirectory(PathName<'p>),
}

impl<'p> Way<'p> {
    /// From the root along these names.
    pub(super) fn new(path: &'p [&'p [u8]]) -> Self {
        Self::from(ROOT, 0, path)
    }

    /// From a directory, the path of which has so many bytes with a slash behind each name.
    pub(super) fn from(directory: NodeId, len: usize, path: &'p [&'p [u8]]) -> Self {
        Self {
            rest: path,
            ahead: Vec::new(),
            here: directory,
            len,
            links: 0,
            steps: 0,
            trace: None,
        }
    }

    /// From the root, and the paths of the links are kept, which costs as much again as they are long.
    pub(super) fn traced(path: &'p [&'p [u8]]) -> Self {
        Self {
            trace: Some(Vec::new()),
            ..Self::new(path)
        }
    }

    /// Whether no name is left to look up.
    pub(super) fn is_at_end(&self) -> bool {
        self.ahead.is_empty() && self.rest.iter().all(|name| means_nothing(name))
    }

    /// The next name to look up; `..` is dealt with.
    pub(super) fn next(&mut self, tree: &Tree) -> Option<PathName<'p>> {
        loop {
            let name = if let Some(name) = self.ahead.pop() {
                Cow::Owned(name.into_vec())
            } else {
                let (name, rest) = self.rest.split_first()?;
                self.rest = rest;
                Cow::Borrowed(*name)
            };
            match &*name {
                name if means_nothing(name) => {}
                // L9: above the root is the root.
                b".." if self.here == ROOT => {}
                b".." => {
                    self.len -= tree.name(self.here).len() + 1;
                    self.here = tree.parent(self.here);
                }
                _ => return Some(name),
            }
        }
    }

    /// Goes one step, links followed.
    pub(super) fn step(&mut self, tree: &Tree) -> Result<PathStep<'p>, TreeFault> {
        let Some(name) = self.next(tree) else {
            return Ok(PathStep::End);
        };
        let Some(child) = tree.child(self.here, &name) else {
            return Ok(PathStep::Missing(name));
        };
        match &tree.inode_of(child).body {
            Body::Directory => self.enter(child, name.len()),
            Body::Symlink(target) => self.follow(tree, target, child)?,
            _ => return Ok(PathStep::NotADirectory(name)),
        }
        Ok(PathStep::Gone)
    }

    pub(super) fn here(&self) -> NodeId {
        self.here
    }

    /// How long the path to here is in bytes, with a slash behind each name.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Goes into a directory that lies here and has a name of so many bytes.
    pub(super) fn enter(&mut self, directory: NodeId, name_len: usize) {
        self.len += name_len + 1;
        self.here = directory;
    }

    /// Goes where the symbolic link points (L9); absolute targets start at the root of the image.
    pub(super) fn follow(
        &mut self,
        tree: &Tree,
        target: &[u8],
        link: NodeId,
    ) -> Result<(), TreeFault> {
        if self.links >= LINK_LIMIT {
            return Err(TreeFault::Loop);
        }
        self.links += 1;
        if let Some(trace) = &mut self.trace {
            let mut names: Vec<Box<[u8]>> = Vec::new();
            let mut at = link;
            while at != ROOT {
                names.push(tree.name(at).into());
                at = tree.parent(at);
            }
            names.reverse();
            self.steps += names.len() - 1;
            trace.push(names);
        }
        if target.starts_with(b"/") {
            self.here = ROOT;
            self.len = 0;
        }
        let before = self.ahead.len();
        let names = target.rsplit(|&b| b == b'/');
        let names = names.filter(|name| !means_nothing(name));
        self.ahead.extend(names.map(Box::from));
        self.steps += 1 + self.ahead.len() - before;
        Ok(())
    }

    pub(super) fn found(self) -> Found {
        Found {
            directory: self.here,
            len: self.len,
            links: self.links,
            steps: self.steps,
            trace: self.trace.unwrap_or_default(),
        }
    }
}

/// Whether a name of a path leads nowhere else.
fn means_nothing(name: &[u8]) -> bool {
    matches!(name, b"" | b".")
}
