//! What Docker makes of an image from before Docker 1.10 when it loads it (moby v28 `image/tarexport/load.go`
//! `legacyLoadImage`): a config with diff IDs and a history, and with it an image ID; and the same of every image
//! that it was built on. Reading and writing go by this alike.

use std::collections::HashMap;
use std::sync::Arc;

use super::model::{Identity, Image, V1Document};
use crate::base::constants::DOCKER_LAYERS;
use crate::base::digest::{DiffId, Digest, ImageId};
use crate::base::limits::{Limit, Limits};
use crate::document::v1::{Era, modern_config};
use crate::document::{HistoryEntry, JsonError};

/// The IDs that Docker 25 to 28 gives to an image from before Docker 1.10 and to those that it was built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradedIds {
    /// The image's own.
    pub id: ImageId,
    /// Those of the images that it was built on, the nearest first. They have no name unless the archive gives
    /// them one.
    pub parents: Vec<ImageId>,
    /// The image's own in Docker 1.10 to 24, which write histories in another way.
    pub before_25: ImageId,
    /// The diff IDs of its layers, base first, which were computed for it.
    pub diff_ids: Vec<DiffId>,
}

impl Image {
    /// Whether it is from before Docker 1.10: it has no config and no image ID, and Docker makes both when it
    /// loads it.
    pub fn is_legacy(&self) -> bool {
        matches!(self.identity, Identity::Legacy(_))
    }

    /// The diff IDs of all its layers, base first: those of the config, or those that were computed for an image from
    /// before Docker 1.10. `None` if one is not known.
    pub fn known_diff_ids(&self) -> Option<Vec<&DiffId>> {
        if let Some(ids) = self.upgraded_ids() {
            return Some(ids.diff_ids.iter().collect());
        }
        let layers = self.layers.iter();
        layers.map(|layer| layer.diff_id.as_ref()).collect()
    }

    /// The IDs that Docker gives to it and to those that it was built on, if it is from before Docker 1.10 and they
    /// are known: [`crate::layer::hash_members`] computes them. `None` also if Docker does not load it.
    pub fn upgraded_ids(&self) -> Option<&UpgradedIds> {
        self.upgraded.get()
    }

    /// What Docker calls it once it is loaded, as far as that is known: the [`identity`](Self::identity), or the
    /// ID that Docker computes for an image from before Docker 1.10.
    pub fn loaded_identity(&self) -> Identity {
        match self.upgraded_ids() {
            Some(ids) => Identity::Config(ids.id.clone()),
            None => self.identity.clone(),
        }
    }

    /// The config that Docker up to 24 makes of an image from before Docker 1.10 whose layers have these diff IDs.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if its `json` file cannot be read.
    pub(crate) fn upgraded_config(&self, diff_ids: &[DiffId]) -> Result<Vec<u8>, JsonError> {
        let (raw, history) = self.config.as_ref().map_or((&[][..], &[][..]), |config| {
            (&config.raw, &config.view.history)
        });
        modern_config(raw, diff_ids, history, Era::Before25)
    }
}

/// Computes the IDs of images from before Docker 1.10, each once, however many others are built on it.
#[derive(Debug)]
pub(crate) struct Upgrader {
    /// By the place of its `json` file in memory, which the images share.
    known: HashMap<*const V1Document, ImageId>,
    /// How much text may still go into configs: every one has the whole history up to it.
    left: u64,
}

impl Upgrader {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            known: HashMap::new(),
            left: limits.of(Limit::RepeatedText),
        }
    }

    /// Keeps the IDs that Docker gives to `image` and to those that it was built on, computed from the diff IDs of
    /// its layers. Nothing if Docker does not load the image (a parent is missing, or it has more layers than
    /// Docker takes), and beyond [`Limit::RepeatedText`].
    pub(crate) fn upgrade(&mut self, image: &Image, diff_ids: &[DiffId]) {
        if let Some(ids) = self.ids(image, diff_ids) {
            // Whoever was faster computed the same.
            _ = image.upgraded.set(ids);
        }
    }

    fn ids(&mut self, image: &Image, diff_ids: &[DiffId]) -> Option<UpgradedIds> {
        let count = image.layers.len();
        if !image.is_legacy() || count != diff_ids.len() || count > DOCKER_LAYERS {
            return None;
        }
        if image.layers.first()?.v1_json.as_ref()?.has_parent {
            return None;
        }
        let history = &image.view()?.history;
        let mut ids = Vec::with_capacity(count);
        let mut text = 0;
        for (index, layer) in image.layers.iter().enumerate() {
            let document = layer.v1_json.as_ref()?;
            text += history.get(index)?.text_len();
            let known = self.known.get(&Arc::as_ptr(document));
            if let Some(id) = known {
                ids.push(id.clone());
                continue;
            }
            self.left = self.left.checked_sub((text + document.raw.len()) as u64)?;
            let id = made(
                &document.raw,
                &diff_ids[..=index],
                &history[..=index],
                Era::Since25,
            )?;
            self.known.insert(Arc::as_ptr(document), id.clone());
            ids.push(id);
        }
        let raw = &image.layers.last()?.v1_json.as_ref()?.raw;
        let before_25 = made(raw, diff_ids, history, Era::Before25)?;
        let id = ids.pop()?;
        ids.reverse();
        Some(UpgradedIds {
            id,
            parents: ids,
            before_25,
            diff_ids: diff_ids.to_vec(),
        })
    }
}

/// The ID of the config that a Docker makes.
fn made(raw: &[u8], diff_ids: &[DiffId], history: &[HistoryEntry], era: Era) -> Option<ImageId> {
    let config = modern_config(raw, diff_ids, history, era).ok()?;
    Some(ImageId::from(Digest::sha256_of(&config)))
}
