//! Media types of manifests, configs and layers.

use std::fmt;
use std::str::FromStr;

/// An OCI image index.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image manifest.
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image config.
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer tar, as it is and compressed.
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Docker's image manifest, schema 2.
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's image config.
pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A layer tar in Docker's words, as it is and compressed.
pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub(crate) const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What a blob is, as its descriptor says. Claims do not count where bytes can be looked at:
/// whether a layer is compressed is decided by its first bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// An OCI image index.
    OciIndex,
    /// Docker's manifest list.
    DockerList,
    /// An OCI image manifest.
    OciManifest,
    /// Docker's image manifest, schema 2.
    DockerManifest,
    /// An OCI image config.
    OciConfig,
    /// Docker's image config.
    DockerConfig,
    /// A layer tar of any compression, distributable or not, by its whole name.
    Layer(String),
    /// Anything else, as written.
    Other(String),
}

impl MediaType {
    /// Whether it lists manifests.
    pub fn is_index(&self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }

    /// Whether it describes one image or artifact.
    pub fn is_manifest(&self) -> bool {
        matches!(self, Self::OciManifest | Self::DockerManifest)
    }

    /// Whether it is an image config.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::OciConfig | Self::DockerConfig)
    }

    /// Whether it is a layer tar.
    pub fn is_layer(&self) -> bool {
        matches!(self, Self::Layer(_))
    }

    /// Whether it is a layer that registries do not give away: Docker's foreign layers, and what OCI calls
    /// nondistributable. Engines fetch such a layer from where its descriptor says.
    pub fn is_foreign_layer(&self) -> bool {
        let foreign =
            |name: &str| name.contains(".foreign.") || name.contains(".nondistributable.");
        matches!(self, Self::Layer(name) if foreign(name))
    }

    /// Whether it is the specification's type of a layer that is not compressed.
    pub(crate) fn is_plain_oci_layer(&self) -> bool {
        matches!(
            self.as_str(),
            "application/vnd.oci.image.layer.v1.tar"
                | "application/vnd.oci.image.layer.nondistributable.v1.tar"
        )
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::OciIndex => OCI_INDEX,
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::OciManifest => OCI_MANIFEST,
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            Self::OciConfig => OCI_CONFIG,
            Self::DockerConfig => "application/vnd.docker.container.image.v1+json",
            Self::Layer(name) | Self::Other(name) => name,
        }
    }
}

impl FromStr for MediaType {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        for known in [
            Self::OciIndex,
            Self::DockerList,
            Self::OciManifest,
            Self::DockerManifest,
            Self::OciConfig,
            Self::DockerConfig,
        ] {
            if text == known.as_str() {
                return Ok(known);
            }
        }
        // Suffixes vary (`+gzip`, `+zstd`, `.tar.gzip`, nondistributable, foreign, encrypted), the
        // beginnings do not.
        let layer = [
            "application/vnd.oci.image.layer.",
            "application/vnd.docker.image.rootfs.",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix));
        Ok(if layer {
            Self::Layer(text.to_owned())
        } else {
            Self::Other(text.to_owned())
        })
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
