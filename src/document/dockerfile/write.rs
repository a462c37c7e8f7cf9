//! Settings of a config as Dockerfile instructions.
//!
//! The text comes from an image, so it must not become more than the one instruction that is meant.
//! Whatever is written here has been read again with this folder's reader: it must be one instruction
//! that sets exactly what was asked for, or it is not written at all. Engines of all ages read the
//! result alike: nothing is written as a here-document, which older ones take for instructions.

use std::fmt::Write as _;

use super::ConfigChanges;
use super::lines::{self, ParsedLine};
use crate::document::{Health, RunConfig};

/// How long a line becomes before pairs get lines of their own, in characters.
const WIDTH: usize = 100;

/// How long a line may become before it is folded anywhere, in bytes; BuildKit reads up to 65,535.
const FOLD: usize = 32_000;

/// A setting of a config that a Dockerfile instruction makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Variables and their values.
    Env(Vec<(String, String)>),
    /// Labels and their values.
    Label(Vec<(String, String)>),
    /// The command.
    Cmd(Vec<String>),
    /// The entrypoint; with no words there is none.
    Entrypoint(Vec<String>),
    /// The shell.
    Shell(Vec<String>),
    /// The user.
    User(String),
    /// The working directory, an absolute path.
    Workdir(String),
    /// The signal.
    StopSignal(String),
    /// A port, as configs name it.
    Expose(Vec<String>),
    /// Volumes.
    Volume(Vec<String>),
    /// The health check.
    Healthcheck(Health),
    /// An instruction for images that are built from this one.
    OnBuild(String),
    /// The author.
    Maintainer(String),
    /// A build argument, with its value if it has one.
    Arg(String, Option<String>),
}

impl Setting {
    /// The name of its instruction.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Env(_) => "ENV",
            Self::Label(_) => "LABEL",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Shell(_) => "SHELL",
            Self::User(_) => "USER",
            Self::Workdir(_) => "WORKDIR",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::Expose(_) => "EXPOSE",
            Self::Volume(_) => "VOLUME",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::OnBuild(_) => "ONBUILD",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Arg(..) => "ARG",
        }
    }

    /// The instruction, which may have several lines; `None` if no Dockerfile can say this.
    pub(crate) fn instruction(&self) -> Option<String> {
        let name = self.name();
        let text = match self {
            Self::Env(pairs) | Self::Label(pairs) => name_pairs(name, pairs),
            Self::Cmd(words) | Self::Entrypoint(words) | Self::Shell(words) => {
                format!("{name} {}", json(words))
            }
            Self::User(value) | Self::Workdir(value) => format!("{name} {}", quoted(value)),
            Self::StopSignal(value) | Self::OnBuild(value) | Self::Maintainer(value) => {
                format!("{name} {value}")
            }
            Self::Expose(ports) => format!("{name} {}", ports.join(" ")),
            Self::Volume(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| escaped(path)).collect();
                format!("{name} {}", json(&paths))
            }
            Self::Healthcheck(health) => health_text(health)?,
            Self::Arg(key, None) => format!("{name} {key}"),
            Self::Arg(key, Some(value)) => format!("{name} {key}={}", quoted(value)),
        };
        let text = fold(&text);
        self.is_said_by(&text).then_some(text)
    }

    /// The setting in words, for a comment.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Env(pairs) | Self::Label(pairs) => {
                let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
                pairs.collect::<Vec<_>>().join(" ")
            }
            Self::Cmd(words) | Self::Entrypoint(words) | Self::Shell(words) => json(words),
            Self::Expose(words) | Self::Volume(words) => words.join(" "),
            Self::User(value)
            | Self::Workdir(value)
            | Self::StopSignal(value)
            | Self::OnBuild(value)
            | Self::Maintainer(value)
            | Self::Arg(value, _) => value.clone(),
            Self::Healthcheck(health) => json(&health.test),
        }
    }

    /// Whether `text` is one instruction, which makes this setting and nothing else.
    fn is_said_by(&self, text: &str) -> bool {
        let Some(line) = only_line(text) else {
            return false;
        };
        // Here-documents have no place in a config; older engines do not know them.
        if !line.here_documents.is_empty() || !line.flags.is_empty() && self.name() != "HEALTHCHECK"
        {
            return false;
        }
        let plain =
            |value: &str| !value.is_empty() && line.original.ends_with(&format!(" {value}"));
        let mut wanted = RunConfig::default();
        match self {
            Self::Shell(words) => return line.arguments.json && line.arguments.words == *words,
            Self::Maintainer(value) => return plain(value) && value.trim() == value,
            Self::Arg(key, _) => {
                return !key.is_empty()
                    && key.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
            }
            Self::Env(pairs) => {
                let of = |(name, value): &(String, String)| format!("{name}={value}");
                wanted.env = pairs.iter().map(of).collect();
            }
            Self::Label(pairs) => {
                wanted.labels.clone_from(pairs);
                wanted.labels.sort();
            }
            Self::Cmd(words) => wanted.cmd = Some(words.clone()),
            Self::Entrypoint(words) => {
                wanted.entrypoint = (!words.is_empty()).then(|| words.clone());
            }
            Self::User(value) => wanted.user.clone_from(value),
            Self::Workdir(value) => wanted.working_dir.clone_from(value),
            Self::StopSignal(value) => wanted.stop_signal.clone_from(value),
            Self::Expose(ports) => {
                wanted.exposed_ports.clone_from(ports);
                wanted.exposed_ports.sort();
            }
            Self::Volume(paths) => {
                wanted.volumes.clone_from(paths);
                wanted.volumes.sort();
            }
            Self::Healthcheck(health) => wanted.healthcheck = Some(health.clone()),
            Self::OnBuild(value) => wanted.on_build.push(value.clone()),
        }
        let mut run = RunConfig::default();
        let read = ConfigChanges::parse(&[text]);
        read.is_ok_and(|changes| changes.apply(&mut run).is_ok()) && run == wanted
    }
}

