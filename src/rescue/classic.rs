//! Stores that keep a layer as files and tar-split: Docker's own, and that of podman, buildah and CRI-O. Their
//! images as an archive that is stored nowhere.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::documents::Documents;
use super::files::{FileNode, RootFiles};
use super::layer::{self, CheckBodies, LostFiles, LostMarkers, SplitParts};
use super::look::look_for;
use super::rope_archive::RopeArchive;
use super::{LayerState, RescueError};
use crate::archive::Archive;
use crate::base::digest::{DiffId, Digest};
use crate::base::jobs::Jobs;
use crate::base::limits::Limit;
use crate::document::Config;

/// The images and layers of a store.
#[derive(Debug, Default)]
pub(crate) struct Classic {
    pub(crate) images: Vec<ClassicImage>,
    /// Each diff ID once, wherever it is stored.
    pub(crate) layers: HashMap<DiffId, ClassicLayer>,
    /// Whether files are hidden as an overlay file system hides them.
    overlay: bool,
    /// What of that the tar has lost.
    lost: LostMarkers,
    /// How many layers all images have together.
    count: usize,
}

/// An image of a store.
#[derive(Debug)]
pub(crate) struct ClassicImage {
    /// Its ID: the digest of its config.
    pub(crate) id: Digest,
    /// The file with its config, if that is what the ID says.
    pub(crate) config: Option<FileNode>,
    /// Its names with tags.
    pub(crate) names: Vec<String>,
    /// Its names with digests.
    pub(crate) digests: Vec<String>,
    /// Its layers, base first.
    pub(crate) layers: Vec<DiffId>,
    /// What is wrong with its config.
    pub(crate) fault: Option<String>,
}

/// A layer of a store.
#[derive(Clone, Debug)]
pub(crate) struct ClassicLayer {
    /// Where it is; several places if images have it on different layers.
    pub(crate) places: Vec<LayerPlace>,
    /// What is known of the best of them.
    pub(crate) state: LayerState,
    /// Which of them that is.
    pub(crate) best: usize,
    /// How long its tar is, if that is known.
    pub(crate) tar_size: Option<u64>,
    /// How many bytes its files have.
    pub(crate) file_bytes: Option<u64>,
}

/// Where a layer is, as far as that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerPlace {
    /// The directory with its files.
    pub(crate) directory: Option<FileNode>,
    /// Its tar-split.
    pub(crate) split: Option<FileNode>,
    /// Why it cannot come back, if that is known already.
    pub(crate) lost: Option<String>,
}

impl Classic {
    /// A store without images. `overlay` says whether files are hidden as an overlay file system hides them.
    pub(crate) fn new(overlay: bool) -> Self {
        Self {
            overlay,
            ..Self::default()
        }
    }

    /// Adds an image whose config is in a file that may be there. `place` says where a layer is: its index and the
    /// diff IDs up to it.
    pub(crate) fn add(
        &mut self,
        documents: &Documents<'_>,
        mut image: ClassicImage,
        mut place: impl FnMut(usize, &[DiffId]) -> LayerPlace,
    ) {
        let limits = documents.files.source().limits();
        let counted = read_config(documents, &image).and_then(|config| {
            self.count += config.diff_ids().len();
            let within = limits.check_count(Limit::Layers, self.count);
            let within = within.and_then(|()| limits.check_count(Limit::Images, self.images.len()));
            within
                .map_err(|exceeded| format!("there are too many images or layers: {exceeded}"))?;
            Ok(config)
        });
        match counted {
            Ok(config) => {
                image.layers = config.diff_ids().to_vec();
                for (index, diff_id) in image.layers.iter().enumerate() {
                    let place = place(index, &image.layers[..=index]);
                    let layer = self.layers.entry(diff_id.clone());
                    let layer = layer.or_insert_with(ClassicLayer::new);
                    if !layer.places.contains(&place) {
                        layer.places.push(place);
                    }
                }
            }
            Err(fault) => {
                image.config = None;
                image.fault = Some(fault);
            }
        }
        self.images.push(image);
    }

    /// Looks for the files of every layer, several layers at a time.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if the system fails.
    pub(crate) fn look(&mut self, files: &RootFiles, jobs: Jobs) -> Result<(), RescueError> {
        let layers = self.layers.values_mut().collect();
        self.lost = look_for(layers, files, self.overlay, jobs)?;
        Ok(())
    }

