//! `diff`: what differs between two images, or between an image and a container's files.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use imgtar::archive::Archive;
use imgtar::base::escape;
use imgtar::document::WantedPlatform;
use imgtar::image::{Image, Selector};
use imgtar::report::{Diff, DiffFile, DiffHead};
use imgtar::tree::{Body, Comparison, Tree};

use super::ls::find;
use super::{Context, Exit, Failure, Loaded};
use crate::cli::args::{JsonArg, bytes_of, shown};
use crate::cli::compared::{
    IgnoreArg, NewSide, failure, open_new, pick, platforms, read_old, require_config, which_two,
};
use crate::cli::error::note;
use crate::cli::files::both_from_stdin;
use crate::cli::output::{Output, stdout_is_terminal};
use crate::cli::render::{self, DiffForm, DiffStyle, PatchFile};

/// Show what differs between two images
///
/// Shows first, layer by layer, why the images differ: layers that both have; the same content compressed in another
/// way; the same files with other times or in another order; and layers that really differ. Then the fields of the
/// configs, the build steps, the files (A added, C changed, D deleted) and the sizes. No content that both images have
/// is read, and nothing at all if all layers are the same; other contents are compared only where the sizes are equal.
/// Diff IDs are taken as the configs claim them; `verify` checks them.
///
/// If NEW is the tar of a container's files, as `docker export` writes it, prints what `docker diff` prints: files that
/// the engine itself puts into a container are left out. What Docker does not see, such as changed content with the
/// same size and time, is noted on standard error.
///
/// Exits with 0 if the images are the same, with 1 if they differ. Images with the same config and the same diff
/// IDs are the same, whatever their layout and compression.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar diff app-1.tar app-2.tar
  imgtar diff all.tar --old-image app:1 --new-image app:2 --stat
  imgtar diff app.tar rebuilt.tar --semantic
  imgtar diff app-1.tar app-2.tar --content etc/nginx/nginx.conf
  docker export web | imgtar diff nginx.tar -")]
pub(crate) struct Args {
    /// The old archive: a path, or - for standard input
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// The new archive, or the tar of a container's files: a path, or - for standard input
    /// [default: OLD, which then has to hold both images]
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,

    /// Which image of OLD: a reference, an image ID of either kind or a prefix of one, or @N for the Nth from 0
    /// [default: the only one]
    #[arg(long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    old_image: Option<Selector>,

    /// Which image of NEW [default: the only one]
    #[arg(long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    new_image: Option<Selector>,

    /// Which platform of both: os/architecture or architecture, such as linux/arm64, arm64 or arm/v7
    /// [default: the one that both have, else this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<WantedPlatform>,

    /// Print one line for each kind of difference
    #[arg(long, group = "form")]
    stat: bool,

    /// Print only the paths of files that differ
    #[arg(long, group = "form")]
    name_only: bool,

    /// Print what differs in the text of this file, as `diff -u` does; can be given several times
    ///
    /// Follows symbolic links inside each image. Paths may also be given as `ls` prints them, with escapes such
    /// as \xe4.
    #[arg(long, value_name = "PATH", group = "form")]
    content: Vec<OsString>,

    #[command(flatten)]
    json: JsonArg,

    #[command(flatten)]
    ignore: IgnoreArg,

