//! Small archives that ask for much: time, memory and room on disk stay within what the input gives
//! reason to, and what cannot be checked is not taken for right.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::forge::{Entry, layer};
use crate::support::packed::gzip;
use crate::support::{Work, answer, bytes, imgtar, sha256};

/// What would take hours is given this long, on a busy machine and without optimisation.
const PATIENCE: Duration = Duration::from_secs(60);

impl Work {
    /// An archive as Docker 1.10 to 24 save, of layers as they are given and a config with these diff IDs.
    fn archive(&self, config: &Value, layers: &[&[u8]]) -> String {
        let config = config.to_string();
        let names: Vec<String> = (0..layers.len())
            .map(|n| format!("{n}/layer.tar"))
            .collect();
        let manifest = json!([{"Config": "config.json", "RepoTags": ["a:1"], "Layers": names}]);
        let mut members: Vec<Entry> = names
            .iter()
            .zip(layers)
            .map(|(name, bytes)| Entry::file(name, bytes))
            .collect();
        members.push(Entry::file("config.json", config.as_bytes()));
        members.push(Entry::file(
            "manifest.json",
            manifest.to_string().as_bytes(),
        ));
        self.put("archive.tar", &layer(&members))
    }
}

fn config(diff_ids: &[String]) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

fn file(name: &str) -> Vec<u8> {
    layer(&[Entry::file(name, name.as_bytes())])
}

