//! Identifiers of different kinds as different types.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::value::Digest;

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// The digest underneath.
            pub fn digest(&self) -> &Digest {
                &self.0
            }

            /// The first 12 characters of the encoded part, as engines show IDs to people.
            pub fn short(&self) -> &str {
                self.0.short()
            }
        }

        impl From<Digest> for $name {
            fn from(digest: Digest) -> Self {
                Self(digest)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

digest_id! {
    /// Identifies an image: the digest of its config blob's exact bytes.
    ///
    /// Docker's graph-driver store and podman show this. Engines with a containerd store show a
    /// [`ContainerdId`] instead.
    ImageId
}

digest_id! {
    /// Identifies an image in a containerd store: the digest of the manifest or index that `index.json`
    /// lists, or of the manifest that containerd makes where there is no index.
    ///
    /// Docker's containerd store, `ctr` and `nerdctl images` show this.
    ContainerdId
}

digest_id! {
    /// Identifies a layer's content: the digest of its uncompressed tar, all bytes of the stream,
    /// those after the end-of-archive blocks included.
    DiffId
}

digest_id! {
    /// Identifies a stack of layers: what engines key their stores by.
    ChainId
}

digest_id! {
    /// Identifies a blob as it is stored, compressed or not.
    BlobDigest
}

impl ChainId {
    /// The chain of a bottom layer, whose chain ID is its diff ID.
    pub fn base(diff_id: &DiffId) -> Self {
        Self(diff_id.0.clone())
    }

    /// The chain ID with one more layer on top.
    #[must_use]
    pub fn extend(&self, diff_id: &DiffId) -> Self {
        Self(Digest::sha256_of(
            format!("{} {}", self.0, diff_id.0).as_bytes(),
        ))
    }

    /// The chain IDs of a stack of layers, base first.
    pub fn of_layers<'a>(diff_ids: impl IntoIterator<Item = &'a DiffId>) -> Vec<Self> {
        let mut chain: Vec<Self> = Vec::new();
        for diff_id in diff_ids {
            let next = chain
                .last()
                .map_or_else(|| Self::base(diff_id), |last| last.extend(diff_id));
            chain.push(next);
        }
        chain
    }
}

/// Names an image or layer in an archive from before Docker 1.10: 64 hex digits drawn at random.
///
/// Kept as written; the name says nothing about any bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct LegacyId(Box<str>);

impl LegacyId {
    /// Takes the name of a v1 directory.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 characters.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for LegacyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LegacyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegacyId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers A, B, A, where B is the empty tar of 1,024 zero bytes; the sums were worked out by
    /// hand with sha256sum.
    #[test]
    fn a_chain_with_a_repeated_layer() {
        let diff = |hex: &str| DiffId::from(Digest::from_sha256_hex(hex).expect("hex"));
        let a = diff("c6f988f4874bb0add23a778f753c65efe992244e148a1d2ec2a8b664fb66bbd1");
        let b = DiffId::from(Digest::sha256_of(&[0; 1024]));
        assert_eq!(
            b.digest().encoded(),
            "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
        );
        let chain = ChainId::of_layers([&a, &b, &a]);
        assert_eq!(chain[0].digest(), a.digest());
        assert_eq!(
            chain[1].to_string(),
            "sha256:c3191d32a37d7159b2e30830937d2e30268ad6c375a773a8994911a3aba9b93f"
        );
        assert_eq!(
            chain[2].to_string(),
            "sha256:ce60e381e7c2941cc3c11bc7a60b267bb56a3be80df231da8c523c53af72518b"
        );
    }

    #[test]
    fn no_layers_have_no_chain() {
        assert!(ChainId::of_layers([]).is_empty());
    }
}
