//! In what two layers differ, told by the entries of their tars.
//!
//! Each entry becomes a row of fixed size: what its headers say as engines read them, whatever the form in which
//! they are written (PAX records, long names, `./` before names). Rows that agree in everything but time have their
//! contents compared. Paths and attributes are kept as halves of SHA-256: 128 bits, so that two that differ are not
//! taken for the same even if somebody tries to arrange it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::files::Known;
use super::layers::{LayerDifference, LayerPair, LayerRelation};
use super::{CompareError, Side};
use crate::base::digest::{Digest, Hasher};
use crate::base::jobs;
use crate::base::limits::{Limit, Limits};
use crate::base::options::Options;
use crate::layer::{LayerError, LayerTar};
use crate::source::{Compression, SourceError, Span};
use crate::tar::{Entry, Kind, Mtime, Positioned, Walker};
use crate::tree::aspect::{Aspect, Aspects};
use crate::tree::error::TreeError;
use crate::tree::path::LayerPath;

/// How many bytes are compared between two looks at whether another thread has found a difference.
const BLOCK: usize = 128 * 1024;

/// Half a SHA-256.
type Half = [u8; 16];

/// An entry in little room.
#[derive(Clone, Copy, Debug)]
struct Row {
    path: Half,
    /// Everything that its headers say but the time.
    attributes: Half,
    mtime: Mtime,
    /// The bytes that are stored for it, the map of a sparse file left out.
    body: Span,
}

impl Row {
    fn of(entry: &Entry, ignored: Aspects) -> Self {
        let path = LayerPath::new(&entry.path);
        let map = entry.sparse.as_ref().map_or(0, |map| map.map_len);
        let is_file = matches!(entry.kind, Kind::File | Kind::Other(_));
        Self {
            path: half(&Digest::sha256_of(&path.components().join(&b'/'))),
            attributes: attributes(entry, ignored),
            mtime: entry.mtime,
            body: Span {
                offset: entry.data_offset + map,
                len: if is_file && !ignored.contains(Aspect::Content) {
                    entry.stored_size - map
                } else {
                    0
                },
            },
        }
    }

    fn headers(&self) -> (Half, Half) {
        (self.path, self.attributes)
    }
}

fn half(digest: &Digest) -> Half {
    let mut half = Half::default();
    // A digest is at least 32 hex digits long.
    for (byte, hex) in half.iter_mut().zip(digest.encoded().as_bytes().chunks(2)) {
        let digit = |c: u8| match c {
            b'0'..=b'9' => c - b'0',
            _ => c.wrapping_sub(b'a').wrapping_add(10) & 15,
        };
        *byte = digit(hex[0]) << 4 | digit(hex[1]);
    }
    half
}

fn attributes(entry: &Entry, ignored: Aspects) -> Half {
    let seen = |aspect| !ignored.contains(aspect);
    let mut hasher = Hasher::sha256();
    let mut number = |number: i64| hasher.update(&number.to_le_bytes());
    number(match entry.kind {
        Kind::File => 0,
        Kind::Hardlink => 1,
        Kind::Symlink => 2,
        Kind::Char => 3,
        Kind::Block => 4,
        Kind::Directory => 5,
        Kind::Fifo => 6,
        Kind::Global => 7,
        Kind::Other(flag) => 0x100 | i64::from(flag),
    });
    if seen(Aspect::Mode) {
        number(entry.mode & 0o7777);
    }
    if seen(Aspect::Owner) {
        number(entry.uid);
        number(entry.gid);
    }
    if seen(Aspect::Content) {
        number(entry.size.cast_signed());
    }
    if matches!(entry.kind, Kind::Char | Kind::Block) && seen(Aspect::Device) {
        number(entry.device.0);
        number(entry.device.1);
    }
    let map = entry.sparse.as_ref().filter(|_| seen(Aspect::Content));
    let spans = map.map_or(&[][..], |map| &map.spans);
    number((spans.len() as u64).cast_signed());
    for span in spans {
        number(span.offset.cast_signed());
        number(span.len.cast_signed());
    }
    let link = match entry.kind {
        // Where a hard link leads is a path of the layer.
        Kind::Hardlink => LayerPath::new(&entry.link).components().join(&b'/'),
        Kind::Symlink if seen(Aspect::Target) => entry.link.clone(),
        _ => Vec::new(),
    };
    let mut text = |text: &[u8]| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    text(&link);
    let xattrs = entry.xattrs.iter().filter(|_| seen(Aspect::Xattr));
    let mut xattrs: Vec<_> = xattrs.collect();
    xattrs.sort();
    for (name, value) in xattrs {
        text(name);
        text(value);
    }
    half(&hasher.finish())
}