/// The instruction that runs a command.
///
/// In the shell's form where that means exactly the same, else as words.
pub(crate) fn run_in_shell(shell: &[String], text: &str) -> String {
    let plain = format!("RUN {text}");
    if !text.contains(['\n', '\r']) && runs(&plain, text) {
        // Where lines were continued, white space was left.
        let pretty = fold(&broken_at_blanks(&plain));
        if runs(&pretty, text) {
            return pretty;
        }
    }
    let mut words = shell.to_vec();
    words.push(text.to_owned());
    run_words(&words)
}

/// Whether an instruction runs a text in the shell.
fn runs(instruction: &str, text: &str) -> bool {
    only_line(instruction).is_some_and(|line| {
        line.name == "RUN"
            && line.flags.is_empty()
            && line.here_documents.is_empty()
            && !line.arguments.json
            && line.arguments.words == [text]
    })
}

/// The instruction that runs words without a shell.
pub(crate) fn run_words(words: &[String]) -> String {
    fold(&format!("RUN {}", broken_at_newlines(&json(words))))
}

/// `COPY` or `ADD`; paths are taken as they are, patterns in `sources` included.
pub(crate) fn copy(name: &str, flags: &[String], sources: &[String], to: &str) -> Option<String> {
    let all = || sources.iter().map(String::as_str).chain([to]);
    let mut text = name.to_owned();
    for flag in flags {
        text.push(' ');
        text.push_str(flag);
    }
    text.push(' ');
    let is_plain = |word: &str| {
        let known = |c: char| c.is_alphanumeric() || "-_./:@%+,*?~=".contains(c);
        !word.is_empty() && word.chars().all(known)
    };
    if all().all(is_plain) {
        text.push_str(&all().collect::<Vec<_>>().join(" "));
    } else {
        text.push_str(&json(&all().map(escaped).collect::<Vec<_>>()));
    }
    let line = only_line(&text)?;
    let sound = line.name == name
        && line.flags == flags
        && line.here_documents.is_empty()
        && line.arguments.words.len() == sources.len() + 1;
    sound.then_some(text)
}

