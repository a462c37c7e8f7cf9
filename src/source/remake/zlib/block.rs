//! Blocks of a deflate stream: symbols are gathered until there are enough, then written in the shortest of three forms
//! (`_tr_flush_block` in zlib's `trees.c`).

use super::ZlibKind;
use super::tree::{TreeKind, ZlibCode, ZlibTree};

/// Bits that are not a whole byte yet.
#[derive(Default)]
struct Bits {
    bits: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, bits: u32, count: u32, out: &mut Vec<u8>) {
        self.bits |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            out.push(self.bits as u8);
            self.bits >>= 8;
            self.count -= 8;
        }
    }

    fn code(&mut self, code: ZlibCode, out: &mut Vec<u8>) {
        self.put(code.bits.into(), code.len.into(), out);
    }

    fn align(&mut self, out: &mut Vec<u8>) {
        if self.count > 0 {
            out.push(self.bits as u8);
        }
        *self = Self::default();
    }
}

/// A symbol: a literal, if the distance is 0, or a match whose length is 3 more.
#[derive(Clone, Copy)]
struct Symbol {
    distance: u16,
    value: u8,
}

const LITERALS_AND_LENGTHS: usize = 286;
const DISTANCES: usize = 30;
const END: usize = 256;

/// The first length of each code, less 3 (RFC 1951, section 3.2.5), and how many more bits it takes.
const LENGTHS: [(u8, u8); 29] = codes_of_lengths();
/// The first distance of each code, less 1, and how many more bits it takes.
const DISTANCE_CODES: [(u16, u8); 30] = codes_of_distances();
/// The code of each length.
const CODE_OF_LENGTH: [u8; 256] = code_of_length();

const fn codes_of_lengths() -> [(u8, u8); 29] {
    let mut codes = [(0, 0); 29];
    let (mut code, mut first) = (0, 0_u16);
    while code < 28 {
        let extra = if code < 8 { 0 } else { (code / 4 - 1) as u8 };
        codes[code] = (first as u8, extra);
        first += 1 << extra;
        code += 1;
    }
    // The longest match has one of its own.
    codes[28] = (255, 0);
    codes
}

const fn codes_of_distances() -> [(u16, u8); 30] {
    let mut codes = [(0, 0); 30];
    let (mut code, mut first) = (0, 0_u32);
    while code < 30 {
        let extra = if code < 4 { 0 } else { (code / 2 - 1) as u8 };
        codes[code] = (first as u16, extra);
        first += 1 << extra;
        code += 1;
    }
    codes
}

const fn code_of_length() -> [u8; 256] {
    let mut codes = [0; 256];
    let (mut code, mut length) = (0, 0);
    while length < 256 {
        while code + 1 < LENGTHS.len() && LENGTHS[code + 1].0 as usize <= length {
            code += 1;
        }
        codes[length] = code as u8;
        length += 1;
    }
    codes
}

/// The code of a distance, which is 1 less here.
fn code_of_distance(distance: u16) -> usize {
    if distance < 4 {
        return distance.into();
    }
    let bits = u16::BITS - distance.leading_zeros();
    (2 * (bits - 1) + u32::from(distance >> (bits - 2) & 1)) as usize
}

/// How many more bits a literal or length takes.
pub(super) fn extra_of_length(symbol: usize) -> u8 {
    symbol
        .checked_sub(END + 1)
        .map_or(0, |code| LENGTHS[code].1)
}

/// How many more bits a distance takes.
pub(super) fn extra_of_distance(symbol: usize) -> u8 {
    DISTANCE_CODES[symbol].1
}

/// How often each symbol occurs.
struct Counts {
    literals: [u16; LITERALS_AND_LENGTHS],
    distances: [u16; DISTANCES],
}

impl Counts {
    fn new() -> Self {
        let mut literals = [0; LITERALS_AND_LENGTHS];
        literals[END] = 1;
        Self {
            literals,
            distances: [0; DISTANCES],
        }
    }
}

