//! imgtar against what engines print about the same images.
//!
//! The engines' answers are stored beside the archives (`testdata/README.md` says how they were
//! got); nothing in here knows an ID, a time or a size of its own.

use crate::support;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::support::{
    Input, answer, archives, assert_step, bytes, engines, imgtar, imgtar_with, in_turn, items,
    lines, member, number, read, sha256, sorted, text,
};

/// What an archive holds, and how the files that engines printed about it begin.
struct Held {
    archive: String,
    reference: &'static str,
    oracle: String,
}

/// The images that were asked about, by the names of the files with the answers.
const IMAGES: [(&str, &str); 4] = [
    ("imgtar-testdata/app:1", "app-1"),
    ("imgtar-testdata/app:2", "app-2"),
    ("imgtar-testdata/classic:1", "classic-1"),
    ("imgtar-testdata/base:1", "base-1"),
];

/// The archives of app:1 alone that carry Docker's own config, so the image has Docker's ID.
const APP_1: [&str; 13] = [
    "docker20-one.tar",
    "docker20-one.tar.gz",
    "docker20-one.tar.bz2",
    "docker20-one.tar.xz",
    "docker20-one.tar.zst",
    "docker26-one.tar",
    "docker26c-one.tar",
    "skopeo-docker.tar",
    "podman-docker.tar",
    "docker28-one.tar",
    "docker28c-one.tar",
    "skopeo122-docker.tar",
    "podman58-docker.tar",
];

/// The archives of app:1 whose config was written anew on the way to OCI. podman 5.8 got it from an archive that
/// describes it in the way of OCI too, and left it as it was.
const APP_1_OCI: [&str; 3] = ["skopeo-oci.tar", "skopeo-oci-zstd.tar", "podman-oci.tar"];
/// The same, made by the tools of today, which are in the repository alone.
const APP_1_OCI_TODAY: [&str; 2] = ["skopeo122-oci.tar", "skopeo122-oci-zstd.tar"];

/// Every image of an archive that Docker wrote in the form it has in Docker, and what Docker says.
fn held() -> Vec<Held> {
    let mut all = Vec::new();
    for archive in [
        "docker20-multi.tar",
        "docker26-multi.tar",
        "docker26c-multi.tar",
        "docker28-multi.tar",
        "docker28c-multi.tar",
    ] {
        for (reference, stem) in IMAGES {
            all.push(Held {
                archive: engines(archive),
                reference,
                oracle: engines(stem),
            });
        }
    }
    for archive in APP_1 {
        all.push(Held {
            archive: engines(archive),
            reference: "imgtar-testdata/app:1",
            oracle: engines("app-1"),
        });
    }
    all.push(Held {
        archive: engines("docker26-heredoc.tar"),
        reference: "imgtar-testdata/heredoc:1",
        oracle: engines("heredoc-1"),
    });
    all
}

/// The same over the archives beside the repository.
fn held_in_shared() -> Vec<Held> {
    let Some(shared) = support::shared("archives") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for archive in [
        "docker20-multi.tar",
        "docker26-multi.tar",
        "docker26c-multi.tar",
    ] {
        for (reference, stem) in [
            ("quirks:1", "quirks-1"),
            ("quirks:2", "quirks-2"),
            ("classic:1", "classic-1"),
        ] {
            all.push(Held {
                archive: format!("{shared}/{archive}"),
                reference,
                oracle: format!("{shared}/{stem}"),
            });
        }
    }
    for archive in [
        "docker20-quirks.tar",
        "docker20-quirks.tar.gz",
        "docker26-quirks.tar",
        "docker26-quirks.tar.zst",
        "docker26c-quirks.tar",
        "podman-docker.tar",
        "skopeo-docker.tar",
    ] {
        all.push(Held {
            archive: format!("{shared}/{archive}"),
            reference: "quirks:1",
            oracle: format!("{shared}/quirks-1"),
        });
    }
    all
}

impl Held {
    fn stored(&self, suffix: &str) -> String {
        let stored = read(&format!("{}.{suffix}", self.oracle));
        match self.lost_parent() {
            None => stored,
            Some(parent) => forget(&stored, &parent),
        }
    }

