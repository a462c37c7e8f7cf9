//! A layer made of the files in a directory, as an engine would write it today: for what has no tar-split, such as what
//! a container changed. And a volume, as a tar of its own.
//!
//! The rules are those of Docker's own difference (moby `pkg/archive`, `daemon/graphdriver/overlay2`): names in the
//! order of their bytes, directories before what is in them, seconds alone, no names of owners, and of extended
//! attributes the capability. What hides files of lower layers becomes a whiteout, whatever form it has on the disk.
//!
//! Threats: a name deeper than Linux takes ends it, so the paths of nested directories do not multiply; a directory has
//! one name, so what is in it is written once; what is written is counted against what the tar may expand to.
//!
//! Long: one walk, and the rules for what it writes.

use std::collections::{HashMap, HashSet};

use super::RescueError;
use super::files::{FileNode, NodeKind, RootFiles};
use super::rope_archive::RopeArchive;
use crate::base::constants::{AUFS, OPAQUE, WHITEOUT};
use crate::base::escape;
use crate::base::limits::LONGEST_PATH;
use crate::output::{HeaderFields, encode_header};
use crate::tar::{Entry, Kind, Mtime};

/// Where the files of a layer are, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSet {
    /// The directory with them.
    pub(crate) directory: FileNode,
    /// The directory as it was before: what is the same there is no change, and what is only there was removed.
    pub(crate) before: Option<FileNode>,
    pub(crate) form: FileForm,
}

/// How a storage driver keeps the files of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileForm {
    /// As an overlay file system does: devices 0:0 hide names, an attribute hides what is below a directory.
    Overlay,
    /// With whiteouts as in a layer's tar.
    Whiteouts,
    /// As they are; nothing is hidden.
    Plain,
    /// As they are, with all attributes and whole times, and the directory itself: a volume.
    Volume,
}

/// Why no layer can be made of files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnmadeLayer {
    /// Overlay's `metacopy` left the bytes in a lower layer.
    #[error("`{}` has only its attributes in this layer; its bytes are in a lower one (metacopy)", escape::name(.0))]
    Metacopy(Vec<u8>),
    /// Overlay's `redirect_dir` left what is in a directory under its old name.
    #[error("`{}` was renamed, and its content is in a lower layer under the old name (redirect_dir)", escape::name(.0))]
    Redirect(Vec<u8>),
    /// The name would hide something in a layer.
    #[error("`{}` is a file whose name would make it a whiteout in a layer", escape::name(.0))]
    Reserved(Vec<u8>),
    /// The file that it is another name of is missing, or is a directory.
    #[error("`{}` is a hard link to `{}`, which is not a file in the tar", escape::name(.path), escape::name(.target))]
    LinkLost {
        /// The path in the layer.
        path: Vec<u8>,
        /// The path in the tar that it leads to.
        target: Vec<u8>,
    },
    /// The path is longer than Linux takes.
    #[error("a path below `{}` has more than {LONGEST_PATH} bytes", escape::name(.0))]
    TooLong(Vec<u8>),
    /// A directory or a record of the engine is missing.
    #[error("{0}")]
    Missing(String),
}

/// What was made, or why not.
pub(crate) type Made = Result<(), UnmadeLayer>;

/// A name that is still to be looked at.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    now: Option<FileNode>,
    before: Option<FileNode>,
    /// The directory that it is in, among those that were met; `None` for the one that all is in.
    inside: Option<usize>,
    /// How long the path of that directory is.
    prefix: usize,
}

/// A directory that was met.
#[derive(Debug)]
struct Met {
    node: FileNode,
    inside: Option<usize>,
    path_len: usize,
    written: bool,
}

struct Maker<'r, 'f> {
    out: &'r mut RopeArchive<'f>,
    files: &'f RootFiles,
    set: FileSet,
    /// Files that have several names here, and the first that was written.
    shared: HashMap<FileNode, Option<Vec<u8>>>,
    met: Vec<Met>,
    path: Vec<u8>,
    header: Vec<u8>,
}

/// Appends the tar of `set` to `out`, its end included.
///
/// # Errors
///
/// [`RescueError`] if the system fails or a limit is reached; the inner error if it cannot be made.
pub(crate) fn append<'f>(
    out: &mut RopeArchive<'f>,
    files: &'f RootFiles,
    set: FileSet,
) -> Result<Made, RescueError> {
    let maker = Maker {
        out,
        files,
        set,
        shared: shared(files, set.directory),
        met: Vec::new(),
        path: Vec::new(),
        header: Vec::new(),
    };
    maker.run()
}

