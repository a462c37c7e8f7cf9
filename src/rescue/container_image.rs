//! Images that no engine has kept as such: a container as an image or as the file system that it saw, and images with
//! layers that are made of files since nothing says how their tars were. And volumes.
//!
//! Long: what is put together of the same parts.

use std::collections::HashSet;
use std::io::Read;

use jiff::Timestamp;

use super::chain;
use super::classic::ClassicLayer;
use super::containers::{ContainerConfig, ContainerPlace};
use super::files::{FileNode, RootFiles};
use super::look::look_for;
use super::made_layer::{FileForm, FileSet, Made, UnmadeLayer};
use super::rope_archive::RopeArchive;
use super::store::{EngineStore, Kept, RescuedArchive, StoreEngine};
use super::{
    DataRoots, Documents, LayerState, RescueError, StoredContainer, StoredVolume, storage,
};
use crate::base::digest::{DiffId, Digest, ImageId};
use crate::base::options::Options;
use crate::base::progress::steps;
use crate::document::{ConfigDraft, Created, HistoryEntry, Platform, RunConfig};
use crate::image::{Identity, Image};
use crate::layer::digest::{Nothing, Request, Wanted};
use crate::output::forget_origin;
use crate::source::{Compression, Slice};

/// What a container comes back as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerShape {
    /// Its image with one more layer, which has what it changed, as engines commit it.
    Image,
    /// The layers that it saw, with what the engine itself put there, to be flattened.
    Tree,
}

/// An image of which layers were made of files.
#[derive(Debug)]
pub struct RemadeImage {
    /// The image, with its names.
    pub archive: RescuedArchive,
    /// What it was called by its engine.
    pub was: String,
    /// The ID that it has now.
    pub now: ImageId,
    /// The layers that were made, base first.
    pub layers: Vec<RemadeLayer>,
}

/// A layer that was made of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemadeLayer {
    /// Its index, base first.
    pub index: usize,
    /// Its diff ID before.
    pub was: DiffId,
    /// The diff ID that it has now.
    pub now: DiffId,
}

/// A volume as a tar that is stored nowhere.
#[derive(Debug)]
pub struct VolumeTar(Slice);

impl VolumeTar {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.0.len()
    }

    /// Its bytes.
    pub fn reader(&self) -> impl Read + '_ {
        self.0.reader()
    }
}

impl DataRoots {
    /// A container as an image, or as what is to be flattened to its file system. The layers of its image are not
    /// hashed here.
    ///
    /// # Errors
    ///
    /// [`RescueError`]; [`RescueError::Unmade`] if its image or its files are not all there.
    pub fn container(
        &self,
        container: &StoredContainer,
        shape: ContainerShape,
        options: &Options<'_>,
    ) -> Result<RescuedArchive, RescueError> {
        let unmade = |why| RescueError::Unmade {
            what: format!("the container {}", container.shown()),
            why,
        };
        let missing = |why: &str| unmade(UnmadeLayer::Missing(why.to_owned()));
        let Some(place) = &container.place else {
            return Err(missing(container.fault.as_deref().unwrap_or_default()));
        };
        let mut maker = ImageMaker::new(&self.files, options)?;
        let whole = place.whole.filter(|_| shape == ContainerShape::Tree);
        let base = self.base(container, place);
        let draft = match (whole, base) {
            (Some(whole), _) => {
                maker.add_made(whole)?.map_err(unmade)?;
                ConfigDraft::new(&Platform::default(), &Created::from(Timestamp::UNIX_EPOCH))
            }
            (None, base) => {
                let draft = if let Some((store, image)) = base {
                    maker.add_base(store, image, false)?.map_err(unmade)?;
                    let config = image.config.as_ref().map(|config| config.raw.as_slice());
                    let draft = ConfigDraft::parse(config.unwrap_or_default());
                    draft.map_err(|fault| missing(&fault.to_string()))?
                } else {
                    let image = &container.image;
                    let Some((driver, top)) = &place.chain else {
                        return Err(missing(&format!("its image {image} is not in the tar")));
                    };
                    let added = maker.add_chain(place.root, driver, top)?;
                    added.map_err(unmade)?;
                    self.without_image(container, place, maker.diff_ids.len())
                };
                let init = place.init.filter(|_| shape == ContainerShape::Tree);
                for set in init.into_iter().chain([place.changes]) {
                    maker.add_made(set)?.map_err(unmade)?;
                }
                let engine = base.map(|(store, _)| store.engine());
                committed(draft, engine, place)
            }
        };
        Ok(maker.finish(draft, &[])?.0)
    }

