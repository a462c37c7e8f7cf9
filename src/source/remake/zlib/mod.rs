//! Deflate streams as zlib and GNU gzip write them, for layers that Java (jib), Python, Bazel, nix, buildah's users and
//! shell scripts made.
//!
//! The rules come from zlib 1.2.3 to 1.3.1 (`deflate.c`, `trees.c`: the bytes have not changed between these), with the
//! window of 32 KiB and the memory level 8 that nearly everybody leaves as they are, and from GNU gzip 1.12, which is
//! older than zlib and ends blocks in another way. Level 0 is not done. Equal content gives equal bytes whatever the
//! sizes in which it is written.
//!
//! GNU gzip holds 64 KiB of content, and where these begin shows in what it writes ([`GnuWindow`]).
//!
//! Nothing here reads what an archive claims: the input is content of any size and any bytes, the memory is fixed, and the
//! time for each byte is bounded by the length of the chains.
#![expect(
    clippy::cast_possible_truncation,
    reason = "all values are positions in a buffer of a MiB, counts of at most 32,768 symbols, or parts of them"
)]

mod block;
#[cfg(test)]
mod tests;
mod tree;

use block::ZlibBlock;

/// Whose encoder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ZlibKind {
    /// zlib, in one stream without flushes.
    Zlib,
    /// The program `gzip` of GNU.
    Gnu,
}

/// How hard the search for matches tries (`configuration_table` in `deflate.c`).
#[derive(Clone, Copy)]
struct Effort {
    /// From which length of the match before on the search is a quarter as long.
    good: usize,
    /// Up to which length a match is compared with the next one; for the fast levels, up to which all positions in a
    /// match are remembered.
    lazy: usize,
    /// From which length on the search ends.
    nice: usize,
    /// How many earlier positions are tried.
    chain: u32,
}

const fn effort(level: u8) -> Effort {
    let (good, lazy, nice, chain) = match level {
        1 => (4, 4, 8, 4),
        2 => (4, 5, 16, 8),
        3 => (4, 6, 32, 32),
        4 => (4, 4, 16, 16),
        5 => (8, 16, 32, 32),
        6 => (8, 16, 128, 128),
        7 => (8, 32, 128, 256),
        8 => (32, 128, 258, 1024),
        _ => (32, 258, 258, 4096),
    };
    Effort {
        good,
        lazy,
        nice,
        chain,
    }
}

/// The shortest and the longest match, in bytes.
const MIN_MATCH: usize = 3;
const MAX_MATCH: usize = 258;

/// How many bytes must follow a position before it is looked at, unless they are the last ones.
const MIN_LOOKAHEAD: usize = MAX_MATCH + MIN_MATCH + 1;

const WINDOW: usize = 32 << 10;

/// The greatest distance: what is farther away may have been overwritten in zlib's window.
const MAX_DISTANCE: usize = WINDOW - MIN_LOOKAHEAD;

/// A match of three bytes that is farther away than this costs more than its bytes.
const TOO_FAR: usize = 4096;

const HASHES: usize = 1 << 15;

/// How much content stays in the buffer behind the current position: the window, and a block that may yet be stored.
const BEHIND: usize = 256 << 10;

/// How much of it is there at most before what is behind is dropped.
const MOST: usize = 1 << 20;

/// How much content GNU gzip holds.
const GNU_WINDOW: usize = 2 * WINDOW;

/// The 64 KiB of content that GNU gzip holds: when fewer than [`MIN_LOOKAHEAD`] bytes are ahead, it moves them down by half
/// and reads more (`fill_window` in `deflate.c`). What is not there any more cannot be stored, which decides about blocks
/// of random bytes; and near the end of the content matches are neither looked for at the end of the window, nor
/// compared with zeros behind it.
#[derive(Default)]
struct GnuWindow {
    /// The position where it begins.
    begin: usize,
    has_moved: bool,
    /// Whether there was nothing more to read.
    is_at_end: bool,
}

impl GnuWindow {
    /// Reads what is needed to look at `at`. `end` is where the content ends, if that is known.
    fn fill(&mut self, at: usize, end: Option<usize>) {
        let until = |begin: usize| (begin + GNU_WINDOW).min(end.unwrap_or(usize::MAX));
        let mut read = until(self.begin);
        while !self.is_at_end && read - at < MIN_LOOKAHEAD {
            if at - self.begin >= GNU_WINDOW - MIN_LOOKAHEAD {
                self.begin += WINDOW;
                self.has_moved = true;
            }
            self.is_at_end = end == Some(read);
            read = until(self.begin);
        }
    }
}

