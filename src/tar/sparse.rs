//! Sparse files: where in the logical file the stored bytes belong.
//!
//! Four formats exist: old GNU (type `S`, spans in the header and in blocks behind it), and PAX 0.0,
//! 0.1 (spans in records) and 1.0 (spans as text before the data). Docker, containerd and podman
//! expand the PAX ones and refuse type `S`.

use std::io;

use super::block::{self, BLOCK, Block};
use super::cursor::Cursor;
use super::pax::{SparseRecords, decimal};
use super::{TarFault, walk};
use crate::base::limits::{Limit, Limits};

/// A stretch of the logical file that is stored, in bytes; the rest is holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseSpan {
    /// Where it begins in the logical file.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
}

/// How to expand a sparse file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseMap {
    /// The stored stretches, in order, without overlap.
    pub spans: Vec<SparseSpan>,
    /// How many bytes of the body the map itself takes up (PAX 1.0), before the first stretch.
    pub map_len: u64,
}

impl SparseMap {
    /// Checks that the spans are in order, do not overlap and lie inside `size` bytes (Go
    /// `validateSparseEntries`).
    fn checked(spans: Vec<(i64, i64)>, map_len: u64, size: i64) -> Result<Self, TarFault> {
        let mut end = 0_i64;
        let mut checked = Vec::with_capacity(spans.len());
        for (offset, len) in spans {
            let next = offset.checked_add(len).ok_or(TarFault::Sparse)?;
            if offset < end || len < 0 || next > size {
                return Err(TarFault::Sparse);
            }
            checked.push(SparseSpan {
                offset: offset.cast_unsigned(),
                len: len.cast_unsigned(),
            });
            end = next;
        }
        Ok(Self {
            spans: checked,
            map_len,
        })
    }
}

/// Reads the spans of an old GNU sparse header and of the blocks behind it; the cursor stands
/// behind the header. Returns the map and the logical size.
pub(super) fn old_gnu<C: Cursor>(
    header: &Block,
    cursor: &mut C,
) -> Result<(SparseMap, i64), TarFault> {
    if header.format() != block::HeaderFormat::Gnu {
        return Err(TarFault::Sparse);
    }
    let size = header.number(&block::GNU_REALSIZE)?;
    let mut spans = Vec::new();
    take_spans(
        &header.bytes()[block::GNU_SPARSE],
        &mut spans,
        cursor.limits(),
    )?;
    let mut extended = header.bytes()[block::GNU_EXTENDED] > 0;
    let mut more = [0; BLOCK];
    while extended {
        walk::fill_block(cursor, &mut more)?;
        take_spans(&more[block::GNU_MORE_SPARSE], &mut spans, cursor.limits())?;
        extended = more[block::GNU_MORE_EXTENDED] > 0;
    }
    Ok((SparseMap::checked(spans, 0, size)?, size))
}

/// Offset and length, 12 bytes each; an offset that begins with NUL ends the list of this block.
fn take_spans(bytes: &[u8], spans: &mut Vec<(i64, i64)>, limits: &Limits) -> Result<(), TarFault> {
    for pair in bytes.chunks_exact(24).take_while(|pair| pair[0] != 0) {
        let offset = block::number(&pair[..12]).ok_or(TarFault::Sparse)?;
        let len = block::number(&pair[12..]).ok_or(TarFault::Sparse)?;
        push(spans, offset, len, limits)?;
    }
    Ok(())
}

fn push(
    spans: &mut Vec<(i64, i64)>,
    offset: i64,
    len: i64,
    limits: &Limits,
) -> Result<(), TarFault> {
    limits
        .check_count(Limit::SparseSpans, spans.len() + 1)
        .map_err(TarFault::SparseTooLong)?;
    spans.push((offset, len));
    Ok(())
}

