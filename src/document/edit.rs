//! A config that is being written: a new one, or an existing one with some of it replaced.
//!
//! What is not replaced keeps its text and its place, unknown fields too: other tools
//! put theirs into configs and expect them back. White space between tokens is not kept, and what Go
//! escapes is escaped.
//!
//! Long: every field of a config that can be written is here once.

use super::config::{Config, Created, Health, HistoryEntry, RunConfig, read_run};
use super::json::{Json, JsonError, JsonNode};
use super::json_object::{ObjectMembers, array, items, string, strings};
use super::platform::Platform;
use crate::base::digest::{DiffId, Digest, ImageId};

/// The fields of a config as Docker writes them: sorted.
const FIELDS: [&str; 14] = [
    "architecture",
    "author",
    "comment",
    "config",
    "container",
    "container_config",
    "created",
    "docker_version",
    "history",
    "os",
    "os.features",
    "os.version",
    "rootfs",
    "variant",
];

/// The fields of the `config` object in the order of moby's `container.Config`.
const RUN_FIELDS: [&str; 25] = [
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Healthcheck",
    "ArgsEscaped",
    "Image",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "MacAddress",
    "OnBuild",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
];

/// A `config` object without anything in it, as Docker up to 28 writes it.
const DOCKER_RUN: &str = concat!(
    r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"#,
    r#""AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"#,
    r#""Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}"#,
);

/// The fields of a history entry in the order of moby's `image.History`.
const HISTORY_FIELDS: [&str; 5] = ["created", "author", "created_by", "comment", "empty_layer"];

/// A config that is being written.
///
/// [`to_bytes`](Self::to_bytes) gives compact JSON with Go's escapes. A draft of an existing config
/// keeps the order and form of its fields: where the original writes empty fields (as Docker's
/// classic store does), emptied ones become `null` or `""`; where it leaves them out (as the OCI
/// form does), they go.
#[derive(Clone, Debug)]
pub struct ConfigDraft {
    members: ObjectMembers,
    view: Config,
}