    /// Notes of which containers the image is not there.
    pub(super) fn note_missing_images(&mut self) {
        let missing = |container: &StoredContainer| {
            let place = container.place.as_ref();
            place.is_some_and(|place| self.base(container, place).is_none())
        };
        let missing: Vec<bool> = self.containers.iter().map(missing).collect();
        for (container, missing) in self.containers.iter_mut().zip(missing) {
            container.image_missing = missing;
            let place = container.place.as_ref().filter(|_| missing);
            if place.is_some_and(|place| place.chain.is_none() && place.whole.is_none()) {
                container.fault = Some(format!("its image {} is not in the tar", container.image));
            }
        }
    }

    /// The config of an image that was removed, as far as its container tells: nothing but what it ran on, which the
    /// other images of its store say if they agree, and that it had so many layers.
    fn without_image(
        &self,
        container: &StoredContainer,
        place: &ContainerPlace,
        layers: usize,
    ) -> ConfigDraft {
        let of_root = self.stores.iter().filter(|store| store.at == place.root);
        let images = of_root.flat_map(|store| store.images().map_or(&[][..], |set| &set.images));
        let mut platforms = images.filter_map(|image| Some(image.view()?.platform.clone()));
        let first = platforms.next();
        let platform = first.filter(|first| platforms.all(|other| other == *first));
        let platform = platform.unwrap_or_else(|| Platform {
            os: "linux".to_owned(),
            ..Platform::default()
        });
        let mut draft = ConfigDraft::new(&platform, &Created::from(Timestamp::UNIX_EPOCH));
        for _ in 0..layers {
            draft.push_history(HistoryEntry {
                comment: format!("a layer of {}, whose config is lost", container.image),
                ..HistoryEntry::default()
            });
        }
        draft
    }

    /// The image that a container was made of, whole if one of them is.
    fn base(
        &self,
        container: &StoredContainer,
        place: &ContainerPlace,
    ) -> Option<(&EngineStore, &Image)> {
        let of_root = self.stores.iter().filter(|store| store.at == place.root);
        let images = of_root.flat_map(|store| {
            let images = store.images().map_or(&[][..], |set| &set.images);
            images.iter().map(move |image| (store, image))
        });
        let id = container.image.trim_start_matches("sha256:");
        let is_it = |image: &Image| match (&image.manifest, &place.manifest) {
            (Some(manifest), of_container) => {
                let own = manifest.descriptor.digest.encoded();
                let index = manifest.index.as_ref().map(Digest::encoded);
                match of_container
                    .as_ref()
                    .and_then(|digest| digest.split_once(':'))
                {
                    Some((_, wanted)) => own == wanted,
                    None => own == id || index == Some(id),
                }
            }
            (None, _) => match &image.identity {
                Identity::Config(own) => own.digest().encoded() == id,
                Identity::Legacy(_) | Identity::Unknown => false,
            },
        };
        let mut found: Vec<(&EngineStore, &Image)> =
            images.filter(|(_, image)| is_it(image)).collect();
        // A name or an ID alone is not an image.
        found.retain(|(_, image)| image.config.is_some());
        found.sort_by_key(|(store, image)| !store.is_whole(image));
        found.first().copied()
    }

