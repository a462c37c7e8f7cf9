//! The merge of layers against a second implementation: slow, obvious, written from the rules alone.
//!
//! The model keeps the whole tree as a map from full paths to inodes. A layer's whiteouts come first
//! and its entries follow in order; every path is looked up anew from the root, part by part. What it
//! makes of ten thousand random stacks of layers is compared with what `flatten` writes of them, and what
//! it makes of the difference of two trees with the tree that the difference was to make.
//!
//! The seed is fixed, so a run is the same run everywhere; a longer search is
//! `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=$RANDOM cargo test --test it model::`.

use crate::support::{flattened_layers, forge, listing, scaled};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;

use imgtar::base::limits::Limits;
use imgtar::base::progress::Silent;
use imgtar::layer::OpenLayers;
use imgtar::output::{DeltaLayer, WriteError};
use imgtar::tar::{Kind, Streamed, Walker};
use imgtar::tree::{Additions, Tree, TreeError, difference};
use imgtar::{Jobs, Options};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::support::forge::{Entry, Form};
use crate::support::listing::{Listing, Row};

// --- the rules ------------------------------------------------------------------------------------

/// What cannot be applied: the layer it is in, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    layer: usize,
    item: usize,
    why: &'static str,
}

/// A file, whatever its names.
#[derive(Clone, Debug)]
struct Inode {
    kind: char,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: u64,
    target: String,
    body: Vec<u8>,
}

/// A tree: full paths without a slash at either end, and the numbers of their inodes. The root is the
/// empty path.
#[derive(Clone, Debug)]
struct Model {
    names: BTreeMap<String, usize>,
    inodes: Vec<Inode>,
}

/// Where the way to a directory ends.
enum Way {
    Directory(String),
    Missing,
    NoDirectory,
}

impl Model {
    fn empty() -> Self {
        let mut model = Self {
            names: BTreeMap::new(),
            inodes: Vec::new(),
        };
        model.put("", implied());
        model
    }

    /// Applies layers, base first.
    fn of(stack: &[Vec<Item>]) -> Result<Self, Refusal> {
        let mut model = Self::empty();
        for (layer, items) in stack.iter().enumerate() {
            let refuse = |item| move |why| Refusal { layer, item, why };
            // Whiteouts hide what lower layers have, wherever in the layer they stand.
            for (number, item) in items.iter().enumerate() {
                if let Some(name) = item.whiteout() {
                    model.hide(item, &name, items).map_err(refuse(number))?;
                }
            }
            for (number, item) in items.iter().enumerate() {
                if item.whiteout().is_none() {
                    model.add(item).map_err(refuse(number))?;
                }
            }
        }
        Ok(model)
    }

