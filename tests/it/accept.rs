//! `rebuild --accept-changes`: the layers below are what they were, and flattening what comes out gives
//! the flat tar as it was changed.

use crate::support::{forge, listing};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::forge::{Entry, Form};
use crate::support::listing::{Listing, Part, Row, find, parts};
use crate::support::{
    Docker, Input, Run, Work, answer, archives, bytes, cases, engines, full_size, imgtar,
    imgtar_with, in_turn, items, text,
};

/// A flat tar, its metadata and what is made of them.
impl Work {
    fn accept(&self, options: &[&str]) -> Run {
        let (flat, metadata, out) = (self.path("flat"), self.path("metadata"), self.path("out"));
        let args = ["rebuild", &flat, "--metadata", &metadata, "-f", "-o", &out];
        imgtar(&[&args[..], &["--accept-changes"], options].concat())
    }

    fn flat(&self) -> Vec<u8> {
        bytes(&self.path("flat"))
    }

    /// What the archive that came out holds, in one more layer than `below` has, which are its others.
    #[track_caller]
    fn assert_extends(&self, below: &Value, what: &str) {
        let out = self.path("out");
        let verify = imgtar(&["verify", "-q", &out]);
        assert_eq!(verify.code, 0, "{what}: {verify}");
        let layers = answer(&["layers", "--json", &out]);
        let [image] = items(&layers["images"]) else {
            panic!("{what}: not one image: {layers}");
        };
        let (old, new) = (items(&below["layers"]), items(&image["layers"]));
        assert_eq!(new.len(), old.len() + 1, "{what}");
        for (old, new) in old.iter().zip(new) {
            // Archives from before 1.10 claim no diff IDs.
            if !old["diff_id"].is_null() {
                assert_eq!(old["diff_id"], new["diff_id"], "{what}");
            }
        }
        let flat = self.path("again");
        imgtar(&["flatten", &out, "-f", "-o", &flat]).exits(0);
        assert_same(&self.flat(), &bytes(&flat), what);
    }
}

#[track_caller]
fn assert_same(want: &[u8], got: &[u8], what: &str) {
    let lines = |tar: &[u8]| -> Vec<Vec<u8>> {
        let rows: BTreeMap<Vec<u8>, Row> = Listing::of(tar).rows;
        rows.iter().map(|(path, row)| row.tarlist(path)).collect()
    };
    let (want, got) = (lines(want), lines(got));
    let difference = listing::difference(&want, &got);
    assert!(want == got, "{what}\n{difference}");
}

fn layers(archive: &str, image: usize) -> Value {
    let layers = answer(&["layers", "--json", archive]);
    items(&layers["images"])[image].clone()
}

fn newest(archive: &str) -> Value {
    let history = answer(&["history", "--json", archive]);
    items(&history["images"])[0]["history"][0].clone()
}

fn link(flag: u8, name: &str, target: &str) -> Entry {
    Entry {
        link: target.as_bytes().to_vec(),
        mode: if flag == b'2' { 0o777 } else { 0o644 },
        ..Entry::new(flag, name.as_bytes())
    }
}

fn directory(name: &str) -> Entry {
    Entry::new(b'5', name.as_bytes())
}

/// An image of two layers; the upper one hides a file of the lower one, whose bytes the metadata has.
fn base(form: Form) -> Vec<u8> {
    let lower = [
        directory("etc/"),
        Entry::file("etc/hidden", b"below"),
        Entry::file("etc/hosts", b"127.0.0.1 localhost\n"),
        directory("bin/"),
        Entry::file("bin/tool", &[7; 3000]),
        link(b'1', "bin/same", "bin/tool"),
        link(b'2', "bin/sh", "tool"),
    ];
    let upper = [
        directory("etc/"),
        Entry::file("etc/empty", b""),
        Entry::file("etc/hidden", b"above"),
        Entry::file("etc/passwd", b"root:x:0:0\n"),
    ];
    forge::archive(&[forge::layer(&lower), forge::layer(&upper)], form)
}

