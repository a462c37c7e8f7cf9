//! What containerd makes of one image once its parts are stored: whether it can be unpacked, and whether a
//! container can be made of it (containerd `core/unpack/unpacker.go`, `core/images/image.go`).

use super::containerd::{is_there, not_found};
use super::docker::{ConfigFault, config_fault};
use super::snapshots::{Stuck, stacks};
use super::{Facts, Refusal, because, says};
use crate::base::limits::Limit;
use crate::base::problem::{Code, Severity};
use crate::document::{Config, InlineData, MediaType, Platform};
use crate::image::Image;

/// What becomes of an image of an OCI layout.
pub(super) enum UnpackState {
    Sound,
    /// Its config is not there.
    NoConfig,
    /// None of its layers is a layer: it is not unpacked, and cannot be run.
    NoLayers(Refusal),
    /// containerd 2 unpacks it, because it reads no more of the config than it needs for that. Docker reads all of
    /// it and cannot run the image, for this reason. The layers are not checked.
    OnlyUnpacked(String),
    /// It cannot be unpacked.
    Stuck(Stuck),
}

/// The message for layers that are not layers.
pub(super) const MISMATCHED: &str = "mismatched image rootfs and manifest layers";

/// What becomes of an image when it is unpacked. `old` is containerd 1.7.
pub(super) fn state(facts: &Facts<'_>, image: &Image, old: bool) -> UnpackState {
    let lies = facts.set.is_ok_and(|set| {
        set.problems.iter().any(|problem| {
            problem.code == Code::ConfigDigestMismatch && problem.image == Some(image.position)
        })
    });
    if let Some(manifest) = &image.manifest {
        let config = &manifest.config;
        let there = image.config.is_some() && !lies;
        if !there && !is_there(facts, &config.digest) {
            return match config.data {
                InlineData::Fits => UnpackState::Stuck(not_found(&config.digest).into()),
                InlineData::Absent | InlineData::NotBase64 | InlineData::Differs => {
                    UnpackState::NoConfig
                }
            };
        }
        let layers = image
            .layers
            .iter()
            .filter_map(|layer| layer.media_type.as_ref());
        let known = layers.clone().filter(|known| is_layer(known, old)).count();
        let all = layers.count();
        if known == 0 && all > 0 {
            return UnpackState::NoLayers(says(format!("…{MISMATCHED}")));
        }
        if known < all {
            return UnpackState::Stuck(Stuck::Mismatched);
        }
    }
    match unread_config(facts, image, old) {
        None => {}
        Some(Unread::Beyond(why)) => return UnpackState::OnlyUnpacked(why),
        Some(Unread::Missing(_)) => {
            return UnpackState::Stuck(because("its config cannot be found").into());
        }
        Some(Unread::AtAll(why)) => return UnpackState::Stuck(because(why).into()),
    }
    let stacks = facts.stacks.get_or_init(|| stacks(facts));
    match stacks.get(image.position) {
        Some(Err(why)) => UnpackState::Stuck(why.clone()),
        Some(Ok(())) | None => UnpackState::Sound,
    }
}

/// Why a config cannot be read.
pub(super) enum Unread {
    /// There is none: the member that is missing.
    Missing(String),
    /// What containerd 2 needs to unpack the image can be read, the rest cannot. In our words.
    Beyond(String),
    /// Not even what containerd needs can be read. In our words.
    AtAll(String),
}

/// Why the config of an image cannot be read, if so. `old` is containerd 1.7, which needs all of it.
pub(super) fn unread_config(facts: &Facts<'_>, image: &Image, old: bool) -> Option<Unread> {
    if image.config.is_some() {
        let refused = image.view()?.refused_as_oci.as_ref()?;
        let why = format!("engines cannot read the config: {refused}");
        return Some(if old {
            Unread::AtAll(why)
        } else {
            Unread::Beyond(why)
        });
    }
    Some(match config_fault(facts, image) {
        ConfigFault::Missing(name) => Unread::Missing(name),
        ConfigFault::Unreadable(why) if !old && platform_read(facts, image).is_some() => {
            Unread::Beyond(why)
        }
        ConfigFault::Unreadable(why) => Unread::AtAll(why),
    })
}

/// The platform that containerd 2 reads in a config that others cannot read.
fn platform_read(facts: &Facts<'_>, image: &Image) -> Option<Platform> {
    let problems = facts.set.map_or(&[][..], |set| &set.problems);
    let found = problems.iter().find(|problem| {
        problem.image == Some(image.position)
            && problem.severity == Severity::Error
            && problem.code == Code::ConfigInvalid
    });
    let (_, slice) = facts.archive.find(found?.member.as_deref()?).ok()?;
    if slice.len() > facts.limits().of(Limit::Json) {
        return None;
    }
    Config::platform_of(&slice.read_all().ok()?).ok()
}

/// The platform that containerd gives the manifest which it makes of an image of `manifest.json`.
pub(super) fn platform_given(facts: &Facts<'_>, image: &Image) -> Platform {
    let read = match image.config {
        Some(_) => None,
        None => platform_read(facts, image),
    };
    read.unwrap_or_else(|| image.platform.clone())
}

/// Whether containerd takes blobs of a media type for layers (`core/images/mediatypes.go` `IsLayerType`).
fn is_layer(media_type: &MediaType, old: bool) -> bool {
    let name = media_type.as_str();
    let zstd = name.ends_with(".diff.tar.zstd");
    media_type.is_layer() && !(old && zstd)
}
