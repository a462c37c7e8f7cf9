//! Entries that fit nowhere: whiteouts in directories that are not there, roots that are not directories, empty
//! files in place of foreign layers. What engines make of them was measured with Docker 20.10, 26.1 and 28.5 (both
//! stores) and podman 5.8 (overlay and vfs).

use std::fs;

use serde_json::Value;

use crate::support::forge::{Entry, Form};
use crate::support::{self, forge, imgtar};

/// An entry by its name, and its target if it is a link.
fn entry(typeflag: u8, name: &str, target: &str) -> Entry {
    Entry {
        link: target.as_bytes().to_vec(),
        ..Entry::new(typeflag, name.as_bytes())
    }
}

fn file(name: &str) -> Entry {
    Entry::file(name, b"x")
}

fn directory(name: &str) -> Entry {
    entry(b'5', name, "")
}

/// An archive of these layers, in a directory that goes with it.
fn archive(layers: &[Vec<Entry>]) -> (tempfile::TempDir, String) {
    let layers: Vec<_> = layers.iter().map(|layer| forge::layer(layer)).collect();
    let place = tempfile::tempdir().expect("a directory");
    let path = support::shown(&place.path().join("app.tar"));
    fs::write(&path, forge::archive(&layers, Form::Hybrid)).expect("room for the archive");
    (place, path)
}

/// What engines do with the layers: the code of the warning if there is one, its layer, and the engines that do
/// not load them.
struct Case {
    what: &'static str,
    layers: Vec<Vec<Entry>>,
    warning: Option<(&'static str, &'static str, u64)>,
    refused: &'static [&'static str],
}

const AMBIGUOUS: &str = "whiteout-ambiguous";
const MISSING: &str = "in a directory that is not there";
const FILE: &str = "below something that is not a directory";
/// Who unpacks with containerd.
const CONTAINERD: [&str; 6] = [
    "ctr 1.7",
    "ctr 1.7 --all-platforms",
    "ctr 2.1",
    "ctr 2.1 --all-platforms",
    "docker containerd 26.1",
    "docker containerd 29.7",
];
const VFS: &str = "podman vfs 5.8";

fn case(
    what: &'static str,
    layers: Vec<Vec<Entry>>,
    warning: Option<(&'static str, &'static str, u64)>,
    refused: &'static [&'static str],
) -> Case {
    Case {
        what,
        layers,
        warning,
        refused,
    }
}

fn cases() -> Vec<Case> {
    let mut all = in_missing();
    all.extend(below_files());
    all.extend(in_place());
    all
}

/// Their directories are in no layer.
fn in_missing() -> Vec<Case> {
    const ALL_CONTAINERD: &[&str] = &CONTAINERD;
    let missing = |layer| Some((AMBIGUOUS, MISSING, layer));
    vec![
        case(
            "nowhere",
            vec![vec![file("a")], vec![file("no/d/.wh.x")]],
            missing(1),
            &[],
        ),
        case(
            "nowhere, opaque",
            vec![vec![file("a")], vec![file("no/d/.wh..wh..opq")]],
            missing(1),
            &[],
        ),
        case(
            "in the bottom layer",
            vec![vec![file("a"), file("no/.wh.x")], vec![file("b")]],
            missing(0),
            &[],
        ),
        case(
            "deleted by a layer between",
            vec![
                vec![directory("d"), file("d/x")],
                vec![file(".wh.d")],
                vec![file("d/.wh.x")],
            ],
            missing(2),
            &[],
        ),
        case(
            "two levels deleted",
            vec![
                vec![directory("d"), directory("d/e"), file("d/e/x")],
                vec![file(".wh.d")],
                vec![file("d/e/.wh.x")],
            ],
            missing(2),
            ALL_CONTAINERD,
        ),
    ]
}

