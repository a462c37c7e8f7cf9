//! What commands that carry images from archive to archive print: the IDs, what changes and what survives.

use std::collections::{HashMap, HashSet};

use imgtar::base::digest::ImageId;
use imgtar::image::ImageSet;
use imgtar::output::{
    ArchiveGraph, ArchiveLayout, ArchiveOptions, Detached, GraphChange, LayerCompression,
    RecodedLayers, WrittenArchive, measure_graph,
};
use imgtar::report::{Written, WrittenFacts, WrittenHead, WrittenLayers, WrittenLeftOut, units};

use super::archive_output::{ArchiveDestination, CarryOutputArg, print_ids, print_names};
use super::commands::Context;
use super::error::{Failure, note, warn};
use super::exit::Exit;
use super::render::json;
use super::thin_note::say_left_out;

/// How many lines of one kind are printed.
const SHOWN: usize = 12;

/// What was done, and with what.
pub(crate) struct Carried<'c> {
    /// The command.
    pub(crate) command: &'c str,
    /// Whether layers are verified while they are copied.
    pub(crate) verify: bool,
    /// The layout of what was written.
    pub(crate) layout: ArchiveLayout,
    /// The archives that were read.
    pub(crate) sets: Vec<&'c ImageSet>,
    /// What was left out, or changed by itself.
    pub(crate) changes: &'c [GraphChange],
    /// How many bytes the inputs store more than once, where there are several.
    pub(crate) stored_twice: Option<u64>,
    /// The ID of the image whose config was changed, before and after.
    pub(crate) reconfigured: Option<(String, ImageId)>,
    /// What was made thin.
    pub(crate) thinned: Option<ThinInput<'c>>,
}

/// An archive that was made thin.
#[derive(Clone, Debug)]
pub(crate) struct ThinInput<'c> {
    /// How many bytes its file has.
    pub(crate) bytes: u64,
    /// The paths of the archives that give it back.
    pub(crate) bases: Vec<&'c str>,
}

/// What an answer is about.
struct Answer<'w> {
    written: &'w WrittenArchive,
    /// Whether the archive is there; otherwise it was only measured.
    is_written: bool,
    to_stdout: bool,
}

impl<'c> Carried<'c> {
    /// What a command makes of some archives, as most commands do: layers are verified, and nothing else is told.
    pub(crate) fn new(
        command: &'c str,
        layout: ArchiveLayout,
        sets: Vec<&'c ImageSet>,
        changes: &'c [GraphChange],
    ) -> Self {
        Self {
            command,
            verify: true,
            layout,
            sets,
            changes,
            stored_twice: None,
            reconfigured: None,
            thinned: None,
        }
    }

    /// Writes the graph, puts the archive in its place and prints the answer.
    pub(crate) fn write(
        &self,
        graph: &ArchiveGraph<'_>,
        destination: ArchiveDestination,
        output: &CarryOutputArg,
        context: &Context,
    ) -> Result<Exit, Failure> {
        let Some(put) = destination.put_graph(graph, self.verify, context)? else {
            return Ok(Exit::Done);
        };
        let answer = Answer {
            written: &put.written,
            is_written: true,
            to_stdout: put.to_stdout,
        };
        self.print(output, &answer, context)?;
        // The JSON document has the same.
        if !output.json() {
            put.say(context);
        }
        Ok(Exit::Done)
    }

    /// Writes the graph, or says what would be written if there is no destination.
    pub(crate) fn write_or_tell(
        &self,
        graph: &ArchiveGraph<'_>,
        destination: Option<ArchiveDestination>,
        output: &CarryOutputArg,
        context: &Context,
    ) -> Result<Exit, Failure> {
        if let Some(destination) = destination {
            return self.write(graph, destination, output, context);
        }
        let options = ArchiveOptions {
            layout: self.layout,
            verify: false,
            compress: LayerCompression::Keep,
            jobs: context.jobs,
        };
        let measured = measure_graph(graph, options, &context.progress)?;
        for warning in &measured.warnings {
            warn(context.output, &warning.to_string());
        }
        let answer = Answer {
            written: &measured,
            is_written: false,
            to_stdout: false,
        };
        self.print(output, &answer, context)?;
        Ok(Exit::Done)
    }

