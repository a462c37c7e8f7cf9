//! Two trees side by side.

use std::iter::Peekable;

use super::children::Iter;
use super::engine_files::Additions;
use super::nodes::{NodeId, Tree};

type Children<'t> = Peekable<Iter<'t>>;

/// A walk over the names of two trees at once, in the order of a tar. It goes into every directory of
/// the upper tree, and along in the lower one as far as that has a directory there too.
///
/// What lies below a directory of the lower tree alone is shown only by a walk of [both](Self::of_both): for
/// others it belongs to its directory.
pub(super) struct Union<'t> {
    lower: &'t Tree,
    upper: &'t Tree,
    /// What is passed over, in both trees.
    ignored: &'t Additions,
    /// Whether directories of the lower tree alone are gone into too.
    both: bool,
    open: Vec<(Children<'t>, Children<'t>)>,
    path: Vec<u8>,
    lengths: Vec<usize>,
}

/// A step of a walk.
pub(super) enum PairStep {
    /// A name, and what each tree has there; one of them has something. A directory that the walk goes into is
    /// open from here to its [`PairStep::Leave`].
    Name {
        lower: Option<NodeId>,
        upper: Option<NodeId>,
    },
    /// The end of the directory that was opened last.
    Leave,
}

impl<'t> Union<'t> {
    pub(super) fn new(lower: &'t Tree, upper: &'t Tree, ignored: &'t Additions) -> Self {
        let roots = (
            lower.children(lower.root()).peekable(),
            upper.children(upper.root()).peekable(),
        );
        Self {
            lower,
            upper,
            ignored,
            both: false,
            open: vec![roots],
            path: Vec::new(),
            lengths: Vec::new(),
        }
    }

    /// A walk that goes into the directories of both trees, also where the other has none.
    pub(super) fn of_both(lower: &'t Tree, upper: &'t Tree, ignored: &'t Additions) -> Self {
        Self {
            both: true,
            ..Self::new(lower, upper, ignored)
        }
    }

    /// The path of the name that the walk came to last.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(super) fn next(&mut self) -> Option<PairStep> {
        loop {
            let (lower, upper) = self.open.last_mut()?;
            let next = next_pair((self.lower, lower), (self.upper, upper));
            let Some((name, below, above)) = next else {
                self.open.pop();
                self.lengths.pop();
                // The root has no name, and no step opened it.
                return (!self.open.is_empty()).then_some(PairStep::Leave);
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
            let into = above.filter(|&node| self.upper.is_directory(node));
            let along = below.filter(|&node| self.lower.is_directory(node));
            if into.is_some() || (self.both && along.is_some()) {
                let along = along.map_or_else(Iter::default, |node| self.lower.children(node));
                let into = into.map_or_else(Iter::default, |node| self.upper.children(node));
                self.lengths.push(self.path.len());
                self.open.push((along.peekable(), into.peekable()));
            }
            return Some(PairStep::Name {
                lower: below,
                upper: above,
            });
        }
    }
}

/// The next name of two sorted lists, and what each has under it.
fn next_pair<'t>(
    lower: (&'t Tree, &mut Children<'t>),
    upper: (&'t Tree, &mut Children<'t>),
) -> Option<(&'t [u8], Option<NodeId>, Option<NodeId>)> {
    let ahead =
        |(tree, list): &mut (&'t Tree, &mut Children<'t>)| list.peek().map(|node| tree.name(*node));
    let (mut lower, mut upper) = (lower, upper);
    let (below, above) = (ahead(&mut lower), ahead(&mut upper));
    let name = match (below, above) {
        (None, None) => return None,
        (Some(name), None) | (None, Some(name)) => name,
        (Some(below), Some(above)) => below.min(above),
    };
    let node = |list: &mut Children<'t>, ahead: Option<&[u8]>| {
        (ahead == Some(name)).then(|| list.next()).flatten()
    };
    Some((name, node(lower.1, below), node(upper.1, above)))
}
