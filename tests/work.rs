//! Work that a small archive asks for and that leaves no bytes behind is counted all the same: members of
//! compressed streams without content, headers, and names on the way to an entry.
//!
//! Every archive here is a few kilobytes or some ten as it would be sent, compressed as a whole.

#[path = "support/forge.rs"]
mod forge;
#[path = "support/measured.rs"]
mod measured;
mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use forge::Entry;
use measured::Ended;
use support::{sha256, shown};

/// An archive of one image, compressed by zstd: layers as they are stored, with their diff IDs, and the
/// order in which the image has them.
fn archive(directory: &Path, layers: &[(&[u8], String)], order: &[usize]) -> String {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 3).expect("memory"));
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes)
            .expect("room in memory");
    };
    for (i, (bytes, _)) in layers.iter().enumerate() {
        add(&format!("{i}/layer.tar"), bytes);
    }
    let diff_ids: Vec<&str> = order.iter().map(|i| &*layers[*i].1).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string();
    let name = sha256(config.as_bytes()).replace("sha256:", "") + ".json";
    add(&name, config.as_bytes());
    let names: Vec<String> = order.iter().map(|i| format!("{i}/layer.tar")).collect();
    let manifest = serde_json::json!([{"Config": name, "RepoTags": ["work:1"], "Layers": names}]);
    add("manifest.json", manifest.to_string().as_bytes());
    let encoder = tar.into_inner().expect("room in memory");
    let bytes = encoder.finish().expect("room in memory");
    assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
    let path = directory.join("made.tar.zst");
    fs::write(&path, bytes).expect("room for the archive");
    shown(&path)
}

/// What a layer says that nobody will digest to the end.
fn no_id() -> String {
    format!("sha256:{}", "0".repeat(64))
}

/// An archive of one layer, as it is stored.
fn stored(directory: &Path, layer: &[u8]) -> String {
    archive(directory, &[(layer, no_id())], &[0])
}

/// Runs a command on an archive; what it writes is thrown away.
fn run(command: &str, archive: &str) -> Ended {
    let mut arguments = vec![command, archive];
    if command == "flatten" {
        arguments.extend(["-o", "/dev/null"]);
    }
    measured::run(&arguments)
}

#[track_caller]
fn judged(archive: &str, codes: &[(&str, i32)], says: &str) {
    let ended: Vec<Ended> = codes
        .iter()
        .map(|(command, _)| run(command, archive))
        .collect();
    for (ended, (_, code)) in ended.iter().zip(codes) {
        ended.check().exits(*code);
    }
    assert!(ended.iter().any(|ended| ended.says(says)), "{says}");
}

const REFUSED: [(&str, i32); 3] = [("images", 0), ("verify", 1), ("flatten", 3)];
const TAKEN: [(&str, i32); 3] = [("images", 0), ("ls", 0), ("flatten", 0)];

// --- members of compressed streams ---------------------------------------------------------------------------

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

/// A layer of one file whose bytes, the second part of the layer, come after so much of something else.
fn parted(pack: fn(&[u8]) -> Vec<u8>, between: &[u8], times: usize) -> Vec<u8> {
    let layer = forge::layer(&[Entry::file("a", b"x")]);
    let (head, tail) = layer.split_at(512);
    [pack(head), between.repeat(times), pack(tail)].concat()
}

#[test]
fn members_without_content_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    for layer in [
        parted(bzip2, &bzip2(b""), 20_000),
        parted(gzip, &gzip(b""), 1_500_000),
        parted(xz, &xz(b""), 100_000),
        // What may stand between two streams.
        parted(xz, &[0; 4], 1_000_000),
        parted(zstd_frame, &zstd_frame(b""), 1_500_000),
        parted(zstd_frame, &skippable, 1_500_000),
    ] {
        judged(
            &stored(directory.path(), &layer),
            &REFUSED,
            "`decoder-work`",
        );
    }
}

