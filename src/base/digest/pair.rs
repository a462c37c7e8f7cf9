//! The blocks of two SHA-256 streams, compressed at once.
//!
//! The one place of the crate with unsafe code, and there is one call of it: into a function that is
//! compiled for instructions that not every processor has. Nothing in that function is unsafe; it
//! reads and writes by checked references alone, and what it computes is checked against the crate
//! `sha2` by the tests of [`super::sha256`].

/// Takes the blocks of two streams, of which there are equally many, into their states; `false`, and nothing was
/// done, where this processor is not faster at it than one after the other.
#[cfg(target_arch = "x86_64")]
pub(super) fn compress(states: [&mut [u32; 8]; 2], blocks: [&[[u8; 64]]; 2]) -> bool {
    // Without optimisation it is far slower than `sha2`, which is always compiled with it.
    let is_fast = !cfg!(debug_assertions) || cfg!(test) || is_asked_for();
    let can = is_fast
        && std::arch::is_x86_feature_detected!("sha")
        && std::arch::is_x86_feature_detected!("ssse3")
        && std::arch::is_x86_feature_detected!("sse4.1");
    if can {
        #[expect(
            unsafe_code,
            reason = "the compiler cannot know what processor the program runs on"
        )]
        // SAFETY: the processor was just asked for all features that the function is compiled for.
        unsafe {
            x86::compress(states, blocks);
        }
    }
    can
}

/// Whether a debug build hashes two streams at once all the same, for the tests that run the program.
#[cfg(target_arch = "x86_64")]
fn is_asked_for() -> bool {
    static ASKED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ASKED.get_or_init(|| std::env::var_os("IMGTAR_TEST_PAIRS").is_some())
}

/// Elsewhere two streams are hashed one after the other.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn compress(_: [&mut [u32; 8]; 2], _: [&[[u8; 64]]; 2]) -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
        _mm_shuffle_epi32,
    };

    /// The constants of the rounds that take the message as it is (FIPS 180-4, 4.2.2), four to a row.
    #[rustfmt::skip]
    const FIRST: [[u32; 4]; 4] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    ];

    /// Those of the rounds that take what is made of it.
    #[rustfmt::skip]
    const OTHERS: [[u32; 4]; 12] = [
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// A state as the instructions want it: the words A, B, E and F, and C, D, G and H, the last of each in
    /// the lowest place.
    ///
    /// No closures and no `map` of arrays here: those are compiled without the instructions, and a build that
    /// does not inline them is ten times slower.
    #[derive(Clone, Copy)]
    struct State(__m128i, __m128i);

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub(super) fn compress(sums: [&mut [u32; 8]; 2], [left, right]: [&[[u8; 64]]; 2]) {
        let mut states = [load(sums[0]), load(sums[1])];
        for (left, right) in left.iter().zip(right) {
            let before = states;
            let mut words = [message(left), message(right)];
            // Each step of one stream is followed by the same step of the other, which the
            // processor begins before the first is done.
            for (i, k) in FIRST.iter().enumerate() {
                for (state, words) in states.iter_mut().zip(&words) {
                    rounds(state, _mm_add_epi32(words[i], row_of(*k)));
                }
            }
            for four in OTHERS.as_chunks::<4>().0 {
                for (i, k) in four.iter().enumerate() {
                    for (state, words) in states.iter_mut().zip(&mut words) {
                        extend(words, i);
                        rounds(state, _mm_add_epi32(words[i], row_of(*k)));
                    }
                }
            }
            for (state, before) in states.iter_mut().zip(before) {
                state.0 = _mm_add_epi32(state.0, before.0);
                state.1 = _mm_add_epi32(state.1, before.1);
            }
        }
        for (state, sum) in states.into_iter().zip(sums) {
            store(state, sum);
        }
    }

    /// Four rounds, with the sums of four words of the message and their constants.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn rounds(state: &mut State, sums: __m128i) {
        let State(abef, cdgh) = *state;
        // After two rounds the old A, B, E, F are the new C, D, G, H.
        let next = _mm_sha256rnds2_epu32(cdgh, abef, sums);
        let after = _mm_sha256rnds2_epu32(abef, next, _mm_shuffle_epi32::<0x0e>(sums));
        *state = State(after, next);
    }

    /// Replaces the four oldest words of the message schedule, which are at `row`, by the next four.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn extend(words: &mut [__m128i; 4], row: usize) {
        let (oldest, second) = (words[row % 4], words[(row + 1) % 4]);
        let (third, last) = (words[(row + 2) % 4], words[(row + 3) % 4]);
        let sum = _mm_add_epi32(
            _mm_sha256msg1_epu32(oldest, second),
            _mm_alignr_epi8::<4>(last, third),
        );
        words[row % 4] = _mm_sha256msg2_epu32(sum, last);
    }

    /// The sixteen words of a block, whose bytes are in big-endian order.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn message(block: &[u8; 64]) -> [__m128i; 4] {
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let mut words = [swap; 4];
        for (four, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
            let halves = bytes.as_chunks().0;
            let (low, high) = (i64::from_le_bytes(halves[0]), i64::from_le_bytes(halves[1]));
            *four = _mm_shuffle_epi8(_mm_set_epi64x(high, low), swap);
        }
        words
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn load(sum: &[u32; 8]) -> State {
        State(
            row_of([sum[5], sum[4], sum[1], sum[0]]),
            row_of([sum[7], sum[6], sum[3], sum[2]]),
        )
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn store(state: State, sum: &mut [u32; 8]) {
        [sum[5], sum[4], sum[1], sum[0]] = words_of(state.0);
        [sum[7], sum[6], sum[3], sum[2]] = words_of(state.1);
    }

    /// Four words, the first in the lowest place.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn row_of(words: [u32; 4]) -> __m128i {
        let [w, x, y, z] = words;
        _mm_set_epi32(
            z.cast_signed(),
            y.cast_signed(),
            x.cast_signed(),
            w.cast_signed(),
        )
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn words_of(row: __m128i) -> [u32; 4] {
        [
            _mm_extract_epi32::<0>(row).cast_unsigned(),
            _mm_extract_epi32::<1>(row).cast_unsigned(),
            _mm_extract_epi32::<2>(row).cast_unsigned(),
            _mm_extract_epi32::<3>(row).cast_unsigned(),
        ]
    }
}
