//! `report`: the page, and the data that it is made of.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::forge::{self, Entry, Form};
use crate::support::{
    answer, archives, engines, imgtar, items, number, repository, shown, skip, text,
};

/// The page of an archive.
#[track_caller]
fn page(archive: &str) -> String {
    imgtar(&["report", archive, "-o", "-"])
        .exits(0)
        .out()
        .to_owned()
}

/// Asks HTML Tidy what is wrong with a page; `None` if it is not installed.
fn tidy(page: &str) -> Option<String> {
    let mut command = Command::new("tidy");
    command
        .args(["-errors", "-quiet", "-utf8", "--drop-empty-elements", "no"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(page.as_bytes()).expect("tidy reads");
    drop(stdin);
    let output = child.wait_with_output().expect("tidy ends");
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Insists on a page that a validator has nothing to say about, and in which nothing acts or hides.
#[track_caller]
fn check(archive: &str, page: &str) {
    let acts = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!page.contains(acts), "{archive}");
    let lower = page.to_ascii_lowercase();
    for foreign in [
        "<script",
        "<img",
        "<link",
        "<iframe",
        "javascript:",
        "src=",
        " onload=",
    ] {
        assert!(!lower.contains(foreign), "{archive}: {foreign}");
    }
    for (at, _) in lower.match_indices("href=\"") {
        assert!(lower[at + 6..].starts_with('#'), "{archive}");
    }
    if let Some(wrong) = tidy(page) {
        assert!(wrong.is_empty(), "{archive}: {wrong}");
    }
}

fn made(directory: &Path, layers: &[Vec<u8>], form: Form) -> String {
    let path = directory.join("made.tar");
    fs::write(&path, forge::archive(layers, form)).expect("room for the archive");
    shown(&path)
}

#[test]
fn every_archive_has_a_page_that_a_validator_likes() {
    if tidy("").is_none() {
        skip("validating pages", "HTML Tidy is not installed");
    }
    let mut pages = 0;
    for directory in ["testdata/engines", "testdata/broken"] {
        for name in archives(&repository(directory)) {
            let archive = repository(&format!("{directory}/{name}"));
            let run = imgtar(&["report", &archive, "-o", "-"]);
            // What cannot be opened at all has no page, and what can be always has one.
            if run.code != 0 {
                let verify = imgtar(&["verify", &archive]);
                assert!(run.code == 3 && verify.code == 3, "{run}");
                assert!(run.stdout.is_empty(), "{archive}");
                continue;
            }
            check(&archive, run.out());
            pages += 1;
        }
    }
    assert!(pages > 80, "{pages}");
}

#[test]
fn names_are_shown_as_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut names: Vec<Entry> = [
        &b"<script>alert(1)</script>"[..],
        b"\"quotes\" & 'more'",
        b"control\x1b[31m\x07",
        b"\xff\xfe",
        "right\u{202e}left\u{200b}".as_bytes(),
        b"]]>--></style>",
    ]
    .iter()
    .map(|name| Entry::new(b'0', name))
    .collect();
    for (i, entry) in names.iter_mut().enumerate() {
        entry.body = vec![b'a' + u8::try_from(i).expect("few"); 5000];
        entry.mode = 0o4755;
    }
    let lower = forge::layer(&names);
    let upper = forge::layer(&names);
    let archive = made(directory.path(), &[lower, upper], Form::Compressed);
    let page = page(&archive);
    check(&archive, &page);
    for shown in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&quot;quotes&quot; &amp; 'more'",
        "control\\x1b[31m\\x07",
        "\\xff\\xfe",
        "right\\u{202e}left\\u{200b}",
        "]]&gt;--&gt;&lt;/style&gt;",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn the_bytes_are_the_same_wherever_it_is_made() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = shown(&directory.path().join("page.html"));
    for name in [
        "docker26-multi.tar",
        "skopeo-oci-zstd.tar",
        "docker20-one.tar.xz",
    ] {
        let archive = engines(name);
        let one = imgtar(&["report", &archive, "-j", "1", "-o", &file]).exits(0);
        let last = one.err().lines().last().unwrap_or_default();
        assert!(
            last.contains("page.html: ") && last.contains(": ok: "),
            "{one}"
        );
        let written = fs::read_to_string(&file).expect("the page");
        assert_eq!(written, page(&archive), "{name}");
        // What is there is not replaced unless that is asked for.
        imgtar(&["report", &archive, "-o", &file]).exits(2);
        fs::remove_file(&file).expect("the page");
    }
}

#[test]
fn the_numbers_are_those_of_the_other_commands() {
    for name in [
        "docker26-multi.tar",
        "docker28c-platforms.tar",
        "skopeo-oci-zstd.tar",
        "v1.tar",
    ] {
        let archive = engines(name);
        let report = answer(&["report", &archive, "--json"]);
        let verify = answer(&["verify", &archive, "--audit", "--json"]);
        let mut verified = verify["archives"][0].clone();
        let audits = verified["audit"].take();
        assert_eq!(report["verify"], verified, "{name}");
        let history = answer(&["history", &archive, "--json"]);
        for (i, image) in items(&report["images"]).iter().enumerate() {
            assert_eq!(image["audit"], audits[i], "{name}");
            assert_eq!(image["history"], history["images"][i]["history"], "{name}");
            let at = format!("@{i}");
            // One at a time: of several compressed images `layers` does not count what is hidden.
            let layers = answer(&["layers", &archive, &at, "--json"]);
            let of = items(&image["layers"])
                .iter()
                .zip(items(&layers["images"][0]["layers"]));
            for (layer, other) in of {
                for (key, value) in other.as_object().expect("a layer") {
                    assert_eq!(layer[key], *value, "{name}: {key}");
                }
            }
            let waste = answer(&["waste", &archive, &at, "--json"]);
            for key in ["stored", "visible", "wasted", "efficiency", "duplicated"] {
                assert_eq!(image["waste"][key], waste[key], "{name}: {key}");
            }
            let hidden = items(&image["layers"])
                .iter()
                .map(|layer| number(&layer["hidden"]));
            assert_eq!(hidden.sum::<u64>(), number(&waste["wasted"]), "{name}");
            assert_eq!(image["files"]["root"]["bytes"], waste["visible"], "{name}");
            assert_eq!(
                sum(&image["files"]["root"]),
                number(&waste["visible"]),
                "{name}"
            );
        }
    }
}

/// What the leaves of a map take.
fn sum(node: &Value) -> u64 {
    match items(&node["children"]) {
        [] => number(&node["bytes"]),
        children => children.iter().map(sum).sum(),
    }
}

#[test]
fn fifty_thousand_files_are_folded() {
    let directory = tempfile::tempdir().expect("a directory");
    let entries: Vec<Entry> = (0..50_000)
        .map(|i| {
            Entry::file(
                &format!("d{}/file-with-a-name-{i}", i / 5000),
                &vec![b'x'; i % 70],
            )
        })
        .collect();
    let archive = made(
        directory.path(),
        &[forge::layer(&entries)],
        Form::Compressed,
    );
    let page = page(&archive);
    check(&archive, &page);
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(page.contains("smaller files"));
    assert!(page.contains("50,000 files"));
}

#[test]
fn secrets_are_masked_everywhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = shown(&directory.path().join("secret.tar"));
    let archive = engines("docker26-one.tar");
    let token = format!("ghp_{}", "aZ3kQ9".repeat(6));
    let change = |what: &str| what.replace("TOKEN", &token);
    let changes: BTreeMap<&str, String> = [
        ("env", "ENV DB_PASSWORD=hunter22".to_owned()),
        ("label", "LABEL api.token=hunter22".to_owned()),
        ("cmd", change("CMD login --password hunter22 TOKEN")),
    ]
    .into();
    let mut arguments = vec!["config", &archive, "-o", &path];
    for change in changes.values() {
        arguments.extend(["-c", change]);
    }
    imgtar(&arguments).exits(0);
    let data = imgtar(&["report", &path, "--json"]).exits(0);
    let page = page(&path);
    for text in [&page, data.out()] {
        assert!(!text.contains("hunter22") && !text.contains(&token));
        assert!(text.contains("DB_PASSWORD=***"));
        assert!(text.contains("ghp_***"));
    }
}

