//! The table of `layers`.

use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::report::{LayerRow, LayersImage, units};
use imgtar::source::Compression;
use unicode_width::UnicodeWidthStr;

use super::columns::{spaces, too_wide};
use super::inspect::split_line;
use crate::cli::output::Stop;

/// Which columns people want to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerColumns {
    /// Whole digests and commands.
    pub(crate) whole: bool,
    /// Where an engine's store keeps each layer.
    pub(crate) store_paths: bool,
}

/// The layers of several images, `width` cells wide if that matters.
pub(crate) fn layers(
    out: &mut dyn Write,
    images: impl Iterator<Item = LayersImage>,
    several: bool,
    form: Form<'_>,
) -> Result<(), Stop> {
    for (i, image) in images.enumerate() {
        if several {
            if i > 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}", title(&image))?;
        }
        table(out, &image.layers, form)?;
    }
    Ok(())
}

fn title(image: &LayersImage) -> String {
    let id = image.id.as_deref().unwrap_or("<unknown>");
    let names = if image.references.is_empty() {
        "<none>".into()
    } else {
        image.references.join(", ")
    };
    format!("{} {}", escape::text(&names), escape::text(id))
}

/// How a table of layers looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'l> {
    /// What people want to see.
    pub(crate) columns: LayerColumns,
    /// How many cells there are in a line, if that matters.
    pub(crate) width: Option<u16>,
    /// How much white space there may be.
    pub(crate) limits: &'l Limits,
}

/// One image's layers, base first. On a narrow terminal the less important columns are
/// left out, the last of [`EXPENDABLE`] last, and then the last column is wrapped.
pub(super) fn table(out: &mut dyn Write, rows: &[LayerRow], form: Form<'_>) -> Result<(), Stop> {
    let mut table = LayerTable::of(rows, form.columns);
    let room = form.width.map_or(usize::MAX, usize::from);
    let mut expendable = EXPENDABLE.iter();
    while table.width() > room {
        let Some(name) = expendable.next() else { break };
        table.leave_out(name);
    }
    let padding = table.padding();
    form.limits
        .check(Limit::RepeatedText, padding)
        .map_err(|exceeded| too_wide(padding, exceeded))?;
    table.write(out, room)?;
    Ok(())
}

/// How many spaces stand between columns.
const GAP: usize = 2;
/// A last column that would be narrower than this is not wrapped.
const NARROW: usize = 20;

/// The columns of a table and how wide they are. Its cells are made twice, to be measured and to be
/// written: there may be a hundred thousand rows.
struct LayerTable<'r> {
    rows: &'r [LayerRow],
    columns: LayerColumns,
    /// With the width of each, and the widths of its cells added up.
    fields: Vec<(Field, usize, u64)>,
}

impl<'r> LayerTable<'r> {
    fn of(rows: &'r [LayerRow], columns: LayerColumns) -> Self {
        let mut fields: Vec<_> = fields(rows, columns)
            .into_iter()
            .map(|field| {
                let width = field.name.width();
                (field, width, width as u64)
            })
            .collect();
        for row in rows {
            for (field, widest, sum) in &mut fields {
                let width = (field.cell)(row, columns).width();
                *widest = width.max(*widest);
                *sum = sum.saturating_add(width as u64);
            }
        }
        Self {
            rows,
            columns,
            fields,
        }
    }

    fn leave_out(&mut self, name: &str) {
        self.fields.retain(|(field, ..)| field.name != name);
    }

    /// How wide its widest line is, in cells.
    fn width(&self) -> usize {
        let widths = self.fields.iter().map(|(_, width, _)| width + GAP);
        widths.sum::<usize>().saturating_sub(GAP)
    }

    /// Where the last column begins.
    fn last_column(&self) -> usize {
        let last = self.fields.last().map_or(0, |(_, width, _)| *width);
        self.width().saturating_sub(last)
    }

    /// How many spaces make its columns even.
    fn padding(&self) -> u64 {
        let lines = self.rows.len() as u64 + 1;
        let but_last = self.fields.split_last().map_or(&[][..], |(_, rest)| rest);
        let even = |(_, width, sum): &(Field, usize, u64)| {
            lines.saturating_mul(*width as u64).saturating_sub(*sum)
        };
        but_last.iter().map(even).fold(0, u64::saturating_add)
    }

    fn write(&self, out: &mut dyn Write, room: usize) -> io::Result<()> {
        let begin = self.last_column();
        let room = room.saturating_sub(begin);
        let room = if room < NARROW { usize::MAX } else { room };
        self.line(out, &|field| field.name.to_owned(), begin, room)?;
        for row in self.rows {
            self.line(out, &|field| (field.cell)(row, self.columns), begin, room)?;
        }
        Ok(())
    }

