//! `verify`: what is true of an archive and what is not.

use serde::Serialize;

use super::audit::ImageAudit;
use super::images::{id, references};
use super::text::Text;
use super::verdict::{Demands, Reason};
use crate::archive::{Contents, Layout};
use crate::base::constants::DOCKER_LAYERS;
use crate::base::problem::{Code, Problem, Severity};
use crate::check::{Loader, LoaderStore, LoaderTarget, Loaders, Refusal, Verdict, Verification};
use crate::image::{Image, ImageSet};

/// The answer of `verify`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verify {
    /// `imgtar/verify/2`
    pub schema: &'static str,
    /// The archives in the order in which they were given.
    pub archives: Vec<VerifyArchive>,
}

impl Verify {
    /// Puts archives together.
    pub fn new(archives: Vec<VerifyArchive>) -> Self {
        Self {
            schema: "imgtar/verify/2",
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
    /// Whether nothing fails it.
    pub ok: bool,
    /// What fails it, each once; empty if `ok`. `error: CODE` is a problem that is an error, `strict:
    /// CODE` a warning that counts because of `--strict`, `loads: ENGINE` an engine of `--loads` that does
    /// not load it, `audit: KIND` what `--fail-on` asked for;
    /// `audit: unread` says that files could not be looked at for that.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub failed: Vec<Reason>,
    /// The digest of the file itself; computed only if it was asked for.
    pub sha256: Option<String>,
    /// Its images.
    pub images: Vec<VerifyImage>,
    /// Its artifacts.
    pub artifacts: Vec<VerifyArtifact>,
    /// All problems, errors first.
    pub problems: Vec<ProblemRow>,
    /// What engines would make of it; `null` if it could not be opened at all.
    pub loaders: Option<Vec<VerifyLoader>>,
    /// The commands that make an archive of it which engines load that refuse this one.
    pub mends: Vec<VerifyMend>,
    /// What to know before running its images; `null` unless it was asked for.
    pub audit: Option<Vec<ImageAudit>>,
}

/// What one engine would make of an archive.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyLoader {
    /// Who is asked.
    #[serde(skip)]
    pub target: LoaderTarget,
    /// `docker`, `ctr`, `podman` or `skopeo`.
    pub engine: &'static str,
    /// Where it keeps images: `classic` or `containerd` for Docker, `overlay` or `vfs` for podman.
    pub store: Option<&'static str>,
    /// The version whose behaviour is predicted.
    pub version: &'static str,
    /// The options that it is started with.
    pub options: Option<&'static str>,
    /// `loads`; `loads-with-base` if it ends with success where the layers are loaded that a thin archive leaves
    /// out, and fails elsewhere, for the `reason`; `loads-broken` if it ends with success and an image cannot be run; `refuses`;
    /// `makes-nothing` if it ends with success and without an image; `unknown` if predicting it would take
    /// more than a limit allows.
    pub verdict: &'static str,
    /// Why, where it does not simply load.
    pub reason: Option<String>,
    /// Whether `reason` is what the engine itself says, with `…` for what does not depend on the archive, such
    /// as the name of a temporary directory. Otherwise it is in the words of imgtar.
    pub quoted: bool,
    /// What becomes of each image, in the order of the archive's images.
    pub images: Vec<VerifyFate>,
}

/// What becomes of one image in an engine.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyFate {
    /// The image ID: the digest of its config.
    pub id: Option<String>,
    /// Whether it is there afterwards, and can be run.
    pub loaded: bool,
    /// What it is called there.
    pub name: Option<String>,
    /// Why it is not there, or a remark about its name.
    pub reason: Option<String>,
}

impl VerifyLoader {
    fn new(loader: &Loader, set: Option<&ImageSet>) -> Self {
        let images = set.map_or(&[][..], |set| &set.images);
        let text = |why: &Refusal| why.text().to_owned();
        let fates = images
            .iter()
            .zip(&loader.images)
            .map(|(image, fate)| VerifyFate {
                id: id(image),
                loaded: fate.loaded,
                name: fate.name.clone(),
                reason: fate.reason.as_ref().map(text),
            });
        Self {
            target: loader.target,
            engine: loader.target.engine.name(),
            store: loader.target.store.map(LoaderStore::name),
            version: loader.target.version,
            options: loader.target.options,
            verdict: loader.verdict.name(),
            reason: loader.verdict.reason().map(text),
            quoted: matches!(loader.verdict.reason(), Some(Refusal::Says(_))),
            images: fates.collect(),
        }
    }