    /// Compares a table with a stored one: to the byte, unless an ID had to be taken out of the
    /// stored one. Its column is then narrower in a way that only an engine can tell (and does, in
    /// `tests/engines.rs`), so the words are compared, line by line.
    #[track_caller]
    fn assert_table(&self, run: &support::Run, suffix: &str) {
        let stored = self.stored(suffix);
        if self.lost_parent().is_none() {
            assert_eq!(run.out(), stored, "{run}");
        } else {
            assert_eq!(words(run.out()), words(&stored), "{run}");
        }
    }

    fn inspected(&self) -> Value {
        let path = ["26", "20"]
            .map(|engine| format!("{}.inspect{engine}.json", self.oracle))
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("what docker inspect said");
        let all: Value = serde_json::from_str(&read(&path)).expect("JSON of docker inspect");
        all[0].clone()
    }

    /// The parent that Docker knows and this archive does not tell: the containerd store writes no
    /// `Parent` into `manifest.json`.
    fn lost_parent(&self) -> Option<String> {
        let archive = &self.archive;
        let from_containerd = archive.contains("/docker26c-") || archive.contains("/docker28c-");
        let parent = self.inspected()["Parent"].as_str()?.to_owned();
        (from_containerd && !parent.is_empty()).then_some(parent)
    }

    /// What an `images --json` or `layers --json` says about this image.
    fn found<'j>(&self, json: &'j Value) -> &'j Value {
        items(&json["images"])
            .iter()
            .find(|image| {
                items(&image["references"])
                    .iter()
                    .any(|name| text(name) == self.reference)
            })
            .unwrap_or_else(|| panic!("{} holds no {}", self.archive, self.reference))
    }
}

/// Writes `<missing>` for an ID, whole or short.
fn forget(table: &str, id: &str) -> String {
    let short = &id["sha256:".len()..][..12];
    table.replace(id, "<missing>").replace(short, "<missing>")
}

