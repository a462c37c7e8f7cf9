//! Whether an archive passes `verify`, and what fails it: the one place where that is decided.

use std::fmt;

use serde::{Serialize, Serializer};

use super::audit::ImageAudit;
use crate::base::problem::{Code, Problem, Severity};
use crate::check::audit::AuditKind;
use crate::check::{Loaders, Verdict};

/// What an archive has to fulfil, beside making no false claim.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Warnings fail it too.
    pub strict: bool,
    /// What the audit finds of these kinds fails it too.
    pub fail_on: Vec<AuditKind>,
    /// Every version of these engines has to load it: names of [`LoaderTarget::NAMES`](crate::check::LoaderTarget::NAMES).
    pub loads: Vec<&'static str>,
}

/// One reason why an archive fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A problem that is an error, such as `error: diff-id-mismatch`.
    Error(Code),
    /// A problem that is a warning, where warnings count, such as `strict: trailing-data`.
    Strict(Code),
    /// The audit found what it must not find, such as `audit: setuid`.
    Audit(AuditKind),
    /// An engine that has to load it does not, such as `loads: podman`.
    Loads(&'static str),
    /// The audit could not look at the files of an image, or at one that decides: `audit: unread`.
    Unread,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(code) => write!(f, "error: {code}"),
            Self::Strict(code) => write!(f, "strict: {code}"),
            Self::Audit(kind) => write!(f, "audit: {kind}"),
            Self::Loads(name) => write!(f, "loads: {name}"),
            Self::Unread => f.write_str("audit: unread"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Demands {
    /// Why an archive with these problems and findings fails, each reason once; nothing if it passes.
    pub(super) fn judge(
        &self,
        problems: &[Problem],
        audits: &[ImageAudit],
        loaders: Option<&Loaders>,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut add = |reason| {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        };
        for problem in problems.iter().filter(|problem| problem.fails(self.strict)) {
            add(match problem.severity {
                Severity::Error => Reason::Error(problem.code),
                Severity::Warning => Reason::Strict(problem.code),
            });
        }
        for name in &self.loads {
            let of_name = loaders.into_iter().flat_map(Loaders::iter);
            let mut of_name = of_name.filter(|loader| loader.target.is_called(name));
            if of_name.any(|loader| loader.verdict != Verdict::Loads) {
                add(Reason::Loads(name));
            }
        }
        for audit in audits {
            for kind in &self.fail_on {
                if audit.counts.contains_key(kind.name()) {
                    add(Reason::Audit(*kind));
                }
            }
            // Of the files that one finding each depends on, all are about the user.
            let of_user = [AuditKind::RootUser, AuditKind::MissingUser];
            let about_user = self.fail_on.iter().any(|kind| of_user.contains(kind));
            let unknown = !audit.unexamined.is_empty() && about_user;
            if unknown || (audit.unread.is_some() && !self.fail_on.is_empty()) {
                add(Reason::Unread);
            }
        }
        reasons
    }
}
