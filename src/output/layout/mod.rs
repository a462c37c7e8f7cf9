//! Image archives: configs and layers as one tar, in the layout that an engine writes.
//!
//! Three layouts are written, each as its engine does, member by member (`docs/formats.md`):
//!
//! | layout | as written by | read by |
//! |---|---|---|
//! | [`ArchiveLayout::Docker`] | Docker 25 and later | every engine |
//! | [`ArchiveLayout::DockerLegacy`] | Docker 1.10 to 24 | every engine |
//! | [`ArchiveLayout::Oci`] | skopeo, containerd | containerd, podman, skopeo |
//!
//! Layers are copied as they are stored, compressed or not, and stored once however many images or places they are
//! used in. No body is held in memory. The bytes of an archive depend only on its images: owners are 0, times come
//! from the configs or are 0.
//!
//! Threats: a layer that does not match the config would become an archive with false digests; with
//! [`ArchiveOptions::verify`] every layer is verified against its digests before the output counts.
//!
//! Long: what all layouts share, and the types of the answer.

mod blobs;
mod chosen;
mod describe;
mod docker;
mod image;
mod listing;
mod members;
mod oci;
mod recode;
mod thin;
mod v1;

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use describe::Described;
pub use image::{OutputImage, OutputLayer};
pub use recode::{LayerCompression, RecodedLayers};

use chosen::{Chosen, artifacts, detached, warnings};
use listing::IndexListing;
use members::ArchiveMembers;
pub use thin::LeftOutLayer;

use super::WriteError;
use super::graph::ArchiveGraph;
use crate::archive::Layout;
use crate::base::constants::DOCKER_LAYERS;
use crate::base::digest::{BlobDigest, ContainerdId, Digest, ImageId};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::{Config, Platform};
use crate::image::Name;
use crate::layer::digest::Claims;

/// How an archive is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ArchiveLayout {
    /// Docker 25 and later: an OCI image layout that has `manifest.json` too.
    #[default]
    Docker,
    /// Docker 1.10 to 24: `manifest.json` and a directory for each layer.
    DockerLegacy,
    /// An OCI image layout and nothing else.
    Oci,
}

impl ArchiveLayout {
    /// The layout that keeps that of an archive. Archives from before Docker 1.10 get
    /// [`DockerLegacy`](Self::DockerLegacy), since theirs is not written any more.
    pub fn of(layout: Layout) -> Self {
        match layout {
            Layout::Oci => Self::Oci,
            Layout::DockerOci => Self::Docker,
            Layout::Docker | Layout::DockerV1 => Self::DockerLegacy,
        }
    }

    /// Its name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::DockerLegacy => "docker-legacy",
            Self::Oci => "oci",
        }
    }
}

/// How to write an archive.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveOptions {
    /// The layout.
    pub layout: ArchiveLayout,
    /// Whether every layer whose digests were not computed by this program is verified against them.
    pub verify: bool,
    /// How layers that are stored somewhere are compressed; those that are made are not.
    pub compress: LayerCompression,
    /// How many threads work at once.
    pub jobs: Jobs,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct WrittenArchive {
    /// The images, in the order they were given in.
    pub images: Vec<WrittenImage>,
    /// How many bytes the archive has.
    pub bytes: u64,
    /// How many layers it has, each counted once.
    pub layers: usize,
    /// What became of the layers that were not copied as they are stored.
    pub recoded: RecodedLayers,
    /// What is about a manifest that has another digest now.
    pub detached: Vec<Detached>,
    /// What not every engine accepts.
    pub warnings: Vec<ArchiveWarning>,
    /// The layers that it is written without, each once.
    pub left_out: Vec<LeftOutLayer>,
}

/// What an engine may not read as intended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveWarning {
    /// More layers than Docker's graph-driver store can stack (moby `layer/layer_store.go`).
    #[error("{image} has {layers} layers; Docker's overlay2 cannot load more than {DOCKER_LAYERS}")]
    TooManyLayers {
        /// The image, for people.
        image: String,
        /// How many layers it has.
        layers: usize,
    },
    /// A bare word is a name in an OCI image layout alone; Docker refuses archives that have one.
    #[error(
        "the archive cannot keep the name `{name}`, which Docker does not accept: only an OCI image layout can"
    )]
    NameDropped {
        /// The name.
        name: Name,
    },
    /// Docker before 23 cannot read layers that are compressed with zstd.
    #[error("the layers are compressed with zstd, which Docker before 23 cannot load")]
    ZstdForDocker,
    /// The digest of a reference is that of another manifest, so the archive cannot keep it.
    #[error("the archive cannot keep the digest of `{name}`: it names another manifest")]
    DigestDropped {
        /// The name as it was.
        name: Name,
    },
}

