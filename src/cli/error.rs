//! What went wrong, worded for people; `advice/` has what to do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io;

use anstyle::{AnsiColor, Style};
use imgtar::Error;
use imgtar::archive::Looks;
use imgtar::base::escape;

use super::advice::{Advice, size_limit};
use super::exit::Exit;
use super::locale::ellipsis;
use super::output::Output;

/// How many details are printed below a message, candidates among them; an archive may have ten thousand.
const DETAILS_SHOWN: usize = 100;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// A command that could not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    /// Lines of their own below the message, such as candidates.
    details: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            exit,
            message,
            causes: Vec::new(),
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The archive lacks what was asked for.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Exit::Input, message)
    }

    /// The system failed.
    pub(crate) fn environment(message: impl Into<String>, cause: &io::Error) -> Self {
        let mut failure = Self::new(Exit::Environment, message);
        failure.causes.push(cause.to_string());
        failure.hints.extend(size_limit(cause).map(String::from));
        failure
    }

    fn advised(error: &Error, advice: Advice) -> Self {
        Self {
            exit: error.class().into(),
            message: error.to_string(),
            causes: causes(error),
            details: advice.details,
            hints: advice.hints,
        }
    }

    /// What was given for the tar of a root file system cannot be one.
    pub(crate) fn of_rootfs(error: impl Into<Error>) -> Self {
        let error = error.into();
        Self::advised(&error, Advice::on_rootfs(&error))
    }

    /// The same as a matter of how the command line was written.
    pub(crate) fn into_usage(self) -> Self {
        Self {
            exit: Exit::Usage,
            ..self
        }
    }

    /// Adds the advice on what a tar looks like.
    pub(crate) fn looking_like(mut self, path: &str, looks: &Looks) -> Self {
        self.hints.extend(Advice::on_looks(path, looks).hints);
        self
    }

    /// Adds a line below the message.
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The message with its causes, and the details and hints in lines of their own, for a screen that is no
    /// stream.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("error: {self}")];
        lines.extend(self.details.iter().take(DETAILS_SHOWN).cloned());
        lines.extend(self.hints.iter().map(|hint| format!("hint: {hint}")));
        let line = |line: String| escape::text(&cut(&line)).into_owned();
        lines.into_iter().map(line).collect()
    }

    /// Prints it and says what to exit with.
    pub(crate) fn report(&self, output: Output) -> Exit {
        self.print(output, ERROR, "error");
        self.exit
    }

    /// Prints it as a warning: the command goes on.
    pub(crate) fn warn(&self, output: Output) {
        self.print(output, WARNING, "warning");
    }

    fn print(&self, output: Output, style: Style, label: &str) {
        let mut text = String::new();
        line(&mut text, style, label, &self.message);
        for cause in &self.causes {
            _ = writeln!(text, "  caused by: {}", escape::text(&cut(cause)));
        }
        for detail in self.details.iter().take(DETAILS_SHOWN) {
            _ = writeln!(text, "  {}", escape::text(&cut(detail)));
        }
        if let Some(more) = self.details.len().checked_sub(DETAILS_SHOWN + 1) {
            _ = writeln!(text, "  {} and {} more", ellipsis(), more + 1);
        }
        for hint in &self.hints {
            line(&mut text, HINT, "hint", hint);
        }
        output.complain(&text);
    }
}

impl fmt::Display for Failure {
    /// The message and its causes on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes
            .iter()
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// Prints a warning: the command goes on.
pub(crate) fn warn(output: Output, message: &str) {
    let mut text = String::new();
    line(&mut text, WARNING, "warning", message);
    output.complain(&text);
}

/// Prints a note on what was decided for the user.
pub(crate) fn note(output: Output, message: &str) {
    let mut text = String::new();
    line(&mut text, HINT, "note", message);
    output.complain(&text);
}

/// Prints what to do next.
pub(crate) fn hint(output: Output, message: &str) {
    let mut text = String::new();
    line(&mut text, HINT, "hint", message);
    output.complain(&text);
}

fn line(text: &mut String, style: Style, label: &str, message: &str) {
    let message = cut(message);
    _ = writeln!(text, "{style}{label}:{style:#} {}", escape::text(&message));
}

/// A message that a person can take in: an archive may hold a name of a megabyte, and its beginning and
/// end are enough to find it by.
fn cut(message: &str) -> Cow<'_, str> {
    const WHOLE: usize = 2000;
    const END: usize = 500;
    // Most messages are short in bytes already.
    if message.len() <= WHOLE || message.chars().count() <= WHOLE {
        return Cow::Borrowed(message);
    }
    let beginning = message.chars().take(WHOLE - END);
    let mut end: Vec<char> = message.chars().rev().take(END).collect();
    end.reverse();
    let gap = [" ", ellipsis(), " "].concat();
    let gap: Vec<char> = gap.chars().collect();
    Cow::Owned(beginning.chain(gap).chain(end).collect())
}

/// An error's causes, the nearest first. No error repeats its cause in its own words.
pub(crate) fn causes(error: &dyn StdError) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        Self::advised(&error, Advice::on(&error))
    }
}