    fn line(
        &self,
        out: &mut dyn Write,
        cell: &dyn Fn(&Field) -> String,
        begin: usize,
        room: usize,
    ) -> io::Result<()> {
        // Spaces are written once something follows them.
        let mut due = 0;
        for (i, (field, width, _)) in self.fields.iter().enumerate() {
            let text = cell(field);
            let space = width.saturating_sub(text.width());
            if i + 1 == self.fields.len() {
                return last_cell(out, text.trim_end(), due, begin, room);
            }
            if field.numeric {
                due += space;
            }
            let trimmed = text.trim_end();
            if !trimmed.is_empty() {
                spaces(out, due)?;
                out.write_all(trimmed.as_bytes())?;
                due = text.len() - trimmed.len();
            }
            due += GAP + if field.numeric { 0 } else { space };
        }
        out.write_all(b"\n")
    }
}

/// Writes the end of a line, on several lines if it is longer than `room` cells.
fn last_cell(
    out: &mut dyn Write,
    text: &str,
    due: usize,
    begin: usize,
    room: usize,
) -> io::Result<()> {
    let (mut line, mut rest) = wrap(text, room);
    if !line.is_empty() {
        spaces(out, due)?;
    }
    loop {
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
        if rest.is_empty() {
            return Ok(());
        }
        (line, rest) = wrap(rest, room);
        spaces(out, begin)?;
    }
}

fn wrap(text: &str, room: usize) -> (&str, &str) {
    if room == usize::MAX {
        (text, "")
    } else {
        split_line(text, room)
    }
}

/// Columns in the order in which a narrow terminal loses them.
const EXPENDABLE: [&str; 6] = [
    "MEDIA TYPE",
    "MEMBER",
    "BLOB",
    "CHAIN ID",
    "ENTRIES",
    "STORED",
];

/// A column: its name, whether it holds numbers, and what it says of a layer.
struct Field {
    name: &'static str,
    numeric: bool,
    cell: fn(&LayerRow, LayerColumns) -> String,
}

fn fields(rows: &[LayerRow], columns: LayerColumns) -> Vec<Field> {
    let text = |name, cell| Field {
        name,
        numeric: false,
        cell,
    };
    let number = |name, cell| Field {
        name,
        numeric: true,
        cell,
    };
    let mut fields = vec![number("#", |row, _| row.index.to_string())];
    if rows.iter().any(|row| row.legacy_id.is_some()) {
        fields.push(text("V1 ID", |row, columns| {
            digest(row.legacy_id.as_deref(), columns)
        }));
    }
    let computed = rows.iter().any(|row| row.diff_id_computed);
    let diff_id = if computed {
        "DIFF ID (COMPUTED)"
    } else {
        "DIFF ID"
    };
    fields.push(text(diff_id, |row, columns| {
        digest(row.diff_id.as_deref(), columns)
    }));
    fields.push(text("CHAIN ID", |row, columns| {
        digest(row.chain_id.as_deref(), columns)
    }));
    if rows.iter().any(|row| row.digest.is_some()) {
        fields.push(text("BLOB", |row, columns| {
            digest(row.digest.as_deref(), columns)
        }));
        fields.push(text("MEDIA TYPE", media_type));
    }
    fields.extend([
        text("COMPRESSION", |row, _| {
            let absent = match row.left_out {
                Some(_) => "left out",
                None => "missing",
            };
            row.compression.map_or(absent, Compression::name).to_owned()
        }),
        number("STORED", |row, _| {
            let left_out = row.left_out.as_ref().map(|left_out| left_out.size);
            size(row.stored_size.or(left_out))
        }),
        number("TAR", |row, _| size(row.tar_size)),
        number("ENTRIES", |row, _| {
            row.entries
                .map_or_else(|| "-".to_owned(), |n| n.to_string())
        }),
        text("MEMBER", |row, columns| {
            cut(&escape::name(&row.member.0).to_string(), 24, columns)
        }),
    ]);
    fields.push(if columns.store_paths {
        text("STORE PATH", |row, _| {
            row.store_path.clone().unwrap_or_else(|| "-".into())
        })
    } else {
        text("CREATED BY", |row, columns| {
            cut(
                &escape::text(row.created_by.as_deref().unwrap_or("-")),
                45,
                columns,
            )
        })
    });
    fields
}

fn digest(digest: Option<&str>, columns: LayerColumns) -> String {
    match digest {
        None => "-".to_owned(),
        Some(digest) if columns.whole => escape::text(digest).into_owned(),
        Some(digest) => escape::text(short(digest)).into_owned(),
    }
}

fn size(size: Option<u64>) -> String {
    size.map_or_else(|| "-".to_owned(), units::size)
}

/// The first 12 characters behind the algorithm.
pub(super) fn short(digest: &str) -> &str {
    let encoded = digest
        .split_once(':')
        .map_or(digest, |(_, encoded)| encoded);
    encoded.get(..12).unwrap_or(encoded)
}

/// Media types differ at their end; the longest that engines know has 45 characters there.
fn media_type(row: &LayerRow, columns: LayerColumns) -> String {
    let text = escape::text(row.media_type.as_deref().unwrap_or("-"));
    let end = text.strip_prefix("application/vnd.");
    cut(end.filter(|_| !columns.whole).unwrap_or(&text), 60, columns)
}

/// Cuts text to `max` characters unless all of it is to be shown.
fn cut(text: &str, max: usize, columns: LayerColumns) -> String {
    // A text may have a megabyte, and be looked at for each of many rows.
    if columns.whole || text.chars().take(max + 1).count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}
