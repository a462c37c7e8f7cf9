//! `rebuild`: the layered archive again, from a flat tar and its metadata.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use imgtar::metadata::Container;
use imgtar::rebuild::{RebuildError, Rebuilt, Target, rebuild};
use imgtar::report::units;
use imgtar::source::Input;

use super::{Context, Exit, Failure};
use crate::cli::destination::{Destination, OutputArg};
use crate::cli::output::escaped;

/// Put the layers of an archive together again, from a flat tar and its metadata
///
/// What `flatten --metadata` took apart. An archive with uncompressed layers comes back byte for byte;
/// so does one with compressed layers if `flatten` was told to --keep-blobs. Otherwise these layers are
/// compressed again: image ID and diff IDs stay, the digests of the blobs are new and what refers to
/// them is changed. Every layer is held against its diff ID before the archive gets its name. A flat
/// tar that was changed is refused, with the paths that are not what they were.
///
/// From metadata that was written with --lean come back the layers whose files all survive in the flat
/// tar; the others come back without what is lost, with new diff IDs in a changed config. What became
/// of each layer is told on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar flatten app.tar -o rootfs.tar --metadata app.imgtar
  imgtar rebuild rootfs.tar --metadata app.imgtar -o app.tar
  imgtar rebuild rootfs.tar --metadata app.imgtar | docker load")]
pub(crate) struct Args {
    /// The flat tar: a path, or - for standard input
    #[arg(value_name = "ROOTFS.tar")]
    flat: PathBuf,

    /// The metadata that `flatten --metadata` wrote: a path, or - for standard input
    #[arg(long, value_name = "FILE")]
    metadata: PathBuf,

    #[command(flatten)]
    output: OutputArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let is_stdin = |path: &Path| path.as_os_str() == "-";
        if is_stdin(&self.flat) && is_stdin(&self.metadata) {
            return Err(Failure::usage(
                "the flat tar and the metadata cannot both come from standard input",
            ));
        }
        let metadata = Container::open(open(&self.metadata, context)?)?;
        let flat = open(&self.flat, context)?;
        let mut destination = self.output.open()?;
        let target = match &mut destination {
            Destination::New { file, .. } => Target::File(file.as_file()),
            other => Target::Stream(other),
        };
        let rebuilt = match rebuild(&metadata, &flat, target, context.jobs, &context.progress) {
            Ok(rebuilt) => rebuilt,
            Err(RebuildError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Done);
            }
            Err(error) => return Err(error.into()),
        };
        destination.finish()?;
        report(context, &metadata, &rebuilt);
        Ok(Exit::Done)
    }
}

fn open(path: &Path, context: &Context) -> Result<Input, Failure> {
    if path.as_os_str() != "-" {
        return Ok(Input::open(path, &context.progress).map_err(imgtar::Error::from)?);
    }
    if std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "standard input is a terminal, a tar is wanted on it",
        ));
    }
    Ok(Input::stdin(&context.progress).map_err(imgtar::Error::from)?)
}

/// Says what is not as it was; nothing, if all is.
fn report(context: &Context, metadata: &Container, rebuilt: &Rebuilt) {
    let note = |text: String| context.output.complain(&format!("{}\n", escaped(&text)));
    let compression = &metadata.description().archive.compression;
    if compression != "none" {
        note(format!(
            "the archive was compressed with {compression} as a whole; it comes back uncompressed"
        ));
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
            && Some(new) != layer.new_diff_id.as_ref()
        {
            _ = write!(text, "; compressed again, blob {new}");
        }
        note(text);
    }
    match &rebuilt.image_id {
        None => note(format!(
            "image: {}, as it was",
            metadata.description().image.id
        )),
        Some((old, new)) => note(format!("image: {new} instead of {old}")),
    }
}
