//! JSON as Go writes it.
//!
//! Engines identify images by the bytes that Go's `encoding/json` gave, so what imgtar makes in their
//! place has the same ones: no white space, struct fields in their order, map keys sorted, and `<`,
//! `>`, `&`, U+2028 and U+2029 escaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::config::Created;
use super::json::{Json, JsonError, JsonNode};

/// The bytes that Go gives for `value`.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string(value)
        .expect("the types that come here have string keys and no fallible parts");
    compact(&text).into_bytes()
}

/// JSON without white space between its tokens and with Go's escapes, else as it was written: what
/// Go makes of a `json.RawMessage`.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for c in json.chars() {
        match c {
            ' ' | '\t' | '\n' | '\r' if !in_string => continue,
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
        if in_string && !escaped {
            match c {
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else {
            in_string |= c == '"';
            escaped = false;
        }
    }
    out
}

/// A JSON object of values kept as they were written, by key; of equal keys the last one counts.
pub(crate) type RawObject = BTreeMap<String, Box<RawValue>>;

/// Go's `container.Config`, as it was when engines wrote it into images (moby
/// `api/types/container/config.go`): everything that it has no field for is dropped.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "it is Go's struct")]
struct ContainerConfig {
    hostname: String,
    domainname: String,
    user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_ports: Option<Set>,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "is_false")]
    args_escaped: bool,
    image: String,
    volumes: Option<Set>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_false")]
    network_disabled: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    mac_address: String,
    on_build: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "is_empty")]
    shell: Option<Vec<String>>,
}

/// Go's `container.HealthConfig`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    #[serde(skip_serializing_if = "is_empty")]
    test: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_zero")]
    interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    retries: i64,
}

/// Go's `map[string]struct{}`.
#[derive(Clone, Debug, Default)]
struct Set(Vec<String>);

impl Serialize for Set {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Empty {}
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for key in &self.0 {
            map.serialize_entry(key, &Empty {})?;
        }
        map.end()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[expect(clippy::ref_option, reason = "serde asks for a reference")]
fn is_empty(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

impl ContainerConfig {
    fn read(node: &JsonNode<'_>) -> Result<Self, JsonError> {
        let health = node.field("Healthcheck")?;
        let ports = node.field("ExposedPorts")?;
        let volumes = node.field("Volumes")?;
        let labels = node.field("Labels")?;
        let set = |node: &JsonNode<'_>| -> Result<Option<Set>, JsonError> {
            let keys = node.keys()?;
            Ok(node.is_present().then_some(Set(keys)))
        };
        Ok(Self {
            hostname: node.field("Hostname")?.string()?,
            domainname: node.field("Domainname")?.string()?,
            user: node.field("User")?.string()?,
            attach_stdin: node.field("AttachStdin")?.boolean()?,
            attach_stdout: node.field("AttachStdout")?.boolean()?,
            attach_stderr: node.field("AttachStderr")?.boolean()?,
            exposed_ports: set(&ports)?.filter(|ports| !ports.0.is_empty()),
            tty: node.field("Tty")?.boolean()?,
            open_stdin: node.field("OpenStdin")?.boolean()?,
            stdin_once: node.field("StdinOnce")?.boolean()?,
            env: node.field("Env")?.strings()?,
            cmd: node.field("Cmd")?.strings()?,
            healthcheck: health
                .is_present()
                .then(|| Healthcheck::read(&health))
                .transpose()?,
            args_escaped: node.field("ArgsEscaped")?.boolean()?,
            image: node.field("Image")?.string()?,
            volumes: set(&volumes)?,
            working_dir: node.field("WorkingDir")?.string()?,
            entrypoint: node.field("Entrypoint")?.strings()?,
            network_disabled: node.field("NetworkDisabled")?.boolean()?,
            mac_address: node.field("MacAddress")?.string()?,
            on_build: node.field("OnBuild")?.strings()?,
            labels: labels
                .is_present()
                .then(|| labels.string_map().map(|map| map.into_iter().collect()))
                .transpose()?,
            stop_signal: node.field("StopSignal")?.string()?,
            stop_timeout: node.field("StopTimeout")?.integer()?,
            shell: node.field("Shell")?.strings()?,
        })
    }
}

impl Healthcheck {
    fn read(node: &JsonNode<'_>) -> Result<Self, JsonError> {
        // What is absent is Go's zero value.
        let number = |key: &str| Ok(node.field(key)?.integer()?.unwrap_or_default());
        Ok(Self {
            test: node.field("Test")?.strings()?,
            interval: number("Interval")?,
            timeout: number("Timeout")?,
            start_period: number("StartPeriod")?,
            start_interval: number("StartInterval")?,
            retries: number("Retries")?,
        })
    }
}

/// Go's `image.V1Image` (moby `image/image.go`): the form that images had before Docker 1.10, and
/// that Docker still writes beside today's.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct V1Image {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) parent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    container: String,
    container_config: ContainerConfig,
    #[serde(skip_serializing_if = "String::is_empty")]
    docker_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<ContainerConfig>,
    #[serde(skip_serializing_if = "String::is_empty")]
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) os: String,
    #[serde(rename = "Size", skip_serializing_if = "is_zero")]
    size: i64,
}

