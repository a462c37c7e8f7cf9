//! imgtar against real engines, live: what is built here and now is saved, and imgtar has to say of
//! the file what the engine says of the image.
//!
//! `.ci/engines.sh` starts the engines and names them in the environment. Without them these tests
//! skip themselves, or take this machine's own Docker if it has one. Everything that is made in an
//! engine has a name of its own and is removed again, also after a failure.

use std::fs;
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Docker, Tree, answer, assert_step, bytes, engines, finish, imgtar, items, lines, number, read,
    shown, sorted, text, tool,
};

/// With which builder an image is made. What they write into the history differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Builder {
    Classic,
    BuildKit,
}

/// The steps of the test image: metadata alone, a copy, a command that leaves a whiteout, a hard link
/// and a symbolic link.
const DOCKERFILE: &str = r#"
LABEL made-for="the tests" note="<a> & \"b\""
ENV PATH=/bin GREETING="two words"
COPY copied.txt /srv/copied.txt
RUN ["/bin/busybox", "sh", "-c", "b=/bin/busybox; $b rm /etc/gone; $b ln /lib/one /lib/three; $LINK"]
WORKDIR /srv/app
EXPOSE 8080
ENTRYPOINT ["/bin/busybox"]
CMD ["echo", "a command that is longer than the forty-five columns that are shown of it"]
"#;

/// Images of this run in an engine, and the archive that it saved of them.
struct Saved {
    docker: Docker,
    repository: String,
    directory: TempDir,
    builder: Builder,
}

impl Drop for Saved {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Saved {
    /// Imports a base, builds on it, commits a container of that; saves all three, and loads them
    /// again: an engine knows more of what it built than an archive can tell.
    fn make(docker: Docker, builder: Builder) -> Option<Self> {
        let busybox = busybox()?;
        let saved = Self {
            repository: unique_name(),
            directory: tempfile::tempdir().expect("a directory"),
            builder,
            docker,
        };
        let base = saved.file("base.tar");
        fs::write(&base, base_tar(&busybox)).expect("room for the base");
        let import = ["import", "-m", "the base", "-", &saved.tag("base")];
        saved.docker.run_on(&import, &base);

        let context = saved.file("context.tar");
        // Docker leaves symbolic links out of the size of a layer for as long as BuildKit remembers
        // having made it, so BuildKit gets one in its base only.
        let link = match builder {
            Builder::Classic => "$b ln -s one /lib/four",
            Builder::BuildKit => "$b chmod 0600 /lib/one",
        };
        let steps = DOCKERFILE.replace("$LINK", link);
        let dockerfile = format!("FROM {}{steps}", saved.tag("base"));
        fs::write(&context, context_tar(&dockerfile)).expect("room for the context");
        let mut build = saved
            .docker
            .command(&["build", "-q", "--no-cache", "--force-rm"]);
        build
            .args(["--network", "host", "-t", &saved.tag("1"), "-"])
            .env(
                "DOCKER_BUILDKIT",
                if builder == Builder::BuildKit {
                    "1"
                } else {
                    "0"
                },
            )
            .stdin(fs::File::open(&context).expect("it was just written"));
        finish(build);

        let container = &saved.repository;
        saved.docker.run(&[
            "create",
            "--name",
            container,
            &saved.tag("1"),
            "some",
            "words",
        ]);
        let author = "A Person <person@example.com>";
        let commit = [
            "commit",
            "-a",
            author,
            "-m",
            "by hand",
            container,
            &saved.tag("2"),
        ];
        saved.docker.run(&commit);
        saved.docker.run(&["rm", container]);

        let names = saved.names();
        let mut save = vec!["save".to_owned()];
        save.extend(names.iter().cloned());
        fs::write(saved.archive(), saved.docker.run(&save)).expect("room for the archive");
        saved.remove();
        saved.docker.run_on(&["load", "-q"], &saved.archive());
        Some(saved)
    }

