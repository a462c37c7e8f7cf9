//! The OCI image layout (image-spec `image-layout.md`).

use super::describe::{Described, OCI_LAYOUT, RefName, index, oci_manifest};
use super::members::ArchiveMembers;
use crate::base::digest::{BlobDigest, Digest};

/// An OCI image layout and nothing else. All times are 0, as containerd writes them.
pub(super) fn layout(images: &[Described<'_>]) -> (ArchiveMembers, Vec<BlobDigest>) {
    let mut members = ArchiveMembers::default();
    let manifests = blobs(&mut members, images, |_| 0);
    members.bytes("index.json", index(images, &manifests, RefName::Whole), 0);
    (members, manifests.into_iter().map(|(d, _)| d).collect())
}

/// Adds what both layouts with blobs have: `oci-layout`, the directories, and the blobs of every
/// image. Returns the digest and size of the manifest of each.
pub(super) fn blobs<'i>(
    members: &mut ArchiveMembers,
    images: &[Described<'i>],
    mtime: impl Fn(&Described<'i>) -> i64,
) -> Vec<(BlobDigest, u64)> {
    // The last image that is written sets the time of the directory.
    members.directory("blobs", images.last().map_or(0, &mtime));
    members.directory("blobs/sha256", 0);
    members.bytes(OCI_LAYOUT.0, OCI_LAYOUT.1.to_vec(), 0);
    let mut manifests = Vec::with_capacity(images.len());
    for image in images {
        let mtime = mtime(image);
        for layer in image.layers {
            members.blob(&layer.digest.digest().blob_path(), &layer.blob, mtime);
        }
        let config = image.image.config.clone();
        members.bytes(&image.id.digest().blob_path(), config, mtime);
        let manifest = oci_manifest(image);
        let digest = Digest::sha256_of(&manifest);
        manifests.push((BlobDigest::from(digest.clone()), manifest.len() as u64));
        members.bytes(&digest.blob_path(), manifest, 0);
    }
    manifests
}
