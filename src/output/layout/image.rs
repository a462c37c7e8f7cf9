//! What goes into an archive.

use std::io::Write;
use std::sync::Arc;

use crate::base::digest::{Algorithm, BlobDigest, DiffId, Digest, ImageId};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, steps};
use crate::document::Config;
use crate::image::{Image, Layer, Name};
use crate::layer::LayerTar;
use crate::layer::digest::{Nothing, Proof, Request, Wanted, prove};
use crate::output::WriteError;
use crate::output::delta::DeltaLayer;
use crate::output::tar::TarWriter;
use crate::source::{Compression, Slice};

/// An image to write.
#[derive(Clone, Debug)]
pub struct OutputImage {
    /// The exact bytes of its config. Its diff IDs are those of `layers`; that is checked.
    pub config: Vec<u8>,
    /// Its layers, base first.
    pub layers: Vec<OutputLayer>,
    /// Its names in the archive; none, or several. A name by digest is left out: the
    /// digest is that of another manifest.
    pub names: Vec<Name>,
    /// The image that it was built from; written only where that image goes into the archive too.
    pub parent: Option<ImageId>,
}

/// A layer to write: its bytes, and what is known of them.
#[derive(Clone, Debug)]
pub struct OutputLayer {
    blob: LayerBlob,
    compression: Compression,
    known: KnownDigests,
    /// Whether the archive is to be written without it.
    left_out: bool,
}

/// The bytes of a layer to write.
#[derive(Clone, Debug)]
pub(super) enum LayerBlob {
    /// They are stored somewhere.
    Stored(Slice),
    /// They are made of a tree, uncompressed, when they are wanted.
    Made(Arc<DeltaLayer>),
    /// They are so many, and only other archives have them.
    Absent(u64),
}

impl LayerBlob {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Stored(slice) => slice.len(),
            Self::Made(layer) => layer.len(),
            Self::Absent(len) => *len,
        }
    }
}

/// What is known of a layer's bytes.
#[derive(Clone, Debug)]
enum KnownDigests {
    /// What an archive claims.
    Claimed {
        diff_id: DiffId,
        digest: Option<BlobDigest>,
    },
    /// What was computed from these very bytes.
    Proven(Proof),
}

impl OutputLayer {
    /// A layer as an archive claims it to be. `digest` is that of the stored bytes, if it
    /// is claimed.
    pub fn claimed(
        diff_id: DiffId,
        blob: Slice,
        compression: Compression,
        digest: Option<BlobDigest>,
    ) -> Self {
        Self {
            blob: LayerBlob::Stored(blob),
            compression,
            known: KnownDigests::Claimed { diff_id, digest },
            left_out: false,
        }
    }

    /// An uncompressed layer of which this is proven.
    pub fn new(tar: &LayerTar, proof: Proof) -> Self {
        Self {
            blob: LayerBlob::Stored(tar.bytes().clone()),
            compression: Compression::None,
            known: KnownDigests::Proven(proof),
            left_out: false,
        }
    }

    /// A layer that is made when it is wanted, and what was proven of it when it was made once.
    pub(in crate::output) fn made(layer: DeltaLayer, proof: Proof) -> Self {
        Self {
            blob: LayerBlob::Made(Arc::new(layer)),
            compression: Compression::None,
            known: KnownDigests::Proven(proof),
            left_out: false,
        }
    }

    /// Its diff ID.
    pub fn diff_id(&self) -> &DiffId {
        match &self.known {
            KnownDigests::Claimed { diff_id, .. } => diff_id,
            KnownDigests::Proven(proof) => proof.diff_id(),
        }
    }

    /// The digest of its stored bytes, where one is known that can name a blob: blobs are named by
    /// SHA-256, as every engine does.
    pub(in crate::output) fn digest(&self) -> Option<BlobDigest> {
        let digest = match (&self.known, self.compression) {
            // The stored bytes are the tar.
            (_, Compression::None) => Some(BlobDigest::from(self.diff_id().digest().clone())),
            (KnownDigests::Claimed { digest, .. }, _) => digest.clone(),
            (KnownDigests::Proven(proof), _) => proof.stored().cloned(),
        };
        digest.filter(|digest| *digest.digest().algorithm() == Algorithm::Sha256)
    }

    /// Whether its digests were computed from its bytes.
    pub(super) fn is_proven(&self) -> bool {
        matches!(self.known, KnownDigests::Proven(_))
    }

    /// Its bytes.
    pub(super) fn blob(&self) -> &LayerBlob {
        &self.blob
    }

    /// Its stored bytes; `None` if it is new and made when it is written.
    pub fn stored(&self) -> Option<&Slice> {
        match &self.blob {
            LayerBlob::Stored(slice) => Some(slice),
            LayerBlob::Made(_) | LayerBlob::Absent(_) => None,
        }
    }

    /// A layer that is left out of a thin archive, as its listing describes it. `digest` is that of the blob.
    pub(in crate::output) fn absent(
        diff_id: DiffId,
        digest: BlobDigest,
        compression: Compression,
        len: u64,
    ) -> Self {
        Self {
            blob: LayerBlob::Absent(len),
            compression,
            known: KnownDigests::Claimed {
                diff_id,
                digest: Some(digest),
            },
            left_out: true,
        }
    }

    /// Has the archive written without it.
    pub(in crate::output) fn leave_out(&mut self) {
        self.left_out = true;
    }

    /// Whether the archive is to be written without it.
    pub(super) fn is_left_out(&self) -> bool {
        self.left_out
    }

