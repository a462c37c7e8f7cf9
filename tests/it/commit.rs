//! `commit` against `docker commit`, in engines that are running: a container is changed in every way,
//! and what is loaded of the committed archive has to be the same files, on the same layers, with the
//! same config and history as the engine's own commit.
//!
//! Everything that is made in an engine has a name of its own and is removed again, also after a
//! failure.

use crate::support::{forge, listing};
use std::collections::BTreeMap;
use std::fs;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::forge::{Entry, Form};
use crate::support::listing::{Listing, Row};
use crate::support::{
    Docker, Input, answer, archives, bytes, engines, full_size, imgtar, imgtar_with, in_turn,
    items, repository, shared, shown, text, tool,
};

/// What Docker puts into every container, and the directories that it thereby touches.
const ADDED: [&str; 12] = [
    ".dockerenv",
    "dev",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
    "work/here",
];
const TOUCHED: [&str; 2] = ["etc", "work"];

/// What the container does, in as many ways as there are.
const SCRIPT: &str = r#"
set -e
cd /
echo added > added; mkdir -p new/deep/er; echo x > new/deep/er/file; chmod 1777 new
printf 'tseT' > same-size; touch -d '2020-09-13 12:26:40' same-size
echo edited >> edited
rm removed; rm -r tree/gone
chmod 4750 mode; chown 1000:1001 owner; touch -d '2001-02-03 04:05:06' time
chmod 700 directory-mode; touch -d '2001-02-03 04:05:06' directory-time
rm -r replaced; echo now a file > replaced
rm file-to-dir; mkdir file-to-dir; echo in it > file-to-dir/in
rm link-to-dir; mkdir link-to-dir; echo in it > link-to-dir/in
rm retarget; ln -s elsewhere retarget
rm -r again; mkdir again; echo new > again/new; echo kept > again/kept
rm -r emptied; mkdir emptied
ln links/one links/four; ln added links/added; ln -s one links/soft; rm links/two
rm links/b; cp links/a links/b
echo new content > links/x
mkfifo pipe; rm fifo; echo no fifo > fifo
echo 1 > 'with space'; echo 2 > 'ü'; echo 3 > "$(printf 'new\nline')"
mkdir -p a/long/path/that/has/more/than/one/hundred/bytes/in/all/of/its/parts/taken/together/to/need/a/prefix
echo deep > a/long/path/that/has/more/than/one/hundred/bytes/in/all/of/its/parts/taken/together/to/need/a/prefix/file
: > etc/own; echo 1 > etc/other
mkdir tmp/x; rmdir tmp/x
"#;

/// The layers of the base: two, so that what is below both is seen too.
fn base_layers(busybox: &[u8]) -> Vec<Vec<u8>> {
    let file = |name: &str, body: &str| Entry::file(name, body.as_bytes());
    let directory = |name: &str| Entry::new(b'5', name.as_bytes());
    let link = |flag, name: &str, target: &str| Entry {
        link: target.as_bytes().to_vec(),
        ..Entry::new(flag, name.as_bytes())
    };
    let mut shell = Entry::file("bin/busybox", busybox);
    shell.mode = 0o755;
    let mut lower = vec![directory("bin/"), shell];
    for name in [
        "sh", "ls", "ln", "rm", "mkdir", "rmdir", "chmod", "chown", "touch", "mkfifo", "cp",
    ] {
        lower.push(link(b'2', &format!("bin/{name}"), "busybox"));
    }
    let capability = [&[1, 0, 0, 2][..], &[0xff; 4], &[0; 12]].concat();
    let record = ("SCHILY.xattr.security.capability".to_owned(), capability);
    let mut capable = file("capable", "may do much");
    capable.pax.push(record);
    let mut fraction = file("fraction", "of a second");
    fraction
        .pax
        .push(("mtime".to_owned(), b"1500000000.5".to_vec()));
    lower.extend([
        capable,
        fraction,
        directory("etc/"),
        file("etc/hosts", "the image's own\n"),
        file("same-size", "Test"),
        file("edited", "first\n"),
        file("removed", ""),
        directory("tree/"),
        directory("tree/gone/"),
        file("tree/gone/deep", ""),
        file("tree/kept", ""),
        file("mode", ""),
        file("owner", ""),
        file("time", ""),
        directory("directory-mode/"),
        directory("directory-time/"),
        directory("replaced/"),
        file("replaced/old", ""),
        file("file-to-dir", ""),
        link(b'2', "link-to-dir", "tree"),
        link(b'2', "retarget", "nowhere"),
        directory("again/"),
        file("again/old", "old\n"),
        file("again/kept", "other\n"),
        directory("emptied/"),
        file("emptied/old", ""),
        Entry::new(b'6', b"fifo"),
        directory("tmp/"),
        directory("links/"),
        file("links/one", "several names\n"),
        link(b'1', "links/two", "links/one"),
        link(b'1', "links/three", "links/one"),
        file("links/a", "two names\n"),
        link(b'1', "links/b", "links/a"),
        file("links/x", "changed by either\n"),
        link(b'1', "links/y", "links/x"),
    ]);
    let upper = vec![
        directory("etc/"),
        file("etc/own", "of the second layer\n"),
        file("etc/.wh.none", ""),
        directory("tree/"),
        file("tree/later", "of the second layer\n"),
    ];
    vec![forge::layer(&lower), forge::layer(&upper)]
}

