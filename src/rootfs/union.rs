//! Two trees side by side.

use std::collections::btree_map::Iter;
use std::iter::Peekable;

use super::additions::Additions;
use super::tree::{NodeId, Rootfs};

type Children<'t> = Peekable<Iter<'t, Box<[u8]>, NodeId>>;

/// A walk over the names of two trees at once, in the order of a tar. It goes into every directory of
/// the upper tree, and along in the lower one as far as that has a directory there too.
///
/// What lies below a directory of the lower tree alone is not seen: it goes with its directory.
pub(super) struct Union<'t> {
    lower: &'t Rootfs,
    upper: &'t Rootfs,
    /// What is passed over, in both trees.
    ignored: &'t Additions,
    open: Vec<(Children<'t>, Children<'t>)>,
    path: Vec<u8>,
    lengths: Vec<usize>,
}

/// What a walk comes to.
pub(super) enum Step {
    /// A name, and what each tree has there; one of them has something. A directory of the upper
    /// tree is open from here to its [`Step::Leave`].
    Name {
        lower: Option<NodeId>,
        upper: Option<NodeId>,
    },
    /// The end of the directory that was opened last.
    Leave,
}

impl<'t> Union<'t> {
    pub(super) fn new(lower: &'t Rootfs, upper: &'t Rootfs, ignored: &'t Additions) -> Self {
        let roots = (
            lower.node(lower.root()).children.iter().peekable(),
            upper.node(upper.root()).children.iter().peekable(),
        );
        Self {
            lower,
            upper,
            ignored,
            open: vec![roots],
            path: Vec::new(),
            lengths: Vec::new(),
        }
    }

    /// The path of the name that the walk came to last.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        loop {
            let (lower, upper) = self.open.last_mut()?;
            let Some((name, below, above)) = next_pair(lower, upper) else {
                self.open.pop();
                self.lengths.pop();
                // The root is no name and has not been opened by one.
                return (!self.open.is_empty()).then_some(Step::Leave);
            };
            if above.is_some_and(|node| self.ignored.contains(node)) {
                continue;
            }
            let base = self.lengths.last().copied().unwrap_or(0);
            self.path.truncate(base);
            if base > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            if let Some(node) = above.filter(|&node| self.upper.is_directory(node)) {
                let along = below.filter(|&node| self.lower.is_directory(node));
                let along =
                    along.map_or_else(Iter::default, |node| self.lower.node(node).children.iter());
                let into = self.upper.node(node).children.iter();
                self.lengths.push(self.path.len());
                self.open.push((along.peekable(), into.peekable()));
            }
            return Some(Step::Name {
                lower: below,
                upper: above,
            });
        }
    }
}

/// The next name of two sorted lists, and what each has under it.
fn next_pair<'t>(
    lower: &mut Children<'t>,
    upper: &mut Children<'t>,
) -> Option<(&'t [u8], Option<NodeId>, Option<NodeId>)> {
    let name: &[u8] = match (lower.peek(), upper.peek()) {
        (None, None) => return None,
        (Some((name, _)), None) | (None, Some((name, _))) => name,
        (Some((below, _)), Some((above, _))) => (*below).min(*above),
    };
    let take = |list: &mut Children<'t>| {
        let next = list.next_if(|(other, _)| &***other == name);
        next.map(|(_, &node)| node)
    };
    Some((name, take(lower), take(upper)))
}