/// The block that is being gathered, and the bits before it.
pub(super) struct ZlibBlock {
    kind: ZlibKind,
    level: u8,
    symbols: Vec<Symbol>,
    matches: usize,
    counts: Counts,
    bits: Bits,
}

impl ZlibBlock {
    pub(super) fn new(kind: ZlibKind, level: u8) -> Self {
        Self {
            kind,
            level,
            symbols: Vec::new(),
            matches: 0,
            counts: Counts::new(),
            bits: Bits::default(),
        }
    }

    /// Adds a literal. `covered` is how much content the block has by now; says whether it should end.
    pub(super) fn literal(&mut self, byte: u8, covered: usize) -> bool {
        self.counts.literals[usize::from(byte)] += 1;
        self.add(0, byte, covered)
    }

    /// The same for a match.
    pub(super) fn reference(&mut self, length: usize, distance: usize, covered: usize) -> bool {
        let value = (length - super::MIN_MATCH) as u8;
        let code = usize::from(CODE_OF_LENGTH[usize::from(value)]);
        self.counts.literals[END + 1 + code] += 1;
        self.counts.distances[code_of_distance((distance - 1) as u16)] += 1;
        self.matches += 1;
        self.add(distance as u16, value, covered)
    }

    fn add(&mut self, distance: u16, value: u8, covered: usize) -> bool {
        self.symbols.push(Symbol { distance, value });
        let count = self.symbols.len();
        match self.kind {
            // One less than there is room for at memory level 8.
            ZlibKind::Zlib => count == (1 << 14) - 1,
            ZlibKind::Gnu => {
                let is_looked_at = self.level > 2 && count.is_multiple_of(1 << 12);
                is_looked_at && self.is_profitable(covered) || count == (1 << 15) - 1
            }
        }
    }

    /// GNU gzip ends a block early that compresses well so far, and with few matches (`ct_tally`).
    fn is_profitable(&self, covered: usize) -> bool {
        let distances = self.counts.distances.iter().enumerate();
        let bits: usize = distances
            .map(|(code, &count)| usize::from(count) * (5 + usize::from(extra_of_distance(code))))
            .sum();
        let count = self.symbols.len();
        self.matches < count / 2 && (8 * count + bits) / 8 < covered / 2
    }

    /// Ends the block, whose content is at hand unless it is far too long to be stored.
    pub(super) fn end(&mut self, content: Option<&[u8]>, is_last: bool, out: &mut Vec<u8>) {
        let literals = ZlibTree::of(TreeKind::Literals, &self.counts.literals);
        let distances = ZlibTree::of(TreeKind::Distances, &self.counts.distances);
        let header = Header::of(&literals, &distances);
        let dynamic = literals.bits + distances.bits + header.bits();
        let fixed = literals.fixed_bits + distances.fixed_bits;
        let bytes = |bits: i64| (bits + 3 + 7) >> 3;
        let (dynamic, fixed) = (bytes(dynamic), bytes(fixed));
        let last = u32::from(is_last);
        let shortest = dynamic.min(fixed);
        let stored = content
            .filter(|content| i64::try_from(content.len() + 4).is_ok_and(|len| len <= shortest));
        if let Some(content) = stored {
            self.bits.put(last, 3, out);
            self.bits.align(out);
            let len = content.len() as u16;
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&(!len).to_le_bytes());
            out.extend_from_slice(content);
        } else if fixed <= dynamic {
            self.bits.put(2 + last, 3, out);
            let (literals, distances) = ZlibTree::fixed();
            self.write(&literals, &distances, out);
        } else {
            self.bits.put(4 + last, 3, out);
            header.write(&literals, &distances, |bits, count| {
                self.bits.put(bits, count, out);
            });
            self.write(&literals.codes, &distances.codes, out);
        }
        self.symbols.clear();
        self.matches = 0;
        self.counts = Counts::new();
        if is_last {
            self.bits.align(out);
        }
    }

    fn write(&mut self, literals: &[ZlibCode], distances: &[ZlibCode], out: &mut Vec<u8>) {
        let bits = &mut self.bits;
        for &Symbol { distance, value } in &self.symbols {
            let Some(distance) = distance.checked_sub(1) else {
                bits.code(literals[usize::from(value)], out);
                continue;
            };
            let code = usize::from(CODE_OF_LENGTH[usize::from(value)]);
            let (first, extra) = LENGTHS[code];
            bits.code(literals[END + 1 + code], out);
            bits.put((value - first).into(), extra.into(), out);
            let code = code_of_distance(distance);
            let (first, extra) = DISTANCE_CODES[code];
            bits.code(distances[code], out);
            bits.put((distance - first).into(), extra.into(), out);
        }
        bits.code(literals[END], out);
    }
}

