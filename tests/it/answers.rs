//! Answers: names that can be given back, characters that are not visible, and a form that does not depend
//! on how large the archive is.

use crate::support::forge;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::Output;

use crate::support::forge::{Entry, Form, layer};
use crate::support::{bytes, imgtar, items, program, repository, sha256, shown, text};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs imgtar with arguments that need not be text.
fn run(args: &[&[u8]]) -> Output {
    program()
        .args(args.iter().map(|arg| OsString::from_vec(arg.to_vec())))
        .output()
        .expect("imgtar starts")
}

fn stored(directory: &TempDir, layers: &[Vec<u8>]) -> String {
    let path = directory.path().join("archive.tar");
    fs::write(&path, forge::archive(layers, Form::Hybrid)).expect("room");
    shown(&path)
}

/// A file called so, which holds its own name.
fn file(name: &[u8]) -> Entry {
    let mut entry = Entry::new(b'0', name);
    entry.body = name.to_vec();
    entry
}

// --- signs ------------------------------------------------------------------------------------------------

/// Names and texts of an archive are printed as they are, whatever the locale; so are the tables of Docker 29 and of
/// `history`, which print what Docker prints.
#[test]
fn our_own_signs_are_ascii_where_the_locale_has_no_others() {
    let engines = |name: &str| repository(&format!("testdata/engines/{name}.tar"));
    let archives = [
        engines("docker26-multi"),
        engines("docker28c-platforms"),
        engines("v1"),
        repository("testdata/broken/layer-bit-flipped.tar"),
    ];
    for archive in &archives {
        for command in [
            "images",
            "inspect",
            "layers",
            "tree",
            "ls -l",
            "ls --tree",
            "verify --audit",
            "waste",
            "dockerfile",
            "blame",
            "diff",
        ] {
            let mut arguments: Vec<&str> = command.split(' ').collect();
            arguments.insert(1, archive);
            match command {
                "blame" => arguments.push("etc/passwd"),
                "diff" => arguments.push(&archives[0]),
                _ => {}
            }
            let output = program().args(&arguments).env("LC_ALL", "C").output();
            let output = output.expect("imgtar starts");
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8(printed).expect("UTF-8");
            let is_sign = |c: char| !c.is_ascii() && !c.is_alphanumeric();
            let line = printed.lines().find(|line| line.contains(is_sign));
            assert_eq!(line, None, "{arguments:?}");
        }
    }
}

// --- names ------------------------------------------------------------------------------------------------

const NAMES: [&[u8]; 10] = [
    b"data/file-\xe4",
    b"data/\xdcn\xef",
    "data/file-ä".as_bytes(),
    b"data/system-x\\x2dy.slice",
    b"data/a\\",
    b"data/a\\xe4",
    b"data/tab\tline\nescape\x1b[31m",
    "data/C1\u{9b}".as_bytes(),
    "data/\u{202e}gpj.\u{ad}exe".as_bytes(),
    b"data/cut\xe2\x80",
];

/// What `ls` prints, `cat` and `ls` take; the bytes themselves they take too.
#[test]
fn every_name_can_be_given_back() {
    let directory = TempDir::new().expect("a directory");
    let entries: Vec<Entry> = NAMES.iter().map(|name| file(name)).collect();
    let archive = stored(&directory, &[layer(&entries)]);
    let listed = run(&[b"ls", archive.as_bytes(), b"data"]);
    let listed = String::from_utf8(listed.stdout).expect("what imgtar prints is UTF-8");
    let lines: Vec<&str> = listed.lines().skip(1).collect();
    assert_eq!(lines.len(), NAMES.len(), "{listed}");
    let mut names = NAMES.map(<[u8]>::to_vec);
    names.sort();
    for (line, name) in lines.iter().zip(&names) {
        assert!(!line.contains('\u{fffd}'), "{line}");
        for given in [line.as_bytes(), name] {
            let cat = run(&[b"cat", archive.as_bytes(), given]);
            assert_eq!(cat.stdout, *name, "{line}: {cat:?}");
            let ls = run(&[b"ls", archive.as_bytes(), given]);
            assert_eq!(ls.stdout, [line.as_bytes(), b"\n"].concat(), "{ls:?}");
        }
    }
    assert!(lines.contains(&"data/file-\\xe4"), "{listed}");
    assert!(lines.contains(&"data/a\\\\xe4"), "{listed}");
    // The forms of other programs.
    for given in ["data/file-\\344", "data/file-\\xE4"] {
        let cat = run(&[b"cat", archive.as_bytes(), given.as_bytes()]);
        assert_eq!(cat.stdout, b"data/file-\xe4", "{cat:?}");
    }
    let json = imgtar(&["ls", "--json", &archive]).json();
    let base64 = base64::engine::general_purpose::STANDARD.encode(b"data/file-\xe4");
    let entries = items(&json["entries"]);
    assert!(
        entries
            .iter()
            .any(|e| e["path"]["bytes"] == base64.as_str())
    );
}