/// Files of which a directory has more than one name.
fn shared(files: &RootFiles, directory: FileNode) -> HashMap<FileNode, Option<Vec<u8>>> {
    let mut linked = HashSet::new();
    let mut open = vec![directory];
    while let Some(at) = open.pop() {
        for child in files.children(at) {
            if files.kind(child) == NodeKind::Hardlink {
                linked.extend(files.linked(child));
            }
            open.push(child);
        }
    }
    linked.into_iter().map(|file| (file, None)).collect()
}

impl Maker<'_, '_> {
    fn run(mut self) -> Result<Made, RescueError> {
        if self.set.form == FileForm::Volume
            && let Some(entry) = self.files.entry(self.set.directory)?
        {
            self.entry(&entry, b"./", b'5')?;
        }
        let mut open = Vec::new();
        self.open(&mut open, Some(self.set.directory), self.set.before, None);
        while let Some(next) = open.pop() {
            self.path.truncate(next.prefix);
            if let Err(unmade) = self.visit(next, &mut open)? {
                return Ok(Err(unmade));
            }
        }
        // The end of a tar.
        self.out.made(&[0; 1024])?;
        Ok(Ok(()))
    }

    /// Puts what is in a directory on the list, the first name last.
    fn open(
        &self,
        open: &mut Vec<Waiting>,
        now: Option<FileNode>,
        before: Option<FileNode>,
        inside: Option<usize>,
    ) {
        let list = |at: Option<FileNode>| at.map(|at| self.files.children(at)).unwrap_or_default();
        let prefix = self.path.len();
        let mut old: HashMap<&[u8], FileNode> = list(before)
            .into_iter()
            .map(|node| (self.files.name(node), node))
            .collect();
        let mut all: Vec<(&[u8], Waiting)> = Vec::new();
        for node in list(now) {
            let name = self.files.name(node);
            let before = old.remove(name);
            let now = Some(node);
            all.push((
                name,
                Waiting {
                    now,
                    before,
                    inside,
                    prefix,
                },
            ));
        }
        for (name, node) in old {
            let before = Some(node);
            all.push((
                name,
                Waiting {
                    now: None,
                    before,
                    inside,
                    prefix,
                },
            ));
        }
        all.sort_by(|a, b| b.0.cmp(a.0));
        open.extend(all.into_iter().map(|(_, waiting)| waiting));
    }

    fn visit(&mut self, next: Waiting, open: &mut Vec<Waiting>) -> Result<Made, RescueError> {
        let Some(node) = next.now.or(next.before) else {
            return Ok(Ok(()));
        };
        let name = self.files.name(node);
        if (self.path.len() + name.len() + 1) as u64 > LONGEST_PATH {
            return Ok(Err(UnmadeLayer::TooLong(self.path.clone())));
        }
        if next.now.is_none() {
            return self.removed(name.to_vec(), next).map(Ok);
        }
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        if self.set.form != FileForm::Volume && name.starts_with(WHITEOUT) {
            let is_driver = name.starts_with(AUFS) && name != OPAQUE;
            match self.set.form {
                // Names of aufs itself.
                FileForm::Whiteouts if is_driver => return Ok(Ok(())),
                FileForm::Whiteouts => {}
                _ => return Ok(Err(UnmadeLayer::Reserved(self.path.clone()))),
            }
        }
        let Some(file) = self.files.linked(node) else {
            return Ok(Err(UnmadeLayer::LinkLost {
                path: self.path.clone(),
                target: self.files.link(node).to_vec(),
            }));
        };
        let entry = self.files.entry(file)?;
        if let Some(unmade) = entry.as_ref().and_then(|entry| self.overlay_only(entry)) {
            return Ok(Err(unmade));
        }
        let is_same = match next.before.and_then(|before| self.files.linked(before)) {
            None => false,
            Some(before) => match (&entry, self.files.entry(before)?) {
                (Some(now), Some(before)) => is_same(now, &before),
                (now, before) => now.is_none() && before.is_none(),
            },
        };
        if self.files.is_directory(file) {
            let at = self.met.len();
            self.met.push(Met {
                node: file,
                inside: next.inside,
                path_len: self.path.len(),
                written: false,
            });
            if !is_same {
                self.directory(at)?;
            }
            let before = next
                .before
                .filter(|before| self.files.is_directory(*before));
            self.open(open, Some(file), before, Some(at));
        } else if !is_same {
            self.above(next.inside)?;
            self.file(file, entry)?;
        }
        Ok(Ok(()))
    }

