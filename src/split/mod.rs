//! An archive in two parts: a flat tar and the metadata that it lacks, and the archive again from both.

pub mod metadata;
pub mod rebuild;
