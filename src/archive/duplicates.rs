//! Members of one name.

use super::index::Contents;
use super::member::{Member, MemberKind};
use crate::base::problem::{Code, Problem};
use crate::source::{Slice, SourceError};

/// How much of two members is compared at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// The problem that two members have one name, if they differ in the first `limit` bytes, or end there without
/// a difference. `None` if they are the same as far as they were compared, and continue.
///
/// Measured with Docker 20.10 and 26.1 (both stores), podman 5.4 and skopeo: Docker and containerd read
/// the last one, podman and skopeo the first.
///
/// # Errors
///
/// [`SourceError`] if the archive cannot be read.
pub(crate) fn duplicate(
    contents: &Contents,
    hidden: &Member,
    counts: &Member,
    limit: u64,
) -> Result<Option<Problem>, SourceError> {
    let name = &counts.name;
    let problem = match compare(contents, hidden, counts, limit)? {
        Compared::Alike => return Ok(None),
        Compared::Same => {
            let message = format!("the archive holds `{name}` twice, with the same content");
            Problem::warning(Code::MemberDuplicate, message)
        }
        Compared::Different => {
            let message = format!(
                "the archive holds two different members called `{name}`: Docker and containerd read the last one, podman, skopeo and crane the first"
            );
            Problem::error(Code::MemberDuplicate, message)
        }
    };
    let problem = problem.compared(
        format!("at byte {}", hidden.offset),
        format!("at byte {}", counts.offset),
    );
    Ok(Some(
        problem.at(hidden.offset).in_member(counts.name.as_bytes()),
    ))
}

enum Compared {
    Same,
    Different,
    /// The same as far as they were compared.
    Alike,
}

fn compare(
    contents: &Contents,
    one: &Member,
    other: &Member,
    limit: u64,
) -> Result<Compared, SourceError> {
    let (MemberKind::File(a), MemberKind::File(b)) = (&one.kind, &other.kind) else {
        return Ok(if one.kind == other.kind {
            Compared::Same
        } else {
            Compared::Different
        });
    };
    if a.len != b.len {
        return Ok(Compared::Different);
    }
    let (a, b) = (contents.source().slice(*a), contents.source().slice(*b));
    let len = a.len().min(limit);
    let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
    let mut at = 0;
    while at < len {
        let [one, other] = &mut pieces;
        let read = |slice: &Slice, piece: &mut [u8]| slice.read_at(piece, at);
        let (n, m) = (read(&a, one)?, read(&b, other)?);
        if one[..n] != other[..m] {
            return Ok(Compared::Different);
        }
        if n == 0 {
            break;
        }
        at += n as u64;
    }
    Ok(if at < a.len() {
        Compared::Alike
    } else {
        Compared::Same
    })
}
