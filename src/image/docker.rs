//! `manifest.json` and `repositories`, Docker's own descriptions.

use std::collections::HashMap;

use super::load::unknown_keys;
use crate::base::digest::{DiffId, Digest, ImageId};
use crate::document::descriptor::Descriptor;
use crate::document::json::{Json, JsonError, JsonNode};

/// One item of `manifest.json` (moby `image/tarexport`, `manifestItem`).
#[derive(Clone, Debug)]
pub(crate) struct ManifestItem {
    /// The name of the config's member.
    pub(crate) config: String,
    pub(crate) repo_tags: Vec<String>,
    /// The names of the layers' members, base first.
    pub(crate) layers: Vec<String>,
    /// Written if the parent image is in the same archive.
    pub(crate) parent: Option<ImageId>,
    /// Descriptors of layers by diff ID: always from Docker 25 on, before only for foreign layers.
    pub(crate) layer_sources: HashMap<DiffId, Descriptor>,
    /// Keys that no engine knows.
    pub(crate) unknown: Vec<String>,
}

/// The keys that engines know, in any case.
const KNOWN: [&str; 5] = ["Config", "RepoTags", "Layers", "Parent", "LayerSources"];

/// `manifest.json` as a whole.
#[derive(Debug)]
pub(crate) struct ManifestJson {
    pub(crate) items: Vec<ManifestItem>,
    /// Where something follows the first JSON value, which is all that engines read.
    pub(crate) trailing: Option<usize>,
}

impl ManifestJson {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        let (json, trailing) = Json::parse_first(bytes)?;
        let root = JsonNode::root(&json, "manifest.json");
        if !root.is_present() {
            // moby: "invalid manifest, manifest cannot be null (but can be [])"
            return Err(root.null("an array"));
        }
        let items = root.items()?.unwrap_or_default();
        let items = items.iter().map(read_item).collect::<Result<_, _>>()?;
        Ok(Self { items, trailing })
    }
}

/// Whether bytes can be read as `manifest.json`.
pub(crate) fn check_manifest_json(bytes: &[u8]) -> Result<(), JsonError> {
    ManifestJson::read(bytes).map(drop)
}

fn read_item(node: &JsonNode<'_>) -> Result<ManifestItem, JsonError> {
    let mut layer_sources = HashMap::new();
    for (diff_id, source) in node.field("LayerSources")?.entries()? {
        let diff_id: Digest = diff_id.parse().map_err(|e| source.invalid(e))?;
        layer_sources.insert(DiffId::from(diff_id), Descriptor::read(&source)?);
    }
    let unknown = unknown_keys(node, &KNOWN);
    Ok(ManifestItem {
        unknown,
        config: node.field("Config")?.string()?,
        repo_tags: node.field("RepoTags")?.strings()?.unwrap_or_default(),
        layers: node.field("Layers")?.strings()?.unwrap_or_default(),
        // A text to engines, and no image has a name like that.
        parent: node
            .field("Parent")?
            .non_empty()?
            .and_then(|text| text.parse().ok())
            .map(|digest: Digest| ImageId::from(digest)),
        layer_sources,
    })
}

/// One tag of a `repositories` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RepositoryTag {
    pub(crate) repository: String,
    pub(crate) tag: String,
    /// A v1 image ID; since Docker 25 the hex of the top layer's diff ID.
    pub(crate) id: String,
}

/// Reads `repositories`: `{name: {tag: id}}`.
pub(crate) fn read_repositories(bytes: &[u8]) -> Result<Vec<RepositoryTag>, JsonError> {
    let json = Json::parse(bytes)?;
    let mut tags = Vec::new();
    for (repository, node) in JsonNode::root(&json, "repositories").entries()? {
        for (tag, id) in node.string_map()? {
            tags.push(RepositoryTag {
                repository: repository.to_owned(),
                tag,
                id,
            });
        }
    }
    Ok(tags)
}
