//! Draws the browser. Only lines that are on the screen are computed.

pub(crate) mod areas;
mod details;
mod files;
mod layers;
mod popup;
mod theme;

use std::fmt::Write as _;

use imgtar::base::escape;
use imgtar::report::{self, units};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

pub(crate) use theme::Theme;

use super::list::ListCursor;
use super::model::{About, Browser, ImageScreen, Pane, Popup, Prompt, Screen, Tone};

/// How many characters of a text of the archive are looked at for one line; no screen is as wide.
const LINE: usize = 2000;

/// Draws the browser.
pub(crate) fn draw(browser: &Browser, theme: Theme, frame: &mut Frame<'_>) {
    // The screen may have changed its size a moment before the browser hears of it.
    let screen = (frame.area().width, frame.area().height);
    let side = browser.image().map_or(Pane::Layers, |image| image.side);
    let areas = areas::Areas::of(screen, side);
    let buffer = frame.buffer_mut();
    title(browser, theme, areas.title, buffer);
    match &browser.screen {
        Screen::Opening => {}
        Screen::Choosing(cursor) => choice(browser, *cursor, theme, areas.middle, buffer),
        Screen::Image(image) => {
            let has_keys = browser.popup.is_none() && browser.prompt.is_none();
            layers::draw(image, has_keys, theme, areas.layers, buffer);
            files::draw(image, has_keys, theme, areas.files, buffer);
            if !areas.layers.is_empty() && !areas.files.is_empty() {
                for y in areas.files.top()..areas.files.bottom() {
                    buffer.set_string(areas.layers.right(), y, "│", Theme::dim());
                }
            }
            details::draw(image, theme, areas.details, buffer);
        }
    }
    if let Some(popup) = &browser.popup {
        popup::draw(browser, popup, theme, areas.middle, buffer);
    }
    let cursor = status(browser, theme, areas.status, buffer);
    if theme.is_ascii {
        in_ascii(buffer);
    }
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// Draws our own signs in ASCII. Names that hold the same ones could not be shown there either.
fn in_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let plain = match cell.symbol() {
            "│" => "|",
            "▾" => "-",
            "▸" => "+",
            "→" | "›" => ">",
            "←" => "<",
            "↑" => "^",
            "↓" => "v",
            "·" => ".",
            "…" => "~",
            _ => continue,
        };
        cell.set_symbol(plain);
    }
}

/// Text of an archive in one line, escaped.
fn line_of(text: &str) -> String {
    let short = text
        .char_indices()
        .nth(LINE)
        .map_or(text, |(at, _)| &text[..at]);
    let words: Vec<&str> = short.split_whitespace().collect();
    escape::text(&words.join(" ")).into_owned()
}

/// A name of an archive, escaped.
fn name_of(name: &[u8]) -> String {
    escape::name(&name[..name.len().min(LINE)]).to_string()
}

/// A build step in one line, without what builders write around it.
fn step(image: &ImageScreen, layer: usize) -> String {
    let pairing = image.image.pairing();
    let Some(entry) = pairing.maker_of(layer) else {
        return String::new();
    };
    line_of(&report::step(entry, LINE))
}

/// The end of a text that has no room, with a mark before it.
fn tail(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut width = 0;
    let fits = text.char_indices().rev().take_while(|(_, letter)| {
        width += letter.to_string().width();
        width < room
    });
    let from = fits.last().map_or(text.len(), |(at, _)| at);
    format!("…{}", &text[from..])
}

/// Writes a line, cut at the end of its area.
fn put(buffer: &mut Buffer, area: Rect, line: u16, text: &Line<'_>) {
    if line < area.height {
        buffer.set_line(area.x, area.y + line, text, area.width);
    }
}

/// Marks the line under the cursor.
fn mark(buffer: &mut Buffer, area: Rect, line: u16, style: Style) {
    if line < area.height {
        buffer.set_style(Rect::new(area.x, area.y + line, area.width, 1), style);
    }
}

/// The lines of a list below its heading, as many as are on the screen.
fn on_screen(cursor: ListCursor, len: usize, area: Rect) -> impl Iterator<Item = (u16, usize)> {
    (1..area.height).zip(cursor.top..len)
}

