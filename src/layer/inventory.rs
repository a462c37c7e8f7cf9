//! What a layer holds, noted while its bytes pass by: names, types and links, in little room.
//!
//! `verify` asks questions about entries that only the lower layers can answer (whether a hard link
//! has a target, whether a directory on the way is a symbolic link). The answers wait until all
//! layers were read, so the entries are kept, but only what the questions need: 40 bytes an entry
//! and the bytes of its names.
//!
//! Threats: a layer of a few megabytes can hold tens of millions of entries. All inventories of an
//! archive share one [`Allowance`]; when it is used up the entries of the whole archive stay
//! unchecked, and `verify` says so. Which layer used it up does not matter, so the outcome does not
//! depend on the number of threads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::limits::{Limit, Limits};
use crate::tar::{Entry, Kind, Mtime};

/// One byte more than the longest extended attribute that Linux takes (`XATTR_SIZE_MAX`): this much of a
/// value is kept, so that a longer one can be recognised by its length.
const XATTR_LIMIT: usize = (64 << 10) + 1;

/// The last second that fits into signed 64-bit nanoseconds, 2262-04-11.
const TIME_LIMIT: i64 = 9_223_372_036;

/// How much room all inventories of an archive have together.
#[derive(Debug)]
pub struct Allowance {
    left: AtomicU64,
}

impl Allowance {
    /// As much as an archive of these limits may take ([`Limit::NotedEntries`]).
    pub fn full(limits: &Limits) -> Self {
        Self {
            left: AtomicU64::new(limits.of(Limit::NotedEntries)),
        }
    }

    /// No room, where no entries need to be kept.
    pub fn none() -> Self {
        Self {
            left: AtomicU64::new(0),
        }
    }

    /// Takes some of it; returns whether there was enough.
    fn take(&self, bytes: u64) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        if taken.is_err() {
            self.left.store(0, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    /// Whether it is used up.
    pub fn is_used_up(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// The entries of one layer.
#[derive(Debug, Default)]
pub struct Inventory {
    names: Vec<u8>,
    briefs: Vec<Brief>,
    /// The extended attributes of the few entries that have any.
    xattrs: Vec<(usize, Xattrs)>,
}

/// Extended attributes: names and values.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Debug)]
struct Brief {
    header_offset: u64,
    /// Where its path ends among the names and its link begins; the path begins where the link of
    /// the entry before it ends.
    link_at: u64,
    end: u64,
    kind: Kind,
    typeflag: u8,
    faults: u8,
}

const BAD_OWNER: u8 = 1;
const BAD_TIME: u8 = 2;
const BAD_DEVICE: u8 = 4;
const ZERO_DEVICE: u8 = 8;

/// The name and the value of an extended attribute, as the header has them.
pub type NotedAttribute = (Vec<u8>, Vec<u8>);

impl Inventory {
    /// Notes an entry, unless there is no room left.
    pub fn note(&mut self, entry: &Entry, allowance: &Allowance) {
        let linked = matches!(entry.kind, Kind::Hardlink | Kind::Symlink);
        let link: &[u8] = if linked { &entry.link } else { b"" };
        let size: usize = entry
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len().min(XATTR_LIMIT))
            .sum();
        let room = size_of::<Brief>() + entry.path.len() + link.len() + size;
        if !allowance.take(room as u64) {
            *self = Self::default();
            return;
        }
        self.names.extend_from_slice(&entry.path);
        let link_at = self.names.len() as u64;
        self.names.extend_from_slice(link);
        let fits = |n: i64| u32::try_from(n).is_ok();
        let mut faults = 0;
        if !fits(entry.uid) || !fits(entry.gid) {
            faults |= BAD_OWNER;
        }
        if !(0..=TIME_LIMIT).contains(&entry.mtime.seconds) {
            faults |= BAD_TIME;
        }
        if !fits(entry.device.0) || !fits(entry.device.1) {
            faults |= BAD_DEVICE;
        }
        if entry.device == (0, 0) {
            faults |= ZERO_DEVICE;
        }
        if !entry.xattrs.is_empty() {
            let kept = entry
                .xattrs
                .iter()
                .map(|(name, value)| {
                    let value = value[..value.len().min(XATTR_LIMIT)].to_vec();
                    (name.clone(), value)
                })
                .collect();
            self.xattrs.push((self.briefs.len(), kept));
        }
        self.briefs.push(Brief {
            header_offset: entry.header_offset,
            link_at,
            end: self.names.len() as u64,
            kind: entry.kind,
            typeflag: entry.typeflag,
            faults,
        });
    }

    /// How many entries there are, global headers included.
    pub fn len(&self) -> usize {
        self.briefs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.briefs.is_empty()
    }

    /// What is known of each entry, in the order of the layer.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        (0..self.briefs.len()).map(|i| self.item(i))
    }

    fn item(&self, i: usize) -> Item<'_> {
        let start = i.checked_sub(1).map_or(0, |before| self.briefs[before].end);
        let brief = &self.briefs[i];
        // All three are lengths of a vector in memory.
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Item {
            header_offset: brief.header_offset,
            kind: brief.kind,
            typeflag: brief.typeflag,
            path: &self.names[at(start)..at(brief.link_at)],
            link: &self.names[at(brief.link_at)..at(brief.end)],
        }
    }

    /// The extended attributes of the few entries that have any, by the number of the entry.
    pub fn attributes(&self) -> impl Iterator<Item = (Item<'_>, &[NotedAttribute])> {
        self.xattrs
            .iter()
            .map(|(number, xattrs)| (self.item(*number), xattrs.as_slice()))
    }

    /// The entries once more, as far as they are known: modes and sizes are not, owners, times and
    /// device numbers only as usable or not.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let mut xattrs = self.xattrs.iter().peekable();
        (0..self.briefs.len()).map(move |i| {
            let item = self.item(i);
            let faults = self.briefs[i].faults;
            let number = |bad: u8, good: i64| if faults & bad == 0 { good } else { -1 };
            let device = i64::from(faults & ZERO_DEVICE == 0);
            let device = number(BAD_DEVICE, device);
            let own = xattrs.next_if(|(at, _)| *at == i);
            Entry {
                header_offset: item.header_offset,
                extra_headers: 0,
                data_offset: item.header_offset,
                stored_size: 0,
                size: 0,
                kind: item.kind,
                typeflag: item.typeflag,
                path: item.path.to_vec(),
                link: item.link.to_vec(),
                mode: 0,
                uid: number(BAD_OWNER, 0),
                gid: 0,
                mtime: Mtime {
                    seconds: number(BAD_TIME, 0),
                    nanoseconds: 0,
                },
                device: (device, device),
                xattrs: own.map(|(_, xattrs)| xattrs.clone()).unwrap_or_default(),
                sparse: None,
            }
        })
    }
}

