//! Prefix codes as Go's `compress/flate` and klauspost's `flate` choose them.
//!
//! Both limit the length of codes with package-merge, so the lengths are optimal; what they do with equal weights is
//! what decides the bytes. The rules (`huffman_code.go`, unchanged from Go 1.8 to 1.26): symbols are sorted by
//! frequency and then by number, a package is taken before a symbol of the same weight, there are never more levels
//! than one less than the number of symbols, and one or two symbols have codes of one bit.

/// The most symbols that a code may have: lengths and literals.
const MOST_SYMBOLS: usize = 286;
/// The longest code that the format allows.
const LONGEST: usize = 15;

/// One code: its bits, with the first one lowest, and how many there are; none for a symbol that does not occur.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::source::remake) struct Code {
    pub(in crate::source::remake) bits: u16,
    pub(in crate::source::remake) len: u8,
}

/// The codes of `N` symbols.
pub(in crate::source::remake) struct Codes<const N: usize> {
    codes: [Code; N],
}

impl<const N: usize> Codes<N> {
    /// Codes with these lengths, numbered as RFC 1951, 3.2.2 asks.
    pub(in crate::source::remake) fn of_lengths(lengths: [u8; N]) -> Self {
        let mut next = [0u16; LONGEST + 2];
        for &len in &lengths {
            if len > 0 {
                next[usize::from(len) + 1] += 1;
            }
        }
        for len in 1..next.len() {
            next[len] = (next[len] + next[len - 1]) << 1;
        }
        let codes = lengths.map(|len| {
            if len == 0 {
                return Code::default();
            }
            let code = &mut next[usize::from(len)];
            let bits = code.reverse_bits() >> (16 - u16::from(len));
            *code += 1;
            Code { bits, len }
        });
        Self { codes }
    }

    /// The codes for symbols that occur `counts` times, none longer than `longest` bits.
    pub(in crate::source::remake) fn of_counts(counts: &[u32; N], longest: usize) -> Self {
        let mut symbols = [0u64; MOST_SYMBOLS];
        let mut used = 0;
        for (symbol, &count) in (0u64..).zip(counts) {
            if count > 0 {
                symbols[used] = u64::from(count) << 16 | symbol;
                used += 1;
            }
        }
        let symbols = &mut symbols[..used];
        let mut lengths = [0u8; N];
        if used <= 2 {
            for &mut symbol in symbols {
                lengths[number(symbol)] = 1;
            }
            return Self::of_lengths(lengths);
        }
        symbols.sort_unstable();
        let longest = longest.min(used - 1).min(LONGEST);
        for taken in Packages::merge(symbols, longest).taken() {
            for &symbol in &symbols[..taken] {
                lengths[number(symbol)] += 1;
            }
        }
        Self::of_lengths(lengths)
    }

    /// The code of a symbol.
    pub(in crate::source::remake) fn code(&self, symbol: usize) -> Code {
        self.codes[symbol]
    }

    /// The codes of the first `M` symbols, for the code that the format defines for more than occur.
    pub(in crate::source::remake) fn first<const M: usize>(&self) -> Codes<M> {
        Codes {
            codes: std::array::from_fn(|symbol| self.codes[symbol]),
        }
    }

    /// All codes, in the order of their symbols.
    pub(in crate::source::remake) const fn all(&self) -> &[Code; N] {
        &self.codes
    }

    /// Whether every symbol that occurs has a code.
    pub(in crate::source::remake) fn has_all(&self, counts: &[u32; N]) -> bool {
        self.codes
            .iter()
            .zip(counts)
            .all(|(code, &count)| count == 0 || code.len > 0)
    }

    /// How many bits it takes to write every symbol as often as `counts` says.
    pub(in crate::source::remake) fn cost(&self, counts: &[u32; N]) -> usize {
        self.codes
            .iter()
            .zip(counts)
            .map(|(code, &count)| usize::from(code.len) * count as usize)
            .sum()
    }
}

/// The symbol in a key of [`Codes::of_counts`].
fn number(key: u64) -> usize {
    (key & 0xffff) as usize
}

/// The lists of package-merge: how many of the first items of each level are symbols.
struct Packages {
    symbols: Vec<[u16; 2 * MOST_SYMBOLS]>,
    wanted: usize,
}

impl Packages {
    fn merge(keys: &[u64], levels: usize) -> Self {
        let wanted = 2 * keys.len() - 2;
        let mut lists = vec![[0u16; 2 * MOST_SYMBOLS]; levels];
        let mut below = [0u64; 2 * MOST_SYMBOLS];
        let mut below_len = 0;
        for counts in &mut lists {
            let mut items = [0u64; 2 * MOST_SYMBOLS];
            let (mut symbols, mut packages, mut len) = (0, 0, 0);
            while len < wanted {
                let symbol = keys.get(symbols).map(|key| key >> 16);
                let package = (2 * packages + 1 < below_len)
                    .then(|| below[2 * packages] + below[2 * packages + 1]);
                items[len] = match (symbol, package) {
                    (Some(symbol), package) if package.is_none_or(|package| symbol < package) => {
                        symbols += 1;
                        symbol
                    }
                    (_, Some(package)) => {
                        packages += 1;
                        package
                    }
                    (_, None) => break,
                };
                len += 1;
                counts[len] = u16::try_from(symbols).unwrap_or(u16::MAX);
            }
            below = items;
            below_len = len;
        }
        Self {
            symbols: lists,
            wanted,
        }
    }

    /// How many of the rarest symbols get one bit more, for each level.
    fn taken(&self) -> impl Iterator<Item = usize> + '_ {
        let mut wanted = self.wanted;
        self.symbols.iter().rev().map(move |counts| {
            let symbols = usize::from(counts[wanted]);
            wanted = 2 * (wanted - symbols);
            symbols
        })
    }
}
