//! `man`: manual pages.

use std::path::PathBuf;

use super::{Context, Exit, Failure};

/// Write manual pages into a directory
///
/// Writes one page for imgtar and one for each command. Creates the directory if it is missing, and
/// replaces pages of the same names.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Args {
    pub(crate) fn run(&self, _: &Context) -> Result<Exit, Failure> {
        let failed = |e| {
            Failure::environment(
                format!("cannot write manual pages to {}", self.directory.display()),
                &e,
            )
        };
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        clap_mangen::generate_to(crate::cli::parser(), &self.directory).map_err(failed)?;
        Ok(Exit::Done)
    }
}
