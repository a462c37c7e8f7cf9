//! containerd's content store and what its metadata calls images (containerd `core/metadata/buckets.go`): containerd
//! alone, and Docker with the containerd store.
//!
//! The content store has every manifest, index, config and layer as a blob under its digest, so an OCI image layout is
//! only an index away: it lists what the metadata names, or without metadata what no other document refers to.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::str::FromStr;

use serde::Serialize;

use super::RescueError;
use super::bolt::{self, Bolt, BoltItem, Bucket};
use super::files::{FileNode, FileStretch, RootFiles};
use super::rope_archive::RopeArchive;
use crate::archive::Archive;
use crate::base::digest::{Algorithm, Digest};
use crate::base::limits::Limit;
use crate::document::descriptor::{Document, IMAGE_NAME};
use crate::document::media_type::{OCI_INDEX, OCI_MANIFEST};
use crate::source::{Rope, Slice};

/// Where the metadata is.
pub(crate) const METADATA: &str = "io.containerd.metadata.v1.bolt/meta.db";
/// Where the blobs are.
pub(crate) const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";
/// How long a key or a value of the metadata is kept at the most: no name or digest is as long.
const LONGEST: usize = 4096;

/// The images of one namespace.
#[derive(Debug, Default)]
pub(crate) struct ContentStore {
    /// The namespace; empty if there was no metadata.
    pub(crate) namespace: String,
    /// What it lists, each digest once.
    targets: Vec<Target>,
    blobs: Option<FileNode>,
}

/// A manifest or index that is an image.
#[derive(Clone, Debug)]
struct Target {
    digest: Digest,
    media_type: String,
    size: u64,
    /// Its names with tags.
    names: BTreeSet<String>,
    /// Its names with digests.
    digests: BTreeSet<String>,
}

/// One entry of `index.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'t> {
    media_type: &'t str,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, &'t str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'t> {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Entry<'t>>,
}

/// Reads the images of every namespace. `faults` takes what cannot be read.
///
/// # Errors
///
/// [`RescueError`] if the system fails.
pub(crate) fn read(
    files: &RootFiles,
    containerd: FileNode,
    faults: &mut Vec<String>,
) -> Result<Vec<ContentStore>, RescueError> {
    let blobs = files.below(containerd, BLOBS);
    let metadata = files.below(containerd, METADATA);
    let named = match metadata {
        None => Err(format!("{METADATA} is not in the tar")),
        Some(file) => namespaces(&slice_of(files, file)?, files),
    };
    match named {
        Ok(mut stores) => {
            for store in &mut stores {
                store.blobs = blobs;
            }
            Ok(stores)
        }
        Err(fault) => {
            faults.push(format!("{fault}; images come back without their names"));
            let targets = roots(files, blobs)?;
            Ok(vec![ContentStore {
                namespace: String::new(),
                targets,
                blobs,
            }])
        }
    }
}

/// Whether a containerd has anything in its content store.
pub(crate) fn has_blobs(files: &RootFiles, containerd: FileNode) -> bool {
    let blobs = files.below(containerd, BLOBS);
    blobs.is_some_and(|blobs| !files.children(blobs).is_empty())
}

/// The content of a file as one stretch, also where the tar has left out its holes.
pub(crate) fn slice_of(files: &RootFiles, file: FileNode) -> Result<Slice, RescueError> {
    let file = files.linked(file).unwrap_or(file);
    let source = files.source();
    let mut rope = Rope::default();
    for stretch in files.content(file)? {
        match stretch {
            FileStretch::Stored(span) => rope.push(0, span.offset, span.len),
            FileStretch::Zeros(len) => rope.push_zeros(len),
        }
    }
    let whole = rope.into_source(vec![source.clone()]);
    Ok(whole.unwrap_or_else(|| source.clone()).whole())
}

// --- metadata ---------------------------------------------------------------------------------------------

/// What the metadata lists, by namespace.
fn namespaces(file: &Slice, files: &RootFiles) -> Result<Vec<ContentStore>, String> {
    let of_file = |fault: String| format!("{METADATA} cannot be read: {fault}");
    let bolt = Bolt::open(file).map_err(of_file)?;
    let Some(version) = bolt.bucket(&bolt.root(), &[b"v1"]).map_err(of_file)? else {
        return Err(of_file("it has no bucket `v1`".to_owned()));
    };
    let mut names: Vec<(String, Bucket)> = Vec::new();
    let each = bolt.each(&version, &mut |key, item| {
        if let (BoltItem::Bucket(bucket), Some(name)) = (item, text(key)) {
            names.push((name, bucket));
        }
        Ok(())
    });
    each.map_err(of_file)?;
    let limits = files.source().limits();
    let mut stores = Vec::new();
    let mut count = 0;
    for (namespace, bucket) in names {
        let images = bolt.bucket(&bucket, &[b"images"]).map_err(of_file)?;
        let Some(images) = images else { continue };
        let mut targets: BTreeMap<String, Target> = BTreeMap::new();
        let each = bolt.each(&images, &mut |key, item| {
            count += 1;
            limits
                .check_count(Limit::Descriptors, count)
                .map_err(|exceeded| format!("it lists too many images: {exceeded}"))?;
            if let (BoltItem::Bucket(image), Some(name)) = (item, text(key))
                && let Some(target) = target(&bolt, &image)?
            {
                let known = targets.entry(target.digest.to_string());
                known.or_insert(target).add(name);
            }
            Ok(())
        });
        each.map_err(of_file)?;
        if !targets.is_empty() {
            stores.push(ContentStore {
                namespace,
                targets: targets.into_values().collect(),
                blobs: None,
            });
        }
    }
    Ok(stores)
}

