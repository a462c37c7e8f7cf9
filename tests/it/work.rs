//! Work that a small archive asks for and that leaves no bytes behind is counted all the same: members of
//! compressed streams without content, headers, and names on the way to an entry.
//!
//! Every archive here has at most 150 kB as it would be sent, compressed as a whole.

use crate::support::{forge, measured};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::support::forge::Entry;
use crate::support::measured::Ended;
use crate::support::packed::{bzip2, gzip, xz, zstd};
use crate::support::{in_turn, scaled, sha256, shown, takes_long};

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
    assert!(bytes.len() < 150_000, "{} bytes", bytes.len());
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
        parted(gzip, &gzip(b""), 800_000),
        parted(xz, &xz(b""), 50_000),
        // What may stand between two streams.
        parted(xz, &[0; 4], 500_000),
        parted(zstd, &zstd(b""), 800_000),
        parted(zstd, &skippable, 800_000),
    ]
    .into_iter()
    .enumerate()
    .filter_map(|(turn, layer)| in_turn(turn).then_some(layer))
    {
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
        parted(zstd, &zstd(b""), 20_000),
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
        parted(zstd, &zstd(&noise[..100]), 300_000),
    ]
    .into_iter()
    .enumerate()
    .filter_map(|(turn, layer)| in_turn(turn + 1).then_some(layer))
    {
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
    layer.extend(block.repeat(300_000));
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

// --- names on the way ----------------------------------------------------------------------------------------

/// A header of ustar, GNU's kind.
fn header(typeflag: u8, name: &[u8], link: &[u8], size: usize) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    let fields = header.as_old_mut();
    fields.name[..name.len()].copy_from_slice(name);
    fields.linkname[..link.len()].copy_from_slice(link);
    fields.linkflag = [typeflag];
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_600_000_000);
    header.set_size(size as u64);
    header.set_cksum();
    *header.as_bytes()
}

/// An entry without a body whose name or link's target may be long.
fn entry(typeflag: u8, name: &str, link: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (flag, text) in [(b'L', name), (b'K', link)] {
        if text.len() > 100 {
            bytes.extend(header(flag, b"././@LongLink", b"", text.len() + 1));
            bytes.extend(text.as_bytes());
            bytes.resize(bytes.len() + 512 - text.len() % 512, 0);
        }
    }
    let short = |text: &str| text.as_bytes()[..text.len().min(100)].to_vec();
    bytes.extend(header(typeflag, &short(name), &short(link), 0));
    bytes
}

/// A layer of entries, packed by zstd, and its diff ID.
fn layer(entries: impl IntoIterator<Item = Vec<u8>>) -> (Vec<u8>, String) {
    let mut bytes: Vec<u8> = entries.into_iter().flatten().collect();
    bytes.resize(bytes.len() + 1024, 0);
    (zstd(&bytes), sha256(&bytes))
}

/// A directory two thousand deep, with a slash at the end.
fn deep(name: &str) -> String {
    format!("{name}/").repeat(4000 / (name.len() + 1))
}

#[track_caller]
fn of_layers(layers: &[(Vec<u8>, String)], order: &[usize], codes: &[(&str, i32)], says: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let layers: Vec<(&[u8], String)> = layers.iter().map(|(l, id)| (&l[..], id.clone())).collect();
    judged(&archive(directory.path(), &layers, order), codes, says);
}

const SEEN: [(&str, i32); 4] = [("ls", 0), ("verify", 0), ("flatten", 0), ("layers", 0)];

/// Most entries lie where the one before lies, however deep that is.
#[test]
fn deep_directories_are_not_walked_again() {
    if !takes_long("entries of deep directories") {
        return;
    }
    let d = deep("a");
    let base = layer([entry(b'0', &format!("{d}f"), "")]);
    // Files, whiteouts of nothing, hard links to one file, and opaque markers.
    let files = layer((0..20_000).map(|i| entry(b'0', &format!("{d}{i}"), "")));
    let whiteouts = layer((0..20_000).map(|i| entry(b'0', &format!("{d}.wh.{i}"), "")));
    let links = layer((0..20_000).map(|i| entry(b'1', &format!("h{i}"), &format!("{d}f"))));
    let opaque = layer((0..20_000).map(|_| entry(b'0', &format!("{d}.wh..wh..opq"), "")));
    of_layers(&[files], &[0], &SEEN, "");
    of_layers(&[base.clone(), whiteouts], &[0, 1, 1, 1, 1], &TAKEN, "");
    of_layers(&[base.clone(), opaque], &[0, 1, 1, 1, 1], &TAKEN, "");
    of_layers(&[base, links], &[0, 1, 1, 1, 1], &TAKEN, "");
}

