//! A flat tar that was changed: the layers below as they were, and what differs as one more on top.
//!
//! The layers come first. Their bytes are looked for in the changed tar wherever they may be now; then
//! the whole archive is put together in an unnamed temporary file, every layer verified against its diff ID,
//! and from there on everything is as with [`commit`]. So the rules for what counts as a change are the
//! same, and so is the form of the new layer.

use jiff::Timestamp;

use super::error::RebuildError;
use super::flat::FlatTar;
use super::layers::Parts;
use super::relocate::Moved;
use super::{Rebuilt, Target, expected, open, write};
use crate::archive::Archive;
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::ConfigChanges;
use crate::image::{Image, ImageSet, Name};
use crate::output::{CommitOptions, Committed, commit};
use crate::source::{Input, Slice, Source};
use crate::split::metadata::{Container, StreamFault, names};
use crate::tree::Tree;

/// What the history says of the new layer.
const CREATED_BY: &str = "imgtar rebuild --accept-changes";

/// What engines leave behind in every container that they start: Docker, podman.
const MARKS: [&[u8]; 2] = [b".dockerenv", b"run/.containerenv"];

/// How to make a layer of what was changed.
#[derive(Clone, Copy, Debug)]
pub struct AcceptOptions<'o> {
    /// The time of the new image.
    pub created: Timestamp,
    /// A remark for the history; may be empty.
    pub message: &'o str,
    /// The names of the new image; `None` for those of the old one.
    pub names: Option<&'o [Name]>,
    /// How many threads work at once.
    pub jobs: Jobs,
}

/// The outcome for a flat tar that may have been changed.
#[derive(Debug)]
pub enum Accepted {
    /// It was not: [`super::rebuild`] gives the archive.
    Unchanged,
    /// It has other bytes and the same meaning, such as an export, which lacks extended attributes. The
    /// archive as it was, in a temporary file.
    Equal(Slice, Rebuilt),
    /// The image has one more layer.
    Extended(Box<Extended>),
}

/// An image with one more layer of what was changed.
#[derive(Debug)]
pub struct Extended {
    /// The image to write, and what was changed.
    pub committed: Committed,
    /// The outcome for the layers below.
    pub rebuilt: Rebuilt,
    /// How many images the archive had; only the changed one is left.
    pub images: usize,
}

/// Makes one more layer of what differs between `flat` and the image that `metadata` came from.
///
/// Metadata has no bytes of files that the flat tar had. Where a file was replaced or removed, and no
/// other file has its content, a layer below cannot be put together; from lean metadata it comes back
/// without the file, as it does without all others whose bytes are lost.
///
/// # Errors
///
/// [`RebuildError`], [`RebuildError::Lost`] among them.
pub fn accept(
    metadata: &Container,
    flat: &Input,
    options: AcceptOptions<'_>,
    progress: &dyn Progress,
) -> Result<Accepted, RebuildError> {
    accepted(metadata, flat, options, progress).map_err(|error| error.in_file(metadata))
}

fn accepted(
    metadata: &Container,
    flat: &Input,
    options: AcceptOptions<'_>,
    progress: &dyn Progress,
) -> Result<Accepted, RebuildError> {
    let (flat, account) = open(metadata, flat)?;
    let mut parts = Parts::new(metadata, &flat, &account);
    let tree = expected(&parts)?;
    let is_same = flat.compare(&tree)?.is_empty();
    let of_container = is_of_container(metadata, &flat, &tree);
    drop(tree);
    parts.moved = Moved::find(&parts, options.jobs, progress)?;
    if is_same && parts.moved.is_empty() {
        return Ok(Accepted::Unchanged);
    }
    if !metadata.description().lean {
        parts.moved.refuse(&parts)?;
    }
    let (archive, rebuilt) = spool(&parts, options.jobs, progress)?;
    let archive = Archive::open(Input::temporary(archive))?;
    let set = archive.images()?;
    let image = pick(metadata, &set, &rebuilt)?;
    let options = CommitOptions {
        created: options.created,
        message: options.message,
        created_by: Some(CREATED_BY),
        of_container,
        author: None,
        changes: &ConfigChanges::default(),
        names: options.names.unwrap_or(&image.names),
        jobs: options.jobs,
    };
    let committed = commit(image, flat.whole(), options, progress)?;
    if committed.delta.is_empty() {
        return Ok(Accepted::Equal(archive.source().whole(), rebuilt));
    }
    Ok(Accepted::Extended(Box::new(Extended {
        committed,
        rebuilt,
        images: metadata.description().archive.images,
    })))
}

/// Whether the flat tar was made to look like a container's, or became one's since.
fn is_of_container(metadata: &Container, flat: &FlatTar, tree: &Tree) -> bool {
    let is_new = |mark: &&[u8]| flat.body(mark).is_some() && tree.at(mark).is_none();
    metadata.description().flat.as_container.is_some() || MARKS.iter().any(is_new)
}

/// Puts the archive together in an unnamed temporary file.
fn spool(
    parts: &Parts<'_>,
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(Source, Rebuilt), RebuildError> {
    let file = tempfile::tempfile().map_err(RebuildError::SpoolArchive)?;
    // What is written here is not the output.
    let written = write(parts, Target::File(&file), jobs, progress).map_err(|error| match error {
        RebuildError::Write(source) => RebuildError::SpoolArchive(source),
        other => other,
    });
    let rebuilt = written?;
    let name = "the rebuilt archive".to_owned();
    let account = parts.account;
    let source = Source::temporary(
        file,
        rebuilt.bytes,
        name,
        account.limits(),
        account.stored(),
    );
    Ok((source, rebuilt))
}

/// The image that was flattened. Where several have its ID, the one of the same names.
fn pick<'s>(
    metadata: &Container,
    set: &'s ImageSet,
    rebuilt: &Rebuilt,
) -> Result<&'s Image, RebuildError> {
    let wanted = &metadata.description().image;
    let new = rebuilt.image_id.as_ref();
    let id = new.map_or_else(|| wanted.id.clone(), |(_, new)| new.to_string());
    let is_same = |image: &&Image| image.identity.to_string() == id;
    let is_named = |image: &&Image| {
        let names = image.names.iter().map(ToString::to_string);
        names.eq(wanted.references.iter().cloned())
    };
    let mut same = set.images.iter().filter(is_same);
    let named = same.clone().find(is_named);
    named.or_else(|| same.next()).ok_or_else(|| {
        let why = format!("the archive that it describes has no image {id}");
        StreamFault::Wrong(why).of(names::DESCRIPTION).into()
    })
}
