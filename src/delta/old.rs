//! What the old archives hold, and which of it a new file resembles.
//!
//! Entries are found by hashes of their paths and contents, and a hash is only ever a hint: two files are the same if
//! their bytes are, and a partner that has nothing in common with a file costs size, not correctness. So nothing but
//! numbers is kept of an entry.
//!
//! Threats, and what is done about them: entries are counted against [`Limit::Entries`]; of files with one path, or
//! with the same beginning, end and size, at most [`LOOKED_AT`] are compared with a new one.

use std::sync::OnceLock;

use super::DeltaError;
use super::anatomy::{self, Anatomy, Inside, PartLooks};
use super::entries::{Keys, TarEntries};
use super::near::Sketches;
use super::same::{is_equal, sampled};
use crate::base::digest::Digest;
use crate::base::jobs;
use crate::base::limits::Limit;
use crate::base::options::Options;
use crate::base::progress::{Stage, steps};
use crate::source::{Slice, SourceError, Span};

/// How many old files are compared with a new one at most, by path and by content each.
const LOOKED_AT: usize = 8;

/// How many parts of old archives a delta may refer to at most: each takes room in its description.
const PARTS: usize = 20_000;

/// How many parts of one size are compared with a new one.
const OF_SIZE: usize = 64;

/// How long the name of a part may be, in characters.
const NAME: usize = 300;

/// How many times as large as the other a partner with another path may be (tar-diff's rule).
const RATIO: u64 = 10;

/// Bytes that a delta may refer to.
#[derive(Debug)]
pub(super) struct OldPart {
    pub(super) name: String,
    pub(super) bytes: Slice,
    /// Known where it was decoded.
    pub(super) sha256: Option<Digest>,
}

/// An entry of an old tar.
#[derive(Clone, Copy, Debug)]
pub(super) struct OldEntry {
    /// The part it is in.
    pub(super) part: u32,
    /// Where its headers begin.
    pub(super) header: u64,
    /// How long they are.
    pub(super) header_len: u64,
    /// The size of its body, which follows.
    pub(super) size: u64,
}

impl OldEntry {
    /// Where its body begins.
    pub(super) fn body(&self) -> u64 {
        self.header + self.header_len
    }
}

/// Which kind of name a list is sorted by.
#[derive(Clone, Copy)]
enum By {
    Path,
    Stem,
    Base,
    BaseStem,
}

/// Entries by a hash, then by size, then in their order.
type Sorted = Vec<(u64, u64, u32)>;

/// Everything that the old archives hold.
#[derive(Debug, Default)]
pub(super) struct Old {
    pub(super) parts: Vec<OldPart>,
    /// Parts by their length, for those that a new one equals.
    by_len: Vec<(u64, u32)>,
    pub(super) entries: Vec<OldEntry>,
    names: [Sorted; 4],
    contents: OnceLock<Sorted>,
    sketches: OnceLock<Sketches>,
    /// What is still compressed.
    undecoded: Vec<anatomy::Part>,
    tars: Vec<u32>,
    /// Files that are not tars.
    no_tars: Vec<u32>,
}

impl Old {
    /// Lists what is there without decoding or walking anything.
    pub(super) fn of(archives: &[Anatomy]) -> Self {
        let mut old = Self::default();
        for archive in archives {
            let label = archive.input.source().label();
            let stored = archive.input.stored();
            if !archive.whole().is_same(&stored.whole()) {
                old.add(&format!("{label} as it is"), stored.whole());
            }
            let whole = old.add(&label, archive.whole());
            match &archive.inside {
                Inside::Tar => old.tars.extend(whole),
                Inside::Bytes => old.no_tars.extend(whole),
                Inside::Archive(parts) => old.add_parts(&label, parts),
            }
        }
        old.by_len = old
            .parts
            .iter()
            .map(|part| part.bytes.len())
            .zip(0..)
            .collect();
        old.by_len.sort_unstable();
        old
    }

    fn add_parts(&mut self, label: &str, parts: &[anatomy::Part]) {
        for part in parts {
            let name = format!("{} in {label}", part.name);
            match part.looks {
                PartLooks::Tar => {
                    let added = self.add(&name, part.bytes.clone());
                    self.tars.extend(added);
                }
                PartLooks::Compressed(_) => {
                    self.add(&format!("{name}, as it is"), part.bytes.clone());
                    self.undecoded.push(anatomy::Part {
                        name,
                        ..part.clone()
                    });
                }
                PartLooks::Other if part.is_named_by_digest => {
                    self.add(&name, part.bytes.clone());
                }
                // Such as a manifest, which is another one each time that an image is saved.
                PartLooks::Other => {}
            }
        }
    }

