//! Images from the data directory of an engine that no longer runs, read from a tar of that directory.
//!
//! A data root is a source of images like an archive. [`DataRoots::walk`] goes over the headers of the tar once and
//! recognises what it holds, whatever directories come first in the names; an [`EngineStore`] has the images of one
//! engine as an [`ImageSet`](crate::image::ImageSet), and [`EngineStore::assemble`] gives them as an
//! [`Archive`](crate::archive::Archive) that is not stored anywhere: its members are stretches of the tar, with
//! headers from tar-split between them. So everything that reads archives can read data roots, and layers are
//! verified against their diff IDs like those of any archive.
//!
//! Threats, and what is done about them (a data root may come from anywhere):
//!
//! - *Names and numbers in one root that point elsewhere*: everything is looked up in the table of names, below the
//!   root that refers to it; a cache ID or layer ID is the name of one directory and nothing else.
//! - *Links that do not end*: 40 on one path, as in Linux.
//! - *Bombs*: entries and their names are counted before they are held ([`Limit::Members`](crate::Limit::Members),
//!   [`Limit::MemberNames`](crate::Limit::MemberNames)), and so are documents; decoded bytes count like those of an
//!   archive; all layers together may be as long as the tar may expand to.
//! - *Files that are not those of the layer*: lengths are compared first, and then the digest of the whole layer with
//!   the diff ID.
//!
//! Long: the errors of all of it, and the public type that its parts serve.

mod bolt;
mod chain;
mod classic;
mod container_image;
mod containerd;
mod containers;
mod docker;
mod documents;
mod files;
mod graph;
mod layer;
mod look;
mod made_layer;
mod proof;
mod roots;
mod rope_archive;
mod runtime_spec;
mod snapshots;
mod storage;
mod store;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

pub use container_image::{ContainerShape, RemadeImage, RemadeLayer, VolumeTar};
pub use containers::{StoredContainer, StoredVolume};
use documents::Documents;
use files::{FileNode, RootFiles};
pub use layer::{LostFile, LostFiles};
pub use made_layer::UnmadeLayer;
use roots::{FoundRoot, Recognised};
use store::Kept;
pub use store::{EngineStore, LayerState, RescuedArchive, StoreEngine, StoredLayer};

use crate::archive::{ArchiveError, require_tar};
use crate::base::limits::Exceeded;
use crate::base::options::Options;
use crate::image::LoadError;
use crate::source::{Compression, Input, SourceError};
use crate::tar::TarError;

/// Why nothing can be rescued.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// It is not a tar.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The headers cannot be read.
    #[error("cannot read {path}")]
    Walk {
        /// The file.
        path: String,
        /// What failed, and where.
        source: TarError,
    },
    /// It holds more than a limit allows.
    #[error("{path} holds more files, or longer names, than a limit allows")]
    TooMany {
        /// The file.
        path: String,
        /// The limit.
        #[source]
        exceeded: Exceeded,
    },
    /// Its layers together have more bytes than a limit allows.
    #[error("the layers in {path} together have more bytes than a limit allows")]
    TooMuch {
        /// The file.
        path: String,
        /// The limit.
        #[source]
        exceeded: Exceeded,
    },
    /// It is a tar in which there is no data root.
    #[error("{path} is not a tar of an engine's data directory: {why}")]
    NoRoot {
        /// The file.
        path: String,
        /// What it is instead.
        why: NoRoot,
    },
    /// The images of a store cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A layer cannot be made of files.
    #[error("{what} does not come back")]
    Unmade {
        /// What it belongs to: a container, a volume.
        what: String,
        /// Why not.
        #[source]
        why: UnmadeLayer,
    },
    /// The temporary file for what is between the files of layers cannot be written or read.
    #[error("cannot keep the tar headers of layers in {}", std::env::temp_dir().display())]
    Spool(#[source] io::Error),
}

/// What a tar is if it is not the tar of a data root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoot {
    /// An image archive.
    #[error("it is an image archive")]
    Archive,
    /// A symbolic link: the data root was a link when it was packed.
    #[error("it holds a symbolic link to {0} and nothing else")]
    Link(String),
    /// One directory, and nothing in it.
    #[error(
        "it holds only an empty directory, as if the user who packed it could not read the files"
    )]
    Empty,
    /// Something else.
    #[error("it has none of the files and directories of an engine")]
    Nothing,
}

/// What a tar of one or more data roots holds.
#[derive(Debug)]
pub struct DataRoots {
    input: Input,
    files: Arc<RootFiles>,
    has_xattrs: bool,
    stores: Vec<EngineStore>,
    containers: Vec<StoredContainer>,
    volumes: Vec<StoredVolume>,
    remarks: Vec<String>,
}

