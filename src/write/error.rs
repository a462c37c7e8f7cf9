//! What keeps a tar from being written.

use std::io;

use crate::rootfs::RootfsError;
use crate::source::SourceError;

/// Why a tar could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The image's layers cannot be applied, or are not what they should be.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// A body could not be read.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// The output could not be written.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}