/// What a text says if it is one instruction.
fn only_line(text: &str) -> Option<ParsedLine> {
    let (mut nodes, escape) = lines::parse(text).ok()?;
    let line = nodes.pop()?;
    (nodes.is_empty() && escape == '\\').then_some(line)
}

fn name_pairs(name: &str, pairs: &[(String, String)]) -> String {
    let pair = |(key, value): &(String, String)| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if !key.is_empty() && key.chars().all(known) {
            format!("{key}={}", quoted(value))
        } else {
            format!("\"{}\"={}", in_quotes(key), quoted(value))
        }
    };
    let pairs: Vec<String> = pairs.iter().map(pair).collect();
    let line = format!("{name} {}", pairs.join(" "));
    if line.chars().count() <= WIDTH {
        return line;
    }
    let indent = " ".repeat(name.len() + 1);
    format!("{name} {}", pairs.join(&format!(" \\\n{indent}")))
}

/// A value that quotes are removed from and variables expanded in.
fn quoted(value: &str) -> String {
    let known = |c: char| c.is_alphanumeric() || "-_./:@%+,=".contains(c);
    if !value.is_empty() && value.chars().all(known) {
        value.to_owned()
    } else {
        format!("\"{}\"", in_quotes(value))
    }
}

fn in_quotes(value: &str) -> String {
    escaped_but(value, &['"', '$', '\\'])
}

/// A word outside of quotes, from which quotes are removed.
fn escaped(word: &str) -> String {
    escaped_but(word, &['"', '\'', '$', '\\'])
}

