//! `flatten`: an image as one rootfs tar.

use imgtar::image::Image;
use imgtar::record::Mtime;
use imgtar::write::{FlattenOptions, WriteError, flatten, flatten_to_file};

use super::{Context, Exit, Failure};
use crate::cli::archive_output::asked_time;
use crate::cli::args::{ArchiveArg, ImageArg};
use crate::cli::destination::OutputArg;

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

    /// Add what Docker adds to a container that was created and not started
    ///
    /// `.dockerenv`, `etc/hosts` and so on, and the working directory. They are of the time that
    /// --created says, else `SOURCE_DATE_EPOCH`, else of the image's own.
    #[arg(long)]
    as_container: bool,

    /// The time of what --as-container adds, RFC 3339
    #[arg(long, value_name = "TIME", requires = "as_container")]
    created: Option<jiff::Timestamp>,
}

impl Args {
    /// The time of what is added: never that of the clock, so that the output stays the same.
    fn time(&self, image: &Image) -> Result<Mtime, Failure> {
        let of = |time: jiff::Timestamp| Mtime {
            seconds: time.as_second(),
            nanoseconds: 0,
        };
        if let Some(time) = asked_time(self.created)? {
            return Ok(of(time));
        }
        let created = image.view().and_then(|config| config.created.as_ref());
        Ok(created.map_or_else(Mtime::default, |created| of(created.timestamp())))
    }

    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let image = loaded.pick_one(&self.image)?;
        let mut destination = self.output.open()?;
        let as_container = if self.as_container {
            Some(self.time(image)?)
        } else {
            None
        };
        let options = FlattenOptions {
            as_container,
            verify: !self.no_verify,
            jobs: context.jobs,
        };
        let progress = &context.progress;
        let flattened = match destination.file() {
            Some(file) => flatten_to_file(image, file, options, progress),
            None => flatten(image, &mut destination, options, progress),
        };
        let flattened = match flattened {
            Ok(flattened) => flattened,
            Err(WriteError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Done);
            }
            Err(error) => return Err(error.into()),
        };
        context.warn_of_tree(&flattened.warnings);
        destination.finish()?;
        Ok(Exit::Done)
    }
}
