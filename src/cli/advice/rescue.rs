//! On what keeps images in a data directory from being rescued.

use imgtar::rescue::{NoRoot, RescueError};

use super::foreign::{WantedFile, word};
use super::{Advice, READ_FAILED, archive, image, no_room_for};

/// How to pack a data directory so that nothing is lost.
pub(super) fn pack(directory: &str) -> String {
    format!(
        "sudo tar --xattrs --xattrs-include='*' --numeric-owner --sparse --one-file-system -C {} -cf root.tar .",
        word(directory)
    )
}

pub(super) fn on_rescue(error: &RescueError) -> Advice {
    match error {
        RescueError::Archive(error) => archive::on_archive(error, WantedFile::DataRoot),
        RescueError::Source(error) => archive::on_source(error, WantedFile::DataRoot),
        RescueError::Walk { .. } => Advice::hint(READ_FAILED),
        // The limit's own hint follows.
        RescueError::TooMany { .. } | RescueError::TooMuch { .. } => Advice::none(),
        RescueError::Unmade { .. } => Advice::hint(
            "pack the whole data directory again, as root and with the engine stopped, as `imgtar help rescue` shows",
        ),
        RescueError::NoRoot { path, why } => no_root(path, why),
        RescueError::Load(error) => image::on_load(error),
        RescueError::Spool(_) => no_room_for("the headers of all layers"),
    }
}

fn no_root(path: &str, why: &NoRoot) -> Advice {
    Advice::hint(match why {
        NoRoot::Archive => format!("nothing needs to be rescued: imgtar images {}", word(path)),
        NoRoot::Link(target) => format!(
            "pack the directory that the link points to: {}",
            pack(target)
        ),
        NoRoot::Empty => format!("pack it as root: {}", pack("/var/lib/docker")),
        _nothing => format!(
            "pack the whole data directory, with the engine stopped: {}; podman has it in /var/lib/containers/storage or ~/.local/share/containers/storage, containerd in /var/lib/containerd",
            pack("/var/lib/docker")
        ),
    })
}
