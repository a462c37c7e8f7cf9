//! `flatten --metadata` and `rebuild`: what comes back is what went in, or an error says what keeps it
//! from coming back.

use crate::support;
use crate::support::forge;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bstr::ByteSlice as _;
use serde_json::Value;

use crate::support::forge::{Entry, Form};
use crate::support::listing::{Listing, Part, find, parts};
use crate::support::packed::gzip;
use crate::support::{
    Input, Run, Work, answer, archives, bytes, cases, engines, finish, full_size, imgtar,
    imgtar_with, in_turn, items, number, shared, shown, text,
};

/// A directory for one round trip.
impl Work {
    /// Flattens an image with metadata.
    pub(super) fn flatten(&self, archive: &str, image: &str, options: &[&str]) -> Run {
        let (flat, metadata) = (self.path("flat"), self.path("metadata"));
        let args = [
            "flatten",
            archive,
            image,
            "-f",
            "-o",
            &flat,
            "--metadata",
            &metadata,
        ];
        imgtar(&[&args[..], options].concat())
    }

    /// Rebuilds it.
    fn rebuild(&self) -> Run {
        let (flat, metadata, out) = (self.path("flat"), self.path("metadata"), self.path("out"));
        imgtar(&["rebuild", &flat, "--metadata", &metadata, "-f", "-o", &out])
    }

    pub(super) fn out(&self) -> Vec<u8> {
        bytes(&self.path("out"))
    }
}

/// The layers of an image, by `layers --json`.
fn diff_ids(image: &Value) -> Vec<&Value> {
    let layers = items(&image["layers"]).iter();
    layers.map(|layer| &layer["diff_id"]).collect()
}

/// The archive without the compression around it, by other decoders than imgtar's.
fn plain(archive: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut decoder: Box<dyn Read + '_> = match archive {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(archive)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::read::MultiBzDecoder::new(archive)),
        [0xfd, b'7', b'z', ..] => Box::new(liblzma::read::XzDecoder::new(archive)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::new(archive).expect("memory"))
        }
        _ => Box::new(archive),
    };
    let mut out = Vec::new();
    decoder.read_to_end(&mut out).expect("sound");
    out
}

/// What became of the images of some archives.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    exact: usize,
    same_ids: usize,
    refused: usize,
}

/// Takes every image of an archive apart and puts it together again.
fn round_trip(path: &str, count: &mut Count) {
    let listed = imgtar(&["layers", "--json", path]);
    if listed.code != 0 {
        return;
    }
    let listed = listed.json();
    let work = Work::new();
    for (n, image) in items(&listed["images"]).iter().enumerate() {
        let run = work.flatten(path, &format!("@{n}"), &[]);
        if run.code != 0 {
            // Nobody vouches for the layers, or they cannot be applied: nothing is written at all.
            assert_eq!(run.code, 3, "{run}");
            assert!(!Path::new(&work.path("metadata")).exists(), "{run}");
            count.refused += 1;
            continue;
        }
        work.rebuild().exits(0);
        let uncompressed = items(&image["layers"])
            .iter()
            .all(|layer| layer["compression"] == "none");
        if uncompressed {
            assert!(
                work.out() == plain(&bytes(path)),
                "{path} @{n} is another one"
            );
            count.exact += 1;
        } else {
            let again = answer(&["layers", "--json", &work.path("out")]);
            let again = &items(&again["images"])[n];
            assert_eq!(again["id"], image["id"], "{path} @{n}");
            assert_eq!(diff_ids(again), diff_ids(image), "{path} @{n}");
            let verify = |path: &str| imgtar(&["verify", "-q", path]).code;
            assert_eq!(verify(&work.path("out")), verify(path), "{path} @{n}");
            count.same_ids += 1;
        }
        for name in ["flat", "metadata", "out"] {
            fs::remove_file(work.path(name)).expect("it is there");
        }
    }
}

#[test]
fn archives_of_engines_come_back() {
    let mut count = Count::default();
    let directory = engines("");
    for name in archives(&directory) {
        round_trip(&engines(&name), &mut count);
    }
    assert_eq!(count.refused, 0);
    assert!(count.exact >= 29 && count.same_ids >= 10, "{count:?}");
    let Some(directory) = shared("archives") else {
        return;
    };
    let mut count = Count::default();
    for name in archives(&directory) {
        round_trip(&format!("{directory}/{name}"), &mut count);
    }
    let wanted = Count {
        exact: 20,
        same_ids: 3,
        refused: 0,
    };
    assert_eq!(count, wanted);
}

