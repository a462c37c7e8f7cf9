//! What a sound tar is that describes no image.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use bstr::ByteSlice;

use super::inner::{self, InnerArchive, InnerContent};
use super::{Contents, Member, MemberKind, MemberName};
use crate::base::constants::{DELTA_DESCRIPTION, WHITEOUT};

/// How many directories are tried that may hold an image archive.
const TRIED: usize = 4;
/// How much is read of a file to see what it is, in bytes.
const READ: u64 = 64 * 1024;

/// What a tar that holds no image looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looks {
    /// It has no members.
    Nothing,
    /// Its members are those of a root file system: what `docker export` writes.
    Tree,
    /// A root file system for each of several platforms, each in a directory: what BuildKit exports
    /// with `type=tar`.
    Platforms {
        /// The directories, such as `linux_amd64`.
        directories: Vec<String>,
    },
    /// It holds whiteouts: one layer, taken out of an archive.
    Layer,
    /// An image archive, packed together with the directories it lay in.
    Wrapped {
        /// The directory, without slashes around it.
        directory: String,
    },
    /// A directory that skopeo wrote with `dir:`, packed.
    SkopeoDir {
        /// The directory in the tar; empty if it is the root.
        directory: String,
    },
    /// An OCI image layout whose `index.json` is missing.
    OciWithoutIndex,
    /// Blobs without any description of an image.
    BlobsAlone,
    /// What `imgtar delta` wrote: the difference between archives.
    Delta,
    /// Archives inside, which hold images or root file systems.
    Bundle {
        /// The archives; never empty.
        archives: Vec<InnerArchive>,
    },
    /// Something else.
    Other {
        /// The name of its first member.
        first: String,
    },
}

impl Looks {
    /// Looks at the names in `archive`, and into the files that tell more. Whether an archive describes
    /// images that can be read is for `readable` to say.
    pub fn of(archive: &Contents, readable: impl Fn(&Contents) -> bool) -> Self {
        let members = archive.members();
        let Some(first) = members.iter().find(|m| !m.name.as_bytes().is_empty()) else {
            return Self::Nothing;
        };
        if first.name.as_bytes() == DELTA_DESCRIPTION.as_bytes() {
            return Self::Delta;
        }
        if is_skopeo_dir(archive, &MemberName::new(b"")) {
            return Self::SkopeoDir {
                directory: String::new(),
            };
        }
        if archive.member(&MemberName::new(b"oci-layout")).is_some() {
            return Self::OciWithoutIndex;
        }
        if members
            .iter()
            .any(|m| m.name.as_bytes().starts_with(b"blobs/sha256/"))
        {
            return Self::BlobsAlone;
        }
        if members.iter().any(|m| m.name.base().starts_with(WHITEOUT)) {
            return Self::Layer;
        }
        if let Some(directories) = platforms(archive) {
            return Self::Platforms { directories };
        }
        if is_rootfs(members.iter().map(|m| m.name.as_bytes())) {
            return Self::Tree;
        }
        if let Some(directory) = skopeo_dir(archive) {
            return Self::SkopeoDir { directory };
        }
        if let Some(directory) = wrapped(archive, readable) {
            return Self::Wrapped { directory };
        }
        let archives = inner::archives(archive);
        if !archives.is_empty() {
            return Self::Bundle { archives };
        }
        Self::Other {
            first: first.name.to_string(),
        }
    }