    /// Print whole values and build steps
    #[arg(long)]
    no_trunc: bool,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        if let Some(new) = &self.new
            && self.old.as_os_str() == "-"
            && new.as_os_str() == "-"
        {
            return Err(both_from_stdin("OLD", "NEW"));
        }
        if self.json.json && (self.stat || self.name_only || !self.content.is_empty()) {
            return Err(Failure::usage(
                "--json prints the whole answer; --stat, --name-only and --content are other forms of it",
            )
            .hint("leave one of them out"));
        }
        let old = read_old(context.open(&self.old)?)?;
        let Some(new) = &self.new else {
            return self.within(&old, context);
        };
        match open_new(new, context)? {
            NewSide::Images(new) => {
                let (old_platform, new_platform) = platforms(
                    self.platform.as_ref(),
                    (&old.set, self.old_image.as_ref()),
                    (&new.set, self.new_image.as_ref()),
                );
                let of_old = pick(&old, self.old(), old_platform, context)?;
                let of_new = pick(
                    &new,
                    ("--new-image", self.new_image.as_ref()),
                    new_platform,
                    context,
                )?;
                self.images((&old, of_old), (&new, of_new), context)
            }
            NewSide::Rootfs(rootfs) => {
                if let Some(image) = &self.new_image {
                    return Err(Failure::usage(format!(
                        "--new-image {image} picks an image of NEW, and {} holds files, not images",
                        rootfs.path()
                    ))
                    .hint("leave --new-image out"));
                }
                let image = pick(&old, self.old(), self.platform.clone(), context)?;
                self.container((&old, image), &rootfs, context)
            }
        }
    }

    /// How an image of OLD is picked.
    fn old(&self) -> (&str, Option<&Selector>) {
        ("--old-image", self.old_image.as_ref())
    }

    /// Compares two images of one archive.
    fn within(&self, loaded: &Loaded, context: &Context) -> Result<Exit, Failure> {
        let images = &loaded.set.images;
        let chosen = |selector: &Selector| {
            pick(loaded, ("", Some(selector)), self.platform.clone(), context)
        };
        let (old, new) = match (&self.old_image, &self.new_image, &images[..]) {
            (Some(old), Some(new), _) => (chosen(old)?, chosen(new)?),
            (None, None, [old, new]) => (old, new),
            (Some(old), None, [one, other]) => {
                let old = chosen(old)?;
                (
                    old,
                    if old.position == one.position {
                        other
                    } else {
                        one
                    },
                )
            }
            (None, Some(new), [one, other]) => {
                let new = chosen(new)?;
                (
                    if new.position == one.position {
                        other
                    } else {
                        one
                    },
                    new,
                )
            }
            _ => return Err(which_two(loaded)),
        };
        if old.position == new.position {
            note(context.output, "both are the same image of the archive");
        }
        self.images((loaded, old), (loaded, new), context)
    }

    fn images(
        &self,
        (old_from, old): (&Loaded, &Image),
        (new_from, new): (&Loaded, &Image),
        context: &Context,
    ) -> Result<Exit, Failure> {
        for (from, image) in [(old_from, old), (new_from, new)] {
            context.upgrade(&from.set, &[image])?;
            require_config(from, image)?;
        }
        let (old_path, new_path) = (old_from.archive.path(), new_from.archive.path());
        let failure = |error| failure(error, old_path, new_path);
        let options = context.options();
        if !self.content.is_empty() {
            let trees = Comparison::trees_of(old, new, &options).map_err(failure)?;
            return self.contents(&trees.0, &trees.1, context);
        }
        let ignored = self.ignore.ignored();
        let comparison = Comparison::of(old, new, ignored.aspects, &options).map_err(failure)?;
        context.warn_of_image(old_from, old);
        if !std::ptr::eq(old_from, new_from) {
            context.warn_of_image(new_from, new);
        }
        let heads = (
            DiffHead::of_image(old_path, old),
            DiffHead::of_image(new_path, new),
        );
        let diff = Diff::of_images(heads, old, new, &comparison, ignored);
        self.answer(&diff, DiffForm::Images, context)
    }

    fn container(
        &self,
        (from, image): (&Loaded, &Image),
        rootfs: &Archive,
        context: &Context,
    ) -> Result<Exit, Failure> {
        require_config(from, image)?;
        let options = context.options();
        let tar = rootfs.source().whole();
        let (old_path, new_path) = (from.archive.path(), rootfs.path());
        let failure = |error| failure(error, old_path, new_path);
        let ignored = self.ignore.ignored();
        if !self.content.is_empty() {
            let lower = Tree::merge(image, &options)?;
            let upper = Tree::from_tar(tar)?;
            return self.contents(&lower, &upper, context);
        }
        let comparison =
            Comparison::with_rootfs(image, tar, ignored.aspects, &options).map_err(failure)?;
        context.warn_of_image(from, image);
        let heads = (
            DiffHead::of_image(old_path, image),
            DiffHead::of_rootfs(new_path, rootfs.source().len()),
        );
        let diff = Diff::with_rootfs(heads, &comparison);
        let exit = self.answer(&diff, DiffForm::Container, context)?;
        if !(self.json.json || self.name_only || self.stat) {
            note_unlisted(&diff, context);
            if diff.same && stdout_is_terminal() {
                note(context.output, "no difference");
            }
        }
        Ok(exit)
    }

    fn answer(&self, diff: &Diff<'_>, form: DiffForm, context: &Context) -> Result<Exit, Failure> {
        let form = match form {
            _ if self.stat => DiffForm::Stat,
            _ if self.name_only => DiffForm::Names,
            form => form,
        };
        if self.json.json {
            context.output.answer(|out| render::json(out, diff))?;
        } else {
            let how = DiffStyle {
                form,
                whole: self.no_trunc,
                width: Output::width(),
            };
            let print = |out: &mut dyn Write| render::diff(out, diff, how, &context.limits);
            context.output.styled_answer(print)?;
        }
        Ok(if diff.same { Exit::Done } else { Exit::No })
    }

    /// Prints what differs in the text of some files.
    fn contents(&self, old: &Tree, new: &Tree, context: &Context) -> Result<Exit, Failure> {
        let mut files = Vec::with_capacity(self.content.len());
        // All paths are looked up before anything is printed, so that a mistake prints nothing.
        for given in &self.content {
            let one = file_at(old, given)?;
            let other = file_at(new, given)?;
            if one.is_none() && other.is_none() {
                find(new, given, true, context)?;
            }
            files.push((one, other));
        }
        let people = context.output.is_for_people();
        let mut same = true;
        let print = |out: &mut dyn Write| {
            for (one, other) in files {
                let one = one.map(|path| PatchFile { tree: old, path });
                let other = other.map(|path| PatchFile { tree: new, path });
                same &= render::patch(out, one.as_ref(), other.as_ref(), people)?;
            }
            Ok(())
        };
        if people {
            context.output.styled_answer(print)?;
        } else {
            context.output.answer(print)?;
        }
        Ok(if same { Exit::Done } else { Exit::No })
    }
}

