//! What builders write into a history about a step (`created_by`), read back.
//!
//! | Builder | Form |
//! |---|---|
//! | Docker's classic builder, Buildah | `/bin/sh -c #(nop)  ENV A=b`; `/bin/sh -c a command`; `\|1 A=b /bin/sh -c …` |
//! | BuildKit | `ENV A=b`, `COPY src dst # buildkit`, `RUN \|1 A=b /bin/sh -c … # buildkit` |
//! | kaniko and others | the line of the Dockerfile |
//! | bazel, ko, jib, Nix, apko, `docker commit` | something else, or nothing |
//!
//! Values have lost their quotes there, and words of a `RUN` in JSON form are joined by spaces.

use crate::document::HistoryEntry;

/// How many words a shell has at most, such as `/bin/bash -o pipefail -c`.
const SHELL_WORDS: usize = 6;

/// The instructions that histories name.
const NAMES: [&str; 17] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// A step of a history, as far as it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CreatedBy<'t> {
    /// An instruction, and its arguments as they are recorded.
    Instruction(&'static str, &'t str),
    /// A command.
    Run(RecordedRun<'t>),
    /// Something that is not an instruction.
    Other(&'t str),
}

/// A command of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedRun<'t> {
    /// The build arguments that it had.
    pub(crate) arguments: Vec<(&'t str, &'t str)>,
    /// Whether their values could be told apart only by a guess.
    pub(crate) arguments_guessed: bool,
    /// The shell that reads it, its words joined by spaces; `None` if it is run as words, or if the shell is not
    /// known.
    pub(crate) shell: Option<&'t str>,
    /// The command.
    pub(crate) text: &'t str,
}

impl<'t> CreatedBy<'t> {
    /// Reads a step; `shell` is the one of the instructions before it, its words joined by spaces.
    pub(crate) fn read(entry: &'t HistoryEntry, shell: &str) -> Self {
        let text = entry.created_by.as_str();
        let (text, is_buildkit) = match text.strip_suffix("# buildkit") {
            Some(text) => (text.strip_suffix(' ').unwrap_or(text), true),
            None => (text, entry.comment.starts_with("buildkit")),
        };
        if let Some((before, behind)) = text.split_once("#(nop)") {
            let before = before.trim();
            let before = with_arguments(before, shell).map_or(before, |run| run.shell_or_text());
            let is_shell = shell_of(before, shell) == Some(before);
            if is_shell && let Some(instruction) = instruction(behind.trim()) {
                return instruction;
            }
        }
        match instruction(text) {
            Some(Self::Instruction("RUN", command)) => {
                let plain = RecordedRun {
                    arguments: Vec::new(),
                    arguments_guessed: false,
                    shell: shell_of(command, shell),
                    text: command,
                };
                // kaniko records the line of the Dockerfile, which has no shell in it.
                let is_line = !is_buildkit && plain.shell.is_none();
                let run = with_arguments(command, shell)
                    .unwrap_or(plain)
                    .without_shell();
                if is_line && run.arguments.is_empty() {
                    return Self::Instruction("RUN", command);
                }
                return Self::Run(run);
            }
            Some(instruction) => return instruction,
            None => {}
        }
        if let Some(run) = with_arguments(text, shell) {
            return Self::Run(run.without_shell());
        }
        match shell_of(text, shell) {
            Some(shell) => Self::Run(
                RecordedRun {
                    arguments: Vec::new(),
                    arguments_guessed: false,
                    shell: Some(shell),
                    text,
                }
                .without_shell(),
            ),
            None => Self::Other(text),
        }
    }
}

impl<'t> RecordedRun<'t> {
    /// The text without the shell that it begins with.
    fn without_shell(mut self) -> Self {
        if let Some(rest) = self.shell.and_then(|shell| self.text.strip_prefix(shell)) {
            self.text = rest.strip_prefix(' ').unwrap_or(rest);
        }
        self
    }

    fn shell_or_text(&self) -> &'t str {
        self.shell.unwrap_or(self.text)
    }
}

/// The instruction that a text begins with.
fn instruction(text: &str) -> Option<CreatedBy<'_>> {
    let (name, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let name = NAMES.into_iter().find(|known| *known == name)?;
    // The end of a command counts; other arguments have none.
    let rest = if name == "RUN" { rest } else { rest.trim() };
    Some(CreatedBy::Instruction(name, rest))
}

