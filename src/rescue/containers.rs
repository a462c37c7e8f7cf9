//! Containers and volumes of an engine: what they are called and how large they are.
//!
//! Long: what each engine notes of containers, and where it has their files.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::documents::Documents;
use super::files::{FileNode, NodeKind, RootFiles};
use super::made_layer::{FileForm, FileSet};
use super::runtime_spec::{self, RuntimeProcess};
use super::{FoundRoot, Recognised, RescueError, snapshots};

/// A container that an engine had.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoredContainer {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it was made from: an image ID, or in a containerd store the digest of a manifest or index.
    pub image: String,
    /// The name of the image when it was made.
    pub image_name: String,
    /// When it was created, RFC 3339.
    pub created: Option<String>,
    /// Its state when the engine stopped: `created`, `running`, `paused`, `exited (0)`, `dead`; `null` if the engine
    /// does not record it there. After a crash it is still `running`.
    pub state: Option<String>,
    /// What it runs.
    pub command: Vec<String>,
    /// The bytes of the files that it added or changed; `null` if its layer is not in the tar, or is a whole tree.
    pub size: Option<u64>,
    /// The volumes that it mounts.
    pub volumes: Vec<String>,
    /// Why its files cannot come back; `null` if they are there.
    pub fault: Option<String>,
    /// Whether its image is not in the tar: it was removed, or not packed.
    pub image_missing: bool,
    /// Where its files are.
    #[serde(skip)]
    pub(crate) place: Option<ContainerPlace>,
}

/// A volume that an engine had.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoredVolume {
    /// Its name.
    pub name: String,
    /// How many bytes its files have.
    pub size: u64,
    /// How many files, directories and other entries it has.
    pub entries: u64,
    /// The directory with its files.
    #[serde(skip)]
    pub(crate) at: FileNode,
}

/// Where the files of a container are.
#[derive(Clone, Debug)]
pub(crate) struct ContainerPlace {
    /// The data root of the store that has its image.
    pub(crate) root: FileNode,
    /// What it changed of its image, as a layer.
    pub(crate) changes: FileSet,
    /// What the engine put between the image and these, as a layer.
    pub(crate) init: Option<FileSet>,
    /// All that it saw, if its driver keeps whole trees.
    pub(crate) whole: Option<FileSet>,
    /// The digest of the manifest of its image, where a containerd store has it.
    pub(crate) manifest: Option<String>,
    /// How it ran; `None` if that is not in the tar, or where it is not read.
    pub(crate) config: Option<ContainerConfig>,
    /// The driver, and the chain ID of the layers of its image, where a Docker notes that apart from the image.
    pub(crate) chain: Option<(String, String)>,
    /// When it stopped, or else when it was made.
    pub(crate) time: Option<String>,
}

/// How a container ran.
#[derive(Clone, Debug)]
pub(crate) enum ContainerConfig {
    /// The `Config` of a Docker, as JSON, which is that of an image.
    Image(String),
    /// What podman or CRI-O handed to the runtime.
    Process(RuntimeProcess),
}

/// `config.v2.json` of a Docker container, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerContainer {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    created: Option<String>,
    path: String,
    args: Option<Vec<String>>,
    image: String,
    driver: String,
    image_manifest: Option<DockerManifest>,
    config: Option<Box<RawValue>>,
    state: Option<DockerState>,
    mount_points: Option<BTreeMap<String, DockerMount>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerRun {
    image: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerState {
    running: bool,
    paused: bool,
    dead: bool,
    exit_code: i64,
    started_at: String,
    finished_at: String,
}

/// The descriptor of the manifest that it was made of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DockerManifest {
    digest: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerMount {
    name: String,
}

/// A container of `containers.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StorageContainer {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    layer: String,
    metadata: String,
    created: Option<String>,
}

/// What podman notes of a container there.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct StorageMetadata {
    image_name: String,
}

