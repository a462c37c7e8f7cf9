//! The files, at the right.

use std::fmt::Write as _;

use imgtar::report::units;
use imgtar::tree::{Body, LayerView, NodeId, Timeline};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Theme, mark, name_of, on_screen, put};
use crate::cli::browse::model::{ImageScreen, Pane};
use crate::cli::browse::rows::FileRows;

/// By how many cells a directory's names are indented, and how many levels at the most.
const STEP: usize = 2;

pub(super) fn draw(
    image: &ImageScreen,
    has_keys: bool,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let has_keys = has_keys && image.side == Pane::Files;
    put(
        buffer,
        area,
        0,
        &Line::styled(heading(image), theme.heading(has_keys)),
    );
    let (Some(rows), Some(timeline)) = (&image.files.rows, &image.files.timeline) else {
        let text = if image.failure.is_some() {
            "the layer cannot be shown"
        } else {
            "reading the layers…"
        };
        put(buffer, area, 1, &Line::styled(text, Theme::dim()));
        return;
    };
    if rows.names.is_empty() {
        let text = match (rows.filter.is_empty(), rows.view) {
            (false, _) => "nothing matches the filter; Esc removes it",
            (true, LayerView::Changes) => "the layer changes nothing; d shows everything",
            (true, LayerView::UpTo) => "there are no files",
        };
        put(buffer, area, 1, &Line::styled(text, Theme::dim()));
    }
    for (line, number) in on_screen(image.files.cursor, rows.names.len(), area) {
        let next = rows.names.get(number + 1).copied();
        let text = row(
            timeline,
            rows,
            (rows.names[number], next),
            area.width,
            theme,
        );
        put(buffer, area, line, &text);
        if number == image.files.cursor.at {
            mark(buffer, area, line, Theme::cursor(has_keys));
        }
    }
}

fn heading(image: &ImageScreen) -> String {
    let layer = image.layer();
    let mut text = match image.files.view {
        LayerView::UpTo => format!("FILES up to layer {layer}"),
        LayerView::Changes => format!("CHANGES of layer {layer}"),
    };
    if image.files.by_size {
        text.push_str(", by size");
    }
    if !image.files.filter.is_empty() {
        let found = image.files.rows.as_ref().map_or(0, |rows| rows.found);
        let filter = super::line_of(&image.files.filter);
        _ = write!(text, ", /{filter}: {found} found");
    }
    text
}

fn row<'l>(
    timeline: &Timeline,
    rows: &FileRows,
    (place, next): (NodeId, Option<NodeId>),
    width: u16,
    theme: Theme,
) -> Line<'l> {
    let shown = timeline.shown(place, rows.layer, LayerView::UpTo);
    let (letter, style) = theme.change(shown.and_then(|(_, change)| change));
    let size = rows.sizes.of(place);
    let deepest = usize::from(width) / 3 / STEP;
    let depth = timeline.depth(place).saturating_sub(1).min(deepest);
    let mut name = name_of(timeline.name(place));
    let mut target = String::new();
    let (mut marker, mut kind) = (' ', Style::new());
    let mut sized = units::size(size);
    if let Some((record, _)) = shown {
        match &timeline.inode(&record).body {
            Body::Directory => {
                kind = theme.directory();
                name.push('/');
                let is_open = next.is_some_and(|next| timeline.parent(next) == place);
                let has_names = timeline.children(place).next().is_some();
                marker = match (is_open, has_names) {
                    (true, _) => '▾',
                    (false, true) => '▸',
                    (false, false) => ' ',
                };
            }
            Body::Symlink(to) => {
                kind = theme.link();
                target = format!(" → {}", name_of(to));
                sized = String::new();
            }
            Body::File { .. } => {}
            Body::Char(..) | Body::Block(..) => {
                " (device)".clone_into(&mut target);
                sized = String::new();
            }
            Body::Fifo => {
                " (pipe)".clone_into(&mut target);
                sized = String::new();
            }
        }
        if letter != ' ' {
            kind = kind.patch(style);
        }
    }
    // A directory with something changed in it is marked, so that changes are found while it is closed.
    let below = if letter == ' ' && rows.sizes.is_touched(place) {
        '·'
    } else {
        letter
    };
    Line::from(vec![
        Span::styled(format!("{below} "), style),
        Span::raw(format!("{sized:>7} {:1$}{marker} ", "", depth * STEP)),
        Span::styled(name, kind),
        Span::styled(target, Theme::dim()),
    ])
}
