//! The members of the outer tar: those that come twice, those that nothing names, what follows the end.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::archive::{Contents, Ending, Member, MemberKind, MemberName, archive_behind, duplicate};
use crate::base::problem::{Code, Problem, Severity};
use crate::image::{ImageSet, Layer};
use crate::layer::digest::first_set_byte;
use crate::source::{Compression, SourceError, Span};

/// How many names a problem spells out.
const SHOWN: usize = 4;

/// How large the descriptions are that Docker writes for readers from before 1.10, in bytes.
const V1_LIMIT: u64 = 1 << 20;

/// Every problem of the outer tar itself.
pub(super) fn problems(archive: &Contents, set: &ImageSet) -> Result<Vec<Problem>, SourceError> {
    let mut problems = Vec::new();
    let cut = |problem: &Problem| problem.code == Code::ArchiveTruncated;
    if matches!(archive.ending(), Ending::Unmarked) && !set.problems.iter().any(cut) {
        let message = "the archive lacks its end-of-archive blocks: engines read it all the same, but a file that was cut between two members looks like that";
        let problem = Problem::warning(Code::EndMissing, message);
        problems.push(problem.at(archive.source().len()));
    }
    problems.extend(tail(archive)?);
    problems.extend(duplicates(archive, set)?);
    for member in archive.members() {
        if member.left_root {
            let message = "the member's name leads out of the archive and was brought back below its root: podman refuses such an archive in the OCI layout";
            let problem = Problem::warning(Code::UnsafePath, message).at(member.offset);
            problems.push(problem.in_member(member.name.as_bytes()));
        }
    }
    problems.extend(unreferenced(archive, set)?);
    Ok(problems)
}

/// Members of one name that loading has not compared, one problem for each name and severity.
fn duplicates(archive: &Contents, set: &ImageSet) -> Result<Vec<Problem>, SourceError> {
    let told = set.problems.iter();
    let told = told.filter(|problem| problem.code == Code::MemberDuplicate);
    let told: HashSet<&[u8]> = told
        .filter_map(|problem| problem.member.as_deref())
        .collect();
    let mut problems: Vec<Problem> = Vec::new();
    let mut known: HashMap<(&[u8], Severity), usize> = HashMap::new();
    for (hidden, counts) in archive.duplicates() {
        let name = counts.name.as_bytes();
        if told.contains(name) {
            continue;
        }
        let Some(problem) = duplicate(archive, hidden, counts, u64::MAX)? else {
            continue;
        };
        match known.entry((name, problem.severity)) {
            Entry::Occupied(first) => problems[*first.get()].count += 1,
            Entry::Vacant(first) => {
                first.insert(problems.len());
                problems.push(problem);
            }
        }
    }
    Ok(problems)
}

/// What follows the end of the archive.
fn tail(archive: &Contents) -> Result<Vec<Problem>, SourceError> {
    let mut problems = Vec::new();
    if archive.has_trailing_data() {
        let message = "bytes follow the end of the gzip data around the archive: Docker takes it, podman refuses it";
        problems.push(Problem::warning(Code::TrailingData, message));
    }
    if let Ending::Marked(end) = archive.ending()
        && let Some(offset) = first_set_byte(&archive.source().whole(), *end)?
    {
        let message = behind_the_end(archive, offset);
        problems.push(Problem::warning(Code::TrailingData, message).at(offset));
    }
    Ok(problems)
}

/// Words for what follows the end. After `cat` of two archives both are needed.
fn behind_the_end(archive: &Contents, offset: u64) -> String {
    let Some(what) = archive_behind(archive.source(), offset) else {
        return "something follows the end of the archive's tar: engines do not read it".to_owned();
    };
    let of = match archive.compression() {
        Compression::None => "the file".to_owned(),
        compression => format!("what {compression} holds"),
    };
    format!(
        "another {what} follows the end of this one: engines read the first one only; `tail -c +{}` of {of} is the other",
        offset + 1
    )
}

/// Files that no description leads to, told as one problem.
fn unreferenced(archive: &Contents, set: &ImageSet) -> Result<Option<Problem>, SourceError> {
    // What led to them may be lost.
    if set
        .problems
        .iter()
        .any(|problem| problem.code == Code::ArchiveTruncated)
    {
        return Ok(None);
    }
    // By where they begin. A description leads to a member that could not be read, too.
    let mut known: HashSet<u64> = set.checked.iter().map(|span| span.offset).collect();
    known.extend(&set.reached);
    for name in ["manifest.json", "index.json", "oci-layout", "repositories"] {
        let found = archive.find(name.as_bytes());
        known.extend(found.map(|(_, slice)| slice.span().offset));
    }
    for image in &set.images {
        let layers = image.layers.iter().filter_map(Layer::span);
        known.extend(layers.map(|span| span.offset));
    }
    for blob in set.artifacts.iter().flat_map(|artifact| &artifact.blobs) {
        known.extend(blob.slice.as_ref().map(|slice| slice.span().offset));
    }
    let twice: HashSet<&MemberName> = archive
        .duplicates()
        .map(|(_, counts)| &counts.name)
        .collect();
    let mut found: Vec<&Member> = Vec::new();
    let mut count = 0;
    for member in archive.members() {
        let MemberKind::File(span) = &member.kind else {
            continue;
        };
        if known.contains(&span.offset) || is_for_old_readers(archive, member, *span)? {
            continue;
        }
        // Two of one name are reported as that.
        if twice.contains(&member.name) {
            continue;
        }
        count += 1;
        if found.len() < SHOWN {
            found.push(member);
        }
    }
    let Some(first) = found.first() else {
        return Ok(None);
    };
    let names: Vec<String> = found.iter().map(|m| format!("`{}`", m.name)).collect();
    let more = match count - found.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "nothing in the archive refers to {}{more}: engines do not load it, it only takes up space",
        names.join(", ")
    );
    let mut problem = Problem::warning(Code::MemberUnreferenced, message)
        .in_member(first.name.as_bytes())
        .at(first.offset);
    problem.count = count;
    Ok(Some(problem))
}

/// Docker writes what readers from before 1.10 want beside what today's read: `VERSION` and `json` in a
/// directory a layer, since Docker 25 the latter as a blob that nothing names (moby
/// `image/tarexport/save.go`).
fn is_for_old_readers(
    archive: &Contents,
    member: &Member,
    span: Span,
) -> Result<bool, SourceError> {
    let name = member.name.as_bytes();
    if matches!(
        member.name.base(),
        b"VERSION" | b"json" | b"layer.tar" | b"repositories"
    ) && name.contains(&b'/')
    {
        return Ok(true);
    }
    if !name.starts_with(b"blobs/") || span.len > V1_LIMIT {
        return Ok(false);
    }
    let slice = archive.source().slice(span);
    Ok(crate::document::is_v1_json(&slice.read_all()?))
}
