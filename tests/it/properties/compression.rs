//! The decoders on what the libraries' encoders make.

use std::io::{Read as _, Write as _};

use imgtar::source::{Compression, Decoder, sniff};
use proptest::collection::vec;
use proptest::prelude::*;

use super::config;

fn compressions() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![
        Compression::Gzip,
        Compression::Bzip2,
        Compression::Xz,
        Compression::Zstd,
    ])
}

/// One member, stream or frame.
pub(crate) fn encode(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let room = "a vector has room";
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(bytes).expect(room);
            encoder.finish().expect(room)
        }
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).expect(room);
            encoder.finish().expect(room)
        }
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).expect(room);
            encoder.finish().expect(room)
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).expect(room),
    }
}

fn decode(compression: Compression, bytes: &[u8]) -> (std::io::Result<Vec<u8>>, bool) {
    let mut decoder =
        Decoder::new(compression, bytes, &imgtar::Limits::default()).expect("memory for a decoder");
    let mut out = Vec::new();
    let result = decoder.read_to_end(&mut out).map(|_| out);
    (result, decoder.has_trailing_data())
}

/// Bytes that compress, and bytes that do not.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..3000),
        (any::<u8>(), 0..200_000_usize).prop_map(|(byte, len)| vec![byte; len]),
        vec(prop::sample::select(b"abc\n".to_vec()), 0..3000),
    ]
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn all_parts_are_decoded_one_after_the_other(
        compression in compressions(),
        parts in vec(content(), 1..4),
    ) {
        let encoded: Vec<u8> = parts.iter().flat_map(|part| encode(compression, part)).collect();
        prop_assert_eq!(sniff(&encoded), compression);
        let (decoded, trailing) = decode(compression, &encoded);
        prop_assert!(decoded.expect("sound") == parts.concat(), "the content changed");
        prop_assert!(!trailing);
    }

    #[test]
    fn what_is_cut_off_is_an_error(
        compression in compressions(),
        parts in vec(content(), 1..3),
        cut in any::<prop::sample::Index>(),
    ) {
        let encoded: Vec<Vec<u8>> = parts.iter().map(|part| encode(compression, part)).collect();
        let ends: Vec<usize> = encoded.iter().scan(0, |end, part| { *end += part.len(); Some(*end) }).collect();
        let encoded = encoded.concat();
        let cut = 1 + cut.index(encoded.len() - 1);
        // Between two parts, what is left is whole.
        prop_assume!(!ends.contains(&cut));
        let (decoded, _) = decode(compression, &encoded[..cut]);
        prop_assert!(decoded.is_err(), "{} of {} bytes were taken for all (ends at {:?})", cut, encoded.len(), ends);
    }

    #[test]
    fn any_bytes_come_to_an_end(compression in compressions(), mut bytes in vec(any::<u8>(), 0..600), real in any::<bool>()) {
        if real {
            // Damaged rather than random: decoders see more than a wrong magic.
            let flips = bytes.clone();
            bytes = encode(compression, &bytes);
            for flip in flips.chunks(40) {
                let at = usize::from(flip[0]) % bytes.len();
                bytes[at] ^= flip[flip.len() - 1];
            }
        }
        drop(decode(compression, &bytes));
    }
}
