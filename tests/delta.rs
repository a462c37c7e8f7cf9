//! The difference of two trees: applied to the lower one, it makes the upper one, and it holds nothing
//! that need not be there.
//!
//! Random trees share most of their names, files, links and times, so that every kind of change
//! comes up together with every other. The seed is fixed; a longer search is
//! `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=$RANDOM cargo test --test delta`.

#[path = "support/forge.rs"]
mod forge;
#[path = "support/listing.rs"]
mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use imgtar::Jobs;
use imgtar::image::ImageSet;
use imgtar::progress::Silent;
use imgtar::rootfs::{Additions, ChangeKind, Delta, Rootfs, RootfsError, difference};
use imgtar::source::Input;
use imgtar::write::{FlattenOptions, WriteError, flatten, spool_delta};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use forge::{Entry, Form};
use listing::{Listing, Row};

// --- trees ----------------------------------------------------------------------------------------

fn jobs() -> Jobs {
    Jobs::new(NonZeroUsize::new(2).expect("not zero"))
}

/// A tree out of the layers of an image.
fn image_tree(layers: &[Vec<u8>], directory: &Path) -> Rootfs {
    let file = directory.join("lower.tar");
    _ = fs::remove_file(&file);
    fs::write(&file, forge::archive(layers, Form::Hybrid)).expect("room for an archive");
    let archive = imgtar::open(&file, &Silent).expect("an archive");
    let images = ImageSet::load(&archive).expect("images");
    let built = Rootfs::build(&images.images[0], false, jobs(), &Silent);
    built.expect("layers that can be applied").0
}

/// A tree out of a rootfs tar.
fn flat_tree(tar: &[u8], directory: &Path) -> Result<Rootfs, RootfsError> {
    let file = directory.join("upper.tar");
    _ = fs::remove_file(&file);
    fs::write(&file, tar).expect("room for a tar");
    let input = Input::open(&file, &Silent).expect("a file");
    Rootfs::from_tar(input.source().whole())
}

/// The merged tree of layers as a rootfs tar, without a word of warning.
fn flattened(layers: &[Vec<u8>], directory: &Path) -> Vec<u8> {
    let file = directory.join("flat.tar");
    _ = fs::remove_file(&file);
    fs::write(&file, forge::archive(layers, Form::Hybrid)).expect("room for an archive");
    let archive = imgtar::open(&file, &Silent).expect("an archive");
    let images = ImageSet::load(&archive).expect("images");
    let options = FlattenOptions {
        as_container: None,
        verify: true,
        jobs: jobs(),
    };
    let mut output = Vec::new();
    let flattened = flatten(&images.images[0], &mut output, options, &Silent);
    assert_eq!(flattened.expect("a tree").warnings, []);
    output
}

fn changes(lower: &Rootfs, upper: &Rootfs) -> Delta {
    difference(lower, upper, &Additions::none(), jobs(), &Silent).expect("readable files")
}

fn layer_of(upper: &Rootfs, delta: &Delta) -> Vec<u8> {
    let layer = spool_delta(upper, delta, &Silent).expect("a layer");
    layer.blob().read_all().expect("a readable layer")
}

/// Changes in the manner of `docker diff`; a directory that is only on the way is `.`.
fn told(delta: &Delta) -> Vec<String> {
    let letter = |kind| match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Changed => 'C',
        ChangeKind::Removed => 'D',
        ChangeKind::Carried => '.',
        _ => '?',
    };
    let told = delta.changes().iter();
    told.map(|c| format!("{} {}", letter(c.kind), String::from_utf8_lossy(&c.path)))
        .collect()
}

// --- random trees ---------------------------------------------------------------------------------

/// Two trees of the same few names.
#[derive(Clone, Debug)]
struct Pair {
    lower: Vec<Entry>,
    upper: Vec<Entry>,
}

/// What a file is, as numbers of small ranges.
type File = (u8, u8, u8, u8, u8);
/// What a name is: nothing, a directory, a name of one of the files.
type Named = (u8, u8);

const NAMES: [&str; 3] = ["a", "b", "b.c"];
const FILES: usize = 8;

fn paths() -> Vec<String> {
    let mut paths: Vec<String> = NAMES.map(str::to_owned).into();
    for first in NAMES {
        for second in NAMES {
            paths.push(format!("{first}/{second}"));
            paths.extend(NAMES.map(|third| format!("{first}/{second}/{third}")));
        }
    }
    paths.sort();
    paths
}

fn pair() -> impl Strategy<Value = Pair> {
    let file = (0..5_u8, 0..3_u8, 0..3_u8, 0..4_u8, 0..3_u8);
    let named = (0..8_u8, any::<u8>());
    let count = paths().len();
    let files = prop::collection::vec((file.clone(), prop::option::weighted(0.2, file)), FILES);
    let names = prop::collection::vec((named.clone(), prop::option::weighted(0.2, named)), count);
    (files, names).prop_map(|(files, names)| {
        let lower_files: Vec<File> = files.iter().map(|(file, _)| *file).collect();
        let upper_files: Vec<File> = files
            .iter()
            .map(|(file, new)| new.unwrap_or(*file))
            .collect();
        let lower: Vec<Named> = names.iter().map(|(name, _)| *name).collect();
        let upper: Vec<Named> = names
            .iter()
            .map(|(name, new)| new.unwrap_or(*name))
            .collect();
        Pair {
            lower: entries(&lower, &lower_files),
            upper: entries(&upper, &upper_files),
        }
    })
}

