//! `import`: the layer is the tar that was given, the config is the one that `docker import` writes,
//! every engine loads the archive, and what is not a root file system is not taken for one.

use std::fs;
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::forge::{Entry, layer};
use crate::support::{
    Docker, Input, Work, answer, archives, engines, finish, imgtar, imgtar_with, items, member,
    packed, program, sha256, text, tool, without_closing_lines,
};

/// When images of these tests are made.
const TIME: &str = "2024-02-29T12:30:00.25Z";

/// A root file system with something of every kind.
fn rootfs() -> Vec<u8> {
    let link = |flag, name: &str, target: &str| Entry {
        link: target.as_bytes().to_vec(),
        ..Entry::new(flag, name.as_bytes())
    };
    layer(&[
        Entry::new(b'5', b"etc/"),
        Entry::file("etc/motd", b"hello\n"),
        Entry::file("etc/empty", b""),
        link(b'1', "etc/hard", "etc/motd"),
        link(b'2', "etc/soft", "motd"),
        Entry::new(b'6', b"pipe"),
        Entry::file("a name with ü", b"x"),
    ])
}

/// The config in an archive that imgtar wrote.
fn config(archive: &str) -> Value {
    let manifest: Value =
        serde_json::from_slice(&member(archive, "manifest.json")).expect("manifest.json is JSON");
    let bytes = member(archive, text(&manifest[0]["Config"]));
    serde_json::from_slice(&bytes).expect("a config is JSON")
}

fn compressed(tar: &[u8], how: &str) -> Vec<u8> {
    match how {
        "gzip" => packed::gzip(tar),
        "bzip2" => packed::bzip2(tar),
        "xz" => packed::xz(tar),
        "zstd" => packed::zstd(tar),
        _ => tar.to_vec(),
    }
}

#[test]
fn the_layer_is_the_tar_as_given() {
    let work = Work::new();
    let tar = rootfs();
    let mut archives = Vec::new();
    for how in ["none", "gzip", "bzip2", "xz", "zstd"] {
        let rootfs = work.put(how, &compressed(&tar, how));
        let out = work.path(&format!("{how}.out"));
        let run = imgtar(&[
            "import",
            &rootfs,
            "-o",
            &out,
            "-t",
            "a:1",
            "--created",
            TIME,
        ]);
        let id = run.writes_an_image().out().trim().to_owned();
        let layers = answer(&["layers", "--json", &out]);
        let image = &layers["images"][0];
        assert_eq!(text(&image["id"]), id);
        let [layer] = items(&image["layers"]) else {
            panic!("one layer");
        };
        assert_eq!(layer["diff_id"], sha256(&tar));
        assert_eq!(layer["compression"], "none");
        assert_eq!(member(&out, text(&layer["member"])), tar);
        imgtar(&["verify", "--strict", &out]).exits(0);
        archives.push(fs::read(&out).expect("it was just written"));
    }
    assert!(archives.windows(2).all(|pair| pair[0] == pair[1]));

    // From a pipe, to standard output: the ID goes where it does not stand in the way.
    let args = ["import", "-", "-o", "-", "-t", "a:1", "--created", TIME];
    let run = imgtar_with(&args, Input::Pipe(&compressed(&tar, "gzip"))).exits(0);
    assert_eq!(run.stdout, archives[0]);
    assert!(run.err().starts_with("sha256:"), "{run}");
}

