//! A history, a config and layers, put together to instructions.

use std::collections::HashMap;

use super::base::{NamedBase, boundary};
use super::copies::copied;
use super::files::LayerFiles;
use super::settings::{Resolved, Settings};
use super::{ContextLayer, DockerfileInstruction, DockerfileOptions, DockerfileSource};
use crate::document::dockerfile::created_by::{
    CreatedBy, RecordedRun, recorded_list, recorded_pairs,
};
use crate::document::dockerfile::write::{self, Setting};
use crate::document::{Config, RunConfig};
use crate::image::Image;
use crate::tree::Fates;

/// The shell that reads commands unless `SHELL` names another.
const SHELL: &str = "/bin/sh -c";

/// Said where another image's build seems to begin.
const GUESS: &str =
    "guess: what stands above came with a base image; its archive behind --base makes it FROM";

/// All instructions.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) steps: Vec<DockerfileInstruction>,
    pub(super) base_layers: usize,
    pub(super) tars: Vec<ContextLayer>,
}

/// A step of the history, read.
struct Step<'h> {
    what: CreatedBy<'h>,
    created_by: &'h str,
    comment: &'h str,
    layer: Option<usize>,
}

/// Instructions under construction.
struct Assembly<'i> {
    options: DockerfileOptions<'i>,
    files: Vec<LayerFiles>,
    settings: Settings<'i>,
    /// The shell's words.
    shell: Vec<String>,
    workdir: String,
    /// The build arguments so far.
    arguments: HashMap<String, String>,
    /// Said of the next instruction.
    note_next: Option<&'static str>,
    done: Assembled,
}

/// Where the Dockerfile begins.
struct Begin {
    from: DockerfileInstruction,
    /// How many steps and layers lie before it.
    steps: usize,
    layers: usize,
    /// Where another image's build seems to begin.
    guess: Option<usize>,
}

pub(super) fn assemble(image: &Image, fates: &Fates, options: DockerfileOptions<'_>) -> Assembled {
    let nothing = Config::default();
    let config = image.view().unwrap_or(&nothing);
    let base_run = options
        .base
        .and_then(|base| base.image.view())
        .map(|config| &config.run);
    let shell = base_run.and_then(|run| run.shell.clone());
    let shell = shell.unwrap_or_else(|| SHELL.split(' ').map(str::to_owned).collect());
    let steps = read_steps(image, &shell.join(" "));
    let begin = begin(image, options);
    let set = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| match step.what {
            // What a known base has is taken from its config.
            _ if options.base.is_some() && at < begin.steps => None,
            CreatedBy::Instruction(name, text) => Some((at, name, text)),
            _ => None,
        });
    let mut settings = Settings::new(config, set.collect::<Vec<_>>().into_iter());
    if options.base.is_none() {
        for (at, step) in steps.iter().enumerate().take(begin.steps) {
            if let CreatedBy::Instruction(name, text) = step.what {
                settings.inherit(at, name, text);
            }
        }
    }
    let mut assembly = Assembly {
        options,
        files: LayerFiles::of_all(fates, image.layers.len()),
        settings,
        shell,
        workdir: base_run.map_or_else(String::new, |run| run.working_dir.clone()),
        arguments: HashMap::new(),
        note_next: None,
        done: Assembled {
            steps: vec![begin.from],
            base_layers: begin.layers,
            tars: Vec::new(),
        },
    };
    for (at, step) in steps.iter().enumerate().skip(begin.steps) {
        if begin.guess == Some(at) {
            assembly.note_next = Some(GUESS);
        }
        assembly.step(at, step);
    }
    let explained = steps.iter().filter_map(|step| step.layer).max();
    let first = explained.map_or(0, |layer| layer + 1).max(begin.layers);
    for layer in first..image.layers.len() {
        assembly.layer(layer, "", &["the history has no step for this layer"]);
    }
    assembly.rest(base_run);
    assembly.done
}