/// The flat tar of that image.
fn flat() -> Vec<Entry> {
    vec![
        directory("bin/"),
        Entry::file("bin/same", &[7; 3000]),
        link(b'2', "bin/sh", "tool"),
        link(b'1', "bin/tool", "bin/same"),
        directory("etc/"),
        Entry::file("etc/empty", b""),
        Entry::file("etc/hidden", b"above"),
        Entry::file("etc/hosts", b"127.0.0.1 localhost\n"),
        Entry::file("etc/passwd", b"root:x:0:0\n"),
    ]
}

fn named<'e>(entries: &'e mut [Entry], name: &str) -> &'e mut Entry {
    let mut entries = entries.iter_mut();
    let entry = entries.find(|entry| entry.name == name.as_bytes());
    entry.expect("the entry")
}

fn without(entries: &mut Vec<Entry>, name: &str) -> Entry {
    let at = entries.iter().position(|e| e.name == name.as_bytes());
    entries.remove(at.expect("the entry"))
}

/// What is done to a flat tar.
type Change = fn(&mut Vec<Entry>);

/// Changes that leave every byte of the layers below somewhere in the flat tar.
const CHANGES: [(&str, Change); 15] = [
    ("added", |e| e.push(Entry::file("etc/new", b"new\n"))),
    ("added directory", |e| {
        e.extend([directory("opt/"), Entry::file("opt/x", b"x")]);
    }),
    ("chmod", |e| named(e, "etc/passwd").mode = 0o4600),
    ("chown", |e| named(e, "etc/hosts").uid = 1000),
    ("touched", |e| named(e, "etc/hosts").mtime += 1),
    ("attribute", |e| {
        let value = ("SCHILY.xattr.user.x".into(), b"1".to_vec());
        named(e, "etc/hosts").pax.push(value);
    }),
    ("renamed", |e| {
        named(e, "etc/passwd").name = b"etc/users".to_vec();
        named(e, "etc/hosts").name = b"hosts".to_vec();
    }),
    ("exchanged", |e| {
        // Of one length, so that sums alone tell one from the other.
        e.push(Entry::file("etc/other", b"above"));
        named(e, "etc/hidden").body = b"abovE".to_vec();
    }),
    ("replaced, the old one kept", |e| {
        named(e, "etc/passwd").name = b"etc/passwd-".to_vec();
        e.push(Entry::file("etc/passwd", b"root:x:0:0\nme:x:1:1\n"));
    }),
    ("replaced by a later entry", |e| {
        e.push(Entry::file("etc/passwd", b"ROOT:x:0:0\n"));
    }),
    ("removed, empty", |e| _ = without(e, "etc/empty")),
    ("removed links", |e| {
        without(e, "bin/sh");
        without(e, "bin/tool");
    }),
    ("link parted", |e| {
        named(e, "bin/tool").typeflag = b'0';
        named(e, "bin/tool").link.clear();
        named(e, "bin/tool").body = vec![7; 3000];
    }),
    ("links", |e| {
        named(e, "bin/sh").link = b"same".to_vec();
        e.push(link(b'1', "etc/shadow", "etc/passwd"));
    }),
    ("another type", |e| {
        without(e, "etc/empty");
        e.push(Entry::new(b'6', b"etc/empty"));
    }),
];

#[test]
fn what_was_changed_becomes_a_layer() {
    let work = Work::new();
    for form in Form::ALL {
        let archive = work.put("in", &base(form));
        let below = layers(&archive, 0);
        for keep in [&[][..], &["--keep-blobs"]] {
            work.flatten(&archive, "@0", keep).exits(0);
            assert_same(&work.flat(), &forge::layer(&flat()), "the forge's own");
            for (what, change) in CHANGES {
                let what = format!("{what}, {form:?}, {keep:?}");
                let mut entries = flat();
                change(&mut entries);
                if !what.starts_with("replaced by") {
                    entries.sort_by(|a, b| a.name.cmp(&b.name));
                    // Links stand behind what they lead to.
                    entries.sort_by_key(|entry| entry.typeflag == b'1');
                }
                work.put("flat", &forge::layer(&entries));
                let run = work.accept(&[]);
                assert_eq!(run.code, 0, "{what}: {run}");
                assert!(run.err().contains("layer 2: new, sha256:"), "{what}: {run}");
                let id = &answer(&["images", "--json", &work.path("out")])["images"][0]["id"];
                assert_eq!(run.out().trim(), text(id), "{what}");
                work.assert_extends(&below, &what);
            }
        }
    }
}

