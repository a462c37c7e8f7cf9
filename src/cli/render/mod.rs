//! Reports as text, one file a form.

mod columns;
mod inspect;
mod layers;
mod ls;
mod problems;
mod tree;
mod verify;

use std::fmt::Write as _;

use super::output::is_dangerous;

pub(crate) use columns::Columns;
pub(crate) use inspect::inspect;
pub(crate) use layers::{LayerColumns, layers};
pub(crate) use ls::{drawn, long, name_line, names};
pub(crate) use tree::tree;
pub(crate) use verify::verify;

/// Pretty JSON with a line end, nothing in it that acts on a terminal.
///
/// serde escapes the control characters of ASCII; what is left can only stand inside strings, where
/// an escape means the same.
pub(crate) fn json<T: serde::Serialize>(report: &T) -> String {
    let text = verbatim_json(report);
    if !text.contains(acts) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if acts(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Pretty JSON with a line end, documents of the archive as they stand there.
pub(crate) fn verbatim_json<T: serde::Serialize>(report: &T) -> String {
    // The reports hold strings, numbers and documents that were checked to be JSON; nothing in them
    // can fail to be written to memory.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}

fn acts(c: char) -> bool {
    !matches!(c, ' '..='~' | '\n') && is_dangerous(c)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_acts_on_a_terminal_is_escaped_in_json() {
        let json = super::json(&["a\u{202e}b\u{9b}\x7f\n文"]);
        assert_eq!(json, "[\n  \"a\\u202eb\\u009b\\u007f\\n文\"\n]\n");
    }
}
