//! What Docker itself writes: today's layout, and that of versions up to 24.

use std::collections::HashMap;

use super::blobs::NamedLayer;
use super::describe::{Described, RefName, manifest_json, repositories};
use super::listing::IndexListing;
use super::members::ArchiveMembers;
use super::oci;
use super::v1::v1_images;
use crate::base::digest::{Algorithm, ContainerdId, DiffId, Digest};
use crate::image::MadeManifest;
use crate::output::WriteError;

/// The layout of Docker 25 and later (moby v26.1 `image/tarexport/save.go`): an OCI image layout with
/// `manifest.json` and `repositories`, and a v1 image for each layer, which nothing refers to.
///
/// Where Docker 25 to 28 leave the time of the clock (`index.json`, `blobs/sha256/`), it is 0 here, as
/// it is from 29 on. `named` are the images of `manifest.json`.
pub(super) fn current(
    images: &[Described<'_>],
    named: &[usize],
    listing: &IndexListing<'_>,
) -> Result<ArchiveMembers, WriteError> {
    let mut members = ArchiveMembers::default();
    oci::blobs(&mut members, images, listing, Described::mtime);
    let named: Vec<&Described<'_>> = named.iter().map(|&at| &images[at]).collect();
    let mut paths = Vec::with_capacity(named.len());
    let mut tops = Vec::with_capacity(named.len());
    for image in &named {
        for v1 in v1_images(image.image, image.layers)? {
            let path = Digest::sha256_of(&v1.json).blob_path();
            members.bytes(&path, v1.json, image.mtime());
        }
        let layers = image.layers.iter();
        paths.push((
            image.id.digest().blob_path(),
            layers.map(|l| l.digest.digest().blob_path()).collect(),
        ));
        let top = image.layers.last();
        tops.push(top.map(|layer| layer.diff_id.digest().encoded().to_owned()));
    }
    members.bytes("manifest.json", manifest_json(&named, paths, true), 0);
    members.bytes("index.json", listing.index(RefName::Tag)?, 0);
    if let Some(repositories) = repositories(&named, &tops) {
        members.bytes("repositories", repositories, 0);
    }
    Ok(members)
}

/// The layout of Docker 1.10 to 24 (moby v24 `image/tarexport/save.go`): a directory for each layer,
/// named by its v1 image. A layer that the archive has already under another name becomes a symbolic link.
pub(super) fn legacy(images: &[&Described<'_>]) -> Result<ArchiveMembers, WriteError> {
    let mut members = ArchiveMembers::default();
    let mut stored: HashMap<&DiffId, String> = HashMap::new();
    let mut paths = Vec::with_capacity(images.len());
    let mut tops = Vec::with_capacity(images.len());
    for image in images {
        let mtime = image.mtime();
        let mut layers = Vec::with_capacity(image.layers.len());
        let v1 = v1_images(image.image, image.layers)?;
        tops.push(v1.last().map(|v1| v1.id.clone()));
        for (layer, v1) in image.layers.iter().zip(v1) {
            let id = v1.id;
            layers.push(format!("{id}/layer.tar"));
            if !members.directory(&id, mtime) {
                continue;
            }
            members.bytes(&format!("{id}/VERSION"), b"1.0".to_vec(), mtime);
            members.bytes(&format!("{id}/json"), v1.json, mtime);
            let path = format!("{id}/layer.tar");
            if layer.left_out {
                continue;
            }
            if let Some(first) = stored.get(&layer.diff_id) {
                members.symlink(&path, format!("../{first}/layer.tar"), mtime);
            } else {
                members.layer(&path, layer, mtime);
                stored.insert(&layer.diff_id, id);
            }
        }
        let config = format!("{}.json", image.id.digest().encoded());
        members.bytes(&config, image.image.config.clone(), mtime);
        paths.push((config, layers));
    }
    members.bytes("manifest.json", manifest_json(images, paths, false), 0);
    if let Some(repositories) = repositories(images, &tops) {
        members.bytes("repositories", repositories, 0);
    }
    Ok(members)
}

/// What containerd calls the images of [`legacy`], by the manifests that it makes of them; none for an image
/// with a layer that is not named by SHA-256.
pub(super) fn made_manifests(images: &[Described<'_>]) -> Vec<Option<ContainerdId>> {
    // Of the layers with one diff ID the first is stored.
    let mut stored: HashMap<&DiffId, &NamedLayer> = HashMap::new();
    for layer in images.iter().flat_map(|image| image.layers) {
        stored.entry(&layer.diff_id).or_insert(layer);
    }
    let made = |image: &Described<'_>| {
        let size = image.image.config.len() as u64;
        let mut manifest = MadeManifest::new(image.id.digest(), size);
        for layer in image.layers {
            let layer = stored.get(&layer.diff_id)?;
            let digest = layer.digest.digest();
            if *digest.algorithm() != Algorithm::Sha256 {
                return None;
            }
            manifest.layer(layer.compression, digest, layer.blob.len());
        }
        Some(manifest.finish().0)
    };
    images.iter().map(made).collect()
}
