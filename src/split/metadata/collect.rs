//! From an archive and its merged tree to metadata.
//!
//! Bodies are read at most twice: once for their digests, on all cores, and those that the flat tar lacks
//! once more, to be stored. What is held in memory is a record for each body and a path for each file
//! of the flat tar.

use std::collections::HashSet;
use std::io::Write;

use sha2::{Digest as _, Sha256};
use tempfile::SpooledTempFile;

use super::blobs::{self, KeptBlob};
use super::bodies::{BodiesWriter, BodyRecord, Where};
use super::container::ContainerWriter;
use super::crc::Combine;
use super::description::{
    ArchiveDescription, BytesDescription, ContainerDescription, Description, FlatDescription,
    ImageDescription, LayerDescription, PACK, SCHEMA, SCHEMA_WITH_RECIPES, names,
};
use super::error::MetadataError;
use super::outer::Outer;
use super::placement::Placement;
use super::split::{SplitWriter, Stretch, each_raw, take_apart};
use super::sums::{Sum, sums};
use crate::archive::Archive;
use crate::base::digest::{BlobDigest, DiffId, Digest};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::Progress;
use crate::image::{Image, ImageSet};
use crate::source::{Compression, Slice, Span};
use crate::tree::Tree;

/// For how many layers streams are made before they are written.
const BATCH: usize = 16;

/// What goes into metadata.
#[derive(Clone, Debug)]
pub struct CollectOptions {
    /// Leave out the bytes of shadowed files.
    pub lean: bool,
    /// Keep compressed blobs as they are.
    pub keep_blobs: bool,
    /// The layers are verified against their diff IDs elsewhere, before or after; where they do not match,
    /// the metadata is thrown away.
    pub verified: bool,
    /// What was added to the flat tar of a container.
    pub as_container: Option<ContainerDescription>,
    /// How many threads work at once.
    pub jobs: Jobs,
}

/// What was collected.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collected {
    /// How many bytes of shadowed files were stored, before compression.
    pub shadowed: u64,
    /// How many bytes of shadowed files were left out.
    pub left_out: u64,
    /// How many bytes of layers and other blobs that the image does not have were stored, before
    /// compression.
    pub foreign: u64,
}

/// Writes the metadata of `image`, whose merged tree is `tree`, to `out`.
///
/// # Errors
///
/// [`MetadataError`]. What was written until then is worthless.
pub fn collect<W: Write>(
    archive: &Archive,
    set: &ImageSet,
    image: &Image,
    tree: &Tree,
    options: &CollectOptions,
    out: W,
    progress: &dyn Progress,
) -> Result<Collected, MetadataError> {
    let (mut blobs, blob_of) = blobs::of(image, tree, options.keep_blobs)?;
    let outer = Outer::read(archive, &blobs)?;
    let outer_sums = digest_all(archive, &outer, &mut blobs, options.jobs, progress)?;
    let diff_ids = blobs::diff_ids(image, &blobs, &blob_of, options, progress)?;
    let outer_sums = complete(&outer, &blobs, &diff_ids, outer_sums)?;

    let mut plan = Placement::new(tree, &blobs, &blob_of, options.lean);
    let numbered = blobs.iter().enumerate();
    let places: Vec<Vec<Where>> = numbered.map(|(n, blob)| plan.places(n, blob)).collect();
    plan.collected.shadowed = plan.store.len();
    blobs::find_recipes(&mut blobs, &places, options.jobs, progress)?;
    let documents = plan.outer_places(archive, &outer, &outer_sums, &blobs)?;
    plan.collected.foreign = plan.store.len() - plan.collected.shadowed;

    let stored = stored_digests(&outer, &outer_sums, &blobs);
    let stored = |folder: usize| {
        stored[folder].ok_or(MetadataError::Changed {
            offset: blobs[folder].stored.span().offset,
        })
    };
    let layers = image.layers.iter().zip(&blob_of).map(|(layer, &folder)| {
        let digest = Digest::from_sha256(stored(folder)?);
        Ok(describe_layer(
            &blobs[folder],
            folder,
            &diff_ids[layer.index],
            digest,
        ))
    });
    let description = Description {
        schema: schema(&blobs).to_owned(),
        created_by: concat!("imgtar ", env!("CARGO_PKG_VERSION")).to_owned(),
        image: ImageDescription {
            id: image.identity.to_string(),
            references: image.names.iter().map(ToString::to_string).collect(),
        },
        archive: ArchiveDescription {
            size: archive.source().len(),
            compression: archive.compression(),
            images: set.images.len(),
            outside_sha256: outer.outside_sha256(archive)?,
        },
        flat: FlatDescription {
            as_container: options.as_container.clone(),
        },
        layers: layers.collect::<Result<_, MetadataError>>()?,
        bytes: BytesDescription {
            size: plan.store.len(),
            pack: PACK,
        },
        lean: options.lean,
    };
    let mut container = ContainerWriter::new(out);
    container.description(&description)?;
    write_outer(&mut container, archive, &outer_sums, &documents)?;
    write_streams(&mut container, &blobs, &places, options.jobs)?;
    // Blobs that lie in several places of the archive with the same bytes are kept once.
    let mut kept = HashSet::new();
    for (folder, blob) in blobs.iter().enumerate().filter(|(_, blob)| blob.kept) {
        let sha256 = stored(folder)?;
        if kept.insert(sha256) {
            container.slice(&Digest::from_sha256(sha256).blob_path(), &blob.stored)?;
        }
    }
    plan.store.write(&mut container, options.jobs, progress)?;
    container.finish()?;
    Ok(plan.collected)
}

