//! One tar, walked from header to header.
//! `fuzz/harness/layer.rs` says what must hold; `tests/it/fuzz_corpus.rs` runs the same on stored inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness/layer.rs"]
mod harness;

fuzz_target!(|bytes: &[u8]| harness::run(bytes));
