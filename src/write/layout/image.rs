//! What goes into an archive.

use crate::digest::{BlobDigest, DiffId, Digest, ImageId};
use crate::image::{Image, Name};
use crate::parallel::Jobs;
use crate::progress::Progress;
use crate::source::{Compression, Slice};
use crate::write::WriteError;

/// An image to write.
#[derive(Clone, Debug)]
pub struct OutputImage {
    /// The exact bytes of its config. Its diff IDs are those of `layers`; that is checked.
    pub config: Vec<u8>,
    /// Its layers, base first.
    pub layers: Vec<OutputLayer>,
    /// What the archive shall call it; none, or several.
    pub names: Vec<Name>,
    /// The image that it was built from; written only where that image goes into the archive too.
    pub parent: Option<ImageId>,
}

/// A layer to write: stored bytes, and what is known of them.
#[derive(Clone, Debug)]
pub struct OutputLayer {
    pub(super) diff_id: DiffId,
    pub(super) blob: Slice,
    pub(super) compression: Compression,
    pub(super) digest: Option<BlobDigest>,
    /// Whether the digests were computed from these very bytes.
    pub(super) computed: bool,
}

impl OutputLayer {
    /// A layer as an archive claims it to be. `digest` is that of the stored bytes, where something
    /// tells it.
    pub fn claimed(
        diff_id: DiffId,
        blob: Slice,
        compression: Compression,
        digest: Option<BlobDigest>,
    ) -> Self {
        Self {
            diff_id,
            blob,
            compression,
            digest,
            computed: false,
        }
    }

    /// An uncompressed layer whose digest this program has computed.
    pub fn computed(diff_id: DiffId, blob: Slice) -> Self {
        Self {
            digest: Some(BlobDigest::from(diff_id.digest().clone())),
            diff_id,
            blob,
            compression: Compression::None,
            computed: true,
        }
    }

    /// Its diff ID.
    pub fn diff_id(&self) -> &DiffId {
        &self.diff_id
    }

    /// Its stored bytes.
    pub fn blob(&self) -> &Slice {
        &self.blob
    }

    /// How they are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

impl OutputImage {
    /// An image of an archive as it stands there: the same config bytes, layers, names.
    ///
    /// Digests that nothing tells are computed, on all cores.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if its config or a layer is missing or cannot be read.
    pub fn of(image: &Image, jobs: Jobs, progress: &dyn Progress) -> Result<Self, WriteError> {
        let _ = (image, jobs, progress);
        unimplemented!("follows in the next commit")
    }

    /// Its ID: the digest of its config.
    pub fn id(&self) -> ImageId {
        ImageId::from(Digest::sha256_of(&self.config))
    }
}
