//! Huffman codes as zlib makes them (`build_tree`, `gen_bitlen` and `gen_codes` in `trees.c`).

use super::block::{extra_of_distance, extra_of_length};

/// A code, its first bit the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ZlibCode {
    pub(super) bits: u16,
    pub(super) len: u8,
}

/// What the symbols are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TreeKind {
    Literals,
    Distances,
    /// Lengths of codes.
    Lengths,
}

impl TreeKind {
    /// The longest code.
    fn most_bits(self) -> usize {
        match self {
            Self::Literals | Self::Distances => 15,
            Self::Lengths => 7,
        }
    }

    /// How many bits follow a symbol.
    fn extra(self, symbol: usize) -> u8 {
        match self {
            Self::Literals => extra_of_length(symbol),
            Self::Distances => extra_of_distance(symbol),
            Self::Lengths => match symbol {
                16 => 2,
                17 => 3,
                18 => 7,
                _ => 0,
            },
        }
    }

    /// How long the fixed code of a symbol is.
    fn fixed(self, symbol: usize) -> u8 {
        match (self, symbol) {
            (Self::Literals, 144..=255) => 9,
            (Self::Literals, 256..=279) => 7,
            (Self::Literals, _) => 8,
            (Self::Distances, _) => 5,
            (Self::Lengths, _) => 0,
        }
    }
}

/// The codes of a block.
pub(super) struct ZlibTree {
    pub(super) codes: Vec<ZlibCode>,
    /// The last symbol that has one.
    pub(super) last: usize,
    /// How many bits all symbols of the block take with it.
    pub(super) bits: i64,
    /// The same with the fixed codes.
    pub(super) fixed_bits: i64,
}

/// Nodes of a tree: its symbols, and behind them those that join two.
struct Nodes {
    counts: Vec<u32>,
    depths: Vec<u8>,
    /// The node that joins each with another.
    above: Vec<usize>,
    /// Those that are to be joined, the rarest at the top; the first place is not used.
    heap: Vec<usize>,
}

impl Nodes {
    fn is_smaller(&self, a: usize, b: usize) -> bool {
        (self.counts[a], self.depths[a]) <= (self.counts[b], self.depths[b])
    }

    /// Moves the node at `at` down until none below it is smaller.
    fn sink(&mut self, mut at: usize) {
        let node = self.heap[at];
        let last = self.heap.len() - 1;
        let mut below = 2 * at;
        while below <= last {
            if below < last && self.is_smaller(self.heap[below + 1], self.heap[below]) {
                below += 1;
            }
            if self.is_smaller(node, self.heap[below]) {
                break;
            }
            self.heap[at] = self.heap[below];
            at = below;
            below *= 2;
        }
        self.heap[at] = node;
    }

    /// Joins all; the nodes from the root downwards, in the order in which they were joined.
    fn join(&mut self) -> Vec<usize> {
        for at in (1..=(self.heap.len() - 1) / 2).rev() {
            self.sink(at);
        }
        let mut joined = Vec::new();
        while self.heap.len() > 2 {
            let first = self.heap.swap_remove(1);
            self.sink(1);
            let second = self.heap[1];
            joined.extend([first, second]);
            let node = self.counts.len();
            self.counts.push(self.counts[first] + self.counts[second]);
            self.depths
                .push(self.depths[first].max(self.depths[second]) + 1);
            self.above.push(0);
            self.above[first] = node;
            self.above[second] = node;
            self.heap[1] = node;
            self.sink(1);
        }
        joined.push(self.heap[1]);
        joined.reverse();
        joined
    }
}

