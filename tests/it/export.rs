//! `flatten` against `docker export`: stored exports, and engines that are running.
//!
//! A container adds files of its own to what the image has, and only those may differ. Everything
//! that is made in an engine has a name of its own and is removed again, also after a failure.

use crate::support;
use crate::support::{forge, listing};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::support::forge::{Entry, Form};
use crate::support::listing::Listing;
use crate::support::{
    Docker, archives, cases, engines, finish, imgtar, read, repository, shared, shown, tool,
    tool_bytes,
};

/// What Docker puts into every container.
const ADDED: [&str; 8] = [
    ".dockerenv",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
];

/// Directories that a container has even if the image has not.
const MADE: [&str; 4] = ["dev", "etc", "proc", "sys"];

/// Directories whose attributes a container changes.
const TOUCHED: [&str; 2] = ["dev", "etc"];

/// What `flatten` writes of an image, listed.
#[track_caller]
fn listed(archive: &str, image: Option<&str>) -> Listing {
    let mut args = vec!["flatten", archive];
    args.extend(image);
    let run = imgtar(&args).exits(0);
    let listing = Listing::of(&run.stdout);
    assert_eq!(listing.disorder, [""; 0], "{archive}");
    listing.with_only_capabilities()
}

/// Rows that an image and a container of it have to share.
fn comparable(mut rows: BTreeMap<String, String>, image: &Listing) -> BTreeMap<String, String> {
    for path in ADDED {
        rows.remove(path);
    }
    for path in MADE {
        if !image.rows.contains_key(path.as_bytes()) {
            rows.remove(path);
        }
    }
    for path in TOUCHED {
        if let Some(row) = rows.get_mut(path) {
            // Its being a directory is what is left.
            row.truncate(path.len() + "\td".len());
        }
    }
    rows
}

/// Insists that a container holds what the image has.
#[track_caller]
fn assert_exported(image: &Listing, export: BTreeMap<String, String>, what: &str) {
    let bytes = |rows: BTreeMap<String, String>| -> Vec<Vec<u8>> {
        comparable(rows, image)
            .into_values()
            .map(String::into_bytes)
            .collect()
    };
    let difference = listing::difference(&bytes(export), &bytes(image.recipe()));
    assert!(difference.is_empty(), "{what}\n{difference}");
}

// --- stored exports -------------------------------------------------------------------------------

/// Archives of `testdata/engines` with one image, `app:1`.
const ONE: [&str; 20] = [
    "docker20-one.tar",
    "docker20-one.tar.bz2",
    "docker20-one.tar.gz",
    "docker20-one.tar.xz",
    "docker20-one.tar.zst",
    "docker20-untagged.tar",
    "docker26-one.tar",
    "docker26c-one.tar",
    "docker28-one.tar",
    "docker28c-one.tar",
    "podman-docker.tar",
    "podman-oci.tar",
    "podman58-docker.tar",
    "podman58-oci.tar",
    "skopeo-docker.tar",
    "skopeo-oci-zstd.tar",
    "skopeo-oci.tar",
    "skopeo122-docker.tar",
    "skopeo122-oci-zstd.tar",
    "skopeo122-oci.tar",
];

/// Archives of `testdata/engines` with all images.
const MULTI: [&str; 6] = [
    "docker20-multi.tar",
    "docker26-multi.tar",
    "docker26c-multi.tar",
    "docker28-multi.tar",
    "docker28c-multi.tar",
    "v1.tar",
];

/// Archives of `testdata/engines` of which no export is stored.
const WITHOUT: [&str; 17] = [
    "buildkit-platforms.tar",
    "buildkit28-artifacts.tar",
    "buildkit28-docker-zstd.tar",
    "buildkit28-platforms.tar",
    "buildkit28-zstd.tar",
    "docker20-export.tar",
    "docker26-heredoc.tar",
    "docker26c-platforms.tar",
    "docker28c-platform.tar",
    "docker28c-platforms.tar",
    "docker28c-pulled.tar",
    "podman-platforms.tar",
    "podman58-multi.tar",
    "skopeo122-platforms.tar",
    "tiny-oci.tar",
    "tiny20.tar",
    "tiny26.tar",
];

