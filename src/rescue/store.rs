//! The images of one engine, whatever it keeps of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::classic::{Classic, ClassicLayer};
use super::containerd::ContentStore;
use super::files::{FileNode, RootFiles};
use super::graph::GraphStore;
use super::{LostFiles, RescueError};
use crate::archive::Archive;
use crate::base::digest::{BlobDigest, DiffId};
use crate::base::options::Options;
use crate::image::{Identity, Image, ImageSet, Layer};

/// What is known of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// Everything that it needs is there; its bytes were not hashed.
    Expected,
    /// Its bytes were hashed and are those of its digests.
    Exact,
    /// Files of it are missing or were changed.
    Damaged(LostFiles),
    /// It cannot come back, for this reason.
    Lost(String),
}

/// Which engine a store belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreEngine {
    /// Docker with its own store, 1.10 and later.
    Docker,
    /// Docker before 1.10.
    DockerGraph,
    /// Docker with the containerd store.
    DockerContainerd,
    /// containerd.
    Containerd,
    /// podman, buildah and CRI-O.
    Containers,
}

/// The images of one engine and storage driver, or of one namespace.
#[derive(Debug)]
pub struct EngineStore {
    pub(super) files: Arc<RootFiles>,
    pub(super) at: FileNode,
    engine: StoreEngine,
    driver: String,
    pub(super) kept: Kept,
    /// Its images, without layers that have to be put together; `None` if there are none.
    described: Option<(Archive, ImageSet)>,
    remarks: Vec<String>,
}

/// What an engine keeps.
#[derive(Debug)]
pub(crate) enum Kept {
    /// Layers as files and tar-split.
    Classic(Classic),
    /// The same, and images as one layer each.
    Graph(GraphStore),
    /// Everything as blobs.
    Content {
        content: ContentStore,
        /// What is known of layers that were hashed.
        hashed: HashMap<DiffId, LayerState>,
    },
}

/// Images of a store with their layers, as an archive that is stored nowhere.
#[derive(Debug)]
pub struct RescuedArchive {
    /// The archive. It may hold more images than were asked for.
    pub archive: Archive,
    /// Its images.
    pub images: ImageSet,
    /// Those that were asked for, as positions in them.
    pub wanted: Vec<usize>,
}

/// A layer of a store.
#[derive(Clone, Debug)]
pub struct StoredLayer {
    /// What is known of it.
    pub state: LayerState,
    /// The directory with its files, or its blob, as a path in the tar.
    pub place: Option<Vec<u8>>,
    /// How long its tar is, if that is known.
    pub tar_size: Option<u64>,
    /// How many bytes its files have; where blobs are kept, how many its blob has.
    pub size: Option<u64>,
}

impl EngineStore {
    pub(super) fn new(
        files: &Arc<RootFiles>,
        at: FileNode,
        (engine, driver): (StoreEngine, &str),
        kept: Kept,
        remarks: Vec<String>,
    ) -> Self {
        Self {
            files: Arc::clone(files),
            at,
            engine,
            driver: driver.to_owned(),
            kept,
            described: None,
            remarks,
        }
    }

    /// Looks for the files of all layers, and reads the descriptions of the images.
    pub(super) fn describe(&mut self, options: &Options<'_>) -> Result<(), RescueError> {
        let archive = match &mut self.kept {
            Kept::Classic(classic) => {
                classic.look(&self.files, options.jobs)?;
                self.remarks.extend(classic.remarks());
                let all: Vec<usize> = (0..classic.images.len()).collect();
                if classic.images.iter().all(|image| image.config.is_none()) {
                    self.no_config();
                    return Ok(());
                }
                classic.assemble(&self.files, &all, false)?
            }
            Kept::Graph(graph) => {
                if graph.is_empty() {
                    return Ok(());
                }
                graph.look(&self.files, options.jobs)?;
                graph.assemble(&self.files, false)?
            }
            Kept::Content { content, .. } => content.assemble(&self.files)?,
        };
        let images = archive.images()?;
        self.described = Some((archive, images));
        Ok(())
    }

    /// Says of which images nothing is left but names and IDs.
    fn no_config(&mut self) {
        let Kept::Classic(classic) = &self.kept else {
            return;
        };
        for image in &classic.images {
            let name = image.names.first().cloned();
            let name = name.unwrap_or_else(|| image.id.to_string());
            let why = image.fault.as_deref().unwrap_or("its config is missing");
            self.remarks
                .push(format!("{name} does not come back: {why}"));
        }
    }

    /// Which engine it belongs to.
    pub fn engine(&self) -> StoreEngine {
        self.engine
    }

    /// The storage driver; of containerd the namespace.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Where the data root is, as a path in the tar; empty if it is all of it.
    pub fn path(&self) -> Vec<u8> {
        self.files.path(self.at)
    }

    /// Its images; `None` if there is none with a config. Layers that have to be put together are missing.
    pub fn images(&self) -> Option<&ImageSet> {
        self.described.as_ref().map(|(_, images)| images)
    }

