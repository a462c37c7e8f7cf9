//! An image as one rootfs tar, in the form of `docker export`.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::thread;

use super::WriteError;
use super::header::HeaderFields;
use super::tar::TarWriter;
use crate::digest::DiffId;
use crate::image::{Identity, Image};
use crate::layer::{SumWanted, sum};
use crate::parallel::{self, Jobs};
use crate::progress::Progress;
use crate::record::Mtime;
use crate::rootfs::{Body, Digests, Inode, InodeId, Rootfs, RootfsError, Warning};

/// How far sparse files may expand: this many bytes in any case, or so many times the layers. A header
/// of 512 bytes can claim a hole of 8 EiB.
const HOLES_LIMIT: u64 = 16 << 30;
const HOLES_RATIO: u64 = 200;

/// How to flatten.
#[derive(Clone, Copy, Debug)]
pub struct FlattenOptions {
    /// Whether every layer is held against its diff ID alongside.
    pub verify: bool,
    /// Whether what a created container adds is added, and of which time it is.
    pub as_container: Option<Mtime>,
    /// How many threads work at once.
    pub jobs: Jobs,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Flattened {
    /// How many entries.
    pub entries: u64,
    /// How many bytes.
    pub bytes: u64,
    /// What engines would show otherwise.
    pub warnings: Vec<Warning>,
}

/// Writes the merged tree of `image` to `out`.
///
/// Order: a directory before what is in it, siblings in the order of their names' bytes; of the names
/// of one file the first carries the bytes and the others are hard links to it (moby
/// `daemon/export.go`, go-archive `Tarballer`).
///
/// # Errors
///
/// [`WriteError`]. What was written until then is worthless: a layer that is not what its diff ID
/// says is known only at the end.
pub fn flatten<W: Write>(
    image: &Image,
    out: W,
    options: FlattenOptions,
    progress: &dyn Progress,
) -> Result<Flattened, WriteError> {
    if options.verify {
        require_claims(image)?;
    }
    let (mut tree, digests) = Rootfs::build(image, options.verify, options.jobs, progress)?;
    let limit = HOLES_LIMIT.max(tree.layer_bytes().saturating_mul(HOLES_RATIO));
    let holes = tree.holes();
    if holes > limit {
        return Err(RootfsError::Expansion { holes, limit }.into());
    }
    if let Some(time) = options.as_container {
        let working_dir = image.view().map_or("", |config| &config.run.working_dir);
        tree.add_container_files(working_dir.as_bytes(), time);
    }
    thread::scope(|scope| {
        // The layers are hashed on the other cores while this one writes.
        let check = options
            .verify
            .then(|| scope.spawn(|| check_layers(image, &digests, options.jobs, progress)));
        let written = write_tree(&tree, out, progress);
        if let Some(check) = check {
            // A panic there is a bug and passed on.
            check
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        written
    })
}

/// Refuses an image whose layers nothing vouches for.
fn require_claims(image: &Image) -> Result<(), RootfsError> {
    if matches!(image.identity, Identity::Legacy(_)) {
        return Ok(());
    }
    let refuse = |why: &str| {
        Err(RootfsError::Image {
            why: why.to_owned(),
        })
    };
    let Some(config) = image.view() else {
        return refuse(
            "its config is missing or unreadable, so nothing says what its layers should be",
        );
    };
    if config.diff_ids().len() != image.layers.len() {
        return refuse(&format!(
            "its manifest lists {} layers, its config {} diff IDs",
            image.layers.len(),
            config.diff_ids().len()
        ));
    }
    Ok(())
}

fn check_layers(
    image: &Image,
    digests: &Digests,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(), RootfsError> {
    let mut plans = Vec::new();
    let mut seen = HashSet::new();
    for layer in &image.layers {
        let (Some(claimed), Some((slice, compression))) = (&layer.diff_id, layer.present()) else {
            continue;
        };
        match digests.of(layer.index) {
            Some(computed) => compare(layer.index, claimed, computed)?,
            None => {
                if seen.insert((slice.span(), claimed)) {
                    plans.push((layer.index, claimed, slice, compression));
                }
            }
        }
    }
    let sums = parallel::map(
        jobs,
        &plans,
        |(_, _, slice, _)| slice.len(),
        |(index, _, slice, compression)| {
            let task = progress.begin("verifying layers", Some(slice.len()));
            sum(slice, *compression, &SumWanted::diff_id(), &*task).map_err(|source| {
                RootfsError::Layer {
                    layer: *index,
                    source,
                }
            })
        },
    );
    for ((index, claimed, _, _), sum) in plans.iter().zip(sums) {
        compare(*index, claimed, &DiffId::from(sum?.tar))?;
    }
    Ok(())
}

fn compare(layer: usize, claimed: &DiffId, computed: &DiffId) -> Result<(), RootfsError> {
    // Another algorithm cannot be compared with what was computed.
    if claimed.digest().algorithm() != computed.digest().algorithm() || claimed == computed {
        return Ok(());
    }
    Err(RootfsError::DiffId {
        layer,
        claimed: claimed.clone(),
        computed: computed.clone(),
    })
}

/// Writes the logical content of a regular file to `out`; nothing for anything else.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_file<W: Write>(tree: &Rootfs, inode: &Inode, out: W) -> Result<(), WriteError> {
    let mut writer = TarWriter::new(out);
    if let Some(body) = tree.file_body(inode) {
        writer.content(&body)?;
    }
    writer.close().map(drop)
}

fn write_tree<W: Write>(
    tree: &Rootfs,
    out: W,
    progress: &dyn Progress,
) -> Result<Flattened, WriteError> {
    let task = progress.begin("writing", None);
    let mut writer = TarWriter::new(out);
    // The path under which each file with a body was written; files with one name only cost nothing
    // more than their number here.
    let mut first: HashMap<InodeId, Box<[u8]>> = HashMap::new();
    let shared = shared_inodes(tree);
    let mut entries = 0;
    let mut path = Vec::new();
    let mut walk = tree.walk(tree.root());
    while let Some((entry, at)) = walk.next_entry() {
        entries += 1;
        path.clear();
        path.extend_from_slice(at);
        let inode = entry.inode;
        let mut fields = HeaderFields {
            path: &[],
            typeflag: b'0',
            link: &[],
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            size: 0,
            mtime: inode.mtime,
            device: (0, 0),
            xattrs: inode.xattrs.as_deref().unwrap_or_default(),
        };
        if shared.contains(&entry.id) {
            if let Some(target) = first.get(&entry.id) {
                writer.header(&HeaderFields {
                    path: &path,
                    typeflag: b'1',
                    link: target,
                    ..fields
                })?;
                continue;
            }
            first.insert(entry.id, path.as_slice().into());
        }
        match &inode.body {
            Body::Directory => {
                path.push(b'/');
                fields.typeflag = b'5';
            }
            Body::File { size, .. } => fields.size = *size,
            Body::Symlink(target) => (fields.typeflag, fields.link) = (b'2', target),
            Body::Char(major, minor) => (fields.typeflag, fields.device) = (b'3', (*major, *minor)),
            Body::Block(major, minor) => {
                (fields.typeflag, fields.device) = (b'4', (*major, *minor));
            }
            Body::Fifo => fields.typeflag = b'6',
        }
        writer.header(&HeaderFields {
            path: &path,
            ..fields
        })?;
        if let Some(body) = tree.file_body(inode) {
            writer.body(&body)?;
            task.advance(body.size);
        }
    }
    let (_, bytes) = writer.finish()?;
    Ok(Flattened {
        entries,
        bytes,
        warnings: tree.warnings().to_vec(),
    })
}

/// Files with more than one name.
fn shared_inodes(tree: &Rootfs) -> HashSet<InodeId> {
    let mut seen = vec![false; tree.inode_count()];
    let mut shared = HashSet::new();
    let mut walk = tree.walk(tree.root());
    while let Some((entry, _)) = walk.next_entry() {
        if std::mem::replace(&mut seen[entry.id.index()], true) {
            shared.insert(entry.id);
        }
    }
    shared
}
