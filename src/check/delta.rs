//! Deltas: what they claim, as far as that can be verified without the archives that they were made from.

use super::checksum_mismatch;
use crate::base::constants::BUFFER;
use crate::base::digest::{Digest, Hasher};
use crate::base::options::Options;
use crate::base::problem::{Code, Problem};
use crate::delta::{DeltaDescription, DeltaError, DeltaFile};
use crate::source::{Input, Slice, SourceError};

/// The outcome of the checks of a delta.
#[derive(Debug)]
pub struct DeltaVerification {
    /// What it says of itself; `None` if that cannot be read.
    pub description: Option<DeltaDescription>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// The SHA-256 of the file itself, as it is stored, if it was asked for.
    pub file: Option<Digest>,
}

impl DeltaVerification {
    /// Compares the file's own digest with what a checksum file claims; nothing if it was not computed.
    pub fn compare_file(&mut self, claimed: &Digest) {
        let computed = self.file.as_ref();
        let problem = computed.and_then(|computed| checksum_mismatch(claimed, computed));
        self.problems.splice(0..0, problem);
    }
}

/// Verifies the digest at the end of a delta, and that what is in it can be read and stays within its bounds. What it
/// makes is not made, since that needs the old archives. With `file`, the digest of the file itself is computed.
///
/// # Errors
///
/// [`DeltaError`] if the file is not a delta, if a newer imgtar made it, or if the operating system fails. A delta that
/// is damaged has problems, and is not an error.
pub fn verify_delta(
    input: &Input,
    file: bool,
    options: &Options<'_>,
) -> Result<DeltaVerification, DeltaError> {
    let file = file.then(|| digest(&input.stored().whole())).transpose()?;
    let mut description = None;
    let verified = DeltaFile::open(input.clone()).and_then(|delta| {
        description = Some(delta.description().clone());
        delta.verify(options)
    });
    let problem = verified.err().map(problem).transpose()?;
    Ok(DeltaVerification {
        description,
        problems: problem.into_iter().collect(),
        file,
    })
}

/// What is wrong with a delta, unless it could not be checked at all.
fn problem(error: DeltaError) -> Result<Problem, DeltaError> {
    let problem = Problem::error(Code::DeltaInvalid, error.to_string());
    match error {
        DeltaError::Altered {
            claimed, computed, ..
        } => Ok(problem.compared(&claimed, &computed)),
        DeltaError::Cut { .. } | DeltaError::Damaged { .. } | DeltaError::Differs { .. } => {
            Ok(problem)
        }
        error @ (DeltaError::Source(_)
        | DeltaError::Archive(_)
        | DeltaError::Walk { .. }
        | DeltaError::TooMuch { .. }
        | DeltaError::NotDelta { .. }
        | DeltaError::Newer { .. }
        | DeltaError::Lacks { .. }
        | DeltaError::Spool(_)
        | DeltaError::Write(_)) => Err(error),
    }
}

fn digest(slice: &Slice) -> Result<Digest, SourceError> {
    let mut hasher = Hasher::sha256();
    let mut buf = vec![0; BUFFER];
    let mut at = 0;
    while at < slice.len() {
        let n = slice.read_at(&mut buf, at)?;
        hasher.update(&buf[..n]);
        at += n as u64;
    }
    Ok(hasher.finish())
}
