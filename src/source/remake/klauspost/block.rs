//! Blocks as klauspost's `flate` writes them (`huffman_bit_writer.go`): the codes of a block can serve the next one,
//! which then belongs to the same block of the format.

use crate::source::remake::go::bits::Bits;
use crate::source::remake::go::huffman::Code;
use crate::source::remake::go::symbols::{
    BlockCodes, Counts, DISTANCES, END, Head, Token, stored_head,
};

/// Fewer tokens than this may be written with the codes of the format.
const FEW_TOKENS: usize = 250;
/// How many bits the head of a block of literals is taken to have, before it is known.
const GUESSED_HEAD: usize = 70 * 8;
/// Codes of their own must save a part of this much: one in 128.
const PENALTY: u32 = 7;

/// How many codes the head of a block lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::remake) enum Heads {
    /// All there are, unless the block is the last before a flush: klauspost/compress 1.15.12 to 1.18.0.
    Whole,
    /// Those up to the last that occurs: since its pull request 1103 of September 2025, so after 1.18.0; compared with
    /// 1.20.3.
    Short,
}

/// Writes blocks one after the other.
pub(super) struct KlauspostBlocks {
    heads: Heads,
    bits: Bits,
    fixed: BlockCodes,
    /// The codes of the block that is not ended, and how many bits its head has.
    open: Option<Open>,
}

struct Open {
    codes: BlockCodes,
    head: usize,
    /// Whether it has no codes for lengths and distances.
    literals_only: bool,
}

impl KlauspostBlocks {
    pub(super) fn new(heads: Heads) -> Self {
        Self {
            heads,
            bits: Bits::default(),
            fixed: BlockCodes::fixed(),
            open: None,
        }
    }

    /// Ends the block that is not ended.
    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some(open) = self.open.take() {
            self.bits.code(open.codes.literals.code(END), out);
        }
    }

    /// Writes bytes as they are; at most 65,535.
    pub(super) fn stored(&mut self, content: &[u8], out: &mut Vec<u8>) {
        self.close(out);
        stored_head(content.len(), false, &mut self.bits, out);
        out.extend_from_slice(content);
    }

    /// Ends the stream with an empty block that has the codes of the format.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        self.bits.put(0b011, 3, out);
        self.bits.put(0, 7, out);
        self.bits.align(out);
    }

    /// Writes tokens, of which there is at least one, in the way that is taken for the smallest (`writeBlockDynamic`).
    pub(super) fn tokens(
        &mut self,
        tokens: &[Token],
        content: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) {
        let mut counts = Counts::of_tokens(tokens);
        counts.literals[END] = u32::from(last);
        let has_codes = |open: &Open| !open.literals_only && open.codes.has_all(&counts);
        if !self.open.as_ref().is_some_and(has_codes) {
            self.close(out);
        }
        let short = last || self.heads == Heads::Short;
        if short {
            counts.literals[END] = 1;
            if counts.distances == [0; DISTANCES] {
                counts.distances[0] = 1;
            }
        }
        let all = tokens.len() + usize::from(last);
        let few = all < FEW_TOKENS;
        let stored = (content.len() + 5) * 8;
        let extra = counts.extra_bits();
        if let Some(open) = &self.open {
            let new = open.head + estimate(&counts, all);
            let new = new + usize::from(open.codes.literals.code(END).len) + (new >> PENALTY);
            let again = open.codes.cost(&counts) + extra;
            let size = new.min(again);
            if new < again {
                self.close(out);
            }
            let fixed = 3 + self.fixed.cost(&counts) + extra + 7;
            if stored <= size {
                return self.stored(content, out);
            }
            if few && fixed < size {
                return self.fixed(tokens, out);
            }
        }
        if self.open.is_none() {
            counts.literals[END] = 1;
            let codes = BlockCodes::of_counts(&counts);
            let head = if short {
                Head::new(
                    up_to_last(codes.literals.all()),
                    up_to_last(codes.distances.all()),
                )
            } else {
                Head::new(codes.literals.all(), codes.distances.all())
            };
            let size = head.size + codes.cost(&counts) + extra;
            let fixed = 3 + self.fixed.cost(&counts) + extra;
            let takes_fixed = few && fixed <= size;
            if stored <= if takes_fixed { fixed } else { size } {
                return self.stored(content, out);
            }
            if takes_fixed {
                return self.fixed(tokens, out);
            }
            head.write(&mut self.bits, out);
            self.open = Some(Open {
                codes,
                head: head.size,
                literals_only: false,
            });
        }
        if let Some(open) = &self.open {
            open.codes.write(tokens, false, &mut self.bits, out);
        }
        if last {
            self.close(out);
        }
    }

    /// Writes tokens with the codes of the format.
    fn fixed(&mut self, tokens: &[Token], out: &mut Vec<u8>) {
        self.close(out);
        self.bits.put(0b010, 3, out);
        self.fixed.write(tokens, true, &mut self.bits, out);
    }

    /// Writes bytes as literals, or stored if that seems to be smaller (`writeBlockHuff`).
    pub(super) fn literals(&mut self, content: &[u8], last: bool, out: &mut Vec<u8>) {
        let mut counts = Counts::of_bytes(content);
        if content.len() > 1024 && is_even(&counts, content.len()) {
            return self.stored(content, out);
        }
        counts.literals[END] = 1;
        // The one distance that a head must have.
        counts.distances[0] = 1;
        let codes = BlockCodes::of_counts(&counts);
        let estimate = codes.literals.cost(&counts.literals)
            + self.open.as_ref().map_or(GUESSED_HEAD, |open| open.head);
        let estimate = estimate + (estimate >> PENALTY);
        if (content.len() + 5) * 8 <= estimate {
            return self.stored(content, out);
        }
        counts.literals[END] = 0;
        let again = self.open.as_ref().map(|open| &open.codes.literals);
        if !again.is_some_and(|again| {
            again.has_all(&counts.literals) && again.cost(&counts.literals) <= estimate
        }) {
            self.close(out);
            let head = Head::new(&codes.literals.all()[..=END], &codes.distances.all()[..1]);
            head.write(&mut self.bits, out);
            self.open = Some(Open {
                codes,
                head: head.size,
                literals_only: true,
            });
        }
        if let Some(open) = &self.open {
            for &byte in content {
                self.bits
                    .code(open.codes.literals.code(usize::from(byte)), out);
            }
        }
        if last {
            self.close(out);
        }
    }
}

