//! `dockerfile`: the texts of engine-made images, what histories cannot do to them, and builds of them on engines.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use imgtar::document::{Config, ConfigChanges, Health, RunConfig};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::properties::config as cases_of;
use crate::support::forge::{self, Entry};
use crate::support::{
    Docker, Podman, Run, answer, engines, imgtar, items, repository, sha256, shown, text,
    up_to_date,
};

// --- texts ---------------------------------------------------------------------------------------------------

/// Images of several engines and builders, and their Dockerfiles.
#[test]
fn the_dockerfiles_of_engine_made_images() {
    for (archive, image, options, name) in [
        ("docker26-multi.tar", "imgtar-testdata/app:1", "", "app-1"),
        ("docker26-multi.tar", "imgtar-testdata/app:2", "", "app-2"),
        (
            "docker26-multi.tar",
            "imgtar-testdata/classic:1",
            "",
            "classic-1",
        ),
        (
            "docker26-multi.tar",
            "imgtar-testdata/app:1",
            "--no-run",
            "app-1-no-run",
        ),
        (
            "docker26-multi.tar",
            "imgtar-testdata/app:2",
            "--base",
            "app-2-on-base",
        ),
        ("docker26-heredoc.tar", "@0", "", "heredoc-1"),
        ("v1.tar", "imgtar-testdata/app:1", "", "v1-app-1"),
    ] {
        let path = engines(archive);
        let mut args = vec!["dockerfile", &path, image];
        args.extend(options.split_whitespace());
        if options == "--base" {
            args.push(&path);
        }
        let run = imgtar(&args).exits(0);
        up_to_date(&format!("testdata/dockerfile/{name}.Dockerfile"), run.out());
    }
}

/// The same image saved by other engines gives the same text.
#[test]
fn engines_do_not_matter() {
    let wanted = repository("testdata/dockerfile/app-1.Dockerfile");
    let wanted = fs::read_to_string(wanted).expect("a Dockerfile");
    for archive in ["docker20-one.tar", "docker26-one.tar", "docker26c-one.tar"] {
        let run = imgtar(&["dockerfile", &engines(archive)]).exits(0);
        // Its name differs.
        let rest = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
        assert_eq!(rest(run.out()), rest(&wanted), "{archive}");
    }
}

// --- made images ---------------------------------------------------------------------------------------------

/// An archive of an image with this config and these layers.
fn made(directory: &Path, name: &str, config: &Value, layers: &[Vec<u8>]) -> String {
    let mut config = config.clone();
    let ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    config["rootfs"] = json!({"type": "layers", "diff_ids": ids});
    for (key, value) in [("architecture", "amd64"), ("os", "linux")] {
        config[key] = json!(value);
    }
    let config = config.to_string().into_bytes();
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes).expect("a member");
    };
    let mut members = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        members.push(format!("{index}/layer.tar"));
        add(&members[index], layer);
    }
    let file = format!("{}.json", digest(&config).trim_start_matches("sha256:"));
    add(&file, &config);
    let tag = format!("made/{name}:1");
    let manifest = json!([{"Config": file, "RepoTags": [tag], "Layers": members}]);
    add("manifest.json", manifest.to_string().as_bytes());
    let path = directory.join(format!("{name}.tar"));
    fs::write(&path, tar.into_inner().expect("a tar")).expect("room");
    shown(&path)
}

/// A digest with its algorithm.
fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes).trim_start_matches("sha256:"))
}

fn history(steps: &[(&str, bool)]) -> Value {
    let step = |(text, empty): &(&str, bool)| json!({"created_by": text, "empty_layer": empty});
    steps.iter().map(step).collect()
}

