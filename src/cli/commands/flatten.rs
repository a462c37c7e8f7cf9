//! `flatten`: an image as one rootfs tar.

use imgtar::write::{FlattenOptions, WriteError, flatten};

use super::{Context, Exit, Failure};
use crate::cli::args::{ArchiveArg, ImageArg};
use crate::cli::destination::OutputArg;
use crate::cli::error::warn;

/// Merge the layers of an image into one rootfs tar
///
/// What `docker export` would write of a container of the image, without what the engine adds to a
/// container. The layers are applied as the OCI image specification says; where engines would show
/// something else, a warning says who and what. Every layer is held against its diff ID alongside: if
/// one does not match, no output file is left and the exit code is 3.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar flatten app.tar -o rootfs.tar
  imgtar flatten app.tar app:1.2 | tar -tv
  docker save app | imgtar flatten - -o rootfs.tar")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    image: ImageArg,
    #[command(flatten)]
    output: OutputArg,

    /// Do not hold the layers against their diff IDs
    #[arg(long)]
    no_verify: bool,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let image = loaded.pick_one(&self.image)?;
        let mut destination = self.output.open()?;
        let options = FlattenOptions {
            verify: !self.no_verify,
            jobs: context.jobs,
        };
        let flattened = match flatten(image, &mut destination, options, &context.progress) {
            Ok(flattened) => flattened,
            Err(WriteError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Done);
            }
            Err(error) => return Err(error.into()),
        };
        for warning in &flattened.warnings {
            let path = String::from_utf8_lossy(&warning.path);
            let more = match warning.count - 1 {
                0 => String::new(),
                n => format!(" ({n} more like it in the layer)"),
            };
            warn(
                context.output,
                &format!(
                    "layer {}: `{path}` {}{more}",
                    warning.layer,
                    warning.kind.describe()
                ),
            );
        }
        destination.finish()?;
        Ok(Exit::Done)
    }
}
