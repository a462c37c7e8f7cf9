//! A changed root file system as one more layer of the image that it came from: `docker commit`
//! without an engine.
//!
//! The base's layers stay as they are stored. What the engine put into the container is not a change
//! ([`Additions`]), what an export does not record does not count as removed
//! ([`Tree::adopt_unrecorded`]).
//!
//! The config follows `docker commit` (moby `daemon/commit.go`) where an archive and a rootfs tar know
//! what the container knew: a container of this image that was given no command and no options of
//! its own.

use std::sync::Arc;

use jiff::Timestamp;

use super::delta::DeltaLayer;
use super::layout::OutputImage;
use super::{OutputLayer, WriteError};
use crate::base::digest::DiffId;

use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::{ConfigChanges, ConfigDraft, Created, Health, HistoryEntry, RunConfig};
use crate::image::{Image, Name};
use crate::source::Slice;
use crate::tree::{Additions, RefusedXattrs, Tree, TreeDelta, Warning, difference};

/// What only holds for the base: the container it was committed from, who built it and how.
const BASE_ONLY: [&str; 8] = [
    "comment",
    "container",
    "container_config",
    "docker_version",
    "id",
    "moby.buildkit.buildinfo.v1",
    "moby.buildkit.cache.v0",
    "parent",
];

/// How to commit.
#[derive(Clone, Copy, Debug)]
pub struct CommitOptions<'o> {
    /// The time of the new image.
    pub created: Timestamp,
    /// A remark for the history; may be empty.
    pub message: &'o str,
    /// What made the layer, for the history; `None` for the command that a container of the base runs,
    /// as Docker has it.
    pub created_by: Option<&'o str>,
    /// Whether the rootfs tar is of a container, so that what engines put into one is not a change.
    pub of_container: bool,
    /// Who made the change; `None` for the author of the base, as Docker's containerd store has it.
    pub author: Option<&'o str>,
    /// Changes of how a container runs.
    pub changes: &'o ConfigChanges,
    /// The names of the new image.
    pub names: &'o [Name],
    /// How many threads work at once.
    pub jobs: Jobs,
}

/// The outcome of a commit.
#[derive(Debug)]
pub struct Committed {
    /// The image to write.
    pub image: OutputImage,
    /// What differs between the base and the rootfs tar; empty if the image has no new layer.
    pub delta: Arc<TreeDelta>,
    /// How many names at the root of the base are left; 0 is hardly intended.
    pub kept: usize,
    /// What engines would show differently in the rootfs tar.
    pub warnings: Vec<Warning>,
    /// Extended attributes in the new layer that kernels refuse to set.
    pub refused_xattrs: RefusedXattrs,
}

/// Makes an image of `base` and what differs from it in `rootfs`, an uncompressed tar of the whole
/// file system.
///
/// Its last history entry is made by the base's `Cmd`, as a container's would be that was started
/// without a command of its own, unless `options` say otherwise. If nothing differs there is no layer, and
/// the entry says so.
///
/// The layers of `base` are not verified against their diff IDs here; writing the archive does that.
///
/// # Errors
///
/// [`WriteError`] if the base cannot be read, `rootfs` is not a tar or not a root file system, or a change
/// cannot be made.
pub fn commit(
    base: &Image,
    rootfs: Slice,
    options: CommitOptions<'_>,
    progress: &dyn Progress,
) -> Result<Committed, WriteError> {
    let mut image = OutputImage::of(base, options.jobs, progress)?;
    let mut draft = ConfigDraft::parse(&image.config).map_err(|error| WriteError::Image {
        image: base.display_name(),
        why: error.to_string(),
    })?;
    let run = changed(draft.run(), options.changes)?;
    let mut upper = Tree::from_tar(rootfs)?;
    let lower = Tree::build(base, options.jobs, progress)?;
    upper.require_rootfs(&lower)?;
    upper.adopt_unrecorded(&lower);
    let working_dir = draft.run().working_dir.as_bytes();
    let made = if options.of_container {
        Additions::find(&upper, &lower, working_dir)
    } else {
        Additions::none()
    };
    let delta = Arc::new(difference(&lower, &upper, &made, options.jobs, progress)?);
    let warnings = upper.warnings().to_vec();
    let refused_xattrs = upper.refused_xattrs_in(&delta);
    let layer = if delta.is_empty() {
        None
    } else {
        Some(DeltaLayer::prove(
            Arc::new(upper),
            Arc::clone(&delta),
            progress,
        )?)
    };
    write_config(&mut draft, run, layer.as_ref(), options);
    image.parent = Some(image.id());
    image.config = draft.to_bytes();
    image.layers.extend(layer);
    image.names = options.names.to_vec();
    Ok(Committed {
        image,
        kept: lower
            .names_at_root()
            .saturating_sub(delta.removed_at_root()),
        delta,
        warnings,
        refused_xattrs,
    })
}

