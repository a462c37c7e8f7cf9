//! The lines of `verify`.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use imgtar::problem::Severity;
use imgtar::report::{
    ImageAudit, Reason, Verify, VerifyArchive, VerifyLayer, VerifyLoader, VerifyLoaders, units,
};

use super::Columns;
use super::layers::short;
use super::problems::{lossy, problem};
use crate::cli::output::escaped;

const OK: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Of one archive a line a layer and a few a problem; of several a line each, and below them what is
/// wrong with those that something is wrong with. With `quiet` only the latter.
pub(crate) fn verify(report: &Verify, quiet: bool) -> String {
    let mut text = String::new();
    if let ([archive], false) = (report.archives.as_slice(), quiet) {
        one(&mut text, archive, false);
        return text;
    }
    if !quiet {
        text = table(&report.archives);
    }
    for archive in &report.archives {
        let audited = archive.audit.iter().flatten();
        let found = audited.clone().any(|audit| !audit.counts.is_empty());
        if !archive.ok || !archive.problems.is_empty() || (found && !quiet) {
            if !quiet {
                text.push('\n');
            }
            one(&mut text, archive, true);
        }
    }
    if !quiet {
        let bad = report.archives.iter().filter(|archive| !archive.ok).count();
        let archives = units::count(report.archives.len(), "archive", "archives");
        _ = writeln!(text, "\n{archives}, {bad} failed");
    }
    text
}

/// A line an archive.
fn table(archives: &[VerifyArchive]) -> String {
    let mut columns = Columns::default();
    columns.row(&[
        "ARCHIVE",
        "RESULT",
        "IMAGES",
        "LAYERS",
        "ERRORS",
        "WARNINGS",
        "DOCKER",
        "CONTAINERD",
        "PODMAN",
    ]);
    for archive in archives {
        let [errors, warnings] = counts(archive);
        let layers: usize = archive.images.iter().map(|image| image.layers.len()).sum();
        let loads = |of: fn(&VerifyLoaders) -> &VerifyLoader| match &archive.loaders {
            Some(loaders) if of(loaders).accepts => "loads",
            Some(_) => "refuses",
            None => "-",
        };
        columns.row(&[
            &escaped(&archive.path),
            if archive.ok { "ok" } else { "FAILED" },
            &archive.images.len().to_string(),
            &layers.to_string(),
            &errors.to_string(),
            &warnings.to_string(),
            loads(|loaders| &loaders.docker),
            loads(|loaders| &loaders.containerd),
            loads(|loaders| &loaders.podman),
        ]);
    }
    columns.render()
}

/// How many errors and warnings an archive has.
fn counts(archive: &VerifyArchive) -> [usize; 2] {
    [Severity::Error, Severity::Warning].map(|severity| {
        let of = archive.problems.iter().filter(|p| p.severity == severity);
        of.map(|problem| problem.count).sum()
    })
}

/// Which engines take the archive, and why the others do not.
fn loaders(text: &mut String, loaders: &VerifyLoaders) {
    let all = [
        ("Docker", &loaders.docker),
        ("containerd", &loaders.containerd),
        ("podman", &loaders.podman),
    ];
    let accepting: Vec<&str> = all
        .iter()
        .filter(|(_, loader)| loader.accepts)
        .map(|(name, _)| *name)
        .collect();
    if !accepting.is_empty() {
        _ = writeln!(text, "  loads into {}", accepting.join(", "));
    }
    for (name, loader) in all {
        if let Some(reason) = &loader.reason {
            let reason = escaped(reason);
            // Quotation marks stand around what the engine itself says, and nothing else.
            let (open, close) = if loader.quoted {
                ("“", "”")
            } else {
                ("", "")
            };
            _ = writeln!(
                text,
                "  {BAD}{name} refuses it:{BAD:#} {open}{reason}{close}"
            );
        }
    }
}

