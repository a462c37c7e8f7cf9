//! The files of a data root as a tree of names, from one walk over the headers of a tar.
//!
//! Of a file the tree keeps where its headers and its body lie, so that everything else about it is read again
//! when it is wanted: about a hundred bytes a file, whatever it holds.
//!
//! Threats: names are brought below the root of the tar (`..` cannot leave it), and every look-up begins at a
//! directory and ends below it; links are followed so many times at the most; entries and the bytes of their names
//! count against [`Limit::Members`] and [`Limit::MemberNames`] before they are held.
//!
//! Long: one table, how it is filled and what is looked up in it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::RescueError;
use crate::archive::MemberName;
use crate::base::limits::{Exceeded, LONGEST_PATH, Limit, Limits};
use crate::source::{Slice, Source, Span};
use crate::tar::{Entry, Kind, Positioned, TarError, Walker};

/// How many links one path may lead through, as in Linux.
const LINKS: usize = 40;

/// A file or a directory of the tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileNode(u32);

impl FileNode {
    /// The root of the tar.
    pub(crate) const ROOT: Self = Self(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// Only its children have entries.
    Implied,
    Directory,
    File,
    Symlink,
    Hardlink,
    /// A character device 0:0, by which overlay file systems hide a name.
    Whiteout,
    /// A device, a fifo, or what tar does not know.
    Special,
}

/// Text in the list of all names.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    from: u32,
    len: u32,
}

#[derive(Clone, Debug)]
struct Record {
    parent: FileNode,
    name: Stretch,
    /// The target of a link.
    link: Stretch,
    kind: NodeKind,
    /// Whether its stored bytes are not its content.
    sparse: bool,
    /// The next one with the same hash; 0 for none, which is the root.
    same_hash: u32,
    first_child: u32,
    next_sibling: u32,
    /// Where its first header begins.
    header: u64,
    /// Where its body begins.
    data: u64,
    /// How long the file is.
    size: u64,
}

/// The names of a tar.
#[derive(Debug)]
pub(crate) struct RootFiles {
    source: Source,
    records: Vec<Record>,
    names: Vec<u8>,
    /// The first node of each hash of a parent and a name.
    by_hash: HashMap<u64, u32>,
    hasher: RandomState,
    /// Why the walk ended before the end of the tar.
    fault: Option<TarError>,
    /// Where the tar ended without the blocks that mark its end.
    cut: Option<u64>,
    /// Whether an entry has extended attributes of any kind.
    has_xattrs: bool,
}

impl RootFiles {
    /// Walks over the headers of `source`, as far as they can be read.
    ///
    /// # Errors
    ///
    /// [`RescueError::TooMany`], and [`RescueError::Walk`] if the system fails.
    pub(crate) fn walk(source: &Source) -> Result<Self, RescueError> {
        let mut files = Self {
            source: source.clone(),
            records: Vec::new(),
            names: Vec::new(),
            by_hash: HashMap::new(),
            hasher: RandomState::new(),
            fault: None,
            cut: None,
            has_xattrs: false,
        };
        files
            .records
            .push(Record::new(FileNode::ROOT, Stretch::default()));
        let path = source.label();
        let mut walker = Walker::new(Positioned::new(source.whole()));
        // Files of one directory follow each other.
        let mut last = (Vec::new(), FileNode::ROOT);
        loop {
            match walker.next_entry() {
                Ok(Some(entry)) if entry.kind == Kind::Global => {}
                // The tar was cut in its body: what is there of it is no use, so it is as lost as what followed.
                Ok(Some(entry))
                    if entry.data_offset.saturating_add(entry.stored_size) > source.len() => {}
                Ok(Some(entry)) => {
                    let added = files.add(&entry, &mut last);
                    added.map_err(|exceeded| RescueError::TooMany {
                        path: path.clone(),
                        exceeded,
                    })?;
                }
                Ok(None) => {
                    files.cut = (!walker.end_is_marked()).then(|| walker.position());
                    return Ok(files);
                }
                Err(source) if source.is_environment() => {
                    return Err(RescueError::Walk { path, source });
                }
                Err(fault) => {
                    files.fault = Some(fault);
                    return Ok(files);
                }
            }
        }
    }

    fn limits(&self) -> &Limits {
        self.source.limits()
    }

