//! Where the bodies are that a tar-split stream leaves out: a line for each, in the stream's order.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::error::StreamFault;
use super::split::Lines;
use crate::base::digest::Digest;

/// Where the bytes of a body are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// In the flat tar, as the content of the file at this path (no leading slash, bytes as written).
    Flat(Vec<u8>),
    /// In the metadata's own store, from this byte on.
    Stored(u64),
    /// They are the body of this member of the metadata.
    Member(String),
    /// They are this layer of the image, put together again.
    Layer(usize),
    /// Nowhere: left out by `--lean`, or not needed because the blob around them is kept whole.
    Nowhere,
}

/// A body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BodyRecord {
    /// The position of its entry in the stream.
    pub(crate) position: u64,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// The SHA-256 of its bytes.
    pub(crate) sha256: [u8; 32],
    /// Where the bytes are.
    pub(crate) place: Where,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyLine {
    position: u64,
    size: u64,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flat: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flat_raw: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
}

/// Writes the lines, compressed by gzip.
#[derive(Debug)]
pub(crate) struct BodiesWriter(GzEncoder<Vec<u8>>);

impl BodiesWriter {
    pub(crate) fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), flate2::Compression::default()))
    }

    pub(crate) fn add(&mut self, body: &BodyRecord) -> io::Result<()> {
        let mut line = BodyLine {
            position: body.position,
            size: body.size,
            sha256: const_hex::encode(body.sha256),
            flat: None,
            flat_raw: None,
            stored: None,
            member: None,
            layer: None,
        };
        match &body.place {
            Where::Flat(path) => match std::str::from_utf8(path) {
                Ok(path) => line.flat = Some(path.to_owned()),
                Err(_) => line.flat_raw = Some(STANDARD.encode(path)),
            },
            Where::Stored(offset) => line.stored = Some(*offset),
            Where::Member(name) => line.member = Some(name.clone()),
            Where::Layer(index) => line.layer = Some(*index),
            Where::Nowhere => {}
        }
        serde_json::to_writer(&mut self.0, &line)?;
        self.0.write_all(b"\n")
    }

    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        self.0.finish()
    }
}

/// Reads the lines.
pub(crate) struct BodiesReader<R: Read>(Lines<R>);

impl<R: Read> BodiesReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self(Lines::new(inner))
    }

    pub(crate) fn next_body(&mut self) -> Result<Option<BodyRecord>, StreamFault> {
        let Some((at, line)) = self.0.next_line()? else {
            return Ok(None);
        };
        let invalid = |why: String| at.invalid(why);
        let line: BodyLine =
            serde_json::from_slice(line).map_err(|why| invalid(why.to_string()))?;
        let sha256 =
            Digest::from_sha256_hex(&line.sha256).map_err(|why| invalid(why.to_string()))?;
        let mut sum = [0; 32];
        const_hex::decode_to_slice(sha256.encoded(), &mut sum)
            .map_err(|why| invalid(why.to_string()))?;
        let raw = line.flat_raw.map(|raw| STANDARD.decode(raw)).transpose();
        let raw = raw.map_err(|why| invalid(format!("not base64: {why}")))?;
        let places = [
            line.flat.map(|path| Where::Flat(path.into_bytes())),
            raw.map(Where::Flat),
            line.stored.map(Where::Stored),
            line.member.map(Where::Member),
            line.layer.map(Where::Layer),
        ];
        let mut places = places.into_iter().flatten();
        let place = places.next().unwrap_or(Where::Nowhere);
        if places.next().is_some() {
            return Err(invalid("a body is in two places".into()));
        }
        Ok(Some(BodyRecord {
            position: line.position,
            size: line.size,
            sha256: sum,
            place,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back() {
        let body = |position: u8, place| BodyRecord {
            position: position.into(),
            size: 7,
            sha256: [position; 32],
            place,
        };
        let bodies = [
            body(1, Where::Flat(b"etc/passwd".to_vec())),
            body(3, Where::Flat(b"n\xff".to_vec())),
            body(5, Where::Stored(0)),
            body(7, Where::Member("archive/0001-manifest.json".into())),
            body(9, Where::Layer(3)),
            body(11, Where::Nowhere),
        ];
        let mut writer = BodiesWriter::new();
        for body in &bodies {
            writer.add(body).expect("memory");
        }
        let bytes = writer.finish().expect("memory");
        let mut reader = BodiesReader::new(flate2::bufread::GzDecoder::new(&*bytes));
        for body in &bodies {
            assert_eq!(reader.next_body().expect("sound").as_ref(), Some(body));
        }
        assert_eq!(reader.next_body().expect("sound"), None);
    }
}
