//! The three layouts against what their engines write: images of an archive written anew have to give
//! that archive again, where it can be the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use imgtar::base::progress::Silent;
use imgtar::image::Name;
use imgtar::output::{
    ArchiveLayout, ArchiveOptions, LayerCompression, OutputImage, WriteError, WrittenArchive,
    write_archive, write_archive_to_file,
};
use imgtar::{Jobs, Options};

use serde_json::{Value, json};

use crate::support::{
    archives, bytes, engines, imgtar, items, read, repository, sha256, shared, shown,
};

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
    let opened = imgtar::open(archive.as_ref(), &Options::default()).expect("an archive");
    let set = opened.images().expect("images");
    let images: Vec<OutputImage> = set
        .images
        .iter()
        .map(|image| OutputImage::of(image, jobs, &Silent))
        .collect::<Result<_, _>>()?;
    let options = ArchiveOptions {
        layout,
        verify: true,
        compress: LayerCompression::Keep,
        jobs,
    };
    written_both_ways(&images, options, to)
}

/// Writes images to a file by several threads and in one stream, which have to agree.
pub(crate) fn written_both_ways(
    images: &[OutputImage],
    options: ArchiveOptions,
    to: &Path,
) -> Result<WrittenArchive, WriteError> {
    let mut stream = Vec::new();
    let in_order = write_archive(images, &mut stream, options, &Silent);
    let file = File::create(to).expect("room");
    let at_places = write_archive_to_file(images, &file, options, &Silent);
    match (&in_order, &at_places) {
        (Ok(in_order), Ok(at_places)) => {
            assert_eq!(in_order.bytes, at_places.bytes);
            assert!(
                fs::read(to).expect("readable") == stream,
                "{}",
                to.display()
            );
        }
        (Err(in_order), Err(at_places)) => {
            assert_eq!(in_order.to_string(), at_places.to_string());
        }
        differ => panic!("{differ:?}"),
    }
    at_places
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

/// Compares two archives member by member. `clock` says of which members the engine takes the time
/// from the clock.
#[track_caller]
fn assert_same(
    archive: &str,
    ours: &Path,
    clock: impl Fn(&str, &BTreeMap<String, Member>) -> bool,
) {
    let (order, theirs) = members(archive);
    let (ours_order, ours) = members(&shown(ours));
    assert_eq!(ours_order, order, "{archive}");
    for (name, their) in &theirs {
        let our = &ours[name];
        assert_eq!(
            our.body.escape_ascii().to_string(),
            their.body.escape_ascii().to_string(),
            "{archive}: {name}"
        );
        assert_eq!(
            (our.kind, our.mode, &our.link),
            (their.kind, their.mode, &their.link),
            "{archive}: {name}"
        );
        if !clock(name, &theirs) {
            assert_eq!(our.mtime, their.mtime, "{archive}: {name}");
        }
    }
}

/// What Docker 26.1 saved comes out again, member by member, save the times that it takes from the
/// clock: those of `index.json` and of `blobs/sha256/`, and those of the v1 images of layers that are
/// stored already.
#[test]
fn docker_layout_is_docker_26s() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    for archive in measures("docker26") {
        rewrite(&archive, ArchiveLayout::Docker, &to);
        assert_same(&archive, &to, |name, theirs| {
            let v1 = theirs[name].body.starts_with(b"{\"id\":");
            v1 || name == "index.json" || name == "blobs/sha256/"
        });
    }
}

/// What Docker 20.10 saved comes out again, save the times of directories with a link to a layer that
/// is there already, which it takes from the clock.
#[test]
fn docker_legacy_layout_is_docker_20s() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    let mut all = measures("docker20");
    all.push(engines("docker20-untagged.tar"));
    for archive in all {
        rewrite(&archive, ArchiveLayout::DockerLegacy, &to);
        assert_same(&archive, &to, |name, theirs| {
            let (id, _) = name.split_once('/').unwrap_or((name, ""));
            let layer = theirs.get(&format!("{id}/layer.tar"));
            layer.is_some_and(|layer| layer.kind == b'2')
        });
    }
}

