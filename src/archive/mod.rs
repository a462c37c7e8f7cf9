//! The outer tar: an index of its members, made from headers alone.
//!
//! The index is one walk over the headers; bodies are skipped by offset and read only when someone
//! asks for a member. Names are resolved here and nowhere else: against the archive's own table,
//! never against a file system.
//!
//! Threats, and what is done about them:
//!
//! - *Names that leave the archive* (`../../etc/passwd` as Config, Layers or link target; CVE-2014-9358, jib's
//!   PR#4522): every name is resolved below the archive's root before it is looked up, so at worst it is absent.
//! - *Links in circles*: at most [`LINK_LIMIT`] links are followed for one name.
//! - *Two members of one name*: readers disagree on which of them counts (for Docker and containerd the last, for
//!   skopeo and crane the first). Here the last counts, and [`Contents::duplicates`] names them all. A hard link is
//!   another name of the member *before* it, as in tar and Docker.
//! - *Memory*: members and their names are limited ([`crate::base::limits`]).
//! - *An end before the end*: an [`Archive`] is whole, or opening it is an error. Only `verify` asks for the
//!   [`Contents`] that are left of a damaged one, whose [`EarlyEnd`] is reported once; a name that is not in them is
//!   [`LookupError::Lost`], not absent.

mod duplicates;
mod early_end;
mod error;
mod foreign;
mod index;
mod inner;
mod layout;
mod looks;
mod lookup;
mod member;

pub(crate) use duplicates::duplicate;
pub use early_end::EarlyEnd;
pub use error::{ArchiveError, LookupError};
pub use foreign::{
    Cipher, Compressor, Foreign, Format, HiddenContent, JsonText, Mangled, TextEncoding, TextForm,
    require_tar,
};
pub use index::{Archive, Contents, Ending};
pub(crate) use inner::archive_behind;
pub use inner::{InnerArchive, InnerContent};
pub use layout::{Evidence, Layout, V1Root};
pub use looks::Looks;
pub use lookup::LINK_LIMIT;
pub use member::{Member, MemberKind, MemberName};
