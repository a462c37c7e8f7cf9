//! What is done in the background, and the news of it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use imgtar::base::progress::{Progress, Task};
use imgtar::image::{Image, Selector};
use imgtar::layer::{Measure, OpenLayers, measure};
use imgtar::output::{write_file, write_tree};
use imgtar::report::{BlamePath, WasteReport, units};
use imgtar::source::Compression;
use imgtar::tree::{FateRecord, Fates, LayerPath, LayerWaste, Timeline, Tree, TreeError, Waste};
use imgtar::{Options, WantedPlatform};

use super::rows::FileRows;
use crate::cli::commands::{Context, Loaded};
use crate::cli::compress::Wish;
use crate::cli::destination::Destination;
use crate::cli::error::Failure;
use crate::cli::finished::FinishedOutput;

/// How much of a file is held to be looked at, in bytes.
pub(crate) const VIEWED: u64 = 4 << 20;

/// What the background does, for people.
pub(crate) const OPENING: &str = "opening the archive";
pub(crate) const READING: &str = "reading layers";
pub(crate) const COMPARING: &str = "comparing files";
pub(crate) const WRITING: &str = "writing";

/// What the background has to tell.
#[derive(Debug)]
pub(crate) enum News {
    /// The archive is open, or cannot be opened.
    Opened(Result<OpenedArchive, Failure>),
    /// The layers of the image at this place of the list are measured.
    Measured(usize, Vec<Option<Measure>>),
    /// The layers of an image are merged, or as many of them as can be.
    Merged(usize, Result<Merged, Failure>),
    /// What each layer stores and hides.
    Hidden(usize, Vec<LayerWaste>),
    /// The rows that were asked for.
    Rows(usize, FileRows),
    /// What layers did to a path.
    Blamed(usize, Result<BlamePath, Failure>),
    /// What an image stores and never shows.
    Wasted(usize, Result<Arc<WasteReport>, Failure>),
    /// The beginning of a file.
    Viewed(usize, Result<ViewedFile, Failure>),
    /// What was written.
    Written(Result<String, Failure>),
    /// A panic.
    Bug,
}

/// An archive that is open.
#[derive(Debug)]
pub(crate) struct OpenedArchive {
    /// The images to choose from, and what is wrong with the archive.
    pub(super) images: Vec<Arc<Image>>,
    pub(super) problems: usize,
}

/// The layers of an image, merged.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(super) timeline: Arc<Timeline>,
    /// Why there are not more layers.
    pub(super) failure: Option<Failure>,
}

/// The beginning of a file.
#[derive(Debug)]
pub(crate) struct ViewedFile {
    pub(super) path: Vec<u8>,
    pub(super) size: u64,
    pub(super) bytes: Vec<u8>,
}

/// How far the background is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<MeterCounts>);

#[derive(Debug, Default)]
struct MeterCounts {
    done: AtomicU64,
    total: AtomicU64,
}

impl Meter {
    /// Other work begins.
    pub(super) fn begin_anew(&self) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(0, Ordering::Relaxed);
    }

    /// How many bytes are done, and of how many.
    pub(super) fn read(&self) -> (u64, u64) {
        (
            self.0.done.load(Ordering::Relaxed),
            self.0.total.load(Ordering::Relaxed),
        )
    }
}

impl Progress for Meter {
    fn begin(&self, _what: &str, total: Option<u64>) -> Box<dyn Task> {
        self.0
            .total
            .fetch_add(total.unwrap_or(0), Ordering::Relaxed);
        Box::new(self.clone())
    }
}

impl Task for Meter {
    fn advance(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn options<'m>(context: &Context, meter: &'m Meter) -> Options<'m> {
    Options {
        limits: context.limits,
        jobs: context.jobs,
        progress: meter,
        stop: None,
    }
}

/// Opens an archive and finds the images to choose from.
pub(super) fn open(
    context: &Context,
    path: &Path,
    selector: Option<&Selector>,
    platform: Option<&WantedPlatform>,
    meter: &Meter,
) -> Result<OpenedArchive, Failure> {
    let archive = context.files.archive(path, &options(context, meter))??;
    let loaded: Loaded = Context::read(archive)?;
    loaded.require_images()?;
    loaded.know_ids(selector, context)?;
    let images = loaded.set.pick_all(selector, platform)?;
    Ok(OpenedArchive {
        images: images.into_iter().cloned().map(Arc::new).collect(),
        problems: loaded.set.problems.len(),
    })
}

/// The layer that an error is about.
fn layer_of(error: &TreeError) -> Option<usize> {
    match error {
        TreeError::Entry { layer, .. }
        | TreeError::Limit { layer, .. }
        | TreeError::Layer { layer, .. } => Some(*layer),
        _ => None,
    }
}

