//! Tars written to a file by several threads at once, each part at the place where it belongs.
//!
//! A walk over what will be written says first where everything goes. Stored bytes are then read once, by
//! one thread: for their digest, if one is wanted, and for the large bodies in them, which that thread writes.
//! Headers and small bodies are work of their own.

use std::fs::File;
use std::sync::Mutex;

use super::WriteError;
use super::copying::{Afterwards, Copying, CopyingError, Move, SharedFile, WriteFrom, copy_bodies};
use super::entries::EntryContent;
use super::header::{HeaderFields, encode_header};
use super::tar::{END, TarWriter};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, Task};
use crate::layer::LayerError;
use crate::layer::digest::{Outcome, Proof, Request, VERIFYING, Wanted, Work, run};
use crate::source::{ByPlace, Compression, Slice, Span};
use crate::tree::FileBody;

/// Bodies from this size on, in bytes, are written by whoever reads their layer. Below it a system
/// call for each costs more than reading the bytes a second time.
const LARGE: u64 = 32 << 10;
/// How much of what needs no hash one piece of work copies, in bytes.
const PIECE: u64 = 32 << 20;
/// What work costs, each in the same unit: hashing and copying a byte, a header.
const HASH: u64 = 3;
const COPY: u64 = 2;
const HEADER: u64 = 4_000;

/// Where in a file the entries of a tar go.
#[derive(Debug)]
pub(super) struct Placing {
    /// Where the next header goes, in bytes.
    position: u64,
    /// The large bodies by layer, as they follow each other there.
    moves: Vec<Vec<Move>>,
    /// The cost of the rest.
    rest: u64,
    /// A header under construction.
    header: Vec<u8>,
}

impl Placing {
    /// Begins at `position`. Bodies come from so many layers.
    pub(super) fn new(position: u64, layers: usize) -> Self {
        Self {
            position,
            moves: vec![Vec::new(); layers],
            rest: 0,
            header: Vec::new(),
        }
    }

    /// Takes the next header; returns where its body begins.
    pub(super) fn header(&mut self, fields: &HeaderFields<'_>) -> u64 {
        self.header.clear();
        encode_header(&mut self.header, fields);
        self.position += self.header.len() as u64;
        self.rest += HEADER;
        self.position
    }

    /// Takes a body of `len` bytes, which begins at the position.
    pub(super) fn body(&mut self, len: u64) {
        let padded = len.saturating_add(len.wrapping_neg() % 512);
        self.position = self.position.saturating_add(padded);
    }

    /// Takes the next entry.
    pub(super) fn entry(&mut self, fields: &HeaderFields<'_>, content: Option<&EntryContent<'_>>) {
        let to = self.header(fields);
        let Some(content) = content else { return };
        let len = content.body.size;
        if is_large(&content.body) {
            let offset = content.offset;
            let from = Span { offset, len };
            if let Some(moves) = self.moves.get_mut(content.layer) {
                moves.push(Move { from, to });
            }
        } else {
            self.rest = self
                .rest
                .saturating_add(content.body.stored.len().saturating_mul(COPY));
        }
        self.body(len);
    }

    /// How long the tar is: what was taken and the end.
    pub(super) fn len(&self) -> u64 {
        self.position.saturating_add(END)
    }

    /// The large bodies of each layer in the order of the layer, and what the rest costs.
    pub(super) fn finish(mut self) -> (Vec<Vec<Move>>, u64) {
        for moves in &mut self.moves {
            moves.sort_unstable_by_key(|m| m.from.offset);
        }
        (self.moves, self.rest)
    }
}

/// Appends a header, and the body unless it is large: then its place is left for whoever reads its layer.
pub(super) fn write_small(
    writer: &mut TarWriter<WriteFrom<'_>>,
    fields: &HeaderFields<'_>,
    content: Option<&EntryContent<'_>>,
) -> Result<(), WriteError> {
    writer.header(fields)?;
    match content {
        Some(content) if is_large(&content.body) => writer.leave_out(content.body.size),
        Some(content) => writer.body(&content.body),
        None => Ok(()),
    }
}

/// Whether a body is written by whoever reads its layer. Sparse ones are put together elsewhere.
fn is_large(body: &FileBody<'_>) -> bool {
    body.sparse.is_none() && body.size >= LARGE
}

/// Stored bytes, and what is to become of them.
#[derive(Debug)]
pub(super) struct Stored<'w> {
    pub(super) bytes: &'w Slice,
    pub(super) compression: Compression,
    /// Which digests are wanted, if any, and the number of that wish.
    pub(super) wanted: Option<(usize, Wanted)>,
    /// Where stretches of them go, which follow each other and do not overlap. There are no moves if the
    /// bytes are compressed and digests are wanted: what is read then are the uncompressed bytes.
    pub(super) moves: Vec<Move>,
    /// Whether somebody reads them later.
    pub(super) afterwards: Afterwards,
}

/// A piece of work that digests nothing.
enum Piece<O> {
    /// Copies some stretches of stored bytes.
    Copy(usize, Vec<Move>, Afterwards),
    /// Something that only the caller knows.
    Other(O),
}

/// All work: bytes that are read for their digests, and pieces with what they cost.
type Pieces<'w, O> = Vec<Work<'w, Copying<'w>, (u64, Piece<O>)>>;

