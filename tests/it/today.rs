//! What `verify` predicts of today's engines is what they did: `testdata/today-loaders.tsv`, made by
//! `testdata/ask-today.py`, has the verdict and the images of Docker 28.5 with both stores, containerd 2.1's `ctr`
//! plain and with `--all-platforms`, and podman 5.8 on overlay.
//!
//! Debian's Docker 28.5 unpacks layers as Docker 29.7 does, so it is the judge of what is predicted for that. Where
//! 28.5 and 29 differ, this file says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{answer, cases, engines, imgtar, items, read, repository, say, shared, text};
use serde_json::Value;

/// An engine of the table, and what imgtar calls it: engine, store, version, options.
const ENGINES: [(&str, [Option<&str>; 4]); 5] = [
    (
        "docker 28.5",
        [Some("docker"), Some("classic"), Some("29.7"), None],
    ),
    (
        "docker 28.5, containerd store",
        [Some("docker"), Some("containerd"), Some("29.7"), None],
    ),
    ("ctr 2.1", [Some("ctr"), None, Some("2.1"), None]),
    (
        "ctr 2.1 --all-platforms",
        [Some("ctr"), None, Some("2.1"), Some("--all-platforms")],
    ),
    (
        "podman 5.8, overlay",
        [Some("podman"), Some("overlay"), Some("5.8"), None],
    ),
];
/// Docker 28 still reads archives without `manifest.json`.
const DOCKER_26: [Option<&str>; 4] = [Some("docker"), Some("classic"), Some("26.1"), None];
const NO_MANIFEST: &str = "invalid archive: does not contain a manifest.json";

/// The verdicts that differ, and why: with one engine, or with all.
const DIFFERENT: [(&str, &str); 4] = [
    // imgtar does not undo a second compression, so it predicts nothing.
    ("broken/gzip-in-gzip.tar.gz", ""),
    // What is no archive is told by what it is, here an ISO image.
    ("reports/10d-iso.tar", ""),
    // Docker hears what gzip says behind the end of the tar from 29.5 on.
    ("broken/layer-gzip-damaged.tar", "docker 28.5"),
    // A signature that cosign keeps as an image: nobody wants to run it.
    (
        "broken/artifact-cosign.tar",
        "docker 28.5, containerd store",
    ),
];
/// The names that differ, and why.
const OTHER_NAMES: [(&str, &str); 6] = [
    // What has the name there is not in the archive, or not for this machine, or no image.
    (
        "broken/manifest-blob-missing.tar",
        "docker 28.5, containerd store",
    ),
    (
        "today/partial-index-absent.tar",
        "docker 28.5, containerd store",
    ),
    ("truth/nested-arm-only.tar", "ctr 2.1"),
    ("broken/artifact-only.tar", ""),
    // podman reads the first manifest.json, imgtar the last, which is what Docker reads.
    ("broken/manifest-duplicated.tar", "podman 5.8, overlay"),
    (
        "truth/outer-manifest-twice-second-bad.tar",
        "podman 5.8, overlay",
    ),
];

struct Row<'t> {
    file: &'t str,
    engine: &'t str,
    verdict: &'t str,
    /// Names with the beginnings of IDs.
    images: Vec<(Option<String>, Option<String>)>,
    said: &'t str,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    let rows = table.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, engine, verdict, images, said] = fields[..] else {
            panic!("{line}");
        };
        Row {
            file,
            engine,
            verdict,
            images: serde_json::from_str(images).expect("pairs"),
            said,
        }
    });
    // What was not asked has no verdict.
    rows.filter(|row| row.verdict != "-").collect()
}

/// Where a file of the table is; `None` where it is not on this machine.
fn path(file: &str, shared: Option<&str>) -> Option<String> {
    let (place, name) = file.split_once('/').expect("a place");
    match place {
        "broken" | "engines" | "today" => Some(repository(&format!("testdata/{file}"))),
        "cases" => Some(format!("{}/{name}", cases())),
        _ => Some(format!("{}/{file}", shared?)),
    }
}

