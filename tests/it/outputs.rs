//! What is written never hurts what is read: whatever name an input is given as an output, it is refused
//! and intact, with --force too. And in which form bytes come out: in records, as tar programs read them.
#![cfg(unix)]

use crate::support::forge;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{engines, imgtar, program, shown, tool};

/// A directory with inputs of every command: the archive of an image, its flat tar and its metadata.
struct Place {
    directory: tempfile::TempDir,
    inputs: Vec<(&'static str, u64, Vec<u8>)>,
}

/// The inputs by their names.
const ARCHIVE: &str = "app.tar";
const FLAT: &str = "flat.tar";
const METADATA: &str = "app.imgtar";

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::copy(engines("docker26-one.tar"), at(ARCHIVE)).expect("room");
        let [archive, flat, metadata] = [ARCHIVE, FLAT, METADATA].map(|name| shown(&at(name)));
        imgtar(&["flatten", &archive, "-o", &flat, "--metadata", &metadata]).exits(0);
        fs::create_dir(at("sub")).expect("a directory");
        symlink(directory.path(), at("linked")).expect("a link");
        let inputs = [ARCHIVE, FLAT, METADATA].map(|name| {
            fs::hard_link(at(name), at(&format!("{name}.hard"))).expect("a link");
            symlink(name, at(&format!("{name}.soft"))).expect("a link");
            let inode = at(name).metadata().expect("a file").ino();
            (name, inode, fs::read(at(name)).expect("a file"))
        });
        Self {
            directory,
            inputs: inputs.into(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a shell here; `imgtar` is the program.
    fn sh(&self, script: &str) -> Output {
        let script = format!("imgtar() {{ \"$IMGTAR\" \"$@\"; }}\n{script}");
        Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.directory.path())
            .env("IMGTAR", env!("CARGO_BIN_EXE_imgtar"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("sh starts")
    }

    /// Runs a command line that must be refused, with all of these words, and leave everything as it is.
    #[track_caller]
    fn refuses(&self, script: &str, words: &[&str]) {
        let before = self.listing();
        let output = self.sh(script);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{script}: {err}");
        for word in words {
            assert!(err.contains(word), "{script}: `{word}` is not in: {err}");
        }
        self.is_intact(script);
        assert_eq!(self.listing(), before, "{script}");
    }

    #[track_caller]
    fn is_intact(&self, script: &str) {
        for (name, inode, bytes) in &self.inputs {
            let path = self.path(name);
            assert!(
                fs::read(&path).expect("a file") == *bytes,
                "{script}: {name}"
            );
            assert_eq!(
                path.metadata().expect("a file").ino(),
                *inode,
                "{script}: {name}"
            );
        }
    }

    fn listing(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path()).expect("a directory");
        let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        paths.sort();
        paths
    }
}

/// The command lines that write, each with the input that `OUT` is to be.
const WRITING: [(&str, &str); 9] = [
    ("flatten app.tar -o OUT", ARCHIVE),
    ("flatten app.tar -o new --metadata OUT", ARCHIVE),
    ("verify app.tar --checksum OUT", ARCHIVE),
    ("squash app.tar -o OUT", ARCHIVE),
    ("import flat.tar -o OUT", FLAT),
    ("commit app.tar flat.tar -o OUT", ARCHIVE),
    ("commit app.tar flat.tar -o OUT", FLAT),
    ("rebuild flat.tar --metadata app.imgtar -o OUT", FLAT),
    ("rebuild flat.tar --metadata app.imgtar -o OUT", METADATA),
];

/// Ways to name the file `NAME`.
const NAMES: [&str; 6] = [
    "NAME",
    "./NAME",
    "sub/../NAME",
    "NAME.hard",
    "NAME.soft",
    "linked/NAME",
];

#[test]
fn no_input_is_written_over_by_any_name() {
    let place = Place::new();
    let mut ways = 0;
    for (command, input) in WRITING {
        for name in NAMES {
            let out = name.replace("NAME", input);
            let command = command.replace("OUT", &out);
            for force in ["", " --force"] {
                let words = ["would destroy the input", &*out, input, "hint: "];
                place.refuses(&format!("imgtar {command}{force}"), &words);
            }
            ways += 1;
        }
    }
    assert_eq!(ways, 54);
}

#[test]
fn no_input_is_written_over_through_a_descriptor() {
    let place = Place::new();
    for (command, input) in WRITING {
        let descriptor = if Path::new("/proc/self/fd").exists() {
            "/proc/self/fd/3"
        } else {
            "/dev/fd/3"
        };
        let command = command.replace("OUT", descriptor);
        place.refuses(
            &format!("imgtar {command} --force 3< {input}"),
            &["would destroy the input", descriptor, input],
        );
    }
    for (command, input) in [
        ("flatten - -o app.tar -f < app.tar", ARCHIVE),
        ("flatten - -o new --metadata app.tar -f < app.tar", ARCHIVE),
        ("verify - --checksum app.tar -f < app.tar", ARCHIVE),
        ("squash - -o app.tar.hard -f < app.tar", ARCHIVE),
        ("import - -o flat.tar -f < flat.tar", FLAT),
        ("commit app.tar - -o flat.tar -f < flat.tar", FLAT),
        (
            "rebuild - --metadata app.imgtar -o flat.tar -f < flat.tar",
            FLAT,
        ),
        (
            "rebuild flat.tar --metadata - -o app.imgtar -f < app.imgtar",
            METADATA,
        ),
    ] {
        place.refuses(
            &format!("imgtar {command}"),
            &["would destroy the input", "standard input", input],
        );
    }
}

#[test]
fn standard_output_is_not_redirected_onto_an_input() {
    let place = Place::new();
    for command in [
        "flatten app.tar",
        "flatten app.tar -o -",
        "flatten - -o - < app.tar",
        "squash app.tar",
        "commit app.tar flat.tar -o new",
        "images app.tar",
        "verify app.tar",
        "cat app.tar var/lib/data",
        "tree app.tar",
    ] {
        for onto in [">> app.tar", "1<> app.tar", ">> app.tar.hard"] {
            place.refuses(
                &format!("imgtar {command} {onto}"),
                &["would destroy the input", "standard output"],
            );
        }
    }
    for command in [
        "import flat.tar >> flat.tar",
        "commit app.tar flat.tar >> flat.tar",
    ] {
        place.refuses(&format!("imgtar {command}"), &["would destroy the input"]);
    }
    // What a shell has done already cannot be undone, but told.
    let output = place.sh("cp app.tar copy.tar && imgtar flatten copy.tar > copy.tar");
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("the shell empties a file before"), "{err}");
}

#[test]
fn what_verify_compares_with_is_an_input() {
    let place = Place::new();
    place.sh("sha256sum app.tar > sums");
    let before = fs::read(place.path("sums")).expect("a file");
    for command in [
        "verify app.tar --check sums --checksum sums -f",
        "verify --check sums --checksum app.tar -f",
        "verify flat.tar app.tar --checksum ./app.tar -f",
    ] {
        place.refuses(&format!("imgtar {command}"), &["would destroy the input"]);
    }
    assert_eq!(fs::read(place.path("sums")).expect("a file"), before);
}

#[test]
fn two_outputs_are_two_files() {
    let place = Place::new();
    fs::write(place.path("old"), "mine").expect("room");
    fs::hard_link(place.path("old"), place.path("old.hard")).expect("a link");
    for (one, other) in [
        ("new", "new"),
        ("new", "./new"),
        ("sub/../new", "linked/new"),
        ("old", "old"),
        ("old", "old.hard"),
    ] {
        place.refuses(
            &format!("imgtar flatten app.tar -f -o {one} --metadata {other}"),
            &["two outputs", one, other],
        );
    }
    place.refuses(
        "imgtar flatten app.tar --metadata old -f >> old",
        &["two outputs", "standard output", "old"],
    );
    assert_eq!(fs::read(place.path("old")).expect("a file"), b"mine");
    // What keeps nothing may be written twice.
    let output = place.sh("imgtar flatten app.tar -o /dev/null --metadata /dev/null");
    assert!(output.status.success());
}

/// A link that leads nowhere would be in the way at the end, so it is refused at the beginning.
#[test]
fn a_link_to_no_file_is_refused_at_once() {
    let place = Place::new();
    symlink("nowhere", place.path("dangling")).expect("a link");
    symlink("loop", place.path("loop")).expect("a link");
    for (command, _) in WRITING {
        for link in ["dangling", "loop"] {
            let command = command.replace("OUT", link);
            place.refuses(
                &format!("imgtar {command}"),
                &["is a symbolic link to", "where there is no file", "hint: "],
            );
        }
    }
    // Before anything is read: this is not an archive.
    let output = place.sh("imgtar import sub -o dangling");
    assert_eq!(output.status.code(), Some(2));
    // --force replaces the link, not what it could lead to.
    let output = place.sh("imgtar flatten app.tar -o dangling --force");
    assert!(output.status.success());
    assert!(!place.path("dangling").is_symlink());
    assert!(!place.path("nowhere").exists());
    place.is_intact("--force");
}

// --- records ---------------------------------------------------------------------------------------------------

/// What tar programs read at a time.
const RECORD: usize = 10_240;

/// An archive of one image with files of odd sizes and bytes that look like lines.
fn odd(place: &Place) {
    let entry = |name: &str, size: usize| forge::Entry {
        body: (0..size)
            .map(|i| if i % 7 == 0 { b'\n' } else { b'x' })
            .collect(),
        ..forge::Entry::new(b'0', name.as_bytes())
    };
    let layers = [
        forge::layer(&[entry("etc/one", 1), entry("etc/two", 200_001)]),
        forge::layer(&[entry("etc/three", 3_000_000), entry("etc/four", 40_000)]),
    ];
    let archive = forge::archive(&layers, forge::Form::Hybrid);
    fs::write(place.path("odd.tar"), archive).expect("room");
}

/// Each read from a pipe is of whole blocks, and all of them together are whole records.
#[test]
fn a_pipe_gets_whole_blocks() {
    let place = Place::new();
    odd(&place);
    for archive in ["odd.tar", ARCHIVE] {
        let mut child = program()
            .args(["flatten", archive])
            .current_dir(place.directory.path())
            .spawn()
            .expect("imgtar starts");
        let mut pipe = child.stdout.take().expect("a pipe");
        let mut buffer = vec![0; 1 << 20];
        let mut all = Vec::new();
        loop {
            let n = pipe.read(&mut buffer).expect("a pipe");
            if n == 0 {
                break;
            }
            assert_eq!(n % 512, 0, "{archive}: a read of {n} bytes");
            all.extend_from_slice(&buffer[..n]);
        }
        assert!(child.wait().expect("imgtar ends").success());
        assert_eq!(all.len() % RECORD, 0, "{archive}: {} bytes", all.len());
        // A file gets the same bytes.
        let flat = shown(&place.path("same.tar"));
        let archive = shown(&place.path(archive));
        imgtar(&["flatten", &archive, "-o", &flat, "-f"]).exits(0);
        assert!(fs::read(&flat).expect("the flat tar") == all);
        // No more is added than a record needs.
        let zeros = all.iter().rev().take_while(|&&b| b == 0).count();
        assert!((1024..RECORD + 1024).contains(&zeros), "{zeros}");
    }
}

/// GNU tar lists and edits what comes through a pipe.
#[test]
fn tar_programs_read_what_comes_through_a_pipe() {
    if tool("bash").is_none() || tool("tar").is_none() {
        return;
    }
    let place = Place::new();
    odd(&place);
    let run = |script: &str| {
        let output = Command::new("bash")
            .args(["-c", &format!("set -o pipefail; {script}")])
            .current_dir(place.directory.path())
            .env("IMGTAR", env!("CARGO_BIN_EXE_imgtar"))
            .output()
            .expect("bash starts");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !err.contains("tar: "),
            "{script}: {err}"
        );
        String::from_utf8(output.stdout).expect("names")
    };
    let all = run("\"$IMGTAR\" flatten odd.tar | tar -tf -");
    assert_eq!(run("tar -tf <(\"$IMGTAR\" flatten odd.tar)"), all);
    let fewer = run("\"$IMGTAR\" flatten odd.tar | tar --delete -f - etc/two | tar -tf -");
    assert_eq!(fewer, all.replace("etc/two\n", ""));
    let body = run("\"$IMGTAR\" cat odd.tar etc/three | wc -c");
    assert_eq!(body.trim(), "3000000");
}

