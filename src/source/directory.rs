//! What a directory holds that was given instead of a file, as far as a few names in it tell.

use std::path::Path;

/// What a directory is that was given instead of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryLooks {
    /// An OCI image layout.
    OciLayout,
    /// A docker archive that was unpacked.
    DockerArchive,
    /// What skopeo writes with `dir:`.
    SkopeoDir,
    /// Where Docker keeps its images and containers.
    DockerRoot,
    /// Where containerd does.
    ContainerdRoot,
    /// Where podman, buildah and CRI-O do.
    ContainersStorage,
    /// A root file system.
    Tree,
    /// Something else.
    Other,
}

impl DirectoryLooks {
    /// Asks for names in `directory`; nothing is opened.
    pub(super) fn of(directory: &Path) -> Self {
        let has = |name: &str| directory.join(name).symlink_metadata().is_ok();
        let count = |names: &[&str]| names.iter().filter(|name| has(name)).count();
        let rootfs = [
            "bin", "dev", "etc", "lib", "proc", "root", "sbin", "sys", "usr", "var",
        ];
        if has("oci-layout") && has("index.json") {
            Self::OciLayout
        } else if has("manifest.json") && has("version") {
            Self::SkopeoDir
        } else if has("manifest.json") {
            Self::DockerArchive
        } else if has("io.containerd.content.v1.content") || has("io.containerd.metadata.v1.bolt") {
            Self::ContainerdRoot
        } else if has("overlay-images") || has("vfs-images") || has("storage.lock") {
            Self::ContainersStorage
        } else if has("image")
            && count(&["containers", "volumes", "overlay2", "engine-id", "buildkit"]) > 1
        {
            Self::DockerRoot
        } else if count(&rootfs) > 1 || has(".dockerenv") {
            Self::Tree
        } else if has("repositories") {
            Self::DockerArchive
        } else {
            Self::Other
        }
    }
}
