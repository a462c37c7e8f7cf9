//! imgtar on archives that are damaged, odd or hostile, and on command lines that cannot be meant.

use crate::support;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{
    Input, Run, answer, archives, bytes, engines, full_size, imgtar, imgtar_with, in_turn, items,
    member, read, repository, sha256, shown, text,
};

/// A line of `BROKEN.tsv`.
struct Row {
    file: String,
    path: String,
    outcome: String,
    codes: Vec<String>,
}

fn rows() -> Vec<Row> {
    let table = read(&repository("testdata/broken/BROKEN.tsv"));
    let rows: Vec<Row> = table
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [file, outcome, codes, _] = cells[..] else {
                panic!("four cells are wanted: {line}")
            };
            Row {
                file: file.to_owned(),
                path: broken(file),
                outcome: outcome.to_owned(),
                codes: codes
                    .split(',')
                    .filter(|code| !code.is_empty())
                    .map(ToOwned::to_owned)
                    .collect(),
            }
        })
        .collect();
    assert!(!rows.is_empty());
    rows
}

fn broken(file: &str) -> String {
    repository(&format!("testdata/broken/{file}"))
}

/// The codes of one severity in what `verify --json` says of one archive.
fn codes(archive: &Value, severity: &str) -> BTreeSet<String> {
    items(&archive["problems"])
        .iter()
        .filter(|problem| problem["severity"] == severity)
        .map(|problem| text(&problem["code"]).to_owned())
        .collect()
}

// --- one defect each --------------------------------------------------------------------------------

/// What each archive in `testdata/broken` comes to is what its table says: `verify` exits with 0, 1
/// or 3 and reports the codes, `images` opens what can be opened.
#[test]
fn every_defect_is_told_for_what_it_is() {
    for row in rows() {
        let verify = imgtar(&["verify", "--json", &row.path]);
        let images = imgtar(&["images", "--json", &row.path]);
        match row.outcome.as_str() {
            "refused" => refused(&row, verify, images),
            "opens" => opens(&row, &verify, images),
            "verify-fails" => verify_fails(&row, verify, images),
            other => panic!("{}: no outcome is called {other}", row.file),
        }
    }
}

fn refused(row: &Row, verify: Run, images: Run) {
    // A program that asked for a document gets one, with the refusal in it.
    assert!(is_unreadable(&verify.json()["archives"][0]), "{verify}");
    assert!(images.stdout.is_empty(), "{images}");
    for run in [verify.exits(3), images.exits(3)] {
        assert!(run.err().starts_with("error: "), "{run}");
        assert!(run.err().contains(&row.path), "{run}");
    }
    assert!(row.codes.is_empty(), "{}", row.file);
}

/// Nothing is an error; what the table names is a warning, and nothing else is one.
fn opens(row: &Row, verify: &Run, images: Run) {
    assert!(verify.code == 0 && verify.stderr.is_empty(), "{verify}");
    let json = verify.json();
    let archive = &json["archives"][0];
    assert_eq!(archive["ok"], Value::Bool(true), "{verify}");
    assert!(codes(archive, "error").is_empty(), "{verify}");
    let wanted: BTreeSet<String> = row.codes.iter().cloned().collect();
    assert_eq!(codes(archive, "warning"), wanted, "{verify}");
    let strict = imgtar(&["verify", "--strict", &row.path]);
    strict.exits(i32::from(!wanted.is_empty()));
    if items(&archive["images"]).is_empty() {
        // An archive of artifacts alone is sound, but there is no image to show.
        let run = images.exits(3);
        assert!(run.err().contains(&row.path), "{run}");
        assert!(run.err().contains("holds no image"), "{run}");
        assert!(!items(&archive["artifacts"]).is_empty(), "{verify}");
    } else {
        images.exits(0);
    }
}