/// The instructions without comments and blank lines.
fn instructions(dockerfile: &str) -> Vec<&str> {
    let lines = dockerfile.lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn other_builders_are_understood() {
    let directory = tempfile::tempdir().expect("a directory");
    let layer = |name: &str| forge::layer(&[Entry::file(name, b"x")]);
    let steps = history(&[
        ("/bin/sh -c #(nop) ADD file:12 in / ", false),
        ("/bin/sh -c #(nop)  CMD [\"bash\"]", true),
        ("/bin/sh -c #(nop) COPY dir:34 in /srv/app ", false),
        (
            "|2 A=b c D=e /bin/bash -o pipefail -c make  &&   make install",
            false,
        ),
        ("RUN ls -l # buildkit", false),
        ("RUN apt-get update", false),
        ("bazel build ...", false),
        ("ENV A=one B=two words", true),
        ("COPY --from=builder /out/app /bin/app", false),
        ("USER app", true),
    ]);
    let names = [
        "base",
        "srv/app/a",
        "made",
        "listed",
        "updated",
        "bazel",
        "bin/app",
    ];
    let layers: Vec<Vec<u8>> = names.iter().map(|name| layer(name)).collect();
    let config = json!({
        "history": steps,
        "config": {"Env": ["A=one", "B=two words", "C=$x \"y\""], "User": "app"},
    });
    let path = made(directory.path(), "builders", &config, &layers);
    let run = imgtar(&["dockerfile", &path]).exits(0);
    assert_eq!(
        instructions(run.out()),
        [
            "FROM scratch",
            "ADD base /",
            "COPY app/ /srv/app",
            "ARG A=\"b c\"",
            "ARG D=e",
            "RUN [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\", \"make  &&   make install\"]",
            "RUN [\"ls\", \"-l\"]",
            "RUN apt-get update",
            "ADD layers/5.tar /",
            "ENV A=one B=\"two words\"",
            "COPY /out/app /bin/app",
            "USER app",
            "ENV C=\"\\$x \\\"y\\\"\"",
        ],
        "{}",
        run.out()
    );
    assert!(run.out().contains("builder"), "{}", run.out());
    assert!(run.err().contains("not exactly"), "{}", run.err());
}

#[test]
fn histories_inject_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let evil = "\nFROM evil\nRUN evil\r\nUSER evil";
    let texts: Vec<String> = [
        "RUN /bin/sh -c a",
        "/bin/sh -c a",
        "|1 A=b /bin/sh -c a",
        "RUN |1 A=b{} /bin/sh -c a",
        "COPY a /b",
        "COPY <<E /b",
        "ADD a",
        "/bin/sh -c #(nop) COPY file:1 in /a",
        "/bin/sh -c #(nop) ENV A=b",
        "ENV A=b",
        "LABEL A=b",
        "CMD a",
        "CMD [\"a\"]",
        "ENTRYPOINT [a",
        "USER a",
        "WORKDIR /a",
        "EXPOSE 1",
        "VOLUME [/a",
        "STOPSIGNAL 9",
        "SHELL [a",
        "HEALTHCHECK a",
        "ONBUILD RUN <<E",
        "ONBUILD RUN a \\",
        "MAINTAINER a",
        "ARG a",
        "ARG a=b",
        "RUN a \\",
        "x",
        "",
    ]
    .iter()
    .flat_map(|text| {
        [
            format!("{text}{evil}"),
            text.replace("{}", evil),
            format!("{text} # buildkit{evil}"),
        ]
    })
    .collect();
    for with_config in [false, true] {
        let steps: Vec<(&str, bool)> = texts.iter().map(|text| (text.as_str(), true)).collect();
        let value = format!("a{evil}");
        let config = if with_config {
            json!({
                "author": value, "history": history(&steps),
                "config": {
                    "Env": [format!("A={value}"), value], "Labels": {"A": value, value.clone(): "b"}, "User": value,
                    "WorkingDir": format!("/{value}"), "Cmd": [value], "Entrypoint": [value], "Shell": [value],
                    "ExposedPorts": {value.clone(): {}}, "Volumes": {value.clone(): {}}, "StopSignal": value,
                    "Healthcheck": {"Test": ["CMD-SHELL", value]}, "OnBuild": [value],
                },
            })
        } else {
            json!({"history": history(&steps)})
        };
        let path = made(directory.path(), "evil", &config, &[]);
        let run = imgtar(&["dockerfile", &path]).exits(0);
        let mut from = 0;
        let mut continued = false;
        for line in run.out().lines() {
            let name = line.split(' ').next().unwrap_or_default();
            if !continued {
                assert_ne!(line, "USER evil", "{}", run.out());
                assert!(!line.starts_with("RUN evil"), "{}", run.out());
                from += usize::from(name == "FROM");
            }
            continued = line.ends_with('\\') && !line.starts_with('#');
        }
        assert_eq!(from, 1, "{}", run.out());
    }
}

