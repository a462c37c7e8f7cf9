//! Arguments that several commands share.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use imgtar::archive::Archive;
use imgtar::image::{Platform, Selector};
use imgtar::progress::Progress;
use imgtar::source::Input;

use super::error::Failure;
use super::output;

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// When to use colour
    ///
    /// `auto` is: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Global options")]
    pub(crate) color: Color,

    /// Do not show progress
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_progress: bool,

    /// How many threads work at once [default: one for each core]
    #[arg(
        short,
        long,
        global = true,
        value_name = "N",
        help_heading = "Global options"
    )]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// One archive.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArg {
    /// The archive: a path, or - for standard input
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
}

impl ArchiveArg {
    pub(crate) fn open(&self, progress: &dyn Progress) -> Result<Archive, Failure> {
        open(&self.archive, progress)
    }
}

/// Opens an archive, or standard input for `-`.
pub(crate) fn open(path: &Path, progress: &dyn Progress) -> Result<Archive, Failure> {
    Ok(try_open(path, progress)??)
}

/// The same, for a caller to whom the library's error means something.
pub(crate) fn try_open(
    path: &Path,
    progress: &dyn Progress,
) -> Result<Result<Archive, imgtar::Error>, Failure> {
    if path.as_os_str() != "-" {
        return Ok(imgtar::open(path, progress));
    }
    if output::stdin_is_terminal() {
        return Err(
            Failure::usage("standard input is a terminal, an archive is wanted on it")
                .hint("pipe one in, as in `docker save app | imgtar images -`, or give a path"),
        );
    }
    Ok(imgtar::open_stdin(progress))
}

/// Opens a rootfs tar, compressed or not, or standard input for `-`.
pub(crate) fn open_rootfs(path: &Path, progress: &dyn Progress) -> Result<Input, Failure> {
    if path.as_os_str() == "-" {
        if output::stdin_is_terminal() {
            return Err(Failure::usage(
                "standard input is a terminal, a rootfs tar is wanted on it",
            )
            .hint("pipe one in, as `docker export` writes it, or give a path"));
        }
        return Ok(Input::stdin(progress)?);
    }
    Ok(Input::open(path, progress)?)
}

/// One image of an archive.
#[derive(Debug, Args)]
pub(crate) struct ImageArg {
    /// Which image: a reference, an image ID or a prefix of one, or @N for the Nth from 0
    /// [default: all]
    #[arg(value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    pub(crate) image: Option<Selector>,

    /// Which platform, such as linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
}

/// The one image of an archive that is worked on.
#[derive(Debug, Args)]
pub(crate) struct OneImageArg {
    /// Which image: a reference, an image ID or a prefix of one, or @N for the Nth from 0
    /// [default: the only one]
    #[arg(value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    pub(crate) image: Option<Selector>,

    /// Which platform, such as linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
}

/// How to answer.
#[derive(Debug, Args)]
pub(crate) struct JsonArg {
    /// Print one JSON document instead of text
    #[arg(long)]
    pub(crate) json: bool,
}
