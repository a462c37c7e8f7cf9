//! The image config: a typed view over its bytes (image-spec `config.md`, moby `image/image.go`).

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::descriptor::read_platform;
use super::go_time;
use super::json::{Json, JsonError, JsonNode};
use super::platform::Platform;
use crate::base::digest::{DiffId, Digest};

/// What a config says. Fields that no command shows are not here; the bytes keep everything.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What it runs on.
    pub platform: Platform,
    /// When it was created.
    pub created: Option<Created>,
    /// Who made it.
    pub author: String,
    /// A remark of its author.
    pub comment: String,
    /// The version of Docker that made it; engines stopped writing it in version 29.
    pub docker_version: String,
    /// How a container of it runs.
    pub run: RunConfig,
    /// The layers; absent in configs from before Docker 1.10 and in broken ones.
    pub rootfs: Option<RootFs>,
    /// The build steps, oldest first.
    pub history: Vec<HistoryEntry>,
    /// Why engines that read the specification's config (containerd, podman) refuse it, where Docker's
    /// own store does not.
    pub(crate) refused_as_oci: Option<JsonError>,
    /// Why Docker's own store and podman refuse it, where containerd does not: in fields that only
    /// Docker's configs have.
    pub(crate) refused_as_docker: Option<JsonError>,
}

/// A point in time and the text it was written as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    text: String,
    timestamp: Timestamp,
}

impl Created {
    /// The text in the archive: RFC 3339.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The point in time.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
}

impl Created {
    /// Reads a field of a document as Go does; `null` is absent, an empty text is not a time.
    pub(crate) fn of_field(node: &JsonNode<'_>) -> Result<Option<Self>, JsonError> {
        if !node.is_present() {
            return Ok(None);
        }
        let text = node.string()?;
        let timestamp = go_time::parse(&text).map_err(|why| node.invalid(why))?;
        Ok(Some(Self { text, timestamp }))
    }
}

impl std::str::FromStr for Created {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        Ok(Self {
            text: text.to_owned(),
            timestamp: text.parse()?,
        })
    }
}

impl From<Timestamp> for Created {
    /// Writes the time as Go does: in UTC, with as many digits of the second as it has.
    fn from(timestamp: Timestamp) -> Self {
        Self {
            text: timestamp.to_string(),
            timestamp,
        }
    }
}

impl Serialize for Created {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// How a container of the image runs: the `config` object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// User and group, by name or number.
    pub user: String,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// What is run.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments to it, or what is run if there is no entrypoint.
    pub cmd: Option<Vec<String>>,
    /// Ports, `80/tcp`, sorted.
    pub exposed_ports: Vec<String>,
    /// Paths whose content lives outside the container, sorted.
    pub volumes: Vec<String>,
    /// The directory that processes start in.
    pub working_dir: String,
    /// Labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// The signal that stops a container.
    pub stop_signal: String,
    /// How its health is checked.
    pub healthcheck: Option<Health>,
    /// Instructions for images built from this one.
    pub on_build: Vec<String>,
    /// The shell for instructions in shell form.
    pub shell: Option<Vec<String>>,
}

/// A health check. Durations are nanoseconds; 0 means inherited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`.
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: i64,
    /// Until a check counts as failed.
    pub timeout: i64,
    /// While failures do not count.
    pub start_period: i64,
    /// Between two checks while failures do not count; Docker has it since version 25.
    pub start_interval: i64,
    /// How many failures in a row make it unhealthy.
    pub retries: i64,
}

/// The `rootfs` object.
#[derive(Clone, Debug, Default)]
pub struct RootFs {
    /// `layers`; anything else must be refused (image-spec `config.md#properties`).
    pub kind: String,
    /// The layers' diff IDs, base first.
    pub diff_ids: Vec<DiffId>,
}

/// One build step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When.
    pub created: Option<Created>,
    /// By which command or instruction.
    pub created_by: String,
    /// By whom.
    pub author: String,
    /// A remark; BuildKit names itself here.
    pub comment: String,
    /// Whether the step made no layer.
    pub empty_layer: bool,
}

impl HistoryEntry {
    /// How many bytes of text it holds.
    pub(crate) fn text_len(&self) -> usize {
        self.created_by.len() + self.author.len() + self.comment.len()
    }
}

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if it is not JSON or a field has a type that engines refuse.
    pub fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        let json = Json::parse(bytes)?;
        Self::from_node(&JsonNode::root(&json, "config"))
    }

    pub(crate) fn from_node(root: &JsonNode<'_>) -> Result<Self, JsonError> {
        let rootfs = root.field("rootfs")?;
        let history = root.field("history")?.items()?.unwrap_or_default();
        let mut readers = Readers::default();
        let run = read_run_for(&root.field("config")?, &mut readers)?;
        Ok(Self {
            platform: read_platform(root)?,
            created: Created::of_field(&root.field("created")?)?,
            author: root.field("author")?.string()?,
            comment: root.field("comment")?.string()?,
            docker_version: root.field("docker_version")?.string()?,
            run,
            rootfs: rootfs
                .is_present()
                .then(|| read_rootfs(&rootfs))
                .transpose()?,
            history: history.iter().map(read_history).collect::<Result<_, _>>()?,
            refused_as_oci: readers.oci,
            refused_as_docker: readers.docker,
        })
    }

    /// What containerd 2 reads of a config to unpack an image: the platform. The layers have to be named too.
    ///
    /// # Errors
    ///
    /// [`JsonError`] as from [`Self::read`], of these fields alone.
    pub(crate) fn platform_of(bytes: &[u8]) -> Result<Platform, JsonError> {
        let json = Json::parse(bytes)?;
        let root = JsonNode::root(&json, "config");
        read_rootfs(&root.field("rootfs")?)?;
        read_platform(&root)
    }

    /// The diff IDs, base first; none if there is no `rootfs`.
    pub fn diff_ids(&self) -> &[DiffId] {
        self.rootfs.as_ref().map_or(&[], |rootfs| &rootfs.diff_ids)
    }
}

