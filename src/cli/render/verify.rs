//! The lines of `verify`.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::base::problem::Severity;
use imgtar::report::{Reason, Verify, VerifyArchive, VerifyLayer, VerifyMend, units};

use super::audit::audit;
use super::columns;
use super::layers::short;
use super::loaders::{failing, loaders, refusing};
use super::problems::problem;
use crate::cli::output::Stop;

const OK: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// The width of the narrowest column of the table, and what stands between two, as in the other tables.
const MIN_WIDTH: u16 = 10;
const PADDING: u16 = 3;

/// For one archive, one line per layer and a few per problem; for several archives, one line each and below it
/// the problems, if there are any. With `quiet`, only the problems.
pub(crate) fn verify(
    out: &mut dyn Write,
    report: &Verify,
    quiet: bool,
    limits: &Limits,
) -> Result<(), Stop> {
    if let ([archive], false) = (report.archives.as_slice(), quiet) {
        return Ok(one(out, archive, false)?);
    }
    if !quiet {
        table(out, &report.archives, limits)?;
    }
    for archive in &report.archives {
        let audited = archive.audit.iter().flatten();
        let found = audited
            .clone()
            .any(|audit| !audit.counts.is_empty() || !audit.unexamined.is_empty());
        if !archive.ok || !archive.problems.is_empty() || (found && !quiet) {
            if !quiet {
                writeln!(out)?;
            }
            one(out, archive, true)?;
        }
    }
    if !quiet {
        let bad = report.archives.iter().filter(|archive| !archive.ok).count();
        let archives = units::count(report.archives.len(), "archive", "archives");
        writeln!(out, "\n{archives}, {bad} failed")?;
    }
    Ok(())
}

/// One line for each archive.
///
/// The rows are as many as archives were named, so they can stand in memory; how wide one path makes all
/// of them is counted before.
fn table(out: &mut dyn Write, archives: &[VerifyArchive], limits: &Limits) -> Result<(), Stop> {
    let widest = archives.iter().map(|archive| archive.path.len()).max();
    let padding = widest.unwrap_or(0) as u64 * archives.len() as u64;
    limits
        .check(Limit::RepeatedText, padding)
        .map_err(|exceeded| columns::too_wide(padding, exceeded))?;
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header([
            "ARCHIVE",
            "RESULT",
            "IMAGES",
            "LAYERS",
            "ERRORS",
            "WARNINGS",
            "DOCKER",
            "CONTAINERD STORE",
            "CTR",
            "PODMAN",
            "SKOPEO",
        ]);
    for archive in archives {
        let [errors, warnings] = counts(archive);
        let layers: usize = archive.images.iter().map(|image| image.layers.len()).sum();
        // The newest version of each, as it is usually started.
        let loads = |engine: &str, store: Option<&str>| {
            let loaders = archive.loaders.as_deref().unwrap_or_default();
            let mut of_engine = loaders.iter().rev().filter(|loader| {
                (loader.engine, loader.store) == (engine, store) && loader.options.is_none()
            });
            match of_engine.next().map(|loader| loader.verdict) {
                None => "-",
                Some("loads-broken") => "broken",
                Some("loads-with-base") => "with base",
                Some("makes-nothing") => "nothing",
                Some(verdict) => verdict,
            }
        };
        table.add_row([
            &*escape::text(&archive.path),
            if archive.ok { "ok" } else { "FAILED" },
            &archive.images.len().to_string(),
            &layers.to_string(),
            &errors.to_string(),
            &warnings.to_string(),
            loads("docker", Some("classic")),
            loads("docker", Some("containerd")),
            loads("ctr", None),
            loads("podman", Some("overlay")),
            loads("skopeo", None),
        ]);
    }
    for column in table.column_iter_mut() {
        column
            .set_padding((0, PADDING))
            .set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(MIN_WIDTH)));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// How many errors and warnings an archive has.
fn counts(archive: &VerifyArchive) -> [usize; 2] {
    [Severity::Error, Severity::Warning].map(|severity| {
        let of = archive.problems.iter().filter(|p| p.severity == severity);
        of.map(|problem| problem.count).sum()
    })
}

