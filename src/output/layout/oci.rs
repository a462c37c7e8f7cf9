//! The OCI image layout (image-spec `image-layout.md`).

use super::describe::{Described, OCI_LAYOUT, RefName};
use super::image::LayerBlob;
use super::listing::IndexListing;
use super::members::ArchiveMembers;
use crate::output::WriteError;

/// An OCI image layout and nothing else. All times are 0, as containerd writes them.
pub(super) fn layout(
    images: &[Described<'_>],
    listing: &IndexListing<'_>,
) -> Result<ArchiveMembers, WriteError> {
    let mut members = ArchiveMembers::default();
    blobs(&mut members, images, listing, |_| 0);
    members.bytes("index.json", listing.index(RefName::Whole)?, 0);
    Ok(members)
}

/// Adds what both layouts with blobs have: `oci-layout`, the directories, and the blobs of every
/// image, index and artifact.
pub(super) fn blobs<'i>(
    members: &mut ArchiveMembers,
    images: &[Described<'i>],
    listing: &IndexListing<'_>,
    mtime: impl Fn(&Described<'i>) -> i64,
) {
    // The last image that is written sets the time of the directory.
    members.directory("blobs", images.last().map_or(0, &mtime));
    members.directory("blobs/sha256", 0);
    members.bytes(OCI_LAYOUT.0, OCI_LAYOUT.1.to_vec(), 0);
    for image in images {
        let mtime = mtime(image);
        for layer in image.layers {
            members.layer(&layer.digest.digest().blob_path(), layer, mtime);
        }
        let config = image.image.config.clone();
        members.bytes(&image.id.digest().blob_path(), config, mtime);
    }
    for (digest, bytes) in &listing.documents {
        members.directory_of(digest);
        members.bytes(&digest.blob_path(), bytes.clone(), 0);
    }
    for (digest, slice) in &listing.blobs {
        members.directory_of(digest);
        members.blob(&digest.blob_path(), &LayerBlob::Stored(slice.clone()), 0);
    }
}
