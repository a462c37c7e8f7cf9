//! No metadata hurts: `rebuild` with metadata that asks for much, or lies.
//!
//! Each case is made here, piece by piece, as `docs/metadata.md` describes the form. A run may take what
//! `tests/hostile.rs` allows a run.

use crate::support::{forge, measured, scaled};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::support::forge::Entry;
use crate::support::measured::Ended;
use crate::support::{sha256, shown};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// The end of a tar, and the whole of an empty one.
const END: [u8; 1024] = [0; 1024];

/// How many bytes a member of the store expands to.
const PACK: usize = 4 << 20;

/// Lines, compressed as they are added.
struct Lines(GzEncoder<Vec<u8>>, u64);

impl Lines {
    fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::new(6)), 0)
    }

    fn line(&mut self, line: &str) {
        self.0.write_all(line.as_bytes()).expect("memory");
        self.0.write_all(b"\n").expect("memory");
        self.1 += 1;
    }

    /// A raw stretch, in a line with so much white space.
    fn raw_padded(&mut self, bytes: &[u8], padding: usize) {
        let (payload, position) = (STANDARD.encode(bytes), self.1);
        self.line(&format!(
            "{{\"type\":2,\"payload\":\"{payload}\",{}\"position\":{position}}}",
            " ".repeat(padding)
        ));
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.raw_padded(bytes, 0);
    }

    fn file(&mut self, name: &str, size: u64) {
        let position = self.1;
        self.line(&format!(
            "{{\"type\":1,\"name\":\"{name}\",\"size\":{size},\"payload\":\"AAAAAAAAAAA=\",\"position\":{position}}}"
        ));
    }

    fn done(self) -> Vec<u8> {
        self.0.finish().expect("memory")
    }
}

/// The line of the body at `position` of its stream.
fn body(position: u64, size: u64, sha256: &str, place: &str) -> String {
    let sha256 = sha256.trim_start_matches("sha256:");
    format!("{{\"position\":{position},\"size\":{size},\"sha256\":\"{sha256}\"{place}}}")
}

/// The header of a regular file that claims `size` bytes.
fn header(name: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).expect("a short name");
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_600_000_000);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Metadata under construction: by default of an archive that is an empty tar, and of no layers.
struct Metadata {
    layers: Vec<Value>,
    size: u64,
    outside: String,
    store: usize,
    lean: bool,
    split: Vec<u8>,
    bodies: Vec<u8>,
    members: Vec<(String, Vec<u8>)>,
}

impl Metadata {
    fn new() -> Self {
        let mut split = Lines::new();
        split.raw(&END);
        Self {
            layers: Vec::new(),
            size: 1024,
            outside: sha256(&END),
            store: 0,
            lean: false,
            split: split.done(),
            bodies: Lines::new().done(),
            members: Vec::new(),
        }
    }

    /// A layer in `folder`.
    fn layer(&mut self, folder: usize, size: u64, diff_id: &str, compression: &str) {
        self.layers.push(json!({
            "diff_id": diff_id, "size": size, "folder": folder, "compression": compression,
            "blob": format!("sha256:{folder:064x}"), "blob_size": 50, "kept": false,
        }));
    }

    /// What describes the layers of `folder`.
    fn folder(&mut self, folder: usize, split: Vec<u8>, bodies: Vec<u8>) {
        let name = |stream: &str| format!("layers/{folder:03}/{stream}.json.gz");
        self.members.push((name("tar-split"), split));
        self.members.push((name("bodies"), bodies));
    }

    /// The layer that is an empty tar.
    fn empty_layer(&mut self) {
        self.layer(0, 1024, &sha256(&END), "none");
        let mut split = Lines::new();
        split.raw(&END);
        self.folder(0, split.done(), Lines::new().done());
    }

