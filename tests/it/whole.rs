//! An archive is whole or an error, the same one for every command; nothing that could not be examined
//! counts as absent; and what readers disagree about is told by every command.

use crate::support::forge;
use std::fs;
use std::path::Path;

use crate::support::forge::{Entry, Form};
use crate::support::{Docker, Run, Work, imgtar, items, number, packed, sha256, text};
use imgtar::archive::{ArchiveError, Contents, Ending, LookupError};
use imgtar::image::LoadError;
use imgtar::{Error, Options};
use serde_json::{Value, json};

// --- archives -------------------------------------------------------------------------------------

/// A layer of one file.
fn layer(content: &str) -> Vec<u8> {
    forge::layer(&[Entry::file("file", content.as_bytes())])
}

fn config(layers: &[&[u8]]) -> String {
    let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(layer)).collect();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    json!({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs}).to_string()
}

fn manifest(config: &str, tags: &[&str], layers: &[&str]) -> String {
    json!([{"Config": config, "RepoTags": tags, "Layers": layers}]).to_string()
}

fn file(name: &str, body: impl AsRef<[u8]>) -> Entry {
    Entry::file(name, body.as_ref())
}

fn link(kind: u8, name: &str, target: &str) -> Entry {
    let mut entry = Entry::new(kind, name.as_bytes());
    entry.link = target.as_bytes().to_vec();
    entry
}

impl Work {
    /// Runs every command that reads an archive on `archive`; the last word of a command is its output.
    fn every_command(&self, archive: &str) -> Vec<Run> {
        let flat = self.put("flat.tar", &forge::layer(&[Entry::file("new", b"new")]));
        let output = |name: &str| {
            let path = self.path(name);
            drop(fs::remove_file(&path));
            path
        };
        let metadata = self.path("metadata");
        drop(fs::remove_file(&metadata));
        vec![
            imgtar(&["images", archive]),
            imgtar(&["images", "--json", archive]),
            imgtar(&["inspect", archive]),
            imgtar(&["layers", archive]),
            imgtar(&["history", archive]),
            imgtar(&["tree", archive]),
            imgtar(&["ls", archive]),
            imgtar(&["cat", archive, "file"]),
            imgtar(&[
                "flatten",
                archive,
                "-o",
                &output("flattened.tar"),
                "--metadata",
                &metadata,
            ]),
            imgtar(&[
                "flatten",
                "--no-verify",
                archive,
                "-o",
                &output("unverified.tar"),
            ]),
            imgtar(&["squash", archive, "-o", &output("squashed.tar")]),
            imgtar(&["commit", archive, &flat, "-o", &output("committed.tar")]),
        ]
    }
}

/// The errors that `verify` reports of one archive.
fn errors(run: &Run) -> Vec<Value> {
    let answer = run.json();
    let problems = items(&answer["archives"][0]["problems"]);
    let errors = problems.iter().filter(|p| p["severity"] == "error");
    errors.cloned().collect()
}

fn codes(errors: &[Value]) -> Vec<&str> {
    errors.iter().map(|error| text(&error["code"])).collect()
}

// --- cut archives ---------------------------------------------------------------------------------

/// Where an archive is cut, and what is to be said.
struct Cut {
    len: usize,
    /// The byte that every command names.
    place: usize,
    says: &'static str,
}

/// Cuts of every kind before the last member that matters: in the first header, in a header, in a body
/// and between two members.
fn cuts(archive: &[u8]) -> Vec<Cut> {
    let at = |n: u64| usize::try_from(n).expect("a small archive");
    let mut cuts = vec![Cut {
        len: 300,
        place: 0,
        says: "the tar ends inside a header",
    }];
    let mut members = Vec::new();
    for entry in tar::Archive::new(archive).entries().expect("a tar") {
        let entry = entry.expect("an entry");
        let body = at(entry.raw_file_position());
        members.push((at(entry.raw_header_position()), body, at(entry.size())));
    }
    for &(header, body, len) in members.iter().skip(1) {
        cuts.push(Cut {
            len: header,
            place: header,
            says: "without the two blocks of zeros that end a tar",
        });
        cuts.push(Cut {
            len: header + 100,
            place: header,
            says: "the tar ends inside a header",
        });
        if len > 1 {
            cuts.push(Cut {
                len: body + len / 2,
                place: body,
                says: "the tar ends inside a body",
            });
        }
    }
    cuts
}

