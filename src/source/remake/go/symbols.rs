//! The symbols of deflate: literals, lengths and distances (RFC 1951, 3.2.5), and how code lengths are written.

use super::bits::Bits;
use super::huffman::{Code, Codes};

/// Literals, the end of a block and lengths.
pub(in crate::source::remake) const LITERALS: usize = 286;
/// Distances.
pub(in crate::source::remake) const DISTANCES: usize = 30;
/// The symbol that ends a block.
pub(in crate::source::remake) const END: usize = 256;
/// The most bytes that a stored block holds.
pub(in crate::source::remake) const MOST_STORED: usize = 65_535;
/// The shortest length that the format knows.
const SHORTEST: usize = 3;
/// In which order the lengths of the codes for code lengths are written (RFC 1951, 3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
/// Up to how many zeros symbol 18 stands for.
const MOST_ZEROS: usize = 138;

/// A literal, or a match as its length and distance.
#[derive(Clone, Copy)]
pub(in crate::source::remake) struct Token(u32);

impl Token {
    const MATCH: u32 = 1 << 31;

    pub(in crate::source::remake) const fn literal(byte: u8) -> Self {
        Self(byte as u32)
    }

    /// A match of 3 to 258 bytes, 1 to 32,768 bytes back.
    pub(in crate::source::remake) const fn repeat(length: usize, distance: usize) -> Self {
        Self(
            Self::MATCH
                | ((length - SHORTEST) as u32 & 0xff) << 16
                | (distance - 1) as u32 & 0x7fff,
        )
    }

    /// The literal, or the length less three and the distance less one.
    const fn parts(self) -> Result<usize, (usize, usize)> {
        if self.0 & Self::MATCH == 0 {
            Ok((self.0 & 0xff) as usize)
        } else {
            Err(((self.0 >> 16 & 0xff) as usize, (self.0 & 0x7fff) as usize))
        }
    }
}

/// For each length less three: its symbol less 257.
const LENGTH_SYMBOL: [u8; 256] = {
    let mut table = [0; 256];
    let mut symbol = 0;
    while symbol < 28 {
        let mut value = LENGTH_BASE[symbol] as usize;
        while value < 256 {
            table[value] = symbol as u8;
            value += 1;
        }
        symbol += 1;
    }
    table[255] = 28;
    table
};

/// The smallest length less three of each symbol.
const LENGTH_BASE: [u16; 29] = {
    let mut table = [0; 29];
    let mut symbol = 1;
    while symbol < 28 {
        table[symbol] = table[symbol - 1] + (1 << LENGTH_EXTRA[symbol - 1]);
        symbol += 1;
    }
    table[28] = 255;
    table
};

/// How many more bits follow each symbol of a length.
pub(in crate::source::remake) const LENGTH_EXTRA: [u8; 29] = {
    let mut table = [0; 29];
    let mut symbol = 8;
    while symbol < 28 {
        table[symbol] = (symbol / 4 - 1) as u8;
        symbol += 1;
    }
    table
};

/// How many more bits follow each symbol of a distance.
pub(in crate::source::remake) const DISTANCE_EXTRA: [u8; DISTANCES] = {
    let mut table = [0; DISTANCES];
    let mut symbol = 4;
    while symbol < DISTANCES {
        table[symbol] = (symbol / 2 - 1) as u8;
        symbol += 1;
    }
    table
};

/// The symbol of a length less three, less 257.
pub(in crate::source::remake) const fn length_symbol(length: usize) -> usize {
    LENGTH_SYMBOL[length & 0xff] as usize
}

/// The symbol of a distance less one.
pub(in crate::source::remake) const fn distance_symbol(distance: usize) -> usize {
    if distance < 4 {
        return distance;
    }
    let top = distance.ilog2() as usize;
    2 * top + (distance >> (top - 1) & 1)
}

