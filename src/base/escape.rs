//! Text and names from archives, as people may see them.
//!
//! Archives come from other people, and what they hold must not act on a terminal or deceive its
//! reader. What would do so is escaped:
//!
//! | Shown | Stands for |
//! |---|---|
//! | `\n`, `\r`, `\t` | these control characters |
//! | `\x1b` | a byte: another control character of ASCII, or a byte that is not part of UTF-8 text |
//! | `\u{202e}` | a character: another control character, or one that is not visible |
//! | `\\` | a backslash, in names alone |
//!
//! [`name`] escapes names, which are bytes. No two names look alike, and [`readings`] reads a name in
//! this form again. [`text`] escapes text, which keeps its backslashes.
//!
//! Unicode decides which characters are not visible: the general categories `Cc`, `Cf`, `Zl` and
//! `Zp`, and the property `Default_Ignorable_Code_Point`.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// What is escaped, in Unicode's words.
const CLASS: &str = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]";

/// The first and last characters of all ranges of [`CLASS`], in order.
static RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let hir = regex_syntax::parse(CLASS).expect("the pattern is constant, and a test parses it");
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges().iter();
            ranges.map(|range| (range.start(), range.end())).collect()
        }
        _ => unreachable!("the pattern is a class of characters"),
    }
});

/// Whether a character acts on a terminal, or hides in text.
pub fn is_dangerous(c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\0'..='\u{9f}' => true,
        _ => {
            let after = RANGES.partition_point(|(first, _)| *first <= c);
            after > 0 && c <= RANGES[after - 1].1
        }
    }
}

/// Text with everything escaped that [`is_dangerous`].
pub fn text(text: &str) -> Cow<'_, str> {
    text_but(text, "")
}

/// The same, but lets the characters in `kept` pass.
pub fn text_but<'t>(text: &'t str, kept: &str) -> Cow<'t, str> {
    let acts = |c: char| is_dangerous(c) && !kept.contains(c);
    if is_plain(text.as_bytes()) || !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            // Nothing fails to be written to memory.
            _ = write_char(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// A name as people may see it; it is escaped when it is displayed.
pub fn name(bytes: &[u8]) -> EscapedName<'_> {
    EscapedName(bytes)
}

/// A name that [`name`] escapes.
#[derive(Clone, Copy, Debug)]
pub struct EscapedName<'n>(&'n [u8]);

impl fmt::Display for EscapedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let valid = chunk.valid();
            if is_plain(valid.as_bytes()) && !valid.contains('\\') {
                f.write_str(valid)?;
            } else {
                for c in valid.chars() {
                    match c {
                        '\\' => f.write_str("\\\\")?,
                        c if is_dangerous(c) => write_char(f, c)?,
                        c => f.write_char(c)?,
                    }
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl EscapedName<'_> {
    /// Writes the name escaped to `out`.
    ///
    /// # Errors
    ///
    /// What `out` answers.
    pub fn write_to(self, out: &mut dyn io::Write) -> io::Result<()> {
        // Most names need nothing, and an image may have a million.
        if is_plain(self.0) && !self.0.contains(&b'\\') {
            out.write_all(self.0)
        } else {
            write!(out, "{self}")
        }
    }
}

/// A path of the file system as people may see it: as it was given, or escaped as [`name`] does it if
/// it is not UTF-8.
pub fn path(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => name(path.as_os_str().as_encoded_bytes()).to_string(),
    }
}

/// Whether all of it is visible ASCII.
fn is_plain(bytes: &[u8]) -> bool {
    // Without a way out in between, so that many bytes are looked at at once.
    bytes
        .iter()
        .fold(true, |plain, b| plain & matches!(b, b' '..=b'~'))
}

fn write_char(out: &mut impl Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    }
}

/// What a name on the command line may mean, the likeliest first: the name that is shown so, the
/// bytes themselves, and what its escapes mean if it is not the form in which it is shown
/// (`\xE4`, or `\344` as `tar` and `ls` show bytes).
pub fn readings(given: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let escapes = given.contains(&b'\\').then(|| unescaped(given)).flatten();
    let shown = |bytes: &Vec<u8>| name(bytes).to_string().as_bytes() == given;
    let (first, last) = match escapes {
        Some(bytes) if shown(&bytes) => (Some(bytes), None),
        other => (None, other),
    };
    let owned = |bytes: Option<Vec<u8>>| bytes.map(Cow::Owned);
    let all = [owned(first), Some(Cow::Borrowed(given)), owned(last)];
    all.into_iter().flatten()
}