    /// What `archive` is although it has files that are named as descriptions of images: none of them
    /// describes one that is there. `None` if it may still be an image archive.
    pub fn despite_names(archive: &Contents, readable: impl Fn(&Contents) -> bool) -> Option<Self> {
        if is_skopeo_dir(archive, &MemberName::new(b"")) {
            return Some(Self::SkopeoDir {
                directory: String::new(),
            });
        }
        let members = archive.members();
        if is_rootfs(members.iter().map(|m| m.name.as_bytes())) {
            return Some(Self::Tree);
        }
        let of_image = |member: &Member| {
            member.name.base() == b"layer.tar" || member.name.as_bytes().starts_with(b"blobs/")
        };
        if members.iter().any(of_image) {
            return None;
        }
        if let Some(directory) = wrapped(archive, readable) {
            return Some(Self::Wrapped { directory });
        }
        let mut archives = inner::archives(archive);
        archives.retain(|inner| inner.content == InnerContent::Images);
        (!archives.is_empty()).then_some(Self::Bundle { archives })
    }

    /// Whether it is hardly meant to become an image, although any tar can be a layer.
    pub fn is_no_rootfs(&self) -> bool {
        match self {
            Self::Platforms { .. }
            | Self::Wrapped { .. }
            | Self::SkopeoDir { .. }
            | Self::OciWithoutIndex
            | Self::BlobsAlone
            | Self::Delta
            | Self::Bundle { .. } => true,
            Self::Nothing | Self::Tree | Self::Layer | Self::Other { .. } => false,
        }
    }
}

/// The directory below which an image archive lies that can be read: the least deep one, if several do.
fn wrapped(archive: &Contents, readable: impl Fn(&Contents) -> bool) -> Option<String> {
    let mut directories: BTreeSet<(usize, MemberName)> = BTreeSet::new();
    for member in archive.members() {
        let parent = member.name.parent();
        let directory = match member.name.base() {
            b"manifest.json" | b"index.json" | b"repositories" => parent,
            b"layer.tar" => parent.parent(),
            _ => continue,
        };
        let depth = directory.as_bytes().split_str("/").count();
        if !directory.as_bytes().is_empty() {
            directories.insert((depth, directory));
        }
        if directories.len() > TRIED {
            directories.pop_last();
        }
    }
    directories
        .into_iter()
        .map(|(_, directory)| directory)
        .find(|directory| readable(&archive.below(directory)))
        .map(|directory| directory.to_lossy())
}

/// A directory that skopeo wrote, below the root.
fn skopeo_dir(archive: &Contents) -> Option<String> {
    let members = archive.members().iter();
    members
        .filter(|member| member.name.base() == b"manifest.json")
        .take(TRIED)
        .map(|member| member.name.parent())
        .find(|directory| is_skopeo_dir(archive, directory))
        .map(|directory| directory.to_lossy())
}

/// Whether skopeo wrote a directory: its file `version` says so, or there is a registry's manifest beside
/// blobs that are named by their digests alone.
fn is_skopeo_dir(archive: &Contents, directory: &MemberName) -> bool {
    let Some(manifest) = beginning(archive, &directory.join(b"manifest.json")) else {
        return false;
    };
    let of_registry =
        manifest.trim_ascii_start().starts_with(b"{") && manifest.contains_str("\"schemaVersion\"");
    let version = beginning(archive, &directory.join(b"version")).unwrap_or_default();
    version.starts_with(b"Directory Transport Version")
        || of_registry
            && archive
                .members()
                .iter()
                .any(|member| is_bare_blob(member, directory))
}

/// Whether a member is named `<hex>` or, as old versions of skopeo did, `<hex>.tar`.
fn is_bare_blob(member: &Member, directory: &MemberName) -> bool {
    let base = member.name.base();
    let digits = base.strip_suffix(b".tar").unwrap_or(base);
    digits.len() == 64
        && digits.iter().all(u8::is_ascii_hexdigit)
        && matches!(member.kind, MemberKind::File(_))
        && member.name.parent() == *directory
}

/// The beginning of a file.
fn beginning(archive: &Contents, name: &MemberName) -> Option<Vec<u8>> {
    let MemberKind::File(mut span) = archive.member(name)?.kind else {
        return None;
    };
    span.len = span.len.min(READ);
    // What cannot be read tells nothing; whatever reads it itself reports why.
    archive.source().slice(span).read_all().ok()
}