/// A manifest that is not an image, and is about a manifest that has another digest now. What its blobs say of the
/// old one (a signature, the subject of a statement) is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detached {
    /// What it is: a signature, an attestation.
    pub kind: String,
    /// Its digest as it was.
    pub digest: Digest,
    /// Its own digest now, if that has changed because it names the other one.
    pub digest_now: Option<Digest>,
    /// What it is about.
    pub before: Digest,
    /// The digest that this has now.
    pub now: Digest,
}

/// One image of a written archive.
#[derive(Clone, Debug)]
pub struct WrittenImage {
    /// What Docker's graph-driver store, podman and skopeo call it.
    pub id: ImageId,
    /// What engines with a containerd store call it: the digest of its OCI manifest, or in
    /// [`ArchiveLayout::DockerLegacy`] of the manifest that containerd makes; such a store gives it another ID if
    /// it holds one of the layers compressed already. `None` if it is not named by SHA-256 there.
    pub containerd: Option<ContainerdId>,
    /// The digest of its OCI manifest; `None` in [`ArchiveLayout::DockerLegacy`], which has none.
    pub manifest: Option<BlobDigest>,
    /// The digest of the manifest that it had in the archive that it comes from, if it had one.
    pub manifest_before: Option<BlobDigest>,
    /// What it is called; further platforms of an index have no names of their own.
    pub names: Vec<Name>,
    /// What it runs on, as its config says.
    pub platform: Platform,
}

/// Writes `images` as one archive to `out`, one byte after the other.
///
/// # Errors
///
/// [`WriteError`]. What was written until then is worthless.
pub fn write_archive<W: Write>(
    images: &[OutputImage],
    out: W,
    options: ArchiveOptions,
    progress: &dyn Progress,
) -> Result<WrittenArchive, WriteError> {
    write_graph(&ArchiveGraph::of_images(images), out, options, progress)
}

/// Writes a graph as one archive to `out`, one byte after the other.
///
/// # Errors
///
/// As [`write_archive`].
pub fn write_graph<W: Write>(
    graph: &ArchiveGraph<'_>,
    out: W,
    options: ArchiveOptions,
    progress: &dyn Progress,
) -> Result<WrittenArchive, WriteError> {
    lay_out(graph, options, progress, |members, claims| {
        claims.while_writing(options.jobs, progress, || members.write(out, progress))
    })
}

/// Writes `images` as one archive to `file`, which is empty and seekable: the same bytes as
/// [`write_archive`], with all cores at work, and each layer read once for its digest and its copy.
///
/// # Errors
///
/// As [`write_archive`].
pub fn write_archive_to_file(
    images: &[OutputImage],
    file: &File,
    options: ArchiveOptions,
    progress: &dyn Progress,
) -> Result<WrittenArchive, WriteError> {
    write_graph_to_file(&ArchiveGraph::of_images(images), file, options, progress)
}

/// Writes a graph as one archive to `file`, as [`write_archive_to_file`] does.
///
/// # Errors
///
/// As [`write_archive`].
pub fn write_graph_to_file(
    graph: &ArchiveGraph<'_>,
    file: &File,
    options: ArchiveOptions,
    progress: &dyn Progress,
) -> Result<WrittenArchive, WriteError> {
    lay_out(graph, options, progress, |members, claims| {
        members.write_to_file(file, claims, options.jobs, progress)
    })
}

/// What writing a graph would give, byte for byte as long, without writing it. Layers are read where their digests
/// are not known.
///
/// # Errors
///
/// As [`write_archive`]; layers are not verified.
pub fn measure_graph(
    graph: &ArchiveGraph<'_>,
    options: ArchiveOptions,
    progress: &dyn Progress,
) -> Result<WrittenArchive, WriteError> {
    let options = ArchiveOptions {
        verify: false,
        ..options
    };
    lay_out(graph, options, progress, |members, _| members.len())
}

