//! What is stored and never seen.

use imgtar::report::{ReportImage, ReportWaste, WasteGroup, WasteKind};
use maud::{Markup, html};

use super::words::{count, grouped, path, size};
use super::{layers, sized};

/// How many places stand on the page.
const PLACES: usize = 20;

/// The waste of an image.
pub(super) fn section(image: &ReportImage) -> Markup {
    html! {
        @if let Some(waste) = &image.waste {
            h3 { "Waste" }
            @if waste.wasted == 0 && waste.places.is_empty() {
                p { "Nothing: a container sees every byte that the layers store." }
            } @else {
                (told(waste))
            }
        }
    }
}

fn told(waste: &ReportWaste) -> Markup {
    let hidden = waste.places.len().saturating_sub(PLACES) + waste.more_places;
    let bytes = waste.places.iter().skip(PLACES).map(|place| place.bytes);
    let bytes = bytes.fold(waste.more_bytes, u64::saturating_add);
    html! {
        p {
            (sized(waste.wasted, waste.stored)) " of " (size(waste.stored)) " that the layers store is never seen"
            @if waste.duplicated > 0 { "; " (size(waste.duplicated)) " more is stored twice" }
            "."
        }
        div.scroll tabindex="0" role="region" aria-label="Waste" {
            table {
                thead { tr { th.num { "Bytes" } th { "Path" } th { "Why" } th { "Layer" } } }
                tbody { @for place in waste.places.iter().take(PLACES) { (row(place)) } }
            }
        }
        @if hidden > 0 {
            p.muted { "… and " (count(hidden, "smaller place", "smaller places")) ", " (size(bytes)) " together." }
        }
    }
}

fn row(place: &WasteGroup) -> Markup {
    let layer = place.layer as usize;
    html! {
        tr {
            td.num { (size(place.bytes)) }
            td.wide.line {
                (path(&place.path))
                @if place.files > 1 { span.muted { " " (grouped(place.files as u64)) " files" } }
                @if let Some(of) = &place.of {
                    span.muted { " as " } (path(of))
                }
            }
            td.nowrap {
                @match place.cause {
                    WasteKind::Replaced => "replaced",
                    WasteKind::Deleted => "deleted",
                    WasteKind::Attributes => "stored again for its attributes",
                    WasteKind::Duplicate => "stored twice",
                }
                @if let Some(by) = place.by_layer { " by layer " (by) }
            }
            td.nowrap { (layers::swatch(layer)) (layer) }
        }
    }
}
