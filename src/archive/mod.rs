//! The outer tar: an index of its members, made from headers alone.
//!
//! The index is one walk over the headers; bodies are skipped by offset and read only when someone
//! asks for a member. Names are resolved here and nowhere else: against the archive's own table,
//! never against a file system.
//!
//! Threats, and what is done about them:
//!
//! - *Names that leave the archive* (`../../etc/passwd` as Config, Layers or link target;
//!   CVE-2014-9358, jib's PR#4522): every name is brought below the archive's root before it is
//!   looked up, so the worst it can be is absent.
//! - *Links in circles*: at most [`LINK_LIMIT`] links are followed for one name.
//! - *Two members of one name*: readers disagree which counts (Docker and containerd the last,
//!   skopeo and crane the first). The last counts here, and [`Archive::duplicates`] names them all.
//! - *Memory*: members and their names are limited ([`crate::limits`]).
//! - *An end before the end*: what was indexed stays usable and [`Archive::fault`] says what is
//!   wrong, so that `verify` can report it; everything else asks [`Archive::require_whole`] first.

mod error;
mod foreign;
mod index;
mod inner;
mod layout;
mod looks;
mod member;

pub use error::{ArchiveError, LookupError};
pub use foreign::{
    Cipher, Compressor, Content, Encoding, Foreign, Format, JsonText, Mangled, TextForm,
    require_tar,
};
pub use index::{Archive, LINK_LIMIT};
pub(crate) use inner::archive_behind;
pub use inner::{InnerArchive, InnerContent};
pub use layout::{Evidence, Layout, V1Root};
pub use looks::Looks;
pub use member::{Member, MemberKind, MemberName};