fn one(out: &mut dyn Write, archive: &VerifyArchive, quiet: bool) -> io::Result<()> {
    writeln!(out, "{}", escape::text(&archive.path))?;
    if !quiet {
        for image in &archive.images {
            let names = if image.references.is_empty() {
                "<none>".into()
            } else {
                image.references.join(", ")
            };
            let id = image.id.as_deref().unwrap_or("<unknown>");
            writeln!(out, "  {} {}", escape::text(&names), escape::text(id))?;
            if let Some(id) = &image.containerd_id {
                writeln!(out, "    containerd ID {}", escape::text(id))?;
            }
            for layer in &image.layers {
                writeln!(out, "    {}", layer_line(layer))?;
            }
        }
        for artifact in &archive.artifacts {
            writeln!(
                out,
                "  artifact {} {}",
                escape::text(&artifact.kind),
                short(&artifact.digest)
            )?;
            for blob in &artifact.blobs {
                let what = match &blob.computed {
                    _ if blob.ok => mark(true, "ok"),
                    None => mark(false, "missing"),
                    Some(_) => mark(false, "MISMATCH"),
                };
                writeln!(out, "    {what} blob {}", blob.digest)?;
            }
        }
    }
    for row in &archive.problems {
        problem(out, row, "  ")?;
    }
    if let Some(report) = &archive.loaders {
        loaders(out, report)?;
    }
    mends(out, archive)?;
    for report in archive.audit.iter().flatten() {
        audit(out, report)?;
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
    // Errors are counted already; other reasons are named.
    let reasons: Vec<String> = archive
        .failed
        .iter()
        .filter(|reason| !matches!(reason, Reason::Error(_)))
        .map(|reason| match reason {
            Reason::Loads(name) => format!("{reason} ({})", failing(archive, name)),
            _ => reason.to_string(),
        })
        .collect();
    let reasons = match reasons.as_slice() {
        [] => String::new(),
        reasons => format!("; failed by {}", reasons.join(", ")),
    };
    writeln!(
        out,
        "  {style}{verdict}:{style:#} {images}, {layers}, {errors}, {warnings}{reasons}{}",
        refusing(archive)
    )
}

fn layer_line(layer: &VerifyLayer) -> String {
    let (what, digest) = match (&layer.diff_id, &layer.computed) {
        (Some(diff_id), _) if layer.ok => (mark(true, "ok"), diff_id.clone()),
        (None, Some(computed)) => (mark(layer.ok, "computed"), computed.clone()),
        (Some(claimed), Some(_)) => (mark(false, "MISMATCH"), claimed.clone()),
        (Some(claimed), None) if layer.left_out => (format!("{:<10}", "left out"), claimed.clone()),
        (claimed, None) => (
            mark(false, "unreadable"),
            claimed.clone().unwrap_or_else(|| "-".into()),
        ),
    };
    format!(
        "{what} layer {:<3} {digest}  {}",
        layer.index,
        escape::name(&layer.member.0)
    )
}

/// A word of fixed width, coloured by what it means.
fn mark(good: bool, word: &str) -> String {
    let style = if good { OK } else { BAD };
    format!("{style}{word:<10}{style:#}")
}

/// The commands that make an archive which engines load that refuse this one.
fn mends(out: &mut dyn Write, archive: &VerifyArchive) -> io::Result<()> {
    for mend in &archive.mends {
        let path = &archive.path;
        match mend {
            VerifyMend::Convert => writeln!(
                out,
                "  for Docker's classic store: imgtar convert {path} --layout docker -o FILE"
            )?,
            VerifyMend::Merge => writeln!(
                out,
                "  for the whole archive: imgtar merge {path} BASE -o FILE"
            )?,
            VerifyMend::Select => writeln!(
                out,
                "  for ctr --all-platforms, kind and k3s: imgtar select {path} --present -o FILE"
            )?,
        }
    }
    Ok(())
}
