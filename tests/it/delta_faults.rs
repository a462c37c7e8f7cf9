//! What happens if a delta cannot be applied: the wrong old archive or half of it, a delta that was cut or damaged on
//! its way, a full disk, an interrupt. There is a message that helps, and nothing is written and nothing is lost.
#![cfg(unix)]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::faults::{Small, entries, fails, until_it_writes};
use crate::support::forge::{self, Entry, Form};
use crate::support::{Run, Work, bytes, engines, imgtar, program, repository, shown};

/// Two versions of an application, and what the first lacks of the second.
struct Upgrade {
    work: Work,
    old: String,
    new: String,
    delta: String,
}

impl Upgrade {
    fn new() -> Self {
        Self::of("docker26-multi.tar")
    }

    fn of(archive: &str) -> Self {
        let work = Work::new();
        let archive = engines(archive);
        let [old, new, delta] = ["old.tar", "new.tar", "new.delta"].map(|name| work.path(name));
        imgtar(&["select", &archive, "imgtar-testdata/app:1", "-o", &old]).exits(0);
        imgtar(&["select", &archive, "imgtar-testdata/app:2", "-o", &new]).exits(0);
        imgtar(&["delta", &old, &new, "-o", &delta]).exits(0);
        Self {
            work,
            old,
            new,
            delta,
        }
    }
}

/// Applies a delta that cannot be applied, where nothing is and where a file is: both stay as they are.
#[track_caller]
fn refuses(old: &str, delta: &str, code: i32) -> Run {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("out.tar");
    let run = imgtar(&["apply", old, delta, "-o", &shown(&out)]).exits(code);
    assert!(run.stdout.is_empty(), "{run}");
    assert!(entries(directory.path()).is_empty(), "{run}");
    fs::write(&out, "mine").expect("room");
    imgtar(&["apply", old, delta, "-f", "-o", &shown(&out)]).exits(code);
    assert_eq!(fs::read(&out).expect("the file"), b"mine");
    assert_eq!(entries(directory.path()), [out]);
    run
}

/// The program does what the library does: the same delta whatever the number of threads, and the archive from it.
#[test]
fn the_program_makes_the_same() {
    let work = Work::new();
    let [old, new] = ["docker20-multi.tar", "podman-oci.tar"]
        .map(|name| repository(&format!("testdata/engines/{name}")));
    let [one, two, out] = ["one.delta", "two.delta", "new.tar"].map(|name| work.path(name));
    imgtar(&["delta", &old, &new, "-j", "1", "-o", &one]).exits(0);
    imgtar(&["delta", &old, &new, "-j", "2", "-o", &two]).exits(0);
    assert!(bytes(&one) == bytes(&two));
    imgtar(&["apply", &old, &one, "-o", &out]).exits(0);
    assert!(bytes(&out) == bytes(&new));
    imgtar(&["delta", "--no-old", &new, "-f", "-o", &one]).exits(0);
    imgtar(&["apply", &one, "-f", "-o", &out]).exits(0);
    assert!(bytes(&out) == bytes(&new));
}

#[test]
fn another_old_archive_is_named_and_so_is_what_it_lacks() {
    let upgrade = Upgrade::new();
    let run = refuses(&engines("tiny26.tar"), &upgrade.delta, 3);
    let lines: Vec<&str> = run.err().lines().collect();
    // How many are missing, their digests, and what the delta was made from.
    assert!(lines[0].starts_with("error: "), "{run}");
    for word in ["sources", "sha256:"] {
        assert!(run.err().contains(word), "`{word}` is not in: {run}");
    }
    // NEW is no OLD, even if it has everything that was wanted in the end.
    let run = imgtar(&[
        "apply",
        &engines("tiny26.tar"),
        &upgrade.old,
        "-o",
        &upgrade.work.path("x"),
    ])
    .exits(3);
    assert!(run.err().contains("is not a delta"), "{run}");
}

