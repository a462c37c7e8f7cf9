//! What `index.json` lists, and the documents that it leads to: manifests and indexes, as they were where nothing
//! has changed in them.

use std::collections::HashMap;
use std::sync::Arc;

use super::describe::{Described, IndexItem, RefName, index};
use crate::base::digest::Digest;
use crate::document::JsonError;
use crate::document::descriptor::annotation;
use crate::document::index_text::{Pointed, annotated, pointing_at};
use crate::document::manifest_text::with_subject;
use crate::output::WriteError;
use crate::output::graph::{ArchiveGraph, GraphArtifact, GraphImage, GraphIndex, Node, Root};
use crate::source::Slice;

/// What attestations are called as artifacts.
const ATTESTATION: &str = "attestation";

/// The annotation of attestations with what they are about.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// What is listed, and the documents.
#[derive(Debug)]
pub(super) struct IndexListing<'g> {
    items: Vec<IndexItem<'g>>,
    /// Manifests and indexes with their digests.
    pub(super) documents: Vec<(Digest, Vec<u8>)>,
    /// Blobs of artifacts.
    pub(super) blobs: Vec<(Digest, Slice)>,
    /// The digest of each image's manifest, in the order of the images.
    pub(super) manifests: Vec<Digest>,
    /// The digest of the listing of what is left out.
    pub(super) thin: Option<Digest>,
    /// Manifests and indexes that have another digest now, by the one that they had.
    pub(super) moved: HashMap<Digest, MovedDocument>,
}

/// Where something is now whose digest has changed.
#[derive(Clone, Debug)]
pub(super) struct MovedDocument {
    pub(super) digest: Digest,
    media_type: String,
    size: u64,
}

/// A manifest or index as it is written.
#[derive(Clone)]
struct Pointer<'g> {
    media_type: &'g str,
    digest: Digest,
    size: u64,
}

/// Makes the documents of a graph.
struct Lister<'g, 'd> {
    images: &'g [Described<'d>],
    /// The number of each image by where it is in memory.
    numbers: &'g HashMap<usize, usize>,
    listing: IndexListing<'g>,
    /// Where artifacts and unchanged indexes that were met are written, by where they are in memory: an index may
    /// list one of them a hundred thousand times, and their bytes are held once.
    met: HashMap<usize, Pointer<'g>>,
}

impl<'g> IndexListing<'g> {
    /// Lists a graph whose images are described.
    pub(super) fn of(
        graph: &'g ArchiveGraph<'_>,
        images: &'g [Described<'_>],
        numbers: &'g HashMap<usize, usize>,
    ) -> Result<Self, WriteError> {
        let mut lister = Lister {
            images,
            numbers,
            listing: IndexListing {
                items: Vec::with_capacity(graph.roots.len()),
                documents: Vec::new(),
                blobs: Vec::new(),
                manifests: Vec::with_capacity(images.len()),
                moved: HashMap::new(),
                thin: None,
            },
            met: HashMap::new(),
        };
        for image in images {
            let bytes = image.manifest_bytes().map_err(|why| {
                let name = image.image.display_name();
                refuse(&format!("the manifest of {name}"), &why)
            })?;
            let digest = Digest::sha256_of(&bytes);
            if let Some(before) = image.before {
                let size = bytes.len() as u64;
                lister.moves(before, &digest, image.manifest_type(), size);
            }
            lister.listing.manifests.push(digest.clone());
            lister.listing.documents.push((digest, bytes));
        }
        for root in &graph.roots {
            let pointer = lister.node(&root.node)?;
            let absent = || {
                let descriptor = root.points_at.as_ref()?;
                Some(Pointer {
                    media_type: descriptor.media_type.as_str(),
                    digest: descriptor.digest.clone(),
                    size: descriptor.size?,
                })
            };
            let Some(to) = pointer.or_else(absent) else {
                continue;
            };
            let before = root.points_at.as_ref().map(|descriptor| &descriptor.digest);
            let descriptor = match (&root.descriptor, &root.node) {
                (Some(text), _) if before == Some(&to.digest) => Some(text.to_string()),
                // A manifest that was made anew has none of what the descriptor says of the old one.
                (Some(_), Node::Image(image)) if lister.is_anew(image) => None,
                (None, _) => None,
                (Some(text), _) => {
                    let moved = moved_to(text, &to).map_err(|why| refuse("index.json", &why))?;
                    Some(moved)
                }
            };
            lister.listing.items.push(IndexItem {
                names: &root.names,
                media_type: to.media_type,
                digest: to.digest,
                size: to.size,
                descriptor,
            });
        }
        Ok(lister.listing)
    }

    /// `index.json`.
    pub(super) fn index(&self, ref_name: RefName) -> Result<Vec<u8>, WriteError> {
        index(&self.items, ref_name, self.thin.as_ref()).map_err(|why| refuse("index.json", &why))
    }

    /// Whether a root has an entry: one that is not there needs a size.
    pub(super) fn lists(root: &Root<'_>) -> bool {
        let is_sized = || root.points_at.as_ref().is_some_and(|d| d.size.is_some());
        !matches!(root.node, Node::Absent) || is_sized()
    }

    /// The digest of each root that [has an entry](Self::lists), in order.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Digest> {
        self.items.iter().map(|item| &item.digest)
    }
}

