//! The walker on tars that another library built, and on such tars damaged.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use imgtar::tar::{Kind, Mtime};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::craft::{BLOCK, reseal};
use super::{config, walk_both};

/// An entry to be built, and what is to be read.
#[derive(Clone, Debug)]
struct Spec {
    path: Vec<u8>,
    what: What,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: u64,
    gnu: bool,
    pax: Pax,
}

#[derive(Clone, Debug)]
enum What {
    File(Vec<u8>),
    Directory,
    Symlink(Vec<u8>),
    Hardlink(Vec<u8>),
    Fifo,
}

/// What a PAX header before the entry says instead.
#[derive(Clone, Debug, Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<i64>,
    gid: Option<i64>,
    mtime: Option<(i32, u32)>,
    xattrs: Vec<(String, Vec<u8>)>,
}

/// Any byte that a name may hold, letters mostly.
fn name_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => b'a'..=b'z',
        1 => (1..=255_u8).prop_filter("ends a component", |b| *b != b'/'),
    ]
}

/// A path in its only spelling, up to 300 bytes long. The first component is a letter, because the
/// library wants some valid UTF-8 to put into the block when the path is too long for it.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let component =
        vec(name_byte(), 1..60).prop_filter("has another spelling", |c| c != b"." && c != b"..");
    vec(component, 0..10).prop_map(|components| {
        let mut path = b"d".to_vec();
        for component in components {
            if path.len() + 1 + component.len() > 300 {
                break;
            }
            path.push(b'/');
            path.extend(component);
        }
        path
    })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..5000).prop_map(What::File),
        1 => Just(What::Directory),
        2 => path().prop_map(What::Symlink),
        2 => path().prop_map(What::Hardlink),
        1 => Just(What::Fifo),
    ]
}

prop_compose! {
    fn pax()(
        path in option::of(path()),
        link in option::of(path()),
        uid in option::of(0..i64::MAX),
        gid in option::of(0..i64::MAX),
        mtime in option::of((any::<i32>(), 0..1_000_000_000_u32)),
        xattrs in proptest::collection::btree_map("user\\.[a-z]{1,8}", vec(any::<u8>(), 1..40), 0..3),
    ) -> Pax {
        Pax { path, link, uid, gid, mtime, xattrs: xattrs.into_iter().collect() }
    }
}

