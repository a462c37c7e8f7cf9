//! The columns of the table of `layers`.

use imgtar::base::escape;
use imgtar::report::{LayerRow, units};
use imgtar::source::Compression;

use super::layers::{Form, is_plain, short};
use super::marks::{Page, cut};

/// How long the bar is that shows the share of a layer, in cells.
const BAR: u16 = 10;

/// A column: its name, whether it holds numbers, and what it says of a layer.
pub(super) struct LayerField<'f> {
    pub(super) name: &'static str,
    pub(super) numeric: bool,
    pub(super) cell: Box<dyn Fn(&LayerRow) -> String + 'f>,
}

/// The columns that say something: what is the same in all rows, or what another column says already, is left out
/// unless everything is asked for.
pub(super) fn fields<'f>(rows: &'f [LayerRow], form: Form<'_>) -> Vec<LayerField<'f>> {
    let page = form.page;
    let whole = page.whole;
    let field = |name, numeric, cell| LayerField {
        name,
        numeric,
        cell,
    };
    let text = |name, cell: Box<dyn Fn(&LayerRow) -> String + 'f>| field(name, false, cell);
    let number = |name, cell: Box<dyn Fn(&LayerRow) -> String + 'f>| field(name, true, cell);
    let id = move |of: fn(&LayerRow) -> Option<&str>| -> Box<dyn Fn(&LayerRow) -> String> {
        Box::new(move |row| digest(of(row), page))
    };
    let any = |is: &dyn Fn(&LayerRow) -> bool| rows.iter().any(is);
    let differ = |of: &dyn Fn(&LayerRow) -> Option<String>| {
        let mut all = rows.iter().map(of);
        let first = all.next();
        all.any(|one| Some(one) != first)
    };
    let mut fields = vec![number("#", Box::new(|row| row.index.to_string()))];
    if any(&|row| row.legacy_id.is_some()) {
        fields.push(text("V1 ID", id(|row| row.legacy_id.as_deref())));
    }
    let diff_id = if any(&|row| row.diff_id_computed) {
        "DIFF ID (COMPUTED)"
    } else {
        "DIFF ID"
    };
    fields.push(text(diff_id, id(|row| row.diff_id.as_deref())));
    if whole || any(&|row| row.chain_id != row.diff_id) {
        fields.push(text("CHAIN ID", id(|row| row.chain_id.as_deref())));
    }
    if any(&|row| row.digest.is_some() && (whole || row.digest != row.diff_id)) {
        fields.push(text("BLOB", id(|row| row.digest.as_deref())));
    }
    if any(&|row| row.media_type.is_some()) && (whole || differ(&|row| row.media_type.clone())) {
        fields.push(text(
            "MEDIA TYPE",
            Box::new(move |row| media_type(row, page)),
        ));
    }
    let form_of = |row: &LayerRow| {
        let absent = match row.left_out {
            Some(_) => "left out",
            None => "missing",
        };
        row.compression.map_or(absent, Compression::name).to_owned()
    };
    let is_absent = |row: &LayerRow| row.compression.is_none();
    if whole || any(&is_absent) || differ(&|row| Some(form_of(row))) {
        fields.push(text("COMPRESSION", Box::new(form_of)));
    }
    sizes(rows, form, &mut fields);
    fields.push(number(
        "ENTRIES",
        Box::new(|row| {
            row.entries
                .map_or_else(|| "-".to_owned(), |n| n.to_string())
        }),
    ));
    if whole || any(&|row| !says_where(row)) {
        fields.push(text(
            "MEMBER",
            Box::new(move |row| {
                page.short(&escape::name(&row.member.0).to_string())
                    .into_owned()
            }),
        ));
    }
    fields.push(if form.store_paths {
        text(
            "STORE PATH",
            Box::new(|row| row.store_path.clone().unwrap_or_else(|| "-".into())),
        )
    } else {
        text("CREATED BY", Box::new(move |row| created_by(row, page)))
    });
    fields
}

/// The columns of sizes.
fn sizes<'f>(rows: &'f [LayerRow], form: Form<'_>, fields: &mut Vec<LayerField<'f>>) {
    let page = form.page;
    let mut number = |name, cell: Box<dyn Fn(&LayerRow) -> String + 'f>| {
        fields.push(LayerField {
            name,
            numeric: name != "SHARE",
            cell,
        });
    };
    let stored = |row: &LayerRow| {
        let left_out = row.left_out.as_ref().map(|left_out| left_out.size);
        row.stored_size.or(left_out)
    };
    let plain = is_plain(rows) && !page.whole;
    let name = if plain { "SIZE" } else { "STORED" };
    number(name, Box::new(move |row| size(stored(row))));
    if !plain {
        number("TAR", Box::new(|row| size(row.tar_size)));
    }
    if rows.iter().any(|row| row.hidden > Some(0)) {
        number("HIDDEN", Box::new(|row| size(row.hidden)));
    }
    let total = rows.iter().filter_map(stored).fold(0, u64::saturating_add);
    if rows.len() > 1 && total > 0 {
        let bar = move |row: &LayerRow| page.bar(stored(row).unwrap_or(0), total, BAR);
        number("SHARE", Box::new(bar));
    }
}

/// Whether the name of the member is made of a digest that has a column.
fn says_where(row: &LayerRow) -> bool {
    let ids = [&row.digest, &row.diff_id, &row.legacy_id]
        .into_iter()
        .flatten();
    let mut hex = ids.map(|id| id.split_once(':').map_or(id.as_str(), |(_, hex)| hex));
    let member = String::from_utf8_lossy(&row.member.0);
    hex.any(|hex| !hex.is_empty() && member.contains(hex))
}

fn created_by(row: &LayerRow, page: Page) -> String {
    if page.whole {
        return escape::text(row.created_by.as_deref().unwrap_or("-")).into_owned();
    }
    let step = row.step.as_deref().unwrap_or("-");
    page.short(&escape::text(step)).into_owned()
}

fn digest(digest: Option<&str>, page: Page) -> String {
    match digest {
        None => "-".to_owned(),
        Some(digest) if page.whole => escape::text(digest).into_owned(),
        Some(digest) => escape::text(short(digest)).into_owned(),
    }
}

fn size(size: Option<u64>) -> String {
    size.map_or_else(|| "-".to_owned(), units::size)
}

/// Media types differ at their end; the longest that engines know has 45 characters there.
fn media_type(row: &LayerRow, page: Page) -> String {
    const MOST: usize = 60;
    let text = escape::text(row.media_type.as_deref().unwrap_or("-"));
    if page.whole {
        return text.into_owned();
    }
    let end = text.strip_prefix("application/vnd.").unwrap_or(&text);
    cut(end, MOST, page.ellipsis())
}
