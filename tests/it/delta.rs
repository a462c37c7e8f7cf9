//! The difference of two trees: applied to the lower one, it makes the upper one, and it holds nothing
//! that need not be there.
//!
//! Random trees share most of their names, files, links and times, so that every kind of change
//! comes up together with every other. The seed is fixed; a longer search is
//! `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=$RANDOM cargo test --test it delta::`.

use crate::support::{flattened_layers, forge, listing, scaled};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use imgtar::base::progress::Silent;
use imgtar::output::{DeltaLayer, WriteError};
use imgtar::source::Input;
use imgtar::tree::{Additions, ChangeKind, Tree, TreeDelta, TreeError, difference};
use imgtar::{Jobs, Options};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::forge::{Entry, Form};
use crate::support::listing::{Listing, Row};

// --- trees ----------------------------------------------------------------------------------------

fn jobs() -> Jobs {
    Jobs::new(NonZeroUsize::new(2).expect("not zero"))
}

/// A tree out of the layers of an image.
fn image_tree(layers: &[Vec<u8>], directory: &Path) -> Arc<Tree> {
    let file = directory.join("lower.tar");
    _ = fs::remove_file(&file);
    fs::write(&file, forge::archive(layers, Form::Hybrid)).expect("room for an archive");
    let options = Options {
        jobs: jobs(),
        ..Options::default()
    };
    let archive = imgtar::open(&file, &options).expect("an archive");
    let images = archive.images().expect("images");
    let built = Tree::merge(&images.images[0], &options);
    Arc::new(built.expect("layers that can be applied"))
}

/// A tree out of a rootfs tar.
fn flat_tree(tar: &[u8], directory: &Path) -> Result<Arc<Tree>, TreeError> {
    let file = directory.join("upper.tar");
    _ = fs::remove_file(&file);
    fs::write(&file, tar).expect("room for a tar");
    let input = Input::open(&file, &Options::default()).expect("a file");
    Tree::from_tar(input.source().whole()).map(Arc::new)
}

/// The merged tree of layers as a rootfs tar, without a word of warning.
fn silent(layers: &[Vec<u8>], directory: &Path) -> Vec<u8> {
    let (output, warnings) = flattened_layers(layers, &directory.join("flat.tar")).expect("a tree");
    assert_eq!(warnings, []);
    output
}

fn changes(lower: &Tree, upper: &Tree) -> Arc<TreeDelta> {
    let delta = difference(lower, upper, &Additions::none(), jobs(), &Silent);
    Arc::new(delta.expect("readable files"))
}

fn layer_of(upper: &Arc<Tree>, delta: &Arc<TreeDelta>) -> Vec<u8> {
    let layer = DeltaLayer::prove(Arc::clone(upper), Arc::clone(delta), &Silent);
    let mut bytes = Vec::new();
    let written = layer.expect("a layer").write(&mut bytes);
    written.expect("readable files");
    bytes
}

/// Changes in the manner of `docker diff`; a directory that is only on the way is `.`.
fn told(delta: &TreeDelta) -> Vec<String> {
    let letter = |kind| match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Changed => 'C',
        ChangeKind::Removed => 'D',
        ChangeKind::Carried => '.',
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
    // Many files are equal and differ in their names alone.
    let file = prop_oneof![
        2 => (Just(0), 0..2_u8, Just(0), Just(0), Just(0)),
        3 => (0..5_u8, 0..3_u8, 0..3_u8, 0..4_u8, 0..3_u8),
    ];
    let entry = (0..8_u8, any::<u8>());
    let count = paths().len();
    let files = prop::collection::vec((file.clone(), prop::option::weighted(0.2, file)), FILES);
    let names = prop::collection::vec((entry.clone(), prop::option::weighted(0.2, entry)), count);
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
        b'0' => {
            let bodies = [b"one".to_vec(), b"ore".to_vec(), vec![7; 140_000]];
            entry.body.clone_from(&bodies[content]);
        }
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
    Config {
        max_shrink_iters: 2_000,
        ..crate::properties::seeded(
            u32::try_from(scaled(2_500)).expect("a number"),
            0x0064_656c_7461,
        )
    }
}

