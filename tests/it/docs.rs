//! What `docs/` says is what the program does.
//!
//! `docs/cli.md` is the program's own help, `docs/json/` the schemas of its reports. Both are made by
//! these tests: run them with `UPDATE_DOCS=1` to write the files anew, without it to see whether they
//! are up to date.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use imgtar::base::digest::{ChainId, DiffId, Digest};
use imgtar::report::{
    ArchiveReport, Blame, DeltaReport, Diff, DockerfileReport, Find, FindSecrets, History,
    ImageTree, Images, Inspect, Layers, Ls, RescueReport, Verify, WasteReport, Written,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::support::{in_turn, program, up_to_date};

/// The commands that answer with `--json`.
const READING: [&str; 14] = [
    "images",
    "inspect",
    "layers",
    "history",
    "tree",
    "ls",
    "verify",
    "blame",
    "find",
    FIND_SECRETS,
    "waste",
    "diff",
    "dockerfile",
    "report",
];

/// `find --secrets`, whose answer is one of its own.
const FIND_SECRETS: &str = "find-secrets";

/// What reads data directories instead of archives.
const RESCUE: &str = "rescue";

/// What describes deltas: `delta --dry-run` and `inspect`.
const DELTA: &str = "delta";

/// The commands that write an archive and answer with `--json`.
const WRITING: [&str; 6] = ["convert", "select", "merge", "thin", "tag", "config"];

/// The commands in the order of the program's help.
const COMMANDS: [&str; 31] = [
    "images",
    "inspect",
    "layers",
    "history",
    "tree",
    "browse",
    "ls",
    "cat",
    "find",
    "blame",
    "waste",
    "diff",
    "dockerfile",
    "verify",
    "report",
    "flatten",
    "rebuild",
    "import",
    "commit",
    "squash",
    "convert",
    "select",
    "merge",
    "thin",
    "delta",
    "apply",
    "rescue",
    "tag",
    "config",
    "completions",
    "man",
];

/// How wide the help in `docs/cli.md` is.
const HELP_WIDTH: &str = "100";

#[test]
fn the_command_reference_is_up_to_date() {
    up_to_date("docs/cli.md", &command_reference());
}

#[test]
fn the_command_reference_has_every_command() {
    let help = text(&imgtar(&["--help"]).stdout);
    // Groups of commands, each in a line with two spaces before it.
    let mut listed: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Look:")
        .take_while(|line| *line != "Options:")
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    listed.sort_unstable();
    let mut known = COMMANDS.to_vec();
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[test]
fn the_schemas_are_up_to_date() {
    for command in READING.into_iter().chain(WRITING).chain([RESCUE, DELTA]) {
        let mut wanted = serde_json::to_string_pretty(&schema_of(command)).expect("a schema");
        wanted.push('\n');
        up_to_date(&format!("docs/json/{command}.json"), &wanted);
    }
}

/// Scripts rely on these keys; the schemas may say more, never less.
#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn the_schemas_promise_the_keys_of_the_contract() {
    const ARCHIVE: &str = "path layout compression size";
    const LAYER: &str = "index diff_id chain_id digest media_type compression stored_size tar_size entries member created_by";
    const STEP: &str = "created created_by author comment size empty_layer layer diff_id";
    const PROBLEM: &str = "severity code message image layer member path offset claimed computed";
    for (command, at, keys) in [
        ("images", "", "schema archive images"),
        ("images", "archive", ARCHIVE),
        (
            "images",
            "images",
            "id references platform created size layers",
        ),
        ("history", "", "schema images"),
        ("history", "images", "id references history"),
        ("history", "images.history", STEP),
        ("layers", "", "schema images"),
        ("layers", "images", "id references layers"),
        ("layers", "images.layers", LAYER),
        ("inspect", "", "schema archive images"),
        ("inspect", "archive", ARCHIVE),
        (
            "inspect",
            "images",
            "id references platform created size layers history config",
        ),
        ("inspect", "images.history", STEP),
        ("inspect", "images.layers", LAYER),
        ("tree", "", "schema roots"),
        (
            "tree",
            "roots",
            "chain_id size virtual_size references children",
        ),
        (
            "tree",
            "roots.children.children",
            "chain_id size virtual_size references children",
        ),
        ("blame", "", "schema paths"),
        ("blame", "paths", "path steps"),
        (
            "blame",
            "paths.steps",
            "layer diff_id action what size created_by",
        ),
        ("find", "", "schema entries"),
        ("diff", "", "schema same old new layers config files"),
        ("dockerfile", "", "schema image references instructions"),
        (
            "dockerfile",
            "instructions",
            "instruction text source layer created_by lossy",
        ),
        ("diff", "old", "archive id"),
        ("diff", "new", "archive id"),
        ("diff", "layers", "old new relation diff_id_old diff_id_new"),
        ("diff", "config", "field old new"),
        ("diff", "files", "path change what size_old size_new"),
        ("find", "entries", "path layer state by_layer type size"),
        (
            "waste",
            "",
            "schema image stored visible wasted efficiency by_path by_layer",
        ),
        ("waste", "by_path", "path bytes copies cause"),
        ("waste", "by_layer", "layer bytes"),
        ("ls", "", "schema entries"),
        (
            "ls",
            "entries",
            "path type mode uid gid size mtime target layer",
        ),
        ("verify", "", "schema archives"),
        (
            "verify",
            "archives",
            "path ok sha256 images problems failed loaders",
        ),
        (
            "verify",
            "archives.loaders",
            "engine store version options verdict reason images",
        ),
        ("verify", "archives.loaders.images", "id loaded name reason"),
        ("verify", "archives.images", "id references layers"),
        (
            "verify",
            "archives.images.layers",
            "index diff_id computed ok",
        ),
        ("verify", "archives.problems", PROBLEM),
    ] {
        let schema = schema_of(command);
        let object = at
            .split('.')
            .filter(|key| !key.is_empty())
            .fold(&schema, |object, key| inside(&schema, object, key));
        let required = object["required"].as_array().expect("required keys");
        for key in keys.split(' ') {
            assert!(
                required.iter().any(|name| name == key),
                "{command}: {at} does not promise `{key}`"
            );
        }
    }
}

#[test]
fn every_answer_fits_its_schema() {
    let archives = archives();
    for (turn, command) in READING.into_iter().enumerate() {
        let schema = schema_of(command);
        let validator = jsonschema::validator_for(&schema).expect("a valid schema");
        let (mut answers, mut asked) = (0, 0);
        for (number, archive) in archives.iter().enumerate() {
            if !in_turn(number + turn) {
                continue;
            }
            asked += 1;
            let name = archive.file_name().expect("a file").to_string_lossy();
            // serde_json does not read what is nested that deep.
            if command == "tree" && name == "layers-130.tar.gz" {
                continue;
            }
            let path = archive.to_str().expect("a path in UTF-8");
            let more: &[&str] = match command {
                "blame" => &["etc/passwd", "--follow"],
                "find" => &["*"],
                "diff" => &["testdata/engines/docker26-one.tar"],
                FIND_SECRETS => &["--secrets"],
                _ => &[],
            };
            let program = if command == FIND_SECRETS {
                "find"
            } else {
                command
            };
            let output = imgtar(&[&[program, "--json", path], more].concat());
            if output.stdout.is_empty() {
                let code = output.status.code();
                // These want one image, and some archives hold several.
                let is_one = [
                    "ls",
                    "blame",
                    "find",
                    FIND_SECRETS,
                    "waste",
                    "diff",
                    "dockerfile",
                ]
                .contains(&command);
                let refused = code == Some(3) || (is_one && code == Some(2));
                assert!(refused, "{command} {name}: {}", text(&output.stderr));
                continue;
            }
            let answer: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|why| panic!("{command} {name}: {why}"));
            let faults: Vec<String> = validator
                .iter_errors(&answer)
                .map(|fault| format!("{}: {fault}", fault.instance_path()))
                .collect();
            assert!(
                faults.is_empty(),
                "{command} {name}:\n{}",
                faults.join("\n")
            );
            let version = if command == "verify" { 2 } else { 1 };
            assert_eq!(answer["schema"], format!("imgtar/{command}/{version}"));
            answers += 1;
        }
        assert!(
            // Few archives have the file that `blame` is asked about.
            answers > asked / if command == "blame" { 8 } else { 2 },
            "{command} answered too rarely"
        );
    }
}

