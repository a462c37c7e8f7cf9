//! `dockerfile`: instructions that would build an image, and a build context that does.

use std::path::{Path, PathBuf};

use imgtar::base::escape;
use imgtar::image::Image;
use imgtar::output::{
    BuildContext, ContextTar, LayerParts, WriteError, deletes_of_base, write_context,
};
use imgtar::report::{DockerfileOptions, DockerfileReport, KnownBase, units};
use imgtar::tree::Fates;

use super::{Context, Exit, Failure, Loaded};
use crate::cli::args::{ArchiveArg, JsonArg, OneImageArg};
use crate::cli::compress::Wish;
use crate::cli::destination::Destination;
use crate::cli::error::{hint, note};
use crate::cli::finished::{FinishedOutput, QuietArg};
use crate::cli::output::{is_closed, stdout_is_terminal};
use crate::cli::render;

/// Print a Dockerfile that would build an image
///
/// The history gives the instructions, the config their values, the layers the files of COPY and ADD. Comments say what
/// is a guess and what is lost. --context also writes a build context; with --no-run as well, an engine builds the same
/// files and the same config from it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar dockerfile app.tar
  imgtar dockerfile app.tar app:1.2 --base debian.tar -o Dockerfile
  imgtar dockerfile app.tar --context app-context.tar --no-run
  docker build -t app:again - < app-context.tar

