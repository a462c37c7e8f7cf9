//! The bodies of files, shown to somebody while a layer's bytes pass by for another reason.

use crate::source::Slice;
use crate::tar::{Entry, Kind, Positioned, Walker};

/// What is done with the body of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BodyUse {
    /// It is shown.
    pub(crate) shown: bool,
    /// It is kept where only headers are kept.
    pub(crate) kept: bool,
}

/// Is shown bodies, each from its first byte to its last unless the layer ends in it. Of a sparse file it is
/// what is stored behind the map.
pub(crate) trait Bodies {
    /// The body of this regular file is next.
    fn begin(&mut self, entry: &Entry) -> BodyUse;

    /// Its next bytes, if it is shown.
    fn take(&mut self, bytes: &[u8]);

    /// It is over.
    fn end(&mut self);

    /// Whether every body is kept, whatever [`Self::begin`] says.
    fn keeps_all(&self) -> bool {
        false
    }
}

/// Keeps every body beside what somebody else does with it.
pub(crate) struct KeepAll<'b, B>(pub(crate) &'b mut B);

impl<B: Bodies> Bodies for KeepAll<'_, B> {
    fn begin(&mut self, entry: &Entry) -> BodyUse {
        self.0.begin(entry)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.0.take(bytes);
    }

    fn end(&mut self) {
        self.0.end();
    }

    fn keeps_all(&self) -> bool {
        true
    }
}

/// No body is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen;

impl Bodies for Unseen {
    fn begin(&mut self, _: &Entry) -> BodyUse {
        BodyUse::default()
    }

    fn take(&mut self, _: &[u8]) {}

    fn end(&mut self) {}
}

/// How many bytes of content an entry has stored, in bytes: 0 for what is not a regular file.
pub(crate) fn body_len(entry: &Entry) -> u64 {
    if entry.kind != Kind::File {
        return 0;
    }
    let map = entry.sparse.as_ref().map_or(0, |map| map.map_len);
    entry.stored_size.saturating_sub(map)
}

/// Finds the bodies in the bytes of an uncompressed layer that somebody reads from the first to the last. The
/// headers are read by position, one ahead.
#[derive(Debug)]
pub(crate) struct PassingBodies {
    /// None at the end, or where the tar is damaged.
    walker: Option<Walker<Positioned>>,
    /// How many bytes have passed.
    at: u64,
    /// What is still to come of the body that was begun: from where to where.
    body: Option<(u64, u64)>,
}

impl PassingBodies {
    pub(crate) fn of(layer: &Slice) -> Self {
        Self {
            walker: Some(Walker::new(Positioned::new(layer.clone()))),
            at: 0,
            body: None,
        }
    }

    /// The next bytes of the layer.
    pub(crate) fn take(&mut self, bytes: &[u8], bodies: &mut dyn Bodies) {
        let begin = self.at;
        let end = begin + bytes.len() as u64;
        self.at = end;
        // All positions lie in `bytes`.
        let index = |at: u64| usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX);
        loop {
            if self.body.is_none() {
                self.body = self.next_body(bodies);
            }
            match self.body {
                Some((from, to)) if from < end => {
                    let until = to.min(end);
                    bodies.take(bytes.get(index(from)..index(until)).unwrap_or_default());
                    if to > end {
                        self.body = Some((end, to));
                        return;
                    }
                    bodies.end();
                    self.body = None;
                }
                _ => return,
            }
        }
    }

    /// There are no more bytes.
    pub(crate) fn end(self, bodies: &mut dyn Bodies) {
        if self.body.is_some() {
            bodies.end();
        }
    }

    fn next_body(&mut self, bodies: &mut dyn Bodies) -> Option<(u64, u64)> {
        let walker = self.walker.as_mut()?;
        // Damage is found by those who check the layer.
        while let Ok(Some(entry)) = walker.next_entry() {
            let len = body_len(&entry);
            if len > 0 && bodies.begin(&entry).shown {
                let from = entry.data_offset + (entry.stored_size - len);
                return Some((from, from.saturating_add(len)));
            }
        }
        self.walker = None;
        None
    }
}
