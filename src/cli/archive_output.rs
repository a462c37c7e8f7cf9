//! What commands that write an archive share: where it goes, how it is laid out, what its images are
//! called and what time new things have.

use std::io::Seek as _;

use clap::{Args, ValueEnum};
use imgtar::base::escape;
use imgtar::image::{Name, Reference};
use imgtar::output::{
    ArchiveGraph, ArchiveLayout, ArchiveOptions, LayerCompression, OutputImage, WriteError,
    WrittenArchive, write_graph, write_graph_to_file,
};
use imgtar::report::units;
use jiff::Timestamp;

use super::commands::Context;
use super::compress::CompressArchiveArg;
use super::destination::{Destination, OutputArg};
use super::error::{Failure, note, warn};
use super::exit::Exit;
use super::finished::{self, FinishedOutput, QuietArg};
use crate::cli::output::is_closed;

/// Where an archive goes and how it is laid out.
#[derive(Debug, Args)]
pub(crate) struct ArchiveOutputArg {
    #[command(flatten)]
    output: OutputArg,

    #[command(flatten)]
    compress: CompressArchiveArg,

    /// How the archive is laid out
    #[arg(long, value_enum, value_name = "LAYOUT", default_value_t = LayoutArg::Docker)]
    layout: LayoutArg,
}

/// How an archive is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    /// As Docker 25 and later save: an OCI image layout with Docker's own manifest.json
    Docker,
    /// As Docker 1.10 to 24 save
    DockerLegacy,
    /// An OCI image layout alone, as skopeo and containerd write it
    Oci,
}

impl From<LayoutArg> for ArchiveLayout {
    fn from(layout: LayoutArg) -> Self {
        match layout {
            LayoutArg::Docker => Self::Docker,
            LayoutArg::DockerLegacy => Self::DockerLegacy,
            LayoutArg::Oci => Self::Oci,
        }
    }
}

/// What the image is called.
#[derive(Debug, Args)]
pub(crate) struct TagArg {
    /// Name for the image, such as app:1.2; can be given several times
    #[arg(short, long = "tag", value_name = "REF", value_parser = tag)]
    tags: Vec<Reference>,
}

impl TagArg {
    /// The names that were asked for, each once; `kept` if none was.
    pub(crate) fn names(&self, kept: &[Name]) -> Vec<Name> {
        if self.tags.is_empty() {
            return kept.to_vec();
        }
        names(&self.tags)
    }
}