#[test]
fn archives_of_others_come_back() {
    let Some(directory) = shared("corpus") else {
        return;
    };
    let mut count = Count::default();
    let mut names: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "tsv"))
        .collect();
    names.sort();
    for path in names {
        round_trip(&shown(&path), &mut count);
    }
    // The refused ones are those that `flatten` refuses: layers that are not what their diff IDs say,
    // missing or empty ones.
    assert!(count.exact >= 53 && count.same_ids >= 15, "{count:?}");
}

/// Every crafted layer that can be flattened at all comes back, in every layout.
#[test]
fn crafted_layers_come_back() {
    let directory = cases();
    // Refused are layers that no engine could apply.
    let (mut exact, mut refused) = (0, 0);
    for (number, name) in archives(directory).into_iter().enumerate() {
        let layers = forge::layers(&bytes(&format!("{directory}/{name}")));
        for (form_number, form) in Form::ALL.into_iter().enumerate() {
            if !in_turn(number + form_number) {
                continue;
            }
            let archive = forge::archive(&layers, form);
            let work = Work::new();
            let path = work.put("in", &archive);
            let run = work.flatten(&path, "@0", &["--keep-blobs"]);
            if run.code != 0 {
                assert_eq!(run.code, 3, "{name} {form:?}: {run}");
                refused += 1;
                continue;
            }
            let run = work.rebuild();
            assert_eq!(run.code, 0, "{name} {form:?}: {run}");
            assert!(work.out() == archive, "{name} {form:?}");
            exact += 1;
        }
    }
    if full_size() {
        assert_eq!((exact, refused), (416, 64));
    }
    assert!(exact > 100, "{exact}");
}

/// The same without the bytes of hidden files: what comes back still merges to the same flat tar.
#[test]
fn crafted_layers_come_back_lean() {
    let directory = cases();
    let (mut all, mut refused, mut lean) = (0, 0, 0);
    for name in archives(directory) {
        all += 1;
        let layers = forge::layers(&bytes(&format!("{directory}/{name}")));
        let work = Work::new();
        let path = work.put("in", &forge::archive(&layers, Form::Legacy));
        let run = work.flatten(&path, "@0", &["--lean"]);
        if run.code != 0 {
            assert_eq!(run.code, 3, "{name}: {run}");
            refused += 1;
            continue;
        }
        let run = work.rebuild().exits(0);
        let again = work.path("again");
        let flatten = imgtar(&["flatten", &work.path("out"), "-o", &again]);
        assert_eq!(flatten.code, 0, "{name}: {flatten}{run}");
        assert!(
            bytes(&again) == bytes(&work.path("flat")),
            "{name} merges to something else: {run}"
        );
        lean += usize::from(run.err().contains("without"));
    }
    assert_eq!((all, refused, lean), (120, 16, 29));
}

/// Layers whose bytes are nothing but odd.
fn odd_layers() -> Vec<(&'static str, Vec<u8>)> {
    let file = Entry::file("a", &[7; 1000]).bytes();
    let end = vec![0; 1024];
    let mut dirty = Entry::file("a", b"x").bytes();
    dirty[512 + 100] = 0xee;
    let mut sparse = Entry::file("GNUSparseFile.0/s", &{
        let mut body = b"1\n4096\n3\n".to_vec();
        body.resize(512, 0);
        body.extend_from_slice(b"abc");
        body
    });
    sparse.pax = vec![
        ("GNU.sparse.major".into(), b"1".to_vec()),
        ("GNU.sparse.minor".into(), b"0".to_vec()),
        ("GNU.sparse.name".into(), b"s".to_vec()),
        ("GNU.sparse.realsize".into(), b"5000".to_vec()),
    ];
    let mut global = Entry::new(b'g', b"pax_global_header");
    global.body = b"19 comment=nothing\n".to_vec();
    let mut linked = Entry::new(b'1', b"l");
    linked.link = b"a".to_vec();
    let join = |parts: &[&[u8]]| parts.concat();
    vec![
        ("no end", file.clone()),
        ("one zero block", join(&[&file, &end[..512]])),
        (
            "bytes behind the end",
            join(&[&file, &end, b"and something more"]),
        ),
        (
            "zeros behind the end",
            join(&[&file, &end, &vec![0; 3 << 20]]),
        ),
        ("padding that is not zero", join(&[&dirty, &end])),
        ("no padding", file[..512 + 1000].to_vec()),
        (
            "a file twice",
            join(&[&file, &Entry::file("./a", b"other").bytes(), &end]),
        ),
        ("sparse", join(&[&sparse.bytes(), &file, &end])),
        ("a global header", join(&[&global.bytes(), &file, &end])),
        (
            "names in other bytes",
            join(&[
                &Entry::new(b'0', b"n\xff<&>\"\\\x01").bytes(),
                &file,
                &linked.bytes(),
                &end,
            ]),
        ),
        ("nothing", end.clone()),
        (
            "large",
            join(&[&Entry::file("big", &vec![b'x'; 9 << 20]).bytes(), &end]),
        ),
    ]
}