/// The order in which the lengths of the codes for lengths are written (RFC 1951, section 3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The description of both trees that a block begins with.
struct Header {
    tree: ZlibTree,
    /// How many lengths of the codes for lengths are written.
    count: usize,
    /// The codes for lengths that both trees take, each with what follows it and in how many bits.
    parts: Vec<(u8, u8, u8)>,
}

impl Header {
    fn of(literals: &ZlibTree, distances: &ZlibTree) -> Self {
        let mut parts = Vec::new();
        for tree in [literals, distances] {
            runs(tree, &mut parts);
        }
        let mut counts = [0; ORDER.len()];
        for (code, ..) in &parts {
            counts[usize::from(*code)] += 1;
        }
        let tree = ZlibTree::of(TreeKind::Lengths, &counts);
        let used = |&at: &usize| tree.codes[ORDER[at]].len != 0;
        let last = (3..ORDER.len()).rev().find(used).unwrap_or(2);
        Self {
            count: (last + 1).max(4),
            tree,
            parts,
        }
    }

    /// How many bits it takes, less what `_tr_flush_block` adds.
    fn bits(&self) -> i64 {
        self.tree.bits + i64::from(3 * self.count as u32 + 5 + 5 + 4)
    }

    fn write(&self, literals: &ZlibTree, distances: &ZlibTree, mut put: impl FnMut(u32, u32)) {
        put((literals.last - END) as u32, 5);
        put(distances.last as u32, 5);
        put(self.count as u32 - 4, 4);
        for &symbol in &ORDER[..self.count] {
            put(self.tree.codes[symbol].len.into(), 3);
        }
        for &(symbol, more, count) in &self.parts {
            let code = self.tree.codes[usize::from(symbol)];
            put(code.bits.into(), code.len.into());
            put(more.into(), count.into());
        }
    }
}

/// The lengths of a tree as runs (`scan_tree`, `send_tree`).
fn runs(tree: &ZlibTree, parts: &mut Vec<(u8, u8, u8)>) {
    let lengths = &tree.codes[..=tree.last];
    let mut before = None;
    let mut rest = lengths;
    while let Some(&ZlibCode { len, .. }) = rest.first() {
        let same = rest.iter().take_while(|code| code.len == len).count();
        let most = match len {
            0 => 138,
            // Behind the same length, which ended a run.
            _ if before == Some(len) => 6,
            _ => 7,
        };
        let count = same.min(most);
        rest = &rest[count..];
        let number = count as u8;
        let least = if len != 0 && before != Some(len) {
            4
        } else {
            3
        };
        match (len, number) {
            (_, number) if number < least => {
                parts.extend((0..number).map(|_| (len, 0, 0)));
            }
            (0, ..=10) => parts.push((17, number - 3, 3)),
            (0, _) => parts.push((18, number - 11, 7)),
            _ if before == Some(len) => parts.push((16, number - 3, 2)),
            _ => parts.extend([(len, 0, 0), (16, number - 4, 2)]),
        }
        before = Some(len);
    }
}