/// Everything that the table names is an error; images are shown as far as they can be.
fn verify_fails(row: &Row, verify: Run, images: Run) {
    let verify = verify.exits(1);
    let json = verify.json();
    let archive = &json["archives"][0];
    assert_eq!(archive["ok"], Value::Bool(false), "{verify}");
    let errors = codes(archive, "error");
    assert!(
        !row.codes.is_empty(),
        "{}: the table names no code",
        row.file
    );
    for code in &row.codes {
        assert!(errors.contains(code), "{code} is missing: {verify}");
    }
    if images.code != 0 {
        // It names the file, or tells of the same problem.
        let run = images.exits(3);
        let told = errors.iter().any(|code| run.err().contains(code.as_str()));
        assert!(told || run.err().contains(&row.path), "{run}");
        assert!(
            run.err().contains("error: ") || run.err().contains("warning: "),
            "{run}"
        );
    }
}

/// A refusal says what the file is instead, in words that fit no other.
#[test]
fn a_refusal_says_what_the_file_is() {
    let words = BTreeMap::from([
        ("bare-layer.tar", "single layer"),
        ("empty-archive.tar", "a tar without members"),
        ("gzip-cut.tar.gz", "gzip data around"),
        ("gzip-damaged.tar.gz", "gzip data around"),
        ("gzip-in-gzip.tar.gz", "compressed twice"),
        ("index-missing.tar", "without index.json"),
        ("not-a-tar.txt", "it is text"),
        ("oci-one-directory-deep.tar", "one directory too deep"),
        ("zero-bytes.tar", "is empty"),
    ]);
    let refused: Vec<Row> = rows()
        .into_iter()
        .filter(|row| row.outcome == "refused")
        .collect();
    let files: BTreeSet<&str> = refused.iter().map(|row| row.file.as_str()).collect();
    assert_eq!(files, words.keys().copied().collect());
    for row in &refused {
        for command in ["images", "inspect", "layers", "history", "tree", "verify"] {
            let run = imgtar(&[command, &row.path]).exits(3);
            assert!(run.err().contains(words[row.file.as_str()]), "{run}");
            assert!(
                run.err().contains("hint: "),
                "what to do next is missing: {run}"
            );
            let err = run.err();
            let lines: Vec<&str> = err.lines().collect();
            for pair in lines.windows(2) {
                if let Some(cause) = pair[1].strip_prefix("  caused by: ") {
                    assert!(!pair[0].contains(cause), "the cause is told twice: {run}");
                }
            }
        }
    }
}

/// One archive that cannot be read does not keep `verify` from checking the others, and the worst
/// outcome is the exit code.
#[test]
fn verify_checks_what_it_can() {
    let sound = engines("tiny20.tar");
    let bad = broken("layer-bit-flipped.tar");
    let no_tar = broken("not-a-tar.txt");
    let run = imgtar(&["verify", "--json", &sound, &bad, &sound]).exits(1);
    let oks: Vec<bool> = items(&run.json()["archives"])
        .iter()
        .map(|archive| archive["ok"] == Value::Bool(true))
        .collect();
    assert_eq!(oks, [true, false, true]);
    let run = imgtar(&["verify", "--json", &no_tar, &bad, &sound]).exits(3);
    let json = run.json();
    let paths: Vec<&str> = items(&json["archives"])
        .iter()
        .map(|a| text(&a["path"]))
        .collect();
    assert_eq!(paths, [no_tar.as_str(), bad.as_str(), sound.as_str()]);
    assert!(run.err().contains(&no_tar), "{run}");
}

