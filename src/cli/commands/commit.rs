//! `commit`: a changed root file system as one more layer of the image that it came from.

use std::path::PathBuf;

use imgtar::base::escape;
use imgtar::base::progress::steps;
use imgtar::document::{ConfigChanges, WantedPlatform};
use imgtar::image::Selector;
use imgtar::output::{CommitOptions, commit};
use imgtar::tree::ChangeKind;

use super::{Context, Exit, Failure};
use crate::cli::archive_output::{ArchiveOutputArg, CreatedArg, TagArg};
use crate::cli::args::OneImageArg;
use crate::cli::error::warn;
use crate::cli::files::both_from_stdin;
use crate::cli::xattrs::{WITHOUT_XATTRS, warn_of_xattrs};

/// Add what changed in a container to its image as one layer
///
/// Makes what `docker commit` makes of a container, from the archive of its image and the tar that
/// `docker export` wrote of the container. The image's layers stay unchanged; one more layer holds what
/// was added, changed and removed in ROOTFS.tar. Files are compared byte by byte. What the engine itself
/// puts into a container (`.dockerenv`, `etc/hosts` and so on) is not a change, and what exports leave
/// out, such as fractions of seconds and most extended attributes, does not count as removed. If nothing
/// differs, the image gets a step in its history but no layer.
///
/// The new image's ID is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  docker export web | imgtar commit nginx.tar - -o web.tar -t web:2 -m 'our pages'
  imgtar commit app.tar rootfs.tar.gz -o new.tar -c 'CMD [\"app\", \"--debug\"]'
  imgtar commit all.tar -i app:1.2 rootfs.tar -o new.tar --layout oci")]
pub(crate) struct Args {
    /// The archive of the image that the container was made from: a path, or - for standard input
    #[arg(value_name = "BASE")]
    base: PathBuf,

    /// The tar of all files of the container, compressed or not: a path, or - for standard input
    #[arg(value_name = "ROOTFS.tar")]
    rootfs: PathBuf,

    /// Which image of BASE: a reference, an image ID of either kind or a prefix of one, or @N for the Nth from 0
    /// [default: the only one]
    #[arg(short, long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    image: Option<Selector>,

    /// Which platform: os/architecture or architecture, such as linux/arm64, arm64 or arm/v7; needed
    /// if the image is for several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<WantedPlatform>,

    #[command(flatten)]
    output: ArchiveOutputArg,

    #[command(flatten)]
    tags: TagArg,

    /// A comment for the history
    #[arg(
        short,
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    message: String,

    /// Who made the change [default: the author of the image]
    #[arg(short, long, value_name = "WHO")]
    author: Option<String>,

    /// Change the config with a Dockerfile instruction, such as ENV A=b; can be given several times
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,

    #[command(flatten)]
    created: CreatedArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        if self.base.as_os_str() == "-" && self.rootfs.as_os_str() == "-" {
            return Err(both_from_stdin("BASE", "ROOTFS.tar"));
        }
        let changes =
            ConfigChanges::parse(&self.changes).map_err(imgtar::output::WriteError::from)?;
        for doubt in changes.doubts() {
            warn(context.output, &doubt.to_string());
        }
        let created = self.created.time()?;
        let names = self.tags.names(&[]);
        let loaded = Context::read(context.open(&self.base)?)?;
        let arg = OneImageArg::new(self.image.clone(), self.platform.clone());
        let image = loaded.pick_to_write(&arg, context)?;
        loaded.require_one_description()?;
        context.files.reads(&self.rootfs)?;
        let destination = self.output.open(context)?;
        let rootfs = context.open_rootfs(&self.rootfs, "a rootfs tar")?;
        let options = CommitOptions {
            created,
            message: &self.message,
            created_by: None,
            of_container: true,
            author: self.author.as_deref(),
            changes: &changes,
            names: &names,
            jobs: context.jobs,
        };
        let rootfs = rootfs.source().whole();
        let then = [steps::COMPARING, steps::MAKING_LAYER, steps::WRITING];
        context.plan(image, &then);
        let committed = commit(image, rootfs, options, &context.progress)?;
        context.warn_of_image(&loaded, image);
        for warning in &committed.warnings {
            let path = escape::name(&warning.path);
            let what = warning.kind.describe();
            warn(context.output, &format!("rootfs tar: `{path}` {what}"));
        }
        warn_of_xattrs(&committed.refused_xattrs, WITHOUT_XATTRS, context.output);
        // An image of nothing has nothing to leave.
        if committed.kept == 0 && committed.delta.count(ChangeKind::Removed) > 0 {
            warn(
                context.output,
                "nothing of the image is left: does this tar come from a container of it?",
            );
        }
        destination.write(&[committed.image], true, context)
    }
}
