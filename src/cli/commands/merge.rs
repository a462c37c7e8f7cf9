//! `merge`: several archives as one.

use std::collections::HashMap;
use std::path::PathBuf;

use imgtar::output::{ArchiveGraph, ArchiveLayout};
use imgtar::report::{Written, WrittenFacts, WrittenHead, units};

use super::{Context, Exit, Failure, Loaded};
use crate::cli::archive_output::{CarryOutputArg, LayoutArg};
use crate::cli::carried::{Carried, word};
use crate::cli::error::{note, warn};
use crate::cli::files::both_from_stdin;
use crate::cli::render::json;

/// Write all images of several archives as one
///
/// The archives may have any layouts. Images stay in the order of the archives, and every layer and blob is
/// stored once. If two different images have one name, the last one gets it, as when the archives are loaded one
/// after the other; a warning says so. Every layer is verified against its digests on the way.
///
/// The image IDs are printed, and what becomes of the digests by which a containerd store and signatures know
/// the images.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar merge app.tar db.tar -o all.tar
  imgtar merge *.tar --dry-run
  imgtar merge app.tar db.tar --layout oci -o all.tar")]
pub(crate) struct Args {
    /// The archives: paths, or - for standard input
    #[arg(value_name = "ARCHIVE", required = true)]
    archives: Vec<PathBuf>,

    /// How the new archive is laid out
    #[arg(long, value_enum, value_name = "LAYOUT", default_value_t = LayoutArg::Docker)]
    layout: LayoutArg,

    /// Say what the archive would hold and how many bytes the inputs store twice, and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: CarryOutputArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
        if self.archives.iter().filter(is_stdin).count() > 1 {
            return Err(both_from_stdin("one ARCHIVE", "another"));
        }
        let mut all = Vec::with_capacity(self.archives.len());
        for path in &self.archives {
            let loaded = Context::read(context.open(path)?)?;
            loaded.require_images()?;
            loaded.require_one_description()?;
            all.push(loaded);
        }
        let layout: ArchiveLayout = self.layout.into();
        let destination = if self.dry_run {
            None
        } else {
            Some(self.output.open(layout, context)?)
        };
        let mut graphs = Vec::with_capacity(all.len());
        let mut changes = Vec::new();
        for loaded in &all {
            let (graph, more) = ArchiveGraph::of(&loaded.archive, &loaded.set)?;
            graphs.push(graph);
            changes.extend(more);
        }
        let (graph, more) = ArchiveGraph::merge(graphs);
        changes.extend(more);
        let stored_twice = Some(stored_twice(&all));
        let Some(destination) = destination else {
            for change in &changes {
                warn(context.output, &change.to_string());
            }
            return self.tell(&graph, layout, stored_twice, context);
        };
        let carried = Carried {
            command: "merge",
            verify: true,
            layout,
            sets: all.iter().map(|loaded| &loaded.set).collect(),
            changes: &changes,
            stored_twice,
            reconfigured: None,
        };
        carried.write(&graph, destination, &self.output, context)
    }

    /// Says what would be written.
    fn tell(
        &self,
        graph: &ArchiveGraph<'_>,
        layout: ArchiveLayout,
        stored_twice: Option<u64>,
        context: &Context,
    ) -> Result<Exit, Failure> {
        let images: Vec<WrittenFacts> = graph
            .listed_images()
            .map(|(image, names)| WrittenFacts {
                id: Some(image.identity.to_string()),
                containerd_id: None,
                manifest: None,
                manifest_before: image
                    .manifest
                    .as_ref()
                    .map(|manifest| manifest.descriptor.digest.to_string()),
                references: names.iter().map(ToString::to_string).collect(),
                platform: (!image.platform.is_unknown()).then(|| image.platform.to_string()),
            })
            .collect();
        if self.output.json() {
            let report = Written {
                schema: "imgtar/merge/1".to_owned(),
                archive: WrittenHead {
                    path: None,
                    layout: word(layout).to_owned(),
                    bytes: None,
                    stored_twice,
                },
                images,
                layers: None,
                changes: Vec::new(),
            };
            context.output.answer(|out| json(out, &report))?;
            return Ok(Exit::Done);
        }
        context.output.answer(|out| {
            for image in &images {
                let id = image.id.as_deref().unwrap_or_default();
                let names = match &image.references[..] {
                    [] => "<none>".to_owned(),
                    names => names.join(" "),
                };
                let line = imgtar::base::escape::text(&names).into_owned();
                writeln!(out, "{id} {line}")?;
            }
            Ok(())
        })?;
        let twice = units::size(stored_twice.unwrap_or(0));
        note(
            context.output,
            &format!("the inputs store {twice} of layers more than once; nothing was written"),
        );
        Ok(Exit::Done)
    }
}

/// How many bytes of layers some archives store more than once.
fn stored_twice(all: &[Loaded]) -> u64 {
    let mut once: HashMap<String, u64> = HashMap::new();
    let mut total: u64 = 0;
    for loaded in all {
        let mut met = std::collections::HashSet::new();
        for layer in loaded.set.images.iter().flat_map(|image| &image.layers) {
            let Some((slice, compression)) = layer.present() else {
                continue;
            };
            if !met.insert(slice.span()) {
                continue;
            }
            total = total.saturating_add(slice.len());
            let key = match (&layer.digest, &layer.diff_id) {
                (Some(digest), _) => digest.to_string(),
                (None, Some(diff_id)) if compression == imgtar::source::Compression::None => {
                    diff_id.to_string()
                }
                (None, diff_id) => format!("{diff_id:?} {compression:?} {}", slice.len()),
            };
            once.insert(key, slice.len());
        }
    }
    total
        - once
            .values()
            .fold(0, |sum: u64, n| sum.saturating_add(*n))
            .min(total)
}
