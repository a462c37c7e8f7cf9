//! Stretches of stored bytes copied to their places in a file, beside a layer's hashing or on their own.
//!
//! Systems let one thread at a time write to a file. A thread that hashes a layer does not wait for that:
//! its output waits, and it goes on hashing.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::WriteError;
use crate::base::constants::BUFFER;
use crate::base::progress::Task;
use crate::layer::LayerError;
use crate::layer::digest::{Alongside, Proof};
use crate::source::{Slice, Span};
use crate::source::{is_copied_to_in_kernel, write_at};

/// How many bytes of a layer that is hashed wait in memory at most while another thread writes.
const WAITING: usize = 1 << 20;
/// How much the kernel is asked to copy at a time, in bytes: few enough for a progress bar to move.
const KERNEL: u64 = 4 << 20;

/// A stretch of a layer that belongs in the tar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    /// Where it is in the layer.
    pub(super) from: Span,
    /// Where it goes in the tar, in bytes.
    pub(super) to: u64,
}

/// Whether bytes of a layer are needed after they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// Other code reads them.
    Kept,
    /// They are not. If they are in a temporary file, their room goes back to the system, which uses the
    /// same pages for the output while they are warm.
    GivenBack,
}

impl Afterwards {
    pub(super) fn given_back(is_last: bool) -> Self {
        if is_last { Self::GivenBack } else { Self::Kept }
    }
}

/// Where bodies are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedFile<'w> {
    pub(super) file: &'w File,
    /// Systems let one thread at a time write to a file, and the others wait. A thread that has something else
    /// to do asks for the turn here first.
    pub(super) turn: &'w Mutex<()>,
    pub(super) task: &'w dyn Task,
}

impl SharedFile<'_> {
    /// Waits for the turn.
    fn wait(&self) -> MutexGuard<'_, ()> {
        // It protects nothing that could be inconsistent.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn if it is free.
    fn take(&self) -> Option<MutexGuard<'_, ()>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// What belongs in the output of bytes that are read for their digest.
#[derive(Debug)]
pub(super) struct Copying<'w> {
    /// The number of the wish for their digests.
    pub(super) number: usize,
    /// The bytes.
    pub(super) from: &'w Slice,
    pub(super) moves: Vec<Move>,
    pub(super) afterwards: Afterwards,
    pub(super) cost: u64,
    pub(super) output: SharedFile<'w>,
}

/// How far a layer was copied.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// How many bytes were read.
    offset: u64,
    /// How many moves are done, and how many bytes of the next one.
    moves: usize,
    bytes: u64,
    /// What waits for the turn to be written, and where it goes.
    waiting: Vec<(u64, Vec<u8>)>,
    /// How many bytes that are.
    weight: usize,
}

impl Copying<'_> {
    /// Writes bytes at a place, or keeps them for later if another thread writes: this one goes on
    /// hashing.
    fn put(&self, copied: &mut Copied, bytes: &[u8], at: u64) -> Result<(), WriteError> {
        let turn = match self.output.take() {
            None if copied.weight + bytes.len() <= WAITING => {
                copied.waiting.push((at, bytes.to_vec()));
                copied.weight += bytes.len();
                return Ok(());
            }
            None => self.output.wait(),
            Some(turn) => turn,
        };
        self.write_waiting(copied)?;
        let written = write_at(self.output.file, bytes, at);
        drop(turn);
        written.map_err(WriteError::Write)
    }

    /// Writes what waits; the turn is taken.
    fn write_waiting(&self, copied: &mut Copied) -> Result<(), WriteError> {
        for (at, bytes) in copied.waiting.drain(..) {
            write_at(self.output.file, &bytes, at).map_err(WriteError::Write)?;
        }
        copied.weight = 0;
        Ok(())
    }
}

/// Why bytes that are read for their digest were not copied.
#[derive(Debug)]
pub(super) enum CopyingError {
    /// The bytes of the wish of this number cannot be read.
    Unread(usize, LayerError),
    /// They cannot be written.
    Write(WriteError),
}

