//! Where the data roots of a tar are, and of which engine: by the shape of paths, whatever stands before them.

use super::files::{FileNode, NodeKind, RootFiles};

/// What was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundRoot {
    /// The directory of the engine.
    pub(crate) at: FileNode,
    pub(crate) what: Recognised,
}

/// What a directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recognised {
    /// Docker 1.10 and later: a store of its own for each storage driver, named here.
    Docker { drivers: Vec<String> },
    /// Docker, but its images are elsewhere: containers alone, of the containerd store.
    DockerWithoutImages,
    /// containerd; Docker's own if `of_docker`.
    Containerd { of_docker: Option<FileNode> },
    /// podman, buildah, CRI-O, with these drivers.
    Containers { drivers: Vec<String> },
    /// Docker before 1.10, with these drivers.
    Graph { drivers: Vec<String> },
    /// Files of layers, and nothing that says which image they belong to.
    FilesAlone { driver: String },
    /// Directories of an engine with nothing in them, as they are packed by a user who may not read them.
    Empty { engine: &'static str },
}

/// Directories of storage drivers: what lies in them are root file systems, in which nothing is looked for.
const DRIVERS: [&[u8]; 9] = [
    b"overlay2",
    b"overlay",
    b"vfs",
    b"aufs",
    b"btrfs",
    b"zfs",
    b"fuse-overlayfs",
    b"devicemapper",
    b"windowsfilter",
];

/// Looks for data roots, in the order of their paths.
pub(crate) fn find(files: &RootFiles) -> Vec<FoundRoot> {
    let mut found = Vec::new();
    // A stack, since directories may be nested as deep as a header is long.
    let mut open = vec![FileNode::ROOT];
    while let Some(at) = open.pop() {
        if !files.is_directory(at) {
            continue;
        }
        if let Some(what) = recognised(files, at) {
            open.extend(inside(files, at, &what));
            found.push(FoundRoot { at, what });
        } else {
            let children = files.children(at);
            open.extend(children.into_iter().rev().filter(|child| {
                !(DRIVERS.contains(&files.name(*child)) && has_ids(files, *child))
            }));
        }
    }
    for at in 0..found.len() {
        if let Recognised::Containerd { .. } = found[at].what {
            let docker = docker_of(files, &found, found[at].at);
            found[at].what = Recognised::Containerd { of_docker: docker };
        }
    }
    found
}

/// The Docker whose containerd has its data here: it keeps it in `containerd/daemon`.
fn docker_of(files: &RootFiles, found: &[FoundRoot], containerd: FileNode) -> Option<FileNode> {
    let above = files.parent(containerd);
    let is_docker = files.name(containerd) == b"daemon" && files.name(above) == b"containerd";
    let docker = files.parent(above);
    let is_known = found.iter().any(|root| {
        root.at == docker
            && matches!(
                root.what,
                Recognised::Docker { .. } | Recognised::DockerWithoutImages
            )
    });
    (is_docker && is_known).then_some(docker)
}

fn recognised(files: &RootFiles, at: FileNode) -> Option<Recognised> {
    let has = |path: &str| files.below(at, path).is_some();
    let drivers = docker_drivers(files, at);
    if !drivers.is_empty() {
        return Some(Recognised::Docker { drivers });
    }
    if has("io.containerd.metadata.v1.bolt") || has("io.containerd.content.v1.content") {
        return Some(Recognised::Containerd { of_docker: None });
    }
    let drivers: Vec<String> = ["overlay", "vfs", "btrfs", "zfs", "aufs", "devicemapper"]
        .into_iter()
        .filter(|driver| {
            has(&format!("{driver}-images/images.json"))
                || has(&format!("{driver}-layers/layers.json"))
        })
        .map(str::to_owned)
        .collect();
    if !drivers.is_empty() {
        return Some(Recognised::Containers { drivers });
    }
    let drivers = graph_drivers(files, at);
    if !drivers.is_empty() {
        return Some(Recognised::Graph { drivers });
    }
    if let Some(containers) = files.below(at, "containers")
        && files.children(containers).iter().any(|container| {
            is_id(files.name(*container)) && files.child(*container, b"config.v2.json").is_some()
        })
    {
        return Some(Recognised::DockerWithoutImages);
    }
    let alone = DRIVERS.iter().find(|driver| {
        let directory = files.child(at, driver);
        directory.is_some_and(|directory| has_ids(files, directory))
    });
    if let Some(driver) = alone {
        return Some(Recognised::FilesAlone {
            driver: String::from_utf8_lossy(driver).into_owned(),
        });
    }
    if has("io.containerd.snapshotter.v1.overlayfs/snapshots") {
        return Some(Recognised::FilesAlone {
            driver: "containerd's overlayfs".to_owned(),
        });
    }
    let is_empty = |name: &&str| {
        let directory = files.child(at, name.as_bytes());
        directory.is_some_and(|at| files.is_directory(at) && files.children(at).is_empty())
    };
    let count = |names: &[&str]| names.iter().filter(|name| is_empty(name)).count();
    if count(&["image", "containers", "overlay2", "volumes", "buildkit"]) >= 3 {
        return Some(Recognised::Empty { engine: "Docker" });
    }
    if count(&[
        "overlay-images",
        "overlay-layers",
        "vfs-images",
        "vfs-layers",
    ]) >= 2
    {
        return Some(Recognised::Empty { engine: "podman" });
    }
    None
}

