//! Layers of an image merged into one.
//!
//! What becomes of the config is what Docker's own `build --squash` makes of it (moby
//! `daemon/images/image_squash.go`): the merged layers' history entries stay as steps without a layer,
//! a new entry has the layer, and the image gets the time of that entry.

use std::sync::Arc;

use jiff::Timestamp;

use super::WriteError;
use super::delta::DeltaLayer;
use super::layout::{OutputImage, OutputLayer};
use crate::base::digest::DiffId;
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::{ConfigDraft, Created, HistoryEntry};
use crate::image::{Image, Name};
use crate::layer::OpenLayers;
use crate::layer::digest::Claims;
use crate::tree::{Additions, RefusedXattrs, Tree, Warning, XattrPattern, difference};

/// What does not hold for the squashed image: where its layers come from in a build cache, and fields
/// from before Docker 1.10.
const NOT_KEPT: [&str; 3] = ["id", "moby.buildkit.cache.v0", "parent"];

/// How to squash.
#[derive(Clone, Copy, Debug)]
pub struct SquashOptions<'o> {
    /// The index of the lowest layer that is merged, base first; those below it stay as they are.
    pub from: usize,
    /// The time of the new image.
    pub created: Timestamp,
    /// The names of the new image; `None` to keep those it has.
    pub names: Option<&'o [Name]>,
    /// Whether the merged layers are verified against their diff IDs on the way. Those that stay are
    /// checked when the archive is written.
    pub verify: bool,
    /// The extended attributes that the new layer does not get. With some, one layer alone is merged too.
    pub drop_xattrs: &'o [XattrPattern],
    /// How many threads work at once.
    pub jobs: Jobs,
}

/// The outcome.
#[derive(Debug)]
pub struct Squashed {
    /// The image to write.
    pub image: OutputImage,
    /// How many layers were merged; 0 if there was nothing to merge and the image is unchanged.
    pub merged: usize,
    /// What engines would show differently in the image as it was.
    pub warnings: Vec<Warning>,
    /// Extended attributes in the new layer that kernels refuse to set.
    pub refused_xattrs: RefusedXattrs,
    /// How many files of the new layer lost attributes, by pattern.
    pub dropped: Vec<u64>,
}

/// Merges the layers of `image` from `options.from` up into one, which holds the difference between
/// what lies below it and the whole.
///
/// If they change nothing no layer replaces them, unless the image would then have none at all.
///
/// # Errors
///
/// [`WriteError`] if there is no such layer, if a layer is not what its diff ID says, or cannot be
/// read or applied.
pub fn squash(
    image: &Image,
    options: SquashOptions<'_>,
    progress: &dyn Progress,
) -> Result<Squashed, WriteError> {
    let mut output = OutputImage::of(image, options.jobs, progress)?;
    let (from, count) = (options.from, output.layers.len());
    if from > 0 && from >= count {
        return Err(WriteError::NoLayer {
            image: image.display_name(),
            layer: from,
            count,
        });
    }
    if let Some(names) = options.names {
        output.names = names.to_vec();
    }
    let fewest = if options.drop_xattrs.is_empty() { 2 } else { 1 };
    if count - from < fewest {
        return Ok(Squashed {
            image: output,
            merged: 0,
            warnings: Vec::new(),
            refused_xattrs: RefusedXattrs::default(),
            dropped: vec![0; options.drop_xattrs.len()],
        });
    }
    let layers = OpenLayers::of(image, options.verify, options.jobs, progress)?;
    let (lower, upper) = Tree::merge_split(layers.tars(), from)?;
    let claims = if options.verify {
        output.claims(from, &layers)
    } else {
        Claims::none()
    };
    let warnings = upper.warnings().to_vec();
    let merged = claims.while_writing(options.jobs, progress, || {
        merge(&lower, upper, options, progress)
    })?;
    // A single layer is made anew only for what it loses.
    let is_new = count - from > 1 || merged.dropped.iter().any(|count| *count > 0);
    if is_new {
        output.config = squashed_config(&output, image, merged.layer.as_ref(), options)?;
        output.layers.truncate(from);
        output.layers.extend(merged.layer);
        output.parent = None;
    }
    Ok(Squashed {
        image: output,
        merged: if is_new { count - from } else { 0 },
        warnings,
        refused_xattrs: merged.refused_xattrs,
        dropped: merged.dropped,
    })
}

/// What becomes of the layers that are merged.
struct MergedLayer {
    /// `None` if they change nothing and there are layers below.
    layer: Option<OutputLayer>,
    refused_xattrs: RefusedXattrs,
    dropped: Vec<u64>,
}

/// The layer that makes `upper` of `lower`.
fn merge(
    lower: &Tree,
    mut upper: Tree,
    options: SquashOptions<'_>,
    progress: &dyn Progress,
) -> Result<MergedLayer, WriteError> {
    let none = Additions::none();
    let delta = difference(lower, &upper, &none, options.jobs, progress)?;
    // Afterwards: what the layers below have stays as it is, and is no difference.
    let dropped = upper.drop_xattrs_in(&delta, options.drop_xattrs);
    let refused_xattrs = upper.refused_xattrs_in(&delta);
    let layer = if delta.is_empty() && options.from > 0 {
        None
    } else {
        let layer = DeltaLayer::prove(Arc::new(upper), Arc::new(delta), progress)?;
        Some(layer)
    };
    Ok(MergedLayer {
        layer,
        refused_xattrs,
        dropped,
    })
}

fn squashed_config(
    output: &OutputImage,
    image: &Image,
    layer: Option<&OutputLayer>,
    options: SquashOptions<'_>,
) -> Result<Vec<u8>, WriteError> {
    let mut draft = ConfigDraft::parse(&output.config).map_err(|error| WriteError::Image {
        image: image.display_name(),
        why: error.to_string(),
    })?;
    let (from, count) = (options.from, output.layers.len());
    for field in NOT_KEPT {
        draft.remove(field);
    }
    let below = output.layers[..from].iter().map(OutputLayer::diff_id);
    let diff_ids: Vec<DiffId> = below
        .chain(layer.map(OutputLayer::diff_id))
        .cloned()
        .collect();
    draft.set_diff_ids(&diff_ids);
    // Entries with a layer belong to the layers in their order.
    let mut next = 0;
    draft.change_history(|_, entry| {
        if entry.empty_layer {
            return None;
        }
        next += 1;
        (next > from).then(|| HistoryEntry {
            empty_layer: true,
            ..entry.clone()
        })
    });
    let created = Created::from(options.created);
    // A history with fewer layers than lie below cannot describe this one.
    let told = next >= from;
    if told || next > 0 {
        draft.push_history(HistoryEntry {
            created: Some(created.clone()),
            created_by: match from {
                0 => "imgtar squash".to_owned(),
                n => format!("imgtar squash --from {n}"),
            },
            author: String::new(),
            comment: format!("layers {from} to {} of {}", count - 1, output.id()),
            empty_layer: layer.is_none() || !told,
        });
    }
    draft.set_created(&created);
    Ok(draft.to_bytes())
}