    fn hide(&mut self, item: &Item, name: &str, layer: &[Item]) -> Result<(), &'static str> {
        // A whiteout of nothing, of its own directory or of the one above is invalid.
        if matches!(name, "" | "." | "..") {
            return Err("a whiteout of nothing");
        }
        let (parent, _) = split(&plain(&item.name));
        let mut links = Vec::new();
        let Way::Directory(directory) = self.walk(&parent, &mut links)? else {
            // Below what is not there, or is not a directory, is nothing to hide.
            return Ok(());
        };
        // A link that the layer itself replaces leads nowhere: what stands in its place, or in that
        // of a directory above it, has nothing old below it.
        let replaced = |link: &String| {
            let mut others = layer.iter().filter(|other| other.whiteout().is_none());
            others.any(|other| {
                let path = plain(&other.name);
                let above = link.starts_with(&format!("{path}/")) && !path.is_empty();
                path == *link || above && other.what != What::Directory
            })
        };
        if links.iter().any(replaced) {
            return Ok(());
        }
        if name == OPAQUE {
            self.empty_directory(&directory);
        } else {
            self.remove(&join(&directory, name));
        }
        Ok(())
    }

    fn add(&mut self, item: &Item) -> Result<(), &'static str> {
        let path = plain(&item.name);
        if path.is_empty() {
            // The root's attributes are not part of the tar, and what would change its type is passed over.
            return Ok(());
        }
        let (parent, last) = split(&path);
        let directory = self.make_way(&parent)?;
        let path = join(&directory, &last);
        let is_directory = self.at(&path).is_some_and(|inode| inode.kind == 'd');
        if item.what == What::Directory && is_directory {
            // A directory over a directory keeps what is in it.
            self.put(&path, item.inode());
            return Ok(());
        }
        // Everything else: what was there is removed, then the new one is made.
        self.remove(&path);
        let What::Hardlink(target) = &item.what else {
            self.put(&path, item.inode());
            return Ok(());
        };
        let target = plain(target);
        if target.is_empty() {
            return Err("a link to the root");
        }
        let (parent, last) = split(&target);
        let Way::Directory(directory) = self.walk(&parent, &mut Vec::new())? else {
            return Err("a link to nothing");
        };
        let Some(&number) = self.names.get(&join(&directory, &last)) else {
            return Err("a link to nothing");
        };
        let inode = &mut self.inodes[number];
        if inode.kind == 'd' {
            return Err("a link to a directory");
        }
        // The header of the link says last what the file's attributes are.
        (inode.uid, inode.gid, inode.mtime) = (item.uid, item.gid, item.mtime);
        if inode.kind != 'l' {
            inode.mode = item.mode;
        }
        self.names.insert(path, number);
        Ok(())
    }

    /// Goes to a directory, through links and inside the root.
    fn walk(&self, path: &str, links: &mut Vec<String>) -> Result<Way, &'static str> {
        let mut here = String::new();
        let mut ahead: Vec<String> = parts(path);
        while !ahead.is_empty() {
            let part = ahead.remove(0);
            if part == ".." {
                here = split(&here).0;
                continue;
            }
            let next = join(&here, &part);
            match self.at(&next) {
                None => return Ok(Way::Missing),
                Some(inode) if inode.kind == 'd' => here = next,
                Some(inode) if inode.kind == 'l' => {
                    links.push(next);
                    if links.len() > 255 {
                        return Err("links in a circle");
                    }
                    if inode.target.starts_with('/') {
                        here = String::new();
                    }
                    ahead = [parts(&inode.target), ahead].concat();
                }
                Some(_) => return Ok(Way::NoDirectory),
            }
        }
        Ok(Way::Directory(here))
    }

    /// Goes to a directory and makes what is missing on the way.
    fn make_way(&mut self, path: &str) -> Result<String, &'static str> {
        let mut here = String::new();
        let mut ahead: Vec<String> = parts(path);
        let mut links = 0;
        while !ahead.is_empty() {
            let part = ahead.remove(0);
            if part == ".." {
                here = split(&here).0;
                continue;
            }
            let next = join(&here, &part);
            match self.at(&next) {
                None => {
                    self.put(&next, implied());
                    here = next;
                }
                Some(inode) if inode.kind == 'd' => here = next,
                Some(inode) if inode.kind == 'l' => {
                    links += 1;
                    if links > 255 {
                        return Err("links in a circle");
                    }
                    if inode.target.starts_with('/') {
                        here = String::new();
                    }
                    ahead = [parts(&inode.target), ahead].concat();
                }
                Some(_) => return Err("below something that is no directory"),
            }
        }
        Ok(here)
    }

    fn at(&self, path: &str) -> Option<&Inode> {
        Some(&self.inodes[*self.names.get(path)?])
    }

    fn put(&mut self, path: &str, inode: Inode) {
        self.inodes.push(inode);
        self.names.insert(path.to_owned(), self.inodes.len() - 1);
    }

    fn remove(&mut self, path: &str) {
        self.empty_directory(path);
        self.names.remove(path);
    }

    fn empty_directory(&mut self, path: &str) {
        let below = |name: &str| match path {
            "" => !name.is_empty(),
            _ => name.starts_with(&format!("{path}/")),
        };
        self.names.retain(|name, _| !below(name));
    }

    /// The tree as a listing has it.
    fn rows(&self) -> BTreeMap<Vec<u8>, Row> {
        let mut rows = BTreeMap::new();
        for (path, number) in self.names.iter().filter(|(path, _)| !path.is_empty()) {
            let inode = &self.inodes[*number];
            let group: BTreeSet<&String> = self
                .names
                .iter()
                .filter(|(_, other)| *other == number)
                .map(|(name, _)| name)
                .collect();
            let first = group.first().filter(|_| group.len() > 1);
            let is_file = inode.kind == 'f';
            let row = Row {
                kind: inode.kind,
                mode: inode.mode,
                uid: inode.uid,
                gid: inode.gid,
                size: is_file.then_some(inode.body.len() as u64),
                mtime: i64::try_from(inode.mtime).expect("a small time"),
                link: inode.target.clone().into_bytes(),
                device: None,
                xattrs: BTreeMap::new(),
                content: if is_file {
                    listing::hex(&inode.body)
                } else {
                    String::new()
                },
                group: first.map(|name| name.as_bytes().to_vec()),
            };
            rows.insert(path.clone().into_bytes(), row);
        }
        rows
    }
}

