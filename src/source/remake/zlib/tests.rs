use super::super::go::tests::{content, summary};
use super::{ZlibDeflate, ZlibKind};

fn deflate<'a>(kind: ZlibKind, level: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut deflate = ZlibDeflate::new(kind, level);
    let mut out = Vec::new();
    for piece in pieces {
        deflate.write(piece, &mut out);
    }
    deflate.finish(&mut out);
    out
}

/// What zlib 1.2.13 and GNU gzip 1.12 have made (`testdata/make-zlib-samples.py`).
const SAMPLES: &str = include_str!("samples.tsv");

#[test]
fn the_streams_are_those_of_zlib_and_of_gnu_gzip() {
    let mut wrong = Vec::new();
    for line in SAMPLES.lines() {
        let mut fields = line.split('\t');
        let (name, size) = (fields.next().expect("a kind"), fields.next());
        let content = content(
            name,
            size.and_then(|size| size.parse().ok()).expect("a size"),
        );
        for kind in [ZlibKind::Zlib, ZlibKind::Gnu] {
            for level in 1..=9 {
                let wanted = fields.next().expect("a stream");
                let made = summary(&deflate(kind, level, [&content[..]]));
                if made != wanted {
                    wrong.push(format!("{kind:?} {level} {name} {size:?}: {made} {wanted}"));
                }
            }
        }
        assert_eq!(fields.next(), None);
    }
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
}

#[test]
fn pieces_of_any_size_give_the_same() {
    let content = content("mixed", 300_000);
    for (kind, level) in [(ZlibKind::Zlib, 1), (ZlibKind::Zlib, 6), (ZlibKind::Gnu, 6)] {
        let whole = deflate(kind, level, [&content[..]]);
        for size in [1, 263, 70_001] {
            assert!(
                deflate(kind, level, content.chunks(size)) == whole,
                "{size}"
            );
        }
    }
}
