//! Writing the file that a delta is: a plain tar of a description, streams and a digest.

use std::io::{self, Write};

use super::DeltaError;
use super::description::{DeltaDescription, StreamSize, Streams, member};
use super::streams::MadeStreams;
use crate::base::digest::Hasher;

/// How many bytes the member at the end has: a digest in hex and the end of a line.
pub(super) const END_LEN: u64 = 65;

/// The streams of a delta and the names of their members, in their order.
pub(super) fn named(streams: &Streams) -> [(&'static str, &StreamSize); 5] {
    [
        (member::CONTROL, &streams.control),
        (member::HEADERS, &streams.headers),
        (member::DIFFERENCES, &streams.differences),
        (member::DATA, &streams.data),
        (member::STORED, &streams.stored),
    ]
}

/// Writes a delta.
pub(super) fn write(
    description: &DeltaDescription,
    made: MadeStreams,
    out: &mut dyn Write,
) -> Result<u64, DeltaError> {
    let mut writer = DeltaWriter {
        out,
        hasher: Hasher::sha256(),
        len: 0,
    };
    let mut text = serde_json::to_vec_pretty(description)
        .map_err(|error| DeltaError::Write(io::Error::other(error)))?;
    text.push(b'\n');
    writer.header(member::DESCRIPTION, text.len() as u64)?;
    writer.write_all(&text).map_err(DeltaError::Write)?;
    writer.pad()?;
    let MadeStreams {
        control,
        headers,
        differences,
        data,
        stored,
    } = made;
    let all = [control, headers, differences, data, stored];
    for (mut stream, (name, sizes)) in all.into_iter().zip(named(&description.streams)) {
        if sizes.size == 0 {
            continue;
        }
        writer.header(name, sizes.size)?;
        stream.copy_to(&mut writer)?;
        writer.pad()?;
    }
    writer.finish()
}

/// What was written so far, and its digest.
struct DeltaWriter<'w> {
    out: &'w mut dyn Write,
    hasher: Hasher,
    len: u64,
}

impl DeltaWriter<'_> {
    fn header(&mut self, name: &str, size: u64) -> Result<(), DeltaError> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).map_err(DeltaError::Write)?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.write_all(header.as_bytes()).map_err(DeltaError::Write)
    }

    fn pad(&mut self) -> Result<(), DeltaError> {
        let len = self.len.next_multiple_of(512) - self.len;
        let zeros = [0; 512];
        let zeros = &zeros[..usize::try_from(len).unwrap_or(0)];
        self.write_all(zeros).map_err(DeltaError::Write)
    }

    /// Writes the digest of what there is and the end of the tar. Returns how many bytes were written in all.
    fn finish(mut self) -> Result<u64, DeltaError> {
        let digest = std::mem::replace(&mut self.hasher, Hasher::sha256()).finish();
        self.header(member::END, END_LEN)?;
        let line = format!("{}\n", digest.encoded());
        self.write_all(line.as_bytes()).map_err(DeltaError::Write)?;
        self.pad()?;
        self.write_all(&[0; 1024]).map_err(DeltaError::Write)?;
        Ok(self.len)
    }
}

impl Write for DeltaWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
