//! `convert`: the same images in another layout.

use clap::ValueEnum;
use imgtar::base::progress::steps;
use imgtar::document::WantedPlatform;
use imgtar::output::{ArchiveGraph, ArchiveLayout, KeepWish, LayerCompression};
use imgtar::source::{Compression, Method};

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
/// Prints the image IDs, and whether the digests change by which containerd stores and signatures know the images.
/// --compress stores layers in another compression; that changes the digests of manifests, never an image ID.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar convert app.tar --layout oci -o app-oci.tar
  imgtar convert app.tar --layout oci --compress zstd -o app-oci.tar
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

    /// How hard --compress tries: 0 to 9 for gzip [default: 4], 1 to 22 for zstd [default: 3]; layers that already have
    /// the format are then compressed again
    #[arg(long, value_name = "N")]
    level: Option<u32>,

    #[command(flatten)]
    output: CarryOutputArg,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum CompressArg {
    /// As they are, byte for byte, unless the layout cannot hold that
    Keep,
    /// Not at all
    None,
    /// With gzip, on all cores; layers that already are gzip stay as they are
    Gzip,
    /// With zstd, on all cores; layers that already are zstd stay as they are
    Zstd,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let layout: ArchiveLayout = self.layout.into();
        let layers = self.layers(layout)?;
        let loaded = context.load(&self.archive)?;
        loaded.require_images()?;
        loaded.require_one_description()?;
        let first = match self.compress {
            CompressArg::Keep => steps::HASHING,
            CompressArg::None => steps::DECOMPRESSING,
            CompressArg::Gzip | CompressArg::Zstd => steps::COMPRESSING,
        };
        context.progress.plan(&[first, steps::WRITING]);
        let destination = self.output.open(layout, context)?.with_layers(layers);
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
        let carried = Carried::new("convert", layout, vec![&loaded.set], &changes);
        carried.write(&graph, destination, &self.output, context)
    }

    /// How layers are to be compressed; a wish that makes no sense is refused before anything is read.
    fn layers(&self, layout: ArchiveLayout) -> Result<LayerCompression, Failure> {
        let compression = match self.compress {
            CompressArg::Keep => None,
            CompressArg::None => Some(Compression::None),
            CompressArg::Gzip => Some(Compression::Gzip),
            CompressArg::Zstd => Some(Compression::Zstd),
        };
        if self.level.is_some() && self.compress <= CompressArg::None {
            return Err(Failure::usage(
                "--level says how hard to compress, but nothing is compressed",
            )
            .hint("add --compress gzip or --compress zstd"));
        }
        let Some(compression) = compression else {
            return Ok(LayerCompression::Keep);
        };
        if compression == Compression::Zstd && layout == ArchiveLayout::DockerLegacy {
            return Err(
                Failure::usage("programs that need docker-legacy cannot read zstd layers").hint(
                    "Docker 23 and later load --layout docker; every Docker loads --compress gzip",
                ),
            );
        }
        let method = Method::new(compression, self.level).map_err(|error| {
            Failure::usage(format!("--level: {error}"))
                .hint("without --level the format's usual level is used")
        })?;
        Ok(match self.level {
            Some(_) => LayerCompression::Anew(method),
            None => LayerCompression::As(method),
        })
    }
}