/// What Docker 26.1 writes for the same command, without the version of the engine.
#[test]
fn the_config_is_that_of_docker() {
    let work = Work::new();
    let tar = rootfs();
    let rootfs = work.put("rootfs.tar", &tar);
    let out = work.path("out.tar");
    let args = [
        "import",
        &rootfs,
        "-o",
        &out,
        "--created",
        TIME,
        "--platform",
        "linux/arm/v7",
        "-c",
        "ENV A=1",
        "-c",
        "CMD [\"<x>\"]",
        "-t",
        "a",
        "-t",
        "b/c:2",
        "-t",
        "a:latest",
    ];
    imgtar(&args).writes_an_image();
    let empty = json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
        "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null,
        "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null,
        "OnBuild": null, "Labels": null,
    });
    let mut run = empty.clone();
    run["Env"] = json!(["A=1"]);
    run["Cmd"] = json!(["<x>"]);
    let want = json!({
        "architecture": "arm", "variant": "v7", "os": "linux", "created": TIME,
        "comment": "Imported from -", "config": run, "container_config": empty,
        "history": [{"created": TIME, "comment": "Imported from -"}],
        "rootfs": {"type": "layers", "diff_ids": [sha256(&tar)]},
    });
    assert_eq!(config(&out), want);
    let images = answer(&["images", "--json", &out]);
    assert_eq!(
        images["images"][0]["references"],
        json!(["a:latest", "b/c:2"])
    );

    imgtar(&["import", &rootfs, "-f", "-o", &out, "-m", "by hand"]).writes_an_image();
    let config = config(&out);
    assert_eq!(config["comment"], "by hand");
    assert_eq!(config["os"], "linux");
    assert_eq!(config["history"][0]["comment"], "by hand");
    assert_eq!(config["history"][0]["created"], config["created"]);
}

#[test]
fn the_time_can_come_from_the_environment() {
    let work = Work::new();
    let rootfs = work.put("rootfs.tar", &rootfs());
    let out = work.path("out.tar");
    let mut command = program();
    command.args(["import", &rootfs, "-o", &out]);
    command.env("SOURCE_DATE_EPOCH", "1234567890");
    finish(command);
    assert_eq!(config(&out)["created"], "2009-02-13T23:31:30Z");
}

#[test]
fn every_layout_holds_the_image() {
    let work = Work::new();
    let rootfs = work.put("rootfs.tar", &rootfs());
    let mut ids = Vec::new();
    for layout in ["docker", "docker-legacy", "oci"] {
        let out = work.path(layout);
        let args = [
            "import",
            &rootfs,
            "-o",
            &out,
            "--layout",
            layout,
            "--created",
            TIME,
            "-t",
            "x:1",
        ];
        ids.push(imgtar(&args).writes_an_image().out().to_owned());
        imgtar(&["verify", "--strict", &out]).exits(0);
        let files = answer(&["ls", "--json", &out]);
        assert_eq!(items(&files["entries"]).len(), 7);
    }
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
}

/// An image archive as the layer of an image is what nobody wants.
#[test]
fn image_archives_are_told_from_root_file_systems() {
    let work = Work::new();
    let out = work.path("out.tar");
    let mut tried = 0;
    for archive in archives(&engines("")) {
        if archive.contains("export") {
            continue;
        }
        tried += 1;
        let archive = engines(&archive);
        let run = imgtar(&["import", &archive, "-o", &out]).exits(2);
        assert!(run.err().contains("an image archive"), "{run}");
        assert!(run.err().contains("imgtar flatten"), "{run}");
        assert!(run.err().contains("docker load"), "{run}");
        assert!(!Path::new(&out).exists(), "{archive}");
    }
    assert!(tried > 20, "{tried}");
    // Files of such names alone make no image archive.
    let tar = layer(&[
        Entry::file("manifest.json", b"{}"),
        Entry::file("index.json", b"{\"manifests\":[]}"),
        Entry::file("oci-layout", b"{}"),
        Entry::file("app", b"x"),
    ]);
    let rootfs = work.put("rootfs.tar", &tar);
    imgtar(&["import", &rootfs, "-o", &out]).writes_an_image();
}

