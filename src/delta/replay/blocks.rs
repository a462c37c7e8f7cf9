//! Reading sources in small pieces.

use super::Sources;
use crate::delta::DeltaError;
use crate::delta::emit::SourcePlace;

/// How many bytes are read at a time, at most.
const BLOCK: usize = 16 << 10;

/// How many blocks are held: 16 MiB in all. Patches of programs jump back and forth by megabytes.
const HELD: usize = 1024;

/// The blocks of sources that were read last, so that the many small pieces of headers and patches cost few system
/// calls.
pub(super) struct SourceBlocks<'r> {
    sources: &'r dyn Sources,
    /// A block has one place where it can be held.
    held: Vec<HeldBlock>,
}

#[derive(Clone, Default)]
struct HeldBlock {
    source: u32,
    number: u64,
    /// Empty if it holds no block.
    bytes: Vec<u8>,
}

impl<'r> SourceBlocks<'r> {
    pub(super) fn new(sources: &'r dyn Sources) -> Self {
        Self {
            sources,
            held: vec![HeldBlock::default(); HELD],
        }
    }

    /// The length of a source; `None` if there is no such source.
    pub(super) fn len_of(&self, source: u32) -> Option<u64> {
        self.sources.len_of(source as usize)
    }

    /// Reads a stretch that was checked to be inside its source.
    pub(super) fn read(&mut self, buf: &mut [u8], at: SourcePlace) -> Result<(), DeltaError> {
        if buf.len() >= BLOCK {
            return self.sources.read(at.source as usize, buf, at.offset);
        }
        let mut done = 0;
        while done < buf.len() {
            let offset = at.offset + done as u64;
            let block = self.block(at.source, offset / BLOCK as u64)?;
            let behind = block.get(below(offset, BLOCK)..).unwrap_or_default();
            let len = behind.len().min(buf.len() - done);
            if len == 0 {
                // It was checked to be inside; the source itself says what is wrong.
                return self
                    .sources
                    .read(at.source as usize, &mut buf[done..], offset);
            }
            buf[done..done + len].copy_from_slice(&behind[..len]);
            done += len;
        }
        Ok(())
    }

    fn block(&mut self, source: u32, number: u64) -> Result<&[u8], DeltaError> {
        // Blocks of different sources with the same number have different places.
        let place = number.wrapping_add(u64::from(source).wrapping_mul(37));
        let place = below(place, HELD);
        let held = &mut self.held[place];
        if held.bytes.is_empty() || (held.source, held.number) != (source, number) {
            let offset = number * BLOCK as u64;
            let len = self.sources.len_of(source as usize).unwrap_or(0);
            let len = len.saturating_sub(offset).min(BLOCK as u64);
            held.bytes.clear();
            held.bytes.resize(usize::try_from(len).unwrap_or(BLOCK), 0);
            (held.source, held.number) = (source, number);
            let outcome = self.sources.read(source as usize, &mut held.bytes, offset);
            if outcome.is_err() {
                held.bytes.clear();
            }
            outcome?;
        }
        Ok(&held.bytes)
    }
}

/// What is left of a number when it is divided by `limit`.
fn below(number: u64, limit: usize) -> usize {
    // It is less than `limit`, so it fits.
    usize::try_from(number % limit as u64).unwrap_or(0)
}