/// 2,500 random pairs (an eighth without `IMGTAR_FULL_SIZE`): what the layer makes of the lower tree is the upper one, byte for byte,
/// and no engine would see it otherwise.
#[test]
fn the_difference_makes_one_tree_of_the_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let seen = std::cell::RefCell::new(BTreeMap::<char, usize>::new());
    let config = config();
    let cases = usize::try_from(config.cases).expect("a number");
    let outcome = TestRunner::new(config).run(&pair(), |pair| {
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
        let got = silent(&stack, directory);
        let want = silent(std::slice::from_ref(&upper), directory);
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
        assert!(seen.get(&kind).is_some_and(|&n| n > cases / 5), "{seen:?}");
    }
}

// --- one kind of change at a time -----------------------------------------------------------------

/// Entries in few words: `d/`, `f=content`, `l->target`, `f:==:other` (a hard link), each with
/// `@seconds` and `#octal mode` behind it.
fn plain(words: &str) -> Vec<Entry> {
    let entry = |word: &str| {
        let (word, mode) = word.split_once('#').unwrap_or((word, ""));
        let (word, time) = word.split_once('@').unwrap_or((word, ""));
        let mut entry = if let Some((name, target)) = word.split_once(":==:") {
            let mut entry = Entry::new(b'1', name.as_bytes());
            entry.link = target.as_bytes().to_vec();
            entry
        } else if let Some((name, target)) = word.split_once("->") {
            let mut entry = Entry::new(b'2', name.as_bytes());
            entry.link = target.as_bytes().to_vec();
            entry
        } else if let Some((name, body)) = word.split_once('=') {
            Entry::file(name, body.as_bytes())
        } else if word.ends_with('/') {
            Entry::new(b'5', word.as_bytes())
        } else {
            Entry::new(b'6', word.as_bytes())
        };
        if !time.is_empty() {
            entry.mtime = time.parse().expect("a time");
        }
        if !mode.is_empty() {
            entry.mode = u32::from_str_radix(mode, 8).expect("a mode");
        }
        entry
    };
    words.split_whitespace().map(entry).collect()
}

/// What is told of the difference, and the names in the layer.
fn compared(lower: &str, upper: &str) -> (Vec<String>, Vec<String>) {
    let directory = tempfile::tempdir().expect("a directory");
    let base = image_tree(&[forge::layer(&plain(lower))], directory.path());
    let upper = forge::layer(&plain(upper));
    let wanted = flat_tree(&upper, directory.path()).expect("a sound tar");
    let delta = changes(&base, &wanted);
    let layer = Listing::of(&layer_of(&wanted, &delta));
    let names = layer.names.iter();
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    (told(&delta), names.collect())
}