/// How often each symbol occurs.
pub(in crate::source::remake) struct Counts {
    pub(in crate::source::remake) literals: [u32; LITERALS],
    pub(in crate::source::remake) distances: [u32; DISTANCES],
}

impl Counts {
    pub(in crate::source::remake) const fn zero() -> Self {
        Self {
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
        }
    }

    /// Counts the symbols of `tokens`, without the end of the block.
    pub(in crate::source::remake) fn of_tokens(tokens: &[Token]) -> Self {
        let mut counts = Self::zero();
        for token in tokens {
            match token.parts() {
                Ok(literal) => counts.literals[literal] += 1,
                Err((length, distance)) => {
                    counts.literals[END + 1 + length_symbol(length)] += 1;
                    counts.distances[distance_symbol(distance)] += 1;
                }
            }
        }
        counts
    }

    /// Counts bytes as literals.
    pub(in crate::source::remake) fn of_bytes(bytes: &[u8]) -> Self {
        let mut counts = Self::zero();
        for &byte in bytes {
            counts.literals[usize::from(byte)] += 1;
        }
        counts
    }

    /// How many bits follow the symbols.
    pub(in crate::source::remake) fn extra_bits(&self) -> usize {
        let bits = |counts: &[u32], extra: &[u8]| -> usize {
            counts
                .iter()
                .zip(extra)
                .map(|(&count, &extra)| count as usize * usize::from(extra))
                .sum()
        };
        bits(&self.literals[END + 1..], &LENGTH_EXTRA) + bits(&self.distances, &DISTANCE_EXTRA)
    }
}

/// The two codes of a block.
pub(in crate::source::remake) struct BlockCodes {
    pub(in crate::source::remake) literals: Codes<LITERALS>,
    pub(in crate::source::remake) distances: Codes<DISTANCES>,
}

impl BlockCodes {
    pub(in crate::source::remake) fn of_counts(counts: &Counts) -> Self {
        Self {
            literals: Codes::of_counts(&counts.literals, 15),
            distances: Codes::of_counts(&counts.distances, 15),
        }
    }

    /// The codes that the format itself defines (RFC 1951, 3.2.6).
    pub(in crate::source::remake) fn fixed() -> Self {
        let mut lengths = [0; 288];
        for (symbol, length) in lengths.iter_mut().enumerate() {
            *length = match symbol {
                0..144 | 280.. => 8,
                144..256 => 9,
                _ => 7,
            };
        }
        Self {
            literals: Codes::of_lengths(lengths).first(),
            distances: Codes::of_lengths([5; DISTANCES]),
        }
    }

    /// Whether every symbol that occurs has a code.
    pub(in crate::source::remake) fn has_all(&self, counts: &Counts) -> bool {
        self.literals.has_all(&counts.literals) && self.distances.has_all(&counts.distances)
    }

    /// How many bits the symbols take, without those that follow some of them.
    pub(in crate::source::remake) fn cost(&self, counts: &Counts) -> usize {
        self.literals.cost(&counts.literals) + self.distances.cost(&counts.distances)
    }

    /// Writes tokens, and then the end of the block if `end` is set.
    pub(in crate::source::remake) fn write(
        &self,
        tokens: &[Token],
        end: bool,
        bits: &mut Bits,
        out: &mut Vec<u8>,
    ) {
        for token in tokens {
            match token.parts() {
                Ok(literal) => bits.code(self.literals.code(literal), out),
                Err((length, distance)) => {
                    let symbol = length_symbol(length);
                    bits.code(self.literals.code(END + 1 + symbol), out);
                    let extra = length - usize::from(LENGTH_BASE[symbol]);
                    bits.put(extra as u32, u32::from(LENGTH_EXTRA[symbol]), out);
                    let symbol = distance_symbol(distance);
                    bits.code(self.distances.code(symbol), out);
                    let extra = DISTANCE_EXTRA[symbol];
                    bits.put(
                        (distance & ((1 << extra) - 1)) as u32,
                        u32::from(extra),
                        out,
                    );
                }
            }
        }
        if end {
            bits.code(self.literals.code(END), out);
        }
    }
}