// --- every config --------------------------------------------------------------------------------------------

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 $\"'\\\\{}=#|&;<>~*?\\[\\]()!%^,.:/@+é漢\t-]{0,12}"
}

fn words() -> impl Strategy<Value = Option<Vec<String>>> {
    prop::option::of(prop::collection::vec(word(), 1..4))
}

fn run_config() -> impl Strategy<Value = RunConfig> {
    let name = "[A-Za-z_][A-Za-z0-9_.-]{0,6}";
    let env = prop::collection::btree_map(name, word(), 0..4);
    let labels = prop::collection::btree_map("[a-z][a-z0-9 ./\"$'-]{0,8}", word(), 0..4);
    let ports = prop::collection::btree_set(1..65_535_u16, 0..3);
    let volumes = prop::collection::btree_set("/[a-z$\"' ]{1,6}[a-z]", 0..3);
    let health = prop::option::of((words(), 0..9_i64, 0..9_000_000_000_i64, any::<bool>()));
    let lists = (words(), words(), words());
    let texts = ("[a-z0-9:]{0,8}", "(/[a-z $]{1,5}[a-z])?", "(SIGTERM|9)?");
    (env, labels, ports, volumes, health, lists, texts).prop_map(
        |(env, labels, ports, volumes, health, (cmd, entrypoint, shell), (user, dir, signal))| {
            let health = health.and_then(|(words, retries, time, in_shell)| {
                let mut test = vec![if in_shell { "CMD-SHELL" } else { "CMD" }.to_owned()];
                match (words?, in_shell) {
                    (_, true) => test.push("curl -f \"$X\" || exit 1".to_owned()),
                    (words, false) => test.extend(words),
                }
                Some(Health {
                    test,
                    retries,
                    interval: if time < 1_000_000 { 0 } else { time },
                    ..Health::default()
                })
            });
            RunConfig {
                user,
                env: env
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
                entrypoint,
                cmd,
                exposed_ports: {
                    let mut ports: Vec<String> =
                        ports.iter().map(|port| format!("{port}/tcp")).collect();
                    ports.sort();
                    ports
                },
                volumes: volumes.into_iter().collect(),
                working_dir: dir,
                labels: labels.into_iter().collect(),
                stop_signal: signal,
                healthcheck: health,
                on_build: Vec::new(),
                shell,
            }
        },
    )
}

fn json_of(run: &RunConfig) -> Value {
    let keys =
        |list: &[String]| -> Value { list.iter().map(|key| (key.clone(), json!({}))).collect() };
    let health = run.healthcheck.as_ref().map(|health| {
        json!({"Test": health.test, "Interval": health.interval, "Retries": health.retries})
    });
    json!({
        "User": run.user, "Env": run.env, "Entrypoint": run.entrypoint, "Cmd": run.cmd,
        "ExposedPorts": keys(&run.exposed_ports), "Volumes": keys(&run.volumes), "WorkingDir": run.working_dir,
        "Labels": run.labels.iter().cloned().collect::<BTreeMap<_, _>>(), "StopSignal": run.stop_signal,
        "Healthcheck": health, "Shell": run.shell,
    })
}

/// Whatever a config says, the Dockerfile that imgtar writes for it says the same to imgtar's own reader, which is
/// compared with Docker's elsewhere.
#[test]
fn every_config_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut runner = TestRunner::new(cases_of(60));
    let outcome = runner.run(&run_config(), |run| {
        let config = json!({"config": json_of(&run)});
        let path = made(directory.path(), "any", &config, &[]);
        let printed = imgtar(&["dockerfile", &path]).exits(0);
        let mut got = RunConfig::default();
        let mut shell = None;
        let mut changes = Vec::new();
        for step in items(&printed_json(&path)["instructions"]) {
            let Some(line) = step["text"].as_str() else {
                continue;
            };
            match &step["instruction"] {
                name if name == "SHELL" => {
                    let words = line.strip_prefix("SHELL ").expect("a shell");
                    shell = Some(serde_json::from_str(words).expect("words"));
                }
                name if name == "FROM" => {}
                _ => changes.push(line.to_owned()),
            }
        }
        if !changes.is_empty() {
            let changes = ConfigChanges::parse(&changes).expect("instructions");
            changes.apply(&mut got).expect("values");
        }
        got.shell = shell;
        prop_assert_eq!(got, run, "{}", printed.out());
        Ok(())
    });
    outcome.expect("every config comes back");
}