impl V1Image {
    /// Reads the fields that it has from a config or from a v1 `json` file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        let json = Json::parse(bytes)?;
        let root = JsonNode::root(&json, "config");
        let config = root.field("config")?;
        let created: Option<Created> = Created::of_field(&root.field("created")?)?;
        Ok(Self {
            id: root.field("id")?.string()?,
            parent: root.field("parent")?.string()?,
            comment: root.field("comment")?.string()?,
            created: created.as_ref().map(go_time),
            container: root.field("container")?.string()?,
            container_config: ContainerConfig::read(&root.field("container_config")?)?,
            docker_version: root.field("docker_version")?.string()?,
            author: root.field("author")?.string()?,
            config: config
                .is_present()
                .then(|| ContainerConfig::read(&config))
                .transpose()?,
            architecture: root.field("architecture")?.string()?,
            variant: root.field("variant")?.string()?,
            os: root.field("os")?.string()?,
            // Absent is Go's zero value.
            size: root.field("Size")?.integer()?.unwrap_or_default(),
        })
    }
}

/// A time as Go writes it: at most nine digits of a second, no zeros at their end, `Z` for no offset.
pub(crate) fn go_time(created: &Created) -> String {
    let text = created.as_str();
    let utc = || created.timestamp().to_string();
    let Some((seconds, rest)) = text.split_at_checked(19) else {
        return utc();
    };
    let digits = rest.strip_prefix('.').map_or(0, |fraction| {
        fraction.bytes().take_while(u8::is_ascii_digit).count()
    });
    let (fraction, offset) = match digits {
        0 => ("", rest),
        n => (&rest[1..=n.min(9)], &rest[n + 1..]),
    };
    let offset = match offset {
        "+00:00" | "-00:00" | "Z" => "Z",
        other if other.len() == 6 && other.is_ascii() => other,
        _ => return utc(),
    };
    if seconds.as_bytes()[10] != b'T' {
        return utc();
    }
    match fraction.trim_end_matches('0') {
        "" => format!("{seconds}{offset}"),
        fraction => format!("{seconds}.{fraction}{offset}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_json_is_compacted_as_go_does() {
        let raw =
            "{ \"a\" : \"x <\\\" & y\" ,\n\"b\":[1.50, 2e3] , \"c\":\"\\\\\" , \"d\":\"\u{2028}\"}";
        let want = r#"{"a":"x \u003c\" \u0026 y","b":[1.50,2e3],"c":"\\","d":"\u2028"}"#;
        assert_eq!(compact(raw), want);
    }

    #[test]
    fn times_are_written_as_go_does() {
        for (text, want) in [
            (
                "2026-11-21T11:41:07.622928399Z",
                "2026-11-21T11:41:07.622928399Z",
            ),
            ("2026-11-21T11:41:07.500000000Z", "2026-11-21T11:41:07.5Z"),
            ("2026-11-21T11:41:07.000Z", "2026-11-21T11:41:07Z"),
            ("2026-11-21T11:41:07+00:00", "2026-11-21T11:41:07Z"),
            (
                "2026-11-21T11:41:07.10+02:00",
                "2026-11-21T11:41:07.1+02:00",
            ),
            ("2026-11-21t11:41:07z", "2026-11-21T11:41:07Z"),
        ] {
            let created: Created = text.parse().expect("a time");
            assert_eq!(go_time(&created), want);
        }
    }
}
