//! `rescue`: what a tar of an engine's data directory holds, and what of it comes back.

use serde::Serialize;

use super::images::references;
use super::text::Text;
use crate::image::Image;
use crate::rescue::{
    DataRoots, EngineStore, LayerState, RemadeImage, RemadeLayer, RescuedArchive, StoreEngine,
    StoredContainer, StoredVolume,
};
use crate::source::Compression;

/// The answer of `rescue`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RescueReport {
    /// `imgtar/rescue/1`
    pub schema: &'static str,
    /// The tar.
    pub archive: RescueHead,
    /// The stores in it, in the order of their paths.
    pub stores: Vec<RescueStore>,
    /// The containers of all engines.
    pub containers: Vec<StoredContainer>,
    /// The volumes of all engines.
    pub volumes: Vec<StoredVolume>,
    /// Images that were written and that the engine did not have: those of containers, and those with layers made
    /// from files.
    pub made: Vec<RescueMade>,
    /// What you should know about the tar as a whole, in words.
    pub remarks: Vec<String>,
}

/// An image that the engine did not have.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RescueMade {
    /// The ID of the container that it was made from; `null` if it is an image with other layers.
    pub container: Option<String>,
    /// The image ID before; `null` if it was made from a container.
    pub was: Option<String>,
    /// Its image ID.
    pub id: String,
    /// The layers that were made from files and had another diff ID.
    pub layers: Vec<RescueMadeLayer>,
}

/// A layer that was made of files.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RescueMadeLayer {
    /// Its index, base first.
    pub index: usize,
    /// Its diff ID before.
    pub was: String,
    /// Its diff ID.
    pub diff_id: String,
}

impl RescueMade {
    /// An image with layers that were made of files.
    pub fn of_image(image: &RemadeImage) -> Self {
        let layer = |layer: &RemadeLayer| RescueMadeLayer {
            index: layer.index,
            was: layer.was.to_string(),
            diff_id: layer.now.to_string(),
        };
        Self {
            container: None,
            was: Some(image.was.clone()),
            id: image.now.to_string(),
            layers: image.layers.iter().map(layer).collect(),
        }
    }

    /// The image of a container.
    pub fn of_container(container: &StoredContainer, archive: &RescuedArchive) -> Self {
        let image = archive.images.images.first();
        Self {
            container: Some(container.id.clone()),
            was: None,
            id: image.map_or_else(String::new, |image| image.identity.to_string()),
            layers: Vec::new(),
        }
    }
}

/// The tar itself.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RescueHead {
    /// The path as it was given, `-` for standard input.
    pub path: String,
    /// The compression around all of it.
    pub compression: Compression,
    /// The size of the file in bytes, compressed if it is.
    pub size: u64,
    /// Whether any file in it has extended attributes. Layers come back without them.
    pub xattrs: bool,
}

/// The images of one engine and storage driver.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RescueStore {
    /// `docker` (its own store), `docker-graph` (Docker before 1.10), `docker-containerd` (Docker with the containerd
    /// store), `containerd` or `containers-storage` (podman, buildah, CRI-O).
    pub engine: &'static str,
    /// The storage driver: `overlay2`, `vfs`, `overlay`, `aufs`, `btrfs`, `fuse-overlayfs`; for containerd, the
    /// namespace.
    pub driver: String,
    /// Where the data directory is, as a path in the tar; empty if the tar is the data directory.
    #[cfg_attr(feature = "schema", schemars(with = "Text"))]
    pub path: Text,
    /// Its images.
    pub images: Vec<RescueImage>,
    /// What you should know about it, in words.
    pub remarks: Vec<String>,
}

/// An image of a store.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RescueImage {
    /// The image ID. For an image of Docker before 1.10 it is the random one that Docker chose.
    pub id: Option<String>,
    /// Its names with tags, in familiar form.
    pub references: Vec<String>,
    /// Its names with digests, as the engine has them. They cannot be kept in an archive.
    pub digests: Vec<String>,
    /// `os/architecture[/variant]`; `null` if its config is missing or does not say.
    pub platform: Option<String>,
    /// When it was created.
    pub created: Option<String>,
    /// How many bytes the files of its layers have; for containerd, how many bytes its blobs have; `null` if a layer
    /// is missing.
    pub size: Option<u64>,
    /// How much comes back.
    pub verdict: RescueVerdict,
    /// Why its config cannot come back; `null` if it can.
    pub config_fault: Option<String>,
    /// Its layers, base first.
    pub layers: Vec<RescueLayer>,
}

/// How much of an image comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RescueVerdict {
    /// All of it, byte for byte: every layer was hashed.
    Exact,
    /// All of it, byte for byte, if its files were not changed: everything is there, nothing was hashed.
    ExpectedExact,
    /// Some of its layers.
    Partial,
    /// Its config and no layer.
    ConfigOnly,
    /// Nothing but its ID or name.
    Nothing,
}

