//! Checks everything that an archive claims against its bytes.
//!
//! Each stored blob is read once, however many images share it; blobs are read in parallel, the
//! largest first. All problems are found, not only the first. What could be checked without reading
//! layers was checked when the images were loaded ([`crate::image::ImageSet::problems`]) and is part
//! of the result.

pub mod audit;
mod blobs;
mod checker;
mod checksum;
mod content;
mod damaged;
mod delta;
mod examine;
mod loaders;
mod members;
mod odd_entries;
pub mod secrets;

use crate::archive::Contents;
use crate::base::digest::{DiffId, Digest};
use crate::base::jobs::{self, Jobs};
use crate::base::limits::{Limit, Limits};
use crate::base::options::Options;
use crate::base::problem::{Code, Problem};
use crate::base::progress::Progress;
use crate::image::{ContainerdName, Image, ImageSet, Layer, Upgrader};
use crate::layer::{Inventory, LayerError};
use crate::source::SourceError;
use crate::tree::{self, Survey};
use audit::{Audit, AuditError};
use blobs::Blobs;
use checker::Checker;
use loaders::Facts;
use secrets::ScannedLayers;

pub use checksum::{ChecksumError, ChecksumLine, LIMIT as CHECKSUM_LIMIT, read_checksums};
pub use damaged::{Damaged, unreadable, verify_damaged};
pub use delta::{DeltaVerification, verify_delta};
pub use examine::{Examination, ExaminedLayers, examine};
pub use loaders::{
    ImageFate, Loader, LoaderEngine, LoaderStore, LoaderTarget, Loaders, Refusal, Verdict,
};

/// Why an archive cannot be checked: the operating system failed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// While the archive itself was read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// While a layer was read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// While an image was audited.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// The outcome of the checks of one archive.
#[derive(Debug)]
pub struct Verification {
    /// The images, as in [`ImageSet::images`].
    pub images: Vec<ImageCheck>,
    /// The artifacts, as in [`ImageSet::artifacts`].
    pub artifacts: Vec<ArtifactCheck>,
    /// Every problem: a claim that is not true.
    pub problems: Vec<Problem>,
    /// What engines would make of the archive.
    pub loaders: Loaders,
    /// The SHA-256 of the file itself, as it is stored; only from [`verify_file`].
    pub file: Option<Digest>,
}

/// The outcome for the layers of one image.
#[derive(Clone, Debug)]
pub struct ImageCheck {
    /// What a containerd store calls it, by the bytes of its layers; none where that is not known.
    pub containerd: Option<ContainerdName>,
    /// The layers, base first.
    pub layers: Vec<LayerCheck>,
}

/// The outcome for one layer.
#[derive(Clone, Debug)]
pub struct LayerCheck {
    /// Its index, base first.
    pub index: usize,
    /// The diff ID that the config claims; none in archives from before Docker 1.10.
    pub diff_id: Option<DiffId>,
    /// The diff ID that its bytes have; none if it is missing or cannot be decoded.
    pub computed: Option<DiffId>,
    /// Whether it is there, can be decoded, and is what is claimed, where something is.
    pub ok: bool,
}

/// The outcome for the blobs of one artifact.
#[derive(Clone, Debug)]
pub struct ArtifactCheck {
    /// The blobs, the config first.
    pub blobs: Vec<BlobCheck>,
}

/// The outcome for one blob.
#[derive(Clone, Debug)]
pub struct BlobCheck {
    /// The digest in its descriptor.
    pub digest: Digest,
    /// The digest that its bytes have; none if it is missing or the algorithm is unknown.
    pub computed: Option<Digest>,
    /// Whether the two are equal.
    pub ok: bool,
}

impl Verification {
    /// Compares the file's own digest with what a checksum file claims; nothing if it was not computed.
    pub fn compare_file(&mut self, claimed: &Digest) {
        let computed = self.file.as_ref();
        let problem = computed.and_then(|computed| checksum_mismatch(claimed, computed));
        self.problems.splice(0..0, problem);
    }

    /// Whether no claim is false. Warnings count only if they are asked to.
    pub fn is_ok(&self, strict: bool) -> bool {
        !self.problems.iter().any(|problem| problem.fails(strict))
    }
}

/// Recomputes what `archive` and the images in `set` claim.
///
/// Checked are: the digest and size of every blob that has one, every diff ID, every config's
/// digest, the numbers of layers, diff IDs and history steps, whether each layer is a valid tar whose
/// entries can be applied, and whether the archive's descriptions agree. What engines would make of
/// it is predicted from the same facts. `docs/verify.md` says what no check covers.
///
/// # Errors
///
/// [`VerifyError`] if the operating system fails.
pub fn verify(
    archive: &Contents,
    set: &ImageSet,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Verification, VerifyError> {
    let checked = run(archive, set, Extent::default(), jobs, progress)?;
    Ok(checked.0)
}

/// Does what [`verify`] does, and computes the digest of the file itself, as it is stored and as
/// `sha256sum` does it. That doubles the hashing; the file is still read from the disk once, because
/// both go through it side by side.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_file(
    archive: &Contents,
    set: &ImageSet,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Verification, VerifyError> {
    let extent = Extent {
        file: true,
        ..Extent::default()
    };
    let checked = run(archive, set, extent, jobs, progress)?;
    Ok(checked.0)
}

/// Does what [`verify`] does, or with `file` what [`verify_file`] does, and audits each image of `set`. Layers
/// are read once for both, and those that are compressed are decoded once.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_and_audit(
    archive: &Contents,
    set: &ImageSet,
    file: bool,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(Verification, Vec<Audit>), VerifyError> {
    let extent = Extent {
        file,
        audit: true,
        keep: false,
    };
    run(archive, set, extent, jobs, progress)
}

/// What is done besides verifying claims.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    /// The digest of the whole file is computed.
    file: bool,
    /// The images are audited.
    audit: bool,
    /// What compressed layers are decoded to is kept; only beside an audit.
    keep: bool,
}

