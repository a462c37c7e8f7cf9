//! Rootfs tars that other programs wrote: what they do not record does not count as removed.
//!
//! Engines cut times to seconds, turn those before 1970 and after 2262 into 1970, keep of extended
//! attributes `security.capability` alone (podman `user.*` too) and write version 3 of that as 2. A
//! file of the base would seem changed, and a changed one would lose what it still has.

use std::collections::HashSet;

use super::engine_files::Additions;
use super::error::TreeError;
use super::inode::{Body, Inode, Xattr, Xattrs};
use super::nodes::{ROOT, Tree};
use super::pair_walk::{PairStep, Union};
use crate::tar::Mtime;

/// What image archives have at their root.
const ARCHIVE_MEMBERS: [&[u8]; 2] = [b"manifest.json", b"oci-layout"];
/// The attribute that every engine exports.
const CAPABILITY: &[u8] = b"security.capability";
/// The last second that engines keep.
const TIME_LIMIT: i64 = 9_223_372_036;

/// What a tar records of its files, judged by what it has.
struct Recorded {
    /// Whether a time has a fraction.
    fractions: bool,
    /// Name spaces of extended attributes, the capability not counted: `user`, `system`.
    spaces: HashSet<Box<[u8]>>,
}

impl Recorded {
    fn by(tree: &Tree) -> Self {
        let mut recorded = Self {
            fractions: false,
            spaces: HashSet::new(),
        };
        for inode in &tree.inodes {
            recorded.fractions |= inode.mtime().nanoseconds != 0;
            for (name, _) in inode.xattrs.as_slice() {
                if **name != *CAPABILITY && !recorded.spaces.contains(space(name)) {
                    recorded.spaces.insert(space(name).into());
                }
            }
        }
        recorded
    }

    /// Whether the absence of an attribute says that the file has none.
    fn has(&self, name: &[u8]) -> bool {
        name == CAPABILITY || self.spaces.contains(space(name))
    }

    /// The time that `new` means, if the file had `old` before.
    fn mtime(&self, old: Mtime, new: Mtime) -> Mtime {
        let cut = Mtime {
            nanoseconds: 0,
            ..old
        };
        let is_cut = !self.fractions && new == cut;
        let is_lost = new == Mtime::default() && !(0..=TIME_LIMIT).contains(&old.seconds);
        if is_cut || is_lost { old } else { new }
    }

    /// The attributes that `new` means, if the file had `old` before.
    fn xattrs(&self, old: &[Xattr], new: &[Xattr]) -> Xattrs {
        let mut all: Vec<Xattr> = Vec::with_capacity(old.len().max(new.len()));
        for (name, value) in old {
            if !self.has(name) {
                all.push((name.clone(), value.clone()));
            }
        }
        for (name, value) in new {
            let before = old.iter().find(|(other, _)| other == name);
            let value = match before {
                Some((_, before)) if **name == *CAPABILITY && is_rewritten(before, value) => before,
                _ => value,
            };
            all.push((name.clone(), value.clone()));
        }
        all.sort();
        Xattrs::new(all)
    }
}

/// The name space of an attribute: what stands before the first dot.
fn space(name: &[u8]) -> &[u8] {
    name.split(|&b| b == b'.').next().unwrap_or_default()
}

/// Whether a capability of version 3 became one of version 2 with the same rights: the version in the
/// top byte of the first word, the owner's number at the end (`linux/capability.h`).
fn is_rewritten(old: &[u8], new: &[u8]) -> bool {
    const V2: usize = 20;
    const V3: usize = 24;
    old.len() == V3
        && new.len() == V2
        && (old[3], new[3]) == (3, 2)
        && old[..3] == new[..3]
        && old[4..V2] == new[4..V2]
}

impl Tree {
    /// Refuses a tar that is not the root file system of a container of `base`: one without entries, and
    /// an image archive.
    ///
    /// # Errors
    ///
    /// [`TreeError::NotRootfs`].
    pub fn require_rootfs(&self, base: &Self) -> Result<(), TreeError> {
        if self.is_empty() && !base.is_empty() {
            return Err(TreeError::NotRootfs {
                why: "it has no entries",
            });
        }
        let mut archive_members = ARCHIVE_MEMBERS.iter();
        let is_archive = archive_members.any(|name| self.child(ROOT, name).is_some());
        let is_new = |node| base.child(ROOT, self.name(node)).is_none();
        if is_archive && self.children(ROOT).all(is_new) {
            return Err(TreeError::NotRootfs {
                why: "it is an image archive",
            });
        }
        Ok(())
    }

    /// How many names the root has.
    pub(crate) fn names_at_root(&self) -> usize {
        self.child_count(ROOT)
    }

    /// Gives the files of this tree, read from a rootfs tar, what the tar does not record and files of
    /// the same path and type in `base` have: fractions of seconds if no time in the tar has one,
    /// extended attributes of a name space (`user.`, `system.` and so on, without
    /// `security.capability`) of which the tar has none at all, times that engines cannot keep, and
    /// the form of a capability.
    pub fn adopt_unrecorded(&mut self, base: &Self) {
        let recorded = Recorded::by(self);
        let mut seen = vec![false; self.inodes.len()];
        let mut adopted = Vec::new();
        let none = Additions::none();
        let mut walk = Union::new(base, self, &none);
        while let Some(step) = walk.next() {
            let PairStep::Name {
                lower: Some(lower),
                upper: Some(upper),
            } = step
            else {
                continue;
            };
            let id = self.inode_id(upper);
            let (old, new) = (base.inode_of(lower), self.inode(id));
            if !is_alike(old, new) || std::mem::replace(&mut seen[id.index()], true) {
                continue;
            }
            let mtime = recorded.mtime(old.mtime(), new.mtime());
            let xattrs = if old.xattrs.is_empty() && new.xattrs.is_empty() {
                Xattrs::default()
            } else {
                recorded.xattrs(old.xattrs.as_slice(), new.xattrs.as_slice())
            };
            if mtime != new.mtime() || xattrs != new.xattrs {
                adopted.push((id.index(), mtime, xattrs));
            }
        }
        for (id, mtime, xattrs) in adopted {
            self.inodes[id].set_mtime(mtime);
            self.inodes[id].xattrs = xattrs;
        }
    }
}

/// Whether two files are of one type.
fn is_alike(one: &Inode, other: &Inode) -> bool {
    std::mem::discriminant::<Body>(&one.body) == std::mem::discriminant(&other.body)
}
