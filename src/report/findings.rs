//! Problems as people want to read them: one for each cause, and those that are alike with a count.
//!
//! JSON has every problem by itself; nothing is left out here either, but what repeats is said once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::problem_row::ProblemRow;
use crate::base::escape;
use crate::base::problem::{Code, Severity};
use crate::document::Platform;
use crate::image::ImageSet;

/// Problems with one cause, or of one kind in several places.
#[derive(Clone, Debug)]
pub struct ProblemFinding<'p> {
    /// What it is.
    pub message: Cow<'p, str>,
    /// Where it was found: the problem that says most, and those that follow from the same cause. One at the least.
    pub places: Vec<Vec<&'p ProblemRow>>,
    /// Whether the message says where, so that the places need not be shown.
    pub says_where: bool,
}

impl ProblemFinding<'_> {
    /// The problem that says most of the first place.
    pub fn head(&self) -> &ProblemRow {
        self.places[0][0]
    }

    /// How many times it was found.
    pub fn count(&self) -> usize {
        self.places.iter().map(|rows| rows[0].count).sum()
    }
}

/// What belongs to a layer whose bytes are not what is claimed, what says most first.
const CONTENT: [Code; 5] = [
    Code::LayerTruncated,
    Code::BlobDigestMismatch,
    Code::DiffIdMismatch,
    Code::BlobSizeMismatch,
    Code::LayerCorrupt,
];

/// What belongs to an image with too many or too few layers.
const COUNTS: [Code; 2] = [Code::LayerCountMismatch, Code::HistoryMismatch];

/// What makes problems have one cause: what it is about, and which list of codes it is in.
type Cause<'p> = (Option<&'p str>, Option<usize>, bool);

/// The cause that a problem shares with others, and its rank among them.
fn cause(row: &ProblemRow) -> Option<(Cause<'_>, usize)> {
    if row.severity != Severity::Error || row.path.is_some() {
        return None;
    }
    let rank = |codes: &[Code]| codes.iter().position(|code| *code == row.code);
    let image = row.image.as_deref();
    if let (Some(rank), Some(_)) = (rank(&CONTENT), row.layer) {
        return Some(((image, row.layer, true), rank));
    }
    match (rank(&COUNTS), row.image.is_some()) {
        (Some(rank), true) => Some(((image, None, false), rank)),
        _ => None,
    }
}

/// Puts problems together, in the order of the first of each.
pub fn findings<'p>(
    problems: &'p [ProblemRow],
    absent: Option<&AbsentManifests>,
) -> Vec<ProblemFinding<'p>> {
    let (of_absent, problems): (Vec<_>, Vec<_>) = problems
        .iter()
        .partition(|row| absent.is_some_and(|absent| absent.has(row)));
    // One for each cause.
    let mut causes: Vec<Vec<&ProblemRow>> = Vec::new();
    let mut known: HashMap<Cause<'_>, usize> = HashMap::new();
    for row in problems {
        let Some((cause, _)) = cause(row) else {
            causes.push(vec![row]);
            continue;
        };
        let at = *known.entry(cause).or_insert(causes.len());
        match causes.get_mut(at) {
            Some(rows) => rows.push(row),
            None => causes.push(vec![row]),
        }
    }
    for rows in &mut causes {
        rows.sort_by_key(|row| cause(row).map_or(0, |(_, rank)| rank));
    }
    // One for each kind.
    let mut all: Vec<ProblemFinding<'_>> = Vec::new();
    let mut kinds: HashMap<Vec<(Severity, Code, Cow<'_, str>)>, usize> = HashMap::new();
    for rows in causes {
        let kind = rows
            .iter()
            .map(|row| (row.severity, row.code, anywhere(row)));
        let at = *kinds.entry(kind.collect()).or_insert(all.len());
        match all.get_mut(at) {
            Some(finding) => {
                finding.message = anywhere(finding.places[0][0]);
                finding.places.push(rows);
            }
            None => all.push(ProblemFinding {
                message: Cow::Borrowed(&rows[0].message),
                places: vec![rows],
                says_where: false,
            }),
        }
    }
    if let (Some(absent), false) = (absent, of_absent.is_empty()) {
        all.push(ProblemFinding {
            message: Cow::Owned(absent.in_words()),
            places: of_absent.into_iter().map(|row| vec![row]).collect(),
            says_where: true,
        });
        all.sort_by_key(|finding| finding.head().severity);
    }
    all
}

/// What a problem is, without the name of its member.
fn anywhere(row: &ProblemRow) -> Cow<'_, str> {
    let Some(member) = &row.member else {
        return Cow::Borrowed(&row.message);
    };
    let quoted = format!("`{}`", escape::name(&member.0));
    if row.message.contains(&quoted) {
        Cow::Owned(row.message.replace(&quoted, "`…`"))
    } else {
        Cow::Borrowed(&row.message)
    }
}

/// Manifests that an image index names and the archive does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentManifests {
    /// Their digests in hex.
    digests: HashSet<Vec<u8>>,
    /// Their platforms, without those of attestations.
    platforms: Vec<String>,
    /// Whether an image of such an index is there.
    some_are_there: bool,
    /// Whether one of them is for this machine, and no image of such an index is.
    lacks_host: bool,
}

