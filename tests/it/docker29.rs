//! The tables of Docker 29, to the character.

use std::collections::BTreeSet;
use std::fs::File;

use crate::support::{
    self, Docker, answer, archives, engines, imgtar, items, read, say, shared, text,
};

fn table(args: &[&str]) -> String {
    let mut all = vec!["images", "--engine"];
    all.extend(args);
    imgtar(&all).exits(0).out().to_owned()
}

/// What Docker 29.7 printed with the containerd store.
#[test]
fn the_table_is_what_docker_29_prints() {
    let Some(directory) = shared("archives") else {
        return;
    };
    let got = table(&["docker29", &format!("{directory}/docker26-quirks.tar")]);
    let want = "\
IMAGE      ID             DISK USAGE   CONTENT SIZE   EXTRA
quirks:1   a114abbeb7d0        954kB          291kB        
";
    assert_eq!(got, want);
}

/// By name and not by age, one row for each tag, each padded.
#[test]
fn rows_are_sorted_by_name() {
    let archive = engines("docker26c-multi.tar");
    let want = "\
IMAGE                                                   ID             DISK USAGE   CONTENT SIZE   EXTRA
imgtar-testdata/app:1                                   702903239e64        479kB          102kB        
imgtar-testdata/app:2                                   d213ec7f90cf        500kB          107kB        
imgtar-testdata/base:1                                  64bffb4c7888        266kB         57.1kB        
imgtar-testdata/classic:1                               54352f447a71        278kB         61.1kB        
registry.example.com:5000/imgtar-testdata/app:release   d213ec7f90cf        500kB          107kB        
";
    assert_eq!(scrubbed(&table(&["docker29", &archive])), scrubbed(want));
}

/// The test data are made anew with other IDs and sizes that differ by a few bytes.
fn scrubbed(table: &str) -> String {
    let ids = table.split_inclusive(['\n', ' ']).map(|word| {
        let hex = word.trim_end();
        let is_id = hex.len() == 12 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id {
            word.replace(hex, "an-image--id")
        } else {
            word.to_owned()
        }
    });
    ids.collect()
}

#[test]
fn platforms_are_children() {
    let archive = engines("docker26c-platforms.tar");
    let want = "\
IMAGE                         ID             DISK USAGE   CONTENT SIZE   EXTRA
imgtar-testdata/platforms:1   32eae6a3878c         54kB         13.1kB        
├─ linux/amd64                9af08c5b5fed       22.5kB         2.06kB        
└─ linux/arm64                ee6589b3846d       22.5kB         2.06kB        

";
    if cfg!(target_arch = "x86_64") {
        let got = table(&["docker29", "--tree", &archive]);
        assert_eq!(scrubbed(&got), scrubbed(want));
    }
}

/// Docker's own store has no platforms and no content, and sizes as ever.
#[test]
fn the_classic_store_has_no_content() {
    let archive = engines("docker20-multi.tar");
    let images = answer(&["images", "--json", &archive]);
    let got = table(&["docker29-classic", "--tree", &archive]);
    assert!(!got.contains('─') && !got.contains("\n\n"), "{got}");
    for image in items(&images["images"]) {
        let id = &text(&image["id"])[7..19];
        let line = got.lines().find(|line| line.contains(id)).expect("a line");
        assert!(line.ends_with("             0B        "), "{line}");
    }
}

/// An image without a tag is hidden unless all are asked for.
#[test]
fn untagged_images_are_hidden() {
    let archive = engines("docker20-untagged.tar");
    let head = "IMAGE   ID             DISK USAGE   CONTENT SIZE   EXTRA\n";
    for engine in ["docker29", "docker29-classic"] {
        assert_eq!(table(&[engine, &archive]), head);
        let all = table(&[engine, "--all", &archive]);
        assert!(all.contains("\n<untagged>   "), "{all}");
        assert!(all.starts_with("IMAGE        ID "), "{all}");
    }
}

/// What a store does not find is said, and which one would.
#[test]
fn a_store_that_finds_nothing_is_named() {
    let args = [
        "images",
        "--engine",
        "docker29-classic",
        &engines("skopeo-oci.tar"),
    ];
    let run = imgtar(&args).exits(3);
    assert!(
        run.err().contains("--engine docker29 shows"),
        "{}",
        run.err()
    );
    let args = ["images", "--engine", "docker29", &engines("v1.tar")];
    let run = imgtar(&args).exits(3);
    assert!(run.err().contains("leave out --engine"), "{}", run.err());
    imgtar(&["images", "--tree", &engines("v1.tar")]).exits(2);
}

/// What Docker 26.1 printed with the containerd store; Docker 29 prints the same.
#[test]
fn history_has_the_sizes_of_the_containerd_store() {
    let archive = engines("docker26c-multi.tar");
    for name in ["app:1", "app:2", "base:1", "classic:1"] {
        let file = format!("{}.history26c.txt", name.replace(':', "-"));
        let image = format!("imgtar-testdata/{name}");
        let mut program = support::program();
        program.args([
            "history",
            "--engine",
            "docker29",
            "--no-trunc",
            "--human=false",
        ]);
        program.args([&archive, &image]).env("TZ", "UTC");
        let output = support::finish(program);
        let got = String::from_utf8(output.stdout).expect("text");
        assert_eq!(got, read(&engines(&file)), "{name}");
    }
}

/// A daemon of today prints the same numbers: its `--tree` has them, and lists images by age.
#[test]
fn docker_28_prints_the_same_sizes() {
    let Some(docker) = Docker::d28c() else { return };
    let mut directories = vec![support::repository("testdata/engines")];
    directories.extend(shared("archives"));
    let mut compared = 0;
    for directory in directories {
        for name in archives(&directory) {
            compared += usize::from(compare(&docker, &format!("{directory}/{name}")));
        }
    }
    say(&format!(
        "Docker 28.5 prints the same sizes of {compared} archives"
    ));
    assert!(compared > 20, "only {compared} archives were loaded");
}

/// What a line says behind the name: ID and sizes.
fn details(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words
        .iter()
        .position(|word| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some(words[at..].join(" "))
}

fn compare(docker: &Docker, archive: &str) -> bool {
    let run = imgtar(&["images", "--engine", "docker29", "--tree", "--all", archive]);
    if run.out().is_empty() {
        return false;
    }
    let ours: BTreeSet<String> = run.out().lines().filter_map(details).collect();
    let ids = imgtar(&["images", "-q", "--containerd", "--no-trunc", archive]);
    let forget = || {
        for id in ids.out().lines() {
            docker.try_run(&["rmi", "-f", id]);
        }
    };
    forget();
    let mut load = docker.command(&["load", "-q"]);
    load.stdin(File::open(archive).expect("the archive can be opened"));
    let loaded = load
        .output()
        .expect("Docker's client starts")
        .status
        .success();
    let theirs = docker.ask(&["images", "--tree", "--all"]);
    forget();
    // Others may use the engine too.
    let theirs: BTreeSet<String> = theirs.lines().filter_map(details).collect();
    let missing: Vec<&String> = ours.difference(&theirs).collect();
    assert!(
        !loaded || missing.is_empty(),
        "{archive}: {missing:#?} of\n{theirs:#?}"
    );
    loaded
}
