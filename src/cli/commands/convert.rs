//! `convert`: the same images in another layout.

use clap::ValueEnum;
use imgtar::document::WantedPlatform;
use imgtar::output::{ArchiveGraph, ArchiveLayout, KeepWish};

use super::{Context, Exit, Failure};
use crate::cli::archive_output::{CarryOutputArg, LayoutArg};
use crate::cli::args::ArchiveArg;
use crate::cli::carried::Carried;

/// Write the same images in another layout
///
/// Layers, configs and manifests are copied byte for byte where the layout can hold them: image IDs and diff IDs
/// never change. An OCI image layout keeps all platforms of an index, attestations, signatures and other artifacts.
/// Docker's layouts get one platform of each image. Every layer is verified against its digests on the way.
///
/// The image IDs are printed, and what becomes of the digests by which a containerd store and signatures know
/// the images.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar convert app.tar --layout oci -o app-oci.tar
  imgtar convert oci.tar --layout docker --platform linux/arm64 -o app.tar
  skopeo copy docker://alpine oci-archive:/dev/stdout | imgtar convert - --layout docker | docker load")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    /// How the new archive is laid out
    #[arg(long, value_enum, value_name = "LAYOUT")]
    layout: LayoutArg,

    /// Which platform of images for several: os/architecture or architecture, such as linux/arm64, arm64 or
    /// arm/v7 [default: all in an OCI image layout, else the only one that is there]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<WantedPlatform>,

    /// How layers are compressed
    #[arg(long, value_enum, value_name = "HOW", default_value_t = CompressArg::Keep)]
    compress: CompressArg,

    #[command(flatten)]
    output: CarryOutputArg,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompressArg {
    /// As they are, unless the layout cannot hold that
    Keep,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let CompressArg::Keep = self.compress;
        let layout: ArchiveLayout = self.layout.into();
        let loaded = context.load(&self.archive)?;
        loaded.require_images()?;
        loaded.require_one_description()?;
        let destination = self.output.open(layout, context)?;
        let (graph, mut changes) = ArchiveGraph::of(&loaded.archive, &loaded.set)?;
        let flat = layout != ArchiveLayout::Oci;
        let platform = self.platform.as_ref();
        let images = if flat {
            graph.one_platform_each(platform)?
        } else {
            loaded.set.pick_all(None, platform)?
        };
        let wish = KeepWish {
            images: &images,
            present: false,
            absent: platform.is_none(),
            flat,
        };
        let (graph, more) = graph.keep(wish);
        changes.extend(more);
        let carried = Carried {
            command: "convert",
            verify: true,
            layout,
            sets: vec![&loaded.set],
            changes: &changes,
            stored_twice: None,
            reconfigured: None,
        };
        carried.write(&graph, destination, &self.output, context)
    }
}
