//! The two sides of a comparison: what is opened for them, which image of each is meant, and what does not count.

use std::path::Path;

use clap::{Args, ValueEnum};
use imgtar::archive::{Archive, ArchiveError, Looks};
use imgtar::document::{Fit, Platform, WantedPlatform};
use imgtar::image::{Image, ImageSet, LoadError, Selector};
use imgtar::report::DiffIgnored;
use imgtar::tree::{Aspect, CompareError, Side};

use super::args::OneImageArg;
use super::commands::{Context, Loaded};
use super::error::{Failure, note};

/// What does not count as a difference.
#[derive(Debug, Args)]
pub(crate) struct IgnoreArg {
    /// What does not count as a difference
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',')]
    ignore: Vec<Ignored>,

    /// Ignore what a rebuild changes by itself: times, the order of entries, and what builders record about themselves
    #[arg(long)]
    semantic: bool,
}

/// What does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ignored {
    /// Modification times of files
    #[value(aliases = ["time", "times"])]
    Mtime,
    /// Owners and groups of files
    Owner,
    /// Permissions of files
    Mode,
    /// Extended attributes of files
    #[value(alias = "xattrs")]
    Xattr,
    /// The content and size of files
    Content,
    /// Where symbolic links lead
    Target,
    /// Which hard links files have
    #[value(alias = "hardlinks")]
    Links,
    /// The order and the form of entries in layers
    Order,
    /// Times in configs and histories, and what builders record about themselves
    Created,
    /// Which layers there are
    Layers,
    /// Configs
    Config,
    /// Histories
    History,
}

impl IgnoreArg {
    /// For the library.
    pub(crate) fn ignored(&self) -> DiffIgnored {
        let mut ignored = DiffIgnored::default();
        for what in &self.ignore {
            let aspects: &[Aspect] = match what {
                Ignored::Mtime => &[Aspect::Time],
                Ignored::Owner => &[Aspect::Owner],
                Ignored::Mode => &[Aspect::Mode],
                Ignored::Xattr => &[Aspect::Xattr],
                Ignored::Content => &[Aspect::Content, Aspect::Size],
                Ignored::Target => &[Aspect::Target],
                Ignored::Links => &[Aspect::Links],
                Ignored::Order => {
                    ignored.order = true;
                    &[]
                }
                Ignored::Created => {
                    ignored.build = true;
                    &[]
                }
                Ignored::Layers => {
                    ignored.layers = true;
                    &[]
                }
                Ignored::Config => {
                    ignored.config = true;
                    &[]
                }
                Ignored::History => {
                    ignored.history = true;
                    &[]
                }
            };
            for aspect in aspects {
                ignored.aspects.insert(*aspect);
            }
        }
        if self.semantic {
            ignored = ignored.and_semantic();
        }
        ignored
    }
}

/// What NEW is.
pub(crate) enum NewSide {
    Images(Box<Loaded>),
    /// A tar of files.
    Rootfs(Box<Archive>),
}

/// Which platform of each archive to take: the one that is `asked` for; else, where one archive holds an image for
/// one platform, that of the other's for the same.
pub(crate) fn platforms(
    asked: Option<&WantedPlatform>,
    (old, old_image): (&ImageSet, Option<&Selector>),
    (new, new_image): (&ImageSet, Option<&Selector>),
) -> (Option<WantedPlatform>, Option<WantedPlatform>) {
    if asked.is_some() {
        return (asked.cloned(), asked.cloned());
    }
    // The only platform, or all of them.
    let only = |set: &ImageSet, selector: Option<&Selector>| {
        let images = set.pick_all(selector, None).unwrap_or_default();
        match images[..] {
            [image] => Ok(image.platform.to_string().parse::<WantedPlatform>().ok()),
            _ => Err(images
                .iter()
                .map(|image| image.platform.clone())
                .collect::<Vec<_>>()),
        }
    };
    let has = |wanted: &WantedPlatform, platforms: Vec<Platform>| {
        let mut platforms = platforms.iter();
        platforms.any(|platform| wanted.fit(platform) != Fit::No)
    };
    match (only(old, old_image), only(new, new_image)) {
        (Ok(Some(wanted)), Err(others)) if has(&wanted, others.clone()) => (None, Some(wanted)),
        (Err(others), Ok(Some(wanted))) if has(&wanted, others.clone()) => (Some(wanted), None),
        _ => (None, None),
    }
}

