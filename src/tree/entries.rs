//! Layers applied: all whiteouts of a layer before its entries, wherever the entries come from.

use std::borrow::Cow;
use std::io;

use super::apply::{Apply, Numbered, Role, role};
use super::budget::extra_len;
use super::error::{TreeError, TreeFault};
use super::layer_paths::Added;
use super::nodes::{LIMIT, Tree};
use crate::layer::{LayerError, LayerOutline, LayerTar};
use crate::source::{Compression, Place};
use crate::tar::{Cursor, Entry, Positioned, Walker};

/// How many bytes of entries of one layer wait in memory for its whiteouts.
const WAITING: usize = 32 << 20;

/// The headers of a layer, as often as they are gone over.
pub(crate) trait LayerHeaders {
    /// Reads headers and skips bodies.
    type Cursor: Cursor;

    /// Begins at the beginning.
    ///
    /// # Errors
    ///
    /// What the reader below says.
    fn open(&self) -> io::Result<Self::Cursor>;

    /// Begins with the header at `offset`, where that can be found without all that stands before it.
    fn open_at(&self, _offset: u64) -> Option<Self::Cursor> {
        None
    }

    /// How long the layer is, in bytes.
    fn len(&self) -> u64;

    /// What tells it apart from others, where several layers may have the same headers.
    fn place(&self) -> Option<Place> {
        None
    }
}

impl LayerHeaders for LayerTar {
    type Cursor = Positioned;

    fn open(&self) -> io::Result<Positioned> {
        Ok(Positioned::new(self.bytes().clone()))
    }

    fn open_at(&self, offset: u64) -> Option<Positioned> {
        Some(Positioned::at(self.bytes().clone(), offset))
    }

    fn len(&self) -> u64 {
        Self::len(self)
    }

    fn place(&self) -> Option<Place> {
        Some(self.bytes().place())
    }
}

impl LayerHeaders for LayerOutline {
    type Cursor = Positioned;

    fn open(&self) -> io::Result<Positioned> {
        self.headers().open()
    }

    fn open_at(&self, offset: u64) -> Option<Positioned> {
        self.headers().open_at(offset)
    }

    fn len(&self) -> u64 {
        self.headers().len()
    }

    fn place(&self) -> Option<Place> {
        self.headers().place()
    }
}

/// The entries of a layer, as often as they are gone over.
pub(super) enum LayerEntries<'e, L> {
    /// They are read.
    Read(&'e L),
    /// They were kept: their headers were read, and counted, when the layer was applied for the first
    /// time.
    Known(&'e [Numbered]),
}

/// The place of an entry in its layer: where its headers begin, and its number.
#[derive(Clone, Copy)]
struct EntryAt {
    offset: u64,
    number: usize,
}

impl<L: LayerHeaders> LayerEntries<'_, L> {
    /// Goes over them, from the beginning or from an entry.
    fn walk(&self, layer: usize, from: Option<EntryAt>) -> Result<Walk<'_, L::Cursor>, TreeError> {
        let headers = match self {
            Self::Read(headers) => headers,
            Self::Known(entries) => {
                let first = from.map_or(0, |from| from.number.saturating_sub(1));
                return Ok(Walk::Known(entries[first.min(entries.len())..].iter()));
            }
        };
        let begin = |cursor, before| LayerPass {
            layer,
            len: headers.len(),
            walker: Walker::new(cursor),
            count: before,
        };
        let found = from.and_then(|from| Some((headers.open_at(from.offset)?, from.number - 1)));
        if let Some((cursor, before)) = found {
            return Ok(Walk::Read(begin(cursor, before)));
        }
        let cursor = headers.open().map_err(|error| TreeError::Layer {
            layer,
            source: LayerError::from_read(error, Compression::None, 0, headers.len()),
        })?;
        let mut reading = begin(cursor, 0);
        while from.is_some_and(|from| reading.count + 1 < from.number) {
            reading.next_entry()?;
        }
        Ok(Walk::Read(reading))
    }
}

/// A walk over entries, which are numbered from 1.
enum Walk<'e, C> {
    Read(LayerPass<C>),
    Known(std::slice::Iter<'e, Numbered>),
}

impl<'e, C: Cursor> Walk<'e, C> {
    fn next_entry(&mut self) -> Result<Option<Cow<'e, Numbered>>, TreeError> {
        Ok(match self {
            Self::Read(reading) => reading.next_entry()?.map(Cow::Owned),
            Self::Known(entries) => entries.next().map(Cow::Borrowed),
        })
    }
}

struct LayerPass<C> {
    layer: usize,
    len: u64,
    walker: Walker<C>,
    count: usize,
}

impl<C: Cursor> LayerPass<C> {
    fn next_entry(&mut self) -> Result<Option<Numbered>, TreeError> {
        let (layer, len) = (self.layer, self.len);
        let entry = self.walker.next_entry().map_err(|error| {
            let source = LayerError::from_walk(error, Compression::None, 0, len);
            TreeError::Layer { layer, source }
        })?;
        self.count += 1;
        let number = self.count;
        Ok(entry.map(|entry| Numbered { number, entry }))
    }
}

