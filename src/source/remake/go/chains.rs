//! Levels 2 to 9 of Go's `compress/flate`: chains of places with the same hash (`deflate.go`, Go 1.8 to 1.26).

use super::block::GoBlocks;
use super::symbols::Token;

/// How far back a match may be.
const WINDOW: usize = 1 << 15;
/// How much content is in memory.
const FULL: usize = 2 * WINDOW;
/// Zeros behind it, so that four bytes can be read at each place.
const BEHIND: usize = 3;
/// The shortest match that is looked for.
const SHORTEST: usize = 4;
/// The longest match.
const LONGEST: usize = 258;
/// What must follow before a byte is looked at, unless the content ends.
const AHEAD: usize = SHORTEST + LONGEST;
/// After so many tokens a block ends.
const BLOCK_TOKENS: usize = 1 << 14;
const HASH_BITS: u32 = 17;
/// A match of only four bytes is taken from nearby alone: further away its distance costs more than it saves.
const NEAR: usize = 4096;

/// How much is tried at a level.
#[derive(Clone, Copy)]
pub(super) struct ChainEffort {
    /// A match shorter than this is compared with the one that begins at the next byte; none is, at levels 2 and 3.
    lazy: Option<usize>,
    /// A match of this length ends the search.
    nice: usize,
    /// How many places of a chain are looked at.
    chain: usize,
    /// At levels 2 and 3, only the places in shorter matches enter the chains.
    entered: usize,
}

impl ChainEffort {
    /// `levels` in `deflate.go`; its column `good` never applies, because searches start from no match.
    pub(super) const fn of_level(level: u8) -> Self {
        let (lazy, nice, chain, entered) = match level {
            ..=2 => (None, 16, 8, 5),
            3 => (None, 32, 32, 6),
            4 => (Some(4), 16, 16, LONGEST),
            5 => (Some(16), 32, 32, LONGEST),
            6 => (Some(16), 128, 128, LONGEST),
            7 => (Some(32), 128, 256, LONGEST),
            8 => (Some(128), 258, 1024, LONGEST),
            9.. => (Some(258), 258, 4096, LONGEST),
        };
        Self {
            lazy,
            nice,
            chain,
            entered,
        }
    }
}

/// A match: how long, and how far back.
#[derive(Clone, Copy, Default)]
struct Match {
    length: usize,
    distance: usize,
}

pub(super) struct Chains {
    effort: ChainEffort,
    blocks: GoBlocks,
    tokens: Vec<Token>,
    window: Box<[u8; FULL + BEHIND]>,
    /// Up to where the window is filled.
    end: usize,
    /// The next byte to look at.
    at: usize,
    /// Where the tokens of the block begin; none if it has left the window.
    block: Option<usize>,
    /// The match at the byte before, not yet written (lazy levels).
    before: Match,
    /// Whether the byte before is not yet written (lazy levels).
    pending: bool,
    /// The last place in the window with each hash, plus one; zero if there is none.
    last: Box<[u16; 1 << HASH_BITS]>,
    /// The place before each place with the same hash, likewise; two places that are `WINDOW` apart share one.
    previous: Box<[u16; WINDOW]>,
}

impl Chains {
    pub(super) fn new(effort: ChainEffort) -> Self {
        Self {
            effort,
            blocks: GoBlocks::new(),
            tokens: Vec::with_capacity(BLOCK_TOKENS),
            window: zeroed(),
            end: 0,
            at: 0,
            block: Some(0),
            before: Match::default(),
            pending: false,
            last: zeroed(),
            previous: zeroed(),
        }
    }

    /// As Go does with everything in one write, whatever the sizes: it is only once the window is full that it is
    /// looked at and moved. (In Go, small writes can move it some bytes earlier, which hides the farthest of what it
    /// holds and could change a match. Trees of 614 MB that Go's `archive/tar` wrote into the encoder, header by header
    /// and file by file, gave the same streams as one write.)
    pub(super) fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while !content.is_empty() {
            if self.end == FULL {
                self.advance(false, out);
                self.slide();
            }
            let (now, later) = content.split_at(content.len().min(FULL - self.end));
            self.window[self.end..self.end + now.len()].copy_from_slice(now);
            self.end += now.len();
            content = later;
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(true, out);
        if std::mem::take(&mut self.pending) {
            self.tokens.push(Token::literal(self.window[self.at - 1]));
        }
        if !self.tokens.is_empty() {
            self.end_block(self.at, out);
        }
        self.blocks.end(out);
    }

    /// Moves the upper half of the window down.
    fn slide(&mut self) {
        self.window.copy_within(WINDOW..FULL, 0);
        self.at -= WINDOW;
        self.end -= WINDOW;
        self.block = self.block.and_then(|block| block.checked_sub(WINDOW));
        for place in self.last.iter_mut() {
            *place = place.saturating_sub(WINDOW as u16);
        }
        for place in self.previous.iter_mut() {
            *place = place.saturating_sub(WINDOW as u16);
        }
    }

    /// Ends the block before byte `to` of the window.
    fn end_block(&mut self, to: usize, out: &mut Vec<u8>) {
        let content = self.block.and_then(|from| self.window.get(from..to));
        self.blocks.smallest(&self.tokens, content, out);
        self.tokens.clear();
        self.block = Some(to);
    }

    fn push(&mut self, token: Token, to: usize, out: &mut Vec<u8>) {
        self.tokens.push(token);
        if self.tokens.len() == BLOCK_TOKENS {
            self.end_block(to, out);
        }
    }

