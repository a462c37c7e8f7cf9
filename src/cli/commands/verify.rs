//! `verify`: every claim held against the bytes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use imgtar::archive::{Archive, ArchiveError};
use imgtar::audit::{Audit, AuditKind};
use imgtar::digest::Digest;
use imgtar::image::{ImageSet, LoadError};
use imgtar::problem::{Code, Problem};
use imgtar::report::{ImageAudit, Verify, VerifyArchive};
use imgtar::source::SourceError;
use imgtar::verify::{CHECKSUM_LIMIT, ChecksumLine, Loaders, read_checksums};

use super::{Context, Exit, Failure};
use crate::cli::args::{self, JsonArg};
use crate::cli::destination::Destination;
use crate::cli::error::{causes, warn};
use crate::cli::render;

/// Check everything that archives claim
///
/// Every byte is read once: diff IDs, blob digests and sizes, config digests are recomputed; layer
/// counts, histories, manifest.json, index.json and repositories are held against each other; names,
/// links and whiteouts inside the layers are looked at; and it is foretold whether Docker, containerd
/// and podman would load the archive. All problems are reported, not only the first. Exits with 1 if
/// anything is not what is claimed. `docs/verify.md` explains every problem.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar verify app.tar
  imgtar verify -q *.tar
  docker save app | imgtar verify -
  imgtar verify app.tar --checksum app.tar.sha256
  imgtar verify --check app.tar.sha256
  imgtar verify app.tar --audit --fail-on secret,setuid")]
pub(crate) struct Args {
    /// The archives: paths, or - for standard input
    #[arg(value_name = "ARCHIVE", required_unless_present = "check")]
    archives: Vec<PathBuf>,

    #[command(flatten)]
    json: JsonArg,

    /// Print only what fails
    #[arg(short, long)]
    quiet: bool,

    /// Count warnings as errors
    #[arg(long)]
    strict: bool,

    /// Write the SHA-256 of each archive to a file, as sha256sum does
    ///
    /// Nothing is written unless every archive is in order.
    #[arg(long, value_name = "FILE")]
    checksum: Option<PathBuf>,

    /// Replace the file of --checksum if it is there
    #[arg(short, long, requires = "checksum")]
    force: bool,

    /// Hold the archives against a file that sha256sum or --checksum wrote
    ///
    /// Without archives, those that the file names are checked.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,

    /// Also tell what to know before running the images
    ///
    /// Setuid and setgid files, capabilities, devices, files that anybody may write, names with
    /// control characters, what looks like a secret in environment, labels and history, and the user.
    /// The exit code does not depend on it.
    #[arg(long)]
    audit: bool,

    /// Exit with 1 if the audit finds something of these kinds
    #[arg(
        long,
        value_name = "KINDS",
        value_delimiter = ',',
        value_parser = kinds(),
        requires = "audit"
    )]
    fail_on: Vec<AuditKind>,
}

/// The kinds by their names.
fn kinds() -> impl TypedValueParser<Value = AuditKind> {
    PossibleValuesParser::new(
        AuditKind::ALL
            .iter()
            .map(|kind| PossibleValue::new(kind.name())),
    )
    .map(|name| {
        let kind = AuditKind::ALL.iter().find(|kind| kind.name() == name);
        // clap has refused every other name.
        *kind.unwrap_or(&AuditKind::Setuid)
    })
}

