//! One chunk of the input, compressed by itself: what a thread does.

use std::io::{self, Write};

use flate2::{Compress, Crc, FlushCompress, Status};

use super::super::Compression;
use super::Method;
use crate::base::jobs::Worker;

/// How far back deflate can refer, in bytes (RFC 1951, section 2).
pub(super) const DEFLATE_WINDOW: usize = 32 << 10;

/// A piece of the input.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// What comes before it, as much as it can refer to, and then its bytes.
    pub(super) input: Vec<u8>,
    /// Where its bytes begin.
    pub(super) start: usize,
    /// Whether it is the last one.
    pub(super) is_last: bool,
    /// Room for what comes out.
    pub(super) output: Vec<u8>,
}

/// A piece that is compressed.
#[derive(Debug)]
pub(super) struct Done {
    /// The chunk, with its output; its input is not needed any more.
    pub(super) chunk: Chunk,
    /// The checksum of its bytes, where the format has one over all chunks.
    pub(super) crc: Crc,
    pub(super) result: io::Result<()>,
}

/// How many bytes are compressed at a time.
///
/// Large chunks compress better, small ones keep more threads busy and less memory. pigz takes 128 KiB for
/// gzip, where each chunk refers to the one before it; `zstd -T` and `xz -T` take several windows.
///
/// Recipes for compressed streams (`source/remake/`) count on these sizes: with others, streams that were written before
/// are not made again.
pub(super) fn size(method: Method) -> usize {
    match (method.compression(), method.level()) {
        (Compression::None, _) => 64 << 10,
        (Compression::Gzip, _) => 512 << 10,
        // What bzip2 sorts at once is 100,000 bytes a level, less a few bytes for runs.
        (Compression::Bzip2, level) => 8 * 100_000 * level as usize,
        (Compression::Xz, _) => 24 << 20,
        (Compression::Zstd, ..=8) => 8 << 20,
        (Compression::Zstd, ..=16) => 16 << 20,
        (Compression::Zstd, _) => 32 << 20,
    }
}

/// How much memory a chunk that is being compressed takes, in bytes, roughly: its input, its output and
/// the encoder.
pub(super) fn memory(method: Method) -> usize {
    let encoder = match (method.compression(), method.level()) {
        (Compression::None, _) => 0,
        (Compression::Gzip, _) => 1 << 20,
        (Compression::Bzip2, _) => 8 << 20,
        // xz(1), the table of presets.
        (Compression::Xz, ..=3) => 32 << 20,
        (Compression::Xz, ..=6) => 94 << 20,
        (Compression::Xz, _) => 300 << 20,
        (Compression::Zstd, ..=8) => 16 << 20,
        (Compression::Zstd, ..=16) => 96 << 20,
        (Compression::Zstd, _) => 450 << 20,
    };
    2 * size(method) + encoder
}

/// What a thread does with each chunk.
pub(super) fn worker(method: Method) -> Worker<Chunk, Done> {
    let mut encoder = ChunkEncoder::new(method);
    Box::new(move |mut chunk| {
        chunk.output.clear();
        let mut crc = Crc::new();
        let result = match &mut encoder {
            Ok(encoder) => encoder.encode(&mut chunk, &mut crc),
            // Only the first one can say why.
            Err(error) => Err(std::mem::replace(error, io::ErrorKind::OutOfMemory.into())),
        };
        Done { chunk, crc, result }
    })
}

/// Compresses chunks one after the other; what it needs for that is kept.
enum ChunkEncoder {
    /// At a level. Each chunk has an encoder of its own: with one that was reset (zlib-rs 0.6.8), what comes out depends on
    /// what it compressed before, and so on the number of threads.
    Gzip(flate2::Compression),
    Bzip2(bzip2::Compression),
    Xz(u32),
    Zstd(zstd::bulk::Compressor<'static>),
    None,
}

impl ChunkEncoder {
    fn new(method: Method) -> io::Result<Self> {
        let level = method.level();
        Ok(match method.compression() {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip(flate2::Compression::new(level)),
            Compression::Bzip2 => Self::Bzip2(bzip2::Compression::new(level)),
            Compression::Xz => Self::Xz(level),
            Compression::Zstd => {
                let level = i32::try_from(level).map_err(io::Error::other)?;
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
                Self::Zstd(compressor)
            }
        })
    }

    fn encode(&mut self, chunk: &mut Chunk, crc: &mut Crc) -> io::Result<()> {
        let (before, bytes) = chunk.input.split_at(chunk.start);
        let output = &mut chunk.output;
        match self {
            Self::None => output.extend_from_slice(bytes),
            Self::Gzip(level) => {
                crc.update(bytes);
                let mut compress = Compress::new(*level, false);
                deflate(&mut compress, before, bytes, chunk.is_last, output)?;
            }
            Self::Bzip2(level) => {
                let mut encoder = bzip2::write::BzEncoder::new(output, *level);
                encoder.write_all(bytes)?;
                encoder.finish()?;
            }
            Self::Xz(level) => {
                let mut encoder = liblzma::write::XzEncoder::new(output, *level);
                encoder.write_all(bytes)?;
                encoder.finish()?;
            }
            Self::Zstd(compressor) => {
                output.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
                compressor.compress_to_buffer(bytes, output)?;
            }
        }
        Ok(())
    }
}

/// A chunk of a deflate stream, which may refer to what comes `before` it. It ends at a whole byte, and so
/// that another chunk can follow it unless it is the last one.
fn deflate(
    compress: &mut Compress,
    before: &[u8],
    bytes: &[u8],
    is_last: bool,
    output: &mut Vec<u8>,
) -> io::Result<()> {
    if !before.is_empty() {
        compress.set_dictionary(before)?;
    }
    let flush = if is_last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    // Nearly always enough for all of it: what cannot be compressed is stored.
    output.reserve(bytes.len() + bytes.len() / 64 + 64);
    loop {
        let read = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let rest = bytes.get(read..).unwrap_or_default();
        let status = compress.compress_vec(rest, output, flush)?;
        let is_read = usize::try_from(compress.total_in()) == Ok(bytes.len());
        let has_room = output.len() < output.capacity();
        match status {
            Status::StreamEnd => return Ok(()),
            // A flush is complete when it leaves room.
            Status::Ok | Status::BufError if !is_last && is_read && has_room => return Ok(()),
            Status::BufError if has_room => {
                return Err(io::Error::other("the deflate encoder makes no progress"));
            }
            Status::Ok | Status::BufError => output.reserve(DEFLATE_WINDOW),
        }
    }
}
