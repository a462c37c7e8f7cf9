//! Checks: everything an archive claims, verified against its bytes.
//!
//! Each stored blob is read once, however many images share it; blobs are read in parallel, the
//! largest first. All problems are found, not only the first. What could be checked without reading
//! layers was checked when the images were loaded ([`crate::image::ImageSet::problems`]) and is part
//! of the result.

pub mod audit;
mod blobs;
mod checksum;
mod content;
mod damaged;
mod loaders;
mod members;
mod odd_entries;

use std::collections::HashSet;

use crate::archive::Contents;
use crate::base::digest::{DiffId, Digest};
use crate::base::jobs::{self, Jobs};
use crate::base::limits::{Limit, Limits};
use crate::base::problem::{Code, Problem};
use crate::base::progress::Progress;
use crate::image::{ContainerdName, Image, ImageSet, Layer, LayerSource};
use crate::layer::digest::TarState;
use crate::layer::{Inventory, LayerError};
use crate::source::{SourceError, Span};
use crate::tree::{self, Survey};
use blobs::{Blobs, ReadBlob};
use loaders::Facts;

pub use checksum::{ChecksumError, ChecksumLine, LIMIT as CHECKSUM_LIMIT, read_checksums};
pub use damaged::{Damaged, unreadable, verify_damaged};
pub use loaders::{
    ImageFate, Loader, LoaderEngine, LoaderStore, LoaderTarget, Loaders, Refusal, Verdict,
};

/// Why an archive cannot be checked: the operating system failed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Over the archive itself.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Over a layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// What became of the checks of one archive.
#[derive(Debug)]
pub struct Verification {
    /// The images, as in [`ImageSet::images`].
    pub images: Vec<ImageCheck>,
    /// The artifacts, as in [`ImageSet::artifacts`].
    pub artifacts: Vec<ArtifactCheck>,
    /// Every claim that does not hold.
    pub problems: Vec<Problem>,
    /// What engines would make of the archive.
    pub loaders: Loaders,
    /// The SHA-256 of the file itself, as it is stored; only from [`verify_file`].
    pub file: Option<Digest>,
}

/// What became of the layers of one image.
#[derive(Clone, Debug)]
pub struct ImageCheck {
    /// What a containerd store calls it, by the bytes of its layers; none where that cannot be told.
    pub containerd: Option<ContainerdName>,
    /// The layers, base first.
    pub layers: Vec<LayerCheck>,
}

/// What became of one layer.
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

/// What became of the blobs of one artifact.
#[derive(Clone, Debug)]
pub struct ArtifactCheck {
    /// The blobs, the config first.
    pub blobs: Vec<BlobCheck>,
}

/// What became of one blob.
#[derive(Clone, Debug)]
pub struct BlobCheck {
    /// The digest that its descriptor claims.
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
    run(archive, set, false, jobs, progress)
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
    run(archive, set, true, jobs, progress)
}