/// The directories of a BuildKit export for several platforms, if all members lie in such
/// (buildkit `exporter/tar`, `platforms.Format` with `/` as `_`).
fn platforms(archive: &Contents) -> Option<Vec<String>> {
    let mut names: Vec<&[u8]> = Vec::new();
    for member in archive.members() {
        let top = top(member.name.as_bytes());
        if top.is_empty() || names.last() == Some(&top) {
            continue;
        }
        if !is_platform(top) {
            return None;
        }
        names.push(top);
    }
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| {
        names
            .iter()
            .map(|name| name.to_str_lossy().into_owned())
            .collect()
    })
}

fn is_platform(name: &[u8]) -> bool {
    const SYSTEMS: [&str; 4] = ["linux", "windows", "freebsd", "darwin"];
    const ARCHITECTURES: [&str; 12] = [
        "386", "amd64", "arm", "arm64", "loong64", "mips64le", "mips64", "ppc64le", "ppc64",
        "riscv64", "s390x", "wasm",
    ];
    let Ok(name) = name.to_str() else {
        return false;
    };
    let mut parts = name.split('_');
    let (system, architecture) = (parts.next(), parts.next());
    system.is_some_and(|system| SYSTEMS.contains(&system))
        && architecture.is_some_and(|architecture| ARCHITECTURES.contains(&architecture))
        && parts.count() <= 1
}

/// Whether names have directories above them that a root file system has and an image archive has not.
pub(super) fn is_rootfs<'n>(names: impl Iterator<Item = &'n [u8]>) -> bool {
    const TELLING: [&[u8]; 12] = [
        b"bin", b"dev", b"etc", b"home", b"lib", b"proc", b"root", b"run", b"sbin", b"sys", b"usr",
        b"var",
    ];
    const WINDOWS: [&[u8]; 2] = [b"Files", b"Hives"];
    let tops: HashSet<&[u8]> = names.map(top).collect();
    let telling = TELLING.iter().filter(|top| tops.contains(**top)).count();
    telling >= 2
        || tops.contains(&b".dockerenv"[..])
        || WINDOWS.iter().all(|top| tops.contains(*top))
}

/// The first component of a name.
fn top(name: &[u8]) -> &[u8] {
    name.split_str("/").next().unwrap_or_default()
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("it is a tar without members"),
            Self::Tree => {
                f.write_str("it looks like a root file system, as `docker export` writes it")
            }
            Self::Platforms { directories } => write!(
                f,
                "it holds root file systems in directories for platforms (`{}`), as BuildKit exports them with type=tar",
                directories.join("`, `")
            ),
            Self::Layer => f.write_str("it looks like a single layer: it holds whiteouts"),
            Self::Wrapped { directory } => {
                let deep = match directory.split('/').count() {
                    1 => "one directory".to_owned(),
                    n => format!("{n} directories"),
                };
                write!(f, "the image archive is {deep} too deep, in `{directory}/`")
            }
            Self::SkopeoDir { directory } if directory.is_empty() => f.write_str(
                "it is a directory that skopeo wrote with `dir:`, a registry's manifest and its blobs",
            ),
            Self::SkopeoDir { directory } => write!(
                f,
                "`{directory}/` in it is a directory that skopeo wrote with `dir:`, a registry's manifest and its blobs"
            ),
            Self::OciWithoutIndex => f.write_str("it is an OCI image layout without index.json"),
            Self::BlobsAlone => f.write_str(
                "it holds blobs, but neither manifest.json nor index.json describes them",
            ),
            Self::Delta => f.write_str("it is a delta: what old archives lack of a new one"),
            Self::Bundle { archives } => inner::describe(archives, f),
            Self::Other { first } => write!(
                f,
                "it has none of manifest.json, index.json, repositories or v1 image directories (its first member is `{first}`)"
            ),
        }
    }
}
