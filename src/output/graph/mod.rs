//! What an archive holds, as one graph that can be written: roots with names, each an image, an index, an
//! artifact or something that is not there.
//!
//! A graph is cheap: it refers to the images of archives and holds none of their layers. It is made from an archive
//! ([`ArchiveGraph::of`]) or from newly made images ([`ArchiveGraph::of_images`]), transformed
//! ([`ArchiveGraph::keep`], [`ArchiveGraph::merge`]), and written ([`super::write_graph`]). Manifests and indexes
//! keep their bytes, and with them their digests, where nothing forces a change.

mod image;
mod keep;
mod merge;
mod read;
mod rename;
mod store;
mod thin;

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::digest::{BlobDigest, Digest};
use crate::document::descriptor::ManifestDocument;
use crate::document::index_text::IndexText;
use crate::document::{Descriptor, Platform};
use crate::image::{Image, Name};
use crate::output::WriteError;
use crate::output::layout::OutputImage;
use crate::source::Slice;

pub use keep::KeepWish;
pub use rename::RenameError;
pub use store::{LayerStore, Unfilled};
pub use thin::{ThinError, ThinPlan};

/// What an archive holds, or will hold.
#[derive(Clone, Debug, Default)]
pub struct ArchiveGraph<'s> {
    /// In the order in which they are written: those with images first.
    pub(in crate::output) roots: Vec<Root<'s>>,
    /// Layers of other archives, for images whose own archive lacks them.
    pub(in crate::output) layers: LayerStore<'s>,
    /// The layers that it is written without.
    pub(in crate::output) thin: ThinPlan,
}

/// What a transformation changed, or left out, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphChange {
    /// Two different things had one name; the later one has it now.
    #[error(
        "`{name}` was the name of two different images: {kept} keeps it, as the last one, {lost} loses it"
    )]
    NameMoved {
        /// The name.
        name: String,
        /// What has it now.
        kept: String,
        /// What had it too.
        lost: String,
    },
    /// A name was given to something else, as it was asked for.
    #[error("`{name}` was a name of {lost}; now it is a name of {now}")]
    NameTaken {
        /// The name.
        name: String,
        /// What has it now.
        now: String,
        /// What had it.
        lost: String,
    },
    /// An index lists fewer manifests than it did.
    #[error("the index {index} now lists {now} of its {before} manifests, so its digest changes")]
    IndexShrunk {
        /// Its digest before.
        index: Digest,
        /// How many it listed.
        before: usize,
        /// How many it lists.
        now: usize,
    },
    /// The only manifest that is left of an index has taken its place.
    #[error("the manifest {manifest} takes the place of the index {index}")]
    Lifted {
        /// The index.
        index: Digest,
        /// The manifest.
        manifest: Digest,
    },
    /// A manifest that is not an image was left out.
    #[error("the {kind} {digest} is left out: {why}")]
    ArtifactLeftOut {
        /// What it is.
        kind: String,
        /// Its manifest's digest.
        digest: Digest,
        /// Why.
        why: &'static str,
    },
    /// Layers come from another archive, which has them in another form.
    #[error(
        "{} of {image} {}, compressed differently, so the archive is not the original byte for byte",
        if *.layers == 1 { "1 layer".to_owned() } else { format!("{layers} layers") },
        if *.layers == 1 {
            format!("has other bytes than it had: it comes from {from}")
        } else {
            format!("have other bytes than they had: they come from {from}")
        },
    )]
    Recompressed {
        /// The image, for people.
        image: String,
        /// How many layers.
        layers: usize,
        /// The archive.
        from: String,
    },
    /// The images of an archive are not taken: it was given for its layers.
    #[error("{path} supplies the layers that {thin} lacks; its own images are left out")]
    TakenForLayers {
        /// The archive.
        path: String,
        /// The thin archive.
        thin: String,
    },
    /// An image was left out.
    #[error("{image} is left out: {why}")]
    ImageLeftOut {
        /// The image, for people.
        image: String,
        /// Why.
        why: &'static str,
    },
    /// A descriptor of something that is not in the archive was dropped.
    #[error("the manifest {digest}{} is not in the archive; the new archive does not name it", .platform.as_ref().map_or_else(String::new, |p| format!(" for {p}")))]
    AbsentDropped {
        /// Its digest.
        digest: Digest,
        /// Its platform.
        platform: Option<Platform>,
    },
}

