//! What makes layers impossible to apply.

use crate::base::escape;
use crate::base::limits::Exceeded;
use crate::layer::{LayerError, UnreadLayer};
use crate::source::SourceError;
use crate::tar::TarError;

/// Why an image cannot be flattened, and where.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// An entry that no engine can apply.
    #[error("layer {layer} cannot be applied: `{}` {fault} (header at byte {offset} of the layer)", escape::name(.path))]
    Entry {
        /// The layer's index, base first.
        layer: usize,
        /// The entry's path as written.
        path: Vec<u8>,
        /// Where its header begins in the uncompressed layer, in bytes.
        offset: u64,
        /// What is wrong with it.
        fault: TreeFault,
    },
    /// An entry that asks for more than a limit allows.
    #[error("layer {layer} exceeds a limit at `{}` (header at byte {offset} of the layer)", escape::name(.path))]
    Limit {
        /// The layer's index, base first.
        layer: usize,
        /// The entry's path as written.
        path: Vec<u8>,
        /// Where its header begins in the uncompressed layer, in bytes.
        offset: u64,
        /// The limit that it exceeds.
        #[source]
        exceeded: Exceeded,
    },
    /// A layer whose bytes cannot be read.
    #[error("layer {layer} cannot be read")]
    Layer {
        /// The layer's index, base first.
        layer: usize,
        /// Why not.
        source: LayerError,
    },
    /// An image without a readable config, or with another number of layers than diff IDs: nothing
    /// says what its layers are.
    #[error("the image cannot be flattened: {why}")]
    Image {
        /// Why not.
        why: String,
    },
    /// Sparse files whose holes would take more room than the layers may expand to.
    #[error(
        "the sparse files of the image expand by {holes} bytes, more than its layers may expand to"
    )]
    Expansion {
        /// How many bytes of zeros would be written.
        holes: u64,
        /// The limit that it exceeds.
        #[source]
        exceeded: Exceeded,
    },
    /// An entry of a rootfs tar that no file system can hold, or no layer.
    #[error("the rootfs tar cannot be used: `{}` {fault} (header at byte {offset})", escape::name(.path))]
    FlatEntry {
        /// The entry's path as written.
        path: Vec<u8>,
        /// Where its header begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        fault: TreeFault,
    },
    /// A rootfs tar whose bytes cannot be read.
    #[error("the rootfs tar cannot be read")]
    Flat(#[source] TarError),
    /// A tar of something else than a container's files.
    #[error("the rootfs tar does not hold a root file system: {why}")]
    NotRootfs {
        /// What it is instead.
        why: &'static str,
    },
    /// A file that cannot be compared.
    #[error("`{}` cannot be compared", escape::name(.path))]
    Compare {
        /// Its path.
        path: Vec<u8>,
        /// Why its bytes cannot be read.
        source: SourceError,
    },
    /// A path that does not lead to a regular file.
    #[error("`{}` {fault}", escape::name(.path))]
    File {
        /// The path that was asked for.
        path: Vec<u8>,
        /// What there is instead.
        fault: FileFault,
    },
    /// A working directory that no container can have.
    #[error(
        "no container can be made of the image: the path of its working directory has {len} bytes, more than {limit}"
    )]
    WorkingDirectory {
        /// How long the path is, in bytes.
        len: u64,
        /// What Linux takes.
        limit: u64,
    },
    /// More names or inodes than can be counted.
    #[error("the image has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
}

impl From<UnreadLayer> for TreeError {
    fn from(UnreadLayer { layer, source }: UnreadLayer) -> Self {
        Self::Layer { layer, source }
    }
}

impl TreeError {
    /// Takes out the error that a layer's reader raised, if there is one of this type.
    pub(crate) fn raised<E: std::error::Error + Send + Sync + 'static>(self) -> Result<E, Self> {
        let Self::Layer { layer, source } = self else {
            return Err(self);
        };
        let LayerError::Decode {
            compression,
            offset,
            len,
            source,
        } = source
        else {
            return Err(Self::Layer { layer, source });
        };
        source.downcast().map_err(|source| Self::Layer {
            layer,
            source: LayerError::Decode {
                compression,
                offset,
                len,
                source,
            },
        })
    }

    /// Whether the system failed, and not the image's own bytes.
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::Layer { source, .. } if source.is_environment())
    }
}

/// Why there is no file to read at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// Nothing is there.
    #[error("is not in the image")]
    Missing,
    /// Symbolic links on the way go round in circles.
    #[error("leads through a loop of symbolic links")]
    Loop,
    /// It is a directory.
    #[error("is a directory")]
    Directory,
    /// It is a device or a pipe.
    #[error("is not a regular file")]
    NotRegular,
}

/// Faults of one entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    /// A directory on its way is a file (L11).
    #[error("is below `{}`, which is not a directory", escape::name(.0))]
    NotADirectory(Vec<u8>),
    /// Symbolic links on its way go round in circles (L10).
    #[error("is below a loop of symbolic links")]
    Loop,
    /// A name longer than file systems take.
    #[error("has a name of {0} bytes, more than 255")]
    NameTooLong(usize),
    /// A whiteout that names nothing, its own directory or the one above (L4).
    #[error("is a whiteout that names no file")]
    InvalidWhiteout,
    /// A hard link to a path that is not there (L13).
    #[error("is a hard link to `{}`, which does not exist at this point", escape::name(.0))]
    LinkTargetMissing(Vec<u8>),
    /// A hard link to a directory (L13).
    #[error("is a hard link to the directory `{}`", escape::name(.0))]
    LinkToDirectory(Vec<u8>),
    /// A symbolic link without a target.
    #[error("is a symbolic link without a target")]
    EmptySymlink,
    /// A typeflag that no engine knows.
    #[error("has the unknown type {0:#04x}")]
    UnknownType(u8),
    /// An owner or device number that cannot be one.
    #[error("has a {0} that no file can have")]
    Number(&'static str),
    /// A name that layers give another meaning.
    #[error("is named as a whiteout, and no layer can hold a file of that name")]
    WhiteoutName,
    /// It asks for more than a limit allows.
    #[error("exceeds a limit: {0}")]
    Limit(Exceeded),
}

// Not a source: the message repeats its words.
impl From<Exceeded> for TreeFault {
    fn from(exceeded: Exceeded) -> Self {
        Self::Limit(exceeded)
    }
}
