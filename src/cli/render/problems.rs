//! Problems in several lines: what, where, claimed against computed.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use imgtar::problem::Severity;
use imgtar::report::{ProblemRow, Text};

use crate::cli::output::escaped;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes one problem, each line behind `indent`.
pub(super) fn problem(out: &mut String, row: &ProblemRow, indent: &str) {
    let (style, label) = match row.severity {
        Severity::Error => (ERROR, "error"),
        Severity::Warning => (WARNING, "warning"),
    };
    _ = writeln!(
        out,
        "{indent}{style}{label}{style:#} {}: {}",
        row.code,
        escaped(&row.message)
    );
    if let Some(claimed) = &row.claimed {
        _ = writeln!(out, "{indent}  claimed  {}", escaped(claimed));
    }
    if let Some(computed) = &row.computed {
        _ = writeln!(out, "{indent}  computed {}", escaped(computed));
    }
    let place = place(row);
    if !place.is_empty() {
        _ = writeln!(out, "{indent}  at {place}");
    }
}

fn place(row: &ProblemRow) -> String {
    let mut parts = Vec::new();
    if let Some(image) = &row.image {
        let hex = image.split_once(':').map_or(image.as_str(), |(_, hex)| hex);
        parts.push(format!("image {}", escaped(hex.get(..12).unwrap_or(hex))));
    }
    if let Some(layer) = row.layer {
        parts.push(format!("layer {layer}"));
    }
    if let Some(member) = &row.member {
        parts.push(format!("member {}", lossy(member)));
    }
    if let Some(path) = &row.path {
        parts.push(format!("path {}{}", lossy(path), others(row)));
    }
    if let Some(offset) = row.offset {
        parts.push(format!("byte {offset}"));
    }
    parts.join(", ")
}

/// The other paths that a problem is about: the first few, and how many more.
fn others(row: &ProblemRow) -> String {
    let mut text = String::new();
    for path in &row.more_paths {
        _ = write!(text, ", {}", lossy(path));
    }
    match row.count.saturating_sub(1 + row.more_paths.len()) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Bytes for people.
pub(super) fn lossy(text: &Text) -> String {
    escaped(&String::from_utf8_lossy(&text.0)).into_owned()
}