/// One cause, one error: whatever is missing because an archive is cut, every command says that it is
/// cut, where, and what was met there; and nothing else.
#[test]
fn a_cut_archive_is_one_error_for_every_command() {
    let place = Work::new();
    let layers = [layer("one"), layer("two")];
    let (one, two) = (&layers[0], &layers[1]);
    let config = config(&[one, two]);
    let description = manifest("c.json", &["cut:1"], &["one.tar", "two.tar"]);
    // As bazel, crane and others write it, and with the description first.
    let last = forge::layer(&[
        file("one.tar", one),
        file("two.tar", two),
        file("c.json", &config),
        file("manifest.json", &description),
    ]);
    let first = forge::layer(&[
        file("manifest.json", &description),
        file("c.json", &config),
        file("one.tar", one),
        file("two.tar", two),
    ]);
    let archives = [
        ("last", last),
        ("first", first),
        ("hybrid", forge::archive(&layers, Form::Hybrid)),
        ("legacy", forge::archive(&layers, Form::Legacy)),
        ("layout", forge::archive(&layers, Form::Oci)),
    ];
    let mut count = 0;
    for (name, whole) in &archives {
        imgtar(&["verify", &place.put("whole.tar", whole)]).exits(0);
        for cut in cuts(whole) {
            let path = place.put(&format!("{name}.tar"), &whole[..cut.len]);
            let run = imgtar(&["verify", "--json", &path]);
            // Where an image can be read without what is lost, nothing tells that there was more.
            if run.code == 0 {
                let problems = run.json()["archives"][0]["problems"].clone();
                assert_eq!(codes(items(&problems)), ["end-missing"], "{run}");
                imgtar(&["flatten", &path, "-o", &place.path("flat"), "--force"]).exits(0);
                continue;
            }
            count += 1;
            let run = run.exits(1);
            let found = errors(&run);
            assert_eq!(codes(&found), ["archive-truncated"], "{run}");
            assert_eq!(number(&found[0]["offset"]), cut.place as u64, "{run}");
            assert!(text(&found[0]["message"]).contains(cut.says), "{run}");
            assert!(!run.out().contains("member-unreferenced"), "{run}");
            // All of them on a few cuts, two on each.
            let runs = if count % 6 == 0 || cut.len == 300 {
                place.every_command(&path)
            } else {
                let output = place.path("flat");
                vec![
                    imgtar(&["images", &path]),
                    imgtar(&["flatten", &path, "-o", &output]),
                ]
            };
            for run in runs {
                let run = run.exits(3);
                assert!(run.stdout.is_empty(), "{run}");
                assert_eq!(run.err().matches("error: ").count(), 1, "{run}");
                assert!(!run.err().contains("warning: "), "{run}");
                assert!(run.err().contains("is cut short"), "{run}");
                assert!(run.err().contains(cut.says), "{run}");
                let byte = format!("at byte {}: ", cut.place);
                assert!(run.err().contains(&byte), "{byte}: {run}");
                assert!(run.err().contains("hint: "), "{run}");
            }
        }
    }
    assert!(count > 60, "{count}");
}

/// The same where the file around the archive is cut: the byte is that of the file.
#[test]
fn cut_compressed_data_is_one_error_for_every_command() {
    let place = Work::new();
    let whole = forge::archive(&[layer("one")], Form::Hybrid);
    let packed = [
        ("gzip", packed::gzip(&whole)),
        ("zstd", packed::zstd(&whole)),
    ];
    for (name, bytes) in packed {
        for len in [40, bytes.len() / 2, bytes.len() - 1] {
            let path = place.put("cut", &bytes[..len]);
            let mut runs = place.every_command(&path);
            runs.push(imgtar(&["verify", &path]));
            for run in runs {
                let run = run.exits(3);
                let says = format!(
                    "the {name} data around {path} is cut short: the file ends at byte {len}"
                );
                assert_eq!(run.err().matches("error: ").count(), 1, "{run}");
                assert!(run.err().contains(&says), "{says}: {run}");
            }
        }
    }
}

