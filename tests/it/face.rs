//! The public face: what stands at the root of the library does what most programs need. This file uses
//! nothing of imgtar that does not stand there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use imgtar::{
    ArchiveLayout, Class, Code, Error, Image, Jobs, Limit, Options, Progress, ReadAt, Selector,
    Task, Tree,
};

const ONE: &str = "testdata/engines/docker20-one.tar";
const MULTI: &str = "testdata/engines/docker20-multi.tar";
const PLATFORMS: &str = "testdata/engines/podman-platforms.tar";

fn open(path: &str) -> imgtar::Archive {
    imgtar::open(Path::new(path), &Options::default()).expect("an archive")
}

fn flattened(image: &Image, options: &Options<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    imgtar::flatten(image, &mut tar, options).expect("an image that can be flattened");
    tar
}

/// Bytes that come in small pieces, with interruptions, as from a store far away.
struct Far {
    bytes: Vec<u8>,
    reads: AtomicUsize,
}

impl ReadAt for Far {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.reads.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = buf.len().min(1000);
        self.bytes.read_at(&mut buf[..n], offset)
    }
}

#[test]
fn an_archive_is_read_from_whatever_gives_its_bytes() {
    let options = Options::default();
    for path in [ONE, "testdata/engines/docker20-one.tar.gz"] {
        let expected = flattened(&open(path).images().expect("images").images[0], &options);
        let bytes = fs::read(path).expect("test data");
        let far = Far {
            bytes: bytes.clone(),
            reads: AtomicUsize::new(0),
        };
        let shared: Arc<[u8]> = bytes.clone().into();
        let file = File::open(path).expect("test data");
        let archives = [
            imgtar::open_reader(bytes, "memory", &options),
            imgtar::open_reader(shared, "shared", &options),
            imgtar::open_reader(file, "file", &options),
            imgtar::open_reader(far, "far away", &options),
        ];
        for archive in archives {
            let archive = archive.expect("an archive");
            let images = archive.images().expect("images");
            assert!(flattened(&images.images[0], &options) == expected);
        }
    }
}

/// A store that does not keep to what it promises.
struct Bad(u64, fn(&mut [u8]) -> io::Result<usize>);

impl ReadAt for Bad {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0)
    }

    fn read_at(&self, buf: &mut [u8], _: u64) -> io::Result<usize> {
        (self.1)(buf)
    }
}

#[test]
fn a_reader_that_fails_or_lies_is_an_error() {
    let options = Options::default();
    let fails: [Bad; 4] = [
        Bad(0, |_| Ok(0)),
        Bad(1 << 20, |_| Ok(0)),
        Bad(1 << 20, |buf| Ok(buf.len() + 1)),
        Bad(1 << 20, |_| Err(io::Error::other("the line is down"))),
    ];
    for bad in fails {
        let error = imgtar::open_reader(bad, "store", &options).expect_err("no archive");
        assert!(error.to_string().contains("store"), "{error}");
    }
}

#[test]
fn what_is_damaged_opens_for_verify_alone() {
    let options = Options::default();
    let path = Path::new("testdata/broken/truncated-after-manifest.tar");
    let error = imgtar::open(path, &options).expect_err("it is cut");
    assert_eq!(error.class(), Class::Input);
    let contents = imgtar::open_damaged(path, &options).expect("something is left");
    let images = contents.images().expect("images");
    let result = imgtar::verify(&contents, &images, &options).expect("a disk that works");
    assert!(!result.is_ok(false));
    assert!(
        result
            .problems
            .iter()
            .any(|problem| problem.code == Code::ArchiveTruncated)
    );
}

#[test]
fn images_are_selected() {
    let archive = open(MULTI);
    let images = archive.images().expect("images");
    let select = |text: &str| images.select(&text.parse().expect("a selector"), None);
    let app = select("imgtar-testdata/app:1").expect("an image");
    assert_eq!(
        select(app.identity.short()).expect("an image").position,
        app.position
    );
    assert_eq!(
        select(&format!("@{}", app.position))
            .expect("an image")
            .position,
        app.position
    );
    let error = select("nothing:1").map(|image| image.position);
    let error = Error::from(error.expect_err("no such image"));
    assert_eq!(error.class(), Class::Input);
    let error = Error::from(images.only(None).expect_err("several images"));
    assert_eq!(error.class(), Class::Usage);
    assert_eq!("@7".parse(), Ok(Selector::Position(7)));
}

