//! `rebuild`: the layered archive again, from a flat tar and its metadata.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use imgtar::base::constants::BUFFER;
use imgtar::base::digest::DiffId;
use imgtar::base::escape;
use imgtar::base::progress::steps;
use imgtar::image::Reference;
use imgtar::report::units;
use imgtar::source::{Compression, Input, Slice};
use imgtar::split::metadata::Container;
use imgtar::split::rebuild::{
    AcceptOptions, Accepted, Extended, RebuildError, Rebuilt, Target, accept, rebuild,
};
use imgtar::tree::ChangeKind;
use jiff::Timestamp;

use super::{Context, Exit, Failure};
use crate::cli::archive_output::{ArchiveDestination, LayoutArg, asked_time, names, tag};
use crate::cli::compress::CompressArchiveArg;
use crate::cli::destination::{Destination, OutputArg};
use crate::cli::error::warn;
use crate::cli::files::both_from_stdin;
use crate::cli::finished::{self, FinishedOutput};
use crate::cli::output::is_closed;

/// Rebuild a layered archive from a flat tar and its metadata
///
/// Reverses `flatten --metadata`. An archive with uncompressed layers is restored byte for byte, and so
/// is one with layers that an encoder compressed that imgtar has too: those of Go (BuildKit, Docker),
/// podman and skopeo, zlib and gzip, and its own. Other layers only come back unchanged if `flatten` ran with --keep-blobs. Otherwise imgtar
/// compresses them again: image ID and diff IDs stay the same, but the digests of the blobs are new, and
/// what refers to them is changed. Every layer is checked against its diff ID before the output file gets its
/// name. A flat tar that was changed is refused, with a list of the paths that differ.
///
/// If the metadata was written with --lean, only the layers whose files are all still in the flat tar
/// are restored; the others are made without what is lost, with new diff IDs in a changed config. What
/// became of each layer is reported on standard error.
///
/// With --accept-changes, the changes in the flat tar become one more layer of the image, as with
/// `imgtar commit`; the layers below are those of the archive. What they need must still be in the flat
/// tar, under any name: bytes that were replaced or removed are lost, unless --keep-blobs kept the
/// layer. The archive holds the changed image alone, and its ID is printed. If nothing was changed, the
/// archive is restored as it is without the option.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar flatten app.tar -o rootfs.tar --metadata app.imgtar
  imgtar rebuild rootfs.tar --metadata app.imgtar -o app.tar
  imgtar rebuild rootfs.tar --metadata app.imgtar | docker load
  tar -rf rootfs.tar etc/app.conf
  imgtar rebuild rootfs.tar --metadata app.imgtar --accept-changes -t app:2 -o app2.tar")]
pub(crate) struct Args {
    /// The flat tar: a path, or - for standard input
    #[arg(value_name = "ROOTFS.tar")]
    flat: PathBuf,

    /// The metadata that `flatten --metadata` wrote: a path, or - for standard input
    #[arg(long, value_name = "FILE")]
    metadata: PathBuf,

    #[command(flatten)]
    output: OutputArg,

    #[command(flatten)]
    compress: CompressArchiveArg,

    /// Make one more layer of the changes in the flat tar, instead of refusing them
    #[arg(long)]
    accept_changes: bool,

    #[command(flatten)]
    accepted: AcceptedArgs,
}

/// What can be said of the image with one more layer.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of --accept-changes")]
struct AcceptedArgs {
    /// Name for the changed image, such as app:1.2; can be given several times [default: the names of
    /// the image]
    #[arg(short, long = "tag", value_name = "REF", value_parser = tag, requires = "accept_changes")]
    tags: Vec<Reference>,

    /// A comment for the history
    #[arg(short, long, value_name = "TEXT", requires = "accept_changes")]
    message: Option<String>,

    /// The time of the new layer, RFC 3339 [default: `SOURCE_DATE_EPOCH`, else now]
    #[arg(long, value_name = "TIME", requires = "accept_changes")]
    created: Option<Timestamp>,

    /// How the archive of the changed image is laid out [default: docker]
    #[arg(long, value_enum, value_name = "LAYOUT", requires = "accept_changes")]
    layout: Option<LayoutArg>,
}

impl AcceptedArgs {
    fn is_any(&self) -> bool {
        !self.tags.is_empty()
            || self.message.is_some()
            || self.created.is_some()
            || self.layout.is_some()
    }
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let is_stdin = |path: &Path| path.as_os_str() == "-";
        if is_stdin(&self.flat) && is_stdin(&self.metadata) {
            return Err(both_from_stdin("the flat tar", "the metadata"));
        }
        let metadata = context.open_metadata(&self.metadata)?;
        let metadata = Container::open(metadata)?;
        let flat = context.open_rootfs(&self.flat, "the flat tar")?;
        let destination = self.output.open(self.compress.wish(), context)?;
        let to_come = [steps::CHECKING_FILES, steps::REBUILDING, steps::WRITING];
        context.progress.plan(&to_come);
        if !self.accept_changes {
            return self.exact(&metadata, &flat, destination, context);
        }
        let names = names(&self.accepted.tags);
        let options = AcceptOptions {
            created: asked_time(self.accepted.created)?.unwrap_or_else(Timestamp::now),
            message: self.accepted.message.as_deref().unwrap_or_default(),
            names: Some(&*names).filter(|names| !names.is_empty()),
            jobs: context.jobs,
        };
        let accepted = accept(&metadata, &flat, options, &context.progress)?;
        if !matches!(accepted, Accepted::Extended(_)) && self.accepted.is_any() {
            warn(
                context.output,
                "nothing was changed, so the archive comes back as it was, with its own names and layout",
            );
        }
        match accepted {
            Accepted::Unchanged => self.exact(&metadata, &flat, destination, context),
            Accepted::Equal(archive, rebuilt) => {
                let is_compressed = destination.is_compressed();
                let placed = copy(&archive, destination)?;
                report(context, &metadata, &rebuilt, is_compressed);
                self.say(placed.as_ref(), &rebuilt, context);
                Ok(Exit::Done)
            }
            Accepted::Extended(extended) => {
                let layout = self.accepted.layout.unwrap_or(LayoutArg::Docker);
                let is_compressed = destination.is_compressed();
                let destination = ArchiveDestination::new(destination, layout, self.output.quiet());
                report_layers(context, &metadata, &extended.rebuilt, is_compressed);
                report_extended(context, &extended);
                destination.write(&[extended.committed.image], true, context)
            }
        }
    }
}

