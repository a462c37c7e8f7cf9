//! Bytes that a program took for text and wrote in another encoding.
//!
//! Windows PowerShell decodes what comes out of a program and writes UTF-16 with a byte-order mark;
//! PowerShell 7 writes UTF-8 in which every byte that was not UTF-8 has become U+FFFD. Both turn LF into CR LF.

use std::fmt;

use bstr::ByteSlice;

use super::{Foreign, HiddenContent};
use crate::source::Compression;
use crate::tar::{BLOCK, is_header};

/// An encoding of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-16.
    Utf16,
    /// UTF-8.
    Utf8,
}

impl fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf16 => "UTF-16",
            Self::Utf8 => "UTF-8",
        })
    }
}

/// The byte-order mark in UTF-8.
pub(super) const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";
/// U+FFFD in UTF-8.
pub(super) const REPLACEMENT: &[u8] = b"\xef\xbf\xbd";

pub(super) fn of(head: &[u8]) -> Option<Foreign> {
    utf16(head).or_else(|| utf8(head))
}

/// UTF-16 with its mark, or so that its first units can be nothing else.
fn utf16(head: &[u8]) -> Option<Foreign> {
    let (little, body, marked) = match head {
        [0xff, 0xfe, body @ ..] => (true, body, true),
        [0xfe, 0xff, body @ ..] => (false, body, true),
        [0, second, ..] if *second != 0 => (false, head, false),
        _ => (true, head, false),
    };
    let read = |pair: &[u8]| match (pair, little) {
        (&[a, b], true) => u16::from_le_bytes([a, b]),
        (&[a, b], false) => u16::from_be_bytes([a, b]),
        _ => 0,
    };
    let units: Vec<u16> = body.chunks_exact(2).take(BLOCK).map(read).collect();
    let bytes: Vec<Option<u8>> = units.iter().map(|&unit| u8::try_from(unit).ok()).collect();
    let content = content(&bytes);
    let is_text = units.len() >= 8
        && char::decode_utf16(units.iter().copied()).all(|c| c.is_ok_and(|c| c != '\0'))
        && units.iter().filter(|&&unit| unit < 0x80).count() * 2 > units.len();
    let found = content != HiddenContent::Unknown || is_text;
    (found && (marked || units.iter().all(|&unit| unit < 0x100))).then_some(Foreign::Transcoded {
        encoding: TextEncoding::Utf16,
        content,
    })
}

/// UTF-8 with a mark, or with characters where the magic of a compression has bytes.
fn utf8(head: &[u8]) -> Option<Foreign> {
    let found = |content| {
        Some(Foreign::Transcoded {
            encoding: TextEncoding::Utf8,
            content,
        })
    };
    if let Some(body) = head.strip_prefix(UTF8_BOM)
        && is_header(body)
    {
        return found(HiddenContent::Tar);
    }
    let text = head.strip_prefix(UTF8_BOM).unwrap_or(head);
    let text = &text[..text.len().min(4 * BLOCK)];
    let byte = |c: char| u8::try_from(u32::from(c)).ok();
    let bytes: Vec<Option<u8>> = text.chars().map(byte).take(BLOCK).collect();
    let is_binary = text.contains_str([0x1f]) || text.contains_str([0]);
    match content(&bytes) {
        HiddenContent::Compressed(compression) => found(HiddenContent::Compressed(compression)),
        // Bytes that were not text became U+FFFD one by one, so what they were is lost.
        _ if is_binary && text.find_iter(REPLACEMENT).count() >= 4 && text.to_str().is_ok() => {
            found(HiddenContent::Unknown)
        }
        _ => None,
    }
}

/// What characters were before, as far as each still is the byte that it was.
fn content(bytes: &[Option<u8>]) -> HiddenContent {
    let plain: Option<Vec<u8>> = bytes.iter().take(BLOCK).copied().collect();
    if plain.is_some_and(|plain| is_header(&plain)) {
        return HiddenContent::Tar;
    }
    let begins = |magic: &[u8]| {
        let known = |(&want, got): (&u8, &Option<u8>)| match got {
            // Bytes beyond ASCII are another character in each code page.
            got if want >= 0x80 => got.is_none_or(|b| b >= 0x80),
            got => *got == Some(want),
        };
        bytes.len() > magic.len() && magic.iter().zip(bytes).all(known)
    };
    if begins(&[0x1f, 0x8b, 0x08]) {
        HiddenContent::Compressed(Compression::Gzip)
    } else if begins(b"BZh") && begins_with_block(bytes) {
        HiddenContent::Compressed(Compression::Bzip2)
    } else if begins(b"\xfd7zXZ\0") {
        HiddenContent::Compressed(Compression::Xz)
    } else if begins(&[0x28, 0xb5, 0x2f, 0xfd]) {
        HiddenContent::Compressed(Compression::Zstd)
    } else {
        HiddenContent::Unknown
    }
}

/// bzip2's magic is ASCII as a whole.
fn begins_with_block(bytes: &[Option<u8>]) -> bool {
    let block = bytes.get(4..10).unwrap_or_default();
    block.iter().copied().eq(b"1AY&SY".iter().map(|&b| Some(b)))
}
