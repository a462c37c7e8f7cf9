//! The walker against the rules of Go's `archive/tar`, which every engine reads tars with, on
//! headers that no ordinary writer makes.

use imgtar::Limit;
use imgtar::tar::{Entry, Kind, SparseSpan};
use proptest::prelude::*;

use super::craft::{END, Header, file, long, padded, pax, record};
use super::{config, walk_both};

/// All entries of a tar that has to be sound.
fn entries(parts: &[&[u8]]) -> Vec<Entry> {
    let walk = walk_both(&parts.concat());
    walk.end
        .unwrap_or_else(|error| panic!("{error} after {:?}", walk.entries));
    walk.entries
}

/// How many entries come before the fault of a tar that has to be refused, and what it is.
fn fault(parts: &[&[u8]]) -> (usize, String) {
    let walk = walk_both(&parts.concat());
    let fault = walk.end.expect_err("it was taken for a sound tar");
    (walk.entries.len(), fault)
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| entry.path.escape_ascii().to_string())
        .collect()
}

fn span(offset: u64, len: u64) -> SparseSpan {
    SparseSpan { offset, len }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_size_on_what_has_no_body_is_ignored(kind in prop::sample::select(b"123456".to_vec()), size in 1..1_u64 << 33) {
        let odd = Header::new(kind, b"odd", size).link(b"x").sealed();
        let found = entries(&[&odd, &file(b"next", b"body"), &END]);
        prop_assert_eq!(names(&found), ["odd", "next"]);
        prop_assert_eq!((found[0].stored_size, found[0].size), (0, 0));
        // The old way to write a directory.
        let old = Header::new(0, b"old/", size).sealed();
        let found = entries(&[&old, &file(b"next", b"body"), &END]);
        prop_assert_eq!(names(&found), ["old/", "next"]);
        prop_assert_eq!(found[0].kind, Kind::Directory);
        // And a size from a PAX header.
        let size = size.to_string();
        let found = entries(&[&pax(b'x', &[("size", size.as_bytes())]), &odd, &file(b"next", b"body"), &END]);
        prop_assert_eq!(names(&found), ["odd", "next"]);
    }

    #[test]
    fn a_pax_size_beats_the_size_in_the_block(body in prop::collection::vec(any::<u8>(), 0..3000), claimed in 0..1_u64 << 33) {
        let size = body.len().to_string();
        let header = Header::new(b'0', b"f", claimed).with(&body);
        let found = entries(&[&pax(b'x', &[("size", size.as_bytes())]), &header, &file(b"next", b""), &END]);
        prop_assert_eq!(names(&found), ["f", "next"]);
        prop_assert_eq!(found[0].size, body.len() as u64);
    }

    #[test]
    fn a_checksum_of_signed_bytes_is_accepted(high in 128..=255_u8) {
        let name = [b'n', high, high];
        let header = Header::new(b'0', &name, 0);
        let found = entries(&[&header.clone().sealed_signed(), &header.clone().sealed(), &END]);
        prop_assert_eq!(found.len(), 2);
        let mut wrong = header.sealed();
        wrong[1] ^= 1;
        prop_assert!(fault(&[&wrong, &END]).1.contains("not a tar header"));
    }

    #[test]
    fn a_negative_size_is_refused(magnitude in 1..i64::MAX) {
        // Base 256, two's complement: GNU's way to write what octal cannot.
        let mut field = [0xff; 12];
        field[4..].copy_from_slice(&(-magnitude).to_be_bytes());
        let header = Header::new(b'0', b"f", 0).set(124, &field).sealed();
        let (before, why) = fault(&[&file(b"first", b"x"), &header, &END]);
        prop_assert_eq!(before, 1);
        prop_assert!(why.contains("negative"), "{}", why);
        let minus = (-magnitude).to_string();
        let (_, why) = fault(&[&pax(b'x', &[("size", minus.as_bytes())]), &file(b"f", b""), &END]);
        prop_assert!(why.contains("negative"), "{}", why);
        // On a link it is ignored like any other size.
        let link = Header::new(b'2', b"l", 0).set(124, &field).sealed();
        prop_assert_eq!(entries(&[&link, &END]).len(), 1);
    }

    #[test]
    fn a_size_in_base_256_is_read(size in any::<u32>()) {
        let mut field = [0; 12];
        field[0] = 0x80;
        field[8..].copy_from_slice(&size.to_be_bytes());
        let walk = walk_both(&Header::gnu(b'0', b"f", 0).set(124, &field).sealed());
        prop_assert_eq!(walk.entries[0].size, u64::from(size));
        prop_assert_eq!(walk.end.is_ok(), size == 0);
    }

    #[test]
    fn padding_and_end_blocks_may_be_missing(body in prop::collection::vec(any::<u8>(), 1..1500), kept in 0..512_usize) {
        let whole = [file(b"first", b"x"), file(b"f", &body)].concat();
        let unpadded = whole.len() - (body.len().next_multiple_of(512) - body.len());
        let kept = (unpadded + kept).min(whole.len());
        prop_assert_eq!(entries(&[&whole[..kept]]).len(), 2);
        prop_assert_eq!(entries(&[&whole, &END[..512]]).len(), 2);
        // What follows the end blocks is not read.
        prop_assert_eq!(entries(&[&whole, &END, &body]).len(), 2);
        // A byte of the body may not be missing.
        let (before, why) = fault(&[&whole[..unpadded - 1]]);
        prop_assert_eq!(before, 2);
        prop_assert!(why.contains("inside a body"), "{}", why);
    }
}

