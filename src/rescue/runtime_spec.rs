//! How a container of podman or CRI-O ran: both keep the runtime spec of a container that was started in its directory
//! (`userdata/config.json`; OCI runtime-spec `config.md`). What podman commits comes of the settings behind it
//! (libpod `container_commit.go`, `container_internal_common.go`), which are in a database.

use serde::Deserialize;

use super::documents::Documents;
use super::files::FileNode;
use crate::document::RunConfig;

/// What podman and CRI-O add to the environment when a container starts, unless the image or the user had it.
const ADDED: [&str; 2] = ["HOME", "HOSTNAME"];

/// Programs that podman starts the command with if `--init` asks for one, each followed by `--`.
const INITS: [&str; 2] = ["/run/podman-init", "/dev/init"];

/// The runtime spec, as far as an image config has the same.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RuntimeSpec {
    process: Option<RuntimeProcess>,
}

/// The process of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct RuntimeProcess {
    user: RuntimeUser,
    args: Option<Vec<String>>,
    env: Option<Vec<String>>,
    cwd: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct RuntimeUser {
    uid: u32,
    gid: u32,
}

/// What CRI-O notes of a container that ran (`internal/oci/container.go`, `ContainerState`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RuntimeState {
    status: String,
    exit_code: Option<i64>,
    finished: Option<String>,
}

impl RuntimeProcess {
    /// Reads it from the `userdata` of a container; `None` if the engine left no runtime spec there, as for a container
    /// that was never started.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, for people.
    pub(crate) fn read(
        documents: &Documents<'_>,
        userdata: FileNode,
    ) -> Result<Option<Self>, String> {
        let Some(file) = documents.files.child(userdata, b"config.json") else {
            return Ok(None);
        };
        let spec: RuntimeSpec = documents.json(file)?;
        Ok(spec.process)
    }

    /// The command line, without what `--init` put in front of it.
    pub(crate) fn command(&self) -> &[String] {
        let args = self.args.as_deref().unwrap_or_default();
        match args {
            [init, dashes, rest @ ..] if dashes == "--" && INITS.contains(&init.as_str()) => rest,
            all => all,
        }
    }

    /// How an image of the container runs, if its own image runs as `image` says. Labels, ports, volumes and health
    /// checks are not in a runtime spec: they stay as they are in the image.
    pub(crate) fn run(&self, image: &RunConfig) -> RunConfig {
        let mut run = image.clone();
        let command = self.command();
        // The spec has one command line: where it begins with the entrypoint of the image, that was kept.
        let kept = image.entrypoint.as_deref().filter(|own| !own.is_empty());
        let (entrypoint, cmd) = match kept {
            Some(own) if command.starts_with(own) => (own, &command[own.len()..]),
            Some(_) => command.split_at(command.len().min(1)),
            None => (&[][..], command),
        };
        let some = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        run.entrypoint = some(entrypoint);
        run.cmd = some(cmd);
        run.env = self.env(&image.env);
        run.working_dir.clone_from(&self.cwd);
        run.user = self.user(&image.user);
        run
    }

    fn env(&self, image: &[String]) -> Vec<String> {
        let key = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let mut env = self.env.clone().unwrap_or_default();
        // They are added last.
        while let Some(last) = env.last().map(|pair| key(pair))
            && ADDED.contains(&last.as_str())
            && !image.iter().any(|pair| key(pair) == last)
        {
            env.pop();
        }
        env
    }

    /// The user as the image has it if that may be the one, else by number: a name is not in the spec.
    fn user(&self, image: &str) -> String {
        let (uid, gid) = (self.user.uid, self.user.gid);
        let is_root = uid == 0 && gid == 0;
        let own = image.split_once(':').unwrap_or((image, ""));
        let is_same = match own {
            ("", "") => is_root,
            (user, "") => user.parse() == Ok(uid),
            (user, group) => user.parse() == Ok(uid) && group.parse() == Ok(gid),
        };
        match is_same {
            true => image.to_owned(),
            false if is_root => "0".to_owned(),
            false => format!("{uid}:{gid}"),
        }
    }
}

