//! Byte differences: what a block of new bytes takes from old ones.
//!
//! The scan is that of bsdiff (Colin Percival, 2003): a match is extended for as long as most of its bytes are the
//! same, so that a recompiled program, in which thousands of addresses moved by the same amount, becomes one long
//! match whose differences are almost all zero. Where bsdiff sorts all suffixes of the old bytes, which takes eight
//! times their size and most of its time, this looks up words of eight bytes in a hash table.
//!
//! Threats, and what is done about them. What is compared comes from strangers, and equal bytes in long runs make
//! such searches quadratic: of bytes that repeat themselves only every [`LOOK`]th place is added to the table, at most
//! [`Effort::chain`] places are looked at for one position and [`LOOK`] bytes at each, and a distance that fits is kept
//! without a search. In bytes that resemble nothing, such as compressed ones, the search takes longer and longer steps.
//! `tests` has zeros, short periods and random bytes.

/// How many bytes of a match are looked at. A longer one is found again where this ends.
const LOOK: usize = 4096;

/// How many bytes have to fit at the distance of the last match for it to be kept without a search.
const KEPT: usize = 32;

/// How many bytes more another distance must explain before it replaces the current one. bsdiff has 8; each step costs
/// more here than there, because all of them are in one stream, and with 12 recompiled programs take 2 % less.
const BETTER: usize = 12;

/// How many bytes are hashed.
const WORD: usize = 8;

/// How many bytes a match is extended backwards at most. In repeated bytes every match could reach back to the beginning,
/// and the next one as well.
const BACKWARD: usize = 64 << 10;

/// How many bytes that are the same as shortly before are taken for a repetition.
const REPEATED: usize = 32;

/// After how many positions without a match the search skips one more position each time, and how many at most. A match
/// whose beginning is skipped is extended back to it.
const MISSES: (usize, usize) = (512, 64);

/// How hard to search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// How many old places are looked at for each new position.
    pub(super) chain: usize,
}

impl Effort {
    pub(super) const DEFAULT: Self = Self { chain: 12 };
    pub(super) const BEST: Self = Self { chain: 96 };
}

/// One step of a patch: bytes that resemble old ones, then bytes that do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PatchStep {
    /// Where the old bytes begin, in bytes from the beginning of the old window.
    pub(super) old: usize,
    /// How many bytes are the old ones plus differences.
    pub(super) add: usize,
    /// How many new bytes follow.
    pub(super) insert: usize,
}

/// Where the words of old bytes are.
struct Words<'o> {
    old: &'o [u8],
    /// The last place of each hash, plus one; 0 if there is none.
    heads: Vec<u32>,
    /// For each place the one before it that has the same hash, plus one.
    before: Vec<u32>,
    /// Every how many bytes there is a place.
    stride: usize,
    shift: u32,
}

/// Up to this many old bytes, every byte is a place; above it every second, and so on, so that the table has a fixed
/// size at most.
const PLACES: usize = 64 << 20;

impl<'o> Words<'o> {
    fn new(old: &'o [u8]) -> Self {
        let stride = old.len().div_ceil(PLACES).max(1);
        let places = old.len() / stride;
        let bits = (usize::BITS - places.leading_zeros()).clamp(8, 24);
        let mut words = Self {
            old,
            heads: vec![0; 1 << bits],
            before: vec![0; places],
            stride,
            shift: 64 - bits,
        };
        for place in 0..places {
            let Some(word) = word_at(old, place * stride) else {
                break;
            };
            let head = words.heads[hash(word, words.shift)];
            if words.is_repetition(head, place) {
                continue;
            }
            words.before[place] = head;
            words.heads[hash(word, words.shift)] = u32::try_from(place + 1).unwrap_or(0);
        }
        words
    }

    /// Whether the bytes at a place are those that begin shortly before it, at the place `head` of the same hash. All
    /// of them would make one long chain whose last places are the worst: few bytes follow those.
    fn is_repetition(&self, head: u32, place: usize) -> bool {
        let Some(head) = head.checked_sub(1) else {
            return false;
        };
        let (before, here) = (head as usize * self.stride, place * self.stride);
        let bytes = |at: usize| self.old.get(at..at + REPEATED);
        here - before < LOOK && bytes(here).is_some() && bytes(before) == bytes(here)
    }

