//! A data directory of an engine from anybody: walked, listed, proven, and put together.
//!
//! - Nothing panics, whatever the bytes are.
//! - Only the tar can be at fault: no error blames the system.
//! - A layer that is said to come back byte for byte is there, and has its diff ID.
//!
//! The same is tried with the bytes as a whole tar, as the metadata of a containerd, and as the tar-split of a layer
//! with files that need not be those of it. The limits are lower than a person's, so that nothing that is within them
//! takes long.

use std::num::NonZeroUsize;

use imgtar::base::digest::Digest;
use imgtar::report::RescueReport;
use imgtar::rescue::DataRoots;
use imgtar::source::{Compression, Input};
use imgtar::{Class, Error, Jobs, Limit, Limits, Options};

/// What the bytes of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct As(&'static str);

impl As {
    /// Which is said by name: `root`, `bolt` or `split`.
    #[must_use]
    pub fn named(name: &'static str) -> Self {
        Self(name)
    }

    /// Tries one input.
    pub fn run(self, bytes: &[u8]) {
        match self.0 {
            "bolt" => try_root(metadata(bytes)),
            "split" => {
                if let Some(root) = layer(bytes) {
                    try_root(root);
                }
            }
            _ => try_root(bytes.to_vec()),
        }
    }
}

fn options() -> Options<'static> {
    let limits = Limits::default()
        .with(Limit::Expanded, 8 << 20)
        .with(Limit::Ratio, 1)
        .with(Limit::DecoderMemory, 8 << 20)
        .with(Limit::Members, 20_000)
        .with(Limit::LinkSteps, 100_000)
        .with(Limit::Layers, 1000);
    Options {
        limits,
        jobs: Jobs::new(NonZeroUsize::MIN),
        ..Options::default()
    }
}

fn try_root(tar: Vec<u8>) {
    let options = options();
    let input = Input::from_reader(tar, "root.tar", &options);
    let Some(input) = sound(input.map_err(Error::from)) else {
        return;
    };
    let Some(mut roots) = sound(DataRoots::walk(input, &options).map_err(Error::from)) else {
        return;
    };
    serde_json::to_vec(&RescueReport::new(&roots)).expect("a report is JSON");
    let stores = roots.stores().iter();
    let all = stores.map(|store| store.images().map_or(0, |set| set.images.len()));
    let all: Vec<Vec<usize>> = all.map(|count| (0..count).collect()).collect();
    let Some(proven) = sound(roots.prove(&all, &options).map_err(Error::from)) else {
        return;
    };
    for (store, positions) in roots.stores().iter().zip(&proven) {
        let Some(set) = store.images() else { continue };
        let wanted: Vec<_> = positions.iter().map(|at| &set.images[*at]).collect();
        if wanted.is_empty() {
            continue;
        }
        let Some(rescued) = sound(store.assemble(&wanted).map_err(Error::from)) else {
            continue;
        };
        for image in rescued.wanted.iter().map(|at| &rescued.images.images[*at]) {
            for layer in &image.layers {
                let (bytes, compression) = layer.present().expect("a proven layer is there");
                if let (Some(diff_id), Compression::None) = (&layer.diff_id, compression) {
                    let bytes = bytes.read_all().expect("bytes in memory");
                    assert_eq!(*diff_id.digest(), Digest::sha256_of(&bytes));
                }
            }
        }
    }
    serde_json::to_vec(&RescueReport::new(&roots)).expect("a report is JSON");
}

/// What came of it, if anything did; only the tar may be to blame if nothing did.
fn sound<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_ne!(error.class(), Class::Environment, "{error:?}");
            None
        }
    }
}

/// A containerd with this metadata, whose checksums are made to fit: no input would have them otherwise.
fn metadata(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for page in [0, 1024, 4096] {
        if let Some(meta) = bytes.get_mut(page + 16..page + 80) {
            let sum = meta[..56]
                .iter()
                .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
                    (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
                });
            meta[56..].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let config = br#"{"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let digest = Digest::sha256_of(config);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{}}},"layers":[]}}"#,
        config.len()
    );
    let mut tar = Vec::new();
    for blob in [&config[..], manifest.as_bytes()] {
        let hex = Digest::sha256_of(blob);
        let path = format!(
            "io.containerd.content.v1.content/blobs/sha256/{}",
            hex.encoded()
        );
        put(&mut tar, &path, blob);
    }
    put(&mut tar, "io.containerd.metadata.v1.bolt/meta.db", &bytes);
    tar.extend([0; 1024]);
    tar
}

/// A Docker with an image of one layer, and one from before 1.10. The first four bytes say how long the tar-split is,
/// little-endian, which both layers have; what follows it is a tar of their files.
fn layer(bytes: &[u8]) -> Option<Vec<u8>> {
    const DIFF: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
    let (len, bytes) = bytes.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize % (bytes.len() + 1);
    let (split, files) = bytes.split_at(len);
    let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["sha256:{DIFF}"]}}}}"#);
    let id = Digest::sha256_of(config.as_bytes());
    let mut tar = Vec::new();
    let image = "a/image/overlay2";
    let chain = format!("{image}/layerdb/sha256/{DIFF}");
    let content = format!("{image}/imagedb/content/sha256/{}", id.encoded());
    put(&mut tar, &content, config.as_bytes());
    put(
        &mut tar,
        &format!("{chain}/diff"),
        format!("sha256:{DIFF}").as_bytes(),
    );
    put(&mut tar, &format!("{chain}/cache-id"), b"c");
    put(&mut tar, &format!("{chain}/tar-split.json.gz"), split);
    let json =
        format!(r#"{{"id":"{ID}","created":"2015-01-01T00:00:00Z","container_config":{{}}}}"#);
    put(&mut tar, &format!("b/graph/{ID}/json"), json.as_bytes());
    put(&mut tar, &format!("b/graph/{ID}/tar-data.json.gz"), split);
    put(&mut tar, "b/repositories-aufs", b"{}");
    tar.extend(files);
    Some(tar)
}

/// Adds a file to a tar.
fn put(tar: &mut Vec<u8>, path: &str, body: &[u8]) {
    let mut header = [0; 512];
    // The names here are longer than the field, and split as ustar has it.
    let at = path
        .len()
        .checked_sub(101)
        .and_then(|from| path[from..].find('/').map(|at| from + at));
    let (prefix, name) = at.map_or(("", path), |at| (&path[..at], &path[at + 1..]));
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", body.len()).as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(header);
    tar.extend(body);
    tar.resize(tar.len().next_multiple_of(512), 0);
}
