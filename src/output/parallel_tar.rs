//! A tar written at known places by several threads at once.
//!
//! A walk over the tree says where everything will stand before anything is written. Then one piece of
//! work writes the headers and the small bodies, in order, and the large bodies are written where they
//! belong by whoever reads their layer: each layer is read once, for its digest and for its bodies.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::iter::{Copied, Peekable};
use std::slice;

use super::WriteError;
use super::entries::Entries;
use super::header::encode_header;
use super::tar::TarWriter;
use crate::base::digest::{DiffId, Hasher};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, Task};
use crate::layer::LayerTar;
use crate::layer::passes::{self, Begun, Pass, Read, Work};
use crate::source::write_at;
use crate::source::{Slice, Span, is_copied_to_in_kernel};

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

/// A piece of work.
enum Piece {
    /// Headers and small bodies.
    Rest,
    /// A whole layer is read for its digest, and what belongs in the tar is written on the way; the flag
    /// says that nobody else reads that.
    Layer(usize, Vec<Move>, bool, Hasher),
    /// Some bodies of a layer are copied; the flag says that nobody else reads them.
    Bodies(usize, Vec<Move>, bool),
}

/// What a piece of work leads to.
enum Done {
    Rest { entries: u64, bytes: u64 },
    Digest(usize, DiffId),
    Nothing,
}

/// What was written.
pub(super) struct Placed {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// The diff IDs of the layers that were to be hashed.
    pub(super) digests: HashMap<usize, DiffId>,
}

