//! `verify`: what holds and what does not.

use serde::Serialize;

use super::audit::ImageAudit;
use super::images::{id, references};
use super::text::Text;
use super::verdict::{Demands, Reason};
use crate::archive::Contents;
use crate::base::problem::{Code, Problem, Severity};
use crate::check::{Loaders, Refusal, Verdict, Verification};
use crate::image::ImageSet;

/// The answer of `verify`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verify {
    /// `imgtar/verify/1`
    pub schema: &'static str,
    /// The archives in the order in which they were given.
    pub archives: Vec<VerifyArchive>,
}

impl Verify {
    /// Puts archives together.
    pub fn new(archives: Vec<VerifyArchive>) -> Self {
        Self {
            schema: "imgtar/verify/1",
            archives,
        }
    }
}

/// What became of one archive.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyArchive {
    /// The path as it was given, `-` for standard input.
    pub path: String,
    /// Whether nothing fails it.
    pub ok: bool,
    /// What fails it, each once; empty if `ok`. `error: CODE` is a problem that is an error, `strict:
    /// CODE` a warning that counts because of `--strict`, `audit: KIND` what `--fail-on` asked for;
    /// `audit: unread` says that files could not be looked at for that.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub failed: Vec<Reason>,
    /// The digest of the file itself; computed only if it was asked for.
    pub sha256: Option<String>,
    /// Its images.
    pub images: Vec<VerifyImage>,
    /// Its artifacts.
    pub artifacts: Vec<VerifyArtifact>,
    /// Everything that does not hold, errors first.
    pub problems: Vec<ProblemRow>,
    /// What engines would make of it; `null` if it could not be opened at all.
    pub loaders: Option<VerifyLoaders>,
    /// What to know before running its images; `null` unless it was asked for.
    pub audit: Option<Vec<ImageAudit>>,
}

/// What engines would make of an archive.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyLoaders {
    /// Docker with its own store (overlay2).
    pub docker: VerifyLoader,
    /// Docker with the containerd store, and containerd.
    pub containerd: VerifyLoader,
    /// podman and skopeo.
    pub podman: VerifyLoader,
}

/// What one engine would make of an archive.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyLoader {
    /// Whether it takes it.
    pub accepts: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Whether `reason` is what the engine itself says, with `…` for what the archive does not decide, such
    /// as the name of a temporary directory. Otherwise it is in the words of imgtar.
    pub quoted: bool,
}

impl From<&Loaders> for VerifyLoaders {
    fn from(loaders: &Loaders) -> Self {
        let of = |verdict: &Verdict| VerifyLoader {
            accepts: verdict.accepts(),
            reason: verdict.refusal.as_ref().map(|why| why.text().to_owned()),
            quoted: matches!(verdict.refusal, Some(Refusal::Says(_))),
        };
        Self {
            docker: of(&loaders.docker),
            containerd: of(&loaders.containerd),
            podman: of(&loaders.podman),
        }
    }
}

/// What became of one image.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyImage {
    /// The image ID.
    pub id: Option<String>,
    /// What the archive calls it.
    pub references: Vec<String>,
    /// The layers, base first.
    pub layers: Vec<VerifyLayer>,
}

/// What became of one layer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyLayer {
    /// Its index, base first.
    pub index: usize,
    /// The diff ID that the config claims.
    pub diff_id: Option<String>,
    /// The diff ID that its bytes have; `null` if it is missing or cannot be decoded.
    pub computed: Option<String>,
    /// Whether it is there and is what is claimed.
    pub ok: bool,
    /// The member that holds it.
    pub member: Text,
}

/// What became of one artifact.
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

/// What became of one blob of an artifact.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyBlob {
    /// The digest that its descriptor claims.
    pub digest: String,
    /// The digest that its bytes have; `null` if it is missing.
    pub computed: Option<String>,
    /// Whether the two are equal.
    pub ok: bool,
    /// The member that holds it.
    pub member: Text,
}

/// One claim that does not hold.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProblemRow {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: Code,
    /// What it is and what follows from it.
    pub message: String,
    /// The ID of the image that it is about.
    pub image: Option<String>,
    /// The index of the layer, base first.
    pub layer: Option<usize>,
    /// The member of the archive.
    pub member: Option<Text>,
    /// The path inside a layer; the first, if there are several.
    pub path: Option<Text>,
    /// The next few paths.
    pub more_paths: Vec<Text>,
    /// How many times it was found: problems of one kind in one layer are one row.
    pub count: usize,
    /// Where in the uncompressed archive, in bytes.
    pub offset: Option<u64>,
    /// What the archive claims.
    pub claimed: Option<String>,
    /// What the bytes say.
    pub computed: Option<String>,
}

impl ProblemRow {
    /// Describes a problem of an archive that holds `set`.
    pub fn new(problem: &Problem, set: &ImageSet) -> Self {
        let image = problem.image.and_then(|position| set.images.get(position));
        Self::of(problem, image.and_then(|image| id(&image.identity)))
    }

    fn of(problem: &Problem, image: Option<String>) -> Self {
        Self {
            severity: problem.severity,
            code: problem.code,
            message: problem.message.clone(),
            image,
            layer: problem.layer,
            member: problem.member.clone().map(Text),
            path: problem.path.clone().map(Text),
            more_paths: problem.more.iter().cloned().map(Text).collect(),
            count: problem.count,
            offset: problem.offset,
            claimed: problem.claimed.clone(),
            computed: problem.computed.clone(),
        }
    }
}

impl VerifyArchive {
    /// Describes what became of an archive, and judges it by `demands`. `audit` has what was found in each
    /// image, if that was asked for.
    pub fn new(
        archive: &Contents,
        set: &ImageSet,
        result: &Verification,
        audit: Option<Vec<ImageAudit>>,
        demands: &Demands,
    ) -> Self {
        let failed = demands.judge(&result.problems, audit.as_deref().unwrap_or_default());
        let images = set
            .images
            .iter()
            .zip(&result.images)
            .map(|(image, check)| VerifyImage {
                id: id(&image.identity),
                references: references(image),
                layers: image
                    .layers
                    .iter()
                    .zip(&check.layers)
                    .map(|(layer, check)| VerifyLayer {
                        index: check.index,
                        diff_id: check.diff_id.as_ref().map(ToString::to_string),
                        computed: check.computed.as_ref().map(ToString::to_string),
                        ok: check.ok,
                        member: Text(layer.member.clone()),
                    })
                    .collect(),
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
        Self {
            path: archive.path().to_owned(),
            ok: failed.is_empty(),
            failed,
            sha256: result.file.as_ref().map(ToString::to_string),
            images: images.collect(),
            artifacts: artifacts.collect(),
            problems: result
                .problems
                .iter()
                .map(|problem| ProblemRow::new(problem, set))
                .collect(),
            loaders: Some((&result.loaders).into()),
            audit,
        }
    }

    /// Describes an archive that holds no images to check, because of `problems`.
    pub fn unreadable(path: &str, problems: &[Problem], loaders: Option<&Loaders>) -> Self {
        Self {
            path: path.to_owned(),
            ok: false,
            // What cannot be read fails, whatever else is demanded.
            failed: Demands::default().judge(problems, &[]),
            sha256: None,
            images: Vec::new(),
            artifacts: Vec::new(),
            problems: problems
                .iter()
                .map(|problem| ProblemRow::of(problem, None))
                .collect(),
            loaders: loaders.map(Into::into),
            audit: None,
        }
    }
}
