//! What is true of the outputs when Ctrl-C ends the process.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgtar::base::escape;

use super::signals;

/// What the command writes.
static OUTPUTS: Mutex<Outputs> = Mutex::new(Outputs::NONE);

#[derive(Debug)]
struct Outputs {
    /// Whether the command is one that writes.
    is_writer: bool,
    /// Where bytes go that cannot be taken back.
    streams: Vec<String>,
    /// The files that do not have their names yet, and whether something has the name.
    unfinished: Vec<(String, bool)>,
    /// The files that are complete.
    finished: Vec<String>,
}

fn outputs() -> MutexGuard<'static, Outputs> {
    OUTPUTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown(path: &Path) -> String {
    escape::path(path)
}

/// The command is one that writes.
pub(super) fn will_write() {
    outputs().is_writer = true;
}

/// A file is written that gets its name when it is complete.
pub(super) fn writes(path: &Path) {
    signals::catch();
    let exists = path.symlink_metadata().is_ok();
    outputs().unfinished.push((shown(path), exists));
}

/// Bytes go somewhere at once.
pub(super) fn streams(name: &str) {
    signals::catch();
    outputs().streams.push(escape::text(name).into_owned());
}

/// A file is complete.
pub(super) fn wrote(path: &Path) {
    let mut outputs = outputs();
    let name = shown(path);
    outputs.unfinished.retain(|(other, _)| *other != name);
    outputs.finished.push(name);
}

/// What to tell whoever pressed Ctrl-C. Nobody is waited for.
pub(super) fn message() -> String {
    match OUTPUTS.try_lock() {
        Ok(outputs) => outputs.message(),
        Err(_) => "interrupted".to_owned(),
    }
}

impl Outputs {
    const NONE: Self = Self {
        is_writer: false,
        streams: Vec::new(),
        unfinished: Vec::new(),
        finished: Vec::new(),
    };

    fn message(&self) -> String {
        let mut message = "interrupted".to_owned();
        if self.streams.is_empty() && self.finished.is_empty() {
            if self.is_writer || !self.unfinished.is_empty() {
                message.push_str(", nothing written");
            }
            let names = |kept: bool| {
                let names = self.unfinished.iter().filter(|(_, exists)| *exists == kept);
                names.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
            };
            let (new, kept) = (names(false), names(true));
            if !new.is_empty() {
                _ = write!(message, " to {}", new.join(" and "));
            }
            if !kept.is_empty() {
                let are = if kept.len() == 1 { "is" } else { "are" };
                _ = write!(message, "; {} {are} as before", kept.join(" and "));
            }
            return message;
        }
        let streams = self.streams.iter();
        let streams = streams.map(|name| format!("what went to {name} is incomplete"));
        let unfinished = self.unfinished.iter();
        let unfinished = unfinished.map(|(name, _)| format!("{name} was not written"));
        let finished = self.finished.iter();
        let finished = finished.map(|name| format!("{name} is complete"));
        let all: Vec<String> = streams.chain(unfinished).chain(finished).collect();
        format!("{message}: {}", all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_true() {
        let mut outputs = Outputs::NONE;
        assert_eq!(outputs.message(), "interrupted");
        outputs.is_writer = true;
        assert_eq!(outputs.message(), "interrupted, nothing written");
        outputs.unfinished = vec![("a.tar".to_owned(), false)];
        assert_eq!(outputs.message(), "interrupted, nothing written to a.tar");
        outputs.unfinished = vec![("a.tar".to_owned(), true)];
        assert_eq!(
            outputs.message(),
            "interrupted, nothing written; a.tar is as before"
        );
        outputs.finished.push("a.imgtar".to_owned());
        assert_eq!(
            outputs.message(),
            "interrupted: a.tar was not written, a.imgtar is complete"
        );
        let outputs = Outputs {
            streams: vec!["standard output".to_owned()],
            ..Outputs::NONE
        };
        assert_eq!(
            outputs.message(),
            "interrupted: what went to standard output is incomplete"
        );
    }
}
