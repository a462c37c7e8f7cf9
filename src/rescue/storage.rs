//! The store of podman, buildah and CRI-O (containers/storage: `images.go`, `layers.go`).

use std::collections::HashMap;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::classic::{Classic, ClassicImage, LayerPlace};
use super::documents::Documents;
use super::files::{FileNode, RootFiles};
use super::made_layer::FileForm;
use crate::base::digest::{DiffId, Digest};

/// An image of `images.json`.
#[derive(Debug, Deserialize)]
struct ImageRecord {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    layer: Option<String>,
}

/// A layer of `layers.json`.
#[derive(Debug, Deserialize)]
struct LayerRecord {
    id: String,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default, rename = "diff-digest")]
    diff_digest: Option<String>,
}

/// Reads the images of a store for one driver. `faults` takes what cannot be read beside them.
pub(crate) fn read(
    documents: &Documents<'_>,
    storage: FileNode,
    driver: &str,
    faults: &mut Vec<String>,
) -> Classic {
    let files = documents.files;
    let mut layers: HashMap<String, LayerRecord> = HashMap::new();
    for name in ["layers.json", "volatile-layers.json"] {
        let path = format!("{driver}-layers/{name}");
        for layer in records::<LayerRecord>(documents, storage, &path, faults) {
            layers.insert(layer.id.clone(), layer);
        }
    }
    // A program in between, fuse-overlayfs, hides files by names as in a layer.
    let program = files.below(storage, "overlay/.has-mount-program");
    let program = program.and_then(|file| documents.value(file));
    let mut classic = Classic::new(driver == "overlay" && program.as_deref() != Some("true"));
    let images = format!("{driver}-images");
    for record in
        records::<ImageRecord>(documents, storage, &format!("{images}/images.json"), faults)
    {
        let Ok(id) = Digest::from_str(&format!("sha256:{}", record.id)) else {
            faults.push(format!("`{}` is not an image ID", record.id));
            continue;
        };
        let (digests, names): (Vec<_>, Vec<_>) = record
            .names
            .unwrap_or_default()
            .into_iter()
            .partition(|name| name.contains('@'));
        let directory = files.child(storage, images.as_bytes());
        let directory = directory.and_then(|images| files.child(images, record.id.as_bytes()));
        let config = big_data_name(&id.to_string());
        let image = ClassicImage {
            config: directory.and_then(|directory| files.child(directory, config.as_bytes())),
            id,
            names,
            digests,
            layers: Vec::new(),
            fault: None,
        };
        let chain = chain(&layers, record.layer.as_deref());
        classic.add(documents, image, |index, up_to| {
            let layer = chain.get(index).copied();
            place(files, storage, driver, layer, up_to.last())
        });
    }
    classic
}

/// The records of a list that may not be there: only that of the images must.
fn records<T: for<'de> Deserialize<'de>>(
    documents: &Documents<'_>,
    storage: FileNode,
    path: &str,
    faults: &mut Vec<String>,
) -> Vec<T> {
    match documents.files.below(storage, path) {
        None if path.contains("volatile") => Vec::new(),
        None => {
            faults.push(format!("{path} is not in the tar"));
            Vec::new()
        }
        Some(file) => documents.json(file).unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        }),
    }
}

/// The layers of an image, base first: by their parents, since their IDs are not chain IDs.
fn chain<'l>(
    layers: &'l HashMap<String, LayerRecord>,
    top: Option<&'l str>,
) -> Vec<&'l LayerRecord> {
    let mut chain = Vec::new();
    let mut next = top.filter(|top| !top.is_empty());
    // A loop ends when every layer was met.
    while let Some(layer) = next.and_then(|id| layers.get(id))
        && chain.len() <= layers.len()
    {
        chain.push(layer);
        next = layer.parent.as_deref().filter(|parent| !parent.is_empty());
    }
    chain.reverse();
    chain
}

