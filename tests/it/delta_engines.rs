//! A real upgrade: two versions of an application image, built and saved by each engine. The receiver makes the new
//! archive from the old one and a delta, and its engine loads it under the ID that the new image has.

use std::process;

use serde_json::Value;

use crate::support::forge::{Entry, layer};
use crate::support::{Ctr, Docker, Podman, Work, bytes, finish, imgtar, sha256, text, tool};

/// Text that compresses like a program: words in an order that does not repeat.
fn prose(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = state >> 20;
        out.extend_from_slice(
            format!(
                "{:03x}{}",
                word,
                ["\0\0", " call", "\x0f\x1f", " mov"][(word % 4) as usize]
            )
            .as_bytes(),
        );
    }
    out.truncate(len);
    out
}

/// A program of a version: the later one is compiled again, which moves an address every few hundred bytes.
fn program(seed: u32, len: usize, version: u8) -> Vec<u8> {
    let mut bytes = prose(seed, len);
    for at in (100..len).step_by(700) {
        bytes[at] = bytes[at].wrapping_add(version);
    }
    bytes
}

/// A base image: most files are the same in both versions, some were updated, and all were unpacked anew.
fn base(version: u8) -> Vec<u8> {
    let mtime = 1_700_000_000 + u64::from(version) * 3_000_000;
    let mut entries = Vec::new();
    for directory in ["etc/", "usr/", "usr/bin/", "usr/lib/", "usr/share/"] {
        entries.push(Entry::new(b'5', directory.as_bytes()));
    }
    for number in 0..24_u32 {
        let mut file = Entry::file(
            &format!("usr/share/file-{number}"),
            &prose(number, 3000 + 777 * number as usize),
        );
        file.mode = 0o644;
        entries.push(file);
    }
    let programs = ["usr/bin/tool", "usr/lib/libcrypto.so", "usr/lib/libz.so"];
    for (number, name) in (0..).zip(programs) {
        let updated = if number < 2 { version } else { 1 };
        let mut file = Entry::file(name, &program(100 + number, 150_000, updated));
        file.mode = 0o755;
        entries.push(file);
    }
    entries.push(Entry::file(
        "etc/release",
        format!("VERSION={version}\n").as_bytes(),
    ));
    for entry in &mut entries {
        entry.mtime = mtime;
    }
    layer(&entries)
}

/// What `docker build` reads: the base, and the application on it.
fn context(version: u8, work: &Work) -> String {
    let dockerfile = format!(
        "FROM scratch\nADD base.tar /\nENV VERSION={version}\nCOPY app /srv/app\nCMD [\"/srv/app/run\"]\n"
    );
    let mut run = Entry::file("app/run", &program(7, 60_000, version));
    run.mode = 0o755;
    let settings = format!("version = {version}\n{}", "x = 1\n".repeat(400));
    let tar = layer(&[
        Entry::file("Dockerfile", dockerfile.as_bytes()),
        Entry::file("base.tar", &base(version)),
        Entry::new(b'5', b"app/"),
        run,
        Entry::file("app/settings", settings.as_bytes()),
    ]);
    work.put(&format!("context{version}.tar"), &tar)
}

/// Names and IDs of both versions in an engine, which forgets them at the end.
struct Versions<'d> {
    docker: &'d Docker,
    tags: [String; 2],
    ids: [String; 2],
}

impl<'d> Versions<'d> {
    fn build(docker: &'d Docker, work: &Work) -> Self {
        let tags = [1, 2].map(|version| format!("imgtar-delta-{}:{version}", process::id()));
        for (tag, version) in tags.iter().zip([1, 2]) {
            docker.run_on(&["build", "-q", "-t", tag, "-"], &context(version, work));
        }
        let ids = tags.each_ref().map(|tag| id(docker, tag));
        assert_ne!(ids[0], ids[1]);
        Self { docker, tags, ids }
    }

    /// Both versions as the engine saves them.
    fn save(&self, work: &Work) -> [String; 2] {
        self.tags.each_ref().map(|tag| {
            let saved = self.docker.run(&["save", tag]);
            work.put(&format!("{}.tar", tag.replace([':', '/'], "-")), &saved)
        })
    }

    /// Both as BuildKit exports them: an OCI image layout, with layers that are compressed with gzip.
    fn export(&self, work: &Work) -> [String; 2] {
        [1, 2].map(|version| {
            let name = &self.tags[usize::from(version) - 1];
            let output =
                format!("type=oci,dest=-,compression=gzip,force-compression=true,name={name}");
            let args = ["build", "-q", "--output", &output, "-"];
            let exported = self.docker.run_on(&args, &context(version, work));
            work.put(&format!("oci{version}.tar"), &exported)
        })
    }

    fn forget(&self) {
        for (tag, id) in self.tags.iter().zip(&self.ids) {
            self.docker.try_run(&["rmi", "-f", tag]);
            self.docker.forget(id);
        }
    }
}

impl Drop for Versions<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

fn id(docker: &Docker, tag: &str) -> String {
    let printed = docker.run(&["image", "inspect", tag]);
    let inspected: Value = serde_json::from_slice(&printed).expect("JSON");
    text(&inspected[0]["Id"]).to_owned()
}

/// The new archive as the receiver of a delta makes it.
#[track_caller]
fn upgraded(what: &str, old: &str, new: &str, work: &Work) -> String {
    let (delta, made) = (work.path("delta"), work.path("made.tar"));
    imgtar(&["delta", old, new, "-f", "-o", &delta]).exits(0);
    imgtar(&["apply", old, &delta, "-f", "-o", &made]).exits(0);
    assert!(bytes(&made) == bytes(new), "{what}: other bytes");
    let (small, whole) = (bytes(&delta).len(), bytes(new).len());
    assert!(
        small < 60_000 && small * 4 < whole,
        "{what}: {small} of {whole} bytes"
    );
    made
}

