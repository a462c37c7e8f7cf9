//! The audit section of `verify`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::find::{FindState, became};
use super::images::{id, references};
use super::text::Text;
use crate::check::audit::{Audit, AuditKind, Unexamined};
use crate::check::secrets::SecretKind;
use crate::image::Image;

/// What you should know about one image before running it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageAudit {
    /// The image ID.
    pub id: Option<String>,
    /// Its name in the archive.
    pub references: Vec<String>,
    /// How many findings there are, by kind; kinds without findings are left out.
    pub counts: BTreeMap<&'static str, usize>,
    /// The findings, by kind and path; at most the first hundred of each kind.
    pub findings: Vec<AuditRow>,
    /// Why its files could not be examined, if they could not.
    pub unread: Option<String>,
    /// Single files that were not examined, although an answer depends on them.
    pub unexamined: Vec<UnexaminedRow>,
    /// How many secrets are in the documentation and tests of packages; they are public, so they are not findings.
    pub samples: usize,
}

/// A file that was not examined.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnexaminedRow {
    /// The file, below the root.
    pub path: Text,
    /// What is not known because of that, and why.
    pub why: String,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditRow {
    /// Its kind.
    pub kind: AuditKind,
    /// The file, below the root, if the finding is about one.
    pub path: Option<Text>,
    /// The index of the layer that supplied the file.
    pub layer: Option<usize>,
    /// What was found; secrets are masked.
    pub detail: String,
    /// The kind of secret that it looks like, if it is in a file.
    pub secret: Option<SecretKind>,
    /// What became of the file with the secret.
    pub state: Option<FindState>,
    /// The index of the layer that replaced or deleted the file with the secret.
    pub by_layer: Option<usize>,
}

impl ImageAudit {
    /// Describes what was found in an image.
    pub fn new(image: &Image, audit: &Audit) -> Self {
        let findings = audit.findings.iter().map(|finding| AuditRow {
            kind: finding.kind,
            path: finding.path.clone().map(Text),
            layer: finding.layer,
            detail: finding.detail.clone(),
            secret: finding.secret.map(|(kind, _)| kind),
            state: finding.secret.and_then(|(_, fate)| Some(became(fate?).0)),
            by_layer: finding.secret.and_then(|(_, fate)| became(fate?).1),
        });
        let counts = audit.counts.iter();
        Self {
            id: id(image),
            references: references(image),
            counts: counts.map(|(kind, count)| (kind.name(), *count)).collect(),
            findings: findings.collect(),
            unread: audit.unread.as_ref().map(ToString::to_string),
            unexamined: audit.unexamined.iter().map(unexamined).collect(),
            samples: audit.samples,
        }
    }
}

fn unexamined(file: &Unexamined) -> UnexaminedRow {
    UnexaminedRow {
        path: Text(file.path.clone()),
        why: file.why.clone(),
    }
}