/// Around the whole archive they count as well.
#[test]
fn members_around_the_archive_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("made.tar.bz2");
    fs::write(&path, parted(bzip2, &bzip2(b""), 20_000)).expect("room");
    let ended = run("images", &shown(&path));
    ended.check().exits(3);
    assert!(ended.says("`decoder-work`"), "{}", ended.err);
}

/// Some thousand members are nothing unusual: a layer made for lazy pulling has one for each file.
#[test]
fn many_members_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    for layer in [
        parted(gzip, &gzip(b""), 20_000),
        parted(zstd_frame, &zstd_frame(b""), 20_000),
        parted(bzip2, &bzip2(b""), 50),
        parted(xz, &xz(b""), 500),
    ] {
        let id = sha256(&forge::layer(&[Entry::file("a", b"x")]));
        let archive = archive(directory.path(), &[(&layer, id)], &[0]);
        judged(&archive, &TAKEN, "a\n");
        run("verify", &archive).check().exits(0);
    }
}

/// Streams with little content whose decoder is set up anew, and blocks that hold nothing but the
/// description of their codes.
#[test]
fn members_with_little_content_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let noise: Vec<u8> = (0..4096_u32)
        .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    for layer in [
        parted(bzip2, &bzip2(&noise), 4_000),
        parted(xz, &xz(&noise), 4_000),
        parted(zstd_frame, &zstd_frame(&noise[..100]), 300_000),
    ] {
        judged(
            &stored(directory.path(), &layer),
            &REFUSED,
            "`decoder-work`",
        );
    }
    // Eight blocks of deflate in 92 bytes: a description of the codes, the end of the block.
    let block = dynamic_block();
    let mut layer = gzip(&[]);
    layer.truncate(10);
    layer.extend(block.repeat(600_000));
    judged(
        &stored(directory.path(), &layer),
        &REFUSED,
        "`decoder-work`",
    );
}

/// Eight empty blocks of deflate with codes of their own, so that they end with a byte.
fn dynamic_block() -> Vec<u8> {
    let mut bits: Vec<u8> = Vec::new();
    let mut low_first = |value: u32, count: u32| {
        bits.extend((0..count).map(|i| u8::from(value >> i & 1 == 1)));
    };
    // Not the last, dynamic codes; 257 literals, 1 distance, 18 lengths of code lengths.
    for (value, count) in [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)] {
        low_first(value, count);
    }
    // In the order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1: one bit for 18, two for 0 and 1.
    for at in 0..18 {
        let length = match at {
            2 => 1,
            3 | 17 => 2,
            _ => 0,
        };
        low_first(length, 3);
    }
    // 138 zeros, 118 zeros, 1 for the end of the block, 0 for the distance, and the end of the block.
    for (value, count) in [(0, 1), (127, 7), (0, 1), (107, 7), (3, 2), (1, 2), (0, 1)] {
        low_first(value, count);
    }
    let bits = bits.repeat(8);
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
    bits.chunks(8).map(byte).collect()
}

/// Several layers, each with a window as large as a decoder may have.
#[test]
fn large_windows_are_not_held_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let layer = |i: usize| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("memory");
        encoder.window_log(27).expect("a window");
        let size = 100 << 20;
        let mut header = Entry::file(&format!("f{i}"), b"").bytes();
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        encoder.write_all(&header[..512]).expect("memory");
        encoder.write_all(&vec![0; size + 1024]).expect("memory");
        encoder.finish().expect("memory")
    };
    let layers: Vec<Vec<u8>> = (0..4).map(layer).collect();
    let layers: Vec<(&[u8], String)> = layers.iter().map(|l| (&l[..], no_id())).collect();
    let archive = archive(directory.path(), &layers, &[0, 1, 2, 3]);
    judged(&archive, &[("images", 0), ("ls", 0), ("layers", 0)], "f3");
    measured::run(&["ls", "-j", "8", &archive]).check().exits(0);
}
