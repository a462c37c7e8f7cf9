//! What a rootfs tar holds, as a file system sees it: one row a path, to compare two tars with.
//!
//! It is read by the `tar` crate's blocks and by PAX records as POSIX writes them, so nothing of
//! imgtar's own reader is trusted. The rows come out in the two forms that stored listings have: that
//! of `shared/tools/tarlist.py` and that of `testdata/recipe/listing.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use sha2::{Digest as _, Sha256};

/// The extended attribute that Docker keeps.
const CAPABILITY: &[u8] = b"security.capability";

/// Everything about one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `f`, `d`, `l`, `c`, `b` or `p`.
    pub kind: char,
    /// Permissions, setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// The size of a file.
    pub size: Option<u64>,
    /// Whole seconds, rounded down.
    pub mtime: i64,
    /// The target of a symbolic link.
    pub link: Vec<u8>,
    /// The numbers of a device.
    pub device: Option<(u32, u32)>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The digest of a file's content, in hexadecimal.
    pub content: String,
    /// The first name of a file that has several.
    pub group: Option<Vec<u8>>,
}

/// What a stretch of a tar is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Header,
    Body,
    /// What fills a body's last block: nobody reads it.
    Padding,
    /// The two blocks of zeros that end the tar.
    End,
    /// What is behind them: nobody reads that either.
    Rest,
}

/// The stretches of a sound tar, in order.
pub fn parts(tar: &[u8]) -> Vec<(Part, std::ops::Range<usize>)> {
    let at = |offset: u64| usize::try_from(offset).expect("it is in memory");
    let mut parts = Vec::new();
    let mut end = 0;
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().expect("a tar").raw(true) {
        let entry = entry.expect("a sound member");
        let body = at(entry.raw_file_position());
        let padding = body + at(entry.header().entry_size().expect("a size"));
        parts.push((Part::Header, end..body));
        parts.push((Part::Body, body..padding));
        end = padding.next_multiple_of(512);
        parts.push((Part::Padding, padding..end));
    }
    parts.push((Part::End, end..end + 1024));
    parts.push((Part::Rest, end + 1024..tar.len()));
    parts
}

/// The stretch that a byte is in.
#[track_caller]
pub fn find(parts: &[(Part, std::ops::Range<usize>)], at: usize) -> (Part, std::ops::Range<usize>) {
    let found = parts.iter().find(|(_, range)| range.contains(&at));
    found.expect("every byte is in one").clone()
}

/// A tar, listed.
#[derive(Debug, Default)]
pub struct Listing {
    /// The rows by path, without a leading or trailing slash; the root is not among them.
    pub rows: BTreeMap<Vec<u8>, Row>,
    /// The names of the members as they are written.
    pub names: Vec<Vec<u8>>,
    /// Duplicates, names before their directory, links before their target.
    pub disorder: Vec<String>,
    /// Where the last member ends, padding included.
    pub end: u64,
}

/// A member without what follows from other members.
struct Member {
    name: Vec<u8>,
    link: Vec<u8>,
    typeflag: u8,
    row: Row,
    end: u64,
}

impl Listing {
    /// Lists a tar. It has to be a whole and correct one.
    #[track_caller]
    pub fn of(tar: &[u8]) -> Self {
        let mut listing = Self::default();
        let mut files: Vec<Row> = Vec::new();
        let mut inodes: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for member in members(tar) {
            let path = clean(&member.name);
            listing.end = member.end;
            listing.names.push(member.name);
            if path.is_empty() {
                continue;
            }
            let shown = String::from_utf8_lossy(&path).into_owned();
            if inodes.contains_key(&path) {
                listing.disorder.push(format!("{shown} is there twice"));
            }
            let parent = path.iter().rposition(|&b| b == b'/').map(|at| &path[..at]);
            if parent.is_some_and(|parent| inodes.get(parent).is_none_or(|&i| files[i].kind != 'd'))
            {
                listing
                    .disorder
                    .push(format!("{shown} stands before its directory"));
            }
            let inode = if member.typeflag == b'1' {
                let target = inodes.get(&clean(&member.link)).copied();
                if target.is_none() {
                    listing
                        .disorder
                        .push(format!("{shown} stands before its target"));
                }
                target
            } else {
                files.push(member.row);
                Some(files.len() - 1)
            };
            if let Some(inode) = inode {
                inodes.insert(path, inode);
            }
        }
        let mut members: BTreeMap<usize, BTreeSet<&Vec<u8>>> = BTreeMap::new();
        for (path, inode) in &inodes {
            members.entry(*inode).or_default().insert(path);
        }
        for (path, inode) in &inodes {
            let group = &members[inode];
            let label = group.first().filter(|_| group.len() > 1);
            let row = Row {
                group: label.map(|first| (*first).clone()),
                ..files[*inode].clone()
            };
            listing.rows.insert(path.clone(), row);
        }
        listing
    }

