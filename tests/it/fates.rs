//! What became of every entry: `find` and `blame`, and what `cat` and `ls` print of single layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use imgtar::Options;
use imgtar::image::Image;
use imgtar::report::BlamePath;
use imgtar::tree::{Fate, Fates, Tree};

use crate::support::forge::{self, Entry, Form};
use crate::support::{each_image_in, imgtar, repository, shared, shown, text};

// --- every archive that engines made ------------------------------------------------------------------------

/// The images of all archives that engines made, and how often each was asked about.
fn each_image(see: &mut dyn FnMut(&str, &Image)) -> usize {
    let mut count = 0;
    let roots = [Some(repository("testdata/engines")), shared("archives")];
    each_image_in(roots.into_iter().flatten(), &mut |path, image| {
        if image.layers.iter().all(|layer| layer.present().is_some()) {
            count += 1;
            see(path, image);
        }
    });
    count
}

/// The live entries, and the directories that engines make, are exactly the merged tree.
#[test]
fn what_is_live_is_the_merged_tree() {
    let (mut hidden, mut live) = (0, 0);
    let count = each_image(&mut |path, image| {
        let options = Options::default();
        let fates = Fates::merge_names(image, &options).expect("an image that merges");
        let mut found = BTreeSet::new();
        for record in fates.iter() {
            match record.fate {
                Fate::Live => {
                    live += 1;
                    let is_new = found.insert(fates.path(record.node));
                    assert!(is_new, "{path}: two entries are live at one path");
                }
                Fate::Hidden { layer, .. } => {
                    hidden += 1;
                    assert!(layer >= record.layer, "{path}");
                }
            }
        }
        let tree = Tree::merge_names(image, &options).expect("the same image");
        let wanted: BTreeSet<Vec<u8>> = tree.entries().map(|(path, _)| path).collect();
        found.remove(&b""[..]);
        assert_eq!(found, wanted, "{path}");
        for (name, entry) in tree.entries() {
            let at = fates.tree().at(&name).expect("the same tree");
            assert_eq!(
                fates.tree().layer_of(at),
                tree.layer_of(entry.node),
                "{path}"
            );
        }
    });
    assert!(count > 60, "{count} images");
    assert!(hidden > 1_000 && live > 1_000, "{hidden} {live}");
}

/// `blame` ends as `find` says, for every path that any layer has.
#[test]
fn blame_and_find_agree() {
    let mut paths = 0;
    each_image(&mut |path, image| {
        let options = Options::default();
        let fates = Fates::merge(image, &options).expect("an image that merges");
        let mut live: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        for record in fates.iter() {
            let is_live = live.entry(fates.path(record.node)).or_default();
            *is_live |= record.fate == Fate::Live;
        }
        for (name, is_live) in &live {
            let blame = BlamePath::of(&fates, image, name).expect("readable contents");
            assert_eq!(blame.live, *is_live, "{path}: {}", name.escape_ascii());
            let steps = blame.steps.iter().map(|step| step.layer);
            let layers: Vec<usize> = steps.collect();
            assert!(
                !layers.is_empty() && layers.is_sorted(),
                "{path}: {layers:?}"
            );
            paths += 1;
        }
    });
    assert!(paths > 2_000, "{paths} paths");
}

// --- an archive that has every kind ---------------------------------------------------------------------------

fn dir(name: &str) -> Entry {
    Entry::new(b'5', name.as_bytes())
}

fn link(flag: u8, name: &str, target: &str) -> Entry {
    let mut entry = Entry::new(flag, name.as_bytes());
    entry.link = target.as_bytes().to_vec();
    entry
}

