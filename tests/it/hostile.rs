//! No archive hurts: every command on every archive that is made to.
//!
//! The archives are those of `testdata/hostile`, whose table says what each comes to, and some that are
//! too large to be kept and are made here. A run may take 5 seconds of a processor (ten times as many in
//! a debug build, whose loops are not optimised) and 256 MB of memory, and it ends with an answer or with
//! a clear error.

use crate::support;
use crate::support::{forge, measured};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::support::measured::Ended;
use crate::support::{engines, read, repository, shown};
use flate2::Compression;
use flate2::write::GzEncoder;

const COMMANDS: [&str; 17] = [
    "images",
    "inspect",
    "layers",
    "history",
    "tree",
    "ls",
    "verify",
    "verify --audit",
    "flatten",
    "find",
    "find --secrets",
    "waste",
    "diff",
    "dockerfile",
    "thin",
    "rescue",
    "report",
];

/// What a command exits with on a sound archive that holds no secret and is not like another one.
fn finds_nothing(command: &str) -> i32 {
    match command {
        "find --secrets" | "diff" => 1,
        // An image archive is not a data directory.
        "rescue" => 3,
        _ => 0,
    }
}

/// Runs a command, which may have options behind it, on an archive; what it writes is thrown away.
fn run(command: &str, archive: &str) -> Ended {
    let mut arguments: Vec<&str> = command.split_whitespace().collect();
    arguments.insert(1, archive);
    if arguments[0] == "thin" {
        arguments.extend(["--base", archive]);
    }
    if ["flatten", "squash", "thin", "report"].contains(&arguments[0]) {
        arguments.extend(["-o", "/dev/null"]);
    }
    if arguments[0] == "find" {
        arguments.push("*");
    }
    let other = engines("docker26-one.tar");
    if arguments[0] == "diff" {
        arguments.push(&other);
    }
    measured::run(&arguments)
}

/// The commands to try, all or in turns.
fn commands(first: usize) -> impl Iterator<Item = &'static str> {
    let numbered = COMMANDS.into_iter().enumerate();
    numbered
        .filter_map(move |(number, command)| support::in_turn(number + first).then_some(command))
}

// --- what is stored ---------------------------------------------------------------------------------------

struct Row {
    path: String,
    /// What `images`, `flatten` and `verify` exit with.
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
                ("images", code(images)),
                ("flatten", code(flatten)),
                ("verify", code(verify)),
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
        let mut said = Vec::new();
        let mut is_said = false;
        for (command, code) in row.codes {
            // Without time for all, until one says what is wrong; `verify`, which takes longest, is the last.
            if is_said && !support::full_size() {
                continue;
            }
            let ended = run(command, &row.path);
            ended.check().exits(code);
            is_said |= ended.says(&row.says);
            said.push(ended.what + ": " + &ended.err);
        }
        let said = said.join("\n");
        assert!(is_said, "none says `{}`: {said}", row.says);
    }
}

