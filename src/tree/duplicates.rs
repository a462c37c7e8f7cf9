//! Visible files that have the same bytes.
//!
//! Files of one size are compared by their beginnings first, since most differ there, then by
//! all of their bytes; each file is read at most once and a bit.

use super::content::{FileReader, in_batches};
use super::error::TreeError;
use super::fates::Fates;
use super::inode::InodeId;
use super::nodes::NodeId;
use super::waste::{stored, unread};
use crate::base::digest::{Digest, Hasher};
use crate::base::options::Options;

/// How many bytes are read at a time of a file that is hashed.
const BUFFER: usize = 128 * 1024;

/// How many bytes at the beginning of files are compared before whole files are.
const HEAD: u64 = 512;

/// A visible file whose bytes another visible file has as well.
#[derive(Clone, Copy, Debug)]
pub struct DuplicateFile {
    /// Its name.
    pub node: NodeId,
    /// The layer that stores it, base first.
    pub layer: u32,
    /// The name of the first file with these bytes, in the order of the layers and their entries.
    pub of: NodeId,
    /// Its stored content, in bytes.
    pub bytes: u64,
}

/// A visible file that may have the bytes of another.
struct Candidate {
    size: u64,
    /// Its place among the visible files.
    order: usize,
    node: NodeId,
    inode: InodeId,
}

/// The visible files whose bytes an earlier one has, in their order.
pub(super) fn duplicates(
    fates: &Fates,
    live: &[(NodeId, InodeId)],
    options: &Options<'_>,
) -> Result<Vec<DuplicateFile>, TreeError> {
    let tree = fates.tree();
    let mut candidates: Vec<Candidate> = live
        .iter()
        .enumerate()
        .map(|(order, &(node, inode))| Candidate {
            size: tree.inode(inode).size(),
            order,
            node,
            inode,
        })
        .collect();
    candidates.sort_unstable_by_key(|file| (file.size, file.order));
    let mut equal = several(candidates, |file| file.size);
    for (limit, skip_short) in [(HEAD, false), (u64::MAX, true)] {
        let (done, open): (Vec<_>, Vec<_>) = equal
            .into_iter()
            .partition(|group| skip_short && group[0].size <= HEAD);
        let open: Vec<Candidate> = open.into_iter().flatten().collect();
        let digests = in_batches(
            &open,
            |file| file.size.min(limit),
            (options.jobs, options.progress),
            |files, task| {
                let mut buffer = vec![0; BUFFER];
                let mut digests = Vec::with_capacity(files.len());
                for file in files {
                    digests.push(digest(fates, file, limit, &mut buffer)?);
                    task.advance(file.size.min(limit));
                }
                Ok(digests)
            },
        )?;
        let mut open: Vec<(Digest, Candidate)> = digests.into_iter().zip(open).collect();
        // Within a size, which the sort keeps together: by digest, then in the order of the files.
        open.sort_by(|(one, a), (other, b)| {
            let key = |file: &Candidate| file.size;
            (key(a), one.encoded(), a.order).cmp(&(key(b), other.encoded(), b.order))
        });
        equal = several(open, |(digest, file)| (file.size, digest.clone()))
            .into_iter()
            .map(|group| group.into_iter().map(|(_, file)| file).collect())
            .chain(done)
            .collect();
    }
    let mut found = Vec::new();
    for group in &equal {
        let Some((first, copies)) = group.split_first() else {
            continue;
        };
        for copy in copies {
            let Some((layer, bytes)) = stored(tree.inode(copy.inode)) else {
                continue;
            };
            let file = DuplicateFile {
                node: copy.node,
                layer,
                of: first.node,
                bytes,
            };
            found.push((copy.order, file));
        }
    }
    found.sort_unstable_by_key(|(order, _)| *order);
    Ok(found.into_iter().map(|(_, file)| file).collect())
}

/// The runs of at least two neighbours with equal keys.
fn several<T, K: PartialEq>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut run: Vec<T> = Vec::new();
    for item in items {
        if run.last().is_some_and(|last| key(last) != key(&item)) {
            groups.extend(Some(std::mem::take(&mut run)).filter(|run| run.len() > 1));
        }
        run.push(item);
    }
    groups.extend(Some(run).filter(|run| run.len() > 1));
    groups
}

/// The digest of the first `limit` bytes of a file. SHA-256, since an archive could be made to have two files
/// with the same sum of a weaker kind.
fn digest(
    fates: &Fates,
    file: &Candidate,
    limit: u64,
    buffer: &mut [u8],
) -> Result<Digest, TreeError> {
    let mut hasher = Hasher::sha256();
    let tree = fates.tree();
    if let Some(body) = tree.file_body(tree.inode(file.inode))? {
        let mut reader = FileReader::new(&body);
        let mut left = limit.min(body.size);
        while left > 0 {
            let room = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let n = reader
                .fill(&mut buffer[..room])
                .map_err(|error| unread(fates, file.node, error))?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            left -= n as u64;
        }
    }
    Ok(hasher.finish())
}
