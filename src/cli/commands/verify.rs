//! `verify`: every claim checked against the bytes.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use imgtar::Contents;
use imgtar::base::digest::Digest;
use imgtar::base::escape;
use imgtar::check::audit::AuditKind;
use imgtar::check::{
    LoaderTarget, Loaders, unreadable, verify_and_audit, verify_damaged, verify_delta, verify_file,
};
use imgtar::delta::DeltaFile;
use imgtar::report::{Demands, ImageAudit, Verify, VerifyArchive};
use imgtar::source::Input;

use super::{Context, Exit, Failure};
use crate::cli::args::JsonArg;
use crate::cli::checksum_file::{ChecksumClaims, Transfer};
use crate::cli::error::warn;
use crate::cli::output::Output;
use crate::cli::render::{self, Page};

/// Check everything that archives claim
///
/// Reads every byte once. Recomputes diff IDs, blob digests, sizes and config digests; compares layer
/// counts, histories, manifest.json, index.json and repositories with each other; checks names, links
/// and whiteouts inside the layers; and predicts whether Docker, ctr, podman and skopeo would load
/// the archive. Reports all problems, not only the first. Exits with 1 if anything is not what the archive
/// claims. `docs/verify.md` explains every problem.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar verify app.tar
  imgtar verify -q *.tar
  docker save app | imgtar verify -
  imgtar verify app.tar --checksum app.tar.sha256
  imgtar verify --check app.tar.sha256
  imgtar verify app.tar --loads docker,containerd,podman
  imgtar verify app.tar --audit --fail-on secret,setuid")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Args {
    /// The archives: paths, or - for standard input
    #[arg(value_name = "ARCHIVE", required_unless_present = "check")]
    archives: Vec<PathBuf>,

    #[command(flatten)]
    json: JsonArg,

    /// Print only what fails
    #[arg(short, long)]
    quiet: bool,

    /// Print whole digests, members, and every finding by itself
    #[arg(long)]
    no_trunc: bool,

    /// Count warnings as errors
    #[arg(long)]
    strict: bool,

    /// Exit with 1 if one of these engines does not load an archive
    ///
    /// docker is docker-classic (Docker's own store, overlay2) and docker-containerd (the containerd store, the default
    /// of Docker 29); ctr, also called containerd, is `ctr images import`, kind is the same with --all-platforms. All
    /// known versions count.
    #[arg(
        long,
        value_name = "ENGINES",
        value_delimiter = ',',
        value_parser = engines()
    )]
    loads: Vec<&'static str>,

    #[command(flatten)]
    transfer: Transfer,

    /// Also report what to know before running the images
    ///
    /// Reports setuid and setgid files, capabilities, devices, world-writable files, names with control
    /// characters, what looks like a secret in the files of all layers, in environment, labels and history,
    /// and the user. This does not change the exit code, unless --fail-on names what was found.
    #[arg(long)]
    audit: bool,

    /// Exit with 1 if the audit finds anything of these kinds
    #[arg(
        long,
        value_name = "KINDS",
        value_delimiter = ',',
        value_parser = kinds(),
        requires = "audit"
    )]
    fail_on: Vec<AuditKind>,
}

