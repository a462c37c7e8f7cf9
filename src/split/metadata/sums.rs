//! Bodies, digested on all cores.
//!
//! Layers are digested in [`crate::layer::digest`], and bodies are not. There each stream is an item that threads
//! take one by one, with a name that progress shows and a proof of its own, which suits some dozen streams of
//! megabytes. An image has a hundred thousand bodies of some kilobytes: here a thread takes several megabytes of
//! them at a time, and a checksum is computed beside, of which that of the whole blob is made (`whole_crc`).

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::crc::CRC64;
use crate::base::constants::BUFFER;
use crate::base::jobs::{self, Jobs};
use crate::base::progress::{Progress, Task};
use crate::source::{Slice, SourceError, Span};

/// How many bytes a thread digests before it takes the next ones, unless one body has more.
const SHARE: u64 = 8 << 20;

/// A body, digested.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    pub(super) span: Span,
    pub(super) sha256: [u8; 32],
    pub(super) crc: u64,
}

/// Digests bodies on all cores.
pub(super) fn sums(
    slices: &[Slice],
    spans: &[Vec<Span>],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Vec<Vec<Sum>>, SourceError> {
    let mut shares: Vec<(usize, Range<usize>, u64)> = Vec::new();
    for (n, spans) in spans.iter().enumerate() {
        let (mut from, mut bytes) = (0, 0);
        for (i, span) in spans.iter().enumerate() {
            bytes += span.len;
            if bytes >= SHARE || i + 1 == spans.len() {
                shares.push((n, from..i + 1, bytes));
                (from, bytes) = (i + 1, 0);
            }
        }
    }
    let total = shares.iter().map(|share| share.2).sum();
    let task = progress.begin("digesting files", Some(total));
    let work = |(n, range, _): &(usize, Range<usize>, u64)| {
        let mut buf = vec![0; BUFFER];
        let spans = spans[*n][range.clone()].iter();
        spans
            .map(|&span| digest(&slices[*n], span, &mut buf, &*task))
            .collect::<Result<Vec<_>, _>>()
    };
    let digested = jobs::map(jobs, &shares, |share| share.2, work);
    let mut sums: Vec<Vec<Sum>> = spans.iter().map(|_| Vec::new()).collect();
    for ((n, ..), digested) in shares.iter().zip(digested) {
        sums[*n].extend(digested?);
    }
    Ok(sums)
}

fn digest(slice: &Slice, span: Span, buf: &mut [u8], task: &dyn Task) -> Result<Sum, SourceError> {
    let body = slice.slice(span);
    let mut sha256 = Sha256::new();
    let mut crc = CRC64.digest();
    let mut at = 0;
    while at < body.len() {
        let n = body.read_at(buf, at)?;
        sha256.update(&buf[..n]);
        crc.update(&buf[..n]);
        at += n as u64;
    }
    task.advance(at);
    Ok(Sum {
        span,
        sha256: sha256.finalize().into(),
        crc: crc.finalize(),
    })
}
