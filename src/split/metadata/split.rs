//! A tar taken apart as tar-split does it: JSON lines, one for each stretch of raw bytes and one for
//! each file whose body stands elsewhere.
//!
//! The form is that of `vbatts/tar-split` (`tar/storage/entry.go`), which Docker keeps for every layer
//! in its store, so its tools read these streams and ours reads theirs. The lines are those that its
//! `disasm` writes, with two differences that its readers do not notice: the body of a sparse file is
//! a raw stretch (tar-split stores expanded content, from which the layer cannot be restored), and a
//! raw stretch is at most [`RAW_LIMIT`] bytes long.
//!
//! Threats: a line is at most [`LINE_LIMIT`] bytes; a line with anything that this reader does not know is
//! refused; positions have to count up from 0.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Seek as _, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::GzEncoder;
use serde::Deserialize;
use tempfile::SpooledTempFile;

use super::error::StreamFault;
use crate::source::{Slice, SourceError, Span};
use crate::tar::{Kind, Positioned, TarError, Walker};

/// How long a raw stretch may be, in bytes.
pub(crate) const RAW_LIMIT: usize = 1 << 20;

/// How long a line may be, in bytes: a raw stretch in base64, or a name of a mebibyte (what PAX headers
/// can hold) with every byte escaped.
const LINE_LIMIT: u64 = 8 << 20;

/// A piece of a tar that is taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamPiece<'p> {
    /// Bytes as they stand: headers, padding, the end of the archive.
    Raw(Cow<'p, [u8]>),
    /// An entry; its body comes next if `size` is not 0, and is not here.
    File {
        /// The entry's name as written.
        name: Cow<'p, [u8]>,
        /// How long its body is, in bytes.
        size: u64,
        /// The checksum of its body: CRC-64 as [`super::crc`] has it; `None` where the line has none.
        crc: Option<u64>,
    },
}

// --- writing --------------------------------------------------------------------------------------

/// Up to which size the lines are held in memory, compressed. The stored bytes of sparse files and what
/// follows the end of a tar are in them, so they can become as large as the tar.
const HELD: usize = 256 << 10;

/// Writes the lines, compressed by gzip.
#[derive(Debug)]
pub(crate) struct SplitWriter {
    out: GzEncoder<SpooledTempFile>,
    line: String,
    position: u64,
}

impl SplitWriter {
    pub(crate) fn new() -> Self {
        Self {
            out: GzEncoder::new(SpooledTempFile::new(HELD), flate2::Compression::default()),
            line: String::new(),
            position: 0,
        }
    }

    /// The position of the next line.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Adds a raw stretch, of any length; an empty one too, since tar-split ends with one.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.line.clear();
        self.line.push_str("{\"type\":2,\"payload\":\"");
        STANDARD.encode_string(bytes, &mut self.line);
        self.line.push('"');
        self.end_line()
    }

    /// Adds an entry. `crc` is the checksum of the body, which is left out of lines without one.
    pub(crate) fn file(&mut self, name: &[u8], size: u64, crc: u64) -> io::Result<()> {
        self.line.clear();
        self.line.push_str("{\"type\":1,");
        match std::str::from_utf8(name) {
            Ok("") => {}
            Ok(name) => {
                self.line.push_str("\"name\":");
                go_string(&mut self.line, name);
                self.line.push(',');
            }
            Err(_) => {
                self.line.push_str("\"name_raw\":\"");
                STANDARD.encode_string(name, &mut self.line);
                self.line.push_str("\",");
            }
        }
        if size == 0 {
            self.line.push_str("\"payload\":null");
        } else {
            // A String takes everything.
            _ = write!(self.line, "\"size\":{size},\"payload\":\"");
            STANDARD.encode_string(crc.to_be_bytes(), &mut self.line);
            self.line.push('"');
        }
        self.end_line()
    }

    fn end_line(&mut self) -> io::Result<()> {
        _ = writeln!(self.line, ",\"position\":{}}}", self.position);
        self.position += 1;
        self.out.write_all(self.line.as_bytes())
    }

    /// The compressed lines, and how many bytes they have.
    pub(crate) fn finish(self) -> io::Result<(SpooledTempFile, u64)> {
        let mut out = self.out.finish()?;
        let len = out.stream_position()?;
        out.rewind()?;
        Ok((out, len))
    }
}

/// A string as Go's `encoding/json` writes it, which escapes what could end a script in HTML.
fn go_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

// --- taking apart ---------------------------------------------------------------------------------

/// Where the pieces of a tar lie.
#[derive(Debug)]
pub(crate) enum Stretch {
    /// A raw stretch; longer than [`RAW_LIMIT`] in rare cases.
    Raw(Span),
    /// An entry and the stretch of its body, which may be empty.
    File { name: Vec<u8>, body: Span },
}

