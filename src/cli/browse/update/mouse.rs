//! What the mouse changes.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::super::model::{Ask, Browser, Pane, Popup, Screen};
use super::super::view::areas::Areas;

/// How many lines the wheel moves.
const WHEEL: isize = 3;

impl Browser {
    pub(super) fn mouse(&mut self, mouse: MouseEvent) -> Vec<Ask> {
        let at = Position::new(mouse.column, mouse.row);
        match mouse.kind {
            MouseEventKind::ScrollDown => self.wheel(at, WHEEL),
            MouseEventKind::ScrollUp => self.wheel(at, -WHEEL),
            MouseEventKind::Down(MouseButton::Left) => return self.click(at),
            _ => {}
        }
        Vec::new()
    }

    fn wheel(&mut self, at: Position, lines: isize) {
        let (areas, height) = (self.areas(), self.popup_height());
        let images = self.images.len();
        match &mut self.popup {
            Some(Popup::File(file)) => {
                file.top = file.top.saturating_add_signed(lines);
                return;
            }
            Some(Popup::Waste(_) | Popup::Blame(..) | Popup::Help(_)) => {
                if let Some(cursor) = self.popup_cursor() {
                    cursor.top = cursor.top.saturating_add_signed(lines);
                    cursor.at = cursor.at.clamp(cursor.top, cursor.top + height.max(1) - 1);
                }
                return;
            }
            Some(Popup::Failure(_)) => return,
            None => {}
        }
        match &mut self.screen {
            Screen::Choosing(cursor) => cursor.scroll(lines, images, Areas::lines(areas.middle)),
            Screen::Image(image) if areas.files.contains(at) => {
                let len = image.files.rows.as_ref().map_or(0, |rows| rows.names.len());
                image
                    .files
                    .cursor
                    .scroll(lines, len, Areas::lines(areas.files));
            }
            // Every layer on the way would be drawn, so a list of layers is moved by its cursor.
            Screen::Opening | Screen::Image(_) => {}
        }
    }

    fn click(&mut self, at: Position) -> Vec<Ask> {
        let areas = self.areas();
        if self.prompt.is_some() {
            return Vec::new();
        }
        if self.popup.is_some() {
            let line = line_of(areas.middle, at);
            if let (Some(line), Some(cursor)) = (line, self.popup_cursor()) {
                cursor.at = cursor.top + line;
            }
            return Vec::new();
        }
        match &mut self.screen {
            Screen::Opening => Vec::new(),
            Screen::Choosing(cursor) => {
                let Some(line) = line_of(areas.middle, at) else {
                    return Vec::new();
                };
                let clicked = cursor.top + line;
                if cursor.at == clicked {
                    return self.choose(clicked);
                }
                cursor.at = clicked;
                Vec::new()
            }
            Screen::Image(image) => {
                if let Some(line) = line_of(areas.layers, at) {
                    image.side = Pane::Layers;
                    let clicked = image.layers.top + line;
                    let by = clicked.cast_signed() - image.layers.at.cast_signed();
                    let height = Areas::lines(areas.layers);
                    return image.go_to_layer(super::Motion::Lines(by), height);
                }
                let Some(line) = line_of(areas.files, at) else {
                    return Vec::new();
                };
                image.side = Pane::Files;
                let clicked = image.files.cursor.top + line;
                let was_chosen = image.files.cursor.at == clicked;
                let len = image.files.rows.as_ref().map_or(0, |rows| rows.names.len());
                image.files.cursor.at = clicked.min(len.saturating_sub(1));
                match image.chosen() {
                    Some(chosen) if was_chosen && image.is_directory(chosen) => {
                        image.toggle(chosen)
                    }
                    _ => Vec::new(),
                }
            }
        }
    }
}

/// The line of a list below its heading.
fn line_of(area: Rect, at: Position) -> Option<usize> {
    let is_inside = area.contains(at) && at.y > area.y;
    is_inside.then(|| usize::from(at.y - area.y - 1))
}
