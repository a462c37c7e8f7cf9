//! Blocks as Go's `compress/flate` writes them (`huffman_bit_writer.go`, Go 1.8 to 1.26).

use super::bits::Bits;
use super::huffman::{Code, Codes};
use super::symbols::{
    BlockCodes, Counts, DISTANCES, END, Head, LITERALS, MOST_STORED, Token, stored_head,
};

/// Writes blocks one after the other.
pub(super) struct GoBlocks {
    bits: Bits,
    fixed: BlockCodes,
}

impl GoBlocks {
    pub(super) fn new() -> Self {
        Self {
            bits: Bits::default(),
            fixed: BlockCodes::fixed(),
        }
    }

    /// Writes a block with its own codes, one with those of the format, or stored bytes: the smallest (levels 2 to 9).
    ///
    /// `content` is what the tokens stand for; without it the block is not stored.
    pub(super) fn smallest(&mut self, tokens: &[Token], content: Option<&[u8]>, out: &mut Vec<u8>) {
        let counts = counted(tokens);
        let codes = BlockCodes::of_counts(&counts);
        let head = head_of(&codes.literals, &codes.distances, &counts);
        let fixed = 3 + self.fixed.cost(&counts);
        let own = head.size + codes.cost(&counts);
        let stored = content.filter(|content| content.len() <= MOST_STORED);
        if let Some(content) = stored
            && (content.len() + 5) * 8 < fixed.min(own) + counts.extra_bits()
        {
            self.stored(content, out);
        } else if own < fixed {
            head.write(&mut self.bits, out);
            codes.write(tokens, true, &mut self.bits, out);
        } else {
            self.bits.put(0b010, 3, out);
            self.fixed.write(tokens, true, &mut self.bits, out);
        }
    }

    /// Writes a block with its own codes, or stored bytes if that saves less than a sixteenth (level 1).
    pub(super) fn own(&mut self, tokens: &[Token], content: &[u8], out: &mut Vec<u8>) {
        let counts = counted(tokens);
        let codes = BlockCodes::of_counts(&counts);
        let head = head_of(&codes.literals, &codes.distances, &counts);
        // Go leaves out the bits that follow symbols here.
        if saves_little(content, head.size + codes.cost(&counts)) {
            return self.stored(content, out);
        }
        head.write(&mut self.bits, out);
        codes.write(tokens, true, &mut self.bits, out);
    }

    /// Writes bytes as literals, or stored if that saves less than a sixteenth (level 1).
    pub(super) fn literals(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let mut counts = Counts::of_bytes(content);
        counts.literals[END] = 1;
        counts.distances[0] = 1;
        let codes = BlockCodes::of_counts(&counts);
        let head = Head::new(&codes.literals.all()[..=END], &codes.distances.all()[..1]);
        if saves_little(content, head.size + codes.cost(&counts)) {
            return self.stored(content, out);
        }
        head.write(&mut self.bits, out);
        for &byte in content {
            self.bits.code(codes.literals.code(usize::from(byte)), out);
        }
        self.bits.code(codes.literals.code(END), out);
    }

    /// Writes bytes as they are; at most 65,535.
    pub(super) fn stored(&mut self, content: &[u8], out: &mut Vec<u8>) {
        stored_head(content.len(), false, &mut self.bits, out);
        out.extend_from_slice(content);
    }

    /// Ends the stream with an empty block.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        stored_head(0, true, &mut self.bits, out);
    }
}

/// The symbols of a block with its end, and with a distance even if there is none: a code must have one.
fn counted(tokens: &[Token]) -> Counts {
    let mut counts = Counts::of_tokens(tokens);
    counts.literals[END] = 1;
    if counts.distances == [0; DISTANCES] {
        counts.distances[0] = 1;
    }
    counts
}

/// The head for all codes up to the last symbol that occurs.
fn head_of(literals: &Codes<LITERALS>, distances: &Codes<DISTANCES>, counts: &Counts) -> Head {
    Head::new(
        up_to_last(literals.all(), &counts.literals),
        up_to_last(distances.all(), &counts.distances),
    )
}

fn up_to_last<'a>(codes: &'a [Code], counts: &[u32]) -> &'a [Code] {
    let used = counts
        .iter()
        .rposition(|&count| count > 0)
        .map_or(0, |last| last + 1);
    &codes[..used]
}

/// Whether a block of so many bits is not a sixteenth smaller than its content.
const fn saves_little(content: &[u8], bits: usize) -> bool {
    content.len() <= MOST_STORED && (content.len() + 5) * 8 < bits + (bits >> 4)
}
