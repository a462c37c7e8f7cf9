//! Images, artifacts and what they consist of.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::containerd::{ContainerdName, ContainerdReads};
use super::load::Unreadable;
use super::reference::{Name, Reference, ReferenceError};
use super::upgrade::UpgradedIds;
use crate::archive::{Layout, LookupError};
use crate::base::digest::{BlobDigest, ChainId, DiffId, Digest, ImageId, LegacyId};
use crate::base::problem::Problem;
use crate::document::Config;
use crate::document::MediaType;
use crate::document::Pairing;
use crate::document::Platform;
use crate::document::ThinBase;
use crate::document::descriptor::Descriptor;
use crate::source::{Compression, Slice, Span};

/// All images of an archive, and what else it describes.
#[derive(Debug)]
pub struct ImageSet {
    /// The layout that was recognised.
    pub layout: Layout,
    /// The images: those of `manifest.json` in its order, then those that only the index names.
    pub images: Vec<Image>,
    /// Manifests that do not describe an image.
    pub artifacts: Vec<Artifact>,
    /// Manifests that an index names and the archive does not hold: other platforms, mostly.
    pub absent: Vec<Absent>,
    /// What the archive leaves out on purpose, if it is a thin one.
    pub thin: Option<Thin>,
    /// The problems that were found while the descriptions were read.
    pub problems: Vec<Problem>,
    /// Descriptions that cannot be read although another one could be, and why not.
    pub(crate) unreadable: Vec<(&'static str, Unreadable)>,
    /// The first tag of each image of `manifest.json`, as written.
    pub(crate) first_tags: Vec<Option<String>>,
    /// The tags of `manifest.json` that engines refuse.
    pub(crate) refused_tags: Vec<RefusedTag>,
    /// Configs that engines cannot read and containerd 2 makes a manifest of all the same, by the image's position:
    /// digest and length.
    pub(crate) unread_configs: HashMap<usize, (Digest, u64)>,
    /// How many of the images `manifest.json` describes; they are the first.
    pub(crate) from_manifest_json: usize,
    /// What `index.json` lists, in its order.
    pub(crate) listed: Vec<Listed>,
    /// Images of `manifest.json` whose `Parent` is in the archive and is not the image they were built
    /// from, with that parent.
    pub(crate) unfit_parents: Vec<(usize, ImageId)>,
    /// Which description containerd goes by.
    pub(crate) containerd_reads: ContainerdReads,
    /// What containerd calls each image, where members had to be hashed for it.
    pub(crate) hashed: Vec<OnceLock<ContainerdName>>,
    /// Blobs whose digest was computed while they were read.
    pub(crate) checked: HashSet<Span>,
    /// Where the bodies begin of all documents that were read, whatever became of them.
    pub(crate) reached: HashSet<u64>,
}

/// One descriptor of an index, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// The descriptor.
    pub(crate) descriptor: Descriptor,
    /// What it leads to.
    pub(crate) leads: Leads,
}

/// What a descriptor of an index leads to.
#[derive(Clone, Debug)]
pub(crate) enum Leads {
    /// The image at this position.
    Image(usize),
    /// The artifact at this position.
    Artifact(usize),
    /// Nothing that the archive holds.
    Absent,
    /// Another index.
    Index(Vec<Listed>),
    /// A document that was met before.
    Again,
    /// A document that cannot be read, and why not.
    Unreadable(String),
}

/// A tag of `manifest.json` that engines refuse.
#[derive(Clone, Debug)]
pub(crate) struct RefusedTag {
    /// The image's position.
    pub(crate) image: usize,
    /// The tag as written.
    pub(crate) text: String,
    /// Why it is refused.
    pub(crate) why: TagFault,
}

/// Why a tag of `manifest.json` is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TagFault {
    /// It is a reference without a tag.
    #[error("it has no tag")]
    NoTag(Reference),
    /// It is not a reference.
    #[error(transparent)]
    Grammar(ReferenceError),
}

/// What an image is called by its engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The digest of its config.
    Config(ImageId),
    /// Its name in an archive from before Docker 1.10.
    Legacy(LegacyId),
    /// Nothing: the config is missing and nothing tells its digest.
    Unknown,
}

