//! `delta`: what old archives lack of a new one.

use std::io;
use std::path::{Path, PathBuf};

use imgtar::base::escape;
use imgtar::base::progress::steps;
use imgtar::delta::{Delta, DeltaDescription, DeltaError, DeltaFile, How, MakeOptions, PartFacts};
use imgtar::output::{
    ArchiveGraph, ArchiveLayout, ArchiveOptions, LayerCompression, ThinError, measure_graph,
};
use imgtar::report::{DeltaCosts, DeltaReport};
use imgtar::source::Input;
use imgtar::{Archive, Image};

use super::delta_exact::{Exact, uncompressed};
use super::{Context, Exit, Failure, Loaded};
use crate::cli::advice::word;
use crate::cli::delta_note::{self, Names};
use crate::cli::destination::OutputArg;
use crate::cli::error::{hint, warn};
use crate::cli::files::both_from_stdin;
use crate::cli::output::{Output, is_closed};
use crate::cli::render::{self, Page};

/// Write what old archives lack of a new one
///
/// The receiver has OLD and needs NEW. The delta holds the difference, file by file: files that an old archive has
/// anywhere are left out, changed files are stored as the difference from old ones. `imgtar apply OLD FILE -o NEW` then
/// makes NEW again, byte for byte.
///
/// OLD and NEW are archives of any layout, compressed or not, or tars of root file systems. The receiver's OLD may
/// have been saved again, in another layout or with another compression: what counts is what its layers hold.
///
/// A layer that is compressed takes part if imgtar can repeat its compression; otherwise it travels whole, and imgtar
/// says so.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "imgtar delta [OPTIONS] <OLD>... <NEW> --output <FILE>",
    after_help = "Examples:
  imgtar delta app-1.0.tar app-1.1.tar -o update.delta
  imgtar delta app-1.0.tar tools.tar app-1.1.tar -o update.delta --best
  docker save app:1.1 | imgtar delta app-1.0.tar - -o update.delta
  imgtar apply app-1.0.tar update.delta -o app-1.1.tar"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Args {
    /// The archives that the receiver has, and last the one that it needs, NEW: paths, or - for standard input
    #[arg(value_name = "OLD", required = true)]
    files: Vec<PathBuf>,

    /// Make a delta that needs no old archive: NEW, compressed
    #[arg(long)]
    no_old: bool,

    /// Search longer for a smaller delta
    #[arg(long)]
    best: bool,

    /// Print what would travel, and what other ways would cost, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// With --dry-run, print one JSON document instead of text
    #[arg(long, requires = "dry_run")]
    json: bool,

    /// What is the same about NEW and what `apply` makes of the delta
    ///
    /// With diff-id, layers that travel whole because their compression cannot be repeated cost no more than others.
    /// Image IDs stay the same, so Docker's classic store and podman see the same image. Digests of manifests change,
    /// and with them the image ID in a containerd store; pinned digests and signatures no longer match.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Exact::Bytes)]
    exact: Exact,

    #[command(flatten)]
    output: OutputArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (old, new) = self.sides()?;
        require_output(&self.files, &self.output, "delta")?;
        let inputs = opened(&self.files, context)?;
        self.refuse_deltas(&inputs)?;
        let (old_inputs, new_input) = split(inputs)?;
        if self.dry_run {
            return self.tell(old, &new_input, &old_inputs, context);
        }
        let mut destination = self.output.open_as_is(context)?;
        let delta = self.make(&old_inputs, &new_input, context)?;
        let description = delta.description().clone();
        match delta.write(&mut destination) {
            Ok(_) => {}
            Err(DeltaError::Write(error)) if is_closed(&error) => return Ok(Exit::Done),
            Err(error) => return Err(error.into()),
        }
        let Some(placed) = destination.finish()? else {
            return Ok(Exit::Done);
        };
        let names = Names::of(old);
        say(&description, &names, context);
        if !self.output.quiet().is_given() && !placed.is_stdout {
            let apply = apply_line(old, &description, &self.output.shown(), new);
            hint(context.output, &format!("to make NEW again: {apply}"));
        }
        let facts = delta_note::facts(&description, &names, placed.bytes);
        placed.say(&facts, self.output.quiet(), context.output);
        Ok(Exit::Done)
    }

    /// Makes the delta of NEW as it is, or with its layers uncompressed.
    fn make(&self, old: &[Input], new: &Input, context: &Context) -> Result<Delta, Failure> {
        let how = MakeOptions { best: self.best };
        let converted = match self.exact {
            Exact::Bytes => None,
            Exact::DiffId => uncompressed(new, context)?,
        };
        plan(context);
        let options = context.options();
        Ok(match converted {
            None => Delta::make(old, new, how, &options)?,
            Some(converted) => Delta::make(old, &converted, how, &options)?.converted_from(new)?,
        })
    }

    /// Makes the delta, and says what it would be.
    fn tell(
        &self,
        old: &[PathBuf],
        new_input: &Input,
        old_inputs: &[Input],
        context: &Context,
    ) -> Result<Exit, Failure> {
        let delta = self.make(old_inputs, new_input, context)?;
        let description = delta.description().clone();
        let size = delta.write(&mut io::sink())?;
        let (thin, no_thin) = match thin_size(new_input, old_inputs, context)? {
            Ok(size) => (Some(size), None),
            Err(why) => (None, Some(why)),
        };
        let report = DeltaReport::new(&description, None, size).with_costs(DeltaCosts {
            whole: new_input.stored_size(),
            delta: size,
            thin,
            no_thin,
        });
        if self.json {
            context.output.answer(|out| render::json(out, &report))?;
            return Ok(Exit::Done);
        }
        say(&description, &Names::of(old), context);
        let page = Page::new(Output::width(), false);
        let limits = &context.limits;
        context
            .output
            .styled_answer(|out| render::delta_plan(out, &report, page, limits))?;
        Ok(Exit::Done)
    }

    /// OLD and NEW.
    fn sides(&self) -> Result<(&[PathBuf], &Path), Failure> {
        let (old, new) = match &self.files[..] {
            [old @ .., new] => (old, new.as_path()),
            // clap wants at least one.
            [] => (&[][..], Path::new("-")),
        };
        let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
        if self.files.iter().filter(is_stdin).count() > 1 {
            return Err(both_from_stdin("OLD", "NEW"));
        }
        if old.is_empty() && !self.no_old {
            let shown = word(&new.display().to_string());
            return Err(Failure::usage(
                "a delta is the difference between two archives, and only one was named",
            )
            .hint(format!(
                "name what the receiver has first, as in: imgtar delta OLD {shown} -o FILE"
            ))
            .hint("--no-old makes a delta that needs no old archive, as large as NEW compressed"));
        }
        if let (Some(first), true) = (old.first(), self.no_old) {
            return Err(Failure::usage(format!(
                "--no-old makes a delta that needs no old archive, but {} was named",
                first.display()
            ))
            .hint("leave out --no-old, or name NEW alone"));
        }
        Ok((old, new))
    }

    /// A delta describes another file: what that holds is not in it.
    fn refuse_deltas(&self, inputs: &[Input]) -> Result<(), Failure> {
        for (input, path) in inputs.iter().zip(&self.files) {
            if DeltaFile::is_delta(input)? {
                let shown = path.display().to_string();
                return Err(
                    Failure::usage(format!("{shown} is a delta itself")).hint(format!(
                        "apply it first, and name what that makes: imgtar apply OLD {} -o NEW",
                        word(&shown)
                    )),
                );
            }
        }
        Ok(())
    }
}