/// What is made of one base in one engine; it goes when this goes.
struct Live {
    docker: Docker,
    repository: String,
    directory: TempDir,
}

impl Drop for Live {
    fn drop(&mut self) {
        for container in ["changed", "theirs", "ours", "idle"] {
            self.docker
                .try_run(&["rm", "-f", &self.container(container)]);
        }
        for tag in ["base", "theirs", "ours"] {
            self.docker.try_run(&["rmi", "-f", &self.tag(tag)]);
        }
    }
}

impl Live {
    fn tag(&self, tag: &str) -> String {
        format!("{}:{tag}", self.repository)
    }

    fn container(&self, name: &str) -> String {
        format!("{}-{name}", self.repository)
    }

    fn file(&self, name: &str) -> String {
        shown(&self.directory.path().join(name))
    }

    /// Loads a base whose command changes it, saves that, and runs it.
    fn make(docker: Docker) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let busybox = tool("busybox").map(|_| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let mut found = std::env::split_paths(&path).map(|d| d.join("busybox"));
            let file = found.find(|file| file.is_file()).expect("it was just run");
            fs::read(file).expect("busybox can be read")
        })?;
        let live = Self {
            repository: format!(
                "imgtar-commit-{}-{}",
                process::id(),
                COUNT.fetch_add(1, Ordering::Relaxed)
            ),
            directory: tempfile::tempdir().expect("a directory"),
            docker,
        };
        let made = live.file("made.tar");
        fs::write(&made, forge::archive(&base_layers(&busybox), Form::Hybrid)).expect("room");
        // The forge's config has no run config to speak of, so the engine's own commit gives it one.
        live.docker.run_on(&["load", "-q"], &made);
        let changes = [
            r#"ENTRYPOINT ["/bin/sh", "-c"]"#.to_owned(),
            format!("CMD {}", json!([SCRIPT])),
            "ENV PATH=/bin OLD=1".to_owned(),
            "WORKDIR /work/here".to_owned(),
            "LABEL of=base".to_owned(),
        ];
        let idle = live.container("idle");
        live.docker.run(&["create", "--name", &idle, forge::NAME]);
        let mut commit = vec!["commit", "-a", "The Base", "-m", "the base"];
        for change in &changes {
            commit.extend(["-c", change]);
        }
        let base = live.tag("base");
        live.docker.run(&[&commit[..], &[&idle, &base]].concat());
        live.docker.run(&["rm", &idle]);
        live.docker.run(&["rmi", forge::NAME]);
        fs::write(live.file("base.tar"), live.docker.run(&["save", &base])).expect("room");
        let container = live.container("changed");
        live.docker.run(&["create", "--name", &container, &base]);
        live.docker.run(&["start", "-a", &container]);
        let export = live.docker.run(&["export", &container]);
        fs::write(live.file("changed.tar"), export).expect("room");
        Some(live)
    }

    /// What a new container of an image holds.
    fn files(&self, image: &str) -> BTreeMap<Vec<u8>, Row> {
        let container = self.container(image);
        self.docker
            .run(&["create", "--name", &container, &self.tag(image)]);
        let export = self.docker.run(&["export", &container]);
        self.docker.run(&["rm", &container]);
        own_files(&export)
    }

    fn inspected(&self, image: &str) -> Value {
        let all = self.docker.run(&["image", "inspect", &self.tag(image)]);
        let all: Value = serde_json::from_slice(&all).expect("JSON");
        all[0].clone()
    }

    fn newest_step(&self, image: &str) -> Value {
        let format = "{{json .}}";
        let tag = self.tag(image);
        let history = [
            "history",
            "--no-trunc",
            "-H=false",
            "--format",
            format,
            &tag,
        ];
        let history = self.docker.ask(&history);
        let first = history.lines().next().expect("a step");
        serde_json::from_str(first).expect("JSON")
    }
}

