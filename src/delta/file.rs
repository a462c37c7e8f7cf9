//! The file that a delta is: a plain tar, so that people, `tar` and imgtar can read it.
//!
//! Its members are, in this order: a [`DeltaDescription`] in JSON, the streams, and the SHA-256 of everything before the
//! last member. The streams `control`, `headers`, `differences` and `data` are one zstd frame each.
//!
//! Threats, and what is done about them: the members are found by [`Contents::index`] with its limits, and only by the
//! names that are listed here; a member that is there twice, or not at all, is an error. Before anything is applied,
//! the digest at the end is compared with the bytes, so a file that was cut or damaged on its way makes nothing. That
//! shows accidents and not malice: whoever changes a delta can change the digest, and `replay.rs` trusts nothing.

use std::fmt;
use std::io::{self, BufReader, Read, Take};

use super::DeltaError;
use super::description::{DeltaDescription, FORMAT, LONGEST, StreamSize, VERSION, member};
use super::streams::WINDOW;
use super::write::{END_LEN, named};
use crate::archive::{ArchiveError, Contents, MemberKind, MemberName};
use crate::base::constants::BUFFER;
use crate::base::digest::Digest;
use crate::base::options::Options;
use crate::base::progress::steps;
use crate::source::{Input, Slice, SliceReader, SourceError, Span};

/// A delta that was opened.
#[derive(Debug)]
pub struct DeltaFile {
    contents: Contents,
    description: DeltaDescription,
}

impl DeltaFile {
    /// Whether a file begins as a delta does. Nothing else of it is read.
    ///
    /// # Errors
    ///
    /// [`SourceError`] if it cannot be read.
    pub fn is_delta(input: &Input) -> Result<bool, SourceError> {
        let mut head = [0; 512];
        let n = input.source().read_at(&mut head, 0)?;
        let begins = head[..n].strip_prefix(member::DESCRIPTION.as_bytes());
        Ok(begins.is_some_and(|rest| rest.first() == Some(&0)))
    }

    /// Opens a delta and reads its description. The streams are not read: see [`Self::check`].
    ///
    /// # Errors
    ///
    /// [`DeltaError`] if it is not a delta, was made by a newer imgtar, or is cut short.
    pub fn open(input: Input) -> Result<Self, DeltaError> {
        let path = input.source().label();
        if !Self::is_delta(&input)? {
            return Err(DeltaError::NotDelta { path });
        }
        let len = input.source().len();
        let contents = match Contents::index(input) {
            Ok(contents) => contents,
            Err(error @ (ArchiveError::Read { .. } | ArchiveError::TooManyMembers { .. })) => {
                return Err(error.into());
            }
            Err(_) => return Err(DeltaError::Cut { path, len }),
        };
        if contents.early_end().is_some() {
            return Err(DeltaError::Cut { path, len });
        }
        let description = read(&contents, &path)?;
        let opened = Self {
            contents,
            description,
        };
        opened.require_end(len)?;
        opened.require_sizes()?;
        Ok(opened)
    }

    /// What it says of itself.
    pub fn description(&self) -> &DeltaDescription {
        &self.description
    }

    /// Its path for messages.
    pub fn path(&self) -> String {
        self.contents.source().label()
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.contents.stored_size()
    }

    fn damaged(&self, what: impl Into<String>) -> DeltaError {
        DeltaError::Damaged {
            path: self.path(),
            what: what.into(),
        }
    }

    /// The member that everything ends with is there: the file was not cut.
    fn require_end(&self, len: u64) -> Result<(), DeltaError> {
        let path = self.path();
        if self.contents.early_end().is_some() || self.member(member::END).is_none() {
            return Err(DeltaError::Cut { path, len });
        }
        if let Some((_, twice)) = self.contents.duplicates().next() {
            return Err(self.damaged(format!("it has two members {}", twice.name)));
        }
        Ok(())
    }

    fn require_sizes(&self) -> Result<(), DeltaError> {
        for (name, stream) in named(&self.description.streams) {
            let found = self.member(name).map_or(0, |bytes| bytes.len());
            if found != stream.size {
                let claimed = stream.size;
                return Err(self.damaged(format!(
                    "its member {name} has {found} bytes, its description says {claimed}"
                )));
            }
        }
        Ok(())
    }

    fn member(&self, name: &str) -> Option<Slice> {
        let member = self.contents.member(&MemberName::new(name.as_bytes()))?;
        match member.kind {
            MemberKind::File(span) => Some(self.contents.source().slice(span)),
            _ => None,
        }
    }

    /// Compares all its bytes with the digest at its end.
    ///
    /// # Errors
    ///
    /// [`DeltaError::Altered`] if they do not have it, [`DeltaError::Damaged`] if there is none.
    pub fn check(&self) -> Result<(), DeltaError> {
        let name = MemberName::new(member::END.as_bytes());
        let end = self.contents.member(&name);
        let bytes = self.member(member::END).filter(|end| end.len() == END_LEN);
        let (Some(end), Some(bytes)) = (end, bytes) else {
            return Err(self.damaged("it does not end with a digest"));
        };
        let text = String::from_utf8(bytes.read_all()?).unwrap_or_default();
        let claimed = Digest::from_sha256_hex(text.trim_end());
        let claimed = claimed.map_err(|_| self.damaged("what it ends with is not a digest"))?;
        let before = self.contents.source().slice(Span {
            offset: 0,
            len: end.offset,
        });
        let computed = super::same::digest(&before)?;
        if computed != claimed {
            return Err(DeltaError::Altered {
                path: self.path(),
                len: end.offset,
                claimed,
                computed,
            });
        }
        Ok(())
    }