/// The other commands; what they say of the archive is what `images` says.
#[test]
fn every_command_ends_on_every_archive() {
    for (number, row) in rows().iter().enumerate() {
        let known = |command: &str| row.codes.iter().any(|(known, _)| *known == command);
        let others = COMMANDS.into_iter().filter(|command| !known(command));
        for (i, command) in others.enumerate() {
            // In turns, where all would take minutes.
            let turn = number % (4 * (COMMANDS.len() - row.codes.len()));
            if support::full_size() || i == turn {
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
pub fn made(directory: &Path, layers: &[Vec<u8>]) -> String {
    let path = directory.join("made.tar");
    let bytes = forge::archive(layers, forge::Form::Hybrid);
    fs::write(&path, bytes).expect("room for the archive");
    shown(&path)
}

/// Empty files, or whatever the typeflag says, called by number.
pub fn many(count: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
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
    let archive = made(directory.path(), &[many(support::scaled(1_000_000), file)]);
    // A difference and a page of a million files take a debug build as long as may be: they have tests of their own.
    let apart = ["diff", "report"];
    for command in commands(0).filter(|command| !apart.contains(command)) {
        run(command, &archive).check().exits(finds_nothing(command));
    }
}

#[test]
fn a_difference_of_half_a_million_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |i: usize| format!("d{}/f{i}", i / 1000);
    let archive = made(directory.path(), &[many(support::scaled(500_000), file)]);
    run("diff", &archive).check().exits(1);
}

#[test]
fn a_page_about_a_quarter_of_a_million_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |i: usize| format!("d{}/f{i}", i / 1000);
    let archive = made(directory.path(), &[many(support::scaled(250_000), file)]);
    run("report", &archive).check().exits(0);
}

#[test]
fn half_a_million_whiteouts_of_as_many_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let number = support::scaled(500_000);
    let lower = many(number, |i| format!("d/{i}"));
    let upper = many(number, |i| format!("d/.wh.{i}"));
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
    for command in commands(1) {
        // A tree of ten thousand steps is not drawn.
        let code = if command == "tree" {
            3
        } else {
            finds_nothing(command)
        };
        run(command, &archive).check().exits(code);
    }
}

/// Ten thousand images, each the parent of the next, as far as `manifest.json` says.
#[test]
fn ten_thousand_parents() {
    let number = support::scaled(10_000);
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
    for i in 0..number {
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
        assert!(ended.says(&format!("{number} images")), "{}", ended.err);
    }
}

/// An archive of one image with this config, described by this item of `manifest.json`.
fn described(directory: &Path, config: &str, item: &serde_json::Value) -> String {
    let path = directory.join("described.tar");
    let members = [
        forge::Entry::file("layer.tar", &[0; 1024]),
        forge::Entry::file("config.json", config.as_bytes()),
        forge::Entry::file("manifest.json", format!("[{item}]").as_bytes()),
    ];
    fs::write(&path, forge::layer(&members)).expect("room for the archive");
    shown(&path)
}

fn config_of(layers: usize, history: &serde_json::Value) -> String {
    let ids = vec![support::sha256(&[0; 1024]); layers];
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {}, "history": history,
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    config.to_string()
}

/// A cell of a megabyte made each of twenty thousand rows as wide.
#[test]
fn wide_cells_among_many_rows() {
    let directory = tempfile::tempdir().expect("a directory");
    let item =
        serde_json::json!({"Config": "config.json", "RepoTags": ["a:1"], "Layers": ["layer.tar"]});
    let wide = "w".repeat(1 << 20);
    for (key, cell) in [
        ("created_by", wide.clone()),
        ("comment", format!("a\t{wide}\tb")),
    ] {
        let mut history = vec![
            serde_json::json!({"created_by": "x", "comment": "a\tb\tc", "empty_layer": true});
            20_000
        ];
        history[7][key] = cell.into();
        history[0]["empty_layer"] = false.into();
        let archive = described(directory.path(), &config_of(1, &history.into()), &item);
        let ended = run("history --no-trunc", &archive);
        ended.check().exits(3);
        assert!(ended.says("limit `repeated-text`"), "{}", ended.err);
        assert!(ended.says("--json needs no padding"), "{}", ended.err);
        for command in [
            "history --json",
            "history -q",
            "layers --no-trunc",
            "inspect",
        ] {
            run(command, &archive).check().exits(0);
        }
        let code = if key == "comment" { 3 } else { 0 };
        run("history", &archive).check().exits(code);
    }
    // Columns upon columns: every tab begins one.
    let tabs = "\t".repeat(1 << 20);
    let history = vec![
        serde_json::json!({"created_by": "x", "comment": tabs}),
        serde_json::json!({"created_by": "x", "comment": "", "empty_layer": true}),
        serde_json::json!({"created_by": "x", "comment": tabs, "empty_layer": true}),
    ];
    let archive = described(directory.path(), &config_of(1, &history.into()), &item);
    run("history", &archive).check().exits(0);
}

/// One media type of a megabyte among thousands of layers, and very many layers.
#[test]
fn tables_of_many_layers() {
    let directory = tempfile::tempdir().expect("a directory");
    let layers = support::scaled(20_000);
    let id = support::sha256(&[0; 1024]);
    let source = serde_json::json!({"mediaType": "m".repeat(3000), "size": 1024, "digest": id});
    let item = serde_json::json!({
        "Config": "config.json", "RepoTags": ["a:1"], "Layers": vec!["layer.tar"; layers],
        "LayerSources": {id: source},
    });
    let config = config_of(layers, &serde_json::json!([]));
    let archive = described(directory.path(), &config, &item);
    for command in [
        "layers",
        "layers --json",
        "inspect",
        "inspect --json",
        "verify",
    ] {
        let ended = run(command, &archive);
        ended.check().exits(0);
    }
}

/// As many sources of layers as there are layers.
#[test]
fn many_sources_of_layers() {
    let directory = tempfile::tempdir().expect("a directory");
    let ids: Vec<String> = (0..50_000)
        .map(|i: u32| support::sha256(&i.to_be_bytes()))
        .collect();
    let source = |id: &String| {
        (
            id.clone(),
            serde_json::json!({"mediaType": "m", "size": 1024, "digest": id}),
        )
    };
    let sources: serde_json::Map<_, _> = ids.iter().map(source).collect();
    let item = serde_json::json!({
        "Config": "config.json", "RepoTags": ["a:1"], "Layers": vec!["layer.tar"; ids.len()],
        "LayerSources": sources,
    });
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    let archive = described(directory.path(), &config.to_string(), &item);
    run("images", &archive).check().exits(0);
}

/// A hundred thousand names of one image: each was compared with all others where archives are written.
#[test]
fn a_hundred_thousand_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let names: Vec<String> = (0..support::scaled(100_000))
        .map(|i| format!("name/of/image:{i}"))
        .collect();
    let item =
        serde_json::json!({"Config": "config.json", "RepoTags": names, "Layers": ["layer.tar"]});
    let config = config_of(1, &serde_json::json!([{"created_by": "x"}]));
    let archive = described(directory.path(), &config, &item);
    let forms = [
        "images -q",
        "images --json",
        "layers --json",
        "inspect --json",
    ];
    let squash = [
        "squash --layout docker",
        "squash --layout docker-legacy",
        "squash --layout oci",
    ];
    for command in COMMANDS.iter().chain(&forms).chain(&squash) {
        // Nothing is in the layer.
        let code = if *command == "find" {
            1
        } else {
            finds_nothing(command)
        };
        run(command, &archive).check().exits(code);
    }
}