/// Bytes that were replaced or removed are gone: the error says whose they were, and there is no output.
#[test]
fn lost_bytes_are_named() {
    let lossy: [(&str, &str, Change); 3] = [
        ("1", "etc/passwd", |e| {
            named(e, "etc/passwd").body.push(b'\n');
        }),
        ("0", "etc/hosts", |e| _ = without(e, "etc/hosts")),
        // As long as it was, and nothing else is.
        ("1", "etc/hidden", |e| {
            named(e, "etc/hidden").body = b"abovE".to_vec();
        }),
    ];
    let work = Work::new();
    for form in Form::ALL {
        let archive = work.put("in", &base(form));
        let below = layers(&archive, 0);
        for (layer, path, change) in lossy {
            let mut entries = flat();
            change(&mut entries);
            let changed = forge::layer(&entries);
            work.flatten(&archive, "@0", &[]).exits(0);
            work.put("flat", &changed);
            let run = work.accept(&[]).exits(3);
            let wanted = format!("layer {layer} cannot be put together");
            assert!(run.err().contains(&wanted), "{run}");
            assert!(run.err().contains(&format!("`{path}`")), "{run}");
            assert!(run.err().contains("imgtar commit"), "{run}");
            assert!(!Path::new(&work.path("out")).exists(), "{run}");

            // Where the layer was kept, nothing is lost.
            if form == Form::Compressed {
                work.flatten(&archive, "@0", &["--keep-blobs"]).exits(0);
                work.put("flat", &changed);
                work.accept(&[]).exits(0);
                work.assert_extends(&below, path);
                fs::remove_file(work.path("out")).expect("it is there");
            }

            // And lean metadata is without what is lost anyway.
            work.flatten(&archive, "@0", &["--lean"]).exits(0);
            work.put("flat", &changed);
            let run = work.accept(&[]).exits(0);
            let wanted = format!("layer {layer}: without ");
            assert!(run.err().contains(&wanted), "{run}");
            let (out, again) = (work.path("out"), work.path("again"));
            imgtar(&["verify", "-q", &out]).exits(0);
            imgtar(&["flatten", &out, "-f", "-o", &again]).exits(0);
            assert_same(&changed, &bytes(&again), path);
            fs::remove_file(out).expect("it is there");
        }
    }
    // All that is lost is told.
    let archive = work.put("in", &base(Form::Hybrid));
    work.flatten(&archive, "@0", &[]).exits(0);
    work.put("flat", &forge::layer(&[directory("etc/")]));
    let run = work.accept(&[]).exits(3);
    for line in [
        "that `etc/hosts` had",
        "layer 0: `bin/same`",
        "layer 1: `etc/hidden`",
        "layer 1: `etc/passwd`",
    ] {
        assert!(run.err().contains(line), "{line}: {run}");
    }
}

/// Without a change the option changes nothing, and what cannot count is told.
#[test]
fn no_change_makes_no_layer() {
    for name in ["docker20-one.tar", "docker26c-multi.tar", "v1.tar"] {
        let archive = engines(name);
        let work = Work::new();
        work.flatten(&archive, "@0", &["--keep-blobs"]).exits(0);
        work.accept(&[]).succeeds();
        assert!(work.out() == bytes(&archive), "{name}");
        let run = work.accept(&["-t", "other:1"]).exits(0);
        assert!(run.err().contains("nothing was changed"), "{run}");
        assert!(work.out() == bytes(&archive), "{name}");
        let (flat, metadata) = (work.path("flat"), work.path("metadata"));
        let args = ["rebuild", &flat, "--metadata", &metadata];
        let run = imgtar(&[&args[..], &["--accept-changes"]].concat()).succeeds();
        assert!(run.stdout == bytes(&archive), "{name}");
        for option in [
            "-t=a:1",
            "-m=x",
            "--layout=oci",
            "--created=2020-01-01T00:00:00Z",
        ] {
            imgtar(&[&args[..], &[option]].concat()).exits(2);
        }
    }
}

