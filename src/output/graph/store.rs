//! Layers of other archives, for images of a thin one.

use std::collections::{HashMap, HashSet};

use super::{ArchiveGraph, GraphChange, ImageSource};
use crate::base::digest::{BlobDigest, DiffId};
use crate::document::ThinBase;
use crate::image::{ImageSet, Layer};
use crate::output::layout::OutputLayer;
use crate::source::{Compression, Slice};

/// Layers by what they are, whichever archive has them.
#[derive(Clone, Debug, Default)]
pub struct LayerStore<'s> {
    by_diff_id: HashMap<DiffId, Vec<StoredLayer<'s>>>,
    /// Whether what was left out may stay left out.
    keeps_absent: bool,
}

/// A layer of some archive.
#[derive(Clone, Debug)]
struct StoredLayer<'s> {
    slice: &'s Slice,
    compression: Compression,
    digest: Option<BlobDigest>,
    /// The archive's path.
    from: &'s str,
}

/// A layer that a thin archive lacks and no other archive has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfilled {
    /// Its diff ID.
    pub diff_id: DiffId,
    /// An image that needs it, for people.
    pub image: String,
    /// Names of images that have it, as the thin archive says.
    pub bases: Vec<String>,
}

impl<'s> LayerStore<'s> {
    /// For graphs that may go on lacking what was left out of them.
    pub(super) fn keeping_absent() -> Self {
        Self {
            keeps_absent: true,
            ..Self::default()
        }
    }

    /// Adds those of the `wanted` layers that an archive holds, and says whether there is one. Of images from before
    /// Docker 1.10 the diff IDs have to be computed before ([`crate::layer::hash_members`]). What the layers are
    /// said to be is verified when they are written.
    pub fn add(&mut self, path: &'s str, set: &'s ImageSet, wanted: &HashSet<DiffId>) -> bool {
        let mut any = false;
        let mut met = HashSet::new();
        for image in &set.images {
            let Some(diff_ids) = image.known_diff_ids() else {
                continue;
            };
            for (layer, diff_id) in image.layers.iter().zip(diff_ids) {
                let Some((slice, compression)) = layer.present() else {
                    continue;
                };
                if layer.is_placeholder() || !wanted.contains(diff_id) {
                    continue;
                }
                any = true;
                if met.insert(slice.span()) {
                    let stored = StoredLayer {
                        slice,
                        compression,
                        digest: match compression {
                            Compression::None => Some(BlobDigest::from(diff_id.digest().clone())),
                            _ => layer.digest.clone(),
                        },
                        from: path,
                    };
                    let known = self.by_diff_id.entry(diff_id.clone()).or_default();
                    known.push(stored);
                }
            }
        }
        any
    }

    /// The bytes for a layer: the same that it had, if any archive has them, else the first of its content.
    fn find(&self, layer: &Layer) -> Option<&StoredLayer<'s>> {
        let found = self.by_diff_id.get(layer.diff_id.as_ref()?)?;
        let wanted = wanted_digest(layer);
        let same = found
            .iter()
            .find(|one| wanted.is_some() && one.digest.as_ref() == wanted);
        same.or_else(|| found.first())
    }

    /// The layer to write where the archive of its image lacks it.
    pub(super) fn output(&self, layer: &Layer) -> Option<OutputLayer> {
        let diff_id = layer.diff_id.clone()?;
        if let Some(found) = self.find(layer) {
            return Some(OutputLayer::claimed(
                diff_id,
                found.slice.clone(),
                found.compression,
                found.digest.clone(),
            ));
        }
        let left_out = layer.left_out().filter(|_| self.keeps_absent)?;
        let media_type = layer.media_type.as_ref();
        let media_type = media_type.map_or(left_out.media_type.as_str(), |known| known.as_str());
        Some(OutputLayer::absent(
            diff_id,
            wanted_digest(layer).cloned()?,
            compression_of(media_type),
            layer.claimed_size.unwrap_or(left_out.size),
        ))
    }
}

/// The digest of the blob that a layer had, by the manifest, else by the listing.
fn wanted_digest(layer: &Layer) -> Option<&BlobDigest> {
    let listed = || layer.left_out().map(|left_out| &left_out.digest);
    layer.digest.as_ref().or_else(listed)
}

impl<'s> ArchiveGraph<'s> {
    /// Gives the images layers of other archives where their own lack them. What no longer has the bytes that it had
    /// is a change. The other part of the answer are layers that no archive has.
    pub fn fill(mut self, layers: LayerStore<'s>) -> (Self, Vec<GraphChange>, Vec<Unfilled>) {
        let (mut changes, mut unfilled) = (Vec::new(), Vec::new());
        let mut told = HashSet::new();
        for image in self.images() {
            let ImageSource::Archived(image) = image.source else {
                continue;
            };
            let mut recompressed: Vec<(&str, usize)> = Vec::new();
            for layer in &image.layers {
                let (Some(left_out), Some(diff_id)) = (layer.left_out(), &layer.diff_id) else {
                    continue;
                };
                match layers.find(layer) {
                    Some(found) if found.digest.as_ref() == wanted_digest(layer) => {}
                    Some(found) => match recompressed.iter_mut().find(|one| one.0 == found.from) {
                        Some((_, layers)) => *layers += 1,
                        None => recompressed.push((found.from, 1)),
                    },
                    None if told.insert(diff_id) => unfilled.push(Unfilled {
                        diff_id: diff_id.clone(),
                        image: image.display_name(),
                        bases: left_out.bases.iter().map(|base| name_of(base)).collect(),
                    }),
                    None => {}
                }
            }
            for (from, layers) in recompressed {
                changes.push(GraphChange::Recompressed {
                    image: image.display_name(),
                    layers,
                    from: from.to_owned(),
                });
            }
        }
        self.layers = layers;
        (self, changes, unfilled)
    }
}

/// How a blob of this media type is compressed; there are no types for bzip2 and xz.
fn compression_of(media_type: &str) -> Compression {
    if media_type.ends_with("gzip") {
        Compression::Gzip
    } else if media_type.ends_with("zstd") {
        Compression::Zstd
    } else {
        Compression::None
    }
}

fn name_of(base: &ThinBase) -> String {
    base.display_name().to_owned()
}