/// The head of a block with its own codes: how their lengths are written (RFC 1951, 3.2.7).
///
/// Go 1.8 to 1.26 and klauspost's agree (`generateCodegen`): runs go on from literals to distances; up to six of one
/// length are repeated at a time, and rests of less than three are written one by one.
pub(in crate::source::remake) struct Head {
    literals: usize,
    distances: usize,
    /// Symbols of code lengths, and for 16, 17 and 18 what follows.
    lengths: Vec<(u8, u8)>,
    codes: Codes<19>,
    /// How many of `ORDER` are written.
    orders: usize,
    /// The size of the head in bits, with the three that begin the block.
    pub(in crate::source::remake) size: usize,
}

impl Head {
    /// For the first so many codes of both kinds.
    pub(in crate::source::remake) fn new(literals: &[Code], distances: &[Code]) -> Self {
        let lengths = runs(literals.iter().chain(distances).map(|code| code.len));
        let mut counts = [0u32; 19];
        for &(symbol, _) in &lengths {
            counts[usize::from(symbol)] += 1;
        }
        let codes = Codes::of_counts(&counts, 7);
        let mut orders = ORDER.len();
        while orders > 4 && counts[ORDER[orders - 1]] == 0 {
            orders -= 1;
        }
        let repeats = 2 * counts[16] + 3 * counts[17] + 7 * counts[18];
        let size = 3 + 5 + 5 + 4 + 3 * orders + codes.cost(&counts) + repeats as usize;
        Self {
            literals: literals.len(),
            distances: distances.len(),
            lengths,
            codes,
            orders,
            size,
        }
    }

    /// Writes the head of a block that is not the last one.
    pub(in crate::source::remake) fn write(&self, bits: &mut Bits, out: &mut Vec<u8>) {
        bits.put(0b100, 3, out);
        bits.put((self.literals - 257) as u32, 5, out);
        bits.put((self.distances - 1) as u32, 5, out);
        bits.put((self.orders - 4) as u32, 4, out);
        for &symbol in &ORDER[..self.orders] {
            bits.put(u32::from(self.codes.code(symbol).len), 3, out);
        }
        for &(symbol, more) in &self.lengths {
            bits.code(self.codes.code(usize::from(symbol)), out);
            let count = match symbol {
                16 => 2,
                17 => 3,
                18 => 7,
                _ => 0,
            };
            bits.put(u32::from(more), count, out);
        }
    }
}

/// Code lengths as the symbols that stand for them.
fn runs(lengths: impl Iterator<Item = u8>) -> Vec<(u8, u8)> {
    let mut written = Vec::with_capacity(LITERALS + DISTANCES);
    let mut lengths = lengths.peekable();
    while let Some(length) = lengths.next() {
        let mut run = 1;
        while lengths.next_if_eq(&length).is_some() {
            run += 1;
        }
        if length == 0 {
            while run >= 11 {
                let zeros = run.min(MOST_ZEROS);
                written.push((18, (zeros - 11) as u8));
                run -= zeros;
            }
            if run >= 3 {
                written.push((17, (run - 3) as u8));
                run = 0;
            }
        } else {
            written.push((length, 0));
            run -= 1;
            while run >= 3 {
                let repeats = run.min(6);
                written.push((16, (repeats - 3) as u8));
                run -= repeats;
            }
        }
        written.extend(std::iter::repeat_n((length, 0), run));
    }
    written
}

/// Writes the head of a stored block, up to the bytes of it.
pub(in crate::source::remake) fn stored_head(
    length: usize,
    last: bool,
    bits: &mut Bits,
    out: &mut Vec<u8>,
) {
    let length = length as u16;
    bits.put(u32::from(last), 3, out);
    bits.align(out);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
}
