//! Everything that is known of some images, and each compressed layer decoded once for all of it.

use super::audit::Audit;
use super::blobs::Blobs;
use super::{Extent, Verification, VerifyError, audits, compare};
use crate::archive::Contents;
use crate::base::options::Options;
use crate::image::{Image, ImageSet, Layer};
use crate::layer::{LayerTar, OpenLayers, UnreadLayer};
use crate::source::ByPlace;

/// What was found out about an archive and some of its images.
#[derive(Debug)]
pub struct Examination {
    /// What [`verify`](super::verify) says, of the whole archive.
    pub verification: Verification,
    /// The audits of the images that were picked, in their order.
    pub audits: Vec<Audit>,
    /// The layers, to be read again without decoding them.
    pub layers: ExaminedLayers,
}

/// Layers that were read. A compressed one lies decoded in an unnamed temporary file; of several hundred in one
/// archive only the first, since each takes an open file.
#[derive(Debug)]
pub struct ExaminedLayers(ByPlace<Option<LayerTar>>);

impl ExaminedLayers {
    /// The uncompressed tar of a layer; `None` if it is missing, damaged or was not kept.
    pub fn of(&self, layer: &Layer) -> Option<&LayerTar> {
        self.0.get(layer.present()?.0)?.as_ref()
    }

    /// The uncompressed tars of all layers of an image, base first. If one was not kept, those of the image are
    /// decoded again.
    ///
    /// # Errors
    ///
    /// As [`OpenLayers::of`].
    pub fn open(&self, image: &Image, options: &Options<'_>) -> Result<Vec<LayerTar>, UnreadLayer> {
        let kept = image.layers.iter().map(|layer| self.of(layer).cloned());
        if let Some(kept) = kept.collect() {
            return Ok(kept);
        }
        let opened = OpenLayers::of(image, false, options.jobs, options.progress)?;
        Ok(opened.tars().to_vec())
    }
}

/// Does what [`verify`](super::verify) does with the whole archive, audits the images in `picked`, which are of
/// `set`, and keeps the layers. Each is read once for it, and decoded once.
///
/// # Errors
///
/// [`VerifyError`] if the operating system fails.
pub fn examine(
    archive: &Contents,
    set: &ImageSet,
    picked: &[&Image],
    options: &Options<'_>,
) -> Result<Examination, VerifyError> {
    let extent = Extent {
        file: false,
        audit: true,
        keep: true,
    };
    let blobs = Blobs::read(archive, set, extent, options.jobs, options.progress)?;
    Ok(Examination {
        verification: compare(archive, set, &blobs, options.jobs)?,
        audits: audits(picked.iter().copied(), &blobs, options)?,
        layers: ExaminedLayers(blobs.into_tars()),
    })
}
