//! Layers whose stored bytes become others: decoded, or compressed anew.
//!
//! A layer is read once. While it is decoded its diff ID is computed, and what comes out goes to the encoder, whose
//! output is hashed on its way into an unnamed temporary file. The archive is written afterwards, because the
//! digest of a blob is its name and stands before it.
//!
//! Threats: those of decoding, which counts what comes out against the limits of the archive ([`crate::source`]).
//! What is compressed is at most a little larger than that.

use std::collections::HashSet;
use std::io::{self, Write};
use std::num::NonZeroUsize;

use super::blobs::NamedLayer;
use super::{ArchiveLayout, ArchiveOptions};
use crate::base::digest::{BlobDigest, Hasher};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, steps};
use crate::layer::digest::{Alongside, Proof, Request, Wanted, prove};
use crate::layer::{LayerError, LayerTar, Spool, ToSpool};
use crate::source::{Compression, Encoder, Encoders, Method, Slice};

/// How the layers of an archive are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerCompression {
    /// As they are, byte for byte, unless the layout cannot hold that: then not at all.
    #[default]
    Keep,
    /// In this way; a layer that has the format stays as it is, whatever made it.
    As(Method),
    /// In this way, every layer, also one that has the format: for a level that was asked for.
    Anew(Method),
}

/// How many layers were decoded or compressed anew, each blob counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecodedLayers {
    /// Those that were.
    pub layers: usize,
    /// Those that were copied as they are.
    pub kept: usize,
    /// How many bytes those had before.
    pub bytes_before: u64,
    /// How many they have.
    pub bytes: u64,
}

impl RecodedLayers {
    pub(super) fn of(layers: &[Vec<NamedLayer>]) -> Self {
        let mut met = HashSet::new();
        let mut sum = Self::default();
        for layer in layers
            .iter()
            .flatten()
            .filter(|layer| !layer.left_out && met.insert(&layer.digest))
        {
            match layer.before {
                None => sum.kept += 1,
                Some(before) => {
                    sum.layers += 1;
                    sum.bytes_before = sum.bytes_before.saturating_add(before);
                    sum.bytes = sum.bytes.saturating_add(layer.blob.len());
                }
            }
        }
        sum
    }
}

/// The bytes that take the place of a stored layer.
#[derive(Clone, Debug)]
pub(super) struct Recoded {
    pub(super) bytes: Slice,
    pub(super) compression: Compression,
    /// Their digest; `None` if they are the tar, whose digest is the diff ID.
    pub(super) digest: Option<BlobDigest>,
}

impl ArchiveOptions {
    /// How a layer that is compressed in this way has to be compressed anew; `None` if it stays as it is.
    pub(super) fn method_for(&self, compression: Compression) -> Option<Method> {
        match self.compress {
            LayerCompression::Keep => (!self.layout.holds(compression)).then_some(Method::NONE),
            LayerCompression::As(method) => (method.compression() != compression).then_some(method),
            LayerCompression::Anew(method) => Some(method),
        }
    }
}

impl ArchiveLayout {
    /// Whether every reader of the layout can read layers of this compression. There is no media type
    /// for bzip2 and xz, and Docker before 23 cannot read zstd.
    pub fn holds(self, compression: Compression) -> bool {
        match compression {
            Compression::None | Compression::Gzip => true,
            Compression::Zstd => self == Self::Oci,
            _ => false,
        }
    }
}

/// A stored layer: its bytes, their compression, and the one that they are to have, if it is another.
pub(super) type ToRecode<'r> = (&'r Slice, Compression, Option<Method>);

