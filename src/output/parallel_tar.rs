//! A tar written at known places by several threads at once.
//!
//! A walk over the tree computes all offsets before anything is written. Then one piece of
//! work writes the headers and the small bodies, in order, and each large body is written to its place
//! by the thread that reads its layer: each layer is read once, for its digest and for its bodies.

use std::fs::File;
use std::sync::Mutex;

use super::WriteError;
use super::copying::{Afterwards, Copying, Move, SharedFile, WriteFrom, copy_bodies};
use super::entries::Entries;
use super::header::encode_header;
use super::tar::TarWriter;
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::layer::LayerTar;
use crate::layer::digest::{Outcome, Proof, Request, Wanted, Work, run};
use crate::source::{ByPlace, Compression, Span};

/// Bodies from this size on, in bytes, are written by the thread that reads their layer. Below it a system
/// call for each costs more than reading the bytes a second time.
const LARGE: u64 = 32 << 10;
/// How much of what needs no hash one piece of work copies, in bytes.
const PIECE: u64 = 32 << 20;
/// What work costs, each in the same unit: hashing and copying a byte, a header.
const HASH: u64 = 3;
const COPY: u64 = 2;
const HEADER: u64 = 4_000;

/// What is known before the first byte is written.
struct Plan {
    /// The large bodies, by layer, as they follow each other there.
    moves: Vec<Vec<Move>>,
    /// The cost of the rest.
    rest: u64,
    /// How many bytes the large bodies have.
    large: u64,
}

impl Plan {
    fn new(entries: &Entries<'_>, layers: usize) -> Result<Self, WriteError> {
        let mut moves = vec![Vec::new(); layers];
        let (mut position, mut rest, mut large) = (0_u64, 0_u64, 0_u64);
        let mut header = Vec::new();
        entries.each(|fields, content| {
            header.clear();
            encode_header(&mut header, fields);
            position += header.len() as u64;
            rest += HEADER;
            let Some(content) = content else {
                return Ok(());
            };
            let size = content.body.size;
            if is_large(&content.body) {
                let from = Span {
                    offset: content.offset,
                    len: size,
                };
                if let Some(moves) = moves.get_mut(content.layer) {
                    moves.push(Move { from, to: position });
                }
                large += size;
            } else {
                rest = rest.saturating_add(content.body.stored.len() * COPY);
            }
            position = position.saturating_add(size.saturating_add(size.wrapping_neg() % 512));
            Ok(())
        })?;
        for moves in &mut moves {
            moves.sort_unstable_by_key(|m| m.from.offset);
        }
        Ok(Self { moves, rest, large })
    }
}

fn is_large(body: &crate::tree::FileBody<'_>) -> bool {
    body.sparse.is_none() && body.size >= LARGE
}

/// A piece of work that digests nothing.
enum Piece {
    /// Headers and small bodies.
    Rest,
    /// Some bodies of a layer are copied.
    Bodies(usize, Vec<Move>, Afterwards),
}

/// All work: layers that are read for their digests, and pieces with what they cost.
type Pieces<'w> = Vec<Work<'w, Copying<'w>, (u64, Piece)>>;

/// How many entries were written, and how many bytes the tar has.
type Written = Option<(u64, u64)>;

/// What was written.
pub(super) struct Placed {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// What was proven of the layers that were to be hashed, in their order.
    pub(super) proofs: Vec<Proof>,
}

