//! A reader of compressed bytes that counts what is done with them.

use std::io::{self, BufRead, Read};

use crate::base::limits::{Limit, Limits};
use crate::source::expansion::{Bound, DecoderCost};
use crate::source::turn::Turn;

/// What any decoder may take without waiting for others, in bytes: the dictionary of `xz -7` and more
/// than the windows that engines write.
pub(super) const SMALL: u64 = 16 << 20;

/// Compressed bytes, and the account of the decoder that reads them.
///
/// A decoder that finds nothing to give reads on within one call, so it is asked here whether it may:
/// before each piece that it reads, and before each member that it begins.
#[derive(Debug)]
pub(super) struct Metered<R> {
    inner: R,
    limits: Limits,
    /// None where nothing is counted.
    bound: Option<Bound>,
    turn: Option<Turn>,
}

impl<R> Metered<R> {
    pub(super) fn new(
        inner: R,
        limits: Limits,
        cost: DecoderCost,
        mut bound: Option<Bound>,
    ) -> Self {
        if let Some(bound) = &mut bound {
            bound.set_cost(cost);
        }
        Self {
            inner,
            limits,
            bound,
            turn: None,
        }
    }

    pub(super) fn get_ref(&self) -> &R {
        &self.inner
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    /// From here on bytes have another cost.
    pub(super) fn set_cost(&mut self, cost: DecoderCost) {
        if let Some(bound) = &mut self.bound {
            bound.set_cost(cost);
        }
    }

    /// A member is about to be begun.
    pub(super) fn begin_member(&mut self) -> io::Result<()> {
        let Some(bound) = &mut self.bound else {
            return Ok(());
        };
        bound.add_member();
        bound.check()
    }

    /// So many bytes were given; none at the end.
    pub(super) fn gave(&mut self, n: usize) -> io::Result<()> {
        let Some(bound) = &mut self.bound else {
            return Ok(());
        };
        bound.add_given(n);
        if n == 0 {
            bound.settle()
        } else {
            bound.check()
        }
    }

    /// The most memory that the decoder may ever take, in bytes.
    pub(super) fn most_memory(&self) -> u64 {
        self.limits.of(Limit::DecoderMemory)
    }

    /// The decoder is about to take so much memory. Much of it is taken by one thread at a time.
    pub(super) fn take_memory(&mut self, bytes: u64) -> io::Result<()> {
        let checked = self.limits.check(Limit::DecoderMemory, bytes);
        checked.map_err(io::Error::other)?;
        if bytes > SMALL && self.turn.is_none() {
            self.turn = self.bound.as_ref().map(Bound::wait_for_turn);
        }
        Ok(())
    }

    /// The error of a decoder that needs more memory than it may have.
    pub(super) fn too_much_memory(&self) -> io::Error {
        io::Error::other(self.limits.exceeded(Limit::DecoderMemory))
    }

    /// Whether the decoder takes much memory, so that its thread should not begin another one.
    pub(super) fn has_much_memory(&self) -> bool {
        self.turn.is_some()
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(bound) = &mut self.bound {
            bound.check()?;
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        if let Some(bound) = &mut self.bound {
            bound.add_read(n);
        }
        self.inner.consume(n);
    }
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

/// Reads the first bytes of a member: `wanted` is given what was read and says how many there should be.
/// There are fewer where the data ends.
pub(super) fn read_head<R: BufRead>(
    inner: &mut R,
    wanted: impl Fn(&[u8]) -> usize,
) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(18);
    loop {
        let missing = wanted(&head).saturating_sub(head.len());
        let ahead = inner.fill_buf()?;
        let n = missing.min(ahead.len());
        if n == 0 {
            return Ok(head);
        }
        head.extend_from_slice(&ahead[..n]);
        inner.consume(n);
    }
}
