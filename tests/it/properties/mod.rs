//! Properties that hold for every input, tried on generated ones.
//!
//! The generators start from the same seed every time, so a run is the same run everywhere; a longer
//! search is `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=$RANDOM cargo test --test it properties::`.
//!
//! What is generated is built by code that shares nothing with imgtar: the `tar` crate, the encoders
//! of the compression libraries, and headers put together byte by byte ([`craft`]).
#![cfg(unix)]

mod archives;
mod compression;
mod craft;
mod crafted;
mod names;
mod walker;

use std::env;
use std::io::Write as _;

use imgtar::Options;
use imgtar::source::Input;
use imgtar::tar::{Cursor, Entry, Positioned, Streamed, Walker};
use proptest::test_runner::{Config, RngSeed};

use crate::support::full_size;

/// As many cases as asked for, or a quarter of them where nobody asked for all, unless the environment says
/// otherwise; always the same ones.
pub(crate) fn config(cases: u32) -> Config {
    seeded(if full_size() { cases } else { cases / 4 }, SEED)
}

/// What all of them start from.
pub(crate) const SEED: u64 = 0x0069_6d67_7461_7200;

/// The same from another seed.
pub(crate) fn seeded(cases: u32, seed: u64) -> Config {
    let default = Config::default();
    Config {
        cases: if env::var_os("PROPTEST_CASES").is_some() {
            default.cases
        } else {
            cases
        },
        rng_seed: match default.rng_seed {
            RngSeed::Random => RngSeed::Fixed(seed),
            seed @ RngSeed::Fixed(_) => seed,
        },
        // A failure is repeated by the seed; nothing is written beside the sources.
        failure_persistence: None,
        ..default
    }
}

/// What a walk found, and where and how it ended.
#[derive(Debug)]
struct Walk {
    entries: Vec<Entry>,
    end: Result<u64, String>,
}

fn walk<C: Cursor>(cursor: C) -> Walk {
    let mut walker = Walker::new(cursor);
    let mut entries = Vec::new();
    let end = loop {
        match walker.next_entry() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => break Ok(walker.position()),
            Err(error) => break Err(error.to_string()),
        }
    };
    assert!(
        matches!(walker.next_entry(), Ok(None)),
        "a walk that has ended goes on"
    );
    Walk { entries, end }
}

/// Walks by position and over a stream, and returns what both found.
fn walk_both(bytes: &[u8]) -> Walk {
    let streamed = walk(Streamed::new(bytes, &imgtar::Limits::default()));
    if bytes.is_empty() {
        // No file of no bytes is opened.
        return streamed;
    }
    let input = input(bytes);
    let plain = input
        .source()
        .whole()
        .read_all()
        .expect("the file is there");
    if plain != bytes {
        // It looked compressed, and was.
        return streamed;
    }
    let positioned = walk(Positioned::new(input.source().whole()));
    assert_eq!(
        format!("{streamed:?}"),
        format!("{positioned:?}"),
        "the cursors disagree"
    );
    streamed
}

/// The bytes as an opened file, which has no name any more.
fn input(bytes: &[u8]) -> Input {
    let file = file(bytes);
    Input::open(file.path(), &Options::default()).expect("a regular file")
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for the bytes");
    file
}
