//! The table of `layers`.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use imgtar::report::{LayerRow, LayersImage, units};

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

/// One image's layers, base first.
pub(super) fn table(rows: &[LayerRow], columns: LayerColumns, width: Option<u16>) -> String {
    let legacy = rows.iter().any(|row| row.legacy_id.is_some());
    let computed = rows.iter().any(|row| row.diff_id_computed);
    let mut header = vec!["#"];
    if legacy {
        header.push("V1 ID");
    }
    header.push(if computed {
        "DIFF ID (COMPUTED)"
    } else {
        "DIFF ID"
    });
    header.extend([
        "CHAIN ID",
        "BLOB",
        "MEDIA TYPE",
        "COMPRESSION",
        "STORED",
        "TAR",
        "ENTRIES",
        "MEMBER",
    ]);
    header.push(if columns.store_paths {
        "STORE PATH"
    } else {
        "CREATED BY"
    });

    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.clone());
    match width {
        Some(width) => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    for row in rows {
        table.add_row(cells(row, columns, legacy));
    }
    for (i, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(i) {
            // No margin on the left: the first cell begins the line.
            column.set_padding((0, 2));
            if matches!(*name, "#" | "STORED" | "TAR" | "ENTRIES") {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn cells(row: &LayerRow, columns: LayerColumns, legacy: bool) -> Vec<String> {
    let digest = |digest: &Option<String>| match digest {
        None => "-".to_owned(),
        Some(digest) if columns.whole => digest.clone(),
        Some(digest) => short(digest).to_owned(),
    };
    let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), units::size);
    let mut cells = vec![row.index.to_string()];
    if legacy {
        cells.push(digest(&row.legacy_id));
    }
    cells.extend([
        digest(&row.diff_id),
        digest(&row.chain_id),
        digest(&row.digest),
        row.media_type
            .as_deref()
            .map_or_else(|| "-".into(), |t| media_type(t, columns.whole)),
        row.compression.map_or("missing", |c| c.name()).to_owned(),
        size(row.stored_size),
        size(row.tar_size),
        row.entries
            .map_or_else(|| "-".to_owned(), |n| n.to_string()),
        if columns.whole {
            lossy(&row.member)
        } else {
            ellipsis(&lossy(&row.member), 24)
        },
    ]);
    cells.push(if columns.store_paths {
        row.store_path.clone().unwrap_or_else(|| "-".into())
    } else {
        let by = escaped(row.created_by.as_deref().unwrap_or("-")).into_owned();
        if columns.whole { by } else { ellipsis(&by, 45) }
    });
    cells
}

/// The first 12 characters behind the algorithm.
pub(super) fn short(digest: &str) -> &str {
    let encoded = digest
        .split_once(':')
        .map_or(digest, |(_, encoded)| encoded);
    encoded.get(..12).unwrap_or(encoded)
}

/// Media types differ at their end.
fn media_type(text: &str, whole: bool) -> String {
    let text = escaped(text);
    let cut = if whole {
        None
    } else {
        text.strip_prefix("application/vnd.")
    };
    cut.unwrap_or(&text).to_owned()
}

fn ellipsis(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}
