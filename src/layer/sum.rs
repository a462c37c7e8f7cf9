//! The digests of a layer: of its stored bytes and of the tar in them, in one pass.

use std::io::{self, BufReader, Read};

use super::{Allowance, Inventory, LayerError};
use crate::base::digest::{Algorithm, Digest, Hasher, HashingReader};
use crate::base::progress::{Task, Watched};
use crate::source::{Compression, Slice, SourceError};
use crate::tar::{Cursor, Positioned, Streamed, TarError, Walker};

/// How much is read and hashed at a time: large enough that system calls cost nothing, small enough
/// to stay in a core's cache between the read and the hash.
const BUFFER: usize = 256 * 1024;

/// The digests and sizes of one stored blob.
#[derive(Debug)]
pub struct LayerSum {
    /// The digest of the stored bytes, if it was wanted.
    pub stored: Option<Digest>,
    /// The digest of the uncompressed bytes.
    pub tar: Digest,
    /// The length of the uncompressed bytes.
    pub tar_size: u64,
    /// Whether bytes that are not part of the compressed stream follow it.
    pub trailing: bool,
    /// Where something other than zeros follows the end of the tar, if it was asked whether the
    /// bytes are one; in uncompressed bytes.
    pub after_tar: Option<u64>,
    /// Why the uncompressed bytes are no sound tar, if it was asked whether they are one.
    pub tar_fault: Option<LayerError>,
    /// What is wrong with the compression behind the end of the tar; the digest is of what could be
    /// decoded. Docker does not read that far, others do.
    pub tail_fault: Option<LayerError>,
    /// Whether the tar ends without its end-of-archive blocks, if it was asked whether it is one.
    pub end_missing: bool,
    /// The entries of the tar, as far as it is sound, if it was asked whether it is one.
    pub inventory: Inventory,
}

/// Which digests are wanted of a blob.
#[derive(Clone, Debug)]
pub struct SumWanted {
    /// The algorithm for the stored bytes; `None` to leave them alone where they are compressed.
    pub stored: Option<Algorithm>,
    /// The algorithm for the uncompressed bytes.
    pub tar: Algorithm,
    /// Whether the uncompressed bytes should be a tar.
    pub is_layer: bool,
}

impl SumWanted {
    /// The diff ID alone.
    pub fn diff_id() -> Self {
        Self {
            stored: None,
            tar: Algorithm::Sha256,
            is_layer: false,
        }
    }
}

/// The SHA-256 of the uncompressed bytes alone: the diff ID.
///
/// # Errors
///
/// [`LayerError`] if it cannot be read or its compression is damaged.
pub fn digest(
    slice: &Slice,
    compression: Compression,
    task: &dyn Task,
) -> Result<Digest, LayerError> {
    sum(slice, compression, &SumWanted::diff_id(), task).map(|sum| sum.tar)
}

/// What [`sum_and_note`] does, without noting entries.
///
/// # Errors
///
/// As [`sum_and_note`].
pub fn sum(
    slice: &Slice,
    compression: Compression,
    wanted: &SumWanted,
    task: &dyn Task,
) -> Result<LayerSum, LayerError> {
    sum_and_note(slice, compression, wanted, &Allowance::none(), task)
}

