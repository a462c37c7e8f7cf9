//! An archive that ends before its end.

use std::fmt::{self, Write as _};

use super::foreign::Mangled;
use super::index::Contents;
use super::member::{Member, MemberKind};
use crate::base::escape;
use crate::base::problem::{Code, Problem};
use crate::tar::{TarError, TarFault};

/// How many names of members a message spells out.
const SHOWN: usize = 3;

const NO_END: &str = "the file ends without the two blocks of zeros that end a tar, and it lacks";

/// Where and why an archive ends before its end. It is one error with all its consequences: a
/// description, a config or a layer that is missing because of it is not reported again.
#[derive(Debug)]
pub struct EarlyEnd {
    /// How many members were met, one that is cut included.
    members: usize,
    /// The name of the last of them.
    last: Option<String>,
    kind: EndKind,
}

#[derive(Debug)]
enum EndKind {
    /// A header or a body is damaged or cut.
    Fault {
        fault: TarError,
        /// Where the header of the member begins whose body is cut, in bytes.
        cut: Option<u64>,
        /// What happened to the archive in transit, if the bytes around the fault tell.
        mangled: Option<Mangled>,
    },
    /// The file ends between two members, and something is missing.
    End {
        /// Where it ends, in bytes.
        at: u64,
        /// What should be there.
        missing: String,
    },
}

impl EarlyEnd {
    /// The walk over the members of `contents` ended at `fault`.
    pub(crate) fn fault(contents: &Contents, fault: TarError) -> Self {
        let last = contents.members().last();
        let cut = last.filter(|last| {
            let body = match &last.kind {
                MemberKind::File(span) => Some(span.offset),
                _ => None,
            };
            let in_body = matches!(fault.fault, TarFault::TruncatedBody { .. });
            in_body && body == Some(fault.offset)
        });
        let cut = cut.map(|member| member.offset);
        // What cannot be read again tells nothing more; the fault is reported all the same.
        let mangled = last.and_then(|last| {
            let looked = Mangled::between(contents.source(), last.offset, fault.offset);
            looked.unwrap_or_default()
        });
        Self::new(
            contents,
            EndKind::Fault {
                fault,
                cut,
                mangled,
            },
        )
    }

    /// `contents` ends without end-of-archive blocks, and nothing in it describes images.
    pub(crate) fn without_description(contents: &Contents) -> Self {
        let missing = "what describes its images (manifest.json or index.json)".to_owned();
        let at = contents.source().len();
        Self::new(contents, EndKind::End { at, missing })
    }

    /// `contents` ends without end-of-archive blocks, and has no members of these names although its
    /// descriptions lead to them.
    pub(crate) fn without_members(contents: &Contents, names: &[Vec<u8>]) -> Self {
        let shown = names.iter().take(SHOWN);
        let shown: Vec<String> = shown
            .map(|name| format!("`{}`", escape::name(name)))
            .collect();
        let mut missing = shown.join(", ");
        if let Some(more) = names.len().checked_sub(SHOWN + 1) {
            _ = write!(missing, " and {} more", more + 1);
        }
        missing.push_str(", which its descriptions refer to");
        let at = contents.source().len();
        Self::new(contents, EndKind::End { at, missing })
    }

    fn new(contents: &Contents, kind: EndKind) -> Self {
        Self {
            members: contents.members().len(),
            last: contents
                .members()
                .last()
                .map(|last: &Member| last.name.to_string()),
            kind,
        }
    }

    /// Where it lies, in bytes from the beginning of the (uncompressed) archive: where the faulty header
    /// or body begins, or where a file ends that was cut between two members.
    pub fn offset(&self) -> u64 {
        match &self.kind {
            EndKind::Fault { fault, .. } => fault.offset,
            EndKind::End { at, .. } => *at,
        }
    }

    /// The fault that the tar reader met, if any.
    pub fn tar_error(&self) -> Option<&TarError> {
        match &self.kind {
            EndKind::Fault { fault, .. } => Some(fault),
            EndKind::End { .. } => None,
        }
    }

    /// Where the header of the member begins whose body is cut, in bytes, if one is.
    pub fn cut(&self) -> Option<u64> {
        match &self.kind {
            EndKind::Fault { cut, .. } => *cut,
            EndKind::End { .. } => None,
        }
    }

    /// What happened to the archive in transit, if the bytes around the damage tell.
    pub fn mangled(&self) -> Option<Mangled> {
        match &self.kind {
            EndKind::Fault { mangled, .. } => *mangled,
            EndKind::End { .. } => None,
        }
    }

    /// Whether bytes are missing at the end, rather than wrong.
    pub fn is_cut(&self) -> bool {
        match &self.kind {
            EndKind::Fault { fault, .. } => fault.fault.is_truncation(),
            EndKind::End { .. } => true,
        }
    }

    /// What is wrong in a few words that follow the name of the archive: `is cut short in …`.
    pub fn summary(&self) -> String {
        let what = if self.is_cut() {
            "is cut short"
        } else {
            "is damaged"
        };
        let place = if self.cut().is_some() { "in" } else { "after" };
        let mut summary = match &self.last {
            None => format!("{what} before its first member"),
            Some(last) => format!("{what} {place} its member no. {}, `{last}`", self.members),
        };
        if let Some(mangled) = self.mangled() {
            _ = write!(summary, ": {mangled}");
        }
        summary
    }

    /// The problem that `verify` reports.
    pub fn problem(&self) -> Problem {
        let why = match &self.kind {
            EndKind::Fault { fault, .. } => fault.fault.to_string(),
            EndKind::End { missing, .. } => format!("{NO_END} {missing}"),
        };
        let message = format!(
            "the archive {}; what followed is lost: {why}",
            self.summary()
        );
        Problem::error(Code::ArchiveTruncated, message).at(self.offset())
    }
}

/// What was met, and where.
impl fmt::Display for EarlyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            EndKind::Fault { fault, .. } => fault.fmt(f),
            EndKind::End { at, missing } => write!(f, "at byte {at}: {NO_END} {missing}"),
        }
    }
}

impl std::error::Error for EarlyEnd {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The fault itself is worded above; what lies behind it is the system's or a limit.
        self.tar_error()?.fault.source()
    }
}
