//! How far compressed bytes may still expand.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::Span;
use crate::limits::{Exceeded, Limit, Limits};

/// How often a decoder reports, in bytes: often enough that many threads together stay near the limit.
const STEP: u64 = 1 << 20;

/// What the compressed parts of one archive have expanded to. A part that is decoded again counts once.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    /// The size of the file as it was given, in bytes: what expansion is measured by.
    stored: u64,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    by_span: HashMap<Option<Span>, u64>,
    total: u64,
}

impl Ledger {
    pub(super) fn new(limits: Limits, stored: u64) -> Self {
        Self {
            limits,
            stored,
            parts: Mutex::default(),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Notes that a part has expanded to so many bytes.
    fn note(&self, part: Option<Span>, expanded: u64) -> Result<(), Exceeded> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = parts.by_span.entry(part).or_default();
        let more = expanded.saturating_sub(*known);
        *known += more;
        parts.total = parts.total.saturating_add(more);
        if parts.total > self.limits.expansion_of(self.stored) {
            return Err(self.limits.exceeded(Limit::Expanded));
        }
        Ok(())
    }
}

/// Counts what one decoder gives.
#[derive(Debug)]
pub(super) struct Bound {
    ledger: Arc<Ledger>,
    /// The part; none is the compression around the whole archive.
    part: Option<Span>,
    count: u64,
    noted: u64,
}

impl Bound {
    pub(super) fn new(ledger: Arc<Ledger>, part: Option<Span>) -> Self {
        Self {
            ledger,
            part,
            count: 0,
            noted: 0,
        }
    }

    /// `n` bytes were decoded; 0 is the end.
    pub(super) fn take(&mut self, n: usize) -> io::Result<()> {
        self.count += n as u64;
        if n == 0 || self.count - self.noted >= STEP {
            self.noted = self.count;
            self.ledger
                .note(self.part, self.count)
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_count_together_and_each_once() {
        let limits = Limits::default()
            .with(Limit::Expanded, 100)
            .with(Limit::Ratio, 2);
        let ledger = Ledger::new(limits, 10);
        let part = |offset| Some(Span { offset, len: 1 });
        for _ in 0..10 {
            assert!(ledger.note(part(0), 60).is_ok());
            assert!(ledger.note(part(0), 30).is_ok());
        }
        assert!(ledger.note(part(1), 40).is_ok());
        assert!(ledger.note(None, 1).is_err());
    }
}
