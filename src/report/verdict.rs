//! Whether an archive passes `verify`, and what fails it: the one place where that is decided.

use std::fmt;

use serde::{Serialize, Serializer};

use super::audit::ImageAudit;
use super::engine_lines::EngineLine;
use super::units;
use super::verify::VerifyArchive;
use super::verify_loaders::VerifyLoader;
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

/// The verdict on an archive in words: why it fails, what it holds, what was found, who loads it.
pub(super) fn in_words(archive: &VerifyArchive) -> String {
    let counted = |severity| {
        let of = archive.problems.iter().filter(|p| p.severity == severity);
        of.map(|problem| problem.count).sum::<usize>()
    };
    let layers: usize = archive.images.iter().map(|image| image.layers.len()).sum();
    let [images, layers] = match &archive.delta {
        Some(delta) => [
            "a delta".to_owned(),
            units::count(delta.sources, "source", "sources"),
        ],
        None => [
            units::count(archive.images.len(), "image", "images"),
            units::count(layers, "layer", "layers"),
        ],
    };
    let counts = [
        images,
        layers,
        units::count(counted(Severity::Error), "error", "errors"),
        units::count(counted(Severity::Warning), "warning", "warnings"),
    ];
    let loaders = archive.loaders.as_deref().unwrap_or_default();
    let why = reasons(&archive.failed, loaders);
    let (verdict, why) = if archive.ok {
        ("ok", String::new())
    } else {
        ("FAILED", format!("{}; ", why.join(", ")))
    };
    // Who does not load it is said once.
    let is_told = (archive.failed.iter()).any(|reason| matches!(reason, Reason::Loads(_)));
    let by = if is_told {
        String::new()
    } else {
        loaded_by(loaders)
    };
    format!("{verdict}: {why}{}{by}", counts.join(", "))
}

/// How many reasons a verdict on several archives names.
const MOST_REASONS: usize = 3;

/// The verdict on several archives in words; `unopened` more could not be read at all.
pub(super) fn all_in_words(archives: &[VerifyArchive], unopened: usize) -> String {
    if let ([archive], 0) = (archives, unopened) {
        return archive.summary.clone();
    }
    let failed: Vec<_> = archives.iter().filter(|archive| !archive.ok).collect();
    let all = units::count(archives.len() + unopened, "archive", "archives");
    if failed.is_empty() && unopened == 0 {
        return format!("ok: {all}");
    }
    let mut why: Vec<String> = Vec::new();
    for archive in &failed {
        let loaders = archive.loaders.as_deref().unwrap_or_default();
        for reason in reasons(&archive.failed, loaders) {
            if !why.contains(&reason) {
                why.push(reason);
            }
        }
    }
    let more = why.len().saturating_sub(MOST_REASONS);
    why.truncate(MOST_REASONS);
    if more > 0 {
        why.push(format!("{more} other reasons"));
    }
    if failed.is_empty() {
        return format!("FAILED: {unopened} of {all} cannot be read");
    }
    if unopened > 0 {
        why.push(format!("{unopened} cannot be read"));
    }
    format!(
        "FAILED: {} of {all}: {}",
        failed.len() + unopened,
        why.join(", ")
    )
}

/// Why an archive fails.
fn reasons(failed: &[Reason], loaders: &[VerifyLoader]) -> Vec<String> {
    let reasons = failed.iter().map(|reason| match reason {
        Reason::Error(code) => code.to_string(),
        Reason::Strict(code) => format!("{code} (--strict)"),
        Reason::Audit(kind) => format!("{kind} (--fail-on)"),
        Reason::Unread => "files that could not be read (--fail-on)".to_owned(),
        Reason::Loads(name) => {
            let fails =
                |loader: &&VerifyLoader| loader.target.is_called(name) && loader.verdict != "loads";
            let failing: Vec<_> = loaders.iter().filter(fails).cloned().collect();
            let lines = by_version(&failing);
            format!("not loaded by {} (--loads {name})", lines.join(", "))
        }
    });
    reasons.collect()
}

/// Which engines these are, with their versions, whatever they answer.
fn by_version(loaders: &[VerifyLoader]) -> Vec<String> {
    let mut lines: Vec<EngineLine<'_>> = Vec::new();
    for loader in loaders {
        let of = |one: &VerifyLoader| (one.engine, one.store, one.options);
        match lines
            .iter_mut()
            .find(|known| of(known.loader) == of(loader))
        {
            Some(known) => known.versions.push(loader.version),
            None => lines.extend(EngineLine::all(std::slice::from_ref(loader), false)),
        }
    }
    lines.iter().map(|line| line.name(true)).collect()
}

/// The end of a verdict: who loads the archive and who does not.
fn loaded_by(loaders: &[VerifyLoader]) -> String {
    let lines = EngineLine::all(loaders, false);
    let (loading, others): (Vec<_>, Vec<_>) = lines
        .iter()
        .partition(|line| line.loader.verdict == "loads");
    if lines.is_empty() {
        return String::new();
    }
    if others.is_empty() {
        return "; every engine loads it".to_owned();
    }
    // Versions are named where they make the difference.
    let name = |line: &&EngineLine<'_>| {
        let target =
            |line: &EngineLine<'_>| (line.loader.engine, line.loader.store, line.loader.options);
        let is_split = loading.iter().any(|other| target(other) == target(line));
        line.name(is_split)
    };
    let mut text = String::new();
    for (verdicts, words) in [
        (
            &["refuses", "loads-broken", "makes-nothing"][..],
            "not loaded by",
        ),
        (&["loads-with-base"], "needs its base in"),
        (&["unknown"], "not predicted for"),
    ] {
        let of: Vec<_> = others
            .iter()
            .filter(|line| verdicts.contains(&line.loader.verdict))
            .collect();
        if of.is_empty() {
            continue;
        }
        text.push_str("; ");
        if verdicts[0] == "refuses" && loading.is_empty() && of.len() == others.len() {
            text.push_str("no engine loads it");
            continue;
        }
        let mut names: Vec<String> = Vec::new();
        for name in of.into_iter().map(&name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        text.push_str(words);
        text.push(' ');
        text.push_str(&names.join(", "));
    }
    text
}
