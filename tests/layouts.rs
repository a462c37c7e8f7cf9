//! The three layouts against what their engines write: images of an archive written anew have to give
//! that archive again, where it can be the same.

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use imgtar::Jobs;
use imgtar::image::ImageSet;
use imgtar::progress::Silent;
use imgtar::write::{
    ArchiveLayout, ArchiveOptions, OutputImage, WriteError, WrittenArchive, write_archive,
};

use support::{archives, engines, imgtar, items, repository, shared, shown};

const LAYOUTS: [ArchiveLayout; 3] = [
    ArchiveLayout::Docker,
    ArchiveLayout::DockerLegacy,
    ArchiveLayout::Oci,
];

/// A member of a tar, as another reader than imgtar's sees it.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    kind: u8,
    mode: u32,
    mtime: u64,
    link: String,
    body: Vec<u8>,
}

fn members(path: &str) -> (Vec<String>, BTreeMap<String, Member>) {
    let mut tar = tar::Archive::new(File::open(path).expect("the archive can be opened"));
    let mut order = Vec::new();
    let mut members = BTreeMap::new();
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("ASCII");
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        let header = entry.header();
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)));
        let link = entry.link_name_bytes().unwrap_or_default();
        let member = Member {
            kind: header.entry_type().as_byte(),
            // Docker up to 23 writes the type of the file too.
            mode: header.mode().expect("octal") & 0o7777,
            mtime: header.mtime().expect("octal"),
            link: String::from_utf8(link.into_owned()).expect("ASCII"),
            body,
        };
        order.push(name.clone());
        members.insert(name, member);
    }
    (order, members)
}

fn rewrite_with(
    archive: &str,
    layout: ArchiveLayout,
    jobs: usize,
    to: &Path,
) -> Result<WrittenArchive, WriteError> {
    let jobs = Jobs::new(jobs.try_into().expect("not 0"));
    let opened = imgtar::open(archive.as_ref(), &Silent).expect("an archive");
    let set = ImageSet::load(&opened).expect("images");
    let images: Vec<OutputImage> = set
        .images
        .iter()
        .map(|image| OutputImage::of(image, jobs, &Silent))
        .collect::<Result<_, _>>()?;
    let options = ArchiveOptions {
        layout,
        verify: true,
        jobs,
    };
    let file = File::create(to).expect("room");
    write_archive(&images, file, options, &Silent)
}

/// Writes the images of `archive` anew.
#[track_caller]
fn rewrite(archive: &str, layout: ArchiveLayout, to: &Path) -> WrittenArchive {
    rewrite_with(archive, layout, 2, to).unwrap_or_else(|why| panic!("{archive}: {why}"))
}

/// The archives by which the layouts are measured.
fn measures(release: &str) -> Vec<String> {
    let mut all: Vec<String> = ["one", "multi"]
        .iter()
        .map(|name| engines(&format!("{release}-{name}.tar")))
        .collect();
    if let Some(directory) = shared("archives") {
        all.extend(["quirks", "multi"].map(|name| format!("{directory}/{release}-{name}.tar")));
    }
    all
}

/// What Docker 26.1 saved comes out byte for byte, save two times that it takes from the clock: those
/// of `index.json` and of `blobs/sha256/`, and with several images those of their v1 images, which
/// depend on their random order.
#[test]
fn docker_layout_is_docker_26s() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    for archive in measures("docker26") {
        rewrite(&archive, ArchiveLayout::Docker, &to);
        let (order, mut theirs) = members(&archive);
        let (ours_order, mut ours) = members(&shown(&to));
        assert_eq!(ours_order, order, "{archive}");
        for name in &order {
            let (theirs, ours) = (
                theirs.remove(name).expect("there"),
                ours.remove(name).expect("there"),
            );
            let clock = name == "index.json" || name == "blobs/sha256/";
            let mtime = if clock { theirs.mtime } else { ours.mtime };
            assert_eq!(Member { mtime, ..ours }, theirs, "{archive}: {name}");
        }
    }
}
#[test]
fn docker_legacy_layout_is_docker_20s() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    for archive in measures("docker20") {
        rewrite(&archive, ArchiveLayout::DockerLegacy, &to);
        let (order, mut theirs) = members(&archive);
        let (ours_order, mut ours) = members(&shown(&to));
        assert_eq!(ours_order, order, "{archive}");
        for name in &order {
            let (theirs, ours) = (
                theirs.remove(name).expect("there"),
                ours.remove(name).expect("there"),
            );
            assert_eq!(ours, theirs, "{archive}: {name}");
        }
    }
}
