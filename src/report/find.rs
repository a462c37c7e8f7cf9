//! `find`: entries of all layers by their paths, and what became of them.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::ls::FileType;
use super::pattern::{PathPattern, PatternError};
use super::text::Text;
use super::units::parse_size;
use crate::tree::{Body, Fate, FateRecord, Fates, HiddenBy, Inode};

/// How large files have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeBound {
    /// More bytes than this.
    Above(u64),
    /// Fewer bytes than this.
    Below(u64),
    /// Exactly so many bytes.
    Exactly(u64),
}

impl SizeBound {
    fn allows(self, size: u64) -> bool {
        match self {
            Self::Above(bound) => size > bound,
            Self::Below(bound) => size < bound,
            Self::Exactly(bound) => size == bound,
        }
    }
}

impl FromStr for SizeBound {
    type Err = PatternError;

    /// Reads `+10MB`, `-4KiB` or `1000`: more than, less than, or exactly so many bytes.
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let wrong = || {
            PatternError(format!(
                "`{text}` is not a size; write +10MB, -4KiB or 1000"
            ))
        };
        let (make, number): (fn(u64) -> Self, &str) = match text.as_bytes().first() {
            Some(b'+') => (Self::Above, &text[1..]),
            Some(b'-') => (Self::Below, &text[1..]),
            _ => (Self::Exactly, text),
        };
        parse_size(number).map(make).ok_or_else(wrong)
    }
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct FindQuery {
    /// At least one of these has to match the path.
    pub patterns: Vec<PathPattern>,
    /// What the entry may be; anything if there is nothing here.
    pub types: Vec<FileType>,
    /// How large it may be; entries other than regular files have no bytes.
    pub size: Option<SizeBound>,
    /// The layer that has to have it, base first.
    pub layer: Option<usize>,
    /// Only entries that a later layer deleted.
    pub deleted: bool,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FindState {
    /// It is a file of the image.
    Live,
    /// An entry with its path took its place.
    Replaced,
    /// It was deleted.
    Deleted,
}

impl FindState {
    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Replaced => "replaced",
            Self::Deleted => "deleted",
        }
    }
}

/// What hides an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HowHidden {
    /// An entry with its path.
    Entry,
    /// A whiteout of it or of a directory that it was in.
    Whiteout,
    /// An opaque whiteout in a directory that it was in.
    Opaque,
    /// Something else replaced a directory that it was in.
    Parent,
}

impl From<HiddenBy> for HowHidden {
    fn from(by: HiddenBy) -> Self {
        match by {
            HiddenBy::Entry => Self::Entry,
            HiddenBy::Whiteout => Self::Whiteout,
            HiddenBy::Opaque => Self::Opaque,
            HiddenBy::Parent => Self::Parent,
        }
    }
}

/// One entry of a layer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FindEntry {
    /// The path, without a slash at either end; symbolic links on the way are followed.
    pub path: Text,
    /// The index of the layer that has it, base first.
    pub layer: usize,
    /// What became of it.
    pub state: FindState,
    /// The layer that replaced or deleted it.
    pub by_layer: Option<usize>,
    /// What replaced or deleted it.
    pub by: Option<HowHidden>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: FileType,
    /// The size in bytes; 0 if it is not a regular file or a hard link to one.
    pub size: u64,
    /// The target of a link.
    pub target: Option<Text>,
}

impl FindEntry {
    fn of(fates: &Fates, record: &FateRecord, path: Vec<u8>) -> Self {
        let inode = fates.tree().inode(record.inode);
        let (state, by_layer, by) = became(record.fate);
        Self {
            path: Text(path),
            layer: record.layer as usize,
            state,
            by_layer,
            by,
            kind: kind(record, inode),
            size: inode.size(),
            target: target(fates, record),
        }
    }
}

/// What became of an entry, the layer that hides it and how.
pub(super) fn became(fate: Fate) -> (FindState, Option<usize>, Option<HowHidden>) {
    match fate {
        Fate::Live => (FindState::Live, None, None),
        Fate::Hidden { layer, by } => {
            let state = if by == HiddenBy::Entry {
                FindState::Replaced
            } else {
                FindState::Deleted
            };
            (state, Some(layer as usize), Some(by.into()))
        }
    }
}

