//! What engines put into a container's file system in addition to the image: added to an export, recognised in one.

mod additions;
mod container;

pub use additions::Additions;
