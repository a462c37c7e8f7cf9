//! Problems: what, where, claimed against computed. What repeats is said once.

use std::fmt::Write as _;
use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::base::problem::Severity;
use imgtar::report::{ProblemFinding, ProblemRow};

use super::marks::{BAD, Page, WARN};

/// How many of the places of one finding are shown.
const MOST: usize = 3;

/// Writes findings, each line behind `indent` spaces.
pub(super) fn problems(
    out: &mut dyn Write,
    findings: &[ProblemFinding<'_>],
    indent: usize,
    page: Page,
) -> io::Result<()> {
    for finding in findings {
        one(out, finding, indent, page)?;
    }
    Ok(())
}

fn one(
    out: &mut dyn Write,
    finding: &ProblemFinding<'_>,
    indent: usize,
    page: Page,
) -> io::Result<()> {
    let head = finding.head();
    let (style, label) = match head.severity {
        Severity::Error => (BAD, "error"),
        Severity::Warning => (WARN, "warning"),
    };
    let mut code = head.code.to_string();
    if finding.places.len() > 1 && !finding.says_where {
        _ = write!(code, ", {} times", finding.places.len());
    }
    let message = escape::text(&finding.message);
    let text = format!("{code}: {}", page.short(&message));
    write!(out, "{:indent$}{style}{label}{style:#} ", "")?;
    page.wrapped(out, &text, indent + label.len() + 1, indent + 2)?;
    let below = indent + 2;
    let mut line = |text: &str| {
        write!(out, "{:below$}", "")?;
        page.wrapped(out, &page.short(text), below, below + 2)
    };
    if let [rows] = finding.places.as_slice() {
        if let Some(claimed) = &head.claimed {
            line(&format!("claimed  {}", escape::text(claimed)))?;
        }
        if let Some(computed) = &head.computed {
            line(&format!("computed {}", escape::text(computed)))?;
        }
        for row in &rows[1..] {
            line(&also(row))?;
        }
        return match place(head) {
            place if place.is_empty() || finding.says_where && !page.whole => Ok(()),
            place => line(&format!("at {place}")),
        };
    }
    if finding.says_where && !page.whole {
        return Ok(());
    }
    for row in &finding.places[0][1..] {
        let code = row.code;
        line(&format!("with {code}: {}", escape::text(&row.message)))?;
    }
    let shown = if page.whole { usize::MAX } else { MOST };
    for rows in finding.places.iter().take(shown) {
        line(&format!("at {}{}", place(rows[0]), compared(rows[0])))?;
    }
    match finding.places.len().saturating_sub(shown) {
        0 => Ok(()),
        more => line(&format!("and {more} more; --no-trunc shows them")),
    }
}

/// What follows from the same cause.
fn also(row: &ProblemRow) -> String {
    let (code, message) = (row.code, escape::text(&row.message));
    format!("with {code}: {message}{}", compared(row))
}

fn compared(row: &ProblemRow) -> String {
    match (&row.claimed, &row.computed) {
        (Some(claimed), Some(computed)) => format!(
            ": claimed {}, computed {}",
            escape::text(claimed),
            escape::text(computed)
        ),
        _ => String::new(),
    }
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
