//! Images from before Docker 1.10: one JSON file an image layer, chained by `parent`
//! (moby v1.9.1 `image/image.go`, `graph/export.go`).

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::value::RawValue;

use super::config::{Config, Created, HistoryEntry};
use super::go_json::{self, RawObject, V1Image};
use super::json::{Json, JsonError, JsonNode};
use crate::base::digest::DiffId;

/// What one `json` file says.
#[derive(Clone, Debug)]
pub(crate) struct V1Json {
    /// The ID inside the file; the directory's name is what links and tags use.
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    /// The fields that it shares with today's configs.
    pub(crate) config: Config,
    /// The step as Docker's own conversion to history entries reads it (moby `image/v1`).
    pub(crate) step: HistoryEntry,
}

impl V1Json {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        let json = Json::parse(bytes)?;
        let root = JsonNode::root(&json, "json");
        let config = Config::from_node(&root)?;
        let cmd = root
            .field("container_config")?
            .field("Cmd")?
            .strings()?
            .unwrap_or_default();
        let created: Option<Created> = config.created.clone();
        let step = HistoryEntry {
            created,
            created_by: cmd.join(" "),
            author: config.author.clone(),
            comment: config.comment.clone(),
            empty_layer: root.field("throwaway")?.boolean()?,
        };
        Ok(Self {
            id: root.field("id")?.string()?,
            parent: root.field("parent")?.non_empty()?,
            config,
            step,
        })
    }
}

/// Whether bytes are such a file: an object with an ID of 64 digits and the container's config, which
/// Go's struct always writes, or a time.
pub(crate) fn is_v1_json(bytes: &[u8]) -> bool {
    let Ok(json) = Json::parse(bytes) else {
        return false;
    };
    let root = JsonNode::root(&json, "json");
    let id = root.field("id").and_then(|id| id.string());
    let is_id = |id: &str| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let has = |key| root.field(key).is_ok_and(|node| node.is_present());
    id.is_ok_and(|id| is_id(&id)) && (has("container_config") || has("created"))
}

/// The first version of Docker whose `json` files are taken over as they are; those of older ones go
/// through Go's struct, which drops what it has no field for (moby `noFallbackMinVersion`).
const TAKEN_AS_IT_IS: [u64; 3] = [1, 8, 3];

/// Which Docker makes a config. Histories were written by another Go package before Docker 25: with fields in
/// another order, and with the year 1 where there is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// Docker 1.10 to 24.
    Before25,
    /// Docker 25 to 28.
    Since25,
}

/// The config that Docker makes of a v1 image when it loads it (moby v28 `image/v1/imagev1.go`,
/// `MakeConfigFromV1Config`): `raw` is the `json` file of the topmost layer, `history` has an entry
/// for each layer.
pub(crate) fn modern_config(
    raw: &[u8],
    diff_ids: &[DiffId],
    history: &[HistoryEntry],
    era: Era,
) -> Result<Vec<u8>, JsonError> {
    #[derive(Serialize)]
    struct RootFs<'d> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        diff_ids: &'d [DiffId],
    }
    let object = |bytes: &[u8]| -> Result<RawObject, JsonError> {
        serde_json::from_str(&String::from_utf8_lossy(bytes))
            .map_err(|e| JsonError::Syntax(e.to_string()))
    };
    let raw_value = |value: Vec<u8>| {
        RawValue::from_string(String::from_utf8_lossy(&value).into_owned())
            .map_err(|e| JsonError::Syntax(e.to_string()))
    };
    let json = Json::parse(raw)?;
    let version = JsonNode::root(&json, "json")
        .field("docker_version")?
        .string()?;
    let mut config = if is_older(&version) {
        object(&go_json::encode(&V1Image::read(raw)?))?
    } else {
        object(raw)?
    };
    for key in ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"] {
        config.remove(key);
    }
    let rootfs = RootFs {
        r#type: "layers",
        diff_ids,
    };
    config.insert("rootfs".into(), raw_value(go_json::encode(&rootfs))?);
    config.insert("history".into(), raw_value(encode_history(history, era))?);
    Ok(go_json::encode(&config))
}

/// Versions are compared part by part; what is not a number counts as 0 (moby `versions.LessThan`).
fn is_older(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    TAKEN_AS_IT_IS
        .iter()
        .map(|wanted| parts.next().unwrap_or(0).cmp(wanted))
        .find(|ordering| ordering.is_ne())
        .is_some_and(Ordering::is_lt)
}

/// Go's zero time, which is in the year 1.
const GO_ZERO: &str = "0001-01-01T00:00:00Z";

/// Docker's own `image.History`, up to 24.
#[derive(Serialize)]
struct HistoryBefore25<'h> {
    created: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    author: &'h str,
    #[serde(skip_serializing_if = "str::is_empty")]
    created_by: &'h str,
    #[serde(skip_serializing_if = "str::is_empty")]
    comment: &'h str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    empty_layer: bool,
}

/// The `History` of the OCI specification's Go package, which Docker writes since 25.
#[derive(Serialize)]
struct HistorySince25<'h> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    created_by: &'h str,
    #[serde(skip_serializing_if = "str::is_empty")]
    author: &'h str,
    #[serde(skip_serializing_if = "str::is_empty")]
    comment: &'h str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    empty_layer: bool,
}

/// A history as Docker writes it.
fn encode_history(history: &[HistoryEntry], era: Era) -> Vec<u8> {
    let created = |entry: &HistoryEntry| entry.created.as_ref().map(go_json::go_time);
    match era {
        Era::Before25 => {
            let entry = |entry| HistoryBefore25 {
                created: created(entry).unwrap_or_else(|| GO_ZERO.to_owned()),
                author: &entry.author,
                created_by: &entry.created_by,
                comment: &entry.comment,
                empty_layer: entry.empty_layer,
            };
            go_json::encode(&history.iter().map(entry).collect::<Vec<_>>())
        }
        Era::Since25 => {
            let entry = |entry| HistorySince25 {
                created: created(entry),
                created_by: &entry.created_by,
                author: &entry.author,
                comment: &entry.comment,
                empty_layer: entry.empty_layer,
            };
            go_json::encode(&history.iter().map(entry).collect::<Vec<_>>())
        }
    }
}