/// Shows the pieces of the tar in `slice` in order; together they are every byte of it.
pub(crate) fn take_apart<E: From<TarError>>(
    slice: &Slice,
    mut see: impl FnMut(Stretch) -> Result<(), E>,
) -> Result<(), E> {
    let mut walker = Walker::new(Positioned::new(slice.clone()));
    let mut from = 0;
    while let Some(entry) = walker.next_entry()? {
        // tar-split does not tell a global header from other bytes either.
        if entry.kind == Kind::Global {
            continue;
        }
        let raw = |from: u64, to: u64| Span {
            offset: from,
            len: to - from,
        };
        let len = if entry.kind == Kind::File && entry.sparse.is_none() {
            entry.stored_size
        } else {
            0
        };
        see(Stretch::Raw(raw(from, entry.data_offset)))?;
        see(Stretch::File {
            name: entry.path,
            body: Span {
                offset: entry.data_offset,
                len,
            },
        })?;
        from = entry.data_offset + len;
    }
    // What Go's reader has read when it meets the end, then the rest.
    let end = walker.position().max(from);
    if end > from {
        see(Stretch::Raw(Span {
            offset: from,
            len: end - from,
        }))?;
    }
    let rest = Span {
        offset: end,
        len: slice.len() - end,
    };
    if rest.len > 0 {
        see(Stretch::Raw(rest))?;
    }
    see(Stretch::Raw(Span {
        offset: slice.len(),
        len: 0,
    }))
}

/// Shows a raw stretch in pieces that fit into a line; an empty one too.
pub(super) fn each_raw<E: From<SourceError>>(
    slice: &Slice,
    span: Span,
    mut see: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let raw = slice.slice(span);
    let mut at = 0;
    loop {
        let piece = raw.slice(Span {
            offset: at,
            len: RAW_LIMIT as u64,
        });
        see(&piece.read_all()?)?;
        at += piece.len();
        if at >= raw.len() {
            return Ok(());
        }
    }
}

// --- reading --------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitLine<'l> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(borrow)]
    name: Option<Cow<'l, str>>,
    #[serde(borrow)]
    name_raw: Option<&'l str>,
    #[serde(default)]
    size: u64,
    #[serde(borrow)]
    payload: Option<&'l str>,
    position: u64,
}

/// How much is read at a time.
const BUFFER: usize = 32 << 10;

/// Reads the lines of a stream that was decoded.
pub(crate) struct Lines<R: Read> {
    inner: BufReader<R>,
    line: Vec<u8>,
    number: u64,
    /// Where the next line begins in what was decoded.
    offset: u64,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// Its number, from 0.
    pub(crate) number: u64,
    /// Where it begins in what was decoded, in bytes.
    pub(crate) offset: u64,
}

impl At {
    /// The fault of a line that stands here.
    pub(crate) fn invalid(self, why: impl Into<String>) -> StreamFault {
        StreamFault::Invalid {
            line: self.number,
            offset: self.offset,
            why: why.into(),
        }
    }
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner: BufReader::with_capacity(BUFFER, inner),
            line: Vec::new(),
            number: 0,
            offset: 0,
        }
    }

    /// The next line, without what ends it, and where it stands; `None` at the end.
    pub(crate) fn next_line(&mut self) -> Result<Option<(At, &[u8])>, StreamFault> {
        self.line.clear();
        let at = At {
            number: self.number,
            offset: self.offset,
        };
        let limited = (&mut self.inner).take(LINE_LIMIT);
        let n = { limited }.read_until(b'\n', &mut self.line);
        let n = n.map_err(StreamFault::Read)?;
        if n == 0 {
            return Ok(None);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if n as u64 == LINE_LIMIT {
            return Err(at.invalid(format!("it is longer than {LINE_LIMIT} bytes")));
        }
        self.number += 1;
        self.offset += n as u64;
        Ok(Some((at, &self.line)))
    }
}

/// Reads a stream of [`StreamPiece`]s.
pub(crate) struct SplitReader<R: Read> {
    lines: Lines<R>,
    payload: Vec<u8>,
    /// How many bytes the pieces read so far have.
    bytes: u64,
}

