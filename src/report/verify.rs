//! `verify`: what is true of an archive and what is not.

use serde::Serialize;

use super::audit::ImageAudit;
use super::findings::AbsentManifests;
use super::images::{id, references};
use super::problem_row::ProblemRow;
use super::step::step;
use super::text::Text;
use super::verdict::{Demands, Reason, all_in_words, in_words};
use super::verify_loaders::{VerifyLoader, VerifyMend};
use crate::archive::Contents;
use crate::base::problem::Problem;
use crate::check::{DeltaVerification, LayerCheck, Loaders, Verification};
use crate::image::{ImageSet, Layer};

/// How much of a build step is kept for a line about its layer, in characters: one config may describe thousands
/// of images.
const SHORT_STEP: usize = 200;

/// The answer of `verify`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verify {
    /// `imgtar/verify/2`
    pub schema: &'static str,
    /// The verdict in words, with the reasons.
    pub summary: String,
    /// The archives in the order in which they were given.
    pub archives: Vec<VerifyArchive>,
}

impl Verify {
    /// Puts archives together; `unopened` is how many more there were that could not be read at all.
    pub fn new(archives: Vec<VerifyArchive>, unopened: usize) -> Self {
        Self {
            schema: "imgtar/verify/2",
            summary: all_in_words(&archives, unopened),
            archives,
        }
    }
}

/// The outcome for one archive.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyArchive {
    /// The path as it was given, `-` for standard input.
    pub path: String,
    /// Whether it passes.
    pub ok: bool,
    /// The reasons why it fails, each once; empty if `ok`. `error: CODE` is a problem that is an error, `strict:
    /// CODE` a warning that counts because of `--strict`, `loads: ENGINE` an engine of `--loads` that does not load
    /// it, `audit: KIND` a kind that `--fail-on` names; `audit: unread` says that files could not be examined for
    /// that.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub failed: Vec<Reason>,
    /// The verdict in words, with the reasons.
    pub summary: String,
    /// The digest of the file itself; computed only on request.
    pub sha256: Option<String>,
    /// Its images.
    pub images: Vec<VerifyImage>,
    /// Its artifacts.
    pub artifacts: Vec<VerifyArtifact>,
    /// The delta that it is; left out for archives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<VerifyDelta>,
    /// All problems, errors first.
    pub problems: Vec<ProblemRow>,
    /// For people: the manifests that an image index names and the archive does not hold.
    #[serde(skip)]
    pub absent: Option<AbsentManifests>,
    /// How engines would handle it; `null` if it could not be opened at all.
    pub loaders: Option<Vec<VerifyLoader>>,
    /// The commands that make an archive of it which engines load that refuse this one.
    pub mends: Vec<VerifyMend>,
    /// What you should know before running its images; `null` unless requested.
    pub audit: Option<Vec<ImageAudit>>,
}

/// A delta that was checked.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyDelta {
    /// What it calls the file that it makes.
    pub name: String,
    /// The size of that file in bytes.
    pub size: u64,
    /// The digest of that file.
    pub sha256: String,
    /// How many sources it needs.
    pub sources: usize,
    /// How many bytes these are.
    pub sources_size: u64,
}

/// The outcome for one image.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyImage {
    /// The image ID.
    pub id: Option<String>,
    /// The image ID that engines with a containerd store print after loading, computed from the bytes of the layers
    /// if containerd makes a manifest for them; `null` if it is not known.
    pub containerd_id: Option<String>,
    /// Its name in the archive.
    pub references: Vec<String>,
    /// Its platform, from its config.
    pub platform: Option<String>,
    /// The layers, base first.
    pub layers: Vec<VerifyLayer>,
}

/// The outcome for one layer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyLayer {
    /// Its index, base first.
    pub index: usize,
    /// The diff ID that the config claims.
    pub diff_id: Option<String>,
    /// The diff ID of its bytes; `null` if it is missing or cannot be decoded.
    pub computed: Option<String>,
    /// Whether it is there and as claimed.
    pub ok: bool,
    /// The length of the stored blob in bytes; `null` if it is missing.
    pub size: Option<u64>,
    /// The member that holds it.
    pub member: Text,
    /// Whether it was left out of a thin archive on purpose.
    pub left_out: bool,
    /// For people: the build step that made it, cut where it is long.
    #[serde(skip)]
    pub step: Option<String>,
}

impl VerifyLayer {
    fn new(layer: &Layer, check: &LayerCheck) -> Self {
        Self {
            index: check.index,
            diff_id: check.diff_id.as_ref().map(ToString::to_string),
            computed: check.computed.as_ref().map(ToString::to_string),
            ok: check.ok,
            size: layer.present().map(|(slice, _)| slice.len()),
            member: Text(layer.member.clone()),
            left_out: layer.left_out().is_some(),
            step: None,
        }
    }
}

