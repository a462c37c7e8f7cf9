//! `diff`: what differs between two images, against the engines' exports and against what was made to differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use imgtar::image::Image;
use imgtar::tree::{Aspect, Aspects, Comparison, FileChange, LayerRelation, NodeId};
use imgtar::{Options, ReadAt, Tree};
use serde_json::Value;

use crate::support::forge::{self, Entry, Form};
use crate::support::{
    Docker, Run, engines, finish, imgtar, items, read, repository, shown, text, tool_bytes,
};

// --- images that engines made ---------------------------------------------------------------------------------

/// What containers have beside the image, or have touched.
const OF_CONTAINERS: [&str; 12] = [
    ".dockerenv",
    "dev",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
];

/// The archives of which Docker's exports of four images are stored.
const MULTI: [&str; 6] = [
    "docker20-multi.tar",
    "docker26-multi.tar",
    "docker26c-multi.tar",
    "docker28-multi.tar",
    "docker28c-multi.tar",
    "v1.tar",
];
const NAMES: [&str; 4] = ["app-1", "app-2", "base-1", "classic-1"];

/// A listed file: its columns without the path, and which names its inode has.
type Listed = (Vec<String>, BTreeSet<String>);

/// What Docker exported of a container of a test image, as its listing tells.
fn exported(name: &str) -> BTreeMap<String, Listed> {
    let listing = read(&engines(&format!("{name}.export-d26.tsv")));
    let rows: Vec<Vec<String>> = listing
        .lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect();
    let mut groups: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in &rows {
        if !row[9].is_empty() {
            groups.entry(&row[9]).or_default().insert(row[0].clone());
        }
    }
    let file = |row: &Vec<String>| {
        let names = groups.get(&*row[9]).cloned().unwrap_or_default();
        (row[0].clone(), (row[1..].to_vec(), names))
    };
    rows.iter()
        .map(file)
        .filter(|(path, _)| !OF_CONTAINERS.contains(&&**path))
        .collect()
}

/// In what two listed files differ.
fn differs((one, names): &Listed, (other, others): &Listed) -> Vec<&'static str> {
    // Without the path: kind, mode, owner, group, size, time, target, device, group, attributes, digest.
    let aspects = [
        ("type", &[0][..]),
        ("content", &[10]),
        ("size", &[4]),
        ("mode", &[1]),
        ("owner", &[2, 3]),
        ("time", &[5]),
        ("xattr", &[9]),
        ("target", &[6]),
        ("device", &[7]),
    ];
    let is_same_type = one[0] == other[0];
    let differ = aspects.iter().filter(|(aspect, columns)| {
        // What only one type has is not compared with what it became.
        let is_of_type = ["content", "size", "target", "device"].contains(aspect);
        (is_same_type || !is_of_type) && columns.iter().any(|column| one[*column] != other[*column])
    });
    let mut what: Vec<&str> = differ.map(|(aspect, _)| *aspect).collect();
    if names != others {
        what.push("links");
    }
    what
}

/// A simple comparison of two listings.
fn compared(
    old: &BTreeMap<String, Listed>,
    new: &BTreeMap<String, Listed>,
) -> BTreeMap<String, String> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let row = |path: &String| {
        let words = match (old.get(path), new.get(path)) {
            (None, _) => "A".to_owned(),
            (_, None) => "D".to_owned(),
            (Some(old), Some(new)) => match differs(old, new) {
                what if what.is_empty() => return None,
                what => format!("C {}", what.join(",")),
            },
        };
        Some((path.clone(), words))
    };
    paths.into_iter().filter_map(row).collect()
}

