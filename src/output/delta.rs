//! The changes between two trees as a layer.
//!
//! The layer is made of what all engines apply alike (`docs/layers.md`, "The difference of two
//! trees"): a directory comes before what is in it, also one that is listed only for what is in it;
//! what was removed has one whiteout; no directory is opaque; what replaces something else needs
//! no whiteout; and hard links lead to files of the same layer.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use super::entries::fields;
use super::error::{WriteError, spool};
use super::header::HeaderFields;
use super::layout::OutputLayer;
use super::tar::TarWriter;
use crate::base::constants::WHITEOUT;
use crate::base::progress::Progress;
use crate::layer::NewLayer;
use crate::tar::Mtime;
use crate::tree::{Change, Delta, InodeId, NodeId, Tree, is_reserved};

/// Writes `delta`, whose upper tree is `upper`, as an uncompressed layer to an unnamed temporary file.
/// The same trees give the same bytes.
///
/// # Errors
///
/// [`WriteError::WhiteoutName`] if a name cannot be in a layer, [`WriteError::Read`] if a body cannot
/// be read, [`WriteError::Spool`].
pub fn spool_delta(
    upper: &Tree,
    delta: &Delta,
    progress: &dyn Progress,
) -> Result<OutputLayer, WriteError> {
    spool_layer(upper, |layer| write_delta(upper, delta, layer, progress))
}

/// Keeps what `write` writes, a new layer of `tree`, in an unnamed temporary file.
pub(super) fn spool_layer(
    tree: &Tree,
    write: impl FnOnce(NewLayer) -> Result<NewLayer, WriteError>,
) -> Result<OutputLayer, WriteError> {
    let layer = NewLayer::new(tree.limits()).map_err(spool)?;
    // What is written here is not the output.
    let layer = write(layer).map_err(|error| match error {
        WriteError::Write(error) => spool(error),
        other => other,
    })?;
    let (tar, proof) = layer.finish().map_err(spool)?;
    Ok(OutputLayer::new(&tar, proof))
}

/// Writes the layer to `out`.
fn write_delta<W: Write>(
    upper: &Tree,
    delta: &Delta,
    out: W,
    progress: &dyn Progress,
) -> Result<W, WriteError> {
    let task = progress.begin("writing the layer", None);
    let mut writer = TarWriter::new(out);
    let shared = shared_inodes(upper, delta);
    let mut first: HashMap<InodeId, NodeId> = HashMap::new();
    let mut path = Vec::new();
    for change in delta.changes() {
        let Some(node) = change.node else {
            write_whiteout(&mut writer, &change)?;
            continue;
        };
        refuse_reserved(&change)?;
        let id = upper.inode_id(node);
        let inode = upper.inode(id);
        path.clear();
        path.extend_from_slice(&change.path);
        let fields = fields(inode);
        if let Some(&target) = first.get(&id) {
            let target = upper.path(target);
            writer.header(&HeaderFields {
                path: &path,
                typeflag: b'1',
                link: &target,
                size: 0,
                device: (0, 0),
                ..fields
            })?;
            continue;
        }
        if shared.contains(&id) {
            first.insert(id, node);
        }
        if fields.typeflag == b'5' {
            // The root's own entry is `./`.
            path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
        }
        writer.header(&HeaderFields {
            path: &path,
            ..fields
        })?;
        if let Some(body) = upper.file_body(inode)? {
            writer.body(&body)?;
            task.advance(body.size);
        }
    }
    let (out, _) = writer.finish()?;
    Ok(out)
}

/// A whiteout has no meaning beyond its name, so everything else is zero, as containerd writes it.
fn write_whiteout<W: Write>(writer: &mut TarWriter<W>, change: &Change) -> Result<(), WriteError> {
    refuse_reserved(change)?;
    let (directory, name) = split(&change.path);
    writer.header(&HeaderFields {
        path: &[directory, WHITEOUT, name].concat(),
        typeflag: b'0',
        link: &[],
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Mtime::default(),
        device: (0, 0),
        xattrs: &[],
    })
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
fn shared_inodes(upper: &Tree, delta: &Delta) -> HashSet<InodeId> {
    let mut seen = vec![false; upper.inode_count()];
    delta
        .nodes()
        .map(|node| upper.inode_id(node))
        .filter(|id| std::mem::replace(&mut seen[id.index()], true))
        .collect()
}