#[test]
fn what_is_wrong_is_said_and_where() {
    let work = Work::new();
    let whole = rootfs();
    let mut broken = whole.clone();
    broken[512 + 150] ^= 1;
    let link = Entry {
        link: b"nowhere".to_vec(),
        ..Entry::new(b'1', b"hard")
    };
    let table: [(&str, Vec<u8>, &[&str]); 6] = [
        (
            "cut",
            whole[..1026].to_vec(),
            &["byte 1024", "ends inside a body"],
        ),
        ("sum", broken, &["byte 512", "checksum"]),
        (
            "noise",
            b"\xe3\x91\xfa\x04".repeat(200),
            &["byte 0", "not a tar header"],
        ),
        ("link", layer(&[link]), &["`hard`", "`nowhere`", "byte 0"]),
        (
            "below",
            layer(&[Entry::file("a", b"x"), Entry::file("a/b", b"y")]),
            &["`a/b`", "which is not a directory", "byte 1024"],
        ),
        (
            "whiteout",
            layer(&[Entry::file("d/.wh.", b"")]),
            &["is a whiteout that names no file"],
        ),
    ];
    let out = work.path("out.tar");
    for (name, bytes, words) in table {
        let rootfs = work.put(name, &bytes);
        let run = imgtar(&["import", &rootfs, "-o", &out]).exits(3);
        for word in words {
            assert!(run.err().contains(word), "{word}: {run}");
        }
        assert!(!Path::new(&out).exists(), "{name}");
    }
    let empty = work.put("empty", b"");
    imgtar(&["import", &empty, "-o", &out]).exits(3);
}

#[test]
fn what_engines_would_do_otherwise_is_a_warning() {
    let work = Work::new();
    let mut trailing = rootfs();
    trailing.extend_from_slice(b"something");
    let table: [(&str, Vec<u8>, &str); 5] = [
        (
            "twice",
            layer(&[Entry::file("a", b"1"), Entry::file("a", b"2")]),
            "`a` is in the layer twice",
        ),
        (
            "whiteout",
            layer(&[
                Entry::file("a", b"1"),
                Entry::file("d/.wh.b", b""),
                Entry::file(".wh.c", b""),
            ]),
            "`d/.wh.b` is a whiteout, which has nothing to hide here and will not be a file of the image (1 more like it)",
        ),
        (
            "up",
            layer(&[Entry::file("../a", b"1")]),
            "`../a` leaves the root",
        ),
        ("nothing", vec![0; 1024], "the rootfs tar holds no files"),
        ("trailing", trailing, "something follows the end of the tar"),
    ];
    let out = work.path("out.tar");
    for (name, bytes, words) in table {
        let rootfs = work.put(name, &bytes);
        let run = imgtar(&["import", &rootfs, "-f", "-o", &out]).exits(0);
        assert!(run.err().contains(words), "{run}");
        let told = without_closing_lines(run.err());
        assert_eq!(told.lines().count(), 2, "{run}");
    }
}

#[test]
fn changes_that_docker_refuses_are_refused() {
    let work = Work::new();
    let rootfs = work.put("rootfs.tar", &rootfs());
    let out = work.path("out.tar");
    for (changes, words) in [
        (
            &["RUN x"][..],
            "change 1: RUN is not a valid change command",
        ),
        (&["CMD a", "STOPSIGNAL x"], "change 2: invalid signal: x"),
        (
            &["USER a\n\nENV b"],
            "change 1, line 3: ENV must have two arguments",
        ),
    ] {
        let mut args = vec!["import", &rootfs, "-o", &out];
        args.extend(changes.iter().flat_map(|change| ["-c", change]));
        let run = imgtar(&args).exits(2);
        assert!(run.err().contains(words), "{run}");
        assert!(!Path::new(&out).exists());
    }
    let run = imgtar(&["import", &rootfs, "-o", &out, "-c", "CMD ['a']"]).exits(0);
    assert!(
        run.err()
            .contains("begins like a JSON array but is not one"),
        "{run}"
    );
    for platform in ["windows/amd64", "linux/a/b/c", "nonsense"] {
        imgtar(&["import", &rootfs, "-o", &out, "-f", "--platform", platform]).exits(2);
    }
}

// --- engines --------------------------------------------------------------------------------------

/// A name for an image that no other run uses.
fn unique_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("imgtar-import-{}-{count}", process::id())
}

fn inspect(docker: &Docker, name: &str) -> Value {
    let shown = docker.run(&["image", "inspect", name]);
    let mut shown: Value = serde_json::from_slice(&shown).expect("Docker prints JSON");
    shown[0].take()
}