impl Identity {
    /// The first 12 characters, as engines show IDs to people.
    pub fn short(&self) -> &str {
        match self {
            Self::Config(id) => id.short(),
            Self::Legacy(id) => id.short(),
            Self::Unknown => "<unknown>",
        }
    }

    /// The characters that a prefix is matched against: hex digits without the algorithm.
    pub fn encoded(&self) -> Option<&str> {
        match self {
            Self::Config(id) => Some(id.digest().encoded()),
            Self::Legacy(id) => Some(id.as_str()),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(id) => id.fmt(f),
            Self::Legacy(id) => id.fmt(f),
            Self::Unknown => f.write_str("<unknown>"),
        }
    }
}

/// One image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its place in the archive, counted from 0.
    pub position: usize,
    /// What it is called by its engine.
    pub identity: Identity,
    /// What the archive calls it; several tags, or none.
    pub names: Vec<Name>,
    /// What it runs on: what its config says, and the index where the config does not.
    pub platform: Platform,
    /// Its config; absent if the archive does not hold it or it cannot be read.
    pub config: Option<Arc<ConfigBlob>>,
    /// Its manifest in an OCI layout.
    pub manifest: Option<Manifest>,
    /// The image it was built from, if `manifest.json` says so and it is in the archive.
    pub parent: Option<ImageId>,
    /// Its layers, base first.
    pub layers: Vec<Layer>,
    /// The IDs that Docker gives to an image from before Docker 1.10, once they were computed.
    pub(crate) upgraded: OnceLock<UpgradedIds>,
}

/// The manifest of an image and how it was found.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its descriptor in the index.
    pub descriptor: Descriptor,
    /// The index that names it, if that is not `index.json` itself. Docker's containerd store shows
    /// this digest as the image's ID, or the manifest's own where there is none.
    pub index: Option<Digest>,
    /// The manifest's own annotations.
    pub annotations: Vec<(String, String)>,
    /// How it describes the config.
    pub(crate) config: Descriptor,
    /// Whether the `data` of one of its descriptors is not base64, so that Go cannot read it.
    pub(crate) data_is_broken: bool,
}

/// A config: its bytes, and what they say.
#[derive(Clone, Debug)]
pub struct ConfigBlob {
    /// The member that holds it.
    pub member: Vec<u8>,
    /// Its exact bytes.
    pub raw: Vec<u8>,
    /// A typed view of them.
    pub view: Config,
}

/// One layer of an image.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its index, base first.
    pub index: usize,
    /// The diff ID that the config claims.
    pub diff_id: Option<DiffId>,
    /// The chain ID of the stack up to it, as the claimed diff IDs give it.
    pub chain_id: Option<ChainId>,
    /// Its directory's name in an archive from before Docker 1.10.
    pub legacy_id: Option<LegacyId>,
    /// The image that it is in such an archive, as its `json` file describes it.
    pub(crate) v1_json: Option<Arc<V1Document>>,
    /// The digest that names the stored blob, where something does.
    pub digest: Option<BlobDigest>,
    /// What it is, as its descriptor says.
    pub media_type: Option<MediaType>,
    /// The length of the stored blob in bytes, as its descriptor says.
    pub claimed_size: Option<u64>,
    /// The member that should hold it, as it was named.
    pub member: Vec<u8>,
    /// Where its bytes are.
    pub source: LayerSource,
}

/// The `json` file of an image from before Docker 1.10.
#[derive(Clone, Debug)]
pub(crate) struct V1Document {
    /// Its bytes.
    pub(crate) raw: Vec<u8>,
    /// Whether it was built on another image.
    pub(crate) has_parent: bool,
}

/// Where the bytes of a layer are.
#[derive(Clone, Debug)]
pub enum LayerSource {
    /// In this stretch of the archive, compressed like this (as their first bytes say).
    Present {
        /// The stored bytes.
        slice: Slice,
        /// Their compression.
        compression: Compression,
    },
    /// Not in the archive.
    Missing {
        /// Why not.
        why: LookupError,
        /// Where a foreign layer may be fetched.
        urls: Vec<String>,
        /// What the listing of a thin archive says of it, if it was left out on purpose.
        left_out: Option<Arc<LeftOut>>,
    },
}

