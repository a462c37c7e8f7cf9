//! The table of `layers`.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use imgtar::report::{LayerRow, LayersImage, units};
use imgtar::source::Compression;
use unicode_width::UnicodeWidthStr;

use super::problems::lossy;
use crate::cli::output::escaped;

/// Which columns people want to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerColumns {
    /// Whole digests and commands.
    pub(crate) whole: bool,
    /// Where an engine's store keeps each layer.
    pub(crate) store_paths: bool,
}

/// The layers of several images, `width` cells wide if that matters.
pub(crate) fn layers(images: &[LayersImage], columns: LayerColumns, width: Option<u16>) -> String {
    let mut text = String::new();
    for (i, image) in images.iter().enumerate() {
        if images.len() > 1 {
            if i > 0 {
                text.push('\n');
            }
            _ = writeln!(text, "{}", title(image));
        }
        text.push_str(&table(&image.layers, columns, width));
    }
    text
}

fn title(image: &LayersImage) -> String {
    let id = image.id.as_deref().unwrap_or("<unknown>");
    let names = if image.references.is_empty() {
        "<none>".into()
    } else {
        image.references.join(", ")
    };
    format!("{} {}", escaped(&names), escaped(id))
}

/// One image's layers, base first. On a narrow terminal the columns that people can do without are
/// left out, the last of [`EXPENDABLE`] last.
pub(super) fn table(rows: &[LayerRow], columns: LayerColumns, width: Option<u16>) -> String {
    let mut fields = fields(rows, columns);
    let mut table = layout(&fields, rows, columns);
    if let Some(width) = width {
        let mut expendable = EXPENDABLE.iter();
        while table
            .lines()
            .any(|line| line.trim_end().width() > usize::from(width))
        {
            let Some(name) = expendable.next() else {
                table
                    .set_content_arrangement(ContentArrangement::Dynamic)
                    .set_width(width);
                break;
            };
            fields.retain(|field| field.name != *name);
            table = layout(&fields, rows, columns);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
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
            row.compression
                .map_or("missing", Compression::name)
                .to_owned()
        }),
        number("STORED", |row, _| size(row.stored_size)),
        number("TAR", |row, _| size(row.tar_size)),
        number("ENTRIES", |row, _| {
            row.entries
                .map_or_else(|| "-".to_owned(), |n| n.to_string())
        }),
        text("MEMBER", |row, columns| {
            cut(&lossy(&row.member), 24, columns)
        }),
    ]);
    fields.push(if columns.store_paths {
        text("STORE PATH", |row, _| {
            row.store_path.clone().unwrap_or_else(|| "-".into())
        })
    } else {
        text("CREATED BY", |row, columns| {
            cut(
                &escaped(row.created_by.as_deref().unwrap_or("-")),
                45,
                columns,
            )
        })
    });
    fields
}

fn layout(fields: &[Field], rows: &[LayerRow], columns: LayerColumns) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(fields.iter().map(|field| field.name));
    for row in rows {
        table.add_row(fields.iter().map(|field| (field.cell)(row, columns)));
    }
    for (i, field) in fields.iter().enumerate() {
        if let Some(column) = table.column_mut(i) {
            // No margin on the left: the first cell begins the line.
            column.set_padding((0, 2));
            if field.numeric {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
}

fn digest(digest: Option<&str>, columns: LayerColumns) -> String {
    match digest {
        None => "-".to_owned(),
        Some(digest) if columns.whole => digest.to_owned(),
        Some(digest) => short(digest).to_owned(),
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

/// Media types differ at their end.
fn media_type(row: &LayerRow, columns: LayerColumns) -> String {
    let text = escaped(row.media_type.as_deref().unwrap_or("-"));
    let cut = if columns.whole {
        None
    } else {
        text.strip_prefix("application/vnd.")
    };
    cut.unwrap_or(&text).to_owned()
}

/// Cuts text to `max` characters unless all of it is wanted.
fn cut(text: &str, max: usize, columns: LayerColumns) -> String {
    if columns.whole || text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}
