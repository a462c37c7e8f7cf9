//! What building one tree may still cost.

use crate::limits::{Exceeded, Limit, Limits};
use crate::record::{Entry, Kind};

/// What was spent so far.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    entries: u64,
    names: u64,
    attributes: u64,
    link_steps: u64,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: 0,
            names: 0,
            attributes: 0,
            link_steps: 0,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// An entry, or a directory that one implies.
    pub(super) fn entry(&mut self) -> Result<(), Exceeded> {
        self.entries += 1;
        self.limits.check(Limit::Entries, self.entries)
    }

    /// A path in full: what a tar of the tree has to write.
    pub(super) fn names(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.names = self.names.saturating_add(bytes as u64);
        self.limits.check(Limit::Names, self.names)
    }

    /// What is kept of an entry beside its name.
    pub(super) fn attributes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.attributes = self.attributes.saturating_add(bytes as u64);
        self.limits.check(Limit::Attributes, self.attributes)
    }

    /// Names that were looked up because of symbolic links.
    pub(super) fn link_steps(&mut self, steps: usize) -> Result<(), Exceeded> {
        self.link_steps = self.link_steps.saturating_add(steps as u64);
        self.limits.check(Limit::LinkSteps, self.link_steps)
    }

    /// A path of so many bytes.
    pub(super) fn path(&self, len: usize) -> Result<(), Exceeded> {
        self.limits.check_count(Limit::Path, len)
    }
}

/// How many bytes of an entry are kept beside its name.
pub(super) fn extra_len(entry: &Entry) -> usize {
    let xattr = |(name, value): &(Vec<u8>, Vec<u8>)| name.len() + value.len();
    let spans = entry.sparse.as_ref().map_or(0, |map| map.spans.len());
    let link = if entry.kind == Kind::Symlink {
        entry.link.len()
    } else {
        0
    };
    link + entry.xattrs.iter().map(xattr).sum::<usize>() + 16 * spans
}