#[test]
fn every_kind_of_change_has_its_entries() {
    let table: &[(&str, &str, &[&str], &[&str])] = &[
        ("a=1", "a=1", &[], &[]),
        ("d/ d/a=1", "d/ d/a=2", &[". d", "C d/a"], &["d/", "d/a"]),
        ("a=1", "a=1 b=1", &["A b"], &["b"]),
        ("a=1 b=1", "a=1", &["D b"], &[".wh.b"]),
        // Times and modes alone.
        ("a=1", "a=1@5", &["C a"], &["a"]),
        ("d/ d/a=1", "d/#700 d/a=1", &["C d"], &["d/"]),
        ("d/ d/a=1", "d/@7 d/a=1", &["C d"], &["d/"]),
        // A tree that is gone has one whiteout, a tree that came has all its entries.
        ("d/ d/e/ d/e/f=1 z=1", "z=1", &["D d"], &[".wh.d"]),
        ("z=1", "d/ d/e/ z=1", &["A d", "A d/e"], &["d/", "d/e/"]),
        // A directory that was emptied and filled anew: no marker, one whiteout for each name.
        (
            "d/ d/a=1 d/b/ d/b/x=1",
            "d/ d/n=1",
            &[". d", "D d/a", "D d/b", "A d/n"],
            &["d/", "d/.wh.a", "d/.wh.b", "d/n"],
        ),
        // Types: what takes a place needs no whiteout.
        ("d/ d/a=1", "d=1", &["C d"], &["d"]),
        ("d=1", "d/ d/a=1", &["C d", "A d/a"], &["d/", "d/a"]),
        ("e/ d->e", "d/ d/a=1 e/", &["C d", "A d/a"], &["d/", "d/a"]),
        ("a->b", "a->c", &["C a"], &["a"]),
        ("a=1", "a", &["C a"], &["a"]),
        // Links: a new name brings the file along, a lost one leaves the others alone.
        ("a=1", "a=1 b:==:a", &["C a", "A b"], &["a", "b"]),
        ("a=1 b:==:a", "a=1", &["D b"], &[".wh.b"]),
        ("a=1 b:==:a c:==:a", "b=1 c:==:b", &["D a"], &[".wh.a"]),
        ("a=1 b:==:a", "a=1 b=1", &["C b"], &["b"]),
        ("a=1 b:==:a", "a=1 b=2", &["C b"], &["b"]),
        ("a=1 b:==:a", "a=2 b:==:a", &["C a", "C b"], &["a", "b"]),
        ("a=1 b=1", "a=1 b:==:a", &["C a", "C b"], &["a", "b"]),
        (
            "a=1 b:==:a c=1 d:==:c",
            "a=1 c:==:a b=1 d:==:b",
            &["C a", "C b", "C c", "C d"],
            &["a", "b", "c", "d"],
        ),
        // The order is that of a tar, whiteouts among the rest.
        (
            "a/ a/x=1 a.b=1 b=1",
            "a/ a/y=1 b=2",
            &[". a", "D a/x", "A a/y", "D a.b", "C b"],
            &["a/", "a/.wh.x", "a/y", ".wh.a.b", "b"],
        ),
    ];
    for (lower, upper, changes, names) in table {
        let (told, written) = compared(lower, upper);
        assert_eq!(told, *changes, "{lower} to {upper}");
        assert_eq!(written, *names, "{lower} to {upper}");
    }
}

#[test]
fn names_that_are_whiteouts_are_refused_with_their_path() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    for words in ["d/ d/.wh.x=1", "d/ d/.wh..wh..opq=1", ".wh.d/ .wh.d/x=1"] {
        let tar = forge::layer(&plain(words));
        let error = flat_tree(&tar, directory).expect_err("no layer can hold it");
        let text = error.to_string();
        assert!(text.contains(".wh.") && text.contains("whiteout"), "{text}");
    }
    // A layer can imply a directory of such a name.
    let base = image_tree(&[forge::layer(&plain("a=1"))], directory);
    let upper = image_tree(&[forge::layer(&plain("a=1 .wh.d/x=1"))], directory);
    let delta = changes(&base, &upper);
    let error = DeltaLayer::prove(upper, delta, &Silent);
    let error = error.expect_err("no layer can hold it");
    assert!(matches!(error, WriteError::WhiteoutName { path } if path == b".wh.d"));
}

#[test]
fn the_root_counts_only_where_a_layer_has_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let base = image_tree(&[forge::layer(&plain("a=1"))], directory);
    let with_root = forge::layer(&plain("./#711 a=1"));
    let flat = flat_tree(&with_root, directory).expect("a sound tar");
    assert!(changes(&base, &flat).is_empty());
    let image = image_tree(&[with_root], directory);
    let delta = changes(&base, &image);
    assert_eq!(told(&delta), ["C "]);
    let layer = Listing::of(&layer_of(&image, &delta));
    assert_eq!(layer.names, [b"./"]);
}

/// Attributes of the two trees that the sparse map alone tells apart, or nothing at all.
#[test]
fn sparse_files_are_compared_by_what_they_expand_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let sparse = |map: &str, data: &[u8]| {
        let mut entry = Entry::file("a", data);
        let blocks = (map.split(',').count() / 2).to_string();
        for (key, value) in [("map", map), ("numblocks", &blocks), ("size", "300000")] {
            let record = (format!("GNU.sparse.{key}"), value.as_bytes().to_vec());
            entry.pax.push(record);
        }
        vec![entry]
    };
    let mut body = vec![0; 300_000];
    body[..4].copy_from_slice(b"head");
    body[200_000..200_004].copy_from_slice(b"tail");
    let whole = vec![Entry::file("a", &body)];
    let one = sparse("0,4,200000,4", b"headtail");
    let other = sparse("0,2,2,2,199999,6", b"head\0tail\0");
    let less = sparse("0,4,200000,4", b"headtaiL");
    let trees: Vec<Arc<Tree>> = [&whole, &one, &other]
        .map(|entries| image_tree(&[forge::layer(entries)], directory))
        .into();
    let differs = image_tree(&[forge::layer(&less)], directory);
    for lower in &trees {
        for upper in &trees {
            assert_eq!(told(&changes(lower, upper)), Vec::<String>::new());
        }
        assert_eq!(told(&changes(lower, &differs)), ["C a"]);
        assert_eq!(told(&changes(&differs, lower)), ["C a"]);
    }
}

