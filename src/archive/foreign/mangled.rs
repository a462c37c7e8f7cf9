//! What happened in transit to a file that begins as a tar: programs took it for text.
//!
//! Copying an archive as text (FTP in ASCII mode, version control that converts line ends, a
//! pipe of PowerShell 7) changes single bytes everywhere: everything behind them is shifted, so a header
//! is looked for around the place where one should stand.

use std::fmt;

use bstr::ByteSlice;

use super::transcoded::REPLACEMENT;
use super::{HEAD, TextEncoding, headers, window};
use crate::source::{Source, SourceError};
use crate::tar::BLOCK;

/// How many line ends, or lost characters, count as a sign without any header.
const MANY: usize = 8;

/// What happened to a tar in transit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mangled {
    /// Each LF has become CR LF.
    CrAdded,
    /// Each CR LF has become LF.
    CrRemoved,
    /// It was decoded as text and encoded again.
    Transcoded(TextEncoding),
    /// Bytes were added or lost before this header, which does not begin at a whole block.
    Shifted {
        /// Where the header stands, in bytes.
        header: u64,
    },
}

impl Mangled {
    /// Looks at `source` between the last sound header, at `sound`, and what follows `fault`, where the
    /// next one should stand; `None` if nothing tells what happened.
    ///
    /// # Errors
    ///
    /// [`SourceError`] if it cannot be read.
    pub fn of(source: &Source, sound: u64, fault: u64) -> Result<Option<Self>, SourceError> {
        Ok(Self::look(source, sound, fault)?.0)
    }

    /// The same, but only where the next header was found at another place than it should have: text with
    /// the line ends of Windows in front of a damaged header is not a sign by itself.
    ///
    /// # Errors
    ///
    /// [`SourceError`] if it cannot be read.
    pub fn between(source: &Source, sound: u64, fault: u64) -> Result<Option<Self>, SourceError> {
        let (what, has_header) = Self::look(source, sound, fault)?;
        Ok(what.filter(|_| has_header))
    }

    /// What happened, and whether a header was found at another place than it should have.
    fn look(source: &Source, sound: u64, fault: u64) -> Result<(Option<Self>, bool), SourceError> {
        // What lies behind the last header, and what lies around the fault.
        let near = fault.saturating_sub(sound) <= HEAD as u64;
        let from = if near { sound } else { fault - HEAD as u64 };
        let before = usize::try_from(fault.saturating_sub(from)).unwrap_or(0);
        let bytes = window(source, from, before + HEAD)?;
        let shifted = |at: &usize| {
            !(from + *at as u64)
                .wrapping_sub(sound)
                .is_multiple_of(BLOCK as u64)
        };
        let header = headers(&bytes).find(shifted);
        let region = &bytes[..header.unwrap_or(bytes.len())];
        let body = region.get(BLOCK..).unwrap_or(region);
        let crlf = body.find_iter("\r\n").count();
        let lf = body.find_iter("\n").count();
        let Some(at) = header else {
            let what = if transcoded(body) >= MANY {
                Some(Self::Transcoded(TextEncoding::Utf8))
            } else {
                (crlf >= MANY && lf == crlf).then_some(Self::CrAdded)
            };
            return Ok((what, false));
        };
        let header = from + at as u64;
        let shift = (header - sound) % BLOCK as u64;
        let grown = |by: usize| !near || by as u64 % BLOCK as u64 == shift;
        let lost = |by: usize| (shift + by as u64).is_multiple_of(BLOCK as u64);
        let what = if lf > 0 && lf == crlf && grown(crlf) {
            Self::CrAdded
        } else if transcoded(body) > 0 {
            Self::Transcoded(TextEncoding::Utf8)
        } else if crlf == 0 && near && (1..=lf).any(lost) {
            Self::CrRemoved
        } else {
            Self::Shifted { header }
        };
        Ok((Some(what), true))
    }
}

/// How many characters stand for bytes that were lost, if everything is UTF-8.
fn transcoded(body: &[u8]) -> usize {
    let is_utf8 = match body.to_str() {
        Ok(_) => true,
        // The end may lie inside a character.
        Err(why) => why.valid_up_to() + 3 >= body.len(),
    };
    if !is_utf8 {
        return 0;
    }
    // Without one that was lost, each byte of Latin-1 beyond ASCII has become two.
    let lost = body.find_iter(REPLACEMENT).count();
    let latin = body.iter().filter(|b| matches!(b, 0xc2 | 0xc3)).count();
    lost.max(latin)
}

impl fmt::Display for Mangled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrAdded => {
                f.write_str("it was copied as text: each line end (LF) in it has become CR LF")
            }
            Self::CrRemoved => {
                f.write_str("it was copied as text: each CR LF in it seems to have become LF")
            }
            Self::Transcoded(encoding) => write!(
                f,
                "it was copied as text: its bytes were turned into {encoding} characters"
            ),
            Self::Shifted { header } => write!(
                f,
                "bytes were added or went missing on its way: the next header is at byte {header}"
            ),
        }
    }
}