fn excused(list: &[(&str, &str)], row: &Row<'_>) -> bool {
    let is = |(file, engine): &(&str, &str)| {
        *file == row.file && (engine.is_empty() || *engine == row.engine)
    };
    list.iter().any(is)
}

fn find<'l>(loaders: &'l Value, target: [Option<&str>; 4]) -> &'l Value {
    let keys = ["engine", "store", "version", "options"];
    let is = |loader: &&Value| (0..4).all(|i| loader[keys[i]].as_str() == target[i]);
    let all = loaders.as_array().map_or(&[][..], Vec::as_slice);
    all.iter().find(is).unwrap_or(&Value::Null)
}

/// The prediction for an engine.
fn predicted<'l>(loaders: &'l Value, engine: &str) -> &'l Value {
    let known = ENGINES.iter().find(|(name, _)| *name == engine);
    let found = find(loaders, known.expect("an engine").1);
    if found["reason"] == NO_MANIFEST {
        return find(loaders, DOCKER_26);
    }
    found
}

/// The names that images are predicted to have; podman calls one without a name by its ID.
fn names(loader: &Value) -> BTreeSet<String> {
    let fates = loader["images"].as_array().cloned().unwrap_or_default();
    let all = fates.iter().filter_map(|fate| fate["name"].as_str());
    // The day of an import is not predicted.
    all.filter(|name| !name.starts_with("sha256:"))
        .map(|name| name.replace("import-…:", "import-*:"))
        .collect()
}