/// The codes up to the last of a symbol that occurs.
fn up_to_last(codes: &[Code]) -> &[Code] {
    let used = codes
        .iter()
        .rposition(|code| code.len > 0)
        .map_or(0, |last| last + 1);
    &codes[..used]
}

/// Whether bytes are spread so evenly that no code makes them smaller.
fn is_even(counts: &Counts, len: usize) -> bool {
    let mean = len as f64 / 256.0;
    let most = (2 * len) as f64;
    let mut sum = 0.0;
    for &count in &counts.literals[..END] {
        let difference = f64::from(count) - mean;
        sum += difference * difference;
        if sum > most {
            break;
        }
    }
    sum < most
}

/// How many bits the tokens have at least, with the best codes (`EstimatedBits` in `token.go`); `all` is how many there
/// are with the end of the block.
fn estimate(counts: &Counts, all: usize) -> usize {
    let lengths = &counts.literals[END + 1..];
    let matches = lengths.iter().sum::<u32>();
    let mut bits = entropy(0.0, &counts.literals[..END], all as f32);
    bits += 15.0;
    bits = entropy(bits, lengths, all as f32);
    let mut extra = 0;
    if matches > 0 {
        bits = entropy(bits, &counts.distances, matches as f32);
        extra = counts.extra_bits();
    }
    bits as usize + extra
}

/// Adds up what symbols cost that occur so often; the order of the additions decides how they are rounded.
fn entropy(mut bits: f32, counts: &[u32], all: f32) -> f32 {
    let share = 1.0 / all;
    for &count in counts {
        if count > 0 {
            let count = count as f32;
            bits += (-log2(count * share)).clamp(1.0, 15.0) * count;
        }
    }
    bits
}

/// A logarithm to a few digits: the exponent, and a parabola through the rest (`mFastLog2`).
fn log2(value: f32) -> f32 {
    const MANTISSA: u32 = (1 << 23) - 1;
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xff) as f32 - 128.0;
    let rest = f32::from_bits(bits & MANTISSA | 127 << 23);
    // Each step rounds: one that did two at once would give other streams.
    let parabola = (-0.344_848_43 * rest + 2.024_665_8) * rest - 0.674_877_6;
    exponent + parabola
}
