//! Instructions and their arguments (BuildKit's `instructions/parse.go` and `bflag.go`).

use std::fmt::Write as _;

use super::go::{duration, parse_int32, quote};
use super::lines::ParsedLine;
use crate::document::Health;

/// The instructions that can change a config.
const CHANGES: [&str; 11] = [
    "cmd",
    "entrypoint",
    "env",
    "expose",
    "healthcheck",
    "label",
    "onbuild",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// The flags of `HEALTHCHECK`.
const HEALTH_FLAGS: [&str; 5] = [
    "interval",
    "timeout",
    "start-period",
    "start-interval",
    "retries",
];

/// The shortest time that a health check takes, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

/// One change. Words still have their quotes and variables.
#[derive(Clone, Debug)]
pub(super) enum Instruction {
    Cmd(Command),
    Entrypoint(Command),
    Env(Vec<(String, String)>),
    Expose(Vec<String>),
    Healthcheck(Health),
    Label(Vec<(String, String)>),
    OnBuild(String),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
}

/// What is run.
#[derive(Clone, Debug)]
pub(super) struct Command {
    /// Words, or one text for a shell; empty if nothing was given.
    pub(super) words: Vec<String>,
    /// Whether a shell is to read it.
    pub(super) shell: bool,
}

impl Instruction {
    /// Whether `name` is an instruction that can change a config.
    pub(super) fn is_change(name: &str) -> bool {
        CHANGES.contains(&name.to_lowercase().as_str())
    }

    /// Reads the arguments of an instruction.
    pub(super) fn read(node: &ParsedLine) -> Result<Self, String> {
        let name = node.name.to_lowercase();
        let no_flags = || Flags::read(&node.flags, &[]).map(drop);
        let json = node.arguments.json;
        let words = node.arguments.words.clone();
        let at_least_one = |key: &str| format!("{key} requires at least one argument");
        let one = |key: &str| -> Result<String, String> {
            match &words[..] {
                [word] => Ok(word.clone()),
                _ => Err(format!("{key} requires exactly one argument")),
            }
        };
        match name.as_str() {
            "cmd" | "entrypoint" => {
                no_flags()?;
                let command = Command {
                    words,
                    shell: !json,
                };
                Ok(if name == "cmd" {
                    Self::Cmd(command)
                } else {
                    Self::Entrypoint(command)
                })
            }
            "env" => {
                no_flags()?;
                pairs(&words, "ENV").map(Self::Env)
            }
            "label" => {
                no_flags()?;
                pairs(&words, "LABEL").map(Self::Label)
            }
            "expose" => {
                if words.is_empty() {
                    return Err(at_least_one("EXPOSE"));
                }
                no_flags()?;
                let mut ports = words;
                ports.sort();
                Ok(Self::Expose(ports))
            }
            "healthcheck" => {
                let (kind, command) = words
                    .split_first()
                    .ok_or_else(|| at_least_one("HEALTHCHECK"))?;
                health(kind, command, json, &node.flags).map(Self::Healthcheck)
            }
            "onbuild" => {
                let trigger = words.first().ok_or_else(|| at_least_one("ONBUILD"))?;
                no_flags()?;
                check_trigger(trigger)?;
                Ok(Self::OnBuild(trigger_text(node)))
            }
            // The only one whose flags are not looked at.
            "stopsignal" => one("STOPSIGNAL").map(Self::StopSignal),
            "user" => {
                let user = one("USER")?;
                no_flags()?;
                Ok(Self::User(user))
            }
            "volume" => {
                if words.is_empty() {
                    return Err(at_least_one("VOLUME"));
                }
                no_flags()?;
                let volumes: Vec<String> = words.iter().map(|w| w.trim().to_owned()).collect();
                if volumes.iter().any(String::is_empty) {
                    return Err(NO_VOLUME.to_owned());
                }
                Ok(Self::Volume(volumes))
            }
            "workdir" => {
                let path = one("WORKDIR")?;
                no_flags()?;
                Ok(Self::Workdir(path))
            }
            _ => Err(format!("{} is not a valid change command", node.name)),
        }
    }
}

/// Refuses what cannot be a trigger.
fn check_trigger(trigger: &str) -> Result<(), String> {
    match trigger.trim().to_uppercase().as_str() {
        "ONBUILD" => Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
        trigger @ ("MAINTAINER" | "FROM") => {
            Err(format!("{trigger} isn't allowed as an ONBUILD trigger"))
        }
        _ => Ok(()),
    }
}

/// What is kept of an `ONBUILD` line: everything behind the word, as it is written.
fn trigger_text(node: &ParsedLine) -> String {
    let blank = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ');
    let original = node.original.trim_start_matches(blank);
    let inner = original.get("onbuild".len()..).unwrap_or_default();
    let mut text = inner.trim_start_matches(blank).to_owned();
    for document in &node.here_documents {
        text.push('\n');
        text.push_str(&document.content);
        text.push_str(&document.name);
    }
    text
}

/// The refusal of an empty volume.
pub(super) const NO_VOLUME: &str = "VOLUME specified can not be an empty string";

fn pairs(words: &[String], key: &str) -> Result<Vec<(String, String)>, String> {
    if words.is_empty() {
        return Err(format!("{key} requires at least one argument"));
    }
    let pairs = words.chunks_exact(2).map(|pair| {
        if pair[0].is_empty() {
            return Err(format!("{key} names can not be blank"));
        }
        Ok((pair[0].clone(), pair[1].clone()))
    });
    pairs.collect()
}

fn health(kind: &str, command: &[String], json: bool, flags: &[String]) -> Result<Health, String> {
    let kind = kind.to_uppercase();
    if kind == "NONE" {
        if !command.is_empty() {
            return Err("HEALTHCHECK NONE takes no arguments".to_owned());
        }
        return Ok(Health {
            test: vec![kind],
            ..Health::default()
        });
    }
    let flags = Flags::read(flags, &HEALTH_FLAGS)?;
    if kind != "CMD" {
        return Err(format!(
            "Unknown type {} in HEALTHCHECK (try CMD)",
            quote(&kind)
        ));
    }
    if command.is_empty() {
        return Err("Missing command after HEALTHCHECK CMD".to_owned());
    }
    let mut test = vec![if json { "CMD" } else { "CMD-SHELL" }.to_owned()];
    test.extend_from_slice(command);
    Ok(Health {
        test,
        interval: flags.time("interval")?,
        timeout: flags.time("timeout")?,
        start_period: flags.time("start-period")?,
        start_interval: flags.time("start-interval")?,
        retries: flags.retries()?,
    })
}

/// The flags of an instruction.
struct Flags<'f>(Vec<(&'f str, &'f str)>);

impl<'f> Flags<'f> {
    /// Reads `--name=value`, of the names that are known.
    fn read(flags: &'f [String], known: &[&str]) -> Result<Self, String> {
        let mut read: Vec<(&str, &str)> = Vec::new();
        for flag in flags {
            let flag = flag.strip_prefix("--").unwrap_or(flag);
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag, None),
            };
            if !known.contains(&name) {
                let mut words = format!("unknown flag: {name}");
                if let Some(meant) = closest(name, known) {
                    _ = write!(words, " (did you mean {meant}?)");
                }
                return Err(words);
            }
            if read.iter().any(|(n, _)| *n == name) {
                return Err(format!("duplicate flag specified: {name}"));
            }
            let value = value.ok_or_else(|| format!("missing a value on flag: {name}"))?;
            read.push((name, value));
        }
        Ok(Self(read))
    }

    fn get(&self, name: &str) -> Option<&'f str> {
        let found = self.0.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| *value).filter(|v| !v.is_empty())
    }

    /// A time in nanoseconds; 0 if there is no such flag.
    fn time(&self, name: &str) -> Result<i64, String> {
        let Some(text) = self.get(name) else {
            return Ok(0);
        };
        let time = duration(text)?;
        if time != 0 && time < SHORTEST {
            return Err(format!("Interval \"{name}\" cannot be less than 1ms"));
        }
        Ok(time)
    }

    fn retries(&self) -> Result<i64, String> {
        let Some(text) = self.get("retries") else {
            return Ok(0);
        };
        let retries = parse_int32(text)?;
        if retries < 0 {
            return Err(format!("--retries cannot be negative ({retries})"));
        }
        Ok(retries)
    }
}

/// The known name that one or two changed letters make of `name`.
fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known
        .iter()
        .map(|known| (strsim::levenshtein(name, known), *known));
    near.filter(|(distance, _)| *distance < 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
