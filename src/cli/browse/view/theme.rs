//! Colours: those sixteen that every terminal has, and none of them where colour is off.

use imgtar::tree::LayerChange;
use ratatui::style::{Color, Modifier, Style};

/// How everything looks. What a colour says is said by a letter or a word too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    pub(crate) is_coloured: bool,
    /// Our own signs are drawn in ASCII.
    pub(crate) is_ascii: bool,
}

impl Theme {
    fn colour(self, colour: Color) -> Style {
        if self.is_coloured {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// A heading; `has_keys` where the keys go to what is below it.
    pub(super) fn heading(self, has_keys: bool) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if has_keys {
            style
                .patch(self.colour(Color::Cyan))
                .add_modifier(Modifier::UNDERLINED)
        } else {
            style
        }
    }

    /// The line under the cursor.
    pub(super) fn cursor(has_keys: bool) -> Style {
        if has_keys {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
        }
    }

    pub(super) fn dim() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn directory(self) -> Style {
        self.colour(Color::Blue).add_modifier(Modifier::BOLD)
    }

    pub(super) fn link(self) -> Style {
        self.colour(Color::Cyan)
    }

    pub(super) fn warning(self) -> Style {
        self.colour(Color::Yellow)
    }

    pub(super) fn error(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// What a layer does to a name: a letter and its colour.
    pub(super) fn change(self, change: Option<LayerChange>) -> (char, Style) {
        match change {
            Some(LayerChange::Added) => ('A', self.colour(Color::Green)),
            Some(LayerChange::Changed) => ('C', self.colour(Color::Yellow)),
            Some(LayerChange::Deleted) => ('D', self.colour(Color::Red)),
            None => (' ', Style::new()),
        }
    }
}