impl ConfigDraft {
    /// Starts from an existing config.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if it is not a config that [`Config::read`] can read.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let view = Config::read(bytes)?;
        let members = ObjectMembers::parse(&String::from_utf8_lossy(bytes))?;
        Ok(Self { members, view })
    }

    /// Starts a config of an image without layers and history, in the form that Docker 26.1 writes
    /// for `docker import`, without `docker_version`.
    pub fn new(platform: &Platform, created: &Created) -> Self {
        let mut draft = Self {
            members: ObjectMembers::default(),
            view: Config::default(),
        };
        draft.put("config", DOCKER_RUN.to_owned());
        draft.put("container_config", DOCKER_RUN.to_owned());
        draft.set_created(created);
        draft.set_platform(platform);
        draft.set_diff_ids(&[]);
        draft.put("history", "[]".to_owned());
        draft
    }

    /// What the draft says so far.
    pub fn config(&self) -> &Config {
        &self.view
    }

    /// How a container of it runs.
    pub fn run(&self) -> &RunConfig {
        &self.view.run
    }

    /// Replaces how a container of it runs. Fields of the `config` object that [`RunConfig`] does not
    /// have, and those that do not change, stay as they are.
    pub fn set_run(&mut self, run: RunConfig) {
        let mut members = self.members.object("config");
        write_run(&mut members, &self.view.run, &run);
        self.put("config", members.to_text());
        self.view.run = run;
    }

    /// How the container ran that the image was committed from, if the config says.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if a field of it has a type that engines refuse.
    pub fn container_config(&self) -> Result<Option<RunConfig>, JsonError> {
        let Some(text) = self.members.get("container_config") else {
            return Ok(None);
        };
        let json = Json::parse(text.as_bytes())?;
        let node = JsonNode::root(&json, "config.container_config");
        if !node.is_present() {
            return Ok(None);
        }
        read_run(&node).map(Some)
    }

    /// Replaces `container_config` by `run`, in Docker's form, or takes it out.
    pub fn set_container_config(&mut self, run: Option<&RunConfig>) {
        let Some(run) = run else {
            self.remove("container_config");
            return;
        };
        let mut members = ObjectMembers::of_read(DOCKER_RUN);
        write_run(&mut members, &RunConfig::default(), run);
        self.put("container_config", members.to_text());
    }

    /// Sets the time that the image was made.
    pub fn set_created(&mut self, created: &Created) {
        self.put("created", string(created.as_str()));
        self.view.created = Some(created.clone());
    }

    /// Sets its author; none if `author` is empty.
    pub fn set_author(&mut self, author: &str) {
        self.put_text("author", author);
        author.clone_into(&mut self.view.author);
    }

    /// Sets the remark of its author; none if `comment` is empty.
    pub fn set_comment(&mut self, comment: &str) {
        self.put_text("comment", comment);
        comment.clone_into(&mut self.view.comment);
    }

    /// Sets what it runs on. `os.features` stays.
    pub fn set_platform(&mut self, platform: &Platform) {
        self.put("architecture", string(&platform.architecture));
        self.put("os", string(&platform.os));
        self.put_text("variant", &platform.variant);
        self.put_text("os.version", &platform.os_version);
        self.view.platform = platform.clone();
    }

    /// The layers' diff IDs, base first.
    pub fn diff_ids(&self) -> &[DiffId] {
        self.view.diff_ids()
    }

    /// Replaces the layers' diff IDs, base first.
    pub fn set_diff_ids(&mut self, diff_ids: &[DiffId]) {
        const ORDER: [&str; 2] = ["type", "diff_ids"];
        let mut rootfs = self.members.object("rootfs");
        rootfs.set("type", string("layers"), &ORDER);
        let ids = diff_ids.iter().map(|id| string(&id.to_string()));
        rootfs.set("diff_ids", array(ids), &ORDER);
        self.put("rootfs", rootfs.to_text());
        let view = self.view.rootfs.get_or_insert_default();
        "layers".clone_into(&mut view.kind);
        view.diff_ids = diff_ids.to_vec();
    }

    /// The build steps, oldest first.
    pub fn history(&self) -> &[HistoryEntry] {
        &self.view.history
    }

    /// Adds a build step as the newest one.
    pub fn push_history(&mut self, entry: HistoryEntry) {
        let mut entries = self.history_texts();
        entries.push(write_history(&ObjectMembers::default(), &entry));
        self.put("history", array(entries));
        self.view.history.push(entry);
    }

    /// Replaces the build step `index`, counted from the oldest. Fields of it that [`HistoryEntry`]
    /// does not have stay as they are. Nothing happens if there is no such step.
    pub fn replace_history(&mut self, index: usize, entry: HistoryEntry) {
        let mut entry = Some(entry);
        self.change_history(|i, _| if i == index { entry.take() } else { None });
    }

    /// Replaces each build step for which `change` gives another, as [`Self::replace_history`] does:
    /// the text is taken apart and put together once for all.
    pub fn change_history(
        &mut self,
        mut change: impl FnMut(usize, &HistoryEntry) -> Option<HistoryEntry>,
    ) {
        let mut entries = self.history_texts();
        let mut changed = false;
        let steps = entries.iter_mut().zip(&mut self.view.history);
        for (i, (text, view)) in steps.enumerate() {
            if let Some(entry) = change(i, view) {
                let members = ObjectMembers::of_read(text);
                *text = write_history(&members, &entry);
                *view = entry;
                changed = true;
            }
        }
        if changed {
            self.put("history", array(entries));
        }
    }

    /// Takes the build steps from `index` on, counted from the oldest, out.
    pub fn truncate_history(&mut self, index: usize) {
        let mut entries = self.history_texts();
        entries.truncate(index);
        self.put("history", array(entries));
        self.view.history.truncate(index);
    }

    /// Takes a field of the config itself out, whatever case its name has: for what holds for the
    /// original only, such as `container`, `docker_version` or `moby.buildkit.cache.v0`.
    pub fn remove(&mut self, field: &str) {
        self.members.remove(field);
        self.read_again();
    }

    /// The config.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.members.to_text().into_bytes()
    }

    /// The image ID: the digest of [`to_bytes`](Self::to_bytes).
    pub fn image_id(&self) -> ImageId {
        ImageId::from(Digest::sha256_of(&self.to_bytes()))
    }

    fn put(&mut self, field: &str, value: String) {
        self.members.set(field, value, &FIELDS);
    }

    fn put_text(&mut self, field: &str, text: &str) {
        if text.is_empty() {
            self.members.remove(field);
        } else {
            self.put(field, string(text));
        }
    }

    /// The history entries as text.
    fn history_texts(&self) -> Vec<String> {
        let text = self.members.get("history");
        text.map_or_else(Vec::new, items)
    }

    /// Makes the view follow the text.
    fn read_again(&mut self) {
        self.view = Config::read(&self.to_bytes())
            .expect("the text is put together from what was read, in the forms that are read");
    }
}

/// Writes one history entry over what it was.
fn write_history(old: &ObjectMembers, entry: &HistoryEntry) -> String {
    let mut members = old.clone();
    let mut put = |field: &str, value: Option<String>| match value {
        Some(value) => members.set(field, value, &HISTORY_FIELDS),
        None => members.remove(field),
    };
    let text = |text: &str| (!text.is_empty()).then(|| string(text));
    let created = entry.created.as_ref().map(|at| string(at.as_str()));
    put("created", created);
    put("author", text(&entry.author));
    put("created_by", text(&entry.created_by));
    put("comment", text(&entry.comment));
    put("empty_layer", entry.empty_layer.then(|| "true".to_owned()));
    members.to_text()
}