/// The same command given to Docker and to imgtar; then Docker loads what imgtar wrote.
#[test]
fn docker_imports_and_loads_the_same() {
    let Some(docker) = Docker::d26() else { return };
    let work = Work::new();
    let tar = work.put("rootfs.tar", &rootfs());
    let name = unique_name();
    let changes = [
        "ENTRYPOINT [\"/app\"]",
        "ENV A=1 B=\"$A two\"",
        "LABEL z=1 a='<&>'",
        "EXPOSE 80-81 53/udp",
        "VOLUME /data",
        "WORKDIR /srv/../x",
        "USER 1000:1000",
        "STOPSIGNAL SIGINT",
        "HEALTHCHECK --interval=5s --start-interval=1s CMD ok",
        "ONBUILD RUN x",
    ];
    for platform in [
        "linux",
        "linux/arm64",
        "linux/arm/v6",
        "linux/arm64/v8",
        "s390x",
    ] {
        let mut args = vec!["import", "-m", "a message", "--platform", platform];
        args.extend(changes.iter().flat_map(|change| ["-c", change]));
        let mut theirs = args.clone();
        theirs.extend(["-", &name]);
        docker.run_on(&theirs, &tar);
        let imported = inspect(&docker, &name);
        docker.try_run(&["rmi", &name]);
        let out = work.path("out.tar");
        let created = text(&imported["Created"]);
        let mut ours = args.clone();
        ours.extend([&tar, "-f", "-o", &out, "-t", &name, "--created", created]);
        let id = imgtar(&ours).writes_an_image().out().trim().to_owned();
        docker.run_on(&["load", "-q"], &out);
        let loaded = inspect(&docker, &name);
        docker.try_run(&["rmi", &name]);
        assert_eq!(text(&loaded["Id"]), id);
        // What names the engine, or is known of no loaded image.
        let comparable = |image: &Value| {
            let mut image = image.clone();
            for field in [
                "Id",
                "DockerVersion",
                "RepoDigests",
                "Metadata",
                "GraphDriver",
            ] {
                image[field] = Value::Null;
            }
            image
        };
        assert_eq!(comparable(&loaded), comparable(&imported), "{platform}");
    }
}

/// Every engine loads every layout that it reads, under the ID that imgtar printed.
#[test]
fn engines_load_what_was_imported() {
    let work = Work::new();
    let tar = work.put("rootfs.tar", &rootfs());
    let name = format!("{}:1", unique_name());
    let mut written = Vec::new();
    for layout in ["docker", "docker-legacy", "oci"] {
        let out = work.path(layout);
        let args = [
            "import", &tar, "-o", &out, "--layout", layout, "-t", &name, "-c", "CMD x",
        ];
        let id = imgtar(&args).writes_an_image().out().trim().to_owned();
        written.push((layout, out, id));
    }
    for docker in Docker::classic() {
        for (layout, out, id) in written.iter().filter(|(layout, ..)| *layout != "oci") {
            docker.run_on(&["load", "-q"], out);
            let loaded = inspect(&docker, &name);
            docker.try_run(&["rmi", &name]);
            assert_eq!(text(&loaded["Id"]), id, "{layout}");
        }
    }
    for docker in Docker::with_containerd() {
        for (layout, out, _) in &written {
            docker.run_on(&["load", "-q"], out);
            let loaded = inspect(&docker, &name);
            docker.try_run(&["rmi", &name]);
            assert_eq!(loaded["Config"]["Cmd"], json!(["/bin/sh", "-c", "x"]));
            let manifest = &answer(&["inspect", "--json", out])["images"][0]["manifest"];
            if let Some(digest) = manifest["digest"].as_str() {
                assert_eq!(text(&loaded["Id"]), digest, "{layout}");
            }
        }
    }
    if let Some(skopeo) = tool("skopeo") {
        for (layout, out, id) in &written {
            let transport = if *layout == "oci" {
                "oci-archive"
            } else {
                "docker-archive"
            };
            let mut command = Command::new(skopeo);
            command.args([
                "inspect",
                "--config",
                "--raw",
                &format!("{transport}:{out}"),
            ]);
            let config = finish(command).stdout;
            assert_eq!(sha256(&config), *id, "{layout}");
        }
    }
}