/// A header that is damaged is told with its place too, and not called a cut.
#[test]
fn a_damaged_header_is_told_as_one() {
    let place = Work::new();
    let mut bytes = forge::archive(&[layer("one"), layer("two")], Form::Hybrid);
    let third = tar::Archive::new(bytes.as_slice())
        .entries()
        .expect("a tar")
        .nth(2)
        .expect("a third member")
        .expect("a header")
        .raw_header_position();
    bytes[usize::try_from(third).expect("small")] ^= 1;
    let path = place.put("damaged.tar", &bytes);
    for run in place.every_command(&path) {
        let run = run.exits(3);
        assert!(
            run.err().contains("is damaged after its member no. 2"),
            "{run}"
        );
        assert!(run.err().contains(&format!("at byte {third}: ")), "{run}");
    }
    let run = imgtar(&["verify", "--json", &path]).exits(1);
    assert_eq!(codes(&errors(&run)), ["archive-truncated"]);
}

/// Opening gives a whole archive or an error, each time it is asked; what is left of a damaged one is
/// another type, and in it nothing is absent that may have been lost.
#[test]
fn opening_gives_a_whole_archive_or_an_error() {
    let place = Work::new();
    let whole = forge::archive(&[layer("one")], Form::Hybrid);
    let path = place.put("cut.tar", &whole[..whole.len() / 2]);
    for _ in 0..2 {
        let error = imgtar::open(Path::new(&path), &Options::default()).expect_err("it is cut");
        assert!(
            matches!(error, Error::Archive(ArchiveError::Damaged { .. })),
            "{error:?}"
        );
    }
    let left = || -> Contents {
        imgtar::open_damaged(Path::new(&path), &Options::default()).expect("something is left")
    };
    let contents = left();
    assert!(matches!(contents.ending(), Ending::Damaged(_)));
    let missing = contents.find(b"manifest.json");
    assert!(
        matches!(missing, Err(LookupError::Lost { .. })),
        "{missing:?}"
    );
    for _ in 0..2 {
        let error = contents.images().expect_err("no description is left");
        let damaged = matches!(error, LoadError::Archive(ArchiveError::Damaged { .. }));
        assert!(damaged, "{error:?}");
    }
    contents.whole().expect_err("it is as cut as before");
    let path = place.put("whole.tar", &whole);
    let contents = imgtar::open_damaged(Path::new(&path), &Options::default());
    let archive = contents.expect("an archive").whole().expect("a whole one");
    assert!(matches!(archive.ending(), Ending::Marked(_)));
    assert!(matches!(
        archive.find(b"x"),
        Err(LookupError::Absent { .. })
    ));
}

/// A root file system or a layer without its end is still what it is; a tar of images is cut.
#[test]
fn a_root_file_system_without_an_end_is_not_called_a_cut_archive() {
    let place = Work::new();
    let entries = ["bin/sh", "etc/passwd", "usr/bin/env"].map(|name| file(name, "x"));
    let bytes: Vec<u8> = entries.iter().flat_map(Entry::bytes).collect();
    let run = imgtar(&["images", &place.put("rootfs.tar", &bytes)]).exits(3);
    assert!(run.err().contains("root file system"), "{run}");
}

// --- what is there and cannot be read ---------------------------------------------------------------

/// A description that is a loop of links, or no file, is told as that and not as absent.
#[test]
fn what_cannot_be_read_is_not_called_absent() {
    let place = Work::new();
    let layer = layer("one");
    let config = config(&[&layer]);
    let blob = |bytes: &[u8]| format!("blobs/{}", sha256(bytes).replace(':', "/"));
    let descriptor = |kind: &str, bytes: &[u8]| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": sha256(bytes),
            "size": bytes.len(),
        })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "config": descriptor("config.v1+json", config.as_bytes()),
        "layers": [descriptor("layer.v1.tar", &layer)],
    })
    .to_string();
    let index = json!({
        "schemaVersion": 2,
        "manifests": [descriptor("manifest.v1+json", manifest.as_bytes())],
    })
    .to_string();
    let names = [
        "oci-layout".to_owned(),
        "index.json".to_owned(),
        blob(manifest.as_bytes()),
        blob(config.as_bytes()),
        blob(&layer),
    ];
    let bodies: [&[u8]; 5] = [
        br#"{"imageLayoutVersion":"1.0.0"}"#,
        index.as_bytes(),
        manifest.as_bytes(),
        config.as_bytes(),
        &layer,
    ];
    let whole: Vec<Entry> = names
        .iter()
        .zip(bodies)
        .map(|(name, body)| file(name, body))
        .collect();
    imgtar(&["verify", &place.put("whole.tar", &forge::layer(&whole))]).succeeds();
    for (i, name) in names.iter().enumerate() {
        let base = name.rsplit('/').next().expect("a name");
        let odd = [
            (link(b'2', name, base), "leads through more than 255 links"),
            (Entry::new(b'5', name.as_bytes()), "is not a regular file"),
            (Entry::new(b'6', name.as_bytes()), "is not a regular file"),
        ];
        for (entry, why) in odd {
            // A directory is not a description at all, where it has the name of one.
            if name == "index.json" && entry.typeflag == b'5' {
                continue;
            }
            let mut entries = whole.clone();
            entries[i] = entry;
            let run = imgtar(&["verify", &place.put("odd.tar", &forge::layer(&entries))]);
            let told = format!("{}{}", run.out(), run.err());
            assert!(told.contains(why), "{name}, {why}: {run}");
            for absent in ["does not hold", "has none", "not in the archive"] {
                assert!(!told.contains(absent), "{name}, {why}: {run}");
            }
        }
    }
}

