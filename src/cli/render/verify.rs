//! The lines of `verify`.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::base::problem::Severity;
use imgtar::report::{ImageAudit, Reason, Verify, VerifyArchive, VerifyLayer, VerifyLoader, units};

use super::columns;
use super::layers::short;
use super::problems::problem;
use crate::cli::output::Stop;

const OK: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The width of the narrowest column of the table, and what stands between two, as in the other tables.
const MIN_WIDTH: u16 = 10;
const PADDING: u16 = 3;

/// Of one archive a line a layer and a few a problem; of several a line each, and below them what is
/// wrong with those that something is wrong with. With `quiet` only the latter.
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

/// Several versions of one engine that make the same of an archive.
struct Alike<'l> {
    loader: &'l VerifyLoader,
    versions: Vec<&'l str>,
}

impl Alike<'_> {
    /// Engine, versions, store and options.
    fn label(&self) -> String {
        let versions = self.versions.join(" and ");
        let engine = match self.loader.engine {
            "docker" => "Docker",
            other => other,
        };
        let store = match self.loader.store {
            Some(store @ ("classic" | "containerd")) => format!(" ({store} store)"),
            Some("vfs") => " (vfs)".to_owned(),
            _ => String::new(),
        };
        let options = self.loader.options.map(|options| format!(" {options}"));
        format!("{engine} {versions}{store}{}", options.unwrap_or_default())
    }
}

/// Puts versions of one engine together that answer alike. podman's driver for tests is left out where it
/// makes no difference.
fn alike(loaders: &[VerifyLoader]) -> Vec<Alike<'_>> {
    let mut all: Vec<Alike<'_>> = Vec::new();
    for loader in loaders {
        let overlay =
            |other: &&VerifyLoader| other.engine == loader.engine && other.store == Some("overlay");
        let usual = loaders.iter().find(overlay);
        if loader.store == Some("vfs") && usual.is_some_and(|usual| usual.verdict == loader.verdict)
        {
            continue;
        }
        let is_same = |one: &VerifyLoader| {
            (one.engine, one.store, one.options) == (loader.engine, loader.store, loader.options)
                && (one.verdict, &one.reason) == (loader.verdict, &loader.reason)
        };
        match all.iter_mut().find(|known| is_same(known.loader)) {
            Some(known) => known.versions.push(loader.version),
            None => all.push(Alike {
                loader,
                versions: vec![loader.version],
            }),
        }
    }
    all
}

/// Which engines take the archive, and why the others do not; which images an engine that takes it leaves
/// out.
fn loaders(out: &mut dyn Write, loaders: &[VerifyLoader]) -> io::Result<()> {
    let all = alike(loaders);
    let labels = |verdict: &str| -> Vec<String> {
        let of_verdict = all.iter().filter(|one| one.loader.verdict == verdict);
        of_verdict.map(Alike::label).collect()
    };
    let loading = labels("loads");
    if !loading.is_empty() {
        writeln!(out, "  loads into {}", loading.join(", "))?;
    }
    for one in &all {
        let what = match one.loader.verdict {
            "refuses" => "refuses it",
            "loads-broken" => "takes it and cannot run it",
            "unknown" => "is not predicted",
            _ => continue,
        };
        let reason = escape::text(one.loader.reason.as_deref().unwrap_or_default());
        // Quotation marks stand around what the engine itself says, and nothing else.
        let (open, close) = if one.loader.quoted {
            ("“", "”")
        } else {
            ("", "")
        };
        let label = one.label();
        writeln!(out, "  {BAD}{label} {what}:{BAD:#} {open}{reason}{close}")?;
    }
    let idle = labels("makes-nothing");
    if !idle.is_empty() {
        let idle = idle.join(", ");
        writeln!(out, "  {BAD}no image is made by{BAD:#} {idle}")?;
    }
    for one in &all {
        if one.loader.verdict == "loads" {
            left_out(out, one)?;
        }
    }
    Ok(())
}

/// The images that an engine leaves out although it takes the archive.
fn left_out(out: &mut dyn Write, one: &Alike<'_>) -> io::Result<()> {
    const MOST: usize = 3;
    let all = &one.loader.images;
    let left_out: Vec<_> = all.iter().filter(|fate| !fate.loaded).collect();
    // The other platforms of one image are no loss.
    let told = left_out.iter().filter(|fate| fate.reason.is_some());
    for fate in told.take(MOST) {
        let id = fate.id.as_deref().map_or("an image", short);
        let reason = escape::text(fate.reason.as_deref().unwrap_or_default());
        writeln!(out, "    {} leaves out {id}: {reason}", one.label())?;
    }
    Ok(())
}

/// The last word on engines: who does not load it.
fn refusing(archive: &VerifyArchive) -> String {
    let loaders = archive.loaders.as_deref().unwrap_or_default();
    let all = alike(loaders);
    let labels = |verdict: &str| -> Vec<String> {
        let of_verdict = all.iter().filter(|one| one.loader.verdict == verdict);
        let mut labels: Vec<String> = Vec::new();
        for one in of_verdict {
            labels.push(one.label());
        }
        labels
    };
    let mut text = String::new();
    for (verdict, words) in [
        ("refuses", "refused by"),
        ("loads-broken", "broken in"),
        ("unknown", "not predicted for"),
    ] {
        let labels = labels(verdict);
        if !labels.is_empty() {
            text.push_str("; ");
            text.push_str(words);
            text.push(' ');
            text.push_str(&labels.join(", "));
        }
    }
    text
}

/// What to know before running an image.
fn audit(out: &mut dyn Write, audit: &ImageAudit) -> io::Result<()> {
    let id = audit.id.as_deref().unwrap_or("<unknown>");
    let name = audit.references.first().map_or(id, String::as_str);
    if let Some(why) = &audit.unread {
        writeln!(
            out,
            "  audit {}: files not looked at: {}",
            escape::text(name),
            escape::text(why)
        )?;
    }
    for file in &audit.unexamined {
        writeln!(
            out,
            "  audit {}: not looked at: /{}: {}",
            escape::text(name),
            escape::name(&file.path.0),
            escape::text(&file.why)
        )?;
    }
    if audit.counts.is_empty() && audit.unread.is_none() && audit.unexamined.is_empty() {
        writeln!(out, "  audit {}: nothing found", escape::text(name))?;
    }
    let mut shown = None;
    for row in &audit.findings {
        let kind = row.kind.name();
        if shown != Some(kind) {
            shown = Some(kind);
            let count = audit.counts.get(kind).copied().unwrap_or(0);
            writeln!(out, "  audit {}: {kind} ({count})", escape::text(name))?;
        }
        let path = row
            .path
            .as_ref()
            .map(|path| format!("/{}: ", escape::name(&path.0)));
        let layer = row.layer.map(|layer| format!(" (layer {layer})"));
        writeln!(
            out,
            "    {}{}{}",
            path.unwrap_or_default(),
            escape::text(&row.detail),
            layer.unwrap_or_default()
        )?;
    }
    let kept = audit.findings.len();
    let all: usize = audit.counts.values().sum();
    if all > kept {
        writeln!(out, "    and {} more", all - kept)?;
    }
    Ok(())
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
