//! Marks that say good or bad, in the characters that a terminal has.

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::columns::spaces;
use crate::cli::locale;
use crate::cli::wrap::split_line;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default().bold();

/// Below this much room, lines are left to the terminal.
const NARROW: usize = 20;

/// How text for people is written: in which characters, and how wide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// How many cells there are in a line, if that matters.
    pub(crate) width: Option<u16>,
    /// Nothing is shortened.
    pub(crate) whole: bool,
    /// Only ASCII can be shown for certain.
    ascii: bool,
}

impl Page {
    /// The page of this terminal, `width` cells wide if that matters.
    pub(crate) fn new(width: Option<u16>, whole: bool) -> Self {
        Self {
            width,
            whole,
            ascii: locale::is_ascii(),
        }
    }

    /// Whether only ASCII can be shown for certain.
    pub(crate) fn is_ascii(self) -> bool {
        self.ascii
    }

    /// The same where nothing is shortened.
    pub(super) fn is_cut(self) -> bool {
        !self.whole && self.width.is_some()
    }

    fn mark(self, style: Style, sign: &str, word: &str) -> String {
        if self.ascii {
            format!("{style}{word:<4}{style:#}")
        } else {
            format!("{style}{sign}{style:#}")
        }
    }

    pub(super) fn good(self) -> String {
        self.mark(GOOD, "✓", "ok")
    }

    pub(super) fn bad(self) -> String {
        self.mark(BAD, "✗", "FAIL")
    }

    /// Something that fails and does not count.
    pub(super) fn other(self) -> String {
        self.mark(WARN, "✗", "no")
    }

    /// Neither good nor bad.
    pub(super) fn open(self) -> String {
        self.mark(Style::new(), "–", "-")
    }

    /// What stands for text that is left out.
    pub(super) fn ellipsis(self) -> &'static str {
        if self.ascii { "..." } else { "…" }
    }

    /// What stands before a node of a tree that is drawn: a branch, the last one of its siblings or not.
    pub(super) fn branch(self, is_last: bool) -> &'static str {
        match (self.ascii, is_last) {
            (false, true) => "└─",
            (false, false) => "├─",
            (true, true) => "`-",
            (true, false) => "|-",
        }
    }

    /// What stands below that, before the branches of the node's children.
    pub(super) fn stem(self, is_last: bool) -> &'static str {
        match (self.ascii, is_last) {
            (_, true) => "  ",
            (false, false) => "│ ",
            (true, false) => "| ",
        }
    }

    /// A text that is cut already, with the ellipsis of this page.
    pub(super) fn cut_already(self, text: &str) -> Cow<'_, str> {
        Cow::Owned(text.replace('…', self.ellipsis()))
    }

    /// What stands before and behind what somebody else says.
    pub(super) fn quotes(self) -> (&'static str, &'static str) {
        if self.ascii {
            ("\"", "\"")
        } else {
            ("“", "”")
        }
    }

    /// How many cells a mark takes.
    pub(super) fn mark_width(self) -> usize {
        if self.ascii { 4 } else { 1 }
    }

    /// A bar that is `part` of `all` long, at most `cells` cells.
    pub(super) fn bar(self, part: u64, all: u64, cells: u16) -> String {
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let steps = if self.ascii { 1 } else { 8 };
        let full = u128::from(cells) * steps;
        let length = (u128::from(part) * full + u128::from(all) / 2)
            .checked_div(u128::from(all))
            .unwrap_or(0)
            .min(full);
        // What is there is seen.
        let length = if part > 0 { length.max(1) } else { length };
        let whole = usize::try_from(length / steps).unwrap_or(0);
        let rest = usize::try_from(length % steps).unwrap_or(0);
        if self.ascii {
            "#".repeat(whole)
        } else {
            "█".repeat(whole) + EIGHTHS[rest]
        }
    }

    /// Text whose digests are shortened.
    pub(super) fn short(self, text: &str) -> Cow<'_, str> {
        if self.whole {
            return Cow::Owned(text.to_owned());
        }
        Cow::Owned(short_digests(text, self.ellipsis()))
    }

    /// The beginning of a text, as much as fits into a line behind `used` cells.
    pub(super) fn cut(self, text: &str, used: usize) -> Cow<'_, str> {
        let room = match self.width {
            Some(width) if self.is_cut() => usize::from(width).saturating_sub(used),
            _ => usize::MAX,
        };
        Cow::Owned(cut(text, room, self.ellipsis()))
    }

    /// The end of a text, as much as fits into a line beside `used` cells; never less than a few letters.
    pub(super) fn end(self, text: &str, used: usize) -> Cow<'_, str> {
        let room = match self.width {
            Some(width) if self.is_cut() => usize::from(width).saturating_sub(used).max(NARROW),
            _ => return Cow::Owned(text.to_owned()),
        };
        if text.width() <= room {
            return Cow::Owned(text.to_owned());
        }
        let mut taken = self.ellipsis().width();
        let fits = text.char_indices().rev().take_while(|(_, letter)| {
            taken += letter.width().unwrap_or(0);
            taken <= room
        });
        let from = fits.last().map_or(text.len(), |(at, _)| at);
        Cow::Owned(format!("{}{}", self.ellipsis(), &text[from..]))
    }

    /// Writes text behind `begun` cells of a line; where it is longer than the line it goes on below, behind
    /// `indent` spaces.
    pub(super) fn wrapped(
        self,
        out: &mut dyn Write,
        text: &str,
        begun: usize,
        indent: usize,
    ) -> io::Result<()> {
        let width = self.width.map_or(usize::MAX, usize::from);
        let mut rest = text;
        let mut used = begun;
        loop {
            let room = width.saturating_sub(used);
            let (line, next) = if width == usize::MAX || width.saturating_sub(indent) < NARROW {
                (rest, "")
            } else {
                split_line(rest, room)
            };
            writeln!(out, "{line}")?;
            if next.is_empty() {
                return Ok(());
            }
            rest = next;
            used = indent;
            spaces(out, indent)?;
        }
    }
}

