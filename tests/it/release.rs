//! `packaging/release.sh`, in checkouts made here whose `.ci/run` and `packaging/make.sh` only leave a trace.

use std::fs;
use std::process::{Command, Output};

use crate::support::{Work, repository};

const CHANGELOG: &str = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-28\n\n- New.\n\n## [1.2.2] - 2026-11-27\n\n- Old.\n";

/// A checkout that is ready to become 1.2.3, with files of it replaced.
fn checkout(replaced: &[(&str, &str)]) -> Work {
    let work = Work::new();
    let script = fs::read(repository("packaging/release.sh")).expect("the script");
    work.put("packaging/release.sh", &script);
    let files = [
        (".gitignore", "/target\n"),
        (".ci/run", "mkdir -p target\ntouch target/checked\n"),
        (
            "packaging/make.sh",
            "mkdir -p target/dist\ntouch \"target/made$1\"\n",
        ),
        ("CHANGELOG.md", CHANGELOG),
        (
            "Cargo.toml",
            "[package]\nname = \"imgtar\"\nversion = \"1.2.3\"\n\n[dependencies]\nclap = { version = \"4.6\" }\n",
        ),
        (
            "Cargo.lock",
            "[[package]]\nname = \"clap\"\nversion = \"4.6.0\"\n\n[[package]]\nname = \"imgtar\"\nversion = \"1.2.3\"\n",
        ),
    ];
    for (name, text) in files.iter().chain(replaced) {
        work.put(name, text.as_bytes());
    }
    run(
        &work,
        "sh",
        &[
            "-c",
            "chmod +x packaging/make.sh && sed -i '1i #!/usr/bin/env bash' packaging/make.sh",
        ],
    );
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "."],
        &["commit", "-q", "-m", "one"],
    ] {
        let output = run(&work, "git", arguments);
        assert!(output.status.success(), "{}", text(&output));
    }
    work
}

fn run(work: &Work, program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(work.directory());
    for (name, value) in [
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@example.com"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@example.com"),
    ] {
        command.env(name, value);
    }
    for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
        command.env_remove(name);
    }
    command.output().expect("it starts")
}

fn release(work: &Work, arguments: &[&str]) -> Output {
    run(
        work,
        "bash",
        &[&["packaging/release.sh"], arguments].concat(),
    )
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn exists(work: &Work, name: &str) -> bool {
    work.directory().join(name).exists()
}

fn tags(work: &Work) -> String {
    text(&run(work, "git", &["tag", "--list"]))
}

#[test]
fn without_more_words_it_is_a_dry_run() {
    for more in [&[][..], &["--publish", "--dry-run"]] {
        let work = checkout(&[]);
        let output = release(&work, &[&["1.2.3"], more].concat());
        assert!(output.status.success(), "{}", text(&output));
        assert!(exists(&work, "target/checked") && exists(&work, "target/made"));
        let notes = fs::read_to_string(work.path("target/dist/NOTES.md")).expect("notes");
        assert_eq!(notes.trim(), "- New.");
        assert_eq!(tags(&work), "");
    }
    let work = checkout(&[("python/make-wheel.sh", "")]);
    release(&work, &["1.2.3"]);
    assert!(exists(&work, "target/made--wheel"));
}

#[test]
fn a_tag_is_made_when_it_is_asked_for_and_once() {
    let work = checkout(&[]);
    let arguments = ["1.2.3", "--no-ci", "--tag"];
    let output = release(&work, &arguments);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!exists(&work, "target/checked") && exists(&work, "target/made"));
    assert_eq!(tags(&work), "v1.2.3\n");
    assert!(text(&output).contains("not published"), "{}", text(&output));
    let output = release(&work, &arguments);
    assert!(!output.status.success());
    assert!(
        text(&output).contains("the tag v1.2.3 exists"),
        "{}",
        text(&output)
    );
}

#[test]
fn everything_that_is_not_ready_is_named_and_nothing_is_made() {
    let early = CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- Later.\n");
    let work = checkout(&[("CHANGELOG.md", &early)]);
    work.put("new", b"");
    let output = release(&work, &["1.2.4", "--tag"]);
    assert!(!output.status.success());
    let said = text(&output);
    for wrong in [
        "changes that are not committed",
        "Cargo.toml says version 1.2.3",
        "Cargo.lock says version 1.2.3",
        "has no line `## [1.2.4] - YYYY-MM-DD`",
        "says nothing about 1.2.4",
        "has lines in [Unreleased]",
    ] {
        assert!(said.contains(wrong), "{wrong}: {said}");
    }
    assert!(!exists(&work, "target"));
    assert_eq!(tags(&work), "");
}

#[test]
fn what_was_not_checked_or_fails_stops_it() {
    for ci in ["echo 'NOT CHECKED: advisories'\n", "exit 1\n"] {
        let work = checkout(&[(".ci/run", ci)]);
        let output = release(&work, &["1.2.3", "--tag"]);
        assert!(!output.status.success(), "{}", text(&output));
        assert!(!exists(&work, "target/made"));
        assert_eq!(tags(&work), "");
    }
}

#[test]
fn a_slip_is_not_a_release() {
    let work = checkout(&[]);
    for arguments in [
        &[][..],
        &["v1.2.3"],
        &["1.2"],
        &["1.2.3", "--tga"],
        &["1.2.3", "1.2.4"],
    ] {
        let output = release(&work, arguments);
        assert!(!output.status.success(), "{arguments:?}");
    }
    assert!(!exists(&work, "target"));
}
