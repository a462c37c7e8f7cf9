//! Image archives made and taken apart without imgtar: layers out of an archive, layers into archives
//! of every layout with right digests, and layers of entries put together header by header.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::packed::gzip;

/// The name of the image in every archive made here.
pub const NAME: &str = "forge/image:1";

/// How an archive is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As Docker 25 and later save: blobs, `index.json` and `manifest.json`.
    Hybrid,
    /// As Docker 1.10 to 24 save: `<id>/layer.tar`, a repeated layer as a symbolic link.
    Legacy,
    /// An OCI layout alone.
    Oci,
    /// As the containerd store saves, with the layers compressed by gzip and zstd in turn.
    Compressed,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hybrid, Self::Legacy, Self::Oci, Self::Compressed];
}

// --- out of archives ------------------------------------------------------------------------------

/// The uncompressed layers of the one image in an archive, base first.
pub fn layers(archive: &[u8]) -> Vec<Vec<u8>> {
    let files = files(archive);
    let json = |name: &str| -> Value {
        serde_json::from_slice(&files[name]).expect("JSON in the archive")
    };
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest");
        format!("blobs/{}", digest.replace(':', "/"))
    };
    let names: Vec<String> = if files.contains_key("manifest.json") {
        let manifest = json("manifest.json");
        let layers = manifest[0]["Layers"].as_array().expect("layers");
        let name = |layer: &Value| layer.as_str().expect("a name").to_owned();
        layers.iter().map(name).collect()
    } else {
        let manifest = json(&blob(&json("index.json")["manifests"][0]));
        let layers = manifest["layers"].as_array().expect("layers");
        layers.iter().map(blob).collect()
    };
    names.iter().map(|name| plain(&files[name])).collect()
}

/// The regular files of a tar; a symbolic link has the bytes of its target.
fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut links = Vec::new();
    for entry in tar::Archive::new(archive).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("a name");
        if entry.header().entry_type().is_symlink() {
            let target = entry.link_name_bytes().expect("a target").into_owned();
            let target = String::from_utf8(target).expect("a name");
            // Layers link to layers, always to `../<id>/layer.tar`.
            links.push((name, target.trim_start_matches("../").to_owned()));
            continue;
        }
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        files.insert(name, body);
    }
    for (name, target) in links {
        let body = files[&target].clone();
        files.insert(name, body);
    }
    files
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match bytes {
        [0x1f, 0x8b, ..] => {
            let mut decoder = MultiGzDecoder::new(bytes);
            decoder.read_to_end(&mut plain).expect("gzip");
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::Decoder::new(bytes).expect("zstd");
            decoder.read_to_end(&mut plain).expect("zstd");
        }
        _ => plain.extend_from_slice(bytes),
    }
    plain
}

// --- into archives --------------------------------------------------------------------------------

/// An archive of one image with these layers.
pub fn archive(layers: &[Vec<u8>], form: Form) -> Vec<u8> {
    let config = config(layers);
    match form {
        Form::Hybrid => blobs(layers, &config, true, |_, layer| (layer.to_vec(), "")),
        Form::Oci => blobs(layers, &config, false, |_, layer| (layer.to_vec(), "")),
        Form::Compressed => blobs(layers, &config, true, |i, layer| match i % 2 {
            0 => (gzip(layer), "+gzip"),
            _ => (zstd::encode_all(layer, 3).expect("room in memory"), "+zstd"),
        }),
        Form::Legacy => legacy(layers, &config),
    }
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
    let history: Vec<_> = (0..layers.len())
        .map(|i| json!({"created": "2020-01-01T00:00:00Z", "created_by": format!("layer {i}")}))
        .collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": {"Cmd": ["/x"]},
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string().into_bytes()
}

fn blobs<'l>(
    layers: &'l [Vec<u8>],
    config: &[u8],
    docker: bool,
    stored: impl Fn(usize, &'l [u8]) -> (Vec<u8>, &'static str),
) -> Vec<u8> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut add = |bytes: Vec<u8>| {
        let name = format!("blobs/{}", digest(&bytes).replace(':', "/"));
        files.insert(name.clone(), bytes);
        name
    };
    let kind = "application/vnd.oci.image";
    let (mut names, mut descriptors) = (Vec::new(), Vec::new());
    for (i, layer) in layers.iter().enumerate() {
        let (bytes, suffix) = stored(i, layer);
        let media_type = format!("{kind}.layer.v1.tar{suffix}");
        descriptors.push(descriptor(&media_type, &bytes));
        names.push(add(bytes));
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": format!("{kind}.manifest.v1+json"),
        "config": descriptor(&format!("{kind}.config.v1+json"), config),
        "layers": descriptors,
    });
    let manifest = manifest.to_string().into_bytes();
    let mut image = descriptor(&format!("{kind}.manifest.v1+json"), &manifest);
    image["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/{NAME}"),
        "org.opencontainers.image.ref.name": "1",
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": format!("{kind}.index.v1+json"),
        "manifests": [image],
    });
    let config = add(config.to_vec());
    add(manifest);
    files.insert("index.json".to_owned(), index.to_string().into_bytes());
    let version = br#"{"imageLayoutVersion": "1.0.0"}"#;
    files.insert("oci-layout".to_owned(), version.to_vec());
    if docker {
        files.insert("manifest.json".to_owned(), docker_manifest(&config, &names));
    }
    let mut tar = directory("blobs/");
    tar.extend(directory("blobs/sha256/"));
    for (name, bytes) in &files {
        tar.extend(file(name, bytes));
    }
    ended(tar)
}

