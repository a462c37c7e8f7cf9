//! What keeps a tar from being written.

use std::io;

use crate::base::escape;
use crate::document::ChangeError;
use crate::layer::digest::{ClaimError, Mismatch, StoredPart};
use crate::layer::{LayerError, UnreadLayer};
use crate::source::SourceError;
use crate::tree::TreeError;

/// Why a tar could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The image's layers cannot be applied, or are not what they should be.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A body could not be read.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// A change of the config that Docker would refuse.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A name that layers give another meaning, so that none can hold it.
    #[error("`{}` cannot be written into a layer: a name that begins with `.wh.` is a whiteout there", escape::name(.path))]
    WhiteoutName {
        /// Its path.
        path: Vec<u8>,
    },
    /// The output could not be written.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
    /// A new layer could not be kept until the archive is written.
    #[error("cannot write the new layer to {dir}")]
    Spool {
        /// The directory for temporary files.
        dir: String,
        /// What the system said.
        source: io::Error,
    },
    /// A layer cannot be read.
    #[error("layer {layer} of {image} cannot be read")]
    Layer {
        /// The image, for people.
        image: String,
        /// The layer's index, base first.
        layer: usize,
        /// Why not.
        source: LayerError,
    },
    /// A layer's bytes are not what a digest says.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// The image has no such layer.
    #[error("{image} has no layer {layer}, {}", match .count {
        0 => "and no other".to_owned(),
        1 => "only layer 0".to_owned(),
        n => format!("its layers are 0 to {}", n - 1),
    })]
    NoLayer {
        /// The image, for people.
        image: String,
        /// The index that was asked for.
        layer: usize,
        /// How many layers it has.
        count: usize,
    },
    /// The image cannot be put into the archive.
    #[error("{image} cannot be written: {why}")]
    Image {
        /// The image, for people.
        image: String,
        /// Why not.
        why: String,
    },
}

impl From<UnreadLayer> for WriteError {
    fn from(error: UnreadLayer) -> Self {
        Self::Tree(error.into())
    }
}

impl From<ClaimError> for WriteError {
    fn from(error: ClaimError) -> Self {
        let (name, source) = match error {
            ClaimError::Mismatch(mismatch) => return Self::Mismatch(mismatch),
            ClaimError::Unread { name, source } => (name, source),
            ClaimError::Unsupported { name, algorithm } => {
                let (number, algorithm) = (name.layer, algorithm.name());
                let what = match name.part {
                    StoredPart::Layer => format!("the diff ID of layer {number}"),
                    StoredPart::Blob => format!("the digest of blob {number}"),
                };
                return Self::Image {
                    image: name.image.unwrap_or_else(|| "the image".to_owned()),
                    why: format!("{what} is a digest by `{algorithm}`, which cannot be computed"),
                };
            }
        };
        let layer = name.layer;
        match name.image {
            Some(image) => Self::Layer {
                image,
                layer,
                source,
            },
            None => UnreadLayer { layer, source }.into(),
        }
    }
}

/// A [`WriteError::Spool`].
pub(super) fn spool(source: io::Error) -> WriteError {
    WriteError::Spool {
        dir: std::env::temp_dir().display().to_string(),
        source,
    }
}
