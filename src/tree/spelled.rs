//! The path of an entry or of a hard link, taken apart as little as it needs to be.

use super::apply::AUFS_LINKS;
use super::path::LayerPath;
use super::trail::{Trail, plainly};

/// A path of an entry or of a hard link.
pub(super) enum Spelled<'p> {
    /// In the directory of the path before.
    Same {
        written: &'p [u8],
        name: &'p [u8],
        left_root: bool,
    },
    /// Somewhere else; what comes before the last name, if it is worth comparing.
    New {
        written: &'p [u8],
        path: LayerPath<'p>,
    },
}

impl<'p> Spelled<'p> {
    pub(super) fn new(path: &'p [u8], trail: &Trail, shape: u64) -> Self {
        let plain = plainly(path);
        if let Some((written, name)) = plain
            && let Some((_, left_root)) = trail.same(shape, written)
        {
            return Self::Same {
                written,
                name,
                left_root,
            };
        }
        Self::New {
            written: plain.map_or(&[], |(written, _)| written),
            path: LayerPath::new(path),
        }
    }

    /// The last name; none for the root.
    pub(super) fn name(&self) -> Option<&'p [u8]> {
        match self {
            Self::Same { name, .. } => Some(name),
            Self::New { path, .. } => path.split().map(|(_, name)| name),
        }
    }

    pub(super) fn left_root(&self) -> bool {
        match self {
            Self::Same { left_root, .. } => *left_root,
            Self::New { path, .. } => path.left_root(),
        }
    }

    /// Whether it is directly in the directory where aufs kept files with several names; no path was
    /// looked up there.
    pub(super) fn is_aufs_link(&self) -> bool {
        match self {
            Self::Same { .. } => false,
            Self::New { path, .. } => matches!(path.split(), Some(([AUFS_LINKS], _))),
        }
    }

    /// The names above the last one.
    pub(super) fn parents(&self) -> Option<&[&'p [u8]]> {
        match self {
            Self::Same { .. } => None,
            Self::New { path, .. } => path.split().map(|(parents, _)| parents),
        }
    }
}