#[test]
fn a_pax_header_reaches_past_a_long_name_to_the_entry_behind_it() {
    // CVE-2025-62518: the size is not that of the long name.
    let size = pax(b'x', &[("size", b"600"), ("mtime", b"7")]);
    let body = Header::gnu(b'0', b"short", 0).with(&[b'!'; 600]);
    let found = entries(&[
        &size,
        &long(b'L', b"long"),
        &body,
        &file(b"next", b""),
        &END,
    ]);
    assert_eq!(names(&found), ["long", "next"]);
    assert_eq!((found[0].size, found[0].mtime.seconds), (600, 7));
    assert_eq!(found[0].header_offset, 0);
    // In the other order too; and a long name wins over a PAX path wherever it stands.
    let path = pax(b'x', &[("path", b"by-pax"), ("linkpath", b"to-pax")]);
    let link = Header::gnu(b'2', b"short", 0).sealed();
    for parts in [
        [&path[..], &long(b'L', b"long"), &long(b'K', b"to-long")].concat(),
        [&long(b'L', b"long"), &long(b'K', b"to-long"), &path[..]].concat(),
    ] {
        let found = entries(&[&parts, &link, &END]);
        assert_eq!(names(&found), ["long"]);
        assert_eq!(found[0].link, b"to-long");
    }
}

#[test]
fn of_several_meta_headers_the_last_counts() {
    let found = entries(&[
        &pax(b'x', &[("path", b"first"), ("uid", b"7")]),
        &pax(b'x', &[("path", b"second")]),
        &file(b"f", b""),
        &long(b'L', b"first"),
        &long(b'L', b"second"),
        &file(b"f", b""),
        // An empty one says nothing.
        &long(b'L', b""),
        &file(b"f", b""),
        &END,
    ]);
    assert_eq!(names(&found), ["second", "second", "f"]);
    // The last PAX header counts whole: what only the first said is forgotten.
    assert_eq!(found[0].uid, 0);
}

#[test]
fn a_global_header_says_nothing_of_what_follows() {
    let global = pax(
        b'g',
        &[
            ("path", b"global"),
            ("size", b"1"),
            ("uid", b"7"),
            ("SCHILY.xattr.user.x", b"1"),
        ],
    );
    let found = entries(&[&global, &file(b"a", &[1; 700]), &file(b"b", b""), &END]);
    assert_eq!(
        [found[0].kind, found[1].kind, found[2].kind],
        [Kind::Global, Kind::File, Kind::File]
    );
    assert_eq!(names(&found[1..]), ["a", "b"]);
    for entry in &found[1..] {
        assert_eq!(entry.uid, 0);
        assert!(entry.xattrs.is_empty());
    }
    assert_eq!(found[1].size, 700);
    // It ends what was said before it.
    let local = pax(b'x', &[("path", b"local")]);
    let found = entries(&[&local, &global, &file(b"a", b""), &END]);
    assert_eq!(names(&found[1..]), ["a"]);
}