/// One deflate stream, without the header and trailer of gzip.
pub(super) struct ZlibDeflate {
    kind: ZlibKind,
    is_fast: bool,
    effort: Effort,
    /// The content that is needed, and beyond its end zeros for reads that go too far.
    content: Vec<u8>,
    /// The position that is looked at. Positions count from the beginning of the buffer; 0 is no position.
    at: usize,
    /// Where the block begins; below 0 if that was dropped.
    block_start: isize,
    /// The latest position of each hash.
    head: Vec<u32>,
    /// The position before each that has the same hash.
    previous: Vec<u32>,
    /// The match at the position before, and where it is.
    length: usize,
    start: usize,
    /// Whether the byte before waits for what becomes of the match there.
    is_waiting: bool,
    block: ZlibBlock,
    /// Of GNU gzip alone.
    window: GnuWindow,
}

impl ZlibDeflate {
    /// A stream of a level from 1 to 9. It holds 1.5 MB, whatever is written.
    pub(super) fn new(kind: ZlibKind, level: u8) -> Self {
        Self {
            kind,
            is_fast: level <= 3,
            effort: effort(level),
            content: Vec::new(),
            at: 0,
            block_start: 0,
            head: vec![0; HASHES],
            previous: vec![0; WINDOW],
            length: MIN_MATCH - 1,
            start: 0,
            is_waiting: false,
            block: ZlibBlock::new(kind, level),
            window: GnuWindow::default(),
        }
    }