/// JSON with a byte order mark or in UTF-16 is told as that, with what to do, wherever it stands.
#[test]
fn json_in_another_encoding_is_told_as_that() {
    let place = Work::new();
    let layer = layer("one");
    let hybrid = forge::archive(&[layer], Form::Hybrid);
    let mut entries: Vec<Entry> = Vec::new();
    for entry in tar::Archive::new(hybrid.as_slice())
        .entries()
        .expect("a tar")
    {
        use std::io::Read as _;
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("a name");
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        if entry.header().entry_type().is_file() {
            entries.push(file(&name, &body));
        }
    }
    let config = entries
        .iter()
        .position(|entry| entry.body.starts_with(b"{\"architecture\""));
    let config =
        String::from_utf8(entries[config.expect("a config")].name.clone()).expect("a name");
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        mark.into_iter()
            .chain(text.encode_utf16())
            .flat_map(bytes)
            .collect()
    };
    for name in [
        "manifest.json",
        "index.json",
        "oci-layout",
        "repositories",
        &config,
    ] {
        let alone = name == "repositories";
        if alone {
            entries.push(file(name, "{}"));
        }
        let i = entries
            .iter()
            .position(|entry| entry.name == name.as_bytes())
            .expect("it is there");
        let plain = String::from_utf8(entries[i].body.clone()).expect("text");
        let table = [
            ([b"\xef\xbb\xbf", plain.as_bytes()].concat(), "BOM"),
            (
                utf16(&plain, u16::to_le_bytes, true),
                "UTF-16 (little-endian)",
            ),
            (utf16(&plain, u16::to_be_bytes, true), "UTF-16 (big-endian)"),
            (
                utf16(&plain, u16::to_le_bytes, false),
                "UTF-16 (little-endian)",
            ),
        ];
        for (body, says) in table {
            entries[i].body = body;
            let path = place.put("encoded.tar", &forge::layer(&entries));
            let run = imgtar(&["verify", &path]);
            assert!(run.out().contains(says), "{name}: {run}");
            assert!(
                run.out().contains("save it as UTF-8 without BOM"),
                "{name}: {run}"
            );
            if name == config {
                // It is read, only not understood.
                assert!(!run.out().contains("member-unreferenced"), "{run}");
            }
        }
        entries[i].body = plain.into_bytes();
        if alone {
            entries.pop();
        }
    }
    let alone = [file("manifest.json", b"\xef\xbb\xbf[]")];
    let path = place.put("alone.tar", &forge::layer(&alone));
    let run = imgtar(&["images", &path]).exits(3);
    assert!(run.err().contains("byte order mark"), "{run}");
}

// --- names ----------------------------------------------------------------------------------------