fn escaped_but(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn json(words: &[String]) -> String {
    let words = words
        .iter()
        .map(|word| serde_json::Value::from(word.as_str()).to_string());
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}

fn health_text(health: &Health) -> Option<String> {
    let mut text = "HEALTHCHECK".to_owned();
    for (name, nanoseconds) in [
        ("interval", health.interval),
        ("timeout", health.timeout),
        ("start-period", health.start_period),
        ("start-interval", health.start_interval),
    ] {
        if nanoseconds != 0 {
            _ = write!(text, " --{name}={}", duration(nanoseconds));
        }
    }
    if health.retries != 0 {
        _ = write!(text, " --retries={}", health.retries);
    }
    let (kind, command) = health.test.split_first()?;
    match (kind.as_str(), command) {
        ("NONE", []) => text.push_str(" NONE"),
        ("CMD", words) => _ = write!(text, " CMD {}", json(words)),
        ("CMD-SHELL", [command]) => _ = write!(text, " CMD {command}"),
        _ => return None,
    }
    Some(text)
}

/// A time in the largest unit of Go's that has no fraction.
fn duration(nanoseconds: i64) -> String {
    let units = [
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let unit = units.iter().find(|(unit, _)| nanoseconds % unit == 0);
    unit.map_or_else(String::new, |(unit, name)| {
        format!("{}{name}", nanoseconds / unit)
    })
}

/// Continues lines where white space of several characters shows that they were continued before. The text
/// stays the same once the lines are joined.
fn broken_at_blanks(text: &str) -> String {
    let blank = |c: char| c == ' ' || c == '\t';
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(blank) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c| !blank(c)).unwrap_or(from.len());
        let (blanks, behind) = from.split_at(end);
        out.push_str(before);
        let continues = blanks.len() > 1
            && before.ends_with(['&', ';', '|', '\\'])
            && !before.ends_with('\\')
            && !behind.starts_with(['#', '\\'])
            && !behind.is_empty();
        if continues {
            out.push_str(&blanks[..1]);
            out.push_str("\\\n");
            out.push_str(&blanks[1..]);
        } else {
            out.push_str(blanks);
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Continues lines behind the line ends of a text in JSON. What would be an empty line or a comment
/// then stays on the line before, since both would be left out.
fn broken_at_newlines(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 16);
    let mut rest = json;
    while let Some(at) = rest.find("\\n") {
        let (before, behind) = rest.split_at(at + 2);
        out.push_str(before);
        // An even number of backslashes before the `n` is not an escape of it.
        let slashes = before[..before.len() - 1].chars().rev();
        let is_escape = slashes.take_while(|c| *c == '\\').count() % 2 == 1;
        let visible = behind.trim_start_matches([' ', '\t']);
        let hidden =
            visible.starts_with(['#', '"']) || visible.starts_with("\\n") || visible.is_empty();
        if is_escape && !hidden {
            out.push_str("\\\n");
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Continues lines that are longer than engines read, wherever that changes nothing.
fn fold(text: &str) -> String {
    if text.len() <= FOLD {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + text.len() / FOLD * 2);
    let (mut length, mut before) = (0, '\\');
    for c in text.chars() {
        if length > FOLD && before != '\\' && !c.is_whitespace() && !matches!(c, '#' | '\\') {
            out.push_str("\\\n");
            length = 0;
        }
        out.push(c);
        length = if c == '\n' { 0 } else { length + c.len_utf8() };
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(setting: &Setting) -> String {
        setting.instruction().expect("a Dockerfile can say it")
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn values_are_quoted_where_they_must_be() {
        let env = Setting::Env(pairs(&[
            ("A", "plain"),
            ("B", "$HOME \"q\" \\ 'x'"),
            ("C", ""),
        ]));
        assert_eq!(said(&env), r#"ENV A=plain B="\$HOME \"q\" \\ 'x'" C="""#);
        let label = Setting::Label(pairs(&[("a b", "c")]));
        assert_eq!(said(&label), r#"LABEL "a b"=c"#);
    }

    #[test]
    fn nothing_injects_another_instruction() {
        let evil = "x\nRUN evil";
        for setting in [
            Setting::Env(pairs(&[("A", evil)])),
            Setting::Label(pairs(&[(evil, "x")])),
            Setting::User(evil.to_owned()),
            Setting::OnBuild(format!("RUN {evil}")),
            Setting::OnBuild("RUN <<E\nRUN evil\nE".to_owned()),
            Setting::OnBuild("RUN a \\".to_owned() + "\nb"),
            Setting::Maintainer(evil.to_owned()),
            Setting::Arg(evil.to_owned(), None),
            Setting::StopSignal(evil.to_owned()),
            Setting::Workdir(format!("/{evil}")),
        ] {
            assert_eq!(setting.instruction(), None, "{setting:?}");
        }
    }

    #[test]
    fn commands_of_several_lines_are_words_on_several_lines() {
        let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
        let text = "set -e\n# a comment\n\n\techo '\\n'\nRUN evil\n";
        let written = run_in_shell(&shell, text);
        let line = only_line(&written).expect("one instruction");
        assert!(line.arguments.json);
        assert_eq!(line.arguments.words, ["/bin/sh", "-c", text]);
        assert!(written.lines().count() > 1, "{written}");
    }

    #[test]
    fn commands_of_one_line_are_broken_where_they_were() {
        let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
        let written = run_in_shell(&shell, "a &&     b;  c  d");
        assert_eq!(written, "RUN a && \\\n    b; \\\n c  d");
        for odd in ["--flag x", "[\"a\"]", "cat <<E", "a \\", " b"] {
            let written = run_in_shell(&shell, odd);
            let line = only_line(&written).expect("one instruction");
            assert_eq!(line.arguments.words, ["/bin/sh", "-c", odd], "{written}");
        }
    }

    #[test]
    fn long_lines_are_folded() {
        let env = Setting::Env(pairs(&[("A", &"x# \\y".repeat(40_000))]));
        let text = said(&env);
        assert!(text.lines().all(|line| line.len() < 40_000));
    }

    #[test]
    fn health_checks_have_their_times() {
        let health = Health {
            test: vec![
                "CMD-SHELL".to_owned(),
                "curl -f localhost || exit 1".to_owned(),
            ],
            interval: 90_000_000_000,
            timeout: 1_500_000_000,
            retries: 4,
            ..Health::default()
        };
        assert_eq!(
            said(&Setting::Healthcheck(health)),
            "HEALTHCHECK --interval=90s --timeout=1500ms --retries=4 CMD curl -f localhost || exit 1"
        );
    }
}
