//! `flatten --metadata` and `rebuild` against their limits: copying the archive and hashing its layers.
//!
//! Everything is read from and written to files in `IMGTAR_BENCH_DIR` (memory, where the system has
//! it as a directory), so no disk is measured. The program is run as people run it, starting included.
//! Every file that is written is new: what it replaces is removed between the rounds, and not on the
//! clock. What comes back is compared with the archive, once, off the clock.
//!
//! No target but memory: less than 256 MB. The ratios say how far both are from a program that copies
//! the archive and then hashes its layers on all cores, in pieces.
//!
//! `IMGTAR_BENCH_ARCHIVE` names another archive than the synthetic one; it has to hold one image, and
//! comes back byte for byte if its layers are not compressed.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench starts programs and makes files"
)]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/many.rs"]
mod many;
mod support;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread;

use imgtar::Options;
use imgtar::source::{Compression, Decoder, Slice};
use sha2::{Digest, Sha256};

use many::{BUFFER, Contender, PIECE, Times, USUAL, each, peak_memory, race, run};
use support::{IMGTAR, Outcome, billions};

fn main() -> Outcome {
    let directory = many::directory();
    let archive = match env::var_os("IMGTAR_BENCH_ARCHIVE") {
        Some(path) => PathBuf::from(path),
        None => many::image(&directory, USUAL)?,
    };
    let layers = layers(&archive)?;
    let threads = thread::available_parallelism()?.get();
    let size = fs::metadata(&archive)?.len();
    println!(
        "rebuild: {}, {} layers, {:.3} GB, {threads} threads, files in {}",
        archive.display(),
        layers.len(),
        billions(size),
        directory.display()
    );
    let scratch = tempfile::Builder::new()
        .prefix("imgtar-bench-")
        .tempdir_in(&directory)?;
    let [flat, metadata, new, other] =
        ["flat.tar", "metadata", "new.tar", "new.metadata"].map(|name| scratch.path().join(name));
    run(IMGTAR, &flatten(&archive, &flat, &metadata)?, &directory)?;
    let rebuild = [
        "rebuild",
        text(&flat)?,
        "--metadata",
        text(&metadata)?,
        "-o",
        text(&new)?,
    ];
    run(IMGTAR, &rebuild, &directory)?;
    let exact = same(&archive, &new)?;
    fs::remove_file(&new)?;
    println!(
        "  flat tar {:.3} GB, metadata {:.3} GB, {}",
        billions(fs::metadata(&flat)?.len()),
        billions(fs::metadata(&metadata)?.len()),
        if exact {
            "byte for byte"
        } else {
            "blobs compressed again"
        }
    );

    let plain = plain_layers(&layers, &directory)?;
    let remove = || -> Outcome { Ok(fs::remove_file(&new)?) };
    let nothing = || -> Outcome { Ok(()) };
    let mut contenders = vec![
        Contender {
            name: "/bin/cp of the archive",
            run: Box::new(|| run("cp", &[text(&archive)?, text(&new)?], &directory)),
            after: Box::new(remove),
        },
        Contender {
            name: "SHA-256 of the layers",
            run: Box::new(|| hash(&plain, threads)),
            after: Box::new(nothing),
        },
        Contender {
            name: "flatten",
            run: Box::new(|| {
                let args = ["flatten", text(&archive)?, "-o", text(&new)?];
                run(IMGTAR, &args, &directory)
            }),
            after: Box::new(remove),
        },
        Contender {
            name: "flatten --metadata",
            run: Box::new(|| run(IMGTAR, &flatten(&archive, &new, &other)?, &directory)),
            after: Box::new(|| {
                fs::remove_file(&other)?;
                remove()
            }),
        },
        Contender {
            name: "rebuild",
            run: Box::new(|| run(IMGTAR, &rebuild, &directory)),
            after: Box::new(remove),
        },
    ];
    let times = race(&mut contenders)?;
    let names: Vec<&str> = contenders.iter().map(|c| c.name).collect();
    drop(contenders);
    tell(&names, &times)?;

    for (what, args) in [
        (
            "flatten --metadata",
            flatten(&archive, &new, &other)?.to_vec(),
        ),
        ("rebuild", rebuild.to_vec()),
    ] {
        match peak_memory(IMGTAR, &args, &directory)? {
            Some(kib) => println!(
                "  memory, {what}: {:.1} MB, target 256",
                1.024e-3 * megas(kib)
            ),
            None => println!("  memory: not measured, no /proc here"),
        }
        fs::remove_file(&new)?;
    }
    Ok(())
}

