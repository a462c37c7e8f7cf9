//! Headers of a tar as differences from others: what a rebuild changes in them costs next to nothing.
//!
//! A tar header is a block of fixed fields (POSIX ustar). A block that resembles an old one is written as one byte that
//! says which fields differ, and those fields. Modification times are numbers relative to the last one, or to the old
//! one, because a build gives many files one time or moves all of them by the same amount. The checksum is computed
//! again, and written only where that does not give the same bytes.
//!
//! Threats, and what is done about them: when a delta is applied, every bit of the byte is taken as it is, fields have
//! fixed lengths, and sums wrap. So any bytes give some block; whether it is the right one is what the digest of the
//! whole result says.

use std::io::{self, Read};

use super::code::{self, Numbers};

/// The size of a block of a tar, in bytes.
pub(super) const BLOCK: usize = 512;

/// What is different in a block, one bit each; the two lowest say how its time is written.
mod bits {
    pub(super) const TIME: u8 = 0b11;
    pub(super) const SIZE: u8 = 1 << 2;
    pub(super) const MODE: u8 = 1 << 3;
    pub(super) const NAME: u8 = 1 << 4;
    pub(super) const OWNER: u8 = 1 << 5;
    pub(super) const CHECKSUM: u8 = 1 << 6;
    pub(super) const REST: u8 = 1 << 7;
}

/// How a time is written.
mod time {
    /// It is the old block's.
    pub(super) const SAME: u8 = 0;
    /// As the distance from the time of the block before.
    pub(super) const AFTER_LAST: u8 = 1;
    /// As a distance from the old block's time, relative to what that distance was before.
    pub(super) const SHIFTED: u8 = 2;
    /// As its bytes.
    pub(super) const BYTES: u8 = 3;
}

const TIME: std::ops::Range<usize> = 136..148;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const SIZE: std::ops::Range<usize> = 124..136;

/// The fields that are written as bytes, in this order.
const FIELDS: [(u8, std::ops::Range<usize>); 5] = [
    (bits::SIZE, SIZE),
    (bits::MODE, 100..108),
    (bits::NAME, 0..100),
    (bits::OWNER, 108..124),
    (bits::REST, 156..BLOCK),
];

/// What both sides remember of the blocks before.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    last: i64,
    shift: i64,
    /// How the last time was written, which only the writing side needs.
    manner: u8,
}

impl Times {
    fn note(&mut self, old: Option<i64>, new: Option<i64>) {
        if let Some(new) = new {
            self.last = new;
            if let Some(old) = old {
                self.shift = new.wrapping_sub(old);
            }
        }
    }
}

/// Writes `new` as its difference from `old`: which fields to `control`, their contents to `fields`.
pub(super) fn write(
    old: &[u8; BLOCK],
    new: &[u8; BLOCK],
    times: &mut Times,
    control: &mut Vec<u8>,
    fields: &mut Vec<u8>,
) {
    let mut which = 0;
    let (old_time, new_time) = (octal(&old[TIME]), octal(&new[TIME]));
    if old[TIME.end - 1] != new[TIME.end - 1] {
        // A time that is written as a distance ends as the old one does.
        which |= time::BYTES;
    } else if old[TIME] != new[TIME] {
        which |= manner(old_time, new_time, times);
    }
    for (bit, range) in FIELDS {
        if old[range.clone()] != new[range] {
            which |= bit;
        }
    }
    let sum = if which == 0 {
        &old[CHECKSUM]
    } else {
        &checksum(new, old)[..]
    };
    if new[CHECKSUM] != *sum {
        which |= bits::CHECKSUM;
    }
    control.push(which);
    match which & bits::TIME {
        time::BYTES => fields.extend_from_slice(&new[TIME]),
        manner @ (time::AFTER_LAST | time::SHIFTED) => {
            let (old, new) = (old_time.unwrap_or(0), new_time.unwrap_or(0));
            fields.signed(distance(manner, old, new, times));
            times.manner = manner;
        }
        _ => {}
    }
    for (bit, range) in FIELDS {
        if which & bit != 0 {
            fields.extend_from_slice(&new[range]);
        }
    }
    if which & bits::CHECKSUM != 0 {
        fields.extend_from_slice(&new[CHECKSUM]);
    }
    times.note(old_time, new_time);
}

/// The block that [`write`] wrote, from the same old block.
pub(super) fn read(
    old: &[u8; BLOCK],
    times: &mut Times,
    control: &mut impl Read,
    fields: &mut impl Read,
) -> io::Result<[u8; BLOCK]> {
    let mut which = [0];
    control.read_exact(&mut which)?;
    let which = which[0];
    let mut new = *old;
    let old_time = octal(&old[TIME]);
    match which & bits::TIME {
        time::SAME => {}
        time::BYTES => fields.read_exact(&mut new[TIME])?,
        manner => {
            let distance = code::signed(fields)?;
            let from = match manner {
                time::AFTER_LAST => times.last,
                _ => old_time.unwrap_or(0).wrapping_add(times.shift),
            };
            write_octal(
                from.wrapping_add(distance),
                old[TIME.end - 1],
                &mut new[TIME],
            );
        }
    }
    for (bit, range) in FIELDS {
        if which & bit != 0 {
            fields.read_exact(&mut new[range])?;
        }
    }
    if which & bits::CHECKSUM != 0 {
        fields.read_exact(&mut new[CHECKSUM])?;
    } else if which != 0 {
        let sum = checksum(&new, old);
        new[CHECKSUM].copy_from_slice(&sum);
    }
    times.note(old_time, octal(&new[TIME]));
    Ok(new)
}

