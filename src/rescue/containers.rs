//! Containers and volumes of an engine: what they are called and how large they are.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::documents::Documents;
use super::files::{FileNode, NodeKind, RootFiles};

/// A container that an engine had.
#[derive(Clone, Debug, Default)]
pub struct StoredContainer {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it was made of: an image ID, or in a containerd store the digest of a manifest or index.
    pub image: String,
    /// What the image was called when it was made.
    pub image_name: String,
    /// When it was made, RFC 3339.
    pub created: Option<String>,
    /// Whether it ran when the engine stopped, in the engine's words. After a crash that is still `running`.
    pub state: Option<String>,
    /// What it runs.
    pub command: Vec<String>,
    /// How many bytes the files have that it added or changed; `None` if its layer is not in the tar.
    pub size: Option<u64>,
    /// The volumes that it mounts.
    pub volumes: Vec<String>,
}

/// A volume that an engine had.
#[derive(Clone, Debug)]
pub struct StoredVolume {
    /// Its name.
    pub name: String,
    /// How many bytes its files have.
    pub size: u64,
    /// How many files, directories and others it has.
    pub entries: u64,
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
    config: Option<DockerRun>,
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
pub(crate) fn of_docker(
    documents: &Documents<'_>,
    docker: FileNode,
    faults: &mut Vec<String>,
) -> Vec<StoredContainer> {
    let files = documents.files;
    let Some(containers) = files.child(docker, b"containers") else {
        return Vec::new();
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
        let command = std::iter::once(container.path);
        let mounts = container.mount_points.unwrap_or_default().into_values();
        all.push(StoredContainer {
            size: docker_layer(documents, docker, &container.id).map(|at| sizes.of(files, at).0),
            name: container.name.trim_start_matches('/').to_owned(),
            image: container.image,
            image_name: container.config.unwrap_or_default().image,
            created: container.created,
            state: container.state.as_ref().map(DockerState::word),
            command: command.chain(container.args.unwrap_or_default()).collect(),
            volumes: mounts
                .map(|mount| mount.name)
                .filter(|name| !name.is_empty())
                .collect(),
            id: container.id,
        });
    }
    all
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

/// Where the files of a container are that it added or changed (Docker's own store).
fn docker_layer(documents: &Documents<'_>, docker: FileNode, id: &str) -> Option<FileNode> {
    let files = documents.files;
    // The other drivers keep whole trees.
    ["overlay2", "fuse-overlayfs", "aufs"]
        .iter()
        .find_map(|driver| {
            let mounts = files.below(docker, &format!("image/{driver}/layerdb/mounts"))?;
            let mount = files.child(mounts, id.as_bytes())?;
            let mount_id = documents.value_in(mount, "mount-id")?;
            super::docker::directory(documents, docker, driver, &mount_id).ok()
        })
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
    let of = |container: StorageContainer| {
        let layer = files.child(storage, driver.as_bytes());
        let layer = layer.and_then(|layers| files.child(layers, container.layer.as_bytes()));
        let layer = layer.and_then(|layer| files.child(layer, b"diff"));
        let noted = serde_json::from_str::<StorageMetadata>(&container.metadata);
        StoredContainer {
            size: layer.map(|layer| sizes.of(files, layer).0),
            name: container.names.unwrap_or_default().join(", "),
            image: container.image,
            image_name: noted.unwrap_or_default().image_name,
            created: container.created,
            id: container.id,
            ..StoredContainer::default()
        }
    };
    read.into_iter().map(of).collect()
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
