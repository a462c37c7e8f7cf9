//! The images of an archive as Docker 29 would list them.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::engine_rows::Rows;
use crate::archive::Contents;
use crate::base::digest::{ChainId, Digest};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::descriptor::{IMAGE_NAME, REF_NAME, REFERENCE_TYPE};
use crate::document::{Descriptor, Fit, Platform, WantedPlatform};
use crate::image::{ContainerdName, Image, ImageSet, Layer, Leads, Listed, Name, Reference};
use crate::layer::{LayerError, Measures};
use crate::tree::DiskBlocks;

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
    blocks: DiskBlocks,
    /// The stacks of layers that the engine unpacks.
    unpacked: HashSet<&'a ChainId>,
    /// What each image comes to, once it was needed: an archive can list one any number of times.
    sizes: Vec<OnceCell<Sizes>>,
}

/// What an image comes to, in bytes.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Its config and its layers as they are stored.
    parts: u64,
    /// Its layers if they are unpacked; `None` if one cannot be read.
    unpacked: Option<u64>,
}

impl<'a> EngineImages<'a> {
    /// Looks at the images of an archive, of which `picked` are to be listed. Sizes of unpacked layers are
    /// not known before [`Self::measure`].
    pub fn new(archive: &'a Contents, set: &'a ImageSet, picked: &[&Image]) -> Self {
        let mut images = Self {
            archive,
            set,
            picked: picked.iter().map(|image| image.position).collect(),
            blocks: DiskBlocks::default(),
            unpacked: HashSet::new(),
            sizes: vec![OnceCell::new(); set.images.len()],
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

    /// Estimates what the layers take that the engine unpacks; those of other platforms are not read.
    ///
    /// # Errors
    ///
    /// As [`DiskBlocks::take`].
    pub fn measure(&mut self, jobs: Jobs, progress: &dyn Progress) -> Result<(), LayerError> {
        let unpacked = self
            .set
            .images
            .iter()
            .filter(|image| self.is_unpacked(image));
        let unpacked: Vec<&Image> = unpacked.collect();
        self.blocks = DiskBlocks::take(&unpacked, jobs, progress)?;
        Ok(())
    }

    /// Why a layer could not be measured, if it was tried and failed.
    pub fn fault(&self, layer: &Layer) -> Option<&LayerError> {
        self.blocks.fault(layer)
    }

    /// The images as Docker's own store has them, by name, those without one last: what `manifest.json`
    /// describes.
    pub fn classic(&self, measures: &Measures) -> Vec<EngineImage> {
        let mut rows = Rows::default();
        for image in &self.set.images[..self.set.from_manifest_json] {
            if !self.picked.contains(&image.position) {
                continue;
            }
            let row = |id| EngineImage {
                names: Vec::new(),
                id,
                disk_usage: measures.image_size(image),
                content_size: 0,
                platforms: Vec::new(),
            };
            rows.add(image.identity.to_string(), tags(image), |id| Some(row(id)));
        }
        rows.sorted()
    }

    /// The images as the containerd store has them, by name, those without one last: what `index.json` lists,
    /// or `manifest.json` where that counts.
    pub fn containerd(&self) -> Vec<EngineImage> {
        let mut rows = Rows::default();
        if self.set.listed_counts() {
            for entry in &self.set.listed {
                let id = entry.descriptor.digest.to_string();
                rows.add(id, listed_tag(&entry.descriptor), |id| {
                    self.listed(entry, id)
                });
            }
        } else {
            let picked = |image: &&Image| self.picked.contains(&image.position);
            for image in self.set.images.iter().filter(picked) {
                if let Some(name) = self.set.containerd_name(image) {
                    let id = name.id.to_string();
                    rows.add(id, tags(image), |id| Some(self.made(image, &name, id)));
                }
            }
        }
        rows.sorted()
    }

    /// An image of `index.json`, without its names.
    fn listed(&self, entry: &Listed, id: String) -> Option<EngineImage> {
        let mut sums = Sums::default();
        self.add(entry, &mut sums);
        // What holds no image that was picked is listed only if all are.
        let is_picked = sums.images.iter().any(|i| self.picked.contains(i));
        let all = self.picked.len() == self.set.images.len();
        (is_picked || all && sums.images.is_empty()).then(|| sums.row(id))
    }

    /// An image of which containerd makes the manifest, without its names.
    fn made(&self, image: &Image, name: &ContainerdName, id: String) -> EngineImage {
        let mut sums = Sums::default();
        let manifest = name.made_size();
        sums.add(self.platform(image, name.id.digest(), &image.platform, manifest));
        sums.row(id)
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
                let platform = descriptor.platform.as_ref().unwrap_or(&image.platform);
                let manifest = self.stored(&descriptor.digest);
                sums.add(self.platform(image, &descriptor.digest, platform, manifest));
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

    /// One platform, whose manifest has so many bytes.
    fn platform(
        &self,
        image: &Image,
        digest: &Digest,
        platform: &Platform,
        manifest: u64,
    ) -> EnginePlatform {
        let sizes = self.sizes(image);
        let content = manifest.saturating_add(sizes.parts);
        EnginePlatform {
            platform: in_go(platform),
            id: digest.to_string(),
            available: true,
            disk_usage: sizes.unpacked.map(|size| size.saturating_add(content)),
            content_size: content,
            is_of_host: is_of_host(platform),
        }
    }

    /// Whether the engine unpacks an image of the set.
    fn is_unpacked(&self, image: &Image) -> bool {
        let chain = image.chain_id();
        chain.is_some_and(|id| self.unpacked.contains(id))
    }

    fn sizes(&self, image: &Image) -> Sizes {
        let compute = || Sizes {
            parts: parts_of(image),
            unpacked: sum_of(self.layer_sizes(image)),
        };
        let known = self.sizes.get(image.position);
        known.map_or_else(compute, |known| *known.get_or_init(compute))
    }

    /// What `docker history` says of the size of a layer with the containerd store: 0 for a platform that is
    /// not unpacked.
    pub fn layer_sizes(&self, image: &Image) -> Vec<Option<u64>> {
        let is_unpacked = self.is_unpacked(image);
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
        let unpacked = sum_of(unpacked);
        EngineImage {
            names: Vec::new(),
            id,
            disk_usage: unpacked.map(|size| size.saturating_add(self.content)),
            content_size: self.content,
            platforms: self.platforms,
        }
    }
}

/// The sum of sizes, if all of them are known.
fn sum_of(sizes: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    let mut sizes = sizes.into_iter();
    sizes.try_fold(0_u64, |sum, size| Some(sum.saturating_add(size?)))
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

/// Whether Docker does not list an absent manifest as a platform: one that is about another manifest, whatever
/// it says of it.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotation(REFERENCE_TYPE).is_some()
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
    let parts = parts.into_iter().map(String::as_str);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("/")
}
