//! One tar, walked from header to header.
//!
//! - Nothing panics, whatever the bytes are.
//! - The walk by position and the walk over a stream find the same entries and end in the same way.
//! - Entries follow each other: each begins at a block behind the body of the one before it.
//! - What an entry claims lies inside the stream, except for the last one, whose body may be cut off.
//! - A sparse map fits the file's logical size, in order and without overlap.

use std::fs::File;
use std::io::Write;

use imgtar::Options;
use imgtar::source::{Compression, Input, sniff};
use imgtar::tar::{Cursor, Entry, Positioned, Streamed, Walker};

/// The unit of a tar, in bytes.
const BLOCK: u64 = 512;

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let (entries, end) = walk(Streamed::new(bytes, &imgtar::Limits::default()));
    check(&entries, bytes.len() as u64);
    // A file that looks compressed would be decompressed on the way, and an empty one refused.
    if bytes.is_empty() || sniff(bytes) != Compression::None {
        return;
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    File::write_all(file.as_file_mut(), bytes).expect("room for the input");
    let input = Input::open(file.path(), &Options::default())
        .expect("a regular file that is not compressed");
    let (by_position, end_by_position) = walk(Positioned::new(input.source().whole()));
    assert_eq!(format!("{entries:?}"), format!("{by_position:?}"));
    assert_eq!(end, end_by_position);
}

/// The entries, and where and how the walk ended.
fn walk<C: Cursor>(cursor: C) -> (Vec<Entry>, String) {
    let mut walker = Walker::new(cursor);
    let mut entries = Vec::new();
    let end = loop {
        match walker.next_entry() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => break format!("at {}", walker.position()),
            Err(error) => break error.to_string(),
        }
    };
    assert!(
        matches!(walker.next_entry(), Ok(None)),
        "a walk that has ended goes on"
    );
    (entries, end)
}

fn check(entries: &[Entry], len: u64) {
    for (i, entry) in entries.iter().enumerate() {
        assert!(entry.header_offset.is_multiple_of(BLOCK), "{entry:?}");
        assert!(entry.data_offset.is_multiple_of(BLOCK), "{entry:?}");
        assert!(
            entry.data_offset >= entry.header_offset + BLOCK,
            "{entry:?}"
        );
        assert!(entry.data_offset <= len, "{entry:?}");
        if let Some(next) = entries.get(i + 1) {
            let end = entry.data_offset + entry.stored_size;
            // A body that reaches to the last byte of the stream may lack its padding.
            assert_eq!(next.header_offset, end.next_multiple_of(BLOCK), "{entry:?}");
            assert!(end <= len, "{entry:?}");
        }
        let Some(map) = &entry.sparse else { continue };
        assert!(map.map_len <= entry.stored_size, "{entry:?}");
        let mut end = 0;
        for span in &map.spans {
            assert!(span.offset >= end, "{entry:?}");
            end = span.offset + span.len;
        }
        assert!(end <= entry.size, "{entry:?}");
    }
}
