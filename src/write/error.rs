//! What keeps a tar from being written.

use std::io;

use bstr::ByteSlice;

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
    /// A name that layers give another meaning, so that none can hold it.
    #[error("`{}` cannot be written into a layer: a name that begins with `.wh.` is a whiteout there", .path.as_bstr())]
    WhiteoutName {
        /// Its path.
        path: Vec<u8>,
    },
    /// The temporary file for a new layer could not be written.
    #[error("the new layer cannot be written to {}", std::env::temp_dir().display())]
    Spool(#[source] io::Error),
    /// The output could not be written.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}
