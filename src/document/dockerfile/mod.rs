//! Changes to a config, as Docker's `--change` takes them.
//!
//! All values are joined by newlines and parsed as one Dockerfile: comments, `\` at the end of a line and `# escape=`
//! work, and an instruction may continue in the next value. What is accepted, what is refused, and with which
//! message, is the same as in Docker (moby `builder/dockerfile/builder.go` `BuildFromConfig` and BuildKit's
//! `frontend/dockerfile`), compared with Docker 26.1 by `tests/it/change.rs`. `docs/changes.md` describes the
//! instructions.
//!
//! As in Docker, everything is parsed before anything is applied, and in this order: lines, then
//! names of instructions, then their arguments; so if there are several faults, the same one is reported.
//!
//! Threats: changes come from the command line, but a script may have written it. The nesting of `${…}` and the
//! length of expanded variables (each line can double them) are limited; patterns are matched in linear time.

mod apply;
pub(crate) mod created_by;
mod go;
mod instruction;
mod lines;
mod pattern;
mod ports;
mod shell;
mod words;
pub(crate) mod write;

use std::fmt;

use instruction::Instruction;

use super::config::RunConfig;

/// Changes to a config, parsed.
#[derive(Clone, Debug, Default)]
pub struct ConfigChanges {
    instructions: Vec<(LinePlace, Instruction)>,
    doubts: Vec<ChangeDoubt>,
    escape: char,
}

/// Something that Docker accepts silently and that was hardly intended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {name} {what}")]
pub struct ChangeDoubt {
    place: LinePlace,
    name: String,
    what: &'static str,
}

/// Where an instruction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LinePlace {
    /// Which of the given changes, from 1.
    change: usize,
    /// Which line of it, from 1.
    line: usize,
    /// Whether that change has several lines.
    several_lines: bool,
}

/// Why changes are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {words}")]
pub struct ChangeError {
    words: String,
    place: LinePlace,
    refused: RefusedChange,
}

/// What about a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedChange {
    /// Its instruction cannot change a config.
    Instruction,
    /// What is around or behind the instruction: quotes, words, their number.
    Syntax,
    /// A value, once its variables are expanded.
    Value,
}

impl ChangeError {
    /// The words that Docker refuses it with.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// What about the change is refused.
    pub fn refused(&self) -> RefusedChange {
        self.refused
    }

    /// Which of the given changes it is about, counted from 1.
    pub fn change(&self) -> usize {
        self.place.change
    }

    /// Which line of that change it is about, counted from 1.
    pub fn line(&self) -> usize {
        self.place.line
    }
}

impl fmt::Display for LinePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "change {}", self.change)?;
        if self.several_lines {
            write!(f, ", line {}", self.line)?;
        }
        Ok(())
    }
}

/// What is wrong and in which line of the joined text, from 1.
#[derive(Debug)]
struct Fault {
    line: usize,
    words: String,
}

impl Fault {
    /// The error for callers, `place` says where lines are.
    fn error(self, refused: RefusedChange, place: impl Fn(usize) -> LinePlace) -> ChangeError {
        ChangeError {
            words: self.words,
            place: place(self.line),
            refused,
        }
    }
}

impl ConfigChanges {
    /// Parses the values of `--change`, in their order. An empty list changes nothing.
    ///
    /// # Errors
    ///
    /// [`ChangeError`], in Docker's words.
    pub fn parse<S: AsRef<str>>(changes: &[S]) -> Result<Self, ChangeError> {
        if changes.is_empty() {
            return Ok(Self::default());
        }
        let text = changes
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<_>>()
            .join("\n");
        let starts = starts(changes);
        let place = |line| place(&starts, line);
        let syntax = |fault: Fault| fault.error(RefusedChange::Syntax, place);
        let (nodes, escape) = lines::parse(&text).map_err(syntax)?;
        for node in &nodes {
            if !Instruction::is_change(&node.name) {
                let fault = Fault {
                    line: node.line,
                    words: format!("{} is not a valid change command", node.name),
                };
                return Err(fault.error(RefusedChange::Instruction, place));
            }
        }
        let mut instructions = Vec::with_capacity(nodes.len());
        let mut doubts = Vec::new();
        for node in nodes {
            let line = node.line;
            if let Some(what) = node.arguments.doubt {
                doubts.push(ChangeDoubt {
                    place: place(line),
                    name: node.name.to_uppercase(),
                    what,
                });
            }
            let instruction =
                Instruction::read(&node).map_err(|words| syntax(Fault { line, words }))?;
            instructions.push((place(line), instruction));
        }
        Ok(Self {
            instructions,
            doubts,
            escape,
        })
    }

    /// What Docker accepts silently and was hardly intended, for people.
    pub fn doubts(&self) -> &[ChangeDoubt] {
        &self.doubts
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.instructions.is_empty()
    }

    /// Changes `run`, or leaves it as it is if something is refused.
    ///
    /// # Errors
    ///
    /// [`ChangeError`], in Docker's words, for what only shows once variables are expanded.
    pub fn apply(&self, run: &mut RunConfig) -> Result<(), ChangeError> {
        let mut changed = run.clone();
        let mut state = apply::ConfigState::new(&mut changed, self.escape);
        for (place, instruction) in &self.instructions {
            state.apply(instruction).map_err(|words| ChangeError {
                words,
                place: *place,
                refused: RefusedChange::Value,
            })?;
        }
        *run = changed;
        Ok(())
    }
}

/// How many lines of the joined text stand before each change, and how many there are.
fn starts<S: AsRef<str>>(changes: &[S]) -> Vec<usize> {
    let mut before = 0;
    let mut starts = Vec::with_capacity(changes.len());
    for change in changes {
        starts.push(before);
        before += change.as_ref().matches('\n').count() + 1;
    }
    starts.push(before);
    starts
}

/// Which change the line of the joined text is in.
fn place(starts: &[usize], line: usize) -> LinePlace {
    let changes = starts.len().saturating_sub(1);
    let change = starts
        .partition_point(|start| *start < line)
        .clamp(1, changes.max(1));
    let start = |change: usize| starts.get(change).copied().unwrap_or_default();
    LinePlace {
        change,
        line: line.saturating_sub(start(change - 1)).max(1),
        several_lines: start(change) > start(change - 1) + 1,
    }
}

#[cfg(test)]
mod tests;
