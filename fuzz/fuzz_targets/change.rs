//! `--change`: instructions onto a config.
//! `fuzz/harness/change.rs` says what must hold; `tests/it/fuzz_corpus.rs` runs the same on stored inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness/change.rs"]
mod harness;

fuzz_target!(|text: &str| harness::run(text));
