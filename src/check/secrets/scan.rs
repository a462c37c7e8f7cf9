//! The contents of files, searched while they pass by.
//!
//! A file is searched in pieces of [`PIECE`] bytes that overlap by what a rule may look at, so it takes the same
//! memory whatever its length, and a secret on a seam is found once. All files are searched to their end, those
//! that are not text too.
//!
//! Threats: an archive can hold millions of things that look like secrets. At most [`IN_FILE`] are found in a
//! file, which is not searched further. Of all layers together some are kept, of each an equal share, so that it
//! does not depend on threads which; the rest is counted.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::SecretKind;
use super::rules::{BEFORE, Hit, NamedRule, SecretRules, WINDOW};
use crate::layer::{Bodies, BodyUse};
use crate::tar::Entry;

/// How much of a file is searched at a time, in bytes.
const PIECE: usize = 256 << 10;

/// How many secrets are found in one file.
const IN_FILE: usize = 16;

/// How many secrets are kept of all layers that are read together, of one at most and of one at least; and how many
/// bytes the paths of their files may have.
const IN_ALL: usize = 100_000;
const IN_LAYER: usize = 10_000;
const SOME: usize = 16;
const PATHS_IN_ALL: usize = 32 << 20;
const PATHS_IN_LAYER: usize = 8 << 20;
const SOME_PATHS: usize = SOME * 4096;

/// How much of a file that is made to hold secrets is looked at as such, in bytes.
const NAMED: usize = 256 << 10;

/// The longest body that is kept because the user of an image is looked up in it, in bytes, and how many are.
pub(crate) const TABLE_LIMIT: u64 = 4 << 20;
const TABLES: usize = 64;

/// Something in a file that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSecret {
    pub(crate) kind: SecretKind,
    /// Where it begins, in bytes from the beginning of the stored content.
    pub(crate) offset: u64,
    /// The part of it that may be shown.
    pub(crate) masked: String,
}

/// What was found in one file of a layer.
#[derive(Clone, Debug)]
pub(crate) struct FileSecrets {
    /// Its path as the layer has it.
    pub(crate) path: Vec<u8>,
    pub(crate) secrets: Vec<FileSecret>,
}

/// What was found in one layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerSecrets {
    /// The files, by where their content begins in the layer.
    pub(crate) files: BTreeMap<u64, FileSecrets>,
    /// How many were found that are not kept.
    pub(crate) dropped: usize,
    kept: usize,
    paths: usize,
    /// How much may be kept.
    share: Share,
}

/// How much may be kept of one layer.
#[derive(Clone, Copy, Debug)]
struct Share {
    secrets: usize,
    paths: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            secrets: IN_LAYER,
            paths: PATHS_IN_LAYER,
        }
    }
}

impl LayerSecrets {
    /// Nothing is found yet in one of so many layers.
    pub(super) fn one_of(layers: usize) -> Self {
        let layers = layers.max(1);
        Self {
            share: Share {
                secrets: (IN_ALL / layers).clamp(SOME, IN_LAYER),
                paths: (PATHS_IN_ALL / layers).clamp(SOME_PATHS, PATHS_IN_LAYER),
            },
            ..Self::default()
        }
    }

    fn add(&mut self, at: u64, path: &[u8], secrets: Vec<FileSecret>) {
        if secrets.is_empty() {
            return;
        }
        let is_new = !self.files.contains_key(&at);
        let paths = self.paths + if is_new { path.len() } else { 0 };
        let kept = self.kept + secrets.len();
        if kept > self.share.secrets || paths > self.share.paths {
            self.dropped += secrets.len();
            return;
        }
        (self.kept, self.paths) = (kept, paths);
        let file = self.files.entry(at).or_insert_with(|| FileSecrets {
            path: path.to_vec(),
            secrets: Vec::new(),
        });
        file.secrets.extend(secrets);
        file.secrets.sort_by_key(|secret| secret.offset);
        file.secrets.truncate(IN_FILE);
    }

    /// Adds what was found in another part of the layer; the parts come in their order.
    pub(super) fn append(&mut self, other: Self) {
        for (at, file) in other.files {
            self.add(at, &file.path, file.secrets);
        }
        self.dropped += other.dropped;
    }
}

/// A part of a file that is searched on its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct FilePart {
    /// Where secrets of this part begin: from here on, before there.
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl FilePart {
    /// What has to be read for it of a file of `len` bytes: from where to where.
    pub(super) fn to_read(self, len: u64) -> (u64, u64) {
        let from = self.begin.saturating_sub(BEFORE as u64);
        let to = self.end.saturating_add(WINDOW as u64).min(len);
        (from, to)
    }
}

