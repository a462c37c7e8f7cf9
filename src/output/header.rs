//! Tar headers in the form that Docker's exports have.
//!
//! Docker asks Go's `archive/tar` for PAX with times cut to seconds, which comes out as plain USTAR
//! where everything fits, and as a PAX header before a USTAR header where something does not. imgtar
//! writes the same bytes, and one PAX header more where Docker would drop something: fractions of
//! seconds, and extended attributes other than the capability.

use crate::tar::Mtime;
use crate::tree::Xattr;

const BLOCK: usize = 512;
/// The longest name and the longest prefix of a USTAR header, in bytes.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub struct HeaderFields<'h> {
    /// The whole path; directories end in a slash.
    pub path: &'h [u8],
    /// The typeflag.
    pub typeflag: u8,
    /// The target of a link; empty otherwise.
    pub link: &'h [u8],
    /// Permissions, setuid, setgid and sticky.
    pub mode: u16,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// The size of the body that follows, in bytes.
    pub size: u64,
    /// The modification time.
    pub mtime: Mtime,
    /// Device numbers, 0 unless it is a device.
    pub device: (u32, u32),
    /// Extended attributes, sorted by name.
    pub xattrs: &'h [Xattr],
}

/// Appends the header blocks of an entry to `out`.
pub fn encode_header(out: &mut Vec<u8>, fields: &HeaderFields<'_>) {
    let split = split_path(fields.path);
    let records = records(fields, split.is_some());
    if !records.is_empty() {
        encode_pax(out, fields.path, &records);
    }
    let mut block = Block::new();
    match split {
        Some((prefix, name)) if records.is_empty() => {
            block.text(0..NAME, name);
            block.text(345..345 + PREFIX, prefix);
        }
        _ => block.cut_text(0..NAME, fields.path),
    }
    block.octal(100..108, u64::from(fields.mode));
    block.octal(108..116, fields.uid);
    block.octal(116..124, fields.gid);
    block.octal(124..136, fields.size);
    block.octal(136..148, u64::try_from(fields.mtime.seconds).unwrap_or(0));
    block.0[156] = fields.typeflag;
    block.cut_text(157..257, fields.link);
    block.octal(329..337, u64::from(fields.device.0));
    block.octal(337..345, u64::from(fields.device.1));
    block.finish(out);
}

/// Prefix and name of a path that USTAR can hold; the prefix is empty if the name holds it all.
///
/// The path is split at the last slash that leaves a prefix of at most 155 bytes (Go
/// `splitUSTARPath`).
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !is_ascii(path) {
        return None;
    }
    if path.len() <= NAME {
        return Some((b"", path));
    }
    let window = if path.len() > PREFIX + 1 {
        PREFIX + 1
    } else if path.ends_with(b"/") {
        path.len() - 1
    } else {
        path.len()
    };
    let slash = path[..window].iter().rposition(|&b| b == b'/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    let fits = !prefix.is_empty() && !name.is_empty() && name.len() <= NAME;
    fits.then_some((prefix, name))
}

/// What USTAR cannot hold, sorted by key.
fn records(fields: &HeaderFields<'_>, path_fits: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    const ID_LIMIT: u64 = 0o777_7777;
    const SIZE_LIMIT: u64 = 0o77_777_777_777;
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut push = |key: &[u8], value: Vec<u8>| records.push((key.to_vec(), value));
    if !path_fits {
        push(b"path", fields.path.to_vec());
    }
    if !is_ascii(fields.link) || fields.link.len() > NAME {
        push(b"linkpath", fields.link.to_vec());
    }
    for (key, id) in [(&b"uid"[..], fields.uid), (b"gid", fields.gid)] {
        if id > ID_LIMIT {
            push(key, id.to_string().into_bytes());
        }
    }
    if fields.size > SIZE_LIMIT {
        push(b"size", fields.size.to_string().into_bytes());
    }
    let seconds = u64::try_from(fields.mtime.seconds);
    if fields.mtime.nanoseconds != 0 || !seconds.is_ok_and(|s| s <= SIZE_LIMIT) {
        push(b"mtime", time(fields.mtime).into_bytes());
    }
    for (name, value) in fields.xattrs {
        push(&[b"SCHILY.xattr.", &**name].concat(), value.to_vec());
    }
    records.sort();
    records
}

