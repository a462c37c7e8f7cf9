//! Decompression, done in this process.
//!
//! All formats may hold several members (streams, frames) one after the other, and each of them is counted before it
//! is decoded. [`DecoderCost`] says what is counted and why.

mod members;
mod metered;
mod xz;
mod zstd;

use std::fmt;
use std::io::{self, BufRead, Read};

use self::members::StreamMembers;
use self::metered::Metered;
use self::xz::XzStreams;
use self::zstd::ZstdFrames;
use super::Compression;
use super::expansion::{Bound, DecoderCost};
use crate::base::limits::Limits;

/// Reads the plain bytes behind any [`Compression`].
pub struct Decoder<R: BufRead> {
    kind: Kind<R>,
}

enum Kind<R: BufRead> {
    Plain(R),
    Gzip(StreamMembers<R, flate2::bufread::GzDecoder<Metered<R>>>),
    Bzip2(StreamMembers<R, bzip2::bufread::BzDecoder<Metered<R>>>),
    Xz(Box<XzStreams<R>>),
    Zstd(Box<ZstdFrames<R>>),
}

/// What each format costs, measured with inputs made for it: members without content, blocks that hold
/// nothing but tables, chunks of one byte.
fn cost(compression: Compression) -> DecoderCost {
    let [member, read, given, given_for_read] = match compression {
        Compression::None => [0, 0, 0, 0],
        // A block that only describes its codes: 14 bytes, 600 ns.
        Compression::Gzip => [256, 16, 0, 0],
        // A stream clears the room for its largest block, and symbols are gathered from all over it; runs
        // of one symbol, of which there are few bytes for many, cost nothing.
        Compression::Bzip2 => [65_536, 128, 4, 20_000],
        // A chunk of one byte resets all probabilities.
        Compression::Xz => [4096, 200, 0, u64::MAX],
        // A block that describes three tables in 20 bytes.
        Compression::Zstd => [256, 32, 0, 0],
    };
    DecoderCost {
        member,
        read,
        given,
        given_for_read,
    }
}

