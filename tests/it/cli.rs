//! Sessions: what a user types and what comes back, word for word.
//!
//! They stand in `testdata/cli/*.trycmd`, in `README.md`, in `docs/*.md` and in `docs/guide/*.md`, and are run at the
//! root of the repository, those of the guide each in a directory of its own that has `testdata`, by the rules of
//! `trycmd`: `$ ` begins a command,
//! `? 3` is an exit code, `[..]` stands for any characters of a line and `...` for any lines. IDs,
//! digests and times are remade with the test data, so no session may spell one out.
//!
//! Beyond these rules:
//!
//! - In Markdown a block is run if it is marked `console` and each of its commands calls `imgtar`
//!   first, or is `cmp` or `rm`. Other blocks (`$ cargo install …`, `$ docker save … | imgtar …`) are for the reader alone.
//! - A command that is more than a call of imgtar is given to `sh`.
//! - The empty line that trycmd wants behind what a command prints may be left out.
//! - trycmd turns every backslash of the output into a slash, so escaped text has a test of its own.
//!
//! `TRYCMD=overwrite cargo test --test it cli::` writes what came back into the sessions.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use trycmd::TestCases;

use crate::support::{imgtar, repository};

/// The language of a block without one in the copy that trycmd reads: it would run such a block.
const UNRUN: &str = "unrun";
/// The language of a session that is not run.
const UNRUN_CONSOLE: &str = "console,ignore";

#[test]
fn sessions_go_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sessions");
    _ = fs::remove_dir_all(&copies);
    fs::create_dir_all(&copies).expect("a directory for the copies");

    let program = Path::new(env!("CARGO_BIN_EXE_imgtar"));
    let cases = TestCases::new();
    cases.register_bin("imgtar", program);
    cases.register_bin("sh", Path::new("/bin/sh"));
    cases.env("PATH", path_with(program.parent().expect("a directory")));
    cases.env("TZ", "UTC");
    cases.env("COLUMNS", "100");
    cases.env("LC_ALL", "C.UTF-8");

    let sessions: Vec<Session> = documents(root)
        .into_iter()
        .map(|document| Session::copy(document, &copies))
        .collect();
    for session in &sessions {
        cases.case(&session.copy);
    }
    cases.run();
    if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
        for session in &sessions {
            session.bring_back();
        }
    }
}

