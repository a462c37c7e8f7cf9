//! SHA-256 of streams that come piece by piece, two of them at a time where that is faster.
//!
//! The rounds of SHA-256 wait for each other, so a core that has instructions for them is idle for
//! much of the time. Two streams that know nothing of each other fill each other's gaps: measured on
//! such a core, two are hashed in 1.35 times the time of one. That needs the state between two
//! blocks, which is why the blocks are put together here (by the crate `block-buffer`, as in `sha2`). The crate `sha2`
//! compresses single streams, and everything where the processor has no such instructions.

use block_buffer::EagerBuffer;
use block_buffer::array::Array;
use block_buffer::array::sizes::U64;
use sha2::block_api::compress256;

use super::pair;

/// How many bytes are compressed at a time.
const BLOCK: usize = 64;

/// A SHA-256 under way (FIPS 180-4, 6.2).
#[derive(Clone, Debug)]
pub(super) struct Sha256 {
    words: [u32; 8],
    /// What has come since the last whole block.
    pending: EagerBuffer<U64>,
    /// How many bytes have come.
    len: u64,
}

impl Sha256 {
    /// Nothing has come yet (FIPS 180-4, 5.3.3).
    pub(super) fn new() -> Self {
        Self {
            words: [
                0x6a09_e667,
                0xbb67_ae85,
                0x3c6e_f372,
                0xa54f_f53a,
                0x510e_527f,
                0x9b05_688c,
                0x1f83_d9ab,
                0x5be0_cd19,
            ],
            pending: EagerBuffer::default(),
            len: 0,
        }
    }

    /// Takes in the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        let words = &mut self.words;
        let compress = |blocks: &[_]| compress256(words, Array::cast_slice_to_core(blocks));
        self.pending.digest_blocks(bytes, compress);
    }

    /// Takes in the next bytes of two streams.
    pub(super) fn update_both(one: &mut Self, left: &[u8], other: &mut Self, right: &[u8]) {
        let (left, right) = (one.fill(left), other.fill(right));
        let common = left.len().min(right.len()) / BLOCK;
        let (left_blocks, right_blocks) = (left.as_chunks().0, right.as_chunks().0);
        let blocks = [&left_blocks[..common], &right_blocks[..common]];
        let done = if pair::compress([&mut one.words, &mut other.words], blocks) {
            common * BLOCK
        } else {
            0
        };
        one.len += done as u64;
        other.len += done as u64;
        one.update(&left[done..]);
        other.update(&right[done..]);
    }

    /// The sum of everything taken in.
    pub(super) fn finish(mut self) -> [u8; 32] {
        let bits = self.len.wrapping_mul(8);
        let words = &mut self.words;
        let compress = |block: &Array<u8, U64>| compress256(words, &[block.0]);
        // FIPS 180-4, 5.1.1.
        self.pending.len64_padding_be(bits, compress);
        let mut sum = [0; 32];
        for (bytes, word) in sum.as_chunks_mut().0.iter_mut().zip(self.words) {
            *bytes = word.to_be_bytes();
        }
        sum
    }

    /// Completes the block that was begun, as far as `bytes` go, and returns the rest of them. There
    /// is no begun block afterwards if any are left.
    fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if self.pending.get_pos() == 0 {
            return bytes;
        }
        let (first, rest) = bytes.split_at(bytes.len().min(self.pending.remaining()));
        self.update(first);
        rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;

    fn reference(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }

    /// Bytes in which every stretch of 64 differs from all others.
    fn bytes(len: usize, salt: u8) -> Vec<u8> {
        let words = (0_u32..).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes());
        words.map(|b| b ^ salt).take(len).collect()
    }

    #[test]
    fn every_length_up_to_some_blocks() {
        for len in 0..300 {
            let bytes = bytes(len, 1);
            let mut sum = Sha256::new();
            sum.update(&bytes);
            assert_eq!(sum.finish(), reference(&bytes), "{len}");
        }
    }

    proptest! {
        /// However the streams are cut into pieces, both sums are the same as alone.
        #[test]
        fn two_streams_do_not_touch_each_other(
            pieces in proptest::collection::vec((0_usize..700, 0_usize..700), 0..12),
        ) {
            let (mut one, mut other) = (Sha256::new(), Sha256::new());
            let total = |side: fn(&(usize, usize)) -> usize| pieces.iter().map(side).sum::<usize>();
            let (left, right) = (bytes(total(|p| p.0), 2), bytes(total(|p| p.1), 3));
            let (mut x, mut y) = (left.as_slice(), right.as_slice());
            for (a, b) in &pieces {
                let (a, b) = (x.split_off(..*a).expect("long enough"), y.split_off(..*b).expect("long enough"));
                Sha256::update_both(&mut one, a, &mut other, b);
            }
            prop_assert_eq!(one.finish(), reference(&left));
            prop_assert_eq!(other.finish(), reference(&right));
        }
    }
}