/// What `FROM` says.
fn begin(image: &Image, options: DockerfileOptions<'_>) -> Begin {
    let mut from = instruction("FROM", DockerfileSource::History);
    let scratch = Some("FROM scratch".to_owned());
    let guess = boundary(image);
    if let Some(base) = options.base {
        let layers = base.image.layers.len();
        from.text = Some(format!("FROM {}", base.reference()));
        from.source = DockerfileSource::Base;
        from.notes.push(format!(
            "certain: the {layers} lowest layers are those of this image"
        ));
        if base
            .image
            .view()
            .is_some_and(|config| !config.run.on_build.is_empty())
        {
            let what = "the base has ONBUILD triggers, which run again here";
            from.lossy.push(what.to_owned());
        }
        return Begin {
            from,
            steps: base.steps,
            layers,
            guess: None,
        };
    }
    let named = NamedBase::of(image);
    if let Some(named) = named {
        let reference = &named.reference;
        if let Some(steps) = guess.filter(|_| !options.context) {
            let pairing = image.pairing();
            let layers = pairing.steps[..steps]
                .iter()
                .filter_map(|step| step.layer)
                .max();
            let layers = layers.map_or(0, |last| last + 1);
            from.text = Some(format!("FROM {reference}"));
            from.source = DockerfileSource::Annotation;
            from.lossy.push(format!(
                "the image names its base; that the {layers} lowest layers are the base's is a guess, which --base would make certain"
            ));
            return Begin {
                from,
                steps,
                layers,
                guess: None,
            };
        }
        from.notes.push(format!(
            "the image says that its base is {reference}; --base ARCHIVE with that image makes it FROM"
        ));
    }
    from.text = scratch;
    let first = image
        .pairing()
        .steps
        .first()
        .map(|step| CreatedBy::read(step.entry, SHELL));
    if !matches!(first, Some(CreatedBy::Instruction("ADD" | "COPY", _))) {
        from.source = DockerfileSource::Guess;
    }
    Begin {
        from,
        steps: 0,
        layers: 0,
        guess,
    }
}

/// Reads the history; each command is read with the shell that was set before it.
fn read_steps<'i>(image: &'i Image, shell: &str) -> Vec<Step<'i>> {
    let mut shell = shell.to_owned();
    let mut steps = Vec::new();
    for step in image.pairing().steps {
        let what = CreatedBy::read(step.entry, &shell);
        if let CreatedBy::Instruction("SHELL", text) = what {
            shell = recorded_list(text).join(" ");
        }
        steps.push(Step {
            what,
            created_by: &step.entry.created_by,
            comment: &step.entry.comment,
            layer: step.layer,
        });
    }
    steps
}

fn instruction(name: &'static str, source: DockerfileSource) -> DockerfileInstruction {
    DockerfileInstruction {
        instruction: name,
        text: None,
        source,
        layer: None,
        created_by: None,
        tar: None,
        file_count: None,
        files: Vec::new(),
        lossy: Vec::new(),
        notes: Vec::new(),
    }
}

