//! Files: what each has, whatever its names.

use std::sync::Arc;

use crate::tar::{Mtime, SparseMap};

/// A file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InodeId(pub(super) u32);

impl InodeId {
    /// The number as an index: below [`Tree::inode_count`](super::Tree::inode_count).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An extended attribute: name and value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

/// The extended attributes of a file, sorted by name. Most files have none, and many share theirs with
/// others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xattrs(Option<Arc<XattrList>>);

#[derive(Debug, PartialEq, Eq)]
struct XattrList(Box<[Xattr]>);

impl Xattrs {
    /// These, which are sorted by name.
    pub(super) fn new(sorted: Vec<Xattr>) -> Self {
        let some = !sorted.is_empty();
        Self(some.then(|| Arc::new(XattrList(sorted.into()))))
    }

    /// All of them, to be changed, and whether they had to be copied because other files share them.
    pub(super) fn into_vec(self) -> (Vec<Xattr>, bool) {
        let Some(list) = self.0 else {
            return (Vec::new(), false);
        };
        match Arc::try_unwrap(list) {
            Ok(list) => (list.0.into_vec(), false),
            Err(shared) => (shared.0.to_vec(), true),
        }
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Xattr] {
        self.0.as_ref().map_or(&[], |list| &list.0)
    }

    /// Whether two files share them, which is more than that they are equal.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Everything that a file has.
#[derive(Clone, Debug)]
pub struct Inode {
    /// Permissions, setuid, setgid and sticky: 12 bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The modification time, in two parts that leave no room between them.
    pub(super) nanoseconds: i32,
    pub(super) seconds: i64,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// What it is, and what only such files have.
    pub body: Body,
}

impl Inode {
    /// A file of root without extended attributes.
    pub(super) fn of_root(body: Body, mode: u16, mtime: Mtime) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            nanoseconds: mtime.nanoseconds,
            seconds: mtime.seconds,
            xattrs: Xattrs::default(),
            body,
        }
    }

    /// How long the file is, in bytes; 0 if it is not a regular file.
    pub fn size(&self) -> u64 {
        match &self.body {
            Body::File { size, .. } => *size,
            _ => 0,
        }
    }

    /// How many bytes of content are stored for it: holes of a sparse file take none, and so does what is not a
    /// regular file.
    pub fn stored_size(&self) -> u64 {
        match &self.body {
            Body::File {
                sparse: Some(sparse),
                ..
            } => {
                let spans = sparse.0.spans.iter().map(|span| span.len);
                spans.fold(0, u64::saturating_add)
            }
            _ => self.size(),
        }
    }

    /// The modification time.
    pub fn mtime(&self) -> Mtime {
        Mtime {
            seconds: self.seconds,
            nanoseconds: self.nanoseconds,
        }
    }

    pub(super) fn set_mtime(&mut self, mtime: Mtime) {
        (self.seconds, self.nanoseconds) = (mtime.seconds, mtime.nanoseconds);
    }
}

/// What a file is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A regular file whose bytes lie in a layer.
    File {
        /// The layer's index.
        layer: u32,
        /// Where they begin in the uncompressed layer.
        offset: u64,
        /// How long the file is, in bytes.
        size: u64,
        /// How to expand it, if it is sparse, and how many bytes are stored.
        sparse: Option<Box<(SparseMap, u64)>>,
    },
    /// A directory.
    Directory,
    /// A symbolic link with its target as written.
    Symlink(Box<[u8]>),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}
