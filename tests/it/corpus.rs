//! imgtar on 192 archives that others made, with what each layer's digest should be.
//!
//! The archives lie beside the repository (`../shared/corpus`); its two tables say where they come
//! from and what is in them.

use crate::support;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::support::{Run, imgtar, items, read, text};

/// A table with a header, cells separated by tabs.
fn table(path: &str) -> Vec<HashMap<String, String>> {
    let text = read(path);
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split('\t').collect();
    lines
        .map(|line| {
            let cells = line.split('\t').map(ToOwned::to_owned);
            header
                .iter()
                .map(|name| (*name).to_owned())
                .zip(cells)
                .collect()
        })
        .collect()
}

/// An archive and what its catalogue says.
struct File {
    name: String,
    path: String,
    layout: String,
}

/// The corpus: its directory and its archives.
fn corpus() -> Option<(String, Vec<File>)> {
    let directory = support::shared("corpus")?;
    let files: Vec<File> = table(&format!("{directory}/CATALOGUE.tsv"))
        .into_iter()
        .map(|row| File {
            path: format!("{directory}/{}", row["file"]),
            name: row["file"].clone(),
            layout: row["layout"].clone(),
        })
        .collect();
    assert_eq!(files.len(), 192);
    Some((directory, files))
}

fn verify(file: &File) -> Run {
    imgtar(&["verify", "--json", &file.path])
}

/// The exit codes of every reading command are those of `testdata/corpus-outcomes.tsv`; where nothing is
/// answered, the reason names the file.
#[test]
fn every_archive_has_the_outcome_that_is_listed() {
    const COMMANDS: [&str; 6] = ["verify", "images", "inspect", "layers", "history", "tree"];
    let Some((_, files)) = corpus() else { return };
    let mut found = format!("file\t{}\n", COMMANDS.join("\t"));
    for file in &files {
        found.push_str(&file.name);
        for command in COMMANDS {
            let run = imgtar(&[command, &file.path]);
            if run.stdout.is_empty() {
                assert!(run.code == 3 && run.err().contains(&file.path), "{run}");
            }
            found.push('\t');
            found.push_str(&run.code.to_string());
        }
        found.push('\n');
    }
    support::up_to_date("testdata/corpus-outcomes.tsv", &found);
}

/// The layers that `verify` computed a digest for, by member; those of artifacts too.
fn computed(report: &Value) -> BTreeMap<String, (bool, Option<String>)> {
    let mut layers = BTreeMap::new();
    let images = items(&report["images"])
        .iter()
        .flat_map(|image| items(&image["layers"]));
    let blobs = items(&report["artifacts"])
        .iter()
        .flat_map(|a| items(&a["blobs"]));
    for row in images.chain(blobs) {
        let computed = row["computed"].as_str().map(ToOwned::to_owned);
        let ok = row["ok"].as_bool().expect("a boolean");
        layers.insert(text(&row["member"]).to_owned(), (ok, computed));
    }
    layers
}

/// `verify` computes for every layer what others computed for it, and finds it sound, changed or
/// missing where they did.
#[test]
fn every_layer_has_the_digest_that_others_computed() {
    let Some((directory, files)) = corpus() else {
        return;
    };
    let by_name: HashMap<&str, &File> = files.iter().map(|f| (f.name.as_str(), f)).collect();
    let mut by_file: BTreeMap<String, Vec<HashMap<String, String>>> = BTreeMap::new();
    for row in table(&format!("{directory}/DIFFIDS.tsv")) {
        by_file.entry(row["file"].clone()).or_default().push(row);
    }
    let mut totals: BTreeMap<String, usize> = BTreeMap::new();
    let mut disagreements = Vec::new();
    for (name, rows) in by_file {
        let run = verify(by_name[name.as_str()]);
        let report = if run.stdout.is_empty() {
            Value::Null
        } else {
            run.json()
        };
        let layers = match report.pointer("/archives/0") {
            Some(report) => computed(report),
            None => BTreeMap::new(),
        };
        for row in rows {
            let status = row["status"].clone();
            let wanted = Some(row["diff_id_recomputed"].clone());
            let agrees = match (layers.get(&row["name"]), status.as_str()) {
                (None, _) => false,
                (Some((ok, computed)), "ok") => *ok && *computed == wanted,
                (Some((ok, computed)), "MISMATCH") => !*ok && *computed == wanted,
                (Some((ok, computed)), "missing") => !*ok && computed.is_none(),
                (Some((_, computed)), "no diff_id") => *computed == wanted,
                (_, other) => panic!("no status is called {other}"),
            };
            // A helm chart is not an image: its layer is an artifact's blob, with the digest of its
            // stored bytes.
            let chart = name.ends_with("/google__go-containerregistry__test_index_media_type.tar");
            if agrees {
                *totals.entry(status).or_default() += 1;
            } else if !chart || status != "no diff_id" {
                let found = layers.get(&row["name"]);
                disagreements.push(format!("{name} {} {status}: {found:?}", row["name"]));
            }
        }
    }
    assert!(disagreements.is_empty(), "{disagreements:#?}");
    let total = |status: &str| totals.get(status).copied().unwrap_or(0);
    assert_eq!((total("ok"), total("MISMATCH")), (172, 50));
    // One of 131 is the chart's.
    assert_eq!((total("missing"), total("no diff_id")), (5, 130));
}

/// What the catalogue knows as an image opens, and what it knows as no image does not.
#[test]
fn what_is_an_image_opens() {
    let Some((_, files)) = corpus() else { return };
    let mut opened: BTreeSet<&str> = BTreeSet::new();
    let mut refused: BTreeSet<&str> = BTreeSet::new();
    for file in &files {
        let run = imgtar(&["images", "--json", &file.path]);
        let is_image = [
            "OCI layout",
            "docker-1.10",
            "docker-25",
            "docker manifest.json",
            "docker-v1",
        ]
        .iter()
        .any(|layout| file.layout.starts_with(layout));
        let broken = file.layout.starts_with("broken");
        match run.code {
            0 => {
                opened.insert(&file.name);
                assert!(is_image || broken, "{} ({}) opened", file.name, file.layout);
                let json = run.json();
                assert!(!items(&json["images"]).is_empty(), "{run}");
            }
            3 => {
                refused.insert(&file.name);
                let errors = run
                    .err()
                    .lines()
                    .filter(|line| line.starts_with("error: ") || line.starts_with("warning: "));
                assert!(errors.count() > 0, "no reason is given: {run}");
            }
            _ => panic!("{run}"),
        }
    }
    assert!(opened.len() > 80, "{}", opened.len());
    for file in &files {
        let no_image = file.layout.starts_with("other: bare") || file.layout.starts_with("rootfs");
        if no_image {
            assert!(refused.contains(file.name.as_str()), "{} opened", file.name);
        }
    }
}