/// A path as the listings write it.
fn listed_path(path: &[u8]) -> String {
    let escape = |&byte: &u8| match byte {
        b' '..=b'~' if byte != b'\\' => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    path.iter().map(escape).collect()
}

/// What imgtar finds.
fn found(old: &Image, new: &Image) -> BTreeMap<String, String> {
    let options = Options::default();
    let comparison = Comparison::of(old, new, Aspects::default(), &options).expect("sound images");
    let Some((old, new)) = &comparison.trees else {
        return BTreeMap::new();
    };
    let paths = |tree: &Tree| -> HashMap<NodeId, Vec<u8>> {
        let entries = tree.entries();
        entries.map(|(path, entry)| (entry.node, path)).collect()
    };
    let (old_paths, new_paths) = (paths(old), paths(new));
    let row = |change: &FileChange| {
        let path = match (change.old, change.new) {
            (_, Some(node)) => new_paths.get(&node),
            (Some(node), None) => old_paths.get(&node),
            (None, None) => panic!("one of the two has it"),
        };
        let path = path.cloned().unwrap_or_default();
        let words = match (change.old, change.new) {
            (None, _) => "A".to_owned(),
            (_, None) => "D".to_owned(),
            _ => {
                let what: Vec<&str> = change.what.iter().map(Aspect::word).collect();
                format!("C {}", what.join(","))
            }
        };
        (listed_path(&path), words)
    };
    let rows = comparison.files.as_slice().iter().map(row);
    rows.filter(|(path, _)| !OF_CONTAINERS.contains(&&**path))
        .collect()
}

/// For all pairs of images, across all archives: what differs is what differs between Docker's exports.
#[test]
fn all_pairs_differ_as_their_exports_do() {
    let exports: BTreeMap<&str, _> = NAMES.iter().map(|name| (*name, exported(name))).collect();
    let options = Options::default();
    let sets: Vec<_> = MULTI
        .iter()
        .map(|name| {
            let archive = imgtar::open(Path::new(&engines(name)), &options).expect("an archive");
            let set = archive.images().expect("images");
            (archive, set)
        })
        .collect();
    let mut images: Vec<(&str, &str, &Image)> = Vec::new();
    for ((_, set), archive) in sets.iter().zip(MULTI) {
        for name in NAMES {
            let called = format!("imgtar-testdata/{}", name.replace('-', ":"));
            let selector = called.parse().expect("a reference");
            let picked = set.pick(Some(&selector), None).expect("an image");
            images.push((archive, name, picked.images[0]));
        }
    }
    let mut changes = 0;
    for (old_archive, old_name, old) in &images {
        for (new_archive, new_name, new) in &images {
            let want = compared(&exports[old_name], &exports[new_name]);
            let got = found(old, new);
            assert_eq!(
                got, want,
                "{old_name} of {old_archive}, {new_name} of {new_archive}"
            );
            changes += got.len();
        }
    }
    assert!(changes > 1_000, "{changes}");
}

/// The archives of one image, whoever wrote them.
#[test]
fn an_archive_and_its_copies_have_the_same_files() {
    let one = engines("docker26-one.tar");
    for (copy, relation, code) in [
        ("docker20-one.tar", "same", 0),
        ("docker28-one.tar", "same", 0),
        ("docker28c-one.tar", "same", 0),
        ("docker20-one.tar.xz", "same", 0),
        // Each writes its own config: a health check, a shell or triggers are lost.
        ("skopeo-oci-zstd.tar", "recompressed", 1),
        ("podman-oci.tar", "recompressed", 1),
        ("skopeo-docker.tar", "same", 0),
    ] {
        let run = imgtar(&["diff", "--json", &one, &engines(copy)]);
        let json: Value = serde_json::from_slice(&run.stdout).expect("JSON");
        assert_eq!(json["files"], Value::Array(Vec::new()), "{copy}");
        for layer in items(&json["layers"]) {
            assert_eq!(layer["relation"], relation, "{copy}");
            assert_eq!(layer["old"], layer["new"], "{copy}");
        }
        assert_eq!(json["same"], code == 0, "{copy}: {}", json["config"]);
        run.exits(code);
    }
}

/// An archive and what imgtar makes of it: no file differs, and the image is the same.
#[test]
fn an_archive_is_what_it_is_converted_to() {
    let made = Made::new();
    for (name, image) in [
        ("docker26-one.tar", "@0"),
        ("docker20-multi.tar", "@1"),
        ("podman-oci.tar", "@0"),
    ] {
        let archive = engines(name);
        for (layout, compress, relation) in [
            ("docker", "keep", "same"),
            ("docker-legacy", "none", "same"),
            ("oci", "none", "same"),
            ("oci", "zstd", "recompressed"),
            ("docker", "gzip", "recompressed"),
        ] {
            let is_compressed = name == "podman-oci.tar";
            // What is compressed stays in its form where that is asked for.
            let relation = match (is_compressed, compress) {
                (true, "none") => "recompressed",
                (true, "gzip") => "same",
                _ => relation,
            };
            let copy = shown(&made.0.path().join(format!("{layout}-{compress}-{name}")));
            imgtar(&[
                "convert",
                &archive,
                "--layout",
                layout,
                "--compress",
                compress,
                "-o",
                &copy,
            ])
            .exits(0);
            let pair = ["--old-image", image, "--new-image", image];
            let run = imgtar(&[&["diff", "--json", &archive, &copy][..], &pair].concat());
            let json = run.exits(0).json();
            assert_eq!(json["same"], true, "{copy}");
            assert_eq!(json["files"], Value::Array(Vec::new()), "{copy}");
            for layer in items(&json["layers"]) {
                assert_eq!(layer["relation"], relation, "{copy}");
            }
        }
    }
}

// --- images that were made to differ ------------------------------------------------------------------------

struct Made(tempfile::TempDir);

impl Made {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn archive(&self, name: &str, layers: &[Vec<Entry>], form: Form) -> String {
        let layers: Vec<Vec<u8>> = layers.iter().map(|entries| forge::layer(entries)).collect();
        self.raw(name, &forge::archive(&layers, form))
    }

    fn raw(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("room");
        shown(&path)
    }
}

fn dir(name: &str) -> Entry {
    Entry::new(b'5', name.as_bytes())
}

fn link(flag: u8, name: &str, target: &str) -> Entry {
    let mut entry = Entry::new(flag, name.as_bytes());
    entry.link = target.as_bytes().to_vec();
    entry
}

fn at(mut entry: Entry, mtime: u64) -> Entry {
    entry.mtime = mtime;
    entry
}

fn relations(run: &Run) -> Vec<String> {
    let json: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let layers = items(&json["layers"]).iter();
    let words = |layer: &Value| {
        let index = |key: &str| {
            layer[key]
                .as_u64()
                .map_or("-".to_owned(), |n| n.to_string())
        };
        format!(
            "{} {} {}",
            index("old"),
            index("new"),
            text(&layer["relation"])
        )
    };
    layers.map(words).collect()
}

fn files(run: &Run) -> Vec<String> {
    let json: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let words = |file: &Value| {
        let what: Vec<&str> = items(&file["what"]).iter().map(text).collect();
        format!(
            "{} {} {}",
            text(&file["change"]),
            text(&file["path"]),
            what.join(",")
        )
    };
    items(&json["files"]).iter().map(words).collect()
}

#[test]
fn every_relation_of_layers() {
    let made = Made::new();
    let base = vec![
        dir("etc/"),
        Entry::file("etc/a", b"a"),
        Entry::file("etc/b", b"b"),
    ];
    let two = vec![Entry::file("x", b"the same"), Entry::file("y", b"the same")];
    let three = vec![Entry::file("one", b"1"), link(b'2', "two", "one")];
    let old = [
        base.clone(),
        two.clone(),
        three.clone(),
        vec![Entry::file("gone", b"")],
    ];
    let mut other_order = three.clone();
    other_order.reverse();
    other_order[1].name = b"./one".to_vec();
    other_order[0]
        .pax
        .push(("comment".to_owned(), b"nobody reads this".to_vec()));
    let times: Vec<Entry> = two
        .iter()
        .map(|entry| at(entry.clone(), 1_700_000_000))
        .collect();
    let new = [base, times, other_order, vec![Entry::file("kept", b"")]];
    let (old, new) = (
        made.archive("old.tar", &old, Form::Hybrid),
        made.archive("new.tar", &new, Form::Compressed),
    );
    let run = imgtar(&["diff", "--json", &old, &new]).exits(1);
    assert_eq!(
        relations(&run),
        [
            "0 0 recompressed",
            "1 1 times",
            "2 2 order",
            "3 3 different"
        ]
    );
    assert_eq!(
        files(&run),
        [
            "deleted gone ",
            "added kept ",
            "changed x time",
            "changed y time"
        ]
    );
    let run = imgtar(&["diff", "--json", &old, &new, "--semantic"]).exits(1);
    assert_eq!(files(&run), ["deleted gone ", "added kept "]);
}

#[test]
fn layers_are_paired_where_they_are_equal() {
    let made = Made::new();
    let layer = |name: &str| vec![Entry::file(name, name.as_bytes())];
    let old = made.archive("old.tar", &["a", "b", "c", "d"].map(layer), Form::Hybrid);
    let new = made.archive(
        "new.tar",
        &["a", "x", "y", "c", "b"].map(layer),
        Form::Hybrid,
    );
    let run = imgtar(&["diff", "--json", &old, &new]).exits(1);
    assert_eq!(
        relations(&run),
        [
            "0 0 same",
            "- 1 added",
            "- 2 added",
            "2 3 same",
            "1 4 same",
            "3 - removed"
        ]
    );
    // The files of layers in another order are the same here, and the images are not.
    let new = made.archive("new.tar", &["d", "c", "b", "a"].map(layer), Form::Hybrid);
    let run = imgtar(&["diff", "--json", &old, &new, "--ignore", "history,config"]).exits(1);
    assert_eq!(files(&run), [""; 0]);
}

#[test]
fn a_rebuild_is_the_same_but_for_what_it_changes_by_itself() {
    let made = Made::new();
    let layers = [
        vec![dir("etc/"), Entry::file("etc/a", b"a")],
        vec![Entry::file("b", b"b")],
    ];
    let mut again = layers.clone();
    again[0].reverse();
    let touch = |entries: &mut Vec<Entry>| entries.iter_mut().for_each(|entry| entry.mtime += 60);
    again.iter_mut().for_each(touch);
    let old = made.archive("old.tar", &layers, Form::Legacy);
    let new = made.archive("new.tar", &again, Form::Compressed);
    imgtar(&["diff", &old, &new]).exits(1);
    let run = imgtar(&["diff", &old, &new, "--semantic"]).exits(0);
    assert!(run.out().ends_with("\nno difference\n"), "{}", run.out());
    imgtar(&["diff", &old, &new, "--ignore", "mtime,order"]).exits(0);
    // A mode is not a rebuild's own doing; it may be ignored all the same.
    again[1][0].mode = 0o755;
    let new = made.archive("new.tar", &again, Form::Oci);
    imgtar(&["diff", &old, &new, "--semantic"]).exits(1);
    imgtar(&["diff", &old, &new, "--semantic", "--ignore", "mode"]).exits(0);
}

#[test]
fn every_aspect_of_files() {
    let made = Made::new();
    let old = [vec![
        Entry::file("content", b"one"),
        Entry::file("size", b"one"),
        Entry::file("mode", b""),
        Entry::file("owner", b""),
        Entry::file("time", b""),
        Entry::file("type", b"a file"),
        dir("gone/"),
        dir("gone/deep/"),
        Entry::file("gone/deep/file", b"content"),
        link(b'2', "target", "here"),
        Entry::file("names/a", b"one inode"),
        link(b'1', "names/b", "names/a"),
        Entry::file("names/c", b"one name"),
        Entry::file("xattr", b""),
    ]];
    let mut new = old.clone();
    let find = |new: &mut Vec<Entry>, name: &str| {
        let at = new.iter().position(|entry| entry.name == name.as_bytes());
        at.expect("an entry")
    };
    let layer = &mut new[0];
    let i = find(layer, "content");
    layer[i].body = b"two".to_vec();
    let i = find(layer, "size");
    layer[i].body = b"three".to_vec();
    let i = find(layer, "mode");
    layer[i].mode = 0o4755;
    let i = find(layer, "owner");
    layer[i].gid = 7;
    let i = find(layer, "time");
    layer[i].mtime = 1;
    let i = find(layer, "type");
    layer[i] = dir("type/");
    layer.insert(i + 1, Entry::file("type/below", b""));
    layer.retain(|entry| !entry.name.starts_with(b"gone"));
    let i = find(layer, "target");
    layer[i].link = b"there".to_vec();
    let i = find(layer, "names/b");
    layer[i] = Entry::file("names/b", b"one inode");
    let i = find(layer, "xattr");
    let record = ("SCHILY.xattr.user.a".to_owned(), b"b".to_vec());
    layer[i].pax.push(record);
    let (old, new) = (
        made.archive("old.tar", &old, Form::Hybrid),
        made.archive("new.tar", &new, Form::Hybrid),
    );
    let run = imgtar(&["diff", "--json", &old, &new]).exits(1);
    assert_eq!(
        files(&run),
        [
            "changed content content",
            "deleted gone ",
            "deleted gone/deep ",
            "deleted gone/deep/file ",
            "changed mode mode",
            "changed names/a links",
            "changed names/b links",
            "changed owner owner",
            "changed size content,size",
            "changed target target",
            "changed time time",
            "changed type type,mode",
            "added type/below ",
            "changed xattr xattr",
        ]
    );
    let run = imgtar(&[
        "diff",
        "--json",
        &old,
        &new,
        "--ignore",
        "content,mode,owner,time,xattr,target,links",
    ]);
    let left = files(&run.exits(1));
    assert_eq!(left.len(), 5, "{left:?}");
    let names = imgtar(&["diff", "--name-only", &old, &new]).exits(1);
    assert_eq!(names.out().lines().count(), 14);
}

#[test]
fn texts_are_shown_as_diff_shows_them() {
    let made = Made::new();
    let old = [vec![
        Entry::file("text", b"one\ntwo\nthree\n"),
        Entry::file("binary", b"\0one"),
        Entry::file("old", b"old\n"),
        Entry::file("same", b"same"),
        link(b'2', "link", "text"),
    ]];
    let new = [vec![
        Entry::file("text", b"one\n\x1b[31m2\nthree"),
        Entry::file("binary", b"\0two"),
        Entry::file("new", b"new\n"),
        Entry::file("same", b"same"),
        link(b'2', "link", "text"),
    ]];
    let old = made.archive("old.tar", &old, Form::Hybrid);
    let new = made.archive("new.tar", &new, Form::Legacy);
    let diff = |paths: &[&str], code| {
        let mut args = vec!["diff", &old, &new];
        for path in paths {
            args.extend(["--content", path]);
        }
        imgtar(&args).exits(code).out().to_owned()
    };
    // The bytes are as they are, so that `patch` can read them.
    let text =
        "@@ -1,3 +1,3 @@\n one\n-two\n-three\n+\x1b[31m2\n+three\n\\ No newline at end of file\n";
    assert_eq!(
        diff(&["text"], 1),
        format!("--- a/text\n+++ b/text\n{text}")
    );
    assert_eq!(
        diff(&["/link"], 1),
        format!("--- a//link\n+++ b//link\n{text}")
    );
    assert_eq!(
        diff(&["old", "new", "binary"], 1),
        "--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n\
         --- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n\
         Binary files a/binary and b/binary differ\n"
    );
    assert_eq!(diff(&["same"], 0), "");
    imgtar(&["diff", &old, &new, "--content", "none"]).exits(3);
    // For a terminal they are escaped.
    let run = imgtar(&["--color", "always", "diff", &old, &new, "--content", "text"]);
    assert!(run.exits(1).out().contains("+\\x1b[31m2"));
}

// --- what is read ---------------------------------------------------------------------------------------------

/// Bytes that count which of them are read.
struct Counted {
    bytes: Vec<u8>,
    read: Arc<AtomicU64>,
    /// Where not to read, and whether it was read.
    body: std::ops::Range<u64>,
    touched: Arc<Mutex<bool>>,
}

impl ReadAt for Counted {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.bytes.read_at(buf, offset)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        // The walk reads a buffer of headers at a time, which reaches into bodies a little.
        if offset >= self.body.start && offset + n as u64 <= self.body.end {
            *self.touched.lock().expect("no panic") = true;
        }
        Ok(n)
    }
}