/// The words of every line.
fn words(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// `history --no-trunc --human=false` prints what Docker 26.1 prints, to the byte.
#[test]
fn the_whole_history_is_dockers() {
    for held in held().iter().chain(&held_in_shared()) {
        let run = imgtar(&[
            "history",
            &held.archive,
            held.reference,
            "--no-trunc",
            "--human=false",
        ]);
        let run = run.succeeds();
        held.assert_table(&run, "history26.txt");
    }
}

/// `history --human=false` prints what Docker 26.1 prints, to the byte: cut at the same cell.
#[test]
fn the_cut_history_is_dockers() {
    for held in held() {
        let run = imgtar(&["history", &held.archive, held.reference, "--human=false"]).succeeds();
        held.assert_table(&run, "history26-trunc.txt");
    }
}

/// `history -q` prints the IDs that Docker prints.
#[test]
fn the_quiet_history_is_dockers() {
    for held in held() {
        let run = imgtar(&["history", "-q", &held.archive, held.reference]).succeeds();
        assert_eq!(run.out(), held.stored("history26-quiet.txt"), "{run}");
    }
}

/// An archive that was saved by ID has no name to ask for; its only image is shown without one.
#[test]
fn an_image_without_a_name_has_the_same_history() {
    let archive = engines("docker20-untagged.tar");
    let run = imgtar(&["history", &archive, "--no-trunc", "--human=false"]).succeeds();
    assert_eq!(run.out(), read(&engines("app-1.history26.txt")));
    let image = &answer(&["images", "--json", &archive])["images"][0];
    assert_eq!(items(&image["references"]), [] as [Value; 0]);
}

/// An image that was written anew for OCI has another ID; everything else in its history stays.
#[test]
fn the_history_survives_the_way_to_oci() {
    let docker = held().swap_remove(0);
    let mut all: Vec<(String, String, String)> = APP_1_OCI
        .iter()
        .chain(&APP_1_OCI_TODAY)
        .map(|archive| {
            (
                engines(archive),
                docker.stored("history26.txt"),
                id_of(&docker),
            )
        })
        .collect();
    if let Some(shared) = support::shared("archives") {
        let quirks = &held_in_shared()[0];
        for archive in APP_1_OCI {
            let archive = format!("{shared}/{archive}");
            all.push((archive, quirks.stored("history26.txt"), id_of(quirks)));
        }
    }
    for (archive, stored, docker_id) in all {
        let images = answer(&["images", "--json", &archive]);
        let own = text(&images["images"][0]["id"]);
        assert_ne!(own, docker_id, "{archive}");
        let run = imgtar(&["history", &archive, "--no-trunc", "--human=false"]).succeeds();
        assert_eq!(run.out(), stored.replace(&docker_id, own), "{run}");
    }
}

fn id_of(held: &Held) -> String {
    text(&held.inspected()["Id"]).to_owned()
}

/// The fields of `history --json` are those of `docker history --format '{{json .}}'`.
#[test]
fn the_history_in_json_is_dockers() {
    for held in held().iter().chain(&held_in_shared()) {
        let json = answer(&["history", "--json", &held.archive, held.reference]);
        assert_eq!(items(&json["images"]).len(), 1, "{}", held.archive);
        let steps = items(&json["images"][0]["history"]);
        let stored = lines(&held.stored("history26.jsonl"));
        assert_eq!(steps.len(), stored.len(), "{}", held.archive);
        for (step, line) in steps.iter().zip(&stored) {
            let id = step["id"].as_str().unwrap_or("<missing>");
            assert_eq!(id, text(&line["ID"]), "{}", held.archive);
            assert_step(step, line, &held.archive);
        }
    }
}

/// `images --json` says of an image what `docker inspect` says of it once it is loaded.
#[test]
fn images_are_what_docker_inspects() {
    for held in held().iter().chain(&held_in_shared()) {
        let json = answer(&["images", "--json", &held.archive]);
        let image = held.found(&json);
        let docker = held.inspected();
        let at = &held.archive;
        assert_eq!(image["id"], docker["Id"], "{at}");
        assert_eq!(image["created"], docker["Created"], "{at}");
        let platform = format!("{}/{}", text(&docker["Os"]), text(&docker["Architecture"]));
        assert_eq!(text(&image["platform"]), platform, "{at}");
        let layers = items(&docker["RootFS"]["Layers"]);
        assert_eq!(number(&image["layers"]), layers.len() as u64, "{at}");
        // One archive of app:1 has one of its names, another all of them.
        let names = sorted(&image["references"]);
        let docker_names = sorted(&docker["RepoTags"]);
        if at.contains("-multi") {
            assert_eq!(names, docker_names, "{at}");
        } else {
            assert_eq!(names, [held.reference], "{at}");
        }
        // Beside the repository, Docker was asked about images that it had built itself. It then
        // leaves symbolic links out of the size; the history was asked for after loading.
        let size = if held.oracle.contains("quirks") {
            size_in_history(&held.stored("history26.txt"))
        } else {
            number(&docker["Size"])
        };
        assert_eq!(number(&image["size"]), size, "{at}");
    }
}

/// The sum of the SIZE column, which is the only number between two runs of spaces.
fn size_in_history(table: &str) -> u64 {
    let sizes = table.lines().skip(1).flat_map(|line| {
        let cells = line.split("   ").map(str::trim);
        cells.filter_map(|cell| cell.parse::<u64>().ok())
    });
    sizes.sum()
}

/// `layers --json` lists the diff IDs that Docker lists, and the chain IDs that follow from them.
#[test]
fn layers_are_dockers() {
    for held in held().iter().chain(&held_in_shared()) {
        let json = answer(&["layers", "--json", &held.archive]);
        let layers = items(&held.found(&json)["layers"]);
        let docker = held.inspected();
        let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["diff_id"]).collect();
        let claimed: Vec<&Value> = items(&docker["RootFS"]["Layers"]).iter().collect();
        assert_eq!(diff_ids, claimed, "{}", held.archive);
        for (index, layer) in layers.iter().enumerate() {
            assert_eq!(number(&layer["index"]), index as u64);
        }
        assert_chain(layers, &held.archive);
    }
}

/// A chain ID is the diff ID for the bottom layer, and above it the digest of the chain ID below, a
/// space and the diff ID (OCI image specification, config.md).
#[track_caller]
fn assert_chain(layers: &[Value], archive: &str) {
    let mut chain: Option<String> = None;
    for layer in layers {
        let diff_id = text(&layer["diff_id"]);
        let next = match &chain {
            None => diff_id.to_owned(),
            Some(below) => sha256(format!("{below} {diff_id}").as_bytes()),
        };
        assert_eq!(text(&layer["chain_id"]), next, "{archive}");
        chain = Some(next);
    }
}