/// The beginning of a text that takes at most `room` cells.
pub(crate) fn cut(text: &str, room: usize, ellipsis: &str) -> String {
    // A text may have a megabyte, and be looked at for each of many rows.
    let mut used = 0;
    let mut fits = 0;
    for (at, c) in text.char_indices() {
        if used + ellipsis.width() <= room {
            fits = at;
        }
        used += c.width().unwrap_or(0);
        if used > room {
            return format!("{}{ellipsis}", &text[..fits]);
        }
    }
    text.to_owned()
}

/// Text in which digests in hex have their first 12 digits.
fn short_digests(text: &str, ellipsis: &str) -> String {
    const LONG: usize = 64;
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let begin = rest
            .find(|c: char| c.is_ascii_hexdigit())
            .unwrap_or(rest.len());
        short.push_str(&rest[..begin]);
        rest = &rest[begin..];
        if rest.is_empty() {
            return short;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(rest.len());
        if end < LONG {
            short.push_str(&rest[..end]);
        } else {
            short.push_str(&rest[..12]);
            short.push_str(ellipsis);
        }
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_shortened_and_other_hex_is_not() {
        let long = "0123456789abcdef".repeat(4);
        assert_eq!(
            short_digests(&format!("blobs/sha256/{long}: cafe"), "…"),
            "blobs/sha256/0123456789ab…: cafe"
        );
        assert_eq!(short_digests("0123456789ab", "…"), "0123456789ab");
    }

    #[test]
    fn text_is_cut_by_cells() {
        assert_eq!(cut("abcdef", 6, "…"), "abcdef");
        assert_eq!(cut("abcdef", 5, "…"), "abcd…");
        assert_eq!(cut("abcdef", 5, "..."), "ab...");
        assert_eq!(cut("漢字漢字", 5, "…"), "漢字…");
        assert_eq!(cut("漢字漢字", 8, "…"), "漢字漢字");
        assert_eq!(cut("", 0, "…"), "");
    }

    #[test]
    fn the_end_of_a_path_is_kept() {
        let page = |width, whole| Page {
            width,
            whole,
            ascii: false,
        };
        let path = "testdata/engines/docker28c-platforms.tar";
        assert_eq!(
            page(Some(80), false).end(path, 58),
            "…cker28c-platforms.tar"
        );
        assert_eq!(page(Some(120), false).end(path, 58), path);
        assert_eq!(page(Some(80), true).end(path, 58), path);
        assert_eq!(page(None, false).end(path, 58), path);
    }

    #[test]
    fn bars_show_parts() {
        let page = |ascii| Page {
            width: None,
            whole: false,
            ascii,
        };
        assert_eq!(page(false).bar(1, 2, 4), "██");
        assert_eq!(page(false).bar(1, 1000, 4), "▏");
        assert_eq!(page(false).bar(0, 1000, 4), "");
        assert_eq!(page(false).bar(0, 0, 4), "");
        assert_eq!(page(true).bar(3, 3, 4), "####");
    }
}
