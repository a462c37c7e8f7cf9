//! What keeps an archive from being rebuilt.

use std::fmt;
use std::io;

use crate::archive::ArchiveError;
use crate::base::escape;
use crate::base::limits::Exceeded;
use crate::image::LoadError;
use crate::layer::digest::Mismatch;
use crate::output::WriteError;
use crate::source::SourceError;
use crate::split::metadata::MetadataError;
use crate::tar::TarError;
use crate::tree::TreeError;

/// Why an archive cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The metadata is not what it should be.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The flat tar cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The flat tar is not a tar.
    #[error("{path} is not a valid tar")]
    Flat {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: TarError,
    },
    /// An entry of the flat tar that asks for more than a limit allows.
    #[error("{path} exceeds a limit at `{}` (header at byte {offset})", escape::name(.entry))]
    FlatLimit {
        /// The file.
        path: String,
        /// The path of the entry, as written.
        entry: Vec<u8>,
        /// Where its header begins, in bytes.
        offset: u64,
        /// The limit that it exceeds.
        #[source]
        exceeded: Exceeded,
    },
    /// The layers that the metadata describes cannot be merged, so nothing says what the flat tar
    /// should hold.
    #[error("the metadata describes layers that cannot be applied")]
    Tree(#[source] TreeError),
    /// The flat tar is not the one that the metadata belongs to.
    #[error(
        "{path} is not the flat tar that the metadata belongs to, or it was changed: {}",
        .changes.first().map_or_else(String::new, ToString::to_string)
    )]
    Changed {
        /// The flat tar.
        path: String,
        /// The first differences; never empty.
        changes: Vec<FlatChange>,
        /// How many differ in all.
        count: u64,
    },
    /// Bytes that a layer had are gone from the flat tar, and nothing else has them.
    #[error("{}", lost(.path, .bodies))]
    Lost {
        /// The flat tar.
        path: String,
        /// The first of them; never empty.
        bodies: Vec<LostBody>,
        /// How many there are in all.
        count: u64,
    },
    /// A layer is not restored as it was, although every file has the bytes it should have.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// The metadata describes more than its own size and that of the flat tar may expand to.
    #[error(
        "{path} describes {claimed} bytes of archive and layers, more than the {stored} bytes of it and the flat tar may expand to"
    )]
    Expansion {
        /// The metadata.
        path: String,
        /// How many bytes would be written.
        claimed: u64,
        /// How many bytes both files have.
        stored: u64,
        /// The limit that it exceeds.
        #[source]
        exceeded: Exceeded,
    },
    /// A temporary file could not be written.
    #[error("a layer cannot be compressed to {}", std::env::temp_dir().display())]
    Spool(#[source] io::Error),
    /// The archive could not be put together, before its image gets one more layer.
    #[error("the archive cannot be put together in {}", std::env::temp_dir().display())]
    SpoolArchive(#[source] io::Error),
    /// What was put together is not an archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What was put together describes no images.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What was changed cannot become a layer.
    #[error(transparent)]
    Layer(#[from] WriteError),
    /// The output could not be written.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}

/// The content of a file that the flat tar had, and that a layer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostBody {
    /// The layer's index, base first.
    pub layer: usize,
    /// The path in the flat tar.
    pub path: Vec<u8>,
}

impl fmt::Display for LostBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {}: `{}`", self.layer, escape::name(&self.path))
    }
}

fn lost(path: &str, bodies: &[LostBody]) -> String {
    let Some(LostBody { layer, path: lost }) = bodies.first() else {
        return String::new();
    };
    format!(
        "layer {layer} cannot be put together: {path} no longer has the content that `{}` had",
        escape::name(lost)
    )
}

/// A difference between the flat tar and what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatChange {
    /// The path.
    pub path: Vec<u8>,
    /// The difference.
    pub what: FlatChangeKind,
}

/// How a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlatChangeKind {
    /// It should not be there.
    Added,
    /// It should be there.
    Removed,
    /// It is there twice.
    Twice,
    /// It is something else than it should be.
    Type,
    /// Its content differs.
    Content,
    /// Another size, in bytes: what it should be and what it is.
    Size(u64, u64),
    /// Other permissions.
    Mode(u16, u16),
    /// Another owner or group.
    Owner,
    /// Another modification time.
    Time,
    /// Another link target, or another file that it is a hard link to.
    Link,
    /// It is a file of its own and should be a hard link.
    Parted,
    /// Other device numbers.
    Device,
    /// Other extended attributes.
    Attributes,
}

impl fmt::Display for FlatChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", escape::name(&self.path))?;
        match self.what {
            FlatChangeKind::Added => f.write_str("was added"),
            FlatChangeKind::Removed => f.write_str("is missing"),
            FlatChangeKind::Twice => f.write_str("is present twice"),
            FlatChangeKind::Type => f.write_str("has a different type"),
            FlatChangeKind::Content => f.write_str("has different content"),
            FlatChangeKind::Size(wanted, found) => {
                write!(f, "has {found} bytes instead of {wanted}")
            }
            FlatChangeKind::Mode(wanted, found) => {
                write!(f, "has the mode {found:04o} instead of {wanted:04o}")
            }
            FlatChangeKind::Owner => f.write_str("has a different owner or group"),
            FlatChangeKind::Time => f.write_str("has a different modification time"),
            FlatChangeKind::Link => f.write_str("is a link to something else"),
            FlatChangeKind::Parted => f.write_str("is a separate file instead of a hard link"),
            FlatChangeKind::Device => f.write_str("has different device numbers"),
            FlatChangeKind::Attributes => f.write_str("has different extended attributes"),
        }
    }
}
