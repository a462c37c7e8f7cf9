//! The entries of a tree in the order in which a tar has them.

use std::collections::{HashMap, HashSet};

use super::WriteError;
use super::header::HeaderFields;
use crate::tree::{Body, FileBody, Inode, InodeId, NodeId, Tree};

/// What is written for every name of a tree.
///
/// Order: a directory before what is in it, siblings in the order of their names' bytes; of the names
/// of one file the first carries the bytes and the others are hard links to it (moby
/// `daemon/export.go`, go-archive `Tarballer`).
#[derive(Debug)]
pub(super) struct Entries<'t> {
    tree: &'t Tree,
    /// Files with more than one name.
    shared: HashSet<InodeId>,
}

/// The content of a regular file, and where in which layer it is stored.
#[derive(Debug)]
pub(super) struct EntryContent<'t> {
    /// The layer's index.
    pub(super) layer: usize,
    /// Where its stored bytes begin in the uncompressed layer.
    pub(super) offset: u64,
    /// The bytes.
    pub(super) body: FileBody<'t>,
}

impl<'t> Entries<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        let mut seen = vec![false; tree.inode_count()];
        let mut shared = HashSet::new();
        let mut walk = tree.walk(tree.root());
        while let Some((entry, _)) = walk.next_entry() {
            if std::mem::replace(&mut seen[entry.id.index()], true) {
                shared.insert(entry.id);
            }
        }
        Self { tree, shared }
    }

    /// Shows every entry to `see`, with its content if it has any; returns how many there were.
    pub(super) fn each(
        &self,
        mut see: impl FnMut(&HeaderFields<'_>, Option<&EntryContent<'t>>) -> Result<(), WriteError>,
    ) -> Result<u64, WriteError> {
        // The name under which each file with several names was written first.
        let mut first: HashMap<InodeId, NodeId> = HashMap::new();
        let mut entries = 0;
        let mut path = Vec::new();
        let mut walk = self.tree.walk(self.tree.root());
        while let Some((entry, at)) = walk.next_entry() {
            entries += 1;
            path.clear();
            path.extend_from_slice(at);
            let mut fields = fields(entry.inode);
            if self.shared.contains(&entry.id) {
                if let Some(&target) = first.get(&entry.id) {
                    let target = self.tree.path(target);
                    see(&hard_link(&path, &target, fields), None)?;
                    continue;
                }
                first.insert(entry.id, entry.node);
            }
            if fields.typeflag == b'5' {
                path.push(b'/');
            }
            fields.path = &path;
            see(&fields, content(self.tree, entry.inode)?.as_ref())?;
        }
        Ok(entries)
    }
}

/// The content of a regular file, and where it is stored.
pub(super) fn content<'t>(
    tree: &'t Tree,
    inode: &'t Inode,
) -> Result<Option<EntryContent<'t>>, WriteError> {
    let Body::File { layer, offset, .. } = inode.body else {
        return Ok(None);
    };
    let body = tree.file_body(inode)?;
    Ok(body.map(|body| EntryContent {
        layer: layer as usize,
        offset,
        body,
    }))
}

/// The header of another name of a file whose first name is `target` and whose header has `fields`.
pub(super) fn hard_link<'p>(
    path: &'p [u8],
    target: &'p [u8],
    fields: HeaderFields<'p>,
) -> HeaderFields<'p> {
    HeaderFields {
        path,
        typeflag: b'1',
        link: target,
        size: 0,
        device: (0, 0),
        ..fields
    }
}

/// The header of a file under its first name, but for the name.
pub(super) fn fields(inode: &Inode) -> HeaderFields<'_> {
    let mut fields = HeaderFields {
        path: &[],
        typeflag: b'0',
        link: &[],
        mode: inode.mode,
        uid: inode.uid.into(),
        gid: inode.gid.into(),
        size: 0,
        mtime: inode.mtime(),
        device: (0, 0),
        xattrs: inode.xattrs.as_slice(),
    };
    match &inode.body {
        Body::Directory => fields.typeflag = b'5',
        Body::File { size, .. } => fields.size = *size,
        Body::Symlink(target) => (fields.typeflag, fields.link) = (b'2', target),
        Body::Char(major, minor) => (fields.typeflag, fields.device) = (b'3', (*major, *minor)),
        Body::Block(major, minor) => (fields.typeflag, fields.device) = (b'4', (*major, *minor)),
        Body::Fifo => fields.typeflag = b'6',
    }
    fields
}
