//! No archive hurts: every command on every archive that is made to.
//!
//! The archives are those of `testdata/hostile`, whose table says what each comes to, and some that are
//! too large to be kept and are made here. A run may take 5 seconds of a processor (ten times as many in
//! a debug build, whose loops are not optimised) and 256 MB of memory, and it ends with an answer or with
//! a clear error.

#[path = "support/forge.rs"]
mod forge;
#[path = "support/measured.rs"]
mod measured;
mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use measured::Ended;
use support::{read, repository, shown};

const COMMANDS: [&str; 8] = [
    "images", "inspect", "layers", "history", "tree", "ls", "verify", "flatten",
];

/// Runs a command on an archive; what it writes is thrown away.
fn run(command: &str, archive: &str) -> Ended {
    let mut arguments = vec![command, archive];
    if command == "flatten" {
        arguments.extend(["-o", "/dev/null"]);
    }
    measured::run(&arguments)
}

// --- what is stored ---------------------------------------------------------------------------------------

struct Row {
    path: String,
    /// What `verify`, `images` and `flatten` exit with.
    codes: [(&'static str, i32); 3],
    says: String,
}

fn rows() -> Vec<Row> {
    let table = read(&repository("testdata/hostile/HOSTILE.tsv"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [file, verify, images, flatten, says, _] = cells[..] else {
            panic!("six cells are wanted: {line}")
        };
        let code = |text: &str| text.parse().expect("an exit code");
        Row {
            path: repository(&format!("testdata/hostile/{file}")),
            codes: [
                ("verify", code(verify)),
                ("images", code(images)),
                ("flatten", code(flatten)),
            ],
            says: says.to_owned(),
        }
    };
    table.lines().skip(1).map(row).collect()
}

/// The commands whose exit codes the table knows.
#[test]
fn every_archive_comes_to_what_its_table_says() {
    let rows = rows();
    assert!(rows.len() > 60);
    for row in rows {
        let ended = row.codes.map(|(command, code)| {
            let ended = run(command, &row.path);
            ended.check().exits(code);
            ended
        });
        assert!(
            ended.iter().any(|ended| ended.says(&row.says)),
            "none says `{}`: {}",
            row.says,
            ended.map(|ended| ended.what + ": " + &ended.err).join("\n")
        );
    }
}

/// The other commands; what they say of the archive is what `images` says.
#[test]
fn every_command_ends_on_every_archive() {
    for row in rows() {
        for command in COMMANDS {
            if row.codes.iter().all(|(known, _)| *known != command) {
                run(command, &row.path).check();
            }
        }
    }
}

/// What `flatten` refuses to expand, no reader of file bodies expands.
#[test]
fn a_hole_without_end_is_not_printed() {
    let archive = repository("testdata/hostile/sparse-size-huge.tar");
    let ended = measured::run(&["cat", &archive, "s"]);
    ended.check().exits(3);
    assert!(ended.says("the limit `expanded` allows"), "{}", ended.err);
    assert!(ended.out.is_empty());
}

#[test]
fn the_stored_archives_are_small_and_in_the_table() {
    let known: Vec<String> = rows().into_iter().map(|row| row.path).collect();
    let mut size = 0;
    for entry in fs::read_dir(repository("testdata/hostile")).expect("a directory") {
        let path = entry.expect("an entry").path();
        size += path.metadata().expect("a file").len();
        let name = shown(&path);
        assert!(
            name.ends_with("HOSTILE.tsv") || known.contains(&name),
            "{name}"
        );
    }
    assert!(size < 1_000_000, "{size} bytes");
}

// --- what is made -------------------------------------------------------------------------------------------

/// Writes an archive of one image to a file.
fn made(directory: &Path, layers: &[Vec<u8>]) -> String {
    let path = directory.join("made.tar");
    let bytes = forge::archive(layers, forge::Form::Hybrid);
    fs::write(&path, bytes).expect("room for the archive");
    shown(&path)
}

/// Empty files, or whatever the typeflag says, called by number.
fn many(count: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
    let mut layer = Vec::with_capacity((count + 2) * 512);
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_600_000_000);
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Regular);
    for i in 0..count {
        let name = name(i);
        let field = &mut header.as_old_mut().name;
        field.fill(0);
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        layer.extend_from_slice(header.as_bytes());
    }
    layer.resize(layer.len() + 1024, 0);
    layer
}

#[test]
fn a_layer_of_a_million_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |i: usize| format!("d{}/f{i}", i / 1000);
    let archive = made(directory.path(), &[many(1_000_000, file)]);
    for command in COMMANDS {
        run(command, &archive).check().exits(0);
    }
}

#[test]
fn half_a_million_whiteouts_of_as_many_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let lower = many(500_000, |i| format!("d/{i}"));
    let upper = many(500_000, |i| format!("d/.wh.{i}"));
    let archive = made(directory.path(), &[lower, upper]);
    for command in ["ls", "verify", "flatten"] {
        let ended = run(command, &archive);
        ended.check().exits(0);
        if command == "ls" {
            assert_eq!(ended.out, "d/\n");
        }
    }
}

