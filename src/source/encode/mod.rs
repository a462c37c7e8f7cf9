//! Compression, done in this process on all cores.
//!
//! The input is cut into chunks of a size that depends only on the format and the level, each chunk is
//! compressed by whichever thread is free, and the results are written in order. So the bytes that come out
//! depend neither on the number of threads nor on how the input was handed over. Every decoder reads them:
//!
//! - *gzip*: one member. Its chunks refer back to the one before them and end at whole bytes, as pigz writes it. The
//!   header has no time and no name.
//! - *zstd*, *xz*, *bzip2*: a frame or stream for each chunk, one after the other, which the formats allow
//!   and which pzstd, pixz and pbzip2 write. zstd frames have a checksum and say how long they are.
//!
//! The encoders' own threads (`ZSTD_c_nbWorkers`, `lzma_stream_encoder_mt`) are not used: they fail if the system
//! cannot start a thread, and without them zstd writes other bytes.

mod chunk;
mod method;

use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use flate2::Crc;

use self::chunk::{Chunk, DEFLATE_WINDOW, Done};
pub use self::method::{LevelError, Method};
use super::Compression;
use crate::base::jobs::{Jobs, Pipeline, Pool};

/// How much memory all chunks that are being compressed may take together, in bytes; a single one may always
/// be. Only the slowest levels on many cores come near it.
const MEMORY: usize = 1 << 30;

/// Threads that compress for several encoders at once, all with one method.
#[derive(Clone, Debug)]
pub struct Encoders {
    method: Method,
    /// How many chunks are under way at most, besides one for each encoder.
    most: usize,
    pool: Arc<Pool<Chunk, Done>>,
}

impl Encoders {
    /// At most as many threads as `jobs`, of which none is started before there is something to compress, and
    /// fewer where all of them together would take more than 1 GiB of memory.
    pub fn new(method: Method, jobs: Jobs) -> Self {
        let threads = (MEMORY / chunk::memory(method)).clamp(1, jobs.count());
        let jobs = Jobs::new(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN));
        // One waits for each that is worked on, unless that would take much memory.
        let most = (MEMORY / 2 / chunk::memory(method)).clamp(threads, 2 * threads);
        Self {
            method,
            most,
            pool: Arc::new(Pool::new(jobs, move || chunk::worker(method))),
        }
    }

    /// How many bytes of the input are compressed by themselves with a method.
    pub(in crate::source) fn chunk_size(method: Method) -> usize {
        chunk::size(method)
    }

    /// The header of what a method for gzip gives.
    pub(in crate::source) fn gzip_header(method: Method) -> [u8; 10] {
        gzip_header(method.level())
    }

    /// How much memory an encoder takes with a method and one thread, in bytes, roughly.
    pub(in crate::source) fn memory(method: Method) -> usize {
        chunk::memory(method) + chunk::size(method)
    }

    /// How they compress.
    pub fn method(&self) -> Method {
        self.method
    }

    /// How many encoders may be in use at once without taking much more memory than the threads: each has a chunk
    /// that is being filled, and may have one that is being compressed.
    pub fn at_once(&self) -> usize {
        (MEMORY / 4 / (3 * chunk::size(self.method))).clamp(1, 8)
    }

    /// Another encoder, which shares the threads with the others.
    pub fn encoder<W: Write>(&self, inner: W) -> Encoder<W> {
        Encoder {
            inner,
            method: self.method,
            size: chunk::size(self.method),
            most: self.most,
            pipeline: Pipeline::new(Arc::clone(&self.pool)),
            chunk: Chunk::default(),
            spare: Vec::new(),
            crc: Crc::new(),
            is_begun: false,
            broken: None,
        }
    }
}

/// Compresses what is written to it, on several threads, and writes the result to another writer.
///
/// The same input gives the same bytes with any number of threads and however the writes are split; a
/// flush does not change them, because it passes on what is complete and begins no new chunk. The memory
/// it takes depends on the method and the number of threads, not on the input: a few chunks, which have
/// 0.5 MiB for gzip and 8 MiB for zstd at its default level.
///
/// Nothing is complete without [`Encoder::finish`].
pub struct Encoder<W> {
    inner: W,
    method: Method,
    /// The size of a chunk.
    size: usize,
    /// How many chunks are in the pool at most when another one is put there.
    most: usize,
    pipeline: Pipeline<Chunk, Done>,
    /// What is being filled.
    chunk: Chunk,
    /// Those whose room can be used again.
    spare: Vec<Chunk>,
    crc: Crc,
    is_begun: bool,
    /// What kept the output from being written; every later call says it again.
    broken: Option<io::Error>,
}