    /// Why a file of an overlay file system is not all there.
    fn overlay_only(&self, entry: &Entry) -> Option<UnmadeLayer> {
        if self.set.form != FileForm::Overlay {
            return None;
        }
        let path = || self.path.clone();
        if overlay(entry, b"redirect").is_some() && entry.kind == Kind::Directory {
            return Some(UnmadeLayer::Redirect(path()));
        }
        (overlay(entry, b"metacopy").is_some() && entry.kind == Kind::File)
            .then(|| UnmadeLayer::Metacopy(path()))
    }

    /// Writes the directories that a name is in, as far as they were not written.
    fn above(&mut self, inside: Option<usize>) -> Result<(), RescueError> {
        let mut wanted = Vec::new();
        let mut at = inside;
        while let Some(directory) = at.filter(|at| !self.met[*at].written) {
            wanted.push(directory);
            at = self.met[directory].inside;
        }
        for directory in wanted.into_iter().rev() {
            self.write_directory(directory)?;
        }
        Ok(())
    }

    fn directory(&mut self, at: usize) -> Result<(), RescueError> {
        self.above(Some(at))
    }

    fn write_directory(&mut self, at: usize) -> Result<(), RescueError> {
        let met = &mut self.met[at];
        met.written = true;
        let (node, len) = (met.node, met.path_len);
        let mut path = self.path[..len].to_vec();
        path.push(b'/');
        let Some(entry) = self.files.entry(node)? else {
            // The tar lacks its entry: what tar makes of such a directory.
            return self.plain(&path, b'5', 0o755, None);
        };
        self.entry(&entry, &path, b'5')?;
        let is_opaque = overlay(&entry, b"opaque").is_some_and(|value| value == b"y");
        if self.set.form == FileForm::Overlay && is_opaque {
            path.extend_from_slice(OPAQUE);
            let mode = u16::try_from(entry.mode & 0o7777).unwrap_or(0);
            return self.plain(&path, b'0', mode, Some((&entry, Mtime::default())));
        }
        Ok(())
    }

    fn removed(&mut self, name: Vec<u8>, next: Waiting) -> Result<(), RescueError> {
        self.above(next.inside)?;
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(WHITEOUT);
        path.extend(name);
        self.plain(&path, b'0', 0, None)
    }

