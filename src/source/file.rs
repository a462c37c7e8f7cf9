//! A file read by position.
//!
//! Long: a file, its stretches and the readers of both.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use super::expansion::{Bound, Ledger};
use super::{Compression, Decoder, ReadAt, SourceError};
use crate::base::limits::Limits;
use crate::base::options::Options;

/// Readable bytes of known length, a file's or the caller's, shared between threads.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    bytes: Bytes,
    /// Where the archive begins in the file: not 0 for a standard input that was partly read.
    base: u64,
    len: u64,
    path: String,
    /// Whether it was made for one reader, who may give its bytes up.
    expendable: bool,
    ledger: Arc<Ledger>,
}

/// What is read.
enum Bytes {
    /// A file of the system.
    File(File),
    /// Bytes of the caller of the library.
    Given(Box<dyn ReadAt>),
}

impl Bytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => positioned_read(file, buf, offset),
            Self::Given(bytes) => {
                let n = bytes.read_at(buf, offset)?;
                if n > buf.len() {
                    let told = "the reader reports more bytes than it was asked for";
                    return Err(io::Error::other(told));
                }
                Ok(n)
            }
        }
    }

    fn file(&self) -> Option<&File> {
        match self {
            Self::File(file) => Some(file),
            Self::Given(_) => None,
        }
    }
}

/// A stretch of a [`Source`], in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
}

/// Where bytes are: equal for the same stretch of the same opened file, and for no two others that exist
/// at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place(usize, Span);

impl Source {
    pub(super) fn new(
        file: File,
        base: u64,
        len: u64,
        path: String,
        options: &Options<'_>,
    ) -> Self {
        Self(Arc::new(Inner {
            bytes: Bytes::File(file),
            base,
            len,
            path,
            expendable: false,
            ledger: Arc::new(ledger(options, len)),
        }))
    }

    /// Bytes of the caller of the library, `len` of them, called `path` in messages.
    pub(super) fn given(
        bytes: Box<dyn ReadAt>,
        len: u64,
        path: String,
        options: &Options<'_>,
    ) -> Self {
        Self(Arc::new(Inner {
            bytes: Bytes::Given(bytes),
            base: 0,
            len,
            path,
            expendable: false,
            ledger: Arc::new(ledger(options, len)),
        }))
    }

    /// A temporary file that was just written, called `path` in messages after what it came from, with
    /// the limits of that. What is compressed in it may expand as far as the limits allow for `stored` bytes.
    pub(crate) fn temporary(
        file: File,
        len: u64,
        path: String,
        limits: &Limits,
        stored: u64,
    ) -> Self {
        let ledger = Arc::new(Ledger::new(*limits, stored, None));
        Self(Arc::new(Inner {
            bytes: Bytes::File(file),
            base: 0,
            len,
            path,
            expendable: false,
            ledger,
        }))
    }

    /// A temporary file that was just made of this one: it is called the same in messages, and has
    /// the same limits. It can be read as often as anybody likes.
    pub(crate) fn derived(&self, file: File, len: u64) -> Self {
        self.derived_for(false, file, len)
    }

    /// The same for one reader, who may [give its bytes up](Slice::discard) on the way.
    pub(crate) fn derived_for_one(&self, file: File, len: u64) -> Self {
        self.derived_for(true, file, len)
    }

    fn derived_for(&self, expendable: bool, file: File, len: u64) -> Self {
        Self(Arc::new(Inner {
            bytes: Bytes::File(file),
            base: 0,
            len,
            path: self.0.path.clone(),
            expendable,
            ledger: Arc::clone(&self.0.ledger),
        }))
    }

    /// Bytes that are read out of this one and others: called the same in messages, with the same limits.
    pub(super) fn derived_given(&self, bytes: Box<dyn ReadAt>, len: u64) -> Self {
        Self(Arc::new(Inner {
            bytes: Bytes::Given(bytes),
            base: 0,
            len,
            path: self.0.path.clone(),
            expendable: false,
            ledger: Arc::clone(&self.0.ledger),
        }))
    }

