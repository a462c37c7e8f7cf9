//! `flatten` on crafted layers: every case of `testdata/cases.tar.zst` in every layout, the form of the output,
//! and what is left when something is wrong.

use crate::support;
use crate::support::{forge, listing};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use imgtar::base::progress::Silent;
use imgtar::output::{FlattenOptions, flatten_to_file};
use imgtar::{Jobs, Options};
use tempfile::TempDir;

use crate::support::forge::{Entry, Form};
use crate::support::listing::Listing;
use crate::support::{Input, Run, archives, imgtar, imgtar_with, read, shared, shown, tool};

// --- the cases ------------------------------------------------------------------------------------

/// A crafted archive and what has to become of it.
struct Case {
    name: String,
    class: String,
    archive: Vec<u8>,
    /// The lines of the right tree, if there is one.
    want: Option<Vec<Vec<u8>>>,
}

/// The cases of some classes.
fn cases(classes: &[&str]) -> Vec<Case> {
    let directory = support::cases();
    let table = read(&format!("{directory}/CASES.tsv"));
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        let (name, class) = (columns[0], columns[1]);
        if classes.contains(&class) {
            found.push(Case {
                name: name.to_owned(),
                class: class.to_owned(),
                archive: support::bytes(&format!("{directory}/{name}.tar")),
                want: fs::read(format!("{directory}/{name}.tsv"))
                    .ok()
                    .map(|text| listing::split_lines(&text)),
            });
        }
    }
    assert!(!found.is_empty(), "there are cases of {classes:?}");
    found
}

/// Where one archive is flattened.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new(archive: &[u8]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Self { directory };
        fs::write(place.archive(), archive).expect("room for an archive");
        place
    }

    fn file(&self, name: &str) -> String {
        shown(&self.directory.path().join(name))
    }

    fn archive(&self) -> String {
        self.file("archive.tar")
    }

    fn output(&self) -> String {
        self.file("rootfs.tar")
    }

    /// Runs `flatten` with an output file.
    fn flatten(&self, options: &[&str]) -> Run {
        let (archive, output) = (self.archive(), self.output());
        imgtar(&[&["flatten", &archive, "-o", &output], options].concat())
    }

    /// What `flatten` writes; it has to succeed.
    #[track_caller]
    fn flattened(&self, options: &[&str]) -> Vec<u8> {
        self.flatten(options).exits(0);
        support::bytes(&self.output())
    }

    /// The files beside the archive.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .filter(|name| name != "archive.tar")
            .collect();
        names.sort();
        names
    }
}

/// What is wrong with the outcome of a case in one form, and the output if there is one.
fn outcome(case: &Case, archive: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let place = Place::new(archive);
    let run = place.flatten(&[]);
    let Some(want) = case.want.as_ref().filter(|_| run.code == 0) else {
        let may_refuse = case.class == "lenient" || case.class == "refuse";
        if run.code != 3 || !may_refuse {
            return Err(run.to_string());
        }
        if run.stderr.is_empty() || !place.left().is_empty() {
            return Err(format!("left {:?}: {run}", place.left()));
        }
        return Ok(None);
    };
    let output = support::bytes(&place.output());
    let listing = Listing::of(&output);
    let mut wrong = listing::difference(want, &listing.tarlist());
    wrong += &faults_of_form(&output, &listing).join("\n");
    if wrong.is_empty() {
        Ok(Some(output))
    } else {
        Err(wrong)
    }
}

