//! What imgtar writes, loaded: every engine has to give the image the ID that imgtar printed, and to
//! find its layers.
//!
//! Engines as in `tests/engines.rs`; without them these tests skip themselves.

use crate::support;
use std::fs::{self, File};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

use imgtar::base::progress::Silent;
use imgtar::image::{Image, Name};
use imgtar::output::{
    ArchiveLayout, ArchiveOptions, LayerCompression, OutputImage, SquashOptions, WrittenImage,
    squash, write_archive,
};
use imgtar::{Jobs, Options};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Ctr, Docker, Podman, Tree, archives, engines, finish, repository, sha256, shared, shown, tool,
};

const LAYOUTS: [ArchiveLayout; 3] = [
    ArchiveLayout::Docker,
    ArchiveLayout::DockerLegacy,
    ArchiveLayout::Oci,
];

fn jobs() -> Jobs {
    Jobs::new(2.try_into().expect("not 0"))
}

/// An archive of one image, and what has to be found in it.
struct Written {
    directory: TempDir,
    layout: ArchiveLayout,
    /// The image's only name: no other test has it.
    name: String,
    image: WrittenImage,
    diff_ids: Vec<String>,
    config: Vec<u8>,
    /// For messages.
    what: String,
}

impl Written {
    fn new(mut image: OutputImage, layout: ArchiveLayout, what: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("imgtar-load-{}-{count}:1", process::id());
        image.names = vec![Name::Reference(name.parse().expect("a reference"))];
        let directory = tempfile::tempdir().expect("a directory");
        let file = File::create(directory.path().join("out.tar")).expect("room");
        let options = ArchiveOptions {
            layout,
            verify: true,
            compress: LayerCompression::Keep,
            jobs: jobs(),
        };
        let what = format!("{what} as {layout:?}");
        let written = write_archive(std::slice::from_ref(&image), file, options, &Silent);
        let mut written = written.unwrap_or_else(|why| panic!("{what}: {why}"));
        Self {
            directory,
            layout,
            name,
            image: written.images.remove(0),
            diff_ids: image
                .layers
                .iter()
                .map(|l| l.diff_id().to_string())
                .collect(),
            config: image.config,
            what,
        }
    }

    fn path(&self) -> String {
        shown(&self.directory.path().join("out.tar"))
    }

    /// Loads it into Docker, and takes it out again. `containerd` says which store that has.
    fn load_into(&self, docker: &Docker, containerd: bool) {
        let _guard = Loaded {
            docker,
            name: &self.name,
        };
        docker.run_on(&["load", "-q"], &self.path());
        let inspected: Value =
            serde_json::from_slice(&docker.run(&["image", "inspect", &self.name])).expect("JSON");
        let inspected = &inspected[0];
        let id = match &self.image.containerd {
            Some(id) if containerd => id.to_string(),
            _ => self.image.id.to_string(),
        };
        assert_eq!(inspected["Id"], id, "{}", self.what);
        assert_eq!(layers(inspected), self.diff_ids, "{}", self.what);
    }

    /// Imports it with containerd's client, which also unpacks it, and takes it out again.
    fn import_into(&self, ctr: &Ctr, options: &[&str]) {
        ctr.import(options, &self.path());
        let name = format!("docker.io/library/{}", self.name);
        let listed = ctr.ask(&["images", "ls", &format!("name=={name}")]);
        let row: Vec<&str> = listed
            .lines()
            .nth(1)
            .unwrap_or("")
            .split_whitespace()
            .collect();
        assert_eq!(row.first(), Some(&name.as_str()), "{}: {listed}", self.what);
        // Of the legacy layout containerd makes the manifest.
        let id = self.image.containerd.as_ref().expect("an ID");
        assert_eq!(row[2], id.to_string(), "{}: {listed}", self.what);
        ctr.ask(&["images", "rm", "--sync", &name]);
    }