/// One spelling of two files: it means what `ls` prints so, and a warning tells of the other one.
#[test]
fn a_name_of_two_readings() {
    let directory = TempDir::new().expect("a directory");
    let entries = [file(b"a\\b"), file(b"a\\\\b")];
    let archive = stored(&directory, &[layer(&entries)]);
    let cat = run(&[b"cat", archive.as_bytes(), b"a\\\\b"]);
    assert_eq!(cat.stdout, b"a\\b");
    let said = String::from_utf8(cat.stderr).expect("text");
    assert!(said.contains("`a\\\\\\\\b`"), "{said}");
    let cat = run(&[b"cat", archive.as_bytes(), b"a\\\\\\\\b"]);
    assert_eq!(
        (&cat.stdout[..], &cat.stderr[..]),
        (&b"a\\\\b"[..], &b""[..])
    );
    let cat = run(&[b"cat", archive.as_bytes(), b"a\\b"]);
    assert_eq!((&cat.stdout[..], &cat.stderr[..]), (&b"a\\b"[..], &b""[..]));
}

/// Messages name paths in the same form.
#[test]
fn messages_name_paths_as_ls_does() {
    let directory = TempDir::new().expect("a directory");
    let archive = stored(&directory, &[layer(&[file(b"a")])]);
    for (command, given) in [("cat", b"no-\xe4".as_slice()), ("ls", b"no-\xe4")] {
        let run = run(&[command.as_bytes(), archive.as_bytes(), given]);
        let said = String::from_utf8(run.stderr).expect("text");
        assert_eq!(run.status.code(), Some(3));
        assert!(said.contains("no file `no-\\xe4`"), "{said}");
    }
    // A warning about the merged tree, an error of it, a problem, and the name of the archive.
    let twice = [file(b"twice-\xe4"), file(b"twice-\xe4")];
    let archive = stored(&directory, &[layer(&twice)]);
    let odd = directory
        .path()
        .join(OsString::from_vec(b"odd-\xe4.tar".to_vec()));
    fs::copy(&archive, &odd).expect("room");
    let odd = odd.into_os_string().into_vec();
    let flatten = run(&[b"flatten", &odd, b"-o", b"/dev/null"]);
    let said = String::from_utf8(flatten.stderr).expect("text");
    assert!(said.contains("`twice-\\xe4`"), "{said}");
    let verify = run(&[b"verify", &odd]);
    let said = String::from_utf8(verify.stdout).expect("text");
    assert!(said.contains("path twice-\\xe4"), "{said}");
    assert!(said.contains("odd-\\xe4.tar"), "{said}");
    let dangling = [{
        let mut link = Entry::new(b'1', b"link-\xe4");
        link.link = b"none-\xe4\\".to_vec();
        link
    }];
    let archive = stored(&directory, &[layer(&dangling)]);
    let ls = run(&[b"ls", archive.as_bytes()]);
    let said = String::from_utf8(ls.stderr).expect("text");
    assert!(said.contains("`link-\\xe4`"), "{said}");
    assert!(said.contains("`none-\\xe4\\\\`"), "{said}");
}

// --- characters -------------------------------------------------------------------------------------------

/// Soft hyphen, grapheme joiner, fillers, joiners, separators, annotations, tags, variation selectors.
const HIDDEN: &str = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{200b}\u{200d}\u{2028}\u{202e}\
                      \u{2060}\u{206a}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{1d173}\u{e0041}\u{e0100}\u{9b}\x1b";