/// Writes `entries`, whose bodies are in `layers`, to `file`, which is empty; of the layers that
/// `hash` has a hasher for, the digests are computed.
pub(super) fn write(
    entries: &Entries<'_>,
    layers: &[LayerTar],
    hash: impl Fn(usize) -> Option<Hasher>,
    file: &File,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Placed, WriteError> {
    let plan = Plan::new(entries, layers.len())?;
    let task = progress.begin("writing", Some(plan.large));
    let pieces = pieces(plan, layers, hash, jobs);
    let writing = Writing {
        entries,
        layers,
        file,
        task: &*task,
    };
    let done = passes::map(jobs, &pieces, |(cost, _)| *cost, &writing);
    let mut placed = Placed {
        entries: 0,
        bytes: 0,
        digests: HashMap::new(),
    };
    for done in done {
        match done? {
            Done::Rest { entries, bytes } => (placed.entries, placed.bytes) = (entries, bytes),
            Done::Digest(layer, id) => drop(placed.digests.insert(layer, id)),
            Done::Nothing => {}
        }
    }
    Ok(placed)
}

/// Divides the work, each piece with its cost.
fn pieces(
    plan: Plan,
    layers: &[LayerTar],
    hash: impl Fn(usize) -> Option<Hasher>,
    jobs: Jobs,
) -> Vec<(u64, Piece)> {
    let mut hashers: Vec<Option<Hasher>> = (0..layers.len()).map(hash).collect();
    let hashing = layers
        .iter()
        .zip(&hashers)
        .filter(|(_, hasher)| hasher.is_some());
    let all = hashing.map(|(layer, _)| layer.len() * HASH).sum::<u64>();
    let all = all + plan.large * COPY + plan.rest;
    let share = all / jobs.count() as u64;
    // Several layers of an image can be one blob.
    let place = |layer: &LayerTar| (layer.bytes().source().identity(), layer.bytes().span());
    let mut users: HashMap<(usize, Span), usize> = HashMap::new();
    for layer in layers {
        *users.entry(place(layer)).or_default() += 1;
    }
    let mut pieces = vec![(plan.rest, Piece::Rest)];
    for (layer, moves) in plan.moves.into_iter().enumerate() {
        let copy = moves.iter().map(|m| m.from.len).sum::<u64>() * COPY;
        // A layer is hashed from its first byte to its last by one thread. If that alone is more than
        // a fair share of all the work, other threads copy what is in it.
        let alone = users[&place(&layers[layer])] == 1;
        let hasher = hashers[layer].take();
        let is_hashed = hasher.is_some();
        let mut moves = moves;
        if let Some(hasher) = hasher {
            let digest = layers[layer].len() * HASH;
            let (cost, here) = if digest + copy <= share {
                (digest + copy, std::mem::take(&mut moves))
            } else {
                (digest, Vec::new())
            };
            let last = alone && moves.is_empty();
            pieces.push((cost, Piece::Layer(layer, here, last, hasher)));
        }
        for group in groups(moves) {
            let cost = group.iter().map(|m| m.from.len).sum::<u64>() * COPY;
            pieces.push((cost, Piece::Bodies(layer, group, alone && !is_hashed)));
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
fn write_rest(entries: &Entries<'_>, file: &File) -> Result<Done, WriteError> {
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
    Ok(Done::Rest {
        entries: count,
        bytes,
    })
}

/// How the pieces are worked at.
struct Writing<'w> {
    entries: &'w Entries<'w>,
    layers: &'w [LayerTar],
    file: &'w File,
    task: &'w dyn Task,
}

impl<'t, 'w> Work<'t, (u64, Piece)> for Writing<'w> {
    type Pass = Reading<'t, 'w>;
    type Done = Result<Done, WriteError>;

    fn is_pass(&self, (_, piece): &(u64, Piece)) -> bool {
        matches!(piece, Piece::Layer(..))
    }

    fn cost(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(HASH)
    }

    fn begin(&self, (_, piece): &'t (u64, Piece)) -> Begun<Self::Pass, Self::Done> {
        match piece {
            Piece::Rest => Begun::Done(write_rest(self.entries, self.file)),
            Piece::Layer(layer, moves, last, hasher) => {
                let reading = Reading {
                    layer: self.layers[*layer].bytes(),
                    moves: moves.iter().copied().peekable(),
                    last: *last,
                    file: self.file,
                    task: self.task,
                    offset: 0,
                };
                Begun::Pass(reading, hasher.clone())
            }
            Piece::Bodies(layer, moves, last) => {
                let copied = copy_bodies(
                    self.layers[*layer].bytes(),
                    moves,
                    *last,
                    self.file,
                    self.task,
                );
                Begun::Done(copied.map(|()| Done::Nothing))
            }
        }
    }

    fn end(&self, (_, piece): &'t (u64, Piece), read: Read<Self::Pass>) -> Self::Done {
        let digest = DiffId::from(read?.1);
        Ok(match piece {
            Piece::Layer(layer, ..) => Done::Digest(*layer, digest),
            _ => Done::Nothing,
        })
    }
}

/// A layer that is read from its first byte to its last: it is hashed, and what belongs in the tar is
/// written. If nobody reads those bytes after it, and they are in a temporary file, their room goes back
/// to the system, which uses the same pages for the output while they are warm.
struct Reading<'t, 'w> {
    layer: &'w Slice,
    moves: Peekable<Copied<slice::Iter<'t, Move>>>,
    last: bool,
    file: &'w File,
    task: &'w dyn Task,
    offset: u64,
}

impl Pass for Reading<'_, '_> {
    type Error = WriteError;

    fn left(&self) -> u64 {
        self.layer.len() - self.offset
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize, WriteError> {
        Ok(self.layer.read_at(buf, self.offset)?)
    }

    fn hashed(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let end = self.offset + bytes.len() as u64;
        while let Some(next) = self.moves.peek_mut() {
            if next.from.offset >= end {
                break;
            }
            let start = next.from.offset - self.offset;
            let len = next.from.len.min(end - next.from.offset);
            // Both lie within what was read, so they fit.
            let bytes = &bytes[usize_of(start)..usize_of(start + len)];
            write_at(self.file, bytes, next.to).map_err(WriteError::Write)?;
            if self.last {
                let written = Span { len, ..next.from };
                self.layer.slice(written).discard();
            }
            self.task.advance(len);
            next.from.offset += len;
            next.from.len -= len;
            next.to += len;
            if next.from.len > 0 {
                break;
            }
            self.moves.next();
        }
        self.offset = end;
        Ok(())
    }
}

/// Copies some bodies of a layer, and gives back their room as [`Reading`] does.
fn copy_bodies(
    layer: &Slice,
    moves: &[Move],
    last: bool,
    file: &File,
    task: &dyn Task,
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
            if last {
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
