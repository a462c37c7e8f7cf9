//! `inspect`: all that is known.

use std::collections::BTreeMap;

use serde::Serialize;

use super::each::Each;
use super::findings::AbsentManifests;
use super::hidden::HiddenBytes;
use super::history::{HistoryImage, HistoryStep, Parents};
use super::images::{ArchiveHead, ImageFacts};
use super::layers::{LayerRow, LayersImage};
use super::problem_row::ProblemRow;
use super::text::Raw;
use crate::archive::Contents;
use crate::image::{ContainerdBasis, Image, ImageSet, Name};
use crate::layer::Measures;
use crate::tree::LayerWaste;

/// The answer of `inspect`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inspect<'a> {
    /// `imgtar/inspect/1`
    pub schema: &'static str,
    /// The archive.
    pub archive: ArchiveHead,
    /// How many images the archive holds, whether they were asked for or not.
    pub images_in_archive: usize,
    /// The images that you asked for.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<InspectImage>"))]
    pub images: Each<'a, InspectImage>,
    /// Manifests that do not describe an image: signatures, attestations and others.
    pub artifacts: Vec<InspectArtifact>,
    /// Manifests that an index names and the archive does not hold.
    pub absent: Vec<InspectAbsent>,
    /// For people: the same in one sentence.
    #[serde(skip)]
    pub absent_manifests: Option<AbsentManifests>,
    /// The problems that were found while the archive's descriptions were read. No layer was hashed for this;
    /// `verify` does that.
    pub problems: Vec<ProblemRow>,
}

/// One image.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InspectImage {
    /// What `images` says, but for the number of layers, which are listed.
    #[serde(flatten)]
    pub facts: ImageFacts,
    /// How `containerd_id` is known: it is `listed` in the archive; or containerd makes a manifest, whose digests are
    /// `computed` from the bytes, or of which at least one is `claimed` by a diff ID.
    pub containerd_id_basis: Option<ContainerdBasis>,
    /// Whether a store that already holds one of the layers compressed gives the image another `containerd_id`.
    pub containerd_id_depends_on_store: bool,
    /// The digest of its manifest, in archives that have one.
    pub manifest_digest: Option<String>,
    /// The digest of the index that lists its manifest, if that is not `index.json` itself.
    pub index_digest: Option<String>,
    /// Annotations of its manifest and its descriptor.
    pub annotations: BTreeMap<String, String>,
    /// The IDs of the parents of an image from before Docker 1.10, as Docker computes them, the nearest first. Other
    /// images do not have this field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
    /// What `layers` says.
    pub layers: Vec<LayerRow>,
    /// What `history` says.
    pub history: Vec<HistoryStep>,
    /// The config, verbatim; `null` if it is missing or is not JSON.
    pub config: Option<Raw>,
}

/// One artifact.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InspectArtifact {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digest of its manifest.
    pub digest: String,
    /// Its name in the archive.
    pub references: Vec<String>,
    /// The manifest that it is about.
    pub subject: Option<String>,
    /// How many layers it has.
    pub layers: usize,
}

/// A manifest that is named but missing.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InspectAbsent {
    /// Its digest.
    pub digest: String,
    /// Its platform.
    pub platform: Option<String>,
    /// Its name in the archive.
    pub references: Vec<String>,
}

impl<'a> Inspect<'a> {
    /// Describes some images of an archive, and what else it holds. Their `containerd_id` is what `set` knows:
    /// for compressed layers [`crate::layer::hash_members`] has to be called before.
    pub fn new(
        archive: &Contents,
        set: &'a ImageSet,
        picked: &'a [&'a Image],
        (measures, hidden): (&'a Measures, &'a HiddenBytes),
    ) -> Self {
        let parents = Parents::of(set);
        Self {
            schema: "imgtar/inspect/1",
            archive: ArchiveHead::new(archive, set),
            images_in_archive: set.images.len(),
            images: Each::new(picked, move |place, image| {
                InspectImage::new(set, &parents, image, (measures, hidden.of(place)))
            }),
            artifacts: InspectArtifact::all(set),
            absent: InspectAbsent::all(set),
            absent_manifests: AbsentManifests::of(set),
            problems: set
                .problems
                .iter()
                .map(|problem| ProblemRow::new(problem, set))
                .collect(),
        }
    }
}

fn names(names: &[Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

impl InspectArtifact {
    /// Describes the artifacts of an archive.
    pub(super) fn all(set: &ImageSet) -> Vec<Self> {
        let artifacts = set.artifacts.iter().map(|artifact| Self {
            kind: artifact.kind.clone(),
            digest: artifact.descriptor.digest.to_string(),
            references: names(&artifact.names),
            subject: artifact.subject.as_ref().map(ToString::to_string),
            layers: artifact.blobs.len().saturating_sub(1),
        });
        artifacts.collect()
    }
}

impl InspectAbsent {
    /// Describes what an archive names and does not hold.
    pub(super) fn all(set: &ImageSet) -> Vec<Self> {
        let absent = set.absent.iter().map(|absent| Self {
            digest: absent.descriptor.digest.to_string(),
            platform: absent.descriptor.platform.as_ref().map(ToString::to_string),
            references: names(&absent.names),
        });
        absent.collect()
    }
}

impl InspectImage {
    fn new(
        set: &ImageSet,
        parents: &Parents<'_>,
        image: &Image,
        (measures, hidden): (&Measures, Option<&[LayerWaste]>),
    ) -> Self {
        let manifest = image.manifest.as_ref();
        let containerd = set.containerd_name(image);
        let annotations = manifest
            .into_iter()
            .flat_map(|m| m.descriptor.annotations.iter().chain(&m.annotations))
            .cloned()
            .collect();
        Self {
            facts: ImageFacts::new(set, image, measures),
            containerd_id_basis: containerd.as_ref().map(|name| name.basis),
            containerd_id_depends_on_store: containerd.is_some_and(|name| name.depends_on_store),
            manifest_digest: manifest.map(|m| m.descriptor.digest.to_string()),
            index_digest: manifest
                .and_then(|m| m.index.as_ref())
                .map(ToString::to_string),
            annotations,
            parents: image.upgraded_ids().map_or_else(Vec::new, |ids| {
                ids.parents.iter().map(ToString::to_string).collect()
            }),
            layers: LayersImage::new(image, measures, hidden).layers,
            history: HistoryImage::new(parents, image, measures).history,
            config: image
                .config
                .as_ref()
                .and_then(|config| Raw::new(&config.raw)),
        }
    }
}