    /// Says what is different in what was written.
    pub(crate) fn say_changes(&self, written: &WrittenArchive, context: &Context) {
        self.say_left_out(context);
        let mut digests = self.digests(written);
        digests.extend(written.detached.iter().map(detached));
        Self::say_digests(&digests, context);
    }

    fn say_left_out(&self, context: &Context) {
        for change in self.changes.iter().take(SHOWN) {
            match change {
                GraphChange::NameMoved { .. } | GraphChange::NameTaken { .. } => {
                    warn(context.output, &change.to_string());
                }
                _ => note(context.output, &change.to_string()),
            }
        }
        if self.changes.len() > SHOWN {
            let more = units::count(self.changes.len() - SHOWN, "more change", "more changes");
            note(context.output, &format!("{more}: --json lists them all"));
        }
    }

    fn say_digests(digests: &[String], context: &Context) {
        for line in digests.iter().take(SHOWN) {
            note(context.output, line);
        }
        if digests.len() > SHOWN {
            let more = units::count(digests.len() - SHOWN, "more image", "more images");
            note(context.output, &format!("{more}: --json lists them all"));
        }
    }

    /// Prints the answer. The IDs go to standard output, or to standard error if the archive went there; everything
    /// else is a note.
    fn print(
        &self,
        output: &CarryOutputArg,
        answer: &Answer<'_>,
        context: &Context,
    ) -> Result<(), Failure> {
        let (written, is_written) = (answer.written, answer.is_written);
        self.say_left_out(context);
        let mut digests = self.digests(written);
        digests.extend(written.detached.iter().map(detached));
        let layers = recoded(written);
        if output.json() {
            let mut changes: Vec<String> = self.changes.iter().map(ToString::to_string).collect();
            changes.extend(layers);
            changes.extend(digests);
            let report = self.report(output, answer, changes);
            return context.output.answer(|out| json(out, &report));
        }
        if is_written {
            print_ids(written, answer.to_stdout, context)?;
        } else {
            print_names(written, context)?;
        }
        if let Some(layers) = layers {
            note(context.output, &layers);
        }
        Self::say_digests(&digests, context);
        say_left_out(context.output, &written.left_out, SHOWN);
        self.say_sizes(output, answer, context);
        Ok(())
    }

    /// The answer as data.
    fn report(
        &self,
        output: &CarryOutputArg,
        answer: &Answer<'_>,
        changes: Vec<String>,
    ) -> Written {
        let (written, is_written) = (answer.written, answer.is_written);
        Written {
            schema: format!("imgtar/{}/1", self.command),
            archive: WrittenHead {
                path: is_written.then(|| output.path()),
                layout: self.layout.name().to_owned(),
                bytes: is_written.then_some(written.bytes),
                expected_bytes: (!is_written).then_some(written.bytes),
                input_bytes: self.thinned.as_ref().map(|input| input.bytes),
                stored_twice: self.stored_twice,
            },
            images: written.images.iter().map(WrittenFacts::new).collect(),
            layers: is_written.then(|| WrittenLayers::new(&written.recoded)),
            changes,
            left_out: written.left_out.iter().map(WrittenLeftOut::new).collect(),
        }
    }

    /// Says how large the archive is, or would be, where that is what was asked for.
    fn say_sizes(&self, output: &CarryOutputArg, answer: &Answer<'_>, context: &Context) {
        let (written, is_written) = (answer.written, answer.is_written);
        if let (false, Some(twice)) = (is_written, self.stored_twice) {
            let (twice, size) = (units::size(twice), units::size(written.bytes));
            note(
                context.output,
                &format!("the inputs store {twice} of layers more than once"),
            );
            note(
                context.output,
                &format!("the archive would have {size}; nothing was written"),
            );
        }
        if let Some(input) = &self.thinned {
            let (size, full) = (units::size(written.bytes), units::size(input.bytes));
            let message = if is_written {
                let (path, bases) = (output.path(), input.bases.join(" "));
                let path = if path == "-" { "THIN".to_owned() } else { path };
                format!(
                    "{size} instead of {full}; for the whole archive: imgtar merge {path} {bases} -o FULL"
                )
            } else {
                format!("the archive would have {size} instead of {full}; nothing was written")
            };
            note(context.output, &message);
        }
    }