/// Paths of four kilobytes each, by way of a symbolic link: no listing may stand in memory.
#[test]
fn listings_of_long_paths() {
    let directory = tempfile::tempdir().expect("a directory");
    let deep = "d".repeat(200);
    let deep = vec![deep; 19].join("/");
    let mut link = forge::Entry::new(b'2', b"s");
    link.pax = vec![("linkpath".into(), deep.clone().into_bytes())];
    let mut down = forge::Entry::new(b'5', b"long");
    down.pax = vec![("path".into(), deep.into_bytes())];
    let mut layer: Vec<u8> = [down.bytes(), link.bytes()].concat();
    layer.extend(many(support::scaled(40_000), |i| format!("s/{i}")));
    let archive = made(directory.path(), &[layer]);
    for command in [
        "ls",
        "ls -l",
        "ls --json",
        "ls --tree",
        "ls --sort size",
        "ls -l --layer 0",
    ] {
        run(command, &archive).check().exits(0);
    }
}

/// Stacks that are high and wide: every layer of a tree is drawn one step further to the right.
#[test]
fn high_and_wide_trees() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("trees.tar");
    let mut members = vec![forge::Entry::file("layer.tar", &[0; 1024])];
    let mut manifest = Vec::new();
    for image in 0..90_u32 {
        let ids: Vec<String> = (0..1000_u32)
            .map(|i| support::sha256(format!("{image} {i}").as_bytes()))
            .collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": ids},
        });
        let name = format!("{image}.json");
        members.push(forge::Entry::file(&name, config.to_string().as_bytes()));
        manifest.push(serde_json::json!({
            "Config": name, "RepoTags": [format!("a:{image}")], "Layers": vec!["layer.tar"; 1000],
        }));
    }
    let manifest = serde_json::Value::from(manifest).to_string();
    members.push(forge::Entry::file("manifest.json", manifest.as_bytes()));
    fs::write(&path, forge::layer(&members)).expect("room for the archive");
    let ended = run("tree", &shown(&path));
    ended.check().exits(3);
    assert!(ended.says("limit `repeated-text`"), "{}", ended.err);
    run("tree --json", &shown(&path)).check().exits(0);
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
    for command in commands(2) {
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
    let tiny = engines("tiny26.tar");
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
        // `verify` reports what a limit keeps it from reading, like any other problem.
        let code = if command == "verify" { 1 } else { 3 };
        assert_eq!(run.code, code, "{run}");
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
