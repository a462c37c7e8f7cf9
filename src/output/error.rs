//! What keeps a tar from being written.

use std::io;

use crate::base::escape;
use crate::base::limits::Exceeded;
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
    /// A blob of something that is not an image cannot be read.
    #[error("blob {blob} of {of} cannot be read")]
    Blob {
        /// What it is a blob of, for people: an attestation, a signature.
        of: String,
        /// The blob's index.
        blob: usize,
        /// What the system said.
        source: io::Error,
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
    /// An archive lists more than a limit allows.
    #[error("{what} lists more than any archive needs")]
    TooMuch {
        /// What lists it, for people.
        what: String,
        /// The limit that it exceeds.
        #[source]
        exceeded: Exceeded,
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
            Some(of) if name.part == StoredPart::Blob => match source {
                LayerError::Read(source) => Self::Blob {
                    of,
                    blob: layer,
                    source,
                },
                // It is not decoded, so nothing else keeps it from being read.
                source => Self::Image {
                    image: of,
                    why: format!("blob {layer} cannot be read: {source}"),
                },
            },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::digest::LayerName;

    #[test]
    fn a_blob_that_cannot_be_read_is_not_called_a_layer() {
        let unread = |part| ClaimError::Unread {
            name: LayerName {
                part,
                image: Some("the attestation sha256:ab".to_owned()),
                layer: 1,
            },
            source: LayerError::Read(io::Error::other("gone")),
        };
        let blob = WriteError::from(unread(StoredPart::Blob));
        assert_eq!(
            blob.to_string(),
            "blob 1 of the attestation sha256:ab cannot be read"
        );
        let cause = std::error::Error::source(&blob).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("gone"));
        let layer = WriteError::from(unread(StoredPart::Layer)).to_string();
        assert!(layer.starts_with("layer 1 of "), "{layer}");
    }
}
