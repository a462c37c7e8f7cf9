//! On what keeps a file from being read as an image archive.

use std::io;

use imgtar::archive::{ArchiveError, EarlyEnd, Mangled};
use imgtar::source::SourceError;

use super::foreign::{WantedFile, on_directory, on_foreign, on_looks};
use super::{Advice, READ_FAILED, no_room_for};

/// For a file that ends too early.
const JOIN: &str =
    "or join the parts in order if it is the first of several: cat PART1 PART2 PART3 > whole";

pub(super) fn on_source(error: &SourceError, wanted: WantedFile) -> Advice {
    match error {
        SourceError::Directory { path, looks } => on_directory(path, *looks, wanted),
        SourceError::Open { path, source } => on_open(path, source),
        SourceError::Empty { .. } => {
            Advice::hint("did the command that should have written it fail?")
        }
        SourceError::Read { .. } => Advice::hint(READ_FAILED),
        SourceError::Shrank { .. } => Advice::hint(
            "something else writes to the file; wait until it is complete, then try again",
        ),
        SourceError::Decompress { .. } => Advice::hint(format!(
            "the file is damaged or was cut short on its way; compare its checksum with the sender's, {JOIN}"
        )),
        SourceError::Nested { inner, .. } => Advice::hint(format!(
            "undo the outer compression first; imgtar then reads the {inner} data inside"
        )),
        // The limit's own hint follows; and whoever stopped it knows why.
        SourceError::Bomb { .. } | SourceError::Stopped { .. } => Advice::none(),
        SourceError::Spool { .. } => no_room_for("the uncompressed archive"),
    }
}

fn on_open(path: &str, source: &io::Error) -> Advice {
    let missing = source.kind() == io::ErrorKind::NotFound;
    if missing && looks_like_reference(path) {
        return Advice::hint(format!(
            "imgtar reads files, not registries or engines; an engine writes one with: docker save -o app.tar {path}"
        ));
    }
    // What the system says (no such file, permission denied) tells what to do.
    Advice::none()
}

/// `nginx:1.12` is hardly a mistyped path.
fn looks_like_reference(path: &str) -> bool {
    !path.starts_with(['.', '/'])
        && path.contains(':')
        && path.parse::<imgtar::image::Reference>().is_ok()
}

pub(super) fn on_archive(error: &ArchiveError, wanted: WantedFile) -> Advice {
    match error {
        ArchiveError::NotTar { .. } => Advice::hint(wanted.written_by()),
        ArchiveError::Foreign {
            path,
            compression,
            foreign,
            ..
        } => on_foreign(path, *compression, foreign, wanted),
        ArchiveError::Damaged { end, .. } => on_damage(end),
        ArchiveError::Read { .. } => Advice::hint(READ_FAILED),
        // The limit's own hint follows.
        ArchiveError::TooManyMembers { .. } => Advice::none(),
        ArchiveError::NotAnImage { looks, path } => on_looks(path, looks),
    }
}

fn on_damage(end: &EarlyEnd) -> Advice {
    const AGAIN: &str =
        "`imgtar verify` reports what is left of it; copy or save the archive again";
    match end.mangled() {
        Some(Mangled::CrAdded | Mangled::CrRemoved | Mangled::Transcoded(_)) => {
            return Advice::hint(
                "copy it again as binary data, not as text; with PowerShell: docker save -o app.tar IMAGE",
            );
        }
        Some(Mangled::Shifted { .. }) | None => {}
    }
    if end.is_cut() {
        return Advice::hint(format!("{AGAIN}, {JOIN}"));
    }
    Advice::hint(AGAIN)
}
