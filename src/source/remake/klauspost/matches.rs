//! Levels 5 and 6 of klauspost's `flate`: two places for each hash of seven bytes and one for each of four
//! (`level5.go`, `level6.go`).

use super::KlauspostLevel;
use crate::source::remake::go::chains::{common, zeroed};
use crate::source::remake::go::symbols::{MOST_STORED, Token};

/// A match is less far back than this.
const WINDOW: usize = 1 << 15;
/// The longest match that the format can write at once.
const LONGEST: usize = 258;
/// The shortest one.
const SHORTEST: usize = 3;
const HASH_BITS: u32 = 15;
/// So close to the end of a block nothing is looked for any more.
const MARGIN: usize = 11;
/// How much of the content after a match is let off when the place after its end is looked up.
const SKIPPED: usize = 2;
/// When places are counted anew, so that they fit into 32 bits.
const REBASE: u32 = 1 << 30;

/// Finds matches in one block after the other.
pub(super) struct Matches {
    level: KlauspostLevel,
    tokens: Vec<Token>,
    /// Up to `WINDOW` bytes before the block, and the block.
    content: Vec<u8>,
    /// The last place with each hash of four bytes.
    short: Box<[u32; 1 << HASH_BITS]>,
    /// The last two with each hash of seven bytes, the later one first.
    long: Box<[[u32; 2]; 1 << HASH_BITS]>,
    /// What the first byte of `content` counts as.
    pub(super) origin: u32,
}

/// A match: where it is, where the same bytes are, and how many; `next` would have been looked at after it.
struct Match {
    at: usize,
    from: usize,
    length: usize,
    next: usize,
}

impl Matches {
    pub(super) fn new(level: KlauspostLevel) -> Self {
        Self {
            level,
            tokens: Vec::with_capacity(MOST_STORED),
            content: Vec::with_capacity(WINDOW + MOST_STORED),
            short: zeroed(),
            long: zeroed(),
            origin: WINDOW as u32,
        }
    }

    /// Nothing of what was before is found any more.
    pub(super) fn forget(&mut self) {
        self.origin += (self.content.len() + WINDOW) as u32;
        self.content.clear();
    }

    /// The tokens of a block of at most 65,535 bytes; none if nothing in it repeats.
    pub(super) fn find(&mut self, block: &[u8]) -> &[Token] {
        self.tokens.clear();
        self.append(block);
        let mut written = self.content.len() - block.len();
        if block.len() > MARGIN + 1 {
            let limit = self.content.len() - MARGIN;
            let mut at = written;
            let mut repeat = 1;
            while let Some(found) = self.search(at, written, limit, repeat) {
                let found = self.improve(found, written, limit);
                repeat = found.at - found.from;
                self.literals(written, found.at);
                self.repeat(found.length, repeat);
                written = found.at + found.length;
                at = written.max(found.next + 1);
                if at >= limit {
                    self.enter_rest(found.next + 1);
                    break;
                }
                self.enter_between(&found, at);
            }
        }
        if !self.tokens.is_empty() {
            self.literals(written, self.content.len());
        }
        &self.tokens
    }

    fn append(&mut self, block: &[u8]) {
        let gone = self.content.len().saturating_sub(WINDOW);
        self.content.drain(..gone);
        self.content.extend_from_slice(block);
        self.origin += gone as u32;
        if self.origin > REBASE {
            let gone = self.origin - WINDOW as u32;
            for place in self.short.iter_mut().chain(self.long.as_flattened_mut()) {
                *place = place.saturating_sub(gone);
            }
            self.origin = WINDOW as u32;
        }
    }

    /// Looks for the first match from `at` on.
    fn search(&mut self, at: usize, written: usize, limit: usize, repeat: usize) -> Option<Match> {
        let mut next = at;
        loop {
            let at = next;
            // The longer there is nothing, the fewer places are looked at.
            next = at + 1 + ((at - written) >> self.level.skip());
            if next > limit {
                return None;
            }
            let bytes = self.eight(at);
            let (short, [long, longer]) = (self.short[hash4(bytes)], self.long[hash7(bytes)]);
            self.enter(at, bytes);
            let following = self.eight(next);
            let found = |from, length| {
                Some(Match {
                    at,
                    from,
                    length,
                    next,
                })
            };

            if let Some(from) = self.back(at, long) {
                let second = self
                    .back(at, longer)
                    .filter(|&from| self.four(from) == bytes as u32);
                if self.four(from) == bytes as u32 {
                    self.enter(next, following);
                    let Some(second) = second else {
                        return found(from, self.common_long(at, from));
                    };
                    let (first_length, second_length) =
                        (self.common(at, from), self.common(at, second));
                    return if second_length > first_length {
                        found(second, second_length)
                    } else {
                        found(from, first_length)
                    };
                }
                if let Some(second) = second {
                    self.enter(next, following);
                    return found(second, self.common_long(at, second));
                }
            }
            if let Some(from) = self.back(at, short)
                && self.four(from) == bytes as u32
            {
                let candidates = self.long[hash7(following)];
                self.enter(next, following);
                let found = Match {
                    at,
                    from,
                    length: self.common(at, from),
                    next,
                };
                return Some(self.or_next(found, candidates, following, repeat));
            }
        }
    }

