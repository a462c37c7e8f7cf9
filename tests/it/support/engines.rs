//! The engines of `.ci/engines.sh`, as commands.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{required, shown, skip};

pub fn skip_engine(what: &str, why: &str) {
    assert!(
        !required("IMGTAR_REQUIRE_ENGINES"),
        "{what} is required, but {why}"
    );
    skip(&format!("what needs {what}"), why);
}

/// A Docker engine with the client of its own release.
#[derive(Clone, Debug)]
pub struct Docker {
    name: &'static str,
    program: &'static str,
    /// Where the engine listens, as its client calls it.
    host: String,
    /// The tree that engine and client run in, if it is not this machine's.
    root: Option<PathBuf>,
    /// Whether the engine is here for tests alone, so that its build cache may be cleared.
    pub ours: bool,
    /// Nobody else uses the engine meanwhile.
    lock: Option<Arc<EngineLock>>,
}

/// An engine for one test at a time, of this test run or another one on this machine: what one test loads changes
/// what another one is answered. It is free again when this goes.
///
/// A test that needs several engines at once asks for them in the order of [`Docker::classic`] and
/// [`Docker::with_containerd`], the older ones first and of one release the classic store first.
#[derive(Debug)]
struct EngineLock(#[expect(dead_code, reason = "the lock goes with the file")] File);

impl EngineLock {
    /// How long the tests of one engine may take together.
    const PATIENCE: Duration = Duration::from_secs(3600);

    /// Waits until nobody uses the engine that listens at `host`.
    fn of(host: &str) -> Self {
        let name: String = host
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let path = env::temp_dir().join(format!("imgtar-tests{name}.lock"));
        let file = File::options().create(true).append(true).open(&path);
        let file = file.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let begin = Instant::now();
        while !is_locked_by_us(&file) {
            assert!(
                begin.elapsed() < Self::PATIENCE,
                "{} is still locked",
                path.display()
            );
            thread::sleep(Duration::from_millis(50));
        }
        Self(file)
    }
}

impl Docker {
    /// Docker 20.10 with the overlay2 store.
    pub fn d20() -> Option<Self> {
        let docker = Self {
            name: "Docker 20.10",
            program: "/usr/bin/docker",
            host: address("Docker 20.10", "IMGTAR_DOCKER20")?,
            root: None,
            ours: true,
            lock: None,
        };
        docker.answering()
    }

    /// Docker 26.1 with the overlay2 store.
    pub fn d26() -> Option<Self> {
        Self::in_tree("Docker 26.1", "IMGTAR_DOCKER26", Tree::trixie)
    }

    /// Docker 26.1 with the containerd store.
    pub fn d26c() -> Option<Self> {
        Self::in_tree(
            "Docker 26.1 with containerd",
            "IMGTAR_DOCKER26C",
            Tree::trixie,
        )
    }

    /// Docker 28.5 with the overlay2 store.
    pub fn d28() -> Option<Self> {
        Self::in_tree("Docker 28.5", "IMGTAR_DOCKER28", Tree::forky)
    }

    /// Docker 28.5 with the containerd store.
    pub fn d28c() -> Option<Self> {
        Self::in_tree(
            "Docker 28.5 with containerd",
            "IMGTAR_DOCKER28C",
            Tree::forky,
        )
    }

    /// Those with the overlay2 store that are there.
    pub fn classic() -> impl Iterator<Item = Self> {
        // Each once the one before is free again.
        let engines: [fn() -> Option<Self>; 3] = [Self::d20, Self::d26, Self::d28];
        engines.into_iter().filter_map(|engine| engine())
    }

    /// Those with the containerd store that are there.
    pub fn with_containerd() -> impl Iterator<Item = Self> {
        let engines: [fn() -> Option<Self>; 2] = [Self::d26c, Self::d28c];
        engines.into_iter().filter_map(|engine| engine())
    }

    fn in_tree(name: &'static str, variable: &str, tree: fn() -> Option<Tree>) -> Option<Self> {
        let host = address(name, variable)?;
        let tree = tree()?;
        let docker = Self {
            name,
            program: "/usr/bin/docker",
            host: format!("unix://{}", tree.inside(&host)),
            root: Some(tree.0),
            ours: true,
            lock: None,
        };
        docker.answering()
    }

    /// Whatever Docker this machine has, where no engine was set up for the tests. `None` without a
    /// word where one was.
    pub fn of_this_machine() -> Option<Self> {
        let named = [
            "IMGTAR_DOCKER20",
            "IMGTAR_DOCKER26",
            "IMGTAR_DOCKER26C",
            "IMGTAR_DOCKER28",
            "IMGTAR_DOCKER28C",
        ];
        if named.iter().any(|variable| env::var_os(variable).is_some()) {
            return None;
        }
        let socket = "unix:///var/run/docker.sock".to_owned();
        let docker = Self {
            name: "this machine's Docker",
            program: "docker",
            host: env::var("DOCKER_HOST").unwrap_or(socket),
            root: None,
            ours: false,
            lock: None,
        };
        docker.answering()
    }

    /// Where this machine finds it.
    fn address(&self) -> String {
        let root = self.root.as_deref().unwrap_or(Path::new(""));
        format!("{}{}", root.display(), self.host)
    }

    fn answering(mut self) -> Option<Self> {
        match self.command(&["info"]).output() {
            Ok(output) if output.status.success() => {
                let lock = EngineLock::of(&self.address());
                self.lock = Some(Arc::new(lock));
                Some(self)
            }
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                skip_engine(self.name, &format!("it does not answer: {why}"));
                None
            }
            Err(why) => {
                skip_engine(
                    self.name,
                    &format!("{} does not start: {why}", self.program),
                );
                None
            }
        }
    }

    /// A command of the engine's client, with UTC for a time zone.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = match &self.root {
            None => Command::new(self.program),
            Some(root) => inside(root, "docker"),
        };
        command
            .args(args)
            .env("DOCKER_HOST", &self.host)
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// What a command prints; it has to succeed.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Vec<u8> {
        finish(self.command(args)).stdout
    }

    /// What a command prints when it is given a file; it has to succeed.
    #[track_caller]
    pub fn run_on<S: AsRef<OsStr>>(&self, args: &[S], input: &str) -> Vec<u8> {
        let mut command = self.command(args);
        command.stdin(File::open(input).expect("the input can be opened"));
        finish(command).stdout
    }

    /// The text that a command prints.
    #[track_caller]
    pub fn ask<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        String::from_utf8(self.run(args)).expect("Docker prints UTF-8")
    }

    /// Runs a command whose failure is no news: tidying up.
    pub fn try_run<S: AsRef<OsStr>>(&self, args: &[S]) {
        drop(self.command(args).output());
    }

    /// Removes an image, whatever it is called. Docker cannot remove one from its containerd store that has a name
    /// which is not a reference; containerd's client can.
    pub fn forget(&self, id: &str) {
        self.try_run(&["rmi", "-f", id]);
        let left = self.command(&["image", "inspect", id]).output();
        if !left.is_ok_and(|left| left.status.success()) {
            return;
        }
        let named = format!("target.digest=={id}");
        for name in self.store(&["images", "ls", "-q", &named]).lines() {
            self.store(&["images", "rm", "--sync", name]);
        }
    }

    /// Waits until the containerd store has nothing left of what was removed, or built. It collects after so many
    /// changes, not after some time, and the build cache holds its layers for good.
    pub fn collect(&self) {
        self.try_run(&["builder", "prune", "-a", "-f"]);
        let lease = format!("imgtar-tests-{}", std::process::id());
        self.store(&["leases", "create", "--id", &lease]);
        self.store(&["leases", "rm", "--sync", &lease]);
    }

    /// What is in the containerd store, one line each with digest, size and labels.
    pub fn content(&self) -> String {
        self.store(&["content", "ls"])
    }

    /// What containerd's client prints of the engine's own store; nothing if it cannot be asked.
    fn store(&self, args: &[&str]) -> String {
        let Some(root) = &self.root else {
            return String::new();
        };
        let run = self
            .host
            .trim_start_matches("unix://")
            .trim_end_matches("/docker.sock");
        let mut command = inside(root, "ctr");
        command
            .args(["-a", &format!("{run}/exec/containerd/containerd.sock")])
            .args(["-n", "moby"])
            .args(args)
            .stdin(Stdio::null());
        let printed = command.output().map(|output| output.stdout);
        String::from_utf8_lossy(&printed.unwrap_or_default()).into_owned()
    }

    /// A path as this machine sees what the engine calls `path`.
    pub fn path_of(&self, path: &str) -> PathBuf {
        match &self.root {
            None => PathBuf::from(path),
            Some(root) => root.join(path.trim_start_matches('/')),
        }
    }
}

