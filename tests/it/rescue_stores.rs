//! `rescue`: stores of engines that do not run here any more, and paths that others use.

use std::collections::BTreeMap;
use std::fs;

use crate::rescue::{below, edit_into, edited, named, printed, root, unpacked};
use crate::support::{Work, engines, imgtar, items, read, repository, text};

/// The images of an archive: names with IDs.
fn images_of(archive: &str) -> BTreeMap<String, String> {
    let read = imgtar(&["images", archive, "--json"]).exits(0).json();
    named(&read["images"])
}

/// Rescues everything and compares it with the archive that the data root was filled from: names, these IDs, files.
fn comes_back_as(name: &str, tar: &[u8], given: &str, wanted: &BTreeMap<String, String>) {
    let work = Work::new();
    let (root, out) = (work.put("root.tar", tar), work.path("out.tar"));
    let run = imgtar(&["rescue", &root, "-o", &out, "--json"]).exits(0);
    for image in items(&run.json()["stores"][0]["images"]) {
        assert_eq!(text(&image["verdict"]), "exact", "{name}");
    }
    imgtar(&["verify", "-q", &out]).exits(0);
    assert_eq!(&images_of(&out), wanted, "{name}");
    for image in wanted.keys() {
        let flat = |archive: &str| {
            let run = imgtar(&["flatten", archive, image, "-o", "-"]).exits(0);
            run.stdout
        };
        assert!(flat(&out) == flat(given), "{name} {image}");
    }
}

/// Docker before 1.10 kept no image IDs: they are those that Docker gave when it was upgraded.
#[test]
fn a_graph_comes_back_as_docker_upgraded_it() {
    let (tar, v1) = (unpacked("docker19-aufs"), engines("v1.tar"));
    let work = Work::new();
    let path = work.put("root.tar", &tar);
    let listed = imgtar(&["rescue", &path, "--json"]).exits(0).json();
    let store = &listed["stores"][0];
    assert_eq!(text(&store["engine"]), "docker-graph");
    assert_eq!(text(&store["driver"]), "aufs");
    assert_eq!(items(&store["remarks"]).len(), 0);
    // What a Docker printed that had loaded the archive.
    let printed = read(&repository("testdata/engines/v1.images20.txt"));
    let rows = printed.lines().skip(1).map(|line| {
        let mut cells = line.split_whitespace();
        let mut cell = || cells.next().expect("a cell");
        let (repository, tag) = (cell(), cell());
        (format!("{repository}:{tag}"), cell().to_owned())
    });
    comes_back_as("graph", &tar, &v1, &rows.collect());
}

/// What a graph lacks is said, and what is built on it does not come back.
#[test]
fn a_graph_with_gaps_gives_what_is_whole() {
    let tar = unpacked("docker19-aufs");
    let base = "1e8e82e7c66a67e8d3035a32af83029bf3ed6fef752492fb0587c82d4c8f4e23";
    let below_classic = "c80dbdbffed4549d9c4d0fac345196a62a92df3fcba72a625da727e9d56e2101";
    let without = |gone: &str, says: &str, whole: usize| {
        let damaged = edited(&tar, |path, _| {
            (!path.contains(gone)).then(|| path.to_owned())
        });
        let work = Work::new();
        let (root, out) = (work.put("root.tar", &damaged), work.path("out.tar"));
        let run = imgtar(&["rescue", &root, "-o", &out]);
        let run = run.exits(if whole == 0 { 3 } else { 0 });
        assert!(run.err().contains(says), "{gone}: {run}");
        if whole > 0 {
            imgtar(&["verify", "-q", &out]).exits(0);
            let read = imgtar(&["images", &out, "--json"]).exits(0).json();
            assert_eq!(items(&read["images"]).len(), whole, "{gone}");
        }
    };
    without(
        &format!("graph/{base}/tar-data"),
        "Docker before 1.8 had none",
        3,
    );
    without(
        &format!("graph/{below_classic}"),
        "the image that it was built on is not in the tar",
        1,
    );
    without(
        &format!("aufs/diff/{base}"),
        &format!("aufs/diff/{base} is not in the tar"),
        3,
    );
    without("repositories-aufs", "come back without their names", 4);
    without(&format!("graph/{base}"), "base:1 does not come back", 3);
    without("aufs/diff/", "no image in", 0);
    // A byte that was changed: no diff ID was kept, but a checksum was.
    let changed = edited(&tar, |path, body| {
        if path.ends_with(&format!("diff/{base}/bin/tool")) {
            body[0] ^= 1;
        }
        Some(path.to_owned())
    });
    let work = Work::new();
    let (root, out) = (work.put("root.tar", &changed), work.path("out.tar"));
    let run = imgtar(&["rescue", &root, "-o", &out]).exits(0);
    assert!(run.err().contains("its CRC-64 was"), "{run}");
}