    fn written(&self) -> Vec<u8> {
        let description = json!({
            "schema": "imgtar/metadata/1", "created_by": "a test",
            "image": {"id": format!("sha256:{:064}", 0), "references": []},
            "archive": {
                "size": self.size, "compression": "none", "images": 1,
                "outside_sha256": self.outside.trim_start_matches("sha256:"),
            },
            "flat": {"as_container": null},
            "layers": self.layers,
            "bytes": {"size": self.store, "pack": PACK},
            "lean": self.lean,
        });
        let description = description.to_string();
        let mut entries = vec![
            Entry::file("imgtar-metadata.json", description.as_bytes()),
            Entry::file("archive/tar-split.json.gz", &self.split),
            Entry::file("archive/bodies.json.gz", &self.bodies),
        ];
        let others = self.members.iter();
        entries.extend(others.map(|(name, bytes)| Entry::file(name, bytes)));
        forge::layer(&entries)
    }

    /// An archive whose stream has `count` bodies of `size` bytes behind one header.
    fn claim_bodies(&mut self, count: u64, size: u64, sum: &str, place: impl Fn(u64) -> String) {
        let (mut split, mut bodies) = (Lines::new(), Lines::new());
        let head = header("x", 0);
        split.raw(&head);
        for n in 0..count {
            split.file("x", size);
            bodies.line(&body(n + 1, size, sum, &place(n)));
        }
        split.raw(&END);
        (self.split, self.bodies) = (split.done(), bodies.done());
        self.size = 512 + count * size + 1024;
        self.outside = sha256(&[&head[..], &END].concat());
    }

    /// `count` members of the store that hold zeros.
    fn zeros(&mut self, count: usize) {
        let zeros = zstd::encode_all(&*vec![0; PACK], 3).expect("memory");
        for n in 0..count {
            self.members
                .push((format!("bytes/{n:08}.zst"), zeros.clone()));
        }
        self.store = count * PACK;
    }

    /// Runs `rebuild` with a flat tar.
    fn rebuild(&self, flat: &[u8], more: &[&str]) -> Ended {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| shown(&directory.path().join(name));
        fs::write(path("flat"), flat).expect("room");
        fs::write(path("metadata"), self.written()).expect("room");
        let (flat, metadata, out) = (path("flat"), path("metadata"), path("out"));
        let mut arguments = vec!["rebuild", &flat, "--metadata", &metadata, "-o", &out];
        arguments.extend(more);
        let ended = measured::run(&arguments);
        ended.check();
        assert_eq!(ended.code == 0, Path::new(&out).exists(), "{}", ended.err);
        ended
    }
}

#[track_caller]
fn refused_by(limit: &str, ended: &Ended) {
    ended.exits(3);
    let words = [
        format!("the limit `{limit}` allows"),
        format!("--limit {limit}=VALUE"),
    ];
    assert!(words.iter().all(|words| ended.says(words)), "{}", ended.err);
}

/// A stream of a few kilobytes that expands to much white space, read again for each of a thousand layers.
#[test]
fn one_stream_for_a_thousand_layers() {
    let mut metadata = Metadata::new();
    let mut split = Lines::new();
    split.raw_padded(&END, 8_380_000);
    metadata.folder(0, split.done(), Lines::new().done());
    for _ in 0..1000 {
        metadata.layer(0, 1024, &sha256(&END), "none");
    }
    refused_by("expanded", &metadata.rebuild(&END, &[]));
}

/// Bodies that go round all members of the store: each was decoded again for each body.
#[test]
fn bodies_that_go_round_the_store() {
    let mut metadata = Metadata::new();
    metadata.empty_layer();
    metadata.zeros(64);
    metadata.claim_bodies(20_000, 128, &sha256(&[0; 128]), |n| {
        format!(",\"stored\":{}", n % 64 * PACK as u64)
    });
    metadata.rebuild(&END, &[]).exits(0);
}