impl<W: Write> Encoder<W> {
    /// An encoder with threads of its own, as [`Encoders`] have them.
    pub fn new(method: Method, jobs: Jobs, inner: W) -> Self {
        Encoders::new(method, jobs).encoder(inner)
    }

    /// Compresses what is left, writes the end and gives back the writer, which is not flushed.
    ///
    /// # Errors
    ///
    /// If something could not be written, now or before, or an encoder could not be set up because memory is
    /// short.
    pub fn finish(mut self) -> io::Result<W> {
        self.unbroken()?;
        if self.method.compression() == Compression::None {
            return Ok(self.inner);
        }
        // The formats with a frame for each chunk need one even for nothing, but none at their end.
        let is_framed = self.method.compression() != Compression::Gzip;
        if !is_framed || !self.is_begun || self.filled() > 0 {
            self.chunk.is_last = true;
            self.put();
        }
        while self.pipeline.pending() > 0 {
            self.take()?;
        }
        if self.method.compression() == Compression::Gzip {
            let mut end = [0; 8];
            end[..4].copy_from_slice(&self.crc.sum().to_le_bytes());
            end[4..].copy_from_slice(&self.crc.amount().to_le_bytes());
            self.inner.write_all(&end)?;
        }
        Ok(self.inner)
    }

    /// The writer below.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The writer below. Writing to it damages the output.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// How many bytes of the current chunk there are.
    fn filled(&self) -> usize {
        self.chunk.input.len() - self.chunk.start
    }

    fn unbroken(&self) -> io::Result<()> {
        self.broken
            .as_ref()
            .map_or(Ok(()), |error| Err(again(error)))
    }

    /// Hands over the current chunk and begins another.
    fn put(&mut self) {
        self.is_begun = true;
        let mut next = self.spare.pop().unwrap_or_default();
        next.input.clear();
        if self.method.compression() == Compression::Gzip {
            let input = &self.chunk.input;
            next.input
                .extend_from_slice(&input[input.len().saturating_sub(DEFLATE_WINDOW)..]);
        }
        next.start = next.input.len();
        let chunk = std::mem::replace(&mut self.chunk, next);
        self.pipeline.put(chunk);
    }

    /// Writes the oldest chunk in the pipeline.
    fn take(&mut self) -> io::Result<()> {
        match self.pipeline.take() {
            Some(done) => self.use_chunk(done),
            None => Ok(()),
        }
    }

    /// Writes a chunk and keeps its room.
    fn use_chunk(&mut self, done: Done) -> io::Result<()> {
        let written = self.write_chunk(&done);
        self.spare.push(done.chunk);
        written.inspect_err(|error| self.broken = Some(again(error)))
    }

    fn write_chunk(&mut self, done: &Done) -> io::Result<()> {
        done.result.as_ref().map_err(again)?;
        if self.method.compression() == Compression::Gzip {
            // Every other chunk has one before it.
            if done.chunk.start == 0 {
                self.inner.write_all(&gzip_header(self.method.level()))?;
            }
            self.crc.combine(&done.crc);
        }
        self.inner.write_all(&done.chunk.output)
    }
}

/// The same error, which cannot be cloned.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// A header without flags, name and time, as gzip writes it with `-n`, from an unknown system (RFC 1952,
/// section 2.3).
fn gzip_header(level: u32) -> [u8; 10] {
    const UNKNOWN_SYSTEM: u8 = 255;
    let effort = match level {
        9 => 2,
        1 => 4,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, UNKNOWN_SYSTEM]
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unbroken()?;
        if self.method.compression() == Compression::None {
            return self.inner.write(bytes);
        }
        // The last chunk is known at the end only, so a full one waits for a byte that follows it.
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.filled() == self.size {
            // What is there is passed on at once, so that whoever reads the output has something to do.
            while let Some(done) = self.pipeline.take_done() {
                self.use_chunk(done)?;
            }
            // Others may fill the pool: then one of its own is enough.
            while self.pipeline.pending() > 0 && self.pipeline.pending_in_pool() >= self.most {
                self.take()?;
            }
            self.put();
        }
        let taken = bytes.len().min(self.size - self.filled());
        self.chunk.input.reserve_exact(self.size - self.filled());
        self.chunk.input.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Flushes the writer below. What is not a whole chunk stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.unbroken()?;
        self.inner.flush()
    }
}

