//! `rescue`: containers as images and as file systems, volumes, and images with layers that are made of files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::process;

use serde_json::Value;

use crate::rescue::{below, edit_into, edited, printed, root, unpacked};
use crate::support::{Docker, Work, imgtar, items, measured, text};

/// Roots with a container that was changed, and an image that the engine committed of it.
const WITH_COMMIT: [&str; 7] = [
    "docker26-overlay2",
    "docker26-vfs",
    "docker20-overlay",
    "docker26-containerd",
    "docker28-containerd",
    "podman-overlay",
    "podman-vfs",
];

/// What the engine called the image that it committed.
fn committed(name: &str) -> String {
    let printed = printed(name);
    let mut names = printed.keys();
    let found = names.find(|name| name.ends_with("/committed:1"));
    found.expect("a commit").clone()
}

#[test]
fn a_container_as_an_image_is_what_its_engine_committed() {
    for name in WITH_COMMIT {
        let work = Work::new();
        let (image, all) = (work.path("image.tar"), work.path("all.tar"));
        let run = imgtar(&[
            "rescue",
            &root(name),
            "--container",
            "changed",
            "-o",
            &image,
        ]);
        let run = run.exits(0);
        assert!(
            run.err().contains("1 container among them"),
            "{name}: {run}"
        );
        imgtar(&["verify", "-q", &image]).exits(0);
        imgtar(&["rescue", &root(name), "-o", &all]).exits(0);
        let of_engine = committed(name);
        let flat = |args: &[&str]| {
            let args = [&["flatten"], args, &["-o", "-"]].concat();
            imgtar(&args).exits(0).stdout
        };
        assert!(flat(&[&image]) == flat(&[&all, &of_engine]), "{name}");
        let layers = |archive: &str, image: &[&str]| {
            let args = [&["inspect", archive], image, &["--json"]].concat();
            let read = imgtar(&args).exits(0).json();
            let image = read["images"][0].clone();
            let count = items(&image["layers"]).len();
            (count, image["config"]["config"].clone())
        };
        let (count, config) = layers(&image, &[]);
        let (wanted_count, wanted) = layers(&all, &[&of_engine]);
        assert_eq!(count, wanted_count, "{name}");
        for key in [
            "Env",
            "Cmd",
            "Entrypoint",
            "User",
            "WorkingDir",
            "Labels",
            "ExposedPorts",
        ] {
            // podman's own is in its database.
            if name.starts_with("docker") {
                assert_eq!(config[key], wanted[key], "{name} {key}");
            }
        }
    }
}

/// Roots with a container that ran and changed its files in every way, what its engine exported of it, and what it
/// committed (`testdata/make-changed.sh`).
const CHANGED: [&str; 8] = [
    "docker20-overlay2",
    "docker20-overlay",
    "docker26-overlay2",
    "docker26-vfs",
    "docker26-containerd",
    "docker28-containerd",
    "podman-overlay",
    "podman-vfs",
];

/// Everything that a tar says of each entry. Of a file with several names the first in the tar has the bytes.
fn said(tar: &[u8]) -> BTreeMap<Vec<u8>, String> {
    let mut archive = tar::Archive::new(tar);
    let mut bodies: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut said = BTreeMap::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = entry.path_bytes().into_owned();
        let mut link = entry.link_name_bytes().unwrap_or_default().into_owned();
        let mut kind = entry.header().entry_type();
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        if kind == tar::EntryType::Link {
            body.clone_from(&bodies[&link]);
            kind = tar::EntryType::Regular;
            link.clear();
        }
        bodies.insert(path.clone(), body.clone());
        let pax = entry.pax_extensions().expect("records");
        let pax = pax.into_iter().flatten().flatten();
        let xattrs: BTreeMap<Vec<u8>, Vec<u8>> = pax
            .filter(|record| record.key_bytes().starts_with(b"SCHILY.xattr."))
            .map(|record| (record.key_bytes().into(), record.value_bytes().into()))
            .collect();
        let header = entry.header();
        let facts = format!(
            "{kind:?} {:o} {:?} {:?} {:?} {:?} {:?} {link:?} {body:?} {xattrs:?}",
            header.mode().expect("a mode") & 0o7777,
            header.uid(),
            header.gid(),
            header.mtime(),
            header.device_major(),
            header.device_minor(),
        );
        said.insert(path, facts);
    }
    said
}