/// Files that replace those of a lower layer, whiteouts of files that are there, links on the way.
#[test]
fn deep_directories_that_change_are_not_walked_again() {
    if !takes_long("changes in deep directories") {
        return;
    }
    let d = deep("a");
    let files = layer((0..10_000).map(|i| entry(b'0', &format!("{d}{i}"), "")));
    let whiteouts = layer((0..10_000).map(|i| entry(b'0', &format!("{d}.wh.{i}"), "")));
    of_layers(&[files, whiteouts], &[0, 1, 0, 0, 1], &TAKEN, "");
    // A short name for a deep directory.
    let link = entry(b'2', "s", &d);
    let behind = (0..50_000).map(|i| entry(b'0', &format!("s/{i}"), ""));
    let all = [entry(b'0', &format!("{d}f"), ""), link]
        .into_iter()
        .chain(behind);
    of_layers(&[layer(all)], &[0], &[("verify", 0), ("flatten", 0)], "");
}

/// Entries that go from one deep directory to another and back are counted name by name.
#[test]
fn names_on_the_way_are_counted() {
    if !takes_long("paths from one deep directory to another") {
        return;
    }
    let (a, b) = (deep("a"), deep("b"));
    let either = |i: usize| if i.is_multiple_of(2) { &a } else { &b };
    let files = (0..30_000).map(|i| entry(b'0', &format!("{}{i}", either(i)), ""));
    let codes = [("images", 0), ("ls", 3), ("flatten", 3)];
    of_layers(&[layer(files)], &[0], &codes, "`path-steps`");
    let base = layer([
        entry(b'0', &format!("{a}f"), ""),
        entry(b'0', &format!("{b}f"), ""),
    ]);
    let whiteouts = (0..6_000).map(|i| entry(b'0', &format!("{}.wh.{i}", either(i)), ""));
    let order = [0, 1, 1, 1, 1];
    of_layers(
        &[base.clone(), layer(whiteouts)],
        &order,
        &codes,
        "`path-steps`",
    );
    let links = (0..6_000).map(|i| entry(b'1', &format!("h{i}"), &format!("{}f", either(i))));
    of_layers(&[base, layer(links)], &order, &codes, "`path-steps`");
    // Within reason all is well.
    let files = (0..2_000).map(|i| entry(b'0', &format!("{}{i}", either(i)), ""));
    of_layers(&[layer(files)], &[0], &TAKEN, "");
}

/// Paths and targets count in full even where nothing has to be looked up.
#[test]
fn paths_of_whiteouts_and_links_are_counted() {
    if !takes_long("many whiteouts in deep directories") {
        return;
    }
    let d = deep("a");
    let base = layer([entry(b'0', &format!("{d}f"), "")]);
    let whiteouts = layer((0..10_000).map(|i| entry(b'0', &format!("{d}.wh.{i}"), "")));
    let mut order = vec![1; 15];
    order[0] = 0;
    of_layers(
        &[base, whiteouts],
        &order,
        &[("ls", 3), ("flatten", 3)],
        "`names`",
    );
}

// --- headers, and layers that are there often ------------------------------------------------------------------

fn pax() -> Vec<u8> {
    let record = b"13 comment=x\n";
    let mut bytes = header(b'x', b"pax", b"", record.len()).to_vec();
    bytes.extend(record);
    bytes.resize(1024, 0);
    bytes
}

/// A layer that is there four hundred times is walked once.
#[test]
fn a_layer_is_walked_once_however_often_it_is_there() {
    let headers = (0..scaled(50_000)).map(|_| pax());
    let of_headers = layer(headers.chain([entry(b'0', "a", "")]));
    let order = [0; 400];
    of_layers(std::slice::from_ref(&of_headers), &order, &SEEN, "");
    // In turn with others.
    let other = layer([entry(b'0', "b", "")]);
    let order: Vec<usize> = (0..400).map(|i| i % 2).collect();
    of_layers(&[of_headers, other], &order, &SEEN, "");
}

/// Where a layer is too large to be kept, headers are counted as entries are.
#[test]
fn headers_are_counted() {
    if !takes_long("layers of many headers") {
        return;
    }
    let files = (0..60_000).map(|i| entry(b'0', &format!("f{i}"), ""));
    let headers = (0..200_000).map(|_| pax());
    let all = layer(headers.chain(files));
    let codes = [("ls", 3), ("flatten", 3)];
    of_layers(&[all], &[0; 20], &codes, "`entries`");
    // One before each entry is usual.
    let usual = (0..100_000).flat_map(|i| [pax(), entry(b'0', &format!("f{i}"), "")]);
    of_layers(&[layer(usual)], &[0; 15], &[("ls", 0)], "");
}