/// A layer that was left out of a thin archive on purpose. Its diff ID and chain ID are those of the config; all
/// that is said here is only claimed.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The digest of the blob that would be stored.
    pub digest: BlobDigest,
    /// What that blob is.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// The images that have the layer.
    pub bases: Vec<Arc<ThinBase>>,
    /// The path of the archive that lacks it, for messages.
    pub archive: Arc<str>,
    /// What is left out of the whole image and where that is, for messages.
    pub(crate) of_image: Arc<str>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of_image)
    }
}

/// What a thin archive leaves out altogether.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Thin {
    /// How many layers there are, each counted once.
    pub layers: usize,
    /// How many bytes their blobs have together, as the listing claims.
    pub bytes: u64,
    /// The images that have them.
    pub bases: Vec<Arc<ThinBase>>,
}

impl Layer {
    /// The stored bytes and their compression.
    pub fn present(&self) -> Option<(&Slice, Compression)> {
        match &self.source {
            LayerSource::Present { slice, compression } => Some((slice, *compression)),
            LayerSource::Missing { .. } => None,
        }
    }

    /// What is said of it if it was left out of a thin archive on purpose.
    pub fn left_out(&self) -> Option<&Arc<LeftOut>> {
        match &self.source {
            LayerSource::Missing { left_out, .. } => left_out.as_ref(),
            LayerSource::Present { .. } => None,
        }
    }

    /// Whether an empty file stands for a foreign layer that the archive leaves out. Engines take it for the
    /// layer all the same.
    pub fn is_placeholder(&self) -> bool {
        let is_foreign = self
            .media_type
            .as_ref()
            .is_some_and(MediaType::is_foreign_layer);
        let is_empty = self.present().is_some_and(|(slice, _)| slice.is_empty());
        is_foreign
            && is_empty
            && self
                .diff_id
                .as_ref()
                .is_some_and(|id| *id.digest() != Digest::sha256_of(b""))
    }

    /// Where the stored bytes lie; equal for layers that share a blob.
    pub fn span(&self) -> Option<Span> {
        self.present().map(|(slice, _)| slice.span())
    }
}

impl Image {
    /// The typed view of the config.
    pub fn view(&self) -> Option<&Config> {
        self.config.as_ref().map(|blob| &blob.view)
    }

    /// The history beside the layers.
    pub fn pairing(&self) -> Pairing<'_> {
        Pairing::new(
            self.view().map_or(&[], |config| &config.history),
            self.layers.len(),
        )
    }

    /// The chain ID of the whole stack; `None` without layers, or if a diff ID is missing.
    pub fn chain_id(&self) -> Option<&ChainId> {
        self.layers.last()?.chain_id.as_ref()
    }

    /// The name for messages: its first reference, else its short ID.
    pub fn display_name(&self) -> String {
        self.names.first().map_or_else(
            || self.loaded_identity().short().to_owned(),
            ToString::to_string,
        )
    }
}

/// A manifest that describes something other than an image.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What it is: its artifact type, or the media type that gives it away.
    pub kind: String,
    /// Its manifest's descriptor.
    pub descriptor: Descriptor,
    /// Its name in the archive.
    pub names: Vec<Name>,
    /// The manifest that it is about: signatures and attestations have one.
    pub subject: Option<Digest>,
    /// Its blobs, the config first.
    pub blobs: Vec<ArtifactBlob>,
    /// Diff IDs that its config claims although it is not an image (cosign writes them), by layer.
    pub diff_ids: Vec<DiffId>,
}

/// A blob of an artifact.
#[derive(Clone, Debug)]
pub struct ArtifactBlob {
    /// What it is, its digest and its size.
    pub descriptor: Descriptor,
    /// The member that should hold it.
    pub member: Vec<u8>,
    /// Its bytes, if the archive holds them.
    pub slice: Option<Slice>,
}

/// A manifest that is named but missing.
#[derive(Clone, Debug)]
pub struct Absent {
    /// How an index describes it.
    pub descriptor: Descriptor,
    /// Its name in the archive.
    pub names: Vec<Name>,
}