/// The rows of an export that are the container's own doing.
fn own_files(export: &[u8]) -> BTreeMap<Vec<u8>, Row> {
    let mut rows = Listing::of(export).rows;
    for path in ADDED {
        rows.remove(path.as_bytes());
    }
    for path in TOUCHED {
        // Made or touched again with every container.
        if let Some(row) = rows.get_mut(path.as_bytes()) {
            row.mtime = 0;
        }
    }
    rows
}

#[track_caller]
fn assert_same(want: &BTreeMap<Vec<u8>, Row>, got: &BTreeMap<Vec<u8>, Row>, what: &str) {
    let lines = |rows: &BTreeMap<Vec<u8>, Row>| -> Vec<Vec<u8>> {
        rows.iter().map(|(path, row)| row.tarlist(path)).collect()
    };
    let difference = listing::difference(&lines(want), &lines(got));
    assert!(want == got, "{what}\n{difference}");
}

/// Where an engine keeps its images.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Graph,
    Containerd,
}

fn with(docker: Option<Docker>, store: Store) {
    let Some(live) = docker.and_then(Live::make) else {
        return;
    };
    let export = bytes(&live.file("changed.tar"));
    let want = own_files(&export);
    assert!(want.contains_key(&b"added"[..]), "the script has run");
    diff_is_dockers(&live);
    let common = [
        "-a",
        "A Person <a@b>",
        "-m",
        "by hand",
        "-c",
        "ENV NEW=1 OLD=2",
        "-c",
        "USER 7",
    ];
    let changed = live.container("changed");
    let theirs = live.tag("theirs");
    live.docker
        .run(&[&["commit"][..], &common, &[&changed, &theirs]].concat());

    for layout in ["docker", "docker-legacy", "oci"] {
        let ours = live.file(&format!("ours-{layout}.tar"));
        let (base, changed) = (live.file("base.tar"), live.file("changed.tar"));
        let tag = live.tag("ours");
        let args = [
            "commit", &base, &changed, "-o", &ours, "--layout", layout, "-t", &tag,
        ];
        let printed = imgtar(&[&args[..], &common].concat()).writes_an_image();
        imgtar(&["verify", "--strict", &ours]).succeeds();
        // The base's layers are below the new one, and are the same.
        let diff_ids = |archive: &str| -> Vec<String> {
            let layers = answer(&["layers", "--json", archive]);
            let layers = items(&layers["images"][0]["layers"]);
            layers
                .iter()
                .map(|l| text(&l["diff_id"]).to_owned())
                .collect()
        };
        let (below, all) = (diff_ids(&base), diff_ids(&ours));
        assert_eq!(all.len(), below.len() + 1, "{layout}");
        assert_eq!(all[..below.len()], below, "{layout}");
        // Graph drivers do not load an OCI layout, and all layers are the same anyway.
        if layout == "oci" {
            continue;
        }
        live.docker.run_on(&["load", "-q"], &ours);
        assert_same(&want, &live.files("ours"), layout);
        let (loaded, committed) = (live.inspected("ours"), live.inspected("theirs"));
        assert_eq!(loaded["RootFS"]["Layers"], json!(all), "{layout}");
        for field in [
            "Env",
            "Cmd",
            "Entrypoint",
            "Labels",
            "WorkingDir",
            "User",
            "ExposedPorts",
            "Volumes",
        ] {
            let value = |image: &Value| image["Config"][field].clone();
            assert_eq!(value(&loaded), value(&committed), "{layout}: {field}");
        }
        for field in ["Author", "Architecture", "Os"] {
            assert_eq!(loaded[field], committed[field], "{layout}: {field}");
        }
        let (step, theirs) = (live.newest_step("ours"), live.newest_step("theirs"));
        for field in ["CreatedBy", "Comment"] {
            assert_eq!(step[field], theirs[field], "{layout}: {field}");
        }
        let history = answer(&["history", "--json", &ours]);
        let newest = &history["images"][0]["history"][0];
        assert_eq!(newest["author"], "A Person <a@b>", "{layout}");
        // The containerd store calls an image by its manifest.
        if store == Store::Graph {
            assert_eq!(loaded["Id"], printed.out().trim(), "{layout}");
        }
        live.docker.run(&["rmi", "-f", &tag]);
    }
    // The containerd store commits no directory of which only the time is new.
    if store == Store::Graph {
        assert_same(&want, &live.files("theirs"), "the engine's own commit");
    }
    no_change_makes_no_layer(&live);
}

