//! What engines with a containerd store call images: told from the archive, and by such an engine.

use std::collections::BTreeSet;
use std::fs::File;

use crate::support::{
    self, Docker, answer, archives, engines, imgtar, items, read, repository, say, shared, text,
};

/// The IDs that Docker 28.5 and 29.7 printed, each with an empty store.
const KNOWN: [(&str, &str, &str); 7] = [
    (
        "archives",
        "docker20-quirks.tar",
        "aa257a63e7eb88420ee2b8fa5787534e621a4cc0a992dab0b9990e3e21434f9b",
    ),
    (
        "archives",
        "podman-docker.tar",
        "aa257a63e7eb88420ee2b8fa5787534e621a4cc0a992dab0b9990e3e21434f9b",
    ),
    (
        "archives",
        "skopeo-docker.tar",
        "aa257a63e7eb88420ee2b8fa5787534e621a4cc0a992dab0b9990e3e21434f9b",
    ),
    (
        "archives",
        "docker20-byid.tar",
        "aa257a63e7eb88420ee2b8fa5787534e621a4cc0a992dab0b9990e3e21434f9b",
    ),
    // gzip and zstd members.
    (
        "cases",
        "layout-crane-z.tar",
        "f442f3828a7f0d6147e31a404a2c4c66378f1ec557e9fff229435e4f52c6e1a3",
    ),
    (
        "broken",
        "same-layer-twice.tar",
        "8661f2fa9fd1873a95d5838d99358ac595c8c149de19b16a950529075df6335c",
    ),
    (
        "broken",
        "zero-layers.tar",
        "6fcafdb7922e7dac20554620b893737df8219c7698badcdcaf4babee1a719789",
    ),
];

/// The containerd IDs of an archive's images, each once; none if imgtar cannot read it.
fn told(archive: &str) -> BTreeSet<String> {
    let run = imgtar(&["images", "--json", archive]);
    if run.stdout.is_empty() {
        return BTreeSet::new();
    }
    ids_of(&run.json()["images"])
}

/// The same as `verify` computes them: the diff IDs of a damaged archive are not its digests.
fn computed(archive: &str) -> BTreeSet<String> {
    let report = imgtar(&["verify", "--json", archive]).json();
    ids_of(&report["archives"][0]["images"])
}

fn ids_of(images: &serde_json::Value) -> BTreeSet<String> {
    let ids = items(images).iter().map(|image| &image["containerd_id"]);
    ids.filter(|id| !id.is_null())
        .map(|id| text(id).to_owned())
        .collect()
}

#[test]
fn made_manifests_have_the_bytes_that_containerd_gives_them() {
    for (directory, name, hex) in KNOWN {
        let directory = match directory {
            "archives" => shared(directory),
            "cases" => Some(support::cases().to_owned()),
            _ => Some(repository(&format!("testdata/{directory}"))),
        };
        let Some(directory) = directory else { continue };
        let path = format!("{directory}/{name}");
        let id = format!("sha256:{hex}");
        assert_eq!(told(&path), BTreeSet::from([id.clone()]), "{name}");
        // `verify` computes what the others take from claims.
        let verified = answer(&["verify", "--json", &path]);
        let image = &verified["archives"][0]["images"][0];
        assert_eq!(image["containerd_id"], id, "{name}");
    }
}

/// What Docker 26.1 with the containerd store printed of the images that it had saved.
#[test]
fn listed_manifests_are_what_the_engine_printed() {
    let printed = read(&engines("images.d26c.txt"));
    let ids: BTreeSet<String> = printed
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(ToOwned::to_owned)
        .collect();
    assert_eq!(told(&engines("docker26c-multi.tar")), ids);
}

/// Of a config that others cannot read containerd reads the platform alone, and makes an image: the IDs that Docker
/// 28.5 printed.
#[test]
fn a_config_that_others_cannot_read_has_an_image() {
    let Some(truth) = shared("truth") else {
        return;
    };
    for (name, id) in [
        ("created-empty", "65adddd133b5"),
        ("created-lower", "5b417cd58723"),
    ] {
        let archive = format!("{truth}/cfg-{name}.tar");
        for args in [["images", "--json"], ["verify", "--json"]] {
            let report = imgtar(&[&args[..], &[&archive]].concat()).json();
            let images = report
                .get("images")
                .unwrap_or(&report["archives"][0]["images"]);
            let told = images[0]["containerd_id"].as_str().expect("an ID");
            assert!(
                told.starts_with(&format!("sha256:{id}")),
                "{archive}: {told}"
            );
        }
    }
    // Where not even that can be read containerd makes none.
    let archive = repository("testdata/broken/config-not-json.tar");
    assert!(told(&archive).is_empty());
}

