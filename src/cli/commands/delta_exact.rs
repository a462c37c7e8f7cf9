//! `delta --exact diff-id`: the new archive with its layers uncompressed, in a temporary file.

use clap::ValueEnum;
use imgtar::base::progress::steps;
use imgtar::output::{
    ArchiveGraph, ArchiveLayout, ArchiveOptions, LayerCompression, write_graph_to_file,
};
use imgtar::report::units;
use imgtar::source::{Compression, Input, Method};
use imgtar::{Archive, ImageSet};

use super::{Context, Failure};
use crate::cli::carried::Carried;
use crate::cli::error::note;
use crate::cli::files::Files;

/// What is the same about NEW and what `apply` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exact {
    /// Every byte
    Bytes,
    /// Image IDs and diff IDs: layers come back uncompressed, and digests of manifests change
    DiffId,
}

/// NEW with its layers uncompressed, and says what that changes; `None` if they are already.
pub(super) fn uncompressed(new: &Input, context: &Context) -> Result<Option<Input>, Failure> {
    let label = new.source().label();
    let refused = |error: imgtar::Error| {
        Failure::from(error)
            .hint("--exact diff-id is for image archives; leave it out for other tars")
    };
    let archive = Archive::open(new.clone()).map_err(|error| refused(error.into()))?;
    let loaded = Context::read(archive)?;
    loaded.require_images()?;
    loaded.require_one_description()?;
    if !has_compressed_layers(&loaded.set) {
        note(
            context.output,
            &format!("no layer of {label} is compressed, so it comes back byte for byte"),
        );
        return Ok(None);
    }
    let layout = ArchiveLayout::of(loaded.set.layout);
    let (graph, changes) = ArchiveGraph::of(&loaded.archive, &loaded.set)?;
    let options = ArchiveOptions {
        layout,
        verify: true,
        compress: LayerCompression::As(Method::NONE),
        jobs: context.jobs,
    };
    context
        .progress
        .plan(&[steps::DECOMPRESSING, steps::WRITING]);
    let failed = |error| {
        Failure::environment(
            "cannot keep the uncompressed archive in a temporary file",
            &error,
        )
        .hint("set TMPDIR to a directory with room for it")
    };
    let file = tempfile::tempfile().map_err(failed)?;
    let written = write_graph_to_file(&graph, &file, options, &context.progress)?;
    say(&label, new.stored_size(), written.bytes, context);
    Carried::new("delta", layout, vec![&loaded.set], &changes).say_changes(&written, context);
    let made = Files::written(file, &label, &context.options());
    Ok(Some(made.map_err(imgtar::Error::from)?))
}

fn has_compressed_layers(set: &ImageSet) -> bool {
    let layers = set.images.iter().flat_map(|image| &image.layers);
    let mut stored = layers.filter_map(|layer| layer.present());
    stored.any(|(_, compression)| compression != Compression::None)
}

fn say(label: &str, before: u64, now: u64, context: &Context) {
    let (before, now) = (units::size_spaced(before), units::size_spaced(now));
    note(
        context.output,
        &format!(
            "{label} comes back with uncompressed layers, {now} instead of {before}; for Docker's classic store and podman it is the same image"
        ),
    );
}
