//! Extended attributes that kernels refuse: told where they are written, and left out where that is asked for.

use std::fs;

use crate::support::Docker;
use crate::support::forge::{Entry, Form};
use crate::support::{self, forge, imgtar};

fn with(entry: Entry, xattrs: &[(&str, &[u8])]) -> Entry {
    let record = |(name, value): &(&str, &[u8])| (format!("SCHILY.xattr.{name}"), value.to_vec());
    Entry {
        pax: xattrs.iter().map(record).collect(),
        ..entry
    }
}

/// What Macs write, in two files and a directory; what no kernel takes; what all take.
fn entries() -> Vec<Entry> {
    let mac: (&str, &[u8]) = ("com.apple.provenance", b"\x01\x02");
    let mut link = Entry::new(b'2', b"link");
    link.link = b"d/a".to_vec();
    vec![
        with(Entry::new(b'5', b"d/"), &[mac]),
        with(Entry::file("d/a", b"a"), &[mac, ("user.kept", b"x")]),
        with(
            Entry::file("d/b", b"b"),
            &[mac, ("com.apple.quarantine", b"q")],
        ),
        with(
            Entry::file("d/c", b"c"),
            &[("security.capability", b"junk")],
        ),
        with(link, &[("user.onlink", b"x")]),
    ]
}

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(layers: &[Vec<Entry>]) -> Self {
        let layers: Vec<_> = layers.iter().map(|layer| forge::layer(layer)).collect();
        let directory = tempfile::tempdir().expect("a directory");
        let place = Self { directory };
        let archive = forge::archive(&layers, Form::Hybrid);
        fs::write(place.file("app.tar"), archive).expect("room for the archive");
        place
    }

    fn file(&self, name: &str) -> String {
        support::shown(&self.directory.path().join(name))
    }

    /// The warnings of a command that writes `out`, without what comes before and after.
    fn warnings(&self, args: &[&str], out: &str) -> Vec<String> {
        let out = self.file(out);
        let run = imgtar(&[args, &["-o", &out]].concat()).exits(0);
        let lines = run
            .err()
            .lines()
            .filter_map(|line| line.strip_prefix("warning: "));
        lines.map(str::to_owned).collect()
    }
}

const KINDS: [&str; 4] = [
    "`d` has the extended attribute `com.apple.provenance` (2 more files have it), and Linux has no such attribute: Docker refuses the layer, containerd and podman leave the attribute out",
    "`d/b` has the extended attribute `com.apple.quarantine`, and Linux has no such attribute: Docker refuses the layer, containerd and podman leave the attribute out",
    "`d/c` has the extended attribute `security.capability`, and the kernel refuses its name or value: Docker, containerd and podman refuse the layer",
    "`link` has the extended attribute `user.onlink`, and the kernel refuses attributes of users on links and devices: podman refuses the layer, Docker 29.7 sets it on what a link leads to and refuses the layer if nothing is there, older ones and containerd leave the attribute out",
];

fn told(way_out: &str) -> Vec<String> {
    KINDS
        .iter()
        .map(|kind| format!("{kind}; {way_out}"))
        .collect()
}

#[test]
fn attributes_are_told_where_they_are_written() {
    let place = Place::new(&[vec![Entry::file("z", b"")], entries()]);
    let app = place.file("app.tar");
    let option = told("--drop-xattr leaves it out");
    assert_eq!(place.warnings(&["flatten", &app], "flat.tar"), option);
    assert_eq!(place.warnings(&["squash", &app], "squashed.tar"), option);
    let after = told("`imgtar squash --drop-xattr` makes an image without it");
    let flat = place.file("flat.tar");
    assert_eq!(place.warnings(&["import", &flat], "imported.tar"), after);
    // What the image has already is not written again.
    let none: [&str; 0] = [];
    assert_eq!(place.warnings(&["commit", &app, &flat], "same.tar"), none);
    let base = Place::new(&[vec![Entry::file("z", b"")]]);
    let args = ["commit", &base.file("app.tar"), &flat];
    assert_eq!(base.warnings(&args, "new.tar"), after);
    // Standard output gets the same.
    let run = imgtar(&["flatten", &app, "-o", "-"]).exits(0);
    assert!(run.err().contains(&option[0]), "{run}");
}

#[test]
fn attributes_are_left_out_on_demand() {
    let place = Place::new(&[vec![Entry::file("z", b"")], entries()]);
    let app = place.file("app.tar");
    let drop = [
        "--drop-xattr",
        "com.apple.*",
        "--drop-xattr",
        "security.capability",
        "--drop-xattr",
        "user.onlink",
    ];
    let without: Vec<Entry> = entries()
        .into_iter()
        .map(|mut entry| {
            entry.pax.retain(|(name, _)| name.ends_with("user.kept"));
            entry
        })
        .collect();
    let clean = Place::new(&[vec![Entry::file("z", b"")], without]);
    for out in ["flat.tar", "-"] {
        let written = |place: &Place, drop: &[&str]| {
            let archive = place.file("app.tar");
            let args = [&["flatten", archive.as_str()], drop].concat();
            if out == "-" {
                return imgtar(&[&args[..], &["-o", "-"]].concat()).exits(0).stdout;
            }
            let none: [&str; 0] = [];
            assert_eq!(place.warnings(&args, out), none);
            support::bytes(&place.file(out))
        };
        let (dropped, wanted) = (written(&place, &drop), written(&clean, &[]));
        assert!(dropped == wanted, "{out}: the same bytes as without them");
    }
    let none: [&str; 0] = [];
    let args = [&["squash", &app][..], &drop].concat();
    assert_eq!(place.warnings(&args, "squashed.tar"), none);
    let report = imgtar(&["verify", "--json", &place.file("squashed.tar")])
        .exits(0)
        .json();
    assert_eq!(report["archives"][0]["problems"], serde_json::json!([]));
}

