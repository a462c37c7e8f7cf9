//! `layers`: what images consist of.

use serde::Serialize;

use super::each::Each;
use super::hidden::HiddenBytes;
use super::images::{id, references};
use super::step::step;
use super::text::Text;
use super::written::BaseImage;
use crate::base::digest::{ChainId, DiffId};
use crate::image::{Image, Layer, LeftOut};
use crate::layer::Measures;
use crate::source::Compression;
use crate::tree::LayerWaste;

/// The answer of `layers`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Layers<'a> {
    /// `imgtar/layers/1`
    pub schema: &'static str,
    /// The images.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<LayersImage>"))]
    pub images: Each<'a, LayersImage>,
}

/// The layers of one image.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LayersImage {
    /// The image ID.
    pub id: Option<String>,
    /// Its name in the archive.
    pub references: Vec<String>,
    /// Its platform.
    pub platform: Option<String>,
    /// The layers, base first.
    pub layers: Vec<LayerRow>,
}

/// One layer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LayerRow {
    /// Its index, base first.
    pub index: usize,
    /// The diff ID: as the config claims it, or computed where no config does.
    pub diff_id: Option<String>,
    /// Whether the diff ID (and so the chain ID) was computed from the bytes because the archive claims none.
    pub diff_id_computed: bool,
    /// The chain ID of the stack up to this layer.
    pub chain_id: Option<String>,
    /// Its ID in an archive from before Docker 1.10.
    pub legacy_id: Option<String>,
    /// The digest of the stored blob, if something states it.
    pub digest: Option<String>,
    /// The media type in its descriptor.
    pub media_type: Option<String>,
    /// How it is compressed; `null` if it is missing.
    pub compression: Option<Compression>,
    /// The length of the stored blob in bytes; `null` if it is missing.
    pub stored_size: Option<u64>,
    /// The length of the uncompressed tar in bytes; `null` if it is missing or damaged.
    pub tar_size: Option<u64>,
    /// How many entries it has; `null` if it is missing or damaged.
    pub entries: Option<u64>,
    /// The size that `docker history` shows for it.
    pub size: Option<u64>,
    /// How many bytes of its files are not visible in the image, because a later layer or a later entry replaces or
    /// deletes them; `null` if that is not known.
    pub hidden: Option<u64>,
    /// The member of the archive that holds it.
    pub member: Text,
    /// The build step that made it.
    pub created_by: Option<String>,
    /// For people: the instruction of that step, on one line.
    #[serde(skip)]
    pub step: Option<String>,
    /// What a thin archive claims about it, if the layer was left out on purpose. Other layers do not have this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOutFacts>,
    /// Where an engine's store keeps it; only on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_path: Option<String>,
}

/// What the listing of a thin archive says about a layer that is left out.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOutFacts {
    /// The digest of the blob that would be stored.
    pub digest: String,
    /// The length of that blob in bytes.
    pub size: u64,
    /// The images that have the layer.
    pub bases: Vec<BaseImage>,
}

impl LeftOutFacts {
    fn new(left_out: &LeftOut) -> Self {
        let bases = left_out.bases.iter().map(|base| BaseImage::new(base));
        Self {
            digest: left_out.digest.to_string(),
            size: left_out.size,
            bases: bases.collect(),
        }
    }
}

impl<'a> Layers<'a> {
    /// Describes the layers of some images, measured. `computed` holds, for each image in order, the diff IDs of
    /// the layers that claim none; `driver` is that of a store of Docker's, to say where it keeps each
    /// layer.
    pub fn new(
        picked: &'a [&'a Image],
        (measures, hidden): (&'a Measures, &'a HiddenBytes),
        computed: &'a [Vec<Option<DiffId>>],
        driver: Option<&'a str>,
    ) -> Self {
        let images = Each::new(picked, move |i, image| {
            let mut described = LayersImage::new(image, measures, hidden.of(i));
            if let Some(computed) = computed.get(i) {
                described.fill_diff_ids(computed);
            }
            if let Some(driver) = driver {
                described.fill_store_paths(driver);
            }
            described
        });
        Self {
            schema: "imgtar/layers/1",
            images,
        }
    }
}

impl LayersImage {
    pub(super) fn new(image: &Image, measures: &Measures, hidden: Option<&[LayerWaste]>) -> Self {
        let pairing = image.pairing();
        let row = |layer: &Layer| {
            let measure = measures.of(layer);
            let made = pairing.maker_of(layer.index);
            let waste = hidden.and_then(|layers| layers.get(layer.index));
            LayerRow {
                index: layer.index,
                diff_id: layer.diff_id.as_ref().map(ToString::to_string),
                diff_id_computed: false,
                chain_id: layer.chain_id.as_ref().map(ToString::to_string),
                legacy_id: layer.legacy_id.as_ref().map(ToString::to_string),
                digest: layer.digest.as_ref().map(ToString::to_string),
                media_type: layer.media_type.as_ref().map(ToString::to_string),
                compression: layer.present().map(|(_, compression)| compression),
                stored_size: layer.present().map(|(slice, _)| slice.len()),
                tar_size: measure.map(|m| m.tar_size),
                entries: measure.map(|m| m.entries),
                size: measure.map(|m| m.engine_size),
                member: Text(layer.member.clone()),
                hidden: waste.map(|waste| waste.wasted),
                created_by: made.map(|entry| entry.created_by.clone()),
                step: made.map(|entry| step(entry, usize::MAX)),
                left_out: layer.left_out().map(|left_out| LeftOutFacts::new(left_out)),
                store_path: None,
            }
        };
        Self {
            id: id(image),
            references: references(image),
            platform: (!image.platform.is_unknown()).then(|| image.platform.to_string()),
            layers: image.layers.iter().map(row).collect(),
        }
    }

    /// Puts computed diff IDs where none is claimed.
    pub(super) fn fill_diff_ids(&mut self, computed: &[Option<DiffId>]) {
        // A chain ID needs every diff ID below it.
        let known: Vec<&DiffId> = computed.iter().map_while(Option::as_ref).collect();
        let chain = ChainId::of_layers(known.iter().copied());
        for (row, (diff_id, i)) in self.layers.iter_mut().zip(computed.iter().zip(0..)) {
            if row.diff_id.is_none() {
                row.diff_id_computed = diff_id.is_some();
                row.diff_id = diff_id.as_ref().map(ToString::to_string);
                row.chain_id = chain.get(i).map(ToString::to_string);
            }
        }
    }

    /// Says where Docker's graph-driver store keeps each layer, below its data root
    /// (`/var/lib/docker`; moby `layer/filestore.go`).
    fn fill_store_paths(&mut self, driver: &str) {
        for row in &mut self.layers {
            row.store_path = row
                .chain_id
                .as_deref()
                .and_then(|id| id.split_once(':'))
                .map(|(algorithm, hex)| format!("image/{driver}/layerdb/{algorithm}/{hex}"));
        }
    }
}
