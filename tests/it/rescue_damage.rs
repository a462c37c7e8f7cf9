//! `rescue`: what a tar does to a data root. One cause each: what still comes out, and what is said.

use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::rescue::{below, edit_into, edited, unpacked};
use crate::rescue_containers::without_image;
use crate::support::{Run, Work, imgtar, items, text};

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

/// A layer is hashed while it goes into a file. If it is not what it should be, all that was written is dropped: the
/// file gets what a pipe gets, whose layers are hashed first.
#[test]
fn a_file_gets_what_a_pipe_gets_whatever_was_changed() {
    let tar = edited(&unpacked("docker26-overlay2"), |path, body| {
        if path.ends_with("/diff/added") {
            body.fill(0);
        }
        Some(path.to_owned())
    });
    let work = Work::new();
    let (root, out) = (work.put("root.tar", &tar), work.path("out.tar"));
    for more in [&[][..], &["--accept-changes"], &["--containers"]] {
        let run = |to: &str| imgtar(&[&["rescue", &root, "-f", "-o", to], more].concat()).exits(0);
        let (file, pipe) = (run(&out), run("-"));
        let warned = |run: &Run| -> Vec<String> {
            let err = run.err();
            let lines = err
                .lines()
                .filter(|line| !line.contains(": 1.") && !line.starts_with("sha256:"));
            let lines = lines.filter(|line| !line.contains("verified"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(warned(&file), warned(&pipe), "{more:?}");
        assert!(warned(&file).len() > 1, "{file}");
        assert!(
            std::fs::read(&out).expect("a file") == pipe.stdout,
            "{more:?}"
        );
    }
    let json = imgtar(&["rescue", &root, "-f", "-o", &out, "--json"])
        .exits(0)
        .json();
    let layers = items(&json["stores"][0]["images"]).iter();
    let states: Vec<&str> = layers
        .flat_map(|image| items(&image["layers"]))
        .map(|layer| text(&layer["state"]))
        .collect();
    assert!(
        states.contains(&"exact") && states.contains(&"damaged"),
        "{states:?}"
    );
    // What was asked for and does not come back leaves no file.
    let json = imgtar(&["rescue", &root, "--json"]).exits(0).json();
    let images = items(&json["stores"][0]["images"]).iter();
    let committed = images
        .flat_map(|image| items(&image["references"]))
        .map(text)
        .find(|name| name.ends_with("/committed:1"))
        .expect("a commit");
    let none = work.path("none.tar");
    let run = imgtar(&["rescue", &root, committed, "-o", &none]).exits(3);
    assert!(run.err().contains("`added` was changed"), "{run}");
    assert!(!Path::new(&none).exists());
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

/// What podman and CRI-O keep of how a container ran: without it the config of its image stands in.
#[test]
fn a_runtime_spec_that_is_damaged_or_missing_costs_the_command_alone() {
    let tar = unpacked("changed/podman-overlay");
    let config = |tar: &[u8], says: &str| {
        let work = Work::new();
        let (root, out) = (work.put("root.tar", tar), work.path("out.tar"));
        let run = imgtar(&["rescue", &root, "--container", "changed", "-o", &out]).exits(0);
        assert!(run.err().contains(says), "{run}");
        imgtar(&["verify", "-q", &out]).exits(0);
        let read = imgtar(&["inspect", &out, "--json"]).exits(0).json();
        let cmd = read["images"][0]["config"]["config"]["Cmd"].clone();
        let listed = imgtar(&["rescue", &root, "--json"]).exits(0).json();
        (cmd, listed["containers"][0].clone())
    };
    let edit = |change: &dyn Fn(&mut Vec<u8>)| {
        edited(&tar, |path, body| {
            if path.ends_with("/userdata/config.json") {
                change(body);
            }
            Some(path.to_owned())
        })
    };
    let (own, _) = config(&tar, "labels, ports and health checks that were set");
    assert_eq!(text(&own[1]), "/mnt/change.sh");
    let instead = "command and environment are in a database";
    let gone = without(&tar, |path| path.ends_with("/userdata/config.json"));
    let (of_image, listed) = config(&gone, instead);
    assert_eq!(text(&of_image[0]), "--serve");
    assert_eq!(items(&listed["command"]).len(), 0);
    let cut = edit(&|body| body.truncate(300));
    assert_eq!(config(&cut, "userdata/config.json is invalid").0, of_image);
    let empty = edit(&|body| *body = b"{}".to_vec());
    assert_eq!(config(&empty, instead).0, of_image);
    // A number that is none, and a file larger than any document.
    let odd = edit(&|body| *body = br#"{"process":{"user":{"uid":-1}}}"#.to_vec());
    assert_eq!(config(&odd, "userdata/config.json is invalid").0, of_image);
    let large = edit(&|body| body.resize(65 << 20, b' '));
    assert_eq!(
        config(&large, "userdata/config.json is too large").0,
        of_image
    );
}

/// CRI-O notes beside it what a container was doing.
#[test]
fn the_state_that_cri_o_notes_is_listed() {
    let mut id = None;
    let tar = edited(&unpacked("changed/podman-overlay"), |path, _| {
        if let Some(userdata) = path.strip_suffix("/config.json") {
            id = Some(userdata.to_owned());
        }
        Some(path.to_owned())
    });
    let at = format!("{}/state.json", id.expect("a container"));
    for (state, shown) in [
        (
            r#"{"status":"stopped","exitCode":3,"finished":"2026-11-28T18:33:00Z"}"#,
            Some("exited (3)"),
        ),
        (r#"{"status":"running"}"#, Some("running")),
        ("{", None),
    ] {
        let mut out = tar::Builder::new(Vec::new());
        edit_into(&mut out, &tar, |path, _| Some(path.to_owned()));
        let mut header = tar::Header::new_gnu();
        header.set_size(state.len() as u64);
        header.set_mode(0o600);
        out.append_data(&mut header, &at, state.as_bytes())
            .expect("memory");
        let work = Work::new();
        let root = work.put("root.tar", &out.into_inner().expect("memory"));
        let run = imgtar(&["rescue", &root, "--json"]).exits(0).json();
        let found = run["containers"][0]["state"].as_str();
        assert_eq!(found, shown, "{state}");
        let says = run["remarks"].to_string().contains("state.json is invalid");
        assert_eq!(says, shown.is_none(), "{state}");
    }
}

/// Layers of a removed image that are not what the store says of them, each by its own message.
#[test]
fn a_removed_image_whose_layers_are_damaged_is_said() {
    const ROOT: &str = "changed/docker26-overlay2";
    let mut top = String::new();
    let _ = edited(&unpacked(ROOT), |path, body| {
        if path.contains("/layerdb/mounts/") && path.ends_with("/parent") {
            top = String::from_utf8_lossy(body).into_owned();
        }
        Some(path.to_owned())
    });
    let hex = top.strip_prefix("sha256:").expect("a chain ID").to_owned();
    let gone = |of: &str| without_image(ROOT, |path, _| !path.contains(of)).0;
    let change = |of: &str, with: &[u8]| {
        let edit = |path: &str, body: &mut Vec<u8>| {
            if path.ends_with(of) {
                *body = with.to_vec();
            }
            true
        };
        without_image(ROOT, edit).0
    };
    let of_top = |file: &str| format!("layerdb/sha256/{hex}/{file}");
    let cases = [
        ("top", gone(&of_top("")), "is not in the tar"),
        (
            "loop",
            change(&of_top("parent"), top.as_bytes()),
            "form a loop",
        ),
        ("cut short", gone(&of_top("parent")), "have the chain ID"),
        (
            "no diff ID",
            change(&of_top("diff"), b"x"),
            "is not a diff ID",
        ),
        (
            "no files",
            gone(&of_top("cache-id")),
            "nothing says where its files are",
        ),
        (
            "nowhere",
            change("/parent", b"../../.."),
            "is not in the tar",
        ),
    ];
    for (name, tar, says) in cases {
        let work = Work::new();
        let (root, out) = (work.put("root.tar", &tar), work.path("out.tar"));
        for more in [&[][..], &["--flatten"]] {
            let args = [
                &["rescue", &root, "--container", "changed", "-o", &out],
                more,
            ]
            .concat();
            let run = imgtar(&args).exits(3);
            assert!(run.err().contains(says), "{name}: {run}");
            assert!(!Path::new(&out).exists(), "{name}");
        }
        imgtar(&["rescue", &root]).exits(0);
    }
}
