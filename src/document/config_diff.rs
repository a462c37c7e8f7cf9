//! In what two configs differ, field by field, and two histories step by step.
//!
//! Configs are compared as text, known fields and unknown ones alike: what no engine reads may matter to somebody.
//! Names match without regard to case, as Go reads them; what is `null`, empty, zero or false counts as absent, since
//! engines write such fields or leave them out as they please.

use std::collections::BTreeMap;

use super::config::{Created, HistoryEntry};
use super::json::go_equal_fold;
use super::json_object::ObjectMembers;
use crate::base::align::{common, gaps};

/// A field of a config that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigField {
    /// What it is called: fields of the `config` object by their names (`User`), what is in lists and maps by its
    /// own (`Env.PATH`, `Labels.version`, `ExposedPorts.80/tcp`), others as they stand in the document
    /// (`architecture`).
    pub name: String,
    /// What the old config has: texts as they are, anything else as JSON. `None` if it has nothing.
    pub old: Option<String>,
    /// What the new config has.
    pub new: Option<String>,
    /// Whether every build of an image sets it anew, so that it says nothing about what was built.
    pub is_of_build: bool,
}

/// Fields of a config in the order in which they are shown.
const FIELDS: [&str; 11] = [
    "architecture",
    "variant",
    "os",
    "os.version",
    "os.features",
    "created",
    "author",
    "comment",
    "docker_version",
    "id",
    "parent",
];
/// Fields of the `config` object likewise.
const RUN_FIELDS: [&str; 14] = [
    "Env",
    "Labels",
    "ExposedPorts",
    "Volumes",
    "Entrypoint",
    "Cmd",
    "User",
    "WorkingDir",
    "Healthcheck",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "OnBuild",
    "Image",
];
/// Fields whose members are shown by themselves.
const MAPS: [&str; 4] = ["Labels", "ExposedPorts", "Volumes", "Healthcheck"];
/// What every build sets anew: times, and what Docker notes of the container that it built in.
const OF_BUILD: [&str; 7] = [
    "created",
    "container",
    "container_config",
    "id",
    "parent",
    "moby.buildkit.buildinfo.v1",
    "moby.buildkit.cache.v0",
];
/// The same in the `config` object.
const RUN_OF_BUILD: [&str; 3] = ["Image", "Hostname", "Domainname"];

/// In what two configs differ, in an order that depends on nothing else. The layers are left out, and the history,
/// which [`history_difference`] compares. Documents with other bytes may have the same fields.
///
/// What is not a JSON object has no fields.
pub fn config_difference(old: &[u8], new: &[u8]) -> Vec<ConfigField> {
    if old == new {
        return Vec::new();
    }
    let mut rows: BTreeMap<FieldName, (Option<String>, Option<String>)> = BTreeMap::new();
    for field in fields_of(old) {
        rows.entry(field.0).or_default().0 = Some(field.1);
    }
    for field in fields_of(new) {
        rows.entry(field.0).or_default().1 = Some(field.1);
    }
    rows.retain(|_, (old, new)| old != new);
    // The list as a whole is of interest if its items are the same: its order differs.
    let is_env = |name: &FieldName| name.group == Group::Run && name.place == 0;
    if rows.keys().any(|name| is_env(name) && name.text != "Env") {
        rows.retain(|name, _| !is_env(name) || name.text != "Env");
    }
    let fields = rows.into_iter().map(|(name, (old, new))| ConfigField {
        is_of_build: name.is_of_build,
        name: name.text,
        old,
        new,
    });
    fields.collect()
}

/// Which part of a config a field is in, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Known,
    Run,
    Container,
    Other,
}

/// A field in its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FieldName {
    group: Group,
    place: usize,
    text: String,
    is_of_build: bool,
}

fn parsed(config: &[u8]) -> ObjectMembers {
    let text = String::from_utf8_lossy(config);
    ObjectMembers::parse(&text).unwrap_or_default()
}

