//! The lines of `verify`.

use std::collections::HashMap;
use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::base::problem::Severity;
use imgtar::report::{
    EngineLine, Verify, VerifyArchive, VerifyArtifact, VerifyImage, VerifyLayer, VerifyMend,
    findings, units,
};
use unicode_width::UnicodeWidthStr;

use super::audit::audit;
use super::columns;
use super::delta::checked_delta;
use super::layers::short;
use super::loaders::loaders;
use super::marks::{BAD, GOOD, Page};
use super::problems::problems;
use crate::cli::output::Stop;

const HEAD: Style = Style::new().bold();
/// What stands between two columns of the table.
const PADDING: u16 = 2;

/// For one archive, a line a layer, a few a problem and a line an engine; for several archives, a line each and
/// below it the problems, if there are any. With `quiet`, only what fails. The last line is the verdict.
pub(crate) fn verify(
    out: &mut dyn Write,
    report: &Verify,
    several: bool,
    quiet: bool,
    page: Page,
    limits: &Limits,
) -> Result<(), Stop> {
    if let ([archive], false) = (report.archives.as_slice(), several)
        && !quiet
    {
        return Ok(one(out, archive, false, page)?);
    }
    if !quiet {
        table(out, &report.archives, page, limits)?;
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
            one(out, archive, true, page)?;
        }
    }
    if several && (!quiet || report.archives.iter().any(|archive| !archive.ok)) {
        writeln!(out)?;
        verdict(out, 0, &report.summary, page)?;
    }
    Ok(())
}

/// The last line: the verdict in colour.
fn verdict(out: &mut dyn Write, indent: usize, summary: &str, page: Page) -> io::Result<()> {
    let (word, rest) = summary.split_once(": ").unwrap_or((summary, ""));
    let style = if word == "ok" { GOOD } else { BAD };
    write!(out, "{:indent$}{style}{word}:{style:#} ", "")?;
    let begun = indent + word.len() + 2;
    page.wrapped(out, &escape::text(rest), begun, indent + 2)
}

/// The columns of the table. The paths are cut to the room that the others leave.
const COLUMNS: [&str; 7] = [
    "ARCHIVE",
    "RESULT",
    "IMAGES",
    "LAYERS",
    "ERRORS",
    "WARNINGS",
    "LOADED BY",
];

/// One line for each archive. Where a terminal has no room for long paths, their beginnings are left out.
///
/// The rows are as many as archives were named, so they can stand in memory; how wide one path makes all
/// of them is counted before.
fn table(
    out: &mut dyn Write,
    archives: &[VerifyArchive],
    page: Page,
    limits: &Limits,
) -> Result<(), Stop> {
    let widest = archives.iter().map(|archive| archive.path.len()).max();
    let padding = widest.unwrap_or(0) as u64 * archives.len() as u64;
    limits
        .check(Limit::RepeatedText, padding)
        .map_err(|exceeded| columns::too_wide(padding, exceeded))?;
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(COLUMNS);
    let rows: Vec<[String; 6]> = archives.iter().map(beside_path).collect();
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
    for (archive, row) in archives.iter().zip(rows) {
        let path = page.end(&escape::text(&archive.path), used).into_owned();
        table.add_row(std::iter::once(path).chain(row));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, PADDING));
        if (2..6).contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// What is said of an archive in the columns after its path.
fn beside_path(archive: &VerifyArchive) -> [String; 6] {
    let [errors, warnings] = counts(archive);
    let layers: usize = archive.images.iter().map(|image| image.layers.len()).sum();
    [
        if archive.ok { "ok" } else { "FAILED" }.to_owned(),
        archive.images.len().to_string(),
        layers.to_string(),
        errors.to_string(),
        warnings.to_string(),
        engines(archive),
    ]
}

/// How many of the engines load an archive.
fn engines(archive: &VerifyArchive) -> String {
    let lines = EngineLine::all(archive.loaders.as_deref().unwrap_or_default(), false);
    let loads = lines.iter().filter(|line| line.loader.verdict == "loads");
    match (loads.count(), lines.len()) {
        (0, 0) => "-".to_owned(),
        (0, _) => "none".to_owned(),
        (n, all) if n == all => "all".to_owned(),
        (n, all) => format!("{n} of {all}"),
    }
}

/// How many errors and warnings an archive has.
fn counts(archive: &VerifyArchive) -> [usize; 2] {
    [Severity::Error, Severity::Warning].map(|severity| {
        let of = archive.problems.iter().filter(|p| p.severity == severity);
        of.map(|problem| problem.count).sum()
    })
}

