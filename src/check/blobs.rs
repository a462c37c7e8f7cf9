//! All blobs of an archive, each read once.
//!
//! Long: what is to be read and what was read of it are one plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::secrets::{ContentScan, LayerSecrets};
use super::{Extent, VerifyError};
use crate::archive::{Contents, MemberKind};
use crate::base::digest::{Algorithm, BlobDigest, Digest, Hasher};
use crate::base::jobs::{Cost, Jobs};
use crate::base::progress::{Progress, Silent, Stage, steps};
use crate::image::{ImageSet, Layer};
use crate::layer::digest::{
    Alongside, LayerReading, Nothing, Outcome, Proof, Request, Wanted, Work, run,
};
use crate::layer::{Allowance, Bodies, KeepAll, LayerError, LayerOutline, LayerTar, PassingBodies};
use crate::source::{ByPlace, Compression, Slice, SourceError, Span};

/// One stored blob and what its bytes came to.
#[derive(Debug)]
pub(super) struct ReadBlob {
    slice: Slice,
    /// The member that holds it.
    pub(super) member: Vec<u8>,
    /// The digest that the member's name claims.
    pub(super) named: Option<Digest>,
    /// Whether the bytes are stored as they are, so that one digest is both of a layer's.
    is_plain: bool,
    bytes: BlobBytes,
    /// What its files have that looks like a secret, if it is a layer and that was asked for.
    secrets: Option<Arc<LayerSecrets>>,
}

/// What the bytes of a blob came to, and the secrets in it.
type BlobRead = (BlobBytes, Option<LayerSecrets>);

/// What the bytes of a blob came to.
#[derive(Debug)]
enum BlobBytes {
    /// They should be a layer.
    Layer(Box<LayerReading>),
    /// They should be a layer and cannot be decoded; the digest is of what is stored, if that was wanted.
    Damaged(LayerError, Option<Digest>),
    /// They are something else.
    Other(Proof),
}

impl ReadBlob {
    pub(super) fn span(&self) -> Span {
        self.slice.span()
    }

    /// The layer that it should be, or what is wrong with its compression; none if it is no layer.
    pub(super) fn layer(&self) -> Option<Result<&LayerReading, &LayerError>> {
        match &self.bytes {
            BlobBytes::Layer(reading) => Some(Ok(reading)),
            BlobBytes::Damaged(fault, _) => Some(Err(fault)),
            BlobBytes::Other(_) => None,
        }
    }

    /// Its headers and the secrets in its files, for the audit; none if it was not read for that, or is damaged.
    pub(super) fn scanned(&self) -> Option<(LayerOutline, Arc<LayerSecrets>)> {
        let BlobBytes::Layer(reading) = &self.bytes else {
            return None;
        };
        let outline = if self.is_plain {
            Some(LayerOutline::plain(self.slice.clone()))
        } else {
            reading.outline.clone()
        };
        Some((outline?, Arc::clone(self.secrets.as_ref()?)))
    }

    /// Its uncompressed tar, if it is a layer whose bytes are at hand.
    fn into_tar(self) -> Option<LayerTar> {
        match self.bytes {
            BlobBytes::Layer(_) if self.is_plain => Some(LayerTar::plain(self.slice)),
            BlobBytes::Layer(reading) => reading.outline?.into_whole(),
            BlobBytes::Damaged(..) | BlobBytes::Other(_) => None,
        }
    }

    /// The digest of its bytes, uncompressed; none if it cannot be decoded.
    pub(super) fn uncompressed(&self) -> Option<&Digest> {
        match &self.bytes {
            BlobBytes::Layer(reading) => Some(reading.diff_id().digest()),
            BlobBytes::Other(proof) => Some(proof.diff_id().digest()),
            BlobBytes::Damaged(..) => None,
        }
    }

    /// Whether the blob is zstd and begins with a frame that carries no data.
    pub(super) fn begins_with_skippable_frame(&self) -> bool {
        let mut head = [0; 4];
        let read = self.slice.read_at(&mut head, 0);
        read.is_ok_and(|n| n == head.len())
            && head[0] & 0xf0 == 0x50
            && head[1..] == [0x2a, 0x4d, 0x18]
    }

    /// The SHA-256 of the stored bytes, if it was computed: where they are not compressed it is that of the
    /// uncompressed ones.
    pub(super) fn stored_sha256(&self) -> Option<BlobDigest> {
        let stored = self.stored_digest(&Algorithm::Sha256);
        let plain = || match &self.bytes {
            BlobBytes::Layer(reading) if self.is_plain => Some(reading.diff_id().digest().clone()),
            _ => None,
        };
        let sha256 = |digest: &Digest| *digest.algorithm() == Algorithm::Sha256;
        let digest = stored.or_else(plain).filter(sha256);
        digest.map(BlobDigest::from)
    }

