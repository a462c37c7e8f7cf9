//! Bytes out: tars written as Docker writes them.
//!
//! The same input gives the same bytes, whatever the number of threads: order, names, owners and
//! times come from the image alone.

mod entries;
mod error;
mod flatten;
mod header;
mod placed;
mod tar;

pub use error::WriteError;
pub use flatten::{FlattenOptions, Flattened, Merged, flatten, flatten_to_file, write_file};
pub use header::{HeaderFields, encode_header};
pub(crate) use placed::write_at;
pub use tar::TarWriter;