/// What `diff` prints of the export is what the engine's `docker diff` prints of the container, and what the engine
/// does not see is noted.
fn diff_is_dockers(live: &Live) {
    let theirs = live.docker.ask(&["diff", &live.container("changed")]);
    // A line break in a name is no end of a line here.
    let theirs = theirs.replace("/new\nline", "/new\\nline");
    let (base, changed) = (live.file("base.tar"), live.file("changed.tar"));
    let ours = imgtar(&["diff", &base, &changed]).exits(1);
    let sorted = |text: &str| -> Vec<String> {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(ours.out()), sorted(&theirs));
    assert!(ours.err().contains("`docker diff` does not show"), "{ours}");
    let json = imgtar(&["diff", "--json", &base, &changed]).exits(1).json();
    let unseen = items(&json["files"]).iter();
    let unseen = unseen.filter(|file| file["in_docker_diff"] == false);
    let unseen: Vec<String> = unseen
        .map(|file| format!("{} {}", text(&file["path"]), file["what"]))
        .collect();
    assert_eq!(
        unseen,
        [
            "directory-time [\"time\"]",
            "links/one [\"links\"]",
            "same-size [\"content\"]",
            "tmp [\"time\"]",
        ]
    );
}

/// A container that did nothing: a step without a layer, and what is loaded is the base.
fn no_change_makes_no_layer(live: &Live) {
    let idle = live.container("idle");
    live.docker
        .run(&["create", "--name", &idle, &live.tag("base")]);
    let export = live.docker.run(&["export", &idle]);
    let (base, ours) = (live.file("base.tar"), live.file("idle.tar"));
    let args = ["commit", &base, "-", "-o", &ours, "-t", &live.tag("ours")];
    imgtar_with(&args, Input::Pipe(&export)).writes_an_image();
    let history = |archive: &str| -> Vec<Value> {
        let mut history = answer(&["history", "--json", archive])["images"][0]["history"].clone();
        // The newest step alone has the image's ID.
        history[0]["id"] = Value::Null;
        items(&history).to_vec()
    };
    let (before, after) = (history(&base), history(&ours));
    assert_eq!(after[0]["empty_layer"], true);
    assert_eq!(after[1..], before[..]);
    live.docker.run_on(&["load", "-q"], &ours);
    assert_eq!(
        live.inspected("ours")["RootFS"],
        live.inspected("base")["RootFS"]
    );
    assert_same(&own_files(&export), &live.files("ours"), "no change");
}

