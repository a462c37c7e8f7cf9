//! `browse`: an image on the screen, layer by layer.

use std::io::IsTerminal;

use super::{Context, Exit, Failure};
use crate::cli::args::{ArchiveArg, OneImageArg};
use crate::cli::browse::{self, BrowseWish};
use crate::cli::output::{stdin_is_terminal, stdout_is_terminal};

/// Browse the layers and files of an image on the screen
///
/// Shows the layers on the left, with their sizes, what later layers hide of them and the build step; on the right the
/// files as a tree, with what the layer adds (A), changes (C) and deletes (D). `?` lists the keys: filter, sort, waste,
/// blame, view files, extract them. Layers are read in the background. If there are several images, you choose one
/// first.
///
/// Does not check the layers against their diff IDs; `verify` does that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar browse app.tar
  imgtar browse app.tar app:1.2 --platform arm64
  docker save app | imgtar browse -")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    image: OneImageArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        if !stdout_is_terminal() {
            return Err(refuse("standard output"));
        }
        // Keys may come from a terminal where the archive comes from a pipe.
        if !stdin_is_terminal() && !self.archive.is_stdin() {
            let message = "standard input";
            if !std::io::stderr().is_terminal() {
                return Err(refuse(message));
            }
        }
        let wanted = BrowseWish {
            path: self.archive.path().to_owned(),
            image: self.image.image().cloned(),
            platform: self.image.platform.clone(),
        };
        browse::run(wanted, context.silent(), context.output.is_coloured())
    }
}

fn refuse(what: &str) -> Failure {
    Failure::usage(format!("{what} is not a terminal, and `browse` needs one")).hint(
        "`imgtar ls --tree` prints the files, `imgtar layers` the layers, `imgtar waste` what is hidden; `imgtar report` writes all of it as one page",
    )
}