/// Takes out of a config what holds only for the image that it was made for.
pub(crate) fn forget_origin(draft: &mut ConfigDraft) {
    for field in BASE_ONLY {
        draft.remove(field);
    }
}

fn write_config(
    draft: &mut ConfigDraft,
    run: RunConfig,
    layer: Option<&OutputLayer>,
    options: CommitOptions<'_>,
) {
    let created = Created::from(options.created);
    let author = options.author.unwrap_or(&draft.config().author).to_owned();
    let created_by = match options.created_by {
        Some(by) => by.to_owned(),
        None => draft.run().cmd.clone().unwrap_or_default().join(" "),
    };
    forget_origin(draft);
    if let Some(layer) = layer {
        let ids: Vec<DiffId> = draft.diff_ids().to_vec();
        draft.set_diff_ids(&[ids, vec![layer.diff_id().clone()]].concat());
    }
    draft.push_history(HistoryEntry {
        created: Some(created.clone()),
        created_by,
        author: author.clone(),
        comment: options.message.to_owned(),
        empty_layer: layer.is_none(),
    });
    draft.set_created(&created);
    draft.set_author(&author);
    draft.set_run(run);
}

/// How a container of the new image runs: as one of the base does, with the changes; what the changes
/// left empty is taken from the base again (moby `daemon/commit.go`, `merge`). So a change can replace the
/// base's command and entrypoint with others, and can remove nothing.
fn changed(base: &RunConfig, changes: &ConfigChanges) -> Result<RunConfig, WriteError> {
    let mut run = base.clone();
    changes.apply(&mut run)?;
    let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if is_empty(&run.entrypoint) {
        if is_empty(&run.cmd) {
            run.cmd.clone_from(&base.cmd);
        }
        if run.entrypoint.is_none() {
            run.entrypoint.clone_from(&base.entrypoint);
        }
    }
    for (new, old) in [
        (&mut run.user, &base.user),
        (&mut run.working_dir, &base.working_dir),
        (&mut run.stop_signal, &base.stop_signal),
    ] {
        if new.is_empty() {
            new.clone_from(old);
        }
    }
    run.healthcheck = match (run.healthcheck, &base.healthcheck) {
        (Some(new), Some(old)) => Some(merged(new, old)),
        (new, old) => new.or_else(|| old.clone()),
    };
    Ok(run)
}

/// A health check whose zeros stand for what the base has.
fn merged(mut new: Health, old: &Health) -> Health {
    if new.test.is_empty() {
        new.test.clone_from(&old.test);
    }
    for (new, old) in [
        (&mut new.interval, old.interval),
        (&mut new.timeout, old.timeout),
        (&mut new.start_period, old.start_period),
        (&mut new.start_interval, old.start_interval),
        (&mut new.retries, old.retries),
    ] {
        if *new == 0 {
            *new = old;
        }
    }
    new
}
