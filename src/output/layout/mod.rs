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
//! Layers are copied as they are stored, compressed or not, and stored once however many images or
//! places they are used in. No body is held in memory. The bytes of an archive depend on its images
//! alone: owners are 0, times come from the configs or are 0.
//!
//! Threats: a layer that is not what the config says would become an archive with false digests; with
//! [`ArchiveOptions::verify`] every layer is verified against its digests before the output counts.

mod blobs;
mod describe;
mod docker;
mod image;
mod members;
mod oci;
mod v1;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;

use describe::Described;
pub use image::{OutputImage, OutputLayer};

use members::ArchiveMembers;

use super::WriteError;
use crate::base::constants::DOCKER_LAYERS;
use crate::base::digest::{BlobDigest, ContainerdId, ImageId};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::Config;
use crate::image::{Name, Reference};
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

/// How to write an archive.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveOptions {
    /// The layout.
    pub layout: ArchiveLayout,
    /// Whether every layer whose digests were not computed by this program is verified against them.
    pub verify: bool,
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
    /// What not every engine accepts.
    pub warnings: Vec<ArchiveWarning>,
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
    /// The digest of a reference is that of another manifest, so the archive cannot keep it.
    #[error("the archive cannot keep the digest of `{name}`: it names another manifest")]
    DigestDropped {
        /// The name as it was.
        name: Name,
    },
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
    lay_out(images, options, progress, |members, claims| {
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
    lay_out(images, options, progress, |members, claims| {
        members.write_to_file(file, claims, options.jobs, progress)
    })
}

/// Says what the archive of `images` consists of and what is claimed of it, has it written and says what
/// was written.
fn lay_out(
    images: &[OutputImage],
    options: ArchiveOptions,
    progress: &dyn Progress,
    write: impl FnOnce(&ArchiveMembers, Claims<'_>) -> Result<u64, WriteError>,
) -> Result<WrittenArchive, WriteError> {
    let views = images.iter().map(OutputImage::view);
    let views: Vec<Config> = views.collect::<Result<_, _>>()?;
    let layers = blobs::name(images, options, progress)?;
    let described: Vec<Described<'_>> = images
        .iter()
        .zip(views)
        .zip(&layers)
        .map(|((image, view), layers)| Described::new(image, view, layers))
        .collect();
    let warnings = warnings(&described, options.layout)?;
    let (members, manifests) = match options.layout {
        ArchiveLayout::Docker => {
            let (members, manifests) = docker::current(&described)?;
            (members, Some(manifests))
        }
        ArchiveLayout::DockerLegacy => (docker::legacy(&described)?, None),
        ArchiveLayout::Oci => {
            let (members, manifests) = oci::layout(&described);
            (members, Some(manifests))
        }
    };
    let claims = if options.verify {
        blobs::claims(images, &layers)
    } else {
        Claims::none()
    };
    let bytes = write(&members, claims)?;
    let made = match &manifests {
        Some(manifests) => {
            let listed = |digest: &BlobDigest| Some(ContainerdId::from(digest.digest().clone()));
            manifests.iter().map(listed).collect()
        }
        None => docker::made_manifests(&described),
    };
    let images = described.iter().zip(made).enumerate();
    let images = images.map(|(i, (image, containerd))| WrittenImage {
        id: image.id.clone(),
        containerd,
        manifest: manifests.as_ref().map(|manifests| manifests[i].clone()),
    });
    Ok(WrittenArchive {
        images: images.collect(),
        bytes,
        warnings,
    })
}

/// What not every engine accepts of the images; refuses what none does.
fn warnings(
    images: &[Described<'_>],
    layout: ArchiveLayout,
) -> Result<Vec<ArchiveWarning>, WriteError> {
    let mut warnings = Vec::new();
    let mut taken: HashMap<&Reference, &ImageId> = HashMap::new();
    for image in images {
        for tag in &image.tags {
            if taken
                .insert(tag, &image.id)
                .is_some_and(|id| *id != image.id)
            {
                return Err(WriteError::Image {
                    image: image.image.display_name(),
                    why: format!("another image would be called `{tag}` as well"),
                });
            }
        }
        if image.layers.len() > DOCKER_LAYERS {
            warnings.push(ArchiveWarning::TooManyLayers {
                image: image.image.display_name(),
                layers: image.layers.len(),
            });
        }
        for name in &image.image.names {
            match name {
                Name::Reference(reference) if reference.digest().is_some() => {
                    warnings.push(ArchiveWarning::DigestDropped { name: name.clone() });
                }
                Name::Bare(_) if layout != ArchiveLayout::Oci => {
                    warnings.push(ArchiveWarning::NameDropped { name: name.clone() });
                }
                _ => {}
            }
        }
    }
    Ok(warnings)
}
