//! The checksum that tar-split keeps of bodies: CRC-64 as Go's `hash/crc64` has it for the polynomial of
//! ISO 3309. It tells a wrong file from the right one, but not whether it was changed on purpose.

use crc::{CRC_64_GO_ISO, Crc, Table};

/// Computes the checksum.
pub(crate) static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_GO_ISO);

/// The polynomial, its bits in reverse.
const POLYNOMIAL: u64 = 0xd800_0000_0000_0000;

/// What a number of zero bytes does to a checksum, as a matrix over bits.
type Matrix = [u64; 64];

/// Makes the checksum of a whole from those of its parts, as zlib's `crc32_combine` does.
#[derive(Debug)]
pub(super) struct Combine {
    /// What 2^n zero bytes do.
    powers: Vec<Matrix>,
}

impl Combine {
    pub(super) fn new() -> Self {
        let mut matrix: Matrix = [0; 64];
        matrix[0] = POLYNOMIAL;
        for (n, column) in matrix.iter_mut().enumerate().skip(1) {
            *column = 1 << (n - 1);
        }
        // One zero bit squared three times is one zero byte.
        for _ in 0..3 {
            matrix = square(&matrix);
        }
        let mut powers = Vec::with_capacity(64);
        for _ in 0..64 {
            powers.push(matrix);
            matrix = square(&matrix);
        }
        Self { powers }
    }

    /// The checksum of bytes with `first` and then `len` bytes with `second`.
    pub(super) fn join(&self, mut first: u64, second: u64, len: u64) -> u64 {
        for (n, matrix) in self.powers.iter().enumerate() {
            if len >> n & 1 == 1 {
                first = times(matrix, first);
            }
        }
        first ^ second
    }
}

fn times(matrix: &Matrix, vector: u64) -> u64 {
    let columns = matrix.iter().enumerate();
    columns.fold(0, |sum, (n, column)| {
        sum ^ (column & (vector >> n & 1).wrapping_neg())
    })
}

fn square(matrix: &Matrix) -> Matrix {
    matrix.map(|column| times(matrix, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-64/GO-ISO, which Go's `hash/crc64` gives for the digits 1 to 9.
    #[test]
    fn the_checksum_is_that_of_go() {
        assert_eq!(CRC64.checksum(b"123456789"), 0xb909_56c7_75a4_1001);
        assert_eq!(CRC64.checksum(b""), 0);
    }

    #[test]
    fn parts_make_the_checksum_of_the_whole() {
        let combine = Combine::new();
        let bytes: Vec<u8> = (0..70_000_u32)
            .map(|n| n.to_le_bytes()[n as usize % 2])
            .collect();
        let whole = CRC64.checksum(&bytes);
        for at in [0, 1, 511, 512, 65_536, 69_999, 70_000] {
            let (a, b) = bytes.split_at(at);
            let joined = combine.join(CRC64.checksum(a), CRC64.checksum(b), b.len() as u64);
            assert_eq!(joined, whole, "{at}");
        }
    }
}
