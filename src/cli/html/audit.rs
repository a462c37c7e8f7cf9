//! What to know before running an image.

use imgtar::report::{AuditRow, FindState, ImageAudit, ReportImage};
use maud::{Markup, html};

use super::layers;
use super::words::{count, grouped, path};

/// How many findings of a kind stand on the page.
const FINDINGS: usize = 20;

/// The kind that comes first.
const SECRET: &str = "secret";

/// The audit of an image.
pub(super) fn section(image: &ReportImage) -> Markup {
    html! {
        @if let Some(audit) = &image.audit {
            h3 { "Before you run it" }
            @if audit.counts.is_empty() && audit.unread.is_none() && audit.unexamined.is_empty() {
                p { "Nothing was found: no secrets, no setuid files, no devices, no files that anybody may write to." }
            } @else {
                (found(audit))
            }
            @if let Some(why) = &audit.unread {
                p { span.tag.bad { "unknown" } " Its files were not examined: " (why) }
            }
            @for file in &audit.unexamined {
                p { span.tag.warn { "unknown" } " " (path(&file.path)) ": " (file.why) }
            }
            @if audit.samples > 0 {
                p.muted {
                    (count(audit.samples, "key", "keys"))
                    " in the documentation and tests of packages are left out, because they are public."
                }
            }
        }
    }
}

fn found(audit: &ImageAudit) -> Markup {
    // What may have to be dealt with at once comes first.
    let mut kinds: Vec<(&str, usize)> = audit.counts.iter().map(|(kind, n)| (*kind, *n)).collect();
    kinds.sort_by_key(|(kind, _)| *kind != SECRET);
    html! {
        @for (kind, number) in kinds { (found_of_kind(audit, kind, number)) }
    }
}

fn found_of_kind(audit: &ImageAudit, kind: &str, number: usize) -> Markup {
    let (one, many) = told(kind);
    let all = (audit.findings.iter()).filter(|row| row.kind.name() == kind);
    let mut rows: Vec<(&AuditRow, usize)> = Vec::new();
    for row in all {
        let is_same = |known: &AuditRow| {
            (&known.path, known.layer, &known.detail) == (&row.path, row.layer, &row.detail)
        };
        match rows.iter_mut().find(|(known, _)| is_same(known)) {
            Some((_, times)) => *times += 1,
            None => rows.push((row, 1)),
        }
    }
    let shown = &rows[..rows.len().min(FINDINGS)];
    let told: usize = shown.iter().map(|(_, times)| times).sum();
    html! {
        details open[kind == SECRET] {
            summary {
                span.tag.(if kind == SECRET { "bad" } else { "warn" }) { (kind) } " "
                (count(number, one, many))
            }
            div.scroll tabindex="0" role="region" aria-label=(many) {
                table {
                    tbody { @for (row, times) in shown { (finding(row, *times)) } }
                }
            }
            @if number > told { p.muted { "… and " (grouped((number - told) as u64)) " more." } }
        }
    }
}

/// What findings of a kind are: one, and several.
fn told(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "setuid" => (
            "file runs with the rights of its owner",
            "files run with the rights of their owners",
        ),
        "setgid" => (
            "file runs with the rights of its group",
            "files run with the rights of their groups",
        ),
        "capability" => (
            "file gives capabilities to whoever runs it",
            "files give capabilities to whoever runs them",
        ),
        "device" => ("device", "devices"),
        "world-writable" => (
            "file or directory that anybody may write to",
            "files or directories that anybody may write to",
        ),
        "control-name" => (
            "name with control characters",
            "names with control characters",
        ),
        SECRET => (
            "thing that looks like a secret",
            "things that look like secrets",
        ),
        _ => ("finding", "findings"),
    }
}

fn finding(row: &AuditRow, times: usize) -> Markup {
    html! {
        tr {
            @if let Some(layer) = row.layer { td.nowrap { (layers::swatch(layer)) "layer " (layer) } }
            td.wide {
                @if let Some(file) = &row.path { (path(file)) " " }
                span.muted {
                    (row.detail)
                    @if times > 1 { " × " (times) }
                }
                @if matches!(row.state, Some(FindState::Deleted | FindState::Replaced)) {
                    " " span.tag.warn { "still in the archive" }
                }
            }
        }
    }
}
