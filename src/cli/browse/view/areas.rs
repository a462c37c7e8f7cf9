//! Where everything is on the screen.

use ratatui::layout::Rect;

use crate::cli::browse::model::Pane;

/// From how many cells on both sides stand beside each other.
const WIDE: u16 = 72;
/// From how many lines on there are details.
const HIGH: u16 = 14;

/// Where everything is; what does not fit is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Areas {
    /// The line at the top.
    pub(crate) title: Rect,
    /// The layers, with a heading.
    pub(crate) layers: Rect,
    /// The files, with a heading.
    pub(crate) files: Rect,
    /// What is known of the line under the cursor, with a heading.
    pub(crate) details: Rect,
    /// The line at the bottom.
    pub(crate) status: Rect,
    /// Everything between the first and the last line.
    pub(crate) middle: Rect,
}

impl Areas {
    /// Those of a screen of this size, in cells.
    pub(crate) fn of((width, height): (u16, u16), side: Pane) -> Self {
        let line = |y| Rect::new(0, y, width, 1.min(height));
        let middle = Rect::new(0, 1, width, height.saturating_sub(2));
        let details = match height {
            ..HIGH => 0,
            HIGH..20 => 4,
            20..30 => 6,
            _ => 8,
        };
        let upper = middle.height - details.min(middle.height);
        let upper = Rect::new(0, 1, width, upper);
        let (layers, files) = if width >= WIDE {
            let left = (width * 2 / 5).clamp(30, 64);
            (
                Rect::new(0, 1, left, upper.height),
                Rect::new(left + 1, 1, width - left - 1, upper.height),
            )
        } else if side == Pane::Layers {
            (upper, Rect::default())
        } else {
            (Rect::default(), upper)
        };
        Self {
            title: line(0),
            layers,
            files,
            details: Rect::new(0, 1 + upper.height, width, details),
            status: line(height.saturating_sub(1)),
            middle,
        }
    }

    /// How many lines of a list with a heading there are.
    pub(crate) fn lines(area: Rect) -> usize {
        usize::from(area.height.saturating_sub(1))
    }
}
