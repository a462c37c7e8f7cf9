//! Damage is found: bits flipped anywhere, files cut anywhere.
//!
//! Each damage in bytes that carry meaning must be reported, by the code that fits; what may go
//! unreported is listed by kind in [`Kind::is_meaningless`]. The archives are those of
//! `../shared/archives`, or of `testdata/engines` where those are not there. `IMGTAR_FLIPS` says how
//! many bits are flipped in all (2,000), `IMGTAR_SEED` where the choice begins.

use crate::support;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::support::{archives, bytes, engines, full_size, shared};
use imgtar::archive::ArchiveError;
use imgtar::base::problem::Severity;
use imgtar::base::progress::Silent;
use imgtar::image::LoadError;
use imgtar::{Jobs, Options};

/// What a byte of an archive belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A header of the outer tar, or what belongs to one.
    Header,
    /// What ends the digits of a header's checksum.
    ChecksumEnd,
    /// The zeros behind a body.
    Padding,
    /// The end-of-archive blocks.
    End,
    /// The zeros behind those.
    BehindEnd,
    /// A layer.
    Layer,
    /// An image's config.
    Config,
    /// Another blob that is named by its digest.
    Blob,
    /// `manifest.json`, `index.json`, `oci-layout` or `repositories`.
    Description,
    /// `VERSION` and `json`, for readers from before Docker 1.10, where `manifest.json` is there.
    OldReaders,
}

impl Kind {
    /// Whether no reader makes anything of these bytes, so that nothing need be reported.
    fn is_meaningless(self) -> bool {
        matches!(self, Self::ChecksumEnd | Self::Padding | Self::OldReaders)
    }

    /// The codes that fit damage of this kind; nothing if any will do.
    fn codes(self) -> &'static [&'static str] {
        match self {
            Self::Header => &["archive-truncated", "refused"],
            Self::End => &["archive-truncated"],
            Self::BehindEnd => &["trailing-data"],
            Self::Layer => &["diff-id-mismatch", "layer-corrupt", "layer-truncated"],
            Self::Config => &["config-digest-mismatch"],
            Self::Blob => &["blob-digest-mismatch"],
            Self::Description | Self::ChecksumEnd | Self::Padding | Self::OldReaders => &[],
        }
    }
}

/// A stretch of an archive.
struct Stretch {
    end: u64,
    kind: Kind,
    member: String,
}

/// Splits an archive into stretches, by another reader of tars than imgtar's.
fn stretches(path: &str) -> Vec<Stretch> {
    let whole = bytes(path);
    let mut found = Vec::new();
    let mut push = |end: u64, kind: Kind, member: &str| {
        found.push(Stretch {
            end,
            kind,
            member: member.to_owned(),
        });
    };
    let configs = configs(path);
    let mut tar = tar::Archive::new(whole.as_slice());
    let mut end = 0;
    for entry in tar.entries().expect("a tar") {
        let entry = entry.expect("a header");
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let body = entry.raw_file_position();
        // The last header block is the one with the name; what stands before it belongs to it.
        let header = entry.raw_header_position();
        push(header + 148, Kind::Header, &name);
        let digits = whole[to_usize(header) + 148..][..8]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        push(header + 148 + digits as u64, Kind::Header, &name);
        push(header + 156, Kind::ChecksumEnd, &name);
        push(body, Kind::Header, &name);
        let size = if entry.header().entry_type().is_file() {
            entry.size()
        } else {
            0
        };
        push(body + size, kind_of(&name, &configs), &name);
        end = (body + size).next_multiple_of(512);
        push(end, Kind::Padding, &name);
    }
    push(end + 1024, Kind::End, "");
    push(whole.len() as u64, Kind::BehindEnd, "");
    found
}

fn kind_of(name: &str, configs: &BTreeSet<String>) -> Kind {
    let base = name.rsplit('/').next().unwrap_or(name);
    match name {
        "manifest.json" | "index.json" | "oci-layout" | "repositories" => Kind::Description,
        _ if configs.contains(name) => Kind::Config,
        _ if matches!(base, "VERSION" | "json") => Kind::OldReaders,
        _ if is_tar(name) => Kind::Layer,
        _ if name.starts_with("blobs/") => Kind::Blob,
        // Nothing has no bytes.
        _ if name.ends_with('/') || base == "layer.tar" => Kind::Layer,
        _ => panic!("what is {name}?"),
    }
}

