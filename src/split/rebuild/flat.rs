//! The flat tar: where its bodies are, and whether it is the right one.

use std::collections::{BTreeSet, HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::error::{FlatChange, FlatChangeKind, RebuildError};
use crate::base::constants::BUFFER;
use crate::base::jobs::{self, Jobs};
use crate::base::limits::{Exceeded, Limit};
use crate::base::progress::{Progress, steps};
use crate::source::{Input, Slice, Source, SourceError, Span};
use crate::tar::{Entry, Kind, Positioned, TarError, Walker};
use crate::tree::{Body, Inode, LayerPath, Tree};

/// How many changes are named.
const NAMED: usize = 10;

/// How many bytes a thread digests before it takes the next ones, unless one body has more.
const SHARE: u64 = 8 << 20;

/// A short form of a path: the first half of its SHA-256. A flat tar can have names of half a gigabyte, and no
/// two of them have the same half: nobody can construct such names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PathKey([u8; 16]);

impl PathKey {
    /// That of a path without superfluous slashes.
    pub(super) fn of(path: &[u8]) -> Self {
        let sum: [u8; 32] = Sha256::digest(path).into();
        Self(*sum.first_chunk().expect("16 of 32 bytes"))
    }
}

/// A flat tar and where its bodies are.
#[derive(Debug)]
pub(super) struct FlatTar {
    source: Source,
    /// How many bytes the file has as it was given.
    stored: u64,
    bodies: HashMap<PathKey, Span>,
    /// The bodies that no path leads to any more, since a later entry has it.
    hidden: Vec<Span>,
}

/// Gathers changes.
#[derive(Default)]
pub(super) struct FlatChanges {
    named: Vec<FlatChange>,
    count: u64,
}

impl FlatChanges {
    pub(super) fn add(&mut self, path: &[u8], what: FlatChangeKind) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(FlatChange {
                path: path.to_vec(),
                what,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// An error, if there are any.
    pub(super) fn refuse(self, flat: &FlatTar) -> Result<(), RebuildError> {
        if self.count == 0 {
            return Ok(());
        }
        Err(RebuildError::Changed {
            path: flat.source.label(),
            changes: self.named,
            count: self.count,
        })
    }
}

impl FlatTar {
    pub(super) fn read(input: &Input) -> Result<Self, RebuildError> {
        let mut flat = Self {
            source: input.source().clone(),
            stored: input.stored_size(),
            bodies: HashMap::new(),
            hidden: Vec::new(),
        };
        let mut bodies: HashMap<PathKey, Span> = HashMap::new();
        let mut hidden = Vec::new();
        let mut count = 0;
        let limits = *flat.source.limits();
        flat.walk(|entry| {
            count += 1;
            limits.check(Limit::Entries, count)?;
            // A longer path can be in no tree that the flat tar is to be compared with.
            limits.check_count(Limit::Path, entry.path.len())?;
            let path = PathKey::of(&clean(&entry.path));
            match entry.kind {
                Kind::File if entry.sparse.is_none() => {
                    let span = Span {
                        offset: entry.data_offset,
                        len: entry.stored_size,
                    };
                    hidden.extend(bodies.insert(path, span));
                }
                Kind::Hardlink => {
                    let target = PathKey::of(&clean(&entry.link));
                    if let Some(&span) = bodies.get(&target) {
                        hidden.extend(bodies.insert(path, span));
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        flat.bodies = bodies;
        flat.hidden = hidden;
        Ok(flat)
    }

    fn walk(
        &self,
        mut see: impl FnMut(&Entry) -> Result<(), Exceeded>,
    ) -> Result<(), RebuildError> {
        let failed = |source: TarError| RebuildError::Flat {
            path: self.source.label(),
            source,
        };
        let mut walker = Walker::new(Positioned::new(self.source.whole()));
        while let Some(entry) = walker.next_entry().map_err(failed)? {
            if entry.kind != Kind::Global {
                see(&entry).map_err(|exceeded| RebuildError::FlatLimit {
                    path: self.source.label(),
                    entry: entry.path,
                    offset: entry.header_offset,
                    exceeded,
                })?;
            }
        }
        Ok(())
    }

    /// How many bytes the file has as it was given.
    pub(super) fn stored_size(&self) -> u64 {
        self.stored
    }

    /// The content of the file at `path`.
    pub(super) fn body(&self, path: &[u8]) -> Option<Slice> {
        self.body_at(PathKey::of(path))
    }

    /// The content of the file at the path of `key`.
    pub(super) fn body_at(&self, key: PathKey) -> Option<Slice> {
        let span = self.bodies.get(&key);
        span.map(|&span| self.source.slice(span))
    }

    /// Whether the content of the file at `path` has this sum.
    pub(super) fn is(&self, path: &[u8], sha256: &[u8; 32]) -> Result<bool, SourceError> {
        match self.body(path) {
            None => Ok(false),
            Some(body) => Ok(digest(&body, &mut vec![0; BUFFER])? == *sha256),
        }
    }

    /// The bodies of these lengths, wherever they are, each once and in the tar's order.
    pub(super) fn of_lengths(&self, lengths: &HashSet<u64>) -> Vec<Slice> {
        let spans = self.bodies.values().chain(&self.hidden);
        let spans: BTreeSet<Span> = spans
            .filter(|span| lengths.contains(&span.len))
            .copied()
            .collect();
        spans.iter().map(|&span| self.source.slice(span)).collect()
    }

    /// The whole tar.
    pub(super) fn whole(&self) -> Slice {
        self.source.whole()
    }

    /// What messages call it.
    pub(super) fn label(&self) -> String {
        self.source.label()
    }

    /// Compares names and attributes with those of `tree`. Content is not read here, except that of
    /// nothing: every file's bytes become part of a layer, and layers are verified against diff IDs.
    pub(super) fn compare(&self, tree: &Tree) -> Result<FlatChanges, RebuildError> {
        let mut changes = FlatChanges::default();
        let mut seen = vec![false; tree.len() + 1];
        let mut seen_files = vec![false; tree.inode_count()];
        self.walk(|entry| {
            let path = clean(&entry.path);
            if path.is_empty() {
                return Ok(());
            }
            // Symbolic links on the way are not followed: where the
            // tree has one, the entry for it is compared, and what lies below is new.
            let node = tree.at(&path);
            let Some(node) = node else {
                changes.add(&path, FlatChangeKind::Added);
                return Ok(());
            };
            if std::mem::replace(&mut seen[node.index()], true) {
                changes.add(&path, FlatChangeKind::Twice);
                return Ok(());
            }
            let id = tree.inode_id(node);
            let what = if entry.kind == Kind::Hardlink {
                let target = tree.at(&clean(&entry.link));
                let same = target.is_some_and(|target| tree.inode_id(target) == id);
                (!same).then_some(FlatChangeKind::Link)
            } else {
                let is_second = entry.kind == Kind::File
                    && std::mem::replace(&mut seen_files[id.index()], true);
                let parted = is_second.then_some(FlatChangeKind::Parted);
                difference(tree.inode(id), entry).or(parted)
            };
            if let Some(what) = what {
                changes.add(&path, what);
            }
            Ok(())
        })?;
        let mut walk = tree.walk(tree.root());
        while let Some((entry, path)) = walk.next_entry() {
            if !seen[entry.node.index()] {
                changes.add(path, FlatChangeKind::Removed);
            }
        }
        Ok(changes)
    }
}

/// Digests bodies on all cores.
pub(super) fn digests(
    bodies: &[Slice],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Vec<[u8; 32]>, SourceError> {
    let mut shares: Vec<(&[Slice], u64)> = Vec::new();
    let (mut from, mut cost) = (0, 0_u64);
    for (i, body) in bodies.iter().enumerate() {
        cost = cost.saturating_add(body.len());
        if cost >= SHARE || i + 1 == bodies.len() {
            shares.push((&bodies[from..=i], cost));
            (from, cost) = (i + 1, 0);
        }
    }
    let total = shares
        .iter()
        .map(|share| share.1)
        .fold(0, u64::saturating_add);
    let task = progress.begin(steps::CHECKING_FILES, Some(total));
    let digested = jobs::map(
        jobs,
        &shares,
        |share| share.1,
        |(bodies, cost)| {
            let mut buf = vec![0; BUFFER];
            let digests = bodies.iter().map(|body| digest(body, &mut buf));
            let digests = digests.collect::<Result<Vec<_>, _>>();
            task.advance(*cost);
            digests
        },
    );
    let mut all = Vec::with_capacity(bodies.len());
    for digests in digested {
        all.extend(digests?);
    }
    Ok(all)
}

fn digest(body: &Slice, buf: &mut [u8]) -> Result<[u8; 32], SourceError> {
    let mut hasher = Sha256::new();
    let mut at = 0;
    while at < body.len() {
        let n = body.read_at(buf, at)?;
        hasher.update(&buf[..n]);
        at += n as u64;
    }
    Ok(hasher.finalize().into())
}

/// A path as the tree has it.
fn clean(path: &[u8]) -> Vec<u8> {
    LayerPath::new(path).components().join(&b'/')
}

/// How an entry differs from `wanted`, if it does.
fn difference(wanted: &Inode, entry: &Entry) -> Option<FlatChangeKind> {
    let number = |n: i64| u64::try_from(n).ok();
    let same_type = match (&wanted.body, entry.kind) {
        (Body::File { .. }, Kind::File) => entry.sparse.is_none(),
        (Body::Directory, Kind::Directory)
        | (Body::Symlink(_), Kind::Symlink)
        | (Body::Char(..), Kind::Char)
        | (Body::Block(..), Kind::Block)
        | (Body::Fifo, Kind::Fifo) => true,
        _ => false,
    };
    if !same_type {
        return Some(FlatChangeKind::Type);
    }
    match &wanted.body {
        Body::File { size, .. } if *size != entry.size => {
            return Some(FlatChangeKind::Size(*size, entry.size));
        }
        Body::Symlink(target) if **target != *entry.link => return Some(FlatChangeKind::Link),
        Body::Char(major, minor) | Body::Block(major, minor)
            if (i64::from(*major), i64::from(*minor)) != entry.device =>
        {
            return Some(FlatChangeKind::Device);
        }
        _ => {}
    }
    let mode = u16::try_from(entry.mode & 0o7777).expect("it is masked to 12 bits");
    // A symbolic link has no permissions of its own, whatever its writer puts there.
    if mode != wanted.mode && entry.kind != Kind::Symlink {
        return Some(FlatChangeKind::Mode(wanted.mode, mode));
    }
    let owner = (Some(u64::from(wanted.uid)), Some(u64::from(wanted.gid)));
    if (number(entry.uid), number(entry.gid)) != owner {
        return Some(FlatChangeKind::Owner);
    }
    // A tar without PAX headers has whole seconds.
    let (found, mtime) = (entry.mtime, wanted.mtime());
    let fraction = found.nanoseconds == mtime.nanoseconds || found.nanoseconds == 0;
    if found.seconds != mtime.seconds || !fraction {
        return Some(FlatChangeKind::Time);
    }
    let mut xattrs: Vec<_> = entry.xattrs.iter().map(|(k, v)| (&**k, &**v)).collect();
    xattrs.sort_unstable();
    let wanted = wanted.xattrs.as_slice();
    let same = xattrs.len() == wanted.len()
        && xattrs
            .iter()
            .zip(wanted)
            .all(|(found, wanted)| *found == (&*wanted.0, &*wanted.1));
    (!same).then_some(FlatChangeKind::Attributes)
}