impl DataRoots {
    /// Walks over the headers of a tar, recognises the data roots in it and finds out which of their layers can come
    /// back. No file of a layer is read.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if it cannot be read, is not a tar, holds no data root, or holds more than a limit allows.
    /// What is damaged or missing in a data root is not an error.
    pub fn walk(input: Input, options: &Options<'_>) -> Result<Self, RescueError> {
        require_tar(&input)?;
        let files = Arc::new(RootFiles::walk(input.source())?);
        let mut remarks = Vec::new();
        if let Some(fault) = files.fault() {
            remarks.push(format!(
                "the tar is cut or damaged at byte {}: what follows is lost",
                fault.offset
            ));
        }
        if let Some(at) = files.cut() {
            remarks.push(format!(
                "the tar ends at byte {at} without an end-of-archive marker: it was cut, and what followed is lost"
            ));
        }
        let found = roots::find(&files);
        if found.is_empty() {
            let path = input.source().label();
            let why = no_root(&files);
            return Err(RescueError::NoRoot { path, why });
        }
        let mut stores = Vec::new();
        for root in &found {
            if roots::is_mounted(&files, root.at) {
                remarks.push(format!(
                    "{} was packed while containers were running: hashing the layers finds files that changed meanwhile, and mounted file systems are ignored",
                    shown(&files.path(root.at))
                ));
            }
            stores.extend(stores_of(&files, root)?);
            remarks.extend(without_store(&files, root, &found));
        }
        for store in &mut stores {
            store.describe(options)?;
        }
        let documents = Documents::new(&files);
        let (mut containers, mut volumes) = (Vec::new(), Vec::new());
        for root in &found {
            match &root.what {
                Recognised::Docker { .. } | Recognised::DockerWithoutImages => {
                    containers.extend(containers::of_docker(
                        &documents,
                        root.at,
                        &found,
                        &mut remarks,
                    )?);
                }
                Recognised::Containers { drivers } => {
                    for driver in drivers {
                        let more =
                            containers::of_storage(&documents, root.at, driver, &mut remarks);
                        containers.extend(more);
                    }
                }
                _ => continue,
            }
            volumes.extend(containers::volumes(&files, root.at));
        }
        let mut roots = Self {
            has_xattrs: files.has_xattrs(),
            files,
            input,
            stores,
            containers,
            volumes,
            remarks,
        };
        roots.note_missing_images();
        Ok(roots)
    }

    /// The path of the tar as it was given, `-` for standard input.
    pub fn path(&self) -> &str {
        self.input.source().path()
    }

    /// The compression around the tar.
    pub fn compression(&self) -> Compression {
        self.input.compression()
    }

    /// The size of the file as it was given, in bytes.
    pub fn stored_size(&self) -> u64 {
        self.input.stored_size()
    }

    /// Whether any file in the tar has extended attributes. Layers come back without them, since tar-split has
    /// theirs.
    pub fn has_xattrs(&self) -> bool {
        self.has_xattrs
    }

    /// The stores, in the order of their paths.
    pub fn stores(&self) -> &[EngineStore] {
        &self.stores
    }

    /// The containers of all data roots.
    pub fn containers(&self) -> &[StoredContainer] {
        &self.containers
    }

    /// The volumes of all data roots.
    pub fn volumes(&self) -> &[StoredVolume] {
        &self.volumes
    }

    /// What people should know about the tar as a whole.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Those of some images of each store, given as positions, that come back byte for byte if none of their files was
    /// changed: their layers are to be verified while they are written, after which [`verified`](Self::verified) notes
    /// it. Docker before 1.10 has no diff IDs to verify a layer against, so the files of its images are verified here.
    ///
    /// # Errors
    ///
    /// As [`prove`](Self::prove).
    pub fn expected(
        &mut self,
        wanted: &[Vec<usize>],
        options: &Options<'_>,
    ) -> Result<Vec<Vec<usize>>, RescueError> {
        let mut expected = Vec::with_capacity(wanted.len());
        for (store, wanted) in self.stores.iter_mut().zip(wanted) {
            expected.push(store.expected(wanted, options)?);
        }
        Ok(expected)
    }

    /// Notes that the layers of some images of each store, given as positions, are those of their diff IDs. Nothing
    /// is verified here: whoever says so has written them with
    /// [`ArchiveOptions::verify`](crate::output::ArchiveOptions::verify).
    pub fn verified(&mut self, images: &[Vec<usize>]) {
        for (store, images) in self.stores.iter_mut().zip(images) {
            store.verified(images);
        }
    }

