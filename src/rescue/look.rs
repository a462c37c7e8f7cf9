//! Which layers of a store are there, before anything is hashed.

use super::classic::{ClassicLayer, LayerPlace};
use super::files::RootFiles;
use super::layer::{self, LookOnly, LostMarkers};
use super::{LayerState, RescueError};
use crate::base::escape;
use crate::base::jobs::{self, Jobs};

/// Looks for the files of layers, several layers at a time; `overlay` says whether they are those of an overlay file
/// system. Returns which marks of one are not there.
///
/// # Errors
///
/// [`RescueError`] if the system fails.
pub(crate) fn look_for(
    mut layers: Vec<&mut ClassicLayer>,
    files: &RootFiles,
    overlay: bool,
    jobs: Jobs,
) -> Result<LostMarkers, RescueError> {
    let places: Vec<Vec<LayerPlace>> = layers.iter().map(|layer| layer.places.clone()).collect();
    let cost = |places: &Vec<LayerPlace>| {
        let splits = places.iter().filter_map(|place| place.split);
        splits.map(|split| files.size(split)).sum::<u64>()
    };
    let looked = jobs::map(jobs, &places, cost, |places| {
        look_at(files, places, overlay)
    });
    let mut lost = LostMarkers::default();
    for (layer, looked) in layers.iter_mut().zip(looked) {
        let looked = looked?;
        lost.add(looked.lost);
        layer.state = looked.state;
        layer.best = looked.best;
        layer.tar_size = looked.sizes.map(|(tar, _)| tar);
        layer.file_bytes = looked.sizes.map(|(_, files)| files);
    }
    Ok(lost)
}

impl LostMarkers {
    /// What the tar has lost although its layers do not need it, for people.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let path = |path: &Option<Vec<u8>>| {
            let path = path.as_deref().filter(|path| !path.is_empty());
            escape::name(path.unwrap_or(b"/")).to_string()
        };
        let mut all = Vec::new();
        if self.opaque > 0 {
            all.push(format!(
                "the tar lacks the extended attribute with which {} in layers hide what is below them (the first is `{}`): images still come back, since tar-split has the attribute; a container may show files again that were deleted with their directory",
                counted(self.opaque, "directory", "directories"),
                path(&self.first.1),
            ));
        }
        if self.whiteouts > 0 {
            all.push(format!(
                "the tar lacks {} with which layers hide files (the first is `{}`): images still come back, since tar-split has them; a container may show files again that were deleted",
                counted(self.whiteouts, "device", "devices"),
                path(&self.first.0),
            ));
        }
        all
    }
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// What was found of a layer.
struct Found {
    best: usize,
    state: LayerState,
    /// Of its tar and of its files.
    sizes: Option<(u64, u64)>,
    /// Which marks of an overlay file system are not there.
    lost: LostMarkers,
}

impl Found {
    fn lost(best: usize, why: String) -> Self {
        Self {
            best,
            state: LayerState::Lost(why),
            sizes: None,
            lost: LostMarkers::default(),
        }
    }
}

/// The best of the places of a layer.
fn look_at(files: &RootFiles, places: &[LayerPlace], overlay: bool) -> Result<Found, RescueError> {
    let mut best: Option<Found> = None;
    for (at, place) in places.iter().enumerate() {
        let found = match (place.parts(), &place.lost) {
            (_, Some(why)) => Found::lost(at, why.clone()),
            (None, None) => Found::lost(at, missing(place)),
            (Some(parts), None) => {
                let mut look = LookOnly {
                    overlay,
                    lost: LostMarkers::default(),
                };
                match layer::read(files, parts, &mut look)? {
                    Ok(looked) => Found {
                        best: at,
                        sizes: Some((looked.tar_size, looked.file_bytes)),
                        state: if looked.faults.count == 0 {
                            LayerState::Expected
                        } else {
                            LayerState::Damaged(looked.faults)
                        },
                        lost: look.lost,
                    },
                    Err(why) => Found::lost(at, why),
                }
            }
        };
        let rank = |found: &Found| match found.state {
            LayerState::Exact | LayerState::Expected => 2,
            LayerState::Damaged(_) => 1,
            LayerState::Lost(_) => 0,
        };
        if best.as_ref().is_none_or(|best| rank(best) < rank(&found)) {
            best = Some(found);
        }
    }
    let nowhere = || Found::lost(0, "nothing says where it is".to_owned());
    Ok(best.unwrap_or_else(nowhere))
}

fn missing(place: &LayerPlace) -> String {
    match (place.directory, place.split) {
        (None, _) => "the directory with its files is not in the tar".to_owned(),
        (_, None) => "its tar-split is not in the tar, and without it the layer's tar cannot be put together again"
            .to_owned(),
        _ => "it is not in the tar".to_owned(),
    }
}