/// The shell that a command begins with: the one that is set, or words that look like one, such as
/// `/bin/bash -o pipefail -c`.
fn shell_of<'t>(text: &'t str, shell: &str) -> Option<&'t str> {
    if !shell.is_empty()
        && let Some(rest) = text.strip_prefix(shell)
        && (rest.is_empty() || rest.starts_with(' '))
    {
        return text.get(..shell.len());
    }
    let names_shell = |word: &str| {
        let name = word.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = name.strip_suffix(".exe").unwrap_or(name);
        let shells = [
            "sh",
            "bash",
            "ash",
            "dash",
            "zsh",
            "cmd",
            "powershell",
            "pwsh",
        ];
        shells.contains(&name)
    };
    let mut end = 0;
    let mut is_shell = false;
    for (at, word) in text.split(' ').take(SHELL_WORDS).enumerate() {
        end += word.len();
        let is_script = ["-c", "/C", "-Command"].contains(&word)
            || word.len() > 2 && word.starts_with('-') && word.ends_with('c');
        if is_shell && is_script {
            return text.get(..end);
        }
        is_shell |= at < 2 && names_shell(word);
        // Before its name there is at most a program that has it in it: `/bin/busybox sh -c`.
        if !is_shell && (at > 0 || !word.starts_with('/')) {
            return None;
        }
        end += 1;
    }
    None
}

/// A command with build arguments before it: `|2 A=b C=d /bin/sh -c …`.
fn with_arguments<'t>(text: &'t str, shell: &str) -> Option<RecordedRun<'t>> {
    let (count, mut rest) = text.strip_prefix('|')?.split_once(' ')?;
    let count: usize = count.parse().ok()?;
    let mut arguments = Vec::new();
    let mut guessed = false;
    for left in (0..count).rev() {
        let (name, behind) = rest.split_once('=')?;
        if !is_name(name) {
            return None;
        }
        let end = if left > 0 {
            next_name(behind)
        } else {
            before_shell(behind, shell)
        };
        let end = end.or_else(|| {
            guessed = true;
            behind.find(' ')
        })?;
        arguments.push((name, &behind[..end]));
        rest = &behind[end + 1..];
    }
    Some(RecordedRun {
        arguments,
        arguments_guessed: guessed,
        shell: shell_of(rest, shell),
        text: rest,
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

/// Where the blank before the next `NAME=` is.
fn next_name(text: &str) -> Option<usize> {
    let mut blanks = text.match_indices(' ');
    let next = |(at, _): &(usize, &str)| {
        let word = text[at + 1..].split([' ', '=']).next().unwrap_or_default();
        is_name(word) && text[at + 1 + word.len()..].starts_with('=')
    };
    blanks.find(next).map(|(at, _)| at)
}

/// Where the blank before the shell is.
fn before_shell(text: &str, shell: &str) -> Option<usize> {
    let mut blanks = text.match_indices(' ');
    let found = blanks.find(|(at, _)| shell_of(&text[at + 1..], shell).is_some());
    found.map(|(at, _)| at)
}

/// Names and values of a recorded `ENV` or `LABEL`, whose values have lost their quotes. Where the value that
/// `known` has for a name stands there, that is it; else a value goes on to what looks like the next name.
pub(crate) fn recorded_pairs<'k>(
    text: &str,
    known: impl Fn(&str) -> Option<&'k str>,
) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some((name, behind)) = rest.split_once('=') else {
            break;
        };
        let name = name.trim_matches('"');
        let whole = known(name).filter(|value| {
            let after = behind.strip_prefix(*value);
            after.is_some_and(|after| {
                after.is_empty() || after.starts_with(' ') && after[1..].contains('=')
            })
        });
        let end = match whole {
            Some(value) => value.len(),
            None => next_key(behind),
        };
        pairs.push((name.to_owned(), behind[..end].to_owned()));
        rest = behind[end..].trim_start_matches(' ');
    }
    if pairs.is_empty()
        && let Some((name, value)) = text.split_once([' ', '\t'])
    {
        pairs.push((name.to_owned(), value.trim().to_owned()));
    }
    pairs
}

/// Where the blank before the next name is, which in labels has dots and the like; else the end.
fn next_key(text: &str) -> usize {
    // The last blank, if only characters of names stand behind it.
    let mut blank = None;
    for (at, c) in text.char_indices() {
        match c {
            ' ' => blank = Some(at),
            '=' if blank.is_some_and(|blank| blank + 1 < at) => return blank.unwrap_or(at),
            c if c.is_ascii_alphanumeric() || "-_./\"".contains(c) => {}
            _ => blank = None,
        }
    }
    text.len()
}

/// The words of a list as Go prints it: `["a" "b c"]` with quotes, `[a b]` or `map[a:{} b:{}]` without;
/// JSON arrays too.
pub(crate) fn recorded_list(text: &str) -> Vec<String> {
    if let Ok(words) = serde_json::from_str::<Vec<String>>(text) {
        return words;
    }
    let inner = text.strip_prefix("map").unwrap_or(text);
    let inner = inner
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text);
    if let Some(words) = quoted_words(inner) {
        return words;
    }
    let words = inner.split_whitespace();
    words
        .map(|word| word.strip_suffix(":{}").unwrap_or(word).to_owned())
        .collect()
}

