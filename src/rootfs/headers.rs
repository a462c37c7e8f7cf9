//! Trees of layers of which only the headers are at hand.

use super::added::Added;
use super::apply::{Apply, Numbered, Role, role};
use super::error::{RootfsError, RootfsFault};
use super::index::{add, entry_error};
use super::tree::{LIMIT, Rootfs};
use crate::layer::LayerError;
use crate::limits::Limits;
use crate::record::{Cursor, Entry, Walker};
use crate::source::Compression;

impl Rootfs {
    /// Applies layers of which only the headers are at hand: each is a cursor that can skip bodies, and
    /// its length in bytes. The tree knows names and attributes, and no bodies.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub fn of_headers<C: Cursor>(
        layers: impl IntoIterator<Item = (C, u64)>,
        limits: &Limits,
    ) -> Result<Self, RootfsError> {
        let mut tree = Self::empty(*limits);
        for (layer, (cursor, len)) in layers.into_iter().enumerate() {
            tree.apply_headers(layer, cursor, len, &mut Missing::default())?;
        }
        Ok(tree)
    }

    /// Applies layers that lack some of their entries, told by the layer's index and where the entry's
    /// headers begin, and says which hard links then lead to nothing or to a directory.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub(crate) fn dangling_links<C: Cursor>(
        layers: impl IntoIterator<Item = (C, u64)>,
        limits: &Limits,
        lost: impl Fn(usize, u64) -> bool,
    ) -> Result<Vec<(usize, u64)>, RootfsError> {
        let mut tree = Self::empty(*limits);
        let mut missing = Missing {
            lost: Some(&lost),
            dangling: Vec::new(),
        };
        for (layer, (cursor, len)) in layers.into_iter().enumerate() {
            tree.apply_headers(layer, cursor, len, &mut missing)?;
        }
        Ok(missing.dangling)
    }

    /// What a cursor has passed it cannot go back to, so the entries that wait for the whiteouts of
    /// their layer all wait in memory; their number is limited.
    fn apply_headers<C: Cursor>(
        &mut self,
        layer: usize,
        cursor: C,
        len: u64,
        missing: &mut Missing<'_>,
    ) -> Result<(), RootfsError> {
        let mut walker = Walker::new(cursor);
        let number =
            u32::try_from(layer).map_err(|_| RootfsError::TooManyEntries { limit: LIMIT })?;
        let mut apply = Apply::new(self, number);
        let mut next = || {
            walker.next_entry().map_err(|error| {
                let source = LayerError::from_walk(error, Compression::None, 0, len);
                RootfsError::Layer { layer, source }
            })
        };
        let mut whiteouts = Vec::new();
        let mut waiting = Vec::new();
        let mut number = 0;
        while let Some(entry) = next()? {
            number += 1;
            apply
                .count()
                .map_err(|fault| entry_error(layer, &entry, fault))?;
            let numbered = Numbered { number, entry };
            match role(&numbered.entry) {
                Role::Dropped => {}
                Role::Whiteout => whiteouts.push(numbered),
                Role::Entry if missing.is_lost(layer, &numbered.entry) => {}
                Role::Entry if layer == 0 => missing.add(&mut apply, layer, numbered)?,
                Role::Entry => waiting.push(numbered),
            }
        }
        let added = Added::held(&waiting);
        for Numbered { number, entry } in &whiteouts {
            apply
                .whiteout(*number, entry, &added)
                .map_err(|fault| entry_error(layer, entry, fault))?;
        }
        for numbered in waiting {
            missing.add(&mut apply, layer, numbered)?;
        }
        apply.finish();
        Ok(())
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
        numbered: Numbered,
    ) -> Result<(), RootfsError> {
        match add(apply, layer, numbered) {
            Err(RootfsError::Entry {
                layer,
                offset,
                fault: RootfsFault::LinkTargetMissing(_) | RootfsFault::LinkToDirectory(_),
                ..
            }) if self.lost.is_some() => {
                self.dangling.push((layer, offset));
                Ok(())
            }
            other => other,
        }
    }
}
