//! `diff`: what differs between two images.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use super::diff_rows::{DiffField, DiffFile, DiffLayer, DiffRelation, DiffStep};
use super::images::{id, references};
use crate::base::digest::Digest;
use crate::document::{HistoryEntry, HistoryField, config_difference, history_difference};
use crate::image::Image;
use crate::tree::{Aspect, Aspects, Comparison, FileChange, NodePaths, Tree};

/// What does not count as a difference.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct DiffIgnored {
    /// In what files may differ.
    pub aspects: Aspects,
    /// The order and the form of a layer's entries.
    pub order: bool,
    /// Times in configs and histories, and what else every build sets anew.
    pub build: bool,
    /// Which layers there are.
    pub layers: bool,
    /// The configs.
    pub config: bool,
    /// The histories.
    pub history: bool,
}

impl DiffIgnored {
    /// What a rebuild changes by itself: times, order, and what builders note of themselves.
    #[must_use]
    pub fn and_semantic(mut self) -> Self {
        self.aspects.insert(Aspect::Time);
        self.order = true;
        self.build = true;
        self
    }

    /// Whether two layers with this relation count as different.
    fn counts(self, layer: &DiffLayer) -> bool {
        let is_ignored = match layer.relation {
            DiffRelation::Same | DiffRelation::Recompressed => !layer.moved,
            DiffRelation::Times => self.aspects.contains(Aspect::Time),
            DiffRelation::Order => self.order,
            DiffRelation::Different => layer.entries.is_some_and(|entries| entries.ignored),
            DiffRelation::Added | DiffRelation::Removed => false,
        };
        !is_ignored
    }
}

/// One of the two things that are compared.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffHead {
    /// The archive or the rootfs tar, as it was given.
    pub archive: String,
    /// The image ID; `null` if it is a rootfs tar.
    pub id: Option<String>,
    /// The name of the image in the archive.
    pub references: Vec<String>,
    /// `os/architecture[/variant]`; `null` if the archive does not state it.
    pub platform: Option<String>,
    /// How many bytes the archive stores for all layers, without missing layers.
    pub layers_size: u64,
}

impl DiffHead {
    /// Describes an image of an archive.
    pub fn of_image(archive: &str, image: &Image) -> Self {
        let sizes = image.layers.iter().filter_map(|layer| layer.present());
        let sizes = sizes.map(|(slice, _)| slice.len());
        Self {
            archive: archive.to_owned(),
            id: id(image),
            references: references(image),
            platform: (!image.platform.is_unknown()).then(|| image.platform.to_string()),
            layers_size: sizes.fold(0, u64::saturating_add),
        }
    }

    /// Describes a rootfs tar of this many bytes.
    pub fn of_rootfs(path: &str, size: u64) -> Self {
        Self {
            archive: path.to_owned(),
            id: None,
            references: Vec::new(),
            platform: None,
            layers_size: size,
        }
    }
}

/// The bytes of files that differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffSizes {
    /// How many files were added.
    pub added: u64,
    /// Their bytes. A file with several names counts once for each.
    pub added_bytes: u64,
    /// How many files changed.
    pub changed: u64,
    /// Their bytes before.
    pub changed_bytes_old: u64,
    /// Their bytes now.
    pub changed_bytes_new: u64,
    /// How many files were deleted.
    pub deleted: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
}

impl DiffSizes {
    /// How many files differ.
    pub fn count(&self) -> u64 {
        self.added + self.changed + self.deleted
    }

    fn add(&mut self, change: &FileChange, old: &Tree, new: &Tree) {
        let size = |tree: &Tree, node| tree.inode(tree.inode_id(node)).size();
        let add = |sum: &mut u64, bytes| *sum = sum.saturating_add(bytes);
        match (change.old, change.new) {
            (None, None) => {}
            (None, Some(node)) => {
                self.added += 1;
                add(&mut self.added_bytes, size(new, node));
            }
            (Some(node), None) => {
                self.deleted += 1;
                add(&mut self.deleted_bytes, size(old, node));
            }
            (Some(before), Some(after)) => {
                self.changed += 1;
                add(&mut self.changed_bytes_old, size(old, before));
                add(&mut self.changed_bytes_new, size(new, after));
            }
        }
    }
}

/// The files that differ, in the order of a tar. They are described while they are printed, so that the answer is
/// never in memory.
#[derive(Clone, Copy)]
pub struct DiffFiles<'c> {
    comparison: &'c Comparison,
    of_container: bool,
}

impl<'c> DiffFiles<'c> {
    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = DiffFile> + 'c {
        let trees = self.comparison.trees.as_ref();
        trees.into_iter().flat_map(move |(old, new)| {
            let mut paths = (NodePaths::of(old), NodePaths::of(new));
            let changes = self.comparison.files.as_slice().iter();
            changes.map(move |change| {
                let path = match (change.old, change.new) {
                    (_, Some(node)) => paths.1.path(node),
                    (Some(node), None) => paths.0.path(node),
                    (None, None) => b"",
                };
                DiffFile {
                    in_docker_diff: self.of_container.then_some(change.is_in_docker_diff),
                    ..DiffFile::of(change, path, old, new)
                }
            })
        })
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.comparison.files.as_slice().is_empty()
    }
}

impl fmt::Debug for DiffFiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.comparison.files.as_slice().len();
        f.debug_struct("DiffFiles").field("len", &len).finish()
    }
}