/// A problem is told with its place: the image, the layer, the member, the byte, and claimed against
/// computed.
#[test]
fn a_mismatch_is_told_with_its_place() {
    let path = broken("layer-bit-flipped.tar");
    let json = imgtar(&["verify", "--json", &path]).exits(1).json();
    let archive = &json["archives"][0];
    let problem = &archive["problems"][0];
    let layer = &archive["images"][0]["layers"][1];
    assert_eq!(problem["code"], "diff-id-mismatch");
    assert_eq!(problem["image"], archive["images"][0]["id"]);
    assert_eq!(problem["layer"], 1);
    assert_eq!(problem["member"], layer["member"]);
    assert_eq!(problem["claimed"], layer["diff_id"]);
    assert_eq!(problem["computed"], layer["computed"]);
    let body = member(&path, text(&layer["member"]));
    assert_eq!(text(&problem["computed"]), sha256(&body));
    let offset = usize::try_from(support::number(&problem["offset"])).expect("an offset");
    assert_eq!(bytes(&path)[offset..][..body.len()], body);
    let run = imgtar(&["verify", &path]).exits(1);
    let whole = imgtar(&["verify", "--no-trunc", &path]).exits(1);
    for word in [
        text(&problem["claimed"]),
        text(&problem["computed"]),
        text(&problem["member"]),
    ] {
        assert!(whole.out().contains(word), "{word} is missing: {whole}");
        // The beginning is enough for people, but for what is behind the digest of a member.
        let digest = word.trim_start_matches("sha256:");
        for short in [&digest[..12], &digest[64..]] {
            assert!(run.out().contains(short), "{short} is missing: {run}");
        }
        assert!(!run.out().contains(&digest[..13]), "{run}");
    }
}

// --- cut short --------------------------------------------------------------------------------------

/// Whether a file could not be read as an archive at all.
fn is_unreadable(archive: &Value) -> bool {
    codes(archive, "error").contains("archive-unreadable")
}

/// The verdicts of `verify` on many archives at once: for each its report, or what standard error
/// says of it. The exit code is that of the worst.
fn verdicts(made: &[(String, Vec<u8>)]) -> HashMap<String, Verdict> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut verdicts = HashMap::new();
    for batch in made.chunks(64) {
        let mut args = vec!["verify".to_owned(), "--json".to_owned()];
        for (name, content) in batch {
            let path = directory.path().join(name);
            fs::write(&path, content).expect("room for the archive");
            args.push(shown(&path));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let run = imgtar(&args);
        let json = run.json();
        let mut worst = 0;
        let reports: HashMap<&str, &Value> = json["archives"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .map(|archive| (text(&archive["path"]), archive))
            .collect();
        for (name, _) in batch {
            let path = shown(&directory.path().join(name));
            let report = reports.get(path.as_str());
            let told = report.is_some() || run.err().contains(&path);
            assert!(told, "nothing is said of {name}: {run}");
            let verdict = match report {
                Some(report) if !is_unreadable(report) => Verdict::Report((*report).clone()),
                _ => Verdict::Refused,
            };
            worst = worst.max(match &verdict {
                Verdict::Refused => 3,
                verdict if verdict.is_ok() => 0,
                Verdict::Report(_) => 1,
            });
            verdicts.insert(name.clone(), verdict);
        }
        assert_eq!(run.code, worst, "{run}");
    }
    verdicts
}

enum Verdict {
    Refused,
    Report(Value),
}

impl Verdict {
    fn is_ok(&self) -> bool {
        matches!(self, Self::Report(report) if report["ok"] == Value::Bool(true))
    }

    fn errors(&self) -> BTreeSet<String> {
        match self {
            Self::Refused => BTreeSet::new(),
            Self::Report(report) => codes(report, "error"),
        }
    }
}

/// Where a member lies in an uncompressed tar, as another reader than imgtar's finds it.
struct Place {
    name: String,
    header: usize,
    body: usize,
    len: usize,
}

fn places(archive: &[u8]) -> Vec<Place> {
    let at = |n: u64| usize::try_from(n).expect("a small archive");
    let mut tar = tar::Archive::new(archive);
    let mut places = Vec::new();
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        places.push(Place {
            name: shown(&entry.path().expect("a path")),
            header: at(entry.raw_header_position()),
            body: at(entry.raw_file_position()),
            len: body.len(),
        });
    }
    places
}