/// What layers lack of their entries; nothing, unless a caller says so.
#[derive(Default)]
pub(super) struct Missing<'m> {
    /// Whether an entry is lost, told by the layer's index and where the entry's headers begin.
    pub(super) lost: Option<&'m dyn Fn(usize, u64) -> bool>,
    /// The hard links that lead nowhere for it.
    pub(super) dangling: Vec<(usize, u64)>,
}

impl Missing<'_> {
    fn is_lost(&self, layer: usize, entry: &Entry) -> bool {
        self.lost
            .is_some_and(|lost| lost(layer, entry.header_offset))
    }

    fn add(
        &mut self,
        apply: &mut Apply<'_>,
        layer: usize,
        numbered: &Numbered,
    ) -> Result<(), TreeError> {
        match add(apply, layer, numbered) {
            Err(TreeError::Entry {
                layer,
                offset,
                fault: TreeFault::LinkTargetMissing(_) | TreeFault::LinkToDirectory(_),
                ..
            }) if self.lost.is_some() => {
                self.dangling.push((layer, offset));
                Ok(())
            }
            other => other,
        }
    }
}

impl Tree {
    /// Applies a layer: its whiteouts, then its entries. Each entry is shown to `see` once.
    ///
    /// Nothing lies below the bottom layer, so its entries need not wait for its whiteouts; those of the
    /// others do. A few wait in memory, the rest is gone over again.
    pub(super) fn apply_layer<L: LayerHeaders>(
        &mut self,
        layer: usize,
        entries: &LayerEntries<'_, L>,
        missing: &mut Missing<'_>,
        mut see: impl FnMut(&Numbered),
    ) -> Result<(), TreeError> {
        let number =
            u32::try_from(layer).map_err(|_| TreeError::TooManyEntries { limit: LIMIT })?;
        let lost = missing.lost;
        let again = |see: &mut dyn FnMut(&Entry) -> bool| {
            // Damage further on ends this walk; the one that applies the layer meets it too.
            let Ok(mut walk) = entries.walk(layer, None) else {
                return;
            };
            while let Ok(Some(numbered)) = walk.next_entry() {
                let entry = &numbered.entry;
                let is_lost = lost.is_some_and(|lost| lost(layer, entry.header_offset));
                if !is_lost && !see(entry) {
                    break;
                }
            }
        };
        let limits = *self.limits();
        let added = Added::again(&again, &limits);
        let mut apply = Apply::new(self, number);
        let mut waiting = Vec::new();
        let mut weight = 0;
        let mut rest = None;
        let mut walk = entries.walk(layer, None)?;
        while let Some(numbered) = walk.next_entry()? {
            let Numbered { number, entry } = &*numbered;
            let fault = |fault| entry_error(layer, entry, fault);
            match entries {
                LayerEntries::Read(_) => apply.count(entry).map_err(fault)?,
                LayerEntries::Known(_) => apply.count_known().map_err(fault)?,
            }
            see(&numbered);
            match role(entry) {
                Role::Whiteout => apply.whiteout(*number, entry, &added).map_err(fault)?,
                Role::Entry if missing.is_lost(layer, entry) => {}
                Role::Entry if layer == 0 => missing.add(&mut apply, layer, &numbered)?,
                Role::Entry if rest.is_none() => {
                    weight += weight_of(entry);
                    if weight > WAITING {
                        rest = Some(EntryAt {
                            offset: entry.header_offset,
                            number: *number,
                        });
                    } else {
                        waiting.push(numbered);
                    }
                }
                Role::Dropped | Role::Entry => {}
            }
        }
        for numbered in &waiting {
            missing.add(&mut apply, layer, numbered)?;
        }
        drop(waiting);
        if rest.is_some() {
            let mut walk = entries.walk(layer, rest)?;
            while let Some(numbered) = walk.next_entry()? {
                if matches!(role(&numbered.entry), Role::Entry)
                    && !missing.is_lost(layer, &numbered.entry)
                {
                    missing.add(&mut apply, layer, &numbered)?;
                }
            }
        }
        apply.finish();
        Ok(())
    }
}

/// What an entry takes while it waits in memory, in bytes.
pub(super) fn weight_of(entry: &Entry) -> usize {
    let xattr = |(name, value): &(Vec<u8>, Vec<u8>)| name.len() + value.len() + 64;
    let xattrs: usize = entry.xattrs.iter().map(xattr).sum();
    size_of::<Numbered>() + entry.path.len() + entry.link.len() + extra_len(entry) + xattrs
}

pub(super) fn add(
    apply: &mut Apply<'_>,
    layer: usize,
    numbered: &Numbered,
) -> Result<(), TreeError> {
    if apply.is_full() {
        return Err(TreeError::TooManyEntries { limit: LIMIT });
    }
    apply
        .add(numbered)
        .map_err(|fault| entry_error(layer, &numbered.entry, fault))
}

pub(super) fn entry_error(layer: usize, entry: &Entry, fault: TreeFault) -> TreeError {
    let (path, offset) = (entry.path.clone(), entry.header_offset);
    match fault {
        TreeFault::Limit(exceeded) => TreeError::Limit {
            layer,
            path,
            offset,
            exceeded,
        },
        fault => TreeError::Entry {
            layer,
            path,
            offset,
            fault,
        },
    }
}
