//! A build context: a Dockerfile, and the files of layers as tars that `ADD` unpacks.
//!
//! Builders unpack such a tar without a meaning for whiteouts, so an `ADD` cannot delete. A tar of
//! [`LayerParts::Visible`] therefore holds what the merged tree has of its layer and nothing that a later
//! layer hides. Every directory on the way is in it with the attributes that it has in the end: whatever
//! was added last to a directory, its modification time and owner are right afterwards.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use super::entries::{EntryContent, content, fields, hard_link};
use super::error::WriteError;
use super::flatten::{claims, require_claims};
use super::header::{HeaderFields, encode_header};
use super::tar::{END, TarWriter};
use crate::base::options::Options;
use crate::base::progress::Progress;
use crate::image::Image;
use crate::tar::Mtime;
use crate::tree::{Body, Fate, Fates, InodeId, NodeId};

/// Which entries of a layer a tar holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerParts {
    /// Those that the merged tree has.
    Visible,
    /// All, also those that a later layer hides. Whiteouts are left out.
    All,
}

/// A layer's tar in a build context.
#[derive(Clone, Debug)]
pub struct ContextTar {
    /// Its path.
    pub path: String,
    /// The layer, base first.
    pub layer: usize,
}

/// One name of a tar.
type Name = (NodeId, InodeId);

/// What a build context is made of.
#[derive(Clone, Copy, Debug)]
pub struct BuildContext<'c> {
    /// The image.
    pub image: &'c Image,
    /// Its layers, merged with the bytes of files.
    pub fates: &'c Fates,
    /// The text of its Dockerfile.
    pub dockerfile: &'c str,
    /// The tars, in the order of their layers.
    pub tars: &'c [ContextTar],
    /// What they hold.
    pub parts: LayerParts,
}

/// Writes a build context: the Dockerfile, then the tars. All layers are verified against their diff IDs at the
/// same time. The same image gives the same bytes. Returns their number.
///
/// # Errors
///
/// [`WriteError`] if a layer is not what its diff ID says, or has none, if a file cannot be read, or if the output
/// cannot be written. What was written until then is worthless.
pub fn write_context<W: Write>(
    context: BuildContext<'_>,
    out: W,
    options: &Options<'_>,
) -> Result<u64, WriteError> {
    require_claims(context.image)?;
    let claims = claims(context.image, None);
    let write = || write(context, out, options.progress);
    claims.while_writing(options.jobs, options.progress, write)
}

fn write<W: Write>(
    context: BuildContext<'_>,
    out: W,
    progress: &dyn Progress,
) -> Result<u64, WriteError> {
    let BuildContext {
        fates,
        dockerfile,
        tars,
        parts,
        ..
    } = context;
    let task = progress.begin("writing the build context", None);
    let mut writer = TarWriter::new(out);
    writer.header(&member(b"Dockerfile", dockerfile.len() as u64))?;
    writer.bytes_body(dockerfile.as_bytes())?;
    let mut names = names(fates, tars, parts);
    // The first name of every file so far.
    let mut first = match parts {
        LayerParts::Visible => names_of_base(fates, &names),
        LayerParts::All => HashMap::new(),
    };
    let mut directories = HashSet::new();
    for tar in tars {
        let names = names.remove(&tar.layer).unwrap_or_default();
        if parts == LayerParts::All {
            // What was added before may be gone by now.
            first.clear();
        }
        directory_of(&tar.path, &mut directories, &mut writer)?;
        let mut size = END;
        let mut block = Vec::new();
        let mut seen = first.clone();
        each(fates, &names, &mut seen, |fields, content| {
            block.clear();
            encode_header(&mut block, fields);
            size += block.len() as u64;
            size += content.map_or(0, |content| content.body.size.next_multiple_of(512));
            Ok(())
        })?;
        writer.header(&member(tar.path.as_bytes(), size))?;
        each(fates, &names, &mut first, |fields, content| {
            writer.header(fields)?;
            if let Some(content) = content {
                writer.body(&content.body)?;
                task.advance(content.body.size);
            }
            Ok(())
        })?;
        writer.end()?;
    }
    Ok(writer.finish_record()?.1)
}

/// Writes the directory that a member is in, once.
fn directory_of<W: Write>(
    path: &str,
    written: &mut HashSet<String>,
    writer: &mut TarWriter<W>,
) -> Result<(), WriteError> {
    let Some((directory, _)) = path.rsplit_once('/') else {
        return Ok(());
    };
    if !written.insert(directory.to_owned()) {
        return Ok(());
    }
    let path = format!("{directory}/");
    writer.header(&HeaderFields {
        typeflag: b'5',
        mode: 0o755,
        ..member(path.as_bytes(), 0)
    })
}

