//! A rootfs tar written at known places by several threads at once.
//!
//! A walk over the tree computes all offsets before anything is written. Then one piece of
//! work writes the headers and the small bodies, in order, and each large body is written to its place
//! by the thread that reads its layer: each layer is read once, for its digest and for its bodies.

use std::fs::File;

use super::WriteError;
use super::copying::{Afterwards, SharedFile, WriteFrom};
use super::entries::Entries;
use super::parallel::{Placing, Proofs, Stored, copy_all, write_small};
use super::tar::TarWriter;
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, steps};
use crate::layer::LayerTar;
use crate::layer::digest::Wanted;
use crate::source::Compression;

/// What was written.
pub(super) struct Placed {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// What was proven of the layers that are `wanted`, in the order of these.
    pub(super) proofs: Proofs,
}

/// Writes `entries`, whose bodies are in `layers`, to `file`, which is empty; the digests of the layers
/// in `wanted` are computed.
pub(super) fn write(
    entries: &Entries<'_>,
    layers: &[LayerTar],
    wanted: &[(usize, Wanted)],
    file: &File,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Placed, WriteError> {
    let mut placing = Placing::new(0, layers.len());
    entries.each(|fields, content| {
        placing.entry(fields, content);
        Ok(())
    })?;
    let (moves, rest) = placing.finish();
    let large = moves.iter().flatten().map(|m| m.from.len);
    let task = progress.begin(steps::WRITING, Some(large.sum()));
    let mut wanted_of = vec![None; layers.len()];
    for (number, (layer, wanted)) in wanted.iter().enumerate() {
        if let Some(of_layer) = wanted_of.get_mut(*layer) {
            *of_layer = Some((number, wanted.clone()));
        }
    }
    let stored = layers.iter().zip(moves).zip(wanted_of);
    let stored = stored.map(|((tar, moves), wanted)| Stored {
        bytes: tar.bytes(),
        compression: Compression::None,
        wanted,
        moves,
        // The tree is of no use any more.
        afterwards: Afterwards::GivenBack,
    });
    let write_rest = |(): &(), output: SharedFile<'_>| write_rest(entries, output);
    let (proofs, written) = copy_all(
        stored.collect(),
        vec![(rest, ())],
        &write_rest,
        (file, &*task),
        jobs,
        progress,
    )?;
    let (entries, bytes) = written.first().copied().unwrap_or_default();
    Ok(Placed {
        entries,
        bytes,
        proofs,
    })
}

/// Writes headers and small bodies, in order, and leaves room for the large ones.
fn write_rest(entries: &Entries<'_>, output: SharedFile<'_>) -> Result<(u64, u64), WriteError> {
    let mut writer = TarWriter::with_holes(WriteFrom::new(output, 0), WriteFrom::skip);
    let count = entries.each(|fields, content| write_small(&mut writer, fields, content))?;
    let (_, bytes) = writer.finish_record()?;
    Ok((count, bytes))
}
