//! How large layers are, and how much of them later layers hide.

use crate::base::options::Options;
use crate::image::{Image, Layer};
use crate::layer::{LayerError, LayerOutline, Measures};
use crate::source::Compression;
use crate::tree::{Fates, LayerWaste};

/// How many entries are merged to tell how much is hidden: what takes a fraction of a second and a few dozen
/// megabytes. `waste` counts more.
const MOST_ENTRIES: u64 = 300_000;

/// How much of each layer is hidden by others, for some images.
#[derive(Debug)]
pub struct HiddenBytes(Vec<Option<Vec<LayerWaste>>>);

impl HiddenBytes {
    /// Of an image by its place in the list: its layers, base first. `None` if it is not known.
    pub(super) fn of(&self, place: usize) -> Option<&[LayerWaste]> {
        self.0.get(place)?.as_deref()
    }
}

/// Measures the layers of some images, and counts the content that is stored and not seen.
///
/// Of layers that are not compressed only headers are read, twice. Others have to be decoded, and are decoded once:
/// what is hidden is told of them where there is one image, whose headers are then kept. It is not told where layers
/// are missing or damaged, or where there are very many entries.
///
/// # Errors
///
/// As [`Measures::take`].
pub fn measure_layers(
    images: &[&Image],
    options: &Options<'_>,
) -> Result<(Measures, HiddenBytes), LayerError> {
    let (jobs, progress) = (options.jobs, options.progress);
    if let [image] = images
        && !is_plain(image)
        && image.layers.iter().all(|layer| layer.present().is_some())
        && let Ok(outlines) = LayerOutline::of_all(image, jobs, progress)
    {
        let opened = |layer: &Layer| outlines.get(layer.index).map(LayerOutline::headers);
        let measures = Measures::take_opened(images.iter().copied(), opened, jobs, progress)?;
        // What is said of damaged layers is what their own bytes show.
        if image
            .layers
            .iter()
            .any(|layer| measures.of(layer).is_none())
        {
            let measures = Measures::take(images.iter().copied(), jobs, progress)?;
            return Ok((measures, HiddenBytes(vec![None])));
        }
        let known = (entries(image, &measures) <= MOST_ENTRIES)
            .then(|| Fates::of_outlines(&outlines).ok())
            .flatten();
        let hidden = known.map(|fates| LayerWaste::of_layers(&fates, image.layers.len()));
        return Ok((measures, HiddenBytes(vec![hidden])));
    }
    let measures = Measures::take(images.iter().copied(), jobs, progress)?;
    let mut left = MOST_ENTRIES;
    let hidden = images.iter().map(|image| {
        let all = entries(image, &measures);
        if !is_plain(image)
            || image
                .layers
                .iter()
                .any(|layer| measures.of(layer).is_none())
        {
            return None;
        }
        left = left.checked_sub(all)?;
        let fates = Fates::merge_names(image, options).ok()?;
        Some(LayerWaste::of_layers(&fates, image.layers.len()))
    });
    let hidden = hidden.collect();
    Ok((measures, HiddenBytes(hidden)))
}

/// Whether no layer is compressed.
fn is_plain(image: &Image) -> bool {
    let compressed = |layer: &Layer| {
        let stored = layer.present();
        stored.is_some_and(|(_, compression)| compression != Compression::None)
    };
    !image.layers.iter().any(compressed)
}

fn entries(image: &Image, measures: &Measures) -> u64 {
    let of = image.layers.iter().filter_map(|layer| measures.of(layer));
    of.map(|measure| measure.entries)
        .fold(0, u64::saturating_add)
}
