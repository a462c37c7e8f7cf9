//! The encoders, all called in the same way.

use std::io::{self, Write};

use super::go::GoDeflate;
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
/// If memory is short.
pub(super) fn engine(recipe: &Recipe, jobs: Jobs) -> io::Result<Box<dyn Engine>> {
    let deflate: Box<dyn Engine> = match recipe.encoder {
        EncoderName::Own(method) => {
            return Ok(Box::new(Own(Some(Encoder::new(method, jobs, Vec::new())))));
        }
        EncoderName::Libzstd(settings) => return Ok(Box::new(Libzstd::new(settings)?)),
        EncoderName::Go(level) => Box::new(GoDeflate::new(level)),
    };
    Ok(Box::new(Member::new(recipe.header.clone(), deflate)))
}

/// How much memory that encoder takes with one thread, in bytes, roughly.
pub(super) fn memory(recipe: &Recipe) -> usize {
    match recipe.encoder {
        EncoderName::Own(method) => Encoders::memory(method),
        EncoderName::Go(_) => 1 << 20,
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

impl Engine for GoDeflate {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        Self::write(self, bytes, out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        Self::finish(self, out);
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