/// An archive, and the directory that it is deleted with.
fn made(form: Form) -> (tempfile::TempDir, String) {
    let layers = [
        forge::layer(&[
            dir("etc/"),
            Entry::file("etc/passwd", b"root"),
            Entry::file("etc/key", b"secret"),
            dir("opt/"),
            dir("opt/a/"),
            Entry::file("opt/a/one", b"1"),
            dir("var/"),
            Entry::file("var/log", b"log"),
            link(b'2', "lib", "usr/lib"),
            dir("usr/"),
            dir("usr/lib/"),
            Entry::file("usr/lib/so", b"so"),
        ]),
        forge::layer(&[
            dir("etc/"),
            Entry::file("etc/passwd", b"toor"),
            Entry::file("etc/.wh.key", b""),
            Entry::file("opt/.wh..wh..opq", b""),
            Entry::file("opt/b", b"b"),
            Entry::file("var", b"now a file"),
            link(b'1', "usr/lib/hard", "usr/lib/so"),
            Entry::file("new/deep/file", b"x"),
        ]),
        forge::layer(&[
            Entry::file("etc/key", b"again"),
            Entry::file("usr/lib/so", b"so"),
        ]),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("made.tar");
    fs::write(&path, forge::archive(&layers, form)).expect("room");
    let path = shown(&path);
    (directory, path)
}

/// What `find --json` finds, in few words: `layer state by path`.
fn found(args: &[&str]) -> Vec<String> {
    let json = imgtar(&[&["find", "--json"], args].concat()).json();
    assert_eq!(json["schema"], "imgtar/find/1");
    let entries = json["entries"].as_array().expect("entries");
    let words = |entry: &serde_json::Value| {
        let by = match entry["by_layer"].as_u64() {
            Some(layer) => format!(" by {} of {layer}", text(&entry["by"])),
            None => String::new(),
        };
        format!(
            "{} {} {}{by}",
            entry["layer"],
            text(&entry["path"]),
            text(&entry["state"])
        )
    };
    entries.iter().map(words).collect()
}

#[test]
fn every_fate_has_its_words() {
    for form in Form::ALL {
        let (_directory, archive) = made(form);
        assert_eq!(
            found(&[
                &archive, "passwd", "key", "one", "log", "hard", "so", "a", "b"
            ]),
            [
                "0 etc/passwd replaced by entry of 1",
                "0 etc/key deleted by whiteout of 1",
                "0 opt/a deleted by opaque of 1",
                "0 opt/a/one deleted by opaque of 1",
                "0 var/log deleted by parent of 1",
                "0 usr/lib/so replaced by entry of 2",
                "1 etc/passwd live",
                "1 opt/b live",
                "1 usr/lib/hard live",
                "2 etc/key live",
                "2 usr/lib/so live",
            ]
        );
    }
}

#[test]
fn queries_narrow_what_is_found() {
    let (_directory, archive) = made(Form::Hybrid);
    let find = |args: &[&str]| {
        let all = found(&[&[&archive as &str], args].concat());
        let path = |line: &String| line.split(' ').nth(1).map(str::to_owned);
        all.iter().filter_map(path).collect::<Vec<_>>()
    };
    assert_eq!(
        find(&["*", "--deleted", "--type", "f"]),
        ["etc/key", "opt/a/one", "var/log"]
    );
    assert_eq!(find(&["*", "--type", "symlink,h"]), ["lib", "usr/lib/hard"]);
    assert_eq!(find(&["*", "--size", "+5"]), ["etc/key", "var"]);
    assert_eq!(
        find(&["*", "--size", "-2"]),
        ["opt/a/one", "opt/b", "new/deep/file"]
    );
    assert_eq!(find(&["/etc/*", "--layer", "1"]), ["etc/passwd"]);
    assert_eq!(
        find(&["--regex", "^usr/.*o$"]),
        ["usr/lib/so", "usr/lib/so"]
    );
    // Directories that no layer lists are not entries.
    assert_eq!(find(&["new/**"]), ["new/deep/file"]);
    let none = imgtar(&["find", &archive, "*.pem"]).exits(1);
    assert!(none.stdout.is_empty());
    imgtar(&["find", &archive, "["]).exits(2);
    imgtar(&["find", &archive, "*", "--layer", "3"]).exits(3);
    imgtar(&["find", &archive, "*", "--size", "much"]).exits(2);
}

#[test]
fn blame_tells_what_changed() {
    let (_directory, archive) = made(Form::Compressed);
    let json = imgtar(&[
        "blame",
        "--json",
        &archive,
        "/etc/passwd",
        "etc/key",
        "usr/lib/so",
        "lib/hard",
        "new",
        "etc",
    ])
    .json();
    assert_eq!(json["schema"], "imgtar/blame/1");
    let told: Vec<String> = json["paths"]
        .as_array()
        .expect("paths")
        .iter()
        .map(|path| {
            let steps = path["steps"].as_array().expect("steps").iter().map(|step| {
                let what = step["what"].as_array().expect("a list");
                let what: Vec<&str> = what.iter().map(text).collect();
                let made = if step["implied"] == true {
                    " implied"
                } else {
                    ""
                };
                let (layer, action) = (&step["layer"], text(&step["action"]));
                format!("{layer} {action}{made} {}", what.join(","))
                    .trim_end()
                    .to_owned()
            });
            let steps: Vec<String> = steps.collect();
            format!(
                "{} {}: {}",
                text(&path["path"]),
                path["live"],
                steps.join("; ")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "etc/passwd true: 0 added; 1 changed content",
            "etc/key true: 0 added; 1 deleted; 2 added",
            "usr/lib/so true: 0 added; 2 changed",
            "usr/lib/hard true: 1 linked",
            "new true: 1 added implied",
            "etc true: 0 added",
        ]
    );
    assert_eq!(json["paths"][3]["via"], "lib/hard");
    assert_eq!(json["paths"][3]["steps"][0]["target"], "usr/lib/so");
    let follow = imgtar(&["blame", "--json", "--follow", &archive, "lib"]).json();
    let paths: Vec<&str> = follow["paths"]
        .as_array()
        .expect("paths")
        .iter()
        .map(|p| text(&p["path"]))
        .collect();
    assert_eq!(paths, ["lib", "usr/lib"]);
    imgtar(&["blame", &archive, "etc/shadow"]).exits(3);
}

#[test]
fn hidden_files_can_be_read() {
    for form in Form::ALL {
        let (_directory, archive) = made(form);
        let cat = |layer: &str, path: &str| imgtar(&["cat", "--layer", layer, &archive, path]);
        for (layer, path, bytes) in [
            ("0", "etc/key", "secret"),
            ("2", "etc/key", "again"),
            ("0", "/var/log", "log"),
            ("0", "etc/passwd", "root"),
            ("1", "usr/lib/hard", "so"),
        ] {
            assert_eq!(
                cat(layer, path).succeeds().stdout,
                bytes.as_bytes(),
                "{layer} {path}"
            );
        }
        cat("1", "etc/key").exits(3);
        cat("0", "etc").exits(3);
        cat("3", "etc/key").exits(3);
        let ls = |args: &[&str]| {
            let run = imgtar(&[&["ls", &archive as &str], args].concat());
            String::from_utf8(run.succeeds().stdout).expect("text")
        };
        assert_eq!(
            ls(&["--layer", "0", "/opt", "etc/key"]),
            "etc/key\nopt/\nopt/a/\nopt/a/one\n"
        );
        assert_eq!(
            ls(&["--layer", "1", "etc"]),
            "etc/\netc/passwd\netc/.wh.key\n"
        );
    }
    let (_directory, archive) = made(Form::Hybrid);
    imgtar(&["ls", &archive, "--layer", "1", "opt/a"]).exits(3);
    imgtar(&["ls", &archive, "--layer", "1", "*.pem"]).exits(3);
}

#[test]
fn paths_of_ls_may_be_globs() {
    for form in Form::ALL {
        let (_directory, archive) = made(form);
        let ls = |args: &[&str]| {
            let run = imgtar(&[&["ls", &archive as &str], args].concat());
            String::from_utf8(run.succeeds().stdout).expect("text")
        };
        assert_eq!(ls(&["pass*"]), "etc/passwd\n");
        assert_eq!(ls(&["**/{so,hard}"]), "usr/lib/hard\nusr/lib/so\n");
        // What lies below a match is listed once.
        assert_eq!(ls(&["/us?/**"]), "usr/lib/\nusr/lib/hard\nusr/lib/so\n");
        assert_eq!(ls(&["ne*", "-d", "1"]), "new/\nnew/deep/\n");
        assert_eq!(
            ls(&["--layer", "0", "l*"]),
            "var/log\nlib\nusr/lib/\nusr/lib/so\n"
        );
        assert_eq!(
            ls(&["--layer", "0", "op*", "--sort", "size"]),
            "opt/a/one\nopt/\nopt/a/\n"
        );
        let none = imgtar(&["ls", &archive, "*.pem"]).exits(3);
        assert!(
            none.err().contains("no file of the image matches `*.pem`"),
            "{}",
            none.err()
        );
    }
    // A path that is there as it is written wins.
    let layer = forge::layer(&[
        Entry::file("a[1]", b"x"),
        Entry::file("a1", b"y"),
        Entry::file("*", b"z"),
    ]);
    let directory = tempfile::tempdir().expect("a directory");
    let path = shown(&directory.path().join("made.tar"));
    fs::write(&path, forge::archive(&[layer], Form::Compressed)).expect("room");
    for more in [
        &[][..],
        &["--layer", "0"],
        &["--layer", "0", "--sort", "size"],
    ] {
        for (given, listed) in [("a[1]", "a[1]\n"), ("*", "*\n"), ("a[0-9]", "a1\n")] {
            let run = imgtar(&[&["ls", &path, given], more].concat()).exits(0);
            assert_eq!(run.out(), listed, "{given} {more:?}");
        }
    }
}

#[test]
fn the_same_on_any_number_of_threads() {
    let archive = repository("testdata/engines/docker20-one.tar");
    let find = |jobs: &str| imgtar(&["find", "--json", "-j", jobs, &archive, "*"]).stdout;
    assert_eq!(find("1"), find("4"));
}