/// The rows of a layer, in its order.
fn rows(layer: &LayerTar, ignored: Aspects, limits: &Limits) -> Result<Vec<Row>, LayerError> {
    let mut walker = Walker::new(Positioned::new(layer.bytes().clone()));
    let mut rows = Vec::new();
    let unread = |error| LayerError::from_walk(error, Compression::None, 0, layer.len());
    while let Some(entry) = walker.next_entry().map_err(unread)? {
        if entry.kind == Kind::Global {
            continue;
        }
        rows.push(Row::of(&entry, ignored));
        let within = limits.check_count(Limit::Entries, rows.len());
        within.map_err(LayerError::Limit)?;
    }
    Ok(rows)
}

/// Finds out how the layers of each pair that [differ](LayerRelation::Different) do, and which of their bodies have
/// the same bytes.
///
/// # Errors
///
/// [`CompareError`] if a layer cannot be read.
pub(super) fn compare_layers(
    pairs: &mut [LayerPair],
    old: &[LayerTar],
    new: &[LayerTar],
    ignored: Aspects,
    options: &Options<'_>,
) -> Result<Known, CompareError> {
    let mut known = Known::default();
    for pair in pairs {
        let (Some(i), Some(j), LayerRelation::Different) = (pair.old, pair.new, pair.relation)
        else {
            continue;
        };
        let tars = Tars {
            old: (i, &old[i]),
            new: (j, &new[j]),
        };
        match tars.relation(Aspects::default(), options)? {
            Ok((relation, bodies)) => {
                pair.relation = relation;
                known.add(i, j, bodies);
            }
            Err(mut difference) => {
                if !ignored.is_empty() {
                    difference.is_ignored =
                        tars.relation(ignored, options)?.is_ok_and(|(relation, _)| {
                            relation == LayerRelation::Order || ignored.contains(Aspect::Time)
                        });
                }
                pair.difference = Some(difference);
            }
        }
    }
    Ok(known)
}

/// Where bodies with the same bytes begin, in the old tar and in the new one.
type Bodies = Vec<(u64, u64)>;

/// A layer of each image with its index.
struct Tars<'t> {
    old: (usize, &'t LayerTar),
    new: (usize, &'t LayerTar),
}

impl Tars<'_> {
    /// How they are related if what is ignored is left out, and which bodies have the same bytes.
    fn relation(
        &self,
        ignored: Aspects,
        options: &Options<'_>,
    ) -> Result<Result<(LayerRelation, Bodies), LayerDifference>, CompareError> {
        let limits = *self.new.1.bytes().source().limits();
        let fault = |side: Side, layer: usize, source: LayerError| CompareError {
            side,
            source: TreeError::Layer { layer, source },
        };
        let read = |side: Side, (layer, tar): (usize, &LayerTar)| {
            rows(tar, ignored, &limits).map_err(|source| fault(side, layer, source))
        };
        let (old, new) = if options.jobs.count() > 1 {
            jobs::both(|| read(Side::Old, self.old), || read(Side::New, self.new))
        } else {
            (read(Side::Old, self.old), read(Side::New, self.new))
        };
        let (mut old, mut new) = (old?, new?);
        let tars = (self.old.1, self.new.1);
        let compared = compare(&mut old, &mut new, tars, options).map_err(|source| {
            let source = LayerError::Read(std::io::Error::other(source));
            fault(Side::New, self.new.0, source)
        })?;
        Ok(compared.map(|relation| {
            let bodies = old.iter().zip(&new).filter(|(old, _)| old.body.len > 0);
            let offsets = bodies.map(|(old, new)| (old.body.offset, new.body.offset));
            (relation, offsets.collect())
        }))
    }
}

