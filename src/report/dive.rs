//! The figures that `dive` gives for an image.
//!
//! Pipelines have limits on dive's figures (`.dive-ci`), so they are computed as dive 0.13 computes them, where
//! that is odd too: what it calls wasted counts the file that is visible as well, a deleted directory counts
//! only if it was empty or is written again, and opaque whiteouts count as nothing. The rules were read from
//! dive's source (`dive/filetree/efficiency.go`, `file_tree.go`, `file_node.go`, `image_archive.go`); its tests'
//! figures for an image are a test here. `docs/waste.md` compares both.
//!
//! Threats: layers with many entries and long paths. Names are counted as entries, and paths have the length that
//! they may have anywhere, so that what the merge refuses is not kept here. Adding up deleted directories
//! can take as many steps as there are directories in one another times files, so these are counted.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::constants::{AUFS, WHITEOUT};
use crate::base::digest::Hasher;
use crate::base::limits::{Limit, Limits};
use crate::layer::LayerTar;
use crate::tar::{Entry, Kind, Positioned, Walker};

/// dive's figures for an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiveFigures {
    /// Its `efficiency`, from 0 to 1: the sum of the smallest size of each path, divided by the sum of all sizes.
    pub efficiency: f64,
    /// Its `wastedBytes`: all sizes of each path that more than one layer has.
    pub wasted_bytes: u64,
    /// Its `userWastedPercent`, as a ratio: `wasted_bytes` divided by `user_size`; `null` if the latter is 0.
    pub user_wasted_percent: Option<f64>,
    /// Its `sizeBytes`: the sizes of all entries.
    pub size: u64,
    /// The same without the first layer.
    pub user_size: u64,
}

/// A name in one of dive's trees.
#[derive(Clone, Debug, Default)]
struct Node {
    /// By name, in the order of their bytes, which is the order in which dive visits them.
    children: BTreeMap<Box<[u8]>, u32>,
    size: u64,
    is_directory: bool,
}

/// One of dive's trees. What is removed stays in the list, and is not reached any more.
#[derive(Clone, Debug)]
struct Paths {
    nodes: Vec<Node>,
    /// Whether any name is that of a whiteout.
    has_whiteouts: bool,
}

const ROOT: u32 = 0;

impl Paths {
    fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            has_whiteouts: false,
        }
    }

    fn at(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    fn at_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    /// The node for a name in a directory, which is made if it is not there. dive makes none whose name
    /// begins like that of aufs' own files, opaque whiteouts among them.
    fn child(&mut self, directory: u32, name: &[u8]) -> Option<u32> {
        if let Some(&child) = self.at(directory).children.get(name) {
            return Some(child);
        }
        if name.starts_with(AUFS) {
            return None;
        }
        let child = u32::try_from(self.nodes.len()).ok()?;
        self.nodes.push(Node::default());
        let children = &mut self.at_mut(directory).children;
        children.insert(name.into(), child);
        self.has_whiteouts |= name.starts_with(WHITEOUT);
        Some(child)
    }

    /// What a layer's entries say, later ones over earlier ones, as one tree; and the sum of all sizes.
    fn add(&mut self, entry: &Entry) -> u64 {
        let names = cleaned(&entry.path);
        if names.is_empty() && !entry.path.starts_with(b"/") {
            return 0;
        }
        let mut at = ROOT;
        for name in &names {
            let Some(child) = self.child(at, name) else {
                return entry.size;
            };
            at = child;
        }
        if at != ROOT {
            let node = self.at_mut(at);
            node.size = entry.size;
            node.is_directory = entry.kind == Kind::Directory;
        }
        entry.size
    }

    /// Goes through all nodes but the root: children before their parents, names in the order of their bytes.
    /// `see` is told about each on the way down and on the way up, and may end it.
    fn visit<'p>(&'p self, mut see: impl FnMut(Step<'p, '_>) -> bool) {
        let mut path: Vec<u8> = Vec::new();
        // The node, its name, how long the path is without it, and those of its children that are left.
        let mut open = vec![(ROOT, &b""[..], 0, self.at(ROOT).children.iter())];
        while let Some((node, name, length, children)) = open.last_mut() {
            if let Some((child, &number)) = children.next() {
                let length = path.len();
                path.push(b'/');
                path.extend_from_slice(child);
                open.push((number, child, length, self.at(number).children.iter()));
                see(Step::Down(child));
                continue;
            }
            let (node, name, length) = (*node, *name, *length);
            path.truncate(length);
            open.pop();
            let parent = &path;
            if node != ROOT && !see(Step::Up { node, parent, name }) {
                return;
            }
        }
    }

    /// The sizes of a node and of everything below it; `None` if that took more than `steps`.
    fn sum(&self, node: u32, steps: &mut u64) -> Option<u64> {
        let (mut sum, mut open) = (0_u64, vec![node]);
        while let Some(node) = open.pop() {
            *steps = steps.checked_sub(1)?;
            sum = sum.saturating_add(self.at(node).size);
            open.extend(self.at(node).children.values());
        }
        Some(sum)
    }

    /// Puts a layer's tree on top of this one.
    fn stack(&mut self, upper: &Self) {
        let mut here = Trail::new();
        upper.visit(|step| {
            match step {
                Step::Down(name) => here.down(self, name),
                Step::Up { node, name, .. } => {
                    here.up();
                    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
                        if let Some(parent) = here.last() {
                            self.at_mut(parent).children.remove(hidden);
                        }
                    } else if let Some(here) = here.made(self).and_then(|at| self.child(at, name)) {
                        let (here, from) = (self.at_mut(here), upper.at(node));
                        here.size = from.size;
                        here.is_directory = from.is_directory;
                    }
                }
            }
            true
        });
    }
}

