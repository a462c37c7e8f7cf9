//! The blobs of layers that are put together again: compressed as they were, or without what is lost.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Seek as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::{SpooledData, SpooledTempFile};

use super::error::RebuildError;
use super::flat::FlatChanges;
use super::layers::{Lost, Parts};
use super::sink::{Out, Sink};
use crate::base::constants::BUFFER;
use crate::base::digest::{BlobDigest, DiffId, Digest, Hasher, HashingReader};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::{Progress, Stage, steps};
use crate::source::remake::Remaker;
use crate::source::{Compression, Scratch, Slice, Source, Span};
use crate::split::metadata::LayerDescription;

/// Up to which size a compressed blob is put into one temporary file with others: a process may have only
/// so many files open, and an archive may claim a hundred thousand layers.
const SHARED: usize = 1 << 20;

/// What messages call these files.
const LABEL: &str = "a rebuilt layer";

/// A layer's blob as it will be.
pub(super) struct RebuiltBlob<'l> {
    pub(super) index: usize,
    pub(super) layer: &'l LayerDescription,
    lost: &'l [Lost],
    pub(super) diff_id: DiffId,
    pub(super) digest: BlobDigest,
    pub(super) size: u64,
    bytes: Bytes,
}

/// Where the bytes of a blob are.
enum Bytes {
    /// They are the plain layer, which is put together when they are needed.
    Plain,
    /// In a temporary file.
    There(Slice),
    /// In the file that small blobs share.
    Shared(Span),
}

impl RebuiltBlob<'_> {
    /// Writes the bytes.
    pub(super) fn put(&self, parts: &Parts<'_>, out: Out<'_>) -> Result<(), RebuildError> {
        match &self.bytes {
            Bytes::Plain => {
                let made = parts.layer(self.layer, self.lost, out)?;
                parts.verify(self.index, self.layer, &self.diff_id, &made)
            }
            Bytes::There(bytes) => {
                let mut sink = Sink::sized(out, bytes.len());
                sink.slice::<RebuildError>(bytes)?;
                sink.finish().map_err(RebuildError::Write).map(drop)
            }
            Bytes::Shared(_) => unreachable!("blobs() has made slices of all shared ones"),
        }
    }
}

/// The blobs that are not kept, by their folder.
pub(super) fn blobs<'l>(
    parts: &'l Parts<'_>,
    lost: &'l [Vec<Lost>],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<HashMap<usize, RebuiltBlob<'l>>, RebuildError> {
    let layers = &parts.container.description().layers;
    let mut first: HashMap<usize, usize> = HashMap::new();
    for (index, layer) in layers.iter().enumerate().filter(|(_, layer)| !layer.kept) {
        first.entry(layer.folder).or_insert(index);
    }
    let mut indices: Vec<usize> = first.into_values().collect();
    indices.sort_unstable();
    let stage = progress.stage(Stage {
        what: steps::REBUILDING,
        unit: "layer",
        parts: indices.len(),
        total: indices.iter().map(|&index| layers[index].size).sum(),
    });
    let shared = Shared {
        file: Scratch::new().map_err(RebuildError::Spool)?,
        len: AtomicU64::new(0),
    };
    let made = jobs::map(
        jobs,
        &indices,
        |&index| layers[index].size,
        |&index| {
            let task = stage.begin(steps::REBUILDING, Some(layers[index].size));
            let blob = blob(parts, index, &layers[index], &lost[index], &shared);
            task.advance(layers[index].size);
            blob
        },
    );
    let made: Vec<RebuiltBlob<'l>> = made.into_iter().collect::<Result<_, _>>()?;
    let (limits, len) = (parts.account.limits(), shared.len.into_inner());
    let shared = shared.file.into_source(len, LABEL.to_owned(), limits, len);
    Ok(made
        .into_iter()
        .map(|mut blob| {
            if let Bytes::Shared(span) = blob.bytes {
                blob.bytes = Bytes::There(shared.slice(span));
            }
            (blob.layer.folder, blob)
        })
        .collect())
}

/// The temporary file of small blobs.
struct Shared {
    file: Scratch,
    len: AtomicU64,
}

