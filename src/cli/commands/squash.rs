//! `squash`: layers of an image merged into one.

use imgtar::base::progress::steps;
use imgtar::output::{SquashOptions, squash};

use super::{Context, Exit, Failure};
use crate::cli::archive_output::{ArchiveOutputArg, CreatedArg, TagArg};
use crate::cli::args::{ArchiveArg, OneImageArg};
use crate::cli::error::warn;
use crate::cli::xattrs::{DropXattrArg, warn_of_xattrs};

/// Merge layers of an image into one
///
/// Merges all layers, or those from --from up; layers below stay as they are stored. A container sees
/// the same files as before; files that were hidden by a merged layer are gone. Config and history are
/// kept: the merged steps stay as steps without a layer, and a new step says what was merged.
///
/// The archive holds the squashed image alone. Its ID is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar squash app.tar -o small.tar
  imgtar squash app.tar app:1.2 --from 3 -t app:1.2-squashed -o small.tar
  docker save app | imgtar squash - | docker load")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    image: OneImageArg,
    #[command(flatten)]
    output: ArchiveOutputArg,

    /// The lowest layer to merge; 0 is the base layer [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    from: usize,

    #[command(flatten)]
    tags: TagArg,

    /// Do not check the layers against their diff IDs
    #[arg(long)]
    no_verify: bool,

    #[command(flatten)]
    xattrs: DropXattrArg,

    #[command(flatten)]
    created: CreatedArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let created = self.created.time()?;
        let loaded = context.load(&self.archive)?;
        let image = loaded.pick_to_write(&self.image, context)?;
        if !self.no_verify {
            loaded.require_one_description()?;
        }
        let destination = self.output.open(context)?;
        let names = self.tags.names(&image.names);
        let verify = !self.no_verify;
        let options = SquashOptions {
            from: self.from,
            created,
            names: Some(&names),
            verify,
            drop_xattrs: &self.xattrs.patterns(),
            jobs: context.jobs,
        };
        context.plan(image, &[steps::MAKING_LAYER, steps::WRITING]);
        let squashed = squash(image, options, &context.progress)?;
        context.warn_of_image(&loaded, image);
        context.warn_of_tree(&squashed.warnings);
        self.xattrs.warn_of_none(&squashed.dropped, context.output);
        warn_of_xattrs(
            &squashed.refused_xattrs,
            DropXattrArg::WAY_OUT,
            context.output,
        );
        if squashed.merged == 0 {
            warn(
                context.output,
                "there is nothing to merge: the image keeps its layers",
            );
        }
        destination.write(&[squashed.image], verify, context)
    }
}
