//! The headers of a tar that was taken apart, in a form for a walk.

use std::io;

use crate::base::limits::Limits;
use crate::source::Slice;
use crate::split::metadata::{
    Account, DecodedMember, MetadataError, SplitReader, StreamFault, StreamPiece, decoded,
};
use crate::tar::{Cursor, TarError, TarFault};
use crate::tree::LayerHeaders;

/// A tar-split stream that can be read as often as needed.
pub(super) struct Stream<'a> {
    /// The member of the metadata.
    pub(super) member: String,
    /// Its bytes.
    pub(super) slice: Slice,
    /// How long the tar is said to be.
    pub(super) len: u64,
    pub(super) account: &'a Account,
}

impl<'a> LayerHeaders for Stream<'a> {
    type Cursor = Headers<'a>;

    fn open(&self) -> io::Result<Headers<'a>> {
        Headers::new(self).map_err(io::Error::other)
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// Goes over the pieces of a tar. Bodies can be skipped and not read.
pub(super) struct Headers<'a> {
    reader: SplitReader<DecodedMember<'a>>,
    member: String,
    limits: &'a Limits,
    raw: Vec<u8>,
    /// How much of the raw stretch is behind.
    used: usize,
    /// How much of a body is ahead, once the raw stretch is used up.
    body: u64,
    position: u64,
    /// How long the tar is said to be; anything behind that is refused.
    len: u64,
}

impl<'a> Headers<'a> {
    pub(super) fn new(stream: &Stream<'a>) -> Result<Self, MetadataError> {
        let decoded = decoded(&stream.slice, &stream.member, stream.account)?;
        Ok(Self {
            reader: SplitReader::new(decoded),
            member: stream.member.clone(),
            limits: stream.account.limits(),
            raw: Vec::new(),
            used: 0,
            body: 0,
            position: 0,
            len: stream.len,
        })
    }

    /// An error that knows which member it is about: [`of_walk`] finds it again.
    fn fault(&self, fault: StreamFault) -> io::Error {
        io::Error::other(fault.of(&*self.member))
    }

    /// Goes to the next piece that has bytes; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        if self.position > self.len {
            let why = format!(
                "the tar that it describes is longer than the {} bytes that the description claims",
                self.len
            );
            return Err(self.fault(StreamFault::Wrong(why)));
        }
        while self.used == self.raw.len() && self.body == 0 {
            match self.reader.next_piece() {
                Err(fault) => return Err(io::Error::other(fault.of(&*self.member))),
                Ok(None) => return Ok(false),
                Ok(Some((_, StreamPiece::Raw(bytes)))) => {
                    self.raw.clear();
                    self.raw.extend_from_slice(&bytes);
                    self.used = 0;
                }
                Ok(Some((_, StreamPiece::File { size, .. }))) => self.body = size,
            }
        }
        Ok(true)
    }
}

impl Cursor for Headers<'_> {
    fn position(&self) -> u64 {
        self.position
    }

    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() && self.advance()? {
            let ahead = &self.raw[self.used..];
            if ahead.is_empty() {
                let why = format!(
                    "what should be a header, at byte {} of the tar that it describes, is said to be the body of a file",
                    self.position
                );
                return Err(self.fault(StreamFault::Wrong(why)));
            }
            let n = ahead.len().min(buf.len() - filled);
            buf[filled..filled + n].copy_from_slice(&ahead[..n]);
            self.used += n;
            self.position += n as u64;
            filled += n;
        }
        Ok(filled)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut skipped = 0;
        while skipped < count && self.advance()? {
            let left = count - skipped;
            let raw = self.raw.len() - self.used;
            if raw > 0 {
                let n = usize::try_from(left).map_or(raw, |left| raw.min(left));
                self.used += n;
                skipped += n as u64;
                self.position += n as u64;
            } else {
                let n = self.body.min(left);
                self.body -= n;
                skipped += n;
                self.position = self.position.saturating_add(n);
            }
        }
        Ok(skipped)
    }

    fn limits(&self) -> &Limits {
        self.limits
    }
}

/// The error of a walk over headers: that of the metadata that they come from, if it is one.
pub(super) fn of_walk(error: TarError, member: &str) -> MetadataError {
    let fault = match error.fault {
        TarFault::Read(source) => match source.downcast::<MetadataError>() {
            Ok(error) => return error,
            Err(source) => TarFault::Read(source),
        },
        fault => fault,
    };
    StreamFault::Tar(TarError { fault, ..error }).of(member)
}