    /// An image of a store, given as its position there, with those of its layers made of files that cannot be put
    /// together byte for byte.
    ///
    /// # Errors
    ///
    /// [`RescueError`]; [`RescueError::Unmade`] if files are missing or the store has no files.
    pub fn remade(
        &self,
        store: &EngineStore,
        image: &Image,
        options: &Options<'_>,
    ) -> Result<RemadeImage, RescueError> {
        let unmade = |why| RescueError::Unmade {
            what: image.display_name(),
            why,
        };
        let mut maker = ImageMaker::new(&self.files, options)?;
        maker.add_base(store, image, true)?.map_err(unmade)?;
        let config = image.config.as_ref().map(|config| config.raw.as_slice());
        let draft = ConfigDraft::parse(config.unwrap_or_default());
        let draft = draft.map_err(|fault| unmade(UnmadeLayer::Missing(fault.to_string())))?;
        let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
        let layers = std::mem::take(&mut maker.rebuilt);
        let (archive, now) = maker.finish(draft, &names)?;
        Ok(RemadeImage {
            archive,
            was: image.identity.to_string(),
            now,
            layers,
        })
    }

    /// A volume as a tar: paths relative to it, with owners, whole times and all attributes.
    ///
    /// # Errors
    ///
    /// [`RescueError`]; [`RescueError::Unmade`] if a file is missing.
    pub fn volume(&self, volume: &StoredVolume) -> Result<VolumeTar, RescueError> {
        let mut out = RopeArchive::new(&self.files)?;
        let set = FileSet {
            directory: volume.at,
            before: None,
            form: FileForm::Volume,
        };
        out.files(b"volume", set)?
            .map_err(|why| RescueError::Unmade {
                what: format!("the volume {}", volume.name),
                why,
            })?;
        Ok(VolumeTar(out.finish_bytes()?))
    }
}

impl StoredContainer {
    /// Whether its engine noted how it ran where that is read.
    pub fn has_config(&self) -> bool {
        let place = self.place.as_ref();
        place.is_some_and(|place| place.config.is_some())
    }

    /// Whether labels, ports, volumes and health checks that it was given are known too: Docker notes them beside the
    /// rest, podman and CRI-O where it is not read.
    pub fn has_whole_config(&self) -> bool {
        let config = self.place.as_ref().and_then(|place| place.config.as_ref());
        matches!(config, Some(ContainerConfig::Image(_)))
    }

    /// What it is called, else its ID.
    fn shown(&self) -> &str {
        if self.name.is_empty() {
            &self.id
        } else {
            &self.name
        }
    }
}

/// An image while it is put together.
struct ImageMaker<'m> {
    files: &'m RootFiles,
    options: &'m Options<'m>,
    out: RopeArchive<'m>,
    diff_ids: Vec<DiffId>,
    members: Vec<String>,
    known: HashSet<String>,
    rebuilt: Vec<RemadeLayer>,
}

/// One image of `manifest.json`.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed<'i> {
    config: String,
    repo_tags: &'i [String],
    layers: &'i [String],
}

impl<'m> ImageMaker<'m> {
    fn new(files: &'m RootFiles, options: &'m Options<'m>) -> Result<Self, RescueError> {
        Ok(Self {
            files,
            options,
            out: RopeArchive::new(files)?,
            diff_ids: Vec::new(),
            members: Vec::new(),
            known: HashSet::new(),
            rebuilt: Vec::new(),
        })
    }