/// Every archive with images that an engine or tool wrote, those of before Docker 1.10 aside.
fn all_archives() -> Vec<String> {
    let mut all: Vec<String> = archives(&engines(""))
        .iter()
        .filter(|name| !["docker20-export.tar", "v1.tar"].contains(&name.as_str()))
        .map(|name| engines(name))
        .collect();
    if let Some(shared) = support::shared("archives") {
        all.extend(
            archives(&shared)
                .iter()
                .filter(|name| !name.contains(".export"))
                .map(|name| format!("{shared}/{name}")),
        );
    }
    all
}

#[derive(Deserialize)]
struct Inspected<'j> {
    #[serde(borrow)]
    images: Vec<InspectedImage<'j>>,
}

#[derive(Deserialize)]
struct InspectedImage<'j> {
    id: String,
    #[serde(borrow)]
    config: &'j RawValue,
}

/// `inspect --json` gives configs byte for byte, so their digest is the image ID.
#[test]
fn configs_are_verbatim() {
    for archive in all_archives() {
        let run = imgtar(&["inspect", "--json", &archive]).succeeds();
        let inspected: Inspected = serde_json::from_slice(&run.stdout).expect("inspect's shape");
        assert!(!inspected.images.is_empty(), "{archive}");
        for image in inspected.images {
            assert_eq!(sha256(image.config.get().as_bytes()), image.id, "{archive}");
        }
    }
}

/// `inspect --json` repeats what `images`, `layers` and `history` say.
#[test]
fn inspect_holds_what_the_others_say() {
    for archive in all_archives() {
        let inspected = answer(&["inspect", "--json", &archive]);
        let images = answer(&["images", "--json", &archive]);
        let layers = answer(&["layers", "--json", &archive]);
        let history = answer(&["history", "--json", &archive]);
        assert_eq!(inspected["archive"], images["archive"], "{archive}");
        let count = items(&images["images"]).len();
        assert_eq!(items(&inspected["images"]).len(), count, "{archive}");
        for (i, image) in items(&inspected["images"]).iter().enumerate() {
            for (key, value) in images["images"][i].as_object().expect("an object") {
                // `images` counts the layers, `inspect` lists them.
                let said = match key.as_str() {
                    "layers" => &Value::from(items(&image["layers"]).len()),
                    key => &image[key],
                };
                assert_eq!(said, value, "{archive} {key}");
            }
            assert_eq!(image["layers"], layers["images"][i]["layers"], "{archive}");
            assert_eq!(
                image["history"], history["images"][i]["history"],
                "{archive}"
            );
        }
    }
}

/// In `tree`, the virtual size where an image ends is the size that Docker gives the image, and
/// every virtual size is the sum of the sizes on the way to it.
#[test]
fn the_tree_adds_up() {
    for archive in all_archives() {
        let tree = answer(&["tree", "--json", &archive]);
        let images = answer(&["images", "--json", &archive]);
        let mut ends: BTreeMap<String, u64> = BTreeMap::new();
        for root in items(&tree["roots"]) {
            walk(root, 0, &mut ends);
        }
        let sizes: BTreeMap<String, u64> = items(&images["images"])
            .iter()
            .map(|image| (text(&image["id"]).to_owned(), number(&image["size"])))
            .collect();
        assert_eq!(ends, sizes, "{archive}");
    }
}

fn walk(node: &Value, below: u64, ends: &mut BTreeMap<String, u64>) {
    let size = below + number(&node["size"]);
    assert_eq!(number(&node["virtual_size"]), size, "{node}");
    for image in items(&node["images"]) {
        ends.insert(text(image).to_owned(), size);
    }
    for child in items(&node["children"]) {
        walk(child, size, ends);
    }
}

/// Takes the IDs of containerd stores out of nodes.
fn containerd_ids(nodes: &mut Value) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for node in nodes.as_array_mut().expect("nodes") {
        let taken = node["containerd_ids"].take();
        ids.extend(items(&taken).iter().map(|id| text(id).to_owned()));
        ids.append(&mut containerd_ids(&mut node["children"]));
    }
    ids
}

