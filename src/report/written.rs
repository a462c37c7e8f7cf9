//! `convert`, `select`, `merge`, `tag`, `config`: what was written.

use serde::Serialize;

/// What a command has written.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Written {
    /// `imgtar/<command>/1`.
    pub schema: String,
    /// The archive.
    pub archive: WrittenHead,
    /// Its images, in its order.
    pub images: Vec<WrittenFacts>,
    /// What became of the layers; `null` if nothing was written.
    pub layers: Option<WrittenLayers>,
    /// What is different from the input, in words: what was left out, what changed its digest.
    pub changes: Vec<String>,
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
    /// How many bytes of layers the inputs store more than once; `null` for commands with one input.
    pub stored_twice: Option<u64>,
}

/// What became of the bytes of layers, each stored layer counted once.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WrittenLayers {
    /// How many were decoded, or compressed anew.
    pub recoded: usize,
    /// How many were copied byte for byte.
    pub kept: usize,
    /// How many bytes the former had.
    pub bytes_before: u64,
    /// How many they have.
    pub bytes: u64,
}

/// An image that was written.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WrittenFacts {
    /// The image ID: the digest of its config.
    pub id: Option<String>,
    /// The image ID in engines with a containerd store; `null` if it cannot be told.
    pub containerd_id: Option<String>,
    /// The digest of its manifest; `null` in `docker-legacy`, which has none.
    pub manifest: Option<String>,
    /// The digest of its manifest in the input; `null` if it had none there.
    pub manifest_before: Option<String>,
    /// What it is called; further platforms of one image have no names of their own.
    pub references: Vec<String>,
    /// `os/architecture[/variant]`; `null` if its config does not say.
    pub platform: Option<String>,
}
