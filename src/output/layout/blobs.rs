//! The layers of all images as blobs: each once, with the digest that names it.

use super::ArchiveOptions;
use super::image::{LayerBlob, OutputImage, OutputLayer};
use super::recode::{Recoded, ToRecode, recode_all};
use crate::base::digest::{BlobDigest, DiffId};
use crate::base::progress::Progress;
use crate::document::media_type::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use crate::layer::digest::{Claim, Claimed, Claims, LayerName, Mismatch, Proof, StoredPart};
use crate::layer::{LayerError, OpenLayers};
use crate::output::WriteError;
use crate::output::error::spool;
use crate::output::graph::GraphArtifact;
use crate::source::{ByPlace, Compression, Slice};

/// A layer whose blob has a name.
#[derive(Clone, Debug)]
pub(super) struct NamedLayer {
    pub(super) diff_id: DiffId,
    pub(super) digest: BlobDigest,
    pub(super) blob: LayerBlob,
    pub(super) compression: Compression,
    /// How many bytes it had, if it was decoded or compressed anew.
    pub(super) before: Option<u64>,
    /// Whether the archive is to be written without it.
    pub(super) left_out: bool,
    standing: Standing,
}

/// Where the digests of a layer come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// They were computed from these very bytes.
    Proven,
    /// An archive claims them.
    Claimed,
}

impl NamedLayer {
    /// The media type in a manifest. Foreign layers are ordinary ones as soon as an archive has them.
    pub(super) fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::Gzip => OCI_LAYER_GZIP,
            Compression::Zstd => OCI_LAYER_ZSTD,
            _ => OCI_LAYER,
        }
    }
}

/// Gives every layer of every image a blob that the layout can hold and that is compressed as the options say, and
/// its digest. Digests that are not known are computed, and layers decoded and compressed, on all cores; each
/// is read once.
pub(super) fn name(
    images: &[OutputImage],
    options: ArchiveOptions,
    progress: &dyn Progress,
) -> Result<Vec<Vec<NamedLayer>>, WriteError> {
    let mut blobs: ByPlace<(&OutputImage, usize, &Slice)> = ByPlace::new();
    let method = |layer: &OutputLayer| options.method_for(layer.compression());
    for (image, index, layer) in all(images) {
        if layer.digest().is_none() || method(layer).is_some() {
            // What is made has a digest and no compression.
            if let Some(bytes) = layer.stored() {
                blobs.add(bytes, || (image, index, bytes));
            }
        }
    }
    let mut requests: Vec<ToRecode<'_>> = Vec::new();
    for &(image, index, bytes) in blobs.all() {
        let layer = &image.layers[index];
        requests.push((bytes, layer.compression(), method(layer)));
    }
    let answers = recode_all(&requests, options.jobs, progress);
    let answers = blobs.all().iter().zip(answers);
    let answers =
        answers.map(|(&(image, index, _), answer)| answer.map_err(|e| fault(image, index, e)));
    let mut answers = answers.collect::<Result<Vec<_>, _>>()?.into_iter();
    let read = blobs.map(|_| answers.next().expect("every request has an answer"));
    let named = |image| {
        let layers = all(std::slice::from_ref(image));
        layers
            .map(|(image, index, layer)| {
                let read = layer.stored().and_then(|bytes| read.get(bytes));
                named(image, index, layer, read)
            })
            .collect()
    };
    images.iter().map(named).collect()
}

fn all(images: &[OutputImage]) -> impl Iterator<Item = (&OutputImage, usize, &OutputLayer)> {
    images.iter().flat_map(|image| {
        let layers = image.layers.iter().enumerate();
        layers.map(move |(index, layer)| (image, index, layer))
    })
}

