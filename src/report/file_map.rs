//! Where the bytes of an image are, in little room: large files and directories by name, the rest folded.

use serde::Serialize;

use super::sizes::Bits;
use super::text::Text;
use crate::tree::{Body, Tree};

/// How many directories deep the map goes; what is deeper stands in the last of them, with the rest of its path.
const DEEPEST: usize = 24;

/// The files of an image by size.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileMap {
    /// The size in bytes from which a file or directory is listed by name; smaller ones are summed up.
    pub threshold: u64,
    /// The root directory.
    pub root: FileMapNode,
}

/// What a part of a [`FileMap`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FileMapKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// Smaller files, and everything in smaller directories, together.
    Rest,
}

/// A part of a [`FileMap`].
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileMapNode {
    /// Its path from the directory that it is listed in; empty for the root and for the rest.
    pub name: Text,
    /// What it is.
    pub kind: FileMapKind,
    /// Its size in bytes: the stored content of files, each counted once however many names it has.
    pub bytes: u64,
    /// How many regular files these are, each once.
    pub files: u64,
    /// The index of the layer that supplied the file, base first; `null` for the others.
    pub layer: Option<usize>,
    /// What is in the directory, most bytes first.
    pub children: Vec<FileMapNode>,
}

impl FileMapNode {
    fn new(name: &[u8], kind: FileMapKind) -> Self {
        Self {
            name: Text(name.to_vec()),
            kind,
            bytes: 0,
            files: 0,
            layer: None,
            children: Vec::new(),
        }
    }

    fn add(&mut self, bytes: u64, files: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.files += files;
    }
}

impl FileMap {
    /// Makes the map of a merged tree, with at most `leaves` files by name. Memory is bounded by that number, and
    /// by a bit for each file of the tree.
    pub fn of(tree: &Tree, leaves: u32) -> Self {
        let mut bytes: u64 = 0;
        walk(tree, |_, file| {
            if let Step::File(file) = file {
                bytes = bytes.saturating_add(file.bytes);
            }
        });
        let threshold = (bytes / u64::from(leaves.max(1))).max(1);
        let mut making = Making {
            threshold,
            open: vec![OpenDirectory::new(b"", 0)],
        };
        walk(tree, |path, step| match step {
            Step::Directory { depth } => making.enter(path, depth),
            Step::File(file) => making.file(path, file),
        });
        Self {
            threshold,
            root: making.finish(),
        }
    }
}

/// What a walk meets.
enum Step {
    Directory { depth: usize },
    File(FileFacts),
}

#[derive(Clone, Copy)]
struct FileFacts {
    depth: usize,
    bytes: u64,
    layer: usize,
}

/// Shows directories and regular files, each of these once, in the order of a tar.
fn walk(tree: &Tree, mut see: impl FnMut(&[u8], Step)) {
    let mut seen = Bits::new(tree.inode_count());
    let mut walk = tree.walk(tree.root());
    while let Some((entry, path)) = walk.next_entry() {
        let depth = entry.depth;
        match entry.inode.body {
            Body::Directory => see(path, Step::Directory { depth }),
            Body::File { .. } if seen.add(entry.id.index()) => {
                let file = FileFacts {
                    depth,
                    bytes: entry.inode.stored_size(),
                    layer: tree.layer_of(entry.node),
                };
                see(path, Step::File(file));
            }
            _ => {}
        }
    }
}

struct Making {
    threshold: u64,
    /// The directories that the walk is in, the root first; never empty.
    open: Vec<OpenDirectory>,
}

/// A directory that the walk is in.
struct OpenDirectory {
    node: FileMapNode,
    /// How long its path is.
    path: usize,
    rest: FileMapNode,
}

impl OpenDirectory {
    fn new(name: &[u8], path: usize) -> Self {
        Self {
            node: FileMapNode::new(name, FileMapKind::Dir),
            path,
            rest: FileMapNode::new(b"", FileMapKind::Rest),
        }
    }

    /// The path of something in it, from it.
    fn name<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let from = self.path + usize::from(self.path > 0);
        path.get(from..).unwrap_or_default()
    }
}

impl Making {
    fn enter(&mut self, path: &[u8], depth: usize) {
        self.close(depth + 1);
        if depth < DEEPEST {
            let name = self.last().name(path).to_vec();
            self.open.push(OpenDirectory::new(&name, path.len()));
        }
    }

    fn file(&mut self, path: &[u8], file: FileFacts) {
        self.close(file.depth + 1);
        let threshold = self.threshold;
        let directory = self.last();
        directory.node.add(file.bytes, 1);
        if file.bytes < threshold {
            directory.rest.add(file.bytes, 1);
            return;
        }
        let mut node = FileMapNode::new(directory.name(path), FileMapKind::File);
        node.add(file.bytes, 1);
        node.layer = Some(file.layer);
        directory.node.children.push(node);
    }

    fn last(&mut self) -> &mut OpenDirectory {
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    /// Closes directories until so many are open.
    fn close(&mut self, left: usize) {
        while self.open.len() > left.max(1) {
            let Some(done) = self.open.pop() else { return };
            let node = done.close();
            let threshold = self.threshold;
            let above = self.last();
            above.node.add(node.bytes, node.files);
            if node.bytes < threshold {
                above.rest.add(node.bytes, node.files);
            } else {
                above.node.children.push(node);
            }
        }
    }

    fn finish(mut self) -> FileMapNode {
        self.close(1);
        let root = self.open.pop();
        root.map_or_else(
            || FileMapNode::new(b"", FileMapKind::Dir),
            OpenDirectory::node_with_rest,
        )
    }
}

impl OpenDirectory {
    fn node_with_rest(mut self) -> FileMapNode {
        if self.rest.files > 0 {
            self.node.children.push(self.rest);
        }
        let children = &mut self.node.children;
        children.sort_by(|a, b| (b.bytes, &a.name.0).cmp(&(a.bytes, &b.name.0)));
        self.node
    }

    /// The finished directory. One that holds nothing but a directory is one with it.
    fn close(self) -> FileMapNode {
        let mut node = self.node_with_rest();
        if let [only] = &mut node.children[..]
            && only.kind == FileMapKind::Dir
        {
            let name = [&node.name.0[..], b"/", &only.name.0].concat();
            let mut only = std::mem::replace(only, FileMapNode::new(b"", FileMapKind::Dir));
            only.name = Text(name);
            return only;
        }
        node
    }
}