/// A delta that would be written, and one that was.
#[test]
fn what_is_said_of_deltas_fits_its_schema() {
    let schema = schema_of(DELTA);
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    let directory = tempfile::tempdir().expect("a directory");
    let delta = directory.path().join("d.delta");
    let delta = delta.to_str().expect("a path in UTF-8");
    let old = "testdata/engines/docker26-one.tar";
    for new in [
        "testdata/engines/docker26-multi.tar",
        "testdata/engines/buildkit28-zstd.tar",
        "testdata/engines/docker20-export.tar",
    ] {
        let written = imgtar(&["delta", old, new, "-q", "-f", "-o", delta]);
        assert!(written.status.success(), "{}", text(&written.stderr));
        for arguments in [
            &["delta", old, new, "--dry-run", "--json"][..],
            &["inspect", delta, "--json"],
        ] {
            let output = imgtar(arguments);
            let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let faults: Vec<String> = validator
                .iter_errors(&answer)
                .map(|fault| format!("{}: {fault}", fault.instance_path()))
                .collect();
            assert!(faults.is_empty(), "{new}:\n{}", faults.join("\n"));
            assert_eq!(answer["schema"], "imgtar/delta/1");
            let is_written = arguments[0] == "inspect";
            assert_eq!(answer["path"].is_string(), is_written);
            assert_eq!(answer["costs"].is_null(), is_written);
            let size = fs::metadata(delta).expect("the delta").len();
            assert_eq!(answer["size"], size, "{new}");
        }
    }
}