fn one(out: &mut dyn Write, archive: &VerifyArchive, quiet: bool, page: Page) -> io::Result<()> {
    writeln!(out, "{}", escape::text(&archive.path))?;
    if !quiet {
        images(out, archive, page)?;
        for one in &archive.artifacts {
            artifact(out, one, page)?;
        }
    }
    if let (Some(made), false) = (&archive.delta, quiet) {
        checked_delta(out, made, archive.ok, page)?;
    }
    let absent = archive.absent.as_ref().filter(|_| !page.whole);
    let found = findings(&archive.problems, absent);
    problems(out, &found, 2, page)?;
    if let Some(report) = &archive.loaders {
        loaders(out, archive, report, quiet, page)?;
    }
    mends(out, archive)?;
    for report in archive.audit.iter().flatten() {
        audit(out, report)?;
    }
    verdict(out, 2, &archive.summary, page)
}

/// The images and their layers; layers that another image has are not listed again.
fn images(out: &mut dyn Write, archive: &VerifyArchive, page: Page) -> io::Result<()> {
    let mut platforms = archive.images.iter().map(|image| &image.platform);
    let first = platforms.next();
    let differ = platforms.any(|platform| Some(platform) != first);
    let mut stacks = Stacks::default();
    for (number, image) in archive.images.iter().enumerate() {
        heading(out, image, differ, page)?;
        let (shared, with) = stacks.shared(number, image);
        let mut layers = image.layers.as_slice();
        if let (Some(with), false) = (with, page.whole)
            && shared > 1
        {
            let of = name(&archive.images[with]);
            let text = format!("layers 0-{} are those of {of}", shared - 1);
            writeln!(out, "    {} {}", page.good(), escape::text(&text))?;
            layers = &layers[shared..];
        }
        let digits = image.layers.len().saturating_sub(1).to_string().len();
        for layer in layers {
            layer_line(out, layer, digits, page)?;
        }
    }
    Ok(())
}

/// What an image is called, in few words.
fn name(image: &VerifyImage) -> &str {
    match image.references.first() {
        Some(name) => name,
        None => image.id.as_deref().map_or("<unknown>", short),
    }
}

fn heading(out: &mut dyn Write, image: &VerifyImage, differ: bool, page: Page) -> io::Result<()> {
    let names = if image.references.is_empty() {
        "<none>".into()
    } else {
        image.references.join(", ")
    };
    let names = escape::text(&names);
    let shown = |id: &str| escape::text(if page.whole { id } else { short(id) }).into_owned();
    let mut facts = vec![image.id.as_deref().map_or("<unknown>".into(), shown)];
    if differ {
        let platform = image.platform.as_deref().unwrap_or("<unknown platform>");
        facts.push(escape::text(platform).into_owned());
    }
    if let Some(id) = &image.containerd_id {
        facts.push(format!("containerd ID {}", shown(id)));
    }
    write!(out, "  {HEAD}{names}{HEAD:#}")?;
    let facts = facts.join(", ");
    let width = 2 + names.width() + 2 + facts.width();
    if page.whole || page.width.is_some_and(|room| width > usize::from(room)) {
        writeln!(
            out,
            "\n    {}",
            facts.replace(", ", if page.whole { "\n    " } else { ", " })
        )
    } else {
        writeln!(out, "  {facts}")
    }
}

fn layer_line(
    out: &mut dyn Write,
    layer: &VerifyLayer,
    digits: usize,
    page: Page,
) -> io::Result<()> {
    let shown = |id: &str| escape::text(if page.whole { id } else { short(id) }).into_owned();
    let (mark, digest, note) = match (&layer.diff_id, &layer.computed) {
        (Some(diff_id), _) if layer.ok => (page.good(), Some(diff_id), String::new()),
        (None, Some(computed)) if layer.ok => (page.good(), Some(computed), "computed".into()),
        (None, Some(computed)) => (page.bad(), Some(computed), "computed".into()),
        (Some(claimed), Some(computed)) => (
            page.bad(),
            Some(claimed),
            format!("MISMATCH: it is {}", shown(computed)),
        ),
        (Some(claimed), None) if layer.left_out => (page.open(), Some(claimed), "left out".into()),
        (claimed, None) if layer.size.is_none() => (page.bad(), claimed.as_ref(), "missing".into()),
        (claimed, None) => (page.bad(), claimed.as_ref(), "unreadable".into()),
    };
    let digest = digest.map_or_else(|| format!("{:<12}", "-"), |digest| shown(digest));
    let size = layer.size.map_or_else(|| "-".to_owned(), units::size);
    let begin = format!(" layer {:>digits$}  {digest}  {size:>7}", layer.index);
    let mut end = note;
    let mut put = |text: &str| {
        if !text.is_empty() {
            end.push_str(if end.is_empty() { "  " } else { "; " });
            end.push_str(text);
        }
    };
    let step = page.cut_already(layer.step.as_deref().unwrap_or_default());
    put(&page.short(&escape::text(&step)));
    if page.whole {
        put(&escape::name(&layer.member.0).to_string());
    }
    let used = 4 + page.mark_width() + begin.len();
    let end = if end.is_empty() || end.starts_with("  ") {
        end
    } else {
        format!("  {end}")
    };
    writeln!(out, "    {mark}{begin}{}", page.cut(&end, used).trim_end())
}