/// All fields of a config that are not absent.
fn fields_of(config: &[u8]) -> Vec<(FieldName, String)> {
    let members = parsed(config);
    let mut fields = Vec::new();
    for (name, text) in last_of_each(&members) {
        let place = FIELDS.iter().position(|known| go_equal_fold(known, name));
        let canonical = place.map_or(name, |place| FIELDS[place]);
        if go_equal_fold(name, "history") || go_equal_fold(name, "rootfs") {
            continue;
        }
        if go_equal_fold(name, "config") {
            run_fields(text, &mut fields);
            continue;
        }
        let is_container = go_equal_fold(name, "container_config");
        if is_container && let Ok(inner) = ObjectMembers::parse(text) {
            for (name, text) in last_of_each(&inner) {
                let name = FieldName {
                    group: Group::Container,
                    place: 0,
                    text: format!("container_config.{name}"),
                    is_of_build: true,
                };
                fields.extend(value(text).map(|value| (name, value)));
            }
            continue;
        }
        let is_of_build = OF_BUILD.iter().any(|known| go_equal_fold(known, name));
        let name = FieldName {
            group: place.map_or(Group::Other, |_| Group::Known),
            place: place.unwrap_or(0),
            text: canonical.to_owned(),
            is_of_build,
        };
        fields.extend(value(text).map(|value| (name, value)));
    }
    fields
}

/// The fields of the `config` object.
fn run_fields(text: &str, fields: &mut Vec<(FieldName, String)>) {
    let Ok(members) = ObjectMembers::parse(text) else {
        return;
    };
    for (name, text) in last_of_each(&members) {
        let place = RUN_FIELDS
            .iter()
            .position(|known| go_equal_fold(known, name));
        let known = place.map(|place| RUN_FIELDS[place]);
        let is_of_build = RUN_OF_BUILD.iter().any(|known| go_equal_fold(known, name));
        // A name that is not known is told apart from those outside.
        let canonical = known.map_or_else(|| format!("config.{name}"), str::to_owned);
        let field = |text: String| FieldName {
            group: Group::Run,
            place: place.unwrap_or(RUN_FIELDS.len()),
            text,
            is_of_build,
        };
        if known == Some("Env") {
            let items: Vec<Option<String>> = serde_json::from_str(text).unwrap_or_default();
            // Of several with one name the last one counts.
            let items = items.into_iter().map(Option::unwrap_or_default);
            for item in items {
                let (name, value) = item.split_once('=').unwrap_or((&item, ""));
                fields.push((field(format!("Env.{name}")), value.to_owned()));
            }
        }
        let is_map = known.is_some_and(|known| MAPS.contains(&known));
        match ObjectMembers::parse(text) {
            Ok(inner) if is_map => {
                let inner: BTreeMap<&str, &str> = inner.iter().collect();
                for (name, text) in inner {
                    let text = value(text).or_else(|| Some(plain(text)));
                    let name = field(format!("{canonical}.{name}"));
                    fields.extend(text.map(|value| (name, value)));
                }
            }
            _ => fields.extend(value(text).map(|value| (field(canonical), value))),
        }
    }
}

/// The members of an object; of several names that Go takes for one the last one counts.
fn last_of_each(members: &ObjectMembers) -> Vec<(&str, &str)> {
    let mut last: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for (name, text) in members.iter() {
        last.insert(name.to_ascii_lowercase(), (name, text));
    }
    last.into_values().collect()
}

/// A value as it is shown; `None` if it counts as absent.
fn value(text: &str) -> Option<String> {
    let is_zero = matches!(text, "null" | "\"\"" | "false" | "0" | "[]" | "{}");
    (!is_zero).then(|| plain(text))
}

/// A text without its quotes, anything else as JSON in a form of its own: keys sorted, no white space.
fn plain(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(value) => value.to_string(),
        // Nested too deep, or a number that no number is.
        Err(_) => text.to_owned(),
    }
}

