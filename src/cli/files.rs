//! The files that a command reads and writes. None is both: an output that would overwrite
//! an input, by whatever name, is refused before anything is written.
//!
//! Everything in this folder that is read from a file is opened here, and nothing is opened for writing
//! without the [`Files`] of the command. So no command can forget to compare the two.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use imgtar::delta::{DeltaError, DeltaFile};
use imgtar::source::{Input, SourceError};
use imgtar::{Archive, Options};

use super::error::Failure;
use super::output;

/// The files that one run of a command reads and writes.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<KnownFiles>);

#[derive(Debug, Default)]
struct KnownFiles {
    inputs: Vec<NamedFile>,
    outputs: Vec<NamedFile>,
}

/// A file and what the command line calls it.
#[derive(Clone, Debug)]
struct NamedFile {
    file: FilePlace,
    name: String,
}

/// What makes two files the same, however they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FilePlace {
    /// A file that exists.
    File(FileId),
    /// A name that no file has yet: the directory and the name in it.
    Free(FileId, OsString),
}

/// What the system tells files apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FileId {
    /// A file or a directory: the device that it is on, and its number there.
    #[cfg(unix)]
    Inode(u64, u64),
    /// A disk.
    #[cfg(unix)]
    Disk(u64),
    /// A path without links.
    #[cfg(not(unix))]
    Path(std::path::PathBuf),
}

impl FileId {
    /// `None` for what can be read and written at the same time without loss, such as pipes and
    /// terminals.
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let kind = metadata.file_type();
        if kind.is_block_device() {
            return Some(Self::Disk(metadata.rdev()));
        }
        let is_inode = kind.is_file() || kind.is_dir();
        is_inode.then(|| Self::Inode(metadata.dev(), metadata.ino()))
    }

    /// `None` if there is no such file.
    #[cfg(unix)]
    fn at(path: &Path) -> Option<Self> {
        Self::of(&fs::metadata(path).ok()?)
    }

    #[cfg(not(unix))]
    fn at(path: &Path) -> Option<Self> {
        Some(Self::Path(path.canonicalize().ok()?))
    }
}

