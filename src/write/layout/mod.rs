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
//! Threats: a layer that is not what the config says would become an archive that lies; with
//! [`ArchiveOptions::verify`] every layer is held against its digests before the output counts.

mod image;

use std::io::Write;

pub use image::{OutputImage, OutputLayer};

use super::WriteError;
use crate::digest::{BlobDigest, ImageId};
use crate::parallel::Jobs;
use crate::progress::Progress;

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
    /// Whether every layer whose digests were not computed by this program is held against them.
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
}

/// One image of a written archive.
#[derive(Clone, Debug)]
pub struct WrittenImage {
    /// What Docker's graph-driver store, podman and skopeo call it.
    pub id: ImageId,
    /// The digest of its OCI manifest, which Docker's containerd store calls it by; `None` in
    /// [`ArchiveLayout::DockerLegacy`], where that store makes a manifest of its own.
    pub manifest: Option<BlobDigest>,
}

/// Writes `images` as one archive to `out`.
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
    let _ = (images, out, options, progress);
    unimplemented!("follows in the next commit")
}
