//! An archive in two parts, a flat tar and metadata with everything else, and the archive again from both.

pub mod metadata;
pub mod rebuild;