/// The files of a changed container are those that its engine exported, with all their attributes; and as an
/// image those that it committed.
#[test]
fn a_container_that_ran_is_what_its_engine_exported_and_committed() {
    for name in CHANGED {
        let work = Work::new();
        let root = root(&format!("changed/{name}"));
        let (flat, image) = (work.path("flat.tar"), work.path("image.tar"));
        imgtar(&[
            "rescue",
            &root,
            "--container",
            "changed",
            "--flatten",
            "-o",
            &flat,
        ])
        .exits(0);
        let exported = said(&unpacked(&format!("changed/{name}.export")));
        let found = said(&fs::read(&flat).expect("a tar"));
        assert_eq!(found, exported, "{name}");
        imgtar(&["rescue", &root, "--container", "changed", "-o", &image]).exits(0);
        let saved = work.put("saved.tar", &unpacked(&format!("changed/{name}.commit")));
        let flat = |archive: &str| said(&imgtar(&["flatten", archive, "-o", "-"]).exits(0).stdout);
        assert_eq!(flat(&image), flat(&saved), "{name}");
        imgtar(&["verify", "-q", &image]).exits(0);
        let listed = imgtar(&["rescue", &root, "--json"]).exits(0).json();
        let state = &listed["containers"][0]["state"];
        assert!(state.is_null() || text(state) == "exited (0)", "{name}");
        let command = items(&listed["containers"][0]["command"]);
        let command: Vec<&str> = command.iter().map(text).collect();
        assert_eq!(command, ["/mnt/busybox", "sh", "/mnt/change.sh"], "{name}");
        let config = |archive: &str| {
            let read = imgtar(&["inspect", archive, "--json"]).exits(0).json();
            read["images"][0]["config"]["config"].clone()
        };
        let (own, of_engine) = (config(&image), config(&saved));
        for key in ["Env", "Cmd", "Entrypoint", "User", "WorkingDir"] {
            assert_eq!(own[key], of_engine[key], "{name} {key}");
        }
        // The volume has what the container wrote there.
        let volume = items(&listed["volumes"])
            .iter()
            .find(|volume| volume["size"] == 7);
        if let Some(volume) = volume {
            let run = imgtar(&[
                "rescue",
                &root,
                "--volume",
                text(&volume["name"]),
                "-o",
                "-",
            ]);
            assert_eq!(names(&run.exits(0).stdout)["kept"], b"volume\n", "{name}");
        }
    }
}

/// A root as it is after `docker rmi -f` of the image of its container: name and config are gone, the layers are not,
/// since the container holds them. With the ID of the image. `more` may change other files, and says which stay.
pub(crate) fn without_image(
    name: &str,
    mut more: impl FnMut(&str, &mut Vec<u8>) -> bool,
) -> (Vec<u8>, String) {
    let listed = imgtar(&["rescue", &root(name), "--json"]).exits(0).json();
    let id = text(&listed["containers"][0]["image"]).to_owned();
    let hex = id.strip_prefix("sha256:").expect("an image ID");
    let tar = edited(&unpacked(name), |path, body| {
        if path.ends_with("/repositories.json") {
            let mut read: Value = serde_json::from_slice(body).expect("JSON");
            let repositories = read["Repositories"].as_object_mut().expect("names");
            for names in repositories.values_mut() {
                let names = names.as_object_mut().expect("names");
                names.retain(|_, of| text(of) != id);
            }
            *body = serde_json::to_vec(&read).expect("JSON");
        }
        let is_gone = path.contains("/imagedb/") && path.contains(hex);
        let stays = !is_gone && more(path, body);
        stays.then(|| path.to_owned())
    });
    (tar, id)
}

/// The files of a container come back without its image, and as an image it has its layers and its own config.
#[test]
fn a_container_whose_image_was_removed_comes_back_from_its_layers() {
    for name in [
        "changed/docker26-overlay2",
        "changed/docker26-vfs",
        "changed/docker20-overlay",
    ] {
        let work = Work::new();
        let (tar, id) = without_image(name, |_, _| true);
        // Packing anew drops attributes, which say what a container hides.
        let whole = edited(&unpacked(name), |path, _| Some(path.to_owned()));
        let (whole, removed) = (
            work.put("whole-root.tar", &whole),
            work.put("root.tar", &tar),
        );
        let listed = imgtar(&["rescue", &removed, "--json"]).exits(0).json();
        let container = &listed["containers"][0];
        assert_eq!(container["image_missing"], true, "{name}");
        assert!(container["fault"].is_null(), "{name}");
        let images = items(&listed["stores"][0]["images"]);
        assert!(images.iter().all(|image| image["id"] != id), "{name}");
        let shown = imgtar(&["rescue", &removed]).exits(0);
        let says = format!("changed: its image {id} is not in the tar");
        assert!(shown.out().contains(&says), "{name}: {shown}");
        let flat = |root: &str| {
            let args = [
                "rescue",
                root,
                "--container",
                "changed",
                "--flatten",
                "-o",
                "-",
            ];
            imgtar(&args).exits(0).stdout
        };
        assert!(flat(&removed) == flat(&whole), "{name}");
        let made = |root: &str, to: &str| {
            let run = imgtar(&["rescue", root, "--container", "changed", "-o", to]).exits(0);
            imgtar(&["verify", "-q", to]).exits(0);
            let read = imgtar(&["inspect", to, "--json"]).exits(0).json();
            (run, read["images"][0].clone())
        };
        let (run, image) = made(&removed, &work.path("removed.tar"));
        let (_, with_image) = made(&whole, &work.path("whole.tar"));
        let says = "the image that the container was started from is not in the tar";
        assert!(run.err().contains(says), "{name}: {run}");
        let (config, wanted) = (&image["config"], &with_image["config"]);
        assert_eq!(config["rootfs"], wanted["rootfs"], "{name}");
        assert_eq!(config["architecture"], wanted["architecture"], "{name}");
        for key in ["Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Labels"] {
            assert_eq!(config["config"][key], wanted["config"][key], "{name} {key}");
        }
        let layers = items(&config["rootfs"]["diff_ids"]).len();
        assert_eq!(items(&config["history"]).len(), layers, "{name}");
    }
}

