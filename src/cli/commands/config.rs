//! `config`: another config for an image.

use imgtar::Image;
use imgtar::document::{ConfigChanges, Unset};
use imgtar::output::{ArchiveGraph, ArchiveLayout, RenameError, WriteError, reconfigure};

use super::tag::refused;
use super::{Context, Exit, Failure, Loaded};
use crate::cli::archive_output::CarryOutputArg;
use crate::cli::args::{ArchiveArg, OneImageArg};
use crate::cli::carried::Carried;
use crate::cli::error::{note, warn};

/// Change the config of an image
///
/// Takes the Dockerfile instructions that `import` and `commit` take. Layers are copied as they are, without being
/// verified: `verify` does that. History and the time of creation stay, as `crane mutate` leaves them. Fields of the
/// config that imgtar does not know stay, too.
///
/// The image ID changes with the config, and so does the ID in a containerd store; signatures of the image no
/// longer match. The new ID is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar config app.tar -c 'CMD [\"app\", \"--debug\"]' -c 'ENV LOG=debug' -o debug.tar
  imgtar config all.tar app:1.2 --unset env=HTTP_PROXY --unset label=maintainer -o clean.tar")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    #[command(flatten)]
    image: OneImageArg,

    /// Change the config with a Dockerfile instruction, such as ENV A=b; can be given several times
    #[arg(
        short,
        long = "change",
        value_name = "INSTRUCTION",
        required_unless_present = "unset"
    )]
    changes: Vec<String>,

    /// Take something out before that: env=NAME, label=KEY, port=P, volume=PATH, entrypoint, cmd, user,
    /// workdir or healthcheck; can be given several times
    #[arg(long, value_name = "WHAT", value_parser = clap::value_parser!(Unset))]
    unset: Vec<Unset>,

    #[command(flatten)]
    output: CarryOutputArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let changes = ConfigChanges::parse(&self.changes).map_err(WriteError::from)?;
        for doubt in changes.doubts() {
            warn(context.output, &doubt.to_string());
        }
        let loaded = context.load(&self.archive)?;
        refuse_several_platforms(&self.image, &loaded)?;
        let image = loaded.pick_to_write(&self.image, context)?;
        loaded.require_one_description()?;
        let layout = ArchiveLayout::of(loaded.set.layout);
        let destination = self.output.open(layout, context)?;
        let (made, absent) = reconfigure(
            image,
            &changes,
            &self.unset,
            context.jobs,
            &context.progress,
        )?;
        for what in absent {
            warn(
                context.output,
                &format!("the config has no {what}, so nothing was removed"),
            );
        }
        let (graph, mut changes) = ArchiveGraph::of(&loaded.archive, &loaded.set)?;
        let before = image.identity.to_string();
        let now = made.id();
        if now.to_string() == before {
            note(
                context.output,
                "nothing changes: the config is the same as before",
            );
        }
        let reconfigured = (now.to_string() != before).then_some((before, now));
        let graph = if reconfigured.is_some() {
            let (graph, more) = graph
                .replace(image, &made)
                .map_err(|error| refused(&error, loaded.archive.path()))?;
            changes.extend(more);
            graph
        } else {
            graph
        };
        let carried = Carried {
            verify: false,
            reconfigured,
            ..Carried::new("config", layout, vec![&loaded.set], &changes)
        };
        carried.write(&graph, destination, &self.output, context)
    }
}

/// Refuses an image for several platforms before a platform is asked for: that would be refused, too.
fn refuse_several_platforms(arg: &OneImageArg, loaded: &Loaded) -> Result<(), Failure> {
    // A platform that was asked for is refused when its image is looked at.
    let Ok(images) = loaded.set.pick_all(arg.image(), None) else {
        return Ok(());
    };
    if arg.platform.is_some() {
        return Ok(());
    }
    let index = |image: &Image| image.manifest.as_ref().and_then(|m| m.index.clone());
    let [first, rest @ ..] = &images[..] else {
        return Ok(());
    };
    let first_index = index(first);
    if rest.is_empty() || first_index.is_none() || rest.iter().any(|i| index(i) != first_index) {
        return Ok(());
    }
    let error = RenameError::SeveralPlatforms(first.display_name());
    Err(refused(&error, loaded.archive.path()).into_usage())
}