/// The members that hold configs of docker archives; in layouts they are blobs like others.
fn configs(path: &str) -> BTreeSet<String> {
    let archive = imgtar::open(Path::new(path), &Options::default()).expect("an archive");
    let set = archive.images().expect("images");
    let members = set.images.iter().filter_map(|image| {
        let config = image.config.as_ref()?;
        Some(String::from_utf8(config.member.clone()).expect("UTF-8"))
    });
    members.collect()
}

fn is_tar(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "tar")
}

/// What a run came to, past the capturing of `cargo test`.
fn tell(what: &str) {
    drop(io::stderr().write_all(format!("damage: {what}\n").as_bytes()));
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).expect("the archives are small")
}

/// What verify says: the codes of all problems, the worst severity first.
struct Said {
    codes: BTreeSet<&'static str>,
    has_error: bool,
}

fn verify(path: &Path) -> Said {
    let refused = Said {
        codes: ["refused"].into(),
        has_error: true,
    };
    let Ok(archive) = imgtar::open_damaged(path, &Options::default()) else {
        return refused;
    };
    let set = match archive.images() {
        Ok(set) => set,
        Err(LoadError::Archive(ArchiveError::Damaged { .. })) => {
            let mut said = refused;
            said.codes.insert("archive-truncated");
            return said;
        }
        Err(_) => return refused,
    };
    let jobs = Jobs::new(NonZeroUsize::MIN);
    let result = imgtar::check::verify(&archive, &set, jobs, &Silent).expect("the disk works");
    Said {
        codes: result.problems.iter().map(|p| p.code.name()).collect(),
        has_error: result
            .problems
            .iter()
            .any(|problem| problem.severity == Severity::Error),
    }
}

/// A small generator (xorshift64*): the same choice on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// The uncompressed image archives to damage: those that have nothing to be reported while they are whole.
fn victims() -> Vec<String> {
    // An archive from before Docker 1.10 claims nothing of what its layers hold, and platforms that were never
    // pulled are worth a warning.
    const NOT: [&str; 2] = ["v1.tar", "docker28c-pulled.tar"];
    let directory = shared("archives").unwrap_or_else(|| engines(""));
    let names = archives(&directory);
    let fits =
        |name: &&String| is_tar(name) && !name.contains("export") && !NOT.contains(&name.as_str());
    let paths = names.iter().filter(fits);
    let paths: Vec<String> = paths.map(|name| format!("{directory}/{name}")).collect();
    assert!(paths.len() >= 8);
    for path in &paths {
        assert!(verify(path.as_ref()).codes.is_empty(), "{path}");
    }
    paths
}

/// Why damage that was not reported cannot be seen, although the bytes are not always meaningless.
fn excuse(whole: &[u8], stretch: &Stretch, offset: u64, flipped: u8) -> Option<&'static str> {
    let at = to_usize(offset);
    let old = whole[at];
    if stretch.kind == Kind::Header && old == b'0' && flipped == b' ' {
        return Some("a leading zero of a checksum that became a blank");
    }
    if stretch.kind != Kind::Description {
        return None;
    }
    if old.eq_ignore_ascii_case(&flipped) {
        return Some("the case of a key, which no engine minds");
    }
    if old.is_ascii_whitespace() && flipped.is_ascii_whitespace() {
        return Some("white space in a description");
    }
    let start = whole[..at]
        .windows(14)
        .rposition(|w| w == b"\"annotations\":")?;
    if stretch.member != "index.json" || whole[start..at].contains(&b'}') {
        return None;
    }
    if whole.windows(13).any(|w| w == b"manifest.json") {
        let after = whole[start..at]
            .windows(24)
            .any(|w| w == b"io.containerd.image.name");
        return after.then_some("the name of the tag's annotation, beside the whole reference");
    }
    // In a layout, index.json alone says what the images are called.
    Some("a name that nothing in the archive repeats")
}

