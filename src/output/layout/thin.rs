//! What a thin archive says of the layers that it lacks.

use std::collections::HashSet;

use super::describe::Described;
use super::members::ArchiveMembers;
use crate::base::digest::{BlobDigest, ChainId, DiffId, Digest};
use crate::document::ThinBase;
use crate::document::thin::{MEMBER, ThinLayer, ThinListing};
use crate::output::graph::ThinPlan;

/// A layer that an archive was written without.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeftOutLayer {
    /// Its diff ID.
    pub diff_id: DiffId,
    /// The chain ID of the stack up to it.
    pub chain_id: ChainId,
    /// The digest of the blob that would be stored.
    pub digest: BlobDigest,
    /// The length of that blob in bytes.
    pub size: u64,
    /// The images that have it.
    pub bases: Vec<ThinBase>,
}

/// The listing of an archive, if anything is left out of it.
pub(super) struct Thinned {
    listing: ThinListing,
    bytes: Option<Vec<u8>>,
}

impl Thinned {
    /// Lists what is left out of some images, each place in a stack once.
    pub(super) fn of(images: &[Described<'_>], plan: &ThinPlan) -> Self {
        let mut layers = Vec::new();
        let mut met: HashSet<ChainId> = HashSet::new();
        for image in images {
            if !image.layers.iter().any(|layer| layer.left_out) {
                continue;
            }
            let chain = ChainId::of_layers(image.layers.iter().map(|layer| &layer.diff_id));
            for (layer, chain_id) in image.layers.iter().zip(chain) {
                if layer.left_out && met.insert(chain_id.clone()) {
                    layers.push(ThinLayer {
                        diff_id: layer.diff_id.clone(),
                        digest: layer.digest.clone(),
                        media_type: layer.media_type().to_owned(),
                        size: layer.blob.len(),
                        bases: plan.holders(&chain_id).to_vec(),
                        chain_id,
                    });
                }
            }
        }
        let bases = plan.bases().to_vec();
        let listing = ThinListing { bases, layers };
        let bytes = (!listing.layers.is_empty()).then(|| listing.to_bytes());
        Self { listing, bytes }
    }

    /// The digest of the listing.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.bytes.as_deref().map(Digest::sha256_of)
    }

    /// Adds the listing to the archive.
    pub(super) fn add_to(&self, members: &mut ArchiveMembers) {
        if let Some(bytes) = &self.bytes {
            members.bytes(MEMBER, bytes.clone(), 0);
        }
    }

    /// The layers, for whoever had the archive written.
    pub(super) fn into_layers(self) -> Vec<LeftOutLayer> {
        let ThinListing { bases, layers } = self.listing;
        let layers = layers.into_iter().map(|layer| LeftOutLayer {
            diff_id: layer.diff_id,
            chain_id: layer.chain_id,
            digest: layer.digest,
            size: layer.size,
            bases: layer
                .bases
                .iter()
                .map(|&base| bases[base].clone())
                .collect(),
        });
        layers.collect()
    }
}
