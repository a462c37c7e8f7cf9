//! The frames of a zstd file, one after the other.

use std::io::{self, BufRead, Read};

use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::metered::{Metered, read_head};

/// The largest window that the library takes, as a power of two.
const MOST_WINDOW_LOG: u32 = if usize::BITS < 64 { 30 } else { 31 };

/// All frames, skippable ones among them.
pub(super) struct ZstdFrames<R> {
    inner: Metered<R>,
    decoder: Decoder<'static>,
    /// The header of the frame under way, as far as the library has not seen it.
    head: Vec<u8>,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    pub(super) fn new(inner: Metered<R>) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        // What is too large is refused here, before the library sees it.
        decoder.set_parameter(DParameter::WindowLogMax(MOST_WINDOW_LOG))?;
        Ok(Self {
            inner,
            decoder,
            head: Vec::new(),
            in_frame: false,
        })
    }

    pub(super) fn get_ref(&self) -> &Metered<R> {
        &self.inner
    }

    pub(super) fn get_mut(&mut self) -> &mut Metered<R> {
        &mut self.inner
    }

    pub(super) fn into_inner(self) -> Metered<R> {
        self.inner
    }

    /// Begins the next frame; false if there is none.
    fn begin(&mut self) -> io::Result<bool> {
        if self.inner.fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.inner.begin_member()?;
        self.head = read_head(&mut self.inner, header_len)?;
        let window = window(&self.head);
        self.inner.take_memory(window)?;
        if window > 1 << MOST_WINDOW_LOG {
            return Err(self.inner.too_much_memory());
        }
        self.decoder.reinit()?;
        self.in_frame = true;
        Ok(true)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.begin()? {
                return Ok(0);
            }
            let is_head = !self.head.is_empty();
            let input = if is_head {
                &self.head[..]
            } else {
                self.inner.fill_buf()?
            };
            let is_end = input.is_empty();
            let status = self.decoder.run_on_buffers(input, buf)?;
            if is_head {
                self.head.drain(..status.bytes_read);
            } else {
                self.inner.consume(status.bytes_read);
            }
            self.in_frame = status.remaining > 0;
            if status.bytes_written > 0 {
                return Ok(status.bytes_written);
            }
            if is_end && self.in_frame {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete frame");
                return Err(error);
            }
        }
    }
}

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How long the header of a frame is, told by its beginning (RFC 8878, 3.1.1.1). Of a skippable frame,
/// and of what is not a frame, its magic alone.
fn header_len(head: &[u8]) -> usize {
    if head.len() < MAGIC.len() {
        return MAGIC.len();
    }
    if head[..4] != MAGIC {
        return MAGIC.len();
    }
    match head.get(4) {
        None => MAGIC.len() + 1,
        Some(descriptor) => {
            let [window, dictionary, content] = field_lens(*descriptor);
            MAGIC.len() + 1 + window + dictionary + content
        }
    }
}

/// How long the window descriptor, the dictionary's number and the content's size are, in bytes.
fn field_lens(descriptor: u8) -> [usize; 3] {
    let is_single = is_single_segment(descriptor);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = [usize::from(is_single), 2, 4, 8][usize::from(descriptor >> 6)];
    [usize::from(!is_single), dictionary, content]
}

/// Whether the window is as large as the content, which then must be told.
fn is_single_segment(descriptor: u8) -> bool {
    descriptor & 0x20 != 0
}

/// How large the window of a frame is, in bytes; 0 if the header is not whole or is that of no frame.
fn window(head: &[u8]) -> u64 {
    if head.len() < 5 || head.len() < header_len(head) {
        return 0;
    }
    let descriptor = head[4];
    if !is_single_segment(descriptor) {
        let (exponent, mantissa) = (head[5] >> 3, head[5] & 7);
        let base = 1_u64 << (10 + exponent);
        return base + base / 8 * u64::from(mantissa);
    }
    let [_, dictionary, content] = field_lens(descriptor);
    let mut size = [0; 8];
    size[..content].copy_from_slice(&head[5 + dictionary..][..content]);
    // Two bytes begin where one byte ends.
    u64::from_le_bytes(size) + if content == 2 { 256 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_their_length_and_their_window() {
        // No single segment, 2^27, no size.
        let head = [&MAGIC[..], &[0, (27 - 10) << 3]].concat();
        assert_eq!(header_len(&head), 6);
        assert_eq!(window(&head), 128 << 20);
        // Single segments of 200 and of 300 bytes.
        let head = [&MAGIC[..], &[0x20, 200]].concat();
        assert_eq!((header_len(&head), window(&head)), (6, 200));
        let head = [&MAGIC[..], &[0x60, 44, 0]].concat();
        assert_eq!((header_len(&head), window(&head)), (7, 300));
        // The largest size, with a dictionary.
        let head = [&MAGIC[..], &[0xe3], &[0; 4], &[0xff; 8]].concat();
        assert_eq!((header_len(&head), window(&head)), (17, u64::MAX));
        // Skippable, and cut short.
        assert_eq!(header_len(&[0x50, 0x2a, 0x4d, 0x18, 9]), 4);
        assert_eq!(window(&MAGIC), 0);
    }
}
