//! The images of an archive as Docker 29 would list them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::archive::Contents;
use crate::base::digest::{ChainId, Digest};
use crate::document::descriptor::{IMAGE_NAME, REF_NAME};
use crate::document::{Descriptor, Fit, Platform, WantedPlatform};
use crate::image::{Image, ImageSet, Leads, Listed, Name, Reference};
use crate::layer::Measures;
use crate::tree::DiskBlocks;

/// The annotation by which an index marks the attestation of another manifest.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// What one row of `docker images` says, or one image of `docker images --tree`.
#[derive(Clone, Debug)]
pub struct EngineImage {
    /// The tags, sorted by their bytes; an image without any is hidden unless all are asked for.
    pub names: Vec<String>,
    /// The image's ID there.
    pub id: String,
    /// DISK USAGE in bytes: with the containerd store an estimate ([`DiskBlocks`]). `None` if a layer cannot be
    /// read.
    pub disk_usage: Option<u64>,
    /// CONTENT SIZE in bytes, exact; 0 with Docker's own store.
    pub content_size: u64,
    /// The platforms, in Docker's order; none with Docker's own store.
    pub platforms: Vec<EnginePlatform>,
}

/// One platform of an image with the containerd store.
#[derive(Clone, Debug)]
pub struct EnginePlatform {
    /// `os/architecture[/variant]`.
    pub platform: String,
    /// The digest of its manifest.
    pub id: String,
    /// Whether the archive holds it.
    pub available: bool,
    /// As for the image.
    pub disk_usage: Option<u64>,
    /// As for the image.
    pub content_size: u64,
    /// Whether it is this machine's, which stands first.
    is_of_host: bool,
}

/// What is needed to describe images of one archive.
#[derive(Debug)]
pub struct EngineImages<'a> {
    archive: &'a Contents,
    set: &'a ImageSet,
    /// Positions of the images that are to be listed.
    picked: HashSet<usize>,
    blocks: &'a DiskBlocks,
    /// The stacks of layers that the engine unpacks.
    unpacked: HashSet<&'a ChainId>,
}

impl<'a> EngineImages<'a> {
    /// Looks at the images of an archive, of which `picked` are to be listed.
    pub fn new(
        archive: &'a Contents,
        set: &'a ImageSet,
        picked: &[&Image],
        blocks: &'a DiskBlocks,
    ) -> Self {
        let mut images = Self {
            archive,
            set,
            picked: picked.iter().map(|image| image.position).collect(),
            blocks,
            unpacked: HashSet::new(),
        };
        for image in &set.images {
            let descriptor = image.manifest.as_ref().map(|manifest| &manifest.descriptor);
            let platform = descriptor.and_then(|descriptor| descriptor.platform.as_ref());
            let platform = platform.unwrap_or(&image.platform);
            if platform.is_unknown() || is_of_host(platform) {
                let chain = image
                    .layers
                    .iter()
                    .filter_map(|layer| layer.chain_id.as_ref());
                images.unpacked.extend(chain);
            }
        }
        images
    }

    /// The images as Docker's own store has them, by name, those without one last: what `manifest.json`
    /// describes.
    pub fn classic(&self, measures: &Measures) -> Vec<EngineImage> {
        let mut rows = Rows::default();
        for image in &self.set.images[..self.set.from_manifest_json] {
            if !self.picked.contains(&image.position) {
                continue;
            }
            let row = EngineImage {
                names: Vec::new(),
                id: image.identity.to_string(),
                disk_usage: measures.image_size(image),
                content_size: 0,
                platforms: Vec::new(),
            };
            rows.add(row, tags(image));
        }
        rows.sorted()
    }

    /// The images as the containerd store has them, by name, those without one last: what `index.json` lists,
    /// or `manifest.json` where that counts.
    pub fn containerd(&self) -> Vec<EngineImage> {
        let mut rows = Rows::default();
        if self.set.listed_counts() {
            for entry in &self.set.listed {
                if let Some(row) = self.listed(entry) {
                    rows.add(row, listed_tag(&entry.descriptor));
                }
            }
        } else {
            for image in &self.set.images {
                if let Some(row) = self.made(image) {
                    rows.add(row, tags(image));
                }
            }
        }
        rows.sorted()
    }

