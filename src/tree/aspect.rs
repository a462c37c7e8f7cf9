//! What differs between two files.

use serde::Serialize;

use super::content::{Buffers, same};
use super::error::TreeError;
use super::inode::{Body, Inode};
use super::nodes::Tree;

/// One thing in which two files can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Aspect {
    /// What they are: a file, a directory, a symbolic link...
    Type,
    /// The bytes of regular files.
    Content,
    /// How many bytes regular files have.
    Size,
    /// Permissions, setuid, setgid and sticky.
    Mode,
    /// The owner or the group.
    Owner,
    /// The modification time.
    Time,
    /// The extended attributes.
    Xattr,
    /// The targets of symbolic links.
    Target,
    /// The numbers of devices.
    Device,
    /// Which other names a file has.
    Links,
}

impl Aspect {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Type,
        Self::Content,
        Self::Size,
        Self::Mode,
        Self::Owner,
        Self::Time,
        Self::Xattr,
        Self::Target,
        Self::Device,
        Self::Links,
    ];

    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Content => "content",
            Self::Size => "size",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Time => "time",
            Self::Xattr => "xattr",
            Self::Target => "target",
            Self::Device => "device",
            Self::Links => "links",
        }
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Aspects(u16);

impl Aspects {
    /// Adds one.
    pub fn insert(&mut self, aspect: Aspect) {
        self.0 |= 1 << aspect as u16;
    }

    /// Whether it is among them.
    pub fn contains(self, aspect: Aspect) -> bool {
        self.0 & (1 << aspect as u16) != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These without some others.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Aspect> {
        let all = Aspect::ALL.into_iter();
        all.filter(move |aspect| self.contains(*aspect))
    }
}

impl FromIterator<Aspect> for Aspects {
    fn from_iter<I: IntoIterator<Item = Aspect>>(iter: I) -> Self {
        let mut all = Self::default();
        for aspect in iter {
            all.insert(aspect);
        }
        all
    }
}

impl Inode {
    /// In what two files differ as far as that can be told without their bytes: regular files of different sizes
    /// differ in content too, those of equal size may. Nothing is known of their names here.
    pub(super) fn differs_from(&self, other: &Self) -> Aspects {
        let mut found = Aspects::default();
        match (&self.body, &other.body) {
            (Body::File { size, .. }, Body::File { size: other, .. }) => {
                if size != other {
                    found.insert(Aspect::Content);
                    found.insert(Aspect::Size);
                }
            }
            (Body::Directory, Body::Directory) | (Body::Fifo, Body::Fifo) => {}
            (Body::Symlink(target), Body::Symlink(other)) => {
                if target != other {
                    found.insert(Aspect::Target);
                }
            }
            (Body::Char(a, b), Body::Char(c, d)) | (Body::Block(a, b), Body::Block(c, d)) => {
                if (a, b) != (c, d) {
                    found.insert(Aspect::Device);
                }
            }
            _ => found.insert(Aspect::Type),
        }
        for (aspect, differs) in [
            (Aspect::Mode, self.mode != other.mode),
            (
                Aspect::Owner,
                (self.uid, self.gid) != (other.uid, other.gid),
            ),
            (Aspect::Time, self.mtime() != other.mtime()),
            (Aspect::Xattr, self.xattrs != other.xattrs),
        ] {
            if differs {
                found.insert(aspect);
            }
        }
        found
    }
}

impl Tree {
    /// In what two files of this tree differ, in the order of [`Aspect`]; nothing if they are alike. Contents
    /// are read only where the sizes are equal and the bytes are not the same stretch of one layer; in a tree
    /// of names alone equal sizes count as equal contents. `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`TreeError::Compare`] if a file cannot be read, [`TreeError::Expansion`] if sparse files claim more
    /// than the limits allow.
    pub fn aspects(
        &self,
        path: &[u8],
        one: &Inode,
        other: &Inode,
    ) -> Result<Vec<Aspect>, TreeError> {
        let mut found = one.differs_from(other);
        let are_files = matches!(
            (&one.body, &other.body),
            (Body::File { .. }, Body::File { .. })
        );
        if are_files && !found.contains(Aspect::Size) && !self.same_content(path, one, other)? {
            found.insert(Aspect::Content);
        }
        Ok(found.iter().collect())
    }

    /// Whether two regular files of equal size have the same bytes.
    fn same_content(&self, path: &[u8], one: &Inode, other: &Inode) -> Result<bool, TreeError> {
        let (Some(one), Some(other)) = (self.file_body(one)?, self.file_body(other)?) else {
            return Ok(true);
        };
        if one.is_same_stretch(&other) {
            return Ok(true);
        }
        same(&one, &other, &mut Buffers::new()).map_err(|source| TreeError::Compare {
            path: path.to_vec(),
            source,
        })
    }
}
