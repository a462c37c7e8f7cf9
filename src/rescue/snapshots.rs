//! The unpacked layers of containerd's snapshotters (containerd `core/metadata/buckets.go`,
//! `core/snapshots/storage/bolt.go`): for what has no blob, such as what a container changed.

use super::RescueError;
use super::bolt::{Bolt, BoltItem, uvarint};
use super::containerd::{METADATA, slice_of};
use super::files::{FileNode, RootFiles};

/// Where the snapshotter has its files that Docker uses.
const OVERLAYFS: &str = "io.containerd.snapshotter.v1.overlayfs";
/// How long a name or a number is at the most.
const LONGEST: usize = 4096;

/// The directory with the files of a snapshot; why not, for people.
///
/// # Errors
///
/// [`RescueError`] if the system fails.
pub(crate) fn find(
    files: &RootFiles,
    containerd: FileNode,
    namespace: &str,
    key: &str,
) -> Result<Result<FileNode, String>, RescueError> {
    let path = [
        b"v1",
        namespace.as_bytes(),
        b"snapshots",
        b"overlayfs",
        key.as_bytes(),
    ];
    let name = match value(files, containerd, METADATA, &path, b"name")? {
        Ok(name) => name,
        Err(why) => return Ok(Err(why)),
    };
    let own = format!("{OVERLAYFS}/metadata.db");
    let id = match value(
        files,
        containerd,
        &own,
        &[b"v1", b"snapshots", &name],
        b"id",
    )? {
        Ok(id) => id,
        Err(why) => return Ok(Err(why)),
    };
    let Some(id) = uvarint(&id) else {
        return Ok(Err(format!("{own} has no number for the snapshot {key}")));
    };
    let path = format!("{OVERLAYFS}/snapshots/{id}/fs");
    let found = files.below(containerd, &path);
    let found = found.filter(|found| files.is_directory(*found));
    Ok(found.ok_or_else(|| format!("{path} is not in the tar")))
}

/// One value of a database.
fn value(
    files: &RootFiles,
    containerd: FileNode,
    database: &str,
    path: &[&[u8]],
    wanted: &[u8],
) -> Result<Result<Vec<u8>, String>, RescueError> {
    let Some(file) = files.below(containerd, database) else {
        return Ok(Err(format!("{database} is not in the tar")));
    };
    let slice = slice_of(files, file)?;
    let read = || {
        let bolt = Bolt::open(&slice)?;
        let mut found = None;
        if let Some(bucket) = bolt.bucket(&bolt.root(), path)? {
            bolt.each(&bucket, &mut |key, item| {
                if let (true, BoltItem::Value(value)) = (key == wanted, item) {
                    found = Some(value);
                }
                Ok(())
            })?;
        }
        Ok(found.filter(|value: &Vec<u8>| value.len() <= LONGEST))
    };
    Ok(match read() {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(format!("{database} does not list its files")),
        Err(fault) => {
            let fault: String = fault;
            Err(format!("{database} cannot be read: {fault}"))
        }
    })
}
