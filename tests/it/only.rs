//! `flatten --only`: part of an image, with the bytes that the whole has.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use crate::support::forge::{self, Entry, Form};
use crate::support::{archives, engines, imgtar, shown};

/// Headers and bodies by path.
fn members(tar: &[u8]) -> BTreeMap<String, (Vec<u8>, Vec<u8>)> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        members.insert(path, (entry.header().as_bytes().to_vec(), body));
    }
    members
}

fn link(typeflag: u8, name: &str, target: &str) -> Entry {
    let mut link = Entry::new(typeflag, name.as_bytes());
    link.link = target.as_bytes().to_vec();
    link
}

/// An archive with files of several names and links, in two layers.
fn archive() -> (tempfile::TempDir, String) {
    let base = [
        Entry::new(b'5', b"a/"),
        Entry::file("a/first", b"shared bytes"),
        link(b'1', "b/second", "a/first"),
        link(b'1', "b/third", "a/first"),
        Entry::file("usr/bin/tool", b"tool"),
        link(b'2', "bin", "usr/bin"),
        link(b'2', "b/link", "../a/first"),
    ];
    let top = [Entry::file("b/new", b"new"), Entry::file("a/.wh.gone", b"")];
    let layers = [forge::layer(&base), forge::layer(&top)];
    let directory = tempfile::tempdir().expect("a directory");
    let path = shown(&directory.path().join("app.tar"));
    fs::write(&path, forge::archive(&layers, Form::Hybrid)).expect("room");
    (directory, path)
}

fn only(archive: &str, paths: &[&str]) -> BTreeMap<String, (Vec<u8>, Vec<u8>)> {
    let args = [&["flatten", archive, "--only"], paths].concat();
    members(&imgtar(&args).exits(0).stdout)
}

fn names(members: &BTreeMap<String, (Vec<u8>, Vec<u8>)>) -> Vec<&str> {
    members.keys().map(String::as_str).collect()
}

/// What is kept is what the whole has, byte for byte; a file and a pipe get the same.
#[test]
fn what_is_kept_is_as_in_the_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in archives(&engines("")) {
        let archive = engines(&name);
        let whole = imgtar(&["flatten", &archive, "@0"]);
        if whole.code != 0 {
            continue;
        }
        let whole = members(&whole.stdout);
        let Some(first) = whole.keys().find(|path| !path.ends_with('/')) else {
            continue;
        };
        let out = shown(&directory.path().join("part.tar"));
        let args = ["flatten", &archive, "@0", "--only", first];
        let piped = imgtar(&args).exits(0).stdout;
        imgtar(&[&args[..], &["-f", "-o", &out]].concat()).exits(0);
        assert_eq!(fs::read(&out).expect("written"), piped, "{name}");
        for (path, member) in members(&piped) {
            assert_eq!(whole.get(&path), Some(&member), "{name} {path}");
        }
    }
}

/// A hard link whose first name is left out becomes the file; nothing is lost.
#[test]
fn hard_links_keep_their_bytes() {
    let (_directory, archive) = archive();
    let part = only(&archive, &["b/second", "b/third"]);
    assert_eq!(names(&part), ["b/", "b/second", "b/third"]);
    let (header, body) = &part["b/second"];
    assert_eq!((header[156], &body[..]), (b'0', &b"shared bytes"[..]));
    let (header, _) = &part["b/third"];
    assert_eq!((header[156], &header[157..165]), (b'1', &b"b/second"[..]));
    let part = only(&archive, &["b/third"]);
    assert_eq!(part["b/third"].1, b"shared bytes");
}

/// Symbolic links stay what they are, and those that a path goes through are kept.
#[test]
fn links_stay_links() {
    let (_directory, archive) = archive();
    let part = only(&archive, &["b/link"]);
    assert_eq!(names(&part), ["b/", "b/link"]);
    assert_eq!(part["b/link"].0[156], b'2');
    let part = only(&archive, &["bin/tool"]);
    assert_eq!(names(&part), ["bin", "usr/", "usr/bin/", "usr/bin/tool"]);
    let part = only(&archive, &["bin"]);
    assert_eq!(names(&part), ["bin"]);
}

/// What is asked for in vain is told, with what may have been meant, and nothing is written.
#[test]
fn mistakes_are_told() {
    let (directory, archive) = archive();
    let out = shown(&directory.path().join("out.tar"));
    let metadata = shown(&directory.path().join("out.imgtar"));
    for (path, hint) in [
        ("a/frist", "hint: there is `a/first`"),
        ("tool", "hint: there is `usr/bin/tool`"),
        (
            "unlike/anything",
            "hint: `imgtar ls ARCHIVE` lists what there is",
        ),
    ] {
        let run = imgtar(&["flatten", &archive, "-o", &out, "--only", "b", path]).exits(3);
        let message = format!("the image has no file `{path}`");
        assert!(
            run.err().contains(&message) && run.err().contains(hint),
            "{run}"
        );
    }
    let args = [
        "flatten",
        &archive,
        "-o",
        &out,
        "--only",
        "b",
        "--metadata",
        &metadata,
    ];
    let run = imgtar(&args).exits(2);
    assert!(
        run.err().contains("cannot describe what --only leaves out"),
        "{run}"
    );
    assert_eq!(fs::read_dir(directory.path()).expect("there").count(), 1);
}