/// Words in Go's quotes, between blanks; `None` if there is anything else.
fn quoted_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let inner = rest.strip_prefix('"')?;
        let mut word = String::new();
        let mut chars = inner.char_indices();
        let end = loop {
            let (at, c) = chars.next()?;
            match c {
                '"' => break at + 1,
                '\\' => word.push(escape(&mut chars)?),
                c => word.push(c),
            }
        };
        words.push(word);
        rest = &inner[end..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(' ')?;
        }
    }
    (!words.is_empty()).then_some(words)
}

/// What an escape of Go's stands for.
fn escape(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    let kind = chars.next()?.1;
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        'n' => return Some('\n'),
        't' => return Some('\t'),
        'r' => return Some('\r'),
        'a' => return Some('\u{7}'),
        'b' => return Some('\u{8}'),
        'f' => return Some('\u{c}'),
        'v' => return Some('\u{b}'),
        c => return Some(c),
    };
    let mut number = 0;
    for _ in 0..digits {
        number = number * 16 + chars.next()?.1.to_digit(16)?;
    }
    // A byte that is not text cannot be in a config.
    char::from_u32(number).filter(|c| kind != 'x' || c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(created_by: &str, comment: &str) -> HistoryEntry {
        HistoryEntry {
            created_by: created_by.to_owned(),
            comment: comment.to_owned(),
            ..HistoryEntry::default()
        }
    }

    fn run<'t>(
        arguments: &[(&'t str, &'t str)],
        shell: Option<&'t str>,
        text: &'t str,
    ) -> CreatedBy<'t> {
        CreatedBy::Run(RecordedRun {
            arguments: arguments.to_vec(),
            arguments_guessed: false,
            shell,
            text,
        })
    }

    #[test]
    fn builders_are_told_apart() {
        use CreatedBy::{Instruction, Other};
        let sh = Some("/bin/sh -c");
        let two = [("A", "b c"), ("D", "e f")];
        for (text, comment, wanted) in [
            (
                "/bin/sh -c #(nop)  CMD [\"a\"]",
                "",
                Instruction("CMD", "[\"a\"]"),
            ),
            (
                "/bin/sh -c #(nop) ADD file:12 in / ",
                "",
                Instruction("ADD", "file:12 in /"),
            ),
            ("/bin/sh -c make x", "", run(&[], sh, "make x")),
            ("|2 A=b c D=e f /bin/sh -c x", "", run(&two, sh, "x")),
            (
                "RUN |2 A=b c D=e f /bin/sh -c x # buildkit",
                "",
                run(&two, sh, "x"),
            ),
            (
                "RUN /bin/sh -c a\nb\n # buildkit",
                "",
                run(&[], sh, "a\nb\n"),
            ),
            ("RUN ls -l # buildkit", "", run(&[], None, "ls -l")),
            (
                "WORKDIR /x",
                "buildkit.dockerfile.v0",
                Instruction("WORKDIR", "/x"),
            ),
            (
                "COPY a b # buildkit",
                "buildkit.dockerfile.v0",
                Instruction("COPY", "a b"),
            ),
            ("RUN make", "", Instruction("RUN", "make")),
            ("bazel build ...", "", Other("bazel build ...")),
            ("", "", Other("")),
            ("bash", "", Other("bash")),
            (
                "/bin/sh -c echo '#(nop) CMD x'",
                "",
                run(&[], sh, "echo '#(nop) CMD x'"),
            ),
        ] {
            let entry = entry(text, comment);
            assert_eq!(CreatedBy::read(&entry, "/bin/sh -c"), wanted, "{text}");
        }
    }

    #[test]
    fn lists_are_read_as_go_prints_them() {
        assert_eq!(
            recorded_list(r#"["a" "b \"c\"\n" "\u00e9"]"#),
            ["a", "b \"c\"\n", "é"]
        );
        assert_eq!(
            recorded_list("map[53/udp:{} 80/tcp:{}]"),
            ["53/udp", "80/tcp"]
        );
        assert_eq!(recorded_list("[/data /var/lib]"), ["/data", "/var/lib"]);
        assert_eq!(recorded_list("80 81"), ["80", "81"]);
        assert_eq!(recorded_list(r#"["/a b", "c"]"#), ["/a b", "c"]);
    }

    #[test]
    fn values_end_where_the_config_says_so() {
        let known = |name: &str| (name == "A").then_some("b X=y");
        let pairs = recorded_pairs("A=b X=y C=d e", known);
        let wanted = [("A", "b X=y"), ("C", "d e")];
        assert_eq!(pairs, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(
            recorded_pairs("A b c", |_| None),
            [("A".to_owned(), "b c".to_owned())]
        );
    }
}