/// Locks a file, unless somebody else has it locked. Each test has the file opened on its own, so that keeps threads
/// apart, too.
#[cfg(target_os = "linux")]
fn is_locked_by_us(file: &File) -> bool {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => true,
        Err(rustix::io::Errno::WOULDBLOCK) => false,
        Err(why) => panic!("a lock: {why}"),
    }
}

/// The engines run on Linux.
#[cfg(not(target_os = "linux"))]
fn is_locked_by_us(_file: &File) -> bool {
    true
}

/// What a variable says of where an engine listens; `None`, loudly, where it is not set.
fn address(name: &str, variable: &str) -> Option<String> {
    let found = env::var(variable).ok();
    if found.is_none() {
        skip_engine(name, &format!("{variable} is not set"));
    }
    found
}

/// A tree in which newer engines and tools live.
#[derive(Clone, Debug)]
pub struct Tree(PathBuf);

impl Tree {
    /// The tree of Docker 26.1 and podman 5.4.
    pub fn trixie() -> Option<Self> {
        Self::in_variable("the tree of Docker 26.1", "IMGTAR_ROOT26")
    }

    /// The tree of Docker 28.5, containerd 2.1, podman 5.8 and skopeo 1.22.
    pub fn forky() -> Option<Self> {
        Self::in_variable("the tree of Docker 28.5", "IMGTAR_ROOT28")
    }