fn read_rootfs(node: &JsonNode<'_>) -> Result<RootFs, JsonError> {
    let mut diff_ids = Vec::new();
    for item in node.field("diff_ids")?.items()?.unwrap_or_default() {
        let diff_id: Digest = item
            .parsed()?
            .ok_or_else(|| item.invalid("the diff ID is missing"))?;
        diff_ids.push(DiffId::from(diff_id));
    }
    Ok(RootFs {
        kind: node.field("type")?.string()?,
        diff_ids,
    })
}

/// What some engines cannot read.
#[derive(Debug, Default)]
struct Readers {
    oci: Option<JsonError>,
    docker: Option<JsonError>,
}

/// A command. Docker's type takes a text for a list of one (moby `api/types/strslice`), the
/// specification's does not.
fn read_command(
    node: &JsonNode<'_>,
    readers: &mut Readers,
) -> Result<Option<Vec<String>>, JsonError> {
    match (node.strings(), node.string()) {
        (Err(why), Ok(text)) => {
            readers.oci.get_or_insert(why);
            Ok(Some(vec![text]))
        }
        (list, _) => list,
    }
}

/// Reads what every engine can read; what only some can is an error.
pub(super) fn read_run(node: &JsonNode<'_>) -> Result<RunConfig, JsonError> {
    let mut readers = Readers::default();
    let run = read_run_for(node, &mut readers)?;
    readers.oci.or(readers.docker).map_or(Ok(run), Err)
}

fn read_run_for(node: &JsonNode<'_>, readers: &mut Readers) -> Result<RunConfig, JsonError> {
    let health = node.field("Healthcheck")?;
    // The specification has no health check, so containerd does not read it.
    let healthcheck = match health
        .is_present()
        .then(|| read_health(&health))
        .transpose()
    {
        Ok(health) => health,
        Err(why) => {
            readers.docker.get_or_insert(why);
            None
        }
    };
    Ok(RunConfig {
        user: node.field("User")?.string()?,
        env: node.field("Env")?.strings()?.unwrap_or_default(),
        entrypoint: read_command(&node.field("Entrypoint")?, readers)?,
        cmd: read_command(&node.field("Cmd")?, readers)?,
        exposed_ports: node.field("ExposedPorts")?.keys()?,
        volumes: node.field("Volumes")?.keys()?,
        working_dir: node.field("WorkingDir")?.string()?,
        labels: node.field("Labels")?.string_map()?,
        stop_signal: node.field("StopSignal")?.string()?,
        healthcheck,
        on_build: node.field("OnBuild")?.strings()?.unwrap_or_default(),
        shell: node.field("Shell")?.strings()?,
    })
}

fn read_health(node: &JsonNode<'_>) -> Result<Health, JsonError> {
    let number = |key: &str| Ok(node.field(key)?.integer()?.unwrap_or_default());
    Ok(Health {
        test: node.field("Test")?.strings()?.unwrap_or_default(),
        interval: number("Interval")?,
        timeout: number("Timeout")?,
        start_period: number("StartPeriod")?,
        start_interval: number("StartInterval")?,
        retries: number("Retries")?,
    })
}

pub(crate) fn read_history(node: &JsonNode<'_>) -> Result<HistoryEntry, JsonError> {
    Ok(HistoryEntry {
        created: Created::of_field(&node.field("created")?)?,
        created_by: node.field("created_by")?.string()?,
        author: node.field("author")?.string()?,
        comment: node.field("comment")?.string()?,
        empty_layer: node.field("empty_layer")?.boolean()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_are_their_zero_values() {
        let config = Config::read(b"{}").expect("an empty object is a config");
        assert!(config.rootfs.is_none() && config.created.is_none() && config.history.is_empty());
        assert!(config.run.cmd.is_none());
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.5Z",
            "1969-12-31T23:59:59.000000001Z",
        ] {
            let time: Timestamp = text.parse().expect("a time");
            assert_eq!(Created::from(time).as_str(), text);
        }
    }

    #[test]
    fn an_empty_list_and_no_list_differ() {
        let config = Config::read(br#"{"config":{"Cmd":[],"Entrypoint":null}}"#).expect("sound");
        assert_eq!(config.run.cmd, Some(vec![]));
        assert_eq!(config.run.entrypoint, None);
    }

    #[test]
    fn broken_values_say_where() {
        for (text, at) in [
            (
                r#"{"rootfs":{"diff_ids":["sha256:zz"]}}"#,
                "config.rootfs.diff_ids[0]",
            ),
            (r#"{"created":"yesterday"}"#, "config.created"),
            (
                r#"{"history":[{"empty_layer":"yes"}]}"#,
                "config.history[0].empty_layer",
            ),
        ] {
            let error = Config::read(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(at), "{error} does not say {at}");
        }
    }
}
