//! `rescue`: what a tar does to a data root. One cause each: what still comes out, and what is said.

use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::rescue::{below, edit_into, edited, unpacked};
use crate::support::{Run, Work, imgtar, items};

/// Rescues everything from a tar: `whole` images come back, each of them verified, and this is said.
fn gives(name: &str, tar: &[u8], whole: usize, says: &str) -> Run {
    let work = Work::new();
    let (root, out) = (work.put("root.tar", tar), work.path("out.tar"));
    let run = imgtar(&["rescue", &root, "-o", &out]);
    let run = run.exits(if whole == 0 { 3 } else { 0 });
    assert!(run.err().contains(says), "{name}: {run}");
    if whole > 0 {
        imgtar(&["verify", "-q", &out]).exits(0);
        let read = imgtar(&["images", &out, "--json"]).exits(0).json();
        assert_eq!(items(&read["images"]).len(), whole, "{name}");
    }
    // The list says the same.
    let listed = imgtar(&["rescue", &root]);
    listed.exits(if whole == 0 && run.err().contains("is not a tar of") {
        3
    } else {
        0
    });
    run
}

/// The tar again without what `gone` says.
fn without(tar: &[u8], gone: impl Fn(&str) -> bool) -> Vec<u8> {
    edited(tar, |path, _| (!gone(path)).then(|| path.to_owned()))
}

