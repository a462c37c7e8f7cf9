//! The encoders, all called in the same way.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;

use super::gzip::Member;
use super::recipe::{EncoderName, Recipe, ZstdSettings};
use crate::base::jobs::Jobs;
use crate::source::encode::{Encoder, Encoders};

/// An encoder that appends what it makes to a buffer, soon after it was given what that is made from. It holds a fixed
/// amount of memory.
pub(super) trait Engine: Send {
    /// Takes all of `bytes`.
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()>;

    /// Ends the stream; it is called once, and nothing after it.
    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}

/// The encoder of a recipe.
///
/// # Errors
///
/// If memory is short, or the corrections are not what the recipe needs.
pub(super) fn engine(
    recipe: &Recipe,
    _corrections: &[u8],
    jobs: Jobs,
) -> io::Result<Box<dyn Engine>> {
    let deflate: Box<dyn Engine> = match recipe.encoder {
        EncoderName::Own(method) => {
            return Ok(Box::new(Own(Some(Encoder::new(method, jobs, Vec::new())))));
        }
        EncoderName::Libzstd(settings) => return Ok(Box::new(Libzstd::new(settings)?)),
        EncoderName::ZlibRs(level) => Box::new(ZlibRs::new(level)),
    };
    Ok(Box::new(Member::new(recipe.header.clone(), deflate)))
}

/// How much memory that encoder takes with one thread, in bytes, roughly.
pub(super) fn memory(recipe: &Recipe) -> usize {
    match recipe.encoder {
        EncoderName::Own(method) => Encoders::memory(method),
        EncoderName::ZlibRs(_) => 512 << 10,
        // Twice what `ZSTD_estimateCStreamSize` gives for 18 and 19, the largest of them.
        EncoderName::Libzstd(settings) if settings.level > 9 => 200 << 20,
        EncoderName::Libzstd(_) => 20 << 20,
    }
}

/// What imgtar itself writes.
struct Own(Option<Encoder<Vec<u8>>>);

impl Engine for Own {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.0.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        encoder.write_all(bytes)?;
        out.append(encoder.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.0.take().ok_or(io::ErrorKind::BrokenPipe)?;
        out.append(&mut encoder.finish()?);
        Ok(())
    }
}

/// One deflate stream from beginning to end, as the encoders of flate2 write it.
///
/// At level 1 zlib-rs begins blocks where pieces of the input end, so it is always given pieces of one size.
struct ZlibRs {
    encoder: Option<DeflateEncoder<Vec<u8>>>,
    piece: Vec<u8>,
}

/// The size of the pieces, in bytes: what `std::io::copy` copies at a time.
const COPIED: usize = 8 << 10;

impl ZlibRs {
    fn new(level: u32) -> Self {
        let level = flate2::Compression::new(level);
        Self {
            encoder: Some(DeflateEncoder::new(Vec::new(), level)),
            piece: Vec::with_capacity(COPIED),
        }
    }
}

impl Engine for ZlibRs {
    fn write(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.encoder.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        while !bytes.is_empty() {
            let (some, rest) = bytes.split_at(bytes.len().min(COPIED - self.piece.len()));
            self.piece.extend_from_slice(some);
            bytes = rest;
            if self.piece.len() == COPIED {
                encoder.write_all(&self.piece)?;
                self.piece.clear();
            }
        }
        out.append(encoder.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut encoder = self.encoder.take().ok_or(io::ErrorKind::BrokenPipe)?;
        encoder.write_all(&self.piece)?;
        out.append(&mut encoder.finish()?);
        Ok(())
    }
}

/// One frame of libzstd, made in one thread.
struct Libzstd(Option<zstd::stream::write::Encoder<'static, Vec<u8>>>);

impl Libzstd {
    fn new(settings: ZstdSettings) -> io::Result<Self> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), settings.level)?;
        encoder.include_checksum(settings.has_checksum)?;
        encoder.include_contentsize(settings.size.is_some())?;
        encoder.set_pledged_src_size(settings.size)?;
        Ok(Self(Some(encoder)))
    }
}

impl Engine for Libzstd {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.0.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        encoder.write_all(bytes)?;
        out.append(encoder.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.0.take().ok_or(io::ErrorKind::BrokenPipe)?;
        out.append(&mut encoder.finish()?);
        Ok(())
    }
}