/// `read` is what reading the blob gave, if it was read, and the bytes that take its place, if others do.
fn named(
    image: &OutputImage,
    index: usize,
    layer: &OutputLayer,
    read: Option<&(Proof, Option<Recoded>)>,
) -> Result<NamedLayer, WriteError> {
    let diff_id = layer.diff_id().clone();
    let mut is_proven = layer.is_proven();
    let (mut blob, mut compression) = (layer.blob().clone(), layer.compression());
    let mut digest = layer.digest();
    let mut before = None;
    if let Some((proof, recoded)) = read {
        let (claimed, computed) = (diff_id.digest(), proof.diff_id().digest());
        let name = name_of(image, index);
        Mismatch::between(&name, Claimed::DiffId, claimed, computed)?;
        // What cannot be computed cannot have been compared.
        is_proven = claimed.algorithm() == computed.algorithm();
        digest = proof.stored().cloned();
        if let Some(recoded) = recoded {
            before = Some(blob.len());
            blob = LayerBlob::Stored(recoded.bytes.clone());
            compression = recoded.compression;
            // The digest of what is not compressed is the diff ID.
            digest = Some(match &recoded.digest {
                Some(digest) => digest.clone(),
                None => BlobDigest::from(computed.clone()),
            });
        }
    }
    let Some(digest) = digest else {
        return Err(WriteError::Image {
            image: image.display_name(),
            why: format!("the digest of layer {index} cannot be computed"),
        });
    };
    Ok(NamedLayer {
        diff_id,
        digest,
        blob,
        compression,
        before,
        left_out: layer.is_left_out(),
        standing: if is_proven {
            Standing::Proven
        } else {
            Standing::Claimed
        },
    })
}

/// What is claimed of the layers whose digests are not proven.
pub(super) fn claims<'c>(images: &[OutputImage], layers: &'c [Vec<NamedLayer>]) -> Claims<'c> {
    let mut claims = Claims::none();
    for (image, layers) in images.iter().zip(layers) {
        let claimed = layers.iter().enumerate();
        for (index, layer) in claimed.filter(|(_, layer)| layer.standing == Standing::Claimed) {
            // What is made is proven, and of what is not written nothing is said that was not said before.
            let (LayerBlob::Stored(bytes), false) = (&layer.blob, layer.left_out) else {
                continue;
            };
            let claim = Claim {
                name: name_of(image, index),
                bytes,
                compression: layer.compression,
                content: layer.diff_id.digest(),
                stored: Some(&layer.digest),
            };
            claims.add(claim, None);
        }
    }
    claims
}

/// What is claimed of the blobs of an artifact.
pub(super) fn claim_artifact<'c>(artifact: &'c GraphArtifact, claims: &mut Claims<'c>) {
    for (number, (digest, bytes)) in artifact.blobs.iter().enumerate() {
        let claim = Claim {
            name: LayerName {
                part: StoredPart::Blob,
                image: Some(format!("the {} {}", artifact.kind, artifact.digest)),
                layer: number,
            },
            bytes,
            compression: Compression::None,
            content: digest.digest(),
            stored: None,
        };
        claims.add(claim, None);
    }
}

impl OutputImage {
    /// What is claimed of the layers from `from` up; `opened` may have proven some of it.
    pub(in crate::output) fn claims(&self, from: usize, opened: &OpenLayers) -> Claims<'_> {
        let mut claims = Claims::none();
        let layers = self.layers.iter().enumerate().skip(from);
        for (index, layer) in layers.filter(|(_, layer)| !layer.is_proven()) {
            let Some(bytes) = layer.stored() else {
                continue;
            };
            let claim = Claim {
                name: name_of(self, index),
                bytes,
                compression: layer.compression(),
                content: layer.diff_id().digest(),
                stored: None,
            };
            claims.add(claim, opened.proof(index));
        }
        claims
    }
}

fn name_of(image: &OutputImage, layer: usize) -> LayerName {
    LayerName {
        part: StoredPart::Layer,
        image: Some(image.display_name()),
        layer,
    }
}

fn fault(image: &OutputImage, layer: usize, source: LayerError) -> WriteError {
    match source {
        // What is decoded here is a layer to be written.
        LayerError::Spool(error) => spool(error),
        source => WriteError::Layer {
            image: image.display_name(),
            layer,
            source,
        },
    }
}