/// The digests that a checksum file claims, by name.
struct Claims {
    path: String,
    by_name: HashMap<Vec<u8>, Digest>,
    /// The names in the order of the file.
    names: Vec<Vec<u8>>,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let claims = self.check.as_deref().map(|path| self.claims(path)).transpose()?;
        // Opened before any work is done that it could make useless.
        let destination = match &self.checksum {
            Some(path) if path.as_os_str() == "-" => {
                return Err(Failure::usage("--checksum writes a file, the report is on standard output")
                    .hint("--json has the SHA-256 of each archive too, where --checksum or --check is given"));
            }
            Some(path) => Some(Destination::at(path, self.force)?),
            None => None,
        };
        let named: Vec<PathBuf>;
        let archives = match &claims {
            Some(claims) if self.archives.is_empty() => {
                named = claims.names.iter().map(|name| path_of(name)).collect();
                &named
            }
            _ => &self.archives,
        };
        let mut exit = Exit::Done;
        let mut reports = Vec::with_capacity(archives.len());
        let mut lines = Vec::new();
        for path in archives {
            match self.check(path, claims.as_ref(), context) {
                Ok((report, digest)) => {
                    if !report.ok || self.fails_on(&report) {
                        exit = exit.max(Exit::No);
                    }
                    if let Some(digest) = digest {
                        let name = bytes_of(path.as_os_str());
                        lines.push(ChecksumLine { name, digest });
                    }
                    reports.push(report);
                }
                // One archive that cannot be read does not keep the others from being checked.
                Err(Refused { failure, loaders }) => {
                    exit = exit.max(failure.report(context.output));
                    // Said on standard error already; programs want it in their document.
                    if self.json.json {
                        let problem = Problem::error(Code::ArchiveUnreadable, failure.to_string());
                        let path = path.display().to_string();
                        let loaders = loaders.as_ref();
                        reports.push(VerifyArchive::unreadable(&path, &problem, loaders));
                    }
                }
            }
        }
        if !reports.is_empty() {
            let report = Verify::new(reports);
            let answer = if self.json.json {
                render::json(&report)
            } else {
                render::verify(&report, self.quiet)
            };
            context.output.answer(&answer)?;
        }
        if let (Some(mut destination), Some(path)) = (destination, &self.checksum) {
            if exit == Exit::Done {
                for line in &lines {
                    destination.write_all(&line.to_bytes()).map_err(|e| {
                        Failure::environment(format!("cannot write {}", path.display()), &e)
                    })?;
                }
                destination.finish()?;
            } else {
                let path = path.display();
                let message = format!("{path} is not written, because not every archive is in order");
                warn(context.output, &message);
            }
        }
        Ok(exit)
    }

    /// Reads a checksum file.
    fn claims(&self, path: &Path) -> Result<Claims, Failure> {
        let shown = path.display().to_string();
        let failed = |e| Failure::environment(format!("cannot read {shown}"), &e);
        let mut bytes = Vec::new();
        if path.as_os_str() == "-" {
            if self.archives.iter().any(|archive| archive.as_os_str() == "-") {
                return Err(Failure::usage(
                    "standard input cannot be both the archive and the checksum file",
                ));
            }
            std::io::stdin()
                .take(CHECKSUM_LIMIT + 1)
                .read_to_end(&mut bytes)
                .map_err(failed)?;
        } else {
            File::open(path)
                .and_then(|file| file.take(CHECKSUM_LIMIT + 1).read_to_end(&mut bytes))
                .map_err(failed)?;
        }
        if bytes.len() as u64 > CHECKSUM_LIMIT {
            return Err(Failure::input(format!(
                "{shown} is no checksum file: it is longer than {CHECKSUM_LIMIT} bytes"
            )));
        }
        let lines = read_checksums(&bytes).map_err(|why| {
            Failure::input(format!("{shown} is no checksum file: {why}"))
                .hint("`sha256sum FILE` writes one, and so does --checksum")
        })?;
        if lines.is_empty() {
            return Err(Failure::input(format!("{shown} holds no checksum")));
        }
        let names = lines.iter().map(|line| line.name.clone()).collect();
        let by_name = lines.into_iter().map(|line| (line.name, line.digest));
        Ok(Claims {
            path: shown,
            by_name: by_name.collect(),
            names,
        })
    }

    fn check(
        &self,
        path: &Path,
        claims: Option<&Claims>,
        context: &Context,
    ) -> Result<(VerifyArchive, Option<Digest>), Refused> {
        let archive = args::try_open(path, &context.progress)?.map_err(|error| {
            // What is no tar at all, every engine refuses.
            let loaders = match &error {
                imgtar::Error::Archive(ArchiveError::NotTar { .. }) => {
                    Some(Loaders::all_refuse("archive/tar: invalid tar header"))
                }
                imgtar::Error::Source(SourceError::Empty { .. }) => {
                    Some(Loaders::all_refuse("the archive is empty"))
                }
                imgtar::Error::Source(SourceError::Decompress { source, .. }) => {
                    Some(Loaders::all_refuse(&source.to_string()))
                }
                _ => None,
            };
            Refused {
                failure: error.into(),
                loaders,
            }
        })?;
        let claimed = claims.map(|claims| claims.of(path)).transpose()?;
        let set = match ImageSet::load(&archive) {
            Ok(set) => set,
            Err(error) => {
                let problem = damage(&archive, &error);
                let why = problem
                    .as_ref()
                    .map_or_else(|| error.to_string(), |problem| problem.message.clone());
                let loaders = Some(Loaders::of_unreadable(&archive, &why));
                return match problem {
                    Some(problem) => {
                        let path = archive.path();
                        let report = VerifyArchive::unreadable(path, &problem, loaders.as_ref());
                        Ok((report, None))
                    }
                    None => Err(Refused {
                        failure: error.into(),
                        loaders,
                    }),
                };
            }
        };
        let verify = if claimed.is_some() || self.checksum.is_some() {
            imgtar::verify::verify_file
        } else {
            imgtar::verify::verify
        };
        let mut result = verify(&archive, &set, context.jobs, &context.progress)?;
        if let Some(claimed) = claimed {
            result.compare_file(claimed);
        }
        let mut report = VerifyArchive::new(&archive, &set, &result, self.strict);
        if self.audit {
            let mut audits = Vec::with_capacity(set.images.len());
            for image in &set.images {
                let audit = Audit::of(image, context.jobs, &context.progress)?;
                audits.push(ImageAudit::new(image, &audit));
            }
            report.audit = Some(audits);
        }
        Ok((report, result.file))
    }

    fn fails_on(&self, report: &VerifyArchive) -> bool {
        let mut audits = report.audit.iter().flatten();
        audits.any(|audit| {
            let found = |kind: &AuditKind| audit.counts.contains_key(kind.name());
            // Files that could not be looked at may hold anything.
            self.fail_on.iter().any(found) || (audit.unread.is_some() && !self.fail_on.is_empty())
        })
    }
}