fn printed_json(path: &str) -> Value {
    imgtar(&["dockerfile", path, "--json"]).exits(0).json()
}

// --- the build context ---------------------------------------------------------------------------------------

/// What `flatten` writes, by path, with whole seconds.
type Files = BTreeMap<String, String>;

fn files(archive: &[u8]) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(archive).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8_lossy(&entry.path_bytes())
            .trim_matches('/')
            .to_owned();
        let link = entry
            .link_name_bytes()
            .map(|link| String::from_utf8_lossy(&link).into_owned());
        let mut capability = Vec::new();
        if let Ok(Some(records)) = entry.pax_extensions() {
            for record in records {
                let record = record.expect("a record");
                if record.key() == Ok("SCHILY.xattr.security.capability") {
                    capability = record.value_bytes().to_vec();
                }
            }
        }
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut body).expect("a body");
        let header = entry.header();
        let seen = format!(
            "{:?} {:o} {}:{} {} {:?} {:?} {:?} {} {:?}",
            header.entry_type(),
            header.mode().expect("a mode"),
            header.uid().expect("an owner"),
            header.gid().expect("a group"),
            header.mtime().expect("a time"),
            header.device_major(),
            header.device_minor(),
            link,
            sha256(&body),
            capability,
        );
        files.insert(path, seen);
    }
    files
}

fn flat(archive: &str, image: &str, directory: &Path) -> Files {
    let out = shown(&directory.join("flat.tar"));
    imgtar(&["flatten", archive, image, "-f", "-o", &out]).exits(0);
    files(&fs::read(out).expect("a tar"))
}

/// What unpacking the tars of a context one after the other gives, as `ADD` does; whiteouts mean nothing.
fn unpacked(context: &[u8]) -> Files {
    let mut all = Files::new();
    for member in tar::Archive::new(context).entries().expect("a tar") {
        let mut member = member.expect("a member");
        if !member.path_bytes().ends_with(b".tar") {
            continue;
        }
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut member, &mut tar).expect("a body");
        let files = files(&tar);
        assert!(
            !files.is_empty(),
            "a builder would copy an empty tar as a file"
        );
        for (path, seen) in files {
            let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
            assert!(
                above.all(|above| all.contains_key(above) || path.starts_with(above)),
                "{path}"
            );
            all.insert(path, seen);
        }
    }
    all
}

/// Makes the context of an image without its commands.
#[track_caller]
fn make_context(archive: &str, image: &str, to: &str, more: &[&str]) -> Run {
    let args = [
        "dockerfile",
        archive,
        image,
        "--no-run",
        "--context",
        to,
        "-f",
    ];
    imgtar(&[&args, more].concat()).exits(0)
}

#[test]
fn a_context_without_commands_has_exactly_the_files_of_the_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let context = shown(&directory.path().join("context.tar"));
    let path = engines("docker26-multi.tar");
    for image in [
        "imgtar-testdata/app:1",
        "imgtar-testdata/app:2",
        "imgtar-testdata/classic:1",
    ] {
        let run = make_context(&path, image, &context, &[]);
        assert!(
            run.out().is_empty() && run.err().contains("docker build"),
            "{}",
            run.err()
        );
        let bytes = fs::read(&context).expect("a context");
        let (got, wanted) = (unpacked(&bytes), flat(&path, image, directory.path()));
        // Of the names of one file another one may come first.
        let plain = |files: &Files| -> BTreeMap<String, bool> {
            files
                .iter()
                .map(|(path, seen)| (path.clone(), seen.starts_with("Directory")))
                .collect()
        };
        assert_eq!(plain(&got), plain(&wanted), "{image}");
        for jobs in ["1", "3"] {
            make_context(&path, image, &context, &["--jobs", jobs]);
            assert_eq!(
                fs::read(&context).expect("a context"),
                bytes,
                "{jobs} threads"
            );
        }
    }
}