/// An old archive that was saved again, in another layout and with another compression, serves as well.
#[test]
fn an_old_archive_that_was_saved_again_serves() {
    let upgrade = Upgrade::of("docker20-multi.tar");
    for (layout, compress) in [
        ("docker-legacy", "none"),
        ("oci", "gzip"),
        ("docker", "zstd"),
    ] {
        let [again, out] = ["again.tar", "out.tar"].map(|name| upgrade.work.path(name));
        imgtar(&[
            "convert",
            &upgrade.old,
            "--layout",
            layout,
            "--compress",
            compress,
            "-f",
            "-o",
            &again,
        ])
        .exits(0);
        imgtar(&["apply", &again, &upgrade.delta, "-f", "-o", &out]).exits(0);
        assert!(bytes(&out) == bytes(&upgrade.new), "{layout} {compress}");
    }
}

#[test]
fn half_an_old_archive_lacks_the_other_half() {
    let upgrade = Upgrade::new();
    let old = bytes(&upgrade.old);
    for half in [old.len() / 2, old.len() / 4, 512] {
        let cut = upgrade.work.put("cut.tar", &old[..half]);
        let run = refuses(&cut, &upgrade.delta, 3);
        assert!(
            run.err().contains("sha256:") || run.err().contains("cut.tar"),
            "{run}"
        );
    }
    // Damage in the middle of a layer is not the layer.
    let mut damaged = old.clone();
    let at = old.len() / 3;
    damaged[at] ^= 1;
    let damaged = upgrade.work.put("damaged.tar", &damaged);
    refuses(&damaged, &upgrade.delta, 3);
}

/// However much of the delta has arrived, and whichever byte of it changed on its way.
#[test]
fn a_delta_that_was_cut_or_damaged_makes_nothing() {
    let upgrade = Upgrade::new();
    let delta = bytes(&upgrade.delta);
    assert!(delta.len() > 8000, "{} bytes", delta.len());
    for len in (1..delta.len()).step_by(1024) {
        let cut = upgrade.work.put("cut.delta", &delta[..len]);
        let run = refuses(&upgrade.old, &cut, 3);
        let says = run.err();
        assert!(says.contains("cut.delta"), "{len}: {run}");
        // What is shorter than its first header is not recognised; of the rest the beginning may be there or not.
        let is_known = says.contains("ends early") || says.contains("is damaged");
        assert!(len < 512 || is_known, "{len}: {run}");
    }
    // Up to the member that has the digest of everything before it: a header, a body, and the end of a tar.
    let covered = delta.len() - 4 * 512;
    for at in (0..covered).step_by(1000) {
        let mut damaged = delta.clone();
        damaged[at] ^= 0x10;
        let damaged = upgrade.work.put("damaged.delta", &damaged);
        let out = upgrade.work.path("out.tar");
        let run = imgtar(&["apply", &upgrade.old, &damaged, "-o", &out]);
        assert_eq!(run.code, 3, "byte {at}: {run}");
        assert!(run.err().contains("damaged.delta"), "byte {at}: {run}");
        assert!(fs::metadata(&out).is_err(), "byte {at}");
    }
}

#[test]
fn a_full_disk_gets_no_part_of_either_output() {
    let upgrade = Upgrade::new();
    let Some(small) = Small::of(8 * 1024) else {
        return;
    };
    let out = small.path().join("out.tar");
    let (apply, delta) = (
        ["apply", &upgrade.old, &upgrade.delta],
        ["delta", &upgrade.old, &upgrade.new],
    );
    // How large NEW is, is known before; how large the delta is, only afterwards.
    let no_room = ["there is no room for", "are needed there"];
    let full = ["cannot write the output", "No space left on device"];
    for (args, says) in [(apply, no_room), (delta, full)] {
        let output = program()
            .args(args)
            .args(["-o", &shown(&out)])
            .output()
            .expect("imgtar starts");
        fails(&output, &says);
        assert!(entries(small.path()).is_empty(), "{args:?}");
        fs::write(&out, "mine").expect("room for four bytes");
        let output = program()
            .args(args)
            .args(["-f", "-o", &shown(&out)])
            .output()
            .expect("imgtar starts");
        fails(&output, &says);
        assert_eq!(fs::read(&out).expect("the file"), b"mine", "{args:?}");
        assert_eq!(
            entries(small.path()),
            std::slice::from_ref(&out),
            "{args:?}"
        );
        fs::remove_file(&out).expect("our file");
    }
}

