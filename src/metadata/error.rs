//! What keeps metadata from being written or read.

use std::io;

use crate::archive::ArchiveError;
use crate::layer::LayerError;
use crate::record::TarError;
use crate::source::SourceError;

/// Why metadata cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The bytes cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file is no tar, or one that is damaged.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A tar that does not begin with the description that metadata begins with.
    #[error(
        "{path} is no metadata that `flatten --metadata` wrote: its first member is not {wanted}"
    )]
    NotMetadata {
        /// The file.
        path: String,
        /// The name of the member that should come first.
        wanted: &'static str,
    },
    /// Metadata of another version.
    #[error("{path} is metadata of the form `{found}`, this version of imgtar reads `{wanted}`")]
    Version {
        /// The file.
        path: String,
        /// What it says it is.
        found: String,
        /// What can be read.
        wanted: &'static str,
    },
    /// A member that this version gives no meaning to.
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
    #[error("the metadata is damaged: `{member}`: {fault}")]
    Member {
        /// The member.
        member: String,
        /// What is wrong with it.
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
    /// The archive could be read once and not a second time: somebody changes it.
    #[error("the archive changed while it was read")]
    Changed(#[from] TarError),
    /// The output cannot be written.
    #[error("cannot write the metadata")]
    Write(#[source] io::Error),
}

/// What is wrong with a member of the metadata.
#[derive(Debug, thiserror::Error)]
pub enum StreamFault {
    /// It cannot be read, or its compression is damaged.
    #[error(transparent)]
    Read(io::Error),
    /// A line is longer than any can be.
    #[error("line {line} is too long")]
    LongLine {
        /// The line's number, from 0.
        line: u64,
    },
    /// A line that means nothing.
    #[error("line {line}: {why}")]
    Invalid {
        /// The line's number, from 0.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It is not what other members say of it.
    #[error("{0}")]
    Wrong(String),
}

impl StreamFault {
    /// Names the member.
    pub(crate) fn of(self, member: impl Into<String>) -> MetadataError {
        MetadataError::Member {
            member: member.into(),
            fault: self,
        }
    }
}
