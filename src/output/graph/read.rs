//! The graph of an archive: what its descriptions list, in the order of its images.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{
    ArchiveGraph, GraphArtifact, GraphChange, GraphImage, GraphIndex, ImageSource, IndexEntry,
    KeptManifest, Node, Root, require,
};
use crate::archive::Archive;
use crate::base::digest::{BlobDigest, Digest};
use crate::base::limits::Limit;
use crate::document::Descriptor;
use crate::document::index_text::IndexText;
use crate::image::{Artifact, ImageSet, Leads, Listed, names_of};
use crate::output::WriteError;

/// Reads the documents of one archive, each once.
struct Reader<'s> {
    archive: &'s Archive,
    set: &'s ImageSet,
    images: HashMap<usize, Arc<GraphImage<'s>>>,
    artifacts: HashMap<usize, Arc<GraphArtifact>>,
    /// Indexes that are listed again later, once they are read, with the number of nodes in them.
    indexes: HashMap<&'s Digest, (GraphIndex<'s>, usize)>,
    /// Which indexes those are.
    again: HashSet<&'s Digest>,
    /// How many nodes there are, each time that one is listed.
    nodes: usize,
}

impl<'s> ArchiveGraph<'s> {
    /// What an archive holds. Manifests are read again, and verified against their digests; layers are not read.
    ///
    /// Where two images have one name the last one has it, as for `docker load`; that is one of the changes.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if a manifest or an index cannot be read or is not what its digest says.
    pub fn of(
        archive: &'s Archive,
        set: &'s ImageSet,
    ) -> Result<(Self, Vec<GraphChange>), WriteError> {
        let mut reader = Reader {
            archive,
            set,
            images: HashMap::new(),
            artifacts: HashMap::new(),
            indexes: HashMap::new(),
            again: HashSet::new(),
            nodes: 0,
        };
        listed_again(&set.listed, &mut reader.again);
        let mut roots = reader.listed()?;
        for image in &set.images {
            if reader.images.contains_key(&image.position) {
                continue;
            }
            let node = Node::Image(reader.image(image.position)?);
            roots.push(Root {
                names: image.names.clone(),
                descriptor: None,
                points_at: None,
                node,
            });
        }
        // The order of the images is what people see and ask for by position.
        let mut placed: Vec<(usize, Root<'s>)> = roots
            .into_iter()
            .map(|root| (first_position(&root.node), root))
            .collect();
        placed.sort_by_key(|(first, _)| *first);
        Ok(Self::settled(placed.into_iter().map(|(_, root)| root)))
    }
}

/// The position of the first image below; the end for what has none.
fn first_position(node: &Node<'_>) -> usize {
    let mut first = usize::MAX;
    node.each_image(&mut |image| {
        if let Some(image) = image.archived() {
            first = first.min(image.position);
        }
    });
    first
}

impl<'s> Reader<'s> {
    /// The roots that `index.json` lists; several descriptors of one thing are several names of it. A name may be
    /// there several times until the graph is settled.
    fn listed(&mut self) -> Result<Vec<Root<'s>>, WriteError> {
        let listed: &'s [Listed] = &self.set.listed;
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = self.bytes(b"index.json", "index.json")?;
        let text = texts(&bytes, listed, "index.json")?;
        let mut roots: Vec<Root<'s>> = Vec::new();
        let mut known: HashMap<&Digest, usize> = HashMap::new();
        for (listed, text) in listed.iter().zip(&text.manifests) {
            let descriptor = &listed.descriptor;
            if let Some(&at) = known.get(&descriptor.digest) {
                roots[at].names.extend(names_of(descriptor));
                continue;
            }
            let node = self.node(listed)?;
            let mut names = names_of(descriptor);
            if let Leads::Image(position) = listed.leads {
                // `manifest.json` may have more of them.
                names.extend(self.set.images[position].names.iter().cloned());
            }
            known.insert(&descriptor.digest, roots.len());
            roots.push(Root {
                names,
                descriptor: Some(text.as_str().into()),
                points_at: Some(Arc::new(descriptor.clone())),
                node,
            });
        }
        Ok(roots)
    }

    /// Counts nodes before they are held: what is listed again is there again.
    fn count(&mut self, nodes: usize) -> Result<(), WriteError> {
        self.nodes = self.nodes.saturating_add(nodes);
        let limits = self.archive.source().limits();
        let within = limits.check_count(Limit::Descriptors, self.nodes);
        within.map_err(|exceeded| WriteError::TooMuch {
            what: self.archive.path().to_owned(),
            exceeded,
        })
    }

