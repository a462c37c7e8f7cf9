//! Container image archives, read as tar files alone.
//!
//! `imgtar` opens what `docker save`, `podman save`, `skopeo copy` and many build tools write, of
//! every age and layout, compressed as a whole or not, and answers what engines answer after loading
//! it: which images are there, how they were built, how large they are, whether every byte is what
//! the archive claims. No daemon, no registry, nothing unpacked to disk.
//!
//! ```no_run
//! use imgtar::{Jobs, progress::Silent};
//!
//! let archive = imgtar::open("app.tar".as_ref(), &Silent)?;
//! let images = imgtar::image::ImageSet::load(&archive)?;
//! for image in &images.images {
//!     println!("{} {}", image.identity, image.display_name());
//! }
//! let result = imgtar::check::verify(&archive, &images, Jobs::all_cores(), &Silent)?;
//! assert!(result.is_ok(false));
//! # Ok::<(), imgtar::Error>(())
//! ```
//!
//! The modules stand in the order in which bytes flow through them; a module uses only those above
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
//! check    claims against bytes, what engines load, the audit
//! report   answers as data: the JSON contract
//! ```

pub mod archive;
pub mod base;
pub mod check;
pub mod document;
mod error;
pub mod image;
pub mod layer;
pub mod output;
pub mod report;
pub mod source;
pub mod split;
pub mod tar;
pub mod tree;

use std::path::Path;

pub use base::jobs::Jobs;
pub use base::limits::{Limit, Limits};
pub use error::{Class, Error};

use archive::{Archive, Contents};
use base::progress::Progress;
use source::Input;

/// Opens the archive at `path` and indexes its members.
///
/// # Errors
///
/// [`Error`] if the file cannot be read, is not a tar, or is damaged or cut short.
pub fn open(path: &Path, progress: &dyn Progress) -> Result<Archive, Error> {
    open_within(path, Limits::default(), progress)
}

/// Opens the archive at `path`, which may ask for as much as `limits` say.
///
/// # Errors
///
/// [`Error`] if the file cannot be read, is not a tar, or is damaged or cut short.
pub fn open_within(path: &Path, limits: Limits, progress: &dyn Progress) -> Result<Archive, Error> {
    Ok(Archive::open(Input::open_within(path, limits, progress)?)?)
}

/// Reads an archive from standard input and indexes its members.
///
/// # Errors
///
/// [`Error`] if standard input cannot be read, is not a tar, or is damaged or cut short.
pub fn open_stdin(progress: &dyn Progress) -> Result<Archive, Error> {
    open_stdin_within(Limits::default(), progress)
}

/// Reads an archive from standard input, which may ask for as much as `limits` say.
///
/// # Errors
///
/// [`Error`] if standard input cannot be read, is not a tar, or is damaged or cut short.
pub fn open_stdin_within(limits: Limits, progress: &dyn Progress) -> Result<Archive, Error> {
    Ok(Archive::open(Input::stdin_within(limits, progress)?)?)
}

/// Opens what can be read of the archive at `path`, be it whole or not: for [`verify`], which reports
/// where it is damaged and checks what is left.
///
/// # Errors
///
/// [`Error`] if the file cannot be read or is not a tar.
pub fn open_damaged(
    path: &Path,
    limits: Limits,
    progress: &dyn Progress,
) -> Result<Contents, Error> {
    Ok(Contents::index(Input::open_within(
        path, limits, progress,
    )?)?)
}

/// The same for standard input.
///
/// # Errors
///
/// [`Error`] if standard input cannot be read or is not a tar.
pub fn open_damaged_stdin(limits: Limits, progress: &dyn Progress) -> Result<Contents, Error> {
    Ok(Contents::index(Input::stdin_within(limits, progress)?)?)
}