/// A name without a tag is a repository; measured with Docker 20.10, 26.1 (both stores) and podman 5.4.
#[test]
fn a_name_without_a_tag_is_shown_as_a_repository() {
    let place = Work::new();
    let layer = layer("one");
    let config = config(&[&layer]);
    let archive = |tags: &[&str]| {
        forge::layer(&[
            file("l.tar", &layer),
            file("c.json", &config),
            file("manifest.json", manifest("c.json", tags, &["l.tar"])),
        ])
    };
    for name in ["img1", "team/img1", "registry.example.com:5000/img1"] {
        let path = place.put("untagged.tar", &archive(&[name]));
        let run = imgtar(&["images", &path]).exits(0);
        let row = run.out().lines().nth(1).expect("an image").to_owned();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[..2], [name, "<none>"], "{run}");
        assert!(run.err().contains("has no tag"), "{run}");
        for wanted in [name.to_owned(), format!("{name}:latest")] {
            imgtar(&["history", &path, &wanted]).exits(0);
        }
        let run = imgtar(&["verify", "--json", &path]).exits(1);
        assert_eq!(codes(&errors(&run)), ["reference-invalid"]);
        let answer = run.json();
        let classic = loader(&answer, "docker", "classic");
        assert_eq!(classic["reason"], format!("invalid tag \"{name}\""));
        assert_eq!(loader(&answer, "docker", "containerd")["verdict"], "loads");
        assert_eq!(loader(&answer, "podman", "overlay")["verdict"], "refuses");
        // What is written has the name that containerd gives it.
        let squashed = place.path("squashed.tar");
        imgtar(&["squash", &path, "-o", &squashed, "--force"]).exits(0);
        let answer = imgtar(&["images", "--json", &squashed]).succeeds().json();
        assert_eq!(
            answer["images"][0]["references"],
            json!([format!("{name}:latest")])
        );
    }
    let run = imgtar(&["images", &place.put("odd.tar", &archive(&["a b"]))]).exits(0);
    assert!(
        run.out()
            .lines()
            .nth(1)
            .expect("an image")
            .starts_with("a b  "),
        "{run}"
    );
}

// --- members of one name ----------------------------------------------------------------------------

/// A hard link is another name of the member before it, as tar has it. Measured: Docker 20.10 and 26.1
/// load the first of these and refuse the second; containerd and podman read no hard links.
fn linked_to_a_name_that_comes_twice(of_first: bool, nonce: &str) -> (Vec<u8>, String) {
    let (one, two) = (
        layer(&format!("one {nonce}")),
        layer(&format!("number two {nonce}")),
    );
    let config = config(&[if of_first { &one } else { &two }]);
    let archive = forge::layer(&[
        file("l.tar", &one),
        link(b'1', "m.tar", "l.tar"),
        link(b'1', "n.tar", "m.tar"),
        file("l.tar", &two),
        file("c.json", &config),
        file(
            "manifest.json",
            manifest("c.json", &["imgtar-test/twice:1"], &["n.tar"]),
        ),
    ]);
    (archive, sha256(config.as_bytes()))
}

/// What `verify` predicts of an engine's oldest version.
fn loader<'a>(answer: &'a Value, engine: &str, store: &str) -> &'a Value {
    let loaders = answer["archives"][0]["loaders"]
        .as_array()
        .expect("engines");
    let mut of_engine = loaders
        .iter()
        .filter(|loader| loader["engine"] == engine && loader["store"] == store);
    of_engine.next().expect("the engine is asked")
}

#[test]
fn a_hard_link_is_one_to_the_member_before_it() {
    let place = Work::new();
    let (archive, _) = linked_to_a_name_that_comes_twice(true, "");
    let path = place.put("first.tar", &archive);
    let run = imgtar(&["verify", "--json", &path]).exits(1);
    assert_eq!(codes(&errors(&run)), ["member-duplicate"]);
    let answer = run.json();
    assert_eq!(answer["archives"][0]["images"][0]["layers"][0]["ok"], true);
    assert_eq!(loader(&answer, "docker", "classic")["verdict"], "loads");
    let run = imgtar(&["cat", &path, "file"]).exits(0);
    assert_eq!(run.out(), "one ");
    let (archive, _) = linked_to_a_name_that_comes_twice(false, "");
    let path = place.put("second.tar", &archive);
    let run = imgtar(&["verify", "--json", &path]).exits(1);
    assert!(codes(&errors(&run)).contains(&"diff-id-mismatch"), "{run}");
    let answer = run.json();
    assert_eq!(loader(&answer, "docker", "classic")["verdict"], "refuses");
    // A member behind it is no target: every engine refuses that.
    let one = layer("one");
    let archive = forge::layer(&[
        link(b'1', "m.tar", "l.tar"),
        file("l.tar", &one),
        file("c.json", config(&[&one])),
        file("manifest.json", manifest("c.json", &["a:1"], &["m.tar"])),
    ]);
    let path = place.put("behind.tar", &archive);
    let run = imgtar(&["verify", "--json", &path]).exits(1);
    let found = errors(&run);
    assert_eq!(codes(&found), ["member-missing"]);
    assert!(
        text(&found[0]["message"]).contains("is a link to `l.tar`"),
        "{run}"
    );
}

