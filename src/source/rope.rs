//! Bytes that lie in several places, read as if they lay one behind the other.

use std::io;

use super::{ReadAt, Source, SourceError, Span};

/// Puts stretches of sources together. Nothing is copied: what is put together is read where it lies.
#[derive(Debug, Default)]
pub(crate) struct Rope {
    pieces: Vec<Piece>,
    len: u64,
}

/// A stretch of a rope.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Where it begins in the rope.
    at: u64,
    /// Which source has it; [`ZEROS`] if none.
    part: u32,
    /// Where it begins in that source.
    offset: u64,
}

/// The place of bytes that are all 0 and stored nowhere.
const ZEROS: u32 = u32::MAX;

impl Rope {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds `len` bytes of a source, from `offset` on; `part` is its number in the list of
    /// [`Self::into_source`].
    pub(crate) fn push(&mut self, part: u32, offset: u64, len: u64) {
        let continues = self.pieces.last().is_some_and(|last| {
            last.part == part && part != ZEROS && last.offset + (self.len - last.at) == offset
        });
        if len > 0 && !continues {
            self.pieces.push(Piece {
                at: self.len,
                part,
                offset,
            });
        }
        self.len = self.len.saturating_add(len);
    }

    /// Adds so many zeros.
    pub(crate) fn push_zeros(&mut self, len: u64) {
        self.push(ZEROS, 0, len);
    }

    /// The rope as a source, called the same in messages as the first of `parts` and within its limits. What
    /// was added must lie inside its part.
    pub(crate) fn into_source(self, parts: Vec<Source>) -> Option<Source> {
        let first = parts.first()?.clone();
        let len = self.len;
        let bytes = Roped { rope: self, parts };
        Some(first.derived_given(Box::new(bytes), len))
    }
}

/// A rope with what it consists of.
struct Roped {
    rope: Rope,
    parts: Vec<Source>,
}

impl Roped {
    /// Reads from the piece that `offset` is in; returns how much was read, 0 at the end alone.
    fn read_piece(&self, buf: &mut [u8], offset: u64) -> Result<usize, SourceError> {
        let pieces = &self.rope.pieces;
        let after = pieces.partition_point(|piece| piece.at <= offset);
        let Some(piece) = after.checked_sub(1).map(|at| pieces[at]) else {
            return Ok(0);
        };
        let end = pieces.get(after).map_or(self.rope.len, |next| next.at);
        let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = left.min(buf.len());
        let buf = &mut buf[..want];
        if let Some(part) = self.parts.get(piece.part as usize) {
            part.read_at(buf, piece.offset + (offset - piece.at))
        } else {
            buf.fill(0);
            Ok(want)
        }
    }
}

impl ReadAt for Roped {
    fn size(&self) -> io::Result<u64> {
        Ok(self.rope.len)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            let read = self.read_piece(&mut buf[filled..], offset + filled as u64);
            match read.map_err(io::Error::other)? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }
}

/// The stretch of a rope that was added since it had `from` bytes, once it is a source.
pub(crate) fn since(rope: &Rope, from: u64) -> Span {
    Span {
        offset: from,
        len: rope.len() - from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::options::Options;
    use crate::source::Input;

    #[test]
    fn stretches_are_read_one_behind_the_other() {
        let open = |bytes: &[u8]| {
            let input = Input::from_reader(bytes.to_vec(), "x", &Options::default());
            input.expect("bytes").source().clone()
        };
        let (one, two) = (open(b"abcdefgh"), open(b"01234567"));
        let mut rope = Rope::default();
        rope.push(0, 2, 3);
        rope.push(1, 0, 2);
        rope.push(1, 2, 1);
        rope.push_zeros(2);
        rope.push(0, 0, 0);
        rope.push(0, 7, 1);
        assert_eq!(rope.pieces.len(), 4);
        let source = rope.into_source(vec![one, two]).expect("parts");
        assert_eq!(source.whole().read_all().expect("bytes"), b"cde012\0\0h");
        let mut buf = [0; 4];
        assert_eq!(source.read_at(&mut buf, 6).expect("bytes"), 3);
        assert_eq!(&buf[..3], b"\0\0h");
    }
}
