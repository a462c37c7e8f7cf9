//! A root file system as an image of one layer: `docker import` without an engine.
//!
//! The layer is the tar as it was given, byte for byte, without its outer compression: its diff ID is what
//! `sha256sum` prints for the tar. The config is the one that Docker's classic store writes (moby
//! `daemon/images/image_import.go`), without the version of the engine.
//!
//! Threats: those of [`crate::tar`] and [`crate::tree`]. The tar becomes a layer, so what no
//! engine can apply is refused here and not when the image is loaded.

use jiff::Timestamp;

use super::WriteError;
use super::layout::{OutputImage, OutputLayer};
use crate::base::jobs;
use crate::base::progress::{Progress, steps};
use crate::document::{ConfigChanges, ConfigDraft, Created, HistoryEntry, Platform};
use crate::image::Name;
use crate::layer::digest::{Digests, LayerReading, Nothing, Proof, Request, TarState, Wanted};
use crate::layer::{Allowance, LayerError, LayerTar, Whiteout};
use crate::source::{Compression, Slice};
use crate::tar::{Kind, Positioned, Walker};
use crate::tree::{RefusedXattrs, Tree, TreeError, Warning};

/// What `docker import` writes for a message if none is given and the tar is a file or a pipe.
pub const IMPORT_MESSAGE: &str = "Imported from -";

/// How to import.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions<'o> {
    /// What the image is for.
    pub platform: &'o Platform,
    /// The time of the image.
    pub created: Timestamp,
    /// The remark in config and history; [`IMPORT_MESSAGE`] is Docker's.
    pub message: &'o str,
    /// Changes of an empty config.
    pub changes: &'o ConfigChanges,
    /// The names of the image.
    pub names: &'o [Name],
}

/// The outcome of an import.
#[derive(Debug)]
pub struct Imported {
    /// The image to write.
    pub image: OutputImage,
    /// How many files the image shows, directories included and the root not.
    pub files: usize,
    /// The first whiteout in the tar and how many there are. They hide nothing, as there is no lower
    /// layer, and the image has no file of such a name.
    pub whiteouts: Option<(Vec<u8>, usize)>,
    /// Where something other than zeros follows the end of the tar, in bytes. Only the diff ID
    /// depends on it.
    pub after_tar: Option<u64>,
    /// What engines would show differently.
    pub warnings: Vec<Warning>,
    /// Extended attributes that kernels refuse to set.
    pub refused_xattrs: RefusedXattrs,
}

/// Makes an image of `rootfs`, an uncompressed tar.
///
/// # Errors
///
/// [`WriteError`] if it is not a tar, is damaged, or holds what no engine can apply; or if a change
/// cannot be made.
pub fn import(
    rootfs: &Slice,
    options: ImportOptions<'_>,
    progress: &dyn Progress,
) -> Result<Imported, WriteError> {
    let created = Created::from(options.created);
    let mut draft = ConfigDraft::new(options.platform, &created);
    let mut run = draft.run().clone();
    options.changes.apply(&mut run)?;
    draft.set_run(run);
    draft.set_comment(options.message);
    draft.push_history(HistoryEntry {
        created: Some(created),
        comment: options.message.to_owned(),
        ..HistoryEntry::default()
    });
    let (read, looked) = jobs::both(|| prove(rootfs, progress), || look(rootfs));
    let (tree, whiteouts) = looked?;
    let (proof, after_tar) = read?;
    draft.set_diff_ids(std::slice::from_ref(proof.diff_id()));
    Ok(Imported {
        image: OutputImage {
            config: draft.to_bytes(),
            layers: vec![OutputLayer::new(&LayerTar::plain(rootfs.clone()), proof)],
            names: options.names.to_vec(),
            parent: None,
        },
        files: tree.len(),
        whiteouts,
        after_tar,
        warnings: tree.warnings().to_vec(),
        refused_xattrs: tree.refused_xattrs(),
    })
}

/// What the bytes are, and where something follows the end of the tar.
fn prove(rootfs: &Slice, progress: &dyn Progress) -> Result<(Proof, Option<u64>), TreeError> {
    let request = Request {
        bytes: rootfs,
        compression: Compression::None,
        wanted: Wanted::diff_id(),
        task: Some(steps::READING_ROOTFS.to_owned()),
        alongside: Nothing,
    };
    let (proof, ()) = request.answer(progress).map_err(unreadable)?;
    let reading = LayerReading::of_plain(rootfs, proof, &Allowance::none()).map_err(unreadable)?;
    match (reading.digests, reading.tar) {
        (Digests::Whole(proof), TarState::Sound { after, .. }) => Ok((proof, after)),
        (Digests::UpToDamage { fault, .. }, _) | (_, TarState::Unsound(fault)) => {
            Err(unreadable(fault))
        }
    }
}

/// A fault of the tar, or of the system that reads it.
fn unreadable(error: LayerError) -> TreeError {
    match error {
        LayerError::Tar(fault) => TreeError::Flat(fault),
        source => TreeError::Layer { layer: 0, source },
    }
}

type Looked = (Tree, Option<(Vec<u8>, usize)>);

/// The tree of the layer, and the whiteouts in it.
fn look(rootfs: &Slice) -> Result<Looked, TreeError> {
    let tree = Tree::from_layer(rootfs.clone())?;
    let mut whiteouts: Option<(Vec<u8>, usize)> = None;
    let mut walker = Walker::new(Positioned::new(rootfs.clone()));
    let failed = |error| {
        let len = rootfs.len();
        unreadable(LayerError::from_walk(error, Compression::None, 0, len))
    };
    while let Some(entry) = walker.next_entry().map_err(failed)? {
        if entry.kind != Kind::Global && Whiteout::of_path(&entry.path).is_some() {
            match &mut whiteouts {
                Some((_, count)) => *count += 1,
                None => whiteouts = Some((entry.path, 1)),
            }
        }
    }
    Ok((tree, whiteouts))
}
