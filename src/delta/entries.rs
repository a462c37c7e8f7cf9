//! The entries of a tar, old or new, with everything that is between them, and what they are found by.
//!
//! Threats, and what is done about them: headers are read by [`Walker`] with its limits; a body that is not all there
//! is not an entry; entries never overlap, since each begins behind the one before.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use bstr::ByteSlice;

use super::DeltaError;
use super::header::BLOCK;
use crate::source::Slice;
use crate::tar::{Entry, Kind, Positioned, Walker};

/// Hashes that an entry is found by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub(super) path: u64,
    /// The path with every number replaced, as versions in it change.
    pub(super) stem: u64,
    pub(super) base: u64,
    pub(super) base_stem: u64,
}

impl Keys {
    pub(super) fn of(path: &[u8]) -> Self {
        let path = path
            .strip_prefix(b"./")
            .unwrap_or(path)
            .trim_with(|c| c == '/');
        let base = path.rfind_byte(b'/').map_or(path, |at| &path[at + 1..]);
        Self {
            path: hashed(path),
            stem: hashed(&stem(path)),
            base: hashed(base),
            base_stem: hashed(&stem(base)),
        }
    }

    /// Those of a file that is not a tar, so that it is compared with others of that kind.
    pub(super) fn of_no_tar() -> Self {
        Self::of(b"\0")
    }
}

/// The shortest run of hex digits that is taken for a hash in a name.
const HASH_IN_NAME: usize = 8;

/// A path with every number, and every hash as builds put them into names, replaced by one mark.
fn stem(path: &[u8]) -> Vec<u8> {
    let mut stem = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(&byte) = rest.first() {
        let hex = run(rest, u8::is_ascii_hexdigit);
        let digits = run(rest, u8::is_ascii_digit);
        let len = if hex >= HASH_IN_NAME { hex } else { digits };
        match &rest[..len] {
            [] => stem.push(byte),
            // A long word.
            letters if !letters.iter().any(u8::is_ascii_digit) => stem.extend_from_slice(letters),
            _ => stem.push(0),
        }
        rest = &rest[len.max(1)..];
    }
    stem
}

/// How many bytes at the beginning are of a kind.
fn run(bytes: &[u8], is_of_kind: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_of_kind(byte)).count()
}

fn hashed(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// An entry of a tar and everything between it and the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    /// Where the headers begin: behind the last body and its padding.
    pub(super) header: u64,
    /// Where the body begins.
    pub(super) body: u64,
    /// Its size.
    pub(super) size: u64,
    pub(super) keys: Keys,
}

/// The entries of a tar as far as it can be read, and what follows them. Bodies that are cut are not entries.
#[derive(Debug)]
pub(super) struct TarEntries {
    walker: Walker<Positioned>,
    path: String,
    len: u64,
    /// What is behind the last entry.
    pub(super) end: u64,
    is_done: bool,
}

impl TarEntries {
    pub(super) fn of(tar: &Slice) -> Self {
        Self {
            walker: Walker::new(Positioned::new(tar.clone())),
            path: tar.source().label(),
            len: tar.len(),
            end: 0,
            is_done: false,
        }
    }

    /// The next entry.
    ///
    /// # Errors
    ///
    /// Only if the file cannot be read. A tar that is damaged ends there.
    pub(super) fn next(&mut self) -> Result<Option<Walked>, DeltaError> {
        while !self.is_done {
            let entry = match self.walker.next_entry() {
                Ok(Some(entry)) if entry.kind == Kind::Global => continue,
                Ok(Some(entry)) => entry,
                Err(source) if source.is_environment() => {
                    let path = self.path.clone();
                    return Err(DeltaError::Walk { path, source });
                }
                Ok(None) | Err(_) => break,
            };
            let Some(walked) = self.walked(&entry) else {
                break;
            };
            return Ok(Some(walked));
        }
        self.is_done = true;
        Ok(None)
    }

    fn walked(&mut self, entry: &Entry) -> Option<Walked> {
        let end = entry.data_offset.checked_add(entry.stored_size)?;
        if end > self.len || entry.data_offset < self.end {
            return None;
        }
        let walked = Walked {
            header: self.end,
            body: entry.data_offset,
            size: entry.stored_size,
            keys: Keys::of(&entry.path),
        };
        self.end = end.next_multiple_of(BLOCK as u64).min(self.len);
        Some(walked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_hashes_do_not_count() {
        let is_same = |one: &str, other: &str| {
            Keys::of(one.as_bytes()).stem == Keys::of(other.as_bytes()).stem
        };
        assert!(is_same(
            "usr/lib/python3.11/a.py",
            "./usr/lib/python3.12/a.py"
        ));
        assert!(is_same(
            "static/main.3f9c2d1e.js",
            "static/main.77aabbcc0.js"
        ));
        assert!(!is_same("static/main.decade.js", "static/main.facade.js"));
        assert!(!is_same("a/b", "a/c"));
    }
}
