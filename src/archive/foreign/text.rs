//! Text where a tar was expected: pages, listings, pointers, and text that encodes bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bstr::ByteSlice;
use serde_json::Value;

use super::transcoded::UTF8_BOM;
use super::{Foreign, HiddenContent, shown};

/// How many lines are looked at.
const LINES: usize = 200;

/// Text that encodes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// Base64 alone.
    Base64,
    /// Base64 between lines that begin with five dashes.
    Pem,
    /// What `uuencode` writes.
    Uuencode,
    /// What `xxd` prints.
    Xxd,
    /// Hexadecimal digits alone, as `xxd -p` prints them.
    Hex,
    /// What `hexdump` and `od` print.
    Dump,
}

impl fmt::Display for TextForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base64 => "the Base64 text",
            Self::Pem => "the Base64 text between dashes (PEM)",
            Self::Uuencode => "the uuencoded text",
            Self::Xxd => "the hex dump by xxd",
            Self::Hex => "the hexadecimal text",
            Self::Dump => "the dump by hexdump or od",
        })
    }
}

/// What JSON says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonText {
    /// What went wrong, as registries and engines answer.
    Error {
        /// In their words.
        message: String,
    },
    /// A manifest or index of a registry.
    Manifest,
    /// The `manifest.json` of an archive.
    DockerManifest,
    /// The config of an image.
    Config,
    /// Something else.
    Other,
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { message } => write!(f, "an error message (JSON): `{message}`"),
            Self::Manifest => f.write_str(
                "the manifest of an image (JSON), as a registry sends it, without the layers",
            ),
            Self::DockerManifest => {
                f.write_str("the manifest.json of an image archive alone, without the layers")
            }
            Self::Config => f.write_str("the config of an image (JSON), without the layers"),
            Self::Other => f.write_str("JSON"),
        }
    }
}

/// What the text in `head` is, the beginning of `len` bytes; `None` if it is not text.
pub(super) fn of(head: &[u8], len: u64) -> Option<Foreign> {
    let text = head
        .strip_prefix(UTF8_BOM)
        .unwrap_or(head)
        .trim_ascii_start();
    if text.is_empty() {
        return None;
    }
    if let Some(page) = page(text) {
        return Some(page);
    }
    if !is_text(text) {
        return None;
    }
    let first = text.lines().next().unwrap_or_default();
    pointer(text)
        .or_else(|| script(first))
        .or_else(|| http(first))
        .or_else(|| encoded(text))
        .or_else(|| json(text, len).map(Foreign::Json))
        .or_else(|| list(text))
        .or_else(|| {
            Some(Foreign::Text {
                first: shown(first),
            })
        })
}

/// Whether bytes are text: UTF-8, or Latin-1 with few other letters than those of ASCII.
fn is_text(bytes: &[u8]) -> bool {
    let control = |b: &&u8| b.is_ascii_control() && !b"\t\n\r\x0c\x1b\x08".contains(b);
    if bytes.iter().any(|b| control(&b)) {
        return false;
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // The beginning may end inside a character.
        Err(why) if why.error_len().is_none() => true,
        Err(_) => bytes.iter().filter(|b| !b.is_ascii()).count() * 5 < bytes.len(),
    }
}

/// HTML, or the XML of storage services.
fn page(text: &[u8]) -> Option<Foreign> {
    let lower = text[..text.len().min(4096)].to_ascii_lowercase();
    let tags: [&[u8]; 6] = [
        b"<!doctype html",
        b"<html",
        b"<head",
        b"<body",
        b"<title",
        b"<meta",
    ];
    let mut start = lower.as_slice();
    let is_xml = start.starts_with(b"<?xml") || start.starts_with(b"<error>");
    // Comments and declarations may stand in front.
    while start.starts_with(b"<!--") || start.starts_with(b"<?") {
        let end = start.find_byte(b'>')?;
        start = start[end + 1..].trim_ascii_start();
    }
    if tags.iter().any(|tag| start.starts_with(tag)) {
        let title = between(text, &lower, b"<title", b"</title");
        return Some(Foreign::Page { title });
    }
    if !is_xml || !is_text(text) {
        return None;
    }
    let message = between(text, &lower, b"<message", b"</message");
    Some(match message {
        Some(message) => Foreign::Page {
            title: Some(message),
        },
        None => Foreign::Text {
            first: shown(text.lines().next()?),
        },
    })
}

