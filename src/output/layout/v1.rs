//! What Docker still writes for clients from before 1.10: a v1 image for every layer.
//!
//! IDs were random once; since 1.10 they are digests of what they name, so that a layer has the same
//! one in every archive (moby v24 `image/v1/imagev1.go` `CreateID`, `image/tarexport/save.go`).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::blobs::NamedLayer;
use super::image::OutputImage;
use crate::base::digest::{ChainId, Digest};
use crate::document::JsonError;
use crate::document::go_json::{self, RawObject, V1Image};
use crate::output::WriteError;

/// The time of all v1 images but the topmost.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The v1 image of one layer.
#[derive(Debug)]
pub(super) struct V1 {
    /// 64 hex digits.
    pub(super) id: String,
    /// The bytes of its `json`.
    pub(super) json: Vec<u8>,
}

/// The v1 images of a stack of layers, base first. The topmost one carries the fields of the config,
/// the others are empty.
pub(super) fn v1_images(image: &OutputImage, layers: &[NamedLayer]) -> Result<Vec<V1>, WriteError> {
    of_config(&image.config, layers).map_err(|e| WriteError::Image {
        image: image.display_name(),
        why: e.to_string(),
    })
}

fn of_config(config: &[u8], layers: &[NamedLayer]) -> Result<Vec<V1>, JsonError> {
    let top = V1Image::read(config)?;
    let os = top.os.clone();
    let mut top = Some(top);
    let chain = ChainId::of_layers(layers.iter().map(|layer| &layer.diff_id));
    let mut images: Vec<V1> = Vec::with_capacity(layers.len());
    for (i, chain_id) in chain.iter().enumerate() {
        let mut image = if i + 1 == layers.len() {
            top.take().unwrap_or_default()
        } else {
            let mut empty = V1Image::default();
            empty.created = Some(EPOCH.to_owned());
            empty
        };
        let parent = images.last().map(|below| below.id.clone());
        image.id = create_id(&image, chain_id, parent.as_deref())?;
        image.parent = parent.unwrap_or(image.parent);
        image.os.clone_from(&os);
        images.push(V1 {
            id: image.id.clone(),
            json: go_json::encode(&image),
        });
    }
    Ok(images)
}

/// `image` has no ID yet.
fn create_id(
    image: &V1Image,
    chain_id: &ChainId,
    parent: Option<&str>,
) -> Result<String, JsonError> {
    let syntax = |e: serde_json::Error| JsonError::Syntax(e.to_string());
    let mut fields: RawObject = serde_json::from_slice(&go_json::encode(image)).map_err(syntax)?;
    let string = |text: String| RawValue::from_string(format!("\"{text}\"")).map_err(syntax);
    fields.insert("layer_id".into(), string(chain_id.to_string())?);
    if let Some(parent) = parent {
        fields.insert("parent".into(), string(format!("sha256:{parent}"))?);
    }
    // A map of Go is written with its keys sorted.
    let sorted: BTreeMap<_, _> = fields;
    let digest = Digest::sha256_of(&go_json::encode(&sorted));
    Ok(digest.encoded().to_owned())
}
