//! What lies on top: help, waste, blame, a file, a failure.

use imgtar::base::escape;
use imgtar::report::{BlameAction, BlamePath, WasteGroup, units};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::details::wrapped;
use super::{Theme, mark, name_of, on_screen, put, step, tail};
use crate::cli::browse::keys::KEYS;
use crate::cli::browse::list::ListCursor;
use crate::cli::browse::model::{Browser, FileScreen, Popup};
use crate::cli::browse::work::{COMPARING, VIEWED};
use crate::cli::render;

pub(super) fn draw(
    browser: &Browser,
    popup: &Popup,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    Clear.render(area, buffer);
    match popup {
        Popup::Help(cursor) => help(*cursor, theme, area, buffer),
        Popup::Waste(cursor) => waste(browser, *cursor, theme, area, buffer),
        Popup::Blame(cursor, path) => blame(browser, *cursor, path, theme, area, buffer),
        Popup::File(file) => self::file(file, theme, area, buffer),
        Popup::Failure(lines) => failure(lines, theme, area, buffer),
    }
}

fn help(cursor: ListCursor, theme: Theme, area: Rect, buffer: &mut Buffer) {
    put(buffer, area, 0, &Line::styled("KEYS", theme.heading(true)));
    for (line, number) in on_screen(cursor, KEYS.len(), area) {
        let key = &KEYS[number];
        let spans = vec![
            Span::styled(
                format!("{:<14}", key.keys),
                Style::new().add_modifier(Modifier::BOLD),
            ),
            Span::raw(key.does),
        ];
        put(buffer, area, line, &Line::from(spans));
    }
}

fn waste(browser: &Browser, cursor: ListCursor, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let Some(image) = browser.image() else { return };
    let Some(report) = &image.wasted else {
        let text = if browser.work.contains(&COMPARING) {
            "WASTE: files are being compared…"
        } else {
            "WASTE: cannot be computed"
        };
        put(buffer, area, 0, &Line::styled(text, theme.heading(true)));
        return;
    };
    let heading = format!(
        "WASTE {} of {} ({:.1} %); {} are stored twice",
        units::size(report.wasted),
        units::size(report.stored),
        report.percent(),
        units::size(report.duplicated),
    );
    put(buffer, area, 0, &Line::styled(heading, theme.heading(true)));
    if report.groups.is_empty() {
        put(
            buffer,
            area,
            1,
            &Line::styled("every stored byte is visible", Theme::dim()),
        );
    }
    for (line, number) in on_screen(cursor, report.groups.len(), area) {
        put(
            buffer,
            area,
            line,
            &group(&report.groups[number], area.width, theme),
        );
        if number == cursor.at {
            mark(buffer, area, line, Theme::cursor(true));
        }
    }
}

fn group<'l>(group: &WasteGroup, width: u16, theme: Theme) -> Line<'l> {
    let layers = match group.by_layer {
        Some(by) => format!("{}→{by}", group.layer),
        None => group.layer.to_string(),
    };
    let start = format!(
        "{:>8} {layers:>6} {:<10} ",
        units::size(group.bytes),
        group.cause.word()
    );
    let mut path = escape::name(&group.path.0).to_string();
    if path.is_empty() {
        path.push('.');
    }
    if group.files > 1 {
        path = format!("{path}/ ({} files)", group.files);
    }
    if let Some(of) = &group.of {
        path = format!("{path} = {}", name_of(&of.0));
    }
    let room = usize::from(width).saturating_sub(start.chars().count());
    Line::from(vec![
        Span::styled(start, theme.warning()),
        Span::raw(tail(&path, room)),
    ])
}