    fn names(&self) -> [String; 3] {
        ["base", "1", "2"].map(|tag| self.tag(tag))
    }

    fn tag(&self, tag: &str) -> String {
        format!("{}:{tag}", self.repository)
    }

    fn file(&self, name: &str) -> String {
        shown(&self.directory.path().join(name))
    }

    fn archive(&self) -> String {
        self.file("saved.tar")
    }

    fn inspected(&self, name: &str) -> Value {
        let all: Value =
            serde_json::from_slice(&self.docker.run(&["image", "inspect", name])).expect("JSON");
        all[0].clone()
    }

    /// Takes everything out of the engine again.
    fn remove(&self) {
        self.docker.try_run(&["rm", "-f", &self.repository]);
        for name in self.names() {
            self.docker.try_run(&["rmi", "-f", &name]);
        }
        if self.docker.ours && self.builder == Builder::BuildKit {
            self.docker.try_run(&["builder", "prune", "-af"]);
        }
    }
}

fn busybox() -> Option<Vec<u8>> {
    tool("busybox")?;
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|directory| directory.join("busybox"))
            .find(|file| file.is_file())
    });
    Some(fs::read(found?).expect("busybox can be read"))
}

fn unique_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    format!("imgtar-live-{}-{}-{count}", process::id(), now.as_nanos())
}

fn entry(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(1_600_000_000);
    header.set_size(size as u64);
    header
}

fn put(tar: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, body: &[u8]) {
    let mut header = entry(tar::EntryType::Regular, mode, body.len());
    tar.append_data(&mut header, name, body)
        .expect("room in memory");
}

/// A root file system with links of both kinds and something to delete.
fn base_tar(busybox: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["bin/", "etc/", "lib/", "srv/"] {
        let mut header = entry(tar::EntryType::Directory, 0o755, 0);
        tar.append_data(&mut header, name, &[][..])
            .expect("room in memory");
    }
    put(&mut tar, "bin/busybox", 0o755, busybox);
    put(&mut tar, "etc/gone", 0o644, b"deleted by a step\n");
    put(&mut tar, "lib/one", 0o644, b"one file, several names\n");
    for (kind, name, target) in [
        (tar::EntryType::Link, "lib/two", "lib/one"),
        (tar::EntryType::Symlink, "lib/link", "one"),
    ] {
        let mut header = entry(kind, 0o777, 0);
        tar.append_link(&mut header, name, target)
            .expect("room in memory");
    }
    tar.into_inner().expect("room in memory")
}

fn context_tar(dockerfile: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    put(&mut tar, "Dockerfile", 0o644, dockerfile.as_bytes());
    put(&mut tar, "copied.txt", 0o644, b"copied into the image\n");
    tar.into_inner().expect("room in memory")
}

// --- Docker with its own store ------------------------------------------------------------------------

#[test]
fn docker_20_classic() {
    with(Docker::d20(), Builder::Classic);
}

#[test]
fn docker_20_buildkit() {
    with(Docker::d20(), Builder::BuildKit);
}

#[test]
fn docker_26_classic() {
    with(Docker::d26(), Builder::Classic);
}

#[test]
fn docker_26_buildkit() {
    with(Docker::d26(), Builder::BuildKit);
}

/// Where nobody set up engines for the tests, this machine's Docker will do, if it keeps layers in
/// the way that the sizes depend on. Its build cache is somebody's, so it is not filled.
#[test]
fn docker_of_this_machine() {
    let docker = Docker::of_this_machine();
    let fits = |docker: &Docker| docker.ask(&["info", "-f", "{{.Driver}}"]).trim() == "overlay2";
    with(docker.filter(fits), Builder::Classic);
}

fn with(docker: Option<Docker>, builder: Builder) {
    let Some(saved) = docker.and_then(|docker| Saved::make(docker, builder)) else {
        return;
    };
    histories_are_the_engines(&saved);
    ages_are_the_engines(&saved);
    images_are_what_the_engine_inspects(&saved);
    layers_lie_where_the_engine_keeps_them(&saved);
    the_archive_verifies(&saved);
    skopeo_reads_the_same(&saved);
    umoci_reads_the_same(&saved);
}

