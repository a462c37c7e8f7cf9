//! What the archive claims of layers and blobs, compared with what was read of them.

use std::collections::HashSet;

use super::blobs::{Blobs, ReadBlob};
use super::{BlobCheck, LayerCheck, content, describe, odd_entries};
use crate::base::digest::{BlobDigest, DiffId, Digest};
use crate::base::problem::{Code, Problem, Severity};
use crate::image::{Artifact, Image, ImageSet, Layer, LayerSource};
use crate::layer::LayerError;
use crate::layer::digest::{LayerReading, TarState};
use crate::source::Span;
use crate::tree::Survey;

/// What is found while claims are compared with what was read.
pub(super) struct Checker<'b> {
    blobs: &'b Blobs,
    pub(super) problems: Vec<Problem>,
    /// Blobs whose digest mismatch was reported, so that a shared blob is reported once.
    told: HashSet<Span>,
}

impl<'b> Checker<'b> {
    /// Begins with the problems that are known already.
    pub(super) fn new(blobs: &'b Blobs, problems: Vec<Problem>) -> Self {
        Self {
            blobs,
            problems,
            told: HashSet::new(),
        }
    }

    pub(super) fn layer(&mut self, layer: &Layer, image: usize) -> LayerCheck {
        let mut check = LayerCheck {
            index: layer.index,
            diff_id: layer.diff_id.clone(),
            computed: None,
            ok: false,
        };
        let LayerSource::Present { slice, .. } = &layer.source else {
            return check;
        };
        // Which is told already.
        if layer.is_placeholder() {
            return check;
        }
        let Some(blob) = self.blobs.get(slice) else {
            return check;
        };
        let Some(read) = blob.layer() else {
            return check;
        };
        let claimed = layer.digest.as_ref().map(BlobDigest::digest);
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
                self.digest(claimed, blob, place);
                return check;
            }
        };
        let computed = reading.diff_id().clone();
        check.ok = match diff_id_problem(layer, &computed) {
            None => true,
            Some(problem) => {
                let is_warning = problem.severity == Severity::Warning;
                self.problems.push(place(problem));
                is_warning
            }
        };
        check.computed = Some(computed);
        self.digest(claimed, blob, place);
        let problems = form_problems(reading).into_iter();
        self.problems.extend(problems.map(place));
        check
    }

    /// Reports problems inside the layers; of layers that images share, once.
    pub(super) fn content(&mut self, set: &ImageSet, surveys: &[Option<Survey>]) {
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

    pub(super) fn artifact(&mut self, artifact: &Artifact) -> Vec<BlobCheck> {
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
    pub(super) fn named_blobs(&mut self, set: &ImageSet) {
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

/// What is wrong with the diff ID that is claimed of a layer: a warning if it cannot be computed.
fn diff_id_problem(layer: &Layer, computed: &DiffId) -> Option<Problem> {
    let claimed = layer.diff_id.as_ref()?;
    if claimed.digest().algorithm() != computed.digest().algorithm() {
        return Some(unsupported(claimed.digest()));
    }
    let message = "the layer's content does not match its diff ID: it was changed, damaged or swapped, and engines refuse to load it";
    (claimed != computed)
        .then(|| Problem::error(Code::DiffIdMismatch, message).compared(claimed, computed))
}

/// What is wrong with the form of a layer whose bytes could all be read.
fn form_problems(reading: &LayerReading) -> Vec<Problem> {
    let mut problems = Vec::new();
    if reading.trailing {
        let message = "bytes follow the end of the layer's gzip data: Docker takes such a layer, containerd, skopeo and podman refuse it";
        problems.push(Problem::warning(Code::TrailingData, message));
    }
    match &reading.tar {
        TarState::Sound { end_marked, after } => {
            if let Some(offset) = after {
                let message = format!(
                    "something follows the end of the layer's tar at byte {offset} of it: engines hash it and do not read it"
                );
                problems.push(Problem::warning(Code::TrailingData, message));
            }
            if !end_marked && !reading.is_empty() {
                let message =
                    "the layer's tar lacks its end-of-archive blocks: engines read it all the same";
                problems.push(Problem::warning(Code::EndMissing, message));
            }
        }
        TarState::Unsound(error) => problems.push(unsound(error)),
    }
    problems
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
