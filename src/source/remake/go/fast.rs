//! Level 1 of Go's `compress/flate`: one place for each hash, blocks of 65,535 bytes (`deflatefast.go`).
//!
//! Go 1.8 to 1.26 agree but for content of more than a gigabyte: what happens when their counters are full was
//! corrected in Go 1.10 and 1.14, and this follows the corrected ones.

use super::block::GoBlocks;
use super::chains::{common, zeroed};
use super::symbols::{MOST_STORED, Token};

/// How far back a match may be.
const WINDOW: u32 = 1 << 15;
/// The longest match.
const LONGEST: usize = 258;
const HASH_BITS: u32 = 14;
/// So close to the end of a block nothing is looked for any more.
const MARGIN: usize = 15;
/// When places are counted anew, so that they fit into 32 bits.
const REBASE: u32 = 1 << 30;

/// Four bytes that were seen, and where.
#[derive(Clone, Copy, Default)]
struct Seen {
    bytes: u32,
    place: u32,
}

pub(super) struct Fast {
    blocks: GoBlocks,
    tokens: Vec<Token>,
    /// The block before, and then this one.
    buffer: Vec<u8>,
    /// How much of the buffer is the block before.
    before: usize,
    seen: Box<[Seen; 1 << HASH_BITS]>,
    /// What the first byte of the buffer counts as.
    pub(super) origin: u32,
}

impl Fast {
    pub(super) fn new() -> Self {
        Self {
            blocks: GoBlocks::new(),
            tokens: Vec::with_capacity(MOST_STORED),
            buffer: Vec::with_capacity(2 * MOST_STORED),
            before: 0,
            seen: zeroed(),
            origin: WINDOW + 1,
        }
    }

    pub(super) fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while !content.is_empty() {
            if self.buffer.len() - self.before == MOST_STORED {
                self.block(out);
                self.slide();
            }
            let room = MOST_STORED - (self.buffer.len() - self.before);
            let (now, later) = content.split_at(content.len().min(room));
            self.buffer.extend_from_slice(now);
            content = later;
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let content = &self.buffer[self.before..];
        // A short rest is not worth looking for matches.
        match content.len() {
            0 => {}
            1..=16 => self.blocks.stored(content, out),
            17..=127 => self.blocks.literals(content, out),
            _ => self.block(out),
        }
        self.blocks.end(out);
    }

    /// This block is now the one before.
    fn slide(&mut self) {
        self.buffer.drain(..self.before);
        self.origin += self.before as u32;
        self.before = self.buffer.len();
        if self.origin > REBASE {
            let gone = self.origin - (WINDOW + 1);
            for seen in self.seen.iter_mut() {
                seen.place = seen.place.saturating_sub(gone);
            }
            self.origin = WINDOW + 1;
        }
    }

    fn block(&mut self, out: &mut Vec<u8>) {
        self.tokens.clear();
        self.find();
        let content = &self.buffer[self.before..];
        if self.tokens.len() > content.len() - (content.len() >> 4) {
            self.blocks.literals(content, out);
        } else {
            self.blocks.own(&self.tokens, content, out);
        }
    }

    /// Finds the tokens of the block.
    fn find(&mut self) {
        let stop = self.buffer.len() - MARGIN;
        let mut written = self.before;
        let mut at = self.before;
        let mut bytes = self.four(at);
        loop {
            // After 32 bytes without a match every second one is looked at, after 32 more every third, and so on.
            let mut skip = 32;
            let mut next = at;
            let mut distance;
            loop {
                at = next;
                next = at + (skip >> 5);
                skip += skip >> 5;
                if next > stop {
                    return self.rest(written);
                }
                distance = self.see(at, bytes);
                let following = self.four(next);
                if distance.is_some() {
                    break;
                }
                bytes = following;
            }
            self.literals(written, at);
            while let Some(back) = distance {
                at += self.repeat(at, back);
                written = at;
                if at >= stop {
                    return self.rest(written);
                }
                self.see(at - 1, self.four(at - 1));
                bytes = self.four(at);
                distance = self.see(at, bytes);
            }
            at += 1;
            bytes = self.four(at);
        }
    }

    /// Remembers the four bytes at a place; returns how far back they were seen before.
    fn see(&mut self, at: usize, bytes: u32) -> Option<usize> {
        let place = self.origin + at as u32;
        let hash = (bytes.wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS)) as usize;
        let seen = std::mem::replace(&mut self.seen[hash], Seen { bytes, place });
        let distance = place - seen.place;
        (distance <= WINDOW && seen.bytes == bytes).then_some(distance as usize)
    }

    /// Writes the match of at least four bytes at a place; returns its length.
    fn repeat(&mut self, at: usize, distance: usize) -> usize {
        let ahead = &self.buffer[at..self.buffer.len().min(at + LONGEST)];
        let length = common(ahead, &self.buffer[at - distance..]);
        self.tokens.push(Token::repeat(length, distance));
        length
    }

    fn literals(&mut self, from: usize, to: usize) {
        self.tokens.extend(
            self.buffer[from..to]
                .iter()
                .map(|&byte| Token::literal(byte)),
        );
    }

    fn rest(&mut self, written: usize) {
        self.literals(written, self.buffer.len());
    }

    fn four(&self, at: usize) -> u32 {
        let mut four = [0; 4];
        four.copy_from_slice(&self.buffer[at..at + 4]);
        u32::from_le_bytes(four)
    }
}
