//! The files of an image: their names one after the other, and their bytes.

use std::io;
use std::sync::Arc;

use imgtar::Stopper;
use imgtar::base::digest::Hasher;
use imgtar::source::Slice;
use imgtar::tree::{Body, FileBody, Inode, Tree, Walk};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use self_cell::self_cell;

use crate::archive::Opened;
use crate::errors::Failure;
use crate::work::run;

/// How many entries are handed over at once.
const BATCH: usize = 512;
/// How much of a file is hashed at once, in bytes.
const BUFFER: usize = 128 * 1024;

self_cell! {
    /// A walk with the tree that it goes over.
    struct WalkOfTree {
        owner: Arc<Tree>,
        #[covariant]
        dependent: Walk,
    }
}

/// The entries of a merged tree, in batches.
#[pyclass(module = "imgtar._imgtar", name = "Entries")]
pub(crate) struct NativeEntries {
    walk: WalkOfTree,
    /// Whether the bytes of regular files are hashed.
    digests: bool,
    stop: Stopper,
    archive: String,
}

impl NativeEntries {
    /// Those of an image of `opened`; `digests` needs a tree that has the bytes of files.
    pub(crate) fn new(tree: Arc<Tree>, digests: bool, opened: &Opened) -> Self {
        Self {
            walk: WalkOfTree::new(tree, |tree| tree.walk(tree.root())),
            digests,
            stop: opened.stop.clone(),
            archive: opened.archive.path().to_owned(),
        }
    }
}

/// What one entry is.
struct Row {
    path: Vec<u8>,
    inode: Inode,
    layer: usize,
    number: usize,
    sha256: Option<String>,
}

/// Path, type, permissions with owner and group, size, seconds and nanoseconds of its time, target, layer, number,
/// device, extended attributes, digest.
type EntryTuple<'py> = (
    Bound<'py, PyBytes>,
    &'static str,
    (u16, u32, u32),
    u64,
    (i64, i32),
    Option<Bound<'py, PyBytes>>,
    usize,
    usize,
    Option<(u32, u32)>,
    Bound<'py, PyDict>,
    Option<String>,
);

#[pymethods]
impl NativeEntries {
    /// The next entries; none at the end.
    fn next_batch<'py>(&mut self, py: Python<'py>) -> PyResult<Vec<EntryTuple<'py>>> {
        let Self {
            walk,
            digests,
            stop,
            archive,
        } = self;
        let rows = if *digests {
            run(py, std::slice::from_ref(stop), None, |_| {
                rows(walk, true).map_err(|failure| failure.of(archive))
            })?
        } else {
            py.detach(|| rows(walk, false))
                .map_err(|failure| failure.into_py(py))?
        };
        rows.into_iter().map(|row| row.into_py(py)).collect()
    }
}

/// The next entries of a walk.
fn rows(walk: &mut WalkOfTree, digests: bool) -> Result<Vec<Row>, Failure> {
    walk.with_dependent_mut(|tree, walk| {
        let mut rows = Vec::with_capacity(BATCH);
        while rows.len() < BATCH {
            let Some((entry, path)) = walk.next_entry() else {
                break;
            };
            rows.push(Row {
                path: path.to_vec(),
                sha256: if digests {
                    sha256(tree, entry.inode)?
                } else {
                    None
                },
                inode: entry.inode.clone(),
                layer: tree.layer_of(entry.node),
                number: entry.id.index(),
            });
        }
        Ok(rows)
    })
}

/// The digest of a regular file; `None` for anything else.
fn sha256(tree: &Tree, inode: &Inode) -> Result<Option<String>, Failure> {
    let Some(body) = tree.file_body(inode)? else {
        return Ok(None);
    };
    let file = NativeFile::of(&body, "");
    let mut hasher = Hasher::sha256();
    let mut buf = vec![0; BUFFER.min(usize::try_from(file.size).unwrap_or(BUFFER))];
    let mut at = 0;
    while at < file.size {
        let n = file.fill(&mut buf, at)?;
        hasher.update(&buf[..n]);
        at += n as u64;
    }
    Ok(Some(hasher.finish().to_string()))
}