/// Writes what differs between two run configs.
fn write_run(members: &mut ObjectMembers, old: &RunConfig, new: &RunConfig) {
    let text = |text: &str| (!text.is_empty()).then(|| string(text));
    let list = |list: &[String]| (!list.is_empty()).then(|| strings(list));
    let option = |list: &Option<Vec<String>>| list.as_deref().map(strings);
    let set = |names: &[String]| {
        let members = names.iter().map(|name| format!("{}:{{}}", string(name)));
        (!names.is_empty()).then(|| format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
    };
    let map = |map: &[(String, String)]| {
        let members = map
            .iter()
            .map(|(key, value)| format!("{}:{}", string(key), string(value)));
        (!map.is_empty()).then(|| format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
    };
    // Whether the object has its empty fields too; the OCI form leaves them out.
    let docker = ["Hostname", "AttachStdin"]
        .iter()
        .any(|field| members.get(field).is_some());
    let mut put = |field: &str, changed: bool, value: Option<String>, empty: Option<&str>| {
        if !changed {
            return;
        }
        match (value, empty.filter(|_| docker)) {
            (Some(value), _) => members.set(field, value, &RUN_FIELDS),
            (None, Some(empty)) => members.set(field, empty.to_owned(), &RUN_FIELDS),
            (None, None) => members.remove(field),
        }
    };
    let null = Some("null");
    put("User", old.user != new.user, text(&new.user), Some("\"\""));
    put(
        "ExposedPorts",
        old.exposed_ports != new.exposed_ports,
        set(&new.exposed_ports),
        None,
    );
    put("Env", old.env != new.env, list(&new.env), null);
    put("Cmd", old.cmd != new.cmd, option(&new.cmd), null);
    put(
        "Healthcheck",
        old.healthcheck != new.healthcheck,
        new.healthcheck.as_ref().map(write_health),
        None,
    );
    put(
        "Volumes",
        old.volumes != new.volumes,
        set(&new.volumes),
        null,
    );
    put(
        "WorkingDir",
        old.working_dir != new.working_dir,
        text(&new.working_dir),
        Some("\"\""),
    );
    put(
        "Entrypoint",
        old.entrypoint != new.entrypoint,
        option(&new.entrypoint),
        null,
    );
    put(
        "OnBuild",
        old.on_build != new.on_build,
        list(&new.on_build),
        null,
    );
    put("Labels", old.labels != new.labels, map(&new.labels), null);
    put(
        "StopSignal",
        old.stop_signal != new.stop_signal,
        text(&new.stop_signal),
        None,
    );
    put("Shell", old.shell != new.shell, option(&new.shell), None);
}

/// A health check; what is zero is left out.
fn write_health(health: &Health) -> String {
    let mut members = ObjectMembers::default();
    if !health.test.is_empty() {
        members.set("Test", strings(&health.test), &[]);
    }
    for (field, value) in [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
        ("Retries", health.retries),
    ] {
        if value != 0 {
            members.set(field, value.to_string(), &[]);
        }
    }
    members.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str) -> ConfigDraft {
        ConfigDraft::parse(text.as_bytes()).expect("a config")
    }

    fn text(draft: &ConfigDraft) -> String {
        String::from_utf8(draft.to_bytes()).expect("text")
    }

    /// The view must say what reading the bytes says.
    fn assert_in_step(draft: &ConfigDraft) {
        let read = Config::read(&draft.to_bytes()).expect("a config");
        assert_eq!(format!("{read:?}"), format!("{:?}", draft.config()));
    }

    #[test]
    fn what_is_not_touched_stays() {
        let original = concat!(
            r#"{"created":"2020-01-01T00:00:00.5Z","architecture":"amd64","os":"linux","x.y":1.0e3,"#,
            r#""config":{"Env":["A=\u003c"],"Custom":{"b":1,"a":2}},"rootfs":{"type":"layers","#,
            r#""diff_ids":[]},"history":[{"created_by":"a","extra":[1]}]}"#
        );
        let mut config = draft(original);
        assert_eq!(text(&config), original);
        let mut run = config.run().clone();
        run.cmd = Some(vec!["a&b".into()]);
        config.set_run(run);
        let mut entry = config.history()[0].clone();
        entry.empty_layer = true;
        config.replace_history(0, entry);
        assert_eq!(
            text(&config),
            original
                .replace("\"Custom", "\"Cmd\":[\"a\\u0026b\"],\"Custom")
                .replace("\"a\",\"extra\"", "\"a\",\"empty_layer\":true,\"extra\"")
        );
        assert_in_step(&config);
    }

    #[test]
    fn emptied_fields_follow_the_form() {
        for (before, after) in [
            (
                r#"{"config":{"Hostname":"","Env":["A=1"],"Cmd":["x"],"StopSignal":"9"}}"#,
                r#"{"config":{"Hostname":"","Env":null,"Cmd":null}}"#,
            ),
            (
                r#"{"config":{"Env":["A=1"],"cmd":["x"],"CMD":["y"],"StopSignal":"9"}}"#,
                r#"{"config":{}}"#,
            ),
        ] {
            let mut config = draft(before);
            config.set_run(RunConfig::default());
            assert_eq!(text(&config), after);
            assert_in_step(&config);
        }
    }

    /// What Docker 26.1.5 wrote for `docker import -m hey --platform linux/arm64/v8` with changes,
    /// less its `docker_version`.
    #[test]
    fn a_new_config_has_dockers_bytes() {
        let id = "sha256:9c9cd391c538b01c87b6ad73fb5f1fef6b19e0de9eb7adcf9c37c0e65923495b";
        let created: Created = "2026-11-21T16:10:32.811590529Z".parse().expect("a time");
        let platform: Platform = "linux/arm64/v8".parse().expect("a platform");
        let mut config = ConfigDraft::new(&platform, &created);
        config.set_comment("hey");
        config.set_diff_ids(&[DiffId::from(id.parse::<Digest>().expect("a digest"))]);
        config.push_history(HistoryEntry {
            created: Some(created),
            comment: "hey".into(),
            ..HistoryEntry::default()
        });
        config.set_run(RunConfig {
            env: vec!["a=b".into()],
            entrypoint: Some(vec!["x".into()]),
            cmd: Some(vec!["a<b>&\u{2028}é".into()]),
            exposed_ports: vec!["80/tcp".into()],
            volumes: vec!["/x".into()],
            labels: vec![("a".into(), "b".into())],
            stop_signal: "9".into(),
            healthcheck: Some(Health {
                test: vec!["CMD-SHELL".into(), "x".into()],
                interval: 3_000_000_000,
                ..Health::default()
            }),
            on_build: vec!["RUN a".into()],
            ..RunConfig::default()
        });
        let expected = [
            r#"{"architecture":"arm64","comment":"hey","config":{"Hostname":"","Domainname":"","#,
            r#""User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"#,
            r#""ExposedPorts":{"80/tcp":{}},"Tty":false,"OpenStdin":false,"StdinOnce":false,"#,
            r#""Env":["a=b"],"Cmd":["a\u003cb\u003e\u0026\u2028é"],"Healthcheck":{"Test":["CMD-SHELL","#,
            r#""x"],"Interval":3000000000},"Image":"","Volumes":{"/x":{}},"WorkingDir":"","#,
            r#""Entrypoint":["x"],"OnBuild":["RUN a"],"Labels":{"a":"b"},"StopSignal":"9"},"#,
            r#""container_config":"#,
            DOCKER_RUN,
            r#","created":"2026-11-21T16:10:32.811590529Z","#,
            r#""history":[{"created":"2026-11-21T16:10:32.811590529Z","comment":"hey"}],"#,
            r#""os":"linux","rootfs":{"type":"layers","diff_ids":[""#,
            id,
            r#""]},"variant":"v8"}"#,
        ]
        .concat();
        assert_eq!(text(&config), expected);
        assert_in_step(&config);
    }

    #[test]
    fn container_config_and_fields_can_go() {
        let mut config =
            draft(r#"{"container":"c","container_config":{"Cmd":["a"]},"author":"me"}"#);
        let run = config.container_config().expect("sound");
        assert_eq!(run.and_then(|run| run.cmd), Some(vec!["a".to_owned()]));
        config.set_container_config(None);
        config.remove("Container");
        config.set_author("");
        assert_eq!(text(&config), "{}");
        config.set_container_config(Some(&RunConfig::default()));
        assert_eq!(
            text(&config),
            format!("{{\"container_config\":{DOCKER_RUN}}}")
        );
        assert_in_step(&config);
    }

    #[test]
    fn history_grows_and_shrinks() {
        let mut config = draft("{}");
        let entry = |by: &str| HistoryEntry {
            created_by: by.into(),
            ..HistoryEntry::default()
        };
        config.push_history(entry("a"));
        config.push_history(entry("b"));
        config.replace_history(7, entry("c"));
        config.truncate_history(1);
        assert_eq!(text(&config), r#"{"history":[{"created_by":"a"}]}"#);
        assert_in_step(&config);
    }
}
