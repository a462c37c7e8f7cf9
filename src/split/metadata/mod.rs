//! Everything that a flat tar cannot hold of the archive that it was made from, so that the archive can be restored.
//!
//! Metadata is a separate tar; `docs/metadata.md` describes its members. For the outer tar and for each layer it
//! holds the pieces that tar-split makes of a tar (every byte outside bodies), and for each body where its bytes are:
//! in the flat tar under a path, or in a compressed store of bytes that the flat tar lacks.
//!
//! Threats, and what is done about them (the file may come from anywhere):
//!
//! - *Another version, another file*: the first member says what it is; versions, members and keys
//!   that are not known are refused by name.
//! - *Names*: members are found in the file's own table and are never made paths of a file system.
//! - *Bombs*: lines and members of the store have limits and are read one at a time; everything that is decoded
//!   counts, each time that it is decoded (`account.rs`).
//! - *Lies*: nothing here is trusted to be what it claims. Layers are verified against diff IDs,
//!   everything else against SHA-256 sums, when they are put together.

mod account;
mod blobs;
mod bodies;
mod collect;
mod container;
mod crc;
mod description;
mod error;
mod outer;
mod placement;
mod split;
mod store;
mod sums;

pub(crate) use account::{Account, DecodedMember};
pub(crate) use bodies::{BodiesReader, BodyRecord, Where};
pub use collect::{CollectOptions, Collected, collect};
pub use container::Container;
pub(crate) use container::decoded;
pub(crate) use crc::CRC64;
pub(crate) use description::names;
pub use description::{
    ArchiveDescription, BytesDescription, ContainerDescription, Description, FlatDescription,
    ImageDescription, LayerDescription, SCHEMA, SCHEMA_WITH_RECIPES,
};
pub use error::{MetadataError, StreamFault};
pub(crate) use split::{SplitReader, StreamPiece};
pub(crate) use store::StoreReader;
