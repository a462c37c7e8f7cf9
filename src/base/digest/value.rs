//! The digest: an algorithm and what it encoded.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Names the algorithm of a [`Digest`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, which every engine writes.
    Sha256,
    /// SHA-512, which the OCI image specification registers too.
    Sha512,
    /// A well-formed name that imgtar cannot compute; such digests are compared, never recomputed.
    Other(String),
}

impl Algorithm {
    /// The name before the colon.
    pub fn name(&self) -> &str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Other(name) => name,
        }
    }

    /// The length of the encoded part in characters, where the algorithm fixes it.
    fn encoded_len(&self) -> Option<usize> {
        match self {
            Self::Sha256 => Some(64),
            Self::Sha512 => Some(128),
            Self::Other(_) => None,
        }
    }
}

/// Why a string is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// There is no colon between algorithm and encoded part, or a part is empty.
    #[error("`{0}` is not a digest: digests have the form `algorithm:encoded`")]
    Form(String),
    /// The algorithm part breaks the grammar of image-spec `descriptor.md#digests`.
    #[error("`{0}` is not the name of a digest algorithm")]
    Algorithm(String),
    /// The encoded part has the wrong length or characters for its algorithm.
    #[error("`{encoded}` is not a {algorithm} digest: it must have {wanted} lower-case hex digits")]
    Encoded {
        /// The algorithm's name.
        algorithm: String,
        /// The part after the colon.
        encoded: String,
        /// How many characters the algorithm requires.
        wanted: usize,
    },
}

/// Identifies bytes by `algorithm:encoded`, as the OCI image specification writes it.
///
/// Validated when it is made: a registered algorithm has lower-case hex of its exact length, so a
/// digest can be used as a path component without another check (CVE-2024-3727).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    encoded: Box<str>,
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self::from_sha256(Sha256::digest(bytes).into())
    }

    /// Takes an already computed SHA-256.
    pub(crate) fn from_sha256(sum: [u8; 32]) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            encoded: const_hex::encode(sum).into(),
        }
    }

    /// Takes an already computed SHA-512.
    pub(crate) fn from_sha512(sum: [u8; 64]) -> Self {
        Self {
            algorithm: Algorithm::Sha512,
            encoded: const_hex::encode(sum).into(),
        }
    }

    /// Reads bare SHA-256 hex, as file names in docker archives carry it.
    ///
    /// # Errors
    ///
    /// [`DigestError::Encoded`] if it is not 64 lower-case hex digits.
    pub fn from_sha256_hex(hex: &str) -> Result<Self, DigestError> {
        Self::checked(Algorithm::Sha256, hex)
    }

    fn checked(algorithm: Algorithm, encoded: &str) -> Result<Self, DigestError> {
        if let Some(wanted) = algorithm.encoded_len() {
            let hex = encoded
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if encoded.len() != wanted || !hex {
                return Err(DigestError::Encoded {
                    algorithm: algorithm.name().to_owned(),
                    encoded: encoded.to_owned(),
                    wanted,
                });
            }
        }
        Ok(Self {
            algorithm,
            encoded: encoded.into(),
        })
    }

    /// Where the blob of this digest lies in an OCI image layout (image-spec `image-layout.md#blobs`).
    pub fn blob_path(&self) -> String {
        format!("blobs/{}/{}", self.algorithm.name(), self.encoded)
    }

    /// The algorithm part.
    pub fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// The encoded part, without the algorithm.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// The first 12 characters of the encoded part, as engines show IDs to people.
    pub fn short(&self) -> &str {
        self.encoded.get(..12).unwrap_or(&self.encoded)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let form = || DigestError::Form(text.chars().take(LONGEST).collect());
        let (name, encoded) = text.split_once(':').ok_or_else(form)?;
        // No file name can be longer.
        if encoded.is_empty() || text.len() > LONGEST || !encoded.bytes().all(is_encoded_byte) {
            return Err(form());
        }
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other if is_algorithm_name(other) => Algorithm::Other(other.to_owned()),
            other => return Err(DigestError::Algorithm(other.to_owned())),
        };
        Self::checked(algorithm, encoded)
    }
}

/// How long a digest may be, in bytes: what a path may have on the file systems of engines, which
/// keep blobs under their digests.
const LONGEST: usize = 255;

/// `encoded ::= [a-zA-Z0-9=_-]+` (image-spec `descriptor.md#digests`).
fn is_encoded_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-')
}

/// `algorithm ::= component (separator component)*`, components `[a-z0-9]+`, separators `[+._-]`.
fn is_algorithm_name(name: &str) -> bool {
    name.split(['+', '.', '_', '-']).all(|part| {
        !part.is_empty() && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'))
    })
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.encoded)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let digest = Digest::sha256_of(b"");
        assert_eq!(
            digest.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.short(), "e3b0c44298fc");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
    }

    #[test]
    fn registered_algorithms_want_their_exact_length_in_lower_case() {
        for bad in [
            "sha256:abc",
            "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "sha256:",
            "sha256",
            ":abc",
            "sha256:../../../../etc/passwd",
            "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "a..b:00",
        ] {
            assert!(
                bad.parse::<Digest>().is_err(),
                "{bad} was taken for a digest"
            );
        }
    }

    #[test]
    fn unknown_algorithms_are_kept_as_written() {
        let digest: Digest = "blake3+x:Ab_-=9".parse().expect("well-formed");
        assert_eq!(digest.algorithm(), &Algorithm::Other("blake3+x".into()));
        assert_eq!(digest.to_string(), "blake3+x:Ab_-=9");
        assert_eq!(digest.short(), "Ab_-=9");
    }
}