/// One thing that the archive lists.
#[derive(Clone, Debug)]
pub(in crate::output) struct Root<'s> {
    /// What it is called.
    pub(in crate::output) names: Vec<Name>,
    /// The text of its descriptor; `None` if an archive without one had it.
    pub(in crate::output) descriptor: Option<Arc<str>>,
    /// What the descriptor points at, as read.
    pub(in crate::output) points_at: Option<Arc<Descriptor>>,
    /// What it is.
    pub(in crate::output) node: Node<'s>,
}

/// What a root or an entry of an index is.
#[derive(Clone, Debug)]
pub(in crate::output) enum Node<'s> {
    /// An image.
    Image(Arc<GraphImage<'s>>),
    /// An index.
    Index(GraphIndex<'s>),
    /// A manifest that is not an image.
    Artifact(Arc<GraphArtifact>),
    /// Nothing that is there, or something that is in the graph elsewhere.
    Absent,
}

/// An image of the graph.
#[derive(Clone, Debug)]
pub(in crate::output) struct GraphImage<'s> {
    /// Where it comes from.
    pub(in crate::output) source: ImageSource<'s>,
    /// Its manifest as it was.
    pub(in crate::output) manifest: Option<KeptManifest>,
}

/// Where an image comes from.
#[derive(Clone, Copy, Debug)]
pub(in crate::output) enum ImageSource<'s> {
    /// An archive.
    Archived(&'s Image),
    /// It is put together anew.
    Made(&'s OutputImage),
}

/// A manifest with its exact bytes.
#[derive(Clone, Debug)]
pub(in crate::output) struct KeptManifest {
    pub(in crate::output) digest: Digest,
    pub(in crate::output) media_type: String,
    pub(in crate::output) bytes: Vec<u8>,
    read: ManifestDocument,
}

/// An index with everything that it lists.
#[derive(Clone, Debug)]
pub(in crate::output) struct GraphIndex<'s> {
    /// Its digest when it was read.
    pub(in crate::output) digest: Digest,
    /// What its descriptor calls it.
    pub(in crate::output) media_type: String,
    /// Its bytes; `None` once it lists something else than it did.
    pub(in crate::output) bytes: Option<Arc<[u8]>>,
    /// Its text, taken apart.
    pub(in crate::output) text: Arc<IndexText>,
    /// What it lists.
    pub(in crate::output) entries: Vec<IndexEntry<'s>>,
}

/// What an index lists.
#[derive(Clone, Debug)]
pub(in crate::output) struct IndexEntry<'s> {
    /// The text of the descriptor.
    pub(in crate::output) text: Arc<str>,
    /// The descriptor as read.
    pub(in crate::output) descriptor: Arc<Descriptor>,
    pub(in crate::output) node: Node<'s>,
}

/// A manifest that is not an image, and its blobs.
#[derive(Clone, Debug)]
pub(in crate::output) struct GraphArtifact {
    /// What it is.
    pub(in crate::output) kind: String,
    pub(in crate::output) digest: Digest,
    pub(in crate::output) media_type: String,
    /// The manifest's exact bytes.
    pub(in crate::output) bytes: Vec<u8>,
    /// The manifest that it is about.
    pub(in crate::output) subject: Option<Digest>,
    /// Those of its blobs that are there, with their digests: what must come out if they are hashed.
    pub(in crate::output) blobs: Vec<(BlobDigest, Slice)>,
    /// Whether one of its blobs is not there.
    pub(in crate::output) lacks_a_blob: bool,
}

/// Refuses a document that is not what its digest says.
fn require(digest: &Digest, bytes: &[u8], what: &str) -> Result<(), WriteError> {
    let computed = crate::base::digest::Hasher::for_algorithm(digest.algorithm()).map(|mut h| {
        h.update(bytes);
        h.finish()
    });
    match computed {
        Some(computed) if computed == *digest => Ok(()),
        Some(computed) => Err(WriteError::Image {
            image: what.to_owned(),
            why: format!(
                "a manifest does not match its digest: claimed {digest}, computed {computed}"
            ),
        }),
        None => Err(WriteError::Image {
            image: what.to_owned(),
            why: format!("the digest {digest} of a manifest cannot be computed"),
        }),
    }
}

