//! What keys, clicks and messages from threads change.

mod image;
mod mouse;
mod news;
mod popup;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::list::Motion;
use super::model::{About, Ask, Browser, ImageScreen, Popup, Prompt, Screen, Tone};

impl Browser {
    /// What a key, a click or another size changes, and what is asked of others then.
    pub(super) fn event(&mut self, event: &Event) -> Vec<Ask> {
        let asks = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key),
            Event::Mouse(mouse) => self.mouse(*mouse),
            Event::Resize(width, height) => {
                self.size = (*width, *height);
                Vec::new()
            }
            Event::Paste(text) => self.paste(text),
            Event::Key(_) | Event::FocusGained | Event::FocusLost => Vec::new(),
        };
        self.settle();
        asks
    }

    /// Keeps all cursors on the screen.
    fn settle(&mut self) {
        let areas = self.areas();
        let (layers, files) = (
            super::view::areas::Areas::lines,
            super::view::areas::Areas::lines,
        );
        let images = self.images.len();
        match &mut self.screen {
            Screen::Opening => {}
            Screen::Choosing(cursor) => cursor.settle(images, files(areas.middle)),
            Screen::Image(image) => {
                let len = image.image.layers.len();
                image.layers.settle(len, layers(areas.layers));
                let rows = image.files.rows.as_ref().map_or(0, |rows| rows.names.len());
                image.files.cursor.settle(rows, files(areas.files));
            }
        }
        self.settle_popup();
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Ask> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return vec![Ask::Quit],
            KeyCode::Char('z') if control => return vec![Ask::Suspend],
            KeyCode::Char('l') if control => return vec![Ask::Redraw],
            _ => {}
        }
        self.message = None;
        if self.prompt.is_some() {
            return self.prompt_key(key);
        }
        if self.popup.is_some() {
            return self.popup_key(key);
        }
        match key.code {
            KeyCode::Char('q') => return vec![Ask::Quit],
            KeyCode::Char('?') | KeyCode::F(1) => {
                self.popup = Some(Popup::Help(super::list::ListCursor::default()));
                return Vec::new();
            }
            _ => {}
        }
        match &self.screen {
            Screen::Opening => Vec::new(),
            Screen::Choosing(_) => self.choice_key(key),
            Screen::Image(_) => self.image_key(key),
        }
    }

    /// The keys of the list of images.
    fn choice_key(&mut self, key: KeyEvent) -> Vec<Ask> {
        let (len, height) = (self.images.len(), usize::from(self.areas().middle.height));
        let Screen::Choosing(cursor) = &mut self.screen else {
            return Vec::new();
        };
        if let Some(to) = move_of(key, height) {
            cursor.go(to, len, height);
            return Vec::new();
        }
        let at = cursor.at;
        match key.code {
            KeyCode::Enter | KeyCode::Char(' ' | 'l') | KeyCode::Right => self.choose(at),
            _ => Vec::new(),
        }
    }

    /// Looks at an image.
    pub(super) fn choose(&mut self, number: usize) -> Vec<Ask> {
        let Some(image) = self.images.get(number) else {
            return Vec::new();
        };
        if let Some(kept) = self.kept.take().filter(|kept| kept.number == number) {
            self.screen = Screen::Image(kept);
            return Vec::new();
        }
        let image = std::sync::Arc::clone(image);
        let screen = ImageScreen::new(number, std::sync::Arc::clone(&image));
        self.screen = Screen::Image(Box::new(screen));
        self.work.push(super::work::READING);
        vec![Ask::Merge(number, image)]
    }

    /// Goes back to the list of images.
    fn choose_again(&mut self) {
        if self.images.len() < 2 {
            self.say(Tone::Wrong, "the archive has no other image to choose");
            return;
        }
        let mut cursor = super::list::ListCursor::default();
        if let Some(image) = self.image() {
            cursor.at = image.number;
        }
        if let Screen::Image(image) = std::mem::replace(&mut self.screen, Screen::Choosing(cursor))
        {
            self.kept = Some(image);
        }
    }

    /// The keys of a line that is typed.
    fn prompt_key(&mut self, key: KeyEvent) -> Vec<Ask> {
        let Some(prompt) = &mut self.prompt else {
            return Vec::new();
        };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return self.leave_prompt(),
            KeyCode::Enter => return self.accept_prompt(),
            KeyCode::Char('u') if control => {
                prompt.text.clear();
                prompt.at = 0;
            }
            KeyCode::Char(_) if control => {}
            KeyCode::Char(letter) => prompt.insert(letter),
            KeyCode::Backspace => prompt.remove_before(),
            KeyCode::Delete => prompt.remove_after(),
            KeyCode::Left => prompt.go(-1),
            KeyCode::Right => prompt.go(1),
            KeyCode::Home => prompt.go(isize::MIN),
            KeyCode::End => prompt.go(isize::MAX),
            _ => {}
        }
        self.follow_prompt()
    }

    fn paste(&mut self, text: &str) -> Vec<Ask> {
        let Some(prompt) = &mut self.prompt else {
            return Vec::new();
        };
        text.chars().for_each(|letter| prompt.insert(letter));
        self.follow_prompt()
    }

    /// What is typed as a filter counts at once.
    fn follow_prompt(&mut self) -> Vec<Ask> {
        match &self.prompt {
            Some(Prompt {
                about: About::Filter(_),
                text,
                ..
            }) => {
                let text = text.clone();
                self.filter(text)
            }
            _ => Vec::new(),
        }
    }

    fn leave_prompt(&mut self) -> Vec<Ask> {
        match self.prompt.take().map(|prompt| prompt.about) {
            Some(About::Filter(before)) => self.filter(before),
            Some(About::Extract(_)) => {
                self.say(Tone::Done, "nothing was written");
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn accept_prompt(&mut self) -> Vec<Ask> {
        let Some(prompt) = self.prompt.take() else {
            return Vec::new();
        };
        match prompt.about {
            About::Filter(_) => self.filter(prompt.text),
            About::Extract(mut extraction) => {
                let timeline = self.image().and_then(|image| image.files.timeline.clone());
                let Some(timeline) = timeline else {
                    return Vec::new();
                };
                extraction.to = prompt.text.into();
                self.work.push(super::work::WRITING);
                vec![Ask::Extract(timeline, extraction)]
            }
        }
    }

    fn filter(&mut self, text: String) -> Vec<Ask> {
        let Some(image) = self.image_mut() else {
            return Vec::new();
        };
        if image.files.filter == text {
            return Vec::new();
        }
        if text.is_empty() {
            // What was found stays in sight.
            image.open_above_chosen();
        }
        image.files.filter = text;
        image.ask_rows()
    }
}

/// The movement that a key means in a list of so many lines on the screen.
fn move_of(key: KeyEvent, height: usize) -> Option<Motion> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let screen = isize::try_from(height)
        .unwrap_or(1)
        .saturating_sub(1)
        .max(1);
    Some(match key.code {
        KeyCode::Char('d') if control => Motion::Halves(1),
        KeyCode::Char('u') if control => Motion::Halves(-1),
        KeyCode::Char('f') if control => Motion::Lines(screen),
        KeyCode::Char('b') if control => Motion::Lines(-screen),
        KeyCode::Char('n') if control => Motion::Lines(1),
        KeyCode::Char('p') if control => Motion::Lines(-1),
        KeyCode::Down | KeyCode::Char('j') => Motion::Lines(1),
        KeyCode::Up | KeyCode::Char('k') => Motion::Lines(-1),
        KeyCode::PageDown => Motion::Lines(screen),
        KeyCode::PageUp => Motion::Lines(-screen),
        KeyCode::Home | KeyCode::Char('g') => Motion::First,
        KeyCode::End | KeyCode::Char('G') => Motion::Last,
        _ => return None,
    })
}