    /// An image of `index.json`, without its names.
    fn listed(&self, entry: &Listed) -> Option<EngineImage> {
        let mut sums = Sums::default();
        self.add(entry, &mut sums);
        // What holds no image that was picked is listed only if all are.
        let is_picked = sums.images.iter().any(|i| self.picked.contains(i));
        let all = self.picked.len() == self.set.images.len();
        let id = entry.descriptor.digest.to_string();
        (is_picked || all && sums.images.is_empty()).then(|| sums.row(id))
    }

    /// An image of which containerd makes the manifest, without its names.
    fn made(&self, image: &Image) -> Option<EngineImage> {
        let name = self.set.containerd_name(image)?;
        if !self.picked.contains(&image.position) {
            return None;
        }
        let content = name.made_size().saturating_add(parts_of(image));
        let mut sums = Sums::default();
        sums.add(self.platform(image, name.id.digest(), &image.platform, content));
        Some(sums.row(name.id.to_string()))
    }

    /// Adds what a descriptor leads to; indexes are nested no deeper than a limit allows.
    fn add(&self, entry: &Listed, sums: &mut Sums) {
        let descriptor = &entry.descriptor;
        match &entry.leads {
            Leads::Index(below) => below.iter().for_each(|entry| self.add(entry, sums)),
            Leads::Image(position) => {
                let Some(image) = self.set.images.get(*position) else {
                    return;
                };
                sums.images.push(*position);
                let content = self
                    .stored(&descriptor.digest)
                    .saturating_add(parts_of(image));
                let platform = descriptor.platform.as_ref().unwrap_or(&image.platform);
                sums.add(self.platform(image, &descriptor.digest, platform, content));
            }
            Leads::Artifact(position) => {
                let artifact = self.set.artifacts.get(*position);
                let blobs = artifact.into_iter().flat_map(|artifact| &artifact.blobs);
                let sizes = blobs.filter_map(|blob| Some(blob.slice.as_ref()?.len()));
                let content = sizes.fold(self.stored(&descriptor.digest), u64::saturating_add);
                sums.content = sums.content.saturating_add(content);
            }
            Leads::Absent if !is_attestation(descriptor) => {
                let platform = descriptor.platform.clone().unwrap_or_default();
                sums.platforms.push(EnginePlatform {
                    platform: in_go(&platform),
                    id: descriptor.digest.to_string(),
                    available: false,
                    disk_usage: Some(0),
                    content_size: 0,
                    is_of_host: is_of_host(&platform),
                });
            }
            Leads::Absent | Leads::Again | Leads::Unreadable(_) => {}
        }
    }

    /// One platform, with what its layers take if they are unpacked.
    fn platform(
        &self,
        image: &Image,
        digest: &Digest,
        platform: &Platform,
        content: u64,
    ) -> EnginePlatform {
        EnginePlatform {
            platform: in_go(platform),
            id: digest.to_string(),
            available: true,
            disk_usage: self
                .unpacked(image)
                .map(|size| size.saturating_add(content)),
            content_size: content,
            is_of_host: is_of_host(platform),
        }
    }

    /// What the unpacked layers of an image take; `None` if one cannot be read.
    fn unpacked(&self, image: &Image) -> Option<u64> {
        let is_unpacked = image
            .chain_id()
            .is_some_and(|id| self.unpacked.contains(id));
        let layers = image.layers.iter().filter(|_| is_unpacked);
        let sizes = layers.map(|layer| self.blocks.of(layer));
        sizes.sum()
    }

    /// What `docker history` says of the size of a layer with the containerd store: 0 for a platform that is
    /// not unpacked.
    pub fn layer_sizes(&self, image: &Image) -> Vec<Option<u64>> {
        let is_unpacked = image
            .chain_id()
            .is_some_and(|id| self.unpacked.contains(id));
        let size = |layer| {
            if is_unpacked {
                self.blocks.of(layer)
            } else {
                Some(0)
            }
        };
        image.layers.iter().map(size).collect()
    }

    /// The length of a blob, if the archive holds it.
    fn stored(&self, digest: &Digest) -> u64 {
        let found = self.archive.find(digest.blob_path().as_bytes());
        found.map_or(0, |(_, slice)| slice.len())
    }
}

