//! Problems as rows of reports.

use serde::Serialize;

use super::images::id;
use super::text::Text;
use crate::base::problem::{Code, Problem, Severity};
use crate::image::ImageSet;

/// One claim that is not true.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProblemRow {
    /// How bad it is.
    pub severity: Severity,
    /// Its kind.
    pub code: Code,
    /// What it is and its consequences.
    pub message: String,
    /// The ID of the image that it is about.
    pub image: Option<String>,
    /// The index of the layer, base first.
    pub layer: Option<usize>,
    /// The member of the archive.
    pub member: Option<Text>,
    /// The path inside a layer; the first, if there are several.
    pub path: Option<Text>,
    /// A few more paths.
    pub more_paths: Vec<Text>,
    /// How many times it was found: problems of one kind in one layer are one row.
    pub count: usize,
    /// The offset in the uncompressed archive, in bytes.
    pub offset: Option<u64>,
    /// What the archive claims.
    pub claimed: Option<String>,
    /// The value that the bytes have.
    pub computed: Option<String>,
}

impl ProblemRow {
    /// Describes a problem of an archive that holds `set`.
    pub fn new(problem: &Problem, set: &ImageSet) -> Self {
        let image = problem.image.and_then(|position| set.images.get(position));
        Self::of(problem, image.and_then(id))
    }

    pub(super) fn of(problem: &Problem, image: Option<String>) -> Self {
        Self {
            severity: problem.severity,
            code: problem.code,
            message: problem.message.clone(),
            image,
            layer: problem.layer,
            member: problem.member.clone().map(Text),
            path: problem.path.clone().map(Text),
            more_paths: problem.more.iter().cloned().map(Text).collect(),
            count: problem.count,
            offset: problem.offset,
            claimed: problem.claimed.clone(),
            computed: problem.computed.clone(),
        }
    }
}
