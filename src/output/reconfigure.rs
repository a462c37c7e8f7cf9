//! The same image with another config.

use super::WriteError;
use super::layout::OutputImage;
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::{ConfigChanges, ConfigDraft, Unset};
use crate::image::Image;

/// An image with its config changed: what `unset` names is taken out first, then `changes` are made, as
/// `docker commit --change` makes them, but without anything of the image coming back. Layers, history and the time
/// of creation stay, and so do fields that imgtar does not know and the order of keys.
///
/// The second answer is what was to be taken out and is not there.
///
/// # Errors
///
/// [`WriteError`] if the config is missing or unreadable, or a change cannot be made.
pub fn reconfigure(
    image: &Image,
    changes: &ConfigChanges,
    unset: &[Unset],
    jobs: Jobs,
    progress: &dyn Progress,
) -> Result<(OutputImage, Vec<Unset>), WriteError> {
    let mut made = OutputImage::of(image, jobs, progress)?;
    let mut draft = ConfigDraft::parse(&made.config).map_err(|error| WriteError::Image {
        image: image.display_name(),
        why: error.to_string(),
    })?;
    let mut run = draft.run().clone();
    let absent = unset.iter().filter(|what| !what.apply(&mut run));
    let absent: Vec<Unset> = absent.cloned().collect();
    changes.apply(&mut run)?;
    draft.set_run(run);
    made.config = draft.to_bytes();
    Ok((made, absent))
}