/// What Docker 26.1 exported of a test image.
fn stored(image: &str) -> BTreeMap<String, String> {
    let text = read(&engines(&format!("{image}.export-d26.tsv")));
    let row = |line: &str| {
        let path = line.split('\t').next().expect("a path");
        (path.to_owned(), line.to_owned())
    };
    text.lines().map(row).collect()
}

/// Whatever wrote the archive, the flattened image is what Docker exports of a container of it.
#[test]
fn test_images_are_what_docker_exports() {
    for archive in ONE {
        let image = listed(&engines(archive), None);
        assert_exported(&image, stored("app-1"), archive);
    }
    for archive in MULTI {
        for name in ["app:1", "app:2", "classic:1", "base:1"] {
            let image = listed(&engines(archive), Some(&format!("imgtar-testdata/{name}")));
            let what = format!("{name} of {archive}");
            assert_exported(&image, stored(&name.replace(':', "-")), &what);
        }
    }
}

/// No archive is overlooked: the lists above hold them all.
#[test]
fn every_archive_is_compared() {
    let listed: BTreeSet<&str> = [&ONE[..], &MULTI, &WITHOUT].concat().into_iter().collect();
    let there = archives(&repository("testdata/engines"));
    assert_eq!(listed, there.iter().map(String::as_str).collect());
}

/// The lines of a listing in the form of `tarlist.py` without what a container adds.
fn without_added(lines: Vec<Vec<u8>>, image: &Listing) -> Vec<Vec<u8>> {
    let kept = |line: &Vec<u8>| {
        let path = line.split(|&b| b == b'\t').next().expect("a path");
        let path = String::from_utf8_lossy(path);
        let made = MADE.contains(&&*path) && !image.rows.contains_key(path.as_bytes());
        !(ADDED.contains(&&*path) || TOUCHED.contains(&&*path) || made)
    };
    lines.into_iter().filter(kept).collect()
}

/// The same for the archives that lie beside the repository, and three engines.
#[test]
fn shared_images_are_what_engines_export() {
    let Some(directory) = shared("archives") else {
        return;
    };
    for archive in archives(&directory) {
        if archive.contains(".export20.") {
            continue;
        }
        let images = if archive.contains("multi") {
            &["quirks:1", "quirks:2", "classic:1"][..]
        } else {
            &["quirks:1"]
        };
        for name in images {
            let chosen = archive.contains("multi").then_some(*name);
            let image = listed(&format!("{directory}/{archive}"), chosen);
            for engine in ["d20", "d26", "d26c"] {
                let stored = format!("{directory}/{}.export-{engine}.tsv", name.replace(':', "-"));
                let export = listing::split_lines(&support::bytes(&stored));
                let want = without_added(export, &image);
                let got = without_added(image.tarlist(), &image);
                let difference = listing::difference(&want, &got);
                assert!(
                    difference.is_empty(),
                    "{name} of {archive} in {engine}\n{difference}"
                );
            }
        }
    }
}

// --- live engines ---------------------------------------------------------------------------------

/// Steps that leave whiteouts, opaque directories, type changes and split hard links.
const STEPS: &str = r#"
COPY busybox /bin/busybox
COPY copied /srv/copied/
RUN ["/bin/busybox", "sh", "-ec", "b=/bin/busybox; $b rm /opt/deleted; $b rm -r /opt/gone; $b rm -r /etc/app/conf.d; $b mkdir /etc/app/conf.d; echo third > /etc/app/conf.d/30-third.conf; $b rm /opt/file; $b mkdir -p /opt/file/now; echo in > /opt/file/now/below; $b chmod 0600 /srv/epoch; $b ln /bin/one /srv/four; $b chown 7:8 /home/user"]
RUN ["/bin/busybox", "sh", "-ec", "b=/bin/busybox; $b rm /bin/two; echo other > /bin/two; $b rm /usr/lib64; $b mkdir /usr/lib64; echo f > /usr/lib64/f; $b rm -r /opt/file; $b ln -s app /opt/file; $b rm /srv/fifo; echo a file now > /srv/fifo; $b rm /srv/empty; $b mkfifo /srv/empty; $b rm '/home/user/two words'; $b ln /srv/copied/one.txt /srv/again"]
COPY --chown=1000:1000 copied/sub /usr/lib64/new/deep/
RUN ["/bin/busybox", "sh", "-ec", "b=/bin/busybox; $b rm /opt/file; $b mkdir /opt/file; echo third > /opt/file/time; $b rm /srv/copied/one.txt; $b rm -r /usr/lib64/new/deep; $b mkdir -p /usr/lib64/new/deep/er; $b rm /srv/copied/sub/two.txt; $b ln -s ../sub /srv/copied/sub/two.txt"]
WORKDIR /srv/app
CMD ["/bin/busybox"]
"#;