fn blame(
    browser: &Browser,
    cursor: ListCursor,
    path: &BlamePath,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let Some(image) = browser.image() else { return };
    let gone = if path.live {
        ""
    } else {
        " (no longer in the image)"
    };
    let shown = escape::name(&path.path.0).to_string();
    let room = usize::from(area.width).saturating_sub(6 + gone.len());
    let heading = format!("BLAME {}{gone}", tail(&shown, room));
    put(buffer, area, 0, &Line::styled(heading, theme.heading(true)));
    for (line, number) in on_screen(cursor, path.steps.len(), area) {
        let of = &path.steps[number];
        let style = match of.action {
            BlameAction::Added | BlameAction::Linked => theme.good(),
            BlameAction::Changed => theme.warning(),
            BlameAction::Deleted => theme.error(),
        };
        let size = of.size.map_or_else(String::new, units::size);
        let spans = vec![
            Span::raw(format!("{:>5} {size:>8}  ", of.layer)),
            Span::styled(render::blame_action(of), style),
            Span::styled(format!("  {}", step(image, of.layer)), Theme::dim()),
        ];
        put(buffer, area, line, &Line::from(spans));
        if number == cursor.at {
            mark(buffer, area, line, Theme::cursor(true));
        }
    }
}

fn file(file: &FileScreen, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let held = file.file.bytes.len() as u64;
    let size = units::size_spaced(file.file.size);
    let size = if held < file.file.size {
        format!(
            "the first {} of {size}",
            units::size_spaced(held.min(VIEWED))
        )
    } else {
        size
    };
    let path = escape::name(&file.file.path).to_string();
    let room = usize::from(area.width).saturating_sub(size.len() + 2);
    let heading = format!("{}  {size}", tail(&path, room));
    put(buffer, area, 0, &Line::styled(heading, theme.heading(true)));
    if file.file.bytes.is_empty() {
        put(
            buffer,
            area,
            1,
            &Line::styled("the file is empty", Theme::dim()),
        );
    }
    for (line, number) in (1..area.height).zip(file.top..file.len()) {
        let text = if file.is_hex {
            hex(&file.file.bytes, number * FileScreen::HEX, area.width)
        } else {
            text_line(file.line(number), file.left, usize::from(area.width))
        };
        put(buffer, area, line, &Line::raw(text));
    }
}

/// A line of a text from some cell on, escaped.
fn text_line(line: &[u8], left: usize, width: usize) -> String {
    const TAB: usize = 8;
    // A character has at most four bytes, and a cell no more than a few characters.
    let most = (left + width + TAB) * 4;
    let line = String::from_utf8_lossy(&line[..line.len().min(most)]);
    let mut text = String::new();
    let mut cells = 0;
    for letter in line.chars() {
        if letter == '\t' {
            let tab = TAB - cells % TAB;
            text.extend(std::iter::repeat_n(' ', tab));
            cells += tab;
        } else {
            text.push(letter);
            cells += 1;
        }
    }
    let shown: String = text.chars().skip(left).collect();
    escape::text(&shown).into_owned()
}

/// A line of bytes: where they are, in hex and as ASCII; fewer of them where the screen is narrow.
fn hex(bytes: &[u8], at: usize, width: u16) -> String {
    use std::fmt::Write as _;
    let end = bytes.len().min(at + FileScreen::HEX);
    let line = &bytes[at.min(end)..end];
    let mut text = format!("{at:08x} ");
    // Sixteen bytes take three cells each, and one more for their letter.
    let with_letters = width >= 76;
    for (i, byte) in line.iter().enumerate() {
        let gap = if i == FileScreen::HEX / 2 && with_letters {
            " "
        } else {
            ""
        };
        // Nothing fails to be written to memory.
        _ = write!(text, "{gap} {byte:02x}");
    }
    if with_letters {
        let hole =
            3 * (FileScreen::HEX - line.len()) + usize::from(line.len() <= FileScreen::HEX / 2);
        text.extend(std::iter::repeat_n(' ', hole + 2));
        let letter = |byte: &u8| {
            if (b' '..=b'~').contains(byte) {
                char::from(*byte)
            } else {
                '.'
            }
        };
        text.extend(line.iter().map(letter));
    }
    text
}

fn failure(lines: &[String], theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut at = 0;
    for (i, text) in lines.iter().enumerate() {
        let style = if i == 0 { theme.error() } else { Style::new() };
        for part in wrapped(text, usize::from(area.width)) {
            put(buffer, area, at, &Line::styled(part, style));
            at += 1;
        }
    }
}
