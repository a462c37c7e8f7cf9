//! The browser without a terminal: every key of the help, on an archive that Docker wrote.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use clap::Parser as _;
use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use imgtar::tree::LayerView;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color as Colour;

use super::background::Background;
use super::keys::KEYS;
use super::model::{Ask, Browser, Pane, Popup, Screen};
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
        let theme = Theme { is_coloured: true };
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

/// Where the clicks of people go has its own test; keys are tried here, each by all of its names.
#[test]
fn every_key_of_the_help_does_what_it_says() {
    for help in &KEYS {
        try_key(help.keys);
    }
    let keys: BTreeSet<&str> = KEYS.iter().map(|help| help.keys).collect();
    assert_eq!(keys.len(), KEYS.len());
}

fn try_key(keys: &str) {
    let mut stage = Stage::one();
    match keys {
        "Tab" => {
            assert_eq!(stage.pane(), Pane::Layers);
            stage.key(KeyCode::Tab);
            assert_eq!(stage.pane(), Pane::Files);
            stage.key(KeyCode::BackTab);
            assert_eq!(stage.pane(), Pane::Layers);
        }
        "↑ ↓ j k" => {
            stage.press("jj");
            stage.key(KeyCode::Down);
            assert_eq!(stage.layer(), 3);
            stage.press("k");
            stage.key(KeyCode::Up);
            assert_eq!(stage.layer(), 1);
            stage.sees("FILES up to layer 1");
        }
        "← h" => {
            stage.go_to("etc/app");
            stage.press("l");
            stage.sees("▸ conf.d");
            stage.press("h");
            stage.sees_no("▸ conf.d");
            stage.key(KeyCode::Left);
            assert_eq!(stage.path(), "etc");
            stage.key(KeyCode::Left);
            assert_eq!(stage.pane(), Pane::Files);
            stage.press("h");
            assert_eq!(stage.pane(), Pane::Layers);
        }
        "→ l" => {
            stage.press("l");
            assert_eq!(stage.pane(), Pane::Files);
            stage.key(KeyCode::Right);
            stage.press("l");
            assert!(stage.path().starts_with("bin/"), "{}", stage.path());
        }
        "g G Home End" => {
            stage.key(KeyCode::Tab);
            stage.press("G");
            assert_eq!(stage.path(), "var");
            stage.press("g");
            assert_eq!(stage.path(), "bin");
            stage.key(KeyCode::End);
            assert_eq!(stage.path(), "var");
            stage.key(KeyCode::Home);
            assert_eq!(stage.path(), "bin");
        }
        "PgUp PgDn" => {
            stage = Stage::new("engines/docker26-one.tar", (100, 13));
            stage.key(KeyCode::Tab);
            stage.key(KeyCode::PageDown);
            assert_eq!(stage.path(), "sys");
            stage.key(KeyCode::PageUp);
            assert_eq!(stage.path(), "bin");
            stage.control('d');
            assert_eq!(stage.path(), "mnt");
            stage.control('u');
            assert_eq!(stage.path(), "bin");
            stage.control('f');
            stage.control('b');
            assert_eq!(stage.path(), "bin");
        }
        "[ ]" => {
            stage.key(KeyCode::Tab);
            stage.press("]]");
            assert_eq!((stage.layer(), stage.pane()), (2, Pane::Files));
            stage.press("[");
            assert_eq!(stage.layer(), 1);
        }
        "Enter" => {
            stage.go_to("etc");
            stage.key(KeyCode::Enter);
            stage.sees("os-release");
            stage.go_to("etc/os-release");
            stage.key(KeyCode::Enter);
            stage.sees("NAME=");
        }
        "Space" => {
            stage.go_to("etc");
            stage.press(" ");
            stage.sees("os-release");
            stage.press(" ");
            stage.sees_no("os-release");
        }
        "*" => {
            stage = Stage::new("engines/docker26-one.tar", (100, 60));
            stage.go_to("usr");
            stage.press("*");
            stage.sees("a-directory-with-a-long-name-3");
            stage.press("*");
            stage.sees_no("a-directory-with");
            stage.press(" ");
            stage.sees_no("a-directory-with-a-long-name-1");
        }
        "/" => try_filter(&mut stage),
        "d" => {
            stage.press("]d");
            assert_eq!(
                stage.browser.image().expect("one").files.view,
                LayerView::Changes
            );
            stage.sees("CHANGES of layer 1");
            stage.sees("D    700B");
            stage.sees_no("proc/");
            stage.press("d");
            stage.sees("FILES up to layer 1");
            stage.sees("proc/");
        }
        "s" => {
            stage.key(KeyCode::Tab);
            stage.press("s");
            stage.press("g");
            assert_eq!(stage.path(), "var");
            stage.sees("by size");
            stage.press("sg");
            assert_eq!(stage.path(), "bin");
        }
        "w" => {
            stage.press("w");
            stage.sees("WASTE 4.53kB of 8.77kB");
            stage.press("j");
            stage.key(KeyCode::Enter);
            assert_eq!(stage.path(), "lib/libx.so.1.0");
            assert_eq!((stage.layer(), stage.pane()), (0, Pane::Files));
            stage.sees("deleted by layer 7");
        }
        "b" => {
            stage.go_to("var/lib/data");
            stage.press("b");
            stage.sees("changed: content, size, time");
            stage.press("j");
            stage.key(KeyCode::Enter);
            assert_eq!(
                (stage.layer(), stage.path()),
                (1, "var/lib/data".to_owned())
            );
        }
        "v" => try_view(&mut stage),
        "x" => try_extraction(&mut stage),
        "y" => {
            stage.press("y");
            stage.go_to("etc/os-release");
            stage.press("y");
            assert!(stage.copied[0].starts_with("sha256:"));
            assert_eq!(stage.copied[1], "etc/os-release");
            stage.sees("copied: etc/os-release");
        }
        "i" => {
            stage.press("i");
            stage.sees("no other image");
            let mut stage = Stage::new("engines/docker20-multi.tar", (80, 24));
            assert!(matches!(stage.browser.screen, Screen::Choosing(_)));
            stage.press("j");
            stage.key(KeyCode::Enter);
            stage.sees("LAYER");
            stage.press("i");
            assert!(matches!(&stage.browser.screen, Screen::Choosing(cursor) if cursor.at == 1));
            stage.key(KeyCode::Enter);
            stage.sees("FILES up to layer 0");
        }
        "?" => {
            stage.press("?");
            stage.sees("KEYS");
            stage.press("q");
            assert!(stage.browser.popup.is_none() && !stage.has_left);
        }
        "q" => {
            stage.press("?");
            stage.key(KeyCode::Esc);
            assert!(!stage.has_left);
            stage.press("q");
            assert!(stage.has_left);
            let mut stage = Stage::one();
            stage.control('c');
            assert!(stage.has_left);
        }
        other => panic!("{other} is not tried"),
    }
}

