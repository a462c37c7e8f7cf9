//! `rescue`: images out of data directories that engines filled, whole and damaged.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{
    Input, Work, engines, imgtar, imgtar_with, items, number, read, repository, text,
};

/// The roots whose layers come out of tar-split.
const CLASSIC: [&str; 5] = [
    "docker26-overlay2",
    "docker26-vfs",
    "docker20-overlay",
    "podman-overlay",
    "podman-vfs",
];

pub(crate) fn root(name: &str) -> String {
    repository(&format!("testdata/rescue/{name}.tar.zst"))
}

/// The names that the engine printed, each with its ID.
pub(crate) fn printed(name: &str) -> BTreeMap<String, String> {
    let table = read(&repository("testdata/rescue/ROOTS.tsv"));
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.split('\t');
        let is_it = cells.next() == Some(name);
        let (called, id) = (cells.next()?, cells.next()?);
        let id = id.strip_prefix("sha256:").unwrap_or(id);
        is_it.then(|| (called.to_owned(), format!("sha256:{id}")))
    });
    rows.collect()
}

/// Names and IDs of a list of images in JSON.
pub(crate) fn named(images: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for image in items(images) {
        for name in items(&image["references"]) {
            all.insert(text(name).to_owned(), text(&image["id"]).to_owned());
        }
    }
    all
}

/// The tar of a root, to be packed anew.
pub(crate) fn unpacked(name: &str) -> Vec<u8> {
    let file = fs::File::open(root(name)).expect("test data");
    let mut bytes = Vec::new();
    let mut decoder = zstd::Decoder::new(file).expect("zstd");
    decoder.read_to_end(&mut bytes).expect("zstd");
    bytes
}

/// Bytes as text and back: names need not be UTF-8.
fn letters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn path_of(letters: &str) -> PathBuf {
    let bytes = letters.chars().map(|c| u8::try_from(c).expect("a byte"));
    OsString::from_vec(bytes.collect()).into()
}

/// The entries of a tar, each as `edit` leaves it: other name, other content, or not at all.
pub(crate) fn edit_into(
    out: &mut tar::Builder<Vec<u8>>,
    tar: &[u8],
    mut edit: impl FnMut(&str, &mut Vec<u8>) -> Option<String>,
) {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut path = letters(&entry.path_bytes());
        let sparse_name = sparse_name(&mut entry);
        let link = entry.link_name_bytes().map(|link| letters(&link));
        let mut header = entry.header().clone();
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        if let Some((name, size)) = sparse_name {
            (path, body) = (name, expanded(&body, size));
        }
        let Some(name) = edit(&path, &mut body) else {
            continue;
        };
        if header.entry_type().is_gnu_sparse() {
            // What was read is the whole file.
            header.set_entry_type(tar::EntryType::Regular);
        }
        header.set_size(body.len() as u64);
        if let Some(mut link) = link {
            if header.entry_type().is_hard_link() {
                // Such a target is a path in the tar.
                link = edit(&link, &mut body).unwrap_or(link);
            }
            header.set_size(0);
            out.append_link(&mut header, path_of(&name), path_of(&link))
                .expect("memory");
        } else {
            out.append_data(&mut header, path_of(&name), &*body)
                .expect("memory");
        }
    }
}

/// The name and the size of a file whose holes were left out in the way of PAX, which the crate does not know.
fn sparse_name(entry: &mut tar::Entry<'_, impl std::io::Read>) -> Option<(String, usize)> {
    let mut found = BTreeMap::new();
    for record in entry.pax_extensions().ok()??.flatten() {
        found.insert(record.key_bytes().to_vec(), letters(record.value_bytes()));
    }
    let size = found.remove(&b"GNU.sparse.realsize"[..])?;
    let name = found.remove(&b"GNU.sparse.name"[..])?;
    Some((name, size.parse().expect("a number")))
}

