//! The rules that the code in `src/` keeps, checked on its text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imgtar::base::problem::Code;

use crate::support::{read, repository, shown};

/// The rooms of the library in the order in which bytes flow through them, and what each may use of those
/// above it. Whoever adds a name here changes the architecture, and should say so in `docs/architecture.md`.
const FLOW: [(&str, &[&str]); 15] = [
    ("base", &[]),
    ("source", &["base"]),
    ("tar", &["base", "source"]),
    ("archive", &["base", "source", "tar"]),
    ("document", &["base"]),
    ("image", &["base", "source", "archive", "document"]),
    ("layer", &["base", "source", "tar", "archive", "image"]),
    ("tree", &["base", "source", "tar", "image", "layer"]),
    (
        "output",
        &[
            "base", "source", "tar", "archive", "document", "image", "layer", "tree",
        ],
    ),
    (
        "split",
        &[
            "base", "source", "tar", "archive", "document", "image", "layer", "tree", "output",
        ],
    ),
    (
        "rescue",
        &[
            "base", "source", "tar", "archive", "document", "image", "layer", "output", "split",
        ],
    ),
    ("delta", &["base", "source", "tar", "archive", "image"]),
    (
        "check",
        &[
            "base", "source", "tar", "archive", "document", "image", "layer", "tree", "delta",
        ],
    ),
    (
        "report",
        &[
            "base", "source", "tar", "archive", "document", "image", "layer", "tree", "output",
            "rescue", "delta", "check",
        ],
    ),
    // The union of what can go wrong in those that can fail.
    (
        "error",
        &[
            "base", "source", "tar", "archive", "document", "image", "layer", "tree", "output",
            "split", "rescue", "delta", "check",
        ],
    ),
];

/// What stands at the root of the library under a name of its own, and which module it comes from.
const AT_THE_ROOT: [(&str, &str); 7] = [
    ("Archive", "archive"),
    ("Error", "error"),
    ("Class", "error"),
    ("Jobs", "base"),
    ("Limit", "base"),
    ("Limits", "base"),
    ("Options", "base"),
];

/// How long a file may be without a reason, in lines.
const LONG: usize = 400;

/// How long a file may be.
const LONGEST: usize = 600;

/// A file of `src/`.
struct File {
    /// Its path below `src/`.
    path: PathBuf,
    text: String,
}

