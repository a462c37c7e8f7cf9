//! Deflate streams as `github.com/klauspost/compress` and `github.com/klauspost/pgzip` write them.
//!
//! podman, skopeo, buildah and umoci compress layers with pgzip at its default level, which is 5; Docker 28 and its
//! BuildKit write layers at level 6 in one stream. The rules come from klauspost/compress 1.15.12, 1.17.9, 1.18.0 and
//! 1.20.3, which agree on the matches of both levels and differ in the heads of blocks ([`Heads`]), and from pgzip
//! 1.2.5 and 1.2.6, which agree. Blocks begin where the tables say so, so equal content gives equal bytes whatever the
//! sizes in which it is written.
//!
//! One decision rests on the sum of rounded logarithms. It is made as on machines that round a multiplication and an
//! addition one after the other (x86-64). Those that round once (ARM) may decide differently up to 1.18; with 1.2 GB
//! of content, in 18,700 blocks, the stream was the same either way.
//!
//! Nothing here reads what an archive claims: the input is content of any size and any bytes, the memory is fixed, and
//! every byte takes a bounded time.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "all values are offsets in buffers of at most 1 MiB, parts of them, or sizes in bits of blocks of 64 KiB"
)]

mod block;
mod matches;
#[cfg(test)]
mod tests;

use block::KlauspostBlocks;
use matches::Matches;

pub(super) use block::Heads;

use super::go::symbols::MOST_STORED;

/// A level of klauspost's encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KlauspostLevel {
    /// 5, the default.
    Five,
    /// 6.
    Six,
}

impl KlauspostLevel {
    /// After so many bytes without a match, as a power of two, one more byte is skipped each time.
    const fn skip(self) -> u32 {
        match self {
            Self::Five => 6,
            Self::Six => 7,
        }
    }
}

/// How much pgzip compresses at a time.
const PGZIP_BLOCK: usize = 1 << 20;
/// How much of the block before pgzip uses as a dictionary.
const PGZIP_TAIL: usize = 16_384;

/// One deflate stream, without the header and trailer of gzip, as klauspost's `flate` writes it.
pub(super) struct KlauspostDeflate {
    matches: Matches,
    blocks: KlauspostBlocks,
    /// What is not yet in a block.
    content: Vec<u8>,
}

impl KlauspostDeflate {
    /// A stream at this level. It holds about 1 MB, whatever is written.
    pub(super) fn new(level: KlauspostLevel, heads: Heads) -> Self {
        Self {
            matches: Matches::new(level),
            blocks: KlauspostBlocks::new(heads),
            content: Vec::with_capacity(MOST_STORED),
        }
    }

    /// Writes content, in pieces of any size, and appends to `out` what is finished.
    pub(super) fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while !content.is_empty() {
            if self.content.len() == MOST_STORED {
                self.block(false, out);
            }
            let (now, later) =
                content.split_at(content.len().min(MOST_STORED - self.content.len()));
            self.content.extend_from_slice(now);
            content = later;
        }
    }

    /// Ends the stream and appends the rest of it to `out`; nothing may be written after that.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.block(true, out);
        self.blocks.end(out);
    }

    /// Writes what there is, up to a whole byte, and an empty block after it.
    fn flush(&mut self, out: &mut Vec<u8>) {
        self.block(true, out);
        self.blocks.stored(&[], out);
    }

    /// Begins anew, as a stream that follows `dictionary`.
    fn restart(&mut self, dictionary: &[u8]) {
        self.matches.forget();
        self.matches.find(dictionary);
    }

    /// Writes a block; `last` if nothing may follow it with the same codes. (`storeFast` in `deflate.go`.)
    fn block(&mut self, last: bool, out: &mut Vec<u8>) {
        let content = &self.content[..];
        match content.len() {
            0 => return,
            1..=32 => self.blocks.stored(content, out),
            33..=127 => self.blocks.literals(content, last, out),
            len => {
                let tokens = self.matches.find(content);
                if tokens.is_empty() {
                    self.blocks.stored(content, out);
                } else if tokens.len() > len - (len >> 4) {
                    self.blocks.literals(content, last, out);
                } else {
                    self.blocks.tokens(tokens, content, last, out);
                }
            }
        }
        self.content.clear();
    }
}

/// One deflate stream, without the header and trailer of gzip, as pgzip writes it: in blocks of 1 MiB, each of which
/// begins anew with the last 16 KiB before it as its dictionary and ends with an empty block.
pub(super) struct PgzipDeflate {
    deflate: KlauspostDeflate,
    /// How much of the block is written.
    written: usize,
    /// The end of the block, at most as much as the dictionary has.
    tail: Vec<u8>,
}

impl PgzipDeflate {
    /// A stream at this level. It holds about 1 MB, whatever is written.
    pub(super) fn new(level: KlauspostLevel, heads: Heads) -> Self {
        Self {
            deflate: KlauspostDeflate::new(level, heads),
            written: 0,
            tail: Vec::with_capacity(2 * PGZIP_TAIL),
        }
    }

    /// Writes content, in pieces of any size, and appends to `out` what is finished.
    pub(super) fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while !content.is_empty() {
            let (now, later) = content.split_at(content.len().min(PGZIP_BLOCK - self.written));
            self.deflate.write(now, out);
            self.keep(now);
            self.written += now.len();
            content = later;
            if self.written == PGZIP_BLOCK {
                self.deflate.flush(out);
                self.deflate.restart(&self.tail);
                self.written = 0;
            }
        }
    }

    /// Ends the stream and appends the rest of it to `out`; nothing may be written after that.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.deflate.flush(out);
        self.deflate.finish(out);
    }

    /// Keeps the last 16 KiB of what was written.
    fn keep(&mut self, content: &[u8]) {
        let content = &content[content.len().saturating_sub(PGZIP_TAIL)..];
        let kept = self.tail.len().min(PGZIP_TAIL - content.len());
        self.tail.drain(..self.tail.len() - kept);
        self.tail.extend_from_slice(content);
    }
}
