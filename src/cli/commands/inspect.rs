//! `inspect`: all that is known.

use imgtar::Archive;
use imgtar::delta::DeltaFile;
use imgtar::report::{DeltaReport, Inspect, measure_layers};

use super::{Context, Exit, Failure, exit_for};
use crate::cli::advice::word;
use crate::cli::args::{ArchiveArg, ImageArg, JsonArg};
use crate::cli::files::Files;
use crate::cli::output::{Output, stdout_is_terminal};
use crate::cli::render::{self, Page};

/// Show everything an archive says about itself and its images
///
/// Shows what each image is, for which platform, who made it and when, how a container of it runs, and
/// its layers; what else the archive holds (signatures, attestations, platforms that are named but
/// missing); and where the archive's descriptions contradict each other. Does not hash layers; `verify`
/// does that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar inspect app.tar
  imgtar inspect app.tar app:1.2 --json | jq .images[0].config")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    image: ImageArg,
    #[command(flatten)]
    json: JsonArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let input = self.archive.input(context)?;
        if DeltaFile::is_delta(&input)? {
            return self.delta(&Files::delta(input)?, context);
        }
        let loaded = Context::read(Archive::open(input)?)?;
        let nothing_picked = self.image.image().is_none() && self.image.platform.is_none();
        // An archive of artifacts alone is worth a page too.
        let picked = if nothing_picked && loaded.set.images.is_empty() {
            Vec::new()
        } else {
            loaded.pick(&self.image, Some(context.output), context)?
        };
        let (measures, hidden) = measure_layers(&picked, &context.options())?;
        context.hash_members(&loaded.set, &picked)?;
        let report = Inspect::new(&loaded.archive, &loaded.set, &picked, (&measures, &hidden));
        context.warn_of_layers(&picked, &measures);
        if self.json.json {
            // Configs are printed verbatim, except on a terminal, where they could act.
            context.output.answer(|out| {
                if stdout_is_terminal() {
                    render::json(out, &report)
                } else {
                    render::verbatim_json(out, &report)
                }
            })?;
        } else {
            let now = jiff::Timestamp::now();
            let page = Page::new(Output::width(), false);
            context
                .output
                .styled_answer(|out| render::inspect(out, &report, now, page, &context.limits))?;
        }
        Ok(exit_for(&picked))
    }

    /// A delta holds no images, but describes itself.
    fn delta(&self, delta: &DeltaFile, context: &Context) -> Result<Exit, Failure> {
        if self.image.image().is_some() || self.image.platform.is_some() {
            let path = delta.path();
            return Err(
                Failure::usage(format!("{path} is a delta: no image is in it")).hint(format!(
                    "apply it first: imgtar apply OLD {} -o NEW",
                    word(&path)
                )),
            );
        }
        let path = self.archive.path().display().to_string();
        let report = DeltaReport::new(delta.description(), Some(path), delta.size());
        if self.json.json {
            context.output.answer(|out| render::json(out, &report))?;
            return Ok(Exit::Done);
        }
        let page = Page::new(Output::width(), false);
        let limits = &context.limits;
        context
            .output
            .styled_answer(|out| render::delta_page(out, &report, page, limits))?;
        Ok(Exit::Done)
    }
}
