//! The union of what can go wrong, and what kind of fault each is.

use crate::archive::ArchiveError;
use crate::check::VerifyError;
use crate::check::audit::AuditError;
use crate::delta::DeltaError;
use crate::image::{LoadError, SelectError};
use crate::layer::LayerError;
use crate::output::WriteError;
use crate::rescue::RescueError;
use crate::source::{SourceError, is_environment};
use crate::split::metadata::{MetadataError, StreamFault};
use crate::split::rebuild::RebuildError;
use crate::tar::{TarError, TarFault};
use crate::tree::{CompareError, TreeError};

/// Why imgtar could not do what was asked.
///
/// This enum and those in it are exhaustive, so that whoever sorts them or gives advice on them hears of
/// every new variant from the compiler.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or standard input could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The bytes are not an image archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The images could not be read from the archive.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The image that was asked for could not be picked.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A layer could not be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The layers could not be applied.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A tar could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Metadata could not be written or read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// An archive could not be rebuilt.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// Nothing could be rescued from a data directory.
    #[error(transparent)]
    Rescue(#[from] RescueError),
    /// A delta could not be made, read or applied.
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

/// What kind of fault an error is; each kind has an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The caller asked for something that cannot be meant.
    Usage,
    /// The archive is invalid, unsupported, or lacks what was asked for.
    Input,
    /// The system failed: a disk, a permission, memory.
    Environment,
}

impl From<CompareError> for Error {
    fn from(error: CompareError) -> Self {
        Self::Tree(error.source)
    }
}

impl From<AuditError> for Error {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Tree(error) => Self::Tree(error),
            AuditError::Layer(error) => Self::Layer(error),
            AuditError::Source(error) => Self::Source(error),
        }
    }
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Source(error) => Self::Source(error),
            VerifyError::Layer(error) => Self::Layer(error),
            VerifyError::Audit(error) => error.into(),
        }
    }
}

impl Error {
    /// Sorts the error. Exhaustive on purpose: a new variant must be sorted too.
    pub fn class(&self) -> Class {
        match self {
            Self::Source(error) => of_source(error),
            Self::Archive(error) => of_archive(error),
            Self::Load(error) => of_load(error),
            Self::Select(error) => match error {
                SelectError::Position(_)
                | SelectError::Ambiguous { .. }
                | SelectError::Several { .. }
                | SelectError::Platforms { .. } => Class::Usage,
                SelectError::Unknown { .. }
                | SelectError::NoImage
                | SelectError::NoPlatform { .. }
                | SelectError::OutOfRange { .. } => Class::Input,
            },
            Self::Layer(error) => of_layer(error),
            Self::Tree(error) => of_rootfs(error),
            Self::Write(error) => of_write(error),
            Self::Metadata(error) => of_metadata(error),
            Self::Rescue(error) => match error {
                RescueError::Archive(error) => of_archive(error),
                RescueError::Source(error) => of_source(error),
                RescueError::Walk { source, .. } => of_tar(source),
                RescueError::Load(error) => of_load(error),
                RescueError::TooMany { .. }
                | RescueError::TooMuch { .. }
                | RescueError::Unmade { .. }
                | RescueError::NoRoot { .. } => Class::Input,
                RescueError::Spool(_) => Class::Environment,
            },
            Self::Delta(error) => of_delta(error),
            Self::Rebuild(error) => match error {
                RebuildError::Metadata(error) => of_metadata(error),
                RebuildError::Source(error) => of_source(error),
                RebuildError::Flat { source, .. } => of_tar(source),
                RebuildError::Tree(error) => of_rootfs(error),
                RebuildError::Archive(error) => of_archive(error),
                RebuildError::Load(error) => of_load(error),
                RebuildError::Layer(error) => of_write(error),
                RebuildError::Changed { .. }
                | RebuildError::FlatLimit { .. }
                | RebuildError::Lost { .. }
                | RebuildError::Mismatch(_)
                | RebuildError::Expansion { .. } => Class::Input,
                RebuildError::Spool(_) | RebuildError::SpoolArchive(_) | RebuildError::Write(_) => {
                    Class::Environment
                }
            },
        }
    }
}

