//! Text in lines of whole words, for terminals.

use unicode_width::UnicodeWidthChar;

/// Splits off as many words as fit into `room` cells, one at the least: a digest that is cut in two
/// cannot be copied, so what does not fit is left to the terminal.
pub(crate) fn split_line(text: &str, room: usize) -> (&str, &str) {
    let mut used = 0;
    let mut fitting = None;
    for (i, c) in text.char_indices() {
        if c == ' ' && i > 0 {
            if used <= room {
                fitting = Some(i);
            } else {
                let space = fitting.unwrap_or(i);
                return (&text[..space], text[space + 1..].trim_start());
            }
        }
        used += c.width().unwrap_or(0);
        if used > room
            && let Some(space) = fitting
        {
            return (&text[..space], text[space + 1..].trim_start());
        }
    }
    (text, "")
}

/// A text in lines of whole words, each of `room` cells at the most unless a word is longer. One line at the least.
pub(crate) fn lines(text: &str, room: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let (line, next) = split_line(rest, room);
        lines.push(line);
        if next.is_empty() {
            return lines;
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_words_stay_whole() {
        assert_eq!(split_line("one two three", 8), ("one two", "three"));
        assert_eq!(
            split_line("sha256:0123456789", 8),
            ("sha256:0123456789", "")
        );
        assert_eq!(
            split_line("sha256:0123456789 x", 8),
            ("sha256:0123456789", "x")
        );
        assert_eq!(split_line("short", 8), ("short", ""));
    }

    #[test]
    fn a_text_is_all_its_lines() {
        assert_eq!(lines("a bc def", 4), ["a bc", "def"]);
        assert_eq!(lines("abcdef g", 4), ["abcdef", "g"]);
        assert_eq!(lines("", 4), [""]);
    }
}