/// An archive that says `HIDDEN` wherever it can.
fn hidden(directory: &Path) -> String {
    let first: String = HIDDEN.chars().take(12).collect();
    let mut link = Entry::new(b'2', first.as_bytes());
    link.link = HIDDEN.as_bytes().to_vec();
    let files = layer(&[file(HIDDEN.as_bytes()), link]);
    let config = json!({
        "architecture": HIDDEN, "os": "linux", "author": HIDDEN, "comment": HIDDEN,
        "config": {"Env": [HIDDEN], "Labels": {HIDDEN: HIDDEN}, "Cmd": [HIDDEN], "User": HIDDEN},
        "history": [{"created_by": HIDDEN, "comment": HIDDEN, "author": HIDDEN}],
        "rootfs": {"type": "layers", "diff_ids": [sha256(&files)]},
    });
    let manifest = json!([{
        "Config": "config.json", "RepoTags": [HIDDEN, format!("a:{HIDDEN}")], "Layers": ["l/layer.tar"],
        HIDDEN: 1,
    }]);
    let members = [
        Entry::file("l/layer.tar", &files),
        Entry::file("config.json", config.to_string().as_bytes()),
        Entry::file("manifest.json", manifest.to_string().as_bytes()),
        file(HIDDEN.as_bytes()),
    ];
    let path = directory.join("hidden.tar");
    fs::write(&path, layer(&members)).expect("room");
    shown(&path)
}

#[test]
fn characters_that_are_not_visible_are_escaped() {
    let directory = TempDir::new().expect("a directory");
    let archive = hidden(directory.path());
    let commands: [&[&str]; 18] = [
        &["images"],
        &["images", "--json"],
        &["inspect"],
        &["layers"],
        &["layers", "--no-trunc"],
        &["layers", "--json"],
        &["history"],
        &["history", "--no-trunc"],
        &["history", "--json"],
        &["tree"],
        &["tree", "--json"],
        &["ls"],
        &["ls", "-l"],
        &["ls", "--tree"],
        &["ls", "--json"],
        &["ls", "--layer", "0"],
        &["verify", "--audit"],
        &["verify", "--json"],
    ];
    for command in commands {
        let run = imgtar(&[command, &[archive.as_str()]].concat());
        for text in [run.out(), run.err()] {
            let found = text.chars().find(|c| *c != '\n' && HIDDEN.contains(*c));
            assert_eq!(found, None, "{run}");
        }
        assert!(!run.out().is_empty(), "{run}");
    }
    let listed = imgtar(&["ls", &archive]);
    for c in [
        "\\u{ad}",
        "\\u{34f}",
        "\\u{3164}",
        "\\u{e0041}",
        "\\u{9b}",
        "\\x1b",
    ] {
        assert!(listed.out().contains(c), "{listed}");
    }
}

// --- forms ------------------------------------------------------------------------------------------------

