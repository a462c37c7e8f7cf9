//! Rebuilds an archive from a flat tar and its metadata.
//!
//! First the flat tar is compared with the tree that the layers' headers give: names and attributes.
//! Then the archive is written, and every layer is hashed while it is put together; a layer that does not
//! match its diff ID is an error that names the files that caused it. So everything in the flat tar is
//! checked, and nothing is read only for that.
//!
//! If every blob can be made as it was, the archive comes back byte for byte (`exact.rs`). If blobs were compressed in a
//! way that is not known and not kept, or bytes were left out, blobs get other digests, and whatever refers to them is changed too
//! (`rewrite.rs`).
//!
//! A flat tar that was changed is refused, or becomes one more layer (`accept.rs`). For that, bodies that are not
//! where they were are found by their checksums (`relocate.rs`).
//!
//! Threats, and what is done about them (metadata and flat tar may come from anywhere):
//!
//! - *Bombs*: the archive that the metadata describes, and the data that is decoded for it, each time, may take
//!   [`Limit::Expanded`](crate::Limit::Expanded) or [`Limit::Ratio`](crate::Limit::Ratio) times the size
//!   of both inputs, whichever is more; a layer or an archive that outgrows its own claim is refused
//!   early.
//! - *Memory*: bodies are read a piece at a time, those that wait to be written a few thousand at a time;
//!   paths of the flat tar are held as short digests, documents only if they are changed.
//! - *Bytes from elsewhere*: a body comes from the flat tar or the metadata and has a checksum; documents
//!   and stored blobs are verified against it, layers against their diff IDs.
//! - *Loops of documents*: references are followed a limited number of times.

mod accept;
mod blobs;
mod documents;
mod error;
mod exact;
mod flat;
mod headers;
mod layers;
mod places;
mod relocate;
mod rewrite;
mod sink;

use std::collections::HashSet;

pub use accept::{AcceptOptions, Accepted, Extended, accept};
pub use error::{FlatChange, FlatChangeKind, LostBody, RebuildError};
pub use sink::Target;

use crate::base::digest::{BlobDigest, DiffId, Digest, ImageId};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::Progress;
use crate::source::Input;
use crate::split::metadata::{Account, Container, LayerDescription};
use crate::tree::Tree;

use flat::{FlatChanges, FlatTar};
use layers::{Lost, Parts};

/// An archive that was rebuilt.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Whether it is, byte for byte, the (uncompressed) archive that was flattened.
    pub exact: bool,
    /// How many bytes were written.
    pub bytes: u64,
    /// The outcome for each layer, base first.
    pub layers: Vec<RebuiltLayer>,
    /// The image's ID, if it has changed: the old and the new one.
    pub image_id: Option<(ImageId, ImageId)>,
}

/// The outcome for a layer.
#[derive(Clone, Debug)]
pub struct RebuiltLayer {
    /// The diff ID that it had.
    pub diff_id: DiffId,
    /// The diff ID that it has now, if that has changed.
    pub new_diff_id: Option<DiffId>,
    /// How many entries are left out of it.
    pub lost: usize,
    /// How many bytes these had.
    pub lost_bytes: u64,
    /// The digest of the blob that it was stored as, and the one that it has now, if it is another.
    pub new_blob: Option<(BlobDigest, BlobDigest)>,
}

/// Writes the archive that `metadata` and `flat` come from to `target`.
///
/// # Errors
///
/// [`RebuildError`]. What was written until then is worthless.
pub fn rebuild(
    metadata: &Container,
    flat: &Input,
    target: Target<'_>,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Rebuilt, RebuildError> {
    let put_together = || {
        let (flat, account) = open(metadata, flat)?;
        let parts = Parts::new(metadata, &flat, &account);
        flat.compare(&expected(&parts)?)?.refuse(&flat)?;
        let layers = &metadata.description().layers;
        check_kept(&parts, layers, jobs)?;
        write(&parts, target, jobs, progress)
    };
    put_together().map_err(|error| error.in_file(metadata))
}

/// Reads the flat tar, and refuses metadata that describes more than can be.
fn open(metadata: &Container, flat: &Input) -> Result<(FlatTar, Account), RebuildError> {
    let description = metadata.description();
    let flat = FlatTar::read(flat)?;
    let stored = flat.stored_size().saturating_add(metadata.stored_size());
    let account = Account::new(metadata.limits(), stored);
    let claimed = description.layers.iter().map(|layer| layer.size);
    let claimed = claimed.fold(description.archive.size, u64::saturating_add);
    account
        .check_claim(claimed)
        .map_err(|exceeded| RebuildError::Expansion {
            path: metadata.label(),
            claimed,
            stored,
            exceeded,
        })?;
    Ok((flat, account))
}

/// The tree that the flat tar should hold.
fn expected(parts: &Parts<'_>) -> Result<Tree, RebuildError> {
    let description = parts.container.description();
    let mut tree = parts.tree(&description.layers)?;
    if let Some(container) = &description.flat.as_container {
        tree.add_container_files(container.working_dir.as_bytes(), container.time())
            .map_err(RebuildError::Tree)?;
    }
    Ok(tree)
}

/// Writes the archive: as it was where all blobs can be made, else with others.
fn write(
    parts: &Parts<'_>,
    target: Target<'_>,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Rebuilt, RebuildError> {
    let description = parts.container.description();
    let lost = lost(parts, &description.layers)?;
    let exact = description
        .layers
        .iter()
        .zip(&lost)
        .all(|(layer, lost)| lost.is_empty() && layer.comes_back());
    if exact {
        let bytes = exact::write(parts, target, jobs, progress)?;
        let same = |layer: &LayerDescription| RebuiltLayer {
            diff_id: layer.diff_id.clone(),
            new_diff_id: None,
            lost: 0,
            lost_bytes: 0,
            new_blob: None,
        };
        return Ok(Rebuilt {
            exact: true,
            bytes,
            layers: description.layers.iter().map(same).collect(),
            image_id: None,
        });
    }
    rewrite::write(parts, &lost, target, jobs, progress)
}

/// The bytes of kept blobs need no flat tar, so nothing else would notice that it was changed.
fn check_kept(
    parts: &Parts<'_>,
    layers: &[LayerDescription],
    jobs: Jobs,
) -> Result<(), RebuildError> {
    let mut folders = HashSet::new();
    let kept = layers.iter().filter(|layer| layer.kept);
    let kept: Vec<_> = kept.filter(|layer| folders.insert(layer.folder)).collect();
    let checked = jobs::map(
        jobs,
        &kept,
        |layer| layer.size,
        |layer| {
            let mut changes = FlatChanges::default();
            parts.contents(layer, &mut changes)?;
            changes.refuse(parts.flat)
        },
    );
    checked.into_iter().collect()
}

/// What is lost of every layer.
fn lost(parts: &Parts<'_>, layers: &[LayerDescription]) -> Result<Vec<Vec<Lost>>, RebuildError> {
    if !parts.container.description().lean {
        return Ok(layers.iter().map(|_| Vec::new()).collect());
    }
    parts.all_lost(layers)
}

impl RebuildError {
    /// Says which file it is that is damaged.
    fn in_file(self, metadata: &Container) -> Self {
        match self {
            Self::Metadata(error) => Self::Metadata(error.in_file(&metadata.label())),
            other => other,
        }
    }
}

/// What it is that has another digest than it should.
fn mismatch(what: &str, claimed: &[u8; 32], computed: &Digest) -> String {
    let claimed = const_hex::encode(claimed);
    format!("{what} is not what it was: claimed sha256:{claimed}, computed {computed}")
}
