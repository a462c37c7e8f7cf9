//! Reports as text, one file a form.

mod columns;
mod inspect;
mod layers;
mod problems;
mod tree;
mod verify;

pub(crate) use columns::Columns;
pub(crate) use inspect::inspect;
pub(crate) use layers::{LayerColumns, layers};
pub(crate) use tree::tree;
pub(crate) use verify::verify;

/// Pretty JSON with a line end.
pub(crate) fn json<T: serde::Serialize>(report: &T) -> String {
    // The reports hold strings, numbers and documents that were checked to be JSON; nothing in them
    // can fail to be written to memory.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}
