use std::io::Write;
use std::num::NonZeroUsize;

use super::*;
use crate::base::jobs::Jobs;
use crate::base::limits::Limits;
use crate::source::encode::{Encoder, Method};
use crate::source::{Compression, Scratch, Slice};

fn jobs(count: usize) -> Jobs {
    Jobs::new(NonZeroUsize::new(count).expect("not zero"))
}

/// Bytes that compress somewhat: words, and what repeats far away.
pub(super) fn sample(len: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = state >> 22;
        bytes.extend_from_slice(format!("{word:x} ").as_bytes());
        if word.is_multiple_of(97) && bytes.len() > 9000 {
            let from = bytes.len() - 7000 - word as usize;
            bytes.extend_from_within(from..from + 40 + word as usize / 4);
        }
    }
    bytes.truncate(len);
    bytes
}

/// Bytes as something to read.
pub(super) fn slice(bytes: &[u8]) -> Slice {
    let file = Scratch::new().expect("a temporary file");
    file.write_at(bytes, 0).expect("room");
    let len = bytes.len() as u64;
    file.into_source(len, "test".to_owned(), &Limits::default(), len)
        .whole()
}

fn find_in(blob: &[u8], content: &[u8], threads: usize) -> Option<Remade> {
    let options = FindOptions {
        jobs: jobs(threads),
    };
    find(&slice(blob), &slice(content), &options).expect("readable")
}

fn remake(remade: &Remade, content: &[u8], split: usize) -> Vec<u8> {
    let text = serde_json::to_string(&remade.recipe).expect("JSON");
    let recipe: Recipe = serde_json::from_str(&text).expect("what was written");
    let mut remaker =
        Remaker::new(&recipe, &remade.corrections, Vec::new(), jobs(2)).expect("memory");
    for piece in content.chunks(split) {
        remaker.write_all(piece).expect("memory");
    }
    remaker.finish().expect("memory")
}

/// Finds a recipe and makes the blob with it; says which encoder it is.
fn comes_back(blob: &[u8], content: &[u8]) -> String {
    let remade = find_in(blob, content, 2).expect("a recipe");
    assert_eq!(Some(&remade), find_in(blob, content, 1).as_ref());
    for split in [usize::MAX, 70_001] {
        assert!(
            remake(&remade, content, split) == blob,
            "{:?}",
            remade.recipe
        );
    }
    format!("{} {:?}", remade.recipe.encoder(), remade.recipe.level())
}

#[test]
fn what_imgtar_writes_comes_back() {
    let content = sample(150_000);
    for (compression, levels) in [(Compression::Gzip, 0..=9), (Compression::Zstd, 1..=5)] {
        for level in levels {
            let method = Method::new(compression, Some(level)).expect("a level");
            let mut encoder = Encoder::new(method, jobs(2), Vec::new());
            encoder.write_all(&content).expect("memory");
            let blob = encoder.finish().expect("memory");
            assert_eq!(comes_back(&blob, &content), format!("imgtar Some({level})"));
        }
    }
}

/// A gzip stream of Go's encoder, with everything that a header may have.
fn of_go(level: u8, content: &[u8]) -> Vec<u8> {
    // Extra bytes, a name, a comment and a checksum of the header, which nobody verifies; a time, and Unix.
    let mut blob = vec![0x1f, 0x8b, 8, 0b1_1110, 0, 0xf1, 0x53, 0x65, 0, 3];
    blob.extend_from_slice(&[3, 0, 1, 2, 3]);
    blob.extend_from_slice(b"layer.tar\0a comment\0\x12\x34");
    let mut go = go::GoDeflate::new(go::GoLevel::new(level).expect("a level"));
    go.write(content, &mut blob);
    go.finish(&mut blob);
    let mut crc = flate2::Crc::new();
    crc.update(content);
    blob.extend_from_slice(&crc.sum().to_le_bytes());
    blob.extend_from_slice(&crc.amount().to_le_bytes());
    blob
}

#[test]
fn what_go_writes_comes_back_with_its_header() {
    let content = sample(150_000);
    for level in 1..=9 {
        let blob = of_go(level, &content);
        assert!(comes_back(&blob, &content).starts_with("go Some("));
    }
}

