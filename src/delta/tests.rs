//! Deltas made and applied, whole and damaged.

use std::num::NonZeroUsize;

use super::description::member;
use super::*;
use crate::base::digest::Digest;
use crate::base::jobs::Jobs;
use crate::base::limits::Limit;

fn input(bytes: &[u8], name: &str) -> Input {
    Input::from_reader(bytes.to_vec(), name, &Options::default()).expect("bytes")
}

fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) + 1;
    let next = std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695);
        state.to_be_bytes()[1]
    });
    next.take(len).collect()
}

/// A tar of files, all modified at one time.
fn tar_of(files: &[(&str, &[u8])], mtime: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(mtime);
        builder
            .append_data(&mut header, name, *bytes)
            .expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn made(old: &[&[u8]], new: &[u8], jobs: usize) -> (DeltaDescription, Vec<u8>) {
    let options = Options {
        jobs: Jobs::new(NonZeroUsize::new(jobs).expect("a number")),
        ..Options::default()
    };
    let old: Vec<Input> = old.iter().map(|bytes| input(bytes, "old.tar")).collect();
    let new = input(new, "new.tar");
    let delta = Delta::make(&old, &new, MakeOptions::default(), &options).expect("made");
    let description = delta.description().clone();
    let mut file = Vec::new();
    let written = delta.write(&mut file).expect("written");
    assert_eq!(written, file.len() as u64);
    (description, file)
}

fn applied(old: &[&[u8]], delta: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let options = Options::default();
    let old: Vec<Input> = old.iter().map(|bytes| input(bytes, "other.tar")).collect();
    let delta = DeltaFile::open(input(delta, "new.delta"))?;
    let mut out = Vec::new();
    apply(&old, &delta, &mut out, &options)?;
    Ok(out)
}

/// Makes a delta with one thread and with four, applies it, and returns it.
fn round(old: &[&[u8]], new: &[u8]) -> (DeltaDescription, Vec<u8>) {
    let (description, delta) = made(old, new, 1);
    assert!(delta == made(old, new, 4).1, "it depends on the threads");
    let out = applied(old, &delta).expect("applied");
    assert!(out == new, "another file came out");
    let opened = DeltaFile::open(input(&delta, "new.delta")).expect("a delta");
    opened.verify(&Options::default()).expect("whole");
    (description, delta)
}

#[test]
fn files_that_moved_changed_or_came_are_found() {
    let (same, mut changed) = (random(50_000, 1), random(60_000, 2));
    let fresh = random(3_000, 3);
    let old = tar_of(
        &[("a/same", &same), ("a/changed-1.2", &changed)],
        1_700_000_000,
    );
    changed[30_000] ^= 1;
    let new = tar_of(
        &[
            ("b/elsewhere", &same),
            ("a/changed-1.3", &changed),
            ("new", &fresh),
            ("none", b""),
        ],
        1_800_000_000,
    );
    let (description, delta) = round(&[&old], &new);
    let facts = &description.parts[0];
    assert_eq!(
        (facts.same, facts.changed, facts.new),
        (50_000, 60_000, 3_000)
    );
    assert_eq!(
        (facts.same_files, facts.changed_files, facts.new_files),
        (1, 1, 1)
    );
    assert_eq!(
        facts.same + facts.changed + facts.new + facts.headers,
        new.len() as u64
    );
    assert!(delta.len() < 10_000 + fresh.len(), "{}", delta.len());
}

#[test]
fn a_rebuild_that_differs_in_times_costs_nothing_but_the_frame() {
    let bodies: Vec<Vec<u8>> = (0..500).map(|i| random(700, i)).collect();
    let names: Vec<String> = (0..500).map(|i| format!("usr/share/{i}")).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(String::as_str)
        .zip(bodies.iter().map(Vec::as_slice))
        .collect();
    let (old, new) = (tar_of(&files, 1_700_000_000), tar_of(&files, 1_700_000_777));
    let (description, _) = round(&[&old], &new);
    assert!(
        description.streams.size() < 200,
        "{:?}",
        description.streams
    );
}

#[test]
fn a_file_of_another_name_is_found_by_its_content() {
    let before: Vec<u8> = random(40_000, 21);
    let mut after = before.clone();
    after.splice(7_000..7_000, *b"some more");
    let old = tar_of(
        &[("opt/first", &before), ("opt/other", &random(40_000, 22))],
        1,
    );
    let new = tar_of(&[("srv/second", &after)], 1);
    let (description, delta) = round(&[&old], &new);
    assert_eq!(description.parts[0].changed_files, 1);
    assert!(delta.len() < 10_000, "{}", delta.len());
}

#[test]
fn a_delta_against_the_same_file_is_one_copy_and_one_against_nothing_needs_nothing() {
    let new = tar_of(&[("file", &random(10_000, 5))], 1);
    let (description, _) = round(&[&new], &new);
    assert_eq!(description.sources.len(), 1);
    assert_eq!(description.streams.data.expanded, 0);
    let (description, _) = round(&[], &new);
    assert_eq!(description.sources, []);
}

#[test]
fn bytes_that_are_not_a_tar_come_back_too() {
    let mut text = b"no tar at all, ".repeat(3_000);
    let (description, _) = round(&[&text], &[&text[..], b"and more"].concat());
    assert!(description.streams.data.expanded < 100);
    let tar = tar_of(&[("one", &random(9_000, 6)), ("two", &random(9_000, 7))], 9);
    for cut in [100, 512, 600, 9_000, 10_000, 12_345, tar.len() - 1000] {
        round(&[&tar], &tar[..cut]);
        round(&[&tar[..cut]], &tar);
        round(&[&text], &tar[..cut]);
    }
    text.truncate(1);
    round(&[&tar], &text);
    // Behind the end, and in the padding.
    let mut odd = [&tar[..], &[7; 5000]].concat();
    odd[512 + 9_000 + 3] = 1;
    round(&[&tar], &odd);
    round(&[&odd], &odd[..odd.len() - 1]);
}

#[test]
fn a_missing_source_is_named_and_nothing_is_written() {
    let old = tar_of(&[("file", &random(10_000, 5))], 1);
    let new = tar_of(&[("file", &random(10_000, 5))], 2);
    let (_, delta) = made(&[&old], &new, 1);
    let other = tar_of(&[("file", &random(10_000, 8))], 1);
    for given in [vec![], vec![&other[..]], vec![&old[..old.len() - 1]]] {
        match applied(&given, &delta) {
            Err(DeltaError::Lacks {
                needed: 1, missing, ..
            }) => {
                assert_eq!(missing[0].sha256, Digest::sha256_of(&old));
                assert_eq!(missing[0].name, "old.tar");
            }
            other => panic!("{:?}", other.map(|out| out.len())),
        }
    }
    // Wherever it is.
    let out = applied(&[&other, &old], &delta).expect("there is one");
    assert!(out == new);
}

#[test]
fn a_file_that_was_cut_or_changed_is_refused() {
    let old = tar_of(&[("file", &random(10_000, 5))], 1);
    let new = tar_of(
        &[("file", &random(10_100, 6)), ("more", &random(100, 5))],
        2,
    );
    let (_, delta) = made(&[&old], &new, 1);
    // Behind the digest are zeros, which do not matter.
    let whole = delta.len() - 1024 - 447;
    for len in (1..whole).step_by(97) {
        match applied(&[&old], &delta[..len]) {
            Err(
                DeltaError::Cut { .. } | DeltaError::NotDelta { .. } | DeltaError::Damaged { .. },
            ) => {}
            other => panic!("{len}: {:?}", other.map(|out| out.len())),
        }
    }
    for at in (0..whole).step_by(89) {
        let mut changed = delta.clone();
        changed[at] ^= 4;
        if let Ok(out) = applied(&[&old], &changed) {
            panic!("{at} does not matter: {}", out == new);
        }
    }
}

#[test]
fn what_a_newer_imgtar_made_says_so() {
    let new = tar_of(&[("file", b"1")], 1);
    let (mut description, _) = made(&[], &new, 1);
    description.requires.push("time-travel".to_owned());
    let mut file = Vec::new();
    write::write(&description, streams::MadeStreams::new(), &mut file).expect("memory");
    match applied(&[], &file) {
        Err(DeltaError::Newer { what, .. }) => assert_eq!(what, "it requires `time-travel`"),
        other => panic!("{:?}", other.map(|out| out.len())),
    }
}

/// Programs that were not written by `make.rs`: whatever they say, what comes out is an error, and no more is written
/// than was declared.
#[test]
fn programs_made_to_harm_are_refused() {
    use super::code::{Numbers, flag, op};
    let numbers = |op: u8, numbers: &[u64]| {
        let mut bytes = vec![op];
        for number in numbers {
            bytes.unsigned(*number);
        }
        bytes
    };
    let programs: &[(&str, Vec<u8>)] = &[
        (
            "it makes more bytes than it says",
            numbers(op::ZEROS, &[u64::MAX]),
        ),
        ("there is no source 7", numbers(op::COPY, &[7, 0, 1])),
        (
            "it takes 200 bytes at 11700",
            numbers(op::COPY, &[0, 23_400, 200]),
        ),
        (
            "it takes 1 bytes at 18446744073709551615",
            numbers(op::COPY, &[0, 1, 1]),
        ),
        ("an operation makes nothing", numbers(op::DATA, &[0])),
        ("there is no operation 77", vec![77]),
        ("there is no such recipe", numbers(op::BEGIN, &[0, 0])),
        ("a recipe ends that was not begun", vec![op::FINISH]),
        ("it takes more stored bytes", numbers(op::STORED, &[1])),
        ("an entry makes nothing", vec![op::ENTRY, 0]),
        (
            "the headers of an entry have",
            numbers(
                op::ENTRY,
                &[u64::from(flag::NEW_HEADER | flag::LONG), 1 << 40],
            ),
        ),
        ("a step is longer than its file", {
            let flags = flag::LIKE_BODY | flag::SIZED;
            [vec![op::ENTRY, flags], numbers(5, &[0, 0, 3, u64::MAX])].concat()
        }),
        ("failed to fill whole buffer", vec![op::DATA]),
        ("it ends before it has made", vec![op::END]),
    ];
    let old = tar_of(&[("file", &random(10_000, 5))], 1);
    let new = tar_of(&[("file", &random(10_100, 6))], 2);
    for (message, program) in programs {
        let (mut description, _) = made(&[&old], &new, 1);
        description.new.size = 4000;
        description.sources[0].sha256 = Digest::sha256_of(&old);
        let mut streams = streams::MadeStreams::new();
        streams.control.put(program).expect("memory");
        let (streams, sizes) = streams
            .compressed(1, Jobs::new(NonZeroUsize::MIN))
            .expect("memory");
        description.streams = sizes;
        let mut file = Vec::new();
        write::write(&description, streams, &mut file).expect("memory");
        match applied(&[&old], &file) {
            Err(DeltaError::Damaged { what, .. }) => {
                assert!(what.contains(message), "{what:?} for {message:?}");
            }
            other => panic!("{message}: {:?}", other.map(|out| out.len())),
        }
    }
}

#[test]
fn more_than_the_limits_allow_is_not_made() {
    let new = tar_of(&[("zeros", &vec![0; 1 << 20])], 1);
    let (_, delta) = made(&[], &new, 1);
    let mut options = Options::default();
    options.limits = options
        .limits
        .with(Limit::Expanded, 1 << 19)
        .with(Limit::Ratio, 2);
    let opened = DeltaFile::open(input(&delta, "new.delta")).expect("a delta");
    let mut out = Vec::new();
    let refused = apply(&[], &opened, &mut out, &options);
    assert!(
        matches!(refused, Err(DeltaError::TooMuch { .. })),
        "{refused:?}"
    );
    assert!(out.is_empty());
}

#[test]
fn members_are_named_as_documented() {
    let new = tar_of(&[("file", &random(1000, 1))], 1);
    let old = tar_of(&[("file", &random(1100, 1))], 1);
    let (_, delta) = made(&[&old], &new, 1);
    let mut archive = tar::Archive::new(&delta[..]);
    let names = archive.entries().expect("a tar").map(|entry| {
        let entry = entry.expect("an entry");
        entry.path().expect("a name").display().to_string()
    });
    let names: Vec<String> = names.collect();
    assert_eq!(names.first().map(String::as_str), Some(member::DESCRIPTION));
    assert_eq!(names.last().map(String::as_str), Some(member::END));
}