/// Says what a person may not expect.
fn say(description: &DeltaDescription, names: &Names, context: &Context) {
    for idle in names.idle(description) {
        let idle = escape::text(idle);
        warn(
            context.output,
            &format!("{idle} has nothing that NEW needs"),
        );
    }
    delta_note::say_whole(description, context.output);
    let could_be_less = |part: &PartFacts| matches!(part.how, How::Whole | How::Dearer);
    let new = &description.new;
    if description.parts.iter().any(could_be_less)
        && new.converted.is_none()
        && !new.images.is_empty()
    {
        hint(
            context.output,
            "--exact diff-id may make a smaller delta: image IDs stay the same, but not every byte of NEW",
        );
    }
}

/// How large NEW would be as a thin archive on top of OLD, as `imgtar thin --dry-run` computes it; or why there is none.
fn thin_size(
    new: &Input,
    old: &[Input],
    context: &Context,
) -> Result<Result<u64, String>, Failure> {
    let read = |input: &Input| -> Option<Loaded> {
        let archive = Archive::open(input.clone()).ok()?;
        let loaded = Context::read(archive).ok()?;
        (!loaded.set.images.is_empty()).then_some(loaded)
    };
    let Some(new) = read(new) else {
        return Ok(Err("NEW is not an image archive".to_owned()));
    };
    let bases: Vec<Loaded> = old.iter().filter_map(read).collect();
    if bases.is_empty() {
        return Ok(Err("there is no old image archive".to_owned()));
    }
    for loaded in bases.iter().chain([&new]) {
        let all: Vec<&Image> = loaded.set.images.iter().collect();
        context.upgrade(&loaded.set, &all)?;
    }
    let (graph, _) = ArchiveGraph::of(&new.archive, &new.set)?;
    let held = bases.iter().map(|base| (base.archive.path(), &base.set));
    let held: Vec<_> = held.collect();
    let graph = match graph.thin(&held, context.jobs, &context.progress) {
        Ok((graph, _)) => graph,
        Err(ThinError::NothingShared { .. }) => {
            return Ok(Err(
                "the old archives hold none of the layers in their places".to_owned(),
            ));
        }
        Err(ThinError::Base(error)) => return Ok(Err(error.to_string())),
    };
    let options = ArchiveOptions {
        layout: ArchiveLayout::of(new.set.layout),
        verify: false,
        compress: LayerCompression::Keep,
        jobs: context.jobs,
    };
    Ok(Ok(measure_graph(&graph, options, &context.progress)?.bytes))
}

