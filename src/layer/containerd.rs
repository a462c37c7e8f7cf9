//! The digests of stored members, for the names that images have in a containerd store.

use super::LayerError;
use super::digest::{Nothing, Request, Wanted, prove};
use crate::base::digest::{Algorithm, BlobDigest, DiffId};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::image::{Image, ImageSet, Layer, Upgrader};
use crate::source::{ByPlace, Compression, Slice};

/// What progress calls the hashing of layers whose archive has no diff IDs.
const COMPUTING: &str = "computing diff IDs";
/// What progress calls the hashing of members.
const HASHING: &str = "hashing compressed layers";

/// Computes the IDs of images from before Docker 1.10, which Docker makes of their layers; then does the same for
/// what a containerd store calls images.
///
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
    upgrade(images, jobs, progress)?;
    let unknown: Vec<&Image> = images
        .iter()
        .copied()
        .filter(|image| set.has_made_manifest(image) && set.containerd_name(image).is_none())
        .collect();
    let mut members: ByPlace<&Slice> = ByPlace::new();
    for image in &unknown {
        // Where a member is missing no manifest is made, and the others need not be read.
        if set.config_of(image).is_none()
            || image.layers.iter().any(|layer| layer.present().is_none())
        {
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

/// Computes the image IDs that Docker gives to images from before Docker 1.10; others have theirs. Of images with a
/// layer that is missing or damaged none is known: Docker does not load them.
fn upgrade(images: &[&Image], jobs: Jobs, progress: &dyn Progress) -> Result<(), LayerError> {
    let is_open = |image: &&Image| image.is_legacy() && image.upgraded_ids().is_none();
    let unknown: Vec<&Image> = images.iter().copied().filter(is_open).collect();
    let mut layers: ByPlace<(&Slice, Compression)> = ByPlace::new();
    for layer in unknown.iter().flat_map(|image| &image.layers) {
        if let Some((slice, compression)) = layer.present() {
            layers.add(slice, || (slice, compression));
        }
    }
    let Some((first, _)) = layers.all().first() else {
        return Ok(());
    };
    let mut upgrader = Upgrader::new(first.source().limits());
    let requests = layers.all().iter().map(|&(bytes, compression)| Request {
        bytes,
        compression,
        wanted: Wanted::diff_id(),
        task: Some(COMPUTING.to_owned()),
        alongside: Nothing,
    });
    let mut diff_ids = Vec::new();
    for answer in prove(jobs, requests, progress) {
        diff_ids.push(match answer {
            Ok((proof, ())) => Some(proof.diff_id().clone()),
            Err(error) if error.is_environment() => return Err(error),
            Err(_) => None,
        });
    }
    for image in unknown {
        let of_layer = |layer: &Layer| diff_ids.get(layers.number(layer.present()?.0)?)?.clone();
        let own: Option<Vec<DiffId>> = image.layers.iter().map(of_layer).collect();
        if let Some(own) = own {
            upgrader.upgrade(image, &own);
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
