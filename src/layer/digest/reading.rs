//! A blob that should be a layer, read once: its digests, whether it is a tar, and its entries.

use std::io::{self, BufReader};

use super::proof::{Proof, Wanted};
use super::request::unreadable;
use crate::base::constants::BUFFER;
use crate::base::digest::{BlobDigest, DiffId, Digest, HashingReader};
use crate::base::progress::Task;
use crate::layer::decoded::{Decoded, Told};
use crate::layer::outline::Outlining;
use crate::layer::{Allowance, Bodies, Inventory, LayerError, LayerOutline};
use crate::source::{Compression, Slice, SourceError};
use crate::tar::{Cursor, Entry, Positioned, Streamed, TarError, Walker};

/// The outcome of reading a blob that should be a layer.
#[derive(Debug)]
pub struct LayerReading {
    /// Its digests.
    pub digests: Digests,
    /// Whether bytes that are not part of the compressed data follow it.
    pub trailing: bool,
    /// Whether the uncompressed bytes are a tar.
    pub tar: TarState,
    /// The entries of the tar, as far as it is sound.
    pub inventory: Inventory,
    /// Its headers, if bodies were asked for and it was read to its end.
    pub(crate) outline: Option<LayerOutline>,
}

/// The digests of a blob, as far as it could be decoded.
#[derive(Debug)]
pub enum Digests {
    /// All of it was read.
    Whole(Proof),
    /// The compression is damaged behind the end of the tar. Docker does not read that far, other engines do.
    UpToDamage {
        /// The diff ID of what could be decoded, which proves nothing.
        diff_id: DiffId,
        /// The digest of the stored bytes, if it was asked for.
        stored: Option<Digest>,
        /// What is wrong behind the end of the tar.
        fault: LayerError,
    },
}

/// Whether bytes are a tar.
#[derive(Debug)]
pub enum TarState {
    /// A sound one.
    Sound {
        /// Whether it ends with its end-of-archive blocks.
        end_marked: bool,
        /// Where something other than zeros follows its end, in uncompressed bytes.
        after: Option<u64>,
    },
    /// None, or one that is damaged.
    Unsound(LayerError),
}

impl LayerReading {
    /// The diff ID of what could be decoded: of all of it, unless [`Self::tail_fault`] says otherwise.
    pub fn diff_id(&self) -> &DiffId {
        match &self.digests {
            Digests::Whole(proof) => proof.diff_id(),
            Digests::UpToDamage { diff_id, .. } => diff_id,
        }
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        matches!(&self.digests, Digests::Whole(proof) if proof.size() == 0)
    }

    /// The digest of the stored bytes, if it was asked for.
    pub fn stored(&self) -> Option<&Digest> {
        match &self.digests {
            Digests::Whole(proof) => proof.stored().map(BlobDigest::digest),
            Digests::UpToDamage { stored, .. } => stored.as_ref(),
        }
    }

    /// What is wrong with the compression behind the end of the tar.
    pub fn tail_fault(&self) -> Option<&LayerError> {
        match &self.digests {
            Digests::Whole(_) => None,
            Digests::UpToDamage { fault, .. } => Some(fault),
        }
    }

    /// Why the uncompressed bytes are not a sound tar.
    pub fn tar_fault(&self) -> Option<&LayerError> {
        match &self.tar {
            TarState::Sound { .. } => None,
            TarState::Unsound(fault) => Some(fault),
        }
    }

    /// Looks at the tar of a layer that is stored uncompressed and of which this is proven: the headers
    /// are walked by position, which costs little beside the hashing, since bodies are skipped and what
    /// is read was read a moment ago.
    pub(crate) fn of_plain(
        bytes: &Slice,
        proof: Proof,
        allowance: &Allowance,
    ) -> Result<Self, LayerError> {
        let mut inventory = Inventory::default();
        let mut cursor = Positioned::new(bytes.clone());
        let walked = take_stock(&mut cursor, &mut inventory, allowance, |_, _| {});
        let walked =
            walked.map_err(|e| LayerError::from_walk(e, Compression::None, 0, bytes.len()));
        let tar = match walked {
            Ok(end) => TarState::Sound {
                end_marked: end.is_marked,
                after: first_set_byte(bytes, end.position).map_err(unreadable)?,
            },
            Err(fault @ LayerError::Tar(_)) => TarState::Unsound(fault),
            Err(error) => return Err(error),
        };
        Ok(Self {
            digests: Digests::Whole(proof),
            trailing: false,
            tar,
            inventory,
            outline: None,
        })
    }