#[test]
fn todays_engines_are_predicted() {
    let shared = shared("truth").map(|path| path.replace("/truth", ""));
    let table = read(&repository("testdata/today-loaders.tsv"));
    let mut known: BTreeMap<String, (Value, Option<BTreeSet<String>>)> = BTreeMap::new();
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in rows(&table) {
        let Some(path) = path(row.file, shared.as_deref()) else {
            continue;
        };
        let (loaders, ids) = known.entry(path).or_insert_with_key(|path| {
            let run = imgtar(&["verify", "--json", path]);
            assert_ne!(run.code, 70, "{run}");
            (run.json()["archives"][0]["loaders"].clone(), told(path))
        });
        let loader = predicted(loaders, row.engine);
        let verdict = loader["verdict"].as_str().unwrap_or("nothing");
        let count = counts.entry(row.engine).or_default();
        count[0] += 1;
        let at = format!("{} {}", row.file, row.engine);
        let agrees = verdict == row.verdict;
        count[1] += usize::from(!agrees);
        if agrees == excused(&DIFFERENT, &row) {
            let (said, reason) = (row.said, &loader["reason"]);
            wrong.push(format!(
                "{at}: really {} {said}; predicted {verdict} {reason}",
                row.verdict
            ));
        }
        if !agrees || !row.verdict.starts_with("loads") {
            continue;
        }
        let really: BTreeSet<String> = row
            .images
            .iter()
            .filter_map(|image| image.0.clone())
            .collect();
        let names = names(loader);
        // Of the names of one image the first is predicted.
        let fits = names.is_subset(&really) && names.is_empty() == really.is_empty();
        if fits == excused(&OTHER_NAMES, &row) {
            wrong.push(format!("{at}: named {really:?}; predicted {names:?}"));
        }
        // The IDs too, where nothing is damaged: before `verify` digests are as claimed.
        if let (Some(ids), "docker 28.5, containerd store", "loads") = (ids, row.engine, verdict) {
            let really = row.images.iter().filter_map(|image| image.1.as_ref());
            for id in really.filter(|id| !ids.contains(*id)) {
                wrong.push(format!("{at}: ID {id}; told {ids:?}"));
            }
        }
    }
    for (engine, [asked, differ]) in &counts {
        say(&format!("{engine}: {asked} asked, {differ} disagree"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(counts.len(), ENGINES.len());
    assert!(counts.values().all(|[asked, _]| *asked > 250));
}

/// The first 12 digits of the images' IDs in a containerd store; `None` where imgtar finds no image.
fn told(path: &str) -> Option<BTreeSet<String>> {
    let run = imgtar(&["images", "--json", path]);
    if run.stdout.is_empty() {
        return None;
    }
    let images = run.json()["images"].clone();
    let ids = items(&images).iter().map(|image| &image["containerd_id"]);
    let short = |id: &Value| text(id)["sha256:".len()..][..12].to_owned();
    Some(ids.filter(|id| !id.is_null()).map(short).collect())
}

// --- what the engines print about the test images ------------------------------------------------

/// The images that were asked about, by the names of the files with the answers.
const IMAGES: [&str; 4] = ["app-1", "app-2", "classic-1", "base-1"];

/// Docker 28.5 prints the histories that Docker 26.1 prints, with both stores: what `history` is compared with
/// (`tests/it/oracle.rs`) is true of today's Docker.
#[test]
fn histories_have_not_changed() {
    for image in IMAGES {
        for table in ["28.txt", "28-trunc.txt", "28-quiet.txt", "28c.txt"] {
            let stored = |table: &str| read(&engines(&format!("{image}.history{table}")));
            let before = table.replace("28", "26");
            assert_eq!(stored(table), stored(&before), "{image} {table}");
        }
        let export = |engine: &str| read(&engines(&format!("{image}.export-{engine}.tsv")));
        assert_eq!(export("d28"), export("d26"), "{image}");
    }
}

fn inspected(file: &str) -> Value {
    let all: Value = serde_json::from_str(&read(&engines(file))).expect("what Docker inspected");
    all[0].clone()
}

/// Images have the IDs that Docker 28.5 gives them, with either store, whichever archive they come from.
#[test]
fn images_have_the_ids_of_both_stores() {
    for archive in ["docker28-multi.tar", "docker28c-multi.tar"] {
        let json = answer(&["images", "--json", &engines(archive)]);
        for image in IMAGES {
            let (repository, tag) = image.split_once('-').expect("a tag");
            let name = format!("imgtar-testdata/{repository}:{tag}");
            let is = |image: &&Value| items(&image["references"]).contains(&name.as_str().into());
            let found = items(&json["images"]).iter().find(is).expect("the image");
            let classic = inspected(&format!("{image}.inspect28.json"));
            assert_eq!(found["id"], classic["Id"], "{archive} {image}");
            // It was asked for what it had loaded from the one; the other is what it saved of that.
            let containerd = inspected(&format!("{image}.inspect28c.json"));
            assert_eq!(
                found["containerd_id"], containerd["Id"],
                "{archive} {image}"
            );
        }
    }
    for (archive, file) in [
        ("docker28c-platforms.tar", "platforms-1.inspect28c.json"),
        ("docker28c-pulled.tar", "platforms-1.inspect28c.json"),
    ] {
        let json = answer(&["images", "--json", &engines(archive)]);
        for image in items(&json["images"]) {
            assert_eq!(image["containerd_id"], inspected(file)["Id"], "{archive}");
        }
    }
}

/// What is left where one platform was pulled is no error, and every platform that is absent is named.
#[test]
fn absent_platforms_are_warnings() {
    let archive = engines("docker28c-pulled.tar");
    let report = imgtar(&["verify", "--json", &archive]).exits(0).json();
    let problems = items(&report["archives"][0]["problems"]);
    assert!(!problems.is_empty());
    for problem in problems {
        assert_eq!(problem["severity"], "warning");
        assert_eq!(problem["code"], "member-missing");
    }
}

/// podman 5.8 writes several images into one archive, under the names in full.
#[test]
fn several_images_of_podman_are_read() {
    let archive = engines("podman58-multi.tar");
    let json = answer(&["images", "--json", &archive]);
    let ids: Vec<&str> = items(&json["images"])
        .iter()
        .map(|i| text(&i["id"]))
        .collect();
    let of = |image: &str| text(&inspected(&format!("{image}.inspect28.json"))["Id"]).to_owned();
    assert_eq!(ids, [of("app-2"), of("base-1")]);
    let names = items(&json["images"])
        .iter()
        .map(|i| i["references"][0].clone());
    let names: Vec<Value> = names.collect();
    assert_eq!(
        names,
        [
            "localhost/imgtar-testdata/app:2",
            "localhost/imgtar-testdata/base:1"
        ]
    );
}