/// Chains that images share stand in the tree once, also across archives.
#[test]
fn shared_layers_stand_in_the_tree_once() {
    let one = engines("docker20-multi.tar");
    let tree = answer(&["tree", "--json", &one]);
    let layers = answer(&["layers", "--json", &one]);
    let chains: BTreeSet<&str> = items(&layers["images"])
        .iter()
        .flat_map(|image| items(&image["layers"]))
        .map(|layer| text(&layer["chain_id"]))
        .collect();
    let mut nodes = Vec::new();
    let mut open: Vec<&Value> = items(&tree["roots"]).iter().collect();
    while let Some(node) = open.pop() {
        nodes.push(text(&node["chain_id"]));
        open.extend(items(&node["children"]));
    }
    assert_eq!(nodes.len(), chains.len());
    assert_eq!(nodes.into_iter().collect::<BTreeSet<_>>(), chains);
    let other = engines("docker26-multi.tar");
    let mut twice = answer(&["tree", "--json", &one, &other]);
    let mut alone = [tree, answer(&["tree", "--json", &other])];
    // Each archive gives its images an ID of its own in a containerd store.
    let ids = containerd_ids(&mut twice["roots"]);
    let [mut of_one, of_other] = alone
        .each_mut()
        .map(|tree| containerd_ids(&mut tree["roots"]));
    of_one.extend(of_other);
    assert_eq!(ids, of_one);
    assert_eq!(twice["roots"], alone[0]["roots"]);
}

/// Every archive that an engine wrote passes `verify`, without a warning.
#[test]
fn what_engines_write_verifies() {
    let mut all = all_archives();
    all.push(engines("v1.tar"));
    for archive in all {
        // Of other platforms than the one that was pulled there is only the name; `tests/it/today.rs` has it.
        if archive.ends_with("docker28c-pulled.tar") {
            continue;
        }
        let json = answer(&["verify", "--strict", "--json", &archive]);
        let result = &json["archives"][0];
        assert_eq!(result["ok"], Value::Bool(true), "{archive}");
        assert_eq!(items(&result["problems"]), [] as [Value; 0], "{archive}");
        let images = answer(&["images", "--json", &archive]);
        let count = items(&images["images"]).len();
        assert_eq!(items(&result["images"]).len(), count, "{archive}");
        for layer in items(&result["images"])
            .iter()
            .flat_map(|i| items(&i["layers"]))
        {
            assert_eq!(layer["ok"], Value::Bool(true), "{archive}");
            assert!(layer["computed"].is_string(), "{archive}");
        }
    }
}

/// A root file system is not an image archive, whoever exported it, and the answer says what it is.
#[test]
fn an_export_is_refused_by_its_name() {
    let mut all = vec![engines("docker20-export.tar")];
    all.extend(support::shared("archives").map(|dir| format!("{dir}/quirks-1.export20.tar")));
    for archive in all {
        let run = imgtar(&["images", &archive]).exits(3);
        assert!(run.stdout.is_empty(), "{run}");
        assert!(
            run.err().contains("root file system") && run.err().contains(&archive),
            "{run}"
        );
    }
}

// --- before Docker 1.10 -----------------------------------------------------------------------------

/// An image from before Docker 1.10 is called by the directory that `repositories` names, and its
/// layers by the chain of parents in the `json` files.
#[test]
fn v1_images_are_chains_of_parents() {
    let archive = engines("v1.tar");
    let layers = answer(&["layers", "--json", &archive]);
    let repositories: Value =
        serde_json::from_slice(&member(&archive, "repositories")).expect("JSON");
    let mut seen = 0;
    for (repository, tags) in repositories.as_object().expect("an object") {
        for (tag, id) in tags.as_object().expect("an object") {
            let name = format!("{repository}:{tag}");
            let image = items(&layers["images"])
                .iter()
                .find(|image| sorted(&image["references"]).contains(&name))
                .expect("every tag is listed");
            let mut chain = Vec::new();
            let mut next = Some(text(id).to_owned());
            while let Some(id) = next {
                let json: Value =
                    serde_json::from_slice(&member(&archive, &format!("{id}/json"))).expect("JSON");
                next = json["parent"].as_str().map(ToOwned::to_owned);
                chain.push(id);
            }
            chain.reverse();
            let rows = items(&image["layers"]);
            let ids: Vec<&str> = rows.iter().map(|layer| text(&layer["legacy_id"])).collect();
            assert_eq!(ids, chain, "{name}");
            let inspected = answer(&["inspect", "--json", &archive, &name]);
            assert_eq!(&inspected["images"][0]["legacy_id"], id, "{name}");
            assert_eq!(inspected["images"][0]["id"], image["id"], "{name}");
            seen += 1;
        }
    }
    assert_eq!(seen, 5);
}