#[test]
fn docker_20() {
    with(Docker::d20(), Store::Graph);
}

#[test]
fn docker_26() {
    with(Docker::d26(), Store::Graph);
}

#[test]
fn docker_26_with_containerd() {
    with(Docker::d26c(), Store::Containerd);
}

#[test]
fn docker_28() {
    with(Docker::d28(), Store::Graph);
}

#[test]
fn docker_28_with_containerd() {
    with(Docker::d28c(), Store::Containerd);
}

// --- without an engine ----------------------------------------------------------------------------

/// A rootfs tar on top of an image; the new archive, or what imgtar says.
fn committed(base: &str, image: &str, rootfs: &[u8]) -> Vec<u8> {
    let args = ["commit", base, "-i", image, "-", "-o", "-"];
    imgtar_with(&args, Input::Pipe(rootfs)).exits(0).stdout
}

fn newest_makes_no_layer(archive: &[u8]) -> bool {
    let history = imgtar_with(&["history", "--json", "-"], Input::Pipe(archive));
    history.exits(0).json()["images"][0]["history"][0]["empty_layer"] == true
}

/// Every archive that engines and tools have written: a container that does nothing changes nothing.
#[test]
fn an_idle_container_changes_nothing() {
    let mut directories = vec![repository("testdata/engines")];
    directories.extend(["archives", "corpus"].into_iter().filter_map(shared));
    let all = directories.iter().flat_map(|directory| {
        let names = archives(directory).into_iter();
        names.map(move |name| format!("{directory}/{name}"))
    });
    let (mut compared, mut refused) = (0, 0);
    for (_, archive) in all.enumerate().filter(|(number, _)| in_turn(*number)) {
        let images = imgtar(&["images", "--json", &archive]);
        if images.code != 0 {
            continue;
        }
        for position in 0..items(&images.json()["images"]).len() {
            let image = format!("@{position}");
            for more in [&[][..], &["--as-container"]] {
                let args = [&["flatten", &archive, &image][..], more].concat();
                let flat = imgtar(&args);
                if flat.code == 0 {
                    let archive = committed(&archive, &image, &flat.stdout);
                    assert!(newest_makes_no_layer(&archive), "{args:?}");
                    compared += 1;
                } else {
                    // Its layers are not what they are said to be, or cannot be applied.
                    assert_eq!(flat.code, 3, "{flat}");
                    refused += 1;
                }
            }
        }
    }
    assert!(
        compared > if full_size() { 30 } else { 10 },
        "only {compared}"
    );
    // Twenty images that others made have layers that cannot be flattened, each asked for twice.
    if !full_size() {
        return;
    }
    if directories.len() == 3 {
        assert_eq!((compared, refused), (314, 40));
    } else {
        assert_eq!(refused, 0);
    }
}

/// From any image of an archive to any other: the layer makes the one of the other.
#[test]
fn one_image_becomes_another() {
    for archive in ["docker20-multi.tar", "docker26c-multi.tar"] {
        let archive = engines(archive);
        let count = items(&answer(&["images", "--json", &archive])["images"]).len();
        assert!(count > 2);
        for from in 0..count {
            for to in 0..count {
                let (from, to) = (format!("@{from}"), format!("@{to}"));
                let wanted = imgtar(&["flatten", &archive, &to]).exits(0).stdout;
                let made = committed(&archive, &from, &wanted);
                let got = imgtar_with(&["flatten", "-"], Input::Pipe(&made)).exits(0);
                assert!(got.stderr.is_empty(), "{got}");
                let rows = |tar: &[u8]| Listing::of(tar).with_only_capabilities().rows;
                let what = format!("{archive} {from} {to}");
                assert_same(&rows(&wanted), &rows(&got.stdout), &what);
            }
        }
    }
}