/// What an image is of.
fn target(bolt: &Bolt, image: &Bucket) -> Result<Option<Target>, String> {
    let Some(bucket) = bolt.bucket(image, &[b"target"])? else {
        return Ok(None);
    };
    let (mut digest, mut media_type, mut size) = (None, String::new(), 0);
    bolt.each(&bucket, &mut |key, item| {
        if let BoltItem::Value(value) = item {
            match key {
                b"digest" => digest = text(&value).and_then(|text| Digest::from_str(&text).ok()),
                b"mediatype" => media_type = text(&value).unwrap_or_default(),
                b"size" => size = bolt::varint(&value).unwrap_or_default(),
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(digest.map(|digest| Target {
        digest,
        media_type,
        size: u64::try_from(size).unwrap_or_default(),
        names: BTreeSet::new(),
        digests: BTreeSet::new(),
    }))
}

impl Target {
    /// Adds a name. The ID of a config (`sha256:…`, from Kubernetes) and Docker's word for an image without a name
    /// are none.
    fn add(&mut self, name: String) {
        if name.starts_with("sha256:") || name.starts_with("moby-dangling@") {
            return;
        }
        if name.contains('@') {
            self.digests.insert(name);
        } else {
            self.names.insert(name);
        }
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (text.len() <= LONGEST).then(|| text.to_owned())
}

// --- without metadata -------------------------------------------------------------------------------------

/// The manifests and indexes that no other refers to.
fn roots(files: &RootFiles, blobs: Option<FileNode>) -> Result<Vec<Target>, RescueError> {
    let mut all = Vec::new();
    let mut below = HashSet::new();
    let limits = files.source().limits();
    let mut total = 0;
    for blob in blobs.map(|blobs| files.children(blobs)).unwrap_or_default() {
        let Some(slice) = files.plain(blob) else {
            continue;
        };
        let mut first = [0];
        let is_document = limits.check(Limit::Json, slice.len()).is_ok()
            && slice.read_at(&mut first, 0)? == 1
            && first == *b"{";
        total += if is_document { slice.len() } else { 0 };
        if !is_document || limits.check(Limit::JsonTotal, total).is_err() {
            continue;
        }
        let bytes = slice.read_all()?;
        let digest = Digest::sha256_of(&bytes);
        if digest.encoded().as_bytes() != files.name(blob) {
            continue;
        }
        let (children, kind) = match Document::read(&bytes, "a blob") {
            Ok(Document::Index(listed)) => (
                listed.into_iter().map(|listed| listed.digest).collect(),
                OCI_INDEX,
            ),
            Ok(Document::Manifest(manifest)) if !manifest.layers.is_empty() => {
                (Vec::new(), OCI_MANIFEST)
            }
            Ok(Document::Manifest(_)) | Err(_) => continue,
        };
        below.extend(children);
        all.push(Target {
            media_type: media_type(&bytes).unwrap_or_else(|| kind.to_owned()),
            digest,
            size: bytes.len() as u64,
            names: BTreeSet::new(),
            digests: BTreeSet::new(),
        });
    }
    all.retain(|target| !below.contains(&target.digest));
    Ok(all)
}

/// What a document says it is.
fn media_type(bytes: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: Option<String>,
    }
    serde_json::from_slice::<Typed>(bytes).ok()?.media_type
}

// --- the archive ------------------------------------------------------------------------------------------

impl ContentStore {
    /// Its images as an OCI image layout that is stored nowhere.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if the system fails, or if the blobs are more than a limit allows.
    pub(crate) fn assemble(&self, files: &RootFiles) -> Result<Archive, RescueError> {
        let mut assembly = RopeArchive::new(files)?;
        let blobs = self.blobs.map(|blobs| files.children(blobs));
        for blob in blobs.unwrap_or_default() {
            let name = std::str::from_utf8(files.name(blob)).unwrap_or_default();
            let Ok(digest) = Digest::from_sha256_hex(name) else {
                continue;
            };
            if let Some(blob) = files.linked(blob) {
                assembly.file(&digest, blob)?;
            }
        }
        let manifests = self.targets.iter().flat_map(Target::entries).collect();
        let index = Index {
            schema_version: 2,
            media_type: OCI_INDEX,
            manifests,
        };
        let index = serde_json::to_vec(&index).unwrap_or_default();
        assembly.text(b"index.json", &index)?;
        assembly.text(b"oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        assembly.finish()
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, files: &RootFiles, digest: &Digest) -> Option<FileNode> {
        let blob = files.child(self.blobs?, digest.encoded().as_bytes())?;
        files.linked(blob)
    }

    /// The names by digest of what has one of these digests.
    pub(crate) fn digests_of(&self, is: impl Fn(&Digest) -> bool) -> Vec<String> {
        let targets = self.targets.iter().filter(|target| is(&target.digest));
        targets
            .flat_map(|target| target.digests.iter().cloned())
            .collect()
    }
}

impl Target {
    /// What the index has of it: an entry for each name.
    fn entries(&self) -> Vec<Entry<'_>> {
        let entry = |annotations| Entry {
            media_type: &self.media_type,
            digest: self.digest.to_string(),
            size: self.size,
            annotations,
        };
        if *self.digest.algorithm() != Algorithm::Sha256 {
            return Vec::new();
        }
        if self.names.is_empty() {
            return vec![entry(BTreeMap::new())];
        }
        let names = self.names.iter();
        names
            .map(|name| entry(BTreeMap::from([(IMAGE_NAME, name.as_str())])))
            .collect()
    }
}
