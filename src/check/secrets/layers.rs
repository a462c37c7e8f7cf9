//! All layers of an image, searched: compressed ones while they are decoded for their headers, the others by
//! position, on all cores.

use std::sync::Arc;

use super::scan::{ContentScan, FilePart, LayerSecrets};
use crate::base::jobs;
use crate::base::options::Options;
use crate::base::progress::Task;
use crate::check::audit::AuditError;
use crate::image::Image;
use crate::layer::{Bodies as _, LayerOutline, body_len};
use crate::source::{ByPlace, Slice, SourceError, Span};
use crate::tar::{Entry, Positioned, Walker};
use crate::tree::TreeError;

/// How much of a layer one thread searches before it takes the next part, in bytes; files that are larger than
/// this are searched in parts too.
const PART: u64 = 16 << 20;

/// How much is read at a time, in bytes.
const READ: usize = 256 << 10;

/// The layers of an image, read once.
#[derive(Debug)]
pub(crate) struct ScannedLayers {
    /// Their headers, base first.
    pub(crate) outlines: Vec<LayerOutline>,
    /// What was found in each.
    pub(crate) secrets: Vec<Arc<LayerSecrets>>,
}

impl ScannedLayers {
    /// Reads the layers of `image`, each stored blob once.
    ///
    /// # Errors
    ///
    /// [`AuditError`] if a layer is missing or damaged, or cannot be read.
    pub(crate) fn read(image: &Image, options: &Options<'_>) -> Result<Self, AuditError> {
        let begin = || ContentScan::one_of(image.layers.len());
        let shown = LayerOutline::of_all_shown(image, options.jobs, options.progress, begin);
        let shown = shown.map_err(TreeError::from)?;
        // What was decoded was searched on the way.
        let mut plain: ByPlace<Slice> = ByPlace::new();
        let searched: Vec<Result<Arc<LayerSecrets>, usize>> = shown
            .iter()
            .map(|(outline, scan)| {
                if let Some(scan) = scan {
                    Ok(Arc::new(scan.found().clone()))
                } else {
                    let bytes = outline.headers().bytes();
                    Err(plain.add(bytes, || bytes.clone()))
                }
            })
            .collect();
        let plain = search_plain(plain.all(), options)?;
        let secrets = searched.into_iter().map(|searched| match searched {
            Ok(secrets) => secrets,
            Err(number) => Arc::clone(&plain[number]),
        });
        Ok(Self {
            secrets: secrets.collect(),
            outlines: shown.into_iter().map(|(outline, _)| outline).collect(),
        })
    }
}

/// A part of a layer.
enum LayerPart<'l> {
    /// The files whose headers begin here or later and before there, but for large ones.
    Files {
        layer: &'l Slice,
        from: u64,
        to: u64,
    },
    /// A part of a large file.
    Large {
        layer: &'l Slice,
        entry: Arc<Entry>,
        part: FilePart,
    },
}

impl LayerPart<'_> {
    fn cost(&self) -> u64 {
        match self {
            Self::Files { from, to, .. } => to - from,
            Self::Large { part, .. } => part.end - part.begin,
        }
    }
}

/// Searches uncompressed layers.
fn search_plain(
    layers: &[Slice],
    options: &Options<'_>,
) -> Result<Vec<Arc<LayerSecrets>>, SourceError> {
    let parts: Vec<(usize, LayerPart<'_>)> = layers
        .iter()
        .enumerate()
        .flat_map(|(number, layer)| parts_of(layer).into_iter().map(move |part| (number, part)))
        .collect();
    let total = parts.iter().map(|(_, part)| part.cost()).sum();
    let task = options.progress.begin("searching files", Some(total));
    let cost = |(_, part): &(usize, LayerPart<'_>)| part.cost();
    let found = jobs::map(options.jobs, &parts, cost, |(_, part)| {
        search_part(part, layers.len(), &*task)
    });
    let mut secrets: Vec<LayerSecrets> = layers
        .iter()
        .map(|_| LayerSecrets::one_of(layers.len()))
        .collect();
    for ((number, _), found) in parts.iter().zip(found) {
        secrets[*number].append(found?);
    }
    Ok(secrets.into_iter().map(Arc::new).collect())
}

/// Cuts a layer into parts. Damage ends it: those who apply the layer find that.
fn parts_of(layer: &Slice) -> Vec<LayerPart<'_>> {
    let mut parts = Vec::new();
    let mut walker = Walker::new(Positioned::new(layer.clone()));
    let mut from = 0;
    while let Ok(Some(entry)) = walker.next_entry() {
        // A size can be any number; what is there ends with the layer.
        let len = body_len(&entry).min(layer.len().saturating_sub(entry.data_offset));
        if entry.header_offset - from >= PART {
            let to = entry.header_offset;
            parts.push(LayerPart::Files { layer, from, to });
            from = to;
        }
        if len <= PART {
            continue;
        }
        let entry = Arc::new(entry);
        let mut begin = 0;
        while begin < len {
            let end = (begin + PART).min(len);
            parts.push(LayerPart::Large {
                layer,
                entry: Arc::clone(&entry),
                part: FilePart { begin, end },
            });
            begin = end;
        }
    }
    let to = layer.len();
    parts.push(LayerPart::Files { layer, from, to });
    parts
}

fn search_part(
    part: &LayerPart<'_>,
    layers: usize,
    task: &dyn Task,
) -> Result<LayerSecrets, SourceError> {
    let mut scan = ContentScan::one_of(layers);
    let mut buf = vec![0; READ];
    match part {
        LayerPart::Files { layer, from, to } => {
            let cursor = Positioned::at((*layer).clone(), *from);
            let mut walker = Walker::new(cursor);
            while let Ok(Some(entry)) = walker.next_entry() {
                if entry.header_offset >= *to {
                    break;
                }
                let len = body_len(&entry);
                if len > 0 && len <= PART {
                    scan.begin(&entry);
                    show(layer, &entry, (0, len), &mut buf, &mut scan)?;
                }
            }
        }
        LayerPart::Large { layer, entry, part } => {
            scan.begin_part(entry, *part);
            let read = part.to_read(body_len(entry));
            show(layer, entry, read, &mut buf, &mut scan)?;
        }
    }
    task.advance(part.cost());
    Ok(scan.finish())
}

/// Shows the bytes `from..to` of a body.
fn show(
    layer: &Slice,
    entry: &Entry,
    (from, to): (u64, u64),
    buf: &mut [u8],
    scan: &mut ContentScan,
) -> Result<(), SourceError> {
    let begin = entry.data_offset + (entry.stored_size - body_len(entry));
    let body = layer.slice(Span {
        offset: begin.saturating_add(from),
        len: to.saturating_sub(from),
    });
    let mut at = 0;
    loop {
        let n = body.read_at(buf, at)?;
        if n == 0 {
            break;
        }
        scan.take(&buf[..n]);
        at += n as u64;
    }
    scan.end();
    Ok(())
}
