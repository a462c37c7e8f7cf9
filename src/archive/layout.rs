//! Which of the known layouts an archive has.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::{Contents, MemberKind, MemberName};

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
    pub fn gather(archive: &Contents) -> Self {
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
fn v1_roots(archive: &Contents) -> Vec<V1Root> {
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
