//! Whether the archive is what it claims, what engines make of it, and what is wrong.

use imgtar::base::problem::Severity;
use imgtar::report::{
    EngineLine, ProblemFinding, ProblemRow, VerifyArchive, VerifyLoader, findings,
};
use maud::{Markup, html};

use super::words::{count, grouped, name, path, shortened};

/// How many findings the page lists; `verify` lists all of them.
const FINDINGS: usize = 100;

/// How much of one text does, in characters.
const TEXT: usize = 2000;

/// How many places of one finding do.
const PLACES: usize = 10;

/// The verdict in a line.
pub(super) fn badge(verify: &VerifyArchive) -> Markup {
    let summary = &verify.summary;
    html! {
        @if verify.ok {
            p.badge.ok { "✓ " (summary) }
        } @else {
            p.badge.bad { "✗ " (summary) }
        }
    }
}

/// The engines, and the problems.
pub(super) fn section(verify: &VerifyArchive) -> Markup {
    html! {
        @if !verify.problems.is_empty() {
            section {
                h2 { (title(verify)) }
                (problems(verify))
            }
        }
        @if let Some(loaders) = &verify.loaders {
            section {
                h2 { "Which engines load it" }
                p.muted { "Predicted from the archive, for the versions listed." }
                @if loaders.iter().all(is_plain) { (all_load(loaders)) } @else { (engines(loaders)) }
            }
        }
    }
}

fn title(verify: &VerifyArchive) -> String {
    let of = |severity: Severity| {
        let rows = verify.problems.iter();
        let rows = rows.filter(|row| row.severity == severity);
        rows.map(|row| row.count).sum::<usize>()
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let words = [
        (errors, count(errors, "error", "errors")),
        (warnings, count(warnings, "warning", "warnings")),
    ];
    let words: Vec<String> = words
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(_, words)| words)
        .collect();
    words.join(", ")
}

fn problems(verify: &VerifyArchive) -> Markup {
    let all = findings(&verify.problems, verify.absent.as_ref());
    html! {
        ul.problems {
            @for one in all.iter().take(FINDINGS) { (finding(one)) }
        }
        @if let Some(more) = all.len().checked_sub(FINDINGS + 1) {
            p.muted {
                "… and " (count(more + 1, "more kind of problem", "more kinds of problems")) "; "
                code { "imgtar verify" } " lists all of them."
            }
        }
    }
}

fn finding(one: &ProblemFinding<'_>) -> Markup {
    let (class, word) = match one.head().severity {
        Severity::Error => ("bad", "error"),
        Severity::Warning => ("warn", "warning"),
    };
    html! {
        li class=(class) {
            span class={ "tag " (class) } { (word) } " " code { (one.head().code.to_string()) }
            @if one.count() > 1 { " " span.muted { "× " (grouped(one.count() as u64)) } }
            br;
            (shortened(&one.message, TEXT))
            @if !one.says_where {
                @for rows in one.places.iter().take(PLACES) {
                    @for row in rows { (place(row)) }
                }
                @if let Some(more) = one.places.len().checked_sub(PLACES + 1) {
                    p.muted { "… and in " (count(more + 1, "more place", "more places")) }
                }
            }
        }
    }
}

fn place(row: &ProblemRow) -> Markup {
    html! {
        dl {
            @if let Some(image) = &row.image { dt { "image" } dd { code { (image) } } }
            @if let Some(layer) = row.layer { dt { "layer" } dd { (layer) } }
            @if let Some(member) = &row.member {
                dt { "member" } dd { code { (name(member)) } }
            }
            @if let Some(first) = &row.path {
                dt { "path" }
                dd {
                    (path(first))
                    @for more in &row.more_paths { ", " (path(more)) }
                    @if row.count > row.more_paths.len() + 1 && !row.more_paths.is_empty() { ", …" }
                }
            }
            @if let Some(offset) = row.offset { dt { "at byte" } dd { (grouped(offset)) } }
            @if let Some(claimed) = &row.claimed { dt { "claimed" } dd { code { (shortened(claimed, TEXT)) } } }
            @if let Some(computed) = &row.computed { dt { "computed" } dd { code { (shortened(computed, TEXT)) } } }
        }
    }
}

/// Whether an engine loads the archive, and there is nothing more to say.
fn is_plain(loader: &VerifyLoader) -> bool {
    let all = loader
        .images
        .iter()
        .all(|fate| fate.loaded || fate.reason.is_none());
    loader.verdict == "loads" && loader.reason.is_none() && all
}

fn all_load(loaders: &[VerifyLoader]) -> Markup {
    html! {
        ul.engines {
            @for line in EngineLine::all(loaders, true) {
                li { span.tag.ok { "✓" } " " (line.label()) }
            }
        }
    }
}

fn engines(loaders: &[VerifyLoader]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Engines" {
            table {
                thead { tr { th { "Engine" } th { "Verdict" } th { "Why" } } }
                tbody { @for line in EngineLine::all(loaders, true) { (engine(&line)) } }
            }
        }
    }
}

fn engine(line: &EngineLine<'_>) -> Markup {
    let loader = line.loader;
    let (class, verdict) = match loader.verdict {
        "loads" => ("ok", "✓ loads"),
        "loads-with-base" => ("warn", "loads if the base is there"),
        "loads-broken" => ("bad", "✗ loads but cannot be run"),
        "refuses" => ("bad", "✗ refuses it"),
        "makes-nothing" => ("bad", "✗ makes no image"),
        _ => ("plain", "not predicted"),
    };
    let mut left_out =
        (loader.images.iter()).filter(|fate| !fate.loaded && loader.verdict == "loads");
    let left_out = left_out.find_map(|fate| fate.reason.as_deref());
    html! {
        tr {
            td.engine { (line.label()) }
            td { span class={ "tag " (class) } { (verdict) } }
            td.wide {
                @if let Some(reason) = &loader.reason {
                    @let reason = shortened(reason, TEXT);
                    @if loader.quoted { q { (reason) } } @else { (reason) }
                } @else if let Some(reason) = left_out {
                    "an image is left out: " (shortened(reason, TEXT))
                }
            }
        }
    }
}
