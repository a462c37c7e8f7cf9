//! Levels 2 to 9 of Go's `compress/flate`: chains of places with the same hash (`deflate.go`, Go 1.8 to 1.26).

use super::block::Blocks;
use super::symbols::Token;

/// How far back a match may be; the buffer holds twice as much.
const WINDOW: usize = 1 << 15;
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
/// When places are counted from zero again, so that they fit into 32 bits.
const REBASE: u32 = 1 << 30;

/// How much is tried at a level.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// A match shorter than this is compared with the one that begins at the next byte; none is, at levels 2 and 3.
    lazy: Option<usize>,
    /// A match of this length ends the search.
    nice: usize,
    /// How many places of a chain are looked at.
    chain: usize,
    /// At levels 2 and 3, only the places in shorter matches enter the chains.
    entered: usize,
}

impl Effort {
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
    effort: Effort,
    blocks: Blocks,
    tokens: Vec<Token>,
    window: Box<[u8; 2 * WINDOW]>,
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
    /// The last place with each hash, counted from `origin`; those below `origin` have left the window.
    last: Box<[u32; 1 << HASH_BITS]>,
    /// The place before each place with the same hash.
    previous: Box<[u32; WINDOW]>,
    /// What the first byte of the window counts as.
    pub(super) origin: u32,
}

impl Chains {
    pub(super) fn new(effort: Effort) -> Self {
        Self {
            effort,
            blocks: Blocks::new(),
            tokens: Vec::with_capacity(BLOCK_TOKENS),
            window: zeroed(),
            end: 0,
            at: 0,
            block: Some(0),
            before: Match::default(),
            pending: false,
            last: zeroed(),
            previous: zeroed(),
            origin: 1,
        }
    }

    /// As Go does with everything in one write, whatever the sizes: it is only once the window is full that it is
    /// looked at and moved. (In Go, small writes can move it some bytes earlier, which hides the farthest of what it
    /// holds and on rare occasions changes a match.)
    pub(super) fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while !content.is_empty() {
            if self.end == self.window.len() {
                self.advance(false, out);
                self.slide();
            }
            let (now, later) = content.split_at(content.len().min(self.window.len() - self.end));
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
        self.window.copy_within(WINDOW.., 0);
        self.at -= WINDOW;
        self.end -= WINDOW;
        self.block = self.block.and_then(|block| block.checked_sub(WINDOW));
        self.origin += WINDOW as u32;
        if self.origin > REBASE {
            let gone = self.origin - 1;
            for place in self.last.iter_mut().chain(self.previous.iter_mut()) {
                *place = place.saturating_sub(gone);
            }
            self.origin = 1;
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

    /// Enters a place into its chain and returns the place that was last there; none if fewer than four bytes are left.
    fn enter(&mut self, at: usize) -> u32 {
        let Some(bytes) = self.window[..self.end].get(at..at + SHORTEST) else {
            return 0;
        };
        let hash = hash([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let head = std::mem::replace(&mut self.last[hash], self.origin + at as u32);
        self.previous[at % WINDOW] = head;
        head
    }

    /// Enters all places from `from` up to `to`.
    fn enter_all(&mut self, from: usize, to: usize) {
        for at in from..to {
            self.enter(at);
        }
    }

    /// The best match for the next byte among the places of the chain that begins with `head`.
    fn search(&self, head: u32) -> Match {
        let most = LONGEST.min(self.end - self.at);
        let nice = self.effort.nice.min(most);
        let earliest = self.at.saturating_sub(WINDOW);
        let mut best = Match {
            length: SHORTEST - 1,
            distance: 0,
        };
        let Some(mut place) = self.in_window(head, earliest) else {
            return Match::default();
        };
        let ahead = &self.window[self.at..self.at + most];
        let mut tail = tail(ahead, best.length);
        for _ in 0..self.effort.chain {
            if tail == self::tail(&self.window[place..], best.length) {
                let length = common(ahead, &self.window[place..]);
                if length > best.length && (length > SHORTEST || self.at - place <= NEAR) {
                    best = Match {
                        length,
                        distance: self.at - place,
                    };
                    if length >= nice {
                        break;
                    }
                    tail = self::tail(ahead, length);
                }
            }
            if place + WINDOW == self.at {
                break; // What was before it has been overwritten by this byte.
            }
            match self.in_window(self.previous[place % WINDOW], earliest) {
                Some(earlier) => place = earlier,
                None => break,
            }
        }
        if best.distance == 0 {
            Match::default()
        } else {
            best
        }
    }

    /// Where in the window a place is, if it is not before `earliest`.
    fn in_window(&self, place: u32, earliest: usize) -> Option<usize> {
        let place = place.checked_sub(self.origin)? as usize;
        (place >= earliest).then_some(place)
    }
}

/// The four bytes that end with byte `last`: whatever differs here is not a longer match.
fn tail(bytes: &[u8], last: usize) -> u32 {
    let mut four = [0; 4];
    if let Some(bytes) = bytes.get(last - 3..=last) {
        four.copy_from_slice(bytes);
    }
    u32::from_le_bytes(four)
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