#[test]
fn flipped_bits_are_found() {
    let victims = victims();
    let flips = number("IMGTAR_FLIPS", if full_size() { 2_000 } else { 700 });
    let mut random = Random(number("IMGTAR_SEED", 20_261_121).max(1));
    let mut unreported: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut by_kind: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut excused: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("copy.tar");
    for (i, victim) in victims.iter().enumerate() {
        let whole = bytes(victim);
        let stretches = stretches(victim);
        fs::write(&copy, &whole).expect("room");
        let file = File::options().write(true).open(&copy).expect("a file");
        let share =
            flips / victims.len() as u64 + u64::from((i as u64) < flips % victims.len() as u64);
        for n in 0..share {
            // Half of them anywhere, half in a stretch that is chosen first: bodies of layers would
            // take nearly all otherwise.
            let offset = if n % 2 == 0 {
                random.below(whole.len() as u64)
            } else {
                let pick = to_usize(random.below(stretches.len() as u64));
                let start = pick
                    .checked_sub(1)
                    .map_or(0, |before| stretches[before].end);
                let len = stretches[pick].end - start;
                if len == 0 {
                    continue;
                }
                start + random.below(len)
            };
            let bit = u8::try_from(random.below(8)).expect("below 8");
            let stretch = stretches
                .iter()
                .find(|stretch| offset < stretch.end)
                .expect("inside");
            let byte = whole[to_usize(offset)];
            file.write_all_at(&[byte ^ 1 << bit], offset).expect("room");
            let said = verify(&copy);
            file.write_all_at(&[byte], offset).expect("room");
            *by_kind.entry(stretch.kind).or_default() += 1;
            let fits = stretch.kind.codes();
            let found = if fits.is_empty() {
                !said.codes.is_empty()
            } else {
                said.codes.iter().any(|code| fits.contains(code))
            };
            if found {
                continue;
            }
            if said.codes.is_empty() {
                *unreported.entry(stretch.kind).or_default() += 1;
            }
            let flipped = byte ^ 1 << bit;
            if let Some(why) =
                excuse(&whole, stretch, offset, flipped).filter(|_| said.codes.is_empty())
            {
                *excused.entry(why).or_insert(0) += 1;
            } else if !stretch.kind.is_meaningless() {
                let from = to_usize(offset.saturating_sub(30));
                let around = &whole[from..whole.len().min(from + 60)];
                wrong.push(format!(
                    "{victim} byte {offset} bit {bit} ({:?}, {}): {:?}, error {}; around: {:?}",
                    stretch.kind,
                    stretch.member,
                    said.codes,
                    said.has_error,
                    String::from_utf8_lossy(around)
                ));
            }
        }
        assert_eq!(
            bytes(support::shown(&copy).as_str()),
            whole,
            "the copy is whole again"
        );
        assert!(verify(&copy).codes.is_empty(), "{victim}");
    }
    tell(&format!(
        "flipped: {by_kind:?}; unreported: {unreported:?}, of these {excused:?}"
    ));
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn cuts_are_found() {
    let victims = victims();
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("copy.tar");
    let mut cuts = 0;
    for victim in victims.iter().step_by(victims.len() / 3).take(3) {
        let whole = bytes(victim);
        let end = stretches(victim).iter().rev().nth(1).expect("an end").end;
        fs::write(&copy, &whole).expect("room");
        let file = File::options().write(true).open(&copy).expect("a file");
        for len in (0..whole.len() as u64)
            .step_by(512)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            file.set_len(len).expect("a length");
            let said = verify(&copy);
            cuts += 1;
            // Only zeros behind the end of the tar are missing.
            if len >= end {
                assert!(
                    said.codes.is_empty(),
                    "{victim} cut to {len}: {:?}",
                    said.codes
                );
                continue;
            }
            let codes = ["archive-truncated", "refused", "end-missing"];
            let found = said.codes.iter().any(|code| codes.contains(code));
            assert!(found, "{victim} cut to {len}: {:?}", said.codes);
        }
    }
    tell(&format!("cut at {cuts} places"));
    assert!(cuts > 300);
}