/// A directory that has no entry of its own.
fn implied() -> Inode {
    Inode {
        kind: 'd',
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: 0,
        target: String::new(),
        body: Vec::new(),
    }
}

/// The parts of a path or a target that say something; `..` stays.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.map(str::to_owned).collect()
}

/// A name as written, without `.`, `..` and superfluous slashes; above the root is the root.
fn plain(name: &str) -> String {
    let mut path: Vec<String> = Vec::new();
    for part in parts(name) {
        if part == ".." {
            path.pop();
        } else {
            path.push(part);
        }
    }
    path.join("/")
}

/// The directory and the last part of a path.
fn split(path: &str) -> (String, String) {
    let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
    (parent.to_owned(), last.to_owned())
}

fn join(directory: &str, name: &str) -> String {
    match directory {
        "" => name.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

// --- random stacks --------------------------------------------------------------------------------

/// The name behind `.wh.` that makes a directory opaque.
const OPAQUE: &str = ".wh..opq";

/// The type of an entry and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    File(Vec<u8>),
    Directory,
    Symlink(String),
    Hardlink(String),
    Fifo,
}

/// An entry of a layer, whiteouts among them.
#[derive(Clone, PartialEq, Eq)]
struct Item {
    /// As the layer has it, with all its `./` and `..`.
    name: String,
    what: What,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: u64,
}

/// One line, so that a shrunk stack can be read.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, mode) = (&self.name, self.mode);
        let (uid, gid, mtime) = (self.uid, self.gid, self.mtime);
        let what = match &self.what {
            What::File(body) => format!("file {:?}", String::from_utf8_lossy(body)),
            What::Directory => "directory".to_owned(),
            What::Symlink(target) => format!("symlink to {target:?}"),
            What::Hardlink(target) => format!("hard link to {target:?}"),
            What::Fifo => "fifo".to_owned(),
        };
        write!(f, "{name:?}: {what} {mode:o} {uid}:{gid} {mtime}")
    }
}

impl Item {
    /// What a whiteout hides.
    fn whiteout(&self) -> Option<String> {
        let (_, last) = split(&plain(&self.name));
        last.strip_prefix(".wh.").map(str::to_owned)
    }

    fn inode(&self) -> Inode {
        let (kind, target, body) = match &self.what {
            What::File(body) => ('f', "", body.clone()),
            What::Directory => ('d', "", Vec::new()),
            What::Symlink(target) => ('l', target.as_str(), Vec::new()),
            What::Fifo => ('p', "", Vec::new()),
            What::Hardlink(_) => unreachable!("a hard link has no inode of its own"),
        };
        Inode {
            kind,
            // Symbolic links have no permissions.
            mode: if kind == 'l' { 0o777 } else { self.mode },
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            target: target.to_owned(),
            body,
        }
    }

