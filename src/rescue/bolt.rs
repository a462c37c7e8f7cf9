//! The few things that are needed of a bolt database: buckets by name, and what is in them (etcd-io/bbolt
//! `internal/common/page.go`, `meta.go`, `bucket.go`). Nothing is written, and the list of free pages is not read.
//!
//! Threats: a page may be read only where its number says it is, within the file and below the last page that was
//! ever used; one walk meets no page twice and goes no deeper than [`DEPTH`]; all walks together read so many bytes
//! at the most, so that buckets which share pages cost nothing.

use std::cell::Cell;
use std::collections::HashSet;

use crate::source::Slice;

/// How deep a tree of pages may be: each level has at least two pages, so this is more than any file needs.
const DEPTH: usize = 32;
/// How often the file may be read as a whole.
const TIMES: u64 = 8;
/// The beginning of a page (`PageHeaderSize`).
const HEADER: usize = 16;
/// An element of a page; in both kinds of pages.
const ELEMENT: usize = 16;
/// The sizes of pages in which the second meta page is looked for.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 10..=24;

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
/// The flag of a value that is a bucket.
const IS_BUCKET: u32 = 1;

/// An opened database.
#[derive(Debug)]
pub(crate) struct Bolt {
    file: Slice,
    page_size: u64,
    /// One more than the number of the last page.
    pages: u64,
    root: u64,
    /// How many bytes may still be read.
    left: Cell<u64>,
}

/// A bucket: a tree of pages, or a page within the value that it is.
#[derive(Clone, Debug)]
pub(crate) enum Bucket {
    Pages(u64),
    Inline(Vec<u8>),
}

/// What a key leads to.
#[derive(Clone, Debug)]
pub(crate) enum BoltItem {
    Value(Vec<u8>),
    Bucket(Bucket),
}

/// Why a database cannot be read, for people.
pub(crate) type BoltFault = String;

/// What is shown a key and what lies there.
type See<'s> = dyn FnMut(&[u8], BoltItem) -> Result<(), BoltFault> + 's;

/// What a meta page says.
#[derive(Clone, Copy, Debug)]
struct Meta {
    page_size: u64,
    root: u64,
    pages: u64,
    transaction: u64,
}

impl Bolt {
    /// Opens a database, at its last whole transaction; of a file that was copied while it was written, at the one
    /// before if only that can be read.
    pub(crate) fn open(file: &Slice) -> Result<Self, BoltFault> {
        let mut metas: Vec<Meta> = Vec::new();
        metas.extend(meta_at(file, 0)?);
        let sizes: Vec<u64> = match metas.first() {
            Some(meta) => vec![meta.page_size],
            None => PAGE_SIZES.map(|shift| 1 << shift).collect(),
        };
        for size in sizes {
            if let Some(meta) = meta_at(file, size)? {
                metas.push(meta);
                break;
            }
        }
        metas.sort_by_key(|meta| std::cmp::Reverse(meta.transaction));
        let mut why = "neither of its two meta pages is valid".to_owned();
        for meta in metas {
            let bolt = Self {
                file: file.clone(),
                page_size: meta.page_size,
                pages: meta.pages,
                root: meta.root,
                left: Cell::new(file.len().saturating_mul(TIMES)),
            };
            match bolt.each(&bolt.root(), &mut |_, _| Ok(())) {
                Ok(()) => return Ok(bolt),
                Err(fault) => why = fault,
            }
        }
        Err(why)
    }

    /// The bucket that holds all others.
    pub(crate) fn root(&self) -> Bucket {
        Bucket::Pages(self.root)
    }

