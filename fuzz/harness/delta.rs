//! Deltas from anybody, and deltas between any two files.
//!
//! `program`: the streams of a delta, whatever they hold, are applied to a source that is there. Nothing panics, no more
//! is written than was declared, and what does not have the declared digest is an error.
//!
//! The input is the streams `control`, `headers`, `differences` and `data`, each behind its length in two bytes,
//! little-endian, and what is stored. The control stream of a hostile delta is what needs the search; its container
//! and description are made here.
//!
//! `pair`: the new file comes back byte for byte, and one thread makes the same delta as three. The input is an old file
//! and a new one behind the length of the former in four bytes.

use std::io::Write;

use imgtar::base::digest::Digest;
use imgtar::delta::{self, Delta, DeltaError, DeltaFile, MakeOptions};
use imgtar::source::Input;
use imgtar::{Jobs, Options};

/// How many bytes the delta says that it makes.
const DECLARED: usize = 64 << 10;

/// Counts what is written.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0 += buf.len();
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The source that programs refer to: a tar with two files, and bytes that no pattern has.
fn source() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, len) in [("etc/passwd", 700_u32), ("usr/bin/program", 9_000)] {
        let body: Vec<u8> = (0..len)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 23).to_le_bytes()[0])
            .collect();
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        header.set_mtime(1_700_000_000);
        builder
            .append_data(&mut header, name, &body[..])
            .expect("memory");
    }
    builder.into_inner().expect("memory")
}

/// Takes a stream off the front of the input.
fn stream<'b>(bytes: &mut &'b [u8]) -> &'b [u8] {
    let Some((len, rest)) = bytes.split_first_chunk::<2>() else {
        return &[];
    };
    let len = usize::from(u16::from_le_bytes(*len)).min(rest.len());
    let (stream, rest) = rest.split_at(len);
    *bytes = rest;
    stream
}

/// The file of a delta with these streams.
fn file(streams: [&[u8]; 4], stored: &[u8], source: &[u8]) -> Vec<u8> {
    let names = ["control", "headers", "differences", "data"];
    let mut members = Vec::new();
    let mut sizes = serde_json::Map::new();
    for (name, bytes) in names.into_iter().zip(streams) {
        let frame = zstd::stream::encode_all(bytes, 1).expect("memory");
        let size = serde_json::json!({ "expanded": bytes.len(), "size": frame.len() });
        sizes.insert(name.to_owned(), size);
        members.push((format!("{name}.zst"), frame));
    }
    let size = serde_json::json!({ "expanded": stored.len(), "size": stored.len() });
    sizes.insert("stored".to_owned(), size);
    members.push(("stored".to_owned(), stored.to_vec()));
    let description = serde_json::json!({
        "format": "imgtar-delta", "version": 1, "requires": [],
        "new": {
            "name": "new.tar", "size": DECLARED, "images": [],
            "sha256": Digest::sha256_of(b"").to_string(),
        },
        "sources": [{
            "name": "old.tar", "size": source.len(),
            "sha256": Digest::sha256_of(source).to_string(),
        }],
        "recipes": [
            { "encoder": "go", "level": 6, "header": "1f8b08000000000000ff" },
            { "encoder": "libzstd", "level": 3, "checksum": true },
        ],
        "streams": sizes, "parts": [],
    });
    let text = serde_json::to_vec(&description).expect("memory");
    let mut builder = tar::Builder::new(Vec::new());
    let mut append = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        builder
            .append_data(&mut header, name, bytes)
            .expect("memory");
        Digest::sha256_of(builder.get_ref())
    };
    let mut digest = append("imgtar-delta.json", &text);
    for (name, bytes) in members.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        digest = append(name, bytes);
    }
    append("end", format!("{}\n", digest.encoded()).as_bytes());
    builder.into_inner().expect("memory")
}

/// Tries one program.
pub fn program(mut bytes: &[u8]) {
    let streams = [(); 4].map(|()| stream(&mut bytes));
    let source = source();
    let file = file(streams, bytes, &source);
    let options = options(1);
    let delta = DeltaFile::open(input(file, &options)).expect("it is put together as it should be");
    delta
        .verify(&options)
        .expect("its streams are what they are said to be");
    let mut counter = Counter(0);
    let outcome = delta::apply(&[input(source, &options)], &delta, &mut counter, &options);
    assert!(counter.0 <= DECLARED);
    match outcome {
        Err(DeltaError::Damaged { .. } | DeltaError::Differs { .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// Tries two files.
pub fn pair(bytes: &[u8]) {
    let Some((len, bytes)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let len = u32::from_le_bytes(*len) as usize % (bytes.len() + 1);
    let (old, new) = bytes.split_at(len);
    let open = |bytes: &[u8], options: &Options<'_>| {
        Input::from_reader(bytes.to_vec(), "input", options).ok()
    };
    let (one, three) = (options(1), options(3));
    let old: Vec<Input> = open(old, &one).into_iter().collect();
    let Some(opened) = open(new, &one) else {
        return;
    };
    let make = |options: &Options<'_>| {
        let made = Delta::make(&old, &opened, MakeOptions::default(), options);
        let mut file = Vec::new();
        made.ok()?.write(&mut file).expect("memory");
        Some(file)
    };
    let (Some(file), Some(same)) = (make(&one), make(&three)) else {
        return;
    };
    assert!(file == same, "it depends on the number of threads");
    let delta = DeltaFile::open(input(file, &one)).expect("a delta");
    let mut out = Vec::new();
    delta::apply(&old, &delta, &mut out, &one).expect("what was made can be applied");
    assert!(out == new, "another file came out");
}

fn options(jobs: usize) -> Options<'static> {
    Options {
        jobs: Jobs::new(std::num::NonZeroUsize::new(jobs).expect("a number")),
        ..Options::default()
    }
}

fn input(bytes: Vec<u8>, options: &Options<'_>) -> Input {
    Input::from_reader(bytes, "input", options).expect("memory")
}
