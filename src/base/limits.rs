//! How much an archive may use: the whole list.
//!
//! Archives come from other people. Whatever one says, reading it costs no more than these limits
//! allow: each is far above what engines write and far below what harms a machine. All are
//! counted per archive or per image, never per process, so that one archive cannot spend what
//! another one needs. They travel with the opened [`Source`](crate::source::Source), and users who
//! trust an archive may raise them. `docs/security.md` gives the reason of each.
//!
//! What is not here cannot be raised, because engines have the same bound: 255 symbolic links for one
//! path, 255 bytes for one name, 128 levels of JSON.

use std::fmt;
use std::str::FromStr;

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes that compressed data and sparse files may expand to in any case.
    Expanded,
    /// How many times its size an archive may expand to, once it is beyond [`Limit::Expanded`].
    Ratio,
    /// Bytes of memory that one decoder may take: the dictionary of xz, the window of zstd.
    DecoderMemory,
    /// Work of all decoders together beside the bytes that they give, in units of at most about
    /// four nanoseconds.
    DecoderWork,
    /// Members of the outer tar.
    Members,
    /// Bytes that the names and link targets of all members have together.
    MemberNames,
    /// Bytes of one PAX header or one GNU long name.
    Header,
    /// Spans of one sparse map.
    SparseSpans,
    /// Bytes of one JSON document.
    Json,
    /// Bytes of all JSON documents together; one that is named twice counts twice.
    JsonTotal,
    /// Values in all JSON documents together.
    JsonValues,
    /// How deep indexes are nested.
    IndexDepth,
    /// Descriptors in all indexes together.
    Descriptors,
    /// Images.
    Images,
    /// Layers of all images together, shared ones counted each time; and build steps likewise.
    Layers,
    /// Bytes of text that are held or shown once more for each image or layer that shares them.
    RepeatedText,
    /// Entries of all layers of one image together, and directories that they imply.
    Entries,
    /// Bytes of one path inside a layer, links on the way followed.
    Path,
    /// Bytes of all paths of one image, each in full.
    Names,
    /// Bytes of all symbolic links' targets, extended attributes and sparse maps of one image.
    Attributes,
    /// Bytes that the names of one file's extended attributes have together.
    Xattrs,
    /// Names that are looked up because of symbolic links, for all paths of one image.
    LinkSteps,
    /// Names that are looked up on the way to the entries of one image, those left out that an entry has
    /// in common with the one before it.
    PathSteps,
    /// Bytes of memory for the names of entries that `verify` checks against each other.
    NotedEntries,
    /// Entries that `verify` applies to each other, for all images together.
    SurveyedEntries,
    /// Directories and files that one layer, or the archive itself, makes while `verify` predicts what becomes
    /// of it in one engine.
    UnpackedEntries,
    /// Names that are looked up for the same.
    UnpackedSteps,
    /// Entries of lower layers that `verify` keeps, for all images together, to predict what containerd finds
    /// there, and names that were looked up to make them.
    LowerEntries,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

/// How many units of work each stored byte may cost, once it is more than [`Limit::DecoderWork`]: twice
/// what the slowest format needs at worst, so that a large archive is not refused for its size.
const WORK_RATIO: u64 = 512;

