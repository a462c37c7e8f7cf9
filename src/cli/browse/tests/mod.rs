//! The browser without a terminal: every key of the help, on an archive that Docker wrote.

mod hostile;
mod keys;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use clap::Parser as _;
use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color as Colour;

use super::background::Background;
use super::model::{Ask, Browser, Pane};
use super::terminal::ask_background;
use super::view::{self, Theme};
use super::work::{self, Meter, News};
use crate::cli::args::{Color, Global};
use crate::cli::commands::Context;
use crate::cli::output::Output;

#[derive(clap::Parser)]
struct Nothing {
    #[command(flatten)]
    global: Global,
}

/// A browser, a screen that is kept in memory, and the background on this thread.
struct Stage {
    browser: Browser,
    terminal: Terminal<TestBackend>,
    background: Background,
    news: Receiver<News>,
    context: Arc<Context>,
    copied: Vec<String>,
    has_left: bool,
}

fn archive(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name)
}

impl Stage {
    fn new(name: &str, (width, height): (u16, u16)) -> Self {
        let (sender, news) = mpsc::channel();
        let global = Nothing::parse_from(["imgtar"]).global;
        let mut stage = Self {
            browser: Browser::new(name.to_owned(), (width, height)),
            terminal: Terminal::new(TestBackend::new(width, height)).expect("in memory"),
            background: Background::inline(sender),
            news,
            context: Arc::new(Context::new(&global, Output::new(Color::Never))),
            copied: Vec::new(),
            has_left: false,
        };
        let opened = work::open(
            &stage.context,
            &archive(name),
            None,
            None,
            &Meter::default(),
        );
        let asks = stage.browser.news(News::Opened(opened));
        stage.answer(asks);
        stage
    }

    fn one() -> Self {
        Self::new("engines/docker26-one.tar", (100, 24))
    }

    /// Does what the browser asks for, and what it asks for then.
    fn answer(&mut self, asks: Vec<Ask>) {
        for ask in asks {
            match ask {
                Ask::Copy(text) => self.copied.push(text),
                Ask::Quit => self.has_left = true,
                Ask::Suspend | Ask::Redraw => {}
                other => ask_background(&self.background, &self.context, &Meter::default(), other),
            }
        }
        while let Ok(news) = self.news.try_recv() {
            assert!(!matches!(news, News::Bug));
            let asks = self.browser.news(news);
            self.answer(asks);
        }
    }

    fn event(&mut self, event: &Event) {
        let asks = self.browser.event(event);
        self.answer(asks);
        // Whatever happened can be drawn.
        self.screen();
    }

    fn key(&mut self, code: KeyCode) {
        self.event(&Event::Key(KeyEvent::from(code)));
    }

    /// Types letters.
    fn press(&mut self, letters: &str) {
        letters
            .chars()
            .for_each(|letter| self.key(KeyCode::Char(letter)));
    }

    fn control(&mut self, letter: char) {
        let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        self.event(&Event::Key(key));
    }

    fn click(&mut self, column: u16, row: u16) {
        self.mouse(MouseEventKind::Down(MouseButton::Left), column, row);
    }

    fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        let modifiers = KeyModifiers::NONE;
        self.event(&Event::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers,
        }));
    }

    fn screen(&mut self) -> String {
        let theme = Theme {
            is_coloured: true,
            is_ascii: false,
        };
        let browser = &self.browser;
        self.terminal
            .draw(|frame| view::draw(browser, theme, frame))
            .expect("in memory");
        let buffer = self.terminal.backend().buffer();
        let lines = buffer.content.chunks(usize::from(buffer.area.width));
        let line = |cells: &[ratatui::buffer::Cell]| {
            let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
            line.trim_end().to_owned()
        };
        lines.map(line).collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn sees(&mut self, text: &str) {
        let screen = self.screen();
        assert!(screen.contains(text), "no `{text}`:\n{screen}");
    }

    #[track_caller]
    fn sees_no(&mut self, text: &str) {
        let screen = self.screen();
        assert!(!screen.contains(text), "`{text}`:\n{screen}");
    }

    fn layer(&self) -> usize {
        self.browser.image().expect("an image").layer()
    }

    fn pane(&self) -> Pane {
        self.browser.image().expect("an image").side
    }

    /// The path under the cursor.
    fn path(&self) -> String {
        let image = self.browser.image().expect("an image");
        let timeline = image.files.timeline.as_ref().expect("merged");
        let path = timeline.fates().path(image.chosen().expect("a row"));
        String::from_utf8(path).expect("text")
    }

    /// Goes to a path, whose directories are opened.
    fn go_to(&mut self, path: &str) {
        if self.pane() == Pane::Layers {
            self.key(KeyCode::Tab);
        }
        self.press("/");
        self.press(path);
        self.key(KeyCode::Enter);
        self.press("g");
        while self.path() != path {
            let before = self.path();
            self.press("j");
            assert_ne!(self.path(), before, "{path} is not there");
        }
        self.key(KeyCode::Esc);
        assert_eq!(self.path(), path);
    }
}