    /// The transport by which skopeo and podman read it.
    fn transport(&self) -> &'static str {
        match self.layout {
            ArchiveLayout::Oci => "oci-archive",
            _ => "docker-archive",
        }
    }

    /// Reads it with skopeo, and has skopeo copy it, which reads every layer.
    fn read_by_skopeo(&self, skopeo: &Skopeo) {
        let path = skopeo.take(&self.path());
        let sources = match self.layout {
            // Two archives in one.
            ArchiveLayout::Docker => vec!["docker-archive", "oci-archive"],
            _ => vec![self.transport()],
        };
        for transport in sources {
            let source = format!("{transport}:{path}");
            let config = skopeo.run(&["inspect", "--config", "--raw", &source]);
            assert_eq!(sha256(&config), self.image.id.to_string(), "{}", self.what);
            let to = skopeo.copy_to(transport);
            skopeo.run(&["copy", "-q", "--insecure-policy", &source, &to]);
        }
        if self.layout == ArchiveLayout::Oci {
            // By its name.
            let source = format!("oci-archive:{path}:{}", self.name);
            let config = skopeo.run(&["inspect", "--config", "--raw", &source]);
            assert_eq!(config, self.config, "{}", self.what);
        }
    }

    fn read_by_podman(&self, podman: &Podman) {
        let inside = podman.take(&self.path());
        podman.run(&["load", "-q", "-i", &inside]);
        // As with Docker's own archives: podman does not know what a short name is short for.
        let name = match self.layout {
            ArchiveLayout::DockerLegacy => format!("localhost/{}", self.name),
            _ => format!("docker.io/library/{}", self.name),
        };
        let printed = podman.run(&["image", "inspect", &name]);
        let inspected: Value = serde_json::from_slice(&printed).expect("JSON");
        let id = self.image.id.digest().encoded();
        assert_eq!(inspected[0]["Id"], id, "{}", self.what);
        assert_eq!(layers(&inspected[0]), self.diff_ids, "{}", self.what);
        podman.run(&["rmi", "-f", &name]);
    }
}

/// The diff IDs that an engine inspected; engines say `null` where there are none.
fn layers(inspected: &Value) -> Vec<String> {
    let layers = inspected["RootFS"]["Layers"].as_array();
    let ids = layers.into_iter().flatten();
    ids.map(|id| support::text(id).to_owned()).collect()
}

/// An image in an engine, which goes when this does.
struct Loaded<'l> {
    docker: &'l Docker,
    name: &'l str,
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        self.docker.try_run(&["rmi", "-f", self.name]);
    }
}

/// A skopeo, with a directory that it can see.
pub struct Skopeo {
    tree: Option<Tree>,
    directory: TempDir,
    inside: String,
}

impl Skopeo {
    /// This machine's: 1.9 on Debian bookworm.
    pub fn of_this_machine() -> Option<Self> {
        tool("skopeo")?;
        let directory = tempfile::tempdir().expect("a directory");
        Some(Self {
            tree: None,
            inside: shown(directory.path()),
            directory,
        })
    }

    /// 1.22.
    fn of_today() -> Option<Self> {
        let tree = Tree::forky()?;
        let (directory, inside) = tree.directory();
        Some(Self {
            tree: Some(tree),
            directory,
            inside,
        })
    }

    /// Copies a file to where skopeo sees it.
    pub fn take(&self, path: &str) -> String {
        fs::copy(path, self.directory.path().join("in.tar")).expect("room");
        format!("{}/in.tar", self.inside)
    }

    /// Where a copy goes: nothing is there.
    pub fn copy_to(&self, name: &str) -> String {
        drop(fs::remove_dir_all(self.directory.path().join(name)));
        format!("dir:{}/{name}", self.inside)
    }

    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Vec<u8> {
        finish(self.command(args)).stdout
    }

    /// Runs what it has to refuse.
    #[track_caller]
    pub fn refuses(&self, args: &[&str]) {
        let output = self.command(args).output().expect("skopeo");
        assert!(!output.status.success(), "{args:?}");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.tree {
            Some(tree) => tree.command("skopeo"),
            None => Command::new("skopeo"),
        };
        command.args(args);
        command
    }
}

fn images(archive: &str) -> Vec<Image> {
    let opened = imgtar::open(archive.as_ref(), &Options::default()).expect("a tar");
    opened
        .images()
        .map_or_else(|_| Vec::new(), |set| set.images)
}

fn output(image: &Image) -> OutputImage {
    OutputImage::of(image, jobs(), &Silent).expect("an image")
}

fn squashed(image: &Image, from: usize) -> OutputImage {
    let options = SquashOptions {
        from,
        created: "2026-01-02T03:04:05Z".parse().expect("a time"),
        names: None,
        drop_xattrs: &[],
        verify: true,
        jobs: jobs(),
    };
    squash(image, options, &Silent).expect("layers").image
}