impl Row {
    fn into_py(self, py: Python<'_>) -> PyResult<EntryTuple<'_>> {
        let inode = &self.inode;
        let (kind, target, device) = match &inode.body {
            Body::File { .. } => ("file", None, None),
            Body::Directory => ("directory", None, None),
            Body::Symlink(target) => ("symlink", Some(PyBytes::new(py, target)), None),
            Body::Char(major, minor) => ("char", None, Some((*major, *minor))),
            Body::Block(major, minor) => ("block", None, Some((*major, *minor))),
            Body::Fifo => ("fifo", None, None),
        };
        let attributes = PyDict::new(py);
        for (name, value) in inode.xattrs.as_slice() {
            attributes.set_item(PyBytes::new(py, name), PyBytes::new(py, value))?;
        }
        let mtime = inode.mtime();
        Ok((
            PyBytes::new(py, &self.path),
            kind,
            (inode.mode, inode.uid, inode.gid),
            inode.size(),
            (mtime.seconds, mtime.nanoseconds),
            target,
            self.layer,
            self.number,
            device,
            attributes,
            self.sha256,
        ))
    }
}

/// The bytes of a regular file of an image, read at any place by any thread.
#[pyclass(module = "imgtar._imgtar", name = "File", frozen)]
#[derive(Debug)]
pub(crate) struct NativeFile {
    stored: Slice,
    size: u64,
    /// The stretches of a sparse file: where each begins in the file, how long it is, where it is stored.
    pieces: Option<Vec<(u64, u64, u64)>>,
    archive: String,
}

impl NativeFile {
    /// The file that `path` leads to, links followed. `archive` is for messages.
    pub(crate) fn open(tree: &Tree, path: &[u8], archive: &str) -> Result<Self, Failure> {
        // Refuses what is missing, is not a regular file, or expands too far.
        tree.file(path)?;
        let found = tree.lookup(path, true).ok().flatten();
        let inode = found.map(|node| tree.inode(tree.inode_id(node)));
        let body = inode.map(|inode| tree.file_body(inode)).transpose()?;
        let body = body
            .flatten()
            .ok_or_else(|| Failure::input("the file has no bytes"))?;
        Ok(Self::of(&body, archive))
    }

    /// The file with these bytes.
    fn of(body: &FileBody<'_>, archive: &str) -> Self {
        let pieces = body.sparse.map(|map| {
            let mut stored = map.map_len;
            let spans = map.spans.iter();
            spans
                .map(|span| {
                    let at = stored;
                    stored = stored.saturating_add(span.len);
                    (span.offset, span.len, at)
                })
                .collect()
        });
        Self {
            size: body.size,
            stored: body.stored.clone(),
            pieces,
            archive: archive.to_owned(),
        }
    }

    /// Fills `buf` from `offset` on, up to the end of the file; how much was filled.
    pub(crate) fn fill(&self, buf: &mut [u8], offset: u64) -> Result<usize, Failure> {
        let left = self.size.saturating_sub(offset);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = &mut buf[..want];
        let Some(pieces) = &self.pieces else {
            return Ok(self.stored.read_at(buf, offset)?);
        };
        let mut filled = 0;
        while filled < want {
            let at = offset + filled as u64;
            let room = &mut buf[filled..];
            // The last stretch that begins here or before, and the first behind it.
            let next = pieces.partition_point(|(begin, ..)| *begin <= at);
            let data = next.checked_sub(1).map(|i| pieces[i]);
            let data = data.filter(|(begin, len, _)| at - begin < *len);
            let stretch = match data {
                Some((begin, len, _)) => len - (at - begin),
                None => pieces
                    .get(next)
                    .map_or(self.size, |(begin, ..)| *begin)
                    .saturating_sub(at),
            };
            let n = usize::try_from(stretch)
                .unwrap_or(usize::MAX)
                .min(room.len());
            match data {
                Some((begin, _, stored)) => {
                    self.stored.read_at(&mut room[..n], stored + (at - begin))?;
                }
                None => room[..n].fill(0),
            }
            filled += n;
            if n == 0 {
                break;
            }
        }
        Ok(filled)
    }

    /// At most so many bytes from `offset` on.
    fn take(&self, offset: u64, len: usize) -> Result<Vec<u8>, Failure> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let mut bytes = Vec::new();
        let reserved = bytes.try_reserve_exact(len);
        reserved.map_err(|_| {
            let error = io::Error::from(io::ErrorKind::OutOfMemory);
            Failure::system("the file cannot be kept in memory", error)
        })?;
        bytes.resize(len, 0);
        let n = self.fill(&mut bytes, offset)?;
        bytes.truncate(n);
        Ok(bytes)
    }

    /// All of it.
    pub(crate) fn all(&self) -> Result<Vec<u8>, Failure> {
        self.take(0, usize::MAX)
    }
}

#[pymethods]
impl NativeFile {
    /// How long it is, in bytes.
    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    /// At most `len` bytes from `offset` on; fewer only at the end.
    fn read_at<'py>(
        &self,
        py: Python<'py>,
        offset: u64,
        len: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.take(offset, len));
        let bytes = bytes.map_err(|failure| failure.of(&self.archive).into_py(py))?;
        Ok(PyBytes::new(py, &bytes))
    }
}