/// Two builds with one changed layer: no content of the layer that both have is read, and where all layers are the
/// same none is read at all.
#[test]
fn what_both_have_is_not_read() {
    const BIG: usize = 16 << 20;
    let mut big = vec![dir("usr/")];
    big.push(Entry::file("usr/big", &vec![7; BIG]));
    big.push(Entry::file("usr/other", &vec![8; BIG]));
    let big = forge::layer(&big);
    let layer = |text: &str| forge::layer(&[dir("etc/"), Entry::file("etc/a", text.as_bytes())]);
    let top = forge::layer(&[Entry::file("top", b"both")]);
    let one = [big.clone(), layer("one"), top.clone()];
    let other = [big, layer("two"), top];
    let options = Options::default();
    for (old, new, changes, most) in [(&one, &other, 1, 400_000), (&one, &one, 0, 200_000)] {
        let read = Arc::new(AtomicU64::new(0));
        let touched = Arc::new(Mutex::new(false));
        let open = |layers: &[Vec<u8>]| {
            let bytes = forge::archive(layers, Form::Hybrid);
            let body = bytes.windows(64).position(|window| window == [7; 64]);
            let body = body.expect("the large file") as u64;
            let counted = Counted {
                bytes,
                read: Arc::clone(&read),
                body: body..body + BIG as u64,
                touched: Arc::clone(&touched),
            };
            imgtar::open_reader(counted, "counted.tar", &options).expect("an archive")
        };
        let (old, new) = (open(old), open(new));
        let (old, new) = (old.images().expect("images"), new.images().expect("images"));
        let before = read.load(Ordering::Relaxed);
        let (old, new) = (&old.images[0], &new.images[0]);
        let comparison =
            Comparison::of(old, new, Aspects::default(), &options).expect("sound images");
        assert_eq!(comparison.files.as_slice().len(), changes);
        let relations: Vec<_> = comparison.layers.iter().map(|pair| pair.relation).collect();
        let same = relations
            .iter()
            .filter(|relation| **relation == LayerRelation::Same);
        assert_eq!(same.count(), 3 - changes);
        let read = read.load(Ordering::Relaxed) - before;
        assert!(read < most, "{read} bytes were read");
        assert!(changes > 0 || read == 0, "{read} bytes were read");
        assert!(!*touched.lock().expect("no panic"));
    }
}

