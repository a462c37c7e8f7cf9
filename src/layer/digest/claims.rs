//! What is claimed of layers, verified: each stretch of bytes read once, however many claims are made
//! about it.

use super::proof::{Claimed, LayerName, Mismatch, Proof, StoredPart, Wanted};
use super::request::{Nothing, Request, prove};
use crate::base::digest::{Algorithm, BlobDigest, Digest};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::Progress;
use crate::layer::LayerError;
use crate::source::{ByPlace, Compression, Slice};

/// What is claimed of a layer, or of another blob.
#[derive(Clone, Debug)]
pub(crate) struct Claim<'c> {
    /// Which it is.
    pub(crate) name: LayerName,
    /// Its stored bytes.
    pub(crate) bytes: &'c Slice,
    /// How they are compressed.
    pub(crate) compression: Compression,
    /// What its uncompressed bytes should be: of a layer its diff ID, of another blob, which is not decoded, its
    /// digest.
    pub(crate) content: &'c Digest,
    /// What its stored bytes should be, if that is claimed.
    pub(crate) stored: Option<&'c BlobDigest>,
}

impl Claim<'_> {
    fn wanted(&self) -> Wanted {
        Wanted {
            tar: self.content.algorithm().clone(),
            stored: self.stored.map(|id| id.digest().algorithm().clone()),
        }
    }

    fn compare(&self, proof: &Proof) -> Result<(), ClaimError> {
        let (claimed, computed) = (self.content, proof.diff_id().digest());
        if claimed.algorithm() != computed.algorithm() {
            return Err(ClaimError::Unsupported {
                name: self.name.clone(),
                algorithm: claimed.algorithm().clone(),
            });
        }
        let what = match self.name.part {
            StoredPart::Layer => Claimed::DiffId,
            StoredPart::Blob => Claimed::Blob,
        };
        Mismatch::between(&self.name, what, claimed, computed)?;
        if let (Some(claimed), Some(computed)) = (self.stored, proof.stored()) {
            let (claimed, computed) = (claimed.digest(), computed.digest());
            Mismatch::between(&self.name, Claimed::Blob, claimed, computed)?;
        }
        Ok(())
    }
}

/// Why a claim is false, or cannot be verified.
#[derive(Debug)]
pub(crate) enum ClaimError {
    /// The bytes are not what is claimed.
    Mismatch(Box<Mismatch>),
    /// The bytes cannot be read.
    Unread {
        /// The layer.
        name: LayerName,
        /// Why not.
        source: LayerError,
    },
    /// The claim is made by an algorithm that cannot be computed.
    Unsupported {
        /// The layer.
        name: LayerName,
        /// The algorithm.
        algorithm: Algorithm,
    },
}

impl From<Box<Mismatch>> for ClaimError {
    fn from(mismatch: Box<Mismatch>) -> Self {
        Self::Mismatch(mismatch)
    }
}

/// What reading bytes for their claims is called while it is under way.
pub(crate) use crate::base::progress::steps::VERIFYING;

/// Bytes that are to be read for the claims about them.
#[derive(Debug)]
pub(crate) struct Reading<'c> {
    /// The index of the first layer that has them.
    pub(crate) layer: usize,
    pub(crate) bytes: &'c Slice,
    pub(crate) compression: Compression,
    /// The digests to compute.
    pub(crate) wanted: Wanted,
    read: Option<Result<Proof, LayerError>>,
}

/// Claims, in the order in which they are answered for.
#[derive(Debug)]
pub(crate) struct Claims<'c> {
    made: Vec<(Claim<'c>, usize)>,
    readings: Vec<Reading<'c>>,
    /// Which readings each stretch of bytes has: one for each set of algorithms.
    of_bytes: ByPlace<Vec<usize>>,
}

impl<'c> Claims<'c> {
    /// Without claims.
    pub(crate) fn none() -> Self {
        Self {
            made: Vec::new(),
            readings: Vec::new(),
            of_bytes: ByPlace::new(),
        }
    }

    /// Adds a claim; `known` is what is proven of these bytes already.
    pub(crate) fn add(&mut self, claim: Claim<'c>, known: Option<&Proof>) {
        let wanted = claim.wanted();
        let place = self.of_bytes.add(claim.bytes, Vec::new);
        let readings = self.of_bytes.at_mut(place);
        let same = |&&n: &&usize| self.readings[n].wanted == wanted;
        let n = readings.iter().find(same).copied().unwrap_or_else(|| {
            let n = self.readings.len();
            readings.push(n);
            self.readings.push(Reading {
                layer: claim.name.layer,
                bytes: claim.bytes,
                compression: claim.compression,
                wanted,
                read: None,
            });
            n
        });
        let reading = &mut self.readings[n];
        if let (None, Some(known)) = (&reading.read, known)
            && known.answers(&reading.wanted)
        {
            reading.read = Some(Ok(known.clone()));
        }
        self.made.push((claim, n));
    }

