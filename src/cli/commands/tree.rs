//! `tree`: the layers of all images as one tree.

use std::path::PathBuf;

use imgtar::image::Image;
use imgtar::report::TreeBuilder;

use super::{Context, Exit, Failure};
use crate::cli::args::JsonArg;
use crate::cli::render;

/// Draw the layers of all images of one or more archives as one tree
///
/// Shows what `docker images --tree` showed before Docker 1.10 made images flat: shared layers once, and a name where
/// an image ends. Nodes are named by their chain IDs; sizes add up along the branches. Platforms are shown where they
/// differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar tree app.tar
  imgtar tree app.tar base.tar other.tar.gz")]
pub(crate) struct Args {
    /// The archives: paths, or - for standard input
    #[arg(value_name = "ARCHIVE", required = true)]
    archives: Vec<PathBuf>,

    #[command(flatten)]
    json: JsonArg,

    /// Print whole chain IDs
    #[arg(long)]
    no_trunc: bool,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let mut builder = TreeBuilder::default();
        for path in &self.archives {
            let loaded = Context::read(context.open(path)?)?;
            loaded.require_images()?;
            let images: Vec<&Image> = loaded.set.images.iter().collect();
            let measures = context.measure(&images)?;
            context.upgrade(&loaded.set, &images)?;
            if self.json.json {
                context.hash_members(&loaded.set, &images)?;
            }
            for image in &images {
                refuse_towers(image)?;
                builder.add(&loaded.set, image, &measures);
            }
            context.warn_of_layers(&images, &measures);
            context.warn_of_problems(&loaded);
        }
        let tree = builder.build();
        context.output.answer(|out| {
            if self.json.json {
                render::json(out, &tree)
            } else {
                render::tree(out, &tree.roots, self.no_trunc, &context.limits)
            }
        })?;
        Ok(Exit::Done)
    }
}

/// How high a stack may be that is drawn. Every layer is indented by one more step, so the drawing
/// grows with the square; no engine stacks more than a few hundred.
const HEIGHT_LIMIT: usize = 1000;

fn refuse_towers(image: &Image) -> Result<(), Failure> {
    let layers = image.layers.len();
    if layers > HEIGHT_LIMIT {
        return Err(Failure::input(format!(
            "{} has {layers} layers; a tree can be drawn of at most {HEIGHT_LIMIT}",
            image.display_name()
        ))
        .hint("`imgtar layers` lists them"));
    }
    Ok(())
}
