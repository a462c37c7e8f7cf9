//! The program that makes a new file, written while the file is read: what `replay.rs` reads.

use super::DeltaError;
use super::code::{Numbers, flag, op};
use super::header::{self, BLOCK, Times};
use super::patch::PatchStep;
use super::streams::MadeStreams;
use crate::source::Slice;

/// A place in a source: the number of the source in the delta, and an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SourcePlace {
    pub(super) source: u32,
    pub(super) offset: u64,
}

impl SourcePlace {
    /// Writes it relative to where it was expected.
    fn write(self, expected: Self, control: &mut Vec<u8>) {
        control.unsigned(u64::from(self.source));
        let from = if self.source == expected.source {
            expected.offset
        } else {
            0
        };
        control.signed(self.offset.wrapping_sub(from).cast_signed());
    }

    /// Behind `len` bytes from here, and the padding of a tar.
    pub(super) fn behind(self, len: u64) -> Self {
        let end = self.offset.saturating_add(len);
        Self {
            offset: end.checked_next_multiple_of(BLOCK as u64).unwrap_or(end),
            ..self
        }
    }

    /// `len` bytes further on.
    pub(super) fn after(self, len: u64) -> Self {
        Self {
            offset: self.offset.saturating_add(len),
            ..self
        }
    }
}

/// The headers of an entry.
#[derive(Debug)]
pub(super) enum NewHeader<'h> {
    None,
    /// They are written as they are.
    New(&'h [u8]),
    /// They are written as differences from old ones, which have the same length: whole blocks.
    Like {
        at: SourcePlace,
        old: &'h [u8],
        new: &'h [u8],
    },
}

impl NewHeader<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::New(bytes) => bytes,
            Self::Like { new, .. } => new,
        }
    }
}

/// The body of an entry.
#[derive(Debug)]
pub(super) enum NewBody {
    None,
    /// A source has it.
    Same(SourcePlace, u64),
    /// It is a patch of something old, with the size of that; its steps follow.
    Like {
        at: SourcePlace,
        old: u64,
        size: u64,
    },
    /// It follows in the data.
    New(Slice),
}

/// A program that is being written.
#[derive(Debug)]
pub(super) struct Emitter {
    pub(super) made: MadeStreams,
    /// Numbers that are not in the control stream yet.
    control: Vec<u8>,
    fields: Vec<u8>,
    times: Times,
    /// Where the next header is expected in a source.
    expected: SourcePlace,
}

/// How many bytes of numbers are gathered before they are kept.
const GATHERED: usize = 64 << 10;

impl Emitter {
    pub(super) fn new() -> Self {
        Self {
            made: MadeStreams::new(),
            control: Vec::new(),
            fields: Vec::new(),
            times: Times::default(),
            expected: SourcePlace::default(),
        }
    }

    fn gathered(&mut self, most: usize) -> Result<(), DeltaError> {
        if self.control.len() >= most {
            self.made.control.put(&self.control)?;
            self.control.clear();
        }
        if self.fields.len() >= most {
            self.made.headers.put(&self.fields)?;
            self.fields.clear();
        }
        Ok(())
    }

    /// Ends the program.
    pub(super) fn finish(mut self) -> Result<MadeStreams, DeltaError> {
        self.control.push(op::END);
        self.gathered(0)?;
        Ok(self.made)
    }

