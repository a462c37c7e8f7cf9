//! `verify`: every claim held against the bytes.

use std::path::{Path, PathBuf};

use imgtar::archive::Archive;
use imgtar::image::{ImageSet, LoadError};
use imgtar::problem::{Code, Problem};
use imgtar::report::{Verify, VerifyArchive};

use super::{Context, Exit, Failure};
use crate::cli::args::{self, JsonArg};
use crate::cli::error::causes;
use crate::cli::render;

/// Check everything that archives claim
///
/// Every byte is read once: diff IDs, blob digests and sizes, config digests are recomputed; layer
/// counts, histories, manifest.json, index.json and repositories are held against each other. All
/// problems are reported, not only the first. Exits with 1 if anything is not what is claimed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar verify app.tar
  imgtar verify -q *.tar
  docker save app | imgtar verify -")]
pub(crate) struct Args {
    /// The archives: paths, or - for standard input
    #[arg(value_name = "ARCHIVE", required = true)]
    archives: Vec<PathBuf>,

    #[command(flatten)]
    json: JsonArg,

    /// Print only what fails
    #[arg(short, long)]
    quiet: bool,

    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let mut exit = Exit::Done;
        let mut reports = Vec::with_capacity(self.archives.len());
        for path in &self.archives {
            match self.check(path, context) {
                Ok(report) => {
                    if !report.ok {
                        exit = exit.max(Exit::No);
                    }
                    reports.push(report);
                }
                // One archive that cannot be read does not keep the others from being checked.
                Err(failure) => {
                    exit = exit.max(failure.report(context.output));
                    // Said on standard error already; programs want it in their document.
                    if self.json.json {
                        let problem = Problem::error(Code::ArchiveUnreadable, failure.to_string());
                        let path = path.display().to_string();
                        reports.push(VerifyArchive::unreadable(&path, &problem));
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
        Ok(exit)
    }

    fn check(&self, path: &Path, context: &Context) -> Result<VerifyArchive, Failure> {
        let archive = args::open(path, context.limits, &context.progress)?;
        let set = match ImageSet::load(&archive) {
            Ok(set) => set,
            Err(error) => {
                return match damage(&archive, &error) {
                    Some(problem) => Ok(VerifyArchive::unreadable(archive.path(), &problem)),
                    None => Err(error.into()),
                };
            }
        };
        let result = imgtar::verify::verify(&archive, &set, context.jobs, &context.progress)?;
        Ok(VerifyArchive::new(&archive, &set, &result, self.strict))
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
