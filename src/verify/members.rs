//! The members of the outer tar: those that come twice, those that nothing names, what follows the end.

use std::collections::HashSet;

use crate::archive::{Archive, Member, MemberKind, archive_behind};
use crate::image::{ImageSet, Layer};
use crate::layer::{LayerError, digest, first_set_byte};
use crate::problem::{Code, Problem};
use crate::progress::Silent;
use crate::source::{Compression, Span};

/// How many names a problem spells out.
const SHOWN: usize = 4;

/// How large the descriptions are that Docker writes for readers from before 1.10, in bytes.
const V1_LIMIT: u64 = 1 << 20;

/// Everything that does not hold about the outer tar itself.
pub(super) fn problems(archive: &Archive, set: &ImageSet) -> Result<Vec<Problem>, LayerError> {
    let mut problems = Vec::new();
    if let Some(fault) = archive.fault() {
        let message = format!(
            "the archive is damaged or cut short behind its member no. {}, what followed is lost: {}",
            archive.members().len(),
            fault.fault
        );
        problems.push(Problem::error(Code::ArchiveTruncated, message).at(fault.offset));
    } else if !archive.has_end() {
        let message = "the archive lacks its end-of-archive blocks: engines read it all the same, but a file that was cut between two members looks like that";
        let problem = Problem::warning(Code::EndMissing, message);
        problems.push(problem.at(archive.source().len()));
    }
    problems.extend(tail(archive)?);
    for (hidden, counts) in archive.duplicates() {
        let problem = if same_content(archive, hidden, counts)? {
            let message = "the archive holds the member twice, with the same content";
            Problem::warning(Code::MemberDuplicate, message)
        } else {
            let message = "the archive holds two different members of one name: Docker and containerd read the last one, skopeo and crane the first";
            Problem::error(Code::MemberDuplicate, message)
        };
        let problem = problem.compared(
            format!("at byte {}", hidden.offset),
            format!("at byte {}", counts.offset),
        );
        problems.push(problem.at(hidden.offset).in_member(counts.name.as_bytes()));
    }
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

/// What follows the end of the archive.
fn tail(archive: &Archive) -> Result<Vec<Problem>, LayerError> {
    let mut problems = Vec::new();
    if archive.has_trailing_data() {
        let message = "bytes follow the end of the gzip data around the archive: Docker takes it, podman refuses it";
        problems.push(Problem::warning(Code::TrailingData, message));
    }
    if archive.has_end()
        && let Some(offset) = first_set_byte(&archive.source().whole(), archive.end())?
    {
        let message = behind_the_end(archive, offset);
        problems.push(Problem::warning(Code::TrailingData, message).at(offset));
    }
    Ok(problems)
}

/// Words for what follows the end. Whoever joined two archives with `cat` wants both.
fn behind_the_end(archive: &Archive, offset: u64) -> String {
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

/// Whether two members are the same but for their place.
fn same_content(archive: &Archive, one: &Member, other: &Member) -> Result<bool, LayerError> {
    let (MemberKind::File(a), MemberKind::File(b)) = (&one.kind, &other.kind) else {
        return Ok(one.kind == other.kind);
    };
    if a.len != b.len {
        return Ok(false);
    }
    let of = |span| {
        let slice = archive.source().slice(span);
        digest(&slice, Compression::None, &Silent)
    };
    Ok(of(*a)? == of(*b)?)
}

/// Files that no description leads to, told as one problem.
fn unreferenced(archive: &Archive, set: &ImageSet) -> Result<Option<Problem>, LayerError> {
    // By where they begin: a file that is cut short is found with the length that is left of it.
    let mut known: HashSet<u64> = set.checked.iter().map(|span| span.offset).collect();
    for name in ["manifest.json", "index.json", "oci-layout", "repositories"] {
        known.extend(
            archive
                .find(name.as_bytes())
                .map(|(_, slice)| slice.span().offset),
        );
    }
    for image in &set.images {
        let layers = image.layers.iter().filter_map(Layer::span);
        known.extend(layers.map(|span| span.offset));
        let config = image.config.as_ref().map(|config| &config.member);
        let config = config.and_then(|name| archive.find(name).ok());
        known.extend(config.map(|(_, slice)| slice.span().offset));
    }
    for blob in set.artifacts.iter().flat_map(|artifact| &artifact.blobs) {
        known.extend(blob.slice.as_ref().map(|slice| slice.span().offset));
    }
    let mut found: Vec<&Member> = Vec::new();
    let mut count = 0;
    for member in archive.members() {
        let MemberKind::File(span) = &member.kind else {
            continue;
        };
        if known.contains(&span.offset) || is_for_old_readers(archive, member, *span)? {
            continue;
        }
        // One of two of one name is told as that.
        let counts = archive.member(&member.name).map(|counts| counts.offset);
        if counts != Some(member.offset) {
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
        "nothing in the archive leads to {}{more}: engines do not load it, and it only takes room",
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
fn is_for_old_readers(archive: &Archive, member: &Member, span: Span) -> Result<bool, LayerError> {
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
    let bytes = slice
        .read_all()
        .map_err(|e| LayerError::Read(std::io::Error::other(e)))?;
    Ok(crate::image::is_v1_json(&bytes))
}