/// Layers that have to be decoded need room for that, too.
#[test]
fn a_full_directory_for_temporary_files_is_an_error() {
    let work = Work::new();
    let [old, new, delta, out] =
        ["old.tar", "new.tar", "delta", "out.tar"].map(|name| work.path(name));
    for (version, path) in [(1_u8, &old), (2, &new)] {
        let mut body: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| n.wrapping_mul(n).to_string().into_bytes())
            .collect();
        body[100] = version;
        let layers = [forge::layer(&[Entry::file("file", &body)])];
        let plain = work.put("plain.tar", &forge::archive(&layers, Form::Hybrid));
        // As imgtar compresses, so that the compression can be repeated.
        imgtar(&[
            "convert",
            &plain,
            "--layout",
            "oci",
            "--compress",
            "zstd",
            "-o",
            path,
        ])
        .exits(0);
    }
    imgtar(&["delta", &old, &new, "-o", &delta]).exits(0);
    let (small, whole) = (bytes(&delta).len(), bytes(&new).len());
    assert!(small * 10 < whole, "{small} of {whole} bytes");
    let Some(small) = Small::of(64 * 1024) else {
        return;
    };
    for args in [["delta", &old, &new], ["apply", &old, &delta]] {
        let mut command = program();
        command
            .args(args)
            .args(["-o", &out])
            .env("TMPDIR", small.path());
        fails(
            &command.output().expect("imgtar starts"),
            &["No space left", "TMPDIR"],
        );
        assert!(
            fs::metadata(&out).is_err() && entries(small.path()).is_empty(),
            "{args:?}"
        );
    }
}

/// Whatever ends the process, nothing is left of what it wrote, and what was there stays.
#[test]
#[cfg(target_os = "linux")]
fn an_interrupt_leaves_nothing() {
    let work = Work::new();
    let version = |n: u8| {
        let files: Vec<Entry> = (0..24_u8)
            .map(|file| {
                let number = |at: u32| at.wrapping_mul(2_654_435_761 + u32::from(file)) ^ (at >> 3);
                let mut body: Vec<u8> = (0..250_000_u32)
                    .flat_map(|at| number(at).to_le_bytes())
                    .collect();
                body.iter_mut()
                    .step_by(5000)
                    .for_each(|byte| *byte = byte.wrapping_add(n));
                Entry::file(&format!("file-{file}"), &body)
            })
            .collect();
        forge::archive(&[forge::layer(&files)], Form::Hybrid)
    };
    let [old, new] = [1, 2].map(|n| work.put(&format!("{n}.tar"), &version(n)));
    let delta = work.path("delta");
    imgtar(&["delta", &old, &new, "-o", &delta]).exits(0);
    let mut ended = 0;
    for args in [["delta", &old, &new], ["apply", &old, &delta]] {
        for (number, signal) in ["-KILL", "-TERM", "-INT", "-HUP"].into_iter().enumerate() {
            for is_there in [false, true] {
                let directory = tempfile::tempdir().expect("a directory");
                let out = directory.path().join("out.tar");
                if is_there {
                    fs::write(&out, "mine").expect("room");
                }
                let mut command = program();
                command.args(args).args(["-f", "-o", &shown(&out)]);
                let mut child = command.spawn().expect("imgtar starts");
                until_it_writes(&mut child, directory.path());
                // Early, and later.
                thread::sleep(Duration::from_millis(30 * number as u64));
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
                if is_there {
                    assert_eq!(entries(directory.path()), std::slice::from_ref(&out));
                    assert_eq!(fs::read(&out).expect("the file"), b"mine");
                } else {
                    assert!(entries(directory.path()).is_empty(), "{signal}");
                }
            }
        }
    }
    assert!(ended > 0, "imgtar was always faster");
    // All that was needed is as it was.
    let out = work.path("out.tar");
    imgtar(&["apply", &old, &delta, "-o", &out]).exits(0);
    assert!(bytes(&out) == bytes(&new));
}
