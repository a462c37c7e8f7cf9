//! Which setting of the config each step of the history makes.
//!
//! Histories have lost quotes, and what was changed afterwards. So the last step that sets something sets what
//! the config has; what no step sets, the config adds at the end.

use std::collections::{HashMap, HashSet};

use crate::document::dockerfile::created_by::{recorded_list, recorded_pairs};
use crate::document::dockerfile::write::Setting;
use crate::document::{Config, Health, RunConfig};

/// What can be set by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Env(String),
    Label(String),
    Cmd,
    Entrypoint,
    Shell,
    User,
    Workdir,
    StopSignal,
    Health,
    Author,
    Port(String),
    Volume(String),
}

/// A setting that is to be written.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    /// The setting.
    pub(super) setting: Setting,
    /// Whether the history says the same.
    pub(super) from_history: bool,
    /// What is lost with it.
    pub(super) lossy: Vec<String>,
}

/// The settings of a config, and which of them are written already.
#[derive(Debug)]
pub(super) struct Settings<'c> {
    pub(super) run: &'c RunConfig,
    pub(super) author: &'c str,
    pub(super) env: HashMap<&'c str, &'c str>,
    pub(super) labels: HashMap<&'c str, &'c str>,
    pub(super) ports: HashSet<&'c str>,
    pub(super) volumes: HashSet<&'c str>,
    /// The step that sets it last.
    pub(super) last: HashMap<Key, usize>,
    /// What is set, by a step or by the base.
    pub(super) done: HashSet<Key>,
    /// By step, whether its `ONBUILD` is in the config.
    pub(super) triggers: HashSet<usize>,
    /// How many triggers of the config no step sets.
    pub(super) unset_triggers: usize,
}

/// What a step sets, as its history says.
type Mention = (Setting, Vec<Key>);