/// Diff IDs that an archive from before Docker 1.10 cannot claim are computed, marked, and equal
/// what the later archive of the same images claims.
#[test]
fn v1_diff_ids_are_computed() {
    let v1 = answer(&["layers", "--json", &engines("v1.tar")]);
    let later = answer(&["layers", "--json", &engines("docker20-multi.tar")]);
    for (reference, _) in IMAGES {
        let rows = |json: &Value| -> Vec<Value> {
            let named =
                |image: &&Value| sorted(&image["references"]).contains(&reference.to_owned());
            let image = items(&json["images"])
                .iter()
                .find(named)
                .expect("the image");
            items(&image["layers"]).to_vec()
        };
        let (v1, later) = (rows(&v1), rows(&later));
        assert_eq!(v1.len(), later.len(), "{reference}");
        assert_chain(&v1, reference);
        for (v1, later) in v1.iter().zip(&later) {
            for key in [
                "diff_id", "chain_id", "size", "tar_size", "entries", "index",
            ] {
                assert_eq!(v1[key], later[key], "{reference} {key}");
            }
            assert_eq!(v1["diff_id_computed"], Value::Bool(true));
            assert_eq!(later["diff_id_computed"], Value::Bool(false));
        }
    }
}

/// The history of an image from before Docker 1.10 is what Docker makes of it on loading, the IDs of the images
/// that it was built on included, where Docker 20.10 and later ones have the same.
#[test]
fn v1_histories_are_what_docker_makes_of_them() {
    let archive = engines("v1.tar");
    let mut same = 0;
    for (reference, stem) in IMAGES {
        let json = answer(&["history", "--json", &archive, reference]);
        let steps = items(&json["images"][0]["history"]);
        let stored = lines(&read(&engines(&format!("v1-{stem}.history20.jsonl"))));
        assert_eq!(steps.len(), stored.len(), "{reference}");
        for (step, line) in steps.iter().zip(&stored) {
            assert_step(step, line, reference);
        }
        // Every step is an image of its own, so no ID is missing.
        let ids = |rows: &[Value], key: &str| -> Vec<Value> {
            rows.iter().map(|row| row[key].clone()).collect()
        };
        let inspected = answer(&["inspect", "--json", &archive, reference]);
        let is_same = inspected["images"][0].get("id_before_docker_25").is_none();
        let shown = |text: &str| {
            if is_same {
                text.to_owned()
            } else {
                without_ids(text)
            }
        };
        same += usize::from(is_same);
        if is_same {
            assert_eq!(ids(steps, "id"), ids(&stored, "ID"), "{reference}");
        }
        assert!(
            steps.iter().all(|step| step["id"].is_string()),
            "{reference}"
        );

        let run = imgtar(&["history", &archive, reference, "--human=false"]).succeeds();
        let stored = read(&engines(&format!("v1-{stem}.history20-trunc.txt")));
        assert_eq!(shown(run.out()), shown(&stored), "{run}");
        let run = imgtar(&["history", "-q", &archive, reference]).succeeds();
        let stored = read(&engines(&format!("v1-{stem}.history20-quiet.txt")));
        assert_eq!(shown(run.out()), shown(&stored), "{run}");
    }
    assert_eq!(same, 2);
}

