//! What keeps metadata from being written or read.

use std::io;

use crate::archive::ArchiveError;
use crate::base::limits::Exceeded;
use crate::layer::LayerError;
use crate::source::SourceError;
use crate::tar::{TarError, TarFault};

/// Why metadata cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The bytes cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file is not a tar, or one that is damaged.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A tar that does not begin with the description that metadata begins with.
    #[error(
        "{path} is not metadata that `flatten --metadata` wrote: its first member is not {wanted}"
    )]
    NotMetadata {
        /// The file.
        path: String,
        /// The name of the member that should come first.
        wanted: &'static str,
    },
    /// Metadata of another version.
    #[error("{path} is metadata of the format `{found}`; this version of imgtar reads `{wanted}`")]
    Version {
        /// The file.
        path: String,
        /// What it says it is.
        found: String,
        /// What can be read.
        wanted: &'static str,
    },
    /// A member that this version does not know.
    #[error("the metadata has a member `{member}` that this version of imgtar does not know")]
    Unknown {
        /// The member.
        member: String,
    },
    /// A member that should be there.
    #[error("the metadata lacks its member `{member}`")]
    Missing {
        /// The member.
        member: String,
    },
    /// A member that cannot be what it should be.
    #[error("cannot use the member `{member}` of the metadata{}", .path.as_deref().map_or_else(String::new, |path| format!(" {path}")))]
    Member {
        /// The file, where it is known.
        path: Option<String>,
        /// The member.
        member: String,
        /// What is wrong with it.
        #[source]
        fault: StreamFault,
    },
    /// A layer of the image cannot be read.
    #[error("layer {layer} cannot be read")]
    Layer {
        /// The layer's index, base first.
        layer: usize,
        /// Why not.
        source: LayerError,
    },
    /// The archive was read once, and is another one now.
    #[error("the archive changed while it was read: at byte {offset} it is not what it was before")]
    Changed {
        /// Where in the archive, or in the uncompressed layer, the first difference was met, in bytes.
        offset: u64,
    },
    /// The archive or one of its layers cannot be read on.
    #[error("the archive cannot be read")]
    Tar(#[source] TarError),
    /// The output cannot be written.
    #[error("cannot write the metadata")]
    Write(#[source] io::Error),
    /// The temporary file for decompressed bytes of the metadata cannot be written or read.
    #[error("the metadata cannot be decompressed to {}", std::env::temp_dir().display())]
    Spool(#[source] io::Error),
}

impl MetadataError {
    /// Says which file it is that is damaged.
    pub(crate) fn in_file(self, file: &str) -> Self {
        match self {
            Self::Member {
                path: None,
                member,
                fault,
            } => Self::Member {
                path: Some(file.to_owned()),
                member,
                fault,
            },
            other => other,
        }
    }
}

impl From<TarError> for MetadataError {
    /// Of a tar that was walked before without an error. A file that shrinks has an error of its own.
    fn from(error: TarError) -> Self {
        match error.fault {
            TarFault::Read(source) => match source.downcast::<SourceError>() {
                Ok(source) => Self::Source(source),
                Err(source) => Self::Tar(TarError {
                    fault: TarFault::Read(source),
                    ..error
                }),
            },
            _ => Self::Tar(error),
        }
    }
}

/// What is wrong with a member of the metadata.
#[derive(Debug, thiserror::Error)]
pub enum StreamFault {
    /// It cannot be read, or its compression is damaged.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// A line without a meaning, or a longer one than any can be.
    #[error("line {line}, at byte {offset} of what it expands to: {why}")]
    Invalid {
        /// The line's number, from 0.
        line: u64,
        /// Where the line begins in the decompressed bytes.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It asks for more than a limit allows.
    #[error("it exceeds a limit")]
    Limit(#[source] Exceeded),
    /// What it describes is not a tar, or is damaged.
    #[error("the tar that it describes is damaged")]
    Tar(#[source] TarError),
    /// It contradicts other members.
    #[error("{0}")]
    Wrong(String),
}

impl StreamFault {
    /// Names the member.
    pub(crate) fn of(self, member: impl Into<String>) -> MetadataError {
        MetadataError::Member {
            path: None,
            member: member.into(),
            fault: self,
        }
    }
}