/// What an open file is, with its length in bytes.
#[cfg(unix)]
fn opened(file: impl std::os::fd::AsFd) -> Option<(FileId, u64)> {
    let file = File::from(file.as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    Some((FileId::of(&metadata)?, metadata.len()))
}

/// Unknown on this system.
#[cfg(not(unix))]
fn opened<T>(_: T) -> Option<(FileId, u64)> {
    None
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses a command line that names standard input twice.
pub(crate) fn both_from_stdin(first: &str, second: &str) -> Failure {
    Failure::usage(format!(
        "{first} and {second} cannot both come from standard input"
    ))
    .hint("give one of the two by its path")
}

/// Refuses an output that is an input too.
fn same(output: &str, input: &str) -> Failure {
    Failure::usage(format!(
        "the output would destroy the input: {output} is the same file as {input}"
    ))
    .hint("write to another file, and move it over the input afterwards if that is what you want")
}

impl Files {
    fn known(&self) -> std::sync::MutexGuard<'_, KnownFiles> {
        // The notes are consistent at any moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a file that will be read, `-` for standard input; one that is written is refused.
    pub(crate) fn reads(&self, path: &Path) -> Result<(), Failure> {
        let (id, name) = if is_standard(path) {
            let id = opened(io::stdin()).map(|(id, _)| id);
            (id, "standard input".to_owned())
        } else {
            (FileId::at(path), path.display().to_string())
        };
        // A file that does not exist cannot be lost.
        let Some(id) = id else { return Ok(()) };
        if let Some((stdout, len)) = opened(io::stdout())
            && stdout == id
        {
            let failure = same("standard output", &name);
            return Err(if len == 0 {
                failure.hint("it is already empty: with `>` the shell empties a file before the command starts")
            } else {
                failure
            });
        }
        let file = FilePlace::File(id);
        let mut known = self.known();
        if let Some(output) = known.outputs.iter().find(|output| output.file == file) {
            return Err(same(&output.name, &name));
        }
        known.inputs.push(NamedFile { file, name });
        Ok(())
    }

    /// Notes a file that will be written; one that is read, or is written already, is refused.
    pub(crate) fn writes(&self, path: &Path) -> Result<(), Failure> {
        let file = match FileId::at(path) {
            Some(id) => FilePlace::File(id),
            // What two may write to at once, such as /dev/null.
            None if path.exists() => return Ok(()),
            None => {
                let directory = FileId::at(directory_of(path));
                let (Some(directory), Some(name)) = (directory, path.file_name()) else {
                    return Ok(());
                };
                FilePlace::Free(directory, name.to_owned())
            }
        };
        self.output(file, path.display().to_string())
    }

    /// Notes that standard output will be written.
    pub(crate) fn writes_stdout(&self) -> Result<(), Failure> {
        match opened(io::stdout()) {
            Some((id, _)) => self.output(FilePlace::File(id), "standard output".to_owned()),
            None => Ok(()),
        }
    }

    fn output(&self, file: FilePlace, name: String) -> Result<(), Failure> {
        let mut known = self.known();
        if let Some(input) = known.inputs.iter().find(|input| input.file == file) {
            return Err(same(&name, &input.name));
        }
        if let Some(other) = known.outputs.iter().find(|other| other.file == file) {
            return Err(Failure::usage(format!(
                "two outputs would be written to the same file: {} and {name}",
                other.name
            ))
            .hint("name two different files"));
        }
        known.outputs.push(NamedFile { file, name });
        Ok(())
    }

    /// Opens an archive, or standard input for `-`.
    pub(crate) fn archive(
        &self,
        path: &Path,
        options: &Options<'_>,
    ) -> Result<Result<Archive, imgtar::Error>, Failure> {
        let input = self.any_archive(path, options)?;
        Ok(input
            .map_err(Into::into)
            .and_then(|input| Ok(Archive::open(input)?)))
    }

    /// Opens a file that may be an archive, or standard input for `-`, and does not yet look what it is.
    pub(crate) fn any_archive(
        &self,
        path: &Path,
        options: &Options<'_>,
    ) -> Result<Result<Input, SourceError>, Failure> {
        Ok(if self.reads_standard(path)? {
            Input::stdin(options)
        } else {
            Input::open(path, options)
        })
    }

    /// Notes an archive that is read, and says whether standard input is meant; a terminal is refused.
    fn reads_standard(&self, path: &Path) -> Result<bool, Failure> {
        self.reads(path)?;
        if !is_standard(path) {
            return Ok(false);
        }
        if output::stdin_is_terminal() {
            return Err(Failure::usage(
                "standard input is a terminal, but an archive is expected there",
            )
            .hint("pipe one in, as in `docker save app | imgtar images -`, or give a path"));
        }
        Ok(true)
    }

    /// Opens a file of another kind, compressed or not, or standard input for `-`; `what` is expected there,
    /// such as "a rootfs tar".
    pub(crate) fn input(
        &self,
        path: &Path,
        what: &str,
        options: &Options<'_>,
    ) -> Result<Result<Input, SourceError>, Failure> {
        self.reads(path)?;
        if !is_standard(path) {
            return Ok(Input::open(path, options));
        }
        if output::stdin_is_terminal() {
            return Err(Failure::usage(format!(
                "standard input is a terminal, but {what} is expected there"
            ))
            .hint("pipe it in, or give a path"));
        }
        Ok(Input::stdin(options))
    }

    /// Takes a temporary file that this process has written itself; messages call it `name`.
    pub(crate) fn written(
        file: File,
        name: &str,
        options: &Options<'_>,
    ) -> Result<Input, SourceError> {
        Input::from_reader(file, name, options)
    }

    /// Opens what is a delta.
    pub(crate) fn delta(input: Input) -> Result<DeltaFile, DeltaError> {
        DeltaFile::open(input)
    }

    /// Reads a short file, or standard input for `-`: its first `limit` bytes, and one more if there is
    /// one.
    pub(crate) fn bytes(
        &self,
        path: &Path,
        limit: u64,
    ) -> Result<Result<Vec<u8>, io::Error>, Failure> {
        self.reads(path)?;
        let mut bytes = Vec::new();
        let read = if is_standard(path) {
            io::stdin().take(limit + 1).read_to_end(&mut bytes)
        } else {
            File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        };
        Ok(read.map(|_| bytes))
    }
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