#[test]
fn odd_layers_come_back() {
    for (what, layer) in odd_layers() {
        // On top of it a layer that hides its files, so that their bytes are in the metadata.
        let hiding: Vec<Entry> = ["a", "s", "big"]
            .iter()
            .map(|name| Entry::file(name, b"hidden"))
            .collect();
        for layers in [vec![layer.clone()], vec![layer, forge::layer(&hiding)]] {
            let archive = forge::archive(&layers, Form::Hybrid);
            let work = Work::new();
            let path = work.put("in", &archive);
            work.flatten(&path, "@0", &[]).exits(0);
            work.rebuild().exits(0);
            assert!(work.out() == archive, "{what}");
        }
    }
}

/// Archives whose own bytes are odd: what is behind the end, what is no part of any image.
#[test]
fn odd_archives_come_back() {
    let layers = [forge::layer(&[Entry::file("a", b"bytes")])];
    let archive = forge::archive(&layers, Form::Hybrid);
    let ended = archive.len() - 1024;
    let extra = Entry::file("extra", &vec![3; 5 << 20]).bytes();
    let odd = [
        [&archive[..ended], &extra, &[0; 1024]].concat(),
        [&archive[..], b"more"].concat(),
        archive[..ended].to_vec(),
    ];
    for archive in odd {
        let work = Work::new();
        let path = work.put("in", &archive);
        work.flatten(&path, "@0", &[]).exits(0);
        work.rebuild().exits(0);
        assert!(work.out() == archive);
    }
}

#[test]
fn kept_blobs_come_back_as_they_were() {
    for name in [
        "skopeo-oci.tar",
        "skopeo-oci-zstd.tar",
        "podman-oci.tar",
        "docker26c-platforms.tar",
    ] {
        let work = Work::new();
        work.flatten(&engines(name), "@0", &["--keep-blobs"])
            .exits(0);
        work.rebuild().succeeds();
        assert!(work.out() == bytes(&engines(name)), "{name}");
    }
}

/// What is left out of lean metadata is missing in the layers, and nowhere else.
#[test]
fn lean_metadata_gives_back_what_survives() {
    for name in [
        "docker20-one.tar",
        "docker26-one.tar",
        "skopeo-oci.tar",
        "podman-docker.tar",
        "v1.tar",
    ] {
        let work = Work::new();
        let image = answer(&["layers", "--json", &engines(name)]);
        let image = items(&image["images"])[0].clone();
        let full = {
            work.flatten(&engines(name), "@0", &[]).exits(0);
            bytes(&work.path("metadata")).len()
        };
        work.flatten(&engines(name), "@0", &["--lean"]).exits(0);
        assert!(bytes(&work.path("metadata")).len() < full, "{name}");
        let run = work.rebuild().exits(0);
        let flat = bytes(&work.path("flat"));
        let again = work.path("out");
        let again_flat = work.path("again");
        imgtar(&["flatten", &again, "@0", "-o", &again_flat]).exits(0);
        assert!(bytes(&again_flat) == flat, "{name}: {run}");
        let again = answer(&["layers", "--json", &again]);
        let (now, then) = (
            diff_ids(&items(&again["images"])[0])
                .into_iter()
                .cloned()
                .collect::<Vec<_>>(),
            diff_ids(&image),
        );
        assert_eq!(now.len(), then.len());
        let mut changed = 0;
        for (index, (now, then)) in now.iter().zip(then).enumerate() {
            if then.is_null() {
                continue;
            }
            // v1 archives claim no diff IDs; all others say of each layer which it is.
            let line = run
                .err()
                .lines()
                .find(|line| line.starts_with(&format!("layer {index}: ")));
            let line = line.unwrap_or_else(|| panic!("{run}"));
            assert!(line.contains(text(then)), "{run}");
            assert_eq!(line.contains("exact"), now == then, "{run}");
            assert!(line.contains(text(now)), "{run}");
            changed += usize::from(now != then);
        }
        assert!(changed > 0 || name == "v1.tar", "{run}");
    }
}