/// Seconds with as many digits behind the point as it takes; negative times count away from zero.
fn time(mtime: Mtime) -> String {
    let Mtime {
        seconds,
        nanoseconds,
    } = mtime;
    if nanoseconds == 0 {
        return seconds.to_string();
    }
    let text = if seconds < 0 {
        format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
    } else {
        format!("{seconds}.{nanoseconds:09}")
    };
    text.trim_end_matches('0').to_owned()
}

fn encode_pax(out: &mut Vec<u8>, path: &[u8], records: &[(Vec<u8>, Vec<u8>)]) {
    let mut body = Vec::new();
    for (key, value) in records {
        // The length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len = rest + len.to_string().len();
        }
        body.extend_from_slice(len.to_string().as_bytes());
        body.push(b' ');
        body.extend_from_slice(key);
        body.push(b'=');
        body.extend_from_slice(value);
        body.push(b'\n');
    }
    let slash = path
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |slash| slash + 1);
    let name = [&path[..slash], b"PaxHeaders.0/", &path[slash..]].concat();
    let mut name: Vec<u8> = name
        .into_iter()
        .filter(u8::is_ascii)
        .filter(|&b| b != 0)
        .collect();
    name.truncate(NAME);
    let end = name
        .iter()
        .rposition(|&b| b != b'/')
        .map_or(0, |last| last + 1);
    let mut block = Block::new();
    block.text(0..NAME, &name[..end]);
    for field in [100..108, 108..116, 116..124, 136..148] {
        block.octal(field, 0);
    }
    block.octal(124..136, body.len() as u64);
    block.0[156] = b'x';
    block.finish(out);
    // What stands in `out` already need not end at a block, so the body is filled up by itself.
    body.resize(body.len().next_multiple_of(BLOCK), 0);
    out.extend_from_slice(&body);
}

fn is_ascii(text: &[u8]) -> bool {
    text.iter().all(|&b| b.is_ascii() && b != 0)
}

struct Block([u8; BLOCK]);

impl Block {
    fn new() -> Self {
        Self([0; BLOCK])
    }

    fn text(&mut self, at: std::ops::Range<usize>, text: &[u8]) {
        let len = text.len().min(at.len());
        self.0[at.start..at.start + len].copy_from_slice(&text[..len]);
    }

    /// The part of `text` that fits and is ASCII; a PAX header has all of it. A slash that only the cut
    /// has moved to the end would make a directory of a file, so it goes too (Go `formatString`).
    fn cut_text(&mut self, at: std::ops::Range<usize>, text: &[u8]) {
        let ascii: Vec<u8> = text
            .iter()
            .copied()
            .filter(|&b| b.is_ascii() && b != 0)
            .collect();
        let mut cut = &ascii[..ascii.len().min(at.len())];
        if ascii.len() > at.len() {
            while let [rest @ .., b'/'] = cut {
                cut = rest;
            }
        }
        self.text(at, cut);
    }

    /// Digits and a NUL; a number that does not fit is 0 here, and in a PAX header.
    fn octal(&mut self, at: std::ops::Range<usize>, number: u64) {
        let width = at.len() - 1;
        let text = format!("{number:0width$o}");
        let text = if text.len() > width {
            format!("{:0width$o}", 0)
        } else {
            text
        };
        self.text(at, text.as_bytes());
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        self.0[257..265].copy_from_slice(b"ustar\x0000");
        for field in [329..337, 337..345] {
            if self.0[field.start] == 0 {
                self.octal(field, 0);
            }
        }
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().map(|&b| u64::from(b)).sum();
        self.octal(148..155, sum);
        self.0[155] = b' ';
        out.extend_from_slice(&self.0);
    }
}
