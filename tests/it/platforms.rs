//! Images for several platforms: what is written never depends on the machine, and what is shown says
//! which platform was taken.

use crate::support;
use std::fs;

use crate::support::{Run, engines, imgtar, items, text};

/// Archives that hold one name for two platforms.
const ARCHIVES: [(&str, &str); 3] = [
    ("docker26c-platforms.tar", "imgtar-testdata/platforms:1"),
    ("buildkit-platforms.tar", "imgtar-testdata/platforms:1"),
    ("podman-platforms.tar", "imgtar-testdata/list:1"),
];

/// Runs a command that writes `out`, with `more` arguments; `image` is a name or a position.
fn write(command: &str, archive: &str, image: Option<&str>, out: &str, more: &[&str]) -> Run {
    let rootfs = engines("docker20-export.tar");
    let mut args = vec![command, archive];
    match (command, image) {
        ("commit", Some(image)) => args.extend(["-i", image, &rootfs]),
        ("commit", None) => args.push(&rootfs),
        (_, Some(image)) => args.push(image),
        (_, None) => {}
    }
    args.extend(["-o", out, "-f"]);
    if command != "flatten" {
        args.extend(["--created", "2026-01-02T03:04:05Z"]);
    }
    args.extend(more);
    imgtar(&args)
}

/// What writes asks for the platform, with the list and the option to add, and writes nothing.
#[test]
fn what_writes_wants_to_know_the_platform() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = support::shown(&directory.path().join("out.tar"));
    for (archive, name) in ARCHIVES {
        let archive = engines(archive);
        for command in ["flatten", "squash", "commit"] {
            for image in [None, Some(name)] {
                let run = write(command, &archive, image, &out, &[]).exits(2);
                for wanted in [
                    "@0",
                    "@1",
                    name,
                    "hint: add one of: --platform linux/amd64, --platform linux/arm64",
                ] {
                    assert!(run.err().contains(wanted), "{wanted} is missing: {run}");
                }
                assert!(run.stdout.is_empty(), "{run}");
                assert!(fs::metadata(&out).is_err(), "{run}");
            }
        }
    }
}

/// The option that the hint names is taken, in each of its forms, and so is a position or an ID.
#[test]
fn one_platform_is_written_whatever_it_is_called() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = support::shown(&directory.path().join("out.tar"));
    for (archive, name) in ARCHIVES {
        let archive = engines(archive);
        for (platform, forms) in [
            (
                "linux/arm64",
                ["arm64", "aarch64", "arm64/v8", "Linux/ARM64"],
            ),
            (
                "linux/amd64",
                ["amd64", "x86_64", "linux/x86-64", "amd64/v1"],
            ),
        ] {
            let images = imgtar(&["images", "--json", &archive]).exits(0).json();
            let images = items(&images["images"]);
            let image = |i: usize| text(&images[i]["platform"]).starts_with(platform);
            let position = (0..images.len()).find(|i| image(*i)).expect("an image");
            let id = text(&images[position]["id"]);
            for command in ["flatten", "squash", "commit"] {
                write(command, &archive, None, &out, &["--platform", platform]).exits(0);
                let wanted = fs::read(&out).expect("the output");
                for form in forms {
                    write(command, &archive, Some(name), &out, &["--platform", form]).exits(0);
                    assert!(
                        fs::read(&out).expect("the output") == wanted,
                        "{command} {form}"
                    );
                }
                for image in [format!("@{position}"), id.to_owned()] {
                    write(command, &archive, Some(&image), &out, &[]).exits(0);
                    assert!(
                        fs::read(&out).expect("the output") == wanted,
                        "{command} {image}"
                    );
                }
            }
        }
    }
}

/// What reads takes the platform of the machine and says so, on one line of standard error.
#[test]
fn what_reads_says_which_platform_it_took() {
    let host = match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        // There is nothing to take.
        _ => return,
    };
    for (archive, name) in ARCHIVES {
        let archive = engines(archive);
        for args in [
            &["ls", &archive, "--json"][..],
            &["ls", &archive, "-i", name, "--json"],
            &["inspect", &archive, name, "--json"],
            &["layers", &archive, name, "--json"],
            &["history", &archive, name, "--json"],
            &["images", &archive, name, "--json"],
        ] {
            let run = imgtar(args).exits(0);
            run.json();
            let notes: Vec<&str> = run
                .err()
                .lines()
                .filter(|l| l.starts_with("note: "))
                .collect();
            let [note] = notes[..] else {
                panic!("one note is wanted: {run}");
            };
            let taken = note.split(';').next().unwrap_or_default();
            assert!(taken.contains(host), "{run}");
            assert!(
                note.contains("linux/amd64") && note.contains("linux/arm64"),
                "{run}"
            );
            // Who asks for it hears nothing.
            let asked = imgtar(&[args, &["--platform", host]].concat()).exits(0);
            assert!(!asked.err().contains("note: "), "{asked}");
            assert_eq!(asked.stdout, run.stdout);
        }
        for args in [&["images", &archive, name, "-q"][..], &["images", &archive]] {
            let run = imgtar(args).exits(0);
            assert!(run.stderr.is_empty(), "{run}");
        }
    }
}
