//! What happens when the surroundings fail: the disk is full, the file shrinks, the reader has gone, the
//! process is ended. A clear error and the right exit code, nothing half written, nothing left behind.
#![cfg(unix)]

use crate::support::forge;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use imgtar::base::progress::Silent;
use imgtar::{Class, Error, Jobs, Options};

use crate::support::{engines, imgtar, program, repository, shown, skip};

pub fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|e| e.expect("an entry").path()).collect()
}

#[track_caller]
pub fn fails(output: &Output, words: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{err}");
    for word in ["error: "].iter().chain(words) {
        assert!(err.contains(word), "`{word}` is not in: {err}");
    }
}

/// A file system of so many bytes, which goes with the value; `None` without the right to mount one.
pub struct Small(tempfile::TempDir);

impl Small {
    pub fn of(bytes: usize) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]);
        let mounted = mount.arg(directory.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(directory));
        }
        // Past the capturing of `cargo test`.
        _ = writeln!(
            std::io::stderr(),
            "SKIPPED: a full file system, because none can be mounted here"
        );
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.0.path()).status();
    }
}

// --- full ----------------------------------------------------------------------------------------------------

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_an_error() {
    let archive = engines("tiny26.tar");
    let full = || File::options().write(true).open("/dev/full");
    for args in [
        &["images", &archive][..],
        &["verify", &archive, "--json"],
        &["flatten", &archive],
        &["cat", &archive, "same.txt"],
    ] {
        let output = program()
            .args(args)
            .stdout(full().expect("every Linux has it"))
            .output()
            .expect("imgtar starts");
        fails(&output, &["cannot write", "No space left on device"]);
    }
    let output = program()
        .args(["flatten", &archive, "-o", "/dev/full"])
        .output()
        .expect("imgtar starts");
    fails(
        &output,
        &["cannot write the output", "No space left on device"],
    );
    assert!(Path::new("/dev/full").exists());
}

#[test]
fn a_full_file_system_gets_no_part_of_the_output() {
    let Some(small) = Small::of(16 * 1024) else {
        return;
    };
    let out = small.path().join("rootfs.tar");
    let archive = engines("docker20-one.tar");
    let output = program()
        .args(["flatten", &archive, "-o", &shown(&out)])
        .output()
        .expect("imgtar starts");
    fails(
        &output,
        &["cannot write the output", "No space left on device"],
    );
    assert!(entries(small.path()).is_empty());
    // What was there is still there.
    fs::write(&out, "mine").expect("room for four bytes");
    let output = program()
        .args(["flatten", &archive, "--force", "-o", &shown(&out)])
        .output()
        .expect("imgtar starts");
    fails(&output, &["No space left on device"]);
    assert_eq!(fs::read(&out).expect("the file"), b"mine");
    assert_eq!(entries(small.path()), [out]);
}

#[test]
fn a_full_directory_for_temporary_files_is_an_error() {
    let Some(small) = Small::of(64 * 1024) else {
        return;
    };
    for archive in ["docker20-one.tar.gz", "docker20-one.tar.zst"] {
        let output = program()
            .args(["images", &engines(archive)])
            .env("TMPDIR", small.path())
            .output()
            .expect("imgtar starts");
        fails(&output, &["temporary copy", "No space left", "TMPDIR"]);
        assert!(entries(small.path()).is_empty());
    }
}

#[test]
fn a_missing_directory_for_temporary_files_is_an_error() {
    let output = program()
        .args(["images", &engines("docker20-one.tar.gz")])
        .env("TMPDIR", "/nonexistent")
        .output()
        .expect("imgtar starts");
    fails(&output, &["/nonexistent", "TMPDIR"]);
}

#[test]
fn an_output_that_cannot_be_made_is_an_error() {
    let archive = engines("tiny26.tar");
    let output = program()
        .args(["flatten", &archive, "-o", "/nonexistent/rootfs.tar"])
        .output()
        .expect("imgtar starts");
    fails(&output, &["/nonexistent"]);
}

// --- input ---------------------------------------------------------------------------------------------------