/// A tar without fractions of seconds and attributes, as engines export it, with what they put into a
/// container: nothing was changed, and the archive is there again, byte for byte.
#[test]
fn what_exports_leave_out_is_no_change() {
    let mut entries = flat();
    for entry in &mut entries {
        entry.pax = vec![
            ("mtime".into(), b"1600000000.25".to_vec()),
            ("SCHILY.xattr.user.x".into(), b"1".to_vec()),
        ];
    }
    for form in [Form::Hybrid, Form::Compressed] {
        let archive = forge::archive(&[forge::layer(&entries)], form);
        let work = Work::new();
        let path = work.put("in", &archive);
        work.flatten(&path, "@0", &["--keep-blobs"]).exits(0);
        let mut exported = flat();
        let mut mounted = Entry::file(".dockerenv", b"");
        mounted.mode = 0o755;
        exported.extend([mounted, directory("proc/"), directory("sys/")]);
        work.put("flat", &forge::layer(&exported));
        work.accept(&[]).succeeds();
        assert!(work.out() == archive, "{form:?}");
        // What looks like an engine's where no engine was is somebody's own.
        exported.retain(|entry| entry.name != b".dockerenv");
        for entry in &mut exported {
            entry.pax = vec![
                ("mtime".into(), b"1600000000.25".to_vec()),
                ("SCHILY.xattr.user.x".into(), b"1".to_vec()),
            ];
        }
        work.put("flat", &forge::layer(&exported));
        let run = work.accept(&[]).exits(0);
        assert!(run.err().contains("2 added, 0 changed"), "{run}");
        work.assert_extends(&layers(&path, 0), "own directories");
    }
}

/// What `flatten --as-container` has put there is no change, and what is added beside it is one.
#[test]
fn a_container_of_no_engine() {
    let work = Work::new();
    let archive = engines("docker20-one.tar");
    work.flatten(&archive, "@0", &["--as-container"]).exits(0);
    let mut flat = work.flat();
    let end = usize::try_from(Listing::of(&flat).end).expect("it is in memory");
    flat.truncate(end);
    flat.extend(forge::layer(&[Entry::file("etc/new", b"added\n")]));
    work.put("flat", &flat);
    let run = work.accept(&[]).exits(0);
    assert!(run.err().contains("1 added, 0 changed, 0 removed"), "{run}");
}

/// Bytes turned over or cut off, in the metadata or the flat tar: a sound archive where nobody reads the byte or
/// a body of the flat tar is another one, else an error and no archive.
#[test]
fn damaged_bytes_make_no_unsound_archive() {
    let work = Work::new();
    let archive = work.put("in", &base(Form::Compressed));
    work.flatten(&archive, "@0", &["--lean"]).exits(0);
    let mut entries = flat();
    entries.push(Entry::file("etc/new", b"new\n"));
    work.put("flat", &forge::layer(&entries));
    let mut made = 0;
    for name in ["metadata", "flat"] {
        let sound = bytes(&work.path(name));
        let parts = parts(&sound);
        let last = parts.iter().find(|(part, _)| *part == Part::End);
        let last = last.expect("an end").1.start;
        for at in (0..sound.len()).step_by(sound.len() / 120) {
            for cut in [false, true] {
                let mut damaged = sound.clone();
                if cut {
                    damaged.truncate(at);
                } else {
                    damaged[at] ^= 0x41;
                }
                work.put(name, &damaged);
                let run = work.accept(&[]);
                let (part, range) = find(&parts, at);
                let harmless = match part {
                    Part::Rest => true,
                    // A flat tar without the members behind it is a changed one; metadata is not.
                    Part::Padding => !cut || name == "flat" || range.end == last,
                    // Another body is a change, half of one is damage.
                    Part::Body => !cut && name == "flat",
                    Part::Header | Part::End => false,
                };
                assert_eq!(
                    run.code,
                    if harmless { 0 } else { 3 },
                    "{name} at {at}: {run}"
                );
                let out = work.path("out");
                if run.code == 0 {
                    imgtar(&["verify", "-q", &out]).exits(0);
                    fs::remove_file(out).expect("it is there");
                    made += 1;
                } else {
                    assert!(!Path::new(&out).exists(), "{name} at {at}");
                }
            }
        }
        work.put(name, &sound);
    }
    assert_eq!(made, 107);
}

