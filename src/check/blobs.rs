//! All blobs of an archive, each read once.

use std::collections::HashMap;
use std::io;

use super::VerifyError;
use crate::archive::{Contents, MemberKind};
use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::escape;
use crate::base::jobs::{Cost, Jobs};
use crate::base::progress::{Progress, Silent};
use crate::image::ImageSet;
use crate::layer::passes::{self, Begun, Plain, Read, Work};
use crate::layer::{Allowance, LayerError, LayerSum, SumWanted, sum, sum_and_note, sum_of_plain};
use crate::source::{Compression, Slice, SourceError, Span};

/// One stored blob and what its bytes came to.
#[derive(Debug)]
pub(super) struct Blob {
    slice: Slice,
    /// The member that holds it.
    pub(super) member: Vec<u8>,
    /// The digest that the member's name claims.
    pub(super) named: Option<Digest>,
    pub(super) sum: Result<LayerSum, LayerError>,
    /// The digest of the stored bytes, where they could be read but not decoded.
    stored_alone: Option<Digest>,
}

impl Blob {
    pub(super) fn span(&self) -> Span {
        self.slice.span()
    }

    /// Whether the blob is zstd and begins with a frame that carries no data.
    pub(super) fn begins_with_skippable_frame(&self) -> bool {
        let mut head = [0; 4];
        let read = self.slice.read_at(&mut head, 0);
        read.is_ok_and(|n| n == head.len())
            && head[0] & 0xf0 == 0x50
            && head[1..] == [0x2a, 0x4d, 0x18]
    }

    /// The digest of the stored bytes, if it was computed with this algorithm.
    pub(super) fn stored_digest(&self, algorithm: &Algorithm) -> Option<Digest> {
        let stored = match &self.sum {
            Ok(sum) => sum.stored.clone(),
            Err(_) => self.stored_alone.clone(),
        };
        stored.filter(|digest| digest.algorithm() == algorithm)
    }
}

/// What is to be done with a blob.
#[derive(Debug)]
struct Plan {
    slice: Slice,
    member: Vec<u8>,
    named: Option<Digest>,
    compression: Compression,
    wanted: SumWanted,
}

/// The blobs of an archive by where they lie.
#[derive(Debug)]
pub(super) struct Blobs {
    by_span: HashMap<Span, usize>,
    all: Vec<Blob>,
    /// Whether the entries of all layers were noted.
    pub(super) has_entries: bool,
    /// The digest of the whole file, if it was asked for.
    pub(super) file: Option<Digest>,
}

/// One thing to read.
enum Item<'p> {
    File,
    Blob(&'p Plan),
}

/// What came of it.
enum Done {
    File(Result<Digest, SourceError>),
    Blob(Box<Result<LayerSum, LayerError>>, Option<Digest>),
}

/// How the blobs are read.
struct Reading<'a> {
    archive: &'a Contents,
    allowance: &'a Allowance,
    progress: &'a dyn Progress,
}

impl<'t, 'p: 't> Work<'t, Item<'p>> for Reading<'_> {
    type Pass = Plain<'t>;
    type Done = Done;

    fn is_pass(&self, item: &Item<'p>) -> bool {
        matches!(item, Item::Blob(plan) if plan.hasher().is_some())
    }

    fn cost(&self, bytes: u64) -> u64 {
        bytes
    }

    fn begin(&self, item: &'t Item<'p>) -> Begun<Plain<'t>, Done> {
        match item {
            Item::File => {
                let source = self.archive.stored();
                let task = self.progress.begin("the whole file", Some(source.len()));
                Begun::Done(Done::File(super::checksum::of_file(source, &*task)))
            }
            Item::Blob(plan) => {
                if let Some(hasher) = plan.hasher() {
                    let name = escape::name(&plan.member).to_string();
                    let task = self.progress.begin(&name, Some(plan.slice.len()));
                    return Begun::Pass(Plain::new(&plan.slice, task), hasher);
                }
                let (sum, stored_alone) = execute(plan, self.allowance, self.progress);
                Begun::Done(Done::Blob(Box::new(sum), stored_alone))
            }
        }
    }

    fn end(&self, item: &'t Item<'p>, read: Read<Plain<'t>>) -> Done {
        let digest = read.map(|(_, digest)| digest);
        match item {
            Item::File => Done::File(digest),
            Item::Blob(plan) => {
                let digest = digest.map_err(|e| LayerError::Read(io::Error::other(e)));
                let sum = digest.and_then(|digest| {
                    sum_of_plain(&plan.slice, digest, &plan.wanted, self.allowance)
                });
                Done::Blob(Box::new(sum), None)
            }
        }
    }
}

impl Plan {
    /// What digests the blob, where one digest of its bytes as they are stored is all that is wanted.
    fn hasher(&self) -> Option<Hasher> {
        let one = self
            .wanted
            .stored
            .as_ref()
            .is_none_or(|a| *a == self.wanted.tar);
        (one && self.compression == Compression::None)
            .then(|| Hasher::for_algorithm(&self.wanted.tar))
            .flatten()
    }
}