/// Reads a blob once and computes its digests; `allowance` limits what is noted of its entries, if it
/// is a layer. Algorithms that cannot be computed are replaced by
/// SHA-256 for the uncompressed bytes, and left out for the stored ones.
///
/// # Errors
///
/// [`LayerError`] if it cannot be read or its compression is damaged. A tar that is none is no
/// error, see [`LayerSum::tar_fault`].
pub fn sum_and_note(
    slice: &Slice,
    compression: Compression,
    wanted: &SumWanted,
    allowance: &Allowance,
    task: &dyn Task,
) -> Result<LayerSum, LayerError> {
    let tar_hasher = Hasher::for_algorithm(&wanted.tar).unwrap_or_else(Hasher::sha256);
    let stored_hasher = wanted.stored.as_ref().and_then(Hasher::for_algorithm);
    if compression == Compression::None {
        return plain(slice, tar_hasher, stored_hasher, wanted, allowance, task);
    }
    let len = slice.len();
    let told = Watched::new(slice.reader(), task);
    let reader = Tee {
        inner: told,
        hasher: stored_hasher,
    };
    let reader = BufReader::with_capacity(BUFFER, reader);
    let decoder = slice
        .decode(compression, reader)
        .map_err(LayerError::Read)?;
    let mut tar = HashingReader::new(decoder, tar_hasher);
    let mut cursor = Streamed::new(
        BufReader::with_capacity(BUFFER, &mut tar),
        slice.source().limits(),
    );
    let mut inventory = Inventory::default();
    let walked = if wanted.is_layer {
        take_stock(&mut cursor, &mut inventory, allowance).map(|end| !end.is_marked)
    } else {
        Ok(false)
    };
    let drained = first_set_byte_ahead(&mut cursor);
    drop(cursor);
    let (digest, tar_size, decoder) = tar.finish();
    let offset = decoder.get_ref().get_ref().inner.get_ref().position();
    let walked = walked.map_err(|e| LayerError::from_walk(e, compression, offset, len));
    let (tar_fault, end_missing) = match walked {
        Ok(end_missing) => (None, end_missing),
        Err(fault @ LayerError::Tar(_)) => (Some(fault), false),
        Err(error) => return Err(error),
    };
    let drained = drained.map_err(|e| LayerError::from_read(e, compression, offset, len));
    let (after_tar, tail_fault) = match drained {
        Ok(after_tar) => (after_tar, None),
        Err(error) if error.is_environment() || !wanted.is_layer || tar_fault.is_some() => {
            return Err(error);
        }
        Err(error) => (None, Some(error)),
    };
    let after_tar = after_tar.filter(|_| wanted.is_layer && tar_fault.is_none());
    let trailing = decoder.has_trailing_data();
    // What follows the compressed stream is part of the stored blob.
    let mut rest = decoder.into_inner();
    io::copy(&mut rest, &mut io::sink())
        .map_err(|e| LayerError::from_read(e, compression, offset, len))?;
    let stored = rest.into_inner().hasher.map(Hasher::finish);
    Ok(LayerSum {
        stored,
        tar: digest,
        tar_size,
        trailing,
        after_tar,
        tar_fault,
        tail_fault,
        end_missing,
        inventory,
    })
}

/// An uncompressed blob: the stored bytes are the tar, so one digest serves for both.
fn plain(
    slice: &Slice,
    mut tar: Hasher,
    stored: Option<Hasher>,
    wanted: &SumWanted,
    allowance: &Allowance,
    task: &dyn Task,
) -> Result<LayerSum, LayerError> {
    let mut other = stored.filter(|_| wanted.stored.as_ref() != Some(&wanted.tar));
    let mut buf = vec![0; BUFFER];
    let mut offset = 0;
    loop {
        let n = read_at(slice, &mut buf, offset)?;
        if n == 0 {
            break;
        }
        tar.update(&buf[..n]);
        if let Some(other) = &mut other {
            other.update(&buf[..n]);
        }
        offset += n as u64;
        task.advance(n as u64);
    }
    let tar = tar.finish();
    let stored = match (&wanted.stored, other) {
        (None, _) => None,
        (Some(_), Some(other)) => Some(other.finish()),
        (Some(algorithm), None) => Some(tar.clone()).filter(|tar| tar.algorithm() == algorithm),
    };
    look_at_plain(slice, tar, stored, wanted, allowance)
}