/// What CRI-O says a container was doing, in the words of Docker, and when it stopped; nothing of podman, whose state is
/// in its database.
pub(crate) fn state(
    documents: &Documents<'_>,
    userdata: FileNode,
) -> Result<(Option<String>, Option<String>), String> {
    let Some(file) = documents.files.child(userdata, b"state.json") else {
        return Ok((None, None));
    };
    let state: RuntimeState = documents.json(file)?;
    let word = match (state.status.as_str(), state.exit_code) {
        ("", _) => None,
        ("stopped", Some(code)) => Some(format!("exited ({code})")),
        (status, _) => Some(status.to_owned()),
    };
    let finished = state.finished.filter(|at| !at.starts_with("0001-"));
    Ok((word, finished))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn process(args: &[&str], env: &[&str], (uid, gid): (u32, u32)) -> RuntimeProcess {
        RuntimeProcess {
            user: RuntimeUser { uid, gid },
            args: Some(words(args)),
            env: Some(words(env)),
            cwd: "/srv".to_owned(),
        }
    }

    fn image(entrypoint: &[&str], user: &str) -> RunConfig {
        RunConfig {
            entrypoint: (!entrypoint.is_empty()).then(|| words(entrypoint)),
            user: user.to_owned(),
            env: words(&["PATH=/bin"]),
            ..RunConfig::default()
        }
    }

    #[test]
    fn a_command_line_is_split_as_the_image_says() {
        let split = |own: &[&str], args: &[&str]| {
            let run = process(args, &[], (0, 0)).run(&image(own, ""));
            (run.entrypoint, run.cmd)
        };
        let some = |list: &[&str]| Some(words(list));
        assert_eq!(
            split(&[], &["sh", "-c", "x"]),
            (None, some(&["sh", "-c", "x"]))
        );
        assert_eq!(
            split(&["run", "-f"], &["run", "-f"]),
            (some(&["run", "-f"]), None)
        );
        assert_eq!(
            split(&["run"], &["run", "a"]),
            (some(&["run"]), some(&["a"]))
        );
        assert_eq!(split(&["run"], &["sh", "a"]), (some(&["sh"]), some(&["a"])));
        assert_eq!(split(&["run"], &[]), (None, None));
        let init = ["/run/podman-init", "--", "run", "a"];
        assert_eq!(split(&["run"], &init), (some(&["run"]), some(&["a"])));
    }

    #[test]
    fn what_an_engine_adds_to_the_environment_is_left_out() {
        let env = |env: &[&str], own: &[&str]| process(&[], env, (0, 0)).env(&words(own));
        let all = ["PATH=/bin", "A=b", "HOME=/", "HOSTNAME=x"];
        assert_eq!(env(&all, &["PATH=/bin"]), ["PATH=/bin", "A=b"]);
        // What the image has itself stays.
        assert_eq!(env(&all, &["HOME=/root"]), ["PATH=/bin", "A=b", "HOME=/"]);
        let given = ["HOME=/given", "A=b", "HOSTNAME=x"];
        assert_eq!(env(&given, &[]), ["HOME=/given", "A=b"]);
    }

    #[test]
    fn a_user_stays_as_the_image_names_it_if_it_can_be_the_same() {
        let user = |own: &str, ids| process(&[], &[], ids).user(own);
        assert_eq!(user("", (0, 0)), "");
        assert_eq!(user("1000:1000", (1000, 1000)), "1000:1000");
        assert_eq!(user("1000", (1000, 0)), "1000");
        assert_eq!(user("1000:1000", (0, 0)), "0");
        assert_eq!(user("1000:1000", (1000, 5)), "1000:5");
        assert_eq!(user("www", (33, 33)), "33:33");
        assert_eq!(user("", (5, 0)), "5:0");
    }
}
