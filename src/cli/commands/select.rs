//! `select`: some images of an archive.

use imgtar::Image;
use imgtar::document::WantedPlatform;
use imgtar::image::Selector;
use imgtar::output::{ArchiveGraph, ArchiveLayout, KeepWish};

use super::{Context, Exit, Failure};
use crate::cli::archive_output::CarryOutputArg;
use crate::cli::args::{ArchiveArg, ImagesArg};
use crate::cli::carried::Carried;

/// Write some images of an archive
///
/// Keeps the layout of the archive and copies everything byte for byte. An image for several platforms is kept whole,
/// unless --platform selects platforms. An index that lists less than before gets another digest; if only one of its
/// images is left, that image takes the place and the names of the index. Attestations and signatures stay with the
/// images that they are about.
///
/// --present leaves out whatever the archive names but does not hold. That repairs archives that `ctr images import
/// --all-platforms`, kind and k3s refuse because they name platforms that were never saved.
///
/// Prints the image IDs, and whether the digests change by which containerd stores and signatures know the images.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar select all.tar app:1.2 -o app.tar
  imgtar select app.tar --present -o whole.tar
  imgtar select app.tar --platform linux/amd64 --platform linux/arm64 -o two.tar")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    #[command(flatten)]
    images: ImagesArg,

    /// Which platforms: os/architecture or architecture, such as linux/arm64, arm64 or arm/v7; can be given
    /// several times [default: all]
    #[arg(long, value_name = "PLATFORM")]
    platform: Vec<WantedPlatform>,

    /// Keep only what is really in the archive, and name nothing else
    #[arg(long)]
    present: bool,

    #[command(flatten)]
    output: CarryOutputArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        loaded.require_images()?;
        loaded.require_one_description()?;
        let layout = ArchiveLayout::of(loaded.set.layout);
        let mut images: Vec<&Image> = Vec::new();
        let selectors: Vec<Option<&Selector>> = match self.images.images() {
            [] => vec![None],
            named => named.iter().map(Some).collect(),
        };
        let platforms: Vec<Option<&WantedPlatform>> = match &self.platform[..] {
            [] => vec![None],
            named => named.iter().map(Some).collect(),
        };
        for selector in selectors {
            loaded.know_ids(selector, context)?;
            for platform in &platforms {
                images.extend(loaded.set.pick_all(selector, *platform)?);
            }
        }
        let destination = self.output.open(layout, context)?;
        let (graph, mut changes) = ArchiveGraph::of(&loaded.archive, &loaded.set)?;
        let wish = KeepWish {
            images: &images,
            present: self.present,
            absent: self.platform.is_empty() && !self.present,
            flat: false,
        };
        let (graph, more) = graph.keep(wish);
        changes.extend(more);
        if graph.is_empty() {
            let path = loaded.archive.path();
            return Err(
                Failure::input(format!("{path} holds none of these images in full"))
                    .hint("save the image again; `imgtar verify` reports what is missing"),
            );
        }
        let carried = Carried::new("select", layout, vec![&loaded.set], &changes);
        carried.write(&graph, destination, &self.output, context)
    }
}