impl<R: BufRead> Decoder<R> {
    /// Decodes `inner`, which holds `compression` data. It takes no more memory than
    /// [`Limit::DecoderMemory`](crate::Limit::DecoderMemory) allows by default, and gives as much as there
    /// is: a caller that has limits uses [`Slice::decode`](super::Slice::decode).
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
        Self::of(compression, inner, limits, Some(bound))
    }

    fn of(
        compression: Compression,
        inner: R,
        limits: &Limits,
        bound: Option<Bound>,
    ) -> io::Result<Self> {
        let metered = |inner| Metered::new(inner, *limits, cost(compression), bound);
        let kind = match compression {
            Compression::None => Kind::Plain(inner),
            Compression::Gzip => Kind::Gzip(StreamMembers::new(metered(inner))?),
            Compression::Bzip2 => Kind::Bzip2(StreamMembers::new(metered(inner))?),
            Compression::Xz => Kind::Xz(Box::new(XzStreams::new(metered(inner)))),
            Compression::Zstd => Kind::Zstd(Box::new(ZstdFrames::new(metered(inner))?)),
        };
        Ok(Self { kind })
    }

    /// Whether bytes that are not another gzip member follow the last one. Only known once the
    /// decoder was read to its end; always false for other formats.
    ///
    /// Docker 20.10 and 26.1 take such layers, containerd, skopeo and podman refuse them.
    pub fn has_trailing_data(&self) -> bool {
        matches!(&self.kind, Kind::Gzip(members) if members.is_trailed())
    }

    /// Whether it takes so much memory that its thread should not decode anything else beside it.
    pub(crate) fn has_much_memory(&self) -> bool {
        self.metered().is_some_and(Metered::has_much_memory)
    }

    fn metered(&self) -> Option<&Metered<R>> {
        Some(match &self.kind {
            Kind::Plain(_) => return None,
            Kind::Gzip(members) => members.get_ref(),
            Kind::Bzip2(members) => members.get_ref(),
            Kind::Xz(streams) => streams.get_ref(),
            Kind::Zstd(frames) => frames.get_ref(),
        })
    }

    /// The reader below.
    pub fn get_ref(&self) -> &R {
        match &self.kind {
            Kind::Plain(inner) => inner,
            Kind::Gzip(members) => members.get_ref().get_ref(),
            Kind::Bzip2(members) => members.get_ref().get_ref(),
            Kind::Xz(streams) => streams.get_ref().get_ref(),
            Kind::Zstd(frames) => frames.get_ref().get_ref(),
        }
    }

    /// The reader below, taken out.
    pub fn into_inner(self) -> R {
        match self.kind {
            Kind::Plain(inner) => inner,
            Kind::Gzip(members) => members.into_inner().into_inner(),
            Kind::Bzip2(members) => members.into_inner().into_inner(),
            Kind::Xz(streams) => streams.into_inner().into_inner(),
            Kind::Zstd(frames) => frames.into_inner().into_inner(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (n, metered) = match &mut self.kind {
            // What is not compressed does not expand.
            Kind::Plain(inner) => return inner.read(buf),
            Kind::Gzip(members) => (members.read(buf)?, members.get_mut()),
            Kind::Bzip2(members) => (members.read(buf)?, members.get_mut()),
            Kind::Xz(streams) => (streams.read(buf)?, streams.get_mut()),
            Kind::Zstd(frames) => (frames.read(buf)?, frames.get_mut()),
        };
        metered.gave(n)?;
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::sniff;
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
        let frame = |bytes: &[u8]| ::zstd::encode_all(bytes, 3).expect("memory");
        let bytes = [skippable, frame(b"one "), frame(b"two")].concat();
        assert_eq!(sniff(&bytes), Compression::Zstd);
        assert_eq!(decode(&bytes).0.expect("sound"), b"one two");
    }

    #[test]
    fn xz_streams_and_their_padding_are_read() {
        let stream = |bytes: &[u8]| {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        };
        let padded = |zeros: usize| {
            let parts = [
                &stream(b"one ")[..],
                &vec![0; zeros],
                &stream(b""),
                &stream(b"two"),
            ];
            [&parts.concat()[..], &vec![0; zeros]].concat()
        };
        for zeros in [0, 4, 400] {
            assert_eq!(decode(&padded(zeros)).0.expect("sound"), b"one two");
        }
        for zeros in [1, 6] {
            assert!(decode(&padded(zeros)).0.is_err());
        }
        let whole = padded(0);
        for len in [11, 20, whole.len() - 1] {
            assert!(decode(&whole[..len]).0.is_err(), "{len}");
        }
        assert!(decode(&[&whole[..], b"junk"].concat()).0.is_err());
    }

    #[test]
    fn bzip2_streams_are_read_and_junk_is_not() {
        let stream = |bytes: &[u8]| {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        };
        let whole = [stream(b"one "), stream(b""), stream(b"two")].concat();
        assert_eq!(decode(&whole).0.expect("sound"), b"one two");
        assert!(decode(&whole[..whole.len() - 1]).0.is_err());
        assert!(decode(&[&whole[..], b"junk"].concat()).0.is_err());
    }

    #[test]
    fn a_frame_cut_short_is_an_error() {
        let frame = ::zstd::encode_all(&[7; 10_000][..], 3).expect("memory");
        for len in [3, 5, 8, frame.len() - 1] {
            let mut decoder =
                Decoder::new(Compression::Zstd, &frame[..len], &Limits::default()).expect("memory");
            assert!(decoder.read_to_end(&mut Vec::new()).is_err(), "{len}");
        }
        let junk = [&frame[..], b"junk"].concat();
        assert!(decode(&junk).0.is_err());
    }

    /// Reads a byte at a time, so that every header is cut at every place.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = buf.len().min(1);
            self.0.read(&mut buf[..n])
        }
    }

    #[test]
    fn pieces_may_be_as_small_as_they_like() {
        let frame = |bytes: &[u8]| ::zstd::encode_all(bytes, 3).expect("memory");
        let zstd = [frame(&[1; 5000]), frame(b""), frame(&[2; 300])].concat();
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
        encoder.write_all(&[1; 5000]).expect("memory");
        let xz = encoder.finish().expect("memory");
        for (bytes, len) in [
            (zstd, 5300),
            (xz.repeat(2), 10_000),
            (gzip(&[1; 5000]), 5000),
        ] {
            let reader = io::BufReader::with_capacity(1, Slow(&bytes));
            let mut decoder =
                Decoder::new(sniff(&bytes), reader, &Limits::default()).expect("memory");
            let mut out = Vec::new();
            decoder.read_to_end(&mut out).expect("sound");
            assert_eq!(out.len(), len);
        }
    }
}
