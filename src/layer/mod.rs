//! One layer: its bytes, its entries, its size as engines count it.
//!
//! A layer is an uncompressed stretch of the archive, whose headers are walked by position, or a
//! compressed one, which is decoded once from its beginning. Nothing is held in memory but one
//! header at a time.
//!
//! Threats: those of [`crate::record`] and of the decoders in [`crate::source`]. A layer whose
//! bytes are no tar is a [`LayerError`] of that layer and leaves the others alone.

mod error;
mod measure;
mod sum;
mod whiteout;

pub use error::LayerError;
pub use measure::{Measure, Measures, measure, walk_layer};
pub use sum::{LayerSum, SumWanted, sum};
pub use whiteout::Whiteout;
