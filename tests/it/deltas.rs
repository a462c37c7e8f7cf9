//! Deltas between real archives: each archive comes back byte for byte, whatever the old one is.
//!
//! `delta.rs` is about the difference of two trees, which is something else.

use std::fs::{self, File};
use std::path::Path;

use imgtar::Options;
use imgtar::delta::{Delta, DeltaFile, MakeOptions, apply};
use imgtar::source::{Input, SourceError};

use crate::convert::LAYOUTS;
use crate::support::forge::{self, Entry, Form};
use crate::support::{Work, archives, bytes, full_size, imgtar, in_turn, repository, shared};

/// A file of the corpus that imgtar does not open: the compression around it is damaged.
const UNREADABLE: &str = "aboutcode-org__scancode.io__corrupted.tar.gz";

fn open(path: &str) -> Result<Input, SourceError> {
    Input::open(Path::new(path), &Options::default())
}

/// Makes a delta, applies it to the same archives, and compares what comes out. Returns the delta's size, or what went
/// wrong.
fn attempt(old: &[&str], new: &str, best: bool, work: &Work) -> Result<u64, String> {
    let options = Options::default();
    let inputs = || -> Result<Vec<Input>, String> {
        let inputs = old.iter().map(|path| open(path));
        inputs
            .collect::<Result<_, _>>()
            .map_err(|why| format!("OLD: {why}"))
    };
    let wanted = open(new).map_err(|why| format!("NEW: {why}"))?;
    let made = Delta::make(&inputs()?, &wanted, MakeOptions { best }, &options);
    let made = made.map_err(|why| format!("making: {why}"))?;
    let delta = work.path("delta");
    let mut file = File::create(&delta).expect("room");
    let size = made
        .write(&mut file)
        .map_err(|why| format!("writing: {why}"))?;
    assert_eq!(size, fs::metadata(&delta).expect("a delta").len());
    let opened = DeltaFile::open(open(&delta).expect("a delta"));
    let opened = opened.map_err(|why| format!("opening: {why}"))?;
    let mut out = Vec::new();
    apply(&inputs()?, &opened, &mut out, &options).map_err(|why| format!("applying: {why}"))?;
    if out == bytes(new) {
        Ok(size)
    } else {
        Err("other bytes".to_owned())
    }
}

/// Insists on it.
#[track_caller]
fn comes_back(old: &[&str], new: &str, work: &Work) -> u64 {
    let size = attempt(old, new, false, work);
    size.unwrap_or_else(|why| panic!("{new} from {old:?}: {why}"))
}