#[test]
fn a_damaged_layer_gives_no_context() {
    let directory = tempfile::tempdir().expect("a directory");
    let layer = forge::layer(&[Entry::file("a", b"right")]);
    let path = made(directory.path(), "damaged", &json!({}), &[layer]);
    let mut bytes = fs::read(&path).expect("an archive");
    let at = bytes
        .windows(5)
        .position(|bytes| bytes == b"right")
        .expect("the file");
    bytes[at] = b'l';
    fs::write(&path, bytes).expect("room");
    let context = directory.path().join("context.tar");
    imgtar(&["dockerfile", &path, "--context", &shown(&context)]).exits(3);
    assert!(!context.exists());
}

/// A base whose files are deleted above it cannot be the FROM of a Dockerfile that only adds.
#[test]
fn deletions_of_the_base_need_another_beginning() {
    let directory = tempfile::tempdir().expect("a directory");
    let base = forge::layer(&[Entry::file("kept", b"1"), Entry::file("gone", b"2")]);
    let above = forge::layer(&[Entry::file(".wh.gone", b""), Entry::file("new", b"3")]);
    let only = made(
        directory.path(),
        "base",
        &json!({"config": {"Env": ["A=1"]}}),
        std::slice::from_ref(&base),
    );
    let whole = made(
        directory.path(),
        "whole",
        &json!({"config": {"Env": ["A=2"]}}),
        &[base, above],
    );
    let from = |args: &[&str]| {
        let run = imgtar(&[&["dockerfile", &whole, "--base", &only], args].concat()).exits(0);
        let from = run.out().lines().find(|line| line.starts_with("FROM"));
        from.expect("a FROM").to_owned()
    };
    assert_eq!(from(&[]), "FROM made/base:1");
    assert_eq!(from(&["--no-run"]), "FROM scratch");
    let other = made(
        directory.path(),
        "other",
        &json!({}),
        &[forge::layer(&[Entry::file("x", b"")])],
    );
    let run = imgtar(&["dockerfile", &whole, "--base", &other]).exits(3);
    assert!(run.err().contains("was not built from"), "{}", run.err());
}

// --- engines -------------------------------------------------------------------------------------------------

/// What builders stamp, and what `docker commit` keeps of a container, for which there are no instructions.
const STAMPED: [&str; 8] = [
    "Image",
    "Hostname",
    "ArgsEscaped",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "OpenStdin",
    "StdinOnce",
];

/// The config, without what builders stamp.
fn stamped(config: &Value) -> BTreeMap<String, Value> {
    let mut fields: BTreeMap<String, Value> = BTreeMap::new();
    for (key, value) in config["config"].as_object().into_iter().flatten() {
        let is_empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(flag) => !flag,
            Value::Number(_) => false,
        };
        if !is_empty && !STAMPED.contains(&key.as_str()) {
            fields.insert(key.clone(), value.clone());
        }
    }
    // Buildah signs its work.
    if let Some(Value::Object(labels)) = fields.get_mut("Labels") {
        labels.remove("io.buildah.version");
        if labels.is_empty() {
            fields.remove("Labels");
        }
    }
    // BuildKit sets the root where there is no other.
    if fields.get("WorkingDir") == Some(&json!("/")) {
        fields.remove("WorkingDir");
    }
    // Its order is not kept: PATH comes first.
    if let Some(Value::Array(env)) = fields.get_mut("Env") {
        env.sort_by_key(|pair| text(pair).to_owned());
    }
    fields.insert("author".to_owned(), config["author"].clone());
    fields
}

/// The config of an image as it is in the archive.
fn config_of(archive: &str, image: &str) -> Value {
    let answer = answer(&["inspect", archive, image, "--json"]);
    answer["images"][0]["config"].clone()
}

/// Images of different engines and builders.
const IMAGES: [(&str, &str); 6] = [
    ("docker20-multi.tar", "imgtar-testdata/app:1"),
    ("docker26-multi.tar", "imgtar-testdata/app:2"),
    ("docker28-multi.tar", "imgtar-testdata/classic:1"),
    ("docker26-heredoc.tar", "imgtar-testdata/heredoc:1"),
    ("podman58-oci.tar", "imgtar-testdata/app:1"),
    ("docker28c-one.tar", "imgtar-testdata/app:1"),
];