/// Only rootfs tars end in records. The bytes of a layer are what its diff ID says, so a new layer ends as
/// ever: with two blocks.
#[test]
fn new_layers_do_not_end_in_records() {
    let place = Place::new();
    odd(&place);
    let output = place.sh("imgtar squash odd.tar -o squashed.tar");
    assert!(output.status.success());
    let layers = forge::layers(&fs::read(place.path("squashed.tar")).expect("an archive"));
    let zeros = layers[0].iter().rev().take_while(|&&b| b == 0).count();
    assert!(
        zeros < 1024 + 512 && !layers[0].len().is_multiple_of(RECORD),
        "{zeros}"
    );
}

/// Flat tars without the zeros at their end, as older versions wrote them, rebuild to the same archive.
#[test]
fn a_flat_tar_without_whole_records_is_taken() {
    let place = Place::new();
    let flat = fs::read(place.path(FLAT)).expect("the flat tar");
    assert_eq!(flat.len() % RECORD, 0);
    let zeros = flat.iter().rev().take_while(|&&b| b == 0).count();
    let end = (flat.len() - zeros).next_multiple_of(512);
    for (name, len) in [("shorter", end + 1024), ("shortest", end)] {
        fs::write(place.path(name), &flat[..len]).expect("room");
        let script = format!("imgtar rebuild {name} --metadata app.imgtar -o again.tar -f");
        let output = place.sh(&script);
        let err = String::from_utf8_lossy(&output.stderr);
        let told = crate::support::without_closing_lines(&err);
        assert!(
            output.status.success() && told.is_empty(),
            "{script}: {err}"
        );
        let again = fs::read(place.path("again.tar")).expect("an archive");
        assert!(again == fs::read(place.path(ARCHIVE)).expect("an archive"));
    }
}
