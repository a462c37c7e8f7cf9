//! `flatten`: an image as one rootfs tar.

use std::ffi::OsString;
use std::path::PathBuf;

use imgtar::base::progress::steps;
use imgtar::image::Image;
use imgtar::output::{FlattenOptions, MergedImage, WriteError};
use imgtar::report::units;
use imgtar::split::metadata::{CollectOptions, Collected, ContainerDescription, collect};
use imgtar::tar::Mtime;
use imgtar::tree::Tree;

use super::ls::find;
use super::{Context, Exit, Failure, Loaded};
use crate::cli::archive_output::asked_time;
use crate::cli::args::{ArchiveArg, OneImageArg};
use crate::cli::compress::{CompressArg, Wish};
use crate::cli::destination::{Destination, OutputArg};
use crate::cli::finished::{self, FinishedOutput};
use crate::cli::output::is_closed;
use crate::cli::xattrs::{DropXattrArg, warn_of_xattrs};

/// Merge the layers of an image into one rootfs tar
///
/// Writes what `docker export` would write for a container of the image, without what the engine adds
/// to a container. Applies the layers as the OCI image specification says; where engines would show
/// something else, a warning says which engine and what. Checks every layer against its diff ID at the
/// same time: if one does not match, no output file is left and the exit code is 3.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar flatten app.tar -o rootfs.tar
  imgtar flatten app.tar -o rootfs.tar.zst
  imgtar flatten app.tar --only etc usr/share/doc -o part.tar
  imgtar flatten app.tar app:1.2 | tar -tv
  docker save app | imgtar flatten - -o rootfs.tar
  imgtar flatten app.tar -o rootfs.tar --metadata app.imgtar")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    image: OneImageArg,
    #[command(flatten)]
    output: OutputArg,

    #[command(flatten)]
    compress: CompressArg,

    /// Only these paths, what is below them and the directories above them
    ///
    /// Can be given several times. Symbolic links stay links; those that a path goes through are kept too. If a file
    /// has several names, those that are kept share its bytes. Paths may be given as `ls` prints them. All layers are
    /// still checked.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    only: Vec<OsString>,

    #[command(flatten)]
    metadata: MetadataArg,

    /// Do not check the layers against their diff IDs
    #[arg(long)]
    no_verify: bool,

    #[command(flatten)]
    xattrs: DropXattrArg,

    /// Add what Docker adds to a container that was created but not started
    ///
    /// `.dockerenv`, `etc/hosts` and so on, and the working directory. Their time is the one given by
    /// --created, else by `SOURCE_DATE_EPOCH`, else the image's own.
    #[arg(long)]
    as_container: bool,

    /// The time of what --as-container adds, RFC 3339
    #[arg(long, value_name = "TIME", requires = "as_container")]
    created: Option<jiff::Timestamp>,
}

/// What is written beside the flat tar.
#[derive(Debug, clap::Args)]
struct MetadataArg {
    /// Also write what a flat tar cannot hold, so that `rebuild` can restore the archive
    ///
    /// This is headers, manifests, configs, and the bytes of files that upper layers hide. Everything
    /// else in the archive is kept whole, including other images. See docs/metadata.md.
    #[arg(long, value_name = "FILE", conflicts_with = "drop_xattrs")]
    metadata: Option<PathBuf>,

    /// Leave the bytes of hidden files out of the metadata; `rebuild` then makes the layers without
    /// them
    #[arg(long, requires = "metadata")]
    lean: bool,

    /// Keep compressed layers unchanged in the metadata, so that `rebuild` restores them byte for byte
    /// whatever compressed them
    #[arg(long, requires = "metadata")]
    keep_blobs: bool,
}

impl MetadataArg {
    /// Opens the metadata's destination.
    fn open(&self, output: &OutputArg, context: &Context) -> Result<Option<Destination>, Failure> {
        let Some(path) = &self.metadata else {
            return Ok(None);
        };
        if path.as_os_str() == "-" && output.is_stdout() {
            return Err(Failure::usage(
                "the flat tar and the metadata cannot both go to standard output",
            )
            .hint("name a file with -o"));
        }
        Destination::open_tar(path, output.force(), Wish::BY_NAME, context).map(Some)
    }
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

    /// Writes the metadata.
    fn describe(
        &self,
        context: &Context,
        loaded: &Loaded,
        image: &Image,
        tree: &Tree,
        out: &mut Destination,
    ) -> Result<Collected, Failure> {
        let as_container = if self.as_container {
            Some(container(image, self.time(image)?))
        } else {
            None
        };
        let options = CollectOptions {
            lean: self.metadata.lean,
            keep_blobs: self.metadata.keep_blobs,
            verified: !self.no_verify,
            as_container,
            jobs: context.jobs,
        };
        let (archive, set) = (&loaded.archive, &loaded.set);
        let progress = &context.progress;
        Ok(collect(archive, set, image, tree, &options, out, progress)?)
    }

