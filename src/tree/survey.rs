//! Layers applied to see what becomes of them, without their bytes.

use super::apply::{Apply, Numbered, Role, role};
use super::error::TreeFault;
use super::layer_paths::Added;
use super::nodes::Tree;
use super::warning::{MORE_PATHS, Warning};
use crate::base::limits::{Limit, Limits};
use crate::layer::Inventory;

/// How many entries of one image are applied at most, directories that they imply included. No more
/// than a third of that is ever listed, because an [`Inventory`] is limited too.
const MOST: u64 = 1_000_000;

/// Entries of one layer that cannot be applied for one reason.
#[derive(Clone, Debug)]
pub struct RefusedEntries {
    /// What is wrong with the first of them.
    pub fault: TreeFault,
    /// The layer's index, base first.
    pub layer: usize,
    /// The first path, as written.
    pub path: Vec<u8>,
    /// Where its header begins in the uncompressed layer, in bytes.
    pub offset: u64,
    /// A few more paths.
    pub more: Vec<Vec<u8>>,
    /// How many there are.
    pub count: usize,
}

/// The outcome for the layers of an image.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Entries that cannot be applied; they were left out.
    pub refused: Vec<RefusedEntries>,
    /// What engines disagree about.
    pub warnings: Vec<Warning>,
    /// The first whiteout below something of a lower layer that is not a directory: it hides nothing, and an
    /// engine that applies layers to one tree fails to remove what it names.
    pub below_file: Option<Vec<u8>>,
}

/// Applies the entries of `layers`, base first, by the rules of [`Tree`]; an entry that cannot be
/// applied is noted and left out.
pub fn survey<'i>(layers: impl IntoIterator<Item = &'i Inventory>, limits: &Limits) -> Survey {
    // Directories without an entry cost the archive nothing, and take as much memory as others.
    let most = limits.of(Limit::Entries).min(MOST);
    let limits = limits.with(Limit::Entries, most);
    let mut tree = Tree::empty(limits);
    let mut refused = Vec::new();
    let mut below_file = None;
    for (layer, inventory) in layers.into_iter().enumerate() {
        let Ok(number) = u32::try_from(layer) else {
            break;
        };
        let first = refused.len();
        let mut apply = Apply::new(&mut tree, number);
        let mut refuse = |fault: TreeFault, path: Vec<u8>, offset: u64| {
            let same = |known: &&mut RefusedEntries| {
                std::mem::discriminant(&known.fault) == std::mem::discriminant(&fault)
            };
            match refused[first..].iter_mut().find(same) {
                Some(RefusedEntries { more, count, .. }) => {
                    *count += 1;
                    if more.len() < MORE_PATHS {
                        more.push(path);
                    }
                }
                None => refused.push(RefusedEntries {
                    fault,
                    layer,
                    path,
                    offset,
                    more: Vec::new(),
                    count: 1,
                }),
            }
        };
        // Twice over what was noted, so that nothing waits in memory.
        let added = Added::noted(inventory);
        let mut spent = false;
        for (number, entry) in inventory.entries().enumerate() {
            let applied = match role(&entry) {
                Role::Whiteout => apply.whiteout(number, &entry, &added),
                Role::Dropped | Role::Entry => Ok(()),
            };
            if let Err(fault) = apply.count(&entry).and(applied) {
                spent |= is_spent(&fault);
                refuse(fault, entry.path, entry.header_offset);
            }
            if spent {
                break;
            }
        }
        for (number, entry) in inventory.entries().enumerate() {
            if spent || apply.is_full() {
                break;
            }
            if !matches!(role(&entry), Role::Entry) {
                continue;
            }
            let numbered = Numbered { number, entry };
            if let Err(fault) = apply.add(&numbered) {
                spent |= is_spent(&fault);
                let entry = numbered.entry;
                refuse(fault, entry.path, entry.header_offset);
            }
        }
        let unremovable = apply.finish();
        below_file = below_file.or(unremovable);
        if spent {
            break;
        }
    }
    Survey {
        refused,
        warnings: tree.warnings().to_vec(),
        below_file,
    }
}

/// Whether a limit of the whole image is reached, so that nothing more can be applied; other limits
/// concern one entry.
fn is_spent(fault: &TreeFault) -> bool {
    let TreeFault::Limit(exceeded) = fault else {
        return false;
    };
    matches!(
        exceeded.limit,
        Limit::Entries | Limit::Names | Limit::Attributes | Limit::LinkSteps | Limit::PathSteps
    )
}