/// A hard link to a file that is lost is lost too; whiteouts and directories stay.
#[test]
fn lean_layers_can_be_applied() {
    let mut link = Entry::new(b'1', b"d/link");
    link.link = b"d/lost".to_vec();
    let bottom = forge::layer(&[
        Entry::new(b'5', b"d/"),
        Entry::file("d/lost", &[1; 3000]),
        link,
        Entry::file("kept", &[2; 700]),
    ]);
    let mut upper = Entry::new(b'1', b"again");
    upper.link = b"d/link".to_vec();
    let middle = forge::layer(&[upper, Entry::file("d/other", b"o")]);
    let top = forge::layer(&[
        Entry::file("d/lost", b"new"),
        Entry::file("again", b"n"),
        Entry::new(b'0', b"d/.wh.link"),
    ]);
    let archive = forge::archive(&[bottom, middle, top], Form::Hybrid);
    let work = Work::new();
    let path = work.put("in", &archive);
    work.flatten(&path, "@0", &["--lean"]).exits(0);
    let run = work.rebuild().exits(0);
    assert!(run.err().contains("layer 0: without 2 entries"), "{run}");
    assert!(run.err().contains("layer 1: without 1 entry"), "{run}");
    assert!(run.err().contains("layer 2: exact"), "{run}");
    imgtar(&["verify", "-q", &work.path("out")]).exits(0);
    let again = work.path("again");
    imgtar(&["flatten", &work.path("out"), "-o", &again]).exits(0);
    assert!(bytes(&again) == bytes(&work.path("flat")));
    let kept = forge::layers(&work.out());
    assert_eq!(
        Listing::of(&kept[0]).names,
        [b"d/".to_vec(), b"kept".to_vec()]
    );
}

/// The same where the link leads through a symbolic link.
#[test]
fn lean_layers_have_no_dangling_links() {
    let mut soft = Entry::new(b'2', b"s");
    soft.link = b"d".to_vec();
    let mut hard = Entry::new(b'1', b"b");
    hard.link = b"s/a".to_vec();
    let bottom = forge::layer(&[
        Entry::new(b'5', b"d/"),
        Entry::file("d/a", &[1; 3000]),
        soft,
        hard,
    ]);
    let top = forge::layer(&[
        Entry::new(b'0', b".wh.b"),
        Entry::new(b'0', b"d/.wh.a"),
        Entry::file("kept", b"k"),
    ]);
    let archive = forge::archive(&[bottom, top], Form::Hybrid);
    let work = Work::new();
    let path = work.put("in", &archive);
    work.flatten(&path, "@0", &["--lean"]).exits(0);
    let run = work.rebuild().exits(0);
    assert!(run.err().contains("layer 0: without 2 entries"), "{run}");
    let again = work.path("again");
    imgtar(&["flatten", &work.path("out"), "-o", &again]).exits(0);
    assert!(bytes(&again) == bytes(&work.path("flat")));
}

// --- a flat tar that was changed ------------------------------------------------------------------

