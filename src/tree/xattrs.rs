//! Extended attributes of a whole tree: those that kernels refuse, and leaving some out.

use super::diff::TreeDelta;
use super::inode::{Body, InodeId, Xattr, Xattrs};
use super::nodes::{NodeId, Tree};
use crate::tar::{AttributeFault, Kind};

/// How many attributes a warning names.
const MOST: usize = 10;

/// The names of extended attributes; `*` stands for any bytes, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XattrPattern(Box<[u8]>);

impl XattrPattern {
    /// The pattern that is written so. Every text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.as_bytes().into())
    }

    /// Whether it matches a name.
    pub fn matches(&self, name: &[u8]) -> bool {
        let pattern = &self.0;
        let (mut at, mut in_name) = (0, 0);
        // Where the last star is, and how much of the name it stands for so far.
        let mut star: Option<(usize, usize)> = None;
        while in_name < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, in_name));
                    at += 1;
                }
                Some(byte) if *byte == name[in_name] => {
                    at += 1;
                    in_name += 1;
                }
                _ => {
                    let Some((place, taken)) = star else {
                        return false;
                    };
                    star = Some((place, taken + 1));
                    (at, in_name) = (place + 1, taken + 1);
                }
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

/// One attribute that kernels refuse, of all files that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedXattr {
    /// Its name.
    pub name: Vec<u8>,
    /// Why it is refused.
    pub fault: AttributeFault,
    /// The first file that has it.
    pub path: Vec<u8>,
    /// How many files have it.
    pub count: u64,
}

/// The extended attributes that kernels refuse, each with the files that have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedXattrs {
    /// The first few.
    pub told: Vec<RefusedXattr>,
    /// How often a file has one of others.
    pub more: u64,
}

impl RefusedXattrs {
    fn note(&mut self, name: &[u8], fault: AttributeFault, path: impl FnOnce() -> Vec<u8>) {
        let same = |known: &&mut RefusedXattr| known.name == name && known.fault == fault;
        if let Some(known) = self.told.iter_mut().find(same) {
            known.count += 1;
        } else if self.told.len() < MOST {
            self.told.push(RefusedXattr {
                name: name.to_vec(),
                fault,
                path: path(),
                count: 1,
            });
        } else {
            self.more += 1;
        }
    }
}

impl Tree {
    /// The extended attributes in this tree that kernels refuse to set; those of the root are left out.
    pub fn refused_xattrs(&self) -> RefusedXattrs {
        if !self.inodes.iter().any(|inode| !inode.xattrs.is_empty()) {
            return RefusedXattrs::default();
        }
        let mut walk = self.walk(self.root());
        let nodes = std::iter::from_fn(|| walk.next_entry().map(|(entry, _)| entry.node));
        self.refused_of(nodes)
    }

    /// Those that a layer has which turns a lower tree into this one.
    pub fn refused_xattrs_in(&self, delta: &TreeDelta) -> RefusedXattrs {
        self.refused_of(delta.nodes())
    }

    fn refused_of(&self, nodes: impl Iterator<Item = NodeId>) -> RefusedXattrs {
        let mut refused = RefusedXattrs::default();
        let mut seen = vec![false; self.inodes.len()];
        for node in nodes {
            let id = self.inode_id(node);
            let inode = self.inode(id);
            if inode.xattrs.is_empty() || std::mem::replace(&mut seen[id.index()], true) {
                continue;
            }
            let kind = kind_of(&inode.body);
            for (name, value) in inode.xattrs.as_slice() {
                if let Some(fault) = AttributeFault::of(name, value, kind) {
                    refused.note(name, fault, || self.path(node));
                }
            }
        }
        refused
    }

    /// Leaves out every extended attribute that one of `patterns` matches; how many files had such, by
    /// pattern.
    pub fn drop_xattrs(&mut self, patterns: &[XattrPattern]) -> Vec<u64> {
        let mut walk = self.walk(self.root());
        let ids = std::iter::from_fn(|| walk.next_entry().map(|(entry, _)| entry.id));
        let chosen = self.chosen(ids);
        self.drop_of(&chosen, patterns)
    }

    /// The same for what a layer holds which turns a lower tree into this one.
    pub fn drop_xattrs_in(&mut self, delta: &TreeDelta, patterns: &[XattrPattern]) -> Vec<u64> {
        let chosen = self.chosen(delta.nodes().map(|node| self.inode_id(node)));
        self.drop_of(&chosen, patterns)
    }

    fn chosen(&self, ids: impl Iterator<Item = InodeId>) -> Vec<bool> {
        let mut chosen = vec![false; self.inodes.len()];
        for id in ids {
            chosen[id.index()] = true;
        }
        chosen
    }

    fn drop_of(&mut self, chosen: &[bool], patterns: &[XattrPattern]) -> Vec<u64> {
        let mut counts = vec![0; patterns.len()];
        // Files of one kind share their list, one after the other; what is left of it is shared as well.
        let mut last: Option<(Xattrs, Xattrs)> = None;
        let inodes = self.inodes.iter_mut().zip(chosen);
        for inode in inodes.filter_map(|(inode, chosen)| chosen.then_some(inode)) {
            let mut any = false;
            for (pattern, count) in patterns.iter().zip(&mut counts) {
                let mut names = inode.xattrs.as_slice().iter();
                let found = names.any(|(name, _)| pattern.matches(name));
                *count += u64::from(found);
                any |= found;
            }
            if !any {
                continue;
            }
            let known = last.as_ref().filter(|(old, _)| old.is_same(&inode.xattrs));
            if let Some((_, kept)) = known {
                inode.xattrs = kept.clone();
                continue;
            }
            let old = std::mem::take(&mut inode.xattrs);
            let keep = |(name, _): &&Xattr| !patterns.iter().any(|pattern| pattern.matches(name));
            let kept = Xattrs::new(old.as_slice().iter().filter(keep).cloned().collect());
            inode.xattrs = kept.clone();
            last = Some((old, kept));
        }
        counts
    }
}

/// What an entry for a file of this kind is.
fn kind_of(body: &Body) -> Kind {
    match body {
        Body::File { .. } => Kind::File,
        Body::Directory => Kind::Directory,
        Body::Symlink(_) => Kind::Symlink,
        Body::Char(..) => Kind::Char,
        Body::Block(..) => Kind::Block,
        Body::Fifo => Kind::Fifo,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_bytes() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "com.apple.*",
                &["com.apple.", "com.apple.a.b"],
                &["com.apple", "com_apple.x", "x.com.apple.a"],
            ),
            ("*", &["", "user.x"], &[]),
            ("", &[""], &["x"]),
            ("user.x", &["user.x"], &["user.xy", "user."]),
            ("*.a*b", &["x.ab", "x.a.a.b", ".aab"], &["x.abc", "ab"]),
            ("a?", &["a?"], &["ab"]),
        ];
        for (pattern, yes, no) in table {
            let of = XattrPattern::new(pattern);
            for name in *yes {
                assert!(of.matches(name.as_bytes()), "{pattern} {name}");
            }
            for name in *no {
                assert!(!of.matches(name.as_bytes()), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = XattrPattern::new(&"*a".repeat(200));
        assert!(!pattern.matches(&[b'a'; 199]));
        assert!(pattern.matches(&vec![b'a'; 60_000]));
    }
}
