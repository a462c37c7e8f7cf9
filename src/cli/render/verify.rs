//! The lines of `verify`.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use imgtar::problem::Severity;
use imgtar::report::{Verify, VerifyArchive, VerifyLayer, units};

use super::layers::short;
use super::problems::{lossy, problem};
use crate::cli::output::escaped;

const OK: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// One line a layer and a few a problem; with `quiet` only what fails.
pub(crate) fn verify(report: &Verify, quiet: bool) -> String {
    let mut text = String::new();
    for archive in &report.archives {
        if quiet && archive.problems.is_empty() {
            continue;
        }
        one(&mut text, archive, quiet);
    }
    if report.archives.len() > 1 && !quiet {
        let bad = report.archives.iter().filter(|archive| !archive.ok).count();
        let archives = units::count(report.archives.len(), "archive", "archives");
        _ = writeln!(text, "{archives}, {bad} with errors");
    }
    text
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
    let count = |severity| {
        archive
            .problems
            .iter()
            .filter(|p| p.severity == severity)
            .count()
    };
    let errors = units::count(count(Severity::Error), "error", "errors");
    let warnings = units::count(count(Severity::Warning), "warning", "warnings");
    let layers: usize = archive.images.iter().map(|image| image.layers.len()).sum();
    let layers = units::count(layers, "layer", "layers");
    let images = units::count(archive.images.len(), "image", "images");
    let (style, verdict) = if archive.ok {
        (OK, "ok")
    } else {
        (BAD, "FAILED")
    };
    _ = writeln!(
        text,
        "  {style}{verdict}:{style:#} {images}, {layers}, {errors}, {warnings}"
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