docs/dockerfile.md says what is certain, what is lost and why.")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    #[command(flatten)]
    image: OneImageArg,

    #[command(flatten)]
    json: JsonArg,

    /// Archives that may hold the base image; the image whose layers are the lowest of this one becomes FROM
    #[arg(long, value_name = "ARCHIVE", num_args = 1..)]
    base: Vec<PathBuf>,

    /// Write a build context: the Dockerfile, and a tar of files for each COPY and ADD
    ///
    /// It is compressed if its name says so. The Dockerfile is then not printed, unless -o or --json asks for it.
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,

    /// Copy what each RUN made instead of running it again
    #[arg(long)]
    no_run: bool,

    /// The file to write the Dockerfile to, or - for standard output, the default
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the files if they exist
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    quiet: QuietArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let is_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
        if is_stdout(&self.context) && (is_stdout(&self.output) || self.json.json) {
            return Err(Failure::usage(
                "the build context and the Dockerfile cannot both go to standard output",
            )
            .hint("name a file with --context"));
        }
        let loaded = context.load(&self.archive)?;
        let image = if self.context.is_some() {
            loaded.require_one_description()?;
            loaded.pick_to_write(&self.image, context)?
        } else {
            loaded.pick_to_read(&self.image, context)?
        };
        let bases = self.bases(context)?;
        let base = self.base_of(image, &bases)?;
        let mut text = match &self.output {
            Some(path) => Some(Destination::open(path, self.force, &context.files)?),
            None => None,
        };
        let mut tar = match &self.context {
            Some(path) => Some(Destination::open_tar(
                path,
                self.force,
                Wish::BY_NAME,
                context,
            )?),
            None => None,
        };
        let fates = Fates::merge(image, &context.options())?;
        let base = base.filter(|base| self.is_enough(base, &fates, context));
        let options = DockerfileOptions {
            base: base.as_ref(),
            context: self.context.is_some(),
            no_run: self.no_run,
        };
        let report = DockerfileReport::new(image, &fates, options);
        context.warn_of_image(&loaded, image);
        context.warn_of_tree(fates.tree().warnings());
        if let Some(tar) = &mut tar {
            let written = self.write_context(image, &fates, &report, tar, context);
            match written {
                Ok(_) => {}
                Err(WriteError::Write(error)) if is_closed(&error) => return Ok(Exit::Done),
                Err(error) => return Err(error.into()),
            }
        }
        self.print(&report, text.as_mut(), context)?;
        let text = text.map(Destination::finish).transpose()?.flatten();
        let tar = tar.map(Destination::finish).transpose()?.flatten();
        self.say(&report, text, tar, context);
        Ok(Exit::Done)
    }

    /// Whether files only have to be added to those of the base, if adding is all that is wanted; if not, says so.
    fn is_enough(&self, base: &KnownBase<'_>, fates: &Fates, context: &Context) -> bool {
        if !self.no_run {
            return true;
        }
        let triggers = base
            .image
            .view()
            .is_some_and(|config| !config.run.on_build.is_empty());
        let why = if deletes_of_base(fates, base.image.layers.len()) {
            "the image deletes files of it, which ADD cannot"
        } else if triggers {
            "its ONBUILD instructions would run again"
        } else {
            return true;
        };
        let name = base.reference();
        let name = escape::text(&name);
        note(
            context.output,
            &format!(
                "{name} is not used as FROM: {why}; the Dockerfile begins with `FROM scratch`"
            ),
        );
        false
    }

    fn write_context(
        &self,
        image: &Image,
        fates: &Fates,
        report: &DockerfileReport,
        out: &mut Destination,
        context: &Context,
    ) -> Result<u64, WriteError> {
        let tars = report.tars.iter().map(|tar| ContextTar {
            path: tar.path.clone(),
            layer: tar.layer,
        });
        let parts = BuildContext {
            image,
            fates,
            dockerfile: &report.dockerfile(),
            tars: &tars.collect::<Vec<_>>(),
            parts: if self.no_run {
                LayerParts::Visible
            } else {
                LayerParts::All
            },
        };
        write_context(parts, out, &context.options())
    }

    fn bases(&self, context: &Context) -> Result<Vec<Loaded>, Failure> {
        let all = self.base.iter();
        all.map(|path| Context::read(context.open(path)?)).collect()
    }

    fn base_of<'b>(
        &self,
        image: &Image,
        bases: &'b [Loaded],
    ) -> Result<Option<KnownBase<'b>>, Failure> {
        let candidates = bases.iter().flat_map(|loaded| &loaded.set.images);
        let base = KnownBase::of(image, candidates);
        if base.is_none() && !self.base.is_empty() {
            let name = image.display_name();
            let name = escape::text(&name);
            return Err(Failure::input(format!(
                "{name} was not built from an image of --base: none of them has its lowest layers"
            ))
            .hint("`imgtar layers ARCHIVE` shows the diff IDs; another version of the base has others")
            .hint("without --base the Dockerfile begins with `FROM scratch`"));
        }
        Ok(base)
    }

    /// Prints the Dockerfile, or the report as JSON, where it was asked for.
    fn print(
        &self,
        report: &DockerfileReport,
        file: Option<&mut Destination>,
        context: &Context,
    ) -> Result<(), Failure> {
        let to_file = file.is_some();
        let terminal = !to_file && !self.json.json && stdout_is_terminal();
        let print = |out: &mut dyn std::io::Write| {
            if self.json.json {
                render::json(out, report)
            } else {
                render::dockerfile(out, report, terminal)
            }
        };
        match file {
            Some(file) => match print(file) {
                Ok(()) => Ok(()),
                Err(stop) => context.output.answer(|_| Err(stop)),
            },
            None if self.json.json => context.output.answer(print),
            None if self.context.is_none() => context.output.styled_answer(print),
            None => Ok(()),
        }
    }

    /// What was done, and what to know about it.
    fn say(
        &self,
        report: &DockerfileReport,
        text: Option<FinishedOutput>,
        tar: Option<FinishedOutput>,
        context: &Context,
    ) {
        if report.inexact > 0 {
            let count = units::count(report.inexact, "instruction is", "instructions are");
            note(
                context.output,
                &format!(
                    "{count} not exactly what the image was built with: see `# lossy` in the Dockerfile"
                ),
            );
        }
        let is_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
        if let Some(text) = text.filter(|_| !is_stdout(&self.output)) {
            let steps = units::count(report.instructions.len(), "instruction", "instructions");
            text.say(&[steps], self.quiet, context.output);
        }
        if let Some(tar) = tar {
            if !is_stdout(&self.context) {
                let path = &tar.name;
                let how = format!("build it with `docker build - < {path}`");
                hint(context.output, &how);
            }
            let tars = units::count(report.tars.len(), "tar of a layer", "tars of layers");
            let facts = [format!("a Dockerfile and {tars}")];
            tar.say(&facts, self.quiet, context.output);
        }
    }
}
