//! Archives of which no images can be read, and what can still be said about them.

use super::loaders::Loaders;
use super::{VerifyError, blobs, checksum_mismatch, describe};
use crate::archive::{ArchiveError, Contents};
use crate::base::digest::Digest;
use crate::base::problem::{Code, Problem};
use crate::base::progress::Progress;
use crate::image::LoadError;
use crate::source::SourceError;

/// What is known of an archive of which no images can be read.
#[derive(Debug)]
pub struct Damaged {
    /// Why the images cannot be read, and the other problems.
    pub problems: Vec<Problem>,
    /// What engines would make of the archive.
    pub loaders: Loaders,
    /// The SHA-256 of the file itself, as it is stored, if it was asked for.
    pub file: Option<Digest>,
}

impl Damaged {
    /// Compares the file's own digest with what a checksum file claims; nothing if it was not computed.
    pub fn compare_file(&mut self, claimed: &Digest) {
        let computed = self.file.as_ref();
        let problem = computed.and_then(|computed| checksum_mismatch(claimed, computed));
        self.problems.splice(0..0, problem);
    }
}

/// Verifies what can be verified of an archive whose images could not be read because of `error`; with
/// `file` the digest of the file itself is computed. None if the archive is not damaged: a file that is
/// not an image archive has no problems, and neither has one that the system failed to read.
///
/// # Errors
///
/// [`VerifyError`] if the operating system fails.
pub fn verify_damaged(
    archive: &Contents,
    error: &LoadError,
    file: bool,
    progress: &dyn Progress,
) -> Result<Option<Damaged>, VerifyError> {
    let problem = match error {
        LoadError::Archive(ArchiveError::Damaged { end, .. }) => end.problem(),
        LoadError::Description { member, .. } => {
            let mut message =
                format!("no reader can find images in the archive: {member} is invalid");
            if let Some(cause) = std::error::Error::source(error) {
                message.push_str(": ");
                message.push_str(&describe(cause));
            }
            Problem::error(Code::ManifestInvalid, message).in_member(member.as_bytes())
        }
        LoadError::Archive(_) | LoadError::Source(_) | LoadError::TooMuch { .. } => {
            return Ok(None);
        }
    };
    let file = if file {
        Some(blobs::file_digest(&archive.stored().whole(), progress)?)
    } else {
        None
    };
    Ok(Some(Damaged {
        problems: vec![problem],
        loaders: Loaders::of_unreadable(archive, error),
        file,
    }))
}

/// The problem of an archive that cannot be read at all, for reports that list problems; `why` is what
/// was said of it.
pub fn unreadable(why: &str) -> Problem {
    Problem::error(Code::ArchiveUnreadable, why)
}

impl Loaders {
    /// What engines would say of a file that cannot be opened as an archive; none where that is not known.
    pub fn of_unopened(error: &ArchiveError) -> Option<Self> {
        // Every engine refuses what is not a tar at all.
        match error {
            ArchiveError::NotTar { source, .. } => Some(Self::of_no_tar(source)),
            ArchiveError::Foreign { fault, .. } => fault.as_ref().map(Self::of_no_tar),
            ArchiveError::Read { .. }
            | ArchiveError::Damaged { .. }
            | ArchiveError::TooManyMembers { .. }
            | ArchiveError::NotAnImage { .. } => None,
        }
    }

    /// What engines would say of a file whose bytes cannot be read; none where that is not known.
    pub fn of_unread(error: &SourceError) -> Option<Self> {
        match error {
            SourceError::Empty { .. } => Some(Self::of_nothing()),
            SourceError::Decompress { source, .. } => Some(Self::of_damaged_compression(source)),
            _ => None,
        }
    }
}