    fn entry(&self) -> Entry {
        let (typeflag, link, body) = match &self.what {
            What::File(body) => (b'0', "", body.clone()),
            What::Directory => (b'5', "", Vec::new()),
            What::Symlink(target) => (b'2', target.as_str(), Vec::new()),
            What::Hardlink(target) => (b'1', target.as_str(), Vec::new()),
            What::Fifo => (b'6', "", Vec::new()),
        };
        Entry {
            link: link.as_bytes().to_vec(),
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            body,
            ..Entry::new(typeflag, self.name.as_bytes())
        }
    }
}

/// A path of up to three parts; short ones are as likely as long ones.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 1..=3)
        .prop_map(|parts| parts.join("/"))
}

/// One path in one of its spellings; the plain one most of the time.
fn spelled(path: &str, spelling: u8) -> String {
    match spelling {
        0 => format!("./{path}"),
        1 => format!("/{path}"),
        2 => format!("{path}/"),
        3 => format!("d/../{path}"),
        4 => format!("../{path}"),
        5 => path.replace('/', "//"),
        6 => format!("b/c/../../{path}/."),
        _ => path.to_owned(),
    }
}

/// Targets near and far, relative and absolute, above the root, to nothing and to themselves.
fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => path(),
        3 => path().prop_map(|path| format!("/{path}")),
        3 => path().prop_map(|path| format!("../{path}")),
        1 => path().prop_map(|path| format!("../../../{path}/")),
        1 => path().prop_map(|path| format!("./{path}/../{path}")),
        1 => prop::sample::select(vec!["/", ".", "..", "../..", "a/.."]).prop_map(str::to_owned),
    ]
}

/// What an entry is before it is known which files there are to link to.
#[derive(Clone, Debug)]
enum Sketch {
    File,
    Directory,
    Symlink(String),
    /// A link to one of the names before, or to a path that may be anything.
    Hardlink(prop::sample::Index, Option<String>),
    Fifo,
    Whiteout,
    Opaque,
    Invalid,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    prop_oneof![
        6 => Just(Sketch::File),
        6 => Just(Sketch::Directory),
        4 => target().prop_map(Sketch::Symlink),
        5 => (any::<prop::sample::Index>(), prop::option::weighted(0.2, path()))
            .prop_map(|(index, path)| Sketch::Hardlink(index, path)),
        1 => Just(Sketch::Fifo),
        4 => Just(Sketch::Whiteout),
        2 => Just(Sketch::Opaque),
    ]
    .prop_flat_map(|sketch| prop_oneof![199 => Just(sketch), 1 => Just(Sketch::Invalid)])
}

type Drawn = (String, Sketch, (u8, u8), (u8, u8, u8, u8));

fn drawn() -> impl Strategy<Value = Drawn> {
    let numbers = (0..8_u8, 0..4_u8, 0..4_u8, any::<u8>());
    (path(), sketch(), (0..24_u8, 0..24_u8), numbers)
}

/// One to five layers. Where `mend` says so, entries that the rules refuse are taken out again, so
/// that most stacks make a tree.
fn stack() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let layers = prop::collection::vec(prop::collection::vec(drawn(), 0..10), 1..=5);
    (layers, prop::bool::weighted(0.8)).prop_map(|(layers, mend)| {
        let mut stack = resolve(layers);
        while mend && let Err(refusal) = Model::of(&stack) {
            stack[refusal.layer].remove(refusal.item);
        }
        stack
    })
}

