//! Digests computed while bytes pass by.

use std::io::{self, Read};

use sha2::{Digest as _, Sha512};

use super::sha256::Sha256;
use super::value::{Algorithm, Digest};

/// Computes one digest over bytes given piece by piece.
#[derive(Clone, Debug)]
pub struct Hasher(HasherState);

#[derive(Clone, Debug)]
enum HasherState {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// A SHA-256, the algorithm of every diff ID that engines write.
    pub fn sha256() -> Self {
        Self(HasherState::Sha256(Sha256::new()))
    }

    /// A hasher for `algorithm`, or `None` where imgtar cannot compute it.
    pub fn for_algorithm(algorithm: &Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Sha256 => Some(Self::sha256()),
            Algorithm::Sha512 => Some(Self(HasherState::Sha512(Box::new(Sha512::new())))),
            Algorithm::Other(_) => None,
        }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            HasherState::Sha256(state) => state.update(bytes),
            HasherState::Sha512(state) => state.update(bytes),
        }
    }

    /// Takes in the next bytes of two streams at once. Where both are SHA-256 and the processor has
    /// instructions for it, that takes two thirds of the time of one after the other, for as many
    /// bytes as both have.
    pub fn update_both(one: &mut Self, left: &[u8], other: &mut Self, right: &[u8]) {
        if let (HasherState::Sha256(one), HasherState::Sha256(other)) = (&mut one.0, &mut other.0) {
            Sha256::update_both(one, left, other, right);
        } else {
            one.update(left);
            other.update(right);
        }
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Digest {
        match self.0 {
            HasherState::Sha256(state) => Digest::from_sha256(state.finish()),
            HasherState::Sha512(state) => Digest::from_sha512(state.finalize().into()),
        }
    }
}

/// Counts and digests the bytes that are read through it.
///
/// What is not read is not in the digest: drain the reader before asking.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> HashingReader<R> {
    /// Reads `inner` and digests with `hasher`.
    pub fn new(inner: R, hasher: Hasher) -> Self {
        Self {
            inner,
            hasher,
            count: 0,
        }
    }

    /// The digest and the number of the bytes read so far, and the reader below.
    pub fn finish(self) -> (Digest, u64, R) {
        (self.hasher.finish(), self.count, self.inner)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        self.count += n as u64;
        Ok(n)
    }
}