/// Each change is refused, by the name of what was changed, and leaves no output behind.
#[test]
fn a_changed_flat_tar_is_refused() {
    let entries = [
        Entry::new(b'5', b"etc/"),
        Entry::file("etc/hosts", b"127.0.0.1 localhost\n"),
        Entry::file("etc/passwd", b"root:x:0:0\n"),
    ];
    let archive = forge::archive(&[forge::layer(&entries)], Form::Hybrid);
    let change = |f: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = entries.to_vec();
        f(&mut entries);
        forge::layer(&entries)
    };
    let changes: Vec<(&str, Vec<u8>)> = vec![
        (
            "`etc/passwd` has different content",
            change(&|e| e[2].body[0] = b'R'),
        ),
        (
            "`etc/passwd` has 12 bytes instead of 11",
            change(&|e| e[2].body.push(b'\n')),
        ),
        (
            "`etc/passwd` has the mode 0600 instead of 0644",
            change(&|e| e[2].mode = 0o600),
        ),
        (
            "`etc/passwd` has a different owner or group",
            change(&|e| e[2].uid = 1),
        ),
        (
            "`etc/passwd` has a different modification time",
            change(&|e| e[2].mtime += 1),
        ),
        (
            "`etc/passwd` has a different type",
            change(&|e| e[2] = Entry::new(b'6', b"etc/passwd")),
        ),
        ("`etc/passwd` is missing", change(&|e| drop(e.pop()))),
        (
            "`etc/shadow` was added",
            change(&|e| e.push(Entry::file("etc/shadow", b""))),
        ),
        (
            "`etc/passwd` is present twice",
            change(&|e| e.push(e[2].clone())),
        ),
        (
            "`etc/hosts` has different extended attributes",
            change(&|e| {
                e[1].pax.push(("SCHILY.xattr.user.x".into(), b"1".to_vec()));
            }),
        ),
        (
            "`etc/hosts` is a link to something else",
            change(&|e| {
                e.swap(1, 2);
                e[2] = Entry {
                    link: b"etc/passwd".to_vec(),
                    ..Entry::new(b'1', b"etc/hosts")
                };
            }),
        ),
    ];
    let work = Work::new();
    let path = work.put("in", &archive);
    for keep in [&[][..], &["--keep-blobs"]] {
        for form in [Form::Hybrid, Form::Compressed] {
            fs::write(&path, forge::archive(&[forge::layer(&entries)], form)).expect("room");
            work.flatten(&path, "@0", keep).exits(0);
            for (wanted, flat) in &changes {
                work.put("flat", flat);
                let run = work.rebuild().exits(3);
                assert!(run.err().contains(wanted), "{wanted}: {run}");
                assert!(!Path::new(&work.path("out")).exists(), "{run}");
            }
        }
    }
    // Another program's spelling of the same files is not a change.
    work.put(
        "flat",
        &change(&|e| {
            for entry in e.iter_mut() {
                entry.name = [b"./", &*entry.name].concat();
            }
            e.swap(1, 2);
        }),
    );
    work.rebuild().exits(0);
    // Something else altogether.
    work.put("flat", b"no tar");
    let run = work.rebuild().exits(3);
    assert!(run.err().contains("it is text: `no tar`"), "{run}");
}

#[test]
fn what_a_container_has_more_is_no_change() {
    let work = Work::new();
    let archive = engines("docker20-one.tar");
    work.flatten(&archive, "@0", &["--as-container"]).exits(0);
    work.rebuild().succeeds();
    assert!(work.out() == bytes(&archive));
}

/// Limits hold for what metadata and flat tar ask for, wherever they were opened.
#[test]
fn limits_hold_after_opening() {
    let work = Work::new();
    let archive = engines("docker20-one.tar");
    work.flatten(&archive, "@0", &[]).exits(0);
    let (flat, metadata, out) = (work.path("flat"), work.path("metadata"), work.path("out"));
    for (limit, value) in [
        ("entries", "3"),
        ("path", "3"),
        ("header", "0"),
        ("json", "10"),
        ("json-values", "3"),
        ("layers", "1"),
        ("members", "3"),
        ("expanded", "1KiB"),
    ] {
        let limits = format!("{limit}={value}");
        let args = [
            "rebuild",
            &flat,
            "--metadata",
            &metadata,
            "-f",
            "-o",
            &out,
            "--limit",
            "ratio=0",
            "--limit",
            &limits,
        ];
        let run = imgtar(&args).exits(3);
        assert!(run.err().contains(&format!("the limit `{limit}`")), "{run}");
        assert!(
            run.err().contains(&format!("--limit {limit}=VALUE")),
            "{run}"
        );
        let accepted = [&args[..], &["--accept-changes"]].concat();
        imgtar(&accepted).exits(3);
    }
}