#[test]
fn an_input_that_cannot_be_read_is_an_error() {
    imgtar(&["images", "/nonexistent.tar"]).exits(4);
}

/// A process's memory is a file of no length.
#[test]
#[cfg(target_os = "linux")]
fn an_input_without_a_length_is_empty() {
    let run = imgtar(&["images", "/proc/self/mem"]).exits(3);
    let says = "/proc/self/mem is empty";
    assert!(run.err().contains(says), "{run}");
}

/// A file that becomes shorter while it is read is no damaged archive.
#[test]
fn an_input_that_shrinks_is_told_for_what_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("shrinking.tar");
    fs::copy(engines("docker26-one.tar"), &path).expect("room for a copy");
    let archive = imgtar::open(&path, &Options::default()).expect("an archive");
    let set = archive.images().expect("images");
    let len = path.metadata().expect("a file").len();
    let file = File::options().write(true).open(&path).expect("our file");
    file.set_len(len / 2).expect("our file");
    let failed = imgtar::check::verify(&archive, &set, Jobs::all_cores(), &Silent);
    let error = Error::from(failed.expect_err("half of it is gone"));
    assert_eq!(error.class(), Class::Environment);
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = next {
        text.push_str(&error.to_string());
        next = error.source();
    }
    assert!(text.contains("became shorter while it was read"), "{text}");
}

// --- bugs ----------------------------------------------------------------------------------------------------

/// A panic has an exit code of its own, and whoever sees it is asked to report it.
#[test]
fn a_bug_is_told_from_all_other_errors() {
    if !cfg!(debug_assertions) {
        skip("exit code 70", "a release build does not panic on demand");
        return;
    }
    for args in [
        &["images", &*engines("tiny26.tar")][..],
        &["images", "/nonexistent.tar"],
    ] {
        let mut command = program();
        command.args(args).env("IMGTAR_TEST_PANIC", "1");
        let output = command.output().expect("imgtar starts");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(70), "{err}");
        assert!(output.stdout.is_empty(), "{err}");
        let last = err.lines().last().unwrap_or_default();
        assert_eq!(
            last,
            "error: this is a bug in imgtar; please report it with the archive or the command that shows it"
        );
    }
}

// --- signals and pipes ----------------------------------------------------------------------------------------

/// An archive whose image takes a while to write: a compressed layer with a file of 100 MB.
fn slow(directory: &Path) -> String {
    let file = forge::Entry::new(b'0', b"file");
    let body = vec![b'x'; 100_000_000];
    let layer = forge::layer(&[forge::Entry { body, ..file }]);
    let path = directory.join("slow.tar");
    let archive = forge::archive(&[layer], forge::Form::Compressed);
    fs::write(&path, archive).expect("room for the archive");
    shown(&path)
}

/// Waits until a process has a file open in this directory, with a name or without.
pub fn until_it_writes(child: &mut Child, directory: &Path) {
    let open = format!("/proc/{}/fd", child.id());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) && child.try_wait().expect("ours").is_none() {
        let links = fs::read_dir(&open).into_iter().flatten().flatten();
        let mut targets = links.filter_map(|link| fs::read_link(link.path()).ok());
        if targets.any(|target| target.starts_with(directory)) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whatever ends the process, nothing is left of what it wrote, and what was there stays.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_is_ended_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = slow(directory.path());
    let mut ended = 0;
    for (i, signal) in ["-KILL", "-KILL", "-KILL", "-TERM", "-INT", "-HUP"]
        .iter()
        .enumerate()
    {
        for force in [false, true] {
            let out = tempfile::tempdir().expect("a directory");
            let target = out.path().join("rootfs.tar");
            if force {
                fs::write(&target, "mine").expect("room");
            }
            let mut command = program();
            command.args(["flatten", &archive, "-o", &shown(&target)]);
            if force {
                command.arg("--force");
            }
            let mut child = command.spawn().expect("imgtar starts");
            until_it_writes(&mut child, out.path());
            // Early, and later.
            thread::sleep(Duration::from_millis(20 * i as u64));
            let id = child.id().to_string();
            _ = Command::new("kill").args([signal, &*id]).output();
            let status = child.wait().expect("our child");
            if status.success() {
                // It was faster than the signal.
                continue;
            }
            ended += 1;
            assert!(
                status.code() == Some(130) || status.signal().is_some(),
                "{status}"
            );
            if force {
                assert_eq!(entries(out.path()), std::slice::from_ref(&target));
                assert_eq!(fs::read(&target).expect("the file"), b"mine");
            } else {
                assert!(entries(out.path()).is_empty(), "{signal}");
            }
        }
    }
    assert!(ended > 0, "imgtar was always faster");
}