/// The containers of a Docker. `faults` takes what cannot be read.
///
/// # Errors
///
/// [`RescueError`] if the system fails.
pub(crate) fn of_docker(
    documents: &Documents<'_>,
    docker: FileNode,
    roots: &[FoundRoot],
    faults: &mut Vec<String>,
) -> Result<Vec<StoredContainer>, RescueError> {
    let files = documents.files;
    let Some(containers) = files.child(docker, b"containers") else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    let mut sizes = TreeSizes::default();
    for directory in files.children(containers) {
        let Some(config) = files.child(directory, b"config.v2.json") else {
            continue;
        };
        let container: DockerContainer = match documents.json(config) {
            Ok(container) => container,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        let place = docker_place(documents, docker, roots, &container)?;
        all.push(container.stored(files, place, &mut sizes));
    }
    Ok(all)
}

impl DockerContainer {
    fn stored(
        self,
        files: &RootFiles,
        place: Result<ContainerPlace, String>,
        sizes: &mut TreeSizes,
    ) -> StoredContainer {
        let run: DockerRun = self
            .config
            .as_deref()
            .and_then(|config| serde_json::from_str(config.get()).ok())
            .unwrap_or_default();
        let command = std::iter::once(self.path);
        let mounts = self.mount_points.unwrap_or_default().into_values();
        let finished = self.state.as_ref().map(|state| state.finished_at.clone());
        let finished = finished.filter(|at| !at.is_empty() && !at.starts_with("0001-"));
        let (place, fault) = match place {
            Ok(place) => (Some(place), None),
            Err(fault) => (None, Some(fault)),
        };
        let place = place.map(|place| ContainerPlace {
            manifest: self.image_manifest.map(|manifest| manifest.digest),
            config: self
                .config
                .map(|config| ContainerConfig::Image(config.get().to_owned())),
            time: finished.or_else(|| self.created.clone()),
            ..place
        });
        StoredContainer {
            size: place.as_ref().and_then(|place| place.size(files, sizes)),
            name: self.name.trim_start_matches('/').to_owned(),
            image: self.image,
            image_name: run.image,
            created: self.created,
            state: self.state.as_ref().map(DockerState::word),
            command: command.chain(self.args.unwrap_or_default()).collect(),
            volumes: mounts
                .map(|mount| mount.name)
                .filter(|name| !name.is_empty())
                .collect(),
            id: self.id,
            fault,
            image_missing: false,
            place,
        }
    }
}

impl ContainerPlace {
    fn new(root: FileNode, changes: FileSet) -> Self {
        Self {
            root,
            changes,
            init: None,
            whole: None,
            manifest: None,
            config: None,
            chain: None,
            time: None,
        }
    }

    /// How many bytes were added or changed, if the driver keeps them alone.
    fn size(&self, files: &RootFiles, sizes: &mut TreeSizes) -> Option<u64> {
        let is_alone = self.changes.before.is_none();
        is_alone.then(|| sizes.of(files, self.changes.directory).0)
    }
}

impl DockerState {
    /// The word of `docker ps`.
    fn word(&self) -> String {
        let never = self.started_at.is_empty() || self.started_at.starts_with("0001-");
        match self {
            Self { dead: true, .. } => "dead".to_owned(),
            Self { paused: true, .. } => "paused".to_owned(),
            Self { running: true, .. } => "running".to_owned(),
            _ if never => "created".to_owned(),
            _ => format!("exited ({})", self.exit_code),
        }
    }
}

/// Where the files of a Docker's container are; why they are not there, for people.
fn docker_place(
    documents: &Documents<'_>,
    docker: FileNode,
    roots: &[FoundRoot],
    container: &DockerContainer,
) -> Result<Result<ContainerPlace, String>, RescueError> {
    let files = documents.files;
    let id = container.id.as_str();
    let driver = container.driver.as_str();
    let mounts = files.below(docker, &format!("image/{driver}/layerdb/mounts"));
    let Some(mounts) = mounts else {
        return containerd_place(files, docker, roots, id);
    };
    let Some(mount) = files.child(mounts, id.as_bytes()) else {
        return Ok(Err(format!(
            "image/{driver}/layerdb/mounts/{id} is not in the tar: nothing says where its files are"
        )));
    };
    let at = |file: &str| {
        let cache_id = documents.value_in(mount, file);
        let cache_id = cache_id.ok_or_else(|| {
            format!("image/{driver}/layerdb/mounts/{id}/{file} is not in the tar")
        })?;
        if driver == "overlay" {
            // Of a container it keeps the changes alone, on those of the engine.
            let found = files.child(docker, b"overlay");
            let found = found.and_then(|all| files.child(all, cache_id.as_bytes()));
            let found = found.and_then(|layer| files.child(layer, b"upper"));
            return found.ok_or_else(|| format!("overlay/{cache_id}/upper is not in the tar"));
        }
        super::docker::directory(documents, docker, driver, &cache_id)
    };
    let changed = match at("mount-id") {
        Ok(changed) => changed,
        Err(why) => return Ok(Err(why)),
    };
    let init = at("init-id").ok();
    let set = |directory, before, form| FileSet {
        directory,
        before,
        form,
    };
    let chain = documents.value_in(mount, "parent");
    let place = |changes| ContainerPlace {
        chain: chain.clone().map(|chain| (driver.to_owned(), chain)),
        ..ContainerPlace::new(docker, changes)
    };
    let form = match driver {
        "overlay2" | "overlay" => FileForm::Overlay,
        "fuse-overlayfs" | "aufs" => FileForm::Whiteouts,
        _ => FileForm::Plain,
    };
    Ok(match (driver, init) {
        // It has what the engine put there once more.
        ("overlay", init) => Ok(ContainerPlace {
            init: init.map(|init| set(init, None, form)),
            ..place(set(changed, init, form))
        }),
        (_, init) if form != FileForm::Plain => Ok(ContainerPlace {
            init: init.map(|init| set(init, None, form)),
            ..place(set(changed, None, form))
        }),
        (_, Some(init)) => Ok(ContainerPlace {
            whole: Some(set(changed, None, form)),
            ..place(set(changed, Some(init), form))
        }),
        (_, None) => Err(format!(
            "{driver} keeps it as a whole tree, and the tree that it was made from is not in the tar"
        )),
    })
}

/// Where the files of a container are, if a containerd has them.
fn containerd_place(
    files: &RootFiles,
    docker: FileNode,
    roots: &[FoundRoot],
    id: &str,
) -> Result<Result<ContainerPlace, String>, RescueError> {
    let own = |root: &&FoundRoot| match root.what {
        Recognised::Containerd { of_docker } => of_docker == Some(docker),
        _ => false,
    };
    let any = |root: &&FoundRoot| matches!(root.what, Recognised::Containerd { of_docker: None });
    let found = roots.iter().find(own).or_else(|| roots.iter().find(any));
    let Some(containerd) = found.map(|root| root.at) else {
        return Ok(Err(
            "its files are in the containerd of the system, and /var/lib/containerd is not in the tar"
                .to_owned(),
        ));
    };
    let set = |directory| FileSet {
        directory,
        before: None,
        form: FileForm::Overlay,
    };
    let changes = match snapshots::find(files, containerd, "moby", id)? {
        Ok(changes) => set(changes),
        Err(why) => return Ok(Err(why)),
    };
    let init = snapshots::find(files, containerd, "moby", &format!("{id}-init"))?.ok();
    Ok(Ok(ContainerPlace {
        init: init.map(set),
        ..ContainerPlace::new(containerd, changes)
    }))
}

/// The containers of a store of podman, buildah or CRI-O.
pub(crate) fn of_storage(
    documents: &Documents<'_>,
    storage: FileNode,
    driver: &str,
    faults: &mut Vec<String>,
) -> Vec<StoredContainer> {
    let files = documents.files;
    let list = files.below(storage, &format!("{driver}-containers/containers.json"));
    let Some(list) = list else { return Vec::new() };
    let read: Vec<StorageContainer> = documents.json(list).unwrap_or_else(|fault| {
        faults.push(fault);
        Vec::new()
    });
    let mut sizes = TreeSizes::default();
    let parents = super::storage::parents(documents, storage, driver);
    let directory = files.child(storage, format!("{driver}-containers").as_bytes());
    let mut of = |container: StorageContainer| {
        let parent = parents.get(&container.layer);
        let parent = parent.map(String::as_str);
        let place = storage_place(documents, storage, driver, (&container.layer, parent));
        let (place, fault) = match place {
            Ok(place) => (Some(place), None),
            Err(fault) => (None, Some(fault)),
        };
        let noted = serde_json::from_str::<StorageMetadata>(&container.metadata);
        let userdata = directory.and_then(|all| files.child(all, container.id.as_bytes()));
        let userdata = userdata.and_then(|own| files.child(own, b"userdata"));
        let ran = userdata.and_then(|userdata| {
            let read = RuntimeProcess::read(documents, userdata);
            read.unwrap_or_else(|fault| {
                faults.push(fault);
                None
            })
        });
        let state = userdata.map(|userdata| runtime_spec::state(documents, userdata));
        let (state, finished) = state.unwrap_or(Ok((None, None))).unwrap_or_else(|fault| {
            faults.push(fault);
            (None, None)
        });
        let command = ran.as_ref().map(|ran| ran.command().to_vec());
        StoredContainer {
            size: place
                .as_ref()
                .and_then(|place| place.size(files, &mut sizes)),
            name: container.names.unwrap_or_default().join(", "),
            image: container.image,
            image_name: noted.unwrap_or_default().image_name,
            created: container.created.clone(),
            command: command.unwrap_or_default(),
            state,
            id: container.id,
            fault,
            place: place.map(|place| ContainerPlace {
                config: ran.map(ContainerConfig::Process),
                time: finished.or(container.created),
                ..place
            }),
            ..StoredContainer::default()
        }
    };
    read.into_iter().map(&mut of).collect()
}

/// Where the files of a container of podman, buildah or CRI-O are.
fn storage_place(
    documents: &Documents<'_>,
    storage: FileNode,
    driver: &str,
    (layer, parent): (&str, Option<&str>),
) -> Result<ContainerPlace, String> {
    let files = documents.files;
    let changed = super::storage::directory(files, storage, driver, layer)?;
    let form = super::storage::form(documents, storage, driver);
    let set = |before| FileSet {
        directory: changed,
        before,
        form,
    };
    if form != FileForm::Plain {
        return Ok(ContainerPlace::new(storage, set(None)));
    }
    let parent = parent.ok_or_else(|| {
        format!("{driver}-layers/layers.json does not say what its layer {layer} lies on")
    })?;
    let before = super::storage::directory(files, storage, driver, parent)?;
    Ok(ContainerPlace {
        whole: Some(set(None)),
        ..ContainerPlace::new(storage, set(Some(before)))
    })
}

/// The volumes of an engine.
pub(crate) fn volumes(files: &RootFiles, root: FileNode) -> Vec<StoredVolume> {
    let all = files.child(root, b"volumes").map(|all| files.children(all));
    let mut sizes = TreeSizes::default();
    let volume = |at: FileNode| {
        let data = files.child(at, b"_data")?;
        let (size, entries) = sizes.of(files, data);
        Some(StoredVolume {
            name: String::from_utf8_lossy(files.name(at)).into_owned(),
            size,
            entries,
            at: data,
        })
    };
    let volumes = all.unwrap_or_default().into_iter();
    volumes.filter_map(volume).collect()
}

/// How large directories are, each counted once however many containers name it.
#[derive(Debug, Default)]
struct TreeSizes(HashMap<FileNode, (u64, u64)>);

impl TreeSizes {
    /// How many bytes the files below a directory have, and how many entries there are.
    fn of(&mut self, files: &RootFiles, directory: FileNode) -> (u64, u64) {
        let size = || counted(files, directory);
        *self.0.entry(directory).or_insert_with(size)
    }
}

fn counted(files: &RootFiles, directory: FileNode) -> (u64, u64) {
    let (mut size, mut entries): (u64, u64) = (0, 0);
    let mut open = vec![directory];
    while let Some(at) = open.pop() {
        for child in files.children(at) {
            entries += 1;
            if files.kind(child) == NodeKind::File {
                size = size.saturating_add(files.size(child));
            }
            open.push(child);
        }
    }
    (size, entries)
}
