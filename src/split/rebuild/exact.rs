//! The archive byte for byte: its own bytes as they were, every body where it was.

use std::io::{self, Write};
use std::num::NonZeroUsize;

use sha2::{Digest as _, Sha256};

use super::error::RebuildError;
use super::layers::{LayerStep, Parts};
use super::mismatch;
use super::places::Places;
use super::sink::{Out, Sink, Target};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, steps};
use crate::source::remake::{Recipe, Remaker};
use crate::split::metadata::{BodyRecord, StreamFault, Where, names};

/// Writes the archive and says how many bytes it has.
pub(super) fn write(
    parts: &Parts<'_>,
    target: Target<'_>,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<u64, RebuildError> {
    let archive = &parts.container.description().archive;
    let task = progress.begin(steps::WRITING, Some(archive.size));
    let wrong = |why: String| RebuildError::from(StreamFault::Wrong(why).of(names::ARCHIVE_SPLIT));
    let mut outside = Sha256::new();
    let put = |body: &BodyRecord, out: Out<'_>| {
        body_to(parts, body, out)?;
        task.advance(body.size);
        Ok(())
    };
    let mut places = Places::new(target, jobs, put);
    parts.archive_stream()?.each(|step| {
        let len = match &step {
            LayerStep::Raw(bytes) => bytes.len() as u64,
            LayerStep::Entry(body) => body.as_ref().map_or(0, |body| body.size),
        };
        if places.position().saturating_add(len) > archive.size {
            let why = format!(
                "the archive becomes longer than the {} bytes that the description claims",
                archive.size
            );
            return Err(wrong(why));
        }
        match step {
            LayerStep::Raw(bytes) => {
                outside.update(bytes);
                places.bytes(bytes)
            }
            LayerStep::Entry(None) => Ok(()),
            LayerStep::Entry(Some(body)) => {
                let is_layer = matches!(body.place, Where::Layer(_));
                places.body(body, len, is_layer)
            }
        }
    })?;
    let len = places.finish()?;
    if len != archive.size {
        return Err(wrong(format!(
            "the archive has {len} bytes, the description claims {}",
            archive.size
        )));
    }
    let computed = const_hex::encode(outside.finalize());
    if computed != archive.outside_sha256 {
        return Err(wrong(format!(
            "the bytes around the bodies of the archive are not what they were: the description claims the SHA-256 {}, computed {computed}",
            archive.outside_sha256
        )));
    }
    Ok(archive.size)
}

/// Writes a body, and verifies it against its sum.
fn body_to(parts: &Parts<'_>, body: &BodyRecord, out: Out<'_>) -> Result<(), RebuildError> {
    let layers = &parts.container.description().layers;
    if let Where::Layer(index) = body.place {
        let layer = layers.get(index);
        let Some(layer) = layer.filter(|layer| layer.made_size() == body.size) else {
            let why = format!("there is no layer {index} of {} bytes", body.size);
            return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
        };
        if let Some(recipe) = layer.recipe() {
            return remade_to(parts, index, recipe, body, out);
        }
        let made = parts.layer(layer, &[], out)?;
        return parts.verify(index, layer, &layer.diff_id, &made);
    }
    let mut sink = Sink::sized(out, body.size);
    parts.body(body, names::ARCHIVE_BODIES, &mut sink)?;
    let written = sink.finish().map_err(RebuildError::Write)?;
    let digest = written.diff_id().digest();
    if digest.encoded() != const_hex::encode(body.sha256) {
        let what = format!("the body of line {}", body.position);
        let why = mismatch(&what, &body.sha256, digest);
        return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
    }
    Ok(())
}

/// Compresses a layer as it was compressed, and verifies both what it is made from and what comes out.
fn remade_to(
    parts: &Parts<'_>,
    index: usize,
    recipe: &Recipe,
    body: &BodyRecord,
    out: Out<'_>,
) -> Result<(), RebuildError> {
    let layer = &parts.container.description().layers[index];
    let blob = Blob {
        sink: Sink::sized(out, body.size),
        left: body.size,
        len: 0,
    };
    // Other threads do other layers.
    let one = Jobs::new(NonZeroUsize::MIN);
    let mut remaker = Remaker::new(recipe, &[], blob, one).map_err(RebuildError::Write)?;
    let made = parts.layer(layer, &[], Out::Stream(&mut remaker))?;
    parts.verify(index, layer, &layer.diff_id, &made)?;
    let blob = remaker.finish().map_err(RebuildError::Write)?;
    let len = blob.len;
    let written = blob.sink.finish().map_err(RebuildError::Write)?;
    let digest = written.diff_id().digest();
    if len == body.size && digest.encoded() == const_hex::encode(body.sha256) {
        return Ok(());
    }
    let what = format!("layer {index}, compressed as `{}` does,", recipe.encoder());
    let why = mismatch(&what, &body.sha256, digest);
    Err(StreamFault::Wrong(why).of(names::DESCRIPTION).into())
}

/// A blob that is compressed again. What is longer than it was goes nowhere, since other bytes follow there.
struct Blob<'o> {
    sink: Sink<'o>,
    /// How many bytes there is room for.
    left: u64,
    /// How many there were.
    len: u64,
}

impl Write for Blob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let some = &bytes[..bytes.len().min(room)];
        self.sink.bytes(some)?;
        self.left -= some.len() as u64;
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