/// The example of `docs/formats.md`: two layers, both the empty tar.
#[test]
fn the_worked_chain_id_is_right() {
    let formats = fs::read_to_string("docs/formats.md").expect("docs/formats.md");
    let empty_tar = DiffId::from(Digest::sha256_of(&[0; 1024]));
    let chain = ChainId::of_layers([&empty_tar, &empty_tar]);
    assert_eq!(chain[0].to_string(), empty_tar.to_string());
    for id in [empty_tar.to_string(), chain[1].to_string()] {
        assert!(formats.contains(&id), "docs/formats.md does not show {id}");
    }
}

/// The schema of a command's report, as it is published.
fn schema_of(command: &str) -> Value {
    match command {
        "images" => schema::<Images>(command),
        "inspect" => schema::<Inspect>(command),
        "layers" => schema::<Layers>(command),
        "history" => schema::<History>(command),
        "tree" => schema::<ImageTree>(command),
        "ls" => schema::<Ls>(command),
        "verify" => schema::<Verify>(command),
        "blame" => schema::<Blame>(command),
        "find" => schema::<Find>(command),
        FIND_SECRETS => schema::<FindSecrets>(command),
        "waste" => schema::<WasteReport>(command),
        "diff" => schema::<Diff<'_>>(command),
        "dockerfile" => schema::<DockerfileReport>(command),
        "report" => schema::<ArchiveReport<'_>>(command),
        RESCUE => schema::<RescueReport>(command),
        DELTA => schema::<DeltaReport>(command),
        "convert" | "select" | "merge" | "thin" | "tag" | "config" => schema::<Written>(command),
        other => panic!("{other} has no report"),
    }
}

fn schema<T: JsonSchema>(command: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    let called = command.replace("find-secrets", "find --secrets");
    schema["title"] = json!(format!("imgtar {called} --json"));
    schema["properties"]["schema"] = json!({
        "description": "Which report this is, and the version of its form.",
        "const": format!("imgtar/{command}/{}", if command == "verify" { 2 } else { 1 }),
    });
    schema
}

/// The schema of the objects under `key` of an object: of its items if it is an array.
fn inside<'s>(root: &'s Value, object: &'s Value, key: &str) -> &'s Value {
    let mut next = &object["properties"][key];
    if next["items"].is_object() {
        next = &next["items"];
    }
    match next["$ref"].as_str() {
        None => next,
        Some("#") => root,
        Some(reference) => root
            .pointer(reference.trim_start_matches('#'))
            .expect("a definition"),
    }
}

