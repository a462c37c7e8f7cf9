//! Listings of files, made while they are printed: an image may have two million.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::by_size::BySize;
use super::ls::LsEntry;
use super::sizes::Sizes;
use crate::image::Layer;
use crate::layer::{LayerError, walk_layer};
use crate::tree::{Body, InodeId, LayerPath, NodeId, Tree};

/// A callback that is shown a file; it may end the listing.
pub type See<'s> = &'s mut dyn FnMut(&LsEntry, ListingPlace) -> ControlFlow<()>;

/// Files that can be listed, as often as they are asked for.
pub trait Listing {
    /// Shows all files to `see`, one at a time.
    ///
    /// # Errors
    ///
    /// [`LayerError`] if they are read from a layer and that is damaged.
    fn each(&self, see: See<'_>) -> Result<(), LayerError>;
}

/// Where a file is in a drawing of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListingPlace {
    /// How deep: 0 for what was asked for.
    pub depth: usize,
    /// Whether nothing follows it in its directory.
    pub last: bool,
}

/// A list in JSON.
impl Serialize for dyn Listing + '_ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut written = Ok(());
        self.each(&mut |entry, _| match list.serialize_element(entry) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                written = Err(error);
                ControlFlow::Break(())
            }
        })
        .map_err(S::Error::custom)?;
        written?;
        list.end()
    }
}

impl fmt::Debug for dyn Listing + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listing")
    }
}

/// The entries of one layer, whiteouts and all, as they are stored.
#[derive(Debug)]
pub struct LayerListing<'i>(pub &'i Layer);

impl Listing for LayerListing<'_> {
    fn each(&self, see: See<'_>) -> Result<(), LayerError> {
        let mut flow = ControlFlow::Continue(());
        walk_layer(self.0, |entry| {
            if flow.is_continue() {
                let entry = LsEntry::of_entry(entry, self.0.index);
                flow = see(&entry, ListingPlace::default());
            }
        })
    }
}

/// Files of the merged tree: what some paths lead to, and what is below.
#[derive(Debug)]
pub struct TreeListing<'t> {
    pub(super) tree: &'t Tree,
    pub(super) starts: Vec<Start>,
    depth: usize,
}

/// Where a listing begins.
#[derive(Debug)]
pub(super) struct Start {
    node: NodeId,
    /// The path without slashes around it; empty for the root.
    pub(super) path: Vec<u8>,
}

impl<'t> TreeListing<'t> {
    /// Lists what `starts` are and lead to, each with the path to show for it, and what is
    /// up to `depth` directories below them. The root itself is not shown.
    pub fn new<'p>(
        tree: &'t Tree,
        starts: impl IntoIterator<Item = (NodeId, &'p [u8])>,
        depth: usize,
    ) -> Self {
        let start = |(node, path): (NodeId, &[u8])| Start {
            node,
            path: LayerPath::new(path).components().join(&b'/'),
        };
        Self {
            tree,
            starts: starts.into_iter().map(start).collect(),
            depth,
        }
    }

    /// Shows all paths, and whether they are directories. Nothing but names is gathered.
    pub fn names(&self, see: &mut dyn FnMut(&[u8], bool) -> ControlFlow<()>) {
        for start in &self.starts {
            let mut path = start.path.clone();
            if start.node != self.tree.root() {
                if see(&path, self.is_directory(start.node)).is_break() {
                    return;
                }
                path.push(b'/');
            }
            let base = path.len();
            let mut walk = self.tree.walk(start.node);
            while let Some((entry, at)) = walk.next_entry() {
                if entry.depth >= self.depth {
                    continue;
                }
                path.truncate(base);
                path.extend_from_slice(at);
                let directory = matches!(entry.inode.body, Body::Directory);
                if see(&path, directory).is_break() {
                    return;
                }
            }
        }
    }

    /// The same files, the largest first; those of one size stay in their order.
    pub fn by_size(&self) -> BySize<'t, '_> {
        BySize::of(self)
    }

    /// The same files for a drawing, the largest of each directory first.
    pub fn drawn_by_size(&self) -> BySize<'t, '_> {
        BySize::drawn(self)
    }

    fn is_directory(&self, node: NodeId) -> bool {
        let inode = self.tree.inode(self.tree.inode_id(node));
        matches!(inode.body, Body::Directory)
    }