#[test]
fn a_local_header_says_nothing_of_the_entry_after_the_next() {
    let local = pax(b'x', &[("path", b"local"), ("uid", b"7")]);
    let found = entries(&[&local, &file(b"a", b""), &file(b"b", b""), &END]);
    assert_eq!(names(&found), ["local", "b"]);
    assert_eq!((found[0].uid, found[1].uid), (7, 0));
}

#[test]
fn one_zero_block_between_headers_is_refused() {
    let (before, why) = fault(&[&file(b"a", b"x"), &END[..512], &file(b"b", b"y"), &END]);
    assert_eq!(before, 1);
    assert!(why.contains("single block of zeros"), "{why}");
    // Two end the tar, whatever follows.
    let found = entries(&[&file(b"a", b"x"), &END, &file(b"b", b"y")]);
    assert_eq!(names(&found), ["a"]);
}

#[test]
fn meta_headers_are_limited() {
    let limit = usize::try_from(Limit::Header.default_value()).expect("a megabyte");
    let name = vec![b'n'; limit];
    // A long name of exactly the limit, its NUL included, is read.
    let found = entries(&[&long(b'L', &name[1..]), &file(b"f", b""), &END]);
    assert_eq!(found[0].path.len(), limit - 1);
    for kind in [b'x', b'g', b'L', b'K'] {
        let body = if kind == b'x' || kind == b'g' {
            record("comment", &name)
        } else {
            [&name[..], b"\0"].concat()
        };
        let header = Header::gnu(kind, b"meta", body.len() as u64).with(&body);
        let (_, why) = fault(&[&header, &file(b"f", b""), &END]);
        assert!(why.contains("longer than engines read"), "{why}");
        // A claim alone takes no memory.
        let (_, why) = fault(&[&Header::gnu(kind, b"meta", (1 << 33) - 1).sealed()]);
        assert!(why.contains("longer than engines read"), "{why}");
        // A body that is not there is no end.
        let header = Header::gnu(kind, b"meta", 1000).sealed();
        let (_, why) = fault(&[&header, b"20 comment="]);
        assert!(why.contains("inside a body"), "{why}");
    }
}

#[test]
fn malformed_numbers_are_refused_where_go_reads_them() {
    for (at, field) in [(100, "mode"), (108, "uid"), (116, "gid"), (136, "mtime")] {
        let header = Header::new(b'0', b"f", 0).set(at, b"12x4567\0").sealed();
        let (_, why) = fault(&[&header, &END]);
        assert!(why.contains(field), "{why}");
    }
    // V7 headers have no device numbers, so nothing reads these.
    let v7 = Header::new(b'0', b"f", 0)
        .set(257, &[0; 8])
        .set(329, b"garbage\0");
    assert_eq!(entries(&[&v7.sealed(), &END]).len(), 1);
}

