//! Standard error as the bar draws on it.

use std::io::{self, Write, stderr};
use std::sync::Mutex;

use indicatif::TermLike;

use super::locked;

/// How many columns stay free at the right: a terminal shows Ctrl-C as two characters where the cursor is, and what
/// does not fit there begins another line, which would leave the bar behind.
const FREE: u16 = 3;

/// Standard error, a little narrower than it is. What is drawn is gathered and written at once.
#[derive(Debug, Default)]
pub(super) struct NarrowTerminal(Mutex<String>);

impl NarrowTerminal {
    /// Appends to what is drawn.
    fn put(&self, text: &str) {
        locked(&self.0).push_str(text);
    }

    /// A control sequence that moves the cursor by `n`.
    fn moves(&self, n: usize, direction: char) {
        if n > 0 {
            self.put(&format!("\x1b[{n}{direction}"));
        }
    }
}

/// How many columns the bar may take, as far as is known.
pub(super) fn room() -> u16 {
    let width = terminal_size::terminal_size_of(stderr()).map_or(80, |(width, _)| width.0);
    width.saturating_sub(FREE).max(1)
}

impl TermLike for NarrowTerminal {
    fn width(&self) -> u16 {
        room()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.moves(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.moves(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.moves(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.moves(n, 'D');
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.put(line);
        self.put("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.put(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawn = locked(&self.0);
        let written = stderr().lock().write_all(drawn.as_bytes());
        drawn.clear();
        written
    }
}
