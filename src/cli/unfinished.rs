//! A file that is being written and does not have its name yet.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

use super::signals::{forget, remembered};

/// A file that does not have its name yet.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// It has no name (`O_TMPFILE`): whatever ends the process, nothing is left.
    #[cfg(target_os = "linux")]
    Unnamed(File),
    /// It has one of its own, where the file system has no files without a name.
    Named(NamedTempFile),
}

impl Unfinished {
    pub(crate) fn file(&self) -> &File {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    /// A new one. An error is the system's own, without the name of the temporary file, which would
    /// not help.
    pub(crate) fn in_directory(directory: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed::open(directory) {
            return Ok(Self::Unnamed(file));
        }
        let file = named(directory, |path| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path)
        })?;
        Ok(Self::Named(file))
    }

    /// Gives it its name. Only `force` replaces what has that name.
    pub(crate) fn place(self, path: &Path, force: bool) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => unnamed::place(&file, path, force),
            Self::Named(file) => {
                let temporary = file.path().to_owned();
                let placed = if force {
                    file.persist(path)
                } else {
                    file.persist_noclobber(path)
                };
                forget(&temporary);
                placed.map(drop).map_err(|e| e.error)
            }
        }
    }
}

/// Makes a file with a name of its own that no signal leaves behind. An error is the one of `make`.
fn named<F>(
    directory: &Path,
    make: impl Fn(&Path) -> io::Result<F>,
) -> io::Result<NamedTempFile<F>> {
    let mut raw = None;
    let file = tempfile::Builder::new()
        .prefix(".imgtar-")
        .suffix(".part")
        .make_in(directory, |path| {
            remembered(path, &make).inspect_err(|error| raw = error.raw_os_error())
        });
    // What comes back says the path as well, in words.
    file.map_err(|error| raw.map_or(error, io::Error::from_raw_os_error))
}

/// Files without a name (open(2), `O_TMPFILE`).
#[cfg(target_os = "linux")]
mod unnamed {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open as open_flags};

    use super::{forget, named};
    use crate::cli::files::directory_of;

    /// Where the system shows an open file, which can be linked from there without privileges.
    fn shown(file: &File) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    /// `None` where the file system has none, or where it could not be given a name later.
    pub(super) fn open(directory: &Path) -> Option<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = File::from(open_flags(directory, flags, Mode::from(0o666)).ok()?);
        shown(&file).try_exists().unwrap_or(false).then_some(file)
    }

    fn link(file: &File, path: &Path) -> io::Result<()> {
        Ok(linkat(
            CWD,
            shown(file),
            CWD,
            path,
            AtFlags::SYMLINK_FOLLOW,
        )?)
    }

    pub(super) fn place(file: &File, path: &Path, force: bool) -> io::Result<()> {
        match link(file, path) {
            Err(error) if force && error.kind() == io::ErrorKind::AlreadyExists => {}
            placed => return placed,
        }
        // Nothing links over a file that is there: it gets a name of its own first, for as long as
        // it takes to rename it.
        let named = named(directory_of(path), |other| link(file, other))?;
        let other = named.path().to_owned();
        let placed = named.persist(path).map_err(|e| e.error);
        forget(&other);
        placed.map(drop)
    }
}
