//! The changes between two trees as a layer.
//!
//! The layer is made of what all engines apply alike (`docs/layers.md`, "The difference of two
//! trees"): a directory comes before what is in it, also one that is listed only for what is in it;
//! what was removed has one whiteout; no directory is opaque; what replaces something else needs
//! no whiteout; and hard links lead to files of the same layer.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use super::entries::{EntryContent, content, fields, hard_link};
use super::error::WriteError;
use super::header::HeaderFields;
use super::layout::OutputLayer;
use super::tar::TarWriter;
use crate::base::constants::WHITEOUT;
use crate::base::progress::{Progress, steps};
use crate::layer::LayerTar;
use crate::layer::digest::Prover;
use crate::tar::Mtime;
use crate::tree::{Change, InodeId, NodeId, Tree, TreeDelta, is_reserved};

/// The changes between two trees as an uncompressed layer.
///
/// Its bytes are not kept: they are made from the upper tree each time they are needed, once for the digest
/// that names the layer and once for the archive. Reading the files twice takes less time than writing them
/// to a temporary file in between.
///
/// The same trees give the same bytes.
#[derive(Debug)]
pub struct DeltaLayer {
    upper: Arc<Tree>,
    delta: Arc<TreeDelta>,
    /// Files of which the layer has more than one name.
    shared: HashSet<InodeId>,
    /// In bytes, the end of the tar included.
    len: u64,
}

impl DeltaLayer {
    /// The layer of `delta`, whose upper tree is `upper`; it has no entries if nothing differs. It is made
    /// once here, for its diff ID.
    ///
    /// # Errors
    ///
    /// [`WriteError::WhiteoutName`] if a name cannot be in a layer, [`WriteError::Read`] if a body cannot
    /// be read.
    pub fn prove(
        upper: Arc<Tree>,
        delta: Arc<TreeDelta>,
        progress: &dyn Progress,
    ) -> Result<OutputLayer, WriteError> {
        let shared = shared_inodes(&upper, &delta);
        let mut layer = Self {
            upper,
            delta,
            shared,
            len: 0,
        };
        let task = progress.begin(steps::MAKING_LAYER, None);
        let mut writer = TarWriter::new(Proving(Prover::sha256()));
        layer.write(&mut writer, |n| task.advance(n))?;
        let (Proving(prover), len) = writer.close()?;
        layer.len = len;
        Ok(OutputLayer::made(layer, prover.finish()))
    }

    /// Its length in bytes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "the end of a tar is never empty"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The tars that its files are in.
    pub(super) fn layers(&self) -> &[LayerTar] {
        self.upper.layers()
    }

    /// Appends all of it to `writer`; `told` hears of every body.
    pub(super) fn write<W: Write>(
        &self,
        writer: &mut TarWriter<W>,
        told: impl Fn(u64),
    ) -> Result<(), WriteError> {
        self.each(|fields, content| {
            writer.header(fields)?;
            if let Some(content) = content {
                writer.body(&content.body)?;
                told(content.body.size);
            }
            Ok(())
        })?;
        writer.end()
    }

    /// Shows every entry to `see`, with its content if it has any.
    pub(super) fn each<'t>(
        &'t self,
        mut see: impl FnMut(&HeaderFields<'_>, Option<&EntryContent<'t>>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let upper = &self.upper;
        // The name under which each file with several names was written first.
        let mut first: HashMap<InodeId, NodeId> = HashMap::new();
        let mut path = Vec::new();
        for change in self.delta.changes() {
            refuse_reserved(&change)?;
            let Some(node) = change.node else {
                see(&whiteout(&whiteout_path(&change.path)), None)?;
                continue;
            };
            let id = upper.inode_id(node);
            let inode = upper.inode(id);
            path.clear();
            path.extend_from_slice(&change.path);
            let fields = fields(inode);
            if let Some(&target) = first.get(&id) {
                let target = upper.path(target);
                see(&hard_link(&path, &target, fields), None)?;
                continue;
            }
            if self.shared.contains(&id) {
                first.insert(id, node);
            }
            if fields.typeflag == b'5' {
                // The root's own entry is `./`.
                path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
            }
            let named = HeaderFields {
                path: &path,
                ..fields
            };
            see(&named, content(upper, inode)?.as_ref())?;
        }
        Ok(())
    }
}

/// Proves what is written to it and keeps nothing.
#[derive(Debug)]
struct Proving(Prover);

impl Write for Proving {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.take(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A whiteout has no meaning beyond its name, so everything else is zero, as containerd writes it.
fn whiteout(path: &[u8]) -> HeaderFields<'_> {
    HeaderFields {
        path,
        typeflag: b'0',
        link: &[],
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Mtime::default(),
        device: (0, 0),
        xattrs: &[],
    }
}

/// The path of the whiteout that hides `path`.
fn whiteout_path(path: &[u8]) -> Vec<u8> {
    let (directory, name) = split(path);
    [directory, WHITEOUT, name].concat()
}

/// A directory on the way has been refused before what is in it.
fn refuse_reserved(change: &Change) -> Result<(), WriteError> {
    if is_reserved(split(&change.path).1) {
        return Err(WriteError::WhiteoutName {
            path: change.path.to_vec(),
        });
    }
    Ok(())
}

/// The directory with its slash, and the name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|&b| b == b'/');
    path.split_at(slash.map_or(0, |slash| slash + 1))
}

/// Files of which the layer has more than one name.
fn shared_inodes(upper: &Tree, delta: &TreeDelta) -> HashSet<InodeId> {
    let mut seen = vec![false; upper.inode_count()];
    delta
        .nodes()
        .map(|node| upper.inode_id(node))
        .filter(|id| std::mem::replace(&mut seen[id.index()], true))
        .collect()
}
