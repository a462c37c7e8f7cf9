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
    /// Where symbolic links lead.
    Target,
    /// The numbers of devices.
    Device,
}

impl Aspect {
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
        }
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
        let mut found = Vec::new();
        match (&one.body, &other.body) {
            (Body::File { size, .. }, Body::File { size: other, .. }) if size != other => {
                found.extend([Aspect::Content, Aspect::Size]);
            }
            (Body::File { .. }, Body::File { .. }) => {
                if !self.same_content(path, one, other)? {
                    found.push(Aspect::Content);
                }
            }
            (Body::Directory, Body::Directory) | (Body::Fifo, Body::Fifo) => {}
            (Body::Symlink(target), Body::Symlink(other)) => {
                found.extend((target != other).then_some(Aspect::Target));
            }
            (Body::Char(a, b), Body::Char(c, d)) | (Body::Block(a, b), Body::Block(c, d)) => {
                found.extend(((a, b) != (c, d)).then_some(Aspect::Device));
            }
            _ => found.push(Aspect::Type),
        }
        let pairs = [
            (Aspect::Mode, one.mode != other.mode),
            (Aspect::Owner, (one.uid, one.gid) != (other.uid, other.gid)),
            (Aspect::Time, one.mtime() != other.mtime()),
            (Aspect::Xattr, one.xattrs != other.xattrs),
        ];
        found.extend(pairs.iter().filter(|(_, differs)| *differs).map(|(a, _)| a));
        found.sort_unstable();
        Ok(found)
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