prop_compose! {
    fn spec()(
        path in path(),
        what in what(),
        mode in 0..0o10000_u32,
        uid in 0..1_u64 << 40,
        gid in 0..0o777_7777_u64,
        mtime in 0..1_u64 << 33,
        gnu in any::<bool>(),
        pax in prop_oneof![2 => Just(Pax::default()), 1 => pax()],
    ) -> Spec {
        Spec { path, what, mode, uid, gid, mtime, gnu, pax }
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn build(specs: &[Spec]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for spec in specs {
        append_pax(&mut builder, &spec.pax);
        let mut header = if spec.gnu {
            tar::Header::new_gnu()
        } else {
            tar::Header::new_ustar()
        };
        header.set_mode(spec.mode);
        header.set_uid(spec.uid);
        header.set_gid(spec.gid);
        header.set_mtime(spec.mtime);
        header.set_size(0);
        let path = as_path(&spec.path);
        let added = match &spec.what {
            What::File(body) => {
                header.set_size(body.len() as u64);
                builder.append_data(&mut header, path, body.as_slice())
            }
            What::Directory | What::Fifo => {
                header.set_entry_type(match spec.what {
                    What::Fifo => tar::EntryType::Fifo,
                    _ => tar::EntryType::Directory,
                });
                builder.append_data(&mut header, path, std::io::empty())
            }
            What::Symlink(target) | What::Hardlink(target) => {
                header.set_entry_type(match spec.what {
                    What::Symlink(_) => tar::EntryType::Symlink,
                    _ => tar::EntryType::Link,
                });
                builder.append_link(&mut header, path, as_path(target))
            }
        };
        added.expect("a vector has room");
    }
    builder.into_inner().expect("a vector has room")
}

fn append_pax(builder: &mut tar::Builder<Vec<u8>>, pax: &Pax) {
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    let mut text = |key: &str, value: Option<Vec<u8>>| {
        records.extend(value.map(|value| (key.to_owned(), value)));
    };
    text("path", pax.path.clone());
    text("linkpath", pax.link.clone());
    text("uid", pax.uid.map(|n| n.to_string().into_bytes()));
    text("gid", pax.gid.map(|n| n.to_string().into_bytes()));
    let time = |(seconds, nanoseconds)| format!("{seconds}.{nanoseconds:09}").into_bytes();
    text("mtime", pax.mtime.map(time));
    for (name, value) in &pax.xattrs {
        text(&format!("SCHILY.xattr.{name}"), Some(value.clone()));
    }
    if !records.is_empty() {
        let records = records.iter().map(|(k, v)| (k.as_str(), v.as_slice()));
        builder
            .append_pax_extensions(records)
            .expect("a vector has room");
    }
}

/// Seconds and nanoseconds as they count: the fraction leads away from zero.
fn mtime(seconds: i32, nanoseconds: u32) -> Mtime {
    let (seconds, nanoseconds) = (i64::from(seconds), nanoseconds.cast_signed());
    if seconds < 0 && nanoseconds > 0 {
        return Mtime {
            seconds: seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        };
    }
    Mtime {
        seconds,
        nanoseconds,
    }
}

/// Where the library found a header and a body, and how long the body is.
struct Found {
    header: u64,
    body: u64,
    size: u64,
}

fn read_by_library(bytes: &[u8]) -> Vec<Found> {
    tar::Archive::new(bytes)
        .entries()
        .expect("the library reads what it wrote")
        .map(|entry| {
            let entry = entry.expect("the library reads what it wrote");
            Found {
                header: entry.raw_header_position(),
                body: entry.raw_file_position(),
                size: entry.size(),
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(config(768))]

    #[test]
    fn entries_are_read_as_they_were_written(specs in vec(spec(), 0..8)) {
        let bytes = build(&specs);
        let walk = walk_both(&bytes);
        prop_assert_eq!(walk.end, Ok(bytes.len() as u64));
        let found = read_by_library(&bytes);
        prop_assert_eq!(walk.entries.len(), specs.len());
        prop_assert_eq!(found.len(), specs.len());
        let mut end = 0;
        for ((entry, spec), found) in walk.entries.iter().zip(&specs).zip(&found) {
            let Spec { pax, .. } = spec;
            // The library writes a long name behind the PAX header, where it wins.
            let long = longer_than_the_block(spec);
            let path = pax.path.as_ref().filter(|_| !long).unwrap_or(&spec.path);
            prop_assert_eq!(&entry.path, path);
            let kind = match &spec.what {
                What::File(_) => Kind::File,
                What::Directory => Kind::Directory,
                What::Symlink(_) => Kind::Symlink,
                What::Hardlink(_) => Kind::Hardlink,
                What::Fifo => Kind::Fifo,
            };
            prop_assert_eq!(entry.kind, kind);
            if let What::Symlink(target) | What::Hardlink(target) = &spec.what {
                let long = target.len() > 100;
                prop_assert_eq!(&entry.link, pax.link.as_ref().filter(|_| !long).unwrap_or(target));
            }
            prop_assert_eq!(entry.mode, i64::from(spec.mode));
            prop_assert_eq!(entry.uid, pax.uid.unwrap_or(spec.uid.cast_signed()));
            prop_assert_eq!(entry.gid, pax.gid.unwrap_or(spec.gid.cast_signed()));
            let plain = Mtime { seconds: spec.mtime.cast_signed(), nanoseconds: 0 };
            // "-0.5" is before the epoch, but an i32 has no -0.
            prop_assert_eq!(entry.mtime, pax.mtime.map_or(plain, |(s, n)| mtime(s, n)));
            let xattrs: Vec<_> = pax.xattrs.iter().map(|(k, v)| (k.clone().into_bytes(), v.clone())).collect();
            prop_assert_eq!(&entry.xattrs, &xattrs);
            prop_assert!(entry.sparse.is_none());

            let size = match &spec.what {
                What::File(body) => body.len() as u64,
                _ => 0,
            };
            prop_assert_eq!((entry.size, entry.stored_size), (size, size));
            prop_assert_eq!((entry.data_offset, entry.size), (found.body, found.size));
            prop_assert_eq!(entry.data_offset, found.header + BLOCK as u64);
            prop_assert_eq!(entry.header_offset, end);
            end = (entry.data_offset + size).next_multiple_of(BLOCK as u64);
            if let What::File(body) = &spec.what {
                let at = usize::try_from(entry.data_offset).expect("a short tar");
                prop_assert_eq!(&bytes[at..at + body.len()], body.as_slice());
            }
        }
    }

    #[test]
    fn any_bytes_are_walked_alike_by_both_cursors(bytes in vec(any::<u8>(), 0..3000)) {
        walk_both(&bytes);
    }

    #[test]
    fn damaged_tars_are_walked_alike_by_both_cursors(
        specs in vec(spec(), 1..6),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..12),
        end in option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = build(&specs);
        for (at, to, in_header) in changes {
            // Half of the changes go into blocks that look like headers, which get a new checksum.
            let at = at.index(bytes.len());
            let block = at - at % BLOCK;
            let is_header = bytes[block..].starts_with(b"d") || bytes[block + 257..].starts_with(b"ustar");
            bytes[at] = to;
            if in_header && is_header {
                reseal(&mut bytes[block..block + BLOCK]);
            }
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        let walk = walk_both(&bytes);
        let mut previous = 0;
        for entry in &walk.entries {
            prop_assert_eq!(entry.header_offset, previous);
            prop_assert!(entry.data_offset <= bytes.len() as u64);
            previous = (entry.data_offset + entry.stored_size).next_multiple_of(BLOCK as u64);
        }
        if walk.end.is_ok() {
            let last = walk.entries.last().map_or(0, |last| last.data_offset + last.stored_size);
            prop_assert!(last <= bytes.len() as u64, "a body that is cut off goes unnoticed");
        }
    }

    #[test]
    fn a_tar_that_is_cut_off_keeps_its_first_entries(
        specs in vec(spec(), 1..6),
        end in any::<prop::sample::Index>(),
    ) {
        let bytes = build(&specs);
        let whole = walk_both(&bytes);
        let end = end.index(bytes.len());
        let cut = walk_both(&bytes[..end]);
        let same = cut.entries.iter().zip(&whole.entries);
        for (cut, whole) in same {
            prop_assert_eq!(format!("{cut:?}"), format!("{whole:?}"));
        }
        // Only a cut between two entries, or in the padding before it, can be taken for an end.
        if cut.end.is_ok() {
            let clean = std::iter::once((0, 0)).chain(whole.entries.iter().map(|entry| {
                let end = entry.data_offset + entry.stored_size;
                (end, end.next_multiple_of(BLOCK as u64))
            }));
            let end = end as u64;
            let behind_meta = whole.entries.iter().any(|entry| {
                let meta = entry.data_offset - BLOCK as u64;
                // Meta headers before an entry that is missing are an end too, as for Go.
                (entry.header_offset..=meta).contains(&end)
            });
            let in_end_blocks = end >= bytes.len() as u64 - 2 * BLOCK as u64;
            prop_assert!(
                in_end_blocks || behind_meta || clean.clone().any(|(body, next)| (body..=next).contains(&end)),
                "cut at {}", end
            );
        }
    }
}

/// Whether the library cannot put the path into the header block itself: 100 bytes in GNU's, and 155
/// more in ustar's if there is a slash in the right place.
fn longer_than_the_block(spec: &Spec) -> bool {
    let mut header = if spec.gnu {
        tar::Header::new_gnu()
    } else {
        tar::Header::new_ustar()
    };
    header.set_path(as_path(&spec.path)).is_err()
}