/// Replaces the short IDs at the beginning of lines.
fn without_ids(table: &str) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let is_id = |id: &&str| id.bytes().all(|b| b.is_ascii_hexdigit());
        match line.get(..12).filter(is_id) {
            Some(id) => text.push_str(&line.replacen(id, "<some id....>", 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The ID and the size of a v1 image are those that Docker gives it after loading.
#[test]
fn v1_images_are_dockers() {
    let json = answer(&["images", "--json", &engines("v1.tar")]);
    for (reference, stem) in IMAGES {
        let docker: Value =
            serde_json::from_str(&read(&engines(&format!("v1-{stem}.inspect20.json"))))
                .expect("JSON of docker inspect");
        let docker = &docker[0];
        let image = items(&json["images"])
            .iter()
            .find(|image| sorted(&image["references"]).contains(&reference.to_owned()))
            .expect("the image");
        // The stored answers are Docker 20.10's.
        let own = Some(&image["id_before_docker_25"]).filter(|id| id.is_string());
        assert_eq!(own.unwrap_or(&image["id"]), &docker["Id"], "{reference}");
        let inspected = answer(&["inspect", "--json", &engines("v1.tar"), text(&docker["Id"])]);
        let inspected = &inspected["images"][0];
        assert_eq!(inspected["references"], image["references"], "{reference}");
        let parent = inspected["parents"][0].as_str().unwrap_or("");
        if own.is_none() {
            assert_eq!(parent, text(&docker["Parent"]), "{reference}");
        }
        assert_eq!(image["size"], docker["Size"], "{reference}");
        assert_eq!(image["created"], docker["Created"], "{reference}");
        assert_eq!(
            sorted(&image["references"]),
            sorted(&docker["RepoTags"]),
            "{reference}"
        );
    }
}

// --- several platforms ------------------------------------------------------------------------------

/// The archives that hold one name for two platforms, and how many attestations each has.
const PLATFORMS: [(&str, &str, usize); 3] = [
    ("docker26c-platforms.tar", "imgtar-testdata/platforms:1", 2),
    ("buildkit-platforms.tar", "imgtar-testdata/platforms:1", 2),
    ("podman-platforms.tar", "imgtar-testdata/list:1", 0),
];

/// Every platform is an image of its own; an attestation is none, it is an artifact about one.
#[test]
fn platforms_are_images_and_attestations_are_not() {
    for (archive, reference, attestations) in PLATFORMS {
        let json = answer(&["inspect", "--json", &engines(archive)]);
        let images = items(&json["images"]);
        let platforms: BTreeSet<&str> = images.iter().map(|i| text(&i["platform"])).collect();
        assert_eq!(
            platforms,
            BTreeSet::from(["linux/amd64", "linux/arm64"]),
            "{archive}"
        );
        assert_eq!(images.len(), 2, "{archive}");
        for image in images {
            assert_eq!(sorted(&image["references"]), [reference], "{archive}");
            // The platform is the one that the config says.
            let config = &image["config"];
            let own = format!("{}/{}", text(&config["os"]), text(&config["architecture"]));
            assert!(text(&image["platform"]).starts_with(&own), "{archive}");
        }
        let manifests: BTreeSet<&str> = images
            .iter()
            .map(|image| text(&image["manifest_digest"]))
            .collect();
        let subjects: Vec<&str> = items(&json["artifacts"])
            .iter()
            .filter(|artifact| artifact["type"] == "attestation")
            .map(|artifact| text(&artifact["subject"]))
            .collect();
        assert_eq!(subjects.len(), attestations, "{archive}");
        assert_eq!(items(&json["artifacts"]).len(), attestations, "{archive}");
        if attestations > 0 {
            assert_eq!(
                subjects.into_iter().collect::<BTreeSet<_>>(),
                manifests,
                "{archive}"
            );
        }
    }
}

/// `--platform` picks the image of that platform, with or without a name; `arm64` means `arm64/v8`.
#[test]
fn platforms_can_be_picked() {
    for (archive, reference, _) in PLATFORMS {
        let archive = engines(archive);
        for (wanted, found) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
        ] {
            let alone = answer(&["images", "--json", &archive, "--platform", wanted]);
            let named = answer(&[
                "images",
                "--json",
                &archive,
                reference,
                "--platform",
                wanted,
            ]);
            assert_eq!(alone, named);
            let images = items(&alone["images"]);
            assert_eq!(images.len(), 1, "{archive} {wanted}");
            assert!(
                text(&images[0]["platform"]).starts_with(found),
                "{archive} {wanted}"
            );
        }
    }
}

/// A platform that is not there is an error that lists those that are.
#[test]
fn a_platform_that_is_not_there_is_an_error_with_candidates() {
    for (archive, reference, _) in PLATFORMS {
        for command in ["images", "inspect", "layers", "history"] {
            let run = imgtar(&[command, &engines(archive), "--platform", "linux/s390x"]).exits(3);
            assert!(run.stdout.is_empty(), "{run}");
            for word in [
                "linux/s390x",
                "linux/amd64",
                "linux/arm64",
                reference,
                "@0",
                "@1",
            ] {
                assert!(run.err().contains(word), "{word} is missing: {run}");
            }
        }
    }
}

// --- how the archive comes --------------------------------------------------------------------------

const COMMANDS: [&str; 6] = ["images", "inspect", "layers", "history", "tree", "verify"];

/// Takes out of an answer what says how the archive was given.
fn without_the_way(mut json: Value) -> Value {
    if let Some(archive) = json.get_mut("archive").and_then(Value::as_object_mut) {
        for key in ["path", "compression", "size"] {
            assert!(archive.remove(key).is_some(), "{key}");
        }
    }
    if let Some(archive) = json
        .pointer_mut("/archives/0")
        .and_then(Value::as_object_mut)
    {
        assert!(archive.remove("path").is_some());
        // `ctr` reads a tar as it is, containerd 2 gzip and zstd too; every other engine decompresses it.
        let loaders = archive.get_mut("loaders").and_then(Value::as_array_mut);
        loaders
            .expect("a list of engines")
            .retain(|loader| loader["engine"] != "ctr");
        // So the engines that load it are in the summary.
        assert!(archive.remove("summary").is_some());
        assert!(json["summary"].take().is_string());
    }
    json
}

/// An answer does not depend on how the archive is compressed, nor on whether it comes from a path,
/// a redirected file or a pipe. What `ctr` makes of it does.
#[test]
fn answers_do_not_depend_on_the_way_the_archive_comes() {
    for command in COMMANDS {
        let plain = answer(&[command, "--json", &engines("docker20-one.tar")]);
        let plain = without_the_way(plain);
        for (suffix, compression) in [
            ("", "none"),
            (".gz", "gzip"),
            (".bz2", "bzip2"),
            (".xz", "xz"),
            (".zst", "zstd"),
        ] {
            let path = engines(&format!("docker20-one.tar{suffix}"));
            let stored = bytes(&path);
            let ways = [
                (path.as_str(), Input::Nothing),
                ("-", Input::File(&path)),
                ("-", Input::Pipe(&stored)),
            ];
            for (archive, input) in ways {
                let json = imgtar_with(&[command, "--json", archive], input)
                    .succeeds()
                    .json();
                if command == "images" {
                    assert_eq!(json["archive"]["path"], archive);
                    assert_eq!(json["archive"]["compression"], compression);
                    assert_eq!(number(&json["archive"]["size"]), stored.len() as u64);
                }
                assert_eq!(without_the_way(json), plain, "{command} {path}");
            }
        }
    }
}

/// A table, too, is the same for standard input as for a path.
#[test]
fn a_table_from_standard_input_is_that_of_the_path() {
    let path = engines("docker26-multi.tar");
    let by_path = imgtar(&["history", "--no-trunc", "--human=false", &path]).succeeds();
    let args = ["history", "--no-trunc", "--human=false", "-"];
    let by_file = imgtar_with(&args, Input::File(&path)).succeeds();
    let by_pipe = imgtar_with(&args, Input::Pipe(&bytes(&path))).succeeds();
    assert_eq!(by_path.out(), by_file.out());
    assert_eq!(by_path.out(), by_pipe.out());
}

/// The number of threads changes nothing in what is printed.
#[test]
fn the_number_of_threads_does_not_show() {
    let mut all = all_archives();
    all.push(engines("v1.tar"));
    for (number, archive) in all.into_iter().enumerate() {
        for (turn, command) in COMMANDS.into_iter().enumerate() {
            if !in_turn(number + turn) {
                continue;
            }
            let one = imgtar(&["-j", "1", command, "--json", &archive]).succeeds();
            let four = imgtar(&["-j", "4", command, "--json", &archive]).succeeds();
            assert_eq!(one.out(), four.out(), "{command} {archive}");
        }
        let one = imgtar(&["verify", "-j1", &archive]).succeeds();
        let four = imgtar(&["verify", "-j4", &archive]).succeeds();
        assert_eq!(one.out(), four.out(), "{archive}");
    }
}
