//! What the page looks like.

use maud::{Markup, PreEscaped, html};

const SHEET: &str = include_str!("style.css");

/// The style sheet as an element.
pub(super) fn sheet() -> Markup {
    html! { style { (PreEscaped(SHEET)) } }
}