/// Drivers differ in where they keep files, and in how they hide them, which tar-split has in its own way.
#[test]
fn drivers_of_docker_are_read_wherever_they_keep_files() {
    let given = engines("docker20-multi.tar");
    let aufs = unpacked("docker17-aufs");
    let wanted = images_of(&given);
    comes_back_as("aufs", &aufs, &given, &wanted);
    let fuse = edited(&aufs, |path, _| {
        let path = path.replace("image/aufs", "image/fuse-overlayfs");
        let Some((before, id)) = path.split_once("aufs/diff/") else {
            return Some(path);
        };
        let (id, rest) = id.split_once('/').unwrap_or((id, ""));
        Some(format!("{before}fuse-overlayfs/{id}/diff/{rest}"))
    });
    comes_back_as("fuse-overlayfs", &fuse, &given, &wanted);
    for (driver, above) in [("btrfs", "btrfs/subvolumes/"), ("zfs", "zfs/graph/")] {
        let moved = edited(&unpacked("docker26-vfs"), |path, _| {
            // The image that was made of the container is not in the archive.
            let is_of_commit = path.contains("dc7457fb") || path.contains("ea718990");
            let path = path.replace("image/vfs", &format!("image/{driver}"));
            (!is_of_commit).then(|| path.replace("vfs/dir/", above))
        });
        let work = Work::new();
        let (root, out) = (work.put("root.tar", &moved), work.path("out.tar"));
        imgtar(&["rescue", &root, "-o", &out]).exits(0);
        assert_eq!(images_of(&out), wanted, "{driver}");
    }
}

/// What is on block devices cannot be in a tar: what to do instead is said, and what is known is listed.
#[test]
fn files_on_block_devices_are_refused_by_name() {
    let tar = unpacked("docker17-aufs");
    for (driver, says) in [
        ("zfs", "mount the data set of each layer"),
        ("devicemapper", "start a Docker older than 25 on this disk"),
        (
            "windowsfilter",
            "the storage driver windowsfilter is not known",
        ),
    ] {
        let moved = edited(&tar, |path, _| {
            let path = path.replace("image/aufs", &format!("image/{driver}"));
            (!path.contains("aufs/")).then_some(path)
        });
        let work = Work::new();
        let root = work.put("root.tar", &moved);
        let run = imgtar(&["rescue", &root]).exits(0);
        assert!(run.out().contains(says), "{driver}: {run}");
        assert!(run.out().contains("config only"), "{driver}: {run}");
        let out = work.path("out.tar");
        let run = imgtar(&["rescue", &root, "-o", &out]).exits(3);
        assert!(run.err().contains(says), "{driver}: {run}");
        assert!(fs::metadata(&out).is_err());
    }
}

/// A containerd of its own, with names in several namespaces and a metadata file of several pages; and where k3s, RKE2
/// and kind have theirs.
#[test]
fn a_containerd_alone_comes_back_wherever_it_is() {
    let tar = unpacked("containerd2");
    for prefix in [
        "",
        "var/lib/containerd/",
        "var/lib/rancher/k3s/agent/containerd/",
        "var/lib/rancher/rke2/agent/containerd/",
        "docker/volumes/0123456789abcdef/_data/lib/containerd/",
    ] {
        let work = Work::new();
        let moved = edited(&tar, |path, _| below(prefix, path));
        let (root, out) = (work.put("root.tar", &moved), work.path("out.tar"));
        let listed = imgtar(&["rescue", &root, "--json"]).exits(0).json();
        let stores = items(&listed["stores"]);
        let namespaces: Vec<_> = stores.iter().map(|store| text(&store["driver"])).collect();
        assert_eq!(namespaces, ["default", "k8s.io", "many"], "{prefix}");
        for store in stores {
            assert_eq!(text(&store["engine"]), "containerd");
        }
        // Of what Kubernetes calls an image only the name with a tag is one.
        let kubernetes = &items(&stores[1]["images"])[0];
        assert_eq!(items(&kubernetes["references"]).len(), 1);
        assert_eq!(items(&kubernetes["digests"]).len(), 1);
        assert_eq!(named(&stores[2]["images"]).len(), 305);
        imgtar(&["rescue", &root, "-o", &out]).exits(0);
        imgtar(&["verify", "-q", &out]).exits(0);
        let written = imgtar(&["images", &out, "--json"]).exits(0).json();
        let mut found = BTreeMap::new();
        for image in items(&written["images"]) {
            for reference in items(&image["references"]) {
                let name = text(reference);
                let name = match name.strip_prefix("imgtar-testdata/") {
                    Some(_) => format!("docker.io/{name}"),
                    None => name.to_owned(),
                };
                if !name.contains("/many:") {
                    found.insert(name, text(&image["containerd_id"]).to_owned());
                }
            }
        }
        assert_eq!(found, printed("containerd2"), "{prefix}");
    }
}

/// A tar of a host has several engines, and one that was upgraded has what it had before beside it.
#[test]
fn what_an_upgrade_left_behind_is_not_read_twice() {
    let mut both = tar::Builder::new(Vec::new());
    let mut edit = |name: &str| {
        edit_into(&mut both, &unpacked(name), |path, _| below("", path));
    };
    edit("docker17-aufs");
    edit("docker19-aufs");
    let work = Work::new();
    let path = work.put("both.tar", &both.into_inner().expect("memory"));
    let listed = imgtar(&["rescue", &path, "--json"]).exits(0).json();
    assert_eq!(items(&listed["stores"]).len(), 1);
    assert_eq!(text(&listed["stores"][0]["engine"]), "docker");
    assert!(fs::metadata(root("docker19-aufs")).is_ok());
}
