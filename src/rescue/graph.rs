//! Docker before 1.10 (`graph/` and `repositories-<driver>`; moby v1.9.1 `graph/graph.go`, `graph/tags.go`): every
//! image is one layer on its parent, and its ID was drawn at random.
//!
//! Its images come back as an archive of that time, of which [`crate::image`] makes what Docker itself made of them
//! when it was upgraded (moby v1.13.1 `migrate/v1/migratev1.go`): configs, diff IDs and with them image IDs. No diff
//! ID was kept that layers could be verified against, so every file is verified against the checksum that tar-split
//! has of it; the headers come from there too.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::value::RawValue;

use super::classic::{ClassicLayer, LayerPlace};
use super::docker::{Repositories, directory};
use super::documents::Documents;
use super::files::{FileNode, RootFiles};
use super::layer::{self, CheckBodies};
use super::look::look_for;
use super::roots::is_id;
use super::rope_archive::RopeArchive;
use super::{LayerState, RescueError};
use crate::archive::Archive;
use crate::base::digest::LegacyId;
use crate::base::jobs::{self, Jobs};
use crate::base::limits::Limit;
use crate::image::Layer;

/// The images of a Docker before 1.10 for one storage driver.
#[derive(Debug, Default)]
pub(crate) struct GraphStore {
    /// By ID.
    images: BTreeMap<String, GraphImage>,
    /// Tags by repository, and the ID that each leads to.
    repositories: BTreeMap<String, BTreeMap<String, String>>,
    /// Names by digest, by ID.
    digests: HashMap<String, Vec<String>>,
}

/// An image, which is one layer.
#[derive(Debug)]
struct GraphImage {
    /// Its `json` file.
    document: FileNode,
    /// Its parent, where a file of its own says so: from 1.8.3 on it may be another than `json` says.
    parent: Option<String>,
    layer: ClassicLayer,
}

/// Reads the images of a Docker before 1.10. `only` says whether the store has no other driver: where it has, the
/// images are those whose files the driver has. `faults` takes what cannot be read.
pub(crate) fn read(
    documents: &Documents<'_>,
    docker: FileNode,
    (driver, only): (&str, bool),
    faults: &mut Vec<String>,
) -> GraphStore {
    let files = documents.files;
    let mut store = GraphStore::default();
    let graph = files.child(docker, b"graph");
    for image in graph.map(|graph| files.children(graph)).unwrap_or_default() {
        let name = files.name(image);
        let Ok(id) = std::str::from_utf8(name) else {
            continue;
        };
        if !is_id(name) {
            continue;
        }
        let Some(document) = files
            .child(image, b"json")
            .and_then(|json| files.linked(json))
        else {
            faults.push(format!("graph/{id}/json is not in the tar"));
            continue;
        };
        let found = directory(documents, docker, driver, id);
        if !only && found.is_err() {
            continue;
        }
        let limits = files.source().limits();
        if let Err(exceeded) = limits.check_count(Limit::Layers, store.images.len() + 1) {
            faults.push(format!("there are too many images: {exceeded}"));
            break;
        }
        let split = files.child(image, b"tar-data.json.gz");
        let place = match (found, split) {
            (Err(why), _) => LayerPlace::lost(why),
            (Ok(_), None) => LayerPlace::lost(format!(
                "graph/{id}/tar-data.json.gz is not in the tar (Docker before 1.8 had none), and without it the layer's tar cannot be put together again"
            )),
            (Ok(directory), split) => LayerPlace {
                directory: Some(directory),
                split,
                lost: None,
            },
        };
        let image = GraphImage {
            document,
            parent: documents
                .value_in(image, "parent")
                .filter(|id| is_id(id.as_bytes())),
            layer: ClassicLayer::at(place),
        };
        store.images.insert(id.to_owned(), image);
    }
    store.read_names(documents, docker, driver, faults);
    store
}