impl<'c> Settings<'c> {
    /// The settings of `config`; `steps` are the steps that set something: number, instruction, arguments.
    pub(super) fn new<'s>(
        config: &'c Config,
        steps: impl DoubleEndedIterator<Item = (usize, &'static str, &'s str)>,
    ) -> Self {
        let run = &config.run;
        let pair = |pair: &'c String| pair.split_once('=');
        let mut settings = Self {
            run,
            author: &config.author,
            env: run.env.iter().filter_map(pair).collect(),
            labels: run
                .labels
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect(),
            ports: run.exposed_ports.iter().map(String::as_str).collect(),
            volumes: run.volumes.iter().map(String::as_str).collect(),
            last: HashMap::new(),
            done: HashSet::new(),
            triggers: HashSet::new(),
            unset_triggers: run.on_build.len(),
        };
        for (step, name, text) in steps.rev() {
            // Triggers add up; those that an image built from this one has used are gone.
            if name == "ONBUILD" {
                let left = settings.unset_triggers;
                if left > 0 && run.on_build[left - 1] == text {
                    settings.triggers.insert(step);
                    settings.unset_triggers -= 1;
                }
                continue;
            }
            let Some((_, keys)) = settings.mention(name, text) else {
                continue;
            };
            for key in keys {
                settings.last.entry(key).or_insert(step);
            }
        }
        // In between they would come in another order.
        if settings.unset_triggers > 0 {
            settings.triggers.clear();
            settings.unset_triggers = run.on_build.len();
        }
        settings
    }

    /// What the recorded instruction sets.
    fn mention(&self, name: &str, text: &str) -> Option<Mention> {
        let words = || recorded_list(text);
        let of = |setting, key| Some((setting, vec![key]));
        match name {
            "ENV" => {
                let pairs = recorded_pairs(text, |name| self.env.get(name).copied());
                let keys = pairs
                    .iter()
                    .map(|(name, _)| Key::Env(name.clone()))
                    .collect();
                Some((Setting::Env(pairs), keys))
            }
            "LABEL" => {
                let pairs = recorded_pairs(text, |name| self.labels.get(name).copied());
                let keys = pairs
                    .iter()
                    .map(|(name, _)| Key::Label(name.clone()))
                    .collect();
                Some((Setting::Label(pairs), keys))
            }
            "CMD" => of(Setting::Cmd(words()), Key::Cmd),
            "ENTRYPOINT" => of(Setting::Entrypoint(words()), Key::Entrypoint),
            "SHELL" => of(Setting::Shell(words()), Key::Shell),
            "USER" => of(Setting::User(text.to_owned()), Key::User),
            "WORKDIR" => of(Setting::Workdir(text.to_owned()), Key::Workdir),
            "STOPSIGNAL" => of(Setting::StopSignal(text.to_owned()), Key::StopSignal),
            "MAINTAINER" => of(Setting::Maintainer(text.to_owned()), Key::Author),
            "HEALTHCHECK" => of(Setting::Healthcheck(Health::default()), Key::Health),
            "EXPOSE" => {
                let ports: Vec<String> = words().iter().map(|port| with_protocol(port)).collect();
                let keys = ports.iter().cloned().map(Key::Port).collect();
                Some((Setting::Expose(ports), keys))
            }
            "VOLUME" => {
                let volumes = words();
                let keys = volumes.iter().cloned().map(Key::Volume).collect();
                Some((Setting::Volume(volumes), keys))
            }
            _ => None,
        }
    }

    /// Notes that the base has what a step sets, so far as no later step sets it again.
    pub(super) fn inherit(&mut self, step: usize, name: &str, text: &str) {
        for key in self
            .mention(name, text)
            .map(|(_, keys)| keys)
            .unwrap_or_default()
        {
            if self.last.get(&key) == Some(&step) {
                self.done.insert(key);
            }
        }
    }

    /// What `step` sets in the Dockerfile; `Err` says why nothing.
    pub(super) fn resolve(
        &mut self,
        step: usize,
        name: &str,
        text: &str,
    ) -> Result<Resolved, Option<String>> {
        if name == "ONBUILD" {
            if !self.triggers.contains(&step) {
                return Err(Some("the config does not have it (any more)".to_owned()));
            }
            return Ok(Resolved {
                setting: Setting::OnBuild(text.to_owned()),
                from_history: true,
                lossy: Vec::new(),
            });
        }
        let Some((recorded, keys)) = self.mention(name, text) else {
            return Err(Some("this instruction is not known".to_owned()));
        };
        if keys.is_empty() {
            return Err(Some("nothing can be read in it".to_owned()));
        }
        let is_last = |key: &Key| self.last.get(key) == Some(&step);
        let mut gone = Vec::new();
        let setting = match recorded.clone() {
            Setting::Env(pairs) => Setting::Env(self.values(pairs, step, true, &mut gone)),
            Setting::Label(pairs) => Setting::Label(self.values(pairs, step, false, &mut gone)),
            Setting::Expose(ports) => Setting::Expose(kept(ports, &self.ports, &mut gone)),
            Setting::Volume(paths) => Setting::Volume(kept(paths, &self.volumes, &mut gone)),
            Setting::Healthcheck(_) if !is_last(&Key::Health) => {
                return Err(Some("a later instruction replaces it".to_owned()));
            }
            recorded if !is_last(&keys[0]) => recorded,
            recorded => match self.single(&recorded) {
                Some(setting) => setting,
                None => return Err(Some("the config does not have it (any more)".to_owned())),
            },
        };
        let is_empty = match &setting {
            Setting::Env(pairs) | Setting::Label(pairs) => pairs.is_empty(),
            Setting::Expose(words) | Setting::Volume(words) => words.is_empty(),
            _ => false,
        };
        if is_empty {
            return Err(Some("the config does not have it (any more)".to_owned()));
        }
        for key in keys {
            self.done.insert(key);
        }
        let from_history = setting == recorded || matches!(setting, Setting::Healthcheck(_));
        let mut lossy = Vec::new();
        if !gone.is_empty() {
            lossy.push(format!(
                "the config does not have {} (any more)",
                gone.join(", ")
            ));
        }
        Ok(Resolved {
            setting,
            from_history,
            lossy,
        })
    }

    /// Pairs with the config's values where `step` sets them last, without those that it does not have.
    fn values(
        &self,
        pairs: Vec<(String, String)>,
        step: usize,
        is_env: bool,
        gone: &mut Vec<String>,
    ) -> Vec<(String, String)> {
        let values = if is_env { &self.env } else { &self.labels };
        let mut kept = Vec::with_capacity(pairs.len());
        for (name, recorded) in pairs {
            let key = if is_env {
                Key::Env(name.clone())
            } else {
                Key::Label(name.clone())
            };
            match values.get(name.as_str()) {
                None => gone.push(name),
                Some(value) if self.last.get(&key) == Some(&step) => {
                    kept.push((name, (*value).to_owned()));
                }
                Some(_) => kept.push((name, recorded)),
            }
        }
        kept
    }

    /// The config's own value of what `like` sets.
    fn single(&self, like: &Setting) -> Option<Setting> {
        let run = self.run;
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(match like {
            Setting::Cmd(_) => Setting::Cmd(run.cmd.clone()?),
            Setting::Entrypoint(_) => Setting::Entrypoint(run.entrypoint.clone()?),
            Setting::Shell(_) => Setting::Shell(run.shell.clone()?),
            Setting::User(_) => Setting::User(text(&run.user)?),
            Setting::Workdir(_) => Setting::Workdir(text(&run.working_dir)?),
            Setting::StopSignal(_) => Setting::StopSignal(text(&run.stop_signal)?),
            Setting::Maintainer(_) => Setting::Maintainer(text(self.author)?),
            Setting::Healthcheck(_) => Setting::Healthcheck(run.healthcheck.clone()?),
            _ => return None,
        })
    }
}

/// Those that the config has.
fn kept(words: Vec<String>, known: &HashSet<&str>, gone: &mut Vec<String>) -> Vec<String> {
    let (kept, lost) = words
        .into_iter()
        .partition(|word| known.contains(word.as_str()));
    gone.extend::<Vec<String>>(lost);
    kept
}

/// A port as configs name it.
fn with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
}
