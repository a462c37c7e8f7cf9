//! Problems in several lines: what, where, claimed against computed.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use imgtar::base::escape;
use imgtar::base::problem::Severity;
use imgtar::report::ProblemRow;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes one problem, each line behind `indent`.
pub(super) fn problem(out: &mut dyn Write, row: &ProblemRow, indent: &str) -> io::Result<()> {
    let (style, label) = match row.severity {
        Severity::Error => (ERROR, "error"),
        Severity::Warning => (WARNING, "warning"),
    };
    writeln!(
        out,
        "{indent}{style}{label}{style:#} {}: {}",
        row.code,
        escape::text(&row.message)
    )?;
    if let Some(claimed) = &row.claimed {
        writeln!(out, "{indent}  claimed  {}", escape::text(claimed))?;
    }
    if let Some(computed) = &row.computed {
        writeln!(out, "{indent}  computed {}", escape::text(computed))?;
    }
    let place = place(row);
    if !place.is_empty() {
        writeln!(out, "{indent}  at {place}")?;
    }
    Ok(())
}

fn place(row: &ProblemRow) -> String {
    let mut parts = Vec::new();
    if let Some(image) = &row.image {
        let hex = image.split_once(':').map_or(image.as_str(), |(_, hex)| hex);
        parts.push(format!(
            "image {}",
            escape::text(hex.get(..12).unwrap_or(hex))
        ));
    }
    if let Some(layer) = row.layer {
        parts.push(format!("layer {layer}"));
    }
    if let Some(member) = &row.member {
        parts.push(format!("member {}", escape::name(&member.0)));
    }
    if let Some(path) = &row.path {
        parts.push(format!("path {}{}", escape::name(&path.0), others(row)));
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
        _ = write!(text, ", {}", escape::name(&path.0));
    }
    match row.count.saturating_sub(1 + row.more_paths.len()) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}