/// What was proven of bytes that were read for their digests, or why they could not be read.
pub(super) type Proofs = Vec<Result<Proof, LayerError>>;

/// Copies `stored` bytes to `file` and does `others` by `other`, each with what it costs. Returns what was
/// proven, by the numbers of the wishes, and the results of the others, in their order.
///
/// # Errors
///
/// [`WriteError`] if something cannot be written, or if bytes that are only copied cannot be read.
pub(super) fn copy_all<O: Sync, D: Send>(
    stored: Vec<Stored<'_>>,
    others: Vec<(u64, O)>,
    other: &(dyn Fn(&O, SharedFile<'_>) -> Result<D, WriteError> + Sync),
    (file, task): (&File, &dyn Task),
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(Proofs, Vec<D>), WriteError> {
    let turn = Mutex::default();
    let output = SharedFile {
        file,
        turn: &turn,
        task,
    };
    let bytes: Vec<&Slice> = stored.iter().map(|stored| stored.bytes).collect();
    let pieces = pieces(stored, others, output, jobs);
    let cost = |work: &Work<'_, Copying<'_>, (u64, Piece<O>)>| match work {
        Work::Read(request) => request.alongside.cost,
        Work::Other((cost, _)) => *cost,
    };
    let piece = |(_, piece): &(u64, Piece<O>)| -> Result<Option<D>, WriteError> {
        match piece {
            Piece::Other(of) => other(of, output).map(Some),
            Piece::Copy(from, moves, afterwards) => {
                copy_bodies(bytes[*from], moves, *afterwards, output).map(|()| None)
            }
        }
    };
    let (mut proofs, mut made) = (Vec::new(), Vec::new());
    for done in run(jobs, &pieces, cost, HASH, &piece, progress) {
        match done {
            Outcome::Read(Ok((proof, number))) => proofs.push((number, Ok(proof))),
            Outcome::Read(Err(CopyingError::Unread(number, error))) => {
                proofs.push((number, Err(error)));
            }
            Outcome::Read(Err(CopyingError::Write(error))) => return Err(error),
            Outcome::Other(done) => made.extend(done?),
        }
    }
    proofs.sort_unstable_by_key(|(number, _)| *number);
    Ok((proofs.into_iter().map(|(_, proof)| proof).collect(), made))
}

/// Divides the work.
fn pieces<'w, O>(
    stored: Vec<Stored<'w>>,
    others: Vec<(u64, O)>,
    output: SharedFile<'w>,
    jobs: Jobs,
) -> Pieces<'w, O> {
    let copied = |moves: &[Move]| moves.iter().map(|m| m.from.len).sum::<u64>() * COPY;
    let hashed = |stored: &Stored<'_>| stored.wanted.as_ref().map_or(0, |_| stored.bytes.len());
    let costs = stored
        .iter()
        .map(|stored| hashed(stored) * HASH + copied(&stored.moves));
    let all = costs.chain(others.iter().map(|(cost, _)| *cost));
    let share = all.fold(0, u64::saturating_add) / jobs.count() as u64;
    // The same bytes can be stored for several reasons.
    let mut users: ByPlace<usize> = ByPlace::new();
    for stored in &stored {
        let user = users.add(stored.bytes, || 0);
        *users.at_mut(user) += 1;
    }
    let others = others.into_iter();
    let mut pieces: Pieces<'w, O> = others
        .map(|(cost, other)| Work::Other((cost, Piece::Other(other))))
        .collect();
    for (from, stored) in stored.into_iter().enumerate() {
        let (bytes, mut moves) = (stored.bytes, stored.moves);
        // Bytes are hashed from the first to the last by one thread. If that alone is more than a fair
        // share of all the work, other threads copy what is in them.
        let is_last = stored.afterwards == Afterwards::GivenBack && users.get(bytes) == Some(&1);
        let is_read = stored.wanted.is_some();
        if let Some((number, wanted)) = stored.wanted {
            let digest = bytes.len() * HASH;
            let copy = copied(&moves);
            let (cost, here) = if digest + copy <= share {
                (digest + copy, std::mem::take(&mut moves))
            } else {
                (digest, Vec::new())
            };
            pieces.push(Work::Read(Request {
                bytes,
                compression: stored.compression,
                wanted,
                // What is copied on the way is told as written.
                task: here.is_empty().then(|| VERIFYING.to_owned()),
                alongside: Copying {
                    number,
                    from: bytes,
                    moves: here,
                    afterwards: Afterwards::given_back(is_last && moves.is_empty()),
                    cost,
                    output,
                },
            }));
        }
        let afterwards = Afterwards::given_back(is_last && !is_read);
        for group in groups(moves) {
            let cost = copied(&group);
            pieces.push(Work::Other((cost, Piece::Copy(from, group, afterwards))));
        }
    }
    pieces
}

/// Cuts a list into pieces of about [`PIECE`] bytes.
fn groups(moves: Vec<Move>) -> Vec<Vec<Move>> {
    let mut groups = Vec::new();
    let (mut group, mut bytes) = (Vec::new(), 0);
    for mut whole in moves {
        while whole.from.len > 0 {
            let len = whole.from.len.min(PIECE - bytes);
            let from = Span { len, ..whole.from };
            group.push(Move { from, ..whole });
            whole.from.offset += len;
            whole.from.len -= len;
            whole.to += len;
            bytes += len;
            if bytes == PIECE {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}
