//! Arguments that several commands share.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use imgtar::archive::{Archive, Contents, require_tar};
use imgtar::base::limits::{Limit, Limits, Unit};
use imgtar::document::WantedPlatform;
use imgtar::image::Selector;
use imgtar::source::{Input, SourceError};

use super::commands::Context;
use super::error::Failure;

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// When to use colour
    ///
    /// `auto` means: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Global options")]
    pub(crate) color: Color,

    /// Do not show progress
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_progress: bool,

    /// Number of threads [default: one for each core]
    #[arg(
        short,
        long,
        global = true,
        value_name = "N",
        help_heading = "Global options"
    )]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Raise or lower a limit on what an archive may use
    ///
    /// No archive can make imgtar use more time, memory or disk space than its limits allow. Sizes may
    /// end in KiB, MiB, GiB or TiB; `none` removes a limit. docs/security.md lists the limits and the
    /// reasons for them. Can be given several times.
    #[arg(
        long = "limit",
        global = true,
        value_name = "NAME=VALUE",
        help_heading = "Global options"
    )]
    limits: Vec<Raised>,
}

impl Global {
    /// What the archives may ask for.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
            .iter()
            .fold(Limits::default(), |limits, raised| {
                limits.with(raised.limit, raised.value)
            })
    }
}

/// A limit that is set on the command line.
#[derive(Clone, Copy, Debug)]
struct Raised {
    limit: Limit,
    value: u64,
}

impl FromStr for Raised {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "expected NAME=VALUE, such as expanded=64GiB".to_owned();
        let (name, value) = text.split_once('=').ok_or_else(form)?;
        let limit: Limit = name.parse().map_err(|why| {
            let names: Vec<&str> = Limit::all().map(Limit::name).collect();
            format!("{why}; the limits are {}", names.join(", "))
        })?;
        let value = parse_value(value, limit.unit()).ok_or_else(|| match limit.unit() {
            Unit::Bytes => {
                format!("`{value}` is not a size; write 1000, 64KiB, 20MiB, 16GiB or none")
            }
            Unit::Count => format!("`{value}` is not a number; write 1000 or none"),
        })?;
        Ok(Self { limit, value })
    }
}

fn parse_value(text: &str, unit: Unit) -> Option<u64> {
    const SUFFIXES: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    if text == "none" {
        return Some(u64::MAX);
    }
    for (suffix, shift) in SUFFIXES {
        if let Some(number) = text.strip_suffix(suffix).filter(|_| unit == Unit::Bytes) {
            return number.parse::<u64>().ok()?.checked_mul(1 << shift);
        }
    }
    text.parse().ok()
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
    pub(crate) fn open(&self, context: &Context) -> Result<Archive, Failure> {
        context.open(&self.archive)
    }

    /// Opens it as the file that it is, which need not be an archive.
    pub(crate) fn input(&self, context: &Context) -> Result<Input, Failure> {
        let input = context
            .files
            .any_archive(&self.archive, &context.options())?;
        Ok(input.map_err(imgtar::Error::from)?)
    }

    /// Opens what can be read of it.
    pub(crate) fn open_damaged(&self, context: &Context) -> Result<Contents, Failure> {
        Ok(context.open_damaged(&self.archive)??)
    }

    /// Its path, `-` for standard input.
    pub(crate) fn path(&self) -> &Path {
        &self.archive
    }

    /// Whether it is standard input.
    pub(crate) fn is_stdin(&self) -> bool {
        self.archive.as_os_str() == "-"
    }
}

/// Refuses what cannot be a rootfs tar, and says what it is.
pub(crate) fn rootfs(input: Result<Input, SourceError>) -> Result<Input, Failure> {
    let input = input.map_err(Failure::of_rootfs)?;
    require_tar(&input).map_err(Failure::of_rootfs)?;
    Ok(input)
}

/// One image of an archive.
#[derive(Debug, Args)]
pub(crate) struct ImageArg {
    /// Which image: a reference, an image ID of either kind or a prefix of one, or @N for the Nth from 0
    /// [default: all]
    #[arg(value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    place: Option<Selector>,