    /// The bucket that a path of names leads to.
    pub(crate) fn bucket(
        &self,
        from: &Bucket,
        path: &[&[u8]],
    ) -> Result<Option<Bucket>, BoltFault> {
        let mut at = from.clone();
        for name in path {
            let mut found = None;
            self.each(&at, &mut |key, item| {
                if let (true, BoltItem::Bucket(bucket)) = (key == *name, item) {
                    found = Some(bucket);
                }
                Ok(())
            })?;
            match found {
                Some(bucket) => at = bucket,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Shows what is in a bucket, in the order of its keys.
    pub(crate) fn each(&self, bucket: &Bucket, see: &mut See<'_>) -> Result<(), BoltFault> {
        let root = match bucket {
            Bucket::Pages(root) => *root,
            Bucket::Inline(page) => return Self::leaf(page, 0, see),
        };
        let mut met = HashSet::new();
        let mut open = vec![(root, 0)];
        while let Some((number, depth)) = open.pop() {
            if depth > DEPTH || !met.insert(number) {
                return Err(format!("page {number} is part of a loop"));
            }
            let page = self.page(number)?;
            match u16_at(&page, 8)? {
                LEAF => Self::leaf(&page, number, see)?,
                BRANCH => {
                    let mut below = Vec::new();
                    for element in 0..usize::from(u16_at(&page, 10)?) {
                        let at = HEADER + element * ELEMENT;
                        below.push((u64_at(&page, at + 8)?, depth + 1));
                    }
                    open.extend(below.into_iter().rev());
                }
                other => return Err(format!("page {number} has the unknown type {other:#x}")),
            }
        }
        Ok(())
    }

    fn leaf(page: &[u8], number: u64, see: &mut See<'_>) -> Result<(), BoltFault> {
        if u16_at(page, 8)? != LEAF {
            return Err(format!("a bucket within page {number} is not a leaf"));
        }
        for element in 0..usize::from(u16_at(page, 10)?) {
            let at = HEADER + element * ELEMENT;
            let (flags, offset) = (u32_at(page, at)?, u32_at(page, at + 4)? as usize);
            let (key, value) = (
                u32_at(page, at + 8)? as usize,
                u32_at(page, at + 12)? as usize,
            );
            let from = at + offset;
            let key = part(page, from, key)?;
            let value = part(page, from + key.len(), value)?;
            let item = if flags & IS_BUCKET == 0 {
                BoltItem::Value(value.to_vec())
            } else {
                match u64_at(value, 0)? {
                    0 => BoltItem::Bucket(Bucket::Inline(
                        value.get(HEADER..).unwrap_or_default().to_vec(),
                    )),
                    root => BoltItem::Bucket(Bucket::Pages(root)),
                }
            };
            see(key, item)?;
        }
        Ok(())
    }

    /// A page with those that belong to it.
    fn page(&self, number: u64) -> Result<Vec<u8>, BoltFault> {
        let outside = || format!("page {number} is outside the database");
        if number >= self.pages {
            return Err(outside());
        }
        let at = number.checked_mul(self.page_size).ok_or_else(outside)?;
        let head = self.read(at, HEADER as u64)?;
        if u64_at(&head, 0)? != number {
            return Err(format!("page {number} is not where it should be"));
        }
        let further = u64::from(u32_at(&head, 12)?);
        if number + further >= self.pages {
            return Err(outside());
        }
        self.read(at, (further + 1).saturating_mul(self.page_size))
    }

    fn read(&self, at: u64, len: u64) -> Result<Vec<u8>, BoltFault> {
        let end = at.checked_add(len);
        if end.is_none_or(|end| end > self.file.len()) {
            return Err(format!(
                "it ends at byte {}, but {len} bytes are needed at {at}",
                self.file.len()
            ));
        }
        let left = self.left.get().checked_sub(len);
        let left = left.ok_or("its buckets share pages, so reading it would never end")?;
        self.left.set(left);
        read(&self.file, at, len)
    }
}

fn read(file: &Slice, at: u64, len: u64) -> Result<Vec<u8>, BoltFault> {
    let span = crate::source::Span { offset: at, len };
    let bytes = file.slice(span).read_all();
    bytes.map_err(|error| error.to_string())
}

/// The meta page at a place; `None` if there is none, or if it is not whole.
fn meta_at(file: &Slice, at: u64) -> Result<Option<Meta>, BoltFault> {
    const LEN: u64 = 80;
    /// What the checksum is of: everything of the meta data before it.
    const SUMMED: usize = 56;
    if at + LEN > file.len() {
        return Ok(None);
    }
    let page = read(file, at, LEN)?;
    let meta = part(&page, HEADER, SUMMED)?;
    let is_meta = u32_at(meta, 0)? == MAGIC
        && u32_at(meta, 4)? == VERSION
        && u64_at(&page, HEADER + SUMMED)? == fnv1a(meta);
    let page_size = u64::from(u32_at(meta, 8)?);
    let is_size = page_size.is_power_of_two() && page_size >= 1 << PAGE_SIZES.start();
    Ok((is_meta && is_size).then_some(Meta {
        page_size,
        root: u64_at(meta, 16)?,
        pages: u64_at(meta, 40)?,
        transaction: u64_at(meta, 48)?,
    }))
}

/// FNV-1a of 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn part(bytes: &[u8], from: usize, len: usize) -> Result<&[u8], BoltFault> {
    let part = from.checked_add(len).and_then(|end| bytes.get(from..end));
    part.ok_or_else(|| {
        format!(
            "{len} bytes at {from} are outside a page of {} bytes",
            bytes.len()
        )
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BoltFault> {
    let part = part(bytes, at, N)?;
    part.try_into()
        .map_err(|_| "a number is cut short".to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, BoltFault> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BoltFault> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, BoltFault> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Go's varint: an unsigned one, zigzag.
pub(crate) fn varint(bytes: &[u8]) -> Option<i64> {
    let value = uvarint(bytes)?;
    Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
}

/// Go's unsigned varint.
pub(crate) fn uvarint(bytes: &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(7 * at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::options::Options;
    use crate::source::Input;

    /// Meta pages of 1 KiB and a root leaf with a value, an inline bucket and a bucket of two pages below a branch.
    fn database() -> Vec<u8> {
        const SIZE: usize = 1024;
        let mut file = vec![0; 7 * SIZE];
        for page in 0..2_u64 {
            let at = usize::try_from(page).expect("small") * SIZE;
            let mut meta = Vec::new();
            for number in [MAGIC, VERSION, 1024, 0] {
                meta.extend(number.to_le_bytes());
            }
            for number in [2_u64, 0, 6, 7, page] {
                meta.extend(number.to_le_bytes());
            }
            let sum = fnv1a(&meta);
            file[at..at + 8].copy_from_slice(&page.to_le_bytes());
            file[at + HEADER..at + HEADER + 56].copy_from_slice(&meta);
            file[at + 72..at + 80].copy_from_slice(&sum.to_le_bytes());
        }
        let mut put = |number: usize, page: &[u8]| {
            file[number * SIZE..number * SIZE + page.len()].copy_from_slice(page);
        };
        let inline = leaf(0, &[(0, b"k", b"v".to_vec())]);
        let inline = [&0_u64.to_le_bytes()[..], &[0; 8], &inline].concat();
        let pages = [&3_u64.to_le_bytes()[..], &[0; 8]].concat();
        let root = [
            (1, &b"inline"[..], inline),
            (1, b"pages", pages),
            (0, b"value", b"x".to_vec()),
        ];
        put(2, &leaf(2, &root));
        put(3, &branch(3, &[4, 5]));
        put(4, &leaf(4, &[(0, b"a", b"1".to_vec())]));
        put(5, &leaf(5, &[(0, b"b", b"2".to_vec())]));
        file
    }

    fn header(number: u64, kind: u16, count: usize) -> Vec<u8> {
        let count = u16::try_from(count).expect("few");
        let mut page = number.to_le_bytes().to_vec();
        page.extend(kind.to_le_bytes());
        page.extend(count.to_le_bytes());
        page.extend([0; 4]);
        page
    }

    fn leaf(number: u64, items: &[(u32, &[u8], Vec<u8>)]) -> Vec<u8> {
        let mut page = header(number, LEAF, items.len());
        let mut offset = items.len() * ELEMENT;
        for (at, (flags, key, value)) in items.iter().enumerate() {
            let from = offset - at * ELEMENT;
            page.extend(flags.to_le_bytes());
            for number in [from, key.len(), value.len()] {
                page.extend(u32::try_from(number).expect("small").to_le_bytes());
            }
            offset += key.len() + value.len();
        }
        for (_, key, value) in items {
            page.extend(*key);
            page.extend(value);
        }
        page
    }

    fn branch(number: u64, below: &[u64]) -> Vec<u8> {
        let mut page = header(number, BRANCH, below.len());
        for number in below {
            page.extend([0; 8]);
            page.extend(number.to_le_bytes());
        }
        page
    }

    fn open(bytes: &[u8]) -> Result<Bolt, BoltFault> {
        let input = Input::from_reader(bytes.to_vec(), "meta.db", &Options::default());
        Bolt::open(&input.expect("bytes").source().whole())
    }

    fn keys(bolt: &Bolt, path: &[&[u8]]) -> Result<Vec<Vec<u8>>, BoltFault> {
        let bucket = bolt.bucket(&bolt.root(), path)?.ok_or("no such bucket")?;
        let mut keys = Vec::new();
        bolt.each(&bucket, &mut |key, _| {
            keys.push(key.to_vec());
            Ok(())
        })?;
        Ok(keys)
    }

    #[test]
    fn buckets_are_found_in_pages_and_in_values() {
        let bolt = open(&database()).expect("a database");
        assert_eq!(
            keys(&bolt, &[]),
            Ok(vec![
                b"inline".to_vec(),
                b"pages".to_vec(),
                b"value".to_vec()
            ])
        );
        assert_eq!(keys(&bolt, &[b"inline"]), Ok(vec![b"k".to_vec()]));
        assert_eq!(
            keys(&bolt, &[b"pages"]),
            Ok(vec![b"a".to_vec(), b"b".to_vec()])
        );
        assert!(keys(&bolt, &[b"value"]).is_err());
    }

    #[test]
    fn one_meta_page_is_enough() {
        for page in [0, 1] {
            let mut file = database();
            file[page * 1024 + 20] ^= 1;
            assert!(open(&file).is_ok(), "{page}");
        }
        let mut file = database();
        file[20] ^= 1;
        file[1024 + 20] ^= 1;
        assert!(open(&file).is_err());
    }

    #[test]
    fn loops_and_stray_pages_are_refused() {
        let mut file = database();
        // The branch leads to itself, then to a page that there is not.
        for (below, says) in [(3_u8, "loop"), (200, "outside")] {
            file[3 * 1024 + HEADER + 8] = below;
            let bolt = open(&file).expect("the root is whole");
            let fault = keys(&bolt, &[b"pages"]).expect_err("a fault");
            assert!(fault.contains(says), "{fault}");
        }
        // Every byte of a page that is another one is a fault or another answer, and no panic.
        for at in 2 * 1024..2 * 1024 + 200 {
            let mut file = database();
            file[at] ^= 0xff;
            if let Ok(bolt) = open(&file) {
                drop(keys(&bolt, &[b"inline"]));
                drop(keys(&bolt, &[b"pages"]));
            }
        }
    }

    #[test]
    fn numbers_are_those_of_go() {
        assert_eq!(uvarint(&[0xac, 0x02]), Some(300));
        assert_eq!(uvarint(&[0x80]), None);
        assert_eq!(uvarint(&[0xff; 12]), None);
        assert_eq!(varint(&[0x02]), Some(1));
        assert_eq!(varint(&[0x01]), Some(-1));
        assert_eq!(varint(&[0x80, 0x02]), Some(128));
        assert_eq!(varint(&[0x80]), None);
        assert_eq!(varint(&[0xff; 12]), None);
    }
}