    /// The digest of the stored bytes, if it was computed with this algorithm.
    pub(super) fn stored_digest(&self, algorithm: &Algorithm) -> Option<Digest> {
        let stored = match &self.bytes {
            BlobBytes::Layer(reading) => reading.stored(),
            BlobBytes::Damaged(_, stored) => stored.as_ref(),
            BlobBytes::Other(proof) => proof.stored().map(BlobDigest::digest),
        };
        stored
            .filter(|digest| digest.algorithm() == algorithm)
            .cloned()
    }
}

/// What is to be done with a blob.
#[derive(Debug)]
struct Plan {
    slice: Slice,
    member: Vec<u8>,
    named: Option<Digest>,
    compression: Compression,
    wanted: Wanted,
    is_layer: bool,
}

impl Plan {
    /// How it is read.
    fn work<'p>(&'p self, needs: &'p LayerNeeds) -> Work<'p, Looking<'p>, &'p Self> {
        // The entries of what is compressed are seen while it is decoded.
        if self.compression != Compression::None {
            return Work::Other(self);
        }
        Work::Read(Request {
            bytes: &self.slice,
            compression: Compression::None,
            wanted: self.wanted.clone(),
            task: Some(steps::VERIFYING_BLOBS.to_owned()),
            alongside: Looking::Blob(self, needs),
        })
    }
}

/// The blobs of an archive by where they lie.
#[derive(Debug)]
pub(super) struct Blobs {
    by_place: ByPlace<ReadBlob>,
    /// Whether the entries of all layers were noted.
    pub(super) has_entries: bool,
    /// The digest of the whole file, if it was asked for.
    pub(super) file: Option<Digest>,
}

/// What bytes are that are stored uncompressed, or not to be decoded.
enum Looking<'l> {
    /// The whole file.
    File,
    /// A blob.
    Blob(&'l Plan, &'l LayerNeeds),
}

/// What is needed of layers besides their digests.
struct LayerNeeds {
    /// How many of their entries may be noted.
    allowance: Allowance,
    /// Whether the audit needs their headers and what is in their files.
    audit: bool,
    /// Whether what compressed ones are decoded to is kept with their headers.
    keep: bool,
    /// How many there may be.
    layers: usize,
    /// Of how many more that are compressed the headers may be kept. Each takes an open file. What an audit needs of the
    /// others is decoded again, so no outcome depends on which these are.
    outlines: AtomicUsize,
}

/// How many open files the headers of layers may take.
const OUTLINES: usize = 256;

impl LayerNeeds {
    /// Whether the headers of one more layer are kept.
    fn keeps_one_more(&self) -> bool {
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let one_less = |left: usize| left.checked_sub(1);
        self.audit && self.outlines.fetch_update(set, fetch, one_less).is_ok()
    }
}

impl Alongside for Looking<'_> {
    type State = Option<(PassingBodies, ContentScan)>;
    type Made = Option<BlobRead>;
    type Error = VerifyError;

    fn unread(&self, error: LayerError) -> VerifyError {
        match (self, error) {
            (Self::File, LayerError::Read(error)) => match error.downcast::<SourceError>() {
                Ok(error) => error.into(),
                Err(error) => LayerError::Read(error).into(),
            },
            (_, error) => error.into(),
        }
    }

    fn begin(&self) -> Result<Self::State, VerifyError> {
        Ok(match self {
            Self::Blob(plan, needs) if plan.is_layer && needs.audit => {
                let scan = ContentScan::one_of(needs.layers);
                Some((PassingBodies::of(&plan.slice), scan))
            }
            Self::Blob(..) | Self::File => None,
        })
    }

    fn take(&self, state: &mut Self::State, bytes: &[u8]) -> Result<(), VerifyError> {
        if let Some((passing, scan)) = state {
            passing.take(bytes, scan);
        }
        Ok(())
    }

    fn end(&self, state: Self::State, proof: &Proof) -> Result<Self::Made, VerifyError> {
        let secrets = state.map(|(passing, mut scan)| {
            passing.end(&mut scan);
            scan.finish()
        });
        Ok(match self {
            Self::File => None,
            Self::Blob(plan, needs) if plan.is_layer => {
                let reading = LayerReading::of_plain(&plan.slice, proof.clone(), &needs.allowance)?;
                Some((BlobBytes::Layer(Box::new(reading)), secrets))
            }
            Self::Blob(..) => Some((BlobBytes::Other(proof.clone()), None)),
        })
    }
}

/// Asks for the digest of a whole file.
fn of_file(file: &Slice) -> Request<'_, Looking<'_>> {
    Request {
        bytes: file,
        compression: Compression::None,
        wanted: Wanted::diff_id(),
        task: Some(steps::VERIFYING_BLOBS.to_owned()),
        alongside: Looking::File,
    }
}