/// The form of metadata that these blobs need.
fn schema(blobs: &[KeptBlob]) -> &'static str {
    if blobs.iter().any(|blob| blob.recipe.is_some()) {
        return SCHEMA_WITH_RECIPES;
    }
    SCHEMA
}

fn describe_layer(
    blob: &KeptBlob,
    folder: usize,
    diff_id: &DiffId,
    digest: Digest,
) -> LayerDescription {
    LayerDescription {
        diff_id: diff_id.clone(),
        size: blob.tar.len(),
        folder,
        compression: blob.compression,
        blob: BlobDigest::from(digest),
        blob_size: blob.stored.len(),
        kept: blob.kept,
        recipe: blob.recipe.clone(),
    }
}

/// The digest of each blob as it is stored; none if the archive has changed meanwhile.
fn stored_digests(outer: &Outer, sums: &[Sum], blobs: &[KeptBlob]) -> Vec<Option<[u8; 32]>> {
    // Every blob is a file of the archive, so each is a body of the outer tar unless it has no bytes.
    let of_nothing = |blob: &KeptBlob| blob.stored.is_empty().then(|| Sha256::digest([]).into());
    let mut stored: Vec<Option<[u8; 32]>> = blobs.iter().map(of_nothing).collect();
    for (body, sum) in outer.bodies.iter().zip(sums) {
        if let Some(n) = body.blob {
            stored[n].get_or_insert(sum.sha256);
        }
    }
    stored
}

/// Writes the two streams of each blob.
fn write_streams<W: Write>(
    container: &mut ContainerWriter<W>,
    blobs: &[KeptBlob],
    places: &[Vec<Where>],
    jobs: Jobs,
) -> Result<(), MetadataError> {
    for batch in (0..blobs.len()).collect::<Vec<_>>().chunks(BATCH) {
        let streams = jobs::map(
            jobs,
            batch,
            |&n| blobs[n].sums.len() as u64,
            |&n| streams(&blobs[n].tar, &blobs[n].sums, &places[n]),
        );
        for (&folder, streams) in batch.iter().zip(streams) {
            let (split, bodies) = streams?;
            container.stream(&names::layer_split(folder), split)?;
            container.member(&names::layer_bodies(folder), &bodies)?;
        }
    }
    Ok(())
}