    fn all(loaders: &Loaders, set: Option<&ImageSet>) -> Vec<Self> {
        loaders
            .iter()
            .map(|loader| Self::new(loader, set))
            .collect()
    }
}

/// A command that makes an archive which an engine loads that refuses this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum VerifyMend {
    /// `imgtar convert ARCHIVE --layout docker`: Docker's own store reads no OCI image layout.
    Convert,
    /// `imgtar merge ARCHIVE BASE`: all but Docker's own store want all layers.
    Merge,
    /// `imgtar select ARCHIVE --present`: `ctr images import --all-platforms` wants all platforms that are named.
    Select,
}

impl VerifyMend {
    /// What helps; nothing where an error is in the way.
    fn all(set: &ImageSet, result: &Verification) -> Vec<Self> {
        if !result.is_ok(false) || set.images.is_empty() {
            return Vec::new();
        }
        if set.thin.is_some() {
            return vec![Self::Merge];
        }
        let refuses = |is_it: &dyn Fn(&LoaderTarget) -> bool| {
            let mut loaders = result.loaders.iter();
            loaders.any(|loader| {
                is_it(&loader.target) && matches!(loader.verdict, Verdict::Refuses(_))
            })
        };
        let mut mends = Vec::new();
        // Another platform than Linux or too many layers are refused in any layout.
        let is_for_linux =
            |image: &Image| image.platform.os == "linux" && image.layers.len() <= DOCKER_LAYERS;
        if set.layout == Layout::Oci
            && set.images.iter().all(is_for_linux)
            && refuses(&|target| target.store == Some(LoaderStore::Classic))
        {
            mends.push(Self::Convert);
        }
        if !set.absent.is_empty() && refuses(&|target| target.options.is_some()) {
            mends.push(Self::Select);
        }
        mends
    }
}

/// The outcome for one image.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyImage {
    /// The image ID.
    pub id: Option<String>,
    /// The image ID that engines with a containerd store print after loading, computed from the bytes of the
    /// layers where containerd makes a manifest of them; `null` where it is not known.
    pub containerd_id: Option<String>,
    /// What the archive calls it.
    pub references: Vec<String>,
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
    /// The diff ID that its bytes have; `null` if it is missing or cannot be decoded.
    pub computed: Option<String>,
    /// Whether it is there and is what is claimed.
    pub ok: bool,
    /// The member that holds it.
    pub member: Text,
    /// Whether it was left out of a thin archive on purpose.
    pub left_out: bool,
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
    /// The digest that its descriptor claims.
    pub digest: String,
    /// The digest that its bytes have; `null` if it is missing.
    pub computed: Option<String>,
    /// Whether the two are equal.
    pub ok: bool,
    /// The member that holds it.
    pub member: Text,
}

/// One claim that is not true.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProblemRow {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: Code,
    /// What it is and its consequences.
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
        Self::of(problem, image.and_then(id))
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
                        left_out: layer.left_out().is_some(),
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
            loaders: Some(VerifyLoader::all(&result.loaders, Some(set))),
            mends: VerifyMend::all(set, result),
            audit,
        }
    }

    /// Describes an archive that holds no images to check, because of `problems`.
    pub fn unreadable(path: &str, problems: &[Problem], loaders: Option<&Loaders>) -> Self {
        Self {
            path: path.to_owned(),
            ok: false,
            // What cannot be read fails, whatever else is demanded.
            failed: Demands::default().judge(problems, &[], None),
            sha256: None,
            images: Vec::new(),
            artifacts: Vec::new(),
            problems: problems
                .iter()
                .map(|problem| ProblemRow::of(problem, None))
                .collect(),
            loaders: loaders.map(|loaders| VerifyLoader::all(loaders, None)),
            mends: Vec::new(),
            audit: None,
        }
    }
}
