//! Finding what a delta needs in the archives that the receiver has.
//!
//! Sources are found by size and SHA-256, wherever they are: the layers of an archive that was saved again, in another
//! layout or with another compression, serve as well.
//!
//! Threats, and what is done about them: nothing is looked up by a name from the delta; only what has the size of a
//! source is hashed, once; what is compressed is decoded only while something is missing, within the limits of its
//! archive, and kept only if it is a source.

use std::collections::{HashMap, HashSet};

use super::anatomy::{self, Anatomy, Inside, Part, PartLooks};
use super::same::digest;
use super::{DeltaError, DeltaFile};
use crate::base::digest::Digest;
use crate::base::jobs;
use crate::base::options::Options;
use crate::base::progress::{Stage, steps};
use crate::source::{Input, Slice};

/// Finds all sources of a delta, in their order.
///
/// # Errors
///
/// [`DeltaError::Lacks`] with those that are missing.
pub(super) fn find(
    delta: &DeltaFile,
    old: &[Input],
    options: &Options<'_>,
) -> Result<Vec<Slice>, DeltaError> {
    let needed = &delta.description().sources;
    let mut missing: HashMap<u64, HashSet<Digest>> = HashMap::new();
    for source in needed {
        let of_size = missing.entry(source.size).or_default();
        of_size.insert(source.sha256.clone());
    }
    let mut search = Search {
        missing,
        found: HashMap::new(),
        options,
    };
    let archives = old.iter().map(Anatomy::of);
    let archives: Vec<Anatomy> = archives.collect::<Result<_, _>>()?;
    search.plain(&archives)?;
    if !search.missing.is_empty() {
        search.compressed(&archives)?;
    }
    let sources = needed
        .iter()
        .map(|source| search.found.get(&source.sha256).cloned());
    let sources: Option<Vec<Slice>> = sources.collect();
    sources.ok_or_else(|| {
        let missing = needed
            .iter()
            .filter(|source| !search.found.contains_key(&source.sha256));
        DeltaError::Lacks {
            path: delta.path(),
            needed: needed.len(),
            missing: missing.cloned().collect(),
        }
    })
}

struct Search<'s> {
    /// What is not found yet, by size, so that one look tells whether bytes are worth hashing.
    missing: HashMap<u64, HashSet<Digest>>,
    found: HashMap<Digest, Slice>,
    options: &'s Options<'s>,
}

impl Search<'_> {
    /// Whether something of this size is still missing.
    fn lacks(&self, len: u64) -> bool {
        self.missing.contains_key(&len)
    }

    fn note(&mut self, digest: Digest, bytes: Slice) {
        let len = bytes.len();
        let Some(of_size) = self.missing.get_mut(&len) else {
            return;
        };
        if of_size.remove(&digest) {
            if of_size.is_empty() {
                self.missing.remove(&len);
            }
            self.found.insert(digest, bytes);
        }
    }

    /// What need not be decoded.
    fn plain(&mut self, archives: &[Anatomy]) -> Result<(), DeltaError> {
        let mut candidates: Vec<Slice> = Vec::new();
        for archive in archives {
            candidates.push(archive.whole());
            let stored = archive.input.stored().whole();
            if !archive.whole().is_same(&stored) {
                candidates.push(stored);
            }
            if let Inside::Archive(parts) = &archive.inside {
                candidates.extend(parts.iter().map(|part| part.bytes.clone()));
            }
        }
        candidates.retain(|bytes| self.lacks(bytes.len()));
        if candidates.is_empty() {
            return Ok(());
        }
        let stage = self.options.progress.stage(Stage {
            what: steps::HASHING,
            unit: "source",
            parts: candidates.len(),
            total: candidates.iter().map(Slice::len).sum(),
        });
        let digests = jobs::map(self.options.jobs, &candidates, Slice::len, |bytes| {
            let task = stage.begin(steps::HASHING, Some(bytes.len()));
            let digest = digest(bytes);
            task.advance(bytes.len());
            digest
        });
        for (digest, bytes) in digests.into_iter().zip(candidates) {
            self.note(digest?, bytes);
        }
        Ok(())
    }

    /// What is compressed.
    fn compressed(&mut self, archives: &[Anatomy]) -> Result<(), DeltaError> {
        let mut parts: Vec<&Part> = Vec::new();
        for archive in archives {
            if let Inside::Archive(all) = &archive.inside {
                let compressed = |part: &&Part| matches!(part.looks, PartLooks::Compressed(_));
                parts.extend(all.iter().filter(compressed));
            }
        }
        let stage = self.options.progress.stage(Stage {
            what: steps::DECOMPRESSING,
            unit: "layer",
            parts: parts.len(),
            total: parts.iter().map(|part| part.bytes.len()).sum(),
        });
        let decoded = jobs::map(
            self.options.jobs,
            &parts,
            |part| part.bytes.len(),
            |part| {
                let PartLooks::Compressed(compression) = part.looks else {
                    return Ok(None);
                };
                let task = stage.begin(steps::DECOMPRESSING, Some(part.bytes.len()));
                let content = anatomy::decoded(&part.bytes, compression, &*task)?;
                // The others give their room back at once.
                Ok::<_, DeltaError>(content.filter(|content| self.lacks(content.bytes.len())))
            },
        );
        for content in decoded {
            if let Some(content) = content? {
                self.note(content.sha256, content.bytes);
            }
        }
        Ok(())
    }
}
