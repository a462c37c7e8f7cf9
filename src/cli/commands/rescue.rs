//! `rescue`: images from the data directory of an engine that no longer runs.
//!
//! Long: one command that lists, and that writes in two ways, with what each of them says.

use std::collections::HashSet;
use std::path::PathBuf;

use imgtar::base::escape;
use imgtar::image::{SelectError, Selector};
use imgtar::output::{ArchiveGraph, GraphChange, KeepWish, WriteError, WrittenArchive};
use imgtar::report::{RescueMade, RescueReport};
use imgtar::rescue::{DataRoots, RescueError, RescuedArchive, StoredContainer};
use imgtar::{Class, Error};
use jiff::Timestamp;

use super::rescue_files::{
    self, FilesArg, RemadeImages, find_container, find_volume, made_facts, others,
};
use super::{Context, Exit, Failure};
use crate::cli::archive_output::{ArchiveDestination, LayoutArg, print_ids};
use crate::cli::args::JsonArg;
use crate::cli::compress::CompressArchiveArg;
use crate::cli::destination::Destination;
use crate::cli::error::{note, warn};
use crate::cli::finished::QuietArg;
use crate::cli::output::is_closed;
use crate::cli::render;

/// Get images from the data directory of a dead engine
///
/// Takes a tar of the directory in which an engine keeps its images, or of a part of it, and lists the images that
/// can be restored. Recognises everything by its content, wherever it is in the tar. With --output, writes the images
/// as one archive that loads anywhere, with their names and IDs and every layer byte for byte as it was: engines keep
/// what is needed for that. Verifies every layer against its diff ID.
///
/// Reads the data of Docker with its own store (also from before 1.10) and with the containerd store, of containerd
/// alone (also in k3s and kind), and of podman, buildah and CRI-O.
///
/// Restores more than images: a container, as an image with its changes as one more layer, or as the file system
/// that it saw; a volume, as a tar.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar rescue root.tar
  imgtar rescue root.tar -o images.tar
  imgtar rescue root.tar.zst app:1.2 -o app.tar
  imgtar rescue root.tar --containers -o all.tar
  imgtar rescue root.tar --container web --flatten -o rootfs.tar
  imgtar rescue root.tar --volume data -o data.tar
  ssh host sudo tar -C /var/lib/docker -cf - . | imgtar rescue - --json

Pack the directory as root with the engine stopped, so that nothing is lost:
  tar --xattrs --xattrs-include='*' --numeric-owner --sparse --one-file-system \\
      -C /var/lib/docker -cf root.tar .")]
pub(crate) struct Args {
    /// The tar of a data directory: a path, or - for standard input
    #[arg(value_name = "DATA-ROOT")]
    root: PathBuf,

    /// Which images to write: references, image IDs or prefixes of them, or @N for the Nth from 0
    /// [default: all that come back whole]
    #[arg(value_name = "IMAGE", value_parser = clap::value_parser!(Selector), requires = "output")]
    places: Vec<Selector>,

    /// The same as IMAGE; can be given several times
    #[arg(short, long = "image", value_name = "IMAGE", value_parser = clap::value_parser!(Selector), requires = "output", conflicts_with = "places")]
    images: Vec<Selector>,

    /// Write the images as an archive to this file, - for standard output [default: list them]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    files: FilesArg,

    /// Make layers from the files that are there if they cannot come back byte for byte
    ///
    /// Such a layer is written as the engine would write it today. It has another diff ID, so the image has another
    /// ID; a warning gives the old and the new ones. Files that are missing stay missing.
    #[arg(long, requires = "output", conflicts_with_all = ["container", "volume"])]
    accept_changes: bool,

    /// Replace the file if it exists
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    quiet: QuietArg,

    #[command(flatten)]
    compress: CompressArchiveArg,

    /// How the archive is laid out
    #[arg(long, value_enum, value_name = "LAYOUT", default_value_t = LayoutArg::Docker)]
    layout: LayoutArg,