    /// What the tar has lost although its layers do not need it, for people.
    pub(crate) fn remarks(&self) -> Vec<String> {
        self.lost.remarks()
    }

    /// Names the files of a layer that were changed, for which all of them are read.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if the system fails.
    pub(crate) fn changed(
        &self,
        files: &RootFiles,
        diff_id: &DiffId,
    ) -> Result<LostFiles, RescueError> {
        let parts = self.layers.get(diff_id).and_then(ClassicLayer::parts);
        let Some(parts) = parts else {
            return Ok(LostFiles::default());
        };
        let looked = layer::read(files, parts, &mut CheckBodies)?;
        Ok(looked.map(|looked| looked.faults).unwrap_or_default())
    }

    /// The images at these positions as an archive, those of their layers in it whose files are all there if
    /// `with_layers`. Nothing is copied but what tar-split holds.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if the system fails, or if the layers are more than a limit allows.
    pub(crate) fn assemble(
        &self,
        files: &RootFiles,
        wanted: &[usize],
        with_layers: bool,
    ) -> Result<Archive, RescueError> {
        let mut assembly = RopeArchive::new(files)?;
        let mut known = HashSet::new();
        let images = wanted.iter().filter_map(|at| self.images.get(*at));
        let mut items = Vec::new();
        for image in images {
            items.push(ManifestItem::of(image));
            if let Some(config) = image.config {
                let config = files.linked(config).unwrap_or(config);
                assembly.file(&image.id, config)?;
            }
            for diff_id in image.layers.iter().filter(|_| with_layers) {
                let parts = self.layers.get(diff_id).and_then(ClassicLayer::parts);
                if let Some(parts) = parts
                    && known.insert(diff_id)
                {
                    assembly.layer(diff_id.digest(), parts)?;
                }
            }
        }
        let manifest = serde_json::to_vec(&items).unwrap_or_default();
        assembly.text(b"manifest.json", &manifest)?;
        assembly.finish()
    }
}

/// One image of `manifest.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestItem<'i> {
    config: String,
    repo_tags: &'i [String],
    layers: Vec<String>,
}

impl<'i> ManifestItem<'i> {
    fn of(image: &'i ClassicImage) -> Self {
        let layers = image.layers.iter();
        Self {
            config: image.id.blob_path(),
            repo_tags: &image.names,
            layers: layers.map(|layer| layer.digest().blob_path()).collect(),
        }
    }
}

impl ClassicLayer {
    fn new() -> Self {
        Self {
            places: Vec::new(),
            state: LayerState::Lost("it was not looked for".to_owned()),
            best: 0,
            tar_size: None,
            file_bytes: None,
        }
    }

    /// One that is in one place at the most.
    pub(crate) fn at(place: LayerPlace) -> Self {
        Self {
            places: vec![place],
            ..Self::new()
        }
    }

    /// The best of its places.
    pub(crate) fn place(&self) -> Option<&LayerPlace> {
        self.places.get(self.best)
    }

    /// Its parts, if all its files are there.
    pub(crate) fn parts(&self) -> Option<SplitParts> {
        match self.state {
            LayerState::Expected | LayerState::Exact => self.place()?.parts(),
            LayerState::Damaged(_) | LayerState::Lost(_) => None,
        }
    }
}

impl LayerPlace {
    /// A place of which there is nothing.
    pub(crate) fn lost(why: impl Into<String>) -> Self {
        Self {
            directory: None,
            split: None,
            lost: Some(why.into()),
        }
    }

    pub(crate) fn parts(&self) -> Option<SplitParts> {
        Some(SplitParts {
            directory: self.directory?,
            split: self.split?,
        })
    }
}

fn read_config(documents: &Documents<'_>, image: &ClassicImage) -> Result<Config, String> {
    let Some(file) = image.config else {
        return Err("its config is not in the tar".to_owned());
    };
    let bytes = documents.bytes(file)?;
    let computed = Digest::sha256_of(&bytes);
    if computed != image.id {
        return Err(format!(
            "its config was changed: claimed {}, computed {computed}",
            image.id
        ));
    }
    Config::read(&bytes).map_err(|error| format!("its config cannot be read: {error}"))
}
