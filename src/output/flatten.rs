//! An image as one rootfs tar, in the form of `docker export`.

use std::fs::File;
use std::io::Write;

use super::WriteError;
use super::entries::Entries;
use super::parallel_tar;
use super::tar::TarWriter;
use crate::base::digest::{DiffId, Digest, Hasher};
use crate::base::jobs::Jobs;
use crate::base::progress::{Progress, steps};
use crate::image::Image;
use crate::layer::OpenLayers;
use crate::layer::digest::{Claim, Claims, LayerName, Wanted};
use crate::tar::Mtime;
use crate::tree::{Inode, RefusedXattrs, Tree, TreeError, Warning, XattrPattern};

/// How to flatten.
#[derive(Clone, Copy, Debug)]
pub struct FlattenOptions {
    /// Whether every layer is verified against its diff ID on the way.
    pub verify: bool,
    /// Whether what a created container adds is added, and what time it has.
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
    /// What engines would show differently.
    pub warnings: Vec<Warning>,
    /// Extended attributes that kernels refuse to set.
    pub refused_xattrs: RefusedXattrs,
}

/// Writes the merged tree of `image` to `out`, in order.
///
/// # Errors
///
/// [`WriteError`]. What was written until then is worthless: a layer that is not what its diff ID
/// says is found only at the end.
pub fn flatten<W: Write>(
    image: &Image,
    out: W,
    options: FlattenOptions,
    progress: &dyn Progress,
) -> Result<Flattened, WriteError> {
    MergedImage::for_stream(image, options, progress)?.write(out, progress)
}

/// Writes the merged tree of `image` to `file`, which is empty and seekable: the same bytes as
/// [`flatten`], with all cores at work, and each layer read once for its digest and its files.
///
/// # Errors
///
/// As [`flatten`].
pub fn flatten_to_file(
    image: &Image,
    file: &File,
    options: FlattenOptions,
    progress: &dyn Progress,
) -> Result<Flattened, WriteError> {
    MergedImage::for_file(image, options, progress)?.write_to_file(file, progress)
}

/// An image that was merged and not written yet, for callers that need to see the tree first.
#[derive(Debug)]
pub struct MergedImage<'i> {
    options: FlattenOptions,
    tree: Tree,
    claims: Claims<'i>,
}

impl<'i> MergedImage<'i> {
    /// Merges `image` for [`Self::write`].
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the layers cannot be applied.
    pub fn for_stream(
        image: &'i Image,
        options: FlattenOptions,
        progress: &dyn Progress,
    ) -> Result<Self, WriteError> {
        Self::new(image, options, options.verify, progress)
    }

    /// Merges `image` for [`Self::write_to_file`], which digests compressed layers later.
    ///
    /// # Errors
    ///
    /// As [`Self::for_stream`].
    pub fn for_file(
        image: &'i Image,
        options: FlattenOptions,
        progress: &dyn Progress,
    ) -> Result<Self, WriteError> {
        Self::new(image, options, false, progress)
    }

    /// Merges the layers; diff IDs of compressed ones are computed on the way if `digests` asks for
    /// them.
    fn new(
        image: &'i Image,
        options: FlattenOptions,
        digests: bool,
        progress: &dyn Progress,
    ) -> Result<Self, WriteError> {
        if options.verify {
            require_claims(image)?;
        }
        let layers = OpenLayers::of(image, digests, options.jobs, progress)?;
        let _merging = progress.begin(steps::MERGING, None);
        let mut tree = Tree::of_layers(layers.tars())?;
        tree.check_expansion()?;
        if let Some(time) = options.as_container {
            let working_dir = image.view().map_or("", |config| &config.run.working_dir);
            tree.add_container_files(working_dir.as_bytes(), time)?;
        }
        let claims = if options.verify {
            claims(image, Some(&layers))
        } else {
            Claims::none()
        };
        Ok(Self {
            options,
            tree,
            claims,
        })
    }

    /// The tree that will be written. The bytes of its files can be read until then, and not
    /// afterwards: those of compressed layers are given up as they are written.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Leaves out everything but what `paths` lead to, as [`Tree::keep_only`] does. The layers are verified
    /// as a whole all the same.
    pub fn keep_only(&mut self, paths: &[Vec<u8>]) {
        self.tree.keep_only(paths);
    }

    /// Leaves out the extended attributes that one of `patterns` matches; how many files had such, by
    /// pattern.
    pub fn drop_xattrs(&mut self, patterns: &[XattrPattern]) -> Vec<u64> {
        self.tree.drop_xattrs(patterns)
    }

