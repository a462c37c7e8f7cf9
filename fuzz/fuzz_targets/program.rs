//! What a person may do to one archive: open it, verify it, merge and flatten every image.
//! `fuzz/harness/program.rs` says what must hold; `tests/it/fuzz_corpus.rs` runs the same on stored inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness/program.rs"]
mod harness;

fuzz_target!(|bytes: &[u8]| harness::run(bytes));