/// Tries every case of a class as it is stored and in every form; the bytes have to be the same.
fn class(name: &str) {
    let cases = cases(&[name]);
    let mut wrong = Vec::new();
    for case in &cases {
        let stored = outcome(case, &case.archive);
        let layers = forge::layers(&case.archive);
        for form in Form::ALL {
            match (&stored, outcome(case, &forge::archive(&layers, form))) {
                (Ok(stored), Ok(repacked)) if *stored == repacked => {}
                (Ok(_), Ok(_)) => wrong.push(format!("{} as {form:?}: other bytes", case.name)),
                (_, Err(why)) => wrong.push(format!("{} as {form:?}:\n{why}", case.name)),
                (Err(_), Ok(_)) => wrong.push(format!("{} only as {form:?}", case.name)),
            }
        }
        if let Err(why) = stored {
            wrong.push(format!("{} as stored:\n{why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All engines agree, and so does imgtar.
#[test]
fn cases_on_which_engines_agree() {
    class("std");
}

/// Engines disagree, and the OCI specification decides.
#[test]
fn cases_that_the_specification_decides() {
    class("spec");
}

/// The reference tree or a refusal, but nothing else.
#[test]
fn cases_that_may_be_refused() {
    class("lenient");
}

/// What no engine should apply is refused with exit code 3, and nothing is left.
#[test]
fn cases_that_must_be_refused() {
    class("refuse");
}

/// No case is overlooked: the classes above are all there are.
#[test]
fn every_case_has_a_class() {
    let directory = support::cases();
    let all = read(&format!("{directory}/CASES.tsv")).lines().count() - 1;
    let known = cases(&["std", "spec", "lenient", "refuse"]).len();
    assert_eq!(known, all);
    assert_eq!(archives(directory).len(), all);
}

/// The cases beside the repository are those that are packed in it.
#[test]
fn every_shared_case_is_packed() {
    let Some(shared) = shared("cases") else {
        return;
    };
    for entry in fs::read_dir(&shared).expect("the cases") {
        let name = shown(Path::new(&entry.expect("an entry").file_name()));
        if name == "README.md" {
            continue;
        }
        let packed = fs::read(format!("{}/{name}", support::cases())).ok();
        assert!(
            packed == Some(support::bytes(&format!("{shared}/{name}"))),
            "{name} is new or has changed: run testdata/pack-cases.sh"
        );
    }
}

// --- rules that no case has -----------------------------------------------------------------------

/// An entry by its name, and its target if it is a link.
fn entry(typeflag: u8, name: &str, target: &str) -> Entry {
    Entry {
        link: target.as_bytes().to_vec(),
        ..Entry::new(typeflag, name.as_bytes())
    }
}

/// The paths that are left of some layers.
#[track_caller]
fn paths(layers: &[&[Entry]]) -> Vec<String> {
    let layers: Vec<_> = layers.iter().map(|layer| forge::layer(layer)).collect();
    let output = Place::new(&forge::archive(&layers, Form::Hybrid)).flattened(&[]);
    let paths = Listing::of(&output).rows.into_keys();
    paths
        .map(|path| String::from_utf8(path).expect("a name"))
        .collect()
}

/// An opaque marker in the root hides all that is below, like any other.
#[test]
fn the_root_can_be_opaque() {
    let lower = [Entry::file("a", b""), Entry::file("d/b", b"")];
    for marker in [".wh..wh..opq", "./.wh..wh..opq", "/.wh..wh..opq"] {
        let upper = [Entry::file(marker, b""), Entry::file("c", b"")];
        assert_eq!(paths(&[&lower, &upper]), ["c"], "{marker}");
    }
}

/// A whiteout is recognised by its name however the name is written.
#[test]
fn a_whiteout_has_many_spellings() {
    let lower = [Entry::file("d/a", b""), Entry::file("d/b", b"")];
    for whiteout in ["d/.wh.a", "/d/.wh.a/", "x/../d//.wh.a", "d/.wh.a/."] {
        let upper = [Entry::file(whiteout, b"")];
        assert_eq!(paths(&[&lower, &upper]), ["d", "d/b"], "{whiteout}");
    }
}

/// What is replaced by a hard link is gone before the link is made, with all that was below.
#[test]
fn a_hard_link_cannot_replace_the_way_to_its_target() {
    let lower = [Entry::file("d/a", b""), entry(b'2', "s", "d")];
    for link in [entry(b'1', "d", "d/a"), entry(b'1', "s", "s/a")] {
        let layers = [&lower[..], &[link]].map(forge::layer);
        let place = Place::new(&forge::archive(&layers, Form::Hybrid));
        place.flatten(&[]).exits(3);
    }
}

/// A whiteout below a symbolic link acts where the link points, whatever entries the layer has for
/// the directories above the link.
#[test]
fn a_whiteout_below_a_link_acts_beside_entries_for_directories() {
    let lower = [
        entry(b'5', "u/", ""),
        entry(b'2', "u/s", "../r"),
        Entry::file("r/a", b""),
        Entry::file("r/b", b""),
    ];
    let upper = [entry(b'5', "u/", ""), Entry::file("u/s/.wh.a", b"")];
    assert_eq!(paths(&[&lower, &upper]), ["r", "r/b", "u", "u/s"]);
}

/// A whiteout below a symbolic link that the layer replaces hides nothing where the link pointed.
#[test]
fn a_whiteout_below_a_replaced_link_hides_nothing() {
    let lower = [entry(b'2', "s", "r"), Entry::file("r/a", b"")];
    let upper = [entry(b'5', "s/", ""), Entry::file("s/.wh..wh..opq", b"")];
    assert_eq!(paths(&[&lower, &upper]), ["r", "r/a", "s"]);
}

// --- the form of the output -----------------------------------------------------------------------

/// What of the form of `docker export` an output does not have.
fn faults_of_form(output: &[u8], listing: &Listing) -> Vec<String> {
    let mut faults = listing.disorder.clone();
    let mut before: Vec<&[u8]> = Vec::new();
    for name in &listing.names {
        let shown = name.escape_ascii();
        let path = name.strip_suffix(b"/").unwrap_or(name);
        let is_directory = listing.rows.get(path).is_some_and(|row| row.kind == 'd');
        if path.len() == name.len() && is_directory {
            faults.push(format!("the directory {shown} does not end in a slash"));
        }
        if path.len() < name.len() && !is_directory {
            faults.push(format!("{shown} ends in a slash and is no directory"));
        }
        let parts: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
        if parts.iter().any(|part| matches!(*part, b"" | b"." | b"..")) {
            faults.push(format!("{shown} is no plain path"));
        }
        // Compared part by part: depth first, and siblings in the order of their bytes.
        if parts <= before {
            faults.push(format!("{shown} is out of order"));
        }
        before = parts;
    }
    let end = usize::try_from(listing.end).expect("a small tar");
    // Two blocks of zeros, and as many more as fill the record.
    let records = (end + 1024).next_multiple_of(10_240);
    if output.len() != records || output[end..].iter().any(|&b| b != 0) {
        faults.push("not zeros to the end of the record".to_owned());
    }
    faults
}

/// Reads all members of the tars it is given, with warnings as errors.
const PYTHON: &str = r"
import sys, tarfile, warnings
warnings.simplefilter('error')
for name in sys.argv[1:]:
    with tarfile.open(name, 'r:', errorlevel=2) as tar:
        for member in tar:
            if member.isreg():
                tar.extractfile(member).read()
";

/// The tars of all cases that have a tree, and of the image with large files.
fn outputs(place: &TempDir) -> Vec<String> {
    let mut files = Vec::new();
    let mut archives = vec![("large".to_owned(), forge::archive(&large(), Form::Hybrid))];
    for case in cases(&["std", "spec", "lenient"]) {
        archives.push((case.name, case.archive));
    }
    for (name, archive) in archives {
        let from = Place::new(&archive);
        let to = shown(&place.path().join(format!("{name}.tar")));
        if imgtar(&["flatten", &from.archive(), "-o", &to]).code == 0 {
            files.push(to);
        }
    }
    files
}

/// Whether all names and targets in a tar are UTF-8.
fn is_text(file: &str) -> bool {
    let listing = Listing::of(&support::bytes(file));
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    let mut rows = listing.rows.iter();
    rows.all(|(path, row)| is_text(path) && is_text(&row.link))
}

/// GNU tar, bsdtar and Python's tarfile read what imgtar writes without a word.
#[test]
fn other_programs_read_the_output_in_silence() {
    let place = tempfile::tempdir().expect("a directory");
    let files = outputs(&place);
    let tools = ["tar", "bsdtar", "python3"].map(tool);
    for tool in tools.into_iter().flatten() {
        let runs: Vec<Vec<&str>> = match tool {
            "python3" => {
                let files = files.iter().map(String::as_str);
                vec![["-c", PYTHON].into_iter().chain(files).collect()]
            }
            // PAX wants UTF-8 and bsdtar insists on it; Docker writes other names the same way.
            "bsdtar" => files
                .iter()
                .filter(|file| is_text(file))
                .map(|file| vec!["-tvf", file])
                .collect(),
            _ => files.iter().map(|file| vec!["-tvf", file]).collect(),
        };
        for args in runs {
            let output = Command::new(tool)
                .args(&args)
                .env("LC_ALL", "C.UTF-8")
                .stdin(Stdio::null())
                .output()
                .expect("it starts");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && said.is_empty(),
                "{tool} {}: {said}",
                args[1]
            );
        }
    }
}

// --- the same bytes -------------------------------------------------------------------------------

const MIB: usize = 1 << 20;

/// Three layers with bodies around the size of a block and of a buffer, between entries that need PAX
/// headers.
fn large() -> Vec<Vec<u8>> {
    let sizes = [
        0,
        1,
        511,
        512,
        513,
        MIB - 1,
        MIB,
        MIB + 1,
        3 * MIB,
        2 * MIB - 512,
    ];
    let mut lower = vec![Entry::new(b'5', b"d/")];
    for (i, size) in sizes.into_iter().enumerate() {
        lower.push(Entry::file(&format!("d/{i}-größe"), &pattern(i, size)));
        let mut odd = Entry::file(&format!("d/{i}-name-ünïcode"), &pattern(i + 50, size % 700));
        odd.pax = vec![
            ("mtime".to_owned(), b"1600000000.25".to_vec()),
            ("SCHILY.xattr.user.k".to_owned(), b"\0a\nb\xff".to_vec()),
        ];
        lower.push(odd);
        lower.push(Entry::file(
            &format!("d/{i}-plain"),
            &pattern(i + 100, size),
        ));
    }
    let upper = vec![
        Entry::file("d/3-größe", &pattern(200, MIB + 513)),
        Entry::file("d/.wh.5-plain", b""),
    ];
    let mut link = Entry::new(b'1', "e/größe".as_bytes());
    link.link = "d/8-größe".as_bytes().to_vec();
    let top = vec![
        Entry::new(b'5', b"e/"),
        link,
        Entry::file("z", &pattern(201, 5 * MIB)),
    ];
    [lower, upper, top]
        .map(|entries| forge::layer(&entries))
        .to_vec()
}

/// Bytes that no other file has, and of which no two blocks are the same.
fn pattern(seed: usize, size: usize) -> Vec<u8> {
    let step = |state: &mut u64| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some(state.to_be_bytes()[0])
    };
    std::iter::successors(Some(seed as u64 + 1), |_| None)
        .flat_map(|seed| std::iter::repeat_n((), size).scan(seed, move |state, ()| step(state)))
        .collect()
}

/// Bodies of every size come out whole and padded, whatever stands between them.
#[test]
fn bodies_of_every_size_come_out_whole() {
    let layers = large();
    let mut want: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    for layer in &layers {
        for (path, row) in Listing::of(layer).rows {
            want.insert(path, row.content);
        }
    }
    want.remove(b"d/.wh.5-plain".as_slice());
    want.remove(b"d/5-plain".as_slice());
    let linked = want["d/8-größe".as_bytes()].clone();
    want.insert("e/größe".as_bytes().to_vec(), linked);

    let output = Place::new(&forge::archive(&layers, Form::Hybrid)).flattened(&[]);
    let listing = Listing::of(&output);
    assert_eq!(faults_of_form(&output, &listing), [""; 0]);
    let got: BTreeMap<_, _> = listing
        .rows
        .iter()
        .map(|(path, row)| (path.clone(), row.content.clone()))
        .collect();
    assert_eq!(got, want);
    let odd = &listing.rows["d/0-name-ünïcode".as_bytes()];
    assert_eq!(odd.xattrs[b"user.k".as_slice()], b"\0a\nb\xff");
    let link = &listing.rows["e/größe".as_bytes()];
    assert_eq!(link.group.as_deref(), Some("d/8-größe".as_bytes()));
}

/// Neither the layout nor the number of threads nor the way out changes a byte.
#[test]
fn the_bytes_are_the_same_every_time() {
    let layers = large();
    let reference = Place::new(&forge::archive(&layers, Form::Hybrid)).flattened(&["-j", "1"]);
    for form in Form::ALL {
        let place = Place::new(&forge::archive(&layers, form));
        for options in [&["-j", "1"][..], &["-j", "4"], &["-j", "4", "--no-verify"]] {
            let output = place.flattened(&[options, &["-f"]].concat());
            assert!(output == reference, "{form:?} with {options:?}");
        }
        let archive = place.archive();
        let to_stdout = imgtar(&["flatten", &archive]).exits(0);
        assert!(to_stdout.stdout == reference, "{form:?} to a pipe");
        let from_stdin = imgtar_with(&["flatten", "-", "-o", "-"], Input::File(&archive)).exits(0);
        assert!(
            from_stdin.stdout == reference,
            "{form:?} from a file as input"
        );
        let bytes = support::bytes(&archive);
        let piped = imgtar_with(&["flatten", "-"], Input::Pipe(&bytes)).exits(0);
        assert!(piped.stdout == reference, "{form:?} from a pipe");
    }
}

/// A blob that is two layers of an image is decompressed once; both keep their bytes, also where a link
/// has saved a file of the first from the second. Holes of sparse files are holes of the output.
#[test]
fn repeated_layers_and_holes_keep_their_bytes() {
    let twice = forge::layer(&[
        Entry::new(b'5', b"d/"),
        Entry::file("d/x", &pattern(1, 3 * MIB + 5)),
    ]);
    let mut link = Entry::new(b'1', b"d/y");
    link.link = b"d/x".to_vec();
    let map = "2\n1048576\n700\n5242880\n0\n";
    let mut body = map.as_bytes().to_vec();
    body.resize(512, 0);
    body.extend(pattern(2, 700));
    let mut sparse = Entry::file("GNUSparseFile.0/holes", &body);
    sparse.pax = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "d/holes"),
        ("GNU.sparse.realsize", "5242880"),
    ]
    .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
    .to_vec();
    let layers = [twice.clone(), forge::layer(&[link, sparse]), twice];
    for form in Form::ALL {
        let place = Place::new(&forge::archive(&layers, form));
        let piped = imgtar(&["flatten", &place.archive()]).exits(0).stdout;
        for options in [&["-j", "1"][..], &["-j", "3"], &["-j", "3", "--no-verify"]] {
            let output = place.flattened(&[options, &["-f"]].concat());
            assert!(output == piped, "{form:?} with {options:?}");
        }
        let listing = Listing::of(&piped);
        let content = |path: &str| listing.rows[path.as_bytes()].content.clone();
        assert_eq!(content("d/x"), content("d/y"), "{form:?}");
        let mut holes = vec![0; 5 * MIB];
        holes[MIB..MIB + 700].copy_from_slice(&pattern(2, 700));
        let plain = Listing::of(&forge::layer(&[Entry::file("d/holes", &holes)]));
        assert_eq!(
            content("d/holes"),
            plain.rows[b"d/holes".as_slice()].content
        );
    }
}

/// The threads do not change the bytes of any case either.
#[test]
fn threads_do_not_change_the_bytes() {
    for case in cases(&["std", "spec"]) {
        let archive = forge::archive(&forge::layers(&case.archive), Form::Compressed);
        let place = Place::new(&archive);
        let one = place.flattened(&["-j", "1"]);
        let four = place.flattened(&["-f", "-j", "4"]);
        assert!(one == four, "{}", case.name);
    }
}

/// A tar of a rootfs that is one layer of an image comes out as it went in.
#[test]
fn flattening_is_idempotent() {
    let output = Place::new(&forge::archive(&large(), Form::Hybrid)).flattened(&[]);
    let again =
        Place::new(&forge::archive(std::slice::from_ref(&output), Form::Oci)).flattened(&[]);
    assert!(again == output);
}

// --- what is left when something is wrong ---------------------------------------------------------

/// An image with a body that one can find in its archive, and the archive with one bit of it flipped.
fn flipped(form: Form) -> Vec<u8> {
    let body = b"here is the bit that will be flipped";
    let lower = forge::layer(&[Entry::file("a", b"lower"), Entry::file("b", body)]);
    let upper = forge::layer(&[Entry::file("c", b"upper")]);
    let mut archive = forge::archive(&[lower, upper], form);
    let found = archive
        .windows(body.len())
        .position(|window| window == body);
    let at = found.unwrap_or_else(|| {
        // Compressed: a byte in the middle of the first layer.
        let magic = archive
            .windows(3)
            .position(|window| window == [0x1f, 0x8b, 8]);
        magic.expect("a gzip layer") + 40
    });
    archive[at] ^= 4;
    archive
}

/// A layer that is not what its diff ID says leaves no output and no temporary file.
#[test]
fn a_wrong_layer_leaves_nothing() {
    for form in Form::ALL {
        let place = Place::new(&flipped(form));
        let run = place.flatten(&[]).exits(3);
        assert!(run.err().contains("layer 0"), "{form:?}: {run}");
        assert!(run.stdout.is_empty(), "{form:?}: {run}");
        assert_eq!(place.left(), [""; 0], "{form:?}");
    }
}

/// A layer that is not what its diff ID says leaves the file that was there before, even with `-f`.
#[test]
fn a_wrong_layer_leaves_the_old_file() {
    for form in Form::ALL {
        let place = Place::new(&flipped(form));
        fs::write(place.output(), "what was here before").expect("room");
        place.flatten(&["-f"]).exits(3);
        assert_eq!(place.left(), ["rootfs.tar"], "{form:?}");
        assert_eq!(read(&place.output()), "what was here before", "{form:?}");
    }
}

/// On standard output the exit code alone says that a layer is wrong.
#[test]
fn a_wrong_layer_to_a_pipe_exits_with_3() {
    let place = Place::new(&flipped(Form::Hybrid));
    imgtar(&["flatten", &place.archive()]).exits(3);
    assert_eq!(place.left(), [""; 0]);
}

/// `--no-verify` takes the layers as they are.
#[test]
fn no_verify_takes_layers_as_they_are() {
    for form in [Form::Hybrid, Form::Legacy, Form::Oci] {
        let place = Place::new(&flipped(form));
        let listing = Listing::of(&place.flattened(&["--no-verify"]));
        assert_eq!(listing.rows.len(), 3, "{form:?}");
        let content = &listing.rows[b"b".as_slice()].content;
        let flipped = listing::hex(b"lere is the bit that will be flipped");
        assert_eq!(*content, flipped, "{form:?}");
    }
}

/// A file that is there is left alone without `-f` and replaced with it.
#[test]
fn only_force_replaces_a_file() {
    let archive = forge::archive(&[forge::layer(&[Entry::file("a", b"a")])], Form::Hybrid);
    let place = Place::new(&archive);
    fs::write(place.output(), "what was here before").expect("room");
    let run = place.flatten(&[]).exits(2);
    assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{run}");
    assert_eq!(read(&place.output()), "what was here before");
    assert_eq!(place.left(), ["rootfs.tar"]);
    place.flatten(&["-f"]).succeeds();
    assert_eq!(Listing::of(&support::bytes(&place.output())).rows.len(), 1);
    assert_eq!(place.left(), ["rootfs.tar"]);
}

/// An image without layers has an empty rootfs: one record of zeros.
#[test]
fn no_layers_make_an_empty_tar() {
    for form in Form::ALL {
        let output = Place::new(&forge::archive(&[], form)).flattened(&[]);
        assert!(output == [0; 10_240], "{form:?}");
    }
}

/// A library may flatten an image as often as it likes, also to files and out of an archive that had to be
/// decompressed: what is given up on the way is what was decoded for that one output.
#[test]
fn an_image_is_flattened_as_often_as_anybody_likes() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["docker20-one.tar.bz2", "docker20-one.tar", "skopeo-oci.tar"] {
        let archive = support::engines(name);
        let archive = imgtar::open(archive.as_ref(), &Options::default()).expect("an archive");
        let images = archive.images().expect("images");
        let options = FlattenOptions {
            verify: false,
            as_container: None,
            jobs: Jobs::all_cores(),
        };
        let flat = |number: usize| {
            let path = directory.path().join(number.to_string());
            let file = File::create(&path).expect("room");
            let image = &images.images[0];
            flatten_to_file(image, &file, options, &Silent).expect("a sound image");
            fs::read(path).expect("readable")
        };
        let first = flat(1);
        assert!(first.iter().any(|&b| b != 0) && first == flat(2), "{name}");
    }
}
