//! What it costs to look: `images`, `inspect`, `history` and `tree`, from opening the file to the
//! finished report.
//!
//! On uncompressed layers only headers are read, so the time grows with the entries and not with the
//! bytes: an archive with ten times the entries takes about ten times as long (`growth`).
//!
//! `IMGTAR_BENCH_ARCHIVE` names another archive than the synthetic one.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench starts programs and makes files"
)]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::error::Error;
use std::path::Path;

use imgtar::archive::Archive;
use imgtar::base::progress::Silent;
use imgtar::image::{Image, ImageSet};
use imgtar::layer::Measures;
use imgtar::report::{History, Images, Inspect, TreeBuilder, measure_layers};
use imgtar::{Jobs, Options};

use support::{Contender, Outcome, ms, plan, race, ratio, us_each};

/// An archive, looked into.
struct Looked {
    archive: Archive,
    set: ImageSet,
    measures: Measures,
}

fn main() -> Outcome {
    let path = support::archive()?;
    let entries = entries(&path)?;
    println!("look: {}, {entries} entries", path.display());
    let mut contenders: Vec<Contender<'_>> = vec![
        ("images", Box::new(|| images(&path))),
        ("inspect", Box::new(|| inspect(&path))),
        ("history", Box::new(|| history(&path))),
        ("tree", Box::new(|| tree(&path))),
    ];
    let times = race(&mut contenders)?;
    for ((name, _), time) in contenders.iter().zip(times) {
        println!(
            "  {name:<8} {:>8.2} ms  {:>6.2} us/entry",
            ms(time),
            us_each(time, entries)
        );
    }
    growth()
}

/// The same layer once and ten times as many entries long.
fn growth() -> Outcome {
    let few = support::synthetic("few", &[plan(10_000, 20_000_000)])?;
    let many = support::synthetic("many", &[plan(100_000, 200_000_000)])?;
    let mut contenders: Vec<Contender<'_>> = vec![
        ("few", Box::new(|| tree(&few))),
        ("many", Box::new(|| tree(&many))),
    ];
    let times = race(&mut contenders)?;
    println!(
        "  growth   {:>8.2}     ten times the entries, from {:.2} ms to {:.2} ms",
        ratio(times[1], times[0]),
        ms(times[0]),
        ms(times[1])
    );
    Ok(())
}

fn look(path: &Path) -> Result<Looked, Box<dyn Error>> {
    let archive = imgtar::open(path, &Options::default())?;
    let set = archive.images()?;
    let measures = Measures::take(&set.images, Jobs::all_cores(), &Silent)?;
    Ok(Looked {
        archive,
        set,
        measures,
    })
}

/// The members of the archive and the entries of its layers: all headers that are read.
fn entries(path: &Path) -> Result<u64, Box<dyn Error>> {
    let looked = look(path)?;
    let layers = looked.set.images.iter().flat_map(|image| &image.layers);
    let inner: u64 = layers
        .filter_map(|layer| looked.measures.of(layer))
        .map(|measure| measure.entries)
        .sum();
    Ok(inner + looked.archive.members().len() as u64)
}

fn images(path: &Path) -> Result<u64, Box<dyn Error>> {
    let looked = look(path)?;
    let picked: Vec<&Image> = looked.set.images.iter().collect();
    let report = Images::new(&looked.archive, &looked.set, &picked, &looked.measures);
    Ok(report.images.iter().count() as u64)
}

fn inspect(path: &Path) -> Result<u64, Box<dyn Error>> {
    let archive = imgtar::open(path, &Options::default())?;
    let set = archive.images()?;
    let picked: Vec<&Image> = set.images.iter().collect();
    let (measures, hidden) = measure_layers(&picked, &Options::default())?;
    let report = Inspect::new(&archive, &set, &picked, (&measures, &hidden));
    Ok(report.images.iter().count() as u64)
}

fn history(path: &Path) -> Result<u64, Box<dyn Error>> {
    let looked = look(path)?;
    let picked: Vec<&Image> = looked.set.images.iter().collect();
    let report = History::new(&looked.set, &picked, &looked.measures);
    Ok(report.images.iter().count() as u64)
}

fn tree(path: &Path) -> Result<u64, Box<dyn Error>> {
    let looked = look(path)?;
    let mut builder = TreeBuilder::default();
    for image in &looked.set.images {
        builder.add(&looked.set, image, &looked.measures);
    }
    Ok(builder.build().roots.len() as u64)
}