#[test]
fn ten_thousand_layers() {
    let directory = tempfile::tempdir().expect("a directory");
    let layers: Vec<Vec<u8>> = (0..10_000).map(|i| many(1, |_| format!("f{i}"))).collect();
    let archive = made(directory.path(), &layers);
    for command in COMMANDS {
        // A tree of ten thousand steps is not drawn.
        let code = if command == "tree" { 3 } else { 0 };
        run(command, &archive).check().exits(code);
    }
}

/// Ten thousand images, each the parent of the next, as far as `manifest.json` says.
#[test]
fn ten_thousand_parents() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("parents.tar");
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes)
            .expect("room in memory");
    };
    let layer = [0; 1024];
    add("layer.tar", &layer);
    let mut manifest = Vec::new();
    let mut parent = None;
    for i in 0..10_000 {
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "comment": i.to_string(),
            "rootfs": {"type": "layers", "diff_ids": [support::sha256(&layer)]},
        });
        let config = config.to_string();
        let id = support::sha256(config.as_bytes());
        let name = format!("{}.json", id.trim_start_matches("sha256:"));
        add(&name, config.as_bytes());
        let mut item = serde_json::json!({"Config": name, "RepoTags": [], "Layers": ["layer.tar"]});
        if let Some(parent) = parent {
            item["Parent"] = parent;
        }
        manifest.push(item);
        parent = Some(id.into());
    }
    add(
        "manifest.json",
        serde_json::Value::from(manifest).to_string().as_bytes(),
    );
    fs::write(&path, tar.into_inner().expect("room in memory")).expect("room for the archive");
    for command in ["images", "inspect", "layers", "history", "tree", "verify"] {
        run(command, &shown(&path)).check().exits(0);
    }
    for command in ["ls", "flatten"] {
        let ended = run(command, &shown(&path));
        // Which one is meant must be said.
        ended.check().exits(2);
        assert!(ended.says("10000 images"), "{}", ended.err);
    }
}

/// gzip packs a thousandfold at the most, so its bombs are too large to be stored.
#[test]
fn gzip_bombs() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut member = GzEncoder::new(Vec::new(), Compression::best());
    member
        .write_all(&vec![0; 64 << 20])
        .expect("room in memory");
    let member = member.finish().expect("room in memory");
    let bomb = member.repeat(64);
    let path = directory.path().join("bomb.tar.gz");
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    let mut head = GzEncoder::new(&mut file, Compression::fast());
    head.write_all(&many(1, |_| "a".to_owned())[..512])
        .expect("room");
    head.finish().expect("room");
    file.write_all(&bomb).expect("room for the bomb");
    drop(file);
    for command in COMMANDS {
        let ended = run(command, &shown(&path));
        ended.check().exits(3);
        assert!(ended.says("limit `expanded`"), "{}", ended.err);
        assert!(ended.says("--limit expanded="), "{}", ended.err);
    }
    let archive = made(directory.path(), &[bomb]);
    for (command, code) in [("images", 0), ("history", 0), ("verify", 1), ("flatten", 3)] {
        let ended = run(command, &archive);
        ended.check().exits(code);
        assert!(
            ended.says("limit `expanded`"),
            "{}: {}",
            ended.what,
            ended.err
        );
    }
}

// --- limits on the command line -----------------------------------------------------------------------------

/// What a limit refuses passes when it is raised, and what passes is refused when it is lowered.
#[test]
fn limits_can_be_set() {
    let hostile = |name: &str| repository(&format!("testdata/hostile/{name}"));
    let larger = hostile("pax-record-larger.tar.zst");
    support::imgtar(&["ls", &larger]).exits(3);
    let run = support::imgtar(&["ls", &larger, "--limit", "header=2MiB"]).exits(0);
    assert_eq!(run.out(), "a\n");
    let tiny = support::engines("tiny26.tar");
    for (limit, command) in [
        ("members=3", "images"),
        ("json=100", "verify"),
        ("layers=0", "images"),
        ("entries=0", "ls"),
        ("path=2", "ls"),
        ("names=1", "flatten"),
    ] {
        let name = limit.split('=').next().expect("a name");
        let mut args = vec![command, &tiny, "--limit", limit];
        if command == "flatten" {
            args.extend(["-o", "/dev/null"]);
        }
        let run = support::imgtar(&args);
        assert!([1, 3].contains(&run.code), "{run}");
        let said = format!("the limit `{name}` allows");
        assert!(
            run.err().contains(&said) || run.out().contains(&said),
            "{run}"
        );
    }
    for wrong in [
        "expanded",
        "expanded=",
        "expanded=1GB",
        "entries=1KiB",
        "jason=1",
        "expanded=-1",
    ] {
        let run = support::imgtar(&["images", &tiny, "--limit", wrong]).exits(2);
        assert!(run.err().contains("--limit"), "{run}");
    }
}