/// Something else is where their directories should be.
fn below_files() -> Vec<Case> {
    const DEEP_FILE: &[&str] = &[
        CONTAINERD[0],
        CONTAINERD[1],
        CONTAINERD[2],
        CONTAINERD[3],
        CONTAINERD[4],
        CONTAINERD[5],
        VFS,
    ];
    let below = |layer| Some((AMBIGUOUS, FILE, layer));
    vec![
        case(
            "a file",
            vec![vec![file("p")], vec![file("p/.wh.x")]],
            below(1),
            &[VFS],
        ),
        case(
            "a file, opaque",
            vec![vec![file("p")], vec![file("p/.wh..wh..opq")]],
            below(1),
            &[],
        ),
        case(
            "two levels below a file",
            vec![vec![file("p")], vec![file("p/q/.wh.x")]],
            below(1),
            DEEP_FILE,
        ),
        case(
            "a link to a file",
            vec![
                vec![file("p"), entry(b'2', "s", "p")],
                vec![file("s/.wh.x")],
            ],
            below(1),
            &[VFS],
        ),
        case(
            "a link to nothing",
            vec![vec![entry(b'2', "s", "nowhere")], vec![file("s/.wh.x")]],
            Some(("entry-below-symlink", "below a symbolic link", 1)),
            &[],
        ),
    ]
}

/// The layer has the directory itself.
fn in_place() -> Vec<Case> {
    vec![
        case(
            "the layer has the directory",
            vec![vec![file("a")], vec![file("d/.wh.x"), directory("d")]],
            None,
            &[],
        ),
        case(
            "the layer has something else there",
            vec![vec![file("a")], vec![file("d/.wh.x"), file("d/y")]],
            None,
            &[],
        ),
        case(
            "the layer makes a directory of the file",
            vec![vec![file("p")], vec![directory("p"), file("p/.wh.x")]],
            None,
            &[],
        ),
        case(
            "the bottom layer has the directory",
            vec![vec![file("d/.wh.x"), directory("d")]],
            None,
            &[],
        ),
    ]
}

fn loader_name(loader: &Value) -> String {
    let parts = ["engine", "store", "version", "options"];
    let parts = parts.iter().filter_map(|part| loader[part].as_str());
    parts.collect::<Vec<_>>().join(" ")
}

#[test]
fn whiteouts_without_a_directory_are_told() {
    for case in cases() {
        let (_place, path) = archive(&case.layers);
        let report = imgtar(&["verify", "--json", &path]).exits(0).json();
        let report = &report["archives"][0];
        let problems = report["problems"].as_array().expect("problems");
        let found: Vec<_> = problems
            .iter()
            .map(|problem| {
                let text = |key: &str| problem[key].as_str().expect("text").to_owned();
                (text("code"), text("message"), problem["layer"].as_u64())
            })
            .collect();
        match (case.warning, &found[..]) {
            (None, []) => {}
            (Some((code, words, layer)), [(found, message, at)]) => {
                assert_eq!((found.as_str(), *at), (code, Some(layer)), "{}", case.what);
                assert!(message.contains(words), "{}: {message}", case.what);
            }
            _ => panic!("{}: {found:?}", case.what),
        }
        let loaders = report["loaders"].as_array().expect("predictions");
        let mut refused: Vec<_> = loaders
            .iter()
            .filter(|loader| loader["verdict"] != "loads")
            .map(loader_name)
            .collect();
        refused.sort();
        assert_eq!(refused, case.refused, "{}", case.what);
        // Commands that merge layers warn of the same.
        let run = imgtar(&["flatten", &path, "-o", "-"]).exits(0);
        let words = case.warning.map(|(_, words, _)| words);
        assert_eq!(
            run.err().contains("is a whiteout"),
            words.is_some(),
            "{}: {run}",
            case.what
        );
        assert!(run.err().contains(words.unwrap_or("")), "{run}");
    }
}

/// A warning names the layer, the first path, and how many more there are.
#[test]
fn they_are_counted() {
    let names = ["no/.wh.b", "no/.wh.a", "other/.wh.c"];
    let (_place, path) = archive(&[vec![file("a")], names.map(file).to_vec()]);
    let report = imgtar(&["verify", "--json", &path]).exits(0).json();
    let problem = &report["archives"][0]["problems"][0];
    assert_eq!(problem["path"], "no/.wh.b");
    assert_eq!(problem["count"], 3);
    assert_eq!(problem["layer"], 1);
}

