//! What is said of thin archives to those who read and write them.

use std::collections::HashSet;

use imgtar::document::ThinBase;
use imgtar::image::Thin;
use imgtar::output::LeftOutLayer;
use imgtar::report::units;

use super::error::note;
use super::output::Output;

/// How many images that have the layers are named.
const SHOWN: usize = 3;

/// Says what a thin archive lacks, and how to get it.
pub(super) fn say_thin(output: Output, path: &str, thin: &Thin) {
    let names = thin.bases.iter().take(SHOWN);
    let names: Vec<&str> = names.map(|base| base.display_name()).collect();
    let mut message = format!(
        "{path} is thin: {} ({}) {} left out on purpose",
        units::count(thin.layers, "layer", "layers"),
        units::size(thin.bytes),
        if thin.layers == 1 { "is" } else { "are" },
    );
    if let [first, rest @ ..] = &names[..] {
        let more = thin.bases.len() > SHOWN;
        let others = if more { " and others" } else { "" };
        let verb = if rest.is_empty() { "has" } else { "have" };
        let them = if thin.layers == 1 { "it" } else { "them" };
        let names = [&[*first], rest].concat().join(", ");
        message = format!("{message}; {names}{others} {verb} {them}");
    }
    note(
        output,
        &format!("{message}; for the whole archive: imgtar merge {path} BASE -o FULL"),
    );
}

/// Says which layers an archive is written without, `most` of them at most.
pub(super) fn say_left_out(output: Output, layers: &[LeftOutLayer], most: usize) {
    // One content may have several places.
    let mut met = HashSet::new();
    let layers = layers.iter().filter(|layer| met.insert(&layer.diff_id));
    let layers: Vec<&LeftOutLayer> = layers.collect();
    for layer in layers.iter().take(most) {
        let mut names: Vec<&str> = layer.bases.iter().map(ThinBase::display_name).collect();
        names.dedup();
        let more = if names.len() > SHOWN {
            " and others"
        } else {
            ""
        };
        let names = names[..names.len().min(SHOWN)].join(", ");
        let (id, size) = (&layer.diff_id, units::size(layer.size));
        note(
            output,
            &format!("without {id} ({size}), which is in {names}{more}"),
        );
    }
    if layers.len() > most {
        let more = units::count(layers.len() - most, "more layer", "more layers");
        note(output, &format!("without {more}: --json lists them all"));
    }
}
