//! `cat`: the bytes of files of the merged tree.

use std::ffi::OsString;

use imgtar::document::WantedPlatform;
use imgtar::image::Selector;
use imgtar::output::{WriteError, write_file};
use imgtar::tree::{Body, Tree};

use super::ls::{find, shown};
use super::{Context, Exit, Failure};
use crate::cli::args::{ArchiveArg, OneImageArg};
use crate::cli::blocks;
use crate::cli::output::is_closed;

/// Print files of an image
///
/// Writes the bytes to standard output unchanged. Follows symbolic links, but only inside the image.
/// Does not check the layers against their diff IDs; `verify` does that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar cat app.tar etc/os-release
  imgtar cat app.tar -i app:1.2 usr/bin/tool > tool")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    /// The files
    ///
    /// Paths may also be given as `ls` prints them, with escapes such as \xe4.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,

    /// Which image: a reference, an image ID of either kind or a prefix of one, or @N for the Nth from 0
    #[arg(short, long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    image: Option<Selector>,

    /// Which platform: os/architecture or architecture, such as linux/arm64, arm64 or arm/v7
    /// [default: this machine's, if the image is for several]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<WantedPlatform>,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let arg = OneImageArg {
            image: self.image.clone(),
            platform: self.platform.clone(),
        };
        let image = loaded.pick_to_read(&arg, context)?;
        let tree = Tree::merge(image, &context.options())?;
        // All paths are looked up before anything is printed, so that a mistake prints nothing.
        let mut files = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let (node, path) = find(&tree, path, true, context)?;
            let inode = tree.inode(tree.inode_id(node));
            let path = shown(&path);
            match inode.body {
                Body::File { .. } => files.push(inode),
                Body::Directory => {
                    return Err(Failure::input(format!("`{path}` is a directory"))
                        .hint("`imgtar ls` lists what is in it"));
                }
                _ => {
                    return Err(Failure::input(format!("`{path}` is not a regular file"))
                        .hint("`imgtar ls --long` shows what it is"));
                }
            }
        }
        context.warn_of_image(&loaded, image);
        let failed = |e| Failure::environment("cannot write to standard output", &e);
        let mut stdout = blocks::stdout().map_err(failed)?;
        for inode in files {
            match write_file(&tree, inode, &mut stdout) {
                Ok(()) => {}
                Err(WriteError::Write(error)) if is_closed(&error) => {
                    return Ok(Exit::Done);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Exit::Done)
    }
}