fn title(browser: &Browser, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut text = format!("imgtar: {}", browser.archive);
    if let Some(image) = browser.image() {
        _ = write!(text, " › {}", line_of(&image.image.display_name()));
        if browser.images.len() > 1 {
            _ = write!(text, " ({})", line_of(&image.image.platform.to_string()));
        }
    }
    let work = browser.work.last().map_or_else(String::new, |work| {
        let (done, total) = browser.progress;
        match total {
            0 => format!("{work}…"),
            _ => format!("{work} {} %", done.min(total).saturating_mul(100) / total),
        }
    });
    let room = usize::from(area.width).saturating_sub(work.width() + 2);
    put(
        buffer,
        area,
        0,
        &Line::styled(tail(&text, room), Style::new().add_modifier(Modifier::BOLD)),
    );
    let width = u16::try_from(work.width()).unwrap_or(0).min(area.width);
    let right = Rect::new(area.right() - width, area.y, width, area.height);
    put(buffer, right, 0, &Line::styled(work, theme.warning()));
}

/// The images to choose from.
fn choice(browser: &Browser, cursor: ListCursor, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let count = units::count(browser.images.len(), "image", "images");
    let heading = format!("{count}: Enter opens one");
    put(buffer, area, 0, &Line::styled(heading, theme.heading(true)));
    for (line, number) in on_screen(cursor, browser.images.len(), area) {
        let image = &browser.images[number];
        let layers = units::count(image.layers.len(), "layer", "layers");
        let text = format!(
            "@{number:<3} {}  {}  {layers}",
            line_of(&image.display_name()),
            line_of(&image.platform.to_string()),
        );
        put(buffer, area, line, &Line::raw(text));
        if number == cursor.at {
            mark(buffer, area, line, Theme::cursor(true));
        }
    }
}

/// The line at the bottom; where a letter that is typed goes.
fn status(browser: &Browser, theme: Theme, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    if let Some(prompt) = &browser.prompt {
        return Some(prompt_line(prompt, theme, area, buffer));
    }
    if let Some((tone, text)) = &browser.message {
        let style = match tone {
            Tone::Done => theme.good(),
            Tone::Wrong => theme.error(),
        };
        put(buffer, area, 0, &Line::styled(line_of(text), style));
        return None;
    }
    let failure = browser.image().and_then(|image| image.failure.as_ref());
    if browser.popup.is_none()
        && let Some(failure) = failure
    {
        put(
            buffer,
            area,
            0,
            &Line::styled(line_of(&failure.to_string()), theme.error()),
        );
        return None;
    }
    let keys = match (&browser.popup, &browser.screen) {
        (Some(Popup::File(file)), _) if file.is_hex => "q back  v text  ↑↓ PgUp PgDn g G",
        (Some(Popup::File(_)), _) => "q back  v hex  ←→ ↑↓ PgUp PgDn g G",
        (Some(Popup::Waste(_) | Popup::Blame(..)), _) => "q back  Enter go to the layer",
        (Some(Popup::Help(_) | Popup::Failure(_)), _) => "q back",
        (None, Screen::Opening) => "q quit",
        (None, Screen::Choosing(_)) => "Enter open  ? help  q quit",
        (None, Screen::Image(_)) => {
            "? help  q quit  Tab side  / filter  d changes  s size  w waste  b blame  v view  x extract  y copy"
        }
    };
    let mut spans = Vec::new();
    for hint in keys.split("  ") {
        let (key, does) = hint.split_once(' ').unwrap_or((hint, ""));
        spans.push(Span::styled(key, Style::new().add_modifier(Modifier::BOLD)));
        spans.push(Span::styled(format!(" {does}  "), Theme::dim()));
    }
    if browser.problems > 0 && browser.popup.is_none() {
        let problems = units::count(browser.problems, "problem", "problems");
        spans.insert(
            0,
            Span::styled(format!("{problems}: imgtar verify  "), theme.warning()),
        );
    }
    put(buffer, area, 0, &Line::from(spans));
    None
}

fn prompt_line(prompt: &Prompt, theme: Theme, area: Rect, buffer: &mut Buffer) -> Position {
    let label = match &prompt.about {
        About::Filter(_) => "/",
        About::Extract(extraction) if extraction.is_directory => "write a tar to: ",
        About::Extract(_) => "write the file to: ",
    };
    let before: String = prompt.text.chars().take(prompt.at).collect();
    let room = usize::from(area.width).saturating_sub(label.len() + 1);
    // What is left of the cursor stays in sight.
    let left = tail(&before, room);
    let after: String = prompt.text.chars().skip(prompt.at).collect();
    let line = Line::from(vec![
        Span::styled(label, theme.heading(true)),
        Span::raw(escape::text(&left).into_owned()),
        Span::raw(escape::text(&after).into_owned()),
    ]);
    put(buffer, area, 0, &line);
    let x = u16::try_from(label.len() + left.width()).unwrap_or(u16::MAX);
    Position::new(
        area.x.saturating_add(x).min(area.right().saturating_sub(1)),
        area.y,
    )
}