#[test]
fn the_mouse_chooses_opens_and_scrolls() {
    let mut stage = Stage::one();
    stage.click(3, 4);
    assert_eq!((stage.layer(), stage.pane()), (2, Pane::Layers));
    let files = stage.browser.areas().files;
    stage.click(files.x + 9, files.y + 3);
    assert_eq!(
        (stage.path(), stage.pane()),
        ("etc".to_owned(), Pane::Files)
    );
    stage.click(files.x + 9, files.y + 3);
    stage.sees("os-release");
    stage.mouse(MouseEventKind::ScrollDown, files.x, files.y + 1);
    stage.press("?");
    stage.click(5, 5);
    stage.mouse(MouseEventKind::ScrollDown, 5, 5);
    stage.press("q");
    stage.press("w");
    stage.click(5, 3);
    stage.key(KeyCode::Enter);
    assert_eq!(stage.path(), "lib/libx.so.1.0");
}

#[test]
fn every_size_of_the_screen_can_be_drawn() {
    for (width, height) in [
        (1, 1),
        (2, 3),
        (20, 5),
        (40, 10),
        (71, 13),
        (72, 14),
        (300, 90),
    ] {
        let mut stage = Stage::new("engines/docker26-one.tar", (width, height));
        for keys in [
            "", "\t", "jl ", "d", "s", "w", "q", "?", "q", "b", "q", "v", "q", "x",
        ] {
            for letter in keys.chars() {
                stage.key(if letter == '\t' {
                    KeyCode::Tab
                } else {
                    KeyCode::Char(letter)
                });
            }
        }
        let mut other = Stage::one();
        other.event(&Event::Resize(width, height));
    }
}

#[test]
fn changes_have_letters_and_colours_and_without_colour_letters_alone() {
    let mut stage = Stage::one();
    stage.press("]d");
    let buffer = |stage: &mut Stage, is_coloured| {
        let browser = &stage.browser;
        let theme = Theme {
            is_coloured,
            is_ascii: false,
        };
        let drawn = stage
            .terminal
            .draw(|frame| view::draw(browser, theme, frame));
        drawn.expect("in memory").buffer.clone()
    };
    let colours = |buffer: &ratatui::buffer::Buffer| {
        let cells = buffer.content.iter();
        cells.map(|cell| cell.fg).collect::<HashSet<Colour>>().len()
    };
    let coloured = buffer(&mut stage, true);
    let red = coloured
        .content
        .iter()
        .find(|cell| cell.fg == Colour::Red)
        .expect("deleted");
    assert_eq!(red.symbol(), "D");
    assert_eq!(colours(&buffer(&mut stage, false)), 1);
}

#[test]
fn our_own_signs_have_others_in_ascii() {
    let mut stage = Stage::one();
    stage.press("\t?");
    stage.key(KeyCode::Esc);
    for keys in ["", "d", "?", "qw", "qG", "v", "qb"] {
        stage.press(keys);
        let browser = &stage.browser;
        let theme = Theme {
            is_coloured: true,
            is_ascii: true,
        };
        let drawn = stage
            .terminal
            .draw(|frame| view::draw(browser, theme, frame));
        let buffer = drawn.expect("in memory").buffer.clone();
        // Names of the archive may have letters of any kind.
        let is_strange = |c: char| !c.is_ascii() && !c.is_alphabetic();
        let mut cells = buffer.content.iter();
        let strange = cells.find(|cell| cell.symbol().contains(is_strange));
        assert!(strange.is_none(), "{keys}: {strange:?}");
    }
}

#[test]
fn a_layer_that_cannot_be_read_is_named_and_those_below_it_are_shown() {
    // The crate as it is published has not all archives.
    if !archive("broken/layer-gzip-damaged.tar").exists() {
        return;
    }
    let mut stage = Stage::new("broken/layer-gzip-damaged.tar", (100, 24));
    let image = stage.browser.image().expect("an image");
    let failure = image.failure.as_ref().expect("it is broken").to_string();
    assert!(failure.contains("layer "), "{failure}");
    stage.sees("LAYER");
    stage.press("jjjjG");
    stage.screen();
}

#[test]
fn nothing_of_an_archive_acts_on_the_terminal() {
    let failure = crate::cli::error::Failure::input("a\u{1b}[31mb").hint("none");
    let mut stage = Stage::one();
    stage.browser.fail(&failure);
    stage.sees("a\\x1b[31mb");
    stage.press("q");
    stage.press("/");
    stage.event(&Event::Paste("e\u{1b}]t\u{202e}c".to_owned()));
    stage.sees("/e]tc");
}

/// What comes late, or of another image, changes nothing that is shown.
#[test]
fn late_news_are_of_no_consequence() {
    let mut stage = Stage::new("engines/docker20-multi.tar", (80, 24));
    stage.key(KeyCode::Enter);
    let before = stage.screen();
    let asks = stage.browser.news(News::Measured(1, Vec::new()));
    stage.answer(asks);
    let asks = stage.browser.news(News::Hidden(7, Vec::new()));
    stage.answer(asks);
    assert_eq!(stage.screen(), before);
    // One question at a time: what is wanted in the meantime is asked for afterwards.
    let image = stage.browser.image_mut().expect("one");
    let first = image.ask_rows();
    assert_eq!((first.len(), image.ask_rows().len()), (1, 0));
    stage.answer(first);
    assert!(!stage.browser.image().expect("one").files.asked);
}