/// What stands between two tags.
fn between(text: &[u8], lower: &[u8], open: &[u8], close: &[u8]) -> Option<String> {
    let tag = lower.find(open)?;
    let from = tag + lower[tag..].find_byte(b'>')? + 1;
    let to = from + lower[from..].find(close)?;
    Some(shown(&text[from..to])).filter(|title| !title.is_empty())
}

/// What stands in a repository instead of a large file.
fn pointer(text: &[u8]) -> Option<Foreign> {
    let first = text.lines().next()?;
    let lfs: [&[u8]; 2] = [
        b"version https://git-lfs.github.com/spec/",
        b"version https://hawser.github.com/spec/",
    ];
    if lfs.iter().any(|version| first.starts_with(version)) {
        let mut sizes = text.lines().filter_map(|line| line.strip_prefix(b"size "));
        let size = sizes
            .next()
            .and_then(|size| size.to_str().ok()?.trim().parse().ok());
        return Some(Foreign::GitLfs { size });
    }
    let annex = first.starts_with(b"/annex/objects/") || first.contains_str(".git/annex/objects/");
    annex.then_some(Foreign::GitAnnex)
}

fn script(first: &[u8]) -> Option<Foreign> {
    let interpreter = shown(first.strip_prefix(b"#!")?);
    (!interpreter.is_empty()).then_some(Foreign::Script { interpreter })
}

fn http(first: &[u8]) -> Option<Foreign> {
    let is_status = first.starts_with(b"HTTP/1") || first.starts_with(b"HTTP/2");
    is_status.then(|| Foreign::Http {
        status: shown(first),
    })
}

fn json(text: &[u8], len: u64) -> Option<JsonText> {
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let value = match values.next()? {
        Ok(value) => value,
        // Cut where the beginning ends that is looked at.
        Err(why) if why.is_eof() && len > text.len() as u64 => return Some(JsonText::Other),
        Err(_) => return None,
    };
    let item = value.get(0).unwrap_or(&value);
    let string = |value: &Value| value.as_str().map(|text| shown(text.as_bytes()));
    let message = string(&value["errors"][0]["message"])
        .or_else(|| string(&value["errors"][0]["code"]))
        .or_else(|| string(&value["message"]))
        .or_else(|| string(&value["errorDetail"]["message"]))
        .or_else(|| string(&value["error"]["message"]))
        .or_else(|| string(&value["error"]))
        .or_else(|| string(&value["detail"]));
    Some(match message {
        Some(message) => JsonText::Error { message },
        None if value.get("schemaVersion").is_some() => JsonText::Manifest,
        None if item.get("Layers").is_some() && item.get("Config").is_some() => {
            JsonText::DockerManifest
        }
        None if value["rootfs"].get("diff_ids").is_some() => JsonText::Config,
        None => JsonText::Other,
    })
}

// --- lists of files -------------------------------------------------------------------------------

fn list(text: &[u8]) -> Option<Foreign> {
    let lines: Vec<&[u8]> = text
        .lines()
        .take(LINES)
        .filter(|line| !line.is_empty())
        .collect();
    let most =
        |is: fn(&[u8]) -> bool| lines.iter().filter(|line| is(line)).count() * 2 > lines.len();
    if most(is_long) || most(is_member) || lines.len() > 2 && lines.iter().all(|line| is_path(line))
    {
        return Some(Foreign::Listing);
    }
    most(is_checksum).then_some(Foreign::Checksums)
}

/// `-rw-r--r-- 0/0 30720 …`
fn is_long(line: &[u8]) -> bool {
    let Some((kind, rest)) = line.split_first() else {
        return false;
    };
    let permission = |(i, b): (usize, &u8)| match i % 3 {
        0 => b"r-".contains(b),
        1 => b"w-".contains(b),
        _ => b"xsStT-".contains(b),
    };
    b"-dlhcbpsCV".contains(kind)
        && rest.len() > 9
        && rest[..9].iter().enumerate().all(permission)
        && b" +.@\t".contains(&rest[9])
}

/// A name that members of image archives have; BSD's tar puts `x ` before it.
fn is_member(line: &[u8]) -> bool {
    let name = line.strip_prefix(b"x ").unwrap_or(line).trim_ascii();
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let base = name.rsplit_str("/").next().unwrap_or_default();
    let is_id = |name: &[u8]| name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit);
    let directory = name.strip_suffix(b"/").unwrap_or(name);
    matches!(
        name,
        b"manifest.json" | b"index.json" | b"oci-layout" | b"repositories"
    ) || name.starts_with(b"blobs/")
        || name.contains(&b'/') && matches!(base, b"layer.tar" | b"VERSION" | b"json")
        || is_id(directory)
        || name.strip_suffix(b".json").is_some_and(is_id)
}