/// An artifact, and those of its blobs that are not what is claimed.
fn artifact(out: &mut dyn Write, artifact: &VerifyArtifact, page: Page) -> io::Result<()> {
    let ok = artifact.blobs.iter().all(|blob| blob.ok);
    let mark = if ok { page.good() } else { page.bad() };
    let kind = escape::text(&artifact.kind);
    let blobs = units::count(artifact.blobs.len(), "blob", "blobs");
    let digest = if page.whole {
        &artifact.digest
    } else {
        short(&artifact.digest)
    };
    writeln!(out, "  {mark} artifact {kind}  {digest}  {blobs}")?;
    for blob in &artifact.blobs {
        if blob.ok && !page.whole {
            continue;
        }
        let (mark, what) = match &blob.computed {
            _ if blob.ok => (page.good(), ""),
            None => (page.bad(), "  missing"),
            Some(_) => (page.bad(), "  MISMATCH"),
        };
        let digest = if page.whole {
            &blob.digest
        } else {
            short(&blob.digest)
        };
        writeln!(out, "    {mark} blob {digest}{what}")?;
    }
    Ok(())
}

/// The stacks of layers that were shown.
#[derive(Default)]
struct Stacks<'r> {
    /// By the number of the stack below and the digest on top of it; 0 is the empty stack.
    known: HashMap<(usize, &'r str), usize>,
    /// The first image that has each stack, but the empty one.
    owners: Vec<usize>,
}

impl<'r> Stacks<'r> {
    /// How many layers of an image are those of an earlier one, all of them in order, and which one that is.
    fn shared(&mut self, number: usize, image: &'r VerifyImage) -> (usize, Option<usize>) {
        let (mut below, mut shared, mut with) = (0, 0, None);
        let mut all_known = true;
        for layer in &image.layers {
            let Some(digest) = layer.diff_id.as_deref().filter(|_| layer.ok) else {
                break;
            };
            if let Some(&stack) = self.known.get(&(below, digest)) {
                below = stack;
                if all_known {
                    shared += 1;
                    with = Some(self.owners[stack - 1]);
                }
            } else {
                all_known = false;
                self.owners.push(number);
                self.known.insert((below, digest), self.owners.len());
                below = self.owners.len();
            }
        }
        (shared, with)
    }
}

/// The commands that make an archive which engines load that refuse this one.
fn mends(out: &mut dyn Write, archive: &VerifyArchive) -> io::Result<()> {
    for mend in &archive.mends {
        let path = &archive.path;
        match mend {
            VerifyMend::Convert => writeln!(
                out,
                "  for Docker's overlay2 store: imgtar convert {path} --layout docker -o FILE"
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

#[cfg(test)]
mod tests {
    use super::*;
    use imgtar::base::problem::{Code, Problem};

    #[test]
    fn the_table_of_several_archives_fits_the_terminal() {
        let problem =
            |count| Problem::warning(Code::DuplicatePath, "twice").on_path(b"a", &[], count);
        let named = |name: &str, count| {
            let path = format!("{}{name}", "directory/".repeat(12));
            VerifyArchive::unreadable(&path, &[problem(count)], None)
        };
        let archives = [
            named("app.tar", 1),
            named("東京東京東京東京東京東京東京.tar", 2),
            named("many.tar", 1_234_567_890),
        ];
        let mut out = Vec::new();
        let page = Page::new(Some(80), false);
        assert!(table(&mut out, &archives, page, &Limits::default()).is_ok());
        let text = String::from_utf8(out).expect("text");
        let widths: Vec<usize> = text.lines().map(UnicodeWidthStr::width).collect();
        assert!(widths.iter().all(|width| *width <= 80), "{text}");
        // The room is used: the first path ends where the columns beside it begin.
        assert!(
            widths[1] >= 70 && text.contains("directory/app.tar "),
            "{text}"
        );
    }
}
