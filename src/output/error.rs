//! What keeps a tar from being written.

use std::io;

use crate::base::digest::Digest;
use crate::base::escape;
use crate::document::ChangeError;
use crate::layer::LayerError;
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
    /// A layer's bytes are not what its digest says.
    #[error(
        "layer {layer} of {image} is not what its {what} says: claimed {claimed}, computed {computed}"
    )]
    Digest {
        /// The image, for people.
        image: String,
        /// The layer's index, base first.
        layer: usize,
        /// Which digest: the diff ID, or that of the stored blob.
        what: &'static str,
        /// What was claimed.
        claimed: Box<Digest>,
        /// What the bytes give.
        computed: Box<Digest>,
    },
    /// The image has no such layer.
    #[error("{image} has no layer {layer}, {}", match .count {
        0 => "nor any other".to_owned(),
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

/// A [`WriteError::Spool`].
pub(super) fn spool(source: io::Error) -> WriteError {
    WriteError::Spool {
        dir: std::env::temp_dir().display().to_string(),
        source,
    }
}
