//! What keeps a layer from being read.

use std::io;
use std::sync::Arc;

use crate::archive::LookupError;
use crate::base::limits::Exceeded;
use crate::image::LeftOut;
use crate::source::{Compression, is_environment};
use crate::tar::{TarError, TarFault};

/// Why a layer's bytes or entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The archive does not hold it.
    #[error("the layer is missing")]
    Missing(#[source] LookupError),
    /// The archive is thin, and leaves it out on purpose.
    #[error("the archive is thin: {0}")]
    LeftOut(Arc<LeftOut>),
    /// Its (uncompressed) bytes are not a tar, or a tar that is damaged or cut short.
    #[error("the layer is not a valid tar")]
    Tar(#[source] TarError),
    /// Its compression is damaged or cut short.
    #[error("the layer's {compression} data is damaged near byte {offset} of {len}")]
    Decode {
        /// The compression.
        compression: Compression,
        /// How many of the stored bytes the decoder had read.
        offset: u64,
        /// How many bytes are stored.
        len: u64,
        /// What the decoder said.
        source: io::Error,
    },
    /// It asks for more than a limit allows: it expands too far, or its decoder needs too
    /// much memory.
    #[error("the layer exceeds a limit")]
    Limit(#[source] Exceeded),
    /// The temporary file for a compressed layer could not be written.
    #[error("the layer cannot be decompressed to {}", std::env::temp_dir().display())]
    Spool(#[source] io::Error),
    /// The operating system failed, or the file became shorter.
    #[error("the layer cannot be read")]
    Read(#[source] io::Error),
}

impl LayerError {
    /// Whether the system failed, and not the layer's own bytes.
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Spool(_))
    }

    /// Whether the layer ends before it should.
    pub fn is_truncation(&self) -> bool {
        match self {
            // What breaks off inside its first header was never a tar.
            Self::Tar(error) => match error.fault {
                TarFault::TruncatedHeader => error.offset > 0,
                TarFault::TruncatedBody { .. } => true,
                _ => false,
            },
            Self::Decode { source, .. } => source.kind() == io::ErrorKind::UnexpectedEof,
            Self::Missing(_)
            | Self::LeftOut(_)
            | Self::Limit(_)
            | Self::Read(_)
            | Self::Spool(_) => false,
        }
    }

    /// Sorts a decoder's or a reader's error.
    pub(crate) fn from_read(
        error: io::Error,
        compression: Compression,
        offset: u64,
        len: u64,
    ) -> Self {
        if let Some(exceeded) = Exceeded::behind(&error) {
            Self::Limit(*exceeded)
        } else if is_environment(&error) {
            Self::Read(error)
        } else {
            Self::Decode {
                compression,
                offset,
                len,
                source: error,
            }
        }
    }

    /// Sorts the error of a walk; a failed read below it is not the tar's fault.
    pub(crate) fn from_walk(
        error: TarError,
        compression: Compression,
        offset: u64,
        len: u64,
    ) -> Self {
        match error.fault {
            TarFault::Read(source) => Self::from_read(source, compression, offset, len),
            _ => Self::Tar(error),
        }
    }
}
