//! Container image archives, read as tar files alone.
//!
//! `imgtar` opens what `docker save`, `podman save`, `skopeo copy` and many build tools write, of
//! every age and layout, compressed as a whole or not, and answers what engines answer after loading
//! it: which images are there, how they were built, how large they are, whether every byte is what
//! the archive claims. No daemon, no registry, nothing unpacked to disk.
//!
//! Everything begins with [`open`], and what most programs need is here at the root:
//!
//! ```
//! use imgtar::{Options, Tree};
//!
//! let options = Options::default();
//! let archive = imgtar::open("testdata/engines/docker26-one.tar".as_ref(), &options)?;
//! let images = archive.images()?;
//! let image = images.only(None)?;
//! println!("{} {}", image.identity, image.display_name());
//!
//! let tree = Tree::merge(image, &options)?;
//! assert!(tree.file("etc/os-release")?.size() > 0);
//!
//! let result = imgtar::verify(&archive, &images, &options)?;
//! assert!(result.is_ok(false));
//! # Ok::<(), imgtar::Error>(())
//! ```
//!
//! The modules have the rest, and [`Options`] says how much an archive may ask for, how many threads work
//! and where progress is reported.
//!
//! The modules are listed in the order in which bytes flow through them; a module uses only those above
//! it. `docs/architecture.md` says why each boundary is where it is.
//!
//! ```text
//! base     identifiers, limits, problems, jobs, progress
//! source   bytes at rest: a file, a pipe, a compressed file; decoders
//! tar      headers and bodies, read as the engines read them
//! archive  the outer tar: members, links between them, which layout it has
//! document configs, descriptors: read as Go does, edited as text
//! image    manifests, indexes, references: the images
//! layer    one layer: entries, size, digests
//! tree     the merged file system
//! output   tars: the tree as one rootfs tar, new layers, whole archives
//! split    metadata for a flat tar, and the archive again from both
//! rescue   images from an engine's data directory
//! delta    what old archives lack of a new one, and the new one again
//! check    claims against bytes, what engines load, the audit
//! report   answers as data: the JSON contract
//! ```

pub mod archive;
pub mod base;
pub mod check;
pub mod delta;
pub mod document;
mod error;
pub mod image;
pub mod layer;
pub mod output;
pub mod report;
pub mod rescue;
pub mod source;
pub mod split;
pub mod tar;
pub mod tree;

use std::io::Write;
use std::path::Path;

pub use archive::{Archive, Contents};
pub use base::jobs::Jobs;
pub use base::limits::{Limit, Limits};
pub use base::options::Options;
pub use base::problem::{Code, Problem, Severity};
pub use base::progress::{Progress, Task};
pub use base::stop::Stopper;
pub use check::Verification;
pub use document::{Config, Platform, WantedPlatform};
pub use error::{Class, Error};
pub use image::{Identity, Image, ImageSet, Layer, Name, Reference, Selector};
pub use layer::LayerTar;
pub use output::{ArchiveLayout, Flattened, WrittenArchive};
pub use source::ReadAt;
pub use tar::{Entry, Kind};
pub use tree::{FileReader, Inode, Tree, WalkEntry};

use output::{ArchiveOptions, FlattenOptions, OutputImage};
use source::Input;

/// Opens the archive at `path` and indexes its members. One that is compressed as a whole is decompressed
/// into an unnamed temporary file.
///
/// # Errors
///
/// [`Error`] if the file cannot be read, is not a tar, or is damaged or cut short.
pub fn open(path: &Path, options: &Options<'_>) -> Result<Archive, Error> {
    Ok(Archive::open(Input::open(path, options)?)?)
}

/// Opens an archive that the caller has the bytes of; messages call it `name`.
///
/// ```
/// use imgtar::Options;
///
/// let bytes = std::fs::read("testdata/engines/docker26-one.tar")?;
/// let archive = imgtar::open_reader(bytes, "app.tar", &Options::default())?;
/// assert_eq!(archive.images()?.images.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error`] if the bytes cannot be read, are not a tar, or are damaged or cut short.
pub fn open_reader(
    bytes: impl ReadAt + 'static,
    name: &str,
    options: &Options<'_>,
) -> Result<Archive, Error> {
    Ok(Archive::open(Input::from_reader(bytes, name, options)?)?)
}

/// Reads an archive from standard input and indexes its members. A pipe is copied into an unnamed
/// temporary file, a redirected file is read in place.
///
/// # Errors
///
/// [`Error`] if standard input cannot be read, is not a tar, or is damaged or cut short.
pub fn open_stdin(options: &Options<'_>) -> Result<Archive, Error> {
    Ok(Archive::open(Input::stdin(options)?)?)
}

