//! Recognises files that cannot be read as a tar, by their first bytes.
//!
//! People give imgtar what they have: a sign-in page in place of a download, a tar that went through a pipe for text,
//! one part of several, a zip. "No tar header" does not help them, so this module names the cause, for all commands.
//! It is used only if the first header cannot be read, and never decides whether a file is an archive.
//!
//! Threats: at most [`HEAD`] bytes are read at the beginning and [`TAIL`] at the end, and nothing is
//! decoded beyond them; what is shown of the file is cut to [`SHOWN`] characters.

mod format;
mod mangled;
mod refuse;
mod text;
mod transcoded;

use std::fmt;

use bstr::ByteSlice;

pub use format::{Cipher, Compressor, Format};
pub use mangled::Mangled;
pub use refuse::require_tar;
pub(super) use refuse::{not_tar, refuse_zeros};
pub use text::{JsonText, TextForm};
pub use transcoded::TextEncoding;

use crate::source::{Compression, Source, SourceError, sniff};
use crate::tar::{BLOCK, is_header};

/// How much of the beginning of a file is looked at, in bytes: the magic of ISO 9660 lies 32 KiB deep.
const HEAD: usize = 64 * 1024;
/// How much of the end is.
const TAIL: usize = 64 * 1024;
/// How many characters of a file's own text a message shows.
const SHOWN: usize = 100;

/// What a file is that cannot be read as a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Something that a program took for text and wrote in another encoding; its bytes are lost.
    Transcoded {
        /// Into which encoding.
        encoding: TextEncoding,
        /// What it was before.
        content: HiddenContent,
    },
    /// Text that stands for bytes; they can be restored.
    Encoded {
        /// How.
        form: TextForm,
        /// Which bytes.
        content: HiddenContent,
    },
    /// A page that a server sent instead of a file.
    Page {
        /// Its title, or what the server says went wrong.
        title: Option<String>,
    },
    /// The answer of a server with its headers in front.
    Http {
        /// The first line.
        status: String,
    },
    /// JSON.
    Json(JsonText),
    /// Names of files, as `tar -t` and `tar -xv` print them.
    Listing,
    /// Checksums of files, as `sha256sum` prints them.
    Checksums,
    /// What Git LFS keeps in a repository instead of a file.
    GitLfs {
        /// The size of the file in bytes.
        size: Option<u64>,
    },
    /// What git-annex keeps in a repository instead of a file.
    GitAnnex,
    /// A script.
    Script {
        /// The program that runs it, as its first line says.
        interpreter: String,
    },
    /// Any other text.
    Text {
        /// Its first line.
        first: String,
    },
    /// A file of a known format.
    Format(Format),
    /// What stands in the middle of a tar: one part of several, or parts in the wrong order.
    Middle {
        /// Where the first header stands, in bytes.
        header: u64,
    },
    /// Nothing but zeros, as far as one can see: room for a file that was never written.
    Zeros {
        /// How many.
        len: u64,
    },
    /// Less than one header, and nothing that is known.
    Short {
        /// How many bytes.
        len: u64,
    },
}

/// What bytes are that are hidden in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HiddenContent {
    /// A tar.
    Tar,
    /// Something compressed.
    Compressed(Compression),
    /// Something else.
    Unknown,
}

impl Foreign {
    /// Looks at the beginning of `source`, which cannot be read as a tar, and at its end; `None` if
    /// nothing in it is known.
    ///
    /// # Errors
    ///
    /// [`SourceError`] if it cannot be read.
    pub fn of(source: &Source) -> Result<Option<Self>, SourceError> {
        let len = source.len();
        let head = window(source, 0, HEAD)?;
        let zeros = head.iter().take_while(|&&b| b == 0).count();
        let end_at = len.saturating_sub(TAIL as u64);
        let end = || window(source, end_at.max(head.len() as u64), TAIL);
        if let Some(format) = Format::of(&head) {
            return Ok(Some(Self::Format(format)));
        }
        if zeros == head.len() {
            let all = end()?.iter().all(|&b| b == 0);
            return Ok(all.then_some(Self::Zeros { len }));
        }
        if let Some(foreign) = transcoded::of(&head).or_else(|| text::of(&head, len)) {
            return Ok(Some(foreign));
        }
        // A first header that is damaged does not make it the middle of a tar.
        if !has_magic(&head) {
            let found = header_in(&head).map(|at| at as u64);
            let found = match found {
                Some(header) => Some(header),
                None => end_header(&end()?).map(|at| end_at.max(head.len() as u64) + at as u64),
            };
            if let Some(header) = found {
                return Ok(Some(Self::Middle { header }));
            }
            if let Some(format) = Format::guess(&head) {
                return Ok(Some(Self::Format(format)));
            }
        }
        Ok((len < BLOCK as u64).then_some(Self::Short { len }))
    }
}

