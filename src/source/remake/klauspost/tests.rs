use proptest::prelude::*;

use super::{Heads, KlauspostDeflate, KlauspostLevel, PgzipDeflate};
use crate::source::remake::go::tests::{content, contents, inflate, pieces, summary};

const LEVELS: [KlauspostLevel; 2] = [KlauspostLevel::Five, KlauspostLevel::Six];

fn flate(level: KlauspostLevel, heads: Heads, pieces: &[&[u8]]) -> Vec<u8> {
    let mut deflate = KlauspostDeflate::new(level, heads);
    let mut out = Vec::new();
    for piece in pieces {
        deflate.write(piece, &mut out);
    }
    deflate.finish(&mut out);
    out
}

fn pgzip(level: KlauspostLevel, heads: Heads, pieces: &[&[u8]]) -> Vec<u8> {
    let mut deflate = PgzipDeflate::new(level, heads);
    let mut out = Vec::new();
    for piece in pieces {
        deflate.write(piece, &mut out);
    }
    deflate.finish(&mut out);
    out
}

fn compare(heads: Heads, samples: &str) {
    let mut compared = 0;
    for row in samples.lines() {
        let columns: Vec<&str> = row.split('\t').collect();
        let [kind, size, streams @ ..] = columns.as_slice() else {
            panic!("{row}")
        };
        let content = content(kind, size.parse().expect("a size"));
        let made = LEVELS.map(|level| flate(level, heads, &[&content]));
        let made = made
            .into_iter()
            .chain(LEVELS.map(|level| pgzip(level, heads, &[&content])));
        for (stream, expected) in made.zip(streams) {
            assert_eq!(
                summary(&stream),
                *expected,
                "column {} of {kind}, {size} bytes",
                compared % 4
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 83 * 4);
}

#[test]
fn streams_are_those_of_1_15_12() {
    compare(Heads::Whole, include_str!("whole.tsv"));
}

#[test]
fn streams_are_those_of_1_20_3() {
    compare(Heads::Short, include_str!("short.tsv"));
}

/// Counting places anew changes nothing.
#[test]
fn places_that_are_counted_anew_give_the_same_stream() {
    let content = content("text", 400_000);
    for level in LEVELS {
        let mut deflate = KlauspostDeflate::new(level, Heads::Whole);
        deflate.matches.origin = (1 << 30) - 100_000;
        let mut out = Vec::new();
        deflate.write(&content, &mut out);
        assert!(
            deflate.matches.origin < 1 << 20,
            "{level:?} did not begin again"
        );
        deflate.finish(&mut out);
        assert!(out == flate(level, Heads::Whole, &[&content]), "{level:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_comes_back_however_it_is_split(
        content in contents(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        level in prop::sample::select(&LEVELS[..]),
        heads in prop::sample::select(&[Heads::Whole, Heads::Short][..]),
    ) {
        for deflate in [flate, pgzip] {
            let whole = deflate(level, heads, &[&content]);
            prop_assert!(inflate(&whole) == content);
            prop_assert!(deflate(level, heads, &pieces(&content, &cuts)) == whole);
        }
    }
}