/// Every prefix of the path was kept once: 100 000 names took 80 GB.
#[test]
fn long_working_directories() {
    let work = Work::new();
    let layer = file("a");
    let mut config = config(&[sha256(&layer)]);
    config["config"]["WorkingDir"] = "/a".repeat(50_000).into();
    let archive = work.archive(&config, &[&layer]);
    let (flat, out) = (work.path("flat"), work.path("out"));
    let begun = Instant::now();
    imgtar(&["flatten", &archive, "-o", &flat]).succeeds();
    let committed = imgtar(&["commit", &archive, &flat, "-o", &out]).writes_an_image();
    assert!(committed.out().starts_with("sha256:"), "{committed}");
    assert_eq!(
        answer(&["layers", "--json", &out])["images"][0]["layers"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let refused = imgtar(&["flatten", &archive, "--as-container", "-f", "-o", &flat]).exits(3);
    assert!(
        refused
            .err()
            .contains("working directory has 100000 bytes, more than 4095"),
        "{refused}"
    );
    assert!(begun.elapsed() < PATIENCE);
}

/// One entry with a path of a mebibyte was half a million directories, whose paths came to 260 GB.
#[test]
fn long_paths() {
    let work = Work::new();
    let deep = |len: usize| {
        let mut name = "d/".repeat(len / 2);
        name.push_str(if len.is_multiple_of(2) { "" } else { "f" });
        name
    };
    let flat = work.path("flat");
    let of = |layer: &[u8]| {
        let archive = work.archive(&config(&[sha256(layer)]), &[layer]);
        imgtar(&["flatten", &archive, "-f", "-o", &flat])
    };
    of(&layer(&[long_file(&deep(4095))])).succeeds();
    let refused = of(&layer(&[long_file(&deep(4097))])).exits(3);
    let words = "the limit `path` allows 4095 bytes";
    assert!(refused.err().contains(words), "{refused}");
    // Symbolic links on the way do not make a path shorter.
    let mut link = Entry::new(b'2', b"s");
    link.pax = vec![("linkpath".into(), deep(4000).into_bytes())];
    let deep = long_file(&deep(4001));
    of(&layer(&[deep.clone(), link.clone(), long_file("s/f")])).exits(0);
    let refused = of(&layer(&[
        deep,
        link,
        long_file(&format!("s/{}", "e".repeat(200))),
    ]))
    .exits(3);
    assert!(refused.err().contains(words), "{refused}");
}

fn long_file(name: &str) -> Entry {
    let mut entry = Entry::new(b'0', b"long");
    entry.pax = vec![("path".into(), name.into())];
    entry
}

/// The whole history was taken apart and put together again for each of its steps.
#[test]
fn long_histories() {
    let work = Work::new();
    let (one, two) = (file("a"), file("b"));
    let mut config = config(&[sha256(&one), sha256(&two)]);
    config["history"] = vec![json!({"created_by": "x"}); 20_000].into();
    let archive = work.archive(&config, &[&one, &two]);
    let out = work.path("out");
    let begun = Instant::now();
    imgtar(&["squash", &archive, "-o", &out]).exits(0);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let inspected = answer(&["inspect", "--json", &out]);
    let history = inspected["images"][0]["history"].as_array().expect("steps");
    assert_eq!(history.len(), 20_001);
    // Newest first.
    let (newest, old) = history.split_first().expect("steps");
    assert!(old.iter().all(|step| step["empty_layer"] == true));
    assert_eq!(newest["empty_layer"], false);
}

/// Diff IDs by another algorithm than the one that is computed anyway were taken for right.
#[test]
fn diff_ids_by_sha512() {
    use sha2::{Digest as _, Sha512};

    let work = Work::new();
    let (one, two) = (file("a"), file("b"));
    let right = format!("sha512:{}", const_hex::encode(Sha512::digest(&two)));
    let wrong = format!("sha512:{}", "0".repeat(128));
    let unknown = format!("blake3:{}", "0".repeat(64));
    let out = work.path("out");
    for stored in [two.clone(), gzip(&two)] {
        for (id, code) in [(&right, 0), (&wrong, 3), (&unknown, 3)] {
            let archive = work.archive(&config(&[sha256(&one), id.clone()]), &[&one, &stored]);
            let args: [&[&str]; 5] = [
                &["flatten", &archive, "-f", "-o", &out],
                &["flatten", &archive, "-o", "-"],
                &["flatten", &archive, "-f", "-o", &out, "-j1"],
                &["squash", &archive, "-f", "-o", &out],
                &["squash", &archive, "--from", "1", "-f", "-o", &out],
            ];
            for args in args {
                let run = imgtar(args).exits(code);
                assert!(code == 0 || run.err().contains("layer 1"), "{run}");
            }
        }
    }
}

/// The bytes of an archive that is compressed as a whole are in a temporary file, whose room is given back
/// while the output is written: what is checked by SHA-512 was checked after that.
#[test]
fn diff_ids_by_sha512_in_a_compressed_archive() {
    use sha2::{Digest as _, Sha512};

    let work = Work::new();
    let large: Vec<u8> = (0..2_000_000_u32)
        .map(|i| (i % 251).to_le_bytes()[0])
        .collect();
    let layers = ["a", "b"].map(|name| layer(&[Entry::file(name, &large)]));
    let ids = [
        format!("sha512:{}", const_hex::encode(Sha512::digest(&layers[0]))),
        sha256(&layers[1]),
    ];
    let archive = work.archive(&config(&ids), &[&layers[0], &layers[1]]);
    let whole = work.path("whole.tar.gz");
    fs::write(&whole, gzip(&bytes(&archive))).expect("written");
    let out = work.path("out");
    let piped = imgtar(&["flatten", &archive, "-o", "-"]).exits(0).stdout;
    for archive in [&archive, &whole] {
        for jobs in ["-j1", "-j2", "-j3"] {
            imgtar(&["flatten", archive, "-f", "-o", &out, jobs]).exits(0);
            assert!(bytes(&out) == piped, "{archive} {jobs}");
        }
    }
}

/// Blobs of the same bytes in two places were written into the metadata twice, which `rebuild` refuses.
#[test]
fn one_blob_in_two_places() {
    let work = Work::new();
    let one = file("a");
    let stored = gzip(&one);
    let id = sha256(&one);
    let archive = work.archive(&config(&[id.clone(), id]), &[&stored, &stored]);
    let (flat, metadata, out) = (work.path("flat"), work.path("metadata"), work.path("out"));
    imgtar(&[
        "flatten",
        &archive,
        "-o",
        &flat,
        "--metadata",
        &metadata,
        "--keep-blobs",
    ])
    .succeeds();
    imgtar(&["rebuild", &flat, "--metadata", &metadata, "-o", &out]).succeeds();
    assert_eq!(bytes(&out), bytes(&archive));
}
