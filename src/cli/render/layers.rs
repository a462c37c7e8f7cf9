//! The table of `layers`.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::Style;
use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::report::{Each, LayerRow, LayersImage, units};
use imgtar::source::Compression;
use unicode_width::UnicodeWidthStr;

use super::columns::{spaces, too_wide};
use super::layer_fields::{LayerField, fields};
use super::marks::Page;
use crate::cli::output::Stop;

const HEAD: Style = Style::new().bold();

/// How a table of layers looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'l> {
    /// Where an engine's store keeps each layer, instead of what made it.
    pub(crate) store_paths: bool,
    /// In which characters, and how wide. Whole digests and commands where nothing is shortened.
    pub(crate) page: Page,
    /// How much white space there may be.
    pub(crate) limits: &'l Limits,
}

/// The layers of several images.
pub(crate) fn layers(
    out: &mut dyn Write,
    images: &Each<'_, LayersImage>,
    form: Form<'_>,
) -> Result<(), Stop> {
    let several = images.len() > 1;
    let mut platforms = images.images().iter().map(|image| &image.platform);
    let first = platforms.next();
    let differ = platforms.any(|platform| Some(platform) != first);
    for (i, image) in images.iter().enumerate() {
        if several {
            if i > 0 {
                writeln!(out)?;
            }
            title(out, &image, differ, form.page)?;
        }
        table(out, &image.layers, form)?;
    }
    Ok(())
}

fn title(out: &mut dyn Write, image: &LayersImage, differ: bool, page: Page) -> Result<(), Stop> {
    let id = image.id.as_deref().unwrap_or("<unknown>");
    let id = if page.whole { id } else { short(id) };
    let names = if image.references.is_empty() {
        "<none>".into()
    } else {
        image.references.join(", ")
    };
    let (names, id) = (escape::text(&names), escape::text(id));
    write!(out, "{HEAD}{names}{HEAD:#}  {id}")?;
    if differ {
        let platform = image.platform.as_deref().unwrap_or("<unknown platform>");
        write!(out, "  {}", escape::text(platform))?;
    }
    Ok(writeln!(out)?)
}

/// One image's layers, base first, and what they are together. On a narrow terminal the less important columns are
/// left out, the last of [`EXPENDABLE`] last, and the last column is cut.
pub(super) fn table(out: &mut dyn Write, rows: &[LayerRow], form: Form<'_>) -> Result<(), Stop> {
    let mut table = LayerTable::of(rows, form);
    if form.page.is_cut() {
        let room = form.page.width.map_or(usize::MAX, usize::from);
        for (name, least) in EXPENDABLE {
            if table.width(least) > room {
                table.leave_out(name);
            }
        }
    }
    let padding = table.padding();
    form.limits
        .check(Limit::RepeatedText, padding)
        .map_err(|exceeded| too_wide(padding, exceeded))?;
    table.write(out)?;
    Ok(form.page.wrapped(out, &sum(rows), 0, 2)?)
}

/// What the layers are together.
fn sum(rows: &[LayerRow]) -> String {
    let total = |of: fn(&LayerRow) -> Option<u64>| {
        rows.iter()
            .try_fold(0_u64, |sum, row| Some(sum.saturating_add(of(row)?)))
    };
    let there = rows.iter().filter_map(|row| row.stored_size);
    let stored = there.fold(0, u64::saturating_add);
    let mut text = units::count(rows.len(), "layer", "layers");
    text.push_str(", ");
    text.push_str(&units::size(stored));
    if let Some(tars) = total(|row| row.tar_size).filter(|_| !is_plain(rows)) {
        text.push_str(" stored, ");
        text.push_str(&units::size(tars));
        text.push_str(if rows.len() == 1 {
            " as a tar"
        } else {
            " as tars"
        });
    }
    let mut forms = rows.iter().map(|row| row.compression);
    if let Some(Some(first)) = forms.next()
        && forms.all(|form| form == Some(first))
    {
        let all = if rows.len() > 1 { "all " } else { "" };
        match first {
            Compression::None if rows.len() > 1 => text.push_str(", none compressed"),
            Compression::None => text.push_str(", not compressed"),
            other => _ = write!(text, ", {all}{}", other.name()),
        }
    }
    match total(|row| row.hidden) {
        Some(0) if rows.len() > 1 => text.push_str("; nothing is hidden"),
        Some(hidden) if hidden > 0 => {
            let hidden = units::size(hidden);
            _ = write!(text, "; {hidden} hidden (`imgtar waste` lists it)");
        }
        None if rows.len() > 1 => text.push_str("; `imgtar waste` counts hidden bytes"),
        _ => {}
    }
    text
}

