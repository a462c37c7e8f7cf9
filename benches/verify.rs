//! `verify` against the limit: SHA-256 of the same bytes and nothing else.
//!
//! The limit reads the stored bytes of the layers by position and hashes them in pieces of 8 MiB that
//! the threads take from one queue, so no thread ever waits for another. `verify` cannot split a
//! layer, because a SHA-256 is computed from the first byte to the last; `at best` is what that costs
//! if the layers are dealt out perfectly. It can be faster all the same: the limit hashes one piece
//! after the other on each thread, `verify` two layers at once where the processor makes that faster. On compressed layers the limit knows nothing of inflating
//! and says little.
//!
//! Target: at most 1.25 times the limit, in less than 64 MiB of memory.
//!
//! `IMGTAR_BENCH_ARCHIVE` names another archive than the synthetic one.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench starts programs and makes files"
)]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use imgtar::base::progress::Silent;
use imgtar::source::{Slice, Span};
use imgtar::{Jobs, Options};
use sha2::{Digest, Sha256};

use support::{IMGTAR, Outcome, billions, peak_memory, race, ratio};

/// What a thread of the limit takes at a time, in bytes.
const PIECE: u64 = 8 << 20;
/// What is read and hashed at a time, in bytes.
const BUFFER: usize = 256 << 10;

fn main() -> Outcome {
    let path = support::archive()?;
    let layers = layers(&path)?;
    let bytes: u64 = layers.iter().map(Slice::len).sum();
    let threads = thread::available_parallelism()?.get();
    println!(
        "verify: {}, {} layers, {:.2} GB, {threads} threads",
        path.display(),
        layers.len(),
        billions(bytes)
    );
    let mut contenders: Vec<support::Contender<'_>> = vec![
        ("imgtar", Box::new(|| verify(&path))),
        ("limit", Box::new(|| hash(&layers, threads))),
    ];
    let times = race(&mut contenders)?;
    for ((name, _), time) in contenders.iter().zip(&times) {
        let seconds = time.as_secs_f64();
        println!(
            "  {name:<8} {seconds:>7.3} s  {:>6.2} GB/s",
            billions(bytes) / seconds
        );
    }
    println!(
        "  ratio    {:>7.3}    target 1.25",
        ratio(times[0], times[1])
    );
    println!("  at best  {:>7.3}", best_split(&layers, threads));
    let path = path.to_str().ok_or("the path is no UTF-8")?;
    match peak_memory(IMGTAR, &["verify", path])? {
        Some(kib) => println!("  memory   {kib:>7} KiB"),
        None => println!("  memory   unknown: no /proc here"),
    }
    Ok(())
}

/// The stored bytes of every layer, each once.
fn layers(path: &Path) -> Result<Vec<Slice>, Box<dyn Error>> {
    let archive = imgtar::open(path, &Options::default())?;
    let set = archive.images()?;
    let layers = set.images.iter().flat_map(|image| &image.layers);
    let spans: BTreeSet<Span> = layers.filter_map(imgtar::image::Layer::span).collect();
    Ok(spans
        .into_iter()
        .map(|span| archive.source().slice(span))
        .collect())
}

fn verify(path: &Path) -> Result<u64, Box<dyn Error>> {
    let archive = imgtar::open(path, &Options::default())?;
    let set = archive.images()?;
    let result = imgtar::check::verify(&archive, &set, Jobs::all_cores(), &Silent)?;
    if !result.is_ok(false) {
        return Err(format!("{} has problems", path.display()).into());
    }
    Ok(result.images.len() as u64)
}

/// Hashes everything in pieces; the digests mean nothing.
fn hash(layers: &[Slice], threads: usize) -> Result<u64, Box<dyn Error>> {
    let pieces: Vec<(&Slice, u64)> = layers
        .iter()
        .flat_map(|layer| (0..layer.len().div_ceil(PIECE)).map(move |n| (layer, n * PIECE)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<u64, imgtar::source::SourceError> {
        let mut buf = vec![0; BUFFER];
        let mut sum = 0;
        while let Some((layer, from)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut hash = Sha256::new();
            let mut at = *from;
            let end = (from + PIECE).min(layer.len());
            while at < end {
                let n = layer.read_at(&mut buf, at)?;
                hash.update(&buf[..n]);
                at += n as u64;
            }
            sum ^= u64::from(hash.finalize()[0]);
        }
        Ok(sum)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut sum = 0;
        for worker in workers {
            sum ^= worker.join().map_err(|_| "a worker panicked")??;
        }
        Ok(sum)
    })
}

/// How much longer than an even split the layers take if each goes to one thread, the longest first.
#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
fn best_split(layers: &[Slice], threads: usize) -> f64 {
    let mut lens: Vec<u64> = layers.iter().map(Slice::len).collect();
    lens.sort_unstable_by_key(|len| std::cmp::Reverse(*len));
    let mut loads = vec![0_u64; threads];
    for len in &lens {
        if let Some(least) = loads.iter_mut().min() {
            *least += len;
        }
    }
    let even = lens.iter().sum::<u64>() as f64 / threads as f64;
    loads.into_iter().max().unwrap_or_default() as f64 / even
}
