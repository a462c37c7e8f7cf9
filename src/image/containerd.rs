//! What engines with a containerd store call an image: Docker's containerd store (the default of a fresh
//! Docker 29), `ctr` and `nerdctl images`.
//!
//! There an image is called by its manifest and not by its config. An archive whose `oci-layout` counts has
//! the ID in `index.json`, and it is the same everywhere. For any other containerd makes a manifest out of
//! `manifest.json` ([`MadeManifest`]); that names the members as they are stored, so it can be told from
//! their digests. One thing changes it: a store that holds one of the layers compressed names that blob
//! instead ([`ContainerdName::depends_on_store`]).

use serde::Serialize;

use super::model::{Image, ImageSet, Layer};
use crate::archive::Contents;
use crate::base::digest::{Algorithm, BlobDigest, ContainerdId, Digest, Hasher};
use crate::document::json::{Json, JsonNode};
use crate::document::media_type::{
    DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_MANIFEST,
};
use crate::source::Compression;

/// The ID of an image in a containerd store, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerdName {
    /// The ID.
    pub id: ContainerdId,
    /// What it rests on.
    pub basis: ContainerdBasis,
    /// Whether a store may give the image another ID: containerd makes the manifest, a layer in it is not
    /// compressed, and a store that holds that layer compressed already has the manifest name what it holds.
    pub depends_on_store: bool,
    /// The length in bytes of the manifest that containerd makes; none if the archive has one.
    pub(crate) made: Option<u64>,
}

/// How the ID of an image in a containerd store is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ContainerdBasis {
    /// `index.json` lists it: it is the digest of the manifest or index there.
    Listed,
    /// containerd makes the manifest, and for at least one layer in it imgtar relies on the claimed diff ID.
    Claimed,
    /// containerd makes the manifest, and the digests in it were computed from the bytes.
    Computed,
}

impl ContainerdName {
    /// The length in bytes of the manifest that containerd makes; 0 if the archive has one.
    pub(crate) fn made_size(&self) -> u64 {
        self.made.unwrap_or(0)
    }
}

/// Which description of an archive containerd goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ContainerdReads {
    /// `index.json`.
    Layout,
    /// `manifest.json`, of which it makes manifests.
    ManifestJson,
    /// None: it refuses the archive.
    #[default]
    Nothing,
}

impl ContainerdReads {
    /// Which it is is decided by `oci-layout` alone (containerd `core/images/archive/importer.go`). An empty
    /// version is as good as no file.
    pub(super) fn of(contents: &Contents) -> Self {
        match oci_layout_version(contents).as_deref() {
            Ok("1.0.0") => Self::Layout,
            Ok("") => Self::ManifestJson,
            Ok(_) | Err(_) => Self::Nothing,
        }
    }
}

/// The version that `oci-layout` says, empty if there is no such file; what follows its first JSON value is
/// not read.
///
/// # Errors
///
/// Why it cannot be read.
pub(crate) fn oci_layout_version(contents: &Contents) -> Result<String, String> {
    const MOST: u64 = 1 << 20;
    let Ok((_, slice)) = contents.find(b"oci-layout") else {
        return Ok(String::new());
    };
    if slice.len() > MOST {
        return Err("it is too large".to_owned());
    }
    let bytes = slice.read_all().map_err(|why| why.to_string())?;
    let (json, _) = Json::parse_first(&bytes).map_err(|why| why.to_string())?;
    let version = JsonNode::root(&json, "oci-layout")
        .field("imageLayoutVersion")
        .and_then(|version| version.string());
    version.map_err(|why| why.to_string())
}

/// The manifest that containerd makes of an item of `manifest.json`, hashed as it grows: its layers may be
/// very many.
///
/// The bytes are those of Go's `json.Marshal`: no white space and no newline at the end (containerd
/// `core/images/archive/importer.go`, alike in 1.7 and 2.3).
#[derive(Debug)]
pub(crate) struct MadeManifest {
    hasher: Hasher,
    len: u64,
    layers: usize,
}

impl MadeManifest {
    /// A manifest with this config and no layer yet.
    pub(crate) fn new(config: &Digest, size: u64) -> Self {
        let mut manifest = Self {
            hasher: Hasher::sha256(),
            len: 0,
            layers: 0,
        };
        manifest.put(&format!(
            r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","config":{{"mediaType":"{DOCKER_CONFIG}","digest":"{config}","size":{size}}},"layers":["#
        ));
        manifest
    }

    /// Adds a layer: the digest and the length of the member as it is stored, and how that is compressed.
    /// zstd is called gzip there, and what containerd cannot decompress is called a tar.
    pub(crate) fn layer(&mut self, compression: Compression, digest: &Digest, size: u64) {
        let media_type = match compression {
            Compression::Gzip | Compression::Zstd => DOCKER_LAYER_GZIP,
            Compression::None | Compression::Bzip2 | Compression::Xz => DOCKER_LAYER,
        };
        let comma = if self.layers == 0 { "" } else { "," };
        self.layers += 1;
        self.put(&format!(
            r#"{comma}{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#
        ));
    }

