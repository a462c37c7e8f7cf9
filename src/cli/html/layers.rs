//! The table of layers, with bars.

use imgtar::report::{ReportImage, ReportLayer};
use maud::{Markup, html};

use super::words::{css_percent, digest, more, percent, size};

/// How many colours there are for layers; they repeat.
const COLOURS: usize = 8;

/// How many layers stand on the page.
const LAYERS: usize = 1000;

/// How much of a build step stands in the table, in characters.
const STEP: usize = 120;

/// The class that gives a layer its colour.
pub(super) fn class(layer: usize) -> String {
    format!("l{}", layer % COLOURS)
}

/// The colour of a layer, before its number.
pub(super) fn swatch(layer: usize) -> Markup {
    html! { span class={ "swatch " (class(layer)) } {} }
}

/// The layers of an image.
pub(super) fn section(image: &ReportImage) -> Markup {
    let content = image.layers.iter().filter_map(|layer| layer.content);
    let most = content.max().unwrap_or(0);
    let hides = image
        .layers
        .iter()
        .any(|layer| layer.row.hidden.unwrap_or(0) > 0);
    html! {
        @if !image.layers.is_empty() {
            h3 { "Layers, base first" }
            div.scroll tabindex="0" role="region" aria-label="Layers" {
                table {
                    thead {
                        tr {
                            th.num { "#" } th { "Bytes" }
                            th.num { "Size" }
                            @if hides { th.num { "Hidden later" } }
                            th.num { "Stored" }
                            th { "Diff ID" }
                            th { "Build step" }
                        }
                    }
                    tbody { @for layer in image.layers.iter().take(LAYERS) { (row(layer, most, hides)) } }
                }
            }
            (more(image.layers.len(), LAYERS, "layers", "layers"))
            @if hides {
                p.muted { "The bar shows what a layer stores; later layers hide the hatched part." }
            }
        }
    }
}

fn row(layer: &ReportLayer, most: u64, hides: bool) -> Markup {
    let row = &layer.row;
    let (content, hidden) = (layer.content.unwrap_or(0), layer.row.hidden.unwrap_or(0));
    html! {
        tr {
            td.num { (swatch(row.index)) (row.index) }
            td {
                @if layer.content.is_some() {
                    span.bar {
                        b style={ "width:" (css_percent(content.saturating_sub(hidden), most)) } {}
                        @if hidden > 0 { b.hid style={ "width:" (css_percent(hidden, most)) } {} }
                    }
                }
            }
            td.num { @match row.size { Some(bytes) => (size(bytes)), None => "?" } }
            @if hides {
                td.num {
                    @if hidden > 0 { (size(hidden)) span.muted { " " (percent(hidden, content)) } }
                }
            }
            td.num { (stored(layer)) }
            td.nowrap {
                @if layer.ok { span.tag.ok { "✓" } }
                @else if row.left_out.is_some() { span.tag.warn { "left out" } }
                @else if row.stored_size.is_none() { span.tag.bad { "✗ missing" } }
                @else { span.tag.bad { "✗ not as claimed" } }
                " "
                @if let Some(id) = &row.diff_id { (digest(id)) }
            }
            td.wide.line { code { (step(row.created_by.as_deref().unwrap_or_default())) } }
        }
    }
}

fn stored(layer: &ReportLayer) -> Markup {
    use imgtar::source::Compression;
    html! {
        @match layer.row.stored_size {
            Some(bytes) => {
                (size(bytes))
                @match layer.row.compression {
                    None | Some(Compression::None) => {},
                    Some(other) => span.muted { " " (other.to_string()) },
                }
            },
            None => "–",
        }
    }
}

/// The beginning of a build step on one line.
fn step(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    if line.chars().count() <= STEP {
        return line;
    }
    let cut: String = line.chars().take(STEP).collect();
    format!("{cut}…")
}
