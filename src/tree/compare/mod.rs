//! Two images side by side: how their layers are related, and which files differ.
//!
//! What both images have is not read: layers are the same if their diff IDs are the same, each is opened once
//! whichever image it is taken from, and two files from the same place in the same layer have the same content. If
//! all layers are the same, nothing is read at all. The diff IDs are those that the configs claim; `verify` proves
//! them.
//!
//! Layers are paired by their diff IDs first, then by the build steps that made them, then by their positions
//! ([`layers`]). Their entries show how the layers of a pair differ ([`relation`]): headers first, and contents only
//! if those agree. Files are compared in the merged trees ([`files`]).
//!
//! Memory is bounded by the entries, which the limits count; contents are never held.

mod files;
mod layers;
mod paths;
mod relation;

pub use files::{FileChange, FileChanges};
pub use layers::{LayerDifference, LayerPair, LayerRelation};
pub(crate) use paths::NodePaths;

use self::layers::Stacks;
use self::relation::compare_layers;
use super::aspect::Aspects;
use super::engine_files::Additions;
use super::error::TreeError;
use super::nodes::Tree;
use crate::base::options::Options;
use crate::image::Image;
use crate::layer::LayerTar;
use crate::source::Slice;

/// Which of two images something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first.
    Old,
    /// The second.
    New,
}

/// Why two images cannot be compared.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .side { Side::Old => "the old image cannot be compared", Side::New => "the new image cannot be compared" })]
pub struct CompareError {
    /// Which of them is at fault.
    pub side: Side,
    /// What is wrong with it.
    pub source: TreeError,
}

impl CompareError {
    fn of(side: Side) -> impl Fn(TreeError) -> Self {
        move |source| Self { side, source }
    }
}

/// How two images are related.
#[derive(Debug)]
pub struct Comparison {
    /// The layers of both, in the order of the new image; those that only the old one has stand where they were.
    pub layers: Vec<LayerPair>,
    /// The files that differ, in the order of a tar.
    pub files: FileChanges,
    /// The merged trees, old and new; none where all layers are the same.
    pub trees: Option<(Tree, Tree)>,
}

impl Comparison {
    /// Compares two images. What is in `ignored` is not a difference between files.
    ///
    /// # Errors
    ///
    /// [`CompareError`] if a layer that only one image has is missing or damaged, or if both lack one.
    pub fn of(
        old: &Image,
        new: &Image,
        ignored: Aspects,
        options: &Options<'_>,
    ) -> Result<Self, CompareError> {
        let stacks = Stacks::of(old, new);
        let mut layers = stacks.pairs();
        if stacks.are_equal() {
            return Ok(Self {
                layers,
                files: FileChanges::default(),
                trees: None,
            });
        }
        let (old_tars, new_tars) = stacks.open(options)?;
        let known = compare_layers(&mut layers, &old_tars, &new_tars, ignored, options)?;
        let trees = merge(&old_tars, &new_tars)?;
        let files = FileChanges::between(&trees.0, &trees.1, ignored, &known, options)?;
        Ok(Self {
            layers,
            files,
            trees: Some(trees),
        })
    }

    /// The merged trees of two images, whose files can be read; layers that both have are opened once.
    ///
    /// # Errors
    ///
    /// As [`Self::of`].
    pub fn trees_of(
        old: &Image,
        new: &Image,
        options: &Options<'_>,
    ) -> Result<(Tree, Tree), CompareError> {
        let (old, new) = Stacks::of(old, new).open(options)?;
        merge(&old, &new)
    }

    /// Compares an image with a rootfs tar, an uncompressed tar of a container's files, as `docker diff` compares
    /// a container with its image: what the engine put into it is passed over, and what exports do not record does
    /// not count as a difference. Of a directory that was removed only its own name is listed, and directories in
    /// which something changed are listed as changed.
    ///
    /// # Errors
    ///
    /// [`CompareError`] if the image or the tar cannot be read, or the tar is not a root file system.
    pub fn with_rootfs(
        image: &Image,
        rootfs: Slice,
        ignored: Aspects,
        options: &Options<'_>,
    ) -> Result<Self, CompareError> {
        let (of_old, of_new) = (CompareError::of(Side::Old), CompareError::of(Side::New));
        let mut upper = Tree::from_tar(rootfs).map_err(&of_new)?;
        let lower = Tree::merge(image, options).map_err(&of_old)?;
        upper.require_rootfs(&lower).map_err(&of_new)?;
        upper.adopt_unrecorded(&lower);
        // Docker lists the working directory that it makes.
        let made = Additions::find(&upper, &lower, b"");
        let files = FileChanges::in_container(&lower, &upper, &made, ignored, options)?;
        Ok(Self {
            layers: Vec::new(),
            files,
            trees: Some((lower, upper)),
        })
    }
}

fn merge(old: &[LayerTar], new: &[LayerTar]) -> Result<(Tree, Tree), CompareError> {
    Tree::merge_both(old, new).map_err(|(is_new, source)| {
        let side = if is_new { Side::New } else { Side::Old };
        CompareError { side, source }
    })
}
