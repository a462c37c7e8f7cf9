//! Checksum files beside archives: `--checksum` and `--check`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use imgtar::base::digest::Digest;
use imgtar::check::{CHECKSUM_LIMIT, ChecksumLine, read_checksums};

use super::args::bytes_of;
use super::destination::Destination;
use super::error::Failure;
use super::files::{Files, both_from_stdin};

/// What to write and what to check against.
#[derive(Debug, Args)]
pub(crate) struct Transfer {
    /// Write the SHA-256 of each archive to a file, as sha256sum does
    ///
    /// The file is only written if every archive passes.
    #[arg(long, value_name = "FILE")]
    checksum: Option<PathBuf>,

    /// Replace the file of --checksum if it exists; never an archive
    #[arg(short, long, requires = "checksum")]
    force: bool,

    /// Check the archives against a file that sha256sum or --checksum wrote
    ///
    /// Without archives, checks those that the file names.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// The digests that a checksum file claims, by name.
pub(crate) struct ChecksumClaims {
    path: String,
    by_name: HashMap<Vec<u8>, Digest>,
    /// The names in the order of the file.
    names: Vec<Vec<u8>>,
}

/// The checksum file that is being written.
pub(crate) struct Sums {
    path: PathBuf,
    destination: Destination,
    lines: Vec<ChecksumLine>,
}

impl Transfer {
    /// Whether the digests of whole files are wanted.
    pub(crate) fn wants_digests(&self) -> bool {
        self.checksum.is_some() || self.check.is_some()
    }

    /// Opens the file to write, before any work is done that it could make useless.
    pub(crate) fn sums(&self, files: &Files) -> Result<Option<Sums>, Failure> {
        let Some(path) = &self.checksum else {
            return Ok(None);
        };
        if path.as_os_str() == "-" {
            return Err(Failure::usage(
                "--checksum writes a file, the report is on standard output",
            )
            .hint("with --checksum or --check, --json has the SHA-256 of each archive too"));
        }
        Ok(Some(Sums {
            path: path.clone(),
            destination: Destination::open(path, self.force, files)?,
            lines: Vec::new(),
        }))
    }

    /// Reads the file to check the archives against.
    pub(crate) fn claims(
        &self,
        archives: &[PathBuf],
        files: &Files,
    ) -> Result<Option<ChecksumClaims>, Failure> {
        let read = |path: &PathBuf| read_claims(path, archives, files);
        self.check.as_ref().map(read).transpose()
    }
}

impl Sums {
    /// Notes the digest of an archive.
    pub(crate) fn add(&mut self, path: &Path, digest: Digest) {
        let name = bytes_of(path.as_os_str());
        self.lines.push(ChecksumLine { name, digest });
    }

    /// Writes the file.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        for line in &self.lines {
            self.destination.write_all(&line.to_bytes()).map_err(|e| {
                Failure::environment(format!("cannot write {}", self.path.display()), &e)
            })?;
        }
        self.destination.finish().map(drop)
    }

    /// The path that it was to have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// For a file that is not a checksum file.
const WHAT_WRITES_ONE: &str =
    "`sha256sum ARCHIVE` and `imgtar verify --checksum FILE` write checksum files";

/// Reads a checksum file.
fn read_claims(
    path: &Path,
    archives: &[PathBuf],
    files: &Files,
) -> Result<ChecksumClaims, Failure> {
    let shown = if path.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    if path.as_os_str() == "-" && archives.iter().any(|archive| archive.as_os_str() == "-") {
        return Err(both_from_stdin("the archive", "the checksum file"));
    }
    let bytes = files.bytes(path, CHECKSUM_LIMIT)?;
    let bytes = bytes.map_err(|e| Failure::environment(format!("cannot read {shown}"), &e))?;
    if bytes.len() as u64 > CHECKSUM_LIMIT {
        return Err(Failure::input(format!(
            "{shown} is not a checksum file: it is longer than {CHECKSUM_LIMIT} bytes"
        ))
        .hint(WHAT_WRITES_ONE));
    }
    let lines = read_checksums(&bytes).map_err(|why| {
        Failure::input(format!("{shown} is not a checksum file: {why}")).hint(WHAT_WRITES_ONE)
    })?;
    if lines.is_empty() {
        return Err(Failure::input(format!("{shown} holds no checksum")).hint(WHAT_WRITES_ONE));
    }
    let names = lines.iter().map(|line| line.name.clone()).collect();
    let by_name = lines.into_iter().map(|line| (line.name, line.digest));
    Ok(ChecksumClaims {
        path: shown,
        by_name: by_name.collect(),
        names,
    })
}

impl ChecksumClaims {
    /// The archives that the file names, in its order.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.names.iter().map(|name| path_of(name)).collect()
    }

    /// The digest that is claimed of an archive: by the name as it is given, else by the last part of
    /// it, where only one line has that.
    pub(crate) fn of(&self, path: &Path) -> Result<&Digest, Failure> {
        if let Some(digest) = self.by_name.get(&bytes_of(path.as_os_str())) {
            return Ok(digest);
        }
        let base = |name: &[u8]| name.rsplit(|&b| b == b'/').next().map(<[u8]>::to_vec);
        let wanted = path.file_name().map(bytes_of);
        let mut same = self.names.iter().filter(|name| base(name) == wanted);
        match (same.next(), same.next()) {
            (Some(name), None) => Ok(&self.by_name[name]),
            (Some(_), Some(_)) => Err(Failure::input(format!(
                "{} has several lines for {}",
                self.path,
                path.display()
            ))
            .hint("give the archive by the name that is in the file")),
            (None, _) => {
                Err(
                    Failure::input(format!("{} has no line for {}", self.path, path.display()))
                        .hint("give the archive by the name that is in the file"),
                )
            }
        }
    }
}

#[cfg(unix)]
fn path_of(name: &[u8]) -> PathBuf {
    let name: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    name.into()
}

#[cfg(not(unix))]
fn path_of(name: &[u8]) -> PathBuf {
    String::from_utf8_lossy(name).into_owned().into()
}