    /// Writes its bytes to `out`, compressed as they are stored.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn write<W: Write>(&self, out: W) -> Result<(), WriteError> {
        let mut writer = TarWriter::new(out);
        match &self.blob {
            LayerBlob::Stored(slice) => writer.copy(slice, |_| {})?,
            LayerBlob::Made(layer) => layer.write(&mut writer, |_| {})?,
            LayerBlob::Absent(_) => return Err(absent()),
        }
        writer.close().map(drop)
    }

    /// How they are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

impl OutputImage {
    /// An image of an archive, unchanged: the same config bytes, layers and names.
    ///
    /// An image from before Docker 1.10 gets the config that Docker makes of it when it loads it;
    /// for that its layers are read, on all cores.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if its config or a layer is missing or cannot be read.
    pub fn of(image: &Image, jobs: Jobs, progress: &dyn Progress) -> Result<Self, WriteError> {
        Self::with_layers(image, &|_| None, jobs, progress)
    }

    /// The same; `elsewhere` has the layers that the archive does not hold.
    pub(in crate::output) fn with_layers(
        image: &Image,
        elsewhere: &dyn Fn(&Layer) -> Option<OutputLayer>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, WriteError> {
        let refuse = |why: &str| WriteError::Image {
            image: image.display_name(),
            why: why.to_owned(),
        };
        let Some(config) = &image.config else {
            return Err(refuse("its config is missing or unreadable"));
        };
        if image.is_legacy() {
            let layers = computed_layers(image, jobs, progress)?;
            let diff_ids: Vec<DiffId> = layers.iter().map(|l| l.diff_id().clone()).collect();
            let config = image.upgraded_config(&diff_ids);
            return Ok(Self {
                config: config.map_err(|e| refuse(&e.to_string()))?,
                layers,
                names: image.names.clone(),
                parent: None,
            });
        }
        let mut layers = Vec::with_capacity(image.layers.len());
        for layer in &image.layers {
            if layer.present().is_none()
                && let Some(found) = elsewhere(layer)
            {
                layers.push(found);
                continue;
            }
            let (slice, compression) = present(image, layer.index)?;
            let Some(diff_id) = &layer.diff_id else {
                return Err(refuse(&format!(
                    "its config has no diff ID for layer {}",
                    layer.index
                )));
            };
            layers.push(OutputLayer::claimed(
                diff_id.clone(),
                slice.clone(),
                compression,
                layer.digest.clone(),
            ));
        }
        Ok(Self {
            config: config.raw.clone(),
            layers,
            names: image.names.clone(),
            parent: image.parent.clone(),
        })
    }

    /// Its ID: the digest of its config.
    pub fn id(&self) -> ImageId {
        ImageId::from(Digest::sha256_of(&self.config))
    }

    /// The name for messages: its first name, else its short ID.
    pub(in crate::output) fn display_name(&self) -> String {
        self.names
            .first()
            .map_or_else(|| self.id().short().to_owned(), ToString::to_string)
    }

    /// What its config says, if it describes these layers.
    pub(super) fn view(&self) -> Result<Config, WriteError> {
        let refuse = |why: String| WriteError::Image {
            image: self.display_name(),
            why,
        };
        let view = Config::read(&self.config).map_err(|e| refuse(e.to_string()))?;
        let kind = view.rootfs.as_ref().map_or("", |rootfs| &rootfs.kind);
        if kind != "layers" {
            return Err(refuse(format!(
                "the `rootfs.type` of its config is `{kind}`, not `layers`"
            )));
        }
        let claimed = view.diff_ids();
        if claimed.len() != self.layers.len() {
            return Err(refuse(format!(
                "it has {} layers, its config {} diff IDs",
                self.layers.len(),
                claimed.len()
            )));
        }
        let differs = claimed
            .iter()
            .zip(&self.layers)
            .position(|(claimed, layer)| *claimed != *layer.diff_id());
        if let Some(layer) = differs {
            return Err(refuse(format!(
                "its config has another diff ID for layer {layer}"
            )));
        }
        Ok(view)
    }
}

/// The error of bytes that are nowhere to be read.
pub(super) fn absent() -> WriteError {
    WriteError::Image {
        image: "a layer".to_owned(),
        why: "no archive at hand holds it".to_owned(),
    }
}

fn present(image: &Image, layer: usize) -> Result<(&Slice, Compression), WriteError> {
    let stored = image.layers[layer].stored();
    stored.map_err(|source| WriteError::Layer {
        image: image.display_name(),
        layer,
        source,
    })
}

/// The layers of an image that claims no digests of them.
fn computed_layers(
    image: &Image,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Vec<OutputLayer>, WriteError> {
    let layers: Vec<_> = image
        .layers
        .iter()
        .map(|layer| Ok((layer.index, present(image, layer.index)?)))
        .collect::<Result<_, WriteError>>()?;
    let requests = layers.iter().map(|&(_, (bytes, compression))| Request {
        bytes,
        compression,
        wanted: Wanted::both(),
        task: Some(steps::HASHING.to_owned()),
        alongside: Nothing,
    });
    let answers = prove(jobs, requests, progress);
    let computed = layers.iter().zip(answers);
    let computed = computed.map(|(&(layer, (blob, compression)), answer)| {
        let (proof, ()) = answer.map_err(|source| WriteError::Layer {
            image: image.display_name(),
            layer,
            source,
        })?;
        Ok(OutputLayer {
            blob: LayerBlob::Stored(blob.clone()),
            compression,
            known: KnownDigests::Proven(proof),
            left_out: false,
        })
    });
    computed.collect()
}
