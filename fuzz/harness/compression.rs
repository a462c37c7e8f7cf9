//! The decoders.
//!
//! - Nothing panics, whatever the bytes are.
//! - What comes out does not depend on how much is asked for at a time, nor on how much the reader
//!   below gives.
//! - A decoder that has ended stays at its end.
//! - Only gzip has trailing data.
//!
//! Memory is the fuzzer's to watch: a decoder may take 128 MiB.

use std::io::{self, BufRead, BufReader, Read};

use imgtar::source::{Compression, Decoder, sniff};

/// Where a bomb is given up, in bytes.
const LIMIT: usize = 8 << 20;

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let compression = sniff(bytes);
    let whole = decode(compression, bytes, 64 << 10);
    let in_pieces = decode(compression, BufReader::with_capacity(7, bytes), 1000);
    // On damaged data, what is given out before the error depends on the pieces, and so does whether
    // that is too long.
    if whole.end == End::TooLong || in_pieces.end == End::TooLong {
        return;
    }
    assert_eq!(whole.end, in_pieces.end);
    if whole.end == End::Sound {
        assert!(whole.out == in_pieces.out, "the pieces change the content");
        assert_eq!(whole.trailing, in_pieces.trailing);
    }
    assert!(!whole.trailing || compression == Compression::Gzip);
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Sound,
    Damaged,
    TooLong,
}

struct Decoded {
    out: Vec<u8>,
    end: End,
    trailing: bool,
}

fn decode(compression: Compression, input: impl BufRead, at_a_time: usize) -> Decoded {
    let mut decoder =
        Decoder::new(compression, input, &imgtar::Limits::default()).expect("memory for a decoder");
    let mut buf = vec![0; at_a_time];
    let mut out = Vec::new();
    let end = loop {
        match decoder.read(&mut buf) {
            Ok(0) => {
                assert!(
                    matches!(decoder.read(&mut buf), Ok(0)),
                    "a decoder that has ended goes on"
                );
                break End::Sound;
            }
            Ok(n) => out.extend_from_slice(&buf[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break End::Damaged,
        }
        if out.len() > LIMIT {
            break End::TooLong;
        }
    };
    let trailing = decoder.has_trailing_data();
    drop(decoder.into_inner());
    Decoded { out, end, trailing }
}