/// What skopeo wrote comes out again: the same blobs, and an index that says the name as containerd
/// does too.
#[test]
fn oci_layout_is_skopeos() {
    const REF_NAME: &str = "org.opencontainers.image.ref.name";
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    for name in ["skopeo-oci.tar", "skopeo-oci-zstd.tar"] {
        let archive = engines(name);
        rewrite(&archive, ArchiveLayout::Oci, &to);
        let (order, theirs) = members(&archive);
        let (ours_order, ours) = members(&shown(&to));
        assert_eq!(ours_order, order, "{archive}");
        for (name, their) in theirs.iter().filter(|(name, _)| *name != "index.json") {
            // Whether a space stands in `oci-layout` changes from release to release.
            let spaceless = |body: &[u8]| String::from_utf8_lossy(body).replace(' ', "");
            if name == "oci-layout" {
                assert_eq!(
                    spaceless(&ours[name].body),
                    spaceless(&their.body),
                    "{archive}"
                );
            } else {
                assert_eq!(ours[name].body, their.body, "{archive}: {name}");
            }
        }
        let index = |members: &BTreeMap<String, Member>| -> Value {
            serde_json::from_slice(&members["index.json"].body).expect("JSON")
        };
        let (theirs, ours) = (index(&theirs), index(&ours));
        let (theirs, ours) = (&theirs["manifests"][0], &ours["manifests"][0]);
        assert_eq!(ours["digest"], theirs["digest"]);
        assert_eq!(
            ours["annotations"][REF_NAME],
            theirs["annotations"][REF_NAME]
        );
    }
}