    /// How much the archive may use.
    pub fn limits(&self) -> &Limits {
        self.0.ledger.limits()
    }

    /// Decodes all of it, read by `inner`, as far as the limits allow.
    pub(super) fn decode<R: BufRead>(
        &self,
        compression: Compression,
        inner: R,
    ) -> io::Result<Decoder<R>> {
        let bound = Bound::new(Arc::clone(&self.0.ledger), None);
        Decoder::bound(compression, inner, self.limits(), bound)
    }

    /// The length in bytes, as it was when the file was opened.
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The path as it was given, or `-`.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What the file is called in messages.
    pub fn label(&self) -> String {
        label(&self.0.path)
    }

    /// Fills `buf` from `offset` on, up to the end of the source; returns how much was filled.
    ///
    /// # Errors
    ///
    /// [`SourceError::Read`] if the system fails, [`SourceError::Shrank`] if the file ended early,
    /// [`SourceError::Stopped`] if the work is to end.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, SourceError> {
        let left = self.0.len.saturating_sub(offset);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let mut filled = 0;
        if self.0.ledger.is_stopped() {
            return Err(SourceError::Stopped { path: self.label() });
        }
        while filled < want {
            let at = offset + filled as u64;
            match self
                .0
                .bytes
                .read_at(&mut buf[filled..want], self.0.base + at)
            {
                Ok(0) => {
                    return Err(SourceError::Shrank {
                        path: self.label(),
                        offset: at,
                        len: self.0.len,
                    });
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(SourceError::Read {
                        path: self.label(),
                        offset: at,
                        source,
                    });
                }
            }
        }
        Ok(filled)
    }

    /// The stretch `span`, cut to what the source holds.
    pub fn slice(&self, span: Span) -> Slice {
        let offset = span.offset.min(self.len());
        let len = span.len.min(self.len() - offset);
        Slice {
            source: self.clone(),
            span: Span { offset, len },
        }
    }

    /// All of it.
    pub fn whole(&self) -> Slice {
        self.slice(Span {
            offset: 0,
            len: self.len(),
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({}, {} bytes)", self.0.path, self.0.len)
    }
}

/// A stretch of a source that can be read on its own.
#[derive(Clone, Debug)]
pub struct Slice {
    source: Source,
    span: Span,
}

impl Slice {
    /// Where it lies in its source.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.span.len
    }

    /// Whether it holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.span.len == 0
    }

    /// The source it is part of.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether it is the same stretch of the same opened file: then its bytes need no comparison.
    pub fn is_same(&self, other: &Self) -> bool {
        self.place() == other.place()
    }

    /// Where its bytes are.
    pub(crate) fn place(&self) -> Place {
        Place(Arc::as_ptr(&self.source.0).addr(), self.span)
    }

    /// Decodes its bytes, which `inner` reads, as far as the limits of the archive allow.
    ///
    /// # Errors
    ///
    /// If the decoder cannot be set up, which means that memory is short.
    pub fn decode<R: BufRead>(&self, compression: Compression, inner: R) -> io::Result<Decoder<R>> {
        let bound = Bound::new(Arc::clone(&self.source.0.ledger), Some(self.span));
        Decoder::bound(compression, inner, self.source.limits(), bound)
    }

    /// Fills `buf` from `offset` bytes into the slice, up to its end; returns how much was filled.
    ///
    /// # Errors
    ///
    /// As [`Source::read_at`].
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, SourceError> {
        let left = self.span.len.saturating_sub(offset);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.source
            .read_at(&mut buf[..want], self.span.offset + offset)
    }

    /// Gives the room of its bytes back to the system, if they are in a temporary file that was made for
    /// this reader and the system can do so. They must not be read again. An archive stays as it is, also
    /// where it had to be decompressed as a whole.
    pub(crate) fn discard(&self) {
        let inner = &*self.source.0;
        if let (true, Some(file)) = (inner.expendable, inner.bytes.file()) {
            discard(file, self.span);
        }
    }

    /// Copies its first bytes to a place of `file` without bringing them into this process. Returns how
    /// many these were: fewer where the system likes, none where it cannot do that or fails.
    pub(crate) fn copy_in_kernel(&self, file: &File, at: u64) -> u64 {
        let inner = &*self.source.0;
        let Some(own) = inner.bytes.file() else {
            return 0;
        };
        if inner.ledger.is_stopped() {
            return 0;
        }
        let from = inner.base + self.span.offset;
        copy_in_kernel(own, from, file, at, self.span.len)
    }

    /// The stretch `span` of it, counted from its beginning and cut to what it holds.
    #[must_use]
    pub fn slice(&self, span: Span) -> Self {
        let offset = span.offset.min(self.span.len);
        let len = span.len.min(self.span.len - offset);
        let span = Span {
            offset: self.span.offset + offset,
            len,
        };
        Self {
            source: self.source.clone(),
            span,
        }
    }

    /// All its bytes. The caller has checked that they are few.
    ///
    /// # Errors
    ///
    /// As [`Source::read_at`].
    pub fn read_all(&self) -> Result<Vec<u8>, SourceError> {
        let mut bytes = vec![0; usize::try_from(self.span.len).unwrap_or(usize::MAX)];
        let n = self.read_at(&mut bytes, 0)?;
        bytes.truncate(n);
        Ok(bytes)
    }

    /// Reads it from its beginning.
    pub fn reader(&self) -> SliceReader {
        SliceReader {
            slice: self.clone(),
            position: 0,
        }
    }
}

