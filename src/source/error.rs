//! What can go wrong before a single tar header is seen.

use std::io;

use super::{Compression, DirectoryLooks};
use crate::base::limits::Exceeded;

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The operating system would not open the file.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A directory was given instead of a file.
    #[error("{path} is a directory, not an archive{}", holding(*looks))]
    Directory {
        /// The directory.
        path: String,
        /// What it holds.
        looks: DirectoryLooks,
    },
    /// The file has no bytes at all.
    #[error("{path} is empty: no bytes, no archive")]
    Empty {
        /// The file.
        path: String,
    },
    /// A read failed in the operating system.
    #[error("cannot read {path} at byte {offset}")]
    Read {
        /// The file.
        path: String,
        /// Where the read began, in bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file became shorter than it was when it was opened.
    #[error(
        "{path} became shorter while it was read: nothing is left at byte {offset}, it had {len} bytes when it was opened"
    )]
    Shrank {
        /// The file.
        path: String,
        /// Where the read began, in bytes.
        offset: u64,
        /// How long the file was, in bytes.
        len: u64,
    },
    /// The caller has asked for the end of the work ([`Stopper`](crate::Stopper)).
    #[error("reading {path} was stopped")]
    Stopped {
        /// The file.
        path: String,
    },
    /// The compression around the whole archive is damaged or cut short.
    #[error("the {compression} data around {path} {}", damage(.source, *.offset))]
    Decompress {
        /// The file.
        path: String,
        /// Which compression.
        compression: Compression,
        /// How many bytes of the compressed file the decoder had read.
        offset: u64,
        /// What the decoder said.
        source: io::Error,
    },
    /// What came out of the outer compression is compressed again.
    #[error("{path} is compressed twice: {inner} inside {outer}")]
    Nested {
        /// The file.
        path: String,
        /// The compression of the file.
        outer: Compression,
        /// The compression found inside.
        inner: Compression,
    },
    /// The outer compression expands too far: a bomb, or something that should be
    /// decompressed by hand.
    #[error(
        "{path} cannot be decompressed: its {stored} bytes of {compression} expand beyond a limit"
    )]
    Bomb {
        /// The file.
        path: String,
        /// Which compression.
        compression: Compression,
        /// The size of the compressed file, in bytes.
        stored: u64,
        /// The limit that it exceeds.
        #[source]
        exceeded: Exceeded,
    },
    /// The temporary file for a pipe or a compressed archive could not be written.
    #[error("cannot write the temporary copy of {path} to {dir}")]
    Spool {
        /// What was being copied.
        path: String,
        /// The directory for temporary files.
        dir: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What is known of a directory.
fn holding(looks: DirectoryLooks) -> &'static str {
    match looks {
        DirectoryLooks::OciLayout => ": it holds an OCI image layout",
        DirectoryLooks::DockerArchive => ": it holds an image archive that was unpacked",
        DirectoryLooks::SkopeoDir => ": skopeo wrote it with `dir:`",
        DirectoryLooks::DockerRoot => ": Docker keeps its images in it",
        DirectoryLooks::ContainerdRoot => ": containerd keeps its images in it",
        DirectoryLooks::ContainersStorage => ": podman keeps its images in it",
        DirectoryLooks::Tree => ": it holds a root file system",
        DirectoryLooks::Other => "",
    }
}

/// How compressed data fails, and where.
fn damage(error: &io::Error, offset: u64) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            format!("is cut short: the file ends at byte {offset}, before the data does")
        }
        _ => format!("is damaged near byte {offset}"),
    }
}

impl SourceError {
    /// Whether the system or the disk failed, and not the archive's own bytes.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Open { .. }
            | Self::Read { .. }
            | Self::Shrank { .. }
            | Self::Stopped { .. }
            | Self::Spool { .. } => true,
            Self::Directory { .. }
            | Self::Empty { .. }
            | Self::Nested { .. }
            | Self::Bomb { .. } => false,
            Self::Decompress { source, .. } => is_environment(source),
        }
    }
}

/// Whether an [`io::Error`] came from the operating system (a disk, a permission) or a shrinking
/// file, and not from a decoder that met bad bytes.
pub fn is_environment(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
        || error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<SourceError>())
            .is_some_and(SourceError::is_environment)
}