fn resolve(layers: Vec<Vec<Drawn>>) -> Vec<Vec<Item>> {
    let mut links: Vec<String> = Vec::new();
    let mut count = 0;
    let mut stack = Vec::new();
    for layer in layers {
        let mut items = Vec::new();
        for (path, sketch, spellings, (mode, uid, gid, mtime)) in layer {
            count += 1;
            let (parent, last) = split(&path);
            let mut name = path.clone();
            let what = match sketch {
                Sketch::File => What::File(format!("file {count}").into_bytes()),
                Sketch::Directory => What::Directory,
                Sketch::Symlink(target) => What::Symlink(target),
                Sketch::Fifo => What::Fifo,
                Sketch::Hardlink(index, anything) => {
                    let known = (!links.is_empty()).then(|| index.get(&links).clone());
                    let target = anything.or(known).unwrap_or_else(|| "a".to_owned());
                    What::Hardlink(spelled(&target, spellings.1))
                }
                Sketch::Whiteout => {
                    name = join(&parent, &format!(".wh.{last}"));
                    What::File(Vec::new())
                }
                Sketch::Opaque => {
                    name = join(&parent, &format!(".wh.{OPAQUE}"));
                    What::File(Vec::new())
                }
                Sketch::Invalid => {
                    name = join(&parent, [".wh.", ".wh..", ".wh..."][usize::from(mode) % 3]);
                    What::File(Vec::new())
                }
            };
            if !name.contains(".wh.") && what != What::Directory {
                links.push(path);
            }
            items.push(Item {
                name: spelled(&name, spellings.0),
                what,
                mode: [0o644, 0o755, 0o600, 0o4755, 0o2755, 0o1777, 0, 0o7777][usize::from(mode)],
                uid: [0, 1, 1000, 3_000_000][usize::from(uid)],
                gid: [0, 5, 100, 2_097_151][usize::from(gid)],
                mtime: 1_500_000_000 + u64::from(mtime),
            });
        }
        stack.push(items);
    }
    stack
}

// --- the comparison -------------------------------------------------------------------------------

/// `cases` stacks; a failure may take long to make small.
fn config(cases: u32) -> Config {
    Config {
        max_shrink_iters: 5_000,
        ..crate::properties::seeded(cases, crate::properties::SEED)
    }
}

/// So many cases, or fewer where nobody asked for all.
fn sized(cases: usize) -> u32 {
    u32::try_from(scaled(cases)).expect("a number of cases")
}

/// The layers of a stack.
fn layers(stack: &[Vec<Item>]) -> Vec<Vec<u8>> {
    let layers = stack.iter();
    layers
        .map(|items| forge::layer(&items.iter().map(Item::entry).collect::<Vec<_>>()))
        .collect()
}

fn compare(stack: &[Vec<Item>], file: &std::path::Path) -> Result<bool, TestCaseError> {
    match (Model::of(stack), flattened_layers(&layers(stack), file)) {
        (Ok(model), Ok((output, _))) => {
            let listing = Listing::of(&output);
            prop_assert_eq!(&listing.disorder, &Vec::<String>::new());
            let (want, got) = (model.rows(), listing.rows);
            let lines = |rows: &BTreeMap<Vec<u8>, Row>| -> Vec<Vec<u8>> {
                rows.iter().map(|(path, row)| row.tarlist(path)).collect()
            };
            let difference = listing::difference(&lines(&want), &lines(&got));
            prop_assert!(want == got, "want is the model's\n{difference}");
            Ok(true)
        }
        (Err(refusal), Err(WriteError::Tree(TreeError::Entry { layer, .. }))) => {
            prop_assert_eq!(layer, refusal.layer, "{}", refusal.why);
            Ok(false)
        }
        (Ok(_), Err(error)) => {
            prop_assert!(false, "only flatten refuses: {error}");
            Ok(false)
        }
        (Err(refusal), Ok(_)) => {
            prop_assert!(false, "only the model refuses: {refusal:?}");
            Ok(false)
        }
        (Err(_), Err(error)) => {
            prop_assert!(false, "not about an entry: {error}");
            Ok(false)
        }
    }
}