impl From<WriteError> for CopyingError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl Alongside for Copying<'_> {
    type State = Copied;
    type Made = usize;
    type Error = CopyingError;

    fn unread(&self, error: LayerError) -> CopyingError {
        CopyingError::Unread(self.number, error)
    }

    fn begin(&self) -> Result<Copied, CopyingError> {
        Ok(Copied::default())
    }

    fn take(&self, copied: &mut Copied, bytes: &[u8]) -> Result<(), CopyingError> {
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
            self.put(copied, bytes, next.to + copied.bytes)?;
            if self.afterwards == Afterwards::GivenBack {
                let written = Span { offset: from, len };
                self.from.slice(written).discard();
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

    fn end(&self, mut copied: Copied, _proof: &Proof) -> Result<usize, CopyingError> {
        if !copied.waiting.is_empty() {
            let _turn = self.output.wait();
            self.write_waiting(&mut copied)?;
        }
        Ok(self.number)
    }
}

/// Copies some bodies of a layer.
pub(super) fn copy_bodies(
    layer: &Slice,
    moves: &[Move],
    afterwards: Afterwards,
    output: SharedFile<'_>,
) -> Result<(), WriteError> {
    let SharedFile { file, task, .. } = output;
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
                let _turn = output.wait();
                copied = rest.copy_in_kernel(file, to + offset);
                // An error occurs again when the bytes are read and written, and is reported there.
                in_kernel = copied > 0;
            }
            if copied == 0 {
                buffer.resize(BUFFER, 0);
                let n = rest.read_at(&mut buffer, 0)?;
                let turn = output.wait();
                write_at(file, &buffer[..n], to + offset).map_err(WriteError::Write)?;
                drop(turn);
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
pub(super) struct WriteFrom<'w> {
    pub(super) output: SharedFile<'w>,
    pub(super) position: u64,
}

impl<'w> WriteFrom<'w> {
    pub(super) fn new(output: SharedFile<'w>, position: u64) -> Self {
        Self { output, position }
    }

    /// Leaves out so many bytes, which somebody else writes or which are zeros.
    pub(super) fn skip(&mut self, len: u64) {
        self.position += len;
    }
}

impl Write for WriteFrom<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let turn = self.output.wait();
        write_at(self.output.file, buf, self.position)?;
        drop(turn);
        self.position += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::base::limits::Limits;
    use crate::base::progress::Silent;
    use crate::layer::digest::{Request, Wanted};
    use crate::source::{Compression, Source};

    /// What cannot be written at once waits, a limited amount of it, and is written to the same places.
    #[test]
    fn a_thread_that_hashes_does_not_wait_for_the_file() {
        let bytes: Vec<u8> = (0..600_000_u32)
            .map(|i| (i % 251).to_le_bytes()[0])
            .collect();
        let mut stored = tempfile::tempfile().expect("a temporary file");
        stored.write_all(&bytes).expect("room");
        let len = bytes.len() as u64;
        let source = Source::temporary(stored, len, "a test".to_owned(), &Limits::default(), len);
        let layer = source.whole();
        let file = tempfile::tempfile().expect("a temporary file");
        let turn = Mutex::default();
        // The second half comes first in the output.
        let half = |offset, to| Move {
            from: Span {
                offset,
                len: len / 2,
            },
            to,
        };
        let copying = Copying {
            number: 3,
            from: &layer,
            moves: vec![half(0, len / 2), half(len / 2, 0)],
            afterwards: Afterwards::Kept,
            cost: 0,
            output: SharedFile {
                file: &file,
                turn: &turn,
                task: &Silent,
            },
        };
        let mut copied = copying.begin().expect("nothing to fail");
        let taken = turn.lock().expect("it is free");
        copying
            .take(&mut copied, &bytes[..400_000])
            .expect("it waits");
        assert_eq!(copied.weight, 400_000);
        assert_eq!(file.metadata().expect("metadata").len(), 0);
        drop(taken);
        copying
            .take(&mut copied, &bytes[400_000..])
            .expect("it is written");
        let request = Request {
            bytes: &layer,
            compression: Compression::None,
            wanted: Wanted::diff_id(),
            task: None,
            alongside: copying,
        };
        assert!(copied.waiting.is_empty());
        let mut written = Vec::new();
        io::Seek::rewind(&mut &file).expect("a file");
        (&file).read_to_end(&mut written).expect("readable");
        let (first, second) = bytes.split_at(bytes.len() / 2);
        assert!(written == [second, first].concat());
        // And the same once more in one go.
        let answer = request.answer(&Silent);
        assert!(answer.is_ok_and(|(proof, number)| (proof.size(), number) == (len, 3)));
    }
}