/// What went wrong with many pairs, so that one failure does not hide the others.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    /// Tries a pair; the size of its delta if it is right.
    fn attempt(&mut self, old: &[&str], new: &str, best: bool, work: &Work) -> Option<u64> {
        let size = attempt(old, new, best, work);
        let size = size.map_err(|why| self.0.push(format!("{new} from {old:?}: {why}")));
        size.ok()
    }

    fn unless(&mut self, is_right: bool, why: impl FnOnce() -> String) {
        if !is_right {
            self.0.push(why());
        }
    }

    #[track_caller]
    fn are_none(&self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// The archives of a directory, with their paths.
fn paths(directory: &str) -> Vec<String> {
    let names = archives(directory).into_iter();
    let names = names.filter(|name| name != UNREADABLE);
    names.map(|name| format!("{directory}/{name}")).collect()
}

/// Each archive from the one before it, from itself and from nothing.
fn each_comes_back(directory: &str) -> Failures {
    let work = Work::new();
    let mut failures = Failures::default();
    let paths = paths(directory);
    let mut before = paths.last().expect("archives");
    for (number, path) in paths.iter().enumerate() {
        failures.attempt(&[before], path, number % 8 == 0, &work);
        before = path;
        // Of an archive that is there, nothing travels but what the delta says of itself.
        if let Some(size) = failures.attempt(&[path], path, false, &work) {
            failures.unless(size < 10_000, || {
                format!("{path} from itself: {size} bytes")
            });
        }
        let whole = bytes(path).len() as u64;
        if let Some(size) = failures.attempt(&[], path, false, &work) {
            let is_small = size < whole + 10_000;
            failures.unless(is_small, || {
                format!("{path} alone: {size} of {whole} bytes")
            });
        }
    }
    failures
}

#[test]
fn archives_of_engines_come_back() {
    each_comes_back(&repository("testdata/engines")).are_none();
}

#[test]
fn archives_beside_the_repository_come_back() {
    let Some(directory) = shared("archives") else {
        return;
    };
    each_comes_back(&directory).are_none();
}

#[test]
fn the_corpus_comes_back() {
    let Some(directory) = shared("corpus") else {
        return;
    };
    each_comes_back(&directory).are_none();
}

/// Every pair of archives that engines made; without `IMGTAR_FULL_SIZE` every 16th.
#[test]
fn every_pair_of_archives_of_engines_comes_back() {
    let work = Work::new();
    let paths = paths(&repository("testdata/engines"));
    let mut failures = Failures::default();
    let pairs = paths
        .iter()
        .flat_map(|old| paths.iter().map(move |new| (old, new)));
    for (number, (old, new)) in pairs.enumerate() {
        // A step that has no factor in common with the number of archives, so that each of them is in turn.
        if full_size() || number % 17 == 0 {
            failures.attempt(&[old], new, false, &work);
        }
    }
    failures.are_none();
}

/// An archive in other layouts and compressions, from the original and the other way round: the content is the same, so
/// that little travels if the compression can be repeated.
#[test]
fn conversions_come_back() {
    let paths = paths(&repository("testdata/engines"));
    let mut failures = Failures::default();
    let mut seen = 0;
    for (number, path) in paths
        .iter()
        .filter(|path| !path.contains("export"))
        .enumerate()
    {
        for (turn, layout) in LAYOUTS.into_iter().enumerate() {
            for (way, compress) in ["keep", "none", "gzip", "zstd"].into_iter().enumerate() {
                let is_legacy_zstd = layout == "docker-legacy" && compress == "zstd";
                if is_legacy_zstd || !in_turn(number + turn + way) {
                    continue;
                }
                let work = Work::new();
                let to = work.path("out.tar");
                let run = imgtar(&[
                    "convert",
                    path,
                    "--layout",
                    layout,
                    "--compress",
                    compress,
                    "-o",
                    &to,
                ]);
                // Some archives hold no image for the platform of this machine.
                if run.code != 0 {
                    continue;
                }
                seen += 1;
                failures.attempt(&[&to], path, false, &work);
                // What imgtar compressed it can compress again: what travels are documents and headers.
                let whole = bytes(&to).len() as u64;
                if let Some(size) = failures.attempt(&[path], &to, false, &work) {
                    let is_small = size < 40_000 || size < whole / 2;
                    failures.unless(is_small, || {
                        format!("{path} as {layout}, {compress}: {size} of {whole} bytes")
                    });
                }
            }
        }
    }
    failures.are_none();
    assert!(
        seen > if full_size() { 200 } else { 60 },
        "{seen} conversions"
    );
}

/// Each of two old archives has what the other one lacks.
#[test]
fn several_old_archives_are_better_than_one() {
    let work = Work::new();
    let file = |name: &str, seed: u32| {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let body: Vec<u8> = (0..100_000).map(|_| next()).collect();
        Entry::file(name, &body)
    };
    let put = |name: &str, entries: &[Entry]| {
        work.put(
            name,
            &forge::archive(&[forge::layer(entries)], Form::Hybrid),
        )
    };
    let (a, b) = (file("a", 1), file("b", 2));
    let [one, two] =
        [&a, &b].map(|entry| put(&format!("{:?}", entry.name), std::slice::from_ref(entry)));
    let new = put("new.tar", &[a, b]);
    let from = |old: &[&str]| comes_back(old, &new, &work);
    assert!(from(&[&one]) > 100_000 && from(&[&two]) > 100_000);
    assert!(from(&[&one, &two]) < 10_000 && from(&[&two, &one]) < 10_000);
}