impl ZlibTree {
    /// The codes for symbols that occur so often.
    pub(super) fn of(kind: TreeKind, counts: &[u16]) -> Self {
        let mut tree = Self {
            codes: vec![ZlibCode::default(); counts.len()],
            last: 0,
            bits: 0,
            fixed_bits: 0,
        };
        let mut nodes = Nodes {
            counts: counts.iter().map(|&count| count.into()).collect(),
            depths: vec![0; counts.len()],
            above: vec![0; counts.len()],
            heap: vec![0],
        };
        let used = (0..counts.len()).filter(|&symbol| counts[symbol] > 0);
        nodes.heap.extend(used);
        let mut last = nodes.heap.get(1..).and_then(<[usize]>::last).copied();
        // Two codes at least, since some decoders want that. They are not counted.
        while nodes.heap.len() < 3 {
            let symbol = match last {
                Some(0) => 1,
                Some(1) => 2,
                None | Some(_) => 0,
            };
            if last.is_none_or(|last| last < 2) {
                last = Some(symbol);
            }
            nodes.heap.push(symbol);
            nodes.counts[symbol] = 1;
            tree.bits -= 1;
            tree.fixed_bits -= i64::from(kind.fixed(symbol));
        }
        tree.last = last.unwrap_or(0);
        let joined = nodes.join();
        tree.set_lengths(kind, &nodes, &joined);
        tree.set_codes();
        tree
    }

    /// How long the code of each symbol is: its depth, and no longer than allowed.
    fn set_lengths(&mut self, kind: TreeKind, nodes: &Nodes, joined: &[usize]) {
        let most = kind.most_bits();
        let symbols = self.codes.len();
        let mut lengths = vec![0; nodes.counts.len()];
        let mut numbers = [0_usize; 17];
        let mut too_long = 0_isize;
        for &node in &joined[1..] {
            let mut len = lengths[nodes.above[node]] + 1;
            if len > most {
                len = most;
                too_long += 1;
            }
            lengths[node] = len;
            if node < symbols {
                numbers[len] += 1;
            }
        }
        let is_changed = too_long > 0;
        // Pairs of those that are too long go up, beside one that goes down a bit.
        while too_long > 0 {
            let shorter = (1..most).rev().find(|&len| numbers[len] > 0).unwrap_or(1);
            numbers[shorter] -= 1;
            numbers[shorter + 1] += 2;
            numbers[most] -= 1;
            too_long -= 2;
        }
        if is_changed {
            let mut leaves = joined.iter().rev().filter(|&&node| node < symbols);
            for len in (1..=most).rev() {
                for &symbol in leaves.by_ref().take(numbers[len]) {
                    lengths[symbol] = len;
                }
            }
        }
        for &symbol in joined.iter().filter(|&&node| node < symbols) {
            let len = lengths[symbol] as u8;
            self.codes[symbol].len = len;
            let count = i64::from(nodes.counts[symbol]);
            let extra = i64::from(kind.extra(symbol));
            self.bits += count * (i64::from(len) + extra);
            self.fixed_bits += count * (i64::from(kind.fixed(symbol)) + extra);
        }
    }

    /// The codes of each length are numbered in the order of the symbols (RFC 1951, section 3.2.2).
    fn set_codes(&mut self) {
        let mut numbers = [0_u16; 16];
        for code in &self.codes {
            numbers[usize::from(code.len)] += 1;
        }
        numbers[0] = 0;
        let mut next = [0_u16; 16];
        for len in 1..16 {
            next[len] = (next[len - 1] + numbers[len - 1]) << 1;
        }
        for code in self.codes.iter_mut().filter(|code| code.len > 0) {
            let next = &mut next[usize::from(code.len)];
            code.bits = next.reverse_bits() >> (16 - u16::from(code.len));
            *next += 1;
        }
    }

    /// The fixed codes of literals and lengths, and of distances (RFC 1951, section 3.2.6).
    pub(super) fn fixed() -> (Vec<ZlibCode>, Vec<ZlibCode>) {
        let codes = |kind: TreeKind, symbols: usize| {
            let code = |symbol| ZlibCode {
                bits: 0,
                len: kind.fixed(symbol),
            };
            let mut tree = Self {
                codes: (0..symbols).map(code).collect(),
                last: 0,
                bits: 0,
                fixed_bits: 0,
            };
            tree.set_codes();
            tree.codes
        };
        (
            codes(TreeKind::Literals, 288),
            codes(TreeKind::Distances, 30),
        )
    }
}
