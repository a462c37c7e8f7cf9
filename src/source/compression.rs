//! Compression, recognised by its bytes and undone in this process.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Serialize;

use super::bound::Bound;
use crate::limits::{Limit, Limits};

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, one member or several.
    Gzip,
    /// bzip2, one stream or several.
    Bzip2,
    /// xz, one stream or several.
    Xz,
    /// RFC 8878, one frame or several, skippable frames among them.
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

/// How many bytes [`sniff`] wants to see.
pub(crate) const MAGIC_LEN: usize = 10;

/// Recognises a compression by its first bytes; names and media types are not asked, because both
/// lie in the wild.
///
/// The magics are those that Docker and containerd test (go-archive
/// `compression_detect.go`, containerd `core/images/mediatypes.go`). Gzip wants its method byte too,
/// and bzip2 the level and the block magic, because their short magics could begin a file name in a
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

/// Reads the plain bytes behind any [`Compression`].
pub struct Decoder<R: BufRead> {
    kind: Kind<R>,
    bound: Option<Bound>,
    limits: Limits,
}

enum Kind<R: BufRead> {
    Plain(R),
    Gzip(GzipMembers<R>),
    Bzip2(bzip2::bufread::MultiBzDecoder<R>),
    Xz(liblzma::bufread::XzDecoder<R>),
    Zstd(Box<zstd::stream::read::Decoder<'static, R>>),
}

impl<R: BufRead> Decoder<R> {
    /// Decodes `inner`, which holds `compression` data. It takes no more memory than
    /// [`Limit::DecoderMemory`] allows, and gives as much as there is: a caller who keeps it uses
    /// [`Slice::decode`](super::Slice::decode).
    ///
    /// # Errors
    ///
    /// If the decoder cannot be set up, which means that memory is short.
    pub fn new(compression: Compression, inner: R, limits: &Limits) -> io::Result<Self> {
        Self::of(compression, inner, limits, None)
    }

    pub(super) fn bound(
        compression: Compression,
        inner: R,
        limits: &Limits,
        bound: Bound,
    ) -> io::Result<Self> {
        // What is not compressed does not expand.
        let bound = (compression != Compression::None).then_some(bound);
        Self::of(compression, inner, limits, bound)
    }

    fn of(
        compression: Compression,
        inner: R,
        limits: &Limits,
        bound: Option<Bound>,
    ) -> io::Result<Self> {
        let memory = limits.of(Limit::DecoderMemory);
        let kind = match compression {
            Compression::None => Kind::Plain(inner),
            Compression::Gzip => Kind::Gzip(GzipMembers::new(inner)),
            Compression::Bzip2 => Kind::Bzip2(bzip2::bufread::MultiBzDecoder::new(inner)),
            Compression::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    memory,
                    liblzma::stream::CONCATENATED,
                )?;
                Kind::Xz(liblzma::bufread::XzDecoder::new_stream(inner, stream))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(inner)?;
                decoder.window_log_max(window_log(memory))?;
                Kind::Zstd(Box::new(decoder))
            }
        };
        Ok(Self {
            kind,
            bound,
            limits: *limits,
        })
    }

    /// A frame or a stream that wants more memory than it may have is not damaged.
    fn explained(&self, error: io::Error) -> io::Error {
        let refused = match &self.kind {
            // The library tells it by its text alone.
            Kind::Zstd(_) => error.to_string().contains("requires too much memory"),
            Kind::Xz(_) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                matches!(inner, Some(liblzma::stream::Error::MemLimit))
            }
            _ => false,
        };
        if refused {
            return io::Error::other(self.limits.exceeded(Limit::DecoderMemory));
        }
        error
    }

    /// Whether bytes that are no further gzip member follow the last one. Only known once the
    /// decoder was read to its end; always false for other formats.
    ///
    /// Docker 20.10 and 26.1 take such layers, containerd, skopeo and podman refuse them.
    pub fn has_trailing_data(&self) -> bool {
        matches!(
            &self.kind,
            Kind::Gzip(GzipMembers {
                state: GzipState::Trailing(_)
            })
        )
    }

    /// The reader below.
    pub fn get_ref(&self) -> &R {
        match &self.kind {
            Kind::Plain(inner) => inner,
            Kind::Gzip(members) => members.get_ref(),
            Kind::Bzip2(decoder) => decoder.get_ref(),
            Kind::Xz(decoder) => decoder.get_ref(),
            Kind::Zstd(decoder) => decoder.get_ref(),
        }
    }

    /// The reader below, taken out.
    pub fn into_inner(self) -> R {
        match self.kind {
            Kind::Plain(inner) => inner,
            Kind::Gzip(members) => members.into_inner(),
            Kind::Bzip2(decoder) => decoder.into_inner(),
            Kind::Xz(decoder) => decoder.into_inner(),
            Kind::Zstd(decoder) => decoder.finish(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.kind {
            Kind::Plain(inner) => inner.read(buf),
            Kind::Gzip(members) => members.read(buf),
            Kind::Bzip2(decoder) => decoder.read(buf),
            Kind::Xz(decoder) => decoder.read(buf),
            Kind::Zstd(decoder) => decoder.read(buf),
        };
        let n = read.map_err(|error| self.explained(error))?;
        if let Some(bound) = &mut self.bound {
            bound.take(n)?;
        }
        Ok(n)
    }
}

impl<R: BufRead> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compression = match &self.kind {
            Kind::Plain(_) => Compression::None,
            Kind::Gzip(_) => Compression::Gzip,
            Kind::Bzip2(_) => Compression::Bzip2,
            Kind::Xz(_) => Compression::Xz,
            Kind::Zstd(_) => Compression::Zstd,
        };
        write!(f, "Decoder({compression})")
    }
}