/// Sizes of directories, hard links, orders and drawings of one tree, from several places in it.
#[test]
fn listings_agree_with_each_other() {
    let directory = TempDir::new().expect("a directory");
    let link = |name: &str, target: &str| {
        let mut link = Entry::new(b'1', name.as_bytes());
        link.link = target.as_bytes().to_vec();
        link
    };
    let entries = [
        Entry::file("d/a/one", b"1"),
        Entry::file("d/a/two", b"22"),
        link("d/b/also", "d/a/two"),
        Entry::file("d/b/c/three", b"333"),
        Entry::file("e", b"4444"),
        link("z", "d/a/two"),
    ];
    let archive = stored(&directory, &[layer(&entries)]);
    let ls = |args: &[&str]| imgtar(&[&["ls", &archive], args].concat()).succeeds();
    assert_eq!(
        ls(&["--tree"]).out(),
        "     6B  ├─d/\n     3B  │ ├─a/\n     1B  │ │ ├─one\n     2B  │ │ └─two\n     3B  │ └─b/\n     \
         2B  │   ├─also link to d/a/two\n     3B  │   └─c/\n     3B  │     └─three\n     4B  ├─e\n     \
         2B  └─z link to d/a/two\n"
    );
    // The largest of each directory first; what is equal stays in its order.
    assert_eq!(
        ls(&["--tree", "--sort", "size"]).out(),
        "     6B  ├─d/\n     3B  │ ├─a/\n     2B  │ │ ├─two\n     1B  │ │ └─one\n     3B  │ └─b/\n     \
         3B  │   ├─c/\n     3B  │   │ └─three\n     2B  │   └─also link to d/a/two\n     4B  ├─e\n     \
         2B  └─z link to d/a/two\n"
    );
    assert_eq!(
        ls(&["--tree", "--sort", "size", "--bytes", "-d", "1", "e", "d"]).out(),
        "      4  ├─e\n      6  └─d/\n      3    ├─a/\n      3    └─b/\n"
    );
    // What was listed first from where the listing begins is the first name; each listing counts anew.
    assert_eq!(
        ls(&["--tree", "-d", "1", "d/b", "d", "e"]).out(),
        "     5B  ├─b/\n     2B  │ ├─also\n     3B  │ └─c/\n     6B  ├─d/\n     3B  │ ├─a/\n     \
         3B  │ └─b/\n     4B  └─e\n"
    );
    assert_eq!(
        ls(&["--sort", "size", "d", "z"]).out(),
        "d/\nd/a/\nd/b/\nd/b/c/\nd/b/c/three\nd/a/two\nd/b/also\nz\nd/a/one\n"
    );
    let long = ls(&["-l", "--sort", "size", "d/b"]);
    let lines: Vec<&str> = long.out().lines().collect();
    assert!(
        lines[0].starts_with("MODE ") && lines[0].ends_with("  LAYER  PATH"),
        "{long}"
    );
    assert!(
        lines[1].contains("  5B  ") && lines[1].ends_with("      0  d/b/"),
        "{long}"
    );
    let json = ls(&["--json", "--sort", "size"]).json();
    let entries = items(&json["entries"]);
    let plain = ls(&["--sort", "size"]);
    let paths: Vec<&str> = entries.iter().map(|e| text(&e["path"])).collect();
    let lines: Vec<&str> = plain
        .out()
        .lines()
        .map(|l| l.trim_end_matches('/'))
        .collect();
    assert_eq!(paths, lines);
    let of = |path: &str| -> &Value {
        let found = entries.iter().find(|e| e["path"] == path);
        found.expect("listed")
    };
    assert_eq!(
        (&of("z")["target"], &of("z")["type"]),
        (&json!("d/a/two"), &json!("hardlink"))
    );
    assert_eq!(of("d")["size"], 6);
}

/// The JSON of `layers` and `history` is one document however many images there are, also of none.
#[test]
fn documents_of_many_images_are_whole() {
    let directory = TempDir::new().expect("a directory");
    let archive = stored(&directory, &[layer(&[file(b"a")]), layer(&[file(b"b")])]);
    for command in ["images", "layers", "history", "inspect"] {
        let json = imgtar(&[command, "--json", &archive]).succeeds().json();
        assert_eq!(items(&json["images"]).len(), 1, "{command}");
    }
    let size = bytes(&archive).len();
    let inspected = imgtar(&["inspect", "--json", &archive]).json();
    assert_eq!(inspected["archive"]["size"], size);
}

/// An image from a builder that leaves out times is as old as `docker images` says.
#[test]
fn images_of_1970_have_an_age() {
    let directory = TempDir::new().expect("a directory");
    for (created, want) in [
        (json!("1970-01-01T00:00:00Z"), true),
        (json!("1980-01-01T00:00:01Z"), true),
        (json!("1600-01-01T00:00:00Z"), true),
        (Value::Null, true),
        (json!("0001-01-01T00:00:00Z"), false),
    ] {
        let files = layer(&[file(b"a")]);
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": created, "config": {},
            "history": [{"created": created, "created_by": "x"}],
            "rootfs": {"type": "layers", "diff_ids": [sha256(&files)]},
        });
        let manifest =
            json!([{"Config": "config.json", "RepoTags": ["a:1"], "Layers": ["l/layer.tar"]}]);
        let members = [
            Entry::file("l/layer.tar", &files),
            Entry::file("config.json", config.to_string().as_bytes()),
            Entry::file("manifest.json", manifest.to_string().as_bytes()),
        ];
        let path = directory.path().join("dated.tar");
        fs::write(&path, layer(&members)).expect("room");
        let run = imgtar(&["images", &shown(&path)]).succeeds();
        assert_eq!(run.out().contains(" years ago"), want, "{created}: {run}");
        assert_eq!(run.out().contains("N/A"), !want, "{created}: {run}");
        // `docker history` has a rule of its own.
        let run = imgtar(&["history", &shown(&path)]).succeeds();
        assert!(run.out().contains("N/A"), "{created}: {run}");
    }
}
