//! What `imgtar --version` names: the functions of the build script, on checkouts and packages made here.

#[allow(
    dead_code,
    reason = "its `main` is what Cargo runs; here the functions below it are called"
)]
#[path = "../../build.rs"]
mod script;

use std::path::Path;
use std::process::Command;

use crate::support::{Work, finish, program};

/// 2026-11-28, half past ten at night in UTC and the day after in Tokyo.
const TIME: &str = "1795905000 +0900";

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_AUTHOR_DATE", TIME)
        .env("GIT_COMMITTER_DATE", TIME)
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_WORK_TREE");
    let output = finish(command);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A checkout with one commit, and the digits of it that are shown.
fn checkout(work: &Work) -> String {
    git(work.directory(), &["init", "-q", "-b", "main"]);
    git(
        work.directory(),
        &["commit", "-q", "--allow-empty", "-m", "one"],
    );
    git(work.directory(), &["rev-parse", "HEAD"])[..7].to_owned()
}

#[test]
fn a_checkout_names_its_commit_and_the_day_in_utc() {
    let work = Work::new();
    let commit = checkout(&work);
    let built_from = script::built_from(work.directory(), None);
    assert_eq!(built_from, Some(format!("{commit} 2026-11-28")));
    let built_from = script::built_from(work.directory(), Some("951782400"));
    assert_eq!(built_from, Some(format!("{commit} 2000-02-29")));
}

#[test]
fn another_commit_runs_the_script_again() {
    let work = Work::new();
    checkout(&work);
    let times = || {
        let paths = script::watched(work.directory()).into_iter();
        let times = paths.map(|path| (path.metadata().expect("it exists").modified().ok(), path));
        times.collect::<Vec<_>>()
    };
    let before = times();
    assert!(!before.is_empty());
    std::thread::sleep(std::time::Duration::from_millis(20));
    git(
        work.directory(),
        &["commit", "-q", "--allow-empty", "-m", "two"],
    );
    assert_ne!(times(), before);
    git(work.directory(), &["pack-refs", "--all"]);
    assert!(
        script::watched(work.directory())
            .iter()
            .all(|path| path.exists())
    );
}

#[test]
fn a_worktree_names_its_own_commit() {
    let work = Work::new();
    let first = checkout(&work);
    git(work.directory(), &["worktree", "add", "-q", "beside"]);
    git(
        work.directory(),
        &["commit", "-q", "--allow-empty", "-m", "two"],
    );
    let beside = work.directory().join("beside");
    let built_from = script::built_from(&beside, None);
    assert_eq!(built_from, Some(format!("{first} 2026-11-28")));
    assert!(!script::watched(&beside).is_empty());
}

#[test]
fn sources_in_a_foreign_repository_have_no_commit() {
    let work = Work::new();
    checkout(&work);
    work.put("vendor/imgtar/Cargo.toml", b"");
    let vendored = work.directory().join("vendor/imgtar");
    assert_eq!(script::built_from(&vendored, Some("0")), None);
    assert!(script::watched(&vendored).is_empty());
}

#[test]
fn a_published_crate_names_the_commit_that_cargo_noted() {
    let work = Work::new();
    let noted =
        r#"{ "git": { "sha1": "d145a38c0ffee000000000000000000000000000" }, "path_in_vcs": "" }"#;
    work.put(".cargo_vcs_info.json", noted.as_bytes());
    let built_from = script::built_from(work.directory(), None);
    assert_eq!(built_from.as_deref(), Some("d145a38"));
    let built_from = script::built_from(work.directory(), Some("86399"));
    assert_eq!(built_from.as_deref(), Some("d145a38 1970-01-01"));
    work.put(".cargo_vcs_info.json", b"{ \"git\": { \"sha1\": \"no\" } }");
    assert_eq!(script::built_from(work.directory(), None), None);
}

#[test]
fn days_are_those_of_the_calendar() {
    for (seconds, day) in [
        (0, Some("1970-01-01")),
        (68_255_999, Some("1972-02-29")),
        (4_107_542_400, Some("2100-03-01")),
        (1_798_761_599, Some("2026-12-31")),
        (253_402_300_799, Some("9999-12-31")),
        (253_402_300_800, None),
        (u64::MAX, None),
    ] {
        assert_eq!(script::day(seconds).as_deref(), day, "{seconds}");
    }
}

#[test]
fn the_program_says_its_version_first() {
    let mut command = program();
    command.arg("--version");
    let output = finish(command);
    let said = String::from_utf8_lossy(&output.stdout);
    let version = concat!("imgtar ", env!("CARGO_PKG_VERSION"));
    let rest = said.trim_end().strip_prefix(version).expect("the version");
    assert!(
        rest.is_empty() || (rest.starts_with(" (") && rest.ends_with(')')),
        "{said}"
    );
}
