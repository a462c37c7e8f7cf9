//! Where every body is: in the flat tar, in the metadata, or nowhere.

use std::collections::HashMap;

use super::blobs::KeptBlob;
use super::bodies::Where;
use super::collect::Collected;
use super::description::names;
use super::outer::Outer;
use super::store::Store;
use super::sums::Sum;
use crate::archive::Archive;
use crate::base::digest::Digest;
use crate::base::limits::Limit;
use crate::source::{Slice, SourceError};
use crate::tree::{Body, InodeId, Tree};

/// How large a body of the archive may be to become a member of its own; larger ones go to the store,
/// where they are compressed. Documents become members up to [`Limit::Json`], which also
/// holds when the archive is rebuilt.
const SMALL: u64 = 1 << 20;

/// The places that were given out so far.
pub(super) struct Placement {
    /// The path in the flat tar of every body that is in it as it is: by blob and offset.
    own: HashMap<(usize, u64), Box<[u8]>>,
    /// A path in the flat tar for every content.
    by_content: HashMap<[u8; 32], (usize, u64)>,
    /// Where a content is in the store.
    stored: HashMap<[u8; 32], u64>,
    pub(super) store: Store,
    lean: bool,
    pub(super) collected: Collected,
}

impl Placement {
    pub(super) fn new(tree: &Tree, blobs: &[KeptBlob], blob_of: &[usize], lean: bool) -> Self {
        let mut own: HashMap<(usize, u64), Box<[u8]>> = HashMap::new();
        let mut walk = tree.walk(tree.root());
        let mut seen = vec![false; tree.inode_count()];
        let mut is_new = |id: InodeId| !std::mem::replace(&mut seen[id.index()], true);
        while let Some((entry, path)) = walk.next_entry() {
            let Body::File {
                layer,
                offset,
                size: 1..,
                sparse: None,
            } = entry.inode.body
            else {
                continue;
            };
            let blob = usize::try_from(layer).ok().and_then(|n| blob_of.get(n));
            if let Some(&blob) = blob
                && is_new(entry.id)
            {
                own.entry((blob, offset)).or_insert_with(|| path.into());
            }
        }
        let mut by_content = HashMap::new();
        for (n, blob) in blobs.iter().enumerate() {
            for sum in &blob.sums {
                let at = (n, sum.span.offset);
                if own.contains_key(&at) {
                    by_content.entry(sum.sha256).or_insert(at);
                }
            }
        }
        Self {
            own,
            by_content,
            stored: HashMap::new(),
            store: Store::default(),
            lean,
            collected: Collected::default(),
        }
    }

    /// Where the bodies of a layer are.
    pub(super) fn places(&mut self, n: usize, blob: &KeptBlob) -> Vec<Where> {
        let mut places = Vec::with_capacity(blob.sums.len());
        for sum in &blob.sums {
            let own = self.own.get(&(n, sum.span.offset));
            let same = || self.own.get(self.by_content.get(&sum.sha256)?);
            places.push(if let Some(path) = own.or_else(same) {
                Where::Flat(path.to_vec())
            } else if blob.kept {
                Where::Nowhere
            } else if self.lean {
                self.collected.left_out += sum.span.len;
                Where::Nowhere
            } else {
                self.store(&blob.tar, sum)
            });
        }
        places
    }

    fn store(&mut self, slice: &Slice, sum: &Sum) -> Where {
        let store = &mut self.store;
        let offset = self.stored.entry(sum.sha256);
        Where::Stored(*offset.or_insert_with(|| store.add(slice.slice(sum.span))))
    }

    /// Where the bodies of the archive's members are, and those that become members here.
    pub(super) fn outer_places(
        &mut self,
        archive: &Archive,
        outer: &Outer,
        sums: &[Sum],
        blobs: &[KeptBlob],
    ) -> Result<Vec<(Where, Option<Slice>)>, SourceError> {
        let whole = archive.source().whole();
        let most = archive.source().limits().of(Limit::Json);
        let mut places = Vec::with_capacity(outer.bodies.len());
        for (number, (body, sum)) in outer.bodies.iter().zip(sums).enumerate() {
            places.push(match body.blob {
                Some(n) if blobs[n].kept => {
                    let name = Digest::from_sha256(sum.sha256).blob_path();
                    (Where::Member(name), None)
                }
                Some(n) => (Where::Layer(blobs[n].layer), None),
                None => {
                    let bytes = whole.slice(body.span);
                    let mut first = [0];
                    bytes.read_at(&mut first, 0)?;
                    let document = matches!(first, [b'{' | b'[']) && bytes.len() <= most;
                    if document || bytes.len() <= SMALL {
                        let name = names::document(number, &body.name);
                        (Where::Member(name), Some(bytes))
                    } else {
                        (self.store(&whole, sum), None)
                    }
                }
            });
        }
        Ok(places)
    }
}