/// A field of a build step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HistoryField {
    /// When.
    Created,
    /// By which command or instruction.
    CreatedBy,
    /// By whom.
    Author,
    /// A remark.
    Comment,
    /// Whether the step made no layer.
    EmptyLayer,
}

impl HistoryField {
    /// Its name in configs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::CreatedBy => "created_by",
            Self::Author => "author",
            Self::Comment => "comment",
            Self::EmptyLayer => "empty_layer",
        }
    }
}

/// A build step that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryChange {
    /// Its place in the old history, oldest first; `None` if it was added.
    pub old: Option<usize>,
    /// Its place in the new history; `None` if it was removed.
    pub new: Option<usize>,
    /// In what both differ.
    pub what: Vec<HistoryField>,
}

/// In what two histories differ, oldest first. Steps are paired by what they ran and whether they made a layer, and
/// those between by their instructions; others were added or removed.
pub fn history_difference(old: &[HistoryEntry], new: &[HistoryEntry]) -> Vec<HistoryChange> {
    let lens = (old.len(), new.len());
    let olds: Vec<_> = old.iter().map(step_key).collect();
    let news: Vec<_> = new.iter().map(step_key).collect();
    let mut pairs = common(&olds, &news);
    for (olds, news) in gaps(&pairs.clone(), lens) {
        let (i, j) = (olds.start, news.start);
        let olds: Vec<_> = old[olds].iter().map(instruction).collect();
        let news: Vec<_> = new[news].iter().map(instruction).collect();
        let both = common(&olds, &news).into_iter();
        pairs.extend(both.map(|(a, b)| (i + a, j + b)));
    }
    pairs.sort_unstable();
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for (olds, news) in gaps(&pairs, lens) {
        removed.extend(olds.map(|i| (i, news.start)));
        added.extend(news);
    }
    let changed = pairs.into_iter().filter_map(|(i, j)| {
        let what = step_difference(&old[i], &new[j]);
        (!what.is_empty()).then_some((j, Some(i), Some(j), what))
    });
    let removed = removed.into_iter();
    let removed = removed.map(|(i, before)| (before, Some(i), None, Vec::new()));
    let added = added.into_iter().map(|j| (j, None, Some(j), Vec::new()));
    // What was removed stands before what was added in its place.
    let mut all: Vec<_> = removed.chain(added).chain(changed).collect();
    all.sort_by_key(|(at, old, new, _)| (*at, new.is_some(), *old));
    let change = |(_, old, new, what)| HistoryChange { old, new, what };
    all.into_iter().map(change).collect()
}

/// What a step is paired by.
fn step_key(entry: &HistoryEntry) -> (&str, bool) {
    (&entry.created_by, entry.empty_layer)
}

/// The Dockerfile instruction of a step, and whether it made a layer: `COPY`, as BuildKit writes it and as Docker
/// does behind `#(nop)`; `RUN` for anything else.
fn instruction(entry: &HistoryEntry) -> (&str, bool) {
    let text = entry.created_by.as_str();
    let text = text.split_once("#(nop)").map_or(text, |(_, rest)| rest);
    let word = text.split_whitespace().next().unwrap_or_default();
    let is_instruction = word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase());
    (if is_instruction { word } else { "RUN" }, entry.empty_layer)
}