/// What was rescued is loaded by Docker, which then has the layers that imgtar computed.
#[test]
fn what_was_rescued_loads_into_docker() {
    for docker in Docker::classic() {
        for name in CHANGED {
            let work = Work::new();
            let root = root(&format!("changed/{name}"));
            let (image, one, tagged) = (work.path("c.tar"), work.path("i.tar"), work.path("t.tar"));
            imgtar(&["rescue", &root, "--container", "changed", "-o", &image]).exits(0);
            let app = if name.starts_with("podman") {
                "localhost/imgtar-testdata/app:1"
            } else {
                "imgtar-testdata/app:1"
            };
            imgtar(&["rescue", &root, app, "-o", &one]).exits(0);
            // A name that nobody else uses on this engine.
            let own = format!("imgtar-rescued-{}/{name}:1", process::id());
            imgtar(&["tag", &one, &own, "--only", "-o", &tagged]).exits(0);
            for archive in [&image, &tagged] {
                let listed = imgtar(&["inspect", archive, "--json"]).exits(0).json();
                let ours = &listed["images"][0];
                docker.run_on(&["load", "-q"], archive);
                let id = text(&ours["id"]);
                let inspected = docker.ask(&["image", "inspect", id]);
                let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
                let layers = &ours["config"]["rootfs"]["diff_ids"];
                assert_eq!(&inspected[0]["RootFS"]["Layers"], layers, "{name}");
                docker.forget(id);
            }
        }
    }
}

#[test]
fn containers_go_into_the_archive_with_the_images() {
    let name = "docker26-overlay2";
    let work = Work::new();
    let out = work.path("out.tar");
    let run = imgtar(&["rescue", &root(name), "--containers", "-o", &out, "--json"]).exits(0);
    let report = run.json();
    let made = items(&report["made"]);
    assert_eq!(made.len(), 1, "{run}");
    assert_eq!(made[0]["container"], report["containers"][0]["id"]);
    assert!(run.err().contains("1 container among them"), "{run}");
    imgtar(&["verify", "-q", &out]).exits(0);
    let ids = imgtar(&["images", "-q", "--no-trunc", &out]).exits(0);
    assert!(ids.out().contains(text(&made[0]["id"])), "{ids}");
    let again = work.path("again.tar");
    let args = [
        "rescue",
        &root(name),
        "--containers",
        "-o",
        &again,
        "-j",
        "1",
    ];
    imgtar(&args).exits(0);
    assert!(fs::read(&out).expect("a file") == fs::read(&again).expect("a file"));
}

#[test]
fn a_container_is_flattened_with_what_its_engine_put_there() {
    for name in WITH_COMMIT {
        let work = Work::new();
        let out = work.path("rootfs.tar");
        let run = imgtar(&[
            "rescue",
            &root(name),
            "--container",
            "changed",
            "--flatten",
            "-o",
            &out,
        ]);
        run.exits(0);
        let tar = fs::read(&out).expect("a tar");
        let names = names(&tar);
        assert!(names.contains_key("added"), "{name}");
        assert!(names.contains_key("bin/tool"), "{name}");
        let is_docker = name.starts_with("docker");
        assert_eq!(names.contains_key(".dockerenv"), is_docker, "{name}");
        assert_eq!(names.contains_key("dev/console"), is_docker, "{name}");
    }
}

/// The entries of a tar with their bodies.
fn names(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("a tar").map(|entry| {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        (path, body)
    });
    entries.collect()
}