    /// Writes it to `out`, in order.
    ///
    /// # Errors
    ///
    /// As [`flatten`].
    pub fn write<W: Write>(self, out: W, progress: &dyn Progress) -> Result<Flattened, WriteError> {
        let (options, tree) = (self.options, self.tree);
        let entries = Entries::new(&tree);
        let write = || write_stream(&entries, out, progress);
        let (entries, bytes) = self.claims.while_writing(options.jobs, progress, write)?;
        Ok(Flattened {
            entries,
            bytes,
            warnings: tree.warnings().to_vec(),
            refused_xattrs: tree.refused_xattrs(),
        })
    }

    /// Writes it to `file`, which is empty and seekable.
    ///
    /// # Errors
    ///
    /// As [`flatten`].
    pub fn write_to_file(
        self,
        file: &File,
        progress: &dyn Progress,
    ) -> Result<Flattened, WriteError> {
        let (options, tree, mut claims) = (self.options, self.tree, self.claims);
        // Afterwards the bytes of layers may be gone, so digests are computed alongside.
        let wanted: Vec<(usize, Wanted)> = claims
            .unread()
            .map(|reading| (reading.layer, reading.wanted.clone()))
            .collect();
        let placed = parallel_tar::write(
            &Entries::new(&tree),
            tree.layers(),
            &wanted,
            file,
            options.jobs,
            progress,
        )?;
        claims.settle(placed.proofs);
        claims.conclude()?;
        Ok(Flattened {
            entries: placed.entries,
            bytes: placed.bytes,
            warnings: tree.warnings().to_vec(),
            refused_xattrs: tree.refused_xattrs(),
        })
    }
}

/// Refuses an image whose layers have no diff IDs to verify them against.
pub(super) fn require_claims(image: &Image) -> Result<(), TreeError> {
    if image.is_legacy() {
        return Ok(());
    }
    let refuse = |why: &str| {
        Err(TreeError::Image {
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
    let claimed = config.diff_ids().iter().map(DiffId::digest);
    let mut algorithms = claimed.map(Digest::algorithm).enumerate();
    let other = algorithms.find(|(_, algorithm)| Hasher::for_algorithm(algorithm).is_none());
    if let Some((layer, algorithm)) = other {
        let name = algorithm.name();
        return refuse(&format!(
            "the diff ID of layer {layer} is a `{name}` digest, which imgtar cannot compute"
        ));
    }
    Ok(())
}

/// What is claimed of the layers; some of it was proven when they were opened.
pub(super) fn claims<'i>(image: &'i Image, opened: Option<&OpenLayers>) -> Claims<'i> {
    let mut claims = Claims::none();
    for layer in &image.layers {
        if let (Some(diff_id), Some((bytes, compression))) = (&layer.diff_id, layer.present()) {
            let claim = Claim {
                name: LayerName::of(layer.index),
                bytes,
                compression,
                content: diff_id.digest(),
                stored: None,
            };
            claims.add(claim, opened.and_then(|opened| opened.proof(layer.index)));
        }
    }
    claims
}

/// Writes the logical content of a regular file to `out`; nothing for anything else.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_file<W: Write>(tree: &Tree, inode: &Inode, out: W) -> Result<(), WriteError> {
    let mut writer = TarWriter::new(out);
    if let Some(body) = tree.file_body(inode)? {
        writer.content(&body)?;
    }
    writer.close().map(drop)
}

/// Writes a tree, or the part of one that [`Tree::keep_only`] left, to `out` as a rootfs tar. Nothing is compared with
/// a diff ID. How many entries it has.
///
/// # Errors
///
/// [`WriteError`] if files cannot be read or `out` fails, and if the holes of sparse files come to more than the
/// limits allow.
pub fn write_tree<W: Write>(
    tree: &Tree,
    out: W,
    progress: &dyn Progress,
) -> Result<u64, WriteError> {
    tree.check_expansion()?;
    write_stream(&Entries::new(tree), out, progress).map(|(entries, _)| entries)
}

fn write_stream<W: Write>(
    entries: &Entries<'_>,
    out: W,
    progress: &dyn Progress,
) -> Result<(u64, u64), WriteError> {
    let mut total: u64 = 0;
    entries.each(|_, content| {
        total = total.saturating_add(content.map_or(0, |content| content.body.size));
        Ok(())
    })?;
    let task = progress.begin(steps::WRITING, Some(total));
    let mut writer = TarWriter::new(out);
    let count = entries.each(|fields, content| {
        writer.header(fields)?;
        if let Some(content) = content {
            writer.body(&content.body)?;
            task.advance(content.body.size);
        }
        Ok(())
    })?;
    let (_, bytes) = writer.finish_record()?;
    Ok((count, bytes))
}