/// The engines by their names.
fn engines() -> impl TypedValueParser<Value = &'static str> {
    PossibleValuesParser::new(LoaderTarget::NAMES).map(|name| {
        let known = LoaderTarget::NAMES.into_iter().find(|known| *known == name);
        // clap has refused every other name.
        known.unwrap_or(LoaderTarget::NAMES[0])
    })
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

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let claims = self.transfer.claims(&self.archives, &context.files)?;
        let named = claims.as_ref().map(ChecksumClaims::paths);
        let archives = match &named {
            Some(named) if self.archives.is_empty() => named,
            _ => &self.archives,
        };
        // All of them before the first is read, which may take long.
        for path in archives {
            context.files.reads(path)?;
        }
        let mut sums = self.transfer.sums(&context.files)?;
        let mut exit = Exit::Done;
        let mut reports = Vec::with_capacity(archives.len());
        let mut unopened = 0;
        for path in archives {
            match self.check(path, claims.as_ref(), context) {
                Ok((report, digest)) => {
                    if !report.ok {
                        exit = exit.max(Exit::No);
                    }
                    if let (Some(sums), Some(digest)) = (&mut sums, digest) {
                        sums.add(path, digest);
                    }
                    reports.push(report);
                }
                // One archive that cannot be read does not keep the others from being checked.
                Err(refused) => {
                    let Refused { failure, loaders } = *refused;
                    exit = exit.max(failure.report(context.output));
                    // Standard error has it already; programs need it in their document.
                    if self.json.json {
                        let problem = unreadable(&failure.to_string());
                        let path = escape::path(path);
                        let loaders = loaders.as_ref();
                        reports.push(VerifyArchive::unreadable(&path, &[problem], loaders));
                    } else {
                        unopened += 1;
                    }
                }
            }
        }
        if !reports.is_empty() {
            let report = Verify::new(reports, unopened);
            if self.json.json {
                context.output.answer(|out| render::json(out, &report))?;
            } else {
                let limits = &context.limits;
                let several = archives.len() > 1;
                let page = Page::new(Output::width(), self.no_trunc);
                context.output.styled_answer(|out| {
                    render::verify(out, &report, several, self.quiet, page, limits)
                })?;
            }
        }
        match sums {
            Some(sums) if exit == Exit::Done => sums.finish()?,
            Some(sums) => {
                let path = sums.path().display();
                let message =
                    format!("{path} is not written, because not every archive is in order");
                warn(context.output, &message);
            }
            None => {}
        }
        Ok(exit)
    }

    fn check(
        &self,
        path: &Path,
        claims: Option<&ChecksumClaims>,
        context: &Context,
    ) -> Result<(VerifyArchive, Option<Digest>), Box<Refused>> {
        let input = context.files.any_archive(path, &context.options())?;
        if let Ok(input) = &input
            && DeltaFile::is_delta(input)?
        {
            return self.delta(path, input, claims, context);
        }
        let opened = input.map_err(Into::into);
        let opened = opened.and_then(|input| Ok(Contents::index(input)?));
        let archive = opened.map_err(|error: imgtar::Error| {
            let loaders = match &error {
                imgtar::Error::Archive(error) => Loaders::of_unopened(error),
                imgtar::Error::Source(error) => Loaders::of_unread(error),
                _ => None,
            };
            Box::new(Refused {
                failure: error.into(),
                loaders,
            })
        })?;
        let claimed = claims.map(|claims| claims.of(path)).transpose()?;
        let set = match archive.images() {
            Ok(set) => set,
            Err(error) => {
                let file = self.transfer.wants_digests();
                let damaged = verify_damaged(&archive, &error, file, &context.progress)?;
                let Some(mut damaged) = damaged else {
                    return Err(Box::new(Refused {
                        loaders: Some(Loaders::of_unreadable(&archive, &error)),
                        failure: error.into(),
                    }));
                };
                if let Some(claimed) = claimed {
                    damaged.compare_file(claimed);
                }
                let (problems, loaders) = (&damaged.problems, Some(&damaged.loaders));
                let mut report = VerifyArchive::unreadable(archive.path(), problems, loaders);
                report.sha256 = damaged.file.map(|digest| digest.to_string());
                return Ok((report, None));
            }
        };
        let (jobs, progress) = (context.jobs, &context.progress);
        let file = self.transfer.wants_digests();
        let (mut result, audits) = if self.audit {
            let (result, audits) = verify_and_audit(&archive, &set, file, jobs, progress)?;
            let audits = set.images.iter().zip(&audits);
            let audits = audits.map(|(image, audit)| ImageAudit::new(image, audit));
            (result, Some(audits.collect()))
        } else if file {
            (verify_file(&archive, &set, jobs, progress)?, None)
        } else {
            (imgtar::check::verify(&archive, &set, jobs, progress)?, None)
        };
        if let Some(claimed) = claimed {
            result.compare_file(claimed);
        }
        let demands = Demands {
            strict: self.strict,
            fail_on: self.fail_on.clone(),
            loads: self.loads.clone(),
        };
        let report = VerifyArchive::new(&archive, &set, &result, audits, &demands);
        Ok((report, result.file))
    }
}

impl Args {
    /// Checks a delta, which is not an archive but has claims of its own.
    fn delta(
        &self,
        path: &Path,
        input: &Input,
        claims: Option<&ChecksumClaims>,
        context: &Context,
    ) -> Result<(VerifyArchive, Option<Digest>), Box<Refused>> {
        let shown = escape::path(path);
        let asked = [("--audit", self.audit), ("--loads", !self.loads.is_empty())];
        for (option, _) in asked.iter().filter(|(_, is_given)| *is_given) {
            let message = format!("{shown} is a delta: {option} is for what it makes");
            warn(context.output, &message);
        }
        let claimed = claims.map(|claims| claims.of(path)).transpose()?;
        let file = self.transfer.wants_digests();
        let mut result = verify_delta(input, file, &context.options())?;
        if let Some(claimed) = claimed {
            result.compare_file(claimed);
        }
        let demands = Demands {
            strict: self.strict,
            ..Demands::default()
        };
        let report = VerifyArchive::of_delta(&shown, &result, &demands);
        Ok((report, result.file))
    }
}

/// An archive that could not be checked, and what engines would say of it.
struct Refused {
    failure: Failure,
    loaders: Option<Loaders>,
}

impl<E: Into<Failure>> From<E> for Box<Refused> {
    fn from(error: E) -> Self {
        Self::new(Refused {
            failure: error.into(),
            loaders: None,
        })
    }
}
