//! Bytes at rest: the only folder that touches the operating system for reading.
//!
//! An archive is read through a [`Source`]: a regular file (or an unnamed temporary file) with
//! positioned reads, so that any number of threads read from one descriptor, or the caller's own bytes
//! ([`ReadAt`]). Whatever is not a regular file, and whatever is compressed as a whole, is spooled once by
//! [`Input`].
//!
//! Threats, and what is done about them:
//!
//! - *The file changes while it is read.* Lengths are taken once; a read that comes back short is
//!   [`SourceError::Shrank`], never silently less data. Nothing is mapped into memory, so a
//!   truncation cannot kill the process.
//! - *A decompressor that is someone else's program* (GHSA-x86f-5xw2-fm2r): none is ever started;
//!   all four formats are decoded in this process.
//! - *Nested compression*: one outer compression is undone, a second is refused.
//! - *Bombs*: all compressed data, the archive and its layers together, may expand to
//!   [`Limit::Expanded`](crate::Limit::Expanded) or [`Limit::Ratio`](crate::Limit::Ratio) times the
//!   file, whichever is more; a decoder may take [`Limit::DecoderMemory`](crate::Limit::DecoderMemory).
//! - *Temporary files that outlive the process*: they have no name from the start.

mod by_place;
mod compression;
mod decode;
mod directory;
mod encode;
mod error;
mod expansion;
mod file;
mod input;
mod read_at;
pub mod remake;
mod rope;
mod scratch;
mod turn;

pub(crate) use by_place::ByPlace;
pub(crate) use compression::MAGIC_LEN;
pub use compression::{Compression, sniff};
pub use decode::Decoder;
pub use directory::DirectoryLooks;
pub use encode::{Encoder, Encoders, LevelError, Method};
pub use error::{SourceError, is_environment};
pub(crate) use file::Place;
pub(crate) use file::is_copied_to_in_kernel;
pub use file::{Slice, SliceReader, Source, Span};
pub use input::Input;
pub use read_at::ReadAt;
pub(crate) use rope::{Rope, since};
pub(crate) use scratch::{Scratch, write_at};