/// Compares the rows of two layers, and puts those that belong together at the same places.
fn compare(
    old: &mut [Row],
    new: &mut [Row],
    tars: (&LayerTar, &LayerTar),
    options: &Options<'_>,
) -> Result<Result<LayerRelation, LayerDifference>, SourceError> {
    let in_order = |old: &[Row], new: &[Row]| {
        let same = |(a, b): (&Row, &Row)| a.headers() == b.headers();
        old.len() == new.len() && old.iter().zip(new).all(same)
    };
    if !in_order(old, new) {
        // Entries that are equal keep their order.
        old.sort_by_key(Row::headers);
        new.sort_by_key(Row::headers);
        if !in_order(old, new) {
            return Ok(Err(count(old, new)));
        }
    }
    if !same_bodies(old, new, tars, options)? {
        return Ok(Err(LayerDifference {
            content: true,
            ..LayerDifference::default()
        }));
    }
    let same_times = old.iter().zip(&*new).all(|(a, b)| a.mtime == b.mtime);
    Ok(Ok(if same_times {
        LayerRelation::Order
    } else {
        LayerRelation::Times
    }))
}

/// Counts in what sorted rows differ.
fn count(old: &[Row], new: &[Row]) -> LayerDifference {
    let mut found = LayerDifference::default();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a.path == b.path => {
                found.changed += u64::from(a.attributes != b.attributes);
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none_or(|b| a.path < b.path) => {
                found.removed += 1;
                i += 1;
            }
            _ => {
                found.added += 1;
                j += 1;
            }
        }
    }
    found
}

/// Whether the bodies of rows that belong together have the same bytes; on all cores, until one has not.
fn same_bodies(
    old: &[Row],
    new: &[Row],
    (old_tar, new_tar): (&LayerTar, &LayerTar),
    options: &Options<'_>,
) -> Result<bool, SourceError> {
    let pairs: Vec<(Span, Span)> = old
        .iter()
        .zip(new)
        .map(|(a, b)| (a.body, b.body))
        .filter(|(a, _)| a.len > 0)
        .collect();
    if pairs.iter().any(|(a, b)| a.len != b.len) {
        return Ok(false);
    }
    let total: u64 = pairs.iter().map(|(a, _)| a.len).sum();
    let task = options.progress.begin("comparing layers", Some(total));
    let differs = AtomicBool::new(false);
    let compare = |buffers: &mut (Vec<u8>, Vec<u8>), (one, other): &(Span, Span)| {
        let (one, other) = (old_tar.slice(*one), new_tar.slice(*other));
        let mut at = 0;
        while at < one.len() {
            if differs.load(Ordering::Relaxed) {
                return Ok(());
            }
            let n = one.read_at(&mut buffers.0, at)?;
            let m = other.read_at(&mut buffers.1, at)?;
            if n == 0 || n != m || buffers.0[..n] != buffers.1[..m] {
                differs.store(true, Ordering::Relaxed);
                return Ok(());
            }
            at += n as u64;
            task.advance(n as u64);
        }
        Ok::<_, SourceError>(())
    };
    let outcomes = jobs::share(
        options.jobs,
        &pairs,
        |(a, _)| a.len,
        |queue| {
            let mut buffers = (vec![0; BLOCK], vec![0; BLOCK]);
            let mut done = Vec::new();
            while let Some((at, pair)) = queue.take() {
                done.push((at, compare(&mut buffers, pair)));
            }
            done
        },
    );
    for outcome in outcomes {
        outcome?;
    }
    Ok(!differs.into_inner())
}
