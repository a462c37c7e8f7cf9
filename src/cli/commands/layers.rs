//! `layers`: a row a layer.

use imgtar::base::digest::DiffId;
use imgtar::image::Image;
use imgtar::report::{Layers, measure_layers};

use super::{Context, Exit, Failure, exit_for};
use crate::cli::args::{ArchiveArg, ImageArg, JsonArg};
use crate::cli::output::Output;
use crate::cli::render::{self, Form, Page};

/// Show the layers of images
///
/// Prints one row for each layer, base first: diff ID, chain ID, blob digest, media type, compression, sizes, how much
/// of it is hidden by later layers, its share of the whole, number of entries, and the build step that made it. Columns
/// that say nothing new are left out, and on a terminal those for which there is no room; --no-trunc prints all. The
/// digests are the ones the archive claims; `verify` recomputes them. Archives from before Docker 1.10 claim none, so
/// imgtar computes them and marks them. Hidden bytes are not counted when several images with compressed layers are
/// shown, nor for images of more than 300,000 entries.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar layers app.tar
  imgtar layers app.tar app:1.2 --store-paths
  imgtar layers --json app.tar | jq '.images[].layers[].diff_id'")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    image: ImageArg,
    #[command(flatten)]
    json: JsonArg,

    /// Print all columns, whole digests, media types and commands
    #[arg(long)]
    no_trunc: bool,

    /// Show where Docker's store keeps each layer, below its data root (/var/lib/docker)
    #[arg(long, value_name = "DRIVER", num_args = 0..=1, require_equals = true, default_missing_value = "overlay2")]
    store_paths: Option<String>,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let picked = loaded.pick(&self.image, Some(context.output), context)?;
        let (measures, hidden) = measure_layers(&picked, &context.options())?;
        context.upgrade(&loaded.set, &picked)?;
        let computed = computed_diff_ids(&picked, context)?;
        let report = Layers::new(
            &picked,
            (&measures, &hidden),
            &computed,
            self.store_paths.as_deref(),
        );
        context.warn_of_layers(&picked, &measures);
        context.warn_of_problems(&loaded);
        let form = Form {
            store_paths: self.store_paths.is_some(),
            page: Page::new(Output::width(), self.no_trunc),
            limits: &context.limits,
        };
        if self.json.json {
            context.output.answer(|out| render::json(out, &report))?;
        } else {
            let images = &report.images;
            context
                .output
                .styled_answer(|out| render::layers(out, images, form))?;
        }
        Ok(exit_for(&picked))
    }
}

/// Diff IDs of the layers for which nothing claims one; nothing for the others.
fn computed_diff_ids(
    images: &[&Image],
    context: &Context,
) -> Result<Vec<Vec<Option<DiffId>>>, Failure> {
    let mut all = Vec::with_capacity(images.len());
    for image in images {
        if let Some(ids) = image.upgraded_ids() {
            all.push(ids.diff_ids.iter().cloned().map(Some).collect());
            continue;
        }
        let mut computed = Vec::with_capacity(image.layers.len());
        for layer in &image.layers {
            let (None, Some(_), Some(_)) = (&layer.diff_id, layer.present(), &layer.legacy_id)
            else {
                computed.push(None);
                continue;
            };
            match layer.prove("computing diff IDs", &context.progress) {
                Ok(proof) => computed.push(Some(proof.diff_id().clone())),
                Err(error) if error.is_environment() => return Err(error.into()),
                Err(_) => computed.push(None),
            }
        }
        all.push(computed);
    }
    Ok(all)
}
