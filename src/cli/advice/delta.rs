//! On deltas that cannot be made, read or applied.

use imgtar::delta::{DeltaError, Needed};
use imgtar::report::units;

use super::foreign::WantedFile;
use super::{Advice, archive, no_room_for, on_output};

/// For a delta that is not what was written.
const AGAIN: &str =
    "copy the delta again; its SHA-256 must be the same on both sides, as `sha256sum` prints it";

pub(super) fn on_delta(error: &DeltaError) -> Advice {
    match error {
        DeltaError::Source(error) => archive::on_source(error, WantedFile::Images),
        DeltaError::Archive(error) => archive::on_archive(error, WantedFile::Images),
        DeltaError::Walk { .. } => Advice::hint(super::READ_FAILED),
        // The limit's own hint follows.
        DeltaError::TooMuch { .. } => Advice::none(),
        DeltaError::NotDelta { .. } => Advice::hint(
            "`imgtar delta OLD NEW -o FILE` writes a delta, and `imgtar apply OLD FILE -o NEW` makes NEW from it",
        ),
        DeltaError::Newer { .. } => {
            Advice::hint("apply it with the version of imgtar that made it, or a later one")
        }
        DeltaError::Cut { .. } | DeltaError::Damaged { .. } | DeltaError::Altered { .. } => {
            Advice::hint(AGAIN)
        }
        DeltaError::Lacks { missing, .. } => Advice::below(
            largest_first(missing).into_iter().map(source),
            "give every archive that the delta was made from; each can also be one that was saved again, in another layout or with another compression: `imgtar inspect` lists what the delta needs",
        ),
        DeltaError::Differs { .. } => Advice::hint(
            "an old archive may have changed meanwhile: apply the delta again; if that fails too, make it again",
        ),
        DeltaError::Spool(_) => no_room_for("the layers, uncompressed"),
        DeltaError::Write(error) => on_output(error),
    }
}

/// The layers come before small blobs.
fn largest_first(missing: &[Needed]) -> Vec<&Needed> {
    let mut all: Vec<&Needed> = missing.iter().collect();
    all.sort_by_key(|needed| std::cmp::Reverse(needed.size));
    all
}

/// Something that a delta needs, in a line.
fn source(needed: &Needed) -> String {
    let Needed { name, size, sha256 } = needed;
    format!("{name}: {sha256}, {}", units::size_spaced(*size))
}
