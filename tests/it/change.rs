//! `--change` against Docker 26.1: what it makes of a config, and what it refuses in which words.
//!
//! `testdata/change/cases.jsonl` holds what Docker answered (`testdata/make-changes.py` asks it).
//! With an engine at hand it is asked again, and the whole config must have the same bytes.

use std::fs;

use imgtar::base::digest::{DiffId, Digest};
use imgtar::document::{ChangeError, ConfigChanges, ConfigDraft, Created, HistoryEntry, Platform};
use serde_json::Value;

use crate::support::{Docker, items, read, repository, shown, text};

/// An empty tar, which the cases were recorded with.
const TAR: [u8; 1024] = [0; 1024];

/// One case: the values of `--change`, and what Docker made of them.
struct Case {
    changes: Vec<String>,
    answer: Result<Value, String>,
}

fn cases() -> Vec<Case> {
    let lines = read(&repository("testdata/change/cases.jsonl"));
    let cases: Vec<Case> = lines
        .split_terminator('\n')
        .map(|line| {
            let case: Value = serde_json::from_str(line).expect("a case is JSON");
            Case {
                changes: items(&case["changes"])
                    .iter()
                    .map(|change| text(change).to_owned())
                    .collect(),
                answer: match case["error"].as_str() {
                    Some(words) => Err(words.to_owned()),
                    None => Ok(case["config"].clone()),
                },
            }
        })
        .collect();
    assert!(cases.len() > 500, "{} cases", cases.len());
    cases
}

/// The config that `docker import` would write with these changes.
fn draft(changes: &[String], created: &str) -> Result<ConfigDraft, ChangeError> {
    let created: Created = created.parse().expect("a time");
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    let mut draft = ConfigDraft::new(&platform, &created);
    let mut run = draft.run().clone();
    ConfigChanges::parse(changes)?.apply(&mut run)?;
    draft.set_run(run);
    draft.set_comment("Imported from -");
    draft.set_diff_ids(&[DiffId::from(Digest::sha256_of(&TAR))]);
    draft.push_history(HistoryEntry {
        created: Some(created),
        comment: "Imported from -".to_owned(),
        ..HistoryEntry::default()
    });
    Ok(draft)
}

/// Docker's client drops white space around the words.
fn refusal(error: &ChangeError) -> &str {
    error.words().trim()
}

#[test]
fn configs_and_refusals_are_those_of_docker() {
    let mut wrong = Vec::new();
    let (mut accepted, mut refused) = (0, 0);
    for case in cases() {
        let ours = draft(&case.changes, "2026-01-01T00:00:00Z");
        let ours = match &ours {
            Ok(draft) => {
                accepted += 1;
                let config: Value =
                    serde_json::from_slice(&draft.to_bytes()).expect("a draft is JSON");
                Ok(config["config"].clone())
            }
            Err(error) => {
                refused += 1;
                Err(refusal(error).to_owned())
            }
        };
        if ours != case.answer {
            wrong.push(format!(
                "{:?}\n  docker {:?}\n  imgtar {ours:?}",
                case.changes, case.answer
            ));
        }
    }
    assert!(accepted > 200 && refused > 150, "{accepted} {refused}");
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

/// Pieces that mean something, to put where they mean something else.
const PIECES: [&str; 30] = [
    "$",
    "${",
    "}",
    ":-",
    "#",
    "##",
    "%",
    "/",
    "//",
    "\\",
    "\"",
    "'",
    "=",
    "--",
    "[",
    "]",
    ",",
    "\n",
    " ",
    "<<",
    "<<-E\n",
    "ONBUILD ",
    "HEALTHCHECK ",
    "--interval=",
    "1h",
    "# escape=`\n",
    "`",
    "\u{feff}",
    "é",
    "$a",
];

/// Cases cut, joined and strewn with pieces: nothing panics, and what is taken can be read back.
#[test]
fn mangled_changes_do_no_harm() {
    let texts: Vec<String> = cases().iter().map(|case| case.changes.join("\n")).collect();
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).expect("it is below a usize")
    };
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut text: Vec<char> = texts[random(texts.len())].chars().collect();
        for _ in 0..=random(4) {
            let at = random(text.len() + 1);
            match random(3) {
                0 => drop(text.splice(at..at, PIECES[random(PIECES.len())].chars())),
                1 => text.truncate(at),
                _ => text.extend(texts[random(texts.len())].chars()),
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(draft) = draft(&[text], "2026-01-01T00:00:00Z") {
            let again = ConfigDraft::parse(&draft.to_bytes()).expect("a draft is a config");
            assert_eq!(again.run(), draft.run());
            taken += 1;
        }
    }
    assert!(taken > 1_000, "{taken}");
}

/// What Docker says now is what it said, and a whole config has the bytes of Docker's: the image ID is
/// the same once the version of the engine is in it.
#[test]
fn docker_says_so_still() {
    let Some(docker) = Docker::d26() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let tar = shown(&directory.path().join("empty.tar"));
    fs::write(&tar, TAR).expect("room for a tar");
    let mut wrong = Vec::new();
    for case in cases() {
        let mut args = vec!["import".to_owned()];
        for change in &case.changes {
            args.extend(["--change".to_owned(), change.clone()]);
        }
        args.push("-".to_owned());
        let mut command = docker.command(&args);
        command.stdin(fs::File::open(&tar).expect("it was just written"));
        let output = command.output().expect("the client starts");
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let words = words
                .trim()
                .trim_start_matches("Error response from daemon: ");
            let ours = draft(&case.changes, "2026-01-01T00:00:00Z");
            let ours = ours.as_ref().map_err(refusal);
            if ours.map(|_| ()) != Err(words) {
                wrong.push(format!("{:?}: docker refuses: {words}", case.changes));
            }
            continue;
        }
        let id = String::from_utf8(output.stdout).expect("an ID is text");
        let id = id.trim();
        let format = "{{.Created}} {{.DockerVersion}} {{.Architecture}}";
        let facts = docker.ask(&["image", "inspect", "--format", format, id]);
        docker.try_run(&["rmi", id]);
        let facts: Vec<&str> = facts.split_whitespace().collect();
        let [created, version, architecture] = facts[..] else {
            panic!("{facts:?}");
        };
        let ours = match draft(&case.changes, created) {
            Ok(ours) => String::from_utf8(ours.to_bytes()).expect("a draft is text"),
            Err(error) => {
                wrong.push(format!("{:?}: only imgtar refuses: {error}", case.changes));
                continue;
            }
        };
        let ours = ours.replacen("amd64", architecture, 1).replacen(
            ",\"history\":[{",
            &format!(",\"docker_version\":\"{version}\",\"history\":[{{"),
            1,
        );
        if Digest::sha256_of(ours.as_bytes()).to_string() != id {
            wrong.push(format!("{:?}: other bytes than {id}: {ours}", case.changes));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}
