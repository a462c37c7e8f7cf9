//! `convert`: the same images in another layout.

use std::process;

use serde_json::Value;

use crate::support::Work;
use crate::support::{
    Ctr, Docker, archives, bytes, engines, imgtar, in_turn, items, repository, text,
};

pub const LAYOUTS: [&str; 3] = ["docker", "docker-legacy", "oci"];

/// Archives that engines wrote, of images for one platform.
const PLAIN: [&str; 8] = [
    "docker20-multi.tar",
    "docker20-one.tar.zst",
    "docker26-one.tar",
    "docker26c-one.tar",
    "podman-oci.tar",
    "skopeo-oci.tar",
    "skopeo-oci-zstd.tar",
    "v1.tar",
];

fn convert(archive: &str, layout: &str, to: &str) -> Value {
    let run = imgtar(&["convert", archive, "--layout", layout, "-o", to, "--json"]);
    run.exits(0).json()
}

/// There and back again: once everything is in a layout that imgtar wrote, nothing changes any more.
#[test]
fn docker_to_oci_to_docker_is_the_same() {
    for name in PLAIN {
        let work = Work::new();
        let first = work.path("first.tar");
        convert(&engines(name), "docker", &first);
        let mut last = bytes(&first);
        let mut oci = Vec::new();
        for round in 0..2 {
            let (there, back) = (
                work.path(&format!("{round}.oci")),
                work.path(&format!("{round}.tar")),
            );
            convert(&first, "oci", &there);
            convert(&there, "docker", &back);
            assert_eq!(bytes(&back), last, "{name}");
            if round == 0 {
                oci = bytes(&there);
            }
            assert_eq!(bytes(&there), oci, "{name}");
            last = bytes(&back);
        }
    }
}

/// An OCI image layout that is converted to one keeps what containerd and signatures know the images by.
#[test]
fn indexes_and_artifacts_keep_their_digests() {
    for name in [
        "buildkit28-platforms.tar",
        "buildkit28-artifacts.tar",
        "docker28c-platforms.tar",
    ] {
        let work = Work::new();
        let to = work.path("out.tar");
        let before = imgtar(&["inspect", &engines(name), "--json"])
            .exits(0)
            .json();
        convert(&engines(name), "oci", &to);
        let after = imgtar(&["inspect", &to, "--json"]).exits(0).json();
        assert_eq!(before["artifacts"], after["artifacts"], "{name}");
        assert_eq!(
            items(&before["images"]).len(),
            items(&after["images"]).len()
        );
        for (before, after) in items(&before["images"]).iter().zip(items(&after["images"])) {
            assert_eq!(before["containerd_id"], after["containerd_id"], "{name}");
            assert_eq!(before["id"], after["id"], "{name}");
        }
        imgtar(&["verify", "-q", &to]).exits(0);
    }
}

#[test]
fn docker_gets_one_platform() {
    let work = Work::new();
    let to = work.path("out.tar");
    let archive = engines("buildkit28-platforms.tar");
    let run = imgtar(&["convert", &archive, "--layout", "docker", "-o", &to]).exits(2);
    assert!(
        run.err().contains("--platform linux/arm64"),
        "{}",
        run.err()
    );
    let args = [
        "convert",
        &archive,
        "--layout",
        "docker",
        "--platform",
        "arm64",
        "-o",
        &to,
        "--json",
    ];
    let answer = imgtar(&args).exits(0).json();
    let [image] = items(&answer["images"]) else {
        panic!("one image: {answer}");
    };
    assert_eq!(text(&image["platform"]), "linux/arm64");
    imgtar(&["verify", "-q", &to]).exits(0);
}