/// Refuses a last file that is not there, where the output was hardly meant to be standard output.
pub(super) fn require_output(
    files: &[PathBuf],
    output: &OutputArg,
    command: &str,
) -> Result<(), Failure> {
    let Some((last, others)) = files.split_last() else {
        return Ok(());
    };
    if others.is_empty() || !output.is_stdout() || last.as_os_str() == "-" || last.exists() {
        return Ok(());
    }
    let others: Vec<String> = others
        .iter()
        .map(|path| word(&path.display().to_string()))
        .collect();
    let last = last.display().to_string();
    Err(
        Failure::usage(format!("there is no file {last}")).hint(format!(
            "if it is the output, it is named with -o: imgtar {command} {} -o {}",
            others.join(" "),
            word(&last)
        )),
    )
}

/// Opens what is compared; a pipe is kept in a temporary file.
pub(super) fn opened(paths: &[PathBuf], context: &Context) -> Result<Vec<Input>, Failure> {
    let options = context.options();
    // All of them before the first is read, which may take long.
    for path in paths {
        context.files.reads(path)?;
    }
    let open = |path: &PathBuf| -> Result<Input, Failure> {
        let input = context.files.input(path, "an archive", &options)?;
        Ok(input.map_err(imgtar::Error::from)?)
    };
    paths.iter().map(open).collect()
}

/// The inputs before the last one, and that.
pub(super) fn split(mut inputs: Vec<Input>) -> Result<(Vec<Input>, Input), Failure> {
    let last = inputs.pop();
    let last = last.ok_or_else(|| Failure::usage("no file is named").hint("name at least one"))?;
    Ok((inputs, last))
}

fn plan(context: &Context) {
    let steps = [
        steps::DECOMPRESSING,
        steps::COMPARING,
        steps::HASHING,
        steps::WRITING,
    ];
    context.progress.plan(&steps);
}

/// The command that makes NEW of the delta.
fn apply_line(old: &[PathBuf], description: &DeltaDescription, delta: &str, new: &Path) -> String {
    let mut line = "imgtar apply".to_owned();
    if !description.sources.is_empty() {
        for path in old {
            line = format!("{line} {}", argument(&path.display().to_string(), "OLD"));
        }
    }
    // The receiver has no such file yet, and the sender has it already.
    let new = new.file_name().unwrap_or(new.as_os_str());
    let new = argument(&new.to_string_lossy(), "NEW");
    format!("{line} {} -o {new}", word(delta))
}

/// A path as a word for a shell; standard input has no name.
fn argument(path: &str, standard: &str) -> String {
    if path == "-" {
        return standard.to_owned();
    }
    word(path)
}