    /// A match of four bytes, or a longer one that begins at the next place or repeats the last distance.
    fn or_next(
        &self,
        mut found: Match,
        candidates: [u32; 2],
        following: u64,
        repeat: usize,
    ) -> Match {
        let (at, next) = (found.at, found.next);
        let is_six = self.level == KlauspostLevel::Six;
        if is_six {
            let from = at + 1 - repeat;
            if self.four(from) == self.four(at + 1) {
                let length = self.common(at + 1, from);
                if length > found.length {
                    return Match {
                        at: at + 1,
                        from,
                        length,
                        next,
                    };
                }
            }
        }
        let Some(_) = self.back(next, candidates[0]) else {
            return found;
        };
        for candidate in candidates {
            let from = self
                .back(next, candidate)
                .filter(|&from| self.four(from) == following as u32);
            let Some(from) = from else { continue };
            let length = self.common(next, from);
            if length > found.length {
                found = Match {
                    at: next,
                    from,
                    length,
                    next,
                };
                if !is_six {
                    break;
                }
            }
        }
        found
    }

    /// Makes a match longer: at its end, by another one that ends later, and at its beginning.
    fn improve(&self, mut found: Match, written: usize, limit: usize) -> Match {
        if found.length == LONGEST {
            found.length = self.common_long(found.at, found.from);
        }
        let end = found.at + found.length;
        if end < limit && (self.level == KlauspostLevel::Six || found.length < 30) {
            let at = found.at + SKIPPED;
            for place in self.long[hash7(self.eight(end))] {
                // Relative to what the match is by now, which the first of the two may have changed.
                let from = i64::from(place) - i64::from(self.origin) + SKIPPED as i64
                    - found.length as i64;
                let distance = at as i64 - from;
                if distance >= WINDOW as i64 {
                    break;
                }
                if distance > 0 && from >= 0 {
                    let from = from as usize;
                    let length = self.common_long(at, from);
                    if length > found.length {
                        found = Match {
                            at,
                            from,
                            length,
                            ..found
                        };
                    }
                }
                if self.level == KlauspostLevel::Five {
                    break;
                }
            }
        }
        while found.from > 0
            && found.at > written
            && self.content[found.from - 1] == self.content[found.at - 1]
        {
            found.at -= 1;
            found.from -= 1;
            found.length += 1;
        }
        found
    }

    /// Enters some of the places in a match that ended at or before `at`.
    fn enter_between(&mut self, found: &Match, at: usize) {
        match self.level {
            KlauspostLevel::Five => {
                let first = at + 1 - found.length;
                if first < at - 1 {
                    self.enter(first, self.eight(first));
                    self.enter_long(first + 1);
                    self.enter_short(first + 2);
                    for place in (first + 4..at - 1).step_by(3) {
                        self.enter_long(place);
                        self.enter_short(place + 1);
                    }
                }
                self.enter(at - 1, self.eight(at - 1));
            }
            KlauspostLevel::Six => {
                for place in (found.next + 1..at - 1).step_by(2) {
                    self.enter(place, self.eight(place));
                    self.enter_long(place + 1);
                }
            }
        }
    }

    /// Enters every second place up to the end of the block, after the last match (level 6).
    fn enter_rest(&mut self, from: usize) {
        if self.level == KlauspostLevel::Six {
            for place in (from..self.content.len() - 8).step_by(2) {
                self.enter(place, self.eight(place));
            }
        }
    }

    fn enter(&mut self, at: usize, bytes: u64) {
        self.short[hash4(bytes)] = self.origin + at as u32;
        self.push_long(hash7(bytes), at);
    }

    fn enter_short(&mut self, at: usize) {
        self.short[hash4(self.eight(at))] = self.origin + at as u32;
    }

    fn enter_long(&mut self, at: usize) {
        self.push_long(hash7(self.eight(at)), at);
    }

    fn push_long(&mut self, hash: usize, at: usize) {
        let places = &mut self.long[hash];
        *places = [self.origin + at as u32, places[0]];
    }

    /// Where a place is, if it is before `at` and not too far.
    fn back(&self, at: usize, place: u32) -> Option<usize> {
        let distance = (self.origin + at as u32).wrapping_sub(place) as usize;
        if (1..WINDOW).contains(&distance) {
            at.checked_sub(distance)
        } else {
            None
        }
    }

    /// How many bytes at both places are equal, up to the longest match.
    fn common(&self, at: usize, from: usize) -> usize {
        let end = self.content.len().min(at + LONGEST);
        common(&self.content[at..end], &self.content[from..])
    }

    /// How many bytes at both places are equal, up to the end of the block.
    fn common_long(&self, at: usize, from: usize) -> usize {
        common(&self.content[at..], &self.content[from..])
    }

    fn literals(&mut self, from: usize, to: usize) {
        self.tokens.extend(
            self.content[from..to]
                .iter()
                .map(|&byte| Token::literal(byte)),
        );
    }

    /// Writes a match of any length; what is left of a long one is never too short to be one.
    fn repeat(&mut self, mut length: usize, distance: usize) {
        while length > 0 {
            let now = match length {
                ..=LONGEST => length,
                259..=261 => LONGEST - SHORTEST,
                _ => LONGEST,
            };
            self.tokens.push(Token::repeat(now, distance));
            length -= now;
        }
    }

    fn four(&self, at: usize) -> u32 {
        let mut four = [0; 4];
        four.copy_from_slice(&self.content[at..at + 4]);
        u32::from_le_bytes(four)
    }

    fn eight(&self, at: usize) -> u64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.content[at..at + 8]);
        u64::from_le_bytes(eight)
    }
}

const fn hash4(bytes: u64) -> usize {
    ((bytes as u32).wrapping_mul(2_654_435_761) >> (32 - HASH_BITS)) as usize
}

const fn hash7(bytes: u64) -> usize {
    ((bytes << 8).wrapping_mul(58_295_818_150_454_627) >> (64 - HASH_BITS)) as usize
}
