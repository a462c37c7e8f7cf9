//! What is written in one line: references, digests, platforms, selectors.
//! `fuzz/harness/reference.rs` says what must hold; `tests/it/fuzz_corpus.rs` runs the same on stored inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness/reference.rs"]
mod harness;

fuzz_target!(|text: &str| harness::run(text));
