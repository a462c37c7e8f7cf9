//! `apply`: the new archive again, from old ones and a delta.

use std::path::PathBuf;
use std::str::FromStr as _;

use imgtar::base::digest::Digest;
use imgtar::base::progress::steps;
use imgtar::delta::{self, DeltaDescription, DeltaError, DeltaFile};
use imgtar::source::Input;

use super::delta::{opened, require_output, split};
use super::{Context, Exit, Failure};
use crate::cli::advice::word;
use crate::cli::delta_note::new_name;
use crate::cli::destination::{Destination, OutputArg};
use crate::cli::error::note;
use crate::cli::files::{Files, both_from_stdin};
use crate::cli::output::is_closed;

/// Make a new archive from old ones and a delta
///
/// Makes the archive that `imgtar delta OLD NEW -o FILE` was given as NEW, byte for byte. OLD are the archives that the
/// delta was made from, in any order; each may have been saved again, in another layout or with another compression,
/// since what counts is what its layers hold. A delta that needs no old archive is applied alone.
///
/// Everything that the delta needs is looked for, and its digests verified, before anything is written. The digest of
/// what was written is verified before the output gets its name. The digest in a delta shows damage, not who made the
/// delta: --expect compares it with one that you got in another way.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "imgtar apply [OPTIONS] [OLD]... <FILE> --output <NEW>",
    after_help = "Examples:
  imgtar apply app-1.0.tar update.delta -o app-1.1.tar
  imgtar apply app-1.0.tar update.delta | docker load
  ssh build cat update.delta | imgtar apply app-1.0.tar - -o app-1.1.tar"
)]
pub(crate) struct Args {
    /// The archives that the delta was made from, and last the delta, FILE: paths, or - for standard input
    #[arg(value_name = "OLD", required = true)]
    files: Vec<PathBuf>,

    /// Refuse a delta that makes a file with another SHA-256 than this one
    #[arg(long, value_name = "SHA256", value_parser = sha256)]
    expect: Option<Digest>,

    #[command(flatten)]
    output: OutputArg,
}

/// A SHA-256, with or without the name of the algorithm.
fn sha256(text: &str) -> Result<Digest, String> {
    let digest = match text.split_once(':') {
        Some(("sha256", _)) => Digest::from_str(text).ok(),
        Some(_) => None,
        None => Digest::from_sha256_hex(&text.to_ascii_lowercase()).ok(),
    };
    digest.ok_or_else(|| "expected 64 hexadecimal digits, such as `sha256sum` prints".to_owned())
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
        if self.files.iter().filter(is_stdin).count() > 1 {
            return Err(both_from_stdin("OLD", "FILE"));
        }
        require_output(&self.files, &self.output, "apply")?;
        let inputs = opened(&self.files, context)?;
        self.require_order(&inputs)?;
        let (old, last) = split(inputs)?;
        let delta = Files::delta(last)?;
        self.require_expected(&delta)?;
        let mut destination = self.output.open_as_is(context)?;
        require_room(
            &destination,
            delta.description().new.size,
            &self.output.shown(),
        )?;
        let steps = [steps::HASHING, steps::DECOMPRESSING, steps::WRITING];
        context.progress.plan(&steps);
        match delta::apply(&old, &delta, &mut destination, &context.options()) {
            Ok(()) => {}
            Err(DeltaError::Write(error)) if is_closed(&error) => return Ok(Exit::Done),
            Err(error) => return Err(error.into()),
        }
        let Some(placed) = destination.finish()? else {
            return Ok(Exit::Done);
        };
        let description = delta.description();
        if !self.output.quiet().is_given() && !placed.is_stdout {
            say_converted(description, context);
        }
        let facts = [
            description.new.sha256.to_string(),
            "byte for byte what the delta describes".to_owned(),
        ];
        placed.say(&facts, self.output.quiet(), context.output);
        Ok(Exit::Done)
    }

    /// The delta is last, and the only one.
    fn require_order(&self, inputs: &[Input]) -> Result<(), Failure> {
        let is_delta: Vec<bool> = inputs
            .iter()
            .map(DeltaFile::is_delta)
            .collect::<Result<_, _>>()?;
        let shown = |at: usize| self.files[at].display().to_string();
        let deltas: Vec<usize> = (0..inputs.len()).filter(|at| is_delta[*at]).collect();
        let last = inputs.len().saturating_sub(1);
        match deltas[..] {
            // A single file that is not a delta is reported by the library.
            [] => Ok(()),
            [at] if at == last => Ok(()),
            [at] => {
                let others = (0..inputs.len()).filter(|it| *it != at);
                let others: Vec<String> = others.map(|it| word(&shown(it))).collect();
                let line = format!("{} {}", others.join(" "), word(&shown(at)));
                let new = if self.output.is_stdout() {
                    "NEW".to_owned()
                } else {
                    word(&self.output.shown())
                };
                Err(
                    Failure::usage(format!("{} is not a delta, but {} is", shown(last), shown(at)))
                        .hint(format!("the delta comes last: imgtar apply {line} -o {new}")),
                )
            }
            [first, second, ..] => Err(Failure::usage(format!(
                "{} and {} are both deltas, and one is applied at a time",
                shown(first),
                shown(second)
            ))
            .hint(format!(
                "apply one after the other: imgtar apply OLD {} -o NEXT && imgtar apply NEXT {} -o NEW",
                word(&shown(first)),
                word(&shown(second))
            ))),
        }
    }

    fn require_expected(&self, delta: &DeltaFile) -> Result<(), Failure> {
        let made = &delta.description().new.sha256;
        match &self.expect {
            Some(expected) if expected != made => Err(Failure::input(format!(
                "{} makes {}, {made}, and not {expected}",
                delta.path(),
                new_name(delta.description())
            ))
            .hint("--expect names another file than the delta makes: get the delta that belongs to it")),
            _ => Ok(()),
        }
    }
}

/// Says what is not as it was in the file that the delta was made for.
fn say_converted(description: &DeltaDescription, context: &Context) {
    if let Some(given) = &description.new.converted {
        let name = new_name(description);
        note(
            context.output,
            &format!(
                "this is {name} with uncompressed layers, as --exact diff-id asked for: image IDs are those of {name} ({}), digests of manifests are not",
                given.sha256
            ),
        );
    }
}

/// Refuses to begin what cannot end well: there is no room for the output.
#[cfg(target_os = "linux")]
fn require_room(destination: &Destination, size: u64, path: &str) -> Result<(), Failure> {
    use imgtar::report::units;
    let Some(file) = destination.file() else {
        return Ok(());
    };
    // Where the system does not say, writing will show it.
    let Ok(disk) = rustix::fs::fstatvfs(file) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= size {
        return Ok(());
    }
    let (size, free) = (units::size_spaced(size), units::size_spaced(free));
    let cause = std::io::Error::other(format!("{size} are needed there, and {free} are free"));
    Err(
        Failure::environment(format!("there is no room for {path}"), &cause)
            .hint("free some space, or name a file on another disk with -o"),
    )
}

/// Free space is not looked at on this system.
#[cfg(not(target_os = "linux"))]
fn require_room(_: &Destination, _: u64, _: &str) -> Result<(), Failure> {
    Ok(())
}
