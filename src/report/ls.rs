//! `ls`: files of the merged tree, or entries of one layer.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::listing::Listing;
use super::text::Text;
use crate::tar::{Entry, Kind, Mtime};
use crate::tree::{Body, Inode};

/// The answer of `ls`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ls<'a> {
    /// `imgtar/ls/1`
    pub schema: &'static str,
    /// The files in the order of a tar, or by size on request.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<LsEntry>"))]
    pub entries: &'a dyn Listing,
}

impl<'a> Ls<'a> {
    /// The answer that holds these files.
    pub fn new(entries: &'a dyn Listing) -> Self {
        Self {
            schema: "imgtar/ls/1",
            entries,
        }
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// Another name of a file that was listed before.
    Hardlink,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
    /// Something that no engine knows; only in single layers.
    Unknown,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LsEntry {
    /// The path, without a leading or trailing slash; in a single layer the name as written.
    pub path: Text,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: FileType,
    /// Permissions, setuid, setgid and sticky.
    pub mode: u16,
    /// The owner.
    pub uid: i64,
    /// The group.
    pub gid: i64,
    /// The size in bytes; for a directory, that of all files in it, each counted once.
    pub size: u64,
    /// The modification time; `null` if it is too far away for a calendar date.
    #[serde(serialize_with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub mtime: Option<Timestamp>,
    /// Where a link points.
    pub target: Option<Text>,
    /// The index of the layer that supplied it, base first.
    pub layer: usize,
    /// Device numbers, major and minor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<(i64, i64)>,
}

impl LsEntry {
    /// Describes a file of the merged tree. `first` is its first name if this is another one.
    pub fn of_inode(path: &[u8], inode: &Inode, first: Option<&[u8]>, layer: usize) -> Self {
        let mut entry = Self {
            path: Text(path.to_vec()),
            kind: FileType::File,
            mode: inode.mode,
            uid: inode.uid.into(),
            gid: inode.gid.into(),
            size: 0,
            mtime: time(inode.mtime()),
            target: None,
            layer,
            device: None,
        };
        match &inode.body {
            Body::File { size, .. } => entry.size = *size,
            Body::Directory => entry.kind = FileType::Dir,
            Body::Symlink(target) => {
                entry.kind = FileType::Symlink;
                entry.target = Some(Text(target.to_vec()));
            }
            Body::Char(major, minor) => {
                entry.kind = FileType::Char;
                entry.device = Some((i64::from(*major), i64::from(*minor)));
            }
            Body::Block(major, minor) => {
                entry.kind = FileType::Block;
                entry.device = Some((i64::from(*major), i64::from(*minor)));
            }
            Body::Fifo => entry.kind = FileType::Fifo,
        }
        if let Some(first) = first {
            entry.kind = FileType::Hardlink;
            entry.target = Some(Text(first.to_vec()));
        }
        entry
    }

    /// Describes an entry of one layer, whiteouts and all, as it is written there.
    pub fn of_entry(entry: &Entry, layer: usize) -> Self {
        let kind = match entry.kind {
            Kind::File => FileType::File,
            Kind::Directory => FileType::Dir,
            Kind::Symlink => FileType::Symlink,
            Kind::Hardlink => FileType::Hardlink,
            Kind::Char => FileType::Char,
            Kind::Block => FileType::Block,
            Kind::Fifo => FileType::Fifo,
            Kind::Global | Kind::Other(_) => FileType::Unknown,
        };
        let link = matches!(kind, FileType::Symlink | FileType::Hardlink);
        let device = matches!(kind, FileType::Char | FileType::Block);
        Self {
            path: Text(entry.path.clone()),
            kind,
            mode: u16::try_from(entry.mode & 0o7777).unwrap_or(0),
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            mtime: time(entry.mtime),
            target: link.then(|| Text(entry.link.clone())),
            layer,
            device: device.then_some(entry.device),
        }
    }
}

pub(super) fn time(mtime: Mtime) -> Option<Timestamp> {
    Timestamp::new(mtime.seconds, mtime.nanoseconds).ok()
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
pub(super) fn rfc3339<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}