/// An error says which file, which member, where in it, and what to do.
#[test]
fn damage_is_placed() {
    let work = Work::new();
    work.flatten(&engines("docker20-one.tar"), "@0", &[])
        .exits(0);
    let mut members = members(&bytes(&work.path("metadata")));
    let split = "layers/000/tar-split.json.gz";
    let member = members.iter_mut().find(|(name, _)| name == split);
    let member = &mut member.expect("a layer").1;
    member.truncate(member.len() / 2);
    work.put("metadata", &packed(&members));
    let run = work.rebuild().exits(3);
    let path = work.path("metadata");
    for words in [
        &*format!("`{split}` of the metadata {path}"),
        "the gzip data is damaged near byte ",
        "hint: the file was damaged or changed",
    ] {
        assert!(run.err().contains(words), "{words}: {run}");
    }
}

/// An owner that no header can have is not made root.
#[test]
fn an_owner_below_zero_is_an_error() {
    let work = Work::new();
    let mut archive = forge::archive(&[forge::layer(&[Entry::file("f", b"x")])], Form::Compressed);
    // The owner of the first member, in base 256: -2.
    archive[108..116].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
    let sum: u32 = archive[..512]
        .iter()
        .enumerate()
        .map(|(i, b)| u32::from(if (148..156).contains(&i) { b' ' } else { *b }))
        .sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let path = work.put("in", &archive);
    work.flatten(&path, "@0", &[]).exits(0);
    let run = work.rebuild().exits(3);
    assert!(run.err().contains("an owner or a group below 0"), "{run}");
}

// --- metadata that was changed --------------------------------------------------------------------

/// The members of a tar, by another reader.
fn members(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    use std::io::Read as _;
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("a tar");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut body = Vec::new();
            entry.read_to_end(&mut body).expect("a body");
            (
                String::from_utf8(entry.path_bytes().into_owned()).expect("text"),
                body,
            )
        })
        .collect()
}

fn packed(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<Entry> = members
        .iter()
        .map(|(name, body)| Entry::file(name, body))
        .collect();
    forge::layer(&entries)
}

fn gunzip(bytes: &[u8]) -> String {
    String::from_utf8(plain(bytes)).expect("text")
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a list of what can be wrong, a line each"
)]
fn damaged_metadata_is_refused() {
    let work = Work::new();
    work.flatten(&engines("docker20-one.tar"), "@0", &[])
        .exits(0);
    let sound = members(&bytes(&work.path("metadata")));
    let refuse = |wanted: &str, members: &[(String, Vec<u8>)]| {
        work.put("metadata", &packed(members));
        let run = work.rebuild().exits(3);
        assert!(run.err().contains(wanted), "{wanted}: {run}");
        assert!(!Path::new(&work.path("out")).exists(), "{run}");
    };
    // What every member is without: it is missed by name.
    for n in 0..sound.len() {
        let mut members = sound.clone();
        let (name, _) = members.remove(n);
        refuse(&name, &members);
    }
    let with = |name: &str, change: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut members = sound.clone();
        let member = members
            .iter_mut()
            .find(|(n, _)| n == name)
            .expect("the member");
        member.1 = change(&member.1);
        members
    };
    let described = |from: &str, to: &str| {
        with("imgtar-metadata.json", &|bytes| {
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            assert!(text.contains(from), "{text}");
            text.replacen(from, to, 1).into_bytes()
        })
    };
    let lines = |name: &str, change: &dyn Fn(String) -> String| {
        with(name, &|bytes| gzip(change(gunzip(bytes)).as_bytes()))
    };
    let more = |name: &str| {
        let mut members = sound.clone();
        members.push((name.to_owned(), Vec::new()));
        members
    };
    refuse(
        "imgtar/metadata/3",
        &described("imgtar/metadata/1", "imgtar/metadata/3"),
    );
    refuse(
        "unknown field",
        &described("\"lean\"", "\"more\": 1, \"lean\""),
    );
    refuse(
        "missing field",
        &with("imgtar-metadata.json", &|_| {
            br#"{"schema":"imgtar/metadata/1"}"#.to_vec()
        }),
    );
    refuse("`layers/more`", &more("layers/more"));
    refuse("`evil`", &more("../evil"));
    refuse("is present twice", &more("archive/bodies.json.gz"));
    let split = "layers/000/tar-split.json.gz";
    let bodies = "layers/000/bodies.json.gz";
    refuse(
        "damaged",
        &with(split, &|bytes| bytes[..bytes.len() / 2].to_vec()),
    );
    refuse("line 0", &lines(split, &|text| format!("[[[{text}")));
    refuse(
        "position",
        &lines(split, &|text| {
            text.replacen("\"position\":1", "\"position\":2", 1)
        }),
    );
    refuse(
        "it does not say where",
        &lines(bodies, &|text| text.split_inclusive('\n').skip(1).collect()),
    );
    refuse(
        "more bodies",
        &lines(bodies, &|text| {
            let last = text.lines().last().expect("a line").to_owned();
            text + &last + "\n"
        }),
    );
    refuse(
        "outside the store",
        &lines(bodies, &|text| {
            text.replacen("\"stored\":0", "\"stored\":18446744073709551000", 1)
        }),
    );
    refuse(
        "two places",
        &lines(bodies, &|text| {
            text.replacen("\"stored\":0", "\"stored\":0,\"layer\":1", 1)
        }),
    );
    refuse(
        "is missing",
        &lines(bodies, &|text| text.replacen(",\"stored\":0", "", 1)),
    );
    refuse(
        "the body of line 3 is not what it was",
        &with("archive/0000-VERSION", &|_| b"2.0".to_vec()),
    );
    refuse(
        "may expand to",
        &described("\"size\": ", "\"size\": 9999999999999"),
    );
    // A header of a layer that no longer has its checksum, with everything else in order.
    refuse(
        "the metadata describes layers that cannot be applied",
        &lines(split, &|text| text.replacen("MDAwMDc1NQ", "MDAwMDc1NA", 1)),
    );
}

