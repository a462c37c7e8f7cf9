//! One layer: its bytes, its entries, its size as engines count it.
//!
//! A layer is an uncompressed range of the archive, whose headers are walked by position, or a compressed one, which
//! is decoded once from its beginning ([`LayerTar`]). [`digest`] proves what its bytes are. Only one header at a time
//! is held in memory, and, if `verify` asks for it, an [`Inventory`].
//!
//! Threats: those of [`crate::tar`] and of the decoders in [`crate::source`]. A layer whose
//! bytes are not a tar is a [`LayerError`] of that layer; the others can still be read.

mod bodies;
mod containerd;
mod decoded;
pub mod digest;
mod error;
mod inventory;
mod measure;
mod open;
mod outline;
mod spool;
mod whiteout;

pub(crate) use bodies::{Bodies, BodyUse, KeepAll, PassingBodies, body_len};
pub use containerd::hash_members;
pub use error::LayerError;
pub use inventory::{Allowance, Inventory, Item, NotedAttribute};
pub(crate) use measure::by_blob;
pub use measure::{Measure, Measures, measure, walk_layer};
pub(crate) use open::ToSpool;
pub use open::{LayerTar, OpenLayers, UnreadLayer};
pub(crate) use outline::LayerOutline;
pub(crate) use spool::Spool;
pub use whiteout::Whiteout;