/// Two gigabytes out of a store of zeros, however often it says the same.
#[test]
fn an_archive_out_of_nothing() {
    let mut metadata = Metadata::new();
    metadata.empty_layer();
    metadata.zeros(16);
    let size = 16 * PACK as u64;
    let sum = sha256(&vec![0; 16 * PACK]);
    metadata.claim_bodies(32, size, &sum, |_| ",\"stored\":0".to_owned());
    refused_by("expanded", &metadata.rebuild(&END, &[]));
    metadata.claim_bodies(2, size, &sum, |_| ",\"stored\":0".to_owned());
    metadata.rebuild(&END, &[]).exits(0);
    let more = ["--limit", "expanded=1MiB", "--limit", "ratio=1"];
    refused_by("expanded", &metadata.rebuild(&END, &more));
}

/// Nearly a million bodies that are one small member: all were held before the first was written.
#[test]
fn a_million_bodies() {
    let mut metadata = Metadata::new();
    metadata.empty_layer();
    let member = [b'm'; 128];
    metadata
        .members
        .push(("archive/0000-m".into(), member.into()));
    metadata.claim_bodies(scaled(800_000) as u64, 128, &sha256(&member), |_| {
        ",\"member\":\"archive/0000-m\"".to_owned()
    });
    metadata.rebuild(&END, &[]).exits(0);
}

/// Headers and lines that do not agree about what is lost: everything between was held in memory.
#[test]
fn an_entry_that_is_lost_elsewhere() {
    let mut metadata = Metadata::new();
    metadata.lean = true;
    let pieces = scaled(200);
    let big = (pieces << 20) as u64;
    let mut split = Lines::new();
    split.raw(&header("a", big));
    let piece = vec![0; 1 << 20];
    for _ in 0..pieces {
        split.raw(&piece);
    }
    split.raw(&header("b", 1));
    split.file("b", 1);
    let position = split.1 - 1;
    split.raw(&[&[0; 511][..], &END].concat());
    let mut bodies = Lines::new();
    bodies.line(&body(position, 1, &"0".repeat(64), ""));
    metadata.folder(0, split.done(), bodies.done());
    metadata.layer(0, 512 + big + 512 + 512 + 1024, &sha256(&END), "none");
    let flat = forge::layer(&[
        Entry::file("a", &vec![0; pieces << 20]),
        Entry::file("b", b"x"),
    ]);
    let ended = metadata.rebuild(&flat, &[]);
    ended.exits(3);
    assert!(
        ended.says("headers and lines disagree about the body at byte 512 of the layer"),
        "{}",
        ended.err
    );
}

/// Thousands of layers that are compressed again, and documents that might refer to them: a table of the
/// layers was made again for each document.
#[test]
fn many_layers_and_many_documents() {
    let mut metadata = Metadata::new();
    let mut split = Lines::new();
    split.raw(&END);
    let (split, none) = (split.done(), Lines::new().done());
    for (folder, compression) in ["gzip", "xz", "bzip2", "zstd"]
        .iter()
        .cycle()
        .enumerate()
        .take(400)
    {
        metadata.layer(folder, 1024, &sha256(&END), compression);
        metadata.folder(folder, split.clone(), none.clone());
    }
    let document = br#"{"schemaVersion":2}"#;
    let sum = sha256(document);
    metadata
        .members
        .push(("archive/0000-d".into(), document.to_vec()));
    let (mut split, mut bodies) = (Lines::new(), Lines::new());
    for n in 0..50_000 {
        split.raw(&header(&format!("d{n}"), document.len() as u64));
        let position = split.1;
        split.file("d", document.len() as u64);
        bodies.line(&body(
            position,
            document.len() as u64,
            &sum,
            ",\"member\":\"archive/0000-d\"",
        ));
        split.raw(&[0; 512][document.len()..]);
    }
    split.raw(&END);
    metadata.size = 50_000 * 1024 + 1024;
    (metadata.split, metadata.bodies) = (split.done(), bodies.done());
    metadata.rebuild(&END, &[]).exits(0);
}

