use std::io::Read;

use proptest::prelude::*;

use super::fast::Fast;
use super::{GoDeflate, GoLevel};
use crate::base::digest::Digest;

fn level(number: u8) -> GoLevel {
    GoLevel::new(number).expect("a level")
}

fn deflate<'a>(number: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut deflate = GoDeflate::new(level(number));
    let mut out = Vec::new();
    for piece in pieces {
        deflate.write(piece, &mut out);
    }
    deflate.finish(&mut out);
    out
}

pub(in crate::source::remake) fn inflate(stream: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::read::DeflateDecoder::new(stream)
        .read_to_end(&mut content)
        .expect("a deflate stream");
    content
}

/// The contents of `testdata/recipe/deflate-samples.go`.
pub(in crate::source::remake) fn content(kind: &str, size: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut bytes = Vec::new();
    match kind {
        "zeros" => bytes.resize(size, 0),
        "random" => bytes.extend((0..size).map(|_| next(256) as u8)),
        "period" => bytes.extend(b"imgtar7".iter().cycle().take(size)),
        "text" => {
            let words: Vec<Vec<u8>> = (0..400)
                .map(|_| {
                    let length = 1 + next(9);
                    (0..length).map(|_| b'a' + next(16) as u8).collect()
                })
                .collect();
            while bytes.len() < size {
                let word = next(400) * next(400) / 400;
                bytes.extend_from_slice(&words[word as usize]);
                bytes.push(b' ');
            }
        }
        "mixed" => {
            while bytes.len() < size {
                for _ in 0..next(3000) {
                    bytes.push(next(256) as u8);
                }
                bytes.resize(bytes.len() + next(3000) as usize, 0);
                for _ in 0..next(3000) {
                    bytes.push(b"ab"[next(2) as usize]);
                }
            }
        }
        // Of `testdata/make-zlib-samples.py` alone.
        "late" => {
            bytes.resize(32_700, 0);
            bytes.extend((32_700..size).map(|_| next(256) as u8));
        }
        path => bytes = std::fs::read(path).expect("a file of the repository"),
    }
    bytes.truncate(size);
    bytes
}

/// The size and the beginning of the digest of a stream, as the samples have them.
pub(in crate::source::remake) fn summary(stream: &[u8]) -> String {
    format!(
        "{} {}",
        stream.len(),
        &Digest::sha256_of(stream).to_string()["sha256:".len()..][..8]
    )
}

/// Go 1.19.8 made the samples.
#[test]
fn every_level_makes_what_go_makes() {
    let mut compared = 0;
    for row in include_str!("samples.tsv").lines() {
        let columns: Vec<&str> = row.split('\t').collect();
        let [kind, size, streams @ ..] = columns.as_slice() else {
            panic!("{row}")
        };
        let content = content(kind, size.parse().expect("a size"));
        for (number, expected) in (1..).zip(streams) {
            let stream = deflate(number, [&content[..]]);
            assert_eq!(
                summary(&stream),
                *expected,
                "level {number} of {kind}, {size} bytes"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 71 * 9);
}

#[test]
fn other_levels_are_not_done() {
    assert_eq!([0, 10, 255].map(GoLevel::new), [None; 3]);
    assert_eq!(level(6).number(), 6);
}

/// Counting places anew changes nothing.
#[test]
fn places_that_are_counted_anew_give_the_same_stream() {
    let content = content("text", 400_000);
    let mut fast = Fast::new();
    fast.origin = (1 << 30) - 100_000;
    let mut out = Vec::new();
    fast.write(&content, &mut out);
    assert!(fast.origin < 1 << 20, "it did not begin again");
    fast.finish(&mut out);
    assert!(out == deflate(1, [&content[..]]));
}

/// Bytes with repetitions of all sorts.
pub(in crate::source::remake) fn contents() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        prop::collection::vec(b'a'..b'd', 0..600),
        (any::<u8>(), 0usize..40_000).prop_map(|(byte, count)| vec![byte; count]),
        (prop::collection::vec(any::<u8>(), 1..300), 1usize..200)
            .prop_map(|(bytes, count)| bytes.repeat(count)),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// Content in pieces.
pub(in crate::source::remake) fn pieces<'a>(
    content: &'a [u8],
    cuts: &[prop::sample::Index],
) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(content.len() + 1))
        .collect();
    cuts.extend([0, content.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|cut| &content[cut[0]..cut[1]])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_comes_back_however_it_is_split(
        content in contents(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        number in 1u8..=9,
    ) {
        let whole = deflate(number, [&content[..]]);
        prop_assert!(inflate(&whole) == content);
        prop_assert!(deflate(number, pieces(&content, &cuts)) == whole);
    }
}