/// One file more in every image of every engine.
#[test]
fn every_archive_gets_a_layer() {
    let mut made = 0;
    for name in archives(&engines("")) {
        let archive = engines(&name);
        let images = imgtar(&["layers", "--json", &archive]);
        if images.code != 0 {
            continue;
        }
        let images = images.json();
        let count = items(&images["images"]).len();
        for n in (0..count).filter(|n| in_turn(*n)) {
            let what = format!("{name} @{n}");
            let work = Work::new();
            work.flatten(&archive, &format!("@{n}"), &[]).exits(0);
            let mut flat = work.flat();
            let end = usize::try_from(Listing::of(&flat).end).expect("it is in memory");
            flat.truncate(end);
            flat.extend(forge::layer(&[Entry::file("zz-added", b"added\n")]));
            work.put("flat", &flat);
            let run = work.accept(&[]).exits(0);
            assert!(run.err().contains("1 added, 0 changed, 0 removed"), "{run}");
            assert_eq!(
                run.err().contains("which the new one does not have"),
                count > 1,
                "{what}: {run}"
            );
            work.assert_extends(&items(&images["images"])[n], &what);
            made += 1;
        }
    }
    assert!(made >= 39, "{made}");
}

/// From every crafted image to the next one, though next to nothing of its own bytes is left: lean layers
/// come back with what they have, and one more makes up for all the rest.
#[test]
fn any_flat_tar_becomes_a_layer_of_lean_metadata() {
    let directory = cases();
    let flattened = |name: &str| {
        let layers = forge::layers(&bytes(&format!("{directory}/{name}")));
        let archive = forge::archive(&layers, Form::Hybrid);
        let run = imgtar_with(&["flatten", "-"], Input::Pipe(&archive));
        (run.code == 0).then_some((archive, run.stdout))
    };
    let all: Vec<_> = archives(directory)
        .iter()
        .filter_map(|name| Some((name.clone(), flattened(name)?)))
        .collect();
    // A file that has all that exports leave out, so that nothing else is taken to be left out.
    let mut marker = Entry::file("zz-marker", b"");
    marker.pax = vec![("mtime".into(), b"1600000000.25".to_vec())];
    for name in ["user.x", "security.x", "trusted.x", "system.x"] {
        let value = (format!("SCHILY.xattr.{name}"), b"1".to_vec());
        marker.pax.push(value);
    }
    let marker = forge::layer(&[marker]);
    let mut made = 0;
    for (n, (name, (archive, _))) in all.iter().enumerate().filter(|(n, _)| in_turn(*n)) {
        let (next, (_, other)) = &all[(n + 1) % all.len()];
        let end = usize::try_from(Listing::of(other).end).expect("it is in memory");
        let other = &[&other[..end], &marker].concat();
        let work = Work::new();
        let archive = work.put("in", archive);
        work.flatten(&archive, "@0", &["--lean"]).exits(0);
        work.put("flat", other);
        let run = work.accept(&[]);
        assert_eq!(run.code, 0, "{name} to {next}: {run}");
        let (out, again) = (work.path("out"), work.path("again"));
        // Some of the layers are refused by every engine, then and now.
        let verified = |path: &str| imgtar(&["verify", "-q", path]).code;
        assert!(verified(&out) <= verified(&archive), "{name} to {next}");
        imgtar(&["flatten", &out, "-o", &again]).exits(0);
        assert_same(other, &bytes(&again), &format!("{name} to {next}"));
        made += 1;
    }
    assert!(made > if full_size() { 100 } else { 30 }, "{made}");
}

