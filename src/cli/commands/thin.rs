//! `thin`: an archive without the layers that its receiver has.

use std::path::PathBuf;

use imgtar::Image;
use imgtar::output::{ArchiveGraph, ArchiveLayout, KeepWish, ThinError, ThinPlan};
use imgtar::report::units;

use super::{Context, Exit, Failure, Loaded};
use crate::cli::archive_output::{CarryOutputArg, LayoutArg};
use crate::cli::args::{ArchiveArg, ImagesArg};
use crate::cli::carried::{Carried, ThinInput};
use crate::cli::error::{note, warn};
use crate::cli::files::both_from_stdin;

/// Write an archive without the layers that the receiver has
///
/// Leaves out every layer that a base holds in the same place: the same diff ID on top of the same layers. Where such
/// an image is loaded, Docker's classic store (the store of Docker up to 28, and of later ones that were upgraded)
/// loads the thin archive as it is. A containerd store loads it only if it has the very same blobs; podman and skopeo
/// never load it. `imgtar merge THIN BASE -o FULL` makes the full archive again, which loads everywhere.
///
/// The archive lists what it lacks in its member imgtar-thin.json, so that `images`, `layers`, `inspect`, `verify` and
/// the like can say so. Layers of the bases are verified before imgtar relies on them, and everything it writes is
/// verified on the way. If the bases hold none of the
/// layers, that is an error and nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar thin app-1.1.tar --base app-1.0.tar -o update.tar
  imgtar thin app-1.1.tar --base app-1.0.tar --dry-run
  imgtar merge update.tar app-1.0.tar -o app-1.1.tar")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    #[command(flatten)]
    images: ImagesArg,

    /// An archive that the receiver has loaded, or - for standard input; can be given several times
    #[arg(long = "base", value_name = "ARCHIVE", required = true)]
    bases: Vec<PathBuf>,

    /// How the new archive is laid out [default: like ARCHIVE]
    #[arg(long, value_enum, value_name = "LAYOUT")]
    layout: Option<LayoutArg>,

    /// Print what would be left out and how large the archive would be, and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: CarryOutputArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
        let from_stdin = self.bases.iter().filter(is_stdin).count();
        if from_stdin + usize::from(self.archive.is_stdin()) > 1 {
            return Err(both_from_stdin("ARCHIVE", "a base"));
        }
        let loaded = read(context.load(&self.archive)?, context)?;
        let mut bases = Vec::with_capacity(self.bases.len());
        for path in &self.bases {
            bases.push(read(Context::read(context.open(path)?)?, context)?);
        }
        let own = ArchiveLayout::of(loaded.set.layout);
        let layout: ArchiveLayout = self.layout.map_or(own, Into::into);
        let destination = if self.dry_run {
            None
        } else {
            Some(self.output.open(layout, context)?)
        };
        let (graph, changes) = self.chosen(&loaded, layout != own, layout, context)?;
        let held = bases.iter().map(|base| (base.archive.path(), &base.set));
        let held: Vec<_> = held.collect();
        let (graph, plan) = match graph.thin(&held, context.jobs, &context.progress) {
            Ok(thinned) => thinned,
            Err(error) => return Err(Self::refuse(error, &bases)),
        };
        Self::say(&plan, &bases, layout, context);
        let carried = Carried {
            thinned: Some(ThinInput {
                bytes: loaded.archive.stored_size(),
                bases: Self::giving_back(&plan, &bases),
            }),
            ..Carried::new("thin", layout, vec![&loaded.set], &changes)
        };
        carried.write_or_tell(&graph, destination, &self.output, context)
    }
}

/// An archive whose layers all have diff IDs.
fn read(loaded: Loaded, context: &Context) -> Result<Loaded, Failure> {
    loaded.require_images()?;
    loaded.require_one_description()?;
    let all: Vec<&Image> = loaded.set.images.iter().collect();
    context.upgrade(&loaded.set, &all)?;
    Ok(loaded)
}

