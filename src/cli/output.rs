//! Standard output and standard error: colour, width and escaping decided once.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::args::Color;
use super::error::Failure;

/// Where answers and complaints go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    color: ColorChoice,
}

impl Output {
    pub(crate) fn new(color: Color) -> Self {
        let color = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self { color }
    }

    /// Prints the answer, whole. A reader that has gone away is no failure.
    pub(crate) fn answer(self, text: &str) -> Result<(), Failure> {
        let mut stdout = AutoStream::new(io::stdout().lock(), self.color);
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::environment(
                "cannot write to standard output",
                &error,
            )),
            Ok(()) => Ok(()),
        }
    }

    /// Prints something other than the answer. If that fails there is nobody left to tell.
    pub(crate) fn complain(self, text: &str) {
        let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
        drop(stderr.write_all(text.as_bytes()));
    }

    /// How wide the terminal is, in cells; `None` if the answer goes elsewhere, where nothing is
    /// wrapped or cut.
    pub(crate) fn width() -> Option<u16> {
        if !io::stdout().is_terminal() {
            return None;
        }
        terminal_size::terminal_size().map(|(width, _)| width.0)
    }
}

pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Escapes what would act on a terminal or mislead its reader: control characters, and the marks
/// that turn the direction of text or hide in it.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escaped_but(text, "")
}

/// The same, but lets the characters in `kept` pass.
pub(crate) fn escaped_but<'t>(text: &'t str, kept: &str) -> Cow<'t, str> {
    let acts = |c: char| is_dangerous(c) && !kept.contains(c);
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !acts(c) {
            escaped.push(c);
            continue;
        }
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if u32::from(c) < 0x100 => _ = write!(escaped, "\\x{:02x}", u32::from(c)),
            c => _ = write!(escaped, "\\u{{{:x}}}", u32::from(c)),
        }
    }
    Cow::Owned(escaped)
}

/// C0, DEL, C1; the bidirectional controls of UAX #9; line and paragraph separators; and marks
/// without width that make different names look equal.
pub(super) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        assert_eq!(
            escaped("a\x1b[31mb\r\n\t\x7f\u{9b}\u{202e}c"),
            "a\\x1b[31mb\\r\\n\\t\\x7f\\x9b\\u{202e}c"
        );
        assert_eq!(escaped_but("a\n\tb\r", "\n\t"), "a\n\tb\\r");
        assert!(matches!(escaped("plain 文件 é"), Cow::Borrowed(_)));
    }
}
