//! Where a command that writes puts its output: a file that appears whole or not at all, or standard
//! output.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use imgtar::Jobs;
use imgtar::base::escape;
use imgtar::source::{Compression, Method};

use super::blocks::{self, Blocks, RawStdout};
use super::commands::Context;
use super::compress::{CompressedOutput, Wish};
use super::error::Failure;
use super::files::{Files, directory_of};
use super::finished::{FinishedOutput, QuietArg};
use super::interrupted;
use super::unfinished::Unfinished;
use crate::cli::output::is_closed;

/// What people call standard output.
const STDOUT: &str = "standard output";

/// Where the output goes.
#[derive(Debug, Args)]
pub(crate) struct OutputArg {
    /// The file to write, or - for standard output [default: standard output, unless it is a
    /// terminal]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the file if it exists
    ///
    /// A file that the command reads is never replaced. If it is a symbolic link, the link is replaced,
    /// not the file it points to.
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    quiet: QuietArg,
}

/// An open destination.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A temporary file beside the output.
    New {
        file: Unfinished,
        path: PathBuf,
        force: bool,
    },
    /// Something that exists and is not a regular file, such as `/dev/null` or a named pipe.
    Special(Blocks<File>, String),
    /// Standard output.
    Stdout(Blocks<RawStdout>),
    /// One of these, compressed.
    Compressed(Box<CompressedOutput>),
}

impl OutputArg {
    /// Opens the destination, before any work is done that it could make useless. It is not one of the
    /// command's inputs. It is compressed as `wish` says.
    pub(crate) fn open(&self, wish: Wish, context: &Context) -> Result<Destination, Failure> {
        Destination::open_tar(self.path()?, self.force, wish, context)
    }

    /// The same for what is written as it is, whatever the name of the output says.
    pub(crate) fn open_as_is(&self, context: &Context) -> Result<Destination, Failure> {
        Destination::open(self.path()?, self.force, &context.files)
    }

    fn path(&self) -> Result<&Path, Failure> {
        if self.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage(
                "standard output is a terminal, and no output file was named",
            )
            .hint("name one with -o FILE, or pipe the output on"));
        }
        Ok(self.output.as_deref().unwrap_or(Path::new("-")))
    }

    /// Whether an existing file may be replaced.
    pub(crate) fn force(&self) -> bool {
        self.force
    }

    /// Whether the closing line is wanted.
    pub(crate) fn quiet(&self) -> QuietArg {
        self.quiet
    }

    /// The output's path, `-` for standard output.
    pub(crate) fn shown(&self) -> String {
        let path = self.output.as_ref();
        path.map_or_else(|| "-".to_owned(), |path| path.display().to_string())
    }

    /// Whether the output goes to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.output
            .as_ref()
            .is_none_or(|path| path.as_os_str() == "-")
    }
}

impl Destination {
    /// Opens a destination for a tar, `-` for standard output, that is compressed as `wish` or its name
    /// says.
    pub(crate) fn open_tar(
        path: &Path,
        force: bool,
        wish: Wish,
        context: &Context,
    ) -> Result<Self, Failure> {
        let method = wish.method(path, context.output)?;
        let destination = Self::open(path, force, &context.files)?;
        Ok(destination.compressed(method, context.jobs, path))
    }

    fn compressed(self, method: Method, jobs: Jobs, path: &Path) -> Self {
        if method.compression() == Compression::None {
            return self;
        }
        Self::Compressed(Box::new(CompressedOutput::new(method, jobs, self, path)))
    }

