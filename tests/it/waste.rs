//! `waste` against a second implementation, and its dive figures against those that dive's own tests expect.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use imgtar::image::Image;
use imgtar::layer::OpenLayers;
use imgtar::report::DiveFigures;
use imgtar::tar::{Kind, Streamed, Walker};
use imgtar::tree::{Fates, Waste, WasteCause};
use imgtar::{Limits, Options};

use crate::support::forge::{self, Entry, Form};
use crate::support::listing::clean;
use crate::support::{
    answer, cases, each_image_in, flattened, imgtar, items, number, repository, sha256, shared,
    shown, text,
};

// --- the second implementation ------------------------------------------------------------------------------

/// A regular file that a layer stores.
struct Stored {
    layer: usize,
    bytes: u64,
    sum: String,
    /// How many names it has now.
    names: usize,
    /// The layer that took the last of them, and how.
    ended: Option<(usize, &'static str)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Node {
    Directory,
    File(usize),
    Symlink,
    Other,
}

/// What the model makes of an image.
#[derive(Default)]
struct Model {
    files: Vec<Stored>,
    names: BTreeMap<Vec<u8>, Node>,
    /// The image has what the model does not do: paths through symbolic links, and sparse files.
    is_unclear: bool,
    /// Files have names among aufs' own, which no tree shows.
    is_of_aufs: bool,
}

impl Model {
    fn of(image: &Image) -> Self {
        let options = Options::default();
        let opened = OpenLayers::of(image, false, options.jobs, options.progress).expect("layers");
        let mut model = Self::default();
        for (layer, tar) in opened.tars().iter().enumerate() {
            let bytes = tar.bytes().read_all().expect("a layer");
            model.apply(layer, &bytes);
        }
        model
    }

    /// Whiteouts first, then the entries, one after the other.
    fn apply(&mut self, layer: usize, tar: &[u8]) {
        let mut entries = Vec::new();
        let limits = Limits::default();
        let mut walker = Walker::new(Streamed::new(tar, &limits));
        while let Some(entry) = walker.next_entry().expect("a tar that merges") {
            entries.push(entry);
        }
        for entry in &entries {
            let path = clean(&entry.path);
            let mut above = (path.iter().enumerate()).filter(|(_, b)| **b == b'/');
            self.is_unclear |=
                above.any(|(at, _)| self.names.get(&path[..at]) == Some(&Node::Symlink));
            let (parent, name) = split(&path);
            if name == b".wh..wh..opq" {
                self.empty(parent, layer);
            } else if let Some(hidden) = name.strip_prefix(b".wh.")
                && !name.starts_with(b".wh..wh.")
            {
                let target = joined(parent, hidden);
                self.empty(&target, layer);
                self.take(&target, layer, "deleted");
            }
        }
        for entry in &entries {
            let path = clean(&entry.path);
            self.is_of_aufs |= path.starts_with(b".wh..wh.plnk/");
            if path.is_empty()
                || path
                    .split(|&b| b == b'/')
                    .any(|name| name.starts_with(b".wh."))
            {
                continue;
            }
            self.parents(&path, layer);
            let node = match entry.kind {
                Kind::Directory => Node::Directory,
                Kind::Symlink => Node::Symlink,
                Kind::Global => continue,
                Kind::File | Kind::Other(b'7') => {
                    self.is_unclear |= entry.sparse.is_some();
                    let at = usize::try_from(entry.data_offset).expect("in memory");
                    let len = usize::try_from(entry.stored_size).expect("in memory");
                    self.files.push(Stored {
                        layer,
                        bytes: entry.size,
                        sum: sha256(&tar[at..at + len]),
                        names: 0,
                        ended: None,
                    });
                    Node::File(self.files.len() - 1)
                }
                Kind::Hardlink => {
                    let Some(node) = self.names.get(&clean(&entry.link)) else {
                        self.is_unclear = true;
                        continue;
                    };
                    *node
                }
                _ => Node::Other,
            };
            self.put(path, node, layer);
        }
    }

