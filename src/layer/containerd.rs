//! The digests of stored members, for the names that images have in a containerd store.

use super::LayerError;
use super::digest::{Nothing, Request, Wanted, prove};
use crate::base::digest::{Algorithm, BlobDigest};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::image::{Image, ImageSet, Layer};
use crate::source::{ByPlace, Compression, Slice};

/// What progress calls the hashing of members.
const HASHING: &str = "hashing compressed layers";

/// Hashes the members on which the names of `images` in a containerd store depend and of which nothing
/// claims a digest: the compressed layers of archives without an index. Each stretch of bytes is read once,
/// as it is stored. [`ImageSet::containerd_name`] knows these names then; for every other image it knows
/// them without.
///
/// # Errors
///
/// [`LayerError::Read`] if the operating system fails.
pub fn hash_members(
    set: &ImageSet,
    images: &[&Image],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(), LayerError> {
    let unknown: Vec<&Image> = images
        .iter()
        .copied()
        .filter(|image| set.has_made_manifest(image) && set.containerd_name(image).is_none())
        .collect();
    let mut members: ByPlace<&Slice> = ByPlace::new();
    for image in &unknown {
        // Where a member is missing no manifest is made, and the others need not be read.
        if image.config.is_none() || image.layers.iter().any(|layer| layer.present().is_none()) {
            continue;
        }
        for layer in image.layers.iter().filter(|layer| has_no_claim(layer)) {
            if let Some((slice, _)) = layer.present() {
                members.add(slice, || slice);
            }
        }
    }
    let requests = members.all().iter().map(|slice| Request {
        bytes: slice,
        compression: Compression::None,
        wanted: Wanted::diff_id(),
        task: Some(HASHING.to_owned()),
        alongside: Nothing,
    });
    let answers = prove(jobs, requests, progress);
    let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
    let digest = |layer: &Layer| {
        let number = members.number(layer.present()?.0)?;
        let (proof, ()) = answers.get(number)?;
        Some(BlobDigest::from(proof.diff_id().digest().clone()))
    };
    for image in unknown {
        if let Some(name) = set.containerd_name_with(image, &digest) {
            set.keep_containerd_name(image, name);
        }
    }
    Ok(())
}

/// Whether nothing claims the SHA-256 of the bytes that are stored for a layer.
fn has_no_claim(layer: &Layer) -> bool {
    let is_plain = matches!(layer.present(), Some((_, Compression::None)));
    let claim = layer.diff_id.as_ref().filter(|_| is_plain);
    claim.is_none_or(|diff_id| *diff_id.digest().algorithm() != Algorithm::Sha256)
}
