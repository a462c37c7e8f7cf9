//! `dockerfile`: instructions that would build an image.
//!
//! The history gives instructions and their order, the config gives values, the layers give files. What none of them
//! has is noted at the instruction that lacks it. `docs/dockerfile.md` has the rules.

mod base;
mod copies;
mod files;
mod rest;
mod settings;
mod steps;
mod write;

use std::fmt::Write as _;

use serde::Serialize;

use super::images::{id, references};
use super::text::Text;
use crate::base::escape;
use crate::image::Image;
use crate::tree::Fates;

pub use base::KnownBase;

/// How long a step of the history is in a comment, in characters.
const QUOTED: usize = 160;

/// How long other comments are, in characters.
const COMMENT: usize = 400;

/// The answer of `dockerfile`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DockerfileReport {
    /// `imgtar/dockerfile/1`
    pub schema: &'static str,
    /// The image ID.
    pub image: Option<String>,
    /// The names of the image.
    pub references: Vec<String>,
    /// Its platform; build it with `--platform` if that is not the engine's own.
    pub platform: Option<String>,
    /// How many layers come from the image that `FROM` names.
    pub base_layers: usize,
    /// The instructions, `FROM` first.
    pub instructions: Vec<DockerfileInstruction>,
    /// How many of them do not express everything that the image has, or are a guess.
    pub inexact: usize,
    /// The layers whose files the build context has to hold, base first.
    #[serde(skip)]
    pub tars: Vec<ContextLayer>,
}

/// A tar of the build context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextLayer {
    /// Its path in the context.
    pub path: String,
    /// The layer, base first.
    pub layer: usize,
}

/// Where an instruction was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DockerfileSource {
    /// The history has it, and the config does not contradict.
    History,
    /// Only the config has it, or its value is not that of the history.
    Config,
    /// A layer without an instruction that could be written.
    Layer,
    /// An archive with the base image.
    Base,
    /// The image's annotations name the base image.
    Annotation,
    /// A guess: it is likely, but nothing states it.
    Guess,
}

/// One instruction, or what replaces it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DockerfileInstruction {
    /// Its name, such as `RUN`.
    pub instruction: &'static str,
    /// Its text in the Dockerfile, which may have several lines; `null` if no instruction can express it, or if none
    /// is needed.
    pub text: Option<String>,
    /// Where it was found.
    pub source: DockerfileSource,
    /// The layer that it makes, base first.
    pub layer: Option<usize>,
    /// What the history says.
    pub created_by: Option<String>,
    /// The tar of the build context that it adds.
    pub tar: Option<String>,
    /// How many files other than directories its layer has, if the instruction is about a layer.
    pub file_count: Option<u64>,
    /// The first of them.
    pub files: Vec<Text>,
    /// Why it is not, or may not be, what the image was built with.
    pub lossy: Vec<String>,
    /// Other remarks of the Dockerfile's comments.
    pub notes: Vec<String>,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct DockerfileOptions<'b> {
    /// The image that `FROM` names, if it is known.
    pub base: Option<&'b KnownBase<'b>>,
    /// Whether a build context is written, so that `COPY` and `ADD` take their files from tars.
    pub context: bool,
    /// Whether the results of `RUN` are added instead.
    pub no_run: bool,
}

impl DockerfileReport {
    /// The instructions for `image`, whose layers gave `fates`.
    pub fn new(image: &Image, fates: &Fates, options: DockerfileOptions<'_>) -> Self {
        let assembled = steps::assemble(image, fates, options);
        let is_inexact = |step: &&DockerfileInstruction| !step.lossy.is_empty();
        Self {
            schema: "imgtar/dockerfile/1",
            image: id(image),
            references: references(image),
            platform: (!image.platform.os.is_empty()).then(|| image.platform.to_string()),
            base_layers: assembled.base_layers,
            inexact: assembled.steps.iter().filter(is_inexact).count(),
            instructions: assembled.steps,
            tars: assembled.tars,
        }
    }

    /// The Dockerfile. Comments say what is lost; what came from the archive is escaped in them, and in
    /// instructions it is exactly what the image has.
    pub fn dockerfile(&self) -> String {
        let mut out = String::new();
        let name = self.references.first().or(self.image.as_ref());
        let name = name.map_or("an image", String::as_str);
        // Nothing fails to be written to memory.
        _ = writeln!(
            out,
            "# What {} was built with, as far as it says.",
            comment(name)
        );
        if let Some(platform) = &self.platform {
            _ = writeln!(out, "# Build it with --platform {}.", comment(platform));
        }
        let mut apart = true;
        for step in &self.instructions {
            let has_comment = step.has_comment();
            if has_comment || apart {
                out.push('\n');
            }
            apart = has_comment || step.instruction == "FROM";
            step.comments(&mut out);
            if let Some(text) = &step.text {
                out.push_str(text);
                out.push('\n');
            }
        }
        out
    }
}

impl DockerfileInstruction {
    fn new(name: &'static str, source: DockerfileSource) -> Self {
        Self {
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

    fn has_comment(&self) -> bool {
        self.layer.is_some()
            || self.text.is_none()
            || !self.lossy.is_empty()
            || !self.notes.is_empty()
    }

    fn comments(&self, out: &mut String) {
        if let Some(layer) = self.layer {
            _ = write!(out, "# layer {layer}");
            if let Some(count) = self.file_count {
                files::list(out, count, &self.files);
            }
            out.push('\n');
        }
        // What stands in the instruction need not be said twice.
        let is_replaced = self.text.is_none() || self.tar.is_some();
        if let Some(created_by) = self
            .created_by
            .as_ref()
            .filter(|text| is_replaced && !text.is_empty())
        {
            _ = writeln!(out, "# was: {}", quoted(created_by));
        }
        for note in &self.notes {
            _ = writeln!(out, "# {}", comment(note));
        }
        for lossy in &self.lossy {
            _ = writeln!(out, "# lossy: {}", comment(lossy));
        }
    }
}

/// Text in one line of a comment, cut if it is very long.
fn comment(text: &str) -> String {
    cut(text, COMMENT)
}

/// What the history says, cut to a line.
fn quoted(text: &str) -> String {
    cut(text, QUOTED)
}

fn cut(text: &str, length: usize) -> String {
    let text = text.trim();
    let mut cut: String = text.chars().take(length).collect();
    if cut.len() < text.len() {
        cut.push_str("...");
    }
    escape::text(&cut).into_owned()
}