    /// The same as IMAGE
    #[arg(short, long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector), conflicts_with = "place")]
    image: Option<Selector>,

    /// Which platform: os/architecture or architecture, such as linux/arm64, arm64 or arm/v7
    /// [default: this machine's, if IMAGE is for several]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<WantedPlatform>,
}

impl ImageArg {
    /// The image that was asked for, in its place or as an option.
    pub(crate) fn image(&self) -> Option<&Selector> {
        self.image.as_ref().or(self.place.as_ref())
    }
}

/// The engine whose wording is used.
#[derive(Debug, Args)]
pub(crate) struct EngineArg {
    /// Whose output to print
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = Engine::Docker26, conflicts_with = "json")]
    pub(crate) engine: Engine,
}

/// An engine with output of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Docker 28 and older with its own store
    Docker26,
    /// Docker 29 with the containerd store, the default of a new installation; sizes on disk are estimates
    Docker29,
    /// Docker 29 with its own store, which an upgraded installation keeps
    Docker29Classic,
}

/// The one image of an archive that is worked on.
#[derive(Debug, Args)]
pub(crate) struct OneImageArg {
    /// Which image: a reference, an image ID of either kind or a prefix of one, or @N for the Nth from 0
    /// [default: the only one]
    #[arg(value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    place: Option<Selector>,

    /// The same as IMAGE
    #[arg(short, long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector), conflicts_with = "place")]
    image: Option<Selector>,

    /// Which platform: os/architecture or architecture, such as linux/arm64, arm64 or arm/v7; needed
    /// if the image is for several
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<WantedPlatform>,
}

impl OneImageArg {
    /// Asks for an image as if it stood on the command line.
    pub(crate) fn new(image: Option<Selector>, platform: Option<WantedPlatform>) -> Self {
        Self {
            place: image,
            image: None,
            platform,
        }
    }

    /// The image that was asked for, in its place or as an option.
    pub(crate) fn image(&self) -> Option<&Selector> {
        self.image.as_ref().or(self.place.as_ref())
    }
}

/// Some images of an archive.
#[derive(Debug, Args)]
pub(crate) struct ImagesArg {
    /// Which images: references, image IDs of either kind or prefixes of them, or @N for the Nth from 0
    /// [default: all]
    #[arg(value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    places: Vec<Selector>,

    /// The same as IMAGE; can be given several times
    #[arg(short, long = "image", value_name = "IMAGE", value_parser = clap::value_parser!(Selector), conflicts_with = "places")]
    images: Vec<Selector>,
}

impl ImagesArg {
    /// The images that were asked for, in their places or as options.
    pub(crate) fn images(&self) -> &[Selector] {
        if self.images.is_empty() {
            &self.places
        } else {
            &self.images
        }
    }
}

/// One image to read, for commands whose arguments are something else.
#[derive(Debug, Args)]
pub(crate) struct ImageOptionArg {
    /// Which image: a reference, an image ID of either kind or a prefix of one, or @N for the Nth from 0
    #[arg(short, long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    image: Option<Selector>,

    /// Which platform: os/architecture or architecture, such as linux/arm64, arm64 or arm/v7
    /// [default: this machine's, if the image is for several]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<WantedPlatform>,
}

impl ImageOptionArg {
    /// As it is asked for elsewhere.
    pub(crate) fn one(&self) -> OneImageArg {
        OneImageArg::new(self.image.clone(), self.platform.clone())
    }
}

/// How to answer.
#[derive(Debug, Args)]
pub(crate) struct JsonArg {
    /// Print one JSON document instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// A path as it was given, or escaped if it is not text.
pub(crate) fn shown(given: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(given) {
        Ok(text) => std::borrow::Cow::Borrowed(text),
        Err(_) => std::borrow::Cow::Owned(imgtar::base::escape::name(given).to_string()),
    }
}

/// The bytes of an argument, or of a part of a path.
#[cfg(unix)]
pub(crate) fn bytes_of(name: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
}

/// The bytes of an argument, or of a part of a path.
#[cfg(not(unix))]
pub(crate) fn bytes_of(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}