/// The largest window that fits into so much memory; the format knows 2^10 to 2^41, the library
/// takes up to 2^31 (2^30 where addresses have 32 bits).
fn window_log(memory: u64) -> u32 {
    let most = if usize::BITS < 64 { 30 } else { 31 };
    memory.max(1).ilog2().clamp(10, most)
}

/// All members of a gzip file, one after the other.
///
/// flate2's own multi-member reader fails on anything behind the last member; engines differ about
/// that, so the end is found here and the fact kept for `verify` to report.
struct GzipMembers<R> {
    state: GzipState<R>,
}

enum GzipState<R> {
    Member(Box<flate2::bufread::GzDecoder<R>>),
    Ended(R),
    Trailing(R),
    /// Only while one state is turned into another.
    Moving,
}

impl<R: BufRead> GzipMembers<R> {
    fn new(inner: R) -> Self {
        Self {
            state: GzipState::Member(Box::new(flate2::bufread::GzDecoder::new(inner))),
        }
    }

    fn get_ref(&self) -> &R {
        match &self.state {
            GzipState::Member(decoder) => decoder.get_ref(),
            GzipState::Ended(inner) | GzipState::Trailing(inner) => inner,
            GzipState::Moving => unreachable!("a gzip reader is left moving only inside advance()"),
        }
    }

    fn into_inner(self) -> R {
        match self.state {
            GzipState::Member(decoder) => decoder.into_inner(),
            GzipState::Ended(inner) | GzipState::Trailing(inner) => inner,
            GzipState::Moving => unreachable!("a gzip reader is left moving only inside advance()"),
        }
    }

    /// Moves on from a member that has ended. A second member is recognised by its first byte: if
    /// that promises a member and none follows, the data is damaged and not merely followed by junk.
    fn advance(&mut self) -> io::Result<()> {
        let state = std::mem::replace(&mut self.state, GzipState::Moving);
        let GzipState::Member(decoder) = state else {
            self.state = state;
            return Ok(());
        };
        let mut inner = decoder.into_inner();
        let next = inner.fill_buf().map(|bytes| bytes.first().copied());
        self.state = match next {
            Ok(Some(0x1f)) => GzipState::Member(Box::new(flate2::bufread::GzDecoder::new(inner))),
            Ok(Some(_)) => GzipState::Trailing(inner),
            Ok(None) => GzipState::Ended(inner),
            Err(error) => {
                self.state = GzipState::Ended(inner);
                return Err(error);
            }
        };
        Ok(())
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while let GzipState::Member(decoder) = &mut self.state {
            match decoder.read(buf)? {
                0 => self.advance()?,
                n => return Ok(n),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn decode(bytes: &[u8]) -> (io::Result<Vec<u8>>, bool) {
        let mut decoder = Decoder::new(sniff(bytes), bytes, &Limits::default()).expect("memory");
        let mut out = Vec::new();
        let result = decoder.read_to_end(&mut out).map(|_| out);
        (result, decoder.has_trailing_data())
    }

    #[test]
    fn gzip_members_are_read_one_after_the_other() {
        let bytes = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        let (out, trailing) = decode(&bytes);
        assert_eq!(out.expect("sound"), b"one two");
        assert!(!trailing);
    }

    #[test]
    fn what_follows_the_last_member_is_noticed_and_not_read() {
        let bytes = [gzip(b"one").as_slice(), &[0; 20]].concat();
        let (out, trailing) = decode(&bytes);
        assert_eq!(out.expect("sound"), b"one");
        assert!(trailing);
    }

    #[test]
    fn a_member_cut_short_is_an_error() {
        let bytes = gzip(&[7; 10_000]);
        for len in [3, 9, 12, bytes.len() - 9, bytes.len() - 1] {
            let (out, _) = decode(&bytes[..len]);
            assert!(
                out.is_err(),
                "{len} of {} bytes were taken for all",
                bytes.len()
            );
        }
    }

    #[test]
    fn zstd_frames_and_skippable_frames_are_read() {
        let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let frame = |bytes: &[u8]| zstd::encode_all(bytes, 3).expect("memory");
        let bytes = [skippable, frame(b"one "), frame(b"two")].concat();
        assert_eq!(sniff(&bytes), Compression::Zstd);
        assert_eq!(decode(&bytes).0.expect("sound"), b"one two");
    }

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