/// How a store names the file for something that belongs to an image.
fn big_data_name(key: &str) -> String {
    let plain = |c: char| c == '.' || c.is_ascii_digit() || c.is_ascii_lowercase();
    if key.chars().all(plain) {
        return key.to_owned();
    }
    format!("={}", STANDARD.encode(key))
}

fn place(
    files: &RootFiles,
    storage: FileNode,
    driver: &str,
    layer: Option<&LayerRecord>,
    diff_id: Option<&DiffId>,
) -> LayerPlace {
    let Some(layer) = layer else {
        return LayerPlace::lost(format!("{driver}-layers/layers.json does not list it"));
    };
    let wanted = diff_id.map(ToString::to_string);
    if layer.diff_digest != wanted {
        let found = layer.diff_digest.as_deref().unwrap_or("nothing");
        return LayerPlace::lost(format!(
            "{driver}-layers/layers.json has another layer in its place: {found}"
        ));
    }
    let id = layer.id.as_str();
    let directory = match directory(files, storage, driver, id) {
        Ok(directory) => directory,
        Err(why) => return LayerPlace::lost(why),
    };
    let split = files.below(storage, &format!("{driver}-layers"));
    LayerPlace {
        directory: Some(directory),
        split: split.and_then(|all| files.child(all, format!("{id}.tar-split.gz").as_bytes())),
        lost: None,
    }
}

/// Where a driver has the files of a layer (containers/storage `drivers/`), or why they are not there.
pub(crate) fn directory(
    files: &RootFiles,
    storage: FileNode,
    driver: &str,
    id: &str,
) -> Result<FileNode, String> {
    let (above, below) = match driver {
        "overlay" => ("overlay", "diff"),
        "vfs" => ("vfs/dir", ""),
        "btrfs" => ("btrfs/subvolumes", ""),
        "aufs" => ("aufs/diff", ""),
        "zfs" => ("zfs/graph", ""),
        "devicemapper" => {
            return Err("devicemapper keeps its files in a thin pool of block devices, which a tar of the data root does not hold: start the engine on this disk and save the images there".to_owned());
        }
        other => {
            return Err(format!(
                "a tar of the data directory does not hold the files of {other}"
            ));
        }
    };
    let found = files.below(storage, above);
    let found = found.and_then(|above| files.child(above, id.as_bytes()));
    let found = match below {
        "" => found,
        below => found.and_then(|layer| files.child(layer, below.as_bytes())),
    };
    let slash = if below.is_empty() { "" } else { "/" };
    found.ok_or_else(|| format!("{above}/{id}{slash}{below} is not in the tar"))
}

/// How a driver keeps the files of a layer.
pub(crate) fn form(documents: &Documents<'_>, storage: FileNode, driver: &str) -> FileForm {
    // What mounts overlay file systems instead of the kernel, fuse-overlayfs, has whiteouts in files.
    let mounts = documents.files.below(storage, "overlay/.has-mount-program");
    let is_fuse = mounts.and_then(|file| documents.value(file));
    match driver {
        "overlay" if is_fuse.as_deref() == Some("true") => FileForm::Whiteouts,
        "overlay" => FileForm::Overlay,
        "aufs" => FileForm::Whiteouts,
        _ => FileForm::Plain,
    }
}

/// What each layer lies on. What cannot be read was said before.
pub(crate) fn parents(
    documents: &Documents<'_>,
    storage: FileNode,
    driver: &str,
) -> HashMap<String, String> {
    let mut parents = HashMap::new();
    for name in ["layers.json", "volatile-layers.json"] {
        let path = format!("{driver}-layers/{name}");
        for layer in records::<LayerRecord>(documents, storage, &path, &mut Vec::new()) {
            if let Some(parent) = layer.parent.filter(|parent| !parent.is_empty()) {
                parents.insert(layer.id, parent);
            }
        }
    }
    parents
}

#[cfg(test)]
mod tests {
    use super::big_data_name;

    #[test]
    fn files_are_named_as_the_store_names_them() {
        assert_eq!(big_data_name("manifest"), "manifest");
        assert_eq!(big_data_name("sha256:ab"), "=c2hhMjU2OmFi");
    }
}