/// Says what the archive of a graph consists of and what is claimed of it, has it written and says what
/// was written.
fn lay_out(
    graph: &ArchiveGraph<'_>,
    options: ArchiveOptions,
    progress: &dyn Progress,
    write: impl FnOnce(&ArchiveMembers, Claims<'_>) -> Result<u64, WriteError>,
) -> Result<WrittenArchive, WriteError> {
    let chosen = Chosen::of(graph, options.layout);
    let images = chosen.images.iter();
    let images = images.map(|image| {
        let mut output = image.output(&graph.layers, options.jobs, progress)?;
        graph.thin.leave_out(&mut output);
        Ok::<_, WriteError>(output)
    });
    let images: Vec<OutputImage> = images.collect::<Result<_, _>>()?;
    let views = images.iter().map(OutputImage::view);
    let views: Vec<Config> = views.collect::<Result<_, _>>()?;
    let layers = blobs::name(&images, options, progress)?;
    let mut described = Vec::with_capacity(images.len());
    for (number, (image, view)) in images.iter().zip(views).enumerate() {
        let kept = chosen.images[number].manifest.as_ref();
        let names = &chosen.names[number];
        described.push(Described::new(image, names, kept, view, &layers[number]));
    }
    let warnings = warnings(&described, &chosen, options.layout)?;
    let mut listing = IndexListing::of(graph, &described, &chosen.numbers)?;
    let thin = thin::Thinned::of(&described, &graph.thin);
    listing.thin = thin.digest();
    let by_name = || chosen.named.iter().map(|&at| &described[at]);
    let mut members = match options.layout {
        ArchiveLayout::Docker => docker::current(&described, &chosen.named, &listing)?,
        ArchiveLayout::DockerLegacy => docker::legacy(&by_name().collect::<Vec<_>>())?,
        ArchiveLayout::Oci => oci::layout(&described, &listing)?,
    };
    thin.add_to(&mut members);
    let artifacts = match options.layout {
        ArchiveLayout::DockerLegacy => Vec::new(),
        ArchiveLayout::Docker | ArchiveLayout::Oci => artifacts(graph),
    };
    let mut claims = Claims::none();
    if options.verify {
        claims = blobs::claims(&images, &layers);
        for artifact in &artifacts {
            blobs::claim_artifact(artifact, &mut claims);
        }
    }
    let bytes = write(&members, claims)?;
    let is_legacy = options.layout == ArchiveLayout::DockerLegacy;
    let manifest = |number: usize| BlobDigest::from(listing.manifests[number].clone());
    let made = if is_legacy {
        docker::made_manifests(&described)
    } else {
        containerd_ids(graph, &chosen, &listing)
    };
    let detached = detached(&artifacts, &listing.moved);
    let written = described.iter().zip(made).enumerate();
    let written = written.map(|(number, (image, containerd))| WrittenImage {
        id: image.id.clone(),
        containerd,
        manifest: (!is_legacy).then(|| manifest(number)),
        manifest_before: chosen.images[number]
            .manifest
            .as_ref()
            .map(|kept| BlobDigest::from(kept.digest.clone())),
        names: chosen.names[number].to_vec(),
        platform: image.view.platform.clone(),
    });
    let written_layers = layers.iter().flatten().filter(|layer| !layer.left_out);
    let written_layers: HashSet<&BlobDigest> = written_layers.map(|layer| &layer.digest).collect();
    Ok(WrittenArchive {
        images: written.collect(),
        bytes,
        layers: written_layers.len(),
        recoded: RecodedLayers::of(&layers),
        detached,
        warnings,
        left_out: thin.into_layers(),
    })
}

/// What a containerd store calls each image of a layout with an index: by what lists it first.
fn containerd_ids(
    graph: &ArchiveGraph<'_>,
    chosen: &Chosen<'_, '_>,
    listing: &IndexListing<'_>,
) -> Vec<Option<ContainerdId>> {
    let mut ids = vec![None; chosen.images.len()];
    let roots = graph.roots.iter().filter(|root| IndexListing::lists(root));
    for (root, digest) in roots.zip(listing.roots()) {
        root.node.each_image(&mut |image| {
            if let Some(&number) = chosen.numbers.get(&Arc::as_ptr(image).addr()) {
                ids[number].get_or_insert_with(|| ContainerdId::from(digest.clone()));
            }
        });
    }
    ids
}