/// Documents that refer to each other, each to the one before: all were gone through for each step.
#[test]
fn a_chain_of_documents() {
    let mut metadata = Metadata::new();
    metadata.layer(0, 1024, &sha256(&END), "gzip");
    let mut split = Lines::new();
    split.raw(&END);
    metadata.folder(0, split.done(), Lines::new().done());
    let (mut split, mut bodies) = (Lines::new(), Lines::new());
    let mut before = format!("sha256:{:064x}", 0);
    let mut size = 1024;
    for n in 0..20_000 {
        let document = format!("{{\"manifests\":[{{\"digest\":\"{before}\",\"size\":7}}]}}");
        before = sha256(document.as_bytes());
        let len = document.len() as u64;
        let name = format!("archive/{n:04}-d");
        split.raw(&header(&format!("d{n}"), len));
        let position = split.1;
        split.file("d", len);
        bodies.line(&body(
            position,
            len,
            &before,
            &format!(",\"member\":\"{name}\""),
        ));
        split.raw(&[0; 512][document.len()..]);
        metadata.members.push((name, document.into_bytes()));
        size += 1024;
    }
    split.raw(&END);
    metadata.size = size;
    (metadata.split, metadata.bodies) = (split.done(), bodies.done());
    metadata.rebuild(&END, &[]).exits(0);
}

/// A flat tar of long names: all were held.
#[test]
fn a_flat_tar_of_long_names() {
    let mut metadata = Metadata::new();
    metadata.empty_layer();
    let file = |n: usize, len: usize| {
        let mut file = Entry::file("w", b"");
        file.pax = vec![(
            "path".into(),
            format!("{n:06}{}", "n".repeat(len)).into_bytes(),
        )];
        file
    };
    let flat = forge::layer(&(0..60).map(|n| file(n, 1_000_000)).collect::<Vec<_>>());
    refused_by("path", &metadata.rebuild(&flat, &[]));
    let flat = forge::layer(
        &(0..scaled(20_000))
            .map(|n| file(n, 4000))
            .collect::<Vec<_>>(),
    );
    let ended = metadata.rebuild(&flat, &[]);
    ended.exits(3);
    assert!(ended.says("was added"), "{}", ended.err);
}

/// Entries that wait for the whiteouts of their layer, with attributes of a mebibyte each.
#[test]
fn entries_that_wait_with_large_attributes() {
    let mut metadata = Metadata::new();
    metadata.empty_layer();
    let mut entry = Entry::file("w", b"");
    let mut split = Lines::new();
    let mut size = 1024;
    for i in 0..200_u8 {
        // Attributes that are those of the entry before are held once.
        let value = vec![b'a' + i % 2; (1 << 20) - 64];
        entry.pax = vec![("SCHILY.xattr.user.a".into(), value)];
        let bytes = entry.bytes();
        size += bytes.len() as u64;
        for piece in bytes.chunks(1 << 20) {
            split.raw(piece);
        }
    }
    split.raw(&END);
    metadata.folder(1, split.done(), Lines::new().done());
    metadata.layer(1, size, &sha256(&END), "none");
    let more = ["--limit", "expanded=4GiB"];
    refused_by("attributes", &metadata.rebuild(&END, &more));
}

/// A description of many values: each takes thirty bytes of memory.
#[test]
fn a_description_of_many_values() {
    let mut description = String::from("{\"schema\":[");
    description.push_str(&"[],".repeat(6_000_000));
    description.push_str("[]]}");
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| shown(&directory.path().join(name));
    let metadata = forge::layer(&[Entry::file("imgtar-metadata.json", description.as_bytes())]);
    fs::write(path("metadata"), metadata).expect("room");
    fs::write(path("flat"), END).expect("room");
    let arguments = [
        "rebuild",
        &path("flat"),
        "--metadata",
        &path("metadata"),
        "-o",
        &path("out"),
    ];
    let ended = measured::run(&arguments);
    refused_by("json-values", ended.check());
}
