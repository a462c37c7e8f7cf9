//! What the test files share: running imgtar, finding test data, finding engines.
//!
//! What is absent is skipped loudly: a `SKIPPED: … because …` line on standard error, past the
//! capturing of `cargo test`. `IMGTAR_REQUIRE_SHARED=1` and `IMGTAR_REQUIRE_ENGINES=1` turn a skip
//! into a failure. Without `IMGTAR_FULL_SIZE=1` the tests that take minutes are smaller, or skipped.
mod engines;
pub mod forge;
pub mod listing;
pub mod measured;
pub mod packed;
mod work;

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use imgtar::base::progress::Silent;
use imgtar::image::Image;
use imgtar::output::{FlattenOptions, WriteError, flatten};
use imgtar::report::units;
use imgtar::tree::Warning;
use imgtar::{Jobs, Options};
use serde_json::Value;

pub use engines::{Ctr, Docker, Podman, Tree, finish, skip_engine, tool, tool_bytes};
pub use work::Work;

// --- running imgtar -------------------------------------------------------------------------------

/// What imgtar's standard input is.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// `/dev/null`.
    Nothing,
    /// A regular file, as `< file` gives it.
    File(&'a str),
    /// A pipe that these bytes come through.
    Pipe(&'a [u8]),
}

/// What became of one run.
pub struct Run {
    pub command: String,
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// The program, with output that can be read and without input, and with nothing around it that changes its
/// words.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgtar"));
    command
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs imgtar without input.
pub fn imgtar(args: &[&str]) -> Run {
    imgtar_with(args, Input::Nothing)
}

/// Runs imgtar.
pub fn imgtar_with(args: &[&str], input: Input) -> Run {
    let mut command = program();
    command.args(args).stdin(match input {
        Input::Nothing => Stdio::null(),
        Input::File(path) => File::open(path).expect("the input can be opened").into(),
        Input::Pipe(_) => Stdio::piped(),
    });
    let mut child = command.spawn().expect("imgtar starts");
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        if let (Some(mut stdin), Input::Pipe(bytes)) = (stdin, input) {
            // imgtar may have seen enough before the end; then the rest has nowhere to go.
            scope.spawn(move || drop(stdin.write_all(bytes)));
        }
        child.wait_with_output().expect("imgtar ends")
    });
    Run {
        command: format!("imgtar {}", args.join(" ")),
        code: output.status.code().expect("no signal ended imgtar"),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

/// What is told beside the lines at the end that say what was written: name, size, facts.
pub fn without_closing_lines(errors: &str) -> &str {
    let mut rest = errors;
    while let Some(line) = rest.lines().last() {
        let size = line.split_once(": ").map(|(_, size)| size);
        let is_closing = size.is_some_and(|size| {
            let mut words = size.splitn(2, ' ');
            let number = words.next().is_some_and(|word| word.parse::<f64>().is_ok());
            let unit = words.next().unwrap_or_default();
            let units = ["B", "kB", "MB", "GB"];
            number
                && units.iter().any(|word| {
                    unit.starts_with(&format!("{word}, "))
                        || unit.starts_with(&format!("{word} instead of "))
                })
        });
        if !is_closing {
            break;
        }
        rest = &rest[..rest.len() - line.len() - 1];
    }
    rest
}

impl Run {
    /// Standard output as text.
    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("what imgtar prints is UTF-8")
    }

    /// Standard error as text.
    pub fn err(&self) -> &str {
        std::str::from_utf8(&self.stderr).expect("what imgtar prints is UTF-8")
    }

    /// Insists on an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Insists on success and on silence on standard error but for what was written.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        let says_more = !without_closing_lines(self.err()).is_empty();
        assert!(self.code == 0 && !says_more, "{self}");
        self
    }

    /// Insists on success and on one line of standard error alone, beside that of what was written: the ID that
    /// the written image has in a containerd store.
    #[track_caller]
    pub fn writes_an_image(self) -> Self {
        assert!(self.code == 0 && self.containerd_id().is_some(), "{self}");
        self
    }

    /// The ID in that line, if there is nothing else.
    pub fn containerd_id(&self) -> Option<&str> {
        let id = without_closing_lines(self.err())
            .strip_prefix("note: the image ID in a containerd store is ")?
            .strip_suffix('\n')?;
        let hex = id.strip_prefix("sha256:")?;
        let is_hex = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then_some(id)
    }

    /// The answer as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.stdout) {
            Ok(json) => json,
            Err(why) => panic!("no JSON on stdout ({why}): {self}"),
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` exited with {}\n--- stdout\n{}--- stderr\n{}",
            self.command,
            self.code,
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        )
    }
}

/// What `flatten` makes of an image with the library, and what it warns of.
pub fn flattened(image: &Image) -> Result<(Vec<u8>, Vec<Warning>), WriteError> {
    let options = FlattenOptions {
        as_container: None,
        verify: true,
        jobs: Jobs::new(NonZeroUsize::MIN),
    };
    let mut output = Vec::new();
    let done = flatten(image, &mut output, options, &Silent)?;
    Ok((output, done.warnings))
}

/// The same of an image of these layers, whose archive is written to `file`.
pub fn flattened_layers(
    layers: &[Vec<u8>],
    file: &Path,
) -> Result<(Vec<u8>, Vec<Warning>), WriteError> {
    // A new file every time: what is open is not written to.
    _ = fs::remove_file(file);
    fs::write(file, forge::archive(layers, forge::Form::Hybrid)).expect("room for an archive");
    let archive = imgtar::open(file, &Options::default()).expect("an archive");
    let images = archive.images().expect("images");
    flattened(&images.images[0])
}

/// The answer of a command that has to succeed without complaint.
#[track_caller]
pub fn answer(args: &[&str]) -> Value {
    imgtar(args).succeeds().json()
}

// --- JSON -----------------------------------------------------------------------------------------

/// The items of an array.
#[track_caller]
pub fn items(value: &Value) -> &[Value] {
    match value.as_array() {
        Some(items) => items,
        None => panic!("an array is wanted, not {value}"),
    }
}

/// A string.
#[track_caller]
pub fn text(value: &Value) -> &str {
    match value.as_str() {
        Some(text) => text,
        None => panic!("a string is wanted, not {value}"),
    }
}

/// A whole number.
#[track_caller]
pub fn number(value: &Value) -> u64 {
    match value.as_u64() {
        Some(number) => number,
        None => panic!("a number is wanted, not {value}"),
    }
}

/// An array of strings, sorted.
#[track_caller]
pub fn sorted(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> = items(value).iter().map(|v| text(v).to_owned()).collect();
    texts.sort();
    texts
}

/// The objects that `docker … --format '{{json .}}'` prints, one a line.
#[track_caller]
pub fn lines(jsonl: &str) -> Vec<Value> {
    jsonl
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

/// Compares a step of `history --json` with a line of Docker's, the ID aside.
#[track_caller]
pub fn assert_step(step: &Value, line: &Value, archive: &str) {
    // Docker prints a tab as a space, and times in whole seconds.
    let created_by = text(&step["created_by"]).replace('\t', " ");
    assert_eq!(created_by, text(&line["CreatedBy"]), "{archive}");
    assert_eq!(step["comment"], line["Comment"], "{archive}");
    assert_eq!(
        units::size(number(&step["size"])),
        text(&line["Size"]),
        "{archive}"
    );
    let created = step["created"].as_str().unwrap_or("1970-01-01T00:00:00");
    assert_eq!(
        format!("{}Z", &created[.."1970-01-01T00:00:00".len()]),
        text(&line["CreatedAt"]),
        "{archive}"
    );
}

/// `sha256:<hex>` of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;

    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    text
}

// --- test data ------------------------------------------------------------------------------------

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path below the repository.
pub fn repository(path: &str) -> String {
    shown(&manifest_dir().join(path))
}

/// A path as a `str`: nothing here has another name.
pub fn shown(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// A file of `testdata/engines`.
pub fn engines(name: &str) -> String {
    repository(&format!("testdata/engines/{name}"))
}

/// Reads a file whole.
#[track_caller]
pub fn bytes(path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Reads a file of text whole.
#[track_caller]
pub fn read(path: &str) -> String {
    String::from_utf8(bytes(path)).expect("text in UTF-8")
}

/// The names of the archives in a directory, sorted: what engines print about them is not called so.
#[track_caller]
pub fn archives(directory: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap_or_else(|why| panic!("{directory}: {why}"))
        .map(|entry| shown(Path::new(&entry.expect("an entry").file_name())))
        .filter(|name| name.contains(".tar"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{directory} holds archives");
    names
}

/// Shows every image of every archive in some directories. What is not an archive lies there too, such as flat tars.
pub fn each_image_in(
    directories: impl IntoIterator<Item = String>,
    see: &mut dyn FnMut(&str, &Image),
) {
    for directory in directories {
        for name in archives(&directory) {
            let path = format!("{directory}/{name}");
            let Ok(archive) = imgtar::open(Path::new(&path), &Options::default()) else {
                continue;
            };
            let Ok(images) = archive.images() else {
                continue;
            };
            for image in &images.images {
                see(&path, image);
            }
        }
    }
}

/// The body of a member of an uncompressed tar, read by another reader than imgtar's.
#[track_caller]
pub fn member(archive: &str, name: &str) -> Vec<u8> {
    let file = File::open(archive).expect("the archive can be opened");
    let mut tar = tar::Archive::new(file);
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        if *entry.path_bytes() == *name.as_bytes() {
            let mut body = Vec::new();
            entry.read_to_end(&mut body).expect("a body");
            return body;
        }
    }
    panic!("{archive} holds no {name}");
}

/// Compares a file with what it should hold, or writes it.
pub fn up_to_date(path: &str, wanted: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&file, wanted).unwrap_or_else(|why| panic!("{path}: {why}"));
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let different = found
        .lines()
        .zip(wanted.lines())
        .position(|(found, wanted)| found != wanted)
        .unwrap_or_else(|| found.lines().count().min(wanted.lines().count()));
    assert!(
        found == wanted,
        "{path} is out of date from line {}; run the tests with UPDATE_DOCS=1",
        different + 1
    );
}

/// Whether the tests are to take the time they need: `IMGTAR_FULL_SIZE=1`, which `.ci/run` sets.
pub fn full_size() -> bool {
    required("IMGTAR_FULL_SIZE")
}

/// So many, or a sixteenth of them where nobody asked for [`full_size`].
pub fn scaled(number: usize) -> usize {
    if full_size() { number } else { number / 16 }
}

/// Whether to try one of many, by its number: all of them, or every third where nobody asked for [`full_size`].
pub fn in_turn(number: usize) -> bool {
    full_size() || number.is_multiple_of(3)
}

/// Whether to run a test that takes minutes of a processor because it goes to a default limit and cannot be
/// made smaller; if not, it is skipped loudly.
pub fn takes_long(what: &str) -> bool {
    let runs = full_size();
    if !runs {
        skip(what, "it takes minutes; IMGTAR_FULL_SIZE=1 runs it");
    }
    runs
}

/// A directory of the data that lies beside the repository; `None`, loudly, where there is none.
pub fn shared(directory: &str) -> Option<String> {
    let path = manifest_dir().join("../shared").join(directory);
    if path.is_dir() {
        return Some(shown(&path));
    }
    let why = format!("{} is not there", path.display());
    assert!(!required("IMGTAR_REQUIRE_SHARED"), "{why}");
    skip(&format!("what needs shared/{directory}"), &why);
    None
}

/// The crafted cases of `testdata/cases.tar.zst`: a directory with their archives, the right trees and the
/// two tables. Unpacked once, below `target/tmp`.
pub fn cases() -> &'static str {
    static DIRECTORY: OnceLock<String> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let packed = bytes(&repository("testdata/cases.tar.zst"));
        let name = sha256(&packed).replace(':', "-");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cases-{name}"));
        if !directory.is_dir() {
            // Whole before it gets its name, for another run of the tests at the same time.
            let unfinished =
                tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
            let plain = zstd::decode_all(packed.as_slice()).expect("zstd data");
            let mut tar = tar::Archive::new(plain.as_slice());
            tar.unpack(unfinished.path()).expect("room for the cases");
            let renamed = fs::rename(unfinished.path(), &directory);
            assert!(renamed.is_ok() || directory.is_dir(), "{renamed:?}");
        }
        shown(&directory)
    })
}

fn required(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Says that something was not tested.
pub fn skip(what: &str, why: &str) {
    say(&format!("SKIPPED: {what} because {why}"));
}

/// Says something to whoever runs the tests: not with `eprintln`, which the test harness would swallow.
pub fn say(line: &str) {
    drop(io::stderr().write_all(format!("{line}\n").as_bytes()));
}