/// The outcome for one artifact.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyArtifact {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digest of its manifest.
    pub digest: String,
    /// Its blobs, the config first.
    pub blobs: Vec<VerifyBlob>,
}

/// The outcome for one blob of an artifact.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyBlob {
    /// The digest in its descriptor.
    pub digest: String,
    /// The digest of its bytes; `null` if it is missing.
    pub computed: Option<String>,
    /// Whether the two are equal.
    pub ok: bool,
    /// The member that holds it.
    pub member: Text,
}

impl VerifyArchive {
    /// Describes the outcome for an archive, and judges it by `demands`. `audit` has what was found in each
    /// image, if that was asked for.
    pub fn new(
        archive: &Contents,
        set: &ImageSet,
        result: &Verification,
        audit: Option<Vec<ImageAudit>>,
        demands: &Demands,
    ) -> Self {
        let audits = audit.as_deref().unwrap_or_default();
        let failed = demands.judge(&result.problems, audits, Some(&result.loaders));
        let images = set
            .images
            .iter()
            .zip(&result.images)
            .map(|(image, check)| VerifyImage {
                id: id(image),
                containerd_id: check.containerd.as_ref().map(|name| name.id.to_string()),
                references: references(image),
                platform: (!image.platform.is_unknown()).then(|| image.platform.to_string()),
                layers: {
                    let pairing = image.pairing();
                    let layers = image.layers.iter().zip(&check.layers);
                    layers
                        .map(|(layer, check)| VerifyLayer {
                            step: pairing
                                .maker_of(layer.index)
                                .map(|made| step(made, SHORT_STEP)),
                            ..VerifyLayer::new(layer, check)
                        })
                        .collect()
                },
            });
        let artifacts = set
            .artifacts
            .iter()
            .zip(&result.artifacts)
            .map(|(artifact, check)| VerifyArtifact {
                kind: artifact.kind.clone(),
                digest: artifact.descriptor.digest.to_string(),
                blobs: artifact
                    .blobs
                    .iter()
                    .zip(&check.blobs)
                    .map(|(blob, check)| VerifyBlob {
                        digest: check.digest.to_string(),
                        computed: check.computed.as_ref().map(ToString::to_string),
                        ok: check.ok,
                        member: Text(blob.member.clone()),
                    })
                    .collect(),
            });
        let mut report = Self {
            path: archive.path().to_owned(),
            ok: failed.is_empty(),
            failed,
            summary: String::new(),
            sha256: result.file.as_ref().map(ToString::to_string),
            images: images.collect(),
            artifacts: artifacts.collect(),
            delta: None,
            problems: result
                .problems
                .iter()
                .map(|problem| ProblemRow::new(problem, set))
                .collect(),
            absent: AbsentManifests::of(set),
            loaders: Some(VerifyLoader::all(&result.loaders, Some(set))),
            mends: VerifyMend::all(set, result),
            audit,
        };
        report.summary = in_words(&report);
        report
    }

    /// Describes a delta.
    pub fn of_delta(path: &str, result: &DeltaVerification, demands: &Demands) -> Self {
        let failed = demands.judge(&result.problems, &[], None);
        let delta = result.description.as_ref().map(|description| {
            let sizes = description.sources.iter().map(|source| source.size);
            VerifyDelta {
                name: description.new.name.clone(),
                size: description.new.size,
                sha256: description.new.sha256.to_string(),
                sources: description.sources.len(),
                sources_size: sizes.fold(0, u64::saturating_add),
            }
        });
        let mut report = Self {
            ok: failed.is_empty(),
            failed,
            sha256: result.file.as_ref().map(ToString::to_string),
            delta,
            ..Self::unreadable(path, &result.problems, None)
        };
        report.summary = in_words(&report);
        report
    }

    /// Describes an archive that holds no images to check, because of `problems`.
    pub fn unreadable(path: &str, problems: &[Problem], loaders: Option<&Loaders>) -> Self {
        let mut report = Self {
            path: path.to_owned(),
            ok: false,
            summary: String::new(),
            absent: None,
            // What cannot be read fails, whatever else is demanded.
            failed: Demands::default().judge(problems, &[], None),
            sha256: None,
            images: Vec::new(),
            artifacts: Vec::new(),
            delta: None,
            problems: problems
                .iter()
                .map(|problem| ProblemRow::of(problem, None))
                .collect(),
            loaders: loaders.map(|loaders| VerifyLoader::all(loaders, None)),
            mends: Vec::new(),
            audit: None,
        };
        report.summary = in_words(&report);
        report
    }
}