/// What several manifests come to.
#[derive(Default)]
struct Sums {
    content: u64,
    platforms: Vec<EnginePlatform>,
    /// The positions of the images.
    images: Vec<usize>,
}

impl Sums {
    fn add(&mut self, platform: EnginePlatform) {
        self.content = self.content.saturating_add(platform.content_size);
        self.platforms.push(platform);
    }

    /// A row without names. What is there stands before what is not, this machine's platform first.
    fn row(mut self, id: String) -> EngineImage {
        self.platforms
            .sort_by_key(|one| (!one.available, !one.is_of_host));
        let unpacked = self.platforms.iter().map(|one| {
            let usage = one.disk_usage?;
            Some(usage.saturating_sub(one.content_size))
        });
        let unpacked: Option<u64> = unpacked.sum();
        EngineImage {
            names: Vec::new(),
            id,
            disk_usage: unpacked.map(|size| size.saturating_add(self.content)),
            content_size: self.content,
            platforms: self.platforms,
        }
    }
}

/// The length of what a manifest names, as far as it is there.
fn parts_of(image: &Image) -> u64 {
    let config = image
        .config
        .as_ref()
        .map_or(0, |config| config.raw.len() as u64);
    let layers = image.layers.iter().filter_map(|layer| layer.present());
    layers.fold(config, |sum, (slice, _)| sum.saturating_add(slice.len()))
}

/// The tags of an image of `manifest.json`, each listed once.
fn tags(image: &Image) -> impl Iterator<Item = (String, usize)> {
    let references = image.names.iter().filter_map(Name::reference);
    references.map(|reference| (reference.clone().or_latest().to_string(), 1))
}

/// The tag of what `index.json` lists, and how often it is listed. A name without a domain is listed twice:
/// Docker finds it as it is stored, and once more in full. A word alone is no tag.
fn listed_tag(descriptor: &Descriptor) -> Option<(String, usize)> {
    let text = descriptor.annotation(IMAGE_NAME);
    let text = text.or_else(|| descriptor.annotation(REF_NAME))?;
    let reference: Reference = text.parse().ok()?;
    let tag = reference.tag()?;
    let full = format!("{}/{}:{tag}", reference.domain(), reference.path());
    let is_short = full != text && reference.digest().is_none();
    let name = reference.clone().without_digest().to_string();
    Some((name, if is_short { 2 } else { 1 }))
}

/// Rows while they are collected, one for each ID.
#[derive(Default)]
struct Rows {
    all: Vec<EngineImage>,
    of_id: HashMap<String, usize>,
    /// Which row has a name, and how often.
    names: BTreeMap<String, (usize, usize)>,
}

impl Rows {
    /// Adds a row, or names to the one that is there. A name that another row has is taken from it: the last
    /// image in an archive keeps it.
    fn add(&mut self, row: EngineImage, names: impl IntoIterator<Item = (String, usize)>) {
        let next = self.all.len();
        let row = if let Some(known) = self.of_id.get(&row.id) {
            *known
        } else {
            self.of_id.insert(row.id.clone(), next);
            self.all.push(row);
            next
        };
        for (name, count) in names {
            self.names.insert(name, (row, count));
        }
    }

    /// All of them by name, with their names by bytes.
    fn sorted(mut self) -> Vec<EngineImage> {
        for (name, (row, count)) in self.names {
            let names = &mut self.all[row].names;
            names.extend(std::iter::repeat_n(name, count));
        }
        // The sort is stable: images without a name stay in the archive's order.
        let key = |row: &EngineImage| (row.names.is_empty(), row.names.first().cloned());
        self.all.sort_by_cached_key(key);
        self.all
    }
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotation(ATTESTATION).is_some()
}

fn is_of_host(platform: &Platform) -> bool {
    WantedPlatform::host().fit(platform) != Fit::No
}

/// A platform as containerd's `platforms.Format` words it.
fn in_go(platform: &Platform) -> String {
    if platform.os.is_empty() {
        return "unknown".to_owned();
    }
    let parts = [&platform.os, &platform.architecture, &platform.variant];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).collect();
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}