fn try_filter(stage: &mut Stage) {
    stage.press("/OS-");
    stage.sees("nothing fits the filter");
    stage.key(KeyCode::Esc);
    stage.press("/os-");
    stage.sees("/os-: 1 found");
    stage.sees("os-release");
    stage.sees_no("proc/");
    stage.key(KeyCode::Backspace);
    stage.key(KeyCode::Enter);
    stage.sees("/os: 1 found");
    stage.press("/");
    stage.control('u');
    stage.press("etc/*.conf");
    stage.sees("0 found");
    stage.key(KeyCode::Esc);
    stage.sees("/os: 1 found");
    stage.press("G");
    stage.key(KeyCode::Esc);
    assert_eq!(stage.path(), "etc/os-release");
    stage.sees("proc/");
}

fn try_view(stage: &mut Stage) {
    stage.press("v");
    stage.sees("that is for files");
    stage.key(KeyCode::Tab);
    stage.press("v");
    stage.sees("a directory");
    stage.go_to("etc/os-release");
    stage.press("v");
    stage.sees("NAME=");
    stage.press("v");
    stage.sees("00000000  ");
    stage.key(KeyCode::Tab);
    stage.press("l");
    stage.sees_no("00000000");
    stage.press("hjkgGq");
    assert!(stage.browser.popup.is_none());
    stage.go_to("usr/lib64");
    stage.press("v");
    stage.sees("a symbolic link to");
}

fn try_extraction(stage: &mut Stage) {
    let directory = tempfile::tempdir().expect("a directory");
    stage.go_to("etc/os-release");
    stage.press("x");
    stage.sees("write the file to: os-release");
    stage.key(KeyCode::Esc);
    stage.sees("nothing was written");
    let write = |stage: &mut Stage, name: &str| {
        let to = directory.path().join(name);
        stage.press("x");
        stage.control('u');
        stage.event(&Event::Paste(to.display().to_string()));
        stage.key(KeyCode::Enter);
        to
    };
    let file = write(stage, "file");
    stage.sees("written");
    let text = std::fs::read_to_string(&file).expect("it was written");
    assert!(text.contains("NAME="));
    // Nothing is written over.
    write(stage, "file");
    assert!(
        matches!(&stage.browser.popup, Some(Popup::Failure(lines)) if lines[0].contains("already exists"))
    );
    stage.key(KeyCode::Esc);
    // A directory as it was before a layer deleted it.
    stage.press("]");
    stage.go_to("opt/gone");
    stage.sees("was from layer 0");
    let tar = write(stage, "gone.tar");
    let mut tar = tar::Archive::new(std::fs::File::open(&tar).expect("it was written"));
    let entries = tar.entries().expect("a tar");
    let names = entries.map(|entry| {
        entry
            .expect("one")
            .path()
            .expect("one")
            .display()
            .to_string()
    });
    let names: Vec<String> = names.collect();
    assert_eq!(
        names,
        [
            "opt/",
            "opt/gone/",
            "opt/gone/a",
            "opt/gone/below/",
            "opt/gone/below/b"
        ]
    );
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
        let theme = Theme { is_coloured };
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