/// Builds, saves, upgrades and loads with one engine.
fn an_upgrade_on(docker: Option<Docker>, has_containerd: bool) {
    let Some(docker) = docker else { return };
    let work = Work::new();
    let versions = Versions::build(&docker, &work);
    let mut pairs = vec![("saved", versions.save(&work))];
    if has_containerd {
        pairs.push(("exported", versions.export(&work)));
    }
    for (how, [old, new]) in pairs {
        let what = format!("{how} by {docker:?}");
        // What the engine says of NEW itself.
        versions.forget();
        docker.run_on(&["load", "-q"], &new);
        let wanted = id(&docker, &versions.tags[1]);
        assert!(how != "saved" || wanted == versions.ids[1], "{what}");
        versions.forget();
        let made = upgraded(&what, &old, &new, &work);
        docker.run_on(&["load", "-q"], &made);
        assert_eq!(id(&docker, &versions.tags[1]), wanted, "{what}");
        docker.try_run(&["rmi", "-f", &wanted]);
    }
}

#[test]
fn docker_20_upgrades() {
    an_upgrade_on(Docker::d20(), false);
}

#[test]
fn docker_26_upgrades() {
    an_upgrade_on(Docker::d26(), false);
}

#[test]
fn docker_28_upgrades() {
    an_upgrade_on(Docker::d28(), false);
}

#[test]
fn docker_26_with_containerd_upgrades() {
    an_upgrade_on(Docker::d26c(), true);
}

#[test]
fn docker_28_with_containerd_upgrades() {
    an_upgrade_on(Docker::d28c(), true);
}

/// Both versions from a Docker of the classic store, for what only carries images.
fn from_docker(work: &Work) -> Option<[String; 2]> {
    let docker = Docker::d20()?;
    let versions = Versions::build(&docker, work);
    Some(versions.save(work))
}

#[test]
fn containerd_upgrades() {
    let namespace = format!("imgtar-delta-{}", process::id());
    let (Some(ctr), Some(docker)) = (Ctr::find(&namespace), Docker::d28c()) else {
        return;
    };
    let work = Work::new();
    let versions = Versions::build(&docker, &work);
    let [old, new] = versions.export(&work);
    let made = upgraded("exported by BuildKit", &old, &new, &work);
    let listed = |path: &str| {
        ctr.import(&[], path);
        let listed = ctr.ask(&["images", "ls"]);
        for name in ctr.ask(&["images", "ls", "-q"]).lines() {
            ctr.ask(&["images", "rm", "--sync", name]);
        }
        let digest = listed
            .split_whitespace()
            .find(|word| word.starts_with("sha256:"));
        digest.expect("an image").to_owned()
    };
    assert_eq!(listed(&made), listed(&new));
}

/// podman saves and loads, compressed and not; OLD may also be what another engine saved.
#[test]
fn podman_upgrades() {
    let Some(podman) = Podman::with_overlay() else {
        return;
    };
    let work = Work::new();
    let Some([one, two]) = from_docker(&work) else {
        return;
    };
    let load = |path: &str| -> String {
        podman.run(&["load", "-q", "-i", &podman.take(path)]);
        let ids = podman.run(&["images", "-a", "-q", "--no-trunc"]);
        let ids = String::from_utf8(ids).expect("IDs");
        assert_eq!(ids.lines().count(), 1, "{ids}");
        ids.trim().to_owned()
    };
    for format in ["oci-archive", "docker-archive"] {
        let [old, new] = [&one, &two].map(|path| {
            let id = load(path);
            let saved = podman.run(&["save", "-q", "--format", format, &id]);
            podman.run(&["rmi", "-a", "-f"]);
            work.put(&format!("{}.tar", sha256(&saved)), &saved)
        });
        let wanted = load(&new);
        podman.run(&["rmi", "-a", "-f"]);
        for old in [&old, &one] {
            let made = upgraded(&format!("podman {format}"), old, &new, &work);
            assert_eq!(load(&made), wanted, "{format} from {old}");
            podman.run(&["rmi", "-a", "-f"]);
        }
    }
}

/// skopeo copies into both of its archives, and reads what comes back.
#[test]
fn skopeo_upgrades() {
    let Some(skopeo) = tool("skopeo") else { return };
    let work = Work::new();
    let Some(saved) = from_docker(&work) else {
        return;
    };
    let run = |args: &[&str]| {
        let mut command = process::Command::new(skopeo);
        command.args(args);
        finish(command).stdout
    };
    for transport in ["oci-archive", "docker-archive"] {
        let [old, new] = [("old", &saved[0]), ("new", &saved[1])].map(|(name, path)| {
            let to = work.path(&format!("{name}-{transport}.tar"));
            let from = format!("docker-archive:{path}");
            let target = format!("{transport}:{to}:docker.io/library/app:1");
            run(&["copy", "-q", "--insecure-policy", &from, &target]);
            to
        });
        let made = upgraded(&format!("skopeo {transport}"), &old, &new, &work);
        let config = |path: &str| {
            run(&[
                "inspect",
                "--config",
                "--raw",
                &format!("{transport}:{path}"),
            ])
        };
        assert_eq!(sha256(&config(&made)), sha256(&config(&new)));
        let copy = format!("dir:{}", work.path(&format!("copy-{transport}")));
        run(&[
            "copy",
            "-q",
            "--insecure-policy",
            &format!("{transport}:{made}"),
            &copy,
        ]);
    }
}
