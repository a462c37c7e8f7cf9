//! The archive byte for byte: its own bytes as they were, every body where it was.

use sha2::{Digest as _, Sha256};

use super::error::RebuildError;
use super::layers::{Parts, Step, Together};
use super::sink::{Out, Sink, Target, write_at};
use crate::metadata::{Body, StreamFault, Where, names};
use crate::parallel::{self, Jobs};
use crate::progress::Progress;

/// A body and where it goes.
struct Job {
    body: Body,
    offset: u64,
}

/// Writes the archive and says how many bytes it has.
pub(super) fn write(
    parts: &Parts<'_>,
    target: Target<'_>,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<u64, RebuildError> {
    let archive = &parts.container.description().archive;
    let task = progress.begin("rebuilding", Some(archive.size));
    let wrong = |why: String| RebuildError::from(StreamFault::Wrong(why).of(names::ARCHIVE_SPLIT));
    let mut outside = Sha256::new();
    let mut at = 0_u64;
    let mut target = target;
    let mut waiting = Vec::new();
    Together::archive(parts.container)?.each(|step| {
        let len = match &step {
            Step::Raw(bytes) => bytes.len() as u64,
            Step::Entry(body) => body.as_ref().map_or(0, |body| body.size),
        };
        let offset = at;
        at = at
            .checked_add(len)
            .filter(|at| *at <= archive.size)
            .ok_or_else(|| wrong(format!("it comes to more than {} bytes", archive.size)))?;
        match (step, &mut target) {
            (Step::Raw(bytes), target) => {
                outside.update(bytes);
                match target {
                    Target::File(file) => write_at(file, bytes, offset),
                    Target::Stream(stream) => stream.write_all(bytes),
                }
                .map_err(RebuildError::Write)?;
            }
            (Step::Entry(None), _) => {}
            (Step::Entry(Some(body)), Target::File(_)) => waiting.push(Job { body, offset }),
            (Step::Entry(Some(body)), Target::Stream(stream)) => {
                body_to(parts, &body, Out::Stream(stream))?;
                task.advance(body.size);
            }
        }
        Ok(())
    })?;
    if at != archive.size {
        return Err(wrong(format!(
            "it comes to {at} bytes, {} are wanted",
            archive.size
        )));
    }
    if const_hex::encode(outside.finalize()) != archive.outside_sha256 {
        return Err(wrong("it is not what the description says of it".into()));
    }
    if let Target::File(file) = target {
        let written = parallel::map(
            jobs,
            &waiting,
            |job| job.body.size,
            |job| {
                body_to(parts, &job.body, Out::At(file, job.offset))?;
                task.advance(job.body.size);
                Ok(())
            },
        );
        written.into_iter().collect::<Result<(), RebuildError>>()?;
    }
    Ok(archive.size)
}

/// Writes a body, and holds it against its sum.
fn body_to(parts: &Parts<'_>, body: &Body, out: Out<'_>) -> Result<(), RebuildError> {
    let layers = &parts.container.description().layers;
    if let Where::Layer(index) = body.place {
        let Some(layer) = layers.get(index).filter(|layer| layer.size == body.size) else {
            let why = format!("there is no layer {index} of {} bytes", body.size);
            return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
        };
        let made = parts.layer(layer, &[], out)?;
        if made.digest != super::digest(&layer.diff_id)? {
            return Err(parts.blame(index, layer, &made));
        }
        return Ok(());
    }
    let mut sink = Sink::new(out);
    parts.body(body, &mut sink)?;
    let (digest, _) = sink.finish().map_err(RebuildError::Write)?;
    if digest.encoded() != const_hex::encode(body.sha256) {
        let why = format!("the body of entry {} is not what it was", body.position);
        return Err(StreamFault::Wrong(why).of(names::ARCHIVE_BODIES).into());
    }
    Ok(())
}