/// `history` prints what the engine prints: byte for byte, whole, cut and quiet; and the same in JSON.
fn histories_are_the_engines(saved: &Saved) {
    let archive = saved.archive();
    for name in &saved.names() {
        for options in [
            &["--no-trunc", "-H=false"][..],
            &["-H=false"],
            &["-q"],
            &["-q", "--no-trunc"],
        ] {
            let docker = [&["history"], options, &[name.as_str()]].concat();
            let ours = [&["history", archive.as_str(), name.as_str()], options].concat();
            let ours = imgtar(&ours).succeeds();
            assert_eq!(ours.out(), saved.docker.ask(&docker), "{docker:?}");
        }
        let format = ["history", "--no-trunc", "--format", "{{json .}}", name];
        let stored = lines(&saved.docker.ask(&format));
        let json = answer(&["history", "--json", &archive, name]);
        let steps = items(&json["images"][0]["history"]);
        assert_eq!(steps.len(), stored.len(), "{name}");
        for (step, line) in steps.iter().zip(&stored) {
            assert_eq!(
                step["id"].as_str().unwrap_or("<missing>"),
                text(&line["ID"])
            );
            assert_step(step, line, name);
        }
    }
}

/// Ages and sizes for people are the engine's too, in `history` and in `images`.
fn ages_are_the_engines(saved: &Saved) {
    let archive = saved.archive();
    for name in &saved.names() {
        at_one_moment(
            || saved.docker.ask(&["history", name]),
            || {
                imgtar(&["history", &archive, name])
                    .succeeds()
                    .out()
                    .to_owned()
            },
        );
    }
    // Docker sorts by age, an archive has an order of its own.
    let by_line = |table: &str| {
        let mut lines: Vec<String> = table.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    for options in [&["images"][..], &["images", "--no-trunc"]] {
        at_one_moment(
            || by_line(&saved.docker.ask(&[options, &[&saved.repository]].concat())),
            || by_line(imgtar(&[options, &[&archive]].concat()).succeeds().out()),
        );
    }
}

/// Compares two answers that tell how long ago something was: ours counts if the engine's was the
/// same before and after it.
#[track_caller]
fn at_one_moment<T: PartialEq + std::fmt::Debug>(engine: impl Fn() -> T, ours: impl Fn() -> T) {
    for _ in 0..100 {
        let before = engine();
        let own = ours();
        if before == engine() {
            assert_eq!(own, before);
            return;
        }
    }
    panic!("the engine never gave the same answer twice");
}

/// `images` and `inspect` say of the archive what the engine's `inspect` says of the image.
fn images_are_what_the_engine_inspects(saved: &Saved) {
    let json = answer(&["inspect", "--json", &saved.archive()]);
    let images = items(&json["images"]);
    assert_eq!(images.len(), 3);
    for name in saved.names() {
        let docker = saved.inspected(&name);
        let image = images
            .iter()
            .find(|image| sorted(&image["references"]) == [name.clone()])
            .expect("every image that was saved");
        assert_eq!(image["id"], docker["Id"], "{name}");
        assert_eq!(sorted(&image["references"]), sorted(&docker["RepoTags"]));
        assert_eq!(image["created"], docker["Created"], "{name}");
        assert_eq!(image["size"], docker["Size"], "{name}");
        let platform = format!("{}/{}", text(&docker["Os"]), text(&docker["Architecture"]));
        assert_eq!(text(&image["platform"]), platform, "{name}");
        let diff_ids: Vec<&Value> = items(&image["layers"])
            .iter()
            .map(|layer| &layer["diff_id"])
            .collect();
        let theirs: Vec<&Value> = items(&docker["RootFS"]["Layers"]).iter().collect();
        assert_eq!(diff_ids, theirs, "{name}");
        let config = &image["config"];
        assert_eq!(
            config["author"].as_str().unwrap_or(""),
            text(&docker["Author"]),
            "{name}"
        );
        // A config without a comment has that of its last step.
        let comments = [&config["comment"], &image["history"][0]["comment"]];
        let comment = comments
            .iter()
            .find_map(|c| c.as_str().filter(|c| !c.is_empty()));
        assert_eq!(comment.unwrap_or(""), text(&docker["Comment"]), "{name}");
        for key in ["Env", "Cmd", "Entrypoint", "Labels", "ExposedPorts"] {
            assert_eq!(config["config"][key], docker["Config"][key], "{name} {key}");
        }
    }
}

/// `layers --store-paths` names the directories in which the engine keeps the layers, and what the
/// engine noted there is what imgtar computed.
fn layers_lie_where_the_engine_keeps_them(saved: &Saved) {
    if !saved.docker.ours {
        // Another's data root is not for us to look into.
        return;
    }
    let root = saved.docker.ask(&["info", "-f", "{{.DockerRootDir}}"]);
    let driver = saved.docker.ask(&["info", "-f", "{{.Driver}}"]);
    assert_eq!(driver.trim(), "overlay2");
    let json = answer(&["layers", "--store-paths", "--json", &saved.archive()]);
    let layers = items(&json["images"])
        .iter()
        .flat_map(|image| items(&image["layers"]));
    let mut seen = 0;
    for layer in layers {
        let path = format!("{}/{}", root.trim(), text(&layer["store_path"]));
        let path = saved.docker.path_of(&path);
        assert!(path.is_dir(), "{}", path.display());
        let noted = |name: &str| read(&shown(&path.join(name)));
        assert_eq!(noted("diff"), text(&layer["diff_id"]));
        assert_eq!(noted("size"), number(&layer["size"]).to_string());
        seen += 1;
    }
    assert!(seen > 5, "{seen} layers");
}

/// What an engine saved has no problem at all.
fn the_archive_verifies(saved: &Saved) {
    let json = answer(&["verify", "--strict", "--json", &saved.archive()]);
    assert_eq!(items(&json["archives"][0]["problems"]), [] as [Value; 0]);
}

// --- other tools on what Docker saved ---------------------------------------------------------------

/// skopeo reads the same configs out of the archive that Docker saved.
fn skopeo_reads_the_same(saved: &Saved) {
    let Some(skopeo) = tool("skopeo") else { return };
    for name in saved.names() {
        let source = format!("docker-archive:{}:{name}", saved.archive());
        assert_same_config(&skopeo_config(skopeo, &source), &saved.archive(), &name);
    }
}

fn skopeo_config(skopeo: &str, source: &str) -> Value {
    let mut command = process::Command::new(skopeo);
    command
        .args(["inspect", "--config", source])
        .stdin(Stdio::null());
    serde_json::from_slice(&finish(command).stdout).expect("skopeo prints JSON")
}

#[track_caller]
fn assert_same_config(theirs: &Value, archive: &str, image: &str) {
    let json = answer(&["inspect", "--json", archive, image]);
    let ours = &json["images"][0];
    assert_eq!(ours["created"], theirs["created"], "{image}");
    let platform = format!("{}/{}", text(&theirs["os"]), text(&theirs["architecture"]));
    assert_eq!(text(&ours["platform"]), platform, "{image}");
    let diff_ids: Vec<&Value> = items(&ours["layers"])
        .iter()
        .map(|layer| &layer["diff_id"])
        .collect();
    let claimed: Vec<&Value> = items(&theirs["rootfs"]["diff_ids"]).iter().collect();
    assert_eq!(diff_ids, claimed, "{image}");
}

/// skopeo and umoci read the same out of an OCI archive that skopeo makes of it.
fn umoci_reads_the_same(saved: &Saved) {
    let (Some(skopeo), Some(umoci)) = (tool("skopeo"), tool("umoci")) else {
        return;
    };
    let archive = saved.file("oci.tar");
    let mut copy = process::Command::new(skopeo);
    let source = format!("docker-archive:{}:{}", saved.archive(), saved.tag("2"));
    let target = format!("oci-archive:{archive}:v1");
    copy.args(["copy", "-q", "--insecure-policy", &source, &target]);
    finish(copy);
    let config = skopeo_config(skopeo, &format!("oci-archive:{archive}"));
    assert_same_config(&config, &archive, "@0");

    let layout = saved.file("layout");
    let file = fs::File::open(&archive).expect("skopeo wrote it");
    tar::Archive::new(file)
        .unpack(&layout)
        .expect("a sound tar");
    let mut stat = process::Command::new(umoci);
    stat.args(["stat", "--json", "--image", &format!("{layout}:v1")]);
    let stat: Value = serde_json::from_slice(&finish(stat).stdout).expect("umoci prints JSON");
    let json = answer(&["history", "--json", &archive]);
    let layers = answer(&["layers", "--json", &archive]);
    let steps = items(&json["images"][0]["history"]);
    let theirs = items(&stat["history"]);
    assert_eq!(steps.len(), theirs.len());
    // umoci begins with the oldest step.
    for (ours, theirs) in steps.iter().rev().zip(theirs) {
        assert_eq!(ours["created"], theirs["created"]);
        for key in ["created_by", "comment", "author"] {
            assert_eq!(text(&ours[key]), theirs[key].as_str().unwrap_or(""));
        }
        assert_eq!(
            ours["diff_id"].as_str().unwrap_or(""),
            text(&theirs["diff_id"])
        );
        assert_eq!(ours["empty_layer"], theirs["layer"].is_null());
        if let Some(index) = ours["layer"].as_u64() {
            let layer = &layers["images"][0]["layers"][usize::try_from(index).expect("small")];
            assert_eq!(layer["digest"], theirs["layer"]["digest"]);
            assert_eq!(layer["media_type"], theirs["layer"]["mediaType"]);
            assert_eq!(layer["stored_size"], theirs["layer"]["size"]);
        }
    }
}

// --- Docker with the containerd store -----------------------------------------------------------------

/// What goes into the containerd store and is saved from there is the same image, in another layout.
#[test]
fn the_containerd_store_saves_the_same_images() {
    let (Some(d20), Some(d26c)) = (Docker::d20(), Docker::d26c()) else {
        return;
    };
    let Some(saved) = Saved::make(d20, Builder::Classic) else {
        return;
    };
    let again = Saved {
        docker: d26c,
        repository: saved.repository.clone(),
        directory: tempfile::tempdir().expect("a directory"),
        builder: Builder::Classic,
    };
    again.docker.run_on(&["load", "-q"], &saved.archive());
    let mut save = vec!["save".to_owned()];
    save.extend(again.names());
    fs::write(again.archive(), again.docker.run(&save)).expect("room for the archive");

    the_archive_verifies(&again);
    let before = answer(&["images", "--json", &saved.archive()]);
    let after = answer(&["inspect", "--json", &again.archive()]);
    assert_eq!(before["archive"]["layout"], "docker");
    assert_eq!(after["archive"]["layout"], "docker-oci");
    assert_eq!(items(&after["images"]).len(), 3);
    for image in items(&before["images"]) {
        let other = items(&after["images"])
            .iter()
            .find(|found| found["references"] == image["references"])
            .expect("every image that was saved");
        for (key, value) in image.as_object().expect("an object") {
            // `images` counts the layers, `inspect` lists them.
            let said = match key.as_str() {
                "layers" => &Value::from(items(&other["layers"]).len()),
                key => &other[key],
            };
            assert_eq!(said, value, "{key}");
        }
        // This store calls an image by the digest of its manifest.
        let docker = again.inspected(text(&image["references"][0]));
        assert_eq!(docker["Id"], other["manifest_digest"]);
    }
}

/// An archive from the containerd store does not tell parents, so Docker shows none once it is loaded,
/// and neither does imgtar; everything else is to the byte what Docker prints.
#[test]
fn parents_are_missing_in_archives_from_the_containerd_store() {
    let Some(docker) = Docker::d26() else { return };
    let archive = engines("docker26c-multi.tar");
    let images = Loaded::new(&docker, &archive);
    let table = docker.ask(&["history", "-q", "imgtar-testdata/app:2"]);
    assert_eq!(table.lines().nth(1), Some("<missing>"));
    for name in &images.names {
        for options in [&["--no-trunc", "-H=false"][..], &["-H=false"], &["-q"]] {
            let theirs = docker.ask(&[&["history"], options, &[name.as_str()]].concat());
            let ours = [&["history", archive.as_str(), name.as_str()], options].concat();
            assert_eq!(imgtar(&ours).succeeds().out(), theirs, "{name} {options:?}");
        }
    }
}

/// Images of `testdata` in an engine.
struct Loaded<'d> {
    docker: &'d Docker,
    names: Vec<String>,
}