/// Searches the files of a layer.
#[derive(Debug, Default)]
pub(crate) struct ContentScan {
    found: LayerSecrets,
    /// How many tables of users were asked for.
    tables: usize,
    path: Vec<u8>,
    /// Where the content begins in the layer.
    at: u64,
    /// The piece, where it begins in the content, and from where on in it is to be searched.
    piece: Vec<u8>,
    piece_at: u64,
    from: usize,
    /// Nothing that begins there or later is of this part.
    end: Option<u64>,
    named: Option<NamedRule>,
    /// The beginning of a file that is made to hold secrets.
    head: Vec<u8>,
    secrets: Vec<FileSecret>,
}

impl ContentScan {
    /// Searches one of so many layers.
    pub(crate) fn one_of(layers: usize) -> Self {
        Self {
            found: LayerSecrets::one_of(layers),
            ..Self::default()
        }
    }

    /// What was found.
    pub(crate) fn finish(self) -> LayerSecrets {
        self.found
    }

    /// What was found so far.
    pub(crate) fn found(&self) -> &LayerSecrets {
        &self.found
    }

    /// A part of a file is next.
    pub(super) fn begin_part(&mut self, entry: &Entry, part: FilePart) {
        self.begin_file(entry);
        let (from, _) = part.to_read(u64::MAX);
        self.piece_at = from;
        self.from = usize::try_from(part.begin - from).unwrap_or(0);
        self.end = Some(part.end);
        if part.begin > 0 {
            self.named = None;
        }
    }

    fn begin_file(&mut self, entry: &Entry) {
        self.path.clear();
        self.path.extend_from_slice(&entry.path);
        self.at = entry.data_offset;
        self.piece.clear();
        (self.piece_at, self.from, self.end) = (0, 0, None);
        self.named = SecretRules::named(&self.path);
        self.head.clear();
        self.secrets.clear();
    }

    fn add(secrets: &mut Vec<FileSecret>, piece_at: u64, hit: Hit) -> ControlFlow<()> {
        secrets.push(FileSecret {
            kind: hit.kind,
            offset: piece_at + hit.begin as u64,
            masked: hit.masked,
        });
        if secrets.len() >= IN_FILE {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Searches the piece; what a rule could need more bytes for waits for the next one.
    fn search(&mut self, is_last: bool) {
        let len = self.piece.len();
        let ready = if is_last {
            len
        } else {
            len.saturating_sub(WINDOW)
        };
        let end = self.end.map_or(ready, |end| {
            let end = end.saturating_sub(self.piece_at);
            usize::try_from(end).unwrap_or(usize::MAX).min(ready)
        });
        let (piece_at, secrets) = (self.piece_at, &mut self.secrets);
        if secrets.len() < IN_FILE && self.from < end {
            let next = SecretRules::get().search(&self.piece, self.from, end, &mut |hit| {
                Self::add(secrets, piece_at, hit)
            });
            self.from = next.max(end).min(len);
        }
        if is_last {
            return;
        }
        // What lies before what is to be searched next is needed to tell where words begin.
        let cut = self.from.max(ready).saturating_sub(BEFORE).min(len);
        self.piece.drain(..cut);
        self.piece_at += cut as u64;
        self.from = self.from.max(ready) - cut;
    }
}

impl Bodies for ContentScan {
    fn begin(&mut self, entry: &Entry) -> BodyUse {
        self.begin_file(entry);
        let name = entry.path.rsplit(|&b| b == b'/').next();
        let is_table = matches!(name, Some(b"passwd" | b"group"))
            && entry.stored_size <= TABLE_LIMIT
            && self.tables < TABLES;
        self.tables += usize::from(is_table);
        BodyUse {
            shown: true,
            kept: is_table,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.named.is_some() {
            let room = NAMED.saturating_sub(self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..room]);
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.search(false);
        }
    }

    fn end(&mut self) {
        self.search(true);
        if let Some(rule) = self.named {
            let known = self.secrets.clone();
            let secrets = &mut self.secrets;
            SecretRules::get().in_named(rule, &self.head, &mut |hit| {
                // The rules for all files have seen the same.
                let at = hit.begin as u64..hit.end as u64;
                let is_known = known.iter().any(|secret| at.contains(&secret.offset));
                if !is_known && secrets.len() < IN_FILE {
                    _ = Self::add(secrets, 0, hit);
                }
            });
        }
        let secrets = std::mem::take(&mut self.secrets);
        self.found.add(self.at, &self.path, secrets);
    }
}
