//! The layers, at the left.

use imgtar::image::Layer;
use imgtar::report::units;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Theme, mark, on_screen, put, step};
use crate::cli::browse::model::{ImageScreen, Pane};

pub(super) fn draw(
    image: &ImageScreen,
    has_keys: bool,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let has_keys = has_keys && image.side == Pane::Layers;
    put(
        buffer,
        area,
        0,
        &Line::styled("LAYER     SIZE   HIDDEN  STEP", theme.heading(has_keys)),
    );
    let len = image.image.layers.len();
    if len == 0 {
        put(
            buffer,
            area,
            1,
            &Line::styled("the image has no layers", Theme::dim()),
        );
    }
    for (line, number) in on_screen(image.layers, len, area) {
        let layer = &image.image.layers[number];
        let hidden = match image.waste.get(number) {
            Some(waste) if waste.wasted == 0 => String::new(),
            Some(waste) => units::size(waste.wasted),
            None if number < image.merged() || image.failure.is_none() => "…".to_owned(),
            None => "?".to_owned(),
        };
        let is_lost = image.failure.is_some() && number >= image.merged();
        let rest = if is_lost { theme.error() } else { Style::new() };
        let spans = vec![
            Span::styled(format!("{number:>5} {:>8} ", size(image, layer)), rest),
            Span::styled(format!("{hidden:>8}  "), theme.warning()),
            Span::styled(step(image, number), rest),
        ];
        put(buffer, area, line, &Line::from(spans));
        if number == image.layers.at {
            mark(buffer, area, line, Theme::cursor(has_keys));
        }
    }
}

/// The size that `docker history` shows; until it is known that of the stored blob.
fn size(image: &ImageScreen, layer: &Layer) -> String {
    let measure = image.measures.get(layer.index).copied().flatten();
    match (measure, layer.present()) {
        (Some(measure), _) => units::size(measure.engine_size),
        (None, Some((slice, _))) => format!("~{}", units::size(slice.len())),
        (None, None) => "missing".to_owned(),
    }
}