/// A layer that one archive lacks is taken from the other one, where that has it.
#[test]
fn a_layer_that_is_missing_is_taken_from_the_other() {
    let missing = repository("testdata/broken/layer-missing.tar");
    let run = imgtar(&["diff", "--json", &engines("tiny20.tar"), &missing]);
    assert_eq!(run.exits(0).json()["same"], true);
    let run = imgtar(&["diff", "--json", &engines("docker26-one.tar"), &missing]);
    let run = run.exits(1);
    assert!(!items(&run.json()["files"]).is_empty());
    let other = engines("buildkit-platforms.tar");
    let run = imgtar(&["diff", &other, &missing]).exits(3);
    assert!(run.err().contains("in NEW, which is"), "{}", run.err());
}

// --- what makes no sense ----------------------------------------------------------------------------------------

#[test]
fn mistakes_say_what_to_do() {
    let one = engines("docker26-one.tar");
    let multi = engines("docker26-multi.tar");
    for (args, code, says) in [
        (&["diff", &one][..], 2, "there is no NEW"),
        (&["diff", &multi], 2, "--old-image and --new-image"),
        (&["diff", &one, &multi], 2, "--new-image IMAGE picks one"),
        (&["diff", &multi, &one], 2, "--old-image IMAGE picks one"),
        (&["diff", "-", "-"], 2, "standard input"),
        (&["diff", &one, &one, "--old-image", "nginx"], 3, "no image"),
        (&["diff", &one, &one, "--content", "etc/paswd"], 3, "passwd"),
        (
            &["diff", &one, &one, "--content", "etc"],
            3,
            "is a directory",
        ),
        (&["diff", &one, &one, "--json", "--stat"], 2, "--json"),
        (&["diff", &one, &one, "--ignore", "everything"], 2, "mtime"),
        (
            &["diff", &engines("docker20-export.tar"), &one],
            3,
            "the image goes first",
        ),
        (&["diff", &one, "Cargo.toml"], 3, "Cargo.toml"),
        (
            &[
                "diff",
                &one,
                &engines("docker20-export.tar"),
                "--new-image",
                "@0",
            ],
            2,
            "--new-image",
        ),
    ] {
        let run = imgtar(args).exits(code);
        assert!(run.err().contains(says), "{args:?}: {}", run.err());
        assert!(run.stdout.is_empty(), "{args:?}");
    }
}

