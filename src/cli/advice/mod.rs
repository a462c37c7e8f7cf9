//! What to do about an error: a hint for the reader of the message, or the decision that there is none.
//!
//! One file for each group of error enums. No match in here has a `_` arm, and `tests/it/architecture.rs`
//! sees to that: a new variant does not compile until somebody has decided what the user should do next.

mod archive;
mod delta;
mod foreign;
mod image;
mod layer;
mod metadata;
mod rescue;
mod write;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use imgtar::Error;
use imgtar::archive::Looks;
use imgtar::base::limits::Exceeded;

use foreign::WantedFile;
pub(super) use foreign::word;

/// What is printed below an error's message and its causes.
#[derive(Debug, Default)]
pub(super) struct Advice {
    /// Lines of their own, such as candidates.
    pub(super) details: Vec<String>,
    /// What to do next.
    pub(super) hints: Vec<String>,
}

impl Advice {
    /// The advice on an error.
    pub(super) fn on(error: &Error) -> Self {
        let advice = match error {
            Error::Source(error) => archive::on_source(error, WantedFile::Images),
            Error::Archive(error) => archive::on_archive(error, WantedFile::Images),
            Error::Load(error) => image::on_load(error),
            Error::Select(error) => image::on_select(error),
            Error::Layer(error) => layer::on_layer(error),
            Error::Tree(error) => layer::on_rootfs(error),
            Error::Write(error) => write::on_write(error),
            Error::Metadata(error) => metadata::on_metadata(error),
            Error::Rebuild(error) => metadata::on_rebuild(error),
            Error::Rescue(error) => rescue::on_rescue(error),
            Error::Delta(error) => delta::on_delta(error),
        };
        let advice = match size_limit(error) {
            None => advice,
            Some(hint) => advice.and(hint),
        };
        match Exceeded::behind(error) {
            None => advice,
            Some(exceeded) => advice.and(allow(exceeded)),
        }
    }

    /// The advice on a file that should have been the tar of a root file system, and cannot be.
    pub(super) fn on_rootfs(error: &Error) -> Self {
        match error {
            Error::Archive(error) => archive::on_archive(error, WantedFile::Tree),
            Error::Source(error) => archive::on_source(error, WantedFile::Tree),
            error => Self::on(error),
        }
    }

    /// The advice on a tar that is hardly meant to be a root file system.
    pub(super) fn on_looks(path: &str, looks: &Looks) -> Self {
        foreign::on_looks(path, looks)
    }

    /// No hint: the message and its causes say everything.
    fn none() -> Self {
        Self::default()
    }

    /// One hint.
    fn hint(hint: impl Into<String>) -> Self {
        Self::none().and(hint)
    }

    /// One more hint.
    fn and(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The hint `below`, under these lines.
    fn below(details: impl IntoIterator<Item = String>, below: impl Into<String>) -> Self {
        Self {
            details: details.into_iter().collect(),
            hints: vec![below.into()],
        }
    }
}

/// For damage inside the archive.
const VERIFY: &str = "`imgtar verify` reports everything that is wrong with the archive";

/// For a file that was taken for an image archive and is something else.
const WHAT_WRITES_ONE: &str =
    "an image archive is what `docker save`, `podman save` or `skopeo copy` writes";

/// For a file that was taken for the tar of a root file system and is something else.
const EXPORTS: &str =
    "`docker export` writes the tar of a container's files, `imgtar flatten` that of an image's";

/// For a file that was taken for the tar of a data directory and is something else.
const PACKS: &str = "`rescue` needs the tar of an engine's data directory, packed as root with the engine stopped: tar --xattrs --xattrs-include='*' --numeric-owner --sparse --one-file-system -C /var/lib/docker -cf root.tar .";

/// For a file that could be opened but not read.
const READ_FAILED: &str =
    "the disk or the network under the file failed; copy the file to another disk and try again";

/// For a limit that was exceeded.
fn allow(exceeded: &Exceeded) -> String {
    format!(
        "if you trust the archive, --limit {}=VALUE raises the limit",
        exceeded.limit
    )
}

/// For a file that could grow no further, behind whatever error.
pub(super) fn size_limit(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::FileTooLarge
        {
            return Some(
                "`ulimit -f` or the file system does not allow a larger file: raise the limit, or write elsewhere",
            );
        }
        next = error.source();
    }
    None
}

/// For a temporary file that could not be written.
fn no_room_for(what: &str) -> Advice {
    Advice::hint(format!("set TMPDIR to a directory with room for {what}"))
}

/// For an output that could not be written.
fn on_output(error: &io::Error) -> Advice {
    let hint: Cow<'_, str> = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or name a file on another disk with -o".into()
        }
        // The system's own words are all there is.
        _other_kind => return Advice::none(),
    };
    Advice::hint(hint)
}