impl GraphStore {
    fn read_names(
        &mut self,
        documents: &Documents<'_>,
        docker: FileNode,
        driver: &str,
        faults: &mut Vec<String>,
    ) {
        let name = format!("repositories-{driver}");
        let file = documents.files.child(docker, name.as_bytes());
        let read = match file.map(|file| documents.json::<Repositories>(file)) {
            None => {
                faults.push(format!(
                    "{name} is not in the tar: images come back without their names"
                ));
                return;
            }
            Some(Err(fault)) => {
                faults.push(format!("{fault}; images come back without their names"));
                return;
            }
            Some(Ok(read)) => read,
        };
        for (repository, tags) in read.repositories.unwrap_or_default() {
            for (tag, id) in tags.unwrap_or_default() {
                if !self.images.contains_key(&id) {
                    faults.push(format!(
                        "{repository}:{tag} does not come back: graph/{id} is not in the tar"
                    ));
                } else if tag.contains(':') {
                    let digests = self.digests.entry(id).or_default();
                    digests.push(format!("{repository}@{tag}"));
                } else {
                    let known = self.repositories.entry(repository.clone()).or_default();
                    known.insert(tag, id);
                }
            }
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Looks for the files of every layer.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if the system fails.
    pub(crate) fn look(&mut self, files: &RootFiles, jobs: Jobs) -> Result<(), RescueError> {
        let layers = self.images.values_mut().map(|image| &mut image.layer);
        look_for(layers.collect(), files, false, jobs)?;
        Ok(())
    }

    /// What is known of a layer of one of its images.
    pub(crate) fn layer(&self, layer: &Layer) -> Option<&ClassicLayer> {
        let id = layer.legacy_id.as_ref()?;
        self.images.get(id.as_str()).map(|image| &image.layer)
    }

    /// The names by digest of an image.
    pub(crate) fn digests_of(&self, id: &LegacyId) -> Vec<String> {
        self.digests.get(id.as_str()).cloned().unwrap_or_default()
    }

    /// Verifies every file of some layers against its checksum, and notes what came of it.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if the system fails.
    pub(crate) fn check(
        &mut self,
        files: &RootFiles,
        wanted: &HashSet<LegacyId>,
        jobs: Jobs,
    ) -> Result<(), RescueError> {
        let wanted: HashSet<&str> = wanted.iter().map(LegacyId::as_str).collect();
        let found = self
            .images
            .iter()
            .filter(|(id, _)| wanted.contains(id.as_str()));
        let found: Vec<(String, &ClassicLayer)> = found
            .map(|(id, image)| (id.clone(), &image.layer))
            .collect();
        let cost = |(_, layer): &(String, &ClassicLayer)| layer.file_bytes.unwrap_or_default();
        let states = jobs::map(jobs, &found, cost, |(id, layer)| {
            let Some(parts) = layer.parts() else {
                return Ok((id.clone(), layer.state.clone()));
            };
            let state = match layer::read(files, parts, &mut CheckBodies)? {
                Ok(looked) if looked.faults.count == 0 => LayerState::Exact,
                Ok(looked) => LayerState::Damaged(looked.faults),
                Err(why) => LayerState::Lost(why),
            };
            Ok((id.clone(), state))
        });
        let states: Result<Vec<_>, RescueError> = states.into_iter().collect();
        for (id, state) in states? {
            if let Some(image) = self.images.get_mut(&id) {
                image.layer.state = state;
            }
        }
        Ok(())
    }

    /// Its images as an archive of Docker before 1.10 that is stored nowhere. A layer that does not come back is an
    /// empty file in it, so that the images are the same ones, and in the same order, whatever comes back.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if the system fails, or if the layers are more than a limit allows.
    pub(crate) fn assemble(
        &self,
        files: &RootFiles,
        with_layers: bool,
    ) -> Result<Archive, RescueError> {
        let mut assembly = RopeArchive::new(files)?;
        for (id, image) in &self.images {
            let name = format!("{id}/json");
            match &image.parent {
                None => assembly.file_as(name.as_bytes(), image.document)?,
                Some(parent) => match with_parent(files, image.document, parent)? {
                    Some(document) => assembly.text(name.as_bytes(), &document)?,
                    None => assembly.file_as(name.as_bytes(), image.document)?,
                },
            }
            let name = format!("{id}/layer.tar");
            let parts = image.layer.parts().filter(|_| with_layers);
            let is_there = match parts {
                Some(parts) => assembly.layer_as(name.as_bytes(), parts)?,
                None => false,
            };
            if !is_there {
                assembly.text(name.as_bytes(), b"")?;
            }
        }
        let repositories = serde_json::to_vec(&self.repositories).unwrap_or_default();
        assembly.text(b"repositories", &repositories)?;
        assembly.finish()
    }
}

/// A `json` file with another parent; `None` if it is not an object. Neither the ID nor the parent becomes part of a
/// config, so that nothing else depends on how it is written.
fn with_parent(
    files: &RootFiles,
    document: FileNode,
    parent: &str,
) -> Result<Option<Vec<u8>>, RescueError> {
    let Some(slice) = files.plain(document) else {
        return Ok(None);
    };
    if files
        .source()
        .limits()
        .check(Limit::Json, slice.len())
        .is_err()
    {
        return Ok(None);
    }
    let bytes = slice.read_all()?;
    let object = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(&bytes);
    let (Ok(mut object), Ok(parent)) = (object, serde_json::value::to_raw_value(parent)) else {
        return Ok(None);
    };
    object.insert("parent".to_owned(), parent);
    Ok(serde_json::to_vec(&object).ok())
}
