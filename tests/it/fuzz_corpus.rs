//! The inputs in `testdata/fuzz`, tried by the functions that the fuzz targets call.
//!
//! They are seeds of every format, and what fuzzing has found; a fuzzer that runs for an hour starts from
//! the same. Each is tried within a time that no input of its size can have reason to take.
#![expect(
    clippy::print_stdout,
    reason = "it names the input that a panic is about"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../../fuzz/harness/change.rs"]
mod change;
#[path = "../../fuzz/harness/compression.rs"]
mod compression;
#[path = "../../fuzz/harness/data_root.rs"]
mod data_root;
#[path = "../../fuzz/harness/delta.rs"]
mod delta;
#[path = "../../fuzz/harness/json.rs"]
mod json;
#[path = "../../fuzz/harness/layer.rs"]
mod layer;
#[path = "../../fuzz/harness/metadata.rs"]
mod metadata;
#[path = "../../fuzz/harness/outer.rs"]
mod outer;
#[path = "../../fuzz/harness/program.rs"]
mod program;
#[path = "../../fuzz/harness/reference.rs"]
mod reference;
#[path = "../../fuzz/harness/remake.rs"]
mod remake;

/// Generous, for a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|e| panic!("{}: {e}", directory.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn try_all(target: &str, run: fn(&[u8])) {
    let inputs = files(&corpus().join(target));
    assert!(inputs.len() >= 3, "{target} has no inputs to speak of");
    for input in inputs {
        let bytes = fs::read(&input).expect("a file");
        let begun = Instant::now();
        // The test harness shows what is printed before a panic, and nothing else.
        println!("{}", input.display());
        run(&bytes);
        // Cut short and changed in one place, which is where a fuzzer begins too.
        for part in [1, 2, 3] {
            run(&bytes[..bytes.len() * part / 4]);
        }
        if let Some(middle) = bytes.len().checked_sub(1).map(|last| last / 2) {
            let mut changed = bytes.clone();
            changed[middle] ^= 0x40;
            run(&changed);
        }
        assert!(begun.elapsed() < LONGEST, "{}", input.display());
    }
}

#[test]
fn change() {
    try_all("change", |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            change::run(text);
        }
    });
}

#[test]
fn compression() {
    try_all("compression", compression::run);
}

#[test]
fn delta_program() {
    try_all("delta_program", delta::program);
}

#[test]
fn delta_pair() {
    try_all("delta_pair", delta::pair);
}

#[test]
fn remake() {
    try_all("remake", remake::run);
}

#[test]
fn json() {
    try_all("json", json::run);
}

#[test]
fn layer() {
    try_all("layer", layer::run);
}

#[test]
fn metadata() {
    try_all("metadata", metadata::run);
}

#[test]
fn outer() {
    try_all("outer", outer::run);
}

#[test]
fn program() {
    try_all("program", program::run);
}

#[test]
fn rescue_bolt() {
    try_all("rescue_bolt", |bytes| {
        data_root::As::named("bolt").run(bytes);
    });
}

#[test]
fn rescue_root() {
    try_all("rescue_root", |bytes| {
        data_root::As::named("root").run(bytes);
    });
}

#[test]
fn rescue_split() {
    try_all("rescue_split", |bytes| {
        data_root::As::named("split").run(bytes);
    });
}

#[test]
fn reference() {
    try_all("reference", |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            reference::run(text);
        }
    });
}

/// Every target has a folder of inputs and every folder a target; all of them are small.
#[test]
fn the_inputs_are_those_of_the_targets() {
    let name = |path: &PathBuf| {
        let stem = path.file_stem().expect("a name");
        stem.to_str().expect("text").to_owned()
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets: Vec<String> = files(&root.join("fuzz/fuzz_targets"))
        .iter()
        .map(name)
        .collect();
    let folders: Vec<String> = files(&corpus()).iter().map(name).collect();
    assert_eq!(targets, folders);
    let all = files(&corpus());
    let size: u64 = all
        .iter()
        .flat_map(|folder| files(folder))
        .map(|file| file.metadata().expect("a file").len())
        .sum();
    assert!(size < 650_000, "{size} bytes");
}
