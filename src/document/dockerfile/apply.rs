//! Instructions onto a config (moby `builder/dockerfile/dispatchers.go`).

use std::collections::BTreeSet;

use super::go::clean_path;
use super::instruction::{Command, Instruction, NO_VOLUME};
use super::ports;
use super::shell::{Lexer, Variables};
use crate::document::RunConfig;

/// What reads commands in shell form if the config names no other shell.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The signals that Linux has, without those counted from `RTMIN` and `RTMAX`
/// (`github.com/moby/sys/signal`).
const SIGNALS: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// A config that is being changed.
pub(super) struct ConfigState<'r> {
    run: &'r mut RunConfig,
    escape: char,
    variables: Variables,
    /// Whether these changes have set a command, which an entrypoint then leaves alone.
    cmd_set: bool,
}

impl<'r> ConfigState<'r> {
    pub(super) fn new(run: &'r mut RunConfig, escape: char) -> Self {
        Self {
            run,
            escape,
            variables: Variables::default(),
            cmd_set: false,
        }
    }

    pub(super) fn apply(&mut self, instruction: &Instruction) -> Result<(), String> {
        // Within one instruction variables have the values that they had before it.
        self.variables.env.clone_from(&self.run.env);
        let lexer = Lexer::new(self.escape, &self.variables);
        match instruction {
            Instruction::Cmd(command) => {
                self.cmd_set |= !command.words.is_empty();
                self.run.cmd = Some(self.command_line(command));
            }
            Instruction::Entrypoint(command) => {
                let line = (!command.words.is_empty()).then(|| self.command_line(command));
                self.run.entrypoint = line;
                if !self.cmd_set {
                    self.run.cmd = None;
                }
            }
            Instruction::Env(pairs) => {
                for (name, value) in expand_pairs(lexer, pairs)? {
                    set_variable(&mut self.run.env, &name, &value);
                }
            }
            Instruction::Label(pairs) => {
                for (key, value) in expand_pairs(lexer, pairs)? {
                    set_label(&mut self.run.labels, key, value);
                }
            }
            Instruction::Expose(specs) => {
                let mut words = Vec::new();
                for spec in specs {
                    words.extend(lexer.words(spec)?);
                }
                words.dedup();
                let mut ports: BTreeSet<String> = self.run.exposed_ports.drain(..).collect();
                for word in &words {
                    ports::read(word, &mut ports)?;
                }
                self.run.exposed_ports = ports.into_iter().collect();
            }
            Instruction::Healthcheck(health) => self.run.healthcheck = Some(health.clone()),
            Instruction::OnBuild(text) => self.run.on_build.push(text.clone()),
            Instruction::StopSignal(signal) => {
                let signal = lexer.word(signal)?;
                if !is_signal(&signal) {
                    return Err(format!("invalid signal: {signal}"));
                }
                self.run.stop_signal = signal;
            }
            Instruction::User(user) => self.run.user = lexer.word(user)?,
            Instruction::Volume(volumes) => {
                let mut paths: BTreeSet<String> = self.run.volumes.drain(..).collect();
                for volume in volumes {
                    let path = lexer.word(volume)?;
                    if path.is_empty() {
                        return Err(NO_VOLUME.to_owned());
                    }
                    paths.insert(path);
                }
                self.run.volumes = paths.into_iter().collect();
            }
            Instruction::Workdir(path) => {
                let path = lexer.word(path)?;
                if path.is_empty() {
                    return Err("cannot normalize nothing".to_owned());
                }
                self.run.working_dir = if path.starts_with('/') {
                    clean_path(&path)
                } else {
                    clean_path(&format!("/{}/{path}", self.run.working_dir))
                };
            }
        }
        Ok(())
    }

    /// The words to run, behind those of the shell if a shell reads them.
    fn command_line(&self, command: &Command) -> Vec<String> {
        let mut line = Vec::new();
        if command.shell {
            match self.run.shell.as_deref() {
                Some(shell) if !shell.is_empty() => line.extend_from_slice(shell),
                _ => line.extend(SHELL.map(str::to_owned)),
            }
        }
        line.extend_from_slice(&command.words);
        line
    }
}

/// Sets a variable where it is, or adds it at the end.
fn set_variable(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    let named = |old: &&mut String| old.split_once('=').map_or(old.as_str(), |(n, _)| n) == name;
    match env.iter_mut().find(named) {
        Some(old) => *old = pair,
        None => env.push(pair),
    }
}

/// Sets a label among labels that are sorted by key.
fn set_label(labels: &mut Vec<(String, String)>, key: String, value: String) {
    match labels.binary_search_by(|(old, _)| old.as_str().cmp(&key)) {
        Ok(at) => labels[at].1 = value,
        Err(at) => labels.insert(at, (key, value)),
    }
}

fn expand_pairs(
    lexer: Lexer<'_>,
    pairs: &[(String, String)],
) -> Result<Vec<(String, String)>, String> {
    pairs
        .iter()
        .map(|(name, value)| Ok((lexer.word(name)?, lexer.word(value)?)))
        .collect()
}

/// Whether Docker knows the signal: any number but 0, or a name with or without `SIG`.
fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if SIGNALS.contains(&name) || matches!(name, "RTMIN" | "RTMAX") {
        return true;
    }
    let numbered = |prefix: &str, last: u8| {
        let number = name.strip_prefix(prefix)?;
        let canonical = number
            .parse::<u8>()
            .ok()
            .filter(|n| n.to_string() == number);
        canonical.filter(|n| (1..=last).contains(n))
    };
    numbered("RTMIN+", 15)
        .or_else(|| numbered("RTMAX-", 14))
        .is_some()
}