/// The entries of a layer that imgtar wrote.
fn written(layer: &[u8]) -> Vec<Item> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("plain names");
    let mut walker = Walker::new(Streamed::new(layer, &Limits::default()));
    let mut items = Vec::new();
    while let Some(entry) = walker.next_entry().expect("a sound layer") {
        let what = match entry.kind {
            Kind::File => {
                let start = usize::try_from(entry.data_offset).expect("a small layer");
                let size = usize::try_from(entry.size).expect("a small file");
                What::File(layer[start..][..size].to_vec())
            }
            Kind::Directory => What::Directory,
            Kind::Symlink => What::Symlink(text(&entry.link)),
            Kind::Hardlink => What::Hardlink(text(&entry.link)),
            Kind::Fifo => What::Fifo,
            kind => panic!("{kind:?}"),
        };
        items.push(Item {
            name: text(&entry.path),
            what,
            mode: u32::try_from(entry.mode).expect("permissions"),
            uid: u64::try_from(entry.uid).expect("an owner"),
            gid: u64::try_from(entry.gid).expect("a group"),
            mtime: u64::try_from(entry.mtime.seconds).expect("after 1970"),
        });
    }
    items
}

/// The upper layers of a stack and the one layer that takes their place.
fn squash(stack: &[Vec<Item>], cut: usize, file: &std::path::Path) -> TestCaseResult {
    let layers: Vec<Vec<u8>> = stack
        .iter()
        .map(|items| forge::layer(&items.iter().map(Item::entry).collect::<Vec<_>>()))
        .collect();
    _ = fs::remove_file(file);
    fs::write(file, forge::archive(&layers, Form::Hybrid)).expect("room for an archive");
    let archive = imgtar::open(file, &Options::default()).expect("an archive");
    let images = archive.images().expect("images");
    let jobs = Jobs::new(NonZeroUsize::MIN);
    let layers = OpenLayers::of(&images.images[0], false, jobs, &Silent).expect("layers");
    let split = Tree::merge_split(layers.tars(), cut);
    let (lower, upper) = split.expect("layers that can be applied");
    let delta = difference(&lower, &upper, &Additions::none(), jobs, &Silent);
    let delta = delta.expect("readable files");
    let layer = DeltaLayer::prove(Arc::new(upper), Arc::new(delta), &Silent).expect("a layer");
    let mut bytes = Vec::new();
    layer.write(&mut bytes).expect("the files of the stack");
    let mut short = stack[..cut].to_vec();
    short.push(written(&bytes));
    let want = Model::of(stack).expect("imgtar applies it");
    let got = Model::of(&short).expect("what imgtar writes can be applied");
    let (want, got) = (want.rows(), got.rows());
    let lines = |rows: &BTreeMap<Vec<u8>, Row>| -> Vec<Vec<u8>> {
        rows.iter().map(|(path, row)| row.tarlist(path)).collect()
    };
    let difference = listing::difference(&lines(&want), &lines(&got));
    prop_assert!(want == got, "{:#?}\n{difference}", short[cut]);
    Ok(())
}

/// One layer in place of the upper ones makes the same tree.
#[test]
fn the_difference_of_trees_stands_for_the_layers_between_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("archive.tar");
    let mut config = config(sized(3_000));
    config.max_global_rejects = u32::MAX;
    let outcome = TestRunner::new(config).run(&(stack(), 0..5_usize), |(stack, cut)| {
        prop_assume!(Model::of(&stack).is_ok());
        squash(&stack, cut.min(stack.len() - 1), &file)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Ten thousand random stacks of layers (an eighth without `IMGTAR_FULL_SIZE`) become the tree that the rules say, or are refused by both.
#[test]
fn random_stacks_become_what_the_rules_say() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("archive.tar");
    let config = config(sized(10_000));
    let cases = config.cases;
    let (trees, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let outcome = TestRunner::new(config).run(&stack(), |stack| -> TestCaseResult {
        let count = if compare(&stack, &file)? {
            &trees
        } else {
            &refused
        };
        count.set(count.get() + 1);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // A search that only ever refuses, or never, shows little.
    let (trees, refused) = (trees.get(), refused.get());
    assert!(trees > cases / 4 * 3, "only {trees} of {cases} make a tree");
    assert!(
        refused > cases / 50,
        "only {refused} of {cases} are refused"
    );
}
