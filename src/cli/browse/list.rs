//! A list of which a part is on the screen.

/// Which line is chosen, and which is the first on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListCursor {
    pub(super) at: usize,
    pub(super) top: usize,
}

/// A movement of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    /// So many lines down, or up if it is negative.
    Lines(isize),
    /// So many half screens.
    Halves(isize),
    /// To the first line.
    First,
    /// To the last line.
    Last,
}

impl ListCursor {
    /// Moves in a list of `len` lines of which `height` are shown.
    pub(super) fn go(&mut self, to: Motion, len: usize, height: usize) {
        let by = |lines: isize| self.at.saturating_add_signed(lines);
        let half = isize::try_from(height / 2).unwrap_or(1).max(1);
        self.at = match to {
            Motion::Lines(lines) => by(lines),
            Motion::Halves(halves) => by(halves.saturating_mul(half)),
            Motion::First => 0,
            Motion::Last => usize::MAX,
        };
        self.settle(len, height);
    }

    /// Keeps the cursor in the list, and the screen around it.
    pub(super) fn settle(&mut self, len: usize, height: usize) {
        let height = height.max(1);
        self.at = self.at.min(len.saturating_sub(1));
        let lowest_top = (self.at + 1).saturating_sub(height);
        // No room is left below the last line while lines are hidden above the first.
        let highest_top = self.at.min(len.saturating_sub(height));
        self.top = self.top.clamp(lowest_top.min(highest_top), highest_top);
    }

    /// Moves the screen and keeps the cursor on it.
    pub(super) fn scroll(&mut self, lines: isize, len: usize, height: usize) {
        let height = height.max(1);
        let last_top = len.saturating_sub(height);
        self.top = self.top.saturating_add_signed(lines).min(last_top);
        self.at = self.at.clamp(self.top, self.top + height - 1);
        self.settle(len, height);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_on_the_screen_and_in_the_list() {
        let mut cursor = ListCursor::default();
        let mut went = |to, len, height| {
            cursor.go(to, len, height);
            (cursor.at, cursor.top)
        };
        assert_eq!(went(Motion::Lines(3), 10, 4), (3, 0));
        assert_eq!(went(Motion::Lines(1), 10, 4), (4, 1));
        assert_eq!(went(Motion::Last, 10, 4), (9, 6));
        assert_eq!(went(Motion::Halves(-2), 10, 4), (5, 5));
        assert_eq!(went(Motion::Lines(-9), 10, 4), (0, 0));
        assert_eq!(went(Motion::Last, 0, 4), (0, 0));
        assert_eq!(went(Motion::Last, 3, 0), (2, 2));
        cursor.scroll(-1, 3, 2);
        assert_eq!((cursor.at, cursor.top), (2, 1));
        cursor.scroll(-1, 3, 2);
        assert_eq!((cursor.at, cursor.top), (1, 0));
    }
}
