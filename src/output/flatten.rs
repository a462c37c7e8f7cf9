//! An image as one rootfs tar, in the form of `docker export`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};

use super::WriteError;
use super::entries::Entries;
use super::parallel_tar;
use super::tar::TarWriter;
use crate::base::digest::{Algorithm, DiffId, Digest, Hasher};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::{Progress, Task};
use crate::image::{Identity, Image, Layer};
use crate::layer::passes::{self, Begun, Plain, Read, Work};
use crate::layer::{LayerError, OpenLayers, SumWanted, sum};
use crate::source::{Compression, Slice, Span};
use crate::tar::Mtime;
use crate::tree::{Inode, Tree, TreeError, Warning};

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

/// Writes the merged tree of `image` to `out`, a byte after the other.
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
    Merged::for_stream(image, options, progress)?.write(out, progress)
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
    Merged::for_file(image, options, progress)?.write_to_file(file, progress)
}

/// An image that was merged and not written yet, for those who want to see the tree first.
#[derive(Debug)]
pub struct Merged<'i> {
    image: &'i Image,
    options: FlattenOptions,
    tree: Tree,
    layers: OpenLayers,
}

impl<'i> Merged<'i> {
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
        let layers = OpenLayers::of(image, digests, options.jobs, progress);
        let layers = layers.map_err(TreeError::from)?;
        let mut tree = Tree::merge(layers.tars())?;
        tree.check_expansion()?;
        if let Some(time) = options.as_container {
            let working_dir = image.view().map_or("", |config| &config.run.working_dir);
            tree.add_container_files(working_dir.as_bytes(), time)?;
        }
        Ok(Self {
            image,
            options,
            tree,
            layers,
        })
    }

    /// The tree that will be written. The bytes of its files can be read until then, and not
    /// afterwards: those of compressed layers are given up as they are written.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Writes it to `out`, a byte after the other.
    ///
    /// # Errors
    ///
    /// As [`flatten`].
    pub fn write<W: Write>(self, out: W, progress: &dyn Progress) -> Result<Flattened, WriteError> {
        let (image, options) = (self.image, self.options);
        let (tree, opened) = (self.tree, self.layers);
        let entries = Entries::new(&tree);
        let write = || write_stream(&entries, out, progress);
        let (entries, bytes) = if options.verify {
            // The layers are hashed on the other cores while this one writes.
            let check = || check_layers(image, &opened, options.jobs, progress);
            let (checked, written) = jobs::both(check, write);
            checked?;
            written?
        } else {
            write()?
        };
        Ok(Flattened {
            entries,
            bytes,
            warnings: tree.warnings().to_vec(),
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
        let (image, options) = (self.image, self.options);
        let (tree, opened) = (self.tree, self.layers);
        let unproven = if options.verify {
            unproven(image, &opened)
        } else {
            Vec::new()
        };
        // Afterwards the bytes of layers may be gone: what is to be known of them is computed alongside.
        let algorithms: HashMap<usize, &Algorithm> = unproven
            .iter()
            .map(|claim| (claim.layer, claim.algorithm))
            .collect();
        let placed = parallel_tar::write(
            &Entries::new(&tree),
            tree.layers(),
            |layer| Hasher::for_algorithm(algorithms.get(&layer)?),
            file,
            options.jobs,
            progress,
        )?;
        if options.verify {
            let mut computed = Computed::new();
            for claim in unproven {
                if let Some(id) = placed.digests.get(&claim.layer) {
                    computed.insert((claim.span, claim.algorithm), id.clone());
                }
            }
            compare(image, &opened, &computed)?;
        }
        Ok(Flattened {
            entries: placed.entries,
            bytes: placed.bytes,
            warnings: tree.warnings().to_vec(),
        })
    }
}

/// Refuses an image whose layers nothing vouches for.
fn require_claims(image: &Image) -> Result<(), TreeError> {
    if matches!(image.identity, Identity::Legacy(_)) {
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
            "the diff ID of layer {layer} is a digest by `{name}`, which cannot be computed"
        ));
    }
    Ok(())
}

/// What is claimed of a layer and not proven yet.
struct Unproven<'i> {
    layer: usize,
    span: Span,
    algorithm: &'i Algorithm,
}

/// Diff IDs by stretch of the archive and algorithm.
type Computed<'i> = HashMap<(Span, &'i Algorithm), DiffId>;

