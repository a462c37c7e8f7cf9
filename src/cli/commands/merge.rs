//! `merge`: several archives as one.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use imgtar::Image;
use imgtar::base::digest::DiffId;
use imgtar::output::{ArchiveGraph, ArchiveLayout, GraphChange, LayerStore};

use super::{Context, Exit, Failure, Loaded};
use crate::cli::archive_output::{CarryOutputArg, LayoutArg};
use crate::cli::carried::Carried;
use crate::cli::files::both_from_stdin;

/// Write the images of several archives as one archive
///
/// The archives may have any layouts. Images stay in the order of the archives, and every layer and blob is
/// stored once. If two different images have one name, the last one gets it, as when the archives are loaded one
/// after the other; a warning says so. Every layer is verified against its digests on the way.
///
/// If one archive is thin (see `imgtar thin`), another that has the missing layers supplies them, and its own images
/// are left out: `merge THIN BASE` gives the archive that THIN was made from. If BASE has a layer compressed in another
/// way, a note says that the result is a different archive.
///
/// Prints the image IDs, and whether the digests change by which containerd stores and signatures know the images.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar merge app.tar db.tar -o all.tar
  imgtar merge *.tar --dry-run
  imgtar merge app.tar db.tar --layout oci -o all.tar
  imgtar merge thin.tar base.tar -o full.tar")]
pub(crate) struct Args {
    /// The archives: paths, or - for standard input
    #[arg(value_name = "ARCHIVE", required = true)]
    archives: Vec<PathBuf>,

    /// How the new archive is laid out
    #[arg(long, value_enum, value_name = "LAYOUT", default_value_t = LayoutArg::Docker)]
    layout: LayoutArg,

    /// Print what the archive would hold and how many bytes the inputs store twice, and write nothing
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
        let bases = bases(&all);
        if bases.iter().any(Option::is_some) {
            // Layers are found by their diff IDs, which some images do not claim.
            for loaded in &all {
                let images: Vec<&Image> = loaded.set.images.iter().collect();
                context.upgrade(&loaded.set, &images)?;
            }
        }
        let mut graphs = Vec::with_capacity(all.len());
        let mut changes = Vec::new();
        for (loaded, thin) in all.iter().zip(&bases) {
            if let Some(thin) = thin {
                changes.push(GraphChange::TakenForLayers {
                    path: loaded.archive.path().to_owned(),
                    thin: all[*thin].archive.path().to_owned(),
                });
                continue;
            }
            let (graph, more) = ArchiveGraph::of(&loaded.archive, &loaded.set)?;
            graphs.push(graph);
            changes.extend(more);
        }
        let (graph, more) = ArchiveGraph::merge(graphs);
        changes.extend(more);
        let (graph, more) = fill(graph, &all)?;
        changes.extend(more);
        let carried = Carried {
            stored_twice: Some(stored_twice(&all)),
            ..Carried::new(
                "merge",
                layout,
                all.iter().map(|loaded| &loaded.set).collect(),
                &changes,
            )
        };
        carried.write_or_tell(&graph, destination, &self.output, context)
    }
}

/// The diff IDs of the layers that a thin archive lacks.
fn wanted(loaded: &Loaded) -> HashSet<DiffId> {
    let layers = loaded.set.images.iter().flat_map(|image| &image.layers);
    let left_out = layers.filter(|layer| layer.left_out().is_some());
    left_out.filter_map(|layer| layer.diff_id.clone()).collect()
}

/// For each archive the thin one that it is the base of: it has layers that this one lacks. What is a base itself
/// has no bases.
fn bases(all: &[Loaded]) -> Vec<Option<usize>> {
    let mut bases: Vec<Option<usize>> = vec![None; all.len()];
    for (at, thin) in all.iter().enumerate() {
        let wanted = wanted(thin);
        if wanted.is_empty() || bases[at].is_some() {
            continue;
        }
        for (other, loaded) in all.iter().enumerate() {
            let mut store = LayerStore::default();
            let has_some = store.add(loaded.archive.path(), &loaded.set, &wanted);
            if other != at && has_some && bases[other].is_none() {
                bases[other] = Some(at);
            }
        }
    }
    bases
}

/// Gives the images of thin archives the layers that they lack, from whichever archive has them.
fn fill<'l>(
    graph: ArchiveGraph<'l>,
    all: &'l [Loaded],
) -> Result<(ArchiveGraph<'l>, Vec<GraphChange>), Failure> {
    let wanted: HashSet<DiffId> = all.iter().flat_map(wanted).collect();
    let mut store = LayerStore::default();
    for loaded in all.iter().filter(|_| !wanted.is_empty()) {
        store.add(loaded.archive.path(), &loaded.set, &wanted);
    }
    let (graph, changes, unfilled) = graph.fill(store);
    let Some(first) = unfilled.first() else {
        return Ok((graph, changes));
    };
    let thin = all.iter().filter(|loaded| loaded.set.thin.is_some());
    let thin: Vec<&str> = thin.map(|loaded| loaded.archive.path()).collect();
    let (are, them) = match unfilled.len() {
        1 => ("layer is", "it"),
        _ => ("layers are", "them"),
    };
    let mut failure = Failure::input(format!(
        "{} {are} left out of {} on purpose, and none of the archives has {them}",
        unfilled.len(),
        thin.join(", "),
    ));
    for layer in &unfilled {
        let bases = match &layer.bases[..] {
            [] => "nothing says where it is".to_owned(),
            bases => format!("it is in {}", bases.join(", ")),
        };
        failure = failure.detail(format!("{} of {}: {bases}", layer.diff_id, layer.image));
    }
    let base = match first.bases.first() {
        Some(base) => format!("BASE is an archive that holds {base}"),
        None => format!("BASE is an archive that has {them}"),
    };
    let paths: Vec<&str> = all.iter().map(|loaded| loaded.archive.path()).collect();
    let paths = paths.join(" ");
    Err(failure.hint(format!(
        "add an archive: imgtar merge {paths} BASE -o FULL, where {base}"
    )))
}

/// How many bytes of layers some archives store more than once.
fn stored_twice(all: &[Loaded]) -> u64 {
    let mut once: HashMap<String, u64> = HashMap::new();
    let mut total: u64 = 0;
    for loaded in all {
        let mut met = HashSet::new();
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
