//! Where the bytes are, as a squarified tree map in SVG.
//!
//! It is drawn twice, for wide and for narrow screens; the style sheet shows one. All places are rounded to tenths,
//! so that the page is the same wherever it is made.

use std::fmt::Write as _;

use imgtar::base::escape;
use imgtar::report::{FileMapKind, FileMapNode, ReportImage, units};
use maud::{Markup, html};
use streemap::Rect;

use super::layers;
use super::words::{count, grouped, path, size};
use crate::cli::render::cut;

/// How many of the largest files stand below the map.
const LARGEST: usize = 15;

/// How high the name of a directory is, in units of the drawing.
const TITLE: f64 = 16.0;

/// What lies between a directory and what is in it.
const GAP: f64 = 2.0;

/// About how wide a character is.
const CHARACTER: f64 = 6.1;

/// The longest path in a tooltip, in characters.
const LONGEST: usize = 200;

/// The drawing for one kind of screen.
struct Canvas {
    class: &'static str,
    width: f64,
    height: f64,
    /// What is smaller than this is not drawn, in square units.
    smallest: f64,
}

const WIDE: Canvas = Canvas {
    class: "map wide",
    width: 1180.0,
    height: 620.0,
    smallest: 40.0,
};
const NARROW: Canvas = Canvas {
    class: "map narrow",
    width: 380.0,
    height: 460.0,
    smallest: 400.0,
};

/// The map of an image, and its largest files.
pub(super) fn section(number: usize, image: &ReportImage) -> Markup {
    let Some(files) = &image.files else {
        return html! {};
    };
    let root = &files.root;
    if root.bytes == 0 {
        return html! {};
    }
    html! {
        h3 id={ "files-" (number) } { "Files" }
        p.muted {
            "The files that a container sees, by size; the colour shows which layer a file comes from. "
            (size(root.bytes)) " in " (grouped(root.files)) " files."
        }
        (draw(root, &WIDE, number))
        (draw(root, &NARROW, number))
        (largest(root))
    }
}

fn draw(root: &FileMapNode, canvas: &Canvas, number: usize) -> Markup {
    let whole = Rect {
        x: 0.0,
        y: 0.0,
        w: canvas.width,
        h: canvas.height,
    };
    html! {
        svg class=(canvas.class) viewBox={ "0 0 " (tenths(canvas.width)) " " (tenths(canvas.height)) }
            role="img" aria-labelledby={ "files-" (number) } {
            (children(root, whole, "", canvas))
        }
    }
}

/// What is in a directory, in a stretch of the drawing.
fn children(directory: &FileMapNode, place: Rect<f64>, above: &str, canvas: &Canvas) -> Markup {
    let mut items: Vec<(&FileMapNode, Rect<f64>)> = directory
        .children
        .iter()
        .filter(|child| child.bytes > 0)
        .map(|child| (child, place))
        .collect();
    streemap::squarify(
        place,
        &mut items,
        |(child, _)| as_number(child.bytes),
        |(_, its), rect| *its = rect,
    );
    html! {
        @for (child, rect) in items.iter().filter(|(_, rect)| rect.w * rect.h >= canvas.smallest) {
            (node(child, *rect, above, canvas))
        }
    }
}

fn node(node: &FileMapNode, rect: Rect<f64>, above: &str, canvas: &Canvas) -> Markup {
    let name = match node.kind {
        FileMapKind::Rest => format!("… {}", smaller(node.files)),
        _ => escape::name(&node.name.0).to_string(),
    };
    let whole = format!("{above}/{name}");
    let has_room = rect.w >= 44.0 && rect.h >= TITLE + 14.0;
    let class = match (node.kind, node.layer) {
        (FileMapKind::File, Some(layer)) => layers::class(layer),
        (FileMapKind::Rest, _) => "rest".to_owned(),
        _ => "dir".to_owned(),
    };
    html! {
        g {
            title { (tooltip(node, &whole)) }
            rect class=(class) x=(tenths(rect.x)) y=(tenths(rect.y)) width=(tenths(rect.w)) height=(tenths(rect.h)) {}
            (label(node, &name, rect))
        }
        @if node.kind == FileMapKind::Dir && has_room {
            (children(node, inside(rect), &whole, canvas))
        }
    }
}

