//! What a delta is, or would be: its parts, what travels, and what other ways would cost.

use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::delta::How;
use imgtar::report::{DeltaCosts, DeltaPart, DeltaReport, DeltaSource, VerifyDelta, units};
use unicode_width::UnicodeWidthStr;

use super::columns;
use super::layers::short;
use super::marks::Page;
use crate::cli::delta_note::percent;
use crate::cli::output::Stop;

const HEAD: Style = Style::new().bold();
/// What stands between two columns.
const PADDING: u16 = 2;
/// Where values begin, in cells.
const INDENT: usize = 14;

/// What would travel, by parts and by cause, and what it costs beside other ways.
pub(crate) fn delta_plan(
    out: &mut dyn Write,
    report: &DeltaReport,
    page: Page,
    limits: &Limits,
) -> Result<(), Stop> {
    parts(out, &report.parts, page, limits)?;
    section(out, "What travels")?;
    streams(out, report)?;
    if let Some(costs) = &report.costs {
        section(out, "What to send")?;
        compared(out, costs, page)?;
    }
    Ok(())
}

/// A page about a delta that exists.
pub(crate) fn delta_page(
    out: &mut dyn Write,
    report: &DeltaReport,
    page: Page,
    limits: &Limits,
) -> Result<(), Stop> {
    let new = &report.new;
    let path = report.path.as_deref().unwrap_or("-");
    field(out, "Delta", path, page)?;
    let size = format!(
        "{}, {} of what it makes",
        both_sizes(report.size),
        percent(report.size, new.size)
    );
    field(out, "Size", &size, page)?;
    field(out, "Makes", &new.name, page)?;
    field(out, "", &both_sizes(new.size), page)?;
    field(out, "", &new.sha256, page)?;
    for image in &new.images {
        let names = match image.references.join(" ") {
            names if names.is_empty() => "<none>".to_owned(),
            names => names,
        };
        field(out, "Image", &names, page)?;
        field(out, "ID", &image.id, page)?;
    }
    if let Some(given) = &new.converted {
        let what = format!(
            "it was made for a file of {} with the digest {}: this one has the same layers, uncompressed",
            units::size_spaced(given.size),
            given.sha256
        );
        field(out, "Converted", &what, page)?;
    }
    let sizes = report.sources.iter().map(|source| source.size);
    let needs = match report.sources.len() {
        0 => "nothing".to_owned(),
        n => format!(
            "{}, {}",
            units::count(n, "source", "sources"),
            units::size_spaced(sizes.fold(0, u64::saturating_add))
        ),
    };
    field(out, "Needs", &needs, page)?;
    let mut label = "Recompresses";
    for recipe in &report.recipes {
        let level = recipe
            .level
            .map_or_else(String::new, |level| format!(" at level {level}"));
        field(out, label, &format!("with {}{level}", recipe.encoder), page)?;
        label = "";
    }
    if !report.sources.is_empty() {
        section(out, "Sources")?;
        sources(out, &report.sources, page, limits)?;
    }
    section(out, "Parts of the new file")?;
    parts(out, &report.parts, page, limits)?;
    section(out, "What travels")?;
    Ok(streams(out, report)?)
}

/// What a delta makes, and what it needs for that.
pub(super) fn checked_delta(
    out: &mut dyn Write,
    delta: &VerifyDelta,
    ok: bool,
    page: Page,
) -> io::Result<()> {
    let mark = if ok { page.good() } else { page.bad() };
    let digest = if page.whole {
        &delta.sha256
    } else {
        short(&delta.sha256)
    };
    let (name, size) = (escape::text(&delta.name), units::size(delta.size));
    writeln!(out, "  {mark} makes {name}  {digest}  {size}")?;
    if delta.sources == 0 {
        return writeln!(out, "    from nothing else");
    }
    writeln!(
        out,
        "    from {} in old archives ({}), which this check does not need",
        units::count(delta.sources, "source", "sources"),
        units::size(delta.sources_size)
    )
}

fn section(out: &mut dyn Write, title: &str) -> io::Result<()> {
    writeln!(out, "\n{HEAD}{title}{HEAD:#}")
}

fn field(out: &mut dyn Write, name: &str, value: &str, page: Page) -> io::Result<()> {
    write!(out, "{HEAD}{name:<INDENT$}{HEAD:#}")?;
    page.wrapped(out, &escape::text(value), INDENT, INDENT)
}

/// A size as people read it, and in bytes.
fn both_sizes(bytes: u64) -> String {
    format!("{} ({bytes} bytes)", units::size_spaced(bytes))
}

/// A size in a table; nothing is a dash.
fn cell(bytes: u64) -> String {
    match bytes {
        0 => "-".to_owned(),
        bytes => units::size(bytes),
    }
}

/// How a part travels, in a few words.
fn travels(how: How) -> &'static str {
    match how {
        How::Content => "differences",
        How::Recompressed => "differences, recompressed",
        How::Copied => "nothing",
        How::Whole => "whole: not recompressible",
        How::Dearer => "whole: recompressing costs more",
        How::Damaged => "whole: damaged",
    }
}

const COLUMNS: [&str; 7] = [
    "PART", "SIZE", "SAME", "CHANGED", "NEW", "HEADERS", "TRAVELS",
];

/// The least room that a name gets, in cells.
const NAME: usize = 20;