    fn add(&mut self, entry: &Entry, last: &mut (Vec<u8>, FileNode)) -> Result<(), Exceeded> {
        let name = MemberName::new(&entry.path);
        let directory = name.parent();
        if directory.as_bytes() != last.0 {
            let mut parent = FileNode::ROOT;
            for component in parts(directory.as_bytes()) {
                parent = self.child_or_new(parent, component)?;
            }
            *last = (directory.as_bytes().to_vec(), parent);
        }
        let node = match name.base() {
            b"" => FileNode::ROOT,
            base => self.child_or_new(last.1, base)?,
        };
        let link = match entry.kind {
            Kind::Symlink | Kind::Hardlink => self.text(&entry.link)?,
            _ => Stretch::default(),
        };
        self.has_xattrs |= !entry.xattrs.is_empty();
        // The last entry of a name counts.
        let record = &mut self.records[node.index()];
        record.kind = match entry.kind {
            Kind::File => NodeKind::File,
            Kind::Directory => NodeKind::Directory,
            Kind::Symlink => NodeKind::Symlink,
            Kind::Hardlink => NodeKind::Hardlink,
            Kind::Char if entry.device == (0, 0) => NodeKind::Whiteout,
            Kind::Char | Kind::Block | Kind::Fifo | Kind::Global | Kind::Other(_) => {
                NodeKind::Special
            }
        };
        record.link = link;
        record.sparse = entry.sparse.is_some();
        record.header = entry.header_offset;
        record.data = entry.data_offset;
        record.size = entry.size;
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Stretch, Exceeded> {
        let limits = self.source.limits();
        let after = self.names.len() + bytes.len();
        limits.check_count(Limit::MemberNames, after)?;
        let (from, len) = (u32::try_from(self.names.len()), u32::try_from(bytes.len()));
        let (Ok(from), Ok(len)) = (from, len) else {
            return Err(limits.exceeded(Limit::MemberNames));
        };
        self.names.extend_from_slice(bytes);
        Ok(Stretch { from, len })
    }

    fn child_or_new(&mut self, parent: FileNode, name: &[u8]) -> Result<FileNode, Exceeded> {
        let hash = self.hasher.hash_one((parent, name));
        if let Some(known) = self.with_hash(hash, parent, name) {
            return Ok(known);
        }
        self.limits()
            .check_count(Limit::Members, self.records.len())?;
        let Ok(number) = u32::try_from(self.records.len()) else {
            return Err(self.limits().exceeded(Limit::Members));
        };
        let mut record = Record::new(parent, self.text(name)?);
        record.same_hash = self.by_hash.insert(hash, number).unwrap_or(0);
        let above = &mut self.records[parent.index()];
        record.next_sibling = std::mem::replace(&mut above.first_child, number);
        self.records.push(record);
        Ok(FileNode(number))
    }

    fn with_hash(&self, hash: u64, parent: FileNode, name: &[u8]) -> Option<FileNode> {
        let mut number = *self.by_hash.get(&hash)?;
        while number != 0 {
            let record = &self.records[number as usize];
            if record.parent == parent && self.bytes(record.name) == name {
                return Some(FileNode(number));
            }
            number = record.same_hash;
        }
        None
    }

    fn bytes(&self, stretch: Stretch) -> &[u8] {
        let from = stretch.from as usize;
        &self.names[from..from + stretch.len as usize]
    }

    // --- names ------------------------------------------------------------------------------------------

    /// The bytes that were walked over.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Why the walk ended before the end of the tar, if it did.
    pub(crate) fn fault(&self) -> Option<&TarError> {
        self.fault.as_ref()
    }

    /// Where the tar ended without a mark, if it did: it was cut there, or its writer wrote none.
    pub(crate) fn cut(&self) -> Option<u64> {
        self.cut
    }

    /// Whether any entry has an extended attribute.
    pub(crate) fn has_xattrs(&self) -> bool {
        self.has_xattrs
    }

    /// What is directly below a directory under this name.
    pub(crate) fn child(&self, directory: FileNode, name: &[u8]) -> Option<FileNode> {
        self.with_hash(self.hasher.hash_one((directory, name)), directory, name)
    }

    /// What is below a directory under this path; links are not followed, and `..` is a name that nothing has.
    pub(crate) fn below(&self, directory: FileNode, path: &str) -> Option<FileNode> {
        parts(path.as_bytes()).try_fold(directory, |node, name| self.child(node, name))
    }

    /// What is in a directory, ordered by name.
    pub(crate) fn children(&self, directory: FileNode) -> Vec<FileNode> {
        let mut all = Vec::new();
        let mut next = self.records[directory.index()].first_child;
        while next != 0 {
            all.push(FileNode(next));
            next = self.records[next as usize].next_sibling;
        }
        all.sort_by(|a, b| self.name(*a).cmp(self.name(*b)));
        all
    }

    /// The last part of a name.
    pub(crate) fn name(&self, node: FileNode) -> &[u8] {
        self.bytes(self.records[node.index()].name)
    }

    /// The whole path in the tar; nothing for its root.
    pub(crate) fn path(&self, node: FileNode) -> Vec<u8> {
        self.path_below(FileNode::ROOT, node)
    }

    /// The path of a node as it is below a directory that holds it.
    pub(crate) fn path_below(&self, directory: FileNode, node: FileNode) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = node;
        while at != directory && at != FileNode::ROOT {
            names.push(self.name(at));
            at = self.records[at.index()].parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// The directory that holds a node; the root holds itself.
    pub(crate) fn parent(&self, node: FileNode) -> FileNode {
        self.records[node.index()].parent
    }

    /// What a node is.
    pub(crate) fn kind(&self, node: FileNode) -> NodeKind {
        self.records[node.index()].kind
    }

    /// Whether it is a directory, with an entry of its own or not.
    pub(crate) fn is_directory(&self, node: FileNode) -> bool {
        matches!(self.kind(node), NodeKind::Directory | NodeKind::Implied)
    }

    /// How long a file is, in bytes.
    pub(crate) fn size(&self, node: FileNode) -> u64 {
        self.records[node.index()].size
    }

    /// The target of a link as written.
    pub(crate) fn link(&self, node: FileNode) -> &[u8] {
        self.bytes(self.records[node.index()].link)
    }

    /// What a node is another name of; itself if it is not a hard link. No directory has another name: Linux makes
    /// none, and names of one below itself or in a chain would multiply without end what is in it.
    pub(crate) fn linked(&self, node: FileNode) -> Option<FileNode> {
        let mut at = node;
        for _ in 0..LINKS {
            if self.kind(at) != NodeKind::Hardlink {
                return Some(at).filter(|at| *at == node || !self.is_directory(*at));
            }
            let target = MemberName::new(self.link(at));
            let mut names = parts(target.as_bytes());
            at = names.try_fold(FileNode::ROOT, |node, name| self.child(node, name))?;
        }
        None
    }

    /// What has this path in the directory `root`, as a process that has it for its root would find it: symbolic
    /// links on the way are followed, never above it. The last name is not followed.
    /// What links add to the path counts against `steps`.
    pub(crate) fn find_in(&self, root: FileNode, path: &[u8], steps: &mut u64) -> Option<FileNode> {
        if path.len() as u64 > LONGEST_PATH {
            return None;
        }
        let mut left: Vec<Vec<u8>> = parts(path).rev().map(<[u8]>::to_vec).collect();
        let (mut at, mut links) = (root, 0);
        while let Some(name) = left.pop() {
            if name == b".." {
                if at != root {
                    at = self.parent(at);
                }
                continue;
            }
            let next = self.child(at, &name)?;
            if left.is_empty() || self.kind(next) != NodeKind::Symlink {
                at = next;
                continue;
            }
            links += 1;
            let target = self.link(next);
            if links > LINKS || target.is_empty() || target.len() as u64 > LONGEST_PATH {
                return None;
            }
            *steps = steps.checked_sub(parts(target).count() as u64)?;
            if target.starts_with(b"/") {
                at = root;
            }
            left.extend(parts(target).rev().map(<[u8]>::to_vec));
        }
        Some(at)
    }

    // --- contents ---------------------------------------------------------------------------------------

    /// The entry of a node, read again; `None` if only its children have entries.
    ///
    /// # Errors
    ///
    /// [`RescueError::Walk`].
    pub(crate) fn entry(&self, node: FileNode) -> Result<Option<Entry>, RescueError> {
        let record = &self.records[node.index()];
        if record.kind == NodeKind::Implied {
            return Ok(None);
        }
        let mut walker = Walker::new(Positioned::at(self.source.whole(), record.header));
        walker.next_entry().map_err(|source| RescueError::Walk {
            path: self.source.label(),
            source,
        })
    }

    /// The stretches of a file's content: bytes of the tar, or so many zeros.
    ///
    /// # Errors
    ///
    /// [`RescueError::Walk`].
    pub(crate) fn content(&self, file: FileNode) -> Result<Vec<FileStretch>, RescueError> {
        let record = &self.records[file.index()];
        if !record.sparse {
            return Ok(vec![FileStretch::Stored(Span {
                offset: record.data,
                len: record.size,
            })]);
        }
        let Some((entry, map)) = self
            .entry(file)?
            .and_then(|entry| Some((entry.clone(), entry.sparse?)))
        else {
            return Ok(Vec::new());
        };
        let mut stretches = Vec::with_capacity(2 * map.spans.len() + 1);
        let (mut at, mut stored) = (0, entry.data_offset + map.map_len);
        for span in &map.spans {
            stretches.push(FileStretch::Zeros(span.offset - at));
            stretches.push(FileStretch::Stored(Span {
                offset: stored,
                len: span.len,
            }));
            at = span.offset + span.len;
            stored += span.len;
        }
        stretches.push(FileStretch::Zeros(entry.size.saturating_sub(at)));
        Ok(stretches)
    }

    /// The stored bytes of a file that is not sparse.
    pub(crate) fn plain(&self, file: FileNode) -> Option<Slice> {
        let record = &self.records[file.index()];
        let is_plain = record.kind == NodeKind::File && !record.sparse;
        is_plain.then(|| {
            self.source.slice(Span {
                offset: record.data,
                len: record.size,
            })
        })
    }
}

/// A stretch of a file's content.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileStretch {
    /// Bytes of the tar.
    Stored(Span),
    /// So many zeros.
    Zeros(u64),
}

impl Record {
    fn new(parent: FileNode, name: Stretch) -> Self {
        Self {
            parent,
            name,
            link: Stretch::default(),
            kind: NodeKind::Implied,
            sparse: false,
            same_hash: 0,
            first_child: 0,
            next_sibling: 0,
            header: 0,
            data: 0,
            size: 0,
        }
    }
}

/// The names in a path, without empty ones and `.`.
fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let names = path.split(|&b| b == b'/');
    names.filter(|name| !name.is_empty() && *name != b".")
}
