//! What `verify` predicts of engines is what the engines did, and what it quotes is what they said.
//!
//! Three lists say what they did: `testdata/broken/LOADERS.tsv` (made by `testdata/ask-loaders.sh`),
//! `ENGINES.tsv` of the crafted layers in `testdata/cases.tar.zst`, and `testdata/corpus-loaders.tsv` for the
//! archives that others made, in `../shared/corpus`.

use std::collections::BTreeMap;

use crate::support::{cases, imgtar, read, repository, shared, text};
use serde_json::Value;

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
    let mut misquoted = Vec::new();
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
            let predicted = &loaders[*engine]["accepts"];
            if *predicted != Value::Bool(accepts) {
                let reason = loaders[*engine]["reason"].to_string();
                wrong.insert(
                    (name.to_owned(), (*engine).to_owned()),
                    format!("really: {real}; predicted: {predicted} {reason}"),
                );
            } else if !accepts {
                let reason = text(&loaders[*engine]["reason"]);
                assert!(!reason.is_empty(), "{name}");
                if loaders[*engine]["quoted"] == Value::Bool(true) && !is_quote(reason, real) {
                    misquoted.push(format!(
                        "{name} {engine}\n  said:   {real}\n  quoted: {reason}"
                    ));
                }
            } else {
                assert_eq!(loaders[*engine]["quoted"], Value::Bool(false), "{name}");
            }
        }
    }
    for (name, engine) in expected {
        let key = ((*name).to_owned(), (*engine).to_owned());
        assert!(wrong.remove(&key).is_some(), "{name} {engine} agrees now");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(misquoted.is_empty(), "{}", misquoted.join("\n"));
}

/// Whether an engine said so. A quotation has `…` for what it leaves out, the lists have `*` for what
/// changes from one time to the next; the longest texts were cut when they were written down.
fn is_quote(quote: &str, said: &str) -> bool {
    const CUT: usize = 250;
    // With a mask instead of several words, nothing can be compared.
    if said.len() > CUT || said.contains(" * ") {
        return true;
    }
    let said = said.strip_prefix("refuses: load: ").unwrap_or(said);
    let (quote, mut rest) = (without_digests(quote), without_digests(said));
    let pieces: Vec<&str> = quote.split('…').map(str::trim).collect();
    let (first, last) = (pieces[0], pieces[pieces.len() - 1]);
    if !rest.starts_with(first) || !rest.ends_with(last) {
        return false;
    }
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = rest[at + piece.len()..].to_owned();
    }
    quote.ends_with('…') || rest.is_empty()
}

/// With `*` for every digest.
fn without_digests(text: &str) -> String {
    let mut out = String::new();
    let mut hex = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            hex.push(c);
            if hex.len() == 64 {
                out.push('*');
                hex.clear();
            }
            continue;
        }
        out.push_str(&hex);
        hex.clear();
        out.push(c);
    }
    out.trim_end().to_owned()
}

#[test]
fn a_quotation_is_told_from_other_words() {
    let said = "open */tmp/docker-import-*/blobs/json: no such file or directory";
    assert!(is_quote(
        "open …/blobs/json: no such file or directory",
        said
    ));
    assert!(is_quote("…no such file…", said));
    assert!(!is_quote(
        "open blobs/json: no such file or directory",
        said
    ));
    assert!(!is_quote("open …/blobs/json", said));
    assert!(!is_quote("no reader can find images in the archive", said));
}

#[test]
fn broken_archives_are_predicted() {
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
fn crafted_layers_are_predicted() {
    let cases = cases();
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
fn archives_of_others_are_predicted() {
    let Some(corpus) = shared("corpus") else {
        return;
    };
    let table = read(&repository("testdata/corpus-loaders.tsv"));
    let rows = rows(&table, |name| format!("{corpus}/{name}"), [1, 2, 3]);
    compare(&rows, &[]);
}