    #[command(flatten)]
    json: JsonArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let is_stdout = self
            .output
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-");
        if self.json.json && is_stdout {
            return Err(Failure::usage(
                "the archive and the JSON document cannot both go to standard output",
            )
            .hint("name a file for the archive with -o FILE"));
        }
        let options = context.options();
        let input = context
            .files
            .input(&self.root, "a tar of a data directory", &options)?
            .map_err(RescueError::from)?;
        let mut roots = DataRoots::walk(input, &options)?;
        let Some(output) = &self.output else {
            return self.list(&roots, context);
        };
        // Before anything is written to.
        let volume = self.files.volume.as_deref();
        let volume = volume
            .map(|name| find_volume(&roots, name).cloned())
            .transpose()?;
        let container = self.files.container.as_deref();
        let container = container
            .map(|name| find_container(&roots, name).cloned())
            .transpose()?;
        let wanted = if container.is_some() || volume.is_some() {
            vec![Vec::new(); roots.stores().len()]
        } else {
            self.wanted(&roots)?
        };
        let wish = self.compress.wish();
        let destination = Destination::open_tar(output, self.force, wish, context)?;
        match (&volume, &container) {
            (Some(volume), _) => {
                return rescue_files::volume(&roots, volume, (destination, self.quiet), context);
            }
            (None, Some(container)) if self.files.flatten => {
                return rescue_files::flatten(
                    &roots,
                    container,
                    (destination, self.quiet),
                    context,
                );
            }
            _ => {}
        }
        let destination = ArchiveDestination::new(destination, self.layout, self.quiet);
        let wanted = Wanted {
            images: &wanted,
            container: container.as_ref(),
        };
        self.write(&mut roots, wanted, destination, context)
    }

    /// The images that were asked for, in their places or as options.
    fn images(&self) -> &[Selector] {
        if self.images.is_empty() {
            &self.places
        } else {
            &self.images
        }
    }

    fn list(&self, roots: &DataRoots, context: &Context) -> Result<Exit, Failure> {
        let report = RescueReport::new(roots);
        if self.json.json {
            context.output.answer(|out| render::json(out, &report))?;
            return Ok(Exit::Done);
        }
        say_remarks(&report, context);
        let now = Timestamp::now();
        context
            .output
            .answer(|out| render::rescue(out, &report, now, &context.limits))?;
        let path = match roots.path() {
            "-" => "ROOT.tar",
            path => path,
        };
        let others = others(&report, path);
        if !others.is_empty() {
            note(context.output, &others);
        }
        let whole = report.images().filter(|image| image.is_whole()).count();
        match whole {
            0 => {}
            1 => note(
                context.output,
                &format!("imgtar rescue {path} -o image.tar writes it"),
            ),
            _ => note(
                context.output,
                &format!(
                    "imgtar rescue {path} -o images.tar writes them; name images to write only those"
                ),
            ),
        }
        let is_graph = |store: &imgtar::report::RescueStore| store.engine == "docker-graph";
        if report.stores.iter().any(is_graph) {
            note(
                context.output,
                "images of Docker before 1.10 get the IDs that Docker gave them at the upgrade",
            );
        }
        if whole < report.images().count() {
            note(
                context.output,
                &format!("what is missing may still be on the disk: {AGAIN}"),
            );
        }
        Ok(Exit::Done)
    }

    /// Which images of each store are wanted, as positions in it.
    fn wanted(&self, roots: &DataRoots) -> Result<Vec<Vec<usize>>, Failure> {
        let stores = roots.stores();
        let mut wanted: Vec<Vec<usize>> = vec![Vec::new(); stores.len()];
        if self.images().is_empty() {
            for (store, wanted) in stores.iter().zip(&mut wanted) {
                let images = store.images().map_or(&[][..], |set| &set.images);
                let whole = images.iter().filter(|image| store.is_whole(image));
                wanted.extend(whole.map(|image| image.position));
            }
            return Ok(wanted);
        }
        for selector in self.images() {
            let mut before = 0;
            let mut unknown = None;
            let mut found = false;
            for (store, wanted) in stores.iter().zip(&mut wanted) {
                let Some(set) = store.images() else { continue };
                let selector = match selector {
                    Selector::Position(at) => match at.checked_sub(before) {
                        Some(at) if at < set.images.len() => Selector::Position(at),
                        _ => {
                            before += set.images.len();
                            continue;
                        }
                    },
                    called @ Selector::Called(_) => called.clone(),
                };
                before += set.images.len();
                match set.pick_all(Some(&selector), None) {
                    Ok(images) => {
                        found = true;
                        wanted.extend(images.iter().map(|image| image.position));
                    }
                    Err(error @ (SelectError::Unknown { .. } | SelectError::OutOfRange { .. })) => {
                        unknown = Some(error);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if !found {
                return Err(match unknown {
                    Some(error) => error.into(),
                    None => Failure::input(format!("there is no image {selector} in the tar"))
                        .hint("leave out -o and the images to see what is there"),
                });
            }
        }
        for wanted in &mut wanted {
            let mut known = HashSet::new();
            wanted.retain(|position| known.insert(*position));
        }
        Ok(wanted)
    }

    /// Writes the archive. Layers are hashed while they are written, if what was written can be dropped again: only if
    /// one of them then is not what it should be, all are hashed first, as they are for a pipe.
    fn write(
        &self,
        roots: &mut DataRoots,
        wanted: Wanted<'_>,
        mut destination: ArchiveDestination,
        context: &Context,
    ) -> Result<Exit, Failure> {
        if destination.can_begin_again() {
            let expected = roots.expected(wanted.images, &context.options())?;
            let mut said = Vec::new();
            // What is said of an attempt that fails is not true.
            if let Ok(plan) = self.plan(roots, wanted, &expected, (context, &mut said))
                && !plan.assembled.is_empty()
            {
                let graph = plan.graph()?;
                match destination.write_graph(&graph.0, true, context) {
                    Ok(written) => {
                        roots.verified(&expected);
                        say(&said, context);
                        return self.finish(
                            roots,
                            &plan,
                            &graph.1,
                            (destination, written),
                            context,
                        );
                    }
                    Err(error) => {
                        let error = Error::from(error);
                        if error.class() != Class::Input {
                            return Err(error.into());
                        }
                        destination.begin_again()?;
                    }
                }
            }
        }
        let proven = roots.prove(wanted.images, &context.options())?;
        let mut said = Vec::new();
        let plan = self.plan(roots, wanted, &proven, (context, &mut said));
        say(&said, context);
        let plan = match plan {
            Err(failure) => return Err(failure),
            Ok(plan) if plan.assembled.is_empty() => {
                let report = RescueReport::new(roots);
                say_remarks(&report, context);
                return Err(nothing_whole(&report, roots.path()));
            }
            Ok(plan) => plan,
        };
        let (graph, changes) = plan.graph()?;
        match destination.write_graph(&graph, true, context) {
            Ok(written) => self.finish(roots, &plan, &changes, (destination, written), context),
            Err(WriteError::Write(error)) if is_closed(&error) => Ok(Exit::Done),
            Err(error) => Err(error.into()),
        }
    }

    /// What is written if these images come back byte for byte.
    fn plan(
        &self,
        roots: &DataRoots,
        wanted: Wanted<'_>,
        whole: &[Vec<usize>],
        (context, said): (&Context, &mut Vec<Said>),
    ) -> Result<Plan, Failure> {
        let is_asked = !self.images().is_empty();
        let rebuilt = if self.accept_changes {
            RemadeImages::of(roots, (wanted.images, whole), is_asked, context, said)?
        } else {
            RemadeImages::default()
        };
        if wanted.container.is_none() {
            let report = RescueReport::new(roots);
            self.require_whole(&report, (wanted.images, &rebuilt), said)?;
        }
        let mut plan = Plan::default();
        for (store, positions) in roots.stores().iter().zip(whole) {
            let Some(set) = store.images() else { continue };
            let images: Vec<_> = positions.iter().map(|at| &set.images[*at]).collect();
            if !images.is_empty() {
                plan.assembled.push(store.assemble(&images)?);
            }
        }
        for image in rebuilt.images {
            said.push(Said::Failure(rescue_files::rebuilt(&image)));
            plan.made.push(RescueMade::of_image(&image));
            plan.assembled.push(image.archive);
        }
        if self.files.containers || wanted.container.is_some() {
            for (of, archive) in rescue_files::committed(roots, wanted.container, context, said)? {
                plan.made.push(RescueMade::of_container(of, &archive));
                plan.assembled.push(archive);
                plan.containers += 1;
            }
        }
        Ok(plan)
    }

    /// Puts the archive in its place and says what it holds.
    fn finish(
        &self,
        roots: &DataRoots,
        plan: &Plan,
        changes: &[GraphChange],
        (destination, written): (ArchiveDestination, WrittenArchive),
        context: &Context,
    ) -> Result<Exit, Failure> {
        let Some(put) = destination.place(written, true, context)? else {
            return Ok(Exit::Done);
        };
        let mut report = RescueReport::new(roots);
        report.made.clone_from(&plan.made);
        for change in changes {
            warn(context.output, &change.to_string());
        }
        say_remarks(&report, context);
        if self.json.json {
            context.output.answer(|out| render::json(out, &report))?;
        } else {
            print_ids(&put.written, put.to_stdout, context)?;
        }
        // The JSON document does not say what was written.
        let from_files = plan.made.iter().map(|made| made.layers.len()).sum();
        put.say_with(made_facts(plan.containers, from_files), context);
        Ok(Exit::Done)
    }

    /// Says which images are left out, or refuses if one of them was asked for.
    fn require_whole(
        &self,
        report: &RescueReport,
        (wanted, rebuilt): (&[Vec<usize>], &RemadeImages),
        said: &mut Vec<Said>,
    ) -> Result<(), Failure> {
        for (at, (store, wanted)) in report.stores.iter().zip(wanted).enumerate() {
            for (position, image) in store.images.iter().enumerate() {
                let is_asked = !self.images().is_empty();
                let is_not_asked = is_asked && !wanted.contains(&position);
                if image.is_whole() || is_not_asked || rebuilt.places.contains(&(at, position)) {
                    continue;
                }
                let (name, reasons) = render::rescue_reasons(image);
                let message = format!("{name} does not come back whole");
                let message = if is_asked {
                    message
                } else {
                    format!("{message} and is left out")
                };
                let mut failure = Failure::input(message);
                for reason in reasons {
                    failure = failure.detail(reason);
                }
                if is_asked {
                    let accept = "--accept-changes makes layers from the files that are there, which gives the image another ID";
                    return Err(failure.hint(accept).hint(AGAIN));
                }
                said.push(Said::Failure(failure));
            }
        }
        Ok(())
    }
}

/// What was asked for.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    /// Positions of images in each store.
    images: &'w [Vec<usize>],
    /// A container alone.
    container: Option<&'w StoredContainer>,
}

/// What an archive is to hold.
#[derive(Default)]
struct Plan {
    assembled: Vec<RescuedArchive>,
    /// Those of it that the engine did not have.
    made: Vec<RescueMade>,
    /// How many of it are containers.
    containers: usize,
}

impl Plan {
    /// All of it as one graph, and what that changes.
    fn graph(&self) -> Result<(ArchiveGraph<'_>, Vec<GraphChange>), Failure> {
        let mut graphs = Vec::with_capacity(self.assembled.len());
        let mut changes = Vec::new();
        for one in &self.assembled {
            let (graph, more) = ArchiveGraph::of(&one.archive, &one.images)?;
            changes.extend(more);
            let images = one.wanted.iter().map(|at| &one.images.images[*at]);
            let (graph, more) = graph.keep(KeepWish {
                images: &images.collect::<Vec<_>>(),
                present: false,
                absent: true,
                flat: false,
            });
            changes.extend(more);
            graphs.push(graph);
        }
        let (graph, more) = ArchiveGraph::merge(graphs);
        changes.extend(more);
        Ok((graph, changes))
    }
}

/// A warning that waits until it is known that it is true.
pub(super) enum Said {
    /// Something that is left out or is other than it was, with what to do about it.
    Failure(Failure),
    /// What should be known of what is written.
    Words(String),
}

impl Said {
    /// Prints it.
    pub(super) fn warn(&self, context: &Context) {
        match self {
            Self::Failure(failure) => failure.warn(context.output),
            Self::Words(words) => warn(context.output, words),
        }
    }
}

/// Warns of what was noted.
fn say(said: &[Said], context: &Context) {
    for one in said {
        one.warn(context);
    }
}

/// What may still help.
const AGAIN: &str = "pack the whole data directory again, as root and with the engine stopped, as `imgtar help rescue` shows";

/// Prints what should be known beside the list.
fn say_remarks(report: &RescueReport, context: &Context) {
    let of_stores = report.stores.iter().flat_map(|store| &store.remarks);
    for remark in report.remarks.iter().chain(of_stores) {
        warn(context.output, &escape::text(remark));
    }
}

fn nothing_whole(report: &RescueReport, path: &str) -> Failure {
    Failure::input(match report.images().count() {
        0 => format!("there is no image in {path}"),
        _ => format!("no image in {path} comes back whole"),
    })
    .hint(AGAIN)
}