impl File {
    /// Its code: the text without comments.
    fn code(&self) -> String {
        let lines = self.text.lines().map(|line| match line.split_once("//") {
            Some((code, _)) if !code.contains('"') => code,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The module that it belongs to.
    fn module(&self) -> String {
        let first = self.path.iter().next().expect("a name");
        shown(Path::new(first)).trim_end_matches(".rs").to_owned()
    }

    /// How many modules deep it lies below the root.
    fn depth(&self) -> usize {
        let parts = self.path.iter().count();
        if self.path.ends_with("mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    fn is_library(&self) -> bool {
        !self.path.starts_with("cli") && self.path != Path::new("main.rs")
    }
}

fn sources() -> Vec<File> {
    let root = repository("src");
    let mut files = Vec::new();
    let mut open = vec![PathBuf::from(&root)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("src can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(File {
                    text: read(&shown(&path)),
                    path: path.strip_prefix(&root).expect("below src").to_owned(),
                });
            }
        }
    }
    assert!(files.len() > 20);
    files
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names that follow `prefix`, also several in braces.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| is_word(c) || c == ':' || c == '$') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.push(
                rest.split(|c| !is_word(c))
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            ),
            Some(list) => {
                // Names at the first level of the braces.
                let mut depth = 0_usize;
                let mut name = String::new();
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                        c if depth == 0 => name.push(c),
                        _ => {}
                    }
                }
                names.push(name);
            }
        }
    }
    names
        .iter()
        .map(|name| {
            name.trim()
                .split(|c| !is_word(c))
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// The table above is in order, and it is of the modules that there are.
#[test]
fn the_table_is_in_order() {
    let mut above: BTreeSet<&str> = BTreeSet::new();
    for (module, uses) in FLOW {
        for used in uses {
            assert!(above.contains(used), "{used} does not stand above {module}");
        }
        above.insert(module);
    }
    let lib = sources()
        .into_iter()
        .find(|file| file.path == Path::new("lib.rs"))
        .expect("src/lib.rs");
    let declared: Vec<String> = lib
        .code()
        .lines()
        .filter_map(|line| {
            let line = line.trim().trim_start_matches("pub ");
            Some(line.strip_prefix("mod ")?.trim_end_matches(';').to_owned())
        })
        .collect();
    assert_eq!(
        declared.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        above
    );
}

/// A module uses only what the table allows it.
#[test]
fn modules_use_only_what_stands_above_them() {
    let allowed: BTreeMap<&str, &[&str]> = FLOW.into_iter().collect();
    let at_the_root: BTreeMap<&str, &str> = AT_THE_ROOT.into_iter().collect();
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.is_library()) {
        let module = file.module();
        if module == "lib" {
            continue;
        }
        let code = file.code();
        let mut used = names_after(&code, "crate::");
        // The long way to the root is a way to the root.
        let upwards = "super::".repeat(file.depth());
        used.extend(
            names_after(&code, &upwards)
                .into_iter()
                .filter(|name| allowed.contains_key(name.as_str())),
        );
        for name in used {
            let name = at_the_root.get(name.as_str()).copied().unwrap_or(&name);
            if name == module {
                continue;
            }
            if !allowed[module.as_str()].contains(&name) {
                wrong.push(format!("src/{} uses {name}", file.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The library knows nothing of terminals and arguments: that is for `src/cli` alone.
#[test]
fn the_library_prints_nothing() {
    const ELSEWHERE: [&str; 12] = [
        "clap",
        "clap_complete",
        "clap_mangen",
        "comfy_table",
        "indicatif",
        "anstream",
        "anstyle",
        "terminal_size",
        "println",
        "eprintln",
        "print",
        "eprint",
    ];
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.is_library()) {
        let code = file.code();
        for word in ELSEWHERE {
            let used = ["::", "!"].iter().any(|after| {
                let wanted = format!("{word}{after}");
                code.match_indices(&wanted)
                    .any(|(at, _)| !code[..at].ends_with(is_word))
            });
            if used {
                wrong.push(format!("src/{} uses {word}", file.path.display()));
            }
        }
        if code.contains("process::exit") || code.contains("process::Command") {
            wrong.push(format!(
                "src/{} starts or ends a process",
                file.path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the program reads it opens in `cli/files.rs`, and what it writes in the two files of
/// destinations: so no command can write over what it reads.
#[test]
fn inputs_and_outputs_are_opened_in_one_place() {
    const READ: [&str; 7] = [
        "File::open(",
        "fs::read(",
        "imgtar::open",
        "Input::from_reader(",
        "Input::open(",
        "Input::stdin(",
        "io::stdin().",
    ];
    const WRITTEN: [&str; 7] = [
        "File::create",
        "File::options(",
        "OpenOptions",
        "fs::write(",
        "fs::copy(",
        "fs::rename(",
        "NamedTempFile::",
    ];
    let readers = ["cli/files.rs", "cli/output.rs"];
    let writers = ["cli/destination.rs", "cli/unfinished.rs"];
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| !file.is_library()) {
        let code = file.code();
        for (words, allowed) in [(&READ[..], readers), (&WRITTEN[..], writers)] {
            let found = words.iter().filter(|word| code.contains(**word));
            if !allowed.iter().any(|path| file.path == Path::new(path)) {
                wrong.extend(found.map(|word| format!("src/{}: {word}", file.path.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Threads are started where it is not a failure if they do not start.
#[test]
fn threads_are_started_in_one_place() {
    for file in sources() {
        let code = file.code();
        for word in [
            "thread::spawn(",
            "thread::scope(",
            "scope.spawn(",
            "thread::Builder",
        ] {
            let allowed = [
                "base/jobs/aside.rs",
                "base/jobs/mod.rs",
                "base/jobs/pool.rs",
                "cli/browse/background.rs",
                "cli/progress/mod.rs",
                "cli/signals.rs",
            ];
            assert!(
                !code.contains(word) || allowed.iter().any(|path| file.path == Path::new(path)),
                "src/{}: {word}",
                file.path.display()
            );
        }
        assert!(!code.contains("enable_steady_tick"), "it starts a thread");
    }
}

/// The program knows the library by its public name only, like any other user of it.
#[test]
fn the_command_line_uses_the_public_library() {
    for file in sources().iter().filter(|file| !file.is_library()) {
        for name in names_after(&file.code(), "crate::") {
            assert_eq!(name, "cli", "src/{}", file.path.display());
        }
    }
}

/// The examples, and the test of what stands at the root, need nothing that does not stand there.
#[test]
fn the_examples_use_nothing_but_the_root() {
    let examples = fs::read_dir(repository("examples")).expect("examples");
    let examples = examples.map(|entry| shown(&entry.expect("an entry").path()));
    let mut seen = 0;
    for path in examples.chain([repository("tests/it/face.rs")]) {
        seen += 1;
        let text = read(&path);
        for name in names_after(&text, "imgtar::") {
            let is_module = FLOW.iter().any(|(module, _)| *module == name);
            assert!(!is_module, "{path} uses imgtar::{name}");
        }
    }
    assert!(seen > 6, "the examples are somewhere else now");
}

/// There is one call of unsafe code, into what is compiled for the SHA instructions of a processor, and
/// an attribute is needed for any more.
#[test]
fn one_call_alone_is_unsafe() {
    let mut found = Vec::new();
    for file in sources() {
        let code = file.code();
        for after in [" ", "{", "\n"] {
            let uses = code.match_indices("unsafe").filter(|(at, word)| {
                !code[..*at].ends_with(is_word) && code[at + word.len()..].starts_with(after)
            });
            found.extend(uses.map(|_| file.path.clone()));
        }
        let allowed = code.matches("unsafe_code").count();
        let here = file.path.ends_with("base/digest/pair.rs");
        assert_eq!(allowed, usize::from(here), "src/{}", file.path.display());
    }
    assert_eq!(found, [Path::new("base/digest/pair.rs")]);
    assert!(read(&repository("Cargo.toml")).contains("unsafe_code = \"deny\""));
}

/// A type that can be named outside its own file has a name that no other such type has, so that a name
/// says which one is meant wherever it stands. Only each command's arguments are all called `Args`.
#[test]
fn no_two_types_share_a_name() {
    let mut declared: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for file in sources() {
        for line in file.code().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some((visible, [kind, name, ..])) = words.split_first() else {
                continue;
            };
            let is_type = ["struct", "enum", "trait", "type", "union"].contains(kind);
            if visible.starts_with("pub") && is_type {
                let name = name.split(|c| !is_word(c)).next().unwrap_or_default();
                let files = declared.entry(name.to_owned()).or_default();
                files.insert(file.path.clone());
            }
        }
    }
    assert!(declared.len() > 200);
    declared.retain(|name, files| name != "Args" && files.len() > 1);
    assert!(declared.is_empty(), "{declared:#?}");
}

/// What several rooms go by is written down once: a number or a name that stands in two places is changed
/// in one of them.
#[test]
fn what_several_rooms_go_by_is_written_once() {
    // What is looked for, and the file that may have it.
    const ONCE: [(&str, &str); 9] = [
        ("b\".wh.\"", "base/constants.rs"),
        ("b\".wh..wh.", "base/constants.rs"),
        (": usize = 125;", "base/constants.rs"),
        ("BUFFER: usize = 256 ", "base/constants.rs"),
        ("\"io.containerd.image.name\"", "document/descriptor.rs"),
        (
            "\"org.opencontainers.image.ref.name\"",
            "document/descriptor.rs",
        ),
        (
            "\"application/vnd.oci.image.layer.v1",
            "document/media_type.rs",
        ),
        (
            "\"application/vnd.oci.image.manifest",
            "document/media_type.rs",
        ),
        ("BrokenPipe", "cli/output.rs"),
    ];
    let mut wrong = Vec::new();
    for file in sources() {
        let code = file.code();
        // Tests say what they expect in their own words.
        let code = without_tests(&code);
        for (what, place) in ONCE {
            let here = file.path == Path::new(place);
            let found = code.contains(what);
            // Where aufs kept hard links is of no use to any other room.
            let aufs = file.path.ends_with("tree/apply.rs") && what.contains(".wh..wh.");
            if found != here && !aufs {
                wrong.push(format!("src/{}: {what}", file.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The text of a file up to its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// No file is longer than can be read in one go: 400 lines without its tests, unless its first comment says why
/// (`Long: …`), and never more than 600.
#[test]
fn no_file_is_too_long() {
    let mut wrong = Vec::new();
    for file in sources() {
        let lines = without_tests(&file.text).lines().count();
        let mut comment = file.text.lines().take_while(|line| line.starts_with("//!"));
        let has_reason = comment.any(|line| line.starts_with("//! Long: "));
        if (lines > LONG && !has_reason) || lines > LONGEST {
            wrong.push(format!("src/{} has {lines} lines", file.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// No function has more than 80 lines. Those of tests may be tables.
#[test]
fn no_function_is_too_long() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in sources() {
        let lines: Vec<&str> = without_tests(&file.text).lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let is_function = code.starts_with("fn ") || code.contains(" fn ");
            if !is_function || code.starts_with("//") || code.ends_with(';') {
                continue;
            }
            // rustfmt puts the last brace as far to the right as the first word.
            let end = format!("{}}}", &line[..line.len() - code.len()]);
            let length = lines[n..].iter().position(|line| *line == end);
            seen += usize::from(length.is_some());
            if length.is_some_and(|length| length >= 80) && code.ends_with(['{', '(', '<']) {
                wrong.push(format!("src/{}:{}", file.path.display(), n + 1));
            }
        }
    }
    assert!(seen > 2_000, "only {seen} functions were seen");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whoever adds an error decides what a person should do about it, and what it exits with: nothing
/// falls into an arm for the rest.
#[test]
fn every_error_has_its_hint_and_its_class_decided() {
    let mut seen = 0;
    for file in sources() {
        if !file.path.starts_with("cli/advice") && file.path != Path::new("error.rs") {
            continue;
        }
        seen += 1;
        for arm in ["_ =>", "_ if "] {
            let line = file
                .code()
                .lines()
                .map(str::trim)
                .find(|l| l.starts_with(arm))
                .map(str::to_owned);
            assert_eq!(line, None, "src/{}", file.path.display());
        }
    }
    assert!(seen > 4, "the files are somewhere else now");
    let enums = sources()
        .iter()
        .filter(|file| file.path.ends_with("error.rs") && file.is_library())
        .filter(|file| file.text.contains("thiserror::Error)]\n#[non_exhaustive]"))
        .map(|file| file.path.clone())
        .collect::<Vec<_>>();
    assert!(
        enums.is_empty(),
        "the compiler cannot ask for new variants of {enums:?}"
    );
}

/// What the program itself refuses says what to do instead, like the errors of the library. What the system
/// refuses names the cure in most cases.
#[test]
fn every_failure_of_the_program_has_a_hint() {
    let mut seen = 0;
    let mut silent = Vec::new();
    for file in sources().iter().filter(|file| !file.is_library()) {
        let code = file.code();
        for call in ["Failure::usage(", "Failure::input("] {
            for (at, _) in code.match_indices(call) {
                seen += 1;
                // A failure is built in one function, and no other failure before it is done.
                let rest = &code[at + call.len()..];
                let end = ["Failure::", "\nfn ", "\n    fn ", "\n    pub"]
                    .iter()
                    .filter_map(|next| rest.find(next))
                    .min();
                let built = &rest[..end.unwrap_or(rest.len())];
                if ![".hint(", ".looking_like("]
                    .iter()
                    .any(|how| built.contains(how))
                {
                    let line = code[..at].lines().count();
                    silent.push(format!("src/{}:{line}", file.path.display()));
                }
            }
        }
    }
    assert!(seen > 20, "failures are made in another way now");
    assert!(silent.is_empty(), "without a hint: {silent:#?}");
}

/// What is decided about an error is decided by its type, never by its words: those may change.
#[test]
fn no_error_is_told_by_its_words() {
    const TEXTS: [&str; 10] = [
        "to_string()",
        "words()",
        "words",
        "message",
        "reason",
        "error",
        "cause",
        "fault",
        "why",
        "text()",
    ];
    const QUESTIONS: [&str; 5] = [
        ".contains(\"",
        ".starts_with(\"",
        ".ends_with(\"",
        ".strip_prefix(\"",
        ".find(\"",
    ];
    let mut found = Vec::new();
    for file in sources() {
        // Its own tests may look at the words.
        let code = file.code();
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        if file.path.ends_with("tests.rs") {
            continue;
        }
        let squeezed: String = code.split_whitespace().collect();
        for question in QUESTIONS {
            for (at, _) in squeezed.match_indices(question) {
                if TEXTS.iter().any(|text| squeezed[..at].ends_with(text)) {
                    let from = squeezed[..at].len().saturating_sub(40);
                    let from = (from..at).find(|from| squeezed.is_char_boundary(*from));
                    let shown = &squeezed[from.unwrap_or(at)..at + question.len()];
                    found.push(format!("src/{}: {shown}", file.path.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Every fuzz target has a row in `fuzz/README.md`, and nothing else does.
#[test]
fn every_fuzz_target_is_documented() {
    let directory = fs::read_dir(repository("fuzz/fuzz_targets")).expect("the targets");
    let names = directory.map(|entry| entry.expect("an entry").path());
    let names: BTreeSet<String> = names
        .map(|path| shown(&path.with_extension("")))
        .filter_map(|path| Some(path.rsplit_once('/')?.1.to_owned()))
        .collect();
    let page = read(&repository("fuzz/README.md"));
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()));
    assert_eq!(listed.collect::<BTreeSet<_>>(), names);
}

/// Every file that `docs/architecture.md` names is there.
#[test]
fn every_file_of_the_architecture_is_there() {
    let files: Vec<String> = sources()
        .iter()
        .map(|file| format!("/{}", shown(&file.path)))
        .collect();
    let page = read(&repository("docs/architecture.md"));
    let names = page.split('`').skip(1).step_by(2);
    for name in
        names.filter(|name| name.strip_suffix(".rs").is_some() && !name.starts_with("tests/"))
    {
        let end = format!("/{}", name.trim_start_matches("src/"));
        assert!(
            files.iter().any(|file| file.ends_with(&end)),
            "src has no {name}"
        );
    }
}

/// Every problem code has a sentence in the source and a place in the published JSON Schema.
#[test]
fn every_problem_code_is_documented() {
    let source = read(&repository("src/base/problem.rs"));
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let schema = repository("docs/json/verify.json");
    let schema = Path::new(&schema).exists().then(|| read(&schema));
    assert!(!Code::ALL.is_empty());
    for code in Code::ALL {
        let name = code.name();
        let entry = format!(" = \"{name}\",");
        let at = lines.iter().position(|line| line.ends_with(&entry));
        let at = at.unwrap_or_else(|| panic!("{name} is not in src/problem.rs"));
        let sentence = lines[at - 1];
        assert!(
            sentence.starts_with("/// ") && sentence.ends_with('.'),
            "{name}: {sentence}"
        );
        if let Some(schema) = &schema {
            assert!(
                schema.contains(&format!("\"{name}\"")),
                "{name} is not in docs/json"
            );
        }
    }
}

/// Limits travel with what is read: nothing inside the library falls back on the default ones. Only who
/// opens a file without a word about limits gets them.
#[test]
fn nothing_falls_back_on_default_limits() {
    const OPEN: [(&str, usize); 3] = [
        ("base/limits.rs", 0),
        ("base/options.rs", 1),
        ("cli/args.rs", 1),
    ];
    for file in sources() {
        if file.path.ends_with("tests.rs") {
            continue;
        }
        let code = file.code();
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let found: usize = ["Limits::default", "Limits::DEFAULT", "Options::default"]
            .iter()
            .map(|word| code.matches(word).count())
            .sum();
        let path = shown(&file.path);
        let allowed = OPEN.iter().find(|(open, _)| path.ends_with(open));
        assert_eq!(found, allowed.map_or(0, |(_, count)| *count), "{path}");
    }
}