/// Image IDs and diff IDs never change, and what was printed is what is there.
#[test]
fn every_archive_keeps_its_ids() {
    let directory = repository("testdata/engines");
    for (number, name) in archives(&directory)
        .iter()
        .filter(|name| !name.contains("export"))
        .enumerate()
    {
        let archive = format!("{directory}/{name}");
        let before = imgtar(&["images", &archive, "--json"]).exits(0).json();
        // One that was saved for another platform alone.
        let platform = if name == "docker28c-platform.tar" {
            "arm64"
        } else {
            "amd64"
        };
        for (turn, layout) in LAYOUTS.into_iter().enumerate() {
            if !in_turn(number + turn) {
                continue;
            }
            let work = Work::new();
            let to = work.path("out.tar");
            let args = [
                "convert",
                &archive,
                "--layout",
                layout,
                "-o",
                &to,
                "--json",
                "--platform",
                platform,
            ];
            let answer = imgtar(&args).exits(0).json();
            let after = imgtar(&["images", &to, "--json"]).exits(0).json();
            let ids = |answer: &Value, key: &str| -> Vec<String> {
                let mut ids: Vec<String> = items(&answer["images"])
                    .iter()
                    .map(|i| i[key].to_string())
                    .collect();
                ids.sort();
                ids
            };
            for key in ["id", "containerd_id"] {
                assert_eq!(ids(&answer, key), ids(&after, key), "{name} {layout} {key}");
            }
            let known = ids(&before, "id");
            if !name.starts_with("v1") {
                assert!(
                    ids(&after, "id").iter().all(|id| known.contains(id)),
                    "{name}"
                );
            }
            imgtar(&["verify", "-q", &to]).exits(0);
        }
    }
}

#[test]
fn a_damaged_layer_is_named_and_nothing_is_written() {
    let work = Work::new();
    for layout in LAYOUTS {
        let to = work.path(layout);
        let archive = repository("testdata/broken/layer-bit-flipped.tar");
        for compress in ["keep", "gzip"] {
            let args = [
                "convert",
                &archive,
                "--layout",
                layout,
                "--compress",
                compress,
            ];
            let run = imgtar(&[&args[..], &["-o", &to]].concat()).exits(3);
            assert!(run.err().contains("layer 1 of"), "{}", run.err());
            assert!(!std::path::Path::new(&to).exists());
        }
    }
}

/// Layers become others, and nothing else does: not with one thread or many, not for images that share them.
#[test]
fn layers_are_compressed_as_was_asked_for() {
    for name in [
        "docker26-multi.tar",
        "podman-oci.tar",
        "skopeo-oci-zstd.tar",
    ] {
        let archive = engines(name);
        let before = imgtar(&["layers", &archive, "--json"]).exits(0).json();
        for compress in ["none", "gzip", "zstd"] {
            let work = Work::new();
            let (one, three, again) = (
                work.path("1.tar"),
                work.path("3.tar"),
                work.path("again.tar"),
            );
            let convert = |from: &str, to: &str, more: &[&str]| {
                let args = [
                    "convert",
                    from,
                    "--layout",
                    "oci",
                    "-o",
                    to,
                    "--json",
                    "--compress",
                    compress,
                ];
                imgtar(&[&args, more].concat()).exits(0).json()
            };
            let answer = convert(&archive, &one, &["-j", "1"]);
            convert(&archive, &three, &["-j", "3"]);
            assert_eq!(bytes(&one), bytes(&three), "{name} {compress}");
            // What has the compression stays as it is; a level says that it is not to stay.
            convert(&one, &again, &[]);
            assert_eq!(bytes(&one), bytes(&again), "{name} {compress}");
            if compress != "none" {
                let level = work.path("level.tar");
                convert(&one, &level, &["--level", "1"]);
                assert_ne!(bytes(&one), bytes(&level), "{name} {compress}");
                imgtar(&["verify", "-q", &level]).exits(0);
            }
            imgtar(&["verify", "-q", &one]).exits(0);
            let after = imgtar(&["layers", &one, "--json"]).exits(0).json();
            for (before, after) in items(&before["images"]).iter().zip(items(&after["images"])) {
                assert_eq!(before["id"], after["id"], "{name} {compress}");
                for (before, after) in items(&before["layers"]).iter().zip(items(&after["layers"]))
                {
                    assert_eq!(before["diff_id"], after["diff_id"], "{name} {compress}");
                    assert_eq!(before["tar_size"], after["tar_size"], "{name} {compress}");
                    assert_eq!(after["compression"], compress, "{name}");
                    let is_kept = before["compression"] == compress;
                    assert_eq!(
                        before["digest"] == after["digest"],
                        is_kept,
                        "{name} {compress}"
                    );
                }
            }
            for image in items(&answer["images"]) {
                let known = items(&after["images"])
                    .iter()
                    .any(|after| after["id"] == image["id"]);
                assert!(known, "{name} {compress}: {image}");
            }
        }
    }
}

