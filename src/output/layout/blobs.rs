//! The layers of all images as blobs: each once, with the digest that names it.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader, Write as _};

use super::image::{OutputImage, OutputLayer};
use super::{ArchiveLayout, ArchiveOptions};
use crate::base::digest::{Algorithm, BlobDigest, DiffId, Digest};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::{Progress, Watched};
use crate::layer::{LayerError, LayerSum, SumWanted, sum};
use crate::output::{LayerSpool, WriteError};
use crate::source::{Compression, Slice, Span};

/// How much is decoded at a time, in bytes.
const BUFFER: usize = 256 * 1024;

/// A layer whose blob has a name.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) diff_id: DiffId,
    pub(super) digest: BlobDigest,
    pub(super) blob: Slice,
    pub(super) compression: Compression,
    /// Whether the digests were computed from these very bytes.
    computed: bool,
}

impl Layer {
    /// The media type in a manifest. Foreign layers are ordinary ones as soon as an archive has them.
    pub(super) fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            _ => "application/vnd.oci.image.layer.v1.tar",
        }
    }
}

impl ArchiveLayout {
    /// Whether every reader of the layout can read layers of this compression. No media type stands
    /// for bzip2 and xz, and Docker before 23 cannot read zstd.
    fn holds(self, compression: Compression) -> bool {
        match compression {
            Compression::None | Compression::Gzip => true,
            Compression::Zstd => self == Self::Oci,
            _ => false,
        }
    }
}

/// Tells blobs apart before they have digests.
type Place = (usize, Span);

fn place(layer: &OutputLayer) -> Place {
    (layer.blob.source().identity(), layer.blob.span())
}

/// What reading a blob once gave.
enum Read {
    Sum(LayerSum),
    Decoded(OutputLayer),
}

/// Gives every layer of every image a blob that the layout can hold and the digest of it. Digests
/// that nothing tells are computed and layers of other compressions decoded, on all cores.
pub(super) fn name(
    images: &[OutputImage],
    options: ArchiveOptions,
    progress: &dyn Progress,
) -> Result<Vec<Vec<Layer>>, WriteError> {
    let mut plans: Vec<(&OutputImage, usize)> = Vec::new();
    let mut by_place: HashMap<Place, usize> = HashMap::new();
    for (image, index, layer) in all(images) {
        if layer.digest.is_none() || !options.layout.holds(layer.compression) {
            by_place.entry(place(layer)).or_insert_with(|| {
                plans.push((image, index));
                plans.len() - 1
            });
        }
    }
    let wanted = SumWanted {
        stored: Some(Algorithm::Sha256),
        ..SumWanted::diff_id()
    };
    let read = jobs::map(
        options.jobs,
        &plans,
        |(image, index)| image.layers[*index].blob.len(),
        |(image, index)| {
            let layer = &image.layers[*index];
            if !options.layout.holds(layer.compression) {
                return decode(layer, progress)
                    .map(Read::Decoded)
                    .map_err(|e| e.at(image, *index));
            }
            let task = progress.begin("hashing layers", Some(layer.blob.len()));
            sum(&layer.blob, layer.compression, &wanted, &*task)
                .map(Read::Sum)
                .map_err(|source| fault(image, *index, source))
        },
    );
    let read: Vec<Read> = read.into_iter().collect::<Result<_, _>>()?;
    images
        .iter()
        .map(|image| {
            let layers = image.layers.iter().enumerate();
            layers
                .map(|(index, layer)| {
                    let read = by_place.get(&place(layer)).map(|&i| &read[i]);
                    named(image, index, layer, read)
                })
                .collect()
        })
        .collect()
}

fn all(images: &[OutputImage]) -> impl Iterator<Item = (&OutputImage, usize, &OutputLayer)> {
    images.iter().flat_map(|image| {
        let layers = image.layers.iter().enumerate();
        layers.map(move |(index, layer)| (image, index, layer))
    })
}

fn named(
    image: &OutputImage,
    index: usize,
    layer: &OutputLayer,
    read: Option<&Read>,
) -> Result<Layer, WriteError> {
    let diff_id = layer.diff_id.clone();
    let (digest, blob, compression, computed) = match read {
        None => (
            layer.digest.clone(),
            &layer.blob,
            layer.compression,
            layer.computed,
        ),
        Some(Read::Sum(sum)) => {
            compare(image, index, "diff ID", diff_id.digest(), &sum.tar)?;
            let digest = sum.stored.clone().map(BlobDigest::from);
            // What cannot be computed cannot have been compared.
            let computed = diff_id.digest().algorithm() == sum.tar.algorithm();
            (digest, &layer.blob, layer.compression, computed)
        }
        Some(Read::Decoded(decoded)) => {
            compare(
                image,
                index,
                "diff ID",
                diff_id.digest(),
                decoded.diff_id.digest(),
            )?;
            (
                decoded.digest.clone(),
                &decoded.blob,
                Compression::None,
                diff_id.digest().algorithm() == decoded.diff_id.digest().algorithm(),
            )
        }
    };
    let Some(digest) = digest else {
        return Err(WriteError::Image {
            image: image.display_name(),
            why: format!("the digest of layer {index} cannot be computed"),
        });
    };
    Ok(Layer {
        diff_id,
        digest,
        blob: blob.clone(),
        compression,
        computed,
    })
}

/// Why a layer could not be decoded.
enum Undecoded {
    Layer(LayerError),
    Write(WriteError),
}