/// Of archives from before Docker 1.10 containerd makes no image.
#[test]
fn v1_archives_have_none() {
    let report = answer(&["images", "--json", &engines("v1.tar")]);
    assert!(!items(&report["images"]).is_empty());
    assert!(told(&engines("v1.tar")).is_empty());
}

/// What the ID rests on, and whether a store can change it.
#[test]
fn inspect_says_what_the_id_rests_on() {
    let of = |archive: &str| {
        let report = answer(&["inspect", "--json", archive]);
        let image = &report["images"][0];
        (
            image["containerd_id_basis"].clone(),
            image["containerd_id_depends_on_store"].clone(),
        )
    };
    let zipped = format!("{}/layout-crane-z.tar", support::cases());
    for (archive, basis, depends) in [
        (engines("docker26c-one.tar"), "listed", false),
        (engines("docker26-one.tar"), "listed", false),
        (engines("docker20-one.tar"), "claimed", true),
        (
            repository("testdata/broken/zero-layers.tar"),
            "computed",
            false,
        ),
        (zipped, "claimed", true),
    ] {
        assert_eq!(of(&archive), (basis.into(), depends.into()), "{archive}");
    }
}

/// `images -q --containerd` and the table say the same.
#[test]
fn the_table_has_a_column_for_it() {
    let archive = engines("docker20-multi.tar");
    let ids = told(&archive);
    let quiet = imgtar(&["images", "-q", "--containerd", "--no-trunc", &archive]).succeeds();
    let listed: BTreeSet<String> = quiet.out().lines().map(ToOwned::to_owned).collect();
    assert_eq!(listed, ids);
    let table = imgtar(&["images", "--containerd", &archive]).succeeds();
    assert!(table.out().starts_with("REPOSITORY"));
    for id in ids {
        assert!(table.out().contains(&format!(" {} ", &id[7..19])), "{id}");
    }
}

/// Loads an archive into an engine with a containerd store, each image for the first time, and gives the
/// IDs that it has then. `None` if it refuses the archive.
fn loaded(docker: &Docker, archive: &str, told: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let forget = |ids: &BTreeSet<String>| {
        for id in ids {
            docker.forget(id);
        }
    };
    forget(told);
    let mut load = docker.command(&["load", "-q"]);
    load.stdin(File::open(archive).expect("the archive can be opened"));
    let output = load.output().expect("Docker's client starts");
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        say(&format!("{archive} is not loaded: {}", why.trim()));
        // Docker 26.1 keeps an image that it could not unpack.
        forget(told);
        return None;
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let id_of = |name: &str| {
        let mut inspect = docker.command(&["image", "inspect", "--format", "{{.Id}}", name]);
        let output = inspect.output().expect("Docker's client starts");
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(id)
    };
    // Names without a domain in an image layout are printed and not found, so IDs are asked for too.
    let mut ids: BTreeSet<String> = told.iter().filter_map(|id| id_of(id)).collect();
    for line in said.lines() {
        if let Some(id) = line.strip_prefix("Loaded image ID: ") {
            ids.insert(id.to_owned());
        } else if let Some(name) = line.strip_prefix("Loaded image: ") {
            ids.extend(id_of(name));
        }
    }
    forget(&ids);
    Some(ids)
}

/// The diff IDs of an archive, if a store that holds one of its layers compressed gives an image another ID.
fn diff_ids_that_matter(archive: &str) -> BTreeSet<String> {
    let report = answer(&["inspect", "--json", archive]);
    let depending = items(&report["images"])
        .iter()
        .filter(|image| image["containerd_id_depends_on_store"] == true);
    depending
        .flat_map(|image| items(&image["layers"]))
        .map(|layer| text(&layer["diff_id"]).to_owned())
        .collect()
}