/// What a shell runs to run its arguments where no file can be made that has no name: the output then has a
/// name while it is written, which a signal has to take away.
#[cfg(target_os = "linux")]
const NAMED: &str = r#"
mount -t tmpfs none /proc/$$/fd || exit 99
exec "$0" "$@"
"#;

/// Starts `imgtar` in a shell that runs `before`; its output has a name of its own while it is written.
#[cfg(target_os = "linux")]
fn named(before: &str, args: &[&str]) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{before}{NAMED}")])
        .arg(env!("CARGO_BIN_EXE_imgtar"))
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().expect("sh starts")
}

/// Waits until a file with a name of its own is being written in `directory`; false without the right to
/// mount, or if it was done before that was seen.
#[cfg(target_os = "linux")]
fn is_writing(child: &mut Child, directory: &Path) -> bool {
    let begun = Instant::now();
    let is_part = |path: &PathBuf| shown(path).contains(".imgtar-");
    while !entries(directory).iter().any(is_part) {
        if let Some(status) = child.try_wait().expect("ours") {
            if status.code() == Some(99) {
                _ = writeln!(
                    std::io::stderr(),
                    "SKIPPED: named temporary files, because nothing can be mounted here"
                );
            }
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(1));
    }
    true
}

#[cfg(target_os = "linux")]
fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([signal, &*id]).status();
    assert!(sent.expect("kill starts").success());
}

/// What a process was started to ignore it goes on to ignore, as `nohup` and shells want it; what it was not,
/// ends it, takes the unfinished file away, and is seen by whoever waits for the process.
#[cfg(target_os = "linux")]
#[test]
fn ignored_signals_stay_ignored() {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = slow(directory.path());
    for (ignored, name, number) in [
        ("INT", "-INT", 2),
        ("HUP", "-HUP", 1),
        ("TERM", "-TERM", 15),
    ] {
        for ignores in [true, false] {
            let out = tempfile::tempdir().expect("a directory");
            let target = out.path().join("rootfs.tar");
            let before = if ignores {
                format!("trap '' {ignored}\n")
            } else {
                String::new()
            };
            let args = ["flatten", &archive, "-o", &shown(&target)];
            let mut child = named(&before, &args);
            let is_writing = is_writing(&mut child, out.path());
            if is_writing {
                signal(&child, name);
            }
            let output = child.wait_with_output().expect("our child");
            let err = String::from_utf8_lossy(&output.stderr);
            if !is_writing {
                continue;
            }
            if ignores {
                assert!(output.status.success(), "{ignored}: {err}");
                assert_eq!(entries(out.path()), [target]);
            } else if !output.status.success() {
                assert_eq!(output.status.signal(), Some(number), "{err}");
                assert!(entries(out.path()).is_empty(), "{ignored}");
            }
        }
    }
}