fn tell(names: &[&str], times: &[Times]) -> Outcome {
    println!(
        "  {:<24} {:>8} {:>8} {:>8} {:>8}",
        "seconds", "median", "best", "worst", "cpu"
    );
    for (name, times) in names.iter().zip(times) {
        println!(
            "  {name:<24} {:>8.3} {:>8.3} {:>8.3} {:>8.2}",
            times.median().as_secs_f64(),
            times.best().as_secs_f64(),
            times.worst().as_secs_f64(),
            times.cpu.unwrap_or_default().as_secs_f64()
        );
    }
    let [cp, sha, flatten, metadata, rebuild] = times else {
        return Err("a contender is missing".into());
    };
    println!("  {:<40} {:>8} {:>8}", "ratio", "median", "best");
    let both = |of: fn(&Times) -> f64| of(cp) + of(sha);
    let median = |times: &Times| times.median().as_secs_f64();
    let best = |times: &Times| times.best().as_secs_f64();
    for (what, times) in [("rebuild", rebuild), ("flatten --metadata", metadata)] {
        println!(
            "  {:<40} {:>8.3} {:>8.3}",
            format!("{what} : cp + SHA-256"),
            median(times) / both(|t| t.median().as_secs_f64()),
            best(times) / both(|t| t.best().as_secs_f64())
        );
    }
    let (ratio, best) = metadata.ratio(flatten);
    println!(
        "  {:<40} {ratio:>8.3} {best:>8.3}",
        "flatten --metadata : flatten"
    );
    Ok(())
}

fn flatten<'p>(
    archive: &'p Path,
    flat: &'p Path,
    metadata: &'p Path,
) -> Result<[&'p str; 6], Box<dyn Error>> {
    let (archive, flat, metadata) = (text(archive)?, text(flat)?, text(metadata)?);
    Ok(["flatten", archive, "-o", flat, "--metadata", metadata])
}

/// Whether two files have the same bytes.
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..n])?;
        if left[..n] != right[..n] {
            return Ok(false);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "one digit is printed")]
fn megas(kib: u64) -> f64 {
    kib as f64
}

fn text(path: &Path) -> Result<&str, Box<dyn Error>> {
    Ok(path.to_str().ok_or("the path is no UTF-8")?)
}

/// The stored bytes of every layer, each once.
fn layers(path: &Path) -> Result<Vec<(Slice, Compression)>, Box<dyn Error>> {
    let archive = imgtar::open(path, &Options::default())?;
    let set = archive.images()?;
    let layers = set.images.iter().flat_map(|image| &image.layers);
    let spans: BTreeMap<_, _> = layers
        .filter_map(|layer| {
            let (slice, compression) = layer.present()?;
            Some((slice.span(), (slice.clone(), compression)))
        })
        .collect();
    Ok(spans.into_values().collect())
}

/// The tars of the layers: what diff IDs are computed of. Decoded into files if need be.
fn plain_layers(
    layers: &[(Slice, Compression)],
    directory: &Path,
) -> Result<Vec<Slice>, Box<dyn Error>> {
    let mut plain = Vec::new();
    for (slice, compression) in layers {
        if *compression == Compression::None {
            plain.push(slice.clone());
            continue;
        }
        let reader = BufReader::with_capacity(BUFFER, slice.reader());
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        io::copy(
            &mut Decoder::new(*compression, reader, &imgtar::Limits::default())?,
            &mut file,
        )?;
        // The file is open by then and stays readable without its name.
        let source = imgtar::source::Input::open(file.path(), &Options::default())?;
        plain.push(source.source().whole());
    }
    Ok(plain)
}

/// Hashes everything in pieces that the threads take from one queue; the digests mean nothing.
fn hash(layers: &[Slice], threads: usize) -> Outcome {
    let pieces: Vec<(&Slice, u64)> = layers
        .iter()
        .flat_map(|layer| (0..layer.len().div_ceil(PIECE)).map(move |n| (layer, n * PIECE)))
        .collect();
    each(&pieces, threads, |(layer, from)| {
        let mut buf = vec![0; BUFFER];
        let mut hash = Sha256::new();
        let mut at = *from;
        let end = (from + PIECE).min(layer.len());
        while at < end {
            let n = layer.read_at(&mut buf, at).map_err(io::Error::other)?;
            hash.update(&buf[..n]);
            at += n as u64;
        }
        std::hint::black_box(hash.finalize());
        Ok(())
    })
}
