//! What is around a deflate stream in a gzip file (RFC 1952): the header, which is kept as it is, and the trailer, which
//! follows from the content.

use std::io;

use flate2::Crc;

use super::engine::StreamEncoder;

/// How long a header may be, in bytes: those of layers have ten, and a name at most.
pub(super) const MOST_HEADER: usize = 4096;

/// How many bytes the trailer has: a checksum and the length of the content.
const TRAILER: usize = 8;

/// The length of the header that `bytes` begin with; `None` if they do not begin with one that is whole.
///
/// RFC 1952, section 2.3. Reserved flags and other methods than deflate are refused, as decoders do.
pub(super) fn header_len(bytes: &[u8]) -> Option<usize> {
    const CHECKSUM: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0b1110_0000;
    let fixed = bytes.first_chunk::<10>()?;
    let [0x1f, 0x8b, 8, flags, ..] = *fixed else {
        return None;
    };
    if flags & RESERVED != 0 {
        return None;
    }
    let mut len = fixed.len();
    if flags & EXTRA != 0 {
        let extra = bytes.get(len..)?.first_chunk::<2>()?;
        len += 2 + usize::from(u16::from_le_bytes(*extra));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            len += bytes.get(len..)?.iter().position(|&b| b == 0)? + 1;
        }
    }
    if flags & CHECKSUM != 0 {
        len += 2;
    }
    (len <= bytes.len() && len <= MOST_HEADER).then_some(len)
}

/// One member of a gzip stream around a raw deflate stream.
pub(super) struct GzipMember {
    /// Until it is written.
    header: Vec<u8>,
    deflate: Box<dyn StreamEncoder>,
    crc: Crc,
}

impl GzipMember {
    pub(super) fn new(header: Vec<u8>, deflate: Box<dyn StreamEncoder>) -> Self {
        Self {
            header,
            deflate,
            crc: Crc::new(),
        }
    }
}

impl StreamEncoder for GzipMember {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.append(&mut self.header);
        self.crc.update(bytes);
        self.deflate.write(bytes, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        out.append(&mut self.header);
        self.deflate.finish(out)?;
        let mut trailer = [0; TRAILER];
        trailer[..4].copy_from_slice(&self.crc.sum().to_le_bytes());
        trailer[4..].copy_from_slice(&self.crc.amount().to_le_bytes());
        out.extend_from_slice(&trailer);
        Ok(())
    }
}