/// A file that may not grow any further is an error like any other: the signal for it would end the process
/// without a word.
#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| shown(&directory.path().join(name));
    let file = |n: u8| forge::Entry {
        body: vec![n; 2_000_000],
        ..forge::Entry::new(b'0', &[n])
    };
    let layers = [b'a', b'b'].map(|n| forge::layer(&[file(n)]));
    for (form, name) in [
        (forge::Form::Hybrid, "plain"),
        (forge::Form::Compressed, "gz"),
    ] {
        fs::write(path(name), forge::archive(&layers, form)).expect("room");
    }
    let (plain, gz) = (path("plain"), path("gz"));
    let (flat, metadata) = (path("flat"), path("metadata"));
    imgtar(&["flatten", &plain, "-o", &flat, "--metadata", &metadata]).exits(0);
    let (out, temporary) = (path("out"), path("temporary"));
    fs::create_dir(&temporary).expect("a directory");
    let before = entries(directory.path()).len();
    let limited = "ulimit -f 100 && exec \"$0\" \"$@\"";
    for args in [
        &["flatten", &plain, "-o", &out][..],
        &["flatten", &plain, "-o", &out, "-j", "1"],
        &["flatten", &gz, "-o", &out],
        &["squash", &plain, "-o", &out],
        &["import", &flat, "-o", &out],
        &["rebuild", &flat, "--metadata", &metadata, "-o", &out],
    ] {
        let output = Command::new("sh")
            .args(["-c", limited, env!("CARGO_BIN_EXE_imgtar")])
            .args(args)
            .env("TMPDIR", &temporary)
            .stdin(Stdio::null())
            .output()
            .expect("sh starts");
        fails(&output, &["File too large", "hint: ", "ulimit -f"]);
        assert_eq!(entries(directory.path()).len(), before, "{args:?}");
        assert!(entries(Path::new(&temporary)).is_empty(), "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = slow(directory.path());
    for args in [
        &["flatten", &archive][..],
        &["cat", &archive, "file"],
        &["flatten", &archive, "-o", "-"],
    ] {
        let mut child = program().args(args).spawn().expect("imgtar starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        let mut some = [0; 100];
        stdout.read_exact(&mut some).expect("a beginning");
        drop(stdout);
        let output = child.wait_with_output().expect("our child");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && err.is_empty(), "{args:?}: {err}");
    }
}

// --- the file that is wanted -----------------------------------------------------------------------------------

/// The output has the mode that any program gives a new file, under its own name alone, and replaces
/// what is there only if it may.
#[test]
fn the_output_appears_whole_and_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("rootfs.tar");
    let archive = engines("tiny26.tar");
    let flatten =
        |more: &[&str]| imgtar(&[&["flatten", &archive, "-o", &shown(&out)], more].concat());
    flatten(&[]).exits(0);
    let plain = directory.path().join("plain");
    File::create(&plain).expect("a file");
    let mode = |path: &Path| path.metadata().expect("a file").permissions().mode();
    assert_eq!(mode(&out), mode(&plain));
    fs::remove_file(&plain).expect("our file");
    let first = fs::read(&out).expect("the output");
    flatten(&[]).exits(2);
    fs::write(&out, "old").expect("our file");
    flatten(&["--force"]).exits(0);
    assert_eq!(fs::read(&out).expect("the output"), first);
    assert_eq!(entries(directory.path()), std::slice::from_ref(&out));
    // A layer that is not what it claims to be gives no file.
    let broken = repository("testdata/broken/layer-bit-flipped.tar");
    fs::remove_file(&out).expect("our file");
    imgtar(&["flatten", &broken, "-o", &shown(&out)]).exits(3);
    assert!(entries(directory.path()).is_empty());
}

