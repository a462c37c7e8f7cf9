//! `waste`: bytes that are stored and never seen.

use std::path::PathBuf;

use imgtar::report::{WasteReport, WasteRule, units};

use super::{Context, Exit, Failure};
use crate::cli::args::{ArchiveArg, JsonArg, OneImageArg};
use crate::cli::error::hint;
use crate::cli::{dive_ci, render};

/// Show the bytes that an image stores but never shows
///
/// A file that a later layer replaces, deletes, or stores again because its owner changed still ships with the image.
/// Prints where such bytes are, the most first, which layer stores them and which hides them, and what each layer and
/// its build step waste. Visible files with the same bytes are listed separately. Exits with 1 if a rule (--max,
/// --max-percent, --ci) is broken.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar waste app.tar
  imgtar waste app.tar --max 20MB --max-percent 5
  imgtar waste app.tar --ci .dive-ci

docs/waste.md says what counts, and why dive's figures, which --ci uses, are different.")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    #[command(flatten)]
    image: OneImageArg,

    #[command(flatten)]
    json: JsonArg,

    /// Exit with 1 if more bytes than this are wasted: 20MB, 4MiB or 1000
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max: Option<u64>,

    /// Exit with 1 if more than this percentage of the stored bytes is wasted
    #[arg(long, value_name = "P", value_parser = percent)]
    max_percent: Option<f64>,

    /// Exit with 1 if a rule of this file is broken: dive's lowestEfficiency, highestWastedBytes and
    /// highestUserWastedPercent, compared with dive's figures
    #[arg(long, value_name = "FILE")]
    ci: Option<PathBuf>,

    /// Print every path in a row of its own, and all of them
    #[arg(long)]
    all: bool,

    /// Print whole build steps
    #[arg(long)]
    no_trunc: bool,
}

/// For whoever wants to know why bytes are wasted, or to show it to somebody.
const WHERE_TO_LOOK: &str = "`imgtar blame` shows what each layer did to a path, `imgtar report` writes an HTML page to share";

fn bytes(text: &str) -> Result<u64, String> {
    units::parse_size(text)
        .ok_or_else(|| "write a number of bytes, such as 20MB, 4MiB or 1000".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    number
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "write a number from 0 to 100".to_owned())
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        // A rule that cannot be read is reported before the archive is.
        let rules = self.rules(context)?;
        let loaded = context.load(&self.archive)?;
        let image = loaded.pick_to_read(&self.image, context)?;
        let report = WasteReport::of(image, &rules, &context.options())?;
        context.warn_of_image(&loaded, image);
        context.output.answer(|out| {
            if self.json.json {
                return render::json(out, &report);
            }
            let form = render::WasteForm {
                all: self.all,
                whole: self.no_trunc,
                limits: &context.limits,
            };
            render::waste(out, &report, &rules, form)
        })?;
        if report.wasted > 0 && !self.json.json {
            hint(context.output, WHERE_TO_LOOK);
        }
        Ok(if report.passes() {
            Exit::Done
        } else {
            Exit::No
        })
    }

    fn rules(&self, context: &Context) -> Result<Vec<WasteRule>, Failure> {
        let mut rules: Vec<WasteRule> = self.max.map(WasteRule::Max).into_iter().collect();
        rules.extend(self.max_percent.map(WasteRule::MaxPercent));
        if let Some(file) = &self.ci {
            rules.extend(dive_ci::rules(file, &context.files)?);
        }
        Ok(rules)
    }
}