/// An archive that is cut is never passed as something else: `verify` fails, unless what was cut off
/// says nothing about the images; then all images are there, and every layer of them was checked.
#[test]
fn no_cut_goes_unnoticed() {
    let mut unnoticed = Vec::new();
    for name in ["tiny20.tar", "tiny26.tar", "tiny-oci.tar"] {
        let whole = bytes(&engines(name));
        let report = answer(&["verify", "--json", &engines(name)]);
        let images = &report["archives"][0]["images"];
        let places = places(&whole);
        let last = places.last().expect("members");
        let end = last.body + last.len;
        let cuts: BTreeSet<usize> = (0..whole.len())
            .step_by(512)
            .chain([
                1,
                100,
                257,
                511,
                513,
                700,
                1023,
                1500,
                end - 1,
                end,
                end + 1,
            ])
            .chain(
                places
                    .iter()
                    .flat_map(|place| [place.header + 7, place.body + place.len / 2]),
            )
            .filter(|cut| *cut < whole.len())
            .collect();
        let made: Vec<(String, Vec<u8>)> = cuts
            .iter()
            .map(|cut| (cut.to_string(), whole[..*cut].to_vec()))
            .collect();
        let verdicts = verdicts(&made);
        for cut in cuts {
            let verdict = &verdicts[&cut.to_string()];
            let between = places.iter().any(|place| place.header == cut);
            let noticed = match verdict {
                Verdict::Refused => cut < 512,
                // Only padding and blocks of zeros are gone, which many writers leave out anyway.
                Verdict::Report(_) if cut >= end.next_multiple_of(512) => verdict.is_ok(),
                Verdict::Report(report) if verdict.is_ok() => {
                    (between || cut >= end) && report["images"] == *images
                }
                // One error, whatever is missing because of it.
                Verdict::Report(_) => {
                    verdict.errors() == BTreeSet::from(["archive-truncated".to_owned()])
                }
            };
            if !noticed {
                unnoticed.push(format!("{name} cut at byte {cut}: {:?}", verdict.errors()));
            }
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

/// The reading commands do not answer from a part of an archive: they refuse what is cut in a member.
#[test]
fn what_is_cut_in_a_member_is_not_read() {
    let whole = bytes(&engines("tiny20.tar"));
    let places = places(&whole);
    let last = places.last().expect("members");
    let cut = &whole[..last.body + last.len / 2];
    for command in ["images", "inspect", "layers", "history", "tree"] {
        let run = imgtar_with(&[command, "-"], Input::Pipe(cut)).exits(3);
        assert!(run.stdout.is_empty(), "{run}");
        assert!(run.err().contains("is cut short in its member"), "{run}");
    }
}

// --- flipped bits -----------------------------------------------------------------------------------

/// What a flipped bit lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Layer,
    Config,
    OtherBlob,
    Header,
    Elsewhere,
}

/// A flipped bit in a layer, a config, any other blob or a header is always found, for what it is; no
/// flipped bit anywhere is a bug.
#[test]
fn no_flipped_bit_in_what_is_hashed_goes_unnoticed() {
    let whole = bytes(&engines("tiny26.tar"));
    let manifest: Value =
        serde_json::from_slice(&member(&engines("tiny26.tar"), "manifest.json")).expect("JSON");
    let config = text(&manifest[0]["Config"]);
    let layers: Vec<&str> = items(&manifest[0]["Layers"]).iter().map(text).collect();
    let places = places(&whole);
    let part = |offset: usize| {
        for place in &places {
            if (place.header..place.header + 512).contains(&offset) {
                // A checksum may be spelled in several ways.
                let checksum = (148..156).contains(&(offset - place.header));
                return if checksum {
                    Part::Elsewhere
                } else {
                    Part::Header
                };
            }
            if (place.body..place.body + place.len).contains(&offset) {
                return match place.name.as_str() {
                    name if layers.contains(&name) => Part::Layer,
                    name if name == config => Part::Config,
                    name if name.starts_with("blobs/") => Part::OtherBlob,
                    _ => Part::Elsewhere,
                };
            }
        }
        Part::Elsewhere
    };
    let offsets: Vec<usize> = (0..whole.len())
        .step_by(if full_size() { 7 } else { 21 })
        .collect();
    for wanted in [Part::Layer, Part::Config, Part::OtherBlob, Part::Header] {
        assert!(
            offsets.iter().any(|offset| part(*offset) == wanted),
            "{wanted:?}"
        );
    }
    for offsets in offsets.chunks(256) {
        let made: Vec<(String, Vec<u8>)> = offsets
            .iter()
            .map(|offset| {
                let mut flipped = whole.clone();
                flipped[*offset] ^= 1 << (offset % 8);
                (offset.to_string(), flipped)
            })
            .collect();
        let verdicts = verdicts(&made);
        for offset in offsets {
            let verdict = &verdicts[&offset.to_string()];
            let errors = verdict.errors();
            let any = |codes: &[&str]| codes.iter().any(|code| errors.contains(*code));
            let found = match part(*offset) {
                Part::Layer => any(&["diff-id-mismatch", "blob-digest-mismatch"]),
                Part::Config => any(&["config-digest-mismatch"]),
                Part::OtherBlob => any(&["blob-digest-mismatch", "manifest-invalid"]),
                Part::Header => any(&["archive-truncated"]) || matches!(verdict, Verdict::Refused),
                Part::Elsewhere => true,
            };
            assert!(found, "byte {offset}, {:?}: {errors:?}", part(*offset));
        }
    }
}

// --- command lines ----------------------------------------------------------------------------------

/// What cannot be meant exits with 2 and shows nothing.
#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let archive = engines("docker20-multi.tar");
    let a = archive.as_str();
    let command_lines: [&[&str]; 16] = [
        &[],
        &["images"],
        &["verify"],
        &["tree"],
        &["frobnicate", a],
        &["images", a, "--frobnicate"],
        &["images", a, "app", "too-much"],
        &["images", a, "@x"],
        &["images", a, "@"],
        &["images", a, "@-1"],
        &["images", a, "--platform", "linux"],
        &["images", a, "--platform", "linux/amd64/v1/more"],
        &["images", a, "--platform", ""],
        &["history", a, "--human=perhaps"],
        &["verify", a, "-j", "0"],
        &["images", a, "--color", "sometimes"],
    ];
    for args in command_lines {
        let run = imgtar(args).exits(2);
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{run}");
    }
}

/// A file that is not there or may not be read is the environment's fault; a directory is not an archive.
#[test]
fn what_is_no_file_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let absent = shown(&directory.path().join("absent.tar"));
    for command in ["images", "inspect", "layers", "history", "tree", "verify"] {
        let run = imgtar(&[command, &absent]).exits(4);
        assert!(
            run.stdout.is_empty() && run.err().contains(&absent),
            "{run}"
        );
        let path = shown(directory.path());
        let run = imgtar(&[command, &path]).exits(3);
        assert!(run.stdout.is_empty() && run.err().contains(&path), "{run}");
        assert!(run.err().contains("directory"), "{run}");
    }
    // What looks like a reference is answered with how to get an archive of it.
    let run = imgtar(&["images", "nginx:1.12"]).exits(4);
    assert!(run.err().contains("docker save"), "{run}");
}