impl<'s> ArchiveGraph<'s> {
    /// Images that are put together anew, each a root with its own names.
    pub fn of_images(images: &'s [OutputImage]) -> Self {
        let root = |image: &'s OutputImage| Root {
            names: image.names.clone(),
            descriptor: None,
            points_at: None,
            node: Node::Image(Arc::new(GraphImage {
                source: ImageSource::Made(image),
                manifest: None,
            })),
        };
        Self {
            roots: images.iter().map(root).collect(),
            ..Self::default()
        }
    }

    /// Whether it holds no image.
    pub fn is_empty(&self) -> bool {
        self.images().is_empty()
    }

    /// The images of archives in it, each once, with the names that the archive has for them; further
    /// platforms have none.
    pub fn listed_images(&self) -> impl Iterator<Item = (&'s Image, Vec<Name>)> {
        let mut names: HashMap<*const GraphImage<'s>, Vec<Name>> = HashMap::new();
        for root in &self.roots {
            if let Some(primary) = root.primary() {
                let names = names.entry(Arc::as_ptr(&primary)).or_default();
                names.extend(root.names.iter().cloned());
            }
        }
        let images = self.images().into_iter();
        images.filter_map(move |image| match image.source {
            ImageSource::Archived(archived) => Some((
                archived,
                names.remove(&Arc::as_ptr(&image)).unwrap_or_default(),
            )),
            ImageSource::Made(_) => None,
        })
    }

    /// All images, each once, in the order in which they are met.
    pub(in crate::output) fn images(&self) -> Vec<Arc<GraphImage<'s>>> {
        let mut all = Vec::new();
        let mut met = std::collections::HashSet::new();
        for root in &self.roots {
            root.node.each_image(&mut |image| {
                if met.insert(Arc::as_ptr(image)) {
                    all.push(Arc::clone(image));
                }
            });
        }
        all
    }
}

impl<'s> Root<'s> {
    /// The image that readers of `manifest.json` get: of an index the one that comes first in its archive.
    pub(in crate::output) fn primary(&self) -> Option<Arc<GraphImage<'s>>> {
        let mut first: Option<Arc<GraphImage<'s>>> = None;
        let at = |image: &GraphImage<'s>| image.archived().map_or(0, |image| image.position);
        self.node.each_image(&mut |image| {
            if first.as_ref().is_none_or(|first| at(image) < at(first)) {
                first = Some(Arc::clone(image));
            }
        });
        first
    }

    /// What tells it from other roots.
    fn key(&self) -> String {
        match &self.node {
            Node::Image(image) => image.key(),
            Node::Index(index) => match (&index.bytes, &self.points_at) {
                (Some(_), _) | (None, None) => index.digest.to_string(),
                // One that lists something else is another one.
                (None, Some(_)) => {
                    let entries = index.entries.iter().map(|entry| entry.text.as_ref());
                    entries.collect::<Vec<_>>().join("\n")
                }
            },
            Node::Artifact(artifact) => artifact.digest.to_string(),
            Node::Absent => {
                let digest = self.points_at.as_ref().map(|d| d.digest.to_string());
                digest.unwrap_or_default()
            }
        }
    }

    /// The name for messages.
    fn display_name(&self) -> String {
        match &self.node {
            Node::Image(image) => match &image.manifest {
                Some(manifest) => manifest.digest.to_string(),
                None => match image.source {
                    ImageSource::Archived(image) => image.identity.to_string(),
                    ImageSource::Made(image) => image.id().to_string(),
                },
            },
            Node::Index(index) => index.digest.to_string(),
            Node::Artifact(artifact) => artifact.digest.to_string(),
            Node::Absent => self.key(),
        }
    }
}

impl<'s> Node<'s> {
    /// Shows every image to `see`; indexes nest no deeper than a limit allows.
    pub(in crate::output) fn each_image(&self, see: &mut dyn FnMut(&Arc<GraphImage<'s>>)) {
        match self {
            Self::Image(image) => see(image),
            Self::Index(index) => {
                for entry in &index.entries {
                    entry.node.each_image(see);
                }
            }
            Self::Artifact(_) | Self::Absent => {}
        }
    }
}
