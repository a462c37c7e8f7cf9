//! `inspect`: all that is known.

use imgtar::report::Inspect;

use super::{Context, Exit, Failure, exit_for};
use crate::cli::args::{ArchiveArg, ImageArg, JsonArg};
use crate::cli::output::{Output, stdout_is_terminal};
use crate::cli::render;

/// Show all that is known about an archive and its images
///
/// What it is, for which platform, who made it and when, how a container of it runs, its layers; what
/// else the archive holds (signatures, attestations, platforms that are named but absent); and where
/// its own descriptions disagree. Layers are not hashed, `verify` does that.
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
        let loaded = context.load(&self.archive)?;
        let nothing_picked = self.image.image.is_none() && self.image.platform.is_none();
        // An archive of artifacts alone is worth a page too.
        let picked = if nothing_picked && loaded.set.images.is_empty() {
            Vec::new()
        } else {
            loaded.pick(&self.image, Some(context.output))?
        };
        let measures = context.measure(&picked)?;
        let report = Inspect::new(&loaded.archive, &loaded.set, &picked, &measures);
        let answer = if self.json.json {
            // Configs are printed verbatim, save on a terminal, where they could act.
            if stdout_is_terminal() {
                render::json(&report)
            } else {
                render::verbatim_json(&report)
            }
        } else {
            let configs: Vec<_> = picked.iter().map(|image| image.view()).collect();
            render::inspect(&report, &configs, jiff::Timestamp::now(), Output::width())
        };
        context.warn_of_layers(&picked, &measures);
        context.output.answer(&answer)?;
        Ok(exit_for(&picked))
    }
}