#[test]
fn a_platform_is_asked_for_and_never_guessed() {
    let archive = open(PLATFORMS);
    let images = archive.images().expect("images");
    assert!(images.images.len() > 1);
    assert!(images.only(None).is_err());
    for image in &images.images {
        let wanted = image.platform.to_string().parse().expect("a platform");
        let only = images.only(Some(&wanted)).expect("one image");
        assert_eq!(only.position, image.position);
    }
}

#[test]
fn files_are_read_by_their_paths() {
    let options = Options::default();
    let archive = open(ONE);
    let images = archive.images().expect("images");
    let tree = Tree::merge(images.only(None).expect("one image"), &options).expect("a tree");
    let mut files = 0;
    for (path, entry) in tree.entries() {
        if entry.inode.size() == 0 {
            continue;
        }
        files += 1;
        let mut bytes = Vec::new();
        let mut file = tree.file(&path).expect("a file");
        assert_eq!(file.size(), entry.inode.size());
        file.read_to_end(&mut bytes).expect("its bytes");
        assert_eq!(bytes.len() as u64, entry.inode.size());
    }
    assert!(files > 2);
    for (path, why) in [
        ("etc", "`etc` is a directory"),
        ("no/such/file", "`no/such/file` is not in the image"),
    ] {
        let error = tree.file(path).expect_err("not a file");
        assert_eq!(error.to_string(), why);
        assert_eq!(Error::from(error).class(), Class::Input);
    }
}

#[test]
fn a_layer_has_entries_whether_it_is_compressed_or_not() {
    let options = Options::default();
    let names = |path: &str| -> Vec<Vec<u8>> {
        let images = open(path).images().expect("images");
        let layers = &images.only(None).expect("one image").layers;
        let tars = layers
            .iter()
            .map(|layer| layer.open(&options).expect("a layer"));
        let entries = tars.flat_map(|tar| tar.entries().collect::<Vec<_>>());
        entries
            .map(|entry| entry.expect("a sound layer").path)
            .collect()
    };
    let plain = names(ONE);
    assert!(plain.len() > 5);
    assert_eq!(names("testdata/engines/skopeo-oci-zstd.tar"), plain);
}

#[test]
fn archives_are_written_in_every_layout() {
    let options = Options::default();
    let archive = open(MULTI);
    let images = archive.images().expect("images");
    for layout in [
        ArchiveLayout::Docker,
        ArchiveLayout::DockerLegacy,
        ArchiveLayout::Oci,
    ] {
        let mut out = Vec::new();
        let written = imgtar::write_archive(&images.images, layout, &mut out, &options);
        assert_eq!(written.expect("an archive").bytes, out.len() as u64);
        let again = imgtar::open_reader(out, "again.tar", &options).expect("an archive");
        let read = again.images().expect("images");
        let ids = |images: &[Image]| {
            let mut ids: Vec<String> = images.iter().map(|i| i.identity.to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&read.images), ids(&images.images));
        let result = imgtar::verify(&again, &read, &options).expect("a disk that works");
        assert!(result.is_ok(true), "{:?}", result.problems);
    }
}

/// Counts what it hears.
#[derive(Debug, Default)]
struct Counted {
    begun: AtomicUsize,
    bytes: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

impl Progress for Counted {
    fn begin(&self, _: &str, _: Option<u64>) -> Box<dyn Task> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Box::new(Counting(Arc::clone(&self.bytes)))
    }
}

impl Task for Counting {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[test]
fn options_are_what_is_gone_by() {
    let progress = Counted::default();
    let mut options = Options {
        jobs: Jobs::new(NonZeroUsize::MIN),
        progress: &progress,
        ..Options::default()
    };
    let archive = imgtar::open(Path::new(ONE), &options).expect("an archive");
    let images = archive.images().expect("images");
    let alone = flattened(&images.images[0], &options);
    assert!(alone == flattened(&images.images[0], &Options::default()));
    assert!(progress.begun.load(Ordering::Relaxed) > 0);
    assert!(progress.bytes.load(Ordering::Relaxed) > 0);

    options.limits = options.limits.with(Limit::Members, 2);
    let error = imgtar::open(Path::new(ONE), &options).expect_err("it has more members");
    assert_eq!(error.class(), Class::Input);
}