/// Whether a driver shows the whole of a root file system somewhere, which it does while a container runs.
pub(crate) fn is_mounted(files: &RootFiles, at: FileNode) -> bool {
    let has_files = |node: Option<FileNode>| node.is_some_and(|at| !files.children(at).is_empty());
    let of = |path: &str| {
        let found = files.below(at, path);
        found.map(|found| files.children(found)).unwrap_or_default()
    };
    let merged = ["overlay2", "overlay", "fuse-overlayfs"]
        .iter()
        .any(|driver| {
            let layers = of(driver).into_iter();
            layers
                .into_iter()
                .any(|layer| has_files(files.child(layer, b"merged")))
        });
    merged
        || ["rootfs/overlayfs", "aufs/mnt"]
            .iter()
            .any(|path| of(path).into_iter().any(|mounted| has_files(Some(mounted))))
}

/// The storage drivers for which a Docker has a store here.
fn docker_drivers(files: &RootFiles, at: FileNode) -> Vec<String> {
    let Some(image) = files.child(at, b"image") else {
        return Vec::new();
    };
    let stores = files.children(image).into_iter().filter(|store| {
        let has = |path: &str| files.below(*store, path).is_some();
        has("repositories.json") || has("imagedb/content/sha256") || has("layerdb/sha256")
    });
    let names = stores.filter_map(|store| std::str::from_utf8(files.name(store)).ok());
    names.map(str::to_owned).collect()
}

/// The storage drivers for which a Docker before 1.10 has images here: those that it has names for, else those that
/// have files.
fn graph_drivers(files: &RootFiles, at: FileNode) -> Vec<String> {
    let graph = files.child(at, b"graph").map(|graph| files.children(graph));
    let is_graph = graph
        .unwrap_or_default()
        .iter()
        .any(|image| is_id(files.name(*image)) && files.child(*image, b"json").is_some());
    let names = files.children(at).into_iter().filter_map(|file| {
        let driver = files.name(file).strip_prefix(b"repositories-")?;
        let is_known = DRIVERS.contains(&driver) && !files.is_directory(file);
        is_known.then(|| String::from_utf8_lossy(driver).into_owned())
    });
    let with_names: Vec<String> = names.collect();
    if !is_graph || !with_names.is_empty() {
        return with_names;
    }
    let has_files = |driver: &&&[u8]| {
        let directory = files.child(at, driver);
        directory.is_some_and(|directory| has_ids(files, directory))
    };
    let found = DRIVERS.iter().filter(has_files);
    let found: Vec<String> = found
        .map(|driver| String::from_utf8_lossy(driver).into_owned())
        .collect();
    if found.is_empty() {
        return vec!["aufs".to_owned()];
    }
    found
}

/// Where further roots may be inside one: the volumes, and Docker's own containerd.
fn inside(files: &RootFiles, at: FileNode, what: &Recognised) -> Vec<FileNode> {
    let mut places = Vec::new();
    if let Some(volumes) = files.child(at, b"volumes") {
        let volumes = files.children(volumes).into_iter().rev();
        places.extend(volumes.filter_map(|volume| files.child(volume, b"_data")));
    }
    if let Recognised::Docker { .. } | Recognised::DockerWithoutImages = what {
        places.extend(files.below(at, "containerd/daemon"));
    }
    places
}

/// Whether directories are named by IDs here, as layers are: those of `vfs` and others lie one deeper.
fn has_ids(files: &RootFiles, directory: FileNode) -> bool {
    let below = |directory: FileNode| {
        let mut children = files.children(directory).into_iter();
        children.any(|child| is_id(files.name(child)) && files.is_directory(child))
    };
    let deeper = [
        &b"dir"[..],
        b"diff",
        b"subvolumes",
        b"graph",
        b"devicemapper",
    ];
    below(directory)
        || deeper
            .iter()
            .filter_map(|name| files.child(directory, name))
            .any(|directory| below(directory) || files.child(directory, b"metadata").is_some())
}

/// Whether a name is an ID of 64 digits, possibly of a container's first layer.
pub(crate) fn is_id(name: &[u8]) -> bool {
    let id = name.strip_suffix(b"-init").unwrap_or(name);
    id.len() == 64 && id.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a tar holds nothing but one symbolic link, as of a data root that is one.
pub(crate) fn lone_link(files: &RootFiles) -> Option<FileNode> {
    let mut at = FileNode::ROOT;
    loop {
        let children = files.children(at);
        let [only] = children[..] else { return None };
        match files.kind(only) {
            NodeKind::Symlink => return Some(only),
            NodeKind::Directory | NodeKind::Implied => at = only,
            _ => return None,
        }
    }
}

/// Whether a tar holds directories in each other and nothing else.
pub(crate) fn is_bare(files: &RootFiles) -> bool {
    let mut at = FileNode::ROOT;
    loop {
        match files.children(at)[..] {
            [] => return files.is_directory(at),
            [only] => at = only,
            _ => return false,
        }
    }
}