    /// What is still to be read; bytes that layers share are there once for each set of algorithms.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &Reading<'c>> {
        self.readings
            .iter()
            .filter(|reading| reading.read.is_none())
    }

    /// Takes the results from whoever read what was [unread](Self::unread), in that order.
    pub(crate) fn settle(&mut self, read: impl IntoIterator<Item = Result<Proof, LayerError>>) {
        let open = self.readings.iter_mut();
        let open = open.filter(|reading| reading.read.is_none());
        for (reading, read) in open.zip(read) {
            reading.read = Some(read);
        }
    }

    /// Reads what is to be read, on several threads, and compares.
    ///
    /// # Errors
    ///
    /// [`ClaimError`], for the first claim that is false or cannot be verified.
    pub(crate) fn check(mut self, jobs: Jobs, progress: &dyn Progress) -> Result<(), ClaimError> {
        let requests = self.unread().map(|reading| Request {
            bytes: reading.bytes,
            compression: reading.compression,
            wanted: reading.wanted.clone(),
            task: Some(VERIFYING.to_owned()),
            alongside: Nothing,
        });
        let answers = prove(jobs, requests, progress).into_iter();
        self.settle(answers.map(|answer| answer.map(|(proof, ())| proof)));
        self.compare()
    }

    /// Compares every claim with what was read.
    fn compare(mut self) -> Result<(), ClaimError> {
        for (claim, n) in &self.made {
            match self.readings[*n].read.take() {
                Some(Ok(proof)) => {
                    claim.compare(&proof)?;
                    self.readings[*n].read = Some(Ok(proof));
                }
                Some(Err(source)) => {
                    let name = claim.name.clone();
                    return Err(ClaimError::Unread { name, source });
                }
                // A reading without an answer has no claim.
                None => {}
            }
        }
        Ok(())
    }

    /// Compares what was [settled](Self::settle) and was known.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub(crate) fn conclude(self) -> Result<(), ClaimError> {
        debug_assert!(self.readings.iter().all(|reading| reading.read.is_some()));
        self.compare()
    }

    /// Verifies the claims on the other cores while this thread does `write`. What is written counts
    /// only if every claim holds, so their errors come first.
    pub(crate) fn while_writing<T, E: From<ClaimError>>(
        self,
        jobs: Jobs,
        progress: &dyn Progress,
        write: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.made.is_empty() {
            return write();
        }
        let (checked, written) = jobs::both(|| self.check(jobs, progress), write);
        checked?;
        written
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::digest::{DiffId, Hasher};
    use crate::base::limits::Limits;
    use crate::base::progress::{Silent, Task};
    use crate::source::Source;

    /// Counts how often bytes are read.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Progress for Counting {
        fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Silent.begin(what, total)
        }
    }

    const BYTES: &[u8] = &[7; 300_000];

    fn stored(bytes: &[u8]) -> Slice {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("room");
        let len = bytes.len() as u64;
        Source::temporary(file, len, "a test".to_owned(), &Limits::default(), len).whole()
    }

    fn claim<'c>(layer: usize, bytes: &'c Slice, diff_id: &'c DiffId) -> Claim<'c> {
        Claim {
            name: LayerName::of(layer),
            bytes,
            compression: Compression::None,
            content: diff_id.digest(),
            stored: None,
        }
    }

    fn jobs() -> Jobs {
        Jobs::new(NonZeroUsize::new(2).expect("not zero"))
    }

    #[test]
    fn shared_bytes_are_read_once_for_each_algorithm() {
        let bytes = stored(BYTES);
        let sha256 = DiffId::from(Digest::sha256_of(BYTES));
        let mut hasher = Hasher::for_algorithm(&Algorithm::Sha512).expect("it is known");
        hasher.update(BYTES);
        let sha512 = DiffId::from(hasher.finish());
        let mut claims = Claims::none();
        for (layer, diff_id) in [&sha256, &sha512, &sha256].into_iter().enumerate() {
            claims.add(claim(layer, &bytes, diff_id), None);
        }
        let open: Vec<usize> = claims.unread().map(|reading| reading.layer).collect();
        assert_eq!(open, [0, 1]);
        let counting = Counting::default();
        assert!(claims.check(jobs(), &counting).is_ok());
        assert_eq!(counting.0.into_inner(), 2);
    }

    #[test]
    fn the_first_layer_that_is_something_else_is_told() {
        let (sound, other) = (stored(BYTES), stored(b"other"));
        let right = DiffId::from(Digest::sha256_of(BYTES));
        let mut claims = Claims::none();
        claims.add(claim(0, &sound, &right), None);
        claims.add(claim(1, &other, &right), None);
        claims.add(claim(2, &other, &right), None);
        let Err(ClaimError::Mismatch(mismatch)) = claims.check(jobs(), &Silent) else {
            panic!("another layer was taken for the one that is claimed");
        };
        assert_eq!(mismatch.name.layer, 1);
        assert_eq!(mismatch.what, Claimed::DiffId);
        assert_eq!(mismatch.computed, Digest::sha256_of(b"other"));
    }

    #[test]
    fn what_is_proven_is_not_read_again_and_not_believed_either() {
        let bytes = stored(BYTES);
        let right = DiffId::from(Digest::sha256_of(BYTES));
        let wrong = DiffId::from(Digest::sha256_of(b"other"));
        let request = Request {
            bytes: &bytes,
            compression: Compression::None,
            wanted: Wanted::diff_id(),
            task: None,
            alongside: Nothing,
        };
        let (proof, ()) = request.answer(&Silent).expect("readable bytes");
        assert_eq!((proof.diff_id(), proof.size()), (&right, 300_000));
        for (claimed, holds) in [(&right, true), (&wrong, false)] {
            let mut claims = Claims::none();
            claims.add(claim(0, &bytes, claimed), Some(&proof));
            assert_eq!(claims.unread().count(), 0);
            let counting = Counting::default();
            let written = claims.while_writing(jobs(), &counting, || Ok::<_, ClaimError>(()));
            assert_eq!(written.is_ok(), holds);
            assert_eq!(counting.0.into_inner(), 0);
        }
    }
}
