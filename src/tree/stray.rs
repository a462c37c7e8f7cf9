//! Whiteouts in directories that are not there: they hide nothing, and engines make something of them.

use super::apply::{Fallible, Whited};
use super::budget::Budget;
use super::nodes::{NodeId, Tree};
use super::path::LayerPath;
use super::resolve::{PathStep, Way};
use super::warning::WarningKind;
use crate::layer::Whiteout;

/// Such whiteouts of one layer, kept until it is known whether the layer itself has their directories.
#[derive(Debug, Default)]
pub(super) struct Strays(Vec<Box<[u8]>>);

impl Strays {
    /// Keeps the path of a whiteout that found no directory; the path was counted.
    pub(super) fn keep(&mut self, budget: &mut Budget, path: &[u8]) -> Fallible<()> {
        let depth = LayerPath::new(path).components().len().saturating_sub(1);
        if depth > 0 {
            // It is looked up from the root, once.
            budget.path_steps(depth)?;
            self.0.push(path.into());
        }
        Ok(())
    }

    /// Warns of those that engines make something of, once the layer has been applied. The first that cannot be
    /// applied to one tree of all layers.
    pub(super) fn warn(self, tree: &mut Tree, layer: u32, whited: &Whited) -> Option<Vec<u8>> {
        let hidden = |node, name: &[u8]| whited.contains_key(&(node, name.into()));
        let mut first = None;
        for path in self.0 {
            let (stray, steps) = Stray::of(tree, layer, &path, hidden);
            if tree.budget.link_steps(steps).is_err() {
                break;
            }
            if let Some(kind) = stray.kind() {
                tree.warnings.add(kind, layer as usize, &path);
            }
            if stray == Stray::BelowLower && first.is_none() {
                first = Some(path.into_vec());
            }
        }
        first
    }
}

/// What becomes of such a whiteout once its layer has been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stray {
    /// Its directory is there after all: the layer has it.
    Fits,
    /// Engines show something else.
    Warned(WarningKind),
    /// The same, and what is in the way of the directory is of a lower layer: an engine that applies layers to
    /// one tree (podman on vfs) cannot remove anything below it.
    BelowLower,
}

impl Stray {
    /// Where the directory of a whiteout leads, and how many names were looked up because of links.
    ///
    /// `hidden` tells what the layer itself hides: a whiteout below that is another disagreement, and engines
    /// refuse it instead.
    fn of(
        tree: &Tree,
        layer: u32,
        path: &[u8],
        hidden: impl Fn(NodeId, &[u8]) -> bool,
    ) -> (Self, usize) {
        let path = LayerPath::new(path);
        let Some((parents, name)) = path.split() else {
            return (Self::Fits, 0);
        };
        let mut way = Way::new(parents);
        let end = loop {
            match way.step(tree) {
                Ok(PathStep::Gone) => {}
                Ok(end) => break Some(end),
                // A loop of links.
                Err(_) => break None,
            }
        };
        let here = way.here();
        let found = way.found();
        let through_link = found.links > 0;
        let stray = match end {
            // A link that led nowhere in the lower layers, and leads somewhere now.
            Some(PathStep::End) if through_link => Self::Warned(WarningKind::WhiteoutBelowSymlink),
            Some(PathStep::End | PathStep::Gone) | None => Self::Fits,
            Some(PathStep::Missing(name)) if hidden(here, &name) => Self::Fits,
            Some(PathStep::Missing(_)) if through_link => {
                Self::Warned(WarningKind::WhiteoutBelowSymlink)
            }
            Some(PathStep::Missing(_)) => Self::Warned(WarningKind::WhiteoutInMissing),
            Some(PathStep::NotADirectory(file)) => {
                let is_lower = tree
                    .child(here, &file)
                    .is_some_and(|node| tree.node(node).layer < layer);
                if is_lower && matches!(Whiteout::of_path(name), Some(Whiteout::Path(_))) {
                    Self::BelowLower
                } else {
                    Self::Warned(WarningKind::WhiteoutBelowFile)
                }
            }
        };
        (stray, found.steps)
    }

    /// Why engines show something else.
    fn kind(self) -> Option<WarningKind> {
        match self {
            Self::Fits => None,
            Self::Warned(kind) => Some(kind),
            Self::BelowLower => Some(WarningKind::WhiteoutBelowFile),
        }
    }
}