/// An image that the archive does not hold is an error that lists those that it holds.
#[test]
fn an_unknown_image_is_an_error_with_candidates() {
    let archive = engines("docker20-multi.tar");
    let images = answer(&["images", "--json", &archive]);
    for command in ["images", "inspect", "layers", "history"] {
        for wanted in [
            "imgtar-testdata/app:3",
            "app:1",
            "sha256:0123456789",
            "imgtar-testdata/app",
        ] {
            let run = imgtar(&[command, &archive, wanted]).exits(3);
            assert!(run.stdout.is_empty() && run.err().contains(wanted), "{run}");
            for image in items(&images["images"]) {
                let id = &text(&image["id"])["sha256:".len()..][..12];
                assert!(run.err().contains(id), "{id} is missing: {run}");
                for name in items(&image["references"]) {
                    assert!(run.err().contains(text(name)), "{name} is missing: {run}");
                }
            }
        }
        let run = imgtar(&[command, &archive, "@9"]).exits(3);
        assert!(run.err().contains("@9") && run.err().contains('4'), "{run}");
    }
}

/// An image is picked by any spelling of its name, by its ID or a prefix of it, by its position.
#[test]
fn an_image_is_picked_by_name_id_or_position() {
    let archive = engines("docker20-multi.tar");
    let all = answer(&["images", "--json", &archive]);
    let image = &all["images"][1];
    let id = text(&image["id"]);
    let hex = id.strip_prefix("sha256:").expect("sha256");
    for wanted in [
        "imgtar-testdata/app:2",
        "docker.io/imgtar-testdata/app:2",
        "index.docker.io/imgtar-testdata/app:2",
        "registry.example.com:5000/imgtar-testdata/app:release",
        id,
        hex,
        &hex[..12],
        &hex.to_uppercase()[..12],
        &id["sha256:".len() - 7..][..7 + 12],
        "@1",
    ] {
        let picked = answer(&["images", "--json", &archive, wanted]);
        assert_eq!(
            items(&picked["images"]),
            std::slice::from_ref(image),
            "{wanted}"
        );
    }
}

