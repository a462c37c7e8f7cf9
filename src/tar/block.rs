//! One 512-byte block, and the forms of text and numbers in it.

use std::ops::Range;

use super::TarFault;

/// The unit of a tar stream, in bytes.
pub(crate) const BLOCK: usize = 512;

/// Where a field lies in a header block. The v7 fields come first and are the same in every format;
/// the layout is that of POSIX.1-1988 and of GNU tar's `tar.h`.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) at: Range<usize>,
}

const fn field(name: &'static str, from: usize, len: usize) -> Field {
    Field {
        name,
        at: from..from + len,
    }
}

pub(super) const NAME: Field = field("name", 0, 100);
pub(super) const MODE: Field = field("mode", 100, 8);
pub(super) const UID: Field = field("uid", 108, 8);
pub(super) const GID: Field = field("gid", 116, 8);
pub(super) const SIZE: Field = field("size", 124, 12);
pub(super) const MTIME: Field = field("mtime", 136, 12);
const CHECKSUM: Field = field("checksum", 148, 8);
const TYPEFLAG: usize = 156;
pub(super) const LINKNAME: Field = field("linkname", 157, 100);
const MAGIC: Range<usize> = 257..263;
const VERSION: Range<usize> = 263..265;
pub(super) const DEVMAJOR: Field = field("devmajor", 329, 8);
pub(super) const DEVMINOR: Field = field("devminor", 337, 8);
pub(super) const PREFIX: Field = field("prefix", 345, 155);
/// Schily's star keeps a shorter prefix and its own trailer.
pub(super) const STAR_PREFIX: Field = field("prefix", 345, 131);
pub(super) const STAR_ATIME: Field = field("atime", 476, 12);
pub(super) const STAR_CTIME: Field = field("ctime", 488, 12);
const STAR_TRAILER: Range<usize> = 508..512;
pub(super) const GNU_ATIME: Field = field("atime", 345, 12);
pub(super) const GNU_CTIME: Field = field("ctime", 357, 12);
/// Old GNU sparse headers: four spans, whether more blocks follow, and the logical size.
pub(super) const GNU_SPARSE: Range<usize> = 386..482;
pub(super) const GNU_EXTENDED: usize = 482;
pub(super) const GNU_REALSIZE: Field = field("realsize", 483, 12);
/// A continuation block: 21 spans, and whether one more follows.
pub(super) const GNU_MORE_SPARSE: Range<usize> = 0..504;
pub(super) const GNU_MORE_EXTENDED: usize = 504;

/// Which family of formats a header belongs to (Go `archive/tar` `block.getFormat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFormat {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// A header block whose checksum was right.
pub(super) struct Block(tar::Header);

impl Block {
    pub(super) fn is_zero(bytes: &[u8; BLOCK]) -> bool {
        bytes.iter().all(|&b| b == 0)
    }

    /// Takes the block if its checksum is that of its bytes, unsigned as POSIX says or signed as
    /// old Sun tars wrote it.
    pub(super) fn checked(bytes: &[u8; BLOCK]) -> Result<Self, TarFault> {
        let claimed = &bytes[CHECKSUM.at];
        // The field counts as eight blanks.
        let blanks = u32::from(b' ') * 8;
        let unsigned = sum(bytes) - sum(claimed) + blanks;
        // A field without a number is not a sum, not even where the signed one is negative.
        let is_sum = octal(claimed).is_some_and(|sum| {
            sum == u64::from(unsigned) || i64::try_from(sum) == Ok(signed_sum(bytes))
        });
        if !is_sum {
            let claimed = String::from_utf8_lossy(claimed)
                .trim_matches(['\0', ' '])
                .escape_default()
                .to_string();
            return Err(TarFault::Checksum {
                claimed,
                computed: unsigned,
            });
        }
        Ok(Self(tar::Header::from_byte_slice(bytes).clone()))
    }

    pub(super) fn bytes(&self) -> &[u8; BLOCK] {
        self.0.as_bytes()
    }

    pub(super) fn typeflag(&self) -> u8 {
        self.bytes()[TYPEFLAG]
    }

    pub(super) fn format(&self) -> HeaderFormat {
        let bytes = self.bytes();
        match (&bytes[MAGIC], &bytes[VERSION], &bytes[STAR_TRAILER]) {
            (b"ustar\0", _, b"tar\0") => HeaderFormat::Star,
            (b"ustar\0", _, _) => HeaderFormat::Ustar,
            (b"ustar ", b" \0", _) => HeaderFormat::Gnu,
            _ => HeaderFormat::V7,
        }
    }

    pub(super) fn text(&self, field: &Field) -> &[u8] {
        text(&self.bytes()[field.at.clone()])
    }

    pub(super) fn number(&self, field: &Field) -> Result<i64, TarFault> {
        number(&self.bytes()[field.at.clone()]).ok_or(TarFault::Number { field: field.name })
    }
}

/// The sum of some bytes, which processors add up many at a time.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().map(|&b| u32::from(b)).sum()
}

/// The checksum of a header block as old Sun tars wrote it, of signed bytes.
fn signed_sum(bytes: &[u8; BLOCK]) -> i64 {
    let sum = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|&b| i64::from(b.cast_signed()))
            .sum::<i64>()
    };
    sum(bytes) - sum(&bytes[CHECKSUM.at]) + i64::from(b' ') * 8
}

/// Whether `bytes` begin with a header: a block with the right checksum and a name. Chance makes none.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    let Some(block) = bytes.first_chunk::<BLOCK>() else {
        return false;
    };
    block[0] != 0 && Block::checked(block).is_ok()
}

/// The bytes before the first NUL, or all of them.
pub(super) fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// A number in base 256 if its first bit is set (GNU), else in octal.
pub(super) fn number(bytes: &[u8]) -> Option<i64> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => base256(bytes),
        _ => octal(bytes).and_then(|n| i64::try_from(n).ok()),
    }
}

/// Octal digits, with NULs and spaces around them; nothing at all is 0.
fn octal(bytes: &[u8]) -> Option<u64> {
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(|b| !blank(b))
        .map_or(start, |last| last + 1);
    let digits = text(&bytes[start..end]);
    if digits.is_empty() && start == end {
        return Some(0);
    }
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

/// Two's complement, big-endian, with the first bit as a marker and the second as the sign.
fn base256(bytes: &[u8]) -> Option<i64> {
    let inverted = if bytes[0] & 0x40 == 0 { 0 } else { 0xff };
    let mut n = 0_u64;
    for (i, &b) in bytes.iter().enumerate() {
        let mut b = b ^ inverted;
        if i == 0 {
            b &= 0x7f;
        }
        if n >> 56 != 0 {
            return None;
        }
        n = n << 8 | u64::from(b);
    }
    let n = i64::try_from(n).ok()?;
    Some(if inverted == 0 { n } else { !n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_reads_them() {
        let table: &[(&[u8], Option<i64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644\0\0\0\0\0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777777\0", Some(8_589_934_591)),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"\x80\x00\x00\x00\x00\x20\x00\x01", Some(0x20_0001)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
                Some(-2),
            ),
            (
                b"\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff",
                Some(i64::MAX),
            ),
            (b"\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0644\0junk", Some(0o644)),
        ];
        for (bytes, want) in table {
            assert_eq!(number(bytes), *want, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn text_ends_at_the_first_nul() {
        assert_eq!(text(b"a\0b"), b"a");
        assert_eq!(text(b"ab"), b"ab");
        assert_eq!(text(b"\0ab"), b"");
    }
}