    fn parents(&mut self, path: &[u8], layer: usize) {
        for (at, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
            match self.names.get(&path[..at]) {
                Some(Node::Directory) => {}
                None => _ = self.names.insert(path[..at].to_vec(), Node::Directory),
                Some(Node::Symlink) => self.is_unclear = true,
                Some(_) => self.put(path[..at].to_vec(), Node::Directory, layer),
            }
        }
    }

    fn put(&mut self, path: Vec<u8>, node: Node, layer: usize) {
        if self.names.get(&path) == Some(&node) {
            return;
        }
        if node != Node::Directory {
            self.empty(&path, layer);
        }
        // The bytes of the new file decide how the old one went.
        let cause = match (self.names.get(&path), node) {
            (Some(Node::File(old)), Node::File(new))
                if self.files[*old].sum == self.files[new].sum =>
            {
                "attributes"
            }
            _ => "replaced",
        };
        self.take(&path, layer, cause);
        if let Node::File(file) = node {
            self.files[file].names += 1;
        }
        self.names.insert(path, node);
    }

    /// Takes what is in a directory.
    fn empty(&mut self, directory: &[u8], layer: usize) {
        let prefix = joined(directory, b"");
        let below: Vec<Vec<u8>> = self
            .names
            .keys()
            .filter(|path| path.starts_with(&prefix) && !path.is_empty())
            .cloned()
            .collect();
        for path in below {
            self.take(&path, layer, "deleted");
        }
    }

    fn take(&mut self, path: &[u8], layer: usize, cause: &'static str) {
        if let Some(Node::File(file)) = self.names.remove(path) {
            let file = &mut self.files[file];
            file.names -= 1;
            if file.names == 0 {
                file.ended = Some((layer, cause));
            }
        }
    }

    /// Bytes by cause, by the layer that stores them and by the layer that hides them.
    fn wasted(&self) -> BTreeMap<(String, usize, usize), u64> {
        let mut sums = BTreeMap::new();
        for file in &self.files {
            if let (Some((by, cause)), 1..) = (file.ended.filter(|_| file.names == 0), file.bytes) {
                *sums.entry((cause.to_owned(), file.layer, by)).or_default() += file.bytes;
            }
        }
        sums
    }