/// What Docker 20.10 exported of a container, on the archives that several engines wrote of its image.
#[test]
fn a_stored_export_is_no_change() {
    let Some(directory) = shared("archives") else {
        return;
    };
    let export = bytes(&format!("{directory}/quirks-1.export20.tar"));
    for archive in [
        "docker20-quirks.tar",
        "docker26-quirks.tar",
        "docker26c-quirks.tar",
    ] {
        let archive = committed(&format!("{directory}/{archive}"), "@0", &export);
        assert!(newest_makes_no_layer(&archive));
    }
}

/// The same input and time give the same bytes, whatever the number of threads and the compression of
/// the rootfs tar.
#[test]
fn commits_can_be_repeated() {
    let base = engines("docker20-multi.tar");
    let rootfs = imgtar(&["flatten", &base, "@3"]).exits(0).stdout;
    let zipped = zstd::encode_all(&rootfs[..], 1).expect("room in memory");
    let commit = |rootfs: &[u8], jobs: &str| {
        let time = "2020-01-01T00:00:00Z";
        let args = [
            "commit",
            &base,
            "-i@0",
            "-",
            "-o-",
            "--created",
            time,
            "-j",
            jobs,
        ];
        imgtar_with(&args, Input::Pipe(rootfs)).exits(0).stdout
    };
    let first = commit(&rootfs, "1");
    assert!(first == commit(&rootfs, "2") && first == commit(&zipped, "7"));
}

/// How a container runs is changed by Docker's rules: nothing that the base says can be taken back but by
/// something else (`tests` of the same in an engine are above).
#[test]
fn configs_are_merged() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| shown(&directory.path().join(name));
    let (base, with, out) = (file("base.tar"), file("with.tar"), file("out.tar"));
    let layer = forge::layer(&[Entry::file("a", b"1")]);
    fs::write(
        &base,
        forge::archive(std::slice::from_ref(&layer), Form::Hybrid),
    )
    .expect("room");
    fs::write(file("rootfs.tar"), &layer).expect("room");
    let rootfs = file("rootfs.tar");
    let commit = |base: &str, out: &str, changes: &[&str]| {
        let mut args = vec!["commit", base, &rootfs, "-f", "-o", out];
        for change in changes {
            args.extend(["-c", change]);
        }
        imgtar(&args).writes_an_image();
        answer(&["inspect", "--json", out])["images"][0]["config"].clone()
    };
    let check = "HEALTHCHECK --interval=5s --retries=4 CMD check";
    commit(
        &base,
        &with,
        &[
            "ENTRYPOINT [\"e\"]",
            "CMD [\"c\"]",
            "ENV A=1 B=2",
            check,
            "USER u",
        ],
    );
    let run = |changes: &[&str]| commit(&with, &out, changes)["config"].clone();
    assert_eq!(run(&[])["Cmd"], json!(["c"]));
    // A new entrypoint drops the command; none at all takes both from the base again.
    let changed = run(&["ENTRYPOINT [\"f\"]"]);
    assert_eq!(
        (&changed["Entrypoint"], &changed["Cmd"]),
        (&json!(["f"]), &Value::Null)
    );
    let changed = run(&["ENTRYPOINT []"]);
    assert_eq!(
        (&changed["Entrypoint"], &changed["Cmd"]),
        (&json!(["e"]), &json!(["c"]))
    );
    let changed = run(&["ENV B=3 C=4", "HEALTHCHECK --timeout=7s CMD other"]);
    assert_eq!(changed["Env"], json!(["A=1", "B=3", "C=4"]));
    let health = &changed["Healthcheck"];
    assert_eq!(health["Test"], json!(["CMD-SHELL", "other"]));
    assert_eq!(health["Interval"], json!(5_000_000_000_u64));
    assert_eq!(health["Timeout"], json!(7_000_000_000_u64));
    assert_eq!(health["Retries"], json!(4));
    // What the base was committed of is not true of the new image; who made it is, unless told.
    let config = commit(&with, &out, &[]);
    assert_eq!(config.get("container_config"), None);
    let history = config["history"].as_array().expect("steps").last().cloned();
    assert_eq!(history.expect("a step")["created_by"], "c");
}
