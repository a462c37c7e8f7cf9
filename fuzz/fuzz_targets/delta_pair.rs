//! A delta between any two files.
//! `fuzz/harness/delta.rs` says what must hold; `tests/it/fuzz_corpus.rs` runs the same on stored inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness/delta.rs"]
mod harness;

fuzz_target!(|bytes: &[u8]| harness::pair(bytes));