/// Writes `entries`, whose bodies are in `layers`, to `file`, which is empty; the digests of the layers
/// in `wanted` are computed.
pub(super) fn write(
    entries: &Entries<'_>,
    layers: &[LayerTar],
    wanted: &[(usize, Wanted)],
    file: &File,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Placed, WriteError> {
    let plan = Plan::new(entries, layers.len())?;
    let task = progress.begin("writing", Some(plan.large));
    let turn = Mutex::default();
    let output = SharedFile {
        file,
        turn: &turn,
        task: &*task,
    };
    let pieces = pieces(plan, layers, wanted, output, jobs);
    let cost = |work: &Work<'_, Copying<'_>, (u64, Piece)>| match work {
        Work::Read(request) => request.alongside.cost,
        Work::Other((cost, _)) => *cost,
    };
    let piece = |(_, piece): &(u64, Piece)| -> Result<Written, WriteError> {
        match piece {
            Piece::Rest => write_rest(entries, output).map(Some),
            Piece::Bodies(layer, moves, afterwards) => {
                copy_bodies(layers[*layer].bytes(), moves, *afterwards, output).map(|()| None)
            }
        }
    };
    let mut placed = Placed {
        entries: 0,
        bytes: 0,
        proofs: Vec::new(),
    };
    let mut proofs = Vec::new();
    for done in run(jobs, &pieces, cost, HASH, &piece, progress) {
        match done {
            Outcome::Read(answer) => {
                let (proof, number) = answer?;
                proofs.push((number, proof));
            }
            Outcome::Other(written) => {
                if let Some((entries, bytes)) = written? {
                    (placed.entries, placed.bytes) = (entries, bytes);
                }
            }
        }
    }
    proofs.sort_by_key(|(number, _)| *number);
    placed.proofs = proofs.into_iter().map(|(_, proof)| proof).collect();
    Ok(placed)
}

/// Divides the work.
fn pieces<'w>(
    plan: Plan,
    layers: &'w [LayerTar],
    wanted: &[(usize, Wanted)],
    output: SharedFile<'w>,
    jobs: Jobs,
) -> Pieces<'w> {
    let hashed = wanted.iter().filter_map(|(layer, _)| layers.get(*layer));
    let all = hashed.map(|tar| tar.len() * HASH).sum::<u64>();
    let all = all + plan.large * COPY + plan.rest;
    let share = all / jobs.count() as u64;
    // Several layers of an image can be one blob.
    let mut users: ByPlace<usize> = ByPlace::new();
    for tar in layers {
        let user = users.add(tar.bytes(), || 0);
        *users.at_mut(user) += 1;
    }
    let mut pieces = vec![Work::Other((plan.rest, Piece::Rest))];
    for (layer, mut moves) in plan.moves.into_iter().enumerate() {
        let bytes = layers[layer].bytes();
        let copy = moves.iter().map(|m| m.from.len).sum::<u64>() * COPY;
        // A layer is hashed from its first byte to its last by one thread. If that alone is more than
        // a fair share of all the work, other threads copy what is in it.
        let is_alone = users.get(bytes) == Some(&1);
        let number = wanted.iter().position(|(wanted, _)| *wanted == layer);
        if let Some(number) = number {
            let digest = bytes.len() * HASH;
            let (cost, here) = if digest + copy <= share {
                (digest + copy, std::mem::take(&mut moves))
            } else {
                (digest, Vec::new())
            };
            let afterwards = Afterwards::given_back(is_alone && moves.is_empty());
            pieces.push(Work::Read(Request {
                bytes,
                compression: Compression::None,
                wanted: wanted[number].1.clone(),
                task: None,
                alongside: Copying {
                    number,
                    layer: bytes,
                    moves: here,
                    afterwards,
                    cost,
                    output,
                },
            }));
        }
        let afterwards = Afterwards::given_back(is_alone && number.is_none());
        for group in groups(moves) {
            let cost = group.iter().map(|m| m.from.len).sum::<u64>() * COPY;
            pieces.push(Work::Other((cost, Piece::Bodies(layer, group, afterwards))));
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

/// Writes headers and small bodies, in order, and leaves room for the large ones.
fn write_rest(entries: &Entries<'_>, output: SharedFile<'_>) -> Result<(u64, u64), WriteError> {
    let at = WriteFrom {
        output,
        position: 0,
    };
    let mut writer = TarWriter::with_holes(at, |at, len| at.position += len);
    let count = entries.each(|fields, content| {
        writer.header(fields)?;
        match content {
            Some(content) if is_large(&content.body) => writer.leave_out(content.body.size),
            Some(content) => writer.body(&content.body),
            None => Ok(()),
        }
    })?;
    let (_, bytes) = writer.finish_record()?;
    Ok((count, bytes))
}