/// How the time of a block is best written.
fn manner(old: Option<i64>, new: Option<i64>, times: &Times) -> u8 {
    let (Some(old_time), Some(new_time)) = (old, new) else {
        return time::BYTES;
    };
    let len = |manner| code::signed_len(distance(manner, old_time, new_time, times));
    let (after, shifted) = (len(time::AFTER_LAST), len(time::SHIFTED));
    if shifted < after || (shifted == after && times.manner == time::SHIFTED) {
        time::SHIFTED
    } else {
        time::AFTER_LAST
    }
}

fn distance(manner: u8, old: i64, new: i64, times: &Times) -> i64 {
    let from = match manner {
        time::AFTER_LAST => times.last,
        _ => old.wrapping_add(times.shift),
    };
    new.wrapping_sub(from)
}

/// A number in the form that tar writers use: eleven octal digits and one byte, NUL or space. `None` for any other.
fn octal(field: &[u8]) -> Option<i64> {
    let (&end, digits) = field.split_last()?;
    if digits.len() != 11 || !matches!(end, 0 | b' ') {
        return None;
    }
    digits.iter().try_fold(0_i64, |number, digit| match digit {
        b'0'..=b'7' => Some(number * 8 + i64::from(digit - b'0')),
        _ => None,
    })
}

/// Writes a number in that form, with `end` as its last byte; of one that is too large, the lowest digits.
fn write_octal(number: i64, end: u8, field: &mut [u8]) {
    let mut number = number.cast_unsigned();
    let last = field.len() - 1;
    for digit in field[..last].iter_mut().rev() {
        *digit = b'0' + u8::try_from(number & 7).unwrap_or(0);
        number >>= 3;
    }
    field[last] = end;
}

/// What the size field of the last block of some headers says, in bytes, where it is in the usual form.
pub(super) fn last_size(headers: &[u8]) -> Option<u64> {
    let block = headers.last_chunk::<BLOCK>()?;
    octal(&block[SIZE]).and_then(|size| u64::try_from(size).ok())
}

/// The checksum field of a block, in the form that the old one's has: six octal digits, NUL and space, as most writers
/// have it, or seven digits and NUL, as Rust's `tar` has it.
fn checksum(block: &[u8; BLOCK], old: &[u8; BLOCK]) -> [u8; 8] {
    let others = block[..CHECKSUM.start].iter().chain(&block[CHECKSUM.end..]);
    let sum: u32 = others.map(|&byte| u32::from(byte)).sum::<u32>() + 8 * u32::from(b' ');
    let mut field = *b"000000\0 ";
    let mut digits = 6;
    if old[CHECKSUM.end - 1] == 0 {
        (field, digits) = (*b"0000000\0", 7);
    }
    let mut left = sum;
    for digit in field[..digits].iter_mut().rev() {
        *digit = b'0' + u8::try_from(left & 7).unwrap_or(0);
        left >>= 3;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(name: &str, size: u64, mtime: u64) -> [u8; BLOCK] {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).expect("short");
        header.set_size(size);
        header.set_mtime(mtime);
        header.set_mode(0o644);
        header.set_cksum();
        *header.as_bytes()
    }

    fn round(pairs: &[([u8; BLOCK], [u8; BLOCK])]) -> (usize, usize) {
        let (mut control, mut fields) = (Vec::new(), Vec::new());
        let mut times = Times::default();
        for (old, new) in pairs {
            write(old, new, &mut times, &mut control, &mut fields);
        }
        let (mut from_control, mut from_fields) = (&control[..], &fields[..]);
        let mut times = Times::default();
        for (old, new) in pairs {
            let read = read(old, &mut times, &mut from_control, &mut from_fields).expect("whole");
            assert_eq!(read, *new);
        }
        assert!(from_control.is_empty() && from_fields.is_empty());
        (control.len(), fields.len())
    }

    #[test]
    fn a_rebuild_costs_one_byte_for_each_time() {
        let pairs: Vec<_> = (0..100)
            .map(|i| {
                (
                    block("a", i, 1_700_000_000 + i * 977),
                    block("a", i, 1_800_000_000),
                )
            })
            .collect();
        // The first time is a number of four bytes.
        assert_eq!(round(&pairs), (100, 103));
        let moved: Vec<_> = (0..100)
            .map(|i| {
                (
                    block("a", i, 1_700_000_000 + i * 977),
                    block("a", i, 1_700_086_400 + i * 977),
                )
            })
            .collect();
        let (_, fields) = round(&moved);
        assert!(fields < 110, "{fields}");
    }

    #[test]
    fn a_checksum_of_another_form_is_kept() {
        let old = block("a", 5, 7);
        let mut new = block("b", 5, 7);
        new[CHECKSUM].copy_from_slice(b"0001234\0");
        round(&[(old, new)]);
        let mut only = old;
        only[CHECKSUM].copy_from_slice(b"0001234\0");
        round(&[(old, only), (only, only), (only, old)]);
    }

    #[test]
    fn a_time_may_end_otherwise() {
        let old = block("a", 5, 1_700_000_000);
        let mut new = block("a", 5, 1_800_000_000);
        new[TIME.end - 1] = b' ';
        round(&[(old, new), (new, old), (old, old)]);
        let mut same = old;
        same[TIME.end - 1] = b' ';
        round(&[(old, same), (same, old)]);
    }

    proptest! {
        #[test]
        fn any_block_comes_back(
            old in proptest::collection::vec(any::<u8>(), BLOCK),
            changes in proptest::collection::vec((0..BLOCK, any::<u8>()), 0..6),
        ) {
            let old: [u8; BLOCK] = old.try_into().expect("a block");
            let mut new = old;
            for (at, byte) in changes {
                new[at] = byte;
            }
            let real = block("x", 3, 9);
            round(&[(old, new), (real, new), (old, real), (real, real)]);
        }
    }
}
