//! The tables of Docker 29, to the character.

use std::collections::BTreeSet;
use std::fs::File;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::support::{
    self, Docker, answer, archives, engines, imgtar, items, member, read, repository, say, shared,
    shown, text,
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

/// By name and not by age, one row for each tag, each padded, with what Docker 28.5 printed for the same images.
#[test]
fn rows_are_sorted_by_name() {
    let got = table(&["docker29", &engines("docker26c-multi.tar")]);
    let stored = read(&engines("images.d28c-tree.txt"));
    let stored: BTreeSet<String> = stored.lines().filter_map(details).collect();
    let rows: Vec<&str> = got.lines().skip(1).collect();
    let names: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.split(' ').next())
        .collect();
    let want = [
        "imgtar-testdata/app:1",
        "imgtar-testdata/app:2",
        "imgtar-testdata/base:1",
        "imgtar-testdata/classic:1",
        "registry.example.com:5000/imgtar-testdata/app:release",
    ];
    assert_eq!(names, want);
    for row in &rows {
        assert!(
            details(row).is_some_and(|row| stored.contains(&row)),
            "{row}"
        );
        assert_eq!(row.len(), rows[0].len(), "{got}");
    }
}

/// With platforms that the archive lacks: the whole table as Docker 28.5 printed it.
#[test]
fn platforms_are_children() {
    if cfg!(not(target_arch = "x86_64")) {
        return say("docker29: the stored tables are of another machine");
    }
    let got = table(&["docker29", "--tree", &engines("docker28c-pulled.tar")]);
    let stored = read(&engines("images.d28c-pulled-tree.txt"));
    // Docker 28 has an empty line above its table.
    assert_eq!(got.trim_start(), stored.trim_start());
    let got = table(&["docker29", "--tree", &engines("docker28c-platforms.tar")]);
    let all = read(&engines("images.d28c-tree.txt"));
    let block = |table: &str| -> Vec<String> {
        let from = table
            .find("imgtar-testdata/platforms:1")
            .expect("the image");
        let lines = table[from..].lines().take_while(|line| !line.is_empty());
        lines.filter_map(details).collect()
    };
    assert_eq!(block(&got).len(), 4, "{got}");
    assert_eq!(block(&got), block(&all));
}

/// An index that is listed `tags` times, each time under another tag.
fn listed_often(tags: usize) -> NamedTempFile {
    let archive = engines("docker28c-platforms.tar");
    let mut index: Value = serde_json::from_slice(&member(&archive, "index.json")).expect("JSON");
    let entry = index["manifests"][0].clone();
    let entries = (1..=tags).map(|tag| {
        let mut entry = entry.clone();
        let name = format!("docker.io/imgtar-testdata/platforms:{tag}");
        entry["annotations"]["io.containerd.image.name"] = name.into();
        entry
    });
    index["manifests"] = entries.collect();
    let mut old = tar::Archive::new(File::open(archive).expect("the archive can be opened"));
    let new = NamedTempFile::new().expect("room");
    let mut builder = tar::Builder::new(new.as_file());
    for entry in old.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut header = entry.header().clone();
        // Docker describes one image there, under one name.
        match entry.path_bytes().as_ref() {
            b"manifest.json" => {}
            b"index.json" => {
                let bytes = index.to_string();
                header.set_size(bytes.len() as u64);
                header.set_cksum();
                builder.append(&header, bytes.as_bytes()).expect("room");
            }
            _ => builder.append(&header, &mut entry).expect("room"),
        }
    }
    builder.finish().expect("room");
    drop(builder);
    new
}

/// What is picked by one name is listed under all of its names, and each index is looked at once.
#[test]
fn one_index_has_several_tags() {
    let archive = listed_often(3);
    let archive = shown(archive.path());
    let all = table(&["docker29", &archive]);
    let names = |table: &str| table.matches("imgtar-testdata/platforms:").count();
    assert_eq!(names(&all), 3, "{all}");
    let id = &all.lines().nth(1).and_then(details).expect("a row")[..12];
    for image in ["@0", id, "imgtar-testdata/platforms:1"] {
        assert_eq!(table(&["docker29", &archive, image]), all, "{image}");
    }
    // They are names of the images in it, too.
    let report = imgtar(&["images", "--json", &archive]).exits(0).json();
    for image in report["images"].as_array().expect("images") {
        assert_eq!(
            image["references"].as_array().map(Vec::len),
            Some(3),
            "{image}"
        );
    }
    let picked = |name: &str| {
        let name = format!("imgtar-testdata/platforms:{name}");
        let args = ["images", "-q", "--platform", "linux/amd64", &archive, &name];
        imgtar(&args).exits(0).stdout
    };
    assert_eq!(picked("1"), picked("3"));
}

/// A layer that cannot be read has a reason beside `N/A`, for `history` too.
#[test]
fn what_has_no_size_has_a_reason() {
    let archive = repository("testdata/broken/layer-replaced-by-text.tar");
    for command in ["images", "history"] {
        let run = imgtar(&[command, "--engine", "docker29", &archive]);
        assert!(run.out().contains("N/A"), "{run}");
        assert!(run.err().contains("warning: layer "), "{run}");
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
    for command in ["images", "history"] {
        let archive = engines("skopeo-oci.tar");
        let run = imgtar(&[command, "--engine", "docker29-classic", &archive]).exits(3);
        assert!(run.err().contains("--engine docker29 shows"), "{run}");
    }
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
    let mut directories = vec![repository("testdata/engines")];
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
            docker.forget(id);
        }
    };
    forget();
    let before = docker.ask(&["images", "--tree", "--all"]);
    let before: BTreeSet<String> = before.lines().filter_map(details).collect();
    let mut load = docker.command(&["load", "-q"]);
    load.stdin(File::open(archive).expect("the archive can be opened"));
    let loaded = load
        .output()
        .expect("Docker's client starts")
        .status
        .success();
    let theirs = docker.ask(&["images", "--tree", "--all"]);
    forget();
    // Nobody else uses the engine meanwhile, but images of others may be in it.
    let theirs: BTreeSet<String> = theirs.lines().filter_map(details).collect();
    let theirs: BTreeSet<String> = theirs.difference(&before).cloned().collect();
    assert!(
        !loaded || ours == theirs,
        "{archive}: {ours:#?} and\n{theirs:#?}"
    );
    loaded
}
