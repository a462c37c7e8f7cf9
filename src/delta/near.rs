//! Files that resemble each other by their contents, whatever they are called.
//!
//! Of each file, the few smallest hashes of all words in its beginning are kept (a min-hash sketch): files that share
//! most of their words share some of these, wherever the words are. It is only looked for where no name helps: a
//! partner that was found so is compared like any other, so a wrong one costs size and nothing else.
//!
//! Threats, and what is done about them: at most [`MOST`] old files have a sketch, of at most [`BEGINNING`] bytes each;
//! words of one repeated byte are left out, so files of zeros resemble nothing; of the old files that share a hash, at
//! most [`SHARED`] are counted.

use std::collections::HashMap;

use crate::source::{Slice, SourceError, Span};

/// How many hashes of a file are kept.
const KEPT: usize = 8;

/// How many of them two files must share.
const ENOUGH: u32 = 2;

/// How many bytes of a file are looked at.
const BEGINNING: u64 = 128 << 10;

/// The smallest file that has a sketch, in bytes.
pub(super) const SMALLEST: u64 = 1024;

/// How many old files have one.
const MOST: usize = 200_000;

/// How many old files are counted for one hash.
const SHARED: usize = 64;

/// The sketches of old files, by hash.
#[derive(Debug, Default)]
pub(super) struct Sketches(Vec<(u64, u32)>);

impl Sketches {
    /// Those of all files that are large enough: `entries` with their bodies.
    pub(super) fn of(entries: impl Iterator<Item = (u32, Slice)>) -> Result<Self, SourceError> {
        let mut all = Vec::new();
        let large = entries.filter(|(_, body)| body.len() >= SMALLEST);
        for (entry, body) in large.take(MOST) {
            let hashes = sketch(&body)?;
            all.extend(hashes.iter().map(|hash| (*hash, entry)));
        }
        all.sort_unstable();
        all.dedup();
        Ok(Self(all))
    }

    /// The old file that shares the most hashes with `new`, if it shares enough; of several the first.
    pub(super) fn nearest(&self, new: &Slice) -> Result<Option<u32>, SourceError> {
        if new.len() < SMALLEST {
            return Ok(None);
        }
        let mut shared: HashMap<u32, u32> = HashMap::new();
        for hash in sketch(new)? {
            let from = self.0.partition_point(|(it, _)| *it < hash);
            let same = self.0[from..].iter().take_while(|(it, _)| *it == hash);
            for (_, entry) in same.take(SHARED) {
                *shared.entry(*entry).or_default() += 1;
            }
        }
        let enough = shared.into_iter().filter(|(_, count)| *count >= ENOUGH);
        let best = enough.max_by_key(|(entry, count)| (*count, std::cmp::Reverse(*entry)));
        Ok(best.map(|(entry, _)| entry))
    }
}

/// The smallest hashes of the words of a file.
fn sketch(body: &Slice) -> Result<Vec<u64>, SourceError> {
    let beginning = body.slice(Span {
        offset: 0,
        len: BEGINNING,
    });
    let bytes = beginning.read_all()?;
    let mut kept: Vec<u64> = Vec::with_capacity(KEPT + 1);
    let mut most = u64::MAX;
    for word in bytes.windows(8) {
        let Ok(word) = <[u8; 8]>::try_from(word) else {
            break;
        };
        let number = u64::from_le_bytes(word);
        let hash = mixed(number);
        if hash >= most || number == u64::from(word[0]) * 0x0101_0101_0101_0101 {
            continue;
        }
        if let Err(at) = kept.binary_search(&hash) {
            kept.insert(at, hash);
            kept.truncate(KEPT);
            if kept.len() == KEPT {
                most = kept[KEPT - 1];
            }
        }
    }
    Ok(kept)
}

/// A hash of a word whose high bits depend on all of its bits (the finalizer of `MurmurHash3`).
fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::options::Options;
    use crate::source::Input;

    fn slice(bytes: &[u8]) -> Slice {
        let input = Input::from_reader(bytes.to_vec(), "bytes", &Options::default());
        input.expect("memory").source().whole()
    }

    fn text(seed: u64, len: usize) -> Vec<u8> {
        let words = (0_u64..).map(|i| mixed(mixed(i ^ (seed << 32))).to_le_bytes());
        words.flatten().take(len).collect()
    }

    #[test]
    fn a_file_is_found_that_was_moved_within_and_changed() {
        let olds = [text(1, 50_000), text(900_000, 50_000), vec![0; 50_000]];
        let entries = olds.iter().enumerate();
        let entries = entries.map(|(at, bytes)| (u32::try_from(at).expect("few"), slice(bytes)));
        let sketches = Sketches::of(entries).expect("memory");
        let mut new = olds[1].clone();
        new.splice(100..100, text(77, 333));
        for at in (0..new.len()).step_by(1000) {
            new[at] ^= 1;
        }
        assert_eq!(sketches.nearest(&slice(&new)).expect("memory"), Some(1));
        let other = text(5_000_000, 50_000);
        assert_eq!(sketches.nearest(&slice(&other)).expect("memory"), None);
        let zeros = vec![0; 60_000];
        assert_eq!(sketches.nearest(&slice(&zeros)).expect("memory"), None);
    }
}
