//! What no step sets: the rest of the config, and what of a base it does not have.

use std::collections::HashSet;

use super::settings::{Key, Settings};
use crate::document::RunConfig;
use crate::document::dockerfile::write::Setting;

impl Settings<'_> {
    /// What the config has and neither a step nor `base` sets, and what of the base cannot be taken back.
    pub(super) fn rest(&self, base: Option<&RunConfig>) -> (Vec<Setting>, Vec<String>) {
        let none = RunConfig::default();
        let base = base.unwrap_or(&none);
        let run = self.run;
        let mut rest = Vec::new();
        let mut stuck = Vec::new();
        let is_open = |key: &Key| !self.done.contains(key);
        let mut named: HashSet<&str> = HashSet::new();
        let mut env = Vec::new();
        let inherited: HashSet<&str> = base.env.iter().map(String::as_str).collect();
        for pair in &run.env {
            match pair.split_once('=') {
                Some((name, _)) if named.insert(name) => {
                    let value = self.env.get(name).copied().unwrap_or_default();
                    let is_same = inherited.contains(format!("{name}={value}").as_str());
                    if is_open(&Key::Env(name.to_owned())) && !is_same {
                        env.push((name.to_owned(), value.to_owned()));
                    }
                }
                Some((name, _)) => stuck.push(format!("the config sets the variable {name} twice")),
                None => stuck.push(format!(
                    "the config has the variable {pair} without a value"
                )),
            }
        }
        rest.extend((!env.is_empty()).then_some(Setting::Env(env)));
        let old: HashSet<&(String, String)> = base.labels.iter().collect();
        let is_new = |label: &&(String, String)| {
            is_open(&Key::Label(label.0.clone())) && !old.contains(label)
        };
        let labels: Vec<_> = run.labels.iter().filter(is_new).cloned().collect();
        rest.extend((!labels.is_empty()).then_some(Setting::Label(labels)));
        let new = |all: &[String], old: &[String], key: fn(String) -> Key| -> Vec<String> {
            let old: HashSet<&String> = old.iter().collect();
            let new = all
                .iter()
                .filter(|one| !old.contains(one) && is_open(&key((*one).clone())));
            new.cloned().collect()
        };
        let ports = new(&run.exposed_ports, &base.exposed_ports, Key::Port);
        rest.extend((!ports.is_empty()).then_some(Setting::Expose(ports)));
        let volumes = new(&run.volumes, &base.volumes, Key::Volume);
        rest.extend((!volumes.is_empty()).then_some(Setting::Volume(volumes)));
        self.rest_of_singles(base, &mut rest, &mut stuck);
        let triggers = &run.on_build[..self.unset_triggers];
        rest.extend(triggers.iter().cloned().map(Setting::OnBuild));
        self.left_of(base, &mut stuck);
        (rest, stuck)
    }

    fn rest_of_singles(&self, base: &RunConfig, rest: &mut Vec<Setting>, stuck: &mut Vec<String>) {
        let run = self.run;
        let is_open = |key: Key| !self.done.contains(&key);
        let mut text = |key: Key, value: &String, old: &String, of: fn(String) -> Setting| {
            if !is_open(key) || value == old {
                return;
            }
            let setting = of(value.clone());
            match (value.is_empty(), &setting) {
                (false, _) | (_, Setting::User(_)) => rest.push(setting),
                _ => stuck.push(format!(
                    "the base has {} `{old}`, the config none",
                    setting.name()
                )),
            }
        };
        text(Key::User, &run.user, &base.user, Setting::User);
        text(
            Key::Workdir,
            &run.working_dir,
            &base.working_dir,
            Setting::Workdir,
        );
        text(
            Key::StopSignal,
            &run.stop_signal,
            &base.stop_signal,
            Setting::StopSignal,
        );
        if is_open(Key::Author) && !self.author.is_empty() {
            rest.push(Setting::Maintainer(self.author.to_owned()));
        }
        if is_open(Key::Shell) && run.shell != base.shell {
            match &run.shell {
                Some(shell) => rest.push(Setting::Shell(shell.clone())),
                None => stuck.push("the base has a SHELL, the config none".to_owned()),
            }
        }
        if is_open(Key::Health) && run.healthcheck != base.healthcheck {
            match &run.healthcheck {
                Some(health) => rest.push(Setting::Healthcheck(health.clone())),
                None => stuck.push("the base has a HEALTHCHECK, the config none".to_owned()),
            }
        }
        // An entrypoint takes the base's command away, unless there is one of this Dockerfile's.
        let entrypoint = run.entrypoint.clone().unwrap_or_default();
        let takes_away = base.cmd.is_some() && run.cmd.is_none() && is_open(Key::Cmd);
        let differs = entrypoint != base.entrypoint.clone().unwrap_or_default();
        let mut has_entrypoint = !is_open(Key::Entrypoint);
        if !has_entrypoint && (differs || takes_away) {
            has_entrypoint = true;
            rest.push(Setting::Entrypoint(entrypoint));
        }
        if is_open(Key::Cmd)
            && let Some(cmd) = &run.cmd
            && (run.cmd != base.cmd || has_entrypoint)
        {
            rest.push(Setting::Cmd(cmd.clone()));
        }
    }

    /// What of the base cannot be taken back.
    fn left_of(&self, base: &RunConfig, stuck: &mut Vec<String>) {
        let mut left = Vec::new();
        for pair in &base.env {
            let name = pair.split_once('=').map_or(pair.as_str(), |(name, _)| name);
            if !self.env.contains_key(name) {
                left.push(format!("the variable {name}"));
            }
        }
        let labels = base
            .labels
            .iter()
            .filter(|(key, _)| !self.labels.contains_key(key.as_str()));
        left.extend(labels.map(|(key, _)| format!("the label {key}")));
        let ports = base
            .exposed_ports
            .iter()
            .filter(|port| !self.ports.contains(port.as_str()));
        left.extend(ports.map(|port| format!("the port {port}")));
        let volumes = base
            .volumes
            .iter()
            .filter(|path| !self.volumes.contains(path.as_str()));
        left.extend(volumes.map(|path| format!("the volume {path}")));
        if !left.is_empty() {
            stuck.push(format!(
                "the base has what the config has not: {}",
                left.join(", ")
            ));
        }
    }
}