/// Whether tars are stored as they are.
pub(super) fn is_plain(rows: &[LayerRow]) -> bool {
    let differs = |row: &LayerRow| row.tar_size.is_some() && row.tar_size != row.stored_size;
    !rows.iter().any(differs)
}

/// How many spaces stand between columns.
const GAP: usize = 2;

/// The columns of a table and how wide they are. Its cells are made twice, to be measured and to be
/// written: there may be a hundred thousand rows.
struct LayerTable<'r> {
    rows: &'r [LayerRow],
    page: Page,
    /// With the width of each, and the widths of its cells added up.
    fields: Vec<(LayerField<'r>, usize, u64)>,
}

impl<'r> LayerTable<'r> {
    fn of(rows: &'r [LayerRow], form: Form<'_>) -> Self {
        let mut fields: Vec<_> = fields(rows, form)
            .into_iter()
            .map(|field| {
                let width = field.name.width();
                (field, width, width as u64)
            })
            .collect();
        for row in rows {
            for (field, widest, sum) in &mut fields {
                let width = (field.cell)(row).width();
                *widest = width.max(*widest);
                *sum = sum.saturating_add(width as u64);
            }
        }
        Self {
            rows,
            page: form.page,
            fields,
        }
    }

    fn leave_out(&mut self, name: &str) {
        self.fields.retain(|(field, ..)| field.name != name);
    }

    /// How wide it is if the last column is cut to so many cells.
    fn width(&self, least: usize) -> usize {
        let end = self.fields.last().map_or(0, |(_, width, _)| *width);
        self.last_column() + end.min(least)
    }

    /// Where the last column begins.
    fn last_column(&self) -> usize {
        let but_last = self.fields.split_last().map_or(&[][..], |(_, rest)| rest);
        but_last.iter().map(|(_, width, _)| width + GAP).sum()
    }

    /// How many spaces make its columns even.
    fn padding(&self) -> u64 {
        let lines = self.rows.len() as u64 + 1;
        let but_last = self.fields.split_last().map_or(&[][..], |(_, rest)| rest);
        let even = |(_, width, sum): &(LayerField<'_>, usize, u64)| {
            lines.saturating_mul(*width as u64).saturating_sub(*sum)
        };
        but_last.iter().map(even).fold(0, u64::saturating_add)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.line(out, &|field| field.name.to_owned())?;
        for row in self.rows {
            self.line(out, &|field| (field.cell)(row))?;
        }
        Ok(())
    }

    fn line(
        &self,
        out: &mut dyn Write,
        cell: &dyn Fn(&LayerField<'_>) -> String,
    ) -> io::Result<()> {
        // Spaces are written once something follows them.
        let mut due = 0;
        for (i, (field, width, _)) in self.fields.iter().enumerate() {
            let text = cell(field);
            let text = if i + 1 == self.fields.len() {
                self.page.cut(&text, self.last_column())
            } else {
                text.into()
            };
            let space = width.saturating_sub(text.width());
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

/// Columns in the order in which a narrow terminal loses them, and how many cells of the last column are worth
/// more than each: who looks for a digest has `--no-trunc`, and everybody wants to know what made a layer.
const EXPENDABLE: [(&str, usize); 10] = [
    ("MEMBER", 90),
    ("MEDIA TYPE", 72),
    ("CHAIN ID", 72),
    ("BLOB", 72),
    ("ENTRIES", 28),
    ("COMPRESSION", 28),
    ("TAR", 28),
    ("SHARE", 28),
    ("HIDDEN", 28),
    ("V1 ID", 20),
];

/// The first 12 characters behind the algorithm.
pub(super) fn short(digest: &str) -> &str {
    let encoded = digest
        .split_once(':')
        .map_or(digest, |(_, encoded)| encoded);
    encoded.get(..12).unwrap_or(encoded)
}