/// A step of a visit.
enum Step<'p, 'v> {
    /// To a child of this name.
    Down(&'p [u8]),
    /// Away from a node, after its children.
    Up {
        node: u32,
        /// The path of its parent, each name with a slash before it.
        parent: &'v [u8],
        name: &'p [u8],
    },
}

/// Where a visit of one tree is in another one: the names from the root on, and the nodes, where there are any.
struct Trail<'p>(Vec<(&'p [u8], Option<u32>)>);

impl<'p> Trail<'p> {
    fn new() -> Self {
        Self(vec![(b"", Some(ROOT))])
    }

    fn last(&self) -> Option<u32> {
        self.0.last().and_then(|(_, node)| *node)
    }

    fn down(&mut self, tree: &Paths, name: &'p [u8]) {
        let node = self
            .last()
            .and_then(|at| tree.at(at).children.get(name).copied());
        self.0.push((name, node));
    }

    fn up(&mut self) {
        self.0.pop();
    }

    /// The node where the visit is, made if it is not there.
    fn made(&mut self, tree: &mut Paths) -> Option<u32> {
        let known = self.0.iter().rposition(|(_, node)| node.is_some())?;
        for at in known + 1..self.0.len() {
            let parent = self.0[at - 1].1?;
            self.0[at].1 = tree.child(parent, self.0[at].0);
        }
        self.last()
    }
}

/// The names of a path as Go's `path.Clean` leaves them.
fn cleaned(path: &[u8]) -> Vec<&[u8]> {
    let is_rooted = path.first() == Some(&b'/');
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&b| b == b'/') {
        match name {
            b"" | b"." => {}
            b".." if names.last().is_some_and(|last| *last != b"..") => _ = names.pop(),
            b".." if is_rooted => {}
            name => names.push(name),
        }
    }
    names
}

/// What dive sees while it goes through the layers.
struct Seen {
    /// The beginning of the SHA-256 of a path, and a size that it had: 128 bits tell paths apart, whoever chooses
    /// them, in less memory than the paths take.
    sizes: Vec<([u64; 2], u64)>,
    /// How many more steps may be taken.
    steps: u64,
}

impl Seen {
    /// Notes the leaves of a layer's tree, which lies on top of another; `None` if there were too many steps.
    fn look(&mut self, layer: &Paths, below: &Paths) -> Option<()> {
        let mut here = Trail::new();
        let mut is_complete = true;
        layer.visit(|step| {
            let (node, parent, name) = match step {
                Step::Down(name) => {
                    here.down(below, name);
                    return true;
                }
                Step::Up { node, parent, name } => (node, parent, name),
            };
            here.up();
            if !layer.at(node).children.is_empty() {
                return true;
            }
            let Some(hidden) = name.strip_prefix(WHITEOUT) else {
                self.note([parent, b"/", name], layer.at(node).size);
                return true;
            };
            let directory = here.last().map(|at| &below.at(at).children);
            let Some(&deleted) = directory.and_then(|names| names.get(hidden)) else {
                // dive ends with this layer where it does not find what is deleted.
                return false;
            };
            let mut bytes = 0;
            if below.at(deleted).is_directory {
                match below.sum(deleted, &mut self.steps) {
                    Some(sum) => bytes = sum,
                    None => is_complete = false,
                }
            }
            self.note([parent, b"/", hidden], bytes);
            is_complete
        });
        is_complete.then_some(())
    }

