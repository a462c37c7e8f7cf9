//! Why a delta cannot be made, read or applied.

use std::io;

use super::description::Needed;
use crate::archive::ArchiveError;
use crate::base::digest::Digest;
use crate::base::limits::Exceeded;
use crate::source::SourceError;
use crate::tar::TarError;

/// Why a delta cannot be made, read or applied.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// An input could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An input is an archive that asks for too much.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The headers of a tar could not be read from its file.
    #[error("cannot read {path}")]
    Walk {
        /// Which file.
        path: String,
        /// Why not, and where.
        source: TarError,
    },
    /// An input asks for more than a limit allows.
    #[error("{path} asks for too much")]
    TooMuch {
        /// Which.
        path: String,
        /// The limit.
        source: Exceeded,
    },
    /// The file does not begin as a delta does.
    #[error("{path} is not a delta")]
    NotDelta {
        /// Its path.
        path: String,
    },
    /// A newer imgtar made the delta.
    #[error("{path} was made by a newer imgtar: {what}")]
    Newer {
        /// Its path.
        path: String,
        /// What this version does not know.
        what: String,
    },
    /// The delta was cut short.
    #[error("{path} ends early, after {len} bytes")]
    Cut {
        /// Its path.
        path: String,
        /// How long it is, in bytes.
        len: u64,
    },
    /// The delta is not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Its path.
        path: String,
        /// What is wrong, and where.
        what: String,
    },
    /// The delta was changed: its bytes do not have the digest at its end.
    #[error(
        "{path} is damaged: its first {len} bytes have the SHA-256 {computed}, its end says {claimed}"
    )]
    Altered {
        /// Its path.
        path: String,
        /// How many bytes the digest is of.
        len: u64,
        /// What its end says.
        claimed: Digest,
        /// What the bytes have.
        computed: Digest,
    },
    /// The archives that were given do not hold what the delta needs.
    #[error("{path} needs {}, and {} of them {} not there", counted(*.needed), .missing.len(), if .missing.len() == 1 { "is" } else { "are" })]
    Lacks {
        /// The delta's path.
        path: String,
        /// How many sources it needs.
        needed: usize,
        /// Those that are missing.
        missing: Vec<Needed>,
    },
    /// A source changed while it was used, or a recipe does not give the same bytes as it did.
    #[error(
        "what was made is not the file that {path} describes: its SHA-256 is {computed} instead of {claimed}"
    )]
    Differs {
        /// The delta's path.
        path: String,
        /// The digest that it should have.
        claimed: Digest,
        /// The digest that it has.
        computed: Digest,
    },
    /// A temporary file could not be written or read.
    #[error("cannot keep bytes in a temporary file")]
    Spool(#[source] io::Error),
    /// The output could not be written.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}

fn counted(needed: usize) -> String {
    match needed {
        1 => "1 source".to_owned(),
        _ => format!("{needed} sources"),
    }
}