/// The paths that are printed are those that `ls` prints, however deep they are.
#[test]
fn paths_are_those_of_ls() {
    let multi = engines("docker26-multi.tar");
    let pair = ["--old-image", "@3", "--new-image", "@0"];
    let args = [&["diff", &multi, "--name-only"][..], &pair].concat();
    let diff = imgtar(&args).exits(1);
    let list = |image: &str| -> BTreeSet<String> {
        let run = imgtar(&["ls", &multi, "-i", image]).exits(0);
        let name = |line: &str| line.trim_end_matches('/').to_owned();
        run.out().lines().map(name).collect()
    };
    let (old, new) = (list("@3"), list("@0"));
    let only_one: BTreeSet<String> = old.symmetric_difference(&new).cloned().collect();
    let differ: BTreeSet<String> = diff.out().lines().map(str::to_owned).collect();
    assert!(only_one.len() > 10 && only_one.is_subset(&differ), "{diff}");
    assert!(
        differ
            .iter()
            .all(|path| old.contains(path) || new.contains(path))
    );
}

/// An export of a container that did nothing is what its image is.
#[test]
fn an_idle_container_is_its_image() {
    let export = engines("docker20-export.tar");
    let run = imgtar(&["diff", &engines("docker20-one.tar"), &export]).exits(0);
    assert!(run.stdout.is_empty());
    let run = imgtar(&[
        "diff",
        &engines("docker20-multi.tar"),
        "--old-image",
        "imgtar-testdata/app:2",
        &export,
    ]);
    let run = run.exits(1);
    assert_eq!(run.out(), "D /data\nC /srv\nD /srv/patched\n");
}