    /// The old place whose bytes agree the longest with those of `new`, and for how many bytes. Of equals, the one
    /// found first: the last in the old bytes.
    fn longest(&self, new: &[u8], effort: Effort) -> (usize, usize) {
        let (mut best, mut at) = (0, 0);
        let Some(word) = word_at(new, 0) else {
            return (0, 0);
        };
        let mut next = self.heads[hash(word, self.shift)];
        for _ in 0..effort.chain {
            let Some(place) = next.checked_sub(1) else {
                break;
            };
            let place = place as usize;
            let old = place * self.stride;
            // A place that cannot beat the best one differs at that length already.
            let can_win = best == 0 || self.old.get(old + best) == new.get(best);
            if can_win && word_at(self.old, old) == Some(word) {
                let len = common(&self.old[old..], new);
                if len > best {
                    (best, at) = (len, old);
                    if len >= LOOK {
                        break;
                    }
                }
            }
            next = self.before[place];
        }
        (best, at)
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..at.checked_add(WORD)?)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

fn hash(word: u64, shift: u32) -> usize {
    // Fibonacci hashing; the shift leaves no more bits than the table has.
    usize::try_from(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift).unwrap_or(0)
}

/// How many bytes two stretches have in common at their beginnings, up to [`LOOK`].
fn common(one: &[u8], other: &[u8]) -> usize {
    let most = one.len().min(other.len()).min(LOOK);
    let (one, other) = (&one[..most], &other[..most]);
    let mut at = 0;
    while let (Some(left), Some(right)) = (word_at(one, at), word_at(other, at)) {
        let differ = left ^ right;
        if differ != 0 {
            return at + (differ.trailing_zeros() / 8) as usize;
        }
        at += WORD;
    }
    let rest = one[at..].iter().zip(&other[at..]);
    at + rest.take_while(|(left, right)| left == right).count()
}

/// The steps that make `new` of `old`. Their `add` and `insert` together are as many bytes as `new` has.
pub(super) fn steps(old: &[u8], new: &[u8], effort: Effort) -> Vec<PatchStep> {
    let words = Words::new(old);
    let mut scan = Scan {
        old,
        new,
        made: Vec::new(),
        last_new: 0,
        last_old: 0,
        at: 0,
        found: 0,
        len: 0,
    };
    while scan.at < new.len() {
        let explained = scan.search(&words, effort);
        if scan.len != explained || scan.at == new.len() {
            scan.emit();
        }
    }
    scan.made
}

/// A scan over new bytes, under way.
struct Scan<'b> {
    old: &'b [u8],
    new: &'b [u8],
    made: Vec<PatchStep>,
    /// Where the bytes begin for which no step was made yet.
    last_new: usize,
    /// The old place that belongs to that.
    last_old: usize,
    /// The new position of the match.
    at: usize,
    /// Its old position.
    found: usize,
    /// Its length.
    len: usize,
}

