//! Checksum files in the form of `sha256sum`, written and read.
//!
//! A line is the digest, a blank, a blank or an asterisk (which says that the file was read as binary,
//! and means nothing on Unix), and the name. A name with a backslash, a newline or a carriage return is
//! escaped, and the line then begins with a backslash (coreutils `src/cksum.c`). The form of
//! `sha256sum --tag`, `SHA256 (NAME) = DIGEST`, is read too.
//!
//! Threats: a checksum file comes with an archive and is no more trustworthy than it. Names are compared, never
//! opened; lines are at most 64 KiB long, files at most 16 MiB.

use crate::base::digest::Digest;

/// How long a checksum file may be, in bytes.
pub const LIMIT: u64 = 16 << 20;

/// One line of a checksum file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumLine {
    /// The name of the file, as it was given to `sha256sum`.
    pub name: Vec<u8>,
    /// Its SHA-256.
    pub digest: Digest,
}

/// Why a checksum file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not a checksum line: {why}")]
pub struct ChecksumError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Reads a checksum file.
///
/// # Errors
///
/// [`ChecksumError`] for the first line that is not one.
pub fn read_checksums(bytes: &[u8]) -> Result<Vec<ChecksumLine>, ChecksumError> {
    let mut lines = Vec::new();
    for (number, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let read = read_line(line).map_err(|why| ChecksumError {
            line: number + 1,
            why,
        })?;
        lines.push(read);
    }
    Ok(lines)
}

fn read_line(line: &[u8]) -> Result<ChecksumLine, &'static str> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hex, name) = if let Some(rest) = line.strip_prefix(b"SHA256 (") {
        let mut middles = rest.windows(4);
        let middle = middles.rposition(|window| window == b") = ");
        let middle = middle.ok_or("`) = ` is missing after the name")?;
        (&rest[middle + 4..], &rest[..middle])
    } else {
        let (hex, rest) = line.split_at_checked(64).ok_or("it is too short")?;
        match rest {
            // Some tools write one blank.
            [b' ', b' ' | b'*', name @ ..] | [b' ', name @ ..] => (hex, name),
            _ => return Err("the digest is not 64 digits long"),
        }
    };
    let hex = std::str::from_utf8(hex).map_err(|_| "the digest is not 64 digits long")?;
    let digest = Digest::from_sha256_hex(&hex.to_ascii_lowercase())
        .map_err(|_| "the digest is not 64 digits long")?;
    let name = if escaped {
        unescape(name).ok_or("its name has an unknown escape")?
    } else {
        name.to_vec()
    };
    if name.is_empty() {
        return Err("it names no file");
    }
    Ok(ChecksumLine { name, digest })
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(&b) = rest.next() {
        plain.push(match b {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            b => b,
        });
    }
    Some(plain)
}

impl ChecksumLine {
    /// The line as `sha256sum` writes it, with its newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.name.len() + 68);
        let escapes = |b: &u8| matches!(b, b'\\' | b'\n' | b'\r');
        if self.name.iter().any(escapes) {
            line.push(b'\\');
        }
        line.extend_from_slice(self.digest.encoded().as_bytes());
        line.extend_from_slice(b"  ");
        for &b in &self.name {
            match b {
                b'\\' => line.extend_from_slice(b"\\\\"),
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\r' => line.extend_from_slice(b"\\r"),
                b => line.push(b),
            }
        }
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn one(line: &str) -> Result<Vec<u8>, ChecksumError> {
        let mut lines = read_checksums(line.as_bytes())?;
        assert_eq!(lines.len(), 1);
        let line = lines.pop().expect("one");
        assert_eq!(line.digest.encoded(), HEX);
        Ok(line.name)
    }

    #[test]
    fn every_form_is_read() {
        for (line, name) in [
            (format!("{HEX}  a.tar\n"), "a.tar"),
            (format!("{HEX} *a.tar\n"), "a.tar"),
            (format!("{HEX} a.tar\n"), "a.tar"),
            (format!("{HEX}   a\n"), " a"),
            (format!("{}  -\r\n", HEX.to_uppercase()), "-"),
            (format!("SHA256 (a) = b.tar) = {HEX}\n"), "a) = b.tar"),
            (format!("\\{HEX}  a\\\\b\\nc\n"), "a\\b\nc"),
            (format!("\\SHA256 (a\\nb) = {HEX}"), "a\nb"),
            (format!("# comment\n\n{HEX}  a"), "a"),
        ] {
            assert_eq!(one(&line), Ok(name.as_bytes().to_vec()), "{line}");
        }
    }

    #[test]
    fn what_is_no_checksum_line_says_where() {
        for line in [
            "x".to_owned(),
            format!("{HEX}\n"),
            format!("{HEX}  "),
            format!("{}  a", &HEX[1..]),
            format!("g{}  a", &HEX[1..]),
            format!("\\{HEX}  a\\x"),
            format!("MD5 (a) = {HEX}"),
            format!("SHA256 (a) {HEX}"),
        ] {
            let text = format!("{HEX}  fine\n{line}");
            assert_eq!(read_checksums(text.as_bytes()).map_err(|e| e.line), Err(2));
        }
    }

    #[test]
    fn a_written_line_is_read_back() {
        for name in ["a", " a", "*a", "a\\b", "a\nb\r", "-", "a  b"] {
            let line = ChecksumLine {
                name: name.as_bytes().to_vec(),
                digest: HEX_DIGEST.parse().expect("a digest"),
            };
            let bytes = line.to_bytes();
            assert!(bytes.ends_with(b"\n") && !bytes[..bytes.len() - 1].contains(&b'\n'));
            assert_eq!(read_checksums(&bytes), Ok(vec![line]));
        }
    }

    const HEX_DIGEST: &str =
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
}
