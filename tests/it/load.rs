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
    ArchiveLayout, ArchiveOptions, OutputImage, SquashOptions, WrittenImage, squash, write_archive,
};
use imgtar::{Jobs, Options};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Docker, Tree, archives, engines, finish, repository, sha256, shared, shown, tool,
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
        let id = match &self.image.manifest {
            Some(manifest) if containerd => manifest.to_string(),
            _ => self.image.id.to_string(),
        };
        if self.layout != ArchiveLayout::DockerLegacy || !containerd {
            assert_eq!(inspected["Id"], id, "{}", self.what);
        }
        assert_eq!(layers(inspected), self.diff_ids, "{}", self.what);
    }

    /// The transport by which skopeo and podman read it.
    fn transport(&self) -> &'static str {
        match self.layout {
            ArchiveLayout::Oci => "oci-archive",
            _ => "docker-archive",
        }
    }

    /// Reads it with skopeo, and has skopeo copy it, which reads every layer.
    fn read_by_skopeo(&self, skopeo: &str) {
        let sources = match self.layout {
            // Two archives in one.
            ArchiveLayout::Docker => vec!["docker-archive", "oci-archive"],
            _ => vec![self.transport()],
        };
        for transport in sources {
            let source = format!("{transport}:{}", self.path());
            let mut inspect = Command::new(skopeo);
            inspect.args(["inspect", "--config", "--raw", &source]);
            assert_eq!(
                sha256(&finish(inspect).stdout),
                self.image.id.to_string(),
                "{}",
                self.what
            );
            let to = self.directory.path().join(format!("copy-{transport}"));
            let mut copy = Command::new(skopeo);
            copy.args(["copy", "-q", "--insecure-policy", &source]);
            copy.arg(format!("dir:{}", shown(&to)));
            finish(copy);
        }
        if self.layout == ArchiveLayout::Oci {
            // By its name.
            let source = format!("oci-archive:{}:{}", self.path(), self.name);
            let mut inspect = Command::new(skopeo);
            inspect.args(["inspect", "--config", "--raw", &source]);
            assert_eq!(finish(inspect).stdout, self.config, "{}", self.what);
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

/// podman with a store of its own.
struct Podman {
    tree: Tree,
    directory: TempDir,
    inside: String,
}

impl Podman {
    fn find() -> Option<Self> {
        let tree = Tree::find()?;
        let (directory, inside) = tree.directory();
        Some(Self {
            tree,
            directory,
            inside,
        })
    }

    /// Copies a file to where podman sees it.
    fn take(&self, path: &str) -> String {
        fs::copy(path, self.directory.path().join("in.tar")).expect("room");
        format!("{}/in.tar", self.inside)
    }

    fn run(&self, args: &[&str]) -> Vec<u8> {
        let mut command = self.tree.command("podman");
        command
            .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
            .args(["--root", &format!("{}/root", self.inside)])
            .args(["--runroot", &format!("{}/run", self.inside)])
            .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args(args);
        finish(command).stdout
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
fn skopeo_reads_what_is_written() {
    let Some(skopeo) = tool("skopeo") else { return };
    each(|_| true, |written| written.read_by_skopeo(skopeo));
}

#[test]
fn podman_loads_what_is_written() {
    let Some(podman) = Podman::find() else { return };
    // It takes seconds to load one, so it gets some samples in one layout each.
    for (i, (what, image)) in samples().into_iter().enumerate() {
        let written = Written::new(image, LAYOUTS[i % LAYOUTS.len()], &what);
        written.read_by_podman(&podman);
    }
}

/// `squash` of every archive that an engine wrote loads.
#[test]
fn squashed_archives_load() {
    let dockers: Vec<(Docker, bool)> = [
        (Docker::d20(), false),
        (Docker::d26(), false),
        (Docker::d26c(), true),
    ]
    .into_iter()
    .filter_map(|(docker, containerd)| Some((docker?, containerd)))
    .collect();
    if dockers.is_empty() {
        return;
    }
    let directory = shared("archives").unwrap_or_else(|| repository("testdata/engines"));
    for name in archives(&directory)
        .iter()
        .filter(|name| !name.contains("export"))
    {
        for image in images(&format!("{directory}/{name}")) {
            let what = format!("{name} {} squashed", image.display_name());
            let written = Written::new(squashed(&image, 0), ArchiveLayout::Docker, &what);
            for (docker, containerd) in &dockers {
                written.load_into(docker, *containerd);
            }
        }
    }
}
