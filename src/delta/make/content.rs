//! The content of a tar, entry by entry: each is the same as an old one, resembles one, or is new.

use super::Maker;
use super::changed::Patch;
use crate::base::jobs;
use crate::delta::DeltaError;
use crate::delta::description::PartFacts;
use crate::delta::emit::{NewBody, NewHeader, SourcePlace};
use crate::delta::entries::{TarEntries, Walked};
use crate::delta::header::BLOCK;
use crate::source::{Slice, Span};

/// How many bytes of headers before one entry are kept in memory. More of them is not what any tar writer writes, and
/// travels as new bytes.
const HEADERS: u64 = 1 << 20;

/// How many entries, and how many bytes of bodies, are looked at together.
const BATCH: (usize, u64) = (2048, 64 << 20);

impl Maker<'_> {
    /// A tar, entry by entry.
    pub(super) fn content(&mut self, name: String, tar: &Slice) -> Result<PartFacts, DeltaError> {
        let mut facts = PartFacts {
            name,
            size: tar.len(),
            expanded: tar.len(),
            ..PartFacts::default()
        };
        if let Some(equal) = self.old.equal_part(tar)? {
            let source = self.source(equal);
            self.emit.copy(SourcePlace { source, offset: 0 }, tar.len());
            facts.same = tar.len();
            return Ok(facts);
        }
        self.index()?;
        let mut entries = TarEntries::of(tar);
        let mut batch = Vec::new();
        loop {
            let mut bytes = 0;
            while batch.len() < BATCH.0 && bytes < BATCH.1 {
                let Some(walked) = entries.next()? else {
                    break;
                };
                bytes += walked.size;
                batch.push(walked);
            }
            if batch.is_empty() {
                break;
            }
            self.batch(tar, &batch, &mut facts)?;
            batch.clear();
        }
        let tail = tar.slice(Span {
            offset: entries.end,
            len: tar.len() - entries.end,
        });
        facts.headers += tail.len();
        self.gap(&tail)?;
        Ok(facts)
    }

    pub(super) fn batch(
        &mut self,
        tar: &Slice,
        batch: &[Walked],
        facts: &mut PartFacts,
    ) -> Result<(), DeltaError> {
        let old = &*self.old;
        let equal = jobs::map(
            self.options.jobs,
            batch,
            |walked| walked.size,
            |walked| match walked.size {
                0 => Ok(None),
                _ => old.equal(walked.keys, &body_of(tar, walked)),
            },
        );
        let equal: Vec<Option<u32>> = equal.into_iter().collect::<Result<_, _>>()?;
        let patches = self.patches(tar, batch, &equal)?;
        let (mut header, mut like) = (Vec::new(), Vec::new());
        for ((walked, equal), patch) in batch.iter().zip(equal).zip(patches) {
            read_headers(tar, walked.header, walked.body, &mut header)?;
            if header.is_empty() && walked.body > walked.header {
                self.emit.data(&tar.slice(Span {
                    offset: walked.header,
                    len: walked.body - walked.header,
                }))?;
            }
            facts.headers += walked.body - walked.header;
            let partner = equal.or_else(|| patch.as_ref().map(|patch| patch.partner));
            let partner = partner.or_else(|| self.old.same_path(walked.keys));
            let header = self.header_like(partner, &header, &mut like)?;
            self.entry(tar, walked, &header, equal, patch, facts)?;
            self.task.advance(walked.body - walked.header + walked.size);
        }
        Ok(())
    }

    /// The headers of an entry, like those of an old one if these have the same length.
    fn header_like<'h>(
        &mut self,
        partner: Option<u32>,
        new: &'h [u8],
        old: &'h mut Vec<u8>,
    ) -> Result<NewHeader<'h>, DeltaError> {
        if new.is_empty() {
            return Ok(NewHeader::None);
        }
        let Some(partner) = partner.map(|partner| self.old.entries[partner as usize]) else {
            return Ok(NewHeader::New(new));
        };
        if partner.header_len != new.len() as u64 || !new.len().is_multiple_of(BLOCK) {
            return Ok(NewHeader::New(new));
        }
        let part = &self.old.parts[partner.part as usize];
        read_headers(&part.bytes, partner.header, partner.body(), old)?;
        let source = self.source(partner.part);
        Ok(NewHeader::Like {
            at: SourcePlace {
                source,
                offset: partner.header,
            },
            old,
            new,
        })
    }

    fn entry(
        &mut self,
        tar: &Slice,
        walked: &Walked,
        header: &NewHeader<'_>,
        equal: Option<u32>,
        patch: Option<Patch>,
        facts: &mut PartFacts,
    ) -> Result<(), DeltaError> {
        let body = body_of(tar, walked);
        let padding = padding(tar, walked)?;
        facts.headers += padding.len;
        let padded = padding.is_usual;
        match (equal, patch) {
            _ if body.is_empty() && matches!(header, NewHeader::None) => {}
            _ if body.is_empty() => self.emit.entry(header, &NewBody::None, padded)?,
            (Some(equal), _) => {
                facts.same += body.len();
                facts.same_files += 1;
                let at = self.place_of(equal);
                self.emit
                    .entry(header, &NewBody::Same(at, body.len()), padded)?;
            }
            (None, Some(patch)) => self.changed(header, &body, patch, padded, facts)?,
            (None, None) => {
                facts.new += body.len();
                facts.new_files += 1;
                self.emit.entry(header, &NewBody::New(body), padded)?;
            }
        }
        if !padded {
            self.gap(&padding.bytes)?;
        }
        Ok(())
    }

    /// Where the body of an old entry is.
    pub(super) fn place_of(&mut self, entry: u32) -> SourcePlace {
        let entry = self.old.entries[entry as usize];
        SourcePlace {
            source: self.source(entry.part),
            offset: entry.body(),
        }
    }
}

pub(super) fn body_of(tar: &Slice, walked: &Walked) -> Slice {
    tar.slice(Span {
        offset: walked.body,
        len: walked.size,
    })
}

/// What is between a body and the next block.
struct Padding {
    bytes: Slice,
    len: u64,
    /// Whether it is all there, and all zeros.
    is_usual: bool,
}

fn padding(tar: &Slice, walked: &Walked) -> Result<Padding, DeltaError> {
    let end = walked.body + walked.size;
    let len = end.next_multiple_of(BLOCK as u64) - end;
    let bytes = tar.slice(Span { offset: end, len });
    let is_usual = bytes.len() == len && bytes.read_all()?.iter().all(|byte| *byte == 0);
    Ok(Padding {
        len: bytes.len(),
        bytes,
        is_usual,
    })
}

/// Reads headers; none if there are more bytes than any tar writer writes.
fn read_headers(tar: &Slice, from: u64, to: u64, into: &mut Vec<u8>) -> Result<(), DeltaError> {
    into.clear();
    if to - from <= HEADERS {
        let span = Span {
            offset: from,
            len: to - from,
        };
        *into = tar.slice(span).read_all()?;
    }
    Ok(())
}