    /// What became of the digests of each image, in a line.
    fn digests(&self, written: &WrittenArchive) -> Vec<String> {
        let mut ids = HashSet::new();
        let mut before = HashMap::new();
        for set in &self.sets {
            for image in &set.images {
                let id = image.identity.to_string();
                ids.insert(id.clone());
                if let Some(name) = set.containerd_name(image) {
                    let manifest = image.manifest.as_ref();
                    let manifest = manifest.map(|m| m.descriptor.digest.to_string());
                    let name = name.id.to_string();
                    before.entry((id, manifest)).or_insert(name);
                }
            }
        }
        let images = written.images.iter();
        images
            .map(|image| {
                let manifest = image.manifest_before.as_ref().map(ToString::to_string);
                let id = image.id.to_string();
                let is_upgraded = !ids.contains(&id);
                let mut name = image
                    .names
                    .first()
                    .map_or_else(|| image.id.short().to_owned(), ToString::to_string);
                if image.names.is_empty() && !image.platform.is_unknown() {
                    name = format!("{name} ({})", image.platform);
                }
                // What a containerd store called it before, if that is known.
                let before = before.get(&(id, manifest));
                let now = image.containerd.as_ref().map(ToString::to_string);
                let store = match (before, now) {
                    (Some(before), Some(now)) if *before == now => {
                        format!("so is its ID in a containerd store, {now}")
                    }
                    (Some(before), Some(now)) => {
                        format!("its ID in a containerd store changes from {before} to {now}")
                    }
                    (None, Some(now)) => format!("its ID in a containerd store is {now}"),
                    (_, None) => "a containerd store gives it no ID".to_owned(),
                };
                let manifest = match (&image.manifest_before, &image.manifest) {
                    (Some(before), Some(now)) if before == now => {
                        "; signatures of its manifest still match".to_owned()
                    }
                    (Some(before), _) => {
                        format!("; signatures of its manifest {before} no longer match")
                    }
                    (None, _) => String::new(),
                };
                let what = match &self.reconfigured {
                    Some((before, now)) if *now == image.id => {
                        return format!(
                            "{name}: the image ID changes from {before} to {now}, diff IDs are unchanged; {store}; \
                             signatures of the image as it was do not match"
                        );
                    }
                    // It comes from an archive from before Docker 1.10, which has no configs.
                    _ if is_upgraded => "its config is the one that Docker made of it",
                    _ => "image ID and diff IDs are unchanged",
                };
                format!("{name}: {what}; {store}{manifest}")
            })
            .collect()
    }
}

/// What became of the bytes of layers, in a line; `None` if all were copied.
fn recoded(written: &WrittenArchive) -> Option<String> {
    let RecodedLayers {
        layers,
        kept,
        bytes_before,
        bytes,
    } = written.recoded;
    let (before, now) = (units::size(bytes_before), units::size(bytes));
    let changed = units::count(layers, "layer takes", "layers take");
    let kept = match kept {
        0 => String::new(),
        _ => format!(
            "; {} as before",
            units::count(kept, "is stored", "are stored")
        ),
    };
    (layers > 0).then(|| format!("{changed} {now} instead of {before}{kept}"))
}

/// An attestation or signature of something that has another digest now.
fn detached(artifact: &Detached) -> String {
    let Detached {
        kind,
        digest,
        digest_now,
        before,
        now,
    } = artifact;
    let own = digest_now
        .as_ref()
        .map_or_else(String::new, |now| format!(", itself {now} now,"));
    format!(
        "the {kind} {digest}{own} is about {before}, which is {now} now: what it says of the old digest does not \
         match the new one"
    )
}
