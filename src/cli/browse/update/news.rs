//! What the background tells.

use std::sync::Arc;

use super::super::list::ListCursor;
use super::super::model::{Ask, Browser, FileScreen, Popup, Screen, Tone};
use super::super::rows::FileRows;
use super::super::work::{COMPARING, Merged, News, OPENING, OpenedArchive, READING, WRITING};
use crate::cli::error::Failure;

impl Browser {
    /// What news change, and what is asked for then.
    pub(in super::super) fn news(&mut self, news: News) -> Vec<Ask> {
        let asks = match news {
            News::Opened(opened) => self.opened(opened),
            News::Measured(number, measures) => {
                if let Some(image) = self.known_image(number) {
                    image.measures = measures;
                }
                Vec::new()
            }
            News::Merged(number, merged) => self.merged(number, merged),
            News::Hidden(number, waste) => {
                if let Some(image) = self.known_image(number) {
                    image.waste = waste;
                }
                Vec::new()
            }
            News::Rows(number, rows) => self.rows(number, rows),
            News::Blamed(number, blamed) => {
                if self.known_image(number).is_some() && self.popup.is_none() {
                    match blamed {
                        Ok(path) => self.popup = Some(Popup::Blame(ListCursor::default(), path)),
                        Err(failure) => self.fail(&failure),
                    }
                }
                Vec::new()
            }
            News::Wasted(number, wasted) => {
                self.done(COMPARING);
                match wasted {
                    Ok(report) => {
                        if let Some(image) = self.known_image(number) {
                            image.wasted = Some(report);
                        }
                    }
                    Err(failure) => self.fail(&failure),
                }
                Vec::new()
            }
            News::Viewed(number, viewed) => {
                if self.known_image(number).is_some() && self.popup.is_none() {
                    match viewed {
                        Ok(file) => self.popup = Some(Popup::File(Box::new(FileScreen::new(file)))),
                        Err(failure) => self.fail(&failure),
                    }
                }
                Vec::new()
            }
            News::Written(written) => {
                self.done(WRITING);
                match written {
                    Ok(what) => self.say(Tone::Done, what),
                    Err(failure) => self.fail(&failure),
                }
                Vec::new()
            }
            // Whoever runs the browser ends with it.
            News::Bug => vec![Ask::Quit],
        };
        self.settle();
        asks
    }

    /// An image that is looked at, or was before the list of images.
    fn known_image(&mut self, number: usize) -> Option<&mut super::super::model::ImageScreen> {
        let shown = match &mut self.screen {
            Screen::Image(image) => Some(image),
            Screen::Opening | Screen::Choosing(_) => self.kept.as_mut(),
        };
        shown
            .map(|image| &mut **image)
            .filter(|image| image.number == number)
    }

    fn opened(&mut self, opened: Result<OpenedArchive, Failure>) -> Vec<Ask> {
        self.done(OPENING);
        match opened {
            Ok(opened) => {
                self.images = opened.images;
                self.problems = opened.problems;
                if self.images.len() == 1 {
                    return self.choose(0);
                }
                self.screen = Screen::Choosing(ListCursor::default());
                Vec::new()
            }
            Err(failure) => {
                self.failure = Some(failure);
                vec![Ask::Quit]
            }
        }
    }

    fn merged(&mut self, number: usize, merged: Result<Merged, Failure>) -> Vec<Ask> {
        self.done(READING);
        let Some(image) = self.known_image(number) else {
            return Vec::new();
        };
        match merged {
            Ok(merged) => {
                let timeline = merged.timeline;
                image.failure = merged.failure;
                image.files.timeline = Some(Arc::clone(&timeline));
                let mut asks = image.ask_rows();
                asks.push(Ask::Hidden(number, timeline));
                asks
            }
            Err(failure) => {
                image.failure = Some(failure);
                Vec::new()
            }
        }
    }

    fn rows(&mut self, number: usize, rows: FileRows) -> Vec<Ask> {
        let Some(image) = self.known_image(number) else {
            return Vec::new();
        };
        let chosen = image.chosen();
        image.files.asked = false;
        let mut at = rows.at;
        if let Some(goal) = image.goal {
            if rows.names.get(rows.at) == Some(&goal) || !image.files.is_stale {
                image.goal = None;
            }
        } else if let Some(chosen) = chosen.filter(|chosen| rows.names.get(at) != Some(chosen)) {
            // The cursor has moved in the meantime.
            let found = rows.names.iter().position(|name| *name == chosen);
            at = found.unwrap_or(at);
        }
        image.files.cursor.at = at;
        image.files.rows = Some(rows);
        if std::mem::take(&mut image.files.is_stale) {
            return image.ask_rows();
        }
        Vec::new()
    }
}