fn step_difference(old: &HistoryEntry, new: &HistoryEntry) -> Vec<HistoryField> {
    let time = |entry: &HistoryEntry| entry.created.as_ref().map(Created::timestamp);
    let fields = [
        (HistoryField::Created, time(old) != time(new)),
        (HistoryField::CreatedBy, old.created_by != new.created_by),
        (HistoryField::Author, old.author != new.author),
        (HistoryField::Comment, old.comment != new.comment),
        (HistoryField::EmptyLayer, old.empty_layer != new.empty_layer),
    ];
    let differs = fields.into_iter().filter(|(_, differs)| *differs);
    differs.map(|(field, _)| field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(old: &str, new: &str) -> Vec<String> {
        let found = config_difference(old.as_bytes(), new.as_bytes());
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let row =
            |field: ConfigField| format!("{} {} {}", field.name, text(field.old), text(field.new));
        found.into_iter().map(row).collect()
    }

    #[test]
    fn every_field_is_by_itself() {
        let old = r#"{"os":"linux","architecture":"amd64","my.field":[1, 2],"config":{"Env":["A=1","B=2","C"],
            "Labels":{"x":"1","y":""},"ExposedPorts":{"80/tcp":{}},"Cmd":["a"],"Healthcheck":{"Retries":3},"Mac":"m"}}"#;
        let new = r#"{"architecture":"arm64","os":"linux","config":{"env":["A=1","B=3","D=4"],
            "Labels":{"x":"2"},"Cmd":["a","<b>"],"User":"www","Healthcheck":{"Retries":4,"Test":["NONE"]},"Mac":""}}"#;
        assert_eq!(
            rows(old, new),
            [
                "architecture amd64 arm64",
                "Env.B 2 3",
                "Env.C  -",
                "Env.D - 4",
                "Labels.x 1 2",
                "Labels.y  -",
                "ExposedPorts.80/tcp {} -",
                r#"Cmd ["a"] ["a","<b>"]"#,
                "User - www",
                "Healthcheck.Retries 3 4",
                r#"Healthcheck.Test - ["NONE"]"#,
                "config.Mac m -",
                "my.field [1,2] -",
            ]
        );
    }

    #[test]
    fn what_says_nothing_is_no_field() {
        let (old, new) = (
            r#"{"a":"<","b":null}"#,
            r#"{"a":"\u003c", "config":{"User":""}}"#,
        );
        assert_eq!(rows(old, old), [""; 0]);
        assert_eq!(rows(old, new), [""; 0]);
        // The history is told elsewhere.
        assert_eq!(rows(r#"{"history":[]}"#, r#"{"history":[{}]}"#), [""; 0]);
        assert_eq!(
            rows(
                r#"{"config":{"Env":["A=1","B=2"]}}"#,
                r#"{"config":{"Env":["B=2","A=1"]}}"#
            ),
            [r#"Env ["A=1","B=2"] ["B=2","A=1"]"#]
        );
    }

    #[test]
    fn steps_are_paired_by_what_they_ran() {
        let history = |steps: &[&str]| -> Vec<HistoryEntry> {
            let entry = |step: &&str| HistoryEntry {
                created_by: (*step).to_owned(),
                ..HistoryEntry::default()
            };
            steps.iter().map(entry).collect()
        };
        let found = |old: &[&str], new: &[&str]| -> Vec<(Option<usize>, Option<usize>)> {
            let found = history_difference(&history(old), &history(new));
            found
                .iter()
                .map(|change| (change.old, change.new))
                .collect()
        };
        assert_eq!(found(&["a", "b", "c"], &["a", "b", "c"]), []);
        assert_eq!(
            found(&["a", "b", "c"], &["a", "x", "c"]),
            [(Some(1), Some(1))]
        );
        assert_eq!(
            found(
                &["ENV A=1", "RUN x", "/bin/sh -c #(nop)  CMD [\"a\"]"],
                &["ENV A=2", "LABEL b=c", "CMD [\"b\"]"]
            ),
            [
                (Some(0), Some(0)),
                (Some(1), None),
                (None, Some(1)),
                (Some(2), Some(2))
            ]
        );
        assert_eq!(
            found(&["a", "c"], &["a", "b", "c", "d"]),
            [(None, Some(1)), (None, Some(3))]
        );
        assert_eq!(
            found(&["a", "b", "c"], &["c"]),
            [(Some(0), None), (Some(1), None)]
        );
    }
}
