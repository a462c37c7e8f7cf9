//! Identifiers of blobs, images and layers.
//!
//! Every identifier here is a [`Digest`] underneath, and each kind has its own type, because they look the same and
//! mean different things:
//!
//! | type | digest of | source |
//! |---|---|---|
//! | [`ImageId`] | the config blob's exact bytes | image-spec `config.md#imageid` |
//! | [`ContainerdId`] | a manifest or index: what a containerd store calls an image | containerd `core/images/archive` |
//! | [`DiffId`] | the *uncompressed* layer tar, every byte of the stream | image-spec `config.md#layer-diffid` |
//! | [`ChainId`] | a stack of layers: `sha256(chain(n-1) + " " + diff(n))` | image-spec `config.md#layer-chainid` |
//! | [`BlobDigest`] | a blob as it is stored | image-spec `descriptor.md#digests` |
//! | [`LegacyId`] | nothing: a random name that Docker before 1.10 chose | – |
//!
//! An identifier of one kind cannot be passed for another:
//!
//! ```compile_fail
//! use imgtar::base::digest::{Digest, DiffId, ImageId};
//! fn wants_image(_: &ImageId) {}
//! let diff = DiffId::from(Digest::sha256_of(b""));
//! wants_image(&diff);
//! ```
//!
//! Nothing here reads files or depends on archives.

mod hashing;
mod ids;
mod pair;
mod sha256;
mod value;

pub use hashing::{Hasher, HashingReader};
pub use ids::{BlobDigest, ChainId, ContainerdId, DiffId, ImageId, LegacyId};
pub use value::{Algorithm, Digest, DigestError};