fn run(
    archive: &Contents,
    set: &ImageSet,
    extent: Extent,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(Verification, Vec<Audit>), VerifyError> {
    let blobs = Blobs::read(archive, set, extent, jobs, progress)?;
    let verification = compare(archive, set, &blobs, jobs)?;
    let audits = if extent.audit {
        let options = Options {
            limits: *archive.source().limits(),
            jobs,
            progress,
            stop: None,
        };
        audits(&set.images, &blobs, &options)?
    } else {
        Vec::new()
    };
    Ok((verification, audits))
}

/// Compares what was read with what is claimed.
fn compare(
    archive: &Contents,
    set: &ImageSet,
    blobs: &Blobs,
    jobs: Jobs,
) -> Result<Verification, VerifyError> {
    let mut upgrader = Upgrader::new(archive.source().limits());
    let mut checker = Checker::new(blobs, set.problems.clone());
    checker.problems.extend(members::problems(archive, set)?);
    checker.problems.extend(odd_entries::of_members(archive));
    let mut images = Vec::with_capacity(set.images.len());
    for image in &set.images {
        let layers: Vec<LayerCheck> = image
            .layers
            .iter()
            .map(|layer| checker.layer(layer, image.position))
            .collect();
        let computed = layers.iter().map(|layer| layer.computed.clone());
        if let Some(diff_ids) = computed.collect::<Option<Vec<DiffId>>>() {
            upgrader.upgrade(image, &diff_ids);
        }
        let stored = |layer: &Layer| blobs.of(layer)?.stored_sha256();
        images.push(ImageCheck {
            containerd: set.containerd_name_with(image, &stored),
            layers,
        });
    }
    let artifacts = set
        .artifacts
        .iter()
        .map(|artifact| ArtifactCheck {
            blobs: checker.artifact(artifact),
        })
        .collect();
    checker.named_blobs(set);
    let surveys = survey(set, blobs, archive.source().limits(), jobs);
    checker.content(set, &surveys);
    let mut problems = checker.problems;
    problems.sort_by_key(|problem| (problem.severity, problem.image, problem.layer));
    Ok(Verification {
        images,
        artifacts,
        problems,
        loaders: Facts::new(archive, Ok(set), blobs, &surveys).loaders(jobs),
        file: blobs.file.clone(),
    })
}

/// Audits the images by what was read of their layers. One that has a damaged layer is read again, to tell what
/// is wrong with it as every other command does.
fn audits<'i>(
    images: impl IntoIterator<Item = &'i Image>,
    blobs: &Blobs,
    options: &Options<'_>,
) -> Result<Vec<Audit>, VerifyError> {
    let audit = |image: &Image| {
        let layers = image.layers.iter();
        let scanned: Option<Vec<_>> = layers.map(|layer| blobs.of(layer)?.scanned()).collect();
        let Some(scanned) = scanned else {
            return Audit::of(image, options);
        };
        let (outlines, secrets) = scanned.into_iter().unzip();
        Audit::of_scanned(image, Ok(ScannedLayers { outlines, secrets }), options)
    };
    let audited = images.into_iter().map(|image| Ok(audit(image)?));
    audited.collect()
}

/// The problem of a file that is not what a checksum file claims.
fn checksum_mismatch(claimed: &Digest, computed: &Digest) -> Option<Problem> {
    let message = "the file does not match its checksum: it was changed, or damaged on its way";
    let problem = Problem::error(Code::ChecksumMismatch, message);
    (claimed != computed).then(|| problem.compared(claimed, computed))
}

/// Applies the layers of each image to each other; nothing for an image that lacks one. Images that
/// share layers apply them again, so the entries can be more than the archive holds.
fn survey(set: &ImageSet, blobs: &Blobs, limits: &Limits, jobs: Jobs) -> Vec<Option<Survey>> {
    let mut left = limits.of(Limit::SurveyedEntries);
    let stacks: Vec<Option<Vec<&Inventory>>> = set
        .images
        .iter()
        .map(|image| {
            let layers = image.layers.iter().map(|layer| {
                let reading = blobs.of(layer)?.layer()?.ok()?;
                Some(&reading.inventory)
            });
            let stack: Vec<&Inventory> = layers.collect::<Option<_>>()?;
            let entries: u64 = stack.iter().map(|inventory| inventory.len() as u64).sum();
            left = left.checked_sub(entries).filter(|_| blobs.has_entries)?;
            Some(stack)
        })
        .collect();
    let cost = |stack: &Option<Vec<&Inventory>>| {
        let entries = stack.iter().flatten().map(|inventory| inventory.len());
        entries.sum::<usize>() as u64
    };
    jobs::map(jobs, &stacks, cost, |stack| {
        Some(tree::survey(stack.as_ref()?.iter().copied(), limits))
    })
}

/// An error and its causes on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ")
}
