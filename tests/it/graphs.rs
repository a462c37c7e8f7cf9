//! Commands that carry images from archive to archive, on indexes that are hostile, or only odd.
//!
//! Each archive is made here, document by document. A run may take what `tests/it/hostile.rs` allows a run.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::forge::{self, Entry};
use crate::support::measured::{self, Ended};
use crate::support::{Work, bytes, imgtar, in_turn, items, scaled, sha256, text};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An OCI image layout that is put together.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Adds a blob; its descriptor.
    fn put(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = sha256(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.0.insert(blob(&digest), bytes);
        descriptor
    }

    fn document(&mut self, media_type: &str, document: &Value) -> Value {
        self.put(media_type, document.to_string().into_bytes())
    }

    /// An image whose one layer has one file; its manifest says `more`.
    fn image(&mut self, content: &str, more: &str) -> Value {
        let layer = forge::layer(&[Entry::file("f", content.as_bytes())]);
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [sha256(&layer)]},
        });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": self.document(CONFIG, &config),
            "layers": [self.put(LAYER, layer)],
            "annotations": {"more": more},
        });
        self.document(MANIFEST, &manifest)
    }

    /// Something that is not an image, about `subject`; its blob is not in the archive.
    fn artifact(&mut self, subject: &Value, more: &str) -> Value {
        let absent = json!({
            "mediaType": "text/plain", "digest": sha256(more.as_bytes()), "size": 9,
        });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x-test",
            "config": self.put("application/vnd.oci.empty.v1+json", b"{}".to_vec()),
            "layers": [absent], "subject": subject,
            "annotations": {"more": more},
        });
        self.document(MANIFEST, &manifest)
    }

    fn index(&mut self, manifests: &[Value]) -> Value {
        self.document(INDEX, &index(manifests))
    }

    /// The archive, whose `index.json` lists these.
    fn archive(&self, work: &Work, listed: &[Value]) -> String {
        let mut entries: Vec<Entry> = self
            .0
            .iter()
            .map(|(name, b)| Entry::file(name, b))
            .collect();
        let text = index(listed).to_string();
        entries.push(Entry::file("index.json", text.as_bytes()));
        let version = br#"{"imageLayoutVersion":"1.0.0"}"#;
        entries.push(Entry::file("oci-layout", version));
        work.put("graph.tar", &forge::layer(&entries))
    }
}

/// Where a blob is.
fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"io.containerd.image.name": format!("docker.io/{name}")});
    descriptor
}

/// Every command that carries images, on one archive.
fn carry(archive: &str) -> Vec<Ended> {
    let commands: [&[&str]; 9] = [
        &["convert", archive, "--layout", "oci"],
        &["convert", archive, "--layout", "docker-legacy"],
        &["select", archive, "--present"],
        &["select", archive, "@0"],
        &["merge", archive, archive, "--layout", "oci"],
        &["tag", archive, "@0", "other:1"],
        &["config", archive, "@0", "-c", "USER other"],
        &["config", archive, "-c", "USER other"],
        &["thin", archive, "--base", archive],
    ];
    let run = |command: &[&str]| measured::run(&[command, &["-o", "/dev/null"]].concat());
    let ended: Vec<Ended> = commands.into_iter().map(run).collect();
    for one in &ended {
        one.check();
    }
    ended
}

#[track_caller]
fn all_exit(ended: &[Ended], code: i32, words: &str) {
    for one in ended {
        one.exits(code);
        assert!(one.says(words), "{}: {}", one.what, one.err);
    }
}

/// An index below two others is below both of them in what is written, too.
#[test]
fn an_index_that_is_listed_again_is_there_again() {
    let work = Work::new();
    let mut blobs = Blobs::default();
    let (one, two) = (blobs.image("one", ""), blobs.image("two", ""));
    let inner = blobs.index(std::slice::from_ref(&one));
    let first = blobs.index(&[inner.clone(), two.clone()]);
    let second = blobs.index(&[two, inner.clone()]);
    let listed = [
        named(first, "first:1"),
        named(second, "second:1"),
        named(inner, "inner:1"),
    ];
    let archive = blobs.archive(&work, &listed);
    let to = work.path("to.tar");
    // Nothing is absent, so nothing is dropped.
    imgtar(&["select", &archive, "--present", "-f", "-o", &to]).exits(0);
    let digests = |path: &str| {
        let index: Value =
            serde_json::from_slice(&crate::support::member(path, "index.json")).expect("JSON");
        let digest = |item: &Value| text(&item["digest"]).to_owned();
        items(&index["manifests"])
            .iter()
            .map(digest)
            .collect::<Vec<_>>()
    };
    assert_eq!(digests(&to), digests(&archive));
    // The second one lists the inner one still when it lists less.
    let run = imgtar(&["images", &archive, "-q", "--no-trunc"]).exits(0);
    let ids: Vec<&str> = run.out().lines().collect();
    let id = ids.first().expect("an image");
    imgtar(&["select", &archive, id, "-f", "-o", &to]).exits(0);
    let images = imgtar(&["images", &to, "--json"]).exits(0).json();
    let mut names: Vec<&str> = items(&images["images"])
        .iter()
        .flat_map(|image| items(&image["references"]))
        .map(text)
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["first:1", "inner:1", "second:1"]);
    imgtar(&["verify", "-q", &to]).exits(0);
    assert!(bytes(&to).len() < bytes(&archive).len());
}