/// The layers whose digests nobody has computed yet, each stretch of the archive and each algorithm
/// once.
fn unproven<'i>(image: &'i Image, opened: &OpenLayers) -> Vec<Unproven<'i>> {
    let mut seen = HashSet::new();
    let unproven = |layer: &'i Layer| {
        let algorithm = layer.diff_id.as_ref()?.digest().algorithm();
        let known = opened.diff_id(layer.index);
        let is_known = known.is_some_and(|id| id.digest().algorithm() == algorithm);
        let span = layer.span().filter(|_| !is_known)?;
        seen.insert((span, algorithm)).then_some(Unproven {
            layer: layer.index,
            span,
            algorithm,
        })
    };
    image.layers.iter().filter_map(unproven).collect()
}

/// Hashes the layers that are not hashed yet, and compares all.
fn check_layers(
    image: &Image,
    opened: &OpenLayers,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(), TreeError> {
    let computed = hash_all(image, &unproven(image, opened), jobs, progress)?;
    compare(image, opened, &computed)
}

fn hash_all<'i>(
    image: &Image,
    unproven: &[Unproven<'i>],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<Computed<'i>, TreeError> {
    let work = Hashing { image, progress };
    let cost = |claim: &Unproven<'_>| claim.span.len;
    let sums = passes::map(jobs, unproven, cost, &work);
    let mut computed = HashMap::new();
    for (claim, sum) in unproven.iter().zip(sums) {
        if let Some(id) = sum? {
            computed.insert((claim.span, claim.algorithm), id);
        }
    }
    Ok(computed)
}

/// How the layers of an image are hashed.
struct Hashing<'i, 'p> {
    image: &'i Image,
    progress: &'p dyn Progress,
}

impl<'i> Hashing<'i, '_> {
    /// The stored bytes of a layer, and what hears how far its hashing has come.
    fn open(&self, claim: &Unproven<'_>) -> Option<(&'i Slice, Compression, Box<dyn Task>)> {
        let (slice, compression) = self.image.layers[claim.layer].present()?;
        let task = self.progress.begin("verifying layers", Some(slice.len()));
        Some((slice, compression, task))
    }
}

impl<'t, 'i: 't> Work<'t, Unproven<'i>> for Hashing<'i, '_> {
    type Pass = Plain<'t>;
    type Done = Result<Option<DiffId>, TreeError>;

    fn is_pass(&self, claim: &Unproven<'i>) -> bool {
        let layer = self.image.layers[claim.layer].present();
        layer.is_some_and(|(_, compression)| compression == Compression::None)
    }

    fn cost(&self, bytes: u64) -> u64 {
        bytes
    }

    fn begin(&self, claim: &'t Unproven<'i>) -> Begun<Plain<'t>, Self::Done> {
        let Some((slice, compression, task)) = self.open(claim) else {
            return Begun::Done(Ok(None));
        };
        let hasher = Hasher::for_algorithm(claim.algorithm);
        if let (Compression::None, Some(hasher)) = (compression, hasher) {
            return Begun::Pass(Plain::new(slice, task), hasher);
        }
        let wanted = SumWanted {
            tar: claim.algorithm.clone(),
            ..SumWanted::diff_id()
        };
        let layer = claim.layer;
        Begun::Done(
            sum(slice, compression, &wanted, &*task)
                .map(|sum| Some(DiffId::from(sum.tar)))
                .map_err(|source| TreeError::Layer { layer, source }),
        )
    }

    fn end(&self, claim: &'t Unproven<'i>, read: Read<Plain<'t>>) -> Self::Done {
        let layer = claim.layer;
        read.map(|(_, digest)| Some(DiffId::from(digest)))
            .map_err(|error| {
                let source = LayerError::Read(io::Error::other(error));
                TreeError::Layer { layer, source }
            })
    }
}

/// Holds every layer against its diff ID.
fn compare(image: &Image, opened: &OpenLayers, computed: &Computed<'_>) -> Result<(), TreeError> {
    for layer in &image.layers {
        let Some(claimed) = &layer.diff_id else {
            continue;
        };
        let algorithm = claimed.digest().algorithm();
        let known = opened.diff_id(layer.index);
        let known = known.filter(|id| id.digest().algorithm() == algorithm);
        let computed = known.or_else(|| computed.get(&(layer.span()?, algorithm)));
        if let Some(computed) = computed.filter(|computed| *computed != claimed) {
            return Err(TreeError::DiffId {
                layer: layer.index,
                claimed: claimed.clone(),
                computed: computed.clone(),
            });
        }
    }
    Ok(())
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

fn write_stream<W: Write>(
    entries: &Entries<'_>,
    out: W,
    progress: &dyn Progress,
) -> Result<(u64, u64), WriteError> {
    let task = progress.begin("writing", None);
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