fn entries(names: &[Named], files: &[File]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut directories: BTreeSet<String> = BTreeSet::new();
    let mut first: BTreeMap<usize, String> = BTreeMap::new();
    for (path, &(kind, which)) in paths().into_iter().zip(names) {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        if parent.is_some_and(|parent| !directories.contains(parent)) {
            continue;
        }
        match kind {
            0 | 1 => {}
            2..=4 => {
                directories.insert(path.clone());
                let attributes = (1, 0, which % 3, which / 3 % 4, which / 12 % 3);
                entries.push(entry(&path, attributes));
            }
            _ => {
                let number = usize::from(which) % FILES;
                let mut entry = entry(&path, files[number]);
                if let Some(target) = first.get(&number) {
                    entry.typeflag = b'1';
                    entry.link = target.clone().into_bytes();
                    entry.body.clear();
                } else if entry.typeflag != b'5' {
                    first.insert(number, path.clone());
                }
                if entry.typeflag == b'5' {
                    directories.insert(path);
                }
                entries.push(entry);
            }
        }
    }
    entries
}

fn entry(path: &str, (kind, content, mode, mtime, xattr): File) -> Entry {
    let typeflag = [b'0', b'5', b'2', b'6', b'0'][usize::from(kind)];
    let mut entry = Entry::new(typeflag, path.as_bytes());
    let content = usize::from(content);
    match typeflag {
        // Of one size and not equal, and large enough for a second read.
        b'0' => entry.body = [&b"old"[..], b"new", &[7; 140_000]][content].to_vec(),
        b'2' => entry.link = [&b"a"[..], b"/b/a", b"../none"][content].to_vec(),
        _ => {}
    }
    entry.mode = [0o644, 0o755, 0o4711][usize::from(mode)];
    entry.uid = [0, 0, 3_000_000][usize::from(mode)];
    entry.mtime = 1_500_000_000 + u64::from(mtime % 3);
    if mtime == 3 {
        let time = b"1500000000.25".to_vec();
        entry.pax.push(("mtime".to_owned(), time));
    }
    if xattr > 0 {
        let name = "SCHILY.xattr.user.x".to_owned();
        entry.pax.push((name, vec![b'0' + xattr]));
    }
    entry
}

/// All names of the file that a row is of.
fn group<'l>(listing: &'l Listing, path: &'l Vec<u8>, row: &Row) -> BTreeSet<&'l Vec<u8>> {
    let Some(label) = &row.group else {
        return BTreeSet::from([path]);
    };
    let members = listing.rows.iter();
    members
        .filter(|(_, other)| other.group.as_ref() == Some(label))
        .map(|(path, _)| path)
        .collect()
}

/// What may be in the layer: names that differ in what they are or in what they are linked to, and
/// directories above those.
fn may_be_written(lower: &Listing, upper: &Listing) -> BTreeSet<Vec<u8>> {
    let mut may: BTreeSet<Vec<u8>> = BTreeSet::new();
    let paths = lower.rows.keys().chain(upper.rows.keys());
    for path in paths {
        let differs = match (lower.rows.get(path), upper.rows.get(path)) {
            (Some(old), Some(new)) => {
                let plain = |row: &Row| Row {
                    group: None,
                    ..row.clone()
                };
                plain(old) != plain(new) || group(lower, path, old) != group(upper, path, new)
            }
            _ => true,
        };
        if differs {
            may.insert(path.clone());
            let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
            may.extend(slashes.map(|(at, _)| path[..at].to_vec()));
        }
    }
    may
}

fn config() -> Config {
    let default = Config::default();
    Config {
        cases: if env::var_os("PROPTEST_CASES").is_some() {
            default.cases
        } else {
            2_500
        },
        rng_seed: match default.rng_seed {
            RngSeed::Random => RngSeed::Fixed(0x0064_656c_7461),
            seed @ RngSeed::Fixed(_) => seed,
        },
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..default
    }
}

/// 2,500 random pairs: what the layer makes of the lower tree is the upper one, byte for byte,
/// and no engine would see it otherwise.
#[test]
fn the_difference_makes_one_tree_of_the_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let seen = std::cell::RefCell::new(BTreeMap::<char, usize>::new());
    let outcome = TestRunner::new(config()).run(&pair(), |pair| {
        let (lower, upper) = (forge::layer(&pair.lower), forge::layer(&pair.upper));
        let base = image_tree(std::slice::from_ref(&lower), directory);
        let wanted = flat_tree(&upper, directory).expect("a sound tar");
        prop_assert_eq!(told(&changes(&wanted, &wanted)), Vec::<String>::new());
        let delta = changes(&base, &wanted);
        for line in told(&delta) {
            let kind = line.chars().next().expect("a letter");
            *seen.borrow_mut().entry(kind).or_default() += 1;
        }
        let layer = layer_of(&wanted, &delta);
        prop_assert_eq!(&layer, &layer_of(&wanted, &changes(&base, &wanted)));
        let stack = [lower.clone(), layer];
        let got = flattened(&stack, directory);
        let want = flattened(std::slice::from_ref(&upper), directory);
        if got != want {
            let lines = |tar: &[u8]| Listing::of(tar).tarlist();
            let difference = listing::difference(&lines(&want), &lines(&got));
            prop_assert!(false, "{:#?}\n{difference}", told(&delta));
        }
        // Fractions of seconds are not in the rows, so they are not asked about here.
        let fraction = |entry: &Entry| entry.pax.iter().any(|(key, _)| key == "mtime");
        if !pair.lower.iter().chain(&pair.upper).any(fraction) {
            let may = may_be_written(&Listing::of(&lower), &Listing::of(&upper));
            for change in delta.changes() {
                prop_assert!(may.contains(&*change.path), "{:#?}", told(&delta));
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // A search that never meets a kind of change shows nothing of it.
    let seen = seen.into_inner();
    for kind in ['A', 'C', 'D', '.'] {
        assert!(seen.get(&kind).is_some_and(|&n| n > 500), "{seen:?}");
    }
}
