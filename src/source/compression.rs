//! Compression, recognised by its bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952 (gzip), with one or more members.
    Gzip,
    /// bzip2, with one or more streams.
    Bzip2,
    /// xz, with one or more streams.
    Xz,
    /// RFC 8878 (zstd), with one or more frames, including skippable ones.
    Zstd,
}

impl Compression {
    /// The name in messages and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many bytes [`sniff`] needs.
pub(crate) const MAGIC_LEN: usize = 10;

/// Recognises a compression by its first bytes; names and media types do not count, because both
/// are often wrong.
///
/// The magics are those that Docker and containerd test (go-archive
/// `compression_detect.go`, containerd `core/images/mediatypes.go`). For gzip its method byte is needed too,
/// for bzip2 the level and the block magic, because their short magics could begin a file name in a
/// tar header.
pub fn sniff(head: &[u8]) -> Compression {
    if head.starts_with(&[0x1f, 0x8b, 0x08]) {
        Compression::Gzip
    } else if is_bzip2(head) {
        Compression::Bzip2
    } else if head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0x00]) {
        Compression::Xz
    } else if is_zstd(head) {
        Compression::Zstd
    } else {
        Compression::None
    }
}

/// `BZh`, a level, then either a block (pi in BCD) or the end of an empty stream (its square root).
fn is_bzip2(head: &[u8]) -> bool {
    const BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
    const END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
    matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
        if rest.starts_with(&BLOCK) || rest.starts_with(&END))
}

/// A frame, or a skippable frame (its magic is `0x184D2A5?`, little-endian).
fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || matches!(head, [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_plain_heads_are_not_compressed() {
        for head in [
            &b""[..],
            b"\x1f",
            b"\x1f\x8b",
            b"BZh",
            b"BZh9file-name",
            b"BZhX1AY&SY",
            b"etc/",
        ] {
            assert_eq!(sniff(head), Compression::None, "{head:?}");
        }
        assert_eq!(sniff(b"BZh91AY&SY"), Compression::Bzip2);
    }
}