/// A path of a root file system.
fn is_path(line: &[u8]) -> bool {
    let name = line.strip_prefix(b"x ").unwrap_or(line).trim_ascii();
    name == b".dockerenv"
        || name.contains(&b'/') && !name.contains(&b' ') && !name.contains_str("://")
}

/// `<hex>  name`
fn is_checksum(line: &[u8]) -> bool {
    let mut words = line.splitn_str(2, " ");
    let sum = words.next().unwrap_or_default();
    words
        .next()
        .is_some_and(|name| name.starts_with(b" ") || name.starts_with(b"*"))
        && matches!(sum.len(), 32 | 40 | 64 | 96 | 128)
        && sum.iter().all(u8::is_ascii_hexdigit)
}

// --- text that encodes bytes ----------------------------------------------------------------------

fn encoded(text: &[u8]) -> Option<Foreign> {
    let encoded = |form, content| Some(Foreign::Encoded { form, content });
    let first = text.lines().next()?.trim_ascii_end();
    if let Some(label) = first.strip_prefix(b"-----BEGIN ") {
        label.strip_suffix(b"-----")?;
        // Headers may stand in front, an empty line behind them.
        let body = &text[first.len()..];
        let content = base64(body.trim_ascii_start()).unwrap_or(HiddenContent::Unknown);
        return encoded(TextForm::Pem, content);
    }
    if let Some(rest) = first.strip_prefix(b"begin-base64 ")
        && rest.first().is_some_and(u8::is_ascii_digit)
    {
        return encoded(TextForm::Uuencode, HiddenContent::Unknown);
    }
    if let Some(rest) = first.strip_prefix(b"begin ")
        && rest.len() > 4
        && rest[..3].iter().all(u8::is_ascii_digit)
        && rest[3] == b' '
    {
        return encoded(TextForm::Uuencode, HiddenContent::Unknown);
    }
    if let Some(form) = dump(first) {
        return encoded(form, HiddenContent::Unknown);
    }
    let whole =
        |is: fn(&u8) -> bool| text.len() >= 32 && text.iter().all(|b| is(b) || b"\r\n".contains(b));
    if whole(u8::is_ascii_hexdigit) {
        let digits = packed(text);
        let content = const_hex::decode(&digits[..digits.len() & !1]);
        let content = content.map_or(HiddenContent::Unknown, |bytes| HiddenContent::of(&bytes));
        if content != HiddenContent::Unknown {
            return encoded(TextForm::Hex, content);
        }
    }
    if whole(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(b)) {
        let content = base64(text)?;
        let widths: Vec<usize> = text.lines().map(<[u8]>::len).take(3).collect();
        let wrapped = matches!(widths[..], [64 | 76, a, ..] if a <= widths[0]);
        if content != HiddenContent::Unknown || wrapped {
            return encoded(TextForm::Base64, content);
        }
    }
    None
}

/// What Base64 encodes, by its beginning.
fn base64(text: &[u8]) -> Option<HiddenContent> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let mut digits = packed(text);
    let end = digits
        .iter()
        .position(|b| b"=-".contains(b))
        .unwrap_or(digits.len());
    digits.truncate(end & !3);
    let bytes = ENGINE.decode(&digits).ok()?;
    Some(HiddenContent::of(&bytes))
}

/// The first digits without the ends of their lines: enough for a header.
fn packed(text: &[u8]) -> Vec<u8> {
    let digits = text.iter().copied().filter(|b| !b.is_ascii_whitespace());
    digits.take(2048).collect()
}

/// Which program printed a line of a dump.
fn dump(first: &[u8]) -> Option<TextForm> {
    let mut words = first.split_str(" ").filter(|word| !word.is_empty());
    let place = words.next()?;
    let value = words.next()?;
    let hex = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    if let Some(place) = place.strip_suffix(b":") {
        let is_xxd =
            place.len() == 8 && hex(place) && matches!(value.len(), 2 | 4 | 8) && hex(value);
        return is_xxd.then_some(TextForm::Xxd);
    }
    let is_dump = matches!(place, b"00000000" | b"0000000") && hex(value) && value.len() <= 8;
    is_dump.then_some(TextForm::Dump)
}