/// Opens the layers of an image, each once, and merges them. What is above a layer that cannot be read is left out.
pub(super) fn merge(
    context: &Context,
    image: &Image,
    meter: &Meter,
    measured: impl FnOnce(Vec<Option<Measure>>),
) -> Result<Merged, Failure> {
    let options = options(context, meter);
    let mut failure = None;
    let mut image = image.clone();
    loop {
        let error = match open_and_merge(&image, &options) {
            Ok((layers, fates)) => {
                let sizes = layers
                    .tars()
                    .iter()
                    .map(|tar| measure(tar.bytes(), Compression::None, &Meter::default()).ok());
                measured(sizes.collect());
                let timeline = Timeline::new(fates, image.layers.len());
                return Ok(Merged {
                    timeline: Arc::new(timeline),
                    failure,
                });
            }
            Err(error) => error,
        };
        // The layers below are sound, or the next round says which of them is not.
        match layer_of(&error).filter(|layer| *layer < image.layers.len()) {
            Some(layer) if !error.is_environment() => image.layers.truncate(layer),
            _ => return Err(error.into()),
        }
        failure.get_or_insert(Failure::from(error));
    }
}

fn open_and_merge(image: &Image, options: &Options<'_>) -> Result<(OpenLayers, Fates), TreeError> {
    let layers = OpenLayers::of(image, false, options.jobs, options.progress)?;
    let fates = Fates::of_layers(layers.tars())?;
    Ok((layers, fates))
}

/// What each layer stores and hides.
pub(super) fn hidden(timeline: &Timeline) -> Vec<LayerWaste> {
    Waste::of_layers(timeline.fates(), timeline.layers())
}

/// What layers did to a path.
pub(super) fn blame(timeline: &Timeline, image: &Image, path: &[u8]) -> Result<BlamePath, Failure> {
    Ok(BlamePath::of(timeline.fates(), image, path)?)
}

/// What an image stores and never shows.
pub(super) fn waste(
    context: &Context,
    timeline: &Timeline,
    image: &Image,
    meter: &Meter,
) -> Result<Arc<WasteReport>, Failure> {
    let mut image = image.clone();
    image.layers.truncate(timeline.layers());
    let report = WasteReport::of_merged(&image, timeline.fates(), &options(context, meter))?;
    Ok(Arc::new(report))
}

/// The beginning of a regular file.
pub(super) fn view(
    timeline: &Timeline,
    record: &FateRecord,
    path: Vec<u8>,
) -> Result<ViewedFile, Failure> {
    let inode = timeline.inode(record);
    let mut bytes = Vec::new();
    if let Some(reader) = timeline.fates().tree().reader(inode)? {
        let read = reader.take(VIEWED).read_to_end(&mut bytes);
        read.map_err(|error| Failure::environment("the file cannot be read", &error))?;
    }
    Ok(ViewedFile {
        path,
        size: inode.size(),
        bytes,
    })
}

/// What is to be written, and where.
#[derive(Clone, Debug)]
pub(crate) struct Extraction {
    /// The path in the image, empty for all of it.
    pub(super) path: Vec<u8>,
    pub(super) record: Option<FateRecord>,
    /// The layer after which it looks like that.
    pub(super) layer: usize,
    pub(super) is_directory: bool,
    pub(super) to: PathBuf,
}

/// Writes a file, or a directory as a tar, to a file that is not there yet.
pub(super) fn extract(
    context: &Context,
    timeline: &Timeline,
    what: &Extraction,
    meter: &Meter,
) -> Result<String, Failure> {
    let to = &what.to;
    if to.as_os_str().is_empty() || to.as_os_str() == "-" {
        return Err(Failure::usage("no file was named").hint("type the name of a file to write"));
    }
    let record = match &what.record {
        Some(record) if !what.is_directory => record,
        _ => {
            let mut destination = Destination::open_tar(to, false, Wish::BY_NAME, context)?;
            let layers = timeline.fates().tree().layers();
            let upto = layers.len().min(what.layer + 1);
            let mut tree = Tree::of_layers(&layers[..upto])?;
            tree.keep_only(&[LayerPath::new(&what.path).components().join(&b'/')]);
            let entries = write_tree(&tree, &mut destination, meter)?;
            let placed = destination.finish()?;
            let entries = usize::try_from(entries).unwrap_or(usize::MAX);
            let entries = units::count(entries, "entry", "entries");
            return Ok(written(placed, &[entries]));
        }
    };
    let inode = timeline.inode(record);
    let mut destination = Destination::open(to, false, &context.files)?;
    write_file(timeline.fates().tree(), inode, &mut destination)?;
    Ok(written(destination.finish()?, &[]))
}

/// What was written, as commands say it.
fn written(placed: Option<FinishedOutput>, facts: &[String]) -> String {
    match placed {
        Some(placed) => format!("{} written", placed.line(facts)),
        None => "the reader has closed the output".to_owned(),
    }
}
