//! The archive byte for byte: its own bytes as they were, every body where it was.

use sha2::{Digest as _, Sha256};

use super::error::RebuildError;
use super::layers::{LayerStep, Parts};
use super::mismatch;
use super::places::Places;
use super::sink::{Out, Sink, Target};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, steps};
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
        let Some(layer) = layers.get(index).filter(|layer| layer.size == body.size) else {
            let why = format!("there is no layer {index} of {} bytes", body.size);
            return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
        };
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