    /// Adds a part, unless there are too many already: what is in others then counts as new.
    fn add(&mut self, name: &str, bytes: Slice) -> Option<u32> {
        if self.parts.len() >= PARTS {
            return None;
        }
        self.parts.push(OldPart {
            name: name.chars().take(NAME).collect(),
            bytes,
            sha256: None,
        });
        u32::try_from(self.parts.len() - 1).ok()
    }

    /// Decodes what is compressed and indexes the entries of all tars.
    pub(super) fn index(&mut self, options: &Options<'_>) -> Result<(), DeltaError> {
        self.decode(options)?;
        let walked = jobs::map(
            options.jobs,
            &self.tars,
            |_| 1,
            |&part| walk(&self.parts[part as usize].bytes, part),
        );
        let mut keys = Vec::new();
        for walked in walked {
            for (entry, key) in walked? {
                self.entries.push(entry);
                keys.push(key);
            }
            options
                .limits
                .check_count(Limit::Entries, self.entries.len())
                .map_err(|source| DeltaError::TooMuch {
                    path: "OLD".to_owned(),
                    source,
                })?;
        }
        for &part in &self.no_tars {
            self.entries.push(OldEntry {
                part,
                header: 0,
                header_len: 0,
                size: self.parts[part as usize].bytes.len(),
            });
            keys.push(Keys::of_no_tar());
        }
        let sorted = |hash: fn(&Keys) -> u64| {
            let all = keys.iter().zip(&self.entries).zip(0_u32..);
            let mut all: Sorted = all
                .map(|((key, entry), at)| (hash(key), entry.size, at))
                .collect();
            all.sort_unstable();
            all
        };
        self.names = [
            sorted(|key| key.path),
            sorted(|key| key.stem),
            sorted(|key| key.base),
            sorted(|key| key.base_stem),
        ];
        Ok(())
    }

    fn decode(&mut self, options: &Options<'_>) -> Result<(), DeltaError> {
        let undecoded = std::mem::take(&mut self.undecoded);
        if undecoded.is_empty() {
            return Ok(());
        }
        let stage = options.progress.stage(Stage {
            what: steps::DECOMPRESSING,
            unit: "layer",
            parts: undecoded.len(),
            total: undecoded.iter().map(|part| part.bytes.len()).sum(),
        });
        let decoded = jobs::map(
            options.jobs,
            &undecoded,
            |part| part.bytes.len(),
            |part| {
                let PartLooks::Compressed(compression) = part.looks else {
                    return Ok(None);
                };
                let task = stage.begin(steps::DECOMPRESSING, Some(part.bytes.len()));
                anatomy::decoded(&part.bytes, compression, &*task)
            },
        );
        for (content, part) in decoded.into_iter().zip(undecoded) {
            if let Some(content) = content? {
                let is_tar = anatomy::looks(&content.bytes)? == PartLooks::Tar;
                let Some(added) = self.add(&part.name, content.bytes) else {
                    break;
                };
                self.parts[added as usize].sha256 = Some(content.sha256);
                if is_tar {
                    self.tars.push(added);
                }
            }
        }
        Ok(())
    }

