//! What putting an archive together may still decode.
//!
//! The same member of the metadata is read several times: for the tree, for what is lost, for the layer,
//! and once more for each layer that shares it. A file of a few kilobytes can therefore ask for endless
//! work although each of its members is small, so every byte that is decoded counts each time.

use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::limits::{Exceeded, Limit, Limits};
use crate::source::{Compression, Decoder, Slice, SliceReader, is_environment};

/// The limits of an archive that is put together, and what is left of them.
#[derive(Debug)]
pub(crate) struct Account {
    limits: Limits,
    /// How many bytes metadata and flat tar have as they are stored: what expansion is measured by.
    stored: u64,
    left: AtomicU64,
}

impl Account {
    /// That of metadata and a flat tar that have `stored` bytes together.
    pub(crate) fn new(limits: &Limits, stored: u64) -> Self {
        Self {
            limits: *limits,
            stored,
            left: AtomicU64::new(limits.expansion_of(stored)),
        }
    }

    /// The limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many stored bytes there are.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// Refuses an archive of so many bytes, layers put together on the way included, if metadata and flat
    /// tar are too small for it.
    pub(crate) fn check_claim(&self, bytes: u64) -> Result<(), Exceeded> {
        if bytes > self.limits.expansion_of(self.stored) {
            return Err(self.limits.exceeded(Limit::Expanded));
        }
        Ok(())
    }

    /// So many bytes were decoded.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), Exceeded> {
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        match taken {
            Ok(_) => Ok(()),
            Err(_) => Err(self.limits.exceeded(Limit::Expanded)),
        }
    }
}

/// What a compressed member holds. Counts what comes out, and says where damage is.
pub(crate) struct DecodedMember<'a> {
    decoder: Decoder<BufReader<SliceReader>>,
    compression: Compression,
    /// How many bytes the member has.
    len: u64,
    account: &'a Account,
    /// Whether what comes out counts.
    counts: bool,
}

/// How much of a compressed member is read at a time, in bytes; most are smaller.
const BUFFER: usize = 64 << 10;

/// Compressed data that cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error("the {compression} data is damaged near byte {offset} of {len}")]
struct Damaged {
    compression: Compression,
    offset: u64,
    len: u64,
    source: io::Error,
}

impl<'a> DecodedMember<'a> {
    /// Decodes `member`; the decoder takes what `limits` allow and no more than `memory` bytes.
    pub(crate) fn new(
        member: &Slice,
        compression: Compression,
        memory: u64,
        account: &'a Account,
    ) -> io::Result<Self> {
        let len = member.len();
        let buffer = usize::try_from(len).unwrap_or(BUFFER).clamp(512, BUFFER);
        let memory = memory.min(account.limits.of(Limit::DecoderMemory));
        let limits = account.limits.with(Limit::DecoderMemory, memory);
        let reader = BufReader::with_capacity(buffer, member.reader());
        Ok(Self {
            decoder: Decoder::new(compression, reader, &limits)?,
            compression,
            len,
            account,
            counts: true,
        })
    }

    /// Does not count what comes out: for what was decoded before, and will not be decoded once more.
    pub(crate) fn again(mut self) -> Self {
        self.counts = false;
        self
    }
}

impl Read for DecodedMember<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buf).map_err(|source| {
            if is_environment(&source) || Exceeded::behind(&source).is_some() {
                return source;
            }
            let kind = source.kind();
            let damaged = Damaged {
                compression: self.compression,
                offset: self.decoder.get_ref().get_ref().position(),
                len: self.len,
                source,
            };
            io::Error::new(kind, damaged)
        })?;
        if self.counts {
            self.account.take(n as u64).map_err(io::Error::other)?;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_counts() {
        let limits = Limits::default()
            .with(Limit::Expanded, 100)
            .with(Limit::Ratio, 2);
        let account = Account::new(&limits, 10);
        assert!(account.take(40).is_ok());
        assert!(account.take(60).is_ok());
        let exceeded = account.take(1).expect_err("101 of 100");
        assert_eq!(exceeded.limit, Limit::Expanded);
        assert!(account.check_claim(100).is_ok());
        assert!(account.check_claim(101).is_err());
    }
}
