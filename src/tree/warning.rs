//! What engines disagree about.

/// Why engines would show something else. The sentences say who and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WarningKind {
    /// A layer has one path twice.
    DuplicatePath,
    /// A path that leaves the root.
    LeftRoot,
    /// An entry below a symbolic link.
    BelowSymlink,
    /// A whiteout below a symbolic link.
    WhiteoutBelowSymlink,
    /// A whiteout in a directory that neither the lower layers nor its own have.
    WhiteoutInMissing,
    /// A whiteout below something that is not a directory.
    WhiteoutBelowFile,
    /// A path whited out and made again as a directory in one layer.
    WhiteoutAndDirectory,
    /// A whiteout of something that the same layer adds.
    WhiteoutAndAdded,
    /// An opaque marker in the root.
    OpaqueRoot,
    /// An entry for the root that is not a directory.
    RootNotDirectory,
    /// A directory of a lower layer that an upper one uses without an entry for it.
    ImpliedParent,
    /// A hard link to a file of a lower layer.
    LinkToLower,
    /// A hard link header without the extended attributes of its target.
    LinkWithoutXattrs,
    /// A character device 0:0.
    OverlayWhiteoutDevice,
    /// An attribute that acts on overlay file systems.
    OverlayXattr,
    /// A contiguous file, type 7.
    ContiguousFile,
    /// A sparse file in the old GNU format.
    OldSparse,
    /// A time before 1970 or after 2262.
    TimeOutOfRange,
}

impl WarningKind {
    /// What engines do, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::DuplicatePath => {
                "is in the layer twice; the last one counts: Docker with a graph driver and podman refuse it, crane takes the first"
            }
            Self::LeftRoot => {
                "leaves the root and was brought back into it, as engines do; crane refuses it"
            }
            Self::BelowSymlink => {
                "is below a symbolic link and goes where it points: Docker and containerd with overlay replace the link by a directory"
            }
            Self::WhiteoutBelowSymlink => {
                "is a whiteout below a symbolic link and deletes where it points: Docker and containerd with overlay replace the link by a directory and delete nothing"
            }
            Self::WhiteoutInMissing => {
                "is a whiteout in a directory that is not there, and hides nothing: Docker, containerd and podman make the directory"
            }
            Self::WhiteoutBelowFile => {
                "is a whiteout below something that is not a directory, and hides nothing: Docker, containerd and podman with overlay put a directory in its place or refuse the layer, podman with vfs refuses it"
            }
            Self::WhiteoutAndDirectory => {
                "is whited out and made again as a directory: Docker and containerd with overlay show the old content again"
            }
            Self::WhiteoutAndAdded => {
                "is whited out and added in one layer, what was added stays: Docker and containerd with overlay may refuse it, vfs and podman delete the new one if the whiteout comes last"
            }
            Self::OpaqueRoot => {
                "makes the root opaque: Docker and containerd with overlay ignore that and keep all lower files"
            }
            Self::RootNotDirectory => {
                "is for the root and not a directory, and was passed over: Docker, containerd and podman with overlay pass over it too, unless it is written `/`, which Docker 26.1 and podman refuse; podman with vfs refuses it"
            }
            Self::ImpliedParent => {
                "is in a directory that the layer has no entry for, which keeps its attributes: Docker with overlay2 shows it 0755 root, containerd and podman with a new time"
            }
            Self::LinkToLower => {
                "is a hard link to a file of a lower layer: Docker and containerd with overlay refuse it"
            }
            Self::LinkWithoutXattrs => {
                "is a hard link whose header lacks the extended attributes of the file, which keeps them: Docker and containerd lose the capability"
            }
            Self::OverlayWhiteoutDevice => {
                "is a character device 0:0: Docker and containerd with overlay take it for a whiteout"
            }
            Self::OverlayXattr => {
                "has an attribute trusted.overlay.*, which was dropped: Docker with overlay2 acts on it"
            }
            Self::ContiguousFile => {
                "is a contiguous file (type 7) and was read as a file: every engine refuses it"
            }
            Self::OldSparse => {
                "is a sparse file in the old GNU format and was expanded: every engine refuses it"
            }
            Self::TimeOutOfRange => {
                "has a time before 1970 or after 2262, which is kept: Docker, containerd and podman show 1970"
            }
        }
    }
}

/// One kind of disagreement in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Why engines would show something else.
    pub kind: WarningKind,
    /// The layer's index, base first.
    pub layer: usize,
    /// The first path that it is about, as written.
    pub path: Vec<u8>,
    /// The next few.
    pub more: Vec<Vec<u8>>,
    /// How many paths of the layer it is about.
    pub count: usize,
}

/// How many paths a warning names beside the first.
pub(super) const MORE_PATHS: usize = 3;

/// Warnings being collected.
#[derive(Clone, Debug, Default)]
pub(super) struct Warnings(Vec<Warning>);

impl Warnings {
    /// Forgets those that are about no path that `is_kept`, as far as their paths are known.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&[u8]) -> bool) {
        self.0.retain(|warning| {
            let known = 1 + warning.more.len();
            let mut paths = std::iter::once(&warning.path).chain(&warning.more);
            warning.count > known || paths.any(|path| is_kept(path))
        });
    }

    pub(super) fn add(&mut self, kind: WarningKind, layer: usize, path: &[u8]) {
        // One of each kind and layer at most, so the search is short: the newest layer's are last.
        let known = self
            .0
            .iter_mut()
            .rev()
            .take_while(|warning| warning.layer == layer)
            .find(|warning| warning.kind == kind);
        match known {
            Some(warning) => {
                warning.count += 1;
                if warning.more.len() < MORE_PATHS {
                    warning.more.push(path.to_vec());
                }
            }
            None => self.0.push(Warning {
                kind,
                layer,
                path: path.to_vec(),
                more: Vec::new(),
                count: 1,
            }),
        }
    }

    pub(super) fn list(&self) -> &[Warning] {
        &self.0
    }
}