/// Where a link leads: a hard link to a path, a symbolic one wherever it says.
pub(super) fn target(fates: &Fates, record: &FateRecord) -> Option<Text> {
    match (&fates.tree().inode(record.inode).body, record.link) {
        (_, Some(link)) => Some(Text(fates.path(link))),
        (Body::Symlink(target), None) => Some(Text(target.to_vec())),
        _ => None,
    }
}

/// What an entry is.
fn kind(record: &FateRecord, inode: &Inode) -> FileType {
    if record.link.is_some() {
        return FileType::Hardlink;
    }
    match inode.body {
        Body::File { .. } => FileType::File,
        Body::Directory => FileType::Dir,
        Body::Symlink(_) => FileType::Symlink,
        Body::Char(..) => FileType::Char,
        Body::Block(..) => FileType::Block,
        Body::Fifo => FileType::Fifo,
    }
}

/// The answer of `find`. The entries are described while they are printed, so that the answer is never in
/// memory.
pub struct Find<'f> {
    fates: &'f Fates,
    query: &'f FindQuery,
    /// How many entries were described.
    described: Cell<usize>,
}

impl<'f> Find<'f> {
    /// The entries that a query asks for.
    pub fn new(fates: &'f Fates, query: &'f FindQuery) -> Self {
        Self {
            fates,
            query,
            described: Cell::new(0),
        }
    }

    /// The entries: layer by layer, base first, within a layer in the order of its tar.
    pub fn entries(&self) -> impl Iterator<Item = FindEntry> + '_ {
        let (fates, query) = (self.fates, self.query);
        fates.iter().filter_map(move |record| {
            // What costs least is asked first.
            if !record.is_entry || query.layer.is_some_and(|n| n != record.layer as usize) {
                return None;
            }
            let is_deleted =
                matches!(record.fate, Fate::Hidden { by, .. } if by != HiddenBy::Entry);
            if query.deleted && !is_deleted {
                return None;
            }
            let inode = fates.tree().inode(record.inode);
            let is_of_type = query.types.is_empty() || query.types.contains(&kind(&record, inode));
            let is_file = matches!(inode.body, Body::File { .. });
            let is_of_size = |bound: SizeBound| is_file && bound.allows(inode.size());
            if !is_of_type || !query.size.is_none_or(is_of_size) {
                return None;
            }
            let path = fates.path(record.node);
            let matches = query.patterns.iter().any(|pattern| pattern.matches(&path));
            matches.then(|| {
                self.described.set(self.described.get() + 1);
                FindEntry::of(fates, &record, path)
            })
        })
    }

    /// How many entries were described so far, each time they were asked for.
    pub fn described(&self) -> usize {
        self.described.get()
    }
}

impl fmt::Debug for Find<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Find")
            .field("query", self.query)
            .finish_non_exhaustive()
    }
}

/// The document: `{"schema": "imgtar/find/1", "entries": [...]}`.
impl Serialize for Find<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FindDocument {
            schema: "imgtar/find/1",
            entries: Entries(self),
        }
        .serialize(serializer)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Find<'_> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Find".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        FindDocument::json_schema(generator)
    }
}

/// The answer of `find`.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct FindDocument<'e, 'f> {
    /// `imgtar/find/1`
    schema: &'static str,
    /// The entries: layer by layer, base first, within a layer in the order of its tar.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<FindEntry>"))]
    entries: Entries<'e, 'f>,
}

struct Entries<'e, 'f>(&'e Find<'f>);

impl Serialize for Entries<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.entries())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let size = |text: &str| text.parse::<SizeBound>();
        assert_eq!(size("+10MB"), Ok(SizeBound::Above(10_000_000)));
        assert_eq!(size("-4KiB"), Ok(SizeBound::Below(4096)));
        assert_eq!(size("7"), Ok(SizeBound::Exactly(7)));
        for wrong in ["", "+", "MB", "1XB", "--1", "99999999999GB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
