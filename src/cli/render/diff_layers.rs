//! How the layers of two images are related.

use std::io::Write;

use imgtar::base::escape;
use imgtar::base::limits::Limits;
use imgtar::report::{DiffLayer, DiffRelation};

use super::columns::table;
use super::diff::{DiffStyle, cut, heading};
use crate::cli::output::Stop;

/// How many characters of a build step are shown, as `docker history` cuts it, and how many at least where the
/// terminal is narrow.
const STEP: usize = 45;
const SHORTEST: usize = 12;
/// How wide the columns are that stand around the relation, with what is between them.
const OTHERS: usize = 23;

/// A row for each pair of layers, and for each that only one image has.
pub(super) fn layers(
    out: &mut dyn Write,
    layers: &[DiffLayer],
    style: DiffStyle,
    limits: &Limits,
) -> Result<(), Stop> {
    if layers.is_empty() {
        return Ok(());
    }
    heading(out, "Layers")?;
    let widest = layers.iter().map(|layer| relation(layer).len()).max();
    let others = OTHERS + widest.unwrap_or(0);
    let most = style.width.map_or(STEP, |width| {
        let left = usize::from(width).saturating_sub(others);
        left.clamp(SHORTEST, STEP)
    });
    table(out, limits, |cells| {
        cells(&["OLD", "NEW", "RELATION", "CREATED BY"])?;
        for layer in layers {
            let index = |at: Option<usize>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
            let step = layer
                .created_by_new
                .as_ref()
                .or(layer.created_by_old.as_ref());
            let step = step.filter(|step| !step.is_empty());
            let step = step.map_or("-", |step| step.as_str());
            let relation = relation(layer);
            let step = if style.whole {
                escape::text(step).into_owned()
            } else {
                cut(step, most)
            };
            cells(&[&index(layer.old), &index(layer.new), &relation, &step])?;
        }
        Ok(())
    })
}

/// How two layers are related, in words.
fn relation(layer: &DiffLayer) -> String {
    match layer.relation {
        DiffRelation::Same if layer.moved => "shared, in another order".to_owned(),
        DiffRelation::Same => "shared".to_owned(),
        DiffRelation::Recompressed => {
            let forms = layer.compression_old.zip(layer.compression_new);
            match forms.filter(|(old, new)| old != new) {
                Some((old, new)) => format!("same content, {old} -> {new}"),
                None => "same content, compressed otherwise".to_owned(),
            }
        }
        DiffRelation::Times => "same content, only times differ".to_owned(),
        DiffRelation::Order => "same content, other order or tar form".to_owned(),
        DiffRelation::Added => "added".to_owned(),
        DiffRelation::Removed => "removed".to_owned(),
        DiffRelation::Different => {
            let Some(entries) = layer.entries else {
                return "different".to_owned();
            };
            if entries.content {
                return "different: content of the same size".to_owned();
            }
            let counts = [
                (entries.added, "added"),
                (entries.changed, "changed"),
                (entries.deleted, "deleted"),
            ];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts: Vec<String> = counts.map(|(n, what)| format!("{n} {what}")).collect();
            format!("different: entries {}", counts.join(", "))
        }
    }
}