impl Assembly<'_> {
    fn step(&mut self, at: usize, step: &Step<'_>) {
        match &step.what {
            CreatedBy::Run(run) => match step.layer {
                Some(layer) if self.options.no_run => self.layer(layer, step.created_by, &[]),
                _ => self.run(run, step),
            },
            CreatedBy::Instruction("RUN", text) => match step.layer {
                Some(layer) if self.options.no_run => self.layer(layer, step.created_by, &[]),
                _ => {
                    let text = write::run_in_shell(&self.shell, text);
                    self.push_of(step, "RUN", text, Vec::new());
                }
            },
            CreatedBy::Instruction(name @ ("COPY" | "ADD"), text) => self.copy(name, text, step),
            CreatedBy::Instruction("ARG", text) => self.arguments_of(text, step),
            CreatedBy::Instruction(name, text) => {
                // Where the engine makes a layer for the working directory, it makes it again.
                if let Some(layer) = step.layer
                    && (self.options.no_run || *name != "WORKDIR")
                {
                    self.layer(layer, step.created_by, &[]);
                }
                self.setting(at, name, text, step);
            }
            CreatedBy::Other(text) => {
                let what = other(text, step.comment);
                match step.layer {
                    Some(layer) => self.layer(layer, text, &[&what]),
                    None if text.is_empty() && step.comment.is_empty() => {}
                    None => {
                        let mut done = instruction("RUN", DockerfileSource::History);
                        done.created_by = Some(step.created_by.to_owned());
                        done.notes
                            .push("made no layer, and is not an instruction".to_owned());
                        self.push(done);
                    }
                }
            }
        }
    }

    fn push(&mut self, mut done: DockerfileInstruction) {
        if let Some(note) = self.note_next.take() {
            done.notes.insert(0, note.to_owned());
        }
        self.done.steps.push(done);
    }

    /// An instruction that the history has.
    fn push_of(&mut self, step: &Step<'_>, name: &'static str, text: String, lossy: Vec<String>) {
        let mut done = instruction(name, DockerfileSource::History);
        done.text = Some(text);
        done.created_by = Some(step.created_by.to_owned());
        done.lossy = lossy;
        self.describe(&mut done, step.layer);
        self.push(done);
    }

    fn describe(&self, done: &mut DockerfileInstruction, layer: Option<usize>) {
        done.layer = layer;
        if let Some(files) = layer.and_then(|layer| self.files.get(layer)) {
            done.file_count = Some(files.count);
            done.files = files.texts();
        }
    }

    fn run(&mut self, run: &RecordedRun<'_>, step: &Step<'_>) {
        for (name, value) in &run.arguments {
            if self.arguments.get(*name).map(String::as_str) == Some(*value) {
                continue;
            }
            self.arguments
                .insert((*name).to_owned(), (*value).to_owned());
            let setting = Setting::Arg((*name).to_owned(), Some((*value).to_owned()));
            let mut done = instruction("ARG", DockerfileSource::History);
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

    fn copy(&mut self, name: &'static str, text: &str, step: &Step<'_>) {
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
                let mut done = instruction(name, DockerfileSource::History);
                done.created_by = Some(step.created_by.to_owned());
                done.lossy.push("what it copied is not known".to_owned());
                self.push(done);
            }
        }
    }

    /// The files of a layer, as a tar of the build context.
    fn layer(&mut self, layer: usize, created_by: &str, notes: &[&str]) {
        let mut done = instruction("ADD", DockerfileSource::Layer);
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
                crate::report::units::count(files.deletes, "name", "names")
            ));
        }
        self.push(done);
    }

    fn arguments_of(&mut self, text: &str, step: &Step<'_>) {
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
        for setting in settings {
            let mut done = instruction("ARG", DockerfileSource::History);
            done.text = setting.instruction();
            done.created_by = Some(step.created_by.to_owned());
            if done.text.is_none() {
                done.lossy.push(CANNOT.to_owned());
            }
            self.push(done);
        }
    }

    fn setting(&mut self, at: usize, name: &'static str, text: &str, step: &Step<'_>) {
        match self.settings.resolve(at, name, text) {
            Ok(resolved) => self.write(resolved, Some(step.created_by)),
            Err(why) => {
                let mut done = instruction(name, DockerfileSource::History);
                done.created_by = Some(step.created_by.to_owned());
                done.notes.extend(why);
                self.push(done);
            }
        }
    }

    /// Writes a setting, each part of it by itself if a Dockerfile cannot say all of it.
    fn write(&mut self, resolved: Resolved, created_by: Option<&str>) {
        let Resolved {
            setting,
            from_history,
            lossy,
        } = resolved;
        match &setting {
            Setting::Shell(words) => self.shell.clone_from(words),
            Setting::Workdir(path) if path.starts_with('/') => self.workdir.clone_from(path),
            Setting::Workdir(path) => self.workdir = format!("{}/{path}", self.workdir),
            _ => {}
        }
        let source = if from_history {
            DockerfileSource::History
        } else {
            DockerfileSource::Config
        };
        let mut done = instruction(setting.name(), source);
        done.created_by = created_by.map(str::to_owned);
        done.lossy = lossy;
        if created_by.is_some() && !from_history {
            done.notes
                .push("the value is the config's; the history has another".to_owned());
        }
        done.text = setting.instruction();
        if done.text.is_some() {
            self.push(done);
            return;
        }
        let parts: Vec<Setting> = match &setting {
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
            one.text = part.instruction();
            if one.text.is_none() {
                one.lossy.push(format!("{CANNOT}: {}", part.described()));
            }
            self.push(one);
        }
    }

    /// What only the config has.
    fn rest(&mut self, base: Option<&RunConfig>) {
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
            let mut done = instruction("FROM", DockerfileSource::Config);
            done.lossy.push(what);
            self.push(done);
        }
    }
}

/// Said of what has no instruction.
const CANNOT: &str = "a Dockerfile cannot say this";

/// What a step without an instruction is.
fn other(text: &str, comment: &str) -> String {
    let tool = [
        ("bazel build", "made by bazel"),
        ("ko build", "made by ko"),
        ("jib", "made by jib"),
        ("apko", "made by apko"),
        ("# debian.sh", "made by debuerreotype"),
    ];
    let known = tool.iter().find(|(begin, _)| text.starts_with(begin));
    let what = match known {
        Some((_, what)) => (*what).to_owned(),
        None if text.is_empty() => "the history has no instruction".to_owned(),
        None => {
            "not an instruction: a command of a container that was committed, or another builder"
                .to_owned()
        }
    };
    if comment.is_empty() {
        what
    } else {
        format!("{what}; its comment: {comment}")
    }
}
