//! The encoders, all called in the same way.

use std::io::{self, Write};

use super::go::GoDeflate;
use super::gzip::GzipMember;
use super::klauspost::{KlauspostDeflate, PgzipDeflate};
use super::recipe::{EncoderName, Recipe, ZstdSettings};
use super::zlib::ZlibDeflate;
use crate::base::jobs::Jobs;
use crate::source::encode::{Encoder, Encoders};

/// An encoder that appends what it makes to a buffer, soon after it was given what that is made from. It holds a fixed
/// amount of memory.
pub(super) trait StreamEncoder: Send {
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
pub(super) fn engine(recipe: &Recipe, jobs: Jobs) -> io::Result<Box<dyn StreamEncoder>> {
    let deflate: Box<dyn StreamEncoder> = match recipe.encoder {
        EncoderName::Own(method) => {
            return Ok(Box::new(Own(Some(Encoder::new(method, jobs, Vec::new())))));
        }
        EncoderName::Libzstd(settings) => return Ok(Box::new(Libzstd::new(settings)?)),
        EncoderName::Go(level) => Box::new(GoDeflate::new(level)),
        EncoderName::Zlib(kind, level) => Box::new(ZlibDeflate::new(kind, level)),
        EncoderName::Klauspost(level, heads) => Box::new(KlauspostDeflate::new(level, heads)),
        EncoderName::Pgzip(level, heads) => Box::new(PgzipDeflate::new(level, heads)),
    };
    Ok(Box::new(GzipMember::new(recipe.header.clone(), deflate)))
}

/// How much memory that encoder takes with one thread, in bytes, roughly.
pub(super) fn memory(recipe: &Recipe) -> usize {
    match recipe.encoder {
        EncoderName::Own(method) => Encoders::memory(method),
        EncoderName::Go(_)
        | EncoderName::Zlib(..)
        | EncoderName::Klauspost(..)
        | EncoderName::Pgzip(..) => 2 << 20,
        // Twice what `ZSTD_estimateCStreamSize` gives for 18 and 19, the largest of them.
        EncoderName::Libzstd(settings) if settings.level > 9 => 200 << 20,
        EncoderName::Libzstd(_) => 20 << 20,
    }
}

/// What imgtar itself writes.
struct Own(Option<Encoder<Vec<u8>>>);

impl StreamEncoder for Own {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.0.as_mut().ok_or_else(ended)?;
        encoder.write_all(bytes)?;
        out.append(encoder.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.0.take().ok_or_else(ended)?;
        out.append(&mut encoder.finish()?);
        Ok(())
    }
}

/// Encoders that need nothing but the content, and cannot fail.
macro_rules! deflate_encoder {
    ($($encoder:ty),*) => {$(
        impl StreamEncoder for $encoder {
            fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
                Self::write(self, bytes, out);
                Ok(())
            }

            fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
                Self::finish(self, out);
                Ok(())
            }
        }
    )*};
}

deflate_encoder!(GoDeflate, ZlibDeflate, KlauspostDeflate, PgzipDeflate);

/// Nothing may be written to a stream that has ended.
fn ended() -> io::Error {
    io::Error::other("the compressed stream has ended")
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

impl StreamEncoder for Libzstd {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.0.as_mut().ok_or_else(ended)?;
        encoder.write_all(bytes)?;
        out.append(encoder.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.0.take().ok_or_else(ended)?;
        out.append(&mut encoder.finish()?);
        Ok(())
    }
}
