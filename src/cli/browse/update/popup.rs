//! The keys of what lies on top.

use crossterm::event::{KeyCode, KeyEvent};

use super::super::keys::KEYS;
use super::super::list::{ListCursor, Motion};
use super::super::model::{Ask, Browser, FileScreen, Popup};
use super::move_of;

/// By how many cells a text moves sideways.
const ASIDE: usize = 8;

impl Browser {
    /// How many lines of a list on top are shown: all of it but its heading, and for the waste a line of sums.
    pub(in super::super) fn popup_height(&self) -> usize {
        usize::from(self.areas().middle.height.saturating_sub(1))
    }

    /// How many lines the list on top has.
    fn popup_len(&self) -> usize {
        match &self.popup {
            Some(Popup::Help(_)) => KEYS.len(),
            Some(Popup::Waste(_)) => {
                let wasted = self.image().and_then(|image| image.wasted.as_ref());
                wasted.map_or(0, |report| report.groups.len())
            }
            Some(Popup::Blame(_, path)) => path.steps.len(),
            Some(Popup::File(_) | Popup::Failure(_)) | None => 0,
        }
    }

    pub(super) fn popup_cursor(&mut self) -> Option<&mut ListCursor> {
        match &mut self.popup {
            Some(Popup::Help(cursor) | Popup::Waste(cursor) | Popup::Blame(cursor, _)) => {
                Some(cursor)
            }
            Some(Popup::File(_) | Popup::Failure(_)) | None => None,
        }
    }

    pub(super) fn settle_popup(&mut self) {
        let (len, height) = (self.popup_len(), self.popup_height());
        if let Some(cursor) = self.popup_cursor() {
            cursor.settle(len, height);
        }
        if let Some(Popup::File(file)) = &mut self.popup {
            file.top = file.top.min(file.len().saturating_sub(height));
        }
    }

    pub(super) fn popup_key(&mut self, key: KeyEvent) -> Vec<Ask> {
        let (len, height) = (self.popup_len(), self.popup_height());
        if matches!(key.code, KeyCode::Esc | KeyCode::Char('q')) {
            self.popup = None;
            return Vec::new();
        }
        if let Some(Popup::File(file)) = &mut self.popup {
            file.key(key, height);
            return Vec::new();
        }
        if let Some(to) = move_of(key, height) {
            let is_help = matches!(self.popup, Some(Popup::Help(_)));
            if let Some(cursor) = self.popup_cursor() {
                match to {
                    // Nothing is chosen in the help.
                    Motion::Lines(lines) if is_help => cursor.scroll(lines, len, height),
                    to => cursor.go(to, len, height),
                }
            }
            return Vec::new();
        }
        match (&self.popup, key.code) {
            (Some(Popup::Waste(cursor)), KeyCode::Enter | KeyCode::Char(' ')) => {
                let at = cursor.at;
                let wasted = self.image().and_then(|image| image.wasted.clone());
                let Some(group) = wasted.as_ref().and_then(|report| report.groups.get(at)) else {
                    return Vec::new();
                };
                self.jump(group.layer as usize, &group.path.0)
            }
            (Some(Popup::Blame(cursor, path)), KeyCode::Enter | KeyCode::Char(' ')) => {
                let Some(step) = path.steps.get(cursor.at) else {
                    return Vec::new();
                };
                let (layer, path) = (step.layer, path.path.0.clone());
                self.jump(layer, &path)
            }
            (Some(Popup::Help(_)), KeyCode::Char('?') | KeyCode::F(1))
            | (Some(Popup::Waste(_)), KeyCode::Char('w'))
            | (Some(Popup::Blame(..)), KeyCode::Char('b'))
            | (Some(Popup::Failure(_)), KeyCode::Enter | KeyCode::Char(' ')) => {
                self.popup = None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}

impl FileScreen {
    fn key(&mut self, key: KeyEvent, height: usize) {
        let mut cursor = ListCursor {
            at: self.top,
            top: self.top,
        };
        let last = self.len().saturating_sub(height);
        match (move_of(key, height), key.code) {
            (Some(to), _) => {
                cursor.go(to, last + 1, 1);
                self.top = cursor.at;
            }
            (None, KeyCode::Char('v' | ' ') | KeyCode::Tab) => {
                // The same place of the file stays in sight.
                let at = if self.is_hex {
                    self.top * Self::HEX
                } else {
                    self.lines.get(self.top).map_or(0, |at| *at as usize)
                };
                self.is_hex = !self.is_hex;
                self.left = 0;
                self.top = if self.is_hex {
                    at / Self::HEX
                } else {
                    self.lines
                        .partition_point(|begin| *begin as usize <= at)
                        .saturating_sub(1)
                };
            }
            (None, KeyCode::Char('l') | KeyCode::Right) if !self.is_hex => self.left += ASIDE,
            (None, KeyCode::Char('h') | KeyCode::Left) => {
                self.left = self.left.saturating_sub(ASIDE);
            }
            _ => {}
        }
    }
}
