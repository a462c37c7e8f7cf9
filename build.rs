//! Tells the program which commit it was built from, for `imgtar --version`.
//!
//! The commit comes from git where the sources are a checkout, from `.cargo_vcs_info.json` where they are a published
//! crate, and is left out elsewhere. Nothing fails because of it. `tests/it/build_script.rs` tests the functions here.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the rules are about the program; this runs while it is built, asks git and talks to Cargo"
)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The digits of a commit that are shown. git itself shows more in repositories with more objects, so its own
/// abbreviation would differ between clones.
const SHOWN: usize = 7;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let directory = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // The library alone has no use for it. Neither has a debug build: there every commit would make this crate and
    // its tests compile again.
    let is_wanted = env::var_os("CARGO_FEATURE_CLI").is_some()
        && env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let built_from = if is_wanted {
        println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
        for path in watched(&directory) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        let epoch = env::var("SOURCE_DATE_EPOCH").ok();
        built_from(&directory, epoch.as_deref())
    } else {
        None
    };
    let shown = match built_from {
        Some(built_from) => format!("{version} ({built_from})"),
        None => version,
    };
    println!("cargo::rustc-env=IMGTAR_VERSION={shown}");
}

/// The commit of the sources in `directory` and its day in UTC (`d145a38 2026-11-28`), as far as they are known.
/// `epoch` is `SOURCE_DATE_EPOCH`, seconds since 1970, which replaces the time of the commit.
pub(crate) fn built_from(directory: &Path, epoch: Option<&str>) -> Option<String> {
    let (commit, seconds) = of_git(directory).or_else(|| of_package(directory))?;
    let seconds = epoch.and_then(|epoch| epoch.parse().ok()).or(seconds);
    Some(match seconds.and_then(day) {
        Some(day) => format!("{commit} {day}"),
        None => commit,
    })
}

/// The commit that is checked out, and its time. `None` where `directory` is not the top of a checkout: the
/// repository around it may be one that has only taken these sources in.
fn of_git(directory: &Path) -> Option<(String, Option<u64>)> {
    if !directory.join(".git").exists() {
        return None;
    }
    let said = git(
        directory,
        ["log", "-1", "--no-show-signature", "--format=%H %ct"],
    )?;
    let (commit, seconds) = said.split_once(' ')?;
    Some((shortened(commit)?, seconds.parse().ok()))
}

/// What `cargo package` has noted of the commit; it notes no time.
fn of_package(directory: &Path) -> Option<(String, Option<u64>)> {
    let text = fs::read_to_string(directory.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    Some((shortened(commit)?, None))
}

/// The first digits of a commit, if it is one.
fn shortened(commit: &str) -> Option<String> {
    let digits = commit.get(..SHOWN)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| digits.to_owned())
}

/// What changes when another commit is checked out. Cargo takes a path that does not exist for one that has changed,
/// every time, so those are left out.
pub(crate) fn watched(directory: &Path) -> Vec<PathBuf> {
    if !directory.join(".git").exists() {
        return Vec::new();
    }
    let mut names = vec![
        "HEAD".to_owned(),
        "logs/HEAD".to_owned(),
        "packed-refs".to_owned(),
    ];
    names.extend(git(directory, ["symbolic-ref", "-q", "HEAD"]));
    let paths = names
        .iter()
        .filter_map(|name| git(directory, ["rev-parse", "--git-path", name]))
        .map(|path| directory.join(path));
    paths.filter(|path| path.exists()).collect()
}

/// What git says, without the end of its line; `None` if it is missing or fails.
fn git<const N: usize>(directory: &Path, arguments: [&str; N]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments);
    // In a hook these name the repository of the hook.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    let output = command.output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !said.trim().is_empty()).then(|| said.trim().to_owned())
}

/// The day of a time in UTC, as `2026-11-28`; `None` beyond the year 9999.
pub(crate) fn day(seconds: u64) -> Option<String> {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut days = seconds / (24 * 60 * 60);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
        if year > 9999 {
            return None;
        }
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    Some(format!("{year}-{month:02}-{:02}", days + 1))
}