/// Compares what was built from a context with the image that it was made of.
fn compare(what: &str, image: (&str, &str), built: (&str, &str), directory: &Path) {
    let wanted = flat(image.0, image.1, directory);
    let got = flat(built.0, built.1, directory);
    for (path, seen) in &wanted {
        assert_eq!(got.get(path), Some(seen), "{what}: {path}");
    }
    let added: Vec<_> = got
        .keys()
        .filter(|path| !wanted.contains_key(*path))
        .collect();
    assert!(added.is_empty(), "{what}: {added:?}");
    let configs = [config_of(image.0, image.1), config_of(built.0, built.1)];
    assert_eq!(stamped(&configs[1]), stamped(&configs[0]), "{what}");
}

/// Builds a context on an engine and saves the image.
fn built(docker: &Docker, builder: &str, context: &str, tag: &str, directory: &Path) -> String {
    let mut build = docker.command(&["build", "-q", "-t", tag, "-"]);
    build.env("DOCKER_BUILDKIT", builder);
    build.stdin(fs::File::open(context).expect("a context"));
    let ended = build.output().expect("a client");
    assert!(
        ended.status.success(),
        "{tag}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let saved = directory.join("saved.tar");
    fs::write(&saved, docker.run(&["save", tag])).expect("room");
    docker.try_run(&["rmi", "-f", tag]);
    shown(&saved)
}

#[test]
fn engines_build_the_same_files_and_config() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let context = shown(&directory.join("context.tar"));
    for docker in Docker::classic() {
        for (number, (archive, image)) in IMAGES.into_iter().enumerate() {
            let path = engines(archive);
            make_context(&path, image, &context, &[]);
            // The classic builder and BuildKit.
            for builder in ["0", "1"] {
                let tag = format!("imgtar-dockerfile-test:{number}-{builder}");
                let saved = built(&docker, builder, &context, &tag, directory);
                let what = format!("{docker:?} builder {builder}: {archive} {image}");
                compare(&what, (&path, image), (&saved, &tag), directory);
            }
        }
    }
}

/// On a base that the engine has.
#[test]
fn engines_build_on_a_base() {
    let Some(docker) = Docker::d26() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let context = shown(&directory.join("context.tar"));
    let path = engines("docker26-multi.tar");
    let base = shown(&directory.join("base.tar"));
    let image = "imgtar-testdata/classic:1";
    imgtar(&["select", &path, "imgtar-testdata/base:1", "-o", &base]).exits(0);
    docker.run_on(&["load"], &base);
    make_context(&path, image, &context, &["--base", &base]);
    let bytes = fs::read(&context).expect("a context");
    assert!(
        !unpacked(&bytes).contains_key("etc/os-release"),
        "the base is not in the context"
    );
    let tag = "imgtar-dockerfile-test:based";
    let saved = built(&docker, "0", &context, tag, directory);
    docker.try_run(&["rmi", "imgtar-testdata/base:1"]);
    compare(image, (&path, image), (&saved, tag), directory);
}

#[test]
fn podman_builds_the_same_files_and_config() {
    let Some(podman) = Podman::with_vfs() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let context = shown(&directory.join("context.tar"));
    for (archive, image) in IMAGES {
        let path = engines(archive);
        make_context(&path, image, &context, &[]);
        let tag = "localhost/imgtar-dockerfile-test:1";
        let mut build = podman.command(&["build", "-q", "--format", "docker", "-t", tag, "-"]);
        build.stdin(fs::File::open(&context).expect("a context"));
        let ended = build.output().expect("podman");
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        let saved = directory.join("saved.tar");
        fs::write(&saved, podman.run(&["save", tag])).expect("room");
        podman.run(&["rmi", "-f", tag]);
        let saved = shown(&saved);
        compare(
            &format!("podman: {archive} {image}"),
            (&path, image),
            (&saved, tag),
            directory,
        );
    }
}

/// The config is read as the program reads it.
#[test]
fn generated_configs_are_read_as_they_were_meant() {
    let run = RunConfig {
        cmd: Some(vec!["a".to_owned()]),
        ..RunConfig::default()
    };
    let config = json!({"config": json_of(&run)}).to_string();
    assert_eq!(Config::read(config.as_bytes()).expect("a config").run, run);
}
