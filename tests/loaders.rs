//! What `verify` foretells of engines is what the engines did.
//!
//! Three lists say what they did: `testdata/broken/LOADERS.tsv` (made by `testdata/ask-loaders.sh`),
//! `ENGINES.tsv` of the crafted layers in `../shared/cases`, and `testdata/corpus-loaders.tsv` for the
//! archives that others made, in `../shared/corpus`.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{imgtar, read, repository, shared, text};

/// The engines as `verify --json` calls them.
const ENGINES: [&str; 3] = ["docker", "containerd", "podman"];

/// A row of a list: the archive, and for each engine why it refused, if it did.
struct Row {
    path: String,
    refusals: [Option<String>; 3],
}

/// Reads a table with a line of headings.
fn rows(table: &str, path_of: impl Fn(&str) -> String, columns: [usize; 3]) -> Vec<Row> {
    let rows: Vec<Row> = table
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            Row {
                path: path_of(fields[0]),
                refusals: columns.map(|column| Some(fields[column].to_owned())),
            }
        })
        .collect();
    assert!(rows.len() > 30);
    rows
}

/// Where this machine's engine, and not the archive, is the reason.
fn is_excused(why: &str) -> bool {
    why == "needs xz"
}

/// Compares; what differs must be what is expected to, each with its reason beside it here.
#[track_caller]
fn compare(rows: &[Row], expected: &[(&str, &str)]) {
    let mut wrong = BTreeMap::new();
    for row in rows {
        let name = row.path.rsplit('/').next().expect("a name");
        let run = imgtar(&["verify", "--json", &row.path]);
        assert_ne!(run.code, 70, "{run}");
        let loaders: Value = run.json()["archives"][0]["loaders"].clone();
        for (engine, refusal) in ENGINES.iter().zip(&row.refusals) {
            let Some(real) = refusal.as_deref().filter(|why| !is_excused(why)) else {
                continue;
            };
            let accepts = real == "accepts";
            let foretold = &loaders[*engine]["accepts"];
            if *foretold != Value::Bool(accepts) {
                let reason = loaders[*engine]["reason"].to_string();
                wrong.insert(
                    (name.to_owned(), (*engine).to_owned()),
                    format!("really: {real}; foretold: {foretold} {reason}"),
                );
            } else if !accepts {
                assert!(!text(&loaders[*engine]["reason"]).is_empty(), "{name}");
            }
        }
    }
    for (name, engine) in expected {
        let key = ((*name).to_owned(), (*engine).to_owned());
        assert!(wrong.remove(&key).is_some(), "{name} {engine} agrees now");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn broken_archives_are_foretold() {
    let table = read(&repository("testdata/broken/LOADERS.tsv"));
    let rows = rows(
        &table,
        |name| repository(&format!("testdata/broken/{name}")),
        [2, 3, 4],
    );
    // imgtar does not undo a second compression, so it does not know what podman finds in it.
    let nested = "gzip-in-gzip.tar.gz";
    compare(&rows, &ENGINES.map(|engine| (nested, engine)));
}

#[test]
fn crafted_layers_are_foretold() {
    let Some(cases) = shared("cases") else { return };
    let table = read(&format!("{cases}/ENGINES.tsv"));
    let mut rows = rows(&table, |name| format!("{cases}/{name}.tar"), [4, 5, 8]);
    for row in &mut rows {
        // A listing that differs, or none that does: the engine has taken the archive.
        for refusal in &mut row.refusals {
            let refused = refusal.take().filter(|why| why.starts_with("refuses"));
            *refusal = Some(refused.unwrap_or_else(|| "accepts".to_owned()));
        }
    }
    compare(&rows, &[]);
}

#[test]
fn archives_of_others_are_foretold() {
    let Some(corpus) = shared("corpus") else {
        return;
    };
    let table = read(&repository("testdata/corpus-loaders.tsv"));
    let rows = rows(&table, |name| format!("{corpus}/{name}"), [1, 2, 3]);
    compare(&rows, &[]);
}
