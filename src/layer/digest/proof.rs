//! What is proven of bytes, and bytes that do not match a claim.

use std::fmt;

use crate::base::digest::{Algorithm, BlobDigest, DiffId, Digest, Hasher};

/// Which digests of a layer's bytes to compute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The algorithm for the uncompressed bytes. SHA-256 takes the place of one that cannot be computed.
    pub tar: Algorithm,
    /// The algorithm for the stored bytes, if their digest is needed. One that cannot be computed is
    /// left out.
    pub stored: Option<Algorithm>,
}

impl Wanted {
    /// The diff ID alone, by SHA-256.
    pub fn diff_id() -> Self {
        Self {
            tar: Algorithm::Sha256,
            stored: None,
        }
    }

    /// The diff ID and the digest of the stored bytes, both by SHA-256.
    pub fn both() -> Self {
        Self {
            stored: Some(Algorithm::Sha256),
            ..Self::diff_id()
        }
    }

    pub(super) fn tar_hasher(&self) -> Hasher {
        Hasher::for_algorithm(&self.tar).unwrap_or_else(Hasher::sha256)
    }

    pub(super) fn stored_hasher(&self) -> Option<Hasher> {
        Hasher::for_algorithm(self.stored.as_ref()?)
    }
}

/// The digests of bytes that were read, or written, from the first to the last.
///
/// Only what reads bytes to their end makes one, so its holder need not ask whether that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    diff_id: DiffId,
    stored: Option<BlobDigest>,
    size: u64,
}

impl Proof {
    pub(super) fn new(tar: Digest, stored: Option<Digest>, size: u64) -> Self {
        Self {
            diff_id: DiffId::from(tar),
            stored: stored.map(BlobDigest::from),
            size,
        }
    }

    /// The digest of the uncompressed bytes.
    pub fn diff_id(&self) -> &DiffId {
        &self.diff_id
    }

    /// The digest of the stored bytes, if it was asked for.
    pub fn stored(&self) -> Option<&BlobDigest> {
        self.stored.as_ref()
    }

    /// How many uncompressed bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it holds a diff ID and, if one is claimed, a digest of the stored bytes by these algorithms.
    pub(super) fn answers(&self, wanted: &Wanted) -> bool {
        let stored = self.stored.as_ref().map(|id| id.digest().algorithm());
        *self.diff_id.digest().algorithm() == wanted.tar
            && (wanted.stored.is_none() || stored == wanted.stored.as_ref())
    }
}

/// Proves bytes that this program makes: it is shown all of them, in order.
#[derive(Clone, Debug)]
pub(crate) struct Prover {
    hasher: Hasher,
    size: u64,
}

impl Prover {
    pub(crate) fn sha256() -> Self {
        Self {
            hasher: Hasher::sha256(),
            size: 0,
        }
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// There are no more.
    pub(crate) fn finish(self) -> Proof {
        Proof::new(self.hasher.finish(), None, self.size)
    }
}

/// What a digest is claimed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimed {
    /// Of a layer's uncompressed bytes.
    DiffId,
    /// Of a layer's stored bytes.
    Blob,
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiffId => "diff ID",
            Self::Blob => "digest",
        })
    }
}

/// What bytes are that something is claimed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredPart {
    /// A layer of an image.
    Layer,
    /// A blob of a manifest that is not an image, such as an attestation.
    Blob,
}

/// Which layer it is, or which blob, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerName {
    /// What it is.
    pub part: StoredPart,
    /// The image or artifact, for people, where there are several.
    pub image: Option<String>,
    /// The layer's index, base first, or that of the blob.
    pub layer: usize,
}

impl LayerName {
    /// A layer of the only image.
    pub(crate) fn of(layer: usize) -> Self {
        Self {
            part: StoredPart::Layer,
            image: None,
            layer,
        }
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            StoredPart::Layer => "layer",
            StoredPart::Blob => "blob",
        };
        write!(f, "{part} {}", self.layer)?;
        match &self.image {
            Some(image) => write!(f, " of {image}"),
            None => Ok(()),
        }
    }
}

/// A layer, or another blob, whose bytes are not those that a digest claims.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} does not match its {what}: claimed {claimed}, computed {computed}")]
pub struct Mismatch {
    /// Which.
    pub name: LayerName,
    /// Which digest.
    pub what: Claimed,
    /// What was claimed.
    pub claimed: Digest,
    /// What the bytes give.
    pub computed: Digest,
}

impl Mismatch {
    /// Compares a claim with what was computed. Digests by two algorithms cannot be compared, and are not a
    /// mismatch.
    pub(crate) fn between(
        name: &LayerName,
        what: Claimed,
        claimed: &Digest,
        computed: &Digest,
    ) -> Result<(), Box<Self>> {
        if claimed.algorithm() != computed.algorithm() || claimed == computed {
            return Ok(());
        }
        Err(Box::new(Self {
            name: name.clone(),
            what,
            claimed: claimed.clone(),
            computed: computed.clone(),
        }))
    }
}