fn run(
    archive: &Contents,
    set: &ImageSet,
    file: bool,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Verification, VerifyError> {
    let blobs = Blobs::read(archive, set, file, jobs, progress)?;
    let mut checker = Checker {
        blobs: &blobs,
        problems: set.problems.clone(),
        told: HashSet::new(),
    };
    checker.problems.extend(members::problems(archive, set)?);
    checker.problems.extend(odd_entries::of_members(archive));
    let mut images = Vec::with_capacity(set.images.len());
    for image in &set.images {
        let layers = image
            .layers
            .iter()
            .map(|layer| checker.layer(layer, image.position))
            .collect();
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
    let surveys = survey(set, &blobs, archive.source().limits(), jobs);
    checker.content(set, &surveys);
    let mut problems = checker.problems;
    problems.sort_by_key(|problem| (problem.severity, problem.image, problem.layer));
    Ok(Verification {
        images,
        artifacts,
        problems,
        loaders: Facts::new(archive, Ok(set), &blobs, &surveys).loaders(jobs),
        file: blobs.file.clone(),
    })
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

struct Checker<'b> {
    blobs: &'b Blobs,
    problems: Vec<Problem>,
    /// Blobs whose digest mismatch was reported, so that a shared blob is reported once.
    told: HashSet<Span>,
}

impl Checker<'_> {
    fn layer(&mut self, layer: &Layer, image: usize) -> LayerCheck {
        let mut check = LayerCheck {
            index: layer.index,
            diff_id: layer.diff_id.clone(),
            computed: None,
            ok: false,
        };
        let LayerSource::Present { slice, .. } = &layer.source else {
            return check;
        };
        let Some(blob) = self.blobs.get(slice) else {
            return check;
        };
        let Some(read) = blob.layer() else {
            return check;
        };
        let place = |problem: Problem| {
            problem
                .of_image(image)
                .of_layer(layer.index)
                .in_member(&layer.member)
                .at(slice.span().offset)
        };
        let whole = read.and_then(|reading| match reading.tail_fault() {
            None => Ok(reading),
            Some(fault) => Err(fault),
        });
        let reading = match whole {
            Ok(reading) => reading,
            Err(error) => {
                self.problems.push(place(unsound(error)));
                self.digest(
                    layer
                        .digest
                        .as_ref()
                        .map(crate::base::digest::BlobDigest::digest),
                    blob,
                    place,
                );
                return check;
            }
        };
        let computed = reading.diff_id().clone();
        check.ok = match &layer.diff_id {
            None => true,
            Some(claimed) if claimed.digest().algorithm() != computed.digest().algorithm() => {
                self.problems.push(place(unsupported(claimed.digest())));
                true
            }
            Some(claimed) if *claimed == computed => true,
            Some(claimed) => {
                let message = "the layer's content does not match its diff ID: it was changed, damaged or swapped, and engines refuse to load it";
                let problem =
                    Problem::error(Code::DiffIdMismatch, message).compared(claimed, &computed);
                self.problems.push(place(problem));
                false
            }
        };
        check.computed = Some(computed);
        self.digest(
            layer
                .digest
                .as_ref()
                .map(crate::base::digest::BlobDigest::digest),
            blob,
            place,
        );
        if reading.trailing {
            let message = "bytes follow the end of the layer's gzip data: Docker takes such a layer, containerd, skopeo and podman refuse it";
            self.problems
                .push(place(Problem::warning(Code::TrailingData, message)));
        }
        match &reading.tar {
            TarState::Sound { end_marked, after } => {
                if let Some(offset) = after {
                    let message = format!(
                        "something follows the end of the layer's tar at byte {offset} of it: engines hash it and do not read it"
                    );
                    self.problems
                        .push(place(Problem::warning(Code::TrailingData, message)));
                }
                if !end_marked && !reading.is_empty() {
                    let message = "the layer's tar lacks its end-of-archive blocks: engines read it all the same";
                    self.problems
                        .push(place(Problem::warning(Code::EndMissing, message)));
                }
            }
            TarState::Unsound(error) => self.problems.push(place(unsound(error))),
        }
        check
    }

    /// Tells what stands inside the layers; of layers that images share, once.
    fn content(&mut self, set: &ImageSet, surveys: &[Option<Survey>]) {
        let mut told = HashSet::new();
        let mut unchecked = 0;
        for (image, survey) in set.images.iter().zip(surveys) {
            let Some(survey) = survey else {
                let whole = image.layers.iter().all(|layer| {
                    let read = self.blobs.of(layer).and_then(ReadBlob::layer);
                    read.is_some_and(|read| read.is_ok())
                });
                unchecked += usize::from(whole && !image.layers.is_empty());
                continue;
            };
            let odd = self.odd_entries(image);
            for problem in content::problems(image, survey).into_iter().chain(odd) {
                let layer = problem.layer.and_then(|index| image.layers.get(index));
                let key = (
                    layer.and_then(Layer::span),
                    problem.code,
                    problem.message.clone(),
                    problem.path.clone(),
                );
                if told.insert(key) {
                    self.problems.push(problem);
                }
            }
        }
        if unchecked > 0 {
            let message = format!(
                "the layers of {unchecked} images hold too many entries to look at each: their names, links and whiteouts are not checked, and engines may refuse some of them; their bytes are checked"
            );
            self.problems
                .push(Problem::warning(Code::EntriesUnchecked, message));
        }
    }

    /// What engines refuse in each layer of an image alone.
    fn odd_entries(&self, image: &Image) -> Vec<Problem> {
        let mut problems = Vec::new();
        for layer in &image.layers {
            let Some(Ok(reading)) = self.blobs.of(layer).and_then(ReadBlob::layer) else {
                continue;
            };
            let found = odd_entries::of_layer(&reading.inventory).into_iter();
            problems.extend(found.map(|problem| {
                problem
                    .of_image(image.position)
                    .of_layer(layer.index)
                    .in_member(&layer.member)
            }));
        }
        problems
    }

    /// Compares the digest of a blob's stored bytes with a claim.
    fn digest(
        &mut self,
        claimed: Option<&Digest>,
        blob: &ReadBlob,
        place: impl Fn(Problem) -> Problem,
    ) {
        let Some(claimed) = claimed else { return };
        match blob.stored_digest(claimed.algorithm()) {
            None => {
                if self.told.insert(blob.span()) {
                    self.problems.push(place(unsupported(claimed)));
                }
            }
            Some(computed) if computed == *claimed => {}
            Some(computed) => {
                if self.told.insert(blob.span()) {
                    let message = "the blob's bytes do not match its digest";
                    let problem = Problem::error(Code::BlobDigestMismatch, message);
                    self.problems
                        .push(place(problem.compared(claimed, computed)));
                }
            }
        }
    }

    fn artifact(&mut self, artifact: &crate::image::Artifact) -> Vec<BlobCheck> {
        let mut checks = Vec::with_capacity(artifact.blobs.len());
        for described in &artifact.blobs {
            let digest = described.descriptor.digest.clone();
            let blob = described
                .slice
                .as_ref()
                .and_then(|slice| self.blobs.get(slice));
            let computed = blob.and_then(|blob| blob.stored_digest(digest.algorithm()));
            if let Some(blob) = blob {
                let offset = blob.span().offset;
                self.digest(Some(&digest), blob, |problem| {
                    problem.in_member(&described.member).at(offset)
                });
            }
            let ok = computed.as_ref() == Some(&digest);
            checks.push(BlobCheck {
                digest,
                computed,
                ok,
            });
        }
        let layers = artifact.blobs.iter().skip(1);
        for (described, claimed) in layers.zip(&artifact.diff_ids) {
            let blob = described
                .slice
                .as_ref()
                .and_then(|slice| self.blobs.get(slice));
            let Some(computed) = blob.and_then(ReadBlob::uncompressed) else {
                continue;
            };
            let claimed = claimed.digest();
            if computed.algorithm() == claimed.algorithm() && computed != claimed {
                let message = "the artifact's content does not match the diff ID in its config";
                let problem =
                    Problem::error(Code::DiffIdMismatch, message).compared(claimed, computed);
                self.problems.push(problem.in_member(&described.member));
            }
        }
        checks
    }

    /// Blobs that nothing describes still have a digest for a name.
    fn named_blobs(&mut self, set: &ImageSet) {
        for blob in self.blobs.iter() {
            let Some(named) = &blob.named else { continue };
            if set.checked.contains(&blob.span()) {
                continue;
            }
            let member = blob.member.clone();
            self.digest(Some(named), blob, |problem| {
                problem.in_member(&member).at(blob.span().offset)
            });
        }
    }
}

/// A layer whose compression or tar is damaged.
fn unsound(error: &LayerError) -> Problem {
    let code = if error.is_truncation() {
        Code::LayerTruncated
    } else {
        Code::LayerCorrupt
    };
    Problem::error(code, describe(error))
}

fn unsupported(claimed: &Digest) -> Problem {
    let message = format!(
        "imgtar cannot compute {}, so the digest is not checked",
        claimed.algorithm().name()
    );
    let mut problem = Problem::warning(Code::DigestUnsupported, message);
    problem.claimed = Some(claimed.to_string());
    problem
}

/// An error and its causes on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ")
}