    fn note(&mut self, path: [&[u8]; 3], bytes: u64) {
        let mut hasher = Hasher::sha256();
        for part in path {
            hasher.update(part);
        }
        let digest = hasher.finish();
        let word = |at| {
            let digits = digest.encoded().get(at..at + 16);
            u64::from_str_radix(digits.unwrap_or_default(), 16).unwrap_or_default()
        };
        self.sizes.push(([word(0), word(16)], bytes));
    }

    /// What dive calls wasted, the smallest sizes of all paths, and all sizes of all paths.
    fn sums(mut self) -> (u64, u64, u64) {
        self.sizes.sort_unstable();
        let (mut wasted, mut least, mut all) = (0_u64, 0_u64, 0_u64);
        for of_path in self.sizes.chunk_by(|(one, _), (other, _)| one == other) {
            let sum = of_path.iter().map(|(_, bytes)| *bytes);
            let sum = sum.fold(0, u64::saturating_add);
            if of_path.len() > 1 {
                wasted = wasted.saturating_add(sum);
            }
            // They are in order.
            least = least.saturating_add(of_path[0].1);
            all = all.saturating_add(sum);
        }
        (wasted, least, all)
    }
}

impl DiveFigures {
    /// Computes them for the tars of an image's layers, base first; `None` if these have more names, longer paths or
    /// need more steps than the limits allow for a merge, or if a header cannot be read, which the merge says.
    pub fn of(layers: &[LayerTar], limits: &Limits) -> Option<Self> {
        let mut below = Paths::new();
        let mut names = limits.of(Limit::Entries);
        let mut seen = Seen {
            sizes: Vec::new(),
            steps: limits.of(Limit::PathSteps),
        };
        let (mut size, mut user_size) = (0_u64, 0_u64);
        for (index, tar) in layers.iter().enumerate() {
            let mut layer = Paths::new();
            let mut walker = Walker::new(Positioned::new(tar.bytes().clone()));
            while let Some(entry) = walker.next_entry().ok()? {
                if entry.path.len() as u64 > limits.of(Limit::Path) {
                    return None;
                }
                let before = layer.nodes.len();
                let bytes = layer.add(&entry);
                names = names.checked_sub((layer.nodes.len() - before) as u64)?;
                size = size.saturating_add(bytes);
                if index > 0 {
                    user_size = user_size.saturating_add(bytes);
                }
            }
            if index > 0 {
                seen.look(&layer, &below)?;
                below.stack(&layer);
                continue;
            }
            // dive looks for what the first layer deletes in that layer itself, then puts the layer on top of
            // itself. Without whiteouts that changes nothing; most images have no second tree of this size.
            seen.look(&layer, &layer)?;
            let above = layer.has_whiteouts.then(|| layer.clone());
            below = layer;
            if let Some(above) = above {
                below.stack(&above);
            }
        }
        drop(below);
        let (wasted_bytes, least, sum) = seen.sums();
        Some(Self {
            efficiency: if sum == 0 { 1.0 } else { ratio(least, sum) },
            wasted_bytes,
            user_wasted_percent: (user_size > 0).then(|| ratio(wasted_bytes, user_size)),
            size,
            user_size,
        })
    }
}

/// One number through another that is not 0, as dive divides them.
#[expect(clippy::cast_precision_loss, reason = "dive computes in f64 too")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, want) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("/a/../b", "b"),
            ("../a", "../a"),
            ("/../a", "a"),
            ("a/../../b", "../b"),
            (".", ""),
            ("/", ""),
        ] {
            assert_eq!(
                cleaned(path.as_bytes()).join(&b'/'),
                want.as_bytes(),
                "{path}"
            );
        }
    }
}
