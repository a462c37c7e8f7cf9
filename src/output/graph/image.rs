//! An image of a graph, and the manifest that it had.

use super::{GraphImage, ImageSource, KeptManifest, LayerStore, require};
use crate::base::digest::{Algorithm, Digest};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::MediaType;
use crate::document::descriptor::Document;
use crate::image::{Identity, Image, Layer};
use crate::output::WriteError;
use crate::output::layout::OutputImage;
use std::fmt::Write as _;

impl GraphImage<'_> {
    /// The name for messages.
    pub(in crate::output) fn display_name(&self) -> String {
        match self.source {
            ImageSource::Archived(image) => image.display_name(),
            ImageSource::Made(image) => image.display_name(),
        }
    }

    /// The image to write.
    pub(in crate::output) fn output(
        &self,
        layers: &LayerStore<'_>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<OutputImage, WriteError> {
        match self.source {
            // Which of the archive's images an image was built from depends on what else the archive holds: the
            // parts of an archive, merged, are to be the archive again.
            ImageSource::Archived(image) => {
                let elsewhere = |layer: &Layer| layers.output(layer);
                let mut image = OutputImage::with_layers(image, &elsewhere, jobs, progress)?;
                // The graph has the names, of which there may be many; one is for messages.
                image.names.truncate(1);
                image.names.shrink_to_fit();
                image.parent = None;
                Ok(image)
            }
            ImageSource::Made(image) => Ok(OutputImage {
                config: image.config.clone(),
                layers: image.layers.clone(),
                names: image.names.iter().take(1).cloned().collect(),
                parent: image.parent.clone(),
            }),
        }
    }

    pub(super) fn archived(&self) -> Option<&Image> {
        match self.source {
            ImageSource::Archived(image) => Some(image),
            ImageSource::Made(_) => None,
        }
    }

    /// The digest that descriptors and subjects know it by.
    pub(in crate::output) fn digest(&self) -> Option<&Digest> {
        self.manifest.as_ref().map(|manifest| &manifest.digest)
    }

    /// Whether its config and all of its layers are there.
    pub(super) fn is_complete(&self) -> bool {
        self.archived().is_none_or(|image| {
            let all_layers = || image.layers.iter().all(|layer| layer.present().is_some());
            image.config.is_some() && all_layers()
        })
    }

    /// What tells it from other images: its manifest, or its config and layers.
    pub(super) fn key(&self) -> String {
        if let Some(digest) = self.digest() {
            return digest.to_string();
        }
        let mut key = String::new();
        match self.source {
            ImageSource::Archived(image) => {
                if let Identity::Config(id) = &image.identity {
                    key.push_str(&id.to_string());
                } else {
                    key.push_str(&image.identity.to_string());
                }
                for layer in &image.layers {
                    let stored = layer
                        .present()
                        .map(|(slice, compression)| (slice.len(), compression));
                    _ = write!(key, " {:?} {stored:?}", layer.diff_id);
                }
            }
            ImageSource::Made(image) => {
                key.push_str(&image.id().to_string());
                for layer in &image.layers {
                    _ = write!(key, " {:?} {:?}", layer.diff_id(), layer.digest());
                }
            }
        }
        key
    }
}

impl KeptManifest {
    pub(super) fn read(
        digest: Digest,
        media_type: &MediaType,
        bytes: Vec<u8>,
        image: &str,
    ) -> Result<Self, WriteError> {
        require(&digest, &bytes, image)?;
        match Document::read(&bytes, "the manifest") {
            Ok(Document::Manifest(read)) => Ok(Self {
                digest,
                media_type: media_type.as_str().to_owned(),
                bytes,
                read: *read,
            }),
            Ok(Document::Index(_)) => Err(WriteError::Image {
                image: image.to_owned(),
                why: "its manifest is an index".to_owned(),
            }),
            Err(why) => Err(WriteError::Image {
                image: image.to_owned(),
                why: format!("its manifest cannot be read: {why}"),
            }),
        }
    }

    /// Whether it describes an image with this config and so many layers, however those are stored.
    pub(in crate::output) fn is_of(&self, config: &Digest, layers: usize) -> bool {
        self.read.config.digest == *config && self.read.layers.len() == layers
    }

    /// Whether it still describes an image with this config and these stored layers.
    pub(in crate::output) fn describes<'d>(
        &self,
        config: &Digest,
        layers: impl ExactSizeIterator<Item = &'d Digest>,
    ) -> bool {
        let own = self.read.layers.iter().map(|layer| &layer.digest);
        *self.digest.algorithm() == Algorithm::Sha256
            && self.read.config.digest == *config
            && own.len() == layers.len()
            && own.eq(layers)
    }
}