/// Digests the bodies of all blobs and of the outer tar. Uncompressed blobs are left out of the latter:
/// what is in them is digested anyway.
fn digest_all(
    archive: &Archive,
    outer: &Outer,
    blobs: &mut [KeptBlob],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Vec<Sum>, MetadataError> {
    let spans: Result<Vec<Vec<Span>>, _> = blobs.iter().map(blobs::body_spans).collect();
    let mut spans = spans?;
    let is_plain = |n: Option<usize>| n.is_some_and(|n| blobs[n].compression == Compression::None);
    let others = outer.bodies.iter().filter(|body| !is_plain(body.blob));
    spans.push(others.map(|body| body.span).collect());
    let mut slices: Vec<Slice> = blobs.iter().map(|blob| blob.tar.clone()).collect();
    slices.push(archive.source().whole());
    let mut sums = sums(&slices, &spans, jobs, progress)?;
    let others = sums
        .pop()
        .expect("there is a list of sums for each list of spans");
    for (blob, sums) in blobs.iter_mut().zip(sums) {
        blob.sums = sums;
    }
    Ok(others)
}

/// The sums of all bodies of the outer tar: those of uncompressed blobs follow from what is known.
fn complete(
    outer: &Outer,
    blobs: &[KeptBlob],
    diff_ids: &[DiffId],
    others: Vec<Sum>,
) -> Result<Vec<Sum>, MetadataError> {
    let combine = Combine::new();
    let mut others = others.into_iter();
    let mut all = Vec::with_capacity(outer.bodies.len());
    for body in &outer.bodies {
        let plain = body.blob.map(|n| &blobs[n]);
        let plain = plain.filter(|blob| blob.compression == Compression::None);
        if let Some(blob) = plain {
            let mut sha256 = [0; 32];
            const_hex::decode_to_slice(diff_ids[blob.layer].digest().encoded(), &mut sha256)
                .expect("a diff ID is trusted only if it is a SHA-256, else one is computed");
            all.push(Sum {
                span: body.span,
                sha256,
                crc: blobs::whole_crc(blob, &combine)?,
            });
        } else {
            let sum = others.next();
            all.push(sum.expect("every body that is not a plain blob was digested"));
        }
    }
    Ok(all)
}

fn write_outer<W: Write>(
    container: &mut ContainerWriter<W>,
    archive: &Archive,
    sums: &[Sum],
    places: &[(Where, Option<Slice>)],
) -> Result<(), MetadataError> {
    let whole = archive.source().whole();
    let bodies: Vec<Where> = places.iter().map(|(place, _)| place.clone()).collect();
    let (split, bodies) = streams(&whole, sums, &bodies)?;
    container.stream(names::ARCHIVE_SPLIT, split)?;
    container.member(names::ARCHIVE_BODIES, &bodies)?;
    for (place, bytes) in places {
        if let (Where::Member(name), Some(bytes)) = (place, bytes) {
            container.slice(name, bytes)?;
        }
    }
    Ok(())
}

/// Both streams of a tar: its pieces, and where its bodies are.
fn streams(
    tar: &Slice,
    sums: &[Sum],
    places: &[Where],
) -> Result<((SpooledTempFile, u64), Vec<u8>), MetadataError> {
    let mut split = SplitWriter::new();
    let mut bodies = BodiesWriter::new();
    let mut known = sums.iter().zip(places);
    let changed = |offset: u64| MetadataError::Changed { offset };
    take_apart(tar, |place| match place {
        Stretch::Raw(span) => each_raw(tar, span, |bytes| {
            split.raw(bytes).map_err(MetadataError::Write)
        }),
        Stretch::File { name, body } => {
            let mut crc = 0;
            if body.len > 0 {
                let next = known.next().filter(|(sum, _)| sum.span == body);
                let (sum, place) = next.ok_or_else(|| changed(body.offset))?;
                crc = sum.crc;
                bodies
                    .add(&BodyRecord {
                        position: split.position(),
                        size: body.len,
                        sha256: sum.sha256,
                        place: place.clone(),
                    })
                    .map_err(MetadataError::Write)?;
            }
            split
                .file(&name, body.len, crc)
                .map_err(MetadataError::Write)
        }
    })?;
    if let Some((sum, _)) = known.next() {
        return Err(changed(sum.span.offset));
    }
    let split = split.finish().map_err(MetadataError::Write)?;
    let bodies = bodies.finish().map_err(MetadataError::Write)?;
    Ok((split, bodies))
}
