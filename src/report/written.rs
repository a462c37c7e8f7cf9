//! `convert`, `select`, `merge`, `thin`, `tag`, `config`: what was written.

use serde::Serialize;

use crate::document::ThinBase;
use crate::output::{LeftOutLayer, RecodedLayers, WrittenImage};

/// What a command has written.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Written {
    /// `imgtar/<command>/1`.
    pub schema: String,
    /// The archive.
    pub archive: WrittenHead,
    /// Its images, in the order of the archive.
    pub images: Vec<WrittenFacts>,
    /// What became of the layers; `null` if nothing was written.
    pub layers: Option<WrittenLayers>,
    /// Differences from the input, in words: what was left out, and what got another digest.
    pub changes: Vec<String>,
    /// The layers that the archive lacks, once for each of their positions; left out if it has all layers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<WrittenLeftOut>,
}

/// A layer that a thin archive lacks.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WrittenLeftOut {
    /// Its diff ID.
    pub diff_id: String,
    /// The chain ID of the stack up to it.
    pub chain_id: String,
    /// The digest of the blob that would be stored.
    pub digest: String,
    /// The length of that blob in bytes.
    pub size: u64,
    /// The images that have it.
    pub bases: Vec<BaseImage>,
}

impl WrittenLeftOut {
    /// Describes it.
    pub fn new(layer: &LeftOutLayer) -> Self {
        Self {
            diff_id: layer.diff_id.to_string(),
            chain_id: layer.chain_id.to_string(),
            digest: layer.digest.to_string(),
            size: layer.size,
            bases: layer.bases.iter().map(BaseImage::new).collect(),
        }
    }
}

/// An image that has the layers that a thin archive lacks.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BaseImage {
    /// Its image ID.
    pub id: String,
    /// Its name when the archive was made thin.
    pub references: Vec<String>,
}

impl BaseImage {
    /// Describes it.
    pub fn new(base: &ThinBase) -> Self {
        Self {
            id: base.id.to_string(),
            references: base.references.clone(),
        }
    }
}

/// The archive that was written, or would be.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WrittenHead {
    /// The path as it was given; `null` if nothing was written.
    pub path: Option<String>,
    /// Its layout: `docker`, `docker-legacy` or `oci`.
    pub layout: String,
    /// How many bytes it has; `null` if nothing was written.
    pub bytes: Option<u64>,
    /// How many bytes it would have, if nothing was written. Left out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_bytes: Option<u64>,
    /// The size in bytes of the file that was made thin. Other commands leave this out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<u64>,
    /// How many bytes of layers the inputs store more than once; `null` for commands with one input.
    pub stored_twice: Option<u64>,
}

/// What became of the bytes of layers, each stored layer counted once.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WrittenLayers {
    /// How many were decoded, or compressed again.
    pub recoded: usize,
    /// How many were copied byte for byte.
    pub kept: usize,
    /// How many bytes those had before.
    pub bytes_before: u64,
    /// How many they have.
    pub bytes: u64,
}

impl WrittenLayers {
    /// Describes them.
    pub fn new(recoded: &RecodedLayers) -> Self {
        Self {
            recoded: recoded.layers,
            kept: recoded.kept,
            bytes_before: recoded.bytes_before,
            bytes: recoded.bytes,
        }
    }
}

/// An image that was written.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WrittenFacts {
    /// The image ID: the digest of its config.
    pub id: Option<String>,
    /// The image ID in engines with a containerd store; `null` if it is not known.
    pub containerd_id: Option<String>,
    /// The digest of its manifest; `null` in `docker-legacy`, which has none.
    pub manifest: Option<String>,
    /// The digest of its manifest in the input; `null` if the input has none for it.
    pub manifest_before: Option<String>,
    /// Its names; further platforms of an image have no separate names.
    pub references: Vec<String>,
    /// `os/architecture[/variant]`; `null` if its config does not say.
    pub platform: Option<String>,
}

impl WrittenFacts {
    /// Describes it.
    pub fn new(image: &WrittenImage) -> Self {
        Self {
            id: Some(image.id.to_string()),
            containerd_id: image.containerd.as_ref().map(ToString::to_string),
            manifest: image.manifest.as_ref().map(ToString::to_string),
            manifest_before: image.manifest_before.as_ref().map(ToString::to_string),
            references: image.names.iter().map(ToString::to_string).collect(),
            platform: (!image.platform.is_unknown()).then(|| image.platform.to_string()),
        }
    }
}
