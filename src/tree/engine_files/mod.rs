//! What engines put into a container's file system beside the image: added for an export, recognised in one.

mod additions;
mod container;

pub use additions::Additions;
