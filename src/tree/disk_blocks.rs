//! What a layer takes on a disk, estimated: how engines with a containerd store count sizes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::path::LayerPath;
use crate::base::constants::WHITEOUT;
use crate::base::jobs::{self, Jobs};
use crate::base::limits::{Exceeded, Limit, Limits};
use crate::base::progress::Progress;
use crate::image::{Image, Layer};
use crate::layer::{LayerError, Whiteout, by_blob, walk_layer};
use crate::source::ByPlace;
use crate::tar::{Entry, Kind};

/// A block of ext4 with its usual settings, in bytes.
const BLOCK: u64 = 4096;
/// What a block of a directory cannot hold names in, in bytes: its checksum.
const TAIL: u64 = 12;
/// What the entries `.` and `..` take in a directory, in bytes.
const DOTS: u64 = 24;
/// The shortest target of a symbolic link that ext4 cannot keep in the inode, in bytes.
const LONG_TARGET: usize = 60;

/// What the layers of some images take when each is unpacked into a directory of its own, in whole blocks of
/// 4 KiB: what Docker's containerd store adds up (containerd `core/snapshots/storage`, `fs.DiskUsage`).
///
/// An estimate, for ext4 with 4 KiB blocks. It is exact as long as no attribute needs a block of its own and
/// no directory is very large: how often the blocks of a directory were split depends on hashes of names. Other
/// file systems count otherwise.
#[derive(Debug)]
pub struct DiskBlocks(ByPlace<Result<u64, LayerError>>);

impl Default for DiskBlocks {
    /// Of no layer at all.
    fn default() -> Self {
        Self(ByPlace::new())
    }
}

impl DiskBlocks {
    /// Estimates the layers of `images`, several at once: from headers, compressed layers are decoded. Layers
    /// that share a blob are read once.
    ///
    /// # Errors
    ///
    /// [`LayerError::Read`] if the operating system fails. That a layer is damaged, or has more entries than
    /// [`Limit::Entries`] or longer paths than [`Limit::PathSteps`] allows, is not an error here:
    /// [`Self::fault`] says so.
    pub fn take(
        images: &[&Image],
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, LayerError> {
        let mut layers: ByPlace<&Layer> = ByPlace::new();
        for layer in images.iter().flat_map(|image| &image.layers) {
            if let Some((slice, _)) = layer.present() {
                layers.add(slice, || layer);
            }
        }
        let cost = |layer: &&Layer| layer.present().map_or(0, |(slice, _)| slice.len());
        let total: u64 = layers.all().iter().map(cost).sum();
        let task = progress.begin("estimating sizes on a disk", Some(total));
        let sizes = jobs::map(jobs, layers.all(), cost, |layer| {
            let size = size_of(layer);
            task.advance(cost(layer));
            size
        });
        by_blob(layers, sizes).map(Self)
    }

    /// The estimate for `layer` in bytes; `None` if it has none.
    pub fn of(&self, layer: &Layer) -> Option<u64> {
        self.0.get(layer.present()?.0)?.as_ref().ok().copied()
    }

    /// Why `layer` has no estimate, if it was tried and failed.
    pub fn fault(&self, layer: &Layer) -> Option<&LayerError> {
        self.0.get(layer.present()?.0)?.as_ref().err()
    }
}

/// The root directory, among hashes.
const ROOT: u64 = 0;

/// How many blocks a directory needs beyond its first, by what its names take. Once they do not fit into one
/// the first block is an index of others, which are split in two when they are full, all of them at about the
/// same time.
fn further_blocks(names: u64) -> u64 {
    let room = BLOCK - TAIL;
    if names <= room {
        return 0;
    }
    names.div_ceil(room).next_power_of_two()
}

fn size_of(layer: &Layer) -> Result<u64, LayerError> {
    let (slice, _) = layer.stored()?;
    let mut used = Used::new(*slice.source().limits());
    walk_layer(layer, |entry| used.take(entry))?;
    used.sum().map_err(LayerError::Limit)
}

/// The files of a layer, each by a hash of its path: an estimate may take two for one once in a very long
/// while, and no name has to be held.
struct Used {
    hashes: RandomState,
    bytes: HashMap<u64, u64>,
    /// What the names in each directory take.
    names: HashMap<u64, u64>,
    limits: Limits,
    /// How many names were looked up.
    steps: u64,
    /// The limit that was reached; nothing is looked at after that.
    full: Option<Exceeded>,
}

impl Used {
    fn new(limits: Limits) -> Self {
        let mut used = Self {
            hashes: RandomState::new(),
            bytes: HashMap::new(),
            names: HashMap::new(),
            limits,
            steps: 0,
            full: None,
        };
        used.bytes.insert(ROOT, BLOCK);
        used
    }

    fn take(&mut self, entry: &Entry) {
        if self.full.is_some() {
            return;
        }
        let path = LayerPath::new(&entry.path);
        let Some((name, parents)) = path.components().split_last() else {
            return;
        };
        self.steps += path.components().len() as u64;
        self.within(self.limits.check(Limit::PathSteps, self.steps));
        let mut above = ROOT;
        for name in parents {
            let own = self.hashes.hash_one((above, name));
            if self.bytes.get(&own).is_none_or(|bytes| *bytes == 0) {
                self.set(above, own, name, BLOCK);
            }
            above = own;
        }
        // A whiteout is a device there, or an attribute of its directory.
        let name = match Whiteout::of_path(&entry.path) {
            None => name,
            Some(_) => name.strip_prefix(WHITEOUT).unwrap_or(name),
        };
        let own = self.hashes.hash_one((above, name));
        let bytes = match entry.kind {
            _ if Whiteout::of_path(&entry.path).is_some() => 0,
            Kind::Directory => BLOCK,
            Kind::File => entry.size.next_multiple_of(BLOCK),
            Kind::Symlink if entry.link.len() >= LONG_TARGET => BLOCK,
            _ => 0,
        };
        self.set(above, own, name, bytes);
    }

    /// Puts a file into the directory `above`, in place of what has its name.
    fn set(&mut self, above: u64, own: u64, name: &[u8], bytes: u64) {
        if self.bytes.insert(own, bytes).is_none() {
            let entry = (8 + name.len() as u64).next_multiple_of(4);
            *self.names.entry(above).or_insert(DOTS) += entry;
        }
        let count = self.bytes.len();
        self.within(self.limits.check_count(Limit::Entries, count));
    }

    fn within(&mut self, checked: Result<(), Exceeded>) {
        self.full = self.full.take().or(checked.err());
    }

    /// All of it, if all of it was looked at.
    fn sum(self) -> Result<u64, Exceeded> {
        let files = self.bytes.values().copied();
        let more = self
            .names
            .values()
            .map(|names| further_blocks(*names) * BLOCK);
        let sum = files.chain(more).fold(0, u64::saturating_add);
        self.full.map_or(Ok(sum), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::further_blocks;

    /// As ext4 has it for a directory of busybox: 400 names in two blocks and an index.
    #[test]
    fn large_directories_have_an_index() {
        assert_eq!(further_blocks(24), 0);
        assert_eq!(further_blocks(4084), 0);
        assert_eq!(further_blocks(6_424), 2);
        assert_eq!(further_blocks(9_000), 4);
    }
}