    /// Metadata is of a whole image.
    fn require_all_for_metadata(&self) -> Result<(), Failure> {
        if !self.only.is_empty() && self.metadata.metadata.is_some() {
            return Err(Failure::usage(
                "--metadata cannot describe what --only leaves out: no archive could be rebuilt from it",
            )
            .hint("flatten twice: once with --metadata, and once with --only to another file"));
        }
        Ok(())
    }

    /// Leaves out what was not asked for, if anything was.
    fn keep_only(&self, merged: &mut MergedImage<'_>, context: &Context) -> Result<(), Failure> {
        if self.only.is_empty() {
            return Ok(());
        }
        let paths = self.only.iter();
        let paths = paths.map(|path| Ok(find(merged.tree(), path, false, context)?.1));
        let paths: Vec<Vec<u8>> = paths.collect::<Result<_, Failure>>()?;
        merged.keep_only(&paths);
        Ok(())
    }

    /// Says what was written.
    fn say(
        &self,
        image: &Image,
        entries: u64,
        metadata: Option<FinishedOutput>,
        written: Option<FinishedOutput>,
        context: &Context,
    ) {
        let quiet = self.output.quiet();
        if let Some(metadata) = metadata {
            metadata.say(
                &["metadata for `rebuild`".to_owned()],
                quiet,
                context.output,
            );
        }
        if let Some(written) = written {
            let entries = usize::try_from(entries).unwrap_or(usize::MAX);
            let facts = [
                units::count(entries, "entry", "entries"),
                finished::layers(image.layers.len(), !self.no_verify),
            ];
            written.say(&facts, quiet, context.output);
        }
    }

    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        self.require_all_for_metadata()?;
        let loaded = context.load(&self.archive)?;
        let image = loaded.pick_to_write(&self.image, context)?;
        if !self.no_verify {
            loaded.require_one_description()?;
        }
        let mut destination = self.output.open(self.compress.wish(), context)?;
        let mut metadata = self.metadata.open(&self.output, context)?;
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
        context.plan(image, &[steps::WRITING]);
        let progress = &context.progress;
        let mut merged = match destination.file() {
            Some(_) => MergedImage::for_file(image, options, progress)?,
            None => MergedImage::for_stream(image, options, progress)?,
        };
        self.keep_only(&mut merged, context)?;
        let dropped = merged.drop_xattrs(&self.xattrs.patterns());
        // Before the bytes of compressed layers are given up.
        let collected = match &mut metadata {
            Some(out) => Some(self.describe(context, &loaded, image, merged.tree(), out)?),
            None => None,
        };
        let flattened = match destination.file() {
            Some(file) => merged.write_to_file(file, progress),
            None => merged.write(&mut destination, progress),
        };
        let flattened = match flattened {
            Ok(flattened) => flattened,
            Err(WriteError::Write(error)) if is_closed(&error) => {
                // The reader has closed the pipe, which is not an error; a file that was asked for and is not
                // there is one.
                if metadata.is_some() {
                    let message = "the output was closed before it was complete, so the metadata was not written";
                    return Err(Failure::environment(message, &error));
                }
                return Ok(Exit::Done);
            }
            Err(error) => return Err(error.into()),
        };
        context.warn_of_image(&loaded, image);
        context.warn_of_tree(&flattened.warnings);
        self.xattrs.warn_of_none(&dropped, context.output);
        warn_of_xattrs(
            &flattened.refused_xattrs,
            DropXattrArg::WAY_OUT,
            context.output,
        );
        if let Some(collected) = collected
            && collected.foreign > 0
        {
            context.output.complain(&format!(
                "the metadata keeps {} of other images and blobs of the archive, before compression\n",
                units::size_spaced(collected.foreign)
            ));
        }
        let metadata = metadata.map(Destination::finish).transpose()?.flatten();
        let written = destination.finish()?;
        self.say(image, flattened.entries, metadata, written, context);
        Ok(Exit::Done)
    }
}

/// What `--as-container` added, as metadata remembers it.
fn container(image: &Image, time: Mtime) -> ContainerDescription {
    let working_dir = image.view().map_or("", |config| &config.run.working_dir);
    ContainerDescription {
        seconds: time.seconds,
        nanoseconds: time.nanoseconds,
        working_dir: working_dir.to_owned(),
    }
}
