//! What building one tree may still cost.

use super::inode::Xattr;
use crate::base::limits::{Exceeded, Limit, Limits};
use crate::tar::{Entry, Kind};

/// What an entry takes in memory, in bytes: its name, its place in its directory, and its inode.
const ENTRY_MEMORY: u64 = 100;
/// What an extended attribute takes in memory beside its bytes.
const XATTR_MEMORY: usize = 64;

/// What was spent so far.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    limits: Limits,
    entries: u64,
    names: u64,
    attributes: u64,
    link_steps: u64,
    path_steps: u64,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: 0,
            names: 0,
            attributes: 0,
            link_steps: 0,
            path_steps: 0,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// An entry. One header before it is usual; more than that are counted as entries are.
    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), Exceeded> {
        let headers = u64::from(entry.extra_headers).saturating_sub(1);
        self.entries = self.entries.saturating_add(1 + headers);
        self.check_entries()
    }

    /// A directory that an entry implies, or an entry whose headers were read before.
    pub(super) fn name(&mut self) -> Result<(), Exceeded> {
        self.entries = self.entries.saturating_add(1);
        self.check_entries()
    }

    fn check_entries(&self) -> Result<(), Exceeded> {
        self.limits.check(Limit::Entries, self.entries)?;
        self.check_memory()
    }

    /// An image may have as many entries as are allowed, or as many attributes, but not both at once: the memory
    /// of all entries together, and a quarter of that of all attributes, is enough for either.
    fn check_memory(&self) -> Result<(), Exceeded> {
        let of = |limit| self.limits.of(limit);
        let entries = |count: u64| count.saturating_mul(ENTRY_MEMORY);
        let most = entries(of(Limit::Entries)).saturating_add(of(Limit::Attributes) / 4);
        let taken = entries(self.entries).saturating_add(self.attributes);
        if taken > most.max(of(Limit::Attributes)) {
            return Err(self.limits.exceeded(Limit::Attributes));
        }
        Ok(())
    }

    /// A path in full: what a tar of the tree has to write.
    pub(super) fn names(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.names = self.names.saturating_add(bytes as u64);
        self.limits.check(Limit::Names, self.names)
    }

    /// What is kept of an entry beside its name.
    pub(super) fn attributes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.attributes = self.attributes.saturating_add(bytes as u64);
        self.limits.check(Limit::Attributes, self.attributes)?;
        self.check_memory()
    }

    /// Names that were looked up because of symbolic links.
    pub(super) fn link_steps(&mut self, steps: usize) -> Result<(), Exceeded> {
        self.link_steps = self.link_steps.saturating_add(steps as u64);
        self.limits.check(Limit::LinkSteps, self.link_steps)
    }

    /// Names on the way to an entry that it does not share with the entry before.
    pub(super) fn path_steps(&mut self, steps: usize) -> Result<(), Exceeded> {
        self.path_steps = self.path_steps.saturating_add(steps as u64);
        self.limits.check(Limit::PathSteps, self.path_steps)
    }

    /// A path of so many bytes.
    pub(super) fn path(&self, len: usize) -> Result<(), Exceeded> {
        self.limits.check_count(Limit::Path, len)
    }
}

/// How many bytes of an entry are kept beside its name and its extended attributes.
pub(super) fn extra_len(entry: &Entry) -> usize {
    let spans = entry.sparse.as_ref().map_or(0, |map| map.spans.len());
    let link = if entry.kind == Kind::Symlink {
        entry.link.len()
    } else {
        0
    };
    link + 16 * spans
}

/// How many bytes extended attributes take in memory.
pub(super) fn xattrs_len(xattrs: &[Xattr]) -> usize {
    let xattr = |(name, value): &Xattr| XATTR_MEMORY + name.len() + value.len();
    xattrs.iter().map(xattr).sum()
}
