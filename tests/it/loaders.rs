//! What `verify` predicts of engines is what the engines did, and what it quotes is what they said.
//!
//! Four lists say what they did: `testdata/broken/LOADERS.tsv` (made by `testdata/ask-loaders.sh`),
//! `ENGINES.tsv` of the crafted layers in `testdata/cases.tar.zst`, `testdata/corpus-loaders.tsv` for the archives
//! that others made, in `../shared/corpus`, and `testdata/crafted-loaders.tsv` for crafted archives and
//! those that follow public reports, in `../shared/{truth,reports,attack}`.

use std::collections::BTreeMap;
use std::fs;

use crate::support::forge::{self, Entry};
use crate::support::{self, cases, imgtar, read, repository, say, shared, text};
use serde_json::Value;

/// An engine that was asked.
#[derive(Clone, Copy)]
struct Asked {
    name: &'static str,
    engine: &'static str,
    store: Option<&'static str>,
    version: &'static str,
    options: Option<&'static str>,
}

const fn asked(
    name: &'static str,
    engine: &'static str,
    store: Option<&'static str>,
    version: &'static str,
    options: Option<&'static str>,
) -> Asked {
    Asked {
        name,
        engine,
        store,
        version,
        options,
    }
}

const DOCKER: Asked = asked("docker", "docker", Some("classic"), "26.1", None);
const CONTAINERD: Asked = asked("containerd", "docker", Some("containerd"), "26.1", None);
const CTR: Asked = asked("ctr", "ctr", None, "1.7", None);
const KIND: Asked = asked("ctr --all", "ctr", None, "1.7", Some("--all-platforms"));
const OVERLAY: Asked = asked("overlay", "podman", Some("overlay"), "5.8", None);
// 5.4 was asked, which does the same.
const VFS: Asked = asked("podman", "podman", Some("vfs"), "5.8", None);
const SKOPEO: Asked = asked("skopeo", "skopeo", None, "1.22", None);

impl Asked {
    /// What is predicted of it; nothing where imgtar cannot open the archive.
    fn of(self, loaders: &Value) -> Option<&Value> {
        let all = loaders.as_array()?;
        let same = |loader: &&Value| {
            loader["engine"] == self.engine
                && loader["store"].as_str() == self.store
                && loader["version"] == self.version
                && loader["options"].as_str() == self.options
        };
        let found = all.iter().find(same);
        assert!(found.is_some(), "{} is not asked", self.name);
        found
    }
}

/// A row of a list: the archive, and for each engine that was asked what it said, or that it accepts.
struct Row {
    path: String,
    answers: Vec<(Asked, String)>,
}

/// Reads a table with a line of headings.
fn rows(table: &str, path_of: impl Fn(&str) -> String, columns: &[(usize, Asked)]) -> Vec<Row> {
    let rows: Vec<Row> = table
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let answers = columns
                .iter()
                .map(|(column, asked)| (*asked, fields[*column].to_owned()));
            Row {
                path: path_of(fields[0]),
                answers: answers.filter(|(_, answer)| answer != "-").collect(),
            }
        })
        .collect();
    assert!(rows.len() > 30);
    rows
}

/// Docker's two stores and podman.
const THREE: [Asked; 3] = [DOCKER, CONTAINERD, VFS];