#[test]
fn a_frame_of_libzstd_comes_back_with_and_without_its_size_and_checksum() {
    let content = sample(200_000);
    for level in [1, 3, 19] {
        for (has_checksum, has_size) in [(false, false), (true, true)] {
            let mut encoder = zstd::stream::Encoder::new(Vec::new(), level).expect("memory");
            encoder.include_checksum(has_checksum).expect("a setting");
            let size = has_size.then_some(content.len() as u64);
            encoder.set_pledged_src_size(size).expect("a setting");
            encoder.write_all(&content).expect("memory");
            let blob = encoder.finish().expect("memory");
            let found = comes_back(&blob, &content);
            assert!(found.ends_with(&format!("Some({level})")), "{found}");
        }
    }
}

#[test]
fn nothing_is_found_if_a_single_byte_differs() {
    let content = sample(150_000);
    let method = Method::from(Compression::Gzip);
    let mut encoder = Encoder::new(method, jobs(2), Vec::new());
    encoder.write_all(&content).expect("memory");
    let blob = encoder.finish().expect("memory");
    assert!(find_in(&blob, &content, 2).is_some());
    for at in [10, blob.len() / 2, blob.len() - 8, blob.len() - 1] {
        let mut other = blob.clone();
        other[at] ^= 1;
        assert_eq!(find_in(&other, &content, 2), None, "{at}");
    }
    assert_eq!(find_in(&blob[..blob.len() - 1], &content, 2), None);
    assert_eq!(find_in(&[&blob[..], b"x"].concat(), &content, 2), None);
    assert_eq!(find_in(&blob, &content[1..], 2), None);
    assert_eq!(find_in(&content, &content, 2), None);
}

#[test]
fn nothing_at_all_comes_back() {
    for level in [1, 6] {
        comes_back(&of_go(level, b""), b"");
    }
}

#[test]
fn what_a_recipe_may_not_say_is_an_error() {
    for (text, part) in [
        (
            r#"{"encoder":"brotli","level":1}"#,
            "the encoder `brotli` is not known: a newer imgtar made this",
        ),
        (
            r#"{"encoder":"go","level":10,"header":"1f8b0800000000000003"}"#,
            "the level",
        ),
        (
            r#"{"encoder":"go","header":"1f8b0800000000000003"}"#,
            "the level",
        ),
        (
            r#"{"encoder":"go","level":1,"header":"1f8b08000000000000"}"#,
            "not that of a gzip",
        ),
        (
            r#"{"encoder":"go","level":1,"header":"1f8b080000000000000300"}"#,
            "not that of",
        ),
        (r#"{"encoder":"go","level":1,"header":"xx"}"#, "not hex"),
        (
            r#"{"encoder":"imgtar","compression":"none","level":1}"#,
            "the level",
        ),
        (r#"{"encoder":"imgtar","level":1}"#, "no compression"),
        (r#"{"encoder":"libzstd","level":22}"#, "the level"),
        (
            r#"{"encoder":"libzstd","level":1,"window":3}"#,
            "unknown field",
        ),
    ] {
        let error = serde_json::from_str::<Recipe>(text).expect_err("not a recipe");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_recipe_of_another_version_of_a_library_is_not_current() {
    let text = |version: &str| {
        let text = r#"{"encoder":"imgtar","compression":"gzip","level":4,"version":"#;
        serde_json::from_str::<Recipe>(&format!("{text}\"{version}\"}}")).expect("a recipe")
    };
    assert!(text(recipe::ZLIB_RS).is_current());
    assert!(!text("0.1").is_current());
    // Go's encoder is written out here, so it stays what it is.
    let go = r#"{"encoder":"go","level":6,"header":"1f8b08000000000000ff"}"#;
    let go: Recipe = serde_json::from_str(go).expect("a recipe");
    assert!(go.is_current());
}

#[test]
fn the_version_of_zlib_rs_is_the_one_that_is_linked() {
    let lock = include_str!("../../../Cargo.lock");
    let entry = format!("name = \"zlib-rs\"\nversion = \"{}\"", recipe::ZLIB_RS);
    assert!(lock.contains(&entry));
}