/// Bytes turned over one at a time, or cut off: the same archive where nobody reads the byte, else an error;
/// never another archive.
#[test]
fn damaged_bytes_never_make_another_archive() {
    let work = Work::new();
    let archive = bytes(&engines("tiny20.tar"));
    work.flatten(&engines("tiny20.tar"), "@0", &[]).exits(0);
    for name in ["metadata", "flat"] {
        let sound = bytes(&work.path(name));
        let parts = parts(&sound);
        let last = parts.iter().find(|(part, _)| *part == Part::End);
        let last = last.expect("an end").1.start;
        let place = |words: &str| sound.find(words).unwrap_or(sound.len());
        let image = place("\"image\": {")..place("\"archive\": {");
        for at in (0..sound.len()).step_by(sound.len() / 150) {
            for cut in [false, true] {
                let mut damaged = sound.clone();
                if cut {
                    damaged.truncate(at);
                } else {
                    damaged[at] ^= 0x41;
                }
                work.put(name, &damaged);
                let run = work.rebuild();
                let (part, range) = find(&parts, at);
                let harmless = match part {
                    Part::Rest => true,
                    // Without the members behind it only if there are none.
                    Part::Padding => !cut || range.end == last,
                    // Whose archive it was is there to be read by people.
                    Part::Body => !cut && name == "metadata" && image.contains(&at),
                    Part::Header | Part::End => false,
                };
                assert_eq!(
                    run.code,
                    if harmless { 0 } else { 3 },
                    "{name} at {at}: {run}"
                );
                if run.code == 0 {
                    assert!(work.out() == archive, "{name} at {at}");
                    fs::remove_file(work.path("out")).expect("it is there");
                } else {
                    assert!(!Path::new(&work.path("out")).exists(), "{name} at {at}");
                }
            }
        }
        work.put(name, &sound);
    }
}

// --- ways in and out ------------------------------------------------------------------------------

