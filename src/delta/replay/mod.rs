//! Applying a delta: the program in it is carried out, and what it makes is hashed.
//!
//! Long: every operation of the program, and each is carried out in full view of the checks before it.
//!
//! Threats, and what is done about them. Everything in a delta may have been written to harm:
//!
//! - *Places outside a source*: every stretch is checked to be inside its source before it is read.
//! - *More output than was declared*: each length is checked against what is left of the declared size before anything
//!   of it is made, and the declared size itself against the limits. What passes through a recipe is counted before
//!   it goes in, and what comes out again.
//! - *Endless programs*: an operation that makes nothing is refused, so there are no more than bytes.
//! - *Memory*: streams have windows of at most 64 MiB; bytes are copied in pieces; headers have a limit.
//! - *Bytes that are not the new file*: its digest is compared at the end, and the caller drops what does not have it.

mod blocks;
mod output;

use std::io::{self, Read, Write};

use self::blocks::SourceBlocks;
use self::output::{CountedOutput, OutputAccount, ReplayTarget};
use super::code::{self, flag, op};
use super::description::DeltaDescription;
use super::emit::SourcePlace;
use super::file::StreamReaders;
use super::header::{self, BLOCK, Times};
use super::{DeltaError, DeltaFile};
use crate::base::constants::BUFFER;
use crate::base::digest::Digest;
use crate::base::options::Options;
use crate::base::progress::Task;
use crate::source::remake::Remaker;
use crate::source::{Slice, Span};

/// How long the headers of one entry may be, in bytes: what `make.rs` writes at most.
const HEADERS: u64 = 1 << 20;

/// How many corrections one recipe may have, in bytes.
const CORRECTIONS: u64 = 256 << 20;

/// Where sources come from.
pub(super) trait Sources {
    /// The length of a source; `None` if there is no such source.
    fn len_of(&self, source: usize) -> Option<u64>;
    /// Reads a stretch of a source that was checked to be inside it.
    fn read(&self, source: usize, buf: &mut [u8], offset: u64) -> Result<(), DeltaError>;
}

impl Sources for Vec<Slice> {
    fn len_of(&self, source: usize) -> Option<u64> {
        self.get(source).map(Slice::len)
    }

    fn read(&self, source: usize, buf: &mut [u8], offset: u64) -> Result<(), DeltaError> {
        if let Some(slice) = self.get(source) {
            slice.read_at(buf, offset)?;
        }
        Ok(())
    }
}

/// Why an operation cannot be carried out.
enum Fault {
    /// The delta is wrong.
    Wrong(String),
    Error(DeltaError),
    /// A stream, an encoder or the output failed; which, is known where it is looked at.
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DeltaError> for Fault {
    fn from(error: DeltaError) -> Self {
        Self::Error(error)
    }
}

fn wrong(what: impl Into<String>) -> Fault {
    Fault::Wrong(what.into())
}

/// Carries out the program of a delta and returns the digest of what it made.
pub(super) fn replay(
    delta: &DeltaFile,
    sources: &dyn Sources,
    out: &mut dyn Write,
    options: &Options<'_>,
    task: &dyn Task,
) -> Result<Digest, DeltaError> {
    let description = delta.description();
    let size = description.new.size;
    let account = OutputAccount::new(size);
    let output = CountedOutput::new(out, &account, task, options.jobs);
    let mut replay = Replay {
        description,
        streams: delta.streams()?,
        sources: SourceBlocks::new(sources),
        options,
        target: Some(ReplayTarget::Plain(output)),
        times: Times::default(),
        expected: SourcePlace::default(),
        inside: 0,
        buf: vec![0; BUFFER],
        other: vec![0; BUFFER],
    };
    let outcome = replay.run();
    let made = size - account.left.get();
    let damaged = |what: String| DeltaError::Damaged {
        path: delta.path(),
        what: format!("{what} (after {made} bytes of the new file)"),
    };
    if let Some(failed) = account.failed.take() {
        return Err(DeltaError::Write(failed));
    }
    match (outcome, replay.target) {
        (Ok(()), Some(ReplayTarget::Plain(output))) if made == size => {
            let digest = output.finish();
            digest.map_err(|why| DeltaError::Write(account.failed.take().unwrap_or(why)))
        }
        (Ok(()), _) => Err(damaged(format!("it ends before it has made {size} bytes"))),
        (Err(Fault::Error(error)), _) => Err(error),
        (Err(Fault::Wrong(what)), _) => Err(damaged(what)),
        (Err(Fault::Io(error)), _) => Err(damaged(error.to_string())),
    }
}

struct Replay<'r> {
    description: &'r DeltaDescription,
    streams: StreamReaders,
    sources: SourceBlocks<'r>,
    options: &'r Options<'r>,
    target: Option<ReplayTarget<'r>>,
    times: Times,
    expected: SourcePlace,
    /// How many bytes went into the recipes so far.
    inside: u64,
    buf: Vec<u8>,
    other: Vec<u8>,
}

