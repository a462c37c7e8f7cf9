//! The table of `docker images` since Docker 29, as it is printed into a pipe (docker/cli
//! `cli/command/image/tree.go`): no colours, no legend and no cuts, and every row ends in blanks.

use std::io::Write;

use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::report::{EngineImage, units};

use super::columns::{spaces, too_wide};
use crate::cli::output::Stop;

/// What an image without a tag is called.
const UNTAGGED: &str = "<untagged>";
const TITLE: &str = "IMAGE";
/// What stands between two columns.
const GAP: &str = "   ";
/// The branch before a platform. Docker counts its seven bytes, which are three cells.
const LAST: &str = "└─ ";
const OTHER: &str = "├─ ";

/// One row for each tag, by name.
pub(crate) fn list(
    out: &mut dyn Write,
    images: &[EngineImage],
    limits: &Limits,
) -> Result<(), Stop> {
    let mut rows: Vec<(&str, &EngineImage)> = Vec::new();
    for image in images {
        rows.extend(image.names.iter().map(|name| (name.as_str(), image)));
        if image.names.is_empty() {
            rows.push((UNTAGGED, image));
        }
    }
    rows.sort_by_key(|(name, image)| (image.names.is_empty(), *name));
    let width = width(rows.iter().map(|(name, _)| name.len()));
    fits(width, rows.len(), limits)?;
    head(out, width)?;
    for (name, image) in rows {
        first(out, name, width)?;
        details(out, &image.id, image.disk_usage, image.content_size)?;
    }
    Ok(())
}

/// One block for each image: its names on lines of their own, then its platforms.
pub(crate) fn tree(
    out: &mut dyn Write,
    images: &[EngineImage],
    limits: &Limits,
) -> Result<(), Stop> {
    let names = images.iter().flat_map(|image| {
        let untagged = image.names.is_empty().then_some(UNTAGGED.len());
        image.names.iter().map(String::len).chain(untagged)
    });
    let platforms = images.iter().flat_map(|image| &image.platforms);
    // What is escaped is longer than what Docker would print.
    let platforms = platforms.map(|one| escape::text(&one.platform).len() + LAST.len());
    let width = width(names.chain(platforms));
    let lines = images
        .iter()
        .map(|image| image.names.len() + image.platforms.len() + 1);
    fits(width, lines.sum(), limits)?;
    head(out, width)?;
    let spaced = images.iter().any(|image| !image.platforms.is_empty());
    for image in images {
        let (last, others) = match image.names.split_last() {
            Some((last, others)) => (last.as_str(), others),
            None => (UNTAGGED, &[][..]),
        };
        for name in others {
            first(out, name, width)?;
            writeln!(out)?;
        }
        first(out, last, width)?;
        details(out, &image.id, image.disk_usage, image.content_size)?;
        let count = image.platforms.len();
        for (i, one) in image.platforms.iter().enumerate() {
            let branch = if i + 1 == count { LAST } else { OTHER };
            let platform = escape::text(&one.platform);
            let cells = branch.chars().count() + platform.chars().count();
            write!(out, "{branch}{platform}")?;
            spaces(out, width.saturating_sub(cells))?;
            details(out, &one.id, one.disk_usage, one.content_size)?;
        }
        if spaced {
            writeln!(out)?;
        }
    }
    Ok(())
}

/// How wide the first column is.
fn width(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.max().unwrap_or(0).max(TITLE.len())
}

/// Refuses a table that would be mostly white space, because of one long name.
fn fits(width: usize, rows: usize, limits: &Limits) -> Result<(), Stop> {
    let padding = width as u64 * rows as u64;
    let within = limits.check(Limit::RepeatedText, padding);
    Ok(within.map_err(|exceeded| too_wide(padding, exceeded))?)
}

fn head(out: &mut dyn Write, width: usize) -> Result<(), Stop> {
    first(out, TITLE, width)?;
    let id = format!("{:<12}", "ID");
    writeln!(out, "{GAP}{id}{GAP}DISK USAGE{GAP}CONTENT SIZE{GAP}EXTRA")?;
    Ok(())
}

fn first(out: &mut dyn Write, text: &str, width: usize) -> Result<(), Stop> {
    let text = escape::text(text);
    write!(out, "{text}")?;
    spaces(out, width.saturating_sub(text.chars().count()))?;
    Ok(())
}

/// The other columns. What uses an image is not in an archive, so that the last one is blank.
fn details(out: &mut dyn Write, id: &str, usage: Option<u64>, content: u64) -> Result<(), Stop> {
    let id = id.split_once(':').map_or(id, |(_, encoded)| encoded);
    let id = escape::text(id.get(..12).unwrap_or(id));
    let usage = usage.map_or_else(|| "N/A".to_owned(), units::size);
    let content = units::size(content);
    writeln!(
        out,
        "{GAP}{id:<12}{GAP}{usage:>10}{GAP}{content:>12}{GAP}     "
    )?;
    Ok(())
}
