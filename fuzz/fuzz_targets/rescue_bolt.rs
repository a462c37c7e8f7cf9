//! The metadata of a containerd from anybody.
//! `fuzz/harness/data_root.rs` says what must hold; `tests/it/fuzz_corpus.rs` runs the same on stored inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness/data_root.rs"]
mod harness;

fuzz_target!(|bytes: &[u8]| harness::As::named("bolt").run(bytes));