impl<R: Read> SplitReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            lines: Lines::new(inner),
            payload: Vec::new(),
            bytes: 0,
        }
    }

    /// The next piece and its position.
    pub(crate) fn next_piece(&mut self) -> Result<Option<(u64, StreamPiece<'_>)>, StreamFault> {
        let Some((at, line)) = self.lines.next_line()? else {
            return Ok(None);
        };
        let number = at.number;
        let invalid = |why: String| at.invalid(why);
        let line: SplitLine<'_> =
            serde_json::from_slice(line).map_err(|why| invalid(why.to_string()))?;
        if line.position != number {
            let why = format!("the position is {}, it should be {number}", line.position);
            return Err(invalid(why));
        }
        // Every entry has a header, so a stream of entries alone is an attack on the reader's time.
        if number > 64 + self.bytes / 128 {
            return Err(invalid("there are more lines than headers".into()));
        }
        let bytes = |text: &str, into: &mut Vec<u8>| {
            into.clear();
            STANDARD
                .decode_vec(text, into)
                .map_err(|why| invalid(format!("not base64: {why}")))
        };
        let piece = match line.kind {
            1 => {
                let name = match (line.name, line.name_raw) {
                    (Some(name), None) => Cow::Owned(name.into_owned().into_bytes()),
                    (None, Some(raw)) => {
                        bytes(raw, &mut self.payload)?;
                        Cow::Borrowed(&*self.payload)
                    }
                    (None, None) => Cow::Borrowed(&b""[..]),
                    (Some(_), Some(_)) => return Err(invalid("an entry has two names".into())),
                };
                let crc = line.payload.and_then(|text| STANDARD.decode(text).ok());
                StreamPiece::File {
                    name,
                    size: line.size,
                    crc: crc.and_then(|sum| Some(u64::from_be_bytes(sum.try_into().ok()?))),
                }
            }
            2 => {
                if line.name.is_some() || line.name_raw.is_some() || line.size != 0 {
                    return Err(invalid("a raw stretch has a name or a size".into()));
                }
                bytes(line.payload.unwrap_or_default(), &mut self.payload)?;
                StreamPiece::Raw(Cow::Borrowed(&self.payload))
            }
            other => return Err(invalid(format!("lines of type {other} are not known"))),
        };
        let len = match &piece {
            StreamPiece::Raw(bytes) => bytes.len() as u64,
            StreamPiece::File { size, .. } => *size,
        };
        self.bytes = self
            .bytes
            .checked_add(len)
            .ok_or_else(|| invalid("the sizes add up to more than is possible".into()))?;
        Ok(Some((number, piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::metadata::crc::CRC64;

    fn decoded(bytes: &[u8]) -> impl Read {
        flate2::bufread::GzDecoder::new(bytes)
    }

    #[test]
    fn lines_are_as_go_writes_them_and_come_back() {
        let mut writer = SplitWriter::new();
        writer.raw(b"head").expect("memory");
        writer
            .file(
                "d&<\u{e9}/\"\u{1}".as_bytes(),
                9,
                CRC64.checksum(b"123456789"),
            )
            .expect("memory");
        writer.file(b"n\xff", 0, 0).expect("memory");
        writer.raw(b"").expect("memory");
        let (mut file, len) = writer.finish().expect("memory");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("memory");
        assert_eq!(bytes.len() as u64, len);
        let mut text = String::new();
        decoded(&bytes).read_to_string(&mut text).expect("text");
        let wanted = "{\"type\":2,\"payload\":\"aGVhZA==\",\"position\":0}\n\
            {\"type\":1,\"name\":\"d\\u0026\\u003c\u{e9}/\\\"\\u0001\",\"size\":9,\"payload\":\"uQlWx3WkEAE=\",\"position\":1}\n\
            {\"type\":1,\"name_raw\":\"bv8=\",\"payload\":null,\"position\":2}\n\
            {\"type\":2,\"payload\":\"\",\"position\":3}\n";
        assert_eq!(text, wanted);
        let mut reader = SplitReader::new(decoded(&bytes));
        let mut pieces = Vec::new();
        while let Some((_, piece)) = reader.next_piece().expect("sound") {
            pieces.push(match piece {
                StreamPiece::Raw(bytes) => (bytes.into_owned(), None),
                StreamPiece::File { name, size, .. } => (name.into_owned(), Some(size)),
            });
        }
        assert_eq!(
            pieces,
            [
                (b"head".to_vec(), None),
                ("d&<\u{e9}/\"\u{1}".into(), Some(9)),
                (b"n\xff".to_vec(), Some(0)),
                (Vec::new(), None),
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let gz = |text: &str| {
            let mut out = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(text.as_bytes()).expect("memory");
            out.finish().expect("memory")
        };
        for (text, wanted) in [
            ("{\"type\":3,\"payload\":null,\"position\":0}", "type 3"),
            (
                "{\"type\":2,\"payload\":\"\",\"position\":1}",
                "position is 1",
            ),
            ("{\"type\":2,\"payload\":\"*\",\"position\":0}", "base64"),
            ("{\"type\":2,\"position\":0,\"more\":1}", "unknown field"),
            (
                "{\"type\":1,\"name\":\"a\",\"size\":-1,\"position\":0}",
                "invalid value",
            ),
            ("nothing", "expected"),
        ] {
            let bytes = gz(text);
            let fault = SplitReader::new(decoded(&bytes))
                .next_piece()
                .expect_err(text);
            assert!(fault.to_string().contains(wanted), "{fault}");
        }
    }
}