    fn in_variable(name: &str, variable: &str) -> Option<Self> {
        address(name, variable).map(|root| Self(root.into()))
    }

    /// What the tree's programs call a socket that this machine calls `unix://PATH`.
    fn inside<'a>(&self, url: &'a str) -> &'a str {
        let path = url.strip_prefix("unix://").unwrap_or(url);
        let root = self.0.to_str().expect("a path of ASCII");
        path.strip_prefix(root).unwrap_or(path)
    }

    /// A command that runs in the tree.
    pub fn command(&self, program: &str) -> Command {
        inside(&self.0, program)
    }

    /// A directory in the tree that is removed with its guard, and what the tree calls it.
    pub fn directory(&self) -> (TempDir, String) {
        let directory = tempfile::Builder::new()
            .prefix("imgtar-")
            .tempdir_in(self.0.join("tmp"))
            .expect("a directory in the tree");
        let below = directory
            .path()
            .strip_prefix(&self.0)
            .expect("below the root");
        let name = format!("/{}", shown(below));
        (directory, name)
    }
}

/// podman with a store of its own, which goes with this.
pub struct Podman {
    tree: Tree,
    directory: TempDir,
    inside: String,
    driver: &'static str,
}

impl Podman {
    /// podman 5.4 with the vfs driver.
    pub fn with_vfs() -> Option<Self> {
        Some(Self::of(Tree::trixie()?, "vfs"))
    }

    /// podman 5.8 with the overlay driver, its usual one.
    pub fn with_overlay() -> Option<Self> {
        Some(Self::of(Tree::forky()?, "overlay"))
    }