/// A prefix that fits several IDs is not guessed at: it is a usage error that lists them.
#[test]
fn an_ambiguous_prefix_is_a_usage_error() {
    let (one, other) = two_configs_alike();
    let id = |config: &str| sha256(config.as_bytes())["sha256:".len()..].to_owned();
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: &str, body: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, body.as_bytes())
            .expect("room in memory");
    };
    let mut manifest = Vec::new();
    for config in [&one, &other] {
        let name = format!("{}.json", id(config));
        put(&name, config);
        manifest.push(serde_json::json!({"Config": name, "RepoTags": null, "Layers": []}));
    }
    put("manifest.json", &Value::Array(manifest).to_string());
    let archive = tar.into_inner().expect("room in memory");

    let prefix = &id(&one)[..4];
    for command in ["images", "history"] {
        let run = imgtar_with(&[command, "-", prefix], Input::Pipe(&archive)).exits(2);
        assert!(run.stdout.is_empty(), "{run}");
        for config in [&one, &other] {
            assert!(run.err().contains(&id(config)[..12]), "{run}");
        }
    }
    // One that is long enough, and a position, still pick.
    for (wanted, config) in [(id(&other), &other), ("@0".to_owned(), &one)] {
        let args = ["images", "--json", "-", &wanted];
        let json = imgtar_with(&args, Input::Pipe(&archive)).succeeds().json();
        assert_eq!(text(&json["images"][0]["id"]), sha256(config.as_bytes()));
    }
    // Three digits are no ID at all.
    imgtar_with(&["images", "-", &prefix[..3]], Input::Pipe(&archive)).exits(3);
}

/// Two configs whose digests begin with the same four digits.
fn two_configs_alike() -> (String, String) {
    let mut seen: HashMap<String, String> = HashMap::new();
    for n in 0.. {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","comment":"{n}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        let prefix = sha256(config.as_bytes())["sha256:".len()..][..4].to_owned();
        if let Some(other) = seen.insert(prefix, config.clone()) {
            return (other, config);
        }
    }
    unreachable!("65537 configs cannot all differ in four digits")
}

// --- hostile text -----------------------------------------------------------------------------------

const READING: [&str; 6] = ["images", "inspect", "layers", "history", "tree", "verify"];

