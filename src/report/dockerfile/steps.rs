//! A history, a config and layers, put together to instructions.

use std::collections::HashMap;

use super::base::begin;
use super::files::LayerFiles;
use super::settings::Settings;
use super::{ContextLayer, DockerfileInstruction, DockerfileOptions, DockerfileSource};
use crate::document::Config;
use crate::document::dockerfile::created_by::{CreatedBy, recorded_list};
use crate::document::dockerfile::write;
use crate::image::Image;
use crate::tree::Fates;

/// The shell that reads commands unless `SHELL` names another.
pub(super) const SHELL: &str = "/bin/sh -c";

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
pub(super) struct Step<'h> {
    pub(super) what: CreatedBy<'h>,
    pub(super) created_by: &'h str,
    pub(super) comment: &'h str,
    pub(super) layer: Option<usize>,
}

/// Instructions under construction.
pub(super) struct Assembly<'i> {
    pub(super) options: DockerfileOptions<'i>,
    pub(super) fates: &'i Fates,
    pub(super) files: Vec<LayerFiles>,
    pub(super) settings: Settings<'i>,
    /// The shell's words.
    pub(super) shell: Vec<String>,
    pub(super) workdir: String,
    /// The build arguments so far.
    pub(super) arguments: HashMap<String, String>,
    /// Said of the next instruction.
    pub(super) note_next: Option<&'static str>,
    pub(super) done: Assembled,
}

pub(super) fn assemble<'i>(
    image: &'i Image,
    fates: &'i Fates,
    options: DockerfileOptions<'i>,
) -> Assembled {
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
        fates,
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
                        let mut done = DockerfileInstruction::new("RUN", DockerfileSource::History);
                        done.created_by = Some(step.created_by.to_owned());
                        done.notes
                            .push("made no layer, and is not an instruction".to_owned());
                        self.push(done);
                    }
                }
            }
        }
    }

    pub(super) fn push(&mut self, mut done: DockerfileInstruction) {
        if let Some(note) = self.note_next.take() {
            done.notes.insert(0, note.to_owned());
        }
        self.done.steps.push(done);
    }

    /// An instruction that the history has.
    pub(super) fn push_of(
        &mut self,
        step: &Step<'_>,
        name: &'static str,
        text: String,
        lossy: Vec<String>,
    ) {
        let mut done = DockerfileInstruction::new(name, DockerfileSource::History);
        done.text = Some(text);
        done.created_by = Some(step.created_by.to_owned());
        done.lossy = lossy;
        self.describe(&mut done, step.layer);
        self.push(done);
    }

    pub(super) fn describe(&self, done: &mut DockerfileInstruction, layer: Option<usize>) {
        done.layer = layer;
        if let Some(files) = layer.and_then(|layer| self.files.get(layer)) {
            done.file_count = Some(files.count);
            done.files = files.texts();
        }
    }
}

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