/// What the escapes in `given` mean; `None` if a backslash begins none.
fn unescaped(given: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(given.len());
    let mut rest = given;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&kind, behind) = rest.split_first()?;
        rest = behind;
        match kind {
            b'\\' => bytes.push(b'\\'),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'x' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                bytes.push(u8::try_from(number(digits, 16)?).ok()?);
                rest = behind;
            }
            b'0'..=b'3' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                let high = u32::from(kind - b'0') * 64;
                bytes.push(u8::try_from(high + number(digits, 8)?).ok()?);
                rest = behind;
            }
            b'u' => {
                let inner = rest.strip_prefix(b"{")?;
                let end = inner.iter().position(|&b| b == b'}')?;
                let c = char::from_u32(number(&inner[..end], 16)?)?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &inner[end + 1..];
            }
            _ => return None,
        }
    }
    Some(bytes)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    let digits = text.chars().all(|c| c.is_digit(radix));
    digits.then(|| u32::from_str_radix(text, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_or_hides_is_escaped() {
        assert_eq!(
            text("a\x1b[31mb\r\n\t\x7f\u{9b}\u{202e}c"),
            "a\\x1b[31mb\\r\\n\\t\\x7f\\u{9b}\\u{202e}c"
        );
        assert_eq!(text_but("a\n\tb\r", "\n\t"), "a\n\tb\\r");
        for plain in ["plain 文件 é \\ ~", "e\u{301}", "🦀", "\u{a0}"] {
            assert!(matches!(text(plain), Cow::Borrowed(_)), "{plain}");
        }
        // Soft hyphen, grapheme joiner, fillers, joiners, variation selectors, tags, shorthand, music.
        for c in "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{200b}\u{200d}\u{200f}\u{2028}\
                  \u{2060}\u{2064}\u{2069}\u{206a}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{fff9}\u{fffb}\
                  \u{1bca0}\u{1d173}\u{e0001}\u{e0041}\u{e0100}\u{e0fff}"
            .chars()
        {
            assert!(is_dangerous(c), "{c:?}");
            assert_eq!(text(&c.to_string()), format!("\\u{{{:x}}}", u32::from(c)));
        }
    }

    #[test]
    fn names_can_be_read_again() {
        let names: [&[u8]; 9] = [
            b"plain",
            b"file-\xe4",
            "file-ä".as_bytes(),
            b"a\\xe4",
            b"a\\",
            b"\x1b[2J\n\t\r\x7f",
            "\u{9b}\u{202e}".as_bytes(),
            b"\xff\xfe\\\\n",
            b"\xe2\x80",
        ];
        for bytes in names {
            let shown = name(bytes).to_string();
            assert!(!shown.chars().any(is_dangerous), "{shown}");
            let read = readings(shown.as_bytes()).next().expect("one at the least");
            assert_eq!(*read, *bytes, "{shown}");
            assert!(readings(bytes).any(|read| *read == *bytes), "{shown}");
            let mut written = Vec::new();
            name(bytes).write_to(&mut written).expect("memory");
            assert_eq!(written, shown.as_bytes());
        }
        assert_eq!(name(b"file-\xe4\\").to_string(), "file-\\xe4\\\\");
    }

    #[test]
    fn other_spellings_come_last() {
        let read = |given: &str| -> Vec<Vec<u8>> {
            readings(given.as_bytes()).map(Cow::into_owned).collect()
        };
        assert_eq!(read("a"), [b"a"]);
        assert_eq!(read("\\xE4"), [b"\\xE4".to_vec(), b"\xe4".to_vec()]);
        assert_eq!(read("\\344"), [b"\\344".to_vec(), b"\xe4".to_vec()]);
        assert_eq!(read("\\x41"), [b"\\x41".to_vec(), b"A".to_vec()]);
        assert_eq!(read("\\xe4"), [b"\xe4".to_vec(), b"\\xe4".to_vec()]);
        for none in [
            "\\",
            "\\q",
            "\\x1",
            "\\x+1",
            "\\u{}",
            "\\u{d800}",
            "\\u{41",
            "\\39",
        ] {
            assert_eq!(read(none), [none.as_bytes()], "{none}");
        }
    }
}