/// Its content: numbers, one a line, say where the stored bytes belong, which begin after whole blocks of them.
fn expanded(stored: &[u8], size: usize) -> Vec<u8> {
    let mut at = 0;
    let mut next = || {
        let len = stored[at..].iter().position(|byte| *byte == b'\n');
        let end = at + len.expect("a line");
        let number = letters(&stored[at..end]).parse().expect("a number");
        at = end + 1;
        number
    };
    let count: usize = next();
    let spans: Vec<(usize, usize)> = (0..count).map(|_| (next(), next())).collect();
    let mut from = at.next_multiple_of(512);
    let mut body = vec![0; size];
    for (to, len) in spans {
        body[to..to + len].copy_from_slice(&stored[from..from + len]);
        from += len;
    }
    body
}

/// The tar again, edited.
pub(crate) fn edited(
    tar: &[u8],
    edit: impl FnMut(&str, &mut Vec<u8>) -> Option<String>,
) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    edit_into(&mut out, tar, edit);
    out.into_inner().expect("memory")
}

/// A name with something before it; nothing for the root.
pub(crate) fn below(prefix: &str, path: &str) -> Option<String> {
    let name = path.trim_start_matches("./");
    (!name.is_empty()).then(|| format!("{prefix}{name}"))
}

#[test]
fn every_image_comes_back_with_its_id_and_its_files() {
    for name in CLASSIC {
        let work = Work::new();
        let out = work.path("out.tar");
        let listed = imgtar(&["rescue", &root(name), "--json"]).exits(0).json();
        let store = &listed["stores"][0];
        assert_eq!(items(&listed["stores"]).len(), 1, "{name}");
        assert_eq!(named(&store["images"]), printed(name), "{name}");
        for image in items(&store["images"]) {
            assert_eq!(text(&image["verdict"]), "expected-exact", "{name}");
        }
        let run = imgtar(&["rescue", &root(name), "-o", &out, "--json"]).exits(0);
        for image in items(&run.json()["stores"][0]["images"]) {
            assert_eq!(text(&image["verdict"]), "exact", "{name}");
        }
        imgtar(&["verify", "-q", &out]).exits(0);
        let written = imgtar(&["images", &out, "--json"]).exits(0).json();
        assert_eq!(named(&written["images"]), printed(name), "{name}");
        // The engine was given these images, and one that it made of them.
        let given = engines("docker20-multi.tar");
        let all = imgtar(&["images", &given, "--json"]).exits(0).json();
        for image in items(&all["images"]) {
            let id = text(&image["id"]);
            let flat = |archive: &str| imgtar(&["flatten", archive, id, "-o", "-"]).exits(0).stdout;
            assert!(flat(&out) == flat(&given), "{name} {id}");
        }
    }
}

/// What a containerd has is written as it was: every image has the ID that the engine printed, that of its manifest.
#[test]
fn a_containerd_store_comes_back_with_its_manifests() {
    for name in ["docker26-containerd", "docker28-containerd"] {
        let work = Work::new();
        let out = work.path("out.tar");
        let listed = imgtar(&["rescue", &root(name), "--json"]).exits(0).json();
        let store = &listed["stores"][0];
        assert_eq!(text(&store["engine"]), "docker-containerd");
        assert_eq!(text(&store["driver"]), "moby");
        imgtar(&["rescue", &root(name), "-o", &out]).exits(0);
        imgtar(&["verify", "-q", &out]).exits(0);
        let written = imgtar(&["images", &out, "--json"]).exits(0).json();
        let mut found = BTreeMap::new();
        for image in items(&written["images"]) {
            let id = text(&image["containerd_id"]);
            for reference in items(&image["references"]) {
                found.insert(text(reference).to_owned(), id.to_owned());
            }
        }
        assert_eq!(found, printed(name), "{name}");
        // Without the metadata only the names are lost.
        let without = edited(&unpacked(name), |path, _| {
            (!path.ends_with("/meta.db")).then(|| path.to_owned())
        });
        let path = work.put("without.tar", &without);
        let run = imgtar(&["rescue", &path, "-o", &out, "-f"]).exits(0);
        assert!(run.err().contains("come back without their names"), "{run}");
        let run = imgtar(&["images", "-q", "--containerd", &out]).exits(0);
        let mut ids: Vec<&str> = run.out().lines().collect();
        ids.sort_unstable();
        let mut wanted: Vec<String> = printed(name).into_values().collect();
        wanted.sort();
        wanted.dedup();
        let wanted: Vec<&str> = wanted.iter().map(|id| &id[7..19]).collect();
        assert_eq!(ids, wanted, "{name}");
    }
}

