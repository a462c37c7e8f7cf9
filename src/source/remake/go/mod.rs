//! Deflate streams as Go's `compress/flate` writes them, for layers that BuildKit, Docker, crane and registries made.
//!
//! The rules come from the Go standard library, 1.8 to 1.26; streams were compared with those of 1.19.8 and 1.26.10. Go
//! 1.27 has another encoder (golang/go#75532), but BuildKit keeps that of 1.26, so that its digests stay the same
//! (`util/compression/go126flate`). Go starts a block only where its own tables say so, so equal content gives equal
//! bytes whatever the sizes in which it is written; [`chains`] names the exception. Levels 0 and -2 are not done.
//!
//! Nothing here reads what an archive claims: the input is content of any size and any bytes, the memory is fixed, and
//! the time for each byte is bounded by the length of the chains: level 9 takes a second for each MB of two letters in
//! random order, level 6 a twelfth of that.
#![expect(
    clippy::cast_possible_truncation,
    reason = "all values are offsets in buffers of at most 131,070 bytes, or parts of them"
)]

pub(super) mod bits;
mod block;
pub(super) mod chains;
mod fast;
pub(super) mod huffman;
pub(super) mod symbols;
#[cfg(test)]
pub(super) mod tests;

use chains::{ChainEffort, Chains};
use fast::Fast;

/// A level of Go's encoder, 1 (`BestSpeed`) to 9 (`BestCompression`); the default is 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GoLevel(u8);

impl GoLevel {
    /// The level with this number; none for those that are not done.
    pub(super) const fn new(number: u8) -> Option<Self> {
        match number {
            1..=9 => Some(Self(number)),
            _ => None,
        }
    }

    /// Its number.
    pub(super) const fn number(self) -> u8 {
        self.0
    }
}

/// One deflate stream, without the header and trailer of gzip, as Go's `compress/flate` writes it.
pub(super) struct GoDeflate(Kind);

enum Kind {
    Fast(Fast),
    Chains(Chains),
}

impl GoDeflate {
    /// A stream of this level. It holds about half a MB, whatever is written.
    pub(super) fn new(level: GoLevel) -> Self {
        Self(match level.0 {
            1 => Kind::Fast(Fast::new()),
            number => Kind::Chains(Chains::new(ChainEffort::of_level(number))),
        })
    }

    /// Writes content, in pieces of any size, and appends to `out` what is finished.
    pub(super) fn write(&mut self, content: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Fast(fast) => fast.write(content, out),
            Kind::Chains(chains) => chains.write(content, out),
        }
    }

    /// Ends the stream and appends the rest of it to `out`; nothing may be written after that.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Fast(fast) => fast.finish(out),
            Kind::Chains(chains) => chains.finish(out),
        }
    }
}