/// Names in an engine that are removed with their guard.
struct Guard {
    docker: Docker,
    name: String,
    prune: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.docker.try_run(&["rm", "-f", &self.name]);
        for tag in ["base", "built", "imported"] {
            self.docker.try_run(&["rmi", "-f", &self.tag(tag)]);
        }
        if self.prune && self.docker.ours {
            self.docker.try_run(&["builder", "prune", "-af"]);
        }
    }
}

impl Guard {
    fn new(docker: Docker, prune: bool) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a time after 1970").as_nanos();
        Self {
            name: format!("imgtar-export-{}-{now}-{count}", process::id()),
            docker,
            prune,
        }
    }

    fn tag(&self, tag: &str) -> String {
        format!("{}:{tag}", self.name)
    }

    /// What the engine exports of a container of an image.
    fn exported(&self, image: &str) -> Listing {
        // The container never runs, so its command need not be there.
        let create = ["create", "--name", &self.name, image, "x"];
        self.docker.run(&create);
        let export = self.docker.run(&["export", &self.name]);
        self.docker.run(&["rm", &self.name]);
        Listing::of(&export).with_only_capabilities()
    }

    /// Builds the image of [`STEPS`].
    fn build(&self, directory: &TempDir, buildkit: &str) -> Option<()> {
        let busybox = tool_bytes("busybox")?;
        let python = tool("python3")?;
        let file = |name: &str| shown(&directory.path().join(name));
        let mut make = Command::new(python);
        make.arg(repository("testdata/recipe/base.py"))
            .arg(file("base.tar"));
        finish(make);
        let import = ["import", "-", &self.tag("base")];
        self.docker.run_on(&import, &file("base.tar"));

        let dockerfile = format!("FROM {}{STEPS}", self.tag("base"));
        let mut executable = Entry::file("busybox", &busybox);
        executable.mode = 0o755;
        let context = forge::layer(&[
            Entry::file("Dockerfile", dockerfile.as_bytes()),
            executable,
            Entry::file("copied/one.txt", b"one\n"),
            Entry::file("copied/sub/two.txt", b"two\n"),
            Entry::file("copied/sub/three.txt", b"three\n"),
        ]);
        fs::write(file("context.tar"), context).expect("room for the context");
        let build = [
            "build",
            "-q",
            "--no-cache",
            "--force-rm",
            "--network",
            "host",
        ];
        let mut build = self.docker.command(&build);
        build
            .args(["-t", &self.tag("built"), "-"])
            .env("DOCKER_BUILDKIT", buildkit)
            .stdin(File::open(file("context.tar")).expect("it was just written"));
        finish(build);
        Some(())
    }

    /// Imports a rootfs and compares what a container of it exports.
    fn round_trip(&self, rootfs: &str, what: &str) {
        let image = Listing::of(&support::bytes(rootfs)).with_only_capabilities();
        let imported = self.tag("imported");
        self.docker.run_on(&["import", "-", &imported], rootfs);
        let export = self.exported(&imported);
        self.docker.run(&["rmi", "-f", &imported]);
        assert_exported(&image, export.recipe(), what);
    }
}

/// An image that is built now is saved and flattened to what the engine exports of it; and an engine
/// that imports the result exports the same once more.
fn with(docker: Option<Docker>, buildkit: &str) {
    let Some(docker) = docker else { return };
    let guard = Guard::new(docker, buildkit == "1");
    let directory = tempfile::tempdir().expect("a directory");
    if guard.build(&directory, buildkit).is_none() {
        return;
    }
    let file = |name: &str| shown(&directory.path().join(name));
    let saved = guard.docker.run(&["save", &guard.tag("built")]);
    fs::write(file("saved.tar"), saved).expect("room for the archive");
    imgtar(&["flatten", &file("saved.tar"), "-o", &file("rootfs.tar")]).exits(0);
    let image = Listing::of(&support::bytes(&file("rootfs.tar")));
    assert_eq!(image.disorder, [""; 0]);
    let image = image.with_only_capabilities();
    // The steps did what they are here for.
    let kind = |path: &str| image.rows.get(path.as_bytes()).map(|row| row.kind);
    assert_eq!(kind("opt/gone"), None);
    assert_eq!(kind("etc/app/conf.d/10-first.conf"), None);
    assert_eq!(kind("opt/file/time"), Some('f'));
    assert_eq!(kind("usr/lib64"), Some('d'));
    assert_eq!(kind("srv/empty"), Some('p'));
    assert_eq!(kind("usr/lib64/new/deep/two.txt"), None);

    let export = guard.exported(&guard.tag("built"));
    assert_exported(&image, export.recipe(), "what was built");
    guard.round_trip(&file("rootfs.tar"), "what was built, imported again");
}