    /// What should be known of it, for people.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The names by digest of an image.
    pub fn digests(&self, image: &Image) -> Vec<String> {
        match &self.kept {
            Kept::Classic(classic) => {
                let image = classic.images.get(image.position);
                image.map_or_else(Vec::new, |image| image.digests.clone())
            }
            Kept::Graph(graph) => match &image.identity {
                Identity::Legacy(id) => graph.digests_of(id),
                Identity::Config(_) | Identity::Unknown => Vec::new(),
            },
            Kept::Content { content, .. } => {
                let manifest = image.manifest.as_ref();
                content.digests_of(|digest| {
                    manifest.is_some_and(|manifest| {
                        manifest.descriptor.digest == *digest
                            || manifest.index.as_ref() == Some(digest)
                    })
                })
            }
        }
    }

    /// What is wrong with the config of an image.
    pub fn config_fault(&self, image: &Image) -> Option<&str> {
        match &self.kept {
            Kept::Classic(classic) => classic.images.get(image.position)?.fault.as_deref(),
            Kept::Graph(_) => None,
            Kept::Content { .. } => {
                let lacks = image.config.is_none();
                lacks.then_some("its config is not in the tar, or does not match its digest")
            }
        }
    }

    /// What is known of a layer of one of its images.
    pub fn layer(&self, layer: &Layer) -> StoredLayer {
        match &self.kept {
            Kept::Classic(classic) => {
                let known = layer.diff_id.as_ref();
                self.stored_layer(known.and_then(|diff_id| classic.layers.get(diff_id)))
            }
            Kept::Graph(graph) => {
                let stored = self.stored_layer(graph.layer(layer));
                let parent = layer.v1_json.as_ref().filter(|json| json.has_parent);
                match parent.filter(|_| layer.index == 0) {
                    None => stored,
                    Some(_) => StoredLayer {
                        state: LayerState::Lost(
                            "the image that it was built on is not in the tar".to_owned(),
                        ),
                        ..stored
                    },
                }
            }
            Kept::Content { hashed, .. } => self.blob_layer(hashed, layer),
        }
    }

    fn stored_layer(&self, known: Option<&ClassicLayer>) -> StoredLayer {
        let Some(known) = known else {
            return StoredLayer {
                state: LayerState::Lost("nothing says where it is".to_owned()),
                place: None,
                tar_size: None,
                size: None,
            };
        };
        let directory = known.place().and_then(|place| place.directory);
        StoredLayer {
            state: known.state.clone(),
            place: directory.map(|directory| self.files.path(directory)),
            tar_size: known.tar_size,
            size: known.file_bytes,
        }
    }

    fn blob_layer(&self, hashed: &HashMap<DiffId, LayerState>, layer: &Layer) -> StoredLayer {
        let digest = layer.digest.as_ref().map(BlobDigest::digest);
        let place = digest.map(|digest| {
            let root = String::from_utf8_lossy(&self.path()).into_owned();
            let slash = if root.is_empty() { "" } else { "/" };
            let blob = digest.blob_path();
            format!("{root}{slash}io.containerd.content.v1.content/{blob}").into_bytes()
        });
        let Some((stored, _)) = layer.present() else {
            let digest = digest.map_or_else(String::new, |digest| format!(" {digest}"));
            return StoredLayer {
                state: LayerState::Lost(format!("the blob{digest} is not in the tar")),
                place: None,
                tar_size: None,
                size: None,
            };
        };
        let known = layer.diff_id.as_ref().and_then(|id| hashed.get(id));
        let state = known.cloned().unwrap_or_else(|| match layer.claimed_size {
            Some(claimed) if claimed != stored.len() => LayerState::Lost(format!(
                "its blob has {} bytes and should have {claimed}",
                stored.len()
            )),
            _ => LayerState::Expected,
        });
        StoredLayer {
            state,
            place,
            tar_size: None,
            size: Some(stored.len()),
        }
    }

    /// Whether everything that an image needs is there, as far as is known.
    pub fn is_whole(&self, image: &Image) -> bool {
        image.config.is_some()
            && image.layers.iter().all(|layer| {
                let state = self.layer(layer).state;
                matches!(state, LayerState::Exact | LayerState::Expected)
            })
    }

    /// Some of its images with their layers, as an archive. Layers are not hashed; those that cannot come back are
    /// missing.
    ///
    /// # Errors
    ///
    /// [`RescueError`].
    pub fn assemble(&self, wanted: &[&Image]) -> Result<RescuedArchive, RescueError> {
        let positions: Vec<usize> = wanted.iter().map(|image| image.position).collect();
        let (archive, wanted) = match &self.kept {
            Kept::Classic(classic) => {
                let archive = classic.assemble(&self.files, &positions, true)?;
                (archive, (0..positions.len()).collect())
            }
            Kept::Graph(graph) => (graph.assemble(&self.files, true)?, positions),
            Kept::Content { content, .. } => (content.assemble(&self.files)?, positions),
        };
        let images = archive.images()?;
        Ok(RescuedArchive {
            archive,
            images,
            wanted,
        })
    }
}