/// The header of a member of the context, which nobody made at any time.
fn member(path: &[u8], size: u64) -> HeaderFields<'_> {
    HeaderFields {
        path,
        typeflag: b'0',
        link: &[],
        mode: 0o644,
        uid: 0,
        gid: 0,
        size,
        mtime: Mtime::default(),
        device: (0, 0),
        xattrs: &[],
    }
}

/// The names in each tar, a directory before what is in it.
fn names(fates: &Fates, tars: &[ContextTar], parts: LayerParts) -> HashMap<usize, Vec<Name>> {
    let mut names: HashMap<usize, Vec<Name>> = HashMap::new();
    names.extend(tars.iter().map(|tar| (tar.layer, Vec::new())));
    let tree = fates.tree();
    match parts {
        LayerParts::Visible => {
            // The directory of each layer whose way was written last, so that few are looked up twice.
            let mut ways: HashMap<usize, HashSet<NodeId>> = HashMap::new();
            let mut walk = tree.walk(tree.root());
            while let Some((entry, _)) = walk.next_entry() {
                let layer = tree.layer_of(entry.node);
                let Some(list) = names.get_mut(&layer) else {
                    continue;
                };
                let way = ways.entry(layer).or_default();
                let mut above = Vec::new();
                let mut at = tree.parent(entry.node);
                while at != tree.root() && way.insert(at) {
                    above.push((at, tree.inode_id(at)));
                    at = tree.parent(at);
                }
                list.extend(above.into_iter().rev());
                if matches!(entry.inode.body, Body::Directory) {
                    way.insert(entry.node);
                }
                list.push((entry.node, entry.id));
            }
        }
        LayerParts::All => {
            for record in fates.iter() {
                let gone = |layer| layer == record.layer;
                let is_hidden = matches!(record.fate, Fate::Hidden { layer, .. } if gone(layer));
                if record.is_entry
                    && !is_hidden
                    && record.node != tree.root()
                    && let Some(list) = names.get_mut(&(record.layer as usize))
                {
                    list.push((record.node, record.inode));
                }
            }
            for list in names.values_mut() {
                list.sort_by_cached_key(|(node, _)| fates.path(*node));
            }
        }
    }
    names
}

/// The first names of the files in layers that have no tar: those of the base image.
fn names_of_base(fates: &Fates, names: &HashMap<usize, Vec<Name>>) -> HashMap<InodeId, NodeId> {
    let tree = fates.tree();
    let mut first = HashMap::new();
    let mut walk = tree.walk(tree.root());
    while let Some((entry, _)) = walk.next_entry() {
        let is_base = !names.contains_key(&tree.layer_of(entry.node));
        if is_base && !matches!(entry.inode.body, Body::Directory) {
            first.entry(entry.id).or_insert(entry.node);
        }
    }
    first
}

/// Shows the entries of one tar; `first` has the first name of each file that was written.
fn each<'f>(
    fates: &'f Fates,
    names: &[Name],
    first: &mut HashMap<InodeId, NodeId>,
    mut see: impl FnMut(&HeaderFields<'_>, Option<&EntryContent<'f>>) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let tree = fates.tree();
    for &(node, id) in names {
        let inode = tree.inode(id);
        let mut path = fates.path(node);
        let fields = fields(inode);
        if fields.typeflag == b'5' {
            path.push(b'/');
        } else if let Some(&target) = first.get(&id) {
            let target = fates.path(target);
            see(&hard_link(&path, &target, fields), None)?;
            continue;
        } else {
            first.insert(id, node);
        }
        let entry = HeaderFields {
            path: &path,
            ..fields
        };
        see(&entry, content(tree, inode)?.as_ref())?;
    }
    Ok(())
}

/// Whether later layers than the lowest `base` delete something of those: an image on this base then cannot
/// be made by adding files alone.
pub fn deletes_of_base(fates: &Fates, base: usize) -> bool {
    let tree = fates.tree();
    fates.iter().any(|record| {
        let Fate::Hidden { layer, .. } = record.fate else {
            return false;
        };
        if (record.layer as usize) >= base || (layer as usize) < base {
            return false;
        }
        // Something else may stand there, or on the way there; adding that removes what was.
        let path = fates.path(record.node);
        let mut at = tree.root();
        for end in (0..=path.len()).filter(|end| path.get(*end).is_none_or(|b| *b == b'/')) {
            match tree.at(&path[..end]) {
                Some(node) => at = node,
                None => return matches!(tree.inode(tree.inode_id(at)).body, Body::Directory),
            }
        }
        false
    })
}
