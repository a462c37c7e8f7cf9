//! Images from before Docker 1.10: one JSON file an image layer, chained by `parent`
//! (moby v1.9.1 `image/image.go`, `graph/export.go`).

use super::config::{Config, Created, HistoryEntry};
use super::json::{Json, JsonError, Node};

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
        let root = Node::root(&json, "json");
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

/// Whether bytes are such a file: an object with an ID of 64 digits and a time.
pub(crate) fn is_v1_json(bytes: &[u8]) -> bool {
    let Ok(json) = Json::parse(bytes) else {
        return false;
    };
    let root = Node::root(&json, "json");
    let id = root.field("id").and_then(|id| id.string());
    let is_id = |id: &str| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let created = root.field("created").is_ok_and(|node| node.is_present());
    id.is_ok_and(|id| is_id(&id)) && created
}