    /// Adds the layers of an image; those that are not whole are made of files if `accept` says so.
    fn add_base(
        &mut self,
        store: &EngineStore,
        image: &Image,
        accept: bool,
    ) -> Result<Made, RescueError> {
        let form = form(store);
        let mut before = None;
        for layer in &image.layers {
            let missing = |why: String| {
                Ok(Err(UnmadeLayer::Missing(format!(
                    "layer {} of its image: {why}",
                    layer.index
                ))))
            };
            let Some(diff_id) = layer.diff_id.clone() else {
                return missing("it has no diff ID".to_owned());
            };
            match &store.kept {
                Kept::Classic(classic) => {
                    let known = classic.layers.get(&diff_id);
                    let directory = known.and_then(|known| known.place()?.directory);
                    let parts = known.and_then(ClassicLayer::parts);
                    let path = diff_id.digest().blob_path();
                    if let Some(parts) = parts {
                        if self.known.insert(path.clone()) {
                            self.out.layer(diff_id.digest(), parts)?;
                        }
                        self.diff_ids.push(diff_id);
                        self.members.push(path);
                    } else if let (true, Some(directory)) = (accept, directory) {
                        let set = FileSet {
                            directory,
                            before: before.filter(|_| form == FileForm::Plain),
                            form,
                        };
                        if layer.index > 0 && form == FileForm::Plain && before.is_none() {
                            return missing(
                                "its directory holds a whole tree, and the tree of the layer below is not in the tar".to_owned(),
                            );
                        }
                        if let Err(unmade) = self.add_made(set)? {
                            return Ok(Err(unmade));
                        }
                        if let Some(now) = self.diff_ids.last().filter(|now| **now != diff_id) {
                            self.rebuilt.push(RemadeLayer {
                                index: layer.index,
                                was: diff_id,
                                now: now.clone(),
                            });
                        }
                    } else {
                        return missing(lost(known.map(|known| &known.state)));
                    }
                    before = directory;
                }
                Kept::Content { content, .. } => {
                    let digest = layer
                        .digest
                        .as_ref()
                        .map(crate::base::digest::BlobDigest::digest);
                    let blob =
                        digest.and_then(|digest| Some((digest, content.blob(self.files, digest)?)));
                    let Some((digest, blob)) = blob else {
                        return missing("its blob is not in the tar".to_owned());
                    };
                    let path = digest.blob_path();
                    if self.known.insert(path.clone()) {
                        self.out.file(digest, blob)?;
                    }
                    self.diff_ids.push(diff_id);
                    self.members.push(path);
                }
                Kept::Graph(_) => {
                    return missing("Docker before 1.10 kept no diff IDs".to_owned());
                }
            }
        }
        Ok(Ok(()))
    }

    /// Adds the layers of a Docker image of which the config is lost, down from the chain ID of the top one.
    fn add_chain(
        &mut self,
        docker: FileNode,
        driver: &str,
        top: &str,
    ) -> Result<Made, RescueError> {
        let documents = Documents::new(self.files);
        let layers = match chain::layers(&documents, docker, driver, top) {
            Ok(layers) => layers,
            Err(why) => return Ok(Err(UnmadeLayer::Missing(why))),
        };
        for (index, (diff_id, place)) in layers.into_iter().enumerate() {
            let mut layer = ClassicLayer::at(place);
            look_for(vec![&mut layer], self.files, false, self.options.jobs)?;
            let Some(parts) = layer.parts() else {
                return Ok(Err(UnmadeLayer::Missing(format!(
                    "layer {index} of its image: {}",
                    lost(Some(&layer.state))
                ))));
            };
            let path = diff_id.digest().blob_path();
            if self.known.insert(path.clone()) {
                self.out.layer(diff_id.digest(), parts)?;
            }
            self.diff_ids.push(diff_id);
            self.members.push(path);
        }
        Ok(Ok(()))
    }