impl Claims {
    /// The digest that is claimed of an archive: by the name as it is given, else by the last part of
    /// it, where only one line has that.
    fn of(&self, path: &Path) -> Result<&Digest, Failure> {
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
            .hint("give the archive by the name that stands there")),
            (None, _) => Err(Failure::input(format!(
                "{} has no line for {}",
                self.path,
                path.display()
            ))
            .hint("give the archive by the name that stands there")),
        }
    }
}

#[cfg(unix)]
fn bytes_of(name: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
}

#[cfg(not(unix))]
fn bytes_of(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
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

/// An archive that could not be checked, and what engines would say of it.
struct Refused {
    failure: Failure,
    loaders: Option<Loaders>,
}

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self {
            failure: error.into(),
            loaders: None,
        }
    }
}

/// The problem that keeps an image archive from being read at all. A file that is no image archive
/// has no problems, it is an error.
fn damage(archive: &Archive, error: &LoadError) -> Option<Problem> {
    if let Some(fault) = archive.fault() {
        let message = format!(
            "the archive is damaged or cut short behind its member no. {}, and what describes its images is lost: {}",
            archive.members().len(),
            fault.fault
        );
        return Some(Problem::error(Code::ArchiveTruncated, message).at(fault.offset));
    }
    match error {
        LoadError::Description { member, .. } => {
            let mut message =
                format!("no reader can find images in the archive: {member} is invalid");
            for cause in causes(error) {
                message.push_str(": ");
                message.push_str(&cause);
            }
            Some(Problem::error(Code::ManifestInvalid, message).in_member(member.as_bytes()))
        }
        _ => None,
    }
}
