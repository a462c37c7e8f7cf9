//! What is refused before it is read as a tar, and with which words.

use super::{Foreign, Mangled};
use crate::archive::ArchiveError;
use crate::source::Input;
use crate::tar::{BLOCK, Positioned, TarError, TarFault, Walker, is_header};

/// Refuses what cannot be the tar of a root file system, because it is not a tar at all, and says what it is.
///
/// # Errors
///
/// [`ArchiveError::NotTar`] or [`ArchiveError::Foreign`].
pub fn require_tar(input: &Input) -> Result<(), ArchiveError> {
    let mut walker = Walker::new(Positioned::new(input.source().whole()));
    match walker.next_entry() {
        Ok(Some(_)) => Ok(()),
        Ok(None) => match refuse_zeros(input) {
            // A tar without members is one, however many zeros follow.
            Err(ArchiveError::Foreign { foreign, .. })
                if matches!(*foreign, Foreign::Zeros { .. }) =>
            {
                Ok(())
            }
            other => other,
        },
        Err(source) => Err(not_tar(input, source)),
    }
}

/// What to say of a file whose first header cannot be read.
pub(in crate::archive) fn not_tar(input: &Input, source: TarError) -> ArchiveError {
    let path = input.source().label();
    // A real header with impossible values belongs to a tar; and what cannot be read tells
    // nothing more.
    let is_tar = !matches!(
        source.fault,
        TarFault::Checksum { .. }
            | TarFault::TruncatedHeader
            | TarFault::StrayZeroBlock
            | TarFault::Number { .. }
    );
    if is_tar {
        let mangled = match source.fault {
            TarFault::Read(_) => None,
            _ => Mangled::of(input.source(), 0, source.offset).unwrap_or_default(),
        };
        return ArchiveError::NotTar {
            path,
            mangled,
            source,
        };
    }
    match Foreign::of(input.source()) {
        Ok(Some(foreign)) => ArchiveError::Foreign {
            path,
            compression: input.compression(),
            foreign: Box::new(foreign),
            fault: Some(source),
        },
        _ => ArchiveError::NotTar {
            path,
            mangled: None,
            source,
        },
    }
}

/// Refuses what begins with zeros, as a tar without members does, and is something else.
pub(in crate::archive) fn refuse_zeros(input: &Input) -> Result<(), ArchiveError> {
    /// Writers pad an empty tar to one record, some to a few.
    const EMPTY_TAR: u64 = 64 * 1024;
    let mut first = [0; BLOCK];
    // A tar of nothing but global headers has no members either.
    if input.source().read_at(&mut first, 0).is_err() || is_header(&first) {
        return Ok(());
    }
    match Foreign::of(input.source()) {
        Ok(Some(Foreign::Zeros { len })) if len <= EMPTY_TAR => Ok(()),
        Ok(Some(foreign)) => Err(ArchiveError::Foreign {
            path: input.source().label(),
            compression: input.compression(),
            foreign: Box::new(foreign),
            fault: None,
        }),
        // Whatever reads it next meets the same error.
        Ok(None) | Err(_) => Ok(()),
    }
}