#[test]
fn nested_indexes_are_counted_each_time_they_are_listed() {
    let nested = |depth: usize, times: usize| {
        let work = Work::new();
        let mut blobs = Blobs::default();
        let mut below = blobs.image("deep", "");
        for _ in 0..depth {
            below = blobs.index(&vec![below; times]);
        }
        carry(&blobs.archive(&work, &[named(below, "deep:1")]))
    };
    for one in nested(7, 1) {
        one.exits(0);
    }
    all_exit(&nested(9, 1), 3, "index-depth");
    // 3 to the power of 7 entries, and 12 to that.
    for one in nested(7, 3) {
        one.exits(0);
    }
    all_exit(&nested(7, 12), 3, "--limit descriptors=");
}

/// No digest allows that, so one of the documents is not what its digest says.
#[test]
fn indexes_that_list_themselves_or_one_another_end() {
    for circle in [1, 2] {
        let work = Work::new();
        let mut blobs = Blobs::default();
        let image = blobs.image("circle", "");
        let digest = |n: usize| sha256(&n.to_le_bytes());
        let descriptor = |n: usize| json!({"mediaType": INDEX, "digest": digest(n), "size": 700});
        for n in 0..circle {
            let listed = index(&[image.clone(), descriptor((n + 1) % circle)]);
            blobs
                .0
                .insert(blob(&digest(n)), listed.to_string().into_bytes());
        }
        let archive = blobs.archive(&work, &[named(descriptor(0), "circle:1")]);
        all_exit(&carry(&archive), 3, "does not match its digest");
    }
}

#[test]
fn many_descriptors_of_one_thing() {
    let number = scaled(12_000);
    let work = Work::new();
    let mut blobs = Blobs::default();
    let image = blobs.image("one", "");
    let artifact = blobs.artifact(&image, &"x".repeat(1 << 20));
    let absent = json!({"mediaType": MANIFEST, "digest": sha256(b"absent"), "size": 9});
    for (turn, again) in [&artifact, &image, &absent].into_iter().enumerate() {
        if !in_turn(turn) {
            continue;
        }
        let mut listed = vec![again.clone(); number];
        listed.push(image.clone());
        let inner = blobs.index(&listed);
        let archive = blobs.archive(&work, &[named(inner, "many:1")]);
        for one in carry(&archive) {
            one.exits(0);
        }
        let archive = blobs.archive(&work, &listed);
        for one in carry(&archive) {
            one.exits(0);
        }
    }
}

#[test]
fn many_different_descriptors() {
    let number = scaled(7_500);
    let work = Work::new();
    let blobs = || {
        let mut blobs = Blobs::default();
        let image = blobs.image("one", "");
        (blobs, image)
    };
    // What is absent.
    let (with_absent, image) = blobs();
    let absent =
        |n: usize| json!({"mediaType": MANIFEST, "digest": sha256(&n.to_le_bytes()), "size": 9});
    let mut listed: Vec<Value> = (0..number).map(absent).collect();
    listed.push(image);
    carry(&with_absent.archive(&work, &listed));
    // Artifacts that lack their blobs.
    let (mut with_artifacts, image) = blobs();
    let mut listed = vec![image.clone()];
    listed.extend((0..number / 10).map(|n| with_artifacts.artifact(&image, &n.to_string())));
    for one in carry(&with_artifacts.archive(&work, &listed)) {
        one.exits(0);
    }
    // Names.
    let (with_names, image) = blobs();
    let names = (0..number).map(|n| named(image.clone(), &format!("library/name-{n}:1")));
    let listed: Vec<Value> = names.collect();
    for one in carry(&with_names.archive(&work, &listed)) {
        one.exits(0);
    }
}

#[test]
fn many_images() {
    let work = Work::new();
    let mut blobs = Blobs::default();
    let listed: Vec<Value> = (0..scaled(1_000))
        .map(|n| named(blobs.image("one", &n.to_string()), &format!("many:{n}")))
        .collect();
    for one in carry(&blobs.archive(&work, &listed)) {
        if !one.what.starts_with("config") {
            one.exits(0);
        }
    }
}

#[test]
fn huge_manifests() {
    let work = Work::new();
    let mut blobs = Blobs::default();
    let more = "x".repeat(scaled(2 << 20));
    let listed: Vec<Value> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| blobs.image(name, &more))
        .collect();
    let archive = blobs.archive(&work, &listed);
    carry(&archive);
    fs::remove_file(&archive).expect("the file is there");
}
