//! What can be taken out of a config, where no Dockerfile instruction can.

use std::fmt;
use std::str::FromStr;

use super::config::RunConfig;

/// Something of a config that is taken out of it.
///
/// Parsed from `env=NAME`, `label=KEY`, `port=80/tcp`, `volume=/data`, `entrypoint`, `cmd`, `user`,
/// `workdir` or `healthcheck`. A port without a protocol is TCP's, as with `EXPOSE`. Names and keys are
/// compared as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unset {
    /// A variable of the environment.
    Env(String),
    /// A label.
    Label(String),
    /// An exposed port, such as `80/tcp`.
    Port(String),
    /// A volume, by its path.
    Volume(String),
    /// What is run.
    Entrypoint,
    /// The arguments to it.
    Cmd,
    /// User and group: root then.
    User,
    /// The working directory: the root then.
    WorkingDir,
    /// How health is checked.
    Healthcheck,
}

/// Kinds that need a name, and those that have none.
const NAMED: [&str; 4] = ["env", "label", "port", "volume"];
const PLAIN: [&str; 5] = ["entrypoint", "cmd", "user", "workdir", "healthcheck"];

impl Unset {
    /// Takes it out; whether there was such a thing. All variables of a name go, because a process sees one
    /// of them only.
    pub fn apply(&self, run: &mut RunConfig) -> bool {
        fn without<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool) -> bool {
            let before = list.len();
            list.retain(|item| !is_it(item));
            list.len() < before
        }
        match self {
            Self::Env(name) => without(&mut run.env, |pair| {
                pair.split_once('=').map_or(&**pair, |(name, _)| name) == name
            }),
            Self::Label(key) => without(&mut run.labels, |(other, _)| other == key),
            Self::Port(port) => without(&mut run.exposed_ports, |other| {
                with_protocol(other) == *port
            }),
            Self::Volume(path) => without(&mut run.volumes, |other| other == path),
            Self::Entrypoint => run.entrypoint.take().is_some(),
            Self::Cmd => run.cmd.take().is_some(),
            Self::User => !std::mem::take(&mut run.user).is_empty(),
            Self::WorkingDir => !std::mem::take(&mut run.working_dir).is_empty(),
            Self::Healthcheck => run.healthcheck.take().is_some(),
        }
    }
}

fn with_protocol(port: &str) -> String {
    match port.split_once('/') {
        Some((number, protocol)) => format!("{number}/{}", protocol.to_ascii_lowercase()),
        None => format!("{port}/tcp"),
    }
}

impl FromStr for Unset {
    type Err = UnsetError;

    fn from_str(text: &str) -> Result<Self, UnsetError> {
        let Some((kind, name)) = text.split_once('=') else {
            return Ok(match text {
                "entrypoint" => Self::Entrypoint,
                "cmd" => Self::Cmd,
                "user" => Self::User,
                "workdir" => Self::WorkingDir,
                "healthcheck" => Self::Healthcheck,
                kind if NAMED.contains(&kind) => return Err(UnsetError::Nameless(kind.to_owned())),
                kind => return Err(UnsetError::unknown(kind)),
            });
        };
        let name_of_it = || name.to_owned();
        Ok(match kind {
            kind if NAMED.contains(&kind) && name.is_empty() => {
                return Err(UnsetError::Nameless(kind.to_owned()));
            }
            "env" => Self::Env(name_of_it()),
            "label" => Self::Label(name_of_it()),
            "port" => Self::Port(with_protocol(name)),
            "volume" => Self::Volume(name_of_it()),
            kind if PLAIN.contains(&kind) => return Err(UnsetError::Named(kind.to_owned())),
            kind => return Err(UnsetError::unknown(kind)),
        })
    }
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env={name}"),
            Self::Label(key) => write!(f, "label={key}"),
            Self::Port(port) => write!(f, "port={port}"),
            Self::Volume(path) => write!(f, "volume={path}"),
            Self::Entrypoint => f.write_str("entrypoint"),
            Self::Cmd => f.write_str("cmd"),
            Self::User => f.write_str("user"),
            Self::WorkingDir => f.write_str("workdir"),
            Self::Healthcheck => f.write_str("healthcheck"),
        }
    }
}

