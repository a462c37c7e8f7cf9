//! Tar records: headers are read as the engines read them, bodies stay where they are.
//!
//! One reader serves the outer tar and every layer, because an engine uses one too. It follows Go's
//! `archive/tar`, which Docker, containerd, podman and skopeo all link: what Go ignores is ignored
//! (sizes on links and directories, odd octal, signed checksums, missing padding at the end), what
//! Go refuses is refused. The `tar` crate is stricter in some of these places and laxer in others,
//! and in each such place imgtar would misread a layer that an engine loads; so the crate provides
//! the layout of the block ([`tar::Header`]) and the walk is ours.
//!
//! Threats, and what is done about them:
//!
//! - *Readers that disagree on where the next header is* (CVE-2025-62518, a PAX `size` beside another
//!   ustar size; a PAX header before a GNU long name; a size on a header-only type): the order of
//!   precedence is Go's, stated at [`Walker::next_entry`] and tested.
//! - *Memory*: PAX records and GNU long names are at most [`Limit::Header`](crate::Limit::Header)
//!   bytes, sparse maps at most [`Limit::SparseSpans`](crate::Limit::SparseSpans) spans; nothing
//!   else grows.
//! - *Numbers*: negative and overflowing sizes are errors, never wrapped.
//! - *Global PAX headers*: handed out as [`Kind::Global`], never applied to what follows, as Go does
//!   (POSIX would apply them; crane re-owns whole images that way).
//! - *Bytes that are not text*: names, link targets and xattrs stay bytes.
//!
//! Nothing here interprets names: `../x` is a name like any other until a layer or an archive resolves it.

mod attributes;
mod block;
mod cursor;
mod error;
mod pax;
mod sparse;
mod walk;

pub use attributes::{AttributeFault, RefusedAttribute};
pub(crate) use block::{BLOCK, is_header};
pub use cursor::{Cursor, Positioned, Streamed};
pub use error::{TarError, TarFault};
pub use sparse::{SparseMap, SparseSpan};
pub use walk::{Entry, Kind, Mtime, Walker};
