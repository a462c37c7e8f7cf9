//! Trees of layers of which only the headers are at hand.

use std::io;

use super::apply::{Apply, Numbered, Role, role};
use super::build::{WAITING, add, entry_error, weight_of};
use super::error::{TreeError, TreeFault};
use super::layer_paths::Added;
use super::tree::{LIMIT, Tree};
use crate::base::limits::Limits;
use crate::layer::LayerError;
use crate::source::Compression;
use crate::tar::{Cursor, Entry, Walker};

/// A layer of which only the headers are at hand, as often as it is gone over.
pub(crate) trait LayerHeaders {
    /// Reads headers and skips bodies.
    type Cursor: Cursor;

    /// Begins at the beginning.
    ///
    /// # Errors
    ///
    /// What the reader below says.
    fn open(&self) -> io::Result<Self::Cursor>;

    /// How long the layer is, in bytes.
    fn len(&self) -> u64;
}

impl Tree {
    /// Applies layers of which only the headers are at hand. The tree knows names and attributes, and no
    /// bodies.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub(crate) fn of_headers<L: LayerHeaders>(
        layers: impl IntoIterator<Item = L>,
        limits: &Limits,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::empty(*limits);
        for (layer, headers) in layers.into_iter().enumerate() {
            tree.apply_headers(layer, &headers, &mut Missing::default())?;
        }
        Ok(tree)
    }

    /// Applies layers that lack some of their entries, told by the layer's index and where the entry's
    /// headers begin, and says which hard links then lead to nothing or to a directory.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub(crate) fn dangling_links<L: LayerHeaders>(
        layers: impl IntoIterator<Item = L>,
        limits: &Limits,
        lost: impl Fn(usize, u64) -> bool,
    ) -> Result<Vec<(usize, u64)>, TreeError> {
        let mut tree = Self::empty(*limits);
        let mut missing = Missing {
            lost: Some(&lost),
            dangling: Vec::new(),
        };
        for (layer, headers) in layers.into_iter().enumerate() {
            tree.apply_headers(layer, &headers, &mut missing)?;
        }
        Ok(missing.dangling)
    }

    /// As a layer whose bytes are at hand is applied: a few of the entries that wait for the whiteouts of
    /// their layer wait in memory, for the rest the headers are gone over again.
    fn apply_headers<L: LayerHeaders>(
        &mut self,
        layer: usize,
        headers: &L,
        missing: &mut Missing<'_>,
    ) -> Result<(), TreeError> {
        let number =
            u32::try_from(layer).map_err(|_| TreeError::TooManyEntries { limit: LIMIT })?;
        let limits = *self.limits();
        let lost = missing.lost;
        let mut apply = Apply::new(self, number);
        let again = |see: &mut dyn FnMut(&Entry) -> bool| {
            // What is damaged further on ends here; the walk that applies it meets the damage too.
            let Ok(mut walk) = HeaderWalk::open(layer, headers) else {
                return;
            };
            while let Ok(Some(Numbered { entry, .. })) = walk.next_entry() {
                let is_lost = lost.is_some_and(|lost| lost(layer, entry.header_offset));
                if !is_lost && !see(&entry) {
                    break;
                }
            }
        };
        let added = Added::again(&again, &limits);
        let mut waiting = Vec::new();
        let mut weight = 0;
        let mut rest = None;
        let mut walk = HeaderWalk::open(layer, headers)?;
        while let Some(numbered) = walk.next_entry()? {
            let Numbered { number, entry } = &numbered;
            apply
                .count(entry)
                .map_err(|fault| entry_error(layer, entry, fault))?;
            match role(entry) {
                Role::Whiteout => apply
                    .whiteout(*number, entry, &added)
                    .map_err(|fault| entry_error(layer, entry, fault))?,
                Role::Entry if missing.is_lost(layer, entry) => {}
                Role::Entry if layer == 0 => missing.add(&mut apply, layer, &numbered)?,
                Role::Entry if rest.is_none() => {
                    weight += weight_of(entry);
                    if weight > WAITING {
                        rest = Some(*number);
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
        if let Some(first) = rest {
            let mut walk = HeaderWalk::open(layer, headers)?;
            while let Some(numbered) = walk.next_entry()? {
                if numbered.number >= first
                    && matches!(role(&numbered.entry), Role::Entry)
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

/// The entries of a layer, numbered from 1.
struct HeaderWalk<C> {
    layer: usize,
    len: u64,
    walker: Walker<C>,
    count: usize,
}

impl<C: Cursor> HeaderWalk<C> {
    fn open<L: LayerHeaders<Cursor = C>>(layer: usize, headers: &L) -> Result<Self, TreeError> {
        let len = headers.len();
        let cursor = headers.open().map_err(|error| TreeError::Layer {
            layer,
            source: LayerError::from_read(error, Compression::None, 0, len),
        })?;
        Ok(Self {
            layer,
            len,
            walker: Walker::new(cursor),
            count: 0,
        })
    }

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
struct Missing<'m> {
    lost: Option<&'m dyn Fn(usize, u64) -> bool>,
    /// The hard links that lead nowhere for it.
    dangling: Vec<(usize, u64)>,
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