#[test]
fn the_new_image_is_what_was_asked_for() {
    let work = Work::new();
    let archive = work.put("in", &base(Form::Legacy));
    work.flatten(&archive, "@0", &[]).exits(0);
    let mut entries = flat();
    entries.push(Entry::file("etc/new", b"new\n"));
    work.put("flat", &forge::layer(&entries));
    work.accept(&["--created", "2021-02-03T04:05:06Z"]).exits(0);
    let (out, first) = (work.path("out"), work.out());
    let names = &answer(&["images", "--json", &out])["images"][0]["references"];
    assert!(names.to_string().contains(forge::NAME), "{names}");
    let step = newest(&out);
    assert_eq!(step["created_by"], "imgtar rebuild --accept-changes");
    assert_eq!(step["created"], "2021-02-03T04:05:06Z");
    // The same again gives the same bytes.
    for jobs in ["1", "3"] {
        work.accept(&["--created", "2021-02-03T04:05:06Z", "-j", jobs])
            .exits(0);
        assert!(work.out() == first);
    }
    let asked = ["-t", "other:2", "-m", "a remark", "--layout", "oci"];
    work.accept(&asked).exits(0);
    assert_eq!(newest(&out)["comment"], "a remark");
    let inspect = answer(&["inspect", "--json", &out]).to_string();
    assert!(inspect.contains("other:2"), "{inspect}");
    let members = Listing::of(&work.out()).names;
    assert!(members.contains(&b"oci-layout".to_vec()));
    assert!(!members.contains(&b"manifest.json".to_vec()));
    // To standard output, from standard input.
    let metadata = work.path("metadata");
    let args = [
        "rebuild",
        "-",
        "--metadata",
        &metadata,
        "--accept-changes",
        "--created",
        "2021-02-03T04:05:06Z",
    ];
    let run = imgtar_with(&args, Input::Pipe(&work.flat())).exits(0);
    assert!(run.stdout == first);
    assert!(run.err().contains("sha256:"), "{run}");
    // Something else altogether.
    work.put("flat", b"no tar");
    let run = work.accept(&[]).exits(3);
    assert!(run.err().contains("it is text: `no tar`"), "{run}");
}

// --- engines --------------------------------------------------------------------------------------

/// The engine loads the archive under the ID that was printed, and a container of it has the files. What
/// it exports of the container is not a change.
fn loads(docker: Option<Docker>) {
    let Some(docker) = docker else {
        return;
    };
    let work = Work::new();
    let archive = work.put("in", &base(Form::Compressed));
    work.flatten(&archive, "@0", &[]).exits(0);
    let mut entries = flat();
    named(&mut entries, "etc/passwd").mode = 0o600;
    named(&mut entries, "etc/hosts").name = b"hosts".to_vec();
    entries.push(Entry::file("etc/new", b"new\n"));
    work.put("flat", &forge::layer(&entries));
    let tag = format!("imgtar-accept-{}:1", std::process::id());
    let run = work.accept(&["-t", &tag]).exits(0);
    docker.run_on(&["load", "-q"], &work.path("out"));
    let id = docker.ask(&["image", "inspect", "-f", "{{.Id}}", &tag]);
    let layers = docker.ask(&["image", "inspect", "-f", "{{len .RootFS.Layers}}", &tag]);
    let container = docker.ask(&["create", &tag]);
    let export = docker.run(&["export", container.trim()]);
    docker.try_run(&["rm", container.trim()]);
    docker.try_run(&["rmi", "-f", &tag]);
    assert_eq!(layers.trim(), "3");
    assert_eq!(id.trim(), run.out().trim());

    let exported = Work::new();
    exported.flatten(&work.path("out"), "@0", &[]);
    exported.put("flat", &export);
    imgtar(&[
        "rebuild",
        &exported.path("flat"),
        "--metadata",
        &exported.path("metadata"),
    ])
    .exits(3);
    exported.accept(&[]).exits(0);
    let (again, before) = (exported.path("out"), layers_of(&work));
    assert_eq!(layers_of(&exported), before);
    assert_eq!(
        answer(&["images", "--json", &again])["images"][0]["id"],
        id.trim()
    );

    let mut rows = Listing::of(&export).rows;
    let wanted = Listing::of(&work.flat()).rows;
    rows.retain(|path, _| wanted.contains_key(path));
    for (path, row) in &wanted {
        let got = rows.get(path);
        // The engine puts its own files there.
        if path != b"etc" {
            assert_eq!(got, Some(row), "{}", String::from_utf8_lossy(path));
        }
    }
}

fn layers_of(work: &Work) -> Vec<Value> {
    let layers = layers(&work.path("out"), 0);
    let diff_ids = items(&layers["layers"]).iter();
    diff_ids.map(|layer| layer["diff_id"].clone()).collect()
}

#[test]
fn docker_26_loads_it() {
    loads(Docker::d26());
}

#[test]
fn docker_28_loads_it() {
    loads(Docker::d28());
}

#[test]
fn docker_20_loads_it() {
    loads(Docker::d20());
}