    /// An entry; `padded` if zeros follow it up to the next block. The steps of a body that is
    /// [`NewBody::Like`] come next.
    pub(super) fn entry(
        &mut self,
        header: &NewHeader<'_>,
        body: &NewBody,
        padded: bool,
    ) -> Result<(), DeltaError> {
        let len = header.bytes().len() as u64;
        let mut flags = 0;
        let mut place = self.expected;
        match header {
            NewHeader::None => {}
            NewHeader::New(_) => flags |= flag::NEW_HEADER,
            NewHeader::Like { at, .. } => {
                flags |= flag::LIKE_HEADER;
                if *at != place {
                    flags |= flag::MOVED;
                }
                place = *at;
            }
        }
        if flags & flag::HEADER != flag::NO_HEADER && len != BLOCK as u64 {
            flags |= flag::LONG;
        }
        let behind = place.after(len);
        let (size, apart) = match body {
            NewBody::None => (0, None),
            NewBody::Same(at, size) | NewBody::Like { at, size, .. } => (*size, Some(*at)),
            NewBody::New(bytes) => (bytes.len(), None),
        };
        let apart = apart.filter(|at| *at != behind);
        flags |= match body {
            NewBody::None => flag::NO_BODY,
            NewBody::Same(..) => flag::SAME_BODY,
            NewBody::Like { .. } => flag::LIKE_BODY,
            NewBody::New(_) => flag::NEW_BODY,
        };
        if apart.is_some() {
            flags |= flag::APART;
        }
        let said = header::last_size(header.bytes());
        if !matches!(body, NewBody::None) && said != Some(size) {
            flags |= flag::SIZED;
        }
        self.control
            .push(if padded { op::ENTRY } else { op::UNPADDED });
        self.control.push(flags);
        if flags & flag::LONG != 0 {
            self.control.unsigned(len);
        }
        if flags & flag::MOVED != 0 {
            place.write(self.expected, &mut self.control);
        }
        self.header(header);
        if let Some(at) = apart {
            at.write(behind, &mut self.control);
        }
        if flags & flag::SIZED != 0 {
            self.control.unsigned(size);
        }
        self.body(header, body, behind)?;
        self.gathered(GATHERED)
    }

    fn header(&mut self, header: &NewHeader<'_>) {
        match header {
            NewHeader::None => {}
            NewHeader::New(bytes) => self.fields.extend_from_slice(bytes),
            NewHeader::Like { old, new, .. } => {
                let (old, _) = old.as_chunks::<BLOCK>();
                let (new, _) = new.as_chunks::<BLOCK>();
                for (old, new) in old.iter().zip(new) {
                    header::write(
                        old,
                        new,
                        &mut self.times,
                        &mut self.control,
                        &mut self.fields,
                    );
                }
            }
        }
    }

    fn body(
        &mut self,
        header: &NewHeader<'_>,
        body: &NewBody,
        behind: SourcePlace,
    ) -> Result<(), DeltaError> {
        match body {
            NewBody::None => {
                if let NewHeader::Like { .. } = header {
                    self.expected = behind;
                }
            }
            NewBody::Same(at, size) => self.expected = at.behind(*size),
            NewBody::Like { at, old, size } => {
                self.control.signed(old.wrapping_sub(*size).cast_signed());
                self.expected = at.behind(*old);
            }
            NewBody::New(bytes) => {
                if let NewHeader::Like { .. } = header {
                    self.expected = behind;
                }
                self.made.data.put_slice(bytes)?;
            }
        }
        Ok(())
    }

    /// A step of a body: how far the old bytes are from where the last step ended, how many are used, and how many
    /// new ones follow.
    pub(super) fn step(&mut self, seek: i64, step: &PatchStep) -> Result<(), DeltaError> {
        self.control.signed(seek);
        self.control.unsigned(step.add as u64);
        self.control.unsigned(step.insert as u64);
        self.gathered(GATHERED)
    }

    /// Bytes that no source has.
    pub(super) fn data(&mut self, bytes: &Slice) -> Result<(), DeltaError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.number(op::DATA, bytes.len());
        self.made.data.put_slice(bytes)
    }

    /// So many zeros.
    pub(super) fn zeros(&mut self, len: u64) {
        if len > 0 {
            self.number(op::ZEROS, len);
        }
    }

    /// All bytes of a source, or a stretch of it.
    pub(super) fn copy(&mut self, at: SourcePlace, len: u64) {
        self.control.push(op::COPY);
        at.write(SourcePlace::default(), &mut self.control);
        self.control.unsigned(len);
    }

    /// Bytes that travel as they are.
    pub(super) fn stored(&mut self, bytes: &Slice) -> Result<(), DeltaError> {
        self.number(op::STORED, bytes.len());
        self.made.stored.put_slice(bytes)
    }

    /// What follows is compressed by a recipe.
    pub(super) fn begin(&mut self, recipe: u32, corrections: &[u8]) -> Result<(), DeltaError> {
        self.number(op::BEGIN, u64::from(recipe));
        self.control.unsigned(corrections.len() as u64);
        self.made.stored.put(corrections)
    }

    /// That ends here.
    pub(super) fn finish_recipe(&mut self) {
        self.control.push(op::FINISH);
    }

    fn number(&mut self, op: u8, number: u64) {
        self.control.push(op);
        self.control.unsigned(number);
    }
}
