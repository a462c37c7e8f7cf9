//! What engines refuse in the entries of one layer, and in the members of the outer tar, whatever the layers
//! below hold.

use std::collections::HashSet;

use crate::archive::Contents;
use crate::base::problem::{Code, Problem};
use crate::layer::{Inventory, Whiteout};
use crate::tar::{AttributeFault, Kind, RefusedAttribute};
use crate::tree::LayerPath;

/// How many paths a problem names beside the first.
const MORE_PATHS: usize = 3;

/// Places that one problem is about.
#[derive(Default)]
struct Found {
    first: Option<Vec<u8>>,
    more: Vec<Vec<u8>>,
    count: usize,
}

impl Found {
    fn add(&mut self, path: &[u8]) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(path.to_vec());
        } else if self.more.len() < MORE_PATHS {
            self.more.push(path.to_vec());
        }
    }

    fn problem(self, code: Code, message: String) -> Option<Problem> {
        let first = self.first?;
        Some(Problem::warning(code, message).on_path(&first, &self.more, self.count))
    }
}

/// Problems of a layer's entries, without the place of the layer.
pub(super) fn of_layer(inventory: &Inventory) -> Vec<Problem> {
    attributes(inventory)
        .into_iter()
        .chain(below_hidden(inventory))
        .collect()
}

/// Attributes that a kernel refuses: which engines fail depends on why.
fn attributes(inventory: &Inventory) -> Vec<Problem> {
    let kinds = [
        AttributeFault::NotSupported,
        AttributeFault::Invalid,
        AttributeFault::OnLink,
    ];
    let mut problems = Vec::new();
    for fault in kinds {
        let mut found = Found::default();
        let mut name = None;
        for (item, xattrs) in inventory.attributes() {
            let refused = RefusedAttribute::first(xattrs, item.kind);
            if let Some(refused) = refused.filter(|refused| refused.fault == fault) {
                found.add(item.path);
                name.get_or_insert(refused.name);
            }
        }
        let name = shown(&name.unwrap_or_default());
        let why = fault.describe();
        let message = format!("an entry has the extended attribute `{name}`, and {why}");
        problems.extend(found.problem(Code::XattrRefused, message));
    }
    problems
}

/// The first characters of an attribute's name, which may be very long.
fn shown(name: &[u8]) -> String {
    const MOST: usize = 80;
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text.chars().take(MOST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Entries below something that the same layer hides, where nothing in the layer says that it is a directory:
/// a whiteout is a file on overlay, and nothing can be below it (measured with Docker 20.10 and 26.1, both
/// stores, and podman 5.4).
fn below_hidden(inventory: &Inventory) -> Option<Problem> {
    let joined = |path: &[u8]| LayerPath::new(path).components().join(&b'/');
    let mut hidden: HashSet<Vec<u8>> = HashSet::new();
    for item in inventory.items() {
        let path = LayerPath::new(item.path);
        if let Some((name, parents)) = path.components().split_last()
            && let Some(Whiteout::Path(target)) = Whiteout::of_path(name)
            && !target.is_empty()
        {
            let mut whole = parents.join(&b'/');
            if !whole.is_empty() {
                whole.push(b'/');
            }
            whole.extend_from_slice(target);
            hidden.insert(whole);
        }
    }
    if hidden.is_empty() {
        return None;
    }
    for item in inventory.items() {
        if item.kind == Kind::Directory {
            hidden.remove(&joined(item.path));
        }
    }
    let mut found = Found::default();
    for item in inventory.items() {
        let whole = joined(item.path);
        let mut ends = whole.iter().enumerate().filter(|(_, b)| **b == b'/');
        if ends.any(|(end, _)| hidden.contains(&whole[..end])) {
            found.add(item.path);
        }
    }
    let message = "an entry lies below something that the same layer hides, and the layer has no entry for the directory: Docker, containerd and podman refuse it on overlay";
    found.problem(Code::WhiteoutAmbiguous, message.to_owned())
}

/// Attributes of members that Docker's own store, which unpacks the outer tar, cannot set.
pub(super) fn of_members(archive: &Contents) -> Option<Problem> {
    let mut found: Option<Problem> = None;
    for member in archive.members() {
        let Some(refused) = &member.refused_attribute else {
            continue;
        };
        if refused.fault == AttributeFault::OnLink {
            continue;
        }
        if let Some(problem) = &mut found {
            problem.count += 1;
        } else {
            let name = shown(&refused.name);
            let message = format!(
                "a member of the archive has the extended attribute `{name}`, which the kernel refuses: Docker's own store does not load the archive, others pass over the attribute (GNU tar without --xattrs packs it without)"
            );
            let problem = Problem::warning(Code::XattrRefused, message);
            found = Some(problem.in_member(member.name.as_bytes()).at(member.offset));
        }
    }
    found
}
