//! The bits of a deflate stream, first bit lowest.

use super::huffman::Code;

/// Bits that wait until there are enough for whole bytes.
#[derive(Default)]
pub(in crate::source::remake) struct Bits {
    waiting: u64,
    count: u32,
}

impl Bits {
    /// Writes the lowest `count` bits of `bits`, which has no others; at most 16.
    pub(in crate::source::remake) fn put(&mut self, bits: u32, count: u32, out: &mut Vec<u8>) {
        self.waiting |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 48 {
            out.extend_from_slice(&self.waiting.to_le_bytes()[..6]);
            self.waiting >>= 48;
            self.count -= 48;
        }
    }

    /// Writes a code.
    pub(in crate::source::remake) fn code(&mut self, code: Code, out: &mut Vec<u8>) {
        self.put(u32::from(code.bits), u32::from(code.len), out);
    }

    /// Fills the last byte with zeros and writes everything that waits.
    pub(in crate::source::remake) fn align(&mut self, out: &mut Vec<u8>) {
        let bytes = self.count.div_ceil(8) as usize;
        out.extend_from_slice(&self.waiting.to_le_bytes()[..bytes]);
        *self = Self::default();
    }
}