/// Each is refused before anything is written.
#[test]
fn compression_that_makes_no_sense_is_refused() {
    let work = Work::new();
    let to = work.path("out.tar");
    let archive = engines("docker26-one.tar");
    for (arguments, says) in [
        (
            &["--layout", "docker", "--level", "3"][..],
            "but nothing is compressed",
        ),
        (
            &["--layout", "docker", "--level", "3", "--compress", "none"],
            "but nothing is compressed",
        ),
        (
            &["--layout", "docker", "--level", "10", "--compress", "gzip"],
            "gzip has no level 10, only 0 to 9",
        ),
        (
            &["--layout", "oci", "--level", "23", "--compress", "zstd"],
            "zstd has no level 23",
        ),
        (
            &["--layout", "docker-legacy", "--compress", "zstd"],
            "docker-legacy cannot read zstd layers",
        ),
    ] {
        let run = imgtar(&[&["convert", archive.as_str(), "-o", &to], arguments].concat()).exits(2);
        assert!(run.err().contains(says), "{run}");
        assert!(!std::path::Path::new(&to).exists());
    }
    let run = imgtar(&[
        "convert",
        &archive,
        "--layout",
        "docker",
        "--compress",
        "zstd",
        "-o",
        &to,
    ])
    .exits(0);
    assert!(
        run.err().contains("which Docker before 23 cannot load"),
        "{run}"
    );
}

/// What is converted loads, with the IDs that were printed.
fn loads(docker: Option<Docker>, layouts: &[&str], containerd: bool) {
    let Some(docker) = docker else { return };
    for (at, name) in PLAIN.iter().enumerate() {
        let work = Work::new();
        let to = work.path("out.tar");
        let layout = layouts[at % layouts.len()];
        let answer = convert(&engines(name), layout, &to);
        docker.run_on(&["load", "-q"], &to);
        let key = if containerd { "containerd_id" } else { "id" };
        let mut loaded = Vec::new();
        for image in items(&answer["images"]) {
            let id = text(&image[key]).to_owned();
            let printed = docker.run(&["image", "inspect", &id]);
            let inspected: Value = serde_json::from_slice(&printed).expect("JSON");
            assert_eq!(text(&inspected[0]["Id"]), id, "{name} as {layout}");
            loaded.push(id);
        }
        for id in loaded {
            docker.try_run(&["rmi", "-f", &id]);
        }
    }
}

#[test]
fn docker_20_loads_what_is_converted() {
    loads(Docker::d20(), &LAYOUTS[..2], false);
}

#[test]
fn docker_28_loads_what_is_converted() {
    loads(Docker::d28(), &LAYOUTS[..2], false);
}

#[test]
fn docker_28_with_containerd_loads_what_is_converted() {
    loads(Docker::d28c(), &["docker", "oci"], true);
}

#[test]
fn ctr_imports_what_is_converted() {
    let namespace = format!("imgtar-convert-{}", process::id());
    let Some(ctr) = Ctr::find(&namespace) else {
        return;
    };
    for name in PLAIN
        .into_iter()
        .chain(["buildkit28-platforms.tar", "buildkit28-artifacts.tar"])
    {
        let work = Work::new();
        let to = work.path("out.tar");
        let answer = convert(&engines(name), "oci", &to);
        ctr.import(&["--all-platforms"], &to);
        let listed = ctr.ask(&["images", "ls"]);
        for image in items(&answer["images"]) {
            let id = text(&image["containerd_id"]);
            assert!(listed.contains(id), "{name}: {id} is not in {listed}");
        }
        let names = ctr.ask(&["images", "ls", "-q"]);
        for name in names.lines() {
            ctr.ask(&["images", "rm", "--sync", name]);
        }
    }
}
