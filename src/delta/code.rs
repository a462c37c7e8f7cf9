//! Numbers of a delta's control stream, and what they stand for.
//!
//! A number is written in groups of seven bits, the lowest first; the high bit of a byte says that another one follows
//! (LEB128). One with a sign is folded first, so that small numbers of either sign are short.

use std::io::{self, Read};

/// What comes next in the new file.
pub(super) mod op {
    /// There is nothing more.
    pub(in crate::delta) const END: u8 = 0;
    /// A header, a body and zeros up to the next block; its flags follow.
    pub(in crate::delta) const ENTRY: u8 = 1;
    /// The same without the zeros.
    pub(in crate::delta) const UNPADDED: u8 = 2;
    /// New bytes: how many.
    pub(in crate::delta) const DATA: u8 = 3;
    /// Zeros: how many.
    pub(in crate::delta) const ZEROS: u8 = 4;
    /// Bytes of a source: which, where, how many.
    pub(in crate::delta) const COPY: u8 = 5;
    /// What follows is compressed by a recipe: which, and how many bytes of corrections it takes from what is stored.
    pub(in crate::delta) const BEGIN: u8 = 6;
    /// That ends here.
    pub(in crate::delta) const FINISH: u8 = 7;
    /// Bytes that travel as they are: how many.
    pub(in crate::delta) const STORED: u8 = 8;
}

/// The flags of an entry.
pub(super) mod flag {
    /// How the header is given.
    pub(in crate::delta) const HEADER: u8 = 0b11;
    /// There is none.
    pub(in crate::delta) const NO_HEADER: u8 = 0;
    /// It is new.
    pub(in crate::delta) const NEW_HEADER: u8 = 1;
    /// It is a difference from one in a source.
    pub(in crate::delta) const LIKE_HEADER: u8 = 2;
    /// Its length follows; without this it is one block.
    pub(in crate::delta) const LONG: u8 = 1 << 2;
    /// Its source and place follow; without this it is where the last one ended.
    pub(in crate::delta) const MOVED: u8 = 1 << 3;
    /// How the body is given.
    pub(in crate::delta) const BODY: u8 = 0b11 << 4;
    /// There is none.
    pub(in crate::delta) const NO_BODY: u8 = 0;
    /// It is that of a source.
    pub(in crate::delta) const SAME_BODY: u8 = 1 << 4;
    /// It is a difference from one.
    pub(in crate::delta) const LIKE_BODY: u8 = 2 << 4;
    /// It is new.
    pub(in crate::delta) const NEW_BODY: u8 = 3 << 4;
    /// Its source and place follow; without this it is right behind the header.
    pub(in crate::delta) const APART: u8 = 1 << 6;
    /// Its size follows; without this it is what the header says.
    pub(in crate::delta) const SIZED: u8 = 1 << 7;
}

/// What numbers are written to.
pub(super) trait Numbers {
    /// Writes a number.
    fn unsigned(&mut self, number: u64);
    /// Writes a number with a sign.
    fn signed(&mut self, number: i64);
}

impl Numbers for Vec<u8> {
    fn unsigned(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        self.push(u8::try_from(number).unwrap_or(0));
    }

    fn signed(&mut self, number: i64) {
        self.unsigned(folded(number));
    }
}

/// How many bytes a number with a sign takes.
pub(super) fn signed_len(number: i64) -> u32 {
    let bits = u64::BITS - folded(number).leading_zeros();
    bits.div_ceil(7).max(1)
}

fn folded(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// Reads a number.
///
/// # Errors
///
/// Those of `from`; an end in the middle; [`io::ErrorKind::InvalidData`] for one of more than 64 bits.
pub(super) fn unsigned(from: &mut impl Read) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        let bits = u64::from(byte[0] & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        number |= bits << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "a number has more than 64 bits",
    ))
}

/// Reads a number with a sign.
///
/// # Errors
///
/// As [`unsigned`].
pub(super) fn signed(from: &mut impl Read) -> io::Result<i64> {
    let folded = unsigned(from)?;
    let half = (folded >> 1).cast_signed();
    Ok(half ^ -(folded & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::MAX] {
            let mut bytes = Vec::new();
            bytes.unsigned(number);
            assert_eq!(unsigned(&mut &bytes[..]).expect("a number"), number);
        }
        for number in [0, -1, 1, 63, -64, 64, i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            bytes.signed(number);
            assert_eq!(bytes.len(), signed_len(number) as usize);
            assert_eq!(signed(&mut &bytes[..]).expect("a number"), number);
        }
    }

    #[test]
    fn what_is_not_a_number_is_an_error() {
        assert!(unsigned(&mut &[0x80][..]).is_err());
        let long = [0xff; 11];
        assert!(unsigned(&mut &long[..]).is_err());
        let just = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(unsigned(&mut &just[..]).is_err());
    }
}