fn blob<'l>(
    parts: &Parts<'_>,
    index: usize,
    layer: &'l LayerDescription,
    lost: &'l [Lost],
    shared: &Shared,
) -> Result<RebuiltBlob<'l>, RebuildError> {
    let mut blob = RebuiltBlob {
        index,
        layer,
        lost,
        diff_id: layer.diff_id.clone(),
        digest: BlobDigest::from(layer.diff_id.digest().clone()),
        size: layer.size,
        bytes: Bytes::Plain,
    };
    if !lost.is_empty() {
        // No diff ID covers what is left, so every file is verified against its own sum.
        let mut changes = FlatChanges::default();
        parts.contents(layer, &mut changes)?;
        changes.refuse(parts.flat)?;
    }
    if layer.compression == Compression::None {
        if !lost.is_empty() {
            let made = parts.layer(layer, lost, Out::Nothing)?;
            (blob.diff_id, blob.size) = (made.diff_id().clone(), made.size());
            blob.digest = BlobDigest::from(blob.diff_id.digest().clone());
        }
        return Ok(blob);
    }
    let buffer = usize::try_from(layer.size).unwrap_or(BUFFER).min(BUFFER);
    let out = BufWriter::with_capacity(buffer, SpooledTempFile::new(SHARED));
    let mut encoder = match layer.recipe() {
        Some(recipe) if lost.is_empty() => {
            let one = Jobs::new(std::num::NonZeroUsize::MIN);
            let remaker = Remaker::new(recipe, &[], out, one);
            Encoder::Remade(remaker.map_err(RebuildError::Spool)?)
        }
        _ => Encoder::new(layer.compression, layer.size, out)?,
    };
    let made = parts
        .layer(layer, lost, Out::Stream(&mut encoder))
        .map_err(spooling)?;
    if lost.is_empty() {
        parts.verify(index, layer, &layer.diff_id, &made)?;
    }
    let spooled = encoder.finish().map_err(RebuildError::Spool)?;
    blob.diff_id = made.diff_id().clone();
    match spooled.into_inner() {
        SpooledData::InMemory(bytes) => blob.share(&bytes, shared),
        SpooledData::OnDisk(file) => blob.keep(file, parts),
    }
    .map_err(RebuildError::Spool)?;
    Ok(blob)
}

impl RebuiltBlob<'_> {
    fn share(&mut self, bytes: &Cursor<Vec<u8>>, shared: &Shared) -> io::Result<()> {
        let bytes = bytes.get_ref();
        let len = bytes.len() as u64;
        let offset = shared.len.fetch_add(len, Ordering::Relaxed);
        shared.file.write_at(bytes, offset)?;
        (self.digest, self.size) = (Digest::sha256_of(bytes).into(), len);
        self.bytes = Bytes::Shared(Span { offset, len });
        Ok(())
    }

    fn keep(&mut self, mut file: File, parts: &Parts<'_>) -> io::Result<()> {
        file.rewind()?;
        let reader = BufReader::with_capacity(BUFFER, &file);
        let mut reader = HashingReader::new(reader, Hasher::sha256());
        io::copy(&mut reader, &mut io::sink())?;
        let (digest, len, _) = reader.finish();
        let limits = parts.account.limits();
        let source = Source::temporary(file, len, LABEL.to_owned(), limits, len);
        (self.digest, self.size) = (digest.into(), len);
        self.bytes = Bytes::There(source.whole());
        Ok(())
    }
}

/// The only output of a layer under construction is a temporary file.
fn spooling(error: RebuildError) -> RebuildError {
    match error {
        RebuildError::Write(source) => RebuildError::Spool(source),
        other => other,
    }
}

/// Compresses as the blob was compressed, if it was: byte for byte if that is known.
enum Encoder<W: Write> {
    Plain(W),
    Gzip(flate2::write::GzEncoder<W>),
    Bzip2(bzip2::write::BzEncoder<W>),
    Xz(liblzma::write::XzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Remade(Remaker<W>),
}

impl<W: Write> Encoder<W> {
    /// For a layer of `size` bytes.
    fn new(compression: Compression, size: u64, out: W) -> Result<Self, RebuildError> {
        Ok(match compression {
            Compression::Gzip => Self::Gzip(flate2::write::GzEncoder::new(
                out,
                flate2::Compression::default(),
            )),
            Compression::Bzip2 => Self::Bzip2(bzip2::write::BzEncoder::new(
                out,
                bzip2::Compression::default(),
            )),
            Compression::Xz => {
                let stream = xz(size).map_err(|why| RebuildError::Spool(why.into()))?;
                Self::Xz(liblzma::write::XzEncoder::new_stream(out, stream))
            }
            Compression::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(out, 3);
                Self::Zstd(encoder.map_err(RebuildError::Spool)?)
            }
            Compression::None => Self::Plain(out),
        })
    }
}

/// The encoder of `xz -6`. Its tables are as large as its dictionary, so the dictionary is no larger than
/// the data: otherwise a thousand layers of a kilobyte cost eight gigabytes of zeroed memory.
fn xz(size: u64) -> Result<liblzma::stream::Stream, liblzma::stream::Error> {
    const PRESET: u32 = 6;
    /// The dictionary of the preset, in bytes.
    const MOST: u32 = 8 << 20;
    /// The smallest dictionary of the format.
    const LEAST: u32 = 4 << 10;
    let dictionary = u32::try_from(size).unwrap_or(MOST).clamp(LEAST, MOST);
    let mut options = liblzma::stream::LzmaOptions::new_preset(PRESET)?;
    options.dict_size(dictionary);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64)
}

impl<W: Write> Encoder<BufWriter<W>> {
    fn finish(self) -> io::Result<W> {
        let out = match self {
            Self::Plain(out) => out,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Bzip2(encoder) => encoder.finish()?,
            Self::Xz(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
            Self::Remade(remaker) => remaker.finish()?,
        };
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(buf),
            Self::Gzip(encoder) => encoder.write(buf),
            Self::Bzip2(encoder) => encoder.write(buf),
            Self::Xz(encoder) => encoder.write(buf),
            Self::Zstd(encoder) => encoder.write(buf),
            Self::Remade(remaker) => remaker.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