impl AbsentManifests {
    /// Those of an archive, if there are any.
    pub(super) fn of(set: &ImageSet) -> Option<Self> {
        if set.absent.is_empty() {
            return None;
        }
        let host = Platform::host();
        let is_host = |platform: &Platform| {
            (&platform.os, &platform.architecture) == (&host.os, &host.architecture)
        };
        let platforms =
            (set.absent.iter()).filter_map(|absent| absent.descriptor.platform.as_ref());
        let platforms: Vec<&Platform> = platforms
            .filter(|platform| !platform.is_unknown() && platform.os != "unknown")
            .collect();
        let mut of_index = set.images.iter().filter(|image| {
            let manifest = image.manifest.as_ref();
            manifest.is_some_and(|manifest| manifest.index.is_some())
        });
        let some_are_there = of_index.clone().next().is_some();
        let host_is_there = of_index.any(|image| is_host(&image.platform));
        let digests = set.absent.iter().map(|absent| {
            let digest = absent.descriptor.digest.to_string();
            let hex = digest.rsplit(':').next().unwrap_or_default();
            hex.as_bytes().to_vec()
        });
        Some(Self {
            digests: digests.collect(),
            lacks_host: !host_is_there && platforms.iter().any(|platform| is_host(platform)),
            platforms: platforms.iter().map(ToString::to_string).collect(),
            some_are_there,
        })
    }

    /// Whether a problem is about one of them.
    fn has(&self, row: &ProblemRow) -> bool {
        let Some(member) = &row.member else {
            return false;
        };
        row.code == Code::MemberMissing
            && row.severity == Severity::Warning
            && row.image.is_none()
            && (member.0.rsplit(|byte| *byte == b'/').next())
                .is_some_and(|hex| self.digests.contains(hex))
    }

    /// What is absent, and whether that is normal.
    fn in_words(&self) -> String {
        const MOST: usize = 4;
        let count = self.digests.len();
        let mut parts = Vec::new();
        let shown = self
            .platforms
            .len()
            .min(if self.platforms.len() == MOST + 1 {
                MOST + 1
            } else {
                MOST
            });
        parts.extend(self.platforms[..shown].iter().cloned());
        let mut rest = Vec::new();
        if self.platforms.len() > shown {
            rest.push(format!("{} more platforms", self.platforms.len() - shown));
        }
        match count.saturating_sub(self.platforms.len()) {
            0 => {}
            1 => rest.push("1 attestation".to_owned()),
            n => rest.push(format!("{n} attestations")),
        }
        let manifests = if count == 1 {
            "a manifest"
        } else {
            "manifests"
        };
        let number = if count == 1 {
            String::new()
        } else {
            format!("{count} ")
        };
        parts.extend(rest);
        let what = match parts.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        };
        let normal = match (
            self.some_are_there,
            self.lacks_host,
            self.platforms.is_empty(),
        ) {
            (false, ..) => "that is not normal: no image of that index is there",
            (true, true, _) => {
                "that is normal where one platform was saved, but machines like this one find no image of theirs"
            }
            (true, false, true) => "that is harmless: images run without them",
            (true, false, false) => {
                "that is normal: engines save the platforms that they have, and loading another one fails"
            }
        };
        format!(
            "an image index names {number}{manifests} that the archive does not hold ({what}); {normal}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::problem::Problem;

    fn row(problem: &Problem, image: &str) -> ProblemRow {
        ProblemRow::of(problem, Some(image.to_owned()))
    }

    fn layer(code: Code, message: &str, index: usize) -> Problem {
        let member = format!("{index}/layer.tar");
        let problem = Problem::error(code, message).of_layer(index);
        problem.in_member(member.as_bytes())
    }

    #[test]
    fn one_cause_is_one_finding_and_what_is_alike_is_counted() {
        let mut problems = Vec::new();
        for index in 0..3 {
            problems.push(row(&layer(Code::LayerCorrupt, "no tar", index), "a"));
            problems.push(row(&layer(Code::DiffIdMismatch, "changed", index), "a"));
        }
        problems.push(row(&layer(Code::DiffIdMismatch, "changed", 0), "b"));
        let found = findings(&problems, None);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].places.len(), found[0].count()), (3, 3));
        assert_eq!(found[0].head().code, Code::DiffIdMismatch);
        assert_eq!(found[0].places[0][1].code, Code::LayerCorrupt);
        // Alone it is another finding.
        assert_eq!(found[1].places.len(), 1);
        // Every problem is in one of them.
        let all = found.iter().flat_map(|finding| &finding.places);
        assert_eq!(all.map(Vec::len).sum::<usize>(), problems.len());
    }

    #[test]
    fn messages_that_name_their_members_are_alike() {
        let missing = |index: usize| {
            let message = format!("there is no `{index}/layer.tar`");
            row(&layer(Code::MemberMissing, &message, index), "a")
        };
        let problems = [missing(1), missing(2)];
        let found = findings(&problems, None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "there is no `…`");
        let found = findings(&problems[..1], None);
        assert_eq!(found[0].message, "there is no `1/layer.tar`");
    }

    #[test]
    fn absent_manifests_are_normal_where_others_are_there() {
        let absent = |platforms: &[&str], others: usize, some_are_there, lacks_host| {
            let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            let numbers = 0..platforms.len() + others;
            let digests = numbers.map(|n| n.to_string().into_bytes());
            AbsentManifests {
                digests: digests.collect(),
                platforms,
                some_are_there,
                lacks_host,
            }
            .in_words()
        };
        let many = ["a/1", "a/2", "a/3", "a/4", "a/5", "a/6"];
        assert_eq!(
            absent(&many, 13, true, false),
            "an image index names 19 manifests that the archive does not hold (a/1, a/2, a/3, a/4, 2 more platforms and 13 attestations); that is normal: engines save the platforms that they have, and loading another one fails"
        );
        assert!(absent(&many[..5], 0, true, true).contains("(a/1, a/2, a/3, a/4 and a/5)"));
        assert!(absent(&[], 1, true, false).ends_with(
            "names a manifest that the archive does not hold (1 attestation); that is harmless: images run without them"
        ));
        assert!(absent(&many, 0, false, true).contains("that is not normal"));
    }
}