impl<'g> Lister<'g, '_> {
    /// Whether the manifest of an image was made anew.
    fn is_anew(&self, image: &Arc<GraphImage<'_>>) -> bool {
        let number = self.numbers.get(&Arc::as_ptr(image).addr());
        number.is_none_or(|&number| self.images[number].is_anew())
    }

    /// Where a descriptor of the node points; `None` if it is not there.
    fn node(&mut self, node: &'g Node<'_>) -> Result<Option<Pointer<'g>>, WriteError> {
        Ok(Some(match node {
            Node::Image(image) => {
                let Some(&number) = self.numbers.get(&(Arc::as_ptr(image).addr())) else {
                    return Ok(None);
                };
                let (digest, bytes) = &self.listing.documents[number];
                Pointer {
                    media_type: self.images[number].manifest_type(),
                    digest: digest.clone(),
                    size: bytes.len() as u64,
                }
            }
            Node::Artifact(artifact) => {
                let place = Arc::as_ptr(artifact).addr();
                if let Some(met) = self.met.get(&place) {
                    return Ok(Some(met.clone()));
                }
                let bytes = self.artifact(artifact)?;
                let size = bytes.len() as u64;
                let digest = if bytes == artifact.bytes {
                    artifact.digest.clone()
                } else {
                    Digest::sha256_of(&bytes)
                };
                self.moves(&artifact.digest, &digest, &artifact.media_type, size);
                self.listing.documents.push((digest.clone(), bytes));
                for (digest, slice) in &artifact.blobs {
                    let digest = digest.digest().clone();
                    self.listing.blobs.push((digest, slice.clone()));
                }
                let pointer = Pointer {
                    media_type: &artifact.media_type,
                    digest,
                    size,
                };
                self.met.insert(place, pointer.clone());
                pointer
            }
            Node::Index(index) => {
                let place = index.bytes.as_ref().map(|bytes| bytes.as_ptr().addr());
                if let Some(met) = place.and_then(|place| self.met.get(&place)) {
                    return Ok(Some(met.clone()));
                }
                let pointer = self.index(index)?;
                if let Some(place) = place {
                    self.met.insert(place, pointer.clone());
                }
                pointer
            }
            Node::Absent => return Ok(None),
        }))
    }

    /// Notes where something is now, if its digest has changed.
    fn moves(&mut self, before: &Digest, now: &Digest, media_type: &str, size: u64) {
        if before != now {
            let now = MovedDocument {
                digest: now.clone(),
                media_type: media_type.to_owned(),
                size,
            };
            self.listing.moved.insert(before.clone(), now);
        }
    }

    /// The manifest of an artifact. An attestation that says in its own bytes which manifest it is about says so
    /// of the new one; it goes where its image goes. A signature cannot be true of another manifest, and stays.
    fn artifact(&self, artifact: &GraphArtifact) -> Result<Vec<u8>, WriteError> {
        let subject = artifact.subject.as_ref();
        let moved = subject.and_then(|subject| self.listing.moved.get(subject));
        let Some(moved) = moved.filter(|_| artifact.kind == ATTESTATION) else {
            return Ok(artifact.bytes.clone());
        };
        let to = Pointed {
            media_type: &moved.media_type,
            digest: &moved.digest,
            size: moved.size,
        };
        let edited = with_subject(&artifact.bytes, &to).map_err(|why| {
            let what = format!("the {} {}", artifact.kind, artifact.digest);
            refuse(&what, &why)
        })?;
        Ok(edited.unwrap_or_else(|| artifact.bytes.clone()))
    }

    fn index(&mut self, index: &'g GraphIndex<'_>) -> Result<Pointer<'g>, WriteError> {
        let mut below = Vec::with_capacity(index.entries.len());
        let mut moved: HashMap<&Digest, Digest> = HashMap::new();
        for entry in &index.entries {
            let to = self.node(&entry.node)?;
            let before = &entry.descriptor.digest;
            if let Some(to) = to.as_ref().filter(|to| to.digest != *before) {
                moved.insert(before, to.digest.clone());
            }
            below.push(to);
        }
        let (digest, bytes) = match &index.bytes {
            Some(bytes) if moved.is_empty() => (index.digest.clone(), bytes.to_vec()),
            _ => {
                let mut texts = Vec::with_capacity(below.len());
                for (entry, to) in index.entries.iter().zip(&below) {
                    let text = match to {
                        Some(to) if to.digest != entry.descriptor.digest => {
                            moved_to(&entry.text, to).and_then(|text| {
                                about(&text, &entry.descriptor.annotations, &moved)
                            })
                        }
                        _ => about(&entry.text, &entry.descriptor.annotations, &moved),
                    };
                    texts.push(text.map_err(|why| refuse("an index", &why))?);
                }
                let bytes = index.text.with(&texts);
                (Digest::sha256_of(&bytes), bytes)
            }
        };
        let size = bytes.len() as u64;
        self.moves(&index.digest, &digest, &index.media_type, size);
        self.listing.documents.push((digest.clone(), bytes));
        Ok(Pointer {
            media_type: &index.media_type,
            digest,
            size,
        })
    }
}

fn moved_to(text: &str, to: &Pointer<'_>) -> Result<String, JsonError> {
    let to = Pointed {
        media_type: to.media_type,
        digest: &to.digest,
        size: to.size,
    };
    pointing_at(text, &to)
}

/// A descriptor that says what it is about by a digest: the new one, if that has changed.
fn about(
    text: &str,
    annotations: &[(String, String)],
    moved: &HashMap<&Digest, Digest>,
) -> Result<String, JsonError> {
    let subject = annotation(annotations, REFERENCE_DIGEST);
    let subject: Option<Digest> = subject.and_then(|text| text.parse().ok());
    match subject.and_then(|subject| moved.get(&subject)) {
        Some(now) => {
            let set = std::collections::BTreeMap::from([(REFERENCE_DIGEST, now.to_string())]);
            annotated(text, &[], &set)
        }
        None => Ok(text.to_owned()),
    }
}

fn refuse(what: &str, why: &JsonError) -> WriteError {
    WriteError::Image {
        image: what.to_owned(),
        why: why.to_string(),
    }
}