/// Reads the descriptions of OLD, which has to be an archive.
pub(crate) fn read_old(archive: Archive) -> Result<Loaded, Failure> {
    match archive.images() {
        Ok(set) => Ok(Loaded { archive, set }),
        Err(error) => {
            let is_rootfs = matches!(
                &error,
                LoadError::Archive(ArchiveError::NotAnImage {
                    looks: Looks::Tree,
                    ..
                })
            );
            let failure = Failure::from(error);
            Err(if is_rootfs {
                failure.hint("the image goes first: `imgtar diff ARCHIVE ROOTFS.tar`")
            } else {
                failure
            })
        }
    }
}

/// Opens NEW, which may be an archive or a tar of files.
pub(crate) fn open_new(path: &Path, context: &Context) -> Result<NewSide, Failure> {
    let what = "an archive or a rootfs tar";
    let input = context.files.input(path, what, &context.options())?;
    let archive = Archive::open(input.map_err(imgtar::Error::from)?)?;
    match archive.images() {
        Ok(set) => Ok(NewSide::Images(Box::new(Loaded { archive, set }))),
        Err(LoadError::Archive(ArchiveError::NotAnImage {
            looks: Looks::Tree, ..
        })) => Ok(NewSide::Rootfs(Box::new(archive))),
        Err(LoadError::Archive(ArchiveError::NotAnImage {
            looks: Looks::Other { .. },
            ..
        })) => {
            let path = archive.path();
            let message = format!(
                "{path} is not an image archive, and is taken for the tar of a container's files, although it does not look like one"
            );
            note(context.output, &message);
            Ok(NewSide::Rootfs(Box::new(archive)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The image of a side that is meant; `option` names it on the command line.
pub(crate) fn pick<'l>(
    loaded: &'l Loaded,
    (option, image): (&str, Option<&Selector>),
    platform: Option<WantedPlatform>,
    context: &Context,
) -> Result<&'l Image, Failure> {
    let is_open = image.is_none() && loaded.set.images.len() > 1;
    let image = image.cloned();
    let picked = loaded.pick_to_read(&OneImageArg::new(image, platform), context);
    picked.map_err(|failure| {
        let path = loaded.archive.path();
        let failure = failure.detail(format!("in {path}"));
        if is_open {
            failure.hint(format!("{option} IMAGE picks one"))
        } else {
            failure
        }
    })
}

/// Says that two images have to be named.
pub(crate) fn which_two(loaded: &Loaded) -> Failure {
    let path = loaded.archive.path();
    let images = &loaded.set.images;
    if images.len() < 2 {
        return Failure::usage(format!(
            "{path} holds one image, and there is no NEW to compare it with"
        ))
        .hint("give another archive, as in `imgtar diff OLD NEW`");
    }
    let message = format!(
        "which two of the {} images of {path} should be compared?",
        images.len()
    );
    let rows = images.iter().map(|image| {
        let platform = if image.platform.is_unknown() {
            String::new()
        } else {
            format!(", {}", image.platform)
        };
        format!("@{} {}{platform}", image.position, image.display_name())
    });
    let mut failure = Failure::usage(message)
        .hint("name them with --old-image and --new-image, or give another archive as NEW");
    for row in rows {
        failure = failure.detail(row);
    }
    failure
}

/// Refuses an image of which nothing says what it is.
pub(crate) fn require_config(from: &Loaded, image: &Image) -> Result<(), Failure> {
    if image.config.is_some() {
        return Ok(());
    }
    let (path, name) = (from.archive.path(), image.display_name());
    Err(Failure::input(format!(
        "the config of {name} in {path} is missing or cannot be read"
    ))
    .hint("`imgtar verify` says what is wrong with it"))
}

/// Says in which archive it is that something cannot be read.
pub(crate) fn failure(error: CompareError, old: &str, new: &str) -> Failure {
    let (what, path) = match error.side {
        Side::Old => ("OLD", old),
        Side::New => ("NEW", new),
    };
    Failure::from(imgtar::Error::from(error)).detail(format!("in {what}, which is {path}"))
}
