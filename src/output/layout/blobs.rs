//! The layers of all images as blobs: each once, with the digest that names it.

use super::image::{LayerBlob, OutputImage, OutputLayer};
use super::{ArchiveLayout, ArchiveOptions};
use crate::base::digest::{BlobDigest, DiffId};
use crate::base::progress::Progress;
use crate::document::media_type::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use crate::layer::digest::{
    Alongside, Claim, Claimed, Claims, LayerName, Mismatch, Proof, Request, Wanted, prove,
};
use crate::layer::{LayerError, LayerTar, OpenLayers, ToSpool};
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

impl ArchiveLayout {
    /// Whether every reader of the layout can read layers of this compression. There is no media type
    /// for bzip2 and xz, and Docker before 23 cannot read zstd.
    fn holds(self, compression: Compression) -> bool {
        match compression {
            Compression::None | Compression::Gzip => true,
            Compression::Zstd => self == Self::Oci,
            _ => false,
        }
    }
}

/// Keeps the uncompressed bytes of blobs that the layout cannot hold as they are.
struct Naming<'n>(Option<ToSpool<'n>>);

impl<'n> Alongside for Naming<'n> {
    type State = Option<<ToSpool<'n> as Alongside>::State>;
    type Made = Option<LayerTar>;
    type Error = LayerError;

    fn unread(&self, error: LayerError) -> LayerError {
        error
    }

    fn begin(&self) -> Result<Self::State, LayerError> {
        self.0.as_ref().map(ToSpool::begin).transpose()
    }

    fn take(&self, state: &mut Self::State, bytes: &[u8]) -> Result<(), LayerError> {
        match (&self.0, state) {
            (Some(to_spool), Some(state)) => to_spool.take(state, bytes),
            _ => Ok(()),
        }
    }

    fn end(&self, state: Self::State, proof: &Proof) -> Result<Self::Made, LayerError> {
        let made = self.0.as_ref().zip(state);
        made.map(|(to_spool, state)| to_spool.end(state, proof))
            .transpose()
    }
}

/// Gives every layer of every image a blob that the layout can hold, and its digest. Digests that are
/// not known are computed, and layers of other compressions decoded, on all cores.
pub(super) fn name(
    images: &[OutputImage],
    options: ArchiveOptions,
    progress: &dyn Progress,
) -> Result<Vec<Vec<NamedLayer>>, WriteError> {
    let mut blobs: ByPlace<(&OutputImage, usize, &Slice)> = ByPlace::new();
    for (image, index, layer) in all(images) {
        if layer.digest().is_none() || !options.layout.holds(layer.compression()) {
            // What is made has a digest and no compression.
            if let Some(bytes) = layer.stored() {
                blobs.add(bytes, || (image, index, bytes));
            }
        }
    }
    let requests = blobs.all().iter().map(|&(image, index, bytes)| {
        let layer = &image.layers[index];
        let is_held = options.layout.holds(layer.compression());
        let (wanted, task) = if is_held {
            (Wanted::both(), "hashing layers")
        } else {
            (Wanted::diff_id(), "decompressing layers")
        };
        Request {
            bytes,
            compression: layer.compression(),
            wanted,
            task: Some(task.to_owned()),
            alongside: Naming((!is_held).then_some(ToSpool(bytes))),
        }
    });
    let answers = prove(options.jobs, requests, progress);
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

/// `read` is what reading the blob gave, if it was read, and its uncompressed bytes if those take its
/// place.
fn named(
    image: &OutputImage,
    index: usize,
    layer: &OutputLayer,
    read: Option<&(Proof, Option<LayerTar>)>,
) -> Result<NamedLayer, WriteError> {
    let diff_id = layer.diff_id().clone();
    let mut is_proven = layer.is_proven();
    let (mut blob, mut compression) = (layer.blob().clone(), layer.compression());
    let mut digest = layer.digest();
    if let Some((proof, decoded)) = read {
        let (claimed, computed) = (diff_id.digest(), proof.diff_id().digest());
        let name = name_of(image, index);
        Mismatch::between(&name, Claimed::DiffId, claimed, computed)?;
        // What cannot be computed cannot have been compared.
        is_proven = claimed.algorithm() == computed.algorithm();
        digest = proof.stored().cloned();
        if let Some(tar) = decoded {
            blob = LayerBlob::Stored(tar.bytes().clone());
            compression = Compression::None;
            digest = Some(BlobDigest::from(computed.clone()));
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
            // What is made is proven.
            let LayerBlob::Stored(bytes) = &layer.blob else {
                continue;
            };
            let claim = Claim {
                name: name_of(image, index),
                bytes,
                compression: layer.compression,
                diff_id: &layer.diff_id,
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
                image: Some(format!("the {} {}", artifact.kind, artifact.digest)),
                layer: number,
            },
            bytes,
            compression: Compression::None,
            diff_id: digest,
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
                diff_id: layer.diff_id(),
                stored: None,
            };
            claims.add(claim, opened.proof(index));
        }
        claims
    }
}

fn name_of(image: &OutputImage, layer: usize) -> LayerName {
    LayerName {
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