/// Reads a [`Slice`] in order.
#[derive(Debug)]
pub struct SliceReader {
    slice: Slice,
    position: u64,
}

impl SliceReader {
    /// How many bytes were read so far.
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl Read for SliceReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self
            .slice
            .read_at(buf, self.position)
            .map_err(io::Error::other)?;
        self.position += n as u64;
        Ok(n)
    }
}

/// What a file of so many bytes may use, and what ends the work on it early.
fn ledger(options: &Options<'_>, stored: u64) -> Ledger {
    Ledger::new(options.limits, stored, options.stop.cloned())
}

/// A path for messages: `-` means nothing in a message.
pub(super) fn label(path: &str) -> String {
    if path == "-" {
        return "standard input".to_owned();
    }
    path.to_owned()
}

#[cfg(unix)]
pub(super) fn positioned_read(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
pub(super) fn positioned_read(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

/// Copies up to so many bytes between two files of one file system (`copy_file_range(2)`).
#[cfg(target_os = "linux")]
fn copy_in_kernel(from: &File, mut offset: u64, to: &File, mut at: u64, len: u64) -> u64 {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let copied = rustix::fs::copy_file_range(from, Some(&mut offset), to, Some(&mut at), len);
    copied.map_or(0, |n| n as u64)
}

#[cfg(not(target_os = "linux"))]
fn copy_in_kernel(_: &File, _: u64, _: &File, _: u64, _: u64) -> u64 {
    0
}

/// Whether copies to `file` are worth being made in the kernel. Not where files are kept in memory: there
/// the kernel copies page by page, and reading and writing is as fast or faster.
#[cfg(target_os = "linux")]
pub(crate) fn is_copied_to_in_kernel(file: &File) -> bool {
    /// `TMPFS_MAGIC` of `linux/magic.h`.
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type != TMPFS)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_copied_to_in_kernel(_: &File) -> bool {
    false
}

/// Only a hint: where it fails only room is lost.
#[cfg(target_os = "linux")]
fn discard(file: &File, span: Span) {
    use rustix::fs::{FallocateFlags, fallocate};
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    _ = fallocate(file, punch, span.offset, span.len);
}

#[cfg(not(target_os = "linux"))]
fn discard(_file: &File, _span: Span) {}
