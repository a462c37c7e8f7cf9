//! What `rescue` writes besides images: containers as images, the file system that one container saw, a volume.

use std::collections::HashSet;
use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::output::{FlattenOptions, MergedImage, WriteError};
use imgtar::report::{RescueReport, units};
use imgtar::rescue::{
    ContainerShape, DataRoots, RemadeImage, RescueError, RescuedArchive, StoredContainer,
    StoredVolume,
};

use super::rescue::Said;
use super::{Context, Exit, Failure};
use crate::cli::destination::Destination;
use crate::cli::error::note;
use crate::cli::finished::{self, QuietArg};
use crate::cli::output::is_closed;
use crate::cli::xattrs::{WITHOUT_XATTRS, warn_of_xattrs};

/// How many names an error or a warning lists.
const NAMES: usize = 8;

/// What else is written.
#[derive(Debug, clap::Args)]
pub(super) struct FilesArg {
    /// Write containers too, each as its image with one more layer, as docker commit makes it
    #[arg(long, requires = "output", conflicts_with_all = ["container", "volume"])]
    pub(super) containers: bool,

    /// Write this container alone, as such an image: its name, its ID or a prefix of it
    #[arg(long, value_name = "NAME", requires = "output", conflicts_with_all = ["images", "places", "volume"])]
    pub(super) container: Option<String>,

    /// Write the files of the container as one rootfs tar, as docker export does
    #[arg(long, requires = "container", conflicts_with = "json")]
    pub(super) flatten: bool,

    /// Write the files of this volume as a tar: its name or the beginning of it
    #[arg(long, value_name = "NAME", requires = "output", conflicts_with_all = ["images", "places", "json"])]
    pub(super) volume: Option<String>,
}

/// The container that is called so, by its name, its ID or a prefix of it.
pub(super) fn find_container<'r>(
    roots: &'r DataRoots,
    wanted: &str,
) -> Result<&'r StoredContainer, Failure> {
    let all = roots.containers().iter();
    let called = |container: &&StoredContainer| {
        let mut names = container.name.split(", ");
        names.any(|name| name == wanted) || container.id == wanted
    };
    let mut found: Vec<&StoredContainer> = all.clone().filter(called).collect();
    if found.is_empty() && !wanted.is_empty() {
        let begins = |container: &&StoredContainer| container.id.starts_with(wanted);
        found = all.clone().filter(begins).collect();
    }
    match found[..] {
        [one] => Ok(one),
        [] => Err(none(
            "container",
            wanted,
            &all.map(shown).collect::<Vec<_>>(),
        )),
        _ => {
            let mut failure = Failure::usage(format!("several containers are called {wanted}"));
            for container in found.iter().take(NAMES) {
                failure = failure.detail(container.id.clone());
            }
            Err(failure.hint("give the ID of one"))
        }
    }
}

/// The volume that is called so, or whose name alone begins so.
pub(super) fn find_volume<'r>(
    roots: &'r DataRoots,
    wanted: &str,
) -> Result<&'r StoredVolume, Failure> {
    let all = roots.volumes().iter();
    let called = |volume: &&StoredVolume| volume.name == wanted;
    let mut found: Vec<&StoredVolume> = all.clone().filter(called).collect();
    if found.is_empty() && !wanted.is_empty() {
        let begins = |volume: &&StoredVolume| volume.name.starts_with(wanted);
        found = all.clone().filter(begins).collect();
    }
    match found[..] {
        [one] => Ok(one),
        [] => Err(none(
            "volume",
            wanted,
            &all.map(|volume| volume.name.clone()).collect::<Vec<_>>(),
        )),
        [first, second, ..] if first.name == second.name => Err(Failure::usage(format!(
            "the tar has several volumes called {wanted}, in several data directories"
        ))
        .hint("pack one data directory alone")),
        _ => {
            let mut failure = Failure::usage(format!(
                "several volumes have names that begin with {wanted}"
            ));
            for volume in found.iter().take(NAMES) {
                failure = failure.detail(escape::text(&volume.name).into_owned());
            }
            Err(failure.hint("give more of the name"))
        }
    }
}

fn none(kind: &str, wanted: &str, names: &[String]) -> Failure {
    let failure = Failure::input(format!("there is no {kind} {wanted} in the tar"));
    if names.is_empty() {
        return failure.hint(format!("the tar has no {kind}s at all"));
    }
    failure.hint(format!("it has {}", escape::text(&some(names))))
}