/// The room of a directory below its name.
fn inside(rect: Rect<f64>) -> Rect<f64> {
    Rect {
        x: rect.x + GAP,
        y: rect.y + TITLE,
        w: (rect.w - 2.0 * GAP).max(0.0),
        h: (rect.h - TITLE - GAP).max(0.0),
    }
}

/// Name and size, as far as there is room.
fn label(node: &FileMapNode, name: &str, rect: Rect<f64>) -> Markup {
    let room = letters(rect.w - 8.0);
    if rect.h < 14.0 || room < 4 {
        return html! {};
    }
    let size = units::size_spaced(node.bytes);
    let both = format!("{name}  {size}");
    let in_one = node.kind == FileMapKind::Dir || rect.h < 28.0;
    let (first, second) = if in_one && both.chars().count() <= room {
        (both, None)
    } else {
        // A number that is cut is worse than none.
        let is_cut = node.kind == FileMapKind::Rest && name.chars().count() > room;
        let first = if is_cut { "…" } else { name };
        let second = Some(size).filter(|size| !in_one && size.len() <= room);
        (first.to_owned(), second)
    };
    let (x, y) = (tenths(rect.x + 4.0), rect.y + 12.0);
    html! {
        text x=(x) y=(tenths(y)) { (cut(&first, room, "…")) }
        @if let Some(second) = second { text x=(x) y=(tenths(y + 13.0)) { (second) } }
    }
}

fn smaller(files: u64) -> String {
    count(
        usize::try_from(files).unwrap_or(usize::MAX),
        "smaller file",
        "smaller files",
    )
}

fn tooltip(node: &FileMapNode, whole: &str) -> String {
    let mut text = shortened(whole);
    _ = write!(text, " – {}", units::size_spaced(node.bytes));
    match (node.kind, node.layer) {
        (FileMapKind::File, Some(layer)) => _ = write!(text, ", layer {layer}"),
        (FileMapKind::Dir, _) => _ = write!(text, ", {} files", grouped(node.files)),
        _ => {}
    }
    text
}

/// A path that is not too long for a tooltip: its end tells more than its beginning.
fn shortened(path: &str) -> String {
    let long = path.chars().count();
    if long <= LONGEST {
        return path.to_owned();
    }
    let end: String = path.chars().skip(long - LONGEST).collect();
    format!("…{end}")
}

/// How many characters fit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a drawing is a thousand units wide"
)]
fn letters(width: f64) -> usize {
    (width / CHARACTER).max(0.0) as usize
}

#[expect(clippy::cast_precision_loss, reason = "a drawing has a thousand steps")]
fn as_number(bytes: u64) -> f64 {
    bytes as f64
}

/// A length with at most one digit behind the point.
fn tenths(length: f64) -> String {
    let text = format!("{length:.1}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// The largest files as a table, for those who do not see the drawing.
fn largest(root: &FileMapNode) -> Markup {
    let mut files = Vec::new();
    gather(root, &mut Vec::new(), &mut files);
    files.sort_by(|a, b| (b.1, &a.0.0).cmp(&(a.1, &b.0.0)));
    files.truncate(LARGEST);
    html! {
        @if !files.is_empty() {
            details {
                summary { "The largest files" }
                div.scroll tabindex="0" role="region" aria-label="The largest files" {
                    table {
                        thead { tr { th.num { "Size" } th { "Layer" } th { "Path" } } }
                        tbody {
                            @for (name, bytes, layer) in &files {
                                tr {
                                    td.num { (size(*bytes)) }
                                    td.nowrap { (layers::swatch(*layer)) (layer) }
                                    td.wide.line { (path(name)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

type LargeFile = (imgtar::report::Text, u64, usize);

/// Adds the files in a directory and below, with their paths.
fn gather(directory: &FileMapNode, path: &mut Vec<u8>, files: &mut Vec<LargeFile>) {
    for child in &directory.children {
        let before = path.len();
        if before > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&child.name.0);
        match child.layer {
            Some(layer) => files.push((imgtar::report::Text(path.clone()), child.bytes, layer)),
            None => gather(child, path, files),
        }
        path.truncate(before);
    }
}