    fn of(tree: Tree, driver: &'static str) -> Self {
        let (directory, inside) = tree.directory();
        Self {
            tree,
            directory,
            inside,
            driver,
        }
    }

    /// Copies a file to where podman sees it.
    pub fn take(&self, path: &str) -> String {
        fs::copy(path, self.directory.path().join("in.tar")).expect("room");
        format!("{}/in.tar", self.inside)
    }

    /// A command of podman.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.tree.command("podman");
        command
            .env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
            .args(["--root", &format!("{}/root", self.inside)])
            .args(["--runroot", &format!("{}/run", self.inside)])
            .args(["--storage-driver", self.driver])
            .args(["--cgroup-manager", "cgroupfs"])
            .args(args);
        command
    }

    /// What a command prints; it has to succeed.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Vec<u8> {
        finish(self.command(args)).stdout
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // The overlay driver leaves its directory mounted on itself.
        let mounted = self.directory.path().join("root").join(self.driver);
        drop(Command::new("umount").arg(mounted).output());
    }
}

/// containerd's own client, in a namespace of its own: what kind, k3s and Kubernetes load images with.
pub struct Ctr {
    tree: Tree,
    address: String,
    namespace: String,
}

impl Ctr {
    /// `ctr` of containerd 2.1.
    pub fn find(namespace: &str) -> Option<Self> {
        let name = "containerd 2.1";
        let address = address(name, "IMGTAR_CONTAINERD28")?;
        let tree = Tree::forky()?;
        let ctr = Self {
            address: tree.inside(&address).to_owned(),
            tree,
            namespace: namespace.to_owned(),
        };
        match ctr.command(&["version"]).output() {
            Ok(output) if output.status.success() => Some(ctr),
            _ => {
                skip_engine(name, "it does not answer");
                None
            }
        }
    }

    /// A command of `ctr`.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.tree.command("ctr");
        command
            .args(["-a", &self.address, "-n", &self.namespace])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// What a command prints; it has to succeed.
    #[track_caller]
    pub fn ask<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        String::from_utf8(finish(self.command(args)).stdout).expect("ctr prints UTF-8")
    }

    /// Imports an archive with these options.
    #[track_caller]
    pub fn import(&self, options: &[&str], path: &str) {
        let mut command = self.command(&[&["images", "import"], options, &["-"]].concat());
        command.stdin(File::open(path).expect("the archive can be opened"));
        finish(command);
    }
}

impl Drop for Ctr {
    fn drop(&mut self) {
        // A namespace can go once nothing is left in it; `--sync` waits for what the image held.
        let images = self.command(&["images", "ls", "-q"]).output();
        let images = images.map(|output| output.stdout).unwrap_or_default();
        for name in String::from_utf8_lossy(&images).lines() {
            drop(self.command(&["images", "rm", "--sync", name]).output());
        }
        drop(
            self.command(&["namespaces", "rm", &self.namespace])
                .output(),
        );
    }
}

fn inside(root: &Path, program: &str) -> Command {
    let mut command = Command::new("chroot");
    command
        .arg(root)
        .arg(program)
        .env_remove("TMPDIR")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root");
    command
}

/// A program on the `PATH`; `None`, loudly, where there is none.
pub fn tool(name: &'static str) -> Option<&'static str> {
    find(name).map(|_| name)
}

/// The bytes of a program on the `PATH`; `None`, loudly, where there is none.
pub fn tool_bytes(name: &'static str) -> Option<Vec<u8>> {
    find(name).map(|path| fs::read(path).expect("a program can be read"))
}

/// Where a program is on the `PATH`; `None`, loudly, where there is none.
fn find(name: &'static str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|directory| directory.join(name));
    let found = places.find(|file| file.is_file());
    if found.is_none() {
        skip_engine(name, "it is not on the PATH");
    }
    found
}

/// Waits for a command that has to succeed.
#[track_caller]
pub fn finish(mut command: Command) -> Output {
    let output = match command.output() {
        Ok(output) => output,
        Err(why) => panic!("{command:?}: {why}"),
    };
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