fn of_delta(error: &DeltaError) -> Class {
    match error {
        DeltaError::Source(error) => of_source(error),
        DeltaError::Archive(error) => of_archive(error),
        DeltaError::Walk { source, .. } => of_tar(source),
        DeltaError::TooMuch { .. }
        | DeltaError::NotDelta { .. }
        | DeltaError::Newer { .. }
        | DeltaError::Cut { .. }
        | DeltaError::Damaged { .. }
        | DeltaError::Altered { .. }
        | DeltaError::Lacks { .. }
        | DeltaError::Differs { .. } => Class::Input,
        DeltaError::Spool(_) | DeltaError::Write(_) => Class::Environment,
    }
}

fn of_load(error: &LoadError) -> Class {
    match error {
        LoadError::Archive(error) => of_archive(error),
        LoadError::Source(error) => of_source(error),
        LoadError::Description { .. } | LoadError::TooMuch { .. } => Class::Input,
    }
}

fn of_write(error: &WriteError) -> Class {
    match error {
        WriteError::Tree(error) => of_rootfs(error),
        WriteError::Read(error) => of_source(error),
        WriteError::Layer { source, .. } => of_layer(source),
        WriteError::Change(_) => Class::Usage,
        WriteError::WhiteoutName { .. }
        | WriteError::Mismatch(_)
        | WriteError::NoLayer { .. }
        | WriteError::TooMuch { .. }
        | WriteError::Image { .. } => Class::Input,
        WriteError::Write(_) | WriteError::Spool { .. } | WriteError::Blob { .. } => {
            Class::Environment
        }
    }
}

fn of_source(error: &SourceError) -> Class {
    if error.is_environment() {
        Class::Environment
    } else {
        Class::Input
    }
}

fn of_layer(error: &LayerError) -> Class {
    if error.is_environment() {
        Class::Environment
    } else {
        Class::Input
    }
}

fn of_rootfs(error: &TreeError) -> Class {
    match error {
        TreeError::Layer { source, .. } => of_layer(source),
        TreeError::Flat(error) => of_tar(error),
        TreeError::Compare { source, .. } => of_source(source),
        TreeError::Entry { .. }
        | TreeError::FlatEntry { .. }
        | TreeError::NotRootfs { .. }
        | TreeError::Limit { .. }
        | TreeError::Image { .. }
        | TreeError::Expansion { .. }
        | TreeError::WorkingDirectory { .. }
        | TreeError::File { .. }
        | TreeError::TooManyEntries { .. } => Class::Input,
    }
}

fn of_tar(error: &TarError) -> Class {
    of_fault(&error.fault)
}

fn of_archive(error: &ArchiveError) -> Class {
    match error {
        ArchiveError::Read { source, .. } | ArchiveError::NotTar { source, .. } => of_tar(source),
        ArchiveError::Damaged { end, .. } => end.tar_error().map_or(Class::Input, of_tar),
        ArchiveError::Foreign { .. }
        | ArchiveError::TooManyMembers { .. }
        | ArchiveError::NotAnImage { .. } => Class::Input,
    }
}

fn of_fault(fault: &TarFault) -> Class {
    match fault {
        TarFault::Read(error) if is_environment(error) => Class::Environment,
        TarFault::Read(_)
        | TarFault::TruncatedHeader
        | TarFault::TruncatedBody { .. }
        | TarFault::Checksum { .. }
        | TarFault::StrayZeroBlock
        | TarFault::Number { .. }
        | TarFault::NegativeSize { .. }
        | TarFault::PaxRecord { .. }
        | TarFault::PaxValue { .. }
        | TarFault::MetaTooLong(..)
        | TarFault::SparseTooLong(_)
        | TarFault::Sparse => Class::Input,
    }
}

fn of_metadata(error: &MetadataError) -> Class {
    match error {
        MetadataError::Source(error) => of_source(error),
        MetadataError::Archive(error) => of_archive(error),
        MetadataError::Layer { source, .. } => of_layer(source),
        MetadataError::Member {
            fault: StreamFault::Read(error),
            ..
        } if is_environment(error) => Class::Environment,
        MetadataError::Changed { .. } | MetadataError::Write(_) | MetadataError::Spool(_) => {
            Class::Environment
        }
        MetadataError::Tar(error)
        | MetadataError::Member {
            fault: StreamFault::Tar(error),
            ..
        } => of_tar(error),
        MetadataError::NotMetadata { .. }
        | MetadataError::Version { .. }
        | MetadataError::Unknown { .. }
        | MetadataError::Missing { .. }
        | MetadataError::Member { .. } => Class::Input,
    }
}
