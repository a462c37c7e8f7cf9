//! Docker's own store, version 1.10 and later (`image/<driver>`; moby `image/store.go`, `layer/filestore.go`,
//! `reference/store.go`).

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::classic::{Classic, ClassicImage, LayerPlace};
use super::documents::Documents;
use super::files::{FileNode, RootFiles};
use crate::base::digest::{ChainId, DiffId, Digest};

/// `repositories.json`, and `repositories-<driver>` before 1.10: names by repository, and what each leads to.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Repositories {
    #[serde(rename = "Repositories", default)]
    pub(crate) repositories: Option<BTreeMap<String, Option<BTreeMap<String, String>>>>,
}

/// Reads the images of the store that a Docker has for one storage driver. `faults` takes what cannot be read
/// beside them.
pub(crate) fn read(
    documents: &Documents<'_>,
    docker: FileNode,
    driver: &str,
    faults: &mut Vec<String>,
) -> Classic {
    let files = documents.files;
    let Some(store) = files
        .child(docker, b"image")
        .and_then(|image| files.child(image, driver.as_bytes()))
    else {
        return Classic::default();
    };
    let mut names: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    match files.child(store, b"repositories.json") {
        None => faults.push(
            "repositories.json is not in the tar: images come back without their names".to_owned(),
        ),
        Some(file) => match documents.json::<Repositories>(file) {
            Err(fault) => faults.push(format!("{fault}; images come back without their names")),
            Ok(read) => {
                let repositories = read.repositories.unwrap_or_default().into_values();
                for (name, id) in repositories.flatten().flatten() {
                    let of_image = names.entry(id).or_default();
                    if name.contains('@') {
                        of_image.1.push(name);
                    } else {
                        of_image.0.push(name);
                    }
                }
            }
        },
    }
    let mut ids: BTreeMap<String, Option<FileNode>> = BTreeMap::new();
    if let Some(contents) = files.below(store, "imagedb/content/sha256") {
        for config in files.children(contents) {
            let name = String::from_utf8_lossy(files.name(config));
            ids.insert(format!("sha256:{name}"), Some(config));
        }
    }
    for id in names.keys() {
        ids.entry(id.clone()).or_insert(None);
    }
    let mut classic = Classic::new(driver == "overlay2");
    for (id, config) in ids {
        let Ok(digest) = Digest::from_str(&id) else {
            continue;
        };
        let (names, digests) = names.remove(&id).unwrap_or_default();
        let image = ClassicImage {
            id: digest,
            config,
            names,
            digests,
            layers: Vec::new(),
            fault: None,
        };
        let layers = files.below(store, "layerdb/sha256");
        let mut chain: Option<ChainId> = None;
        classic.add(documents, image, |_, up_to| {
            let Some(diff_id) = up_to.last() else {
                return LayerPlace::lost("it has no diff ID");
            };
            let next = match &chain {
                None => ChainId::base(diff_id),
                Some(below) => below.extend(diff_id),
            };
            let place = place(documents, docker, driver, layers, &next, diff_id);
            chain = Some(next);
            place
        });
    }
    classic
}

/// Where a layer is.
pub(crate) fn place(
    documents: &Documents<'_>,
    docker: FileNode,
    driver: &str,
    layers: Option<FileNode>,
    chain: &ChainId,
    diff_id: &DiffId,
) -> LayerPlace {
    let files = documents.files;
    let hex = chain.digest().encoded();
    let Some(layer) = layers.and_then(|layers| files.child(layers, hex.as_bytes())) else {
        return LayerPlace::lost(format!(
            "image/{driver}/layerdb/sha256/{hex} is not in the tar"
        ));
    };
    let claimed = documents.value_in(layer, "diff");
    if claimed.as_deref() != Some(&diff_id.to_string()) {
        let claimed = claimed.unwrap_or_else(|| "nothing".to_owned());
        return LayerPlace::lost(format!(
            "image/{driver}/layerdb/sha256/{hex}/diff should be {diff_id}, but is {claimed}"
        ));
    }
    let Some(cache_id) = documents.value_in(layer, "cache-id") else {
        return LayerPlace::lost(format!(
            "image/{driver}/layerdb/sha256/{hex}/cache-id is not in the tar: nothing says where its files are"
        ));
    };
    match directory(documents, docker, driver, &cache_id) {
        Ok(directory) => LayerPlace {
            directory: Some(directory),
            split: files.child(layer, b"tar-split.json.gz"),
            lost: None,
        },
        Err(why) => LayerPlace::lost(why),
    }
}

/// Where a storage driver has the files of a layer (moby `daemon/graphdriver/`), or why they are not there.
pub(crate) fn directory(
    documents: &Documents<'_>,
    docker: FileNode,
    driver: &str,
    cache_id: &str,
) -> Result<FileNode, String> {
    let files = documents.files;
    let (above, below) = match driver {
        "overlay2" | "fuse-overlayfs" => (driver.to_owned(), "diff"),
        "overlay" => (driver.to_owned(), "root"),
        "vfs" => ("vfs/dir".to_owned(), ""),
        "aufs" => ("aufs/diff".to_owned(), ""),
        "btrfs" => ("btrfs/subvolumes".to_owned(), ""),
        // Both are mount points: a tar has their files if they were mounted and tar went into them.
        "zfs" if has_mounted(files, docker, "zfs/graph", cache_id) => ("zfs/graph".to_owned(), ""),
        "devicemapper" if has_mounted(files, docker, "devicemapper/mnt", cache_id) => {
            ("devicemapper/mnt".to_owned(), "rootfs")
        }
        "zfs" => {
            return Err("zfs keeps the files of each layer in a data set, and this tar does not hold the data sets: import the pool, mount the data set of each layer on its directory below zfs/graph (mount -t zfs) and pack the data root again, without --one-file-system".to_owned());
        }
        "devicemapper" => {
            return Err("devicemapper keeps its files in a thin pool of block devices, which a tar of the data root does not hold: start a Docker older than 25 on this disk and save the images there".to_owned());
        }
        other => return Err(format!("the storage driver {other} is not known")),
    };
    // One name, so that no number of one layer leads to files elsewhere.
    if cache_id.is_empty() || cache_id.contains(['/', '\0']) || cache_id.starts_with('.') {
        return Err(format!(
            "its cache-id `{cache_id}` is not the name of a directory"
        ));
    }
    let found = files.below(docker, &above);
    let found = found.and_then(|above| files.child(above, cache_id.as_bytes()));
    let found = match below {
        "" => found,
        below => found.and_then(|layer| files.child(layer, below.as_bytes())),
    };
    let slash = if below.is_empty() { "" } else { "/" };
    match found {
        Some(directory) if files.is_directory(directory) => Ok(directory),
        _ => Err(format!(
            "{above}/{cache_id}{slash}{below} is not in the tar"
        )),
    }
}

/// Whether what a driver mounts for a layer has files.
fn has_mounted(files: &RootFiles, docker: FileNode, above: &str, cache_id: &str) -> bool {
    let mounted = files.below(docker, above);
    let mounted = mounted.and_then(|above| files.child(above, cache_id.as_bytes()));
    mounted.is_some_and(|mounted| !files.children(mounted).is_empty())
}
