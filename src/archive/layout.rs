//! Which of the known layouts an archive has, and what it is if it has none.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use bstr::ByteSlice;
use serde::Serialize;

use super::{Archive, MemberKind, MemberName};

/// The layouts of image archives. `docs/formats.md` shows each with its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Layout {
    /// `manifest.json` alone: Docker 1.10 to 24, and what skopeo, podman, crane, jib, kaniko and
    /// bazel write as a docker archive.
    Docker,
    /// `manifest.json` beside `index.json`: Docker 25 and later.
    DockerOci,
    /// `index.json`: an OCI image layout.
    Oci,
    /// Directories with `json` and `layer.tar`: Docker before 1.10.
    DockerV1,
}

impl Layout {
    /// The layout's name for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Docker => "docker archive (manifest.json)",
            Self::DockerOci => "docker archive with OCI layout (Docker 25 and later)",
            Self::Oci => "OCI image layout",
            Self::DockerV1 => "docker archive from before 1.10 (repositories)",
        }
    }
}

/// Which descriptions of images the members suggest. Nothing is read, only names are looked at.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// `manifest.json` is a file, or a link to something.
    pub manifest_json: bool,
    /// `index.json` is.
    pub index_json: bool,
    /// `oci-layout` is.
    pub oci_layout: bool,
    /// Directories that hold v1 images.
    pub v1: Vec<V1Root>,
}

/// A directory with images from before Docker 1.10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Root {
    /// The directory that holds `repositories` and one directory an image; usually the root. Old
    /// archives that were unpacked and packed again have it deeper, and several of them.
    pub directory: MemberName,
    /// The directories of the images, by name.
    pub images: Vec<MemberName>,
}

impl Evidence {
    /// Looks at the names in `archive`.
    pub fn gather(archive: &Archive) -> Self {
        let present = |name: &[u8]| {
            archive
                .member(&MemberName::new(name))
                .is_some_and(|m| m.kind != MemberKind::Directory)
        };
        let manifest_json = present(b"manifest.json");
        let index_json = present(b"index.json");
        let oci_layout = present(b"oci-layout");
        // Docker 1.10 to 24 writes the v1 files too; they count only where nothing newer does.
        let v1 = if manifest_json || index_json || oci_layout {
            Vec::new()
        } else {
            v1_roots(archive)
        };
        Self {
            manifest_json,
            index_json,
            oci_layout,
            v1,
        }
    }
}

/// Finds directories that hold both `json` and `layer.tar`.
fn v1_roots(archive: &Archive) -> Vec<V1Root> {
    let mut roots: BTreeMap<MemberName, Vec<MemberName>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for member in archive.members() {
        if member.name.base() != b"json" {
            continue;
        }
        let directory = member.name.parent();
        if archive.member(&directory.join(b"layer.tar")).is_some() && seen.insert(directory.clone())
        {
            roots.entry(directory.parent()).or_default().push(directory);
        }
    }
    roots
        .into_iter()
        .map(|(directory, mut images)| {
            images.sort();
            V1Root { directory, images }
        })
        .collect()
}

/// What a tar that holds no image looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looks {
    /// It has no members.
    Nothing,
    /// Its members are those of a root file system: what `docker export` writes.
    Rootfs,
    /// It holds whiteouts: one layer, taken out of an archive.
    Layer,
    /// An image archive, packed together with the directory it lay in.
    Wrapped {
        /// The directory.
        directory: String,
    },
    /// An OCI image layout whose `index.json` is missing.
    OciWithoutIndex,
    /// Blobs without any description of an image.
    BlobsAlone,
    /// Something else.
    Other {
        /// The name of its first member.
        first: String,
    },
}

impl Looks {
    /// Looks at the names in `archive`.
    pub fn of(archive: &Archive) -> Self {
        let members = archive.members();
        let Some(first) = members.iter().find(|m| !m.name.as_bytes().is_empty()) else {
            return Self::Nothing;
        };
        if archive.member(&MemberName::new(b"oci-layout")).is_some() {
            return Self::OciWithoutIndex;
        }
        if members
            .iter()
            .any(|m| m.name.as_bytes().starts_with(b"blobs/sha256/"))
        {
            return Self::BlobsAlone;
        }
        if let Some(directory) = wrapped(archive) {
            return Self::Wrapped { directory };
        }
        if members.iter().any(|m| m.name.base().starts_with(b".wh.")) {
            return Self::Layer;
        }
        if is_rootfs(archive) {
            return Self::Rootfs;
        }
        Self::Other {
            first: first.name.to_lossy(),
        }
    }
}

/// A directory at the root that holds what should stand at the root.
fn wrapped(archive: &Archive) -> Option<String> {
    archive.members().iter().find_map(|member| {
        let directory = member.name.parent();
        let telling = matches!(
            member.name.base(),
            b"manifest.json" | b"oci-layout" | b"index.json"
        );
        let one_deep = !directory.as_bytes().is_empty() && !directory.as_bytes().contains(&b'/');
        let file = matches!(member.kind, MemberKind::File(_));
        let inside = |name: &[u8]| archive.member(&directory.join(name)).is_some();
        let image = inside(b"manifest.json") || (inside(b"oci-layout") && inside(b"index.json"));
        (telling && one_deep && file && image).then(|| directory.to_lossy())
    })
}

/// Directories that a root file system has and an image archive has not.
fn is_rootfs(archive: &Archive) -> bool {
    const TELLING: [&[u8]; 12] = [
        b"bin", b"dev", b"etc", b"home", b"lib", b"proc", b"root", b"run", b"sbin", b"sys", b"usr",
        b"var",
    ];
    const WINDOWS: [&[u8]; 2] = [b"Files", b"Hives"];
    let tops: HashSet<&[u8]> = archive
        .members()
        .iter()
        .map(|m| m.name.as_bytes().split_str("/").next().unwrap_or_default())
        .collect();
    let telling = TELLING.iter().filter(|top| tops.contains(**top)).count();
    telling >= 2
        || tops.contains(&b".dockerenv"[..])
        || WINDOWS.iter().all(|top| tops.contains(*top))
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("it is a tar without members"),
            Self::Rootfs => {
                f.write_str("it looks like a root file system, as `docker export` writes it")
            }
            Self::Layer => f.write_str("it looks like a single layer: it holds whiteouts"),
            Self::Wrapped { directory } => {
                write!(
                    f,
                    "the image archive lies one directory too deep, in `{directory}/`"
                )
            }
            Self::OciWithoutIndex => f.write_str("it is an OCI image layout without index.json"),
            Self::BlobsAlone => f.write_str(
                "it holds blobs, but neither manifest.json nor index.json describes them",
            ),
            Self::Other { first } => write!(
                f,
                "it has none of manifest.json, index.json, repositories or v1 image directories (its first member is `{first}`)"
            ),
        }
    }
}