    /// Drops every extended attribute but the capability, as Docker does.
    pub fn with_only_capabilities(mut self) -> Self {
        for row in self.rows.values_mut() {
            row.xattrs.retain(|name, _| name == CAPABILITY);
        }
        self
    }

    /// The lines of `shared/tools/tarlist.py`. A newline in a name begins another one there as well.
    pub fn tarlist(&self) -> Vec<Vec<u8>> {
        let rows = self.in_python_order();
        let lines = rows.iter().map(|(path, row)| row.tarlist(path));
        let text: Vec<u8> = lines
            .flat_map(|line| [line, b"\n".to_vec()])
            .flatten()
            .collect();
        split_lines(&text)
    }

    /// The lines of `testdata/recipe/listing.py`, nothing left out, by path.
    pub fn recipe(&self) -> BTreeMap<String, String> {
        let line = |(path, row): (&Vec<u8>, &Row)| (escaped(path), row.recipe(path));
        self.rows.iter().map(line).collect()
    }

    /// Python sorts text, and bytes that are not text as if they were characters from U+DC80 on.
    fn in_python_order(&self) -> Vec<(&Vec<u8>, &Row)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(path, _)| {
            let mut order = Vec::new();
            for chunk in path.utf8_chunks() {
                order.extend(chunk.valid().chars().map(u32::from));
                order.extend(chunk.invalid().iter().map(|&b| 0xdc00 + u32::from(b)));
            }
            order
        });
        rows
    }
}

impl Row {
    fn device(&self) -> String {
        self.device
            .map_or_else(String::new, |(major, minor)| format!("{major}:{minor}"))
    }

    fn size(&self) -> String {
        self.size.map_or_else(String::new, |size| size.to_string())
    }

    /// The line of one path that `shared/tools/tarlist.py` prints.
    pub fn tarlist(&self, path: &[u8]) -> Vec<u8> {
        let mut xattrs = Vec::new();
        for (name, value) in &self.xattrs {
            if !xattrs.is_empty() {
                xattrs.push(b',');
            }
            xattrs.extend_from_slice(name);
            xattrs.push(b'=');
            xattrs.extend_from_slice(&hex(value).as_bytes()[..12]);
        }
        let mut columns = vec![
            path.to_vec(),
            self.kind.to_string().into_bytes(),
            format!("{:o}", self.mode).into_bytes(),
            self.uid.to_string().into_bytes(),
            self.gid.to_string().into_bytes(),
            self.size().into_bytes(),
            self.mtime.to_string().into_bytes(),
            self.link.clone(),
            self.device().into_bytes(),
            xattrs,
            self.content.clone().into_bytes(),
        ];
        columns.extend(self.group.as_ref().map(|first| [b"hl:", &**first].concat()));
        columns.join(&b'\t')
    }

    /// The line of one path that `testdata/recipe/listing.py` prints.
    fn recipe(&self, path: &[u8]) -> String {
        let capability = self.xattrs.get(CAPABILITY);
        [
            escaped(path),
            self.kind.to_string(),
            format!("{:04o}", self.mode),
            self.uid.to_string(),
            self.gid.to_string(),
            self.size(),
            self.mtime.to_string(),
            escaped(&self.link),
            self.device(),
            self.group.as_deref().map(escaped).unwrap_or_default(),
            capability.map_or_else(String::new, |value| hex(value)[..16].to_owned()),
            self.content.clone(),
        ]
        .join("\t")
    }
}

/// The lines of a text, the root's left out.
pub fn split_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|&b| b == b'\n').map(<[u8]>::to_vec);
    let mut lines: Vec<_> = lines.filter(|line| !line.starts_with(b".\t")).collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

/// Whether a line is the one that is wanted, in which a column `*` allows anything.
pub fn fits(want: &[u8], got: &[u8]) -> bool {
    let columns =
        |line: &[u8]| -> Vec<Vec<u8>> { line.split(|&b| b == b'\t').map(<[u8]>::to_vec).collect() };
    let (want, got) = (columns(want), columns(got));
    want.len() == got.len() && want.iter().zip(&got).all(|(w, g)| w == b"*" || w == g)
}

