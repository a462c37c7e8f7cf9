//! The JSON documents of the layouts, in the order of fields that Go's structs have.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::blobs::NamedLayer;
use super::image::OutputImage;
use crate::base::digest::{DiffId, Digest, ImageId};
use crate::document::descriptor::{IMAGE_NAME, REF_NAME};
use crate::document::go_json::encode;
use crate::document::index_text::{Pointed, annotated};
use crate::document::manifest_text::with_layers;
use crate::document::media_type::{OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};
use crate::document::thin::ANNOTATION;
use crate::document::{Config, JsonError};
use crate::image::{Name, Reference};
use crate::output::graph::KeptManifest;
use crate::source::Compression;

/// The member that says which version of the OCI image layout it is, and its bytes as Docker and
/// skopeo write them, with a space.
pub(super) const OCI_LAYOUT: (&str, &[u8]) = ("oci-layout", b"{\"imageLayoutVersion\": \"1.0.0\"}");

/// An image with everything that its descriptions need.
#[derive(Debug)]
pub(super) struct Described<'i> {
    pub(super) image: &'i OutputImage,
    pub(super) id: ImageId,
    pub(super) view: Config,
    pub(super) layers: &'i [NamedLayer],
    /// The references that have a tag, each once and without a digest.
    pub(super) tags: Vec<Reference>,
    /// Its manifest as it was, if it still describes the image.
    pub(super) manifest: Option<&'i KeptManifest>,
    /// Its manifest as it was, if it describes the image but for the blobs of its layers.
    outdated: Option<&'i KeptManifest>,
    /// The digest of its manifest as it was, if it had one.
    pub(super) before: Option<&'i Digest>,
}

impl<'i> Described<'i> {
    /// `names` are those that readers of `manifest.json` get it by.
    pub(super) fn new(
        image: &'i OutputImage,
        names: &'i [Name],
        kept: Option<&'i KeptManifest>,
        view: Config,
        layers: &'i [NamedLayer],
    ) -> Self {
        let (tags, _) = tags_and_words(names);
        let id = image.id();
        let stored = || layers.iter().map(|layer| layer.digest.digest());
        let is_outdated = |kept: &&KeptManifest| kept.is_of(id.digest(), layers.len());
        Self {
            image,
            view,
            layers,
            tags,
            manifest: kept.filter(|kept| kept.describes(id.digest(), stored())),
            outdated: kept.filter(is_outdated),
            before: kept.map(|kept| &kept.digest),
            id,
        }
    }

    /// The bytes of its manifest: as they were, or with other layers, or made.
    pub(super) fn manifest_bytes(&self) -> Result<Vec<u8>, JsonError> {
        match (self.manifest, self.outdated) {
            (Some(kept), _) => Ok(kept.bytes.clone()),
            (None, Some(outdated)) => {
                let to = self.layers.iter().map(|layer| Pointed {
                    media_type: layer.media_type(),
                    digest: layer.digest.digest(),
                    size: layer.blob.len(),
                });
                with_layers(&outdated.bytes, &to.collect::<Vec<_>>())
            }
            (None, None) => Ok(oci_manifest(self)),
        }
    }

    /// Whether its manifest was made anew, and has nothing of one that it may have had.
    pub(super) fn is_anew(&self) -> bool {
        self.manifest.is_none() && self.outdated.is_none()
    }

    /// Whether a layer is compressed with zstd.
    pub(super) fn has_zstd(&self) -> bool {
        let mut layers = self.layers.iter();
        layers.any(|layer| layer.compression == Compression::Zstd)
    }

    /// What its manifest is.
    pub(super) fn manifest_type(&self) -> &str {
        self.manifest.map_or(OCI_MANIFEST, |kept| &kept.media_type)
    }

    /// The time of its files, in seconds since 1970: when it was created, or 0.
    pub(super) fn mtime(&self) -> i64 {
        let created = self.view.created.as_ref();
        created.map_or(0, |created| created.timestamp().as_second().max(0))
    }
}

/// The names that have a tag, each once and without a digest, and the bare words.
pub(super) fn tags_and_words(names: &[Name]) -> (Vec<Reference>, Vec<&str>) {
    let mut tags: Vec<Reference> = Vec::new();
    let mut known: HashSet<Reference> = HashSet::new();
    let mut words = Vec::new();
    for name in names {
        match name {
            Name::Reference(reference) => {
                let tag = reference.clone().or_latest().without_digest();
                if tag.tag().is_some() && known.insert(tag.clone()) {
                    tags.push(tag);
                }
            }
            Name::Bare(word) => words.push(word.as_str()),
        }
    }
    (tags, words)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'d> {
    media_type: &'d str,
    digest: &'d Digest,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'d str, String>,
}

impl<'d> Descriptor<'d> {
    fn new(media_type: &'d str, digest: &'d Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            annotations: BTreeMap::new(),
        }
    }

    fn of_layer(layer: &'d NamedLayer) -> Self {
        Self::new(layer.media_type(), layer.digest.digest(), layer.blob.len())
    }
}

/// The OCI manifest of an image.
fn oci_manifest(image: &Described<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest<'d> {
        schema_version: u8,
        media_type: &'d str,
        config: Descriptor<'d>,
        layers: Vec<Descriptor<'d>>,
    }
    encode(&Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST,
        config: Descriptor::new(
            OCI_CONFIG,
            image.id.digest(),
            image.image.config.len() as u64,
        ),
        layers: image.layers.iter().map(Descriptor::of_layer).collect(),
    })
}