#[test]
fn only_blocks_that_call_imgtar_are_run() {
    let text = "\
```console
$ cargo build
```
```
$ plain
```
```console
$ A=1 imgtar x
```
";
    let want = "\
```console,ignore
$ cargo build
```
```unrun
$ plain
```
```console
$ A=1 imgtar x

```
";
    let mut shell = HashMap::new();
    assert_eq!(prepared(text, true, None, &mut shell), want);
    assert_eq!(restored(want, &shell), text);
}

#[test]
fn commands_for_a_shell_are_given_to_one() {
    let text = "\
```console
$ imgtar images - < 'a b'
one

two
$ imgtar x
three
```
";
    let want = r"```console
$ sh -c 'imgtar images - < '\''a b'\'''
one

two

$ imgtar x
three

```
";
    let mut shell = HashMap::new();
    assert_eq!(prepared(text, true, None, &mut shell), want);
    assert_eq!(restored(want, &shell), text);
}

#[test]
fn commands_of_the_guide_are_run_in_its_directory() {
    let text = "\
```console
$ imgtar x -o y
$ cmp x y
```
";
    let want = r"```console
$ sh -c 'cd '\''a b'\'' && imgtar x -o y'

$ sh -c 'cd '\''a b'\'' && cmp x y'

```
";
    let mut shell = HashMap::new();
    let got = prepared(text, true, Some(Path::new("a b")), &mut shell);
    assert_eq!(got, want);
    assert_eq!(restored(want, &shell), text);
}

/// Whatever an archive holds, nothing that acts on a terminal is printed.
#[test]
fn text_of_archives_is_escaped() {
    let archive = "testdata/broken/names-with-escapes.tar";
    for command in ["images", "inspect", "layers", "history", "tree", "verify"] {
        let run = imgtar(&[command, &repository(archive)]);
        let text = run.out();
        let acts = |c: &char| (c.is_control() && !"\n\t".contains(*c)) || *c == '\u{202e}';
        let found: Vec<char> = text.chars().filter(acts).collect();
        assert!(found.is_empty(), "{command}: {found:?}");
        if command == "inspect" {
            assert!(
                text.contains(r"\x1b]0;owned\x07A \u{202e}gnp.exe"),
                "{text}"
            );
        }
    }
}

/// A document and the copy of it that is run.
struct Session {
    document: PathBuf,
    copy: PathBuf,
    /// What the copy held before it was run.
    prepared: String,
    /// The lines with commands, by what they became in the copy.
    shell: HashMap<String, String>,
}

impl Session {
    fn copy(document: PathBuf, directory: &Path) -> Self {
        let text = read(&document);
        let copy = directory.join(document.file_name().expect("a name"));
        let markdown = document.extension().is_some_and(|ext| ext == "md");
        let mut shell = HashMap::new();
        let guide = document.parent().is_some_and(|at| at.ends_with("guide"));
        let at = guide.then(|| directory_with_testdata(&copy));
        let prepared = prepared(&text, markdown, at.as_deref(), &mut shell);
        fs::write(&copy, &prepared).expect("a copy");
        Self {
            document,
            copy,
            prepared,
            shell,
        }
    }

    /// Takes over what trycmd wrote into the copy, if it wrote anything.
    fn bring_back(&self) {
        let text = read(&self.copy);
        if text != self.prepared {
            fs::write(&self.document, restored(&text, &self.shell)).expect("the document");
        }
    }
}

/// The documents with sessions, those of them that exist.
fn documents(root: &Path) -> Vec<PathBuf> {
    let mut documents = vec![root.join("README.md")];
    let directories = [
        ("docs", "md"),
        ("docs/guide", "md"),
        ("testdata/cli", "trycmd"),
    ];
    for (directory, extension) in directories {
        for entry in fs::read_dir(root.join(directory)).expect("a directory") {
            let path = entry.expect("a directory entry").path();
            if path.extension().is_some_and(|ext| ext == extension) {
                documents.push(path);
            }
        }
    }
    documents.retain(|path| path.exists());
    documents.sort();
    documents
}

/// A directory beside a copy, for the files that its commands write.
fn directory_with_testdata(copy: &Path) -> PathBuf {
    let directory = copy.with_extension("files");
    fs::create_dir(&directory).expect("a directory for files");
    std::os::unix::fs::symlink(repository("testdata"), directory.join("testdata"))
        .expect("a link to the test data");
    directory
}

/// The text as trycmd is to read it. Commands are run in the directory `at` if there is one.
fn prepared(
    text: &str,
    markdown: bool,
    at: Option<&Path>,
    shell: &mut HashMap<String, String>,
) -> String {
    let mut out = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            out.push(line.to_owned());
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let mut commands = block.iter().filter_map(|line| line.strip_prefix("$ "));
        let run = language == "console" && (!markdown || commands.all(is_run));
        out.push(match language {
            "" => format!("```{UNRUN}"),
            "console" if !run => format!("```{UNRUN_CONSOLE}"),
            other => format!("```{other}"),
        });
        for (i, line) in block.into_iter().enumerate() {
            let Some(command) = line.strip_prefix("$ ").filter(|_| run) else {
                out.push(line.to_owned());
                continue;
            };
            if i > 0 {
                end_output(&mut out);
            }
            let given = for_shell(command, at);
            shell.insert(given.clone(), line.to_owned());
            out.push(given);
        }
        if run {
            end_output(&mut out);
        }
        out.push("```".to_owned());
    }
    out.join("\n") + "\n"
}

/// trycmd wants an empty line behind what a command prints.
fn end_output(lines: &mut Vec<String>) {
    if lines.last().is_some_and(|line| !line.is_empty()) {
        lines.push(String::new());
    }
}

/// Whether a command calls imgtar, after variables that are set for it.
fn calls_imgtar(command: &str) -> bool {
    command.split(' ').find(|word| !word.contains('=')) == Some("imgtar")
}

/// Whether a command in Markdown may be run.
fn is_run(command: &str) -> bool {
    calls_imgtar(command) || command.starts_with("cmp ") || command.starts_with("rm ")
}

/// A line with a command: as it stands if trycmd can run it, else as a call of `sh`, in the directory `at`.
fn for_shell(command: &str, at: Option<&Path>) -> String {
    let plain = calls_imgtar(command) && !command.contains(['|', '<', '>', ';', '*', '$']);
    match at {
        None if plain => format!("$ {command}"),
        None => format!("$ sh -c {}", quoted(command)),
        Some(at) => {
            let command = format!("cd {} && {command}", quoted(&at.display().to_string()));
            format!("$ sh -c {}", quoted(&command))
        }
    }
}

/// A text as one word of a command of `sh`.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as its author wrote it.
fn restored(text: &str, shell: &HashMap<String, String>) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut run = false;
    let mut first = false;
    for line in text.lines() {
        let fence = line.strip_prefix("```");
        let ends_output = (line.starts_with("$ ") && !first) || fence == Some("");
        if run && ends_output && out.last() == Some(&"") {
            out.pop();
        }
        first = fence == Some("console");
        run = first || (run && fence.is_none());
        out.push(match fence {
            Some(UNRUN) => "```",
            Some(UNRUN_CONSOLE) => "```console",
            _ => shell.get(line).map_or(line, String::as_str),
        });
    }
    out.join("\n") + "\n"
}

/// `PATH` with one directory more, for the commands that `sh` runs.
fn path_with(directory: &Path) -> String {
    let known = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(directory.to_path_buf()).chain(std::env::split_paths(&known));
    std::env::join_paths(all)
        .map(OsString::into_string)
        .expect("a path")
        .expect("UTF-8")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}