#[test]
fn one_layer_is_made_anew_only_for_what_it_loses() {
    let place = Place::new(&[entries()]);
    let app = place.file("app.tar");
    let same = place.warnings(&["squash", &app, "--drop-xattr", "nothing.*"], "same.tar");
    assert!(
        same.iter()
            .any(|line| line == "`--drop-xattr nothing.*` matches no extended attribute"),
        "{same:?}"
    );
    assert!(
        same.iter()
            .any(|line| line.starts_with("there is nothing to merge")),
        "{same:?}"
    );
    let other = place.warnings(
        &["squash", &app, "--drop-xattr", "com.apple.*"],
        "other.tar",
    );
    assert_eq!(other.len(), 2, "{other:?}");
    // Layers that stay keep what they have.
    let place = Place::new(&[entries(), vec![Entry::file("z", b"")]]);
    let app = place.file("app.tar");
    let args = ["squash", &app, "--from", "1", "--drop-xattr", "com.apple.*"];
    let lines = place.warnings(&args, "upper.tar");
    assert!(
        lines[0].contains("matches no extended attribute"),
        "{lines:?}"
    );
}

/// Metadata says what the tar holds, so the two cannot go together.
#[test]
fn metadata_needs_all_attributes() {
    let place = Place::new(&[entries()]);
    let (app, out, metadata) = (place.file("app.tar"), place.file("o"), place.file("m"));
    let args = [
        "flatten",
        &app,
        "-o",
        &out,
        "--metadata",
        &metadata,
        "--drop-xattr",
        "x",
    ];
    let run = imgtar(&args).exits(2);
    assert!(run.err().contains("--drop-xattr"), "{run}");
}

/// Each name is told once, and only so many.
#[test]
fn many_attributes_take_few_lines() {
    let names: Vec<String> = (0..50).map(|n| format!("odd.n{n:02}")).collect();
    let odd: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), &b"x"[..]))
        .collect();
    let place = Place::new(&[vec![
        with(Entry::file("a", b""), &odd),
        with(Entry::file("b", b""), &odd),
    ]]);
    let lines = place.warnings(&["flatten", &place.file("app.tar")], "flat.tar");
    assert_eq!(lines.len(), 11);
    assert!(
        lines[0].contains("`odd.n00` (1 more file has it)"),
        "{lines:?}"
    );
    assert_eq!(lines[10], "files have other such attributes 80 times");
}

/// Docker with go-archive 0.3 follows a link to set its attributes.
#[test]
fn attributes_of_links_need_a_target() {
    let link = |target: &[u8], name: &str| {
        let mut link = Entry::new(b'2', b"s");
        link.link = target.to_vec();
        with(link, &[(name, b"x")])
    };
    let a = || Entry::file("a", b"");
    let missing = |name: &str| format!("lsetxattr …: xattr {name:?}: no such file or directory");
    let user = "user.onlink";
    for (layer, says) in [
        (vec![a(), link(b"a", user)], String::new()),
        (vec![a(), link(b"/a", user)], String::new()),
        (vec![link(b"a", user), a()], missing(user)),
        (vec![link(b"nope", "trusted.x")], missing("trusted.x")),
        (vec![link(b"s", user)], "too many links".to_owned()),
    ] {
        let place = Place::new(&[layer]);
        let app = place.file("app.tar");
        let report = imgtar(&["verify", "--json", &app]).exits(0).json();
        let loaders = report["archives"][0]["loaders"].as_array().cloned();
        let loaders = loaders.expect("predictions");
        let reason = |version: &str| {
            let asked = |loader: &&serde_json::Value| {
                loader["store"] == "classic" && loader["version"] == version
            };
            let loader = loaders.iter().find(asked).expect("a prediction");
            loader["reason"].as_str().unwrap_or("").to_owned()
        };
        assert_eq!((reason("29.7"), reason("26.1")), (says, String::new()));
    }
}

/// Docker's own store refuses the image and takes it without the attributes.
#[test]
fn engines_load_what_is_left() {
    let mut image = entries();
    image.push(Entry::file("unique-to-imgtar-xattrs", b"x"));
    let place = Place::new(&[image]);
    let app = place.file("app.tar");
    let without = place.file("without.tar");
    let name = "imgtar/xattrs:1";
    let args = [
        "squash",
        &app,
        "-o",
        &without,
        "-t",
        name,
        "--drop-xattr",
        "com.apple.*",
    ];
    let args = [&args[..], &["--drop-xattr", "security.capability"]].concat();
    imgtar(&args).exits(0);
    for docker in Docker::classic() {
        let mut refused = docker.command(&["load"]);
        refused.stdin(fs::File::open(&app).expect("the archive"));
        assert!(
            !refused.output().expect("docker runs").status.success(),
            "{docker:?}"
        );
        docker.run_on(&["load"], &without);
        docker.run(&["rmi", name]);
    }
}