/// What is known of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Item<'i> {
    /// Where its first header begins in the uncompressed layer, in bytes.
    pub header_offset: u64,
    /// What it is.
    pub kind: Kind,
    /// The typeflag as written.
    pub typeflag: u8,
    /// The name as written.
    pub path: &'i [u8],
    /// The target of a link as written; empty for anything else.
    pub link: &'i [u8],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::{Streamed, Walker};

    fn entries(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<Entry> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        let bytes = builder.into_inner().expect("memory");
        let mut walker = Walker::new(Streamed::new(bytes.as_slice(), &Limits::default()));
        std::iter::from_fn(|| walker.next_entry().expect("sound")).collect()
    }

    fn some() -> Vec<Entry> {
        entries(|builder| {
            for (name, kind, link) in [
                ("d/", tar::EntryType::Directory, ""),
                ("d/a", tar::EntryType::Regular, ""),
                ("b", tar::EntryType::Link, "d/a"),
                ("n", tar::EntryType::Char, ""),
            ] {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(kind);
                header.set_size(0);
                if !link.is_empty() {
                    header.set_link_name(link).expect("short");
                }
                builder
                    .append_data(&mut header, name, [].as_slice())
                    .expect("memory");
            }
        })
    }

    #[test]
    fn entries_come_back_with_their_names() {
        let (wanted, allowance) = (some(), Allowance::full(&Limits::default()));
        let mut inventory = Inventory::default();
        for entry in &wanted {
            inventory.note(entry, &allowance);
        }
        let back: Vec<Entry> = inventory.entries().collect();
        for (entry, want) in back.iter().zip(&wanted) {
            assert_eq!(
                (&entry.path, &entry.link, entry.kind, entry.header_offset),
                (&want.path, &want.link, want.kind, want.header_offset)
            );
        }
        assert_eq!(back.len(), wanted.len());
        assert_eq!(back[3].device, (0, 0));
    }

    #[test]
    fn what_does_not_fit_is_not_kept_in_parts() {
        let allowance = Allowance {
            left: AtomicU64::new(100),
        };
        let mut inventory = Inventory::default();
        for entry in some() {
            inventory.note(&entry, &allowance);
        }
        assert!(inventory.is_empty() && allowance.is_used_up());
    }
}
