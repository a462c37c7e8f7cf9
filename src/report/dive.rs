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

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::base::constants::{AUFS, WHITEOUT};
use crate::base::limits::{Limit, Limits};
use crate::layer::LayerTar;
use crate::tar::{Entry, Kind, Positioned, Walker};

/// What dive says of an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiveFigures {
    /// Its `efficiency`, from 0 to 1: for each path the smallest size it ever has, through all its sizes.
    pub efficiency: f64,
    /// Its `wastedBytes`: all sizes of each path that more than one layer has.
    pub wasted_bytes: u64,
    /// Its `userWastedPercent`, as a ratio: `wasted_bytes` through `user_size`; `null` if that is 0.
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
    children: BTreeMap<Box<[u8]>, usize>,
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

const ROOT: usize = 0;

impl Paths {
    fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            has_whiteouts: false,
        }
    }

    /// The node for a name in a directory, which is made if it is not there. dive makes none whose name
    /// begins like that of aufs' own files, opaque whiteouts among them.
    fn child(&mut self, directory: usize, name: &[u8]) -> Option<usize> {
        if let Some(&child) = self.nodes[directory].children.get(name) {
            return Some(child);
        }
        if name.starts_with(AUFS) {
            return None;
        }
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[directory].children.insert(name.into(), child);
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
            self.nodes[at].size = entry.size;
            self.nodes[at].is_directory = entry.kind == Kind::Directory;
        }
        entry.size
    }

    /// Goes through all nodes but the root: children before their parents, names in the order of their bytes.
    /// `see` is told about each on the way down and on the way up, and may end it.
    fn visit<'p>(&'p self, mut see: impl FnMut(Step<'p, '_>) -> bool) {
        let mut path: Vec<u8> = Vec::new();
        // The node, its name, how long the path is without it, and those of its children that are left.
        let mut open = vec![(ROOT, &b""[..], 0, self.nodes[ROOT].children.iter())];
        while let Some((node, name, length, children)) = open.last_mut() {
            if let Some((child, &number)) = children.next() {
                let length = path.len();
                path.push(b'/');
                path.extend_from_slice(child);
                open.push((number, child, length, self.nodes[number].children.iter()));
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
    fn sum(&self, node: usize, steps: &mut u64) -> Option<u64> {
        let (mut sum, mut open) = (0_u64, vec![node]);
        while let Some(node) = open.pop() {
            *steps = steps.checked_sub(1)?;
            sum = sum.saturating_add(self.nodes[node].size);
            open.extend(self.nodes[node].children.values());
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
                            self.nodes[parent].children.remove(hidden);
                        }
                    } else if let Some(here) = here.made(self).and_then(|at| self.child(at, name)) {
                        self.nodes[here].size = upper.nodes[node].size;
                        self.nodes[here].is_directory = upper.nodes[node].is_directory;
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
        node: usize,
        /// The path of its parent, each name with a slash before it.
        parent: &'v [u8],
        name: &'p [u8],
    },
}

/// Where a visit of one tree is in another one: the names from the root on, and the nodes, where there are any.
struct Trail<'p>(Vec<(&'p [u8], Option<usize>)>);

impl<'p> Trail<'p> {
    fn new() -> Self {
        Self(vec![(b"", Some(ROOT))])
    }

    fn last(&self) -> Option<usize> {
        self.0.last().and_then(|(_, node)| *node)
    }

    fn down(&mut self, tree: &Paths, name: &'p [u8]) {
        let node = self
            .last()
            .and_then(|at| tree.nodes[at].children.get(name).copied());
        self.0.push((name, node));
    }

    fn up(&mut self) {
        self.0.pop();
    }

    /// The node where the visit is, made if it is not there.
    fn made(&mut self, tree: &mut Paths) -> Option<usize> {
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

/// What is known of a path.
struct OfPath {
    count: u32,
    sum: u64,
    least: u64,
}

/// What dive sees while it goes through the layers.
struct Seen {
    paths: HashMap<Box<[u8]>, OfPath>,
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
            if !layer.nodes[node].children.is_empty() {
                return true;
            }
            let Some(hidden) = name.strip_prefix(WHITEOUT) else {
                self.note([parent, b"/", name].concat(), layer.nodes[node].size);
                return true;
            };
            let directory = here.last().map(|at| &below.nodes[at].children);
            let Some(&deleted) = directory.and_then(|names| names.get(hidden)) else {
                // dive ends with this layer where it does not find what is deleted.
                return false;
            };
            let mut bytes = 0;
            if below.nodes[deleted].is_directory {
                match below.sum(deleted, &mut self.steps) {
                    Some(sum) => bytes = sum,
                    None => is_complete = false,
                }
            }
            self.note([parent, b"/", hidden].concat(), bytes);
            is_complete
        });
        is_complete.then_some(())
    }

    fn note(&mut self, path: Vec<u8>, bytes: u64) {
        let known = self.paths.entry(path.into()).or_insert(OfPath {
            count: 0,
            sum: 0,
            least: u64::MAX,
        });
        known.count += 1;
        known.sum = known.sum.saturating_add(bytes);
        known.least = known.least.min(bytes);
    }
}

impl DiveFigures {
    /// Computes them for the tars of an image's layers, base first; `None` if these have more names, longer paths or
    /// need more steps than the limits allow for a merge, or if a header cannot be read, which the merge says.
    pub fn of(layers: &[LayerTar], limits: &Limits) -> Option<Self> {
        let mut below = Paths::new();
        let mut names = limits.of(Limit::Entries);
        let mut seen = Seen {
            paths: HashMap::new(),
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
        let mut wasted_bytes = 0_u64;
        let (mut least, mut sum) = (0_u64, 0_u64);
        for path in seen.paths.values() {
            if path.count > 1 {
                wasted_bytes = wasted_bytes.saturating_add(path.sum);
            }
            least = least.saturating_add(path.least);
            sum = sum.saturating_add(path.sum);
        }
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