impl Args {
    /// Writes the archive as it was, or reports why it cannot be restored.
    fn exact(
        &self,
        metadata: &Container,
        flat: &Input,
        mut destination: Destination,
        context: &Context,
    ) -> Result<Exit, Failure> {
        let target = match &mut destination {
            Destination::New { file, .. } => Target::File(file.file()),
            other => Target::Stream(other),
        };
        let rebuilt = match rebuild(metadata, flat, target, context.jobs, &context.progress) {
            Ok(rebuilt) => rebuilt,
            Err(RebuildError::Write(error)) if is_closed(&error) => {
                return Ok(Exit::Done);
            }
            Err(error) => return Err(error.into()),
        };
        let is_compressed = destination.is_compressed();
        let placed = destination.finish()?;
        report(context, metadata, &rebuilt, is_compressed);
        self.say(placed.as_ref(), &rebuilt, context);
        Ok(Exit::Done)
    }

    /// Says what was written; every layer was verified on the way.
    fn say(&self, placed: Option<&FinishedOutput>, rebuilt: &Rebuilt, context: &Context) {
        if let Some(placed) = placed {
            let mut facts = vec![finished::layers(rebuilt.layers.len(), true)];
            if rebuilt.exact {
                facts.push("as it was".to_owned());
            }
            placed.say(&facts, self.output.quiet(), context.output);
        }
    }
}

/// Writes an archive that is complete.
fn copy(archive: &Slice, mut destination: Destination) -> Result<Option<FinishedOutput>, Failure> {
    let mut reader = io::BufReader::with_capacity(BUFFER, archive.reader());
    match io::copy(&mut reader, &mut destination) {
        Err(error) if is_closed(&error) => Ok(None),
        Err(error) => Err(RebuildError::Write(error).into()),
        Ok(_) => destination.finish(),
    }
}

fn note(context: &Context, text: &str) {
    context
        .output
        .complain(&format!("{}\n", escape::text(text)));
}

/// Reports what has changed; nothing, if all is as it was.
fn report(context: &Context, metadata: &Container, rebuilt: &Rebuilt, is_compressed: bool) {
    report_layers(context, metadata, rebuilt, is_compressed);
    if rebuilt.exact {
        return;
    }
    let id = &metadata.description().image.id;
    match &rebuilt.image_id {
        None => note(context, &format!("image: {id}, as it was")),
        Some((old, new)) => note(context, &format!("image: {new} instead of {old}")),
    }
}

/// Reports which layers have changed.
fn report_layers(context: &Context, metadata: &Container, rebuilt: &Rebuilt, is_compressed: bool) {
    let compression = metadata.description().archive.compression;
    if compression != Compression::None {
        let now = if is_compressed {
            "its contents come back, compressed again"
        } else {
            "it comes back uncompressed"
        };
        note(
            context,
            &format!("the archive was compressed with {compression} as a whole; {now}"),
        );
    }
    if rebuilt.exact {
        return;
    }
    for (index, layer) in rebuilt.layers.iter().enumerate() {
        let mut text = format!("layer {index}: ");
        match &layer.new_diff_id {
            None => _ = write!(text, "exact, {}", layer.diff_id),
            Some(new) => {
                let lost = units::count(layer.lost, "entry", "entries");
                _ = write!(
                    text,
                    "without {lost} ({}), {new} instead of {}",
                    units::size_spaced(layer.lost_bytes),
                    layer.diff_id
                );
            }
        }
        if let Some((_, new)) = &layer.new_blob
            && Some(new.digest()) != layer.new_diff_id.as_ref().map(DiffId::digest)
        {
            _ = write!(text, "; compressed again, blob {new}");
        }
        note(context, &text);
    }
}

/// Says what the new layer is, and what is doubtful about it.
fn report_extended(context: &Context, extended: &Extended) {
    let committed = &extended.committed;
    let layers = &committed.image.layers;
    if let Some(layer) = layers.last() {
        let count = |kind| committed.delta.count(kind);
        note(
            context,
            &format!(
                "layer {}: new, {}: {} added, {} changed, {} removed",
                layers.len() - 1,
                layer.diff_id(),
                count(ChangeKind::Added),
                count(ChangeKind::Changed),
                count(ChangeKind::Removed)
            ),
        );
    }
    for warning in &committed.warnings {
        let path = escape::name(&warning.path);
        let what = warning.kind.describe();
        warn(context.output, &format!("flat tar: `{path}` {what}"));
    }
    if committed.kept == 0 {
        warn(
            context.output,
            "nothing of the image is left: does the metadata belong to this flat tar?",
        );
    }
    if extended.images > 1 {
        let others = units::count(extended.images - 1, "other image", "other images");
        warn(
            context.output,
            &format!("the archive had {others}, which the new one does not have"),
        );
    }
}