#[test]
fn what_is_written_does_not_depend_on_threads_or_the_way_in() {
    let work = Work::new();
    let tar = unpacked("docker26-overlay2");
    let plain = work.put("root.tar", &tar);
    let mut written = Vec::new();
    for (jobs, layout) in [("1", "docker"), ("4", "docker"), ("4", "oci")] {
        let out = work.path("out.tar");
        imgtar(&[
            "rescue", &plain, "-o", &out, "-f", "-j", jobs, "--layout", layout,
        ])
        .exits(0);
        imgtar(&["verify", "-q", &out]).exits(0);
        written.push(fs::read(&out).expect("an archive"));
    }
    assert!(written[0] == written[1]);
    let piped = imgtar_with(&["rescue", "-", "-o", "-"], Input::Pipe(&tar)).exits(0);
    assert!(piped.stdout == written[0]);
}

#[test]
fn images_are_named_as_elsewhere() {
    let work = Work::new();
    let (root, out) = (root("docker26-overlay2"), work.path("out.tar"));
    let ids = printed("docker26-overlay2");
    let id = &ids["imgtar-testdata/base:1"];
    for wanted in ["imgtar-testdata/base:1", id, &id[7..19]] {
        let run = imgtar(&["rescue", &root, wanted, "-o", &out, "-f"]).exits(0);
        assert_eq!(run.out().trim(), id, "{wanted}");
    }
    let first = imgtar(&["rescue", &root, "@0", "@0", "-o", &out, "-f"]).exits(0);
    assert_eq!(first.out().lines().count(), 1);
    for unknown in ["nothing:1", "@9"] {
        imgtar(&["rescue", &root, unknown, "-o", &out, "-f"]).exits(3);
    }
    let run = imgtar(&["rescue", &root, "imgtar-testdata/base:1"]).exits(2);
    assert!(run.err().contains("--output"), "{run}");
}

/// Whatever stands before the names, and however many roots there are.
#[test]
fn roots_are_found_anywhere_in_a_tar() {
    let work = Work::new();
    let tar = unpacked("docker26-overlay2");
    for prefix in ["", "docker/", "var/lib/docker/", "./home/me/docker/"] {
        let moved = edited(&tar, |path, _| below(prefix, path));
        let path = work.put("moved.tar", &moved);
        let listed = imgtar(&["rescue", &path, "--json"]).exits(0).json();
        let store = &listed["stores"][0];
        let found = named(&store["images"]);
        assert_eq!(found, printed("docker26-overlay2"), "{prefix}");
        let at = prefix.trim_start_matches("./").trim_matches('/');
        assert_eq!(text(&store["path"]), at);
    }
    // Two at once, one of them in a volume of the other.
    let mut two = tar::Builder::new(Vec::new());
    edit_into(&mut two, &tar, |path, _| below("docker/", path));
    let inner = "docker/volumes/inner/_data/";
    edit_into(&mut two, &unpacked("podman-vfs"), |path, _| {
        below(inner, path)
    });
    let path = work.put("two.tar", &two.into_inner().expect("memory"));
    let listed = imgtar(&["rescue", &path, "--json"]).exits(0).json();
    assert_eq!(items(&listed["stores"]).len(), 2);
    let out = work.path("out.tar");
    imgtar(&["rescue", &path, "-o", &out]).exits(0);
    imgtar(&["verify", "-q", &out]).exits(0);
}