/// What a file that the layer itself adds does to a whiteout below it depends on their order.
#[test]
fn a_file_of_the_same_layer_may_be_in_the_way() {
    let mut layer = vec![file("p"), file("p/.wh.x")];
    for (last, quote) in [
        (
            false,
            "failed to mknod(\"/p/x\", S_IFCHR, 0): not a directory",
        ),
        (true, ""),
    ] {
        if last {
            layer.reverse();
        }
        let (_place, path) = archive(&[vec![file("a")], layer.clone()]);
        let report = imgtar(&["verify", "--json", &path]).exits(0).json();
        let report = &report["archives"][0];
        assert_eq!(report["problems"][0]["code"], AMBIGUOUS);
        let loaders = report["loaders"].as_array().expect("predictions");
        let docker = loaders
            .iter()
            .find(|loader| loader_name(loader) == "docker classic 26.1")
            .expect("a prediction");
        assert_eq!(docker["reason"].as_str().unwrap_or(""), quote);
    }
}

/// What engines wrote has none of these.
#[test]
fn archives_of_engines_have_none() {
    for name in [
        "docker20-multi",
        "docker26-multi",
        "docker26c-multi",
        "podman-docker",
    ] {
        let path = support::repository(&format!("testdata/engines/{name}.tar"));
        let run = imgtar(&["verify", &path]);
        assert!(!run.out().contains("is a whiteout"), "{run}");
    }
}

/// An entry for the root that is not a directory is passed over; who refuses it depends on how it is written.
#[test]
fn the_root_stays_a_directory() {
    const OLD: &[&str] = &["docker classic 26.1", "podman overlay 5.8", VFS];
    const VFS_ALONE: &[&str] = &[VFS];
    let table = [
        (".", b'0', VFS_ALONE),
        ("", b'0', VFS_ALONE),
        ("./", b'2', VFS_ALONE),
        (".", b'1', VFS_ALONE),
        (".", b'6', VFS_ALONE),
        ("/", b'0', OLD),
        ("/", b'2', OLD),
    ];
    for (name, typeflag, refused) in table {
        let target = if matches!(typeflag, b'1' | b'2') {
            "a"
        } else {
            ""
        };
        let root = entry(typeflag, name, target);
        let (_place, path) = archive(&[vec![file("a")], vec![file("b"), root]]);
        let what = format!("{name:?} of type {typeflag}");
        let report = imgtar(&["verify", "--json", &path]).exits(0).json();
        let report = &report["archives"][0];
        let problems = report["problems"].as_array().expect("problems");
        assert_eq!(problems.len(), 1, "{what}: {problems:?}");
        assert_eq!(problems[0]["code"], "entry-invalid", "{what}");
        assert_eq!(problems[0]["severity"], "warning", "{what}");
        let loaders = report["loaders"].as_array().expect("predictions");
        let mut found = Vec::new();
        for loader in loaders.iter().filter(|loader| loader["verdict"] != "loads") {
            let reason = loader["reason"].as_str().expect("a reason");
            assert!(
                reason.contains("unlinkat .//: device or resource busy"),
                "{what}: {reason}"
            );
            found.push(loader_name(loader));
        }
        found.sort();
        assert_eq!(found, refused, "{what}");
        let run = imgtar(&["ls", &path]).exits(0);
        assert_eq!(run.out().lines().count(), 2, "{run}");
        let run = imgtar(&["flatten", &path, "-o", "-"]).exits(0);
        assert!(
            run.err().contains("is for the root and not a directory"),
            "{run}"
        );
    }
}

/// An empty file in place of a foreign layer is called that, by every command.
#[test]
fn a_placeholder_is_no_damage() {
    let Some(reports) = support::shared("reports") else {
        return;
    };
    let path = format!("{reports}/b-q1-foreign-stub-empty.tar");
    let report = imgtar(&["verify", "--json", &path]).exits(1).json();
    let problems = report["archives"][0]["problems"].as_array().cloned();
    let problems = problems.expect("problems");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0]["code"], "member-missing");
    assert_eq!(problems[0]["layer"], 0);
    let message = problems[0]["message"].as_str().expect("text");
    assert!(
        message.contains("an empty file stands in its place"),
        "{message}"
    );
    let run = imgtar(&["ls", &path]);
    assert!(
        run.err().contains("an empty file stands in its place"),
        "{run}"
    );
}