    /// Writes content, in pieces of any size, and appends to `out` what is finished.
    pub(super) fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while !content.is_empty() {
            if self.content.len() >= MOST {
                self.drop_behind();
            }
            let (some, rest) = content.split_at(content.len().min(MOST - self.content.len()));
            self.content.extend_from_slice(some);
            content = rest;
            self.compress(false, out);
        }
    }

    /// Ends the stream and appends the rest of it to `out`; nothing may be written after that.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.compress(true, out);
        if self.is_waiting {
            let covered = self.covered();
            self.block.literal(self.content[self.at - 1], covered);
        }
        if self.kind == ZlibKind::Gnu {
            // Behind a match that ends the content, before the block is written.
            self.window.fill(self.at, Some(self.content.len()));
        }
        self.end_block(true, out);
    }

    /// Looks at positions as long as enough bytes are ahead, or at all if the content ends here.
    fn compress(&mut self, is_last: bool, out: &mut Vec<u8>) {
        let end = self.content.len();
        let ahead = if is_last { 1 } else { MIN_LOOKAHEAD };
        // Comparisons may go beyond the end.
        self.content.resize(end + 2 * MAX_MATCH, 0);
        while self.at + ahead <= end {
            if self.kind == ZlibKind::Gnu {
                self.fill_window(end, is_last);
            }
            if self.is_fast {
                self.fast(end, out);
            } else {
                self.slow(end, out);
            }
        }
        self.content.truncate(end);
    }

    /// What a comparison finds beyond the end counts for nothing in zlib. GNU gzip goes on searching for what has more in
    /// common with what its window has there, although the match is cut at the end: two zeros, and what the window had
    /// there before it was moved.
    fn fill_window(&mut self, end: usize, is_last: bool) {
        let was_at_end = self.window.is_at_end;
        self.window.fill(self.at, is_last.then_some(end));
        if self.window.is_at_end && !was_at_end && self.window.has_moved {
            for at in end + MIN_MATCH - 1..end + 2 * MAX_MATCH {
                self.content[at] = self.content[at - WINDOW];
            }
        }
    }

    /// One step of levels 1 to 3: a match is taken at once.
    fn fast(&mut self, end: usize, out: &mut Vec<u8>) {
        let ahead = end - self.at;
        let hash_head = self.remember_if(ahead >= MIN_MATCH);
        let mut length = 0;
        if self.is_near(hash_head) {
            length = self.longest(hash_head, MIN_MATCH - 1, ahead);
        }
        let is_full;
        if length >= MIN_MATCH {
            let covered = self.covered();
            is_full = self.block.reference(length, self.at - self.start, covered);
            let until = self.at + length;
            if length <= self.effort.lazy && ahead - length >= MIN_MATCH {
                for at in self.at + 1..until {
                    self.remember(at);
                }
            }
            self.at = until;
        } else {
            let covered = self.covered();
            is_full = self.block.literal(self.content[self.at], covered);
            self.at += 1;
        }
        if is_full {
            self.end_block(false, out);
        }
    }

    /// One step of levels 4 to 9: a match is only taken if there is no longer one at the next position.
    fn slow(&mut self, end: usize, out: &mut Vec<u8>) {
        let ahead = end - self.at;
        let hash_head = self.remember_if(ahead >= MIN_MATCH);
        let (before, start_before) = (self.length, self.start);
        self.length = MIN_MATCH - 1;
        if before < self.effort.lazy && self.is_near(hash_head) {
            self.length = self.longest(hash_head, before, ahead);
            if self.length == MIN_MATCH && self.at - self.start > TOO_FAR {
                self.length = MIN_MATCH - 1;
            }
        }
        let covered = self.covered();
        if before >= MIN_MATCH && self.length <= before {
            let distance = self.at - 1 - start_before;
            let is_full = self.block.reference(before, distance, covered);
            let until = self.at - 1 + before;
            let last = end - MIN_MATCH;
            for at in self.at + 1..until.min(last + 1) {
                self.remember(at);
            }
            self.at = until;
            self.is_waiting = false;
            self.length = MIN_MATCH - 1;
            if is_full {
                self.end_block(false, out);
            }
        } else if self.is_waiting {
            if self.block.literal(self.content[self.at - 1], covered) {
                self.end_block(false, out);
            }
            self.at += 1;
        } else {
            self.is_waiting = true;
            self.at += 1;
        }
    }

    /// How much content the block has so far.
    fn covered(&self) -> usize {
        self.at.wrapping_add_signed(self.block_start.wrapping_neg())
    }

    fn is_near(&self, position: usize) -> bool {
        let can_match = self.kind == ZlibKind::Zlib
            || self.at - self.window.begin <= GNU_WINDOW - MIN_LOOKAHEAD;
        can_match && position != 0 && self.at - position <= MAX_DISTANCE
    }

    /// Remembers the current position; the one before with the same hash.
    fn remember_if(&mut self, has_enough: bool) -> usize {
        if has_enough {
            self.remember(self.at)
        } else {
            0
        }
    }

    fn remember(&mut self, at: usize) -> usize {
        let bytes = &self.content[at..at + MIN_MATCH];
        let hash = usize::from(bytes[0]) << 10 ^ usize::from(bytes[1]) << 5 ^ usize::from(bytes[2]);
        let head = &mut self.head[hash & (HASHES - 1)];
        let before = *head;
        self.previous[at & (WINDOW - 1)] = before;
        self.head[hash & (HASHES - 1)] = at as u32;
        before as usize
    }

    /// The longest match for the current position that is longer than `before`, among those that begin with `candidate`.
    fn longest(&mut self, candidate: usize, before: usize, ahead: usize) -> usize {
        let Effort {
            good, nice, chain, ..
        } = self.effort;
        let mut chain = if before >= good { chain >> 2 } else { chain };
        let nice = match self.kind {
            ZlibKind::Zlib => nice.min(ahead),
            ZlibKind::Gnu => nice,
        };
        let limit = self.at.saturating_sub(MAX_DISTANCE);
        let mut best = before;
        let mut candidate = candidate;
        let scan = &self.content[self.at..=self.at + MAX_MATCH];
        loop {
            let there = &self.content[candidate..=candidate + MAX_MATCH];
            // zlib compares the end of what it has first; most candidates are out after that.
            if there[best] == scan[best]
                && there[best - 1] == scan[best - 1]
                && there[..2] == scan[..2]
            {
                let length = same(there, scan);
                if length > best {
                    self.start = candidate;
                    best = length;
                    if length >= nice {
                        break;
                    }
                }
            }
            candidate = self.previous[candidate & (WINDOW - 1)] as usize;
            chain -= 1;
            if candidate <= limit || chain == 0 {
                break;
            }
        }
        best.min(ahead)
    }

    /// Drops what nothing refers to any more: whole windows, so that positions keep their places in `previous`.
    fn drop_behind(&mut self) {
        let drop = self.at.saturating_sub(BEHIND) & !(WINDOW - 1);
        self.content.drain(..drop);
        self.at -= drop;
        self.block_start = self.block_start.saturating_sub_unsigned(drop);
        self.start = self.start.saturating_sub(drop);
        // It begins less than 64 KiB behind.
        self.window.begin = self.window.begin.saturating_sub(drop);
        for position in self.head.iter_mut().chain(&mut self.previous) {
            *position = position.saturating_sub(drop as u32);
        }
    }

    /// Ends the block before the current position.
    fn end_block(&mut self, is_last: bool, out: &mut Vec<u8>) {
        let start = usize::try_from(self.block_start).ok();
        let start = start.filter(|start| *start >= self.window.begin);
        let content = start.map(|start| &self.content[start..self.at]);
        self.block.end(content, is_last, out);
        self.block_start = self.at.cast_signed();
    }
}

/// How many of the first bytes are the same, up to the longest match.
fn same(a: &[u8], b: &[u8]) -> usize {
    let (a, b) = (&a[..MAX_MATCH], &b[..MAX_MATCH]);
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let mut length = 0;
    for (a, b) in words {
        let differing = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differing != 0 {
            return length + (differing.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = a[length..].iter().zip(&b[length..]);
    length + rest.take_while(|(a, b)| a == b).count()
}