impl Scan<'_> {
    /// Whether the byte at `new` is the old one at the current distance.
    fn fits(&self, new: usize) -> bool {
        let old = (new + self.last_old).checked_sub(self.last_new);
        old.is_some_and(|old| self.old.get(old) == Some(&self.new[new]))
    }

    /// Moves on to the next match that is not the continuation of the current one, or to the end. Returns how many of
    /// its bytes the current distance explains.
    fn search(&mut self, words: &Words<'_>, effort: Effort) -> usize {
        let mut explained = 0_usize;
        self.at += self.len;
        let mut counted = self.at;
        let mut misses = 0;
        while self.at < self.new.len() {
            self.find(words, effort);
            let end = self.at + self.len;
            while counted < end {
                explained += usize::from(self.fits(counted));
                counted += 1;
            }
            if (self.len == explained && self.len != 0) || self.len > explained + BETTER {
                break;
            }
            misses = if self.len == 0 { misses + 1 } else { 0 };
            let next = self.at + 1 + (misses / MISSES.0).min(MISSES.1);
            let next = next.min(self.new.len());
            // Bytes that are left behind no longer count.
            while self.at < next {
                if self.at < counted && self.fits(self.at) {
                    explained = explained.saturating_sub(1);
                }
                self.at += 1;
            }
            counted = counted.max(self.at);
        }
        explained
    }

    /// Sets the match at the current position: at the current distance if that fits well, else the longest.
    fn find(&mut self, words: &Words<'_>, effort: Effort) {
        let new = &self.new[self.at..];
        let here = (self.at + self.last_old).checked_sub(self.last_new);
        if let Some(here) = here.filter(|&here| here < self.old.len()) {
            let len = common(&self.old[here..], new);
            if len >= KEPT {
                (self.len, self.found) = (len, here);
                return;
            }
        }
        (self.len, self.found) = words.longest(new, effort);
    }

    /// Makes the step up to the match that was found: the last match is extended forwards and this one backwards for
    /// as long as more than half of the bytes agree.
    fn emit(&mut self) {
        let mut forward = self.forward();
        let mut backward = self.backward();
        let (begin, end) = (self.last_new + forward, self.at - backward);
        if begin > end {
            let overlap = begin - end;
            let kept = self.split(overlap, forward, backward);
            forward = forward - overlap + kept;
            backward -= kept;
        }
        let next = self.at - backward;
        let step = PatchStep {
            old: self.last_old,
            add: forward,
            insert: next - (self.last_new + forward),
        };
        if step.add + step.insert > 0 {
            self.made.push(step);
        }
        self.last_new = next;
        self.last_old = self.found - backward.min(self.found);
    }

    fn forward(&self) -> usize {
        let (mut agree, mut best, mut len) = (0_i64, 0_i64, 0);
        let most = (self.at - self.last_new).min(self.old.len().saturating_sub(self.last_old));
        for i in 0..most {
            agree += i64::from(self.old[self.last_old + i] == self.new[self.last_new + i]) * 2 - 1;
            if agree > best {
                (best, len) = (agree, i + 1);
            }
        }
        len
    }

    fn backward(&self) -> usize {
        if self.at == self.new.len() {
            return 0;
        }
        let (mut agree, mut best, mut len) = (0_i64, 0_i64, 0);
        for i in 1..=(self.at - self.last_new).min(self.found).min(BACKWARD) {
            agree += i64::from(self.old[self.found - i] == self.new[self.at - i]) * 2 - 1;
            if agree > best {
                (best, len) = (agree, i);
            }
        }
        len
    }

    /// How many of the bytes that both matches claim go to the first one.
    fn split(&self, overlap: usize, forward: usize, backward: usize) -> usize {
        let (mut gain, mut best, mut kept) = (0_i64, 0_i64, 0);
        for i in 0..overlap {
            let of_last = self.last_new + forward - overlap + i;
            let old_of_last = self.last_old + forward - overlap + i;
            let of_this = self.at - backward + i;
            let old_of_this = self.found - backward + i;
            gain += i64::from(self.new[of_last] == self.old[old_of_last]);
            gain -= i64::from(self.new[of_this] == self.old[old_of_this]);
            if gain > best {
                (best, kept) = (gain, i + 1);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the steps make.
    fn applied(old: &[u8], new: &[u8], steps: &[PatchStep]) -> Vec<u8> {
        let mut made = Vec::new();
        for step in steps {
            let at = made.len();
            for i in 0..step.add {
                let difference = new[at + i].wrapping_sub(old[step.old + i]);
                made.push(old[step.old + i].wrapping_add(difference));
            }
            made.extend_from_slice(&new[made.len()..made.len() + step.insert]);
        }
        made
    }

    fn random(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2) + 1;
        let next = std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695);
            state.to_be_bytes()[1]
        });
        next.take(len).collect()
    }

    #[test]
    fn what_was_put_in_is_all_that_is_new() {
        let old = random(100_000, 1);
        let mut new = old.clone();
        new.splice(40_000..40_000, random(300, 2));
        let steps = steps(&old, &new, Effort::DEFAULT);
        assert_eq!(applied(&old, &new, &steps), new);
        let inserted: usize = steps.iter().map(|step| step.insert).sum();
        assert!((290..=310).contains(&inserted), "{steps:?}");
    }

    #[test]
    fn bytes_that_changed_here_and_there_are_differences() {
        let old = random(100_000, 3);
        let mut new = old.clone();
        for i in (0..new.len()).step_by(50) {
            new[i] = new[i].wrapping_add(7);
        }
        let steps = steps(&old, &new, Effort::DEFAULT);
        assert_eq!(
            steps,
            [PatchStep {
                old: 0,
                add: 100_000,
                insert: 0
            }]
        );
    }

    /// Steps are counted instead of seconds: what makes a search slow are places that are looked at.
    #[test]
    fn runs_and_periods_need_few_steps() {
        let zeros = vec![0; 1 << 20];
        let period: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 7) as u8).collect();
        for (old, new) in [(&zeros, &zeros), (&period, &period), (&period, &zeros)] {
            let steps = steps(old, new, Effort::BEST);
            assert_eq!(applied(old, new, &steps), *new);
            assert!(steps.len() < 300, "{}", steps.len());
        }
    }

    proptest! {
        #[test]
        fn steps_make_the_new_bytes(
            old in proptest::collection::vec(0_u8..4, 0..600),
            edits in proptest::collection::vec((0_usize..600, 0_usize..600, any::<u8>()), 0..8),
        ) {
            let mut new = old.clone();
            for (from, to, byte) in edits {
                let (from, to) = (from.min(new.len()), to.min(new.len()));
                let piece = new[from.min(to)..to].to_vec();
                new.push(byte);
                new.splice(from..from, piece);
            }
            let steps = steps(&old, &new, Effort::DEFAULT);
            for step in &steps {
                prop_assert!(step.old + step.add <= old.len());
            }
            prop_assert_eq!(applied(&old, &new, &steps), new);
        }
    }
}