/// One cause each: what still comes out, and what is said of the rest.
#[test]
fn damaged_roots_give_what_is_whole() {
    type Damage = fn(&str, &mut Vec<u8>) -> bool;
    let cases: [(&str, Damage, &str, usize); 5] = [
        // A file of the same length with other bytes: hashing finds it, and the checksum names it.
        (
            "changed",
            |path, body| {
                if path.ends_with("/diff/bin/tool") {
                    body[0] ^= 1;
                }
                true
            },
            "`bin/tool` was changed: its CRC-64 was",
            0,
        ),
        (
            "shorter",
            |path, body| {
                if path.ends_with("/diff/added") {
                    body.pop();
                }
                true
            },
            "`added` has 5 bytes; it had 6",
            4,
        ),
        (
            "missing",
            |path, _| !path.ends_with("/diff/added"),
            "`added` is missing",
            4,
        ),
        (
            "no names",
            |path, _| !path.ends_with("repositories.json"),
            "repositories.json is not in the tar: images come back without their names",
            5,
        ),
        (
            "no layerdb",
            |path, _| !path.contains("/layerdb/sha256/"),
            "is not in the tar",
            0,
        ),
    ];
    let tar = unpacked("docker26-overlay2");
    for (name, damage, says, whole) in cases {
        let work = Work::new();
        let damaged = edited(&tar, |path, body| {
            damage(path, body).then(|| path.to_owned())
        });
        let path = work.put("root.tar", &damaged);
        let out = work.path("out.tar");
        let run = imgtar(&["rescue", &path, "-o", &out]);
        let run = run.exits(if whole > 0 { 0 } else { 3 });
        assert!(run.err().contains(says), "{name}: {run}");
        if whole > 0 {
            imgtar(&["verify", "-q", &out]).exits(0);
            let images = imgtar(&["images", &out, "--json"]).exits(0).json();
            assert_eq!(items(&images["images"]).len(), whole, "{name}");
        } else {
            assert!(fs::metadata(&out).is_err(), "{name}");
        }
    }
}

#[test]
fn containers_and_volumes_are_listed() {
    for name in CLASSIC.into_iter().chain(["docker28-containerd"]) {
        let listed = imgtar(&["rescue", &root(name), "--json"]).exits(0).json();
        let containers = items(&listed["containers"]);
        assert_eq!(containers.len(), 1, "{name}");
        assert_eq!(text(&containers[0]["name"]), "changed", "{name}");
        let image = text(&containers[0]["image_name"]);
        assert!(image.contains("/app:"), "{name}: {image}");
        if name.starts_with("docker") {
            assert_eq!(text(&containers[0]["state"]), "created");
            let volumes = items(&listed["volumes"]).iter();
            let mut named = volumes.filter(|volume| text(&volume["name"]) == "imgtar-volume");
            let volume = named.next().expect("the volume");
            assert_eq!(
                (number(&volume["size"]), number(&volume["entries"])),
                (5, 2)
            );
        }
    }
    let run = imgtar(&["rescue", &root("docker26-overlay2")]).exits(0);
    assert!(run.out().contains("; 1 container and 3 volumes"), "{run}");
}

#[test]
fn what_is_not_a_data_root_is_said() {
    let work = Work::new();
    let run = imgtar(&["rescue", &engines("docker26-one.tar")]).exits(3);
    assert!(run.err().contains("it is an image archive"), "{run}");
    let run = imgtar(&["rescue", &repository("testdata")]).exits(3);
    assert!(run.err().contains("--xattrs-include='*'"), "{run}");
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "var/lib/docker", "/srv/docker")
        .expect("memory");
    let path = work.put("link.tar", &link.into_inner().expect("memory"));
    let run = imgtar(&["rescue", &path]).exits(3);
    assert!(
        run.err().contains("a symbolic link to /srv/docker"),
        "{run}"
    );
    assert!(run.err().contains("-C /srv/docker"), "{run}");
}