// --- exports --------------------------------------------------------------------------------------

/// The difference of an export to a base, after what the export does not say was added to it.
fn exported(base: &[Entry], export: &[Entry]) -> (Vec<String>, Listing) {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let base = image_tree(&[forge::layer(base)], directory);
    let upper = flat_tree(&forge::layer(export), directory).expect("a sound tar");
    let mut upper = Arc::into_inner(upper).expect("nobody else has it");
    upper.adopt_unrecorded(&base);
    let made = Additions::find(&upper, &base, b"/w/d");
    let delta = difference(&base, &upper, &made, jobs(), &Silent).expect("readable files");
    let delta = Arc::new(delta);
    let layer = Listing::of(&layer_of(&Arc::new(upper), &delta));
    (told(&delta), layer)
}

fn with(mut entry: Entry, records: &[(&str, &[u8])]) -> Entry {
    for (key, value) in records {
        entry.pax.push(((*key).to_owned(), value.to_vec()));
    }
    entry
}

const CAPABILITY: &str = "SCHILY.xattr.security.capability";
const NOTHING: [&str; 0] = [];

#[test]
fn what_an_export_cuts_off_is_no_change() {
    let v3 = [&[1, 0, 0, 3][..], &[7; 16], &[0xe8, 3, 0, 0]].concat();
    let v2 = [&[1, 0, 0, 2][..], &[7; 16]].concat();
    let base = [
        with(
            Entry::file("fraction", b"1"),
            &[("mtime", b"1500000000.75")],
        ),
        with(Entry::file("early", b"1"), &[("mtime", b"-5")]),
        with(Entry::file("late", b"1"), &[("mtime", b"9300000000")]),
        with(Entry::file("user", b"1"), &[("SCHILY.xattr.user.a", b"1")]),
        with(Entry::file("acl", b"1"), &[("SCHILY.xattr.system.b", b"1")]),
        with(Entry::file("rights", b"1"), &[(CAPABILITY, &v3)]),
    ];
    let mut export = plain("fraction=1@1500000000 early=1@0 late=1@0 user=1 acl=1 rights=1");
    export[5].pax.push((CAPABILITY.to_owned(), v2));
    assert_eq!(exported(&base, &export).0, NOTHING);
    // What did change keeps what the export does not say.
    let mut changed = export.clone();
    changed[0].body = b"2".to_vec();
    changed[3].mode = 0o600;
    let (told, layer) = exported(&base, &changed);
    assert_eq!(told, ["C fraction", "C user"]);
    assert_eq!(layer.rows[&b"user"[..]].xattrs.len(), 1);
    // A capability that is gone is gone, and so is one with other rights.
    export[5].pax.clear();
    assert_eq!(exported(&base, &export).0, ["C rights"]);
    let other = [&[1, 0, 0, 2][..], &[6; 16]].concat();
    export[5].pax.push((CAPABILITY.to_owned(), other));
    assert_eq!(exported(&base, &export).0, ["C rights"]);
}

#[test]
fn what_a_tar_does_record_counts() {
    let fraction = |name, time: &[u8]| with(Entry::file(name, b"1"), &[("mtime", time)]);
    let user = |name: &str| with(Entry::file(name, b"1"), &[("SCHILY.xattr.user.a", b"1")]);
    let base = [fraction("a", b"1.5"), fraction("b", b"1.5")];
    let tar = [fraction("a", b"1"), fraction("b", b"1.5")];
    assert_eq!(exported(&base, &tar).0, ["C a"]);
    let base = [user("a"), user("b")];
    let tar = [Entry::file("a", b"1"), user("b")];
    assert_eq!(exported(&base, &tar).0, ["C a"]);
}

