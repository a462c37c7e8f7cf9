//! Where a command that writes puts its output: a file that appears whole or not at all, or standard
//! output.

use std::fs::File;
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;
use tempfile::NamedTempFile;

use super::error::Failure;

/// The temporary files that a signal must not leave behind.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Where the output goes.
#[derive(Debug, Args)]
pub(crate) struct OutputArg {
    /// The file to write, or - for standard output [default: standard output, unless it is a
    /// terminal]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the file if it is there
    #[arg(short, long)]
    force: bool,
}

/// An open destination.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A temporary file beside the one that is wanted.
    New {
        file: Unfinished,
        path: PathBuf,
        force: bool,
    },
    /// Something that is there and no regular file, such as `/dev/null` or a named pipe.
    Special(File),
    /// Standard output.
    Stdout(StdoutLock<'static>),
}

/// A file that is not yet what it is to be called.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// It has no name (`O_TMPFILE`): whatever ends the process, nothing is left.
    #[cfg(target_os = "linux")]
    Unnamed(File),
    /// It has one of its own, where the file system knows no files without.
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

    fn in_directory(directory: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed::open(directory) {
            return Ok(Self::Unnamed(file));
        }
        clean_up_on_signals();
        let file = builder().tempfile_in(directory)?;
        remember(file.path());
        Ok(Self::Named(file))
    }

    /// Gives it its name. Only `force` replaces what has that name.
    fn place(self, path: &Path, force: bool) -> io::Result<()> {
        let placed = match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => return unnamed::place(&file, path, force),
            Self::Named(file) => {
                let temporary = file.path().to_owned();
                let placed = if force {
                    file.persist(path)
                } else {
                    file.persist_noclobber(path)
                };
                forget(&temporary);
                placed
            }
        };
        placed.map(drop).map_err(|e| e.error)
    }
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".imgtar-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any program gives a new file; the system takes the umask off.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Files without a name (open(2), `O_TMPFILE`).
#[cfg(target_os = "linux")]
mod unnamed {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open as open_flags};

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
        super::clean_up_on_signals();
        let named = super::builder().make_in(super::directory_of(path), |other| {
            super::remember(other);
            link(file, other)
        })?;
        let other = named.path().to_owned();
        let placed = named.persist(path).map_err(|e| e.error);
        super::forget(&other);
        placed.map(drop)
    }
}

/// The directory that a file is in.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl OutputArg {
    /// Opens the destination, before any work is done that it could make useless.
    pub(crate) fn open(&self) -> Result<Destination, Failure> {
        let Some(path) = &self.output else {
            if io::stdout().is_terminal() {
                return Err(Failure::usage(
                    "standard output is a terminal, and no output file was named",
                )
                .hint("name one with -o FILE, or pipe the output on"));
            }
            return Ok(Destination::Stdout(io::stdout().lock()));
        };
        Destination::open(path, self.force)
    }

    /// Whether an existing file may be replaced.
    pub(crate) fn force(&self) -> bool {
        self.force
    }

    /// Whether the output goes to this path, however it is spelled.
    pub(crate) fn is(&self, path: &Path) -> bool {
        let place = |path: &Path| {
            let directory = directory_of(path).canonicalize().ok()?;
            Some(directory.join(path.file_name()?))
        };
        self.output.as_deref().is_some_and(|output| {
            output == path || place(output).is_some_and(|p| place(path) == Some(p))
        })
    }

    /// Whether the output goes to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.output
            .as_ref()
            .is_none_or(|path| path.as_os_str() == "-")
    }
}

impl Destination {
    /// Opens a destination, `-` for standard output.
    pub(crate) fn open(path: &Path, force: bool) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout(io::stdout().lock()));
        }
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Failure::usage(format!("{} is a directory", path.display())));
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = File::options().write(true).open(path);
                let failed =
                    |e| Failure::environment(format!("cannot write to {}", path.display()), &e);
                return file.map(Self::Special).map_err(failed);
            }
            Ok(_) if !force => {
                return Err(Failure::usage(format!("{} exists already", path.display()))
                    .hint("--force replaces it"));
            }
            _ => {}
        }
        Self::beside(path, force)
    }

    fn beside(path: &Path, force: bool) -> Result<Self, Failure> {
        let directory = directory_of(path);
        let file = Unfinished::in_directory(directory).map_err(|e: io::Error| {
            let shown = directory.display();
            if e.kind() == io::ErrorKind::NotFound && !directory.exists() {
                let message = format!("cannot write {}", path.display());
                let cause = io::Error::other(format!("there is no directory {shown}"));
                return Failure::environment(message, &cause);
            }
            // The error names the temporary file, which means nothing to anybody.
            let text = e.to_string();
            let cause = io::Error::other(text.split(" at path ").next().unwrap_or_default());
            Failure::environment(format!("cannot write to {shown}"), &cause)
        })?;
        Ok(Self::New {
            file,
            path: path.to_owned(),
            force,
        })
    }

    /// Whether it is standard output, which then has no room for an answer.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    /// The file, if it is a new one, which several threads may write at known places.
    pub(crate) fn file(&self) -> Option<&File> {
        match self {
            Self::New { file, .. } => Some(file.file()),
            Self::Special(_) | Self::Stdout(_) => None,
        }
    }

    /// Puts the finished output in its place.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let flushed = self.flush();
        match self {
            Self::New { file, path, force } => flushed
                .and_then(|()| file.place(&path, force))
                .map_err(|e| Failure::environment(format!("cannot write {}", path.display()), &e)),
            Self::Special(_) | Self::Stdout(_) => {
                flushed.map_err(|e| Failure::environment("cannot write the output", &e))
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::New { file, .. } => file.file().write(buf),
            Self::Special(file) => file.write(buf),
            Self::Stdout(stdout) => stdout.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            // Nothing is held back.
            Self::New { .. } => Ok(()),
            Self::Special(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

fn remember(path: &Path) {
    if let Ok(mut unfinished) = UNFINISHED.lock() {
        unfinished.push(path.to_owned());
    }
}

fn forget(path: &Path) {
    if let Ok(mut unfinished) = UNFINISHED.lock() {
        unfinished.retain(|other| other != path);
    }
}

/// On SIGINT and SIGTERM unfinished files go before the process does.
fn clean_up_on_signals() {
    // Only the first call can succeed, and one handler is enough.
    _ = ctrlc::set_handler(|| {
        if let Ok(unfinished) = UNFINISHED.lock() {
            for path in &*unfinished {
                _ = std::fs::remove_file(path);
            }
        }
        // What a shell reports of a process that SIGINT has ended.
        std::process::exit(130);
    });
}
