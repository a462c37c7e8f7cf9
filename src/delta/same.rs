//! Whether bytes are the same, and what can be known of that without reading all of them.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::DeltaError;
use crate::base::constants::BUFFER;
use crate::base::digest::{Digest, Hasher};
use crate::source::{Slice, SourceError};

/// How much of the beginning and of the end of a file is hashed to find others like it, in bytes.
const SAMPLE: usize = 4096;

/// A hash of the size, the beginning and the end.
pub(super) fn sampled(bytes: &Slice) -> Result<u64, SourceError> {
    let mut buf = [0; SAMPLE];
    let mut hasher = DefaultHasher::new();
    bytes.len().hash(&mut hasher);
    let n = bytes.read_at(&mut buf, 0)?;
    buf[..n].hash(&mut hasher);
    if bytes.len() > SAMPLE as u64 {
        let n = bytes.read_at(&mut buf, bytes.len() - SAMPLE as u64)?;
        buf[..n].hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// Whether two slices have the same bytes.
pub(super) fn is_equal(one: &Slice, other: &Slice) -> Result<bool, SourceError> {
    if one.len() != other.len() {
        return Ok(false);
    }
    if one.is_same(other) {
        return Ok(true);
    }
    let size = usize::try_from(one.len())
        .unwrap_or(usize::MAX)
        .min(64 << 10);
    let (mut left, mut right) = (vec![0; size], vec![0; size]);
    let mut at = 0;
    while at < one.len() {
        let n = one.read_at(&mut left, at)?;
        let m = other.read_at(&mut right, at)?;
        if n == 0 || left[..n] != right[..m] {
            return Ok(false);
        }
        at += n as u64;
    }
    Ok(true)
}

/// The SHA-256 of a slice.
pub(super) fn digest(slice: &Slice) -> Result<Digest, DeltaError> {
    let mut hasher = Hasher::sha256();
    let mut buf = vec![0; BUFFER];
    let mut at = 0;
    while at < slice.len() {
        let n = slice.read_at(&mut buf, at)?;
        hasher.update(&buf[..n]);
        at += n as u64;
    }
    Ok(hasher.finish())
}