/// What `docker export` shows of a container beside its own files (here 20.10 and 26.1).
const MADE: &str = ".dockerenv=@9#755 dev/@9 dev/console=@9#755 dev/pts/@9 dev/shm/@9 etc/@9 \
    etc/hostname=@9#755 etc/hosts=@9#755 etc/mtab->/proc/mounts@9 etc/resolv.conf=@9#755 proc/@9 \
    sys/@9";

#[test]
fn what_an_engine_adds_is_no_change() {
    let made = |more: &str| plain(&format!("{MADE} {more}"));
    for (base, more) in [
        ("a=1", "a=1"),
        ("etc/ etc/hosts=mine etc/mtab->../x a=1", "a=1"),
        ("x/ etc->x a=1", "x/ a=1"),
        ("dev/ dev/console dev/pts/#700 a=1", "a=1"),
        ("a=1", "a=1 w/@9 w/d/@9"),
        ("w/ a=1", "w/@9 w/d/@9 a=1"),
    ] {
        let mut export = made(more);
        // Docker leaves directories of the image as they are.
        if base.contains("pts") {
            export
                .iter_mut()
                .find(|e| e.name == b"dev/pts/")
                .expect("dev/pts")
                .mode = 0o700;
            export
                .iter_mut()
                .find(|e| e.name == b"dev/pts/")
                .expect("dev/pts")
                .mtime = 1_600_000_000;
        }
        let (told, _) = exported(&plain(base), &export);
        assert_eq!(told, NOTHING, "{base} to {more}");
    }
    // podman, and of a container that has run.
    let podman = "dev/@9 etc/@9 etc/hostname=@9 etc/hosts=@9 etc/mtab->/proc/mounts@9 proc/@9 run/@9 \
        run/.containerenv=@9 run/secrets/@9 sys/@9 a=1";
    assert_eq!(exported(&plain("a=1"), &plain(podman)).0, NOTHING);
}

#[test]
fn what_only_looks_like_an_engines_doing_is_a_change() {
    let base = "etc/ etc/hosts=mine a=1";
    for (export, want) in [
        // A file of its own in a directory that the engine made.
        (
            "etc/ etc/hosts=@9#755 a=1 dev/@9 dev/console=@9#755 dev/mine=1",
            &["A dev", "A dev/mine"][..],
        ),
        // Content, an owner's permission, a link of another target.
        ("etc/@9 etc/hosts=yours a=1", &["C etc", "C etc/hosts"]),
        (
            "etc/@9 etc/hosts=mine etc/mtab->/x a=1",
            &["C etc", "A etc/mtab"],
        ),
        ("etc/#700 etc/hosts=@9#755 a=1", &["C etc"]),
        ("etc/ etc/hosts=mine a=1 proc/#700", &["A proc"]),
        // Directories that no container has at its creation.
        (
            "etc/ etc/hosts=mine a=1 w/ w/d/ w/d/e/",
            &["A w", "A w/d", "A w/d/e"],
        ),
        ("etc/ etc/hosts=mine a=1 vol/", &["A vol"]),
        // Something gone.
        ("etc/ a=1", &[". etc", "D etc/hosts"]),
        // The time of a directory in which the engine made nothing.
        ("etc/@9 etc/hosts=mine a=1", &["C etc"]),
    ] {
        let (told, _) = exported(&plain(base), &plain(export));
        assert_eq!(told, want, "{export}");
    }
}

#[test]
fn a_tar_of_something_else_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let layer = forge::layer(&plain("bin/ bin/x=1"));
    let base = image_tree(std::slice::from_ref(&layer), directory);
    let refused = |tar: &[u8]| {
        let tree = flat_tree(tar, directory).expect("a sound tar");
        tree.require_rootfs(&base)
    };
    let empty = refused(&[0; 1024]).expect_err("nothing in it");
    assert!(empty.to_string().contains("no entries"), "{empty}");
    for form in Form::ALL {
        let archive = forge::archive(std::slice::from_ref(&layer), form);
        let error = refused(&archive).expect_err("an archive");
        assert!(error.to_string().contains("image archive"), "{error}");
    }
    refused(&forge::layer(&plain("bin/ manifest.json=1"))).expect("a file of that name");
    refused(&layer).expect("a root file system");
}
