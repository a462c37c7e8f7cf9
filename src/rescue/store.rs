//! The images of one engine, whatever it keeps of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::classic::Classic;
use super::containerd::ContentStore;
use super::files::{FileNode, RootFiles};
use super::{LostFiles, RescueError};
use crate::archive::Archive;
use crate::base::digest::{BlobDigest, DiffId};
use crate::base::jobs;
use crate::base::options::Options;
use crate::image::{Image, ImageSet, Layer};
use crate::layer::digest::{Nothing, Request, Wanted};
use crate::source::Slice;

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
    files: Arc<RootFiles>,
    at: FileNode,
    engine: StoreEngine,
    driver: String,
    kept: Kept,
    /// Its images, without layers that have to be put together; `None` if there are none.
    described: Option<(Archive, ImageSet)>,
    remarks: Vec<String>,
}

/// What an engine keeps.
#[derive(Debug)]
pub(crate) enum Kept {
    /// Layers as files and tar-split.
    Classic(Classic),
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
                let all: Vec<usize> = (0..classic.images.len()).collect();
                if classic.images.iter().all(|image| image.config.is_none()) {
                    self.no_config();
                    return Ok(());
                }
                classic.assemble(&self.files, &all, false)?
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
            Kept::Content { .. } => {
                let lacks = image.config.is_none();
                lacks.then_some("its config is not in the tar, or is not what its digest says")
            }
        }
    }

    /// What is known of a layer of one of its images.
    pub fn layer(&self, layer: &Layer) -> StoredLayer {
        match &self.kept {
            Kept::Classic(classic) => self.classic_layer(classic, layer),
            Kept::Content { hashed, .. } => self.blob_layer(hashed, layer),
        }
    }

    fn classic_layer(&self, classic: &Classic, layer: &Layer) -> StoredLayer {
        let known = layer.diff_id.as_ref();
        let Some(known) = known.and_then(|diff_id| classic.layers.get(diff_id)) else {
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
                "its blob has {} bytes, it should have {claimed}",
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
            Kept::Content { content, .. } => (content.assemble(&self.files)?, positions),
        };
        let images = archive.images()?;
        Ok(RescuedArchive {
            archive,
            images,
            wanted,
        })
    }

    /// Hashes the layers of the images at these positions and notes what came of it: a layer whose bytes are not
    /// those of its digests does not come back from then on. Returns the images that are whole.
    pub(super) fn prove(
        &mut self,
        wanted: &[usize],
        options: &Options<'_>,
    ) -> Result<Vec<usize>, RescueError> {
        let Some(set) = self.images() else {
            return Ok(Vec::new());
        };
        let images = wanted.iter().filter_map(|at| set.images.get(*at));
        let images: Vec<&Image> = images.filter(|image| self.is_whole(image)).collect();
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let rescued = self.assemble(&images)?;
        let states = self.states(&rescued, options)?;
        match &mut self.kept {
            Kept::Classic(classic) => {
                for (diff_id, state) in states {
                    if let Some(layer) = classic.layers.get_mut(&diff_id) {
                        layer.state = state;
                    }
                }
            }
            Kept::Content { hashed, .. } => hashed.extend(states),
        }
        let set = self.images();
        let image = |at: &usize| set.and_then(|set| set.images.get(*at));
        let whole = |at: &&usize| image(at).is_some_and(|image| self.is_whole(image));
        Ok(wanted.iter().filter(whole).copied().collect())
    }

    /// Hashes each layer of the wanted images once.
    fn states(
        &self,
        rescued: &RescuedArchive,
        options: &Options<'_>,
    ) -> Result<Vec<(DiffId, LayerState)>, RescueError> {
        let mut layers: HashMap<DiffId, &Layer> = HashMap::new();
        let images = rescued.wanted.iter();
        let images = images.filter_map(|at| rescued.images.images.get(*at));
        for layer in images.flat_map(|image| &image.layers) {
            if let (Some(diff_id), Some(_)) = (&layer.diff_id, layer.present()) {
                layers.entry(diff_id.clone()).or_insert(layer);
            }
        }
        let mut layers: Vec<(DiffId, &Layer)> = layers.into_iter().collect();
        layers.sort_by_key(|(diff_id, _)| diff_id.to_string());
        let cost = |(_, layer): &(DiffId, &Layer)| stored(layer).map_or(0, Slice::len);
        let states = jobs::map(options.jobs, &layers, cost, |(diff_id, layer)| {
            self.state(diff_id, layer, options)
        });
        let states = layers.into_iter().zip(states);
        states
            .map(|((diff_id, _), state)| Ok((diff_id, state?)))
            .collect()
    }

    /// What hashing a layer says of it.
    fn state(
        &self,
        diff_id: &DiffId,
        layer: &Layer,
        options: &Options<'_>,
    ) -> Result<LayerState, RescueError> {
        let Some((bytes, compression)) = layer.present() else {
            return Ok(LayerState::Lost("it is not there".to_owned()));
        };
        let request = Request {
            bytes,
            compression,
            wanted: Wanted::both(),
            task: Some("hashing layers".to_owned()),
            alongside: Nothing,
        };
        let proof = match request.answer(options.progress) {
            Ok((proof, ())) => proof,
            Err(error) => return Ok(LayerState::Lost(format!("it cannot be read: {error}"))),
        };
        // A layer that was put together has no blob of its own.
        let is_blob = matches!(self.kept, Kept::Content { .. });
        let claimed = layer.digest.as_ref().filter(|_| is_blob);
        let claimed = claimed.zip(proof.stored());
        if let Some((claimed, computed)) = claimed.filter(|(claimed, found)| claimed != found) {
            return Ok(LayerState::Lost(format!(
                "its blob was changed: claimed {claimed}, computed {computed}"
            )));
        }
        if proof.diff_id() == diff_id {
            return Ok(LayerState::Exact);
        }
        if let Kept::Classic(classic) = &self.kept {
            let lost = classic.changed(&self.files, diff_id)?;
            if lost.count > 0 {
                return Ok(LayerState::Damaged(lost));
            }
        }
        Ok(LayerState::Lost(format!(
            "its bytes are not those of its diff ID: claimed {diff_id}, computed {}",
            proof.diff_id()
        )))
    }
}

fn stored(layer: &Layer) -> Option<&Slice> {
    layer.present().map(|(slice, _)| slice)
}