/// What the PAX records say of a sparse file, before its map is read.
pub(super) enum PaxSparse {
    /// Not sparse, or of a version that Go does not know and takes for a plain file.
    No,
    /// The map is in the records.
    InRecords,
    /// The map is text at the beginning of the body.
    InBody,
}

impl SparseRecords {
    pub(super) fn version(&self) -> PaxSparse {
        let (major, minor) = (self.major.as_deref(), self.minor.as_deref());
        match (major, minor) {
            (Some(b"0"), Some(b"0" | b"1")) => PaxSparse::InRecords,
            (Some(b"1"), Some(b"0")) => PaxSparse::InBody,
            (None, None) if self.map.is_some() => PaxSparse::InRecords,
            _ => PaxSparse::No,
        }
    }

    /// The logical size, if the records give one.
    pub(super) fn logical_size(&self) -> Result<Option<i64>, TarFault> {
        let text = self.size.as_ref().or(self.realsize.as_ref());
        text.map(|text| decimal(text).ok_or(TarFault::Sparse))
            .transpose()
    }

    /// The map of formats 0.0 and 0.1.
    pub(super) fn map(&self, size: i64, limits: &Limits) -> Result<SparseMap, TarFault> {
        let count = self
            .numblocks
            .as_deref()
            .and_then(decimal)
            .ok_or(TarFault::Sparse)?;
        let map = self.map.as_deref().unwrap_or_default();
        let mut numbers = map.split(|&b| b == b',').filter(|_| !map.is_empty());
        let mut spans = Vec::new();
        while let Some(offset) = numbers.next() {
            let offset = decimal(offset).ok_or(TarFault::Sparse)?;
            let len = numbers.next().and_then(decimal).ok_or(TarFault::Sparse)?;
            push(&mut spans, offset, len, limits)?;
        }
        if i64::try_from(spans.len()).ok() != Some(count) {
            return Err(TarFault::Sparse);
        }
        SparseMap::checked(spans, 0, size)
    }
}

/// Reads the map of format 1.0 from the beginning of a body of `stored` bytes: a count, then offset
/// and length of each span, one decimal number a line, padded to whole blocks.
pub(super) fn pax_1_0<C: Cursor>(
    cursor: &mut C,
    stored: u64,
    size: i64,
) -> Result<SparseMap, TarFault> {
    let mut text = LineReader {
        cursor,
        left: stored,
        buf: Vec::new(),
        from: 0,
        read: 0,
    };
    let count = text.number()?;
    let count = usize::try_from(count).map_err(|_| TarFault::Sparse)?;
    let limits = text.cursor.limits();
    limits
        .check_count(Limit::SparseSpans, count)
        .map_err(TarFault::SparseTooLong)?;
    let mut spans = Vec::new();
    for _ in 0..count {
        let offset = text.number()?;
        let len = text.number()?;
        spans.push((offset, len));
    }
    SparseMap::checked(spans, text.read, size)
}

struct LineReader<'c, C> {
    cursor: &'c mut C,
    left: u64,
    buf: Vec<u8>,
    from: usize,
    read: u64,
}

impl<C: Cursor> LineReader<'_, C> {
    fn number(&mut self) -> Result<i64, TarFault> {
        loop {
            let line = &self.buf[self.from..];
            if let Some(end) = line.iter().position(|&b| b == b'\n') {
                let number = decimal(&line[..end]).ok_or(TarFault::Sparse)?;
                self.from += end + 1;
                return Ok(number);
            }
            // No number has 20 digits; more without an end is not one.
            if line.len() > BLOCK || self.left < BLOCK as u64 {
                return Err(TarFault::Sparse);
            }
            self.buf.drain(..self.from);
            self.from = 0;
            let mut block = [0; BLOCK];
            let n = self.cursor.fill(&mut block).map_err(TarFault::Read)?;
            if n < BLOCK {
                return Err(TarFault::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            self.buf.extend_from_slice(&block);
            self.left -= BLOCK as u64;
            self.read += BLOCK as u64;
        }
    }
}