    /// Decodes a compressed layer from its first byte to its last, digests it, and looks at its tar on
    /// the way. `allowance` limits what is noted of its entries; `bodies` are shown to whom it may concern, and
    /// the headers are kept then.
    ///
    /// # Errors
    ///
    /// [`LayerError`] if it cannot be read or its compression is damaged.
    pub(crate) fn of_compressed(
        bytes: &Slice,
        compression: Compression,
        wanted: &Wanted,
        allowance: &Allowance,
        bodies: Option<&mut dyn Bodies>,
        task: &dyn Task,
    ) -> Result<Self, LayerError> {
        let told = Told::Shared(task);
        let decoded = Decoded::new(bytes, compression, wanted.stored_hasher(), told)?;
        let mut tar = HashingReader::new(decoded, wanted.tar_hasher());
        let mut cursor = Streamed::new(
            BufReader::with_capacity(BUFFER, &mut tar),
            bytes.source().limits(),
        );
        let mut inventory = Inventory::default();
        let (walked, outlined) = match bodies {
            None => {
                let walked = take_stock(&mut cursor, &mut inventory, allowance, |_, _| {});
                (walked, None)
            }
            Some(bodies) => {
                let mut outlining = Outlining::new(cursor, bodies)?;
                let walked =
                    take_stock(&mut outlining, &mut inventory, allowance, Outlining::entry);
                let (inner, outlined) = outlining.end();
                cursor = inner;
                (walked, Some(outlined?))
            }
        };
        let drained = first_set_byte_ahead(&mut cursor);
        drop(cursor);
        let (digest, size, decoded) = tar.finish();
        let (at, len) = (decoded.position(), bytes.len());
        let walked = walked.map_err(|e| LayerError::from_walk(e, compression, at, len));
        let drained = drained.map_err(|e| decoded.fault(e));
        let (tar, tail_fault) = match (walked, drained) {
            (Ok(end), Ok(after)) => {
                let end_marked = end.is_marked;
                (TarState::Sound { end_marked, after }, None)
            }
            (Ok(_), Err(error)) if error.is_environment() => return Err(error),
            (Ok(end), Err(fault)) => {
                let (end_marked, after) = (end.is_marked, None);
                (TarState::Sound { end_marked, after }, Some(fault))
            }
            (Err(fault @ LayerError::Tar(_)), Ok(_)) => (TarState::Unsound(fault), None),
            (Err(LayerError::Tar(_)), Err(error)) | (Err(error), _) => return Err(error),
        };
        let rest = decoded.finish()?;
        let outlined = outlined.filter(|_| tail_fault.is_none());
        let outline = outlined.map(|outlined| outlined.finish(size, bytes));
        Ok(Self {
            digests: match tail_fault {
                None => Digests::Whole(Proof::new(digest, rest.stored, size)),
                Some(fault) => Digests::UpToDamage {
                    diff_id: DiffId::from(digest),
                    stored: rest.stored,
                    fault,
                },
            },
            trailing: rest.trailing,
            tar,
            inventory,
            outline: outline.transpose()?,
        })
    }
}

/// Where something other than zeros follows the end of a tar; writers pad with zeros.
///
/// # Errors
///
/// As [`Slice::read_at`].
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

/// How a walk ended.
struct End {
    /// Whether there were end-of-archive blocks.
    is_marked: bool,
    /// Where, those included.
    position: u64,
}

/// Goes from header to header to the end-of-archive blocks, and notes every entry. `met` is told of each
/// before its body.
fn take_stock<C: Cursor>(
    cursor: &mut C,
    inventory: &mut Inventory,
    allowance: &Allowance,
    mut met: impl FnMut(&mut C, &Entry),
) -> Result<End, TarError> {
    let mut walker = Walker::new(cursor);
    while let Some(entry) = walker.next_entry()? {
        if !allowance.is_used_up() {
            inventory.note(&entry, allowance);
        }
        met(walker.cursor_mut(), &entry);
    }
    Ok(End {
        is_marked: walker.end_is_marked(),
        position: walker.position(),
    })
}
