//! Descriptors, manifests and indexes (image-spec `descriptor.md`, `manifest.md`, `image-index.md`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::{Json, JsonError, JsonNode};
use super::media_type::MediaType;
use super::platform::Platform;
use crate::base::digest::{Digest, Hasher};

/// Points at a blob: what it is, its digest and its size, all as claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: MediaType,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes, if a sensible one is given.
    pub size: Option<u64>,
    /// The platform, where an index gives one.
    pub platform: Option<Platform>,
    /// Annotations, sorted by key.
    pub annotations: Vec<(String, String)>,
    /// What kind of artifact it is, if the descriptor says so.
    pub artifact_type: Option<String>,
    /// Where else the blob may be fetched; foreign layers have these.
    pub urls: Vec<String>,
    /// The state of its `data`.
    pub(crate) data: InlineData,
}

/// The field `data` of a descriptor: the content once more, in base64 (image-spec `descriptor.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum InlineData {
    /// There is none.
    #[default]
    Absent,
    /// It is not base64. Go cannot read the document that the descriptor is in (`[]byte`).
    NotBase64,
    /// It has the digest and the size that the descriptor claims. containerd takes it for the content.
    Fits,
    /// It is something else, which the specification forbids. containerd passes over it.
    Differs,
}

impl InlineData {
    fn read(node: &JsonNode<'_>, digest: &Digest, size: Option<u64>) -> Result<Self, JsonError> {
        let Some(text) = node.non_empty()? else {
            return Ok(Self::Absent);
        };
        // Go's decoder passes over line ends.
        let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let Ok(bytes) = STANDARD.decode(text) else {
            return Ok(Self::NotBase64);
        };
        let Some(mut hasher) = Hasher::for_algorithm(digest.algorithm()) else {
            return Ok(Self::Differs);
        };
        hasher.update(&bytes);
        let fits = size == Some(bytes.len() as u64) && hasher.finish() == *digest;
        Ok(if fits { Self::Fits } else { Self::Differs })
    }
}

impl Descriptor {
    /// The annotation `key`.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        annotation(&self.annotations, key)
    }

    /// How many bytes of text it holds beside its digest and annotations.
    pub(crate) fn text_len(&self) -> usize {
        self.media_type.as_str().len() + self.urls.iter().map(String::len).sum::<usize>()
    }

    pub(crate) fn read(node: &JsonNode<'_>) -> Result<Self, JsonError> {
        let field = node.field("digest")?;
        let platform = node.field("platform")?;
        let digest: Digest = field
            .parsed()?
            .ok_or_else(|| field.invalid("the digest is missing"))?;
        let size = node
            .field("size")?
            .integer()?
            .and_then(|n| u64::try_from(n).ok());
        Ok(Self {
            media_type: read_media_type(node)?,
            data: InlineData::read(&node.field("data")?, &digest, size)?,
            digest,
            size,
            platform: platform
                .is_present()
                .then(|| read_platform(&platform))
                .transpose()?,
            annotations: node.field("annotations")?.string_map()?,
            artifact_type: node.field("artifactType")?.non_empty()?,
            urls: node.field("urls")?.strings()?.unwrap_or_default(),
        })
    }
}

/// Finds `key` in annotations or labels.
pub(crate) fn annotation<'a>(annotations: &'a [(String, String)], key: &str) -> Option<&'a str> {
    annotations
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.as_str())
}

fn read_media_type(node: &JsonNode<'_>) -> Result<MediaType, JsonError> {
    let Ok(media_type) = node.field("mediaType")?.string()?.parse();
    Ok(media_type)
}

/// Reads the platform fields of `node`: of a descriptor's platform, or of a config.
pub(crate) fn read_platform(node: &JsonNode<'_>) -> Result<Platform, JsonError> {
    Ok(Platform {
        os: node.field("os")?.string()?,
        architecture: node.field("architecture")?.string()?,
        variant: node.field("variant")?.string()?,
        os_version: node.field("os.version")?.string()?,
    })
}

/// The annotation of the specification with a reference: whatever the writer calls it, often the tag alone.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation of containerd and Docker with the whole reference.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// BuildKit's annotation on manifests that are not images (buildkit `util/attestation/types.go`).
pub(crate) const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What a JSON document is, whatever its descriptor called it.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Box<ManifestDocument>),
}

/// The fields of an image manifest.
#[derive(Clone, Debug)]
pub(crate) struct ManifestDocument {
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) subject: Option<Digest>,
    pub(crate) annotations: Vec<(String, String)>,
}

impl Document {
    /// Reads an index or a manifest. Which of the two is decided by its fields, because the media
    /// type inside is optional; a document with the fields of both is refused, as containerd does.
    pub(crate) fn read(bytes: &[u8], name: &str) -> Result<Self, JsonError> {
        let json = Json::parse(bytes)?;
        let root = JsonNode::root(&json, name);
        let manifests = root.field("manifests")?;
        let layers = root.field("layers")?;
        let config = root.field("config")?;
        if manifests.is_present() && (layers.is_present() || config.is_present()) {
            return Err(root.invalid("it has the fields of an index and of a manifest"));
        }
        if root.field("fsLayers")?.is_present() {
            return Err(root.invalid("it is a manifest of schema 1, which carries no config"));
        }
        let declared = read_media_type(&root)?;
        if config.is_present() {
            if declared.is_index() {
                return Err(root.invalid("it is a manifest but calls itself an index"));
            }
            let subject = root.field("subject")?;
            let subject = if subject.is_present() {
                subject.field("digest")?.parsed()?
            } else {
                None
            };
            return Ok(Self::Manifest(Box::new(ManifestDocument {
                artifact_type: root.field("artifactType")?.non_empty()?,
                config: Descriptor::read(&config)?,
                layers: read_descriptors(&layers)?,
                subject,
                annotations: root.field("annotations")?.string_map()?,
            })));
        }
        if declared.is_manifest() {
            return Err(root.invalid("it is called a manifest but names no config"));
        }
        if !manifests.is_present() && !declared.is_index() {
            return Err(root.invalid("it is neither an index nor a manifest"));
        }
        Ok(Self::Index(read_descriptors(&manifests)?))
    }
}

fn read_descriptors(node: &JsonNode<'_>) -> Result<Vec<Descriptor>, JsonError> {
    node.items()?
        .unwrap_or_default()
        .iter()
        .map(Descriptor::read)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn an_index_that_is_a_manifest_too_is_refused() {
        let config = format!(r#"{{"mediaType":"x","digest":"{DIGEST}","size":1}}"#);
        for text in [
            format!(r#"{{"manifests":[],"config":{config}}}"#),
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","config":{config}}}"#
            ),
            r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#.to_owned(),
            r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
            "{}".to_owned(),
            "[]".to_owned(),
        ] {
            assert!(Document::read(text.as_bytes(), "x").is_err(), "{text}");
        }
        assert!(
            matches!(Document::read(br#"{"manifests":[]}"#, "x"), Ok(Document::Index(list)) if list.is_empty())
        );
    }

    #[test]
    fn a_negative_size_is_no_size() {
        let text =
            format!(r#"{{"manifests":[{{"mediaType":"x","digest":"{DIGEST}","size":-1}}]}}"#);
        let Ok(Document::Index(list)) = Document::read(text.as_bytes(), "x") else {
            panic!("an index");
        };
        assert_eq!(list[0].size, None);
    }
}