/// The first names of a list, and how many more there are.
fn some(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(NAMES));
    let first = first.join(", ");
    match more.len() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// What a container is called, for people.
pub(super) fn shown(container: &StoredContainer) -> String {
    let name = match container.name.as_str() {
        "" => container.id.get(..12).unwrap_or(&container.id),
        name => name,
    };
    escape::text(name).into_owned()
}

/// Containers as images, each with the container that it is of. Those that do not come back are said, or an error
/// if they were asked for.
pub(super) fn committed<'r>(
    roots: &'r DataRoots,
    wanted: Option<&'r StoredContainer>,
    context: &Context,
    said: &mut Vec<Said>,
) -> Result<Vec<(&'r StoredContainer, RescuedArchive)>, Failure> {
    let all = match wanted {
        Some(container) => vec![container],
        None => roots.containers().iter().collect(),
    };
    let mut made = Vec::new();
    for container in all {
        match roots.container(container, ContainerShape::Image, &context.options()) {
            Ok(archive) => made.push((container, archive)),
            Err(error @ RescueError::Unmade { .. }) if wanted.is_none() => {
                said.push(Said::Failure(Failure::from(error)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let made_of = made.iter().map(|(container, _)| *container);
    say_doubts(roots, &made_of.collect::<Vec<_>>(), said);
    Ok(made)
}

/// Says what of containers may not be as it was, once for all of them.
fn say_doubts(roots: &DataRoots, containers: &[&StoredContainer], said: &mut Vec<Said>) {
    let mut doubt = |is_doubted: &dyn Fn(&StoredContainer) -> bool, why: &str| {
        let doubted = containers.iter().filter(|container| is_doubted(container));
        let doubted: Vec<String> = doubted.map(|container| shown(container)).collect();
        if !doubted.is_empty() {
            said.push(Said::Words(format!("{}: {why}", some(&doubted))));
        }
    };
    doubt(
        &|container| container.image_missing,
        "the image that the container was started from is not in the tar; imgtar writes its layers with the config of the container, and its history is lost",
    );
    doubt(
        &|container| !container.has_config(),
        "command and environment are in a database of the engine that imgtar does not read; the image of a container has those of the image that it was started from",
    );
    doubt(
        &|container| container.has_config() && !container.has_whole_config(),
        "labels, ports and health checks that were set for the container are in a database of the engine that imgtar does not read; the image of a container has those of the image that it was started from",
    );
    let all: Vec<String> = containers
        .iter()
        .map(|container| shown(container))
        .collect();
    said.extend(lost(roots, &all));
}

/// What a tar without attributes means for containers.
fn lost(roots: &DataRoots, names: &[String]) -> Option<Said> {
    let is_lost = !names.is_empty() && !roots.has_xattrs();
    is_lost.then(|| {
        Said::Words(format!(
            "{}: the tar was made without extended attributes, so capabilities of files are lost, and directories that were removed and created again show their old content",
            some(names)
        ))
    })
}

/// Writes what a container saw as one rootfs tar.
pub(super) fn flatten(
    roots: &DataRoots,
    container: &StoredContainer,
    (mut destination, quiet): (Destination, QuietArg),
    context: &Context,
) -> Result<Exit, Failure> {
    let rescued = roots.container(container, ContainerShape::Tree, &context.options())?;
    let Some(image) = rescued.images.images.first() else {
        return Err(
            Failure::input(format!("the layers of {} cannot be read", shown(container)))
                .hint("pack the whole data directory again, as root and with the engine stopped"),
        );
    };
    let options = FlattenOptions {
        as_container: None,
        verify: true,
        jobs: context.jobs,
    };
    let progress = &context.progress;
    let flattened = match destination.file() {
        Some(file) => {
            MergedImage::for_file(image, options, progress)?.write_to_file(file, progress)
        }
        None => {
            MergedImage::for_stream(image, options, progress)?.write(&mut destination, progress)
        }
    };
    let flattened = match flattened {
        Ok(flattened) => flattened,
        Err(WriteError::Write(error)) if is_closed(&error) => return Ok(Exit::Done),
        Err(error) => return Err(error.into()),
    };
    let name = shown(container);
    context.warn_of_tree(&flattened.warnings);
    warn_of_xattrs(&flattened.refused_xattrs, WITHOUT_XATTRS, context.output);
    if let Some(lost) = lost(roots, std::slice::from_ref(&name)) {
        lost.warn(context);
    }
    if !container.volumes.is_empty() {
        let volumes = units::count(container.volumes.len(), "volume", "volumes");
        note(
            context.output,
            &format!("the tar leaves out {volumes} of the container; --volume NAME writes one"),
        );
    }
    if let Some(written) = destination.finish()? {
        let entries = usize::try_from(flattened.entries).unwrap_or(usize::MAX);
        let facts = [
            units::count(entries, "entry", "entries"),
            format!("the container {name}"),
            finished::layers(image.layers.len(), true),
        ];
        written.say(&facts, quiet, context.output);
    }
    Ok(Exit::Done)
}

/// Writes a volume as a tar.
pub(super) fn volume(
    roots: &DataRoots,
    volume: &StoredVolume,
    (mut destination, quiet): (Destination, QuietArg),
    context: &Context,
) -> Result<Exit, Failure> {
    let tar = roots.volume(volume)?;
    if let Err(error) =
        io::copy(&mut tar.reader(), &mut destination).and_then(|_| destination.flush())
    {
        if is_closed(&error) {
            return Ok(Exit::Done);
        }
        return Err(Failure::environment("cannot write the volume", &error));
    }
    if let Some(written) = destination.finish()? {
        // The volume itself has an entry too.
        let entries = usize::try_from(volume.entries).unwrap_or(usize::MAX);
        let facts = [
            units::count(entries.saturating_add(1), "entry", "entries"),
            format!("the volume {}", escape::text(&volume.name)),
        ];
        written.say(&facts, quiet, context.output);
    }
    Ok(Exit::Done)
}

/// Images of which layers were made of files.
#[derive(Default)]
pub(super) struct RemadeImages {
    pub(super) images: Vec<RemadeImage>,
    /// The store of each, and its position there.
    pub(super) places: HashSet<(usize, usize)>,
}

impl RemadeImages {
    /// The wanted images that are not proven, with layers made of files.
    /// Those that cannot be made are an error if `is_asked`.
    pub(super) fn of(
        roots: &DataRoots,
        (wanted, proven): (&[Vec<usize>], &[Vec<usize>]),
        is_asked: bool,
        context: &Context,
        said: &mut Vec<Said>,
    ) -> Result<Self, Failure> {
        let mut rebuilt = Self::default();
        let of_stores = wanted.iter().zip(proven).enumerate();
        for (at, (wanted, proven)) in of_stores {
            let store = &roots.stores()[at];
            let Some(set) = store.images() else { continue };
            for position in wanted.iter().filter(|position| !proven.contains(position)) {
                match roots.remade(store, &set.images[*position], &context.options()) {
                    Ok(image) => {
                        rebuilt.places.insert((at, *position));
                        rebuilt.images.push(image);
                    }
                    Err(error @ RescueError::Unmade { .. }) if !is_asked => {
                        said.push(Said::Failure(Failure::from(error)));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(rebuilt)
    }
}

/// Says that an image has other IDs.
pub(super) fn rebuilt(image: &RemadeImage) -> Failure {
    let mut failure = Failure::input(format!(
        "layers were made from files, so the image ID {} became {}",
        image.was, image.now
    ))
    .hint("replace the old ID wherever something refers to the image by it");
    for layer in &image.layers {
        failure = failure.detail(format!(
            "layer {}: diff ID {} became {}",
            layer.index, layer.was, layer.now
        ));
    }
    failure
}

/// How containers and volumes are written.
pub(super) fn others(report: &RescueReport, path: &str) -> String {
    let mut ways = Vec::new();
    let comes_back = |container: &&StoredContainer| container.fault.is_none();
    if let Some(container) = report.containers.iter().find(comes_back) {
        ways.push("--containers -o images.tar (all containers, as images)".to_owned());
        ways.push(format!(
            "--container {} --flatten -o rootfs.tar (the files of one)",
            shown(container)
        ));
    }
    if let Some(volume) = report.volumes.first() {
        ways.push(format!(
            "--volume {} -o volume.tar (a volume)",
            escape::text(&volume.name)
        ));
    }
    if ways.is_empty() {
        return String::new();
    }
    format!(
        "more can be written with imgtar rescue {path}: {}",
        ways.join(", ")
    )
}

/// What the closing line says of what the engine did not have as an image.
pub(super) fn made_facts(containers: usize, from_files: usize) -> Vec<String> {
    let mut facts = Vec::new();
    if containers > 0 {
        let containers = units::count(containers, "container", "containers");
        facts.push(format!("{containers} among them"));
    }
    if from_files > 0 {
        let layers = units::count(from_files, "layer", "layers");
        facts.push(format!("{layers} made from files"));
    }
    facts
}