impl<'d> Loaded<'d> {
    fn new(docker: &'d Docker, archive: &str) -> Self {
        let json = answer(&["images", "--json", archive]);
        let names = items(&json["images"])
            .iter()
            .flat_map(|image| sorted(&image["references"]));
        let loaded = Self {
            docker,
            names: names.collect(),
        };
        // What the engine knows from elsewhere would count otherwise.
        loaded.remove();
        docker.run_on(&["load", "-q"], archive);
        loaded
    }

    fn remove(&self) {
        for name in &self.names {
            self.docker.try_run(&["rmi", "-f", name]);
        }
    }
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

// --- podman -------------------------------------------------------------------------------------------

/// podman loads and saves the image in both of its formats, and imgtar finds the same layers, times
/// and steps in them.
#[test]
fn podman_saves_the_same_image() {
    let (Some(docker), Some(tree)) = (Docker::d20(), Tree::trixie()) else {
        return;
    };
    let Some(saved) = Saved::make(docker, Builder::Classic) else {
        return;
    };
    let (directory, inside) = tree.directory();
    let file = |name: &str| shown(&directory.path().join(name));
    fs::write(file("in.tar"), bytes(&saved.archive())).expect("room for the archive");
    let name = format!("docker.io/library/{}", saved.tag("2"));
    let podman = |args: &[&str]| {
        let mut command = tree.command("podman");
        command
            .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
            .args([
                "--root",
                &format!("{inside}/root"),
                "--runroot",
                &format!("{inside}/run"),
            ])
            .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args(args);
        finish(command);
    };
    podman(&["load", "-q", "-i", &format!("{inside}/in.tar")]);
    let id = saved.inspected(&saved.tag("2"))["Id"].clone();
    podman(&["tag", text(&id), &name]);
    for format in ["docker-archive", "oci-archive"] {
        let out = format!("{inside}/{format}.tar");
        podman(&["save", "-q", "--format", format, "-o", &out, &name]);
    }
    podman(&["rmi", "-a", "-f"]);

    let rows = |archive: &str, image: &str| {
        let json = answer(&["history", "--json", archive, image]);
        let mut image = json["images"][0].clone();
        for step in image["history"].as_array_mut().expect("an array") {
            step.as_object_mut().expect("an object").remove("id");
        }
        (image["references"].clone(), image["history"].clone())
    };
    let original = rows(&saved.archive(), &saved.tag("2"));
    for format in ["docker-archive", "oci-archive"] {
        let archive = file(&format!("{format}.tar"));
        imgtar(&["verify", "--strict", &archive]).succeeds();
        assert_eq!(rows(&archive, "@0"), original, "{format}");
    }
    let images = answer(&["images", "--json", &file("docker-archive.tar")]);
    assert_eq!(images["images"][0]["id"], id);
}