    fn file(&mut self, file: FileNode, entry: Option<Entry>) -> Result<(), RescueError> {
        let path = self.path.clone();
        let Some(entry) = entry else { return Ok(()) };
        if self.set.form == FileForm::Overlay && self.files.kind(file) == NodeKind::Whiteout {
            let parent = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
            let hidden = [&path[..parent], WHITEOUT, &path[parent..]].concat();
            let mtime = entry.mtime;
            return self.plain(&hidden, b'0', 0o600, Some((&entry, mtime)));
        }
        let typeflag = match entry.kind {
            Kind::Symlink => b'2',
            Kind::Char => b'3',
            Kind::Block => b'4',
            Kind::Fifo => b'6',
            Kind::File => b'0',
            Kind::Hardlink | Kind::Directory | Kind::Global | Kind::Other(_) => return Ok(()),
        };
        if let Some(first) = self.shared.get_mut(&file) {
            if let Some(first) = first {
                let first = first.clone();
                return self.write(&entry, &path, (b'1', &first));
            }
            *first = Some(path.clone());
        }
        self.entry(&entry, &path, typeflag)?;
        if typeflag == b'0' {
            self.out.content(file)?;
            let padding = entry.size.next_multiple_of(512) - entry.size;
            self.out.zeros(padding);
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, path: &[u8], typeflag: u8) -> Result<(), RescueError> {
        let link = if typeflag == b'2' {
            &entry.link[..]
        } else {
            &[]
        };
        self.write(entry, path, (typeflag, link))
    }

    fn write(
        &mut self,
        entry: &Entry,
        path: &[u8],
        (typeflag, link): (u8, &[u8]),
    ) -> Result<(), RescueError> {
        let is_volume = self.set.form == FileForm::Volume;
        let mut xattrs = Vec::new();
        for (name, value) in &entry.xattrs {
            // A kernel lets nobody set those of a mount, and a hard link has those of its file.
            let is_kept = if is_volume {
                !name.starts_with(b"trusted.overlay.")
            } else {
                &**name == b"security.capability"
            };
            if is_kept && typeflag != b'1' {
                xattrs.push((
                    name.clone().into_boxed_slice(),
                    value.clone().into_boxed_slice(),
                ));
            }
        }
        xattrs.sort();
        let number = |number: i64| u32::try_from(number).unwrap_or(0);
        let has_device = matches!(typeflag, b'3' | b'4');
        let fields = HeaderFields {
            path,
            typeflag,
            link,
            mode: u16::try_from(entry.mode & 0o7777).unwrap_or(0),
            uid: u64::try_from(entry.uid).unwrap_or(0),
            gid: u64::try_from(entry.gid).unwrap_or(0),
            size: if typeflag == b'0' { entry.size } else { 0 },
            mtime: Mtime {
                seconds: entry.mtime.seconds,
                nanoseconds: if is_volume {
                    entry.mtime.nanoseconds
                } else {
                    0
                },
            },
            device: if has_device {
                (number(entry.device.0), number(entry.device.1))
            } else {
                (0, 0)
            },
            xattrs: &xattrs,
        };
        self.header.clear();
        encode_header(&mut self.header, &fields);
        self.out.made(&self.header)
    }

    /// An entry that no file is: owner and time are those of `like`.
    fn plain(
        &mut self,
        path: &[u8],
        typeflag: u8,
        mode: u16,
        like: Option<(&Entry, Mtime)>,
    ) -> Result<(), RescueError> {
        let id = |number: i64| u64::try_from(number).unwrap_or(0);
        let fields = HeaderFields {
            path,
            typeflag,
            link: &[],
            mode,
            uid: like.map_or(0, |(entry, _)| id(entry.uid)),
            gid: like.map_or(0, |(entry, _)| id(entry.gid)),
            size: 0,
            mtime: Mtime {
                seconds: like.map_or(0, |(_, mtime)| mtime.seconds),
                nanoseconds: 0,
            },
            device: (0, 0),
            xattrs: &[],
        };
        self.header.clear();
        encode_header(&mut self.header, &fields);
        self.out.made(&self.header)
    }
}

/// What an overlay file system notes under a name.
fn overlay<'e>(entry: &'e Entry, name: &[u8]) -> Option<&'e [u8]> {
    let is_it = |key: &[u8]| {
        let rest = key.strip_prefix(b"trusted.overlay.");
        let rest = rest.or_else(|| key.strip_prefix(b"user.overlay."));
        rest == Some(name)
    };
    let mut xattrs = entry.xattrs.iter();
    xattrs
        .find(|(key, _)| is_it(key))
        .map(|(_, value)| &**value)
}

/// Whether nothing changed, as Docker sees it (moby `pkg/archive/changes_unix.go`, `sameFsTime`).
fn is_same(now: &Entry, before: &Entry) -> bool {
    fn capability(entry: &Entry) -> Option<&Vec<u8>> {
        let mut xattrs = entry.xattrs.iter();
        xattrs
            .find(|(key, _)| key == b"security.capability")
            .map(|(_, value)| value)
    }
    let attributes = |entry: &Entry| (entry.kind, entry.mode & 0o7777, entry.uid, entry.gid);
    let is_opaque = |entry: &Entry| overlay(entry, b"opaque").map(<[u8]>::to_vec);
    if attributes(now) != attributes(before)
        || capability(now) != capability(before)
        || is_opaque(now) != is_opaque(before)
    {
        return false;
    }
    match now.kind {
        Kind::Directory => return true,
        Kind::Char | Kind::Block if now.device != before.device => return false,
        Kind::Symlink if now.link != before.link => return false,
        _ => {}
    }
    let (a, b) = (now.mtime, before.mtime);
    let is_cut = a.nanoseconds == 0 || b.nanoseconds == 0;
    now.size == before.size && a.seconds == b.seconds && (a.nanoseconds == b.nanoseconds || is_cut)
}