    /// Looks at all bytes that have enough behind them; at all there are if the content ends here.
    fn advance(&mut self, ends: bool, out: &mut Vec<u8>) {
        let stop = if ends {
            self.end
        } else {
            (self.end + 1).saturating_sub(AHEAD)
        };
        if let Some(lazy) = self.effort.lazy {
            while self.at < stop {
                self.step_lazy(lazy, out);
            }
        } else {
            while self.at < stop {
                self.step_greedy(out);
            }
        }
    }

    /// Levels 4 to 9: a match is written once the next byte has no longer one.
    fn step_lazy(&mut self, lazy: usize, out: &mut Vec<u8>) {
        let head = self.enter(self.at);
        let before = self.before;
        let worth = before.length < lazy && self.end - self.at > before.length;
        let now = if worth {
            self.search(head)
        } else {
            Match::default()
        };
        if before.length >= SHORTEST && now.length <= before.length {
            let next = self.at + before.length - 1;
            self.enter_all(self.at + 1, next);
            self.at = next;
            self.pending = false;
            self.before = Match::default();
            self.push(Token::repeat(before.length, before.distance), next, out);
        } else {
            self.before = now;
            self.at += 1;
            if std::mem::replace(&mut self.pending, true) {
                let literal = Token::literal(self.window[self.at - 2]);
                self.push(literal, self.at - 1, out);
            }
        }
    }

    /// Levels 2 and 3: the first match is written.
    fn step_greedy(&mut self, out: &mut Vec<u8>) {
        let head = self.enter(self.at);
        let now = self.search(head);
        if now.length >= SHORTEST {
            let next = self.at + now.length;
            if now.length <= self.effort.entered {
                self.enter_all(self.at + 1, next);
            }
            self.at = next;
            self.push(Token::repeat(now.length, now.distance), next, out);
        } else {
            let literal = Token::literal(self.window[self.at]);
            self.at += 1;
            self.push(literal, self.at, out);
        }
    }

    /// Enters a place into its chain and returns the place that was last there, plus one; zero if there was none or
    /// fewer than four bytes are left.
    fn enter(&mut self, at: usize) -> u16 {
        if at + SHORTEST > self.end {
            return 0;
        }
        let hash = hash(self.four(at));
        let head = std::mem::replace(&mut self.last[hash], at as u16 + 1);
        self.previous[at % WINDOW] = head;
        head
    }

    /// The four bytes at a place.
    fn four(&self, at: usize) -> [u8; 4] {
        let at = at % FULL;
        let mut four = [0; 4];
        four.copy_from_slice(&self.window[at..at + 4]);
        four
    }

    /// Enters all places from `from` up to `to`.
    fn enter_all(&mut self, from: usize, to: usize) {
        for at in from..to {
            self.enter(at);
        }
    }

    /// The best match for the next byte among the places of the chain that begins with `head`.
    fn search(&self, head: u16) -> Match {
        let at = self.at;
        let most = LONGEST.min(self.end - at);
        let nice = self.effort.nice.min(most);
        let earliest = at.saturating_sub(WINDOW) + 1;
        let mut best = Match::default();
        let mut longest = SHORTEST - 1;
        let ahead = &self.window[at..at + most];
        // What differs in the last four bytes of a match of this length and one more is not a longer match.
        let mut wanted = self.four(at + longest - 3);
        let mut place = usize::from(head);
        for _ in 0..self.effort.chain {
            if place < earliest {
                break;
            }
            let from = place - 1;
            if self.four(from + longest - 3) == wanted {
                let length = common(ahead, &self.window[from..]);
                if length > longest && (length > SHORTEST || at - from <= NEAR) {
                    best = Match {
                        length,
                        distance: at - from,
                    };
                    if length >= nice {
                        break;
                    }
                    longest = length;
                    wanted = self.four(at + longest - 3);
                }
            }
            if from + WINDOW == at {
                break; // What was before it has been overwritten by this byte.
            }
            place = usize::from(self.previous[from % WINDOW]);
        }
        best
    }
}

/// How many first bytes are equal.
pub(in crate::source::remake) fn common(ahead: &[u8], earlier: &[u8]) -> usize {
    let earlier = &earlier[..ahead.len()];
    let (ahead_words, ahead_rest) = ahead.as_chunks::<8>();
    let (earlier_words, earlier_rest) = earlier.as_chunks::<8>();
    for (index, (ahead, earlier)) in ahead_words.iter().zip(earlier_words).enumerate() {
        let differing = u64::from_le_bytes(*ahead) ^ u64::from_le_bytes(*earlier);
        if differing != 0 {
            return index * 8 + differing.trailing_zeros() as usize / 8;
        }
    }
    let equal = ahead_rest
        .iter()
        .zip(earlier_rest)
        .take_while(|(ahead, earlier)| ahead == earlier)
        .count();
    ahead_words.len() * 8 + equal
}

const fn hash(bytes: [u8; SHORTEST]) -> usize {
    (u32::from_be_bytes(bytes).wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS)) as usize
}

/// Zeros, made on the heap.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "the arrays are too large for the stack"
)]
pub(in crate::source::remake) fn zeroed<T: Default + Copy, const N: usize>() -> Box<[T; N]> {
    match vec![T::default(); N].into_boxed_slice().try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("the length is N"),
    }
}