#[test]
fn a_volume_is_given_as_a_tar() {
    let work = Work::new();
    let out = work.path("volume.tar");
    let root = root("docker26-overlay2");
    let run = imgtar(&["rescue", &root, "--volume", "imgtar-volume", "-o", &out]).exits(0);
    assert!(
        run.err().contains("3 entries, the volume imgtar-volume"),
        "{run}"
    );
    let found = names(&fs::read(&out).expect("a tar"));
    let paths: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(paths, ["./", "sub/", "sub/file"]);
    assert_eq!(found["sub/file"], b"data\n");
    // Compressed by its name, and to a pipe.
    let zst = work.path("volume.tar.zst");
    imgtar(&["rescue", &root, "--volume", "imgtar-volume", "-o", &zst]).exits(0);
    let piped = imgtar(&["rescue", &root, "--volume", "imgtar-volume", "-o", "-"]).exits(0);
    assert!(piped.stdout == fs::read(&out).expect("a tar"));
}

#[test]
fn what_is_not_there_is_named() {
    let work = Work::new();
    let out = work.path("out.tar");
    let root = root("docker26-overlay2");
    let run = imgtar(&["rescue", &root, "--container", "web", "-o", &out]).exits(3);
    assert!(run.err().contains("there is no container web"), "{run}");
    assert!(run.err().contains("it has changed"), "{run}");
    let run = imgtar(&["rescue", &root, "--volume", "web", "-o", &out]).exits(3);
    assert!(run.err().contains("there is no volume web"), "{run}");
    assert!(fs::metadata(&out).is_err());
    for args in [
        &["--container", "changed"][..],
        &["--volume", "imgtar-volume"],
        &["--flatten", "-o", &out],
        &["--containers"],
        &["--accept-changes"],
        &["--containers", "--container", "changed", "-o", &out],
    ] {
        imgtar(&[&["rescue", &root], args].concat()).exits(2);
    }
}

/// Layers without what they were: refused, and with `--accept-changes` made of the files that are there.
#[test]
fn layers_are_made_of_files_if_that_is_accepted() {
    for name in [
        "docker26-overlay2",
        "docker26-vfs",
        "docker20-overlay",
        "podman-overlay",
        "podman-vfs",
    ] {
        let work = Work::new();
        let tar = edited(&unpacked(name), |path, _| {
            (!path.ends_with("tar-split.json.gz") && !path.ends_with(".tar-split.gz"))
                .then(|| path.to_owned())
        });
        let (without, out) = (work.put("root.tar", &tar), work.path("out.tar"));
        let printed = printed(name);
        let app = printed
            .keys()
            .find(|name| name.ends_with("app:2"))
            .expect("app:2");
        let run = imgtar(&["rescue", &without, app, "-o", &out]).exits(3);
        assert!(run.err().contains("--accept-changes"), "{name}: {run}");
        let run = imgtar(&[
            "rescue",
            &without,
            app,
            "-o",
            &out,
            "--accept-changes",
            "--json",
        ]);
        let run = run.exits(0);
        imgtar(&["verify", "-q", &out]).exits(0);
        let report = run.json();
        let made = &report["made"][0];
        assert_eq!(text(&made["was"]), printed[app], "{name}");
        assert!(run.err().contains("layer 0: diff ID"), "{name}: {run}");
        let listed = imgtar(&["images", &out, "--json"]).exits(0).json();
        assert_eq!(listed["images"][0]["id"], made["id"], "{name}");
        let references = items(&listed["images"][0]["references"]);
        assert!(references.iter().any(|name| text(name) == app), "{name}");
    }
}

/// Directories with hard links to the next one, thirty deep, are written once: followed, they were a billion.
#[test]
fn hard_links_to_directories_are_refused() {
    let mut out = tar::Builder::new(Vec::new());
    edit_into(&mut out, &unpacked("docker26-overlay2"), |path, _| {
        below("", path)
    });
    let volume = "volumes/wide/_data";
    let mut add = |kind: tar::EntryType, name: &str, link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(0);
        match kind {
            tar::EntryType::Link => out.append_link(&mut header, name, link),
            _ => out.append_data(&mut header, name, &[][..]),
        }
        .expect("room in memory");
    };
    for depth in 0..30 {
        add(tar::EntryType::Directory, &format!("{volume}/{depth}"), "");
        for name in ["a", "b"] {
            let next = format!("{volume}/{}", depth + 1);
            add(
                tar::EntryType::Link,
                &format!("{volume}/{depth}/{name}"),
                &next,
            );
        }
    }
    add(tar::EntryType::Directory, &format!("{volume}/30"), "");
    let work = Work::new();
    let root = work.put("root.tar", &out.into_inner().expect("memory"));
    let to = work.path("out.tar");
    let ended = measured::run(&["rescue", &root, "--volume", "wide", "-o", &to]);
    ended.check().exits(3);
    assert!(
        ended.says("which is not a file in the tar"),
        "{}",
        ended.err
    );
    assert!(fs::metadata(&to).is_err());
}