/// Every archive that an engine wrote, in every layout: the images stay what they are, `verify` finds
/// nothing to say, and nothing depends on the number of threads or on the run.
#[test]
fn images_stay_what_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let (to, again) = (
        directory.path().join("out.tar"),
        directory.path().join("again.tar"),
    );
    let mut all: Vec<String> = archives(&repository("testdata/engines"))
        .iter()
        .map(|name| engines(name))
        .collect();
    if let Some(directory) = shared("archives") {
        all.extend(
            archives(&directory)
                .iter()
                .map(|name| format!("{directory}/{name}")),
        );
    }
    let mut count = 0;
    for archive in all {
        let opened = imgtar::open(archive.as_ref(), &Options::default()).expect("a tar");
        let Ok(set) = opened.images() else {
            continue; // An export, not an image.
        };
        let platforms = set.images.len() > 1
            && set
                .images
                .windows(2)
                .all(|two| two[0].names == two[1].names);
        for layout in LAYOUTS {
            let written = match rewrite_with(&archive, layout, 2, &to) {
                Ok(written) => written,
                // One name for the images of several platforms.
                Err(why) if platforms => {
                    assert!(
                        why.to_string().contains("another image would be called"),
                        "{archive}: {why}"
                    );
                    continue;
                }
                Err(why) => panic!("{archive}: {why}"),
            };
            rewrite_with(&archive, layout, 1, &again).expect("the same");
            assert!(
                fs::read(&to).expect("there") == fs::read(&again).expect("there"),
                "{archive}"
            );
            assert_eq!(written.bytes, to.metadata().expect("there").len());
            let out = imgtar(&["verify", "--strict", "--json", &shown(&to)])
                .succeeds()
                .json();
            assert_eq!(out["archives"][0]["problems"], json!([]), "{archive}");
            let images = imgtar(&["inspect", "--json", &shown(&to)])
                .succeeds()
                .json();
            let before = imgtar(&["inspect", "--json", &archive]).json();
            for ((ours, theirs), written) in items(&images["images"])
                .iter()
                .zip(items(&before["images"]))
                .zip(&written.images)
            {
                assert_eq!(ours["id"], written.id.to_string());
                if set.layout != imgtar::archive::Layout::DockerV1 {
                    assert_eq!(ours["config"], theirs["config"], "{archive}");
                    assert_eq!(ours["id"], theirs["id"], "{archive}");
                }
                assert_eq!(
                    ours["references"], theirs["references"],
                    "{archive} {layout:?}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 60, "only {count} images");
}

/// Images from before Docker 1.10 get the config that Docker 20.10 gave them when it loaded them.
#[test]
fn v1_images_become_what_docker_makes_of_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    for layout in LAYOUTS {
        rewrite(&engines("v1.tar"), layout, &to);
        let images = imgtar(&["inspect", "--json", &shown(&to)])
            .succeeds()
            .json();
        for name in ["base:1", "app:1", "app:2", "classic:1"] {
            let file = format!("v1-{}.inspect20.json", name.replace(':', "-"));
            let theirs: Value = serde_json::from_str(&read(&engines(&file))).expect("JSON");
            let wanted = format!("imgtar-testdata/{name}");
            let mut ours = items(&images["images"]).iter();
            let ours = ours.find(|image| items(&image["references"]).contains(&json!(wanted)));
            assert_eq!(ours.expect("the image")["id"], theirs[0]["Id"], "{name}");
        }
    }
}

/// An archive with one image of one layer, stored as `layer`.
fn one_layer(layer: &[u8], tar: &[u8], tags: &[&str], to: &Path) {
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [sha256(tar)]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(File::create(to).expect("room"));
    for (name, body) in [
        ("config.json", config.to_string().as_bytes()),
        ("layer.tar", layer),
        ("manifest.json", manifest.to_string().as_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, body).expect("room");
    }
    archive.finish().expect("room");
}

/// Layers stay as they are stored where all readers of the layout can read them so, and are decompressed
/// otherwise.
#[test]
fn compressed_layers() {
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (
        directory.path().join("in.tar"),
        directory.path().join("out.tar"),
    );
    // Any tar is a layer, and this one is there in every compression.
    let tar = bytes(&engines("docker20-one.tar"));
    for (suffix, kept_by) in [
        ("", &LAYOUTS[..]),
        (".gz", &LAYOUTS[..]),
        (".zst", &[ArchiveLayout::Oci]),
        (".bz2", &[]),
        (".xz", &[]),
    ] {
        let stored = bytes(&engines(&format!("docker20-one.tar{suffix}")));
        one_layer(&stored, &tar, &["a:1"], &from);
        for layout in LAYOUTS {
            rewrite(&shown(&from), layout, &to);
            let kept = kept_by.contains(&layout);
            let wanted = if kept { &stored } else { &tar };
            let out = imgtar(&["layers", "--json", &shown(&to)]).succeeds().json();
            let layer = &out["images"][0]["layers"][0];
            let compression = match (kept, suffix) {
                (true, ".gz") => "gzip",
                (true, ".zst") => "zstd",
                _ => "none",
            };
            assert_eq!(layer["compression"], compression, "{suffix} {layout:?}");
            assert_eq!(layer["stored_size"], wanted.len(), "{suffix} {layout:?}");
            assert_eq!(layer["diff_id"], sha256(&tar));
            imgtar(&["verify", "--strict", &shown(&to)]).succeeds();
            let (_, members) = members(&shown(&to));
            assert!(members.values().any(|member| member.body == *wanted));
        }
    }
}

/// A layer that is not what is claimed of it makes no archive, whatever claims it.
#[test]
fn wrong_layers_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    for (name, why) in [
        (
            "layer-bit-flipped.tar",
            "layer 1 of imgtar-testdata/tiny:1 does not match its diff ID",
        ),
        ("layer-gzip-damaged.tar", "cannot be read"),
        ("layer-missing.tar", "cannot be read"),
        ("blob-digest-mismatch.tar", "does not match its"),
        ("config-missing.tar", "its config is missing"),
        ("more-layers-than-diff-ids.tar", "layer"),
    ] {
        let archive = repository(&format!("testdata/broken/{name}"));
        for layout in LAYOUTS {
            match rewrite_with(&archive, layout, 2, &to) {
                Ok(_) => panic!("{name} was written as {layout:?}"),
                Err(error) => assert!(error.to_string().contains(why), "{name}: {error}"),
            }
        }
    }
}

/// An image without layers is one all the same.
#[test]
fn no_layers() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    let archive = repository("testdata/broken/zero-layers.tar");
    for layout in LAYOUTS {
        let written = rewrite(&archive, layout, &to);
        let out = imgtar(&["inspect", "--json", &shown(&to)])
            .succeeds()
            .json();
        assert_eq!(out["images"][0]["id"], written.images[0].id.to_string());
        assert_eq!(out["images"][0]["layers"], json!([]));
        imgtar(&["verify", "--strict", &shown(&to)]).succeeds();
    }
}

