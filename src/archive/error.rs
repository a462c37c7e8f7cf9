//! Why a file is not an archive, and why a name leads to no member.

use std::sync::Arc;

use super::early_end::EarlyEnd;
use super::foreign::{Foreign, Mangled};
use super::looks::Looks;
use crate::base::escape;
use crate::base::limits::Exceeded;
use crate::source::Compression;
use crate::tar::TarError;

/// Why a file cannot be read as an image archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The very first header cannot be read.
    #[error("{path} is not a tar archive{}", cause(mangled.as_ref()))]
    NotTar {
        /// The file.
        path: String,
        /// What happened to it, if that can be told.
        mangled: Option<Mangled>,
        /// What is wrong with the header.
        source: TarError,
    },
    /// The very first header cannot be read, because the file is something else.
    #[error("{path} cannot be read as a tar archive: {} {foreign}", is(*compression))]
    Foreign {
        /// The file.
        path: String,
        /// The compression around it, which was undone.
        compression: Compression,
        /// What it is.
        foreign: Box<Foreign>,
        /// What engines meet; nothing, where zeros make it a tar without members to them.
        fault: Option<TarError>,
    },
    /// The operating system failed while the headers were read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What failed, and where.
        source: TarError,
    },
    /// It ends before its end: a header or body is damaged or cut, or members are missing behind the
    /// last one.
    #[error("{path} {}", .end.summary())]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong, and where.
        #[source]
        end: Arc<EarlyEnd>,
    },
    /// More members than the limit allows.
    #[error("{path} holds more members, or longer member names, than any archive needs")]
    TooManyMembers {
        /// The file.
        path: String,
        /// The limit that it exceeds.
        #[source]
        exceeded: Exceeded,
    },
    /// A sound tar that is not an image archive.
    #[error("{path} is not an image archive: {looks}")]
    NotAnImage {
        /// The file.
        path: String,
        /// What it is instead.
        looks: Looks,
    },
}

/// What happened to an archive, behind what is wrong with it.
fn cause(mangled: Option<&Mangled>) -> String {
    mangled.map_or_else(String::new, |mangled| format!(": {mangled}"))
}

/// What a file is, or what the compression around it holds.
fn is(compression: Compression) -> String {
    match compression {
        Compression::None => "it is".to_owned(),
        compression => format!("inside its {compression} compression is"),
    }
}

/// Why a name leads to no file in the archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No member has this name.
    #[error("the archive has no member `{}`", escape::name(.name))]
    Absent {
        /// The name that was looked up.
        name: Vec<u8>,
    },
    /// What is left of a damaged archive does not have it, so it is not known whether it was there.
    #[error("`{}` is not in what is left of the archive", escape::name(.name))]
    Lost {
        /// The name that was looked up.
        name: Vec<u8>,
    },
    /// A link leads to a name that no member has; for a hard link, none before it.
    #[error("the member `{}` is a link to `{}`, which is not in the archive", escape::name(.name), escape::name(.target))]
    Dangling {
        /// The name that was looked up.
        name: Vec<u8>,
        /// The name at the end of the links.
        target: Vec<u8>,
    },
    /// The links go round in circles, or are too many.
    #[error("the member `{}` is a link that leads through more than {limit} links", escape::name(.name))]
    TooManyLinks {
        /// The name that was looked up.
        name: Vec<u8>,
        /// How many links are followed.
        limit: usize,
    },
    /// The member is a directory or something else without bytes.
    #[error("the member `{}` is not a regular file", escape::name(.name))]
    NotAFile {
        /// The name that was looked up.
        name: Vec<u8>,
    },
}