/// What Docker makes of the same archives.
#[test]
fn docker_reads_hard_links_as_imgtar_does() {
    let place = Work::new();
    for docker in Docker::classic() {
        for of_first in [true, false] {
            // A layer that Docker has is not read again.
            let nonce = format!("{} {of_first}", std::process::id());
            let (archive, id) = linked_to_a_name_that_comes_twice(of_first, &nonce);
            let path = place.put("linked.tar", &archive);
            let mut load = docker.command(&["load", "-q"]);
            load.stdin(fs::File::open(&path).expect("the archive"));
            let loaded = load.output().expect("Docker starts").status.success();
            docker.try_run(&["rmi", "-f", &id]);
            assert_eq!(loaded, of_first);
        }
    }
}

/// Every command says that a member is there twice, with the words of `verify`; of two descriptions
/// nothing new is written.
#[test]
fn members_of_one_name_are_told_by_every_command() {
    let place = Work::new();
    let (one, two) = (layer("one"), layer("number two"));
    let (first, second) = (config(&[&one]), config(&[&two]));
    let named = |config: &str, layer: &str| manifest(config, &["twice:1"], &[layer]);
    let of_manifest = [
        file("a.tar", &one),
        file("b.tar", &two),
        file("a.json", &first),
        file("b.json", &second),
        file("manifest.json", named("a.json", "a.tar")),
        file("manifest.json", named("b.json", "b.tar")),
    ];
    let of_config = [
        file("b.tar", &two),
        file("b.json", &first),
        file("b.json", &second),
        file("manifest.json", named("b.json", "b.tar")),
    ];
    let of_layer = [
        file("b.tar", &one),
        file("b.json", &second),
        file("manifest.json", named("b.json", "b.tar")),
        file("b.tar", &two),
    ];
    let of_directory = [
        Entry::new(b'5', b"b.tar"),
        file("b.tar", &two),
        file("b.json", &second),
        file("manifest.json", named("b.json", "b.tar")),
    ];
    let table: [(&str, &[Entry], bool); 4] = [
        ("manifest.json", &of_manifest, true),
        ("b.json", &of_config, true),
        ("b.tar", &of_layer, false),
        ("b.tar", &of_directory, false),
    ];
    for (name, entries, is_description) in table {
        let path = place.put("twice.tar", &forge::layer(entries));
        let run = imgtar(&["verify", "--json", &path]).exits(1);
        let found = errors(&run);
        assert_eq!(codes(&found), ["member-duplicate"], "{run}");
        let message = text(&found[0]["message"]).to_owned();
        assert!(message.contains(name), "{message}");
        for run in place.every_command(&path) {
            let writes = ["flatten", "squash", "commit"]
                .iter()
                .any(|w| run.command.contains(w));
            let checks = !run.command.contains("--no-verify");
            let code = if writes && checks && is_description {
                3
            } else {
                0
            };
            let run = run.exits(code);
            let told = format!("{}{}", run.out(), run.err());
            assert!(told.contains("member-duplicate"), "{run}");
            assert!(told.contains(&message), "{run}");
        }
        assert!(!is_description || !Path::new(&place.path("squashed.tar")).exists());
    }
    // The same bytes twice are no problem for anybody.
    let same = [
        file("b.tar", &two),
        file("b.json", &second),
        file("b.json", &second),
        file("manifest.json", named("b.json", "b.tar")),
    ];
    let path = place.put("same.tar", &forge::layer(&same));
    imgtar(&["verify", &path]).exits(0);
    for run in place.every_command(&path) {
        run.exits(0);
    }
}

/// A manifest or a config that is a hard link is read by every command alike.
#[test]
fn descriptions_that_are_hard_links_are_read_by_every_command() {
    let place = Work::new();
    let layer = layer("one");
    let config = config(&[&layer]);
    for (of_manifest, kind) in [(true, b'1'), (true, b'2'), (false, b'1'), (false, b'2')] {
        let described = manifest("b.json", &["linked:1"], &["l.tar"]);
        let entries = if of_manifest {
            vec![
                file("l.tar", &layer),
                file("b.json", &config),
                file("real.json", described),
                link(kind, "manifest.json", "real.json"),
            ]
        } else {
            vec![
                file("l.tar", &layer),
                file("a.json", &config),
                link(kind, "b.json", "a.json"),
                file("manifest.json", described),
            ]
        };
        let path = place.put("linked.tar", &forge::layer(&entries));
        imgtar(&["verify", &path]).exits(0);
        for run in place.every_command(&path) {
            run.exits(0);
        }
    }
}
