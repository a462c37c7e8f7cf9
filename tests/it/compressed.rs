//! Outputs that are compressed as a whole: by their names, by options, and read back by everybody.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Docker, Run, engines, finish, imgtar, shown, tool};

/// Every format, with a name that promises it and the program that undoes it.
const FORMATS: [(&str, &str, &str); 5] = [
    ("none", "tar", "cat"),
    ("gzip", "tar.gz", "gzip"),
    ("zstd", "tar.zst", "zstd"),
    ("xz", "tar.xz", "xz"),
    ("bzip2", "tar.bz2", "bzip2"),
];

fn undone(program: &'static str, path: &Path) -> Option<Vec<u8>> {
    let mut command = Command::new(tool(program)?);
    if program != "cat" {
        command.arg("-dc");
    }
    command.arg(path);
    Some(finish(command).stdout)
}

/// The arguments for an output in `directory`.
fn with_output<'a>(args: &[&'a str], output: &'a str) -> Vec<&'a str> {
    [args, &["-o", output]].concat()
}

fn is_said(run: &Run, format: &str) -> bool {
    let last = run.err().lines().last().unwrap_or_default();
    last.contains(&format!(", compressed with {format}, "))
}

/// Every command that writes a tar gives the same tar under every name, and says what it wrote in its last
/// line.
#[test]
fn names_decide_for_every_command() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| shown(&directory.path().join(name));
    let archive = engines("docker26-one.tar");
    let (flat, metadata) = (at("flat.tar"), at("app.imgtar"));
    imgtar(&["flatten", &archive, "-o", &flat, "--metadata", &metadata]).exits(0);
    let time = ["--created", "2026-01-02T03:04:05Z"];
    let commands: [(&str, Vec<&str>); 5] = [
        ("flatten", vec!["flatten", &archive]),
        ("squash", [&["squash", &archive], &time[..]].concat()),
        ("commit", [&["commit", &archive, &flat], &time[..]].concat()),
        ("import", [&["import", &flat], &time[..]].concat()),
        ("rebuild", vec!["rebuild", &flat, "--metadata", &metadata]),
    ];
    for (name, args) in &commands {
        let mut plain = Vec::new();
        for (format, ending, program) in FORMATS {
            let output = at(&format!("{name}.{ending}"));
            let run = imgtar(&with_output(args, &output)).exits(0);
            assert_eq!(is_said(&run, format), format != "none", "{run}");
            let Some(bytes) = undone(program, Path::new(&output)) else {
                continue;
            };
            if format == "none" {
                plain = bytes;
            } else {
                assert!(bytes == plain, "{name}.{ending}");
            }
            if *name != "flatten" && *name != "import" {
                imgtar(&["verify", &output]).exits(0);
                imgtar(&["images", &output]).succeeds();
            }
        }
        assert!(!plain.is_empty());
    }
}

/// The bytes do not depend on the number of threads; what reads flat tars reads them.
#[test]
fn bytes_are_the_same_and_are_read_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| shown(&directory.path().join(name));
    let archive = engines("docker26-one.tar");
    for (_, ending, _) in FORMATS {
        let [one, many] = ["1", "5"].map(|jobs| {
            let (flat, metadata) = (
                at(&format!("flat{jobs}.{ending}")),
                at(&format!("meta{jobs}.{ending}")),
            );
            let args = ["flatten", &archive, "-j", jobs, "-o", &flat, "--metadata"];
            imgtar(&[&args[..], &[&metadata]].concat()).exits(0);
            (flat, metadata)
        });
        let read = |path: &str| fs::read(path).expect("written");
        assert!(read(&one.0) == read(&many.0) && read(&one.1) == read(&many.1));
        let back = at(&format!("back.{ending}.tar"));
        imgtar(&["rebuild", &one.0, "--metadata", &many.1, "-o", &back]).exits(0);
        assert!(read(&back) == read(&archive), "{ending}");
    }
}

/// The option decides against the name, and for standard output.
#[test]
fn the_option_decides_against_the_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| shown(&directory.path().join(name));
    let archive = engines("tiny20.tar");
    let plain = imgtar(&["flatten", &archive]).succeeds().stdout;
    let flat = at("flat.tar.gz");
    let run = imgtar(&["flatten", &archive, "-o", &flat, "--compress", "none"]).exits(0);
    assert!(
        run.err().contains("although its name says something else"),
        "{run}"
    );
    assert_eq!(fs::read(&flat).expect("written"), plain);
    for (format, _, program) in &FORMATS[1..] {
        let run = imgtar(&["flatten", &archive, "--compress", format]).exits(0);
        assert!(is_said(&run, format), "{run}");
        let path = directory.path().join("stdout");
        fs::write(&path, &run.stdout).expect("room");
        if let Some(bytes) = undone(program, &path) {
            assert!(bytes == plain, "{format}");
        }
    }
    let squashed = imgtar(&["squash", &archive, "--compress-archive", "gzip"]).exits(0);
    assert!(squashed.stdout.starts_with(&[0x1f, 0x8b]), "{squashed}");
}

/// A name that promises what imgtar cannot write gets nothing.
#[test]
fn what_cannot_be_kept_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = engines("tiny20.tar");
    for name in ["a.tar.lz4", "a.zip", "a.tar.Z", "a.7z"] {
        let output = shown(&directory.path().join(name));
        for command in ["flatten", "squash"] {
            let run = imgtar(&[command, &archive, "-o", &output]).exits(2);
            assert!(run.err().contains("hint: let the name end in"), "{run}");
        }
        assert!(!Path::new(&output).exists());
    }
    imgtar(&["flatten", &archive, "-o", "a.tar", "--compress", "lz4"]).exits(2);
}

/// A compressed output is whole or not there, like any other.
#[test]
fn a_damaged_layer_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    for ending in ["tar.gz", "tar.zst", "tar.xz", "tar.bz2"] {
        let output = shown(&directory.path().join(format!("a.{ending}")));
        let broken = crate::support::repository("testdata/broken/layer-bit-flipped.tar");
        imgtar(&["flatten", &broken, "-o", &output]).exits(3);
    }
    assert_eq!(fs::read_dir(directory.path()).expect("there").count(), 0);
}

/// Docker takes a compressed archive as it is. Docker 20.10 does not know zstd, and every Docker needs the
/// program xz for xz, which not all of these have.
#[test]
fn docker_loads_compressed_archives() {
    let all = [
        Docker::d20(),
        Docker::d26(),
        Docker::d26c(),
        Docker::d28(),
        Docker::d28c(),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let archive = engines("docker26-one.tar");
    for (i, docker) in all.iter().enumerate() {
        let Some(docker) = docker else { continue };
        for (format, ending, _) in &FORMATS[1..] {
            let is_unknown = if i == 0 { "zstd" } else { "xz" };
            if *format == is_unknown {
                continue;
            }
            let output = shown(&directory.path().join(format!("{i}.{ending}")));
            let name = format!("imgtar-compressed-{}-{i}-{format}:1", std::process::id());
            let time = "2026-01-02T03:04:05Z";
            let run = imgtar(&[
                "squash",
                &archive,
                "-o",
                &output,
                "-t",
                &name,
                "--created",
                time,
            ])
            .exits(0);
            docker.run_on(&["load", "-q"], &output);
            let found = docker.ask(&["image", "inspect", "-f", "{{.Id}}", &name]);
            docker.try_run(&["image", "rm", "-f", &name]);
            let found = found.trim();
            assert!(
                run.out().contains(found) || run.err().contains(found),
                "{run}"
            );
        }
    }
}