/// A layer of an image.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RescueLayer {
    /// Its index, base first.
    pub index: usize,
    /// Its diff ID.
    pub diff_id: Option<String>,
    /// The chain ID of the stack up to it.
    pub chain_id: Option<String>,
    /// Where its files or its blob are, as a path in the tar; `null` if that is not known.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Text>"))]
    pub place: Option<Text>,
    /// How long its tar is, in bytes, if that is known.
    pub tar_size: Option<u64>,
    /// `exact`, `expected-exact`, `damaged` or `lost`.
    pub state: &'static str,
    /// Why it does not come back, in words; if there are many files, the first ones.
    pub why: Vec<String>,
    /// How many files are missing or were changed.
    pub files: u64,
}

impl RescueReport {
    /// Describes what was found. `images` says which images of each store are listed.
    pub fn new(roots: &DataRoots) -> Self {
        Self {
            schema: "imgtar/rescue/1",
            archive: RescueHead {
                path: roots.path().to_owned(),
                compression: roots.compression(),
                size: roots.stored_size(),
                xattrs: roots.has_xattrs(),
            },
            stores: roots.stores().iter().map(RescueStore::new).collect(),
            containers: roots.containers().to_vec(),
            volumes: roots.volumes().to_vec(),
            made: Vec::new(),
            remarks: roots.remarks().to_vec(),
        }
    }

    /// All images of all stores.
    pub fn images(&self) -> impl Iterator<Item = &RescueImage> {
        self.stores.iter().flat_map(|store| &store.images)
    }
}

impl RescueStore {
    fn new(store: &EngineStore) -> Self {
        let images = store.images().map_or(&[][..], |set| &set.images);
        Self {
            engine: word(store.engine()),
            driver: store.driver().to_owned(),
            path: Text(store.path()),
            images: images
                .iter()
                .map(|image| RescueImage::new(store, image))
                .collect(),
            remarks: store.remarks().to_vec(),
        }
    }
}

fn word(engine: StoreEngine) -> &'static str {
    match engine {
        StoreEngine::Docker => "docker",
        StoreEngine::DockerGraph => "docker-graph",
        StoreEngine::DockerContainerd => "docker-containerd",
        StoreEngine::Containerd => "containerd",
        StoreEngine::Containers => "containers-storage",
    }
}

impl RescueImage {
    /// Describes an image of a store.
    pub fn new(store: &EngineStore, image: &Image) -> Self {
        let layers: Vec<RescueLayer> = image
            .layers
            .iter()
            .map(|layer| RescueLayer::new(store, layer))
            .collect();
        let created = image.view().and_then(|view| view.created.as_ref());
        let sizes = image.layers.iter().map(|layer| store.layer(layer).size);
        Self {
            id: super::images::id(image),
            references: references(image),
            digests: store.digests(image),
            platform: (!image.platform.is_unknown()).then(|| image.platform.to_string()),
            created: created.map(|created| created.as_str().to_owned()),
            size: sizes.sum(),
            verdict: verdict(image, &layers),
            config_fault: store.config_fault(image).map(str::to_owned),
            layers,
        }
    }

    /// Whether all of it comes back, as far as is known.
    pub fn is_whole(&self) -> bool {
        matches!(
            self.verdict,
            RescueVerdict::Exact | RescueVerdict::ExpectedExact
        )
    }
}

fn verdict(image: &Image, layers: &[RescueLayer]) -> RescueVerdict {
    let in_state = |state: &str| layers.iter().filter(|layer| layer.state == state).count();
    let (exact, expected) = (in_state("exact"), in_state("expected-exact"));
    if image.config.is_none() {
        return RescueVerdict::Nothing;
    }
    match (exact, exact + expected) {
        (exact, _) if exact == layers.len() => RescueVerdict::Exact,
        (_, whole) if whole == layers.len() => RescueVerdict::ExpectedExact,
        (_, 0) => RescueVerdict::ConfigOnly,
        _ => RescueVerdict::Partial,
    }
}

impl RescueLayer {
    fn new(store: &EngineStore, layer: &crate::image::Layer) -> Self {
        let stored = store.layer(layer);
        let (state, why, files) = match stored.state {
            LayerState::Exact => ("exact", Vec::new(), 0),
            LayerState::Expected => ("expected-exact", Vec::new(), 0),
            LayerState::Damaged(lost) => (
                "damaged",
                lost.first.iter().map(ToString::to_string).collect(),
                lost.count,
            ),
            LayerState::Lost(why) => ("lost", vec![why], 0),
        };
        Self {
            index: layer.index,
            diff_id: layer.diff_id.as_ref().map(ToString::to_string),
            chain_id: layer.chain_id.as_ref().map(ToString::to_string),
            place: stored.place.map(Text),
            tar_size: stored.tar_size,
            state,
            why,
            files,
        }
    }
}
