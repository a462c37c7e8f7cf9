//! `images`: which images there are.

use serde::Serialize;

use super::each::Each;
use super::written::BaseImage;
use crate::archive::{Contents, Layout};
use crate::image::{Identity, Image, ImageSet};
use crate::layer::Measures;
use crate::source::Compression;

/// The archive itself.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArchiveHead {
    /// The path as it was given, `-` for standard input.
    pub path: String,
    /// Its layout.
    pub layout: Layout,
    /// The compression around all of it.
    pub compression: Compression,
    /// The size of the file in bytes, compressed if it is.
    pub size: u64,
    /// The layers that are left out on purpose, if it is a thin archive. Other archives do not have this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thin: Option<ThinFacts>,
}

/// What a thin archive leaves out, as its listing claims.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ThinFacts {
    /// How many layers there are, each counted once.
    pub layers: usize,
    /// How many bytes their blobs have together.
    pub bytes: u64,
    /// The images that have them.
    pub bases: Vec<BaseImage>,
}

impl ArchiveHead {
    /// Describes an archive.
    pub fn new(archive: &Contents, set: &ImageSet) -> Self {
        Self {
            path: archive.path().to_owned(),
            layout: set.layout,
            compression: archive.compression(),
            size: archive.stored_size(),
            thin: set.thin.as_ref().map(|thin| ThinFacts {
                layers: thin.layers,
                bytes: thin.bytes,
                bases: thin.bases.iter().map(|base| BaseImage::new(base)).collect(),
            }),
        }
    }
}

/// What an image is, in a few facts.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageFacts {
    /// The image ID; for an image from before Docker 1.10, the one that Docker 25 to 28 computes at loading, or its
    /// `legacy_id` if Docker does not load it; `null` if the config is missing and nothing states its digest.
    pub id: Option<String>,
    /// The ID of the image in an archive from before Docker 1.10: 64 digits without an algorithm. Other images do not
    /// have this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_id: Option<String>,
    /// The image ID that Docker 1.10 to 24 computes for an image from before Docker 1.10, if it is not the same as
    /// `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_before_docker_25: Option<String>,
    /// The image ID that engines with a containerd store (the default of Docker 29) print after loading; `null` if it
    /// is not known: the archive is from before Docker 1.10, or lacks a part of the image, or containerd reads a
    /// description that does not have the image.
    pub containerd_id: Option<String>,
    /// Its name in the archive, in familiar form.
    pub references: Vec<String>,
    /// `os/architecture[/variant]`; `null` if the archive does not state it.
    pub platform: Option<String>,
    /// When it was created.
    pub created: Option<String>,
    /// The size of its layers as `docker image inspect` counts it; `null` if a layer is missing or
    /// damaged.
    pub size: Option<u64>,
}

impl ImageFacts {
    /// Describes an image.
    pub fn new(set: &ImageSet, image: &Image, measures: &Measures) -> Self {
        let created = image.view().and_then(|view| view.created.as_ref());
        Self {
            id: id(image),
            legacy_id: image.is_legacy().then(|| image.identity.to_string()),
            id_before_docker_25: id_before_docker_25(image),
            containerd_id: containerd_id(set, image),
            references: references(image),
            platform: (!image.platform.is_unknown()).then(|| image.platform.to_string()),
            created: created.map(|c| c.as_str().to_owned()),
            size: measures.image_size(image),
        }
    }
}

/// One image in a line.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageHead {
    /// What it is.
    #[serde(flatten)]
    pub facts: ImageFacts,
    /// How many layers it has.
    pub layers: usize,
}

impl ImageHead {
    /// Describes an image.
    pub fn new(set: &ImageSet, image: &Image, measures: &Measures) -> Self {
        Self {
            facts: ImageFacts::new(set, image, measures),
            layers: image.layers.len(),
        }
    }
}

pub(super) fn id(image: &Image) -> Option<String> {
    let identity = image.loaded_identity();
    (identity != Identity::Unknown).then(|| identity.to_string())
}

fn id_before_docker_25(image: &Image) -> Option<String> {
    let ids = image.upgraded_ids()?;
    (ids.before_25 != ids.id).then(|| ids.before_25.to_string())
}

pub(super) fn containerd_id(set: &ImageSet, image: &Image) -> Option<String> {
    set.containerd_name(image).map(|name| name.id.to_string())
}

pub(super) fn references(image: &Image) -> Vec<String> {
    image.names.iter().map(ToString::to_string).collect()
}

/// The answer of `images`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Images<'a> {
    /// `imgtar/images/1`
    pub schema: &'static str,
    /// The archive.
    pub archive: ArchiveHead,
    /// Its images in the order of the archive.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<ImageHead>"))]
    pub images: Each<'a, ImageHead>,
}

impl<'a> Images<'a> {
    /// Describes some images of an archive. Their `containerd_id` is what `set` knows: for compressed
    /// layers [`crate::layer::hash_members`] has to be called before.
    pub fn new(
        archive: &Contents,
        set: &'a ImageSet,
        picked: &'a [&'a Image],
        measures: &'a Measures,
    ) -> Self {
        Self {
            schema: "imgtar/images/1",
            archive: ArchiveHead::new(archive, set),
            images: Each::new(picked, move |_, image| ImageHead::new(set, image, measures)),
        }
    }
}