impl Undecoded {
    fn at(self, image: &OutputImage, layer: usize) -> WriteError {
        match self {
            Self::Layer(source) => fault(image, layer, source),
            Self::Write(error) => error,
        }
    }
}

fn decode(layer: &OutputLayer, progress: &dyn Progress) -> Result<OutputLayer, Undecoded> {
    let (blob, compression) = (&layer.blob, layer.compression);
    let task = progress.begin("decompressing layers", Some(blob.len()));
    let reader = BufReader::with_capacity(BUFFER, Watched::new(blob.reader(), &*task));
    let mut decoder = blob
        .decode(compression, reader)
        .map_err(|e| Undecoded::Layer(LayerError::Read(e)))?;
    let mut spool = LayerSpool::new(blob.source().limits()).map_err(Undecoded::Write)?;
    let mut buf = vec![0; BUFFER];
    loop {
        match io::Read::read(&mut decoder, &mut buf) {
            Ok(0) => return spool.finish().map_err(Undecoded::Write),
            Ok(n) => spool
                .write_all(&buf[..n])
                .map_err(|e| Undecoded::Write(crate::output::error::spool(e)))?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                let offset = decoder.get_ref().get_ref().get_ref().position();
                let error = LayerError::from_read(e, compression, offset, blob.len());
                return Err(Undecoded::Layer(error));
            }
        }
    }
}

/// What is claimed of a blob.
struct Claim<'c> {
    image: &'c OutputImage,
    layer: usize,
    blob: &'c Slice,
    compression: Compression,
    diff_id: &'c DiffId,
    digest: Option<&'c BlobDigest>,
}

/// Holds every layer whose digests are only claimed against them.
pub(super) fn check(
    images: &[OutputImage],
    layers: &[Vec<Layer>],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(), WriteError> {
    let claims = images.iter().zip(layers).flat_map(|(image, layers)| {
        let claimed = layers
            .iter()
            .enumerate()
            .filter(|(_, layer)| !layer.computed);
        claimed.map(move |(index, layer)| Claim {
            image,
            layer: index,
            blob: &layer.blob,
            compression: layer.compression,
            diff_id: &layer.diff_id,
            digest: Some(&layer.digest),
        })
    });
    check_claims(claims, jobs, progress)
}

impl OutputImage {
    /// Holds the layers from `from` up against what is claimed of them. `known` gives the diff IDs
    /// that were computed already.
    pub(in crate::output) fn check(
        &self,
        from: usize,
        known: impl Fn(usize) -> Option<DiffId>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<(), WriteError> {
        let mut claims = Vec::new();
        for (index, layer) in self.layers.iter().enumerate().skip(from) {
            let claimed = layer.diff_id.digest();
            let known = known(index).filter(|id| id.digest().algorithm() == claimed.algorithm());
            if let Some(computed) = known {
                compare(self, index, "diff ID", claimed, computed.digest())?;
            } else if !layer.computed {
                claims.push(Claim {
                    image: self,
                    layer: index,
                    blob: &layer.blob,
                    compression: layer.compression,
                    diff_id: &layer.diff_id,
                    digest: None,
                });
            }
        }
        check_claims(claims, jobs, progress)
    }
}

/// Reads every blob once for each claim about it.
fn check_claims<'c>(
    claims: impl IntoIterator<Item = Claim<'c>>,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(), WriteError> {
    let mut seen = HashSet::new();
    let plans: Vec<Claim<'_>> = claims
        .into_iter()
        .filter(|claim| {
            let place = (claim.blob.source().identity(), claim.blob.span());
            seen.insert((place, claim.diff_id, claim.digest))
        })
        .collect();
    let sums = jobs::map(
        jobs,
        &plans,
        |claim| claim.blob.len(),
        |claim| {
            let task = progress.begin("verifying layers", Some(claim.blob.len()));
            let wanted = SumWanted {
                stored: claim
                    .digest
                    .map(|digest| digest.digest().algorithm().clone()),
                tar: claim.diff_id.digest().algorithm().clone(),
                is_layer: false,
            };
            sum(claim.blob, claim.compression, &wanted, &*task)
                .map_err(|source| fault(claim.image, claim.layer, source))
        },
    );
    for (claim, sum) in plans.iter().zip(sums) {
        let sum = sum?;
        let (image, layer) = (claim.image, claim.layer);
        let algorithm = claim.diff_id.digest().algorithm();
        if algorithm != sum.tar.algorithm() {
            let name = algorithm.name();
            return Err(WriteError::Image {
                image: image.display_name(),
                why: format!(
                    "the diff ID of layer {layer} is a digest by `{name}`, which cannot be computed"
                ),
            });
        }
        compare(image, layer, "diff ID", claim.diff_id.digest(), &sum.tar)?;
        if let (Some(claimed), Some(computed)) = (claim.digest, &sum.stored) {
            compare(image, layer, "digest", claimed.digest(), computed)?;
        }
    }
    Ok(())
}

fn compare(
    image: &OutputImage,
    layer: usize,
    what: &'static str,
    claimed: &Digest,
    computed: &Digest,
) -> Result<(), WriteError> {
    // Another algorithm cannot be compared with what was computed.
    if claimed.algorithm() != computed.algorithm() || claimed == computed {
        return Ok(());
    }
    Err(WriteError::Digest {
        image: image.display_name(),
        layer,
        what,
        claimed: Box::new(claimed.clone()),
        computed: Box::new(computed.clone()),
    })
}

fn fault(image: &OutputImage, layer: usize, source: LayerError) -> WriteError {
    WriteError::Layer {
        image: image.display_name(),
        layer,
        source,
    }
}
