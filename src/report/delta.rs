//! `delta --dry-run` and `inspect` of a delta: what it needs, what it makes and what travels.

use serde::Serialize;

use crate::delta::{DeltaDescription, How, Needed, PartFacts, StreamSize, Streams};

/// What a delta is, or would be.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaReport {
    /// `imgtar/delta/1`
    pub schema: &'static str,
    /// The path of the delta as it was given, `-` for standard input; `null` if it was not written.
    pub path: Option<String>,
    /// How large it is in bytes, or would be.
    pub size: u64,
    /// The version of its format.
    pub version: u32,
    /// The file that it makes.
    pub new: DeltaNew,
    /// What it needs: every one of these, in whatever archive it is.
    pub sources: Vec<DeltaSource>,
    /// How compressed layers are made again.
    pub recipes: Vec<DeltaRecipe>,
    /// What travels, by cause.
    pub streams: DeltaStreams,
    /// What becomes of each part of the new file, in its order.
    pub parts: Vec<DeltaPart>,
    /// What other ways would cost; `null` for a delta that exists.
    pub costs: Option<DeltaCosts>,
}

/// The file that a delta makes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaNew {
    /// What it was called.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: String,
    /// Its images; none if it is a flat tar.
    pub images: Vec<DeltaImage>,
    /// The file that was given, if what is made has its layers uncompressed; `null` if it is made byte for byte.
    pub converted: Option<DeltaConverted>,
}

/// The file that was given, where another one is made that has its layers uncompressed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaConverted {
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: String,
}

/// An image of the file that a delta makes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaImage {
    /// Its image ID.
    pub id: String,
    /// Its names.
    pub references: Vec<String>,
}

/// Bytes that a delta needs.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaSource {
    /// What they are: a layer in an archive, or a whole file.
    pub name: String,
    /// How many bytes they are.
    pub size: u64,
    /// Their digest: for a layer's uncompressed tar, that is its diff ID.
    pub sha256: String,
}

/// How compressed layers are made again.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaRecipe {
    /// The encoder that repeats the compression.
    pub encoder: String,
    /// Its level; `null` if it has none.
    pub level: Option<i32>,
}

/// What travels, by cause.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaStreams {
    /// Differences between files and the old ones that they come from.
    pub differences: DeltaStream,
    /// Bytes that no old archive has.
    pub data: DeltaStream,
    /// Headers of tars, as far as they differ from old ones.
    pub headers: DeltaStream,
    /// What to do: which bytes come from where.
    pub control: DeltaStream,
    /// Compressed layers that travel whole, and corrections for those that are compressed again.
    pub stored: DeltaStream,
}

/// A stream of a delta.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaStream {
    /// How many bytes it has in the delta.
    pub size: u64,
    /// How many bytes it expands to.
    pub expanded: u64,
}

/// What becomes of a part of the new file. Bytes are those of its content, uncompressed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaPart {
    /// What it is called: a layer, a member of the archive, or the whole file.
    pub name: String,
    /// Its size in the new file.
    pub size: u64,
    /// Its size when it is uncompressed.
    pub expanded: u64,
    /// Bytes of files that an old archive has.
    pub same: u64,
    /// Bytes of files that resemble old ones.
    pub changed: u64,
    /// Bytes that no old archive has.
    pub new: u64,
    /// Bytes of headers and padding.
    pub headers: u64,
    /// How many files an old archive has.
    pub same_files: u64,
    /// How many files resemble old ones.
    pub changed_files: u64,
    /// How many files are new.
    pub new_files: u64,
    /// How it travels: `content` as the difference of its files, `recompressed` the same and compressed again by a
    /// recipe, `copied` not at all, because an old archive has all of it; else whole: `whole` because its compression
    /// cannot be repeated, `dearer` because repeating it would take no fewer bytes, `damaged` because it is damaged.
    pub how: &'static str,
    /// For people: the same.
    #[serde(skip)]
    pub travels: How,
}

/// What it would cost to send the new file in other ways, in bytes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeltaCosts {
    /// The whole new file.
    pub whole: u64,
    /// The delta.
    pub delta: u64,
    /// A thin archive without the layers that the old archives hold; `null` if there can be none.
    pub thin: Option<u64>,
    /// Why there can be no thin archive; `null` if there can.
    pub no_thin: Option<String>,
}

impl DeltaReport {
    /// Describes a delta of so many bytes.
    pub fn new(description: &DeltaDescription, path: Option<String>, size: u64) -> Self {
        let new = &description.new;
        let images = new.images.iter().map(|image| DeltaImage {
            id: image.id.clone(),
            references: image.references.clone(),
        });
        Self {
            schema: "imgtar/delta/1",
            path,
            size,
            version: description.version,
            new: DeltaNew {
                name: new.name.clone(),
                size: new.size,
                sha256: new.sha256.to_string(),
                images: images.collect(),
                converted: new.converted.as_ref().map(|given| DeltaConverted {
                    size: given.size,
                    sha256: given.sha256.to_string(),
                }),
            },
            sources: description.sources.iter().map(DeltaSource::new).collect(),
            recipes: description
                .recipes
                .iter()
                .map(|recipe| DeltaRecipe {
                    encoder: recipe.encoder().to_owned(),
                    level: recipe.level(),
                })
                .collect(),
            streams: DeltaStreams::new(&description.streams),
            parts: description.parts.iter().map(DeltaPart::new).collect(),
            costs: None,
        }
    }

    /// The same beside what other ways would cost.
    #[must_use]
    pub fn with_costs(self, costs: DeltaCosts) -> Self {
        Self {
            costs: Some(costs),
            ..self
        }
    }
}

impl DeltaSource {
    fn new(needed: &Needed) -> Self {
        Self {
            name: needed.name.clone(),
            size: needed.size,
            sha256: needed.sha256.to_string(),
        }
    }
}

impl DeltaStreams {
    fn new(streams: &Streams) -> Self {
        let one = |stream: StreamSize| DeltaStream {
            size: stream.size,
            expanded: stream.expanded,
        };
        Self {
            differences: one(streams.differences),
            data: one(streams.data),
            headers: one(streams.headers),
            control: one(streams.control),
            stored: one(streams.stored),
        }
    }
}

impl DeltaPart {
    fn new(part: &PartFacts) -> Self {
        Self {
            name: part.name.clone(),
            size: part.size,
            expanded: part.expanded,
            same: part.same,
            changed: part.changed,
            new: part.new,
            headers: part.headers,
            same_files: part.same_files,
            changed_files: part.changed_files,
            new_files: part.new_files,
            how: match part.how {
                How::Content => "content",
                How::Recompressed => "recompressed",
                How::Copied => "copied",
                How::Whole => "whole",
                How::Dearer => "dearer",
                How::Damaged => "damaged",
            },
            travels: part.how,
        }
    }
}
