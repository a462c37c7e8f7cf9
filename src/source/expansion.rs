//! How far compressed bytes may still expand, and how much work that may be.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::Span;
use super::turn::{Turn, Turns};
use crate::base::limits::{Exceeded, Limit, Limits};
use crate::base::stop::Stopper;

/// How often a decoder reports, in bytes that it gave or units of work: often enough that many threads
/// together stay near the limit.
const STEP: u64 = 1 << 20;

/// What decoding costs in one format at worst, in units of work. A unit is what a fast decoder needs
/// for one byte that it gives, about four nanoseconds.
///
/// Bytes that come out are counted by themselves, but they are not the whole work. A member can be empty, a
/// block of deflate can hold nothing but the description of its codes, a chunk of LZMA2 can reset the
/// decoder for a single byte. So what goes in counts as well, by what the worst input of that format costs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DecoderCost {
    /// To begin a member, stream or frame.
    pub(super) member: u64,
    /// For each byte that is read.
    pub(super) read: u64,
    /// For each byte that is given, more than a fast decoder needs.
    pub(super) given: u64,
    /// The most that this is for each byte that was read.
    pub(super) given_for_read: u64,
}

/// What the compressed parts of one archive have expanded to, and the work that was. A part that is
/// decoded again counts once.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    /// The size of the file as it was given, in bytes: what expansion is measured by.
    stored: u64,
    parts: Mutex<Parts>,
    /// Whose turn it is to have a decoder that takes much memory.
    large: Arc<Turns>,
    /// What ends the work on it early.
    stop: Option<Stopper>,
}

#[derive(Debug, Default)]
struct Parts {
    by_span: HashMap<Option<Span>, Spent>,
    total: Spent,
}

/// What decoding has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spent {
    expanded: u64,
    work: u64,
}

impl Ledger {
    pub(super) fn new(limits: Limits, stored: u64, stop: Option<Stopper>) -> Self {
        Self {
            limits,
            stored,
            parts: Mutex::default(),
            large: Arc::default(),
            stop,
        }
    }

    /// Whether the work is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(Stopper::is_asked)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Notes what was spent on a part so far.
    fn note(&self, part: Option<Span>, spent: Spent) -> Result<(), Exceeded> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let Parts { by_span, total } = &mut *parts;
        let known = by_span.entry(part).or_default();
        for (all, known, now) in [
            (&mut total.expanded, &mut known.expanded, spent.expanded),
            (&mut total.work, &mut known.work, spent.work),
        ] {
            let more = now.saturating_sub(*known);
            *known += more;
            *all = all.saturating_add(more);
        }
        if total.expanded > self.limits.expansion_of(self.stored) {
            return Err(self.limits.exceeded(Limit::Expanded));
        }
        if total.work > self.limits.decoding_of(self.stored) {
            return Err(self.limits.exceeded(Limit::DecoderWork));
        }
        Ok(())
    }
}

/// Counts what one decoder reads and gives.
#[derive(Debug)]
pub(super) struct Bound {
    ledger: Arc<Ledger>,
    /// The part; none is the compression around the whole archive.
    part: Option<Span>,
    cost: DecoderCost,
    members: u64,
    read: u64,
    given: u64,
    /// What the bytes given have cost.
    given_work: u64,
    noted: Spent,
}

impl Bound {
    pub(super) fn new(ledger: Arc<Ledger>, part: Option<Span>) -> Self {
        Self {
            ledger,
            part,
            cost: DecoderCost::default(),
            members: 0,
            read: 0,
            given: 0,
            given_work: 0,
            noted: Spent::default(),
        }
    }

    pub(super) fn set_cost(&mut self, cost: DecoderCost) {
        self.cost = cost;
    }

    /// A member is begun.
    pub(super) fn add_member(&mut self) {
        self.members += 1;
    }

    /// So many bytes were read.
    pub(super) fn add_read(&mut self, bytes: usize) {
        self.read += bytes as u64;
    }

    /// So many bytes were given.
    pub(super) fn add_given(&mut self, bytes: usize) {
        self.given += bytes as u64;
        let work = self.cost.given.saturating_mul(bytes as u64);
        self.given_work = self.given_work.saturating_add(work);
    }

    fn spent(&self) -> Spent {
        let of_members = self.members.saturating_mul(self.cost.member);
        let of_read = self.read.saturating_mul(self.cost.read);
        let most = self.read.saturating_mul(self.cost.given_for_read);
        let work = of_members.saturating_add(of_read);
        Spent {
            expanded: self.given,
            work: work.saturating_add(self.given_work.min(most)),
        }
    }

    /// Asks whether it was too much, if it has become more.
    pub(super) fn check(&mut self) -> io::Result<()> {
        let spent = self.spent();
        let since = |now: u64, then: u64| now.saturating_sub(then) >= STEP;
        if since(spent.expanded, self.noted.expanded) || since(spent.work, self.noted.work) {
            self.settle()?;
        }
        Ok(())
    }

    /// Asks whether it was too much.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.noted = self.spent();
        let noted = self.ledger.note(self.part, self.noted);
        noted.map_err(io::Error::other)
    }

    /// Waits until no other thread has a decoder of this archive that takes much memory.
    pub(super) fn wait_for_turn(&self) -> Turn {
        Turns::take(&self.ledger.large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(expanded: u64) -> Spent {
        Spent { expanded, work: 0 }
    }

    #[test]
    fn parts_count_together_and_each_once() {
        let limits = Limits::default()
            .with(Limit::Expanded, 100)
            .with(Limit::Ratio, 2);
        let ledger = Ledger::new(limits, 10, None);
        let part = |offset| Some(Span { offset, len: 1 });
        for _ in 0..10 {
            assert!(ledger.note(part(0), expanded(60)).is_ok());
            assert!(ledger.note(part(0), expanded(30)).is_ok());
        }
        assert!(ledger.note(part(1), expanded(40)).is_ok());
        assert!(ledger.note(None, expanded(1)).is_err());
    }

    #[test]
    fn work_that_gives_nothing_counts() {
        let limits = Limits::default().with(Limit::DecoderWork, 10_000);
        let ledger = Ledger::new(limits, 1, None);
        let work = |work| Spent { expanded: 0, work };
        assert!(ledger.note(None, work(10_000)).is_ok());
        let exceeded = ledger.note(None, work(10_001));
        assert_eq!(exceeded, Err(limits.exceeded(Limit::DecoderWork)));
    }
}