    /// The part that has the very bytes of `new`.
    pub(super) fn equal_part(&self, new: &Slice) -> Result<Option<u32>, SourceError> {
        let from = self.by_len.partition_point(|(len, _)| *len < new.len());
        let same_len = self.by_len[from..]
            .iter()
            .take_while(|(len, _)| *len == new.len());
        for &(_, part) in same_len.take(OF_SIZE) {
            if is_equal(&self.parts[part as usize].bytes, new)? {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// The body of an entry.
    pub(super) fn body(&self, entry: &OldEntry) -> Slice {
        let part = &self.parts[entry.part as usize];
        part.bytes.slice(Span {
            offset: entry.body(),
            len: entry.size,
        })
    }

    /// The entry of the same path, the last of several.
    pub(super) fn same_path(&self, keys: Keys) -> Option<u32> {
        let all = named(&self.names[By::Path as usize], keys.path);
        all.iter().map(|(.., entry)| *entry).max()
    }

    /// An entry with the very bytes of `new`: one of the same path if there is one.
    pub(super) fn equal(&self, keys: Keys, new: &Slice) -> Result<Option<u32>, SourceError> {
        let of_path = named(&self.names[By::Path as usize], keys.path);
        let of_path = of_path
            .iter()
            .rev()
            .filter(|(_, size, _)| *size == new.len());
        for &(.., entry) in of_path.take(LOOKED_AT) {
            if self.has(entry, new)? {
                return Ok(Some(entry));
            }
        }
        let sample = sampled(new)?;
        let contents = self.contents()?;
        let like = named(contents, sample);
        let like = like.iter().filter(|(_, size, _)| *size == new.len());
        for &(.., entry) in like.take(LOOKED_AT) {
            if self.has(entry, new)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn has(&self, entry: u32, new: &Slice) -> Result<bool, SourceError> {
        is_equal(&self.body(&self.entries[entry as usize]), new)
    }

    /// Samples of all bodies; made when a new file is not where it was.
    fn contents(&self) -> Result<&Sorted, SourceError> {
        if let Some(contents) = self.contents.get() {
            return Ok(contents);
        }
        let mut all = Vec::new();
        for (entry, at) in self.entries.iter().zip(0..) {
            if entry.size > 0 {
                all.push((sampled(&self.body(entry))?, entry.size, at));
            }
        }
        all.sort_unstable();
        Ok(self.contents.get_or_init(|| all))
    }

    /// The entry that a new file most likely comes from: by its path, by its name, then by its content.
    pub(super) fn partner(&self, keys: Keys, new: &Slice) -> Result<Option<u32>, SourceError> {
        let of_path = named(&self.names[By::Path as usize], keys.path);
        let with_body = of_path.iter().filter(|(_, size, _)| *size > 0);
        if let Some(entry) = with_body.map(|(.., entry)| *entry).max() {
            return Ok(Some(entry));
        }
        let others = [
            (By::Stem, keys.stem),
            (By::Base, keys.base),
            (By::BaseStem, keys.base_stem),
        ];
        let by_name = others.into_iter().find_map(|(by, key)| {
            let all = named(&self.names[by as usize], key);
            nearest_in_size(all, new.len())
        });
        match by_name {
            Some(entry) => Ok(Some(entry)),
            None => self.sketches()?.nearest(new),
        }
    }

    /// Sketches of all bodies; made when a new file has no name that helps.
    fn sketches(&self) -> Result<&Sketches, SourceError> {
        if let Some(sketches) = self.sketches.get() {
            return Ok(sketches);
        }
        let bodies = (0..).zip(&self.entries);
        let sketches = Sketches::of(bodies.map(|(at, entry)| (at, self.body(entry))))?;
        Ok(self.sketches.get_or_init(|| sketches))
    }
}

/// Of entries of one name, the one that is nearest in size, if none is much larger than the other.
fn nearest_in_size(all: &[(u64, u64, u32)], size: u64) -> Option<u32> {
    let above = all.partition_point(|(_, it, _)| *it < size);
    let near = [above.checked_sub(1), Some(above)];
    let near = near.into_iter().flatten().filter_map(|at| all.get(at));
    let near = near.filter(|(_, it, _)| *it > 0 && it.max(&size) / RATIO <= *it.min(&size));
    near.min_by_key(|(_, it, entry)| (it.abs_diff(size), *entry))
        .map(|(.., entry)| *entry)
}

/// Those that have a hash.
fn named(all: &Sorted, hash: u64) -> &[(u64, u64, u32)] {
    let from = all.partition_point(|(it, ..)| *it < hash);
    let len = all[from..].partition_point(|(it, ..)| *it == hash);
    &all[from..from + len]
}

fn walk(tar: &Slice, part: u32) -> Result<Vec<(OldEntry, Keys)>, DeltaError> {
    let mut entries = TarEntries::of(tar);
    let mut all = Vec::new();
    while let Some(walked) = entries.next()? {
        let entry = OldEntry {
            part,
            header: walked.header,
            header_len: walked.body - walked.header,
            size: walked.size,
        };
        all.push((entry, walked.keys));
        let limits = tar.source().limits();
        limits
            .check_count(Limit::Entries, all.len())
            .map_err(|source| DeltaError::TooMuch {
                path: tar.source().label(),
                source,
            })?;
    }
    Ok(all)
}
