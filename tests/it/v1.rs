//! Images from before Docker 1.10: their IDs, and those of the images that they were built on, are the ones that
//! Docker computes when it loads them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::forge::Entry;
use crate::support::packed::gzip;
use crate::support::{self, Docker, forge, imgtar};

/// Members by name.
type Files = Vec<(String, Vec<u8>)>;

/// The files of a tar below a directory, by their names there. Layers are stored once: a link has the bytes of what
/// it leads to.
fn files(path: &str, below: &str) -> Files {
    let bytes = support::bytes(path);
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]);
        decoder.read_to_end(&mut plain).expect("gzip");
    } else {
        plain = bytes;
    }
    let mut files = Vec::new();
    for entry in tar::Archive::new(&plain[..]).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("a name");
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        if let Some(target) = entry.link_name_bytes() {
            let target = String::from_utf8(target.into_owned()).expect("a name");
            let target = target.trim_start_matches("../");
            let found = files.iter().find(|(name, _)| name == target);
            body = found.map_or(body, |(_, found): &(String, Vec<u8>)| found.clone());
        }
        let name = name
            .strip_prefix(below)
            .filter(|name| !name.is_empty() && !name.ends_with('/'));
        if let Some(name) = name {
            files.push((name.to_owned(), body));
        }
    }
    files
}

/// Images of one layer on top of each other, by the fields of their `json` files.
fn stack(name: &str, images: &[Value], compressed: bool) -> Files {
    let mut files = Vec::new();
    let mut parent = None;
    for (number, fields) in images.iter().enumerate() {
        let id = format!("{:064x}", number + 1);
        let mut image = fields.clone();
        image["id"] = json!(id);
        if let Some(parent) = parent.replace(id.clone()) {
            image["parent"] = json!(parent);
        }
        let body = format!("{name} {number}");
        let layer = forge::layer(&[Entry::file(&format!("f{number}"), body.as_bytes())]);
        files.push((format!("{id}/VERSION"), b"1.0".to_vec()));
        files.push((format!("{id}/json"), image.to_string().into_bytes()));
        let layer = if compressed { gzip(&layer) } else { layer };
        files.push((format!("{id}/layer.tar"), layer));
    }
    let top = parent.expect("an image");
    let names = json!({ name: { "1": top } });
    files.push(("repositories".to_owned(), names.to_string().into_bytes()));
    files
}

/// What Docker loads: archives of old engines, packed and beside the repository, and crafted ones.
fn archives() -> Vec<(String, Files)> {
    let packed = |name: &str| support::repository(&format!("testdata/{name}"));
    let mut all = vec![
        ("engines".to_owned(), files(&packed("engines/v1.tar"), "")),
        (
            "plain".to_owned(),
            files(&packed("broken/v1-plain.tar"), ""),
        ),
    ];
    if let Some(corpus) = support::shared("corpus") {
        let empty = format!("{corpus}/moby__moby__emptyLayer.tar");
        all.push(("a layer of no bytes".to_owned(), files(&empty, "")));
        let directory = format!("{corpus}/aboutcode-org__container-inspector__");
        for (name, below) in [
            ("busybox2.tgz", ""),
            ("images.tgz", "mycompany_base_4_0_0/"),
            ("images.tgz", "mycompany_grok_1.0.5/"),
            ("images.tgz", "mycompany_mercator_3_1_1/"),
            ("merge.tgz", "merge/busybox/"),
            ("merge.tgz", "merge/busybox2/"),
        ] {
            all.push((
                format!("{name} {below}"),
                files(&format!("{directory}{name}"), below),
            ));
        }
    }
    let time = "2015-06-01T02:03:04.050607+02:00";
    let old = json!({"created": time, "docker_version": "1.6.0", "os": "linux", "architecture": "amd64",
        "Size": 5, "unknown": {"b": 1, "a": [2]}, "container_config": {"Cmd": ["/bin/sh", "-c", "a && b <c>"]},
        "config": {"Cmd": ["x"], "Env": null}});
    let newer = json!({"docker_version": "1.9.1", "os": "linux", "unknown": {"b": 1, "a": "<&>\u{2028}"},
        "created": time, "author": "someone", "comment": "a remark", "throwaway": true});
    let timeless = json!({"os": "linux", "docker_version": "1.9.0"});
    all.push((
        "old".to_owned(),
        stack("old", &[old.clone(), newer.clone()], false),
    ));
    all.push((
        "newer".to_owned(),
        stack("newer", &[newer.clone(), old], true),
    ));
    all.push((
        "timeless".to_owned(),
        stack("timeless", &[timeless, newer], false),
    ));
    all
}