/// Says what differs and is not in the list of `docker diff`.
fn note_unlisted(diff: &Diff<'_>, context: &Context) {
    let unlisted = |file: &DiffFile| file.in_docker_diff == Some(false) && !file.what.is_empty();
    let mut unlisted = diff.files.iter().filter(unlisted);
    let Some(first) = unlisted.next() else { return };
    let what: Vec<&str> = first.what.iter().map(|aspect| aspect.word()).collect();
    let first = format!("`{}` ({})", escape::name(&first.path.0), what.join(", "));
    let message = match unlisted.count() {
        0 => format!("{first} differs too, which `docker diff` does not show"),
        more => format!("{first} and {more} more differ too, which `docker diff` does not show"),
    };
    note(
        context.output,
        &format!("{message}; --name-only lists them all, --json says what differs"),
    );
}

/// The path of the regular file that a path leads to, links followed; `None` if there is nothing.
fn file_at(tree: &Tree, given: &OsString) -> Result<Option<Vec<u8>>, Failure> {
    let given = bytes_of(given);
    for path in escape::readings(&given) {
        let Ok(found) = tree.lookup(&path, true) else {
            let shown = shown(&given);
            return Err(Failure::input(format!(
                "`{shown}` leads through a loop of symbolic links"
            ))
            .hint("`imgtar ls --long` shows where each link points"));
        };
        let Some(node) = found else { continue };
        let path = path.into_owned();
        return match tree.inode(tree.inode_id(node)).body {
            Body::File { .. } => Ok(Some(path)),
            Body::Directory => Err(Failure::input(format!("`{}` is a directory", shown(&path)))
                .hint("without --content, the files in it that differ are listed")),
            _ => Err(
                Failure::input(format!("`{}` is not a regular file", shown(&path)))
                    .hint("without --content, everything else that differs is listed"),
            ),
        };
    }
    Ok(None)
}