/// The entries of a tar as they are, each with the records before it, as `edit` leaves them; `None` leaves one out.
fn raw(tar: &[u8], mut edit: impl FnMut(&mut tar::Header, &[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = tar::Archive::new(tar);
    let mut begin = 0;
    for entry in archive.entries().expect("a tar").raw(true) {
        let entry = entry.expect("an entry");
        let mut header = entry.header().clone();
        let (at, from) = (entry.raw_header_position(), entry.raw_file_position());
        let len = header.entry_size().expect("a size").next_multiple_of(512);
        let at = usize::try_from(at).expect("small");
        let end = usize::try_from(from + len).expect("small");
        // Records of an entry stand before it, and go with it.
        if matches!(header.as_bytes()[156], b'x' | b'L' | b'K') {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        if edit(&mut header, &path) {
            out.extend(&tar[begin..at]);
            out.extend(header.as_bytes());
            out.extend(&tar[at + 512..end]);
        }
        begin = end;
    }
    out.extend([0; 1024]);
    out
}

#[test]
fn a_tar_without_extended_attributes_loses_nothing_of_images() {
    // Packing anew with what builds tars here drops them.
    let tar = without(&unpacked("docker26-overlay2"), |_| false);
    let run = gives("no xattrs", &tar, 5, "the tar lacks the extended attribute");
    assert!(run.err().contains("tar-split has the attribute"), "{run}");
    for root in ["docker26-overlay2", "podman-overlay"] {
        let work = Work::new();
        let path = work.put("root.tar", &unpacked(root));
        let run = imgtar(&["rescue", &path]).exits(0);
        assert!(!run.err().contains("lacks"), "{root}: {run}");
    }
}

#[test]
fn a_tar_without_devices_loses_nothing_of_images() {
    let tar = raw(&unpacked("docker26-overlay2"), |header, _| {
        header.entry_type() != tar::EntryType::Char
    });
    let run = gives("no devices", &tar, 5, "with which layers hide files");
    assert!(run.err().contains("the first is `"), "{run}");
}

/// A user who may not read a directory gets its name and nothing in it.
#[test]
fn a_tar_of_a_user_without_root_says_so() {
    let mut alone = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    let mut put = |path: &str| {
        alone
            .append_data(&mut header.clone(), path, &b""[..])
            .expect("memory");
    };
    put("var/lib/docker");
    let tar = alone.get_ref().clone();
    let run = gives("nothing", &tar, 0, "it holds only an empty directory");
    assert!(run.err().contains("as root"), "{run}");
    for below in ["image", "containers", "overlay2", "volumes"] {
        alone
            .append_data(&mut header, format!("var/lib/docker/{below}"), &b""[..])
            .expect("memory");
    }
    let tar = alone.into_inner().expect("memory");
    let says = "has the directories of Docker, but they are empty";
    gives("directories", &tar, 0, says);
    // Files that only root reads are missing: what is whole comes back.
    let tar = without(&unpacked("docker26-overlay2"), |path| {
        path.ends_with("/diff/added")
    });
    gives("some files", &tar, 4, "`added` is missing");
}

/// A file that changed while it was packed has its length, and zeros where tar got nothing.
#[test]
fn a_tar_of_a_running_daemon_names_what_changed() {
    let mut out = tar::Builder::new(Vec::new());
    let mut mounted = None;
    edit_into(&mut out, &unpacked("docker26-overlay2"), |path, body| {
        if path.ends_with("/diff/added") {
            body.fill(0);
            mounted = path.strip_suffix("/diff/added").map(str::to_owned);
        }
        Some(path.to_owned())
    });
    let mounted = mounted.expect("a layer with this file");
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    out.append_data(&mut header, format!("{mounted}/merged/etc/x"), &b"x\n"[..])
        .expect("memory");
    let tar = out.into_inner().expect("memory");
    let run = gives("running", &tar, 4, "`added` was changed: its CRC-64 was");
    assert!(
        run.err().contains("packed while containers were running"),
        "{run}"
    );
}

/// The overlay driver of old links files of one layer to those of another.
#[test]
fn a_hard_link_to_what_was_not_packed_is_named() {
    let tar = unpacked("docker20-overlay");
    // Which directory has the files, and the others links to them.
    let mut first = None;
    let mut archive = tar::Archive::new(&tar[..]);
    for entry in archive.entries().expect("a tar") {
        let entry = entry.expect("an entry");
        if entry.header().entry_type() == tar::EntryType::Link {
            let link = entry.link_name().expect("a name").expect("a link");
            let link = link.to_str().expect("UTF-8");
            first = link.split_once("/root/").map(|(layer, _)| layer.to_owned());
            break;
        }
    }
    let first = first.expect("a link to a file of another layer");
    let name = first.rsplit('/').next().expect("a name").to_owned();
    let tar = without(&tar, |path| path.contains(&name) && path.contains("/root/"));
    let work = Work::new();
    let path = work.put("root.tar", &tar);
    let run = imgtar(&["rescue", &path]).exits(0);
    assert!(run.out().contains("is a hard link to"), "{run}");
    assert!(
        run.out().contains("which is not a file in the tar"),
        "{run}"
    );
}

#[test]
fn parts_that_were_not_packed_are_named() {
    let docker = unpacked("docker26-overlay2");
    let podman = unpacked("podman-overlay");
    let containerd = unpacked("containerd2");
    let of = |tar: &[u8], gone: &str| without(tar, |path| path.contains(gone));
    let cases: [(&str, Vec<u8>, usize, &str); 12] = [
        (
            "no configs",
            of(&docker, "/imagedb/"),
            0,
            "its config is not in the tar",
        ),
        ("no layerdb", of(&docker, "/layerdb/"), 0, "layerdb/sha256/"),
        (
            "no files",
            of(&docker, "./overlay2/"),
            0,
            "/diff is not in the tar",
        ),
        ("no index", of(&docker, "./image/"), 0, "images"),
        (
            "no names",
            of(&docker, "repositories.json"),
            5,
            "without their names",
        ),
        (
            "no tar-split",
            of(&docker, "tar-split.json.gz"),
            0,
            "its tar-split is not in the tar",
        ),
        (
            "no links",
            of(&docker, "./overlay2/l/"),
            5,
            "layers verified",
        ),
        (
            "no images.json",
            of(&podman, "images.json"),
            0,
            "images.json is not in the tar",
        ),
        (
            "no layers.json",
            of(&podman, "/layers.json"),
            0,
            "layers.json is not in the tar",
        ),
        (
            "no metadata",
            of(&containerd, "meta.db"),
            4,
            "come back without their names",
        ),
        (
            "no snapshots",
            of(&containerd, "snapshotter"),
            4,
            "layers verified",
        ),
        ("no blobs", of(&containerd, "/blobs/"), 0, "no image in"),
    ];
    for (name, tar, whole, says) in cases {
        gives(name, &tar, whole, says);
    }
}

/// Documents that cannot be read cost what they describe, and nothing else.
#[test]
fn damaged_documents_are_named() {
    let change = |root: &str, file: &str| {
        let mut changed = 0;
        let tar = edited(&unpacked(root), |path, body| {
            if path.contains(file) && !body.is_empty() && changed == 0 {
                let middle = body.len() / 2;
                body.truncate(middle);
                changed += 1;
            }
            Some(path.to_owned())
        });
        assert_eq!(changed, 1, "{root} {file}");
        tar
    };
    let cases: [(&str, &str, usize, &str); 6] = [
        (
            "docker26-overlay2",
            "repositories.json",
            5,
            "repositories.json is invalid",
        ),
        (
            "docker26-overlay2",
            "imagedb/content/sha256/15959ba4",
            4,
            "its config was changed",
        ),
        (
            "docker26-overlay2",
            "tar-split.json.gz",
            4,
            "its tar-split cannot be read",
        ),
        ("podman-overlay", "images.json", 0, "images.json is invalid"),
        ("containerd2", "meta.db", 4, "meta.db cannot be read"),
        (
            "containerd2",
            "blobs/sha256/30cce0f1",
            3,
            "its config is not in the tar",
        ),
    ];
    for (root, file, whole, says) in cases {
        let tar = change(root, file);
        let work = Work::new();
        let (path, out) = (work.put("root.tar", &tar), work.path("out.tar"));
        let run = imgtar(&["rescue", &path, "-o", &out]);
        let images = match run.exits(if whole == 0 { 3 } else { 0 }) {
            run if whole == 0 => {
                assert!(run.err().contains(says), "{root} {file}: {run}");
                continue;
            }
            run => {
                assert!(run.err().contains(says), "{root} {file}: {run}");
                imgtar(&["verify", "-q", &out]).exits(0);
                imgtar(&["images", &out, "--json"]).exits(0).json()
            }
        };
        // Which layers one tar-split costs depends on which it is.
        let found = items(&images["images"]).len();
        assert!(
            found >= 1 && found <= whole.max(1),
            "{root} {file}: {found}"
        );
    }
}

#[test]
fn a_tar_that_was_cut_gives_what_it_has() {
    let tar = unpacked("docker26-overlay2");
    let run = imgtar(&["rescue", &Work::new().put("cut.tar", &tar[..700])]).exits(3);
    assert!(run.err().contains("not a tar of"), "{run}");
    for part in [4, 6, 8, 9] {
        let work = Work::new();
        let path = work.put("cut.tar", &tar[..tar.len() * part / 10]);
        let run = imgtar(&["rescue", &path]).exits(0);
        let says = ["the tar is cut or damaged at byte", "it was cut, and what"];
        assert!(says.iter().any(|says| run.err().contains(says)), "{run}");
    }
}

/// The last entry of a name counts, as tar itself has it.
#[test]
fn a_tar_to_which_was_appended_gives_the_last_state() {
    let mut out = tar::Builder::new(Vec::new());
    let tar = unpacked("docker26-overlay2");
    edit_into(&mut out, &tar, |path, body| {
        body.fill(b'?');
        below("", path)
    });
    edit_into(&mut out, &tar, |path, _| below("", path));
    gives(
        "appended",
        &out.into_inner().expect("memory"),
        5,
        "5 images, ",
    );
}

/// Packed again by the tars that people have, from files on disk: sparse files in each form, absolute names, devices.
#[test]
fn the_tars_that_people_make_are_read() {
    let tar = unpacked("docker26-overlay2");
    // A config of many zeros is not one; a file of a layer may be: the tar-split says how long it is.
    let work = Work::new();
    let directory = work.path("root");
    std::fs::create_dir(&directory).expect("a directory");
    let unpack = Command::new("tar")
        .args(["-C", &directory, "-xf", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .and_then(|mut child| {
            let mut pipe = child.stdin.take().expect("a pipe");
            std::io::copy(&mut Cursor::new(&tar), &mut pipe)?;
            drop(pipe);
            child.wait()
        });
    let is_root = unpack.expect("tar").success();
    let forms: [&[&str]; 5] = [
        &["tar", "--sparse", "--format=gnu"],
        &["tar", "--sparse", "--format=pax"],
        &["tar", "-P", "--transform=s,^\\.,/var/lib/docker,"],
        &["bsdtar"],
        &["bsdtar", "--format=pax"],
    ];
    for form in forms {
        let packed = work.path("packed.tar");
        let made = Command::new(form[0])
            .args(&form[1..])
            .args(["-C", &directory, "-cf", &packed, "."])
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            assert!(
                !Path::new("/usr/bin").join(form[0]).exists() || !is_root,
                "{form:?}"
            );
            continue;
        }
        let out = work.path("out.tar");
        let run = imgtar(&["rescue", &packed, "-o", &out, "-f"]).exits(0);
        imgtar(&["verify", "-q", &out]).exits(0);
        if is_root {
            assert!(run.err().contains("5 images, "), "{form:?}: {run}");
        }
    }
}