/// What two sets of lines do not share, to be shown; empty if they are the same.
pub fn difference(want: &[Vec<u8>], got: &[Vec<u8>]) -> String {
    if want.len() == got.len() && want.iter().zip(got).all(|(w, g)| fits(w, g)) {
        return String::new();
    }
    let missing = want.iter().filter(|w| !got.iter().any(|g| fits(w, g)));
    let surplus = got.iter().filter(|g| !want.iter().any(|w| fits(w, g)));
    let mut lines: Vec<String> = missing
        .map(|line| format!("  want {}\n", line.escape_ascii()))
        .chain(surplus.map(|line| format!("  got  {}\n", line.escape_ascii())))
        .collect();
    if lines.is_empty() {
        lines.push("  the same lines in another order or number\n".to_owned());
    }
    lines.concat()
}

/// A name as a path below the root: no `./`, no slash before or behind it.
pub fn clean(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|&b| b == b'/');
    let parts: Vec<_> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    parts.join(&b'/')
}

fn members(tar: &[u8]) -> Vec<Member> {
    let mut archive = tar::Archive::new(tar);
    let mut pax = BTreeMap::new();
    let mut found = Vec::new();
    for entry in archive.entries().expect("a tar").raw(true) {
        let mut entry = entry.expect("an entry");
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        let header = entry.header();
        let typeflag = header.as_bytes()[156];
        match typeflag {
            b'x' => {
                pax = records(&body);
                continue;
            }
            b'g' => continue,
            // Docker and imgtar write none, GNU tar is asked for PAX.
            b'L' | b'K' | b'S' => panic!("a GNU header"),
            _ => {}
        }
        let end = entry.raw_file_position() + (body.len() as u64).next_multiple_of(512);
        found.push(member(
            header,
            typeflag,
            &body,
            &std::mem::take(&mut pax),
            end,
        ));
    }
    found
}

fn member(
    header: &tar::Header,
    typeflag: u8,
    body: &[u8],
    pax: &BTreeMap<Vec<u8>, Vec<u8>>,
    end: u64,
) -> Member {
    let text = |key: &str| pax.get(key.as_bytes()).cloned();
    let number = |key: &str| -> Option<u64> {
        let value = String::from_utf8(text(key)?).expect("digits");
        Some(value.parse().expect("a number"))
    };
    let kind = match typeflag {
        b'5' => 'd',
        b'2' => 'l',
        b'3' => 'c',
        b'4' => 'b',
        b'6' => 'p',
        _ => 'f',
    };
    let mtime = match text("mtime") {
        Some(time) => floor(&String::from_utf8(time).expect("digits")),
        None => i64::try_from(header.mtime().expect("a time")).expect("a time"),
    };
    let link = text("linkpath")
        .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
        .unwrap_or_default();
    let device = || {
        let major = header.device_major().expect("a number");
        let minor = header.device_minor().expect("a number");
        (major.unwrap_or(0), minor.unwrap_or(0))
    };
    let xattrs = pax.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(b"SCHILY.xattr.")?;
        Some((name.to_vec(), value.clone()))
    });
    let row = Row {
        kind,
        mode: header.mode().expect("a mode") & 0o7777,
        uid: number("uid").unwrap_or_else(|| header.uid().expect("an owner")),
        gid: number("gid").unwrap_or_else(|| header.gid().expect("a group")),
        size: (kind == 'f').then_some(body.len() as u64),
        mtime,
        link: if kind == 'l' {
            link.clone()
        } else {
            Vec::new()
        },
        device: matches!(kind, 'c' | 'b').then(device),
        xattrs: xattrs.collect(),
        content: if kind == 'f' {
            hex(body)
        } else {
            String::new()
        },
        group: None,
    };
    Member {
        name: text("path").unwrap_or_else(|| header.path_bytes().into_owned()),
        link,
        typeflag,
        row,
        end,
    }
}

/// PAX records: a length, a space, a key, an equals sign, any bytes, a newline.
fn records(mut body: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    while !body.is_empty() {
        let space = body.iter().position(|&b| b == b' ').expect("a length");
        let digits = std::str::from_utf8(&body[..space]).expect("digits");
        let len: usize = digits.parse().expect("a length");
        let (record, rest) = body.split_at(len);
        let record = record[space + 1..].strip_suffix(b"\n").expect("a newline");
        let equals = record.iter().position(|&b| b == b'=').expect("a value");
        found.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        body = rest;
    }
    found
}

/// Whole seconds of a decimal number, rounded down.
fn floor(time: &str) -> i64 {
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let seconds: i64 = whole.parse().expect("a number");
    let before = time.starts_with('-') && fraction.bytes().any(|b| b != b'0');
    seconds - i64::from(before)
}

fn escaped(bytes: &[u8]) -> String {
    let character = |&b: &u8| match b {
        b'\\' => "\\x5c".to_owned(),
        b' '..=b'~' => char::from(b).to_string(),
        _ => format!("\\x{b:02x}"),
    };
    bytes.iter().map(character).collect()
}

/// The SHA-256 of some bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const_hex::encode(Sha256::digest(bytes))
}