/// What to know before running an image.
fn audit(text: &mut String, audit: &ImageAudit) {
    let id = audit.id.as_deref().unwrap_or("<unknown>");
    let name = audit.references.first().map_or(id, String::as_str);
    if let Some(why) = &audit.unread {
        _ = writeln!(
            text,
            "  audit {}: files not looked at: {}",
            escaped(name),
            escaped(why)
        );
    }
    if audit.counts.is_empty() && audit.unread.is_none() {
        _ = writeln!(text, "  audit {}: nothing found", escaped(name));
    }
    let mut shown = None;
    for row in &audit.findings {
        let kind = row.kind.name();
        if shown != Some(kind) {
            shown = Some(kind);
            let count = audit.counts.get(kind).copied().unwrap_or(0);
            _ = writeln!(text, "  audit {}: {kind} ({count})", escaped(name));
        }
        let path = row.path.as_ref().map(|path| format!("/{}: ", lossy(path)));
        let layer = row.layer.map(|layer| format!(" (layer {layer})"));
        _ = writeln!(
            text,
            "    {}{}{}",
            path.unwrap_or_default(),
            escaped(&row.detail),
            layer.unwrap_or_default()
        );
    }
    let kept = audit.findings.len();
    let all: usize = audit.counts.values().sum();
    if all > kept {
        _ = writeln!(text, "    and {} more", all - kept);
    }
}

fn one(text: &mut String, archive: &VerifyArchive, quiet: bool) {
    _ = writeln!(text, "{}", escaped(&archive.path));
    if !quiet {
        for image in &archive.images {
            let names = if image.references.is_empty() {
                "<none>".into()
            } else {
                image.references.join(", ")
            };
            let id = image.id.as_deref().unwrap_or("<unknown>");
            _ = writeln!(text, "  {} {}", escaped(&names), escaped(id));
            for layer in &image.layers {
                _ = writeln!(text, "    {}", layer_line(layer));
            }
        }
        for artifact in &archive.artifacts {
            _ = writeln!(
                text,
                "  artifact {} {}",
                escaped(&artifact.kind),
                short(&artifact.digest)
            );
            for blob in &artifact.blobs {
                let what = match &blob.computed {
                    _ if blob.ok => mark(true, "ok"),
                    None => mark(false, "missing"),
                    Some(_) => mark(false, "MISMATCH"),
                };
                _ = writeln!(text, "    {what} blob {}", blob.digest);
            }
        }
    }
    for row in &archive.problems {
        problem(text, row, "  ");
    }
    if let Some(report) = &archive.loaders {
        loaders(text, report);
    }
    for report in archive.audit.iter().flatten() {
        audit(text, report);
    }
    let [errors, warnings] = counts(archive);
    let errors = units::count(errors, "error", "errors");
    let warnings = units::count(warnings, "warning", "warnings");
    let layers: usize = archive.images.iter().map(|image| image.layers.len()).sum();
    let layers = units::count(layers, "layer", "layers");
    let images = units::count(archive.images.len(), "image", "images");
    let (style, verdict) = if archive.ok {
        (OK, "ok")
    } else {
        (BAD, "FAILED")
    };
    // Errors are counted already; what else fails the archive is said.
    let reasons: Vec<String> = archive
        .failed
        .iter()
        .filter(|reason| !matches!(reason, Reason::Error(_)))
        .map(ToString::to_string)
        .collect();
    let reasons = match reasons.as_slice() {
        [] => String::new(),
        reasons => format!("; failed by {}", reasons.join(", ")),
    };
    _ = writeln!(
        text,
        "  {style}{verdict}:{style:#} {images}, {layers}, {errors}, {warnings}{reasons}"
    );
}

fn layer_line(layer: &VerifyLayer) -> String {
    let (what, digest) = match (&layer.diff_id, &layer.computed) {
        (Some(diff_id), _) if layer.ok => (mark(true, "ok"), diff_id.clone()),
        (None, Some(computed)) => (mark(layer.ok, "computed"), computed.clone()),
        (Some(claimed), Some(_)) => (mark(false, "MISMATCH"), claimed.clone()),
        (claimed, None) => (
            mark(false, "unreadable"),
            claimed.clone().unwrap_or_else(|| "-".into()),
        ),
    };
    format!(
        "{what} layer {:<3} {digest}  {}",
        layer.index,
        lossy(&layer.member)
    )
}

/// A word of fixed width, coloured by what it means.
fn mark(good: bool, word: &str) -> String {
    let style = if good { OK } else { BAD };
    format!("{style}{word:<10}{style:#}")
}
