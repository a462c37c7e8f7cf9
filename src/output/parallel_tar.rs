//! A tar written at known places by several threads at once.
//!
//! A walk over the tree says where everything will stand before anything is written. Then one piece of
//! work writes the headers and the small bodies, in order, and the large bodies are written where they
//! belong by whoever reads their layer: each layer is read once, for its digest and for its bodies.

use std::fs::File;
use std::io::{self, Write};

use super::WriteError;
use super::entries::Entries;
use super::header::encode_header;
use super::tar::TarWriter;
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, Task};
use crate::layer::digest::{Alongside, Outcome, Proof, Request, Wanted, Work, run};
use crate::layer::{LayerError, LayerTar};
use crate::source::{ByPlace, Compression, Slice, SourceError, Span};
use crate::source::{is_copied_to_in_kernel, write_at};
use crate::tree::TreeError;

/// Bodies from this size on, in bytes, are written by whoever reads their layer. Below it a system
/// call for each costs more than reading the bytes a second time.
const LARGE: u64 = 32 << 10;
/// How much is read, hashed and written at a time: it stays in a core's cache in between.
const BUFFER: usize = 256 << 10;
/// How much the kernel is asked to copy at a time, in bytes: little enough for a bar to move.
const KERNEL: u64 = 4 << 20;
/// How much of what needs no hash one piece of work copies, in bytes.
const PIECE: u64 = 32 << 20;
/// What work costs, each in the same unit: hashing and copying a byte, a header.
const HASH: u64 = 3;
const COPY: u64 = 2;
const HEADER: u64 = 4_000;

/// A stretch of a layer that belongs in the tar.
#[derive(Clone, Copy, Debug)]
struct Move {
    /// Where it is in the layer.
    from: Span,
    /// Where it goes in the tar, in bytes.
    to: u64,
}

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

/// Whether bytes of a layer are needed after they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    /// Somebody else reads them.
    Kept,
    /// Nobody does. If they are in a temporary file, their room goes back to the system, which uses the
    /// same pages for the output while they are warm.
    GivenBack,
}

impl Afterwards {
    fn given_back(is_last: bool) -> Self {
        if is_last { Self::GivenBack } else { Self::Kept }
    }
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

/// Writes `entries`, whose bodies are in `layers`, to `file`, which is empty; of the layers that are
/// `wanted` the digests are computed.
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
    let output = Output { file, task: &*task };
    let pieces = pieces(plan, layers, wanted, output, jobs);
    let cost = |work: &Work<'_, Copying<'_>, (u64, Piece)>| match work {
        Work::Read(request) => request.alongside.cost,
        Work::Other((cost, _)) => *cost,
    };
    let piece = |(_, piece): &(u64, Piece)| -> Result<Written, WriteError> {
        match piece {
            Piece::Rest => write_rest(entries, file).map(Some),
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
    output: Output<'w>,
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
fn write_rest(entries: &Entries<'_>, file: &File) -> Result<(u64, u64), WriteError> {
    let at = At { file, position: 0 };
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

/// Where bodies are written.
#[derive(Clone, Copy, Debug)]
struct Output<'w> {
    file: &'w File,
    task: &'w dyn Task,
}

/// What belongs in the tar of a layer that is read for its digest.
#[derive(Debug)]
struct Copying<'w> {
    /// The number of the digest that is wanted.
    number: usize,
    layer: &'w Slice,
    moves: Vec<Move>,
    afterwards: Afterwards,
    cost: u64,
    output: Output<'w>,
}

/// How far a layer was copied.
#[derive(Debug, Default)]
struct Copied {
    /// How many bytes were read.
    offset: u64,
    /// How many moves are done, and how many bytes of the next one.
    moves: usize,
    bytes: u64,
}

impl Alongside for Copying<'_> {
    type State = Copied;
    type Made = usize;
    type Error = WriteError;

    fn unread(&self, error: LayerError) -> WriteError {
        match error {
            LayerError::Read(error) => match error.downcast::<SourceError>() {
                Ok(error) => WriteError::Read(error),
                Err(error) => WriteError::Write(error),
            },
            source => {
                let layer = self.number;
                TreeError::Layer { layer, source }.into()
            }
        }
    }

    fn begin(&self) -> Result<Copied, WriteError> {
        Ok(Copied::default())
    }

    fn take(&self, copied: &mut Copied, bytes: &[u8]) -> Result<(), WriteError> {
        let end = copied.offset + bytes.len() as u64;
        while let Some(next) = self.moves.get(copied.moves) {
            let from = next.from.offset + copied.bytes;
            if from >= end {
                break;
            }
            let start = from - copied.offset;
            let len = (next.from.len - copied.bytes).min(end - from);
            // Both lie within what was read, so they fit.
            let bytes = &bytes[usize_of(start)..usize_of(start + len)];
            write_at(self.output.file, bytes, next.to + copied.bytes).map_err(WriteError::Write)?;
            if self.afterwards == Afterwards::GivenBack {
                let written = Span { offset: from, len };
                self.layer.slice(written).discard();
            }
            self.output.task.advance(len);
            copied.bytes += len;
            if copied.bytes < next.from.len {
                break;
            }
            (copied.moves, copied.bytes) = (copied.moves + 1, 0);
        }
        copied.offset = end;
        Ok(())
    }

    fn end(&self, _copied: Copied, _proof: &Proof) -> Result<usize, WriteError> {
        Ok(self.number)
    }
}

/// Copies some bodies of a layer.
fn copy_bodies(
    layer: &Slice,
    moves: &[Move],
    afterwards: Afterwards,
    Output { file, task }: Output<'_>,
) -> Result<(), WriteError> {
    let mut buffer = Vec::new();
    let mut in_kernel = is_copied_to_in_kernel(file);
    for Move { from, to } in moves {
        let slice = layer.slice(*from);
        let mut offset = 0;
        while offset < slice.len() {
            let len = (slice.len() - offset).min(KERNEL);
            let rest = slice.slice(Span { offset, len });
            let mut copied = 0;
            if in_kernel {
                copied = rest.copy_in_kernel(file, to + offset);
                // What goes wrong is found out once more by reading and writing, and told there.
                in_kernel = copied > 0;
            }
            if copied == 0 {
                buffer.resize(BUFFER, 0);
                let n = rest.read_at(&mut buffer, 0)?;
                write_at(file, &buffer[..n], to + offset).map_err(WriteError::Write)?;
                copied = n as u64;
            }
            if afterwards == Afterwards::GivenBack {
                let len = copied;
                slice.slice(Span { offset, len }).discard();
            }
            offset += copied;
            task.advance(copied);
        }
    }
    Ok(())
}

fn usize_of(small: u64) -> usize {
    usize::try_from(small).unwrap_or(usize::MAX)
}

/// Writes to a file from a position on, which other threads do not move.
#[derive(Debug)]
struct At<'w> {
    file: &'w File,
    position: u64,
}

impl Write for At<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        write_at(self.file, buf, self.position)?;
        self.position += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
