//! The tables of `waste`.

use std::io::Write;

use imgtar::base::escape;
use imgtar::base::limits::Limits;
use imgtar::report::{Text, WasteGroup, WasteKind, WasteReport, WasteRule, WasteVerdict, units};

use super::blame::cut;
use super::columns::table;
use super::diff_files::shown;
use crate::cli::output::Stop;

/// How many rows are shown of what may be thousands.
const ROWS: usize = 20;

/// How the answer looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WasteForm<'l> {
    /// A row for every path.
    pub(crate) all: bool,
    /// Whole build steps.
    pub(crate) whole: bool,
    /// How much white space there may be.
    pub(crate) limits: &'l Limits,
}

/// Where bytes are wasted, by paths and by layers, and a last line that says how many, or which rule is broken.
pub(crate) fn waste(
    out: &mut dyn Write,
    report: &WasteReport,
    rules: &[WasteRule],
    form: WasteForm<'_>,
) -> Result<(), Stop> {
    if !report.by_path.is_empty() {
        if form.all {
            paths(out, report, form)?;
        } else {
            groups(out, &report.groups, form)?;
        }
        writeln!(out)?;
    }
    layers(out, report, form)?;
    writeln!(out)?;
    if report.duplicated > 0 {
        let copies = report.by_path.iter();
        let copies = copies
            .filter(|row| row.cause == WasteKind::Duplicate)
            .count();
        writeln!(
            out,
            "visible twice: {} in {}",
            units::size(report.duplicated),
            units::count(
                copies,
                "file that has the bytes of another",
                "files that have the bytes of others"
            )
        )?;
    }
    if let Some(dive) = report.dive {
        let user = dive.user_wasted_percent.unwrap_or_default() * 100.0;
        writeln!(
            out,
            "dive says: efficiency {:.2} %, {} wasted, {user:.2} % of what lies above the first layer",
            dive.efficiency * 100.0,
            units::size(dive.wasted_bytes),
        )?;
    }
    if report.wasted == 0 {
        writeln!(
            out,
            "wasted: nothing; all {} are visible",
            units::size(report.stored)
        )?;
    } else {
        writeln!(
            out,
            "wasted: {} of {} ({:.1} %)",
            units::size(report.wasted),
            units::size(report.stored),
            report.percent()
        )?;
    }
    verdict(out, report, rules)
}

/// What belongs together, in one row.
fn groups(out: &mut dyn Write, groups: &[WasteGroup], form: WasteForm<'_>) -> Result<(), Stop> {
    let rows = &groups[..groups.len().min(ROWS)];
    table(out, form.limits, |cells| {
        cells(&["BYTES", "CAUSE", "LAYER", "PATH"])?;
        for row in rows {
            let layer = match row.by_layer {
                Some(by) => format!("{} by {by}", row.layer),
                None => row.layer.to_string(),
            };
            let mut path = shown(&row.path.0).into_owned();
            if row.files > 1 {
                let slash = if row.path.0.is_empty() { "" } else { "/" };
                path = format!("{path}{slash} ({} files)", row.files);
            }
            cells(&[
                &units::size(row.bytes),
                row.cause.word(),
                &layer,
                &with_original(path, row.of.as_ref()),
            ])?;
        }
        Ok(())
    })?;
    let rest = &groups[rows.len()..];
    if !rest.is_empty() {
        let bytes = rest
            .iter()
            .map(|row| row.bytes)
            .fold(0, u64::saturating_add);
        writeln!(
            out,
            "and {} in {}; --all shows every path",
            units::size(bytes),
            units::count(rest.len(), "more place", "more places")
        )?;
    }
    Ok(())
}

/// Every path.
fn paths(out: &mut dyn Write, report: &WasteReport, form: WasteForm<'_>) -> Result<(), Stop> {
    table(out, form.limits, |cells| {
        cells(&["BYTES", "CAUSE", "COPIES", "LAYERS", "PATH"])?;
        for row in &report.by_path {
            let list = |layers: &[u32]| {
                let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
                layers.join(",")
            };
            let mut layers = list(&row.layers);
            if !row.by_layers.is_empty() {
                layers = format!("{layers} by {}", list(&row.by_layers));
            }
            cells(&[
                &units::size(row.bytes),
                row.cause.word(),
                &row.copies.to_string(),
                &layers,
                &with_original(shown(&row.path.0).into_owned(), row.of.as_ref()),
            ])?;
        }
        Ok(())
    })
}

fn with_original(path: String, of: Option<&Text>) -> String {
    match of {
        Some(of) => format!("{path} = {}", shown(&of.0)),
        None => path,
    }
}

/// One row per layer.
fn layers(out: &mut dyn Write, report: &WasteReport, form: WasteForm<'_>) -> Result<(), Stop> {
    table(out, form.limits, |cells| {
        cells(&["LAYER", "STORED", "WASTED", "HIDES", "CREATED BY"])?;
        for row in &report.by_layer {
            let maker = row.created_by.as_deref().filter(|step| !step.is_empty());
            let maker = match maker {
                None => "-".to_owned(),
                Some(maker) if form.whole => escape::text(maker).to_string(),
                Some(maker) => cut(maker),
            };
            cells(&[
                &row.layer.to_string(),
                &units::size(row.stored),
                &units::size(row.bytes),
                &units::size(row.hides),
                &maker,
            ])?;
        }
        Ok(())
    })
}

/// The rules that were asked for, one in a line, and which of them are broken in the last.
fn verdict(out: &mut dyn Write, report: &WasteReport, rules: &[WasteRule]) -> Result<(), Stop> {
    let judged = || rules.iter().zip(&report.rules);
    if rules.len() > 1 {
        for (rule, verdict) in judged() {
            let word = if verdict.ok { "pass" } else { "FAIL" };
            writeln!(out, "{word}  {rule}: {}", value(*rule, verdict))?;
        }
    }
    let broken: Vec<String> = judged()
        .filter(|(_, verdict)| !verdict.ok)
        .map(|(rule, verdict)| format!("{rule} (it is {})", value(*rule, verdict)))
        .collect();
    if !broken.is_empty() {
        writeln!(out, "failed: {}", broken.join(", "))?;
    } else if !rules.is_empty() {
        let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
        writeln!(out, "passed: {}", rules.join(", "))?;
    }
    Ok(())
}

/// What was compared with a rule.
fn value(rule: WasteRule, verdict: &WasteVerdict) -> String {
    let Some(value) = verdict.value else {
        return "unknown: computing dive's figures takes too many steps".to_owned();
    };
    match rule {
        WasteRule::Max(_) | WasteRule::HighestWastedBytes(_) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it was a number of bytes"
            )]
            units::size(value as u64)
        }
        WasteRule::MaxPercent(_) => format!("{value:.1} %"),
        _ => format!("{value:.4}"),
    }
}