/// Opens what can be read of the archive at `path`, be it whole or not: for [`verify`], which reports
/// where it is damaged and checks what is left.
///
/// ```
/// use imgtar::{Code, Options};
///
/// let options = Options::default();
/// let path = "testdata/broken/truncated-after-manifest.tar".as_ref();
/// assert!(imgtar::open(path, &options).is_err());
/// let contents = imgtar::open_damaged(path, &options)?;
/// let result = imgtar::verify(&contents, &contents.images()?, &options)?;
/// assert!(result.problems.iter().any(|problem| problem.code == Code::ArchiveTruncated));
/// # Ok::<(), imgtar::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] if the file cannot be read or is not a tar.
pub fn open_damaged(path: &Path, options: &Options<'_>) -> Result<Contents, Error> {
    Ok(Contents::index(Input::open(path, options)?)?)
}

/// The same for standard input.
///
/// # Errors
///
/// [`Error`] if standard input cannot be read or is not a tar.
pub fn open_damaged_stdin(options: &Options<'_>) -> Result<Contents, Error> {
    Ok(Contents::index(Input::stdin(options)?)?)
}

/// Recomputes everything that an archive and the images in it claim, and predicts which engines would load
/// it: see [`check::verify`], and `docs/verify.md` for what is checked. What is wrong with the archive is
/// in the answer.
///
/// ```
/// use imgtar::{Code, Options};
///
/// let options = Options::default();
/// let archive = imgtar::open("testdata/broken/layer-bit-flipped.tar".as_ref(), &options)?;
/// let result = imgtar::verify(&archive, &archive.images()?, &options)?;
/// assert!(!result.is_ok(false));
/// assert_eq!(result.problems[0].code, Code::DiffIdMismatch);
/// # Ok::<(), imgtar::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] if the operating system fails.
pub fn verify(
    archive: &Contents,
    images: &ImageSet,
    options: &Options<'_>,
) -> Result<Verification, Error> {
    let (jobs, progress) = (options.jobs, options.progress);
    Ok(check::verify(archive, images, jobs, progress)?)
}

/// Writes `image` to `out` as one rootfs tar, as `docker export` would give it; every layer is compared
/// with its diff ID on the way. [`output`] has what else can be asked for, and a faster way into a file.
///
/// ```
/// use imgtar::Options;
///
/// let options = Options::default();
/// let archive = imgtar::open("testdata/engines/docker26-one.tar".as_ref(), &options)?;
/// let mut tar = Vec::new();
/// let written = imgtar::flatten(archive.images()?.only(None)?, &mut tar, &options)?;
/// assert_eq!(written.bytes, tar.len() as u64);
/// # Ok::<(), imgtar::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`]. What was written until then is worthless: a layer that is not what its diff ID says is known
/// only at the end.
pub fn flatten<W: Write>(image: &Image, out: W, options: &Options<'_>) -> Result<Flattened, Error> {
    let how = FlattenOptions {
        verify: true,
        as_container: None,
        jobs: options.jobs,
    };
    Ok(output::flatten(image, out, how, options.progress)?)
}

/// Writes `images` to `out` as one archive of this layout, with the layers as they are stored and the configs
/// byte for byte; every layer is compared with its digests on the way. [`output`] has what else can be
/// asked for, such as images that are put together anew.
///
/// ```
/// use imgtar::{ArchiveLayout, Options};
///
/// let options = Options::default();
/// let archive = imgtar::open("testdata/engines/docker20-one.tar".as_ref(), &options)?;
/// let images = archive.images()?;
/// let mut oci = Vec::new();
/// imgtar::write_archive(&images.images, ArchiveLayout::Oci, &mut oci, &options)?;
///
/// let written = imgtar::open_reader(oci, "oci.tar", &options)?.images()?;
/// assert_eq!(written.images[0].identity, images.images[0].identity);
/// # Ok::<(), imgtar::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] if a config or a layer is missing or is not what is claimed, or if `out` fails. What was written
/// until then is worthless.
pub fn write_archive<'i, W: Write>(
    images: impl IntoIterator<Item = &'i Image>,
    layout: ArchiveLayout,
    out: W,
    options: &Options<'_>,
) -> Result<WrittenArchive, Error> {
    let (jobs, progress) = (options.jobs, options.progress);
    let images = images
        .into_iter()
        .map(|image| OutputImage::of(image, jobs, progress));
    let images: Vec<OutputImage> = images.collect::<Result<_, _>>()?;
    let how = ArchiveOptions {
        layout,
        verify: true,
        compress: output::LayerCompression::Keep,
        jobs,
    };
    Ok(output::write_archive(&images, out, how, progress)?)
}
