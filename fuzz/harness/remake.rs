//! Recipes of compressed streams: the JSON of one, a zero, and the content.
//!
//! - Nothing panics, whatever the recipe says.
//! - What is read of a recipe is written so that it is read as the same.
//! - How the content is split does not change the stream.
//! - The stream expands to the content.
//!
//! Memory is the fuzzer's to watch: an encoder may take 200 MiB.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use imgtar::Jobs;
use imgtar::source::remake::{Recipe, Remaker};
use imgtar::source::{Decoder, sniff};

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let Some(at) = bytes.iter().position(|&byte| byte == 0) else {
        return;
    };
    let (text, content) = (&bytes[..at], &bytes[at + 1..]);
    let Ok(recipe) = serde_json::from_slice::<Recipe>(text) else {
        return;
    };
    let again = serde_json::to_vec(&recipe).expect("a recipe is JSON");
    let again: Recipe = serde_json::from_slice(&again).expect("what was written is read");
    assert_eq!(again, recipe);

    // A size that is not the content's is an error of libzstd.
    let Ok(stream) = make(&recipe, content, usize::MAX) else {
        return;
    };
    let in_pieces = make(&recipe, content, 7).expect("the whole was made");
    assert!(stream == in_pieces, "the pieces change the stream");

    // The header of a gzip stream is kept as it is; a decoder may refuse the checksum in it.
    let has_checksum = stream.starts_with(&[0x1f, 0x8b]) && stream[3] & 2 != 0;
    let mut expanded = Vec::new();
    let decoder = Decoder::new(sniff(&stream), &stream[..], &imgtar::Limits::default());
    let read = decoder.and_then(|mut decoder| decoder.read_to_end(&mut expanded));
    assert!(has_checksum || read.is_ok(), "{read:?}");
    assert!(has_checksum || expanded == content, "another content");
}

fn make(recipe: &Recipe, content: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let one = Jobs::new(NonZeroUsize::MIN);
    let mut remaker = Remaker::new(recipe, &[], Vec::new(), one)?;
    for piece in content.chunks(piece) {
        remaker.write_all(piece)?;
    }
    remaker.finish()
}