    /// Goes through what one path leads to and what is below.
    pub(super) fn tour(
        &self,
        start: usize,
        trail: &mut NameTrail<'t>,
        see: &mut dyn FnMut(MetFile<'_, 't>, &mut NameTrail<'t>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let last_start = start + 1 == self.starts.len();
        let start = &self.starts[start];
        let sizes = Sizes::of(self.tree, start.node);
        let mut path = start.path.clone();
        let mut base = 0;
        if start.node != self.tree.root() {
            let met = MetFile {
                path: &path,
                node: start.node,
                size: sizes.directories[0],
                first: None,
                name: None,
                place: ListingPlace {
                    depth: 0,
                    last: last_start,
                },
            };
            see(met, trail)?;
            path.push(b'/');
            base = 1;
        }
        let len = path.len();
        let mut directories = sizes.directories.iter().skip(1);
        let mut first = Vec::new();
        let mut walk = self.tree.walk(start.node);
        while let Some((entry, at)) = walk.next_entry() {
            path.truncate(len);
            path.extend_from_slice(at);
            trail.open.truncate(entry.depth);
            let mut met = MetFile {
                path: &path,
                node: entry.node,
                size: 0,
                first: None,
                name: Some(entry.name),
                place: ListingPlace {
                    depth: entry.depth + base,
                    last: entry.last && (entry.depth > 0 || base > 0 || last_start),
                },
            };
            match entry.inode.body {
                Body::Directory => met.size = directories.next().copied().unwrap_or(0),
                Body::File { size, .. } => met.size = size,
                _ => {}
            }
            let directory = matches!(entry.inode.body, Body::Directory);
            if !directory && sizes.shared.has(entry.id.index()) {
                if let Some(name) = trail.firsts.get(&entry.id) {
                    first.clone_from(&start.path);
                    trail.append_path(*name, &mut first);
                    met.first = Some(&first);
                } else {
                    let name = trail.name_here(met.name);
                    trail.firsts.insert(entry.id, name);
                }
            }
            if entry.depth < self.depth {
                see(met, trail)?;
            }
            if directory {
                trail.open.push((NONE, entry.name));
            }
        }
        ControlFlow::Continue(())
    }
}

impl Listing for TreeListing<'_> {
    fn each(&self, see: See<'_>) -> Result<(), LayerError> {
        for start in 0..self.starts.len() {
            let flow = self.tour(start, &mut NameTrail::default(), &mut |met, _| {
                let inode = self.tree.inode(self.tree.inode_id(met.node));
                let layer = self.tree.layer_of(met.node);
                let mut entry = LsEntry::of_inode(met.path, inode, met.first, layer);
                entry.size = met.size;
                see(&entry, met.place)
            });
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A file on the way through a tree.
pub(super) struct MetFile<'m, 't> {
    path: &'m [u8],
    pub(super) node: NodeId,
    /// Its size; that of everything below where it is a directory.
    pub(super) size: u64,
    /// The path of its first name, if this is another one.
    pub(super) first: Option<&'m [u8]>,
    /// Its name; the start of a listing is called by its path.
    pub(super) name: Option<&'t [u8]>,
    pub(super) place: ListingPlace,
}

/// No directory: where the listing begins.
const NONE: u32 = u32::MAX;

/// A name and the number of its directory in a [`NameTrail`]: a path of four kilobytes in a few bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShortName<'t> {
    directory: u32,
    name: Option<&'t [u8]>,
}

/// The directories that [`ShortName`]s lie in.
#[derive(Debug, Default)]
pub(super) struct NameTrail<'t> {
    /// Number of the directory above, and name.
    directories: Vec<(u32, &'t [u8])>,
    /// Those that the way leads through right now; numbered once a name in them is needed.
    open: Vec<(u32, &'t [u8])>,
    /// The first names of files that have several.
    pub(super) firsts: HashMap<InodeId, ShortName<'t>>,
}

impl<'t> NameTrail<'t> {
    /// The short form of a name where the way leads through.
    pub(super) fn name_here(&mut self, name: Option<&'t [u8]>) -> ShortName<'t> {
        let numbered = self.open.iter().rposition(|(number, _)| *number != NONE);
        let mut above = numbered.map_or(NONE, |at| self.open[at].0);
        for (number, name) in &mut self.open[numbered.map_or(0, |at| at + 1)..] {
            // A tree has fewer nodes than this can count.
            *number = u32::try_from(self.directories.len()).unwrap_or(NONE);
            self.directories.push((above, name));
            above = *number;
        }
        ShortName {
            directory: above,
            name,
        }
    }

    /// Appends the full path of a name to that of the start.
    pub(super) fn append_path(&self, name: ShortName<'t>, path: &mut Vec<u8>) {
        let Some(last) = name.name else { return };
        let mut parts = vec![last];
        let mut directory = name.directory;
        while let Some((above, part)) = self.directories.get(directory as usize) {
            parts.push(part);
            directory = *above;
        }
        for part in parts.iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
    }
}