#[derive(Clone, Copy)]
struct Row(Limit, &'static str, u64, Unit);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The longest path that Linux takes, in bytes: `PATH_MAX` less the NUL that ends it.
pub const LONGEST_PATH: u64 = 4 * KIB - 1;

/// In the order of [`Limit`]; a test compares it with `docs/security.md`.
const TABLE: [Row; 28] = [
    Row(Limit::Expanded, "expanded", 512 * MIB, Unit::Bytes),
    Row(Limit::Ratio, "ratio", 200, Unit::Count),
    Row(
        Limit::DecoderMemory,
        "decoder-memory",
        128 * MIB,
        Unit::Bytes,
    ),
    Row(Limit::DecoderWork, "decoder-work", 256 * MIB, Unit::Count),
    Row(Limit::Members, "members", 1_000_000, Unit::Count),
    Row(Limit::MemberNames, "member-names", 128 * MIB, Unit::Bytes),
    Row(Limit::Header, "header", MIB, Unit::Bytes),
    Row(Limit::SparseSpans, "sparse-spans", MIB, Unit::Count),
    Row(Limit::Json, "json", 20 * MIB, Unit::Bytes),
    Row(Limit::JsonTotal, "json-total", 64 * MIB, Unit::Bytes),
    Row(Limit::JsonValues, "json-values", 1_000_000, Unit::Count),
    Row(Limit::IndexDepth, "index-depth", 8, Unit::Count),
    Row(Limit::Descriptors, "descriptors", 100_000, Unit::Count),
    Row(Limit::Images, "images", 10_000, Unit::Count),
    Row(Limit::Layers, "layers", 100_000, Unit::Count),
    Row(Limit::RepeatedText, "repeated-text", 64 * MIB, Unit::Bytes),
    Row(Limit::Entries, "entries", 2_000_000, Unit::Count),
    Row(Limit::Path, "path", LONGEST_PATH, Unit::Bytes),
    Row(Limit::Names, "names", 512 * MIB, Unit::Bytes),
    Row(Limit::Attributes, "attributes", 128 * MIB, Unit::Bytes),
    Row(Limit::Xattrs, "xattrs", 64 * KIB, Unit::Bytes),
    Row(Limit::LinkSteps, "link-steps", 10_000_000, Unit::Count),
    Row(Limit::PathSteps, "path-steps", 20_000_000, Unit::Count),
    Row(Limit::NotedEntries, "noted-entries", 24 * MIB, Unit::Bytes),
    Row(
        Limit::SurveyedEntries,
        "surveyed-entries",
        50_000_000,
        Unit::Count,
    ),
    Row(
        Limit::UnpackedEntries,
        "unpacked-entries",
        500_000,
        Unit::Count,
    ),
    Row(
        Limit::UnpackedSteps,
        "unpacked-steps",
        2_000_000,
        Unit::Count,
    ),
    Row(Limit::LowerEntries, "lower-entries", 500_000, Unit::Count),
];

impl Limit {
    /// All of them, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The name in messages and on the command line.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The default.
    pub fn default_value(self) -> u64 {
        self.row().2
    }

    /// What it counts.
    pub fn unit(self) -> Unit {
        self.row().3
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no limit has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no limit `{0}`")]
pub struct UnknownLimit(String);

impl FromStr for Limit {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        let row = TABLE.iter().find(|row| row.1 == text);
        row.map(|row| row.0)
            .ok_or_else(|| UnknownLimit(text.to_owned()))
    }
}

/// What each limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits([u64; TABLE.len()]);

impl Default for Limits {
    /// The defaults. Only code that opens a file may fall back on them: everything that reads uses the limits
    /// of what it reads.
    fn default() -> Self {
        Self(TABLE.map(|row| row.2))
    }
}

impl Limits {
    /// What `limit` is.
    pub const fn of(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// Sets `limit`; [`u64::MAX`] means no limit.
    #[must_use]
    pub const fn with(mut self, limit: Limit, value: u64) -> Self {
        self.0[limit as usize] = value;
        self
    }

    /// Refuses what is more than `limit`.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] if it is.
    pub fn check(&self, limit: Limit, value: u64) -> Result<(), Exceeded> {
        if value > self.of(limit) {
            return Err(self.exceeded(limit));
        }
        Ok(())
    }

    /// The same for a number of things in memory.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] if they are too many.
    pub fn check_count(&self, limit: Limit, count: usize) -> Result<(), Exceeded> {
        self.check(limit, count as u64)
    }

    /// The error of what is more than `limit`.
    pub fn exceeded(&self, limit: Limit) -> Exceeded {
        Exceeded {
            limit,
            value: self.of(limit),
        }
    }

    /// How far `stored` bytes may expand: so many times, or so far in any case.
    pub fn expansion_of(&self, stored: u64) -> u64 {
        let ratio = stored.saturating_mul(self.of(Limit::Ratio));
        ratio.max(self.of(Limit::Expanded))
    }

    /// How much work decoding `stored` bytes may be: so much for each byte, or so much in any case.
    pub fn decoding_of(&self, stored: u64) -> u64 {
        let ratio = stored.saturating_mul(WORK_RATIO);
        ratio.max(self.of(Limit::DecoderWork))
    }
}

/// An archive asks for more than a limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{limit}` allows {value}{}", match .limit.unit() { Unit::Bytes => " bytes", Unit::Count => "" })]
pub struct Exceeded {
    /// Which limit.
    pub limit: Limit,
    /// What it is.
    pub value: u64,
}

impl Exceeded {
    /// Finds one in an error or in what caused it.
    pub fn behind<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // An io::Error names the source of what it wraps, not what it wraps.
            next = match error.downcast_ref::<std::io::Error>() {
                Some(io) => io
                    .get_ref()
                    .map(|inner| inner as &(dyn std::error::Error + 'static)),
                None => error.source(),
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_limits() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, i, "{}", row.1);
            assert_eq!(row.1.parse(), Ok(row.0));
            assert_eq!(Limits::default().of(row.0), row.2);
        }
        assert!("jason".parse::<Limit>().is_err());
    }

    #[test]
    fn what_is_behind_an_io_error_is_found() {
        let exceeded = Limits::default().exceeded(Limit::Json);
        let error = std::io::Error::other(exceeded);
        assert_eq!(Exceeded::behind(&error), Some(&exceeded));
        assert!(Exceeded::behind(&std::io::Error::other("x")).is_none());
        assert_eq!(
            exceeded.to_string(),
            "the limit `json` allows 20971520 bytes"
        );
    }

    #[test]
    fn expansion_is_the_larger_of_ratio_and_floor() {
        let limits = Limits::default()
            .with(Limit::Expanded, 1000)
            .with(Limit::Ratio, 10);
        assert_eq!(limits.expansion_of(1), 1000);
        assert_eq!(limits.expansion_of(200), 2000);
        assert_eq!(limits.expansion_of(u64::MAX), u64::MAX);
    }
}