fn command_reference() -> String {
    let mut page = String::from(
        "# Commands\n\nThe program's own help, as `imgtar --help` and `imgtar COMMAND --help` print it; a test keeps this\npage equal to it. The global options, which every command takes and lists, are here once, under\n`imgtar`. `imgtar -h` and `imgtar COMMAND -h` print shorter ones.\n",
    );
    for command in std::iter::once(None).chain(COMMANDS.iter().map(Some)) {
        let mut arguments: Vec<&str> = command.into_iter().copied().collect();
        let title = ["imgtar"]
            .iter()
            .chain(&arguments)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        arguments.push("--help");
        _ = write!(page, "\n## {title}\n\n```text\n");
        let help = text(&imgtar(&arguments).stdout);
        let (before, global, after) = around_global_options(&help);
        let parts = match command {
            None => vec![before, global, after],
            Some(_) => vec![before, after],
        };
        // clap ends some lines with spaces.
        let lines = parts.iter().flat_map(|part| part.lines());
        let lines: Vec<&str> = lines.map(str::trim_end).collect();
        _ = writeln!(page, "{}", lines.join("\n").trim_end());
        page.push_str("```\n");
    }
    page
}

/// What stands before the global options, these, and what stands behind them.
fn around_global_options(help: &str) -> (&str, &str, &str) {
    const HEADING: &str = "Global options:\n";
    let (before, rest) = help.split_once(HEADING).expect("global options");
    let is_next = |line: &&str| !line.starts_with([' ', '\n']);
    let next = rest.split_inclusive('\n').find(is_next);
    let end = next.map_or(rest.len(), |line| {
        rest.find(&format!("\n{line}"))
            .map_or(rest.len(), |at| at + 1)
    });
    let (options, after) = rest.split_at(end);
    let start = before.len();
    (
        before,
        &help[start..start + HEADING.len() + options.len()],
        after,
    )
}

/// Every command takes and lists the same global options.
#[test]
fn the_global_options_are_the_same_everywhere() {
    let of = |arguments: &[&str]| {
        let help = text(&imgtar(arguments).stdout);
        around_global_options(&help).1.trim_end().to_owned()
    };
    let global = of(&["--help"]);
    assert!(global.contains("--limit"));
    for command in COMMANDS {
        assert_eq!(of(&[command, "--help"]), global, "{command}");
    }
}

/// The program, run at the root of the repository and without what could change its words.
fn imgtar(arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("COLUMNS", HELP_WIDTH)
        .output()
        .expect("imgtar runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The archives that engines wrote and those that are broken.
fn archives() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut archives = Vec::new();
    for directory in ["engines", "broken"] {
        for entry in fs::read_dir(root.join(directory)).expect("test data") {
            let path = entry.expect("a directory entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            if name.contains(".tar") {
                archives.push(path);
            }
        }
    }
    archives.sort();
    archives
}

/// Every limit stands in `docs/security.md` under its name, with its value.
#[test]
fn every_limit_is_documented() {
    let text = fs::read_to_string("docs/security.md").expect("docs/security.md");
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let documented: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`'), cells[2])
        })
        .collect();
    let limits: Vec<(&str, String)> = imgtar::Limit::all()
        .map(|limit| (limit.name(), shown(limit)))
        .collect();
    let limits: Vec<(&str, &str)> = limits.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(documented, limits);
}

fn shown(limit: imgtar::Limit) -> String {
    let value = limit.default_value();
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units
        .iter()
        .find(|(_, shift)| value >= 1 << shift && value.is_multiple_of(1 << shift));
    match unit {
        // A path is as long as the constant that it follows.
        Some((unit, shift))
            if limit.unit() == imgtar::base::limits::Unit::Bytes && value > 4096 =>
        {
            format!("{} {unit}", value >> shift)
        }
        _ => value.to_string(),
    }
}

/// Every direct dependency has its reason in `docs/dependencies.md`, and nothing else does.
#[test]
fn every_dependency_is_documented() {
    let manifest = fs::read_to_string("Cargo.toml").expect("Cargo.toml");
    let mut wanted = std::collections::BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim_end_matches(']').ends_with("dependencies");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| inside) {
            wanted.insert(name.to_owned());
        }
    }
    assert!(wanted.len() > 20);
    let text = fs::read_to_string("docs/dependencies.md").expect("the list");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()));
    assert_eq!(listed.collect::<std::collections::BTreeSet<_>>(), wanted);
}