    /// The bytes of visible files that another visible file has, too.
    fn duplicated(&self) -> u64 {
        let mut sums: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for file in self.files.iter().filter(|file| file.names > 0) {
            sums.entry(&file.sum).or_default().push(file.bytes);
        }
        sums.values()
            .map(|sizes| sizes[1..].iter().sum::<u64>())
            .sum()
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn joined(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        name.to_vec()
    } else {
        [parent, b"/", name].concat()
    }
}

/// Every image that can be merged: of the engines' archives, of the cases, and of what others made.
fn each_image(see: &mut dyn FnMut(&str, &Image)) {
    let roots = [
        Some(repository("testdata/engines")),
        Some(cases().to_owned()),
        shared("archives"),
        shared("corpus"),
        shared("corpus/packed-from-directories"),
    ];
    each_image_in(roots.into_iter().flatten(), see);
}

/// What is stored and what is visible are two sums that need nothing but the layers and the rootfs tar; causes
/// and layers are those of a model that knows paths alone.
#[test]
fn waste_is_what_a_second_implementation_says() {
    let (mut images, mut clear, mut wasting) = (0, 0, 0);
    each_image(&mut |path, image| {
        let options = Options::default();
        let Ok(fates) = Fates::merge(image, &options) else {
            return;
        };
        let waste = Waste::of(&fates, image.layers.len(), &options).expect("readable files");
        let model = Model::of(image);
        images += 1;
        wasting += usize::from(waste.wasted() > 0);
        let stored: u64 = model.files.iter().map(|file| file.bytes).sum();
        let by_layer: u64 = waste.layers.iter().map(|layer| layer.stored).sum();
        assert_eq!(by_layer, waste.stored, "{path}");
        let hidden: u64 = waste.hidden.iter().map(|file| file.bytes).sum();
        assert_eq!(hidden, waste.wasted(), "{path}");
        let is_sparse = fates.iter().any(|record| {
            let body = &fates.tree().inode(record.inode).body;
            matches!(
                body,
                imgtar::tree::Body::File {
                    sparse: Some(_),
                    ..
                }
            )
        });
        if is_sparse || model.is_of_aufs {
            return;
        }
        assert_eq!(waste.stored, stored, "{path}");
        // A layer that is not what it claims to be can still be looked at, but not flattened.
        let Ok((rootfs, _)) = flattened(image) else {
            return;
        };
        let mut visible = 0;
        let mut walker = Walker::new(Streamed::new(rootfs.as_slice(), &options.limits));
        while let Some(entry) = walker.next_entry().expect("our own tar") {
            visible += if entry.kind == Kind::File {
                entry.size
            } else {
                0
            };
        }
        assert_eq!(waste.visible, visible, "{path}");
        if model.is_unclear {
            return;
        }
        clear += 1;
        let mut sums: BTreeMap<(String, usize, usize), u64> = BTreeMap::new();
        for file in &waste.hidden {
            let cause = match file.cause {
                WasteCause::Replaced => "replaced",
                WasteCause::Deleted => "deleted",
                WasteCause::Attributes => "attributes",
            };
            let key = (
                cause.to_owned(),
                file.layer as usize,
                file.by_layer as usize,
            );
            *sums.entry(key).or_default() += file.bytes;
        }
        assert_eq!(sums, model.wasted(), "{path}");
        assert_eq!(waste.duplicated(), model.duplicated(), "{path}");
    });
    assert!(
        images > 150 && clear > 120 && wasting > 60,
        "{images} {clear} {wasting}"
    );
    if shared("corpus").is_some() {
        assert!(images > 270, "{images} images");
    }
}

// --- dive -----------------------------------------------------------------------------------------------------

/// An archive of these layers, and the directory that it is deleted with.
fn made(layers: &[Vec<u8>]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("app.tar");
    fs::write(&path, forge::archive(layers, Form::Hybrid)).expect("room");
    let path = shown(&path);
    (directory, path)
}

/// The layers of the image in dive's own tests (`.data/test-docker-image.tar`, built of `.data/Dockerfile.test-image`),
/// with files of the sizes that they have there.
fn image_of_dive() -> Vec<Vec<u8>> {
    let text = |name: &str| Entry::file(name, &[b'x'; 6405]);
    let dir = |name: &str| Entry::new(b'5', name.as_bytes());
    let empty = |name: &str| Entry::file(name, b"");
    // Docker lists the directories above what a step changed. dive needs that: a directory that is not listed
    // is none for it any more, and then counts as nothing when it is deleted.
    let example = |last: Entry| vec![dir("root/"), dir("root/example/"), last];
    [
        vec![
            dir("bin/"),
            Entry::file("bin/busybox", &vec![b'b'; 1_154_361]),
        ],
        vec![text("somefile.txt")],
        vec![
            dir("root/"),
            dir("root/example/"),
            dir("root/example/really/"),
            dir("root/example/really/nested/"),
        ],
        example(text("root/example/somefile1.txt")),
        example(text("root/example/somefile1.txt")),
        example(text("root/example/somefile2.txt")),
        example(text("root/example/somefile3.txt")),
        vec![
            dir("root/"),
            dir("root/example/"),
            empty("root/example/.wh.somefile3.txt"),
            text("root/saved.txt"),
        ],
        vec![dir("root/"), text("root/.saved.txt")],
        vec![dir("root/"), empty("root/.wh.example")],
        vec![
            dir("root/"),
            dir("root/.data/"),
            Entry::file("root/.data/tag.sh", &[b's'; 2187]),
        ],
        vec![dir("tmp/"), text("tmp/saved.again1.txt")],
        vec![
            dir("root/"),
            dir("root/.data/"),
            text("root/.data/saved.again2.txt"),
        ],
        vec![dir("root/"), text("root/saved.txt")],
    ]
    .iter()
    .map(|entries| forge::layer(entries))
    .collect()
}

/// The figures of dive's `Test_Analysis` and `Test_Export`.
#[test]
fn dive_says_the_same() {
    let (_directory, path) = made(&image_of_dive());
    let archive = imgtar::open(Path::new(&path), &Options::default()).expect("an archive");
    let images = archive.images().expect("images");
    let options = Options::default();
    let layers = OpenLayers::of(&images.images[0], false, options.jobs, options.progress);
    let layers = layers.expect("layers");
    let figures = DiveFigures::of(layers.tars(), &options.limits).expect("few steps");
    assert_eq!(
        figures,
        DiveFigures {
            efficiency: 0.984_421_213_418_430_9,
            wasted_bytes: 32_025,
            user_wasted_percent: Some(0.483_491_100_140_404_9),
            size: 1_220_598,
            user_size: 66_237,
        }
    );
    // What is not seen: three files deleted, two stored again for their modes. dive counts the visible copy of
    // `saved.txt` as well, and nothing for `somefile2.txt`, which went with its directory.
    let waste = answer(&["waste", &path, "--json"]);
    assert_eq!(number(&waste["wasted"]), 5 * 6405);
    let causes: Vec<(&str, &str)> = items(&waste["by_path"])
        .iter()
        .map(|row| (text(&row["path"]), text(&row["cause"])))
        .filter(|(_, cause)| *cause != "duplicate")
        .collect();
    assert_eq!(
        causes,
        [
            ("root/example/somefile1.txt", "deleted"),
            ("root/example/somefile1.txt", "attributes"),
            ("root/example/somefile2.txt", "deleted"),
            ("root/example/somefile3.txt", "deleted"),
            ("root/saved.txt", "attributes"),
        ]
    );
}

/// dive's own cases of its rules (`Test_Evaluator`), in a file and with its exit code.
#[test]
fn rules_are_judged_as_dive_judges_them() {
    let (directory, path) = made(&image_of_dive());
    for (efficiency, bytes, percent, fails) in [
        (
            "0.99",
            "1B",
            "0.01",
            &[
                "lowestEfficiency",
                "highestWastedBytes",
                "highestUserWastedPercent",
            ][..],
        ),
        ("0.9", "50kB", "0.5", &[]),
        ("disabled", "disabled", "disabled", &[]),
        ("0.9", "1B", "0.5", &["highestWastedBytes"]),
        // A figure that is the limit passes.
        ("0.9844212134184309", "32025", "0.4834911001404049", &[]),
        (
            "0.9844212134184310",
            "32024",
            "0.4834911001404048",
            &[
                "lowestEfficiency",
                "highestWastedBytes",
                "highestUserWastedPercent",
            ],
        ),
    ] {
        let file = shown(&directory.path().join(".dive-ci"));
        let rules = format!(
            "rules:\n  lowestEfficiency: {efficiency}\n  highestWastedBytes: {bytes}\n  highestUserWastedPercent: {percent}\n"
        );
        fs::write(&file, rules).expect("room");
        let run =
            imgtar(&["waste", &path, "--ci", &file, "--json"]).exits(i32::from(!fails.is_empty()));
        let json = run.json();
        let broken: Vec<&str> = items(&json["rules"])
            .iter()
            .filter(|rule| rule["ok"] == false)
            .map(|rule| text(&rule["rule"]))
            .collect();
        assert_eq!(broken, fails, "{efficiency} {bytes} {percent}");
        let run = imgtar(&["waste", &path, "--ci", &file]).exits(i32::from(!fails.is_empty()));
        let last = run.out().lines().last().expect("a last line").to_owned();
        for rule in fails {
            assert!(
                last.starts_with("failed: ") && last.contains(rule),
                "{last}"
            );
        }
    }
    // Without a file of their own the rules have dive's defaults.
    let file = shown(&directory.path().join("empty"));
    fs::write(&file, "").expect("room");
    imgtar(&["waste", &path, "--ci", &file]).exits(1);
    imgtar(&["waste", &path, "--ci", "/nowhere/.dive-ci"]).exits(4);
    fs::write(&file, "rules:\n  lowestEfficency: 1\n").expect("room");
    let run = imgtar(&["waste", &path, "--ci", &file]).exits(2);
    assert!(
        run.err().contains("`lowestEfficency` is not a rule"),
        "{run}"
    );
}

// --- rules of our own -------------------------------------------------------------------------------------------

#[test]
fn limits_are_kept_to_the_byte() {
    let (_directory, path) = made(&image_of_dive());
    for (arguments, code) in [
        (&["--max", "32025"][..], 0),
        (&["--max", "32024"], 1),
        (&["--max", "33kB"], 0),
        (&["--max-percent", "2.7"], 0),
        (&["--max-percent", "2.6"], 1),
        (&["--max-percent", "3%", "--max", "1"], 1),
        (&["--max", "much"], 2),
        (&["--max-percent", "101"], 2),
    ] {
        let run = imgtar(&[&["waste", path.as_str()], arguments].concat()).exits(code);
        if code < 2 {
            let word = if code == 0 { "passed: " } else { "failed: " };
            let last = run.out().lines().last().expect("a last line");
            assert!(last.starts_with(word), "{arguments:?}: {last}");
        }
    }
}

/// Hard links are one file, in one layer and over layers; a whole directory is one row; threads change nothing.
#[test]
fn files_with_several_names_are_stored_once() {
    let link = |name: &str, target: &str| {
        let mut entry = Entry::new(b'1', name.as_bytes());
        entry.link = target.as_bytes().to_vec();
        entry
    };
    let many: Vec<Entry> = (0..9)
        .map(|i| Entry::file(&format!("cache/d{}/f{i}", i % 2), &[b'a' + i; 100]))
        .collect();
    let layers = [
        forge::layer(&[
            Entry::file("one", &[1; 1000]),
            link("two", "one"),
            Entry::file("gone", &[2; 500]),
            link("left", "gone"),
        ]),
        forge::layer(&many),
        forge::layer(&[link("three", "one"), Entry::file(".wh.gone", b"")]),
        forge::layer(&[
            Entry::file(".wh.one", b""),
            Entry::file(".wh.two", b""),
            Entry::file(".wh.left", b""),
            Entry::file(".wh.cache", b""),
        ]),
    ];
    let (_directory, path) = made(&layers);
    let waste = answer(&["waste", &path, "--json"]);
    assert_eq!(number(&waste["stored"]), 2400);
    assert_eq!(number(&waste["visible"]), 1000);
    let gone = &items(&waste["by_path"])[0];
    assert_eq!((text(&gone["path"]), number(&gone["bytes"])), ("left", 500));
    assert_eq!(items(&gone["by_layers"])[0], 3);
    let layers: Vec<(u64, u64, u64)> = items(&waste["by_layer"])
        .iter()
        .map(|row| {
            (
                number(&row["stored"]),
                number(&row["bytes"]),
                number(&row["hides"]),
            )
        })
        .collect();
    assert_eq!(
        layers,
        [(1500, 500, 0), (900, 900, 0), (0, 0, 0), (0, 0, 1400)]
    );
    let shown = imgtar(&["waste", &path]).exits(0);
    assert!(shown.out().contains("cache/ (9 files)"), "{shown}");
    assert_eq!(imgtar(&["waste", &path, "-j", "1", "--json"]).json(), waste);
}