/// A reader who has had enough is not an error; metadata that was asked for and is not there is one.
#[test]
fn metadata_is_not_lost_in_silence() {
    let directory = tempfile::tempdir().expect("a directory");
    let metadata = shown(&directory.path().join("metadata"));
    let archive = engines("docker26-one.tar");
    for (options, code) in [(&[][..], 0), (&["--metadata", &metadata], 4)] {
        let mut child = program()
            .args(["flatten", &archive, "-o", "-"])
            .args(options)
            .spawn()
            .expect("imgtar starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("imgtar ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert_eq!(err.contains("the metadata was not written"), code == 4);
        assert_eq!(fs::read_dir(directory.path()).expect("it").count(), 0);
    }
}

/// What the system said is passed on, but not the name of a temporary file that nobody asked for.
#[test]
#[cfg(target_os = "linux")]
fn a_directory_that_takes_no_files() {
    let archive = repository("testdata/engines/tiny20.tar");
    let output = program()
        .args(["flatten", &archive, "-o", "/proc/rootfs.tar"])
        .output()
        .expect("imgtar runs");
    fails(&output, &["cannot write to /proc\n", "(os error "]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!err.contains(".imgtar-"), "{err}");
}

// --- threads ---------------------------------------------------------------------------------------------------

/// What a shell runs to run its arguments without threads: shells differ in the letter.
#[cfg(target_os = "linux")]
const LIMITED: &str = r#"
if (ulimit -u 1) 2> /dev/null; then ulimit -u 1; else ulimit -p 1; fi
exec "$0" "$@"
"#;

/// The program as somebody else's, who may start no thread at all: nobody limits root's processes.
#[cfg(target_os = "linux")]
struct Alone {
    directory: tempfile::TempDir,
}

#[cfg(target_os = "linux")]
impl Alone {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let all = fs::Permissions::from_mode(0o777);
        fs::set_permissions(directory.path(), all).expect("our directory");
        let alone = Self { directory };
        fs::copy(env!("CARGO_BIN_EXE_imgtar"), alone.path("imgtar")).expect("room for a copy");
        alone
    }

    fn path(&self, name: &str) -> String {
        shown(&self.directory.path().join(name))
    }

    fn run(&self, args: &[&str]) -> Output {
        use std::os::unix::fs::MetadataExt;
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("sh");
        command
            .args(["-c", LIMITED, &self.path("imgtar")])
            .args(args)
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .stdin(Stdio::null());
        if self.directory.path().metadata().expect("ours").uid() == 0 {
            command.uid(54_321).gid(54_321);
        }
        command.output().expect("sh starts")
    }
}

/// Where the system starts no thread, the one that there is does all the work, to the same end.
#[cfg(target_os = "linux")]
#[test]
fn one_thread_does_what_many_would() {
    let alone = Alone::new();
    let body = |n: u8| vec![n; 300_000];
    let layers: Vec<Vec<u8>> = (b'a'..b'h')
        .map(|n| {
            let file = forge::Entry::new(b'0', &[n]);
            forge::layer(&[forge::Entry {
                body: body(n),
                ..file
            }])
        })
        .collect();
    for (form, name) in [
        (forge::Form::Compressed, "gz"),
        (forge::Form::Hybrid, "plain"),
    ] {
        fs::write(alone.path(name), forge::archive(&layers, form)).expect("room");
        let out = |what: &str| alone.path(&format!("{name}.{what}"));
        let (archive, flat, metadata) = (alone.path(name), out("flat"), out("metadata"));
        let (squashed, rebuilt, imported) = (out("squashed"), out("rebuilt"), out("imported"));
        let commands: [&[&str]; 8] = [
            &["verify", &archive, "-j", "100000"],
            &["flatten", &archive, "-o", &flat, "--metadata", &metadata],
            &["flatten", &archive],
            &["layers", &archive],
            &["squash", &archive, "-o", &squashed],
            &["rebuild", &flat, "--metadata", &metadata, "-o", &rebuilt],
            &["import", &flat, "-o", &imported],
            &["commit", &archive, &flat, "-o", "-"],
        ];
        for command in commands {
            let output = alone.run(command);
            let err = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{command:?}: {err}");
        }
        let flattened = alone.run(&["flatten", &archive]).stdout;
        assert_eq!(fs::read(&flat).expect("the flat tar"), flattened);
        let many = alone.path("many");
        imgtar(&["flatten", &archive, "-f", "-o", &many, "-j", "100000"]).succeeds();
        assert_eq!(fs::read(&many).expect("the flat tar"), flattened);
        for format in ["gzip", "zstd", "xz", "bzip2"] {
            let args = ["flatten", &archive, "--compress", format];
            let compressed = alone.run(&args).stdout;
            assert!(!compressed.is_empty(), "{format}");
            assert_eq!(imgtar(&args).exits(0).stdout, compressed, "{format}");
        }
    }
}
