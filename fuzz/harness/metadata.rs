//! Metadata from anybody, with a flat tar that may or may not belong to it.
//!
//! - Nothing panics, whatever the bytes are.
//! - What is read is of the known version and has known members only.
//! - An archive that comes out has the size that is told, and if it is told to be exact, the size that
//!   the description claims.
//!
//! The input is a flat tar and metadata, one behind the other: the first four bytes say how long the
//! flat tar is, little-endian.

use std::io::Write;

use imgtar::base::progress::Silent;
use imgtar::source::Input;
use imgtar::split::metadata::{Container, SCHEMA};
use imgtar::split::rebuild::{Target, rebuild};
use imgtar::{Jobs, Options};

/// Counts what is written, and stops where no honest input of this size would still write.
struct Counter(u64);

/// How much may be written, in bytes.
const ENOUGH: u64 = 64 << 20;

impl Write for Counter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0 += buf.len() as u64;
        if self.0 > ENOUGH {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let Some((len, bytes)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let len = u32::from_le_bytes(*len) as usize % (bytes.len() + 1);
    let (flat, metadata) = bytes.split_at(len);
    let (Some(flat), Some(metadata)) = (input(flat), input(metadata)) else {
        return;
    };
    let Ok(metadata) = Container::open(metadata) else {
        return;
    };
    assert_eq!(metadata.description().schema, SCHEMA);
    let mut counter = Counter(0);
    let jobs = Jobs::new(std::num::NonZeroUsize::MIN);
    let target = Target::Stream(&mut counter);
    if let Ok(rebuilt) = rebuild(&metadata, &flat, target, jobs, &Silent) {
        assert_eq!(rebuilt.bytes, counter.0);
        if rebuilt.exact {
            assert_eq!(rebuilt.bytes, metadata.description().archive.size);
        }
    }
}

/// The bytes as a file, as every input is one.
fn input(bytes: &[u8]) -> Option<Input> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for the input");
    Input::open(file.path(), &Options::default()).ok()
}
