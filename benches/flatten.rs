//! `flatten` against its limits: copying the output, hashing the layers, inflating them.
//!
//! Everything is read from and written to files in `IMGTAR_BENCH_DIR` (memory, where the system has
//! it as a directory), so no disk is measured; spools of compressed layers are there too. The program
//! is run as people run it, starting included. Every file that is written is new: what it replaces is
//! removed between the rounds, and not on the clock.
//!
//! Targets: without verification at most 1.2 times `cp` of the output; with it at most the larger of
//! that and 1.2 times the SHA-256 of the layers on all cores, in pieces, one after the other on each;
//! with compressed layers at most 1.2 times inflating them on all cores.
//! Less than 128 MB of memory. Inflating into files is there for comparison: where a body stands in the
//! output is known when the last layer was seen, so all of them are kept somewhere until then.
//!
//! `IMGTAR_BENCH_ARCHIVE` names another archive than the synthetic one; it has to hold one image.
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
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use imgtar::Options;
use imgtar::source::{Compression, Decoder, Slice};
use sha2::{Digest, Sha256};

use many::{BUFFER, Contender, PIECE, Times, USUAL, each, peak_memory, race, run};
use support::{IMGTAR, Outcome, billions};

#[expect(
    clippy::too_many_lines,
    reason = "one run, told in the order in which it goes"
)]
fn main() -> Outcome {
    let directory = many::directory();
    let archive = match env::var_os("IMGTAR_BENCH_ARCHIVE") {
        Some(path) => PathBuf::from(path),
        None => many::image(&directory, USUAL)?,
    };
    let layers = layers(&archive)?;
    let threads = thread::available_parallelism()?.get();
    let stored: u64 = layers.iter().map(|(slice, _)| slice.len()).sum();
    let compressed = layers.iter().any(|(_, c)| *c != Compression::None);
    println!(
        "flatten: {}, {} layers, {:.3} GB stored, {threads} threads, files in {}",
        archive.display(),
        layers.len(),
        billions(stored),
        directory.display()
    );

    let scratch = tempfile::Builder::new()
        .prefix("imgtar-bench-")
        .tempdir_in(&directory)?;
    // What is copied is made once and stays; what is timed goes to another file.
    let flat = scratch.path().join("flat.tar");
    flatten(&archive, &flat, &["--no-verify"], &directory)?;
    let output = fs::metadata(&flat)?.len();
    let new = scratch.path().join("new.tar");

    let plain = plain_layers(&layers, &directory)?;
    let remove = || -> Outcome { Ok(fs::remove_file(&new)?) };
    let mut contenders = vec![
        Contender {
            name: "/bin/cp",
            run: Box::new(|| run("cp", &[text(&flat)?, text(&new)?], &directory)),
            after: Box::new(remove),
        },
        Contender {
            name: "read and write, 1 MiB",
            run: Box::new(|| Ok(copy(&flat, &new)?)),
            after: Box::new(remove),
        },
        Contender {
            name: "copied by the kernel",
            run: Box::new(|| Ok(fs::copy(&flat, &new).map(drop)?)),
            after: Box::new(remove),
        },
        Contender {
            name: "flatten, unverified",
            run: Box::new(|| flatten(&archive, &new, &["--no-verify"], &directory)),
            after: Box::new(remove),
        },
        Contender {
            name: "flatten, verified",
            run: Box::new(|| flatten(&archive, &new, &[], &directory)),
            after: Box::new(remove),
        },
    ];
    let nothing = || -> Outcome { Ok(()) };
    contenders.push(Contender {
        name: "SHA-256 of the layers",
        run: Box::new(|| hash(&plain, threads)),
        after: Box::new(nothing),
    });
    if compressed {
        contenders.push(Contender {
            name: "inflating the layers",
            run: Box::new(|| inflate(&layers, threads, || Ok(io::sink()))),
            after: Box::new(nothing),
        });
        contenders.push(Contender {
            name: "inflating them into files",
            run: Box::new(|| inflate(&layers, threads, || tempfile::tempfile_in(&directory))),
            after: Box::new(nothing),
        });
    }
    let times = race(&mut contenders)?;
    let names: Vec<&str> = contenders.iter().map(|c| c.name).collect();
    drop(contenders);

    println!("  output {:.3} GB", billions(output));
    println!(
        "  {:<26} {:>8} {:>8} {:>8} {:>8}",
        "seconds", "median", "best", "worst", "cpu"
    );
    for (name, times) in names.iter().zip(&times) {
        println!(
            "  {name:<26} {:>8.3} {:>8.3} {:>8.3} {:>8.2}",
            times.median().as_secs_f64(),
            times.best().as_secs_f64(),
            times.worst().as_secs_f64(),
            times.cpu.unwrap_or_default().as_secs_f64()
        );
    }
    let [cp, by_hand, kernel, unverified, verified, sha, inflate @ ..] = times.as_slice() else {
        return Err("a contender is missing".into());
    };
    println!("  {:<40} {:>8} {:>8}  target", "ratio", "median", "best");
    verdict(
        "unverified : cp",
        unverified,
        cp,
        (!compressed).then_some(1.2),
    );
    verdict("unverified : read and write", unverified, by_hand, None);
    verdict(
        "unverified : copied by the kernel",
        unverified,
        kernel,
        None,
    );
    verdict("verified : cp", verified, cp, None);
    verdict(
        "verified : SHA-256",
        verified,
        sha,
        (!compressed).then_some(1.2),
    );
    if let [inflate, into_files] = inflate {
        verdict("unverified : inflating", unverified, inflate, Some(1.2));
        verdict("verified : inflating", verified, inflate, Some(1.2));
        verdict(
            "unverified : inflating into files",
            unverified,
            into_files,
            None,
        );
        verdict(
            "verified : inflating into files",
            verified,
            into_files,
            None,
        );
    }
    if !compressed {
        let limit = 1.2 * cp.median().max(sha.median()).as_secs_f64();
        println!(
            "  {:<40} {:>8.3}           1 is the target",
            "verified : 1.2 max(cp, SHA-256)",
            verified.median().as_secs_f64() / limit
        );
    }
    memory(&archive, &new, &directory)
}