/// Docker 20.10, its classic builder.
#[test]
fn built_by_docker_20_classic() {
    with(Docker::d20(), "0");
}

/// Docker 20.10 with BuildKit.
#[test]
fn built_by_docker_20_buildkit() {
    with(Docker::d20(), "1");
}

/// Docker 26.1 with overlay2, its classic builder.
#[test]
fn built_by_docker_26_classic() {
    with(Docker::d26(), "0");
}

/// Docker 26.1 with overlay2 and BuildKit.
#[test]
fn built_by_docker_26_buildkit() {
    with(Docker::d26(), "1");
}

/// Docker 26.1 with the containerd store, which saves compressed layers.
#[test]
fn built_by_docker_26_containerd() {
    with(Docker::d26c(), "1");
}

/// What imgtar writes can be imported by every engine, and comes out of it again.
#[test]
fn engines_import_what_is_flattened() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut archives = vec![engines("docker20-one.tar"), engines("docker26c-one.tar")];
    if let Some(directory) = shared("archives") {
        archives.push(format!("{directory}/docker26-quirks.tar"));
    }
    let mut files = Vec::new();
    for (i, archive) in archives.iter().enumerate() {
        let file = shown(&directory.path().join(format!("{i}.tar")));
        imgtar(&["flatten", archive, "-o", &file]).exits(0);
        files.push((file, archive));
    }
    for docker in Docker::classic().chain(Docker::with_containerd()) {
        let guard = Guard::new(docker, false);
        for (file, archive) in &files {
            guard.round_trip(file, archive);
        }
    }
}

// --- umoci ----------------------------------------------------------------------------------------

/// Cases that cannot be compared: umoci 0.4.7 sets the time of a directory for a marker behind new
/// entries, and GNU tar does not write hard links of devices.
const NOT_WITH_UMOCI: [&str; 2] = ["opq-after", "hl-special"];

/// What umoci unpacks of an OCI layout is what imgtar makes of it, wherever engines agree.
#[test]
fn umoci_unpacks_the_same() {
    let (Some(umoci), Some(tar)) = (tool("umoci"), tool("tar")) else {
        return;
    };
    let cases = cases();
    let table = read(&format!("{cases}/CASES.tsv"));
    let rows = table
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for row in rows.filter(|row| row[1] == "std" && !NOT_WITH_UMOCI.contains(&row[0])) {
        let case = row[0];
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| shown(&directory.path().join(name));
        let layers = forge::layers(&support::bytes(&format!("{cases}/{case}.tar")));
        let archive = forge::archive(&layers, Form::Oci);
        fs::write(file("oci.tar"), &archive).expect("room for the archive");
        let mut layout = tar::Archive::new(archive.as_slice());
        layout.unpack(file("oci")).expect("room for the layout");
        let mut unpack = Command::new(umoci);
        unpack
            .args(["unpack", "--image", &format!("{}:1", file("oci"))])
            .arg(file("bundle"));
        finish(unpack);
        let mut pack = Command::new(tar);
        pack.args(["--format=posix", "--numeric-owner", "--xattrs"])
            .args(["--xattrs-include=*", "-cf", &file("umoci.tar")])
            .args(["-C", &file("bundle/rootfs"), "."]);
        finish(pack);
        let umoci = Listing::of(&support::bytes(&file("umoci.tar")));
        let ours = Listing::of(&imgtar(&["flatten", &file("oci.tar")]).exits(0).stdout);
        let difference = listing::difference(&umoci.tarlist(), &ours.tarlist());
        if !difference.is_empty() {
            wrong.push(format!("{case}\n{difference}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
