//! `report`: all that is known of an archive, as one page.

use std::io::{BufWriter, Write};
use std::path::Path;

use imgtar::base::escape;
use imgtar::check::{examine, verify_damaged};
use imgtar::layer::Measures;
use imgtar::report::{ArchiveReport, VerifyArchive};
use imgtar::{Image, ImageSet};

use super::{Context, Exit, Failure, say_platform};
use crate::cli::args::{ArchiveArg, ImageArg, JsonArg};
use crate::cli::compress::Wish;
use crate::cli::destination::{Destination, OutputArg};
use crate::cli::error::hint;
use crate::cli::finished::FinishedOutput;
use crate::cli::output::{Stop, is_closed};
use crate::cli::{html, render};

/// How much is gathered before it is written, in bytes.
const BUFFER: usize = 64 << 10;

/// Write everything known about an archive as one HTML page
///
/// Shows what the images are, whether every claim is true and which engines load the archive, the layers and what they
/// hide, a map of the files, waste, build steps, what to know before running the images, and problems. The page is one
/// file without scripts that needs no network and can be read on a phone or printed. Secrets are masked. For a damaged
/// archive, the page says what is wrong with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar report app.tar -o app.html
  imgtar report all.tar app:1.2 -o app.html
  docker save app | imgtar report - -o app.html
  imgtar report app.tar --json > app.json

docs/report.md says what is on the page.")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    #[command(flatten)]
    image: ImageArg,

    #[command(flatten)]
    json: JsonArg,

    #[command(flatten)]
    output: OutputArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        self.require_no_file_name()?;
        // How many steps there are depends on what is found.
        context.progress.plan(&[]);
        let archive = self.archive.open_damaged(context)?;
        // Before work is done that it could make useless.
        let destination = self.open(context)?;
        let set = match archive.images() {
            Ok(set) => set,
            Err(error) => {
                let damaged = verify_damaged(&archive, &error, false, &context.progress)?;
                let Some(damaged) = damaged else {
                    return Err(error.into());
                };
                let (problems, loaders) = (&damaged.problems, Some(&damaged.loaders));
                let verify = VerifyArchive::unreadable(archive.path(), problems, loaders);
                return self.write(&ArchiveReport::unreadable(verify), destination, context);
            }
        };
        let picked = self.pick(&set, context)?;
        let options = context.options();
        let examination = examine(&archive, &set, &picked, &options)?;
        let layers = &examination.layers;
        let measures = Measures::take_opened(
            picked.iter().copied(),
            |layer| layers.of(layer),
            options.jobs,
            options.progress,
        )?;
        let report = ArchiveReport::new(&archive, &set, &picked, &examination, &measures, options);
        self.write(&report, destination, context)
    }

    /// The output stands where the image is expected: a slip that would be told as an image that is not there.
    fn require_no_file_name(&self) -> Result<(), Failure> {
        let name = self.image.image().map(ToString::to_string);
        let is_page = |name: &&String| {
            let extension = Path::new(name.as_str()).extension();
            extension
                .is_some_and(|it| it.eq_ignore_ascii_case("html") || it.eq_ignore_ascii_case("htm"))
        };
        match name.as_ref().filter(is_page) {
            Some(name) => Err(
                Failure::usage(format!("{name} is in the place of an image's name"))
                    .hint(format!("write the page to it with -o {name}")),
            ),
            None => Ok(()),
        }
    }

    fn open(&self, context: &Context) -> Result<Destination, Failure> {
        if self.json.json && self.output.is_stdout() {
            return Destination::open(Path::new("-"), false, &context.files);
        }
        self.output.open(Wish::BY_NAME, context)
    }

    /// The images that were asked for, all of them if none was: a page of an archive without images says so.
    fn pick<'s>(&self, set: &'s ImageSet, context: &Context) -> Result<Vec<&'s Image>, Failure> {
        let (selector, platform) = (self.image.image(), self.image.platform.as_ref());
        if selector.is_none() && platform.is_none() {
            return Ok(set.images.iter().collect());
        }
        if selector.is_some_and(|selector| set.is_asked_for_id(selector)) {
            let images: Vec<&Image> = set.images.iter().collect();
            context.hash_members(set, &images)?;
        }
        let picked = set.pick(selector, platform)?;
        if let [image] = picked.images[..] {
            say_platform(context.output, image, &picked.by_host_from);
        }
        Ok(picked.images)
    }

    fn write(
        &self,
        report: &ArchiveReport<'_>,
        mut destination: Destination,
        context: &Context,
    ) -> Result<Exit, Failure> {
        let mut out = BufWriter::with_capacity(BUFFER, &mut destination);
        let written = if self.json.json {
            render::json(&mut out, report)
        } else {
            html::page(&mut out, report)
        };
        let written = written.and_then(|()| Ok(out.flush()?));
        drop(out.into_parts());
        match written {
            Ok(()) => {}
            // The reader has closed the pipe.
            Err(Stop::Write(error)) if is_closed(&error) => return Ok(Exit::Done),
            Err(stop) => return context.output.answer(|_| Err(stop)).map(|()| Exit::Done),
        }
        if let Some(error) = report.take_failure() {
            return Err(error.into());
        }
        let placed = destination.finish()?;
        if let Some(placed) = placed.filter(|_| !self.json.json) {
            self.say(report, &placed, context);
        }
        Ok(Exit::Done)
    }

    /// What was written, and how to look at it.
    fn say(&self, report: &ArchiveReport<'_>, placed: &FinishedOutput, context: &Context) {
        if !self.output.is_stdout() && !self.output.quiet().is_given() {
            hint(
                context.output,
                "open the page in a browser; it needs no network",
            );
        }
        let facts = [format!(
            "about {}: {}",
            escape::text(&report.verify.path),
            escape::text(&report.verify.summary)
        )];
        placed.say(&facts, self.output.quiet(), context.output);
    }
}
