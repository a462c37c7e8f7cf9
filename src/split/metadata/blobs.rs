//! The blobs of an image: each once, however many layers share it.

use super::bodies::Where;
use super::collect::CollectOptions;
use super::crc::{CRC64, Combine};
use super::error::MetadataError;
use super::split::{Stretch, each_raw, take_apart};
use super::sums::Sum;
use crate::base::digest::{Algorithm, DiffId};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::{Progress, Stage, steps};
use crate::image::{Image, Layer, LayerSource};
use crate::layer::LayerError;
use crate::layer::digest::{Nothing, Request, Wanted, prove};
use crate::source::remake::{self, FindOptions, Recipe};
use crate::source::{ByPlace, Compression, Slice, Span};
use crate::tar::TarError;
use crate::tree::Tree;

/// A blob that layers of the image share, and what is in it.
pub(super) struct KeptBlob {
    pub(super) layer: usize,
    pub(super) stored: Slice,
    pub(super) compression: Compression,
    pub(super) tar: Slice,
    pub(super) kept: bool,
    pub(super) recipe: Option<Recipe>,
    pub(super) sums: Vec<Sum>,
}

/// The blobs of the image, each once, and which of them each layer is.
///
/// # Errors
///
/// [`MetadataError::Layer`] if the archive lacks one.
pub(super) fn of(
    image: &Image,
    tree: &Tree,
    keep: bool,
) -> Result<(Vec<KeptBlob>, Vec<usize>), MetadataError> {
    let mut blobs = ByPlace::new();
    let mut blob_of = Vec::new();
    for (layer, tar) in image.layers.iter().zip(tree.layers()) {
        let (stored, compression) = match &layer.source {
            LayerSource::Present { slice, compression } => (slice, *compression),
            LayerSource::Missing { why, .. } => {
                return Err(MetadataError::Layer {
                    layer: layer.index,
                    source: LayerError::Missing(why.clone()),
                });
            }
        };
        blob_of.push(blobs.add(stored, || KeptBlob {
            layer: layer.index,
            stored: stored.clone(),
            compression,
            tar: tar.bytes().clone(),
            kept: keep && compression != Compression::None,
            recipe: None,
            sums: Vec::new(),
        }));
    }
    Ok((blobs.into_all(), blob_of))
}

pub(super) fn body_spans(blob: &KeptBlob) -> Result<Vec<Span>, MetadataError> {
    let mut spans = Vec::new();
    let see = |place| -> Result<(), TarError> {
        if let Stretch::File { body, .. } = place
            && body.len > 0
        {
            spans.push(body);
        }
        Ok(())
    };
    take_apart(&blob.tar, see).map_err(|error| broken(blob.layer, error, blob.tar.len()))?;
    Ok(spans)
}

fn broken(layer: usize, error: TarError, len: u64) -> MetadataError {
    MetadataError::Layer {
        layer,
        source: LayerError::from_walk(error, Compression::None, 0, len),
    }
}

/// Finds out how compressed blobs that are not kept can be made again. `places` says where the bodies in them are: without
/// all of them there is nothing to be made.
pub(super) fn find_recipes(
    blobs: &mut [KeptBlob],
    places: &[Vec<Where>],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(), MetadataError> {
    let is_whole = |n: usize| !places[n].contains(&Where::Nowhere);
    let is_wanted = |n: usize| blobs[n].compression != Compression::None && !blobs[n].kept;
    let wanted = 0..blobs.len();
    let wanted: Vec<usize> = wanted.filter(|&n| is_wanted(n) && is_whole(n)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let stage = progress.stage(Stage {
        what: steps::FINDING_RECIPES,
        unit: "layer",
        parts: wanted.len(),
        total: wanted.iter().map(|&n| blobs[n].tar.len()).sum(),
    });
    // One layer is compared with several encoders at first, several layers keep all threads busy anyway.
    let one = Jobs::new(std::num::NonZeroUsize::MIN);
    let options = FindOptions {
        jobs: if wanted.len() == 1 { jobs } else { one },
    };
    let find = |&n: &usize| {
        let blob: &KeptBlob = &blobs[n];
        let task = stage.begin(steps::FINDING_RECIPES, Some(blob.tar.len()));
        let found = remake::find(&blob.stored, &blob.tar, &options);
        task.advance(blob.tar.len());
        found
    };
    let found = jobs::map(jobs, &wanted, |&n| blobs[n].tar.len(), find);
    for (n, found) in wanted.into_iter().zip(found) {
        let found = found.map_err(|error| match error.downcast() {
            Ok(source) => MetadataError::Source(source),
            Err(error) => MetadataError::Write(error),
        })?;
        // Metadata has no room for corrections.
        let found = found.filter(|found| found.corrections.is_empty());
        blobs[n].recipe = found.map(|found| found.recipe);
    }
    Ok(())
}

/// The diff ID of every layer: as claimed where that is checked, else computed. `blob_of` says which blob
/// each layer is.
pub(super) fn diff_ids(
    image: &Image,
    blobs: &[KeptBlob],
    blob_of: &[usize],
    options: &CollectOptions,
    progress: &dyn Progress,
) -> Result<Vec<DiffId>, MetadataError> {
    let trusted = |layer: &Layer| {
        let claimed = layer.diff_id.clone().filter(|_| options.verified)?;
        (*claimed.digest().algorithm() == Algorithm::Sha256).then_some(claimed)
    };
    let layers = || image.layers.iter().zip(blob_of.iter().copied());
    let mut is_wanted = vec![false; blobs.len()];
    for (layer, n) in layers() {
        is_wanted[n] |= trusted(layer).is_none();
    }
    let wanted: Vec<usize> = (0..blobs.len()).filter(|&n| is_wanted[n]).collect();
    let requests = wanted.iter().map(|&n| Request {
        bytes: &blobs[n].tar,
        compression: Compression::None,
        wanted: Wanted::diff_id(),
        task: Some("digesting layers".to_owned()),
        alongside: Nothing,
    });
    let answers = prove(options.jobs, requests, progress);
    let mut computed: Vec<Option<DiffId>> = vec![None; blobs.len()];
    for (n, answer) in wanted.into_iter().zip(answers) {
        let (proof, ()) = answer.map_err(|source| MetadataError::Layer {
            layer: blobs[n].layer,
            source,
        })?;
        computed[n] = Some(proof.diff_id().clone());
    }
    let of = |(layer, n): (&Layer, usize)| {
        let known = computed[n].clone().or_else(|| trusted(layer));
        known.expect("a diff ID that is not trusted was computed")
    };
    Ok(layers().map(of).collect())
}

/// The checksum of a whole uncompressed blob, made of those of its bodies.
pub(super) fn whole_crc(blob: &KeptBlob, combine: &Combine) -> Result<u64, MetadataError> {
    let mut crc = 0;
    let mut sums = blob.sums.iter();
    take_apart(&blob.tar, |place| {
        let (next, len) = match place {
            Stretch::File { body, .. } if body.len == 0 => return Ok(()),
            Stretch::File { body, .. } => {
                let sum = sums.next().filter(|sum| sum.span == body);
                let sum = sum.ok_or(MetadataError::Changed {
                    offset: body.offset,
                })?;
                (sum.crc, body.len)
            }
            Stretch::Raw(span) => {
                let mut digest = CRC64.digest();
                each_raw(&blob.tar, span, |bytes| {
                    digest.update(bytes);
                    Ok::<_, MetadataError>(())
                })?;
                (digest.finalize(), span.len)
            }
        };
        crc = combine.join(crc, next, len);
        Ok::<_, MetadataError>(())
    })?;
    Ok(crc)
}