impl Args {
    /// The images that were asked for; one of each index if the layout changes to one without indexes, as in
    /// `convert`.
    fn chosen<'l>(
        &self,
        loaded: &'l Loaded,
        converts: bool,
        layout: ArchiveLayout,
        context: &Context,
    ) -> Result<(ArchiveGraph<'l>, Vec<imgtar::output::GraphChange>), Failure> {
        let (mut graph, mut changes) = ArchiveGraph::of(&loaded.archive, &loaded.set)?;
        let mut images: Vec<&Image> = Vec::new();
        for selector in self.images.images() {
            loaded.know_ids(Some(selector), context)?;
            images.extend(loaded.set.pick_all(Some(selector), None)?);
        }
        let wish = |images| KeepWish {
            images,
            present: false,
            absent: true,
            flat: false,
        };
        if !images.is_empty() {
            let (kept, more) = graph.keep(wish(&images));
            graph = kept;
            changes.extend(more);
        }
        if converts && layout != ArchiveLayout::Oci {
            let one_each = graph.one_platform_each(None)?;
            let (kept, more) = graph.keep(KeepWish {
                flat: true,
                ..wish(&one_each)
            });
            graph = kept;
            changes.extend(more);
        }
        Ok((graph, changes))
    }

    /// What `merge` needs beside the thin archive.
    fn giving_back<'l>(plan: &ThinPlan, bases: &'l [Loaded]) -> Vec<&'l str> {
        let is_used = |base: &usize| !plan.idle().contains(base);
        let used = (0..bases.len()).filter(is_used);
        let mut paths: Vec<&str> = used.map(|base| bases[base].archive.path()).collect();
        if plan.lacked() > 0 {
            // No base has what the archive lacked already.
            paths.push("BASE");
        }
        paths
    }

    /// Why nothing can be left out.
    fn refuse(error: ThinError, bases: &[Loaded]) -> Failure {
        let elsewhere = match error {
            ThinError::NothingShared { elsewhere } => elsewhere,
            ThinError::Base(error) => return error.into(),
        };
        let paths: Vec<&str> = bases.iter().map(|base| base.archive.path()).collect();
        let failure = Failure::input(format!(
            "{} holds none of the layers, so nothing can be left out",
            paths.join(", ")
        ));
        let hint = "name an archive of an image that this one was built on, or of an earlier version of it; `imgtar layers` shows the chain IDs of both; `imgtar delta` leaves out files instead of layers";
        if elsewhere == 0 {
            return failure.hint(hint);
        }
        let layers = units::count(elsewhere, "layer is there", "layers are there");
        failure
            .detail(format!(
                "{layers}, but on top of other layers: engines look a layer up together with those below it"
            ))
            .hint(hint)
    }

    /// Says what a person may not expect.
    fn say(plan: &ThinPlan, bases: &[Loaded], layout: ArchiveLayout, context: &Context) {
        for &idle in plan.idle() {
            let path = bases[idle].archive.path();
            warn(context.output, &format!("{path} holds none of the layers"));
        }
        for base in bases {
            let path = base.archive.path();
            if let Some(thin) = &base.set.thin {
                let layers = units::count(thin.layers, "layer", "layers");
                note(
                    context.output,
                    &format!(
                        "{path} is thin itself: the {layers} that it lacks stay; add the archive that has them as another --base to leave them out"
                    ),
                );
            }
        }
        if plan.lacked() > 0 {
            let layers = units::count(plan.lacked(), "layer", "layers");
            note(
                context.output,
                &format!(
                    "the archive is thin already: the bases do not hold {layers} that it lacks, so the whole archive needs another BASE for those"
                ),
            );
        }
        if plan.kept() == 0 {
            warn(
                context.output,
                "the bases hold every layer: the new archive has names and configs, but no layers",
            );
        }
        if layout == ArchiveLayout::Oci {
            note(
                context.output,
                "Docker's classic store does not read this layout; --layout docker makes a thin archive that it reads",
            );
        }
    }
}