/// Why a text is not an [`Unset`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsetError {
    /// The kind needs a name.
    #[error("`{0}` needs a name, as in {0}=NAME")]
    Nameless(String),
    /// The kind has no name.
    #[error("`{0}` is removed as a whole: leave out what follows `{0}`")]
    Named(String),
    /// There is no such kind.
    #[error(
        "`{kind}` cannot be removed from a config{}; env=NAME, label=KEY, port=PORT, volume=PATH, entrypoint, cmd, user, workdir and healthcheck can",
        .near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
    )]
    Unknown {
        /// What was given.
        kind: String,
        /// A kind that it may have been meant to be.
        near: Option<&'static str>,
    },
}

impl UnsetError {
    fn unknown(kind: &str) -> Self {
        let all = NAMED.into_iter().chain(PLAIN);
        let near = all.map(|known| (strsim::osa_distance(&kind.to_lowercase(), known), known));
        let near = near.min_by_key(|(distance, _)| *distance);
        Self::Unknown {
            kind: kind.to_owned(),
            near: near
                .filter(|(distance, _)| *distance < 3)
                .map(|(_, near)| near),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ConfigDraft;
    use super::*;

    const CONFIG: &str = concat!(
        r#"{"x-unknown":{"b":1,"a":[2]},"architecture":"amd64","config":{"Hostname":"h","User":"1","#,
        r#""ExposedPorts":{"80/tcp":{},"53/udp":{}},"Env":["A=1","B=a=b","A=2","C"],"Cmd":["x"],"#,
        r#""Entrypoint":["/e"],"Healthcheck":{"Test":["NONE"]},"Volumes":{"/v":{}},"WorkingDir":"/w","#,
        r#""Labels":{"k":"v","l":"w"},"XOther":7},"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#,
    );

    fn without(unset: &[&str]) -> (String, Vec<bool>) {
        let mut draft = ConfigDraft::parse(CONFIG.as_bytes()).expect("JSON");
        let mut run = draft.run().clone();
        let unset = unset
            .iter()
            .map(|text| text.parse::<Unset>().expect("sound"));
        let found = unset.map(|unset| unset.apply(&mut run)).collect();
        draft.set_run(run);
        (String::from_utf8(draft.to_bytes()).expect("text"), found)
    }

    #[test]
    fn the_rest_stays_as_it_is() {
        let (text, found) = without(&["env=A", "label=k", "port=53/UDP", "env=none"]);
        let expected = CONFIG
            .replace(r#""A=1","#, "")
            .replace(r#""A=2","#, "")
            .replace(r#""k":"v","#, "")
            .replace(r#","53/udp":{}"#, "");
        assert_eq!(text, expected);
        assert_eq!(found, [true, true, true, false]);
    }

    #[test]
    fn everything_can_go() {
        let all = [
            "entrypoint",
            "cmd",
            "user",
            "workdir",
            "healthcheck",
            "volume=/v",
            "port=80",
        ];
        let (text, found) = without(&all);
        assert_eq!(found, [true; 7]);
        let view = ConfigDraft::parse(text.as_bytes()).expect("JSON");
        let run = view.run();
        assert!(run.entrypoint.is_none() && run.cmd.is_none() && run.healthcheck.is_none());
        assert!(run.user.is_empty() && run.working_dir.is_empty() && run.volumes.is_empty());
        assert_eq!(run.exposed_ports, ["53/udp"]);
        assert!(
            text.contains(r#""XOther":7"#) && text.starts_with(r#"{"x-unknown":{"b":1,"a":[2]}"#)
        );
    }

    #[test]
    fn what_is_mistyped_is_told() {
        for (text, message) in [
            ("env", "`env` needs a name, as in env=NAME"),
            ("label=", "`label` needs a name, as in label=NAME"),
            (
                "cmd=x",
                "`cmd` is removed as a whole: leave out what follows `cmd`",
            ),
        ] {
            let error = text.parse::<Unset>().expect_err("mistyped");
            assert_eq!(error.to_string(), message);
        }
        let error = "lable=x".parse::<Unset>().expect_err("mistyped");
        assert!(
            error.to_string().contains("(did you mean label?)"),
            "{error}"
        );
        for text in [
            "env=A",
            "port=80/tcp",
            "volume=/v",
            "label=k=v",
            "cmd",
            "workdir",
        ] {
            assert_eq!(text.parse::<Unset>().expect("sound").to_string(), text);
        }
    }
}