impl<W> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (compression, level) = (self.method.compression(), self.method.level());
        write!(f, "Encoder({compression}, level {level})")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::num::NonZeroUsize;

    use super::super::{Decoder, sniff};
    use super::*;
    use crate::base::limits::Limits;

    fn jobs(count: usize) -> Jobs {
        Jobs::new(NonZeroUsize::new(count).expect("not zero"))
    }

    /// Bytes that compress somewhat, and repeat themselves at odd places.
    fn sample(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut bytes = Vec::new();
        while bytes.len() < 200_003 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push(b'0' + (state >> 24) as u8 % 40);
        }
        bytes.into_iter().cycle().take(len).collect()
    }

    fn encode(method: Method, threads: usize, bytes: &[u8], split: usize) -> Vec<u8> {
        let mut encoder = Encoder::new(method, jobs(threads), Vec::new());
        for part in bytes.chunks(split) {
            encoder.write_all(part).expect("memory");
            encoder.write_all(&[]).expect("memory");
            encoder.flush().expect("memory");
        }
        encoder.finish().expect("memory")
    }

    fn decode(bytes: &[u8]) -> Vec<u8> {
        let mut decoder = Decoder::new(sniff(bytes), bytes, &Limits::default()).expect("memory");
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).expect("sound");
        assert!(!decoder.has_trailing_data());
        out
    }

    const ALL: [Compression; 4] = [
        Compression::Gzip,
        Compression::Bzip2,
        Compression::Xz,
        Compression::Zstd,
    ];

    #[test]
    fn the_same_bytes_come_out_however_they_go_in() {
        for compression in ALL {
            // The fastest.
            let level = u32::from(compression != Compression::Xz);
            let method = Method::new(compression, Some(level)).expect("a level");
            let size = chunk::size(method);
            let all = sample(2 * size + 1);
            for len in [0, 1, size, 2 * size + 1] {
                let bytes = &all[..len];
                let encoded = encode(method, 2, bytes, usize::MAX);
                assert_eq!(sniff(&encoded), compression, "{len}");
                assert!(decode(&encoded) == bytes, "{compression} {len}");
                for (threads, split) in [(1, size), (3, size / 3)] {
                    let other = encode(method, threads, bytes, split);
                    assert!(other == encoded, "{compression} {len} {threads} {split}");
                }
            }
        }
    }

    #[test]
    fn every_level_is_read_back() {
        let bytes = sample(70_000);
        for compression in ALL {
            let levels = Method::levels(compression).expect("levels");
            for level in levels.clone() {
                let method = Method::new(compression, Some(level)).expect("a level");
                assert!(
                    decode(&encode(method, 2, &bytes, 999)) == bytes,
                    "{method:?}"
                );
            }
            let error = Method::new(compression, Some(levels.end() + 1)).expect_err("too high");
            assert!(error.to_string().contains("has no level"), "{error}");
        }
        assert!(Method::new(Compression::None, Some(1)).is_err());
        assert_eq!(encode(Method::NONE, 2, &bytes, 999), bytes);
    }

    #[test]
    fn the_deepest_window_is_one_that_is_read() {
        let method = Method::new(Compression::Zstd, Some(22)).expect("a level");
        let bytes = vec![7; chunk::size(method) + 1];
        assert!(decode(&encode(method, 1, &bytes, usize::MAX)) == bytes);
    }

    #[test]
    fn a_gzip_header_says_nothing_of_when_and_where() {
        for (level, effort) in [(1, 4), (6, 0), (9, 2)] {
            let method = Method::new(Compression::Gzip, Some(level)).expect("a level");
            let encoded = encode(method, 2, b"some bytes", 3);
            assert_eq!(encoded[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, 255]);
        }
    }

    /// A disk that is full after some bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Decimal digits without a repetition: of them, an encoder that was reset makes other bytes than a new one.
    #[test]
    fn a_chunk_does_not_depend_on_those_before_it_in_the_same_thread() {
        let mut state = 1_u64;
        let digits: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            b'0' + (state >> 60) as u8 % 10
        })
        .take(1_400_000)
        .collect();
        for level in [1, 6, 9] {
            let method = Method::new(Compression::Gzip, Some(level)).expect("a level");
            for len in [600_000, 900_000, digits.len()] {
                let one = encode(method, 1, &digits[..len], len);
                let three = encode(method, 3, &digits[..len], len);
                assert!(one == three, "{level} {len}");
            }
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error_at_the_end_too() {
        let bytes = sample(4 << 20);
        for room in [0, 5, 20, 30_000] {
            for threads in [1, 3] {
                let mut encoder =
                    Encoder::new(Method::from(Compression::Gzip), jobs(threads), Full(room));
                let written = encoder.write_all(&bytes);
                let finished = encoder.finish().err().map(|error| error.kind());
                assert_eq!(finished, Some(io::ErrorKind::StorageFull), "{room}");
                assert!(room > 20 || written.is_err());
            }
        }
    }
}