impl Replay<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        self.operations()?;
        let streams = &mut self.streams;
        let all = [
            &mut streams.control,
            &mut streams.headers,
            &mut streams.differences,
            &mut streams.data,
        ];
        for stream in all {
            if !stream.is_at_end()? {
                return Err(wrong("a stream has more bytes than are used"));
            }
        }
        Ok(())
    }

    fn operations(&mut self) -> Result<(), Fault> {
        loop {
            let mut operation = [0];
            self.streams.control.read_exact(&mut operation)?;
            match operation[0] {
                op::END => break,
                op::ENTRY => self.entry(true)?,
                op::UNPADDED => self.entry(false)?,
                op::DATA => {
                    let len = self.length()?;
                    self.data(len)?;
                }
                op::ZEROS => {
                    let len = self.length()?;
                    self.zeros(len)?;
                }
                op::COPY => {
                    let at = self.place(SourcePlace::default())?;
                    let len = self.length()?;
                    self.copy(at, len)?;
                }
                op::BEGIN => self.begin()?,
                op::FINISH => self.finish()?,
                op::STORED => {
                    let len = self.length()?;
                    self.stored(len)?;
                }
                other => return Err(wrong(format!("there is no operation {other}"))),
            }
        }
        match self.target {
            Some(ReplayTarget::Plain(_)) => Ok(()),
            _ => Err(wrong("a recipe is begun and not ended")),
        }
    }

    fn number(&mut self) -> io::Result<u64> {
        code::unsigned(&mut self.streams.control)
    }

    /// How many bytes an operation makes: at least one.
    fn length(&mut self) -> Result<u64, Fault> {
        match self.number()? {
            0 => Err(wrong("an operation makes nothing")),
            len => Ok(len),
        }
    }

    fn signed(&mut self) -> io::Result<i64> {
        code::signed(&mut self.streams.control)
    }

    fn place(&mut self, expected: SourcePlace) -> Result<SourcePlace, Fault> {
        let source = self.number()?;
        let source = u32::try_from(source).map_err(|_| wrong("a source has no such number"))?;
        let from = if source == expected.source {
            expected.offset
        } else {
            0
        };
        let offset = from.wrapping_add_signed(self.signed()?);
        Ok(SourcePlace { source, offset })
    }

    /// Refuses to make more bytes than may still come. What goes into a recipe may be more than comes out: it is
    /// counted against what all that is compressed may expand to.
    fn allow(&mut self, len: u64) -> Result<(), Fault> {
        match &self.target {
            Some(ReplayTarget::Plain(output)) if len <= output.left() => Ok(()),
            Some(ReplayTarget::Compressed(_)) => {
                self.inside = self.inside.saturating_add(len);
                let most = self.options.limits.expansion_of(self.description.new.size);
                if self.inside > most {
                    return Err(wrong(format!("it compresses more than {most} bytes")));
                }
                Ok(())
            }
            _ => Err(wrong("it makes more bytes than it says")),
        }
    }

    /// Refuses a stretch that is not inside its source.
    fn within(&self, at: SourcePlace, len: u64) -> Result<(), Fault> {
        let source = self.sources.len_of(at.source);
        let source = source.ok_or_else(|| wrong(format!("there is no source {}", at.source)))?;
        let end = at.offset.checked_add(len);
        if end.is_none_or(|end| end > source) {
            let (offset, number) = (at.offset, at.source);
            return Err(wrong(format!(
                "it takes {len} bytes at {offset} from source {number}, which has {source}"
            )));
        }
        Ok(())
    }

    fn put(&mut self, len: usize) -> io::Result<()> {
        match &mut self.target {
            Some(target) => target.write_all(&self.buf[..len]),
            None => Err(io::Error::other("there is no output")),
        }
    }

    fn copy(&mut self, at: SourcePlace, len: u64) -> Result<(), Fault> {
        self.allow(len)?;
        self.within(at, len)?;
        let mut done = 0;
        while done < len {
            let n = piece(len - done, self.buf.len());
            let here = at.after(done);
            self.sources.read(&mut self.buf[..n], here)?;
            self.put(n)?;
            done += n as u64;
        }
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), Fault> {
        self.allow(len)?;
        let mut left = len;
        while left > 0 {
            let n = piece(left, self.buf.len());
            self.buf[..n].fill(0);
            self.put(n)?;
            left -= n as u64;
        }
        Ok(())
    }

    fn data(&mut self, len: u64) -> Result<(), Fault> {
        self.allow(len)?;
        let mut left = len;
        while left > 0 {
            let n = piece(left, self.buf.len());
            self.streams.data.read_exact(&mut self.buf[..n])?;
            self.put(n)?;
            left -= n as u64;
        }
        Ok(())
    }

    fn stored(&mut self, len: u64) -> Result<(), Fault> {
        self.allow(len)?;
        let mut left = len;
        while left > 0 {
            let n = piece(left, self.buf.len());
            let read = self.take_stored(n)?;
            self.buf[..n].copy_from_slice(&read);
            self.put(n)?;
            left -= n as u64;
        }
        Ok(())
    }

    fn take_stored(&mut self, len: usize) -> Result<Vec<u8>, Fault> {
        let span = Span {
            offset: self.streams.stored_at,
            len: len as u64,
        };
        let bytes = self.streams.stored.slice(span).read_all();
        let bytes = bytes.map_err(DeltaError::from)?;
        if bytes.len() < len {
            return Err(wrong("it takes more stored bytes than there are"));
        }
        self.streams.stored_at += len as u64;
        Ok(bytes)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        let recipe = self.number()?;
        let corrections = self.number()?;
        let recipe = usize::try_from(recipe)
            .ok()
            .and_then(|at| self.description.recipes.get(at));
        let recipe = recipe.ok_or_else(|| wrong("there is no such recipe"))?;
        let left = self
            .streams
            .stored
            .len()
            .saturating_sub(self.streams.stored_at);
        if corrections > left.min(CORRECTIONS) {
            return Err(wrong("it takes more stored bytes than there are"));
        }
        let corrections = self.take_stored(usize::try_from(corrections).unwrap_or(usize::MAX))?;
        match self.target.take() {
            Some(ReplayTarget::Plain(output)) => {
                let remaker = Remaker::new(recipe, &corrections, output, self.options.jobs);
                self.target = Some(ReplayTarget::Compressed(Box::new(remaker?)));
                Ok(())
            }
            other => {
                self.target = other;
                Err(wrong("a recipe begins inside another"))
            }
        }
    }

    fn finish(&mut self) -> Result<(), Fault> {
        match self.target.take() {
            Some(ReplayTarget::Compressed(remaker)) => {
                self.target = Some(ReplayTarget::Plain(remaker.finish()?));
                Ok(())
            }
            other => {
                self.target = other;
                Err(wrong("a recipe ends that was not begun"))
            }
        }
    }

    fn entry(&mut self, padded: bool) -> Result<(), Fault> {
        let mut flags = [0];
        self.streams.control.read_exact(&mut flags)?;
        let flags = flags[0];
        let len = match flags & flag::LONG {
            0 if flags & flag::HEADER == flag::NO_HEADER => 0,
            0 => BLOCK as u64,
            _ => self.number()?,
        };
        if len > HEADERS {
            return Err(wrong(format!("the headers of an entry have {len} bytes")));
        }
        let mut place = self.expected;
        if flags & flag::MOVED != 0 {
            place = self.place(place)?;
        }
        let headers = self.headers(flags & flag::HEADER, place, len)?;
        let is_like = flags & flag::HEADER == flag::LIKE_HEADER;
        let behind = SourcePlace {
            offset: place.offset.saturating_add(len),
            ..place
        };
        let mut body = behind;
        if flags & flag::APART != 0 {
            body = self.place(behind)?;
        }
        let size = match (flags & flag::BODY, flags & flag::SIZED) {
            (flag::NO_BODY, _) => 0,
            (_, 0) => header::last_size(&headers)
                .ok_or_else(|| wrong("a header does not say how long its body is"))?,
            _ => self.number()?,
        };
        if is_like {
            self.expected = behind;
        }
        if headers.is_empty() && size == 0 {
            return Err(wrong("an entry makes nothing"));
        }
        match flags & flag::BODY {
            flag::NO_BODY => {}
            flag::SAME_BODY => {
                self.copy(body, size)?;
                self.expected = body.behind(size);
            }
            flag::LIKE_BODY => {
                let old = size.wrapping_add_signed(self.signed()?);
                self.patched(body, size)?;
                self.expected = body.behind(old);
            }
            _ => self.data(size)?,
        }
        match size % BLOCK as u64 {
            rest if padded && rest > 0 => self.zeros(BLOCK as u64 - rest),
            _ => Ok(()),
        }
    }

    /// Makes the headers of an entry and passes them on.
    fn headers(&mut self, manner: u8, at: SourcePlace, len: u64) -> Result<Vec<u8>, Fault> {
        self.allow(len)?;
        let mut headers = vec![0; usize::try_from(len).unwrap_or(0)];
        match manner {
            flag::NO_HEADER => headers.clear(),
            flag::NEW_HEADER => self.streams.headers.read_exact(&mut headers)?,
            flag::LIKE_HEADER => {
                self.within(at, len)?;
                self.sources.read(&mut headers, at)?;
                let (blocks, rest) = headers.as_chunks_mut::<BLOCK>();
                if !rest.is_empty() {
                    return Err(wrong("headers are not whole blocks"));
                }
                for block in blocks {
                    *block = header::read(
                        block,
                        &mut self.times,
                        &mut self.streams.control,
                        &mut self.streams.headers,
                    )?;
                }
            }
            other => return Err(wrong(format!("there is no header of the kind {other}"))),
        }
        if let Some(target) = &mut self.target {
            target.write_all(&headers)?;
        }
        Ok(headers)
    }

    /// A body that resembles an old one, which begins at `at`.
    fn patched(&mut self, at: SourcePlace, size: u64) -> Result<(), Fault> {
        let mut left = size;
        let mut old = at.offset;
        while left > 0 {
            old = old.wrapping_add_signed(self.signed()?);
            let add = self.number()?;
            let insert = self.number()?;
            let made = add
                .checked_add(insert)
                .filter(|made| (1..=left).contains(made));
            let made = made.ok_or_else(|| wrong("a step is longer than its file"))?;
            self.add(SourcePlace { offset: old, ..at }, add)?;
            old = old.wrapping_add(add);
            self.data(insert)?;
            left -= made;
        }
        Ok(())
    }

    fn add(&mut self, at: SourcePlace, len: u64) -> Result<(), Fault> {
        self.allow(len)?;
        self.within(at, len)?;
        let mut done = 0;
        while done < len {
            let n = piece(len - done, self.buf.len());
            let here = at.after(done);
            self.sources.read(&mut self.buf[..n], here)?;
            self.streams.differences.read_exact(&mut self.other[..n])?;
            for (byte, difference) in self.buf[..n].iter_mut().zip(&self.other[..n]) {
                *byte = byte.wrapping_add(*difference);
            }
            self.put(n)?;
            done += n as u64;
        }
        Ok(())
    }
}

fn piece(left: u64, most: usize) -> usize {
    usize::try_from(left).map_or(most, |left| left.min(most))
}