/// Every archive that loads has the IDs that the engine prints.
fn compare(docker: &Docker, directory: &str, at_least: usize) {
    docker.collect();
    let (mut loads, mut skipped) = (0, 0);
    for name in archives(directory) {
        let path = format!("{directory}/{name}");
        let told = computed(&path);
        if told.is_empty() {
            continue;
        }
        let mut here = loaded(docker, &path, &told);
        if here.as_ref().is_some_and(|here| *here != told) {
            docker.collect();
            here = loaded(docker, &path, &told);
            assert!(here.is_some(), "{path} was loaded once, and not again");
        }
        let Some(here) = here else { continue };
        if here != told {
            // Whatever still holds a compressed copy: it has to be there, or imgtar is wrong.
            let held = docker.content();
            let ids = diff_ids_that_matter(&path);
            let is_held = |id: &String| held.contains(&format!("containerd.io/uncompressed={id}"));
            assert!(
                ids.iter().any(is_held),
                "{path}: {here:#?}\nand not {told:#?}\nThe store has\n{held}"
            );
            say(&format!(
                "SKIPPED {path}: the store holds a layer of it compressed"
            ));
            skipped += 1;
            continue;
        }
        loads += 1;
    }
    say(&format!(
        "{directory}: {loads} archives have the IDs of the containerd store"
    ));
    assert!(skipped <= 2, "{directory}: {skipped} archives were skipped");
    assert!(loads >= at_least, "{directory}: only {loads} were loaded");
}

/// One after the other: what is held for one archive changes the IDs of the next.
#[test]
fn engines_print_the_same_ids() {
    for docker in Docker::with_containerd() {
        an_engine_prints_the_same_ids(&docker);
    }
}

fn an_engine_prints_the_same_ids(docker: &Docker) {
    compare(docker, &repository("testdata/engines"), 20);
    if let Some(directory) = shared("archives") {
        compare(docker, &directory, 12);
    }
    if let Some(directory) = shared("corpus") {
        compare(docker, &directory, 40);
    }
}

/// Either ID picks an image, and so does a prefix of either.
#[test]
fn images_are_picked_by_either_id() {
    let zipped = format!("{}/layout-crane-z.tar", support::cases());
    let platforms = engines("docker26c-platforms.tar");
    for archive in [
        engines("docker20-multi.tar"),
        engines("docker26c-multi.tar"),
        zipped,
    ] {
        let report = answer(&["images", "--json", &archive]);
        for image in items(&report["images"]) {
            let (id, other) = (text(&image["id"]), text(&image["containerd_id"]));
            for wanted in [id, &id[7..19], other, &other[7..], &other[7..19]] {
                let picked = answer(&["history", "--json", &archive, wanted]);
                assert_eq!(items(&picked["images"]).len(), 1, "{archive} {wanted}");
                assert_eq!(picked["images"][0]["id"], id, "{archive} {wanted}");
            }
        }
    }
    // An index is several images; this machine's platform decides, or the one that is asked for.
    let report = answer(&["images", "--json", &platforms]);
    let index = text(&report["images"][0]["containerd_id"]).to_owned();
    let args = [
        "images",
        "--json",
        "--platform",
        "linux/arm64",
        &platforms,
        &index,
    ];
    let arm = answer(&args);
    assert_eq!(arm["images"][0]["platform"], "linux/arm64");
    assert_eq!(items(&arm["images"]).len(), 1);
}

/// A prefix of one image's ID and of what a containerd store calls another one.
#[test]
fn a_prefix_of_two_images_is_refused() {
    const IMAGES: usize = 1000;
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: &str, body: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, body)
            .expect("room in memory");
    };
    let mut list = Vec::new();
    for i in 0..IMAGES {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","author":"{i}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        let name = format!("{}.json", &support::sha256(config.as_bytes())[7..]);
        put(&name, config.as_bytes());
        list.push(serde_json::json!({"Config": name, "RepoTags": null, "Layers": []}));
    }
    put("manifest.json", &serde_json::to_vec(&list).expect("JSON"));
    let bytes = tar.into_inner().expect("room in memory");
    let directory = tempfile::tempdir().expect("a directory");
    let archive = support::shown(&directory.path().join("many.tar"));
    std::fs::write(&archive, bytes).expect("room");

    let report = answer(&["images", "--json", &archive]);
    let images = items(&report["images"]);
    let prefix = |id: &serde_json::Value| text(id)[7..11].to_owned();
    let pairs = images.iter().enumerate().find_map(|(i, image)| {
        let of_id = prefix(&image["id"]);
        let other = images
            .iter()
            .position(|other| prefix(&other["containerd_id"]) == of_id)?;
        (other != i).then_some((of_id, i, other))
    });
    // Four digits have 65,536 values, and a million pairs are looked at.
    let (wanted, id, containerd) = pairs.expect("two images with one prefix");
    let run = imgtar(&["history", &archive, &wanted]).exits(2);
    for position in [id, containerd] {
        assert!(
            run.err().contains(&format!("@{position} ")),
            "{}",
            run.err()
        );
    }
    let short = &text(&images[containerd]["containerd_id"])[7..19];
    assert!(
        run.err()
            .contains(&format!("in a containerd store {short}")),
        "{}",
        run.err()
    );
}