/// The SHA-256 of a whole file.
pub(super) fn file_digest(file: &Slice, progress: &dyn Progress) -> Result<Digest, VerifyError> {
    let (proof, _) = of_file(file).answer(progress)?;
    Ok(proof.diff_id().digest().clone())
}

/// The reading of the blobs, and of the whole file if that is asked for, for progress.
fn stage<'p>(
    plans: &[Plan],
    file: Option<&Slice>,
    progress: &'p dyn Progress,
) -> Box<dyn Progress + 'p> {
    let lens = plans.iter().map(|plan| plan.slice.len());
    let lens = lens.chain(file.map(Slice::len));
    progress.stage(Stage {
        what: steps::VERIFYING_BLOBS,
        unit: "blob",
        parts: plans.len() + usize::from(file.is_some()),
        total: lens.fold(0, u64::saturating_add),
    })
}

impl Blobs {
    /// No blob at all.
    pub(super) fn none() -> Self {
        Self {
            by_place: ByPlace::new(),
            has_entries: false,
            file: None,
        }
    }

    /// Reads everything that must be, the whole file too if that is asked for, and of layers what an audit needs.
    pub(super) fn read(
        archive: &Contents,
        set: &ImageSet,
        Extent { file, audit, keep }: Extent,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, VerifyError> {
        let plans = plan(archive, set);
        let needs = LayerNeeds {
            allowance: Allowance::full(archive.source().limits()),
            audit,
            keep,
            layers: plans.all().len(),
            outlines: AtomicUsize::new(OUTLINES),
        };
        let whole = archive.stored().whole();
        let first = file.then(|| Work::Read(of_file(&whole)));
        let blobs = plans.all().iter().map(|plan| plan.work(&needs));
        let work: Vec<Work<'_, Looking<'_>, &Plan>> = first.into_iter().chain(blobs).collect();
        // The largest blob first. Beside the whole file, which one thread reads from its beginning to
        // its end, the blobs are read in the order of the file: both then stand near each other, and
        // what one of them has read from the disk the other finds in memory.
        let of_blob = |slice: &Slice| {
            if file {
                Cost {
                    rank: u64::MAX - 1 - slice.span().offset,
                    cost: slice.len(),
                }
            } else {
                Cost::from(slice.len())
            }
        };
        let cost = |work: &Work<'_, Looking<'_>, &Plan>| match work {
            Work::Read(request) => match request.alongside {
                Looking::File => Cost {
                    rank: u64::MAX,
                    cost: request.bytes.len(),
                },
                Looking::Blob(..) => of_blob(request.bytes),
            },
            Work::Other(plan) => of_blob(&plan.slice),
        };
        let stage = stage(plans.all(), file.then_some(&whole), progress);
        let progress = &*stage;
        let decode = |plan: &&Plan| decode(plan, &needs, progress);
        let mut digest = None;
        let mut bytes = Vec::with_capacity(plans.all().len());
        for outcome in run(jobs, &work, cost, 1, &decode, progress) {
            match outcome {
                Outcome::Read(answer) => match answer? {
                    (_, Some(read)) => bytes.push(read),
                    (proof, None) => digest = Some(proof.diff_id().digest().clone()),
                },
                Outcome::Other(decoded) => bytes.push(decoded?),
            }
        }
        drop(work);
        let mut bytes = bytes.into_iter();
        Ok(Self {
            by_place: plans.map(|plan| {
                let (bytes, secrets) = bytes.next().expect("every plan was carried out");
                ReadBlob {
                    slice: plan.slice,
                    member: plan.member,
                    named: plan.named,
                    is_plain: plan.compression == Compression::None,
                    bytes,
                    secrets: secrets.map(Arc::new),
                }
            }),
            has_entries: !needs.allowance.is_used_up(),
            file: digest,
        })
    }

    /// The uncompressed tars of the layers whose bytes are at hand.
    pub(super) fn into_tars(self) -> ByPlace<Option<LayerTar>> {
        self.by_place.map(ReadBlob::into_tar)
    }

    pub(super) fn get(&self, bytes: &Slice) -> Option<&ReadBlob> {
        self.by_place.get(bytes)
    }

    /// The blob of a layer, if the archive holds it.
    pub(super) fn of(&self, layer: &Layer) -> Option<&ReadBlob> {
        self.get(layer.present()?.0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ReadBlob> {
        self.by_place.all().iter()
    }
}

/// Lists every layer, every blob of an artifact, and every member named by a digest; each stretch
/// of the archive once.
fn plan(archive: &Contents, set: &ImageSet) -> ByPlace<Plan> {
    let mut plans: ByPlace<Plan> = ByPlace::new();
    let mut add = |slice: &Slice, member: &[u8]| {
        plans.add(slice, || Plan {
            slice: slice.clone(),
            member: member.to_vec(),
            named: None,
            compression: Compression::None,
            wanted: Wanted::diff_id(),
            is_layer: false,
        })
    };
    let mut notes: Vec<(usize, Note)> = Vec::new();
    let layers = set.images.iter().flat_map(|image| {
        let made = set.has_made_manifest(image);
        image.layers.iter().map(move |layer| (layer, made))
    });
    for (layer, made) in layers {
        if let Some((slice, compression)) = layer.present() {
            let i = add(slice, &layer.member);
            let tar = layer
                .diff_id
                .as_ref()
                .map(|id| id.digest().algorithm().clone());
            notes.push((i, Note::Layer { compression, tar }));
            if let Some(digest) = &layer.digest {
                notes.push((i, Note::Stored(digest.digest().algorithm().clone())));
            }
            if made {
                notes.push((i, Note::InMadeManifest));
            }
        }
    }
    for blob in set.artifacts.iter().flat_map(|artifact| &artifact.blobs) {
        if let Some(slice) = &blob.slice {
            let i = add(slice, &blob.member);
            notes.push((i, Note::Stored(blob.descriptor.digest.algorithm().clone())));
        }
    }
    for member in archive.members() {
        let name = member.name.as_bytes();
        // Of one that is cut there is nothing to compare.
        if let MemberKind::File(span) = &member.kind
            && !archive.is_cut(member)
            && let Some(digest) = crate::image::blob_digest_in_name(name)
        {
            let i = add(&archive.source().slice(*span), name);
            notes.push((i, Note::Stored(digest.digest().algorithm().clone())));
            notes.push((i, Note::Named(digest.digest().clone())));
        }
    }
    for (i, note) in notes {
        let plan = plans.at_mut(i);
        match note {
            Note::Layer { compression, tar } => {
                plan.is_layer = true;
                plan.compression = compression;
                plan.wanted.tar = tar.unwrap_or(Algorithm::Sha256);
            }
            Note::Stored(algorithm) => plan.wanted.stored = Some(algorithm),
            // What is claimed comes first, wherever the two are not by one algorithm.
            Note::InMadeManifest => {
                let sha256 = || Some(Algorithm::Sha256);
                plan.wanted.stored = plan.wanted.stored.take().or_else(sha256);
            }
            Note::Named(digest) => plan.named = Some(digest),
        }
    }
    plans
}

enum Note {
    Layer {
        compression: Compression,
        tar: Option<Algorithm>,
    },
    Stored(Algorithm),
    /// containerd makes a manifest that names the stored bytes.
    InMadeManifest,
    Named(Digest),
}

/// Reads a compressed layer. Bytes that cannot be decoded still have a digest as they are stored.
fn decode(
    plan: &Plan,
    needs: &LayerNeeds,
    progress: &dyn Progress,
) -> Result<BlobRead, VerifyError> {
    let task = progress.begin(steps::VERIFYING_BLOBS, Some(plan.slice.len()));
    let (compression, wanted) = (plan.compression, &plan.wanted);
    let mut scan = needs
        .keeps_one_more()
        .then(|| ContentScan::one_of(needs.layers));
    let mut keeping = scan.as_mut().filter(|_| needs.keep).map(KeepAll);
    let bodies = match &mut keeping {
        Some(keeping) => Some(keeping as &mut dyn Bodies),
        None => scan.as_mut().map(|scan| scan as &mut dyn Bodies),
    };
    let (slice, allowance) = (&plan.slice, &needs.allowance);
    let read = LayerReading::of_compressed(slice, compression, wanted, allowance, bodies, &*task);
    let fault = match read {
        Ok(reading) => {
            let secrets = scan.map(ContentScan::finish);
            return Ok((BlobBytes::Layer(Box::new(reading)), secrets));
        }
        Err(error) if error.is_environment() => return Err(error.into()),
        Err(fault) => fault,
    };
    let stored = wanted.stored.clone();
    let Some(algorithm) = stored.filter(|a| Hasher::for_algorithm(a).is_some()) else {
        return Ok((BlobBytes::Damaged(fault, None), None));
    };
    let stored = Request {
        bytes: &plan.slice,
        compression: Compression::None,
        wanted: Wanted {
            tar: algorithm,
            stored: None,
        },
        task: None,
        alongside: Nothing,
    };
    // A read that fails now is a failure of the system, and no word about the blob.
    let (proof, ()) = stored.answer(&Silent)?;
    let digest = proof.diff_id().digest().clone();
    Ok((BlobBytes::Damaged(fault, Some(digest)), None))
}