/// Tags as names, each once.
pub(crate) fn names(tags: &[Reference]) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::with_capacity(tags.len());
    for tag in tags {
        let name = Name::Reference(tag.clone());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A reference that an image can be tagged with; the refusals are Docker's, in its words.
pub(crate) fn tag(text: &str) -> Result<Reference, String> {
    let reference: Reference = text
        .parse()
        .map_err(|e: imgtar::image::ReferenceError| e.to_string())?;
    if reference.digest().is_some() {
        return Err("refusing to create a tag with a digest reference".to_owned());
    }
    if reference.familiar_repository() == "sha256" {
        return Err(
            "refusing to create an ambiguous tag using digest algorithm as name".to_owned(),
        );
    }
    Ok(reference.or_latest())
}

/// The time of what a command adds.
#[derive(Debug, Args)]
pub(crate) struct CreatedArg {
    /// The time of what is new, RFC 3339 [default: `SOURCE_DATE_EPOCH`, else now]
    #[arg(long, value_name = "TIME")]
    created: Option<Timestamp>,
}

impl CreatedArg {
    /// The time that was asked for, else `SOURCE_DATE_EPOCH`, else now.
    pub(crate) fn time(&self) -> Result<Timestamp, Failure> {
        Ok(asked_time(self.created)?.unwrap_or_else(Timestamp::now))
    }
}

/// `created` if it was given, else what `SOURCE_DATE_EPOCH` holds, if anything.
pub(crate) fn asked_time(created: Option<Timestamp>) -> Result<Option<Timestamp>, Failure> {
    if created.is_some() {
        return Ok(created);
    }
    let Some(epoch) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let time = epoch
        .to_str()
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    match time {
        Some(time) => Ok(Some(time)),
        None => Err(Failure::usage(
            "the environment variable SOURCE_DATE_EPOCH is not a number of seconds since 1970",
        )
        .hint("set it as in SOURCE_DATE_EPOCH=$(date +%s), unset it, or give --created TIME")),
    }
}

/// Where an archive goes whose layout the command settles, and how the answer is given.
#[derive(Debug, Args)]
pub(crate) struct CarryOutputArg {
    #[command(flatten)]
    output: OutputArg,

    #[command(flatten)]
    compress: CompressArchiveArg,

    #[command(flatten)]
    json: super::args::JsonArg,
}

impl CarryOutputArg {
    /// Whether the answer is JSON.
    pub(crate) fn json(&self) -> bool {
        self.json.json
    }

    /// Opens the destination, before any work is done that it could make useless.
    pub(crate) fn open(
        &self,
        layout: ArchiveLayout,
        context: &Context,
    ) -> Result<ArchiveDestination, Failure> {
        if self.json.json && self.output.is_stdout() {
            return Err(Failure::usage(
                "the archive and the JSON document cannot both go to standard output",
            )
            .hint("name a file for the archive with -o FILE"));
        }
        let destination = self.output.open(self.compress.wish(), context)?;
        let quiet = self.output.quiet();
        Ok(ArchiveDestination::new(destination, layout, quiet))
    }

    /// The path of the output, for people.
    pub(crate) fn path(&self) -> String {
        self.output.shown()
    }
}

/// An open destination for an archive.
#[derive(Debug)]
pub(crate) struct ArchiveDestination {
    destination: Destination,
    layout: ArchiveLayout,
    /// How layers are compressed.
    layers: LayerCompression,
    /// Whether the closing line is wanted.
    quiet: QuietArg,
}

impl ArchiveOutputArg {
    /// Opens the destination, before any work is done that it could make useless.
    pub(crate) fn open(&self, context: &Context) -> Result<ArchiveDestination, Failure> {
        let destination = self.output.open(self.compress.wish(), context)?;
        let quiet = self.output.quiet();
        Ok(ArchiveDestination::new(destination, self.layout, quiet))
    }
}

impl ArchiveDestination {
    /// A destination that is open already.
    pub(crate) fn new(
        destination: Destination,
        layout: impl Into<ArchiveLayout>,
        quiet: QuietArg,
    ) -> Self {
        Self {
            destination,
            layout: layout.into(),
            layers: LayerCompression::Keep,
            quiet,
        }
    }

    /// The same with layers that are compressed in another way.
    pub(crate) fn with_layers(self, layers: LayerCompression) -> Self {
        Self { layers, ..self }
    }

    /// Writes a graph and puts the archive in its place; `None` if the reader of a pipe has closed it.
    pub(crate) fn put_graph(
        mut self,
        graph: &ArchiveGraph<'_>,
        verify: bool,
        context: &Context,
    ) -> Result<Option<Put>, Failure> {
        match self.write_graph(graph, verify, context) {
            Ok(written) => self.place(written, verify, context),
            Err(WriteError::Write(error)) if is_closed(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether what was written can be dropped, to write something else in its place.
    pub(crate) fn can_begin_again(&self) -> bool {
        self.destination.file().is_some()
    }

    /// Drops what was written; only if that can be done.
    pub(crate) fn begin_again(&mut self) -> Result<(), Failure> {
        let Some(mut file) = self.destination.file() else {
            return Ok(());
        };
        let emptied = file.set_len(0).and_then(|()| file.rewind());
        emptied.map_err(|error| Failure::environment("cannot write the output", &error))
    }

    /// Writes a graph to where it is not yet in its place.
    pub(crate) fn write_graph(
        &mut self,
        graph: &ArchiveGraph<'_>,
        verify: bool,
        context: &Context,
    ) -> Result<WrittenArchive, WriteError> {
        let options = ArchiveOptions {
            layout: self.layout,
            verify,
            compress: self.layers,
            jobs: context.jobs,
        };
        let progress = &context.progress;
        match self.destination.file() {
            Some(file) => write_graph_to_file(graph, file, options, progress),
            None => write_graph(graph, &mut self.destination, options, progress),
        }
    }

    /// Puts what was written in its place; `None` if the reader of a pipe has closed it.
    pub(crate) fn place(
        self,
        written: WrittenArchive,
        verified: bool,
        context: &Context,
    ) -> Result<Option<Put>, Failure> {
        for warning in &written.warnings {
            warn(context.output, &warning.to_string());
        }
        let to_stdout = self.destination.is_stdout();
        let placed = self.destination.finish()?;
        Ok(placed.map(|placed| Put {
            written,
            to_stdout,
            placed,
            verified,
            quiet: self.quiet,
        }))
    }

    /// Writes the archive, puts it in its place and prints the image IDs: on standard output, or on
    /// standard error if the archive goes to standard output. What a containerd store calls the images is
    /// always a note on standard error, since programs read the other.
    pub(crate) fn write(
        self,
        images: &[OutputImage],
        verify: bool,
        context: &Context,
    ) -> Result<Exit, Failure> {
        let graph = ArchiveGraph::of_images(images);
        let Some(put) = self.put_graph(&graph, verify, context)? else {
            return Ok(Exit::Done);
        };
        print_ids(&put.written, put.to_stdout, context)?;
        for id in put
            .written
            .images
            .iter()
            .filter_map(|image| image.containerd.as_ref())
        {
            let message = format!("the image ID in a containerd store is {id}");
            note(context.output, &message);
        }
        put.say(context);
        Ok(Exit::Done)
    }
}

/// An archive that is in its place.
pub(crate) struct Put {
    pub(crate) written: WrittenArchive,
    /// Whether it went to standard output.
    pub(crate) to_stdout: bool,
    placed: FinishedOutput,
    /// Whether its layers were verified on the way.
    verified: bool,
    quiet: QuietArg,
}

impl Put {
    /// Says what was written: the last line of a command.
    pub(crate) fn say(&self, context: &Context) {
        self.say_with(Vec::new(), context);
    }

    /// The same with more to say.
    pub(crate) fn say_with(&self, more: Vec<String>, context: &Context) {
        let written = &self.written;
        let mut facts = vec![
            units::count(written.images.len(), "image", "images"),
            finished::layers(written.layers, self.verified),
        ];
        facts.extend(more);
        self.placed.say(&facts, self.quiet, context.output);
    }
}

/// Prints the image IDs: on standard output, or on standard error if the archive went to standard output.
pub(crate) fn print_ids(
    written: &WrittenArchive,
    to_stdout: bool,
    context: &Context,
) -> Result<(), Failure> {
    let mut ids = String::new();
    for image in &written.images {
        ids.push_str(&image.id.to_string());
        ids.push('\n');
    }
    if to_stdout {
        context.output.complain(&ids);
        return Ok(());
    }
    context
        .output
        .answer(|out| Ok(out.write_all(ids.as_bytes())?))
}

/// Prints the ID and the names of each image.
pub(crate) fn print_names(written: &WrittenArchive, context: &Context) -> Result<(), Failure> {
    context.output.answer(|out| {
        for image in &written.images {
            let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() {
                "<none>".to_owned()
            } else {
                names.join(" ")
            };
            writeln!(out, "{} {}", image.id, escape::text(&names))?;
        }
        Ok(())
    })
}