/// An archive whose names no other test has; the names.
fn packed(files: &[(String, Vec<u8>)], number: usize, path: &str) -> Vec<String> {
    let mut archive = tar::Builder::new(File::create(path).expect("room"));
    let mut names = Vec::new();
    for (name, body) in files {
        let mut body = body.clone();
        if name == "repositories" {
            let old: Value = serde_json::from_slice(&body).expect("JSON");
            let mut new = json!({});
            for (i, tags) in old.as_object().expect("an object").values().enumerate() {
                let repository = format!("imgtar-v1/{number}-{i}");
                for tag in tags.as_object().expect("an object").keys() {
                    names.push(format!("{repository}:{tag}"));
                }
                new[repository] = tags.clone();
            }
            body = new.to_string().into_bytes();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive
            .append_data(&mut header, name, &body[..])
            .expect("room");
    }
    archive.finish().expect("room");
    names
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Docker up to 24 writes histories in another way, and so has other IDs.
fn is_before_25(docker: &Docker) -> bool {
    format!("{docker:?}").contains("Docker 20.10")
}

/// Compares what is told of an archive with what a Docker makes of it.
fn compare(docker: &Docker, what: &str, path: &str, names: &[String]) {
    docker.run_on(&["load"], path);
    for name in names {
        let ask = ["image", "inspect", "-f", "{{.Id}} {{.Parent}}", name];
        let theirs = docker.ask(&ask);
        let theirs = theirs.trim_end_matches('\n');
        let (id, parent) = theirs.split_once(' ').expect("two words");
        let report = imgtar(&["inspect", "--json", path, name]).exits(0).json();
        let ours = &report["images"][0];
        let own = ours["id_before_docker_25"]
            .as_str()
            .filter(|_| is_before_25(docker));
        let own = own.or(ours["id"].as_str()).expect("an ID");
        assert_eq!(own, id, "{docker:?} {what} {name}");
        // Any ID finds it.
        let run = imgtar(&["images", "-q", "--no-trunc", path, id]).exits(0);
        assert_eq!(run.out().trim_end(), ours["id"].as_str().expect("an ID"));
        if is_before_25(docker) {
            continue;
        }
        let parents = ours["parents"][0].as_str().unwrap_or("");
        assert_eq!(parents, parent, "{docker:?} {what} {name}");
        let verified = imgtar(&["verify", "--json", path]).json();
        let verified = verified["archives"][0]["images"].as_array().cloned();
        let verified = verified.expect("images");
        assert!(
            verified.iter().any(|image| image["id"] == id),
            "{what} {id}"
        );
        let history = ["history", "-q", "--no-trunc"];
        let run = imgtar(&[&history[..], &[path, id]].concat()).exits(0);
        let theirs = docker.ask(&[&history[..], &[name.as_str()]].concat());
        assert_eq!(run.out(), theirs, "{docker:?} {what} {name}");
    }
    if !is_before_25(docker) {
        let all = ["images", "-a", "-q", "--no-trunc"];
        let theirs: BTreeSet<String> = lines(&docker.ask(&all)).into_iter().collect();
        let run = imgtar(&[&all[..], &[path]].concat()).exits(0);
        for id in lines(run.out()) {
            assert!(theirs.contains(&id), "{docker:?} has no {id} of {what}");
        }
    }
}

#[test]
fn ids_are_those_that_docker_computes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = support::shown(&directory.path().join("app.tar"));
    for (number, (what, files)) in archives().iter().enumerate() {
        let names = packed(files, number, &path);
        assert!(!names.is_empty(), "{what}");
        for docker in Docker::classic() {
            compare(&docker, what, &path, &names);
            for name in &names {
                docker.run(&["rmi", "-f", name]);
            }
        }
    }
}

/// Without an ID that Docker would give it an image keeps the one of its archive.
#[test]
fn what_docker_does_not_load_keeps_its_name() {
    let archive = support::repository("testdata/broken/v1-parent-missing.tar");
    let report = imgtar(&["images", "--json", &archive]).exits(0).json();
    let image = &report["images"][0];
    assert_eq!(image["id"], image["legacy_id"]);
    // A damaged layer has no diff ID.
    let directory = tempfile::tempdir().expect("a directory");
    let path = support::shown(&directory.path().join("app.tar"));
    let mut files = stack(
        "cut",
        &[json!({"os": "linux", "created": "2015-06-01T02:03:04Z"})],
        true,
    );
    let layer = files
        .iter_mut()
        .find(|(name, _)| name.ends_with("layer.tar"));
    layer.expect("a layer").1.truncate(40);
    packed(&files, 0, &path);
    let report = imgtar(&["images", "--json", &path]).json();
    let image = &report["images"][0];
    assert_eq!(image["id"], image["legacy_id"]);
}

/// The images that one was built on are listed on demand, each once, and have no names.
#[test]
fn parents_are_listed_as_docker_lists_them() {
    let archive = support::repository("testdata/engines/v1.tar");
    let plain = imgtar(&["images", "--no-trunc", &archive]).exits(0);
    let all = imgtar(&["images", "-a", "--no-trunc", &archive]).exits(0);
    let words = |line: &str| line.split_whitespace().take(3).map(str::to_owned).collect();
    let rows = |text: &str| -> Vec<Vec<String>> { text.lines().map(words).collect() };
    let (plain, listed) = (rows(plain.out()), rows(all.out()));
    assert_eq!(listed[..plain.len()], plain, "{all}");
    let more = &listed[plain.len()..];
    let stored = support::read(&support::repository(
        "testdata/engines/v1-app-1.history20-quiet.txt",
    ));
    let quiet = imgtar(&["images", "-a", "-q", &archive]).exits(0);
    for id in stored.lines() {
        assert!(quiet.out().lines().any(|line| line == id), "{id}: {quiet}");
    }
    let ids: BTreeSet<&String> = more.iter().map(|row| &row[2]).collect();
    assert_eq!(ids.len(), more.len(), "{all}");
    assert!(more.iter().all(|row| row[0] == "<none>"), "{all}");
    assert!(more.len() > 5, "{all}");
    let legacy = support::repository("testdata/engines/docker20-multi.tar");
    let (plain, all) = (
        imgtar(&["images", &legacy]),
        imgtar(&["images", "-a", &legacy]),
    );
    assert_eq!(plain.out(), all.out());
    // What a file of an old archive calls the image still finds it.
    let run = imgtar(&["images", "-q", &archive, "6e0be515fad5"]).exits(0);
    assert_eq!(
        run.out(),
        format!("{}\n", stored.lines().next().expect("an ID"))
    );
}

/// Every image of a long chain has a history of its own: that is counted.
#[test]
fn long_histories_are_not_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = support::shown(&directory.path().join("app.tar"));
    let remark = "x".repeat(1000);
    let image = json!({"os": "linux", "created": "2015-06-01T02:03:04Z", "comment": remark});
    packed(&stack("long", &vec![image; 16], false), 0, &path);
    let limit = ["--limit", "repeated-text=100KiB"];
    let report = imgtar(&[&["images", "--json", &path][..], &limit].concat()).json();
    let image = &report["images"][0];
    assert_eq!(image["id"], image["legacy_id"]);
    let report = imgtar(&["images", "--json", &path]).exits(0).json();
    assert!(
        report["images"][0]["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("sha256:"))
    );
}