    /// Checks what can be checked without the sources: the digest at its end, and that every stream decodes to as many
    /// bytes as the description says.
    ///
    /// # Errors
    ///
    /// As [`Self::check`], and [`DeltaError::Damaged`] for a stream that does not.
    pub fn verify(&self, options: &Options<'_>) -> Result<(), DeltaError> {
        self.check()?;
        let mut streams = self.streams()?;
        let expanded =
            named(&self.description.streams).map(|(name, stream)| (name, stream.expanded));
        let all = [
            &mut streams.control,
            &mut streams.headers,
            &mut streams.differences,
            &mut streams.data,
        ];
        let total = expanded
            .iter()
            .fold(0, |sum: u64, (_, len)| sum.saturating_add(*len));
        let task = options.progress.begin(steps::DECOMPRESSING, Some(total));
        let mut buf = vec![0; BUFFER];
        for (stream, (name, expanded)) in all.into_iter().zip(expanded) {
            let mut read = 0;
            let mut drain = || -> io::Result<bool> {
                loop {
                    let n = stream.read(&mut buf)?;
                    if n == 0 {
                        return stream.is_at_end();
                    }
                    read += n as u64;
                    task.advance(n as u64);
                }
            };
            let is_whole = drain().map_err(|error| self.damaged(format!("{name}: {error}")))?;
            if !is_whole || read != expanded {
                return Err(self.damaged(format!(
                    "{name} does not decode to the {expanded} bytes that its description says"
                )));
            }
        }
        Ok(())
    }

    /// Its streams, to be read from their beginnings.
    pub(super) fn streams(&self) -> Result<StreamReaders, DeltaError> {
        let streams = &self.description.streams;
        let nothing = || self.contents.source().slice(Span { offset: 0, len: 0 });
        let bytes = |name| self.member(name).unwrap_or_else(nothing);
        let open = |name, stream: &StreamSize| FrameReader::new(&bytes(name), stream.expanded);
        let open_all = || -> io::Result<StreamReaders> {
            Ok(StreamReaders {
                control: open(member::CONTROL, &streams.control)?,
                headers: open(member::HEADERS, &streams.headers)?,
                differences: open(member::DIFFERENCES, &streams.differences)?,
                data: open(member::DATA, &streams.data)?,
                stored: bytes(member::STORED),
                stored_at: 0,
            })
        };
        open_all().map_err(|error| self.damaged(error.to_string()))
    }
}

fn read(contents: &Contents, path: &str) -> Result<DeltaDescription, DeltaError> {
    let path = || path.to_owned();
    let damaged = |what: String| DeltaError::Damaged { path: path(), what };
    let name = MemberName::new(member::DESCRIPTION.as_bytes());
    let Some(MemberKind::File(span)) = contents.member(&name).map(|member| &member.kind) else {
        let len = contents.source().len();
        return Err(DeltaError::Cut { path: path(), len });
    };
    if span.len > LONGEST {
        let len = span.len;
        return Err(damaged(format!(
            "its description has {len} bytes, more than the {LONGEST} that are read"
        )));
    }
    let text = contents.source().slice(*span).read_all()?;
    let newer = |what: String| DeltaError::Newer { path: path(), what };
    // What a newer version is called has to be known before anything else of it.
    let loose: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| damaged(format!("its description cannot be read: {error}")))?;
    if loose.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
        return Err(DeltaError::NotDelta { path: path() });
    }
    let version = loose.get("version").and_then(serde_json::Value::as_u64);
    if let Some(version) = version.filter(|version| *version > u64::from(VERSION)) {
        return Err(newer(format!("it has version {version} of the format")));
    }
    let description: DeltaDescription = serde_json::from_value(loose).map_err(|error| {
        let text = error.to_string();
        if text.contains("newer imgtar") {
            newer(text)
        } else {
            damaged(format!("its description cannot be read: {text}"))
        }
    })?;
    match description.requires.first() {
        Some(word) => Err(newer(format!("it requires `{word}`"))),
        None => Ok(description),
    }
}

/// A compressed stream of a delta. It gives no more bytes than the description says.
pub(super) struct FrameReader {
    /// None if the stream is empty: then the delta has no member for it.
    inner: Option<Frame>,
}

type Frame = BufReader<Take<zstd::stream::read::Decoder<'static, BufReader<SliceReader>>>>;

impl FrameReader {
    fn new(bytes: &Slice, expanded: u64) -> io::Result<Self> {
        if bytes.is_empty() {
            return Ok(Self { inner: None });
        }
        let reader = BufReader::with_capacity(BUFFER, bytes.reader());
        let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
        decoder.window_log_max(WINDOW)?;
        let inner = decoder.single_frame().take(expanded);
        Ok(Self {
            inner: Some(BufReader::with_capacity(BUFFER, inner)),
        })
    }

    /// Whether all its bytes were read.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        let Some(inner) = &mut self.inner else {
            return Ok(true);
        };
        if !io::BufRead::fill_buf(inner)?.is_empty() {
            return Ok(false);
        }
        // A frame ends with a checksum, which is compared when it is read to its end.
        let mut more = [0];
        Ok(inner.get_mut().get_mut().read(&mut more)? == 0)
    }
}

impl Read for FrameReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Some(inner) => inner.read(buf),
            None => Ok(0),
        }
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameReader")
    }
}

/// The streams of a delta that is read.
#[derive(Debug)]
pub(super) struct StreamReaders {
    pub(super) control: FrameReader,
    pub(super) headers: FrameReader,
    pub(super) differences: FrameReader,
    pub(super) data: FrameReader,
    pub(super) stored: Slice,
    /// How many of the stored bytes were taken.
    pub(super) stored_at: u64,
}
