//! The paths that a layer adds, for the one question that the lower layers cannot answer.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::apply::{Role, role};
use super::path::LayerPath;
use crate::base::limits::{Limit, Limits};
use crate::layer::Inventory;
use crate::tar::{Entry, Kind};

/// The entries of a layer, gathered only if they are asked for, which is rare.
pub(super) struct Added<'s> {
    entries: Listed<'s>,
    paths: OnceCell<Paths>,
}

/// Shows entries in order until the callee has seen enough.
pub(super) type Again<'s> = dyn Fn(&mut dyn FnMut(&Entry) -> bool) + 's;

/// Where the entries are.
enum Listed<'s> {
    /// Where they have to be gone over again.
    Again(&'s Again<'s>, u64, u64),
    /// Noted when the layer was read.
    Noted(&'s Inventory),
}

/// Every path of the entries and of the directories above them.
#[derive(Default)]
struct Paths {
    children: HashMap<(u32, Box<[u8]>), u32>,
    nodes: Vec<NamedPath>,
    /// The path that was added last and its nodes: what the next one has in common is not looked up.
    last: Vec<u8>,
    on_the_way: Vec<(usize, u32)>,
    /// How many names were looked up.
    steps: u64,
}

/// What the entries say of one path.
#[derive(Clone, Copy, Default)]
struct NamedPath {
    /// There is an entry for it.
    listed: bool,
    /// One of them is something other than a directory.
    other: bool,
}

impl<'s> Added<'s> {
    /// Of entries that are read again if they are asked for. More than `limits` allow an image are not
    /// looked at.
    pub(super) fn again(entries: &'s Again<'s>, limits: &Limits) -> Self {
        Self {
            entries: Listed::Again(
                entries,
                limits.of(Limit::Entries),
                limits.of(Limit::PathSteps),
            ),
            paths: OnceCell::new(),
        }
    }

    /// Of entries that were noted.
    pub(super) fn noted(entries: &'s Inventory) -> Self {
        Self {
            entries: Listed::Noted(entries),
            paths: OnceCell::new(),
        }
    }

    /// Whether the layer replaces one of these symbolic links: by an entry of its own, or by making
    /// something else of a directory above it.
    pub(super) fn replaces_any(&self, links: &[Vec<Box<[u8]>>]) -> bool {
        let paths = self.paths.get_or_init(|| match self.entries {
            Listed::Again(again, most, most_steps) => {
                let mut paths = Paths::none();
                again(&mut |entry| {
                    if matches!(role(entry), Role::Entry) {
                        paths.add(entry);
                    }
                    paths.nodes.len() as u64 <= most && paths.steps <= most_steps
                });
                paths
            }
            Listed::Noted(inventory) => {
                let mut paths = Paths::none();
                let added = |entry: &Entry| matches!(role(entry), Role::Entry);
                for entry in inventory.entries().filter(added) {
                    paths.add(&entry);
                }
                paths
            }
        });
        links.iter().any(|link| paths.replaces(link))
    }
}

impl Paths {
    fn none() -> Self {
        Self {
            nodes: vec![NamedPath::default()],
            ..Self::default()
        }
    }

    fn add(&mut self, entry: &Entry) {
        let path = LayerPath::new(&entry.path);
        let mut begin = 0;
        let mut common = 0;
        for (name, &(end, _)) in path.components().iter().zip(&self.on_the_way) {
            if self.last[begin..end] != **name {
                break;
            }
            begin = end;
            common += 1;
        }
        self.last.truncate(begin);
        self.on_the_way.truncate(common);
        let mut node = self.on_the_way.last().map_or(0, |(_, node)| *node);
        for name in &path.components()[common..] {
            let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            node = *self.children.entry((node, (*name).into())).or_insert(next);
            if node == next {
                self.nodes.push(NamedPath::default());
            }
            self.last.extend_from_slice(name);
            self.on_the_way.push((self.last.len(), node));
            self.steps += 1;
        }
        let named = &mut self.nodes[node as usize];
        named.listed = true;
        named.other |= entry.kind != Kind::Directory;
    }

    fn replaces(&self, link: &[Box<[u8]>]) -> bool {
        let mut node = 0;
        for (i, name) in link.iter().enumerate() {
            let Some(&next) = self.children.get(&(node, name.clone())) else {
                return false;
            };
            node = next;
            let named = self.nodes[node as usize];
            let last = i + 1 == link.len();
            if named.other || (last && named.listed) {
                return true;
            }
        }
        false
    }
}
