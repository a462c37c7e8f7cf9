//! What a delta says of itself: its first member, JSON that people and other programs can read.
//!
//! Threats, and what is done about them: a description is at most [`LONGEST`] bytes and is not read if it is longer;
//! it holds no offset and no name that is ever opened; numbers in it are upper bounds that are enforced while streams
//! are decoded, and lists are no longer than its text; what it says about the new file is compared with what was
//! made. A word in `requires` that this version does not know is an error.

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::source::remake::Recipe;

/// How long a description may be, in bytes.
pub(super) const LONGEST: u64 = 16 << 20;

/// What the format is called.
pub(super) const FORMAT: &str = "imgtar-delta";

/// The version of the format that is written, and the highest that is read.
pub(super) const VERSION: u32 = 1;

/// The names of a delta's members, in the order in which they are written.
pub(super) mod member {
    pub(in crate::delta) use crate::base::constants::DELTA_DESCRIPTION as DESCRIPTION;
    pub(in crate::delta) const CONTROL: &str = "control.zst";
    pub(in crate::delta) const HEADERS: &str = "headers.zst";
    pub(in crate::delta) const DIFFERENCES: &str = "differences.zst";
    pub(in crate::delta) const DATA: &str = "data.zst";
    pub(in crate::delta) const STORED: &str = "stored";
    pub(in crate::delta) const END: &str = "end";
}

/// What a delta needs, what it makes, and how large its parts are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaDescription {
    /// Always `imgtar-delta`.
    pub format: String,
    /// The version of the format.
    pub version: u32,
    /// Abilities that a program must have to apply it, by name; this version knows none.
    pub requires: Vec<String>,
    /// The file that it makes.
    pub new: NewFile,
    /// What it needs: every one of these, wherever it is.
    pub sources: Vec<Needed>,
    /// How compressed streams are made again.
    pub recipes: Vec<Recipe>,
    /// The sizes of its streams.
    pub streams: Streams,
    /// What becomes of each part of the new file, for people.
    pub parts: Vec<PartFacts>,
}

/// The file that a delta makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    /// What it was called, for people.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its images, for people; none if it is a flat tar.
    pub images: Vec<NewImage>,
    /// What it was converted from, if it is not the file that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted: Option<Converted>,
}

/// The file that was given, where the new file has the same layers in another form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converted {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// An image of the new file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewImage {
    /// Its image ID.
    pub id: String,
    /// Its names.
    pub references: Vec<String>,
}

/// Bytes that a delta needs: the uncompressed tar of a layer, a flat tar, or a blob as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// What it was called, for people.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256: for a layer's tar, that is its diff ID.
    pub sha256: Digest,
}

/// The streams of a delta.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// What to do.
    pub control: StreamSize,
    /// Fields of headers, and new headers.
    pub headers: StreamSize,
    /// Differences between bytes.
    pub differences: StreamSize,
    /// New bytes.
    pub data: StreamSize,
    /// Bytes that are compressed already, and the corrections of recipes.
    pub stored: StreamSize,
}

impl Streams {
    /// The size of all of them in the delta, in bytes.
    pub fn size(&self) -> u64 {
        let all = [
            &self.control,
            &self.headers,
            &self.differences,
            &self.data,
            &self.stored,
        ];
        all.iter()
            .fold(0, |sum, stream| sum.saturating_add(stream.size))
    }
}

/// A stream of a delta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSize {
    /// How many bytes it expands to.
    pub expanded: u64,
    /// How many bytes it takes in the delta.
    pub size: u64,
}

/// What becomes of a part of the new file, in bytes of its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFacts {
    /// What it is called: a layer, a member, or the whole file.
    pub name: String,
    /// Its size in the new file.
    pub size: u64,
    /// Its size when it is uncompressed.
    pub expanded: u64,
    /// Bytes of files that a source has.
    pub same: u64,
    /// Bytes of files that resemble one of a source.
    pub changed: u64,
    /// Bytes that no source has.
    pub new: u64,
    /// Bytes of headers and padding.
    pub headers: u64,
    /// Files that a source has.
    pub same_files: u64,
    /// Files that resemble one of a source.
    pub changed_files: u64,
    /// Files that no source has.
    pub new_files: u64,
    /// How it travels.
    pub how: How,
}

impl PartFacts {
    /// Adds what another part has; how it travels is that of the first.
    pub(super) fn add(&mut self, other: &Self) {
        let numbers = [
            (&mut self.size, other.size),
            (&mut self.expanded, other.expanded),
            (&mut self.same, other.same),
            (&mut self.changed, other.changed),
            (&mut self.new, other.new),
            (&mut self.headers, other.headers),
            (&mut self.same_files, other.same_files),
            (&mut self.changed_files, other.changed_files),
            (&mut self.new_files, other.new_files),
        ];
        for (sum, number) in numbers {
            *sum = sum.saturating_add(number);
        }
    }
}

/// How a part travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// As what its files have in common with those of the sources.
    #[default]
    Content,
    /// The same, and it is compressed again by a recipe.
    Recompressed,
    /// A source has all of it.
    Copied,
    /// Whole, because it is compressed in a way that cannot be repeated.
    Whole,
    /// Whole, because its recipe and content would take no fewer bytes.
    Dearer,
    /// Whole, because it is compressed and its compression is damaged.
    Damaged,
}

impl How {
    /// Whether all its bytes are in the delta.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Whole | Self::Dearer | Self::Damaged)
    }
}
