//! What to know before running an image.

use imgtar::report::{AuditRow, FindState, ImageAudit, ReportImage};
use maud::{Markup, html};

use super::layers;
use super::words::{count, grouped, path};

/// How many findings of a kind stand on the page.
const FINDINGS: usize = 20;

/// The audit of an image.
pub(super) fn section(image: &ReportImage) -> Markup {
    html! {
        @if let Some(audit) = &image.audit {
            h3 { "Before you run it" }
            @if audit.counts.is_empty() && audit.unread.is_none() && audit.unexamined.is_empty() {
                p { "Nothing was found: no secrets, no setuid files, no devices, no file that anybody may write." }
            } @else {
                (found(audit))
            }
            @if let Some(why) = &audit.unread {
                p { span.tag.bad { "unknown" } " Its files were not looked at: " (why) }
            }
            @for file in &audit.unexamined {
                p { span.tag.warn { "unknown" } " " (path(&file.path)) ": " (file.why) }
            }
            @if audit.samples > 0 {
                p.muted {
                    (count(audit.samples, "key", "keys"))
                    " in the documentation and tests of packages, where they are public, are left out."
                }
            }
        }
    }
}

fn found(audit: &ImageAudit) -> Markup {
    html! {
        @for (kind, number) in &audit.counts {
            @let rows: Vec<&AuditRow> = audit.findings.iter().filter(|row| row.kind.name() == *kind).collect();
            details open[*kind == "secret"] {
                summary {
                    span.tag.(if *kind == "secret" { "bad" } else { "warn" }) { (kind) } " "
                    (grouped(*number as u64)) " " (told(kind))
                }
                div.scroll tabindex="0" role="region" aria-label=(told(kind)) {
                    table {
                        tbody { @for row in rows.iter().take(FINDINGS) { (finding(row)) } }
                    }
                }
                @if let Some(more) = number.checked_sub(FINDINGS + 1) {
                    p.muted { "… and " (grouped(more as u64 + 1)) " more." }
                }
            }
        }
    }
}

/// What a kind of findings is.
fn told(kind: &str) -> &'static str {
    match kind {
        "setuid" => "files run with the rights of their owner",
        "setgid" => "files run with the rights of their group",
        "capability" => "files give capabilities to who runs them",
        "device" => "devices",
        "world-writable" => "files or directories that anybody may write",
        "control-name" => "names with control characters",
        "secret" => "things that look like secrets (masked here)",
        "root-user" => "about the user",
        "missing-user" => "about the user",
        _ => "findings",
    }
}

fn finding(row: &AuditRow) -> Markup {
    html! {
        tr {
            td.nowrap {
                @if let Some(layer) = row.layer { (layers::swatch(layer)) "layer " (layer) }
            }
            td.wide {
                @if let Some(file) = &row.path { (path(file)) " " }
                span.muted { (row.detail) }
                @if matches!(row.state, Some(FindState::Deleted | FindState::Replaced)) {
                    " " span.tag.warn { "still in the archive" }
                }
            }
        }
    }
}
