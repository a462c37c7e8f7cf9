//! Whether an archive passes `verify`, and what fails it: the one place where that is decided.

use std::fmt;

use serde::{Serialize, Serializer};

use super::audit::ImageAudit;
use crate::base::problem::{Code, Problem, Severity};
use crate::check::audit::AuditKind;

/// What an archive has to fulfil, beside making no false claim.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Warnings fail it too.
    pub strict: bool,
    /// What the audit finds of these kinds fails it too.
    pub fail_on: Vec<AuditKind>,
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
    /// The audit could not look at the files of an image, or at one that decides: `audit: unread`.
    Unread,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(code) => write!(f, "error: {code}"),
            Self::Strict(code) => write!(f, "strict: {code}"),
            Self::Audit(kind) => write!(f, "audit: {kind}"),
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
    pub(super) fn judge(&self, problems: &[Problem], audits: &[ImageAudit]) -> Vec<Reason> {
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
