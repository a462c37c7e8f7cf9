//! `history`: how images were built.

use std::collections::HashMap;

use serde::Serialize;

use super::each::Each;
use super::engine_images::EngineImages;
use super::images::{containerd_id, id, references};
use crate::base::digest::ImageId;
use crate::image::{Identity, Image, ImageSet};
use crate::layer::Measures;

/// The answer of `history`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct History<'a> {
    /// `imgtar/history/1`
    pub schema: &'static str,
    /// The images.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<HistoryImage>"))]
    pub images: Each<'a, HistoryImage>,
}

/// The history of one image.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistoryImage {
    /// The image ID.
    pub id: Option<String>,
    /// Its name in the archive.
    pub references: Vec<String>,
    /// The build steps, newest first.
    pub history: Vec<HistoryStep>,
}

/// One build step.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistoryStep {
    /// The ID of the image that this step produced, if it is known: the image itself, then its parents, if they are
    /// in the archive and `manifest.json` names them.
    pub id: Option<String>,
    /// When.
    pub created: Option<String>,
    /// By which command or instruction.
    pub created_by: String,
    /// By whom.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// The size of its layer as `docker history` counts it, 0 if it made none; `null` if the layer
    /// is missing or damaged.
    pub size: Option<u64>,
    /// Whether the step is marked as having made no layer.
    pub empty_layer: bool,
    /// The index of its layer, base first.
    pub layer: Option<usize>,
    /// The diff ID of its layer.
    pub diff_id: Option<String>,
    /// The time as a number, for those who print it.
    #[serde(skip)]
    pub timestamp: Option<jiff::Timestamp>,
}

impl<'a> History<'a> {
    /// Describes how some images of `set` were built.
    pub fn new(set: &'a ImageSet, picked: &'a [&'a Image], measures: &'a Measures) -> Self {
        let parents = Parents::of(set);
        let images = Each::new(picked, move |_, image| {
            HistoryImage::new(&parents, image, measures)
        });
        Self {
            schema: "imgtar/history/1",
            images,
        }
    }
}

impl<'a> History<'a> {
    /// The same as Docker's containerd store has it: with its IDs, and with sizes that `images` estimates.
    pub fn in_containerd_store(
        set: &'a ImageSet,
        images: &'a EngineImages<'a>,
        picked: &'a [&'a Image],
    ) -> Self {
        let parents = Parents::of(set);
        let none = Measures::default();
        let images = Each::new(picked, move |_, image| {
            let mut described = HistoryImage::new(&parents, image, &none);
            let sizes = images.layer_sizes(image);
            // Parents are not known there.
            let mut own = containerd_id(set, image);
            for step in &mut described.history {
                step.id = own.take();
                if let Some(layer) = step.layer {
                    step.size = sizes.get(layer).copied().flatten();
                }
            }
            described
        });
        Self {
            schema: "imgtar/history/1",
            images,
        }
    }
}

/// The parent of every image that has one in its archive.
pub(super) struct Parents<'s>(HashMap<&'s Identity, &'s ImageId>);

impl<'s> Parents<'s> {
    pub(super) fn of(set: &'s ImageSet) -> Self {
        let parent = |image: &'s Image| Some((&image.identity, image.parent.as_ref()?));
        Self(set.images.iter().filter_map(parent).collect())
    }
}

impl HistoryImage {
    pub(super) fn new(parents: &Parents<'_>, image: &Image, measures: &Measures) -> Self {
        Self {
            id: id(image),
            references: references(image),
            history: steps(parents, image, measures),
        }
    }
}

fn steps(parents: &Parents<'_>, image: &Image, measures: &Measures) -> Vec<HistoryStep> {
    let pairing = image.pairing();
    let mut ids = step_ids(parents, image, pairing.steps.len()).into_iter();
    let mut steps = Vec::with_capacity(pairing.steps.len());
    for step in pairing.steps.iter().rev() {
        let layer = step.layer.map(|index| &image.layers[index]);
        let size = match layer {
            Some(layer) => measures.of(layer).map(|measure| measure.engine_size),
            None if step.entry.empty_layer => Some(0),
            None => None,
        };
        steps.push(HistoryStep {
            id: ids.next(),
            created: step.entry.created.as_ref().map(|c| c.as_str().to_owned()),
            created_by: step.entry.created_by.clone(),
            author: step.entry.author.clone(),
            comment: step.entry.comment.clone(),
            size,
            empty_layer: step.entry.empty_layer,
            layer: step.layer,
            diff_id: layer
                .and_then(|layer| layer.diff_id.as_ref())
                .map(ToString::to_string),
            timestamp: step
                .entry
                .created
                .as_ref()
                .map(crate::document::Created::timestamp),
        });
    }
    steps
}

/// The IDs that Docker shows, newest first: the image's own, then those of its parents as far as
/// they are known (moby `daemon/images/image_history.go`). An image from before Docker 1.10 knows
/// them all.
fn step_ids(parents: &Parents<'_>, image: &Image, steps: usize) -> Vec<String> {
    if let Some(ids) = image.upgraded_ids() {
        let all = std::iter::once(&ids.id).chain(&ids.parents);
        return all.map(ToString::to_string).collect();
    }
    let own = match &image.identity {
        Identity::Config(id) => id,
        Identity::Legacy(_) => {
            let layers = image.layers.iter().rev();
            return layers
                .filter_map(|layer| layer.legacy_id.as_ref())
                .map(ToString::to_string)
                .collect();
        }
        Identity::Unknown => return Vec::new(),
    };
    let mut ids = vec![own.to_string()];
    let mut parent = image.parent.as_ref();
    // No further than they are shown: ten thousand images that are parents of each other would have
    // fifty million IDs. A circle ends so too.
    while let Some(id) = parent.filter(|_| ids.len() < steps) {
        ids.push(id.to_string());
        parent = parents.0.get(&Identity::Config(id.clone())).copied();
    }
    ids
}