impl Serialize for DiffFiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// The answer of `diff`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diff<'c> {
    /// `imgtar/diff/1`
    pub schema: &'static str,
    /// Whether there is no difference that counts.
    pub same: bool,
    /// The old image.
    pub old: DiffHead,
    /// The new image, or the rootfs tar.
    pub new: DiffHead,
    /// The layers of both images, in the order of the new one; none if a rootfs tar is compared.
    pub layers: Vec<DiffLayer>,
    /// The fields of the configs that differ.
    pub config: Vec<DiffField>,
    /// The build steps that differ, oldest first.
    pub history: Vec<DiffStep>,
    /// The files that differ, in the order of a tar. If a rootfs tar is compared, what was deleted with a directory
    /// is not listed, and directories in which something changed are.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<DiffFile>"))]
    pub files: DiffFiles<'c>,
    /// How many files differ, and how many bytes they have.
    pub sizes: DiffSizes,
    /// How many layers differ, those that stand at another place counted too.
    #[serde(skip)]
    pub layers_that_differ: usize,
}

impl<'c> Diff<'c> {
    /// Puts together in what two images differ.
    pub fn of_images(
        heads: (DiffHead, DiffHead),
        old: &Image,
        new: &Image,
        comparison: &'c Comparison,
        ignored: DiffIgnored,
    ) -> Self {
        let makers = (old.pairing(), new.pairing());
        let row = |pair| DiffLayer::of(pair, (old, new), (&makers.0, &makers.1));
        let mut layers: Vec<DiffLayer> = comparison.layers.iter().map(row).collect();
        mark_moved(&mut layers);
        let layers_that_differ = if ignored.layers {
            0
        } else {
            let differ = layers.iter().filter(|layer| ignored.counts(layer));
            differ.count()
        };
        let config = if ignored.config {
            Vec::new()
        } else {
            fields(old, new, ignored)
        };
        let history = if ignored.history {
            Vec::new()
        } else {
            steps(old, new, ignored)
        };
        let mut diff = Self::new(heads, comparison, false);
        let is_equal = layers_that_differ == 0 && config.is_empty() && history.is_empty();
        diff.same = is_equal && diff.files.is_empty();
        diff.layers_that_differ = layers_that_differ;
        diff.layers = layers;
        diff.config = config;
        diff.history = history;
        // Layers that differ in what is ignored have other diff IDs, which are part of the configs.
        let is_stored = |layer: &DiffLayer| {
            matches!(
                layer.relation,
                DiffRelation::Same | DiffRelation::Recompressed
            )
        };
        let is_whole = !(ignored.config || ignored.history || ignored.build);
        if diff.same
            && is_whole
            && diff.layers.iter().all(is_stored)
            && let Some(digest) = form(old, new)
        {
            diff.same = false;
            diff.config.push(digest);
        }
        diff
    }

    /// Puts together in what a rootfs tar differs from an image.
    pub fn with_rootfs(heads: (DiffHead, DiffHead), comparison: &'c Comparison) -> Self {
        Self::new(heads, comparison, true)
    }

    fn new(
        (old, new): (DiffHead, DiffHead),
        comparison: &'c Comparison,
        of_container: bool,
    ) -> Self {
        let files = DiffFiles {
            comparison,
            of_container,
        };
        let mut sizes = DiffSizes::default();
        if let Some((old, new)) = &comparison.trees {
            let changes = comparison.files.as_slice().iter();
            changes.for_each(|change| sizes.add(change, old, new));
        }
        Self {
            schema: "imgtar/diff/1",
            same: files.is_empty(),
            old,
            new,
            layers: Vec::new(),
            config: Vec::new(),
            history: Vec::new(),
            files,
            sizes,
            layers_that_differ: 0,
        }
    }
}

/// Finds the layers that stand in another order.
fn mark_moved(layers: &mut [DiffLayer]) {
    let mut last = None;
    for layer in layers.iter_mut().filter(|layer| layer.new.is_some()) {
        layer.moved = layer.old.is_some() && layer.old < last;
        last = last.max(layer.old);
    }
}

/// The bytes of a config: those that Docker makes of an image from before Docker 1.10, once its IDs are known.
fn config_of(image: &Image) -> Cow<'_, [u8]> {
    let upgraded = image.upgraded_ids();
    if let Some(config) = upgraded.and_then(|ids| image.upgraded_config(&ids.diff_ids).ok()) {
        return Cow::Owned(config);
    }
    Cow::Borrowed(image.config.as_ref().map_or(&[], |config| &config.raw))
}

fn fields(old: &Image, new: &Image, ignored: DiffIgnored) -> Vec<DiffField> {
    let fields = config_difference(&config_of(old), &config_of(new)).into_iter();
    let fields = fields.filter(|field| !(ignored.build && field.is_of_build));
    fields.map(DiffField::from).collect()
}

/// The digests of two configs that say the same in other bytes.
fn form(old: &Image, new: &Image) -> Option<DiffField> {
    let (old, new) = (config_of(old), config_of(new));
    (old != new).then(|| DiffField {
        field: "digest".to_owned(),
        old: Some(Digest::sha256_of(&old).to_string()),
        new: Some(Digest::sha256_of(&new).to_string()),
        of_build: true,
    })
}

fn steps(old: &Image, new: &Image, ignored: DiffIgnored) -> Vec<DiffStep> {
    let (old, new) = (history_of(old), history_of(new));
    let mut changes = history_difference(old, new);
    if ignored.build {
        changes.retain_mut(|change| {
            change.what.retain(|field| *field != HistoryField::Created);
            change.old.is_none() || change.new.is_none() || !change.what.is_empty()
        });
    }
    let steps = changes.iter();
    steps.map(|change| DiffStep::of(change, old, new)).collect()
}

fn history_of(image: &Image) -> &[HistoryEntry] {
    image.view().map_or(&[], |view| &view.history)
}
