//! Files of the merged tree, the largest first: all together, or those of each directory.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use super::listing::{Listing, ListingPlace, NameTrail, See, ShortName, TreeListing};
use super::ls::LsEntry;
use crate::layer::LayerError;
use crate::tree::NodeId;

/// Files sorted by size.
#[derive(Debug)]
pub struct BySize<'t, 'l> {
    listing: &'l TreeListing<'t>,
    kept: Vec<SortedFile<'t>>,
    /// Of each start.
    trails: Vec<NameTrail<'t>>,
}

/// What is kept of a file while files are sorted.
#[derive(Clone, Copy, Debug)]
struct SortedFile<'t> {
    size: u64,
    name: ShortName<'t>,
    start: u32,
    node: NodeId,
    depth: u32,
    /// Whether nothing follows it in its directory.
    last: bool,
    /// Whether it has an earlier name.
    link: bool,
}

impl<'t, 'l> BySize<'t, 'l> {
    /// All files together; those of one size stay in their order.
    pub(super) fn of(listing: &'l TreeListing<'t>) -> Self {
        let mut sorted = Self::gathered(listing);
        sorted.kept.sort_by_key(|kept| Reverse(kept.size));
        sorted
    }

    /// The files of each directory by themselves, for a drawing.
    pub(super) fn drawn(listing: &'l TreeListing<'t>) -> Self {
        let mut sorted = Self::gathered(listing);
        let starts = sorted.kept.chunk_by(|a, b| a.start == b.start);
        let in_order = starts.flat_map(|files| {
            let last_start = files.first().is_some_and(|file| {
                let next = file.start as usize + 1;
                next == sorted.trails.len()
            });
            let order = siblings_by_size(files, last_start);
            order
                .into_iter()
                .map(|(at, last)| SortedFile { last, ..files[at] })
        });
        sorted.kept = in_order.collect();
        sorted
    }

    /// All files in the order of the walk.
    fn gathered(listing: &'l TreeListing<'t>) -> Self {
        let mut kept = Vec::new();
        let mut trails = Vec::with_capacity(listing.starts.len());
        for (start, number) in (0..listing.starts.len()).zip(0..) {
            let mut trail = NameTrail::default();
            // Nothing ends it early.
            _ = listing.tour(start, &mut trail, &mut |met, trail| {
                kept.push(SortedFile {
                    size: met.size,
                    name: trail.name_here(met.name),
                    start: number,
                    node: met.node,
                    // No path has so many parts.
                    depth: u32::try_from(met.place.depth).unwrap_or(u32::MAX),
                    last: met.place.last,
                    link: met.first.is_some(),
                });
                ControlFlow::Continue(())
            });
            trails.push(trail);
        }
        Self {
            listing,
            kept,
            trails,
        }
    }
}

/// The order in which files that stand in the order of a walk are drawn, the largest of each directory first, and
/// whether each is the last of its directory. Those of one size stay in their order.
fn siblings_by_size(files: &[SortedFile<'_>], last_start: bool) -> Vec<(usize, bool)> {
    // Where what is below each of them ends.
    let mut ends = vec![files.len(); files.len()];
    let mut open: Vec<usize> = Vec::new();
    for (at, file) in files.iter().enumerate() {
        while let Some(above) = open.pop_if(|above| files[*above].depth >= file.depth) {
            ends[above] = at;
        }
        open.push(at);
    }
    let mut order = Vec::with_capacity(files.len());
    let mut due = Vec::new();
    let put = |due: &mut Vec<(usize, bool)>, mut at: usize, end: usize, last: bool| {
        let begin = due.len();
        while at < end {
            due.push((at, false));
            at = ends[at];
        }
        // What is taken first stands at the end.
        due[begin..].sort_unstable_by_key(|(at, _)| (files[*at].size, Reverse(*at)));
        if let Some(first) = due.get_mut(begin) {
            first.1 = last;
        }
    };
    put(&mut due, 0, files.len(), last_start);
    while let Some((at, last)) = due.pop() {
        order.push((at, last));
        put(&mut due, at + 1, ends[at], true);
    }
    order
}

impl Listing for BySize<'_, '_> {
    fn each(&self, see: See<'_>) -> Result<(), LayerError> {
        let tree = self.listing.tree;
        let (mut path, mut first) = (Vec::new(), Vec::new());
        for kept in &self.kept {
            let number = kept.start as usize;
            let start = &self.listing.starts[number].path;
            let trail = &self.trails[number];
            path.clone_from(start);
            trail.append_path(kept.name, &mut path);
            let id = tree.inode_id(kept.node);
            first.clone_from(start);
            if let Some(name) = trail.firsts.get(&id).filter(|_| kept.link) {
                trail.append_path(*name, &mut first);
            }
            let first = kept.link.then_some(&first[..]);
            let layer = tree.layer_of(kept.node);
            let mut entry = LsEntry::of_inode(&path, tree.inode(id), first, layer);
            entry.size = kept.size;
            let place = ListingPlace {
                depth: kept.depth as usize,
                last: kept.last,
            };
            if see(&entry, place).is_break() {
                break;
            }
        }
        Ok(())
    }
}