/// What [`sum_and_note`] says of uncompressed bytes whose digest is known: `tar`, by the algorithm that
/// is wanted of them; one for the stored bytes is not computed, they are the same.
///
/// # Errors
///
/// [`LayerError::Read`] if the operating system fails.
pub(crate) fn sum_of_plain(
    slice: &Slice,
    tar: Digest,
    wanted: &SumWanted,
    allowance: &Allowance,
) -> Result<LayerSum, LayerError> {
    let is_wanted = wanted.stored.as_ref() == Some(tar.algorithm());
    let stored = is_wanted.then(|| tar.clone());
    look_at_plain(slice, tar, stored, wanted, allowance)
}

fn look_at_plain(
    slice: &Slice,
    tar: Digest,
    stored: Option<Digest>,
    wanted: &SumWanted,
    allowance: &Allowance,
) -> Result<LayerSum, LayerError> {
    // The headers are walked by position, which costs little beside the hashing: bodies are skipped,
    // and what is read was read a moment ago.
    let mut inventory = Inventory::default();
    let (mut tar_fault, mut after_tar, mut end_missing) = (None, None, false);
    if wanted.is_layer {
        let mut cursor = Positioned::new(slice.clone());
        let walked = take_stock(&mut cursor, &mut inventory, allowance);
        match walked.map_err(|e| LayerError::from_walk(e, Compression::None, 0, slice.len())) {
            Ok(end) => {
                end_missing = !end.is_marked;
                after_tar = first_set_byte(slice, end.position)
                    .map_err(|e| LayerError::Read(io::Error::other(e)))?;
            }
            Err(fault @ LayerError::Tar(_)) => tar_fault = Some(fault),
            Err(error) => return Err(error),
        }
    }
    Ok(LayerSum {
        stored,
        tar,
        tar_size: slice.len(),
        trailing: false,
        after_tar,
        tar_fault,
        tail_fault: None,
        end_missing,
        inventory,
    })
}

/// Where something other than zeros follows the end of a tar; writers pad with zeros.
///
/// # Errors
///
/// [`LayerError::Read`] if the operating system fails.
pub(crate) fn first_set_byte(slice: &Slice, end: u64) -> Result<Option<u64>, SourceError> {
    let mut buf = vec![0; BUFFER];
    let mut offset = end;
    loop {
        let n = slice.read_at(&mut buf, offset)?;
        if n == 0 {
            return Ok(None);
        }
        if let Some(i) = buf[..n].iter().position(|&b| b != 0) {
            return Ok(Some(offset + i as u64));
        }
        offset += n as u64;
    }
}

/// The same for a stream, which is read to its end.
fn first_set_byte_ahead<C: Cursor>(cursor: &mut C) -> io::Result<Option<u64>> {
    let mut buf = vec![0; BUFFER];
    let mut found = None;
    loop {
        let start = cursor.position();
        let n = cursor.fill(&mut buf)?;
        if n == 0 {
            return Ok(found);
        }
        if found.is_none() {
            found = buf[..n]
                .iter()
                .position(|&b| b != 0)
                .map(|i| start + i as u64);
        }
    }
}

fn read_at(slice: &Slice, buf: &mut [u8], offset: u64) -> Result<usize, LayerError> {
    slice
        .read_at(buf, offset)
        .map_err(|e| LayerError::Read(io::Error::other(e)))
}

/// How a walk ended.
struct End {
    /// Whether there were end-of-archive blocks.
    is_marked: bool,
    /// Where, those included.
    position: u64,
}

/// Goes from header to header to the end-of-archive blocks, and notes every entry.
fn take_stock<C: Cursor>(
    cursor: &mut C,
    inventory: &mut Inventory,
    allowance: &Allowance,
) -> Result<End, TarError> {
    let mut walker = Walker::new(cursor);
    while let Some(entry) = walker.next_entry()? {
        if !allowance.is_used_up() {
            inventory.note(&entry, allowance);
        }
    }
    Ok(End {
        is_marked: walker.end_is_marked(),
        position: walker.position(),
    })
}

/// Digests what is read through it, if a digest is wanted.
#[derive(Debug)]
struct Tee<R> {
    inner: R,
    hasher: Option<Hasher>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..n]);
        }
        Ok(n)
    }
}
