//! Very many files: time and memory grow with the entries and with nothing else.
//!
//! An image of 1,000,000 files in 20 layers and one of 100,000 are flattened, unverified, to
//! `/dev/null` (where that exists): ten times the entries should take ten times as long. The peak
//! memory of the program is divided by the entries; the same is done with an image whose files are
//! all in the topmost of its layers, where most entries wait for whiteouts at once.
//!
//! Target: less than 400 bytes an entry.
//!
//! Most files are empty, so headers are what is measured. The images are made once, in
//! `IMGTAR_BENCH_DIR`, and take 0.9, 0.9 and 0.1 GB there.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench starts programs and makes files"
)]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/many.rs"]
mod many;
mod support;

use std::error::Error;
use std::path::{Path, PathBuf};

use imgtar::base::progress::Silent;
use imgtar::output::{FlattenOptions, flatten};
use imgtar::tree::Inode;
use imgtar::{Jobs, Options};

use many::{Contender, Plan, peak_memory, race, run};
use support::{IMGTAR, Outcome};

const MILLION: Plan = Plan {
    files: 1_000_000,
    layers: 20,
    replaced: 0,
    size: 200,
    empty: 80,
    on_top: false,
};

/// An image and how large it is.
struct Subject {
    name: &'static str,
    path: PathBuf,
    /// Headers in its layers.
    entries: u64,
    /// Names in the merged tree, and the bytes of the flattened tar.
    names: u64,
    bytes: u64,
}

fn main() -> Outcome {
    let directory = many::directory();
    let tenth = Plan {
        files: MILLION.files / 10,
        ..MILLION
    };
    let top = Plan {
        on_top: true,
        layers: 3,
        ..MILLION
    };
    let mut subjects = Vec::new();
    for (name, plan) in [
        ("a tenth", tenth),
        ("a million", MILLION),
        ("in one layer", top),
    ] {
        subjects.push(subject(name, many::image(&directory, plan)?)?);
    }
    println!("million: files in {}", directory.display());
    println!(
        "  an inode is {} bytes, a header being read {}",
        size_of::<Inode>(),
        size_of::<imgtar::tar::Entry>(),
    );
    let sink = sink(&directory);
    let mut contenders: Vec<Contender<'_>> = subjects
        .iter()
        .map(|subject| Contender {
            name: subject.name,
            run: Box::new(|| {
                let path = subject.path.to_str().ok_or("the path is no UTF-8")?;
                run(IMGTAR, &arguments(path, &sink), &directory)
            }),
            after: Box::new(|| Ok(())),
        })
        .collect();
    let times = race(&mut contenders)?;
    drop(contenders);
    let mut peaks = Vec::new();
    for (subject, times) in subjects.iter().zip(&times) {
        let path = subject.path.to_str().ok_or("the path is no UTF-8")?;
        let peak = peak_memory(IMGTAR, &arguments(path, &sink), &directory)?;
        let seconds = times.median().as_secs_f64();
        println!(
            "  {:<14} {:>9} entries, {:>9} names, {:>6.3} GB out: {seconds:>7.3} s ({:.3} to {:.3}), {:>9.0} entries/s",
            subject.name,
            subject.entries,
            subject.names,
            support::billions(subject.bytes),
            times.best().as_secs_f64(),
            times.worst().as_secs_f64(),
            float(subject.entries) / seconds,
        );
        match peak {
            Some(kib) => println!(
                "  {:<14} {:>9.1} MB at most, {:.0} bytes an entry, target 400",
                "",
                float(kib) * 1.024e-3,
                float(kib * 1024) / float(subject.entries)
            ),
            None => println!("  {:<14} memory not measured, no /proc here", ""),
        }
        peaks.push(peak);
    }
    let [few, many, ..] = subjects.as_slice() else {
        return Err("a subject is missing".into());
    };
    let (median, best) = times[1].ratio(&times[0]);
    println!(
        "  growth: {:.2} times the entries, {median:.2} times the time (fastest by fastest {best:.2})",
        float(many.entries) / float(few.entries)
    );
    if let [Some(less), Some(more), ..] = peaks[..] {
        println!(
            "  growth: {:.0} bytes for each further entry",
            float((more - less) * 1024) / float(many.entries - few.entries)
        );
    }
    Ok(())
}

fn arguments<'a>(path: &'a str, sink: &'a str) -> [&'a str; 6] {
    ["flatten", path, "--no-verify", "--force", "-o", sink]
}

/// Where output costs nothing.
fn sink(directory: &Path) -> String {
    let null = Path::new("/dev/null");
    if null.exists() {
        return "/dev/null".to_owned();
    }
    directory
        .join("imgtar-bench-sink.tar")
        .to_string_lossy()
        .into_owned()
}

fn subject(name: &'static str, path: PathBuf) -> Result<Subject, Box<dyn Error>> {
    let archive = imgtar::open(&path, &Options::default())?;
    let set = archive.images()?;
    let [image] = set.images.as_slice() else {
        return Err("not one image".into());
    };
    let jobs = Jobs::all_cores();
    let measures = imgtar::layer::Measures::take([image], jobs, &Silent)?;
    let layers = image.layers.iter();
    let entries = layers
        .filter_map(|layer| measures.of(layer))
        .map(|measure| measure.entries)
        .sum();
    let options = FlattenOptions {
        verify: false,
        as_container: None,
        jobs,
    };
    let flat = flatten(image, std::io::sink(), options, &Silent)?;
    Ok(Subject {
        name,
        path,
        entries,
        names: flat.entries,
        bytes: flat.bytes,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a few digits are printed")]
fn float(count: u64) -> f64 {
    count as f64
}