#[test]
fn what_is_wrong_is_on_the_page() {
    let broken = |name: &str| repository(&format!("testdata/broken/{name}"));
    for (name, says) in [
        ("layer-bit-flipped.tar", "diff-id-mismatch"),
        ("layer-missing.tar", "member-missing"),
        ("manifest-not-json.tar", "manifest-invalid"),
        ("truncated-in-body.tar", "archive-truncated"),
        ("layer-gzip-damaged.tar", "layer-corrupt"),
    ] {
        let page = page(&broken(name));
        assert!(page.contains("✗ FAILED"), "{name}");
        assert!(page.contains(says), "{name}");
    }
    let text_file = imgtar(&["report", &broken("not-a-tar.txt"), "-o", "-"]).exits(3);
    assert!(text_file.stdout.is_empty());
}

#[test]
fn what_was_written_is_told_unless_it_is_not_wanted() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("app.html");
    let to = to.to_str().expect("UTF-8");
    let archive = engines("docker26-one.tar");
    let told = imgtar(&["report", &archive, "-o", to]).exits(0);
    assert!(told.err().contains("open the page in a browser"), "{told}");
    let quiet = imgtar(&["report", &archive, "-q", "-f", "-o", to]).exits(0);
    assert_eq!(quiet.err(), "");
}

#[test]
fn slips_are_told() {
    let archive = engines("docker26-one.tar");
    let run = imgtar(&["report", &archive, "app.html"]).exits(2);
    assert!(run.err().contains("-o app.html"), "{run}");
    let run = imgtar(&["report", &archive, "-o", &archive, "-f"]).exits(2);
    assert!(run.stdout.is_empty());
    let one = answer(&["report", &engines("docker26-multi.tar"), "@1", "--json"]);
    assert_eq!(items(&one["images"]).len(), 1);
    assert_eq!(text(&one["schema"]), "imgtar/report/1");
}