/// A name beside `used` cells: its beginning, which says which layer it is.
fn name(text: &str, used: usize, page: Page) -> String {
    let most = page
        .width
        .map_or(usize::MAX, |width| usize::from(width).saturating_sub(NAME));
    page.cut(&escape::text(text), used.min(most)).into_owned()
}

/// One row per part; names are cut where a terminal has no room for them.
fn parts(
    out: &mut dyn Write,
    parts: &[DeltaPart],
    page: Page,
    limits: &Limits,
) -> Result<(), Stop> {
    let widest = parts.iter().map(|part| part.name.len()).max();
    let padding = widest.unwrap_or(0) as u64 * parts.len() as u64;
    limits
        .check(Limit::RepeatedText, padding)
        .map_err(|exceeded| columns::too_wide(padding, exceeded))?;
    let parts = &few(parts)[..];
    let mut table = table(&COLUMNS);
    let row = |part: &DeltaPart| {
        [
            units::size(part.size),
            cell(part.same),
            cell(part.changed),
            cell(part.new),
            cell(part.headers),
            travels(part.travels).to_owned(),
        ]
    };
    let rows: Vec<[String; 6]> = parts.iter().map(row).collect();
    let mut widths: Vec<usize> = COLUMNS[1..].iter().map(|head| head.width()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let used: usize = widths
        .iter()
        .map(|width| usize::from(PADDING) + width)
        .sum();
    for (part, row) in parts.iter().zip(rows) {
        let name = name(&part.name, used, page);
        table.add_row(std::iter::once(name).chain(row));
    }
    Ok(written(out, table, 1..6)?)
}

/// The parts without those that say little: what is in an old archive and is not a layer is summed up.
fn few(parts: &[DeltaPart]) -> Vec<DeltaPart> {
    let is_little = |part: &&DeltaPart| part.travels == How::Copied && part.size < LITTLE;
    let little: Vec<&DeltaPart> = parts.iter().filter(is_little).collect();
    if little.len() < 2 {
        return parts.to_vec();
    }
    let bytes = little
        .iter()
        .fold(0_u64, |sum, part| sum.saturating_add(part.size));
    let rest = DeltaPart {
        name: format!("{} small members", little.len()),
        size: bytes,
        expanded: bytes,
        same: bytes,
        ..little[0].clone()
    };
    let others = parts.iter().filter(|part| !is_little(part)).cloned();
    others.chain([rest]).collect()
}

/// Which parts are small enough to be summed up, in bytes.
const LITTLE: u64 = 1024;

/// One row per source.
fn sources(
    out: &mut dyn Write,
    sources: &[DeltaSource],
    page: Page,
    limits: &Limits,
) -> Result<(), Stop> {
    /// How many cells a digest takes where it is cut, and a size.
    const BESIDE: usize = 12 + 7 + 2 * PADDING as usize;
    let widest = sources.iter().map(|source| source.name.len()).max();
    let padding = widest.unwrap_or(0) as u64 * sources.len() as u64;
    limits
        .check(Limit::RepeatedText, padding)
        .map_err(|exceeded| columns::too_wide(padding, exceeded))?;
    let mut table = table(&["SOURCE", "SIZE", "SHA256"]);
    for source in sources {
        let name = name(&source.name, BESIDE, page);
        let digest = source
            .sha256
            .strip_prefix("sha256:")
            .unwrap_or(&source.sha256);
        let digest = match page.width {
            Some(_) => digest.get(..12).unwrap_or(digest),
            None => digest,
        };
        table.add_row([name, units::size(source.size), digest.to_owned()]);
    }
    Ok(written(out, table, 1..2)?)
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if !head.is_empty() {
        table.set_header(head);
    }
    table
}

/// Writes a table; the columns in `numbers` are set to the right.
fn written(
    out: &mut dyn Write,
    mut table: Table,
    numbers: std::ops::Range<usize>,
) -> io::Result<()> {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, PADDING));
        if numbers.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// What travels, by cause.
fn streams(out: &mut dyn Write, report: &DeltaReport) -> io::Result<()> {
    let streams = &report.streams;
    let rows = [
        ("differences from old files", streams.differences.size),
        ("new bytes", streams.data.size),
        ("headers", streams.headers.size),
        ("instructions", streams.control.size),
        ("compressed bytes as they are", streams.stored.size),
    ];
    let all = rows
        .iter()
        .fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    let rest = (
        "description and file format",
        report.size.saturating_sub(all),
    );
    let mut table = table(&[]);
    for (what, size) in rows.into_iter().chain([rest]) {
        if size > 0 {
            table.add_row([
                what.to_owned(),
                units::size(size),
                percent(size, report.size),
            ]);
        }
    }
    written(out, table, 1..3)
}

/// What it would cost to send the new file in each way.
fn compared(out: &mut dyn Write, costs: &DeltaCosts, page: Page) -> io::Result<()> {
    let mut table = table(&[]);
    let row = |what: &str, size: u64| {
        [
            what.to_owned(),
            units::size(size),
            percent(size, costs.whole),
        ]
    };
    table.add_row(row("the whole archive", costs.whole));
    if let Some(thin) = costs.thin {
        table.add_row(row("a thin archive", thin));
    }
    table.add_row(row("the delta", costs.delta));
    written(out, table, 1..3)?;
    if let Some(why) = &costs.no_thin {
        const BEGINNING: &str = "a thin archive is not possible: ";
        write!(out, "{BEGINNING}")?;
        page.wrapped(out, &escape::text(why), BEGINNING.len(), 0)?;
    }
    Ok(())
}