    /// Its digest, and its length in bytes.
    pub(crate) fn finish(mut self) -> (ContainerdId, u64) {
        self.put("]}");
        (ContainerdId::from(self.hasher.finish()), self.len)
    }

    fn put(&mut self, text: &str) {
        self.hasher.update(text.as_bytes());
        self.len += text.len() as u64;
    }
}

impl ImageSet {
    /// Whether containerd goes by what `index.json` lists.
    pub(crate) fn listed_counts(&self) -> bool {
        self.containerd_reads == ContainerdReads::Layout
    }

    /// Whether a containerd store finds images in the archive, by the description that it goes by.
    pub fn is_read_by_containerd(&self) -> bool {
        match self.containerd_reads {
            ContainerdReads::Layout => !self.listed.is_empty(),
            ContainerdReads::ManifestJson => self.from_manifest_json > 0,
            ContainerdReads::Nothing => false,
        }
    }

    /// Whether Docker's own store finds images in the archive: those of `manifest.json`.
    pub fn is_read_by_docker(&self) -> bool {
        self.from_manifest_json > 0
    }

    /// What a containerd store calls `image`, as far as it is known: compressed members of an archive
    /// without an index have to be hashed for it, which [`crate::layer::hash_members`] does.
    ///
    /// `None` if containerd makes no such image of the archive (those from before Docker 1.10, images that
    /// only the other description has), if a part of it is missing, or if a member was not hashed. Whether
    /// an engine loads the archive is not asked; [`crate::verify`] says that.
    ///
    /// ```
    /// use imgtar::Options;
    ///
    /// let archive = imgtar::open("testdata/engines/docker26c-one.tar".as_ref(), &Options::default())?;
    /// let images = archive.images()?;
    /// let name = images.containerd_name(&images.images[0]).expect("an index");
    /// assert_ne!(name.id.to_string(), images.images[0].identity.to_string());
    /// # Ok::<(), imgtar::Error>(())
    /// ```
    pub fn containerd_name(&self, image: &Image) -> Option<ContainerdName> {
        let hashed = self.hashed.get(image.position).and_then(|cell| cell.get());
        let known = hashed.filter(|_| self.is_own(image)).cloned();
        known.or_else(|| self.containerd_name_with(image, &|_| None))
    }

    /// The same with the digests of stored members that are known.
    pub(crate) fn containerd_name_with(
        &self,
        image: &Image,
        stored: &dyn Fn(&Layer) -> Option<BlobDigest>,
    ) -> Option<ContainerdName> {
        if self.containerd_reads == ContainerdReads::Layout {
            let manifest = image.manifest.as_ref()?;
            let digest = manifest
                .index
                .as_ref()
                .unwrap_or(&manifest.descriptor.digest);
            return Some(ContainerdName {
                id: ContainerdId::from(digest.clone()),
                basis: ContainerdBasis::Listed,
                depends_on_store: false,
                made: None,
            });
        }
        if !self.has_made_manifest(image) {
            return None;
        }
        let (config, size) = self.config_of(image)?;
        let mut manifest = MadeManifest::new(&config, size);
        let mut basis = ContainerdBasis::Computed;
        for layer in &image.layers {
            let (slice, compression) = layer.present()?;
            let stored = stored(layer).map(|digest| digest.digest().clone());
            let digest = match (stored, &layer.diff_id) {
                (Some(digest), _) => digest,
                // Of what is not compressed the diff ID is the digest.
                (None, Some(claimed)) if compression == Compression::None => {
                    basis = ContainerdBasis::Claimed;
                    claimed.digest().clone()
                }
                (None, _) => return None,
            };
            if *digest.algorithm() != Algorithm::Sha256 {
                return None;
            }
            manifest.layer(compression, &digest, slice.len());
        }
        let (id, len) = manifest.finish();
        let plain = |layer: &Layer| matches!(layer.present(), Some((_, Compression::None)));
        Some(ContainerdName {
            id,
            basis,
            depends_on_store: image.layers.iter().any(plain),
            made: Some(len),
        })
    }

    /// The digest and the length of the config that a made manifest names, if containerd can read what it needs of it.
    pub(crate) fn config_of(&self, image: &Image) -> Option<(Digest, u64)> {
        match &image.config {
            Some(config) => Some((Digest::sha256_of(&config.raw), config.raw.len() as u64)),
            None => self.unread_configs.get(&image.position).cloned(),
        }
    }

    /// Whether containerd makes the manifest of `image`.
    pub(crate) fn has_made_manifest(&self, image: &Image) -> bool {
        self.containerd_reads == ContainerdReads::ManifestJson
            && image.position < self.from_manifest_json
    }

    /// Keeps what was found out by hashing members.
    pub(crate) fn keep_containerd_name(&self, image: &Image, name: ContainerdName) {
        if let Some(cell) = self
            .hashed
            .get(image.position)
            .filter(|_| self.is_own(image))
        {
            // What is known already is the same.
            _ = cell.set(name);
        }
    }

    /// Whether an image is one of the set, and not of another one.
    fn is_own(&self, image: &Image) -> bool {
        let own = self.images.get(image.position);
        own.is_some_and(|own| std::ptr::eq(own, image))
    }
}