/// Images of every kind: of each release and tool, compressed in every way, with and without what only
/// one of them writes; and squashed ones.
fn samples() -> Vec<(String, OutputImage)> {
    let mut all = Vec::new();
    for name in [
        "docker20-multi.tar",
        "docker26-heredoc.tar",
        "docker26c-one.tar",
        "podman-oci.tar",
        "skopeo-oci-zstd.tar",
        "v1.tar",
    ] {
        let images = images(&engines(name));
        for image in &images {
            all.push((format!("{name} {}", image.display_name()), output(image)));
        }
        let image = &images[0];
        for from in [0, image.layers.len() / 2] {
            all.push((
                format!("{name} squashed from {from}"),
                squashed(image, from),
            ));
        }
    }
    let bare = images(&repository("testdata/broken/zero-layers.tar")).remove(0);
    all.push(("an image without layers".to_owned(), output(&bare)));
    all
}

/// Every sample in every layout that `fits`.
fn each(fits: impl Fn(ArchiveLayout) -> bool, test: impl Fn(&Written)) {
    for (what, image) in samples() {
        for layout in LAYOUTS.into_iter().filter(|layout| fits(*layout)) {
            test(&Written::new(image.clone(), layout, &what));
        }
    }
}

/// Every sample in one of these layouts, which take turns: where loading takes its time.
fn in_turn(layouts: &[ArchiveLayout], test: impl Fn(&Written)) {
    for (i, (what, image)) in samples().into_iter().enumerate() {
        test(&Written::new(image, layouts[i % layouts.len()], &what));
    }
}

#[test]
fn docker_20_loads_what_is_written() {
    let Some(docker) = Docker::d20() else { return };
    // It looks for manifest.json alone.
    let fits = |layout| layout != ArchiveLayout::Oci;
    each(fits, |written| written.load_into(&docker, false));
}

#[test]
fn docker_26_loads_what_is_written() {
    let Some(docker) = Docker::d26() else { return };
    let fits = |layout| layout != ArchiveLayout::Oci;
    each(fits, |written| written.load_into(&docker, false));
}

#[test]
fn docker_26_with_containerd_loads_what_is_written() {
    let Some(docker) = Docker::d26c() else { return };
    each(|_| true, |written| written.load_into(&docker, true));
}

#[test]
fn docker_28_loads_what_is_written() {
    let Some(docker) = Docker::d28() else { return };
    in_turn(&LAYOUTS[..2], |written| written.load_into(&docker, false));
}

#[test]
fn docker_28_with_containerd_loads_what_is_written() {
    let Some(docker) = Docker::d28c() else { return };
    in_turn(&LAYOUTS, |written| written.load_into(&docker, true));
}

#[test]
fn ctr_imports_what_is_written() {
    let namespace = format!("imgtar-load-{}", process::id());
    let Some(ctr) = Ctr::find(&namespace) else {
        return;
    };
    in_turn(&LAYOUTS, |written| {
        written.import_into(&ctr, &[]);
        // As kind does it.
        written.import_into(&ctr, &["--all-platforms", "--digests"]);
    });
}

#[test]
fn skopeo_reads_what_is_written() {
    let Some(skopeo) = Skopeo::of_this_machine() else {
        return;
    };
    each(|_| true, |written| written.read_by_skopeo(&skopeo));
}

#[test]
fn skopeo_of_today_reads_what_is_written() {
    let Some(skopeo) = Skopeo::of_today() else {
        return;
    };
    each(|_| true, |written| written.read_by_skopeo(&skopeo));
}

fn with_podman(podman: Option<Podman>) {
    let Some(podman) = podman else { return };
    in_turn(&LAYOUTS, |written| written.read_by_podman(&podman));
}

#[test]
fn podman_loads_what_is_written() {
    with_podman(Podman::with_vfs());
}

#[test]
fn podman_of_today_loads_what_is_written() {
    with_podman(Podman::with_overlay());
}

/// `squash` of every archive that an engine wrote loads. Docker 28 gets each into one of its two stores, in
/// turn.
#[test]
fn squashed_archives_load() {
    let mut older = vec![(Docker::d20(), false), (Docker::d26(), false)];
    older.push((Docker::d26c(), true));
    let newer = [(Docker::d28(), false), (Docker::d28c(), true)];
    if older
        .iter()
        .chain(&newer)
        .all(|(docker, _)| docker.is_none())
    {
        return;
    }
    let directory = shared("archives").unwrap_or_else(|| repository("testdata/engines"));
    let mut turn = newer.iter().cycle();
    for name in archives(&directory)
        .iter()
        .filter(|name| !name.contains("export"))
    {
        for image in images(&format!("{directory}/{name}")) {
            let what = format!("{name} {} squashed", image.display_name());
            let written = Written::new(squashed(&image, 0), ArchiveLayout::Docker, &what);
            for (docker, containerd) in older.iter().chain(turn.next()) {
                if let Some(docker) = docker {
                    written.load_into(docker, *containerd);
                }
            }
        }
    }
}