/// What not every engine can load is written with a word about it.
#[test]
fn warnings() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    let archive = repository("testdata/broken/layers-130.tar.gz");
    let warned = rewrite(&archive, ArchiveLayout::Docker, &to).warnings;
    assert_eq!(warned.len(), 1);
    assert!(
        warned[0].to_string().contains("has 130 layers"),
        "{}",
        warned[0]
    );
}

/// Names: several, none, bare words, digests; and one that is taken.
#[test]
fn names() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    let opened =
        imgtar::open(engines("tiny26.tar").as_ref(), &Options::default()).expect("an archive");
    let set = opened.images().expect("images");
    let jobs = Jobs::all_cores();
    let image = OutputImage::of(&set.images[0], jobs, &Silent).expect("an image");
    let name = |text: &str| Name::Reference(text.parse().expect("a reference"));
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let write = |images: &[OutputImage], layout| {
        let options = ArchiveOptions {
            layout,
            verify: true,
            compress: LayerCompression::Keep,
            jobs,
        };
        write_archive(images, File::create(&to).expect("room"), options, &Silent)
    };
    let references = || {
        let out = imgtar(&["images", "--json", &shown(&to)]).succeeds().json();
        out["images"][0]["references"].clone()
    };
    for layout in LAYOUTS {
        let mut image = image.clone();
        image.names = vec![
            name("example.com:5000/a/b:1"),
            name("c:x"),
            name(&format!("d@{digest}")),
            name(&format!("e:2@{digest}")),
            name("c:x"),
        ];
        let written = write(std::slice::from_ref(&image), layout).expect("names");
        assert_eq!(written.warnings.len(), 2, "{:?}", written.warnings);
        assert_eq!(
            references(),
            json!(["example.com:5000/a/b:1", "c:x", "e:2"]),
            "{layout:?}"
        );
        imgtar(&["verify", "--strict", &shown(&to)]).succeeds();

        image.names.clear();
        write(std::slice::from_ref(&image), layout).expect("no names");
        assert_eq!(references(), json!([]), "{layout:?}");
        imgtar(&["verify", "--strict", &shown(&to)]).succeeds();

        let mut other = image.clone();
        image.names = vec![name("same")];
        other.names = vec![name("same:latest")];
        // One image twice is one image.
        write(&[image.clone(), other.clone()], layout).expect("the same image");
        other.config = String::from_utf8(other.config)
            .expect("JSON")
            .replace("amd64", "arm64")
            .into_bytes();
        let refused = write(&[image, other], layout).expect_err("two images of one name");
        assert!(
            refused
                .to_string()
                .contains("another image would be called `same:latest` as well"),
            "{refused}"
        );
    }
    let mut image = image;
    image.names = vec![Name::Bare("latest".to_owned())];
    for (layout, kept) in LAYOUTS
        .into_iter()
        .zip([json!([]), json!([]), json!(["latest"])])
    {
        let written = write(std::slice::from_ref(&image), layout).expect("a bare word");
        assert_eq!(references(), kept, "{layout:?}");
        assert_eq!(written.warnings.is_empty(), layout == ArchiveLayout::Oci);
        imgtar(&["verify", "--strict", &shown(&to)]).succeeds();
    }
}