    /// Opens a destination, `-` for standard output, that is not one of the command's inputs or other
    /// outputs, by whatever name.
    pub(crate) fn open(path: &Path, force: bool, files: &Files) -> Result<Self, Failure> {
        let failed = |e| Failure::environment(format!("cannot write to {}", path.display()), &e);
        if path.as_os_str() == "-" {
            files.writes_stdout()?;
            let stdout = blocks::stdout().map_err(failed)?;
            interrupted::streams(STDOUT);
            return Ok(Self::Stdout(stdout));
        }
        let metadata = path.metadata();
        if metadata.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            let failure = Failure::usage(format!("{} is a directory", path.display()));
            return Err(failure.hint(format!("name a file in it, as in {}/FILE", path.display())));
        }
        files.writes(path)?;
        match metadata {
            Ok(metadata) if !metadata.is_file() => {
                let file = File::options().write(true).open(path).map_err(failed)?;
                let name = path.display().to_string();
                interrupted::streams(&name);
                return Ok(Self::Special(Blocks::new(file), name));
            }
            Ok(_) if !force => {
                return Err(Failure::usage(format!("{} already exists", path.display()))
                    .hint("--force replaces it"));
            }
            Err(_) if !force => refuse_link(path)?,
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
                return Failure::environment(message, &cause)
                    .hint("create the directory first, or name another file");
            }
            Failure::environment(format!("cannot write to {shown}"), &e)
        })?;
        interrupted::writes(path);
        Ok(Self::New {
            file,
            path: path.to_owned(),
            force,
        })
    }

    /// Whether it is standard output, which then has no room for an answer.
    pub(crate) fn is_stdout(&self) -> bool {
        match self {
            Self::Stdout(_) => true,
            Self::Compressed(output) => output.destination().is_stdout(),
            Self::New { .. } | Self::Special(..) => false,
        }
    }

    /// Whether it is compressed as a whole.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed(_))
    }

    /// The file, if it is a new one, which several threads may write at known places; what is compressed has
    /// no known places.
    pub(crate) fn file(&self) -> Option<&File> {
        match self {
            Self::New { file, .. } => Some(file.file()),
            Self::Special(..) | Self::Stdout(_) | Self::Compressed(_) => None,
        }
    }

    /// Puts the finished output in its place and says what it is; `None` if the reader of a pipe has closed it.
    pub(crate) fn finish(self) -> Result<Option<FinishedOutput>, Failure> {
        let Self::Compressed(output) = self else {
            return self.finish_plain();
        };
        let message = format!("cannot write {}", output.name());
        match output.finish() {
            Ok((destination, compressed)) => {
                let placed = destination.finish_plain()?;
                Ok(placed.map(|placed| FinishedOutput {
                    compressed: Some(compressed),
                    ..placed
                }))
            }
            // The reader has closed the pipe.
            Err(error) if is_closed(&error) => Ok(None),
            Err(error) => Err(Failure::environment(message, &error)),
        }
    }

    fn finish_plain(mut self) -> Result<Option<FinishedOutput>, Failure> {
        let flushed = self.flush();
        let is_stdout = self.is_stdout();
        let (name, bytes) = match self {
            // One is never compressed again.
            Self::Compressed(_) => return Ok(None),
            Self::New { file, path, force } => {
                let placed = flushed.and_then(|()| {
                    let bytes = file.file().metadata()?.len();
                    file.place(&path, force)?;
                    Ok(bytes)
                });
                let bytes = placed.map_err(|e| {
                    Failure::environment(format!("cannot write {}", path.display()), &e)
                })?;
                interrupted::wrote(&path);
                return Ok(Some(FinishedOutput {
                    name: escape::path(&path),
                    is_stdout: false,
                    bytes,
                    compressed: None,
                }));
            }
            Self::Special(blocks, name) => (name, blocks.passed()),
            Self::Stdout(blocks) => (STDOUT.to_owned(), blocks.passed()),
        };
        match flushed {
            // The reader has closed the pipe.
            Err(error) if is_closed(&error) => Ok(None),
            Err(error) => Err(Failure::environment("cannot write the output", &error)),
            Ok(()) => Ok(Some(FinishedOutput {
                name: escape::text(&name).into_owned(),
                is_stdout,
                bytes,
                compressed: None,
            })),
        }
    }
}

impl Write for Destination {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::New { file, .. } => file.file().write(buf),
            Self::Special(file, _) => file.write(buf),
            Self::Stdout(stdout) => stdout.write(buf),
            Self::Compressed(output) => output.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            // Nothing is buffered.
            Self::New { .. } => Ok(()),
            Self::Special(file, _) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
            Self::Compressed(output) => output.flush(),
        }
    }
}

/// Refuses a symbolic link that leads to no file: when the output is complete it could not get that name.
fn refuse_link(path: &Path) -> Result<(), Failure> {
    let Ok(target) = path.read_link() else {
        return Ok(());
    };
    let (path, target) = (path.display(), target.display());
    Err(Failure::usage(format!(
        "{path} is a symbolic link to {target}, where there is no file"
    ))
    .hint("name the file itself with -o; --force replaces the link itself"))
}