impl Blobs {
    /// No blob at all.
    pub(super) fn none() -> Self {
        Self {
            by_span: HashMap::new(),
            all: Vec::new(),
            has_entries: false,
            file: None,
        }
    }

    /// Reads everything that must be; with `file` the whole file too, as it is stored.
    pub(super) fn read(
        archive: &Contents,
        set: &ImageSet,
        file: bool,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, VerifyError> {
        let plans = plan(archive, set);
        let allowance = Allowance::full(archive.source().limits());
        let file = file.then_some(Item::File);
        let work: Vec<Item<'_>> = file
            .into_iter()
            .chain(plans.iter().map(Item::Blob))
            .collect();
        let has_file = matches!(work.first(), Some(Item::File));
        // The largest blob first. Beside the whole file, which one thread reads from its beginning to
        // its end, the blobs are read in the order of the file: both then stand near each other, and
        // what one of them has read from the disk the other finds in memory.
        let cost = |item: &Item<'_>| match item {
            Item::File => Cost {
                rank: u64::MAX,
                cost: archive.stored().len(),
            },
            Item::Blob(plan) if has_file => Cost {
                rank: u64::MAX - 1 - plan.slice.span().offset,
                cost: plan.slice.len(),
            },
            Item::Blob(plan) => Cost::from(plan.slice.len()),
        };
        let reading = Reading {
            archive,
            allowance: &allowance,
            progress,
        };
        let read = passes::map(jobs, &work, cost, &reading);
        let mut file = None;
        let mut sums = Vec::with_capacity(plans.len());
        for done in read {
            match done {
                Done::File(digest) => {
                    file = Some(digest?);
                }
                Done::Blob(sum, stored_alone) => sums.push((*sum, stored_alone)),
            }
        }
        let mut by_span = HashMap::with_capacity(plans.len());
        let mut blobs = Vec::with_capacity(plans.len());
        for (plan, (sum, stored_alone)) in plans.into_iter().zip(sums) {
            let sum = match sum {
                Err(error) if error.is_environment() => return Err(error.into()),
                sum => sum,
            };
            let Plan {
                slice,
                member,
                named,
                ..
            } = plan;
            by_span.insert(slice.span(), blobs.len());
            blobs.push(Blob {
                slice,
                member,
                named,
                sum,
                stored_alone,
            });
        }
        Ok(Self {
            by_span,
            all: blobs,
            has_entries: !allowance.is_used_up(),
            file,
        })
    }

    pub(super) fn get(&self, span: Span) -> Option<&Blob> {
        self.by_span.get(&span).map(|&i| &self.all[i])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Blob> {
        self.all.iter()
    }
}

/// Lists every layer, every blob of an artifact, and every member named by a digest; each stretch
/// of the archive once.
fn plan(archive: &Contents, set: &ImageSet) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    let mut by_span: HashMap<Span, usize> = HashMap::new();
    let mut add = |slice: &Slice, member: &[u8]| {
        *by_span.entry(slice.span()).or_insert_with(|| {
            let wanted = SumWanted {
                stored: None,
                tar: Algorithm::Sha256,
                is_layer: false,
            };
            plans.push(Plan {
                slice: slice.clone(),
                member: member.to_vec(),
                named: None,
                compression: Compression::None,
                wanted,
            });
            plans.len() - 1
        })
    };
    let mut notes: Vec<(usize, Note)> = Vec::new();
    for layer in set.images.iter().flat_map(|image| &image.layers) {
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
        let plan = &mut plans[i];
        match note {
            Note::Layer { compression, tar } => {
                plan.wanted.is_layer = true;
                plan.compression = compression;
                plan.wanted.tar = tar.unwrap_or(Algorithm::Sha256);
            }
            Note::Stored(algorithm) => plan.wanted.stored = Some(algorithm),
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
    Named(Digest),
}

/// Reads one blob. Bytes that cannot be decoded still have a digest as they are stored.
fn execute(
    plan: &Plan,
    allowance: &Allowance,
    progress: &dyn Progress,
) -> (Result<LayerSum, LayerError>, Option<Digest>) {
    let name = escape::name(&plan.member).to_string();
    let task = progress.begin(&name, Some(plan.slice.len()));
    match sum_and_note(
        &plan.slice,
        plan.compression,
        &plan.wanted,
        allowance,
        &*task,
    ) {
        Err(error) if !error.is_environment() => {
            let algorithm = plan
                .wanted
                .stored
                .clone()
                .filter(|a| Hasher::for_algorithm(a).is_some());
            let Some(tar) = algorithm else {
                return (Err(error), None);
            };
            let wanted = SumWanted {
                stored: None,
                tar,
                is_layer: false,
            };
            // A read that fails now is a failure of the system, and no word about the blob.
            match sum(&plan.slice, Compression::None, &wanted, &Silent) {
                Ok(stored) => (Err(error), Some(stored.tar)),
                Err(failed) => (Err(failed), None),
            }
        }
        sum => (sum, None),
    }
}