fn legacy(layers: &[Vec<u8>], config: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut written: BTreeMap<&[u8], String> = BTreeMap::new();
    let mut names = Vec::new();
    let mut parent: Option<String> = None;
    for (i, layer) in layers.iter().enumerate() {
        let id = hex(&[format!("layer {i} ").as_bytes(), layer].concat());
        let mut v1 = json!({"id": id, "created": "1970-01-01T00:00:00Z"});
        if let Some(parent) = parent {
            v1["parent"] = parent.into();
        }
        let name = format!("{id}/layer.tar");
        tar.extend(directory(&format!("{id}/")));
        tar.extend(file(&format!("{id}/VERSION"), b"1.0"));
        tar.extend(file(&format!("{id}/json"), v1.to_string().as_bytes()));
        if let Some(first) = written.get(layer.as_slice()) {
            let mut link = Entry::new(b'2', name.as_bytes());
            link.link = format!("../{first}").into_bytes();
            tar.extend(link.bytes());
        } else {
            tar.extend(file(&name, layer));
            written.insert(layer, name.clone());
        }
        names.push(name);
        parent = Some(id);
    }
    let name = format!("{}.json", hex(config));
    tar.extend(file(&name, config));
    tar.extend(file("manifest.json", &docker_manifest(&name, &names)));
    ended(tar)
}

fn docker_manifest(config: &str, layers: &[String]) -> Vec<u8> {
    let manifest = json!([{"Config": config, "RepoTags": [NAME], "Layers": layers}]);
    manifest.to_string().into_bytes()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

fn hex(bytes: &[u8]) -> String {
    const_hex::encode(Sha256::digest(bytes))
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

// --- layers ---------------------------------------------------------------------------------------

/// An entry of a tar. The name and the target are written as they are, whatever they say.
#[derive(Clone, Debug)]
pub struct Entry {
    pub typeflag: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
    pub body: Vec<u8>,
    /// Records of a PAX header before the entry.
    pub pax: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// An entry of this type with plain attributes.
    pub fn new(typeflag: u8, name: &[u8]) -> Self {
        Self {
            typeflag,
            name: name.to_vec(),
            link: Vec::new(),
            mode: if typeflag == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            mtime: 1_600_000_000,
            body: Vec::new(),
            pax: Vec::new(),
        }
    }

    /// A regular file.
    pub fn file(name: &str, body: &[u8]) -> Self {
        let mut entry = Self::new(b'0', name.as_bytes());
        entry.body = body.to_vec();
        entry
    }

    /// The blocks of the entry.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.pax.is_empty() {
            let mut header = Self::new(b'x', b"pax");
            for (key, value) in &self.pax {
                header.body.extend(record(key, value));
            }
            bytes.extend(header.bytes());
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(self.typeflag));
        header.set_mode(self.mode);
        header.set_uid(self.uid);
        header.set_gid(self.gid);
        header.set_mtime(self.mtime);
        header.set_size(self.body.len() as u64);
        let old = header.as_old_mut();
        assert!(self.name.len() <= 100 && self.link.len() <= 100, "too long");
        old.name[..self.name.len()].copy_from_slice(&self.name);
        old.linkname[..self.link.len()].copy_from_slice(&self.link);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// A tar of these entries.
pub fn layer(entries: &[Entry]) -> Vec<u8> {
    ended(entries.iter().flat_map(Entry::bytes).collect())
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let digits = |len: usize| len.to_string().len();
    let mut len = rest.len();
    while len != rest.len() + digits(len) {
        len = rest.len() + digits(len);
    }
    [len.to_string().as_bytes(), &rest].concat()
}

fn file(name: &str, body: &[u8]) -> Vec<u8> {
    Entry::file(name, body).bytes()
}

fn directory(name: &str) -> Vec<u8> {
    Entry::new(b'5', name.as_bytes()).bytes()
}

fn ended(mut tar: Vec<u8>) -> Vec<u8> {
    tar.resize(tar.len() + 1024, 0);
    tar
}