/// Escape sequences, carriage returns and marks that turn text round reach neither standard output
/// nor standard error, whatever the command.
#[test]
fn nothing_in_an_archive_acts_on_a_terminal() {
    let archive = broken("names-with-escapes.tar");
    let config = answer(&["inspect", "--json", &archive])["images"][0]["config"].to_string();
    assert!(
        config.contains("\\u001b"),
        "the archive is hostile: {config}"
    );
    let mut runs = vec![
        imgtar(&["images", &archive, "--no-trunc"]),
        imgtar(&["layers", &archive, "--no-trunc"]),
        imgtar(&["layers", &archive, "--store-paths"]),
        imgtar(&["history", &archive, "--no-trunc"]),
        imgtar(&["history", &archive, "--no-trunc", "--human=false"]),
        imgtar(&["history", &archive, "--quiet"]),
        imgtar(&["tree", &archive, "--no-trunc"]),
        imgtar(&["verify", &archive, "--strict"]),
        imgtar(&["images", &archive, "\u{1b}[31m\u{202e}\r"]),
        imgtar(&["images", "\u{1b}[31m\u{202e}\r.tar"]),
    ];
    for command in READING {
        runs.push(imgtar(&[command, &archive]));
    }
    for run in runs {
        assert_ne!(run.code, 70, "{run}");
        for text in [run.out(), run.err()] {
            let acting = text.chars().find(|c| acts(*c));
            assert_eq!(acting, None, "{:?}", run.to_string());
        }
    }
}

/// JSON has escapes for all of these, so they need not stand in it either. Only the config in `inspect`
/// is verbatim.
#[test]
fn nothing_in_an_answer_in_json_acts_on_a_terminal() {
    let archive = broken("names-with-escapes.tar");
    let mut acting = Vec::new();
    for command in READING.into_iter().filter(|command| *command != "inspect") {
        let run = imgtar(&[command, "--json", &archive]).exits(0);
        acting.extend(run.out().chars().filter(|c| acts(*c)).map(|c| (command, c)));
    }
    assert_eq!(acting, []);
}

fn acts(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

// --- JSON -------------------------------------------------------------------------------------------

/// Whatever the archive, an answer in JSON is JSON, and has the shape that `docs/json` promises.
#[test]
fn every_answer_in_json_keeps_to_its_schema() {
    let mut all: Vec<String> = archives(&engines(""))
        .iter()
        .map(|name| engines(name))
        .collect();
    all.extend(rows().into_iter().map(|row| row.path));
    for (turn, command) in READING.into_iter().enumerate() {
        let schema = repository(&format!("docs/json/{command}.json"));
        let validator = Path::new(&schema).exists().then(|| {
            let schema: Value = serde_json::from_str(&read(&schema)).expect("a schema is JSON");
            jsonschema::validator_for(&schema).expect("a schema is a schema")
        });
        let (mut answers, mut asked) = (0, 0);
        for (number, archive) in all.iter().enumerate() {
            // One turn on: the tests of the documents ask the same.
            if !in_turn(number + turn + 1) {
                continue;
            }
            asked += 1;
            let run = imgtar(&[command, "--json", archive]);
            if run.stdout.is_empty() {
                assert!(run.code == 3 && !run.stderr.is_empty(), "{run}");
                continue;
            }
            answers += 1;
            if command == "tree" && archive.ends_with("layers-130.tar.gz") {
                // The tree nests as deep as the stack is high, deeper than this parser goes.
                let why = serde_json::from_slice::<Value>(&run.stdout).expect_err("130 deep");
                assert!(why.to_string().contains("recursion limit"), "{why}");
                continue;
            }
            let json = run.json();
            let version = if command == "verify" { 2 } else { 1 };
            assert_eq!(json["schema"], format!("imgtar/{command}/{version}"));
            if let Some(validator) = &validator {
                let faults: Vec<String> = validator
                    .iter_errors(&json)
                    .map(|fault| fault.to_string())
                    .collect();
                assert!(faults.is_empty(), "{archive}: {faults:?}");
            }
        }
        assert!(answers > asked / 2, "{command}: {answers}");
    }
}