#[test]
fn old_gnu_sparse_files_have_their_logical_size() {
    let spans = |header: Header, at: usize, spans: &[(u64, u64)]| {
        spans
            .iter()
            .enumerate()
            .fold(header, |header, (i, (offset, len))| {
                let at = at + 24 * i;
                header
                    .set(at, format!("{offset:011o}\0").as_bytes())
                    .set(at + 12, format!("{len:011o}\0").as_bytes())
            })
    };
    let header = Header::gnu(b'S', b"sparse", 8).set(483, b"00000100000\0");
    let plain = spans(header.clone(), 386, &[(0, 4), (1000, 4)]);
    let found = entries(&[&plain.with(b"headtail"), &file(b"next", b""), &END]);
    assert_eq!(names(&found), ["sparse", "next"]);
    assert_eq!((found[0].size, found[0].stored_size), (0o100_000, 8));
    let map = found[0].sparse.as_ref().expect("a map");
    assert_eq!(map.spans, [span(0, 4), span(1000, 4)]);
    // Four spans in the header, more in a block behind it, which is no part of the body.
    let head = [(0, 2), (10, 2), (20, 2), (30, 2)];
    let extended = spans(header.clone(), 386, &head).set(482, &[1]).sealed();
    // That block has no checksum; only the bytes of the spans are of use.
    let mut more = [0; 512];
    for (i, number) in [40, 1, 50, 1].into_iter().enumerate() {
        more[12 * i..12 * (i + 1)].copy_from_slice(format!("{number:011o}\0").as_bytes());
    }
    let found = entries(&[
        &extended,
        &more,
        &padded(b"aabbccdd"),
        &file(b"next", b""),
        &END,
    ]);
    assert_eq!(names(&found), ["sparse", "next"]);
    assert_eq!(found[0].data_offset, 1024);
    assert_eq!(found[0].sparse.as_ref().map(|map| map.spans.len()), Some(6));
    // Maps that overlap, run backwards or leave the file.
    for bad in [&[(0, 4), (3, 4)][..], &[(8, 4), (0, 4)], &[(0o77_776, 4)]] {
        let bad = spans(header.clone(), 386, bad).with(b"headtail");
        assert!(fault(&[&bad, &END]).1.contains("sparse"), "a bad map");
    }
    // The type belongs to GNU's format alone.
    let ustar = spans(header, 386, &[(0, 4)]).set(257, b"ustar\x0000");
    assert!(
        fault(&[&ustar.with(b"headtail"), &END])
            .1
            .contains("sparse")
    );
}

#[test]
fn pax_sparse_files_have_their_logical_size_and_name() {
    let zero_zero = pax(
        b'x',
        &[
            ("GNU.sparse.size", b"5000"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"4"),
            ("GNU.sparse.offset", b"1000"),
            ("GNU.sparse.numbytes", b"4"),
        ],
    );
    let zero_one = pax(
        b'x',
        &[
            ("GNU.sparse.major", b"0"),
            ("GNU.sparse.minor", b"1"),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.size", b"5000"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.map", b"0,4,1000,4"),
        ],
    );
    let one_zero = pax(
        b'x',
        &[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.realsize", b"5000"),
        ],
    );
    let map = padded(b"2\n0\n4\n1000\n4\n");
    let in_body = [&map[..], b"headtail"].concat();
    for (pax, body, name, map_len) in [
        (&zero_zero, &b"headtail"[..], "GNUSparseFile.0/s", 0),
        (&zero_one, b"headtail", "sparse", 0),
        (&one_zero, &in_body, "sparse", 512),
    ] {
        let found = entries(&[
            pax,
            &file(b"GNUSparseFile.0/s", body),
            &file(b"next", b""),
            &END,
        ]);
        assert_eq!(names(&found), [name, "next"]);
        assert_eq!(
            (found[0].size, found[0].stored_size),
            (5000, body.len() as u64)
        );
        assert_eq!(
            found[0].data_offset,
            found[0].header_offset + 1536 + extra(pax)
        );
        let map = found[0].sparse.as_ref().expect("a map");
        assert_eq!(map.spans, [span(0, 4), span(1000, 4)]);
        assert_eq!(map.map_len, map_len);
    }
    // A map in the body that has no end, holds no numbers, claims too many spans or too few bytes.
    for bad in [
        &b"2\n0\n4\n1000\n4"[..],
        b"two\n",
        b"99999999\n",
        b"1\n4999\n4\n",
        b"1\n-4\n4\n",
        b"",
    ] {
        let body = padded(bad);
        let why = fault(&[&one_zero, &file(b"s", &body), &END]).1;
        assert!(why.contains("sparse"), "{why}");
    }
    // Of a version that nobody knows, it is a file like any other.
    let unknown = pax(
        b'x',
        &[("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0")],
    );
    let found = entries(&[&unknown, &file(b"s", b"body"), &END]);
    assert_eq!((found[0].size, found[0].sparse.is_none()), (4, true));
}

/// What a PAX header is longer than one block of records.
fn extra(pax: &[u8]) -> u64 {
    pax.len() as u64 - 1024
}