/// Reads layers, and makes of each what it is to become. The answers have the layers' order.
pub(super) fn recode_all(
    layers: &[ToRecode<'_>],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Vec<Result<(Proof, Option<Recoded>), LayerError>> {
    let (encode, read): (Vec<usize>, Vec<usize>) = (0..layers.len()).partition(|&i| {
        let method = layers[i].2;
        method.is_some_and(|method| method.compression() != Compression::None)
    });
    // There is one wish for all layers.
    let encoders = encode
        .first()
        .and_then(|&i| layers[i].2)
        .map(|method| Encoders::new(method, jobs));
    let encoders_for = |method: Option<Method>| {
        let encoders = encoders.as_ref();
        encoders.filter(|encoders| method == Some(encoders.method()))
    };
    let request = |i: usize| {
        let (bytes, compression, method) = layers[i];
        let (wanted, task) = match method.map(Method::compression) {
            None => (Wanted::both(), steps::HASHING),
            Some(Compression::None) => (Wanted::diff_id(), steps::DECOMPRESSING),
            Some(_) => (Wanted::diff_id(), steps::COMPRESSING),
        };
        Request {
            bytes,
            compression,
            wanted,
            task: Some(task.to_owned()),
            alongside: Recoding {
                bytes,
                method,
                encoders: encoders_for(method),
            },
        }
    };
    let mut answers: Vec<Option<Result<_, LayerError>>> = layers.iter().map(|_| None).collect();
    let proved = prove(jobs, read.iter().map(|&i| request(i)), progress);
    for (i, answer) in read.into_iter().zip(proved) {
        answers[i] = Some(answer);
    }
    // Several layers are read at once, each for an encoder of its own, and these share the threads that compress:
    // so small layers keep all cores busy too, and with many cores they do not wait for one layer to be read.
    if let Some(encoders) = &encoders {
        let at_once = (encoders.at_once() / 2).clamp(1, jobs.count());
        let at_once = NonZeroUsize::new(at_once).map_or(jobs, Jobs::new);
        let encoded = prove(at_once, encode.iter().map(|&i| request(i)), progress);
        for (i, answer) in encode.into_iter().zip(encoded) {
            answers[i] = Some(answer);
        }
    }
    let answers = answers.into_iter();
    answers
        .map(|answer| answer.expect("every layer was read"))
        .collect()
}

/// Makes other bytes of a layer while it is read, or nothing.
struct Recoding<'r> {
    bytes: &'r Slice,
    method: Option<Method>,
    encoders: Option<&'r Encoders>,
}

/// What a layer becomes, under way.
enum Becoming {
    Nothing,
    Tar(Spool),
    Blob(Box<Encoder<HashedSpool>>),
}

impl Alongside for Recoding<'_> {
    type State = Becoming;
    type Made = Option<Recoded>;
    type Error = LayerError;

    fn unread(&self, error: LayerError) -> LayerError {
        error
    }

    fn begin(&self) -> Result<Becoming, LayerError> {
        match (self.method, self.encoders) {
            (None, _) => Ok(Becoming::Nothing),
            (Some(_), None) => ToSpool(self.bytes).begin().map(Becoming::Tar),
            (Some(_), Some(encoders)) => {
                let spool = HashedSpool {
                    spool: Spool::new().map_err(LayerError::Spool)?,
                    hasher: Hasher::sha256(),
                };
                Ok(Becoming::Blob(Box::new(encoders.encoder(spool))))
            }
        }
    }

    fn take(&self, state: &mut Becoming, bytes: &[u8]) -> Result<(), LayerError> {
        match state {
            Becoming::Nothing => Ok(()),
            Becoming::Tar(spool) => ToSpool(self.bytes).take(spool, bytes),
            Becoming::Blob(encoder) => encoder.write_all(bytes).map_err(LayerError::Spool),
        }
    }

    fn end(&self, state: Becoming, proof: &Proof) -> Result<Option<Recoded>, LayerError> {
        Ok(match state {
            Becoming::Nothing => None,
            Becoming::Tar(spool) => {
                let tar: LayerTar = ToSpool(self.bytes).end(spool, proof)?;
                Some(Recoded {
                    bytes: tar.bytes().clone(),
                    compression: Compression::None,
                    digest: None,
                })
            }
            Becoming::Blob(encoder) => {
                let HashedSpool { spool, hasher } = encoder.finish().map_err(LayerError::Spool)?;
                Some(Recoded {
                    bytes: spool.into_bytes(self.bytes),
                    compression: self.method.map_or(Compression::None, Method::compression),
                    digest: Some(BlobDigest::from(hasher.finish())),
                })
            }
        })
    }
}

/// A temporary file, and the digest of what is written to it.
struct HashedSpool {
    spool: Spool,
    hasher: Hasher,
}

impl Write for HashedSpool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.spool.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}