impl HiddenContent {
    /// Of the first bytes.
    fn of(bytes: &[u8]) -> Self {
        match sniff(bytes) {
            Compression::None if is_header(bytes) => Self::Tar,
            Compression::None => Self::Unknown,
            compression => Self::Compressed(compression),
        }
    }
}

impl fmt::Display for HiddenContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tar => f.write_str("a tar archive"),
            Self::Compressed(compression) => write!(f, "{compression} data"),
            Self::Unknown => f.write_str("something"),
        }
    }
}

impl fmt::Display for Foreign {
    /// What follows "it is".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transcoded {
                encoding,
                content: HiddenContent::Unknown,
            } => write!(f, "{encoding} text"),
            Self::Transcoded { encoding, content } => write!(
                f,
                "{content} that was turned into {encoding} text, as pipes and redirections of PowerShell do"
            ),
            Self::Encoded { form, content } => match content {
                HiddenContent::Unknown => write!(f, "{form}"),
                content => write!(f, "{form} of {content}"),
            },
            Self::Page { title: None } => f.write_str("a web page (HTML)"),
            Self::Page { title: Some(title) } => write!(f, "a web page (HTML): `{title}`"),
            Self::Http { status } => {
                write!(f, "a web server's response with its headers: `{status}`")
            }
            Self::Json(json) => json.fmt(f),
            Self::Listing => f.write_str("a list of files, as `tar -tv` and `tar -xv` print it"),
            Self::Checksums => f.write_str("a list of checksums, as `sha256sum` prints it"),
            Self::GitLfs { size: None } => f.write_str("a Git LFS pointer, not the file itself"),
            Self::GitLfs { size: Some(size) } => {
                write!(f, "a Git LFS pointer, not the file of {size} bytes itself")
            }
            Self::GitAnnex => f.write_str("a git-annex pointer, not the file itself"),
            Self::Script { interpreter } => write!(f, "a script for {interpreter}"),
            Self::Text { first } => write!(f, "text: `{first}`"),
            Self::Format(format) => format.fmt(f),
            Self::Middle { header } => write!(
                f,
                "from the middle of a tar archive: the first header is at byte {header}"
            ),
            Self::Zeros { len } => write!(
                f,
                "nothing but zeros ({len} bytes): its content was never written or is lost"
            ),
            Self::Short { len } => {
                write!(f, "only {len} bytes long, less than the header of one file")
            }
        }
    }
}

/// Reads up to `len` bytes at `offset`.
fn window(source: &Source, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
    let left = source.len().saturating_sub(offset);
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(len).min(len)];
    let n = source.read_at(&mut bytes, offset)?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Whether the first block has the magic of a tar header where it should be.
fn has_magic(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// Where in `bytes` headers stand, at any place: their magic leads to them.
fn headers(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes
        .find_iter("ustar")
        .filter_map(|magic| magic.checked_sub(257))
        .filter(|&at| is_header(&bytes[at..]))
}

/// The first header in the beginning of a file: wherever its magic is, and old ones without at whole
/// blocks.
fn header_in(head: &[u8]) -> Option<usize> {
    let old = (0..head.len())
        .step_by(BLOCK)
        .find(|&at| is_header(&head[at..]));
    headers(head).chain(old).min()
}

/// The first header in the end of a file.
fn end_header(end: &[u8]) -> Option<usize> {
    headers(end).next()
}

/// Text of a file for a message: one line, cut.
fn shown(bytes: &[u8]) -> String {
    let text = bytes.to_str_lossy();
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(SHOWN) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}
