//! Recipes of compressed streams.
//! `fuzz/harness/remake.rs` says what must hold; `tests/it/fuzz_corpus.rs` runs the same on stored inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness/remake.rs"]
mod harness;

fuzz_target!(|bytes: &[u8]| harness::run(bytes));