// --- live engines -----------------------------------------------------------------------------------------------

/// Images in an engine, removed when this goes.
struct Rebuilt(Docker, [String; 2]);

impl Drop for Rebuilt {
    fn drop(&mut self) {
        for tag in &self.1 {
            self.0.try_run(&["rmi", "-f", tag]);
        }
    }
}

/// Builds one Dockerfile twice: different images, and the same but for what a build changes by itself.
fn rebuilt(docker: Option<Docker>, buildkit: &str) {
    let Some(docker) = docker else { return };
    let Some(busybox) = tool_bytes("busybox") else {
        return;
    };
    let made = Made::new();
    let tag = |n| format!("imgtar-diff-{}-{buildkit}:{n}", std::process::id());
    let images = Rebuilt(docker, [tag(1), tag(2)]);
    let dockerfile = "FROM scratch
COPY busybox /bin/busybox
RUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox mkdir /srv; echo a > /srv/a; /bin/busybox ln /srv/a /srv/b\"]
ENV A=1
";
    let mut executable = Entry::file("busybox", &busybox);
    executable.mode = 0o755;
    let dockerfile = Entry::file("Dockerfile", dockerfile.as_bytes());
    let context = made.raw("context.tar", &forge::layer(&[dockerfile, executable]));
    let mut archives = Vec::new();
    for tag in &images.1 {
        let args = [
            "build",
            "-q",
            "--no-cache",
            "--network",
            "host",
            "-t",
            tag,
            "-",
        ];
        let mut build = images.0.command(&args);
        let context = fs::File::open(&context).expect("it was just written");
        build.env("DOCKER_BUILDKIT", buildkit).stdin(context);
        finish(build);
        let saved = images.0.run(&["save", tag]);
        archives.push(made.raw(&tag.replace(['/', ':'], "-"), &saved));
        // Times in tars are whole seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    let run = imgtar(&["diff", "--json", &archives[0], &archives[1]]).exits(1);
    // BuildKit may keep the time of a file of the context.
    let relations = relations(&run);
    assert!(relations.contains(&"1 1 times".to_owned()), "{relations:?}");
    assert!(files(&run).iter().all(|file| file.ends_with(" time")));
    imgtar(&["diff", &archives[0], &archives[1], "--semantic"]).exits(0);
}

#[test]
fn a_rebuild_by_docker_20() {
    rebuilt(Docker::d20(), "0");
}

#[test]
fn a_rebuild_by_docker_26() {
    rebuilt(Docker::d26(), "0");
}

#[test]
fn a_rebuild_by_buildkit() {
    rebuilt(Docker::d26(), "1");
}