    /// Adds a layer that is made of files: by itself first, since its name is its diff ID.
    fn add_made(&mut self, set: FileSet) -> Result<Made, RescueError> {
        let mut alone = RopeArchive::new(self.files)?;
        if let Err(unmade) = alone.files(b"layer", set)? {
            return Ok(Err(unmade));
        }
        let bytes = alone.finish_bytes()?;
        let request = Request {
            bytes: &bytes,
            compression: Compression::None,
            wanted: Wanted::diff_id(),
            task: Some(steps::HASHING.to_owned()),
            alongside: Nothing,
        };
        let proof = match request.answer(self.options.progress) {
            Ok((proof, ())) => proof,
            Err(error) => return Ok(Err(UnmadeLayer::Missing(error.to_string()))),
        };
        let diff_id = proof.diff_id().clone();
        let path = diff_id.digest().blob_path();
        if self.known.insert(path.clone()) {
            self.out.bytes(path.as_bytes(), &bytes)?;
        }
        self.diff_ids.push(diff_id);
        self.members.push(path);
        Ok(Ok(()))
    }

    fn finish(
        mut self,
        mut draft: ConfigDraft,
        names: &[String],
    ) -> Result<(RescuedArchive, ImageId), RescueError> {
        draft.set_diff_ids(&self.diff_ids);
        let config = draft.to_bytes();
        let path = Digest::sha256_of(&config).blob_path();
        self.out.text(path.as_bytes(), &config)?;
        let listed = [Listed {
            config: path,
            repo_tags: names,
            layers: &self.members,
        }];
        let listed = serde_json::to_vec(&listed).unwrap_or_default();
        self.out.text(b"manifest.json", &listed)?;
        let archive = self.out.finish()?;
        let images = archive.images()?;
        let archive = RescuedArchive {
            archive,
            images,
            wanted: vec![0],
        };
        Ok((archive, draft.image_id()))
    }
}

/// How a store keeps the files of its images' layers.
fn form(store: &EngineStore) -> FileForm {
    match (store.engine(), store.driver()) {
        (StoreEngine::Docker, "overlay2") => FileForm::Overlay,
        (StoreEngine::Docker, "fuse-overlayfs" | "aufs") => FileForm::Whiteouts,
        (StoreEngine::Containers, driver) => {
            storage::form(&Documents::new(&store.files), store.at, driver)
        }
        _ => FileForm::Plain,
    }
}

/// Why a layer is not whole, for people.
fn lost(state: Option<&LayerState>) -> String {
    match state {
        Some(LayerState::Lost(why)) => why.clone(),
        Some(LayerState::Damaged(lost)) => match lost.first.first() {
            Some(first) => first.to_string(),
            None => "files of it were changed".to_owned(),
        },
        _ => "nothing says where it is".to_owned(),
    }
}

/// The config of an image that is committed from a container (moby `daemon/commit.go`): what the container ran with,
/// and one more step.
/// `engine` is that of the image, if it is there.
fn committed(
    mut draft: ConfigDraft,
    engine: Option<StoreEngine>,
    place: &ContainerPlace,
) -> ConfigDraft {
    forget_origin(&mut draft);
    // Only the containerd store keeps the author of the image.
    if engine == Some(StoreEngine::Docker) {
        draft.set_author("");
    }
    let run = match &place.config {
        Some(ContainerConfig::Image(config)) => run_of(config),
        Some(ContainerConfig::Process(process)) => Some(process.run(draft.run())),
        None => None,
    };
    let run = run.unwrap_or_else(|| draft.run().clone());
    let time = place.time.as_deref().and_then(|time| time.parse().ok());
    let time: Timestamp = time.unwrap_or(Timestamp::UNIX_EPOCH);
    let created = Created::from(time);
    draft.push_history(HistoryEntry {
        created: Some(created.clone()),
        created_by: run.cmd.clone().unwrap_or_default().join(" "),
        author: draft.config().author.clone(),
        ..HistoryEntry::default()
    });
    draft.set_created(&created);
    draft.set_run(run);
    draft
}

/// How a container ran, as its engine noted it.
fn run_of(config: &str) -> Option<RunConfig> {
    let draft = ConfigDraft::parse(format!(r#"{{"config":{config}}}"#).as_bytes());
    draft.ok().map(|draft| draft.run().clone())
}
