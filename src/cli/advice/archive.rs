//! On what keeps a file from being read as an image archive.

use std::io;

use imgtar::archive::{ArchiveError, Looks};
use imgtar::source::SourceError;

use super::{Advice, READ_FAILED, WHAT_WRITES_ONE, no_room_for};

pub(super) fn on_source(error: &SourceError) -> Advice {
    match error {
        SourceError::Directory { path } => Advice::hint(format!(
            "an OCI image layout that is a directory can be packed first: tar -C {path} -cf layout.tar ."
        )),
        SourceError::Open { path, source } => on_open(path, source),
        SourceError::Empty { .. } => {
            Advice::hint("was the command that should have written it successful?")
        }
        SourceError::Read { .. } => Advice::hint(READ_FAILED),
        SourceError::Shrank { .. } => Advice::hint(
            "something else writes to the file; wait until it is complete, then try again",
        ),
        SourceError::Decompress { .. } => Advice::hint(
            "the file is damaged or was cut short on its way; compare its checksum with the sender's",
        ),
        SourceError::Nested { inner, .. } => Advice::hint(format!(
            "undo the outer compression first; {inner} inside is then read as it is"
        )),
        // The limit's own hint follows.
        SourceError::Bomb { .. } => Advice::none(),
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
    // What the system says (no such file, permission denied) names the cure.
    Advice::none()
}

/// `nginx:1.12` is no path that anybody wrote by mistake.
fn looks_like_reference(path: &str) -> bool {
    !path.starts_with(['.', '/'])
        && path.contains(':')
        && path.parse::<imgtar::image::Reference>().is_ok()
}

pub(super) fn on_archive(error: &ArchiveError) -> Advice {
    match error {
        ArchiveError::NotTar { .. } => Advice::hint(WHAT_WRITES_ONE),
        ArchiveError::Damaged { .. } => Advice::hint(
            "`imgtar verify` reports what is left of it; copy or save the archive again",
        ),
        // The limit's own hint follows.
        ArchiveError::TooManyMembers { .. } => Advice::none(),
        ArchiveError::NotAnImage { looks, path } => on_looks(looks, path),
    }
}

fn on_looks(looks: &Looks, path: &str) -> Advice {
    match looks {
        Looks::Rootfs => Advice::hint(format!(
            "a root file system has no image to look at; `imgtar import {path} -o image.tar` makes one of it, `tar -tvf {path}` lists it"
        )),
        Looks::Layer => Advice::hint("give the whole archive that the layer comes from"),
        Looks::Wrapped { directory } => Advice::hint(format!(
            "pack its content instead: tar -xf {path} && tar -C {directory} -cf image.tar ."
        )),
        Looks::OciWithoutIndex | Looks::BlobsAlone => {
            Advice::hint("a part of the archive is missing; save the image again")
        }
        Looks::Nothing | Looks::Other { .. } => Advice::hint(WHAT_WRITES_ONE),
    }
}