/// How the annotations of `index.json` word a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefName {
    /// The tag alone, as Docker and containerd write it.
    Tag,
    /// The whole reference, as skopeo and podman write it: it is what they look for.
    Whole,
}

/// What `index.json` lists.
#[derive(Debug)]
pub(super) struct IndexItem<'i> {
    pub(super) names: &'i [Name],
    pub(super) media_type: &'i str,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// The text of its descriptor without its names, if there was one, whose other fields stay.
    pub(super) descriptor: Option<String>,
}

/// `index.json`: a descriptor for each name; one without a name for what has none.
///
/// `thin` is the digest of the listing of a thin archive.
pub(super) fn index(
    items: &[IndexItem<'_>],
    ref_name: RefName,
    thin: Option<&Digest>,
) -> Result<Vec<u8>, JsonError> {
    // One text, written as it grows: an archive may have names by the hundred thousand.
    let mut text = format!("{{\"schemaVersion\":2,\"mediaType\":\"{OCI_INDEX}\",\"manifests\":[");
    let mut is_first = true;
    for item in items {
        let (tags, words) = tags_and_words(item.names);
        let tags = tags.iter().map(|tag| {
            let name = format!(
                "{}/{}:{}",
                tag.domain(),
                tag.path(),
                tag.tag().unwrap_or_default()
            );
            let short = match ref_name {
                RefName::Tag => tag.tag().unwrap_or_default().to_owned(),
                RefName::Whole => tag.to_string(),
            };
            BTreeMap::from([(IMAGE_NAME, name), (REF_NAME, short)])
        });
        // Docker's own description has no room for bare words, and the two have to agree.
        let words = words.iter().filter(|_| ref_name == RefName::Whole);
        let words = words.map(|&word| BTreeMap::from([(REF_NAME, word.to_owned())]));
        let mut all = tags.chain(words).peekable();
        let unnamed = all.peek().is_none().then(BTreeMap::new);
        for annotations in all.chain(unnamed) {
            if !is_first {
                text.push(',');
            }
            is_first = false;
            if let Some(descriptor) = &item.descriptor {
                text += &annotated(descriptor, &[IMAGE_NAME, REF_NAME], &annotations)?;
            } else {
                let descriptor = Descriptor {
                    annotations,
                    ..Descriptor::new(item.media_type, &item.digest, item.size)
                };
                text += &String::from_utf8_lossy(&encode(&descriptor));
            }
        }
    }
    text.push(']');
    if let Some(digest) = thin {
        let annotations = BTreeMap::from([(ANNOTATION, digest.to_string())]);
        text.push_str(",\"annotations\":");
        text += &String::from_utf8_lossy(&encode(&annotations));
    }
    text.push('}');
    Ok(text.into_bytes())
}

/// Docker's own descriptor, whose fields have another order than OCI's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerSource<'d> {
    media_type: &'d str,
    size: u64,
    digest: &'d Digest,
}

/// One item of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestItem<'d> {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'d ImageId>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    layer_sources: BTreeMap<&'d DiffId, LayerSource<'d>>,
}

/// `manifest.json`. `paths` are those of the config and of the layers of each image.
pub(super) fn manifest_json(
    images: &[&Described<'_>],
    paths: Vec<(String, Vec<String>)>,
    layer_sources: bool,
) -> Vec<u8> {
    let here: HashSet<&ImageId> = images.iter().map(|image| &image.id).collect();
    let items: Vec<ManifestItem<'_>> = images
        .iter()
        .zip(paths)
        .map(|(image, (config, layers))| {
            let tags: Vec<String> = image.tags.iter().map(ToString::to_string).collect();
            let parent = image.image.parent.as_ref();
            let sources = image.layers.iter().filter(|_| layer_sources);
            ManifestItem {
                config,
                repo_tags: Some(tags).filter(|tags| !tags.is_empty()),
                layers,
                parent: parent.filter(|parent| here.contains(parent)),
                layer_sources: sources
                    .map(|layer| {
                        let source = LayerSource {
                            media_type: layer.media_type(),
                            size: layer.blob.len(),
                            digest: layer.digest.digest(),
                        };
                        (&layer.diff_id, source)
                    })
                    .collect(),
            }
        })
        .collect();
    with_newline(encode(&items))
}

/// `repositories`: for each tag what names its top layer; `None` without tags, as Docker then has no
/// such file.
pub(super) fn repositories(images: &[&Described<'_>], tops: &[Option<String>]) -> Option<Vec<u8>> {
    let mut repositories: BTreeMap<String, BTreeMap<&str, &str>> = BTreeMap::new();
    for (image, top) in images.iter().zip(tops) {
        let Some(top) = top else { continue };
        for reference in &image.tags {
            let tags = repositories
                .entry(reference.familiar_repository())
                .or_default();
            tags.insert(reference.tag().unwrap_or_default(), top);
        }
    }
    (!repositories.is_empty()).then(|| with_newline(encode(&repositories)))
}

/// Go's `json.Encoder` ends what it writes with a newline.
fn with_newline(mut json: Vec<u8>) -> Vec<u8> {
    json.push(b'\n');
    json
}