fn three(columns: [usize; 3]) -> Vec<(usize, Asked)> {
    columns.into_iter().zip(THREE).collect()
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
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for row in rows {
        let name = row.path.rsplit('/').next().expect("a name");
        let run = imgtar(&["verify", "--json", &row.path]);
        assert_ne!(run.code, 70, "{run}");
        let loaders: Value = run.json()["archives"][0]["loaders"].clone();
        for (asked, real) in row.answers.iter().filter(|(_, real)| !is_excused(real)) {
            let accepts = real == "accepts";
            let count = counts.entry(asked.name).or_insert((0, 0));
            count.0 += 1;
            let loader = asked.of(&loaders).unwrap_or(&Value::Null);
            let predicted = loader["verdict"].as_str().unwrap_or("nothing");
            if predicted == "nothing" || (predicted != "refuses") != accepts {
                count.1 += 1;
                let reason = loader["reason"].to_string();
                wrong.insert(
                    (name.to_owned(), asked.name.to_owned()),
                    format!("really: {real}; predicted: {predicted} {reason}"),
                );
            } else if !accepts {
                let reason = text(&loader["reason"]);
                assert!(!reason.is_empty(), "{name}");
                if loader["quoted"] == Value::Bool(true) && !is_quote(reason, real) {
                    misquoted.push(format!(
                        "{name} {}\n  said:   {real}\n  quoted: {reason}",
                        asked.name
                    ));
                }
            } else if predicted == "loads" {
                assert_eq!(loader["quoted"], Value::Bool(false), "{name}");
            }
        }
    }
    for (engine, (all, disagree)) in counts {
        say(&format!("{engine}: {all} asked, {disagree} disagree"));
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
    // With a mask instead of several words, or without the words, nothing can be compared.
    if said.len() > CUT || said.contains(" * ") || said == "refuses" {
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
        &three([2, 3, 4]),
    );
    // imgtar does not undo a second compression, so it does not know what podman finds in it.
    let nested = "gzip-in-gzip.tar.gz";
    compare(&rows, &THREE.map(|asked| (nested, asked.name)));
}

#[test]
fn crafted_layers_are_predicted() {
    let cases = cases();
    let table = read(&format!("{cases}/ENGINES.tsv"));
    let mut rows = rows(
        &table,
        |name| format!("{cases}/{name}.tar"),
        &three([4, 5, 8]),
    );
    for row in &mut rows {
        // A listing that differs, or none that does: the engine has taken the archive.
        for (_, answer) in &mut row.answers {
            if !answer.starts_with("refuses") {
                "accepts".clone_into(answer);
            }
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
    let rows = rows(&table, |name| format!("{corpus}/{name}"), &three([1, 2, 3]));
    compare(&rows, &[]);
}

#[test]
fn crafted_archives_are_predicted() {
    let Some(truth) = shared("truth") else { return };
    let root = truth.strip_suffix("/truth").expect("a folder").to_owned();
    let table = read(&repository("testdata/crafted-loaders.tsv"));
    let columns = [DOCKER, CONTAINERD, CTR, KIND, OVERLAY, VFS, SKOPEO];
    let columns: Vec<(usize, Asked)> = (1..).zip(columns).collect();
    let rows = rows(&table, |name| format!("{root}/{name}"), &columns);
    compare(&rows, &[]);
}

/// Where a prediction would take more than a limit allows, nothing is predicted, and that is said.
#[test]
fn what_is_too_much_to_predict_is_unknown() {
    let directory = |name: &str| Entry::new(b'5', name.as_bytes());
    let lower = [directory("d"), Entry::file("d/a", b"a")];
    // One directory has no entry here, another is reached by a link of this layer.
    let mut link = Entry::new(b'2', b"m");
    link.link = b"e".to_vec();
    let upper = [
        Entry::file("d/b", b"b"),
        directory("e"),
        link,
        Entry::file("m/c", b"c"),
    ];
    let layers = [forge::layer(&lower), forge::layer(&upper)];
    let directory = tempfile::tempdir().expect("a directory");
    let path = support::shown(&directory.path().join("app.tar"));
    fs::write(&path, forge::archive(&layers, forge::Form::Hybrid)).expect("room for the archive");
    let verdicts = |limit: &str| -> BTreeMap<String, String> {
        let run = imgtar(&["verify", "--json", "--limit", limit, &path]).exits(0);
        let report = run.json();
        let all = report["archives"][0]["loaders"].as_array().cloned();
        let all = all.expect("predictions").into_iter();
        all.map(|loader| {
            let parts = ["engine", "store", "version", "options"];
            let parts = parts.iter().filter_map(|part| loader[part].as_str());
            let name = parts.collect::<Vec<_>>().join(" ");
            let verdict = text(&loader["verdict"]);
            if verdict == "unknown" {
                let (named, value) = limit.split_once('=').expect("a limit");
                let why = format!("the limit `{named}` allows {value}");
                assert_eq!(loader["reason"], why.as_str());
                assert_eq!(loader["quoted"], false);
                let fates = loader["images"].as_array().expect("images");
                assert!(fates.iter().all(|fate| fate["loaded"] == false), "{loader}");
            } else {
                assert_eq!(verdict, "loads", "{loader}");
            }
            (name, verdict.to_owned())
        })
        .collect()
    };
    let expect = |limit: &str, unknown: &[&str]| {
        let found = verdicts(limit);
        let found = found.iter().filter(|(_, verdict)| *verdict == "unknown");
        let found: Vec<&str> = found.map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, unknown, "{limit}");
    };
    // skopeo unpacks nothing, and podman on vfs goes by the merged tree.
    let containerd = [
        "ctr 1.7",
        "ctr 1.7 --all-platforms",
        "ctr 2.1",
        "ctr 2.1 --all-platforms",
        "docker containerd 26.1",
        "docker containerd 29.7",
    ];
    let others = [
        "docker classic 26.1",
        "docker classic 29.7",
        "podman overlay 5.8",
    ];
    let mut unpacking = [&containerd[..], &others].concat();
    unpacking.sort_unstable();
    expect("unpacked-entries=100", &[]);
    expect("unpacked-entries=3", &unpacking);
    expect("unpacked-steps=100", &[]);
    expect("unpacked-steps=0", &unpacking);
    expect("lower-entries=100", &[]);
    // containerd alone looks into lower layers.
    expect("lower-entries=1", &containerd);

    let args = ["verify", "--limit", "lower-entries=1", &path];
    let run = imgtar(&args).exits(0);
    assert!(
        run.out().contains(
            "Docker 26.1 and 29.7, containerd store: not predicted: the limit `lower-entries` allows 1\n"
        ),
        "{run}"
    );
    assert!(
        run.out()
            .contains("; not predicted for Docker (containerd store), ctr\n"),
        "{run}"
    );
    // Whoever needs it to load cannot rely on it.
    for (engine, code) in [("docker-classic", 0), ("docker-containerd", 1)] {
        let args = [&args[..], &["--loads", engine]].concat();
        imgtar(&args).exits(code);
    }
}