#[test]
fn pipes_are_as_good_as_files() {
    let work = Work::new();
    let archive = engines("docker26-one.tar");
    work.flatten(&archive, "@0", &[]).succeeds();
    let (flat, metadata) = (work.path("flat"), work.path("metadata"));
    let run = imgtar(&["rebuild", &flat, "--metadata", &metadata]).succeeds();
    assert!(run.stdout == bytes(&archive));
    let args = ["rebuild", "-", "--metadata", &metadata, "-o", "-"];
    let run = imgtar_with(&args, Input::Pipe(&bytes(&flat))).succeeds();
    assert!(run.stdout == bytes(&archive));
    let args = ["rebuild", &flat, "--metadata", "-"];
    let run = imgtar_with(&args, Input::File(&metadata)).succeeds();
    assert!(run.stdout == bytes(&archive));
    imgtar(&["rebuild", "-", "--metadata", "-"]).exits(2);
    imgtar(&["rebuild", &flat, "--metadata", &metadata, "-o", &flat]).exits(2);
    let run = imgtar(&["rebuild", &flat, "--metadata", &flat, "-o", "-"]).exits(3);
    assert!(run.err().contains("is not metadata"), "{run}");
    // Metadata to standard output, and both there.
    let args = ["flatten", &archive, "-f", "-o", &flat, "--metadata", "-"];
    assert!(imgtar(&args).succeeds().stdout == bytes(&metadata));
    imgtar(&["flatten", &archive, "--metadata", "-"]).exits(2);
    imgtar(&["flatten", &archive, "-f", "-o", &flat, "--metadata", &flat]).exits(2);
    imgtar(&["flatten", &archive, "-o", "-", "--metadata", &metadata]).exits(2);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let work = Work::new();
    for name in ["docker26-one.tar", "skopeo-oci.tar"] {
        let mut before = None;
        for jobs in ["1", "2", "5"] {
            work.flatten(&engines(name), "@0", &["-j", jobs]).exits(0);
            let (flat, metadata, out) =
                (work.path("flat"), work.path("metadata"), work.path("out"));
            imgtar(&[
                "rebuild",
                &flat,
                "--metadata",
                &metadata,
                "-f",
                "-o",
                &out,
                "-j",
                jobs,
            ])
            .exits(0);
            let now = Some((bytes(&metadata), work.out()));
            assert!(before.is_none() || before == now, "{name}, {jobs} jobs");
            before = now;
        }
    }
}

// --- others' tools --------------------------------------------------------------------------------

/// tar-split reads the streams: from them and the extracted files its tool makes every layer again,
/// with the right digest. The lines are those that it would have written itself.
#[test]
fn tar_split_assembles_the_layers() {
    let Some(tool) = support::tool("tar-split") else {
        return;
    };
    let assemble = |input: &str, files: &str, output: &str| {
        let mut command = Command::new(tool);
        command.args(["asm", "--input", input, "--path", files, "--output", output]);
        finish(command);
    };
    for name in [
        "docker20-one.tar",
        "docker26-one.tar",
        "podman-docker.tar",
        "tiny26.tar",
    ] {
        let work = Work::new();
        let archive = bytes(&engines(name));
        work.flatten(&engines(name), "@0", &[]).exits(0);
        let members = members(&bytes(&work.path("metadata")));
        let stream = |name: &str| &members.iter().find(|(n, _)| n == name).expect("a stream").1;
        let description: Value =
            serde_json::from_slice(stream("imgtar-metadata.json")).expect("JSON");
        for (n, layer) in forge::layers(&archive).iter().enumerate() {
            let files = work.path(&format!("files{n}"));
            fs::create_dir(&files).expect("a directory");
            let layer_path = work.put("layer", layer);
            let mut tar = Command::new("tar");
            tar.args(["--no-same-owner", "-xf", &layer_path, "-C", &files]);
            // Devices need root; tar-split needs only files that have bytes.
            _ = tar.output().expect("tar");
            let folder = number(&items(&description["layers"])[n]["folder"]);
            let input = stream(&format!("layers/{folder:03}/tar-split.json.gz"));
            let input_path = work.put("input.gz", input);
            let output = work.path("layer.again");
            assemble(&input_path, &files, &output);
            assert!(bytes(&output) == *layer, "{name}, layer {n}");

            let theirs = work.path("theirs.gz");
            let mut command = Command::new(tool);
            command.args(["disasm", "--no-stdout", "--output", &theirs, &layer_path]);
            finish(command);
            assert_eq!(gunzip(&bytes(&theirs)), gunzip(input), "{name}, layer {n}");
        }
        // The outer tar has the same form.
        let files = work.path("files");
        fs::create_dir(&files).expect("a directory");
        finish({
            let mut tar = Command::new("tar");
            tar.args(["-xf", &engines(name), "-C", &files]);
            tar
        });
        let input_path = work.put("input.gz", stream("archive/tar-split.json.gz"));
        let output = work.path("again.tar");
        assemble(&input_path, &files, &output);
        assert!(bytes(&output) == archive, "{name}");
    }
}