    /// Hashes the layers of some images of each store, given as positions, and notes the result. Returns those that
    /// come back byte for byte.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if the system fails, or if the layers are more than a limit allows.
    pub fn prove(
        &mut self,
        wanted: &[Vec<usize>],
        options: &Options<'_>,
    ) -> Result<Vec<Vec<usize>>, RescueError> {
        let mut proven = Vec::with_capacity(wanted.len());
        for (store, wanted) in self.stores.iter_mut().zip(wanted) {
            proven.push(store.prove(wanted, options)?);
        }
        Ok(proven)
    }
}

/// What a tar is in which no data root was recognised.
fn no_root(files: &RootFiles) -> NoRoot {
    let has = |name: &str| files.below(FileNode::ROOT, name).is_some();
    if has("manifest.json") || has("index.json") || has("oci-layout") {
        return NoRoot::Archive;
    }
    match roots::lone_link(files) {
        Some(link) => NoRoot::Link(String::from_utf8_lossy(files.link(link)).into_owned()),
        None if roots::is_bare(files) => NoRoot::Empty,
        None => NoRoot::Nothing,
    }
}

/// The stores of one data root.
fn stores_of(files: &Arc<RootFiles>, root: &FoundRoot) -> Result<Vec<EngineStore>, RescueError> {
    let documents = Documents::new(files);
    let mut stores = Vec::new();
    let mut add = |engine, driver: &str, kept, faults: &mut Vec<String>| {
        let faults = std::mem::take(faults);
        let whose = (engine, driver);
        stores.push(EngineStore::new(files, root.at, whose, kept, faults));
    };
    let mut faults = Vec::new();
    match &root.what {
        Recognised::Docker { drivers } => {
            for driver in drivers {
                let kept = Kept::Classic(docker::read(&documents, root.at, driver, &mut faults));
                add(StoreEngine::Docker, driver, kept, &mut faults);
            }
        }
        Recognised::Graph { drivers } => {
            for driver in drivers {
                let whose = (driver.as_str(), drivers.len() == 1);
                let kept = Kept::Graph(graph::read(&documents, root.at, whose, &mut faults));
                add(StoreEngine::DockerGraph, driver, kept, &mut faults);
            }
        }
        Recognised::Containers { drivers } => {
            for driver in drivers {
                let kept = Kept::Classic(storage::read(&documents, root.at, driver, &mut faults));
                add(StoreEngine::Containers, driver, kept, &mut faults);
            }
        }
        Recognised::Containerd { of_docker } => {
            let engine = match of_docker {
                // Docker starts its own containerd even where it keeps no images there.
                Some(_) if !containerd::has_blobs(files, root.at) => return Ok(stores),
                Some(_) => StoreEngine::DockerContainerd,
                None => StoreEngine::Containerd,
            };
            for content in containerd::read(files, root.at, &mut faults)? {
                let namespace = content.namespace.clone();
                let hashed = HashMap::new();
                let kept = Kept::Content { content, hashed };
                add(engine, &namespace, kept, &mut faults);
            }
        }
        Recognised::DockerWithoutImages
        | Recognised::FilesAlone { .. }
        | Recognised::Empty { .. } => {}
    }
    Ok(stores)
}

/// What to say about a data root that has no store.
fn without_store(files: &RootFiles, root: &FoundRoot, all: &[FoundRoot]) -> Option<String> {
    let path = shown(&files.path(root.at));
    match &root.what {
        Recognised::DockerWithoutImages => {
            let has_own = all.iter().any(|other| {
                let of_docker = Some(root.at);
                other.what == Recognised::Containerd { of_docker }
                    && containerd::has_blobs(files, other.at)
            });
            (!has_own).then(|| {
                format!(
                    "{path} is the data directory of a Docker that keeps its images in the containerd of the system: pack /var/lib/containerd too"
                )
            })
        }
        Recognised::FilesAlone { driver } => Some(format!(
            "{path} has the files of {driver} layers, but nothing that says which images they belong to: pack the whole data directory, not only these files"
        )),
        Recognised::Empty { engine } => Some(format!(
            "{path} has the directories of {engine}, but they are empty: the user who packed them could not read them; pack them again as root"
        )),
        Recognised::Docker { .. }
        | Recognised::Graph { .. }
        | Recognised::Containers { .. }
        | Recognised::Containerd { .. } => None,
    }
}

/// A path in the tar, for people.
fn shown(path: &[u8]) -> String {
    if path.is_empty() {
        return "the tar".to_owned();
    }
    crate::base::escape::name(path).to_string()
}