    fn node(&mut self, listed: &'s Listed) -> Result<Node<'s>, WriteError> {
        self.count(1)?;
        Ok(match &listed.leads {
            Leads::Image(position) => Node::Image(self.image(*position)?),
            Leads::Artifact(position) => Node::Artifact(self.artifact(*position)?),
            Leads::Index(below) => Node::Index(self.index(&listed.descriptor, below)?),
            Leads::Again => match self.indexes.get(&listed.descriptor.digest) {
                Some(&(_, nodes)) => {
                    self.count(nodes)?;
                    Node::Index(self.indexes[&listed.descriptor.digest].0.clone())
                }
                // One that lists itself, which no digest allows.
                None => Node::Absent,
            },
            Leads::Absent => Node::Absent,
            Leads::Unreadable(why) => {
                return Err(WriteError::Image {
                    image: format!("the manifest {}", listed.descriptor.digest),
                    why: why.clone(),
                });
            }
        })
    }

    fn image(&mut self, position: usize) -> Result<Arc<GraphImage<'s>>, WriteError> {
        if let Some(known) = self.images.get(&position) {
            return Ok(Arc::clone(known));
        }
        let image = &self.set.images[position];
        let name = image.display_name();
        let manifest = match &image.manifest {
            None => None,
            Some(manifest) => {
                let digest = manifest.descriptor.digest.clone();
                let bytes = self.bytes(digest.blob_path().as_bytes(), &name)?;
                let media_type = &manifest.descriptor.media_type;
                Some(KeptManifest::read(digest, media_type, bytes, &name)?)
            }
        };
        let read = Arc::new(GraphImage {
            source: ImageSource::Archived(image),
            manifest,
        });
        self.images.insert(position, Arc::clone(&read));
        Ok(read)
    }

    fn artifact(&mut self, position: usize) -> Result<Arc<GraphArtifact>, WriteError> {
        if let Some(known) = self.artifacts.get(&position) {
            return Ok(Arc::clone(known));
        }
        let artifact: &Artifact = &self.set.artifacts[position];
        let descriptor = &artifact.descriptor;
        let name = format!("the {} {}", artifact.kind, descriptor.digest);
        let bytes = self.bytes(descriptor.digest.blob_path().as_bytes(), &name)?;
        require(&descriptor.digest, &bytes, &name)?;
        let mut blobs = Vec::new();
        for blob in &artifact.blobs {
            if let Some(slice) = &blob.slice {
                blobs.push((
                    BlobDigest::from(blob.descriptor.digest.clone()),
                    slice.clone(),
                ));
            }
        }
        let subject = artifact.subject.clone().or_else(|| {
            let subject = descriptor.annotation("io.containerd.manifest.subject");
            subject.and_then(|text| text.parse().ok())
        });
        let read = Arc::new(GraphArtifact {
            kind: artifact.kind.clone(),
            digest: descriptor.digest.clone(),
            media_type: descriptor.media_type.as_str().to_owned(),
            bytes,
            subject,
            lacks_a_blob: blobs.len() < artifact.blobs.len(),
            blobs,
        });
        self.artifacts.insert(position, Arc::clone(&read));
        Ok(read)
    }

    fn index(
        &mut self,
        descriptor: &'s Descriptor,
        below: &'s [Listed],
    ) -> Result<GraphIndex<'s>, WriteError> {
        let before = self.nodes;
        let name = format!("the index {}", descriptor.digest);
        let bytes = self.bytes(descriptor.digest.blob_path().as_bytes(), &name)?;
        require(&descriptor.digest, &bytes, &name)?;
        let text = texts(&bytes, below, &name)?;
        let mut entries = Vec::with_capacity(below.len());
        for (listed, text) in below.iter().zip(&text.manifests) {
            entries.push(IndexEntry {
                text: text.as_str().into(),
                descriptor: Arc::new(listed.descriptor.clone()),
                node: self.node(listed)?,
            });
        }
        let index = GraphIndex {
            digest: descriptor.digest.clone(),
            media_type: descriptor.media_type.as_str().to_owned(),
            bytes: Some(bytes.into()),
            text: Arc::new(text),
            entries,
        };
        if self.again.contains(&descriptor.digest) {
            let nodes = self.nodes - before;
            self.count(nodes)?;
            self.indexes
                .insert(&descriptor.digest, (index.clone(), nodes));
        }
        Ok(index)
    }

    /// The bytes of a document; loading has read it, and counted its length.
    fn bytes(&self, member: &[u8], what: &str) -> Result<Vec<u8>, WriteError> {
        let found = self.archive.find(member);
        let (_, slice) = found.map_err(|why| WriteError::Image {
            image: what.to_owned(),
            why: why.to_string(),
        })?;
        Ok(slice.read_all()?)
    }
}

/// Notes the digests of what is listed again, at any depth.
fn listed_again<'s>(listed: &'s [Listed], again: &mut HashSet<&'s Digest>) {
    for entry in listed {
        match &entry.leads {
            Leads::Again => {
                again.insert(&entry.descriptor.digest);
            }
            Leads::Index(below) => listed_again(below, again),
            Leads::Image(_) | Leads::Artifact(_) | Leads::Absent | Leads::Unreadable(_) => {}
        }
    }
}

/// An index taken apart, with a text for every descriptor that was read of it.
fn texts(bytes: &[u8], listed: &[Listed], what: &str) -> Result<IndexText, WriteError> {
    let refuse = |why: String| WriteError::Image {
        image: what.to_owned(),
        why,
    };
    let text = IndexText::read(bytes).map_err(|e| refuse(e.to_string()))?;
    if text.manifests.len() != listed.len() {
        return Err(refuse("its entries cannot be told apart".to_owned()));
    }
    Ok(text)
}