fn verdict(what: &str, times: &Times, of: &Times, target: Option<f64>) {
    let (median, best) = times.ratio(of);
    match target {
        Some(target) if median > target => {
            println!("  {what:<40} {median:>8.3} {best:>8.3}  {target} missed");
        }
        Some(target) => println!("  {what:<40} {median:>8.3} {best:>8.3}  {target}"),
        None => println!("  {what:<40} {median:>8.3} {best:>8.3}"),
    }
}

fn memory(archive: &Path, new: &Path, directory: &Path) -> Outcome {
    for (what, options) in [("unverified", &["--no-verify"][..]), ("verified", &[])] {
        let args = [&["flatten", text(archive)?, "-o", text(new)?][..], options].concat();
        match peak_memory(IMGTAR, &args, directory)? {
            Some(kib) => println!(
                "  memory, {what}: {:.1} MB, target 128",
                1.024e-3 * megas(kib)
            ),
            None => println!("  memory: not measured, no /proc here"),
        }
        fs::remove_file(new)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "one digit is printed")]
fn megas(kib: u64) -> f64 {
    kib as f64
}

fn text(path: &Path) -> Result<&str, Box<dyn Error>> {
    Ok(path.to_str().ok_or("the path is no UTF-8")?)
}

fn flatten(archive: &Path, to: &Path, options: &[&str], directory: &Path) -> Outcome {
    let args = [&["flatten", text(archive)?, "-o", text(to)?][..], options].concat();
    run(IMGTAR, &args, directory)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = File::create_new(to)?;
    let mut buf = vec![0; 1 << 20];
    loop {
        let n = from.read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&buf[..n])?;
    }
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

/// Decodes all layers, the largest first, and looks at nothing; each goes to an output of its own.
fn inflate<W: Write>(
    layers: &[(Slice, Compression)],
    threads: usize,
    output: impl Fn() -> io::Result<W> + Sync,
) -> Outcome {
    let mut layers: Vec<_> = layers.iter().collect();
    layers.sort_by_key(|(slice, _)| std::cmp::Reverse(slice.len()));
    each(&layers, threads, |(slice, compression)| {
        let reader = BufReader::with_capacity(BUFFER, slice.reader());
        let mut decoder = Decoder::new(*compression, reader, &imgtar::Limits::default())?;
        let mut output = output()?;
        let mut buf = vec![0; BUFFER];
        loop {
            match decoder.read(&mut buf)? {
                0 => return Ok(()),
                n => output.write_all(&buf[..n])?,
            }
        }
    })
}
