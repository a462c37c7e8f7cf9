//! The instructions of each kind of step.

use super::copies::copied;
use super::files::LayerFiles;
use super::settings::Resolved;
use super::steps::{Assembly, Step};
use super::{ContextLayer, DockerfileInstruction, DockerfileSource};
use crate::document::RunConfig;
use crate::document::dockerfile::created_by::{RecordedRun, recorded_pairs};
use crate::document::dockerfile::write::{self, Setting};
use crate::report::units;

/// How many variables one instruction sets: each is looked up among those before it when it is read again.
const PAIRS: usize = 500;

/// Said of what has no instruction.
const CANNOT: &str = "a Dockerfile cannot say this";

impl Assembly<'_> {
    pub(super) fn run(&mut self, run: &RecordedRun<'_>, step: &Step<'_>) {
        for (name, value) in &run.arguments {
            if self.arguments.get(*name).map(String::as_str) == Some(*value) {
                continue;
            }
            self.arguments
                .insert((*name).to_owned(), (*value).to_owned());
            let setting = Setting::Arg((*name).to_owned(), Some((*value).to_owned()));
            let mut done = DockerfileInstruction::new("ARG", DockerfileSource::History);
            done.text = setting.instruction();
            if run.arguments_guessed {
                done.lossy
                    .push("where the value ends is a guess".to_owned());
            } else {
                done.notes
                    .push("the value that the build was given".to_owned());
            }
            self.push(done);
        }
        let mut lossy = Vec::new();
        let text = match run.shell {
            Some(shell) if shell == self.shell.join(" ") => {
                write::run_in_shell(&self.shell, run.text)
            }
            Some(shell) => {
                let mut words: Vec<String> = shell.split(' ').map(str::to_owned).collect();
                words.push(run.text.to_owned());
                write::run_words(&words)
            }
            None => {
                lossy.push(
                    "histories do not keep where one word ends and the next begins".to_owned(),
                );
                let words = run.text.split_whitespace();
                write::run_words(&words.map(str::to_owned).collect::<Vec<_>>())
            }
        };
        self.push_of(step, "RUN", text, lossy);
    }

    pub(super) fn copy(&mut self, name: &'static str, text: &str, step: &Step<'_>) {
        let none = LayerFiles::default();
        let files = step
            .layer
            .and_then(|layer| self.files.get(layer))
            .unwrap_or(&none);
        let copied = copied(name, text, &self.workdir, files);
        match (step.layer, copied) {
            (Some(layer), _) if self.options.context => self.layer(layer, step.created_by, &[]),
            (_, Some(copied)) => self.push_of(step, name, copied.text, copied.lossy),
            (Some(layer), None) => self.layer(layer, step.created_by, &[]),
            (None, None) => {
                let mut done = DockerfileInstruction::new(name, DockerfileSource::History);
                done.created_by = Some(step.created_by.to_owned());
                done.lossy.push("what it copied is not known".to_owned());
                self.push(done);
            }
        }
    }

    /// The files of a layer, as a tar of the build context.
    pub(super) fn layer(&mut self, layer: usize, created_by: &str, notes: &[&str]) {
        let mut done = DockerfileInstruction::new("ADD", DockerfileSource::Layer);
        self.describe(&mut done, Some(layer));
        done.created_by = (!created_by.is_empty()).then(|| created_by.to_owned());
        done.notes
            .extend(notes.iter().map(|note| (*note).to_owned()));
        let files = &self.files[layer];
        let count = if self.options.no_run {
            files.live
        } else {
            files.entries
        };
        if count == 0 {
            let why = if files.entries == 0 && files.deletes == 0 {
                "the layer is empty"
            } else {
                "nothing of the layer is left in the image"
            };
            done.notes.push(why.to_owned());
        } else {
            let path = format!("layers/{layer}.tar");
            done.text = Some(format!("ADD {path} /"));
            if !self.options.context {
                done.notes.push(format!("--context writes {path}"));
            }
            done.tar = Some(path.clone());
            self.done.tars.push(ContextLayer { path, layer });
        }
        if files.deletes > 0 && !self.options.no_run {
            done.lossy.push(format!(
                "the layer also deletes {}, which ADD cannot; with --context --no-run nothing is lost",
                units::count(files.deletes, "name", "names")
            ));
        }
        self.push(done);
    }

    pub(super) fn arguments_of(&mut self, text: &str, step: &Step<'_>) {
        let name = text.split(['=', ' ']).next().unwrap_or_default();
        let pairs = if text.contains('=') {
            recorded_pairs(text, |_| None)
        } else {
            Vec::new()
        };
        let mut settings: Vec<Setting> = Vec::new();
        for (name, value) in pairs {
            self.arguments.insert(name.clone(), value.clone());
            settings.push(Setting::Arg(name, Some(value)));
        }
        if settings.is_empty() {
            settings.push(Setting::Arg(name.to_owned(), None));
        }
        let mut created_by = Some(step.created_by.to_owned());
        for setting in settings {
            let mut done = DockerfileInstruction::new("ARG", DockerfileSource::History);
            done.text = setting.instruction();
            done.created_by = created_by.take();
            if done.text.is_none() {
                done.lossy.push(CANNOT.to_owned());
            }
            self.push(done);
        }
    }

    pub(super) fn setting(&mut self, at: usize, name: &'static str, text: &str, step: &Step<'_>) {
        match self.settings.resolve(at, name, text) {
            Ok(resolved) => self.write(resolved, Some(step.created_by)),
            Err(why) => {
                let mut done = DockerfileInstruction::new(name, DockerfileSource::History);
                done.created_by = Some(step.created_by.to_owned());
                done.notes.extend(why);
                self.push(done);
            }
        }
    }

    /// Writes a setting, each part of it by itself if a Dockerfile cannot say all of it.
    pub(super) fn write(&mut self, resolved: Resolved, created_by: Option<&str>) {
        let Resolved {
            setting,
            from_history,
            lossy,
        } = resolved;
        let mut lossy = lossy;
        match &setting {
            Setting::Shell(words) => self.shell.clone_from(words),
            Setting::Workdir(path) => {
                if path.starts_with('/') {
                    self.workdir.clone_from(path);
                } else {
                    self.workdir = format!("{}/{path}", self.workdir);
                }
                let there = self.fates.tree().lookup(self.workdir.as_bytes(), true);
                if !matches!(there, Ok(Some(_))) {
                    lossy.push("the image has no such directory; the build makes one".to_owned());
                }
            }
            _ => {}
        }
        let source = if from_history {
            DockerfileSource::History
        } else {
            DockerfileSource::Config
        };
        let mut done = DockerfileInstruction::new(setting.name(), source);
        done.created_by = created_by.map(str::to_owned);
        done.lossy = lossy;
        if created_by.is_some() && !from_history {
            done.notes
                .push("the value is the config's; the history has another".to_owned());
        }
        if let Setting::Env(pairs) = &setting
            && pairs.len() > PAIRS
        {
            for pairs in pairs.chunks(PAIRS) {
                self.push_parts(&done, &Setting::Env(pairs.to_vec()));
                done.created_by = None;
            }
            return;
        }
        self.push_parts(&done, &setting);
    }

    /// An instruction for all of a setting, or one for each part that a Dockerfile can say.
    fn push_parts(&mut self, like: &DockerfileInstruction, setting: &Setting) {
        let mut done = like.clone();
        done.text = setting.instruction();
        if done.text.is_some() {
            self.push(done);
            return;
        }
        let parts: Vec<Setting> = match setting {
            Setting::Env(pairs) => pairs
                .iter()
                .map(|one| Setting::Env(vec![one.clone()]))
                .collect(),
            Setting::Label(pairs) => pairs
                .iter()
                .map(|one| Setting::Label(vec![one.clone()]))
                .collect(),
            Setting::Expose(all) => all
                .iter()
                .map(|one| Setting::Expose(vec![one.clone()]))
                .collect(),
            Setting::Volume(all) => all
                .iter()
                .map(|one| Setting::Volume(vec![one.clone()]))
                .collect(),
            other => vec![other.clone()],
        };
        for part in parts {
            let mut one = done.clone();
            // The step is said once, however many parts it has.
            done.created_by = None;
            one.text = part.instruction();
            if one.text.is_none() {
                one.lossy.push(format!("{CANNOT}: {}", part.described()));
            }
            self.push(one);
        }
    }

    /// What only the config has.
    pub(super) fn rest(&mut self, base: Option<&RunConfig>) {
        let (rest, stuck) = self.settings.rest(base);
        for setting in rest {
            let resolved = Resolved {
                setting,
                from_history: false,
                lossy: Vec::new(),
            };
            self.write(resolved, None);
        }
        for what in stuck {
            let mut done = DockerfileInstruction::new("FROM", DockerfileSource::Config);
            done.lossy.push(what);
            self.push(done);
        }
    }
}
